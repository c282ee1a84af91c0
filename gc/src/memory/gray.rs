//! The gray cells of blocks: marked, and their references still to be looked at. A bit for each, by granule, and one for each word of those bits.
//!
//! Marking takes them block by block, in the order of their addresses, not one by one as they are found: what is read then stands side by side, where
//! a heap that has been used for a while has cells that refer to each other far apart. (The idea is that of Go's "Green Tea" collector, 2025.)
//!
//! * **gray-word-has-its-bit** A word of gray bits that is not zero has its bit in its block's `gray_words`.
//! * **gray-counts-if-live** A gray bit counts only if the cell's `live` bit is set: of a cell that has died it stays, and what is born there is marked.
//! * **gray-only-while-pinned** While the layout is not pinned there are no gray bits.
//!
//! Imports `segment`.

use super::Memory;
use super::pages::split;
use super::segment::*;
use super::size_class::GRANULE;
use std::ptr::NonNull;

/// Gray cells that begin within a kilobyte.
#[derive(Clone, Copy)]
pub(crate) struct GrayWord {
    pub base: NonNull<u8>,
    /// By granule from `base` on: where they start.
    pub cells: u64,
    pub cell_bytes: usize,
}

/// What has become of a cell that was found.
pub(crate) enum Found {
    /// It is marked already, or dead.
    Nothing,
    /// It is gray, as other cells of its block are.
    Gray,
    /// It is the first gray cell of the block of this identity.
    First(u32),
    /// It is a run: gray is who remembers it.
    Run,
}

impl Memory {
    /// Marks a cell if it is live and not marked; one in a block becomes gray.
    ///
    /// # Safety
    /// As for [`Memory::is_live`], and the layout is pinned.
    #[inline(always)]
    pub unsafe fn mark_found(&mut self, cell: NonNull<u8>) -> Found {
        // SAFETY: by the caller.
        unsafe {
            let (pair, bit) = bits_of(cell);
            let Pair { live, mark } = *pair;
            if live & !mark & bit == 0 {
                return Found::Nothing;
            }
            (*pair).mark = mark | bit;
            self.make_gray(cell)
        }
    }

    /// A cell becomes gray, if it stands in a block.
    ///
    /// # Safety
    /// As for [`Memory::mark_found`], and the cell is live and marked.
    #[inline(always)]
    pub unsafe fn make_gray(&mut self, cell: NonNull<u8>) -> Found {
        debug_assert!(self.pages.pinned, "gray-only-while-pinned");
        // SAFETY: by the caller.
        unsafe {
            let segment = Segment::of(cell);
            let granule = (cell.as_ptr().addr() - segment.addr()) / GRANULE;
            let block = granule / BLOCK_GRANULES;
            let desc = segment.block_desc(block);
            if (*desc).state == State::Free {
                return Found::Run;
            }
            *segment.gray(granule / 64) |= 1 << (granule % 64);
            let words = (*desc).gray_words;
            // gray-word-has-its-bit.
            (*desc).gray_words = words | 1 << (granule / 64 % BLOCK_PAIRS);
            if words == 0 { Found::First(block_id((*segment.head()).index, block)) } else { Found::Gray }
        }
    }

    /// Takes the first gray cells of a block, those of one word of bits. `None`: the block has none.
    #[inline(always)]
    pub fn take_gray_word(&mut self, id: u32) -> Option<GrayWord> {
        self.take_gray(id, |gray| gray)
    }

    /// The same for the first cell alone.
    pub fn take_gray_cell(&mut self, id: u32) -> Option<NonNull<u8>> {
        let word = self.take_gray(id, |gray| gray & gray.wrapping_neg())?;
        // SAFETY: a granule of the block.
        Some(unsafe { word.base.add(word.cells.trailing_zeros() as usize * GRANULE) })
    }

    /// Takes those bits that `choose` chooses of the first word with any.
    #[inline(always)]
    fn take_gray(&mut self, id: u32, choose: impl Fn(u64) -> u64) -> Option<GrayWord> {
        let (segment, block) = (self.pages.segment_of_id(id), split(id).1);
        let desc = segment.block_desc(block);
        // SAFETY: the descriptor, bits and addresses of a block in use (gray-only-while-pinned: the layout is pinned while there is any gray).
        unsafe {
            while (*desc).gray_words != 0 {
                let word = (*desc).gray_words.trailing_zeros() as usize;
                let gray = segment.gray(block * BLOCK_PAIRS + word);
                // gray-counts-if-live.
                *gray &= (*segment.pair(block * BLOCK_PAIRS + word)).live;
                let chosen = choose(*gray);
                *gray &= !chosen;
                if *gray == 0 {
                    (*desc).gray_words &= (*desc).gray_words - 1;
                }
                if chosen != 0 {
                    let base = segment.data(block * BLOCK + word * 64 * GRANULE);
                    return Some(GrayWord { base, cells: chosen, cell_bytes: (*desc).cell as usize * GRANULE });
                }
            }
        }
        None
    }

    /// The gray cells of a block, for whoever only looks.
    pub fn for_each_gray_in(&self, id: u32, mut visit: impl FnMut(NonNull<u8>)) {
        let (segment, block) = (self.pages.segment_of_id(id), split(id).1);
        for word in 0..BLOCK_PAIRS {
            // SAFETY: bits and addresses of a block in use.
            unsafe {
                let mut gray = *segment.gray(block * BLOCK_PAIRS + word) & (*segment.pair(block * BLOCK_PAIRS + word)).live;
                while gray != 0 {
                    visit(segment.data(block * BLOCK + (word * 64 + gray.trailing_zeros() as usize) * GRANULE));
                    gray &= gray - 1;
                }
            }
        }
    }
}
