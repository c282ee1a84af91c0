//! What is unsound in code that says `unsafe` is found by the checks of an arena, which name its type.

use neap_gc::arena::{Arena, CheckError, Fault, Gc, Lock, Map, RefLock, Rootable, Trace, Tracer, Write, field};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A pair whose `Trace` shows what it is told to.
struct Pair<'gc, const SHOWS: usize>([Lock<Option<Gc<'gc, u64>>>; 2], Cell<usize>);

// SAFETY: none: that is what is tested.
unsafe impl<'gc, const SHOWS: usize> Trace<'gc> for Pair<'gc, SHOWS> {
    const MAP: Map = if SHOWS == 2 { <[Option<Gc<'gc, u64>>; 2]>::MAP } else { Map::ANY };
    fn trace(&self, tracer: &mut Tracer<'_>) {
        self.1.set(self.1.get() + 1);
        match SHOWS {
            // Every second time.
            0 if self.1.get().is_multiple_of(2) => {}
            // The second is forgotten.
            1 | 2 => self.0[0].trace(tracer),
            _ => self.0.trace(tracer),
        }
    }
}
impl<const SHOWS: usize> Rootable for Pair<'_, SHOWS> {
    type Root<'gc> = Pair<'gc, SHOWS>;
}

fn error_of<R: Rootable>(arena: &mut Arena<R>) -> CheckError {
    // The object has to survive an epoch end to be looked at.
    arena.collect();
    arena.check().unwrap_err()
}

fn pair<const SHOWS: usize>() -> Arena<Gc<'static, Pair<'static, SHOWS>>> {
    let mut arena = Arena::<Gc<Pair<SHOWS>>>::new(|mc| {
        mc.alloc(Pair(std::array::from_fn(|n| Lock::new(Some(mc.alloc(n as u64)))), Cell::new(0)))
    });
    arena.set_checks(true);
    // Something else keeps both numbers.
    let numbers = arena.mutate(|mc, root| mc.hold::<[Gc<u64>; 2]>(mc.alloc(root.0.each_ref().map(|lock| lock.get().unwrap()))));
    std::mem::forget(numbers);
    arena
}

#[test]
fn a_trace_that_leaves_a_reference_out_is_found() {
    let error = error_of(&mut pair::<1>());
    assert!(matches!(error.fault, Fault::NotShown { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("Pair<") && text.contains("does not show"), "{text}");
}

#[test]
fn a_trace_that_shows_now_this_and_now_that_is_found() {
    let error = error_of(&mut pair::<0>());
    assert_eq!(error.fault, Fault::Unstable, "{error}");
    assert!(error.to_string().contains("Pair<"), "{error}");
}

#[test]
fn a_right_one_is_not() {
    let mut arena = pair::<3>();
    for _ in 0..5 {
        arena.mutate(|mc, root| field!(Gc::write(*root, mc), Pair<3>, 0)[0].set(Some(mc.alloc(5))));
        arena.collect_cycles();
        arena.check().unwrap();
        arena.audit().unwrap();
    }
}

#[derive(Trace, Rootable)]
struct Node<'gc> {
    number: u64,
    next: Lock<Option<Gc<'gc, Node<'gc>>>>,
    others: Option<Gc<'gc, RefLock<Vec<Gc<'gc, Node<'gc>>>>>>,
}

#[test]
fn a_write_without_a_barrier_is_found_at_the_next_safepoint() {
    let mut arena = Arena::<Gc<Node>>::new(|mc| {
        mc.alloc(Node { number: 1, next: Lock::new(None), others: Some(mc.alloc(RefLock::default())) })
    });
    arena.set_checks(true);
    // A new node, so that its type is known.
    arena.mutate_root(|mc, root| *root = mc.alloc(Node { number: 2, next: Lock::new(None), others: root.others }));
    arena.collect();
    arena.mutate(|mc, root| {
        // With a barrier.
        root.others.unwrap().borrow_mut(mc).push(*root);
        field!(Gc::write(*root, mc), Node, next).set(Some(*root));
    });
    arena.collect();
    let written = catch_unwind(AssertUnwindSafe(|| {
        arena.mutate(|_, root| {
            // SAFETY: none: no barrier has been.
            unsafe { Write::assume(&root.next) }.set(None);
            assert_eq!(root.number, 2);
        })
    }));
    let text = *written.unwrap_err().downcast::<String>().unwrap();
    assert!(text.contains("Node") && text.contains("no barrier"), "{text}");

    // In a type with a descriptor.
    let mut arena = Arena::<Gc<RefLock<Vec<Gc<u64>>>>>::new(|mc| mc.alloc(RefLock::new(vec![mc.alloc(1)])));
    arena.set_checks(true);
    arena.collect();
    // SAFETY: none: no barrier has been.
    let written =
        catch_unwind(AssertUnwindSafe(|| arena.mutate(|_, root| unsafe { Write::assume(&**root) }.borrow_mut().clear())));
    let text = *written.unwrap_err().downcast::<String>().unwrap();
    assert!(text.contains("RefLock<alloc::vec::Vec") && text.contains("no barrier"), "{text}");
}

#[test]
fn the_auditor_names_types_too() {
    let mut arena = Arena::<Gc<RefLock<Vec<Gc<u64>>>>>::new(|mc| mc.alloc(RefLock::new(vec![mc.alloc(1)])));
    arena.collect();
    arena.audit().unwrap();
    arena.set_running(false);
    // SAFETY: none: the vector has one reference more than is counted.
    arena.mutate(|_, root| unsafe {
        let number = root.borrow()[0];
        Write::assume(&**root).borrow_mut().push(number);
    });
    let error = arena.audit().unwrap_err();
    assert!(error.to_string().contains("references were found"), "{error}");
    std::mem::forget(arena);
}
