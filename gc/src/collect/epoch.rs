//! The epoch end: what the roots and the log say is counted, what survives is promoted, what died young is noticed where anybody cares.
//!
//! All of it happens in one pause at a safepoint. Its cost is in proportion to what the program did since the last one: slots of the frames that
//! ran, log records, survivors. Nothing here looks at the rest of the heap.
//!
//! Invariants:
//! E1. Increments are applied here, at once; decrements are only queued. So no count reaches 0 while an increment of the same epoch is pending.
//! E2. When it is over no cell is YOUNG, none is LOGGED or dirty but the touched current thread.
//!
//! May import: `object`, `memory`.

use super::barrier::{Subject, card_slots, trace_strong, untag};
use super::pacer::cpu_time;
use super::{Phase, Queue, Sabotage};
use crate::heap::{Heap, RootSource};
use crate::object::{Header, Kinds, Ref, Runtime, Shape, flags};

/// How far ahead a snapshot is searched for a present reference.
const LOOK_AHEAD: usize = 4;
/// The replay of a shorter log is not worth being measured.
const MEASURED_WORDS: usize = 512;

impl<R: Runtime> Heap<R> {
    /// An epoch end that takes a fixpoint if it can.
    pub(crate) fn epoch_end(&mut self, roots: &dyn RootSource) {
        self.end_epoch(roots, true);
    }

    /// `fixpoint`: if marking is on, what this epoch end shades may be marked here, so that the fixpoint can be taken.
    pub(crate) fn end_epoch(&mut self, roots: &dyn RootSource, fixpoint: bool) {
        // Before anything changes: a root source that panics leaves the heap as it was.
        let (globals, chain) = self.ask_for_roots(roots);
        let base = roots.current_base();
        self.col.counters.epochs += 1;
        if self.without(Sabotage::WaitingLast) {
            self.examine_waiting();
        }
        self.list_roots(globals, chain);
        self.scan_touched();
        self.apply_adoptions();
        self.replay_log();
        self.count_promoted();
        self.promote_handled();
        self.notice_young_dead();
        self.examine_adopted();
        self.examine_waiting();
        self.queue_drops();
        self.advance_phase(fixpoint);
        self.end_young();
        if let Some(&current) = self.col.chain.last()
            && !self.without(Sabotage::Watermark)
        {
            // R7: the current thread counts again as having run. SAFETY: it is live, the list counts it.
            unsafe {
                self.touch_thread(current);
                let stack = R::stack(current);
                stack.low = stack.low.min(base);
            }
        }
        if self.audit != 0
            && self.col.counters.epochs.is_multiple_of(u64::from(self.audit))
            && let Err(error) = self.audit()
        {
            panic!("the audit after epoch end {} in phase {:?}: {error}", self.col.counters.epochs, self.col.phase);
        }
    }

    /// What is young now is dead: its cells are free.
    fn end_young(&mut self) {
        let memory = &mut self.store.memory;
        let (objects, bytes) = memory.young_allocated();
        let (objects, bytes) = (objects as u64, bytes as u64);
        memory.epoch_reset();
        let (promoted_objects, promoted_bytes) = (self.col.promoted_objects, self.col.promoted_bytes);
        (self.col.promoted_objects, self.col.promoted_bytes) = (0, 0);
        let counters = &mut self.col.counters;
        counters.allocated_objects += objects;
        counters.allocated_bytes += bytes;
        counters.young_objects += objects.saturating_sub(promoted_objects);
        counters.young_bytes += bytes.saturating_sub(promoted_bytes);
    }

    // ---- counting

    #[inline(always)]
    pub(crate) fn increment(&mut self, r: Ref) {
        // SAFETY: it stands in a root, a snapshot of now, or a promoted cell: live or young (C1, C2).
        let header = unsafe { r.header() };
        header.count.set(header.count.get().saturating_add(1));
        // R1: young is a flag, not a count.
        if header.has(flags::YOUNG) {
            self.promote(r, header);
        }
    }

    #[inline(always)]
    fn promote(&mut self, r: Ref, header: &Header) {
        header.unset(flags::YOUNG | flags::LOGGED);
        self.make_live(r);
        self.col.promoted_objects += 1;
        if Kinds::<R>::shape(header.kind) != Shape::Leaf {
            self.col.work.push(r.addr(), &mut self.store);
        }
    }

