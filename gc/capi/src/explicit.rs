//! Explicit blocks.
//!
//! Imports `error`, `heap`, `runtime` (the type).

use crate::error::{Error, answer};
use crate::heap::{NeapHeap, enter};
use crate::runtime::Types;
use neap_gc::explicit::MAX_ALIGN;
use neap_gc::{Heap, OutOfMemory};
use std::ffi::c_void;
use std::ptr::{NonNull, null_mut};

/// Asks for a block.
///
/// # Safety
/// F1.
#[inline(always)]
unsafe fn block(heap: *mut NeapHeap, ask: impl FnOnce(&Heap<Types>) -> Result<NonNull<u8>, OutOfMemory>) -> *mut c_void {
    // SAFETY: by the caller; the gate is asked first.
    unsafe {
        let Some(heap) = heap.as_ref() else { return null_mut() };
        if heap.gate.is_closed() {
            return heap.or_null(Err(Error::Busy));
        }
        heap.or_null(ask(heap.shared()).map(|block| block.as_ptr().cast()).map_err(|_| Error::OutOfMemory))
    }
}

/// `neap_malloc`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn neap_malloc(heap: *mut NeapHeap, size: usize) -> *mut c_void {
    // SAFETY: F1.
    unsafe { block(heap, |heap| heap.malloc(size)) }
}

/// `neap_calloc`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn neap_calloc(heap: *mut NeapHeap, count: usize, size: usize) -> *mut c_void {
    // SAFETY: F1.
    unsafe { block(heap, |heap| heap.calloc(count, size)) }
}

/// `neap_realloc`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn neap_realloc(heap: *mut NeapHeap, old: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: F1, F6.
    unsafe {
        block(heap, |heap| match NonNull::new(old.cast()) {
            Some(old) => heap.realloc(old, size),
            None => heap.malloc(size),
        })
    }
}

/// `neap_aligned_alloc`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn neap_aligned_alloc(heap: *mut NeapHeap, align: usize, size: usize) -> *mut c_void {
    // SAFETY: F1.
    unsafe {
        let fits = align.is_power_of_two() && align <= MAX_ALIGN;
        if let (Some(heap), false) = (heap.as_ref(), fits) {
            return heap.or_null(Err(Error::Invalid));
        }
        block(heap, |heap| heap.aligned_alloc(align, size))
    }
}

/// `neap_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn neap_free(heap: *mut NeapHeap, block: *mut c_void) -> Error {
    // SAFETY: F1, F6.
    unsafe {
        answer(enter(heap).map(|(_, parts)| {
            if let Some(block) = NonNull::new(block.cast()) {
                parts.heap.free(block);
            }
        }))
    }
}

/// `neap_free_checked`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn neap_free_checked(heap: *mut NeapHeap, block: *mut c_void) -> Error {
    // SAFETY: F1; if there is a block, it is not used again.
    unsafe {
        answer(enter(heap).and_then(|(_, parts)| {
            if block.is_null() {
                return Ok(());
            }
            parts.heap.free_checked(block.expose_provenance()).map_err(|_| Error::Block)
        }))
    }
}

/// `neap_usable_size`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn neap_usable_size(heap: *mut NeapHeap, block: *const c_void) -> usize {
    // SAFETY: F1, F6.
    unsafe {
        match (enter(heap), NonNull::new(block.cast_mut().cast())) {
            (Ok((_, parts)), Some(block)) => parts.heap.usable_size(block),
            _ => 0,
        }
    }
}
