//! The pacer: how much the program may do before the next stop, and how much of the time the collector may have.
//!
//! Stops are planned by time: the budget of an epoch follows the measured cost of the last epoch ends, a slice has a deadline. If garbage outruns the
//! slices, there are more of them, not longer ones; and all stops together are kept within a share of the time, as long as that does not cost memory.
//!
//! Invariants:
//! * **share-of-time** In any window the collector has at most its share of the time ([`SHARE`], if nothing else is asked for) and [`Pacer::goal`] more, unless the heap would outgrow its
//!   bounds: such stops are counted (`Counters::urgent`). What a stop takes beyond the goal is not made up for: that the machine did something else meanwhile,
//!   or that the program asked for a whole collection, should not let garbage pile up.
//!
//! May import: `memory`, `observe`, and of the collector `context`, `pace`.

use super::context::Context;
use super::pace::Pace;
use std::time::{Duration, Instant};

/// The pacer learns from what the thread has computed, undisturbed by what else the machine does.
pub(super) use crate::observe::{cpu_since, cpu_time};

/// Bounds of an epoch's budget: the young cells should stay in the cache.
const EPOCH_BYTES_MIN: usize = 64 << 10;
pub(super) const EPOCH_BYTES_FIRST: usize = 128 << 10;
pub(super) const EPOCH_BYTES_MAX: usize = 1 << 20;
/// Bounds of the bytes allocated between two slices.
pub(super) const SLICE_BYTES_MIN: usize = 4 << 10;
pub(super) const SLICE_BYTES_MAX: usize = 64 << 10;
/// Bounds of the explicit memory allocated within an epoch: garbage may own it.
const EXPLICIT_BYTES: (usize, usize) = (1 << 20, 64 << 20);
/// The part of the heap that may be allocated explicitly within an epoch.
const EXPLICIT_PART: usize = 16;
/// The share of the time that the collector may have, in percent, and the bounds of what may be asked for.
pub(crate) const SHARE: u32 = 75;
const SHARES: (u32, u32) = (1, 95);
/// The shortest goal that anything can be planned by, in microseconds.
const GOAL_MIN_US: u32 = 50;

pub(crate) struct Pacer {
    goal: Duration,
    share: u32,
    pub epoch_bytes: usize,
    pub slice_bytes: usize,
    /// The least of explicit bytes since the last epoch end.
    pub explicit_before: usize,
    pub running: bool,
    /// The runtime has asked for an epoch end.
    pub epoch_wanted: bool,
    pub last_epoch: Instant,
    /// When idle memory was last given back.
    pub last_purge: Instant,
    /// This stop is the ticker's, and the program does not allocate.
    pub idle: bool,
    /// Young bytes after the last stop.
    pub young_before: usize,
    /// The last stop was an epoch end.
    pub slice_owed: bool,
    pub cycle: Pace,
    /// The largest request since the last cycle ended.
    pub largest_bytes: usize,
    /// The least that was in use at a safepoint since the last whole collection.
    pub low_bytes: usize,
    /// The reserve before the limit has been begun, and a whole collection did not help.
    pub exhausted: bool,
    /// The part of what is allocated that survives its epoch, by the last ones.
    pub survival: f64,
    pub safepoints: u32,
    /// Nanoseconds that the collector may have by now, and when the last stop ended (share-of-time).
    credit_ns: i64,
    stop_end: Instant,
}

impl Pacer {
    pub fn new(max_pause_us: u32, max_overhead_percent: u32) -> Pacer {
        let goal = goal_of(max_pause_us);
        Pacer {
            goal,
            share: share_of(max_overhead_percent),
            epoch_bytes: EPOCH_BYTES_FIRST,
            slice_bytes: SLICE_BYTES_MAX,
            explicit_before: 0,
            running: true,
            epoch_wanted: false,
            last_epoch: Instant::now(),
            last_purge: Instant::now(),
            idle: false,
            young_before: 0,
            slice_owed: false,
            cycle: Pace::new(),
            largest_bytes: 0,
            low_bytes: 0,
            exhausted: false,
            survival: 0.5,
            safepoints: 0,
            credit_ns: goal.as_nanos() as i64,
            stop_end: Instant::now(),
        }
    }

