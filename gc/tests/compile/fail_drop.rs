//! A type that is traced implements `Drop`, and hides it.
use neap_gc::arena::{Gc, Trace};

mod hidden {
    pub trait Drop {}
    pub trait Sized {}
    pub enum Option {}
}
use hidden::{Drop, Option, Sized};

#[derive(Trace)]
struct Drops<'gc, T: Clone>(Gc<'gc, T>);
impl<T: Clone> core::ops::Drop for Drops<'_, T> {
    fn drop(&mut self) {}
}

// Without it all is well.
#[derive(Trace)]
struct Other<'gc>(Gc<'gc, u32>);

fn main() {}
