//! The collector as a whole: its parts, and what the program asks of several of them at once.
//!
//! May import: `memory`, `object`, `observe`, and the parts.

use super::adopt::{Adoptions, filled_by_copy};
use super::budget::Stop;
use super::context::{Checks, Context, destroy};
use super::finalize::Finalizers;
use super::handles::{Handle, Handles};
use super::log::{Log, Recorded};
use super::mark::Marking;
use super::pacer::Pacer;
use super::queue::Queue;
use super::release::{Concerned, Release};
use super::roots::Roots;
use super::stacks::Stacks;
use super::store::Store;
use super::sweep::Sweep;
use super::ticker::Ticker;
use super::weak::{self, Weak};
use super::{Phase, Sabotage};
use crate::explicit::{Ask, Explicit, Lender};
use crate::memory::{Memory, OutOfMemory};
use crate::object::{Header, Kinds, Ref, Runtime, Side, flags};
use crate::observe::{Observer, Pauses};
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// The bit of the poll word by which the collector asks for a safepoint.
pub(crate) const POLL_COLLECT: u32 = 1;

/// What is looked at after every n-th epoch end.
pub(crate) type Audit<R> = fn(&Collector<R>);

pub(crate) struct Collector<R: Runtime> {
    pub rt: R,
    pub cx: Context,
    pub poll: Arc<AtomicU32>,
    /// Who works long at a time looks at this.
    pub stop: Stop,
    pub(super) log: Log,
    pub(super) adoptions: Adoptions,
    pub(super) stacks: Stacks,
    pub(super) roots: Roots,
    pub(super) handles: Handles,
    pub(super) release: Release,
    pub(super) weak: Weak,
    pub(super) finalizers: Finalizers,
    pub(super) marking: Marking,
    pub(super) sweep: Sweep,
    /// Cells of special kinds allocated in this epoch, and interned ones.
    pub(super) young_special: Queue,
    pub(super) young_interned: Queue,
    pub(super) pacer: Pacer,
    pub(super) pauses: Pauses,
    pub(super) observer: Option<Box<dyn Observer>>,
    /// Whether a thread may ask for safepoints, and that thread.
    pub(super) ticks: bool,
    pub(super) ticker: Option<Ticker>,
    /// Moved by hand: so many units of marking are done at an epoch end, whatever the time.
    pub(super) driven: Option<usize>,
    pub(super) stress_cycle: u32,
    audit: Option<(u32, Audit<R>)>,
}

/// Settings, as `heap::Config` has them.
pub(crate) struct Settings<R: Runtime> {
    pub limit_bytes: usize,
    pub max_pause_us: u32,
    pub max_overhead_percent: u32,
    pub ticks: bool,
    pub stress_cycle: u32,
    pub audit: Option<(u32, Audit<R>)>,
    pub checks: Checks,
}

impl<R: Runtime> Collector<R> {
    pub fn new(rt: R, settings: Settings<R>) -> Collector<R> {
        let kinds = Kinds::new(rt.kinds());
        let poll = Arc::new(AtomicU32::new(0));
        let mut collector = Collector {
            rt,
            cx: Context::new(Store::new(Memory::new(settings.limit_bytes)), kinds, settings.checks),
            stop: Stop { word: poll.clone(), bits: 0 },
            poll,
            log: Log::new(),
            adoptions: Adoptions::new(),
            stacks: Stacks::new(),
            roots: Roots::new(),
            handles: Handles::new(),
            release: Release::new(),
            weak: Weak::new(),
            finalizers: Finalizers::new(),
            marking: Marking::new(),
            sweep: Sweep::new(),
            young_special: Queue::new(),
            young_interned: Queue::new(),
            pacer: Pacer::new(settings.max_pause_us, settings.max_overhead_percent),
            pauses: Pauses::new(),
            observer: None,
            ticks: settings.ticks,
            ticker: None,
            driven: None,
            stress_cycle: settings.stress_cycle,
            audit: settings.audit,
        };
        if collector.stress_cycle != 0 {
            collector.request_safepoint();
        }
        collector.set_alarm();
        collector
    }

    pub fn request_safepoint(&self) {
        self.poll.fetch_or(POLL_COLLECT, Ordering::Relaxed);
    }
    /// After a request for memory: whether the alarm has rung.
    #[inline]
    pub fn heed_alarm(&mut self) {
        if self.cx.store.memory.take_alarm() {
            self.request_safepoint();
        }
    }

