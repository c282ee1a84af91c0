//! Memory for what `global` needs itself, and for what the heap can't give (alignments beyond its own): whole mappings, of which there are few.
//!
//! Imports `rustix`.

use rustix::mm::{self, MapFlags, ProtFlags};
use std::alloc::Layout;
use std::ptr::null_mut;

/// The bytes of a mapping for this layout.
fn length(layout: Layout) -> usize {
    layout.size().max(1).next_multiple_of(rustix::param::page_size())
}

/// Zeros, or null.
pub(super) fn alloc(layout: Layout) -> *mut u8 {
    let (len, page) = (length(layout), rustix::param::page_size());
    // More than a page's alignment is found inside a longer mapping, of which the rest is given back.
    let lead = if layout.align() > page { layout.align() } else { 0 };
    let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
    let Some(span) = len.checked_add(lead) else { return null_mut() };
    // SAFETY: a fresh mapping at an address of the system's choice disturbs nothing; what is unmapped is its own.
    unsafe {
        let Ok(raw) = mm::mmap_anonymous(null_mut(), span, ProtFlags::READ | ProtFlags::WRITE, flags) else { return null_mut() };
        let raw = raw.cast::<u8>();
        let skipped = if lead > 0 { raw.align_offset(layout.align()) } else { 0 };
        if skipped > 0 {
            let _ = mm::munmap(raw.cast(), skipped);
        }
        let start = raw.add(skipped);
        if lead > skipped {
            let _ = mm::munmap(start.add(len).cast(), lead - skipped);
        }
        start
    }
}

/// # Safety
/// `alloc` has made it for this layout, and nobody will use it again.
pub(super) unsafe fn free(start: *mut u8, layout: Layout) {
    // SAFETY: by the caller. A failure leaves the mapping in place, which harms nobody.
    let _ = unsafe { mm::munmap(start.cast(), length(layout)) };
}
