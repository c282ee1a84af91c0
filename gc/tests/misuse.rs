//! What safe code can do to a heap, and what a runtime may do that others do not: another heap's handles, roots that panic, sizes beyond all
//! bounds, destructors of what was adopted or refused, a limit that is reached anywhere.

use neap_gc::heap::{Config, Faults, Heap, RootSource};
use neap_gc::object::{Header, Kind, Shape, Stack};
use neap_gc::{Handle, Ref, Runtime};
use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::atomic::Ordering;

type Slot = Option<Ref>;

/// Cells of `len` slots, each with a number; those of the second kind own a block of the heap too.
#[repr(C)]
struct Array {
    header: Header,
    number: u64,
    len: usize,
    block: Option<NonNull<u8>>,
}

const ARRAY: u8 = 0;
const OWNER: u8 = 1;

#[derive(Default)]
struct Arrays {
    destroyed: Rc<RefCell<Vec<u64>>>,
}

unsafe fn slots<'a>(cell: Ref) -> &'a mut [Slot] {
    // SAFETY: the caller vouches for the cell; its slots follow its head.
    unsafe {
        let array = cell.as_ptr().cast::<Array>();
        std::slice::from_raw_parts_mut(array.add(1).cast(), (*array).len)
    }
}

unsafe fn number(cell: Ref) -> u64 {
    // SAFETY: the caller vouches for the cell.
    unsafe { (*cell.as_ptr().cast::<Array>()).number }
}

// SAFETY: the references of a cell are those of its slots.
unsafe impl Runtime for Arrays {
    fn kinds(&self) -> Vec<Kind> {
        vec![Kind::new("array", Shape::Array), Kind::new("owner", Shape::Array).with_destructor()]
    }
    unsafe fn trace(&self, _: Ref, _: &mut impl FnMut(Ref)) {}
    unsafe fn slots(&self, cell: Ref) -> usize {
        // SAFETY: by the caller, here and below.
        unsafe { slots(cell) }.len()
    }
    unsafe fn trace_slots(&self, cell: Ref, range: Range<usize>, visit: &mut impl FnMut(Ref)) {
        // SAFETY: as above.
        unsafe { &slots(cell)[range] }.iter().flatten().for_each(|r| visit(*r));
    }
    unsafe fn forget(&self, cell: Ref) {
        // SAFETY: as above.
        unsafe { slots(cell) }.fill(None);
    }
    unsafe fn destroy(&mut self, cell: Ref, release: &mut dyn FnMut(NonNull<u8>)) {
        // SAFETY: as above.
        unsafe {
            self.destroyed.borrow_mut().push(number(cell));
            (*cell.as_ptr().cast::<Array>()).block.take().into_iter().for_each(release);
        }
    }
}

/// Globals, and how often they may be asked for before that panics.
struct Roots {
    globals: Vec<Ref>,
    patience: Cell<usize>,
}

impl Roots {
    fn of(globals: Vec<Ref>) -> Roots {
        Roots { globals, patience: Cell::new(usize::MAX) }
    }
    fn ask(&self) {
        self.patience.set(self.patience.get().checked_sub(1).expect("patience"));
    }
}

// SAFETY: the tests show cells of the heap.
unsafe impl RootSource for Roots {
    fn slots(&self, visit: &mut dyn FnMut(Option<Ref>)) {
        self.ask();
        self.globals.iter().for_each(|r| visit(Some(*r)));
        self.ask();
    }
    fn chain(&self, _: &mut dyn FnMut(Ref)) {
        self.ask();
    }
    fn current_base(&self) -> usize {
        self.ask();
        0
    }
}

fn heap(config: Config) -> Heap<Arrays> {
    Heap::new(Arrays::default(), config).expect("a heap")
}

fn new(heap: &mut Heap<Arrays>, kind: u8, number: u64, len: usize) -> Result<Ref, neap_gc::OutOfMemory> {
    let block = if kind == OWNER { Some(heap.malloc(100)?) } else { None };
    // SAFETY: all of the cell is written; a block that has just been made is freed.
    unsafe {
        let cell = heap.alloc(kind, size_of::<Array>() + len * size_of::<Slot>());
        if let (Err(_), Some(block)) = (&cell, block) {
            heap.free(block);
        }
        let array = cell?.as_ptr().cast::<Array>();
        (&raw mut (*array).number).write(number);
        (&raw mut (*array).len).write(len);
        (&raw mut (*array).block).write(block);
        array.add(1).cast::<Slot>().write_bytes(0, len);
        Ok(Ref::from_ptr(NonNull::new(array.cast()).expect("a cell")))
    }
}

