//! What `#[derive(Trace)]` refuses.
use neap_gc::arena::{Gc, Trace};

#[derive(Trace)]
struct Drops<'gc>(Gc<'gc, u32>);
impl Drop for Drops<'_> {
    fn drop(&mut self) {
        println!("{}", self.0);
    }
}

#[derive(Trace)]
struct NotTrace {
    channel: std::sync::mpsc::Sender<u32>,
}

#[derive(Trace)]
struct NotStatic<'gc> {
    #[trace(static)]
    hidden: Vec<Gc<'gc, u32>>,
}

#[derive(Trace)]
#[trace(static)]
struct NotStaticAtAll<'gc>(Gc<'gc, u32>);

#[derive(Trace)]
#[trace(static)]
struct NotSend(std::rc::Rc<u32>);

#[derive(Trace)]
struct Generic<T> {
    #[trace(static)]
    value: T,
    other: Vec<T>,
}

#[derive(Trace)]
union Either {
    a: u32,
    b: f32,
}

#[derive(Trace)]
#[trace(unsafe_drop)]
struct Mistyped;

#[derive(Trace)]
struct MistypedField {
    #[trace(skip)]
    field: u32,
}

#[derive(Trace)]
struct TwoLifetimes<'a, 'b>(Gc<'a, u32>, Gc<'b, u32>);

#[derive(Trace)]
#[trace(finalize)]
struct NoFinalizer<'gc>(Gc<'gc, u32>);

fn main() {}
