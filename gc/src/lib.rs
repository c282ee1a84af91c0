//! A managed heap for language runtimes: reference counting by epochs, an incremental mark-sweep cycle detector,
//! and explicit allocation on the same pages.

#[allow(dead_code, reason = "the heap that uses it is being built")]
pub mod explicit;
pub mod heap;
#[allow(dead_code, reason = "the heap that uses it is being built")]
mod memory;
pub mod object;
pub mod observe;

pub use heap::{Config, Heap, OutOfMemory, RootSource};
pub use object::{Header, Kind, Ref, Runtime, Shape, Stack, Verdict, flags};