fn store(heap: &mut Heap<Arrays>, object: Ref, slot: usize, value: Slot) {
    // SAFETY: the tests hold only what they can reach.
    unsafe {
        heap.barrier(object, slot);
        slots(object)[slot] = value;
    }
}

fn sound(heap: &Heap<Arrays>) {
    // SAFETY: the tests ask where nothing runs.
    unsafe { heap.audit() }.expect("a sound heap");
}

fn panics<T>(f: impl FnOnce() -> T) -> bool {
    catch_unwind(AssertUnwindSafe(f)).is_err()
}

#[test]
fn a_handle_of_another_heap_is_refused() {
    let (mut a, mut b) = (heap(Config::default()), heap(Config::default()));
    let roots = Roots::of(Vec::new());
    let (x, y) = (new(&mut a, ARRAY, 1, 2).unwrap(), new(&mut b, ARRAY, 2, 2).unwrap());
    // SAFETY: young cells of the heaps.
    let (in_a, in_b): (Handle, Handle) = unsafe { (a.handle(x), b.handle(y)) };
    assert!(panics(|| b.held(&in_a)));
    // SAFETY: a cell of this heap.
    assert!(panics(|| unsafe { b.set_handle(&in_a, y) }));
    // SAFETY: no references but the handles.
    unsafe {
        b.collect_full(&roots);
        b.collect_full(&roots);
        assert_eq!(number(b.held(&in_b)), 2);
        drop(in_b);
        b.collect_full(&roots);
        assert_eq!(b.census()[0].objects, 0);
        a.collect_full(&roots);
        assert_eq!(a.census()[0].objects, 1, "the other heap's handle keeps its cell");
    }
    drop(a);
    drop(in_a);
    let mut c = heap(Config::default());
    let z = new(&mut c, ARRAY, 3, 0).unwrap();
    // SAFETY: a young cell.
    let in_c = unsafe { c.handle(z) };
    drop(c);
    assert!(panics(|| heap(Config::default()).held(&in_c)));
}

/// Whatever a root source panics at, the epoch has not ended, and what is written after that counts like anything else.
#[test]
fn a_root_source_that_panics_leaves_the_heap_as_it_was() {
    for patience in 0..40 {
        let mut heap = heap(Config { stress_cycle: 3, ..Config::default() });
        let top = new(&mut heap, ARRAY, 0, 4).unwrap();
        let mut roots = Roots::of(vec![top]);
        for round in 0..60u64 {
            let (a, b) = (new(&mut heap, ARRAY, round, 2).unwrap(), new(&mut heap, OWNER, round, 2).unwrap());
            store(&mut heap, a, 0, Some(b));
            store(&mut heap, b, 0, Some(a));
            store(&mut heap, top, round as usize % 4, Some(a));
            roots.globals.truncate(1);
            roots.globals.push(b);
            if round % 7 == 3 {
                roots.patience.set(patience);
            }
            // SAFETY: nothing is held but what the roots lead to.
            let panicked = panics(|| unsafe { heap.safepoint(&roots) });
            roots.patience.set(usize::MAX);
            assert!(!panicked || round % 7 == 3);
            // SAFETY: both are reachable, from the top and by each other.
            let inner = unsafe { slots(a)[0] };
            assert_eq!(inner, Some(b));
            if round % 2 == 0 {
                store(&mut heap, a, 0, None);
            }
            if panicked {
                // The root: had it been counted, and what it holds not, this would give back what nobody has counted.
                store(&mut heap, b, 0, None);
            }
        }
        roots.globals.truncate(1);
        // SAFETY: as above.
        unsafe { heap.collect_full(&roots) };
        sound(&heap);
        // SAFETY: reachable from the top.
        let rounds: Vec<u64> = unsafe { slots(top).iter().flatten().map(|r| number(*r)).collect() };
        assert_eq!(rounds, [56, 57, 58, 59]);
        assert_eq!(heap.census()[0].objects, 5);
        assert_eq!(heap.census()[1].objects, 2);
        let destroyed = heap.runtime().destroyed.clone();
        drop(heap);
        let mut destroyed = destroyed.borrow().clone();
        destroyed.sort_unstable();
        assert_eq!(destroyed, (0..60).collect::<Vec<u64>>());
    }
}

