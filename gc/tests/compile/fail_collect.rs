//! The arena is collected while its objects are looked at.
use neap_gc::arena::{Arena, Gc, Lock};

fn main() {
    let mut arena = Arena::<Gc<Lock<u32>>>::new(|mc| mc.alloc(Lock::new(1)));
    arena.mutate(|_, root| {
        arena.collect();
        println!("{}", root.get());
    });
    arena.mutate(|_, root| arena.mutate(|_, other| println!("{}", root == other)));
}
