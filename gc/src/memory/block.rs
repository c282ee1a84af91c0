//! Blocks of small cells: the search for runs of free cells, and the lists that blocks wait in.
//!
//! * **cells-at-multiples** The cells of a block start at multiples of the cell size from the block's start; `live` bits are set only there.
//! * **listed-if-available** A block is in the list of its class if and only if its state is `Available`.
//! * **ascending-hand-out** The allocator hands out cells of a block in ascending order from `scan`, and never goes back in an epoch: no cell is handed
//!   out twice between two looks at the `live` bits (R9).
//!
//! Imports `pages`, `segment`, `size_class`, `dirty`, `asan`.

use super::asan;
use super::dirty::BY_SLOT_MIN_BYTES;
use super::os::OutOfMemory;
use super::pages::{Pages, split};
use super::segment::*;
use super::size_class::{CLASSES, GRANULE, size_of_class};
use std::ops::Range;
use std::ptr::{NonNull, null_mut};

/// The free cells that are handed out next: `cursor..end`, a multiple of the cell size.
#[derive(Clone, Copy)]
pub struct Bump {
    pub cursor: *mut u8,
    pub end: *mut u8,
}

impl Bump {
    pub const EMPTY: Bump = Bump { cursor: null_mut(), end: null_mut() };

    /// Some granules of a block.
    ///
    /// # Safety
    /// They lie in it.
    #[inline(always)]
    unsafe fn of(segment: Segment, block: usize, granules: Range<usize>) -> Bump {
        // SAFETY: by the caller.
        unsafe {
            let base = segment.data(block * BLOCK).as_ptr();
            Bump { cursor: base.add(granules.start * GRANULE), end: base.add(granules.end * GRANULE) }
        }
    }

    /// The next cell, of `size` bytes, if there is one.
    #[inline(always)]
    pub fn take(&mut self, size: usize) -> Option<NonNull<u8>> {
        let cell = self.cursor;
        if cell == self.end {
            return None;
        }
        self.cursor = cell.wrapping_add(size);
        // SAFETY: only the empty bump is null, and it ends where it begins; this one is inside a block.
        let cell = unsafe { NonNull::new_unchecked(cell) };
        asan::unpoison(cell, size);
        Some(cell)
    }
}

/// What one allocator has per class: the block whose cells it hands out, and those that wait.
pub struct Lanes {
    pub current: [u32; CLASSES],
    pub available: [u32; CLASSES],
}

impl Lanes {
    pub const fn new() -> Lanes {
        Lanes { current: [NONE; CLASSES], available: [NONE; CLASSES] }
    }

    /// Puts a block in front of the list of its class.
    pub fn push(&mut self, pages: &Pages, id: u32) {
        // SAFETY: descriptors of blocks in use (listed-if-available).
        unsafe {
            let desc = pages.block_desc(id);
            let head = &mut self.available[(*desc).class as usize];
            (*desc).state = State::Available;
            (*desc).prev = NONE;
            (*desc).next = *head;
            if *head != NONE {
                (*pages.block_desc(*head)).prev = id;
            }
            *head = id;
        }
    }

    /// Takes a block out of the list of its class.
    pub fn unlink(&mut self, pages: &Pages, id: u32) {
        // SAFETY: descriptors of blocks in use (listed-if-available).
        unsafe {
            let desc = pages.block_desc(id);
            debug_assert_eq!((*desc).state, State::Available);
            let (prev, next) = ((*desc).prev, (*desc).next);
            match prev {
                NONE => self.available[(*desc).class as usize] = next,
                prev => (*pages.block_desc(prev)).next = next,
            }
            if next != NONE {
                (*pages.block_desc(next)).prev = prev;
            }
        }
    }

    pub fn pop(&mut self, pages: &Pages, class: usize) -> Option<u32> {
        let id = self.available[class];
        if id == NONE {
            return None;
        }
        self.unlink(pages, id);
        Some(id)
    }
}

/// The multiples of `n` below 64, as bits, for cells of less than 64 granules.
static STARTS: [u64; 64] = {
    let mut table = [0; 64];
    let mut n = 1;
    while n < 64 {
        let mut bit = 0;
        while bit < 64 {
            table[n] |= 1 << bit;
            bit += n;
        }
        n += 1;
    }
    table
};

/// The first free cell of `cell` granules at or after granule `from` (a start of a cell), below `end`.
///
/// # Safety
/// The block is in use, of cells of that size.
unsafe fn first_free(segment: Segment, block: usize, cell: usize, from: usize, end: usize) -> usize {
    let pair = |word: usize| segment.pair(block * BLOCK_PAIRS + word);
    let mut at = from;
    if cell < 64 {
        while at < end {
            let starts = STARTS[cell] << (at % 64);
            // SAFETY: bits of the block.
            let free = starts & !unsafe { (*pair(at / 64)).live };
            if free != 0 {
                return (at & !63) + free.trailing_zeros() as usize;
            }
            // The first start behind this word.
            at += starts.count_ones() as usize * cell;
        }
    } else {
        // SAFETY: bits of the block.
        while at < end && unsafe { (*pair(at / 64)).live } >> (at % 64) & 1 == 1 {
            at += cell;
        }
    }
    at
}

/// Sets the `live` bits of the cells, of `cell` granules each, that start in a range of granules.
///
/// # Safety
/// The block is in use, of cells of that size, one of which starts at `from`; they are free.
pub unsafe fn set_live_run(segment: Segment, block: usize, cell: usize, from: usize, end: usize) {
    let mut at = from;
    while at < end {
        let mut starts = if cell < 64 { STARTS[cell] << (at % 64) } else { 1 << (at % 64) };
        let word = at / 64;
        if end < (word + 1) * 64 {
            starts &= (1 << (end % 64)) - 1;
        }
        // SAFETY: bits of the block.
        unsafe { (*segment.pair(block * BLOCK_PAIRS + word)).live |= starts };
        at += starts.count_ones() as usize * cell;
    }
}

