//! The budget of a slice: so many units of work, and no longer than so long.
//!
//! All work that can grow with the heap is done behind a budget, item by item. A *unit* is one thing looked at: a slot, a granule (16 bytes) of a
//! scanned cell, a decrement, a block, an entry of a list. So a stop is bounded by construction ([`STOP_UNITS_MAX`]), whatever the clock says; the
//! deadline makes it short on a slow machine as well.
//!
//! Invariants:
//! * **one-budget** No loop over the heap's data stands outside of a budget, but those of an epoch end, which are over what the program has done since
//!   the last one, and those of whole collections.
//!
//! Imports nothing of the crate.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Units of a slice, at most.
pub const SLICE_UNITS: usize = 32 << 10;
/// A stop makes up for so many slices at most, for a program that comes to a safepoint too seldom.
pub const SLICES_MAX: usize = 4;
/// No stop takes more units than this, however large the heap, if the program has come to the safepoint when it was asked to: an epoch end (whose
/// work is what the program has done since the last one, see [`crate::heap::poll`]) and the slices after it.
pub const STOP_UNITS_MAX: u64 = 256 << 10;
/// Units between two looks at the clock.
const LOOK_UNITS: usize = 512;

/// What ends long work before its time: some bits of the poll word.
#[derive(Clone)]
pub(crate) struct Stop {
    pub word: Arc<AtomicU32>,
    pub bits: u32,
}

impl Stop {
    pub fn is_wanted(&self) -> bool {
        self.word.load(Ordering::Relaxed) & self.bits != 0
    }
}

pub(crate) struct Budget {
    spent: usize,
    limit: usize,
    /// The clock is looked at when so many units are spent.
    look: usize,
    deadline: Option<Instant>,
    stop: Option<Stop>,
}

impl Budget {
    /// So many units, however long they take.
    pub fn units(units: usize) -> Budget {
        Budget { spent: 0, limit: units, look: units, deadline: None, stop: None }
    }
    /// No end.
    pub fn endless() -> Budget {
        Budget::units(usize::MAX)
    }
    /// No end but a stop: for whole collections.
    pub fn until_stop(stop: &Stop) -> Budget {
        Budget { spent: 0, limit: usize::MAX, look: 0, deadline: None, stop: Some(stop.clone()) }
    }
    /// As long as the program has asked for, or until a stop.
    pub fn until(deadline: Instant, stop: &Stop) -> Budget {
        Budget { spent: 0, limit: usize::MAX, look: LOOK_UNITS, deadline: Some(deadline), stop: Some(stop.clone()) }
    }
    /// So many slices of that length.
    pub fn slices(slices: usize, length: Duration) -> Budget {
        let slices = slices.clamp(1, SLICES_MAX);
        let deadline = Instant::now() + length * slices as u32;
        Budget { spent: 0, limit: SLICE_UNITS * slices, look: LOOK_UNITS, deadline: Some(deadline), stop: None }
    }
    /// A part of what is left, to be joined to the whole again.
    pub fn share(&self, percent: usize, length: Duration) -> Budget {
        let limit = (self.limit - self.spent.min(self.limit)) / 100 * percent;
        let deadline = self.deadline.map(|deadline| deadline.min(Instant::now() + length));
        Budget { spent: 0, limit, look: LOOK_UNITS.min(limit), deadline, stop: self.stop.clone() }
    }
    pub fn join(&mut self, part: Budget) {
        self.spend(part.spent);
    }

    pub fn spent(&self) -> usize {
        self.spent
    }
    /// So many units of work are done.
    #[inline(always)]
    pub fn spend(&mut self, units: usize) {
        self.spent += units;
    }
    /// Whether the work must stop here.
    #[inline(always)]
    pub fn is_spent(&mut self) -> bool {
        self.spent >= self.look && self.look_at_clock()
    }

    #[cold]
    fn look_at_clock(&mut self) -> bool {
        if self.spent >= self.limit {
            return true;
        }
        if self.stop.as_ref().is_some_and(Stop::is_wanted) {
            self.limit = 0;
            return true;
        }
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => {
                self.limit = 0;
                true
            }
            _ => {
                self.look = (self.spent + LOOK_UNITS).min(self.limit);
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_ends_by_units_or_by_the_clock() {
        let mut budget = Budget::units(3);
        let mut done = 0;
        while !budget.is_spent() {
            budget.spend(1);
            done += 1;
        }
        assert_eq!(done, 3);
        let mut budget = Budget::slices(1, Duration::ZERO);
        budget.spend(LOOK_UNITS);
        assert!(budget.is_spent(), "the deadline has passed");
        assert!(budget.is_spent(), "and stays so");
        let mut budget = Budget::slices(100, Duration::from_secs(3600));
        let mut done = 0;
        while !budget.is_spent() {
            budget.spend(100);
            done += 100;
        }
        assert!((SLICE_UNITS * SLICES_MAX..SLICE_UNITS * SLICES_MAX + 100).contains(&done), "{done}");
    }
}
