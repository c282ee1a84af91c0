//! The safe face of the heap, `neap_gc::arena`. Mutations are as large as those of the other arena: behind each the heap works if it wants to.

use crate::meter::Meter;
use crate::workloads::{Cache, Contender, GROUP, Graph, LIST_BATCH, Lists, Numbers, Sessions, Step, Sum, Trees, Use};
use neap_gc::arena::{Arena, Gc, Lock, Mutation, Rootable, Trace, WeakTable, field};

type Link<'gc, T> = Lock<Option<Gc<'gc, T>>>;
/// A table of slots, each with a barrier of its own.
type Table<'gc, T> = Gc<'gc, [Lock<Option<T>>]>;

fn table<'gc, T: Copy + 'gc>(mc: &Mutation<'gc>, slots: usize) -> Table<'gc, T>
where
    Option<T>: Trace<'gc>,
{
    mc.alloc_slice_with(slots, |_| Lock::new(None))
}

#[derive(Trace, Rootable)]
struct Tree<'gc> {
    left: Option<Gc<'gc, Tree<'gc>>>,
    right: Option<Gc<'gc, Tree<'gc>>>,
}

fn tree<'gc>(mc: &Mutation<'gc>, depth: u32) -> Gc<'gc, Tree<'gc>> {
    let child = || (depth > 0).then(|| tree(mc, depth - 1));
    mc.alloc(Tree { left: child(), right: child() })
}
fn count<'gc>(tree: Gc<'gc, Tree<'gc>>) -> u64 {
    1 + tree.left.map_or(0, count) + tree.right.map_or(0, count)
}

#[derive(Trace, Rootable)]
struct Child<'gc> {
    parent: Option<Gc<'gc, Child<'gc>>>,
    left: Link<'gc, Child<'gc>>,
    right: Link<'gc, Child<'gc>>,
}

fn child<'gc>(mc: &Mutation<'gc>, parent: Option<Gc<'gc, Child<'gc>>>, depth: u32) -> Gc<'gc, Child<'gc>> {
    let node = mc.alloc(Child { parent, left: Lock::new(None), right: Lock::new(None) });
    if depth > 0 {
        let children = [child(mc, Some(node), depth - 1), child(mc, Some(node), depth - 1)];
        let write = Gc::write(node, mc);
        field!(write, Child, left).set(Some(children[0]));
        field!(write, Child, right).set(Some(children[1]));
    }
    node
}
/// Nodes whose parent is the right one.
fn count_right<'gc>(parent: Option<Gc<'gc, Child<'gc>>>, node: Gc<'gc, Child<'gc>>) -> u64 {
    let count = |child: &Link<'gc, Child<'gc>>| child.get().map_or(0, |child| count_right(Some(node), child));
    u64::from(node.parent == parent) + count(&node.left) + count(&node.right)
}

#[derive(Trace, Rootable)]
struct Cons<'gc> {
    number: u64,
    rest: Option<Gc<'gc, Cons<'gc>>>,
}

#[derive(Trace, Rootable)]
struct ListRoot<'gc> {
    list: Option<Gc<'gc, Cons<'gc>>>,
    last: Option<Gc<'gc, Cons<'gc>>>,
}

impl ListRoot<'_> {
    fn sum_last(&self) -> u64 {
        std::iter::successors(self.last, |cons| cons.rest).map(|cons| cons.number).sum()
    }
}

#[derive(Trace, Rootable)]
struct Vertex<'gc> {
    number: u64,
    links: [Link<'gc, Vertex<'gc>>; 3],
}

fn link<'gc>(mc: &Mutation<'gc>, from: Gc<'gc, Vertex<'gc>>, field: usize, to: Option<Gc<'gc, Vertex<'gc>>>) {
    field!(Gc::write(from, mc), Vertex, links)[field].set(to);
}

fn numbers<'gc>(vertex: Gc<'gc, Vertex<'gc>>) -> Numbers {
    (vertex.number, std::array::from_fn(|field| vertex.links[field].get().map(|to| to.number)))
}

#[derive(Trace, Rootable)]
struct GraphRoot<'gc> {
    slots: Table<'gc, Gc<'gc, Vertex<'gc>>>,
}

