//! Safepoints, weak references and finalizers.
//!
//! Imports `error`, `heap`, `words`.

use crate::error::{Error, answer};
use crate::heap::{NeapHeap, Parts, enter, enter_at_safepoint};
use crate::words::{address, reference};
use neap_gc::{Ref, Side};
use std::ffi::{c_int, c_void};
use std::ptr::null_mut;
use std::time::Duration;

/// `neap_safepoint`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn neap_safepoint(heap: *mut NeapHeap) -> Error {
    // SAFETY: F1, F5.
    unsafe { answer(enter_at_safepoint(heap).map(|Parts { heap, roots, .. }| heap.safepoint(roots))) }
}

/// `neap_step`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn neap_step(heap: *mut NeapHeap, budget_ns: u64, done: *mut c_int) -> Error {
    // SAFETY: F1, F3, F5.
    unsafe {
        answer(enter_at_safepoint(heap).map(|Parts { heap, roots, .. }| {
            let ended = heap.step_for(roots, Duration::from_nanos(budget_ns));
            if !done.is_null() {
                done.write(c_int::from(ended));
            }
        }))
    }
}

/// `neap_collect`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn neap_collect(heap: *mut NeapHeap) -> Error {
    // SAFETY: F1, F5.
    unsafe { answer(enter_at_safepoint(heap).map(|Parts { heap, roots, .. }| _ = heap.collect_full(roots))) }
}

/// `neap_exhausted`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn neap_exhausted(heap: *mut NeapHeap) -> c_int {
    // SAFETY: F1.
    unsafe { enter(heap) }.map_or(0, |(_, parts)| c_int::from(parts.heap.take_exhausted()))
}

// ---- weak references

/// `neap_weak_set`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn neap_weak_set(heap: *mut NeapHeap, at: *mut *mut c_void, word: *mut c_void) {
    // SAFETY: F1, F2, F3.
    unsafe {
        if (*heap).gate.is_closed() {
            return;
        }
        if let Some(target) = reference(word) {
            (*heap).shared().weak_hold(target);
        }
        at.write(word);
    }
}

/// `neap_weak_get`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn neap_weak_get(heap: *mut NeapHeap, at: *const *mut c_void) -> *mut c_void {
    // SAFETY: as above.
    unsafe {
        if (*heap).gate.is_closed() {
            return null_mut();
        }
        let word = at.read();
        match reference(word) {
            Some(target) if !(*heap).shared().weak_value(target) => null_mut(),
            _ => word,
        }
    }
}

/// `neap_weak_copy`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn neap_weak_copy(heap: *mut NeapHeap, to: *mut *mut c_void, from: *const *mut c_void) -> c_int {
    // SAFETY: as above. What a weak place names is held weakly already.
    unsafe {
        if (*heap).gate.is_closed() {
            return 0;
        }
        let word = from.read();
        let gone = word.is_null() || reference(word).is_some_and(|target| !(*heap).shared().copy_keeps(target, Side::Value));
        to.write(if gone { null_mut() } else { word });
        c_int::from(!gone)
    }
}

// ---- finalizers

/// The way in with a reference.
///
/// # Safety
/// As for [`enter`].
unsafe fn enter_with<'a>(heap: *mut NeapHeap, object: *mut c_void) -> Result<(&'a mut Parts, Ref), Error> {
    // SAFETY: by the caller.
    let (_, parts) = unsafe { enter(heap)? };
    Ok((parts, reference(object).ok_or(Error::Invalid)?))
}

/// `neap_set_finalizer`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn neap_set_finalizer(heap: *mut NeapHeap, object: *mut c_void) -> Error {
    // SAFETY: F1, F2.
    unsafe { answer(enter_with(heap, object).map(|(parts, object)| parts.heap.set_finalizer(object))) }
}

/// `neap_rearm_finalizer`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn neap_rearm_finalizer(heap: *mut NeapHeap, object: *mut c_void) -> Error {
    // SAFETY: F1, F2.
    unsafe { answer(enter_with(heap, object).map(|(parts, object)| parts.heap.rearm_finalizer(object))) }
}

/// `neap_next_finalizer`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn neap_next_finalizer(heap: *mut NeapHeap) -> *mut c_void {
    // SAFETY: F1.
    unsafe { enter(heap) }.ok().and_then(|(_, parts)| parts.heap.next_finalizer()).map_or(null_mut(), address)
}

/// `neap_finalizers_waiting`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn neap_finalizers_waiting(heap: *mut NeapHeap) -> usize {
    // SAFETY: F1.
    unsafe { enter(heap) }.map_or(0, |(_, parts)| parts.heap.finalizers_waiting())
}

/// `neap_queue_all_finalizers`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn neap_queue_all_finalizers(heap: *mut NeapHeap) -> Error {
    // SAFETY: F1.
    answer(unsafe { enter(heap) }.map(|(_, parts)| parts.heap.queue_all_finalizers()))
}
