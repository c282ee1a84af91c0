//! Explicit allocation: `malloc`, `free` and their family, on the segments of the collected heap.
//!
//! Explicit cells stand in blocks and runs of their own, whose `live` bits say what is taken. The collector neither scans nor frees them. Nothing is
//! written into a free cell. Small cells come from and go to a *magazine* of their class, which is filled from the blocks by runs of free cells, around
//! and around the current block while there are enough of them, and emptied to them.
//!
//! * **live-while-taken** The `live` bit of a cell is set exactly while it is allocated or held in a magazine; `BlockDesc::live` counts them, and so does
//!   `Memory::explicit_bytes`.
//! * **held-are-free** A cell in a magazine is not allocated, and stands in one place of it.
//! * **available-has-room** A block in `available` has room (`BlockDesc::has_room`) and a taken cell; a block without taken cells is given back, unless it is
//!   `Current`. A block without room is `Full` or `Current`.
//! * **mark-says-aligned** The `mark` bit of an allocated small cell says that an alignment above 16 was asked for; its size is a multiple of it.
//!   `BlockDesc::gray_words` counts them.
//!
//! Imports `memory`.

mod backing;
mod break_region;
mod checked;
mod fault;
mod global;
mod magazine;
mod mapping;
mod pointer;
mod records;
mod report;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_checked;
#[cfg(test)]
mod tests_mapping;

use crate::memory::asan;
use crate::memory::block::{Lanes, set_live_run};
use crate::memory::pages::split;
use crate::memory::segment::{
    BLOCK, BlockDesc, FIRST_PAGE, NONE, Owner, PAGE, PAGES, RunState, SEGMENT, Segment, State, bits_of, block_id,
};
use crate::memory::size_class::{CLASSES, GRANULE, MAX_SMALL, class_of, size_of_class};
use crate::memory::{Memory, OutOfMemory};
use magazine::{Magazines, capacity};
use std::ptr::NonNull;

pub use break_region::{BREAK_BYTES, BreakRegion};
pub(crate) use checked::{Ask, Checked, Lender};
pub use checked::{CheckedBlocks, CheckedError, QUARANTINE_BYTES};
pub use global::Global;
pub use mapping::{Advice, MapError, Mapping, Protection};
pub use pointer::Pointer;
pub use report::{Access, BlockId, BlockInfo, Offence, Report, Site};

/// The largest alignment that can be asked for.
pub const MAX_ALIGN: usize = 2 << 20;

/// Why an address can't be freed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FreeError {
    /// No explicit block starts there, nor did one.
    NotABlock,
    /// A block started there and is free, or its place was never handed out.
    AlreadyFree,
}

impl std::fmt::Display for FreeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            FreeError::NotABlock => "not the address of a block",
            FreeError::AlreadyFree => "the block is free already",
        })
    }
}

impl std::error::Error for FreeError {}

/// The allocator of explicit blocks; the memory itself is passed in.
pub(crate) struct Explicit {
    magazines: Magazines,
    lanes: Lanes,
}

/// Runs of free cells that a magazine is filled from at a time.
const RUNS: usize = 8;

impl Explicit {
    pub const fn new() -> Explicit {
        Explicit { magazines: Magazines::new(), lanes: Lanes::new() }
    }

    /// A block of at least `size` bytes, at a multiple of 16.
    #[inline]
    pub fn malloc(&mut self, memory: &mut Memory, size: usize) -> Result<NonNull<u8>, OutOfMemory> {
        if size > MAX_SMALL {
            return self.new_run(memory, size, 1).map(|(cell, _)| cell);
        }
        self.malloc_class(memory, class_of(size))
    }

    #[inline]
    fn malloc_class(&mut self, memory: &mut Memory, class: usize) -> Result<NonNull<u8>, OutOfMemory> {
        let cell = match self.magazines.take(class) {
            Some(cell) => cell,
            None => self.refill(memory, class)?,
        };
        asan::unpoison(cell, size_of_class(class));
        Ok(cell)
    }

