//! What the heap knows of an object: its header, and how the embedding runtime describes the rest.

mod header;
mod runtime;

pub(crate) use header::STICKY;
pub use header::{Header, Ref, flags};
pub(crate) use runtime::{Counted, Kinds};
pub use runtime::{Kind, Runtime, Shape, Side, Stack, Verdict};
