//! Giving idle pages of shared segments back to the system; see `pages`.
//!
//! Imports `pages`, `segment`.

use super::pages::{Pages, split};
use super::segment::*;
use std::time::Instant;

/// How long a page stays idle before it goes back to the system.
pub const IDLE_MS: u32 = 100;

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

    /// It is `now`: the time that pages freed from here on count as freed at.
    pub fn tick(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.started).as_millis();
        self.clock_ms = u32::try_from(elapsed).unwrap_or(u32::MAX).max(self.clock_ms);
    }

    /// Gives idle pages back, at least about `max` bytes if so many have been idle for [`IDLE_MS`]. Says how many bytes.
    pub fn purge(&mut self, now: Instant, max: usize) -> usize {
        self.tick(now);
        let Some(since) = self.clock_ms.checked_sub(IDLE_MS) else { return 0 };
        let mut freed = self.purge_warm(max, Some(since));
        if freed < max {
            freed += self.purge_dead(max - freed, Some(since));
        }
        if freed < max && self.idle > 0 {
            freed += self.purge_stray(max - freed, Some(since));
        }
        freed
    }

    /// Warm blocks, the longest warm first.
    pub(super) fn purge_warm(&mut self, max: usize, since_ms: Option<u32>) -> usize {
        let mut freed = 0;
        while self.warm_tail != NONE && freed < max {
            let id = self.warm_tail;
            let (index, block) = split(id);
            let segment = self.segment_of_id(id);
            // SAFETY: the descriptor of a block of a mapped segment.
            if since_ms.is_some_and(|since| unsafe { (*segment.block_desc(block)).stamp_ms } > since) {
                break;
            }
            let pages = self.decommit(segment, block * BLOCK_PAGES, BLOCK_PAGES);
            if pages == 0 {
                break;
            }
            self.unlink_warm(segment, id);
            self.table[index].cold += 1;
            self.cold_from = self.cold_from.min(index);
            freed += pages * PAGE;
            if self.table[index].cold as usize == BLOCKS - FIRST_BLOCK && !self.pinned && self.has_cold_beside(index) {
                self.unmap(index);
            }
        }
        freed
    }

    /// Whether some other segment has room, so that this one is not missed at once.
    fn has_cold_beside(&self, index: usize) -> bool {
        self.table.iter().enumerate().any(|(other, entry)| other != index && entry.cold > 0)
    }

    /// Idle pages beside runs that are in use.
    pub(super) fn purge_stray(&mut self, max: usize, since_ms: Option<u32>) -> usize {
        let mut freed = 0;
        for _ in 0..self.table.len() {
            if self.stray_from >= self.table.len() {
                self.stray_from = 0;
            }
            let entry = &mut self.table[self.stray_from];
            if let (Some(segment), true) = (entry.segment, entry.stray)
                && since_ms.is_none_or(|since| entry.stamp_ms <= since)
            {
                entry.stray = false;
                freed += self.purge_stray_of(segment);
                if freed >= max {
                    break;
                }
            }
            self.stray_from += 1;
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
        // SAFETY: pages of a mapped segment that are free (S2), so nobody needs their contents.
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
