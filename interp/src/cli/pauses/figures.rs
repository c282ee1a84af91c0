//! The figures of a record: percentiles, shares, the utilisation that the program was left with.
//!
//! * **F1** A percentile is a value that was measured: the least one that so many of all, in percent, do not exceed (nearest rank).
//! * **F2** The utilisation at a window is exact: the least share of the time that the program had in any window of that length within the run, found from
//!   the list of stops, not from samples.
//!
//! Pure.

use super::record::{Record, StopRecord};
use neap_gc::observe::Cause;

/// The windows of the utilisation, in nanoseconds.
pub const WINDOWS_NS: [u64; 4] = [1_000_000, 5_000_000, 20_000_000, 100_000_000];

/// The percentiles that are shown.
pub const PERCENTILES: [f64; 5] = [50.0, 90.0, 99.0, 99.9, 99.99];

/// Figures of a list of times, in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Times {
    pub count: u64,
    pub total_ns: u64,
    /// At [`PERCENTILES`].
    pub percentiles_ns: [u64; PERCENTILES.len()],
    pub max_ns: u64,
}

impl Times {
    /// Of times in ascending order.
    fn of_sorted(times: &[u64]) -> Times {
        Times {
            count: times.len() as u64,
            total_ns: times.iter().sum(),
            percentiles_ns: PERCENTILES.map(|percent| percentile(times, percent)),
            max_ns: times.last().copied().unwrap_or(0),
        }
    }
}

/// F1, of times in ascending order; 0 if there are none.
pub fn percentile(times: &[u64], percent: f64) -> u64 {
    // 99.9 % of 1,000 are 999, whatever the rounding of the product says.
    let rank = (percent / 100.0 * times.len() as f64 - 1e-6).ceil() as usize;
    times.get(rank.clamp(1, times.len().max(1)) - 1).copied().unwrap_or(0)
}

/// The figures of a cause, by the wall and by what the thread has computed.
#[derive(Clone, Debug)]
pub struct Row {
    pub cause: Cause,
    pub wall: Times,
    pub cpu: Times,
}

/// All figures of a record.
#[derive(Clone, Debug)]
pub struct Figures {
    /// [`Cause::Stop`], the stops as a whole, comes first; causes that there were none of are left out.
    pub rows: Vec<Row>,
    /// The run, or what of it counts, up to now.
    pub run_ns: u64,
    pub run_cpu_ns: u64,
    /// At [`WINDOWS_NS`]; none where the run is shorter.
    pub utilisation: [Option<f64>; WINDOWS_NS.len()],
    /// The same if each stop had lasted as long as it computed.
    pub cpu_utilisation: [Option<f64>; WINDOWS_NS.len()],
    pub switches: u64,
    pub disturbed_stops: u64,
    pub faults: u64,
}

impl Figures {
    pub fn of(record: &Record) -> Figures {
        let end_ns = record.now_ns();
        let stops = &record.stops[..];
        let mut rows = Vec::new();
        let causes = std::iter::once(Cause::Stop).chain(Cause::ALL.into_iter().filter(|cause| *cause != Cause::Stop));
        for cause in causes {
            let mut times: (Vec<u64>, Vec<u64>) = match cause {
                Cause::Stop => stops.iter().map(|stop| (stop.ns, stop.cpu_ns)).unzip(),
                _ => record.all_parts().iter().filter(|part| part.cause == cause).map(|part| (part.ns, part.cpu_ns)).unzip(),
            };
            times.0.sort_unstable();
            times.1.sort_unstable();
            if cause == Cause::Stop || !times.0.is_empty() {
                rows.push(Row { cause, wall: Times::of_sorted(&times.0), cpu: Times::of_sorted(&times.1) });
            }
        }
        let wall = Utilisation::new(stops, record.since_ns(), end_ns);
        let cpu = Utilisation::computed(stops, record.since_ns(), end_ns);
        Figures {
            rows,
            run_ns: end_ns - record.since_ns().min(end_ns),
            run_cpu_ns: record.cpu_ns(),
            utilisation: WINDOWS_NS.map(|window| wall.least(window)),
            cpu_utilisation: WINDOWS_NS.map(|window| cpu.least(window)),
            switches: stops.iter().map(|stop| u64::from(stop.switches)).sum(),
            disturbed_stops: stops.iter().filter(|stop| stop.switches > 0).count() as u64,
            faults: stops.iter().map(|stop| u64::from(stop.faults)).sum(),
        }
    }

