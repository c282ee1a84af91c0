//! What the heap's memory is used for, from the lowest address to the highest: for figures of fragmentation, and for pictures.
//!
//! Imports `pages`, `segment`.

use super::Memory;
use super::segment::*;
use super::size_class::GRANULE;
use bitvec::prelude::{BitSlice, Lsb0};
use std::ops::Range;

/// What a part of a segment is used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Use {
    /// The segment's own bookkeeping.
    Metadata,
    /// Cells of one size.
    Block { explicit: bool, cell_bytes: usize, cells: usize, live: usize },
    /// One large cell. `bytes` were asked for.
    Run { explicit: bool, bytes: usize },
    /// Free pages that the heap keeps.
    Idle,
    /// Free pages that are the system's.
    Returned,
}

/// A part of a segment that is used for one thing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Extent {
    pub address: usize,
    pub bytes: usize,
    pub use_: Use,
}

impl Memory {
    /// Shows all parts of all segments. Young cells of the current block of a class count as free until an epoch end.
    pub fn layout(&self, visit: &mut dyn FnMut(Extent)) {
        let mut segments: Vec<Segment> = (0..self.pages.segments()).filter_map(|i| self.pages.segment(i)).collect();
        segments.sort_unstable_by_key(|segment| segment.addr());
        for segment in segments {
            let mut show = |pages: Range<usize>, use_| {
                let (address, bytes) = (segment.addr() + pages.start * PAGE, pages.len() * PAGE);
                visit(Extent { address, bytes, use_ });
            };
            show(0..FIRST_PAGE, Use::Metadata);
            // SAFETY: the head and the descriptors of a mapped segment; they are only read.
            unsafe {
                let head = segment.head();
                if (*head).room > 0 {
                    dedicated(head, &mut show);
                } else {
                    shared(segment, head, &mut show);
                }
            }
        }
    }
}

/// # Safety
/// The head of a mapped dedicated segment; likewise below.
unsafe fn dedicated(head: *const Head, show: &mut dyn FnMut(Range<usize>, Use)) {
    // SAFETY: by the caller.
    let (committed, tail, own) = unsafe { ((*head).committed, (*head).tail, &(*head).own) };
    let start = own.page as usize;
    let pages = |bytes: usize| bytes.div_ceil(PAGE);
    let mut used = 0;
    if own.state != RunState::None {
        used = pages(committed).saturating_sub(pages(tail));
        show(start..start + used, Use::Run { explicit: own.owner == Owner::Explicit, bytes: own.size });
    }
    if pages(committed) > used {
        show(start + used..start + pages(committed), Use::Idle);
    }
}

/// # Safety
/// As above, of a shared one.
unsafe fn shared(segment: Segment, head: *const Head, show: &mut dyn FnMut(Range<usize>, Use)) {
    // SAFETY: by the caller.
    let (used, touched, blocks) = unsafe { (&(*head).used, &(*head).touched, &(*head).blocks) };
    let (used, touched) = (BitSlice::<u64, Lsb0>::from_slice(used), BitSlice::<u64, Lsb0>::from_slice(touched));
    let blocks = BitSlice::<u64, Lsb0>::from_slice(blocks);
    let mut page = FIRST_PAGE;
    while page < PAGES {
        let block = page / BLOCK_PAGES;
        if page.is_multiple_of(BLOCK_PAGES) && blocks[block] {
            // SAFETY: by the caller.
            let desc = unsafe { &*segment.block_desc(block) };
            let (cell_bytes, cells) = (desc.cell as usize * GRANULE, desc.capacity as usize);
            let explicit = desc.owner == Owner::Explicit;
            show(page..page + BLOCK_PAGES, Use::Block { explicit, cell_bytes, cells, live: desc.live as usize });
            page += BLOCK_PAGES;
        } else if used[page] {
            // SAFETY: by the caller; a used page that is in no block begins a run, since those before it have been passed.
            let run = unsafe { &*segment.run_desc(page) };
            let end = page + (run.pages as usize).max(1);
            show(page..end, Use::Run { explicit: run.owner == Owner::Explicit, bytes: run.size });
            page = end;
        } else {
            let is = touched[page];
            let alike = |&next: &usize| {
                !used[next] && touched[next] == is && !(next.is_multiple_of(BLOCK_PAGES) && blocks[next / BLOCK_PAGES])
            };
            let end = (page..PAGES).take_while(alike).last().map_or(page + 1, |last| last + 1);
            show(page..end, if is { Use::Idle } else { Use::Returned });
            page = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explicit::Explicit;
    use crate::memory::tests::Random;

    /// The parts of a segment lie side by side and are all of it; what lives in them is what was allocated.
    #[test]
    fn all_memory_is_shown_once() {
        let (mut memory, mut explicit, mut random) = (Memory::new(usize::MAX), Explicit::new(), Random::new(3));
        let mut cells = Vec::new();
        for n in 0..20_000 {
            if random.below(3) > 0 || cells.is_empty() {
                let size = if n % 1000 == 0 { 5 << 20 } else { random.size().min(200_000) };
                cells.push((explicit.malloc(&mut memory, size).expect("memory"), size));
            } else {
                let (cell, _) = cells.swap_remove(random.below(cells.len()));
                // SAFETY: an allocated block, which is not used again.
                unsafe { explicit.free(&mut memory, cell) };
            }
        }
        explicit.trim(&mut memory);
        let (mut live, mut runs, mut asked) = (0, 0, 0);
        let mut segments = std::collections::BTreeMap::<usize, usize>::new();
        let mut end = 0;
        memory.layout(&mut |extent| {
            assert!(extent.address >= end && extent.bytes > 0 && extent.bytes.is_multiple_of(PAGE), "{extent:?}");
            end = extent.address + extent.bytes;
            if extent.use_ == Use::Metadata {
                segments.insert(extent.address, 0);
            }
            let (_, bytes) = segments.iter_mut().next_back().expect("bookkeeping comes first");
            *bytes += extent.bytes;
            match extent.use_ {
                Use::Block { explicit, live: cells, .. } => {
                    assert!(explicit);
                    live += cells;
                }
                Use::Run { explicit, bytes } => {
                    assert!(explicit && bytes <= extent.bytes);
                    (runs, asked) = (runs + 1, asked + bytes);
                }
                _ => {}
            }
        });
        let large = |&&(_, size): &&(_, usize)| size > crate::memory::size_class::MAX_SMALL;
        assert_eq!(live + runs, cells.len());
        assert_eq!(runs, cells.iter().filter(large).count());
        assert!(asked >= cells.iter().filter(large).map(|(_, size)| size).sum());
        for (start, bytes) in segments {
            // SAFETY: a mapped segment.
            let shared =
                unsafe { (*Segment::at(std::ptr::NonNull::new(start as *mut u8).expect("an address")).head()).room == 0 };
            assert!(!shared || bytes == SEGMENT, "{bytes} bytes of a segment are shown");
        }
        for (cell, _) in cells {
            // SAFETY: as above.
            unsafe { explicit.free(&mut memory, cell) };
        }
        memory.pages.unmap_all();
    }
}
