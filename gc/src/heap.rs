//! `Heap<R>`: the face of the crate for virtual machines. What it does is done by the parts below: `collect`, `explicit`, `audit`.
//!
//! The obligations of the caller, beside those of each function:
//! * **O1** A cell is initialised before the next safepoint (and before the heap is dropped), and between two safepoints references may be held
//!   anywhere. All cells that a heap is told of are its own, live or young.
//! * **O2** [`Heap::barrier`] comes before every write that overwrites or stores a strong reference in a cell that is not fresh, with no safepoint
//!   between; [`Heap::barrier_range`] before a write of many slots.
//! * **O3** A thread is touched before its stack is written, and when it becomes the current one again ([`Heap::touch_thread`]).
//! * **O4** Before a weak reference is written, [`Heap::weak_hold`] is told of its target; nothing else is needed for the write (a strong reference that goes
//!   with it falls under O2). A weak reference is read by [`Heap::weak_value`] or [`Heap::weak_key`], and copied if [`Heap::copy_keeps`] says so.
//!
//! Allocation, the barrier and the functions for weak references take the heap by shared reference: they call nothing of the runtime but the visits of
//! references (and `forget`), no destructor above all, so a runtime may hold borrows of its own meanwhile.
//!
//! May import: everything below (`audit`, `collect`, `memory`, `explicit`, `object`, `observe`).

use crate::audit::{self, AuditError, AuditReport};
use crate::collect::{Checks, Collector, POLL_COLLECT, SHARE, Settings};
use crate::explicit::{Checked, CheckedBlocks, FreeError};
use crate::memory::{Extent, Memory};
use crate::object::{Kind, Ref, Runtime, Side, flags};
use crate::observe::{Counters, Edge, GraphVisitor, KindCount, Observer, Pauses, census, each_cell, visit_edges, visit_graph};
use std::cell::UnsafeCell;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

pub use crate::collect::{Drive, Handle, Phase, RootSource, Sabotage};
#[doc(hidden)]
pub use crate::memory::Faults;
pub use crate::memory::OutOfMemory;

/// Settings of a heap.
#[derive(Clone, Debug)]
pub struct Config {
    /// Hard limit of the bytes taken from the operating system. Near it the heap collects as often as it takes, in whole collections too, and keeps
    /// the last 32nd (1 MiB at most) for small requests.
    pub limit_bytes: usize,
    /// Goal of the pacer, in microseconds, for the longest stops on a busy machine. What a stop is planned to take is about a quarter of it.
    pub max_pause_us: u32,
    /// Goal of the pacer, in percent: the share of the time that the collector may have in any window. Where the heap would outgrow its bounds the collector takes
    /// more all the same, and counts such stops (`Counters::urgent`). From 1 to 95; what lies beyond is taken for these.
    pub max_overhead_percent: u32,
    /// Whether the heap may have a thread that asks for safepoints when the program does not allocate, so that garbage and idle memory go back all the
    /// same.
    pub ticker: bool,
    /// Stress: an epoch end at every safepoint, a full cycle every n-th (0: off).
    pub stress_cycle: u32,
    /// Audit after every n-th epoch end (0: never).
    pub audit: u32,
    /// Overwrite cells that die.
    pub poison: bool,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            limit_bytes: usize::MAX,
            max_pause_us: 250,
            max_overhead_percent: SHARE,
            ticker: false,
            stress_cycle: 0,
            audit: 0,
            poison: false,
        }
    }
}

/// The bits of the poll word.
pub mod poll {
    /// The collector wants a safepoint. Bounded stops rest on the program's coming soon: what it writes and allocates before it does is work for the
    /// epoch end.
    pub const COLLECT: u32 = super::POLL_COLLECT;
    /// For the embedding runtime: interrupt, limits, hooks.
    pub const INTERRUPT: u32 = 2;
    /// For the embedding runtime: a stack has grown by much. The runtime looks at the safepoint whether it still stands so high, and then asks for
    /// an epoch end ([`Heap::request_epoch`](super::Heap::request_epoch)).
    pub const STACK: u32 = 4;
}

