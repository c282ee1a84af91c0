//! Measures the heap alone, without the interpreter: allocation of cells that die young and of cells that survive, the write
//! barrier, the pause of an epoch end, the death of lists and rings, and explicit allocation beside the system's allocator and mimalloc.
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
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use mimalloc::MiMalloc;
use neap_gc::explicit::Site;
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

    /// Lets the collector do what an epoch end has left to be done.
    fn collect_slices(&mut self) {
        for _ in 0..4 {
            self.heap.request_epoch();
            self.poll();
        }
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

/// How long an epoch end stands still, by what has happened in the epoch.
fn pauses(c: &mut Criterion) {
    let mut group = c.benchmark_group("pause of an epoch end");
    for mature in [0, 100_000] {
        let mut world = World::new();
        world.list(mature);
        world.collect();
        let list = world.root.0.get();
        let mut epoch = |name: &str, count: usize, work: &dyn Fn(&mut World)| {
            group.bench_function(BenchmarkId::new(format!("{count} {name}"), format!("{mature} live")), |b| {
                b.iter_custom(|rounds| {
                    let mut paused = Duration::ZERO;
                    for _ in 0..rounds {
                        work(&mut world);
                        world.heap.request_epoch();
                        let start = Instant::now();
                        world.poll();
                        paused += start.elapsed();
                        // What survived is let go, and released outside the measured pause.
                        world.root.0.set(list);
                        world.collect_slices();
                    }
                    paused
                });
            });
        };
        epoch("young cells, all dead", BATCH, &|world| {
            for _ in 0..BATCH {
                black_box(world.leaf(32));
            }
        });
        epoch("young cells, all survive", BATCH, &|world| {
            for _ in 0..BATCH {
                let node = world.node(world.root.0.get(), None);
                world.root.0.set(Some(node));
            }
        });
        if mature > 0 {
            epoch("mature cells written", BATCH, &|world| {
                let mut next = world.root.0.get();
                for _ in 0..BATCH {
                    let Some(node) = next else { break };
                    world.store(node, 1, None);
                    // SAFETY: a node of the list.
                    next = unsafe { fields(node) }[0].get();
                }
            });
        }
    }
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

/// What a benchmark of explicit allocation asks of an allocator.
trait Allocator {
    fn malloc(&mut self, bytes: usize) -> NonNull<u8>;
    /// # Safety
    /// The block came from this allocator, with that size, and was not freed.
    unsafe fn free(&mut self, block: NonNull<u8>, bytes: usize);
}

impl Allocator for World {
    #[inline]
    fn malloc(&mut self, bytes: usize) -> NonNull<u8> {
        self.heap.malloc(bytes).expect("memory")
    }
    #[inline]
    unsafe fn free(&mut self, block: NonNull<u8>, _: usize) {
        // SAFETY: by the caller.
        unsafe { self.heap.free(block) };
    }
}

/// An allocator of Rust's: the system's, mimalloc.
struct Global<A>(A);

impl<A: GlobalAlloc> Allocator for Global<A> {
    #[inline]
    fn malloc(&mut self, bytes: usize) -> NonNull<u8> {
        // SAFETY: no benchmark asks for nothing.
        NonNull::new(unsafe { self.0.alloc(layout(bytes)) }).expect("memory")
    }
    #[inline]
    unsafe fn free(&mut self, block: NonNull<u8>, bytes: usize) {
        // SAFETY: by the caller.
        unsafe { self.0.dealloc(block.as_ptr(), layout(bytes)) };
    }
}

fn layout(bytes: usize) -> Layout {
    Layout::from_size_align(bytes, 16).expect("a layout")
}

fn pairs(group: &mut BenchmarkGroup<WallTime>, name: &str, bytes: usize, mut allocator: impl Allocator) {
    group.bench_function(BenchmarkId::new(format!("{name}, in turn"), bytes), |b| {
        b.iter(|| {
            for _ in 0..BATCH {
                let block = black_box(allocator.malloc(bytes));
                // SAFETY: allocated just above.
                unsafe { allocator.free(block, bytes) };
            }
        });
    });
    group.bench_function(BenchmarkId::new(format!("{name}, shuffled"), bytes), |b| {
        b.iter_batched_ref(
            || Vec::with_capacity(BATCH),
            |blocks| {
                blocks.extend((0..BATCH).map(|_| allocator.malloc(bytes)));
                for i in 0..BATCH {
                    // SAFETY: the order is a permutation, so each block is freed once.
                    unsafe { allocator.free(blocks[shuffled(i)], bytes) };
                }
            },
            BatchSize::SmallInput,
        );
    });
}

/// Blocks of mixed sizes, mostly small, in random order: each step frees one and allocates another in its place, and writes to it.
fn churn(group: &mut BenchmarkGroup<WallTime>, name: &str, mut allocator: impl Allocator) {
    const LIVE: usize = 20_000;
    let mut random = Random(42);
    let mut blocks: Vec<_> = (0..LIVE).map(|_| random.size()).map(|bytes| (allocator.malloc(bytes), bytes)).collect();
    group.bench_function(name, |b| {
        b.iter(|| {
            for _ in 0..BATCH {
                let (bytes, slot) = (random.size(), &mut blocks[random.below(LIVE)]);
                // SAFETY: the block of the slot, which gets another at once; a block has room for a word.
                unsafe {
                    allocator.free(slot.0, slot.1);
                    *slot = (allocator.malloc(bytes), bytes);
                    slot.0.cast::<usize>().write(bytes);
                }
            }
        });
    });
    for (block, bytes) in blocks {
        // SAFETY: each block is in one slot.
        unsafe { allocator.free(block, bytes) };
    }
}

/// A small random generator (xorshift), the same numbers for every allocator.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % n
    }
    /// 16 bytes to 16 KiB, each doubling half as often as the one before.
    fn size(&mut self) -> usize {
        let doubling = self.0.trailing_ones().min(9);
        (16 << doubling) + self.below(16 << doubling)
    }
}

fn explicit(c: &mut Criterion) {
    let mut group = c.benchmark_group("malloc and free");
    group.throughput(Throughput::Elements(BATCH as u64));
    for bytes in [16, 64, 512, 4096, 64 << 10] {
        pairs(&mut group, "neap", bytes, World::new());
        pairs(&mut group, "system", bytes, Global(System));
        pairs(&mut group, "mimalloc", bytes, Global(MiMalloc));
    }
    group.finish();

    let mut group = c.benchmark_group("random churn");
    group.throughput(Throughput::Elements(BATCH as u64));
    churn(&mut group, "neap", World::new());
    churn(&mut group, "system", Global(System));
    churn(&mut group, "mimalloc", Global(MiMalloc));
    group.finish();

    let mut group = c.benchmark_group("checked blocks");
    group.throughput(Throughput::Elements(BATCH as u64));
    for bytes in [16, 512] {
        let mut world = World::new();
        group.bench_function(BenchmarkId::new("allocate, write, read, free", bytes), |b| {
            let data = vec![1; bytes];
            b.iter(|| {
                for _ in 0..BATCH {
                    let mut blocks = world.heap.checked();
                    let id = blocks.malloc(bytes, Site(1)).expect("memory");
                    blocks.write(id, 0, &data).expect("room");
                    black_box(blocks.read(id, 0, bytes).expect("written bytes"));
                    blocks.free(id, Site(2)).expect("a live block");
                    blocks.forget(id);
                }
            });
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
    targets = cells, barrier, pauses, collection, explicit
}
criterion_main!(heap);
