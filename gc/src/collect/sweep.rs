//! The walks over the blocks: the clearing of the mark bits before a cycle; at its end the dead are detached from the living, and released.
//!
//! A walk in slices sees every block that existed when it began. Cells born since are marked (R20).
//!
//! Invariants:
//! * **dead-stay-dead** From the second fixpoint on the set of dead cells (live, unmarked, no corpse) changes only by the release (R23).
//! * **detach-before-release** A dead cell is released only after every dead cell is detached, and after the decrements of that have been applied (R25).
//!
//! May import: `memory`, `object`, and of the collector `context`, `budget`, `edges`.

use super::Sabotage;
use super::budget::Budget;
use super::context::{Context, destroy};
use super::edges::{is_sliced, trace_part, trace_whole};
use crate::memory::MAX_SMALL;
use crate::object::{Ref, Runtime, Shape, flags};
use crate::prefetch;

/// Slots of a large dead cell detached at a time.
const DETACH_SLOTS: usize = 512;
/// How far ahead the dead of a block are brought into the cache.
const AHEAD: usize = 8;
/// Units that looking at the bits of a block is.
const BLOCK_UNITS: usize = 32;

/// How far a walk over the blocks is.
pub(crate) struct Sweep {
    block: usize,
    /// The dead cells of the block being detached, and how far the last of them is.
    cells: Vec<Ref>,
    slot: usize,
    /// The walk has come to its end.
    done: bool,
    /// What the release must have come to before the dead are released (R25).
    pub drain: Option<[u64; 3]>,
}

impl Sweep {
    pub const fn new() -> Sweep {
        Sweep { block: 0, cells: Vec::new(), slot: 0, done: false, drain: None }
    }
    /// A walk begins, or one that need not take place has ended.
    pub fn begin(&mut self, done: bool) {
        *self = Sweep { done, ..Sweep::new() };
    }
    pub fn is_done(&self) -> bool {
        self.done
    }
    /// The cell that is being detached in slices, and how far that has come.
    pub fn half_detached(&self) -> Option<(Ref, usize)> {
        self.cells.last().map(|&cell| (cell, self.slot))
    }

    /// The next block. A walk passes by one segment at a time: many that hold nothing would be a long way. `None` at the end of a segment, too.
    fn next_block(&mut self, cx: &Context, budget: &mut Budget) -> Option<usize> {
        budget.spend(BLOCK_UNITS);
        if self.block >= cx.store.memory.block_limit() {
            self.done = true;
            return None;
        }
        let end = cx.store.memory.segment_end(self.block);
        let found = cx.store.memory.next_block_below(self.block, end);
        self.block = found.map_or(end, |id| id + 1);
        found
    }

    /// R21.
    pub fn clear_marks(&mut self, cx: &mut Context, budget: &mut Budget) {
        while !self.done && !budget.is_spent() {
            if let Some(id) = self.next_block(cx, budget) {
                cx.store.memory.clear_marks_in(id);
            }
        }
    }

    pub fn detach<R: Runtime>(&mut self, rt: &mut R, cx: &mut Context, budget: &mut Budget) {
        while !self.done && !budget.is_spent() {
            // What waited for keys that are dead now.
            if cx.ephemerons.shrink(&mut cx.store) {
                budget.spend(BLOCK_UNITS);
                continue;
            }
            if let Some(&r) = self.cells.last() {
                if let Some(ahead) = self.cells.len().checked_sub(AHEAD) {
                    prefetch(self.cells[ahead].addr());
                }
                // SAFETY: dead-stay-dead.
                if unsafe { self.detach_part(rt, cx, r, budget) } {
                    self.cells.pop();
                    self.slot = 0;
                }
            } else if let Some(id) = self.next_block(cx, budget) {
                // SAFETY: a live cell.
                cx.store.memory.for_each_unmarked_in(id, |cell| self.cells.push(unsafe { Ref::from_ptr(cell) }));
            }
        }
        if self.done {
            self.cells = Vec::new();
        }
    }

    /// Queues a decrement for each reference of a dead cell to a marked one. `true` when the cell is done with.
    ///
    /// # Safety
    /// The cell is live and unmarked, in the phase `Detach`.
    unsafe fn detach_part<R: Runtime>(&mut self, rt: &mut R, cx: &mut Context, r: Ref, budget: &mut Budget) -> bool {
        // SAFETY: by the caller; the cells that it refers to are live (detach-before-release).
        unsafe {
            let header = r.header();
            if header.has(flags::CORPSE | flags::DYING) {
                // Already dead by counting, its cell is waited for: not ours (R12).
                cx.store.memory.set_mark(r.as_nonnull());
                return true;
            }
            let shape = cx.kinds.shape(header.kind);
            let from = self.slot;
            if from == 0 && header.has(flags::INTERNED) {
                // R15.
                header.unset(flags::INTERNED);
                rt.unintern(r);
            }
            let keeps = cx.without(Sabotage::Detach);
            let mut give_back = |x: Ref| {
                if !keeps && cx.store.memory.is_marked(x.as_nonnull()) {
                    cx.decrements.push(x.addr(), &mut cx.store);
                }
            };
            if is_sliced(header, shape) {
                let part = trace_part(rt, r, shape, from, DETACH_SLOTS, &mut give_back);
                budget.spend(1 + part.slots);
                if let Some(next) = part.next {
                    self.slot = next;
                    return false;
                }
                if shape == Shape::Thread {
                    let counted = &mut rt.stack(r).as_mut().counted;
                    counted.len = 0;
                    counted.scanned = 0;
                    counted.shrink(&mut cx.store);
                }
            } else {
                trace_whole(rt, r, shape, &mut give_back);
                budget.spend(Context::cell_units(cx.store.memory.cell_bytes(r.as_nonnull()).min(MAX_SMALL)));
            }
            header.set(flags::DETACHED);
            cx.counters.cyclic_objects += 1;
            let destructor = header.has(flags::SPECIAL) && cx.kinds.has_destructor(header.kind);
            if destructor && !cx.without(Sabotage::DetachDestroys) {
                // R26.
                destroy(rt, cx, r);
            }
            true
        }
    }

    pub fn release(&mut self, cx: &mut Context, budget: &mut Budget) {
        while !self.done && !budget.is_spent() {
            let Some(id) = self.next_block(cx, budget) else { continue };
            if cx.checks.poison {
                let mut cells = Vec::new();
                cx.store.memory.for_each_unmarked_in(id, |cell| cells.push(cell));
                for cell in cells {
                    // SAFETY: dead and detached.
                    unsafe { cx.poison_cell(Ref::from_ptr(cell), cx.store.memory.cell_bytes(cell)) };
                }
            }
            // detach-before-release: what is live and unmarked now was detached. Corpses were marked in that pass, or are born marked.
            let bytes = cx.store.memory.sweep_block(id, |_| false);
            cx.counters.cyclic_bytes += bytes as u64;
        }
    }
}
