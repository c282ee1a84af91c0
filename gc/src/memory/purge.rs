//! Giving idle pages of shared segments back to the system; see `pages`.
//!
//! Imports `pages`, `segment`.

use super::pages::{Pages, split};
use super::segment::*;
use std::time::{Duration, Instant};

/// How long a page stays idle before it goes back to the system.
pub const IDLE_MS: u32 = 100;
/// Segments with stray pages that are looked at in vain.
const STRAY_SCAN: usize = 32;

impl Pages {
    pub(super) fn link_warm(&mut self, segment: Segment, id: u32) {
        let block = split(id).1;
        // SAFETY: the head and descriptors of mapped segments; free blocks have valid descriptors (zero at first).
        unsafe {
            (*segment.head()).warm[block / 64] |= 1 << (block % 64);
            let desc = &mut *segment.block_desc(block);
            desc.stamp_ms = self.clock_ms;
            desc.prev = NONE;
            desc.next = self.warm_head;
        }
        match self.warm_head {
            NONE => self.warm_tail = id,
            // SAFETY: as above, another block.
            next => unsafe { (*self.block_desc(next)).prev = id },
        }
        self.warm_head = id;
    }

    pub(super) fn unlink_warm(&mut self, segment: Segment, id: u32) {
        let block = split(id).1;
        // SAFETY: as in `link_warm`; three different blocks.
        unsafe {
            (*segment.head()).warm[block / 64] &= !(1 << (block % 64));
            let desc = segment.block_desc(block);
            let (prev, next) = ((*desc).prev, (*desc).next);
            match prev {
                NONE => self.warm_head = next,
                prev => (*self.block_desc(prev)).next = next,
            }
            match next {
                NONE => self.warm_tail = prev,
                next => (*self.block_desc(next)).prev = prev,
            }
        }
    }

    /// It is `now`: the time that pages freed from here on count as freed at. An instant before the last changes nothing.
    pub fn tick(&mut self, now: Instant) {
        let elapsed_ms = now.saturating_duration_since(self.clock_set).as_millis() as u64;
        // Whole milliseconds only, or many small steps would never be one.
        if let Some(set) = self.clock_set.checked_add(Duration::from_millis(elapsed_ms)) {
            self.clock_set = set;
            self.clock_ms = self.clock_ms.wrapping_add(elapsed_ms as u32);
        }
    }

    /// How long ago a stamp was made. The clock wraps in 49 days: what is older by them seems young, and goes a little later.
    pub(super) fn age_ms(&self, stamp_ms: u32) -> u32 {
        self.clock_ms.wrapping_sub(stamp_ms)
    }

    /// Gives idle pages back, at least about `max` bytes if so many have been idle for [`IDLE_MS`]. Says how many bytes.
    pub fn purge(&mut self, now: Instant, max: usize) -> usize {
        self.tick(now);
        self.purge_idle(max, IDLE_MS)
    }

    /// Gives about `max` bytes of idle pages back, whatever their age, or fewer if `keep` bytes of them are left then. Says how many bytes.
    pub fn purge_down_to(&mut self, keep: usize, max: usize) -> usize {
        self.purge_idle(self.idle.saturating_sub(keep).min(max), 0)
    }

    /// Gives about `max` bytes of pages back that have been idle for `min_age_ms`, the longest idle of each kind first.
    pub(super) fn purge_idle(&mut self, max: usize, min_age_ms: u32) -> usize {
        let mut freed = self.purge_warm(max, min_age_ms);
        if freed < max {
            freed += self.purge_dead(max - freed, min_age_ms);
        }
        if freed < max {
            freed += self.purge_tails(max - freed, min_age_ms);
        }
        if freed < max && self.idle > 0 {
            freed += self.purge_stray(max - freed, min_age_ms);
        }
        freed
    }

