//! What `#[derive(Trace)]` makes of types of all forms.

use crate::arena;
use neap_gc::arena::{Gc, Lock, Map, RefLock, Rootable, Trace, field};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::marker::PhantomData;

#[derive(Trace, Clone, Copy)]
struct Unit;

#[derive(Trace, Rootable)]
struct Generic<'gc, T> {
    direct: T,
    behind: Gc<'gc, T>,
    nothing: PhantomData<fn(T)>,
}

#[derive(Trace)]
#[trace(bound = "T: Trace<'gc>, U: 'static + Send")]
struct Bounded<'gc, T, U> {
    traced: Gc<'gc, T>,
    #[trace(static)]
    plain: Option<U>,
}

#[derive(Trace)]
#[trace(gc = 'a)]
struct Renamed<'a, 'b> {
    text: Gc<'a, str>,
    nothing: PhantomData<fn(&'b ()) -> &'b ()>,
}

#[derive(Trace)]
#[trace(static)]
struct Foreign {
    _values: std::sync::mpsc::SyncSender<u8>,
}

#[derive(Trace)]
#[trace(no_drop)]
enum Expression<'gc> {
    Nothing,
    Number(f64),
    Sum(Gc<'gc, Expression<'gc>>, Gc<'gc, Expression<'gc>>),
    Call {
        function: Gc<'gc, str>,
        arguments: Vec<Gc<'gc, Expression<'gc>>>,
        #[trace(static)]
        seen: std::cell::Cell<u32>,
    },
}

#[derive(Trace)]
enum Never {}

#[derive(Trace)]
enum Color {
    Red,
    Green,
}

#[derive(Trace, Rootable)]
struct Tuple<'gc, const N: usize>([Lock<Option<Gc<'gc, u64>>>; N], u8);

/// Everything that the standard library has, and a recursive type without `Gc` of its own.
#[derive(Trace, Rootable)]
struct Containers<'gc> {
    map: HashMap<String, Gc<'gc, u64>>,
    tree: BTreeMap<u32, Vec<Gc<'gc, u64>>>,
    queue: VecDeque<(Gc<'gc, u64>, bool)>,
    recursive: Option<Box<Containers<'gc>>>,
    result: Result<Gc<'gc, u64>, String>,
    boxed: Box<[Gc<'gc, u64>]>,
    cell: std::cell::Cell<u32>,
    lock: RefLock<Option<Box<Gc<'gc, u64>>>>,
    text: &'static str,
}

#[test]
fn the_map_of_a_derived_type_has_what_its_fields_have() {
    assert_eq!(Unit::MAP, Map::NONE);
    assert_eq!(Foreign::MAP, Map::NONE);
    assert_eq!(Color::MAP, Map::NONE);
    assert_eq!(Never::MAP, Map::NONE);
    assert_eq!(Expression::MAP, Map::ANY);
    assert_eq!(Containers::MAP, Map::ANY);
    assert!(<Generic<u8>>::MAP.is_words() && Renamed::MAP.is_words() && <Bounded<u8, String>>::MAP.is_words());
    assert!(<Tuple<7>>::MAP.is_words());
    assert_eq!(<Tuple<9>>::MAP, Map::ANY);
    assert_eq!(<Tuple<0>>::MAP, Map::NONE);
    let _ = [Color::Red, Color::Green];
}

#[test]
fn every_field_keeps_what_it_refers_to() {
    let mut arena = arena::<Containers>(|mc| {
        let one = |n: u64| mc.alloc(n);
        let containers = |recursive: Option<Box<_>>| Containers {
            map: (0..10).map(|n| (n.to_string(), one(n))).collect(),
            tree: (0..10).map(|n| (n, vec![one(u64::from(n))])).collect(),
            queue: (0..10).map(|n| (one(n), true)).collect(),
            recursive,
            result: Ok(one(7)),
            boxed: (0..10).map(one).collect(),
            cell: 3.into(),
            lock: RefLock::new(Some(Box::new(one(8)))),
            text: "static",
        };
        containers(Some(Box::new(containers(None))))
    });
    for _ in 0..3 {
        arena.collect_cycles();
        arena.mutate(|_, root| {
            let mut at = Some(root);
            while let Some(here) = at {
                assert!((0..10).all(|n| *here.map[&n.to_string()] == n && *here.tree[&(n as u32)][0] == n));
                assert!((0..10).all(|n| *here.queue[n as usize].0 == n && *here.boxed[n as usize] == n));
                assert_eq!((**here.result.as_ref().unwrap(), ***here.lock.borrow().as_ref().unwrap()), (7, 8));
                assert_eq!((here.cell.get(), here.text), (3, "static"));
                at = here.recursive.as_deref();
            }
        });
    }
    assert_eq!(arena.audit().unwrap().references, 85);
}

#[test]
fn enums_and_generics_keep_theirs() {
    #[derive(Trace, Rootable)]
    struct Root<'gc> {
        program: Gc<'gc, Expression<'gc>>,
        generic: Generic<'gc, Gc<'gc, u64>>,
        bounded: Bounded<'gc, u64, String>,
        renamed: Renamed<'gc, 'static>,
        tuple: Gc<'gc, Tuple<'gc, 9>>,
    }
    fn value(expression: &Expression) -> f64 {
        match expression {
            Expression::Nothing => 0.0,
            Expression::Number(number) => *number,
            Expression::Sum(a, b) => value(a) + value(b),
            Expression::Call { function, arguments, seen } => {
                seen.set(seen.get() + 1);
                assert_eq!(**function, *"max");
                arguments.iter().map(|argument| value(argument)).fold(f64::MIN, f64::max)
            }
        }
    }
    let mut arena = arena::<Root>(|mc| {
        let number = |n| mc.alloc(Expression::Number(n));
        let arguments = vec![number(2.0), number(5.0), mc.alloc(Expression::Nothing)];
        let call = Expression::Call { function: mc.alloc_str("max"), arguments, seen: 0.into() };
        Root {
            program: mc.alloc(Expression::Sum(number(1.0), mc.alloc(call))),
            generic: Generic { direct: mc.alloc(1), behind: mc.alloc(mc.alloc(2)), nothing: PhantomData },
            bounded: Bounded { traced: mc.alloc(3), plain: Some("plain".into()) },
            renamed: Renamed { text: mc.alloc_str("renamed"), nothing: PhantomData },
            tuple: mc.alloc(Tuple(std::array::from_fn(|n| Lock::new((n > 0).then(|| mc.alloc(n as u64)))), 1)),
        }
    });
    for _ in 0..10 {
        arena.mutate(|mc, root| {
            assert_eq!(value(&root.program), 6.0);
            assert_eq!((*root.generic.direct, **root.generic.behind), (1, 2));
            assert_eq!((*root.bounded.traced, root.bounded.plain.as_deref()), (3, Some("plain")));
            assert_eq!(*root.renamed.text, *"renamed");
            // An array of locks in an object: one element of it.
            let last = &field!(Gc::write(root.tuple, mc), Tuple<9>, 0)[8];
            last.set(Some(mc.alloc(*last.get().unwrap() + 1)));
            assert!((1..8).all(|n| *root.tuple.0[n].get().unwrap() == n as u64));
        });
    }
    arena.mutate(|_, root| assert_eq!(root.tuple.0[8].get().map(|n| *n), Some(18)));
}
