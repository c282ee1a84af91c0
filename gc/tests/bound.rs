//! No stop of the program takes more work than the published bound, however large the heap: checked without a clock, by counting what the collector
//! looks at. The counts are the runtime's own, so a loop outside of the collector's budgets is seen too.

#[path = "model/toy.rs"]
#[allow(dead_code, reason = "the other tests need more of it")]
mod toy;

use neap_gc::heap::{Config, Heap, Phase, RootSource, Sabotage};
use neap_gc::observe::{Event, Observer};
use neap_gc::{Handle, Kind, Ref, Runtime, STOP_UNITS_MAX, Side, Stack, Verdict};
use std::cell::Cell;
use std::ops::Range;
use std::ptr::NonNull;
use std::rc::Rc;
use toy::Toy;

/// The toy, and how many references and slots have been looked at.
struct Counted {
    toy: Toy,
    visits: Rc<Cell<u64>>,
}

impl Counted {
    fn count(&self, slots: usize) {
        self.visits.set(self.visits.get() + slots as u64);
    }
}

// SAFETY: the toy's answers.
unsafe impl Runtime for Counted {
    fn kinds(&self) -> Vec<Kind> {
        self.toy.kinds()
    }
    unsafe fn trace(&self, cell: Ref, visit: &mut impl FnMut(Ref)) {
        self.count(1);
        // SAFETY: (here and below) by the caller.
        unsafe { self.toy.trace(cell, visit) }
    }
    unsafe fn slots(&self, cell: Ref) -> usize {
        // SAFETY: as above.
        unsafe { self.toy.slots(cell) }
    }
    unsafe fn trace_slots(&self, cell: Ref, range: Range<usize>, visit: &mut impl FnMut(Ref)) {
        self.count(range.len());
        // SAFETY: as above.
        unsafe { self.toy.trace_slots(cell, range, visit) }
    }
    unsafe fn forget(&self, cell: Ref) {
        // SAFETY: as above.
        unsafe { self.toy.forget(cell) }
    }
    unsafe fn trace_entries(&self, cell: Ref, range: Range<usize>, visit: &mut impl FnMut(Option<Ref>, Option<Ref>)) {
        self.count(range.len());
        // SAFETY: as above.
        unsafe { self.toy.trace_entries(cell, range, visit) }
    }
    unsafe fn clean(
        &self,
        cell: Ref,
        range: Range<usize>,
        verdict: &mut impl FnMut(Ref, Side) -> Verdict,
        log: &mut impl FnMut(usize),
    ) {
        self.count(range.len());
        // SAFETY: as above.
        unsafe { self.toy.clean(cell, range, verdict, log) }
    }
    unsafe fn stack(&self, cell: Ref) -> NonNull<Stack> {
        // SAFETY: as above.
        unsafe { self.toy.stack(cell) }
    }
    unsafe fn trace_stack(&self, cell: Ref, range: Range<usize>, visit: &mut impl FnMut(Option<Ref>)) {
        self.count(range.len());
        // SAFETY: as above.
        unsafe { self.toy.trace_stack(cell, range, visit) }
    }
    unsafe fn clear_stack(&self, cell: Ref, range: Range<usize>) {
        // SAFETY: as above.
        unsafe { self.toy.clear_stack(cell, range) }
    }
    /// There are no threads here, and nobody asks which guards have died.
    unsafe fn destroy(&mut self, _: Ref, _: &mut dyn FnMut(NonNull<u8>)) {
        self.count(1);
    }
    unsafe fn unintern(&mut self, cell: Ref) {
        self.count(1);
        // SAFETY: as above.
        unsafe { self.toy.unintern(cell) }
    }
}

/// The most that any stop has looked at.
struct Watch {
    visits: Rc<Cell<u64>>,
    before: u64,
    most: Rc<Cell<(u64, u64)>>,
}

