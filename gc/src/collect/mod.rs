//! The collector: reference counting by epochs, and an incremental mark-sweep that finds the cycles.
//!
//! The rules R1 to R28 are those of `docs/COLLECTOR.md`; they are cited where they are upheld. The collector is made of parts. Each owns its lists, and
//! works on the [`context`] and the runtime that it is handed:
//!
//! * `context`: the memory, the phase, the counts and the marks
//! * `log`, `record`, `moved`, `adopt`: what the program writes: the barrier's records, references that move, storages that replace others
//! * `roots`, `stacks`, `handles`: what the program holds
//! * `edges`: how the references of a cell are gone through, at once or in parts
//! * `release`, `waiting`: decrements and deaths
//! * `gray`, `ephemeron`, `mark`, `sweep`: the work of a cycle
//! * `weak`, `bloom`, `finalize`: weak references, finalizers
//!
//! [`collector`] is the whole. What happens when:
//!
//! * `schedule`: a stop: an epoch end, or a slice of what is queued
//! * `epoch`: the epoch end, step by step
//! * `cycle`: the phases of a cycle, and every change of them
//! * `pacer`, `pace`, `price`, `budget`, `ticker`: how much, how often, for how long
//! * `relief`: how memory is asked for, and what happens near the limit
//! * `whole`: whole collections, steps, stress
//! * `report`, `view`, `drive`, `sabotage`: for the auditor and the model tests
//! * `store`, `queue`, `segments`: the lists that all of them use
//!
//! May import: `memory`, `explicit`, `object`, `observe`.

mod adopt;
mod bloom;
mod budget;
mod collector;
mod context;
mod cycle;
mod drive;
mod edges;
mod ephemeron;
mod epoch;
mod finalize;
mod gray;
mod handles;
mod log;
mod mark;
mod moved;
mod pace;
mod pacer;
mod phase;
mod price;
mod queue;
mod record;
mod release;
mod relief;
mod report;
mod roots;
mod sabotage;
mod schedule;
mod segments;
mod stacks;
mod store;
mod sweep;
mod ticker;
pub(crate) mod view;
mod waiting;
mod weak;
mod whole;

pub use budget::STOP_UNITS_MAX;
pub(crate) use collector::{Collector, POLL_COLLECT, Settings};
pub(crate) use context::Checks;
pub use drive::Drive;
pub use handles::Handle;
pub(crate) use pacer::SHARE;
pub use phase::Phase;
pub use roots::RootSource;
pub use sabotage::Sabotage;
