//! What the auditor must be told of the collector: its lists, one entry after the other. The collector reports, the auditor judges.

use crate::object::Ref;
use std::ops::Range;

/// One entry of one of the collector's lists.
#[derive(Clone, Debug)]
pub(crate) enum Entry<'a> {
    /// A reference that the last epoch end found in a root slot or in the running chain: counted once.
    Root(Ref),
    /// A handle; one entry for each unit of count that handles hold.
    Handle(Ref),
    /// A counted reference that becomes a decrement at the next epoch end (R2): dropped handles, popped finalizers.
    Dropped(Ref),
    /// An entry of a queue of finalizers that counts, at whatever stage.
    Finalizer(Ref),
    /// A decrement in the release queue.
    Decrement(Ref),
    /// A pending increment (R28).
    Increment(Ref),
    /// A member of a list that is not counted (waiting objects, adopted storages, tombstones, holders), which must be live.
    Member(&'static str, Ref),
    /// A log record: the object was logged whole (`slots` is `None`), or some slots of it. The snapshot is what counted then; a long
    /// one comes in parts, of which the first names the slots.
    Log { object: Ref, slots: Option<Range<usize>>, snapshot: &'a [Ref] },
    /// A cell freed by count; of its counted references those below `released` are no longer its own.
    Dying { cell: Ref, released: usize },
    /// A dead cell that is being detached: the references in its first slots have been given back.
    Detaching { cell: Ref, slots: usize },
    /// A value that waits for its key to be marked (R18).
    Waits { key: Ref, value: Ref },
    /// An entry of the mark queue: the slots from `position` on are still to be scanned. Its cell may have died, or not be marked yet.
    Gray { cell: Ref, position: usize },
}

/// Where the cycle stands, as far as the audit equation depends on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stage {
    /// Mark bits mean something: from the start of marking to the end of the release.
    pub cycle: bool,
    /// The listed roots have all been shaded.
    pub roots_shaded: bool,
    /// After the second fixpoint: an unmarked object is dead for good.
    pub decided: bool,
    /// Cells of the dead are being released.
    pub releasing: bool,
}
