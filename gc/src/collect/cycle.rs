//! When a cycle starts, and how fast it runs.
//!
//! A cycle is worth its cost where it finds much. So it waits for growth, for less of it where many events (R27) say that garbage is likely, and
//! each cycle's find sets the growth that the next one waits for. If a program that only grew begins to drop things, its events tell before
//! growth does. Once begun a cycle should end within a tenth of growth: the bytes that the program may allocate between two slices follow from
//! what it has still to cost.
//!
//! Invariants:
//! Q1. Without an event no cycle starts (R27), unless finalizers wait for weak tables to be cleaned.
//!
//! May import: `object`, `memory`.

use crate::heap::Heap;
use crate::object::Runtime;
use std::time::{Duration, Instant};

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
/// What a cycle costs in all, beside its marking.
const AFTER_MARKING: f64 = 1.25;
/// What a cycle costs, before one has been measured.
const CYCLE_NS_PER_BYTE: f64 = 1.5;
/// A cycle may clean the weak tables that finalizers wait for when this many times the heap has been allocated since the last one: only a cycle
/// takes a chain of weak keys and values at once, where a pass takes a link.
const CHAIN_FACTOR: u64 = 4;

/// What the cycles so far have taught, and how the one under way stands.
pub(crate) struct CyclePace {
    /// When the last cycle ended, and how long it took from its begin.
    end: Instant,
    begin: Instant,
    time: Duration,
    patience: u32,
    /// The cycle under way began because it was overdue.
    pub overdue: bool,
    /// Bytes in use when the last cycle ended.
    pub base_bytes: usize,
    eager_percent: usize,
    lazy_percent: usize,
    /// Whether the cycle under way began because of many events.
    eager: bool,
    /// What had been allocated when the last cycle ended.
    allocated_before: u64,
    /// When the cycle under way began: what the cycles had reclaimed, the bytes in use.
    reclaimed_before: u64,
    used_before: usize,
    events_before: u64,
    /// Bytes that the cycles have found for each event before them.
    found_per_event: f64,
    /// Time spent on the cycle under way, and what the last ones took for each byte that was in use.
    pub ns: u64,
    ns_per_byte: f64,
}

impl CyclePace {
    pub fn new() -> CyclePace {
        CyclePace {
            end: Instant::now(),
            begin: Instant::now(),
            time: Duration::ZERO,
            patience: PATIENCE.0,
            overdue: false,
            base_bytes: 0,
            eager_percent: EAGER_PERCENT.0,
            lazy_percent: LAZY_PERCENT.0,
            eager: false,
            allocated_before: 0,
            reclaimed_before: 0,
            used_before: 0,
            events_before: 0,
            found_per_event: 0.0,
            ns: 0,
            ns_per_byte: CYCLE_NS_PER_BYTE,
        }
    }
}

impl<R: Runtime> Heap<R> {
    pub(crate) fn begin_cycle(&mut self) {
        let eager = self.many_events();
        let pace = &mut self.col.pacer.cycle;
        pace.eager = eager;
        pace.begin = Instant::now();
        pace.overdue = false;
        pace.used_before = self.store.memory.used_bytes();
        pace.reclaimed_before = self.col.counters.cyclic_bytes;
        pace.events_before = self.col.events;
        pace.ns = 0;
        self.start_clearing();
    }

    /// The release has ended: what it found sets the pace of the next.
    pub(crate) fn end_cycle(&mut self) {
        self.col.pacer.largest_bytes = 0;
        let pace = &mut self.col.pacer.cycle;
        pace.end = Instant::now();
        pace.time = pace.end - pace.begin;
        let found = (self.col.counters.cyclic_bytes - pace.reclaimed_before) as usize;
        pace.base_bytes = self.store.memory.used_bytes();
        pace.allocated_before = self.col.counters.allocated_bytes;
        let measured = pace.ns as f64 / pace.used_before.max(1 << 20) as f64;
        pace.ns_per_byte = (pace.ns_per_byte + measured) / 2.0;
        let found_per_event = found as f64 / pace.events_before.max(1) as f64;
        // Quick to hope, slow to give up.
        pace.found_per_event = found_per_event.max((pace.found_per_event + found_per_event) / 2.0);
        match found * 100 / pace.used_before.max(1) {
            0..=4 if pace.overdue => {
                // Where counting has given most of it back meanwhile, nothing is learnt.
                if pace.base_bytes >= pace.used_before / 2 {
                    pace.patience = (pace.patience * 2).min(PATIENCE.1);
                }
            }
            0..=4 if pace.eager => pace.eager_percent = (pace.eager_percent * 3 / 2).min(EAGER_PERCENT.1),
            0..=4 => pace.lazy_percent = (pace.lazy_percent * 5 / 4).min(LAZY_PERCENT.1),
            5..=9 => {}
            _ => {
                pace.patience = PATIENCE.0;
                pace.eager_percent = EAGER_PERCENT.0;
                pace.lazy_percent = (pace.lazy_percent * 4 / 5).max(LAZY_PERCENT.0);
            }
        }
    }