/// A heap of cells described by `R`.
pub struct Heap<R: Runtime> {
    /// A cell, for what takes the heap by shared reference. One borrow at a time: nothing below calls back into the heap.
    inner: UnsafeCell<Inner<R>>,
    poll: Arc<AtomicU32>,
}

struct Inner<R: Runtime> {
    collector: Collector<R>,
    /// Checked explicit blocks; nothing else looks at them.
    checked: Checked,
}

// SAFETY: all pointers inside lead to memory of the heap's own. Handles are dropped through a shared list that any thread may use; references (`Ref`) are
// of use only together with the heap.
unsafe impl<R: Runtime + Send> Send for Heap<R> {}

impl<R: Runtime> Heap<R> {
    pub fn new(runtime: R, config: Config) -> Result<Heap<R>, OutOfMemory> {
        let audit = |collector: &Collector<R>| {
            if let Err(error) = audit::audit(collector) {
                let (epoch, phase) = (collector.cx.counters.epochs, collector.phase());
                panic!("the audit after epoch end {epoch} in phase {phase:?}: {error}");
            }
        };
        let settings = Settings {
            limit_bytes: config.limit_bytes,
            max_pause_us: config.max_pause_us,
            max_overhead_percent: config.max_overhead_percent,
            ticks: config.ticker,
            stress_cycle: config.stress_cycle,
            audit: (config.audit != 0).then_some((config.audit, audit as fn(&Collector<R>))),
            checks: Checks { poison: config.poison, sabotage: Sabotage::None },
        };
        let collector = Collector::new(runtime, settings);
        let poll = collector.poll.clone();
        Ok(Heap { inner: UnsafeCell::new(Inner { collector, checked: Checked::new() }), poll })
    }

    #[inline(always)]
    fn get(&self) -> &Collector<R> {
        // SAFETY: no unique borrow lasts beyond a call of a function of this type.
        unsafe { &(*self.inner.get()).collector }
    }
    #[inline(always)]
    fn get_mut(&mut self) -> &mut Collector<R> {
        &mut self.inner.get_mut().collector
    }
    /// For what changes the collector behind a shared reference.
    ///
    /// # Safety
    /// The borrow ends before the function of the heap that makes it, and nothing of the heap is called meanwhile. (The heap is not `Sync`.)
    #[inline(always)]
    #[expect(clippy::mut_from_ref, reason = "that is what the cell is for")]
    unsafe fn shared(&self) -> &mut Collector<R> {
        // SAFETY: by the caller.
        unsafe { &mut (*self.inner.get()).collector }
    }

    /// The runtime that the heap was made with.
    #[inline(always)]
    pub fn runtime(&self) -> &R {
        &self.get().rt
    }
    /// # Safety
    /// The runtime is not replaced by another, which would not know the cells.
    #[inline(always)]
    pub unsafe fn runtime_mut(&mut self) -> &mut R {
        &mut self.get_mut().rt
    }

    /// Adds a kind to the table, for a runtime that learns of its kinds while it runs. They are numbered on from those of [`Runtime::kinds`]; `None` if there
    /// are 256 already. No cell has the kind yet, so the runtime may describe it before or after, as long as that is before the first allocation.
    pub fn add_kind(&mut self, kind: Kind) -> Option<u8> {
        self.get_mut().cx.kinds.add(kind)
    }

    /// The word that the runtime checks at back edges and calls: not 0 means "come to [`Heap::safepoint`]".
    pub fn poll_word(&self) -> &Arc<AtomicU32> {
        &self.poll
    }
    /// Whether the collector wants a safepoint. As cheap as it can be: a program that asks this first, and comes to [`Heap::safepoint`] only on `true`, is
    /// much faster than one that comes always.
    #[inline(always)]
    pub fn wants_safepoint(&self) -> bool {
        self.poll.load(Ordering::Relaxed) & poll::COLLECT != 0
    }

