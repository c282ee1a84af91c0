//! What has a destructor is no element of a collection on the heap.
use neap_gc::arena::{Arena, GcHashMap, GcVec};

fn main() {
    let mut arena = Arena::<()>::new(|_| ());
    arena.mutate(|mc, _| {
        let strings: GcVec<String> = GcVec::new(mc);
        let table: GcHashMap<u32, Vec<u8>> = GcHashMap::new(mc);
    });
}
