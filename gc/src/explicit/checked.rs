//! Checked blocks: explicit allocation that finds the classic errors.
//!
//! A block is known by an id, never by its address alone, and each access names the id, so that nothing wrong is ever done: what would
//! be wrong is an error that says where the block was allocated and where it was freed. Code that takes the address of a block
//! and writes past its end, or after its end of life, is found out later, by fences and poison.
//!
//! ```text
//!   cell:   fence (16) | the block's bytes | fence (16 to 31) | map: a bit for each byte that was written
//! ```
//! The fence in front names the block's record. A block of zeros has no map: all of it counts as written. A freed cell is poisoned and waits in the quarantine, a queue of
//! bounded bytes, before its memory serves others. Its record outlives it, until the embedder says that nobody holds the id any more.
//!
//! * **record-owns-its-cell** A record with a `start` has a cell of its own, laid out for its `size`. `Live` ones have a cell; `Freed` ones while they stand
//!   in the quarantine; `Vacant` ones have none.
//! * **id-good-for-one-block** An id is good for one block: the generation of a record changes when it becomes vacant.
//! * **only-written-bytes-leave** Bytes go out to a reader only if they were written since the block was allocated.
//!
//! The unchecked functions know nothing of this file. Imports `explicit`, `memory`, `records`, `report`.

use super::Explicit;
use super::records::{END, Life, Record, Records};
use super::report::{Access, BlockId, BlockInfo, Offence, Report, Site};
use crate::memory::{Memory, OutOfMemory};
use bitvec::prelude::{BitSlice, Lsb0};
use std::ptr::NonNull;

/// The bytes of freed blocks that are kept from use, unless told otherwise.
pub const QUARANTINE_BYTES: usize = 256 << 10;
/// Damage that is found when a cell leaves the quarantine is remembered up to this many reports.
const MAX_FOUND: usize = 64;
const FENCE: usize = 16;
const FENCE_BYTE: u8 = 0xfb;
/// What makes an index look like the rest of the fence.
const NAME: u32 = u32::from_ne_bytes([FENCE_BYTE; 4]);
const POISON: u8 = 0xdb;
const WORD: usize = usize::BITS as usize;
/// Bytes that are cleared or copied between two questions whether to go on; whole words of the map.
const PIECE: usize = 1 << 20;

type Map = BitSlice<usize, Lsb0>;

/// Why a checked function has done nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CheckedError {
    OutOfMemory,
    Report(Report),
}

impl From<OutOfMemory> for CheckedError {
    fn from(_: OutOfMemory) -> CheckedError {
        CheckedError::OutOfMemory
    }
}

impl From<Report> for CheckedError {
    fn from(report: Report) -> CheckedError {
        CheckedError::Report(report)
    }
}

/// The records of all checked blocks of a heap.
pub(crate) struct Checked {
    pub(super) records: Records,
    /// The first vacant record.
    vacant: u32,
    /// The first and the last record of the quarantine.
    quarantine: (u32, u32),
    quarantine_bytes: usize,
    quarantine_limit: usize,
    live_blocks: usize,
    live_bytes: usize,
    found: Vec<Report>,
}

/// The distance of the map from the start of the block, and the bytes of the whole cell.
fn layout(size: usize, mapped: bool) -> Option<(usize, usize)> {
    let map = size.checked_next_multiple_of(FENCE)?.checked_add(FENCE)?;
    let map_bytes = if mapped { size.div_ceil(WORD) * size_of::<usize>() } else { 0 };
    Some((map, map.checked_add(FENCE + map_bytes)?))
}

/// The bytes of the fence behind a block.
fn fence_behind(size: usize) -> usize {
    size.next_multiple_of(FENCE) + FENCE - size
}

/// The fence in front of the block whose record has this index.
fn fence_before(index: u32) -> [u8; FENCE] {
    let mut fence = [FENCE_BYTE; FENCE];
    fence[..size_of::<u32>()].copy_from_slice(&(index ^ NAME).to_ne_bytes());
    fence
}

/// # Safety
/// The cell of a block of this size that begins at `start`, in nobody else's use.
unsafe fn write_fences(start: NonNull<u8>, size: usize, index: u32) {
    // SAFETY: by the caller.
    unsafe {
        start.sub(FENCE).cast().write(fence_before(index));
        start.add(size).write_bytes(FENCE_BYTE, fence_behind(size));
    }
}

