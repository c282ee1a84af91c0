//! The end of a cycle: detach the dead from the living, drain the decrements, release the cells; and the clearing of the mark bits before the next.
//!
//! A walk over the blocks in slices sees every block that existed when it began. Cells born since are marked (R20).
//!
//! Invariants:
//! S1. From the second fixpoint on the set of dead cells (live, unmarked, no corpse) changes only by the release (R23).
//! S2. A dead cell is released only after every dead cell is detached, and after the decrements of that have been applied (R25).
//!
//! May import: `object`, `memory`.

use super::barrier::trace_strong;
use super::{Phase, Sabotage, prefetch};
use crate::heap::Heap;
use crate::object::{Kinds, Ref, Runtime, Shape, flags};
use std::time::Instant;

/// Slots of a large dead cell detached at a time.
const DETACH_SLOTS: usize = 512;
const BATCH: usize = 8;
/// How far ahead the dead of a block are brought into the cache.
const AHEAD: usize = 8;

/// A step of a walk over the blocks.
enum Next {
    Block(usize),
    /// The rest of a segment has none.
    Nothing,
    End,
}

/// How far a walk over the blocks is.
pub(crate) struct Sweep {
    block: usize,
    /// The dead cells of the block being detached, and how far the last of them is.
    cells: Vec<Ref>,
    slot: usize,
    /// The mark bits are clear: marking may start (R21).
    pub cleared: bool,
    /// What the release queue, and the cells taken apart, must have come to before the release (R25).
    pub drain_target: Option<(u64, u64)>,
}

impl Sweep {
    pub const fn new() -> Sweep {
        Sweep { block: 0, cells: Vec::new(), slot: 0, cleared: false, drain_target: None }
    }
}

impl Sweep {
    /// The cell that is being detached in slices, and how far that has come.
    pub fn half_detached(&self) -> Option<(Ref, usize)> {
        self.cells.last().map(|&cell| (cell, self.slot))
    }
}

impl<R: Runtime> Heap<R> {
    pub(crate) fn start_clearing(&mut self) {
        self.col.enter(Phase::Clear);
        self.col.sweep = Sweep { cleared: self.without(Sabotage::ClearedMarks), ..Sweep::new() };
    }

    pub(crate) fn start_detaching(&mut self) {
        self.col.enter(Phase::Detach);
        self.col.sweep = Sweep::new();
    }

    /// R25: the epoch end after the detaching.
    pub(crate) fn set_drain_target(&mut self) {
        self.col.sweep.drain_target = Some((self.col.release.pushed(), self.col.partial.pushed()));
        self.check_drained();
    }

    pub(crate) fn check_drained(&mut self) {
        if self.col.phase != Phase::Drain || !self.col.pending.is_empty() {
            return;
        }
        if self.without(Sabotage::Drain) {
            self.col.sweep.drain_target = Some((0, 0));
        }
        if let Some((release, partial)) = self.col.sweep.drain_target
            && self.col.release.popped() >= release
            && self.col.partial.popped() >= partial
        {
            self.col.enter(Phase::Release);
            self.col.sweep = Sweep::new();
        }
    }

    /// Works on the phases that walk over the blocks. `true` when the phase has nothing to do for now.
    pub(crate) fn sweep_slice(&mut self, deadline: Instant) -> bool {
        loop {
            for _ in 0..BATCH {
                let more = match self.col.phase {
                    Phase::Clear => self.clear_unit(),
                    Phase::Detach => self.detach_unit(),
                    Phase::Release => self.release_block(),
                    _ => false,
                };
                if !more {
                    return true;
                }
            }
            if Instant::now() >= deadline {
                return false;
            }
        }
    }

    /// The next block of the walk. It passes by one segment at a time: many that hold nothing would be a long way.
    fn next_block(&mut self) -> Next {
        let from = self.col.sweep.block;
        if from >= self.store.memory.block_limit() {
            return Next::End;
        }
        let end = self.store.memory.segment_end(from);
        match self.store.memory.next_block_below(from, end) {
            Some(id) => {
                self.col.sweep.block = id + 1;
                Next::Block(id)
            }
            None => {
                self.col.sweep.block = end;
                Next::Nothing
            }
        }
    }

    pub(crate) fn clear_unit(&mut self) -> bool {
        if self.col.sweep.cleared {
            return false;
        }
        match self.next_block() {
            Next::Block(id) => self.store.memory.clear_marks_in(id),
            Next::Nothing => {}
            Next::End => self.col.sweep.cleared = true,
        }
        true
    }

