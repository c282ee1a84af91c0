//! Mappings: files, shared and private memory in the address space, read and written with checks.
//!
//! ```
//! use neap_gc::explicit::{Mapping, Protection};
//!
//! let mut mapping = Mapping::anonymous(10_000, false)?;
//! mapping.write(9_996, &7u32.to_ne_bytes())?;
//! let mut bytes = [0; 4];
//! mapping.read(9_996, &mut bytes)?;
//! assert_eq!(u32::from_ne_bytes(bytes), 7);
//! assert!(mapping.read(9_997, &mut bytes).is_err());
//! mapping.protect(Protection::Read)?;
//! assert!(mapping.write(0, b"no").is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//! Other processes, and other mappings of the same file, may change shared bytes at any time: reads copy, and nothing refers to the memory itself. Where the
//! file behind a mapping has been cut short, an access is an error (see `fault`); the handler of SIGBUS that this takes is installed by the first access.
//!
//! * **mapped-while-it-lives** `start..start + len`, rounded up to whole pages, is mapped and nobody else's.
//!
//! Imports `fault`, `rustix`, `libc`.

use super::fault;
use rustix::mm::{self, MapFlags, MprotectFlags, MremapFlags, MsyncFlags, ProtFlags};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::ptr::{NonNull, null_mut};

/// What may be done with the bytes of a mapping.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protection {
    None,
    Read,
    ReadWrite,
}

/// What is going to happen with a mapping, or should.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Advice {
    Normal,
    /// It is read in no order: nothing is read ahead.
    Random,
    Sequential,
    /// It is needed soon: it is read now.
    WillNeed,
    /// It is not needed any more: private bytes become zeros, or what the file has.
    DontNeed,
    /// Its pages are written out, and their memory given back.
    PageOut,
    HugePages,
    NoHugePages,
}

/// Why an access has not been made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MapError {
    OutOfBounds,
    /// The mapping is protected from it.
    Protected,
    /// The file has been cut short: there is nothing from this offset on.
    CutShort(usize),
}

impl std::fmt::Display for MapError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            MapError::OutOfBounds => f.write_str("out of bounds of the mapping"),
            MapError::Protected => f.write_str("the mapping is protected"),
            MapError::CutShort(at) => write!(f, "the file behind the mapping ends before offset {at}"),
        }
    }
}

impl std::error::Error for MapError {}

/// A range of the address space with a file behind it, or nothing. It is unmapped when it is dropped.
#[derive(Debug)]
pub struct Mapping {
    start: NonNull<u8>,
    len: usize,
    protection: Protection,
    shared: bool,
    /// The file, and where in it the mapping begins.
    file: Option<(File, u64)>,
}

// SAFETY: it owns its range.
unsafe impl Send for Mapping {}

fn flags_of(protection: Protection) -> ProtFlags {
    match protection {
        Protection::None => ProtFlags::empty(),
        Protection::Read => ProtFlags::READ,
        Protection::ReadWrite => ProtFlags::READ | ProtFlags::WRITE,
    }
}

impl Mapping {
    /// `len` bytes of zeros. A shared one is shared with the processes that are forked from this one.
    ///
    /// # Errors
    /// What the system says: no memory, or a length of 0.
    pub fn anonymous(len: usize, shared: bool) -> io::Result<Mapping> {
        Mapping::new(len, Protection::ReadWrite, shared, None)
    }

    /// `len` bytes of a file from an offset on, a multiple of the page size. What is written to a shared mapping goes to the file, and is seen by all who have it
    /// mapped or read it; that of a private one is seen by nobody else. There is nothing behind the end of the file but the rest of its last page.
    ///
    /// # Errors
    /// What the system says: a file that is not open for what the protection asks for, an odd offset, a length of 0.
    pub fn of_file(file: File, offset: u64, len: usize, protection: Protection, shared: bool) -> io::Result<Mapping> {
        Mapping::new(len, protection, shared, Some((file, offset)))
    }

