//! The record of a run: every stop with its parts, the phases of the cycles, what the program has marked.
//!
//! It is kept in memory of the host's, beside the heap and outside of its limit; it is full after [`STOPS_MAX`] stops, and then says so.
//!
//! * **R1** Times are nanoseconds since the record began. Stops are in the order of time and do not overlap; the parts of a stop lie in it one after the other.
//! * **R2** What a reset, or the end of the warm-up, leaves is as if the record had begun there.
//!
//! May import the heap's observer, the machine's chronicle.

use crate::value::LuaRuntime;
use indexmap::IndexSet;
use neap_gc::observe::{Cause, Counters, Event, Observer, Work};
use neap_gc::{Heap, Phase};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// So many stops are recorded: about 200 MB.
const STOPS_MAX: usize = 1 << 20;
/// So many marks, and so many changes of phase.
const MARKS_MAX: usize = 1 << 20;

/// The line of a source; 0 in [`StopRecord::place`] is none.
pub type Place = (Vec<u8>, u32);

/// A stop of the program.
#[derive(Clone, Copy, Debug)]
pub struct StopRecord {
    pub start_ns: u64,
    pub ns: u64,
    pub cpu_ns: u64,
    pub switches: u32,
    pub faults: u32,
    /// The phase of the cycle when it began.
    pub phase: Phase,
    place: u32,
    /// Where its parts end; they begin where those of the stop before end.
    parts_end: usize,
    pub units: u64,
    pub work: Work,
    pub used_bytes: u64,
    pub explicit_bytes: u64,
    pub mapped_bytes: u64,
    /// Bytes allocated, and reclaimed while young, by counting and in cycles, since the birth of the heap.
    pub allocated_bytes: u64,
    pub reclaimed_bytes: [u64; 3],
}

impl StopRecord {
    pub fn end_ns(&self) -> u64 {
        self.start_ns + self.ns
    }
}

/// A part of a stop.
#[derive(Clone, Copy, Debug)]
pub struct PartRecord {
    pub cause: Cause,
    pub start_ns: u64,
    pub ns: u64,
    pub cpu_ns: u64,
    pub units: u64,
}

/// What has happened so far.
pub struct Record {
    began: Instant,
    /// From here on stops count (R2).
    since_ns: u64,
    /// The warm-up lasts so long yet.
    warm_up_ns: u64,
    since_cpu: Duration,
    pub first: Counters,
    pub stops: Vec<StopRecord>,
    parts: Vec<PartRecord>,
    open: Vec<PartRecord>,
    pub phases: Vec<(u64, Phase)>,
    pub marks: Vec<(u64, String)>,
    places: IndexSet<Place>,
    /// Stops for which there was no room.
    pub left_out: u64,
    /// The most bytes in use at the end of a stop.
    pub peak_used_bytes: u64,
}

/// The record as its keepers share it.
pub type Shared = Rc<RefCell<Record>>;

