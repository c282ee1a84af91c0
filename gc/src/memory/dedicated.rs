//! Segments of one large run each, with address space behind it to grow into.
//!
//! ```text
//!   | metadata | run, committed ... | room, untouched ...                    | dirty bits |
//!   base       first data page      + committed                              + room
//! ```
//!
//! * **untouched-behind-committed** All of `committed`, and nothing behind it, may have been touched (dirty bits aside, a 64th at most).
//! * **runless-is-dead-and-idle** A dedicated segment without a run is in the list of the dead, and all that it has committed is idle.
//!
//! * **pinned-dead-are-kept** While the layout is pinned no dead segment is taken again, nor unmapped: its `live` bit says that the run is dead.
//!
//! Imports `pages`, `segment`, `os`.

use super::os::OutOfMemory;
use super::pages::{Pages, split};
use super::segment::*;

/// From this size on a run gets a segment of its own.
pub const DEDICATED: usize = 256 << 10;
/// Address space for dedicated segments; each reserves a 1024th of what is left. (For Miri it is memory.)
pub const ADDRESS_SPACE: usize = if cfg!(miri) { 16 << 30 } else { 16 << 40 };
/// Below this a run keeps away from huge pages, most of which it would not use.
const HUGE_PAGES_FROM: usize = 16 << 20;
/// Dead segments looked at for reuse.
const REUSE_SCAN: usize = 8;

impl Pages {
    /// A segment for a run of `bytes` (whole pages), at a multiple of `align` pages: all committed. Says where the run starts and
    /// how many of its first bytes are known to have been touched.
    pub fn take_dedicated(&mut self, bytes: usize, align: usize) -> Result<(Segment, usize, usize), OutOfMemory> {
        let segment = match self.reuse_dead(bytes, align) {
            Some(segment) => segment,
            None => self.map_dedicated(bytes, FIRST_PAGE.next_multiple_of(align))?,
        };
        // SAFETY: the head of a mapped segment.
        let (start, had) = unsafe { ((*segment.head()).own.page as usize, (*segment.head()).committed) };
        let meta = 1 | 1 << (start * PAGE / 1024 * size_of::<Pair>() / PAGE);
        if let Err(error) = self.charge_meta(segment, meta).and_then(|()| self.resize_dedicated(segment, bytes).map(drop)) {
            self.give_back_dedicated(segment);
            return Err(error);
        }
        Ok((segment, start, had.min(bytes)))
    }

    /// Makes the committed part `bytes` long. `false`: there is no room for that.
    pub fn resize_dedicated(&mut self, segment: Segment, bytes: usize) -> Result<bool, OutOfMemory> {
        let head = segment.head();
        // SAFETY: the head of a mapped segment; no reference to it is held across a call.
        unsafe {
            let committed = (*head).committed;
            if bytes > (*head).room {
                return Ok(false);
            }
            if bytes > committed {
                self.charge(bytes - committed)?;
                (*head).committed = bytes;
            } else {
                self.trim(segment, bytes);
            }
        }
        Ok(true)
    }

    /// Gives the committed pages from `bytes` on back to the system; says how many bytes that were.
    fn trim(&mut self, segment: Segment, bytes: usize) -> usize {
        let head = segment.head();
        // SAFETY: the head of a mapped segment, and pages that no run needs (untouched-behind-committed).
        unsafe {
            let excess = (*head).committed - bytes;
            if excess == 0 || !self.os.decommit(segment.data((*head).own.page as usize * PAGE + bytes), excess) {
                return 0;
            }
            (*head).committed = bytes;
            self.committed -= excess;
            excess
        }
    }

