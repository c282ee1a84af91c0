//! The strings of a chunk (names and literals), each held once and known by a number.

use super::error::{Fallible, SyntaxError};
use crate::discard::discard;
use foldhash::fast::RandomState;
use indexmap::IndexMap;
use indexmap::map::raw_entry_v1::{RawEntryApiV1, RawEntryMut};
use std::hash::{BuildHasher, Hasher};

/// The number of a string in its chunk's `Strings`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct StrId(pub u32);

/// All strings of one chunk.
#[derive(Default, Debug)]
pub struct Strings {
    /// Hashed by [`Strings::hash`], not by the map's own means.
    set: IndexMap<Box<[u8]>, (), RandomState>,
    /// Of all strings.
    len: usize,
}

/// What a string needs beside its bytes: pointer, length and hash, its place in the index, the head of its block.
const STRING_HEAD: usize = 56;

impl Strings {
    /// `go_on` is asked now and then if it is a long string.
    pub fn intern(&mut self, bytes: &[u8], go_on: &mut dyn FnMut() -> bool) -> Fallible<StrId> {
        let hash = self.hash(bytes, go_on)?;
        let mut stopped = None;
        #[expect(clippy::borrowed_box, reason = "that is what the map holds")]
        let same = |string: &Box<[u8]>| {
            let mut pieces = string.chunks(PIECE).zip(bytes.chunks(PIECE));
            string.len() == bytes.len()
                && pieces.all(|(a, b)| {
                    stopped = stopped.take().or(ask(bytes, go_on).err());
                    stopped.is_none() && a == b
                })
        };
        let index = self.set.raw_entry_v1().index_from_hash(hash, same);
        if let Some(stopped) = stopped {
            return Err(stopped);
        }
        if let Some(index) = index {
            return Ok(StrId(index as u32));
        }
        self.set.try_reserve(1).map_err(|_| SyntaxError::out_of_memory())?;
        let string = boxed(bytes, go_on)?;
        self.len += bytes.len();
        let index = self.set.len();
        if let RawEntryMut::Vacant(entry) = self.set.raw_entry_mut_v1().from_hash(hash, |_| false) {
            entry.insert_hashed_nocheck(hash, string, ());
        }
        Ok(StrId(index as u32))
    }

    fn hash(&self, bytes: &[u8], go_on: &mut dyn FnMut() -> bool) -> Fallible<u64> {
        let mut hasher = self.set.hasher().build_hasher();
        for piece in bytes.chunks(PIECE) {
            ask(bytes, go_on)?;
            hasher.write(piece);
        }
        Ok(hasher.finish())
    }

    /// About as many bytes as they take.
    pub fn bytes(&self) -> usize {
        self.len + self.set.len() * STRING_HEAD
    }

    pub fn count(&self) -> usize {
        self.set.len()
    }

    pub fn get(&self, id: StrId) -> &[u8] {
        self.set.get_index(id.0 as usize).map_or(&[], |(string, ())| string)
    }
}

impl Drop for Strings {
    fn drop(&mut self) {
        discard(self.bytes(), std::mem::take(&mut self.set));
    }
}

/// Bytes that are hashed, compared or copied between two calls of the hook.
const PIECE: usize = 1 << 20;

/// Asks whether to go on with a piece of a text, if it has more than one.
fn ask(text: &[u8], go_on: &mut dyn FnMut() -> bool) -> Fallible<()> {
    if text.len() <= PIECE || go_on() { Ok(()) } else { Err(SyntaxError::stopped()) }
}

/// A copy of a text that a program may have made long.
pub(crate) fn boxed(bytes: &[u8], go_on: &mut dyn FnMut() -> bool) -> Fallible<Box<[u8]>> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(bytes.len()).map_err(|_| SyntaxError::out_of_memory())?;
    for piece in bytes.chunks(PIECE) {
        if let Err(stopped) = ask(bytes, go_on) {
            discard(bytes.len(), copy);
            return Err(stopped);
        }
        copy.extend_from_slice(piece);
    }
    Ok(copy.into_boxed_slice())
}
