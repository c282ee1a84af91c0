//! What happens in a stop.
//!
//! The program comes to a safepoint when the alarm of the memory rings (so many bytes allocated), when the log is long, or when the ticker asks. There it
//! stops once: for an epoch end, or for a slice of what is queued.
//!
//! Invariants:
//! * **one-part-a-stop** One stop is one epoch end or one slice, outside of whole collections (`whole`, `relief`); only if the stop before was an epoch
//!   end too does a slice follow in the same stop. (A program whose every object is as large as an epoch's budget would get no slice at all.) It is longer
//!   if the program has allocated more than a budget at once, or if the cycle is late: garbage must not outrun it.
//!
//! May import: `object`, `memory`, `observe`, and the parts.

use super::budget::Budget;
use super::collector::{Collector, POLL_COLLECT};
use super::pacer::{EPOCH_BYTES_MAX, SLICE_BYTES_MAX, SLICE_BYTES_MIN};
use super::relief::{has_limit, step_before_limit};
use super::ticker::Ticker;
use super::{Phase, RootSource};
use crate::object::Runtime;
use crate::observe::{Cause, Counters, Disturbance, Event, Lap, Part, Stop, Stopwatch, Work};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// An epoch that the program does not end by allocating is ended after this long.
const STALE: Duration = Duration::from_millis(60);
/// The same while a cycle does nothing but wait for it.
const STALE_CYCLE: Duration = Duration::from_millis(5);
/// Given back to the system in one stop.
const PURGE_BYTES: usize = 1 << 20;
/// While slices have something to do, it is given back only after so long.
const PURGE_REST: Duration = Duration::from_millis(100);
/// A cycle that only waits for an epoch end gets one after this many slices' worth of allocation.
const EPOCH_SLICES: usize = 2;
/// The part of the heap that may wait in the release queue before slices are urgent, and what a decrement may stand for.
const BACKLOG_PART: usize = 8;
const BYTES_PER_DECREMENT: usize = 64;
/// The least of bytes allocated between two slices of a cycle during which the heap has grown by more than it should.
const SLICE_BYTES_BEYOND: usize = SLICE_BYTES_MIN / 2;
/// A cycle that is late gets so many slices in a stop.
const LATE_SLICES: usize = 2;
/// An epoch end that has to wait for its share of the time waits for no more than this many budgets.
const EPOCHS_MAX: usize = 2;

/// A stop under way.
pub(super) struct Stopping {
    watch: Stopwatch,
    stop: Stop,
    /// Only if somebody observes.
    before: Option<Before>,
}

/// Counts as they were before a stop: what they are afterwards tells what it has gone through.
struct Before {
    disturbance: Disturbance,
    epochs: u64,
    promoted: u64,
    log_words: usize,
    decrements: u64,
    marked_bytes: usize,
}

impl<R: Runtime> Collector<R> {
    /// See [`crate::Heap::safepoint`].
    pub fn safepoint(&mut self, source: &dyn RootSource) {
        self.poll.fetch_and(!POLL_COLLECT, Ordering::Relaxed);
        if self.ticks && self.ticker.is_none() && self.stress_cycle == 0 {
            // The first stop of a program starts the ticker: what ends before that needs none.
            self.ticker = Some(Ticker::start(self.poll.clone(), POLL_COLLECT));
        }
        if self.stress_cycle != 0 {
            return self.stress(source);
        }
        if self.collect_before_limit(source) || !self.pacer.running {
            return;
        }
        self.stop(source);
    }

    fn stop(&mut self, source: &dyn RootSource) {
        let ticked = self.ticker.as_ref().is_some_and(Ticker::take);
        // Whether the program has gone on without allocating.
        let idle = self.cx.store.memory.young_bytes() < self.pacer.young_before + self.slice_bytes_min();
        self.pacer.idle = ticked && idle;
        self.pacer.begin_stop();
        self.pacer.look(&self.cx);
        let wait = self.pacer.has_had_its_share();
        if wait && !self.is_urgent() {
            return self.set_alarm_soon();
        }
        let epoch_is_due = self.epoch_is_due(ticked);
        if !epoch_is_due && !ticked && !self.has_slices() {
            return self.set_alarm();
        }
        self.cx.counters.urgent += u64::from(wait);
        let mut stopping = self.begin_stop();
        if epoch_is_due {
            // How many budgets the program has used up without a safepoint between.
            let budgets = self.cx.store.memory.young_bytes() / self.pacer.epoch_bytes;
            self.timed_epoch_end(source, &mut stopping);
            let starved = std::mem::replace(&mut self.pacer.slice_owed, true);
            if starved && self.has_slices() {
                self.slice(&mut stopping, budgets);
            }
        } else if self.has_slices() && !self.purge_is_due() {
            self.pacer.slice_owed = false;
            // The program has little to gain from short stops that come one after the other.
            let late = self.cx.phase() != Phase::Idle && self.pacer.cycle.is_late(&self.cx);
            self.slice(&mut stopping, if late { LATE_SLICES } else { 1 });
        } else {
            // Nothing else to do, or always something: memory that has been idle for a while goes back to the system.
            self.cx.store.trim();
            self.pacer.last_purge = Instant::now();
            self.cx.store.memory.purge(self.pacer.last_purge, PURGE_BYTES);
        }
        self.pacer.young_before = self.cx.store.memory.young_bytes();
        if let Some(ticker) = &self.ticker {
            ticker.set_busy((idle || self.pacer.cycle.is_overdue()) && (self.has_slices() || self.cx.phase() != Phase::Idle));
        }
        self.set_alarm();
        self.end_stop(stopping);
    }

