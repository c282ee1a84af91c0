//! Pages of segments: who has them, which of them have been touched, and when idle ones go back to the system.
//!
//! A free page that was touched is *idle*: it costs memory and serves nobody. Whole blocks of which some page is idle are *warm* and are
//! taken first, the last freed before all (its lines are in the cache). Idle pages go back to the system after [`super::purge::IDLE_MS`], and at once
//! rather than that the heap passes its limit, or reaches a new peak with many of them.
//!
//! * **committed-adds-up** `committed` = the touched pages of shared segments + what dedicated segments have committed + metadata paid for.
//! * **idle-is-the-free-part** `idle` = the part of it that is free. Both are counted in bytes.
//! * **committed-within-limit** `committed <= limit` after every call, whatever the order of requests.
//! * **warm-or-counted-cold** A free block is in the warm list if one of its pages is touched, else it counts in `cold`, for its segment.
//! * **pinned-stays-mapped** No segment is unmapped while the layout is pinned (R9).
//!
//! Imports `os`, `segment`, `bases`, `maxima`, `asan`.

use super::asan;
use super::bases::Bases;
use super::claims;
use super::maxima::Maxima;
use super::os::{Os, OutOfMemory};
use super::segment::*;
use bitvec::prelude::{BitSlice, Lsb0};
use std::time::Instant;

/// Segments mapped while the heap is small keep to small pages.
const SMALL_PAGE_SEGMENTS: usize = 8;
/// The pages of a segment of which nothing is in use.
const ALL_PAGES: u16 = (PAGES - FIRST_PAGE) as u16;

/// One line of the table of segments.
pub(super) struct Entry {
    pub(super) segment: Option<Segment>,
    /// Vacant: the next vacant line.
    pub(super) next_vacant: u32,
    pub(super) stamp_ms: u32,
    /// It is in the list of those that may have idle pages outside of warm blocks, and what comes next there.
    pub(super) stray: bool,
    pub(super) next_stray: u32,
    pub(super) dedicated: bool,
}

/// Dedicated segments that are idle, in whole or in part, the last that came to it first.
#[derive(Clone, Copy)]
pub(super) struct IdleList {
    pub(super) head: u32,
    pub(super) tail: u32,
}

impl IdleList {
    pub(super) const EMPTY: IdleList = IdleList { head: NONE, tail: NONE };
}

/// The segments and their pages.
pub struct Pages {
    pub os: Os,
    pub(super) table: Vec<Entry>,
    pub(super) vacant: u32,
    /// Those that are mapped, for questions about any address.
    pub(super) bases: Bases,
    pub(super) warm_head: u32,
    pub(super) warm_tail: u32,
    /// Dedicated segments without a run, and those with more committed than their run needs.
    pub(super) dead: IdleList,
    pub(super) tails: IdleList,
    /// By segment: at least the length of the longest run of free pages.
    pub(super) longest: Maxima,
    /// By segment: free blocks without a touched page.
    pub(super) cold: Maxima,
    /// Segments with stray pages, in the order in which they came to have them.
    pub(super) stray_head: u32,
    pub(super) stray_tail: u32,
    pub(super) address_space: usize,
    pub(super) committed: usize,
    pub(super) idle: usize,
    pub(super) peak: usize,
    pub(super) limit: usize,
    /// The longest run of free cells that is handed out in one piece.
    pub(super) run_max_bytes: usize,
    /// The clock that ages are told by, and when it was last set. It wraps.
    pub(super) clock_ms: u32,
    pub(super) clock_set: Instant,
    pub pinned: bool,
    /// Whom the process-wide allocator has these pages for, by address; else 0. Their segments are claimed.
    pub owner: usize,
}

/// Splits an identity into segment index and number within.
#[inline(always)]
pub fn split(id: u32) -> (usize, usize) {
    (id as usize / IDS, id as usize % IDS)
}

fn bits(words: &[u64; PAGES / 64]) -> &BitSlice<u64, Lsb0> {
    BitSlice::from_slice(words)
}

fn bits_mut(words: &mut [u64; PAGES / 64]) -> &mut BitSlice<u64, Lsb0> {
    BitSlice::from_slice_mut(words)
}

impl Pages {
    pub fn new(limit: usize) -> Pages {
        Pages {
            os: Os::new(),
            table: Vec::new(),
            vacant: NONE,
            bases: Bases::new(),
            warm_head: NONE,
            warm_tail: NONE,
            dead: IdleList::EMPTY,
            tails: IdleList::EMPTY,
            longest: Maxima::new(),
            cold: Maxima::new(),
            stray_head: NONE,
            stray_tail: NONE,
            address_space: super::dedicated::ADDRESS_SPACE,
            committed: 0,
            idle: 0,
            peak: 0,
            limit,
            run_max_bytes: usize::MAX,
            clock_ms: 0,
            clock_set: Instant::now(),
            pinned: false,
            owner: 0,
        }
    }

