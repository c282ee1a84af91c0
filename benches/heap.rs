//! Measures the heap alone, without the interpreter: allocation of cells that die young and of cells that survive, the write
//! barrier, the death of lists and rings, and explicit allocation beside the system's allocator.
//!
//!     cargo bench --bench heap -- [FILTER]
//!
//! The runtime is as small as one can be: a `Node` of two references, and a `Leaf` that knows its size.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::atomic::Ordering;
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use neap_gc::{Config, Heap, Kind, Ref, RootSource, Runtime, Shape, Stack, Verdict};

const NODE: u8 = 0;
const LEAF: u8 = 1;

/// Header, two references.
const NODE_BYTES: usize = 24;
/// Cells or blocks per measured batch.
const BATCH: usize = 1000;

struct Small;

/// The references of a node.
///
/// # Safety
/// The cell is an initialised node.
unsafe fn fields<'a>(node: Ref) -> &'a [Cell<Option<Ref>>; 2] {
    // SAFETY: two words stand behind the header of a node; `Option<Ref>` is one word.
    unsafe { &*node.as_ptr().add(8).cast() }
}

// SAFETY: a node reports its two fields, a leaf nothing.
unsafe impl Runtime for Small {
    type Slot = Option<Ref>;
    const EMPTY_SLOT: Option<Ref> = None;
    const KINDS: &'static [Kind] = &[
        Kind { name: "node", shape: Shape::Plain, destructor: false },
        Kind { name: "leaf", shape: Shape::Leaf, destructor: false },
    ];

    fn slot_ref(slot: &Option<Ref>) -> Option<Ref> {
        *slot
    }
    unsafe fn size(cell: Ref) -> usize {
        // SAFETY: the cell is initialised; the word behind the header of a leaf is its size.
        unsafe { if cell.kind() == NODE { NODE_BYTES } else { cell.as_ptr().add(8).cast::<usize>().read() } }
    }
    unsafe fn trace(cell: Ref, visit: &mut impl FnMut(Ref)) {
        // SAFETY: only nodes are of a shape that is traced.
        unsafe { fields(cell) }.iter().filter_map(Cell::get).for_each(visit);
    }
    unsafe fn slots(_: Ref) -> usize {
        0
    }
    unsafe fn trace_slots(_: Ref, _: Range<usize>, _: &mut impl FnMut(Ref)) {}
    unsafe fn trace_entries(_: Ref, _: Range<usize>, _: &mut impl FnMut(Option<Ref>, Option<Ref>)) {}
    unsafe fn clean_slots(_: Ref, _: Range<usize>, _: &mut impl FnMut(Ref, bool) -> Verdict, _: &mut impl FnMut(usize)) {}
    unsafe fn stack<'a>(_: Ref) -> &'a mut Stack<Option<Ref>> {
        unreachable!("this runtime has no threads")
    }
    unsafe fn forget(_: Ref) {}
    unsafe fn destroy(&mut self, _: Ref, _: &mut dyn FnMut(NonNull<u8>)) {}
    unsafe fn unintern(&mut self, _: Ref) {}
}

/// The only root: one slot.
struct Root(Cell<Option<Ref>>);

impl RootSource for Root {
    fn globals(&self, visit: &mut dyn FnMut(Ref)) {
        self.0.get().into_iter().for_each(visit);
    }
    fn chain(&self, _: &mut dyn FnMut(Ref)) {}
}

struct World {
    heap: Heap<Small>,
    root: Root,
}

impl World {
    fn new() -> World {
        World { heap: Heap::new(Small, Config::default()).expect("memory for a heap"), root: Root(Cell::new(None)) }
    }

    /// What an interpreter does at each back edge.
    #[inline(always)]
    fn poll(&mut self) {
        if self.heap.poll_word().load(Ordering::Relaxed) != 0 {
            // SAFETY: whatever a benchmark still needs is reached from the root.
            unsafe { self.heap.safepoint(&self.root) };
        }
    }

    #[inline(always)]
    fn leaf(&mut self, bytes: usize) -> Ref {
        // SAFETY: a kind of this runtime; initialised at once.
        unsafe {
            let leaf = self.heap.alloc(LEAF, bytes).expect("memory");
            leaf.as_ptr().add(8).cast::<usize>().write(bytes);
            leaf
        }
    }

    #[inline(always)]
    fn node(&mut self, first: Option<Ref>, second: Option<Ref>) -> Ref {
        // SAFETY: as above; the fields of a fresh cell are written without a barrier.
        unsafe {
            let node = self.heap.alloc(NODE, NODE_BYTES).expect("memory");
            node.as_ptr().add(8).cast::<[Option<Ref>; 2]>().write([first, second]);
            node
        }
    }

    #[inline(always)]
    fn store(&mut self, node: Ref, field: usize, value: Option<Ref>) {
        // SAFETY: the node is reached from the root; the barrier comes first.
        unsafe {
            self.heap.barrier(node, 0).expect("memory");
            fields(node)[field].set(value);
        }
    }

    fn collect(&mut self) {
        // SAFETY: as in `poll`.
        unsafe { self.heap.collect_full(&self.root) };
    }

    /// A list in the root.
    fn list(&mut self, length: usize) {
        self.root.0.set(None);
        for _ in 0..length {
            let node = self.node(self.root.0.get(), None);
            self.root.0.set(Some(node));
            self.poll();
        }
    }
}