    /// Whether memory is idle, and none has gone back for a while: in a heap where slices always have something to do that takes the place of one.
    fn purge_is_due(&self) -> bool {
        self.cx.store.memory.idle_bytes() >= PURGE_BYTES && self.pacer.last_purge.elapsed() >= PURGE_REST
    }

    // ---- measuring

    pub(super) fn begin_stop(&mut self) -> Stopping {
        let (number, phase) = (self.cx.counters.stops, self.cx.phase());
        self.cx.counters.stops += 1;
        let before = self.observer.is_some().then(|| self.look_before());
        if let Some(observer) = &mut self.observer {
            observer.event(&Event::Begin);
        }
        let watch = Stopwatch::start();
        Stopping { watch, stop: Stop::new(number, phase, watch.started()), before }
    }

    /// A part of the stop has ended.
    pub(super) fn lap(&mut self, stopping: &mut Stopping, cause: Cause, units: usize) -> Lap {
        let (start, units) = (stopping.watch.lapped(), units as u64);
        let time = self.pauses.lap(&mut stopping.watch, cause);
        stopping.stop.add(cause, time, units);
        if let Some(observer) = &mut self.observer {
            observer.event(&Event::Part(Part { cause, start, time, units }));
        }
        time
    }

    pub(super) fn end_stop(&mut self, mut stopping: Stopping) {
        let time = self.pauses.end(stopping.watch);
        self.pacer.end_stop(time.ns);
        let stop = &mut stopping.stop;
        if !stop.is_whole() {
            self.cx.counters.most_units = self.cx.counters.most_units.max(stop.units());
        }
        stop.time = time;
        let Some(before) = stopping.before else { return };
        stop.disturbance = Disturbance::so_far().since(before.disturbance);
        stop.work = self.work_since(&before);
        let memory = &self.cx.store.memory;
        (stop.used_bytes, stop.explicit_bytes, stop.mapped_bytes) =
            (memory.used_bytes(), memory.explicit_bytes, memory.mapped_bytes());
        stop.counters = self.counters();
        if let Some(observer) = &mut self.observer {
            observer.event(&Event::Stop(stopping.stop));
        }
    }

    fn look_before(&self) -> Before {
        let cx = &self.cx;
        Before {
            disturbance: Disturbance::so_far(),
            epochs: cx.counters.epochs,
            promoted: cx.counters.allocated_objects - cx.counters.young_objects,
            log_words: self.log.len(),
            decrements: cx.decrements.popped(),
            marked_bytes: cx.gray.scanned_bytes(),
        }
    }

    fn work_since(&self, before: &Before) -> Work {
        let cx = &self.cx;
        let epoch = cx.counters.epochs != before.epochs;
        // The count of marking begins anew with each cycle.
        let marked = cx.gray.scanned_bytes();
        Work {
            roots: if epoch { self.roots.listed().count() as u64 } else { 0 },
            survivors: cx.counters.allocated_objects - cx.counters.young_objects - before.promoted,
            log_words: if epoch { before.log_words as u64 } else { 0 },
            decrements: cx.decrements.popped() - before.decrements,
            marked_bytes: marked.checked_sub(before.marked_bytes).unwrap_or(marked) as u64,
        }
    }

    /// The totals, with what was allocated in the epoch that has not ended.
    pub fn counters(&self) -> Counters {
        let (objects, bytes) = self.cx.store.memory.young_allocated();
        let mut counters = self.cx.counters;
        counters.allocated_objects += objects as u64;
        counters.allocated_bytes += bytes as u64;
        counters
    }

    pub(super) fn observe_phase(&mut self) {
        if let Some(observer) = &mut self.observer {
            observer.event(&Event::Phase(self.cx.phase()));
        }
    }

    // ---- epoch ends