impl Record {
    fn bytes(&self) -> &[u8] {
        match self.start {
            // SAFETY: record-owns-its-cell.
            Some(start) => unsafe { std::slice::from_raw_parts(start.as_ptr(), self.size) },
            None => &[],
        }
    }
    fn bytes_mut(&mut self) -> &mut [u8] {
        match self.start {
            // SAFETY: record-owns-its-cell: the cell is this record's alone.
            Some(start) => unsafe { std::slice::from_raw_parts_mut(start.as_ptr(), self.size) },
            None => &mut [],
        }
    }
    fn map_place(&self) -> Option<(*mut usize, usize)> {
        let start = self.start.filter(|_| self.mapped)?;
        let (map, _) = layout(self.size, true)?;
        // SAFETY: record-owns-its-cell: the map stands in the cell, at a multiple of 16.
        Some((unsafe { start.as_ptr().add(map).cast() }, self.size.div_ceil(WORD)))
    }
    fn map(&self) -> Option<&Map> {
        // SAFETY: record-owns-its-cell; a word of the map was written when the cell was made.
        self.map_place().map(|(words, len)| Map::from_slice(unsafe { std::slice::from_raw_parts(words, len) }))
    }
    fn map_mut(&mut self) -> Option<&mut Map> {
        // SAFETY: as above.
        self.map_place().map(|(words, len)| Map::from_slice_mut(unsafe { std::slice::from_raw_parts_mut(words, len) }))
    }
    fn info(&self, index: u32) -> BlockInfo {
        BlockInfo {
            id: BlockId { index, generation: self.generation },
            size: self.size,
            allocated: self.allocated,
            freed: (self.life == Life::Freed).then_some(self.freed),
        }
    }
    fn broken_fence(&self, index: u32) -> Option<Offence> {
        let start = self.start?;
        // SAFETY: record-owns-its-cell.
        let (before, behind) = unsafe {
            let before = std::slice::from_raw_parts(start.as_ptr().sub(FENCE), FENCE);
            (before, std::slice::from_raw_parts(start.as_ptr().add(self.size), fence_behind(self.size)))
        };
        let broken = before.iter().zip(fence_before(index)).position(|(&byte, written)| byte != written);
        let at = broken.map(|at| at as i64 - FENCE as i64);
        let at = at.or_else(|| Some(behind.iter().position(|&b| b != FENCE_BYTE)? as i64 + self.size as i64));
        at.map(Offence::BrokenFence)
    }
    fn mend_fences(&mut self, index: u32) {
        if let Some(start) = self.start {
            // SAFETY: record-owns-its-cell.
            unsafe { write_fences(start, self.size, index) };
        }
    }
    /// What fences and poison tell.
    fn damage(&self, index: u32) -> Option<Offence> {
        let poisoned = if self.life == Life::Freed { self.bytes() } else { &[] };
        let written = || poisoned.iter().position(|&b| b != POISON).map(Offence::WrittenAfterFree);
        self.broken_fence(index).or_else(written)
    }
    fn cell_bytes(&self) -> usize {
        layout(self.size, self.mapped).map_or(0, |(_, total)| total)
    }
}

impl Checked {
    pub const fn new() -> Checked {
        Checked {
            records: Records::new(),
            vacant: END,
            quarantine: (END, END),
            quarantine_bytes: 0,
            quarantine_limit: QUARANTINE_BYTES,
            live_blocks: 0,
            live_bytes: 0,
            found: Vec::new(),
        }
    }

    fn report(&self, index: u32, offence: Offence) -> Report {
        Report { offence, block: Some(self.records[index as usize].info(index)) }
    }

    fn find(&self, id: BlockId) -> Option<&Record> {
        self.records.get(id.index as usize).filter(|r| r.generation == id.generation && r.life != Life::Vacant)
    }

    /// The record of a block that lives, or the report of `offence`.
    fn live(&self, id: BlockId, offence: Offence) -> Result<&Record, Report> {
        match self.find(id) {
            Some(record) if record.life == Life::Live => Ok(record),
            Some(_) => Err(self.report(id.index, offence)),
            None => Err(Report { offence, block: None }),
        }
    }

