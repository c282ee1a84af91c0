//! When each part of the collector's work is done: the budget of an epoch, slices between epoch ends.
//!
//! The program comes to a safepoint when the alarm of the memory rings (so many bytes allocated), when the log is long, or when the ticker asks. There it
//! stops once: for an epoch end, or for a slice of what is queued. Both are bounded by time: the epoch's budget follows the measured cost of
//! the last ones, a slice looks at the clock. If garbage outruns the slices, there are more of them, not longer ones.
//!
//! Invariants:
//! P1. One stop is one epoch end or one slice, outside of whole collections (`whole`, `limit`); only if the stop before was an epoch end
//!     too does a slice follow in the same stop. (A program whose every object is as large as an epoch's budget would get no slice at all.) It
//!     is longer if the program has allocated more than a budget at once: garbage must not outrun it. An array that grows at one stroke by
//!     more than that pays with slices first.
//!
//! May import: `object`, `memory`, `observe`.

use super::Phase;
use super::cycle::CyclePace;
use crate::heap::{Heap, RootSource};
use crate::object::Runtime;
use crate::observe::{Cause, Stopwatch};
use std::time::{Duration, Instant};

/// Bounds of an epoch's budget: the young cells should stay in the cache.
const EPOCH_BYTES_MIN: usize = 64 << 10;
const EPOCH_BYTES_FIRST: usize = 128 << 10;
const EPOCH_BYTES_MAX: usize = 1 << 20;
/// Bounds of the bytes allocated between two slices.
const SLICE_BYTES_MIN: usize = 4 << 10;
const SLICE_BYTES_MAX: usize = 64 << 10;
/// Bounds of the words of log that end an epoch; between them the measured cost of the replay decides.
const LOG_WORDS: (usize, usize) = (1 << 10, 64 << 10);
const LOG_NS_PER_WORD: f64 = 20.0;
/// An epoch that the program does not end by allocating is ended after this long.
const STALE: Duration = Duration::from_millis(60);
/// The same while a cycle does nothing but wait for it.
const STALE_CYCLE: Duration = Duration::from_millis(5);
/// Slices in one stop, at most, when an array grows at one stroke by more than an epoch's budget: one for each.
const BULK_SLICES: usize = 6;
/// Given back to the system in one stop.
const PURGE_BYTES: usize = 1 << 20;
/// A cycle that only waits for an epoch end gets one after this many slices' worth of allocation.
const EPOCH_SLICES: usize = 2;
/// A slice is as long as this many at most, for a program that comes to a safepoint too seldom.
const BUDGETS_MAX: usize = 16;
/// A passing over all holders is worth it for this many tombstones (and a quarter of the holders' number).
const TOMBS_MIN: usize = 256;

pub(crate) struct Pacer {
    goal: Duration,
    pub epoch_bytes: usize,
    slice_bytes: usize,
    pub log_limit_words: usize,
    log_ns_per_word: f64,
    pub running: bool,
    /// The runtime has asked for an epoch end.
    pub epoch_wanted: bool,
    pub last_epoch: Instant,
    /// This stop is the ticker's, and the program does not allocate.
    pub idle: bool,
    /// Young bytes after the last stop.
    young_before: usize,
    /// The last stop was an epoch end.
    slice_owed: bool,
    /// Epoch ends since tombstones or waiting finalizers have begun to wait.
    pass_wait: u32,
    pub cycle: CyclePace,
    /// The largest request since the last cycle ended.
    pub largest_bytes: usize,
    /// The least that was in use at a safepoint since the last whole collection.
    pub low_bytes: usize,
    /// The reserve before the limit has been begun, and a whole collection did not help.
    pub exhausted: bool,
    /// The part of what is allocated that survives its epoch, by the last ones.
    pub survival: f64,
    pub safepoints: u32,
}

impl Pacer {
    pub fn new(max_pause_us: u32) -> Pacer {
        let goal = Duration::from_micros(u64::from(max_pause_us.max(50)));
        Pacer {
            goal,
            epoch_bytes: EPOCH_BYTES_FIRST,
            slice_bytes: SLICE_BYTES_MAX,
            log_limit_words: LOG_WORDS.0 * 2,
            log_ns_per_word: LOG_NS_PER_WORD,
            running: true,
            epoch_wanted: false,
            last_epoch: Instant::now(),
            idle: false,
            young_before: 0,
            slice_owed: false,
            pass_wait: 0,
            cycle: CyclePace::new(),
            largest_bytes: 0,
            low_bytes: 0,
            exhausted: false,
            survival: 0.5,
            safepoints: 0,
        }
    }

