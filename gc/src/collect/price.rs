//! What the items of a list cost that an epoch end goes through, and after how many of them it should come.
//!
//! Each list has a price of its own: the words of the log stand side by side, while each loaded object is somewhere else in the memory, and costs as much as
//! a dozen words. Where one stood for the other a program that had written much and then only read weak tables got epoch ends of a millisecond.
//!
//! Imports `pacer` (the clock).

use super::pacer::{cpu_since, cpu_time};
use std::time::Duration;

/// A shorter list is not worth being measured.
const MEASURED: usize = 512;

pub(super) struct Price {
    /// Nanoseconds of an item.
    ns: f64,
    /// The items that end an epoch, and the bounds of that.
    limit: usize,
    bounds: (usize, usize),
}

impl Price {
    /// `ns`: what an item costs before any has been measured.
    pub const fn new(ns: f64, bounds: (usize, usize)) -> Price {
        Price { ns, limit: bounds.0, bounds }
    }

    /// So many items end an epoch.
    #[inline(always)]
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// So many items are about to be gone through.
    pub fn begin(&self, items: usize) -> Option<Duration> {
        (items >= MEASURED).then(cpu_time)
    }
    /// They have been, since `begin`. `goal`: how long a whole list should take.
    pub fn end(&mut self, begin: Option<Duration>, items: usize, goal: Duration) {
        let Some(begin) = begin else { return };
        let measured = cpu_since(begin).as_nanos() as f64 / items as f64;
        // Quick to become careful, slow to forget.
        let weight = if measured > self.ns { 0.5 } else { 0.1 };
        self.ns += (measured - self.ns) * weight;
        self.limit = ((goal.as_nanos() as f64 / self.ns) as usize).clamp(self.bounds.0, self.bounds.1);
    }
}
