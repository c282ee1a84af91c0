//! The records of the checked blocks, in explicit blocks of the heap themselves: chunks that never move, and a directory of them.
//!
//! * **records-are-initialised** `directory` has room for `room` chunks; the first `len.div_ceil(CHUNK)` are allocated, and their first `len` records
//!   initialised.
//! * **one-list-a-record** A record is in at most one list: `next` of a vacant one leads on in the list of the vacant, of a freed one in the quarantine.
//!
//! Imports `explicit`, `memory`.

use super::Explicit;
use super::report::Site;
use crate::memory::{Memory, OutOfMemory};
use std::ops::{Index, IndexMut};
use std::ptr::NonNull;

/// Records of a chunk.
const CHUNK: usize = 64;
/// The end of a list.
pub(super) const END: u32 = u32::MAX;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    Vacant,
    Live,
    Freed,
}

/// What is known of a block.
pub(super) struct Record {
    pub start: Option<NonNull<u8>>,
    pub size: usize,
    pub generation: u32,
    pub allocated: Site,
    pub freed: Site,
    /// The following record of its list.
    pub next: u32,
    pub life: Life,
    /// Somebody holds the id.
    pub held: bool,
    /// Pointers may name the block: it lives on when nobody holds the id.
    pub exposed: bool,
    /// The block has a map (only-written-bytes-leave).
    pub mapped: bool,
}

/// All records, by index. Nothing is given back before the heap goes.
pub(super) struct Records {
    directory: Option<NonNull<NonNull<Record>>>,
    room: usize,
    len: usize,
}

impl Records {
    pub const fn new() -> Records {
        Records { directory: None, room: 0, len: 0 }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn get(&self, index: usize) -> Option<&Record> {
        (index < self.len).then(|| &self[index])
    }

    pub fn iter(&self) -> impl Iterator<Item = &Record> {
        (0..self.len).map(|index| &self[index])
    }

    fn at(&self, index: usize) -> *mut Record {
        assert!(index < self.len, "a record of index {index}, of {}", self.len);
        match self.directory {
            // SAFETY: records-are-initialised.
            Some(directory) => unsafe { directory.add(index / CHUNK).read().add(index % CHUNK).as_ptr() },
            None => unreachable!("a record without a directory"),
        }
    }

    /// Appends a record; its index is what `len` was.
    pub fn push(&mut self, memory: &mut Memory, explicit: &mut Explicit, record: Record) -> Result<(), OutOfMemory> {
        if self.len.is_multiple_of(CHUNK) {
            self.add_chunk(memory, explicit)?;
        }
        self.len += 1;
        // SAFETY: records-are-initialised: its chunk is there.
        unsafe { self.at(self.len - 1).write(record) };
        Ok(())
    }

    fn add_chunk(&mut self, memory: &mut Memory, explicit: &mut Explicit) -> Result<(), OutOfMemory> {
        let chunks = self.len / CHUNK;
        if chunks == self.room {
            let room = (self.room * 2).max(CHUNK);
            let bytes = room * size_of::<NonNull<Record>>();
            let directory = match self.directory {
                // SAFETY: the table's own block.
                Some(old) => unsafe { explicit.realloc(memory, old.cast(), bytes)? },
                None => explicit.malloc(memory, bytes)?,
            };
            (self.directory, self.room) = (Some(directory.cast()), room);
        }
        let chunk = explicit.malloc(memory, CHUNK * size_of::<Record>())?.cast::<Record>();
        if let Some(directory) = self.directory {
            // SAFETY: `chunks < room`.
            unsafe { directory.add(chunks).write(chunk) };
        }
        Ok(())
    }

    /// The bytes of the chunks and their directory.
    #[cfg(test)]
    pub fn bytes(&self, memory: &Memory, explicit: &Explicit) -> usize {
        let Some(directory) = self.directory else { return 0 };
        // SAFETY: records-are-initialised.
        unsafe {
            let chunks = (0..self.len.div_ceil(CHUNK)).map(|at| explicit.usable_size(memory, directory.add(at).read().cast()));
            explicit.usable_size(memory, directory.cast()) + chunks.sum::<usize>()
        }
    }

    /// Two different records.
    pub fn two(&mut self, a: u32, b: u32) -> (&Record, &mut Record) {
        assert_ne!(a, b);
        // SAFETY: records-are-initialised; they are not the same.
        unsafe { (&*self.at(a as usize), &mut *self.at(b as usize)) }
    }
}

impl Index<usize> for Records {
    type Output = Record;
    fn index(&self, index: usize) -> &Record {
        // SAFETY: records-are-initialised.
        unsafe { &*self.at(index) }
    }
}

impl IndexMut<usize> for Records {
    fn index_mut(&mut self, index: usize) -> &mut Record {
        // SAFETY: records-are-initialised.
        unsafe { &mut *self.at(index) }
    }
}
