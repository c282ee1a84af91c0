//! The collector moved by hand, a unit at a time: what the model tests drive it with, in place of the pacer.
//!
//! May import: `object`, and the parts.

use super::budget::Budget;
use super::collector::Collector;
use super::{Phase, RootSource, Sabotage};
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

impl<R: Runtime> Collector<R> {
    /// Moves the collector; `false` if there was nothing to do.
    pub fn drive(&mut self, source: &dyn RootSource, what: Drive) -> bool {
        match what {
            Drive::EpochEnd(units) => {
                self.driven = Some(units);
                self.epoch_end(source);
                self.driven = None;
                self.begin_idle_work();
                true
            }
            Drive::EpochEndAndStart => {
                if self.cx.phase() == Phase::Idle {
                    while self.cycle_has_slices() {
                        self.cycle_step(&mut Budget::endless());
                    }
                    self.begin_cycle();
                    self.cycle_step(&mut Budget::endless());
                }
                self.epoch_end(source);
                true
            }
            Drive::Release(units) => {
                if self.cx.without(Sabotage::YoungReuse) {
                    self.cx.store.memory.epoch_reset();
                }
                (0..units).take_while(|_| !self.release_step(&mut Budget::units(1))).count() > 0
            }
            Drive::Phase(units) => (0..units).take_while(|_| self.phase_unit()).count() > 0,
            Drive::Clean(units) => {
                let unit = |collector: &mut Self| {
                    let Collector { rt, cx, log, weak, finalizers, .. } = collector;
                    let there = weak.under_way();
                    weak.step(rt, cx, log, finalizers, &mut Budget::units(1));
                    there
                };
                let ours = matches!(self.cx.phase(), Phase::Idle | Phase::Clear);
                ours && (0..units).take_while(|_| unit(self)).count() > 0
            }
        }
    }

    fn phase_unit(&mut self) -> bool {
        if self.cx.phase().is_marking() {
            let Collector { rt, cx, finalizers, handles, marking, .. } = self;
            return marking.unit(rt, cx, finalizers, handles);
        }
        let there = self.cycle_has_slices();
        if there {
            self.cycle_step(&mut Budget::units(1));
        }
        there
    }

    /// What the pacer would put off until there is more of it.
    fn begin_idle_work(&mut self) {
        if self.cx.phase() != Phase::Idle {
            return;
        }
        self.finalizers.turn_if_due(&self.cx, true);
        if !self.weak.under_way() && self.weak.anything_waits(&self.finalizers) {
            self.weak.start_pass(&self.cx, &self.finalizers, Phase::Idle);
        }
    }

    /// The count of the cell is what it would be after four thousand million increments.
    ///
    /// # Safety
    /// The cell is live or young.
    pub unsafe fn make_sticky(&mut self, cell: Ref) {
        // SAFETY: by the caller.
        let header = unsafe { cell.header() };
        header.count.set(STICKY);
        // R27: what has come to this had decrements.
        self.cx.events += 1;
        if header.has(flags::YOUNG) {
            // R1: a young cell with a count is one that a handle holds.
            self.handles.young.push(cell.addr(), &mut self.cx.store);
        }
    }
}
