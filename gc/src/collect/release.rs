//! The release queue: decrements and the deaths that they bring, in slices while the program runs.
//!
//! Decrements that epoch ends queue stand in `Context::decrements`, first come first served; the references of a cell that dies go to the stack `pending`,
//! which is emptied before the next is taken. Nothing recurs: a list of ten million nodes is freed with a stack of one entry. Cells too large to be taken
//! apart at once stand in `Context::partial`. Last come the objects that waited for the epoch end (`waiting`).
//!
//! Invariants:
//! * **dead-is-unnamed** A cell that is freed is named by no list, or it becomes a corpse.
//!
//! May import: `memory`, `object`, and of the collector `context`, `budget`, `edges`, `queue`, `stacks`, `waiting`,
//! `weak`, `finalize`.

use super::Sabotage;
use super::budget::Budget;
use super::context::{Context, destroy};
use super::edges::{is_sliced, trace_part, trace_whole};
use super::finalize::Finalizers;
use super::queue::Queue;
use super::stacks;
use super::waiting::Waiting;
use super::weak::Weak;
use crate::object::{Header, Ref, Runtime, STICKY, Shape, flags};
use crate::prefetch;

/// Slots of a large array, or entries of a counted list, given back at a time.
const PARTIAL_SLOTS: usize = 64;
/// How far ahead in the queue headers are prefetched.
const PREFETCH: usize = 12;

pub(crate) struct Release {
    /// Decrements from cells freed by counting.
    pending: Queue,
    /// How far the front of `Context::partial` is.
    partial_slot: usize,
    pub waiting: Waiting,
}

/// What a death concerns beside the release: the runtime, and the lists that may keep the cell.
pub(crate) struct Concerned<'a, R> {
    pub rt: &'a mut R,
    pub cx: &'a mut Context,
    pub weak: &'a mut Weak,
    pub finalizers: &'a mut Finalizers,
    /// Whether destructors may run: not in the middle of the program's work.
    pub destructors: bool,
}

impl Release {
    pub const fn new() -> Release {
        Release { pending: Queue::new(), partial_slot: 0, waiting: Waiting::new() }
    }

    pub fn is_empty(&self, cx: &Context) -> bool {
        self.pending.is_empty() && cx.partial.is_empty() && cx.decrements.is_empty() && self.waiting.decided().is_empty()
    }

    /// Applies decrements until nothing is queued (`true`) or the budget is spent.
    pub fn step<R: Runtime>(&mut self, of: &mut Concerned<R>, budget: &mut Budget) -> bool {
        while !budget.is_spent() {
            let did = self.unit(of, budget) || of.destructors && self.examine_unit(of, budget);
            if !did {
                return true;
            }
        }
        false
    }

    /// All that can be released without running a destructor.
    #[cold]
    pub fn relieve<R: Runtime>(&mut self, of: &mut Concerned<R>, budget: &mut Budget) {
        of.destructors = false;
        while !budget.is_spent() && self.unit(of, budget) {}
        // Those that need one come back to the list.
        for _ in 0..self.waiting.decided().len() {
            if budget.is_spent() {
                return;
            }
            self.examine_unit(of, budget);
            while !budget.is_spent() && self.unit(of, budget) {}
        }
    }

    #[inline(always)]
    fn unit<R: Runtime>(&mut self, of: &mut Concerned<R>, budget: &mut Budget) -> bool {
        budget.spend(1);
        let word = match self.pending.pop_back(&mut of.cx.store) {
            Some(word) => word,
            None => {
                if !of.cx.partial.is_empty() && self.partial_unit(of, budget) {
                    return true;
                }
                let Some(word) = of.cx.decrements.pop_front(&mut of.cx.store) else { return false };
                if let Some(ahead) = of.cx.decrements.peek(PREFETCH) {
                    prefetch(ahead);
                }
                word
            }
        };
        // SAFETY: a counted reference: its cell is live.
        self.decrement(of, unsafe { Ref::from_addr(word) }, budget);
        true
    }

    #[inline(always)]
    fn decrement<R: Runtime>(&mut self, of: &mut Concerned<R>, r: Ref, budget: &mut Budget) {
        let cx = &mut *of.cx;
        // SAFETY: as above.
        let header = unsafe { r.header() };
        let count = header.count.get();
        if count > 1 {
            // R27: a count that falls to something other than 0, or a sticky one. A leaf is part of no cycle but that of a weak key and its value.
            if count != STICKY {
                header.count.set(count - 1);
                let event = cx.kinds.shape(header.kind) != Shape::Leaf || header.has(flags::WEAKLY_HELD);
                cx.events += u64::from(event && !cx.without(Sabotage::Events));
            } else {
                cx.events += 1;
            }
            return;
        }
        debug_assert!(count == 1, "a decrement of {r:?} (kind {}), whose count is 0", header.kind);
        header.count.set(0);
        // R23: in the window what is unmarked is dead already.
        if cx.window() && !cx.is_marked(r) && !cx.without(Sabotage::WindowLowers) {
            return;
        }
        let known = header.flags.get();
        if known & !flags::WEAKLY_HELD == 0 {
            // SAFETY: nothing special is known of the cell, and nothing names it but weak slots perhaps (dead-is-unnamed).
            unsafe {
                self.drop_references(of.rt, cx, r, cx.kinds.shape(header.kind));
                if known == 0 {
                    free_cell(cx, r, budget);
                } else {
                    bury(cx, of.weak, r, header, budget);
                }
            }
        } else {
            self.count_is_zero(of, r, header, budget);
        }
    }

