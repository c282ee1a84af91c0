//! [`Weak`]: a reference that does not keep its object alive.
//!
//! A `Weak` is a reference to a cell of 16 bytes that holds the weak one. So the collector has few words to look through when objects die, whatever the program's
//! own objects look like, and a `Weak` can be copied and moved as any other reference: were the weak word itself in the object, a copy could be made behind the back
//! of the pass that empties those words.
//!
//! Invariants:
//! * **written-once** The word of a weak cell is written when it is made, and emptied by the collector.
//!
//! Imports `descriptor`, `gc`, `map`, `mutation`, `trace`, `object`.

use super::descriptor::{HEADER_BYTES, WEAK};
use super::gc::{Brand, Gc};
use super::map::Map;
use super::mutation::{Mutation, out_of_memory};
use super::trace::{Rootable, Trace, Tracer};
use crate::heap::OutOfMemory;
use crate::object::{Ref, Side, Verdict};
use std::fmt;
use std::marker::PhantomData;

const CELL_BYTES: usize = HEADER_BYTES + 8;

/// A reference to an object that does not keep it alive. One word, `Copy`, and at home in any object.
///
/// It reads as `None` from the time on when the collector has found the object dead: a whole collection aside, some time after the last reference to it is gone. An
/// object with a finalizer reads so before that runs, and for good: also if the finalizer brings it back.
///
/// [`Gc::downgrade`] allocates 16 bytes, so where many are wanted of one object, copy the first; for a row of them, of many objects, there is
/// [`WeakTable`](super::WeakTable).
///
/// ```
/// use neap_gc::arena::{Arena, Gc, Lock, Rootable, Trace, Weak, field};
///
/// #[derive(Trace, Rootable)]
/// struct Root<'gc> {
///     kept: Option<Gc<'gc, u32>>,
///     seen: Weak<'gc, u32>,
/// }
///
/// let mut arena = Arena::<Root>::new(|mc| {
///     let number = mc.alloc(5);
///     Root { kept: Some(number), seen: Gc::downgrade(number, mc) }
/// });
/// arena.collect();
/// assert_eq!(arena.mutate(|mc, root| root.seen.upgrade(mc).map(|number| *number)), Some(5));
/// arena.mutate_root(|_, root| root.kept = None);
/// arena.collect();
/// assert!(arena.mutate(|mc, root| root.seen.upgrade(mc).is_none()));
/// ```
#[repr(transparent)]
pub struct Weak<'gc, T: ?Sized> {
    cell: Ref,
    brand: Brand<'gc>,
    to: PhantomData<*const T>,
}

impl<T: ?Sized> Clone for Weak<'_, T> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}
impl<T: ?Sized> Copy for Weak<'_, T> {}

impl<'gc, T: ?Sized> Gc<'gc, T> {
    /// # Panics
    /// As [`Mutation::alloc`].
    pub fn downgrade(this: Self, mc: &Mutation<'gc>) -> Weak<'gc, T> {
        Gc::try_downgrade(this, mc).unwrap_or_else(|error| out_of_memory(error))
    }
    /// The same, with an error for a heap without memory.
    pub fn try_downgrade(this: Self, mc: &Mutation<'gc>) -> Result<Weak<'gc, T>, OutOfMemory> {
        // SAFETY: branded; the heap is told of the target before the cell names it.
        unsafe {
            let cell = mc.heap().alloc(WEAK, CELL_BYTES)?;
            mc.heap().weak_hold(this.cell());
            slot(cell).write(Some(this.cell()));
            Ok(Weak { cell, brand: PhantomData, to: PhantomData })
        }
    }
}

impl<'gc, T: ?Sized> Weak<'gc, T> {
    /// The object, if it lives.
    #[inline]
    pub fn upgrade(self, mc: &Mutation<'gc>) -> Option<Gc<'gc, T>> {
        // SAFETY: the cell is live or young; what its word names is asked about before it is used.
        unsafe {
            let target = slot(self.cell).read()?;
            mc.heap().weak_value(target).then(|| Gc::from_cell(target))
        }
    }
    /// Whether both are copies of one `Weak`.
    pub fn ptr_eq(this: Self, other: Self) -> bool {
        this.cell == other.cell
    }
}

/// The word of a weak cell.
///
/// # Safety
/// A weak cell, live or young.
#[inline(always)]
unsafe fn slot(cell: Ref) -> *mut Option<Ref> {
    // SAFETY: by the caller.
    unsafe { cell.as_ptr().add(HEADER_BYTES).cast() }
}

/// Empties the word if the collector says so.
///
/// # Safety
/// A weak cell, live or young.
pub(super) unsafe fn clean_weak(cell: Ref, verdict: &mut impl FnMut(Ref, Side) -> Verdict) {
    // SAFETY: by the caller; written-once.
    unsafe {
        if slot(cell).read().is_some_and(|target| verdict(target, Side::Value) == Verdict::Clear) {
            slot(cell).write(None);
        }
    }
}

// SAFETY: the reference to the weak cell is shown.
unsafe impl<'gc, T: ?Sized + 'gc> Trace<'gc> for Weak<'gc, T> {
    const MAP: Map = Map::REFERENCE;
    #[inline]
    fn trace(&self, tracer: &mut Tracer<'_>) {
        tracer.cell(self.cell);
    }
}
impl<T: Rootable> Rootable for Weak<'_, T> {
    type Root<'gc> = Weak<'gc, T::Root<'gc>>;
}

impl<T: ?Sized> fmt::Debug for Weak<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(Weak)")
    }
}
