//! The memory below the collector: cells, their bits, and nothing of what is in them.
//!
//! Glossary: a **segment** is 4 MiB of mapping; a **block** 32 KiB of it, cells of one size class; a **run** is a cell above 8 KiB, whole
//! pages; a **granule** is 16 bytes; an **epoch** is the time between two calls of [`Memory::epoch_reset`]. A cell is *young* from its
//! allocation until its `live` bit is set or the epoch ends; *live* while that bit is set; else *free*.
//!
//! ```text
//!   alloc -> Bump of the class, in its current block          block.rs
//!              | end of the run
//!              v
//!            next run of free cells, next available block     block.rs
//!              | none
//!              v
//!            free block, warm before cold                     pages.rs     runs: large.rs, dedicated.rs
//!              | none
//!              v
//!            new segment                                      os.rs
//! ```
//!
//! * **refused-above-the-limit** `committed <= limit`: an allocation that would pass it is `Err(OutOfMemory)` and changes nothing that matters.
//! * **block-once-an-epoch** A block is handed to the collected allocator at most once an epoch (R9). A block that has been (`Current`, `Spent`) may hold
//!   young cells: it is neither empty nor free before `epoch_reset` has looked.
//! * **pinned-layout-stays** While the layout is pinned, no block changes its class, no run its extent, and no segment is unmapped (R9): what is freed
//!   waits in limbo.
//! * **used-bytes-add-up** `used_bytes` = live small cells (blocks handed out in this epoch: as they were then) + runs + explicit cells + what
//!   was handed out in this epoch.
//!
//! Imports nothing of the crate but its own files.

pub(crate) mod asan;
mod bases;
pub(crate) mod block;
pub(crate) mod claims;
mod dedicated;
pub(crate) mod dirty;
mod gray;
mod large;
mod layout;
mod maxima;
mod os;
pub(crate) mod pages;
mod purge;
pub(crate) mod segment;
pub(crate) mod size_class;
#[cfg(test)]
pub(crate) mod tests;
mod walk;

pub(crate) use dirty::Dirtied;
pub(crate) use gray::{Found, GrayWord};
pub use layout::{Extent, Use};
pub use os::{Faults, OutOfMemory};
pub(crate) use size_class::{GRANULE, MAX_SMALL};

use block::{Bump, Lanes};
use pages::{Pages, split};
use segment::{NONE, Owner, Pair, Segment, State, bits_of};
use size_class::{CLASSES, class_of, size_of_class};
use std::ptr::NonNull;
use std::time::Instant;

pub(crate) use walk::BlockView;

/// What waits for the layout to be unpinned is freed in steps of this many.
const LIMBO_STEP: usize = 32;

/// The cells of a heap.
pub(crate) struct Memory {
    /// Where cells are handed out, by class, in the current block.
    bump: [Bump; CLASSES],
    lanes: Lanes,
    pub(crate) pages: Pages,
    alarmed: bool,
    alarm_bytes: usize,
    young_small: usize,
    young_large: usize,
    /// Bytes handed out in this epoch by class, those of the current runs all counted; and the cells among them that are runs of their own.
    young_class: [usize; CLASSES],
    young_run_cells: usize,
    small_live: usize,
    large_bytes: usize,
    pub(crate) explicit_bytes: usize,
    /// Of these, what is memory of others that the program has told of.
    pub(crate) external_bytes: usize,
    /// The least of them since their alarm was set, and how much more makes it ring.
    explicit_low: usize,
    explicit_step: usize,
    /// Blocks handed out in this epoch, in order, linked by `next`.
    spent_head: u32,
    spent_tail: u32,
    /// Runs allocated in this epoch.
    young_runs: u32,
    limbo: u32,
}

impl Memory {
    /// Memory that maps nothing yet.
    pub fn new(limit_bytes: usize) -> Memory {
        Memory {
            bump: [Bump::EMPTY; CLASSES],
            lanes: Lanes::new(),
            pages: Pages::new(limit_bytes),
            alarmed: false,
            alarm_bytes: usize::MAX,
            young_small: 0,
            young_large: 0,
            young_class: [0; CLASSES],
            young_run_cells: 0,
            small_live: 0,
            large_bytes: 0,
            explicit_bytes: 0,
            external_bytes: 0,
            explicit_low: 0,
            explicit_step: usize::MAX,
            spent_head: NONE,
            spent_tail: NONE,
            young_runs: NONE,
            limbo: NONE,
        }
    }

    // ---- allocation

