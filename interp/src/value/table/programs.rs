//! Random programs over one table, against a naive model: keys of all kinds in all orders, removal, traversal with removal, weak modes that come and go,
//! objects that are dropped, and the collector at each step. In test builds hash parts are small (`parts::SEGMENT`), so that some hundred entries make a
//! large table that splits, merges and moves its integers.
//!
//!     NEAP_TEST_ROUNDS=1000000 cargo test --release -p neap --lib programs

use super::tests::{NoRoots, collect_some};
use super::*;
use neap_gc::Config;
use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256StarStar;
use std::collections::{HashMap, HashSet};

/// A value, by what tells it from others as long as the program runs: addresses are used again.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Name {
    Int(i64),
    Float(u64),
    Text(usize),
    /// The number that the object has as its only field.
    Object(i64),
}

/// How keys follow from numbers.
#[derive(Clone, Copy)]
enum Keys {
    Ints { step: i64, first: i64 },
    Floats { step: f64, first: f64 },
    Texts,
    Objects,
}

struct Program {
    heap: LuaHeap,
    table: Gc<Table>,
    /// An array of the objects that the program holds; the model has their numbers.
    held: Gc<Table>,
    numbers: Vec<i64>,
    made: i64,
    /// What the table has, or has had if a weak side of it may have died.
    model: HashMap<Name, Name>,
    weak_keys: bool,
    weak_values: bool,
    random: Xoshiro256StarStar,
    _handles: [neap_gc::Handle; 2],
}

impl Program {
    fn new(seed: u64) -> Program {
        hash::seed();
        let mut heap = Heap::new(LuaRuntime::default(), Config::default()).expect("a heap");
        let mut table = || Gc::<Table>::new(&mut heap, 0, 0).expect("memory");
        let (table, held) = (table(), table());
        // SAFETY: young cells of this heap.
        let handles = unsafe { [heap.handle(table.as_ref()), heap.handle(held.as_ref())] };
        let random = Xoshiro256StarStar::seed_from_u64(seed);
        let (numbers, model) = (Vec::new(), HashMap::new());
        Program { heap, table, held, numbers, made: 0, model, weak_keys: false, weak_values: false, random, _handles: handles }
    }

    fn below(&mut self, n: usize) -> usize {
        (self.random.next_u64() % n as u64) as usize
    }

    /// The program holds a new object, in a place where it may have held another.
    fn make_object(&mut self, place: usize) {
        self.made += 1;
        let object = Gc::<Table>::new(&mut self.heap, 0, 0).expect("memory");
        object.set(&mut self.heap, Value::int(1), Value::int(self.made)).expect("memory");
        self.held.set(&mut self.heap, Value::int(place as i64 + 1), Value::table(object)).expect("memory");
        if place == self.numbers.len() {
            self.numbers.push(self.made);
        } else {
            self.numbers[place] = self.made;
        }
    }

    fn object(&mut self, place: usize) -> Value {
        self.held.get_int(&mut self.heap, place as i64 + 1)
    }

    fn key(&mut self, keys: Keys, n: usize) -> Value {
        match keys {
            Keys::Ints { step, first } => Value::int((n as i64).wrapping_mul(step).wrapping_add(first)),
            Keys::Floats { step, first } => Value::float(n as f64 * step + first),
            Keys::Texts => {
                let s = Gc::<Str>::new(&mut self.heap, format!("key {n}").as_bytes()).expect("memory");
                Value::str(s.interned(&mut self.heap).expect("memory"))
            }
            Keys::Objects => self.object(n % self.numbers.len()),
        }
    }

