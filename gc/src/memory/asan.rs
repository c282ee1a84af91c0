//! What the address sanitizer is told: in a build with `--cfg neap_asan`, a cell that is not allocated is *poisoned*, and whoever reads or
//! writes there is reported. In any other build nothing of this exists.
//!
//! * **unused-is-poisoned** The cells of a block are poisoned but for those that are young or live; a free run is poisoned, as far as its pages were not given
//!   back to the system. Metadata never is.
//!
//! Imports nothing.

use std::ptr::NonNull;

#[cfg(neap_asan)]
unsafe extern "C" {
    fn __asan_poison_memory_region(start: *const u8, bytes: usize);
    fn __asan_unpoison_memory_region(start: *const u8, bytes: usize);
    fn __asan_address_is_poisoned(address: *const u8) -> i32;
}

/// Nobody is to touch these bytes any more.
#[inline(always)]
pub fn poison(start: NonNull<u8>, bytes: usize) {
    #[cfg(neap_asan)]
    // SAFETY: only the sanitizer's shadow changes.
    unsafe {
        __asan_poison_memory_region(start.as_ptr(), bytes);
    }
    #[cfg(not(neap_asan))]
    let _ = (start, bytes);
}

/// These bytes are handed out, or back to the system.
#[inline(always)]
pub fn unpoison(start: NonNull<u8>, bytes: usize) {
    #[cfg(neap_asan)]
    // SAFETY: as above.
    unsafe {
        __asan_unpoison_memory_region(start.as_ptr(), bytes);
    }
    #[cfg(not(neap_asan))]
    let _ = (start, bytes);
}

/// Whether nobody is to touch the byte: for the auditor, who looks at addresses that may name anything.
#[inline(always)]
pub fn is_poisoned(address: NonNull<u8>) -> bool {
    #[cfg(neap_asan)]
    // SAFETY: only the sanitizer's shadow is read.
    let poisoned = unsafe { __asan_address_is_poisoned(address.as_ptr()) != 0 };
    #[cfg(not(neap_asan))]
    let poisoned = {
        let _ = address;
        false
    };
    poisoned
}
