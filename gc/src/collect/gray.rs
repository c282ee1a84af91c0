//! What marking has still to look at.
//!
//! Cells in blocks are taken block by block (`memory::gray`): the graph is followed not in its own order but in that of the memory. Large ones stand on a
//! stack, each with its position if it has been begun.
//!
//! Invariants:
//! * **gray-may-be-dead** What is gray or found and has died is recognised by its clear `live` bit (R9: the layout is pinned).
//! * **gray-block-listed** A block with gray cells is in `blocks`, or it is the one being scanned.
//!
//! May import: `memory`, `object`, and of the collector `queue`.

use super::queue::Queue;
use super::store::Store;
use crate::memory::{Found, GrayWord};
use crate::object::Ref;

/// How many references, or gray cells, wait for the cache.
const AHEAD: usize = 16;
/// The tag of a word in `large` that is not a cell: how far the cell below it has been scanned.
const POSITION: usize = 1;

/// Addresses that wait for the cache, the oldest first out. In use are the `len` words before `next`; the others are 0.
pub(super) struct Ahead {
    words: [usize; AHEAD],
    next: usize,
    len: usize,
}

impl Ahead {
    pub const fn new() -> Ahead {
        Ahead { words: [0; AHEAD], next: 0, len: 0 }
    }

    /// Takes `word` in; if there is no room for it, the oldest comes out.
    #[inline(always)]
    pub fn swap(&mut self, word: usize) -> Option<usize> {
        let oldest = std::mem::replace(&mut self.words[self.next], word);
        self.next = (self.next + 1) % AHEAD;
        if oldest == 0 {
            self.len += 1;
            return None;
        }
        Some(oldest)
    }

    #[inline(always)]
    pub fn pop(&mut self) -> Option<usize> {
        let at = (self.next + AHEAD - self.len) % AHEAD;
        self.len = self.len.checked_sub(1)?;
        Some(std::mem::take(&mut self.words[at]))
    }
}

pub(crate) struct Gray {
    /// Blocks with gray cells, first come first served: the longer one waits, the more of its cells it gets together.
    blocks: Queue,
    /// The block being scanned.
    block: Option<u32>,
    /// Gray cells that are runs or are scanned in parts, each with its position above it if it has been begun.
    large: Queue,
    /// References that were found. They are marked a little later, so that their bits can come into the cache meanwhile.
    found: Ahead,
    /// In the second round they are marked at once: there the release leaves what is unmarked to the sweep (R23), so what has been found must not look so.
    at_once: bool,
    /// What has been scanned in this cycle.
    scanned_bytes: usize,
}

impl Gray {
    pub const fn new() -> Gray {
        Gray { blocks: Queue::new(), block: None, large: Queue::new(), found: Ahead::new(), at_once: false, scanned_bytes: 0 }
    }

