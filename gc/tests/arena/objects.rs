//! Objects, locks and barriers; destructors; slices, strings and trait objects; limits.

use crate::arena;
use neap_gc::arena::{
    Arena, Config, Dyn, External, Gc, Lock, Mutation, OnceLock, RefLock, Rootable, Static, Trace, Write, field, variant,
};
use neap_gc::observe::Cause;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

#[derive(Trace, Rootable)]
struct Node<'gc> {
    number: u64,
    next: Lock<Option<Gc<'gc, Node<'gc>>>>,
    others: RefLock<Vec<Gc<'gc, Node<'gc>>>>,
    #[trace(static)]
    _witness: Witness,
}

/// Counts its deaths.
#[derive(Clone, Default)]
struct Witness(Arc<AtomicUsize>);
impl Drop for Witness {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
impl Witness {
    fn another(&self) -> Witness {
        Witness(self.0.clone())
    }
    fn deaths(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

fn node<'gc>(mc: &Mutation<'gc>, number: u64, witness: &Witness) -> Gc<'gc, Node<'gc>> {
    mc.alloc(Node { number, next: Lock::new(None), others: RefLock::default(), _witness: witness.another() })
}

#[derive(Trace, Rootable)]
enum Cell<'gc> {
    Empty,
    Full(u64, Lock<Option<Gc<'gc, Cell<'gc>>>>),
    Named { name: RefLock<Vec<Gc<'gc, str>>> },
}

#[test]
fn locks_in_variants_are_written_behind_the_barrier() {
    let mut arena = arena::<[Gc<Cell>; 3]>(|mc| {
        let full = mc.alloc(Cell::Full(5, Lock::new(None)));
        [mc.alloc(Cell::Empty), full, mc.alloc(Cell::Named { name: RefLock::default() })]
    });
    for _ in 0..20 {
        arena.mutate(|mc, &[empty, full, named]| {
            // In turn to itself and to something new, so that counts go up and down.
            let next = variant!(Gc::write(full, mc), Cell::Full, 1).unwrap();
            let to = if next.get() == Some(full) { mc.alloc(Cell::Empty) } else { full };
            next.set(Some(to));
            variant!(Gc::write(named, mc), Cell::Named, name).unwrap().borrow_mut().push(mc.alloc_str("name"));
            assert!(variant!(Gc::write(empty, mc), Cell::Full, 1).is_none());
            assert!(variant!(Gc::write(full, mc), Cell::Named, name).is_none());
        });
        arena.collect_cycles();
        arena.audit().unwrap();
    }
    arena.mutate(|_, [_, full, named]| {
        let (Cell::Full(5, next), Cell::Named { name }) = (&**full, &**named) else { panic!("other variants") };
        assert!(matches!(next.get().as_deref(), Some(Cell::Empty)));
        assert!(name.borrow().len() == 20 && name.borrow().iter().all(|name| **name == *"name"));
    });
}

#[test]
#[should_panic(expected = "not a field of the place that may be written to")]
fn a_variant_behind_a_reference_is_no_part_of_the_object() {
    arena::<()>(|_| ()).mutate(|mc, _| {
        let cell = mc.alloc(Cell::Full(5, Lock::new(None)));
        let mut reference = Gc::to_ref(cell);
        variant!(&*Write::from_mut(&mut reference), Cell::Full, 1);
    });
}

#[test]
fn lists_die_by_counting_and_rings_by_the_detector() {
    let witness = Witness::default();
    let mut arena = arena::<Option<Gc<Node>>>(|_| None);
    for number in 0..300 {
        arena.mutate_root(|mc, root| {
            let new = node(mc, number, &witness);
            field!(Gc::write(new, mc), Node, next).set(root.filter(|_| number % 100 != 0));
            *root = Some(new);
        });
    }
    arena.collect();
    let length = |arena: &mut Arena<Option<Gc<Node>>>| {
        arena.mutate(|_, root| std::iter::successors(*root, |node| node.next.get()).map(|node| node.number).collect::<Vec<_>>())
    };
    assert_eq!(length(&mut arena), (200..300).rev().collect::<Vec<_>>());
    assert_eq!(witness.deaths(), 200);

    // The last hundred become a ring, and are forgotten.
    arena.mutate_root(|mc, root| {
        let first = root.take().unwrap();
        let last = std::iter::successors(Some(first), |node| node.next.get()).last().unwrap();
        field!(Gc::write(last, mc), Node, next).set(Some(first));
    });
    arena.collect_cycles();
    assert_eq!(witness.deaths(), 300);
    assert!(arena.counters().cyclic_objects > 0);
    arena.audit().unwrap();
}

#[test]
fn a_young_object_that_an_old_one_refers_to_lives() {
    let witness = Witness::default();
    let mut arena = arena::<Gc<Node>>(|mc| node(mc, 0, &witness));
    // The root is old now.
    arena.collect();
    for number in 1..50 {
        arena.mutate(|mc, root| {
            let new = node(mc, number, &witness);
            field!(Gc::write(*root, mc), Node, next).set(Some(new));
            field!(Gc::write(*root, mc), Node, others).borrow_mut().push(new);
        });
        arena.mutate(|_, root| {
            assert_eq!(root.next.get().unwrap().number, number);
            assert!(root.others.borrow().iter().map(|node| node.number).eq(1..=number));
        });
    }
    assert_eq!(witness.deaths(), 0);
    arena.mutate(|mc, root| field!(Gc::write(*root, mc), Node, others).borrow_mut().clear());
    arena.collect();
    assert_eq!(witness.deaths(), 48);
    drop(arena);
    assert_eq!(witness.deaths(), 50);
}

#[test]
fn a_write_is_good_for_the_whole_mutation() {
    // Several locks of one object, one barrier; borrows that overlap.
    #[derive(Trace, Rootable)]
    struct Pair<'gc> {
        left: RefLock<Vec<Gc<'gc, u64>>>,
        right: RefLock<Vec<Gc<'gc, u64>>>,
        first: OnceLock<Gc<'gc, u64>>,
    }
    let mut arena =
        arena::<Gc<Pair>>(|mc| mc.alloc(Pair { left: RefLock::default(), right: RefLock::default(), first: OnceLock::new() }));
    for n in 0..20 {
        arena.mutate(|mc, root| {
            let write = Gc::write(*root, mc);
            let (left, right) = (field!(write, Pair, left), field!(write, Pair, right));
            let (mut left, mut right) = (left.borrow_mut(), right.borrow_mut());
            right.push(mc.alloc(n));
            left.append(&mut right);
            assert!(root.left.try_borrow().is_err() && field!(write, Pair, left).try_borrow_mut().is_err());
            let _ = field!(write, Pair, first).set(left[0]);
        });
    }
    arena.mutate(|_, root| {
        assert!(root.left.borrow().iter().map(|n| **n).eq(0..20));
        assert_eq!(root.first.get(), root.left.borrow().first());
    });
}

#[test]
fn a_panic_in_a_mutation_leaves_the_arena_as_it_is() {
    let mut arena = arena::<Gc<RefLock<Vec<Gc<u64>>>>>(|mc| mc.alloc(RefLock::default()));
    arena.collect();
    let result = catch_unwind(AssertUnwindSafe(|| {
        arena.mutate(|mc, root| {
            let mut numbers = root.borrow_mut(mc);
            numbers.push(mc.alloc(1));
            mc.alloc_slice_with(10, |n| if n < 5 { mc.alloc(n) } else { panic!("half of it") });
        })
    }));
    assert!(result.is_err());
    arena.collect_cycles();
    arena.audit().unwrap();
    arena.mutate(|_, root| assert_eq!(**root.borrow().first().unwrap(), 1));
}

#[test]
fn slices_are_recorded_slot_by_slot() {
    let mut arena = arena::<Gc<[Lock<Option<Gc<u64>>>]>>(|mc| mc.alloc_slice_with(5_000, |_| Lock::new(None)));
    arena.collect();
    for n in 0..100 {
        arena.mutate(|mc, slots| {
            slots.set(mc, (n * 37) % 5_000, Some(mc.alloc(n as u64)));
            slots.set(mc, n, slots[(n * 37) % 5_000].get());
        });
    }
    arena.collect_cycles();
    arena.mutate(|mc, slots| {
        assert!((0..100).all(|n| slots[n].get().is_some_and(|number| *number <= 99)));
        assert_eq!(*slots[99].get().unwrap(), 99);
        // All of it at once.
        let write = Gc::write(*slots, mc);
        (0..slots.len()).for_each(|n| write[n].set(None));
    });
    arena.collect();
    arena.mutate(|_, slots| assert!(slots.iter().all(|slot| slot.get().is_none())));
    assert_eq!(arena.audit().unwrap().references, 2);
}

#[test]
fn slices_of_any_elements() {
    #[derive(Clone, Copy, Trace)]
    enum Value<'gc> {
        Nil,
        Number(f64),
        Text(Gc<'gc, str>),
    }
    #[derive(Trace, Rootable)]
    struct Slices<'gc> {
        small: Gc<'gc, [u8]>,
        values: Gc<'gc, [Value<'gc>]>,
        pairs: Gc<'gc, [(Gc<'gc, str>, u128)]>,
        owners: Gc<'gc, [String]>,
        vectors: Gc<'gc, [Vec<Gc<'gc, str>>]>,
        empty: Gc<'gc, [Gc<'gc, str>]>,
    }
    let text = |n: usize| format!("text {n}");
    let mut arena = arena::<Slices>(|mc| {
        let str = |n| mc.alloc_str(&text(n));
        let value = |n| match n % 3 {
            0 => Value::Nil,
            1 => Value::Number(n as f64),
            _ => Value::Text(str(n)),
        };
        Slices {
            small: mc.alloc_slice(b"abc"),
            values: mc.alloc_slice(&(0..1_000).map(value).collect::<Vec<_>>()),
            pairs: mc.alloc_slice_with(10, |n| (str(n), n as u128)),
            owners: mc.alloc_slice_with(10, text),
            vectors: mc.alloc_slice_with(10, |n| (0..n).map(str).collect()),
            empty: mc.alloc_slice(&[]),
        }
    });
    arena.collect_cycles();
    arena.mutate(|_, root| {
        assert_eq!(&*root.small, b"abc");
        assert!(root.empty.is_empty());
        for (n, value) in root.values.iter().enumerate() {
            match *value {
                Value::Nil => assert_eq!(n % 3, 0),
                Value::Number(number) => assert_eq!(number, n as f64),
                Value::Text(found) => assert_eq!(*found, *text(n)),
            }
        }
        assert!(root.pairs.iter().enumerate().all(|(n, pair)| *pair.0 == *text(n) && pair.1 == n as u128));
        assert!(root.owners.iter().enumerate().all(|(n, owner)| *owner == text(n)));
        assert!(root.vectors.iter().enumerate().all(|(n, vector)| vector.len() == n));
    });
    // Two of the slices have a destructor, and so has none of the others.
    arena
        .mutate_root(|mc, root| (root.owners, root.vectors) = (mc.alloc_slice_with(0, text), mc.alloc_slice_with(0, |_| vec![])));
    arena.collect();
    assert_eq!(arena.counters().destructors, 2);
}

