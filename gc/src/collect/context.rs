//! What every part of the collector works on: the memory, the phase, the counts and the marks.
//!
//! A part (`log`, `stacks`, `release`, `weak`, ...) owns its lists and is handed this and the runtime. Here stands what they all need: increments,
//! decrements, promotion, and the shading of a reference.
//!
//! Invariants:
//! * **increments-first** Increments are applied at once, decrements only queued. So no count reaches 0 while an increment of the same epoch is pending.
//! * **young-is-not-live** Outside of an epoch end YOUNG is set exactly on the cells allocated in this epoch, and their `live` bits are clear.
//!
//! May import: `memory`, `object`, `observe`, and of the collector `queue`, `gray`, `ephemeron`, `phase`, `stacks`, `sabotage`.

use super::ephemeron::Ephemerons;
use super::gray::Gray;
use super::phase::Phase;
use super::queue::Queue;
use super::sabotage::Sabotage;
use super::stacks;
use super::store::Store;
use crate::memory::GRANULE;
use crate::object::{Header, Kinds, Ref, Runtime, Shape, flags};
use crate::observe::Counters;

/// What is done for the sake of tests.
#[derive(Clone, Copy)]
pub(crate) struct Checks {
    /// Overwrite cells that die.
    pub poison: bool,
    pub sabotage: Sabotage,
}

pub(crate) struct Context {
    pub store: Store,
    pub kinds: Kinds,
    phase: Phase,
    /// Marking: what enters the release queue is shaded (R17).
    shading: bool,
    /// From the start of marking to the end of the release: promoted cells are marked (R20).
    mark_born: bool,
    /// From the first fixpoint to the end of the release (R23).
    window: bool,
    pub gray: Gray,
    pub ephemerons: Ephemerons,
    /// Promoted cells whose references are still to be counted.
    promoted: Queue,
    promoted_objects: u64,
    promoted_bytes: u64,
    /// Decrements that epoch ends have queued; the release applies them.
    pub decrements: Queue,
    /// Cells that the release works off in slices: dying arrays and threads, and stacks whose counted list is longer than what they hold now.
    pub partial: Queue,
    /// R27.
    pub events: u64,
    /// Units of work that the epoch end under way has done.
    pub units: usize,
    pub counters: Counters,
    pub checks: Checks,
}

impl Context {
    pub fn new(store: Store, kinds: Kinds, checks: Checks) -> Context {
        Context {
            store,
            kinds,
            phase: Phase::Idle,
            shading: false,
            mark_born: false,
            window: false,
            gray: Gray::new(),
            ephemerons: Ephemerons::new(),
            promoted: Queue::new(),
            promoted_objects: 0,
            promoted_bytes: 0,
            decrements: Queue::new(),
            partial: Queue::new(),
            events: 0,
            units: 0,
            counters: Counters::default(),
            checks,
        }
    }

    // ---- the phase

