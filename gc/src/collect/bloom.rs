//! A Bloom filter over cells, with one hash function: which of them a set has not.
//!
//! A cleaning pass asks of every weak reference whether its object is one of those that the pass is for, and most are not. The header of the object would
//! tell, but stands anywhere in the memory; the filter stays in the cache.
//!
//! Invariants:
//! * **none-is-missed** After [`Bloom::add`] the filter says "perhaps" of the cell until it is emptied; of a cell that was not added it may, too.
//!
//! Imports `object`.

use crate::object::Ref;

/// The bits of a filter, as a power of two.
const BITS_LOG2: u32 = 18;
const WORDS: usize = (1 << BITS_LOG2) / 64;

pub(super) struct Bloom {
    /// Made when the first cell comes.
    words: Option<Box<[u64; WORDS]>>,
    any: bool,
}

impl Bloom {
    pub const fn new() -> Bloom {
        Bloom { words: None, any: false }
    }

    pub fn add(&mut self, cell: Ref) {
        let (word, bit) = place(cell);
        self.words.get_or_insert_with(|| Box::new([0; WORDS]))[word] |= bit;
        self.any = true;
    }

    /// Whether the cell may have been added.
    #[inline(always)]
    pub fn may_have(&self, cell: Ref) -> bool {
        let (word, bit) = place(cell);
        self.words.as_ref().is_some_and(|words| words[word] & bit != 0)
    }

    pub fn empty(&mut self) {
        if let Some(words) = &mut self.words
            && std::mem::take(&mut self.any)
        {
            words.fill(0);
        }
    }
}

#[inline(always)]
fn place(cell: Ref) -> (usize, u64) {
    let hash = ((cell.addr() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - BITS_LOG2)) as usize;
    (hash / 64, 1 << (hash % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_is_missed_and_most_others_are_told_apart() {
        // SAFETY: addresses that are never looked at.
        let cell = |n: usize| unsafe { Ref::from_addr(n * 48 + (1 << 30)) };
        let mut bloom = Bloom::new();
        assert!(!bloom.may_have(cell(0)));
        for round in 0..2 {
            let added = |n: usize| n % 8 == round;
            (0..100_000).filter(|&n| added(n)).for_each(|n| bloom.add(cell(n)));
            assert!((0..100_000).filter(|&n| added(n)).all(|n| bloom.may_have(cell(n))));
            let wrong = (0..100_000).filter(|&n| !added(n) && bloom.may_have(cell(n))).count();
            assert!(wrong < 10_000, "{wrong}");
            bloom.empty();
            assert!((0..100_000).all(|n| !bloom.may_have(cell(n))));
        }
    }
}
