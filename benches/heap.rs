//! Measures the heap alone, without the interpreter: allocation of cells that die young and of cells that survive, the write
//! barrier, the pause of an epoch end, the death of lists and rings, a weak cache beside one of `Rc` and `Weak`, random changes of a
//! large graph, and explicit allocation beside the system's allocator and mimalloc.
//!
//!     cargo bench --bench heap -- [FILTER]
//!
//! The runtime is as small as one can be: a `Node` of two references, a `Leaf` that knows its size, a `Vertex` of a number and three
//! references, and a `Table` and a `Cache` that know how many strong or weak references they have.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;
use std::ops::Range;
use std::ptr::NonNull;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use mimalloc::MiMalloc;
use neap_gc::explicit::Site;
use neap_gc::{Config, Heap, Kind, Ref, RootSource, Runtime, Shape, Side, Verdict};

const NODE: u8 = 0;
const LEAF: u8 = 1;
const VERTEX: u8 = 2;
const TABLE: u8 = 3;
const CACHE: u8 = 4;

/// Header, two references.
const NODE_BYTES: usize = 24;
/// Header, number, three references.
const VERTEX_BYTES: usize = 40;
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

/// The word behind the header: the size of a leaf, the number of a vertex, the length of a table or a cache.
///
/// # Safety
/// The cell is initialised, and no node.
unsafe fn word(cell: Ref) -> usize {
    // SAFETY: by the caller.
    unsafe { cell.as_ptr().add(8).cast::<usize>().read() }
}

/// The references of a vertex, a table or a cache.
///
/// # Safety
/// The cell is initialised, of one of these kinds.
unsafe fn links<'a>(cell: Ref) -> &'a [Cell<Option<Ref>>] {
    // SAFETY: they stand behind the word, and `Option<Ref>` is one word.
    unsafe {
        let length = if cell.kind() == VERTEX { 3 } else { word(cell) };
        std::slice::from_raw_parts(cell.as_ptr().add(16).cast(), length)
    }
}

// SAFETY: nodes, vertices and tables report their references, a leaf nothing, a cache only its weak ones.
unsafe impl Runtime for Small {
    fn kinds(&self) -> Vec<Kind> {
        vec![
            Kind::new("node", Shape::Plain),
            Kind::new("leaf", Shape::Leaf),
            Kind::new("vertex", Shape::Plain),
            Kind::new("table", Shape::Array),
            Kind::new("cache", Shape::Array).with_weak_references(),
        ]
    }
    unsafe fn trace(&self, cell: Ref, visit: &mut impl FnMut(Ref)) {
        // SAFETY: only nodes and vertices are of a shape that is traced.
        let references = unsafe { if cell.kind() == NODE { &fields(cell)[..] } else { links(cell) } };
        references.iter().filter_map(Cell::get).for_each(visit);
    }
    unsafe fn slots(&self, cell: Ref) -> usize {
        // SAFETY: only tables and caches are of an indexed shape.
        unsafe { word(cell) }
    }
    unsafe fn trace_slots(&self, cell: Ref, range: Range<usize>, visit: &mut impl FnMut(Ref)) {
        // SAFETY: as above.
        unsafe {
            if cell.kind() == TABLE {
                links(cell)[range].iter().filter_map(Cell::get).for_each(visit);
            }
        }
    }
    unsafe fn clean(
        &self,
        cache: Ref,
        range: Range<usize>,
        verdict: &mut impl FnMut(Ref, Side) -> Verdict,
        _: &mut impl FnMut(usize),
    ) {
        // SAFETY: only caches have weak slots.
        for slot in unsafe { &links(cache)[range] } {
            if slot.get().is_some_and(|value| verdict(value, Side::Value) == Verdict::Clear) {
                slot.set(None);
            }
        }
    }
}

/// Header, length, references.
const fn array_bytes(length: usize) -> usize {
    16 + 8 * length
}

/// The only root: one slot.
struct Root(Cell<Option<Ref>>);

