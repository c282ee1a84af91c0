//! The heap as a runtime uses it: its own pacer, much garbage, the order of finalizers, the end.

use super::shadow::FRAME;
use super::toy::{self, Slot, Toy};
use neap_gc::Ref;
use neap_gc::heap::{Config, Drive, Heap, OutOfMemory, Phase, RootSource, Sabotage, poll};
use neap_gc::observe::Cause;
use std::sync::atomic::Ordering;

struct Roots {
    globals: Vec<Slot>,
    main: Ref,
}

// SAFETY: the cells are the heap's, and live.
unsafe impl RootSource for Roots {
    fn slots(&self, visit: &mut dyn FnMut(Option<Ref>)) {
        self.globals.iter().for_each(|r| visit(*r));
    }
    fn chain(&self, visit: &mut dyn FnMut(Ref)) {
        visit(self.main);
    }
}

pub struct Host {
    heap: Heap<Toy>,
    roots: Roots,
    made: u64,
}

impl Host {
    fn new(globals: usize, config: Config) -> Host {
        let mut heap = Heap::new(Toy::default(), config).expect("a heap");
        let main = Host::new_thread(&mut heap, toy::STACK_SLOTS, FRAME);
        Host { heap, roots: Roots { globals: vec![None; globals], main }, made: 0 }
    }