    /// The stops as a whole.
    pub fn stops(&self) -> &Row {
        &self.rows[0]
    }
    /// The part of the run that stops took, by the wall.
    pub fn share(&self) -> f64 {
        self.stops().wall.total_ns as f64 / self.run_ns.max(1) as f64
    }
    /// The same of what the thread has computed.
    pub fn cpu_share(&self) -> f64 {
        self.stops().cpu.total_ns as f64 / self.run_cpu_ns.max(1) as f64
    }
}

/// The stops of a run, for questions about windows of it (F2).
pub struct Utilisation {
    /// Beginnings and ends, cut to the run.
    stops: Vec<(u64, u64)>,
    start_ns: u64,
    end_ns: u64,
}

impl Utilisation {
    pub fn new(stops: &[StopRecord], start_ns: u64, end_ns: u64) -> Utilisation {
        Utilisation::of(stops.iter().map(|stop| (stop.start_ns, stop.end_ns())), start_ns, end_ns)
    }
    /// As if each stop had lasted as long as it computed.
    pub fn computed(stops: &[StopRecord], start_ns: u64, end_ns: u64) -> Utilisation {
        Utilisation::of(stops.iter().map(|stop| (stop.start_ns, stop.start_ns + stop.cpu_ns.min(stop.ns))), start_ns, end_ns)
    }
    fn of(stops: impl Iterator<Item = (u64, u64)>, start_ns: u64, end_ns: u64) -> Utilisation {
        let cut = |ns: u64| ns.clamp(start_ns, end_ns.max(start_ns));
        let stops = stops.map(|(start, end)| (cut(start), cut(end))).collect();
        Utilisation { stops, start_ns, end_ns }
    }

    /// The least share of the time that the program had in any window of that length; `None` if the run is shorter.
    ///
    /// The time stood still in a window changes with the window's place by a constant rate between points where an edge of the window meets an edge of a stop,
    /// so it is greatest at one of those: where the window begins with a stop, or ends with one (or at the ends of the run).
    pub fn least(&self, window_ns: u64) -> Option<f64> {
        let run_ns = self.end_ns.checked_sub(self.start_ns)?;
        if window_ns == 0 || window_ns > run_ns {
            return None;
        }
        let last_ns = self.end_ns - window_ns;
        let begins = self.stops.iter().map(|stop| stop.0.min(last_ns));
        let ends = self.stops.iter().map(|stop| stop.1.saturating_sub(window_ns).max(self.start_ns));
        let most = self.most_stopped(begins, window_ns).max(self.most_stopped(ends, window_ns));
        Some(1.0 - most as f64 / window_ns as f64)
    }

