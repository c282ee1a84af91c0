//! When each part of the collector's work is done: the budget of an epoch, slices between epoch ends, the start of a cycle.
//!
//! The program comes to a safepoint when the alarm of the memory rings (so many bytes allocated), when the log is long, or when the ticker asks. There it
//! stops once: for an epoch end, or for a slice of what is queued. Both are bounded by time: the epoch's budget follows the measured cost of
//! the last ones, a slice looks at the clock. If garbage outruns the slices, there are more of them, not longer ones.
//!
//! Invariants:
//! P1. One stop is one epoch end or one slice, outside of the calls that ask for a whole collection; only if the stop before was an epoch end
//!     too does a slice follow in the same stop. (A program whose every object is as large as an epoch's budget would get no slice at all.) It
//!     is longer if the program has allocated more than a budget at once: garbage must not outrun it. An array that grows at one stroke by
//!     more than that pays with slices first.
//! P2. Without an event no cycle starts (R27), unless finalizers wait for weak tables to be cleaned.
//!
//! May import: `object`, `memory`, `observe`.

use super::Phase;
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
/// A cycle may start when the heap has grown by this much since the last one ended, whatever its size.
const GROWTH_MIN: usize = 512 << 10;
/// Growth, in percent of what the last cycle left, that starts a cycle: with many events, with few. Cycles that find little raise it.
const EAGER_PERCENT: (usize, usize) = (10, 80);
const LAZY_PERCENT: (usize, usize) = (60, 120);
/// A program that does not allocate rests from cycles for so many times the length of the last one, and at least so long.
const IDLE_REST: u32 = 4;
const IDLE_REST_MIN: Duration = Duration::from_millis(200);
/// A cycle that growth has not started for so many times its expected cost, and not for so long, starts all the same: what a program has let go should
/// come back though it makes nothing that stays. Such a cycle that finds little doubles the times, one that finds much resets them.
const PATIENCE: (u32, u32) = (2, 128);
const PATIENCE_MIN: Duration = Duration::from_millis(400);
/// There are many events if each would have to have cut off no more than this to make up for the growth.
const BYTES_PER_EVENT: usize = 512;
/// Growth, in percent, during which a cycle should run from its begin to its end.
const CYCLE_PERCENT: usize = 10;
/// A cycle that only waits for an epoch end gets one after this many slices' worth of allocation.
const EPOCH_SLICES: usize = 2;
/// What a cycle costs in all, beside its marking.
const AFTER_MARKING: f64 = 1.25;
/// What a cycle costs, before one has been measured.
const CYCLE_NS_PER_BYTE: f64 = 1.5;
/// A slice is as long as this many at most, for a program that comes to a safepoint too seldom.
const BUDGETS_MAX: usize = 16;
/// A cycle may clean the weak tables that finalizers wait for when this many times the heap has been allocated since the last one: only a cycle
/// takes a chain of weak keys and values at once, where a pass takes a link.
const CHAIN_FACTOR: u64 = 4;
/// A passing over all holders is worth it for this many tombstones (and a quarter of the holders' number).
const TOMBS_MIN: usize = 256;
/// Work in a step that a program asks for, for each byte of its size, and in any step at most. A cycle takes a fraction of that for each byte
/// in use, so a program that steps at the pace of its allocation keeps well ahead of it.
const STEP_NS_PER_BYTE: u64 = 20;
const STEP_MAX: Duration = Duration::from_secs(1);

