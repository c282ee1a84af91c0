//! The break region: one range of memory whose end, the *break*, moves up and down, as `brk` and `sbrk` of Unix move that of the data segment.
//!
//! ```
//! use neap_gc::explicit::BreakRegion;
//!
//! let mut region = BreakRegion::new()?;
//! assert_eq!(region.sbrk(100)?, 0);
//! region.write(96, b"here")?;
//! assert_eq!(region.sbrk(-50)?, 100);
//! assert!(region.read(96, &mut [0; 4]).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//! The addresses are reserved once, so that the region never moves; what lies behind the break can't be touched, and its pages are the system's. What comes
//! to lie before it is zeros.
//!
//! * **zeros-behind-the-break** The bytes from the break to the end of its page are zeros, and all further pages are given back.
//!
//! Imports `mapping`.

use super::mapping::{MapError, Mapping};
use std::io;

/// The addresses that are reserved: the region can't grow beyond.
pub const BREAK_BYTES: usize = 64 << 30;

/// See the module.
#[derive(Debug)]
pub struct BreakRegion {
    mapping: Mapping,
    at: usize,
}

impl BreakRegion {
    /// An empty region.
    pub fn new() -> io::Result<BreakRegion> {
        Ok(BreakRegion { mapping: Mapping::reserved(BREAK_BYTES)?, at: 0 })
    }

    /// The break: the bytes of the region.
    pub fn len(&self) -> usize {
        self.at
    }
    pub fn is_empty(&self) -> bool {
        self.at == 0
    }
    /// Where the region begins in the address space.
    pub fn address(&self) -> usize {
        self.mapping.range().start
    }

    /// Moves the break to `to` bytes behind the start.
    ///
    /// # Errors
    /// The system has no memory, or the region no more room; nothing has changed.
    pub fn brk(&mut self, to: usize) -> io::Result<()> {
        if to > BREAK_BYTES {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        if to > self.at {
            self.mapping.open(self.at, to - self.at)?;
        } else {
            self.mapping.close(to, self.at - to)?;
        }
        self.at = to;
        Ok(())
    }

    /// Moves the break by so many bytes, and returns where it was.
    ///
    /// # Errors
    /// As for [`brk`](Self::brk); or it would lie before the start.
    pub fn sbrk(&mut self, by: i64) -> io::Result<usize> {
        let before = self.at;
        let to = i64::try_from(before).ok().and_then(|at| at.checked_add(by)).and_then(|to| usize::try_from(to).ok());
        self.brk(to.ok_or(io::ErrorKind::InvalidInput)?)?;
        Ok(before)
    }

    /// Whether a range lies before the break.
    pub fn check(&self, offset: usize, len: usize) -> Result<(), MapError> {
        if offset <= self.at && len <= self.at - offset { Ok(()) } else { Err(MapError::OutOfBounds) }
    }
    pub fn read(&self, offset: usize, into: &mut [u8]) -> Result<(), MapError> {
        self.check(offset, into.len())?;
        self.mapping.read(offset, into)
    }
    pub fn write(&mut self, offset: usize, bytes: &[u8]) -> Result<(), MapError> {
        self.check(offset, bytes.len())?;
        self.mapping.write(offset, bytes)
    }
}
