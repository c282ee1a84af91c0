//! A managed heap for language runtimes: reference counting by epochs, an incremental mark-sweep cycle detector,
//! and explicit allocation on the same pages.

pub mod heap;
#[allow(dead_code, reason = "the collector that uses it is being built")]
mod memory;
pub mod object;

pub use heap::{Config, Heap, OutOfMemory, RootSource};
pub use object::{Header, Kind, Ref, Runtime, Shape, Stack, flags};
