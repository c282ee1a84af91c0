//! What an observer is told of the collector's work, as it happens.
//!
//! Imports `pauses`.

use super::pauses::Cause;
use crate::collect::Phase;

/// Something that wants to know. It is called inside of a stop, and can't reach the heap.
pub trait Observer {
    fn event(&mut self, event: &Event);
}

/// What has happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The program stops.
    Begin,
    /// A stop of the program is over.
    Stop(Stop),
    /// The cycle has entered a phase.
    Phase(Phase),
    /// Under a limit: a whole collection has left less than small requests should have.
    Exhausted,
}

/// A stop of the program, with what its parts took.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stop {
    /// Stops before this one.
    pub number: u64,
    /// The phase of the cycle when it began.
    pub phase: Phase,
    /// Wall time of the whole stop, in nanoseconds.
    pub ns: u64,
    /// Bytes in use when it ended.
    pub used_bytes: usize,
    parts: [(u64, u64); Cause::ALL.len()],
    whole: bool,
}

impl Stop {
    pub(crate) fn new(number: u64, phase: Phase) -> Stop {
        Stop { number, phase, ns: 0, used_bytes: 0, parts: [(0, 0); Cause::ALL.len()], whole: false }
    }
    pub(crate) fn add(&mut self, cause: Cause, ns: u64, units: u64) {
        let part = &mut self.parts[cause as usize];
        part.0 += ns;
        part.1 += units;
        self.whole |= matches!(cause, Cause::Whole | Cause::Relief);
    }
    pub(crate) fn finish(&mut self, ns: u64, used_bytes: usize) {
        self.ns = ns;
        self.used_bytes = used_bytes;
    }
    /// The parts of the stop that were not empty: cause, nanoseconds, units of work.
    pub fn parts(&self) -> impl Iterator<Item = (Cause, u64, u64)> + '_ {
        Cause::ALL.into_iter().zip(self.parts).filter(|(_, part)| *part != (0, 0)).map(|(cause, (ns, units))| (cause, ns, units))
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
