//! The one seam to the operating system: address space, and pages given back.
//!
//! Everything is mapped readable, writable and without reserve, so that a page is committed by its first touch and growth
//! inside a mapping needs no system call. What the heap may touch is counted above, by [`super::Memory`], before it is touched.
//!
//! * **mappings-are-aligned** A mapping starts at a multiple of [`SEGMENT`].
//! * **system-calls-only-here** Only this file makes system calls.
//!
//! Imports `rustix`, `segment` (its sizes), `asan`.

use super::asan;
use super::segment::{PAGE, SEGMENT};
use std::ptr::NonNull;

/// The heap's limit is reached, or the operating system has no memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutOfMemory;

impl std::fmt::Display for OutOfMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("not enough memory")
    }
}

impl std::error::Error for OutOfMemory {}

/// Faults for tests: which requests to the operating system are refused, counted from 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Faults {
    None,
    /// This one alone.
    At(usize),
    /// This one and all after it.
    From(usize),
}

/// The operating system, with a switch that makes it fail.
pub struct Os {
    faults: Faults,
    page_bytes: usize,
}

impl Os {
    pub fn new() -> Os {
        Os { faults: Faults::None, page_bytes: system::page_bytes() }
    }

    /// Counts requests anew; says what was left of the faults asked for before.
    pub fn inject(&mut self, faults: Faults) -> Faults {
        std::mem::replace(&mut self.faults, faults)
    }

    /// Asks whether one more request (a mapping, or the commitment of pages inside one) is granted.
    pub fn request(&mut self) -> Result<(), OutOfMemory> {
        self.faults = match self.faults {
            Faults::None => return Ok(()),
            Faults::At(0) => {
                self.faults = Faults::None;
                return Err(OutOfMemory);
            }
            Faults::From(0) => return Err(OutOfMemory),
            Faults::At(n) => Faults::At(n - 1),
            Faults::From(n) => Faults::From(n - 1),
        };
        Ok(())
    }

    /// Maps `len` bytes (a multiple of [`PAGE`]) at a multiple of [`SEGMENT`] (mappings-are-aligned). `small_pages` keeps huge pages away.
    pub fn map(&mut self, len: usize, small_pages: bool) -> Result<NonNull<u8>, OutOfMemory> {
        self.request()?;
        let len = len.checked_next_multiple_of(self.page_bytes).ok_or(OutOfMemory)?;
        system::map(len, small_pages)
    }

    /// Gives a whole mapping back.
    ///
    /// # Safety
    /// `start` and `len` are those of an earlier [`Os::map`], and nothing will use it again.
    pub unsafe fn unmap(&mut self, start: NonNull<u8>, len: usize) {
        // SAFETY: by the caller; the length is rounded as it was then.
        unsafe { system::unmap(start, len.next_multiple_of(self.page_bytes)) };
    }

    /// Gives the pages of a range back; they read as zero when touched again. `false`: they stay as they are.
    ///
    /// # Safety
    /// The range lies in one mapping and its contents are not needed.
    pub unsafe fn decommit(&mut self, start: NonNull<u8>, len: usize) -> bool {
        debug_assert!(start.as_ptr().addr().is_multiple_of(PAGE) && len.is_multiple_of(PAGE));
        if self.page_bytes != PAGE {
            return false;
        }
        asan::unpoison(start, len);
        // SAFETY: by the caller.
        unsafe { system::decommit(start, len) }
    }
}

#[cfg(not(miri))]
mod system {
    use super::{OutOfMemory, SEGMENT};
    use rustix::mm::{self, Advice, MapFlags, ProtFlags};
    use std::ptr::{NonNull, null_mut};

    pub fn page_bytes() -> usize {
        rustix::param::page_size()
    }

    pub fn map(len: usize, small_pages: bool) -> Result<NonNull<u8>, OutOfMemory> {
        let span = len.checked_add(SEGMENT).ok_or(OutOfMemory)?;
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: a fresh anonymous mapping at an address of the system's choice disturbs nothing.
        let raw = unsafe { mm::mmap_anonymous(null_mut(), span, ProtFlags::READ | ProtFlags::WRITE, flags) };
        let raw = raw.map_err(|_| OutOfMemory)?.cast::<u8>();
        let lead = raw.align_offset(SEGMENT);
        // SAFETY: lead < SEGMENT and lead + len <= span: all addresses lie in the mapping just made, of which only the middle is kept.
        unsafe {
            if lead > 0 {
                let _ = mm::munmap(raw.cast(), lead);
            }
            let start = raw.add(lead);
            let tail = span - lead - len;
            if tail > 0 {
                let _ = mm::munmap(start.add(len).cast(), tail);
            }
            if small_pages {
                let _ = mm::madvise(start.cast(), len, Advice::LinuxNoHugepage);
            }
            NonNull::new(start).ok_or(OutOfMemory)
        }
    }

    pub unsafe fn unmap(start: NonNull<u8>, len: usize) {
        // SAFETY: by the caller. A failure leaves the mapping in place, which harms nobody.
        let _ = unsafe { mm::munmap(start.as_ptr().cast(), len) };
    }

    pub unsafe fn decommit(start: NonNull<u8>, len: usize) -> bool {
        // SAFETY: by the caller.
        unsafe { mm::madvise(start.as_ptr().cast(), len, Advice::LinuxDontNeed) }.is_ok()
    }
}

/// Miri knows no mappings: the host's allocator stands in for them.
#[cfg(miri)]
mod system {
    use super::{OutOfMemory, PAGE, SEGMENT};
    use std::alloc::{Layout, alloc_zeroed, dealloc};
    use std::ptr::NonNull;

    pub fn page_bytes() -> usize {
        PAGE
    }

    pub fn map(len: usize, _small_pages: bool) -> Result<NonNull<u8>, OutOfMemory> {
        let layout = Layout::from_size_align(len, SEGMENT).map_err(|_| OutOfMemory)?;
        // SAFETY: nobody maps nothing.
        NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or(OutOfMemory)
    }

    pub unsafe fn unmap(start: NonNull<u8>, len: usize) {
        // SAFETY: by the caller, `map` has made this of the same layout, which was valid.
        unsafe { dealloc(start.as_ptr(), Layout::from_size_align_unchecked(len, SEGMENT)) };
    }

    pub unsafe fn decommit(start: NonNull<u8>, len: usize) -> bool {
        // SAFETY: by the caller.
        unsafe { start.write_bytes(0, len) };
        true
    }
}
