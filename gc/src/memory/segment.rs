//! A segment: 4 MiB of heap with its own metadata at the start, found by masking the address of any cell.
//!
//! ```text
//!   0        64 KiB       68 KiB      80 KiB   112 KiB  176 KiB  192 KiB                       4 MiB
//!   +--------+------------+-----------+--------+--------+--------+--------+--- ... ---+--------+
//!   | pairs  | BlockDesc  | RunDesc   | gray   | dirty  |        | block  |           | block  |
//!   | of bits| 128        | 342       | bits   | bits   |        | 32 KiB |           |        |
//!   +--------+------------+-----------+--------+--------+--------+--------+--- ... ---+--------+
//!   | Head in the pairs of the metadata's own addresses
//! ```
//!
//! Each 16-byte granule has two bits, `live` and `mark`, used where a cell starts; the two words of 64 granules stand side by
//! side (a [`Pair`]), so that looking at one brings the other. (A third, `gray`, stands apart: only marking needs it.) The bits of a cell are thus found from its address alone, without
//! its block's descriptor and without a division. Metadata is touched only for the blocks in use.
//!
//! A *dedicated* segment holds one large run alone, from its first data page on, and may be longer than 4 MiB.
//!
//! * **segments-are-aligned** A segment starts at a multiple of [`SEGMENT`]; `Segment::of` is right for the start of every cell, and for every address of
//!   a segment that is not dedicated.
//! * **used-pages-have-bits** A bit of `used` is set for the metadata and for each page of a block or run that is in use.
//! * **untouched-reads-zero** A page whose bit in `touched` is clear has not been touched since the operating system made it (it reads as zero).
//! * **live-only-at-starts** Bits in `live` are set only at the start of cells of blocks and runs in use.
//!
//! Imports `os` (the mapping).

use std::ptr::NonNull;

/// Bytes of a segment.
pub const SEGMENT: usize = 4 << 20;
/// Bytes of a page, the unit of large runs.
pub const PAGE: usize = 4 << 10;
/// Bytes of a block.
pub const BLOCK: usize = 32 << 10;
/// Blocks in a segment, metadata included.
pub const BLOCKS: usize = SEGMENT / BLOCK;
/// Pages in a block.
pub const BLOCK_PAGES: usize = BLOCK / PAGE;
/// Pages in a segment.
pub const PAGES: usize = SEGMENT / PAGE;
/// Granules in a block.
pub const BLOCK_GRANULES: usize = BLOCK / super::size_class::GRANULE;
/// Pairs in a block.
pub const BLOCK_PAIRS: usize = BLOCK_GRANULES / 64;
/// The first page that is not metadata.
pub const FIRST_PAGE: usize = 48;
/// The first block that is not metadata.
pub const FIRST_BLOCK: usize = FIRST_PAGE / BLOCK_PAGES;
/// A run has at least three pages, so `start / 3` tells runs apart.
pub const RUNS: usize = PAGES.div_ceil(3);

const BLOCK_DESCS: usize = 64 << 10;
const RUN_DESCS: usize = 68 << 10;
const GRAY: usize = 80 << 10;
const DIRTY: usize = 112 << 10;

/// Bytes of a segment that one dirty bit stands for: the least that a slot has.
pub const BIT_BYTES: usize = 8;
/// Words of dirty bits of a page.
pub const PAGE_WORDS: usize = PAGE / (64 * BIT_BYTES);

/// No block, no run.
pub const NONE: u32 = u32::MAX;

/// The two bits of 64 granules.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct Pair {
    pub live: u64,
    pub mark: u64,
}

/// Whom a block or a run serves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Owner {
    /// The collector.
    Collected,
    /// `malloc` and `free`.
    Explicit,
}

/// Where a block stands in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum State {
    /// Its pages are free (or belong to runs). All zero: what an untouched descriptor says.
    Free,
    /// The allocator hands out its cells.
    Current,
    /// Handed out in this epoch, to the end.
    Spent,
    /// Has free cells, waits in the list of its class.
    Available,
    /// Has too few free cells to be worth a visit.
    Full,
}

/// What is known of a block of small cells, its bits aside.
#[repr(C)]
pub struct BlockDesc {
    pub next: u32,
    pub prev: u32,
    pub limbo: u32,
    /// Clock of the last change to an empty block, in milliseconds.
    pub stamp_ms: u32,
    /// Live cells; while the block is `Current` or `Spent` for the collector, as it was when handed out.
    pub live: u16,
    pub capacity: u16,
    /// Granules of a cell.
    pub cell: u16,
    /// Granule where the search for the next free run goes on.
    pub scan: u16,
    /// The words of gray bits that are not zero. Explicit blocks have none: there it is the number of cells with an alignment of their own.
    pub gray_words: u32,
    pub class: u8,
    pub state: State,
    pub owner: Owner,
    pub in_limbo: bool,
}

