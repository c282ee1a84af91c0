//! A `Gc` leaves its mutation, by every way out.
use neap_gc::arena::{Arena, Gc, Lock};
use std::cell::RefCell;

fn main() {
    let mut arena = Arena::<Gc<Lock<u32>>>::new(|mc| mc.alloc(Lock::new(1)));
    // As a result.
    let escaped = arena.mutate(|_, root| *root);
    // By a variable outside.
    let mut outside = None;
    arena.mutate(|_, root| outside = Some(*root));
    let cell = RefCell::new(Vec::new());
    arena.mutate(|_, root| cell.borrow_mut().push(*root));
    // What it leads to, and what allocates.
    let reference = arena.mutate(|_, root| Gc::to_ref(*root));
    let mut handle = None;
    arena.mutate(|mc, _| handle = Some(mc));
}