fn cells(c: &mut Criterion) {
    let mut group = c.benchmark_group("cells");
    group.throughput(Throughput::Elements(BATCH as u64));
    for bytes in [16, 32, 64, 128, 1024] {
        let mut world = World::new();
        group.bench_function(BenchmarkId::new("die young", bytes), |b| {
            b.iter(|| {
                for _ in 0..BATCH {
                    black_box(world.leaf(bytes));
                    world.poll();
                }
            });
        });
    }
    let mut world = World::new();
    group.bench_function("survive in a list that is dropped", |b| b.iter(|| world.list(BATCH)));
    let mut world = World::new();
    group.bench_function("survive in a ring that is dropped", |b| {
        b.iter(|| {
            let first = world.node(None, None);
            world.root.0.set(Some(first));
            let mut last = first;
            for _ in 1..BATCH {
                let node = world.node(None, Some(first));
                world.store(last, 0, Some(node));
                last = node;
                world.poll();
            }
            world.store(last, 0, Some(first));
        });
    });
    group.finish();
}

fn barrier(c: &mut Criterion) {
    let mut group = c.benchmark_group("barrier");
    group.throughput(Throughput::Elements(BATCH as u64));
    let mut world = World::new();
    world.list(1);
    let young = world.root.0.get().expect("a node");
    group.bench_function("store into a young or logged node", |b| {
        b.iter(|| {
            for _ in 0..BATCH {
                world.store(black_box(young), 1, Some(young));
            }
        });
    });
    let mut world = World::new();
    world.list(BATCH);
    group.bench_function("store into each of many mature nodes, and the epoch end", |b| {
        b.iter(|| {
            let mut next = world.root.0.get();
            while let Some(node) = next {
                world.store(node, 1, Some(node));
                // SAFETY: a node of the list.
                next = unsafe { fields(node) }[0].get();
            }
            world.heap.request_epoch();
            world.poll();
        });
    });
    group.finish();
}

fn collection(c: &mut Criterion) {
    let mut group = c.benchmark_group("full collection");
    for length in [10_000, 100_000] {
        let mut world = World::new();
        world.list(length);
        world.collect();
        group.throughput(Throughput::Elements(length as u64));
        group.bench_function(BenchmarkId::new("over a live list", length), |b| b.iter(|| world.collect()));
    }
    group.finish();
}

fn explicit(c: &mut Criterion) {
    let mut group = c.benchmark_group("malloc and free");
    group.throughput(Throughput::Elements(BATCH as u64));
    for bytes in [16, 64, 512, 4096, 64 << 10] {
        let layout = Layout::from_size_align(bytes, 16).expect("a layout");
        group.bench_function(BenchmarkId::new("neap, in turn", bytes), |b| {
            let mut world = World::new();
            b.iter(|| {
                for _ in 0..BATCH {
                    let block = black_box(world.heap.malloc(bytes).expect("memory"));
                    // SAFETY: allocated just above.
                    unsafe { world.heap.free(block) };
                }
            });
        });
        group.bench_function(BenchmarkId::new("system, in turn", bytes), |b| {
            b.iter(|| {
                for _ in 0..BATCH {
                    // SAFETY: the layout is not empty; the block is freed with the same layout.
                    unsafe { System.dealloc(black_box(System.alloc(layout)), layout) };
                }
            });
        });
        group.bench_function(BenchmarkId::new("neap, shuffled", bytes), |b| {
            let mut world = World::new();
            b.iter_batched_ref(
                || Vec::with_capacity(BATCH),
                |blocks| {
                    blocks.extend((0..BATCH).map(|_| world.heap.malloc(bytes).expect("memory")));
                    for i in 0..BATCH {
                        // SAFETY: the order is a permutation, so each block is freed once.
                        unsafe { world.heap.free(blocks[shuffled(i)]) };
                    }
                },
                BatchSize::SmallInput,
            );
        });
        group.bench_function(BenchmarkId::new("system, shuffled", bytes), |b| {
            b.iter_batched_ref(
                || Vec::with_capacity(BATCH),
                |blocks| {
                    // SAFETY: as above.
                    blocks.extend((0..BATCH).map(|_| unsafe { System.alloc(layout) }));
                    for i in 0..BATCH {
                        // SAFETY: as above.
                        unsafe { System.dealloc(blocks[shuffled(i)], layout) };
                    }
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();

    let mut group = c.benchmark_group("realloc");
    group.bench_function("neap, doubling to 1 MiB", |b| {
        let mut world = World::new();
        b.iter(|| {
            let mut block = world.heap.malloc(16).expect("memory");
            let mut size = 16;
            while size < 1 << 20 {
                // SAFETY: the block of the turn before, with its size.
                block = unsafe { world.heap.realloc(block, size, size * 2) }.expect("memory");
                size *= 2;
            }
            // SAFETY: the last block.
            unsafe { world.heap.free(black_box(block)) };
        });
    });
    group.bench_function("system, doubling to 1 MiB", |b| {
        b.iter(|| {
            let layout = |size| Layout::from_size_align(size, 16).expect("a layout");
            // SAFETY: each block is used with the layout that it was last given.
            unsafe {
                let mut block = System.alloc(layout(16));
                let mut size = 16;
                while size < 1 << 20 {
                    block = System.realloc(block, layout(size), size * 2);
                    size *= 2;
                }
                System.dealloc(black_box(block), layout(size));
            }
        });
    });
    group.finish();
}

/// A permutation of `0..BATCH`: 387 and 1000 have no common divisor.
fn shuffled(i: usize) -> usize {
    i * 387 % BATCH
}

criterion_group! {
    name = heap;
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2)).sample_size(30);
    targets = cells, barrier, collection, explicit
}
criterion_main!(heap);