    /// A young cell of at least `size` bytes, at a multiple of 16; its contents are anything.
    #[inline(always)]
    pub fn alloc(&mut self, size: usize) -> Result<NonNull<u8>, OutOfMemory> {
        match self.alloc_fast(size) {
            Some(cell) => Ok(cell),
            None => self.alloc_slow(size),
        }
    }

    /// The inlined part of [`Memory::alloc`]: `None` means that [`Memory::alloc_slow`] must be asked. The alarm can only ring there.
    #[inline(always)]
    pub fn alloc_fast(&mut self, size: usize) -> Option<NonNull<u8>> {
        if size > MAX_SMALL {
            return None;
        }
        let class = class_of(size);
        self.bump[class].take(size_of_class(class))
    }

    /// The next cell of the class's current block, where no page has to be committed for it and no alarm rings: in a block whose free cells stand apart
    /// [`Memory::alloc_fast`] often has none. To be asked after that; `None` as there.
    #[inline]
    pub fn alloc_next(&mut self, size: usize) -> Option<NonNull<u8>> {
        if size > MAX_SMALL {
            return None;
        }
        let class = class_of(size);
        let id = self.lanes.current[class];
        if id == NONE {
            return None;
        }
        debug_assert!(self.bump[class].cursor == self.bump[class].end);
        let bump = self.pages.next_touched_run(id, self.alarm_bytes.saturating_sub(self.young_bytes()))?;
        self.hand_out_run(class, bump);
        self.bump[class].take(size_of_class(class))
    }

    #[cold]
    #[inline(never)]
    pub fn alloc_slow(&mut self, size: usize) -> Result<NonNull<u8>, OutOfMemory> {
        if size > MAX_SMALL {
            return self.alloc_run(size);
        }
        let class = class_of(size);
        loop {
            if let Some(cell) = self.bump[class].take(size_of_class(class)) {
                return Ok(cell);
            }
            if self.refill(class).is_err() {
                self.reclaim_limbo()?;
            }
        }
    }

    /// Memory is short: frees all that waits in limbo, or fails if there is none.
    #[cold]
    pub(crate) fn reclaim_limbo(&mut self) -> Result<(), OutOfMemory> {
        if self.limbo == NONE || self.pages.pinned {
            return Err(OutOfMemory);
        }
        self.settle_limbo(usize::MAX);
        Ok(())
    }

    /// Whether a cell of that size is a run of its own pages.
    #[inline(always)]
    pub const fn alloc_is_large(size: usize) -> bool {
        size > MAX_SMALL
    }

    fn refill(&mut self, class: usize) -> Result<(), OutOfMemory> {
        loop {
            let id = self.lanes.current[class];
            if id != NONE {
                if let Some(bump) = self.pages.next_run(id)? {
                    self.hand_out_run(class, bump);
                    self.ring();
                    return Ok(());
                }
                // SAFETY: the descriptor of a block in use.
                unsafe { (*self.pages.block_desc(id)).state = State::Spent };
                self.lanes.current[class] = NONE;
            }
            self.settle_limbo(LIMBO_STEP);
            let id = match self.lanes.pop(&self.pages, class) {
                Some(id) => id,
                None => self.pages.new_block(class, Owner::Collected)?,
            };
            self.hand_out(id, class);
        }
    }

    #[inline(always)]
    fn hand_out_run(&mut self, class: usize, bump: block::Bump) {
        self.bump[class] = bump;
        let bytes = bump.end.addr() - bump.cursor.addr();
        self.young_small += bytes;
        self.young_class[class] += bytes;
    }

    /// Makes a block the current one of its class, for the only time in this epoch (block-once-an-epoch).
    fn hand_out(&mut self, id: u32, class: usize) {
        // SAFETY: descriptors of blocks in use.
        unsafe {
            let desc = self.pages.block_desc(id);
            (*desc).state = State::Current;
            (*desc).scan = 0;
            (*desc).next = NONE;
            match self.spent_tail {
                NONE => self.spent_head = id,
                tail => (*self.pages.block_desc(tail)).next = id,
            }
        }
        self.spent_tail = id;
        self.lanes.current[class] = id;
    }

    #[inline]
    fn ring(&mut self) {
        if self.young_bytes() >= self.alarm_bytes {
            self.alarmed = true;
        }
    }

    /// The alarm rings when this many young bytes have been handed out since the epoch began.
    pub fn set_alarm(&mut self, bytes: usize) {
        self.alarm_bytes = bytes;
    }