    pub fn committed(&self) -> usize {
        self.committed
    }
    pub fn idle(&self) -> usize {
        self.idle
    }
    pub fn peak(&self) -> usize {
        self.peak
    }
    pub fn limit(&self) -> usize {
        self.limit
    }
    /// Sets the limit; if more is committed already, only the next commitment fails.
    pub fn set_limit(&mut self, bytes: usize) {
        self.limit = bytes;
    }

    /// The number of lines in the table of segments.
    pub fn segments(&self) -> usize {
        self.table.len()
    }

    pub fn segment(&self, index: usize) -> Option<Segment> {
        self.table.get(index)?.segment
    }

    /// The segment of a block or run known to be in use.
    #[inline(always)]
    pub fn segment_of_id(&self, id: u32) -> Segment {
        match self.table[id as usize / IDS].segment {
            Some(segment) => segment,
            None => unreachable!("an identity of an unmapped segment"),
        }
    }

    #[inline(always)]
    pub fn block_desc(&self, id: u32) -> *mut BlockDesc {
        self.segment_of_id(id).block_desc(id as usize % IDS)
    }

    pub fn run_desc(&self, id: u32) -> *mut RunDesc {
        // The pages of a run that can have this identity share one descriptor.
        self.segment_of_id(id).run_desc((id as usize % IDS - BLOCKS) * 3)
    }

    /// The segment in whose first 4 MiB `addr` is, which may be any number: there all cells start.
    pub fn find(&self, addr: usize) -> Option<Segment> {
        self.segment(self.bases.get(addr & !(SEGMENT - 1))? as usize)
    }

    // ---- the budget

    /// Counts `bytes` as committed, if the limit and the system allow it (committed-within-limit).
    #[inline]
    pub fn charge(&mut self, bytes: usize) -> Result<(), OutOfMemory> {
        let after = self.committed.saturating_add(bytes);
        if after > self.limit || (after > self.peak && self.idle > self.slack()) {
            self.make_room(bytes);
            if self.committed.saturating_add(bytes) > self.limit {
                return Err(OutOfMemory);
            }
        }
        self.os.request()?;
        self.committed += bytes;
        self.peak = self.peak.max(self.committed);
        Ok(())
    }

    /// Idle memory that a new peak may leave as it is: giving it back costs time, and so does having it again.
    fn slack(&self) -> usize {
        (self.committed / 16).max(256 << 10)
    }

    /// Gives back idle pages, the longest idle first, until a charge of `bytes` does not pass the limit, nor make a new peak with
    /// more than the slack idle.
    #[cold]
    pub(super) fn make_room(&mut self, bytes: usize) {
        let after = self.committed.saturating_add(bytes);
        // Somewhat more than must be, so that a heap that grows by small steps does not do it at each.
        let over_peak = match after.saturating_sub(self.peak) {
            0 => 0,
            over => over.max(self.slack() / 2).min(self.idle.saturating_sub(self.slack())),
        };
        let excess = over_peak.max(after.saturating_sub(self.limit));
        self.purge_idle(excess, 0);
    }

    pub(super) fn charge_meta(&mut self, segment: Segment, pages: u64) -> Result<(), OutOfMemory> {
        // SAFETY: the head of a mapped segment; no reference to it is held across `charge`.
        unsafe {
            let new = pages & !(*segment.head()).meta;
            if new != 0 {
                self.charge(new.count_ones() as usize * PAGE)?;
                (*segment.head()).meta |= new;
            }
        }
        Ok(())
    }

    // ---- segments

    /// Maps a segment and enters it into the table.
    pub(super) fn map(&mut self, len: usize, dedicated: bool, small_pages: bool) -> Result<(usize, Segment), OutOfMemory> {
        // Identities have 32 bits.
        if self.vacant == NONE && self.table.len() >= NONE as usize / IDS {
            return Err(OutOfMemory);
        }
        self.table.try_reserve(1).map_err(|_| OutOfMemory)?;
        self.bases.reserve()?;
        self.longest.reserve(self.table.len() + 1)?;
        self.cold.reserve(self.table.len() + 1)?;
        let base = self.os.map(len, small_pages)?;
        if self.owner != 0 && !claims::claim(base.as_ptr().addr()) {
            // SAFETY: just mapped.
            unsafe { self.os.unmap(base, len) };
            return Err(OutOfMemory);
        }
        // SAFETY: just mapped, at least a segment long; the zeros that it holds are a valid head.
        let (segment, head) = unsafe {
            let segment = Segment::at(base);
            (segment, &mut *segment.head())
        };
        let index = if self.vacant == NONE {
            self.table.push(Entry { segment: None, next_vacant: NONE, stamp_ms: 0, stray: false, next_stray: NONE, dedicated });
            self.table.len() - 1
        } else {
            let index = self.vacant as usize;
            self.vacant = self.table[index].next_vacant;
            index
        };
        head.mapped = len;
        head.index = index as u32;
        head.owner = self.owner;
        head.dirty = segment.shared_dirty();
        head.used[0] = (1 << FIRST_PAGE) - 1;
        let entry = &mut self.table[index];
        entry.segment = Some(segment);
        entry.dedicated = dedicated;
        if !dedicated {
            self.longest.set(index, ALL_PAGES);
            self.cold.set(index, (BLOCKS - FIRST_BLOCK) as u16);
        }
        self.bases.insert(segment.addr(), index as u32);
        Ok((index, segment))
    }

