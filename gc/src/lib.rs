//! A managed heap for language runtimes: reference counting by epochs, an incremental mark-sweep cycle detector,
//! and explicit allocation on the same pages.

mod audit;
mod collect;
pub mod explicit;
pub mod heap;
mod memory;
pub mod object;
pub mod observe;

pub use audit::{AuditError, AuditReport};
pub use heap::{Config, Handle, Heap, OutOfMemory, Phase, RootSource};
pub use object::{Header, Kind, Ref, Runtime, Shape, Stack, Verdict, flags};

/// Brings what stands at an address into the cache.
#[inline(always)]
pub(crate) fn prefetch(addr: usize) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(std::ptr::without_provenance(addr));
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = addr;
}
