//! Vectors, tables and ordered maps on the heap, beside those of the standard library.

use crate::{Random, arena};
use neap_gc::arena::{Arena, Config, Gc, GcHashMap, GcTreeMap, GcVec, Rootable, Trace, WeakMap};
use std::collections::{BTreeMap, HashMap};
use std::hash::{Hash, Hasher};

/// What stands in collections: numbers and references, told apart by a tag.
#[derive(Clone, Copy, Trace, PartialEq, Debug)]
enum Value<'gc> {
    Number(u64),
    Object(Gc<'gc, u64>),
}

impl<'gc> Value<'gc> {
    fn number(self) -> u64 {
        match self {
            Value::Number(number) => number,
            Value::Object(object) => *object,
        }
    }
}

fn value<'gc>(mc: &neap_gc::arena::Mutation<'gc>, number: u64) -> Value<'gc> {
    if number.is_multiple_of(2) { Value::Number(number) } else { Value::Object(mc.alloc(number)) }
}

#[derive(Trace, Rootable)]
struct Vectors<'gc> {
    plain: GcVec<'gc, u8>,
    words: GcVec<'gc, Gc<'gc, u64>>,
    values: GcVec<'gc, Value<'gc>>,
}

#[test]
fn vectors_do_what_vectors_do() {
    for seed in 0..4 {
        let mut random = Random::new(seed);
        let mut arena = arena::<Vectors>(|mc| Vectors { plain: GcVec::new(mc), words: GcVec::new(mc), values: GcVec::new(mc) });
        let mut model: Vec<u64> = Vec::new();
        for step in 0..120 {
            // Small ones, and some that are recorded by slots and grow where they stand.
            let many = if seed < 2 { 20 } else { 600 };
            arena.mutate(|mc, root| {
                for _ in 0..random.below(many) {
                    let number = random.below(250) as u64;
                    let at = random.below(model.len() + 1);
                    match random.below(if model.len() > 3_000 { 20 } else { 12 }) {
                        0..6 => {
                            model.push(number);
                            root.plain.push(mc, number as u8);
                            root.words.push(mc, mc.alloc(number));
                            root.values.push(mc, value(mc, number));
                        }
                        6..9 if at < model.len() => {
                            model[at] = number;
                            root.plain.set(mc, at, number as u8);
                            root.words.set(mc, at, mc.alloc(number));
                            root.values.set(mc, at, value(mc, number));
                        }
                        9 => {
                            model.insert(at, number);
                            root.plain.insert(mc, at, number as u8);
                            root.words.insert(mc, at, mc.alloc(number));
                            root.values.insert(mc, at, value(mc, number));
                        }
                        10 if at < model.len() => {
                            let removed = model.remove(at);
                            assert_eq!(u64::from(root.plain.remove(mc, at)), removed);
                            assert_eq!(*root.words.remove(mc, at), removed);
                            assert_eq!(root.values.remove(mc, at).number(), removed);
                        }
                        11 if at < model.len() => {
                            let removed = model.swap_remove(at);
                            assert_eq!(u64::from(root.plain.swap_remove(mc, at)), removed);
                            assert_eq!(*root.words.swap_remove(mc, at), removed);
                            assert_eq!(root.values.swap_remove(mc, at).number(), removed);
                        }
                        12..18 => {
                            let popped = model.pop();
                            assert_eq!(root.plain.pop(mc).map(u64::from), popped);
                            assert_eq!(root.words.pop(mc).map(|word| *word), popped);
                            assert_eq!(root.values.pop(mc).map(Value::number), popped);
                        }
                        18 => {
                            model.truncate(at);
                            root.plain.truncate(mc, at);
                            root.words.truncate(mc, at);
                            root.values.truncate(mc, at);
                        }
                        _ => {}
                    }
                }
            });
            if step % 40 == 39 {
                arena.mutate(|mc, root| {
                    root.words.clear(mc);
                    root.words.extend(mc, model.iter().map(|&number| mc.alloc(number)));
                });
            }
            arena.mutate(|_, root| {
                assert!(root.plain.iter().map(u64::from).eq(model.iter().copied()));
                assert!(root.words.iter().map(|word| *word).eq(model.iter().copied()));
                assert!(root.values.iter().map(Value::number).eq(model.iter().copied()));
            });
        }
    }
}

