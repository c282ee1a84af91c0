//! Words: what stands in a slot that the heap is told of.
//!
//! Imports nothing of the crate.

use neap_gc::Ref;
use std::ffi::c_void;
use std::ptr::NonNull;

/// The bits by which a word is no reference.
const TAG: usize = 7;

/// The reference that a word is, if it is one.
#[inline(always)]
pub fn reference(word: *mut c_void) -> Option<Ref> {
    let cell = NonNull::new(word)?;
    // SAFETY: what has the form of a reference is one, by the rule for words.
    (word.addr() & TAG == 0).then(|| unsafe { Ref::from_ptr(cell.cast()) })
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
