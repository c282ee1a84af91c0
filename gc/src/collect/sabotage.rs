//! Rules that tests can take away, to see that somebody notices. Where debug assertions are off, none can be.

/// The switches: which rule each takes away, and how.
macro_rules! switches {
    ($($name:ident $rule:literal $what:literal)*) => {
        /// A rule taken away.
        #[doc(hidden)]
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Sabotage {
            None,
            /// No rule: an epoch end looks at every cell of the heap.
            Unbounded,
            $(#[doc = concat!($rule, ": ", $what, ".")] $name,)*
        }

        impl Sabotage {
            pub const ALL: &[Sabotage] = &[$(Sabotage::$name),*];

            /// The rule that is taken away.
            pub fn rule(self) -> &'static str {
                match self {
                    Sabotage::None | Sabotage::Unbounded => "no rule",
                    $(Sabotage::$name => $rule,)*
                }
            }
        }
    };
}

switches! {
    HandledYoung "R1" "a young object with a handle and nothing else is not promoted"
    HandleDrop "R2" "a dropped handle is a decrement at once"
    LoggedWaits "R3" "an object is freed although the log names it"
    WaitingLast "R3" "waiting objects are examined before the increments"
    WaitingTwice "R3" "an object that waits is freed by a decrement"
    YoungSlots "R4" "a store into a young large run sets no dirty bit"
    RowSlots "R4" "slots that are recorded together are dirty without a record"
    StaleSlots "R6" "a scan leaves what stands above the top"
    Watermark "R7" "the current thread does not count as having run"
    YoungReuse "R9" "the allocator takes young cells for free ones"
    Cancelling "R10" "a listed root that stays is counted anew and given back"
    MovedEvent "R10" "a reference that moves is no event"
    MovedShade "R10" "a reference that moves is not shaded"
    Touch "R11" "a thread that runs is not scanned again"
    Tombstone "R12" "the cell of a weakly held object is released at its death"
    WeakCopy "R13" "the copy of a weak storage keeps every entry"
    WeakFlag "R14" "a weak load does not flag"
    WeakShade "R14" "a weak load does not shade"
    InternMark "R15" "a hit in the table of interned cells does not mark"
    FinalizerNil "R16" "what only a finalizer brings back does not read as nil first"
    QueueShade "R17" "what enters the release queue is not shaded"
    FreedShade "R17" "the references of a freed object are not shaded"
    EphemeronWait "R18" "a value does not wait for its key"
    EphemeronZero "R18" "a value with count 0 is marked in the second round"
    DyingHolds "R19" "a dying array does not hold back the fixpoint"
    PromotionMark "R20" "promoted objects are not marked"
    ClearedMarks "R21" "marking starts on the marks of the last cycle"
    SecondRound "R22" "what finalizers bring back is not marked"
    WindowLowers "R23" "a decrement frees in the window as ever"
    WeakNil "R24" "unmarked values are read between the first fixpoint and the second round"
    Detach "R25" "the dead are not detached"
    Drain "R25" "cells are released before the queue is drained"
    DetachDestroys "R26" "the detach pass runs no destructors"
    Events "R27" "a count that falls is no event"
    Adoption "R28" "an adoption has no pending increments"
    AdoptionGray "R28" "an adopted storage is not queued for marking"
    AdoptionList "R28" "the owner of an adopted storage may die unnoticed"
    AdoptionForget "R28" "a replaced storage keeps its references"
}