impl Observer for Watch {
    fn event(&mut self, event: &Event) {
        match event {
            Event::Begin => self.before = self.visits.get(),
            Event::Stop(stop) if !stop.is_whole() => {
                let (visits, units) = self.most.get();
                self.most.set((visits.max(self.visits.get() - self.before), units.max(stop.units())));
            }
            _ => {}
        }
    }
}

#[derive(Default)]
struct Roots(Vec<Option<Ref>>);

// SAFETY: the tests put only cells of their heap there.
unsafe impl RootSource for Roots {
    fn slots(&self, visit: &mut dyn FnMut(Option<Ref>)) {
        self.0.iter().for_each(|r| visit(*r));
    }
}

struct Host {
    heap: Heap<Counted>,
    roots: Roots,
    random: u64,
    made: u64,
}

impl Host {
    fn new(sabotage: Sabotage) -> (Host, Rc<Cell<(u64, u64)>>) {
        let (visits, most) = (Rc::new(Cell::new(0)), Rc::new(Cell::new((0, 0))));
        let mut heap = Heap::new(Counted { toy: Toy::default(), visits: visits.clone() }, Config::default()).expect("a heap");
        heap.sabotage(sabotage);
        heap.set_observer(Some(Box::new(Watch { visits, before: 0, most: most.clone() })));
        (Host { heap, roots: Roots(vec![None; 4]), random: 1, made: 0 }, most)
    }

    fn new_cell(&mut self, kind: u8, len: usize) -> Ref {
        let size = toy::size_of_kind(kind, len);
        // SAFETY: all words are written.
        unsafe {
            let cell = self.heap.alloc(kind, size).expect("memory");
            toy::word::<u8>(cell, 1).write_bytes(0, size - 8);
            toy::word::<u64>(cell, 1).write(self.made);
            if (toy::ARRAY..=toy::ALL_WEAK).contains(&kind) {
                toy::word::<usize>(cell, 2).write(len);
            }
            self.made += 1;
            cell
        }
    }

    fn store(&mut self, object: Ref, slot: usize, value: Option<Ref>) {
        // SAFETY: what the tests hold they can reach.
        unsafe {
            self.heap.barrier(object, slot);
            toy::slots(object)[slot] = value;
        }
    }

    fn poll(&mut self) {
        if self.heap.wants_safepoint() {
            // SAFETY: nothing is held but what stands in the roots.
            unsafe { self.heap.safepoint(&self.roots) };
        }
    }

    /// Goes on with short-lived objects, so that the collector comes to all that it has to do.
    fn churn(&mut self, objects: usize) {
        for _ in 0..objects {
            self.new_cell(toy::PLAIN, 0);
            self.poll();
        }
    }

    fn below(&mut self, n: usize) -> usize {
        self.random = self.random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        ((self.random >> 33) % n as u64) as usize
    }

    /// An array of `n` objects in the first root.
    fn objects(&mut self, n: usize) -> Ref {
        let array = self.new_cell(toy::ARRAY, n);
        self.roots.0[0] = Some(array);
        for i in 0..n {
            let object = self.new_cell(toy::PLAIN, 0);
            self.store(array, i, Some(object));
            self.poll();
        }
        array
    }
}

type Scenario = fn(&mut Host, usize);

fn list(host: &mut Host, n: usize) {
    for _ in 0..n {
        let node = host.new_cell(toy::PLAIN, 0);
        host.store(node, 0, host.roots.0[0]);
        host.roots.0[0] = Some(node);
        host.poll();
    }
    host.roots.0[0] = None;
    host.churn(n / 2);
}

fn rings(host: &mut Host, n: usize) {
    let array = host.objects(n);
    for i in 0..n {
        // SAFETY: the array is reached from a root.
        let (a, b) = unsafe { (toy::slots(array)[i], toy::slots(array)[(i * 7 + 1) % n]) };
        host.store(a.expect("an object"), 0, b);
        host.poll();
    }
    host.roots.0[0] = None;
    host.churn(3 * n);
}

