//! The release queue: decrements and the deaths that they bring, in slices while the program runs.
//!
//! Decrements that epoch ends queue stand in `release`, first come first served; the references of a cell that dies go to the stack `pending`,
//! which is emptied before the next of `release` is taken. Nothing recurs: a list of ten million nodes is freed with a stack of one entry. Cells too
//! large to be taken apart at once stand in `partial`.
//!
//! Invariants:
//! L1. A decrement is applied only after all increments of the epochs up to its own.
//! L2. A cell that is freed is named by no list, or it becomes a corpse (C3).
//!
//! May import: `object`, `memory`.

use super::barrier::trace_strong;
use super::{Sabotage, prefetch};
use crate::heap::Heap;
use crate::object::{Header, Kinds, Ref, Runtime, STICKY, Shape, flags};
use std::time::Instant;

/// Slots of a large array, or entries of a counted list, given back at a time.
const PARTIAL_SLOTS: usize = 64;
/// Decrements between two looks at the clock.
const BATCH: usize = 64;
/// How far ahead in the queue headers are prefetched.
const PREFETCH: usize = 12;

impl<R: Runtime> Heap<R> {
    /// Applies decrements until nothing is queued (`true`) or the time is up.
    pub(crate) fn release_slice(&mut self, deadline: Instant) -> bool {
        loop {
            for _ in 0..BATCH {
                if !self.release_unit() {
                    self.check_drained();
                    return true;
                }
            }
            if Instant::now() >= deadline {
                self.check_drained();
                return false;
            }
        }
    }

    /// Memory is short in the middle of the program's work: all that is known to be dead is given back, however long it takes. (Decrements are
    /// queued at epoch ends only, so nothing that the program has at hand is touched: R2, R3, R14.) `false` if there is nothing.
    #[cold]
    pub(crate) fn relieve(&mut self) -> bool {
        let queued = !self.release_is_empty();
        while self.release_unit() {}
        self.check_drained();
        queued
    }

    pub(crate) fn release_is_empty(&self) -> bool {
        self.col.pending.is_empty() && self.col.partial.is_empty() && self.col.release.is_empty()
    }

    #[inline(always)]
    pub(crate) fn release_unit(&mut self) -> bool {
        let word = match self.col.pending.pop_back(&mut self.store) {
            Some(word) => word,
            None => {
                if !self.col.partial.is_empty() {
                    self.partial_unit();
                    return true;
                }
                let Some(word) = self.col.release.pop_front(&mut self.store) else { return false };
                if let Some(ahead) = self.col.release.peek(PREFETCH) {
                    prefetch(ahead);
                }
                word
            }
        };
        // SAFETY: C2.
        self.decrement(unsafe { Ref::from_addr(word) });
        true
    }

    #[inline(always)]
    fn decrement(&mut self, r: Ref) {
        // SAFETY: C2.
        let header = unsafe { r.header() };
        let count = header.count.get();
        if count > 1 {
            // R27: a count that falls to something other than 0, or a sticky one. A leaf is part of no cycle.
            if count != STICKY {
                header.count.set(count - 1);
                let event = Kinds::<R>::shape(header.kind) != Shape::Leaf && !self.without(Sabotage::Events);
                self.col.events += u64::from(event);
            } else {
                self.col.events += 1;
            }
            return;
        }
        debug_assert!(count == 1, "a decrement of {r:?} (kind {}), whose count is 0", header.kind);
        header.count.set(0);
        // R23: in the window what is unmarked is dead already.
        if self.col.window && !self.is_marked(r) && !self.without(Sabotage::WindowLowers) {
            return;
        }
        if header.flags.get() == 0 { self.free_plain(r, header) } else { self.count_is_zero(r, header) }
    }

    /// The death of a cell that nothing special is known of.
    #[inline(always)]
    fn free_plain(&mut self, r: Ref, header: &Header) {
        // SAFETY: the cell is live until `free_cell`.
        unsafe {
            self.drop_references(r, Kinds::<R>::shape(header.kind));
            self.free_cell(r);
        }
    }

    /// Queues the references of a dead cell.
    ///
    /// # Safety
    /// The cell is live; its shape is right.
    #[inline(always)]
    unsafe fn drop_references(&mut self, r: Ref, shape: Shape) {
        // SAFETY: by the caller.
        unsafe {
            if self.col.shading && !self.without(Sabotage::FreedShade) {
                // R17, R18.
                trace_strong::<R>(r, shape, &mut |x| {
                    self.found(x);
                    self.col.pending.push(x.addr(), &mut self.store);
                });
            } else {
                trace_strong::<R>(r, shape, &mut |x| {
                    prefetch(x.addr());
                    self.col.pending.push(x.addr(), &mut self.store);
                });
            }
        }
    }

    /// # Safety
    /// The cell is live, and nothing names it any more (L2).
    #[inline(always)]
    unsafe fn free_cell(&mut self, r: Ref) {
        // SAFETY: by the caller.
        unsafe {
            let bytes = self.store.memory.cell_bytes(r.as_nonnull());
            self.col.counters.counted_objects += 1;
            self.col.counters.counted_bytes += bytes as u64;
            if self.poison {
                self.poison_cell(r, bytes);
            }
            self.store.memory.clear_live(r.as_nonnull());
        }
    }

    #[cold]
    #[inline(never)]
    fn count_is_zero(&mut self, r: Ref, header: &Header) {
        if header.has(flags::CORPSE | flags::DYING) {
            // A detached object named it once more (R25).
            return;
        }
        // R3 (a logged or dirty cell is named by the log), R14.
        let logged = header.has(flags::LOGGED) || header.has(flags::CARDED) && self.any_dirty(r);
        if header.has(flags::WEAK_READ) || logged && !self.without(Sabotage::LoggedWaits) {
            self.wait(r, header);
            return;
        }
        // SAFETY: live, its count is 0, nothing names it but lists.
        unsafe { self.reap(r) };
    }

