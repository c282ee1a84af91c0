//! What the auditor must be told of the collector: its lists, one entry after the other. The collector reports, the auditor judges.

use crate::object::Ref;

/// The phases of a cycle (R22).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Phase {
    /// No cycle runs, or mark bits are being cleared for the next one (R21).
    Idle,
    Mark,
    CleanValues,
    ListFinalizable,
    MarkAgain,
    CleanKeys,
    Detach,
    Drain,
    Release,
}

/// One entry of one of the collector's lists.
#[derive(Clone, Copy, Debug)]
pub enum Entry<'a> {
    /// A reference that the last epoch end found in a root slot, in the stack of a main thread, or in the running chain: counted once.
    Root(Ref),
    /// A handle; one entry for each unit of count that handles hold.
    Handle(Ref),
    /// A counted reference that waits to become a decrement at the next epoch end (R2): dropped handles, popped finalizers.
    Dropped(Ref),
    /// An entry of a queue of finalizers, counted, at whatever stage.
    Finalizer(Ref),
    /// A decrement in the release queue.
    Decrement(Ref),
    /// A pending increment (R28).
    Increment(Ref),
    /// An adopted storage on the list of the next epoch end (R28).
    Adopted(Ref),
    /// A member of the waiting list (R3).
    Waiting(Ref),
    /// A log record: the object was logged whole (`card` is `None`) or one card of it was; the snapshot is what counted then.
    Log { object: Ref, card: Option<usize>, snapshot: &'a [Option<Ref>] },
    /// A cell freed by count whose slots below `released` have been released.
    Dying { cell: Ref, released: usize },
    /// A tombstone.
    Tombstone(Ref),
    /// An entry of the mark queue: the slots from `position` on are still to be scanned. Its cell may have died.
    Gray { cell: Ref, position: usize },
}