#[derive(Trace)]
struct Value {
    slot: usize,
    more: usize,
}

#[derive(Trace, Rootable)]
struct CacheRoot<'gc> {
    held: Table<'gc, Gc<'gc, Value>>,
    cache: WeakTable<'gc, Value>,
}

#[derive(Trace, Rootable)]
struct Session<'gc> {
    number: u64,
    user: Link<'gc, User<'gc>>,
    cart: Link<'gc, Cart<'gc>>,
    before: Link<'gc, Session<'gc>>,
    behind: Link<'gc, Session<'gc>>,
}
#[derive(Trace, Rootable)]
struct User<'gc> {
    name: u64,
    session: Gc<'gc, Session<'gc>>,
}
#[derive(Trace, Rootable)]
struct Cart<'gc> {
    owner: Gc<'gc, User<'gc>>,
    item: Link<'gc, Item<'gc>>,
}
#[derive(Trace, Rootable)]
struct Item<'gc> {
    cart: Gc<'gc, Cart<'gc>>,
    price: u64,
}

type SessionLink<'gc> = Option<Gc<'gc, Session<'gc>>>;

#[derive(Trace, Rootable)]
struct SessionRoot<'gc> {
    sessions: Table<'gc, Gc<'gc, Session<'gc>>>,
}

/// A session with its parts, put between two others.
fn open<'gc>(mc: &Mutation<'gc>, number: u64, before: SessionLink<'gc>, behind: SessionLink<'gc>) -> Gc<'gc, Session<'gc>> {
    let session =
        Session { number, user: Lock::new(None), cart: Lock::new(None), before: Lock::new(before), behind: Lock::new(behind) };
    let session = mc.alloc(session);
    let user = mc.alloc(User { name: number, session });
    let cart = mc.alloc(Cart { owner: user, item: Lock::new(None) });
    field!(Gc::write(cart, mc), Cart, item).set(Some(mc.alloc(Item { cart, price: number % 100 })));
    field!(Gc::write(session, mc), Session, user).set(Some(user));
    field!(Gc::write(session, mc), Session, cart).set(Some(cart));
    if let Some(before) = before {
        field!(Gc::write(before, mc), Session, behind).set(Some(session));
    }
    if let Some(behind) = behind {
        field!(Gc::write(behind, mc), Session, before).set(Some(session));
    }
    session
}

fn is_whole<'gc>(session: Gc<'gc, Session<'gc>>) -> bool {
    let parts = session.user.get().zip(session.cart.get());
    parts.is_some_and(|(user, cart)| {
        user.session == session && cart.item.get().is_some_and(|item| item.cart.owner.session == session)
    })
}

pub struct NeapArena;

impl Contender for NeapArena {
    fn trees(size: &Trees, meter: &mut Meter) -> u64 {
        let mut arena = Arena::<Option<Gc<Tree>>>::new(|_| None);
        let mut nodes = arena.mutate(|mc, _| count(tree(mc, size.most + 1)));
        arena.mutate_root(|mc, root| *root = Some(tree(mc, size.most)));
        for (depth, times) in size.rounds() {
            nodes += (0..times).map(|_| arena.mutate(|mc, _| count(tree(mc, depth)))).sum::<u64>();
        }
        nodes += arena.mutate(|_, root| root.map_or(0, count));
        meter.closes();
        nodes
    }

    fn parents(size: &Trees, meter: &mut Meter) -> u64 {
        let mut arena = Arena::<Option<Gc<Child>>>::new(|_| None);
        let mut nodes = arena.mutate(|mc, _| count_right(None, child(mc, None, size.most + 1)));
        arena.mutate_root(|mc, root| *root = Some(child(mc, None, size.most)));
        for (depth, times) in size.rounds() {
            nodes += (0..times).map(|_| arena.mutate(|mc, _| count_right(None, child(mc, None, depth)))).sum::<u64>();
        }
        nodes += arena.mutate(|_, root| root.map_or(0, |root| count_right(None, root)));
        meter.closes();
        nodes
    }

