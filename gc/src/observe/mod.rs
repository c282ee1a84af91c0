//! What can be watched of the heap: pauses by cause, counters, a census by kind. Read-only for everyone but the collector.
//!
//! Imports `object` and `memory`; the collector tells its counters, pauses and observer what it does.

mod census;
mod clock;
mod counters;
mod graph;
mod observer;
mod pauses;

pub use crate::memory::{Extent, Use};
pub use census::KindCount;
pub(crate) use census::{census, each_cell};
pub use clock::Disturbance;
pub(crate) use clock::{cpu_since, cpu_time};
pub use counters::Counters;
pub use graph::{Edge, GraphVisitor, Root};
pub(crate) use graph::{visit_edges, visit_graph};
pub use observer::{Event, Observer, Part, Stop, Work};
pub use pauses::{Cause, Lap, Pauses, Stopwatch, Summary};
