//! Words: what stands in a slot that the heap is told of.
//!
//! Imports nothing of the crate.

use neap_gc::Ref;
use std::ffi::c_void;
use std::ptr::NonNull;

/// The bits by which a word is no reference, and the uppermost one, which no address has.
const TAG: usize = 7;
const TOP: usize = 1 << (usize::BITS - 1);

/// The reference that a word is, if it is one.
#[inline(always)]
pub fn reference(word: *mut c_void) -> Option<Ref> {
    // In one test: less one, a reference has all tag bits, and only 0 has the uppermost bit.
    if word.addr().wrapping_sub(1) & (TOP | TAG) != TAG {
        return None;
    }
    // SAFETY: not 0; what has the form of a reference is one, by the rule for words.
    Some(unsafe { Ref::from_ptr(NonNull::new_unchecked(word.cast())) })
}

/// The address of an object as C sees it.
#[inline(always)]
pub fn address(cell: Ref) -> *mut c_void {
    cell.as_ptr().cast()
}

/// The word at an offset of an object.
///
/// # Safety
/// A word of the object stands there, which is live or young and initialised.
#[inline(always)]
pub unsafe fn word_at(cell: Ref, offset: usize) -> *mut *mut c_void {
    // SAFETY: by the caller.
    unsafe { cell.as_ptr().add(offset).cast() }
}
