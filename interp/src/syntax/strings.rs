//! The strings of a chunk (names and literals), each held once and known by a number.

use super::error::{Fallible, SyntaxError};
use foldhash::fast::RandomState;
use indexmap::IndexSet;

/// The number of a string in its chunk's `Strings`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct StrId(pub u32);

/// All strings of one chunk.
#[derive(Default, Debug)]
pub struct Strings {
    set: IndexSet<Box<[u8]>, RandomState>,
    /// Of all strings.
    len: usize,
}

/// What a string needs beside its bytes: pointer, length and hash, its place in the index, the head of its block.
const STRING_HEAD: usize = 56;

impl Strings {
    pub fn intern(&mut self, bytes: &[u8]) -> Fallible<StrId> {
        let index = match self.set.get_index_of(bytes) {
            Some(index) => index,
            None => {
                self.set.try_reserve(1).map_err(|_| SyntaxError::out_of_memory())?;
                let string = boxed(bytes)?;
                self.len += bytes.len();
                self.set.insert_full(string).0
            }
        };
        Ok(StrId(index as u32))
    }

    /// About as many bytes as they take.
    pub fn bytes(&self) -> usize {
        self.len + self.set.len() * STRING_HEAD
    }

    pub fn count(&self) -> usize {
        self.set.len()
    }

    pub fn get(&self, id: StrId) -> &[u8] {
        &self.set[id.0 as usize]
    }
}

/// A copy of a text that a program may have made long.
pub(crate) fn boxed(bytes: &[u8]) -> Fallible<Box<[u8]>> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(bytes.len()).map_err(|_| SyntaxError::out_of_memory())?;
    copy.extend_from_slice(bytes);
    Ok(copy.into_boxed_slice())
}
