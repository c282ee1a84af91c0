//! Free cells at hand: for each class a short stack of addresses, which `malloc` takes from and `free` gives to.
//!
//! So most calls touch neither the bits of a cell, nor its block's lists, nor the cell itself, and what was freed last, which is in the cache, is handed
//! out next. Stacks are filled and emptied by halves, so that no pattern of calls does that each time. (Magazines in front of an allocator: Bonwick
//! and Adams, "Magazines and Vmem", 2001.)
//!
//! ```text
//!   slots   | null  c0  c1  c2  c3  -   -   - | null  c0 ...
//!             ^floor            ^top        ^ceiling
//! ```
//!
//! * **top-is-between** `floor <= top <= ceiling` for each class; the slots above the floor and up to the top are the cells that are held.
//! * **floors-are-null** The slot at the floor is null: an empty stack says so without a look at where it begins.
//!
//! Imports `size_class`.

use crate::memory::size_class::{CLASSES, size_of_class};
use std::ptr::{NonNull, null_mut};

/// Bytes of a class that are held at most, and between how many cells that keeps.
const BYTES: usize = 16 << 10;
const CELLS: (usize, usize) = (2, 128);

/// The cells of a class that are held at most.
pub const fn capacity(class: usize) -> usize {
    let cells = BYTES / size_of_class(class);
    if cells < CELLS.0 {
        CELLS.0
    } else if cells > CELLS.1 {
        CELLS.1
    } else {
        cells
    }
}

/// Where the stack of each class begins, and where the last one ends.
const FLOORS: [u16; CLASSES + 1] = {
    let mut floors = [0; CLASSES + 1];
    let mut class = 0;
    while class < CLASSES {
        floors[class + 1] = floors[class] + 1 + capacity(class) as u16;
        class += 1;
    }
    floors
};
static CEILINGS: [u16; CLASSES] = {
    let mut ceilings = [0; CLASSES];
    let mut class = 0;
    while class < CLASSES {
        ceilings[class] = FLOORS[class + 1] - 1;
        class += 1;
    }
    ceilings
};
const SLOTS: usize = FLOORS[CLASSES] as usize;

/// The stacks of all classes.
pub struct Magazines {
    tops: [u16; CLASSES],
    slots: [*mut u8; SLOTS],
}

impl Magazines {
    pub const fn new() -> Magazines {
        let mut tops = [0; CLASSES];
        let mut class = 0;
        while class < CLASSES {
            tops[class] = FLOORS[class];
            class += 1;
        }
        Magazines { tops, slots: [null_mut(); SLOTS] }
    }

    /// The cell that was put last.
    #[inline(always)]
    pub fn take(&mut self, class: usize) -> Option<NonNull<u8>> {
        let top = self.tops[class];
        // SAFETY: top-is-between, and `SLOTS` is above all ceilings.
        let cell = NonNull::new(unsafe { *self.slots.get_unchecked(top as usize) })?;
        // Only the floor is null (floors-are-null), so it is not passed.
        self.tops[class] = top - 1;
        Some(cell)
    }

    /// Holds a cell; `false` if there is no room.
    #[inline(always)]
    pub fn put(&mut self, class: usize, cell: NonNull<u8>) -> bool {
        let top = self.tops[class];
        if top == CEILINGS[class] {
            return false;
        }
        // SAFETY: top-is-between, and this one is below its ceiling.
        unsafe { *self.slots.get_unchecked_mut(top as usize + 1) = cell.as_ptr() };
        self.tops[class] = top + 1;
        true
    }

    /// The cells of a class, the one that was put first in front.
    pub fn held(&self, class: usize) -> &[*mut u8] {
        &self.slots[FLOORS[class] as usize + 1..=self.tops[class] as usize]
    }

    /// Lets go of the `count` cells that were put first. They are those which `held` has shown in front.
    pub fn drop_first(&mut self, class: usize, count: usize) {
        let (first, top) = (FLOORS[class] as usize + 1, self.tops[class] as usize);
        self.slots.copy_within(first + count..=top, first);
        self.tops[class] = (top - count) as u16;
    }

    /// The bytes of all cells that are held.
    pub fn bytes(&self) -> usize {
        (0..CLASSES).map(|class| self.held(class).len() * size_of_class(class)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::tests::Random;

    #[test]
    fn stacks_do_not_touch_each_other() {
        let mut magazines = Magazines::new();
        let mut model = vec![Vec::new(); CLASSES];
        let (mut random, mut next) = (Random::new(3), 16);
        for _ in 0..200_000 {
            let class = random.below(CLASSES);
            match random.below(9) {
                0..4 => {
                    let cell = NonNull::new(std::ptr::without_provenance_mut(next)).expect("not null");
                    let fits = model[class].len() < capacity(class);
                    assert_eq!(magazines.put(class, cell), fits);
                    if fits {
                        model[class].push(cell.as_ptr());
                    }
                    next += 16;
                }
                4..8 => assert_eq!(magazines.take(class).map(NonNull::as_ptr), model[class].pop()),
                _ => {
                    let count = random.below(model[class].len() + 1);
                    magazines.drop_first(class, count);
                    model[class].drain(..count);
                }
            }
            assert_eq!(magazines.held(class), model[class]);
        }
        let bytes: usize = model.iter().enumerate().map(|(class, cells)| cells.len() * size_of_class(class)).sum();
        assert_eq!(magazines.bytes(), bytes);
    }
}