    pub(super) fn audit_if_due(&self) {
        if let Some((every, audit)) = self.audit
            && self.cx.counters.epochs.is_multiple_of(u64::from(every))
        {
            audit(self);
        }
    }

    // ---- allocation and writes

    /// See [`crate::Heap::alloc`].
    #[inline(always)]
    pub unsafe fn alloc(&mut self, kind: u8, size: usize) -> Result<Ref, OutOfMemory> {
        let born = self.cx.kinds.born(kind);
        if born & flags::SPECIAL == 0
            && let Some(cell) = self.cx.store.memory.alloc_fast(size)
        {
            // SAFETY: a fresh cell of at least 16 bytes, aligned to 16.
            unsafe {
                cell.cast::<Header>().write(Header::new(kind, born));
                return Ok(Ref::from_ptr(cell));
            }
        }
        self.alloc_next(kind, size)
    }

    #[cold]
    #[inline(never)]
    fn alloc_next(&mut self, kind: u8, size: usize) -> Result<Ref, OutOfMemory> {
        let born = self.cx.kinds.born(kind);
        if born & flags::SPECIAL == 0
            && let Some(cell) = self.cx.store.memory.alloc_next(size)
        {
            // SAFETY: as in `alloc`.
            unsafe {
                cell.cast::<Header>().write(Header::new(kind, born));
                return Ok(Ref::from_ptr(cell));
            }
        }
        self.alloc_slow(kind, size)
    }

    #[cold]
    #[inline(never)]
    fn alloc_slow(&mut self, kind: u8, size: usize) -> Result<Ref, OutOfMemory> {
        let mut born = self.cx.kinds.born(kind);
        let size = size.max(size_of::<Header>());
        let cell = self.request(size, |store| store.memory.alloc(size))?;
        let by_slot = Memory::alloc_is_large(size) && self.cx.kinds.shape(kind).is_indexed();
        if by_slot {
            born = born & !flags::LOGGED | flags::BY_SLOT;
        }
        // SAFETY: as in `alloc`.
        let r = unsafe {
            cell.cast::<Header>().write(Header::new(kind, born));
            Ref::from_ptr(cell)
        };
        if by_slot {
            // SAFETY: a run just allocated.
            unsafe { self.cx.store.memory.cover_dirty(cell, 0) };
        }
        if born & flags::SPECIAL != 0 {
            self.young_special.push(r.addr(), &mut self.cx.store);
        }
        Ok(r)
    }

    /// See [`crate::Heap::grow`].
    ///
    /// # Safety
    /// As there.
    pub unsafe fn grow(&mut self, cell: Ref, new_size: usize) -> Result<bool, OutOfMemory> {
        // SAFETY: by the caller.
        unsafe {
            let (memory, at) = (&self.cx.store.memory, cell.as_nonnull());
            if !cell.header().has(flags::BY_SLOT) || !memory.is_run(at) || new_size < memory.run_bytes(at) {
                return Ok(false);
            }
            let before = memory.run_bytes(at);
            let more = new_size - before;
            let grown = self.request(more, |store| store.memory.grow(at, new_size))?;
            if grown {
                self.cx.store.memory.cover_dirty(at, before);
            }
            Ok(grown)
        }
    }

    /// Whether the log names the cell, live or young, or need not.
    pub fn is_recorded(&self, cell: Ref) -> bool {
        // SAFETY: the caller vouches for the cell.
        unsafe {
            let header = cell.header();
            header.has(flags::LOGGED | flags::YOUNG)
                || header.has(flags::BY_SLOT) && self.cx.store.memory.is_dirty(cell.as_nonnull(), self.rt.slots(cell))
        }
    }

    /// The write barrier for an object that is not LOGGED.
    #[inline(never)]
    pub fn record_write(&mut self, object: Ref, slot: usize) {
        // SAFETY: the caller of the barrier vouches for the object.
        unsafe {
            if !self.log.is_recorded(&self.cx, object, slot) {
                self.record_first_write(object, slot);
            }
        }
    }
    /// # Safety
    /// A live or young cell whose slot is not recorded.
    #[inline(never)]
    unsafe fn record_first_write(&mut self, object: Ref, slot: usize) {
        // SAFETY: by the caller.
        let recorded = unsafe { self.log.record_slot(&self.rt, &mut self.cx, object, slot) };
        if recorded != Recorded::Whole || self.log.is_full() {
            self.go_on_recording(object, slot, recorded);
        }
    }
    /// Apart, so that the commonest write needs no room on the stack.
    #[inline(never)]
    fn go_on_recording(&mut self, object: Ref, slot: usize, recorded: Recorded) {
        // SAFETY: as for the caller.
        unsafe { self.log.record_write(&self.rt, &mut self.cx, object, slot, recorded) };
        self.heed_log();
    }
    /// The same for a write of many slots.
    #[inline(never)]
    pub fn record_writes(&mut self, object: Ref, slots: Range<usize>) {
        // SAFETY: as above.
        unsafe { self.log.record_writes(&self.rt, &mut self.cx, object, slots) };
        self.heed_log();
    }

