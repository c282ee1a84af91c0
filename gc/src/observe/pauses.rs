//! The pause recorder: how long the program stood still for the collector, by cause, in nanoseconds of the wall and of the processor.
//!
//! * **measured-once** A stop of the program is measured once as a whole, and its parts once each by cause; the parts never
//!   overlap, so their sum is at most the whole. Both clocks are read together.
//! * **no-value-no-histogram** A histogram is made when its first value arrives: a heap that never paused owns none.
//! * **recording-never-fails** Recording never fails: a value above the range counts as the greatest one, the true maximum is kept beside it.
//! * **histograms-grow** A histogram covers milliseconds at first and grows when a longer pause comes: most heaps never see one.
//!
//! Imports `clock`.

use super::clock::cpu_time;
use hdrhistogram::Histogram;
use std::time::{Duration, Instant};

/// What the program waited for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Cause {
    EpochEnd,
    /// A slice of the release queue.
    Release,
    Mark,
    Sweep,
    /// A slice of the cleaning of weak holders.
    Clean,
    /// The hand-over of finalizers.
    Finalize,
    /// A whole collection that the program asked for; no stop of the collector's own.
    Whole,
    /// The release of all that is known to be dead, because a request near the limit would have been refused.
    Relief,
    /// A stop from its beginning to its end, all causes together.
    Stop,
}

impl Cause {
    pub const ALL: [Cause; 9] = [
        Cause::EpochEnd,
        Cause::Release,
        Cause::Mark,
        Cause::Sweep,
        Cause::Clean,
        Cause::Finalize,
        Cause::Whole,
        Cause::Relief,
        Cause::Stop,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Cause::EpochEnd => "epoch end",
            Cause::Release => "release",
            Cause::Mark => "mark",
            Cause::Sweep => "sweep",
            Cause::Clean => "clean",
            Cause::Finalize => "finalize",
            Cause::Whole => "whole",
            Cause::Relief => "relief",
            Cause::Stop => "stop",
        }
    }
}

/// The figures of one cause, in nanoseconds. The quantiles are exact to 1 %, the maximum and the total are exact.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Summary {
    pub count: u64,
    pub p50_ns: u64,
    pub p90_ns: u64,
    pub p99_ns: u64,
    pub p999_ns: u64,
    pub p9999_ns: u64,
    pub max_ns: u64,
    pub total_ns: u64,
}

/// A time on both clocks, in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Lap {
    /// Of the wall.
    pub ns: u64,
    /// That this thread has computed: what the machine did else meanwhile is not in it.
    pub cpu_ns: u64,
}

/// A minute: longer values are recorded as this (recording-never-fails).
const RANGE_NS: u64 = 60_000_000_000;
/// What a new histogram covers (histograms-grow).
const FIRST_RANGE_NS: u64 = 4_000_000;
/// Shorter differences are not told apart.
const RESOLUTION_NS: u64 = 32;
const SIGNIFICANT_DIGITS: u8 = 2;

struct Record {
    histogram: Histogram<u32>,
    max_ns: u64,
    total_ns: u64,
}

/// Both clocks at a moment.
#[derive(Clone, Copy, Debug)]
struct Reading {
    wall: Instant,
    cpu: Duration,
}

impl Reading {
    #[inline]
    fn now() -> Reading {
        Reading { wall: Instant::now(), cpu: cpu_time() }
    }
    #[inline]
    fn since(self, earlier: Reading) -> Lap {
        Lap {
            ns: nanoseconds(self.wall.saturating_duration_since(earlier.wall)),
            cpu_ns: nanoseconds(self.cpu.saturating_sub(earlier.cpu)),
        }
    }
}

/// Measures one stop, part by part.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch {
    start: Reading,
    lap: Reading,
}