    // ---- allocation

    /// Allocates a young cell of `size` bytes (header included, any size) with its header written; the rest is uninitialised and must be
    /// initialised before the next safepoint.
    ///
    /// # Safety
    /// `kind` is an index of the runtime's table of kinds, and an indexed kind has at least 8 bytes a slot beside the header.
    #[inline(always)]
    pub unsafe fn alloc(&self, kind: u8, size: usize) -> Result<Ref, OutOfMemory> {
        // SAFETY: `shared`: allocation calls nothing of the runtime but visits.
        unsafe { self.shared().alloc(kind, size) }
    }

    /// Makes a large run of an indexed shape bigger at its own address (R5). `false`: it can't grow, make a new one. What is dead
    /// already may be released meanwhile.
    ///
    /// # Safety
    /// The cell is live or young; after `true` the runtime writes the new slots and its own length before the next safepoint.
    pub unsafe fn grow(&self, cell: Ref, new_size: usize) -> Result<bool, OutOfMemory> {
        // SAFETY: as in `alloc`.
        unsafe { self.shared().grow(cell, new_size) }
    }

    /// Before a write of slot `slot` of `object`, if the old or the new content is a strong reference. (Slot index for indexed
    /// shapes, 0 otherwise.)
    ///
    /// # Safety
    /// The object is live or young.
    #[inline(always)]
    pub unsafe fn barrier(&self, object: Ref, slot: usize) {
        // SAFETY: the caller vouches for the object; `shared`: the log visits references and calls nothing else.
        unsafe {
            if !object.header().has(flags::LOGGED) {
                self.shared().record_write(object, slot);
            }
        }
    }

    /// The same before a write of many slots of an object of an indexed shape: those that stand side by side are recorded together.
    ///
    /// # Safety
    /// As for [`Heap::barrier`]; the object has these slots.
    #[inline]
    pub unsafe fn barrier_range(&self, object: Ref, slots: Range<usize>) {
        // SAFETY: as above.
        unsafe {
            if !object.header().has(flags::LOGGED) && !slots.is_empty() {
                self.shared().record_writes(object, slots);
            }
        }
    }

    /// `new` replaces `old` as storages of one owner, and holds exactly the references that `old` holds now, as a multiset.
    /// Lets the new storages take over the counts, so that the next epoch end has no work in proportion to their size. Calls `R::forget`
    /// on the old ones where it does so. Must come right after the copy, with no safepoint between.
    ///
    /// # Safety
    /// As said; all are of indexed shapes, and the new ones young.
    pub unsafe fn replace_storage(&self, old: &[Ref], new: &[Ref]) {
        // SAFETY: by the caller; `shared`: nothing of the runtime is called but visits, and `forget`.
        unsafe { self.shared().replace_storage(old, new) };
    }

    /// A young cell of an indexed shape was filled by copying memory, without barriers (R4).
    ///
    /// # Safety
    /// The cell is young.
    pub unsafe fn filled_by_copy(&self, cell: Ref) {
        // SAFETY: by the caller; `shared`: only visits.
        unsafe { self.shared().filled_by_copy(cell) };
    }

    // ---- threads

    /// The thread is about to run, be closed, or be written to from outside (R11); also for the resumer when a coroutine yields or ends (R7).
    ///
    /// # Safety
    /// `thread` is a live or young cell of shape `Thread`, its stack's `top` is right.
    #[inline]
    pub unsafe fn touch_thread(&self, thread: Ref) {
        // SAFETY: by the caller; nothing of the runtime is called.
        unsafe { self.shared().touch(thread) };
    }

    /// Whether any write to the cell has been recorded in this epoch, or needs no record.
    pub(crate) fn is_recorded(&self, cell: Ref) -> bool {
        self.get().is_recorded(cell)
    }

    // ---- handles

