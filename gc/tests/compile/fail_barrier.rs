//! Something in an object is written, and no barrier has been.
use neap_gc::arena::{Arena, Gc, Lock, OnceLock, RefLock, Rootable, Trace};

#[derive(Trace, Rootable)]
struct Node<'gc> {
    next: Lock<Option<Gc<'gc, Node<'gc>>>>,
    others: RefLock<Vec<Gc<'gc, Node<'gc>>>>,
    once: OnceLock<Gc<'gc, Node<'gc>>>,
}

fn main() {
    let mut arena = Arena::<Gc<Node>>::new(|mc| {
        mc.alloc(Node { next: Lock::new(None), others: RefLock::default(), once: OnceLock::new() })
    });
    arena.mutate(|_, root| root.next.set(Some(*root)));
    arena.mutate(|_, root| root.others.borrow_mut().clear());
    arena.mutate(|_, root| _ = root.once.set(*root));
}