    /// Fills half of an empty magazine, and takes a cell.
    #[cold]
    #[inline(never)]
    fn refill(&mut self, memory: &mut Memory, class: usize) -> Result<NonNull<u8>, OutOfMemory> {
        let (size, wanted) = (size_of_class(class), capacity(class) / 2);
        let mut runs = [(std::ptr::null_mut::<u8>(), 0); RUNS];
        let (mut count, mut found) = (0, 0);
        while found < wanted && count < RUNS {
            match self.next_run(memory, class, wanted - found) {
                Ok(run) => {
                    runs[count] = run;
                    (count, found) = (count + 1, found + run.1);
                }
                Err(_) if count > 0 => break,
                Err(_) => self.make_room(memory)?,
            }
        }
        memory.explicit_grew(found * size);
        // The first is to be handed out first.
        for (start, cells) in runs[..count].iter().rev() {
            for n in (0..*cells).rev() {
                // SAFETY: inside the run.
                self.magazines.put(class, unsafe { NonNull::new_unchecked(start.add(n * size)) });
            }
        }
        self.magazines.take(class).ok_or(OutOfMemory)
    }

    /// Takes the next run of free cells of a class, `most` of them at most: where it starts, and how many they are.
    fn next_run(&mut self, memory: &mut Memory, class: usize, most: usize) -> Result<(*mut u8, usize), OutOfMemory> {
        let size = size_of_class(class);
        loop {
            let id = self.lanes.current[class];
            if id != NONE {
                let desc = memory.pages.block_desc(id);
                if let Some(run) = memory.pages.next_run(id)? {
                    let cells = most.min((run.end.addr() - run.cursor.addr()) / size);
                    // SAFETY: the descriptor of a block in use, and free cells of it (live-while-taken).
                    unsafe {
                        let (start, granules) = (run.cursor.addr() % BLOCK / GRANULE, size / GRANULE);
                        let end = start + cells * granules;
                        set_live_run(memory.pages.segment_of_id(id), split(id).1, granules, start, end);
                        (*desc).live += cells as u16;
                        (*desc).scan = end as u16;
                    }
                    return Ok((run.cursor, cells));
                }
                // SAFETY: the descriptor of a block in use.
                unsafe {
                    if (*desc).has_room() {
                        // Once more around it.
                        (*desc).scan = 0;
                        continue;
                    }
                    (*desc).state = State::Full;
                }
                self.lanes.current[class] = NONE;
            }
            let id = match self.lanes.pop(&memory.pages, class) {
                Some(id) => id,
                None => memory.pages.new_block(class, Owner::Explicit)?,
            };
            // SAFETY: as above.
            unsafe {
                let desc = memory.pages.block_desc(id);
                (*desc).state = State::Current;
                (*desc).scan = 0;
            }
            self.lanes.current[class] = id;
        }
    }

    /// Memory is short: frees what can be freed, or fails if there is nothing.
    #[cold]
    fn make_room(&mut self, memory: &mut Memory) -> Result<(), OutOfMemory> {
        memory.reclaim_limbo().or_else(|error| if self.trim(memory) { Ok(()) } else { Err(error) })
    }

    /// Gives what the magazines hold back to the blocks; `false`: that is nothing.
    pub fn trim(&mut self, memory: &mut Memory) -> bool {
        let mut any = false;
        for class in 0..CLASSES {
            any |= !self.magazines.held(class).is_empty();
            self.give_back(memory, class, self.magazines.held(class).len());
        }
        any
    }

    /// Gives the `count` cells of a class that have been held longest back to their blocks.
    fn give_back(&mut self, memory: &mut Memory, class: usize, count: usize) {
        for &cell in &self.magazines.held(class)[..count] {
            // SAFETY: a cell that is held (held-are-free), so a start of a cell and not null.
            unsafe {
                let cell = NonNull::new_unchecked(cell);
                let (pair, bit) = bits_of(cell);
                debug_assert!((*pair).live & bit != 0);
                (*pair).live &= !bit;
                let (segment, block) = (Segment::of(cell), block_of(cell));
                let desc = segment.block_desc(block);
                (*desc).live -= 1;
                let wakes = (*desc).state == State::Full && (*desc).has_room();
                if wakes || (*desc).live == 0 && (*desc).state != State::Current {
                    Self::room_in(&mut self.lanes, memory, segment, block);
                }
            }
        }
        self.magazines.drop_first(class, count);
        memory.explicit_shrank(count * size_of_class(class));
    }