    fn growth(&self) -> usize {
        self.store.memory.used_bytes().saturating_sub(self.col.pacer.cycle.base_bytes)
    }

    /// Many events for the growth: garbage is likely.
    fn many_events(&self) -> bool {
        (self.col.events as usize).saturating_mul(BYTES_PER_EVENT) >= self.growth()
    }

    /// Whether the heap has grown enough for a cycle.
    pub(super) fn has_grown(&self) -> bool {
        let pace = &self.col.pacer.cycle;
        let percent = if self.many_events() { pace.eager_percent } else { pace.lazy_percent };
        let wanted = (pace.base_bytes / 100 * percent).max(GROWTH_MIN);
        self.growth() >= wanted.min(self.growth_before_limit(pace.base_bytes)) || self.finds_are_likely()
    }

    /// Whether cycles that found little have been put off, but the events since promise one that finds much.
    fn finds_are_likely(&self) -> bool {
        let pace = &self.col.pacer.cycle;
        pace.eager_percent > EAGER_PERCENT.0
            && self.col.events as f64 * pace.found_per_event >= (pace.base_bytes / 100 * EAGER_PERCENT.0).max(GROWTH_MIN) as f64
    }

    pub(super) fn cycle_is_due(&self) -> bool {
        // Q1.
        self.col.events != 0 && (self.has_grown() || self.cycle_is_overdue())
    }

    /// Whether a cycle has not been for so long that what was let go should not wait for growth.
    fn cycle_is_overdue(&self) -> bool {
        let pace = &self.col.pacer.cycle;
        let since = pace.end.elapsed();
        let cost = Duration::from_nanos((self.store.memory.used_bytes() as f64 * pace.ns_per_byte) as u64);
        self.col.pacer.idle && since >= (pace.time * IDLE_REST).max(IDLE_REST_MIN)
            || since >= (cost * pace.patience).max(PATIENCE_MIN)
    }

    /// Whether finalizers wait for weak tables to be cleaned, and a cycle is not too much for that.
    pub(super) fn chain_is_due(&self) -> bool {
        let allocated = self.col.counters.allocated_bytes - self.col.pacer.cycle.allocated_before;
        !self.col.fin_wait.is_empty()
            && !self.col.tombs.is_empty()
            && allocated >= self.store.memory.used_bytes() as u64 * CHAIN_FACTOR
    }

    /// Bytes that the program may allocate before the cycle's next slice, for the cycle to end within its share of growth.
    pub(super) fn cycle_slice_bytes(&self) -> usize {
        let pace = &self.col.pacer.cycle;
        let share = (pace.used_before / 100 * CYCLE_PERCENT).max(GROWTH_MIN / 2);
        let share = share.min(self.growth_before_limit(pace.used_before)) as f64;
        let grown = self.store.memory.used_bytes().saturating_sub(pace.used_before) as f64;
        let cost = self.cycle_cost();
        let cost_left = (cost - pace.ns as f64).max(cost / 8.0);
        let share_left = (share - grown).max(share / 16.0);
        (self.col.pacer.slice().as_nanos() as f64 * share_left / cost_left / self.col.pacer.survival) as usize
    }

    /// Nanoseconds that the cycle under way will have taken: first what the last ones did, then what its own marking tells. (A graph that the program has
    /// mixed up since takes several times as long.)
    fn cycle_cost(&self) -> f64 {
        let pace = &self.col.pacer.cycle;
        let expected = pace.used_before as f64 * pace.ns_per_byte;
        let scanned = self.col.gray.scanned_bytes;
        if !self.col.shading || scanned < pace.used_before / 32 {
            return expected;
        }
        let marking = pace.ns as f64 / scanned as f64 * pace.used_before as f64;
        expected.max(marking * AFTER_MARKING)
    }
}
