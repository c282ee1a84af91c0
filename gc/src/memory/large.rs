//! Large runs: cells above 8 KiB, whole pages, each with a descriptor and dirty bits (`dirty`).
//!
//! Below [`DEDICATED`] a run stands among blocks and grows into the pages behind it, if they are free; from there on it has a segment to
//! itself and grows in the address space reserved there. It never moves (R5).
//!
//! Its dirty bits stand in the segment's metadata (shared) or behind the room of the run (dedicated), so that they grow with the run and
//! never need an allocation.
//!
//! * **run-starts-at-a-page** A run starts at a page and has at least three; its `live` and `mark` bits are those of its first granule.
//! * **run-pages-say-free** The block descriptor of a page in a run says `Free`.
//! * **undirtied-holds-no-reference** A collected run of which no slot was ever dirty (`dirtied` is clear) holds no reference: what it held would have to be
//!   written, and that makes a slot dirty.
//!
//! Imports `pages`, `dedicated`, `segment`, `dirty`, `asan`.

use super::Memory;
use super::asan;
use super::dedicated::DEDICATED;
use super::dirty::table_of_page;
use super::os::OutOfMemory;
use super::pages::Pages;
use super::segment::*;
use std::ptr::NonNull;

/// The longest run: the descriptor counts pages and words of dirty bits in 32 bits.
const MAX_RUN: usize = 1 << 40;

/// The segment of a run and the page where it starts.
///
/// # Safety
/// `cell` is the start of a run that was allocated.
pub(super) unsafe fn place_of(cell: NonNull<u8>) -> (Segment, usize) {
    // SAFETY: by the caller.
    let segment = unsafe { Segment::of(cell) };
    (segment, (cell.as_ptr().addr() - segment.addr()) / PAGE)
}

impl Pages {
    /// A run of `size` bytes, at a multiple of `align` pages; also how many of its first bytes may have been touched before.
    pub fn new_run(&mut self, size: usize, align: usize, owner: Owner) -> Result<(NonNull<u8>, usize), OutOfMemory> {
        let bytes = size.max(2 * PAGE + 1).checked_next_multiple_of(PAGE).filter(|&bytes| bytes <= MAX_RUN).ok_or(OutOfMemory)?;
        let (segment, page, touched) = if bytes < DEDICATED {
            let (segment, page) = self.take_run(bytes / PAGE, align)?;
            (segment, page, bytes)
        } else {
            self.take_dedicated(bytes, align, owner)?
        };
        // SAFETY: pages just taken: head, descriptor and bits of a mapped segment.
        unsafe {
            let head = segment.head();
            (*head).runs[page / 3 / 64] |= 1 << (page / 3 % 64);
            if (*head).room != 0 {
                // clean-behind-dirty-words: what the run before has left.
                table_of_page(segment, page).write_bytes(0, (*head).own.dirty_words as usize);
            }
            segment.run_desc(page).write(RunDesc {
                size,
                page: page as u32,
                pages: (bytes / PAGE) as u32,
                dirty_words: 0,
                dirtied: false,
                next: NONE,
                prev: NONE,
                state: RunState::Mature,
                owner,
                align_log2: 0,
            });
            let cell = segment.data(page * PAGE);
            asan::unpoison(cell, bytes);
            let (pair, bit) = bits_of(cell);
            (*pair).live &= !bit;
            (*pair).mark &= !bit;
            Ok((cell, touched))
        }
    }

    /// Frees the pages of a run.
    pub fn give_back_run(&mut self, segment: Segment, page: usize) {
        // SAFETY: the head and descriptor of a run in use.
        unsafe {
            let desc = segment.run_desc(page);
            let pages = (*desc).pages as usize;
            asan::poison(segment.data(page * PAGE), pages * PAGE);
            (*desc).state = RunState::None;
            (*segment.head()).runs[page / 3 / 64] &= !(1 << (page / 3 % 64));
            if (*segment.head()).room != 0 {
                self.give_back_dedicated(segment);
            } else {
                self.give_back(segment, page, pages);
            }
        }
    }