    fn new_run(&mut self, memory: &mut Memory, size: usize, align: usize) -> Result<(NonNull<u8>, usize), OutOfMemory> {
        let (cell, touched) = loop {
            match memory.pages.new_run(size, align.div_ceil(PAGE), Owner::Explicit) {
                Ok(run) => break run,
                Err(_) => self.make_room(memory)?,
            }
        };
        // SAFETY: a run just made.
        unsafe {
            let (pair, bit) = bits_of(cell);
            (*pair).live |= bit;
            let segment = Segment::of(cell);
            (*segment.run_desc(page_of(cell))).align_log2 = align.trailing_zeros() as u8;
            memory.explicit_grew(memory.run_bytes(cell));
        }
        Ok((cell, touched))
    }

    /// `count * size` bytes of zeros.
    pub fn calloc(&mut self, memory: &mut Memory, count: usize, size: usize) -> Result<NonNull<u8>, OutOfMemory> {
        let (cell, dirty) = self.uncleared(memory, count.checked_mul(size).ok_or(OutOfMemory)?)?;
        // SAFETY: inside the block just allocated.
        unsafe { cell.write_bytes(0, dirty) };
        Ok(cell)
    }

    /// A block of `size` bytes, and how many of its first ones may not be zero.
    pub fn uncleared(&mut self, memory: &mut Memory, size: usize) -> Result<(NonNull<u8>, usize), OutOfMemory> {
        if size > MAX_SMALL {
            // What the system has just mapped is zero.
            let (cell, touched) = self.new_run(memory, size, 1)?;
            return Ok((cell, touched.min(size)));
        }
        Ok((self.malloc_class(memory, class_of(size))?, size))
    }

    /// A block at a multiple of `align`, a power of two up to [`MAX_ALIGN`] (anything else is an error).
    pub fn aligned(&mut self, memory: &mut Memory, align: usize, size: usize) -> Result<NonNull<u8>, OutOfMemory> {
        if !align.is_power_of_two() || align > MAX_ALIGN {
            return Err(OutOfMemory);
        }
        let Some(class) = class_at(align, size) else { return self.new_run(memory, size, align).map(|(cell, _)| cell) };
        let cell = self.malloc_class(memory, class)?;
        if align > GRANULE {
            // SAFETY: a cell just allocated (mark-says-aligned).
            unsafe {
                let (pair, bit) = bits_of(cell);
                (*pair).mark |= bit;
                (*Segment::of(cell).block_desc(block_of(cell))).gray_words += 1;
            }
        }
        Ok(cell)
    }

    /// The alignment that a block keeps when it moves: what was asked for, or more if it is small; 16 or less if nothing was.
    ///
    /// # Safety
    /// As for [`Explicit::usable_size`].
    unsafe fn alignment(&self, cell: NonNull<u8>) -> usize {
        // SAFETY: by the caller.
        unsafe {
            let segment = Segment::of(cell);
            let desc = segment.block_desc(block_of(cell));
            if (*desc).state == State::Free {
                return 1 << (*segment.run_desc(page_of(cell))).align_log2;
            }
            let (pair, bit) = bits_of(cell);
            if (*pair).mark & bit == 0 { GRANULE } else { GRANULE << (*desc).cell.trailing_zeros() }
        }
    }

    /// The bytes that a block really has.
    ///
    /// # Safety
    /// `cell` is an allocated explicit block of this memory.
    pub unsafe fn usable_size(&self, memory: &Memory, cell: NonNull<u8>) -> usize {
        // SAFETY: by the caller.
        unsafe {
            let desc = Segment::of(cell).block_desc(block_of(cell));
            match (*desc).state {
                State::Free => memory.run_bytes(cell),
                _ => (*desc).cell as usize * GRANULE,
            }
        }
    }

