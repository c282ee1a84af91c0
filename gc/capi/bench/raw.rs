//! The programs of face.c on the raw face, step by step the same: what the C face costs is the difference.
//!
//!     gc/capi/bench/compare.sh

use neap_gc::object::{Header, Kind, Shape, Side, Verdict};
use neap_gc::{Config, Heap, Ref, RootSource, Runtime};
use std::cell::Cell as Slot;
use std::ops::Range;

const CELL: u8 = 0;
const NODE: u8 = 1;
const ENTRY: u8 = 2;
const CACHE: u8 = 3;
const RING: u8 = 4;

/// The schedule that face.c explains.
const EPOCH: usize = 8192;
const STRESS: u32 = 16;

const CACHE_SLOTS: usize = 1 << 16;
const RING_SLOTS: usize = 1 << 13;

type Field = Slot<Option<Ref>>;

#[repr(C)]
struct Cell {
    header: Header,
    number: u64,
    next: Field,
}

#[repr(C)]
struct Node {
    header: Header,
    left: Field,
    right: Field,
    parent: Field,
}

#[repr(C)]
struct Entry {
    header: Header,
    key: u64,
    other: Field,
}

#[repr(C)]
struct Table {
    header: Header,
    length: usize,
}

struct Programs;

/// # Safety
/// Here and below: the cell is live or young, and of a kind with this layout.
#[inline(always)]
unsafe fn at<'a, T>(cell: Ref) -> &'a T {
    // SAFETY: by the caller.
    unsafe { &*cell.as_ptr().cast() }
}

#[inline(always)]
unsafe fn slots<'a>(table: Ref) -> &'a [Field] {
    // SAFETY: the slots follow the head.
    unsafe { std::slice::from_raw_parts(table.as_ptr().add(size_of::<Table>()).cast(), at::<Table>(table).length) }
}

// SAFETY: each kind's references are visited as they stand.
unsafe impl Runtime for Programs {
    fn kinds(&self) -> Vec<Kind> {
        vec![
            Kind::new("cell", Shape::Plain),
            Kind::new("node", Shape::Plain),
            Kind::new("entry", Shape::Plain),
            Kind::new("cache", Shape::Array).with_weak_references(),
            Kind::new("ring", Shape::Array),
        ]
    }
    #[inline]
    unsafe fn trace(&self, cell: Ref, visit: &mut impl FnMut(Ref)) {
        // SAFETY: by the caller, here and below.
        unsafe {
            match cell.kind() {
                CELL => at::<Cell>(cell).next.get().into_iter().for_each(visit),
                NODE => {
                    let node = at::<Node>(cell);
                    [&node.left, &node.right, &node.parent].into_iter().filter_map(Slot::get).for_each(visit);
                }
                _ => at::<Entry>(cell).other.get().into_iter().for_each(visit),
            }
        }
    }
    #[inline]
    unsafe fn slots(&self, cell: Ref) -> usize {
        // SAFETY: as above.
        unsafe { at::<Table>(cell).length }
    }
    #[inline]
    unsafe fn trace_slots(&self, cell: Ref, range: Range<usize>, visit: &mut impl FnMut(Ref)) {
        // SAFETY: as above.
        unsafe {
            if cell.kind() == RING {
                slots(cell)[range].iter().filter_map(Slot::get).for_each(visit);
            }
        }
    }
    unsafe fn clean(
        &self,
        cell: Ref,
        range: Range<usize>,
        verdict: &mut impl FnMut(Ref, Side) -> Verdict,
        _: &mut impl FnMut(usize),
    ) {
        // SAFETY: as above.
        for slot in unsafe { &slots(cell)[range] } {
            if slot.get().is_some_and(|value| verdict(value, Side::Value) == Verdict::Clear) {
                slot.set(None);
            }
        }
    }
}

struct Roots([Field; 2]);

// SAFETY: the programs put cells of the heap here.
unsafe impl RootSource for Roots {
    fn slots(&self, visit: &mut dyn FnMut(Option<Ref>)) {
        self.0.iter().for_each(|root| visit(root.get()));
    }
}

struct Program {
    heap: Heap<Programs>,
    roots: Roots,
    /// Bits of the number of an object that are 0 where a safepoint is.
    between: usize,
}

impl Program {
    #[inline(always)]
    fn new_cell(&self, kind: u8, size: usize) -> Ref {
        // SAFETY: a kind of the table; who calls this writes all of the cell.
        unsafe { self.heap.alloc(kind, size).expect("memory") }
    }
    #[inline(always)]
    fn store(&self, object: Ref, slot: usize, field: &Field, value: Option<Ref>) {
        // SAFETY: an object at hand.
        unsafe { self.heap.barrier(object, slot) };
        field.set(value);
    }
    #[inline(always)]
    fn safepoint(&mut self, n: usize) {
        if n & self.between == 0 && self.heap.wants_safepoint() {
            // SAFETY: nothing is held but the roots.
            unsafe { self.heap.safepoint(&self.roots) };
        }
    }
    fn end(&mut self) {
        self.roots.0.iter().for_each(|root| root.set(None));
        // SAFETY: as above.
        unsafe { self.heap.collect_full(&self.roots) };
    }