pub(crate) struct Pacer {
    goal: Duration,
    pub epoch_bytes: usize,
    slice_bytes: usize,
    pub log_limit_words: usize,
    log_ns_per_word: f64,
    pub running: bool,
    /// The runtime has asked for an epoch end.
    pub epoch_wanted: bool,
    last_epoch: Instant,
    /// This stop is the ticker's, and the program does not allocate.
    idle: bool,
    /// When the last cycle ended, and how long it took from its begin.
    cycle_end: Instant,
    cycle_begin: Instant,
    cycle_time: Duration,
    patience: u32,
    /// The cycle under way began because it was overdue.
    overdue: bool,
    /// Young bytes after the last stop.
    young_before: usize,
    /// The last stop was an epoch end.
    slice_owed: bool,
    /// Epoch ends since tombstones or waiting finalizers have begun to wait.
    pass_wait: u32,
    /// Bytes in use when the last cycle ended.
    base_bytes: usize,
    /// The largest request since then.
    pub largest_bytes: usize,
    /// The reserve before the limit has been begun, and a whole collection did not help.
    pub exhausted: bool,
    eager_percent: usize,
    lazy_percent: usize,
    /// Whether the cycle under way began because of many events.
    eager: bool,
    /// What had been allocated when the last cycle ended.
    allocated_before: u64,
    /// When the cycle under way began: what the cycles had reclaimed, the bytes in use.
    reclaimed_before: u64,
    used_before: usize,
    /// Time spent on the cycle under way, and what the last one took for each byte that was in use.
    cycle_ns: u64,
    cycle_ns_per_byte: f64,
    /// The part of what is allocated that survives its epoch, by the last ones.
    survival: f64,
    safepoints: u32,
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
            cycle_end: Instant::now(),
            cycle_begin: Instant::now(),
            cycle_time: Duration::ZERO,
            patience: PATIENCE.0,
            overdue: false,
            young_before: 0,
            slice_owed: false,
            pass_wait: 0,
            base_bytes: 0,
            largest_bytes: 0,
            exhausted: false,
            eager_percent: EAGER_PERCENT.0,
            eager: false,
            lazy_percent: LAZY_PERCENT.0,
            allocated_before: 0,
            reclaimed_before: 0,
            used_before: 0,
            cycle_ns: 0,
            cycle_ns_per_byte: CYCLE_NS_PER_BYTE,
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
            ticker.set_busy((idle || self.col.pacer.overdue) && (self.has_slices() || self.col.phase != Phase::Idle));
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

