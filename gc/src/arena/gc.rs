//! [`Gc`]: a reference to an object of an arena.
//!
//! Invariants:
//! * **branded** A `Gc<'gc, T>` exists only in the mutation whose brand is `'gc`, or in an object of that arena; so while the program can look through it nothing is
//!   collected, and its cell is live or young: it was allocated in this mutation, or loaded from what the collector found to be alive.
//! * **typed** The cell of a `Gc<'gc, T>` has a value of `T`, at its place for `T`.
//!
//! Imports `stored`, `write`, `mutation`, `object`.

use super::mutation::Mutation;
use super::stored::Stored;
use super::trace::{Finalize, Trace};
use super::write::Write;
use crate::object::Ref;
use std::cell::Cell;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::ops::Deref;

/// A lifetime that is equal to no other: neither longer nor shorter will do.
pub(super) type Brand<'gc> = PhantomData<Cell<&'gc ()>>;

/// A reference to an object on the heap of an arena: one word, and `Copy`.
///
/// It keeps its object alive as long as it can be reached from the root of the arena, a [`DynamicRoot`](super::DynamicRoot), or the mutation that is going on. It
/// leads to the object by `Deref`; what may change in it are [`Lock`](super::Lock)s.
///
/// `'gc` is the *brand* of the arena in the mutation that is going on: no other arena has it, and it ends with the mutation, so that the compiler refuses what would
/// let a `Gc` go astray.
///
/// Two `Gc` are equal if they lead to the same object; `Hash` and the order go with that. (What is in the objects is compared by `*a == *b`; graphs with cycles
/// could not be, to their end. The order is that of addresses: different from run to run.) `Debug` shows what is in the object, as `Rc` does; `{:p}` its address.
///
/// ```
/// use neap_gc::arena::{Arena, Gc};
///
/// let mut arena = Arena::<()>::new(|_| ());
/// arena.mutate(|mc, _| {
///     let (a, b) = (mc.alloc(5), mc.alloc(5));
///     assert!(*a == *b && a != b);
///     assert_eq!(size_of_val(&Some(a)), 8);
///     // Thin, whatever it leads to.
///     let name: Gc<str> = mc.alloc_str("neap");
///     assert_eq!((name.len(), size_of_val(&name)), (4, 8));
/// });
/// ```
#[repr(transparent)]
pub struct Gc<'gc, T: ?Sized> {
    /// A pointer: so a `Gc` is neither `Send` nor `Sync`.
    cell: Ref,
    brand: Brand<'gc>,
    to: PhantomData<fn() -> *const T>,
}

impl<T: ?Sized> Clone for Gc<'_, T> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}
impl<T: ?Sized> Copy for Gc<'_, T> {}

impl<T: ?Sized> Gc<'_, T> {
    /// # Safety
    /// branded, typed.
    #[inline(always)]
    pub(super) const unsafe fn from_cell(cell: Ref) -> Self {
        Gc { cell, brand: PhantomData, to: PhantomData }
    }
    #[inline(always)]
    pub(super) const fn cell(self) -> Ref {
        self.cell
    }
    /// The address of the object: what tells it from all others that are alive.
    pub fn addr(this: Self) -> usize {
        this.cell.as_ptr().addr()
    }
    /// Whether both lead to the same object; as `==` does, for objects whose types differ.
    #[inline]
    pub fn ptr_eq<U: ?Sized>(this: Self, other: Gc<'_, U>) -> bool {
        this.cell == other.cell
    }
}