    /// A range of a live block.
    fn range(&self, id: BlockId, access: Access, offset: i64, len: usize) -> Result<std::ops::Range<usize>, Report> {
        let size = self.live(id, Offence::UseAfterFree)?.size;
        match usize::try_from(offset) {
            Ok(start) if start <= size && len <= size - start => Ok(start..start + len),
            _ => Err(self.report(id.index, Offence::OutOfBounds { access, offset, len })),
        }
    }

    fn vacate(&mut self, index: u32) {
        let record = &mut self.records[index as usize];
        record.life = Life::Vacant;
        record.held = false;
        // A record whose generations are used up is never used again (id-good-for-one-block).
        if let Some(next) = record.generation.checked_add(1) {
            record.generation = next;
            record.next = self.vacant;
            self.vacant = index;
        }
    }
}

/// The checked blocks of a heap, see [`Heap::checked`](crate::Heap::checked).
pub struct CheckedBlocks<'h> {
    lender: &'h mut dyn Lender,
    checked: &'h mut Checked,
    go_on: Option<&'h mut dyn FnMut() -> bool>,
}

/// What asks the allocator for a block.
pub(crate) type Ask<'a> = &'a mut dyn FnMut(&mut Memory, &mut Explicit) -> Result<NonNull<u8>, OutOfMemory>;

/// Who gives memory: asked for in the one way that all requests of a heap go.
pub(crate) trait Lender {
    /// Asks for `bytes`, perhaps twice.
    fn request(&mut self, bytes: usize, ask: Ask<'_>) -> Result<NonNull<u8>, OutOfMemory>;
    fn parts(&mut self) -> (&mut Memory, &mut Explicit);
    fn parts_ref(&self) -> (&Memory, &Explicit);
}

impl<'h> CheckedBlocks<'h> {
    pub(crate) fn new(lender: &'h mut dyn Lender, checked: &'h mut Checked) -> CheckedBlocks<'h> {
        CheckedBlocks { lender, checked, go_on: None }
    }

    /// The same, with a hook that is asked now and then, while a large block is made, whether to go on. If not, the block is refused as if there was no
    /// memory for it.
    pub fn asking(self, go_on: &'h mut dyn FnMut() -> bool) -> CheckedBlocks<'h> {
        CheckedBlocks { go_on: Some(go_on), ..self }
    }
}

impl CheckedBlocks<'_> {
    // ---- allocation

    /// A block of `size` bytes, none of them written yet.
    pub fn malloc(&mut self, size: usize, site: Site) -> Result<BlockId, OutOfMemory> {
        self.new_block(size, true, site)
    }

    /// A block of `count * size` zeros.
    pub fn calloc(&mut self, count: usize, size: usize, site: Site) -> Result<BlockId, OutOfMemory> {
        self.new_block(count.checked_mul(size).ok_or(OutOfMemory)?, false, site)
    }

    fn new_block(&mut self, size: usize, mapped: bool, site: Site) -> Result<BlockId, OutOfMemory> {
        let start = self.new_cell(size, mapped)?;
        let record = Record {
            life: Life::Live,
            held: true,
            exposed: false,
            mapped,
            generation: 0,
            allocated: site,
            freed: Site::UNKNOWN,
            start: Some(start),
            size,
            next: END,
        };
        match self.enter(record) {
            Ok(id) => {
                self.checked.live_blocks += 1;
                self.checked.live_bytes += size;
                Ok(id)
            }
            Err(error) => {
                self.free_cell(start);
                Err(error)
            }
        }
    }

    /// A cell of zeros, whose fences are not yet written. Returns the start of the block.
    fn new_cell(&mut self, size: usize, mapped: bool) -> Result<NonNull<u8>, OutOfMemory> {
        let (_, total) = layout(size, mapped).filter(|(_, total)| isize::try_from(*total).is_ok()).ok_or(OutOfMemory)?;
        let mut dirty = 0;
        let cell = loop {
            let mut ask = |memory: &mut Memory, explicit: &mut Explicit| {
                let cell;
                (cell, dirty) = explicit.uncleared(memory, total)?;
                Ok(cell)
            };
            match self.lender.request(total, &mut ask) {
                Ok(cell) => break cell,
                Err(error) if self.checked.quarantine.0 == END => return Err(error),
                // What is kept back is given up first.
                Err(_) => self.shrink_quarantine(0),
            }
        };
        // SAFETY: the cell has `total` bytes, laid out as above.
        let start = unsafe { cell.add(FENCE) };
        for at in (0..dirty).step_by(PIECE) {
            if !self.goes_on() {
                self.free_cell(start);
                return Err(OutOfMemory);
            }
            // SAFETY: inside the cell.
            unsafe { cell.add(at).write_bytes(0, PIECE.min(dirty - at)) };
        }
        Ok(start)
    }

