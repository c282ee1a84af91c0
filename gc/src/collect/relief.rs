//! How memory is asked for, and what happens near the limit: a whole collection comes before a refusal.
//!
//! Every request for memory of a heap goes through [`Collector::request`]. A request in the middle of the program's work can't collect: what the program has
//! at hand is in no root, and destructors do not run there. It can release what counting knows to be dead, for all that needs no destructor. And
//! safepoints look ahead: under a limit a cycle starts when half of the way there has been used up; where it comes too late, because memory is taken in large
//! pieces, the program stops when little is left, for an epoch end and the whole release queue, and if that is not enough for a whole collection. The last
//! part, the *reserve*, is for small requests only: it lets the program come to the safepoint, and handle the error if collecting has not helped.
//!
//! Invariants:
//! * **collect-in-proportion** Between two such collections the heap grows by a fixed part of the limit or of the reserve, so their cost stays in proportion
//!   to what is allocated.
//!
//! May import: `object`, `memory`, `observe`, and the parts.

use super::RootSource;
use super::budget::Budget;
use super::collector::Collector;
use super::context::Context;
use super::pacer::{EPOCH_BYTES_MAX, cpu_since, cpu_time};
use super::store::Store;
use crate::memory::OutOfMemory;
use crate::object::Runtime;
use crate::observe::{Cause, Event};

/// The part of the limit that a heap near it grows by before a cycle starts, or before a whole collection (collect-in-proportion).
const GROWTH_PART: usize = 32;
/// The part of the limit below which what is left is little.
const ROOM_PART: usize = 16;
/// The part of the reserve that is a small request.
const SMALL_PART: usize = 16;
/// The part of the reserve that may be used up before a whole collection (collect-in-proportion).
const RESERVE_GROWTH_PART: usize = 8;
/// Bytes between two safepoints, as part of what is left: with it, half of the reserve is there when the heap is found to be exhausted.
const ALARM_PART: usize = 8;
/// A request for so much at once pays with slices first: one for each megabyte, up to so many.
const BULK_BYTES: usize = EPOCH_BYTES_MAX / 2;
const BULK_SLICES: usize = 6;
/// Units of release between two looks at the clock there.
const BULK_UNITS: usize = 1024;

pub(super) fn has_limit(cx: &Context) -> bool {
    cx.store.memory.limit() != usize::MAX
}

/// How far a heap under a limit may grow from `used` bytes before a cycle, or during one.
pub(super) fn growth_before_limit(cx: &Context, used: usize) -> usize {
    let limit = cx.store.memory.limit();
    (limit.saturating_sub(used) / 2).max(limit / GROWTH_PART)
}

/// Bytes that the program may allocate before the limit is looked at again.
pub(super) fn step_before_limit(cx: &Context) -> usize {
    cx.store.memory.room() / ALARM_PART
}

/// Whether a request is too large for what is left above the reserve.
fn needs_reserve(cx: &Context, bytes: usize) -> bool {
    let memory = &cx.store.memory;
    let reserve = memory.reserve_bytes();
    bytes > reserve / SMALL_PART && memory.room().saturating_sub(bytes) < reserve
}

impl<R: Runtime> Collector<R> {
    /// Asks for memory, a second time if the first is refused and what the release queue knows to be dead could be given back. After a refusal
    /// the next safepoint looks whether a whole collection would help.
    #[inline(always)]
    pub fn request<T>(&mut self, bytes: usize, ask: impl Fn(&mut Store) -> Result<T, OutOfMemory>) -> Result<T, OutOfMemory> {
        self.pacer.largest_bytes = self.pacer.largest_bytes.max(bytes);
        if bytes >= BULK_BYTES {
            self.pay_for_bulk(bytes);
        }
        let result = if needs_reserve(&self.cx, bytes) { Err(OutOfMemory) } else { ask(&mut self.cx.store) };
        let result = match result {
            Err(_) => self.request_again(bytes, ask),
            granted => granted,
        };
        self.heed_alarm();
        result
    }

    #[cold]
    fn request_again<T>(&mut self, bytes: usize, ask: impl Fn(&mut Store) -> Result<T, OutOfMemory>) -> Result<T, OutOfMemory> {
        let relieved = self.relieve();
        let refused = !relieved || needs_reserve(&self.cx, bytes);
        let result = if refused { Err(OutOfMemory) } else { ask(&mut self.cx.store) };
        if result.is_err() {
            self.request_safepoint();
        }
        result
    }