impl<'gc, T: ?Sized + Stored<'gc>> Gc<'gc, T> {
    /// The object, for as long as the mutation lasts.
    #[inline(always)]
    pub fn to_ref(this: Self) -> &'gc T {
        // SAFETY: branded, typed; nothing but locks changes in it.
        unsafe { &*T::place(this.cell) }
    }

    /// The object with the right to write to its locks, which lasts as long as the mutation: the barrier for the whole object.
    ///
    /// The first write to an object in an epoch records the references in it, in proportion to how many they are; all others cost a test. Of a slice single elements
    /// can be written behind a barrier of their own: [`Gc::write_at`](Gc::write_at).
    ///
    /// ```
    /// use neap_gc::arena::{Arena, Gc, Lock, Trace, field};
    ///
    /// #[derive(Trace)]
    /// struct Node<'gc> {
    ///     next: Lock<Option<Gc<'gc, Node<'gc>>>>,
    /// }
    ///
    /// let mut arena = Arena::<()>::new(|_| ());
    /// arena.mutate(|mc, _| {
    ///     let node = mc.alloc(Node { next: Lock::new(None) });
    ///     field!(Gc::write(node, mc), Node, next).set(Some(node));
    ///     assert!(node.next.get() == Some(node));
    /// });
    /// ```
    #[inline(always)]
    pub fn write(this: Self, mc: &Mutation<'gc>) -> &'gc Write<T> {
        if T::REFERS && T::INDEXED {
            mc.barrier_slots(this.cell);
        } else if T::REFERS {
            mc.barrier(this.cell);
        }
        // SAFETY: the barrier has been; what it recorded stays recorded until the mutation is over.
        unsafe { Write::assume(Gc::to_ref(this)) }
    }
}

impl<'gc, T: Trace<'gc>> Gc<'gc, [T]> {
    /// An element with the right to write to its locks: the barrier for this element alone, if the slice is large (512 bytes).
    ///
    /// # Panics
    /// If there is no such element.
    #[inline]
    pub fn write_at(this: Self, mc: &Mutation<'gc>, index: usize) -> &'gc Write<T> {
        let element = &Gc::to_ref(this)[index];
        if !T::MAP.is_none() {
            mc.barrier_at(this.cell, index);
        }
        // SAFETY: as in `write`, for a slot.
        unsafe { Write::assume(element) }
    }
}

impl<'gc, T: Finalize<'gc>> Gc<'gc, T> {
    /// Gives the object a finalizer: [`Finalize::finalize`] will run when it has died. Once, however often it was given.
    ///
    /// One that is given by a finalizer is held back until the program has allocated as much as is in use, or a [`collect_cycles`](super::Arena::collect_cycles):
    /// else an object that gives itself a finalizer in its finalizer would be finalized without end.
    ///
    /// A type that does not say that it has one is refused when the program is built:
    ///
    /// ```compile_fail,E0080
    /// use neap_gc::arena::{Arena, Finalize, Gc, Mutation, Trace};
    ///
    /// #[derive(Trace)] // #[trace(finalize)] is missing.
    /// struct Last(u32);
    /// impl<'gc> Finalize<'gc> for Last {
    ///     fn finalize(_: Gc<'gc, Self>, _: &'gc Mutation<'gc>) {}
    /// }
    /// Arena::<()>::new(|_| ()).mutate(|mc, _| Gc::finalize(mc.alloc(Last(1)), mc));
    /// ```
    pub fn finalize(this: Self, mc: &Mutation<'gc>) {
        const {
            assert!(
                T::FINALIZE.is_some(),
                "the type of the object has a finalizer, and does not say so: add `#[trace(finalize)]` to its `#[derive(Trace)]`"
            )
        };
        mc.set_finalizer(this.cell);
    }
}

impl<'gc, T: ?Sized + Stored<'gc>> Deref for Gc<'gc, T> {
    type Target = T;
    #[inline(always)]
    fn deref(&self) -> &T {
        Gc::to_ref(*self)
    }
}
impl<'gc, T: ?Sized + Stored<'gc>> AsRef<T> for Gc<'gc, T> {
    fn as_ref(&self) -> &T {
        self
    }
}

impl<T: ?Sized> PartialEq for Gc<'_, T> {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.cell == other.cell
    }
}
impl<T: ?Sized> Eq for Gc<'_, T> {}
impl<T: ?Sized> PartialOrd for Gc<'_, T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<T: ?Sized> Ord for Gc<'_, T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        Gc::addr(*self).cmp(&Gc::addr(*other))
    }
}
impl<T: ?Sized> Hash for Gc<'_, T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Gc::addr(*self).hash(state);
    }
}

impl<'gc, T: ?Sized + Stored<'gc> + fmt::Debug> fmt::Debug for Gc<'gc, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
impl<'gc, T: ?Sized + Stored<'gc> + fmt::Display> fmt::Display for Gc<'gc, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
impl<T: ?Sized> fmt::Pointer for Gc<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cell.as_ptr().fmt(f)
    }
}
