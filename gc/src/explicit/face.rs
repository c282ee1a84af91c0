//! The explicit side of [`Heap`]: what embedders call beside `malloc`, `realloc` and `free`, and the figures of the memory below.
//!
//! It stands above the collector, with `heap`; it is here because it only passes on.

use super::{CheckedBlocks, Explicit, FreeError};
use crate::heap::{Heap, OutOfMemory};
use crate::object::Runtime;
use std::ptr::NonNull;
use std::time::Instant;

impl<R: Runtime> Heap<R> {
    /// An explicit block of `count * size` bytes of zeros.
    pub fn calloc(&mut self, count: usize, size: usize) -> Result<NonNull<u8>, OutOfMemory> {
        self.store.explicit.calloc(&mut self.store.memory, count, size)
    }

    /// An explicit block at a multiple of `align`, a power of two up to [`super::MAX_ALIGN`]; any other alignment is an error.
    pub fn aligned_alloc(&mut self, align: usize, size: usize) -> Result<NonNull<u8>, OutOfMemory> {
        self.store.explicit.aligned(&mut self.store.memory, align, size)
    }

    /// The bytes that an explicit block really has.
    ///
    /// # Safety
    /// `block` came from this heap's `malloc` family and was not freed.
    pub unsafe fn usable_size(&self, block: NonNull<u8>) -> usize {
        // SAFETY: by the caller.
        unsafe { self.store.explicit.usable_size(&self.store.memory, block) }
    }

    /// Frees the explicit block at `addr`, which may be any number: what is not the start of an allocated block is an error.
    ///
    /// # Safety
    /// If a block is allocated there, it is not used again.
    pub unsafe fn free_checked(&mut self, addr: usize) -> Result<(), FreeError> {
        self.store.explicit.free_checked(&mut self.store.memory, addr)
    }

    /// Whether an allocated explicit block starts at `addr`.
    pub fn owns(&self, addr: usize) -> bool {
        self.store.explicit.owns(&self.store.memory, addr)
    }

    /// The checked blocks of this heap: explicit allocation that reports the classic errors instead of making them.
    pub fn checked(&mut self) -> CheckedBlocks<'_> {
        CheckedBlocks { memory: &mut self.store.memory, explicit: &mut self.store.explicit, checked: &mut self.checked }
    }

    /// Bytes of all explicit blocks, rounded up to their cells; what the heap itself has allocated so is among them.
    pub fn explicit_bytes(&self) -> usize {
        Explicit::allocated_bytes(&self.store.memory)
    }

    /// Calls `f` with address and size of each explicit block; what the heap itself has allocated so is among them.
    pub fn for_each_explicit(&self, f: impl FnMut(NonNull<u8>, usize)) {
        self.store.explicit.for_each(&self.store.memory, f);
    }

    /// Committed bytes that are free and go back to the system before long.
    pub fn idle_bytes(&self) -> usize {
        self.store.memory.idle_bytes()
    }

    /// The bytes up to the limit, for what the host takes on the heap's account. If they are fewer than `wanted`, what is known to be dead
    /// is released first, and idle memory goes back to the system.
    pub fn room_bytes(&mut self, wanted: usize) -> usize {
        let room = |heap: &Self| heap.limit_bytes().saturating_sub(heap.mapped_bytes());
        if room(self) < wanted {
            self.relieve();
            self.store.memory.make_room(wanted);
        }
        room(self)
    }

    /// Gives memory back to the system that has been idle for a while, about `max` bytes. Says how many.
    pub fn purge(&mut self, now: Instant, max: usize) -> usize {
        self.store.memory.purge(now, max)
    }
}