#[test]
fn trait_objects_are_thin_and_die_with_their_destructors() {
    trait Speaks {
        fn says(&self) -> String;
    }
    #[derive(Trace)]
    struct Named<'gc>(Gc<'gc, str>, Static<Witness>);
    impl Speaks for Named<'_> {
        fn says(&self) -> String {
            self.0.to_string()
        }
    }
    impl Speaks for u128 {
        fn says(&self) -> String {
            format!("{self}")
        }
    }
    #[derive(Trace, Rootable)]
    struct Root<'gc> {
        speakers: Vec<Gc<'gc, Dyn<dyn Speaks + 'gc>>>,
    }
    let witness = Witness::default();
    let mut arena = arena::<Root>(|mc| Root {
        speakers: vec![
            mc.alloc_dyn(Named(mc.alloc_str("neap"), Static(witness.another())), |speaker| speaker),
            mc.alloc_dyn(5_u128, |speaker| speaker),
        ],
    });
    arena.collect_cycles();
    let said = arena.mutate(|_, root| root.speakers.iter().map(|speaker| speaker.says()).collect::<Vec<_>>());
    assert_eq!(said, ["neap", "5"]);
    arena.mutate_root(|_, root| root.speakers.clear());
    arena.collect();
    assert_eq!(witness.deaths(), 1);
}