    /// Sets the live bit, and the mark while a cycle is on (R20).
    #[inline(always)]
    pub(crate) fn make_live(&mut self, r: Ref) {
        let cell = r.as_nonnull();
        // SAFETY: a young cell, initialised.
        unsafe {
            self.store.memory.set_live(cell);
            self.col.promoted_bytes += self.store.memory.cell_bytes(cell) as u64;
            if self.col.mark_born && !self.without(Sabotage::PromotionMark) {
                self.store.memory.set_mark(cell);
                if r.header().has(flags::CARDED) {
                    r.header().set(flags::BLACK);
                }
            }
        }
    }

    /// Queues a decrement; it is applied in a slice after this epoch end (E1).
    #[inline(always)]
    pub(crate) fn queue_decrement(&mut self, r: Ref) {
        // R17.
        if self.col.shading && !self.without(Sabotage::QueueShade) {
            self.found(r);
        }
        self.col.release.push(r.addr(), &mut self.store);
    }

    /// A reference that was counted before and still is (R10); R17 all the same.
    #[inline(always)]
    pub(crate) fn keep_counted(&mut self, r: Ref) {
        if self.col.shading && !self.without(Sabotage::QueueShade) {
            self.found(r);
        }
    }

    /// Counts the references of everything promoted so far, and promotes on.
    pub(crate) fn count_promoted(&mut self) {
        while let Some(word) = self.col.work.pop_back(&mut self.store) {
            // SAFETY: a promoted cell.
            unsafe {
                let cell = Ref::from_addr(word);
                let header = cell.header();
                match Kinds::<R>::shape(header.kind) {
                    Shape::Leaf => {}
                    Shape::Plain => R::trace(cell, &mut |r| self.increment(r)),
                    Shape::Thread => {
                        R::trace(cell, &mut |r| self.increment(r));
                        self.scan_thread(cell);
                    }
                    shape if header.has(flags::CARDED) => self.count_cards(cell, shape),
                    Shape::Array | Shape::WeakValues | Shape::AllWeak => {
                        R::trace_slots(cell, 0..R::slots(cell), &mut |r| self.increment(r))
                    }
                    Shape::Ephemeron => {
                        let mut any = false;
                        R::trace_slots(cell, 0..R::slots(cell), &mut |r| {
                            any = true;
                            self.increment(r);
                        });
                        // R27.
                        self.col.events += u64::from(any);
                    }
                }
            }
        }
    }

    /// R4: only the dirty cards of a promoted array.
    #[inline(never)]
    fn count_cards(&mut self, array: Ref, shape: Shape) {
        let mut from = 0;
        // SAFETY: the array was just promoted.
        unsafe {
            while let Some(card) = self.next_dirty(array, from) {
                R::trace_slots(array, card_slots::<R>(array, card), &mut |r| self.increment(r));
                from = card + 1;
            }
            self.cards(array).fill(0);
        }
        self.col.events += u64::from(shape == Shape::Ephemeron && from != 0);
    }

    // ---- roots and log

    /// Root slots and running chain as they are now.
    fn ask_for_roots(&mut self, roots: &dyn RootSource) -> (Vec<Ref>, Vec<Ref>) {
        let (mut globals, mut chain) = (std::mem::take(&mut self.col.scratch), std::mem::take(&mut self.col.chain_scratch));
        globals.clear();
        chain.clear();
        roots.globals(&mut |r| globals.push(r));
        roots.chain(&mut |r| chain.push(r));
        (globals, chain)
    }

    fn list_roots(&mut self, globals: Vec<Ref>, chain: Vec<Ref>) {
        let old = std::mem::replace(&mut self.col.globals, globals);
        self.relist(&old, |col| &col.globals);
        self.col.scratch = old;
        let old = std::mem::replace(&mut self.col.chain, chain);
        self.relist(&old, |col| &col.chain);
        self.col.chain_scratch = old;
    }