    fn goes_on(&mut self) -> bool {
        self.go_on.as_mut().is_none_or(|go_on| go_on())
    }

    fn free_cell(&mut self, start: NonNull<u8>) {
        let (memory, explicit) = self.lender.parts();
        // SAFETY: `new_cell` has made the cell that begins a fence below, and its record gives it up.
        unsafe { explicit.free(memory, start.sub(FENCE)) };
    }

    /// Gives the record an index, which its fences name from now on.
    fn enter(&mut self, mut record: Record) -> Result<BlockId, OutOfMemory> {
        let checked = &mut *self.checked;
        let index = match checked.vacant {
            END => {
                let index = u32::try_from(checked.records.len()).ok().filter(|&index| index != END).ok_or(OutOfMemory)?;
                let (memory, explicit) = self.lender.parts();
                checked.records.push(memory, explicit, record)?;
                index
            }
            index => {
                let slot = &mut checked.records[index as usize];
                checked.vacant = slot.next;
                record.generation = slot.generation;
                record.next = END;
                *slot = record;
                index
            }
        };
        let record = &mut checked.records[index as usize];
        record.mend_fences(index);
        Ok(BlockId { index, generation: record.generation })
    }

    /// Makes a block `size` bytes long. It keeps its id and moves to another address, whatever its size; the old cell goes into
    /// quarantine. A report of a broken fence comes after all this was done.
    pub fn realloc(&mut self, id: BlockId, size: usize, site: Site) -> Result<(), CheckedError> {
        let old = self.checked.live(id, Offence::UseAfterFree)?;
        let (old_start, old_size, mapped, allocated) = (old.start, old.size, old.mapped, old.allocated);
        // Giving the old cell to another record mends its fences.
        let damage = old.broken_fence(id.index);
        // A block of zeros that grows has bytes that were not written.
        let new_mapped = mapped || size > old_size;
        let start = self.new_cell(size, new_mapped)?;
        let old = &self.checked.records[id.index as usize];
        let mut moved = Record { start: Some(start), size, mapped: new_mapped, ..*old };
        let kept = size.min(old_size);
        for at in (0..kept).step_by(PIECE) {
            if !self.goes_on() {
                self.free_cell(start);
                return Err(OutOfMemory.into());
            }
            let (old, end) = (&self.checked.records[id.index as usize], kept.min(at + PIECE));
            moved.bytes_mut()[at..end].copy_from_slice(&old.bytes()[at..end]);
            copy_map((old, at), (&mut moved, at), end - at);
        }
        moved.mend_fences(id.index);
        let ghost = Record {
            life: Life::Freed,
            held: false,
            exposed: false,
            mapped,
            generation: 0,
            allocated,
            freed: site,
            start: old_start,
            size: old_size,
            next: END,
        };
        let ghost = match self.enter(ghost) {
            Ok(ghost) => ghost.index,
            Err(error) => {
                self.free_cell(start);
                return Err(error.into());
            }
        };
        self.checked.records[id.index as usize] = moved;
        self.checked.live_bytes = self.checked.live_bytes - old_size + size;
        let report = damage.map(|offence| self.checked.report(ghost, offence));
        self.imprison(ghost);
        report.map_or(Ok(()), |report| Err(report.into()))
    }

    /// Frees a block. An error that tells of a broken fence comes after the block has been freed.
    pub fn free(&mut self, id: BlockId, site: Site) -> Result<(), Report> {
        self.checked.live(id, Offence::DoubleFree)?;
        self.end(id.index, site).map_or(Ok(()), Err)
    }

