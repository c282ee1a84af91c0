//! [`WeakTable`]: a row of weak references, for what has many of them.
//!
//! A [`Weak`](super::Weak) may stand anywhere, so it leads to a cell of its own. Here the weak words stand in the table itself, which moves none of them: so a slot is
//! a word, and writing it needs neither an allocation nor a barrier.
//!
//! Invariants:
//! * **told-first** A slot is null, or names a cell of which the heap was told before that it is held weakly; it is emptied by the program or by the collector.
//!
//! Imports `descriptor`, `gc`, `map`, `mutation`, `trace`, `object`.

use super::descriptor::{DESCRIPTOR_AT, WEAK_SLOTS, word};
use super::gc::{Brand, Gc};
use super::map::Map;
use super::mutation::{Mutation, out_of_memory};
use super::trace::{Rootable, Trace, Tracer};
use crate::heap::OutOfMemory;
use crate::object::{Ref, Side, Verdict};
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

const FIRST_AT: usize = DESCRIPTOR_AT + 8;

/// So many slots, each with a reference that keeps nothing alive, or with none: a cache, or an index of objects that are held elsewhere. One word, `Copy`; a copy is the
/// same table.
///
/// What it reads of an object that has died is what a [`Weak`](super::Weak) reads. A slot takes 8 bytes, where a slice of those takes 24.
///
/// ```
/// use neap_gc::arena::{Arena, Gc, Rootable, Trace, WeakTable};
///
/// #[derive(Trace, Rootable)]
/// struct Root<'gc> {
///     kept: Vec<Gc<'gc, u64>>,
///     seen: WeakTable<'gc, u64>,
/// }
///
/// let mut arena = Arena::<Root>::new(|mc| Root { kept: vec![], seen: WeakTable::new(mc, 100) });
/// arena.mutate_root(|mc, root| {
///     for n in 0..100 {
///         let object = mc.alloc(n);
///         root.seen.set(mc, n as usize, Some(object));
///         root.kept.push(object);
///     }
///     root.kept.truncate(10);
/// });
/// arena.collect();
/// let found = arena.mutate(|mc, root| (0..root.seen.len()).filter_map(|n| root.seen.get(mc, n)).count());
/// assert_eq!(found, 10);
/// ```
#[repr(transparent)]
pub struct WeakTable<'gc, T: ?Sized> {
    cell: Ref,
    brand: Brand<'gc>,
    to: PhantomData<Of<T>>,
}

/// It is read and written: it may not be taken for one of a type with other lifetimes.
type Of<T> = std::cell::Cell<*const T>;

impl<T: ?Sized> Clone for WeakTable<'_, T> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}
impl<T: ?Sized> Copy for WeakTable<'_, T> {}

impl<'gc, T: ?Sized> WeakTable<'gc, T> {
    /// A table of so many empty slots.
    ///
    /// # Panics
    /// As [`Mutation::alloc`].
    pub fn new(mc: &Mutation<'gc>, slots: usize) -> Self {
        Self::try_new(mc, slots).unwrap_or_else(|error| out_of_memory(error))
    }
    /// The same, with an error for a heap without memory.
    pub fn try_new(mc: &Mutation<'gc>, slots: usize) -> Result<Self, OutOfMemory> {
        let bytes = slots.checked_mul(8).and_then(|bytes| bytes.checked_add(FIRST_AT));
        let bytes = bytes.filter(|&bytes| bytes <= isize::MAX as usize).ok_or(OutOfMemory)?;
        // SAFETY: a kind of the table, 8 bytes a slot; no reference is all zeros.
        unsafe {
            let cell = mc.heap().alloc(WEAK_SLOTS, bytes)?;
            *word(cell, DESCRIPTOR_AT) = slots;
            slot(cell, 0).write_bytes(0, slots);
            Ok(WeakTable { cell, brand: PhantomData, to: PhantomData })
        }
    }

    #[inline]
    pub fn len(self) -> usize {
        // SAFETY: branded: the cell is live or young; so below.
        unsafe { length(self.cell) }
    }
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The object in a slot, if there is one, and it lives.
    ///
    /// # Panics
    /// If there is no such slot.
    #[inline]
    pub fn get(self, mc: &Mutation<'gc>, index: usize) -> Option<Gc<'gc, T>> {
        // SAFETY: what a slot names is asked about before it is used.
        unsafe {
            let target = self.slot(index).read()?;
            mc.heap().weak_value(target).then(|| Gc::from_cell(target))
        }
    }

    /// Puts an object into a slot, or none.
    ///
    /// # Panics
    /// If there is no such slot.
    #[inline]
    pub fn set(self, mc: &Mutation<'gc>, index: usize, object: Option<Gc<'gc, T>>) {
        let place = self.slot(index);
        // SAFETY: told-first.
        unsafe {
            if let Some(object) = object {
                mc.heap().weak_hold(object.cell());
            }
            place.write(object.map(Gc::cell));
        }
    }

    #[inline(always)]
    fn slot(self, index: usize) -> *mut Option<Ref> {
        let slots = self.len();
        assert!(index < slots, "slot {index} of a table of {slots}");
        // SAFETY: it has so many.
        unsafe { slot(self.cell, index) }
    }
}

/// # Safety
/// Here and below: a cell of weak slots, live or young.
#[inline(always)]
pub(super) unsafe fn length(cell: Ref) -> usize {
    // SAFETY: by the caller.
    unsafe { *word(cell, DESCRIPTOR_AT) }
}

/// # Safety
/// As above; it has so many, or will.
#[inline(always)]
unsafe fn slot(cell: Ref, index: usize) -> *mut Option<Ref> {
    // SAFETY: by the caller.
    unsafe { cell.as_ptr().add(FIRST_AT).cast::<Option<Ref>>().add(index) }
}

/// Empties the slots of which the collector says so.
///
/// # Safety
/// As above; it has these slots.
pub(super) unsafe fn clean_slots(cell: Ref, range: Range<usize>, verdict: &mut impl FnMut(Ref, Side) -> Verdict) {
    for index in range {
        // SAFETY: by the caller; told-first.
        unsafe {
            let place = slot(cell, index);
            if place.read().is_some_and(|target| verdict(target, Side::Value) == Verdict::Clear) {
                place.write(None);
            }
        }
    }
}

// SAFETY: the reference to the cell is shown.
unsafe impl<'gc, T: ?Sized + 'gc> Trace<'gc> for WeakTable<'gc, T> {
    const MAP: Map = Map::REFERENCE;
    #[inline]
    fn trace(&self, tracer: &mut Tracer<'_>) {
        tracer.cell(self.cell);
    }
}
impl<T: Rootable> Rootable for WeakTable<'_, T> {
    type Root<'gc> = WeakTable<'gc, T::Root<'gc>>;
}

impl<T: ?Sized> fmt::Debug for WeakTable<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakTable").field("len", &self.len()).finish_non_exhaustive()
    }
}