    fn name(&mut self, value: Value) -> Name {
        match value.tag() {
            Tag::INT => Name::Int(value.raw_int()),
            Tag::FLOAT => float_to_int(value.raw_float()).map_or(Name::Float(value.bits()), Name::Int),
            Tag::STR => {
                let text = value.as_str().expect("a string").bytes();
                Name::Text(std::str::from_utf8(&text[4..]).expect("digits").parse().expect("a number"))
            }
            _ => {
                let object = value.as_table().unwrap_or_else(|| panic!("{:?} {:#x} is no object", value.tag(), value.bits()));
                Name::Object(object.get_int(&mut self.heap, 1).raw_int())
            }
        }
    }

    /// What surely has not died, and is all that is left when everything else has. (Written for the three modes apart, from the reference manual, 2.5.4.)
    fn certain(&self) -> HashMap<Name, Name> {
        let held: HashSet<Name> = self.numbers.iter().map(|&n| Name::Object(n)).collect();
        let is_live = |live: &HashSet<Name>, name: &Name| !matches!(name, Name::Object(_)) || live.contains(name);
        let mut entries = self.model.clone();
        match (self.weak_keys, self.weak_values) {
            (false, false) => {}
            (true, true) => entries.retain(|key, value| is_live(&held, key) && is_live(&held, value)),
            // Keys are held by their entries: what is to go is found by and by.
            (false, true) => loop {
                let live: HashSet<Name> = held.iter().chain(entries.keys()).copied().collect();
                let before = entries.len();
                entries.retain(|_, value| is_live(&live, value));
                if entries.len() == before {
                    break;
                }
            },
            // Values are held by their keys: what is to stay is found by and by.
            (true, false) => {
                let mut live = held;
                loop {
                    let before = live.len();
                    let values = entries.iter().filter(|(key, _)| is_live(&live, key)).map(|(_, &value)| value);
                    let values: Vec<Name> = values.collect();
                    live.extend(values);
                    if live.len() == before {
                        break;
                    }
                }
                entries.retain(|key, _| is_live(&live, key));
            }
        }
        entries
    }

    fn set(&mut self, key: Value, value: Option<Value>) {
        let name = self.name(key);
        let before = self.table.get(&mut self.heap, key);
        if !before.is_nil() {
            let before = self.name(before);
            assert_eq!(Some(&before), self.model.get(&name), "under {name:?}");
        }
        if let Err(error) = self.table.set(&mut self.heap, key, value.unwrap_or(Value::NIL)) {
            panic!("{error:?} under {name:?}");
        }
        let after = self.table.get(&mut self.heap, key);
        match value {
            Some(value) => {
                let value = self.name(value);
                assert!(
                    !after.is_nil(),
                    "just written under {name:?}, large {}, weak {}",
                    self.table.is_large(),
                    self.table.is_weak()
                );
                assert_eq!(self.name(after), value, "just written under {name:?}");
                self.model.insert(name, value);
            }
            None => {
                assert!(after.is_nil());
                self.model.remove(&name);
            }
        }
    }

    /// A traversal comes by each entry once, some of which are removed or written where it stands.
    fn traverse(&mut self, changing: bool) {
        let certain = self.certain();
        let (mut at, mut seen) = (0, HashSet::new());
        while let Some((next, key, value)) = self.table.next_entry(&mut self.heap, at) {
            let (name, value) = (self.name(key), self.name(value));
            assert!(seen.insert(name), "{name:?} is seen twice");
            assert_eq!(self.model.get(&name), Some(&value), "under {name:?}");
            assert_eq!(self.table.position_after(&mut self.heap, key), Some(next));
            at = next;
            if changing && self.below(2) == 0 {
                let value = (self.below(3) == 0).then(|| Value::int(self.made));
                self.set(key, value);
                if value.is_none() {
                    seen.remove(&name);
                }
                assert_eq!(self.table.position_after(&mut self.heap, key), Some(at), "{name:?} keeps its place");
            }
        }
        for name in certain.keys().filter(|name| self.model.contains_key(name)) {
            assert!(seen.contains(name), "{name:?} is not seen");
        }
        // What is gone stays away, whatever mode comes.
        self.model.retain(|name, _| seen.contains(name));
    }