    /// The alarm rings when explicit blocks have so many bytes more than they had at least from now on, and whenever they grow from there on.
    pub fn set_explicit_alarm(&mut self, bytes: usize) {
        self.explicit_low = self.explicit_bytes;
        self.explicit_step = bytes;
    }
    /// What explicit blocks had at least since that was called.
    pub fn explicit_low(&self) -> usize {
        self.explicit_low
    }

    /// Explicit blocks have so many bytes more.
    #[inline(always)]
    pub(crate) fn explicit_grew(&mut self, bytes: usize) {
        self.explicit_bytes += bytes;
        if self.explicit_bytes - self.explicit_low >= self.explicit_step {
            self.ring_for_explicit();
        }
    }
    /// They have so many bytes fewer.
    #[inline(always)]
    pub(crate) fn explicit_shrank(&mut self, bytes: usize) {
        self.explicit_bytes -= bytes;
        self.explicit_low = self.explicit_low.min(self.explicit_bytes);
    }

    /// Memory of others counts like explicit blocks, but not against the limit.
    pub fn external_grew(&mut self, bytes: usize) {
        self.external_bytes = self.external_bytes.saturating_add(bytes);
        self.explicit_grew(bytes);
    }
    pub fn external_shrank(&mut self, bytes: usize) {
        self.external_bytes -= bytes;
        self.explicit_shrank(bytes);
    }

    #[cold]
    #[inline(never)]
    fn ring_for_explicit(&mut self) {
        self.alarmed = true;
    }

    /// Free cells are handed out in pieces of at most so many bytes: how late the alarm may ring.
    pub fn set_run_max(&mut self, bytes: usize) {
        self.pages.run_max_bytes = bytes;
    }

    /// Whether the alarm has rung since the last question or epoch. Worth asking only after [`Memory::alloc_slow`], [`Memory::grow`], and what makes
    /// explicit blocks grow.
    #[inline]
    pub fn take_alarm(&mut self) -> bool {
        std::mem::take(&mut self.alarmed)
    }

    // ---- the bits of a cell

    /// # Safety
    /// Here and below: `cell` is the start of a cell that was allocated, and its memory has not been given up since (a pinned layout gives up
    /// nothing).
    #[inline(always)]
    pub unsafe fn is_live(&self, cell: NonNull<u8>) -> bool {
        // SAFETY: by the caller.
        unsafe {
            let (pair, bit) = bits_of(cell);
            (*pair).live & bit != 0
        }
    }

    /// The young cell survives the epoch.
    ///
    /// # Safety
    /// As for [`Memory::is_live`], and the cell is young (or live already, which changes nothing).
    #[inline(always)]
    pub unsafe fn set_live(&mut self, cell: NonNull<u8>) {
        // SAFETY: by the caller. Counted by `epoch_reset`.
        unsafe {
            let (pair, bit) = bits_of(cell);
            (*pair).live |= bit;
        }
    }

    /// Frees a live cell; its mark goes too. Its memory may be reused from now on, except while the layout is pinned, when
    /// only its own class can have it.
    ///
    /// # Safety
    /// As for [`Memory::is_live`], and the cell is live. Its contents are not needed.
    #[inline]
    pub unsafe fn clear_live(&mut self, cell: NonNull<u8>) {
        // SAFETY: by the caller.
        unsafe {
            let (pair, bit) = bits_of(cell);
            debug_assert!((*pair).live & bit != 0);
            (*pair).live &= !bit;
            (*pair).mark &= !bit;
            let segment = Segment::of(cell);
            let block = (cell.as_ptr().addr() - segment.addr()) / segment::BLOCK;
            if (*segment.block_desc(block)).state == State::Free {
                self.free_run(cell);
            } else {
                asan::poison(cell, (*segment.block_desc(block)).cell as usize * size_class::GRANULE);
                self.cells_died(segment, block, 1);
            }
        }
    }

    /// Cells of a block have lost their `live` bits.
    ///
    /// # Safety
    /// The block is in use by the collector, and this was not said before.
    #[inline]
    unsafe fn cells_died(&mut self, segment: Segment, block: usize, cells: usize) {
        // SAFETY: the descriptor of a block in use.
        unsafe {
            let desc = segment.block_desc(block);
            // A block handed out in this epoch is counted anew when it ends (block-once-an-epoch).
            if matches!((*desc).state, State::Current | State::Spent) {
                return;
            }
            self.small_live -= cells * (*desc).cell as usize * size_class::GRANULE;
            (*desc).live -= cells as u16;
            if (*desc).state == State::Full && (*desc).has_room() {
                self.lanes.push(&self.pages, segment::block_id((*segment.head()).index, block));
            }
            if (*desc).live == 0 {
                self.block_is_empty(segment, block);
            }
        }
    }

