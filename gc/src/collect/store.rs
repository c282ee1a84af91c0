//! Memory for the collector's own lists: chunks of queues, and blocks of other sizes.
//!
//! Invariants:
//! * **lists-never-fail** When the heap's limit is reached, memory for lists comes from the host's allocator, so a step of the collector can always be finished.
//!
//! May import: `memory`, `explicit`.

use crate::explicit::Explicit;
use crate::memory::{Memory, OutOfMemory};
use std::alloc::Layout;
use std::ptr::{self, NonNull};

/// Words of a chunk; the longest record of the log fits.
pub(crate) const CHUNK_WORDS: usize = 1020;
/// Spare chunks kept for reuse; the rest goes back to the heap.
const SPARE_MAX: usize = 16;

/// A piece of a queue: `next` and `prev` link those of one queue, or the spare ones.
#[repr(C)]
pub(super) struct Chunk {
    pub next: *mut Chunk,
    pub prev: *mut Chunk,
    pub fill: usize,
    /// From the host's allocator.
    foreign: bool,
    pub words: [usize; CHUNK_WORDS],
}

/// The head in front of a block that the host has given; these heads form a doubly linked list.
#[repr(C, align(16))]
struct Foreign {
    next: *mut Foreign,
    prev: *mut Foreign,
    layout: Layout,
}

/// The memory layer together with the spare chunks of the queues.
pub(crate) struct Store {
    pub memory: Memory,
    pub explicit: Explicit,
    spare: *mut Chunk,
    spare_len: usize,
    chunks: usize,
    /// What the host has given, the last first.
    foreign: *mut Foreign,
}

impl Store {
    pub fn new(memory: Memory) -> Store {
        Store { memory, explicit: Explicit::new(), spare: ptr::null_mut(), spare_len: 0, chunks: 0, foreign: ptr::null_mut() }
    }

    #[inline]
    pub fn malloc(&mut self, size: usize) -> Result<NonNull<u8>, OutOfMemory> {
        self.explicit.malloc(&mut self.memory, size)
    }
    /// # Safety
    /// `block` came from [`Store::malloc`] or its family and was not freed.
    #[inline]
    pub unsafe fn free(&mut self, block: NonNull<u8>) {
        // SAFETY: by the caller.
        unsafe { self.explicit.free(&mut self.memory, block) };
    }

    /// Bytes of all chunks, spare ones too.
    pub fn queue_bytes(&self) -> usize {
        self.chunks * size_of::<Chunk>()
    }

    #[cold]
    pub(super) fn take(&mut self) -> *mut Chunk {
        let chunk = self.spare;
        if !chunk.is_null() {
            // SAFETY: the spare list links whole chunks that nobody uses.
            self.spare = unsafe { (*chunk).next };
            self.spare_len -= 1;
            return chunk;
        }
        self.chunks += 1;
        let (chunk, foreign) = match self.malloc(size_of::<Chunk>()) {
            Ok(block) => (block.cast::<Chunk>().as_ptr(), false),
            Err(_) => (self.foreign_alloc(size_of::<Chunk>()).cast::<Chunk>().as_ptr(), true),
        };
        // SAFETY: fresh memory of the size of a chunk.
        unsafe { (*chunk).foreign = foreign };
        chunk
    }

    #[cold]
    pub(super) fn give(&mut self, chunk: *mut Chunk) {
        // SAFETY: the chunk was just unlinked from its queue.
        unsafe {
            if self.spare_len < SPARE_MAX && !(*chunk).foreign {
                (*chunk).next = self.spare;
                self.spare = chunk;
                self.spare_len += 1;
                return;
            }
            self.chunks -= 1;
            if (*chunk).foreign {
                self.foreign_free(NonNull::new_unchecked(chunk.cast()));
            } else {
                self.free(NonNull::new_unchecked(chunk.cast()));
            }
        }
    }

    /// Memory of the host, when the heap has none left (lists-never-fail).
    #[cold]
    fn foreign_alloc(&mut self, bytes: usize) -> NonNull<u8> {
        let bytes = bytes.saturating_add(size_of::<Foreign>());
        let layout = Layout::from_size_align(bytes, align_of::<Foreign>()).expect("lists are small");
        // SAFETY: the layout is not empty.
        let Some(block) = NonNull::new(unsafe { std::alloc::alloc(layout) }) else { std::alloc::handle_alloc_error(layout) };
        let head = block.cast::<Foreign>().as_ptr();
        // SAFETY: room for the head and what was asked for; the first of the list is a head too.
        unsafe {
            head.write(Foreign { next: self.foreign, prev: ptr::null_mut(), layout });
            if !self.foreign.is_null() {
                (*self.foreign).prev = head;
            }
            self.foreign = head;
            block.add(size_of::<Foreign>())
        }
    }

