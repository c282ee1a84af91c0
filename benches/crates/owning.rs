//! The workloads for pointers that own: counted ones and those that look like them. The libraries have the same face, so their programs are the same text: a module
//! that has `Ptr` and `Slot` (a pointer and a cell of the library), the node types of [`nodes!`], and `settle`, gets the workloads from [`workloads!`].
//!
//! Pointers that a program holds are roots with these libraries, so the slots of a graph, and the sessions, stand in a `Vec` of the program.

/// The nodes of all workloads, with the attribute by which the library derives what it wants.
macro_rules! nodes {
    ($(#[$attribute:meta])*) => {
        $(#[$attribute])*
        struct Tree {
            children: Option<[Ptr<Tree>; 2]>,
        }
        $(#[$attribute])*
        struct Child {
            parent: Option<Ptr<Child>>,
            children: Slot<Option<[Ptr<Child>; 2]>>,
        }
        $(#[$attribute])*
        struct Cons {
            number: u64,
            rest: Option<Ptr<Cons>>,
        }
        $(#[$attribute])*
        struct Vertex {
            number: u64,
            links: Slot<[Option<Ptr<Vertex>>; 3]>,
        }
        $(#[$attribute])*
        struct Session {
            number: u64,
            parts: Slot<Option<(Ptr<User>, Ptr<Cart>)>>,
            /// The sessions before and behind it.
            beside: Slot<[Option<Ptr<Session>>; 2]>,
        }
        $(#[$attribute])*
        struct User {
            #[allow(dead_code)]
            name: u64,
            session: Ptr<Session>,
        }
        $(#[$attribute])*
        struct Cart {
            owner: Ptr<User>,
            item: Slot<Option<Ptr<Item>>>,
        }
        $(#[$attribute])*
        struct Item {
            cart: Ptr<Cart>,
            #[allow(dead_code)]
            price: u64,
        }
    };
}

/// A `trace` for each node, for libraries that don't derive it for types that refer to themselves, or not for arrays. `$more` is put into each implementation.
macro_rules! trace_nodes {
    ($trace:ident, $tracer:ty, { $($more:tt)* }) => {
        trace_nodes!(@ $trace, $tracer, { $($more)* }
            Tree: this, visit => { this.children.iter().flatten().for_each(|child| child.trace(visit)) }
            Child: this, visit => {
                this.parent.trace(visit);
                this.children.borrow().iter().flatten().for_each(|child| child.trace(visit));
            }
            Cons: this, visit => { this.rest.trace(visit) }
            Vertex: this, visit => { this.links.borrow().iter().for_each(|link| link.trace(visit)) }
            Session: this, visit => {
                if let Some((user, cart)) = &*this.parts.borrow() {
                    user.trace(visit);
                    cart.trace(visit);
                }
                this.beside.borrow().iter().for_each(|session| session.trace(visit));
            }
            User: this, visit => { this.session.trace(visit) }
            Cart: this, visit => {
                this.owner.trace(visit);
                this.item.trace(visit);
            }
            Item: this, visit => { this.cart.trace(visit) }
        );
    };
    (@ $trace:ident, $tracer:ty, $more:tt $($node:ident: $this:ident, $visit:ident => $body:block)*) => {
        $(trace_nodes!(@@ $trace, $tracer, $more $node: $this, $visit => $body);)*
    };
    (@@ $trace:ident, $tracer:ty, { $($more:tt)* } $node:ident: $this:ident, $visit:ident => $body:block) => {
        impl $trace for $node {
            fn trace(&self, $visit: &mut $tracer) {
                let $this = self;
                $body
            }
            $($more)*
        }
    };
}

/// The functions of a `Contender` but for the weak cache. `settle(allocated, live)` is called now and then with how many objects were allocated since the last call,
/// and about how many live; `finish()` when all has been dropped.
macro_rules! workloads {
    () => {
        fn trees(size: &Trees, meter: &mut Meter) -> u64 {
            fn make(depth: u32) -> Ptr<Tree> {
                Ptr::new(Tree { children: (depth > 0).then(|| [make(depth - 1), make(depth - 1)]) })
            }
            fn count(tree: &Tree) -> u64 {
                1 + tree.children.as_ref().map_or(0, |[left, right]| count(left) + count(right))
            }
            let settled = |tree: Ptr<Tree>| {
                let nodes = count(&tree);
                drop(tree);
                settle(nodes, 2 << size.most);
                nodes
            };
            let mut nodes = settled(make(size.most + 1));
            let long_lived = make(size.most);
            for (depth, count) in size.rounds() {
                nodes += (0..count).map(|_| settled(make(depth))).sum::<u64>();
            }
            nodes += count(&long_lived);
            meter.closes();
            drop(long_lived);
            finish();
            nodes
        }

        fn parents(size: &Trees, meter: &mut Meter) -> u64 {
            fn make(parent: Option<Ptr<Child>>, depth: u32) -> Ptr<Child> {
                let node = Ptr::new(Child { parent, children: Slot::new(None) });
                if depth > 0 {
                    let children = [make(Some(node.clone()), depth - 1), make(Some(node.clone()), depth - 1)];
                    *node.children.borrow_mut() = Some(children);
                }
                node
            }
            /// Nodes whose parent is the right one.
            fn count(parent: Option<&Ptr<Child>>, node: &Ptr<Child>) -> u64 {
                let is_right = match (parent, &node.parent) {
                    (Some(a), Some(b)) => std::ptr::eq(&raw const **a, &raw const **b),
                    (a, b) => a.is_none() && b.is_none(),
                };
                let children = node.children.borrow();
                u64::from(is_right)
                    + children.as_ref().map_or(0, |[left, right]| count(Some(node), left) + count(Some(node), right))
            }
            let settled = |tree: Ptr<Child>| {
                let nodes = count(None, &tree);
                drop(tree);
                settle(nodes, 2 << size.most);
                nodes
            };
            let mut nodes = settled(make(None, size.most + 1));
            let long_lived = make(None, size.most);
            for (depth, count) in size.rounds() {
                nodes += (0..count).map(|_| settled(make(None, depth))).sum::<u64>();
            }
            nodes += count(None, &long_lived);
            meter.closes();
            drop(long_lived);
            finish();
            nodes
        }

        fn lists(size: &Lists, meter: &mut Meter) -> u64 {
            fn sum(list: &Option<Ptr<Cons>>) -> u64 {
                std::iter::successors(list.as_ref(), |cons| cons.rest.as_ref()).map(|cons| cons.number).sum()
            }
            let (mut total, mut last) = (0, None);
            for _ in 0..size.rounds {
                let mut list = None;
                for number in 0..size.length {
                    list = Some(Ptr::new(Cons { number, rest: list }));
                    if number % LIST_BATCH == 0 {
                        settle(LIST_BATCH, 2 * size.length);
                    }
                }
                total += sum(&last);
                last = list;
            }
            total += sum(&last);
            meter.closes();
            drop(last);
            finish();
            total
        }

        fn graph(size: &Graph, meter: &mut Meter) -> u64 {
            let mut slots: Vec<Option<Ptr<Vertex>>> = (0..size.slots).map(|_| None).collect();
            let (mut created, mut looked) = (0, Sum::default());
            size.each_batch(|batch| {
                let before = created;
                for &step in batch {
                    match step {
                        Step::Drop(first) => slots[first..first + GROUP].fill_with(|| None),
                        Step::Create(slot) => {
                            slots[slot] = Some(Ptr::new(Vertex { number: created, links: Slot::new([None, None, None]) }));
                            created += 1;
                        }
                        Step::Link { from, field, to } => {
                            if let (Some(from), Some(to)) = (&slots[from], &slots[to]) {
                                let old = from.links.borrow_mut()[field].replace(to.clone());
                                drop(old);
                            }
                        }
                        Step::Unlink { from, field } => {
                            if let Some(from) = &slots[from] {
                                let old = from.links.borrow_mut()[field].take();
                                drop(old);
                            }
                        }
                        Step::Look { from, field } => {
                            if let Some(from) = &slots[from]
                                && let Some(to) = &from.links.borrow()[field]
                            {
                                looked.add(to.number);
                            }
                        }
                    }
                }
                settle(created - before, size.slots as u64);
            });
            let numbers = |vertex: &Ptr<Vertex>| {
                let links = vertex.links.borrow();
                (vertex.number, std::array::from_fn(|field| links[field].as_ref().map(|to| to.number)))
            };
            let result = Graph::result(&looked, slots.iter().map(|slot| slot.as_ref().map(numbers)));
            meter.closes();
            drop(slots);
            finish();
            result
        }

        fn sessions(size: &Sessions, meter: &mut Meter) -> u64 {
            fn open(number: u64, beside: [Option<Ptr<Session>>; 2]) -> Ptr<Session> {
                let session = Ptr::new(Session { number, parts: Slot::new(None), beside: Slot::new(beside) });
                let user = Ptr::new(User { name: number, session: session.clone() });
                let cart = Ptr::new(Cart { owner: user.clone(), item: Slot::new(None) });
                *cart.item.borrow_mut() = Some(Ptr::new(Item { cart: cart.clone(), price: number % 100 }));
                *session.parts.borrow_mut() = Some((user, cart));
                session
            }
            let mut sessions: Vec<Ptr<Session>> = Vec::with_capacity(size.count);
            for number in 0..size.count as u64 {
                let session = open(number, [sessions.last().cloned(), None]);
                if let Some(last) = sessions.last() {
                    last.beside.borrow_mut()[1] = Some(session.clone());
                }
                sessions.push(session);
                settle(4, 4 * size.count as u64);
            }
            let mut next = size.first_new();
            for step in size.steps() {
                meter.step(|| {
                    for slot in step {
                        let [before, behind] = sessions[slot].beside.borrow().clone();
                        let new = open(next, [before.clone(), behind.clone()]);
                        next += 1;
                        if let Some(before) = before {
                            let old = before.beside.borrow_mut()[1].replace(new.clone());
                            drop(old);
                        }
                        if let Some(behind) = behind {
                            let old = behind.beside.borrow_mut()[0].replace(new.clone());
                            drop(old);
                        }
                        sessions[slot] = new;
                        settle(4, 4 * size.count as u64);
                    }
                });
            }
            let same = |a: &Ptr<Session>, b: &Ptr<Session>| std::ptr::eq(&raw const **a, &raw const **b);
            let result = Sessions::result((0..size.count).map(|slot| {
                let session = &sessions[slot];
                let (parts, beside) = (session.parts.borrow(), session.beside.borrow());
                let is_whole = parts.as_ref().is_some_and(|(user, cart)| {
                    let item = cart.item.borrow();
                    same(&user.session, session) && item.as_ref().is_some_and(|item| same(&item.cart.owner.session, session))
                });
                let is_linked = beside[0].as_ref().map_or(slot == 0, |before| same(before, &sessions[slot - 1]))
                    && beside[1].as_ref().map_or(slot + 1 == size.count, |behind| same(behind, &sessions[slot + 1]));
                (session.number, is_whole && is_linked)
            }));
            meter.closes();
            drop(sessions);
            finish();
            result
        }
    };
}

/// The weak cache, for libraries whose pointers have `downgrade` and whose weak ones have `upgrade`.
macro_rules! weak_cache {
    ($weak:ident) => {
        fn cache(size: &Cache, meter: &mut Meter) -> u64 {
            let mut held: Vec<Option<Ptr<Value>>> = (0..size.entries).map(|_| None).collect();
            let mut cache: Vec<Option<$weak<Value>>> = (0..size.entries).map(|_| None).collect();
            let mut found = 0;
            size.each_batch(|batch| {
                for &step in batch {
                    match step {
                        Use::Replace(slot) => {
                            let value = Ptr::new(Value { slot, more: slot });
                            cache[slot] = Some(downgrade(&value));
                            held[slot] = Some(value);
                        }
                        Use::Drop(slot) => held[slot] = None,
                        Use::LookUp(slot) => {
                            let value = cache[slot].as_ref().and_then(|weak| weak.upgrade());
                            found += Cache::judge(slot, value.map(|value| value.slot), held[slot].is_some());
                        }
                    }
                }
                settle(CACHE_BATCH as u64, size.entries as u64);
            });
            meter.closes();
            drop((held, cache));
            finish();
            found
        }
    };
}

pub(crate) use {nodes, trace_nodes, weak_cache, workloads};