    /// Makes a block `size` bytes long, in place if that can be, else by a copy, which has the alignment that was asked for when the block was
    /// made. After an error the block is as it was; making it smaller is none.
    ///
    /// # Safety
    /// As for [`Explicit::usable_size`]; after success the old address is not used unless it is the new one.
    pub unsafe fn realloc(&mut self, memory: &mut Memory, cell: NonNull<u8>, size: usize) -> Result<NonNull<u8>, OutOfMemory> {
        // SAFETY: by the caller.
        unsafe {
            let old = self.usable_size(memory, cell);
            if old > MAX_SMALL && size > MAX_SMALL {
                let resized = loop {
                    match memory.pages.resize_run(cell, size) {
                        Ok(resized) => break resized,
                        Err(_) => self.make_room(memory)?,
                    }
                };
                if resized {
                    memory.explicit_shrank(old);
                    memory.explicit_grew(memory.run_bytes(cell));
                    return Ok(cell);
                }
            } else if size <= old && size >= old / 2 {
                return Ok(cell);
            }
            let align = self.alignment(cell);
            if size <= old && class_at(align, size).is_some_and(|class| size_of_class(class) == old) {
                return Ok(cell);
            }
            let new = match self.aligned(memory, align, size) {
                Ok(new) => new,
                Err(_) if size <= old => return Ok(cell),
                Err(error) => return Err(error),
            };
            cell.copy_to_nonoverlapping(new, old.min(size));
            self.free(memory, cell);
            Ok(new)
        }
    }

    /// # Safety
    /// As for [`Explicit::usable_size`]; the block is not used again.
    #[inline]
    pub unsafe fn free(&mut self, memory: &mut Memory, cell: NonNull<u8>) {
        // SAFETY: by the caller.
        unsafe {
            let desc = Segment::of(cell).block_desc(block_of(cell));
            if (*desc).state == State::Free {
                return Self::free_run(memory, cell);
            }
            let class = (*desc).class as usize;
            debug_assert!(!self.is_held(class, cell));
            if (*desc).gray_words != 0 {
                Self::forget_alignment(desc, cell);
            }
            asan::poison(cell, size_of_class(class));
            if !self.magazines.put(class, cell) {
                self.empty_half(memory, class, cell);
            }
        }
    }

    /// # Safety
    /// As for [`Explicit::free`], of a run.
    #[inline(never)]
    unsafe fn free_run(memory: &mut Memory, cell: NonNull<u8>) {
        // SAFETY: by the caller.
        unsafe {
            let (pair, bit) = bits_of(cell);
            debug_assert!((*pair).live & bit != 0);
            (*pair).live &= !bit;
            memory.explicit_shrank(memory.run_bytes(cell));
            memory.pages.give_back_run(Segment::of(cell), page_of(cell));
        }
    }

    /// # Safety
    /// `desc` is that of the block of `cell`.
    #[cold]
    unsafe fn forget_alignment(desc: *mut BlockDesc, cell: NonNull<u8>) {
        // SAFETY: by the caller (mark-says-aligned).
        unsafe {
            let (pair, bit) = bits_of(cell);
            if (*pair).mark & bit != 0 {
                (*pair).mark &= !bit;
                (*desc).gray_words -= 1;
            }
        }
    }

    /// A cell is freed whose magazine is full.
    #[cold]
    #[inline(never)]
    fn empty_half(&mut self, memory: &mut Memory, class: usize, cell: NonNull<u8>) {
        self.give_back(memory, class, capacity(class) / 2);
        self.magazines.put(class, cell);
    }

    /// A block that is not current has come to have room, or no taken cell (available-has-room).
    #[cold]
    fn room_in(lanes: &mut Lanes, memory: &mut Memory, segment: Segment, block: usize) {
        // SAFETY: the descriptor of a block in use.
        unsafe {
            let desc = segment.block_desc(block);
            let id = block_id((*segment.head()).index, block);
            if (*desc).live > 0 {
                return lanes.push(&memory.pages, id);
            }
            if (*desc).state == State::Available {
                lanes.unlink(&memory.pages, id);
            }
            memory.pages.give_back_block(segment, block);
        }
    }

    /// Whether a cell of the class is at hand.
    fn is_held(&self, class: usize, cell: NonNull<u8>) -> bool {
        self.magazines.held(class).contains(&cell.as_ptr())
    }

