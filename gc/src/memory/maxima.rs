//! Numbers by index, and the first of them that is large enough, found in logarithmic time: a complete binary tree of maxima.
//!
//! * **parent-is-the-larger** `tree[leaves + i]` is the number of index `i`; `tree[n]`, from 1 on, is the larger of `tree[2 * n]` and `tree[2 * n + 1]`. An
//!   index that was never set has 0.
//!
//! Imports `os` (the error).

use super::os::OutOfMemory;

pub struct Maxima {
    tree: Vec<u16>,
    /// A power of two, or 0.
    leaves: usize,
}

impl Maxima {
    pub const fn new() -> Maxima {
        Maxima { tree: Vec::new(), leaves: 0 }
    }

    /// Makes sure that the indices below `len` can be set.
    pub fn reserve(&mut self, len: usize) -> Result<(), OutOfMemory> {
        if len <= self.leaves {
            return Ok(());
        }
        let leaves = len.next_power_of_two();
        let mut tree = Vec::new();
        tree.try_reserve_exact(leaves * 2).map_err(|_| OutOfMemory)?;
        tree.resize(leaves * 2, 0);
        tree[leaves..leaves + self.leaves].copy_from_slice(&self.tree[self.leaves..]);
        for n in (1..leaves).rev() {
            tree[n] = tree[2 * n].max(tree[2 * n + 1]);
        }
        (self.tree, self.leaves) = (tree, leaves);
        Ok(())
    }

    pub fn get(&self, index: usize) -> u16 {
        self.tree[self.leaves + index]
    }

    pub fn set(&mut self, index: usize, value: u16) {
        let mut n = self.leaves + index;
        self.tree[n] = value;
        while n > 1 {
            n /= 2;
            let max = self.tree[2 * n].max(self.tree[2 * n + 1]);
            if self.tree[n] == max {
                break;
            }
            self.tree[n] = max;
        }
    }

    /// The first index whose number is `least` or more; `least` is not 0.
    pub fn first(&self, least: usize) -> Option<usize> {
        debug_assert!(least > 0);
        let enough = |n: usize| self.tree.get(n).is_some_and(|&max| max as usize >= least);
        let mut n = 1;
        if !enough(n) {
            return None;
        }
        while n < self.leaves {
            n = 2 * n + usize::from(!enough(2 * n));
        }
        Some(n - self.leaves)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::tests::Random;

    #[test]
    fn the_first_that_is_large_enough() {
        let mut maxima = Maxima::new();
        let mut model: Vec<u16> = Vec::new();
        let mut random = Random::new(1);
        assert_eq!(maxima.first(1), None);
        for _ in 0..20_000 {
            if model.len() < 100 && random.below(50) == 0 {
                model.push(0);
                maxima.reserve(model.len()).unwrap();
            } else if !model.is_empty() {
                let (index, value) = (random.below(model.len()), random.below(1024) as u16);
                model[index] = value;
                maxima.set(index, value);
                assert_eq!(maxima.get(index), value);
            }
            let least = 1 + random.below(1024);
            assert_eq!(maxima.first(least), model.iter().position(|&value| value as usize >= least));
        }
    }
}
