//! What `--gc-stats` tells at the end, and the REPL in between. Reads, and changes nothing.

use crate::vm::Vm;
use neap_gc::STOP_UNITS_MAX;
use neap_gc::observe::Cause;
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

/// What lives on the heap, by kind, the most bytes first.
pub fn census(vm: &Vm) -> String {
    let mut kinds = vm.heap.census();
    kinds.retain(|kind| kind.objects > 0);
    let (objects, total) = kinds.iter().fold((0, 0), |sum, kind| (sum.0 + kind.objects, sum.1 + kind.bytes));
    let mut out = format!("{:<24}{:>12}{:>12}\n", "kind", "objects", "bytes");
    let mut row = |name: &str, objects: u64, size: u64| out.push_str(&format!("{name:<24}{objects:>12}{:>12}\n", bytes(size)));
    // They are few.
    while let Some(most) = (0..kinds.len()).max_by_key(|&i| kinds[i].bytes) {
        let kind = kinds.remove(most);
        row(kind.name, kind.objects, kind.bytes);
    }
    row("total", objects, total);
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