    /// # Safety
    /// As for [`Memory::is_live`].
    #[inline(always)]
    pub unsafe fn is_marked(&self, cell: NonNull<u8>) -> bool {
        // SAFETY: by the caller.
        unsafe {
            let (pair, bit) = bits_of(cell);
            (*pair).mark & bit != 0
        }
    }

    /// Marks a cell; `true` if it was not marked.
    ///
    /// # Safety
    /// As for [`Memory::is_live`].
    #[inline(always)]
    pub unsafe fn set_mark(&mut self, cell: NonNull<u8>) -> bool {
        // SAFETY: by the caller.
        unsafe {
            let (pair, bit) = bits_of(cell);
            let old = (*pair).mark;
            (*pair).mark = old | bit;
            old & bit == 0
        }
    }

    /// Brings the bits of a cell into the cache.
    #[inline(always)]
    pub fn prefetch_bits(&self, cell: usize) {
        let pair = (cell & !(segment::SEGMENT - 1)) + ((cell & (segment::SEGMENT - 1)) >> 10) * size_of::<Pair>();
        crate::prefetch(pair);
    }

    /// The bytes of a cell: those of its class, or of its pages.
    ///
    /// # Safety
    /// As for [`Memory::is_live`].
    #[inline(always)]
    pub unsafe fn cell_bytes(&self, cell: NonNull<u8>) -> usize {
        // SAFETY: by the caller.
        unsafe {
            let segment = Segment::of(cell);
            let desc = segment.block_desc((cell.as_ptr().addr() - segment.addr()) / segment::BLOCK);
            if (*desc).state == State::Free { self.run_bytes(cell) } else { (*desc).cell as usize * size_class::GRANULE }
        }
    }

    // ---- epochs

    /// The epoch ends: what was allocated in it and is not live by now is free. The blocks that it used are the first to be used
    /// again, the last of them before all.
    pub fn epoch_reset(&mut self) {
        self.pages.tick(Instant::now());
        self.bump = [Bump::EMPTY; CLASSES];
        self.lanes.current = [NONE; CLASSES];
        self.young_small = 0;
        self.young_large = 0;
        self.young_class = [0; CLASSES];
        self.young_run_cells = 0;
        self.alarmed = false;
        let mut id = std::mem::replace(&mut self.spent_head, NONE);
        self.spent_tail = NONE;
        while id != NONE {
            let segment = self.pages.segment_of_id(id);
            let block = split(id).1;
            let desc = segment.block_desc(block);
            // SAFETY: the descriptor of a block in use, in the list of the spent only.
            let next = unsafe {
                let size = (*desc).cell as usize * size_class::GRANULE;
                let live = self.pages.count_live(segment, block);
                self.pages.poison_free(segment, block);
                self.small_live = self.small_live + live * size - (*desc).live as usize * size;
                (*desc).live = live as u16;
                (*desc).next
            };
            self.settle(segment, block);
            id = next;
        }
        self.reset_young_runs();
    }

    /// Puts a block that is in no list where its live cells say.
    fn settle(&mut self, segment: Segment, block: usize) {
        // SAFETY: the descriptor of a block in use.
        unsafe {
            let desc = segment.block_desc(block);
            if !(*desc).has_room() {
                (*desc).state = State::Full;
            } else {
                self.lanes.push(&self.pages, segment::block_id((*segment.head()).index, block));
                if (*desc).live == 0 {
                    self.block_is_empty(segment, block);
                }
            }
        }
    }

    /// An available block has no live cell: its pages are free, at once or when the layout is no longer pinned (pinned-layout-stays).
    fn block_is_empty(&mut self, segment: Segment, block: usize) {
        // SAFETY: the descriptor of a block in use.
        unsafe {
            let desc = segment.block_desc(block);
            let id = segment::block_id((*segment.head()).index, block);
            if !self.pages.pinned {
                if !(*desc).in_limbo {
                    self.lanes.unlink(&self.pages, id);
                    self.pages.give_back_block(segment, block);
                }
            } else if !(*desc).in_limbo {
                (*desc).in_limbo = true;
                (*desc).limbo = std::mem::replace(&mut self.limbo, id);
            }
        }
    }

    /// Pins the layout (pinned-layout-stays), or lets it change again.
    pub fn pin_layout(&mut self, pinned: bool) {
        self.pages.pinned = pinned;
    }

