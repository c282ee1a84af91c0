//! [`Lock`], [`RefLock`], [`OnceLock`]: what can change in an object.
//!
//! Each can be read wherever it stands, and written only through a [`Write`], which is to say behind the barrier; before it stands in an object, by `&mut`.
//!
//! Invariants:
//! * **written-behind-a-barrier** What a lock holds changes through a `Write` or a unique borrow alone.
//! * **borrows-end** A borrow of a lock ends with its mutation. (One that is forgotten leaves a lock that counts as borrowed, and nobody who looks at it.)
//!
//! Imports `write`, `gc`, `mutation`, `map`, `trace`.

use super::gc::Gc;
use super::map::Map;
use super::mutation::Mutation;
use super::trace::{Rootable, Trace, Tracer};
use super::write::Write;
use std::cell::{BorrowError, BorrowMutError, Cell, Ref, RefCell, RefMut, UnsafeCell};
use std::fmt;

/// What no lock is: so the functions that would write to one without a barrier, which are what one tries first, can be named and not called, and the compiler says
/// what to do.
#[diagnostic::on_unimplemented(
    message = "the lock is written without a barrier",
    label = "no barrier has been",
    note = "a lock that a `Gc` leads to: `gc.set(mc, value)`, `gc.borrow_mut(mc)`",
    note = "a lock in a field of an object: `field!(Gc::write(object, mc), Type, field).set(value)`, `.borrow_mut()`"
)]
#[doc(hidden)]
pub trait BehindBarrier {}

/// A `Copy` value that can be replaced: one word for a `Gc`, no flag, no guard.
///
/// ```
/// use neap_gc::arena::{Arena, Gc, Lock};
///
/// let mut arena = Arena::<Gc<Lock<Option<Gc<str>>>>>::new(|mc| mc.alloc(Lock::new(None)));
/// arena.mutate(|mc, root| root.set(mc, Some(mc.alloc_str("tide"))));
/// assert_eq!(arena.mutate(|_, root| root.get().map(|word| word.len())), Some(4));
/// ```
///
/// A lock is written through the [`Gc`] that leads to it, or, within a larger object, through a [`field!`](super::field) of its [`Write`]. (Of a value without
/// references a plain `Cell` does as well, and needs no `Write`.)
#[derive(Default)]
#[repr(transparent)]
pub struct Lock<T: Copy> {
    value: Cell<T>,
}

impl<T: Copy> Lock<T> {
    pub const fn new(value: T) -> Lock<T> {
        Lock { value: Cell::new(value) }
    }
    #[inline(always)]
    pub fn get(&self) -> T {
        self.value.get()
    }
    /// There is none: see [`BehindBarrier`].
    #[doc(hidden)]
    pub fn set(&self, _: T)
    where
        Self: BehindBarrier,
    {
        unreachable!("no lock is behind a barrier by itself")
    }
    /// For a lock that is borrowed uniquely: in a value that is not on the heap yet, or in one that is behind its barrier.
    #[inline]
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

impl<T: Copy> Write<Lock<T>> {
    #[inline(always)]
    pub fn set(&self, value: T) {
        self.__value.value.set(value);
    }
    /// What stood in the lock.
    #[inline]
    pub fn replace(&self, value: T) -> T {
        self.__value.value.replace(value)
    }
    #[inline]
    pub fn take(&self) -> T
    where
        T: Default,
    {
        self.__value.value.take()
    }
}

impl<'gc, T: Copy + Trace<'gc>> Gc<'gc, Lock<T>> {
    #[inline(always)]
    pub fn set(self, mc: &Mutation<'gc>, value: T) {
        Gc::write(self, mc).set(value);
    }
    /// What stood in the lock.
    #[inline]
    pub fn replace(self, mc: &Mutation<'gc>, value: T) -> T {
        Gc::write(self, mc).replace(value)
    }
}

impl<'gc, T: Copy + Trace<'gc>> Gc<'gc, [Lock<T>]> {
    /// Writes to one element of a slice: of a large slice that element alone is recorded.
    ///
    /// # Panics
    /// If there is no such element.
    #[inline]
    pub fn set(self, mc: &Mutation<'gc>, index: usize, value: T) {
        Gc::write_at(self, mc, index).set(value);
    }
}