    /// Unmaps a segment nothing of which is in use or committed, metadata aside.
    pub(super) fn unmap(&mut self, index: usize) {
        debug_assert!(!self.pinned);
        let Some(segment) = self.table[index].segment.take() else { return };
        self.table[index].next_vacant = self.vacant;
        self.cold.set(index, 0);
        self.longest.set(index, 0);
        self.vacant = index as u32;
        self.bases.remove(segment.addr());
        if self.owner != 0 {
            claims::give_up(segment.addr());
        }
        // SAFETY: the head of a mapped segment; after this nothing refers to it (pinned-stays-mapped, and it left the table).
        unsafe {
            let (len, meta) = ((*segment.head()).mapped, (*segment.head()).meta);
            // What a dedicated segment has given back already is not poisoned.
            let (start, bytes) = match (*segment.head()).room {
                0 => (0, len),
                _ => ((*segment.head()).own.page as usize * PAGE, (*segment.head()).committed),
            };
            asan::unpoison(segment.data(start), bytes);
            self.committed -= meta.count_ones() as usize * PAGE;
            self.os.unmap(segment.base(), len);
        }
    }

    /// The end: all segments go, whatever is in them.
    pub fn unmap_all(&mut self) {
        self.pinned = false;
        for index in 0..self.table.len() {
            self.unmap(index);
        }
    }

    /// A segment for blocks and runs.
    fn new_shared(&mut self) -> Result<usize, OutOfMemory> {
        let (index, segment) = self.map(SEGMENT, false, self.table.len() < SMALL_PAGE_SEGMENTS)?;
        if let Err(error) = self.charge_meta(segment, 1) {
            if !self.pinned {
                self.unmap(index);
            }
            return Err(error);
        }
        Ok(index)
    }

    // ---- the pages of shared segments

    /// Takes free pages of a segment out of all lists (used-pages-have-bits).
    fn take(&mut self, segment: Segment, start: usize, count: usize) {
        let head = segment.head();
        // SAFETY: the head of a mapped segment; no reference to it is held across a call.
        unsafe {
            let index = (*head).index;
            for block in start / BLOCK_PAGES..=(start + count - 1) / BLOCK_PAGES {
                if (*head).warm[block / 64] >> (block % 64) & 1 == 1 {
                    self.unlink_warm(segment, block_id(index, block));
                } else if block_byte(&(*head).used, block) == 0 {
                    self.cold.set(index as usize, self.cold.get(index as usize) - 1);
                }
            }
            bits_mut(&mut (*head).used)[start..start + count].fill(true);
            self.idle -= bits(&(*head).touched)[start..start + count].count_ones() * PAGE;
        }
    }

    /// The reverse: the pages are free, those that were touched idle.
    pub fn give_back(&mut self, segment: Segment, start: usize, count: usize) {
        let head = segment.head();
        // SAFETY: the head of a mapped segment; no reference to it is held across a call.
        let index = unsafe {
            let index = (*head).index as usize;
            bits_mut(&mut (*head).used)[start..start + count].fill(false);
            self.idle += bits(&(*head).touched)[start..start + count].count_ones() * PAGE;
            for block in start / BLOCK_PAGES..=(start + count - 1) / BLOCK_PAGES {
                if block_byte(&(*head).used, block) != 0 {
                    self.link_stray(index);
                } else if block_byte(&(*head).touched, block) != 0 {
                    self.link_warm(segment, block_id(index as u32, block));
                } else {
                    self.cold.set(index, self.cold.get(index) + 1);
                }
            }
            index
        };
        self.table[index].stamp_ms = self.clock_ms;
        self.longest.set(index, ALL_PAGES);
    }

    /// Commits those of the pages in use that are untouched.
    pub fn commit(&mut self, segment: Segment, start: usize, count: usize) -> Result<(), OutOfMemory> {
        // SAFETY: the head of a mapped segment; `charge` looks at others' pages only, those that are free.
        let untouched = count - bits(unsafe { &(*segment.head()).touched })[start..start + count].count_ones();
        if untouched > 0 {
            self.charge(untouched * PAGE)?;
            // SAFETY: as above.
            bits_mut(unsafe { &mut (*segment.head()).touched })[start..start + count].fill(true);
        }
        Ok(())
    }

