//! Work that meets no safepoint: native functions and instructions that go over much data look from time to time whether they are to stop.
//!
//! * **W1** Nothing is collected here: values in the host's hands stay valid (V1).
//! * **W2** Whoever goes over data that a program makes long says so by [`Vm::work`] or [`Vm::bulk`] before each piece, and no piece is more than
//!   [`LOOK_UNITS`] units of work. What knows no machine (the matcher, the compiler, streams) gets [`Vm::may_go_on`] to ask.
//!
//! The reasons to stop, and what becomes of a stop, are told in `stop`.

use super::stop::STOPS;
use super::{Throw, Vm};
use std::sync::atomic::{AtomicU32, Ordering};

/// Units of work between two looks: well below a millisecond of simple steps, such as a slot or a byte looked at.
pub const LOOK_UNITS: usize = 1 << 16;
/// Bytes that are copied or compared as a whole count as one unit.
const BULK_BYTES: usize = 16;
/// The most bytes that may be copied or compared between two looks.
pub const PIECE: usize = LOOK_UNITS * BULK_BYTES;

/// Whether the program is to stop where it is.
#[inline]
fn stops(word: &AtomicU32) -> bool {
    word.load(Ordering::Relaxed) & STOPS != 0
}

impl Vm {
    /// So much work comes next. The error is that of an interrupt.
    #[inline(always)]
    pub fn work(&mut self, units: usize) -> Result<(), Throw> {
        match self.unlooked.checked_sub(units) {
            Some(left) => {
                self.unlooked = left;
                Ok(())
            }
            None => self.look(),
        }
    }

    /// The same of bytes that are copied or compared as a whole.
    #[inline(always)]
    pub fn bulk(&mut self, bytes: usize) -> Result<(), Throw> {
        self.work(bytes / BULK_BYTES)
    }

    #[cold]
    #[inline(never)]
    fn look(&mut self) -> Result<(), Throw> {
        self.unlooked = LOOK_UNITS;
        if self.is_stopped() { self.check_stops() } else { Ok(()) }
    }

    /// Whether the next look will find a reason to stop.
    pub fn is_stopped(&self) -> bool {
        stops(&self.poll)
    }

    /// The look as a function of its own; after `false`, [`Vm::stop_error`] is to be raised.
    pub fn may_go_on(&self) -> impl Fn() -> bool + use<> {
        let word = self.poll.clone();
        move || !stops(&word)
    }

    /// The error of what stops the program, where work has been given up for it.
    #[cold]
    pub fn stop_error(&mut self) -> Throw {
        match self.check_stops() {
            Err(throw) => throw,
            // There is no reason any more, but the work is lost.
            Ok(()) => self.error("interrupted!"),
        }
    }
}
