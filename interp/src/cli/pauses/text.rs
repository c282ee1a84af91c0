//! The report for people to read in a terminal, and the words for causes that all reports share.
//!
//! Pure.

use super::Heading;
use super::budget::Verdict;
use super::figures::{Figures, PERCENTILES, Times, WINDOWS_NS};
use super::record::{Record, StopRecord};
use crate::cli::stats::bytes;
use neap_gc::observe::Cause;
use std::fmt::Write;

/// So many of the slowest stops are shown.
pub const SLOWEST: usize = 10;

/// What a stop is for that no cause has been named for.
const MEMORY_BACK: &str = "memory back";

/// What a cause is, in a line.
pub fn explained(cause: Cause) -> &'static str {
    match cause {
        Cause::Stop => "the program stood still, from its stopping to its going on: all causes together",
        Cause::EpochEnd => {
            "what is new is counted: roots, stacks that ran, the log of writes, what survives; by what the program did"
        }
        Cause::Release => "what counting knows to be dead is freed, and what hung from it; by the garbage of old objects",
        Cause::Mark => "a slice of marking, which finds dead cycles; by what lives, spread over many slices",
        Cause::Sweep => "a slice of going over the blocks: marks are cleared, dead cycles detached and freed",
        Cause::Clean => "a slice of going over weak tables, for entries that are dead",
        Cause::Finalize => "a slice of listing the objects whose finalizers fall due",
        Cause::Whole => "asked for by the program (collectgarbage, gc.collect, gc.step): as long as it takes",
        Cause::Relief => "near the limit of the heap: what is known to be dead is freed before a request is refused",
    }
}

/// The causes of a stop, in words.
pub fn causes(record: &Record, stop: usize) -> String {
    let names: Vec<&str> = record.causes(stop).into_iter().map(Cause::name).collect();
    if names.is_empty() { MEMORY_BACK.into() } else { names.join(", ") }
}

/// What a stop has gone through, in words.
pub fn work(stop: &StopRecord) -> String {
    let work = &stop.work;
    let counts = [
        // A whole collection counts none.
        (stop.units, "unit"),
        (work.roots, "root"),
        (work.survivors, "survivor"),
        (work.log_words, "word of log"),
        (work.decrements, "decrement"),
    ];
    let mut parts: Vec<String> = counts.iter().filter(|(n, _)| *n > 0).map(|&(n, name)| count(n, name)).collect();
    if work.marked_bytes > 0 {
        parts.push(format!("{} marked", bytes(work.marked_bytes)));
    }
    parts.join(", ")
}

pub fn count(n: u64, name: &str) -> String {
    let plural = match name {
        "word of log" => "words of log",
        "involuntary switch" => "involuntary switches",
        _ if n != 1 => return format!("{n} {name}s"),
        _ => name,
    };
    format!("{n} {}", if n == 1 { name } else { plural })
}

/// The line that a stop was at, in words.
pub fn place(record: &Record, stop: &StopRecord) -> String {
    let place = record.place(stop);
    place.map_or_else(|| "?".into(), |(source, line)| format!("{}:{line}", String::from_utf8_lossy(source)))
}

/// The slowest stops, by the wall, the longest first.
pub fn slowest(record: &Record) -> Vec<usize> {
    let mut stops: Vec<usize> = (0..record.stops.len()).collect();
    let key = |stop: &usize| (std::cmp::Reverse(record.stops[*stop].ns), *stop);
    if stops.len() > SLOWEST {
        stops.select_nth_unstable_by_key(SLOWEST, key);
        stops.truncate(SLOWEST);
    }
    stops.sort_by_key(key);
    stops
}

/// Nanoseconds as milliseconds, with four digits or so.
pub fn ms(ns: u64) -> String {
    let ms = ns as f64 / 1e6;
    match ms {
        ..10.0 => format!("{ms:.3}"),
        ..1000.0 => format!("{ms:.1}"),
        _ => format!("{ms:.0}"),
    }
}

pub fn seconds(ns: u64) -> String {
    format!("{:.3} s", ns as f64 / 1e9)
}

pub fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// The report.
pub fn report(record: &Record, figures: &Figures, heading: &Heading, verdict: Option<&Verdict>) -> String {
    let mut out = String::new();
    // Writing to a `String` does not fail.
    let _ = write_report(&mut out, record, figures, heading);
    if let Some(verdict) = verdict {
        out.push_str(&verdict.text(record));
    }
    out
}

