//! The epoch end: what the roots and the log say is counted, what survives is promoted, what died young is noticed where anybody cares.
//!
//! All of it happens in one pause at a safepoint. Its cost is in proportion to what the program did since the last one: slots of the frames that
//! ran, log records, survivors, weak loads. Nothing here looks at the rest of the heap.
//!
//! Invariants:
//! * **nothing-is-young** When it is over no cell is YOUNG, none is LOGGED, dirty or WEAK_READ, but the touched current thread.
//!
//! May import: `object`, `memory`, and the parts.

use super::budget::Budget;
use super::collector::Collector;
use super::context::destroy;
use super::edges::trace_whole;
use super::queue::Queue;
use super::{RootSource, Sabotage};
use crate::object::{Ref, Runtime, flags};
use crate::observe::Counters;

impl<R: Runtime> Collector<R> {
    /// An epoch end that takes a fixpoint if it can.
    pub(super) fn epoch_end(&mut self, source: &dyn RootSource) {
        self.end_epoch(source, true);
    }

    /// `fixpoint`: if marking is on, what this epoch end shades may be marked here, so that the fixpoint can be taken.
    pub(super) fn end_epoch(&mut self, source: &dyn RootSource, fixpoint: bool) {
        self.roots.ask(source);
        self.cx.units = 0;
        self.cx.counters.epochs += 1;
        self.examine_early();
        // What was loaded may take half of the goal, and a log that is full all of it, or twice as much if it is put off: that pays where the same is written
        // again and again.
        let goal = self.pacer.epoch_goal();
        let Collector { rt, cx, .. } = self;
        self.roots.count(cx);
        self.stacks.scan_touched(rt, cx);
        // R28.1.
        self.adoptions.apply_increments(cx);
        self.log.replay(rt, cx, goal);
        cx.count_promoted(rt);
        self.promote_handled();
        self.notice_young_dead();
        // R3: all increments and promotions are done.
        self.release.waiting.decide();
        self.handles.end_epoch(&mut self.cx);
        self.finalizers.end_loans(&mut self.cx);
        // R14, after R3.
        self.release.waiting.end_epoch(&mut self.cx, goal / 2);
        self.look_at_everything();
        self.advance_at_epoch_end(fixpoint);
        self.end_young();
        if let Some((thread, base)) = self.roots.current() {
            // SAFETY: it is live, the list counts it.
            unsafe { self.stacks.runs_on(&self.rt, &mut self.cx, thread, base) };
        }
        self.audit_if_due();
    }

    /// What is young now is dead: its cells are free.
    fn end_young(&mut self) {
        let (objects, bytes) = self.cx.store.memory.young_allocated();
        self.cx.store.memory.epoch_reset();
        let (promoted_objects, promoted_bytes) = self.cx.take_promoted();
        let counters: &mut Counters = &mut self.cx.counters;
        counters.allocated_objects += objects as u64;
        counters.allocated_bytes += bytes as u64;
        counters.young_objects += (objects as u64).saturating_sub(promoted_objects);
        counters.young_bytes += (bytes as u64).saturating_sub(promoted_bytes);
    }

    // ---- what died young

    /// R1: a listed young object with a handle lives, if the handle is still there or was dropped in this epoch (R2).
    fn promote_handled(&mut self) {
        let Collector { rt, cx, handles, .. } = self;
        cx.units += handles.young.len();
        while let Some(word) = handles.young.pop_front(&mut cx.store) {
            // SAFETY: listed in this epoch, so its cell isn't reused yet (R9).
            let r = unsafe { Ref::from_addr(word) };
            // SAFETY: as above.
            let header = unsafe { r.header() };
            if header.has(flags::YOUNG) && header.count.get() > 0 && !cx.without(Sabotage::HandledYoung) {
                cx.promote(r, header);
                cx.count_promoted(rt);
            }
        }
    }

    fn notice_young_dead(&mut self) {
        let weak: Queue = self.weak.still_young(&mut self.cx);
        self.finalizers.notice_new(&self.rt, &mut self.cx, &mut self.weak, !weak.is_empty());
        self.notice_special();
        self.weak.entomb_young(&mut self.cx, weak);
        let Collector { rt, cx, young_interned, .. } = self;
        cx.units += young_interned.len();
        while let Some(word) = young_interned.pop_front(&mut cx.store) {
            // SAFETY: listed in this epoch; a young death keeps the cell until the epoch's end.
            unsafe {
                let r = Ref::from_addr(word);
                if r.header().has(flags::YOUNG | flags::CORPSE) {
                    // R15.
                    rt.unintern(r);
                }
            }
        }
    }

    /// Young cells of special kinds: destructors of the dead, the list of weak holders for the living.
    fn notice_special(&mut self) {
        let Collector { rt, cx, young_special, weak, .. } = self;
        cx.units += young_special.len();
        while let Some(word) = young_special.pop_front(&mut cx.store) {
            // SAFETY: listed in this epoch, the cells are not reused yet.
            unsafe {
                let r = Ref::from_addr(word);
                let header = r.header();
                if !header.has(flags::YOUNG) {
                    if cx.kinds.is_weak(header.kind) {
                        weak.join(rt, cx, r, header);
                    }
                } else if cx.kinds.has_destructor(header.kind) {
                    destroy(rt, cx, r);
                }
            }
        }
    }

    // ---- rules taken away, and a fault planted, for tests

    fn examine_early(&mut self) {
        if self.cx.without(Sabotage::WaitingLast) {
            self.release.waiting.decide();
            let goal = self.pacer.epoch_goal();
            self.release.waiting.end_epoch(&mut self.cx, goal);
            let (release, mut of) = self.release();
            release.step(&mut of, &mut Budget::endless());
        }
    }

    /// Work outside of any budget, in proportion to the heap.
    fn look_at_everything(&self) {
        if self.cx.without(Sabotage::Unbounded) {
            let (rt, memory) = (&self.rt, &self.cx.store.memory);
            let mut id = 0;
            while let Some(block) = memory.next_block(id) {
                memory.for_each_live_in(block, |cell| {
                    // SAFETY: a live cell, initialised.
                    unsafe {
                        let r = Ref::from_ptr(cell);
                        trace_whole(rt, r, self.cx.kinds.shape(r.kind()), &mut |_| {});
                    }
                });
                id = block + 1;
            }
        }
    }
}