fn random_writes(host: &mut Host, n: usize) {
    let array = host.objects(n);
    for _ in 0..2 * n {
        let (from, to) = (host.below(n), host.below(n));
        // SAFETY: the array is reached from a root.
        let moved = unsafe { toy::slots(array)[from] };
        host.store(array, to, moved);
        host.poll();
    }
}

fn weak(host: &mut Host, n: usize, kind: u8) {
    let holder = host.new_cell(kind, n);
    host.roots.0[1] = Some(holder);
    let array = host.objects(n);
    for round in 0..3 {
        for i in 0..n {
            let at = host.below(n);
            // SAFETY: both are reached from roots; what is written is at hand.
            unsafe {
                let object = toy::slots(array)[if round == 0 { i } else { at }].expect("an object");
                let pair = match kind {
                    toy::WEAK => (None, Some(object)),
                    _ => (Some(object), Some(object)),
                };
                let old = toy::pairs(holder)[i];
                if old.1.is_none_or(|r| kind == toy::EPHEMERON || host.heap.weak_value(r)) {
                    host.heap.weak_hold(object);
                    if kind == toy::EPHEMERON {
                        host.heap.barrier(holder, i);
                    }
                    toy::pairs(holder)[i] = pair;
                }
            }
            if round == 2 {
                let fresh = host.new_cell(toy::PLAIN, 0);
                host.store(array, at, Some(fresh));
            }
            host.poll();
        }
    }
    host.roots.0 = vec![None; 4];
    host.churn(2 * n);
}

fn weak_values(host: &mut Host, n: usize) {
    weak(host, n, toy::WEAK);
}
fn weak_keys(host: &mut Host, n: usize) {
    weak(host, n, toy::EPHEMERON);
}
fn weak_both(host: &mut Host, n: usize) {
    weak(host, n, toy::ALL_WEAK);
}

/// Each value is the next key, in random places.
fn ephemeron_chain(host: &mut Host, n: usize) {
    let holder = host.new_cell(toy::EPHEMERON, n);
    host.roots.0[1] = Some(holder);
    let array = host.objects(n);
    for i in 0..n - 1 {
        // SAFETY: both are reached from roots.
        unsafe {
            let (key, value) = (toy::slots(array)[i], toy::slots(array)[i + 1]);
            host.heap.weak_hold(key.expect("an object"));
            host.heap.barrier(holder, (i * 7919) % n);
            toy::pairs(holder)[(i * 7919) % n] = (key, value);
        }
        host.poll();
    }
    // SAFETY: as above.
    host.roots.0[2] = unsafe { toy::slots(array)[0] };
    host.roots.0[0] = None;
    host.churn(3 * n);
    host.roots.0[2] = None;
    host.churn(3 * n);
}

fn finalizers(host: &mut Host, n: usize) {
    let array = host.objects(n);
    for i in 0..n {
        // SAFETY: reached from a root.
        unsafe { host.heap.set_finalizer(toy::slots(array)[i].expect("an object")) };
        host.poll();
    }
    host.roots.0[0] = None;
    let mut due = 0;
    for _ in 0..8 * n {
        host.churn(1);
        due += usize::from(host.heap.next_finalizer().is_some());
    }
    assert!(due == n, "{due} of {n} finalizers");
}

fn interned(host: &mut Host, n: usize) {
    let array = host.new_cell(toy::ARRAY, n);
    host.roots.0[0] = Some(array);
    for i in 0..n {
        let string = host.new_cell(toy::STRING, 0);
        // SAFETY: a string just made.
        unsafe {
            toy::word::<u64>(string, 2).write(i as u64);
            host.heap.runtime_mut().toy.interned.insert(i as u64, string);
            host.heap.interned(string);
        }
        host.store(array, i, Some(string));
        host.poll();
    }
    for i in 0..n {
        let string = host.heap.runtime().toy.interned[&(i as u64)];
        // SAFETY: it is in the table.
        assert!(unsafe { host.heap.intern_hit(string) });
        host.poll();
    }
    host.roots.0[0] = None;
    host.churn(2 * n);
}