    #[inline(always)]
    pub fn phase(&self) -> Phase {
        self.phase
    }
    pub fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.shading = phase.is_marking();
        self.mark_born = phase >= Phase::Mark;
        self.window = phase >= Phase::CleanValues;
        self.gray.set_window(self.window);
        if phase == Phase::Idle {
            self.gray.end(&mut self.store);
        }
    }
    #[inline(always)]
    pub fn shading(&self) -> bool {
        self.shading
    }
    #[inline(always)]
    pub fn mark_born(&self) -> bool {
        self.mark_born
    }
    #[inline(always)]
    pub fn window(&self) -> bool {
        self.window
    }
    /// After the second fixpoint: what is unmarked is dead for good.
    pub fn decided(&self) -> bool {
        self.phase >= Phase::CleanKeys
    }
    /// Whether tests have taken the rule away.
    #[inline(always)]
    pub fn without(&self, rule: Sabotage) -> bool {
        cfg!(debug_assertions) && self.checks.sabotage == rule
    }

    // ---- marks

    #[inline(always)]
    pub fn is_marked(&self, r: Ref) -> bool {
        // SAFETY: the reference was read from a live cell or a list.
        unsafe { self.store.memory.is_marked(r.as_nonnull()) }
    }
    /// Marks a cell, if it is live and unmarked: it is gray.
    #[inline(always)]
    pub fn shade(&mut self, r: Ref) {
        self.gray.shade(r, &mut self.store);
    }
    /// Like `shade`, a little later: for references that come by in numbers.
    #[inline(always)]
    pub fn found(&mut self, r: Ref) {
        self.gray.found(r, &mut self.store);
    }

    // ---- counts

    /// A reference is new since the last epoch end. Only at an epoch end.
    #[inline(always)]
    pub fn increment(&mut self, r: Ref) {
        // SAFETY: it stands in a root, a snapshot of now, or a promoted cell: live or young.
        let header = unsafe { r.header() };
        header.count.set(header.count.get().saturating_add(1));
        // R1: young is a flag, not a count.
        if header.has(flags::YOUNG) {
            self.promote(r, header);
        }
    }

    /// The young cell survives; its references are counted by [`Context::count_promoted`].
    #[inline(always)]
    pub fn promote(&mut self, r: Ref, header: &Header) {
        header.unset(flags::YOUNG | flags::LOGGED);
        self.make_live(r);
        if self.kinds.shape(header.kind) != Shape::Leaf {
            self.promoted.push(r.addr(), &mut self.store);
        }
    }

    /// Sets the live bit, and the mark while a cycle is on (R20).
    #[inline(always)]
    pub fn make_live(&mut self, r: Ref) {
        let cell = r.as_nonnull();
        // SAFETY: a young cell, initialised.
        unsafe {
            self.store.memory.set_live(cell);
            self.promoted_objects += 1;
            self.promoted_bytes += self.store.memory.cell_bytes(cell) as u64;
            if self.mark_born && !self.without(Sabotage::PromotionMark) {
                self.store.memory.set_mark(cell);
                if r.header().has(flags::BY_SLOT) {
                    r.header().set(flags::BLACK);
                }
            }
        }
    }

    /// What has been promoted since the last question: objects and bytes.
    pub fn take_promoted(&mut self) -> (u64, u64) {
        (std::mem::take(&mut self.promoted_objects), std::mem::take(&mut self.promoted_bytes))
    }

    /// Queues a decrement; it is applied in a slice after this epoch end.
    #[inline(always)]
    pub fn queue_decrement(&mut self, r: Ref) {
        // R17.
        if self.shading && !self.without(Sabotage::QueueShade) {
            self.found(r);
        }
        self.decrements.push(r.addr(), &mut self.store);
    }

    /// A reference that was counted before and still is (R10); R17 all the same.
    #[inline(always)]
    pub fn keep_counted(&mut self, r: Ref) {
        if self.shading && !self.without(Sabotage::QueueShade) {
            self.found(r);
        }
    }

    /// Counts the references of everything promoted so far, and promotes on.
    pub fn count_promoted<R: Runtime>(&mut self, rt: &R) {
        while let Some(word) = self.promoted.pop_back(&mut self.store) {
            // SAFETY: a promoted cell.
            unsafe {
                let cell = Ref::from_addr(word);
                let header = cell.header();
                self.units += 1;
                match self.kinds.shape(header.kind) {
                    Shape::Leaf => {}
                    Shape::Plain => rt.trace(cell, &mut |r| self.increment(r)),
                    Shape::Thread => {
                        rt.trace(cell, &mut |r| self.increment(r));
                        stacks::scan(rt, self, cell);
                    }
                    shape => self.count_slots(rt, cell, header, shape),
                }
            }
        }
    }

    /// # Safety
    /// A promoted cell of an indexed shape.
    unsafe fn count_slots<R: Runtime>(&mut self, rt: &R, cell: Ref, header: &Header, shape: Shape) {
        // SAFETY: by the caller.
        unsafe {
            let slots = rt.slots(cell);
            let mut any = false;
            if header.has(flags::BY_SLOT) {
                // R4: only the dirty slots of a large run.
                self.units += self.store.memory.dirty_words(cell.as_nonnull(), slots);
                let mut from = 0;
                while let Some(dirty) = self.store.memory.next_dirty(cell.as_nonnull(), slots, from) {
                    any = true;
                    from = dirty.end;
                    self.units += dirty.len();
                    rt.trace_slots(cell, dirty, &mut |r| self.increment(r));
                }
                self.store.memory.clear_dirty(cell.as_nonnull());
            } else {
                self.record_by_slot(cell, header);
                self.units += slots;
                rt.trace_slots(cell, 0..slots, &mut |r| {
                    any = true;
                    self.increment(r);
                });
            }
            if shape == Shape::Ephemeron {
                // R27.
                self.events += u64::from(any);
            }
        }
    }

    /// R4: from its promotion on the writes of an array that is not small are recorded by slots.
    ///
    /// # Safety
    /// A cell of an indexed shape that becomes mature.
    pub unsafe fn record_by_slot(&mut self, cell: Ref, header: &Header) {
        // SAFETY: by the caller.
        unsafe {
            if self.store.memory.has_dirty_bits(cell.as_nonnull()) {
                self.store.memory.clear_dirty(cell.as_nonnull());
                header.set(flags::BY_SLOT);
                if self.mark_born {
                    // R19: what is promoted needs no scanning.
                    header.set(flags::BLACK);
                }
            }
        }
    }

    /// Whether a cell may hold references, as far as is known without looking: large arrays of numbers are told by their dirty bits
    /// (undirtied-holds-no-reference).
    ///
    /// # Safety
    /// A cell that is recorded by slots.
    pub unsafe fn may_refer(&self, cell: Ref) -> bool {
        // SAFETY: by the caller.
        unsafe { !self.store.memory.is_run(cell.as_nonnull()) || self.store.memory.was_dirtied(cell.as_nonnull()) }
    }

    // ---- deaths

    /// Overwrites all of a dead cell but its header.
    pub fn poison_cell(&mut self, r: Ref, bytes: usize) {
        // SAFETY: nobody looks into a dead cell any more, and it is this long.
        unsafe { r.as_ptr().add(size_of::<Header>()).write_bytes(0xdb, bytes - size_of::<Header>()) };
    }

    /// Units of work that a cell of so many bytes is.
    #[inline(always)]
    pub fn cell_units(bytes: usize) -> usize {
        bytes / GRANULE
    }
}

/// Runs the destructor of a cell. One that panics ends the process: the collector is in the middle of its work, and could not go on.
///
/// # Safety
/// The cell's kind has one, the cell is dead, and it has not run.
pub(crate) unsafe fn destroy<R: Runtime>(rt: &mut R, cx: &mut Context, r: Ref) {
    struct Unfinished;
    impl Drop for Unfinished {
        fn drop(&mut self) {
            std::process::abort();
        }
    }
    cx.counters.destructors += 1;
    let store = &mut cx.store;
    let unfinished = Unfinished;
    // SAFETY: by the caller; what a destructor releases are blocks of this heap.
    unsafe { rt.destroy(r, &mut |block| store.free(block)) };
    std::mem::forget(unfinished);
}
