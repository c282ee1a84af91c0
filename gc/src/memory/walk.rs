//! Walks over blocks and runs, for the collector's slices and for whoever only looks.
//!
//! A block or run has an identity below [`Memory::block_limit`], for as long as it serves; `next_block` leads from one to the next. A walk in
//! slices may miss what was made after it passed, in a new identity or in one that was vacant; it sees everything that
//! existed at its start and still does, once.
//!
//! * **walks-skip-explicit** Explicit blocks have identities too, but no walk for the collector yields, marks or frees their cells.
//!
//! Imports `pages`, `segment`, `asan`.

use super::Memory;
use super::asan;
use super::pages::split;
use super::segment::*;
use super::size_class::GRANULE;
use bitvec::prelude::{BitArray, Lsb0};
use std::ptr::NonNull;

/// The bits of a block, one per granule of it.
pub(crate) type Bits = BitArray<[u64; BLOCK_PAIRS], Lsb0>;

/// What one block or run is, and a copy of its bits.
pub(crate) struct BlockView {
    pub owner: Owner,
    /// May hold young cells.
    pub young: bool,
    /// A run of which no slot was ever dirty (undirtied-holds-no-reference).
    pub undirtied: bool,
    pub base: NonNull<u8>,
    /// Bytes of a cell; for a run, bytes of its pages.
    pub cell_size: usize,
    pub capacity: usize,
    /// By granule (16 bytes): set where a live cell starts.
    pub live: Bits,
    /// By granule: set where a marked cell starts.
    pub mark: Bits,
    /// By granule: set where a gray cell starts, or did when it lived; and which words of that are said to have any (`gray`).
    pub gray: Bits,
    pub gray_words: u32,
}

impl BlockView {
    pub fn live_cells(&self) -> impl Iterator<Item = NonNull<u8>> + '_ {
        // SAFETY: granules of the block.
        self.live.iter_ones().map(|granule| unsafe { self.base.add(granule * GRANULE) })
    }
}

/// The pairs of a block or run: where it starts, the first pair, how many, and which of their bits are its own.
#[derive(Clone, Copy)]
struct Extent {
    base: NonNull<u8>,
    first: usize,
    pairs: usize,
    bits: u64,
    segment: Segment,
}

impl Extent {
    fn of_block(segment: Segment, block: usize) -> Extent {
        // SAFETY: an address in the segment.
        let base = unsafe { segment.data(block * BLOCK) };
        Extent { base, first: block * BLOCK_PAIRS, pairs: BLOCK_PAIRS, bits: !0, segment }
    }

    fn of_run(segment: Segment, page: usize) -> Extent {
        // SAFETY: an address in the segment.
        let base = unsafe { segment.data(page * PAGE) };
        Extent { base, first: page * PAGE / 1024, pairs: 1, bits: 1, segment }
    }

    fn pair(&self, n: usize) -> *mut Pair {
        self.segment.pair(self.first + n)
    }

    /// Calls `f` for each bit that is set in `choose` of a pair.
    #[inline]
    fn for_each(&self, choose: impl Fn(Pair) -> u64, mut f: impl FnMut(NonNull<u8>)) {
        for n in 0..self.pairs {
            // SAFETY: a pair of a block or run in use.
            let mut word = choose(unsafe { *self.pair(n) }) & self.bits;
            while word != 0 {
                // SAFETY: a granule of the block or run.
                f(unsafe { self.base.add((n * 64 + word.trailing_zeros() as usize) * GRANULE) });
                word &= word - 1;
            }
        }
    }
}

impl Memory {
    /// All identities are below.
    pub fn block_limit(&self) -> usize {
        self.pages.segments() * IDS
    }

    /// The first identity at or after `from` that a block or run has.
    pub fn next_block(&self, from: usize) -> Option<usize> {
        self.next_block_below(from, self.block_limit())
    }

    /// Where the identities of the next segment begin.
    pub fn segment_end(&self, id: usize) -> usize {
        (id / IDS + 1) * IDS
    }

    /// The first identity at or after `from` that a block or run has, looked for in the segments that begin below `end`.
    pub fn next_block_below(&self, from: usize, end: usize) -> Option<usize> {
        let mut from = from;
        while from < end {
            let (index, number) = (from / IDS, from % IDS);
            if let Some(segment) = self.pages.segment(index) {
                // SAFETY: the head of a mapped segment.
                let head = unsafe { &*segment.head() };
                let mut word = number / 64;
                let mut mask = !0 << (number % 64);
                while word < IDS / 64 {
                    let words = if word < BLOCKS / 64 { &head.blocks[..] } else { &head.runs[..] };
                    let at = if word < BLOCKS / 64 { word } else { word - BLOCKS / 64 };
                    let found = words.get(at).map_or(0, |w| w & mask);
                    if found != 0 {
                        return Some(index * IDS + word * 64 + found.trailing_zeros() as usize);
                    }
                    mask = !0;
                    word += 1;
                }
            }
            from = (index + 1) * IDS;
        }
        None
    }