// SAFETY: what stands there is a cell of the heap.
unsafe impl RootSource for Root {
    fn slots(&self, visit: &mut dyn FnMut(Option<Ref>)) {
        visit(self.0.get());
    }
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
        if self.heap.wants_safepoint() {
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
    fn vertex(&mut self, number: usize) -> Ref {
        // SAFETY: as above.
        unsafe {
            let vertex = self.heap.alloc(VERTEX, VERTEX_BYTES).expect("memory");
            vertex.as_ptr().add(8).cast::<(usize, [Option<Ref>; 3])>().write((number, [None; 3]));
            vertex
        }
    }

    /// A table or a cache, empty.
    fn array(&mut self, kind: u8, length: usize) -> Ref {
        // SAFETY: as above; no reference is all zeros.
        unsafe {
            let array = self.heap.alloc(kind, array_bytes(length)).expect("memory");
            array.as_ptr().add(8).cast::<usize>().write(length);
            array.as_ptr().add(16).cast::<Option<Ref>>().write_bytes(0, length);
            array
        }
    }

    #[inline(always)]
    fn store(&mut self, node: Ref, field: usize, value: Option<Ref>) {
        // SAFETY: the node is reached from the root; the barrier comes first.
        unsafe {
            self.heap.barrier(node, 0);
            fields(node)[field].set(value);
        }
    }

    /// The same for a vertex.
    #[inline(always)]
    fn link(&mut self, vertex: Ref, field: usize, value: Option<Ref>) {
        // SAFETY: as above.
        unsafe {
            self.heap.barrier(vertex, 0);
            links(vertex)[field].set(value);
        }
    }

    /// The same for a table.
    #[inline(always)]
    fn put(&mut self, table: Ref, slot: usize, value: Option<Ref>) {
        // SAFETY: as above.
        unsafe {
            self.heap.barrier(table, slot);
            links(table)[slot].set(value);
        }
    }

    /// Enters a value into a cache. A weak slot has no barrier.
    #[inline(always)]
    fn cache(&mut self, cache: Ref, slot: usize, value: Ref) {
        // SAFETY: the cache is reached from the root, the value is live or young.
        unsafe {
            self.heap.weak_hold(value);
            links(cache)[slot].set(Some(value));
        }
    }

    #[inline(always)]
    fn cached(&mut self, cache: Ref, slot: usize) -> Option<Ref> {
        // SAFETY: as above; the value was not read before the heap says that it may be.
        unsafe { links(cache)[slot].get().filter(|&value| self.heap.weak_value(value)) }
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

/// A cache with a weak reference to each of many values, which are held elsewhere.
trait WeakCache {
    /// Replaces the value of a slot by a new one.
    fn replace(&mut self, slot: usize);
    /// Lets the value go; the entry stays until the value is dead.
    fn drop(&mut self, slot: usize);
    /// The slot that the value in the cache was made for, and whether the value is held.
    fn look_up(&mut self, slot: usize) -> (Option<usize>, bool);
    fn poll(&mut self) {}
}

/// In the root stands a node: the table that holds the values, and the cache.
struct HeapCache(World);

impl HeapCache {
    const VALUE_BYTES: usize = 32;

    fn new(entries: usize) -> HeapCache {
        let mut world = World::new();
        let (table, cache) = (world.array(TABLE, entries), world.array(CACHE, entries));
        let root = world.node(Some(table), Some(cache));
        world.root.0.set(Some(root));
        HeapCache(world)
    }
    #[inline(always)]
    fn arrays(&self) -> (Ref, Ref) {
        // SAFETY: what `new` has made.
        let [table, cache] = unsafe { fields(self.0.root.0.get().expect("a root")) };
        (table.get().expect("a table"), cache.get().expect("a cache"))
    }
}

impl WeakCache for HeapCache {
    #[inline]
    fn replace(&mut self, slot: usize) {
        let (table, cache) = self.arrays();
        let value = self.0.leaf(Self::VALUE_BYTES);
        // SAFETY: there is room in a fresh leaf of this size.
        unsafe { value.as_ptr().add(16).cast::<usize>().write(slot) };
        self.0.put(table, slot, Some(value));
        self.0.cache(cache, slot, value);
    }
    #[inline]
    fn drop(&mut self, slot: usize) {
        self.0.put(self.arrays().0, slot, None);
    }
    #[inline]
    fn look_up(&mut self, slot: usize) -> (Option<usize>, bool) {
        let (table, cache) = self.arrays();
        let value = self.0.cached(cache, slot);
        // SAFETY: a value that `replace` has made, and the table.
        unsafe { (value.map(|value| value.as_ptr().add(16).cast::<usize>().read()), links(table)[slot].get().is_some()) }
    }
    #[inline]
    fn poll(&mut self) {
        self.0.poll();
    }
}

/// The same of the standard library's parts. A value is as large as the heap's.
struct RcCache {
    held: Vec<Option<Rc<[usize; 2]>>>,
    cache: Vec<Weak<[usize; 2]>>,
}

impl RcCache {
    fn new(entries: usize) -> RcCache {
        RcCache { held: vec![None; entries], cache: (0..entries).map(|_| Weak::new()).collect() }
    }
}

impl WeakCache for RcCache {
    #[inline]
    fn replace(&mut self, slot: usize) {
        let value = Rc::new([slot; 2]);
        self.cache[slot] = Rc::downgrade(&value);
        self.held[slot] = Some(value);
    }
    #[inline]
    fn drop(&mut self, slot: usize) {
        self.held[slot] = None;
    }
    #[inline]
    fn look_up(&mut self, slot: usize) -> (Option<usize>, bool) {
        (self.cache[slot].upgrade().map(|value| value[0]), self.held[slot].is_some())
    }
}

/// Half of the steps look up, a quarter replaces, a quarter lets go.
fn use_cache(group: &mut BenchmarkGroup<WallTime>, name: &str, entries: usize, mut cache: impl WeakCache) {
    for slot in 0..entries {
        cache.replace(slot);
        cache.poll();
    }
    let mut random = Random(7);
    group.bench_function(name, |b| {
        b.iter(|| {
            for _ in 0..BATCH {
                let (action, slot) = (random.below(4), random.below(entries));
                match action {
                    0 => cache.replace(slot),
                    1 => cache.drop(slot),
                    _ => {
                        // What is not held may still be there, but nothing else in its place.
                        let (found, is_held) = cache.look_up(slot);
                        assert!(found.map_or(!is_held, |number| number == slot), "a wrong entry");
                    }
                }
                cache.poll();
            }
        });
    });
}

fn weak_cache(c: &mut Criterion) {
    const ENTRIES: usize = 100_000;
    let mut group = c.benchmark_group("weak_cache");
    group.throughput(Throughput::Elements(BATCH as u64));
    use_cache(&mut group, "neap", ENTRIES, HeapCache::new(ENTRIES));
    use_cache(&mut group, "Rc and Weak", ENTRIES, RcCache::new(ENTRIES));
    group.finish();
}

/// A change of the random graph. Its vertices are held in slots, which form groups.
#[derive(Clone, Copy)]
enum Step {
    /// All slots of the group with this first slot are emptied, so that nothing but a few links between groups can hold what was in it.
    Drop(usize),
    /// The slot gets a new vertex; links may still hold the old one.
    Create(usize),
    Link {
        from: usize,
        field: usize,
        to: usize,
    },
    Unlink {
        from: usize,
        field: usize,
    },
}

/// Slots of a group.
const GROUP: usize = 16;

impl Step {
    /// Links stay in their group but for one in 64: within groups cycles arise, and what is dropped keeps only little of other groups alive.
    fn random(random: &mut Random, slots: usize) -> Step {
        let (action, slot, field) = (random.below(256), random.below(slots), random.below(3));
        match action {
            0 => Step::Drop(slot / GROUP * GROUP),
            1..96 => Step::Create(slot),
            96..208 => {
                let far = random.below(64) == 0;
                let to = if far { random.below(slots) } else { slot / GROUP * GROUP + random.below(GROUP) };
                Step::Link { from: slot, field, to }
            }
            _ => Step::Unlink { from: slot, field },
        }
    }
}

/// The number of a vertex, and those of the vertices that its links name.
type Numbers = (usize, [Option<usize>; 3]);

/// In the root stands the table of the slots.
struct HeapGraph {
    world: World,
    created: usize,
}

impl HeapGraph {
    fn new(slots: usize) -> HeapGraph {
        let mut world = World::new();
        let table = world.array(TABLE, slots);
        world.root.0.set(Some(table));
        HeapGraph { world, created: 0 }
    }
    #[inline(always)]
    fn table(&self) -> Ref {
        self.world.root.0.get().expect("a table")
    }
    #[inline(always)]
    fn at(&self, slot: usize) -> Option<Ref> {
        // SAFETY: what `new` has made.
        unsafe { links(self.table())[slot].get() }
    }

    /// How many vertices can be reached.
    fn reached(&self) -> usize {
        let mut seen = std::collections::HashSet::new();
        // SAFETY: the references of a table or a vertex name vertices.
        unsafe {
            let mut gray: Vec<Ref> = links(self.table()).iter().filter_map(Cell::get).collect();
            while let Some(vertex) = gray.pop() {
                if seen.insert(vertex.as_ptr()) {
                    gray.extend(links(vertex).iter().filter_map(Cell::get));
                }
            }
        }
        seen.len()
    }

    #[inline]
    fn apply(&mut self, step: Step) {
        match step {
            Step::Drop(first) => (first..first + GROUP).for_each(|slot| self.world.put(self.table(), slot, None)),
            Step::Create(slot) => {
                let vertex = self.world.vertex(self.created);
                self.created += 1;
                self.world.put(self.table(), slot, Some(vertex));
            }
            Step::Link { from, field, to } => {
                if let (Some(from), Some(to)) = (self.at(from), self.at(to)) {
                    self.world.link(from, field, Some(to));
                }
            }
            Step::Unlink { from, field } => {
                if let Some(from) = self.at(from) {
                    self.world.link(from, field, None);
                }
            }
        }
        self.world.poll();
    }

    fn held(&self) -> impl Iterator<Item = Option<Numbers>> {
        // SAFETY: as in `reached`.
        let of = |vertex| unsafe { (word(vertex), std::array::from_fn(|field| links(vertex)[field].get().map(|to| word(to)))) };
        // SAFETY: the table.
        unsafe { links(self.table()) }.iter().map(move |slot| slot.get().map(of))
    }
}

/// Numbers in the place of references. Vertices that are in no slot any more are not changed, so they need not be kept.
struct Model {
    slots: Vec<Option<Numbers>>,
    created: usize,
}

impl Model {
    fn apply(&mut self, step: Step) {
        match step {
            Step::Drop(first) => self.slots[first..first + GROUP].fill(None),
            Step::Create(slot) => {
                self.slots[slot] = Some((self.created, [None; 3]));
                self.created += 1;
            }
            Step::Link { from, field, to } => {
                if let Some((number, _)) = self.slots[to]
                    && let Some((_, links)) = &mut self.slots[from]
                {
                    links[field] = Some(number);
                }
            }
            Step::Unlink { from, field } => {
                if let Some((_, links)) = &mut self.slots[from] {
                    links[field] = None;
                }
            }
        }
    }
}

fn random_graph(c: &mut Criterion) {
    const SLOTS: usize = 1 << 20;
    const SEED: u64 = 9;
    let mut group = c.benchmark_group("random_graph");
    group.throughput(Throughput::Elements(BATCH as u64));
    let (mut state, mut steps) = (None, 0);
    group.bench_function(BenchmarkId::new("steps", SLOTS), |b| {
        // Only if it is wanted: to begin with, the graph grows until about a million vertices live.
        let (graph, random) = state.get_or_insert_with(|| {
            let (mut graph, mut random) = (HeapGraph::new(SLOTS), Random(SEED));
            steps = 16 * SLOTS;
            (0..steps).for_each(|_| graph.apply(Step::random(&mut random, SLOTS)));
            (graph, random)
        });
        b.iter(|| {
            (0..BATCH).for_each(|_| graph.apply(Step::random(random, SLOTS)));
            steps += BATCH;
        });
    });
    group.finish();

    let Some((mut graph, _)) = state else { return };
    let (mut model, mut random) = (Model { slots: vec![None; SLOTS], created: 0 }, Random(SEED));
    for _ in 0..steps {
        model.apply(Step::random(&mut random, SLOTS));
    }
    assert!(graph.held().eq(model.slots), "the graph is not what the steps have made of it");
    graph.world.collect();
    let vertices = graph.world.heap.census()[VERTEX as usize].objects;
    assert_eq!(vertices, graph.reached() as u64, "garbage was left, or something lost");
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
        let world = World::new();
        b.iter(|| {
            let mut block = world.heap.malloc(16).expect("memory");
            let mut size = 16;
            while size < 1 << 20 {
                // SAFETY: the block of the turn before, with its size.
                block = unsafe { world.heap.realloc(block, size * 2) }.expect("memory");
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
    targets = cells, barrier, pauses, collection, weak_cache, random_graph, explicit
}
criterion_main!(heap);
