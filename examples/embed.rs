//! How a runtime of one's own stands on `neap_gc`: a small graph of nodes with cycles, weak references, finalizers and destructors.
//!
//!     cargo run --release --example embed
//!
//! 1. A cell begins with a [`Header`]; what follows is the runtime's. A table of kinds tells the collector their shapes, and the trait
//!    [`Runtime`] how to find the references in them.
//! 2. What the runtime holds for good it shows through a [`RootSource`].
//! 3. The program allocates ([`Heap::alloc`]), stores references behind the barrier ([`Heap::barrier`]), and comes to a safepoint now and
//!    then, where it holds nothing but its roots. Between two safepoints it may hold references anywhere.

use neap_gc::object::{Header, Kind, Shape, Side, Verdict};
use neap_gc::observe::Cause;
use neap_gc::{Config, Heap, OutOfMemory, Ref, RootSource, Runtime};
use std::ops::Range;
use std::ptr::NonNull;

// ---- the cells, and how the collector reads them

const NODE: u8 = 0;
const INDEX: u8 = 1;
const BLOB: u8 = 2;

/// The layout of every cell.
#[repr(C)]
struct Cell<B> {
    header: Header,
    body: B,
}

struct Node {
    number: u64,
    links: [Option<Ref>; 3],
}
/// Weak references: an entry does not keep its node alive, and reads as empty when that is gone.
type Index = [Option<Ref>; 16];
/// An explicit block of the same heap, which the destructor frees.
type Blob = NonNull<u8>;

struct Graph;

/// The body of a cell.
///
/// # Safety
/// The cell is live or young, and of a kind with this body.
unsafe fn at<'a, B>(cell: Ref) -> &'a mut B {
    // SAFETY: by the caller; this program makes no second borrow while it uses one.
    unsafe { &mut (*cell.as_ptr().cast::<Cell<B>>()).body }
}

// SAFETY: each method reads the references that stand in cells of its kinds, and nothing else.
unsafe impl Runtime for Graph {
    fn kinds(&self) -> Vec<Kind> {
        vec![
            Kind::new("node", Shape::Plain),
            Kind::new("index", Shape::Leaf).with_weak_references(),
            Kind::new("blob", Shape::Leaf).with_destructor(),
        ]
    }
    unsafe fn trace(&self, cell: Ref, visit: &mut impl FnMut(Ref)) {
        // SAFETY: only nodes are `Plain`.
        unsafe { at::<Node>(cell) }.links.into_iter().flatten().for_each(visit);
    }
    unsafe fn clean(
        &self,
        cell: Ref,
        _: Range<usize>,
        verdict: &mut impl FnMut(Ref, Side) -> Verdict,
        _: &mut impl FnMut(usize),
    ) {
        // SAFETY: only indices have weak references.
        for entry in unsafe { at::<Index>(cell) } {
            if entry.is_some_and(|node| verdict(node, Side::Value) == Verdict::Clear) {
                *entry = None;
            }
        }
    }
    unsafe fn destroy(&mut self, cell: Ref, release: &mut dyn FnMut(NonNull<u8>)) {
        // SAFETY: only blobs have a destructor, and it runs once.
        release(unsafe { *at::<Blob>(cell) });
    }
}

// ---- the program's side

/// The roots: what stands here is alive, with all that it leads to.
#[derive(Default)]
struct Roots([Option<Ref>; 4]);

// SAFETY: the program puts only cells of its heap here.
unsafe impl RootSource for Roots {
    fn slots(&self, visit: &mut dyn FnMut(Option<Ref>)) {
        self.0.iter().for_each(|root| visit(*root));
    }
}

/// A heap with its roots. Its functions take references that were loaded since the last safepoint, or stand in the roots: that is the
/// contract which all the `SAFETY` comments below rest on.
struct Program {
    heap: Heap<Graph>,
    roots: Roots,
}

impl Program {
    /// A young cell needs no barrier, but all of it must be written.
    fn new_cell<B>(&mut self, kind: u8, body: B) -> Result<Ref, OutOfMemory> {
        // SAFETY: a kind of the table, whose cells have this body.
        unsafe {
            let cell = self.heap.alloc(kind, size_of::<Cell<B>>())?;
            (&raw mut (*cell.as_ptr().cast::<Cell<B>>()).body).write(body);
            Ok(cell)
        }
    }

    fn new_node(&mut self, number: u64, links: [Option<Ref>; 3]) -> Result<Ref, OutOfMemory> {
        self.new_cell(NODE, Node { number, links })
    }
    fn new_blob(&mut self, size: usize) -> Result<Ref, OutOfMemory> {
        let bytes: Blob = self.heap.calloc(1, size)?;
        // SAFETY: the block just made, which has no owner without the cell.
        self.new_cell(BLOB, bytes).inspect_err(|_| unsafe { self.heap.free(bytes) })
    }