#[test]
fn a_limit_is_an_error_and_the_arena_goes_on() {
    let config = Config { limit_bytes: 8 << 20, ..Config::default() };
    type List<'gc> = Option<Gc<'gc, Cons<'gc>>>;
    #[derive(Trace, Rootable)]
    struct Cons<'gc>(List<'gc>, [u64; 6]);
    let mut arena = Arena::<Option<Gc<Cons>>>::with_config(config, |_| None);
    for _ in 0..3 {
        let mut cells = 0;
        while arena.mutate_root(|mc, root| match mc.try_alloc(Cons(*root, [cells; 6])) {
            Ok(cell) => {
                *root = Some(cell);
                true
            }
            Err(_) => false,
        }) {
            cells += 1;
        }
        assert!((80_000..131_072).contains(&cells), "{cells} cells of 64 bytes");
        arena.mutate_root(|_, root| *root = None);
        arena.collect();
        assert!(arena.used_bytes() < 64 << 10);
    }
    assert!(arena.peak_bytes() <= 8 << 20);
    let panics = catch_unwind(AssertUnwindSafe(|| arena.mutate(|mc, _| mc.alloc_slice(&vec![0_u8; 9 << 20]).len())));
    let message = *panics.unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains("not enough memory") && message.contains("try_"), "{message}");
}