    fn lists(size: &Lists, meter: &mut Meter) -> u64 {
        let mut arena = Arena::<ListRoot>::new(|_| ListRoot { list: None, last: None });
        let mut total = 0;
        for _ in 0..size.rounds {
            for first in (0..size.length).step_by(LIST_BATCH as usize) {
                arena.mutate_root(|mc, root| {
                    for number in first..size.length.min(first + LIST_BATCH) {
                        root.list = Some(mc.alloc(Cons { number, rest: root.list }));
                    }
                });
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
        let mut arena = Arena::<GraphRoot>::new(|mc| GraphRoot { slots: table(mc, size.slots) });
        let (mut created, mut looked) = (0, Sum::default());
        size.each_batch(|batch| {
            arena.mutate(|mc, root| {
                let slots = root.slots;
                for &step in batch {
                    match step {
                        Step::Drop(first) => (first..first + GROUP).for_each(|slot| slots.set(mc, slot, None)),
                        Step::Create(slot) => {
                            let vertex = Vertex { number: created, links: std::array::from_fn(|_| Lock::new(None)) };
                            created += 1;
                            slots.set(mc, slot, Some(mc.alloc(vertex)));
                        }
                        Step::Link { from, field, to } => {
                            if let (Some(from), Some(to)) = (slots[from].get(), slots[to].get()) {
                                link(mc, from, field, Some(to));
                            }
                        }
                        Step::Unlink { from, field } => {
                            if let Some(from) = slots[from].get() {
                                link(mc, from, field, None);
                            }
                        }
                        Step::Look { from, field } => {
                            if let Some(to) = slots[from].get().and_then(|from| from.links[field].get()) {
                                looked.add(to.number);
                            }
                        }
                    }
                }
            });
        });
        let result = arena.mutate(|_, root| Graph::result(&looked, root.slots.iter().map(|slot| slot.get().map(numbers))));
        meter.closes();
        result
    }

    fn cache(size: &Cache, meter: &mut Meter) -> u64 {
        let mut arena =
            Arena::<CacheRoot>::new(|mc| CacheRoot { held: table(mc, size.entries), cache: WeakTable::new(mc, size.entries) });
        let mut found = 0;
        size.each_batch(|batch| {
            arena.mutate(|mc, root| {
                for &step in batch {
                    match step {
                        Use::Replace(slot) => {
                            let value = mc.alloc(Value { slot, more: slot });
                            root.held.set(mc, slot, Some(value));
                            root.cache.set(mc, slot, Some(value));
                        }
                        Use::Drop(slot) => root.held.set(mc, slot, None),
                        Use::LookUp(slot) => {
                            let value = root.cache.get(mc, slot);
                            found += Cache::judge(slot, value.map(|value| value.slot), root.held[slot].get().is_some());
                        }
                    }
                }
            });
        });
        meter.closes();
        found
    }

    fn sessions(size: &Sessions, meter: &mut Meter) -> u64 {
        let mut arena = Arena::<SessionRoot>::new(|mc| SessionRoot { sessions: table(mc, size.count) });
        for slot in 0..size.count {
            arena.mutate(|mc, root| {
                let last = slot.checked_sub(1).and_then(|last| root.sessions[last].get());
                root.sessions.set(mc, slot, Some(open(mc, slot as u64, last, None)));
            });
        }
        let mut next = size.first_new();
        for step in size.steps() {
            meter.step(|| {
                for slot in step {
                    arena.mutate(|mc, root| {
                        let old = root.sessions[slot].get().expect("a session");
                        root.sessions.set(mc, slot, Some(open(mc, next, old.before.get(), old.behind.get())));
                    });
                    next += 1;
                }
            });
        }
        let result = arena.mutate(|_, root| {
            let at = |slot: usize| root.sessions.get(slot).and_then(Lock::get);
            Sessions::result((0..size.count).map(|slot| {
                let session = at(slot).expect("a session");
                let is_linked = session.before.get() == slot.checked_sub(1).and_then(at) && session.behind.get() == at(slot + 1);
                (session.number, is_whole(session) && is_linked)
            }))
        });
        meter.closes();
        result
    }
}
