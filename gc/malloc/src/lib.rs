//! `malloc` and its family for C programs, on `neap_gc::explicit::Global`.
//!
//! ```text
//!   cargo build --release -p neap-gc-malloc
//!   LD_PRELOAD=target/release/libneap_malloc.so program          under any program
//!   cc program.c -Ltarget/release -lneap_malloc                  in a program of one's own
//!   cargo build --release -p neap-gc-malloc --no-default-features    only the names that begin with `neap_global_`
//! ```
//! Each function does what POSIX, or the C library of GNU where it has it alone, says of the name without its prefix. A block is at a multiple of 16. What is not a block of this
//! allocator's is not freed: it may stem from before it was there.
//!
//! * **errno-is-kept** `free` leaves `errno` alone; the others set it when they fail, and only then.

use neap_gc::explicit::{Global, MAX_ALIGN};
use std::alloc::{GlobalAlloc, Layout};
use std::ffi::{c_int, c_void};
use std::ptr::null_mut;

/// Rust's own allocations in here.
#[global_allocator]
static ALLOCATOR: Global = Global;

/// The alignment of every block, and the least size, so that an empty one has an address of its own.
const ALIGN: usize = 16;

fn errno() -> *mut c_int {
    // SAFETY: always allowed.
    unsafe { libc::__errno_location() }
}

fn refused() -> *mut c_void {
    // SAFETY: the thread's own.
    unsafe { *errno() = libc::ENOMEM };
    null_mut()
}

fn layout(size: usize, align: usize) -> Option<Layout> {
    Layout::from_size_align(size.max(1), align.max(ALIGN)).ok().filter(|layout| layout.align() <= MAX_ALIGN)
}

/// What is allocated, or null and `errno`; else `errno` is as it was.
fn given(work: impl FnOnce() -> *mut u8) -> *mut c_void {
    // SAFETY: the thread's own.
    let before = unsafe { *errno() };
    let start = work();
    if start.is_null() {
        return refused();
    }
    // SAFETY: as above.
    unsafe { *errno() = before };
    start.cast()
}

fn allocate(size: usize, align: usize) -> *mut c_void {
    match layout(size, align) {
        // SAFETY: the layout is not empty.
        Some(layout) => given(|| unsafe { ALLOCATOR.alloc(layout) }),
        None => refused(),
    }
}

/// As `malloc`.
#[unsafe(no_mangle)]
pub extern "C" fn neap_global_malloc(size: usize) -> *mut c_void {
    allocate(size, ALIGN)
}

/// As `calloc`.
#[unsafe(no_mangle)]
pub extern "C" fn neap_global_calloc(count: usize, size: usize) -> *mut c_void {
    match count.checked_mul(size).and_then(|bytes| layout(bytes, ALIGN)) {
        // SAFETY: the layout is not empty.
        Some(layout) => given(|| unsafe { ALLOCATOR.alloc_zeroed(layout) }),
        None => refused(),
    }
}

/// As `free`.
///
/// # Safety
/// Null, or a block that is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn neap_global_free(block: *mut c_void) {
    if block.is_null() {
        return;
    }
    // SAFETY: by the caller; all that is given out stands on the allocator's segments, where the layout is not asked for.
    unsafe {
        let before = *errno();
        if ALLOCATOR.usable_size(block.cast()).is_some() {
            ALLOCATOR.dealloc(block.cast(), Layout::new::<u8>());
        }
        *errno() = before;
    }
}

/// As `realloc`. Of size 0 it is `free`, as the C library of GNU has it.
///
/// # Safety
/// As for `neap_global_free`, unless it fails.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn neap_global_realloc(block: *mut c_void, size: usize) -> *mut c_void {
    if block.is_null() {
        return neap_global_malloc(size);
    }
    if size == 0 {
        // SAFETY: by the caller.
        unsafe { neap_global_free(block) };
        return null_mut();
    }
    // SAFETY: by the caller; as much as the block has may be copied.
    unsafe {
        match (ALLOCATOR.usable_size(block.cast()), layout(size, ALIGN)) {
            (Some(old), Some(_)) => {
                let old = Layout::from_size_align_unchecked(old, ALIGN);
                given(|| ALLOCATOR.realloc(block.cast(), old, size))
            }
            _ => refused(),
        }
    }
}

