//! The library `gc`: the heap and its collector, for scripts that want to see and to steer them.
//!
//! ```text
//!   gc.stats()                 what was allocated, how it was reclaimed, bytes now and at the most
//!   gc.pauses()                the pauses by cause, on both clocks: count, p50 ... p9999, max, total, in microseconds
//!   gc.reset()                 pauses, and the record of the command line, begin anew
//!   gc.mark(name)              marks the moment in the record of the command line
//!   gc.collect()               a whole collection; the bytes that it freed
//!   gc.step(us)                work for so many microseconds; whether a cycle has ended
//!   gc.configure{max_pause = us, max_overhead = percent, limit = bytes}     sets what is given; what was set before
//!   gc.refcount(x)  gc.sizeof(x [, true])  gc.kind(x)                       of an object
//!   gc.census()  gc.diff(a, b)  gc.path(x)  gc.referrers(x)                 see `gc_graph`
//! ```
//! The objects of the language are cells with cells for their parts: a table has one for its array and one or more for its hash.
//!
//! * **I1** A script can lower the limit of the heap, and raise it again up to what the host has set; not at all within `limits.run`.
//!
//! May import `gc_graph`, `support`, the machine.

use super::gc_graph;
use super::support::{self, Functions};
use crate::value::{Entry, Gc, Outcome, Table, Value};
use crate::vm::{Args, Throw, Vm};
use neap_gc::observe::{Cause, Summary};
use std::time::Duration;

const FUNCTIONS: Functions = &[
    ("census", gc_graph::census),
    ("collect", collect),
    ("configure", configure),
    ("diff", gc_graph::diff),
    ("kind", gc_graph::kind),
    ("mark", mark),
    ("path", gc_graph::path),
    ("pauses", pauses),
    ("refcount", gc_graph::refcount),
    ("referrers", gc_graph::referrers),
    ("reset", reset),
    ("sizeof", gc_graph::sizeof),
    ("stats", stats),
    ("step", step),
];

/// The longest name of a mark; what is beyond is cut off.
const MARK_MAX: usize = 200;
/// What can be asked for: goals in microseconds and percent.
const PAUSES_US: std::ops::RangeInclusive<f64> = 50.0..=1e6;
const OVERHEADS: std::ops::RangeInclusive<f64> = 1.0..=95.0;

/// The state of the library.
#[derive(Default)]
pub struct State {
    /// The limit that the host has set (I1).
    host_limit: usize,
}

pub fn open(vm: &mut Vm) -> Result<(), Throw> {
    vm.lib.gc.host_limit = vm.heap.limit_bytes();
    support::library(vm, "gc", FUNCTIONS).map(drop)
}

/// Sets fields of a table to whole numbers.
pub fn set_counts(vm: &mut Vm, table: Gc<Table>, counts: &[(&str, u64)]) -> Result<(), Throw> {
    counts.iter().try_for_each(|&(name, n)| vm.set_field(table, name, Value::int(i64::try_from(n).unwrap_or(i64::MAX))))
}

fn stats(vm: &mut Vm, _: Args) -> Result<u32, Throw> {
    let (heap, total) = (&vm.heap, vm.heap.counters());
    let bytes = |n: usize| n as u64;
    let counts = [
        ("used", bytes(heap.used_bytes())),
        ("explicit", bytes(heap.explicit_bytes())),
        ("committed", bytes(heap.mapped_bytes())),
        ("peak", bytes(heap.peak_bytes())),
        ("idle", bytes(heap.idle_bytes())),
        ("allocated", total.allocated_bytes),
        ("allocated_cells", total.allocated_objects),
        ("young", total.young_bytes),
        ("young_cells", total.young_objects),
        ("counted", total.counted_bytes),
        ("counted_cells", total.counted_objects),
        ("cyclic", total.cyclic_bytes),
        ("cyclic_cells", total.cyclic_objects),
        ("epochs", total.epochs),
        ("cycles", total.cycles),
        ("finalizers", total.finalizers),
        ("stops", total.stops),
        ("urgent_stops", total.urgent),
    ];
    let limit = limit(vm);
    let table = vm.new_table(0, counts.len() + 1)?;
    set_counts(vm, table, &counts)?;
    vm.set_field(table, "limit", limit)?;
    vm.ret1(Value::table(table))
}

/// The limit of the heap, or `false`.
fn limit(vm: &Vm) -> Value {
    let limit = vm.heap.limit_bytes();
    if limit == usize::MAX { Value::FALSE } else { Value::int(i64::try_from(limit).unwrap_or(i64::MAX)) }
}

fn pauses(vm: &mut Vm, _: Args) -> Result<u32, Throw> {
    let all = vm.new_table(0, Cause::ALL.len())?;
    for cause in Cause::ALL {
        let (wall, cpu) = (vm.heap.pauses().summary(cause), vm.heap.pauses().cpu_summary(cause));
        if wall.count == 0 && cause != Cause::Stop {
            continue;
        }
        let [wall, cpu] = [summary(vm, &wall)?, summary(vm, &cpu)?];
        vm.set_field(wall, "cpu", Value::table(cpu))?;
        vm.set_field(all, &cause.name().replace(' ', "_"), Value::table(wall))?;
    }
    vm.ret1(Value::table(all))
}

/// Figures as a table, times in microseconds.
fn summary(vm: &mut Vm, summary: &Summary) -> Result<Gc<Table>, Throw> {
    let table = vm.new_table(0, 9)?;
    vm.set_field(table, "count", Value::int(summary.count as i64))?;
    for (name, ns) in [
        ("p50", summary.p50_ns),
        ("p90", summary.p90_ns),
        ("p99", summary.p99_ns),
        ("p999", summary.p999_ns),
        ("p9999", summary.p9999_ns),
        ("max", summary.max_ns),
        ("total", summary.total_ns),
    ] {
        vm.set_field(table, name, Value::float(ns as f64 / 1e3))?;
    }
    Ok(table)
}