    /// Frees the block at an address, which may be any number.
    pub fn free_at(&mut self, addr: usize, site: Site) -> Result<(), Report> {
        let Some((index, offset)) = self.named_by(addr).map(|index| (index, 0)).or_else(|| self.containing(addr)) else {
            return Err(Report { offence: Offence::InvalidFree(0), block: None });
        };
        match (offset, self.checked.records[index as usize].life) {
            (0, Life::Live) => self.end(index, site).map_or(Ok(()), Err),
            (0, _) => Err(self.checked.report(index, Offence::DoubleFree)),
            _ => Err(self.checked.report(index, Offence::InvalidFree(offset as i64))),
        }
    }

    /// The record of the block that begins at `addr`, as its fence names it.
    fn named_by(&self, addr: usize) -> Option<u32> {
        let (memory, explicit) = self.lender.parts_ref();
        let cell = explicit.lookup(memory, addr.checked_sub(FENCE)?).ok()?;
        // SAFETY: an allocated cell, of at least 16 bytes; whatever stands there is only taken for a guess.
        let index = unsafe { cell.cast::<u32>().read() } ^ NAME;
        let start = self.checked.records.get(index as usize)?.start?;
        (start.as_ptr().addr() == addr).then_some(index)
    }

    /// The block that an address is inside of, or whose fence no longer names it, found by a search.
    fn containing(&self, addr: usize) -> Option<(u32, usize)> {
        self.checked.records.iter().enumerate().find_map(|(index, record)| {
            let offset = addr.checked_sub(record.start?.as_ptr().addr())?;
            (offset == 0 || offset < record.size).then_some((index as u32, offset))
        })
    }

    /// The start of a live block, of which pointers may be made from now on: to this offset first.
    pub(super) fn expose(&mut self, id: BlockId, offset: i64) -> Result<usize, Report> {
        let record = self.checked.live(id, Offence::UseAfterFree)?;
        let start = record.start.map_or(0, |start| start.as_ptr().addr());
        if usize::try_from(offset).is_ok_and(|offset| offset <= record.size) {
            self.checked.records[id.index as usize].exposed = true;
            return Ok(start);
        }
        Err(self.checked.report(id.index, Offence::OutOfBounds { access: Access::Point, offset, len: 0 }))
    }

    /// The use of an address that a block had before `realloc` moved it, as long as its old cell is in quarantine.
    pub(super) fn moved_away(&self, addr: usize) -> Option<Report> {
        let (index, _) = self.containing(addr)?;
        let freed = self.checked.records[index as usize].life == Life::Freed;
        freed.then(|| self.checked.report(index, Offence::UseAfterFree))
    }

    /// Nobody holds the id any more. If the block was never freed, that is a leak: it is reported, and freed; unless pointers may name it
    /// ([`CheckedBlocks::pointer`]): then it lives on until it is freed by one of them.
    pub fn forget(&mut self, id: BlockId) -> Option<Report> {
        let record = self.checked.find(id)?;
        let lives = record.life == Life::Live;
        let leak = (lives && !record.exposed).then(|| self.checked.report(id.index, Offence::Leak));
        self.checked.records[id.index as usize].held = false;
        if leak.is_some() {
            if let Some(damage) = self.end(id.index, Site::UNKNOWN) {
                self.remember(damage);
            }
        } else if !lives && self.checked.records[id.index as usize].start.is_none() {
            self.checked.vacate(id.index);
        }
        leak
    }

    /// The end of a live block.
    fn end(&mut self, index: u32, site: Site) -> Option<Report> {
        let record = &mut self.checked.records[index as usize];
        self.checked.live_blocks -= 1;
        self.checked.live_bytes -= record.size;
        record.life = Life::Freed;
        record.freed = site;
        self.imprison(index)
    }

    /// Puts the cell of a freed block into quarantine, and reports a broken fence.
    fn imprison(&mut self, index: u32) -> Option<Report> {
        let record = &mut self.checked.records[index as usize];
        let (broken, bytes) = (record.broken_fence(index), record.cell_bytes());
        let report = broken.map(|offence| self.checked.report(index, offence));
        if bytes > self.checked.quarantine_limit {
            self.release(index);
            return report;
        }
        let record = &mut self.checked.records[index as usize];
        record.bytes_mut().fill(POISON);
        // Damage is reported once.
        record.mend_fences(index);
        record.next = END;
        match &mut self.checked.quarantine {
            (_, END) => self.checked.quarantine = (index, index),
            (_, last) => {
                let before = std::mem::replace(last, index);
                self.checked.records[before as usize].next = index;
            }
        }
        self.checked.quarantine_bytes += bytes;
        self.shrink_quarantine(self.checked.quarantine_limit);
        report
    }

