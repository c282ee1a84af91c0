//! The generator of `math.random`: xoshiro256**, seeded as the reference seeds it, so that a seed gives the same
//! sequence here as there. Imports nothing of the project.

use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256StarStar;
use std::hash::{BuildHasher, RandomState};

/// The state of the generator.
pub struct Random(Xoshiro256StarStar);

impl Random {
    /// The generator for a seed of two integers.
    pub fn new(seed: (u64, u64)) -> Random {
        let mut state = [0; 32];
        for (word, bytes) in [seed.0, 0xff, seed.1, 0].into_iter().zip(state.as_chunks_mut::<8>().0) {
            *bytes = word.to_le_bytes();
        }
        let mut random = Random(Xoshiro256StarStar::from_seed(state));
        // The first values still show the seed.
        for _ in 0..16 {
            random.bits();
        }
        random
    }

    /// A seed that nobody can know.
    pub fn entropy() -> (u64, u64) {
        let state = RandomState::new();
        (state.hash_one(0u8), state.hash_one(1u8))
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A float of `[0, 1)` from 64 random bits.
    pub fn float(bits: u64) -> f64 {
        (bits >> 11) as f64 * (0.5 / (1u64 << 52) as f64)
    }

    /// An integer of `[low, high]` from 64 random bits, and from more if they do not fit. Uniform: bits beyond the
    /// size of the interval are masked, and what still lies outside is drawn again.
    pub fn between(&mut self, mut bits: u64, low: i64, high: i64) -> i64 {
        let last = (high as u64).wrapping_sub(low as u64);
        let mask = u64::MAX.checked_shr(last.leading_zeros()).unwrap_or(0);
        while bits & mask > last {
            bits = self.bits();
        }
        (bits & mask).wrapping_add(low as u64) as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequences_of_the_reference() {
        // From lua5.4: math.randomseed(42) print(math.random(1<<40), math.random(0), math.random(), math.random(10))
        let mut random = Random::new((42, 0));
        let bits = random.bits();
        assert_eq!(random.between(bits, 1, 1 << 40), 1062568359654);
        assert_eq!(random.bits() as i64, 8333941968102511665);
        assert_eq!(format!("{:.14}", Random::float(random.bits())), "0.54688311243421");
        let bits = random.bits();
        assert_eq!(random.between(bits, 1, 10), 6);
        // math.randomseed(123, 456)
        let mut random = Random::new((123, 456));
        let bits = random.bits();
        assert_eq!(random.between(bits, 1, 1 << 40), 742559290030);
        assert_eq!(random.bits() as i64, -4076395480158212337);
        assert_eq!(format!("{:.15}", Random::float(random.bits())), "0.036994645590004");
        let bits = random.bits();
        assert_eq!(random.between(bits, 1, 10), 8);
    }

    #[test]
    fn the_whole_range_and_single_values() {
        let mut random = Random::new((1, 2));
        assert_eq!(random.between(0, i64::MIN, i64::MAX), i64::MIN);
        assert_eq!(random.between(u64::MAX, i64::MIN, i64::MAX), i64::MAX);
        assert_eq!(random.between(u64::MAX, 7, 7), 7);
        assert!(Random::float(u64::MAX) < 1.0);
        assert_eq!(Random::float(0), 0.0);
        assert!((0..1000).all(|_| (3..=5).contains(&random.between(u64::MAX, 3, 5))));
    }
}