    /// How long a slice may take.
    pub fn slice(&self) -> Duration {
        self.goal / 4
    }

    /// What an epoch end should take at most.
    fn epoch_goal(&self) -> Duration {
        self.goal * 28 / 100
    }

    /// The replay of so much log took so long.
    pub fn learn_replay(&mut self, words: usize, time: Duration) {
        let measured = time.as_nanos() as f64 / words as f64;
        // Quick to become careful, slow to forget.
        let weight = if measured > self.log_ns_per_word { 0.5 } else { 0.1 };
        self.log_ns_per_word += (measured - self.log_ns_per_word) * weight;
        let share = self.epoch_goal().as_nanos() as f64 / 2.0;
        self.log_limit_words = ((share / self.log_ns_per_word) as usize).clamp(LOG_WORDS.0, LOG_WORDS.1);
    }

    /// `live_bytes`: what is in use beside the young. A small heap keeps a small budget: its peak would be mostly the garbage of one epoch.
    fn learn(&mut self, epoch_end: Duration, young_bytes: usize, survived: f64, live_bytes: usize) {
        self.survival = (self.survival * 0.75 + survived * 0.25).clamp(0.05, 1.0);
        let goal = self.epoch_goal();
        if epoch_end > goal {
            // Survivors and logs are in proportion to the budget; what is not can't be helped by it.
            let ratio = goal.as_nanos() as f64 / epoch_end.as_nanos() as f64;
            let scaled = (young_bytes.min(self.epoch_bytes) as f64 * ratio.max(0.5)) as usize;
            self.epoch_bytes = scaled.clamp(EPOCH_BYTES_MIN, EPOCH_BYTES_MAX);
        } else if epoch_end * 2 < goal && young_bytes >= self.epoch_bytes {
            self.epoch_bytes = (self.epoch_bytes + self.epoch_bytes / 8).min(EPOCH_BYTES_MAX);
        }
        self.epoch_bytes = self.epoch_bytes.min((live_bytes / 4).clamp(EPOCH_BYTES_FIRST, EPOCH_BYTES_MAX));
    }
}

impl<R: Runtime> Heap<R> {
    /// See [`Heap::safepoint`].
    pub(crate) fn stop(&mut self, roots: &dyn RootSource) {
        if self.stress_cycle != 0 {
            return self.stress(roots);
        }
        if self.collect_before_limit(roots) || !self.col.pacer.running {
            return;
        }
        let mut watch = Stopwatch::start();
        let ticked = self.ticker.as_ref().is_some_and(|ticker| ticker.take());
        // Whether the program has gone on without allocating.
        let idle = self.store.memory.young_bytes() <= self.col.pacer.young_before + SLICE_BYTES_MIN;
        self.col.pacer.idle = ticked && idle;
        if self.epoch_is_due(ticked) {
            // How many budgets the program has used up without a safepoint between.
            let budgets = (self.store.memory.young_bytes() / self.col.pacer.epoch_bytes).clamp(1, BUDGETS_MAX);
            self.timed_epoch_end(roots, &mut watch);
            let starved = std::mem::replace(&mut self.col.pacer.slice_owed, true);
            if starved && self.has_slices() {
                self.slice(&mut watch, budgets as u32);
            }
        } else if self.has_slices() {
            self.col.pacer.slice_owed = false;
            self.slice(&mut watch, 1);
        } else if ticked {
            // Nothing else to do: memory that has been idle for a while goes back to the system.
            self.store.trim();
            self.store.memory.purge(Instant::now(), PURGE_BYTES);
        } else {
            self.set_alarm();
            return;
        }
        self.col.pacer.young_before = self.store.memory.young_bytes();
        if let Some(ticker) = &self.ticker {
            ticker.set_busy((idle || self.col.pacer.cycle.overdue) && (self.has_slices() || self.col.phase != Phase::Idle));
        }
        self.set_alarm();
        self.pauses.end(watch);
    }