/// What this thread has computed so far.
fn cpu_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Record {
    /// A record that begins now, and counts what comes after a warm-up.
    pub fn new(warm_up: Duration) -> Record {
        Record {
            began: Instant::now(),
            since_ns: 0,
            warm_up_ns: nanoseconds(warm_up),
            since_cpu: cpu_time(),
            first: Counters::default(),
            stops: Vec::new(),
            parts: Vec::new(),
            open: Vec::new(),
            phases: Vec::new(),
            marks: Vec::new(),
            places: IndexSet::new(),
            left_out: 0,
            peak_used_bytes: 0,
        }
    }

    pub fn since_ns(&self) -> u64 {
        self.since_ns
    }
    pub fn now_ns(&self) -> u64 {
        nanoseconds(self.began.elapsed())
    }
    /// What the thread has computed since the record began.
    pub fn cpu_ns(&self) -> u64 {
        nanoseconds(cpu_time().saturating_sub(self.since_cpu))
    }
    /// Whether the run has ended before its warm-up.
    pub fn is_cold(&self) -> bool {
        self.warm_up_ns > self.now_ns()
    }

    fn at(&self, instant: Instant) -> u64 {
        nanoseconds(instant.saturating_duration_since(self.began))
    }

    /// The parts of a stop.
    pub fn parts(&self, stop: usize) -> &[PartRecord] {
        let from = stop.checked_sub(1).map_or(0, |before| self.stops[before].parts_end);
        &self.parts[from..self.stops[stop].parts_end]
    }
    pub fn all_parts(&self) -> &[PartRecord] {
        &self.parts
    }
    /// The causes of a stop, in the order of their parts, each once.
    pub fn causes(&self, stop: usize) -> Vec<Cause> {
        let mut causes = Vec::new();
        for part in self.parts(stop) {
            if !causes.contains(&part.cause) {
                causes.push(part.cause);
            }
        }
        causes
    }
    /// The line that a stop was at: the name of the chunk as messages have it, and the number.
    pub fn place(&self, stop: &StopRecord) -> Option<&Place> {
        self.places.get_index((stop.place as usize).checked_sub(1)?)
    }

    fn reset(&mut self, since_ns: u64, first: Counters) {
        (self.since_ns, self.warm_up_ns) = (since_ns, 0);
        self.since_cpu = cpu_time();
        self.first = first;
        self.stops.clear();
        self.parts.clear();
        self.phases.clear();
        self.marks.clear();
        self.left_out = 0;
        self.peak_used_bytes = 0;
    }

    fn stop(&mut self, stop: &neap_gc::observe::Stop) {
        let start_ns = self.at(stop.start);
        let ends = self.warm_up_ns != 0 && start_ns >= self.warm_up_ns;
        if ends {
            // What the stop itself has reclaimed and allocated is little.
            let parts = std::mem::take(&mut self.open);
            self.reset(self.warm_up_ns, stop.counters);
            self.open = parts;
        }
        if self.warm_up_ns != 0 || self.stops.len() >= STOPS_MAX {
            self.left_out += u64::from(self.warm_up_ns == 0);
            self.open.clear();
            return;
        }
        self.parts.append(&mut self.open);
        let (counters, few) = (&stop.counters, |n: u64| u32::try_from(n).unwrap_or(u32::MAX));
        self.peak_used_bytes = self.peak_used_bytes.max(stop.used_bytes as u64);
        self.stops.push(StopRecord {
            start_ns,
            ns: stop.time.ns,
            cpu_ns: stop.time.cpu_ns,
            switches: few(stop.disturbance.switches),
            faults: few(stop.disturbance.faults),
            phase: stop.phase,
            place: 0,
            parts_end: self.parts.len(),
            units: stop.units(),
            work: stop.work,
            used_bytes: stop.used_bytes as u64,
            explicit_bytes: stop.explicit_bytes as u64,
            mapped_bytes: stop.mapped_bytes as u64,
            allocated_bytes: counters.allocated_bytes,
            reclaimed_bytes: [counters.young_bytes, counters.counted_bytes, counters.cyclic_bytes],
        });
    }

    /// The stops from the n-th on were at this line.
    pub fn set_place(&mut self, first: usize, source: &[u8], line: u32) {
        let stops = self.stops.get_mut(first..).unwrap_or_default();
        if stops.is_empty() {
            return;
        }
        let place = (crate::syntax::chunk_id(source), line);
        let number = self.places.insert_full(place).0 as u32 + 1;
        stops.iter_mut().for_each(|stop| stop.place = number);
    }

    pub fn mark(&mut self, name: &[u8]) {
        if self.marks.len() < MARKS_MAX {
            self.marks.push((self.now_ns(), String::from_utf8_lossy(name).into_owned()));
        }
    }

    /// What is recorded begins here.
    pub fn restart(&mut self, heap: &Heap<LuaRuntime>) {
        self.reset(self.now_ns(), heap.counters());
    }
}

/// Tells a record of the heap's events, and a log as they happen.
pub struct Recorder {
    pub record: Shared,
    pub log: Option<super::log::Log>,
}

impl Observer for Recorder {
    fn event(&mut self, event: &Event) {
        let record = &mut *self.record.borrow_mut();
        match event {
            Event::Part(part) => {
                let start_ns = record.at(part.start);
                let (cause, units) = (part.cause, part.units);
                record.open.push(PartRecord { cause, start_ns, ns: part.time.ns, cpu_ns: part.time.cpu_ns, units });
            }
            Event::Stop(stop) => {
                record.stop(stop);
                if let Some(log) = &mut self.log {
                    log.stop(record.at(stop.start), stop);
                }
            }
            Event::Phase(phase) => {
                let now = record.now_ns();
                if record.phases.len() < MARKS_MAX {
                    record.phases.push((now, *phase));
                }
                if let Some(log) = &mut self.log {
                    log.phase(now, *phase);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
impl Record {
    /// A record of stops of one part each: start and length, in nanoseconds.
    pub fn of(stops: &[(u64, u64)], cause: Cause) -> Record {
        let mut record = Record::new(Duration::ZERO);
        for &(start_ns, ns) in stops {
            record.parts.push(PartRecord { cause, start_ns, ns, cpu_ns: ns, units: 1 });
            record.stops.push(StopRecord {
                start_ns,
                ns,
                cpu_ns: ns,
                switches: 0,
                faults: 0,
                phase: Phase::Idle,
                place: 0,
                parts_end: record.parts.len(),
                units: 1,
                work: Work::default(),
                used_bytes: 0,
                explicit_bytes: 0,
                mapped_bytes: 0,
                allocated_bytes: 0,
                reclaimed_bytes: [0; 3],
            });
        }
        record
    }
}
