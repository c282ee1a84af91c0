//! [`GcVec`]: a vector on the heap.
//!
//! Imports `gc`, `lock`, `mutation`, `storage`, `trace`.

use super::gc::Gc;
use super::lock::Lock;
use super::mutation::{Mutation, out_of_memory};
use super::storage::Storage;
use super::trace::{Rootable, Trace};
use crate::heap::OutOfMemory;
use std::fmt;

/// A vector whose elements stand on the heap of the arena, so that they count in its bytes and against its limit, and die with it.
///
/// It is a reference to the vector: one word, `Copy`, as a list is in most languages; a copy is the same vector. Elements are `Copy` (and so have no destructor):
/// references, numbers, enums of both. Everything that changes it takes the [`Mutation`], and has passed the barrier: of a vector of 512 bytes or more, for the
/// elements that are written alone.
///
/// **Growth** A vector above 8 KiB grows where it stands: nothing is copied, and no pause comes of it. Below that, or where the address space behind it is not free,
/// it is copied into one twice as large; the collector has no more work with a copy than with what was written, however long it is, but the copying itself takes its
/// time (about a millisecond for 10 MB).
///
/// ```
/// use neap_gc::arena::{Arena, GcVec};
///
/// let mut arena = Arena::<GcVec<u32>>::new(|mc| GcVec::new(mc));
/// for n in 0..1_000 {
///     arena.mutate(|mc, numbers| numbers.push(mc, n));
/// }
/// arena.mutate(|mc, numbers| {
///     numbers.set(mc, 0, 10);
///     assert_eq!((numbers.len(), numbers.get(0), numbers.get(1_000)), (1_000, Some(10), None));
///     assert_eq!(numbers.pop(mc), Some(999));
///     assert_eq!(numbers.iter().map(u64::from).sum::<u64>(), 998 * 999 / 2 + 10);
/// });
/// ```
#[derive(Trace)]
#[trace(bound = "T: 'gc")]
#[repr(transparent)]
pub struct GcVec<'gc, T> {
    head: Gc<'gc, Lock<Option<Storage<'gc, T>>>>,
}

impl<T> Clone for GcVec<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for GcVec<'_, T> {}

impl<T: Rootable> Rootable for GcVec<'_, T> {
    type Root<'gc> = GcVec<'gc, T::Root<'gc>>;
}

