//! What the heap knows of an object: its header, and how the embedding runtime describes the rest.

mod header;
mod runtime;

pub use header::{Header, Ref, flags};
pub use runtime::{Kind, Runtime, Shape, Stack, Verdict};
