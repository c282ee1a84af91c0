//! Tables against a naive model, while they grow and shrink and the collector works.

use super::*;
use neap_gc::heap::Drive;
use neap_gc::{Config, RootSource};
use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256StarStar;
use std::collections::HashMap;

pub(super) struct NoRoots;

// SAFETY: nothing is visited.
unsafe impl RootSource for NoRoots {
    fn slots(&self, _: &mut dyn FnMut(Option<Ref>)) {}
}

/// Some work of the collector, now of one kind, now of another, or of tables that wait.
///
/// # Safety
/// What is needed later has a handle, or is reached from what has.
pub(super) unsafe fn collect_some(heap: &mut LuaHeap, random: &mut Xoshiro256StarStar) {
    if random.next_u64().is_multiple_of(8) {
        SparseTables::settle(heap, random.next_u64().is_multiple_of(2));
    }
    ModeChanges::step(heap).expect("memory");
    if ModeChanges::hold_collector(heap) {
        return;
    }
    let what = match random.next_u64() % 8 {
        0 => Drive::EpochEnd(1),
        1 => Drive::EpochEndAndStart,
        2..4 => Drive::Release(64),
        4 => Drive::Phase(1),
        _ => Drive::Clean(4),
    };
    // SAFETY: by the caller.
    unsafe { heap.drive(&NoRoots, what) };
}

/// What keys a program uses.
#[derive(Clone, Copy, Debug)]
enum Family {
    Dense,
    Sparse,
    Floats,
    Strings,
    Objects,
}

const FAMILIES: [Family; 5] = [Family::Dense, Family::Sparse, Family::Floats, Family::Strings, Family::Objects];

struct World {
    heap: LuaHeap,
    table: Gc<Table>,
    /// An array of the objects that are keys.
    objects: Gc<Table>,
    model: HashMap<(u8, u64), i64>,
    random: Xoshiro256StarStar,
    _held: [neap_gc::Handle; 2],
}

impl World {
    fn new(seed: u64, objects: usize) -> World {
        crate::value::hash::seed();
        let mut heap = Heap::new(LuaRuntime::default(), Config::default()).expect("a heap");
        let mut table = || Gc::<Table>::new(&mut heap, 0, 0).expect("memory");
        let (table, list) = (table(), table());
        // SAFETY: young cells of this heap.
        let held = unsafe { [heap.handle(table.as_ref()), heap.handle(list.as_ref())] };
        for i in 1..=objects {
            let object = Gc::<Table>::new(&mut heap, 0, 0).expect("memory");
            list.set(&mut heap, Value::int(i as i64), Value::table(object)).expect("memory");
        }
        let random = Xoshiro256StarStar::seed_from_u64(seed);
        World { heap, table, objects: list, model: HashMap::new(), random, _held: held }
    }

    fn below(&mut self, n: usize) -> usize {
        (self.random.next_u64() % n as u64) as usize
    }

    fn key(&mut self, family: Family, n: usize) -> Value {
        match family {
            Family::Dense => Value::int(n as i64),
            Family::Sparse => Value::int((n as i64) << 44),
            Family::Floats => Value::float(n as f64 + 0.5),
            Family::Strings => {
                let s = Gc::<Str>::new(&mut self.heap, format!("key {n}").as_bytes()).expect("memory");
                Value::str(s.interned(&mut self.heap).expect("memory"))
            }
            Family::Objects => self.objects.get_int(&mut self.heap, n as i64),
        }
    }

    fn set(&mut self, key: Value, value: Option<i64>) {
        let name = (key.tag().0, key.bits());
        let before = self.table.get(&mut self.heap, key);
        assert_eq!(before.as_int(), self.model.get(&name).copied());
        self.table.set(&mut self.heap, key, value.map_or(Value::NIL, Value::int)).expect("memory");
        match value {
            Some(value) => self.model.insert(name, value),
            None => self.model.remove(&name),
        };
    }

    /// Whether a traversal comes by each entry once. Some are removed where it stands.
    fn traverse(&mut self, remove: bool) {
        let (mut at, mut seen) = (0, HashMap::new());
        while let Some((next, key, value)) = self.table.next_entry(&mut self.heap, at) {
            let name = (key.tag().0, key.bits());
            assert_eq!(seen.insert(name, value.raw_int()), None, "seen twice");
            assert_eq!(self.table.position_after(&mut self.heap, key), Some(next));
            at = next;
            if remove && self.random.next_u32().is_multiple_of(2) {
                self.table.set(&mut self.heap, key, Value::NIL).expect("memory");
                self.model.remove(&name);
                assert_eq!(self.table.position_after(&mut self.heap, key), Some(at), "a removed key keeps its place");
                seen.remove(&name);
            }
        }
        assert_eq!(seen, self.model);
    }