    /// Holds the cell until the handle is dropped, which may happen anywhere; the cell lives on at least until the next epoch end after that (R2).
    /// Handles are the roots for what is many, or comes and goes: they cost only where they change.
    ///
    /// # Safety
    /// The cell is one of this heap, live or young.
    pub unsafe fn handle(&self, cell: Ref) -> Handle {
        // SAFETY: by the caller; nothing of the runtime is called.
        unsafe { self.shared().handle(cell) }
    }
    /// The cell that a handle holds. A handle of another heap is a panic.
    pub fn held(&self, handle: &Handle) -> Ref {
        self.get().held(handle)
    }
    /// Whether the handle is one of this heap.
    pub fn owns_handle(&self, handle: &Handle) -> bool {
        self.get().owns_handle(handle)
    }
    /// Lets a handle hold another cell. A handle of another heap is a panic.
    ///
    /// # Safety
    /// As for [`Heap::handle`].
    pub unsafe fn set_handle(&self, handle: &Handle, cell: Ref) {
        // SAFETY: by the caller; nothing of the runtime is called.
        unsafe { self.shared().set_handle(handle, cell) };
    }

    // ---- weak references, finalizers, interned cells

    /// A weak slot is about to name `target`.
    ///
    /// # Safety
    /// Here and below: the cells are live or young (or, read from a weak slot, as the collector left them).
    #[inline]
    pub unsafe fn weak_hold(&self, target: Ref) {
        // SAFETY: by the caller; nothing of the runtime is called. So in all functions below.
        unsafe { self.shared().hold_weakly(target) };
    }
    /// Reads a weak value: `false` means that it reads as nil. A `true` is a weak load (R14).
    ///
    /// # Safety
    /// As for [`Heap::weak_hold`].
    #[inline]
    pub unsafe fn weak_value(&self, target: Ref) -> bool {
        // SAFETY: as above.
        unsafe { self.shared().load_weakly(target, Side::Value) }
    }
    /// Reads a weak key in an iteration: `false` means that the entry reads as absent. A `true` is a weak load.
    ///
    /// # Safety
    /// As for [`Heap::weak_hold`].
    pub unsafe fn weak_key(&self, key: Ref) -> bool {
        // SAFETY: as above.
        unsafe { self.shared().load_weakly(key, Side::Key) }
    }
    /// The value of a weak-keyed entry has been read (R14).
    ///
    /// # Safety
    /// As for [`Heap::weak_hold`].
    #[inline]
    pub unsafe fn ephemeron_value(&self, value: Ref) {
        // SAFETY: as above.
        unsafe { self.shared().ephemeron_value_read(value) };
    }
    /// Whether the copy of a weak storage keeps an entry with this weak value or key; also to be asked before an entry moves within its storage (R13).
    ///
    /// # Safety
    /// As for [`Heap::weak_hold`].
    pub unsafe fn copy_keeps(&self, target: Ref, side: Side) -> bool {
        self.get().copy_keeps(target, side)
    }
    /// A lookup in the table of interned cells found this one: `false` means that it counts as absent (R15); the table then forgets it.
    ///
    /// # Safety
    /// As for [`Heap::weak_hold`].
    #[inline]
    pub unsafe fn intern_hit(&self, cell: Ref) -> bool {
        // SAFETY: as above.
        unsafe { self.shared().interned_hit(cell) }
    }
    /// A cell has been entered into the table of interned cells.
    ///
    /// # Safety
    /// As for [`Heap::weak_hold`]; the cell is of shape `Leaf`.
    pub unsafe fn interned(&self, cell: Ref) {
        // SAFETY: as above.
        unsafe { self.shared().interned(cell) };
    }
    /// Marks the object for finalization.
    ///
    /// # Safety
    /// As for [`Heap::weak_hold`].
    pub unsafe fn set_finalizer(&self, object: Ref) {
        // SAFETY: as above.
        unsafe { self.shared().set_finalizer(object, false) };
    }
    /// The same while a finalizer is running. Counting finds garbage at once, so an object whose finalizer sets it again would be finalized without end;
    /// this one is held until the program has allocated as much as is in use, and has its finalizer from then on.
    ///
    /// # Safety
    /// As for [`Heap::weak_hold`].
    pub unsafe fn rearm_finalizer(&self, object: Ref) {
        // SAFETY: as above.
        unsafe { self.shared().set_finalizer(object, true) };
    }
    /// The next object to finalize, in the order of the language (the reverse of [`Heap::set_finalizer`] within one cycle). The reference is on loan
    /// until the next safepoint: put it on a stack.
    pub fn next_finalizer(&mut self) -> Option<Ref> {
        self.get_mut().next_finalizer()
    }
    /// How many objects [`Heap::next_finalizer`] has to hand over by now.
    pub fn finalizers_waiting(&self) -> usize {
        self.get().finalizers_due()
    }
    /// Queues every object that still has a finalizer, last set first; for the closing of the runtime.
    pub fn queue_all_finalizers(&mut self) {
        self.get_mut().queue_all_finalizers();
    }