    /// The barrier comes before the write.
    fn link(&mut self, node: Ref, slot: usize, to: Option<Ref>) {
        // SAFETY: the contract.
        unsafe {
            self.heap.barrier(node, 0);
            at::<Node>(node).links[slot] = to;
        }
    }

    fn enter(&mut self, index: Ref, place: usize, node: Ref) {
        // SAFETY: the contract. A weak slot has no barrier, but the heap must know that the node is held so.
        unsafe {
            self.heap.weak_hold(node);
            at::<Index>(index)[place] = Some(node);
        }
    }

    /// The number of the node in an entry, if it is still there.
    fn look_up(&mut self, index: Ref, place: usize) -> Option<u64> {
        // SAFETY: the contract. The heap is asked first: the node may be dead, and its entry not yet cleaned.
        unsafe {
            let node = at::<Index>(index)[place]?;
            self.heap.weak_value(node).then(|| at::<Node>(node).number)
        }
    }

    /// To be called in loops: the heap works only here, and only when it has asked for it.
    fn safepoint(&mut self) {
        if self.heap.wants_safepoint() {
            // SAFETY: the contract: nothing but the roots is held across.
            unsafe { self.heap.safepoint(&self.roots) };
        }
    }

    fn collect(&mut self) {
        // SAFETY: as above.
        unsafe { self.heap.collect_full(&self.roots) };
    }
    fn nodes(&self) -> u64 {
        self.heap.census()[NODE as usize].objects
    }
}

fn main() -> Result<(), OutOfMemory> {
    let heap = Heap::new(Graph, Config { limit_bytes: 64 << 20, ..Config::default() })?;
    let mut program = Program { heap, roots: Roots::default() };

    // Four million nodes, a few thousand at a time: a list that is cut now and then dies by counting, a ring by the cycle detector.
    for number in 0..4_000_000 {
        let list = program.roots.0[0].filter(|_| number % 5_000 != 0);
        let node = program.new_node(number, [list, None, None])?;
        if number % 2 == 0 {
            program.link(node, 1, Some(node));
        }
        program.roots.0[0] = Some(node);
        program.safepoint();
    }
    program.collect();
    assert_eq!(program.nodes(), 5_000);
    assert!(program.heap.counters().cyclic_objects > 0);

    // A weak index, and a node that asks for a last word.
    let index = program.new_cell::<Index>(INDEX, [None; 16])?;
    program.roots.0[1] = Some(index);
    let (kept, dropped) = (program.new_node(3, [None; 3])?, program.new_node(4, [None; 3])?);
    program.enter(index, 3, kept);
    program.enter(index, 4, dropped);
    // SAFETY: just made.
    unsafe { program.heap.set_finalizer(dropped) };
    program.roots.0[0] = Some(kept);
    program.collect();
    assert_eq!((program.look_up(index, 3), program.look_up(index, 4)), (Some(3), None));
    let last = program.heap.next_finalizer().expect("the node that was dropped");
    // SAFETY: on loan until the next safepoint.
    assert_eq!(unsafe { at::<Node>(last) }.number, 4);

    // A blob's bytes go when it does; a handle holds what no root names.
    let blob = program.new_blob(1 << 20)?;
    let owner = program.new_node(5, [Some(blob), None, None])?;
    // SAFETY: just made.
    let handle = unsafe { program.heap.handle(owner) };
    program.collect();
    assert!(program.heap.explicit_bytes() >= 1 << 20);
    drop(handle);
    program.collect();
    assert!(program.heap.explicit_bytes() < 1 << 20);

    // Explicit memory drives the collector too: of a thousand blobs, a megabyte each, the limit has room for a few dozen.
    for _ in 0..1_000 {
        program.new_blob(1 << 20)?;
        program.safepoint();
    }
    assert!(program.heap.peak_bytes() <= 64 << 20 && program.heap.counters().destructors > 900);

    // The limit is an error, and the program goes on.
    while let Ok(node) = program.new_node(0, [program.roots.0[2], None, None]) {
        program.roots.0[2] = Some(node);
        program.safepoint();
    }
    let most = program.nodes();
    program.roots.0[2] = None;
    program.collect();
    assert!(most > 500_000 && program.nodes() == 1);
    // SAFETY: the program holds nothing but its roots.
    unsafe { program.heap.audit() }.expect("a sound heap");

    let (counters, stops) = (program.heap.counters(), program.heap.pauses().summary(Cause::Stop));
    println!("{counters:#?}");
    println!("{} stops: half of them below {} us, 99 % below {} us", stops.count, stops.p50_ns / 1000, stops.p99_ns / 1000);
    Ok(())
}