    fn check(&mut self) {
        let border = self.table.length(&mut self.heap);
        assert!(border == 0 || !self.table.get_int(&mut self.heap, border).is_nil());
        assert!(self.table.get_int(&mut self.heap, border + 1).is_nil());
        // SAFETY: what is needed later is in the two tables.
        if let Err(error) = unsafe { self.heap.audit() } {
            panic!("{error}");
        }
    }

    fn collect(&mut self) {
        // SAFETY: as above.
        unsafe { collect_some(&mut self.heap, &mut self.random) };
    }

    /// One way of filling or emptying.
    fn phase(&mut self, count: usize, collect_every: usize) {
        let family = FAMILIES[self.below(FAMILIES.len())];
        let (what, steps) = (self.below(7), self.below(count) + 1);
        let window = self.below(300) + 1;
        for step in 1..=steps {
            let n = match what {
                0 | 1 => step,
                2 => steps + 1 - step,
                _ => self.below(count) + 1,
            };
            match what {
                1 => {
                    let key = self.key(Family::Dense, n);
                    self.set(key, Some(step as i64));
                    if n > window {
                        let key = self.key(Family::Dense, n - window);
                        self.set(key, None);
                    }
                }
                3 | 4 => {
                    let key = self.key(family, n);
                    self.set(key, Some(step as i64));
                }
                5 => {
                    let key = self.key(family, n);
                    self.set(key, None);
                }
                6 => {
                    let (key, value) = (self.key(family, n), self.below(2));
                    self.set(key, (value == 0).then_some(step as i64));
                }
                _ => {
                    let key = self.key(Family::Dense, n);
                    self.set(key, Some(step as i64));
                }
            }
            if step % collect_every == 0 {
                self.collect();
            }
        }
    }
}

#[test]
fn a_table_is_a_map() {
    for (seed, count, phases, collect_every) in [
        (1, 100, 60, 1),
        (2, 100, 60, 3),
        (3, 3_000, 30, 50),
        (4, 20_000, 12, 700),
        (5, 20_000, 12, 10_000),
        (6, 40_000, 8, 5_000),
    ] {
        let mut world = World::new(seed, count);
        for _ in 0..phases {
            world.phase(count, collect_every);
            world.check();
            if world.below(3) == 0 {
                let remove = world.below(2) == 0;
                world.traverse(remove);
            }
        }
        world.traverse(false);
    }
}

/// The bytes of a table follow what is in it, through growth, a window that slides, and removal.
#[test]
fn memory_follows_the_entries() {
    let mut world = World::new(7, 0);
    let collect = |world: &mut World| {
        while SparseTables::settle(&mut world.heap, true) {}
        // SAFETY: what is needed later is in the two tables.
        unsafe { world.heap.collect_full(&NoRoots) }
    };
    collect(&mut world);
    let empty = world.heap.used_bytes();
    for n in 1..=400_000 {
        let key = world.key(Family::Dense, n);
        world.table.set(&mut world.heap, key, Value::TRUE).expect("memory");
        if n > 1000 {
            let key = world.key(Family::Dense, n - 1000);
            world.table.set(&mut world.heap, key, Value::NIL).expect("memory");
        }
        if n % 50_000 == 0 {
            collect(&mut world);
            let held = world.heap.used_bytes() - empty;
            assert!(held < 6 * 1000 * 40, "{held} bytes for a window of 1000 entries at {n}");
        }
    }
    let (mut world, count) = (World::new(8, 0), 100_000);
    collect(&mut world);
    let empty = world.heap.used_bytes();
    for n in 0..count {
        let key = world.key(Family::Floats, n);
        world.table.set(&mut world.heap, key, Value::TRUE).expect("memory");
    }
    for n in 0..count {
        let key = world.key(Family::Floats, n);
        world.table.set(&mut world.heap, key, Value::NIL).expect("memory");
    }
    collect(&mut world);
    let held = world.heap.used_bytes() - empty;
    assert!(held < 4096, "{held} bytes for nothing");
}