    fn new(len: usize, protection: Protection, shared: bool, file: Option<(File, u64)>) -> io::Result<Mapping> {
        let flags = if shared { MapFlags::SHARED } else { MapFlags::PRIVATE };
        // SAFETY: a new mapping at an address of the system's choice disturbs nothing.
        let start = unsafe {
            match &file {
                Some((file, offset)) => mm::mmap(null_mut(), len, flags_of(protection), flags, file, *offset)?,
                None => mm::mmap_anonymous(null_mut(), len, flags_of(protection), flags)?,
            }
        };
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Mapping { start, len, protection, shared, file })
    }

    /// Addresses without memory, for a region that grows: [`open`](Self::open) and [`close`](Self::close) say what of it there is.
    pub(super) fn reserved(len: usize) -> io::Result<Mapping> {
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: as above.
        let start = unsafe { mm::mmap_anonymous(null_mut(), len, ProtFlags::empty(), flags)? };
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        // Who opens it knows what of it is open.
        Ok(Mapping { start, len, protection: Protection::ReadWrite, shared: false, file: None })
    }
    /// Makes a range of a reserved mapping usable, with the rest of its last page.
    pub(super) fn open(&mut self, offset: usize, len: usize) -> io::Result<()> {
        let (start, len) = self.pages(offset, len)?;
        // SAFETY: mapped-while-it-lives.
        unsafe { mm::mprotect(start, len, MprotectFlags::READ | MprotectFlags::WRITE)? };
        Ok(())
    }
    /// Gives the pages of a range back that begin in it; what it has of the page before becomes zeros.
    pub(super) fn close(&mut self, offset: usize, len: usize) -> io::Result<()> {
        let page = rustix::param::page_size();
        let (end, whole) = (offset + len, offset.next_multiple_of(page));
        // SAFETY: mapped-while-it-lives; what was open is written or given back.
        unsafe {
            if let Some((start, len)) = (whole < end).then(|| self.pages(whole, end - whole)).transpose()? {
                mm::madvise(start, len, mm::Advice::LinuxDontNeed)?;
                mm::mprotect(start, len, MprotectFlags::empty())?;
            }
            self.start.add(offset).write_bytes(0, end.min(whole) - offset);
        }
        Ok(())
    }

    pub fn len(&self) -> usize {
        self.len
    }
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
    pub fn protection(&self) -> Protection {
        self.protection
    }
    pub fn is_shared(&self) -> bool {
        self.shared
    }
    pub fn has_file(&self) -> bool {
        self.file.is_some()
    }
    /// Where it lies in the address space.
    pub fn range(&self) -> Range<usize> {
        let start = self.start.as_ptr().addr();
        start..start + self.len
    }

    /// Whether a range lies in the mapping and may be read, or written.
    pub fn check(&self, offset: usize, len: usize, writes: bool) -> Result<(), MapError> {
        let allowed = if writes { self.protection == Protection::ReadWrite } else { self.protection != Protection::None };
        match (offset <= self.len && len <= self.len - offset, allowed) {
            (false, _) => Err(MapError::OutOfBounds),
            (true, false) => Err(MapError::Protected),
            (true, true) => Ok(()),
        }
    }

    /// Copies the bytes from an offset on.
    pub fn read(&self, offset: usize, into: &mut [u8]) -> Result<(), MapError> {
        self.check(offset, into.len(), false)?;
        // SAFETY: mapped-while-it-lives, the range was checked, and nobody has a reference to mapped bytes.
        let done = unsafe { fault::copy(&self.range(), self.start.add(offset).as_ptr(), into.as_mut_ptr(), into.len()) };
        done.map_err(|missing| self.mend(missing))
    }

    /// Copies bytes to an offset.
    pub fn write(&mut self, offset: usize, bytes: &[u8]) -> Result<(), MapError> {
        self.check(offset, bytes.len(), true)?;
        // SAFETY: as above.
        let done = unsafe { fault::copy(&self.range(), bytes.as_ptr(), self.start.add(offset).as_ptr(), bytes.len()) };
        done.map_err(|missing| self.mend(missing))
    }

    /// Puts the file where the handler of faults has put empty pages.
    #[cold]
    fn mend(&self, missing: fault::Missing) -> MapError {
        let at = missing.start.saturating_sub(self.start.as_ptr().addr());
        if let Some((file, offset)) = &self.file {
            let flags = MapFlags::FIXED | if self.shared { MapFlags::SHARED } else { MapFlags::PRIVATE };
            let (address, place) = (missing.start as *mut _, offset + at as u64);
            // SAFETY: pages of this mapping, which become what they were. If the system refuses, they stay empty ones of it.
            let _ = unsafe { mm::mmap(address, missing.len(), flags_of(self.protection), flags, file, place) };
        }
        MapError::CutShort(at)
    }

    /// The whole pages that have some bytes of a range in them.
    fn pages(&self, offset: usize, len: usize) -> io::Result<(*mut std::ffi::c_void, usize)> {
        let page = rustix::param::page_size();
        let end = offset.checked_add(len).filter(|&end| end <= self.len).ok_or(io::ErrorKind::InvalidInput)?;
        let first = offset / page * page;
        // SAFETY: within the mapping.
        Ok((unsafe { self.start.add(first) }.as_ptr().cast(), (end - first).next_multiple_of(page)))
    }

    /// Writes what has changed in a range to the file: `wait`, and then it is there when this returns, or soon.
    pub fn sync(&self, offset: usize, len: usize, wait: bool) -> io::Result<()> {
        let (start, len) = self.pages(offset, len)?;
        // SAFETY: mapped-while-it-lives.
        unsafe { mm::msync(start, len, if wait { MsyncFlags::SYNC } else { MsyncFlags::ASYNC })? };
        Ok(())
    }

    pub fn protect(&mut self, protection: Protection) -> io::Result<()> {
        let flags = MprotectFlags::from_bits_retain(flags_of(protection).bits());
        // SAFETY: mapped-while-it-lives; accesses ask for the protection first.
        unsafe { mm::mprotect(self.start.as_ptr().cast(), self.len, flags)? };
        self.protection = protection;
        Ok(())
    }

    pub fn advise(&mut self, offset: usize, len: usize, advice: Advice) -> io::Result<()> {
        let (start, len) = self.pages(offset, len)?;
        let advice = match advice {
            Advice::Normal => mm::Advice::Normal,
            Advice::Random => mm::Advice::Random,
            Advice::Sequential => mm::Advice::Sequential,
            Advice::WillNeed => mm::Advice::WillNeed,
            Advice::DontNeed => mm::Advice::LinuxDontNeed,
            Advice::PageOut => mm::Advice::LinuxPageOut,
            Advice::HugePages => mm::Advice::LinuxHugepage,
            Advice::NoHugePages => mm::Advice::LinuxNoHugepage,
        };
        // SAFETY: mapped-while-it-lives; nothing refers to what may become zeros.
        unsafe { mm::madvise(start, len, advice)? };
        Ok(())
    }

    /// Makes the mapping `len` bytes long, perhaps at another address. If it is shared and can be written, its file becomes as long as it takes.
    pub fn resize(&mut self, len: usize) -> io::Result<()> {
        if len == 0 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let page = rustix::param::page_size();
        let (old, new) = (self.len.next_multiple_of(page), len.checked_next_multiple_of(page).ok_or(io::ErrorKind::OutOfMemory)?);
        let grows_file = self.shared && self.protection == Protection::ReadWrite;
        if let Some((file, offset)) = self.file.as_ref().filter(|_| grows_file) {
            file.set_len(offset.checked_add(len as u64).ok_or(io::ErrorKind::InvalidInput)?)?;
        }
        // SAFETY: mapped-while-it-lives; nothing refers to the old address.
        let start = unsafe { mm::mremap(self.start.as_ptr().cast(), old, new, MremapFlags::MAYMOVE)? };
        self.start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        self.len = len;
        Ok(())
    }

    /// The bytes of the pages that are in memory now.
    pub fn resident_bytes(&self) -> io::Result<usize> {
        let page = rustix::param::page_size();
        let mut resident = 0;
        let mut pages = [0u8; 4096];
        let mut offset = 0;
        while offset < self.len {
            let len = (self.len - offset).min(pages.len() * page);
            // SAFETY: within the mapping; there is a byte for each page.
            let failed = unsafe { libc::mincore(self.start.add(offset).as_ptr().cast(), len, pages.as_mut_ptr()) } != 0;
            if failed {
                return Err(io::Error::last_os_error());
            }
            resident += pages[..len.div_ceil(page)].iter().filter(|&&state| state & 1 != 0).count() * page;
            offset += len;
        }
        Ok(resident)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped-while-it-lives, which it does no longer. If the system refuses, the range stays mapped, and nobody's.
        let _ = unsafe { mm::munmap(self.start.as_ptr().cast(), self.len) };
    }
}
