//! One cell of two parents: neither could have the barrier for it.
use neap_gc::arena::{Gc, Lock, RefLock, Trace};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

#[derive(Trace)]
struct Counted<'gc> {
    shared: Rc<Lock<Option<Gc<'gc, u32>>>>,
}

#[derive(Trace)]
struct Atomic<'gc> {
    shared: Arc<RefLock<Vec<Gc<'gc, u32>>>>,
}

#[derive(Trace)]
struct Plain<'gc> {
    cell: Cell<Option<Gc<'gc, u32>>>,
    other: RefCell<Vec<Gc<'gc, u32>>>,
}

#[derive(Trace)]
struct Borrowed<'gc> {
    lock: &'gc Lock<Option<Gc<'gc, u32>>>,
}

fn main() {}
