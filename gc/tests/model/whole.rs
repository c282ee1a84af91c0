//! The heap as a runtime uses it: its own pacer, much garbage, the order of finalizers, the end.

use super::shadow::FRAME;
use super::toy::{self, Slot, Toy};
use neap_gc::Ref;
use neap_gc::heap::{Config, Heap, OutOfMemory, RootSource, poll};
use neap_gc::observe::Cause;
use std::sync::atomic::Ordering;

struct Roots {
    globals: Vec<Slot>,
    main: Ref,
}

impl RootSource for Roots {
    fn globals(&self, visit: &mut dyn FnMut(Ref)) {
        self.globals.iter().flatten().for_each(|r| visit(*r));
    }
    fn chain(&self, visit: &mut dyn FnMut(Ref)) {
        visit(self.main);
    }
}

struct Host {
    heap: Heap<Toy>,
    roots: Roots,
    made: u64,
}

impl Host {
    fn new(globals: usize, config: Config) -> Host {
        let mut heap = Heap::new(Toy::default(), config).expect("a heap");
        // SAFETY: all words of the thread are written.
        let main = unsafe {
            let main = heap.alloc(toy::THREAD, toy::size_of_kind(toy::THREAD, 0)).expect("a thread");
            toy::word::<u64>(main, 1).write(u64::MAX);
            toy::body(main).write(None);
            let mut stack = neap_gc::Stack::new();
            stack.slots = toy::new_buffer(toy::STACK_SLOTS);
            (stack.top, stack.high) = (FRAME, FRAME);
            toy::word::<neap_gc::Stack<Slot>>(main, 3).write(stack);
            toy::capacity(main).write(toy::STACK_SLOTS);
            main
        };
        Host { heap, roots: Roots { globals: vec![None; globals], main }, made: 0 }
    }

    fn new_object(&mut self, kind: u8, len: usize) -> Result<Ref, OutOfMemory> {
        let size = toy::size_of_kind(kind, len);
        // SAFETY: all words are written.
        unsafe {
            let cell = self.heap.alloc(kind, size)?;
            for i in 1..size / 8 {
                toy::word::<usize>(cell, i).write(0);
            }
            toy::word::<u64>(cell, 1).write(self.made);
            if kind == toy::ARRAY {
                toy::word::<usize>(cell, 2).write(len);
            }
            self.made += 1;
            Ok(cell)
        }
    }

    fn store(&mut self, object: Ref, slot: usize, value: Slot) {
        // SAFETY: the tests below hold only objects that they can reach.
        unsafe {
            self.heap.barrier(object, slot).expect("a record");
            toy::slots(object)[slot] = value;
        }
    }

    fn safepoint(&mut self) {
        if self.heap.poll_word().load(Ordering::Relaxed) & poll::COLLECT != 0 {
            // SAFETY: between two calls of this the tests keep nothing but what stands in the globals.
            unsafe { self.heap.safepoint(&self.roots) };
        }
    }

    fn collect(&mut self) {
        // SAFETY: as above.
        unsafe { self.heap.collect_full(&self.roots) };
    }

    fn objects(&self, kind: u8) -> u64 {
        self.heap.census()[kind as usize].objects
    }

    /// A ring of so many objects.
    fn ring(&mut self, len: usize) -> Result<Ref, OutOfMemory> {
        let first = self.new_object(toy::PLAIN, 0)?;
        let mut last = first;
        for _ in 1..len {
            let next = self.new_object(toy::PLAIN, 0)?;
            self.store(last, 0, Some(next));
            last = next;
        }
        self.store(last, 0, Some(first));
        Ok(first)
    }
}

#[test]
fn garbage_of_both_kinds_stays_within_the_limit() {
    const RINGS: usize = 64;
    const LEN: usize = 500;
    let mut host = Host::new(RINGS, Config { limit_bytes: 24 << 20, ..Config::default() });
    let mut random = super::program::Random::new(7);
    for round in 0..4000u64 {
        // 48 bytes each, 96 MB in all; half of the rings are cut open first, and die by counting.
        let i = random.below(RINGS);
        if let Some(old) = host.roots.globals[i]
            && round % 2 == 0
        {
            host.store(old, 0, None);
        }
        let ring = host.ring(LEN).expect("room, since the garbage goes");
        host.roots.globals[i] = Some(ring);
        host.safepoint();
    }
    let rings: Vec<Ref> = host.roots.globals.iter().flatten().copied().collect();
    for ring in &rings {
        let (mut at, mut len) = (*ring, 0);
        loop {
            // SAFETY: reachable from a global.
            let next = unsafe { toy::slots(at)[0] }.expect("a ring");
            len += 1;
            at = next;
            if at == *ring {
                break;
            }
        }
        assert_eq!(len, LEN);
    }
    host.collect();
    host.heap.audit().expect("a sound heap");
    assert_eq!(host.objects(toy::PLAIN), (rings.len() * LEN) as u64);
    let counters = host.heap.counters();
    assert!(counters.cyclic_objects > 0 && counters.counted_objects > 0, "{counters:?}");
}