    /// Compares a list of roots by position with the one of the last epoch end (R10).
    fn relist(&mut self, old: &[Ref], list: impl Fn(&super::Collector) -> &Vec<Ref>) {
        let len = list(&self.col).len();
        for i in 0..len.max(old.len()) {
            let now = list(&self.col).get(i).copied();
            match (old.get(i).copied(), now) {
                (Some(a), Some(b)) if a == b && !self.without(Sabotage::Cancelling) => self.keep_counted(a),
                (a, b) => {
                    if let Some(b) = b {
                        self.increment(b);
                    }
                    if let Some(a) = a {
                        self.queue_decrement(a);
                    }
                }
            }
        }
    }

    fn scan_touched(&mut self) {
        while let Some(word) = self.col.touched.pop_front(&mut self.store) {
            // SAFETY: C2: a touched thread that dies waits (R3).
            unsafe {
                let thread = Ref::from_addr(word);
                thread.header().unset(flags::LOGGED);
                self.scan_thread(thread);
            }
        }
    }

    /// R28.1: with the log records; they promote like any increment.
    fn apply_adoptions(&mut self) {
        while let Some(word) = self.col.increments.pop_front(&mut self.store) {
            // SAFETY: it stands in an adopted storage or was overwritten in this epoch: live or young.
            self.increment(unsafe { Ref::from_addr(word) });
        }
    }

    fn replay_log(&mut self) {
        let words = self.col.log.len();
        if words < MEASURED_WORDS {
            return self.replay_all();
        }
        let start = cpu_time();
        self.replay_all();
        self.col.pacer.learn_replay(words, cpu_time() - start);
    }

    fn replay_all(&mut self) {
        while !self.col.log.is_empty() {
            // SAFETY: a record's words stand side by side (`barrier`), and nothing is logged during the replay; B2: the object is live.
            unsafe {
                let &[object, tag] = self.col.log.front_words(2, &mut self.store) else { unreachable!() };
                let (subject, len) = untag(tag);
                let snapshot = &self.col.log.front_words(2 + len, &mut self.store)[2..];
                // The object of the record after the next.
                if let Some(tag) = self.col.log.peek(2 + len + 1)
                    && let Some(ahead) = self.col.log.peek(2 + len + 2 + untag(tag).1)
                {
                    super::prefetch(ahead);
                    super::prefetch(ahead + 64);
                }
                self.replay(Ref::from_addr(object), subject, snapshot);
                self.col.log.skip_front(2 + len, &mut self.store);
            }
        }
    }

    /// The object's present references against its snapshot: what stands in both cancels (R10), the new ones are incremented, the old ones queued.
    ///
    /// # Safety
    /// The record is one of the log.
    #[inline(always)]
    unsafe fn replay(&mut self, object: Ref, subject: Subject, snapshot: &[usize]) {
        if let Subject::Card(card) = subject {
            self.clean_card(object, card);
        }
        let mut at = 0;
        let mut any = false;
        let mut visit = |now: Ref| {
            any = true;
            if snapshot.get(at) == Some(&now.addr()) {
                at += 1;
                self.keep_counted(now);
                return;
            }
            let ahead = &snapshot[at..snapshot.len().min(at + LOOK_AHEAD)];
            if let Some(skipped) = ahead.iter().position(|&old| old == now.addr()) {
                for &old in &ahead[..skipped] {
                    // SAFETY: a snapshot's references are counted until they are given back.
                    self.queue_decrement(unsafe { Ref::from_addr(old) });
                }
                at += skipped + 1;
                self.keep_counted(now);
            } else {
                self.increment(now);
            }
        };
        // SAFETY: B2.
        unsafe {
            let header = object.header();
            let shape = Kinds::<R>::shape(header.kind);
            match subject {
                Subject::Object => {
                    header.unset(flags::LOGGED);
                    trace_strong::<R>(object, shape, &mut visit);
                }
                Subject::Card(card) => {
                    R::trace_slots(object, card_slots::<R>(object, card), &mut visit);
                }
                Subject::More => {}
            }
            // R27.
            self.col.events += u64::from(any && shape == Shape::Ephemeron);
        }
        for &old in &snapshot[at..] {
            // SAFETY: as above.
            self.queue_decrement(unsafe { Ref::from_addr(old) });
        }
    }

