//! Work that is asked for: whole collections, steps, and stress.
//!
//! Invariants:
//! H1. A whole collection is one pause, of its own cause; its parts are none.
//! H2. Under stress each safepoint ends an epoch.
//!
//! May import: `object`, `memory`, `observe`.

use super::Phase;
use crate::heap::{Heap, RootSource};
use crate::object::Runtime;
use crate::observe::{Cause, Stopwatch};
use std::time::{Duration, Instant};

/// Work in a step that a program asks for, for each byte of its size, and in any step at most. A cycle takes a fraction of that for each byte
/// in use, so a program that steps at the pace of its allocation keeps well ahead of it.
const STEP_NS_PER_BYTE: u64 = 20;
const STEP_MAX: Duration = Duration::from_secs(1);

impl<R: Runtime> Heap<R> {
    /// Finishes what is queued, epoch end by epoch end.
    fn drain_all(&mut self, roots: &dyn RootSource) {
        // An object that was weakly loaded or logged waits one epoch; what it frees may wait again.
        for _ in 0..1000 {
            self.epoch_end(roots);
            self.release_slice(far());
            if self.col.waiting.is_empty() && self.col.dropped.is_empty() && self.col.adopted.is_empty() {
                break;
            }
        }
    }

    /// Works on the cycle until it is over.
    fn finish_cycle(&mut self, roots: &dyn RootSource) {
        let mut watch = Stopwatch::start();
        while self.col.phase != Phase::Idle {
            self.release_slice(far());
            self.cycle_slice(far(), &mut watch);
            if self.col.phase != Phase::Idle {
                self.epoch_end(roots);
            }
        }
        self.release_slice(far());
    }

    /// See [`Heap::collect_full`].
    pub(crate) fn collect_whole(&mut self, roots: &dyn RootSource) {
        let mut watch = Stopwatch::start();
        // Its parts are no stops of their own.
        let pauses = std::mem::take(&mut self.pauses);
        let (queued, ranks) = (self.col.fin_queue.len(), self.finalizer_ranks());
        // A cycle under way has its snapshot behind it.
        self.finish_cycle(roots);
        self.drain_all(roots);
        if self.col.events != 0 {
            while self.clean_all() {}
            // What cleaning has logged must not be the snapshot of the cycle: all values of a weak-keyed table would count as in use.
            self.drain_all(roots);
            self.begin_cycle();
            self.finish_cycle(roots);
            self.drain_all(roots);
        }
        // The corpses, and the finalizers that wait for a pass.
        if self.col.pass.is_none() {
            self.start_pass(Phase::Idle);
        }
        while self.clean_all() {}
        self.release_slice(far());
        self.sort_finalizers(queued, &ranks);
        self.store.trim();
        self.pauses = pauses;
        self.pauses.lap(&mut watch, Cause::Whole);
        self.col.pacer.cycle.base_bytes = self.store.memory.used_bytes();
        self.col.pacer.low_bytes = self.store.memory.used_bytes();
        self.col.pacer.largest_bytes = 0;
        self.col.pacer.last_epoch = Instant::now();
        self.set_alarm();
    }

    fn clean_all(&mut self) -> bool {
        self.pass_unit() || self.turn_unit()
    }

    /// See [`Heap::step`].
    pub(crate) fn step_by(&mut self, roots: &dyn RootSource, bytes: usize) -> bool {
        let mut watch = Stopwatch::start();
        let before = self.col.counters.cycles;
        self.timed_epoch_end(roots, &mut watch);
        let time = match bytes {
            0 => self.col.pacer.slice(),
            _ => Duration::from_nanos((bytes as u64).saturating_mul(STEP_NS_PER_BYTE)).min(STEP_MAX),
        };
        let deadline = Instant::now() + time;
        let ended = loop {
            if self.col.phase == Phase::Idle && self.col.events != 0 {
                self.begin_cycle();
            }
            let released = self.release_slice(deadline);
            self.pauses.lap(&mut watch, Cause::Release);
            self.cycle_slice(deadline, &mut watch);
            let idle = released && self.col.phase == Phase::Idle && self.col.events == 0;
            if idle || self.col.counters.cycles != before || Instant::now() >= deadline {
                break idle || self.col.counters.cycles != before;
            }
            // The phase waits for it.
            self.timed_epoch_end(roots, &mut watch);
        };
        self.set_alarm();
        self.pauses.end(watch);
        ended
    }

    /// Stress: an epoch end at every safepoint, a bit of everything else, whole collections now and then.
    pub(super) fn stress(&mut self, roots: &dyn RootSource) {
        self.request_safepoint();
        let epochs = self.col.counters.epochs;
        let n = self.col.pacer.safepoints;
        self.col.pacer.safepoints = n.wrapping_add(1);
        if n % self.stress_cycle == self.stress_cycle - 1 {
            self.collect_whole(roots);
        } else {
            self.epoch_end(roots);
            let mut watch = Stopwatch::start();
            // A deadline in the past: one batch of each.
            let past = Instant::now();
            if !n.is_multiple_of(3) {
                self.release_slice(past);
            }
            if self.col.phase == Phase::Idle && self.col.pass.is_none() {
                if n.is_multiple_of(4) {
                    self.start_pass(Phase::Idle);
                }
                if self.col.events != 0 {
                    self.begin_cycle();
                }
            }
            self.cycle_slice(past, &mut watch);
        }
        assert!(self.col.counters.epochs > epochs, "a safepoint under stress without an epoch end");
        self.store.memory.set_alarm(usize::MAX);
    }
}

fn far() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}