    fn lists(&mut self) -> u64 {
        let mut sum = 0;
        for n in 0..3_000_000 {
            let length = if n < 1_000_000 {
                100
            } else if n < 2_000_000 {
                30_000
            } else {
                200_000
            };
            // SAFETY: the cell just made, whose fields are written, and the one before.
            unsafe {
                let cell = self.new_cell(CELL, size_of::<Cell>());
                let next = if n % length != 0 { self.roots.0[0].get() } else { None };
                (&raw mut (*cell.as_ptr().cast::<Cell>()).number).write(n);
                at::<Cell>(cell).next.set(next);
                self.roots.0[0].set(Some(cell));
                sum += next.map_or(0, |next| at::<Cell>(next).number);
            }
            self.safepoint(n as usize);
        }
        self.end();
        sum
    }

    fn tree(&self, depth: u32) -> Ref {
        let cell = self.new_cell(NODE, size_of::<Node>());
        // SAFETY: the cell just made, whose fields are written.
        let node = unsafe { at::<Node>(cell) };
        [&node.left, &node.right, &node.parent].into_iter().for_each(|field| field.set(None));
        if depth > 0 {
            for field in [&node.left, &node.right] {
                let child = self.tree(depth - 1);
                self.store(cell, 0, field, Some(child));
                // SAFETY: just made.
                self.store(child, 0, unsafe { &at::<Node>(child).parent }, Some(cell));
            }
        }
        cell
    }

    fn count(tree: Option<Ref>) -> u64 {
        // SAFETY: a tree at hand.
        tree.map_or(0, |tree| unsafe { 1 + Self::count(at::<Node>(tree).left.get()) + Self::count(at::<Node>(tree).right.get()) })
    }

    fn trees(&mut self) -> u64 {
        let mut sum = 0;
        self.roots.0[0].set(Some(self.tree(15)));
        for _ in 0..60 {
            self.roots.0[1].set(Some(self.tree(14)));
            self.safepoint(0);
            sum += Self::count(self.roots.0[1].get());
            let (top, root) = (self.roots.0[0].get().expect("a tree"), self.roots.0[1].get().expect("a tree"));
            // SAFETY: the roots.
            unsafe {
                let sub = at::<Node>(root).left.get().expect("a subtree");
                self.store(top, 0, &at::<Node>(top).left, Some(sub));
                self.store(sub, 0, &at::<Node>(sub).parent, Some(top));
            }
            self.safepoint(0);
        }
        sum += Self::count(self.roots.0[0].get());
        self.end();
        sum
    }

    fn table(&self, kind: u8, length: usize) -> Ref {
        let table = self.new_cell(kind, size_of::<Table>() + length * size_of::<Field>());
        // SAFETY: all of the cell is written.
        unsafe {
            (&raw mut (*table.as_ptr().cast::<Table>()).length).write(length);
            table.as_ptr().add(size_of::<Table>()).write_bytes(0, length * size_of::<Field>());
        }
        table
    }

    fn cache(&mut self) -> u64 {
        let (cache, ring) = (self.table(CACHE, CACHE_SLOTS), self.table(RING, RING_SLOTS));
        self.roots.0[0].set(Some(cache));
        self.roots.0[1].set(Some(ring));
        let (mut random, mut hits) = (88_172_645_463_325_252_u64, 0);
        for n in 0..2_000_000 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let key = random as usize % CACHE_SLOTS;
            // SAFETY: the roots, what is read from them, and the entry just made.
            unsafe {
                let slot = &slots(cache)[key];
                let entry = match slot.get().filter(|&entry| self.heap.weak_value(entry)) {
                    Some(entry) => {
                        hits += u64::from(at::<Entry>(entry).key == key as u64);
                        entry
                    }
                    None => {
                        let entry = self.new_cell(ENTRY, size_of::<Entry>());
                        (&raw mut (*entry.as_ptr().cast::<Entry>()).key).write(key as u64);
                        at::<Entry>(entry).other.set(None);
                        self.heap.weak_hold(entry);
                        slot.set(Some(entry));
                        entry
                    }
                };
                self.store(ring, n % RING_SLOTS, &slots(ring)[n % RING_SLOTS], Some(entry));
            }
            self.safepoint(n);
        }
        self.end();
        u64::from(hits > 200_000)
    }
}

fn main() {
    let timed = std::env::args().nth(2).is_some();
    let (stress_cycle, between) = if timed { (0, 0) } else { (STRESS, EPOCH - 1) };
    let heap = Heap::new(Programs, Config { stress_cycle, ..Config::default() }).expect("a heap");
    let mut program = Program { heap, roots: Roots([Slot::new(None), Slot::new(None)]), between };
    let result = match std::env::args().nth(1).as_deref() {
        Some("lists") => program.lists(),
        Some("trees") => program.trees(),
        _ => program.cache(),
    };
    println!("{result}");
}
