//! What can be watched of the heap: pauses by cause, counters, a census by kind. Read-only for everyone but the collector.
//!
//! Imports `object` and `memory`; the collector tells its counters, pauses and observer what it does.

mod census;
mod counters;
mod graph;
mod observer;
mod pauses;

pub use crate::memory::{Extent, Use};
pub use census::KindCount;
pub(crate) use census::{census, each_cell};
pub use counters::Counters;
pub(crate) use graph::visit_graph;
pub use graph::{Edge, GraphVisitor, Root};
pub use observer::{Event, Observer, Stop};
pub use pauses::{Cause, Pauses, Stopwatch, Summary};
