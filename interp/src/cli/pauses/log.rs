//! `--gc-log`: a line for each epoch end and for each cycle, as it happens.
//!
//! Pure, but for its file.

use super::text::ms;
use crate::cli::stats::bytes;
use neap_gc::Phase;
use neap_gc::observe::{Cause, Stop};
use std::io::{LineWriter, Write};

/// Where the lines go, and what the next ones have to tell.
pub struct Log {
    out: LineWriter<Box<dyn Write>>,
    /// Bytes allocated by the last epoch end, and reclaimed in cycles by the last stop.
    allocated: u64,
    cyclic: u64,
    cycle: Option<Cycle>,
}

/// A cycle under way: since when, what it has taken, and what cycles had reclaimed before.
struct Cycle {
    start_ns: u64,
    cpu_ns: u64,
    stops: u64,
    cyclic: u64,
    over: bool,
}

impl Log {
    pub fn new(out: Box<dyn Write>) -> Log {
        Log { out: LineWriter::new(out), allocated: 0, cyclic: 0, cycle: None }
    }

    /// The cycle has entered a phase, within a stop that will be told of.
    pub fn phase(&mut self, now_ns: u64, phase: Phase) {
        match (&mut self.cycle, phase) {
            (None, Phase::Idle) => {}
            (None, _) => {
                self.cycle = Some(Cycle { start_ns: now_ns, cpu_ns: 0, stops: 0, cyclic: self.cyclic, over: false });
            }
            (Some(cycle), Phase::Idle) => cycle.over = true,
            _ => {}
        }
    }

    pub fn stop(&mut self, start_ns: u64, stop: &Stop) {
        let (at, counters) = (start_ns as f64 / 1e9, &stop.counters);
        let end_ns = start_ns + stop.time.ns;
        let mut lines = String::new();
        for (cause, time, units) in stop.parts() {
            if matches!(cause, Cause::EpochEnd | Cause::Whole | Cause::Relief) {
                let name = match cause {
                    Cause::EpochEnd => format!("epoch {}", counters.epochs),
                    _ => cause.name().into(),
                };
                let allocated = counters.allocated_bytes - self.allocated;
                self.allocated = counters.allocated_bytes;
                lines.push_str(&format!(
                    "[{at:>9.4}s] {name}: {} ms (CPU {}), {} allocated, {} survivors, {} words of log, {units} units, {} in use\n",
                    ms(time.ns),
                    ms(time.cpu_ns),
                    bytes(allocated),
                    stop.work.survivors,
                    stop.work.log_words,
                    bytes(stop.used_bytes as u64),
                ));
            }
        }
        if let Some(cycle) = &mut self.cycle {
            let of_cycle = |cause| matches!(cause, Cause::Mark | Cause::Sweep | Cause::Clean | Cause::Finalize | Cause::Whole);
            let spent: u64 = stop.parts().filter(|part| of_cycle(part.0)).map(|part| part.1.cpu_ns).sum();
            cycle.cpu_ns += spent;
            cycle.stops += u64::from(spent > 0);
            if cycle.over {
                lines.push_str(&format!(
                    "[{:>9.4}s] cycle {}: {} ms of CPU in {} stops over {} ms, {} reclaimed in cycles, {} in use\n",
                    end_ns as f64 / 1e9,
                    counters.cycles,
                    ms(cycle.cpu_ns),
                    cycle.stops,
                    ms(end_ns.saturating_sub(cycle.start_ns)),
                    bytes(counters.cyclic_bytes - cycle.cyclic),
                    bytes(stop.used_bytes as u64),
                ));
                self.cycle = None;
            }
        }
        self.cyclic = counters.cyclic_bytes;
        // If nobody can be told, nobody is.
        let _ = self.out.write_all(lines.as_bytes());
    }
}
