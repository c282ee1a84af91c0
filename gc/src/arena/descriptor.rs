//! How a type's values lie in the cells of the heap, and what a cell says of its type.
//!
//! ```text
//!     LEAF, WORDS                 OBJECT, OBJECT_DROP, OWNER      SLICE, SLICE_*, REFERENCES          LEAF as a slice, or a string
//!     0  header, aux = map        0  header                       0  header                           0  header
//!     8  value                    8  descriptor                   8  descriptor                       8  length
//!                                 16 value                        16 length                           16 elements
//!                                                                 24 elements
//!     STORAGE                     WEAK                            ENTRIES
//!     0  header                   0  header                       0  header
//!     8  descriptor               8  target, or null              8  capacity
//!     16 elements in use                                          16 key, value, key, value, ...
//!     24 capacity
//!     32 elements
//! ```
//!
//! (A value whose alignment is 16 begins at the next multiple of it.) Which of them a type has follows from the type alone, so its place in the cell is a
//! constant: `Deref` is an addition that the processor does with the load.
//!
//! Imports `map`, `trace`, `object`.

use super::gc::Gc;
use super::map::Map;
use super::mutation::Mutation;
use super::trace::{Trace, Tracer};
use crate::object::{Kind, Ref, Shape};
use std::marker::PhantomData;
use std::mem::needs_drop;
use std::ops::Range;

/// No references, no destructor: values, slices and strings.
pub(super) const LEAF: u8 = 0;
/// The map in the header says which words are references.
pub(super) const WORDS: u8 = 1;
/// Visited by its descriptor, ...
pub(super) const OBJECT: u8 = 2;
/// ... and with a destructor.
pub(super) const OBJECT_DROP: u8 = 3;
/// No references, and a destructor.
pub(super) const OWNER: u8 = 4;
pub(super) const SLICE: u8 = 5;
pub(super) const SLICE_DROP: u8 = 6;
pub(super) const SLICE_OWNER: u8 = 7;
/// Elements of which some are in use.
pub(super) const STORAGE: u8 = 8;
/// What a `Weak` refers to.
pub(super) const WEAK: u8 = 9;
/// Weak keys with values.
pub(super) const ENTRIES: u8 = 10;
/// As `SLICE`, of elements that are one reference or null each: found without a look at the descriptor.
pub(super) const REFERENCES: u8 = 11;
/// The slots of a `WeakTable`.
pub(super) const WEAK_SLOTS: u8 = 12;

pub(super) fn kinds() -> Vec<Kind> {
    vec![
        Kind::new("leaf", Shape::Leaf),
        Kind::new("words", Shape::Plain),
        Kind::new("object", Shape::Plain),
        Kind::new("object with destructor", Shape::Plain).with_destructor(),
        Kind::new("owner", Shape::Leaf).with_destructor(),
        Kind::new("slice", Shape::Array),
        Kind::new("slice with destructors", Shape::Array).with_destructor(),
        Kind::new("slice of owners", Shape::Leaf).with_destructor(),
        Kind::new("storage", Shape::Array),
        Kind::new("weak", Shape::Leaf).with_weak_references(),
        Kind::new("weak entries", Shape::Ephemeron),
        Kind::new("slice of references", Shape::Array),
        Kind::new("weak slots", Shape::Array).with_weak_references(),
    ]
}

/// Where words stand in a cell.
pub(super) const HEADER_BYTES: usize = 8;
pub(super) const DESCRIPTOR_AT: usize = 8;
pub(super) const LENGTH_AT: usize = 16;
pub(super) const CAPACITY_AT: usize = 24;
/// Where the elements of a slice of references begin.
pub(super) const REFERENCES_AT: usize = 24;
/// Cells are aligned to this.
const ALIGN_MAX: usize = 16;

/// What the cells of a type that is not described by its header alone have a pointer to.
pub(super) struct Descriptor {
    /// Visits the references of some elements, the first of which would stand at the address. (An object is one element.)
    pub trace: unsafe fn(*const u8, Range<usize>, &mut Tracer<'_>),
    /// Drops so many elements.
    pub drop: unsafe fn(*mut u8, usize),
    pub finalize: Option<unsafe fn(Ref, &Mutation<'_>)>,
    pub name: fn() -> &'static str,
    /// Something in it is visited by a `trace` that was written by hand.
    pub by_hand: bool,
    /// Of an element.
    pub map: Map,
    pub size: usize,
    /// Where the first element stands.
    pub offset: usize,
}

/// The layout of a type in its cells.
pub(super) struct Layout<'gc, T>(PhantomData<Gc<'gc, T>>);

impl<'gc, T: Trace<'gc>> Layout<'gc, T> {
    const DROPS: bool = needs_drop::<T>();
    /// Whether the type is described by the header alone, if its value begins at word `first` behind that.
    const WORDS_FROM_HEADER: Option<u8> = T::MAP.words_from(align_up(HEADER_BYTES, align_of::<T>()) / 8 - 1);
    pub const PLAIN: bool = !Self::DROPS && T::FINALIZE.is_none() && (T::MAP.is_none() || Self::WORDS_FROM_HEADER.is_some());

