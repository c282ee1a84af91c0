//! What a [`Gc`] may lead to: how a value is found in its cell, if all that is known is the address of that.
//!
//! Imports `descriptor`, `trace`, `object`.

use super::descriptor::{DESCRIPTOR_AT, HEADER_BYTES, Layout, word};
use super::trace::Trace;
use crate::object::Ref;

/// A type that stands in cells: every [`Trace`] type, slices of them, and `str`. A `Gc` of any of them is one word; the length of a slice stands in its cell.
///
/// # Safety
/// `place` finds the value that was put into the cell.
#[diagnostic::on_unimplemented(
    message = "a `Gc` can't lead to `{Self}`",
    note = "it leads to a type that is `Trace`, to a slice of such, to `str`, and to a trait object by `Dyn<dyn Trait>`"
)]
pub unsafe trait Stored<'gc>: 'gc {
    /// Whether references may stand in it.
    #[doc(hidden)]
    const REFERS: bool;
    /// Whether it has slots, each with a barrier of its own.
    #[doc(hidden)]
    const INDEXED: bool;
    /// # Safety
    /// The cell is live or young, and a value of this type was put into it.
    #[doc(hidden)]
    unsafe fn place(cell: Ref) -> *const Self;
}

// SAFETY: where `Mutation::try_alloc` puts it.
unsafe impl<'gc, T: Trace<'gc>> Stored<'gc> for T {
    const REFERS: bool = !T::MAP.is_none();
    const INDEXED: bool = false;
    #[inline(always)]
    unsafe fn place(cell: Ref) -> *const T {
        // SAFETY: by the caller, the cell has so many bytes.
        unsafe { cell.as_ptr().add(Layout::<T>::OFFSET).cast() }
    }
}

// SAFETY: where `slice::NewSlice` puts it.
unsafe impl<'gc, T: Trace<'gc>> Stored<'gc> for [T] {
    const REFERS: bool = !T::MAP.is_none();
    const INDEXED: bool = true;
    #[inline(always)]
    unsafe fn place(cell: Ref) -> *const [T] {
        // SAFETY: as above.
        unsafe {
            let length = *word(cell, Layout::<T>::SLICE_LENGTH_AT);
            std::ptr::slice_from_raw_parts(cell.as_ptr().add(Layout::<T>::SLICE_OFFSET).cast(), length)
        }
    }
}

// SAFETY: a string is a slice of bytes that was one before.
unsafe impl<'gc> Stored<'gc> for str {
    const REFERS: bool = false;
    const INDEXED: bool = false;
    #[inline(always)]
    unsafe fn place(cell: Ref) -> *const str {
        const { assert!(DESCRIPTOR_AT == HEADER_BYTES) };
        // SAFETY: as above.
        unsafe { <[u8] as Stored<'gc>>::place(cell) as *const str }
    }
}