    /// Frees some of what waits in limbo.
    fn settle_limbo(&mut self, max: usize) {
        for _ in 0..max {
            if self.limbo == NONE || self.pages.pinned {
                return;
            }
            let id = self.limbo;
            let (segment, number) = (self.pages.segment_of_id(id), split(id).1);
            if number >= segment::BLOCKS {
                self.limbo = self.pages.limbo_run(id);
                continue;
            }
            // SAFETY: the descriptor of a block in use; one in limbo is not given back (pinned-layout-stays).
            unsafe {
                let desc = segment.block_desc(number);
                (*desc).in_limbo = false;
                self.limbo = (*desc).limbo;
                if (*desc).state == State::Available && (*desc).live == 0 {
                    self.block_is_empty(segment, number);
                }
            }
        }
    }

    // ---- accounting

    /// Bytes handed out in this epoch.
    #[inline(always)]
    pub fn young_bytes(&self) -> usize {
        self.young_small + self.young_large
    }
    /// Cells and bytes allocated in this epoch, without what is only at hand.
    pub fn young_allocated(&self) -> (usize, usize) {
        let mut young = (self.young_run_cells, self.young_large);
        for (class, bump) in self.bump.iter().enumerate() {
            let bytes = self.young_class[class] - (bump.end.addr() - bump.cursor.addr());
            young = (young.0 + bytes / size_of_class(class), young.1 + bytes);
        }
        young
    }
    /// Bytes of cells and explicit blocks that were allocated and not freed: what is in use without what is only at hand.
    pub fn allocated_bytes(&self) -> usize {
        self.used_bytes() - self.young_bytes() + self.young_allocated().1
    }
    /// Bytes in use (used-bytes-add-up).
    pub fn used_bytes(&self) -> usize {
        self.small_live + self.young_small + self.large_bytes + self.explicit_bytes
    }
    /// Bytes committed: an estimate, from above, of the resident memory.
    pub fn mapped_bytes(&self) -> usize {
        self.pages.committed()
    }
    /// The part of [`Memory::mapped_bytes`] that is free and could go back to the system at once.
    pub fn idle_bytes(&self) -> usize {
        self.pages.idle()
    }
    /// The most that was ever committed.
    pub fn peak_bytes(&self) -> usize {
        self.pages.peak()
    }
    /// Whether a segment begins in a range of addresses.
    pub fn has_memory_in(&self, range: &std::ops::Range<usize>) -> bool {
        (0..self.pages.segments()).filter_map(|i| self.pages.segment(i)).any(|segment| range.contains(&segment.addr()))
    }
    /// Bytes of pages that may still be had under the limit.
    pub fn room(&self) -> usize {
        self.limit().saturating_sub(self.mapped_bytes() - self.idle_bytes())
    }
    /// The last part before the limit is for small requests: a program that has been refused a large one can go on, and say so.
    pub fn reserve_bytes(&self) -> usize {
        match self.limit() {
            usize::MAX => 0,
            limit => (limit / 32).min(1 << 20),
        }
    }
    pub fn limit(&self) -> usize {
        self.pages.limit()
    }
    pub fn set_limit(&mut self, bytes: usize) {
        self.pages.set_limit(bytes);
    }

    /// Gives memory back to the system that has been idle for a while, about `max` bytes. Says how many.
    pub fn purge(&mut self, now: Instant, max: usize) -> usize {
        self.settle_limbo(LIMBO_STEP * 8);
        self.pages.purge(now, max)
    }

    /// Gives memory back to the system until no more than about `keep_bytes` are idle, for however short a time they have been so; what waits in limbo is
    /// freed first, unless the layout is pinned. Says how many bytes.
    /// `go_on` is asked now and then; after `false` some is left.
    pub fn release_idle(&mut self, keep_bytes: usize, go_on: &dyn Fn() -> bool) -> usize {
        /// Between two questions.
        const PIECE_RUNS: usize = 1024;
        const PIECE_BYTES: usize = 4 << 20;
        while self.limbo != NONE && !self.pages.pinned && go_on() {
            self.settle_limbo(PIECE_RUNS);
        }
        let mut freed = 0;
        while go_on() {
            match self.pages.purge_down_to(keep_bytes, PIECE_BYTES) {
                0 => break,
                bytes => freed += bytes,
            }
        }
        freed
    }

    /// Gives idle memory back to the system, as if `bytes` were about to be committed.
    pub fn make_room(&mut self, bytes: usize) {
        self.pages.make_room(bytes);
    }

    /// For tests: see [`Faults`].
    pub fn inject(&mut self, faults: Faults) -> Faults {
        self.pages.os.inject(faults)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.pages.unmap_all();
    }
}
