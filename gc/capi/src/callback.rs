//! What callbacks are handed: a visitor for references, a releaser for explicit blocks. Each is a function pointer that the header's
//! inline functions call, and behind it a closure of ours that the function knows how to find.
//!
//! Imports `words`.

use std::ffi::c_void;
use std::ptr::NonNull;

/// `neap_visitor`, as the header knows it.
#[repr(C)]
pub struct Visitor {
    visit: unsafe extern "C" fn(*mut Visitor, *mut c_void),
}

/// `neap_releaser`, as the header knows it.
#[repr(C)]
pub struct Releaser {
    release: unsafe extern "C" fn(*mut Releaser, *mut c_void),
}

/// Something that begins as C sees it.
#[repr(C)]
struct With<'a, H, F: ?Sized> {
    head: H,
    closure: &'a mut F,
}

/// Makes a visitor that shows each word to `visit`, for as long as `call` takes.
#[inline(always)]
pub fn visiting<F: FnMut(*mut c_void)>(visit: &mut F, call: impl FnOnce(*mut Visitor)) {
    unsafe extern "C" fn visit_word<F: FnMut(*mut c_void)>(visitor: *mut Visitor, word: *mut c_void) {
        // SAFETY: the visitor that was handed out below, while it is good.
        unsafe { ((*visitor.cast::<With<'_, Visitor, F>>()).closure)(word) }
    }
    let mut with = With { head: Visitor { visit: visit_word::<F> }, closure: visit };
    call((&raw mut with).cast());
}

/// Makes a releaser that hands each block to `release`, for as long as `call` takes.
pub fn releasing(release: &mut dyn FnMut(NonNull<u8>), call: impl FnOnce(*mut Releaser)) {
    unsafe extern "C" fn release_block(releaser: *mut Releaser, block: *mut c_void) {
        if let Some(block) = NonNull::new(block.cast()) {
            // SAFETY: the releaser that was handed out below, while it is good.
            unsafe { ((*releaser.cast::<With<'_, Releaser, dyn FnMut(NonNull<u8>)>>()).closure)(block) }
        }
    }
    let mut with = With { head: Releaser { release: release_block }, closure: release };
    call((&raw mut with).cast());
}
