//! Dynamic roots, several arenas, other threads.

use crate::arena;
use neap_gc::arena::{Arena, DynamicRoot, Gc, Local, Lock, Rootable, Trace, field};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::thread;

#[derive(Trace, Rootable)]
struct Node<'gc> {
    number: u64,
    next: Lock<Option<Gc<'gc, Node<'gc>>>>,
}

#[test]
fn dynamic_roots_come_and_go() {
    let mut arena = arena::<()>(|_| ());
    let mut held: Vec<DynamicRoot<Node>> = Vec::new();
    for n in 0..300 {
        arena.mutate(|mc, _| {
            let next = held.last().filter(|_| n % 10 != 0).map(|last| mc.fetch(last));
            held.push(mc.hold(mc.alloc(Node { number: n, next: Lock::new(next) })));
        });
        if n % 10 == 9 {
            // The last of ten keeps the others.
            let last = held.pop().unwrap();
            held.truncate(held.len() - 9);
            held.push(last);
        }
    }
    arena.collect();
    arena.mutate(|mc, _| {
        for (at, root) in held.iter().enumerate() {
            let numbers = std::iter::successors(Some(mc.fetch(root)), |node| node.next.get()).map(|node| node.number);
            assert!(numbers.eq((0..10).rev().map(|n| at as u64 * 10 + n)));
        }
        // One that leads to another object from now on.
        mc.set_held(&held[0], mc.fetch(&held[1]));
    });
    assert_eq!(arena.audit().unwrap().objects, 301);
    arena.collect();
    assert_eq!(arena.audit().unwrap().objects, 291);
    drop(held);
    arena.collect();
    assert_eq!(arena.audit().unwrap().objects, 1);
}

#[test]
fn an_arena_refuses_the_roots_of_another() {
    let (mut one, mut other) = (arena::<()>(|_| ()), arena::<()>(|_| ()));
    let root: DynamicRoot<u64> = one.mutate(|mc, _| mc.hold(mc.alloc(5)));
    other.mutate(|mc, _| assert!(mc.try_fetch(&root).is_none()));
    assert!(catch_unwind(AssertUnwindSafe(|| other.mutate(|mc, _| *mc.fetch(&root)))).is_err());
    assert!(catch_unwind(AssertUnwindSafe(|| other.mutate(|mc, _| mc.set_held(&root, mc.alloc(6))))).is_err());
    assert_eq!(one.mutate(|mc, _| *mc.fetch(&root)), 5);
    // A root may outlive its arena.
    drop(one);
    other.mutate(|mc, _| assert!(mc.try_fetch(&root).is_none()));
}

#[test]
fn mutations_of_two_arenas_may_be_nested() {
    let (mut one, mut other) =
        (arena::<Gc<Lock<u64>>>(|mc| mc.alloc(Lock::new(1))), arena::<Gc<Lock<u64>>>(|mc| mc.alloc(Lock::new(2))));
    for _ in 0..10 {
        one.mutate(|mc, a| {
            other.mutate(|mc_other, b| {
                let (x, y) = (a.get(), b.get());
                a.set(mc, y);
                b.set(mc_other, x);
            });
        });
    }
    assert_eq!((one.mutate(|_, a| a.get()), other.mutate(|_, b| b.get())), (1, 2));
}

#[test]
fn an_idle_arena_goes_to_another_thread_with_all_that_it_holds() {
    let mut arena = arena::<Gc<Node>>(|mc| mc.alloc(Node { number: 0, next: Lock::new(None) }));
    let root: DynamicRoot<Node> = arena.mutate(|mc, root| mc.hold(*root));
    let mut arena = thread::spawn(move || {
        for n in 1..100 {
            arena.mutate(|mc, node| {
                let new = mc.alloc(Node { number: n, next: Lock::new(node.next.get()) });
                field!(Gc::write(*node, mc), Node, next).set(Some(new));
            });
        }
        arena
    })
    .join()
    .unwrap();
    let count = arena.mutate(|mc, _| std::iter::successors(Some(mc.fetch(&root)), |node| node.next.get()).count());
    assert_eq!(count, 100);
    // The root is dropped elsewhere.
    thread::spawn(move || drop(root)).join().unwrap();
    arena.collect();
    arena.audit().unwrap();
}

#[test]
fn what_is_bound_to_its_thread_is_not_touched_by_another() {
    let shared = Rc::new(());
    for home in [false, true] {
        let mut arena = arena::<Option<Gc<Local<Rc<()>>>>>(|mc| Some(mc.alloc(Local::new(shared.clone()))));
        let before = Rc::strong_count(&shared);
        let mut die = move || {
            arena.mutate_root(|_, root| *root = None);
            arena.collect();
            assert_eq!(arena.counters().destructors, 1);
        };
        if home {
            die();
        } else {
            thread::spawn(die).join().unwrap();
        }
        assert_eq!(Rc::strong_count(&shared), before - usize::from(home));
    }
}

#[test]
fn a_root_can_be_sized_by_anything() {
    let arena =
        Arena::<(Gc<str>, [Option<Gc<[u64]>>; 3])>::new(|mc| (mc.alloc_str("root"), [None, Some(mc.alloc_slice(&[1])), None]));
    arena.audit().unwrap();
    let refused = Arena::<()>::try_new(Default::default(), |_| Err::<(), Box<dyn std::error::Error>>("no root".into()));
    assert_eq!(refused.unwrap_err().to_string(), "no root");
}
