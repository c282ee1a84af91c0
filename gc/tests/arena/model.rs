//! Random programs on an arena beside a naive model: numbers for objects, and a walk from the roots for what lives.
//!
//! After every mutation and every collection the whole graph is walked, and must be that of the model; what it does not reach may be gone. When all has been
//! collected, it must be. What an object was that the program could always reach, weak references and entries with it as the key must show. What was out of reach
//! for a while and came back, by a finalizer or a weak reference, may be gone from them, and the model goes by what it finds there.

use crate::{Random, stressed};
use neap_gc::arena::{
    Arena, Config, DynamicRoot, Ephemeron, Finalize, Gc, Lock, Mutation, RefLock, Rootable, Static, Trace, Weak, WeakMap, field,
};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const ROOTS: usize = 6;
const RISEN: usize = 3;

#[derive(Trace, Rootable)]
#[trace(finalize)]
struct Node<'gc> {
    id: usize,
    slots: [Lock<Option<Gc<'gc, Node<'gc>>>>; 2],
    list: RefLock<Vec<Gc<'gc, Node<'gc>>>>,
    weak: Lock<Option<Weak<'gc, Node<'gc>>>>,
    entry: Lock<Option<Ephemeron<'gc, Node<'gc>, Node<'gc>>>>,
    world: Gc<'gc, World<'gc>>,
    _counts: Static<Counted>,
}

#[derive(Trace, Rootable)]
struct World<'gc> {
    roots: [Lock<Option<Gc<'gc, Node<'gc>>>>; ROOTS],
    /// What finalizers have brought back.
    risen: [Lock<Option<Gc<'gc, Node<'gc>>>>; RISEN],
    /// Whose finalizers have run, since the model has looked.
    finalized: RefLock<Vec<usize>>,
    values: WeakMap<'gc, Node<'gc>, Node<'gc>>,
}

/// Knows how many there are.
struct Counted(Arc<AtomicUsize>);
impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Counted {
        count.fetch_add(1, Ordering::Relaxed);
        Counted(count.clone())
    }
}
impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Two objects of three are brought back by their finalizers.
fn rises(id: usize) -> Option<usize> {
    (!id.is_multiple_of(3)).then_some(id % RISEN)
}

impl<'gc> Finalize<'gc> for Node<'gc> {
    fn finalize(this: Gc<'gc, Self>, mc: &'gc Mutation<'gc>) {
        let world = Gc::write(this.world, mc);
        field!(world, World, finalized).borrow_mut().push(this.id);
        if let Some(place) = rises(this.id) {
            field!(world, World, risen)[place].set(Some(this));
        }
    }
}

/// What the model knows of an object.
#[derive(Default)]
struct Object {
    slots: [Option<usize>; 2],
    list: Vec<usize>,
    weak: Option<usize>,
    entry: Option<(usize, usize)>,
    /// How often it was given a finalizer, and how often that ran: again, if it was given while the object waited for it, having been found dead and come back by
    /// another's.
    given: u32,
    ran: u32,
    /// It was out of reach at some safepoint.
    was_lost: bool,
}

#[derive(Default)]
struct Model {
    objects: Vec<Object>,
    roots: [Option<usize>; ROOTS],
    risen: [Option<usize>; RISEN],
    held: Vec<usize>,
    values: HashMap<usize, usize>,
}

impl Model {
    /// The object was out of reach, and all that only it leads to.
    fn lose(&mut self, id: usize) {
        let (mut work, mut done) = (vec![id], HashSet::new());
        while let Some(id) = work.pop() {
            if done.insert(id) {
                let object = &mut self.objects[id];
                object.was_lost = true;
                work.extend(object.slots.iter().flatten().chain(&object.list));
                work.extend(object.entry.iter().map(|entry| entry.1).chain(self.values.get(&id).copied()));
            }
        }
    }
}

struct Program {
    arena: Arena<Gc<'static, World<'static>>>,
    held: Vec<DynamicRoot<Node<'static>>>,
    model: Model,
    random: Random,
    count: Arc<AtomicUsize>,
    refused: usize,
}