    pub const KIND: u8 = match (Self::PLAIN, Self::DROPS, T::MAP.is_none()) {
        (true, _, true) => LEAF,
        (true, _, false) => WORDS,
        (false, true, true) => OWNER,
        (false, true, false) => OBJECT_DROP,
        (false, false, _) => OBJECT,
    };
    /// The map for the header.
    pub const AUX: u8 = match (Self::PLAIN, Self::WORDS_FROM_HEADER) {
        (true, Some(words)) => words,
        _ => 0,
    };
    /// Where the value begins.
    pub const OFFSET: usize = {
        assert!(
            align_of::<T>() <= ALIGN_MAX,
            "the cells of a heap are aligned to 16 bytes: a type that wants more goes into a Box"
        );
        align_up(if Self::PLAIN { HEADER_BYTES } else { DESCRIPTOR_AT + 8 }, align_of::<T>())
    };
    pub const SIZE: usize = Self::OFFSET + size_of::<T>();
    pub const DESCRIPTOR: &'static Descriptor = &Self::describe(Self::OFFSET);

    // ---- slices

    /// Whether a slice is described by its header alone.
    pub const LEAF_SLICE: bool = !Self::DROPS && T::MAP.is_none();
    pub const SLICE_KIND: u8 = match (Self::DROPS, T::MAP.is_none()) {
        (false, true) => LEAF,
        (true, true) => SLICE_OWNER,
        (true, false) => SLICE_DROP,
        (false, false) if size_of::<T>() == 8 && T::MAP.is_words() && Self::SLICE_OFFSET == REFERENCES_AT => REFERENCES,
        (false, false) => SLICE,
    };
    pub const SLICE_LENGTH_AT: usize = if Self::LEAF_SLICE { DESCRIPTOR_AT } else { LENGTH_AT };
    pub const SLICE_OFFSET: usize = {
        assert!(
            align_of::<T>() <= ALIGN_MAX,
            "the cells of a heap are aligned to 16 bytes: a type that wants more goes into a Box"
        );
        assert!(T::MAP.is_none() || size_of::<T>() >= 8, "an element with references has at least a word");
        align_up(Self::SLICE_LENGTH_AT + 8, align_of::<T>())
    };
    pub const SLICE_DESCRIPTOR: &'static Descriptor = &Self::describe(Self::SLICE_OFFSET);

    // ---- storages

    pub const STORAGE_OFFSET: usize = {
        assert!(!Self::DROPS, "the elements of a collection on the heap have no destructor: put them into a Gc");
        assert!(T::MAP.is_none() || size_of::<T>() >= 8, "an element with references has at least a word");
        assert!(align_of::<T>() <= ALIGN_MAX, "the cells of a heap are aligned to 16 bytes");
        align_up(CAPACITY_AT + 8, align_of::<T>())
    };
    pub const STORAGE_DESCRIPTOR: &'static Descriptor = &Self::describe(Self::STORAGE_OFFSET);

    const fn describe(offset: usize) -> Descriptor {
        Descriptor {
            trace: trace_elements::<T>,
            drop: drop_elements::<T>,
            finalize: if T::FINALIZE.is_some() { Some(finalize::<T>) } else { None },
            name: std::any::type_name::<T>,
            by_hand: T::MAP.is_by_hand(),
            map: T::MAP,
            size: size_of::<T>(),
            offset,
        }
    }
}

pub(super) const fn align_up(bytes: usize, align: usize) -> usize {
    bytes.next_multiple_of(align)
}

/// # Safety
/// There are elements of that type, initialised, in the range.
unsafe fn trace_elements<'gc, T: Trace<'gc>>(first: *const u8, range: Range<usize>, tracer: &mut Tracer<'_>) {
    for n in range {
        // SAFETY: by the caller. No unique borrow of it lasts when the collector is at work: those of a lock end with their mutation, and in a mutation only what
        // has not been written yet is recorded.
        unsafe { &*first.cast::<T>().add(n) }.trace(tracer);
    }
}

/// # Safety
/// So many elements of that type stand there, initialised, and are not used again.
unsafe fn drop_elements<T>(first: *mut u8, count: usize) {
    // SAFETY: by the caller.
    unsafe { std::ptr::slice_from_raw_parts_mut(first.cast::<T>(), count).drop_in_place() };
}

/// # Safety
/// An object of that type, in the arena of the mutation.
unsafe fn finalize<'gc, T: Trace<'gc>>(cell: Ref, mc: &Mutation<'_>) {
    if let Some(finalizer) = T::FINALIZE {
        // SAFETY: the brand is one that nobody else has: in its place any lifetime may stand that the finalizer can't look through. By the caller.
        unsafe { finalizer(Gc::from_cell(cell), &*std::ptr::from_ref(mc).cast::<Mutation<'gc>>()) };
    }
}

/// The descriptor of a cell.
///
/// # Safety
/// The cell is live or young, and of a kind that has one.
#[inline(always)]
pub(super) unsafe fn descriptor(cell: Ref) -> &'static Descriptor {
    // SAFETY: by the caller.
    unsafe { *cell.as_ptr().add(DESCRIPTOR_AT).cast::<&'static Descriptor>() }
}

/// A word of a cell.
///
/// # Safety
/// The cell is live or young, and has an initialised word there.
#[inline(always)]
pub(super) unsafe fn word(cell: Ref, at: usize) -> *mut usize {
    // SAFETY: by the caller.
    unsafe { cell.as_ptr().add(at).cast() }
}