    pub(crate) fn detach_unit(&mut self) -> bool {
        if let Some(&r) = self.col.sweep.cells.last() {
            if let Some(ahead) = self.col.sweep.cells.len().checked_sub(AHEAD) {
                prefetch(self.col.sweep.cells[ahead].addr());
            }
            // SAFETY: S1.
            if unsafe { self.detach(r) } {
                self.col.sweep.cells.pop();
                self.col.sweep.slot = 0;
            }
            return true;
        }
        match self.next_block() {
            Next::Nothing => {}
            Next::Block(id) => {
                let mut cells = std::mem::take(&mut self.col.sweep.cells);
                // SAFETY: a live cell.
                self.store.memory.for_each_unmarked_in(id, |cell| cells.push(unsafe { Ref::from_ptr(cell) }));
                self.col.sweep.cells = cells;
            }
            Next::End => {
                self.col.sweep.cells = Vec::new();
                self.col.enter(Phase::Drain);
            }
        }
        true
    }

    /// Queues a decrement for each reference of a dead cell to a marked one. `true` when the cell is done with.
    ///
    /// # Safety
    /// The cell is live and unmarked, in the phase `Detach`.
    unsafe fn detach(&mut self, r: Ref) -> bool {
        // SAFETY: by the caller; the cells that it refers to are live (S2).
        unsafe {
            let header = r.header();
            if header.has(flags::CORPSE | flags::DYING) {
                // Already dead by counting, its cell is waited for: not ours (R12).
                self.store.memory.set_mark(r.as_nonnull());
                return true;
            }
            let shape = Kinds::<R>::shape(header.kind);
            let from = self.col.sweep.slot;
            if from == 0 && header.has(flags::INTERNED) {
                // R15.
                header.unset(flags::INTERNED);
                self.runtime.unintern(r);
            }
            let keeps = self.without(Sabotage::Detach);
            let mut give_back = |x: Ref| {
                if !keeps && self.store.memory.is_marked(x.as_nonnull()) {
                    self.col.release.push(x.addr(), &mut self.store);
                }
            };
            if header.has(flags::CARDED) || shape == Shape::Thread {
                let thread = shape == Shape::Thread;
                let slots = if thread { R::stack(r).counted.len } else { R::slots(r) };
                let to = (from + DETACH_SLOTS).min(slots);
                if thread {
                    for slot in from..to {
                        if let Some(x) = R::stack(r).counted.get(slot) {
                            give_back(x);
                        }
                    }
                } else {
                    R::trace_slots(r, from..to, &mut give_back);
                }
                if to < slots {
                    self.col.sweep.slot = to;
                    return false;
                }
                if thread {
                    R::trace(r, &mut give_back);
                    let counted = &mut R::stack(r).counted;
                    counted.len = 0;
                    counted.scanned = 0;
                    counted.shrink(&mut self.store);
                }
            } else {
                trace_strong::<R>(r, shape, &mut give_back);
            }
            header.set(flags::DETACHED);
            self.col.counters.cyclic_objects += 1;
            if header.has(flags::SPECIAL) && Kinds::<R>::destructor(header.kind) && !self.without(Sabotage::DetachDestroys) {
                // R26.
                self.destroy(r);
            }
            true
        }
    }

    pub(crate) fn release_block(&mut self) -> bool {
        match self.next_block() {
            Next::Nothing => {}
            Next::Block(id) => {
                if self.poison {
                    let mut cells = Vec::new();
                    self.store.memory.for_each_unmarked_in(id, |cell| cells.push(cell));
                    for cell in cells {
                        // SAFETY: dead and detached (S2).
                        unsafe { self.poison_cell(Ref::from_ptr(cell), self.store.memory.cell_bytes(cell)) };
                    }
                }
                // S2. What is live and unmarked now was detached: corpses were marked in that pass, or are born marked.
                let bytes = self.store.memory.sweep_block(id, |_| false);
                self.col.counters.cyclic_bytes += bytes as u64;
            }
            Next::End => {
                self.col.enter(Phase::Idle);
                self.col.sweep = Sweep::new();
                self.col.counters.cycles += 1;
                self.end_cycle();
            }
        }
        true
    }

    /// Overwrites all of a dead cell but its header.
    pub(crate) fn poison_cell(&mut self, r: Ref, bytes: usize) {
        // SAFETY: nobody looks into a dead cell any more, and it is this long.
        unsafe { r.as_ptr().add(8).write_bytes(0xdb, bytes - 8) };
    }
}