    // ---- safepoints

    /// Does what is due: an epoch end, slices. Call when the poll word has [`poll::COLLECT`] (it is cleared here), at a safepoint.
    ///
    /// # Safety
    /// Every reference that the runtime holds is in a root, on a stack below `top`, or in a cell reached from them.
    #[cold]
    #[inline(never)]
    pub unsafe fn safepoint(&mut self, roots: &dyn RootSource) {
        self.get_mut().safepoint(roots);
    }
    /// Whether the last safepoint has found less left before the limit than small requests should have, though it has collected everything. The
    /// runtime does well to raise its memory error where it stands, while there is room to handle it.
    pub fn take_exhausted(&mut self) -> bool {
        self.get_mut().take_exhausted()
    }
    /// The next safepoint is to be an epoch end: a stack has grown by so much that its scan should not wait.
    pub fn request_epoch(&mut self) {
        self.get_mut().request_epoch();
    }
    /// A whole collection: epoch ends and slices until no garbage of now is left, finalizers queued. What that frees goes back to the system, a small
    /// reserve aside. As long as it takes: in proportion to the heap. `false`: it has been given up ([`Heap::set_stop_bits`]).
    ///
    /// # Safety
    /// As for [`Heap::safepoint`].
    pub unsafe fn collect_full(&mut self, roots: &dyn RootSource) -> bool {
        self.get_mut().collect_whole(roots)
    }
    /// Reclaims what counting finds: all garbage that is neither in a cycle nor hangs from one, finalizers queued. In proportion to that garbage, and to the weak
    /// holders; not to the heap. `false`: it has been given up.
    ///
    /// # Safety
    /// As for [`Heap::safepoint`].
    pub unsafe fn collect_counted(&mut self, roots: &dyn RootSource) -> bool {
        self.get_mut().collect_counted(roots)
    }
    /// Bits of the poll word at which long work is given up: whole collections, steps, and what comes before a refusal. None if they are not set.
    pub fn set_stop_bits(&mut self, bits: u32) {
        self.get_mut().stop.bits = bits;
    }
    /// A step of work in proportion to `bytes` of allocation, 0 for a slice; `true` if a cycle ended, or there is no need of one.
    ///
    /// # Safety
    /// As for [`Heap::safepoint`].
    pub unsafe fn step(&mut self, roots: &dyn RootSource, bytes: usize) -> bool {
        self.get_mut().step(roots, bytes)
    }
    /// A step that takes so long, and a stretch of work between two looks at the clock more: an epoch end, and what there is to do until the time is over.
    /// `true` as for [`Heap::step`].
    ///
    /// # Safety
    /// As for [`Heap::safepoint`].
    pub unsafe fn step_for(&mut self, roots: &dyn RootSource, time: Duration) -> bool {
        self.get_mut().step_for(roots, time)
    }
    /// Stops (or lets go on) the collections that the heap starts by itself.
    pub fn set_running(&mut self, running: bool) {
        self.get_mut().set_running(running);
    }
    pub fn is_running(&self) -> bool {
        self.get().is_running()
    }