/// A list, every cell of which is read through a weak reference before the list is dropped.
fn weak_reads(host: &mut Host, n: usize) {
    let holder = host.new_cell(toy::WEAK, n);
    host.roots.0[1] = Some(holder);
    for i in 0..n {
        let node = host.new_cell(toy::PLAIN, 0);
        host.store(node, 0, host.roots.0[0]);
        // SAFETY: at hand.
        unsafe {
            host.heap.weak_hold(node);
            toy::pairs(holder)[i] = (None, Some(node));
        }
        host.roots.0[0] = Some(node);
        host.poll();
    }
    for i in 0..n {
        // SAFETY: the holder is reached from a root.
        let there = unsafe { host.heap.weak_value(toy::pairs(holder)[i].1.expect("a node")) };
        assert!(there);
        host.poll();
    }
    host.roots.0[0] = None;
    host.churn(4 * n);
    assert!(host.heap.used_bytes() < n * 40 + (1 << 20), "the list is gone: {} bytes are left", host.heap.used_bytes());
}

fn handles(host: &mut Host, n: usize) {
    let mut handles: Vec<Handle> = Vec::new();
    for _ in 0..n {
        let cell = host.new_cell(toy::PLAIN, 0);
        // SAFETY: a young cell.
        handles.push(unsafe { host.heap.handle(cell) });
        host.poll();
    }
    // All shift by one.
    for i in 1..n {
        // SAFETY: held by a handle.
        unsafe { host.heap.set_handle(&handles[i - 1], host.heap.held(&handles[i])) };
        host.poll();
    }
    host.churn(n / 4);
    drop(handles);
    host.churn(4 * n);
}

fn guards(host: &mut Host, n: usize) {
    for _ in 0..n {
        let guard = host.new_cell(toy::GUARD, 0);
        host.store(guard, 0, host.roots.0[0]);
        host.roots.0[0] = Some(guard);
        host.poll();
    }
    host.roots.0[0] = None;
    host.churn(n);
}

const SCENARIOS: &[(&str, Scenario)] = &[
    ("list", list),
    ("rings", rings),
    ("random writes", random_writes),
    ("weak values", weak_values),
    ("weak keys", weak_keys),
    ("weak both", weak_both),
    ("ephemeron chain", ephemeron_chain),
    ("finalizers", finalizers),
    ("interned", interned),
    ("weak reads", weak_reads),
    ("handles", handles),
    ("guards", guards),
];

const SIZES: [usize; 2] = [1_000, 100_000];

/// The most visits and units of a stop.
fn most(scenario: Scenario, n: usize, sabotage: Sabotage) -> (u64, u64) {
    let (mut host, most) = Host::new(sabotage);
    scenario(&mut host, n);
    most.get()
}

#[test]
fn no_stop_exceeds_the_bound() {
    for (name, scenario) in SCENARIOS {
        for n in SIZES {
            let (visits, units) = most(*scenario, n, Sabotage::None);
            println!("{name}, {n}: {visits} visits, {units} units");
            assert!(units <= STOP_UNITS_MAX, "{name}, {n}: a stop of {units} units");
            assert!(visits <= STOP_UNITS_MAX, "{name}, {n}: a stop that looked at {visits}");
        }
    }
}

/// The test above sees what it is for: an epoch end that looks at every cell.
#[test]
#[cfg(debug_assertions)]
fn a_loop_outside_of_the_budget_is_seen() {
    let (visits, _) = most(list, 400_000, Sabotage::Unbounded);
    assert!(visits > STOP_UNITS_MAX, "{visits}");
}