impl BlockDesc {
    /// Whether one cell in sixteen is free. Below that, looking for the free cells, cold as they are, costs more than they are worth.
    #[inline]
    pub fn has_room(&self) -> bool {
        (self.capacity - self.live) as usize * 16 >= self.capacity as usize
    }
}

/// Where a run stands in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum RunState {
    None,
    /// Allocated in this epoch.
    Young,
    Mature,
    /// Freed while the layout is pinned: its pages are not free yet.
    Limbo,
}

/// What is known of a large run.
#[repr(C)]
pub struct RunDesc {
    /// Bytes asked for.
    pub size: usize,
    /// Where it starts, in pages of the segment.
    pub page: u32,
    pub pages: u32,
    /// Words of its dirty bits, the others of which are clean (clean-behind-dirty-words).
    pub dirty_words: u32,
    pub next: u32,
    pub prev: u32,
    pub state: RunState,
    pub owner: Owner,
    /// The alignment that was asked for, where it is to be kept.
    pub align_log2: u8,
    /// A slot has been dirty: there may be references in it (undirtied-holds-no-reference).
    pub dirtied: bool,
}

/// The head of a segment, in the pairs that its own metadata does not need.
#[repr(C)]
pub struct Head {
    /// Bytes of the mapping.
    pub mapped: usize,
    /// Dedicated: bytes from the first data page on that a run may take, 0 otherwise.
    pub room: usize,
    /// Dedicated: bytes from the first data page on that may have been touched.
    pub committed: usize,
    /// Dedicated: the last of them that the run does not need.
    pub tail: usize,
    /// Dedicated: the neighbours in the list of those without a run, or of those with a tail.
    pub idle_next: u32,
    pub idle_prev: u32,
    /// Whom the process-wide allocator has it for (`explicit::global`); else 0.
    pub owner: usize,
    /// The table of dirty bits: the words of page `p` begin at `dirty + p * PAGE_WORDS`.
    pub dirty: *mut u64,
    /// Position in the table of segments.
    pub index: u32,
    /// Metadata pages that have been paid for.
    pub meta: u64,
    pub used: [u64; PAGES / 64],
    pub touched: [u64; PAGES / 64],
    /// Runs by `start / 3`.
    pub runs: [u64; RUNS.div_ceil(64)],
    /// Blocks in use as such.
    pub blocks: [u64; BLOCKS / 64],
    /// Free blocks in the list of those with touched pages.
    pub warm: [u64; BLOCKS / 64],
    /// The descriptor of the run of a dedicated segment.
    pub own: RunDesc,
}

const _: () = {
    assert!(size_of::<Head>() <= FIRST_PAGE * PAGE / 1024 * size_of::<Pair>());
    assert!(BLOCK_DESCS + BLOCKS * size_of::<BlockDesc>() <= RUN_DESCS);
    assert!(RUN_DESCS + RUNS * size_of::<RunDesc>() <= GRAY);
    assert!(GRAY + SEGMENT / 1024 * 8 <= DIRTY);
    assert!(DIRTY + PAGES * PAGE_WORDS * 8 <= FIRST_PAGE * PAGE);
    assert!(FIRST_PAGE <= u64::BITS as usize && BLOCK_PAIRS == u32::BITS as usize);
    assert!(FIRST_PAGE.is_multiple_of(BLOCK_PAGES));
};

/// The address of a mapped segment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Segment(NonNull<u8>);

impl Segment {
    /// # Safety
    /// `base` is the start of a mapping of at least one segment, with a [`Head`] (or zero, about to become one).
    pub unsafe fn at(base: NonNull<u8>) -> Segment {
        Segment(base)
    }

    /// The segment of a cell.
    ///
    /// # Safety
    /// `cell` was handed out as the start of a cell (segments-are-aligned).
    #[inline(always)]
    pub unsafe fn of(cell: NonNull<u8>) -> Segment {
        let base = cell.as_ptr().map_addr(|a| a & !(SEGMENT - 1));
        // SAFETY: no mapping starts at 0.
        Segment(unsafe { NonNull::new_unchecked(base) })
    }

    #[inline(always)]
    pub fn base(self) -> NonNull<u8> {
        self.0
    }

