//! A managed heap for language runtimes: reference counting by epochs, an incremental mark-sweep cycle detector,
//! and explicit allocation on the same pages.
//!
//! **In safe Rust** the heap is used by its arena face ([`arena`]): branded references, a derive macro, locks behind the barrier, weak references, finalizers, and collections that stand on the heap.
//! What follows is the raw face, for virtual machines that lay out their objects themselves.
//!
//! A runtime describes its objects to the heap ([`Runtime`]), shows its roots ([`RootSource`]), calls the barrier before it stores a
//! reference, and comes to a safepoint when the poll word says so. Nothing moves; a reference is an address. The tutorial is
//! `examples/embed.rs` of the project: cycles, weak references, finalizers, destructors and handles in 250 lines. In short:
//!
//! ```
//! use neap_gc::object::{Header, Kind, Shape};
//! use neap_gc::{Config, Heap, OutOfMemory, Ref, RootSource, Runtime};
//!
//! /// A cell begins with a header; what follows is ours.
//! #[repr(C)]
//! struct Pair {
//!     header: Header,
//!     head: u64,
//!     tail: Option<Ref>,
//! }
//!
//! struct Lists;
//!
//! // SAFETY: `trace` visits the one reference of a pair.
//! unsafe impl Runtime for Lists {
//!     fn kinds(&self) -> Vec<Kind> {
//!         vec![Kind::new("pair", Shape::Plain)]
//!     }
//!     unsafe fn trace(&self, cell: Ref, visit: &mut impl FnMut(Ref)) {
//!         unsafe { (*cell.as_ptr().cast::<Pair>()).tail.into_iter().for_each(visit) }
//!     }
//! }
//!
//! struct Root(Option<Ref>);
//!
//! // SAFETY: what stands in the root is a pair of the heap.
//! unsafe impl RootSource for Root {
//!     fn slots(&self, visit: &mut dyn FnMut(Option<Ref>)) {
//!         visit(self.0)
//!     }
//! }
//!
//! fn cons(heap: &Heap<Lists>, head: u64, tail: Option<Ref>) -> Result<Ref, OutOfMemory> {
//!     unsafe {
//!         let cell = heap.alloc(0, size_of::<Pair>())?;
//!         let pair = cell.as_ptr().cast::<Pair>();
//!         (&raw mut (*pair).head).write(head);
//!         (&raw mut (*pair).tail).write(tail);
//!         Ok(cell)
//!     }
//! }
//!
//! let mut heap = Heap::new(Lists, Config::default())?;
//! let mut root = Root(None);
//! for n in 0..100_000 {
//!     // Every thousandth pair begins a new list; the old one is garbage.
//!     root.0 = Some(cons(&heap, n, root.0.filter(|_| n % 1000 != 0))?);
//!     if heap.wants_safepoint() {
//!         unsafe { heap.safepoint(&root) };
//!     }
//! }
//! unsafe { heap.collect_full(&root) };
//! assert_eq!(heap.census()[0].objects, 1000);
//!
//! // The last pair closes the list to a ring, which no root names any more: the cycle detector finds it.
//! let first = root.0.take().unwrap();
//! unsafe {
//!     let mut last = first;
//!     while let Some(next) = (*last.as_ptr().cast::<Pair>()).tail {
//!         last = next;
//!     }
//!     heap.barrier(last, 0);
//!     (*last.as_ptr().cast::<Pair>()).tail = Some(first);
//!     heap.collect_full(&root);
//! }
//! assert_eq!(heap.census()[0].objects, 0);
//!
//! // Blocks that are allocated and freed by hand count against the same limit.
//! let block = heap.malloc(1 << 20)?;
//! assert!(heap.used_bytes() >= 1 << 20);
//! unsafe { heap.free(block) };
//! heap.set_limit_bytes(8 << 20);
//! assert!(heap.malloc(64 << 20).is_err());
//! # Ok::<(), OutOfMemory>(())
//! ```

// The examples of the guide for embedders are tests.
#[cfg(doctest)]
#[doc = include_str!("../../docs/embedding.md")]
struct Guide;

// The derive macros of `arena` name the crate so.
extern crate self as neap_gc;

pub mod arena;
mod audit;
mod collect;
pub mod explicit;
pub mod heap;
mod memory;
pub mod object;
pub mod observe;

pub use audit::{AuditError, AuditReport};
pub use collect::STOP_UNITS_MAX;
pub use heap::{Config, Handle, Heap, OutOfMemory, Phase, RootSource};
pub use object::{Header, Kind, Ref, Runtime, Shape, Side, Stack, Verdict, flags};

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