impl Program {
    fn new(seed: u64, config: Config) -> Program {
        let arena = Arena::<Gc<World>>::with_config(config, |mc| {
            mc.alloc(World {
                roots: Default::default(),
                risen: Default::default(),
                finalized: RefLock::default(),
                values: WeakMap::new(mc),
            })
        });
        let (held, model, count) = (Vec::new(), Model::default(), Arc::default());
        Program { arena, held, model, random: Random::new(seed), count, refused: 0 }
    }

    /// One mutation.
    fn mutate(&mut self) {
        let Program { arena, held, model, random, count, refused } = self;
        arena.mutate(|mc, world| {
            for _ in 0..=random.below(6) {
                step(mc, *world, held, model, random, count, refused);
            }
        });
        self.look();
    }

    /// What the finalizers have done, then the whole graph.
    fn look(&mut self) -> HashSet<usize> {
        let Program { arena, held, model, .. } = self;
        let seen = arena.mutate(|mc, world| {
            // They have run behind the last mutation, or in the last collection.
            for id in std::mem::take(&mut *field!(Gc::write(*world, mc), World, finalized).borrow_mut()) {
                let object = &mut model.objects[id];
                object.ran += 1;
                assert!(object.ran <= object.given, "{id} was finalized and has no finalizer");
                if let Some(place) = rises(id) {
                    model.risen[place] = Some(id);
                }
                model.lose(id);
            }
            compare(mc, *world, held, model)
        });
        for (id, object) in model.objects.iter_mut().enumerate() {
            object.was_lost |= !seen.contains(&id);
        }
        seen
    }

    /// Collects until nothing is left to do.
    fn collect_all(&mut self) {
        for _ in 0..6 {
            self.arena.collect_cycles();
            self.look();
        }
        let seen = self.look();
        let Program { arena, model, count, .. } = self;
        assert_eq!(count.load(Ordering::Relaxed), seen.len(), "all that lives can be reached");
        for (id, object) in model.objects.iter().enumerate() {
            assert!(seen.contains(&id) || object.given == 0 || object.ran > 0, "{id} is dead, and its finalizer has not run");
        }
        arena.audit().unwrap();
    }
}

/// An object that the roots lead to.
fn pick<'gc>(
    mc: &Mutation<'gc>,
    world: Gc<'gc, World<'gc>>,
    held: &[DynamicRoot<Node<'static>>],
    random: &mut Random,
) -> Option<Gc<'gc, Node<'gc>>> {
    let mut at = match random.below(ROOTS + RISEN + held.len()) {
        n if n < ROOTS => world.roots[n].get()?,
        n if n < ROOTS + RISEN => world.risen[n - ROOTS].get()?,
        n => mc.fetch(&held[n - ROOTS - RISEN]),
    };
    for _ in 0..random.below(4) {
        let next = match random.below(3) {
            2 => at.list.borrow().last().copied(),
            n => at.slots[n].get(),
        };
        at = next.unwrap_or(at);
    }
    Some(at)
}