    fn epoch_is_due(&mut self, ticked: bool) -> bool {
        let young = self.cx.store.memory.young_bytes();
        let cycle_waits = self.cx.phase() != Phase::Idle
            && !self.has_slices()
            && self.waits_for_epoch_end()
            && young + self.explicit_growth()
                >= self.cycle_slice_bytes().saturating_mul(EPOCH_SLICES).min(self.pacer.epoch_bytes);
        young >= self.pacer.epoch_bytes
            || self.explicit_growth() >= self.explicit_step()
            || self.lists_are_full()
            || cycle_waits
            || self.pacer.epoch_wanted
            || ticked && self.pacer.last_epoch.elapsed() >= self.stale() && self.waits_for_epoch_end()
    }

    /// Whether the epoch end would find as much of what the program has written, or loaded through weak references, as it should.
    fn lists_are_full(&mut self) -> bool {
        self.log.is_full() && !self.log.may_be_put_off() || self.release.waiting.is_full()
    }

    /// What garbage may own that counting has not seen yet.
    fn explicit_growth(&self) -> usize {
        self.cx.store.memory.explicit_bytes.saturating_sub(self.pacer.explicit_before)
    }

    /// Explicit memory that may be allocated before the epoch ends.
    fn explicit_step(&self) -> usize {
        let step = self.pacer.explicit_bytes(self.cx.store.memory.used_bytes());
        if self.cx.phase() == Phase::Idle { step } else { step.min(self.pacer.cycle.explicit_step(&self.cx)) }
    }

    fn stale(&self) -> Duration {
        if self.cx.phase() != Phase::Idle && !self.has_slices() { STALE_CYCLE } else { STALE }
    }

    /// Whether an epoch end would find anything to do.
    fn waits_for_epoch_end(&self) -> bool {
        self.cx.store.memory.young_bytes() != 0
            || !self.log.is_empty()
            || self.release.waiting.any_undecided()
            || self.release.waiting.any_loads()
            || self.handles.any_returned()
            || self.finalizers.any_loans()
            || matches!(self.cx.phase(), Phase::Mark | Phase::MarkAgain | Phase::Drain)
            || self.cx.phase() == Phase::Clear && self.sweep.is_done()
            || self.cx.phase() == Phase::Idle && self.pacer.cycle.cycle_is_due(&self.cx, self.pacer.idle)
    }

    pub(super) fn timed_epoch_end(&mut self, source: &dyn RootSource, stopping: &mut Stopping) {
        let young = self.cx.store.memory.young_bytes();
        // If garbage outruns the slices: more of them.
        let slice_bytes = if self.release.is_empty(&self.cx) { self.pacer.slice_bytes * 2 } else { self.pacer.slice_bytes / 2 };
        self.pacer.slice_bytes = slice_bytes.clamp(SLICE_BYTES_MIN, SLICE_BYTES_MAX);
        self.pacer.epoch_wanted = false;
        let dead_before = self.cx.counters.young_bytes;
        // one-part-a-stop: while marking has more to do than this epoch end brings, slices do it.
        let rests = self.marking.rests(&self.cx, &self.finalizers);
        self.end_epoch(source, rests);
        self.decide_after_epoch();
        let dead = self.cx.counters.young_bytes - dead_before;
        let survived = 1.0 - dead as f64 / young.max(1) as f64;
        let time = self.lap(stopping, Cause::EpochEnd, self.cx.units);
        self.pacer.last_epoch = Instant::now();
        self.pacer.explicit_before = self.cx.store.memory.explicit_bytes;
        // After an epoch end nothing is young: all that is in use lives.
        let live = self.cx.store.memory.used_bytes();
        self.pacer.learn(Duration::from_nanos(time.cpu_ns), young, survived, live);
    }

    /// What may begin after an epoch end: a cycle, a cleaning pass, the turning over of a list.
    fn decide_after_epoch(&mut self) {
        if self.cx.phase() != Phase::Idle {
            return;
        }
        let chain = self.finalizers.waiting() != 0 && self.weak.any_tombs() && self.pacer.cycle.chain_is_worth_it(&self.cx);
        if chain || self.pacer.cycle.cycle_is_due(&self.cx, self.pacer.idle) {
            self.begin_cycle();
        }
        if !self.weak.under_way() && self.weak.pass_is_due(&self.cx, &self.finalizers, self.pacer.idle) {
            self.weak.start_pass(&self.cx, &self.finalizers, Phase::Idle);
        }
        self.finalizers.turn_if_due(&self.cx, false);
    }

    // ---- slices

    /// Whether slices have anything to do.
    pub(super) fn has_slices(&self) -> bool {
        !self.release.is_empty(&self.cx) || self.cycle_has_slices()
    }

