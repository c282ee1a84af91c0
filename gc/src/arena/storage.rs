//! Storages: the arrays of the collections on the heap, with room for more elements than are in use.
//!
//! Each slot has a barrier of its own once the storage is large. A storage above 8 KiB grows where it stands, as long as the address space behind it is free; any
//! other is replaced by a larger one, which takes over the counts of its elements.
//!
//! Invariants:
//! * **in-use-is-initialised** The elements below the length are initialised; the collector looks at no others. So the barrier for a slot comes before the length
//!   passes it, either way.
//! * **replaced-is-forgotten** A storage that has been replaced has length 0, and its collection does not refer to it any more.
//!
//! Imports `descriptor`, `gc`, `map`, `mutation`, `trace`.

use super::descriptor::{CAPACITY_AT, LENGTH_AT, Layout, STORAGE, word};
use super::gc::Brand;
use super::map::Map;
use super::mutation::{Mutation, describe};
use super::trace::{Trace, Tracer};
use crate::heap::OutOfMemory;
use crate::object::Ref;
use std::marker::PhantomData;
use std::ops::Range;

/// Grows in place by this part, of whole pages.
const GROWTH_PART: usize = 4;
const PAGE_BYTES: usize = 4096;
/// A cell up to this size stands in a block, and can't grow in place.
const SMALL_BYTES: usize = 8 << 10;
const SMALLEST: usize = 4;

/// A reference to a storage. (A storage is no value that a program has; it is handled by what it is made of.)
pub(super) struct Storage<'gc, T> {
    cell: Ref,
    brand: Brand<'gc>,
    of: PhantomData<*const T>,
}

impl<T> Clone for Storage<'_, T> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Storage<'_, T> {}

// SAFETY: the reference to the cell is shown.
unsafe impl<'gc, T: 'gc> Trace<'gc> for Storage<'gc, T> {
    const MAP: Map = Map::REFERENCE;
    #[inline]
    fn trace(&self, tracer: &mut Tracer<'_>) {
        tracer.cell(self.cell);
    }
}