    fn map_dedicated(&mut self, bytes: usize, start: usize) -> Result<Segment, OutOfMemory> {
        let mut room = bytes.max(self.address_space / 1024) & !(PAGE - 1);
        loop {
            let dirty = (room / PAGE * PAGE_WORDS * 8).next_multiple_of(PAGE);
            let len = (start * PAGE).checked_add(room).and_then(|n| n.checked_add(dirty)).ok_or(OutOfMemory)?.max(SEGMENT);
            match self.map(len, true, bytes < HUGE_PAGES_FROM) {
                Ok((_, segment)) => {
                    // SAFETY: the head of a segment just mapped, and addresses inside it.
                    unsafe {
                        let head = &mut *segment.head();
                        head.room = room;
                        head.own.page = start as u32;
                        head.dirty = segment.data(start * PAGE + room).as_ptr().cast::<u64>().wrapping_sub(start * PAGE_WORDS);
                    }
                    self.address_space = self.address_space.saturating_sub(len);
                    return Ok(segment);
                }
                Err(error) if room == bytes => return Err(error),
                // Address space may be limited: ask for less.
                Err(_) => room = (room / 16).max(bytes) & !(PAGE - 1),
            }
        }
    }

    /// A dead segment with room enough, unlinked; the most recently freed of those that fit.
    fn reuse_dead(&mut self, bytes: usize, align: usize) -> Option<Segment> {
        let mut id = if self.pinned { NONE } else { self.dead_head };
        for _ in 0..REUSE_SCAN {
            if id == NONE {
                return None;
            }
            let segment = self.segment_of_id(id);
            // SAFETY: the head of a mapped segment.
            let head = unsafe { &*segment.head() };
            // Much more memory than is needed would only be given back.
            if head.room >= bytes && (head.own.page as usize).is_multiple_of(align) && head.committed / 2 <= bytes {
                self.unlink_dead(segment, id);
                return Some(segment);
            }
            id = head.own.next;
        }
        None
    }

    /// The run of a dedicated segment is no more.
    pub fn give_back_dedicated(&mut self, segment: Segment) {
        // SAFETY: the head of a mapped segment.
        let head = unsafe { &mut *segment.head() };
        let id = block_id(head.index, 0);
        self.idle += head.committed;
        self.table[head.index as usize].stamp_ms = self.clock_ms;
        head.own.prev = NONE;
        head.own.next = self.dead_head;
        match self.dead_head {
            NONE => self.dead_tail = id,
            // SAFETY: another segment's head (runless-is-dead-and-idle).
            next => unsafe { (*self.segment_of_id(next).head()).own.prev = id },
        }
        self.dead_head = id;
    }

    fn unlink_dead(&mut self, segment: Segment, id: u32) {
        // SAFETY: heads of three different segments, all mapped (runless-is-dead-and-idle).
        unsafe {
            let (prev, next) = ((*segment.head()).own.prev, (*segment.head()).own.next);
            match prev {
                NONE => self.dead_head = next,
                prev => (*self.segment_of_id(prev).head()).own.next = next,
            }
            match next {
                NONE => self.dead_tail = prev,
                next => (*self.segment_of_id(next).head()).own.prev = prev,
            }
            debug_assert_eq!(block_id((*segment.head()).index, 0), id);
            self.idle -= (*segment.head()).committed;
        }
    }

    /// Gives back about `max` bytes of dead segments that have been so for `min_age_ms`, and unmaps the empty.
    pub fn purge_dead(&mut self, max: usize, min_age_ms: u32) -> usize {
        let mut freed = 0;
        let mut next = self.dead_tail;
        while next != NONE && freed < max {
            let id = next;
            let index = split(id).0;
            if self.age_ms(self.table[index].stamp_ms) < min_age_ms {
                break;
            }
            let segment = self.segment_of_id(id);
            // SAFETY: the head of a mapped segment.
            let committed = unsafe {
                next = (*segment.head()).own.prev;
                (*segment.head()).committed
            };
            let keep = committed.saturating_sub(max - freed) & !(PAGE - 1);
            let trimmed = self.trim(segment, keep);
            self.idle -= trimmed;
            freed += trimmed;
            let rest = committed - trimmed;
            // Where single pages can't be given back, the whole can; pinned-dead-are-kept.
            if self.pinned || (rest > 0 && trimmed > 0) {
                continue;
            }
            self.unlink_dead(segment, id);
            self.committed -= rest;
            freed += rest;
            // SAFETY: as above.
            self.address_space += unsafe { (*segment.head()).mapped };
            self.unmap(index);
        }
        freed
    }
}