    /// Frees a run that was in limbo; says what comes next there.
    pub fn limbo_run(&mut self, id: u32) -> u32 {
        let segment = self.segment_of_id(id);
        // SAFETY: the descriptor of a run in limbo.
        let (next, page) = unsafe {
            let desc = self.run_desc(id);
            ((*desc).next, (*desc).page as usize)
        };
        self.give_back_run(segment, page);
        next
    }

    /// Makes a run `size` bytes long where it stands. `false`: it can't be.
    ///
    /// # Safety
    /// `cell` is the start of a run in use.
    pub unsafe fn resize_run(&mut self, cell: NonNull<u8>, size: usize) -> Result<bool, OutOfMemory> {
        let bytes = size.max(2 * PAGE + 1).checked_next_multiple_of(PAGE).ok_or(OutOfMemory)?;
        // SAFETY: by the caller.
        unsafe {
            let (segment, page) = place_of(cell);
            let desc = segment.run_desc(page);
            let (old, new) = ((*desc).pages as usize, bytes / PAGE);
            if (*segment.head()).room != 0 {
                if new != old && !self.resize_dedicated(segment, bytes, (*desc).owner)? {
                    return Ok(false);
                }
                if new < old {
                    asan::poison(segment.data((page + new) * PAGE), (old - new) * PAGE);
                }
            } else if new > old {
                // In a segment of its own it could go on growing.
                if bytes >= DEDICATED || !self.extend_run(segment, page + old, new - old)? {
                    return Ok(false);
                }
            } else if new < old {
                self.give_back(segment, page + new, old - new);
                asan::poison(segment.data((page + new) * PAGE), (old - new) * PAGE);
            }
            asan::unpoison(cell, bytes);
            (*desc).pages = new as u32;
            (*desc).size = size;
        }
        Ok(true)
    }
}

impl Memory {
    pub(super) fn alloc_run(&mut self, size: usize) -> Result<NonNull<u8>, OutOfMemory> {
        self.settle_limbo(super::LIMBO_STEP);
        let cell = loop {
            match self.pages.new_run(size, 1, Owner::Collected) {
                Ok((cell, _)) => break cell,
                Err(_) => self.reclaim_limbo()?,
            }
        };
        // SAFETY: a run just made.
        unsafe {
            let (segment, page) = place_of(cell);
            let desc = segment.run_desc(page);
            (*desc).state = RunState::Young;
            (*desc).next = self.young_runs;
            let id = run_id((*segment.head()).index, page);
            if self.young_runs != NONE {
                (*self.pages.run_desc(self.young_runs)).prev = id;
            }
            self.young_runs = id;
            let bytes = (*desc).pages as usize * PAGE;
            self.large_bytes += bytes;
            self.young_large += bytes;
            self.young_run_cells += 1;
        }
        self.ring();
        Ok(cell)
    }

    /// Makes a large run bigger where it stands (R5). `false`: it can't grow there.
    ///
    /// # Safety
    /// `cell` is a collected run, young or live; `new_size` is not less than its size.
    pub unsafe fn grow(&mut self, cell: NonNull<u8>, new_size: usize) -> Result<bool, OutOfMemory> {
        // SAFETY: by the caller.
        unsafe {
            let (segment, page) = place_of(cell);
            let desc = segment.run_desc(page);
            let old = (*desc).pages as usize;
            if new_size <= old * PAGE {
                (*desc).size = new_size;
                return Ok(true);
            }
            loop {
                match self.pages.resize_run(cell, new_size) {
                    Ok(true) => break,
                    Ok(false) => return Ok(false),
                    Err(_) => self.reclaim_limbo()?,
                }
            }
            let more = ((*desc).pages as usize - old) * PAGE;
            self.large_bytes += more;
            self.young_large += more;
        }
        self.ring();
        Ok(true)
    }