    /// The most time stood still in the windows that begin at these times, which ascend.
    fn most_stopped(&self, windows: impl Iterator<Item = u64>, window_ns: u64) -> u64 {
        let (mut first, mut behind, mut inside, mut most) = (0, 0, 0u64, 0);
        for from in windows {
            let to = from + window_ns;
            while let Some(stop) = self.stops.get(behind)
                && stop.0 < to
            {
                inside += stop.1 - stop.0;
                behind += 1;
            }
            while first < behind && self.stops[first].1 <= from {
                inside -= self.stops[first].1 - self.stops[first].0;
                first += 1;
            }
            // The first and the last may reach out of the window.
            let mut stopped = inside;
            if first < behind {
                stopped -= from.saturating_sub(self.stops[first].0);
                stopped -= self.stops[behind - 1].1.saturating_sub(to);
            }
            most = most.max(stopped);
        }
        most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(seed: &mut u64) -> u64 {
        *seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        *seed >> 33
    }

    #[test]
    fn percentiles_are_nearest_ranks() {
        let times: Vec<u64> = (1..=1000).collect();
        assert_eq!([50.0, 90.0, 99.0, 99.9, 99.99, 100.0].map(|p| percentile(&times, p)), [500, 900, 990, 999, 1000, 1000]);
        assert_eq!([percentile(&[], 50.0), percentile(&[7], 1.0), percentile(&[7], 99.99)], [0, 7, 7]);
        assert_eq!([percentile(&[1, 2], 50.0), percentile(&[1, 2], 50.1)], [1, 2]);
        // The definition, taken by its word.
        let seed = &mut 3;
        for _ in 0..100 {
            let mut times: Vec<u64> = (0..random(seed) % 50 + 1).map(|_| random(seed) % 20).collect();
            times.sort_unstable();
            for percent in PERCENTILES {
                let reached = |value: &u64| times.iter().filter(|time| *time <= value).count() as f64 * 100.0;
                let least = times.iter().find(|value| reached(value) >= percent * times.len() as f64 - 1e-6);
                assert_eq!(Some(&percentile(&times, percent)), least, "{percent} of {times:?}");
            }
        }
    }

    #[test]
    fn utilisation_of_known_runs() {
        let of =
            |stops: &[(u64, u64)], end, window| Utilisation::new(&Record::of(stops, Cause::Mark).stops, 0, end).least(window);
        assert_eq!(of(&[], 100, 10), Some(1.0));
        assert_eq!(of(&[(50, 10)], 100, 10), Some(0.0));
        assert_eq!(of(&[(50, 10)], 100, 20), Some(0.5));
        assert_eq!(of(&[(50, 10)], 100, 100), Some(0.9));
        assert_eq!(of(&[(50, 10)], 100, 101), None);
        // Two stops that a window reaches.
        assert_eq!(of(&[(20, 10), (35, 10)], 100, 25), Some(1.0 - 20.0 / 25.0));
        assert_eq!(of(&[(20, 10), (35, 10)], 100, 20), Some(1.0 - 15.0 / 20.0));
        // At the ends of the run.
        assert_eq!(of(&[(0, 10)], 100, 20), Some(0.5));
        assert_eq!(of(&[(95, 10)], 100, 10), Some(0.5));
    }

    /// Every window that begins at a whole number, and each stop cut by hand.
    fn naive(stops: &[(u64, u64)], end: u64, window: u64) -> Option<f64> {
        let stopped = |from: u64| -> u64 {
            let to = from + window;
            stops.iter().map(|&(start, ns)| (start + ns).min(to).saturating_sub(start.max(from))).sum()
        };
        (0..(end + 1).checked_sub(window)?).map(stopped).max().map(|most| 1.0 - most as f64 / window as f64)
    }

    #[test]
    fn utilisation_is_that_of_all_windows() {
        let seed = &mut 1;
        for round in 0..300 {
            let (mut at, mut stops) = (0, Vec::new());
            for _ in 0..random(seed) % 30 {
                at += random(seed) % 20;
                let ns = random(seed) % 15;
                stops.push((at, ns));
                at += ns;
            }
            let end = at + random(seed) % 20;
            let curve = Utilisation::new(&Record::of(&stops, Cause::Release).stops, 0, end);
            for window in [1, 2, 3, 7, 20, 50, 120] {
                assert_eq!(curve.least(window), naive(&stops, end, window), "round {round}, window {window}: {stops:?} to {end}");
            }
        }
    }

    #[test]
    fn rows_are_by_cause() {
        let record = Record::of(&[(0, 5), (10, 7)], Cause::Sweep);
        let figures = Figures::of(&record);
        let causes: Vec<_> = figures.rows.iter().map(|row| (row.cause, row.wall.count, row.cpu.total_ns)).collect();
        assert_eq!(causes, [(Cause::Stop, 2, 12), (Cause::Sweep, 2, 12)]);
    }
}
