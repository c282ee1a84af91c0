//! The phases of a cycle (R22).
//!
//! ```text
//!   Idle -> Clear -> Mark ------> CleanValues -> ListFinalizable -> MarkAgain ------> CleanKeys -> Detach -> Drain -> Release -> Idle
//!                 ^  shading   ^                                    shading        ^                      ^
//!                 |            first fixpoint                                      second fixpoint        |
//!                 +------------+------------------------ at epoch ends only -------+----------------------+
//!                              |<--------------------------- the window ---------------------------------------------->|
//!                                                                                  |<----------- decided ------------->|
//! ```
//!
//! Imports nothing.

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Phase {
    Idle,
    /// The mark bits are being cleared (R21); the next epoch end after that starts marking.
    Clear,
    Mark,
    CleanValues,
    ListFinalizable,
    MarkAgain,
    CleanKeys,
    Detach,
    Drain,
    Release,
}

impl Phase {
    #[inline(always)]
    pub fn is_marking(self) -> bool {
        matches!(self, Phase::Mark | Phase::MarkAgain)
    }
}
