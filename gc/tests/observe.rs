//! What an observer is told adds up: the parts of a stop lie in it, one after the other; the totals are those of the heap; and what the stops have gone through
//! is what the program has done.

use neap_gc::arena::{Arena, Gc, Lock, Rootable, Trace, field};
use neap_gc::observe::{Cause, Event, Observer, Part, Stop};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Stops with their parts.
type Told = Arc<Mutex<Vec<(Stop, Vec<Part>)>>>;

struct Listener {
    told: Told,
    parts: Vec<Part>,
    began: bool,
}

impl Observer for Listener {
    fn event(&mut self, event: &Event) {
        match *event {
            Event::Begin => {
                assert!(!std::mem::replace(&mut self.began, true), "a stop within a stop");
                assert!(self.parts.is_empty());
            }
            Event::Part(part) => self.parts.push(part),
            Event::Stop(stop) => {
                assert!(std::mem::take(&mut self.began));
                self.told.lock().expect("no panic").push((stop, std::mem::take(&mut self.parts)));
            }
            _ => {}
        }
    }
}

/// A node of a list.
#[derive(Trace, Rootable)]
struct Node<'gc> {
    next: Lock<Option<Gc<'gc, Node<'gc>>>>,
}

type List = Arena<Option<Gc<'static, Node<'static>>>>;

fn listening() -> (List, Told) {
    let (mut arena, told) = (List::new(|_| None), Told::default());
    arena.set_observer(Some(Box::new(Listener { told: told.clone(), parts: Vec::new(), began: false })));
    (arena, told)
}

/// Makes so many nodes; one in `kept` stays.
fn grow(arena: &mut List, nodes: usize, kept: usize) {
    for n in 0..nodes {
        arena.mutate_root(|mc, root| {
            let node = mc.alloc(Node { next: Lock::new(*root) });
            if n % kept == 0 {
                *root = Some(node);
            }
        });
    }
}

#[test]
fn what_is_told_adds_up() {
    let start = Instant::now();
    let (mut arena, told) = listening();
    grow(&mut arena, 200_000, 10);
    // A ring: the detector has something to do.
    arena.mutate_root(|mc, root| {
        let first = root.take().expect("a list");
        let last = std::iter::successors(Some(first), |node| node.next.get()).last().expect("a node");
        field!(Gc::write(last, mc), Node, next).set(Some(first));
    });
    grow(&mut arena, 200_000, 10);
    arena.collect_cycles();
    let end = Instant::now();

    let told = told.lock().expect("no panic");
    assert_eq!(told.len() as u64, arena.counters().stops);
    let (mut before, mut last) = (start, None);
    for (number, (stop, parts)) in told.iter().enumerate() {
        assert_eq!(stop.number, number as u64);
        let stop_end = stop.start + Duration::from_nanos(stop.time.ns);
        assert!(before <= stop.start && stop_end <= end, "stops come one after the other");
        let mut at = stop.start;
        for part in parts {
            assert_eq!(part.start, at, "parts lie without gaps from the beginning of the stop on");
            at = part.start + Duration::from_nanos(part.time.ns);
        }
        assert!(at <= stop_end);
        for (cause, time, units) in stop.parts() {
            let of_cause = || parts.iter().filter(|part| part.cause == cause);
            assert_eq!(time.ns, of_cause().map(|part| part.time.ns).sum::<u64>());
            assert_eq!(time.cpu_ns, of_cause().map(|part| part.time.cpu_ns).sum::<u64>());
            assert_eq!(units, of_cause().map(|part| part.units).sum::<u64>());
        }
        (before, last) = (stop_end, Some(stop));
    }
    assert_eq!(last.expect("a stop").counters, arena.counters());
    // The histograms have seen the same.
    for cause in Cause::ALL {
        let times = told.iter().flat_map(|(stop, parts)| match cause {
            Cause::Stop => vec![stop.time],
            _ => parts.iter().filter(|part| part.cause == cause).map(|part| part.time).collect(),
        });
        let (wall, cpu): (Vec<_>, Vec<_>) = times.map(|time| (time.ns, time.cpu_ns)).unzip();
        for (times, summary) in [(wall, arena.pauses().summary(cause)), (cpu, arena.pauses().cpu_summary(cause))] {
            assert_eq!((summary.count, summary.total_ns), (times.len() as u64, times.iter().sum()));
            assert_eq!(summary.max_ns, times.iter().copied().max().unwrap_or(0));
        }
    }
}

