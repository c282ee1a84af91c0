//! What reading and verifying a chunk may take: memory on somebody's account, and time until somebody asks for the end.
//!
//! Imports `discard`.

use crate::discard::discard;

/// Why it came to nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The chunk is not sound; the message says how.
    Unsound(String),
    /// There is no memory for it.
    Memory,
    /// It was interrupted.
    Interrupted,
}

impl From<String> for Refusal {
    fn from(what: String) -> Refusal {
        Refusal::Unsound(what)
    }
}

impl From<&str> for Refusal {
    fn from(what: &str) -> Refusal {
        Refusal::Unsound(what.into())
    }
}

/// Units of work between two looks at whether to go on.
const SLICE: usize = 8192;

/// Items that are copied at once, and what part of a unit the work with one is.
const PIECE: usize = 1 << 16;
const PIECE_PART: usize = 16;

/// An account of memory and work.
pub struct Budget<'a> {
    room: usize,
    left: usize,
    /// `None`: nobody will ask for the end.
    go_on: Option<&'a mut dyn FnMut() -> bool>,
}

impl Budget<'_> {
    pub fn unlimited() -> Budget<'static> {
        Budget { room: usize::MAX, left: SLICE, go_on: None }
    }

    /// So many bytes. `go_on` is asked now and then; `false` is the end.
    pub fn new(room: usize, go_on: &mut dyn FnMut() -> bool) -> Budget<'_> {
        Budget { room, left: SLICE, go_on: Some(go_on) }
    }

    /// Some work is about to be done.
    #[inline]
    pub fn work(&mut self, units: usize) -> Result<(), Refusal> {
        match self.left.checked_sub(units) {
            Some(left) => self.left = left,
            None => {
                self.left = SLICE;
                if self.go_on.as_mut().is_some_and(|go_on| !go_on()) {
                    return Err(Refusal::Interrupted);
                }
            }
        }
        Ok(())
    }

    /// Takes memory that the host will be asked for.
    pub fn take(&mut self, bytes: usize) -> Result<(), Refusal> {
        self.room = self.room.checked_sub(bytes).ok_or(Refusal::Memory)?;
        Ok(())
    }

    /// What had been taken is free again.
    pub fn give_back(&mut self, bytes: usize) {
        self.room = self.room.saturating_add(bytes);
    }

    /// An empty list with room for so many items.
    pub fn list<T>(&mut self, count: usize) -> Result<Vec<T>, Refusal> {
        self.take(count.saturating_mul(size_of::<T>()))?;
        let mut list = Vec::new();
        list.try_reserve_exact(count).map_err(|_| Refusal::Memory)?;
        Ok(list)
    }

    /// A list of so many equal items.
    pub fn filled<T: Clone>(&mut self, item: T, count: usize) -> Result<Vec<T>, Refusal> {
        let mut list = self.list(count)?;
        while list.len() < count {
            self.work(SLICE)?;
            list.resize(count.min(list.len() + PIECE), item.clone());
        }
        Ok(list)
    }

    /// A copy of some items.
    pub fn copy<T: Copy + Send + 'static>(&mut self, items: &[T]) -> Result<Vec<T>, Refusal> {
        let mut list = self.list(items.len())?;
        for piece in items.chunks(PIECE) {
            if let Err(refusal) = self.work(piece.len() / PIECE_PART) {
                discard(size_of_val(items), list);
                return Err(refusal);
            }
            list.extend_from_slice(piece);
        }
        Ok(list)
    }

    /// A text of its own. (Its block is as long as the text, so that nothing is moved.)
    pub fn text(&mut self, text: &[u8]) -> Result<Box<[u8]>, Refusal> {
        self.copy(text).map(Vec::into_boxed_slice)
    }
}
