//! Kinds that are made while the heap runs, and steps of a given time.

use neap_gc::object::{Header, Kind, Shape, Side, Verdict};
use neap_gc::{Config, Heap, Ref, RootSource, Runtime};
use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::ptr::NonNull;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// A header and two references, of which the second is weak if the kind says so.
#[repr(C)]
struct Pair {
    header: Header,
    first: Option<Ref>,
    second: Option<Ref>,
}

/// A runtime that has no kind until one is added. Plain ones may have a weak half, or a destructor.
#[derive(Default)]
struct Late {
    weak: RefCell<Vec<bool>>,
    destroyed: Rc<Cell<usize>>,
}

unsafe fn pair<'a>(cell: Ref) -> &'a mut Pair {
    // SAFETY: the caller vouches for the cell; all are pairs, and the tests make no second borrow meanwhile.
    unsafe { &mut *cell.as_ptr().cast() }
}

// SAFETY: a pair has the references that stand in it.
unsafe impl Runtime for Late {
    fn kinds(&self) -> Vec<Kind> {
        Vec::new()
    }
    unsafe fn trace(&self, cell: Ref, visit: &mut impl FnMut(Ref)) {
        // SAFETY: by the caller, here and below.
        unsafe {
            pair(cell).first.into_iter().for_each(&mut *visit);
            if !self.weak.borrow()[cell.kind() as usize] {
                pair(cell).second.into_iter().for_each(visit);
            }
        }
    }
    unsafe fn clean(
        &self,
        cell: Ref,
        _: Range<usize>,
        verdict: &mut impl FnMut(Ref, Side) -> Verdict,
        _: &mut impl FnMut(usize),
    ) {
        // SAFETY: as above.
        let slot = unsafe { &mut pair(cell).second };
        if slot.is_some_and(|target| verdict(target, Side::Value) == Verdict::Clear) {
            *slot = None;
        }
    }
    unsafe fn destroy(&mut self, _: Ref, _: &mut dyn FnMut(NonNull<u8>)) {
        self.destroyed.set(self.destroyed.get() + 1);
    }
}

struct Root(Option<Ref>);

// SAFETY: the tests put cells of the heap here.
unsafe impl RootSource for Root {
    fn slots(&self, visit: &mut dyn FnMut(Option<Ref>)) {
        visit(self.0);
    }
}

fn add(heap: &mut Heap<Late>, kind: Kind) -> Option<u8> {
    heap.runtime().weak.borrow_mut().push(kind.weak);
    heap.add_kind(kind)
}

fn new(heap: &Heap<Late>, kind: u8, first: Option<Ref>, second: Option<Ref>) -> Ref {
    // SAFETY: a kind that was added, and all of its cell is written.
    unsafe {
        let cell = heap.alloc(kind, size_of::<Pair>()).expect("room");
        (&raw mut (*cell.as_ptr().cast::<Pair>()).first).write(first);
        (&raw mut (*cell.as_ptr().cast::<Pair>()).second).write(second);
        cell
    }
}

#[test]
fn kinds_are_added_while_the_heap_runs() {
    let mut heap = Heap::new(Late::default(), Config { stress_cycle: 3, audit: 1, ..Config::default() }).unwrap();
    let mut root = Root(None);
    let plain = add(&mut heap, Kind::new("plain", Shape::Plain)).unwrap();
    root.0 = Some(new(&heap, plain, None, None));
    // SAFETY: nothing is held but the root.
    unsafe { heap.safepoint(&root) };

    // Added beside live cells.
    let weak = add(&mut heap, Kind::new("weak", Shape::Plain).with_weak_references()).unwrap();
    let doomed = add(&mut heap, Kind::new("doomed", Shape::Leaf).with_destructor()).unwrap();
    assert_eq!([plain, weak, doomed], [0, 1, 2]);
    let gone = new(&heap, plain, None, None);
    let owner = new(&heap, doomed, None, None);
    let holder = new(&heap, weak, Some(owner), Some(gone));
    // SAFETY: the cells are young, or reached from the root.
    unsafe {
        heap.weak_hold(gone);
        let top = root.0.unwrap();
        heap.barrier(top, 0);
        pair(top).first = Some(holder);
        for _ in 0..10 {
            heap.safepoint(&root);
        }
        assert_eq!(pair(holder).second, None, "nothing but the weak half named it");
        assert_eq!(heap.runtime().destroyed.get(), 0);
        heap.barrier(holder, 0);
        pair(holder).first = None;
        heap.collect_full(&root);
        assert_eq!(heap.runtime().destroyed.get(), 1);
        heap.audit().unwrap();
    }
    let census = heap.census();
    assert_eq!(
        census.iter().map(|kind| (kind.name, kind.objects)).collect::<Vec<_>>(),
        [("plain", 1), ("weak", 1), ("doomed", 0)]
    );
}

#[test]
fn there_are_256_kinds_at_most() {
    let mut heap = Heap::new(Late::default(), Config::default()).unwrap();
    for number in 0..256 {
        assert_eq!(add(&mut heap, Kind::new("one of many", Shape::Plain)), Some(number as u8));
    }
    assert_eq!(add(&mut heap, Kind::new("one too many", Shape::Plain)), None);
    let root = Root(Some(new(&heap, 255, None, None)));
    // SAFETY: nothing is held but the root.
    unsafe { heap.collect_full(&root) };
    assert_eq!((heap.census().len(), heap.census()[255].objects), (256, 1));
}

/// Steps of no time get through a cycle too, and a long one ends before its time if there is nothing left to do.
#[test]
fn steps_of_a_given_time_come_to_an_end() {
    let mut heap = Heap::new(Late::default(), Config::default()).unwrap();
    let kind = add(&mut heap, Kind::new("node", Shape::Plain)).unwrap();
    let mut root = Root(None);
    for time in [Duration::ZERO, Duration::from_micros(20), Duration::from_secs(3600)] {
        // A ring of many.
        let first = new(&heap, kind, None, None);
        root.0 = Some(first);
        for _ in 0..20_000 {
            root.0 = Some(new(&heap, kind, root.0, None));
        }
        // SAFETY: nothing is held but the root, and what hangs from it.
        unsafe {
            pair(first).second = root.0;
            heap.collect_full(&root);
            root.0 = None;
            let (begin, mut steps) = (Instant::now(), 1);
            while heap.census()[0].objects != 0 {
                heap.step_for(&root, time);
                steps += 1;
                assert!(steps < 100_000, "{time:?}");
            }
            assert!(begin.elapsed() < Duration::from_secs(60));
            assert!(heap.step_for(&root, time) || heap.step_for(&root, time), "there is no need of another cycle");
        }
    }
}