    /// An array is about to grow by `bytes`: what is dead makes room first.
    pub(crate) fn pay_for_growth(&mut self, bytes: usize) {
        if bytes < EPOCH_BYTES_MAX / 2 || self.release_is_empty() || !self.col.pacer.running || self.stress_cycle != 0 {
            return;
        }
        let mut watch = Stopwatch::start();
        let slices = bytes.div_ceil(EPOCH_BYTES_MAX).min(BULK_SLICES) as u32;
        let (start, time) = (cpu_time(), self.col.pacer.slice() * slices);
        // A deadline in the past: one batch. The time that other programs take does not count, the dead should be gone.
        while !self.release_slice(Instant::now()) && cpu_time() - start < time {}
        self.pauses.lap(&mut watch, Cause::Release);
        self.pauses.end(watch);
    }

    fn epoch_is_due(&self, ticked: bool) -> bool {
        let young = self.store.memory.young_bytes();
        let cycle_waits = self.col.phase != Phase::Idle
            && !self.has_slices()
            && self.waits_for_epoch_end()
            && young >= (self.cycle_slice_bytes() * EPOCH_SLICES).min(self.col.pacer.epoch_bytes);
        let full = young >= self.col.pacer.epoch_bytes || self.col.log.len() >= self.col.pacer.log_limit_words || cycle_waits;
        full || self.col.pacer.epoch_wanted
            || ticked && self.col.pacer.last_epoch.elapsed() >= self.stale() && self.waits_for_epoch_end()
    }

    fn stale(&self) -> Duration {
        if self.col.phase != Phase::Idle && !self.has_slices() { STALE_CYCLE } else { STALE }
    }

    /// Whether an epoch end would find anything to do.
    fn waits_for_epoch_end(&self) -> bool {
        let col = &self.col;
        self.store.memory.young_bytes() != 0
            || !col.log.is_empty()
            || !col.waiting.is_empty()
            || !col.dropped.is_empty()
            || !col.loaned.is_empty()
            || matches!(col.phase, Phase::Mark | Phase::MarkAgain | Phase::Drain)
            || col.phase == Phase::Clear && col.sweep.cleared
            || col.phase == Phase::Idle && self.cycle_is_due()
    }

    pub(super) fn timed_epoch_end(&mut self, roots: &dyn RootSource, watch: &mut Stopwatch) {
        let young = self.store.memory.young_bytes();
        if !self.release_is_empty() {
            // Garbage outruns the slices: more of them.
            self.col.pacer.slice_bytes = (self.col.pacer.slice_bytes / 2).max(SLICE_BYTES_MIN);
        } else {
            self.col.pacer.slice_bytes = (self.col.pacer.slice_bytes * 2).min(SLICE_BYTES_MAX);
        }
        self.col.pacer.epoch_wanted = false;
        let dead_before = self.col.counters.young_bytes;
        let start = cpu_time();
        // P1: while marking has more to do than this epoch end brings, slices do it.
        self.end_epoch(roots, self.marking_rests());
        self.decide_after_epoch();
        let dead = self.col.counters.young_bytes - dead_before;
        let survived = 1.0 - dead as f64 / young.max(1) as f64;
        self.pauses.lap(watch, Cause::EpochEnd);
        self.col.pacer.last_epoch = Instant::now();
        // After an epoch end nothing is young: all that is in use lives.
        let live = self.store.memory.used_bytes();
        self.col.pacer.learn(cpu_time() - start, young, survived, live);
    }

    /// What may begin after an epoch end: a cycle, a cleaning pass, the turning over of a list.
    fn decide_after_epoch(&mut self) {
        if self.col.phase != Phase::Idle {
            return;
        }
        if self.cycle_is_due() || self.chain_is_due() {
            let overdue = !self.has_grown();
            self.begin_cycle();
            self.col.pacer.cycle.overdue = overdue;
        }
        if self.col.pass.is_none() && self.pass_is_due() {
            self.start_pass(Phase::Idle);
        }
        self.turn_if_stale();
    }

    fn pass_is_due(&mut self) -> bool {
        let col = &mut self.col;
        let waiting = col.tombs.len() + col.fin_wait.len() + col.weak_dead.len();
        let dead_holders = col.dead_holders > 64 && col.dead_holders * 2 > col.holders.len();
        if waiting == 0 {
            col.pacer.pass_wait = 0;
            return dead_holders;
        }
        col.pacer.pass_wait += 1;
        let due = dead_holders
            || waiting > TOMBS_MIN.max(col.holders.len() / 4)
            || col.pacer.pass_wait > 16
            || !col.fin_wait.is_empty() && col.pacer.pass_wait > 4;
        if due {
            col.pacer.pass_wait = 0;
        }
        due
    }

