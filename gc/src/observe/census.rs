//! What lives on the heap, by kind. Walks all blocks: for people who ask, not for a program that runs.

use crate::heap::Heap;
use crate::object::{Ref, Runtime, flags};

/// The objects of one kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KindCount {
    pub name: &'static str,
    pub objects: u64,
    /// Bytes of their cells.
    pub bytes: u64,
}

impl<R: Runtime> Heap<R> {
    /// Visits every object that has survived an epoch end and is not known to be dead.
    pub fn each_object(&self, mut visit: impl FnMut(Ref, usize)) {
        let memory = self.audit_memory();
        let mut next = memory.next_block(0);
        while let Some(id) = next {
            next = memory.next_block(id + 1);
            let size = memory.block(id).map_or(0, |block| block.cell_size);
            memory.for_each_live_in(id, |cell| {
                // SAFETY: a live cell of the collector has a header.
                let r = unsafe { Ref::from_ptr(cell) };
                // SAFETY: as above.
                if !unsafe { r.header() }.has(flags::CORPSE | flags::DYING) {
                    visit(r, size);
                }
            });
        }
    }

    /// Objects and bytes by kind, in the order of `R::KINDS`. Young objects are not seen.
    pub fn census(&self) -> Vec<KindCount> {
        let mut counts: Vec<KindCount> =
            R::KINDS.iter().map(|kind| KindCount { name: kind.name, objects: 0, bytes: 0 }).collect();
        self.each_object(|cell, bytes| {
            // SAFETY: `each_object` gives live cells.
            let count = &mut counts[unsafe { cell.kind() } as usize];
            count.objects += 1;
            count.bytes += bytes as u64;
        });
        counts
    }
}
