//! gc-arena: an incremental mark-sweep collector whose pointers belong to an arena. It collects between two mutations, by as much as the program owes it for what it has
//! allocated: `collect_debt` comes behind every mutation, and mutations are kept small, as its documentation asks for.
//!
//! A write to an object makes the collector look at all of it again, so the tables of slots stand in parts of 64, each an object of its own.

use crate::meter::Meter;
use crate::workloads::{Cache, Contender, GROUP, Graph, LIST_BATCH, Lists, Numbers, Sessions, Step, Sum, Trees, Use};
use gc_arena::barrier::unlock;
use gc_arena::{Arena, Collect, Gc, GcWeak, Lock, Mutation, Rootable};

/// Slots of a part of a table.
const PART: usize = 64;

type Link<'gc, T> = Lock<Option<Gc<'gc, T>>>;

/// A table of slots.
#[derive(Collect)]
#[collect(no_drop, bound = "where T: Collect<'gc> + Copy")]
struct Table<'gc, T: Copy + 'gc> {
    parts: Vec<Gc<'gc, [Lock<Option<T>>; PART]>>,
}

impl<'gc, T: Copy + Collect<'gc>> Table<'gc, T> {
    fn new(mc: &Mutation<'gc>, slots: usize) -> Table<'gc, T> {
        Table { parts: (0..slots.div_ceil(PART)).map(|_| Gc::new(mc, std::array::from_fn(|_| Lock::new(None)))).collect() }
    }
    #[inline]
    fn get(&self, slot: usize) -> Option<T> {
        self.parts[slot / PART][slot % PART].get()
    }
    #[inline]
    fn set(&self, mc: &Mutation<'gc>, slot: usize, value: Option<T>) {
        Gc::write(mc, self.parts[slot / PART])[slot % PART].unlock().set(value);
    }
}

#[derive(Collect)]
#[collect(no_drop)]
struct Tree<'gc> {
    children: Option<[Gc<'gc, Tree<'gc>>; 2]>,
}

type TreeArena = Arena<Rootable![Option<Gc<'_, Tree<'_>>>]>;

fn tree<'gc>(mc: &Mutation<'gc>, depth: u32) -> Gc<'gc, Tree<'gc>> {
    Gc::new(mc, Tree { children: (depth > 0).then(|| [tree(mc, depth - 1), tree(mc, depth - 1)]) })
}
fn count<'gc>(tree: Gc<'gc, Tree<'gc>>) -> u64 {
    1 + tree.children.map_or(0, |[left, right]| count(left) + count(right))
}

#[derive(Collect)]
#[collect(no_drop)]
struct Child<'gc> {
    parent: Option<Gc<'gc, Child<'gc>>>,
    children: Lock<Option<[Gc<'gc, Child<'gc>>; 2]>>,
}

type ChildArena = Arena<Rootable![Option<Gc<'_, Child<'_>>>]>;

fn child<'gc>(mc: &Mutation<'gc>, parent: Option<Gc<'gc, Child<'gc>>>, depth: u32) -> Gc<'gc, Child<'gc>> {
    let node = Gc::new(mc, Child { parent, children: Lock::new(None) });
    if depth > 0 {
        let children = [child(mc, Some(node), depth - 1), child(mc, Some(node), depth - 1)];
        unlock!(Gc::write(mc, node), Child, children).set(Some(children));
    }
    node
}
/// Nodes whose parent is the right one.
fn count_right<'gc>(parent: Option<Gc<'gc, Child<'gc>>>, node: Gc<'gc, Child<'gc>>) -> u64 {
    let is_right = match (parent, node.parent) {
        (Some(a), Some(b)) => Gc::ptr_eq(a, b),
        (a, b) => a.is_none() && b.is_none(),
    };
    u64::from(is_right)
        + node.children.get().map_or(0, |[left, right]| count_right(Some(node), left) + count_right(Some(node), right))
}

#[derive(Collect)]
#[collect(no_drop)]
struct Cons<'gc> {
    number: u64,
    rest: Option<Gc<'gc, Cons<'gc>>>,
}

#[derive(Collect)]
#[collect(no_drop)]
struct ListRoot<'gc> {
    list: Option<Gc<'gc, Cons<'gc>>>,
    last: Option<Gc<'gc, Cons<'gc>>>,
}

impl ListRoot<'_> {
    fn sum_last(&self) -> u64 {
        std::iter::successors(self.last, |cons| cons.rest).map(|cons| cons.number).sum()
    }
}

#[derive(Collect)]
#[collect(no_drop)]
struct Vertex<'gc> {
    number: u64,
    links: [Link<'gc, Vertex<'gc>>; 3],
}