/// A set that is filled with the same names again and again, emptied in between, makes nothing new and counts nothing; nor does it keep its memory when it
/// is left.
#[test]
fn an_emptied_table_waits_for_what_comes_again() {
    let (mut world, count) = (World::new(9, 0), 3000);
    let names: Vec<Value> = (0..count).map(|n| world.key(Family::Strings, n)).collect();
    for &name in &names {
        world.objects.set(&mut world.heap, Value::int(world.model.len() as i64 + 1), name).expect("memory");
        world.set(name, Some(1));
    }
    let empty = |world: &mut World| names.iter().for_each(|&name| world.set(name, None));
    // SAFETY: what is needed later is in the two tables.
    let end_epoch = |world: &mut World| unsafe { world.heap.drive(&NoRoots, Drive::EpochEnd(usize::MAX)) };
    end_epoch(&mut world);
    let (before, directory) = (world.heap.counters(), world.table.nodes());
    assert!(world.table.is_large());
    for _ in 0..10 {
        empty(&mut world);
        names.iter().for_each(|&name| world.set(name, Some(2)));
    }
    empty(&mut world);
    end_epoch(&mut world);
    let after = world.heap.counters();
    assert_eq!((after.allocated_bytes, after.reclaimed_objects()), (before.allocated_bytes, before.reclaimed_objects()));
    assert!(world.table.nodes() == directory && world.table.has_mark(mark::WAITS));
    // It is left: after some epochs it goes in steps.
    let (mut waited, mut steps) = (0, 1);
    while !SparseTables::settle(&mut world.heap, false) {
        end_epoch(&mut world);
        waited += 1;
    }
    assert!((2..100).contains(&waited), "{waited} epochs");
    while SparseTables::settle(&mut world.heap, false) {
        steps += 1;
    }
    assert!(steps > 3, "{steps} steps");
    assert!(!world.table.has_nodes() && !world.table.has_mark(mark::WAITS));
    world.check();
}

/// Strings that a table holds after their removal are no keys of it, and go with their nodes.
#[test]
fn removed_strings_are_not_in_the_table() {
    let mut world = World::new(10, 0);
    for n in 0..400 {
        let key = world.key(Family::Strings, n);
        world.set(key, Some(1));
    }
    let reclaimed = |world: &mut World| {
        // SAFETY: what is needed later is in the two tables.
        unsafe { world.heap.collect_full(&NoRoots) };
        world.heap.counters().counted_objects
    };
    let before = reclaimed(&mut world);
    for n in (0..400).filter(|n| n % 4 != 0) {
        let key = world.key(Family::Strings, n);
        world.set(key, None);
        assert!(world.table.position_after(&mut world.heap, key).is_some());
    }
    world.traverse(false);
    assert_eq!(reclaimed(&mut world), before, "they are held");
    for n in 0..2000 {
        let key = world.key(Family::Floats, n);
        world.set(key, Some(1));
    }
    assert!(reclaimed(&mut world) >= before + 300);
    world.check();
    world.traverse(true);
}

/// A large table changes its mode a part at a time, and what is strong again by then stays.
#[test]
fn a_change_of_mode_goes_in_steps() {
    const COUNT: usize = 40_000;
    let part = parts::SEGMENT * size_of::<Node>();
    for family in [Family::Dense, Family::Sparse, Family::Strings, Family::Objects] {
        let mut world = World::new(11, COUNT);
        for n in 1..=COUNT {
            let (key, object) = (world.key(family, n), Gc::<Table>::new(&mut world.heap, 0, 0).expect("memory"));
            world.table.set(&mut world.heap, key, Value::table(object)).expect("memory");
        }
        let modes = [(true, false), (false, false), (false, true), (false, false), (true, true), (true, false), (false, true)];
        for (i, (keys, values)) in modes.into_iter().enumerate() {
            let before = world.heap.allocated_bytes();
            world.table.set_weakness(&mut world.heap, keys, values).expect("memory");
            let mut steps = 0;
            let mut most = world.heap.allocated_bytes() - before;
            loop {
                let before = world.heap.allocated_bytes();
                if !ModeChanges::step(&mut world.heap).expect("memory") {
                    break;
                }
                steps += 1;
                most = most.max(world.heap.allocated_bytes().saturating_sub(before));
            }
            assert!(steps > 10, "{family:?}, mode {i}: {steps} steps");
            assert!(most < 12 * part, "{family:?}, mode {i}: a step of {most} bytes");
            assert_eq!(world.table.is_weak(), keys || values);
            let (mut at, mut count) = (0, 0);
            while let Some((next, _, value)) = world.table.next_entry(&mut world.heap, at) {
                assert!(value.as_table().is_some());
                (at, count) = (next, count + 1);
            }
            assert_eq!(count, COUNT, "{family:?}, mode {i}");
            if !values {
                // SAFETY: what is needed later is in the two tables.
                unsafe { world.heap.collect_full(&NoRoots) };
            }
            // SAFETY: as above.
            if let Err(error) = unsafe { world.heap.audit() } {
                panic!("{family:?}, mode {i}: {error}");
            }
        }
        // SAFETY: as above.
        unsafe { world.heap.collect_full(&NoRoots) };
        assert!(world.table.next_entry(&mut world.heap, 0).is_none(), "{family:?}: all values are weak now");
    }
}