    pub fn begin(&mut self) {
        debug_assert!(self.is_empty());
        self.scanned_bytes = 0;
    }
    /// The cycle is over.
    pub fn end(&mut self, store: &mut Store) {
        debug_assert!(self.is_empty());
        self.blocks.clear(store);
    }
    /// The window begins or ends (R23).
    pub fn set_window(&mut self, window: bool) {
        self.at_once = window;
    }
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty() && self.block.is_none() && self.large.is_empty() && self.found.len == 0
    }
    pub fn scanned_bytes(&self) -> usize {
        self.scanned_bytes
    }
    #[inline(always)]
    pub fn has_scanned(&mut self, bytes: usize) {
        self.scanned_bytes += bytes;
    }

    /// Marks a cell, if it is live and unmarked: it is gray.
    #[inline(always)]
    pub fn shade(&mut self, r: Ref, store: &mut Store) {
        // SAFETY: the reference was read from a live cell or a list; marking has pinned the layout.
        let found = unsafe { store.memory.mark_found(r.as_nonnull()) };
        self.list(r, found, store);
    }

    /// A storage that is born black is to be scanned all the same (R28.6).
    pub fn shade_again(&mut self, r: Ref, store: &mut Store) {
        // SAFETY: live and marked; marking has pinned the layout.
        let found = unsafe { store.memory.make_gray(r.as_nonnull()) };
        self.list(r, found, store);
    }

    #[inline(always)]
    fn list(&mut self, r: Ref, found: Found, store: &mut Store) {
        match found {
            Found::Nothing | Found::Gray => {}
            // gray-block-listed
            Found::First(block) if self.block != Some(block) => self.blocks.push(block as usize, store),
            Found::First(_) => {}
            Found::Run => self.large.push(r.addr(), store),
        }
    }

    /// Like `shade`, a little later.
    #[inline(always)]
    pub fn found(&mut self, r: Ref, store: &mut Store) {
        if self.at_once {
            return self.shade(r, store);
        }
        store.memory.prefetch_bits(r.addr());
        if let Some(waited) = self.found.swap(r.addr()) {
            // SAFETY: gray-may-be-dead.
            self.shade(unsafe { Ref::from_addr(waited) }, store);
        }
    }

    /// Shades what has been found so far. `false` if there was nothing.
    pub fn shade_found(&mut self, store: &mut Store) -> bool {
        let any = self.found.len != 0;
        while let Some(word) = self.found.pop() {
            // SAFETY: gray-may-be-dead.
            self.shade(unsafe { Ref::from_addr(word) }, store);
        }
        any
    }

    #[inline(always)]
    fn next_block(&mut self, store: &mut Store) -> Option<u32> {
        if self.block.is_none() {
            self.block = self.blocks.pop_front_keeping(store).map(|block| block as u32);
        }
        self.block
    }

    /// The gray cells of a block that stand in one word of bits; they are gray no more.
    #[inline(always)]
    pub fn take_word(&mut self, store: &mut Store) -> Option<GrayWord> {
        while let Some(block) = self.next_block(store) {
            if let Some(word) = store.memory.take_gray_word(block) {
                return Some(word);
            }
            self.block = None;
        }
        None
    }

    /// The same for the first gray cell alone.
    pub fn take_cell(&mut self, store: &mut Store) -> Option<Ref> {
        while let Some(block) = self.next_block(store) {
            if let Some(cell) = store.memory.take_gray_cell(block) {
                // SAFETY: a live cell.
                return Some(unsafe { Ref::from_ptr(cell) });
            }
            self.block = None;
        }
        None
    }

    /// A cell on the stack of the large, and how far it has been scanned. It may be dead.
    pub fn take_large(&mut self, store: &mut Store) -> Option<(Ref, usize)> {
        let word = self.large.pop_back(store)?;
        let (cell, from) = match word & POSITION {
            0 => (word, 0),
            _ => (self.large.pop_back(store).expect("a position stands above its cell"), word >> 1),
        };
        // SAFETY: the address of a cell, dead or alive.
        Some((unsafe { Ref::from_addr(cell) }, from))
    }

    /// The rest of a large cell, from a slot on, is to be scanned later.
    pub fn put_off(&mut self, r: Ref, from: usize, store: &mut Store) {
        self.large.push(r.addr(), store);
        self.large.push(from << 1 | POSITION, store);
    }

    /// For whoever only looks: cells, and how far they have been scanned.
    pub fn report(&self, store: &Store, visit: &mut dyn FnMut(Ref, usize)) {
        let found = self.found.words.into_iter().filter(|&word| word != 0);
        // SAFETY: gray-may-be-dead.
        found.for_each(|word| visit(unsafe { Ref::from_addr(word) }, 0));
        for block in self.blocks.iter().map(|block| block as u32).chain(self.block) {
            // SAFETY: a cell.
            store.memory.for_each_gray_in(block, |cell| visit(unsafe { Ref::from_ptr(cell) }, 0));
        }
        let mut words = self.large.iter().peekable();
        while let Some(cell) = words.next() {
            let position = words.next_if(|word| word & POSITION != 0).map_or(0, |word| word >> 1);
            // SAFETY: gray-may-be-dead.
            visit(unsafe { Ref::from_addr(cell) }, position);
        }
    }
}
