//! [`Write`]: the right to write to what stands in an object, which only the barrier gives.
//!
//! Invariants:
//! * **recorded** A `Write<T>` is in an object whose references were recorded in this epoch (or that is young), or it was made of a unique borrow. An epoch does not end
//!   while it can be used, since it does not outlast the mutation.
//! * **no-way-out** From a `Write` other `Write`s are made only of what the same object owns: never of what is behind a `Gc`, or shared.
//!
//! Imports nothing of the arena.

use std::ops::{Deref, Index};

/// A place in an object that may be written to: what [`Gc::write`](super::Gc::write) gives. A lock in it is written through this; one in a field is found by
/// [`field!`](super::field), one in a container by the functions here.
///
/// ```
/// use neap_gc::arena::{Arena, Gc, Lock, Trace, field};
///
/// #[derive(Trace)]
/// struct Table<'gc> {
///     rows: Vec<Lock<Option<Gc<'gc, str>>>>,
/// }
///
/// let mut arena = Arena::<()>::new(|_| ());
/// arena.mutate(|mc, _| {
///     let table = mc.alloc(Table { rows: vec![Lock::new(None); 3] });
///     let rows = field!(Gc::write(table, mc), Table, rows);
///     rows[2].set(Some(mc.alloc_str("last")));
///     assert_eq!(table.rows[2].get().as_deref(), Some("last"));
/// });
/// ```
#[repr(transparent)]
pub struct Write<T: ?Sized> {
    #[doc(hidden)]
    pub __value: T,
}

impl<T: ?Sized> Write<T> {
    /// # Safety
    /// recorded.
    #[doc(hidden)]
    #[inline(always)]
    pub const unsafe fn assume(value: &T) -> &Write<T> {
        // SAFETY: the same layout.
        unsafe { &*(std::ptr::from_ref(value) as *const Write<T>) }
    }
    /// A field of the value itself, to write to.
    ///
    /// # Panics
    /// If the field is no part of it. (The compiler knows that it is one, and leaves the question out.)
    #[doc(hidden)]
    #[inline(always)]
    #[track_caller]
    pub fn __field<'a, F>(&'a self, field: &'a F) -> &'a Write<F>
    where
        T: Sized,
    {
        let offset = std::ptr::from_ref(field).addr().wrapping_sub(std::ptr::from_ref(self).addr());
        assert!(
            offset <= size_of::<T>() && size_of::<F>() <= size_of::<T>() - offset,
            "not a field of the place that may be written to"
        );
        // SAFETY: recorded, and within it.
        unsafe { Write::assume(field) }
    }
    /// What is borrowed uniquely may be written: it is not in an object yet, or behind a barrier already.
    #[inline]
    pub fn from_mut(value: &mut T) -> &mut Write<T> {
        // SAFETY: the same layout.
        unsafe { &mut *(std::ptr::from_mut(value) as *mut Write<T>) }
    }
}

impl<T: ?Sized> Deref for Write<T> {
    type Target = T;
    #[inline(always)]
    fn deref(&self) -> &T {
        &self.__value
    }
}

impl<T> Write<Option<T>> {
    #[inline]
    pub fn as_write(&self) -> Option<&Write<T>> {
        // SAFETY: recorded, and within it.
        self.__value.as_ref().map(|value| unsafe { Write::assume(value) })
    }
}
impl<T: ?Sized> Write<Box<T>> {
    /// What is in the box.
    #[inline]
    pub fn as_write(&self) -> &Write<T> {
        // SAFETY: recorded: the object owns it.
        unsafe { Write::assume(&*self.__value) }
    }
}

impl<T> Index<usize> for Write<[T]> {
    type Output = Write<T>;
    #[inline]
    fn index(&self, index: usize) -> &Write<T> {
        // SAFETY: recorded, and within it.
        unsafe { Write::assume(&self.__value[index]) }
    }
}
impl<T, const N: usize> Index<usize> for Write<[T; N]> {
    type Output = Write<T>;
    #[inline]
    fn index(&self, index: usize) -> &Write<T> {
        // SAFETY: recorded, and within it.
        unsafe { Write::assume(&self.__value[index]) }
    }
}
impl<T> Index<usize> for Write<Vec<T>> {
    type Output = Write<T>;
    #[inline]
    fn index(&self, index: usize) -> &Write<T> {
        // SAFETY: recorded: the object owns it.
        unsafe { Write::assume(&self.__value[index]) }
    }
}

/// A field of a place that may be written to: `field!(write, Type, field)`. The type is named so that only a field of its own is found, never one of something that it
/// leads to.
///
/// ```
/// use neap_gc::arena::{Arena, Gc, Lock, field};
///
/// let mut arena = Arena::<()>::new(|_| ());
/// arena.mutate(|mc, _| {
///     #[derive(neap_gc::arena::Trace)]
///     struct Pair<'gc>(Lock<Option<Gc<'gc, str>>>, u8);
///     let pair = mc.alloc(Pair(Lock::new(None), 0));
///     field!(Gc::write(pair, mc), Pair, 0).set(Some(mc.alloc_str("head")));
/// });
/// ```
#[doc(hidden)]
#[macro_export]
macro_rules! __arena_field {
    ($write:expr, $type:path, $field:tt) => {{
        let write: &$crate::arena::Write<_> = $write;
        // A pattern does not go through `Deref`; that it has not gone through a reference, either, is looked at.
        let $crate::arena::Write { __value: $type { $field: field, .. } } = write;
        $crate::arena::Write::__field(write, field)
    }};
}
pub use crate::__arena_field as field;

/// A field of one variant of an enum that may be written to: `variant!(write, Enum::Variant, field)`, `None` if it is another variant that is there.
///
/// ```
/// use neap_gc::arena::{Arena, Gc, Lock, Trace, variant};
///
/// #[derive(Trace)]
/// enum Shape<'gc> {
///     Point,
///     Group { first: Lock<Option<Gc<'gc, Shape<'gc>>>> },
///     Named(Gc<'gc, str>, Lock<Option<Gc<'gc, Shape<'gc>>>>),
/// }
///
/// let mut arena = Arena::<()>::new(|_| ());
/// arena.mutate(|mc, _| {
///     let group = mc.alloc(Shape::Group { first: Lock::new(None) });
///     variant!(Gc::write(group, mc), Shape::Group, first).unwrap().set(Some(mc.alloc(Shape::Point)));
///     let Shape::Group { first } = &*group else { unreachable!() };
///     assert!(matches!(first.get().as_deref(), Some(Shape::Point)));
///     let named = mc.alloc(Shape::Named(mc.alloc_str("name"), Lock::new(None)));
///     variant!(Gc::write(named, mc), Shape::Named, 1).unwrap().set(Some(group));
///     assert!(variant!(Gc::write(named, mc), Shape::Group, first).is_none());
/// });
/// ```
#[doc(hidden)]
#[macro_export]
macro_rules! __arena_variant {
    ($write:expr, $variant:path, $field:tt) => {{
        let write: &$crate::arena::Write<_> = $write;
        // As in `field!`.
        #[allow(unreachable_patterns)]
        match write {
            $crate::arena::Write { __value: $variant { $field: field, .. } } => {
                ::core::option::Option::Some($crate::arena::Write::__field(write, field))
            }
            _ => ::core::option::Option::None,
        }
    }};
}
pub use crate::__arena_variant as variant;
