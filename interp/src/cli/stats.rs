//! What `--gc-stats` tells at the end, and the REPL in between. Reads, and changes nothing.

use crate::vm::Vm;
use neap_gc::STOP_UNITS_MAX;
use neap_gc::observe::{Cause, KindCount, Pauses, Summary};
use std::fmt::Write;

/// The statistics of the heap, as the lines of a text.
pub fn text(vm: &Vm) -> String {
    let (heap, out) = (&vm.heap, &mut String::new());
    let total = heap.counters();
    // Writing to a `String` does not fail.
    let _ = write_counts(
        out,
        &[
            ("allocated", total.allocated_objects, total.allocated_bytes),
            ("reclaimed while young", total.young_objects, total.young_bytes),
            ("reclaimed by counting", total.counted_objects, total.counted_bytes),
            ("reclaimed in cycles", total.cyclic_objects, total.cyclic_bytes),
        ],
    );
    let _ = writeln!(
        out,
        "\nepochs {}, cycles {}, finalizers {}\nunits of work in a stop: at most {}, bound {STOP_UNITS_MAX}\nbytes: in use {}, mapped {}, mapped peak {}, resident peak {}\n",
        total.epochs,
        total.cycles,
        total.finalizers,
        total.most_units,
        heap.used_bytes(),
        heap.mapped_bytes(),
        heap.peak_bytes(),
        resident_peak_bytes(),
    );
    let _ = write_pauses(out, vm);
    std::mem::take(out)
}

/// The same facts at a glance.
pub fn brief(vm: &Vm) -> String {
    let heap = &vm.heap;
    let total = heap.counters();
    let [used, mapped, peak] = [heap.used_bytes(), heap.mapped_bytes(), heap.peak_bytes()].map(|n| bytes(n as u64));
    let mut out = format!("heap       {used} in use, {mapped} mapped, {peak} at most");
    if heap.limit_bytes() < usize::MAX / 2 {
        out.push_str(&format!(", limit {}", bytes(heap.limit_bytes() as u64)));
    }
    let [all, young, counted, cyclic] =
        [total.allocated_bytes, total.young_bytes, total.counted_bytes, total.cyclic_bytes].map(bytes);
    out.push_str(&format!("\nallocated  {all}; reclaimed {young} young, {counted} by counting, {cyclic} in cycles\n"));
    out.push_str(&format!("work       {} epochs, {} cycles, {} finalizers\n", total.epochs, total.cycles, total.finalizers));
    let mut label = "pauses";
    // The stop as a whole comes first here.
    for cause in Cause::ALL.into_iter().rev() {
        let s = vm.heap.pauses().summary(cause);
        if s.count > 0 {
            let [p50, p99, max] = [s.p50_ns, s.p99_ns, s.max_ns].map(|ns| ns as f64 / 1e6);
            let name = cause.name();
            out.push_str(&format!("{label:<10} {name:<10}{:>8} x   p50 {p50:.3}  p99 {p99:.3}  max {max:.3} ms\n", s.count));
            label = "";
        }
    }
    out
}

/// How much memory there is, and what for.
pub fn memory(vm: &Vm) -> String {
    let heap = &vm.heap;
    let mut out = String::new();
    for (name, n) in [
        ("in use", heap.used_bytes() as u64),
        ("of it explicit", heap.explicit_bytes() as u64),
        ("committed", heap.mapped_bytes() as u64),
        ("of it idle", heap.idle_bytes() as u64),
        ("at the most", heap.peak_bytes() as u64),
        ("resident", resident_bytes()),
    ] {
        out.push_str(&format!("{name:<24}{:>24}\n", bytes(n)));
    }
    out
}