#[test]
fn a_long_vector_grows_where_it_stands() {
    #[expect(clippy::redundant_closure, reason = "the function alone is of one brand")]
    let mut arena = Arena::<GcVec<Gc<u64>>>::new(|mc| GcVec::new(mc));
    for n in 0..1_000_000 {
        arena.mutate(|mc, numbers| numbers.push(mc, mc.alloc(n)));
    }
    // 16 MB of numbers, 8 MB of references. A copy beside the original would be seen.
    assert!(arena.peak_bytes() < 36 << 20, "{}", arena.peak_bytes());
    arena.mutate(|_, numbers| assert!(numbers.iter().map(|n| *n).eq(0..1_000_000)));
    arena.collect_cycles();
    arena.audit().unwrap();

    // Up to its limit, and of elements that are smaller than a word.
    let config = Config { limit_bytes: 2 << 20, ..Config::default() };
    #[expect(clippy::redundant_closure, reason = "as above")]
    let mut arena = Arena::<GcVec<u8>>::with_config(config, |mc| GcVec::new(mc));
    let mut n = 0_usize;
    while arena.mutate(|mc, bytes| bytes.try_push(mc, n as u8).is_ok()) {
        n += 1;
    }
    assert!(n > 1_800_000, "{n} bytes");
    arena.audit().unwrap();
    arena.mutate(|_, bytes| assert!(bytes.iter().enumerate().all(|(at, byte)| byte == at as u8)));
}

/// A key with few hashes.
#[derive(Clone, Copy, PartialEq, Eq, Trace)]
struct Poor<'gc>(u64, Option<Gc<'gc, u64>>);
impl Hash for Poor<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.0 % 7).hash(state);
    }
}

#[derive(Trace, Rootable)]
struct Maps<'gc> {
    hashed: GcHashMap<'gc, u64, Value<'gc>>,
    poor: GcHashMap<'gc, Poor<'gc>, u64>,
    ordered: GcTreeMap<'gc, u64, Value<'gc>>,
}

#[test]
fn maps_do_what_maps_do() {
    for seed in 0..4 {
        let mut random = Random::new(seed);
        let mut arena =
            arena::<Maps>(|mc| Maps { hashed: GcHashMap::new(mc), poor: GcHashMap::new(mc), ordered: GcTreeMap::new(mc) });
        let (mut model, mut ordered) = (HashMap::<u64, u64>::new(), BTreeMap::<u64, u64>::new());
        // Few keys, and so many that parts and nodes are split.
        let keys = if seed < 2 { 50 } else { 3_000 };
        for round in 0..60 {
            let growing = round % 20 < 14;
            arena.mutate(|mc, root| {
                for _ in 0..random.below(2 * keys / 10) {
                    let (key, number) = (random.below(keys) as u64, random.below(1_000) as u64);
                    let poor = |key: u64| Poor(key, None);
                    if random.below(10) < if growing { 8 } else { 2 } {
                        let old = model.insert(key, number);
                        ordered.insert(key, number);
                        assert_eq!(root.hashed.insert(mc, key, value(mc, number)).map(Value::number), old);
                        assert_eq!(root.ordered.insert(mc, key, value(mc, number)).map(Value::number), old);
                        if key < 300 {
                            assert_eq!(root.poor.insert(mc, poor(key), number), old);
                        }
                    } else {
                        let old = model.remove(&key);
                        ordered.remove(&key);
                        assert_eq!(root.hashed.remove(mc, &key).map(Value::number), old);
                        assert_eq!(root.ordered.remove(mc, &key).map(Value::number), old);
                        if key < 300 {
                            assert_eq!(root.poor.remove(mc, &poor(key)), old);
                        }
                    }
                }
            });
            arena.mutate(|mc, root| {
                assert_eq!((root.hashed.len(), root.ordered.len()), (model.len(), model.len()));
                let mut found: Vec<_> = root.hashed.iter().map(|(key, value)| (key, value.number())).collect();
                found.sort_unstable();
                assert!(found.into_iter().eq(ordered.iter().map(|(key, value)| (*key, *value))));
                let all = root.ordered.iter().map(|(key, value)| (key, value.number()));
                assert!(all.eq(ordered.iter().map(|(key, value)| (*key, *value))));
                let (from, to) = (random.below(keys) as u64, random.below(keys) as u64);
                if from <= to {
                    let some = root.ordered.range(from..=to).map(|(key, _)| key);
                    assert!(some.eq(ordered.range(from..=to).map(|(key, _)| *key)));
                }
                assert_eq!(root.ordered.first().map(|(key, _)| key), ordered.first_key_value().map(|(key, _)| *key));
                assert_eq!(root.ordered.last().map(|(key, _)| key), ordered.last_key_value().map(|(key, _)| *key));
                for key in 0..keys as u64 {
                    assert_eq!(root.hashed.get(&key).map(Value::number), model.get(&key).copied());
                    assert_eq!(root.ordered.get(&key).map(Value::number), model.get(&key).copied());
                }
                if round == 39 {
                    root.hashed.clear(mc);
                    root.ordered.clear(mc);
                    root.poor.clear(mc);
                    model.clear();
                    ordered.clear();
                }
            });
        }
    }
}