// SAFETY: what it holds is shown; it changes behind a barrier.
unsafe impl<'gc, T: Copy + Trace<'gc>> Trace<'gc> for Lock<T> {
    const MAP: Map = T::MAP.nullable();
    #[inline]
    fn trace(&self, tracer: &mut Tracer<'_>) {
        self.get().trace(tracer);
    }
}

/// Any value that can be changed in place, with borrows that are checked while the program runs, as those of a `RefCell` are.
///
/// ```
/// use neap_gc::arena::{Arena, Gc, RefLock};
///
/// let mut arena = Arena::<Gc<RefLock<Vec<Gc<str>>>>>::new(|mc| mc.alloc(RefLock::new(Vec::new())));
/// arena.mutate(|mc, words| {
///     words.borrow_mut(mc).push(mc.alloc_str("ebb"));
///     words.borrow_mut(mc).push(mc.alloc_str("flood"));
/// });
/// assert_eq!(arena.mutate(|_, words| words.borrow().len()), 2);
/// ```
///
/// The first `borrow_mut` of an epoch records every reference in the object: of a long `Vec` that takes its time, and a [`GcVec`](super::GcVec) serves better.
#[derive(Default)]
#[repr(transparent)]
pub struct RefLock<T> {
    value: RefCell<T>,
}

impl<T> RefLock<T> {
    pub const fn new(value: T) -> RefLock<T> {
        RefLock { value: RefCell::new(value) }
    }
    /// # Panics
    /// If it is borrowed mutably.
    #[inline]
    #[track_caller]
    pub fn borrow(&self) -> Ref<'_, T> {
        self.value.borrow()
    }
    #[inline]
    pub fn try_borrow(&self) -> Result<Ref<'_, T>, BorrowError> {
        self.value.try_borrow()
    }
    /// There is none: see [`BehindBarrier`].
    #[doc(hidden)]
    pub fn borrow_mut(&self) -> RefMut<'_, T>
    where
        Self: BehindBarrier,
    {
        unreachable!("no lock is behind a barrier by itself")
    }
    /// For a lock that is borrowed uniquely: see [`Lock::get_mut`].
    #[inline]
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
    #[inline]
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T> Write<RefLock<T>> {
    /// # Panics
    /// If it is borrowed.
    #[inline]
    #[track_caller]
    pub fn borrow_mut(&self) -> RefMut<'_, T> {
        self.__value.value.borrow_mut()
    }
    #[inline]
    pub fn try_borrow_mut(&self) -> Result<RefMut<'_, T>, BorrowMutError> {
        self.__value.value.try_borrow_mut()
    }
}

impl<'gc, T: Trace<'gc>> Gc<'gc, RefLock<T>> {
    /// # Panics
    /// If it is borrowed.
    #[inline]
    #[track_caller]
    pub fn borrow_mut(self, mc: &Mutation<'gc>) -> RefMut<'gc, T> {
        Gc::write(self, mc).borrow_mut()
    }
    #[inline]
    pub fn try_borrow_mut(self, mc: &Mutation<'gc>) -> Result<RefMut<'gc, T>, BorrowMutError> {
        Gc::write(self, mc).try_borrow_mut()
    }
}

// SAFETY: what it holds is shown; it changes behind a barrier. Where a reference stands in a `RefCell` is not known.
unsafe impl<'gc, T: Trace<'gc>> Trace<'gc> for RefLock<T> {
    const MAP: Map = Map::of_variants(&[T::MAP]);
    #[inline]
    fn trace(&self, tracer: &mut Tracer<'_>) {
        // SAFETY: borrows-end; in a mutation only what is recorded for the first time is looked at, and a unique borrow comes after that.
        unsafe { &*self.value.as_ptr() }.trace(tracer);
    }
}

