//! The arena face as its users see it: in safe Rust, with the auditor behind every safepoint, and under stress.

#![forbid(unsafe_code)]

mod collections;
mod derive;
mod faults;
mod model;
mod objects;
mod roots;
mod weak;

use neap_gc::arena::{Arena, Config, Mutation, Rootable};

/// Every safepoint is an epoch end, every fifth a whole collection; the auditor looks at the heap after each, and what dies is overwritten.
fn stressed() -> Config {
    Config { stress_cycle: 5, audit: 1, poison: true, ..Config::default() }
}

/// An arena under stress.
fn arena<R: Rootable>(root: impl for<'gc> FnOnce(&'gc Mutation<'gc>) -> R::Root<'gc>) -> Arena<R> {
    Arena::with_config(stressed(), root)
}

/// Numbers that are the same each time (Steele, Lea, Flood 2014: SplitMix).
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Random {
        Random(seed)
    }
    /// A number from 0 on, below `n`.
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        if n == 0 { 0 } else { ((z ^ z >> 31) % n as u64) as usize }
    }
}