#[test]
fn no_insertion_is_a_long_step() {
    let mut arena =
        Arena::<Maps>::new(|mc| Maps { hashed: GcHashMap::new(mc), poor: GcHashMap::new(mc), ordered: GcTreeMap::new(mc) });
    for key in 0..300_000_u64 {
        arena.mutate(|mc, root| {
            root.hashed.insert(mc, key.wrapping_mul(0x9e37_79b9_7f4a_7c15), Value::Number(key));
            root.ordered.insert(mc, key.wrapping_mul(0x9e37_79b9_7f4a_7c15), Value::Number(key));
        });
    }
    arena.mutate(|_, root| assert_eq!((root.hashed.len(), root.ordered.iter().count()), (300_000, 300_000)));
    let units = arena.counters().most_units;
    assert!(units <= neap_gc::STOP_UNITS_MAX, "{units} units in one stop");
}

#[test]
fn weak_maps_keep_what_their_keys_keep() {
    #[derive(Trace, Rootable)]
    struct Root<'gc> {
        keys: GcVec<'gc, Gc<'gc, u64>>,
        values: WeakMap<'gc, u64, (Gc<'gc, u64>, u64)>,
    }
    for seed in 0..4 {
        let mut random = Random::new(seed);
        let mut arena = arena::<Root>(|mc| Root { keys: GcVec::new(mc), values: WeakMap::new(mc) });
        let mut next = 0;
        for round in 0..60 {
            arena.mutate(|mc, root| {
                for _ in 0..random.below(if seed < 2 { 10 } else { 200 }) {
                    if random.below(3) > 0 {
                        let key = mc.alloc(next);
                        root.keys.push(mc, key);
                        // The value leads to its key.
                        assert!(root.values.insert(mc, key, mc.alloc((key, next * 3))).is_none());
                        next += 1;
                    } else if !root.keys.is_empty() {
                        let at = random.below(root.keys.len());
                        let key = root.keys.swap_remove(mc, at);
                        match random.below(4) {
                            0 => assert_eq!(root.values.remove(mc, key).map(|value| value.1), Some(*key * 3)),
                            1 => assert!(root.values.insert(mc, key, mc.alloc((key, 0))).is_some_and(|value| value.0 == key)),
                            _ => {}
                        }
                    }
                }
            });
            arena.mutate(|mc, root| {
                for key in root.keys.iter() {
                    assert!(root.values.get(mc, key).is_some_and(|value| value.0 == key && value.1 == *key * 3));
                }
                assert!(root.values.iter(mc).all(|(key, value)| value.0 == key));
            });
            if round % 20 == 19 {
                arena.collect_cycles();
                arena.mutate(|mc, root| assert_eq!(root.values.iter(mc).count(), root.keys.len()));
            }
        }
    }
}

#[test]
fn what_a_limit_refuses_changes_nothing() {
    let config = Config { limit_bytes: 4 << 20, ..Config::default() };
    let mut arena = Arena::<Maps>::with_config(config, |mc| Maps {
        hashed: GcHashMap::new(mc),
        poor: GcHashMap::new(mc),
        ordered: GcTreeMap::new(mc),
    });
    let mut key = 0;
    while arena.mutate(|mc, root| root.hashed.try_insert(mc, key, Value::Number(key)).is_ok()) {
        key += 1;
    }
    assert!(key > 50_000, "{key}");
    arena.mutate(|_, root| {
        assert_eq!(root.hashed.len(), key as usize);
        assert!((0..key).all(|key| root.hashed.get(&key) == Some(Value::Number(key))));
        assert!(root.hashed.get(&key).is_none());
    });
    arena.mutate(|mc, root| root.hashed.clear(mc));
    arena.collect_cycles();
    let mut key = 0;
    while arena.mutate(|mc, root| root.ordered.try_insert(mc, key, Value::Number(key)).is_ok()) {
        key += 1;
    }
    assert!(key > 50_000, "{key}");
    arena.mutate(|_, root| assert!(root.ordered.iter().map(|(key, _)| key).eq(0..key)));
    arena.audit().unwrap();
}

/// Keys that agree in their hash grow a part beyond the size at which it is split. When others come to it, it is split with all that is in it.
#[test]
fn a_part_that_has_grown_is_split_whole() {
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Trace, Rootable)]
    struct Key(u32);
    impl Hash for Key {
        fn hash<H: Hasher>(&self, state: &mut H) {
            // Two hashes only.
            state.write_u32(u32::from(self.0 >= 600));
        }
    }
    let mut arena = arena::<GcHashMap<Key, u32>>(|mc| {
        let map = GcHashMap::new(mc);
        for n in 0..2000 {
            assert_eq!(map.insert(mc, Key(n), n), None);
        }
        map
    });
    arena.mutate(|_, map| {
        assert!((0..2000).all(|n| map.get(&Key(n)) == Some(n)));
        assert_eq!(map.iter().count(), 2000);
    });
}