    /// # Safety
    /// `block` came from [`Store::foreign_alloc`] and was not freed.
    #[cold]
    unsafe fn foreign_free(&mut self, block: NonNull<u8>) {
        // SAFETY: by the caller, a head stands in front, and its neighbours in the list are heads too.
        unsafe {
            let head = block.sub(size_of::<Foreign>()).cast::<Foreign>().as_ptr();
            let Foreign { next, prev, layout } = head.read();
            if prev.is_null() {
                self.foreign = next;
            } else {
                (*prev).next = next;
            }
            if !next.is_null() {
                (*next).prev = prev;
            }
            std::alloc::dealloc(head.cast(), layout);
        }
    }

    /// Memory for the collector's own lists that are no queues; never fails (lists-never-fail). Nothing stands in front of it: pieces of a power of two
    /// waste no memory.
    pub fn raw_alloc(&mut self, bytes: usize) -> NonNull<u8> {
        match self.malloc(bytes) {
            Ok(block) => block,
            Err(_) => self.foreign_alloc(bytes),
        }
    }

    /// # Safety
    /// `block` came from [`Store::raw_alloc`] and was not freed.
    pub unsafe fn raw_free(&mut self, block: NonNull<u8>) {
        // What the host gave is in no segment of the heap.
        let ours = self.foreign.is_null() || self.memory.pages.find(block.as_ptr().addr()).is_some();
        // SAFETY: by the caller.
        unsafe { if ours { self.free(block) } else { self.foreign_free(block) } }
    }

    /// Gives the spare chunks back to the heap.
    pub fn trim(&mut self) {
        while !self.spare.is_null() {
            let chunk = self.spare;
            // SAFETY: as in `take`; spare chunks are never foreign.
            unsafe {
                self.spare = (*chunk).next;
                self.free(NonNull::new_unchecked(chunk.cast()));
            }
            self.spare_len -= 1;
            self.chunks -= 1;
        }
    }

    /// Gives the free cells that `malloc` has at hand back to their blocks.
    pub fn trim_magazines(&mut self) {
        self.explicit.trim(&mut self.memory);
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        while !self.foreign.is_null() {
            // SAFETY: the list links blocks that the host has given, and what is in them is not used any more.
            unsafe { self.foreign_free(NonNull::new_unchecked(self.foreign.add(1).cast())) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::queue::Queue;
    use super::*;
    use crate::memory::tests::Random;

    #[test]
    fn the_host_lends_what_the_heap_refuses_in_any_order() {
        // Some come from the heap, some from the host: nothing but their address tells.
        let mut store = Store::new(Memory::new(512 << 10));
        let (mut random, mut blocks) = (Random::new(1), Vec::new());
        for n in 0..1000 {
            if random.below(5) < 3 {
                let block = store.raw_alloc(8 * n + 8).cast::<usize>();
                assert_eq!(block.as_ptr().addr() % 16, 0);
                // SAFETY: the ends of the block.
                unsafe {
                    block.write(n);
                    block.add(n).write(n);
                }
                blocks.push((block, n));
            } else if !blocks.is_empty() {
                let (block, n) = blocks.swap_remove(random.below(blocks.len()));
                // SAFETY: a block of `raw_alloc`, freed once.
                unsafe {
                    assert_eq!((block.read(), block.add(n).read()), (n, n));
                    store.raw_free(block.cast());
                }
            }
        }
        let (mut linked, mut at) = (0, store.foreign);
        while !at.is_null() {
            linked += 1;
            // SAFETY: a head in the list.
            at = unsafe { (*at).next };
        }
        assert!((10..blocks.len() - 10).contains(&linked), "{linked} of {}", blocks.len());
        let mut queue = Queue::new();
        (0..10_000).for_each(|word| queue.push(word, &mut store));
        assert!((0..9_000).all(|word| queue.pop_front(&mut store) == Some(word)));
        // The rest goes with the store.
    }
}