fn write_report(out: &mut String, record: &Record, figures: &Figures, heading: &Heading) -> std::fmt::Result {
    let stops = figures.stops();
    writeln!(
        out,
        "pauses of {}: {} in {}, {} of the time ({} of the {} that it computed)",
        heading.title,
        count(stops.wall.count, "stop"),
        seconds(figures.run_ns),
        percent(figures.share()),
        percent(figures.cpu_share()),
        seconds(figures.run_cpu_ns),
    )?;
    if record.since_ns() > 0 {
        writeln!(out, "counted from {} on", seconds(record.since_ns()))?;
    }
    if record.is_cold() {
        writeln!(out, "the run has ended before its warm-up: nothing is counted")?;
    }
    if record.left_out > 0 {
        writeln!(out, "the record is full: {} after these are left out", count(record.left_out, "stop"))?;
    }
    for (name, of) in [("wall, ms", (|row| &row.wall) as fn(&super::figures::Row) -> &Times), ("CPU, ms", |row| &row.cpu)] {
        write!(out, "\n{name:<12}{:>8}{:>10}", "count", "total")?;
        PERCENTILES.iter().try_for_each(|percent| write!(out, "{:>8}", format!("p{percent}")))?;
        writeln!(out, "{:>9}", "longest")?;
        for row in &figures.rows {
            let times = of(row);
            write!(out, "{:<12}{:>8}{:>10}", row.cause.name(), times.count, ms(times.total_ns))?;
            times.percentiles_ns.iter().try_for_each(|&ns| write!(out, "{:>8}", ms(ns)))?;
            writeln!(out, "{:>9}", ms(times.max_ns))?;
        }
    }
    writeln!(out, "\nutilisation: the least share of the time that was left to the program in any window of so long")?;
    for (name, least) in [("wall", figures.utilisation), ("CPU", figures.cpu_utilisation)] {
        write!(out, "{name:<12}")?;
        for (window, least) in WINDOWS_NS.iter().zip(least) {
            write!(out, "  {:>3} ms {:>7}", window / 1_000_000, least.map_or("-".into(), percent))?;
        }
        writeln!(out)?;
    }
    writeln!(out)?;
    let (total, since) = (&heading.counters, &record.first);
    let allocated = total.allocated_bytes - since.allocated_bytes;
    writeln!(
        out,
        "allocation   {}/s, {} in all; reclaimed {} young, {} by counting, {} in cycles",
        bytes((allocated as f64 / (figures.run_ns.max(1) as f64 / 1e9)) as u64),
        bytes(allocated),
        bytes(total.young_bytes - since.young_bytes),
        bytes(total.counted_bytes - since.counted_bytes),
        bytes(total.cyclic_bytes - since.cyclic_bytes),
    )?;
    writeln!(
        out,
        "memory       {} live, {} at the most at a stop; {} committed at the most; {} resident, {} at the most",
        bytes(heading.used_bytes),
        bytes(record.peak_used_bytes.max(heading.used_bytes)),
        bytes(heading.peak_bytes),
        bytes(heading.resident_bytes),
        bytes(heading.resident_peak_bytes.max(heading.resident_bytes)),
    )?;
    writeln!(
        out,
        "machine      {} interrupted by it ({}), {} within stops",
        count(figures.disturbed_stops, "stop"),
        count(figures.switches, "involuntary switch"),
        count(figures.faults, "page fault"),
    )?;
    if let Some(goal_ns) = heading.goal_ns {
        let over = || record.stops.iter().enumerate().filter(|(_, stop)| stop.cpu_ns > goal_ns);
        write!(out, "goal         {} ms: ", ms(goal_ns))?;
        match over().max_by_key(|(_, stop)| stop.cpu_ns) {
            None => writeln!(out, "no stop has computed longer")?,
            Some((longest, stop)) => writeln!(
                out,
                "{} computed longer, the longest {} ms: {} at {}",
                count(over().count() as u64, "stop"),
                ms(stop.cpu_ns),
                causes(record, longest),
                place(record, stop),
            )?,
        }
    }
    let slowest = slowest(record);
    if !slowest.is_empty() {
        writeln!(
            out,
            "\nslowest  {:>10}{:>9}{:>9}  {:>8}{:>7}  at, for what",
            "since, s", "wall ms", "CPU ms", "switches", "faults"
        )?;
        for (number, &at) in slowest.iter().enumerate() {
            let stop = &record.stops[at];
            writeln!(
                out,
                "{:>7}  {:>10.4}{:>9}{:>9}  {:>8}{:>7}  {}, {}: {}",
                number + 1,
                stop.start_ns as f64 / 1e9,
                ms(stop.ns),
                ms(stop.cpu_ns),
                stop.switches,
                stop.faults,
                place(record, stop),
                causes(record, at),
                work(stop),
            )?;
        }
    }
    writeln!(out)?;
    figures.rows.iter().try_for_each(|row| writeln!(out, "{:<12} {}", row.cause.name(), explained(row.cause)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_come_first() {
        let stops: Vec<(u64, u64)> = (0..100).map(|n| (n * 1000, n * 37 % 101)).collect();
        let record = Record::of(&stops, Cause::Mark);
        let lengths: Vec<u64> = slowest(&record).into_iter().map(|stop| record.stops[stop].ns).collect();
        let mut expected: Vec<u64> = stops.iter().map(|stop| stop.1).collect();
        expected.sort_unstable_by(|a, b| b.cmp(a));
        assert_eq!(lengths, expected[..SLOWEST]);
        // Equal ones in the order of time.
        assert_eq!(slowest(&Record::of(&[(0, 5), (10, 7), (20, 7)], Cause::Mark)), [1, 2, 0]);
    }

    #[test]
    fn numbers_and_words() {
        assert_eq!([ms(61_234), ms(12_345_678), ms(2_000_000_000)], ["0.061", "12.3", "2000"]);
        assert_eq!([count(1, "root"), count(2, "word of log")], ["1 root", "2 words of log"]);
    }
}