    fn new_thread(heap: &mut Heap<Toy>, capacity: usize, top: usize) -> Ref {
        // SAFETY: all words of the thread are written.
        unsafe {
            let thread = heap.alloc(toy::THREAD, toy::size_of_kind(toy::THREAD, 0)).expect("a thread");
            toy::word::<u64>(thread, 1).write(u64::MAX);
            toy::body(thread).write(None);
            let mut stack = neap_gc::Stack::new();
            *toy::buffer(thread) = toy::new_buffer(capacity);
            (stack.top, stack.high) = (top, top);
            toy::word::<neap_gc::Stack>(thread, 3).write(stack);
            toy::capacity(thread).write(capacity);
            thread
        }
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
            if (toy::ARRAY..=toy::ALL_WEAK).contains(&kind) {
                toy::word::<usize>(cell, 2).write(len);
            }
            self.made += 1;
            Ok(cell)
        }
    }

    fn store(&mut self, object: Ref, slot: usize, value: Slot) {
        // SAFETY: the tests below hold only objects that they can reach.
        unsafe {
            self.heap.barrier(object, slot);
            toy::slots(object)[slot] = value;
        }
    }

    fn safepoint(&mut self) {
        if self.heap.poll_word().load(Ordering::Relaxed) & poll::COLLECT != 0 {
            // SAFETY: between two calls of this the tests keep nothing but what stands in the globals.
            unsafe { self.heap.safepoint(&self.roots) };
        }
    }

    fn sound(&self) {
        // SAFETY: the tests ask where nothing runs.
        unsafe { self.heap.audit() }.expect("a sound heap");
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

const RINGS: usize = 64;
const LEN: usize = 500;

/// 64 rings at a time, 4000 in all: 96 MB in a heap of 24. Half of them are cut open, and die by counting.
pub fn rings_within_the_limit(sabotage: Sabotage) -> Result<Host, OutOfMemory> {
    let mut host = Host::new(RINGS, Config { limit_bytes: 24 << 20, ..Config::default() });
    host.heap.sabotage(sabotage);
    let mut random = super::program::Random::new(7);
    for round in 0..4000u64 {
        let i = random.below(RINGS);
        if let Some(old) = host.roots.globals[i]
            && round % 2 == 0
        {
            host.store(old, 0, None);
        }
        let ring = host.ring(LEN)?;
        host.roots.globals[i] = Some(ring);
        host.safepoint();
    }
    Ok(host)
}

#[test]
fn garbage_of_both_kinds_stays_within_the_limit() {
    let mut host = rings_within_the_limit(Sabotage::None).expect("room, since the garbage goes");
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
    host.sound();
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
    host.sound();
    host.collect();
    assert_eq!(host.objects(toy::PLAIN), made);
    host.roots.globals[0] = None;
    host.collect();
    host.sound();
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

/// Owners of explicit blocks, 64 at a time, each in a cycle of its own; its finalizer frees the block. What piles up is some of what lives, however many come
/// and go, and though the cells are hardly any bytes.
#[test]
fn garbage_that_owns_blocks_stays_in_proportion() {
    let mut host = Host::new(64, Config::default());
    let mut random = super::program::Random::new(16);
    let mut blocks = std::collections::HashMap::new();
    let (mut live, mut most_live, mut peak) = (0, 0, 0);
    for _ in 0..10_000 {
        let (i, size) = (random.below(64), (1024 << random.below(10)) + random.below(1000));
        let owner = host.new_object(toy::PLAIN, 0).expect("room");
        host.store(owner, 0, Some(owner));
        let number = host.made - 1;
        blocks.insert(number, (host.heap.malloc(size).expect("room"), size));
        // SAFETY: young, or in a global.
        let old = unsafe {
            host.heap.set_finalizer(owner);
            host.roots.globals[i].replace(owner).map(|old| toy::number(old))
        };
        live = live + size - old.map_or(0, |old| blocks[&old].1);
        host.safepoint();
        for number in finalized(&mut host) {
            let (block, _) = blocks.remove(&number).expect("its finalizer runs once");
            // SAFETY: allocated above, and freed once.
            unsafe { host.heap.free(block) };
        }
        (most_live, peak) = (most_live.max(live), peak.max(host.heap.explicit_bytes()));
    }
    assert!(peak < most_live / 2 * 3, "{peak} bytes for {most_live}");
    host.sound();
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
        host.sound();
    }
}

/// R16: counting finds garbage at once, so what a finalizer arms again waits until a tracing collector would have come round.
#[test]
fn a_finalizer_that_is_set_again_comes_with_the_allocation() {
    let mut host = Host::new(2, Config::default());
    keep_list(&mut host, 40_000);
    host.collect();
    let kept = host.heap.census()[toy::PLAIN as usize].bytes;
    let object = host.new_object(toy::PLAIN, 0).expect("room");
    // SAFETY: just made.
    unsafe { host.heap.set_finalizer(object) };
    let (mut times, mut quick) = (0u64, 0);
    let before = host.heap.counters().allocated_bytes;
    for _ in 0..400_000 {
        host.roots.globals[1] = Some(host.new_object(toy::PLAIN, 0).expect("room"));
        host.safepoint();
        let mut again = host.heap.next_finalizer();
        while let Some(due) = again {
            // SAFETY: the heap says that the object lives.
            unsafe {
                assert_eq!(due, object);
                host.heap.rearm_finalizer(due);
            }
            times += 1;
            again = host.heap.next_finalizer();
            quick += u64::from(again.is_some());
        }
    }
    let generations = (host.heap.counters().allocated_bytes - before) / kept;
    assert!(quick == 0 && generations >= 8 && (generations / 4..=generations + 2).contains(&times), "{times} in {generations}");
    // Whole collections don't wait for the allocation, and neither does the end.
    host.collect();
    host.collect();
    assert_eq!(finalized(&mut host).len(), 1);
    // SAFETY: on loan until the next safepoint.
    unsafe { host.heap.rearm_finalizer(object) };
    host.heap.queue_all_finalizers();
    assert_eq!(finalized(&mut host).len(), 1);
    host.roots.globals.fill(None);
    host.collect();
    host.collect();
    assert_eq!((finalized(&mut host), host.objects(toy::PLAIN)), (vec![], 0));
    host.sound();
}

#[test]
fn at_the_end_every_finalizer_is_handed_over() {
    // The end comes anywhere in a cycle, while some of the objects are in use, some in dead cycles, some dead by counting and some of both weakly held.
    const OBJECTS: usize = 24;
    let mut phases = Vec::new();
    for steps in 0..260 {
        let mut host = Host::new(OBJECTS + 1, Config::default());
        let weak = host.new_object(toy::WEAK, OBJECTS).expect("room");
        host.roots.globals[OBJECTS] = Some(weak);
        for i in 0..OBJECTS {
            let object = host.new_object(toy::PLAIN, 0).expect("room");
            if i % 4 != 0 {
                host.store(object, 0, Some(object));
            }
            host.roots.globals[i] = Some(object);
            // SAFETY: it stands in a global, the holder in another.
            unsafe {
                host.heap.set_finalizer(object);
                if i % 2 == 0 {
                    host.heap.weak_hold(object);
                    toy::pairs(weak)[i].1 = Some(object);
                }
            }
        }
        host.collect();
        for i in (0..OBJECTS).filter(|i| i % 3 != 0) {
            host.roots.globals[i] = None;
        }
        for step in 0..steps {
            let drive = match step {
                0 => Drive::EpochEndAndStart,
                _ if step % 9 == 0 => Drive::EpochEnd(2),
                _ if step % 9 == 1 => Drive::Release(3),
                _ => Drive::Phase(1),
            };
            // SAFETY: nothing is held but what stands in the globals.
            unsafe { host.heap.drive(&host.roots, drive) };
        }
        phases.push(host.heap.phase());
        host.heap.queue_all_finalizers();
        let mut all = finalized(&mut host);
        all.sort_unstable();
        let expected: Vec<u64> = (1..=OBJECTS as u64).collect();
        assert_eq!(all, expected, "after {steps} steps, in phase {:?}", host.heap.phase());
        host.roots.globals.fill(None);
        host.collect();
        host.collect();
        assert_eq!((finalized(&mut host), host.objects(toy::PLAIN)), (vec![], 0));
        host.sound();
    }
    // The phases that decide about finalizers were among them.
    for phase in [Phase::Idle, Phase::Mark, Phase::CleanValues, Phase::ListFinalizable, Phase::MarkAgain, Phase::CleanKeys] {
        assert!(phases.contains(&phase), "{phase:?}");
    }
}

/// Makes a list of so many nodes, kept by the first global.
fn keep_list(host: &mut Host, nodes: usize) {
    let mut list = None;
    for _ in 0..nodes {
        let next = host.new_object(toy::PLAIN, 0).expect("room");
        host.store(next, 0, list);
        list = Some(next);
        host.roots.globals[0] = list;
        host.safepoint();
    }
}

#[test]
fn a_long_list_dies_without_recursion() {
    let mut host = Host::new(1, Config::default());
    keep_list(&mut host, 300_000);
    host.collect();
    assert_eq!(host.objects(toy::PLAIN), 300_000);
    host.roots.globals[0] = None;
    host.collect();
    assert_eq!(host.objects(toy::PLAIN), 0);
}

/// How often marking has started while a program makes garbage that dies young, or by a count that falls from 1 to 0.
pub fn cycles_of_a_quiet_program(sabotage: Sabotage) -> u64 {
    let mut host = Host::new(2, Config::default());
    host.heap.sabotage(sabotage);
    keep_list(&mut host, 20_000);
    host.collect();
    let before = host.heap.counters();
    for _ in 0..400_000 {
        let object = host.new_object(toy::PLAIN, 0).expect("room");
        host.roots.globals[1] = Some(object);
        host.safepoint();
    }
    let epochs = host.heap.counters().epochs;
    assert!(epochs > before.epochs + 10, "{epochs}");
    // A whole collection looks for cycles only if there was an event.
    host.collect();
    host.heap.counters().cycles - before.cycles
}

#[test]
fn without_an_event_no_cycle_starts() {
    assert_eq!(cycles_of_a_quiet_program(Sabotage::None), 0);
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

#[test]
fn objects_as_large_as_a_budget_leave_room_for_slices() {
    // 5 MB each, 500 MB in all; every safepoint ends an epoch, and the one before is freed by a slice.
    let mut host = Host::new(1, Config { limit_bytes: 24 << 20, ..Config::default() });
    for _ in 0..100 {
        let array = host.new_object(toy::ARRAY, 650_000).expect("room, since the garbage goes");
        host.roots.globals[0] = Some(array);
        host.safepoint();
    }
    host.sound();
}

/// Marking scans a deep stack in parts. If the thread dies between two of them, another cell may stand in its place when the next is due.
#[test]
fn a_thread_dies_half_scanned() {
    for units in 0..8 {
        let mut host = Host::new(1, Config::default());
        let deep = Host::new_thread(&mut host.heap, 4000, 4000);
        let object = host.new_object(toy::PLAIN, 0).expect("an object");
        // SAFETY: the stack has so many slots.
        unsafe { (*toy::buffer(deep)).add(3999).write(Some(object)) };
        host.roots.globals[0] = Some(deep);
        // SAFETY: nothing is held but what stands in the globals.
        let drive = |host: &mut Host, what| unsafe { host.heap.drive(&host.roots, what) };
        drive(&mut host, Drive::EpochEnd(0));
        drive(&mut host, Drive::EpochEndAndStart);
        drive(&mut host, Drive::Phase(units));
        host.roots.globals[0] = None;
        drive(&mut host, Drive::EpochEnd(0));
        while drive(&mut host, Drive::Release(1000)) {}
        // As large as a thread, and more than a block holds.
        let len = (toy::size_of_kind(toy::THREAD, 0) - toy::size_of_kind(toy::ARRAY, 0)) / 8;
        for _ in 0..400 {
            let array = host.new_object(toy::ARRAY, len).expect("an array");
            let before = host.roots.globals[0].replace(array);
            host.store(array, 0, before);
        }
        drive(&mut host, Drive::EpochEnd(0));
        while drive(&mut host, Drive::Phase(1)) {}
        host.sound();
        host.collect();
        assert_eq!((host.objects(toy::ARRAY), host.objects(toy::THREAD)), (400, 1));
    }
}

/// Objects that have been handed over are counted until an epoch end takes that back, and it takes back some thousands only: a cycle that comes meanwhile
/// must not find the others dead.
#[test]
fn what_is_on_loan_outlives_a_cycle() {
    const OBJECTS: u64 = 40_000;
    let mut host = Host::new(1, Config::default());
    let array = host.new_object(toy::ARRAY, OBJECTS as usize).expect("room");
    host.roots.globals[0] = Some(array);
    for slot in 0..OBJECTS as usize {
        let object = host.new_object(toy::PLAIN, 0).expect("room");
        // SAFETY: just made.
        unsafe { host.heap.set_finalizer(object) };
        host.store(array, slot, Some(object));
    }
    host.collect();
    host.roots.globals[0] = None;
    let mut handed_over = 0;
    while handed_over < OBJECTS {
        // SAFETY: nothing is kept but in the globals.
        unsafe { host.heap.drive(&host.roots, Drive::EpochEnd(usize::MAX)) };
        while host.heap.next_finalizer().is_some() {
            handed_over += 1;
        }
        // SAFETY: as above.
        while unsafe { host.heap.drive(&host.roots, Drive::Release(1000)) } {}
    }
    // A whole cycle while most of them are still on loan: an epoch end for its start and one for each fixpoint.
    // SAFETY: as above.
    unsafe {
        host.heap.drive(&host.roots, Drive::EpochEndAndStart);
        for _ in 0..3 {
            while host.heap.drive(&host.roots, Drive::Phase(1000)) {}
            host.sound();
            host.heap.drive(&host.roots, Drive::EpochEnd(usize::MAX));
        }
        while host.heap.drive(&host.roots, Drive::Phase(1000)) {}
    }
    host.sound();
    host.collect();
    assert_eq!(host.objects(toy::PLAIN), 0);
    assert_eq!(finalized(&mut host), []);
    host.sound();
}
