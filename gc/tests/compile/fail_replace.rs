//! Something in an object is replaced, by ways that no lock is asked about.
use neap_gc::arena::{Arena, Gc, Lock, Rootable, Trace, Write};

#[derive(Trace, Rootable)]
struct Node<'gc> {
    next: Lock<Option<Gc<'gc, Node<'gc>>>>,
}

fn main() {
    let mut arena = Arena::<Gc<Node>>::new(|mc| mc.alloc(Node { next: Lock::new(None) }));
    arena.mutate(|_, root| *root.next.get_mut() = None);
    arena.mutate(|_, root| root.next = Lock::new(None));
    arena.mutate(|_, root| Write::assume(&root.next).set(None));
}
