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
