//! What `--gc-stats` tells at the end. Reads, and changes nothing.

use crate::vm::Vm;
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
        "\nepochs {}, cycles {}, finalizers {}\nbytes: in use {}, mapped {}, mapped peak {}, resident peak {}\n",
        total.epochs,
        total.cycles,
        total.finalizers,
        heap.used_bytes(),
        heap.mapped_bytes(),
        heap.peak_bytes(),
        resident_peak_bytes(),
    );
    let _ = write_pauses(out, vm);
    std::mem::take(out)
}

fn write_counts(out: &mut String, rows: &[(&str, u64, u64)]) -> std::fmt::Result {
    writeln!(out, "{:<22}{:>14}{:>18}", "heap", "objects", "bytes")?;
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
fn resident_peak_bytes() -> u64 {
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
