//! What checked blocks are accused of: the classic errors of explicit allocation, with the places that belong to them.
//!
//! A place is a number of the embedder's ([`Site`]); it alone can say what stands there. Imports nothing.

use std::fmt;

/// A place of the embedder's program: an index of its own table of places, or whatever fits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Site(pub u32);

impl Site {
    /// No place is known.
    pub const UNKNOWN: Site = Site(u32::MAX);
}

/// The name of a checked block, which never comes to mean another one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct BlockId {
    pub(super) index: u32,
    pub(super) generation: u32,
}

/// What is known of a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlockInfo {
    pub id: BlockId,
    pub size: usize,
    pub allocated: Site,
    /// `None` while the block lives.
    pub freed: Option<Site>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    Read,
    Write,
    /// A pointer is made.
    Point,
}

/// The kind of an error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Offence {
    UseAfterFree,
    DoubleFree,
    /// What was to be freed is not the start of a block, but this offset from one, if it belongs to one.
    InvalidFree(i64),
    OutOfBounds {
        access: Access,
        offset: i64,
        len: usize,
    },
    /// The byte at this offset was read and never written.
    Uninitialised(usize),
    /// The byte at this offset, before or behind the block's own, was overwritten by code that had its address.
    BrokenFence(i64),
    /// The byte at this offset changed after the block was freed.
    WrittenAfterFree(usize),
    Leak,
    /// A null pointer was used.
    Null,
}

/// An error, and the block that it happened to, if one is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Report {
    pub offence: Offence,
    pub block: Option<BlockInfo>,
}

impl Report {
    /// The report as a line of text; `place` says what is to be read for a place.
    pub fn text(&self, place: impl Fn(Site) -> Vec<u8>) -> Vec<u8> {
        if self.offence == Offence::Null {
            return b"null pointer: there is nothing to be used".to_vec();
        }
        let (before, after) = match self.offence {
            Offence::UseAfterFree => ("use after free: ".to_owned(), ""),
            Offence::DoubleFree => ("double free: ".to_owned(), ""),
            Offence::InvalidFree(_) if self.block.is_none() => ("invalid free: not the address of ".to_owned(), ""),
            Offence::InvalidFree(offset) => {
                let side = if offset < 0 { "before" } else { "behind" };
                (format!("invalid free: {} {side} the start of ", bytes(offset.unsigned_abs() as usize)), "")
            }
            Offence::OutOfBounds { access, offset, len } => {
                let what = match access {
                    Access::Read => format!("read of {} at", bytes(len)),
                    Access::Write => format!("write of {} at", bytes(len)),
                    Access::Point => "pointer to".to_owned(),
                };
                (format!("out of bounds: {what} offset {offset} of "), "")
            }
            Offence::Uninitialised(offset) => (format!("uninitialised read: byte {offset} of "), " was never written"),
            Offence::BrokenFence(offset) => (format!("out of bounds: something wrote to offset {offset} of "), ""),
            Offence::WrittenAfterFree(offset) => (format!("use after free: something wrote to offset {offset} of "), ""),
            Offence::Leak => ("leak: ".to_owned(), " was never freed"),
            Offence::Null => Default::default(),
        };
        let mut text = before.into_bytes();
        match &self.block {
            None => text.extend_from_slice(b"a block"),
            Some(block) => {
                text.extend_from_slice(format!("block of {} allocated at ", bytes(block.size)).as_bytes());
                text.extend_from_slice(&place(block.allocated));
                if let Some(freed) = block.freed {
                    text.extend_from_slice(b", freed at ");
                    text.extend_from_slice(&place(freed));
                }
            }
        }
        text.extend_from_slice(after.as_bytes());
        text
    }
}

fn bytes(count: usize) -> String {
    if count == 1 { "1 byte".to_owned() } else { format!("{count} bytes") }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.text(|site| format!("place {}", site.0).into_bytes());
        f.write_str(&String::from_utf8_lossy(&text))
    }
}

impl std::error::Error for Report {}
