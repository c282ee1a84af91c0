//! The cycle: every change of its phase stands here (R22).
//!
//! A cycle is worth its cost where it finds much; when one is, [`super::pace`] tells. What its phases do is the parts' business: `sweep`, `mark`, `weak`,
//! `finalize`.
//!
//! May import: `object`, `memory`, `observe`, and the parts.

use super::Phase;
use super::budget::Budget;
use super::collector::Collector;
use crate::object::Runtime;
use crate::observe::Cause;

impl<R: Runtime> Collector<R> {
    /// The mark bits are cleared, then the next epoch end takes the snapshot.
    pub(super) fn begin_cycle(&mut self) {
        self.pacer.cycle.begin(&self.cx);
        self.cx.enter(Phase::Clear);
        let done = self.cx.without(super::Sabotage::ClearedMarks);
        self.sweep.begin(done);
        self.observe_phase();
    }

    /// What the cycle waits an epoch end for. `fixpoint`: what this epoch end has shaded may be marked here, if it is little.
    pub(super) fn advance_at_epoch_end(&mut self, fixpoint: bool) {
        match self.cx.phase() {
            Phase::Clear if self.sweep.is_done() && !self.weak.under_way() => {
                self.cx.enter(Phase::Mark);
                // R27: counted from the snapshot on.
                self.cx.events = 0;
                self.marking.start(&mut self.cx, &self.roots);
                self.observe_phase();
            }
            Phase::Mark | Phase::MarkAgain if fixpoint => self.take_fixpoint(),
            Phase::Drain if self.sweep.drain.is_none() => {
                // R25.
                self.sweep.drain = Some(self.release.queued(&self.cx));
                self.release_if_drained();
            }
            _ => {}
        }
    }

    fn take_fixpoint(&mut self) {
        let Collector { rt, cx, marking, finalizers, handles, .. } = self;
        match self.driven {
            Some(units) => {
                let _ = (0..units).take_while(|_| marking.unit(rt, cx, finalizers, handles)).count();
                cx.gray.shade_found(&mut cx.store);
            }
            None => {
                let mut budget = Budget::slices(1, self.pacer.slice());
                marking.step(rt, cx, finalizers, handles, &mut budget);
                cx.units += budget.spent();
            }
        }
        // R19: the rest of dying arrays.
        let dying = self.release.dying_unscanned(&self.cx) && !self.cx.without(super::Sabotage::DyingHolds);
        if dying || !self.marking.rests(&self.cx, &self.finalizers) {
            return;
        }
        if self.cx.phase() == Phase::MarkAgain {
            return self.decide();
        }
        self.cx.enter(Phase::CleanValues);
        if !self.weak.nothing_to_clean(&self.finalizers) {
            self.weak.start_pass(&self.cx, &self.finalizers, Phase::CleanValues);
        } else if self.finalizers.nothing_to_list() {
            // Nothing for the phases in between to do: the second fixpoint is this one.
            return self.decide();
        } else {
            self.start_listing();
        }
        self.observe_phase();
    }

    /// The second fixpoint: what is unmarked now is dead.
    fn decide(&mut self) {
        // R18: what waited for its key is dead; R9: no address is left that pins the layout.
        self.cx.ephemerons.forget();
        self.cx.store.memory.pin_layout(false);
        self.cx.enter(Phase::CleanKeys);
        if self.weak.nothing_to_clean(&self.finalizers) {
            self.start_detaching();
        } else {
            self.weak.start_pass(&self.cx, &self.finalizers, Phase::CleanKeys);
        }
        self.observe_phase();
    }

    fn start_listing(&mut self) {
        self.cx.enter(Phase::ListFinalizable);
        self.finalizers.start_listing();
    }

    fn start_detaching(&mut self) {
        self.cx.enter(Phase::Detach);
        self.sweep.begin(false);
    }

    /// R25: all that was queued when the dead had been detached has been released.
    pub(super) fn release_if_drained(&mut self) {
        if self.cx.phase() != Phase::Drain {
            return;
        }
        if self.cx.without(super::Sabotage::Drain) {
            self.sweep.drain = Some([0; 3]);
        }
        if let Some(queued) = self.sweep.drain
            && self.release.has_released(&self.cx, queued)
        {
            self.cx.enter(Phase::Release);
            self.sweep.begin(false);
            self.observe_phase();
        }
    }

    /// Whether slices have anything to do for the cycle, or for a pass or a turn outside of one.
    pub(super) fn cycle_has_slices(&self) -> bool {
        match self.cx.phase() {
            Phase::Idle => self.weak.under_way() || self.finalizers.is_turning(),
            Phase::Clear => self.weak.under_way() || !self.sweep.is_done(),
            Phase::Mark | Phase::MarkAgain => !self.marking.rests(&self.cx, &self.finalizers),
            Phase::Drain => false,
            _ => true,
        }
    }

    /// Works on the phase, and goes on to the next where that waits for nothing. Says what for.
    pub(super) fn cycle_step(&mut self, budget: &mut Budget) -> Cause {
        let Collector { rt, cx, log, weak, finalizers, handles, marking, sweep, .. } = self;
        match cx.phase() {
            Phase::Clear | Phase::Idle if weak.under_way() => {
                weak.step(rt, cx, log, finalizers, budget);
                Cause::Clean
            }
            Phase::Idle => {
                finalizers.step(cx, budget);
                Cause::Finalize
            }
            Phase::Clear => {
                sweep.clear_marks(cx, budget);
                Cause::Sweep
            }
            Phase::Mark | Phase::MarkAgain => {
                marking.step(rt, cx, finalizers, handles, budget);
                Cause::Mark
            }
            Phase::CleanValues => {
                if weak.step(rt, cx, log, finalizers, budget) {
                    self.start_listing();
                }
                Cause::Clean
            }
            Phase::ListFinalizable => {
                if finalizers.step(cx, budget) {
                    // R22: the second round.
                    self.cx.enter(Phase::MarkAgain);
                    self.observe_phase();
                }
                Cause::Finalize
            }
            Phase::CleanKeys => {
                if weak.step(rt, cx, log, finalizers, budget) {
                    self.start_detaching();
                }
                Cause::Clean
            }
            Phase::Detach => {
                sweep.detach(rt, cx, budget);
                if sweep.is_done() {
                    self.cx.enter(Phase::Drain);
                }
                Cause::Sweep
            }
            Phase::Drain => Cause::Sweep,
            Phase::Release => {
                sweep.release(cx, budget);
                if sweep.is_done() {
                    self.cx.enter(Phase::Idle);
                    self.cx.counters.cycles += 1;
                    self.pacer.largest_bytes = 0;
                    self.pacer.cycle.end(&self.cx);
                    self.observe_phase();
                }
                Cause::Sweep
            }
        }
    }

    /// The listing of what is unmarked is not left half done: what it has not come to would be decided by nobody.
    pub(super) fn finish_listing(&mut self) {
        let endless = &mut Budget::endless();
        while matches!(self.cx.phase(), Phase::CleanValues | Phase::ListFinalizable) {
            self.cycle_step(endless);
        }
        while self.cx.phase() == Phase::MarkAgain
            && let Some(r) = self.finalizers.next_resurrected(&mut self.cx)
        {
            self.cx.shade(r);
        }
    }
}