fn reset(vm: &mut Vm, _: Args) -> Result<u32, Throw> {
    vm.heap.clear_pauses();
    if let Some(chronicle) = &mut vm.chronicle {
        chronicle.reset(&vm.heap);
    }
    Ok(0)
}

fn mark(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let name = support::text(vm, args, 0)?;
    if let Some(chronicle) = &mut vm.chronicle {
        chronicle.mark(&name[..name.len().min(MARK_MAX)]);
    }
    Ok(0)
}

// ---- work

/// Work that has been given up is as good as the stop.
pub fn give_up(vm: &mut Vm) -> Result<(), Throw> {
    if vm.is_stopped() { Err(vm.stop_error()) } else { Ok(()) }
}

/// The result of what a finalizer can't do: as in the reference, it can't direct the collector.
fn within_finalizer(vm: &mut Vm) -> Result<u32, Throw> {
    vm.ret1(Value::NIL)
}

fn collect(vm: &mut Vm, _: Args) -> Result<u32, Throw> {
    if vm.in_finalizer {
        return within_finalizer(vm);
    }
    let before = vm.heap.used_bytes();
    let count = vm.collect_all();
    give_up(vm)?;
    vm.set_place(before.saturating_sub(vm.heap.used_bytes()));
    vm.finalizers_then(count, end_collect)
}

fn end_collect(vm: &mut Vm, _: Args, _: Outcome) -> Result<u32, Throw> {
    let freed = vm.place();
    vm.ret1(Value::int(freed as i64))
}

fn step(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let us = vm.check_num(args, 0)?;
    let time = Duration::try_from_secs_f64(us / 1e6).map_err(|_| vm.arg_error(0, "not a time in microseconds"))?;
    if vm.in_finalizer {
        return within_finalizer(vm);
    }
    let done = vm.collect_for(time);
    give_up(vm)?;
    vm.set_place(usize::from(done));
    let count = vm.heap.finalizers_waiting();
    vm.finalizers_then(count, end_step)
}

fn end_step(vm: &mut Vm, _: Args, _: Outcome) -> Result<u32, Throw> {
    let done = vm.place() != 0;
    vm.ret1(Value::bool(done))
}

// ---- goals

fn configure(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let (max_pause, max_overhead) = vm.heap.goals();
    let limit = limit(vm);
    let wanted = if vm.arg(args, 0).is_nil() { None } else { Some(vm.check_table(args, 0)?) };
    let goals = wanted.map(|table| read(vm, table, (max_pause, max_overhead))).transpose()?;
    let before = vm.new_table(0, 3)?;
    set_counts(vm, before, &[("max_pause", max_pause.into()), ("max_overhead", max_overhead.into())])?;
    vm.set_field(before, "limit", limit)?;
    // Nothing is set before all of it is right.
    if let Some(goals) = goals {
        vm.heap.set_goals(goals.max_pause_us, goals.max_overhead_percent);
        if let Some(bytes) = goals.limit_bytes {
            vm.heap.set_limit_bytes(bytes);
        }
    }
    vm.ret1(Value::table(before))
}

struct Goals {
    max_pause_us: u32,
    max_overhead_percent: u32,
    limit_bytes: Option<usize>,
}

fn read(vm: &mut Vm, table: Gc<Table>, now: (u32, u32)) -> Result<Goals, Throw> {
    let mut goals = Goals { max_pause_us: now.0, max_overhead_percent: now.1, limit_bytes: None };
    let mut at = 0;
    loop {
        vm.work(1)?;
        let (key, value) = match table.entry_from(&mut vm.heap, at) {
            Entry::End => return Ok(goals),
            Entry::Further(next) => {
                at = next;
                continue;
            }
            Entry::Found(next, key, value) => {
                at = next;
                (key, value)
            }
        };
        let in_range = |range: std::ops::RangeInclusive<f64>| value.number().filter(|n| range.contains(n));
        match key.as_str().map(|name| name.bytes()) {
            Some(b"max_pause") => match in_range(PAUSES_US) {
                Some(us) => goals.max_pause_us = us as u32,
                None => return Err(vm.arg_error(0, "field 'max_pause' must be from 50 to 1000000 microseconds")),
            },
            Some(b"max_overhead") => match in_range(OVERHEADS) {
                Some(percent) => goals.max_overhead_percent = percent as u32,
                None => return Err(vm.arg_error(0, "field 'max_overhead' must be from 1 to 95 percent")),
            },
            Some(b"limit") => goals.limit_bytes = Some(new_limit(vm, value)?),
            _ => return Err(vm.arg_error(0, "only 'max_pause', 'max_overhead' and 'limit' can be configured")),
        }
    }
}

/// I1.
fn new_limit(vm: &mut Vm, value: Value) -> Result<usize, Throw> {
    let host = vm.lib.gc.host_limit;
    let bytes = match support::integer_of(value) {
        _ if value.is_falsy() => usize::MAX,
        Some(bytes @ 1..) => bytes as usize,
        _ => return Err(vm.arg_error(0, "field 'limit' must be a number of bytes, or false")),
    };
    if vm.is_limited() {
        return Err(vm.arg_error(0, "the limit can't be changed in a run with limits"));
    }
    // No limit of the script's own is that of the host.
    if value.is_falsy() {
        Ok(host)
    } else if bytes > host {
        Err(vm.arg_error(0, "the limit can't be above that of the host"))
    } else {
        Ok(bytes)
    }
}