    #[inline(always)]
    fn heed_log(&mut self) {
        if self.log.is_full() {
            self.request_safepoint();
        }
    }

    /// # Safety
    /// As for [`crate::Heap::replace_storage`].
    pub unsafe fn replace_storage(&mut self, old: &[Ref], new: &[Ref]) {
        // SAFETY: by the caller.
        unsafe { self.adoptions.adopt(&self.rt, &mut self.cx, &mut self.release.waiting, old, new) };
    }

    /// # Safety
    /// As for [`crate::Heap::filled_by_copy`].
    pub unsafe fn filled_by_copy(&mut self, cell: Ref) {
        // SAFETY: by the caller.
        unsafe {
            if cell.header().has(flags::BY_SLOT) {
                filled_by_copy(&self.rt, &mut self.cx, cell);
            }
        }
    }

    /// # Safety
    /// As for [`crate::Heap::touch_thread`].
    #[inline]
    pub unsafe fn touch(&mut self, thread: Ref) {
        // SAFETY: by the caller.
        unsafe { self.stacks.touch(&mut self.cx, thread) };
    }

    // ---- handles

    /// # Safety
    /// A live or young cell.
    pub unsafe fn handle(&mut self, cell: Ref) -> Handle {
        // SAFETY: by the caller.
        unsafe { self.handles.insert(&mut self.cx, cell) }
    }
    pub fn owns_handle(&self, handle: &Handle) -> bool {
        self.handles.made(handle)
    }
    pub fn held(&self, handle: &Handle) -> Ref {
        self.handles.get(handle)
    }
    /// # Safety
    /// A live or young cell.
    pub unsafe fn set_handle(&mut self, handle: &Handle, cell: Ref) {
        // SAFETY: by the caller.
        unsafe { self.handles.set(&mut self.cx, handle, cell) };
    }

    // ---- weak references, finalizers, interned cells

    /// # Safety
    /// As for [`crate::Heap::weak_hold`].
    #[inline]
    pub unsafe fn hold_weakly(&mut self, target: Ref) {
        // SAFETY: by the caller.
        unsafe { self.weak.hold(&mut self.cx, target) };
    }

    /// Whether a weak slot reads as what it names; then that is a weak load (R14).
    pub fn load_weakly(&mut self, target: Ref, side: Side) -> bool {
        let nil = match side {
            Side::Value => weak::dead_value(&self.cx, target),
            Side::Key => weak::key_reads_nil(&self.cx, target),
        };
        if !nil {
            self.release.waiting.weak_load(&mut self.cx, target);
            self.heed_loads();
        }
        !nil
    }

    #[inline]
    pub fn interned_hit(&mut self, cell: Ref) -> bool {
        let there = self.release.waiting.interned_hit(&mut self.cx, cell);
        self.heed_loads();
        there
    }

    /// Loads are work for the epoch end, as the log is.
    #[inline]
    fn heed_loads(&mut self) {
        if self.release.waiting.has_become_full() {
            self.request_safepoint();
        }
    }

    /// R14: the value of a weak-keyed entry has been read.
    #[inline]
    pub fn ephemeron_value_read(&mut self, value: Ref) {
        if self.cx.shading() {
            self.cx.shade(value);
        }
    }

    /// R13.
    pub fn copy_keeps(&self, target: Ref, side: Side) -> bool {
        self.cx.without(Sabotage::WeakCopy)
            || match side {
                Side::Key => !weak::dead_key(&self.cx, target),
                Side::Value => !weak::dead_value(&self.cx, target),
            }
    }