    // ---- figures

    fn memory(&self) -> &Memory {
        &self.get().cx.store.memory
    }
    /// Bytes in use: live cells, young ones allocated since the last epoch end, explicit blocks, and memory of others ([`Heap::external_grew`]).
    pub fn used_bytes(&self) -> usize {
        self.memory().used_bytes() - self.get().cx.store.explicit.held_bytes()
    }
    /// The same as the program sees it: without what the allocator only has at hand, and without the lists of the collector. Dearer to find out.
    pub fn allocated_bytes(&self) -> usize {
        let store = &self.get().cx.store;
        store.memory.allocated_bytes().saturating_sub(store.queue_bytes() + store.explicit.held_bytes())
    }
    /// Bytes committed to the heap: an estimate, from above, of its resident memory.
    pub fn mapped_bytes(&self) -> usize {
        self.memory().mapped_bytes()
    }
    /// The most bytes that were ever committed.
    pub fn peak_bytes(&self) -> usize {
        self.memory().peak_bytes()
    }
    /// Committed bytes that are free and go back to the system before long.
    pub fn idle_bytes(&self) -> usize {
        self.memory().idle_bytes()
    }
    pub fn pauses(&self) -> &Pauses {
        self.get().pauses()
    }
    /// The pauses so far are forgotten: what is recorded begins here.
    pub fn clear_pauses(&mut self) {
        self.get_mut().clear_pauses();
    }
    /// Running totals. Cells count as allocated at once, as reclaimed while young from the end of their epoch on.
    pub fn counters(&self) -> Counters {
        self.get().counters()
    }
    /// The two goals of the pacer: see [`Config::max_pause_us`] and [`Config::max_overhead_percent`].
    pub fn goals(&self) -> (u32, u32) {
        self.get().goals()
    }
    /// Sets them, from the next stop on.
    pub fn set_goals(&mut self, max_pause_us: u32, max_overhead_percent: u32) {
        self.get_mut().set_goals(max_pause_us, max_overhead_percent);
    }
    /// Lets somebody know of every stop, or nobody.
    pub fn set_observer(&mut self, observer: Option<Box<dyn Observer>>) {
        self.get_mut().set_observer(observer);
    }
    pub fn limit_bytes(&self) -> usize {
        self.memory().limit()
    }
    pub fn set_limit_bytes(&mut self, bytes: usize) {
        self.get_mut().cx.store.memory.set_limit(bytes);
    }
    /// The bytes up to the limit, for what the host takes on the heap's account. If they are fewer than `wanted`, what is known to be dead
    /// is released first, and idle memory goes back to the system.
    pub fn room_bytes(&mut self, wanted: usize) -> usize {
        self.get_mut().room_bytes(wanted)
    }
    /// Cells of the heap have come to own so many bytes more of memory that is not the heap's. They are in use, and drive the collector as explicit blocks do; the limit is not for
    /// them.
    ///
    /// # Panics
    /// If all of it is more than half of the address space.
    pub fn external_grew(&self, bytes: usize) {
        assert!(
            self.memory().external_bytes.checked_add(bytes).is_some_and(|all| all <= isize::MAX as usize),
            "more memory than there can be"
        );
        // SAFETY: as in `alloc`.
        let collector = unsafe { self.shared() };
        collector.cx.store.memory.external_grew(bytes);
        collector.heed_alarm();
    }
    /// So many bytes fewer.
    ///
    /// # Panics
    /// If they are more than there are.
    pub fn external_shrank(&self, bytes: usize) {
        assert!(bytes <= self.memory().external_bytes, "more than the heap has been told of");
        // SAFETY: as in `alloc`.
        unsafe { self.shared() }.cx.store.memory.external_shrank(bytes);
    }
    /// Gives memory back to the system that has been idle for a while, about `max` bytes. Says how many.
    pub fn purge(&mut self, now: Instant, max: usize) -> usize {
        self.get_mut().cx.store.memory.purge(now, max)
    }

