//! A field that belongs to another object is not found by `field!`, and the barrier for one object is none for another.
use neap_gc::arena::{Arena, Gc, Lock, Rootable, Trace, field};

#[derive(Trace, Rootable)]
struct Inner<'gc> {
    slot: Lock<Option<Gc<'gc, u32>>>,
}

#[derive(Trace, Rootable)]
struct Outer<'gc> {
    inner: Gc<'gc, Inner<'gc>>,
}

fn main() {
    let mut arena = Arena::<Gc<Outer>>::new(|mc| mc.alloc(Outer { inner: mc.alloc(Inner { slot: Lock::new(None) }) }));
    arena.mutate(|mc, root| {
        let write = Gc::write(*root, mc);
        field!(write, Inner, slot).set(None);
        field!(write, Outer, slot).set(None);
        field!(field!(write, Outer, inner), Inner, slot).set(None);
        field!(write, Outer, inner).slot.set(None);
    });
}