fn link<'gc>(mc: &Mutation<'gc>, from: Gc<'gc, Vertex<'gc>>, field: usize, to: Option<Gc<'gc, Vertex<'gc>>>) {
    gc_arena::barrier::field!(Gc::write(mc, from), Vertex, links)[field].unlock().set(to);
}

fn numbers<'gc>(vertex: Gc<'gc, Vertex<'gc>>) -> Numbers {
    (vertex.number, std::array::from_fn(|field| vertex.links[field].get().map(|to| to.number)))
}

#[derive(Collect)]
#[collect(no_drop)]
struct Value {
    slot: usize,
    more: usize,
}

#[derive(Collect)]
#[collect(no_drop)]
struct CacheRoot<'gc> {
    held: Table<'gc, Gc<'gc, Value>>,
    cache: Table<'gc, GcWeak<'gc, Value>>,
}

#[derive(Collect)]
#[collect(no_drop)]
struct Session<'gc> {
    number: u64,
    user: Link<'gc, User<'gc>>,
    cart: Link<'gc, Cart<'gc>>,
    before: Link<'gc, Session<'gc>>,
    behind: Link<'gc, Session<'gc>>,
}
#[derive(Collect)]
#[collect(no_drop)]
struct User<'gc> {
    name: u64,
    session: Gc<'gc, Session<'gc>>,
}
#[derive(Collect)]
#[collect(no_drop)]
struct Cart<'gc> {
    owner: Gc<'gc, User<'gc>>,
    item: Link<'gc, Item<'gc>>,
}
#[derive(Collect)]
#[collect(no_drop)]
struct Item<'gc> {
    cart: Gc<'gc, Cart<'gc>>,
    price: u64,
}

type SessionLink<'gc> = Option<Gc<'gc, Session<'gc>>>;

/// A session with its parts, put between two others.
fn open<'gc>(mc: &Mutation<'gc>, number: u64, before: SessionLink<'gc>, behind: SessionLink<'gc>) -> Gc<'gc, Session<'gc>> {
    let session =
        Session { number, user: Lock::new(None), cart: Lock::new(None), before: Lock::new(before), behind: Lock::new(behind) };
    let session = Gc::new(mc, session);
    let user = Gc::new(mc, User { name: number, session });
    let cart = Gc::new(mc, Cart { owner: user, item: Lock::new(None) });
    unlock!(Gc::write(mc, cart), Cart, item).set(Some(Gc::new(mc, Item { cart, price: number % 100 })));
    unlock!(Gc::write(mc, session), Session, user).set(Some(user));
    unlock!(Gc::write(mc, session), Session, cart).set(Some(cart));
    if let Some(before) = before {
        unlock!(Gc::write(mc, before), Session, behind).set(Some(session));
    }
    if let Some(behind) = behind {
        unlock!(Gc::write(mc, behind), Session, before).set(Some(session));
    }
    session
}

fn same<'gc>(a: SessionLink<'gc>, b: SessionLink<'gc>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => Gc::ptr_eq(a, b),
        (a, b) => a.is_none() && b.is_none(),
    }
}
fn is_whole<'gc>(session: Gc<'gc, Session<'gc>>) -> bool {
    let parts = session.user.get().zip(session.cart.get());
    parts.is_some_and(|(user, cart)| {
        let owner = cart.item.get().map(|item| item.cart.owner.session);
        same(Some(user.session), Some(session)) && same(owner, Some(session))
    })
}

pub struct GcArena;

impl Contender for GcArena {
    fn trees(size: &Trees, meter: &mut Meter) -> u64 {
        let mut arena = TreeArena::new(|_| None);
        let counted = |arena: &mut TreeArena, depth| {
            let nodes = arena.mutate(|mc, _| count(tree(mc, depth)));
            arena.collect_debt();
            nodes
        };
        let mut nodes = counted(&mut arena, size.most + 1);
        arena.mutate_root(|mc, root| *root = Some(tree(mc, size.most)));
        for (depth, count) in size.rounds() {
            nodes += (0..count).map(|_| counted(&mut arena, depth)).sum::<u64>();
        }
        nodes += arena.mutate(|_, root| root.map_or(0, count));
        meter.closes();
        nodes
    }

    fn parents(size: &Trees, meter: &mut Meter) -> u64 {
        let mut arena = ChildArena::new(|_| None);
        let counted = |arena: &mut ChildArena, depth| {
            let nodes = arena.mutate(|mc, _| count_right(None, child(mc, None, depth)));
            arena.collect_debt();
            nodes
        };
        let mut nodes = counted(&mut arena, size.most + 1);
        arena.mutate_root(|mc, root| *root = Some(child(mc, None, size.most)));
        for (depth, count) in size.rounds() {
            nodes += (0..count).map(|_| counted(&mut arena, depth)).sum::<u64>();
        }
        nodes += arena.mutate(|_, root| root.map_or(0, |root| count_right(None, root)));
        meter.closes();
        nodes
    }