    // ---- questions about any address

    /// Frees the block at `addr`, which may be any number.
    pub fn free_checked(&mut self, memory: &mut Memory, addr: usize) -> Result<(), FreeError> {
        let cell = self.lookup(memory, addr)?;
        // SAFETY: an allocated block, as `lookup` has found.
        unsafe { self.free(memory, cell) };
        Ok(())
    }

    /// Whether an allocated block starts at `addr`.
    pub fn owns(&self, memory: &Memory, addr: usize) -> bool {
        self.lookup(memory, addr).is_ok()
    }

    /// The allocated block that starts at `addr`.
    pub fn lookup(&self, memory: &Memory, addr: usize) -> Result<NonNull<u8>, FreeError> {
        let segment = memory.pages.find(addr).ok_or(FreeError::NotABlock)?;
        let offset = addr - segment.addr();
        let (page, block) = (offset / PAGE, offset / BLOCK);
        if !(FIRST_PAGE..PAGES).contains(&page) {
            return Err(FreeError::NotABlock);
        }
        // SAFETY: an address of the segment; its head and descriptors.
        unsafe {
            let cell = segment.data(offset);
            let head = &*segment.head();
            if head.blocks[block / 64] >> (block % 64) & 1 == 1 {
                let desc = &*segment.block_desc(block);
                let size = desc.cell as usize * GRANULE;
                let within = offset % BLOCK;
                if desc.owner != Owner::Explicit || !within.is_multiple_of(size) || within / size >= desc.capacity as usize {
                    return Err(FreeError::NotABlock);
                }
                let (pair, bit) = bits_of(cell);
                let is_allocated = (*pair).live & bit != 0 && !self.is_held(desc.class as usize, cell);
                return if is_allocated { Ok(cell) } else { Err(FreeError::AlreadyFree) };
            }
            let desc = &*segment.run_desc(page);
            if !offset.is_multiple_of(PAGE) || desc.page as usize != page || desc.owner != Owner::Explicit {
                return Err(FreeError::NotABlock);
            }
            // The descriptor outlives the run until its place serves another.
            if desc.state == RunState::None { Err(FreeError::AlreadyFree) } else { Ok(cell) }
        }
    }

    /// Bytes of all allocated blocks, rounded up to their cells.
    pub fn allocated_bytes(&self, memory: &Memory) -> usize {
        memory.explicit_bytes - memory.external_bytes - self.held_bytes()
    }

    /// Bytes of cells that are at hand, and count as used.
    pub fn held_bytes(&self) -> usize {
        self.magazines.bytes()
    }

    /// Calls `f` with the address and the bytes of each allocated block.
    pub fn for_each(&self, memory: &Memory, mut f: impl FnMut(NonNull<u8>, usize)) {
        let mut id = 0;
        while let Some(found) = memory.next_block(id) {
            if let Some(view) = memory.block(found).filter(|view| view.owner == Owner::Explicit) {
                // Runs are never held.
                let is_held = |cell| view.cell_size <= MAX_SMALL && self.is_held(class_of(view.cell_size), cell);
                view.live_cells().filter(|&cell| !is_held(cell)).for_each(|cell| f(cell, view.cell_size));
            }
            id = found + 1;
        }
    }
}

/// The class of cells for `size` bytes at multiples of `align`, a power of two; `None` if that takes a run.
fn class_at(align: usize, size: usize) -> Option<usize> {
    let rounded = size.max(1).checked_next_multiple_of(align).filter(|&rounded| rounded <= MAX_SMALL)?;
    // Blocks start at multiples of all these alignments, so the cell size decides. The last class is a multiple of each.
    (class_of(rounded)..CLASSES).find(|&class| size_of_class(class).is_multiple_of(align))
}

/// The page in its segment where a run starts.
#[inline(always)]
fn page_of(run: NonNull<u8>) -> usize {
    run.as_ptr().addr() % SEGMENT / PAGE
}

/// The number of a cell's block in its segment.
#[inline(always)]
fn block_of(cell: NonNull<u8>) -> usize {
    cell.as_ptr().addr() % SEGMENT / BLOCK
}