impl<'gc, T: Copy + Trace<'gc>> Storage<'gc, T> {
    /// An empty one.
    pub fn new(mc: &Mutation<'gc>, capacity: usize) -> Result<Self, OutOfMemory> {
        let bytes = Self::bytes(capacity).ok_or(OutOfMemory)?;
        // SAFETY: a kind of the table; elements with references have a word each.
        unsafe {
            let cell = mc.heap().alloc(STORAGE, bytes)?;
            describe(cell, Layout::<T>::STORAGE_DESCRIPTOR);
            *word(cell, LENGTH_AT) = 0;
            *word(cell, CAPACITY_AT) = capacity;
            Ok(Storage { cell, brand: PhantomData, of: PhantomData })
        }
    }
    /// One that is full of `element`.
    pub fn filled(mc: &Mutation<'gc>, capacity: usize, element: T) -> Result<Self, OutOfMemory> {
        let new = Self::new(mc, capacity)?;
        (0..capacity).for_each(|_| new.push(mc, element));
        Ok(new)
    }

    fn bytes(capacity: usize) -> Option<usize> {
        let bytes = capacity.checked_mul(size_of::<T>())?.checked_add(Layout::<T>::STORAGE_OFFSET)?;
        (bytes <= isize::MAX as usize).then_some(bytes)
    }

    #[inline(always)]
    pub fn len(self) -> usize {
        // SAFETY: a storage.
        unsafe { *word(self.cell, LENGTH_AT) }
    }
    #[inline(always)]
    pub fn capacity(self) -> usize {
        // SAFETY: a storage.
        unsafe { *word(self.cell, CAPACITY_AT) }
    }
    #[inline(always)]
    fn at(self, index: usize) -> *mut T {
        // SAFETY: callers stay within the capacity.
        unsafe { self.cell.as_ptr().add(Layout::<T>::STORAGE_OFFSET).cast::<T>().add(index) }
    }
    #[inline(always)]
    fn set_len(self, len: usize) {
        // SAFETY: a storage.
        unsafe { *word(self.cell, LENGTH_AT) = len };
    }

    #[inline(always)]
    #[track_caller]
    pub fn get(self, index: usize) -> T {
        assert!(index < self.len(), "index {index} of a collection of {}", self.len());
        // SAFETY: in-use-is-initialised.
        unsafe { self.at(index).read() }
    }
    #[inline(always)]
    #[track_caller]
    pub fn set(self, mc: &Mutation<'gc>, index: usize, element: T) {
        assert!(index < self.len(), "index {index} of a collection of {}", self.len());
        self.barrier(mc, index);
        self.write(index, element);
    }
    /// The same if neither the old element nor the new one has a reference.
    #[inline(always)]
    pub fn set_plain(self, index: usize, element: T) {
        assert!(index < self.len());
        self.write(index, element);
    }

    #[inline(always)]
    fn barrier(self, mc: &Mutation<'gc>, index: usize) {
        if !T::MAP.is_none() {
            mc.barrier_at(self.cell, index);
        }
    }
    fn barrier_range(self, mc: &Mutation<'gc>, range: Range<usize>) {
        if !T::MAP.is_none() {
            // SAFETY: branded; it has these slots.
            unsafe { mc.heap().barrier_range(self.cell, range) };
        }
    }
    #[inline(always)]
    fn write(self, index: usize, element: T) {
        // SAFETY: within the capacity.
        unsafe { self.at(index).write(element) };
    }

    /// There must be room.
    #[inline(always)]
    pub fn push(self, mc: &Mutation<'gc>, element: T) {
        let len = self.len();
        assert!(len < self.capacity());
        self.barrier(mc, len);
        self.write(len, element);
        self.set_len(len + 1);
    }
    /// Takes the last away.
    #[inline]
    pub fn pop(self, mc: &Mutation<'gc>) -> Option<T> {
        let last = self.len().checked_sub(1)?;
        self.barrier(mc, last);
        self.set_len(last);
        // SAFETY: it was in use.
        Some(unsafe { self.at(last).read() })
    }
    pub fn truncate(self, mc: &Mutation<'gc>, len: usize) {
        if len < self.len() {
            self.barrier_range(mc, len..self.len());
            self.set_len(len);
        }
    }
    /// There must be room.
    pub fn insert(self, mc: &Mutation<'gc>, index: usize, element: T) {
        let len = self.len();
        assert!(index <= len && len < self.capacity(), "an insertion at {index} into a collection of {len}");
        self.barrier_range(mc, index..len + 1);
        // SAFETY: within the capacity.
        unsafe { self.at(index).copy_to(self.at(index + 1), len - index) };
        self.write(index, element);
        self.set_len(len + 1);
    }
    pub fn remove(self, mc: &Mutation<'gc>, index: usize) -> T {
        let (len, removed) = (self.len(), self.get(index));
        self.barrier_range(mc, index..len);
        // SAFETY: in use.
        unsafe { self.at(index + 1).copy_to(self.at(index), len - index - 1) };
        self.set_len(len - 1);
        removed
    }
    /// Moves the elements from `index` on to a new storage, which has room for `capacity`.
    pub fn split_off(self, mc: &Mutation<'gc>, index: usize, capacity: usize) -> Result<Self, OutOfMemory> {
        let new = Self::new(mc, capacity)?;
        (index..self.len()).for_each(|n| new.push(mc, self.get(n)));
        self.truncate(mc, index);
        Ok(new)
    }

    /// Room for `more` elements: this storage, if it can grow in place, or a larger one, in whose favour this one is given up.
    #[cold]
    pub fn with_room(self, mc: &Mutation<'gc>, more: usize) -> Result<Self, OutOfMemory> {
        let wanted = self.len().checked_add(more).ok_or(OutOfMemory)?;
        if self.grow(mc, wanted)? {
            return Ok(self);
        }
        let new = Self::new(mc, Self::larger_capacity(self.capacity(), wanted))?;
        // SAFETY: the new one is young and has room.
        unsafe { self.at(0).copy_to_nonoverlapping(new.at(0), self.len()) };
        new.set_len(self.len());
        self.replace_by(mc, &[new]);
        Ok(new)
    }

    /// In place. `false`: it can't.
    fn grow(self, mc: &Mutation<'gc>, wanted: usize) -> Result<bool, OutOfMemory> {
        let bytes = Self::bytes(self.capacity()).ok_or(OutOfMemory)?;
        if bytes <= SMALL_BYTES {
            return Ok(false);
        }
        let least = Self::bytes(wanted).ok_or(OutOfMemory)?.next_multiple_of(PAGE_BYTES);
        let ample = least.max((bytes + bytes / GROWTH_PART).next_multiple_of(PAGE_BYTES));
        // Near the limit a little is better than nothing.
        self.grow_to(mc, ample).or_else(|_| self.grow_to(mc, least))
    }
    fn grow_to(self, mc: &Mutation<'gc>, bytes: usize) -> Result<bool, OutOfMemory> {
        // SAFETY: branded; the capacity is written at once, and nobody looks at the new slots before they are in use.
        unsafe {
            let grown = mc.heap().grow(self.cell, bytes)?;
            if grown {
                *word(self.cell, CAPACITY_AT) = (bytes - Layout::<T>::STORAGE_OFFSET) / size_of::<T>().max(1);
            }
            Ok(grown)
        }
    }

    fn larger_capacity(capacity: usize, wanted: usize) -> usize {
        let capacity = wanted.max(capacity.saturating_mul(2)).max(SMALLEST);
        // What the cell has room for anyway.
        let bytes = Self::bytes(capacity).unwrap_or(usize::MAX);
        if bytes <= SMALL_BYTES && size_of::<T>() > 0 {
            (bytes.next_multiple_of(16) - Layout::<T>::STORAGE_OFFSET) / size_of::<T>()
        } else {
            capacity
        }
    }

    /// These hold what this one does, and it is used no more: they take over the counts. Comes right after the copy.
    pub fn replace_by(self, mc: &Mutation<'gc>, new: &[Self]) {
        if T::MAP.is_none() {
            return;
        }
        let mut cells = [self.cell; 2];
        for (cell, storage) in cells.iter_mut().zip(new) {
            *cell = storage.cell;
        }
        // SAFETY: the new ones are young, filled by copying from this one, to the last reference; replaced-is-forgotten.
        unsafe { mc.heap().replace_storage(&[self.cell], &cells[..new.len()]) };
    }
    pub fn is(self, other: Self) -> bool {
        self.cell == other.cell
    }
}
