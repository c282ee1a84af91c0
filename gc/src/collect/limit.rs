//! Near the limit: a whole collection comes before a refusal.
//!
//! A request in the middle of the program's work can't collect: what the program has at hand is in no root. So safepoints look ahead. Under a limit a
//! cycle starts when half of the way there has been used up; where it comes too late, because memory is taken in large pieces, the program stops when
//! little is left, for an epoch end and the whole release queue, and if that is not enough for a whole collection. The last part, the *reserve*,
//! is for small requests only: it lets the program come to the safepoint, and handle the error if collecting has not helped.
//!
//! Invariants:
//! N1. Between two such collections the heap grows by a fixed part of the limit or of the reserve, so their cost stays in proportion to what is
//!     allocated.
//!
//! May import: `object`, `memory`, `observe`.

use crate::heap::{Heap, RootSource};
use crate::object::Runtime;
use crate::observe::{Cause, Stopwatch};

/// The part of the limit that a heap near it grows by before a cycle starts, or before a whole collection (N1).
const GROWTH_PART: usize = 32;
/// The part of the limit below which what is left is little.
const ROOM_PART: usize = 16;
/// The part of the reserve that is a small request.
const SMALL_PART: usize = 16;
/// The part of the reserve that may be used up before a whole collection (N1).
const RESERVE_GROWTH_PART: usize = 8;
/// Bytes between two safepoints, as part of what is left: with it, half of the reserve is there when the heap is found to be exhausted.
const ALARM_PART: usize = 8;

impl<R: Runtime> Heap<R> {
    pub(super) fn has_limit(&self) -> bool {
        self.store.memory.limit() != usize::MAX
    }

    /// How far a heap under a limit may grow from `used` bytes before a cycle, or during one.
    pub(super) fn growth_before_limit(&self, used: usize) -> usize {
        let limit = self.store.memory.limit();
        (limit.saturating_sub(used) / 2).max(limit / GROWTH_PART)
    }

    /// Bytes that the program may allocate before the limit is looked at again.
    pub(super) fn step_before_limit(&self) -> usize {
        self.store.memory.room() / ALARM_PART
    }

    /// Whether a request is too large for what is left above the reserve.
    pub(crate) fn needs_reserve(&self, bytes: usize) -> bool {
        let memory = &self.store.memory;
        let reserve = memory.reserve_bytes();
        bytes > reserve / SMALL_PART && memory.room().saturating_sub(bytes) < reserve
    }

    /// Whether a request may soon be refused, and the heap has grown enough for garbage to be likely.
    fn limit_is_near(&self) -> bool {
        let memory = &self.store.memory;
        let (limit, room, reserve) = (memory.limit(), memory.room(), memory.reserve_bytes());
        // Two requests as large as the largest of late should find room: a table that grows doubles.
        let wanted = (self.col.pacer.largest_bytes.min(limit / 4) * 2).max(limit / ROOM_PART);
        let growth = memory.used_bytes().saturating_sub(self.col.pacer.low_bytes);
        room < wanted && growth >= limit / GROWTH_PART || room < reserve && growth >= reserve / RESERVE_GROWTH_PART
    }

    /// At a safepoint: makes room if a request may soon be refused. `false`: there is no need.
    pub(super) fn collect_before_limit(&mut self, roots: &dyn RootSource) -> bool {
        if !self.has_limit() {
            return false;
        }
        self.col.pacer.low_bytes = self.col.pacer.low_bytes.min(self.store.memory.used_bytes());
        if !self.limit_is_near() {
            return false;
        }
        let mut watch = Stopwatch::start();
        // What has died young, and what counting finds, may be all.
        self.timed_epoch_end(roots, &mut watch);
        self.relieve();
        self.pauses.lap(&mut watch, Cause::Release);
        if self.limit_is_near() {
            self.collect_whole(roots);
            let memory = &self.store.memory;
            // What finalizers wait for may go once they have run.
            self.col.pacer.exhausted = memory.room() < memory.reserve_bytes() / 4 * 3 && self.col.fin_queue.is_empty();
        }
        self.set_alarm();
        self.pauses.end(watch);
        true
    }

    /// See [`Heap::take_exhausted`].
    pub(crate) fn exhausted(&mut self) -> bool {
        std::mem::take(&mut self.col.pacer.exhausted)
    }
}
