//! Chunked queues of words: every list of the collector that can grow with the program is one of these.
//!
//! Invariants:
//! * **chunks-are-linked** The chunks of a queue form a doubly linked list from `head` to `tail`; both are null if the queue never held anything.
//! * **words-are-written** The words in use are those from `read` in `head` to `write` in `tail`, and in each chunk but the tail up to its `fill`.
//! * **nothing-is-copied** Growing takes one chunk of fixed size, so no pause grows with the queue.
//!
//! Imports `store`.

use super::store::{CHUNK_WORDS, Chunk, Store};
use std::ptr;

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
        // SAFETY: chunks-are-linked, and `write` is below the chunk's length.
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

    /// Whether as many pushes stand side by side without growing.
    #[inline(always)]
    pub fn has_room(&self, words: usize) -> bool {
        self.write + words <= CHUNK_WORDS
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
        // SAFETY: chunks-are-linked.
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
        // SAFETY: words-are-written: the queue isn't empty, so the word below `write` is in use.
        Some(unsafe { *(&raw const (*self.tail).words).cast::<usize>().add(self.write) })
    }

    #[cold]
    #[inline(never)]
    fn shrink_back(&mut self, store: &mut Store) {
        while self.write == 0 {
            let chunk = self.tail;
            // SAFETY: chunks-are-linked; words are left, so a chunk stands before an empty tail.
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
        let word = self.pop_front_keeping(store);
        if self.len == 0 && word.is_some() {
            self.clear(store);
        }
        word
    }

    /// The same, but the queue keeps one chunk when it is emptied: one that has a word at a time, as that of a list that is marked, would give it back and
    /// take it again each time. Its user calls [`Queue::clear`] at the end.
    #[inline(always)]
    pub fn pop_front_keeping(&mut self, store: &mut Store) -> Option<usize> {
        if self.len == 0 {
            return None;
        }
        // SAFETY: chunks-are-linked.
        if self.head != self.tail && self.read == unsafe { (*self.head).fill } {
            self.shrink_front(store);
        }
        self.len -= 1;
        self.popped += 1;
        // SAFETY: words-are-written: the queue isn't empty, so the word at `read` is in use.
        let word = unsafe { *(&raw const (*self.head).words).cast::<usize>().add(self.read) };
        self.read += 1;
        if self.len == 0 && self.head == self.tail {
            (self.read, self.write) = (0, 0);
        }
        Some(word)
    }

    #[cold]
    #[inline(never)]
    fn shrink_front(&mut self, store: &mut Store) {
        // SAFETY: chunks-are-linked, words-are-written: words are left, so a chunk follows; a chunk that was closed early may be empty.
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
            debug_assert!(self.head.is_null(), "an empty queue that is not kept holds no chunk");
            *self = Queue { popped: self.popped, ..other };
            return;
        }
        // SAFETY: chunks-are-linked, words-are-written: both queues have a head and a tail.
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
            // SAFETY: chunks-are-linked.
            let next = unsafe { (*chunk).next };
            store.give(chunk);
            chunk = next;
        }
        *self = Queue { popped: self.popped + self.len as u64, ..Queue::new() };
    }

    /// The words at the front that stand side by side, whole records of them if [`Queue::reserve`] kept each together.
    ///
    /// # Safety
    /// The queue is not empty. The words stay valid until the next call that changes it.
    pub unsafe fn front_words<'a>(&mut self, store: &mut Store) -> &'a [usize] {
        // SAFETY: chunks-are-linked, words-are-written.
        unsafe {
            if self.head != self.tail && self.read == (*self.head).fill {
                self.shrink_front(store);
            }
            let end = if self.head == self.tail { self.write } else { (*self.head).fill };
            std::slice::from_raw_parts((&raw const (*self.head).words).cast::<usize>().add(self.read), end - self.read)
        }
    }

    /// Drops the first `n` of the words that [`Queue::front_words`] showed.
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
        // SAFETY: chunks-are-linked, words-are-written: the word is still queued, so its chunk (or the one before, used up) is still linked.
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
            // SAFETY: chunks-are-linked, words-are-written: `left` words follow.
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