/// An adopted storage is live and was born in this epoch: it is destroyed once, whenever the heap goes.
#[test]
fn an_adopted_owner_is_destroyed_once() {
    for safepoints in 0..3 {
        let mut heap = heap(Config::default());
        let top = new(&mut heap, ARRAY, 0, 1).unwrap();
        let roots = Roots::of(vec![top]);
        let old = new(&mut heap, OWNER, 1, 2000).unwrap();
        store(&mut heap, top, 0, Some(old));
        store(&mut heap, old, 5, Some(top));
        // SAFETY: nothing is held but what the roots lead to; the new storage holds what the old one does, and takes its place.
        unsafe {
            heap.collect_full(&roots);
            let wide = new(&mut heap, OWNER, 2, 4000).unwrap();
            slots(wide)[..2000].copy_from_slice(slots(old));
            heap.filled_by_copy(wide);
            heap.barrier(top, 0);
            heap.replace_storage(&[old], &[wide]);
            slots(top)[0] = Some(wide);
            for _ in 0..safepoints {
                heap.collect_full(&roots);
            }
            if safepoints > 0 {
                sound(&heap);
            }
        }
        let destroyed = heap.runtime().destroyed.clone();
        drop(heap);
        destroyed.borrow_mut().sort_unstable();
        assert_eq!(*destroyed.borrow(), [1, 2], "{safepoints}");
    }
}

#[test]
fn sizes_beyond_all_bounds_are_refused() {
    let mut heap = heap(Config::default());
    for size in (0..20).flat_map(|n| [usize::MAX >> n, (usize::MAX >> n) - 4095, (isize::MAX as usize >> n) + 1]) {
        if size < 16 << 40 {
            continue;
        }
        assert!(heap.malloc(size).is_err(), "{size:#x}");
        assert!(heap.calloc(1, size).is_err() && heap.calloc(size, 1).is_err() && heap.calloc(size, size).is_err());
        assert!(heap.aligned_alloc(1 << 21, size).is_err() && heap.aligned_alloc(16, size).is_err());
        // SAFETY: a kind of the runtime; a block of this heap.
        unsafe {
            assert!(heap.alloc(ARRAY, size).is_err());
            let block = heap.malloc(100_000).expect("room");
            assert!(heap.realloc(block, size).is_err());
            block.write_bytes(1, 100_000);
            heap.free(block);
            let large = new(&mut heap, ARRAY, 0, 10_000).unwrap();
            assert!(!heap.grow(large, size).unwrap_or(false));
        }
    }
    assert!(heap.malloc(9 << 40).is_err(), "more than a run can have");
    for align in [0, 3, 1 << 22, usize::MAX, 1 << 63] {
        assert!(heap.aligned_alloc(align, 10).is_err());
    }
    assert_eq!(heap.purge(std::time::Instant::now(), usize::MAX), 0);
    for addr in [0, 1, 16, usize::MAX, usize::MAX - 15, &raw const heap as usize] {
        assert!(!heap.owns(addr));
    }
    // SAFETY: nothing is held.
    unsafe { heap.collect_full(&Roots::of(Vec::new())) };
    sound(&heap);
}

/// Neither a heap nor a reference leaves its thread.
#[test]
fn a_heap_stays_on_its_thread() {
    trait Ambiguous<A> {
        fn only() {}
    }
    struct SendToo;
    struct SyncToo;
    impl<T: ?Sized> Ambiguous<()> for T {}
    impl<T: ?Sized + Send> Ambiguous<SendToo> for T {}
    impl<T: ?Sized + Sync> Ambiguous<SyncToo> for T {}
    // It would not compile if these were `Send` or `Sync`.
    <Heap<Arrays> as Ambiguous<_>>::only();
    <Ref as Ambiguous<_>>::only();
    <Stack as Ambiguous<_>>::only();
}

/// Every request for memory fails once, alone and with all that follow; cells with destructors are destroyed once.
#[test]
fn refusals_anywhere() {
    for faults in [Faults::At as fn(usize) -> Faults, Faults::From] {
        let mut n = 0;
        loop {
            let mut heap = heap(Config { stress_cycle: 5, poison: true, ..Config::default() });
            heap.inject(faults(n));
            let (mut made, mut roots) = (0, Roots::of(Vec::new()));
            for round in 0..60u64 {
                let len = [1, 3, 50, 2000, 10_000][round as usize % 5];
                if let Ok(cell) = new(&mut heap, if round % 3 == 0 { OWNER } else { ARRAY }, round, len) {
                    made += u64::from(round % 3 == 0);
                    for (at, old) in roots.globals.iter().enumerate().take(len) {
                        store(&mut heap, cell, at, Some(*old));
                    }
                    roots.globals.push(cell);
                    if roots.globals.len() > 4 {
                        let gone = roots.globals.remove(round as usize % 4);
                        store(&mut heap, gone, 0, Some(cell));
                    }
                }
                // SAFETY: nothing is held but the globals.
                unsafe { heap.safepoint(&roots) };
            }
            let late = matches!(heap.inject(Faults::None), Faults::At(_) | Faults::From(1..));
            // SAFETY: as above.
            unsafe { heap.collect_full(&roots) };
            sound(&heap);
            let destroyed = heap.runtime().destroyed.clone();
            drop(heap);
            let mut destroyed = destroyed.borrow().clone();
            let count = destroyed.len();
            destroyed.sort_unstable();
            destroyed.dedup();
            assert_eq!((destroyed.len() as u64, count as u64), (made, made), "request {n}");
            if late {
                break;
            }
            n += 1;
        }
    }
}

