//! Segments of one large run each, with address space behind it to grow into.
//!
//! ```text
//!   | metadata | run ...   | tail | room, untouched ...                      | dirty bits |
//!   base       first data page    + committed                                + room
//! ```
//!
//! An explicit run that becomes shorter, or that takes the place of a longer one, keeps what is committed behind it as a *tail*, which is idle: it may
//! grow again, as vectors do. Where the collector is the owner the tail goes back at once.
//!
//! * **untouched-behind-committed** All of `committed`, and nothing behind it, may have been touched (dirty bits aside, a 64th at most).
//! * **runless-is-dead-and-idle** A dedicated segment without a run is in the list of the dead, and all that it has committed is idle.
//! * **tails-are-listed-and-idle** A dedicated segment with a run is in the list of tails if and only if its `tail` is not 0; the tail is idle, and nothing
//!   else of the segment.
//! * **pinned-dead-are-kept** While the layout is pinned no dead segment is taken again, nor unmapped: its `live` bit says that the run is dead.
//!
//! Imports `pages`, `segment`, `os`.

use super::os::OutOfMemory;
use super::pages::{IdleList, Pages, split};
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
    pub fn take_dedicated(&mut self, bytes: usize, align: usize, owner: Owner) -> Result<(Segment, usize, usize), OutOfMemory> {
        let segment = match self.reuse_dead(bytes, align, owner) {
            Some(segment) => segment,
            None => self.map_dedicated(bytes, FIRST_PAGE.next_multiple_of(align))?,
        };
        // SAFETY: the head of a mapped segment.
        let (start, had) = unsafe { ((*segment.head()).own.page as usize, (*segment.head()).committed) };
        let meta = 1 | 1 << (start * PAGE / 1024 * size_of::<Pair>() / PAGE);
        let paid = self.charge_meta(segment, meta).and_then(|()| self.resize_dedicated(segment, bytes, owner).map(drop));
        if let Err(error) = paid {
            self.give_back_dedicated(segment);
            return Err(error);
        }
        Ok((segment, start, had.min(bytes)))
    }

    /// Makes the part that the run needs `bytes` long. `false`: there is no room for that.
    pub fn resize_dedicated(&mut self, segment: Segment, bytes: usize, owner: Owner) -> Result<bool, OutOfMemory> {
        let head = segment.head();
        // SAFETY: the head of a mapped segment; no reference to it is held across a call.
        unsafe {
            if bytes > (*head).room {
                return Ok(false);
            }
            let (committed, tail) = ((*head).committed, (*head).tail);
            // What is charged below is not to come from the tail.
            self.set_tail(segment, 0);
            if bytes > committed {
                if let Err(error) = self.charge(bytes - committed) {
                    self.set_tail(segment, tail);
                    return Err(error);
                }
                (*head).committed = bytes;
            } else if owner == Owner::Explicit {
                self.set_tail(segment, committed - bytes);
            } else {
                self.trim(segment, bytes);
            }
        }
        Ok(true)
    }

    /// So many of the committed bytes are not needed by the run (tails-are-listed-and-idle).
    fn set_tail(&mut self, segment: Segment, bytes: usize) {
        // SAFETY: the head of a mapped segment.
        let was = unsafe { std::mem::replace(&mut (*segment.head()).tail, bytes) };
        self.idle = self.idle - was + bytes;
        if was == 0 && bytes != 0 {
            self.link(|pages| &mut pages.tails, segment);
        } else if was != 0 && bytes == 0 {
            self.unlink(|pages| &mut pages.tails, segment);
        }
    }

    /// Puts a segment in front of a list that it is not in, and says when.
    fn link(&mut self, list: fn(&mut Pages) -> &mut IdleList, segment: Segment) {
        // SAFETY: the heads of two mapped segments: no list names another (runless-is-dead-and-idle, tails-are-listed-and-idle).
        unsafe {
            let head = segment.head();
            let (index, next) = ((*head).index, list(self).head);
            let id = block_id(index, 0);
            self.table[index as usize].stamp_ms = self.clock_ms;
            ((*head).idle_prev, (*head).idle_next) = (NONE, next);
            match next {
                NONE => list(self).tail = id,
                next => (*self.segment_of_id(next).head()).idle_prev = id,
            }
            list(self).head = id;
        }
    }

    /// Takes it out of the list that it is in.
    fn unlink(&mut self, list: fn(&mut Pages) -> &mut IdleList, segment: Segment) {
        // SAFETY: as above, three different segments.
        unsafe {
            let (prev, next) = ((*segment.head()).idle_prev, (*segment.head()).idle_next);
            match prev {
                NONE => list(self).head = next,
                prev => (*self.segment_of_id(prev).head()).idle_next = next,
            }
            match next {
                NONE => list(self).tail = prev,
                next => (*self.segment_of_id(next).head()).idle_prev = prev,
            }
        }
    }

    /// Gives back about `max` bytes of tails that have been so for `min_age_ms`.
    pub fn purge_tails(&mut self, max: usize, min_age_ms: u32) -> usize {
        let mut freed = 0;
        while self.tails.tail != NONE && freed < max {
            let id = self.tails.tail;
            if self.age_ms(self.table[split(id).0].stamp_ms) < min_age_ms {
                break;
            }
            let segment = self.segment_of_id(id);
            // SAFETY: the head of a mapped segment.
            let (committed, tail) = unsafe { ((*segment.head()).committed, (*segment.head()).tail) };
            let part = tail.min((max - freed).saturating_add(PAGE - 1) & !(PAGE - 1));
            self.set_tail(segment, tail - part);
            let trimmed = self.trim(segment, committed - part);
            freed += trimmed;
            if trimmed == 0 {
                // The system refuses: the tail counts as needed.
                self.set_tail(segment, 0);
            }
        }
        freed
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

    /// A dead segment with room enough, unlinked: of those that were freed last, the one of which least is too much, or else too little.
    fn reuse_dead(&mut self, bytes: usize, align: usize, owner: Owner) -> Option<Segment> {
        let mut id = if self.pinned { NONE } else { self.dead.head };
        let mut best = None;
        for _ in 0..REUSE_SCAN {
            if id == NONE {
                break;
            }
            let segment = self.segment_of_id(id);
            // SAFETY: the head of a mapped segment.
            let head = unsafe { &*segment.head() };
            // Much more memory than is needed would only be given back, where no tail is kept.
            let fits = owner == Owner::Explicit || head.committed / 2 <= bytes;
            if head.room >= bytes && (head.own.page as usize).is_multiple_of(align) && fits {
                let rank = (head.committed < bytes, head.committed.abs_diff(bytes));
                if best.is_none_or(|(_, other)| rank < other) {
                    best = Some((segment, rank));
                }
            }
            id = head.idle_next;
        }
        let (segment, _) = best?;
        self.unlink_dead(segment);
        Some(segment)
    }

    /// The run of a dedicated segment is no more.
    pub fn give_back_dedicated(&mut self, segment: Segment) {
        self.set_tail(segment, 0);
        // SAFETY: the head of a mapped segment.
        self.idle += unsafe { (*segment.head()).committed };
        self.link(|pages| &mut pages.dead, segment);
    }

    fn unlink_dead(&mut self, segment: Segment) {
        self.unlink(|pages| &mut pages.dead, segment);
        // SAFETY: the head of a mapped segment.
        self.idle -= unsafe { (*segment.head()).committed };
    }

    /// Gives back about `max` bytes of dead segments that have been so for `min_age_ms`, and unmaps the empty.
    pub fn purge_dead(&mut self, max: usize, min_age_ms: u32) -> usize {
        let mut freed = 0;
        let mut next = self.dead.tail;
        while next != NONE && freed < max {
            let id = next;
            let index = split(id).0;
            if self.age_ms(self.table[index].stamp_ms) < min_age_ms {
                break;
            }
            let segment = self.segment_of_id(id);
            // SAFETY: the head of a mapped segment.
            let committed = unsafe {
                next = (*segment.head()).idle_prev;
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
            self.unlink_dead(segment);
            self.committed -= rest;
            freed += rest;
            // SAFETY: as above.
            self.address_space += unsafe { (*segment.head()).mapped };
            self.unmap(index);
        }
        freed
    }
}
