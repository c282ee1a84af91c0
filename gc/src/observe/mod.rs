//! What can be watched of the heap: pauses by cause, counters, a census by kind. Read-only for everyone but the collector.
//!
//! Imports nothing of the crate but `object` and `memory`; the collector imports [`Pauses`] and [`Counters`].

mod counters;
mod pauses;

pub use counters::Counters;
pub use pauses::{Cause, Pauses, Stopwatch, Summary};