/// The first live cell at or after granule `from`, or `end`.
///
/// # Safety
/// The block is in use.
unsafe fn first_live(segment: Segment, block: usize, from: usize, end: usize) -> usize {
    let mut at = from;
    while at < end {
        // SAFETY: bits of the block.
        let live = unsafe { (*segment.pair(block * BLOCK_PAIRS + at / 64)).live } >> (at % 64);
        if live != 0 {
            return (at + live.trailing_zeros() as usize).min(end);
        }
        at = (at & !63) + 64;
    }
    end
}

impl Pages {
    /// A block for cells of `class`, without cells in use; not in any list.
    pub fn new_block(&mut self, class: usize, owner: Owner) -> Result<u32, OutOfMemory> {
        let size = size_of_class(class);
        let (segment, block) = self.take_block(owner == Owner::Collected && size >= BY_SLOT_MIN_BYTES)?;
        // SAFETY: a block just taken: its descriptor and bits are ours.
        unsafe {
            for n in 0..BLOCK_PAIRS {
                *segment.pair(block * BLOCK_PAIRS + n) = Pair::default();
            }
            segment.block_desc(block).write(BlockDesc {
                next: NONE,
                prev: NONE,
                limbo: NONE,
                stamp_ms: 0,
                live: 0,
                capacity: (BLOCK / size) as u16,
                cell: (size / GRANULE) as u16,
                scan: 0,
                gray_words: 0,
                class: class as u8,
                state: State::Spent,
                owner,
                in_limbo: false,
            });
            asan::poison(segment.data(block * BLOCK), BLOCK);
            Ok(block_id((*segment.head()).index, block))
        }
    }

    /// The next run of free cells of a block, from `scan` on, its pages committed. In pages that were never touched it goes no
    /// further than it must, so that a class with few cells costs few pages.
    pub fn next_run(&mut self, id: u32) -> Result<Option<Bump>, OutOfMemory> {
        let (segment, block) = (self.segment_of_id(id), split(id).1);
        // SAFETY: the descriptor, head and bits of a block in use; no reference is held across a call.
        unsafe {
            let desc = segment.block_desc(block);
            let cell = (*desc).cell as usize;
            let Range { start, mut end } = self.free_run(segment, block);
            if start == end {
                (*desc).scan = end as u16;
                return Ok(None);
            }
            let touched = || block_byte(&(*segment.head()).touched, block);
            if touched() != 0xff {
                let first = start * GRANULE / PAGE;
                let count = ((start + cell) * GRANULE - 1) / PAGE + 1 - first;
                self.commit(segment, block * BLOCK_PAGES + first, count)?;
                let ready = (first + (touched() >> first).trailing_ones() as usize) * PAGE / GRANULE;
                if end > ready {
                    end = start + (ready - start) / cell * cell;
                }
            }
            (*desc).scan = end as u16;
            Ok(Some(Bump::of(segment, block, start..end)))
        }
    }

    /// The same where that needs no commitment, and if the run is shorter than so many bytes.
    #[inline(always)]
    pub fn next_touched_run(&mut self, id: u32, bytes: usize) -> Option<Bump> {
        let (segment, block) = (self.segment_of_id(id), split(id).1);
        // SAFETY: the descriptor and head of a block in use.
        unsafe {
            if block_byte(&(*segment.head()).touched, block) != 0xff {
                return None;
            }
            let run = self.free_run(segment, block);
            if run.is_empty() || run.len() * GRANULE >= bytes {
                return None;
            }
            (*segment.block_desc(block)).scan = run.end as u16;
            Some(Bump::of(segment, block, run))
        }
    }

    /// The granules of the first free cells of a block from `scan` on, as many as may be handed out at once.
    ///
    /// # Safety
    /// The block is in use.
    #[inline(always)]
    unsafe fn free_run(&self, segment: Segment, block: usize) -> Range<usize> {
        // SAFETY: the descriptor and bits of a block in use.
        unsafe {
            let desc = segment.block_desc(block);
            let cell = (*desc).cell as usize;
            let limit = (*desc).capacity as usize * cell;
            let start = first_free(segment, block, cell, (*desc).scan as usize, limit);
            if start >= limit {
                return limit..limit;
            }
            let end = first_live(segment, block, start, limit);
            if (end - start) * GRANULE > self.run_max_bytes {
                return start..start + (self.run_max_bytes / (cell * GRANULE)).max(1) * cell;
            }
            start..end
        }
    }

    /// The cells of a block that have died young are no cells any more.
    ///
    /// # Safety
    /// The block is in use.
    pub unsafe fn poison_free(&self, segment: Segment, block: usize) {
        if cfg!(neap_asan) {
            // SAFETY: the descriptor, bits and cells of the block.
            unsafe {
                let cell = (*segment.block_desc(block)).cell as usize;
                for granule in (0..(*segment.block_desc(block)).capacity as usize).map(|n| n * cell) {
                    if (*segment.pair(block * BLOCK_PAIRS + granule / 64)).live >> (granule % 64) & 1 == 0 {
                        asan::poison(segment.data(block * BLOCK + granule * GRANULE), cell * GRANULE);
                    }
                }
            }
        }
    }

    /// The live cells of a block, counted from its bits.
    ///
    /// # Safety
    /// The block is in use.
    pub unsafe fn count_live(&self, segment: Segment, block: usize) -> usize {
        // SAFETY: bits of the block.
        (0..BLOCK_PAIRS).map(|n| unsafe { (*segment.pair(block * BLOCK_PAIRS + n)).live.count_ones() as usize }).sum()
    }
}