/// A value that is put in later, once.
///
/// ```
/// use neap_gc::arena::{Arena, Gc, OnceLock};
///
/// let mut arena = Arena::<Gc<OnceLock<Gc<str>>>>::new(|mc| mc.alloc(OnceLock::new()));
/// arena.mutate(|mc, name| {
///     assert!(name.set(mc, mc.alloc_str("first")).is_ok());
///     assert!(name.set(mc, mc.alloc_str("second")).is_err());
///     assert_eq!(name.get().map(|name| &**name), Some("first"));
/// });
/// ```
#[derive(Default)]
#[repr(transparent)]
pub struct OnceLock<T> {
    value: UnsafeCell<Option<T>>,
}

impl<T> OnceLock<T> {
    pub const fn new() -> OnceLock<T> {
        OnceLock { value: UnsafeCell::new(None) }
    }
    #[inline]
    pub fn get(&self) -> Option<&T> {
        // SAFETY: it is written once, when nobody can have borrowed what is not there.
        unsafe { &*self.value.get() }.as_ref()
    }
    /// There is none: see [`BehindBarrier`].
    #[doc(hidden)]
    pub fn set(&self, _: T) -> Result<(), T>
    where
        Self: BehindBarrier,
    {
        unreachable!("no lock is behind a barrier by itself")
    }
    /// For a lock that is borrowed uniquely: see [`Lock::get_mut`].
    #[inline]
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.value.get_mut().as_mut()
    }
}

impl<T> Write<OnceLock<T>> {
    /// `Err` with the value if there is one already.
    #[inline]
    pub fn set(&self, value: T) -> Result<(), T> {
        if self.get().is_some() {
            return Err(value);
        }
        // SAFETY: nobody has borrowed what is not there.
        unsafe { *self.__value.value.get() = Some(value) };
        Ok(())
    }
}

impl<'gc, T: Trace<'gc>> Gc<'gc, OnceLock<T>> {
    /// `Err` with the value if there is one already.
    #[inline]
    pub fn set(self, mc: &Mutation<'gc>, value: T) -> Result<(), T> {
        Gc::write(self, mc).set(value)
    }
    /// What is in it, or what `make` makes now.
    ///
    /// # Panics
    /// If `make` puts something in itself.
    pub fn get_or_init(self, mc: &Mutation<'gc>, make: impl FnOnce() -> T) -> &'gc T {
        if self.get().is_none() {
            let made = make();
            assert!(self.set(mc, made).is_ok(), "what makes the value of a OnceLock has put one in itself");
        }
        Gc::to_ref(self).get().expect("put in just now")
    }
}

// SAFETY: what it holds is shown; it changes behind a barrier.
unsafe impl<'gc, T: Trace<'gc>> Trace<'gc> for OnceLock<T> {
    const MAP: Map = T::MAP.optional::<T>();
    #[inline]
    fn trace(&self, tracer: &mut Tracer<'_>) {
        if let Some(value) = self.get() {
            value.trace(tracer);
        }
    }
}

impl<T: Copy> Clone for Lock<T> {
    fn clone(&self) -> Self {
        Lock::new(self.get())
    }
}
impl<T: Clone> Clone for RefLock<T> {
    fn clone(&self) -> Self {
        RefLock::new(self.borrow().clone())
    }
}
impl<T: Clone> Clone for OnceLock<T> {
    fn clone(&self) -> Self {
        OnceLock { value: UnsafeCell::new(self.get().cloned()) }
    }
}
impl<T: Copy + fmt::Debug> fmt::Debug for Lock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lock").field(&self.get()).finish()
    }
}
impl<T: fmt::Debug> fmt::Debug for RefLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.try_borrow() {
            Ok(value) => f.debug_tuple("RefLock").field(&*value).finish(),
            Err(_) => f.write_str("RefLock(<borrowed>)"),
        }
    }
}
impl<T: fmt::Debug> fmt::Debug for OnceLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OnceLock").field(&self.get()).finish()
    }
}

impl<T: Copy + Rootable> Rootable for Lock<T>
where
    for<'gc> T::Root<'gc>: Copy,
{
    type Root<'gc> = Lock<T::Root<'gc>>;
}
impl<T: Rootable> Rootable for RefLock<T> {
    type Root<'gc> = RefLock<T::Root<'gc>>;
}
impl<T: Rootable> Rootable for OnceLock<T> {
    type Root<'gc> = OnceLock<T::Root<'gc>>;
}
