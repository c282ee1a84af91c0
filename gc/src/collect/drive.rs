//! The collector moved by hand, a unit at a time: what the model tests drive it with, in place of the pacer.

use super::{Phase, Sabotage};
use crate::heap::{Heap, RootSource};
use crate::object::{Ref, Runtime, STICKY, flags};

/// A movement of the collector.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Drive {
    /// An epoch end, with so many units of marking.
    EpochEnd(usize),
    /// An epoch end at which marking starts, if no cycle is under way.
    EpochEndAndStart,
    /// So many units of the release queue.
    Release(usize),
    /// So many units of the phase of the cycle.
    Phase(usize),
    /// So many units of a cleaning pass.
    Clean(usize),
}

impl<R: Runtime> Heap<R> {
    /// Moves the collector; `false` if there was nothing to do.
    ///
    /// # Safety
    /// As for [`Heap::safepoint`].
    #[doc(hidden)]
    pub unsafe fn drive(&mut self, roots: &dyn RootSource, what: Drive) -> bool {
        match what {
            Drive::EpochEnd(units) => {
                self.col.driven = Some(units);
                self.epoch_end(roots);
                self.col.driven = None;
                self.begin_idle_work();
                true
            }
            Drive::EpochEndAndStart => {
                if self.col.phase == Phase::Idle {
                    while self.pass_unit() {}
                    self.start_clearing();
                    while self.clear_unit() {}
                }
                self.epoch_end(roots);
                true
            }
            Drive::Release(units) => {
                if self.without(Sabotage::YoungReuse) {
                    self.store.memory.epoch_reset();
                }
                let did = (0..units).take_while(|_| self.release_unit()).count();
                self.check_drained();
                did > 0
            }
            Drive::Phase(units) => (0..units).take_while(|_| self.phase_unit()).count() > 0,
            Drive::Clean(units) => {
                let ours = self.col.pass.as_ref().is_none_or(|pass| pass.purpose != Phase::Mark);
                ours && (0..units).take_while(|_| self.pass_unit()).count() > 0
            }
        }
    }

    /// What the pacer would put off until there is more of it.
    fn begin_idle_work(&mut self) {
        let col = &mut self.col;
        if col.phase != Phase::Idle {
            return;
        }
        if col.stale_finalizable != 0 && col.turn_left == 0 {
            col.stale_finalizable = 0;
            col.turn_left = col.finalizable.len();
        }
        let waiting = col.tombs.len() + col.fin_wait.len() + col.weak_dead.len() + col.dead_holders;
        if waiting != 0 && col.pass.is_none() {
            self.start_pass(Phase::Idle);
        }
    }

    /// The count of the cell is what it would be after four thousand million increments.
    ///
    /// # Safety
    /// The cell is live or young.
    #[doc(hidden)]
    pub unsafe fn make_sticky(&mut self, cell: Ref) {
        // SAFETY: by the caller.
        let header = unsafe { cell.header() };
        header.count.set(STICKY);
        // R27: what has come to this had decrements.
        self.col.events += 1;
        if header.has(flags::YOUNG) {
            // R1: a young cell with a count is one that a handle holds.
            self.col.young_handles.push(cell.addr(), &mut self.store);
        }
    }

    #[doc(hidden)]
    pub fn phase(&self) -> Phase {
        self.col.phase
    }

    fn phase_unit(&mut self) -> bool {
        match self.col.phase {
            Phase::Idle => self.turn_unit(),
            Phase::Drain => false,
            Phase::Clear => self.clear_unit(),
            Phase::Mark | Phase::MarkAgain => self.mark_unit(),
            Phase::CleanValues | Phase::CleanKeys => self.pass_unit(),
            Phase::ListFinalizable => {
                if !self.turn_unit() {
                    self.start_second_round();
                }
                true
            }
            Phase::Detach => self.detach_unit(),
            Phase::Release => self.release_block(),
        }
    }
}
