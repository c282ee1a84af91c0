//! An object of one arena would be the content of another's.
use neap_gc::arena::{Arena, Gc};

fn main() {
    let mut one = Arena::<()>::new(|_| ());
    let mut other = Arena::<Gc<u32>>::new(|mc| mc.alloc(5));
    one.mutate(|mc, _| {
        other.mutate(|_, root| {
            mc.alloc(*root);
        });
    });
}