/// As `reallocarray`.
///
/// # Safety
/// As for `neap_global_realloc`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn neap_global_reallocarray(block: *mut c_void, count: usize, size: usize) -> *mut c_void {
    match count.checked_mul(size) {
        // SAFETY: by the caller.
        Some(bytes) => unsafe { neap_global_realloc(block, bytes) },
        None => refused(),
    }
}

/// As `aligned_alloc`, of any power of two up to 2 MiB.
#[unsafe(no_mangle)]
pub extern "C" fn neap_global_aligned_alloc(align: usize, size: usize) -> *mut c_void {
    if !align.is_power_of_two() {
        // SAFETY: the thread's own.
        unsafe { *errno() = libc::EINVAL };
        return null_mut();
    }
    allocate(size, align)
}

/// As `posix_memalign`.
///
/// # Safety
/// `place` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn neap_global_posix_memalign(place: *mut *mut c_void, align: usize, size: usize) -> c_int {
    if !align.is_power_of_two() || !align.is_multiple_of(size_of::<*mut c_void>()) {
        return libc::EINVAL;
    }
    // SAFETY: the thread's own; by the caller.
    unsafe {
        let before = *errno();
        let block = allocate(size, align);
        *errno() = before;
        if block.is_null() {
            return libc::ENOMEM;
        }
        place.write(block);
    }
    0
}

/// As `malloc_usable_size`.
///
/// # Safety
/// Null, or a block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn neap_global_usable_size(block: *mut c_void) -> usize {
    // SAFETY: by the caller; null is in no segment.
    unsafe { ALLOCATOR.usable_size(block.cast()) }.unwrap_or(0)
}

/// The names of the C library.
#[cfg(feature = "override")]
mod plain {
    use super::*;

    #[unsafe(no_mangle)]
    pub extern "C" fn malloc(size: usize) -> *mut c_void {
        neap_global_malloc(size)
    }
    #[unsafe(no_mangle)]
    pub extern "C" fn calloc(count: usize, size: usize) -> *mut c_void {
        neap_global_calloc(count, size)
    }
    /// # Safety
    /// As for the prefixed one; likewise below.
    #[unsafe(no_mangle)]
    pub unsafe extern "C" fn free(block: *mut c_void) {
        // SAFETY: by the caller; likewise below.
        unsafe { neap_global_free(block) }
    }
    /// # Safety
    /// As above.
    #[unsafe(no_mangle)]
    pub unsafe extern "C" fn realloc(block: *mut c_void, size: usize) -> *mut c_void {
        // SAFETY: by the caller.
        unsafe { neap_global_realloc(block, size) }
    }
    /// # Safety
    /// As above.
    #[unsafe(no_mangle)]
    pub unsafe extern "C" fn reallocarray(block: *mut c_void, count: usize, size: usize) -> *mut c_void {
        // SAFETY: by the caller.
        unsafe { neap_global_reallocarray(block, count, size) }
    }
    #[unsafe(no_mangle)]
    pub extern "C" fn aligned_alloc(align: usize, size: usize) -> *mut c_void {
        neap_global_aligned_alloc(align, size)
    }
    #[unsafe(no_mangle)]
    pub extern "C" fn memalign(align: usize, size: usize) -> *mut c_void {
        neap_global_aligned_alloc(align, size)
    }
    /// # Safety
    /// As above.
    #[unsafe(no_mangle)]
    pub unsafe extern "C" fn posix_memalign(place: *mut *mut c_void, align: usize, size: usize) -> c_int {
        // SAFETY: by the caller.
        unsafe { neap_global_posix_memalign(place, align, size) }
    }
    #[unsafe(no_mangle)]
    pub extern "C" fn valloc(size: usize) -> *mut c_void {
        neap_global_aligned_alloc(4096, size)
    }
    #[unsafe(no_mangle)]
    pub extern "C" fn pvalloc(size: usize) -> *mut c_void {
        match size.checked_next_multiple_of(4096) {
            Some(size) => neap_global_aligned_alloc(4096, size),
            None => refused(),
        }
    }
    /// # Safety
    /// As above.
    #[unsafe(no_mangle)]
    pub unsafe extern "C" fn malloc_usable_size(block: *mut c_void) -> usize {
        // SAFETY: by the caller.
        unsafe { neap_global_usable_size(block) }
    }
}
