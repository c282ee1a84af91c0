//! Rules that tests can take away, to see that somebody notices. Where debug assertions are off, none can be.

use crate::heap::Heap;
use crate::object::Runtime;

/// A rule taken away.
#[doc(hidden)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sabotage {
    None,
    /// R2: a dropped handle is a decrement at once.
    HandleDrop,
    /// R3: an object is freed although the log names it.
    LoggedWaits,
    /// R7: the current thread does not count as having run.
    Watermark,
    /// R12: the cell of a weakly held object is released at its death.
    Tombstone,
    /// R14: a weak load does not flag.
    WeakFlag,
    /// R14: a weak load does not shade.
    WeakShade,
    /// R15: a hit in the table of interned cells does not mark.
    InternMark,
    /// R16: what only a finalizer brings back does not read as nil first.
    FinalizerNil,
    /// R17: what enters the release queue is not shaded.
    QueueShade,
    /// R17: the references of a freed object are not shaded.
    FreedShade,
    /// R19: a dying array does not hold back the fixpoint.
    DyingHolds,
    /// R20: promoted objects are not marked.
    PromotionMark,
    /// R23: a decrement frees in the window as ever.
    WindowLowers,
    /// R25: the dead are not detached.
    Detach,
    /// R25: cells are released before the queue is drained.
    Drain,
    /// R28: an adoption has no pending increments.
    Adoption,
    /// R28: an adopted storage is not queued for marking.
    AdoptionGray,
    /// R28: the owner of an adopted storage may die unnoticed.
    AdoptionList,
}

impl Sabotage {
    pub const ALL: [Sabotage; 19] = [
        Sabotage::None,
        Sabotage::HandleDrop,
        Sabotage::LoggedWaits,
        Sabotage::Watermark,
        Sabotage::Tombstone,
        Sabotage::WeakFlag,
        Sabotage::WeakShade,
        Sabotage::InternMark,
        Sabotage::FinalizerNil,
        Sabotage::QueueShade,
        Sabotage::FreedShade,
        Sabotage::DyingHolds,
        Sabotage::PromotionMark,
        Sabotage::WindowLowers,
        Sabotage::Detach,
        Sabotage::Drain,
        Sabotage::Adoption,
        Sabotage::AdoptionGray,
        Sabotage::AdoptionList,
    ];

    /// The rule that is taken away.
    pub fn rule(self) -> &'static str {
        match self {
            Sabotage::None => "no rule",
            Sabotage::HandleDrop => "R2",
            Sabotage::LoggedWaits => "R3",
            Sabotage::Watermark => "R7",
            Sabotage::Tombstone => "R12",
            Sabotage::WeakFlag | Sabotage::WeakShade => "R14",
            Sabotage::InternMark => "R15",
            Sabotage::FinalizerNil => "R16",
            Sabotage::QueueShade | Sabotage::FreedShade => "R17",
            Sabotage::DyingHolds => "R19",
            Sabotage::PromotionMark => "R20",
            Sabotage::WindowLowers => "R23",
            Sabotage::Detach | Sabotage::Drain => "R25",
            Sabotage::Adoption | Sabotage::AdoptionGray | Sabotage::AdoptionList => "R28",
        }
    }
}

impl<R: Runtime> Heap<R> {
    /// Whether tests have taken the rule away.
    #[inline(always)]
    pub(crate) fn without(&self, rule: Sabotage) -> bool {
        cfg!(debug_assertions) && self.sabotage == rule
    }
}
