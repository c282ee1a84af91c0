//! Weak references, ephemerons, finalizers and resurrection.

use crate::{Random, arena};
use neap_gc::arena::{Arena, Ephemeron, Finalize, Gc, Lock, Mutation, RefLock, Rootable, Trace, Weak, WeakTable, field};

#[test]
fn a_weak_reference_reads_as_none_when_its_object_is_dead() {
    #[derive(Trace, Rootable)]
    struct Root<'gc> {
        strong: Vec<Gc<'gc, u64>>,
        weak: Vec<Weak<'gc, u64>>,
    }
    let mut arena = arena::<Root>(|_| Root { strong: vec![], weak: vec![] });
    for n in 0..200 {
        arena.mutate_root(|mc, root| {
            let new = mc.alloc(n);
            root.weak.push(Gc::downgrade(new, mc));
            if n % 3 == 0 {
                root.strong.push(new);
            }
        });
        // Those that are strongly held are there; others may be, and are what they were.
        arena.mutate(|mc, root| {
            for (at, weak) in root.weak.iter().enumerate() {
                let found = weak.upgrade(mc).map(|number| *number);
                assert!(found == Some(at as u64) || found.is_none() && at % 3 != 0);
            }
        });
    }
    arena.collect();
    arena.mutate(|mc, root| {
        for (at, weak) in root.weak.iter().enumerate() {
            assert_eq!(weak.upgrade(mc).is_some(), at % 3 == 0);
        }
    });
}

#[test]
fn a_weak_reference_that_was_upgraded_holds_for_the_mutation() {
    let mut arena = arena::<Gc<Lock<Option<Weak<u64>>>>>(|mc| mc.alloc(Lock::new(None)));
    arena.mutate(|mc, root| root.set(mc, Some(Gc::downgrade(mc.alloc(5), mc))));
    for _ in 0..10 {
        let found = arena.mutate(|mc, root| {
            let found = root.get()?.upgrade(mc)?;
            // A copy of it in another object, and the object kept by nothing.
            root.set(mc, Some(Gc::downgrade(found, mc)));
            (0..100).for_each(|n| _ = mc.alloc(n));
            Some(*found)
        });
        assert!(matches!(found, None | Some(5)));
    }
    arena.collect();
    assert!(arena.mutate(|mc, root| root.get().unwrap().upgrade(mc).is_none()));
}

/// Tables of a few slots, of a block's size, and of pages of their own; objects that are held by a list, by a cycle with another object, or by nothing.
#[test]
fn a_weak_table_shows_what_lives_and_nothing_else() {
    #[derive(Trace, Rootable)]
    struct Node<'gc> {
        number: usize,
        other: Lock<Option<Gc<'gc, Node<'gc>>>>,
    }
    #[derive(Trace, Rootable)]
    struct Root<'gc> {
        held: Vec<Option<Gc<'gc, Node<'gc>>>>,
        table: WeakTable<'gc, Node<'gc>>,
    }
    for slots in [1, 7, 100, 1500] {
        let mut random = Random::new(slots as u64);
        let mut arena = arena::<Root>(|mc| Root { held: vec![None; slots], table: WeakTable::new(mc, slots) });
        // What each slot was last given, and whether that is held.
        let mut model: Vec<Option<(usize, bool)>> = vec![None; slots];
        let look = |arena: &mut Arena<Root>, model: &mut [Option<(usize, bool)>], all_is_collected: bool| {
            arena.mutate(|mc, root| {
                assert_eq!((root.table.len(), root.table.is_empty()), (slots, false));
                for (slot, entry) in model.iter_mut().enumerate() {
                    match (root.table.get(mc, slot), *entry) {
                        (Some(found), Some((number, is_held))) => {
                            assert!(found.number == number && (is_held || !all_is_collected));
                            assert!(found.other.get().is_none_or(|other| other.other.get() == Some(found)));
                        }
                        (Some(_), None) => panic!("slot {slot} shows what was never put there, or was gone before"),
                        (None, entry) => assert!(!entry.is_some_and(|(_, is_held)| is_held), "slot {slot} lost an object"),
                    }
                    // Once gone it stays gone.
                    *entry = entry.filter(|_| root.table.get(mc, slot).is_some());
                }
            });
        };
        for number in 0..300 {
            let (slot, action) = (random.below(slots), random.below(4));
            arena.mutate_root(|mc, root| {
                match action {
                    0 | 1 => {
                        let object = mc.alloc(Node { number, other: Lock::new(None) });
                        if action == 1 {
                            let other = mc.alloc(Node { number, other: Lock::new(Some(object)) });
                            field!(Gc::write(object, mc), Node, other).set(Some(other));
                        }
                        let is_held = random.below(4) != 0;
                        root.held[slot] = is_held.then_some(object);
                        root.table.set(mc, slot, Some(object));
                        model[slot] = Some((number, is_held));
                    }
                    2 => {
                        root.held[slot] = None;
                        model[slot] = model[slot].map(|(number, _)| (number, false));
                    }
                    _ => {
                        root.table.set(mc, slot, None);
                        model[slot] = None;
                    }
                };
            });
            if number % 16 == 0 {
                look(&mut arena, &mut model, false);
            }
        }
        arena.collect_cycles();
        arena.collect_cycles();
        look(&mut arena, &mut model, true);
        arena.audit().unwrap();
    }
}