    fn timed_epoch_end(&mut self, roots: &dyn RootSource, watch: &mut Stopwatch) {
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
            self.col.pacer.overdue = overdue;
        }
        if self.col.pass.is_none() && self.pass_is_due() {
            self.start_pass(Phase::Idle);
        }
        self.turn_if_stale();
    }

    pub(crate) fn begin_cycle(&mut self) {
        self.col.pacer.eager = self.many_events();
        let pacer = &mut self.col.pacer;
        pacer.cycle_begin = Instant::now();
        pacer.overdue = false;
        pacer.used_before = self.store.memory.used_bytes();
        pacer.reclaimed_before = self.col.counters.cyclic_bytes;
        pacer.cycle_ns = 0;
        self.start_clearing();
    }

    /// The release has ended: what it found sets the pace of the next.
    pub(crate) fn end_cycle(&mut self) {
        let pacer = &mut self.col.pacer;
        pacer.cycle_end = Instant::now();
        pacer.cycle_time = pacer.cycle_end - pacer.cycle_begin;
        let found = (self.col.counters.cyclic_bytes - pacer.reclaimed_before) as usize;
        pacer.base_bytes = self.store.memory.used_bytes();
        pacer.largest_bytes = 0;
        pacer.allocated_before = self.col.counters.allocated_bytes;
        let measured = pacer.cycle_ns as f64 / pacer.used_before.max(1 << 20) as f64;
        pacer.cycle_ns_per_byte = (pacer.cycle_ns_per_byte + measured) / 2.0;
        match found * 100 / pacer.used_before.max(1) {
            // Where counting has given most of it back meanwhile, nothing is learnt.
            0..=4 if pacer.overdue && pacer.base_bytes < pacer.used_before / 2 => {}
            0..=4 if pacer.overdue => pacer.patience = (pacer.patience * 2).min(PATIENCE.1),
            0..=4 => {
                if pacer.eager {
                    pacer.eager_percent = (pacer.eager_percent * 3 / 2).min(EAGER_PERCENT.1);
                } else {
                    pacer.lazy_percent = (pacer.lazy_percent * 5 / 4).min(LAZY_PERCENT.1);
                }
            }
            5..=9 => {}
            _ => {
                pacer.patience = PATIENCE.0;
                pacer.eager_percent = EAGER_PERCENT.0;
                pacer.lazy_percent = (pacer.lazy_percent * 4 / 5).max(LAZY_PERCENT.0);
            }
        }
    }

    pub(super) fn growth(&self) -> usize {
        self.store.memory.used_bytes().saturating_sub(self.col.pacer.base_bytes)
    }

    /// Many events for the growth: garbage is likely.
    fn many_events(&self) -> bool {
        (self.col.events as usize).saturating_mul(BYTES_PER_EVENT) >= self.growth()
    }

    /// Whether the heap has grown enough for a cycle.
    fn has_grown(&self) -> bool {
        let pacer = &self.col.pacer;
        let percent = if self.many_events() { pacer.eager_percent } else { pacer.lazy_percent };
        let wanted = (pacer.base_bytes / 100 * percent).max(GROWTH_MIN);
        self.growth() >= wanted.min(self.growth_before_limit(pacer.base_bytes))
    }

    fn cycle_is_due(&self) -> bool {
        // P2.
        self.col.events != 0 && (self.has_grown() || self.cycle_is_overdue())
    }

    /// Whether a cycle has not been for so long that what was let go should not wait for growth.
    fn cycle_is_overdue(&self) -> bool {
        let pacer = &self.col.pacer;
        let since = pacer.cycle_end.elapsed();
        let cost = Duration::from_nanos((self.store.memory.used_bytes() as f64 * pacer.cycle_ns_per_byte) as u64);
        pacer.idle && since >= (pacer.cycle_time * IDLE_REST).max(IDLE_REST_MIN)
            || since >= (cost * pacer.patience).max(PATIENCE_MIN)
    }

    /// Whether finalizers wait for weak tables to be cleaned, and a cycle is not too much for that.
    fn chain_is_due(&self) -> bool {
        let allocated = self.col.counters.allocated_bytes - self.col.pacer.allocated_before;
        !self.col.fin_wait.is_empty()
            && !self.col.tombs.is_empty()
            && allocated >= self.store.memory.used_bytes() as u64 * CHAIN_FACTOR
    }

    /// Bytes that the program may allocate before the cycle's next slice, for the cycle to end within its share of growth.
    fn cycle_slice_bytes(&self) -> usize {
        let pacer = &self.col.pacer;
        let share = (pacer.used_before / 100 * CYCLE_PERCENT).max(GROWTH_MIN / 2);
        let share = share.min(self.growth_before_limit(pacer.used_before)) as f64;
        let grown = self.store.memory.used_bytes().saturating_sub(pacer.used_before) as f64;
        let cost = self.cycle_cost();
        let cost_left = (cost - pacer.cycle_ns as f64).max(cost / 8.0);
        let share_left = (share - grown).max(share / 16.0);
        (pacer.slice().as_nanos() as f64 * share_left / cost_left / pacer.survival) as usize
    }

    /// Nanoseconds that the cycle under way will have taken: first what the last ones did, then what its own marking tells. (A graph that the program has
    /// mixed up since takes several times as long.)
    fn cycle_cost(&self) -> f64 {
        let pacer = &self.col.pacer;
        let expected = pacer.used_before as f64 * pacer.cycle_ns_per_byte;
        let scanned = self.col.gray.scanned_bytes;
        if !self.col.shading || scanned < pacer.used_before / 32 {
            return expected;
        }
        let marking = pacer.cycle_ns as f64 / scanned as f64 * pacer.used_before as f64;
        expected.max(marking * AFTER_MARKING)
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
        self.col.pacer.cycle_ns += (cpu_time() - start).as_nanos() as u64;
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
        let step = step.min(self.store.memory.room() / 4).clamp(SLICE_BYTES_MIN, EPOCH_BYTES_MAX);
        let at = if pacer.running || self.has_limit() { young + step } else { usize::MAX };
        self.store.memory.set_run_max(if step < SLICE_BYTES_MAX { step } else { usize::MAX });
        self.store.memory.set_alarm(at);
    }

    // ---- whole collections

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
        self.col.pacer.base_bytes = self.store.memory.used_bytes();
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
    fn stress(&mut self, roots: &dyn RootSource) {
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

/// What this thread has computed so far: the pacer learns from it, undisturbed by what else the machine does.
pub(super) fn cpu_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

fn far() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}
