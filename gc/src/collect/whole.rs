//! Work that is asked for: whole collections, steps, and stress.
//!
//! Invariants:
//! * **whole-is-one-pause** A whole collection is one pause, of its own cause; its parts are none.
//! * **given-up-anywhere** A whole collection, or a step, is given up where the poll word asks for a stop. What it has left to do is a cycle under way like any
//!   other.
//! * **stress-ends-epochs** Under stress each safepoint ends an epoch.
//!
//! May import: `object`, `memory`, `observe`, and the parts.

use super::budget::Budget;
use super::collector::Collector;
use super::schedule::Stopping;
use super::{Phase, RootSource};
use crate::object::Runtime;
use crate::observe::Cause;
use std::time::{Duration, Instant};

/// Work in a step that a program asks for, for each byte of its size, and in any step at most. A cycle takes a fraction of that for each byte
/// in use, so a program that steps at the pace of its allocation keeps well ahead of it.
const STEP_NS_PER_BYTE: u64 = 20;
const STEP_MAX: Duration = Duration::from_secs(1);
/// What stays with the heap after a whole collection, though nothing is in it: a part of what is in use, and at least so much.
const KEEP_PART: usize = 16;
const KEEP_MIN: usize = 1 << 20;

/// The poll word asks for a stop.
struct Stopped;

impl<R: Runtime> Collector<R> {
    fn go_on(&self) -> Result<(), Stopped> {
        if self.stop.is_wanted() { Err(Stopped) } else { Ok(()) }
    }

    /// Finishes what is queued, epoch end by epoch end.
    fn drain_all(&mut self, source: &dyn RootSource) -> Result<(), Stopped> {
        loop {
            self.epoch_end(source);
            self.release_all()?;
            // What was weakly loaded or logged waits one epoch; what it frees may have been logged by the collector itself.
            if !self.release.waiting.any_undecided() && !self.handles.any_returned() && !self.finalizers.any_loans() {
                return Ok(());
            }
        }
    }

    /// Releases all that is queued.
    fn release_all(&mut self) -> Result<(), Stopped> {
        let mut budget = Budget::until_stop(&self.stop);
        self.release_step(&mut budget);
        self.go_on()
    }

    /// Works on the cycle until it is over.
    fn finish_cycle(&mut self, source: &dyn RootSource) -> Result<(), Stopped> {
        while self.cx.phase() != Phase::Idle {
            self.release_all()?;
            while self.cycle_has_slices() && self.cx.phase() != Phase::Idle {
                let mut budget = Budget::until_stop(&self.stop);
                self.cycle_step(&mut budget);
                self.go_on()?;
            }
            if self.cx.phase() != Phase::Idle {
                self.epoch_end(source);
            }
        }
        self.release_all()
    }

    /// See [`crate::Heap::collect_full`]. `false`: it has been given up.
    pub fn collect_whole(&mut self, source: &dyn RootSource) -> bool {
        self.in_one_stop(|collector| collector.collect_all(source))
    }

    /// Does something that the program waits for until it is done. `false`: it has been given up.
    fn in_one_stop(&mut self, work: impl FnOnce(&mut Self) -> Result<(), Stopped>) -> bool {
        let mut stopping = self.begin_stop();
        let result = work(self);
        self.pacer.last_epoch = Instant::now();
        self.pacer.explicit_before = self.cx.store.memory.explicit_bytes;
        self.set_alarm();
        self.lap(&mut stopping, Cause::Whole, 0);
        self.end_stop(stopping);
        result.is_ok()
    }

    fn collect_all(&mut self, source: &dyn RootSource) -> Result<(), Stopped> {
        self.go_on()?;
        let stop = self.stop.clone();
        let due = self.finalizers.due();
        let ranks = self.finalizers.ranks(self.cx.store.memory.room(), &stop).ok_or(Stopped)?;
        // R16: as a cycle of a tracing collector would come round.
        self.finalizers.arm_all(&self.cx);
        self.clean_all()?;
        // A cycle under way has its snapshot behind it.
        self.finish_cycle(source)?;
        self.drain_all(source)?;
        // A key that died by counting is no event, but the chain of weak keys and values that hung from it goes link by link with passes only.
        if self.cx.events != 0 || self.weak.any_tombs() {
            self.clean_all()?;
            // What cleaning has logged must not be the snapshot of the cycle: all values of a weak-keyed table would count as in use.
            self.drain_all(source)?;
            self.begin_cycle();
            self.finish_cycle(source)?;
            self.drain_all(source)?;
        }
        // The corpses, and the finalizers that wait for a pass.
        if !self.weak.under_way() {
            self.weak.start_pass(&self.cx, &self.finalizers, Phase::Idle);
        }
        self.clean_all()?;
        self.release_all()?;
        self.finalizers.sort(&mut self.cx, due, &ranks, &stop);
        self.go_on()?;
        self.cx.store.trim();
        self.cx.store.trim_magazines();
        let keep = (self.cx.store.memory.used_bytes() / KEEP_PART).max(KEEP_MIN);
        self.cx.store.memory.release_idle(keep, &|| !stop.is_wanted());
        self.pacer.cycle.rebase(&self.cx);
        self.pacer.low_bytes = self.cx.store.memory.used_bytes();
        self.pacer.largest_bytes = 0;
        Ok(())
    }