impl Stopwatch {
    #[inline]
    pub fn start() -> Stopwatch {
        let now = Reading::now();
        Stopwatch { start: now, lap: now }
    }
    /// When it was started.
    pub fn started(&self) -> Instant {
        self.start.wall
    }
    /// When the last lap ended.
    pub fn lapped(&self) -> Instant {
        self.lap.wall
    }
    /// The time since the last lap (or the start), which ends here.
    #[inline]
    pub fn lap(&mut self) -> Lap {
        let now = Reading::now();
        let lap = now.since(self.lap);
        self.lap = now;
        lap
    }
    /// The time since the start.
    #[inline]
    pub fn elapsed(&self) -> Lap {
        Reading::now().since(self.start)
    }
}

/// The clocks that a pause is recorded by.
const CLOCKS: usize = 2;
const WALL: usize = 0;
const CPU: usize = 1;

/// All pauses of a heap.
#[derive(Default)]
pub struct Pauses {
    records: [[Option<Box<Record>>; CLOCKS]; Cause::ALL.len()],
}

impl Pauses {
    pub const fn new() -> Pauses {
        Pauses { records: [const { [const { None }; CLOCKS] }; Cause::ALL.len()] }
    }

    /// The part since the last lap (or the start) went to `cause`. Returns its time.
    #[inline]
    pub fn lap(&mut self, watch: &mut Stopwatch, cause: Cause) -> Lap {
        let lap = watch.lap();
        self.record(cause, lap);
        lap
    }

    /// The stop is over. Returns its time.
    #[inline]
    pub fn end(&mut self, watch: Stopwatch) -> Lap {
        let lap = watch.elapsed();
        self.record(Cause::Stop, lap);
        lap
    }

    /// Records one pause.
    #[inline]
    pub fn record(&mut self, cause: Cause, lap: Lap) {
        for (clock, ns) in [(WALL, lap.ns), (CPU, lap.cpu_ns)] {
            match &mut self.records[cause as usize][clock] {
                Some(record) => record.add(ns),
                None => self.first(cause, clock, ns),
            }
        }
    }

    #[cold]
    fn first(&mut self, cause: Cause, clock: usize, ns: u64) {
        // The bounds are constants that the constructor accepts; should it ever refuse them, nothing is recorded (recording-never-fails).
        if let Ok(mut histogram) = Histogram::new_with_bounds(RESOLUTION_NS, FIRST_RANGE_NS, SIGNIFICANT_DIGITS) {
            histogram.auto(true);
            let mut record = Box::new(Record { histogram, max_ns: 0, total_ns: 0 });
            record.add(ns);
            self.records[cause as usize][clock] = Some(record);
        }
    }

    /// The figures of one cause by the wall; zeros if there was none.
    pub fn summary(&self, cause: Cause) -> Summary {
        self.summary_by(cause, WALL)
    }
    /// The same by the time that the thread has computed.
    pub fn cpu_summary(&self, cause: Cause) -> Summary {
        self.summary_by(cause, CPU)
    }

    fn summary_by(&self, cause: Cause, clock: usize) -> Summary {
        self.records[cause as usize][clock].as_ref().map_or_else(Summary::default, |record| {
            let at = |quantile| record.histogram.value_at_quantile(quantile).min(record.max_ns);
            Summary {
                count: record.histogram.len(),
                p50_ns: at(0.5),
                p90_ns: at(0.9),
                p99_ns: at(0.99),
                p999_ns: at(0.999),
                p9999_ns: at(0.9999),
                max_ns: record.max_ns,
                total_ns: record.total_ns,
            }
        })
    }

    /// Visits the histogram of one cause, by the wall, from the shortest to the longest: upper bound in nanoseconds, number of pauses up to it.
    pub fn distribution(&self, cause: Cause, mut visit: impl FnMut(u64, u64)) {
        if let Some(record) = &self.records[cause as usize][WALL] {
            for value in record.histogram.iter_recorded() {
                visit(value.value_iterated_to(), u64::from(value.count_at_value()));
            }
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Pauses::new();
    }
}

impl Record {
    #[inline]
    fn add(&mut self, ns: u64) {
        // In range, and the histogram grows: it can't be refused (recording-never-fails).
        let _ = self.histogram.record(ns.clamp(1, RANGE_NS));
        self.max_ns = self.max_ns.max(ns);
        self.total_ns = self.total_ns.saturating_add(ns);
    }
}

#[inline]
fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wall(ns: u64) -> Lap {
        Lap { ns, cpu_ns: ns / 2 }
    }