    /// The bytes that a run has, its last page whole.
    ///
    /// # Safety
    /// `cell` is a run in use.
    pub unsafe fn run_bytes(&self, cell: NonNull<u8>) -> usize {
        // SAFETY: by the caller.
        unsafe {
            let (segment, page) = place_of(cell);
            (*segment.run_desc(page)).pages as usize * PAGE
        }
    }

    /// A collected run has died.
    ///
    /// # Safety
    /// `cell` is a run in use whose `live` bit is clear.
    pub(super) unsafe fn free_run(&mut self, cell: NonNull<u8>) {
        // SAFETY: by the caller.
        unsafe {
            let (segment, page) = place_of(cell);
            let desc = segment.run_desc(page);
            self.large_bytes -= (*desc).pages as usize * PAGE;
            if (*desc).state == RunState::Young {
                self.unlink_young(desc);
            }
            self.retire(segment, page);
        }
    }

    /// Gives back the pages of a dead run, now or after limbo (pinned-layout-stays).
    fn retire(&mut self, segment: Segment, page: usize) {
        // SAFETY: the head of a mapped segment.
        let dedicated = unsafe { (*segment.head()).room != 0 };
        // A dedicated segment is not taken again while the layout is pinned (pinned-dead-are-kept), but its pages may go.
        if !self.pages.pinned || dedicated {
            return self.pages.give_back_run(segment, page);
        }
        // SAFETY: the head and descriptor of a run in use, in no list.
        unsafe {
            let desc = segment.run_desc(page);
            asan::poison(segment.data(page * PAGE), (*desc).pages as usize * PAGE);
            (*desc).state = RunState::Limbo;
            (*desc).next = self.limbo;
            self.limbo = run_id((*segment.head()).index, page);
        }
    }

    /// # Safety
    /// The descriptor of a young run.
    unsafe fn unlink_young(&mut self, desc: *mut RunDesc) {
        // SAFETY: by the caller; the neighbours are other young runs.
        unsafe {
            let (prev, next) = ((*desc).prev, (*desc).next);
            match prev {
                NONE => self.young_runs = next,
                prev => (*self.pages.run_desc(prev)).next = next,
            }
            if next != NONE {
                (*self.pages.run_desc(next)).prev = prev;
            }
        }
    }

    /// The end of the epoch for runs: live ones mature, the others are free.
    pub(super) fn reset_young_runs(&mut self) {
        let mut id = std::mem::replace(&mut self.young_runs, NONE);
        while id != NONE {
            let segment = self.pages.segment_of_id(id);
            // SAFETY: the descriptor and bits of a young run.
            unsafe {
                let desc = self.pages.run_desc(id);
                id = (*desc).next;
                let page = (*desc).page as usize;
                (*desc).state = RunState::Mature;
                if !self.is_live(segment.data(page * PAGE)) {
                    self.large_bytes -= (*desc).pages as usize * PAGE;
                    self.retire(segment, page);
                }
            }
        }
    }

    /// The run may hold references from now on (undirtied-holds-no-reference).
    ///
    /// # Safety
    /// `cell` is a collected run in use.
    pub unsafe fn set_dirtied(&mut self, cell: NonNull<u8>) {
        // SAFETY: by the caller.
        unsafe {
            let (segment, page) = place_of(cell);
            (*segment.run_desc(page)).dirtied = true;
        }
    }

    /// Whether the run may hold references (undirtied-holds-no-reference).
    ///
    /// # Safety
    /// `cell` is a collected run in use.
    pub unsafe fn was_dirtied(&self, cell: NonNull<u8>) -> bool {
        // SAFETY: by the caller.
        unsafe {
            let (segment, page) = place_of(cell);
            (*segment.run_desc(page)).dirtied
        }
    }
}
