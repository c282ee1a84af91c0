//! The raw face of the heap, `neap_gc::Heap<R>`, as a virtual machine would use it, which looks at the poll word behind every allocation.
//!
//! Invariants:
//! * **numbers-behind** An object is a header, its references, and its numbers. Its kind is how many references it has, 0 to 4; those are null or cells.
//! * **roots-before-polls** What is still needed is reached from the roots when the heap is polled.

use crate::meter::Meter;
use crate::workloads::{Cache, Contender, GROUP, Graph, Lists, Numbers, Sessions, Step, Sum, Trees, Use};
use neap_gc::{Config, Heap, Kind, Ref, RootSource, Runtime, Shape, Side, Verdict};
use std::cell::Cell;
use std::ops::Range;

/// Header, length, strong references.
const TABLE: u8 = 5;
/// Header, length, weak references.
const CACHE: u8 = 6;

type Slot = Cell<Option<Ref>>;

struct Objects;

/// The references of an object of kind `N`.
///
/// # Safety
/// A cell of such an object, initialised: numbers-behind.
unsafe fn links<'a, const N: usize>(object: Ref) -> &'a [Slot; N] {
    // SAFETY: by the caller; `Option<Ref>` is one word.
    unsafe { &*object.as_ptr().add(8).cast() }
}

/// The first number of an object of kind `N`.
///
/// # Safety
/// As for `links`; it has one.
unsafe fn number<const N: usize>(object: Ref) -> u64 {
    // SAFETY: by the caller.
    unsafe { object.as_ptr().add(8 + 8 * N).cast::<u64>().read() }
}

/// The slots of a table or a cache.
///
/// # Safety
/// A cell of one of these kinds, initialised.
unsafe fn slots<'a>(table: Ref) -> &'a [Slot] {
    // SAFETY: by the caller.
    unsafe { std::slice::from_raw_parts(table.as_ptr().add(16).cast(), length(table)) }
}

/// # Safety
/// As for `slots`.
unsafe fn length(table: Ref) -> usize {
    // SAFETY: by the caller.
    unsafe { table.as_ptr().add(8).cast::<usize>().read() }
}

// SAFETY: numbers-behind.
unsafe impl Runtime for Objects {
    fn kinds(&self) -> Vec<Kind> {
        vec![
            Kind::new("leaf", Shape::Leaf),
            Kind::new("one", Shape::Plain),
            Kind::new("two", Shape::Plain),
            Kind::new("three", Shape::Plain),
            Kind::new("four", Shape::Plain),
            Kind::new("table", Shape::Array),
            Kind::new("cache", Shape::Array).with_weak_references(),
        ]
    }
    #[inline(always)]
    unsafe fn trace(&self, cell: Ref, visit: &mut impl FnMut(Ref)) {
        // SAFETY: a `Plain` cell, so an object: numbers-behind.
        let links = unsafe { std::slice::from_raw_parts(cell.as_ptr().add(8).cast::<Slot>(), usize::from(cell.kind())) };
        links.iter().filter_map(Cell::get).for_each(visit);
    }
    unsafe fn slots(&self, cell: Ref) -> usize {
        // SAFETY: only tables and caches are indexed.
        unsafe { length(cell) }
    }
    unsafe fn trace_slots(&self, cell: Ref, range: Range<usize>, visit: &mut impl FnMut(Ref)) {
        // SAFETY: as above.
        unsafe {
            if cell.kind() == TABLE {
                slots(cell)[range].iter().filter_map(Cell::get).for_each(visit);
            }
        }
    }
    unsafe fn clean(
        &self,
        cache: Ref,
        range: Range<usize>,
        verdict: &mut impl FnMut(Ref, Side) -> Verdict,
        _: &mut impl FnMut(usize),
    ) {
        // SAFETY: only caches have weak slots.
        for slot in unsafe { &slots(cache)[range] } {
            if slot.get().is_some_and(|value| verdict(value, Side::Value) == Verdict::Clear) {
                slot.set(None);
            }
        }
    }
}

/// What a program holds.
#[derive(Default)]
struct Roots([Slot; 2]);

// SAFETY: cells of the heap.
unsafe impl RootSource for Roots {
    fn slots(&self, visit: &mut dyn FnMut(Option<Ref>)) {
        self.0.iter().for_each(|slot| visit(slot.get()));
    }
}

struct World {
    heap: Heap<Objects>,
    roots: Roots,
}

impl World {
    fn new() -> World {
        World { heap: Heap::new(Objects, Config::default()).expect("memory for a heap"), roots: Roots::default() }
    }
    /// A world whose first root is a table.
    fn with_table(slots: usize) -> (World, Ref) {
        let world = World::new();
        let table = world.table(TABLE, slots);
        world.roots.0[0].set(Some(table));
        (world, table)
    }

    #[inline(always)]
    fn poll(&mut self) {
        if self.heap.wants_safepoint() {
            // SAFETY: roots-before-polls.
            unsafe { self.heap.safepoint(&self.roots) };
        }
    }