    /// A block for small cells, with `dirty` bits or without: a warm one, or the highest cold one of the first segment that has one.
    pub fn take_block(&mut self, dirty: bool) -> Result<(Segment, usize), OutOfMemory> {
        let (segment, block) = if self.warm_head != NONE {
            (self.segment_of_id(self.warm_head), split(self.warm_head).1)
        } else {
            self.cold_block()?
        };
        self.take(segment, block * BLOCK_PAGES, BLOCK_PAGES);
        if let Err(error) = self.charge_meta(segment, Segment::block_meta(block, dirty)) {
            self.give_back(segment, block * BLOCK_PAGES, BLOCK_PAGES);
            return Err(error);
        }
        // SAFETY: the head of a mapped segment.
        unsafe { (*segment.head()).blocks[block / 64] |= 1 << (block % 64) };
        Ok((segment, block))
    }

    fn cold_block(&mut self) -> Result<(Segment, usize), OutOfMemory> {
        let index = match self.cold.first(1) {
            Some(index) => index,
            None => self.new_shared()?,
        };
        let segment = self.segment_of_id(block_id(index as u32, 0));
        // SAFETY: the head of a mapped segment.
        let head = unsafe { &*segment.head() };
        let is_cold = |&block: &usize| block_byte(&head.used, block) == 0 && head.warm[block / 64] >> (block % 64) & 1 == 0;
        match (FIRST_BLOCK..BLOCKS).rev().find(is_cold) {
            Some(block) => Ok((segment, block)),
            None => unreachable!("warm-or-counted-cold: a segment counts a cold block that it has not"),
        }
    }

    /// The reverse of [`Pages::take_block`].
    pub fn give_back_block(&mut self, segment: Segment, block: usize) {
        // SAFETY: the head and a descriptor of a mapped segment.
        unsafe {
            (*segment.head()).blocks[block / 64] &= !(1 << (block % 64));
            (*segment.block_desc(block)).state = State::Free;
        }
        self.give_back(segment, block * BLOCK_PAGES, BLOCK_PAGES);
    }

    /// Pages for a run in a shared segment, at a multiple of `align` pages: the first fit. All of them committed.
    pub fn take_run(&mut self, count: usize, align: usize) -> Result<(Segment, usize), OutOfMemory> {
        // So many free pages are enough wherever they begin. A search in vain corrects the bound that was too high, so there is no second one.
        let enough = count + align - 1;
        let (segment, start) = loop {
            let Some(index) = self.longest.first(enough) else {
                let index = self.new_shared()?;
                break (self.segment_of_id(block_id(index as u32, 0)), FIRST_PAGE.next_multiple_of(align));
            };
            let segment = self.segment_of_id(block_id(index as u32, 0));
            // SAFETY: the head of a mapped segment.
            match first_fit(bits(unsafe { &(*segment.head()).used }), count, align) {
                (Some(start), _) => break (segment, start),
                (None, longest) => self.longest.set(index, longest as u16),
            }
        };
        self.take(segment, start, count);
        let paid = self.charge_meta(segment, Segment::run_meta(start, count)).and_then(|()| self.commit(segment, start, count));
        if let Err(error) = paid {
            self.give_back(segment, start, count);
            return Err(error);
        }
        Ok((segment, start))
    }

    /// Takes the `more` pages behind `end`, if they are free. `false`: they are not.
    pub fn extend_run(&mut self, segment: Segment, end: usize, more: usize) -> Result<bool, OutOfMemory> {
        // SAFETY: the head of a mapped segment.
        if end + more > PAGES || bits(unsafe { &(*segment.head()).used })[end..end + more].any() {
            return Ok(false);
        }
        self.take(segment, end, more);
        let paid = self.charge_meta(segment, Segment::dirty_meta(end + more - 1)).and_then(|()| self.commit(segment, end, more));
        if let Err(error) = paid {
            self.give_back(segment, end, more);
            return Err(error);
        }
        Ok(true)
    }
}

/// The first `count` zeros at a multiple of `align`; and the longest run of zeros, if there is no such place.
fn first_fit(used: &BitSlice<u64, Lsb0>, count: usize, align: usize) -> (Option<usize>, usize) {
    let (mut at, mut longest) = (0, 0);
    while let Some(zeros) = used[at..].first_zero() {
        let start = at + zeros;
        let end = used[start..].first_one().map_or(PAGES, |ones| start + ones);
        let aligned = start.next_multiple_of(align);
        if aligned + count <= end {
            return (Some(aligned), 0);
        }
        longest = longest.max(end - start);
        at = end;
    }
    (None, longest)
}