    /// See [`crate::Heap::collect_counted`]. `false`: it has been given up.
    pub fn collect_counted(&mut self, source: &dyn RootSource) -> bool {
        self.in_one_stop(|collector| collector.collect_dead(source))
    }

    fn collect_dead(&mut self, source: &dyn RootSource) -> Result<(), Stopped> {
        self.drain_all(source)?;
        // A pass of its own can't begin while a cycle is under way: what waits for one goes with that.
        if self.cx.phase() == Phase::Idle && self.weak.anything_waits(&self.finalizers) {
            self.clean_all()?;
            self.weak.start_pass(&self.cx, &self.finalizers, Phase::Idle);
            self.clean_all()?;
            // Values whose keys are gone.
            self.drain_all(source)?;
        }
        Ok(())
    }

    /// A pass and a turn that are under way are ended.
    fn clean_all(&mut self) -> Result<(), Stopped> {
        if self.cx.phase() != Phase::Idle {
            return Ok(());
        }
        while self.cycle_has_slices() {
            let mut budget = Budget::until_stop(&self.stop);
            self.cycle_step(&mut budget);
            self.go_on()?;
        }
        Ok(())
    }

    /// See [`crate::Heap::step`].
    pub fn step(&mut self, source: &dyn RootSource, bytes: usize) -> bool {
        let stopping = self.begin_stop();
        self.step_until(source, stopping, |collector| {
            let time = match bytes {
                0 => collector.pacer.slice(),
                _ => Duration::from_nanos((bytes as u64).saturating_mul(STEP_NS_PER_BYTE)),
            };
            Instant::now() + time.min(STEP_MAX)
        })
    }

    /// See [`crate::Heap::step_for`].
    pub fn step_for(&mut self, source: &dyn RootSource, time: Duration) -> bool {
        let stopping = self.begin_stop();
        let deadline = Instant::now() + time.min(STEP_MAX);
        self.step_until(source, stopping, |_| deadline)
    }

    /// `deadline`: asked for after the first epoch end.
    fn step_until(&mut self, source: &dyn RootSource, mut stopping: Stopping, deadline: impl FnOnce(&Self) -> Instant) -> bool {
        let before = self.cx.counters.cycles;
        self.timed_epoch_end(source, &mut stopping);
        let deadline = deadline(self);
        let ended = loop {
            if self.cx.phase() == Phase::Idle && self.cx.events != 0 {
                self.begin_cycle();
            }
            let mut budget = Budget::until(deadline, &self.stop);
            let released = self.release_step(&mut budget);
            self.lap(&mut stopping, Cause::Release, budget.spent());
            self.cycle_slice(&mut budget, &mut stopping);
            let idle = released && self.cx.phase() == Phase::Idle && self.cx.events == 0;
            if idle || self.cx.counters.cycles != before || Instant::now() >= deadline || self.stop.is_wanted() {
                break idle || self.cx.counters.cycles != before;
            }
            // The phase waits for it.
            self.timed_epoch_end(source, &mut stopping);
        };
        self.set_alarm();
        // As long as the program has asked for: no stop of the collector's own.
        self.lap(&mut stopping, Cause::Whole, 0);
        self.end_stop(stopping);
        ended
    }

    /// Stress: an epoch end at every safepoint, a bit of everything else, whole collections now and then.
    pub(super) fn stress(&mut self, source: &dyn RootSource) {
        self.request_safepoint();
        let epochs = self.cx.counters.epochs;
        let n = self.pacer.safepoints;
        self.pacer.safepoints = n.wrapping_add(1);
        if n % self.stress_cycle == self.stress_cycle - 1 {
            self.collect_whole(source);
            if self.cx.counters.epochs == epochs {
                // It was given up at once.
                self.epoch_end(source);
            }
        } else {
            self.epoch_end(source);
            let few = || Budget::units(STRESS_UNITS);
            if !n.is_multiple_of(3) {
                self.release_step(&mut few());
            }
            if self.cx.phase() == Phase::Idle && !self.weak.under_way() {
                if n.is_multiple_of(4) {
                    self.weak.start_pass(&self.cx, &self.finalizers, Phase::Idle);
                }
                if self.cx.events != 0 {
                    self.begin_cycle();
                }
                self.finalizers.turn_if_due(&self.cx, true);
            }
            let mut budget = few();
            while self.cycle_has_slices() && !budget.is_spent() {
                self.cycle_step(&mut budget);
            }
        }
        assert!(self.cx.counters.epochs > epochs, "a safepoint under stress without an epoch end");
        self.cx.store.memory.set_alarm(usize::MAX);
        self.cx.store.memory.set_explicit_alarm(usize::MAX);
    }
}

/// Units of each kind of work at a safepoint under stress.
const STRESS_UNITS: usize = 512;
