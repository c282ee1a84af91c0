//! What can be watched of the heap: pauses by cause, counters, a census by kind. Read-only for everyone but the collector.
//!
//! Imports `object` and `memory` (and hangs the census on the heap); the collector imports [`Pauses`] and [`Counters`].

mod census;
mod counters;
mod pauses;

pub use census::KindCount;
pub use counters::Counters;
pub use pauses::{Cause, Pauses, Stopwatch, Summary};
