//! When a cycle starts, and how fast it runs.
//!
//! A cycle is worth its cost where it finds much. So it waits for growth, for less of it where many events (R27) say that garbage is likely, and
//! each cycle's find sets the growth that the next one waits for. If a program that only grew begins to drop things, its events tell before
//! growth does. Once begun a cycle should end within a tenth of growth: the bytes that the program may allocate between two slices follow from
//! what it has still to cost.
//!
//! Invariants:
//! * **no-event-no-cycle** Without an event no cycle starts (R27), unless finalizers wait for weak tables to be cleaned.
//!
//! May import: `memory`, and of the collector `context`, `relief` (how near the limit is).

use super::context::Context;
use super::relief::growth_before_limit;
use std::time::{Duration, Instant};

/// A cycle may start when the heap has grown by this much since the last one ended, whatever its size.
const GROWTH_MIN: usize = 512 << 10;
/// Growth, in percent of what the last cycle left, that starts a cycle: with many events, with few. Cycles that find little raise it.
const EAGER_PERCENT: (usize, usize) = (10, 80);
const LAZY_PERCENT: (usize, usize) = (60, 120);
/// The same for explicit blocks: a cycle does not look into them, so it is cheap beside what it may set free.
const EXPLICIT_PERCENT: usize = 10;
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
/// Stops that the shortest cycle takes, by which explicit memory comes back.
const CYCLE_STOPS: usize = 8;
/// What a cycle costs in all, beside its marking.
const AFTER_MARKING: f64 = 1.25;
/// What a cycle costs, before one has been measured.
const CYCLE_NS_PER_BYTE: f64 = 1.5;
/// A cycle may clean the weak tables that finalizers wait for when this many times the heap has been allocated since the last one: only a cycle
/// takes a chain of weak keys and values at once, where a pass takes a link.
const CHAIN_FACTOR: u64 = 4;

/// What the cycles so far have taught, and how the one under way stands.
pub(crate) struct Pace {
    /// When the last cycle ended, and how long it took from its begin.
    end: Instant,
    begin: Instant,
    time: Duration,
    patience: u32,
    /// Bytes of cells when cycles in vain taught that: a heap that has grown far beyond is another.
    patience_cells: usize,
    /// The cycle under way began because it was overdue.
    overdue: bool,
    /// Bytes of cells when the last cycle ended, and the least of explicit blocks since: what garbage owned is freed only when its finalizers have run.
    base_cells: usize,
    base_explicit: usize,
    eager_percent: usize,
    lazy_percent: usize,
    /// Whether the cycle under way began because of many events.
    eager: bool,
    /// What had been allocated when the last cycle ended.
    allocated_before: u64,
    /// The least bytes of cells since the cycle under way began.
    low_cells: usize,
    /// When the cycle under way began: what the cycles had reclaimed, the bytes in use.
    reclaimed_before: u64,
    used_before: usize,
    cells_before: usize,
    events_before: u64,
    /// Bytes that the cycles have found for each event before them.
    found_per_event: f64,
    /// Time spent on the cycle under way, and what the last ones took for each byte that was in use.
    ns: u64,
    ns_per_byte: f64,
}

impl Pace {
    pub fn new() -> Pace {
        Pace {
            end: Instant::now(),
            begin: Instant::now(),
            time: Duration::ZERO,
            patience: PATIENCE.0,
            patience_cells: 0,
            overdue: false,
            base_cells: 0,
            base_explicit: 0,
            eager_percent: EAGER_PERCENT.0,
            lazy_percent: LAZY_PERCENT.0,
            eager: false,
            allocated_before: 0,
            low_cells: 0,
            reclaimed_before: 0,
            used_before: 0,
            cells_before: 0,
            events_before: 0,
            found_per_event: 0.0,
            ns: 0,
            ns_per_byte: CYCLE_NS_PER_BYTE,
        }
    }