    #[inline(always)]
    fn object<const N: usize, const M: usize>(&self, links: [Option<Ref>; N], numbers: [u64; M]) -> Ref {
        // SAFETY: a kind of this runtime, initialised at once.
        unsafe {
            let object = self.heap.alloc(N as u8, 8 + 8 * (N + M)).expect("memory");
            object.as_ptr().add(8).cast::<[Option<Ref>; N]>().write(links);
            object.as_ptr().add(8 + 8 * N).cast::<[u64; M]>().write(numbers);
            object
        }
    }
    fn table(&self, kind: u8, length: usize) -> Ref {
        // SAFETY: as above; no reference is all zeros.
        unsafe {
            let table = self.heap.alloc(kind, 16 + 8 * length).expect("memory");
            table.as_ptr().add(8).cast::<usize>().write(length);
            table.as_ptr().add(16).cast::<Option<Ref>>().write_bytes(0, length);
            table
        }
    }
    #[inline(always)]
    fn link<const N: usize>(&self, object: Ref, link: usize, to: Option<Ref>) {
        // SAFETY: the object is reached from the roots, or young; the barrier comes first.
        unsafe {
            self.heap.barrier(object, 0);
            links::<N>(object)[link].set(to);
        }
    }
    #[inline(always)]
    fn put(&self, table: Ref, slot: usize, value: Option<Ref>) {
        // SAFETY: as above.
        unsafe {
            self.heap.barrier(table, slot);
            slots(table)[slot].set(value);
        }
    }

    fn tree(&self, depth: u32) -> Ref {
        let child = || (depth > 0).then(|| self.tree(depth - 1));
        self.object([child(), child()], [])
    }
    /// The links of a child: parent, left, right.
    fn child(&self, parent: Option<Ref>, depth: u32) -> Ref {
        let node = self.object([parent, None, None], []);
        if depth > 0 {
            let (left, right) = (self.child(Some(node), depth - 1), self.child(Some(node), depth - 1));
            self.link::<3>(node, 1, Some(left));
            self.link::<3>(node, 2, Some(right));
        }
        node
    }
    /// A session with its parts, put between two others. Its links: user, cart, before, behind. A user: session; a cart: owner, item; an item: cart.
    fn open(&self, number: u64, before: Option<Ref>, behind: Option<Ref>) -> Ref {
        let session = self.object([None, None, before, behind], [number]);
        let user = self.object([Some(session)], [number]);
        let cart = self.object([Some(user), None], []);
        let item = self.object([Some(cart)], [number % 100]);
        self.link::<2>(cart, 1, Some(item));
        self.link::<4>(session, 0, Some(user));
        self.link::<4>(session, 1, Some(cart));
        if let Some(before) = before {
            self.link::<4>(before, 3, Some(session));
        }
        if let Some(behind) = behind {
            self.link::<4>(behind, 2, Some(session));
        }
        session
    }
}

fn count(tree: Ref) -> u64 {
    // SAFETY: a tree.
    1 + unsafe { links::<2>(tree) }.iter().filter_map(Cell::get).map(count).sum::<u64>()
}
/// Nodes whose parent is the right one.
fn count_right(parent: Option<Ref>, node: Ref) -> u64 {
    // SAFETY: a child.
    let [its, children @ ..] = unsafe { links::<3>(node) };
    u64::from(its.get() == parent)
        + children.iter().filter_map(Cell::get).map(|child| count_right(Some(node), child)).sum::<u64>()
}
fn sum(list: Option<Ref>) -> u64 {
    // SAFETY: cells of a list, which have one reference and a number.
    std::iter::successors(list, |&cons| unsafe { links::<1>(cons) }[0].get()).map(|cons| unsafe { number::<1>(cons) }).sum()
}
fn is_whole(session: Ref) -> bool {
    let part = |slot: &Slot| slot.get().expect("a part");
    // SAFETY: a session with its parts.
    unsafe {
        let [user, cart, ..] = links::<4>(session);
        let item = part(&links::<2>(part(cart))[1]);
        let owner = part(&links::<2>(part(&links::<1>(item)[0]))[0]);
        part(&links::<1>(part(user))[0]) == session && part(&links::<1>(owner)[0]) == session
    }
}

pub struct NeapHeap;

impl Contender for NeapHeap {
    fn trees(size: &Trees, meter: &mut Meter) -> u64 {
        let mut world = World::new();
        let mut nodes = count(world.tree(size.most + 1));
        world.poll();
        let long_lived = world.tree(size.most);
        world.roots.0[0].set(Some(long_lived));
        for (depth, times) in size.rounds() {
            for _ in 0..times {
                nodes += count(world.tree(depth));
                world.poll();
            }
        }
        nodes += count(long_lived);
        meter.closes();
        nodes
    }