#[test]
fn the_limit_is_an_error_and_not_the_end() {
    let mut host = Host::new(1, Config { limit_bytes: 8 << 20, ..Config::default() });
    let list = host.new_object(toy::PLAIN, 0).expect("the first object");
    host.roots.globals[0] = Some(list);
    let mut last = list;
    let mut made = 1u64;
    while let Ok(next) = host.new_object(toy::PLAIN, 0) {
        host.store(last, 0, Some(next));
        last = next;
        made += 1;
        host.safepoint();
    }
    assert!(made > 50_000, "{made} objects");
    host.heap.audit().expect("a sound heap");
    host.collect();
    assert_eq!(host.objects(toy::PLAIN), made);
    host.roots.globals[0] = None;
    host.collect();
    host.heap.audit().expect("a sound heap");
    assert_eq!(host.objects(toy::PLAIN), 0);
    assert!(host.new_object(toy::ARRAY, 1000).is_ok());
}

#[test]
fn a_large_array_beyond_the_limit_is_refused() {
    let mut host = Host::new(1, Config { limit_bytes: 8 << 20, ..Config::default() });
    for len in [2 << 20, 1 << 40, usize::MAX >> 5] {
        // SAFETY: refused, so there is nothing to write.
        assert!(unsafe { host.heap.alloc(toy::ARRAY, len * 8) }.is_err());
    }
    assert!(host.new_object(toy::ARRAY, 100_000).is_ok());
}

/// The numbers of the objects that the heap hands over now.
fn finalized(host: &mut Host) -> Vec<u64> {
    // SAFETY: the heap says that the objects live.
    std::iter::from_fn(|| host.heap.next_finalizer().map(|cell| unsafe { toy::number(cell) })).collect()
}

#[test]
fn finalizers_come_last_set_first() {
    for cyclic in [false, true] {
        let mut host = Host::new(10, Config::default());
        let mut numbers = Vec::new();
        for i in 0..10 {
            let object = host.new_object(toy::PLAIN, 0).expect("room");
            if cyclic {
                host.store(object, 0, Some(object));
            }
            host.roots.globals[i] = Some(object);
        }
        host.collect();
        // Set in another order than made.
        for i in [3, 1, 4, 0, 5, 9, 2, 6, 8, 7] {
            let object = host.roots.globals[i].expect("just stored");
            // SAFETY: it stands in a global.
            unsafe {
                host.heap.set_finalizer(object);
                numbers.push(toy::number(object));
            }
        }
        host.collect();
        assert_eq!(finalized(&mut host), []);
        if cyclic {
            host.roots.globals.fill(None);
            host.collect();
            numbers.reverse();
            assert_eq!(finalized(&mut host), numbers);
        } else {
            host.heap.queue_all_finalizers();
            numbers.reverse();
            assert_eq!(finalized(&mut host), numbers);
            host.roots.globals.fill(None);
        }
        host.collect();
        host.collect();
        assert_eq!(finalized(&mut host), []);
        assert_eq!(host.objects(toy::PLAIN), 0);
        host.heap.audit().expect("a sound heap");
    }
}

#[test]
fn a_long_list_dies_without_recursion() {
    let mut host = Host::new(1, Config::default());
    let mut list = None;
    for _ in 0..300_000 {
        let next = host.new_object(toy::PLAIN, 0).expect("room");
        host.store(next, 0, list);
        list = Some(next);
        host.roots.globals[0] = list;
        host.safepoint();
    }
    host.collect();
    assert_eq!(host.objects(toy::PLAIN), 300_000);
    host.roots.globals[0] = None;
    host.collect();
    assert_eq!(host.objects(toy::PLAIN), 0);
}

#[test]
fn without_an_event_no_cycle_starts() {
    let mut host = Host::new(2, Config::default());
    let mut list = None;
    for _ in 0..20_000 {
        let next = host.new_object(toy::PLAIN, 0).expect("room");
        host.store(next, 0, list);
        list = Some(next);
        host.roots.globals[0] = list;
        host.safepoint();
    }
    host.collect();
    let before = host.heap.counters();
    // What dies here dies young, or by a count that falls from 1 to 0.
    for _ in 0..400_000 {
        let object = host.new_object(toy::PLAIN, 0).expect("room");
        host.roots.globals[1] = Some(object);
        host.safepoint();
    }
    let after = host.heap.counters();
    assert!(after.epochs > before.epochs + 10, "{after:?}");
    assert_eq!(after.cycles, before.cycles);
}

#[test]
fn every_stop_is_recorded() {
    let mut host = Host::new(4, Config::default());
    for i in 0..200_000 {
        let object = host.new_object(toy::PLAIN, 0).expect("room");
        let old = host.roots.globals[i % 4];
        host.store(object, 0, if i / 4 % 25 == 0 { None } else { old });
        host.roots.globals[i % 4] = Some(object);
        host.safepoint();
    }
    let pauses = host.heap.pauses();
    let whole = pauses.summary(Cause::Stop);
    let parts: u64 = Cause::ALL.iter().filter(|c| **c != Cause::Stop).map(|c| pauses.summary(*c).total_ns).sum();
    assert!(whole.count > 0 && parts <= whole.total_ns, "{whole:?}, parts {parts}");
    let counters = host.heap.counters();
    assert!(pauses.summary(Cause::EpochEnd).count <= counters.epochs);
    assert!(counters.reclaimed_objects() > 150_000, "{counters:?}");
}
