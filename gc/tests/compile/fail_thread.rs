//! A `Gc`, or the handle of a mutation, goes to another thread.
use neap_gc::arena::{Arena, Gc};

fn main() {
    let mut arena = Arena::<Gc<u32>>::new(|mc| mc.alloc(1));
    arena.mutate(|mc, root| {
        std::thread::scope(|scope| {
            scope.spawn(|| println!("{}", **root));
            scope.spawn(|| println!("{}", mc.used_bytes()));
        });
    });
    let shared = &arena;
    std::thread::scope(|scope| {
        scope.spawn(|| println!("{}", shared.used_bytes()));
    });
}
