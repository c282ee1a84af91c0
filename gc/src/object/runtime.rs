//! How an embedding runtime describes its objects to the collector.
//!
//! A runtime has a table of kinds, and tells for each cell which references stand in it. A kind's [`Shape`] says how the references lie; whether
//! some of them are weak, and whether the cell has a destructor, are properties beside that. A runtime of plain objects writes two methods,
//! [`Runtime::kinds`] and [`Runtime::trace`]; each further shape asks for a few more.
//!
//! Imports `header`.

use super::header::{Ref, flags};
use std::ops::Range;
use std::ptr::NonNull;

/// How the references of a kind lie in its cells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// No references, or weak ones only.
    Leaf,
    /// A few strong references ([`Runtime::trace`]): what is done with such a cell is done at once.
    Plain,
    /// Any number of indexed slots ([`Runtime::slots`], [`Runtime::trace_slots`]), each at least 8 bytes of the cell and with some strong references.
    /// A large cell of this shape is worked on in slices, and its writes are recorded by slots.
    Array,
    /// Indexed slots with a weak key and a value that lives while its key does. The values are counted like any other reference.
    Ephemeron,
    /// A thread: a [`Stack`], and through `trace` further strong references that never change after birth.
    Thread,
}

impl Shape {
    /// Whether the references stand in numbered slots.
    pub fn is_indexed(self) -> bool {
        matches!(self, Shape::Array | Shape::Ephemeron)
    }
}

/// One entry of the table of kinds.
#[derive(Clone, Debug)]
pub struct Kind {
    pub name: &'static str,
    pub shape: Shape,
    /// Whether cells have weak references beside their strong ones ([`Runtime::clean`]). Fixed at birth (R8). An `Ephemeron` always has.
    pub weak: bool,
    /// Whether [`Runtime::destroy`] must run before the cell is reused.
    pub destructor: bool,
}

impl Kind {
    pub const fn new(name: &'static str, shape: Shape) -> Kind {
        Kind { name, shape, weak: matches!(shape, Shape::Ephemeron), destructor: false }
    }
    pub const fn with_weak_references(mut self) -> Kind {
        self.weak = true;
        self
    }
    pub const fn with_destructor(mut self) -> Kind {
        self.destructor = true;
        self
    }
}

/// The verdict of the collector on a weak reference ([`Runtime::clean`]).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    Keep,
    Clear,
}

/// Which side of an entry a weak reference is. An object that a finalizer brings back is still found as a key, and is gone as a value (R22).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Side {
    Key,
    Value,
}

/// An embedding runtime.
///
/// # Safety
/// For every cell the methods report exactly the references that stand in it, the same ones in the same order each time while the cell is
/// unchanged, and touch nothing else. They do not allocate, do not call back into the heap, and do not panic (a destructor that does ends the
/// process). They are called with cells that are live or young, initialised, and of a kind whose shape they are for; an indexed cell has room for 8 bytes
/// a slot; ranges lie within the slots.
pub unsafe trait Runtime: Sized {
    /// The table of kinds, indexed by the number that [`crate::Heap::alloc`] is given; asked for once, when the heap is made. At most 256, with those that
    /// [`crate::Heap::add_kind`] adds.
    fn kinds(&self) -> Vec<Kind>;

    /// Visits the strong references of a `Plain` cell, or those of a `Thread` outside its stack.
    ///
    /// # Safety
    /// As the trait says; so for all methods below.
    unsafe fn trace(&self, cell: Ref, visit: &mut impl FnMut(Ref));

    // ---- Array, Ephemeron

    /// The number of slots.
    ///
    /// # Safety
    /// As above.
    unsafe fn slots(&self, _cell: Ref) -> usize {
        unreachable!("a runtime with indexed kinds says how many slots a cell has")
    }
    /// Visits the strong references in the slots of the range (of an `Ephemeron`: the values, and keys that are not held weakly).
    ///
    /// # Safety
    /// As above.
    unsafe fn trace_slots(&self, _cell: Ref, _range: Range<usize>, _visit: &mut impl FnMut(Ref)) {
        unreachable!("a runtime with indexed kinds visits their slots")
    }
    /// The cell has been replaced by others that hold its references ([`crate::Heap::replace_storage`]): it has none from now on.
    ///
    /// # Safety
    /// As above.
    unsafe fn forget(&self, _cell: Ref) {
        unreachable!("a runtime that replaces storages lets the old ones forget")
    }

    // ---- weak references

    /// Visits the entries of an `Ephemeron`: key (if it is a reference that is held weakly) and value.
    ///
    /// # Safety
    /// As above.
    unsafe fn trace_entries(&self, _cell: Ref, _range: Range<usize>, _visit: &mut impl FnMut(Option<Ref>, Option<Ref>)) {
        unreachable!("a runtime with weak keys visits their entries")
    }
    /// Asks the verdict for each weak reference in the range (0..1 for a cell that is not indexed) and empties what is to be cleared: the reference, or
    /// the entry that it is part of. `log` is called with the slot before a strong reference goes with it (R3).
    ///
    /// # Safety
    /// As above.
    unsafe fn clean(
        &self,
        _cell: Ref,
        _range: Range<usize>,
        _verdict: &mut impl FnMut(Ref, Side) -> Verdict,
        _log: &mut impl FnMut(usize),
    ) {
        unreachable!("a runtime with weak references cleans them")
    }

    // ---- threads