/// What is loaded through weak references has a price of its own: a program that has written what the log takes in its stride, and then only reads,
/// does not come to an epoch end with as many loads as there were words of log.
#[test]
fn loads_end_an_epoch_however_cheap_the_log() {
    const HELD: usize = 60_000;
    const SLOTS: usize = 56;
    /// Loads that end an epoch at most, those until the program comes to its safepoint, and what else an epoch end looks at.
    const MOST: u64 = (4 << 10) + 256 + 64;
    let (mut host, most) = Host::new(Sabotage::None);
    let holder = host.new_cell(toy::WEAK, HELD);
    host.roots.0[1] = Some(holder);
    host.objects(HELD);
    for i in 0..HELD {
        // SAFETY: both are reached from roots.
        unsafe {
            let object = toy::slots(host.roots.0[0].expect("the objects"))[i].expect("an object");
            host.heap.weak_hold(object);
            toy::pairs(holder)[i] = (None, Some(object));
        }
        host.poll();
    }
    // Arrays that are written without a change: as many words of log as can be, for next to nothing.
    let arrays = host.new_cell(toy::ARRAY, 1_000);
    host.roots.0[2] = Some(arrays);
    for i in 0..1_000 {
        let array = host.new_cell(toy::ARRAY, SLOTS);
        host.store(arrays, i, Some(array));
        for slot in 0..SLOTS {
            host.store(array, slot, Some(holder));
        }
        host.poll();
    }
    for i in 0..100_000 {
        // SAFETY: reached from a root.
        let array = unsafe { toy::slots(arrays)[i % 1_000] }.expect("an array");
        host.store(array, 0, Some(holder));
        host.poll();
    }
    host.churn(100_000);
    most.set((0, 0));
    for i in 0..4 * HELD {
        // SAFETY: reached from a root.
        assert!(unsafe { host.heap.weak_value(toy::pairs(holder)[i * 7_919 % HELD].1.expect("an object")) });
        host.poll();
    }
    let (_, units) = most.get();
    assert!(units <= MOST, "a stop of {units} units");
}

/// The most pages that a stop of marking has touched first.
#[cfg(all(target_os = "linux", not(miri)))]
struct Pages {
    before: u64,
    most: Rc<Cell<u64>>,
}

#[cfg(all(target_os = "linux", not(miri)))]
impl Observer for Pages {
    fn event(&mut self, event: &Event) {
        /// Faults of this thread so far that needed no disk.
        fn faults() -> u64 {
            let stat = std::fs::read_to_string("/proc/thread-self/stat").expect("the state of the thread");
            // The fields behind the name, which is in parentheses.
            let fields = stat.rsplit(')').next().expect("fields");
            fields.split_whitespace().nth(7).and_then(|n| n.parse().ok()).expect("a number")
        }
        match event {
            Event::Begin => self.before = faults(),
            Event::Stop(stop) if !stop.is_whole() && stop.phase == Phase::Mark => {
                self.most.set(self.most.get().max(faults() - self.before));
            }
            _ => {}
        }
    }
}

/// The bits that only marking needs have been touched before it begins, in slices. The first epoch end of marking shades what the log names, which is
/// everywhere: it used to find a fresh page for half a megabyte of the heap each.
#[test]
#[cfg(all(target_os = "linux", not(miri)))]
fn marking_finds_its_bits_touched() {
    let (mut host, _) = Host::new(Sabotage::None);
    let n = 1_500_000;
    let array = host.objects(n);
    let most = Rc::new(Cell::new(0));
    host.heap.set_observer(Some(Box::new(Pages { before: 0, most: most.clone() })));
    let cycles = host.heap.counters().cycles;
    while host.heap.counters().cycles == cycles {
        let (from, to) = (host.below(n), host.below(n));
        // SAFETY: the array is reached from a root.
        let moved = unsafe { toy::slots(array)[from] };
        host.store(array, to, moved);
        host.new_cell(toy::PLAIN, 0);
        host.poll();
    }
    assert!(most.get() < 48, "a stop has touched {} pages first", most.get());
}