    #[test]
    fn nothing_is_made_before_the_first_pause() {
        let pauses = Pauses::new();
        assert!(pauses.records.iter().flatten().all(Option::is_none));
        assert_eq!(pauses.summary(Cause::Mark), Summary::default());
    }

    #[test]
    fn quantiles_of_a_known_distribution() {
        let mut pauses = Pauses::new();
        for us in 1..=10_000u64 {
            pauses.record(Cause::EpochEnd, wall(us * 1000));
        }
        let near = |got: u64, want: u64| got.abs_diff(want) * 100 <= want;
        for (s, unit) in [(pauses.summary(Cause::EpochEnd), 1000), (pauses.cpu_summary(Cause::EpochEnd), 500)] {
            assert_eq!((s.count, s.max_ns, s.total_ns), (10_000, 10_000 * unit, 50_005_000 * unit));
            assert!(near(s.p50_ns, 5_000 * unit) && near(s.p90_ns, 9_000 * unit) && near(s.p99_ns, 9_900 * unit), "{s:?}");
            assert!(near(s.p999_ns, 9_990 * unit) && near(s.p9999_ns, 9_999 * unit), "{s:?}");
        }
        let mut seen = 0;
        pauses.distribution(Cause::EpochEnd, |_, n| seen += n);
        assert_eq!(seen, 10_000);
        assert_eq!(pauses.summary(Cause::Stop).count, 0);
    }

    #[test]
    fn values_out_of_range_are_kept() {
        let mut pauses = Pauses::new();
        for ns in [0, u64::MAX, u64::MAX] {
            pauses.record(Cause::Stop, Lap { ns, cpu_ns: ns });
        }
        for s in [pauses.summary(Cause::Stop), pauses.cpu_summary(Cause::Stop)] {
            assert_eq!((s.count, s.max_ns, s.total_ns), (3, u64::MAX, u64::MAX));
        }
    }

    #[test]
    fn parts_do_not_exceed_the_whole() {
        let mut pauses = Pauses::new();
        for _ in 0..100 {
            let mut watch = Stopwatch::start();
            let parts = [pauses.lap(&mut watch, Cause::Release), pauses.lap(&mut watch, Cause::Mark)];
            let whole = pauses.end(watch);
            assert!(parts[0].ns + parts[1].ns <= whole.ns && parts[0].cpu_ns + parts[1].cpu_ns <= whole.cpu_ns);
        }
        assert_eq!(pauses.summary(Cause::Stop).count, 100);
    }

    /// A delay planted in a part is found in the figures of that part and of the stop, on the clock that it has gone by: sleep on the wall alone.
    #[test]
    fn a_planted_delay_is_found() {
        let mut pauses = Pauses::new();
        let delay = Duration::from_millis(5);
        for planted in 0..20 {
            let mut watch = Stopwatch::start();
            pauses.lap(&mut watch, Cause::Release);
            if planted == 7 {
                std::thread::sleep(delay);
            }
            if planted == 11 {
                let start = cpu_time();
                while cpu_time() - start < delay {}
            }
            pauses.lap(&mut watch, Cause::Mark);
            pauses.end(watch);
        }
        let delay_ns = nanoseconds(delay);
        for cause in [Cause::Mark, Cause::Stop] {
            let (wall, cpu) = (pauses.summary(cause), pauses.cpu_summary(cause));
            assert!(wall.max_ns >= delay_ns && wall.total_ns >= 2 * delay_ns, "{wall:?}");
            assert!((delay_ns..2 * delay_ns).contains(&cpu.total_ns), "what was slept is not computed: {cpu:?}");
        }
        assert!(pauses.cpu_summary(Cause::Release).total_ns < delay_ns);
    }
}