/// What lives on the heap, by kind, the most bytes first. With what lived before, also what has changed since.
pub fn census(kinds: &[KindCount], before: Option<&[KindCount]>) -> String {
    let mut rows: Vec<(&str, [i64; 4])> = Vec::new();
    for (at, kind) in kinds.iter().enumerate() {
        let then = before.and_then(|before| before.get(at)).copied().unwrap_or(KindCount { objects: 0, bytes: 0, ..*kind });
        let [cells, size, cells_then, size_then] = [kind.objects, kind.bytes, then.objects, then.bytes].map(|n| n as i64);
        if cells != 0 || cells_then != 0 && before.is_some() {
            rows.push((kind.name, [cells, size, cells - cells_then, size - size_then]));
        }
    }
    rows.sort_by_key(|row| std::cmp::Reverse(row.1[1]));
    let sum = |column: usize| rows.iter().map(|row| row.1[column]).sum();
    rows.push(("total", [sum(0), sum(1), sum(2), sum(3)]));
    let mut out = format!("{:<24}{:>12}{:>12}", "kind", "cells", "bytes");
    out.push_str(if before.is_some() { "       since then\n" } else { "\n" });
    for (name, [cells, size, more_cells, more_bytes]) in rows {
        out.push_str(&format!("{name:<24}{cells:>12}{:>12}", bytes(size as u64)));
        if before.is_some() && (more_cells, more_bytes) != (0, 0) {
            let sign = if more_bytes < 0 { '-' } else { '+' };
            out.push_str(&format!("{more_cells:>+12}{:>12}", format!("{sign}{}", bytes(more_bytes.unsigned_abs()))));
        }
        out.push('\n');
    }
    out
}

/// The pauses so far, by cause, on both clocks.
pub fn pauses(vm: &Vm) -> String {
    let pauses = vm.heap.pauses();
    let mut out = String::new();
    for (clock, of) in [("wall", Pauses::summary as fn(&Pauses, Cause) -> Summary), ("CPU", Pauses::cpu_summary)] {
        out.push_str(&format!(
            "{:<12}{:>8}{:>8}{:>8}{:>8}{:>8}{:>9}{:>10}\n",
            format!("{clock}, ms"),
            "count",
            "p50",
            "p99",
            "p99.9",
            "p99.99",
            "longest",
            "total"
        ));
        // The stop as a whole comes first here.
        for cause in Cause::ALL.into_iter().rev() {
            let s = of(pauses, cause);
            if s.count > 0 || cause == Cause::Stop {
                let [p50, p99, p999, p9999, max, total] =
                    [s.p50_ns, s.p99_ns, s.p999_ns, s.p9999_ns, s.max_ns, s.total_ns].map(|ns| ns as f64 / 1e6);
                let name = cause.name();
                out.push_str(&format!(
                    "{name:<12}{:>8}{p50:>8.3}{p99:>8.3}{p999:>8.3}{p9999:>8.3}{max:>9.3}{total:>10.3}\n",
                    s.count
                ));
            }
        }
    }
    out
}

/// A number of bytes with a unit.
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 3] = ["KiB", "MiB", "GiB"];
    let (mut size, mut unit) = (n as f64, "B");
    for larger in UNITS {
        if size < 1024.0 {
            break;
        }
        (size, unit) = (size / 1024.0, larger);
    }
    if unit == "B" { format!("{n} B") } else { format!("{size:.1} {unit}") }
}

fn write_counts(out: &mut String, rows: &[(&str, u64, u64)]) -> std::fmt::Result {
    writeln!(out, "{:<22}{:>14}{:>18}", "heap", "cells", "bytes")?;
    rows.iter().try_for_each(|(name, objects, bytes)| writeln!(out, "{name:<22}{objects:>14}{bytes:>18}"))
}

/// A stop as a whole comes last; the causes above it are its parts.
fn write_pauses(out: &mut String, vm: &Vm) -> std::fmt::Result {
    writeln!(out, "{:<12}{:>10}{:>11}{:>11}{:>11}{:>11}{:>13}", "pauses (us)", "count", "p50", "p99", "p99.9", "max", "total")?;
    for cause in Cause::ALL {
        let s = vm.heap.pauses().summary(cause);
        write!(out, "{:<12}{:>10}", cause.name(), s.count)?;
        for ns in [s.p50_ns, s.p99_ns, s.p999_ns, s.max_ns] {
            write!(out, "{:>11.1}", ns as f64 / 1e3)?;
        }
        writeln!(out, "{:>13.1}", s.total_ns as f64 / 1e3)?;
    }
    Ok(())
}

/// The most memory that the process has had in pages of its own; 0 if the system does not tell.
pub fn resident_peak_bytes() -> u64 {
    const UNIT: u64 = if cfg!(target_os = "macos") { 1 } else { 1024 };
    // SAFETY: plain data, which the call fills.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        if libc::getrusage(libc::RUSAGE_SELF, &mut usage) != 0 {
            return 0;
        }
        usage
    };
    u64::try_from(usage.ru_maxrss).unwrap_or(0) * UNIT
}

/// The memory that the process has in pages of its own now; 0 if the system does not tell.
pub fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or(0);
    // SAFETY: it only asks.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    pages * u64::try_from(size).unwrap_or(0)
}