#[test]
fn steps_bring_a_cycle_to_its_end() {
    let witness = Witness::default();
    let mut arena = Arena::<()>::new(|_| ());
    arena.set_running(false);
    for number in 0..20_000 {
        arena.mutate(|mc, _| {
            let new = node(mc, number, &witness);
            let other = node(mc, number, &witness);
            field!(Gc::write(new, mc), Node, next).set(Some(other));
            field!(Gc::write(other, mc), Node, next).set(Some(new));
            // Only what survives an epoch is a cycle to be found.
            drop(mc.hold::<Node>(new));
        });
    }
    let mut steps = 1;
    while witness.deaths() < 40_000 {
        arena.step(Duration::from_micros(200));
        steps += 1;
        assert!(steps < 10_000, "{} of 40,000 after {steps} steps", witness.deaths());
    }
    assert!(steps > 3 && arena.pauses().summary(Cause::Stop).count > 0);
}

#[test]
fn a_field_of_another_object_is_not_written_through_a_reference_to_it() {
    // `field!` is given the right to write to a reference, and its pattern would go through that.
    let mut arena = arena::<Gc<Node>>(|mc| node(mc, 1, &Witness::default()));
    let result = catch_unwind(AssertUnwindSafe(|| {
        arena.mutate(|_, root| {
            let mut reference: &Node = root;
            let write: &Write<&Node> = Write::from_mut(&mut reference);
            field!(write, Node, next).set(Some(*root));
        })
    }));
    let message = *result.unwrap_err().downcast::<&str>().unwrap();
    assert!(message.contains("not a field"), "{message}");
    arena.mutate(|_, root| assert!(root.next.get().is_none()));
}

#[test]
fn memory_of_others_drives_the_collector_and_is_given_back() {
    #[derive(Trace, Rootable)]
    struct Owner<'gc> {
        next: Lock<Option<Gc<'gc, Owner<'gc>>>>,
        memory: RefLock<External>,
        _witness: Static<Witness>,
    }
    for cyclic in [false, true] {
        let witness = Witness::default();
        let mut arena = Arena::<Option<Gc<Owner>>>::with_config(Config { audit: 1, ..Config::default() }, |_| None);
        let mut most = 0;
        for n in 1..=2_000 {
            arena.mutate_root(|mc, root| {
                let memory = RefLock::new(External::new(mc, 1 << 20));
                let owner = mc.alloc(Owner { next: Lock::new(None), memory, _witness: Static(witness.another()) });
                if cyclic {
                    field!(Gc::write(owner, mc), Owner, next).set(Some(owner));
                }
                *root = Some(owner);
            });
            most = most.max(n - witness.deaths());
        }
        // A few kilobytes of the heap's own would have been no reason to collect.
        assert!(most < 400, "{most} megabytes at once, cyclic: {cyclic}");
        arena.mutate(|mc, root| field!(Gc::write(root.unwrap(), mc), Owner, memory).borrow_mut().set_bytes(mc, 5 << 20));
        arena.collect_cycles();
        assert!((5 << 20..6 << 20).contains(&arena.used_bytes()), "{}", arena.used_bytes());
        arena.mutate_root(|_, root| *root = None);
        arena.collect_cycles();
        assert!(arena.used_bytes() < 1 << 20);
    }
}