#[test]
fn weak_references_to_a_cycle_and_from_it() {
    #[derive(Trace)]
    struct Node<'gc> {
        other: Lock<Option<Gc<'gc, Node<'gc>>>>,
        back: Lock<Option<Weak<'gc, Node<'gc>>>>,
    }
    #[derive(Trace, Rootable)]
    struct Root<'gc>(Vec<Weak<'gc, Node<'gc>>>);
    let mut arena = arena::<Root>(|_| Root(vec![]));
    arena.mutate_root(|mc, root| {
        let node = || mc.alloc(Node { other: Lock::new(None), back: Lock::new(None) });
        let (a, b) = (node(), node());
        for (from, to) in [(a, b), (b, a)] {
            let write = Gc::write(from, mc);
            field!(write, Node, other).set(Some(to));
            field!(write, Node, back).set(Some(Gc::downgrade(to, mc)));
            root.0.push(Gc::downgrade(from, mc));
        }
    });
    arena.collect_cycles();
    arena.mutate(|mc, root| assert!(root.0.iter().all(|weak| weak.upgrade(mc).is_none())));
}

#[test]
fn an_ephemeron_keeps_its_value_as_long_as_its_key_lives() {
    type Number<'gc> = Gc<'gc, u64>;
    #[derive(Trace, Rootable)]
    struct Root<'gc> {
        keys: Vec<Number<'gc>>,
        chain: Vec<Ephemeron<'gc, u64, (Number<'gc>, Number<'gc>)>>,
    }
    // Each value refers to its key and to the next: a chain that hangs from the first key.
    let mut arena = arena::<Root>(|mc| {
        let keys: Vec<_> = (0..50).map(|n| mc.alloc(n)).collect();
        let chain = keys.windows(2).map(|pair| Ephemeron::new(mc, pair[0], mc.alloc((pair[0], pair[1])))).collect();
        Root { keys: vec![keys[0]], chain }
    });
    for _ in 0..3 {
        arena.collect_cycles();
        arena.mutate(|mc, root| {
            for (at, ephemeron) in root.chain.iter().enumerate() {
                let (key, value) = ephemeron.get(mc).unwrap();
                assert!(*key == at as u64 && value.0 == key && *value.1 == at as u64 + 1);
            }
        });
    }
    arena.mutate_root(|_, root| root.keys.clear());
    arena.collect_cycles();
    arena.mutate(|mc, root| assert!(root.chain.iter().all(|ephemeron| ephemeron.get(mc).is_none())));
    assert_eq!(arena.audit().unwrap().objects, 1 + 49);
}

/// Resurrects itself so many times.
#[derive(Trace, Rootable)]
#[trace(finalize)]
struct Phoenix<'gc> {
    lives: Lock<u32>,
    world: Gc<'gc, World<'gc>>,
    this: Lock<Option<Gc<'gc, Phoenix<'gc>>>>,
}

