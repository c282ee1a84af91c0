//! Dirty bits: one for every slot of a cell that is not small, so that what was written is found without a look at the rest.
//!
//! Runs have them, and cells of blocks from [`BY_SLOT_MIN_BYTES`] on. A slot has 8 bytes at least, and the table of dirty bits has a bit for each 8
//! bytes of a segment: slot `s` of a cell is bit `offset / 8 + s` of it, where `offset` is the cell's in its segment. That holds for every cell
//! that has them, wherever it stands; a dedicated run has a table as long as its room. Where slots are larger than 8 bytes the rest of a cell's bits is
//! not used, and not touched.
//!
//! * **bits-fit-the-cell** A cell of `n` bytes has at most `n / 8` slots, so its bits are those of its own bytes. Cells share *words* all the same:
//!   nothing here writes a bit that is not the cell's own.
//! * **bits-cleared-first** The bits of a cell in a block mean nothing until [`Memory::clear_dirty`] has been called for it; those of a run that stands
//!   among blocks, until [`Memory::cover_dirty`] has. The table of a dedicated run is clean from the beginning.
//! * **clean-behind-dirty-words** The words of a run's bits from `dirty_words` on are clean.
//!
//! Imports `segment`, `size_class`, `large` (undirtied-holds-no-reference).

use super::Memory;
use super::large::place_of;
use super::segment::*;
use super::size_class::GRANULE;
use std::ops::Range;
use std::ptr::NonNull;

/// Cells of blocks have dirty bits from this size on.
pub const BY_SLOT_MIN_BYTES: usize = 512;
/// Slots of a word of the table.
pub const WORD_SLOTS: usize = u64::BITS as usize;

/// A slot has become dirty.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dirtied {
    Alone,
    /// It is the first one of a run that is dirty.
    FirstOfRun,
    /// So are the two next to it on one side: the slots are being written in order.
    InOrder,
}

/// Some bits of one word of the table: which word, and the number of the slot at its bit 0.
#[derive(Clone, Copy)]
struct Piece {
    word: *mut u64,
    mask: u64,
    /// May be negative, in the first word.
    first_slot: isize,
}

impl Piece {
    /// The first of these bits stand side by side: their slots.
    #[inline(always)]
    fn first_of(&self, bits: u64) -> Range<usize> {
        let start = bits.trailing_zeros();
        let count = (bits >> start).trailing_ones();
        let first = (self.first_slot + start as isize) as usize;
        first..first + count as usize
    }
    /// The bits of some of its slots.
    fn bits_of(&self, slots: &Range<usize>) -> u64 {
        (!0 >> (WORD_SLOTS - slots.len())) << (slots.start as isize - self.first_slot)
    }
}

/// The table of a cell's segment, and the number of the cell's first bit in it.
///
/// # Safety
/// The cell is in use.
#[inline(always)]
unsafe fn table_of(cell: NonNull<u8>) -> (*mut u64, usize) {
    // SAFETY: by the caller; the head of a mapped segment.
    unsafe {
        let segment = Segment::of(cell);
        ((*segment.head()).dirty, (cell.as_ptr().addr() - segment.addr()) / BIT_BYTES)
    }
}