    /// The two goals, in microseconds and percent. They hold from the next stop on.
    pub fn goals(&self) -> (u32, u32) {
        (self.goal.as_micros() as u32, self.share)
    }
    pub fn set_goals(&mut self, max_pause_us: u32, max_overhead_percent: u32) {
        self.goal = goal_of(max_pause_us);
        self.share = share_of(max_overhead_percent);
    }

    /// How long a slice may take.
    pub fn slice(&self) -> Duration {
        self.goal / 4
    }
    /// What an epoch end should take at most.
    pub fn epoch_goal(&self) -> Duration {
        self.goal * 28 / 100
    }
    /// Explicit memory that may be allocated before the epoch ends.
    pub fn explicit_bytes(&self, used_bytes: usize) -> usize {
        (used_bytes / EXPLICIT_PART).clamp(EXPLICIT_BYTES.0, EXPLICIT_BYTES.1)
    }

    /// A stop begins: what the program has had since the last one entitles the collector to its share.
    pub fn begin_stop(&mut self) {
        let program = Instant::now().saturating_duration_since(self.stop_end).as_nanos();
        let earned = i64::try_from(program).unwrap_or(i64::MAX / 200) * i64::from(self.share) / i64::from(100 - self.share);
        self.credit_ns = self.credit_ns.saturating_add(earned).min(self.goal.as_nanos() as i64);
    }
    /// At a stop: what has been freed explicitly makes room for more, before the next epoch end and before the next cycle.
    pub fn look(&mut self, cx: &Context) {
        let low = cx.store.memory.explicit_low();
        self.explicit_before = self.explicit_before.min(low);
        self.cycle.look(cx, low);
    }
    pub fn end_stop(&mut self, ns: u64) {
        self.credit_ns = (self.credit_ns - ns as i64).max(-(self.goal.as_nanos() as i64));
        self.stop_end = Instant::now();
    }
    /// Whether the collector has used up its share for now.
    pub fn has_had_its_share(&self) -> bool {
        self.credit_ns <= 0
    }

    /// An epoch has ended. `live_bytes`: what is in use. A small heap keeps a small budget: its peak would be mostly the garbage of one epoch.
    pub fn learn(&mut self, time: Duration, young_bytes: usize, survived: f64, live_bytes: usize) {
        self.survival = (self.survival * 0.75 + survived * 0.25).clamp(0.05, 1.0);
        let goal = self.epoch_goal();
        if time > goal {
            // Survivors and logs are in proportion to the budget; what is not can't be helped by it.
            let ratio = goal.as_nanos() as f64 / time.as_nanos() as f64;
            let scaled = (young_bytes.min(self.epoch_bytes) as f64 * ratio.max(0.5)) as usize;
            self.epoch_bytes = scaled.clamp(EPOCH_BYTES_MIN, EPOCH_BYTES_MAX);
        } else if time * 2 < goal && young_bytes >= self.epoch_bytes {
            self.epoch_bytes = (self.epoch_bytes + self.epoch_bytes / 8).min(EPOCH_BYTES_MAX);
        }
        self.epoch_bytes = self.epoch_bytes.min((live_bytes / 4).clamp(EPOCH_BYTES_FIRST, EPOCH_BYTES_MAX));
    }
}

fn goal_of(max_pause_us: u32) -> Duration {
    Duration::from_micros(u64::from(max_pause_us.max(GOAL_MIN_US)))
}

fn share_of(max_overhead_percent: u32) -> u32 {
    max_overhead_percent.clamp(SHARES.0, SHARES.1)
}