    fn collect(&mut self) {
        // SAFETY: what is needed later is in the two tables.
        unsafe { collect_some(&mut self.heap, &mut self.random) };
    }

    /// Nothing is left but what is certain.
    fn collect_fully(&mut self) {
        let mut before = usize::MAX;
        ModeChanges::finish(&mut self.heap).expect("memory");
        loop {
            // SAFETY: as above.
            unsafe { self.heap.collect_full(&NoRoots) };
            let (mut at, mut count) = (0, 0);
            while let Some((next, ..)) = self.table.next_entry(&mut self.heap, at) {
                (at, count) = (next, count + 1);
            }
            if count == before {
                break;
            }
            before = count;
        }
        self.model = self.certain();
        assert_eq!(before, self.model.len());
        self.traverse(false);
    }

    fn check(&mut self) {
        let border = self.table.length(&mut self.heap);
        assert!(border == 0 || !self.table.get_int(&mut self.heap, border).is_nil());
        if !self.weak_values {
            assert!(self.table.get_int(&mut self.heap, border + 1).is_nil());
        }
        // SAFETY: as above.
        if let Err(error) = unsafe { self.heap.audit() } {
            panic!("{error}");
        }
    }

    fn random_keys(&mut self) -> Keys {
        let step = [1, 1, 3, 64, 1 << 20, 1000, -7, 1 << 44][self.below(8)];
        let first = [0, 0, 7, -3, i64::MAX - 50][self.below(5)];
        match self.below(6) {
            0..3 => Keys::Ints { step, first },
            3 => Keys::Floats { step: [1.0, 0.1, 1.0 / 3.0, 1e-300, 1e9][self.below(5)], first: [0.5, 0.0, 1e17][self.below(3)] },
            4 => Keys::Texts,
            _ => Keys::Objects,
        }
    }

    /// One pattern of insertions or removals.
    fn burst(&mut self, count: usize, collect_every: usize) {
        let (keys, order, kind) = (self.random_keys(), self.below(4), self.below(6));
        let (steps, window) = (self.below(count) + 1, self.below(50) + 1);
        for step in 1..=steps {
            let n = match order {
                0 | 1 => step,
                2 => steps + 1 - step,
                _ => self.below(count) + 1,
            };
            let place = self.below(self.numbers.len());
            let value = if self.below(2) == 0 { Value::int(step as i64) } else { self.object(place) };
            let key = self.key(keys, n);
            self.set(key, (kind != 5 && (kind != 4 || n % 2 == 0)).then_some(value));
            if kind == 3 && n > window {
                let key = self.key(keys, n - window);
                self.set(key, None);
            }
            if self.below(16) == 0 {
                self.make_object(place);
            }
            if step % collect_every == 0 {
                self.collect();
            }
        }
    }

    fn run(&mut self) {
        let count = [8, 60, 700, 2500][self.below(4)];
        let collect_every = [1, 3, 40][self.below(3)];
        for place in 0..count.min(200) {
            self.make_object(place);
        }
        for _ in 0..1 + self.below(5) {
            match self.below(8) {
                0 => {
                    self.traverse(false);
                    (self.weak_keys, self.weak_values) = (self.below(2) == 0, self.below(2) == 0);
                    self.table.set_weakness(&mut self.heap, self.weak_keys, self.weak_values).expect("memory");
                }
                1 => self.traverse(true),
                2 => self.collect_fully(),
                _ => self.burst(count, collect_every),
            }
        }
        self.check();
        self.traverse(false);
    }
}

#[test]
fn programs_agree_with_the_model() {
    let rounds = std::env::var("NEAP_TEST_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(100);
    let first = std::env::var("NEAP_TEST_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(0);
    for seed in first..first + rounds {
        let outcome = std::panic::catch_unwind(|| Program::new(seed).run());
        assert!(outcome.is_ok(), "the program of NEAP_TEST_SEED={seed} disagrees");
    }
}