    #[inline(always)]
    pub fn addr(self) -> usize {
        self.0.as_ptr().addr()
    }

    #[inline(always)]
    fn part<T>(self, offset: usize) -> *mut T {
        // SAFETY: every caller in this file stays in the first 4 MiB, which are mapped (segments-are-aligned).
        unsafe { self.0.as_ptr().add(offset).cast() }
    }

    #[inline(always)]
    pub fn head(self) -> *mut Head {
        self.part(0)
    }

    /// The pair of 64 granules, by number in the segment.
    #[inline(always)]
    pub fn pair(self, n: usize) -> *mut Pair {
        debug_assert!(n < SEGMENT / 1024);
        self.part(n * size_of::<Pair>())
    }

    /// The gray bits of 64 granules, by number in the segment.
    #[inline(always)]
    pub fn gray(self, n: usize) -> *mut u64 {
        debug_assert!(n < SEGMENT / 1024);
        self.part(GRAY + n * 8)
    }

    #[inline(always)]
    pub fn block_desc(self, block: usize) -> *mut BlockDesc {
        debug_assert!(block < BLOCKS);
        self.part(BLOCK_DESCS + block * size_of::<BlockDesc>())
    }

    /// The descriptor of the run that starts at `page`.
    #[inline(always)]
    pub fn run_desc(self, page: usize) -> *mut RunDesc {
        // SAFETY: the head is mapped.
        unsafe {
            if (*self.head()).room != 0 {
                return &raw mut (*self.head()).own;
            }
        }
        self.part(RUN_DESCS + page / 3 * size_of::<RunDesc>())
    }

    /// The dirty bits of a shared segment.
    pub fn shared_dirty(self) -> *mut u64 {
        self.part(DIRTY)
    }

    /// The address `offset` bytes on.
    ///
    /// # Safety
    /// It lies in the mapping.
    #[inline(always)]
    pub unsafe fn data(self, offset: usize) -> NonNull<u8> {
        // SAFETY: by the caller.
        unsafe { self.0.add(offset) }
    }

    /// The metadata page (as a bit) with the dirty bits of a page.
    pub fn dirty_meta(page: usize) -> u64 {
        1 << ((DIRTY + page * PAGE_WORDS * 8) / PAGE)
    }

    /// The metadata pages of a block (as bits): its pairs, its descriptor, its gray bits, and those of its dirty bits if it has any.
    pub fn block_meta(block: usize, dirty: bool) -> u64 {
        (if dirty { Segment::dirty_meta(block * BLOCK_PAGES) } else { 0 })
            | 1 << (block * BLOCK_PAIRS * size_of::<Pair>() / PAGE)
            | 1 << (BLOCK_DESCS / PAGE)
            | 1 << ((GRAY + block * BLOCK_PAIRS * 8) / PAGE)
    }

    /// The metadata pages of a run of so many pages: its pair, its descriptor, its dirty bits.
    pub fn run_meta(page: usize, pages: usize) -> u64 {
        1 << (page * PAGE / 1024 * size_of::<Pair>() / PAGE)
            | 1 << ((RUN_DESCS + page / 3 * size_of::<RunDesc>()) / PAGE)
            | Segment::dirty_meta(page)
            | Segment::dirty_meta(page + pages - 1)
    }
}

/// The bits of a cell: its pair and its mask.
///
/// # Safety
/// As for [`Segment::of`].
#[inline(always)]
pub unsafe fn bits_of(cell: NonNull<u8>) -> (*mut Pair, u64) {
    // SAFETY: by the caller.
    let segment = unsafe { Segment::of(cell) };
    let offset = cell.as_ptr().addr() & (SEGMENT - 1);
    (segment.pair(offset >> 10), 1 << (offset >> 4 & 63))
}

/// Byte `block` of a bitmap of pages: the eight pages of a block.
#[inline(always)]
pub fn block_byte(bitmap: &[u64; PAGES / 64], block: usize) -> u8 {
    (bitmap[block / 8] >> (block % 8 * 8)) as u8
}

/// Identifies a block or a run: segment index, then block number, or `BLOCKS` + start page / 3.
pub const IDS: usize = 512;

#[inline(always)]
pub fn block_id(segment_index: u32, block: usize) -> u32 {
    segment_index * IDS as u32 + block as u32
}

#[inline(always)]
pub fn run_id(segment_index: u32, page: usize) -> u32 {
    segment_index * IDS as u32 + (BLOCKS + page / 3) as u32
}