    // ---- what died young

    /// R1: a listed young object with a handle lives, if the handle is still there or was dropped in this epoch (R2).
    fn promote_handled(&mut self) {
        while let Some(word) = self.col.young_handles.pop_front(&mut self.store) {
            // SAFETY: listed in this epoch, so its cell isn't reused yet (R9).
            let r = unsafe { Ref::from_addr(word) };
            // SAFETY: as above.
            let header = unsafe { r.header() };
            if header.has(flags::YOUNG) && header.count.get() > 0 && !self.without(Sabotage::HandledYoung) {
                self.promote(r, header);
                self.count_promoted();
            }
        }
    }

    fn notice_young_dead(&mut self) {
        let weak = self.still_young_weak();
        if !self.col.new_finalizable.is_empty() {
            self.notice_finalizable(!weak.is_empty());
        }
        self.notice_special();
        self.entomb_young(weak);
        while let Some(word) = self.col.young_interned.pop_front(&mut self.store) {
            // SAFETY: listed in this epoch; a young death keeps the cell until the epoch's end.
            unsafe {
                let r = Ref::from_addr(word);
                if r.header().has(flags::YOUNG | flags::CORPSE) {
                    // R15.
                    self.runtime.unintern(r);
                }
            }
        }
    }

    /// Young cells of special kinds: destructors of the dead, the list of weak holders for the living.
    fn notice_special(&mut self) {
        while let Some(word) = self.col.young_special.pop_front(&mut self.store) {
            // SAFETY: as above.
            unsafe {
                let r = Ref::from_addr(word);
                let header = r.header();
                if header.has(flags::YOUNG) {
                    if Kinds::<R>::destructor(header.kind) {
                        self.destroy(r);
                    }
                } else if Kinds::<R>::shape(header.kind).is_weak() {
                    header.set(flags::HOLDER);
                    self.col.holders.push(word, &mut self.store);
                    // R18: it joins the ephemeron pass.
                    self.col.shaded = true;
                }
            }
        }
    }

    /// R28.5: an adopted storage with count 0 has lost its owner in the same epoch.
    fn examine_adopted(&mut self) {
        while let Some(word) = self.col.adopted.pop_front(&mut self.store) {
            // SAFETY: live since its adoption.
            unsafe {
                let r = Ref::from_addr(word);
                // One that was loaded through a weak reference is decided with the waiting.
                if r.header().has(flags::WAITING) {
                    continue;
                }
                if r.header().count.get() == 0 {
                    self.reap(r);
                } else {
                    self.col.events += 1;
                }
            }
        }
    }

    /// R3: after all increments and promotions, those from finalizers included.
    fn examine_waiting(&mut self) {
        let mut waiting = std::mem::replace(&mut self.col.waiting, Queue::new());
        while let Some(word) = waiting.pop_front(&mut self.store) {
            // SAFETY: C2.
            unsafe {
                let r = Ref::from_addr(word);
                let header = r.header();
                header.unset(flags::WAITING | flags::WEAK_READ);
                if self.col.window && !self.is_marked(r) {
                    // R23.
                } else if header.count.get() == 0 {
                    self.reap(r);
                } else {
                    self.col.events += 1;
                }
            }
        }
    }

    /// R2: dropped handles and popped finalizers.
    fn queue_drops(&mut self) {
        while let Some(word) = self.col.dropped.pop_front(&mut self.store) {
            // SAFETY: counted until now.
            self.queue_decrement(unsafe { Ref::from_addr(word) });
        }
        while let Some(word) = self.col.loaned.pop_front(&mut self.store) {
            // SAFETY: counted until now.
            self.queue_decrement(unsafe { Ref::from_addr(word) });
        }
    }

    /// What the cycle waits an epoch end for.
    fn advance_phase(&mut self, fixpoint: bool) {
        match self.col.phase {
            Phase::Clear if self.col.sweep.cleared && self.col.pass.is_none() => self.start_marking(),
            Phase::Mark | Phase::MarkAgain if fixpoint => self.take_fixpoint(),
            Phase::Drain if self.col.sweep.drain_target.is_none() => self.set_drain_target(),
            _ => {}
        }
    }
}