    /// Whether slices have anything to do.
    fn has_slices(&self) -> bool {
        !self.release_is_empty() || self.cycle_has_slices()
    }

    fn cycle_has_slices(&self) -> bool {
        let pass = self.col.pass.is_some();
        match self.col.phase {
            Phase::Idle => pass || self.col.turn_left != 0,
            Phase::Clear => pass || !self.col.sweep.cleared,
            Phase::Mark | Phase::MarkAgain => !self.marking_rests(),
            Phase::Drain => false,
            _ => true,
        }
    }

    /// One stop's worth of release, or that of so many, and, if time is left, of the cycle.
    fn slice(&mut self, watch: &mut Stopwatch, times: u32) {
        let slice = self.col.pacer.slice() * times;
        let start = Instant::now();
        let cycle = self.cycle_has_slices();
        if !self.release_is_empty() {
            // The cycle gets most of the time, if it needs any. While the program makes no garbage, what is known to be dead goes first.
            let shared = cycle && !self.col.pacer.idle;
            self.release_slice(start + if shared { slice / 4 } else { slice });
            self.pauses.lap(watch, Cause::Release);
        }
        if cycle {
            self.cycle_slice(start + slice, watch);
        }
    }

    /// Works on the phase of the cycle (or on a pass outside of one).
    pub(crate) fn cycle_slice(&mut self, deadline: Instant, watch: &mut Stopwatch) {
        let start = cpu_time();
        while self.cycle_has_slices() {
            let cause = match self.col.phase {
                Phase::Mark | Phase::MarkAgain => {
                    self.mark_slice(deadline);
                    Cause::Mark
                }
                Phase::Clear if self.col.pass.is_none() => {
                    self.sweep_slice(deadline);
                    Cause::Sweep
                }
                Phase::Detach | Phase::Release => {
                    self.sweep_slice(deadline);
                    Cause::Sweep
                }
                Phase::ListFinalizable => {
                    self.list_slice(deadline);
                    Cause::Finalize
                }
                _ => {
                    self.clean_slice(deadline);
                    Cause::Clean
                }
            };
            self.pauses.lap(watch, cause);
            if Instant::now() >= deadline {
                break;
            }
        }
        self.col.pacer.cycle.ns += (cpu_time() - start).as_nanos() as u64;
    }

    fn clean_slice(&mut self, deadline: Instant) {
        loop {
            for _ in 0..16 {
                if !self.pass_unit() && !self.turn_unit() {
                    return;
                }
            }
            if Instant::now() >= deadline {
                return;
            }
        }
    }

    fn list_slice(&mut self, deadline: Instant) {
        loop {
            for _ in 0..64 {
                if !self.turn_unit() {
                    self.start_second_round();
                    return;
                }
            }
            if Instant::now() >= deadline {
                return;
            }
        }
    }

    /// Sets the alarm of the memory for the next stop.
    pub(crate) fn set_alarm(&mut self) {
        let young = self.store.memory.young_bytes();
        let pacer = &self.col.pacer;
        let mut step = pacer.epoch_bytes.saturating_sub(young);
        if !self.release_is_empty() {
            step = step.min(pacer.slice_bytes);
        }
        if pacer.running && self.col.phase != Phase::Idle {
            // Waiting for an epoch end, the cycle needs one soon.
            let wanted = self.cycle_slice_bytes();
            let wanted = if self.cycle_has_slices() { wanted } else { wanted * EPOCH_SLICES };
            step = step.min(wanted);
        } else if self.cycle_has_slices() {
            step = step.min(pacer.slice_bytes);
        }
        let step = step.min(self.step_before_limit()).clamp(SLICE_BYTES_MIN, EPOCH_BYTES_MAX);
        let at = if pacer.running || self.has_limit() { young + step } else { usize::MAX };
        self.store.memory.set_run_max(if step < SLICE_BYTES_MAX { step } else { usize::MAX });
        self.store.memory.set_alarm(at);
    }
}

/// What this thread has computed so far: the pacer learns from it, undisturbed by what else the machine does.
pub(super) fn cpu_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}
