//! Cards: a bit for every eight slots of a large cell, so that what was written is found without a look at the rest.
//!
//! Runs have them, and cells of blocks from [`CARD_MIN_BYTES`] on. A slot has 8 bytes at least, so a card stands for 64 bytes or more, and the table
//! of cards has a bit for each 64 bytes of a segment: card `c` of a cell is bit `offset / 64 + c` of it, where `offset` is the cell's in its
//! segment. That holds for every cell that has cards, wherever it stands; a dedicated run has a table as long as its room.
//!
//! * **cards-fit-the-cell** A cell of `n` bytes has at most `n / 8` slots, so its cards stay within the bits of its own bytes.
//! * **cards-do-not-meet** Cells of a block that have cards start at multiples of 64 bytes, or their cards would meet. They share *words* all the same: nothing
//!   here writes a bit that is not the cell's own.
//! * **cards-cleared-first** The cards of a cell mean nothing until [`Memory::clear_cards`] has been called for it; those of slots that a run has gained,
//!   until [`Memory::cover_cards`] has.
//!
//! Imports `segment`, `size_class`, `large` (card-words-are-valid, undirtied-holds-no-reference).

use super::Memory;
use super::large::{CARD_SLOTS, WORD_SLOTS, place_of};
use super::segment::*;
use super::size_class::{CLASSES, GRANULE, size_of_class};
use std::ptr::NonNull;

/// Cells of blocks have cards from this size on.
pub const CARD_MIN_BYTES: usize = 512;
/// The least that a slot has.
const SLOT_MIN_BYTES: usize = 8;
/// Bytes of a segment that one bit of its table stands for.
pub(super) const BIT_BYTES: usize = CARD_SLOTS * SLOT_MIN_BYTES;

// cards-do-not-meet: a block starts at a multiple of 64, and its cells at multiples of their size from there.
const _: () = {
    assert!(BLOCK.is_multiple_of(BIT_BYTES) && BIT_BYTES * 64 == PAGE);
    let mut class = 0;
    while class < CLASSES {
        assert!(size_of_class(class) < CARD_MIN_BYTES || size_of_class(class).is_multiple_of(BIT_BYTES));
        class += 1;
    }
};

/// Some bits of one word of the table: which word, counted from the cell's first card, and the number of the card at its bit 0.
#[derive(Clone, Copy)]
struct Piece {
    word: *mut u64,
    mask: u64,
    /// May be negative, in the first word.
    first_card: isize,
}

/// The pieces that the cards `from..to` of a cell lie in.
///
/// # Safety
/// The cell is in use, and has room for so many cards.
#[inline]
unsafe fn pieces(cell: NonNull<u8>, from: usize, to: usize) -> impl Iterator<Item = Piece> {
    // SAFETY: by the caller; the head of a mapped segment.
    let (table, base) = unsafe {
        let segment = Segment::of(cell);
        ((*segment.head()).cards, (cell.as_ptr().addr() - segment.addr()) / BIT_BYTES)
    };
    let (start, end) = (base + from, base + to.max(from));
    (start / 64..end.div_ceil(64)).filter(move |_| start < end).map(move |word| {
        let low = start.saturating_sub(word * 64);
        let high = (end - word * 64).min(64);
        let mask = (!0 >> (64 - (high - low))) << low;
        Piece { word: table.wrapping_add(word), mask, first_card: (word * 64) as isize - base as isize }
    })
}

impl Memory {
    /// Whether a cell is a run of its own pages.
    ///
    /// # Safety
    /// As for [`Memory::is_live`].
    #[inline(always)]
    pub unsafe fn is_run(&self, cell: NonNull<u8>) -> bool {
        // SAFETY: by the caller; run-pages-say-free.
        unsafe {
            let segment = Segment::of(cell);
            (*segment.block_desc((cell.as_ptr().addr() - segment.addr()) / BLOCK)).state == State::Free
        }
    }

    /// Whether a cell is large enough for cards.
    ///
    /// # Safety
    /// As for [`Memory::is_live`].
    #[inline(always)]
    pub unsafe fn has_cards(&self, cell: NonNull<u8>) -> bool {
        // SAFETY: by the caller.
        unsafe {
            let segment = Segment::of(cell);
            let desc = segment.block_desc((cell.as_ptr().addr() - segment.addr()) / BLOCK);
            (*desc).state == State::Free || (*desc).cell as usize >= CARD_MIN_BYTES / GRANULE
        }
    }

    /// The word and the bit of a card.
    ///
    /// # Safety
    /// Here and below: `cell` is a collected cell in use that has cards, with room for so many slots (of 8 bytes at least); cards-cleared-first.
    #[inline(always)]
    pub unsafe fn bit_of_card(&self, cell: NonNull<u8>, card: usize) -> (*mut u64, u64) {
        // SAFETY: by the caller; the head of a mapped segment.
        unsafe {
            debug_assert!(self.has_cards(cell) && card * BIT_BYTES < self.cell_bytes(cell));
            let segment = Segment::of(cell);
            let bit = (cell.as_ptr().addr() - segment.addr()) / BIT_BYTES + card;
            ((*segment.head()).cards.wrapping_add(bit / 64), 1 << (bit % 64))
        }
    }