    /// Objects and bytes by kind, in the order of the table of kinds; those allocated since the last epoch end are not seen. Walks the whole heap.
    pub fn census(&self) -> Vec<KindCount> {
        census(self.get())
    }
    /// Visits the same cells, each with its bytes.
    pub fn each_cell(&self, visit: &mut dyn FnMut(Ref, usize)) {
        each_cell(self.get(), visit);
    }
    /// Shows all roots, then all cells with their edges: what has survived an epoch end. Walks the whole heap.
    ///
    /// # Safety
    /// At a safepoint: stacks are as [`Heap::safepoint`] demands.
    pub unsafe fn visit_graph(&self, visitor: &mut dyn GraphVisitor) {
        visit_graph(self.get(), visitor);
    }
    /// Shows the edges of one cell, which may be young.
    ///
    /// # Safety
    /// As for [`Heap::visit_graph`]; the cell is live or young.
    pub unsafe fn visit_edges(&self, cell: Ref, visit: &mut dyn FnMut(Edge, Ref)) {
        // SAFETY: by the caller.
        unsafe { visit_edges(self.get(), cell, visit) };
    }
    /// The count of a cell: references from cells and roots, as the last epoch end found them, those aside that wait to be released. Young cells have none.
    ///
    /// # Safety
    /// The cell is live or young.
    pub unsafe fn refcount(&self, cell: Ref) -> u32 {
        // SAFETY: by the caller.
        unsafe { cell.header() }.count.get()
    }
    /// The bytes of a cell.
    ///
    /// # Safety
    /// The cell is live or young.
    pub unsafe fn cell_bytes(&self, cell: Ref) -> usize {
        // SAFETY: by the caller.
        unsafe { self.memory().cell_bytes(cell.as_nonnull()) }
    }
    /// Checks the heap. Slow: the whole heap is looked at.
    ///
    /// # Safety
    /// At a safepoint: stacks are as [`Heap::safepoint`] demands.
    pub unsafe fn audit(&self) -> Result<AuditReport, AuditError> {
        audit::audit(self.get())
    }

    // ---- explicit blocks

