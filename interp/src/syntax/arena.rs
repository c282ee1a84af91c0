//! An arena: items known by number, in blocks of a fixed number of them. What has been made stays where it is while the arena grows, so no copy is
//! made, and never are an old and a new one there at once. The first block grows by doubling: most chunks are small.
//!
//! * **N1** All blocks but the last are full, and every one but the first has been asked for as a whole.

use super::error::{Fallible, SyntaxError};

#[derive(Debug)]
pub struct Arena<T> {
    blocks: Vec<Vec<T>>,
    len: u32,
    /// So many items there is room for.
    room: u32,
}

/// What a block has of bytes, at most. Allocators commonly give so much back to the system when it is freed.
const BLOCK_BYTES: usize = 1 << 18;
/// Items that the first block begins with.
const FIRST: usize = 16;

impl<T> Arena<T> {
    const SHIFT: u32 = (BLOCK_BYTES / size_of::<T>()).ilog2();
    const BLOCK: usize = 1 << Self::SHIFT;

    /// Adds an item; gives its number.
    #[inline]
    pub fn push(&mut self, item: T) -> Fallible<u32> {
        if self.len == self.room {
            self.grow()?;
        }
        let number = self.len;
        // N1
        let last = self.blocks.len() - 1;
        self.blocks[last].push(item);
        self.len += 1;
        Ok(number)
    }

    #[cold]
    fn grow(&mut self) -> Fallible<()> {
        let refused = |_| SyntaxError::out_of_memory();
        match &mut self.blocks[..] {
            [first] if first.len() < Self::BLOCK => {
                first.try_reserve_exact(first.len().min(Self::BLOCK - first.len())).map_err(refused)?;
                self.room = (2 * self.len).min(Self::BLOCK as u32);
            }
            blocks => {
                let size = if blocks.is_empty() { FIRST.min(Self::BLOCK) } else { Self::BLOCK };
                let mut block = Vec::new();
                block.try_reserve_exact(size).map_err(refused)?;
                self.blocks.try_reserve(1).map_err(refused)?;
                self.blocks.push(block);
                self.room += size as u32;
            }
        }
        Ok(())
    }

    pub fn len(&self) -> u32 {
        self.len
    }

    /// The bytes of its items.
    pub fn bytes(&self) -> usize {
        self.len as usize * size_of::<T>()
    }
}

impl<T> Default for Arena<T> {
    fn default() -> Arena<T> {
        Arena { blocks: Vec::new(), len: 0, room: 0 }
    }
}

impl<T> std::ops::Index<u32> for Arena<T> {
    type Output = T;
    #[inline]
    fn index(&self, number: u32) -> &T {
        &self.blocks[(number >> Self::SHIFT) as usize][number as usize & (Self::BLOCK - 1)]
    }
}

impl<T> std::ops::IndexMut<u32> for Arena<T> {
    #[inline]
    fn index_mut(&mut self, number: u32) -> &mut T {
        &mut self.blocks[(number >> Self::SHIFT) as usize][number as usize & (Self::BLOCK - 1)]
    }
}

#[cfg(test)]
mod tests {
    use super::Arena;

    #[test]
    fn items_are_found_by_number() {
        let mut arena = Arena::<[u32; 5]>::default();
        for i in 0..10_000 {
            assert_eq!(arena.push([i; 5]).ok(), Some(i));
        }
        arena[9_999][4] = 7;
        assert!((0..9_999).all(|i| arena[i] == [i; 5]));
        assert_eq!((arena[9_999], arena.len(), arena.bytes()), ([9_999, 9_999, 9_999, 9_999, 7], 10_000, 200_000));
        // N1: blocks of 256 KiB at most.
        let capacities: Vec<usize> = arena.blocks.iter().map(Vec::capacity).collect();
        assert_eq!(capacities, [8192, 8192]);
    }
}