#[derive(Trace, Rootable, Default)]
struct World<'gc> {
    risen: RefLock<Vec<Gc<'gc, Phoenix<'gc>>>>,
    deaths: Lock<u32>,
}

impl<'gc> Finalize<'gc> for Phoenix<'gc> {
    fn finalize(this: Gc<'gc, Self>, mc: &'gc Mutation<'gc>) {
        let world = Gc::write(this.world, mc);
        field!(world, World, deaths).set(this.world.deaths.get() + 1);
        if let Some(left) = this.lives.get().checked_sub(1) {
            field!(Gc::write(this, mc), Phoenix, lives).set(left);
            field!(world, World, risen).borrow_mut().push(this);
            Gc::finalize(this, mc);
        }
    }
}

#[test]
fn a_finalizer_can_bring_its_object_back() {
    for cyclic in [false, true] {
        let mut arena = arena::<Gc<World>>(|mc| mc.alloc(World::default()));
        arena.mutate(|mc, root| {
            let phoenix = mc.alloc(Phoenix { lives: Lock::new(3), world: *root, this: Lock::new(None) });
            if cyclic {
                field!(Gc::write(phoenix, mc), Phoenix, this).set(Some(phoenix));
            }
            Gc::finalize(phoenix, mc);
        });
        for deaths in 1..=4 {
            let risen = u32::from(deaths < 4);
            for _ in 0..3 {
                arena.collect_cycles();
            }
            let found = arena.mutate(|_, root| (root.deaths.get(), root.risen.borrow().len() as u32));
            assert_eq!(found, (deaths, risen), "cyclic: {cyclic}");
            arena.mutate(|mc, root| {
                let mut risen = field!(Gc::write(*root, mc), World, risen).borrow_mut();
                assert!(risen.iter().all(|phoenix| phoenix.lives.get() == 3 - deaths));
                risen.clear();
            });
        }
    }
}

#[test]
fn finalizers_run_once_while_the_program_goes_on() {
    #[derive(Trace, Rootable)]
    #[trace(finalize)]
    struct Ticket<'gc>(u64, Gc<'gc, RefLock<Vec<u64>>>);
    impl<'gc> Finalize<'gc> for Ticket<'gc> {
        fn finalize(this: Gc<'gc, Self>, mc: &'gc Mutation<'gc>) {
            this.1.borrow_mut(mc).push(this.0);
        }
    }
    let mut arena = Arena::<Gc<RefLock<Vec<u64>>>>::new(|mc| mc.alloc(RefLock::default()));
    for n in 0..50_000 {
        arena.mutate(|mc, root| {
            let ticket = mc.alloc(Ticket(n, *root));
            Gc::finalize(ticket, mc);
            // A second time counts for nothing.
            Gc::finalize(ticket, mc);
        });
    }
    let ran = arena.mutate(|_, root| root.borrow().len());
    assert!(ran > 1_000, "{ran} finalizers ran meanwhile");
    arena.collect_cycles();
    let mut all = arena.mutate(|_, root| root.borrow().clone());
    all.sort_unstable();
    assert!(all.into_iter().eq(0..50_000));
}

#[test]
fn an_object_with_a_finalizer_is_gone_from_weak_references_before_it_runs() {
    #[derive(Trace, Rootable)]
    #[trace(finalize)]
    struct Last<'gc> {
        own: Lock<Option<Weak<'gc, Last<'gc>>>>,
        saw: Gc<'gc, Lock<Option<bool>>>,
    }
    impl<'gc> Finalize<'gc> for Last<'gc> {
        fn finalize(this: Gc<'gc, Self>, mc: &'gc Mutation<'gc>) {
            this.saw.set(mc, Some(this.own.get().unwrap().upgrade(mc).is_some()));
        }
    }
    let mut arena = arena::<Gc<Lock<Option<bool>>>>(|mc| mc.alloc(Lock::new(None)));
    arena.mutate(|mc, root| {
        let last = mc.alloc(Last { own: Lock::new(None), saw: *root });
        field!(Gc::write(last, mc), Last, own).set(Some(Gc::downgrade(last, mc)));
        Gc::finalize(last, mc);
    });
    arena.collect_cycles();
    assert_eq!(arena.mutate(|_, root| root.get()), Some(false));
}