    /// An explicit block of at least `size` bytes, 16-byte aligned, neither scanned nor freed by the collector.
    #[inline]
    pub fn malloc(&self, size: usize) -> Result<NonNull<u8>, OutOfMemory> {
        // SAFETY: as in `alloc`.
        unsafe { self.shared() }.request(size, |store| store.malloc(size))
    }
    /// An explicit block of `count * size` bytes of zeros.
    pub fn calloc(&self, count: usize, size: usize) -> Result<NonNull<u8>, OutOfMemory> {
        let bytes = count.checked_mul(size).ok_or(OutOfMemory)?;
        // SAFETY: as in `alloc`.
        unsafe { self.shared() }.request(bytes, |store| store.explicit.calloc(&mut store.memory, 1, bytes))
    }
    /// An explicit block at a multiple of `align`, a power of two up to [`crate::explicit::MAX_ALIGN`]; any other alignment is an error.
    pub fn aligned_alloc(&self, align: usize, size: usize) -> Result<NonNull<u8>, OutOfMemory> {
        // SAFETY: as in `alloc`.
        unsafe { self.shared() }.request(size.max(align), |store| store.explicit.aligned(&mut store.memory, align, size))
    }
    /// Makes a block `size` bytes long, in place or elsewhere; its alignment is kept. After an error it is as it was.
    ///
    /// # Safety
    /// `block` came from this heap's `malloc` family and was not freed; after success the old address is not used unless it is the new one.
    pub unsafe fn realloc(&self, block: NonNull<u8>, size: usize) -> Result<NonNull<u8>, OutOfMemory> {
        // SAFETY: by the caller, and as in `alloc`.
        unsafe { self.shared().request(size, |store| store.explicit.realloc(&mut store.memory, block, size)) }
    }
    /// # Safety
    /// `block` came from this heap's `malloc` family and was not freed.
    #[inline]
    pub unsafe fn free(&self, block: NonNull<u8>) {
        // SAFETY: by the caller; nothing of the runtime is called.
        unsafe { self.shared().cx.store.free(block) };
    }
    /// The bytes that an explicit block really has.
    ///
    /// # Safety
    /// `block` came from this heap's `malloc` family and was not freed.
    pub unsafe fn usable_size(&self, block: NonNull<u8>) -> usize {
        // SAFETY: by the caller.
        unsafe { self.get().cx.store.explicit.usable_size(self.memory(), block) }
    }
    /// Frees the explicit block at `addr`, which may be any number: what is not the start of an allocated block is an error.
    ///
    /// # Safety
    /// If a block is allocated there, it is not used again.
    pub unsafe fn free_checked(&mut self, addr: usize) -> Result<(), FreeError> {
        let store = &mut self.get_mut().cx.store;
        store.explicit.free_checked(&mut store.memory, addr)
    }
    /// Whether an allocated explicit block starts at `addr`.
    pub fn owns(&self, addr: usize) -> bool {
        self.get().cx.store.explicit.owns(self.memory(), addr)
    }
    /// Shows what all memory of the heap is used for, from the lowest address to the highest: to be complete about what is young it is called after an epoch end. In
    /// proportion to the memory.
    pub fn layout(&mut self, visit: &mut dyn FnMut(Extent)) {
        let store = &mut self.get_mut().cx.store;
        store.trim_magazines();
        store.memory.layout(visit);
    }
    /// Whether a range of the address space has memory of this heap.
    pub fn has_memory_in(&self, range: &Range<usize>) -> bool {
        self.memory().has_memory_in(range)
    }
    /// The checked blocks of this heap: explicit allocation that reports the classic errors instead of making them.
    pub fn checked(&mut self) -> CheckedBlocks<'_> {
        let Inner { collector, checked } = self.inner.get_mut();
        CheckedBlocks::new(collector, checked)
    }
    /// Bytes of all explicit blocks, rounded up to their cells; what the heap itself has allocated so is among them.
    pub fn explicit_bytes(&self) -> usize {
        self.get().cx.store.explicit.allocated_bytes(self.memory())
    }
    /// Calls `f` with address and size of each explicit block; what the heap itself has allocated so is among them.
    pub fn for_each_explicit(&self, f: impl FnMut(NonNull<u8>, usize)) {
        self.get().cx.store.explicit.for_each(self.memory(), f);
    }

    // ---- for tests

    /// Takes a rule away.
    #[doc(hidden)]
    pub fn sabotage(&mut self, rule: Sabotage) {
        self.get_mut().cx.checks.sabotage = rule;
    }
    /// Requests to the operating system are refused. Says what was left of the faults asked for before.
    #[doc(hidden)]
    pub fn inject(&mut self, faults: Faults) -> Faults {
        self.get_mut().cx.store.memory.inject(faults)
    }
    /// Moves the collector by hand; `false` if there was nothing to do.
    ///
    /// # Safety
    /// As for [`Heap::safepoint`].
    #[doc(hidden)]
    pub unsafe fn drive(&mut self, roots: &dyn RootSource, what: Drive) -> bool {
        self.get_mut().drive(roots, what)
    }
    /// The count of the cell is what it would be after four thousand million increments.
    ///
    /// # Safety
    /// The cell is live or young.
    #[doc(hidden)]
    pub unsafe fn make_sticky(&mut self, cell: Ref) {
        // SAFETY: by the caller.
        unsafe { self.get_mut().make_sticky(cell) };
    }
    #[doc(hidden)]
    pub fn phase(&self) -> Phase {
        self.get().phase()
    }
}