#[test]
fn the_work_of_stops_is_what_the_program_has_done() {
    let (mut arena, told) = listening();
    arena.collect();
    told.lock().expect("no panic").clear();
    let before = arena.counters();
    grow(&mut arena, 100_000, 10);
    arena.collect();
    let told = told.lock().expect("no panic");
    let sum = |of: fn(&Stop) -> u64| told.iter().map(|(stop, _)| of(stop)).sum::<u64>();
    let counters = arena.counters();
    assert_eq!(counters.allocated_objects - before.allocated_objects, 100_000);
    // One in ten survives; garbage that hangs from nothing does not.
    assert_eq!(sum(|stop| stop.work.survivors), 10_000);
    assert!(sum(|stop| stop.work.roots) >= counters.epochs - before.epochs, "each epoch end has looked at a root at least");
    assert!(sum(|stop| stop.work.log_words) > 0, "the root has been written to");
    assert!(told.iter().all(|(stop, _)| stop.used_bytes <= stop.mapped_bytes));
}

#[test]
fn what_the_unfinished_epoch_has_allocated_counts() {
    let mut arena = List::new(|_| None);
    arena.collect();
    let before = arena.counters();
    grow(&mut arena, 7, 1);
    let after = arena.counters();
    assert_eq!(after.epochs, before.epochs);
    assert_eq!(after.allocated_objects - before.allocated_objects, 7);
    assert_eq!(after.allocated_bytes - before.allocated_bytes, 7 * 16);
}

/// Holds up a stop, behind its first part: asleep, or at work.
struct Delay {
    time: Duration,
    works: bool,
    stop: Arc<Mutex<Option<Stop>>>,
    done: bool,
}

impl Observer for Delay {
    fn event(&mut self, event: &Event) {
        match event {
            Event::Part(_) if !self.done => {
                self.done = true;
                let start = Instant::now();
                if !self.works {
                    std::thread::sleep(self.time);
                }
                while start.elapsed() < self.time {}
            }
            Event::Stop(stop) if self.done => {
                self.stop.lock().expect("no panic").get_or_insert(*stop);
            }
            _ => {}
        }
    }
}

/// A delay of a known length within a stop is found in the figures of that stop, and in those of all: sleep by the wall alone.
#[test]
fn a_planted_delay_is_found() {
    let time = Duration::from_millis(20);
    for works in [false, true] {
        let mut arena = List::new(|_| None);
        let found = Arc::new(Mutex::new(None));
        arena.set_observer(Some(Box::new(Delay { time, works, stop: found.clone(), done: false })));
        grow(&mut arena, 100_000, 10);
        let stop = found.lock().expect("no panic").take().expect("a stop");
        let (wall, cpu) = (arena.pauses().summary(Cause::Stop), arena.pauses().cpu_summary(Cause::Stop));
        assert!(wall.count > 10);
        let ns = time.as_nanos() as u64;
        assert!(stop.time.ns >= ns && wall.max_ns >= stop.time.ns, "{stop:?}");
        if works {
            // The machine may have done something else in the midst of it.
            assert!(stop.time.cpu_ns > 0 && cpu.max_ns >= stop.time.cpu_ns && stop.time.cpu_ns <= stop.time.ns);
        } else {
            assert!(stop.time.cpu_ns < ns / 2, "what is slept is not computed: {stop:?}");
        }
    }
}

#[test]
fn pauses_are_forgotten_on_demand() {
    let (mut arena, _) = listening();
    grow(&mut arena, 50_000, 10);
    assert!(arena.pauses().summary(Cause::Stop).count > 0);
    arena.clear_pauses();
    assert_eq!(arena.pauses().summary(Cause::Stop).count, 0);
    arena.collect();
    assert_eq!(arena.pauses().summary(Cause::Stop).count, 1);
}
