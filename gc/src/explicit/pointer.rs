//! Pointers into checked blocks: an address, and the block that it was made for. Such a pair is what a capability of CHERI is (Watson et al. 2015): it can be
//! moved about, stored in memory and read back, and every use is checked against the block that it belongs to, so that what would be a dangling or a wild
//! pointer is an error that names the block.
//!
//! * **pointers-are-checked** A pointer says which block it may be used for, and proves nothing: its bytes may be made up. Each use looks the block up.
//!
//! Imports `checked`, `records`, `report`.

use super::checked::CheckedBlocks;
use super::records::END;
use super::report::{BlockId, Offence, Report, Site};

/// An address in a checked block, or null.
///
/// Two pointers are equal if their addresses are.
#[derive(Clone, Copy, Debug)]
pub struct Pointer {
    address: usize,
    id: BlockId,
}

impl Pointer {
    /// The bytes that one takes in memory.
    pub const SIZE: usize = 16;

    /// Points nowhere: all its bytes are 0.
    pub const NULL: Pointer = Pointer { address: 0, id: BlockId { index: 0, generation: 0 } };

    /// A pointer to what is no block of the heap: the embedder's own affair, which it tells by a tag. As one to a block it is dangling.
    pub fn foreign(address: usize, tag: u32) -> Pointer {
        Pointer { address, id: BlockId { index: END, generation: tag } }
    }
    /// The tag of such a pointer.
    pub fn foreign_tag(self) -> Option<u32> {
        (self.id.index == END).then_some(self.id.generation)
    }

    pub fn is_null(self) -> bool {
        self.address == 0
    }
    pub fn address(self) -> usize {
        self.address
    }
    /// The block that it was made for.
    pub fn block(self) -> BlockId {
        self.id
    }
    /// Moved by so many bytes: within its block, or beyond. Null stays null.
    pub fn advanced(self, by: i64) -> Pointer {
        if self.is_null() { self } else { Pointer { address: self.address.wrapping_add_signed(by as isize), ..self } }
    }

    /// As it stands in memory: the address, and the name of the block, in the machine's byte order.
    pub fn to_bytes(self) -> [u8; Pointer::SIZE] {
        let mut bytes = [0; Pointer::SIZE];
        bytes[..8].copy_from_slice(&(self.address as u64).to_ne_bytes());
        bytes[8..12].copy_from_slice(&self.id.index.to_ne_bytes());
        bytes[12..].copy_from_slice(&self.id.generation.to_ne_bytes());
        bytes
    }
    /// What stands in memory, whether a pointer was written there or not.
    pub fn from_bytes(bytes: [u8; Pointer::SIZE]) -> Pointer {
        let word = |at: usize| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let [a, b, c, d, e, f, g, h, ..] = bytes;
        let address = u64::from_ne_bytes([a, b, c, d, e, f, g, h]) as usize;
        Pointer { address, id: BlockId { index: word(8), generation: word(12) } }
    }
}

impl PartialEq for Pointer {
    fn eq(&self, other: &Pointer) -> bool {
        self.address == other.address
    }
}

impl Eq for Pointer {}

impl CheckedBlocks<'_> {
    /// A pointer to the byte at an offset of a live block, or behind its last one. From now on the block lives until it is freed, also if its id is forgotten.
    pub fn pointer(&mut self, id: BlockId, offset: i64) -> Result<Pointer, Report> {
        let start = self.expose(id, offset)?;
        Ok(Pointer { address: start.wrapping_add_signed(offset as isize), id })
    }

    /// The block of a pointer, and the offset in it, which may lie outside. If the block has been freed, or has moved since (then the cell that it
    /// had was freed), that is a use after free.
    pub fn resolve(&self, pointer: Pointer) -> Result<(BlockId, i64), Report> {
        if pointer.is_null() {
            return Err(Report { offence: Offence::Null, block: None });
        }
        let start = self.address(pointer.id)?.as_ptr().addr();
        let offset = (pointer.address as i64).wrapping_sub(start as i64);
        if !(0..=self.size(pointer.id)? as i64).contains(&offset)
            && let Some(report) = self.moved_away(pointer.address)
        {
            return Err(report);
        }
        Ok((pointer.id, offset))
    }

    /// Frees the block that a pointer points to the start of. Null is left alone.
    pub fn free_pointer(&mut self, pointer: Pointer, site: Site) -> Result<(), Report> {
        if pointer.is_null() {
            return Ok(());
        }
        match self.resolve(pointer) {
            Ok((id, 0)) => self.free(id, site),
            Ok((id, offset)) => Err(Report { offence: Offence::InvalidFree(offset), block: self.info(id) }),
            Err(Report { block, .. }) => Err(Report { offence: Offence::DoubleFree, block }),
        }
    }
}