    /// All that is known to be dead and needs no destructor is given back, however long it takes if there is no stop. (Decrements are queued at epoch ends only, so nothing
    /// that the program has at hand is touched: R2, R3, R14.) `false` if there is nothing.
    fn relieve(&mut self) -> bool {
        let queued = !self.release.is_empty(&self.cx);
        let mut budget = Budget::until_stop(&self.stop);
        let (release, mut of) = self.release();
        release.relieve(&mut of, &mut budget);
        self.release_if_drained();
        queued
    }

    /// The program is about to take much at once: what is dead makes room first.
    #[cold]
    fn pay_for_bulk(&mut self, bytes: usize) {
        if self.release.is_empty(&self.cx) || !self.pacer.running || self.stress_cycle != 0 {
            return;
        }
        let mut stopping = self.begin_stop();
        let slices = bytes.div_ceil(EPOCH_BYTES_MAX).min(BULK_SLICES) as u32;
        let (start, time) = (cpu_time(), self.pacer.slice() * slices);
        let mut units = 0;
        // The time that other programs take does not count, the dead should be gone.
        while cpu_since(start) < time {
            let mut budget = Budget::units(BULK_UNITS);
            let (release, mut of) = self.release();
            of.destructors = false;
            let empty = release.step(&mut of, &mut budget);
            units += budget.spent();
            if empty || units >= super::budget::SLICE_UNITS * slices as usize {
                break;
            }
        }
        self.release_if_drained();
        self.lap(&mut stopping, Cause::Release, units);
        self.end_stop(stopping);
    }

    /// The bytes up to the limit, for what the host takes on the heap's account. If they are fewer than `wanted`, what is known to be dead
    /// is released first, and idle memory goes back to the system.
    pub fn room_bytes(&mut self, wanted: usize) -> usize {
        let room = |cx: &Context| cx.store.memory.limit().saturating_sub(cx.store.memory.mapped_bytes());
        if room(&self.cx) < wanted {
            self.relieve();
            self.cx.store.memory.make_room(wanted);
        }
        room(&self.cx)
    }

    /// Whether a request may soon be refused, and the heap has grown enough for garbage to be likely.
    fn limit_is_near(&self) -> bool {
        let memory = &self.cx.store.memory;
        let (limit, room, reserve) = (memory.limit(), memory.room(), memory.reserve_bytes());
        // Two requests as large as the largest of late should find room: a table that grows doubles.
        let wanted = (self.pacer.largest_bytes.min(limit / 4) * 2).max(limit / ROOM_PART);
        let growth = memory.used_bytes().saturating_sub(self.pacer.low_bytes);
        room < wanted && growth >= limit / GROWTH_PART || room < reserve && growth >= reserve / RESERVE_GROWTH_PART
    }

    /// At a safepoint: makes room if a request may soon be refused. `false`: there is no need.
    pub(super) fn collect_before_limit(&mut self, source: &dyn RootSource) -> bool {
        if !has_limit(&self.cx) {
            return false;
        }
        self.pacer.low_bytes = self.pacer.low_bytes.min(self.cx.store.memory.used_bytes());
        if !self.limit_is_near() {
            return false;
        }
        let mut stopping = self.begin_stop();
        // What has died young, and what counting finds, may be all.
        self.timed_epoch_end(source, &mut stopping);
        let mut budget = Budget::until_stop(&self.stop);
        self.release_step(&mut budget);
        self.lap(&mut stopping, Cause::Relief, budget.spent());
        self.end_stop(stopping);
        if self.limit_is_near() && self.collect_whole(source) {
            let memory = &self.cx.store.memory;
            // What finalizers wait for may go once they have run.
            self.pacer.exhausted = memory.room() < memory.reserve_bytes() / 4 * 3 && self.finalizers.due() == 0;
            if self.pacer.exhausted
                && let Some(observer) = &mut self.observer
            {
                observer.event(&Event::Exhausted);
            }
        }
        self.set_alarm();
        true
    }

    /// See [`crate::Heap::take_exhausted`].
    pub fn take_exhausted(&mut self) -> bool {
        std::mem::take(&mut self.pacer.exhausted)
    }
}