    /// # Safety
    /// As for [`crate::Heap::interned`].
    pub unsafe fn interned(&mut self, cell: Ref) {
        // SAFETY: by the caller.
        let header = unsafe { cell.header() };
        if !header.has(flags::INTERNED) {
            header.set(flags::INTERNED);
            if header.has(flags::YOUNG) {
                self.young_interned.push(cell.addr(), &mut self.cx.store);
            }
        }
    }

    /// # Safety
    /// As for [`crate::Heap::set_finalizer`].
    pub unsafe fn set_finalizer(&mut self, object: Ref, rearm: bool) {
        // SAFETY: by the caller.
        unsafe {
            if rearm {
                self.finalizers.rearm(&mut self.cx, object, &mut self.handles.young);
            } else {
                self.finalizers.give(&mut self.cx, object);
            }
        }
    }
    pub fn next_finalizer(&mut self) -> Option<Ref> {
        self.finalizers.next(&mut self.cx)
    }
    pub fn finalizers_due(&self) -> usize {
        self.finalizers.due()
    }
    /// See [`crate::Heap::queue_all_finalizers`]. What the collector has found comes first.
    pub fn queue_all_finalizers(&mut self) {
        self.finish_listing();
        self.finalizers.queue_all(&mut self.cx, &mut self.handles.young);
    }

    // ---- the parts that work together

    /// The release queue, and what its deaths concern.
    #[inline(always)]
    pub(super) fn release(&mut self) -> (&mut Release, Concerned<'_, R>) {
        let Collector { rt, cx, release, weak, finalizers, .. } = self;
        (release, Concerned { rt, cx, weak, finalizers, destructors: true })
    }

    /// See [`crate::Heap::request_epoch`].
    pub fn request_epoch(&mut self) {
        self.pacer.epoch_wanted = true;
        self.request_safepoint();
    }
    pub fn set_running(&mut self, running: bool) {
        self.pacer.running = running;
        self.set_alarm();
    }
    pub fn is_running(&self) -> bool {
        self.pacer.running
    }

    pub fn phase(&self) -> Phase {
        self.cx.phase()
    }
    pub fn pauses(&self) -> &Pauses {
        &self.pauses
    }
    pub fn clear_pauses(&mut self) {
        self.pauses.clear();
    }
    pub fn set_observer(&mut self, observer: Option<Box<dyn Observer>>) {
        self.observer = observer;
    }
    /// The goals of the pacer, in microseconds and percent.
    pub fn goals(&self) -> (u32, u32) {
        self.pacer.goals()
    }
    pub fn set_goals(&mut self, max_pause_us: u32, max_overhead_percent: u32) {
        self.pacer.set_goals(max_pause_us, max_overhead_percent);
    }
}

impl<R: Runtime> Drop for Collector<R> {
    /// Runs the destructors of all cells; the memory goes in one piece.
    fn drop(&mut self) {
        self.ticker = None;
        if !self.cx.kinds.any_destructor() {
            return;
        }
        let mut doomed = Vec::new();
        let mut id = 0;
        while let Some(block) = self.cx.store.memory.next_block(id) {
            self.cx.store.memory.for_each_live_in(block, |cell| {
                // SAFETY: a live cell has a header.
                unsafe {
                    let r = Ref::from_ptr(cell);
                    if r.header().has(flags::SPECIAL) && !r.header().has(flags::CORPSE | flags::DETACHED) {
                        doomed.push(r);
                    }
                }
            });
            id = block + 1;
        }
        // SAFETY: the young ones of special kinds are listed; each cell comes once (young-is-not-live: one that was adopted is listed and live).
        unsafe {
            let young = self.young_special.iter().map(|word| Ref::from_addr(word)).filter(|r| r.header().has(flags::YOUNG));
            doomed.extend(young);
            for r in doomed {
                if self.cx.kinds.has_destructor(r.kind()) {
                    destroy(&mut self.rt, &mut self.cx, r);
                }
            }
        }
    }
}

impl<R: Runtime> Lender for Collector<R> {
    fn request(&mut self, bytes: usize, ask: Ask<'_>) -> Result<NonNull<u8>, OutOfMemory> {
        let ask = std::cell::RefCell::new(ask);
        Collector::request(self, bytes, |store| ask.borrow_mut()(&mut store.memory, &mut store.explicit))
    }
    fn parts(&mut self) -> (&mut Memory, &mut Explicit) {
        (&mut self.cx.store.memory, &mut self.cx.store.explicit)
    }
    fn parts_ref(&self) -> (&Memory, &Explicit) {
        (&self.cx.store.memory, &self.cx.store.explicit)
    }
}
