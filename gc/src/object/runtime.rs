//! How an embedding runtime describes its objects to the collector.

use super::header::{Ref, flags};
use std::marker::PhantomData;
use std::ops::Range;

/// How the references of a kind are laid out and treated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// No references.
    Leaf,
    /// A fixed, small set of strong references ([`Runtime::trace`]).
    Plain,
    /// Indexed slots ([`Runtime::slots`], [`Runtime::trace_slots`]), each with some strong references. A cell of this shape that is a large
    /// run is CARDED.
    Array,
    /// Indexed slots with strong and weak references: values weak, keys strong (R8: fixed at birth).
    WeakValues,
    /// Indexed slots of weak keys, whose values live while their keys do.
    Ephemeron,
    /// Indexed slots, keys and values weak; what is never held weakly (interned strings, say) is strong and reported by `trace_slots`.
    AllWeak,
    /// A thread: [`Runtime::stack`] and, through `trace`, further strong references that never change after birth.
    Thread,
}

/// One entry of the table of kinds.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    pub name: &'static str,
    pub shape: Shape,
    /// Whether [`Runtime::destroy`] must run before the cell is reused.
    pub destructor: bool,
}

/// The verdict of the collector on a weak slot ([`Runtime::clean_slots`]).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    Keep,
    Clear,
}

/// The stack of a thread as the collector sees it. It stands inside the thread's cell; the runtime keeps `slots`, `top`, `high` and `low` right, the
/// rest is the collector's.
pub struct Stack<S> {
    pub slots: *mut S,
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

/// An embedding runtime.
///
/// # Safety
/// For every cell the methods report exactly the references that stand in it, the same ones each time while the cell is
/// unchanged, and touch nothing else. They do not allocate, do not call back into the heap, and do not panic (a destructor that does ends the
/// process).
pub unsafe trait Runtime: Sized {
    /// A slot of a thread's stack.
    type Slot: Copy;
    /// The value that a scan writes into slots above the top.
    const EMPTY_SLOT: Self::Slot;
    /// Indexed by the `kind` of a header.
    const KINDS: &'static [Kind];

    fn slot_ref(slot: &Self::Slot) -> Option<Ref>;
    /// Bytes of the cell, header included; fixed for its life, except for a large run that has grown.
    ///
    /// # Safety
    /// The cell is live or young, initialised.
    unsafe fn size(cell: Ref) -> usize;
    /// Visits the strong references of a `Plain` cell, or those of a `Thread` outside its stack.
    ///
    /// # Safety
    /// The cell is live or young, initialised, and of a fitting kind.
    unsafe fn trace(cell: Ref, visit: &mut impl FnMut(Ref));
    /// The number of slots of an indexed shape.
    ///
    /// # Safety
    /// The cell is live or young, initialised, and of a fitting kind.
    unsafe fn slots(cell: Ref) -> usize;
    /// Visits the strong references in the slots of the range (for `Ephemeron`: the values, which are counted like any other).
    ///
    /// # Safety
    /// The cell is live or young, initialised, and of a fitting kind.
    unsafe fn trace_slots(cell: Ref, range: Range<usize>, visit: &mut impl FnMut(Ref));
    /// Visits the entries of an `Ephemeron`: key (if it is a reference that is held weakly) and value.
    ///
    /// # Safety
    /// The cell is live or young, initialised, and of a fitting kind.
    unsafe fn trace_entries(cell: Ref, range: Range<usize>, visit: &mut impl FnMut(Option<Ref>, Option<Ref>));
    /// Asks the verdict for each weak reference in the range (`is_key` tells which) and empties the entries that are to be cleared. `log` is called before the first
    /// strong reference goes (R3).
    ///
    /// # Safety
    /// The cell is live or young, initialised, and of a fitting kind.
    unsafe fn clean_slots(
        cell: Ref,
        range: Range<usize>,
        verdict: &mut impl FnMut(Ref, bool) -> Verdict,
        log: &mut impl FnMut(usize),
    );
    /// The stack of a `Thread`.
    ///
    /// # Safety
    /// The cell is live or young, initialised, and of a fitting kind.
    unsafe fn stack<'a>(cell: Ref) -> &'a mut Stack<Self::Slot>;
    /// The replaced cell of an adoption gives up its references: it has none from now on.
    ///
    /// # Safety
    /// The cell is live or young, initialised, and of a fitting kind.
    unsafe fn forget(cell: Ref);
    /// Runs the destructor. The cell's references may be dead; it may use `release` to free explicit blocks that it owns.
    ///
    /// # Safety
    /// The cell is live or young, initialised, and of a fitting kind.
    unsafe fn destroy(&mut self, cell: Ref, release: &mut dyn FnMut(std::ptr::NonNull<u8>));
    /// An interned cell dies: its entry is removed from the table of interned cells, by identity (R15).
    ///
    /// # Safety
    /// The cell is live or young, initialised, and of a fitting kind.
    unsafe fn unintern(&mut self, cell: Ref);
}

impl<S> Stack<S> {
    pub const fn new() -> Stack<S> {
        Stack {
            slots: std::ptr::null_mut(),
            top: 0,
            high: 0,
            low: 0,
            counted: Counted {
                pages: std::ptr::null_mut(),
                page_count: 0,
                table_capacity: 0,
                first_capacity: 0,
                trimming: false,
                len: 0,
                scanned: 0,
            },
        }
    }
}

impl<S> Default for Stack<S> {
    fn default() -> Self {
        Self::new()
    }
}

/// What the collector's loops look up by kind, as tables.
pub(crate) struct Kinds<R>(PhantomData<R>);

impl<R: Runtime> Kinds<R> {
    const SHAPES: &'static [Shape; 256] = &{
        let mut table = [Shape::Leaf; 256];
        let mut kind = 0;
        while kind < R::KINDS.len() {
            table[kind] = R::KINDS[kind].shape;
            kind += 1;
        }
        table
    };
    const BORN: &'static [u16; 256] = &{
        let mut table = [flags::YOUNG | flags::LOGGED; 256];
        let mut kind = 0;
        while kind < R::KINDS.len() {
            let special = match R::KINDS[kind].shape {
                Shape::Leaf | Shape::Plain | Shape::Array => R::KINDS[kind].destructor,
                Shape::WeakValues | Shape::Ephemeron | Shape::AllWeak | Shape::Thread => true,
            };
            if special {
                table[kind] |= flags::SPECIAL;
            }
            kind += 1;
        }
        table
    };

    #[inline(always)]
    pub fn shape(kind: u8) -> Shape {
        Self::SHAPES[kind as usize]
    }
    /// The flags that a small cell of the kind is born with.
    #[inline(always)]
    pub fn born(kind: u8) -> u16 {
        Self::BORN[kind as usize]
    }
    pub fn destructor(kind: u8) -> bool {
        R::KINDS[kind as usize].destructor
    }
}

impl Shape {
    /// Whether the references stand in numbered slots.
    pub fn is_indexed(self) -> bool {
        matches!(self, Shape::Array | Shape::WeakValues | Shape::Ephemeron | Shape::AllWeak)
    }
    pub fn is_weak(self) -> bool {
        matches!(self, Shape::WeakValues | Shape::Ephemeron | Shape::AllWeak)
    }
    /// Whether a large run of the shape has cards.
    pub fn is_carded(self) -> bool {
        matches!(self, Shape::Array | Shape::WeakValues | Shape::Ephemeron)
    }
}
