//! Explicit allocation: `malloc`, `free` and their family, on the segments of the collected heap.
//!
//! Explicit cells stand in blocks and runs of their own, whose `live` bits say what is allocated. The collector neither
//! scans nor frees them. There is no list of free cells and nothing is written into a free cell: a class bumps through the runs of
//! free cells of its current block, around and around, and a block that was full comes back when one of its cells is freed: that cell is
//! where it goes on. The cell that was handed out last, if it is freed next, is handed out next, and so is the first that is freed
//! while nothing is at hand.
//!
//! * **live-while-allocated** The `live` bit of a cell is set exactly while it is allocated; `BlockDesc::live` counts them.
//! * **bump-cells-are-free** The cells in a bump, and nobody else's, are free though their block is `Current`.
//! * **available-is-part-full** A block in `available` has a free cell and a live one; a block without live cells is given back, unless it is `Current`.
//! * **mark-says-aligned** The `mark` bit of an allocated small cell says that an alignment above 16 was asked for; its size is a multiple of it.
//!
//! Imports `memory`.

mod checked;
mod records;
mod report;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_checked;

use crate::memory::asan;
use crate::memory::block::{Bump, Lanes};
use crate::memory::segment::{BLOCK, FIRST_PAGE, NONE, Owner, PAGE, PAGES, RunState, SEGMENT, Segment, State, bits_of, block_id};
use crate::memory::size_class::{CLASSES, GRANULE, MAX_SMALL, class_of, size_of_class};
use crate::memory::{Memory, OutOfMemory};
use std::ptr::NonNull;

pub(crate) use checked::{Ask, Checked, Lender};
pub use checked::{CheckedBlocks, CheckedError, QUARANTINE_BYTES};
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
    lanes: Lanes,
}

impl Explicit {
    pub const fn new() -> Explicit {
        Explicit { lanes: Lanes::new() }
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
        let size = size_of_class(class);
        let cell = match self.lanes.bump[class].take(size) {
            Some(cell) => cell,
            None => self.refill(memory, class)?,
        };
        // SAFETY: a cell of a block in use, free until now (bump-cells-are-free).
        unsafe {
            let (pair, bit) = bits_of(cell);
            (*pair).live |= bit;
            (*Segment::of(cell).block_desc(block_of(cell))).live += 1;
        }
        memory.explicit_grew(size);
        Ok(cell)
    }

    /// Finds the next run of free cells of a class, and takes its first.
    #[cold]
    #[inline(never)]
    fn refill(&mut self, memory: &mut Memory, class: usize) -> Result<NonNull<u8>, OutOfMemory> {
        loop {
            let id = self.lanes.current[class];
            if id != NONE {
                let desc = memory.pages.block_desc(id);
                // SAFETY: the descriptor of a block in use.
                let full = unsafe { (*desc).live == (*desc).capacity };
                if !full {
                    match memory.pages.next_run(id) {
                        Ok(Some(bump)) => {
                            self.lanes.bump[class] = bump;
                            if let Some(cell) = self.lanes.bump[class].take(size_of_class(class)) {
                                return Ok(cell);
                            }
                        }
                        // SAFETY: as above.
                        Ok(None) => unsafe { (*desc).scan = 0 },
                        Err(_) => memory.reclaim_limbo()?,
                    }
                    continue;
                }
                // SAFETY: as above.
                unsafe { (*desc).state = State::Full };
            }
            let id = match self.lanes.pop(&memory.pages, class) {
                Some(id) => id,
                None => match memory.pages.new_block(class, Owner::Explicit) {
                    Ok(id) => id,
                    Err(_) => {
                        self.lanes.current[class] = NONE;
                        memory.reclaim_limbo()?;
                        continue;
                    }
                },
            };
            // SAFETY: as above.
            unsafe { (*memory.pages.block_desc(id)).state = State::Current };
            self.lanes.current[class] = id;
        }
    }

    fn new_run(&mut self, memory: &mut Memory, size: usize, align: usize) -> Result<(NonNull<u8>, usize), OutOfMemory> {
        let (cell, touched) = loop {
            match memory.pages.new_run(size, align.div_ceil(PAGE), Owner::Explicit) {
                Ok(run) => break run,
                Err(_) => memory.reclaim_limbo()?,
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
                        Err(_) => memory.reclaim_limbo()?,
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
            let (pair, bit) = bits_of(cell);
            debug_assert!((*pair).live & bit != 0);
            (*pair).live &= !bit;
            (*pair).mark &= !bit;
            let (segment, block) = (Segment::of(cell), block_of(cell));
            let desc = segment.block_desc(block);
            let state = (*desc).state;
            if state == State::Free {
                memory.explicit_shrank(memory.run_bytes(cell));
                return memory.pages.give_back_run(segment, page_of(cell));
            }
            let size = (*desc).cell as usize * GRANULE;
            asan::poison(cell, size);
            memory.explicit_shrank(size);
            (*desc).live -= 1;
            if state == State::Current {
                let bump = &mut self.lanes.bump[(*desc).class as usize];
                if bump.cursor == cell.as_ptr().add(size) {
                    bump.cursor = cell.as_ptr();
                } else if bump.cursor == bump.end {
                    // Or the whole block would be searched for it.
                    *bump = Bump { cursor: cell.as_ptr(), end: cell.as_ptr().add(size) };
                }
            } else if state == State::Full || (*desc).live == 0 {
                (*desc).scan = (cell.as_ptr().addr() % BLOCK / GRANULE) as u16;
                self.room_in(memory, segment, block);
            }
        }
    }

    /// A block that is not current has come to have a free cell, or no live one (available-is-part-full).
    #[cold]
    fn room_in(&mut self, memory: &mut Memory, segment: Segment, block: usize) {
        // SAFETY: the descriptor of a block in use.
        unsafe {
            let desc = segment.block_desc(block);
            let id = block_id((*segment.head()).index, block);
            if (*desc).live > 0 {
                return self.lanes.push(&memory.pages, id);
            }
            if (*desc).state == State::Available {
                self.lanes.unlink(&memory.pages, id);
            }
            memory.pages.give_back_block(segment, block);
        }
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
                return if (*pair).live & bit != 0 { Ok(cell) } else { Err(FreeError::AlreadyFree) };
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
    pub fn allocated_bytes(memory: &Memory) -> usize {
        memory.explicit_bytes - memory.external_bytes
    }

    /// Calls `f` with the address and the bytes of each allocated block.
    pub fn for_each(&self, memory: &Memory, mut f: impl FnMut(NonNull<u8>, usize)) {
        let mut id = 0;
        while let Some(found) = memory.next_block(id) {
            if let Some(view) = memory.block(found).filter(|view| view.owner == Owner::Explicit) {
                view.live_cells().for_each(|cell| f(cell, view.cell_size));
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
