//! Slices and strings on the heap: `Gc<[T]>` and `Gc<str>`, one word each; their length stands in their cell.
//!
//! Invariants:
//! * **written-then-counted** While a slice is being filled its length is the number of elements that have been written: if what makes the next one panics, the cell
//!   is a shorter slice, which nobody refers to.
//!
//! Imports `descriptor`, `gc`, `mutation`, `trace`.

use super::descriptor::{Layout, word};
use super::gc::Gc;
use super::mutation::{Mutation, describe, out_of_memory};
use super::trace::Trace;
use crate::heap::OutOfMemory;
use crate::object::Ref;

impl<'gc> Mutation<'gc> {
    /// A slice on the heap, copied.
    ///
    /// # Panics
    /// As [`Mutation::alloc`].
    ///
    /// ```
    /// use neap_gc::arena::{Arena, Gc};
    ///
    /// let mut arena = Arena::<()>::new(|_| ());
    /// arena.mutate(|mc, _| {
    ///     let numbers: Gc<[i32]> = mc.alloc_slice(&[3, 1, 2]);
    ///     assert_eq!(numbers.iter().max(), Some(&3));
    /// });
    /// ```
    #[inline]
    pub fn alloc_slice<T: Copy + Trace<'gc>>(&self, elements: &[T]) -> Gc<'gc, [T]> {
        self.try_alloc_slice(elements).unwrap_or_else(|error| out_of_memory(error))
    }
    /// The same, with an error for a heap without memory.
    #[inline]
    pub fn try_alloc_slice<T: Copy + Trace<'gc>>(&self, elements: &[T]) -> Result<Gc<'gc, [T]>, OutOfMemory> {
        let slice: NewSlice<T> = NewSlice::new(self, elements.len())?;
        // SAFETY: the slice has room for them.
        unsafe {
            slice.first.copy_from_nonoverlapping(elements.as_ptr(), elements.len());
            *word(slice.cell, Layout::<T>::SLICE_LENGTH_AT) = elements.len();
        }
        Ok(slice.finish(self))
    }

    /// A slice of so many elements, each made of its index.
    ///
    /// # Panics
    /// As [`Mutation::alloc`].
    ///
    /// ```
    /// use neap_gc::arena::{Arena, Gc, Lock};
    ///
    /// // A field whose elements change, each behind a barrier of its own.
    /// let mut arena = Arena::<Gc<[Lock<Option<Gc<str>>>]>>::new(|mc| mc.alloc_slice_with(100_000, |_| Lock::new(None)));
    /// arena.mutate(|mc, field| field.set(mc, 77, Some(mc.alloc_str("here"))));
    /// assert_eq!(arena.mutate(|_, field| field.iter().position(|slot| slot.get().is_some())), Some(77));
    /// ```
    pub fn alloc_slice_with<T: Trace<'gc>>(&self, length: usize, make: impl FnMut(usize) -> T) -> Gc<'gc, [T]> {
        self.try_alloc_slice_with(length, make).unwrap_or_else(|error| out_of_memory(error))
    }
    /// The same, with an error for a heap without memory; then nothing has been made.
    pub fn try_alloc_slice_with<T: Trace<'gc>>(
        &self,
        length: usize,
        mut make: impl FnMut(usize) -> T,
    ) -> Result<Gc<'gc, [T]>, OutOfMemory> {
        let slice: NewSlice<T> = NewSlice::new(self, length)?;
        for n in 0..length {
            let element = make(n);
            // SAFETY: the slice has room for it; written-then-counted.
            unsafe {
                slice.first.add(n).write(element);
                *word(slice.cell, Layout::<T>::SLICE_LENGTH_AT) = n + 1;
            }
        }
        Ok(slice.finish(self))
    }

    /// A string on the heap, copied.
    ///
    /// # Panics
    /// As [`Mutation::alloc`].
    #[inline]
    pub fn alloc_str(&self, text: &str) -> Gc<'gc, str> {
        self.try_alloc_str(text).unwrap_or_else(|error| out_of_memory(error))
    }
    /// The same, with an error for a heap without memory.
    #[inline]
    pub fn try_alloc_str(&self, text: &str) -> Result<Gc<'gc, str>, OutOfMemory> {
        let bytes = self.try_alloc_slice(text.as_bytes())?;
        // SAFETY: bytes that were a string.
        Ok(unsafe { Gc::from_cell(bytes.cell()) })
    }
}

/// A slice that is being filled.
struct NewSlice<T> {
    cell: Ref,
    first: *mut T,
}

impl<T> NewSlice<T> {
    fn new<'gc>(mc: &Mutation<'gc>, length: usize) -> Result<NewSlice<T>, OutOfMemory>
    where
        T: Trace<'gc>,
    {
        let bytes = size_of::<T>().checked_mul(length).and_then(|bytes| bytes.checked_add(Layout::<T>::SLICE_OFFSET));
        let bytes = bytes.filter(|&bytes| bytes <= isize::MAX as usize).ok_or(OutOfMemory)?;
        // SAFETY: a kind of the table, and room for the elements, each of which has a word if it has references; its length is 0 for now.
        unsafe {
            let cell = mc.heap().alloc(Layout::<T>::SLICE_KIND, bytes)?;
            if !Layout::<T>::LEAF_SLICE {
                describe(cell, Layout::<T>::SLICE_DESCRIPTOR);
            }
            *word(cell, Layout::<T>::SLICE_LENGTH_AT) = 0;
            Ok(NewSlice { cell, first: cell.as_ptr().add(Layout::<T>::SLICE_OFFSET).cast() })
        }
    }

    fn finish<'gc>(self, mc: &Mutation<'gc>) -> Gc<'gc, [T]>
    where
        T: Trace<'gc>,
    {
        // SAFETY: the cell is young, and all of its elements were written without a barrier.
        unsafe {
            if !T::MAP.is_none() {
                mc.heap().filled_by_copy(self.cell);
            }
            Gc::from_cell(self.cell)
        }
    }
}
