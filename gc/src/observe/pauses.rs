//! The pause recorder: how long the program stood still for the collector, by cause, in nanoseconds.
//!
//! * **measured-once** A stop of the program is measured once as a whole, and its parts once each by cause; the parts never
//!   overlap, so their sum is at most the whole.
//! * **no-value-no-histogram** A histogram is made when its first value arrives: a heap that never paused owns none.
//! * **recording-never-fails** Recording never fails: a value above the range counts as the greatest one, the true maximum is kept beside it.
//! * **histograms-grow** A histogram covers milliseconds at first and grows when a longer pause comes: most heaps never see one.

use hdrhistogram::Histogram;
use std::time::Instant;

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
    pub p99_ns: u64,
    pub p999_ns: u64,
    pub max_ns: u64,
    pub total_ns: u64,
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

/// Measures one stop, part by part.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch {
    start: Instant,
    lap: Instant,
}

impl Stopwatch {
    #[inline]
    pub fn start() -> Stopwatch {
        let now = Instant::now();
        Stopwatch { start: now, lap: now }
    }

    /// Nanoseconds since the start.
    #[inline]
    pub fn elapsed_ns(&self) -> u64 {
        nanoseconds(self.start, Instant::now())
    }
}

/// All pauses of a heap.
#[derive(Default)]
pub struct Pauses {
    records: [Option<Box<Record>>; Cause::ALL.len()],
}

impl Pauses {
    pub const fn new() -> Pauses {
        Pauses { records: [const { None }; Cause::ALL.len()] }
    }

    /// The part since the last lap (or the start) went to `cause`. Returns its nanoseconds.
    #[inline]
    pub fn lap(&mut self, watch: &mut Stopwatch, cause: Cause) -> u64 {
        let now = Instant::now();
        let ns = nanoseconds(watch.lap, now);
        watch.lap = now;
        self.record(cause, ns);
        ns
    }

    /// The stop is over. Returns its nanoseconds.
    #[inline]
    pub fn end(&mut self, watch: Stopwatch) -> u64 {
        let ns = watch.elapsed_ns();
        self.record(Cause::Stop, ns);
        ns
    }

    /// Records one value.
    #[inline]
    pub fn record(&mut self, cause: Cause, ns: u64) {
        match &mut self.records[cause as usize] {
            Some(record) => record.add(ns),
            None => self.first(cause, ns),
        }
    }

    #[cold]
    fn first(&mut self, cause: Cause, ns: u64) {
        // The bounds are constants that the constructor accepts; should it ever refuse them, nothing is recorded (recording-never-fails).
        if let Ok(mut histogram) = Histogram::new_with_bounds(RESOLUTION_NS, FIRST_RANGE_NS, SIGNIFICANT_DIGITS) {
            histogram.auto(true);
            let mut record = Box::new(Record { histogram, max_ns: 0, total_ns: 0 });
            record.add(ns);
            self.records[cause as usize] = Some(record);
        }
    }

    /// The figures of one cause; zeros if there was none.
    pub fn summary(&self, cause: Cause) -> Summary {
        self.records[cause as usize].as_ref().map_or_else(Summary::default, |record| {
            let at = |quantile| record.histogram.value_at_quantile(quantile).min(record.max_ns);
            Summary {
                count: record.histogram.len(),
                p50_ns: at(0.5),
                p99_ns: at(0.99),
                p999_ns: at(0.999),
                max_ns: record.max_ns,
                total_ns: record.total_ns,
            }
        })
    }

    /// Visits the histogram of one cause from the shortest to the longest: upper bound in nanoseconds, number of pauses up to it.
    pub fn distribution(&self, cause: Cause, mut visit: impl FnMut(u64, u64)) {
        if let Some(record) = &self.records[cause as usize] {
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
fn nanoseconds(from: Instant, to: Instant) -> u64 {
    u64::try_from(to.saturating_duration_since(from).as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_made_before_the_first_pause() {
        let pauses = Pauses::new();
        assert!(pauses.records.iter().all(Option::is_none));
        assert_eq!(pauses.summary(Cause::Mark), Summary::default());
    }

    #[test]
    fn quantiles_of_a_known_distribution() {
        let mut pauses = Pauses::new();
        for us in 1..=1000u64 {
            pauses.record(Cause::EpochEnd, us * 1000);
        }
        let s = pauses.summary(Cause::EpochEnd);
        let near = |got: u64, want: u64| got.abs_diff(want) * 100 <= want;
        assert_eq!((s.count, s.max_ns, s.total_ns), (1000, 1_000_000, 500_500_000));
        assert!(near(s.p50_ns, 500_000) && near(s.p99_ns, 990_000) && near(s.p999_ns, 999_000), "{s:?}");
        let mut seen = 0;
        pauses.distribution(Cause::EpochEnd, |_, n| seen += n);
        assert_eq!(seen, 1000);
        assert_eq!(pauses.summary(Cause::Stop).count, 0);
    }

    #[test]
    fn values_out_of_range_are_kept() {
        let mut pauses = Pauses::new();
        pauses.record(Cause::Stop, 0);
        pauses.record(Cause::Stop, u64::MAX);
        pauses.record(Cause::Stop, u64::MAX);
        let s = pauses.summary(Cause::Stop);
        assert_eq!((s.count, s.max_ns, s.total_ns), (3, u64::MAX, u64::MAX));
    }

    #[test]
    fn parts_do_not_exceed_the_whole() {
        let mut pauses = Pauses::new();
        for _ in 0..100 {
            let mut watch = Stopwatch::start();
            let parts = pauses.lap(&mut watch, Cause::Release) + pauses.lap(&mut watch, Cause::Mark);
            assert!(parts <= pauses.end(watch));
        }
        assert_eq!(pauses.summary(Cause::Stop).count, 100);
    }
}