    /// Warm blocks, the longest warm first.
    fn purge_warm(&mut self, max: usize, min_age_ms: u32) -> usize {
        let mut freed = 0;
        while self.warm_tail != NONE && freed < max {
            let id = self.warm_tail;
            let (index, block) = split(id);
            let segment = self.segment_of_id(id);
            // SAFETY: the descriptor of a block of a mapped segment.
            if self.age_ms(unsafe { (*segment.block_desc(block)).stamp_ms }) < min_age_ms {
                break;
            }
            let pages = self.decommit(segment, block * BLOCK_PAGES, BLOCK_PAGES);
            if pages == 0 {
                break;
            }
            self.unlink_warm(segment, id);
            self.cold.set(index, self.cold.get(index) + 1);
            freed += pages * PAGE;
            if self.cold.get(index) as usize == BLOCKS - FIRST_BLOCK && !self.pinned && self.has_cold_beside(index) {
                self.unmap(index);
            }
        }
        freed
    }

    /// Whether some other segment has room, so that this one is not missed at once.
    fn has_cold_beside(&mut self, index: usize) -> bool {
        let own = self.cold.get(index);
        self.cold.set(index, 0);
        let other = self.cold.first(1);
        self.cold.set(index, own);
        other.is_some()
    }

    /// The segment of this index may have idle pages outside of warm blocks.
    pub(super) fn link_stray(&mut self, index: usize) {
        if self.table[index].stray {
            return;
        }
        self.table[index].stray = true;
        self.table[index].next_stray = NONE;
        match self.stray_tail {
            NONE => self.stray_head = index as u32,
            tail => self.table[tail as usize].next_stray = index as u32,
        }
        self.stray_tail = index as u32;
    }

    fn pop_stray(&mut self) -> Option<usize> {
        let index = self.stray_head as usize;
        let entry = self.table.get_mut(index)?;
        entry.stray = false;
        self.stray_head = entry.next_stray;
        if self.stray_head == NONE {
            self.stray_tail = NONE;
        }
        Some(index)
    }

    /// Idle pages beside runs that are in use. One call looks at a bounded number of segments that turn out to be too young.
    fn purge_stray(&mut self, max: usize, min_age_ms: u32) -> usize {
        let (mut freed, mut young) = (0, 0);
        while freed < max && young < STRAY_SCAN {
            let Some(index) = self.pop_stray() else { break };
            let entry = &self.table[index];
            // It may have been unmapped since it was entered.
            let Some(segment) = entry.segment.filter(|_| !entry.dedicated) else { continue };
            if self.age_ms(entry.stamp_ms) < min_age_ms {
                self.link_stray(index);
                young += 1;
            } else {
                freed += self.purge_stray_of(segment);
            }
        }
        freed
    }

    fn purge_stray_of(&mut self, segment: Segment) -> usize {
        let mut freed = 0;
        for block in FIRST_BLOCK..BLOCKS {
            // SAFETY: the head of a mapped segment.
            let (used, touched, warm) = unsafe {
                let head = &*segment.head();
                (block_byte(&head.used, block), block_byte(&head.touched, block), head.warm[block / 64] >> (block % 64) & 1)
            };
            let mut idle = touched & !used;
            while warm == 0 && idle != 0 {
                let start = idle.trailing_zeros() as usize;
                let count = (idle >> start).trailing_ones() as usize;
                freed += self.decommit(segment, block * BLOCK_PAGES + start, count) * PAGE;
                idle &= (((1u16 << count) - 1) << start ^ 0xff) as u8;
            }
        }
        freed
    }

    /// Gives free pages back. Says how many of them had been touched, 0 if the system refuses.
    fn decommit(&mut self, segment: Segment, start: usize, count: usize) -> usize {
        // SAFETY: pages of a mapped segment that are free (used-pages-have-bits), so nobody needs their contents.
        unsafe {
            if !self.os.decommit(segment.data(start * PAGE), count * PAGE) {
                return 0;
            }
            let touched = &mut (*segment.head()).touched;
            let mut pages = 0;
            for page in start..start + count {
                pages += (touched[page / 64] >> (page % 64) & 1) as usize;
                touched[page / 64] &= !(1 << (page % 64));
            }
            self.committed -= pages * PAGE;
            self.idle -= pages * PAGE;
            pages
        }
    }
}
