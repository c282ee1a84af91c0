//! What an observer is told of the collector's work, as it happens.
//!
//! Imports `clock`, `counters`, `pauses`.

use super::clock::Disturbance;
use super::counters::Counters;
use super::pauses::{Cause, Lap};
use crate::collect::Phase;
use std::time::Instant;

/// Something that wants to know. It is called inside of a stop, and can't reach the heap.
pub trait Observer {
    fn event(&mut self, event: &Event);
}

/// What has happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "events are shown, not kept")]
pub enum Event {
    /// The program stops.
    Begin,
    /// A part of a stop is over.
    Part(Part),
    /// A stop of the program is over.
    Stop(Stop),
    /// The cycle has entered a phase.
    Phase(Phase),
    /// Under a limit: a whole collection has left less than small requests should have.
    Exhausted,
}

/// A part of a stop: what was done for one cause, in one go. The parts of a stop come one after the other, and before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Part {
    pub cause: Cause,
    pub start: Instant,
    pub time: Lap,
    /// Units of work; a whole collection counts none.
    pub units: u64,
}

/// What a stop has gone through, as far as the collector counts it anyway.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Work {
    /// Root slots, at an epoch end.
    pub roots: u64,
    /// Cells that survived their epoch.
    pub survivors: u64,
    /// Words of the log of writes.
    pub log_words: u64,
    /// Decrements applied.
    pub decrements: u64,
    /// Bytes of the cells that marking has scanned.
    pub marked_bytes: u64,
}

/// A stop of the program, with what its parts took.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stop {
    /// Stops before this one.
    pub number: u64,
    /// The phase of the cycle when it began.
    pub phase: Phase,
    pub start: Instant,
    /// The whole stop.
    pub time: Lap,
    /// What the machine did to the thread meanwhile.
    pub disturbance: Disturbance,
    pub work: Work,
    /// Bytes in use when it ended, those of explicit blocks among them, and bytes committed.
    pub used_bytes: usize,
    pub explicit_bytes: usize,
    pub mapped_bytes: usize,
    /// The totals of the heap when it ended.
    pub counters: Counters,
    parts: [(Lap, u64); Cause::ALL.len()],
    whole: bool,
}

impl Stop {
    pub(crate) fn new(number: u64, phase: Phase, start: Instant) -> Stop {
        Stop {
            number,
            phase,
            start,
            time: Lap::default(),
            disturbance: Disturbance::default(),
            work: Work::default(),
            used_bytes: 0,
            explicit_bytes: 0,
            mapped_bytes: 0,
            counters: Counters::default(),
            parts: [(Lap::default(), 0); Cause::ALL.len()],
            whole: false,
        }
    }
    pub(crate) fn add(&mut self, cause: Cause, time: Lap, units: u64) {
        let part = &mut self.parts[cause as usize];
        part.0.ns += time.ns;
        part.0.cpu_ns += time.cpu_ns;
        part.1 += units;
        self.whole |= matches!(cause, Cause::Whole | Cause::Relief);
    }
    /// The parts of the stop that were not empty, by cause: cause, time, units of work.
    pub fn parts(&self) -> impl Iterator<Item = (Cause, Lap, u64)> + '_ {
        let parts = Cause::ALL.into_iter().zip(self.parts);
        parts.filter(|(_, part)| *part != (Lap::default(), 0)).map(|(cause, (time, units))| (cause, time, units))
    }
    /// Units of work in all.
    pub fn units(&self) -> u64 {
        self.parts.iter().map(|part| part.1).sum()
    }
    /// Whether a whole collection was part of it, or the program had asked for it: such a stop has no bound.
    pub fn is_whole(&self) -> bool {
        self.whole
    }
}
