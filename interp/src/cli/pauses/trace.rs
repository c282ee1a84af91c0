//! `--gc-trace`: the record in the Chrome trace-event format, which Perfetto and `chrome://tracing` open.
//!
//! The program's track has the stops, with their parts within, and the marks; a track of its own the phases of the cycles; and there are counters of the bytes.
//!
//! * **E1** Times are microseconds with three digits, so that no nanosecond is lost, and slices nest exactly.
//!
//! Pure, but for the file that it is given.

use super::record::Record;
use super::text;
use neap_gc::Phase;
use serde_json::{Value, json};
use std::io::{Result, Write};

const PROGRAM: u32 = 1;
const CYCLES: u32 = 2;

/// Microseconds, exactly (E1).
fn us(ns: u64) -> Value {
    // Nanoseconds of a hundred days are below 2 to the 53rd.
    json!(ns as f64 / 1e3)
}

/// Writes events, one a line, with commas between.
struct Events<'a> {
    out: &'a mut dyn Write,
    any: bool,
}

impl Events<'_> {
    fn put(&mut self, event: &Value) -> Result<()> {
        self.out.write_all(if std::mem::replace(&mut self.any, true) { b",\n" } else { b"\n" })?;
        serde_json::to_writer(&mut *self.out, event).map_err(Into::into)
    }

    fn slice(&mut self, thread: u32, name: &str, start_ns: u64, ns: u64, args: Value) -> Result<()> {
        self.put(&json!({
            "ph": "X", "pid": 1, "tid": thread, "cat": "gc", "name": name, "ts": us(start_ns), "dur": us(ns), "args": args
        }))
    }

    fn name(&mut self, what: &str, thread: u32, name: &str) -> Result<()> {
        self.put(&json!({ "ph": "M", "pid": 1, "tid": thread, "name": what, "args": { "name": name } }))
    }
}

pub fn write(record: &Record, title: &str, out: &mut dyn Write) -> Result<()> {
    out.write_all(b"{\"displayTimeUnit\": \"ms\", \"traceEvents\": [")?;
    let mut events = Events { out, any: false };
    events.name("process_name", PROGRAM, title)?;
    events.name("thread_name", PROGRAM, "program")?;
    events.name("thread_name", CYCLES, "cycles of the collector")?;
    for (at, stop) in record.stops.iter().enumerate() {
        let args = json!({
            "causes": text::causes(record, at), "at": text::place(record, stop), "cpu_us": us(stop.cpu_ns), "units": stop.units,
            "roots": stop.work.roots, "survivors": stop.work.survivors, "log_words": stop.work.log_words,
            "decrements": stop.work.decrements, "marked_bytes": stop.work.marked_bytes,
            "switches": stop.switches, "faults": stop.faults,
        });
        events.slice(PROGRAM, "stop", stop.start_ns, stop.ns, args)?;
        for part in record.parts(at) {
            let args = json!({ "cpu_us": us(part.cpu_ns), "units": part.units });
            events.slice(PROGRAM, part.cause.name(), part.start_ns, part.ns, args)?;
        }
        let bytes = json!({ "used": stop.used_bytes, "explicit": stop.explicit_bytes, "committed": stop.mapped_bytes });
        let ts = us(stop.end_ns());
        for (name, of) in [("bytes in use", "used"), ("explicit bytes", "explicit"), ("bytes committed", "committed")] {
            events.put(&json!({ "ph": "C", "pid": 1, "name": name, "ts": ts, "args": { "bytes": bytes[of] } }))?;
        }
    }
    let ends = record.phases.iter().skip(1).map(|phase| phase.0).chain([record.now_ns()]);
    for (&(start_ns, phase), end_ns) in record.phases.iter().zip(ends) {
        if phase != Phase::Idle {
            events.slice(CYCLES, &format!("{phase:?}"), start_ns, end_ns.saturating_sub(start_ns), json!({}))?;
        }
    }
    for (at_ns, name) in &record.marks {
        events.put(&json!({ "ph": "i", "pid": 1, "tid": PROGRAM, "s": "t", "cat": "mark", "name": name, "ts": us(*at_ns) }))?;
    }
    out.write_all(b"\n]}\n")
}
