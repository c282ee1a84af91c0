//! `Heap<R>`: the face of the crate for virtual machines.
//!
//! SKELETON: allocates and never reclaims; fixes the interface that the interpreter is written against.

use crate::object::{Header, Ref, Runtime, flags};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

pub use crate::memory::OutOfMemory;

/// Settings of a heap.
#[derive(Clone, Debug)]
pub struct Config {
    /// Hard limit of the bytes taken from the operating system.
    pub limit_bytes: usize,
    /// Stress: an epoch end at every safepoint, a full cycle every n-th (0: off).
    pub stress_cycle: u32,
    /// Audit after every epoch end.
    pub audit: bool,
    /// Overwrite cells that die.
    pub poison: bool,
    /// Goal of the pacer, in microseconds.
    pub max_pause_us: u32,
}

impl Default for Config {
    fn default() -> Self {
        Config { limit_bytes: usize::MAX, stress_cycle: 0, audit: false, poison: false, max_pause_us: 500 }
    }
}

/// Where the collector asks for the roots, at an epoch end.
pub trait RootSource {
    /// The registered root slots, in a fixed order (lists are compared by position, R10).
    fn globals(&self, visit: &mut dyn FnMut(Ref));
    /// The running chain of threads: main thread first, current one last (R11).
    fn chain(&self, visit: &mut dyn FnMut(Ref));
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
}

impl<R: Runtime> Heap<R> {
    pub fn new(runtime: R, _config: Config) -> Result<Heap<R>, OutOfMemory> {
        Ok(Heap { runtime, poll: Arc::new(AtomicU32::new(0)) })
    }

    /// The word that the runtime checks at back edges and calls: not 0 means "come to [`Heap::safepoint`]".
    pub fn poll_word(&self) -> &Arc<AtomicU32> {
        &self.poll
    }

    /// Allocates a young cell of `size` bytes (header included, any size) with its header written; the rest is uninitialised and must be
    /// initialised before the next safepoint.
    ///
    /// # Safety
    /// `kind` is an index of `R::KINDS`.
    #[inline]
    pub unsafe fn alloc(&mut self, kind: u8, size: usize) -> Result<Ref, OutOfMemory> {
        let words = size.div_ceil(8);
        let ptr = Box::leak(vec![0u64; words].into_boxed_slice()).as_mut_ptr();
        // SAFETY: fresh memory of at least 8 bytes.
        unsafe {
            ptr.cast::<Header>().write(Header::new(kind, flags::YOUNG | flags::LOGGED));
            Ok(Ref::from_ptr(NonNull::new_unchecked(ptr.cast())))
        }
    }

    /// Makes a large run of shape `Array` bigger at its own address (R5). `false`: it can't grow, make a new one.
    ///
    /// # Safety
    /// The cell is live or young; after `true` the runtime writes the new slots and its own length before the next safepoint.
    pub unsafe fn grow(&mut self, _cell: Ref, _new_size: usize) -> Result<bool, OutOfMemory> {
        Ok(false)
    }

    /// Before a write of slot `slot` of `object`, if the old or the new content is a reference. (Slot index for indexed
    /// shapes, 0 otherwise.)
    ///
    /// # Safety
    /// The object is live or young.
    #[inline(always)]
    pub unsafe fn barrier(&mut self, object: Ref, slot: usize) -> Result<(), OutOfMemory> {
        // SAFETY: the caller vouches for the object.
        if unsafe { object.header() }.has(flags::LOGGED) { Ok(()) } else { self.barrier_slow(object, slot) }
    }

    #[cold]
    fn barrier_slow(&mut self, _object: Ref, _slot: usize) -> Result<(), OutOfMemory> {
        Ok(())
    }

    /// `new` replaces `old` as storages of one owner, and holds exactly the references that `old` holds now, as a multiset.
    /// Lets the new storages take over the counts, so that the next epoch end has no work in proportion to their size. Calls `R::forget`
    /// on the old ones where it does so. Must come right after the copy, with no safepoint between.
    ///
    /// # Safety
    /// As said; all are of shape `Array`.
    pub unsafe fn replace_storage(&mut self, _old: &[Ref], _new: &[Ref]) {}

    /// A young cell of shape `Array` was filled by copying memory, without barriers (R4).
    ///
    /// # Safety
    /// The cell is young.
    pub unsafe fn filled_by_copy(&mut self, _cell: Ref) {}

    // ---- threads

    /// The thread is about to run, be closed, or be written to from outside (R11); also for the resumer when a coroutine yields or ends (R7).
    ///
    /// # Safety
    /// `thread` is a live or young cell of shape `Thread`, its stack's `top` is right.
    pub unsafe fn touch_thread(&mut self, _thread: Ref) {}

