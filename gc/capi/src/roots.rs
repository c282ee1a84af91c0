//! Root variables, the root visitor, and handles. (The locals are `locals`.)
//!
//! Imports `error`, `heap`, `words`.

use crate::error::{Error, answer};
use crate::heap::{NeapHeap, Parts, RootsFn, enter};
use crate::words::{address, reference};
use neap_gc::Handle;
use std::ffi::c_void;

/// `neap_root_add`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn neap_root_add(heap: *mut NeapHeap, variable: *mut *mut c_void) -> Error {
    if variable.is_null() {
        return Error::Invalid;
    }
    // SAFETY: F1.
    answer(unsafe { enter(heap) }.map(|(_, parts)| parts.roots.variables.push(variable)))
}

/// `neap_root_remove`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn neap_root_remove(heap: *mut NeapHeap, variable: *mut *mut c_void) -> Error {
    // SAFETY: F1.
    answer(unsafe { enter(heap) }.and_then(|(_, parts)| {
        let variables = &mut parts.roots.variables;
        let at = variables.iter().rposition(|&known| known == variable).ok_or(Error::Root)?;
        // The last one takes its place: the others keep theirs, by which they are compared.
        variables.swap_remove(at);
        Ok(())
    }))
}

/// `neap_set_root_visitor`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn neap_set_root_visitor(heap: *mut NeapHeap, visit: Option<RootsFn>, data: *mut c_void) -> Error {
    // SAFETY: F1.
    answer(unsafe { enter(heap) }.map(|(_, parts)| parts.roots.visitor = visit.map(|visit| (visit, data))))
}

/// `neap_handle`.
pub struct NeapHandle {
    handle: Handle,
    /// Its heap.
    id: u64,
}

/// The handle, if it is this heap's.
unsafe fn own<'a>(parts: &Parts, handle: *const NeapHandle) -> Result<&'a Handle, Error> {
    // SAFETY: F4.
    let handle = unsafe { handle.as_ref() }.ok_or(Error::Invalid)?;
    if handle.id == parts.id { Ok(&handle.handle) } else { Err(Error::Handle) }
}

/// `neap_handle_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn neap_handle_new(heap: *mut NeapHeap, object: *mut c_void, handle: *mut *mut NeapHandle) -> Error {
    if handle.is_null() {
        return Error::Invalid;
    }
    // SAFETY: F1, F2, F3.
    unsafe {
        handle.write(std::ptr::null_mut());
        answer(enter(heap).and_then(|(_, parts)| {
            let object = reference(object).ok_or(Error::Invalid)?;
            let new = NeapHandle { handle: parts.heap.handle(object), id: parts.id };
            handle.write(Box::into_raw(Box::new(new)));
            Ok(())
        }))
    }
}

/// `neap_handle_get`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn neap_handle_get(heap: *mut NeapHeap, handle: *const NeapHandle, object: *mut *mut c_void) -> Error {
    if object.is_null() {
        return Error::Invalid;
    }
    // SAFETY: F1, F3, F4.
    unsafe {
        object.write(std::ptr::null_mut());
        answer(enter(heap).and_then(|(_, parts)| {
            let handle = own(parts, handle)?;
            object.write(address(parts.heap.held(handle)));
            Ok(())
        }))
    }
}

/// `neap_handle_set`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn neap_handle_set(heap: *mut NeapHeap, handle: *mut NeapHandle, object: *mut c_void) -> Error {
    // SAFETY: F1, F2, F4.
    unsafe {
        answer(enter(heap).and_then(|(_, parts)| {
            let handle = own(parts, handle)?;
            parts.heap.set_handle(handle, reference(object).ok_or(Error::Invalid)?);
            Ok(())
        }))
    }
}

/// `neap_handle_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn neap_handle_free(handle: *mut NeapHandle) {
    if !handle.is_null() {
        // SAFETY: F4; the lock inside of the handle lets any thread do this.
        drop(unsafe { Box::from_raw(handle) });
    }
}