impl<'gc, T: Copy + Trace<'gc>> GcVec<'gc, T> {
    /// An empty vector: a cell of 16 bytes.
    ///
    /// # Panics
    /// As [`Mutation::alloc`]; so do all functions that make the vector longer and have no `try_` in their names.
    pub fn new(mc: &Mutation<'gc>) -> Self {
        Self::try_new(mc).unwrap_or_else(|error| out_of_memory(error))
    }
    /// The same, with an error for a heap without memory.
    pub fn try_new(mc: &Mutation<'gc>) -> Result<Self, OutOfMemory> {
        Ok(GcVec { head: mc.try_alloc(Lock::new(None))? })
    }
    /// With room for so many elements.
    pub fn try_with_capacity(mc: &Mutation<'gc>, capacity: usize) -> Result<Self, OutOfMemory> {
        Ok(GcVec { head: mc.try_alloc(Lock::new(Some(Storage::new(mc, capacity)?)))? })
    }

    #[inline]
    pub fn len(self) -> usize {
        self.head.get().map_or(0, Storage::len)
    }
    #[inline]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
    pub fn capacity(self) -> usize {
        self.head.get().map_or(0, Storage::capacity)
    }
    /// Whether both are the same vector.
    pub fn ptr_eq(self, other: Self) -> bool {
        self.head == other.head
    }

    #[inline]
    pub fn get(self, index: usize) -> Option<T> {
        let storage = self.head.get()?;
        (index < storage.len()).then(|| storage.get(index))
    }
    pub fn first(self) -> Option<T> {
        self.get(0)
    }
    pub fn last(self) -> Option<T> {
        self.get(self.len().checked_sub(1)?)
    }
    /// # Panics
    /// If there is no such element.
    #[inline]
    #[track_caller]
    pub fn set(self, mc: &Mutation<'gc>, index: usize, element: T) {
        match self.head.get() {
            Some(storage) => storage.set(mc, index, element),
            None => panic!("index {index} of an empty vector"),
        }
    }
    /// # Panics
    /// If there is no such element.
    #[track_caller]
    pub fn swap(self, mc: &Mutation<'gc>, a: usize, b: usize) {
        let (Some(x), Some(y)) = (self.get(a), self.get(b)) else { panic!("elements {a} and {b} of a vector of {}", self.len()) };
        self.set(mc, a, y);
        self.set(mc, b, x);
    }

    #[inline]
    pub fn push(self, mc: &Mutation<'gc>, element: T) {
        if let Err(error) = self.try_push(mc, element) {
            out_of_memory(error);
        }
    }
    /// The same, with an error for a heap without memory; then the vector is as it was.
    #[inline]
    pub fn try_push(self, mc: &Mutation<'gc>, element: T) -> Result<(), OutOfMemory> {
        let storage = match self.head.get() {
            Some(storage) if storage.len() < storage.capacity() => storage,
            _ => self.with_room(mc, 1)?,
        };
        storage.push(mc, element);
        Ok(())
    }
    /// Takes the last element away.
    #[inline]
    pub fn pop(self, mc: &Mutation<'gc>) -> Option<T> {
        self.head.get()?.pop(mc)
    }
    /// Room for `more` elements.
    pub fn try_reserve(self, mc: &Mutation<'gc>, more: usize) -> Result<(), OutOfMemory> {
        if self.capacity() - self.len() < more {
            self.with_room(mc, more)?;
        }
        Ok(())
    }

    fn with_room(self, mc: &Mutation<'gc>, more: usize) -> Result<Storage<'gc, T>, OutOfMemory> {
        let old = self.head.get();
        let new = match old {
            Some(storage) => storage.with_room(mc, more)?,
            None => Storage::new(mc, more.max(4))?,
        };
        if old.is_none_or(|old| !old.is(new)) {
            self.head.set(mc, Some(new));
        }
        Ok(new)
    }

    /// Puts an element in front of the one at `index`: takes as long as there are elements behind.
    ///
    /// # Panics
    /// If `index` is beyond the end.
    #[track_caller]
    pub fn insert(self, mc: &Mutation<'gc>, index: usize, element: T) {
        assert!(index <= self.len(), "an insertion at {index} into a vector of {}", self.len());
        match self.try_reserve(mc, 1) {
            Ok(()) => self.head.get().expect("reserved").insert(mc, index, element),
            Err(error) => out_of_memory(error),
        }
    }
    /// Takes an element out: takes as long as there are elements behind.
    ///
    /// # Panics
    /// If there is no such element.
    #[track_caller]
    pub fn remove(self, mc: &Mutation<'gc>, index: usize) -> T {
        assert!(index < self.len(), "index {index} of a vector of {}", self.len());
        self.head.get().expect("not empty").remove(mc, index)
    }
    /// Takes an element out, and puts the last one in its place.
    ///
    /// # Panics
    /// If there is no such element.
    #[track_caller]
    pub fn swap_remove(self, mc: &Mutation<'gc>, index: usize) -> T {
        let removed = self.get(index).unwrap_or_else(|| panic!("index {index} of a vector of {}", self.len()));
        if let Some(last) = self.pop(mc)
            && index < self.len()
        {
            self.set(mc, index, last);
        }
        removed
    }
    /// The room stays; [`GcVec::clear`] gives it back.
    pub fn truncate(self, mc: &Mutation<'gc>, len: usize) {
        if let Some(storage) = self.head.get() {
            storage.truncate(mc, len);
        }
    }
    /// Makes it as it was when it was new: constant time, the collector takes the elements apart in slices.
    pub fn clear(self, mc: &Mutation<'gc>) {
        self.head.set(mc, None);
    }
    pub fn extend(self, mc: &Mutation<'gc>, elements: impl IntoIterator<Item = T>) {
        let elements = elements.into_iter();
        if let Err(error) = self.try_reserve(mc, elements.size_hint().0) {
            out_of_memory(error);
        }
        elements.for_each(|element| self.push(mc, element));
    }

    /// The elements in order. What is pushed meanwhile is seen, what is popped is not.
    pub fn iter(self) -> Iter<'gc, T> {
        Iter { vec: self, next: 0 }
    }
}

/// The elements of a [`GcVec`].
pub struct Iter<'gc, T> {
    vec: GcVec<'gc, T>,
    next: usize,
}

impl<'gc, T: Copy + Trace<'gc>> Iterator for Iter<'gc, T> {
    type Item = T;
    #[inline]
    fn next(&mut self) -> Option<T> {
        let element = self.vec.get(self.next)?;
        self.next += 1;
        Some(element)
    }
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.vec.len().saturating_sub(self.next), None)
    }
}

impl<'gc, T: Copy + Trace<'gc>> IntoIterator for GcVec<'gc, T> {
    type Item = T;
    type IntoIter = Iter<'gc, T>;
    fn into_iter(self) -> Iter<'gc, T> {
        self.iter()
    }
}
impl<'gc, T: Copy + Trace<'gc> + fmt::Debug> fmt::Debug for GcVec<'gc, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