/// Near its limit a heap collects before it refuses; if that does not help it says so while small requests still find room.
#[test]
fn before_the_limit_comes_a_collection() {
    const LIMIT: usize = 8 << 20;
    let mut heap = heap(Config { limit_bytes: LIMIT, ..Config::default() });
    let mut roots = Roots::of(Vec::new());
    // Says whether the heap is exhausted.
    let safepoint = |heap: &mut Heap<Arrays>, roots: &Roots| {
        if heap.poll_word().load(Ordering::Relaxed) != 0 {
            // SAFETY: nothing is held but what the roots lead to.
            unsafe { heap.safepoint(roots) };
        }
        heap.take_exhausted()
    };
    for round in 0..3 {
        // Garbage that only a cycle finds, small and large, twenty times the limit.
        let mut made = 0;
        while made < LIMIT * 20 {
            for len in [10, 100, 1000, 50_000] {
                let ring = new(&mut heap, ARRAY, 0, len).expect("room, once what is dead is gone");
                store(&mut heap, ring, 0, Some(ring));
                made += len * size_of::<Slot>();
                assert!(!safepoint(&mut heap, &roots));
            }
        }
        // What lives fills the heap to the brim.
        let mut list = 0;
        loop {
            let cell = new(&mut heap, ARRAY, list, 20).expect("room for small cells until the heap says that it is exhausted");
            store(&mut heap, cell, 0, roots.globals.pop());
            roots.globals.push(cell);
            list += 1;
            if safepoint(&mut heap, &roots) {
                break;
            }
        }
        assert!(heap.used_bytes() > LIMIT * 3 / 4, "round {round}: exhausted at {}", heap.used_bytes());
        for _ in 0..100 {
            new(&mut heap, ARRAY, 0, 100).expect("the reserve");
        }
        roots.globals.clear();
    }
}

/// What the visitor of the graph shows is what the objects hold.
#[test]
fn the_graph_is_shown_whole() {
    use neap_gc::observe::{Edge, GraphVisitor, Root};
    #[derive(Default)]
    struct Seen {
        roots: Vec<(Root, u64)>,
        cells: Vec<u64>,
        edges: Vec<(u64, Edge, u64)>,
    }
    impl GraphVisitor for Seen {
        fn root(&mut self, root: Root, to: Ref) {
            // SAFETY: a live cell of this runtime.
            self.roots.push((root, unsafe { number(to) }));
        }
        fn cell(&mut self, cell: Ref, kind: u8, bytes: usize) {
            assert!(kind == ARRAY && bytes >= size_of::<Array>());
            // SAFETY: as above.
            self.cells.push(unsafe { number(cell) });
        }
        fn edge(&mut self, from: Ref, edge: Edge, to: Ref) {
            // SAFETY: as above.
            self.edges.push(unsafe { (number(from), edge, number(to)) });
        }
    }
    let mut heap = heap(Config::default());
    let cells: Vec<Ref> = (0..4).map(|n| new(&mut heap, ARRAY, n, 3).unwrap()).collect();
    store(&mut heap, cells[0], 1, Some(cells[1]));
    store(&mut heap, cells[1], 2, Some(cells[0]));
    store(&mut heap, cells[1], 0, Some(cells[2]));
    // SAFETY: a young cell; nothing else is held.
    let mut seen = unsafe {
        let _held = heap.handle(cells[2]);
        heap.collect_full(&Roots::of(vec![cells[0]]));
        let mut seen = Seen::default();
        heap.visit_graph(&mut seen);
        seen
    };
    seen.cells.sort_unstable();
    seen.edges.sort_unstable_by_key(|edge| (edge.0, edge.2));
    assert_eq!(seen.roots, [(Root::Listed, 0), (Root::Handle, 2)]);
    assert_eq!(seen.cells, [0, 1, 2]);
    assert_eq!(seen.edges, [(0, Edge::Slot(1), 1), (1, Edge::Slot(2), 0), (1, Edge::Slot(0), 2)]);
}
