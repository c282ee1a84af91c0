//! Segments by their address, for questions about any address: a hash table with open addressing.
//!
//! * **no-hole-before-an-entry** At least half of the slots are empty, and between an entry and the slot that its address hashes to none is.
//!
//! Imports `segment` (its size), `os` (the error).

use super::os::OutOfMemory;
use super::segment::SEGMENT;

/// An address, and the position of its segment in the table of segments. No segment is at 0: that is an empty slot.
type Slot = (usize, u32);
const EMPTY: Slot = (0, 0);
const SLOTS_MIN: usize = 16;

pub struct Bases {
    /// None, or a power of two.
    slots: Vec<Slot>,
    len: usize,
}

impl Bases {
    pub const fn new() -> Bases {
        Bases { slots: Vec::new(), len: 0 }
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.len
    }

    /// The slot that an address hashes to; there are slots.
    fn home(&self, base: usize) -> usize {
        let hash = (base / SEGMENT).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash >> (usize::BITS - self.slots.len().ilog2())
    }

    /// The slot of an address, or the empty one where it belongs; there are slots.
    fn place(&self, base: usize) -> usize {
        let mut at = self.home(base);
        while self.slots[at].0 != base && self.slots[at] != EMPTY {
            at = (at + 1) & (self.slots.len() - 1);
        }
        at
    }

    /// Makes sure that the next entry has room.
    pub fn reserve(&mut self) -> Result<(), OutOfMemory> {
        if (self.len + 1) * 2 <= self.slots.len() {
            return Ok(());
        }
        let mut slots = Vec::new();
        let len = (self.slots.len() * 2).max(SLOTS_MIN);
        slots.try_reserve_exact(len).map_err(|_| OutOfMemory)?;
        slots.resize(len, EMPTY);
        for (base, index) in std::mem::replace(&mut self.slots, slots) {
            if base != 0 {
                let at = self.place(base);
                self.slots[at] = (base, index);
            }
        }
        Ok(())
    }

    /// Enters a segment that is not there yet, after [`Bases::reserve`].
    pub fn insert(&mut self, base: usize, index: u32) {
        let at = self.place(base);
        debug_assert_eq!(self.slots[at], EMPTY);
        self.slots[at] = (base, index);
        self.len += 1;
    }

    pub fn get(&self, base: usize) -> Option<u32> {
        if self.slots.is_empty() || base == 0 {
            return None;
        }
        let (found, index) = self.slots[self.place(base)];
        (found == base).then_some(index)
    }

    /// Removes a segment that is there.
    pub fn remove(&mut self, base: usize) {
        let mask = self.slots.len() - 1;
        let mut hole = self.place(base);
        debug_assert_eq!(self.slots[hole].0, base);
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            if self.slots[at] == EMPTY {
                break;
            }
            // no-hole-before-an-entry: who has come past the hole from its home moves into it.
            if at.wrapping_sub(self.home(self.slots[at].0)) & mask >= at.wrapping_sub(hole) & mask {
                self.slots[hole] = self.slots[at];
                hole = at;
            }
        }
        self.slots[hole] = EMPTY;
        self.len -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::tests::Random;
    use std::collections::BTreeMap;

    #[test]
    fn segments_are_found_by_their_address() {
        let (mut bases, mut model) = (Bases::new(), BTreeMap::new());
        let mut random = Random::new(2);
        assert_eq!(bases.get(SEGMENT), None);
        for n in 0..20_000 {
            // Addresses side by side, and some far away.
            let base = (SEGMENT * (1 + random.below(100))) << (random.below(2) * 20);
            if model.remove(&base).is_some() {
                bases.remove(base);
            } else if model.len() < 20 + n / 200 {
                bases.reserve().unwrap();
                bases.insert(base, n as u32);
                model.insert(base, n as u32);
            }
            let base = SEGMENT * random.below(102);
            assert_eq!(bases.get(base), model.get(&base).copied());
            assert_eq!(bases.len(), model.len());
        }
        assert!(model.iter().all(|(base, index)| bases.get(*base) == Some(*index)));
    }
}
