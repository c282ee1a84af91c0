//! Chunked queues of words: every list of the collector that can grow with the program is one of these.
//!
//! Invariants:
//! I1. The chunks of a queue form a doubly linked list from `head` to `tail`; both are null if the queue never held anything.
//! I2. The words in use are those from `read` in `head` to `write` in `tail`, and in each chunk but the tail up to its `fill`.
//! I3. Growing takes one chunk of fixed size: nothing is copied, and no pause grows with the queue.
//! I4. A push never fails: when the heap's limit is reached, chunks come from the host's allocator, so a collector step can always be finished.
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
/// Bytes in front of a block of [`Store::raw_alloc`].
const RAW_HEAD: usize = 16;

#[repr(C)]
struct Chunk {
    next: *mut Chunk,
    prev: *mut Chunk,
    fill: usize,
    /// From the host's allocator (I4).
    foreign: bool,
    words: [usize; CHUNK_WORDS],
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
    fn take(&mut self) -> *mut Chunk {
        let chunk = self.spare;
        if !chunk.is_null() {
            // SAFETY: I1 of the spare list: it links whole chunks that nobody uses.
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
    fn give(&mut self, chunk: *mut Chunk) {
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

    /// Memory of the host, when the heap has none left (I4).
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

    /// Memory for the collector's own lists that are no queues; never fails (I4). The word in front says where it came from.
    pub fn raw_alloc(&mut self, bytes: usize) -> NonNull<u8> {
        let bytes = bytes + RAW_HEAD;
        let (block, origin) = match self.malloc(bytes) {
            Ok(block) => (block, 0),
            Err(_) => (self.foreign_alloc(bytes), 1),
        };
        // SAFETY: the block is longer than its head.
        unsafe {
            block.cast::<usize>().write(origin);
            block.add(RAW_HEAD)
        }
    }

    /// # Safety
    /// `block` came from [`Store::raw_alloc`] and was not freed.
    pub unsafe fn raw_free(&mut self, block: NonNull<u8>) {
        // SAFETY: by the caller, the head stands in front.
        unsafe {
            let block = block.sub(RAW_HEAD);
            match block.cast::<usize>().read() {
                0 => self.free(block),
                _ => self.foreign_free(block),
            }
        }
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
}

impl Drop for Store {
    fn drop(&mut self) {
        while !self.foreign.is_null() {
            // SAFETY: the list links blocks that the host has given, and what is in them is not used any more.
            unsafe { self.foreign_free(NonNull::new_unchecked(self.foreign.add(1).cast())) };
        }
    }
}

/// A place in a queue that survives pushes and pops ([`Queue::next`]).
pub(crate) struct Cursor {
    place: u64,
    chunk: *mut Chunk,
    at: usize,
}

impl Cursor {
    pub const fn new() -> Cursor {
        Cursor { place: 0, chunk: ptr::null_mut(), at: 0 }
    }
}

/// A queue of words, used from both ends.
pub(crate) struct Queue {
    head: *mut Chunk,
    tail: *mut Chunk,
    read: usize,
    write: usize,
    len: usize,
    /// Words taken from the front since the beginning, for cursors.
    popped: u64,
}

impl Queue {
    pub const fn new() -> Queue {
        Queue { head: ptr::null_mut(), tail: ptr::null_mut(), read: 0, write: CHUNK_WORDS, len: 0, popped: 0 }
    }
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.len
    }
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Words pushed since the beginning, of a queue used from the front.
    pub fn pushed(&self) -> u64 {
        self.popped + self.len as u64
    }
    pub fn popped(&self) -> u64 {
        self.popped
    }

    #[inline(always)]
    pub fn push(&mut self, word: usize, store: &mut Store) {
        if self.write == CHUNK_WORDS {
            self.grow(store);
        }
        // SAFETY: I1, and `write` is below the chunk's length.
        unsafe { *(&raw mut (*self.tail).words).cast::<usize>().add(self.write) = word };
        self.write += 1;
        self.len += 1;
    }

    /// Makes sure that the next `words` pushes stand side by side.
    #[inline]
    pub fn reserve(&mut self, words: usize, store: &mut Store) {
        debug_assert!(words <= CHUNK_WORDS);
        if self.write + words > CHUNK_WORDS {
            self.grow(store);
        }
    }

    /// Where the next pushes go: room for as many words as [`Queue::reserve`] was asked for.
    #[inline(always)]
    pub fn room(&mut self) -> *mut usize {
        // SAFETY: after a `reserve` there is a tail, and `write` is within it.
        unsafe { (&raw mut (*self.tail).words).cast::<usize>().add(self.write) }
    }

    /// So many words have been written to the room.
    #[inline(always)]
    pub fn pushed_words(&mut self, words: usize) {
        self.write += words;
        self.len += words;
        debug_assert!(self.write <= CHUNK_WORDS);
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, store: &mut Store) {
        let chunk = store.take();
        // SAFETY: I1.
        unsafe {
            (*chunk).next = ptr::null_mut();
            (*chunk).prev = self.tail;
            if self.tail.is_null() {
                self.head = chunk;
                self.read = 0;
            } else {
                (*self.tail).fill = self.write;
                (*self.tail).next = chunk;
            }
        }
        self.tail = chunk;
        self.write = 0;
    }

    #[inline(always)]
    pub fn pop_back(&mut self, store: &mut Store) -> Option<usize> {
        if self.len == 0 {
            return None;
        }
        if self.write == 0 {
            self.shrink_back(store);
        }
        self.len -= 1;
        self.write -= 1;
        // SAFETY: I2: the queue isn't empty, so the word below `write` is in use.
        Some(unsafe { *(&raw const (*self.tail).words).cast::<usize>().add(self.write) })
    }

    #[cold]
    #[inline(never)]
    fn shrink_back(&mut self, store: &mut Store) {
        while self.write == 0 {
            let chunk = self.tail;
            // SAFETY: I1; words are left, so a chunk stands before an empty tail.
            unsafe {
                self.tail = (*chunk).prev;
                (*self.tail).next = ptr::null_mut();
                self.write = (*self.tail).fill;
            }
            store.give(chunk);
        }
    }

    #[inline(always)]
    pub fn pop_front(&mut self, store: &mut Store) -> Option<usize> {
        if self.len == 0 {
            return None;
        }
        // SAFETY: I1.
        if self.head != self.tail && self.read == unsafe { (*self.head).fill } {
            self.shrink_front(store);
        }
        self.len -= 1;
        self.popped += 1;
        // SAFETY: I2: the queue isn't empty, so the word at `read` is in use.
        let word = unsafe { *(&raw const (*self.head).words).cast::<usize>().add(self.read) };
        self.read += 1;
        if self.len == 0 {
            self.clear(store);
        }
        Some(word)
    }

    #[cold]
    #[inline(never)]
    fn shrink_front(&mut self, store: &mut Store) {
        // SAFETY: I1, I2: words are left, so a chunk follows; a chunk that was closed early may be empty.
        unsafe {
            while self.head != self.tail && self.read == (*self.head).fill {
                let chunk = self.head;
                self.head = (*chunk).next;
                (*self.head).prev = ptr::null_mut();
                self.read = 0;
                store.give(chunk);
            }
        }
    }

    /// Takes over all words of another queue, behind its own. The other has only been pushed to.
    pub fn append(&mut self, other: &mut Queue) {
        debug_assert!(other.read == 0);
        if other.len == 0 {
            return;
        }
        let other = std::mem::replace(other, Queue::new());
        if self.len == 0 {
            debug_assert!(self.head.is_null(), "an empty queue holds no chunk");
            *self = Queue { popped: self.popped, ..other };
            return;
        }
        // SAFETY: I1, I2: both queues have a head and a tail.
        unsafe {
            (*self.tail).fill = self.write;
            (*self.tail).next = other.head;
            (*other.head).prev = self.tail;
        }
        (self.tail, self.write) = (other.tail, other.write);
        self.len += other.len;
    }

    /// The next word from the front.
    pub fn front(&self) -> Option<usize> {
        self.iter().next()
    }

    /// The word `ahead` places behind the next one, if it stands in the same chunk: a hint for prefetching.
    #[inline(always)]
    pub fn peek(&self, ahead: usize) -> Option<usize> {
        if ahead >= self.len || self.read + ahead >= CHUNK_WORDS {
            return None;
        }
        // SAFETY: the index is within the chunk; a word past the fill of a chunk may be stale, and is only a hint. Every chunk was written up to
        // its `fill` at least once; the bound by `len` and by the fill keeps the read in written memory.
        unsafe {
            let limit = if self.head == self.tail { self.write } else { (*self.head).fill };
            (self.read + ahead < limit).then(|| *(&raw const (*self.head).words).cast::<usize>().add(self.read + ahead))
        }
    }

    /// Empties the queue and gives every chunk back: an idle queue holds no memory.
    #[cold]
    pub fn clear(&mut self, store: &mut Store) {
        let mut chunk = self.head;
        while !chunk.is_null() {
            // SAFETY: I1.
            let next = unsafe { (*chunk).next };
            store.give(chunk);
            chunk = next;
        }
        *self = Queue { popped: self.popped + self.len as u64, ..Queue::new() };
    }

    /// The words of a record that [`Queue::reserve`] kept together, at the front; they stay valid until the next call that changes the queue.
    ///
    /// # Safety
    /// The next `n` words stand side by side.
    pub unsafe fn front_words<'a>(&mut self, n: usize, store: &mut Store) -> &'a [usize] {
        // SAFETY: I1, I2, and the caller vouches for the place.
        unsafe {
            if self.head != self.tail && self.read == (*self.head).fill {
                self.shrink_front(store);
            }
            std::slice::from_raw_parts((&raw const (*self.head).words).cast::<usize>().add(self.read), n)
        }
    }

    /// Drops the `n` words that [`Queue::front_words`] showed.
    pub fn skip_front(&mut self, n: usize, store: &mut Store) {
        self.read += n;
        self.len -= n;
        self.popped += n as u64;
        if self.len == 0 {
            self.clear(store);
        }
    }

    /// The word at the cursor, which moves on; words that were popped meanwhile are skipped. For queues used from the front only.
    pub fn next(&self, cursor: &mut Cursor) -> Option<usize> {
        if cursor.place <= self.popped {
            *cursor = Cursor { place: self.popped, chunk: self.head, at: self.read };
        }
        if cursor.place == self.popped + self.len as u64 {
            return None;
        }
        // SAFETY: I1, I2: the word is still queued, so its chunk (or the one before, used up) is still linked.
        unsafe {
            while cursor.chunk != self.tail && cursor.at == (*cursor.chunk).fill {
                cursor.chunk = (*cursor.chunk).next;
                cursor.at = 0;
            }
            let word = (&raw const (*cursor.chunk).words).cast::<usize>().add(cursor.at).read();
            cursor.place += 1;
            cursor.at += 1;
            Some(word)
        }
    }

    /// All words, front to back: for the auditor.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        let (mut chunk, mut at, mut left) = (self.head, self.read, self.len);
        std::iter::from_fn(move || {
            if left == 0 {
                return None;
            }
            left -= 1;
            // SAFETY: I1, I2: `left` words follow.
            unsafe {
                while chunk != self.tail && at == (*chunk).fill {
                    chunk = (*chunk).next;
                    at = 0;
                }
                at += 1;
                Some((&raw const (*chunk).words).cast::<usize>().add(at - 1).read())
            }
        })
    }
}

/// An array that grows by segments: nothing is copied but the table of segments.
pub(crate) struct Segments<T> {
    table: *mut *mut T,
    /// Segments that have memory, and those that there is room for in the table.
    segments: usize,
    capacity: usize,
    len: usize,
}

/// Elements of a segment.
const SEGMENT_LEN: usize = 256;

impl<T: Copy> Segments<T> {
    pub const fn new() -> Segments<T> {
        Segments { table: ptr::null_mut(), segments: 0, capacity: 0, len: 0 }
    }
    pub fn len(&self) -> usize {
        self.len
    }

    fn at(&self, index: usize) -> *mut T {
        assert!(index < self.len, "an index within the array");
        // SAFETY: the segments cover all elements.
        unsafe { (*self.table.add(index / SEGMENT_LEN)).add(index % SEGMENT_LEN) }
    }
    pub fn get(&self, index: usize) -> &T {
        // SAFETY: an element, written when it was pushed.
        unsafe { &*self.at(index) }
    }
    pub fn get_mut(&mut self, index: usize) -> &mut T {
        // SAFETY: as above.
        unsafe { &mut *self.at(index) }
    }

    pub fn push(&mut self, value: T, store: &mut Store) {
        if self.len == self.segments * SEGMENT_LEN {
            self.grow(store);
        }
        self.len += 1;
        // SAFETY: an element of a segment that has memory.
        unsafe { self.at(self.len - 1).write(value) };
    }

    #[cold]
    fn grow(&mut self, store: &mut Store) {
        // SAFETY: the sizes are those that the memory was taken with.
        unsafe {
            if self.segments == self.capacity {
                let capacity = (self.capacity * 2).max(8);
                let table = store.raw_alloc(capacity * size_of::<*mut T>()).cast::<*mut T>();
                if let Some(old) = NonNull::new(self.table) {
                    ptr::copy_nonoverlapping(self.table, table.as_ptr(), self.segments);
                    store.raw_free(old.cast());
                }
                self.table = table.as_ptr();
                self.capacity = capacity;
            }
            let segment = store.raw_alloc(SEGMENT_LEN * size_of::<T>()).cast::<T>();
            self.table.add(self.segments).write(segment.as_ptr());
        }
        self.segments += 1;
    }

    /// Empties the array; its memory is kept until [`Segments::shrink`].
    pub fn forget(&mut self) {
        self.len = 0;
    }

    /// Gives back a segment that holds nothing; `false` if there is none.
    pub fn shrink(&mut self, store: &mut Store) -> bool {
        if self.segments == self.len.div_ceil(SEGMENT_LEN) {
            return false;
        }
        self.segments -= 1;
        // SAFETY: as in `grow`; no element stands in the segment.
        unsafe {
            store.raw_free(NonNull::new_unchecked(*self.table.add(self.segments)).cast());
            if self.segments == 0 {
                store.raw_free(NonNull::new_unchecked(self.table).cast());
                self.table = ptr::null_mut();
                self.capacity = 0;
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::tests::Random;

    #[test]
    fn the_host_lends_what_the_heap_refuses_in_any_order() {
        let mut store = Store::new(Memory::new(0));
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
        assert!(linked == blocks.len() && linked > 100);
        let mut queue = Queue::new();
        (0..10_000).for_each(|word| queue.push(word, &mut store));
        assert!((0..9_000).all(|word| queue.pop_front(&mut store) == Some(word)));
        // The rest goes with the store.
    }
}