    /// Where the identity stands, and whose it is.
    fn extent(&self, id: usize) -> Option<(Extent, Owner)> {
        let (index, number) = (id / IDS, id % IDS);
        let segment = self.pages.segment(index)?;
        // SAFETY: the head and, where it says so, a descriptor of a mapped segment.
        unsafe {
            let head = &*segment.head();
            if number < BLOCKS {
                let used = head.blocks[number / 64] >> (number % 64) & 1 == 1;
                return used.then(|| (Extent::of_block(segment, number), (*segment.block_desc(number)).owner));
            }
            let run = number - BLOCKS;
            if head.runs.get(run / 64)? >> (run % 64) & 1 == 0 {
                return None;
            }
            let desc = self.pages.run_desc(id as u32);
            Some((Extent::of_run(segment, (*desc).page as usize), (*desc).owner))
        }
    }

    fn collected(&self, id: usize) -> Option<Extent> {
        self.extent(id).filter(|(_, owner)| *owner == Owner::Collected).map(|(extent, _)| extent)
    }

    /// What the identity names, if anything.
    pub fn block(&self, id: usize) -> Option<BlockView> {
        let (extent, owner) = self.extent(id)?;
        let (mut live, mut mark, mut gray, mut gray_words) = (Bits::ZERO, Bits::ZERO, Bits::ZERO, 0);
        for n in 0..extent.pairs {
            // SAFETY: a pair of a block or run in use.
            let pair = unsafe { *extent.pair(n) };
            live.data[n] = pair.live & extent.bits;
            mark.data[n] = pair.mark & extent.bits;
        }
        let number = split(id as u32).1;
        let large = number >= BLOCKS;
        // SAFETY: the descriptor of a block or run in use.
        let (young, undirtied, cell_size, capacity) = unsafe {
            if large {
                let desc = self.pages.run_desc(id as u32);
                ((*desc).state == RunState::Young, !(*desc).dirtied, (*desc).pages as usize * PAGE, 1)
            } else {
                let desc = extent.segment.block_desc(number);
                let young = owner == Owner::Collected && matches!((*desc).state, State::Current | State::Spent);
                gray_words = (*desc).gray_words;
                for n in 0..BLOCK_PAIRS {
                    gray.data[n] = *extent.segment.gray(extent.first + n);
                }
                (young, false, (*desc).cell as usize * GRANULE, (*desc).capacity as usize)
            }
        };
        Some(BlockView { owner, young, undirtied, base: extent.base, cell_size, capacity, live, mark, gray, gray_words })
    }

    /// The live collected cells of a block or run.
    #[inline]
    pub fn for_each_live_in(&self, id: usize, f: impl FnMut(NonNull<u8>)) {
        if let Some(extent) = self.collected(id) {
            extent.for_each(|pair| pair.live, f);
        }
    }

    /// The collected cells that are live and not marked.
    #[inline]
    pub fn for_each_unmarked_in(&self, id: usize, f: impl FnMut(NonNull<u8>)) {
        if let Some(extent) = self.collected(id) {
            extent.for_each(|pair| pair.live & !pair.mark, f);
        }
    }

    /// No cell of the block or run is marked any more. The gray bits of a block are clear (gray-only-while-pinned), but their page may never have been
    /// touched: that happens here, a little at a time, and not all at once when marking begins.
    pub fn clear_marks_in(&mut self, id: usize) {
        let Some(extent) = self.collected(id) else { return };
        // SAFETY: pairs and gray bits of a block or run in use.
        unsafe {
            for n in 0..extent.pairs {
                (*extent.pair(n)).mark &= !extent.bits;
            }
            if split(id as u32).1 < BLOCKS {
                let gray = extent.segment.gray(extent.first);
                debug_assert!(*gray == 0, "gray-only-while-pinned");
                *gray = 0;
            }
        }
    }

    /// Frees the collected cells that are live and not marked, except those that `keep` vouches for. Says how many bytes.
    #[inline]
    pub fn sweep_block(&mut self, id: usize, mut keep: impl FnMut(NonNull<u8>) -> bool) -> usize {
        let Some(extent) = self.collected(id) else { return 0 };
        let number = split(id as u32).1;
        let mut cells = 0;
        for n in 0..extent.pairs {
            // SAFETY: a pair of a block or run in use; the cells are granules of it.
            unsafe {
                let pair = extent.pair(n);
                let mut word = (*pair).live & !(*pair).mark & extent.bits;
                let mut dead = word;
                while word != 0 {
                    let bit = word & word.wrapping_neg();
                    let cell = extent.base.add((n * 64 + word.trailing_zeros() as usize) * GRANULE);
                    if keep(cell) {
                        dead &= !bit;
                    } else if cfg!(neap_asan) && number < BLOCKS {
                        asan::poison(cell, (*extent.segment.block_desc(number)).cell as usize * GRANULE);
                    }
                    word &= word - 1;
                }
                cells += dead.count_ones() as usize;
                (*pair).live &= !dead;
            }
        }
        if cells == 0 {
            return 0;
        }
        // SAFETY: the run or block is in use, and of its cells only those counted have died.
        unsafe {
            if number >= BLOCKS {
                let bytes = self.run_bytes(extent.base);
                self.free_run(extent.base);
                return bytes;
            }
            let bytes = cells * (*extent.segment.block_desc(number)).cell as usize * GRANULE;
            self.cells_died(extent.segment, number, cells);
            bytes
        }
    }
}