    fn lists(size: &Lists, meter: &mut Meter) -> u64 {
        let mut arena = Arena::<Rootable![ListRoot<'_>]>::new(|_| ListRoot { list: None, last: None });
        let mut total = 0;
        for _ in 0..size.rounds {
            for first in (0..size.length).step_by(LIST_BATCH as usize) {
                arena.mutate_root(|mc, root| {
                    for number in first..size.length.min(first + LIST_BATCH) {
                        root.list = Some(Gc::new(mc, Cons { number, rest: root.list }));
                    }
                });
                arena.collect_debt();
            }
            total += arena.mutate_root(|_, root| {
                let sum = root.sum_last();
                root.last = root.list.take();
                sum
            });
        }
        total += arena.mutate(|_, root| root.sum_last());
        meter.closes();
        total
    }

    fn graph(size: &Graph, meter: &mut Meter) -> u64 {
        let mut arena = Arena::<Rootable![Table<'_, Gc<'_, Vertex<'_>>>]>::new(|mc| Table::new(mc, size.slots));
        let (mut created, mut looked) = (0, Sum::default());
        size.each_batch(|batch| {
            arena.mutate(|mc, table| {
                for &step in batch {
                    match step {
                        Step::Drop(first) => (first..first + GROUP).for_each(|slot| table.set(mc, slot, None)),
                        Step::Create(slot) => {
                            let vertex = Vertex { number: created, links: std::array::from_fn(|_| Lock::new(None)) };
                            created += 1;
                            table.set(mc, slot, Some(Gc::new(mc, vertex)));
                        }
                        Step::Link { from, field, to } => {
                            if let (Some(from), Some(to)) = (table.get(from), table.get(to)) {
                                link(mc, from, field, Some(to));
                            }
                        }
                        Step::Unlink { from, field } => {
                            if let Some(from) = table.get(from) {
                                link(mc, from, field, None);
                            }
                        }
                        Step::Look { from, field } => {
                            if let Some(to) = table.get(from).and_then(|from| from.links[field].get()) {
                                looked.add(to.number);
                            }
                        }
                    }
                }
            });
            arena.collect_debt();
        });
        let result = arena.mutate(|_, table| Graph::result(&looked, (0..size.slots).map(|slot| table.get(slot).map(numbers))));
        meter.closes();
        result
    }

    fn cache(size: &Cache, meter: &mut Meter) -> u64 {
        let mut arena = Arena::<Rootable![CacheRoot<'_>]>::new(|mc| CacheRoot {
            held: Table::new(mc, size.entries),
            cache: Table::new(mc, size.entries),
        });
        let mut found = 0;
        size.each_batch(|batch| {
            arena.mutate(|mc, root| {
                for &step in batch {
                    match step {
                        Use::Replace(slot) => {
                            let value = Gc::new(mc, Value { slot, more: slot });
                            root.held.set(mc, slot, Some(value));
                            root.cache.set(mc, slot, Some(Gc::downgrade(value)));
                        }
                        Use::Drop(slot) => root.held.set(mc, slot, None),
                        Use::LookUp(slot) => {
                            let value = root.cache.get(slot).and_then(|weak| weak.upgrade(mc));
                            found += Cache::judge(slot, value.map(|value| value.slot), root.held.get(slot).is_some());
                        }
                    }
                }
            });
            arena.collect_debt();
        });
        meter.closes();
        found
    }

    fn sessions(size: &Sessions, meter: &mut Meter) -> u64 {
        let mut arena = Arena::<Rootable![Table<'_, Gc<'_, Session<'_>>>]>::new(|mc| Table::new(mc, size.count));
        for slot in 0..size.count {
            arena.mutate(|mc, table| {
                let last = slot.checked_sub(1).and_then(|last| table.get(last));
                table.set(mc, slot, Some(open(mc, slot as u64, last, None)));
            });
            arena.collect_debt();
        }
        let mut next = size.first_new();
        for step in size.steps() {
            meter.step(|| {
                for slot in step {
                    arena.mutate(|mc, table| {
                        let old = table.get(slot).expect("a session");
                        table.set(mc, slot, Some(open(mc, next, old.before.get(), old.behind.get())));
                    });
                    arena.collect_debt();
                    next += 1;
                }
            });
        }
        let result = arena.mutate(|_, table| {
            Sessions::result((0..size.count).map(|slot| {
                let session = table.get(slot).expect("a session");
                let before = slot.checked_sub(1).and_then(|before| table.get(before));
                let behind = if slot + 1 < size.count { table.get(slot + 1) } else { None };
                let is_linked = same(session.before.get(), before) && same(session.behind.get(), behind);
                (session.number, is_whole(session) && is_linked)
            }))
        });
        meter.closes();
        result
    }
}
