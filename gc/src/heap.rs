//! `Heap<R>`: the face of the crate for virtual machines.
//!
//! The obligations of the caller, beside those of each function:
//! * **O1** A cell is initialised before the next safepoint (and before the heap is dropped), and between two safepoints references may be held
//!   anywhere. All cells that a heap is told of are its own.
//! * **O2** [`Heap::barrier`] comes before every write that overwrites or stores a reference in a cell that is not fresh, with no safepoint between.
//! * **O3** A thread is touched before its stack is written, and when it becomes the current one again ([`Heap::touch_thread`]).
//! * **O4** Weak slots are written, read and copied as the functions for weak references say.
//!
//! May import: everything below (`collect`, `memory`, `explicit`, `object`, `observe`).

use crate::collect::{Collector, Store, Ticker};
use crate::explicit::Checked;
use crate::memory::Memory;
use crate::object::{Header, Kinds, Ref, Runtime, flags};
use crate::observe::{Counters, Pauses};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

pub use crate::collect::{Drive, Handle, Phase, Sabotage};
#[doc(hidden)]
pub use crate::memory::Faults;
pub use crate::memory::OutOfMemory;

/// Settings of a heap.
#[derive(Clone, Debug)]
pub struct Config {
    /// Hard limit of the bytes taken from the operating system. Near it the heap collects as often as it takes, in whole collections too, and keeps
    /// the last 32nd (1 MiB at most) for small requests.
    pub limit_bytes: usize,
    /// Stress: an epoch end at every safepoint, a full cycle every n-th (0: off).
    pub stress_cycle: u32,
    /// Audit after every n-th epoch end (0: never).
    pub audit: u32,
    /// Overwrite cells that die.
    pub poison: bool,
    /// Goal of the pacer, in microseconds, for the longest stops on a busy machine. What a stop is planned to take is about a quarter of it.
    pub max_pause_us: u32,
    #[doc(hidden)]
    pub sabotage: Sabotage,
}

impl Default for Config {
    fn default() -> Self {
        Config { limit_bytes: usize::MAX, stress_cycle: 0, audit: 0, poison: false, max_pause_us: 250, sabotage: Sabotage::None }
    }
}

/// Where the collector asks for the roots, at an epoch end.
pub trait RootSource {
    /// The registered root slots, in a fixed order (lists are compared by position, R10).
    fn globals(&self, visit: &mut dyn FnMut(Ref));
    /// The running chain of threads: main thread first, current one last (R11).
    fn chain(&self, visit: &mut dyn FnMut(Ref));
    /// The slot where the running frame of the current thread begins (R7): what stands below is not written before the frame returns or the
    /// runtime lowers the stack's `low`. 0, which is always right, means that each epoch end scans the current stack from its bottom.
    fn current_base(&self) -> usize {
        0
    }
}

/// The bits of the poll word.
pub mod poll {
    /// The collector wants a safepoint.
    pub const COLLECT: u32 = 1;
    /// For the embedding runtime: interrupt, limits, hooks.
    pub const INTERRUPT: u32 = 2;
}

/// A heap of cells described by `R`.
pub struct Heap<R: Runtime> {
    pub runtime: R,
    poll: Arc<AtomicU32>,
    pub(crate) store: Store,
    /// Checked explicit blocks; nothing else looks at them.
    pub(crate) checked: Checked,
    pub(crate) col: Collector,
    pub(crate) pauses: Pauses,
    pub(crate) ticker: Option<Ticker>,
    pub(crate) stress_cycle: u32,
    pub(crate) audit: u32,
    pub(crate) poison: bool,
    pub(crate) sabotage: Sabotage,
}

impl<R: Runtime> Heap<R> {
    pub fn new(runtime: R, config: Config) -> Result<Heap<R>, OutOfMemory> {
        let mut heap = Heap {
            runtime,
            poll: Arc::new(AtomicU32::new(0)),
            store: Store::new(Memory::new(config.limit_bytes)),
            checked: Checked::new(),
            col: Collector::new(config.max_pause_us),
            pauses: Pauses::new(),
            ticker: None,
            stress_cycle: config.stress_cycle,
            audit: config.audit,
            poison: config.poison,
            sabotage: config.sabotage,
        };
        if config.stress_cycle != 0 {
            heap.request_safepoint();
        }
        heap.set_alarm();
        Ok(heap)
    }

