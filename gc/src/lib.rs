//! A managed heap for language runtimes: reference counting by epochs, an incremental mark-sweep cycle detector,
//! and explicit allocation on the same pages.

pub mod heap;
pub mod object;
pub mod observe;

pub use heap::{Config, Heap, OutOfMemory, RootSource};
pub use object::{Header, Kind, Ref, Runtime, Shape, Stack, flags};
