//! The record and its figures for other programs: JSON, CSV, and the percentile format of HdrHistogram.
//!
//! Pure, but for the file that they are given.

use super::Heading;
use super::budget::Verdict;
use super::figures::{Figures, PERCENTILES, Times, WINDOWS_NS};
use super::record::Record;
use super::text;
use hdrhistogram::Histogram;
use neap_gc::observe::{Cause, Counters};
use serde_json::{Map, Value, json};
use std::io::{Error, Result, Write};

/// The name of a percentile as a key: `p99`, `p99.9`.
fn key(percent: f64) -> String {
    format!("p{percent}")
}

fn times(times: &Times) -> Value {
    let mut map = Map::new();
    map.insert("total".into(), json!(times.total_ns));
    for (percent, ns) in PERCENTILES.iter().zip(times.percentiles_ns) {
        map.insert(key(*percent), json!(ns));
    }
    map.insert("max".into(), json!(times.max_ns));
    Value::Object(map)
}

fn totals(now: &Counters, first: &Counters) -> Value {
    json!({
        "allocated_bytes": now.allocated_bytes - first.allocated_bytes,
        "allocated_cells": now.allocated_objects - first.allocated_objects,
        "reclaimed_young_bytes": now.young_bytes - first.young_bytes,
        "reclaimed_by_counting_bytes": now.counted_bytes - first.counted_bytes,
        "reclaimed_in_cycles_bytes": now.cyclic_bytes - first.cyclic_bytes,
        "epochs": now.epochs - first.epochs,
        "cycles": now.cycles - first.cycles,
        "finalizers": now.finalizers - first.finalizers,
        "urgent_stops": now.urgent - first.urgent,
    })
}

fn stop(record: &Record, at: usize) -> Value {
    let stop = &record.stops[at];
    json!({
        "start_ns": stop.start_ns, "wall_ns": stop.ns, "cpu_ns": stop.cpu_ns, "causes": record.causes(at).iter().map(|c| c.name()).collect::<Vec<_>>(),
        "at": text::place(record, stop), "phase": format!("{:?}", stop.phase), "units": stop.units,
        "roots": stop.work.roots, "survivors": stop.work.survivors, "log_words": stop.work.log_words,
        "decrements": stop.work.decrements, "marked_bytes": stop.work.marked_bytes,
        "switches": stop.switches, "faults": stop.faults, "used_bytes": stop.used_bytes,
    })
}

/// One object: all figures, in nanoseconds and bytes.
pub fn write_json(
    record: &Record,
    figures: &Figures,
    heading: &Heading,
    verdict: Option<&Verdict>,
    out: &mut dyn Write,
) -> Result<()> {
    let causes: Map<String, Value> = figures
        .rows
        .iter()
        .map(|row| {
            let value = json!({ "count": row.wall.count, "wall_ns": times(&row.wall), "cpu_ns": times(&row.cpu) });
            (row.cause.name().to_owned(), value)
        })
        .collect();
    let windows = |least: [Option<f64>; WINDOWS_NS.len()]| -> Map<String, Value> {
        WINDOWS_NS.iter().zip(least).map(|(window, least)| (format!("{}ms", window / 1_000_000), json!(least))).collect()
    };
    let all = json!({
        "program": heading.title,
        "since_ns": record.since_ns(),
        "run_ns": figures.run_ns,
        "run_cpu_ns": figures.run_cpu_ns,
        "share": figures.share(),
        "cpu_share": figures.cpu_share(),
        "pauses": causes,
        "least_utilisation": { "wall": windows(figures.utilisation), "cpu": windows(figures.cpu_utilisation) },
        "totals": totals(&heading.counters, &record.first),
        "memory": {
            "used_bytes": heading.used_bytes,
            "used_peak_bytes": record.peak_used_bytes.max(heading.used_bytes),
            "committed_peak_bytes": heading.peak_bytes,
            "resident_bytes": heading.resident_bytes,
            "resident_peak_bytes": heading.resident_peak_bytes,
        },
        "machine": { "switches": figures.switches, "disturbed_stops": figures.disturbed_stops, "faults": figures.faults },
        "slowest": text::slowest(record).into_iter().map(|at| stop(record, at)).collect::<Vec<_>>(),
        "marks": record.marks.iter().map(|(at_ns, name)| json!({ "at_ns": at_ns, "name": name })).collect::<Vec<_>>(),
        "stops_left_out": record.left_out,
        "budget_broken": verdict.map(Verdict::is_broken),
    });
    serde_json::to_writer_pretty(&mut *out, &all)?;
    out.write_all(b"\n")
}

