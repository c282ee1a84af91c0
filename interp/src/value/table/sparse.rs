//! Tables that have become nearly empty by removals. Many of them are filled again soon, with the same keys (sets that mark what has been seen, buffers): to
//! make them small at once would be to copy and count what they have twice a round. So a table that is not very large waits for some epochs, and gives its
//! memory back at safepoints, a hash part at a time, if it is nearly empty still. One that keys are added to meanwhile (a window, a cache) does not wait.
//!
//! The list holds its tables: nobody tells it when one dies. So it is short, and a whole collection begins with what waits.
//!
//! * **T10** A table with [`mark::WAITS`] is in the list. One that is there without it has had keys added since.

use super::directory::span;
use super::nodes::Nodes;
use super::parts::{KEPT_NODES, SEGMENT, SPARSE};
use super::{LuaHeap, Table, mark};
use crate::value::gc::Gc;
use neap_gc::Handle;
use smallvec::SmallVec;

/// Tables that wait at a time. Another one shrinks at once.
const MOST: usize = 8;
/// A table whose directory has more entries does not wait: it may have three megabytes to give back.
const LARGEST: usize = 32;
/// Epoch ends that a table waits for, and more for each part: that its entries are removed and come again may alone take one or two of them.
const EPOCHS: u64 = 2;
const EPOCHS_OF_PART: u64 = 2;

/// Tables that wait.
#[derive(Default)]
pub struct SparseTables {
    waiting: SmallVec<[Waiting; MOST]>,
}

struct Waiting {
    table: Handle,
    /// The epoch in which it became sparse.
    since: u64,
    /// Epoch ends that it waits for.
    epochs: u64,
    /// The hash up to which its parts have been looked at.
    at: u64,
}

fn list(heap: &mut LuaHeap) -> &mut SparseTables {
    // SAFETY: the runtime is not replaced.
    unsafe { &mut heap.runtime_mut().sparse }
}

impl SparseTables {
    /// Some work for the table that has waited longest, if it has waited long enough, or anyhow if `now`. `false`: there is none.
    pub fn settle(heap: &mut LuaHeap, now: bool) -> bool {
        let epochs = heap.counters().epochs;
        let Some(first) = list(heap).waiting.first() else { return false };
        if !now && epochs < first.since + first.epochs {
            return false;
        }
        let mut at = first.at;
        // SAFETY: the list holds tables.
        let table = unsafe { Gc::<Table>::from_ref(heap.held(&heap.runtime().sparse.waiting[0].table)) };
        let more = table.shrink_from(heap, &mut at);
        if more {
            list(heap).waiting[0].at = at;
        } else {
            table.set_mark(mark::WAITS, false);
            list(heap).waiting.remove(0);
        }
        true
    }
}

impl Gc<Table> {
    /// Whether the table waits, or does from now on.
    pub(super) fn waits(self, heap: &mut LuaHeap) -> bool {
        if self.has_mark(mark::WAITS) {
            return true;
        }
        if self.is_large() && self.directory().len() > LARGEST || list(heap).waiting.len() == MOST {
            return false;
        }
        self.set_mark(mark::WAITS, true);
        if !heap.runtime().sparse.waiting.iter().any(|waiting| heap.held(&waiting.table) == self.as_ref()) {
            // SAFETY: a live or young cell.
            let table = unsafe { heap.handle(self.as_ref()) };
            let since = heap.counters().epochs;
            let parts = if self.is_large() { self.directory().len() as u64 } else { 0 };
            list(heap).waiting.push(Waiting { table, since, epochs: EPOCHS + EPOCHS_OF_PART * parts, at: 0 });
        }
        true
    }

    /// Whether a hash part that has lost an entry is worth a look at the table's size.
    pub(super) fn is_sparse(self, nodes: Nodes) -> bool {
        let live = nodes.part().live.get() as usize;
        if self.is_large() { live < SPARSE } else { live * 8 <= nodes.len() && nodes.len() > KEPT_NODES }
    }

    /// Merges one part from hash `at` on, or makes the only one smaller. `false`: that was the last step.
    fn shrink_from(self, heap: &mut LuaHeap, at: &mut u64) -> bool {
        // A traversal may stand in it.
        if self.has_mark(mark::TRAVERSED) || !self.has_nodes() {
            return false;
        }
        if !self.is_large() {
            let own = self.own_nodes();
            if self.is_sparse(own) {
                self.shrink_own(heap, own);
            }
            return false;
        }
        while let Ok(hash) = u32::try_from(*at) {
            let directory = self.directory();
            let i = directory.index_of(hash);
            let nodes = Nodes::of_segment(directory.entry(i).get());
            let entries = span(directory, i, nodes.part());
            let shift = 32 - u32::from(directory.depth());
            // The merged part and its neighbour are looked at again, whichever of them comes first.
            let (start, end) = (entries.start & !(3 * entries.len()), entries.end);
            let (start, end) = ((start as u64) << shift, (end as u64) << shift);
            if matches!(self.merge(heap, hash), Ok(true)) {
                *at = start;
                return true;
            }
            *at = end;
        }
        false
    }
}

const _: () = assert!(SPARSE < SEGMENT);