/// The pieces that slots of a cell lie in.
///
/// # Safety
/// The cell is in use, and has room for so many slots.
#[inline]
unsafe fn pieces(cell: NonNull<u8>, slots: Range<usize>) -> impl Iterator<Item = Piece> {
    // SAFETY: by the caller.
    let (table, base) = unsafe { table_of(cell) };
    let (start, end) = (base + slots.start, base + slots.end.max(slots.start));
    (start / WORD_SLOTS..end.div_ceil(WORD_SLOTS)).filter(move |_| start < end).map(move |word| {
        let low = start.saturating_sub(word * WORD_SLOTS);
        let high = (end - word * WORD_SLOTS).min(WORD_SLOTS);
        let mask = (!0 >> (WORD_SLOTS - (high - low))) << low;
        Piece { word: table.wrapping_add(word), mask, first_slot: (word * WORD_SLOTS) as isize - base as isize }
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

    /// Whether a cell is large enough for dirty bits.
    ///
    /// # Safety
    /// As for [`Memory::is_live`].
    #[inline(always)]
    pub unsafe fn has_dirty_bits(&self, cell: NonNull<u8>) -> bool {
        // SAFETY: by the caller.
        unsafe {
            let segment = Segment::of(cell);
            let desc = segment.block_desc((cell.as_ptr().addr() - segment.addr()) / BLOCK);
            (*desc).state == State::Free || (*desc).cell as usize >= BY_SLOT_MIN_BYTES / GRANULE
        }
    }

    /// Whether a slot is dirty.
    ///
    /// # Safety
    /// Here and below: `cell` is a collected cell in use that has dirty bits, with room for so many slots (of 8 bytes at least); bits-cleared-first.
    #[inline(always)]
    pub unsafe fn slot_is_dirty(&self, cell: NonNull<u8>, slot: usize) -> bool {
        // SAFETY: by the caller.
        unsafe {
            self.check_slots(cell, slot + 1);
            let (table, base) = table_of(cell);
            *table.wrapping_add((base + slot) / WORD_SLOTS) >> ((base + slot) % WORD_SLOTS) & 1 != 0
        }
    }

    /// Makes a clean slot dirty.
    ///
    /// # Safety
    /// As for [`Memory::slot_is_dirty`].
    #[inline(always)]
    pub unsafe fn set_dirty(&mut self, cell: NonNull<u8>, slot: usize) -> Dirtied {
        // SAFETY: by the caller.
        unsafe {
            self.check_slots(cell, slot + 1);
            let (table, base) = table_of(cell);
            let word = table.wrapping_add((base + slot) / WORD_SLOTS);
            let bit = 1 << ((base + slot) % WORD_SLOTS);
            let old = *word;
            debug_assert!(old & bit == 0);
            *word = old | bit;
            if old == 0 {
                // clean-behind-dirty-words: of a run whose word has a dirty slot it is known.
                let first = self.is_run(cell) && self.run_is_dirty(cell, slot + 1);
                return if first { Dirtied::FirstOfRun } else { Dirtied::Alone };
            }
            let beside = (old << 1 & old << 2 | old >> 1 & old >> 2) & bit;
            if beside != 0 { Dirtied::InOrder } else { Dirtied::Alone }
        }
    }

    /// The first of these slots that are clean and stand side by side, at most a word of them: they become dirty. Says whether that made a clean run dirty.
    ///
    /// # Safety
    /// As for [`Memory::slot_is_dirty`].
    pub unsafe fn dirty_next(&mut self, cell: NonNull<u8>, slots: Range<usize>) -> Option<(Range<usize>, bool)> {
        // SAFETY: by the caller.
        unsafe {
            self.check_slots(cell, slots.end);
            let (piece, clean) =
                pieces(cell, slots).map(|piece| (piece, piece.mask & !*piece.word)).find(|&(_, clean)| clean != 0)?;
            let found = piece.first_of(clean);
            *piece.word |= piece.bits_of(&found);
            let first = self.is_run(cell) && self.run_is_dirty(cell, found.end);
            Some((found, first))
        }
    }

    /// Makes slots clean.
    ///
    /// # Safety
    /// As for [`Memory::slot_is_dirty`].
    #[inline(always)]
    pub unsafe fn set_clean(&mut self, cell: NonNull<u8>, slots: Range<usize>) {
        // SAFETY: by the caller.
        unsafe {
            self.check_slots(cell, slots.end);
            if slots.len() == 1 {
                let (table, base) = table_of(cell);
                let bit = base + slots.start;
                *table.wrapping_add(bit / WORD_SLOTS) &= !(1 << (bit % WORD_SLOTS));
                return;
            }
            pieces(cell, slots).for_each(|piece| *piece.word &= !piece.mask);
        }
    }

    /// Whether any slot of a cell is dirty; of a run, whether any has been since it was [known to be clean](Memory::run_is_clean).
    ///
    /// # Safety
    /// As for [`Memory::slot_is_dirty`].
    pub unsafe fn is_dirty(&self, cell: NonNull<u8>, slots: usize) -> bool {
        // SAFETY: by the caller.
        unsafe {
            if self.is_run(cell) {
                let (segment, page) = place_of(cell);
                return (*segment.run_desc(page)).dirty_words != 0;
            }
            pieces(cell, 0..slots).any(|piece| *piece.word & piece.mask != 0)
        }
    }

    /// All slots of a run are clean again: nothing needs to look through its bits.
    ///
    /// # Safety
    /// As for [`Memory::slot_is_dirty`]; each has been made clean.
    pub unsafe fn run_is_clean(&mut self, run: NonNull<u8>) {
        // SAFETY: by the caller.
        unsafe {
            let (segment, page) = place_of(run);
            let words = std::mem::take(&mut (*segment.run_desc(page)).dirty_words) as usize;
            debug_assert!((0..words).all(|word| *table_of_page(segment, page).wrapping_add(word) == 0));
        }
    }

    /// Makes all slots of a cell clean, those too that it has room for; whatever was there, in a block.
    ///
    /// # Safety
    /// As for [`Memory::slot_is_dirty`], for a cell of a block without bits-cleared-first.
    pub unsafe fn clear_dirty(&mut self, cell: NonNull<u8>) {
        // SAFETY: by the caller.
        unsafe {
            if self.is_run(cell) {
                let (segment, page) = place_of(cell);
                let words = std::mem::take(&mut (*segment.run_desc(page)).dirty_words) as usize;
                table_of_page(segment, page).write_bytes(0, words);
                return;
            }
            let room = self.cell_bytes(cell) / BIT_BYTES;
            pieces(cell, 0..room).for_each(|piece| *piece.word &= !piece.mask);
        }
    }

    /// The slots that a run has room for have dirty bits, all of them clean but those in its first `before` bytes.
    ///
    /// # Safety
    /// As for [`Memory::slot_is_dirty`], for the slots in those bytes.
    pub unsafe fn cover_dirty(&mut self, run: NonNull<u8>, before: usize) {
        // SAFETY: by the caller.
        unsafe {
            let (segment, page) = place_of(run);
            // clean-behind-dirty-words: a dedicated run has a table of its own.
            if (*segment.head()).room == 0 {
                let (first, end) = (before / PAGE, (*segment.run_desc(page)).pages as usize);
                table_of_page(segment, page + first).write_bytes(0, (end - first) * PAGE_WORDS);
            }
        }
    }

    /// The first dirty slots at or after `from` that stand side by side, at most a word of them.
    ///
    /// # Safety
    /// As for [`Memory::slot_is_dirty`].
    #[inline]
    pub unsafe fn next_dirty(&self, cell: NonNull<u8>, slots: usize, from: usize) -> Option<Range<usize>> {
        // SAFETY: by the caller.
        unsafe {
            pieces(cell, from..self.may_be_dirty(cell, slots)).find_map(|piece| {
                let dirty = *piece.word & piece.mask;
                (dirty != 0).then(|| piece.first_of(dirty))
            })
        }
    }

    /// How many slots of a cell are dirty.
    ///
    /// # Safety
    /// As for [`Memory::slot_is_dirty`].
    pub unsafe fn dirty_count(&self, cell: NonNull<u8>, slots: usize) -> usize {
        // SAFETY: by the caller.
        unsafe {
            pieces(cell, 0..self.may_be_dirty(cell, slots)).map(|piece| (*piece.word & piece.mask).count_ones() as usize).sum()
        }
    }

    /// Makes all slots of a cell dirty.
    ///
    /// # Safety
    /// As for [`Memory::slot_is_dirty`].
    pub unsafe fn dirty_all(&mut self, cell: NonNull<u8>, slots: usize) {
        // SAFETY: by the caller.
        unsafe {
            self.check_slots(cell, slots);
            pieces(cell, 0..slots).for_each(|piece| *piece.word |= piece.mask);
            if self.is_run(cell) {
                self.run_is_dirty(cell, slots);
            }
        }
    }

    /// The words of bits behind which all slots are known to be clean.
    ///
    /// # Safety
    /// As for [`Memory::slot_is_dirty`].
    pub unsafe fn dirty_words(&self, cell: NonNull<u8>, slots: usize) -> usize {
        // SAFETY: by the caller.
        unsafe { self.may_be_dirty(cell, slots).div_ceil(WORD_SLOTS) }
    }

    /// How many of its first slots may be dirty (clean-behind-dirty-words).
    #[inline(always)]
    unsafe fn may_be_dirty(&self, cell: NonNull<u8>, slots: usize) -> usize {
        // SAFETY: by the caller: a cell in use.
        unsafe {
            self.check_slots(cell, slots);
            if !self.is_run(cell) {
                return slots;
            }
            let (segment, page) = place_of(cell);
            slots.min((*segment.run_desc(page)).dirty_words as usize * WORD_SLOTS)
        }
    }

    /// One of the first `end` slots of a run has become dirty (clean-behind-dirty-words, undirtied-holds-no-reference). Says whether it is the first.
    #[inline(always)]
    unsafe fn run_is_dirty(&mut self, run: NonNull<u8>, end: usize) -> bool {
        // SAFETY: by the caller: a run in use.
        unsafe {
            let (segment, page) = place_of(run);
            let desc = segment.run_desc(page);
            let before = (*desc).dirty_words;
            (*desc).dirty_words = before.max(end.div_ceil(WORD_SLOTS) as u32);
            (*desc).dirtied = true;
            before == 0
        }
    }

    /// bits-fit-the-cell
    #[inline(always)]
    unsafe fn check_slots(&self, cell: NonNull<u8>, slots: usize) {
        // SAFETY: by the caller: a cell in use.
        unsafe { debug_assert!(self.has_dirty_bits(cell) && slots * BIT_BYTES <= self.cell_bytes(cell)) };
    }
}

/// The words of a page's dirty bits.
///
/// # Safety
/// A page of a run in use: the first one of a dedicated run.
pub(super) unsafe fn table_of_page(segment: Segment, page: usize) -> *mut u64 {
    // SAFETY: the head of a mapped segment.
    unsafe { (*segment.head()).dirty.wrapping_add(page * PAGE_WORDS) }
}