/// One thing that a program does.
fn step<'gc>(
    mc: &Mutation<'gc>,
    world: Gc<'gc, World<'gc>>,
    held: &mut Vec<DynamicRoot<Node<'static>>>,
    model: &mut Model,
    random: &mut Random,
    count: &Arc<AtomicUsize>,
    refused: &mut usize,
) {
    let [a, b] = [(); 2].map(|()| pick(mc, world, held, random));
    let root = random.below(ROOTS);
    let (Some(a), Some(b), true) = (a, b, random.below(4) > 0) else {
        // A new one, which refers to what there is.
        let id = model.objects.len();
        let links = [a, b].map(|link| link.filter(|_| random.below(2) == 0));
        let node = Node {
            id,
            slots: links.map(Lock::new),
            list: RefLock::default(),
            weak: Lock::new(None),
            entry: Lock::new(None),
            world,
            _counts: Static(Counted::new(count)),
        };
        match mc.try_alloc(node) {
            Ok(node) => {
                field!(Gc::write(world, mc), World, roots)[root].set(Some(node));
                model.roots[root] = Some(id);
                let slots = links.map(|link| link.map(|node| node.id));
                model.objects.push(Object { slots, ..Object::default() });
            }
            Err(_) => *refused += 1,
        }
        return;
    };
    let write = Gc::write(a, mc);
    match random.below(19) {
        0..2 => {
            let object = (random.below(3) > 0).then_some(a);
            field!(Gc::write(world, mc), World, roots)[root].set(object);
            model.roots[root] = object.map(|node| node.id);
        }
        2..5 => {
            let (slot, link) = (random.below(2), (random.below(3) > 0).then_some(b));
            field!(write, Node, slots)[slot].set(link);
            model.objects[a.id].slots[slot] = link.map(|node| node.id);
        }
        5 => {
            field!(write, Node, list).borrow_mut().push(b);
            model.objects[a.id].list.push(b.id);
        }
        6 => {
            let keep = random.below(3);
            field!(write, Node, list).borrow_mut().truncate(keep);
            model.objects[a.id].list.truncate(keep);
        }
        7 => {
            if let Ok(weak) = Gc::try_downgrade(b, mc) {
                field!(write, Node, weak).set(Some(weak));
                model.objects[a.id].weak = Some(b.id);
            }
        }
        8 => {
            field!(write, Node, weak).set(b.weak.get());
            model.objects[a.id].weak = model.objects[b.id].weak;
        }
        9 => {
            // What the weak reference leads to is held from now on.
            if let Some(found) = a.weak.get().and_then(|weak| weak.upgrade(mc)) {
                assert_eq!(Some(found.id), model.objects[a.id].weak);
                field!(Gc::write(world, mc), World, roots)[root].set(Some(found));
                model.roots[root] = Some(found.id);
            }
        }
        10 => {
            if let Ok(entry) = Ephemeron::try_new(mc, b, pick(mc, world, held, random).unwrap_or(a)) {
                field!(write, Node, entry).set(Some(entry));
                let (key, value) = entry.get(mc).expect("its key is at hand");
                model.objects[a.id].entry = Some((key.id, value.id));
            }
        }
        11 if world.values.try_insert(mc, a, b).is_ok() => {
            model.values.insert(a.id, b.id);
        }
        12 => {
            world.values.remove(mc, a);
            model.values.remove(&a.id);
        }
        13 => {
            Gc::finalize(a, mc);
            model.objects[a.id].given += 1;
        }
        14..17 => {
            // A key, or its value, that an entry leads to is held from now on.
            let found = match random.below(2) {
                0 => a.entry.get().and_then(|entry| entry.get(mc)),
                _ => world.values.iter(mc).nth(random.below(8)),
            };
            if let Some((key, value)) = found {
                let known = model.objects[a.id].entry == Some((key.id, value.id)) || model.values.get(&key.id) == Some(&value.id);
                assert!(known, "an entry {} -> {} that nobody has made", key.id, value.id);
                let object = if random.below(2) == 0 { key } else { value };
                field!(Gc::write(world, mc), World, roots)[root].set(Some(object));
                model.roots[root] = Some(object.id);
            }
        }
        17 => {
            held.push(mc.hold(a));
            model.held.push(a.id);
        }
        _ if !held.is_empty() => {
            let n = random.below(held.len());
            if random.below(3) == 0 {
                mc.set_held(&held[n], b);
                model.held[n] = b.id;
            } else {
                held.swap_remove(n);
                model.held.swap_remove(n);
            }
        }
        _ => {}
    }
}