    pub fn begin(&mut self, cx: &Context) {
        self.eager = self.many_events(cx);
        self.overdue = !self.has_grown(cx);
        self.begin = Instant::now();
        self.used_before = cx.store.memory.used_bytes();
        self.cells_before = cells(cx);
        self.low_cells = self.cells_before;
        self.reclaimed_before = cx.counters.cyclic_bytes;
        self.events_before = cx.events;
        self.ns = 0;
    }

    /// The release has ended: what it found sets the pace of the next.
    pub fn end(&mut self, cx: &Context) {
        self.end = Instant::now();
        self.time = self.end.saturating_duration_since(self.begin);
        let found = (cx.counters.cyclic_bytes - self.reclaimed_before) as usize;
        self.rebase(cx);
        // What counting has given back meanwhile was not replaced by what lives: the cycle has kept all that was born in its course.
        self.base_cells = self.base_cells.min(self.low_cells);
        self.allocated_before = cx.counters.allocated_bytes;
        let measured = self.ns as f64 / self.used_before.max(1 << 20) as f64;
        self.ns_per_byte = (self.ns_per_byte + measured) / 2.0;
        let found_per_event = found as f64 / self.events_before.max(1) as f64;
        // Quick to hope, slow to give up.
        self.found_per_event = found_per_event.max((self.found_per_event + found_per_event) / 2.0);
        match found.saturating_mul(100) / self.cells_before.max(1) {
            0..=4 if self.overdue => {
                // Where counting has given most of it back meanwhile, nothing is learnt.
                if self.base_cells >= self.cells_before / 2 {
                    self.patience = (self.patience(cx) * 2).min(PATIENCE.1);
                    self.patience_cells = cells(cx);
                }
            }
            0..=4 if self.eager => self.eager_percent = (self.eager_percent * 3 / 2).min(EAGER_PERCENT.1),
            0..=4 => self.lazy_percent = (self.lazy_percent * 5 / 4).min(LAZY_PERCENT.1),
            5..=9 => {}
            _ => {
                self.patience = PATIENCE.0;
                self.eager_percent = EAGER_PERCENT.0;
                self.lazy_percent = (self.lazy_percent * 4 / 5).max(LAZY_PERCENT.0);
            }
        }
    }

    /// Growth is counted from here.
    pub fn rebase(&mut self, cx: &Context) {
        self.base_cells = cells(cx);
        self.base_explicit = cx.store.memory.explicit_bytes;
    }
    /// At a stop. Explicit blocks had no more than this.
    pub fn look(&mut self, cx: &Context, explicit_low: usize) {
        self.low_cells = self.low_cells.min(cells(cx));
        self.base_explicit = self.base_explicit.min(explicit_low);
    }
    fn base_bytes(&self) -> usize {
        self.base_cells + self.base_explicit
    }

    /// Time spent on the cycle under way.
    pub fn spend(&mut self, time: Duration) {
        self.ns += time.as_nanos() as u64;
    }
    pub fn is_overdue(&self) -> bool {
        self.overdue
    }

    fn growth(&self, cx: &Context) -> usize {
        cells(cx).saturating_sub(self.base_cells) + cx.store.memory.explicit_bytes.saturating_sub(self.base_explicit)
    }

    /// Many events for the growth: garbage is likely.
    fn many_events(&self, cx: &Context) -> bool {
        (cx.events as usize).saturating_mul(BYTES_PER_EVENT) >= self.growth(cx)
    }

    /// Whether the heap has grown enough for a cycle.
    fn has_grown(&self, cx: &Context) -> bool {
        let percent = if self.many_events(cx) { self.eager_percent } else { self.lazy_percent };
        let wanted = (self.base_cells / 100 * percent + self.base_explicit / 100 * EXPLICIT_PERCENT).max(GROWTH_MIN);
        self.growth(cx) >= wanted.min(growth_before_limit(cx, self.base_bytes())) || self.finds_are_likely(cx)
    }