    /// Whether the collector has to go on though it has had its share of the time: the heap would outgrow its bounds.
    fn is_urgent(&self) -> bool {
        let memory = &self.cx.store.memory;
        let backlog = self.cx.decrements.len() * BYTES_PER_DECREMENT;
        memory.young_bytes() >= self.pacer.epoch_bytes * EPOCHS_MAX
            || self.explicit_growth() >= self.explicit_step() * EPOCHS_MAX
            || backlog > (memory.used_bytes() / BACKLOG_PART).max(EPOCH_BYTES_MAX)
            || self.log.is_full()
            || self.release.waiting.is_full()
            || self.pacer.epoch_wanted
            || self.cx.phase() != Phase::Idle && self.pacer.cycle.is_late(&self.cx)
    }

    /// One stop's worth of release, or that of so many, and, if time is left, of the cycle.
    fn slice(&mut self, stopping: &mut Stopping, times: usize) {
        let mut budget = Budget::slices(times, self.pacer.slice());
        let cycle = self.cycle_has_slices();
        if !self.release.is_empty(&self.cx) {
            // The cycle gets most of the time, if it needs any. While the program makes no garbage, what is known to be dead goes first.
            if cycle && !self.pacer.idle {
                let mut part = budget.share(25, self.pacer.slice() / 4);
                self.release_step(&mut part);
                budget.join(part);
            } else {
                self.release_step(&mut budget);
            }
            self.lap(stopping, Cause::Release, budget.spent());
        }
        if cycle {
            self.cycle_slice(&mut budget, stopping);
        }
    }

    /// Works on the release queue. `true`: it is empty.
    pub(super) fn release_step(&mut self, budget: &mut Budget) -> bool {
        self.handles.drop_early(&mut self.cx);
        let (release, mut of) = self.release();
        let empty = release.step(&mut of, budget);
        self.release_if_drained();
        empty
    }

    /// Works on the phases of the cycle, or on a pass outside of one.
    pub(super) fn cycle_slice(&mut self, budget: &mut Budget, stopping: &mut Stopping) {
        let mut cpu_ns = 0;
        while self.cycle_has_slices() {
            let before = budget.spent();
            let cause = self.cycle_step(budget);
            cpu_ns += self.lap(stopping, cause, budget.spent() - before).cpu_ns;
            if budget.is_spent() {
                break;
            }
        }
        self.pacer.cycle.spend(Duration::from_nanos(cpu_ns));
    }

    // ---- the next stop

    fn cycle_slice_bytes(&self) -> usize {
        self.pacer.cycle.slice_bytes(&self.cx, self.pacer.slice(), self.pacer.survival)
    }

    /// Sets the alarms of the memory for the next stop.
    pub(super) fn set_alarm(&mut self) {
        let memory = &self.cx.store.memory;
        let pacer = &self.pacer;
        let mut step = pacer.epoch_bytes.saturating_sub(memory.young_bytes());
        let mut explicit = self.explicit_step();
        if !self.release.is_empty(&self.cx) {
            step = step.min(pacer.slice_bytes);
        }
        if pacer.running && self.cx.phase() != Phase::Idle {
            // Waiting for an epoch end, the cycle needs one soon.
            let wanted = self.cycle_slice_bytes();
            let wanted = if self.cycle_has_slices() { wanted } else { wanted.saturating_mul(EPOCH_SLICES) };
            step = step.min(wanted);
            explicit = explicit.min(wanted);
        } else if self.cycle_has_slices() {
            step = step.min(pacer.slice_bytes);
        }
        self.set_alarms(step, explicit);
    }

    /// The least that the program allocates before an alarm.
    fn slice_bytes_min(&self) -> usize {
        let beyond = self.cx.phase() != Phase::Idle && self.pacer.cycle.is_beyond_its_share(&self.cx);
        if beyond { SLICE_BYTES_BEYOND } else { SLICE_BYTES_MIN }
    }

    /// The stop that was due has to wait for its share of the time.
    fn set_alarm_soon(&mut self) {
        self.set_alarms(SLICE_BYTES_MIN, SLICE_BYTES_MAX);
    }

    /// So many bytes of cells, or of explicit blocks, before the next stop.
    fn set_alarms(&mut self, cells: usize, explicit: usize) {
        let before_limit = step_before_limit(&self.cx);
        let cells = cells.min(before_limit).clamp(self.slice_bytes_min(), EPOCH_BYTES_MAX);
        let explicit = explicit.min(before_limit).max(SLICE_BYTES_MAX);
        let awake = self.pacer.running || has_limit(&self.cx);
        let memory = &mut self.cx.store.memory;
        memory.set_run_max(if cells < SLICE_BYTES_MAX { cells } else { usize::MAX });
        memory.set_alarm(if awake { memory.young_bytes() + cells } else { usize::MAX });
        memory.set_explicit_alarm(if awake { explicit } else { usize::MAX });
    }
}