    // ---- weak references, finalizers, interned cells

    /// A weak slot is about to name `target`.
    ///
    /// # Safety
    /// Here and below: the cells are live or young (or, read from a weak slot, as the collector left them).
    pub unsafe fn weak_hold(&mut self, _target: Ref) {}
    /// Reads a weak value: `false` means that it reads as nil. A `true` is a weak load (R14).
    pub unsafe fn weak_value(&mut self, _target: Ref) -> bool {
        true
    }
    /// Reads a weak key in an iteration: `false` means that the entry reads as absent. A `true` is a weak load.
    pub unsafe fn weak_key(&mut self, _key: Ref) -> bool {
        true
    }
    /// The value of a weak-keyed entry has been read (R14).
    pub unsafe fn ephemeron_value(&mut self, _value: Ref) {}
    /// Whether the copy of a weak storage keeps an entry with this weak value or key (R13).
    pub unsafe fn copy_keeps(&mut self, _target: Ref, _is_key: bool) -> bool {
        true
    }
    /// A lookup in the table of interned cells found this one: `false` means that it counts as absent (R15); the table then forgets it.
    pub unsafe fn intern_hit(&mut self, _cell: Ref) -> bool {
        true
    }
    /// A cell has been entered into the table of interned cells.
    pub unsafe fn interned(&mut self, _cell: Ref) {}
    /// Marks the object for finalization.
    pub unsafe fn set_finalizer(&mut self, _object: Ref) {}
    /// The next object to finalize, in the order of the language (the reverse of [`Heap::set_finalizer`] within one cycle). The reference is on loan
    /// until the next safepoint: put it on a stack.
    pub fn next_finalizer(&mut self) -> Option<Ref> {
        None
    }
    /// Queues every object that still has a finalizer, last set first; for the closing of the runtime.
    pub fn queue_all_finalizers(&mut self) {}

    // ---- safepoints

    /// Does what is due: an epoch end, slices. Call when the poll word has [`poll::COLLECT`] (it is cleared here), at a safepoint.
    ///
    /// # Safety
    /// Every reference that the runtime holds is in a root, on a stack below `top`, or in a cell reached from them.
    pub unsafe fn safepoint(&mut self, _roots: &dyn RootSource) {
        self.poll.fetch_and(!poll::COLLECT, Ordering::Relaxed);
    }
    /// The next safepoint is to be an epoch end (a stack has grown by much).
    pub fn request_epoch(&mut self) {}
    /// A whole collection: epoch ends and slices until no garbage of now is left, finalizers queued. Same obligations.
    ///
    /// # Safety
    /// As for [`Heap::safepoint`].
    pub unsafe fn collect_full(&mut self, _roots: &dyn RootSource) {}
    /// One step of about `bytes` of allocation; `true` if a cycle ended. Same obligations.
    ///
    /// # Safety
    /// As for [`Heap::safepoint`].
    pub unsafe fn step(&mut self, _roots: &dyn RootSource, _bytes: usize) -> bool {
        false
    }
    /// Stops (or lets go on) the collections that the heap starts by itself.
    pub fn set_running(&mut self, _running: bool) {}
    pub fn is_running(&self) -> bool {
        true
    }
    /// Bytes in use: live cells, young ones allocated since the last epoch end, explicit blocks.
    pub fn used_bytes(&self) -> usize {
        0
    }

    // ---- explicit blocks

    /// An explicit block of at least `size` bytes, 16-byte aligned, neither scanned nor freed by the collector.
    pub fn malloc(&mut self, size: usize) -> Result<NonNull<u8>, OutOfMemory> {
        let ptr = Box::leak(vec![0u128; size.div_ceil(16).max(1)].into_boxed_slice()).as_mut_ptr();
        NonNull::new(ptr.cast()).ok_or(OutOfMemory)
    }
    /// # Safety
    /// `block` came from this heap's `malloc` family and was not freed; `old_size` is what was asked for.
    pub unsafe fn realloc(&mut self, block: NonNull<u8>, old_size: usize, size: usize) -> Result<NonNull<u8>, OutOfMemory> {
        let new = self.malloc(size)?;
        // SAFETY: both are of the sizes given.
        unsafe { block.copy_to_nonoverlapping(new, old_size.min(size)) };
        Ok(new)
    }
    /// # Safety
    /// `block` came from this heap's `malloc` family and was not freed.
    pub unsafe fn free(&mut self, _block: NonNull<u8>) {}
}
