//! Allocation and the barrier: what is called most.
//!
//! Imports `error`, `heap`, `runtime` (lengths), `words`.

use crate::error::Error;
use crate::heap::NeapHeap;
use crate::runtime::length;
use crate::words::address;
use neap_gc::{Header, Ref, Runtime, Shape};
use std::ffi::c_void;
use std::ptr::NonNull;

/// A new object, all of it uninitialised but the header.
///
/// # Safety
/// F1.
#[inline(always)]
unsafe fn allocate(heap: &NeapHeap, kind: u8, size: usize) -> *mut c_void {
    // SAFETY: the gate shows the sizes of types, and while it is closed none is small enough: so there is no borrow of the heap.
    unsafe {
        if size < (*heap.gate.sizes.get())[kind as usize] {
            return heap.or_null(Err(refusal(heap, kind)));
        }
        heap.or_null(heap.shared().alloc(kind, size).map(address).map_err(|_| Error::OutOfMemory))
    }
}

/// Why an object of the type can't be had.
#[cold]
fn refusal(heap: &NeapHeap, kind: u8) -> Error {
    if heap.gate.is_closed() {
        return Error::Busy;
    }
    // SAFETY: the gate is open.
    let ty = unsafe { heap.shared() }.runtime().table.find(kind);
    if ty.is_some_and(|ty| matches!(ty.shape, Shape::Plain | Shape::Leaf)) { Error::Size } else { Error::Type }
}

/// `neap_alloc_uninit`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn neap_alloc_uninit(heap: *mut NeapHeap, kind: u8, size: usize) -> *mut c_void {
    // SAFETY: F1.
    unsafe { allocate(&*heap, kind, size) }
}

/// `neap_alloc`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn neap_alloc(heap: *mut NeapHeap, kind: u8, size: usize) -> *mut c_void {
    const HEAD: usize = size_of::<Header>();
    // SAFETY: F1; the object has so many bytes.
    unsafe {
        let object = allocate(&*heap, kind, size);
        if !object.is_null() {
            object.cast::<u8>().add(HEAD).write_bytes(0, size.saturating_sub(HEAD));
        }
        object
    }
}

unsafe fn allocate_array(heap: &NeapHeap, kind: u8, slots: usize) -> Result<*mut c_void, Error> {
    if heap.gate.is_closed() {
        return Err(Error::Busy);
    }
    // SAFETY: the gate is open; the object has its size, and a length where its type says so.
    unsafe {
        let shared = heap.shared();
        let ty =
            shared.runtime().table.find(kind).filter(|ty| ty.stride != 0 && ty.shape != Shape::Ephemeron).ok_or(Error::Type)?;
        let bytes = slots.checked_mul(ty.stride).and_then(|bytes| bytes.checked_add(ty.size));
        let size = bytes.filter(|&size| size <= isize::MAX as usize).ok_or(Error::Size)?;
        let object = shared.alloc(kind, size).map_err(|_| Error::OutOfMemory)?;
        let bytes = object.as_ptr();
        bytes.add(size_of::<Header>()).write_bytes(0, size - size_of::<Header>());
        if ty.length_offset != 0 {
            bytes.add(ty.length_offset).cast::<usize>().write(slots);
        }
        Ok(address(object))
    }
}

/// `neap_alloc_array`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn neap_alloc_array(heap: *mut NeapHeap, kind: u8, slots: usize) -> *mut c_void {
    // SAFETY: F1.
    unsafe { (*heap).or_null(allocate_array(&*heap, kind, slots)) }
}

/// # Safety
/// F2, and the object is not null.
#[inline(always)]
unsafe fn object_at(object: *mut c_void) -> Ref {
    // SAFETY: by the caller.
    unsafe { Ref::from_ptr(NonNull::new_unchecked(object.cast())) }
}

/// `neap_private_barrier_object`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn neap_private_barrier_object(heap: *mut NeapHeap, object: *mut c_void) {
    // SAFETY: F1, F2; while the gate is open there is no borrow of the heap.
    unsafe {
        if (*heap).gate.is_closed() {
            return;
        }
        let (heap, object) = ((*heap).shared(), object_at(object));
        let table = &heap.runtime().table;
        if table.get(object.kind()).shape == Shape::Array {
            heap.barrier_range(object, 0..heap.runtime().slots(object));
        } else {
            heap.barrier(object, 0);
        }
    }
}

/// `neap_private_barrier_at`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn neap_private_barrier_at(heap: *mut NeapHeap, object: *mut c_void, at: *const c_void) {
    // SAFETY: as above.
    unsafe {
        if (*heap).gate.is_closed() {
            return;
        }
        let (heap, offset, object) = ((*heap).shared(), at.addr().wrapping_sub(object.addr()), object_at(object));
        let table = &heap.runtime().table;
        let hot = table.hot(object.kind());
        let size = hot.size as usize;
        let slot = if hot.words && offset >= size {
            hot.fixed as usize + (offset - size) / size_of::<*mut c_void>()
        } else {
            let ty = table.get(object.kind());
            if ty.shape != Shape::Array {
                return heap.barrier(object, 0);
            }
            let Some(slot) = ty.slot_at(offset) else { return };
            slot
        };
        if slot < hot.fixed as usize + length(hot, object) {
            heap.barrier(object, slot);
        }
    }
}

/// `neap_private_barrier_slots`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn neap_private_barrier_slots(heap: *mut NeapHeap, object: *mut c_void, first: usize, count: usize) {
    // SAFETY: as above.
    unsafe {
        if (*heap).gate.is_closed() {
            return;
        }
        let (heap, object) = ((*heap).shared(), object_at(object));
        let table = &heap.runtime().table;
        if table.get(object.kind()).shape != Shape::Array {
            return heap.barrier(object, 0);
        }
        let hot = table.hot(object.kind());
        let (fixed, length) = (hot.fixed as usize, length(hot, object));
        let slots = first.min(length)..first.saturating_add(count).min(length);
        heap.barrier_range(object, fixed + slots.start..fixed + slots.end);
    }
}
