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
    /// R17: what enters the release queue is not shaded.
    QueueShade,
    /// R20: promoted objects are not marked.
    PromotionMark,
    /// R25: the dead are not detached.
    Detach,
    /// R28: an adoption has no pending increments.
    Adoption,
}

impl Sabotage {
    pub const ALL: [Sabotage; 11] = [
        Sabotage::None,
        Sabotage::HandleDrop,
        Sabotage::LoggedWaits,
        Sabotage::Watermark,
        Sabotage::Tombstone,
        Sabotage::WeakFlag,
        Sabotage::WeakShade,
        Sabotage::QueueShade,
        Sabotage::PromotionMark,
        Sabotage::Detach,
        Sabotage::Adoption,
    ];
}

impl<R: Runtime> Heap<R> {
    /// Whether tests have taken the rule away.
    #[inline(always)]
    pub(crate) fn without(&self, rule: Sabotage) -> bool {
        cfg!(debug_assertions) && self.sabotage == rule
    }
}