    /// Whether cycles that found little have been put off, but the events since promise one that finds much.
    fn finds_are_likely(&self, cx: &Context) -> bool {
        self.eager_percent > EAGER_PERCENT.0
            && cx.events as f64 * self.found_per_event >= (self.base_bytes() / 100 * EAGER_PERCENT.0).max(GROWTH_MIN) as f64
    }

    /// `idle`: the program goes on without allocating.
    pub fn cycle_is_due(&self, cx: &Context, idle: bool) -> bool {
        // no-event-no-cycle
        cx.events != 0 && (self.has_grown(cx) || self.cycle_is_overdue(cx, idle))
    }

    /// Whether a cycle has not been for so long that what was let go should not wait for growth.
    fn cycle_is_overdue(&self, cx: &Context, idle: bool) -> bool {
        let since = self.end.elapsed();
        let cost = Duration::from_nanos((cx.store.memory.used_bytes() as f64 * self.ns_per_byte) as u64);
        idle && since >= (self.time * IDLE_REST).max(IDLE_REST_MIN) || since >= (cost * self.patience(cx)).max(PATIENCE_MIN)
    }

    fn patience(&self, cx: &Context) -> u32 {
        if cells(cx) > self.patience_cells * 4 { PATIENCE.0 } else { self.patience }
    }

    /// Whether the program has allocated so much that finalizers which wait for weak tables are worth a cycle.
    pub fn chain_is_worth_it(&self, cx: &Context) -> bool {
        let allocated = cx.counters.allocated_bytes.saturating_sub(self.allocated_before);
        allocated >= cx.store.memory.used_bytes() as u64 * CHAIN_FACTOR
    }

    /// Bytes that the program may allocate before the cycle's next slice, for the cycle to end within its share of growth. `survival`: the part of them
    /// that stays.
    pub fn slice_bytes(&self, cx: &Context, slice: Duration, survival: f64) -> usize {
        let share = self.share(cx);
        let cost = self.cost(cx);
        let cost_left = (cost - self.ns as f64).max(cost / 8.0);
        let share_left = (share - self.grown(cx)).max(share / 16.0);
        (slice.as_nanos() as f64 * share_left / cost_left / survival) as usize
    }

    /// Explicit bytes that the program may allocate before the cycle's next stop. However little a cycle costs, it takes some epoch ends, and what garbage
    /// owns piles up till the last of them.
    pub fn explicit_step(&self, cx: &Context) -> usize {
        self.share(cx) as usize / CYCLE_STOPS
    }

    /// Whether the heap has grown by a larger part of the cycle's share than what it has done is of its work.
    pub fn is_late(&self, cx: &Context) -> bool {
        let done = (self.ns as f64 / self.cost(cx)).min(1.0);
        self.grown(cx) > self.share(cx) * done
    }

    /// Whether it has grown by all of it.
    pub fn is_beyond_its_share(&self, cx: &Context) -> bool {
        self.grown(cx) > self.share(cx)
    }

    fn share(&self, cx: &Context) -> f64 {
        let share = (self.used_before / 100 * CYCLE_PERCENT).max(GROWTH_MIN / 2);
        share.min(growth_before_limit(cx, self.used_before)) as f64
    }
    fn grown(&self, cx: &Context) -> f64 {
        cx.store.memory.used_bytes().saturating_sub(self.used_before) as f64
    }

    /// Nanoseconds that the cycle under way will have taken: first what the last ones did, then what its own marking tells. (A graph that the program has
    /// mixed up since takes several times as long.)
    fn cost(&self, cx: &Context) -> f64 {
        let expected = self.used_before as f64 * self.ns_per_byte;
        let scanned = cx.gray.scanned_bytes();
        if !cx.shading() || scanned < self.used_before / 32 {
            return expected;
        }
        let marking = self.ns as f64 / scanned as f64 * self.used_before as f64;
        expected.max(marking * AFTER_MARKING)
    }
}

/// Bytes in use that are not explicit blocks.
fn cells(cx: &Context) -> usize {
    cx.store.memory.used_bytes() - cx.store.memory.explicit_bytes
}