    fn shrink_quarantine(&mut self, limit: usize) {
        while self.checked.quarantine_bytes > limit {
            let index = self.checked.quarantine.0;
            if index == END {
                return;
            }
            let record = &self.checked.records[index as usize];
            self.checked.quarantine.0 = record.next;
            if record.next == END {
                self.checked.quarantine.1 = END;
            }
            self.checked.quarantine_bytes -= record.cell_bytes();
            if let Some(offence) = record.damage(index) {
                self.remember(self.checked.report(index, offence));
            }
            self.release(index);
        }
    }

    /// Gives back the memory of a freed block, and the record too if nobody can ask for it.
    fn release(&mut self, index: u32) {
        let record = &mut self.checked.records[index as usize];
        let held = record.held;
        if let Some(start) = record.start.take() {
            self.free_cell(start);
        }
        if !held {
            self.checked.vacate(index);
        }
    }

    fn remember(&mut self, report: Report) {
        if self.checked.found.len() < MAX_FOUND {
            self.checked.found.push(report);
        }
    }

    // ---- access; offsets count from 0

    pub fn size(&self, id: BlockId) -> Result<usize, Report> {
        self.checked.live(id, Offence::UseAfterFree).map(|record| record.size)
    }

    /// The bytes of a range, all of which must have been written.
    pub fn read(&self, id: BlockId, offset: i64, len: usize) -> Result<&[u8], Report> {
        let range = self.checked.range(id, Access::Read, offset, len)?;
        let record = &self.checked.records[id.index as usize];
        if let Some(map) = record.map()
            && let Some(at) = map[range.clone()].first_zero()
        {
            return Err(self.checked.report(id.index, Offence::Uninitialised(range.start + at)));
        }
        Ok(&record.bytes()[range])
    }

    /// Where the first zero stands among the next `len` bytes, counted from the offset. Up to it, or if there is none all of them, they must have been
    /// written; a block that ends before is an error.
    pub fn find_zero(&self, id: BlockId, offset: i64, len: usize) -> Result<Option<usize>, Report> {
        let start = self.checked.range(id, Access::Read, offset, 0)?.start;
        let rest = &self.checked.records[id.index as usize].bytes()[start..];
        let zero = rest.iter().take(len).position(|&b| b == 0);
        // What is wrong first is reported: a byte never written, or the end.
        self.read(id, offset, zero.map_or(len.min(rest.len()), |zero| zero + 1))?;
        if zero.is_none() && rest.len() < len {
            self.read(id, offset, rest.len() + 1)?;
        }
        Ok(zero)
    }

    /// Whether a range lies in a live block, written or not.
    pub fn check(&self, id: BlockId, access: Access, offset: i64, len: usize) -> Result<(), Report> {
        self.checked.range(id, access, offset, len).map(drop)
    }

    pub fn write(&mut self, id: BlockId, offset: i64, bytes: &[u8]) -> Result<(), Report> {
        self.writable(id, offset, bytes.len())?.copy_from_slice(bytes);
        Ok(())
    }

    pub fn fill(&mut self, id: BlockId, offset: i64, len: usize, byte: u8) -> Result<(), Report> {
        self.writable(id, offset, len)?.fill(byte);
        Ok(())
    }

    /// A range that is going to be written whole.
    fn writable(&mut self, id: BlockId, offset: i64, len: usize) -> Result<&mut [u8], Report> {
        let range = self.checked.range(id, Access::Write, offset, len)?;
        let record = &mut self.checked.records[id.index as usize];
        if let Some(map) = record.map_mut() {
            map[range.clone()].fill(true);
        }
        Ok(&mut record.bytes_mut()[range])
    }

    /// Copies a range, which may overlap with its copy. Bytes that were never written stay so in the copy.
    pub fn copy(&mut self, to: BlockId, to_offset: i64, from: BlockId, from_offset: i64, len: usize) -> Result<(), Report> {
        let source = self.checked.range(from, Access::Read, from_offset, len)?;
        let target = self.checked.range(to, Access::Write, to_offset, len)?;
        if to == from {
            let record = &mut self.checked.records[to.index as usize];
            if let Some(map) = record.map_mut() {
                map.copy_within(source.clone(), target.start);
            }
            record.bytes_mut().copy_within(source, target.start);
            return Ok(());
        }
        if self.checked.find(from).is_some_and(|r| r.mapped) && self.checked.find(to).is_some_and(|r| !r.mapped) {
            // A block without a map can't tell what of the copy was written.
            self.read(from, from_offset, len)?;
        }
        let (from, to) = self.checked.records.two(from.index, to.index);
        to.bytes_mut()[target.clone()].copy_from_slice(&from.bytes()[source.clone()]);
        copy_map((from, source.start), (to, target.start), len);
        Ok(())
    }