    /// Queues the references of a dead cell.
    ///
    /// # Safety
    /// The cell is live, not recorded by slots; its shape is right.
    #[inline(always)]
    unsafe fn drop_references<R: Runtime>(&mut self, rt: &R, cx: &mut Context, r: Ref, shape: Shape) {
        // SAFETY: by the caller.
        unsafe {
            if cx.shading() && !cx.without(Sabotage::FreedShade) {
                // R17, R18.
                let Context { store, gray, .. } = cx;
                trace_whole(rt, r, shape, &mut |x| {
                    gray.found(x, store);
                    self.pending.push(x.addr(), store);
                });
            } else {
                let store = &mut cx.store;
                trace_whole(rt, r, shape, &mut |x| {
                    prefetch(x.addr());
                    self.pending.push(x.addr(), store);
                });
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn count_is_zero<R: Runtime>(&mut self, of: &mut Concerned<R>, r: Ref, header: &Header, budget: &mut Budget) {
        if header.has(flags::CORPSE | flags::DYING) {
            // A detached object named it once more (R25).
            return;
        }
        // R3: one that waits is decided where it stands. (It was referred to when it was decided: by a handle, say.)
        if header.has(flags::WAITING) && !of.cx.without(Sabotage::WaitingTwice) {
            return;
        }
        // R3 (a logged or dirty cell is named by the log), R14.
        if header.has(flags::WEAK_READ) || is_logged(of.rt, of.cx, r, header) && !of.cx.without(Sabotage::LoggedWaits) {
            self.waiting.wait(of.cx, r, header);
            return;
        }
        // SAFETY: live, its count is 0, nothing names it but lists.
        unsafe { self.reap(of, r, header, budget) };
    }

    /// An object that has waited for the end of its epoch; `false` if there is none.
    fn examine_unit<R: Runtime>(&mut self, of: &mut Concerned<R>, budget: &mut Budget) -> bool {
        budget.spend(1);
        let Some(r) = self.waiting.take_decided(of.cx) else { return false };
        self.examine(of, r, budget);
        true
    }

    /// R3: what still has count 0 after an epoch end is dead.
    #[inline(never)]
    fn examine<R: Runtime>(&mut self, of: &mut Concerned<R>, r: Ref, budget: &mut Budget) {
        // SAFETY: what waits is live.
        unsafe {
            let header = r.header();
            if of.cx.window() && !of.cx.is_marked(r) {
                // R23.
            } else if header.count.get() != 0 {
                of.cx.events += 1;
            } else {
                self.count_is_zero(of, r, header, budget);
            }
        }
    }

    /// The object is dead by counting; it may be of any kind.
    ///
    /// # Safety
    /// The cell is live, its count is 0, it stands in no log.
    unsafe fn reap<R: Runtime>(&mut self, of: &mut Concerned<R>, r: Ref, header: &Header, budget: &mut Budget) {
        let cx = &mut *of.cx;
        if header.has(flags::FINALIZER) {
            of.finalizers.queue_counted(cx, of.weak, r, header);
            return;
        }
        let destructor = header.has(flags::SPECIAL) && cx.kinds.has_destructor(header.kind);
        if destructor && !of.destructors {
            self.waiting.put_off(cx, r, header);
            return;
        }
        // SAFETY: by the caller.
        unsafe {
            if header.has(flags::INTERNED) {
                // R15: before the cell is free.
                header.unset(flags::INTERNED);
                of.rt.unintern(r);
            }
            let shape = cx.kinds.shape(header.kind);
            if is_sliced(header, shape) && (shape == Shape::Thread || cx.may_refer(r)) {
                header.set(flags::DYING);
                if shape != Shape::Thread || !of.rt.stack(r).as_ref().counted.trimming {
                    cx.partial.push(r.addr(), &mut cx.store);
                }
                return;
            }
            if !header.has(flags::BY_SLOT) {
                self.drop_references(of.rt, cx, r, shape);
            }
            if destructor {
                destroy(of.rt, cx, r);
            }
            bury(cx, of.weak, r, header, budget);
        }
    }

    /// A step of taking apart the front of `partial`. `false`: that has to wait.
    #[cold]
    #[inline(never)]
    fn partial_unit<R: Runtime>(&mut self, of: &mut Concerned<R>, budget: &mut Budget) -> bool {
        let cx = &mut *of.cx;
        let Some(word) = cx.partial.front() else { return false };
        // SAFETY: cells in `partial` are live.
        unsafe {
            let r = Ref::from_addr(word);
            let header = r.header();
            let dying = header.has(flags::DYING);
            let thread = cx.kinds.shape(header.kind) == Shape::Thread;
            if dying && !of.destructors && header.has(flags::SPECIAL) && cx.kinds.has_destructor(header.kind) {
                return false;
            }
            budget.spend(PARTIAL_SLOTS);
            if thread {
                let counted = &mut of.rt.stack(r).as_mut().counted;
                let keep = if dying { 0 } else { counted.scanned };
                if !stacks::trim(cx, counted, keep, PARTIAL_SLOTS) {
                    return true;
                }
                counted.trimming = false;
            } else {
                let shading = cx.shading();
                let shape = cx.kinds.shape(header.kind);
                let part = trace_part(of.rt, r, shape, self.partial_slot, PARTIAL_SLOTS, &mut |x| {
                    if shading {
                        // R17, R19.
                        cx.found(x);
                    }
                    prefetch(x.addr());
                    self.pending.push(x.addr(), &mut cx.store);
                });
                if let Some(next) = part.next {
                    self.partial_slot = next;
                    return true;
                }
            }
            self.partial_slot = 0;
            cx.partial.pop_front(&mut cx.store);
            if dying {
                if thread {
                    self.drop_references(of.rt, cx, r, Shape::Thread);
                }
                if header.has(flags::SPECIAL) && cx.kinds.has_destructor(header.kind) {
                    destroy(of.rt, cx, r);
                }
                bury(cx, of.weak, r, header, budget);
            }
            true
        }
    }

    /// R19: a dying array that marking had not finished with. Of those taken apart by the release all others are black.
    pub fn dying_unscanned(&self, cx: &Context) -> bool {
        cx.partial.iter().any(|word| {
            // SAFETY: cells in `partial` are live.
            unsafe {
                let r = Ref::from_addr(word);
                r.header().has(flags::DYING) && !(r.header().has(flags::BLACK) && cx.is_marked(r))
            }
        })
    }

    /// What has been queued so far: decrements, cells in parts, objects that wait. For R25.
    pub fn queued(&self, cx: &Context) -> [u64; 3] {
        [cx.decrements.pushed(), cx.partial.pushed(), self.waiting.decided().pushed()]
    }
    /// Whether that has been released.
    pub fn has_released(&self, cx: &Context, queued: [u64; 3]) -> bool {
        let done = [cx.decrements.popped(), cx.partial.popped(), self.waiting.decided().popped()];
        self.pending.is_empty() && done.iter().zip(queued).all(|(done, queued)| *done >= queued)
    }

    /// For the auditor: decrements on the stack, and how far the front of `partial` is.
    pub fn report(&self) -> (&Queue, usize) {
        (&self.pending, self.partial_slot)
    }
}

/// Whether the log names the object.
fn is_logged<R: Runtime>(rt: &R, cx: &Context, r: Ref, header: &Header) -> bool {
    header.has(flags::LOGGED)
        // SAFETY: a live cell that is recorded by slots.
        || header.has(flags::BY_SLOT) && unsafe { cx.store.memory.is_dirty(r.as_nonnull(), rt.slots(r)) }
}

/// # Safety
/// The cell is live, and nothing names it any more (dead-is-unnamed).
#[inline(always)]
unsafe fn free_cell(cx: &mut Context, r: Ref, budget: &mut Budget) {
    // SAFETY: by the caller.
    unsafe {
        let bytes = cx.store.memory.cell_bytes(r.as_nonnull());
        budget.spend(Context::cell_units(bytes.min(crate::memory::MAX_SMALL)));
        cx.counters.counted_objects += 1;
        cx.counters.counted_bytes += bytes as u64;
        if cx.checks.poison {
            cx.poison_cell(r, bytes);
        }
        cx.store.memory.clear_live(r.as_nonnull());
    }
}

/// A cell whose references are given back: free it, or keep it while a list or a weak slot may name it (R12).
///
/// # Safety
/// The cell is live and dead to the program.
unsafe fn bury(cx: &mut Context, weak: &mut Weak, r: Ref, header: &Header, budget: &mut Budget) {
    if cx.without(Sabotage::Tombstone) {
        header.unset(flags::WEAKLY_HELD);
    }
    if !header.has(flags::WEAKLY_HELD | flags::HOLDER | flags::FINALIZABLE) {
        // SAFETY: by the caller.
        unsafe { free_cell(cx, r, budget) };
        return;
    }
    header.unset(flags::DYING | flags::WEAK_READ | flags::WEAK_DEAD);
    header.set(flags::CORPSE);
    weak.entomb(cx, r, header);
}

/// One of the lists that kept a corpse has let it go.
///
/// # Safety
/// `r` is a corpse, and the list of `reason` names it no more.
pub(super) unsafe fn release_corpse(cx: &mut Context, r: Ref, reason: u16) {
    // SAFETY: by the caller.
    unsafe {
        let header = r.header();
        header.unset(reason);
        if !header.has(flags::WEAKLY_HELD | flags::HOLDER | flags::FINALIZABLE) {
            free_cell(cx, r, &mut Budget::endless());
        }
    }
}