    fn parents(size: &Trees, meter: &mut Meter) -> u64 {
        let mut world = World::new();
        let mut nodes = count_right(None, world.child(None, size.most + 1));
        world.poll();
        let long_lived = world.child(None, size.most);
        world.roots.0[0].set(Some(long_lived));
        for (depth, times) in size.rounds() {
            for _ in 0..times {
                nodes += count_right(None, world.child(None, depth));
                world.poll();
            }
        }
        nodes += count_right(None, long_lived);
        meter.closes();
        nodes
    }

    fn lists(size: &Lists, meter: &mut Meter) -> u64 {
        let mut world = World::new();
        let mut total = 0;
        for _ in 0..size.rounds {
            for number in 0..size.length {
                let cons = world.object([world.roots.0[0].get()], [number]);
                world.roots.0[0].set(Some(cons));
                world.poll();
            }
            total += sum(world.roots.0[1].get());
            world.roots.0[1].set(world.roots.0[0].take());
        }
        total += sum(world.roots.0[1].get());
        meter.closes();
        total
    }

    fn graph(size: &Graph, meter: &mut Meter) -> u64 {
        let (mut world, table) = World::with_table(size.slots);
        // SAFETY: the table stays in the root, and vertices in it.
        let at = |slot: usize| unsafe { slots(table) }[slot].get();
        // SAFETY: vertices have three references and a number.
        let of = |vertex| unsafe { number::<3>(vertex) };
        // SAFETY: as above.
        let linked = |vertex, field: usize| unsafe { links::<3>(vertex)[field].get() };
        let (mut created, mut looked) = (0, Sum::default());
        let mut step = |step| {
            match step {
                Step::Drop(first) => (first..first + GROUP).for_each(|slot| world.put(table, slot, None)),
                Step::Create(slot) => {
                    world.put(table, slot, Some(world.object([None; 3], [created])));
                    created += 1;
                }
                Step::Link { from, field, to } => {
                    if let (Some(from), Some(to)) = (at(from), at(to)) {
                        world.link::<3>(from, field, Some(to));
                    }
                }
                Step::Unlink { from, field } => {
                    if let Some(from) = at(from) {
                        world.link::<3>(from, field, None);
                    }
                }
                Step::Look { from, field } => {
                    if let Some(to) = at(from).and_then(|from| linked(from, field)) {
                        looked.add(of(to));
                    }
                }
            }
            world.poll();
        };
        size.each_batch(|batch| batch.iter().for_each(|&one| step(one)));
        let numbers = |vertex: Ref| -> Numbers { (of(vertex), std::array::from_fn(|field| linked(vertex, field).map(of))) };
        let result = Graph::result(&looked, (0..size.slots).map(|slot| at(slot).map(numbers)));
        meter.closes();
        result
    }

    fn cache(size: &Cache, meter: &mut Meter) -> u64 {
        let (mut world, table) = World::with_table(size.entries);
        let cache = world.table(CACHE, size.entries);
        world.roots.0[1].set(Some(cache));
        let mut found = 0;
        let mut step = |step| {
            match step {
                Use::Replace(slot) => {
                    let value = world.object([], [slot as u64, slot as u64]);
                    world.put(table, slot, Some(value));
                    // SAFETY: the value is young. A weak slot has no barrier.
                    unsafe {
                        world.heap.weak_hold(value);
                        slots(cache)[slot].set(Some(value));
                    }
                }
                Use::Drop(slot) => world.put(table, slot, None),
                Use::LookUp(slot) => {
                    // SAFETY: the value is not read before the heap says that it may be.
                    unsafe {
                        let value = slots(cache)[slot].get().filter(|&value| world.heap.weak_value(value));
                        let its_slot = value.map(|value| number::<0>(value) as usize);
                        found += Cache::judge(slot, its_slot, slots(table)[slot].get().is_some());
                    }
                }
            }
            world.poll();
        };
        size.each_batch(|batch| batch.iter().for_each(|&one| step(one)));
        meter.closes();
        found
    }

    fn sessions(size: &Sessions, meter: &mut Meter) -> u64 {
        let (mut world, table) = World::with_table(size.count);
        // SAFETY: the table stays in the root, and sessions in it.
        let at = |slot: usize| unsafe { slots(table) }.get(slot).and_then(Cell::get);
        // SAFETY: sessions.
        let beside = |session| unsafe { (links::<4>(session)[2].get(), links::<4>(session)[3].get()) };
        for slot in 0..size.count {
            let last = slot.checked_sub(1).and_then(at);
            world.put(table, slot, Some(world.open(slot as u64, last, None)));
            world.poll();
        }
        let mut next = size.first_new();
        for step in size.steps() {
            meter.step(|| {
                for slot in step {
                    let (before, behind) = beside(at(slot).expect("a session"));
                    world.put(table, slot, Some(world.open(next, before, behind)));
                    next += 1;
                    world.poll();
                }
            });
        }
        let result = Sessions::result((0..size.count).map(|slot| {
            let session = at(slot).expect("a session");
            let is_linked = beside(session) == (slot.checked_sub(1).and_then(at), at(slot + 1));
            // SAFETY: a session.
            (unsafe { number::<4>(session) }, is_whole(session) && is_linked)
        }));
        meter.closes();
        result
    }
}
