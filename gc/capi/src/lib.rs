//! The C face of `neap-gc`: what `gc/include/neap_gc.h` declares.
//!
//! The header is the interface, and its comments are the reference; `docs/embedding.md` of the project is the guide. Here every exported function does what
//! the header says of it and nothing else. `tests/` of this package holds the two to each other: sizes, offsets, constants, the list of functions.
//!
//! ```text
//!     header: neap_store, neap_wants_safepoint, neap_local_new ...      inlined into the program, on a few bytes whose layout is the ABI
//!        |
//!     heap, alloc, roots, collect, weak_map, explicit, observe          the exported functions: way in, checks, error codes
//!        |
//!     runtime (types, callback, gate, locals, words, sized)             neap_gc::Runtime over types that are made at run time
//!        |
//!     neap_gc::Heap
//! ```
//!
//! What the functions rest on, cited by number:
//! * **F1** A heap is null or comes from `neap_heap_new`, was not freed, and is used by one thread at a time. (Where it may not be null, the header says so.)
//! * **F2** A word that has the form of a reference is the address of an object of the heap, live or young.
//! * **F3** Pointers to structs, variables and texts are null or lead to as much as they say.
//! * **F4** A handle is null or comes from `neap_handle_new`, and was not freed.
//! * **F5** At safepoints all that the program goes on using can be reached from its roots.
//! * **F6** A block is null or comes from the `malloc` family of the same heap, and was not freed.
//!
//! **Nothing unwinds.** The functions are `extern "C"`: a panic inside ends the process, and so it does where panics abort anyway, as in release builds.
//! Panics are contradictions in the heap, or audits that failed; what a program can do wrong and can be found cheaply is an error code.

mod alloc;
mod callback;
mod collect;
mod error;
mod explicit;
mod gate;
mod heap;
mod locals;
mod observe;
mod roots;
mod runtime;
mod sized;
mod types;
mod weak_map;
mod words;

/// The definitions behind those of the header, for the test that compares them.
#[doc(hidden)]
pub mod abi {
    pub use crate::callback::{Releaser, Visitor};
    pub use crate::error::Error;
    pub use crate::gate::TYPES;
    pub use crate::heap::{ABI_VERSION, NeapConfig};
    pub use crate::locals::Face;
    pub use crate::observe::{
        EDGE_FIELD, EDGE_KEY, EDGE_LOCAL, EDGE_SLOT, EDGE_VALUE, EDGE_WEAK, Graph, PauseSummary, ROOT_FINALIZER, ROOT_HANDLE,
        ROOT_LISTED, Report, Stats, cause_name,
    };
    pub use crate::types::{ARRAY, LEAF, LOCALS, PLAIN, TypeInfo, WEAK_ENTRIES, WEAK_MAP};
}