    /// The word that the runtime checks at back edges and calls: not 0 means "come to [`Heap::safepoint`]".
    pub fn poll_word(&self) -> &Arc<AtomicU32> {
        &self.poll
    }

    pub(crate) fn request_safepoint(&self) {
        self.poll.fetch_or(poll::COLLECT, Ordering::Relaxed);
    }

    // ---- allocation

    /// Allocates a young cell of `size` bytes (header included, any size) with its header written; the rest is uninitialised and must be
    /// initialised before the next safepoint.
    ///
    /// # Safety
    /// `kind` is an index of `R::KINDS`.
    #[inline(always)]
    pub unsafe fn alloc(&mut self, kind: u8, size: usize) -> Result<Ref, OutOfMemory> {
        let born = Kinds::<R>::born(kind);
        if born & flags::SPECIAL == 0
            && let Some(cell) = self.store.memory.alloc_fast(size)
        {
            // SAFETY: a fresh cell of at least 16 bytes, aligned to 16.
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
        let mut born = Kinds::<R>::born(kind);
        let size = size.max(size_of::<Header>());
        let cell = self.with_relief(size, |heap| heap.store.memory.alloc(size))?;
        let large = Memory::alloc_is_large(size);
        if large && Kinds::<R>::shape(kind).is_carded() {
            born = born & !flags::LOGGED | flags::CARDED;
        }
        // SAFETY: as in `alloc`.
        let r = unsafe {
            cell.cast::<Header>().write(Header::new(kind, born));
            Ref::from_ptr(cell)
        };
        if born & flags::CARDED != 0 {
            // All clean.
            self.cards(r);
        }
        if born & flags::SPECIAL != 0 {
            self.col.young_special.push(r.addr(), &mut self.store);
        }
        if self.store.memory.take_alarm() {
            self.request_safepoint();
        }
        Ok(r)
    }

    /// Asks for memory, a second time if the first is refused and what the release queue knows to be dead could be given back. After a refusal
    /// the next safepoint looks whether a whole collection would help.
    #[inline(always)]
    fn with_relief<T>(&mut self, bytes: usize, ask: impl Fn(&mut Self) -> Result<T, OutOfMemory>) -> Result<T, OutOfMemory> {
        self.col.pacer.largest_bytes = self.col.pacer.largest_bytes.max(bytes);
        let ask = |heap: &mut Self| if heap.needs_reserve(bytes) { Err(OutOfMemory) } else { ask(heap) };
        let result = match ask(self) {
            Err(_) if self.relieve() => ask(self),
            result => result,
        };
        if result.is_err() {
            self.request_safepoint();
        }
        result
    }

    /// Makes a large run of shape `Array` bigger at its own address (R5). `false`: it can't grow, make a new one. What is dead
    /// already may be released meanwhile.
    ///
    /// # Safety
    /// The cell is live or young; after `true` the runtime writes the new slots and its own length before the next safepoint.
    pub unsafe fn grow(&mut self, cell: Ref, new_size: usize) -> Result<bool, OutOfMemory> {
        // SAFETY: by the caller.
        unsafe {
            if !cell.header().has(flags::CARDED) || new_size < self.store.memory.run_bytes(cell.as_nonnull()) {
                return Ok(false);
            }
            let more = new_size - self.store.memory.run_bytes(cell.as_nonnull());
            self.pay_for_growth(more);
            let grown = self.with_relief(more, |heap| heap.store.memory.grow(cell.as_nonnull(), new_size))?;
            if grown {
                // The cards of the new slots: clean.
                self.cards(cell);
            }
            if self.store.memory.take_alarm() {
                self.request_safepoint();
            }
            Ok(grown)
        }
    }

    /// Before a write of slot `slot` of `object`, if the old or the new content is a reference. (Slot index for indexed
    /// shapes, 0 otherwise.)
    ///
    /// # Safety
    /// The object is live or young.
    #[inline(always)]
    pub unsafe fn barrier(&mut self, object: Ref, slot: usize) -> Result<(), OutOfMemory> {
        // SAFETY: the caller vouches for the object.
        if !unsafe { object.header() }.has(flags::LOGGED) {
            self.barrier_slow(object, slot);
        }
        Ok(())
    }

    /// `new` replaces `old` as storages of one owner, and holds exactly the references that `old` holds now, as a multiset.
    /// Lets the new storages take over the counts, so that the next epoch end has no work in proportion to their size. Calls `R::forget`
    /// on the old ones where it does so. Must come right after the copy, with no safepoint between.
    ///
    /// # Safety
    /// As said; all are of shape `Array`, and the new ones young.
    pub unsafe fn replace_storage(&mut self, old: &[Ref], new: &[Ref]) {
        self.adopt(old, new);
    }

    /// A young cell of an indexed shape was filled by copying memory, without barriers (R4).
    ///
    /// # Safety
    /// The cell is young.
    pub unsafe fn filled_by_copy(&mut self, cell: Ref) {
        // SAFETY: by the caller.
        if unsafe { cell.header() }.has(flags::CARDED) {
            self.dirty_all(cell);
        }
    }

    // ---- threads

    /// The thread is about to run, be closed, or be written to from outside (R11); also for the resumer when a coroutine yields or ends (R7).
    ///
    /// # Safety
    /// `thread` is a live or young cell of shape `Thread`, its stack's `top` is right.
    #[inline]
    pub unsafe fn touch_thread(&mut self, thread: Ref) {
        self.touch(thread);
    }

    // ---- weak references, finalizers, interned cells

    /// A weak slot is about to name `target`.
    ///
    /// # Safety
    /// Here and below: the cells are live or young (or, read from a weak slot, as the collector left them).
    #[inline]
    pub unsafe fn weak_hold(&mut self, target: Ref) {
        self.hold_weakly(target);
    }
    /// Reads a weak value: `false` means that it reads as nil. A `true` is a weak load (R14).
    ///
    /// # Safety
    /// As for [`Heap::weak_hold`].
    pub unsafe fn weak_value(&mut self, target: Ref) -> bool {
        let alive = !self.dead_value(target);
        if alive {
            self.weak_load(target);
        }
        alive
    }
    /// Reads a weak key in an iteration: `false` means that the entry reads as absent. A `true` is a weak load.
    ///
    /// # Safety
    /// As for [`Heap::weak_hold`].
    pub unsafe fn weak_key(&mut self, key: Ref) -> bool {
        let alive = !self.key_reads_nil(key);
        if alive {
            self.weak_load(key);
        }
        alive
    }
    /// The value of a weak-keyed entry has been read (R14).
    ///
    /// # Safety
    /// As for [`Heap::weak_hold`].
    #[inline]
    pub unsafe fn ephemeron_value(&mut self, value: Ref) {
        if self.col.shading {
            self.shade(value);
        }
    }
    /// Whether the copy of a weak storage keeps an entry with this weak value or key; also to be asked before an entry moves within its storage (R13).
    ///
    /// # Safety
    /// As for [`Heap::weak_hold`].
    pub unsafe fn copy_keeps(&mut self, target: Ref, is_key: bool) -> bool {
        self.without(Sabotage::WeakCopy) || if is_key { !self.dead_key(target) } else { !self.dead_value(target) }
    }
    /// A lookup in the table of interned cells found this one: `false` means that it counts as absent (R15); the table then forgets it.
    ///
    /// # Safety
    /// As for [`Heap::weak_hold`].
    #[inline]
    pub unsafe fn intern_hit(&mut self, cell: Ref) -> bool {
        self.hit_interned(cell)
    }
    /// A cell has been entered into the table of interned cells.
    ///
    /// # Safety
    /// As for [`Heap::weak_hold`]; the cell is of shape `Leaf`.
    pub unsafe fn interned(&mut self, cell: Ref) {
        // SAFETY: by the caller.
        let header = unsafe { cell.header() };
        if !header.has(flags::INTERNED) {
            header.set(flags::INTERNED);
            if header.has(flags::YOUNG) {
                self.col.young_interned.push(cell.addr(), &mut self.store);
            }
        }
    }
    /// Marks the object for finalization.
    ///
    /// # Safety
    /// As for [`Heap::weak_hold`].
    pub unsafe fn set_finalizer(&mut self, object: Ref) {
        self.give_finalizer(object);
    }
    /// The next object to finalize, in the order of the language (the reverse of [`Heap::set_finalizer`] within one cycle). The reference is on loan
    /// until the next safepoint: put it on a stack.
    pub fn next_finalizer(&mut self) -> Option<Ref> {
        self.pop_finalizer()
    }
    /// How many objects [`Heap::next_finalizer`] has to hand over by now.
    pub fn finalizers_waiting(&self) -> usize {
        self.col.fin_queue.len()
    }
    /// Queues every object that still has a finalizer, last set first; for the closing of the runtime.
    pub fn queue_all_finalizers(&mut self) {
        self.queue_every_finalizer();
    }

    // ---- safepoints

    /// Does what is due: an epoch end, slices. Call when the poll word has [`poll::COLLECT`] (it is cleared here), at a safepoint.
    ///
    /// # Safety
    /// Every reference that the runtime holds is in a root, on a stack below `top`, or in a cell reached from them. The roots are live or young cells
    /// of this heap, those of the chain threads.
    pub unsafe fn safepoint(&mut self, roots: &dyn RootSource) {
        self.poll.fetch_and(!poll::COLLECT, Ordering::Relaxed);
        self.start_ticker();
        self.stop(roots);
    }
    /// Whether the last safepoint has found less left before the limit than small requests should have, though it has collected everything. The
    /// runtime does well to raise its memory error where it stands, while there is room to handle it.
    pub fn take_exhausted(&mut self) -> bool {
        self.exhausted()
    }
    /// The next safepoint is to be an epoch end: a stack has grown by so much that its scan should not wait.
    pub fn request_epoch(&mut self) {
        self.col.pacer.epoch_wanted = true;
        self.request_safepoint();
    }
    /// A whole collection: epoch ends and slices until no garbage of now is left, finalizers queued. Same obligations.
    ///
    /// # Safety
    /// As for [`Heap::safepoint`].
    pub unsafe fn collect_full(&mut self, roots: &dyn RootSource) {
        self.collect_whole(roots);
    }
    /// A step of work in proportion to `bytes` of allocation, 0 for a slice; `true` if a cycle ended, or there is no need of one. Same obligations.
    ///
    /// # Safety
    /// As for [`Heap::safepoint`].
    pub unsafe fn step(&mut self, roots: &dyn RootSource, bytes: usize) -> bool {
        self.step_by(roots, bytes)
    }
    /// Stops (or lets go on) the collections that the heap starts by itself.
    pub fn set_running(&mut self, running: bool) {
        self.col.pacer.running = running;
        self.set_alarm();
    }
    pub fn is_running(&self) -> bool {
        self.col.pacer.running
    }

    /// The first stop of a program starts the ticker: what ends before that needs none.
    fn start_ticker(&mut self) {
        if self.ticker.is_none() && self.stress_cycle == 0 {
            self.ticker = Some(Ticker::start(self.poll.clone(), poll::COLLECT));
        }
    }

    // ---- figures

    /// Bytes in use: live cells, young ones allocated since the last epoch end, explicit blocks.
    pub fn used_bytes(&self) -> usize {
        self.store.memory.used_bytes()
    }
    /// The same as the program sees it: without what the allocator only has at hand, and without the lists of the collector. Dearer to find out.
    pub fn allocated_bytes(&self) -> usize {
        self.store.memory.allocated_bytes().saturating_sub(self.store.queue_bytes())
    }
    /// Bytes committed to the heap: an estimate, from above, of its resident memory.
    pub fn mapped_bytes(&self) -> usize {
        self.store.memory.mapped_bytes()
    }
    pub fn pauses(&self) -> &Pauses {
        &self.pauses
    }
    /// Running totals. Young cells count from the end of their epoch on.
    pub fn counters(&self) -> Counters {
        self.col.counters
    }
    pub fn limit_bytes(&self) -> usize {
        self.store.memory.limit()
    }
    pub fn set_limit_bytes(&mut self, bytes: usize) {
        self.store.memory.set_limit(bytes);
    }

    /// The most bytes that were ever committed.
    pub fn peak_bytes(&self) -> usize {
        self.store.memory.peak_bytes()
    }
    /// For tests: requests to the operating system are refused. Says what was left of the faults asked for before.
    #[doc(hidden)]
    pub fn inject(&mut self, faults: Faults) -> Faults {
        self.store.memory.inject(faults)
    }

    // ---- explicit blocks

    /// An explicit block of at least `size` bytes, 16-byte aligned, neither scanned nor freed by the collector.
    pub fn malloc(&mut self, size: usize) -> Result<NonNull<u8>, OutOfMemory> {
        self.with_relief(size, |heap| heap.store.malloc(size))
    }
    /// # Safety
    /// `block` came from this heap's `malloc` family and was not freed; `old_size` is what was asked for.
    pub unsafe fn realloc(&mut self, block: NonNull<u8>, _old_size: usize, size: usize) -> Result<NonNull<u8>, OutOfMemory> {
        // SAFETY: by the caller.
        self.with_relief(size, |heap| unsafe { heap.store.explicit.realloc(&mut heap.store.memory, block, size) })
    }
    /// # Safety
    /// `block` came from this heap's `malloc` family and was not freed.
    pub unsafe fn free(&mut self, block: NonNull<u8>) {
        // SAFETY: by the caller.
        unsafe { self.store.free(block) };
    }
}

impl<R: Runtime> Drop for Heap<R> {
    /// Runs the destructors of all cells; the memory goes in one piece.
    fn drop(&mut self) {
        self.ticker = None;
        if std::env::var_os("NEAP_GC_STATS").is_some() {
            for c in crate::observe::Cause::ALL {
                let x = self.pauses.summary(c);
                if x.count > 0 {
                    eprintln!(
                        "{:10} n {:8} p50 {:7} p99 {:7} p999 {:7} max {:8} us, total {:7} ms",
                        c.name(),
                        x.count,
                        x.p50_ns / 1000,
                        x.p99_ns / 1000,
                        x.p999_ns / 1000,
                        x.max_ns / 1000,
                        x.total_ns / 1000000
                    );
                }
            }
            eprintln!("{:?}", self.col.counters);
            eprintln!(
                "used {} mapped {} peak {}, epoch_bytes {} phase {:?} events {} queue {}",
                self.used_bytes(),
                self.mapped_bytes(),
                self.store.memory.peak_bytes(),
                self.col.pacer.epoch_bytes,
                self.col.phase,
                self.col.events,
                self.store.queue_bytes()
            );
        }
        let mut doomed = Vec::new();
        let mut id = 0;
        if R::KINDS.iter().any(|kind| kind.destructor) {
            while let Some(block) = self.store.memory.next_block(id) {
                self.store.memory.for_each_live_in(block, |cell| {
                    // SAFETY: a live cell has a header.
                    unsafe {
                        let r = Ref::from_ptr(cell);
                        let header = r.header();
                        if header.has(flags::SPECIAL) && !header.has(flags::CORPSE | flags::DETACHED) {
                            doomed.push(r);
                        }
                    }
                });
                id = block + 1;
            }
        }
        // SAFETY: the young ones of special kinds are listed; each cell comes once (C1: one that was adopted is listed and live, not young).
        unsafe {
            doomed
                .extend(self.col.young_special.iter().map(|word| Ref::from_addr(word)).filter(|r| r.header().has(flags::YOUNG)));
            for r in doomed {
                if Kinds::<R>::destructor(r.kind()) {
                    self.destroy(r);
                }
            }
        }
    }
}