/// Walks the graph, and says what there is.
fn compare<'gc>(
    mc: &Mutation<'gc>,
    world: Gc<'gc, World<'gc>>,
    held: &[DynamicRoot<Node<'static>>],
    model: &mut Model,
) -> HashSet<usize> {
    let ids =
        |links: &[Lock<Option<Gc<'gc, Node<'gc>>>>]| links.iter().map(|link| link.get().map(|node| node.id)).collect::<Vec<_>>();
    assert_eq!(ids(&world.roots), model.roots);
    assert_eq!(ids(&world.risen), model.risen);
    let mut work: Vec<_> = world.roots.iter().chain(&world.risen).filter_map(Lock::get).collect();
    work.extend(held.iter().map(|root| mc.fetch(root)));
    assert!(work[work.len() - held.len()..].iter().map(|node| node.id).eq(model.held.iter().copied()));
    let mut seen = HashMap::new();
    loop {
        while let Some(node) = work.pop() {
            if seen.insert(node.id, node).is_some() {
                continue;
            }
            let object = &model.objects[node.id];
            assert_eq!(ids(&node.slots), object.slots, "the slots of {}", node.id);
            assert!(node.list.borrow().iter().map(|node| node.id).eq(object.list.iter().copied()), "the list of {}", node.id);
            work.extend(node.slots.iter().filter_map(Lock::get));
            work.extend(node.list.borrow().iter());
        }
        // Entries whose keys can be reached. What others hold is no matter.
        let entries = seen.values().filter_map(|node| node.entry.get()?.get(mc)).chain(world.values.iter(mc));
        work.extend(
            entries.filter(|(key, value)| seen.contains_key(&key.id) && !seen.contains_key(&value.id)).map(|(_, value)| value),
        );
        if work.is_empty() {
            break;
        }
    }
    for node in seen.values() {
        let weak = node.weak.get().and_then(|weak| weak.upgrade(mc)).map(|target| target.id);
        let expected = model.objects[node.id].weak;
        let may_be_gone = |id: usize| !seen.contains_key(&id) || model.objects[id].was_lost;
        assert!(weak == expected || weak.is_none() && expected.is_some_and(may_be_gone), "{}: {weak:?} {expected:?}", node.id);
        let entry = node.entry.get().and_then(|entry| entry.get(mc)).map(|(key, value)| (key.id, value.id));
        let expected = model.objects[node.id].entry;
        let gone = entry.is_none() && expected.is_some_and(|(key, _)| may_be_gone(key));
        assert!(entry == expected || gone, "the entry of {}: {entry:?} {expected:?}", node.id);
        if gone && expected.is_some_and(|(key, _)| seen.contains_key(&key)) {
            model.objects[node.id].entry = None;
        }
    }
    for (key, node) in &seen {
        let value = world.values.get(mc, *node).map(|value| value.id);
        let expected = model.values.get(key).copied();
        let gone = value.is_none() && model.objects[*key].was_lost;
        assert!(value == expected || gone, "the value of {key}: {value:?} {expected:?}");
        if gone {
            model.values.remove(key);
        }
    }
    seen.into_keys().collect()
}

fn run(seed: u64, config: Config, mutations: usize) -> usize {
    let limited = config.limit_bytes != usize::MAX;
    let mut program = Program::new(seed, config);
    for _ in 0..mutations {
        program.mutate();
        match program.random.below(40) {
            0 => program.arena.collect(),
            1 => program.arena.collect_cycles(),
            2 => _ = program.arena.step(Duration::ZERO),
            _ => continue,
        }
        program.look();
    }
    program.collect_all();
    // Without its roots nothing is left, once what its finalizers bring back has been let go, too.
    let Program { arena, held, .. } = &mut program;
    held.clear();
    for _ in 0..20 {
        arena.mutate(|mc, world| {
            let write = Gc::write(*world, mc);
            (0..ROOTS).for_each(|n| field!(write, World, roots)[n].set(None));
            (0..RISEN).for_each(|n| field!(write, World, risen)[n].set(None));
        });
        arena.collect_cycles();
    }
    assert_eq!(program.count.load(Ordering::Relaxed), 0, "objects are left");
    if limited {
        assert!(program.arena.peak_bytes() <= program.arena.limit_bytes());
    }
    program.refused
}

/// `NEAP_TEST_ROUNDS` makes it longer.
fn rounds() -> u64 {
    std::env::var("NEAP_TEST_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(1)
}

#[test]
fn random_programs_under_stress_do_what_the_model_does() {
    for seed in 0..60 * rounds() {
        run(seed, stressed(), 120);
    }
}

#[test]
fn random_programs_at_their_own_pace_do_what_the_model_does() {
    for seed in 0..20 * rounds() {
        run(1_000_000 + seed, Config { audit: 1, poison: true, ..Config::default() }, 600);
    }
}

#[test]
fn random_programs_near_their_limit_do_what_the_model_does() {
    let mut refused = 0;
    for seed in 0..10 * rounds() {
        // So little that what the program does is refused now and then.
        let config = Config { limit_bytes: 640 << 10, audit: 1, poison: true, ..Config::default() };
        refused += run(2_000_000 + seed, config, 1_000);
    }
    println!("{refused} requests were refused");
}