    /// Puts an object with count 0 on the waiting list.
    pub(crate) fn wait(&mut self, r: Ref, header: &Header) {
        if !header.has(flags::WAITING) {
            header.set(flags::WAITING);
            self.col.waiting.push(r.addr(), &mut self.store);
        }
    }

    /// The object is dead by counting; it may be of any kind.
    ///
    /// # Safety
    /// The cell is live, its count is 0, it stands in no log.
    pub(crate) unsafe fn reap(&mut self, r: Ref) {
        // SAFETY: by the caller.
        unsafe {
            let header = r.header();
            if header.has(flags::FINALIZER) {
                self.queue_finalizer(r, header);
                return;
            }
            if header.has(flags::INTERNED) {
                // R15: before the cell is free.
                header.unset(flags::INTERNED);
                self.runtime.unintern(r);
            }
            let shape = Kinds::<R>::shape(header.kind);
            let numbers = header.has(flags::CARDED) && shape == Shape::Array && !self.holds_references(r);
            if !numbers && (header.has(flags::CARDED) || shape == Shape::Thread) {
                header.set(flags::DYING);
                if shape != Shape::Thread || !R::stack(r).counted.trimming {
                    self.col.partial.push(r.addr(), &mut self.store);
                }
                return;
            }
            if !numbers {
                self.drop_references(r, shape);
            }
            if header.has(flags::SPECIAL) && Kinds::<R>::destructor(header.kind) {
                self.destroy(r);
            }
            self.bury(r, header);
        }
    }

    /// A cell whose references are given back: free it, or keep it while a list or a weak slot may name it (C3, R12).
    ///
    /// # Safety
    /// The cell is live and dead to the program.
    unsafe fn bury(&mut self, r: Ref, header: &Header) {
        if self.without(Sabotage::Tombstone) {
            header.unset(flags::WEAKLY_HELD);
        }
        if !header.has(flags::WEAKLY_HELD | flags::HOLDER | flags::FINALIZABLE) {
            // SAFETY: by the caller.
            unsafe { self.free_cell(r) };
            return;
        }
        header.unset(flags::DYING | flags::WEAK_READ | flags::WEAK_DEAD);
        header.set(flags::CORPSE);
        if header.has(flags::WEAKLY_HELD) {
            self.col.tombs.push(r.addr(), &mut self.store);
        }
        self.col.dead_holders += usize::from(header.has(flags::HOLDER));
    }

    /// One of the lists that kept a corpse has let it go.
    ///
    /// # Safety
    /// `r` is a corpse, and the list of `reason` names it no more.
    pub(crate) unsafe fn release_corpse(&mut self, r: Ref, reason: u16) {
        // SAFETY: by the caller.
        unsafe {
            let header = r.header();
            header.unset(reason);
            if !header.has(flags::WEAKLY_HELD | flags::HOLDER | flags::FINALIZABLE) {
                self.free_cell(r);
            }
        }
    }

    /// A step of taking apart the front of `partial`.
    #[cold]
    #[inline(never)]
    fn partial_unit(&mut self) {
        let Some(word) = self.col.partial.front() else { return };
        // SAFETY: C2.
        unsafe {
            let r = Ref::from_addr(word);
            let header = r.header();
            let dying = header.has(flags::DYING);
            if Kinds::<R>::shape(header.kind) == Shape::Thread {
                let keep = if dying { 0 } else { R::stack(r).counted.scanned };
                if !self.trim_counted(r, keep, PARTIAL_SLOTS) {
                    return;
                }
                R::stack(r).counted.trimming = false;
            } else {
                let (from, slots) = (self.col.partial_slot, R::slots(r));
                let to = (from + PARTIAL_SLOTS).min(slots);
                R::trace_slots(r, from.min(slots)..to, &mut |x| {
                    if self.col.shading {
                        // R17, R19.
                        self.found(x);
                    }
                    prefetch(x.addr());
                    self.col.pending.push(x.addr(), &mut self.store);
                });
                if to < slots {
                    self.col.partial_slot = to;
                    return;
                }
            }
            self.col.partial_slot = 0;
            self.col.partial.pop_front(&mut self.store);
            if dying {
                if Kinds::<R>::shape(header.kind) == Shape::Thread {
                    self.drop_references(r, Shape::Thread);
                }
                if Kinds::<R>::destructor(header.kind) {
                    self.destroy(r);
                }
                self.bury(r, header);
            }
        }
    }

    /// R19: a dying array that marking had not finished with.
    pub(crate) fn dying_unscanned(&self) -> bool {
        self.col.partial.iter().any(|word| {
            // SAFETY: C2.
            let r = unsafe { Ref::from_addr(word) };
            // SAFETY: C2.
            let header = unsafe { r.header() };
            header.has(flags::DYING) && !(header.has(flags::BLACK) && self.is_marked(r))
        })
    }

    /// Runs the destructor of a cell. One that panics ends the process: the collector is in the middle of its work, and could not go on.
    ///
    /// # Safety
    /// The cell's kind has one, and the cell is dead.
    pub(crate) unsafe fn destroy(&mut self, r: Ref) {
        struct Unfinished;
        impl Drop for Unfinished {
            fn drop(&mut self) {
                std::process::abort();
            }
        }
        self.col.counters.destructors += 1;
        let store = &mut self.store;
        let unfinished = Unfinished;
        // SAFETY: by the caller; what a destructor releases are blocks of this heap.
        unsafe { self.runtime.destroy(r, &mut |block| store.free(block)) };
        std::mem::forget(unfinished);
    }
}