    /// The stack of a `Thread`, inside its cell.
    ///
    /// # Safety
    /// As above.
    unsafe fn stack(&self, _cell: Ref) -> NonNull<Stack> {
        unreachable!("a runtime with threads shows their stacks")
    }
    /// Visits each slot of the range of a thread's stack, in order.
    ///
    /// # Safety
    /// As above; the range lies below `high`.
    unsafe fn trace_stack(&self, _cell: Ref, _range: Range<usize>, _visit: &mut impl FnMut(Option<Ref>)) {
        unreachable!("a runtime with threads visits the slots of their stacks")
    }
    /// Empties the slots of the range of a thread's stack.
    ///
    /// # Safety
    /// As above; the range lies below `high`.
    unsafe fn clear_stack(&self, _cell: Ref, _range: Range<usize>) {
        unreachable!("a runtime with threads empties the slots of their stacks")
    }

    // ---- deaths

    /// Runs the destructor. The cell's references may be dead; it may use `release` to free explicit blocks that it owns. Nothing is asked about the cell after that.
    ///
    /// # Safety
    /// As above; once for each cell of a kind with a destructor.
    unsafe fn destroy(&mut self, _cell: Ref, _release: &mut dyn FnMut(NonNull<u8>)) {
        unreachable!("a runtime whose kinds have destructors runs them")
    }
    /// An interned cell dies: its entry is removed from the table of interned cells, by identity (R15).
    ///
    /// # Safety
    /// As above.
    unsafe fn unintern(&mut self, _cell: Ref) {
        unreachable!("a runtime that interns cells forgets them")
    }
}

/// The stack of a thread as the collector sees it. It stands inside the thread's cell; the runtime keeps `top`, `high` and `low` right, the
/// rest is the collector's.
pub struct Stack {
    /// Slots in use: all below were written. Right at every safepoint and whenever the thread is not the running one.
    pub top: usize,
    /// No slot at or above was written since the last scan. A scan clears `top..high`.
    pub high: usize,
    /// No slot below was written since the last scan (R7): the base of the lowest frame that ran. `usize::MAX` right after a scan; the
    /// collector lowers it to the running frame's base.
    pub low: usize,
    /// The references counted at the last scan, by slot (R10, R11).
    pub(crate) counted: Counted,
}

impl Stack {
    pub const fn new() -> Stack {
        Stack { top: 0, high: 0, low: 0, counted: Counted::new() }
    }
}

impl Default for Stack {
    fn default() -> Self {
        Self::new()
    }
}

/// The references that a thread's last scan counted: by slot, in pages, so that growing copies little. The memory is the collector's.
pub(crate) struct Counted {
    /// The table of pages; `page_count` of them have memory.
    pub pages: *mut *mut Option<Ref>,
    pub page_count: u32,
    pub table_capacity: u32,
    /// Slots of the first page (the others are full size): a short stack needs no whole page.
    pub first_capacity: u32,
    /// The thread stands in the list of stacks to be trimmed.
    pub trimming: bool,
    pub len: usize,
    /// The stack's top at the last scan: entries above it are surplus, given back in slices.
    pub scanned: usize,
}

impl Counted {
    const fn new() -> Counted {
        Counted {
            pages: std::ptr::null_mut(),
            page_count: 0,
            table_capacity: 0,
            first_capacity: 0,
            trimming: false,
            len: 0,
            scanned: 0,
        }
    }
}

/// The header has one byte for the kind.
const KINDS_MAX: usize = 256;

/// What the collector looks up by kind.
pub(crate) struct Kinds {
    shapes: [Shape; KINDS_MAX],
    /// The flags that a small cell of the kind is born with.
    born: [u16; KINDS_MAX],
    weak: [bool; KINDS_MAX],
    table: Vec<Kind>,
}

impl Kinds {
    pub fn new(table: Vec<Kind>) -> Kinds {
        assert!(table.len() <= KINDS_MAX, "the header has one byte for the kind");
        let mut kinds = Kinds {
            shapes: [Shape::Leaf; KINDS_MAX],
            born: [flags::YOUNG | flags::LOGGED; KINDS_MAX],
            weak: [false; KINDS_MAX],
            table: Vec::new(),
        };
        table.into_iter().for_each(|kind| _ = kinds.add(kind));
        kinds
    }

    /// One more kind: its number, or none if there are as many as a header can tell apart.
    pub fn add(&mut self, kind: Kind) -> Option<u8> {
        let number = self.table.len();
        if number == KINDS_MAX {
            return None;
        }
        let weak = kind.weak || kind.shape == Shape::Ephemeron;
        self.shapes[number] = kind.shape;
        self.weak[number] = weak;
        if weak || kind.destructor || kind.shape == Shape::Thread {
            self.born[number] |= flags::SPECIAL;
        }
        self.table.push(kind);
        Some(number as u8)
    }

    #[inline(always)]
    pub fn shape(&self, kind: u8) -> Shape {
        self.shapes[kind as usize]
    }
    #[inline(always)]
    pub fn born(&self, kind: u8) -> u16 {
        self.born[kind as usize]
    }
    #[inline(always)]
    pub fn is_weak(&self, kind: u8) -> bool {
        self.weak[kind as usize]
    }
    /// Only of kinds whose cells are SPECIAL.
    pub fn has_destructor(&self, kind: u8) -> bool {
        self.table[kind as usize].destructor
    }
    pub fn name(&self, kind: u8) -> &'static str {
        self.table[kind as usize].name
    }
    pub fn len(&self) -> usize {
        self.table.len()
    }
    pub fn any_destructor(&self) -> bool {
        self.table.iter().any(|kind| kind.destructor)
    }
}