    /// What stands in a range of a block, living or freed, for one who looks at it: `None` where nothing was written, or the block has no memory any more. A range
    /// that leads beyond the block ends with it.
    pub fn look(&self, id: BlockId, offset: usize, len: usize) -> impl Iterator<Item = Option<u8>> {
        let record = self.checked.find(id);
        let end = record.map_or(0, |record| record.size).min(offset.saturating_add(len));
        let written = move |at: usize| record.is_some_and(|record| record.map().is_none_or(|map| map[at]));
        (offset..end).map(move |at| record?.bytes().get(at).copied().filter(|_| written(at)))
    }

    /// The address of a live block, for code that reads and writes by itself: it is trusted with the bounds, found out by the fences if it
    /// deserved no trust, and says with [`CheckedBlocks::mark_written`] what it has written.
    pub fn address(&self, id: BlockId) -> Result<NonNull<u8>, Report> {
        let record = self.checked.live(id, Offence::UseAfterFree)?;
        Ok(record.start.unwrap_or(NonNull::dangling()))
    }

    pub fn mark_written(&mut self, id: BlockId, offset: i64, len: usize) -> Result<(), Report> {
        self.writable(id, offset, len).map(drop)
    }

    // ---- figures

    /// What is known of a block, living or freed; `None` once its id was forgotten.
    pub fn info(&self, id: BlockId) -> Option<BlockInfo> {
        self.checked.find(id).map(|record| record.info(id.index))
    }

    /// The number of live blocks.
    pub fn blocks(&self) -> usize {
        self.checked.live_blocks
    }
    /// The bytes of live blocks, as they were asked for.
    pub fn bytes(&self) -> usize {
        self.checked.live_bytes
    }
    /// The bytes of the cells of live blocks, with fences, maps, and what the size class rounds up. Looks at all records.
    pub fn given_bytes(&self) -> usize {
        let (memory, explicit) = self.lender.parts_ref();
        let live = self.checked.records.iter().filter(|record| record.life == Life::Live);
        // SAFETY: record-owns-its-cell.
        live.filter_map(|record| record.start).map(|start| unsafe { explicit.usable_size(memory, start.sub(FENCE)) }).sum()
    }
    /// The bytes that freed blocks keep from use.
    pub fn quarantine_bytes(&self) -> usize {
        self.checked.quarantine_bytes
    }
    pub fn set_quarantine_limit(&mut self, bytes: usize) {
        self.checked.quarantine_limit = bytes;
        self.shrink_quarantine(bytes);
    }

    /// Calls `f` with each live block, by age of their records.
    pub fn for_each(&self, mut f: impl FnMut(BlockInfo)) {
        for (index, record) in self.checked.records.iter().enumerate() {
            if record.life == Life::Live {
                f(record.info(index as u32));
            }
        }
    }

    /// Calls `f` with everything that is wrong now: damage to fences and freed blocks, and each live block as a leak. For the end of a program.
    pub fn inspect(&self, mut f: impl FnMut(Report)) {
        self.checked.found.iter().copied().for_each(&mut f);
        for (index, record) in self.checked.records.iter().enumerate() {
            let index = index as u32;
            if let Some(offence) = record.damage(index) {
                f(self.checked.report(index, offence));
            }
            if record.life == Life::Live {
                f(self.checked.report(index, Offence::Leak));
            }
        }
    }
}

/// What was written of a copied range, from one map to another.
fn copy_map((from, start): (&Record, usize), (to, to_start): (&mut Record, usize), len: usize) {
    let Some(map) = to.map_mut() else { return };
    let target = &mut map[to_start..to_start + len];
    match from.map() {
        Some(source) => target.copy_from_bitslice(&source[start..start + len]),
        None => target.fill(true),
    }
}
