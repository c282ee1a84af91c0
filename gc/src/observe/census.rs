//! What lives on the heap, by kind. Walks all blocks: for people who ask, not for a program that runs.
//!
//! Imports `collect` (its memory and kinds), `object`.

use crate::collect::Collector;
use crate::object::{Ref, Runtime, flags};

/// The objects of one kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KindCount {
    pub name: &'static str,
    pub objects: u64,
    /// Bytes of their cells.
    pub bytes: u64,
}

/// Visits every cell that has survived an epoch end and is not known to be dead, with its bytes.
pub(crate) fn each_cell<R: Runtime>(collector: &Collector<R>, visit: &mut dyn FnMut(Ref, usize)) {
    let memory = collector.memory();
    let mut next = memory.next_block(0);
    while let Some(id) = next {
        next = memory.next_block(id + 1);
        let size = memory.block(id).map_or(0, |block| block.cell_size);
        memory.for_each_live_in(id, |cell| {
            // SAFETY: a live cell of the collector has a header.
            unsafe {
                let r = Ref::from_ptr(cell);
                if !r.header().has(flags::CORPSE | flags::DYING | flags::DETACHED) {
                    visit(r, size);
                }
            }
        });
    }
}

/// Objects and bytes by kind.
pub(crate) fn census<R: Runtime>(collector: &Collector<R>) -> Vec<KindCount> {
    let kinds = &collector.cx.kinds;
    let mut counts: Vec<KindCount> =
        (0..kinds.len()).map(|kind| KindCount { name: kinds.name(kind as u8), objects: 0, bytes: 0 }).collect();
    each_cell(collector, &mut |cell, bytes| {
        // SAFETY: a live cell.
        let count = &mut counts[unsafe { cell.kind() } as usize];
        count.objects += 1;
        count.bytes += bytes as u64;
    });
    counts
}