    /// Makes a card dirty; `true` if it was clean.
    ///
    /// # Safety
    /// As for [`Memory::bit_of_card`].
    #[inline(always)]
    pub unsafe fn set_card_dirty(&mut self, cell: NonNull<u8>, card: usize) -> bool {
        // SAFETY: by the caller.
        unsafe {
            let (word, bit) = self.bit_of_card(cell, card);
            let old = *word;
            if old & bit != 0 {
                return false;
            }
            *word = old | bit;
            self.cards_were_dirtied(cell);
            true
        }
    }

    /// Makes a card clean.
    ///
    /// # Safety
    /// As for [`Memory::bit_of_card`].
    #[inline(always)]
    pub unsafe fn card_clean(&mut self, cell: NonNull<u8>, card: usize) {
        // SAFETY: by the caller.
        unsafe {
            let (word, bit) = self.bit_of_card(cell, card);
            *word &= !bit;
        }
    }

    /// Gives a cell of so many slots cards, all of them clean, whatever was there.
    ///
    /// # Safety
    /// As for [`Memory::bit_of_card`], without cards-cleared-first.
    pub unsafe fn clear_cards(&mut self, cell: NonNull<u8>, slots: usize) {
        // SAFETY: by the caller.
        unsafe {
            let cards = self.card_count(cell, slots);
            if self.is_run(cell) {
                // Whole words are the run's, so those that are valid now are clean to the end.
                let (segment, page) = place_of(cell);
                let words = slots.div_ceil(WORD_SLOTS);
                (*segment.head()).cards.wrapping_add(page).write_bytes(0, words);
                (*segment.run_desc(page)).card_words = words as u32;
                return;
            }
            for piece in pieces(cell, 0, cards) {
                *piece.word &= !piece.mask;
            }
        }
    }

    /// Makes the cards cover so many slots; those of slots that a run has gained are clean, the others as they were.
    ///
    /// # Safety
    /// As for [`Memory::bit_of_card`], for the slots that there were.
    pub unsafe fn cover_cards(&mut self, cell: NonNull<u8>, slots: usize) {
        // SAFETY: by the caller.
        unsafe {
            if self.is_run(cell) {
                self.cards(cell, slots);
            }
        }
    }

    /// The first dirty card of a cell at or after `from_card`.
    ///
    /// # Safety
    /// As for [`Memory::bit_of_card`].
    #[inline]
    pub unsafe fn next_dirty(&self, cell: NonNull<u8>, slots: usize, from_card: usize) -> Option<usize> {
        // SAFETY: by the caller.
        unsafe {
            pieces(cell, from_card, self.card_count(cell, slots)).find_map(|piece| {
                let dirty = *piece.word & piece.mask;
                (dirty != 0).then(|| (piece.first_card + dirty.trailing_zeros() as isize) as usize)
            })
        }
    }

    /// How many cards of a cell are dirty.
    ///
    /// # Safety
    /// As for [`Memory::bit_of_card`].
    pub unsafe fn dirty_cards(&self, cell: NonNull<u8>, slots: usize) -> usize {
        // SAFETY: by the caller.
        unsafe {
            pieces(cell, 0, self.card_count(cell, slots)).map(|piece| (*piece.word & piece.mask).count_ones() as usize).sum()
        }
    }

    /// Makes all cards of a cell dirty.
    ///
    /// # Safety
    /// As for [`Memory::bit_of_card`].
    pub unsafe fn dirty_all_cards(&mut self, cell: NonNull<u8>, slots: usize) {
        // SAFETY: by the caller.
        unsafe {
            for piece in pieces(cell, 0, self.card_count(cell, slots)) {
                *piece.word |= piece.mask;
            }
            self.cards_were_dirtied(cell);
        }
    }

    /// The cards of a cell of so many slots (cards-fit-the-cell).
    #[inline(always)]
    unsafe fn card_count(&self, cell: NonNull<u8>, slots: usize) -> usize {
        // SAFETY: by the caller: a cell in use.
        unsafe { debug_assert!(self.has_cards(cell) && slots * SLOT_MIN_BYTES <= self.cell_bytes(cell)) };
        slots.div_ceil(CARD_SLOTS)
    }

    /// undirtied-holds-no-reference: a run may hold references from now on.
    #[inline(always)]
    unsafe fn cards_were_dirtied(&mut self, cell: NonNull<u8>) {
        // SAFETY: by the caller: a cell in use.
        unsafe {
            if self.is_run(cell) {
                self.set_dirtied(cell);
            }
        }
    }
}