/// A row for each stop, with the time of each cause on both clocks.
pub fn write_csv(record: &Record, out: &mut dyn Write) -> Result<()> {
    let causes: Vec<Cause> = Cause::ALL.into_iter().filter(|cause| *cause != Cause::Stop).collect();
    let name = |cause: &Cause| cause.name().replace(' ', "_");
    write!(out, "start_ns,wall_ns,cpu_ns,units,roots,survivors,log_words,decrements,marked_bytes,switches,faults,phase,")?;
    write!(out, "used_bytes,explicit_bytes,committed_bytes,allocated_bytes,source,line")?;
    for cause in &causes {
        write!(out, ",{0}_wall_ns,{0}_cpu_ns", name(cause))?;
    }
    writeln!(out)?;
    for (at, stop) in record.stops.iter().enumerate() {
        let work = &stop.work;
        let numbers = [
            stop.start_ns,
            stop.ns,
            stop.cpu_ns,
            stop.units,
            work.roots,
            work.survivors,
            work.log_words,
            work.decrements,
            work.marked_bytes,
            stop.switches.into(),
            stop.faults.into(),
        ];
        numbers.iter().try_for_each(|n| write!(out, "{n},"))?;
        write!(
            out,
            "{:?},{},{},{},{}",
            stop.phase, stop.used_bytes, stop.explicit_bytes, stop.mapped_bytes, stop.allocated_bytes
        )?;
        match record.place(stop) {
            None => write!(out, ",,")?,
            // A name may have commas and quotes in it.
            Some((source, line)) => write!(out, ",\"{}\",{line}", String::from_utf8_lossy(source).replace('"', "\"\""))?,
        }
        for cause in &causes {
            let parts = || record.parts(at).iter().filter(|part| part.cause == *cause);
            write!(out, ",{},{}", parts().map(|part| part.ns).sum::<u64>(), parts().map(|part| part.cpu_ns).sum::<u64>())?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// The distribution of the stops, by the wall, in milliseconds: what the plotter of HdrHistogram reads.
pub fn write_hgrm(record: &Record, out: &mut dyn Write) -> Result<()> {
    const MS: f64 = 1e6;
    const STEPS_PER_HALF: u32 = 5;
    /// Of three digits.
    const SUB_BUCKETS: u32 = 2048;
    let mut histogram = Histogram::<u64>::new(3).map_err(Error::other)?;
    for stop in &record.stops {
        histogram.record(stop.ns.max(1)).map_err(Error::other)?;
    }
    writeln!(out, "{:>12} {:>14} {:>10} {:>14}\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)")?;
    let mut count = 0;
    for step in histogram.iter_quantiles(STEPS_PER_HALF) {
        count += step.count_since_last_iteration();
        let (value, quantile) = (step.value_iterated_to() as f64 / MS, step.quantile_iterated_to());
        write!(out, "{value:>12.6} {quantile:>14.12} {count:>10}")?;
        if quantile < 1.0 { writeln!(out, " {:>14.2}", 1.0 / (1.0 - quantile))? } else { writeln!(out)? }
    }
    writeln!(out, "#[Mean    = {:>12.6}, StdDeviation   = {:>12.6}]", histogram.mean() / MS, histogram.stdev() / MS)?;
    writeln!(out, "#[Max     = {:>12.6}, Total count    = {:>12}]", histogram.max() as f64 / MS, histogram.len())?;
    writeln!(out, "#[Buckets = {:>12}, SubBuckets     = {:>12}]", histogram.buckets(), SUB_BUCKETS)
}
