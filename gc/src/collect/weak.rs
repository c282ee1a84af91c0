//! Weak references: loads, holders, cleaning passes, tombstones, ephemerons.
//!
//! A *holder* is a cell of a weak shape. All mature holders stand in one list, which a pass takes from the front and appends to the back: one turn is
//! one pass. Passes begin at epoch ends, when there are no young holders.
//!
//! Invariants:
//! W1. While a pass is under way no other pass begins; the list changes only at its back, by promotion.
//! W2. A weak slot names a cell that is live or young, a corpse included; a corpse loses WEAKLY_HELD only after a full pass begun after its death (R12).
//!
//! May import: `object`, `memory`.

use super::{Phase, Queue, Sabotage};
use crate::heap::Heap;
use crate::object::{Kinds, Ref, Runtime, STICKY, Shape, Verdict, flags};

/// Slots visited at a time.
const PASS_SLOTS: usize = 64;

/// A pass over the holders.
pub(crate) struct Pass {
    /// `Idle`: tombstones only; `CleanValues`, `CleanKeys`; `Mark`: ephemerons.
    pub purpose: Phase,
    /// Holders still to be visited.
    left: usize,
    current: Option<Ref>,
    slot: usize,
    /// The entries of these lists that the pass serves: those that were there when it began.
    tombs: usize,
    waiting: usize,
    weak_dead: usize,
}

impl<R: Runtime> Heap<R> {
    // ---- what the program does

    pub(crate) fn hold_weakly(&mut self, target: Ref) {
        // SAFETY: the caller of `weak_hold` vouches for the target.
        let header = unsafe { target.header() };
        if !header.has(flags::WEAKLY_HELD) {
            header.set(flags::WEAKLY_HELD);
            if header.has(flags::YOUNG) {
                self.col.young_weak.push(target.addr(), &mut self.store);
            }
        }
    }

    /// Whether a weak value reads as nil, and may be removed (R24).
    #[inline]
    pub(crate) fn dead_value(&self, target: Ref) -> bool {
        // SAFETY: W2.
        let header = unsafe { target.header() };
        // R24: not in the second round.
        let undecided = self.col.window && self.col.phase != Phase::MarkAgain && !self.without(Sabotage::WeakNil);
        header.has(flags::CORPSE | flags::DYING | flags::WEAK_DEAD)
            || undecided && !header.has(flags::YOUNG) && !self.is_marked(target)
    }

    /// Whether an entry with this weak key may be removed (R13, R24).
    pub(crate) fn dead_key(&self, key: Ref) -> bool {
        // SAFETY: W2.
        let header = unsafe { key.header() };
        header.has(flags::CORPSE | flags::DYING) || self.col.decided() && !header.has(flags::YOUNG) && !self.is_marked(key)
    }

    /// Whether an entry with this weak key reads as absent (R24).
    pub(crate) fn key_reads_nil(&self, key: Ref) -> bool {
        // SAFETY: W2.
        let header = unsafe { key.header() };
        let undecided = matches!(self.col.phase, Phase::CleanValues | Phase::ListFinalizable);
        self.dead_key(key) || header.has(flags::WEAK_DEAD) || undecided && !header.has(flags::YOUNG) && !self.is_marked(key)
    }

    /// R14.
    pub(crate) fn weak_load(&mut self, target: Ref) {
        // SAFETY: W2.
        let header = unsafe { target.header() };
        if header.has(flags::YOUNG) {
            return;
        }
        if !self.without(Sabotage::WeakFlag) {
            header.set(flags::WEAK_READ);
        }
        if header.count.get() == 0 {
            self.wait(target, header);
        }
        if self.col.shading && !self.without(Sabotage::WeakShade) {
            // R27.
            self.col.events += u64::from(!self.is_marked(target));
            self.shade(target);
        }
    }

    /// R15.
    pub(crate) fn hit_interned(&mut self, cell: Ref) -> bool {
        // SAFETY: the table names live and young cells (R15).
        let header = unsafe { cell.header() };
        if header.has(flags::YOUNG) {
            return true;
        }
        let marking = self.col.mark_born;
        let unmarked = marking && !self.is_marked(cell);
        if unmarked && self.col.decided() {
            return false;
        }
        header.set(flags::WEAK_READ);
        if header.count.get() == 0 {
            self.wait(cell, header);
        }
        if unmarked && !self.without(Sabotage::InternMark) {
            self.col.events += u64::from(header.count.get() == STICKY);
            if self.col.shading {
                self.shade(cell);
            } else {
                // SAFETY: live, and a leaf: nothing to scan.
                unsafe { self.store.memory.set_mark(cell.as_nonnull()) };
            }
        }
        true
    }

    // ---- young deaths

    /// The weakly held cells that nothing has promoted.
    pub(crate) fn still_young_weak(&mut self) -> Queue {
        let mut dead = Queue::new();
        while let Some(word) = self.col.young_weak.pop_front(&mut self.store) {
            // SAFETY: listed in this epoch.
            if unsafe { Ref::from_addr(word).header() }.has(flags::YOUNG) {
                dead.push(word, &mut self.store);
            }
        }
        dead
    }

    /// They become tombstones (R12); those that a finalizer has saved read as nil for a while (R16).
    pub(crate) fn entomb_young(&mut self, mut weak: Queue) {
        while let Some(word) = weak.pop_front(&mut self.store) {
            // SAFETY: listed in this epoch.
            unsafe {
                let r = Ref::from_addr(word);
                let header = r.header();
                if header.has(flags::YOUNG) {
                    header.unset(flags::YOUNG | flags::LOGGED);
                    header.set(flags::CORPSE);
                    self.make_live(r);
                    self.col.tombs.push(word, &mut self.store);
                } else {
                    header.set(flags::WEAK_DEAD);
                    self.col.weak_dead.push(word, &mut self.store);
                }
            }
        }
    }

    // ---- passes

    pub(crate) fn start_pass(&mut self, purpose: Phase) {
        debug_assert!(self.col.pass.is_none());
        self.col.pass = Some(Pass {
            purpose,
            left: self.col.holders.len(),
            current: None,
            slot: 0,
            tombs: self.col.tombs.len(),
            waiting: self.col.fin_wait.len(),
            weak_dead: self.col.weak_dead.len(),
        });
    }

    /// A step of the pass that is under way; `false` if there is none.
    pub(crate) fn pass_unit(&mut self) -> bool {
        let Some(pass) = &mut self.col.pass else { return false };
        let Some(holder) = pass.current else {
            if pass.left == 0 {
                self.end_pass();
                return true;
            }
            pass.left -= 1;
            let purpose = pass.purpose;
            let word = self.col.holders.pop_front(&mut self.store).expect("the list has the holders that the pass has left");
            // SAFETY: C3.
            unsafe {
                let r = Ref::from_addr(word);
                let header = r.header();
                if header.has(flags::CORPSE) {
                    self.col.dead_holders -= 1;
                    self.release_corpse(r, flags::HOLDER);
                } else if purpose == Phase::CleanKeys && !self.is_marked(r) {
                    // R24: dead; the sweep must not find it listed.
                    header.unset(flags::HOLDER);
                } else {
                    self.col.holders.push(word, &mut self.store);
                    let skip = match purpose {
                        // R18: only the values of marked holders.
                        Phase::Mark => Kinds::<R>::shape(header.kind) != Shape::Ephemeron || !self.is_marked(r),
                        // Keys are cleaned after the second fixpoint only: a removed entry logs the holder, and the replay of that log would shade
                        // all its other values in the second round, a dead chain of keys and values with them.
                        Phase::CleanValues => Kinds::<R>::shape(header.kind) == Shape::Ephemeron,
                        _ => false,
                    };
                    if !skip
                        && !header.has(flags::DYING)
                        && let Some(pass) = &mut self.col.pass
                    {
                        pass.current = Some(r);
                        pass.slot = 0;
                    }
                }
            }
            return true;
        };
        let (purpose, from) = (pass.purpose, pass.slot);
        // SAFETY: C3; a holder that dies during the pass becomes a corpse or is dying.
        unsafe {
            let gone = holder.header().has(flags::CORPSE | flags::DYING);
            let slots = if gone { 0 } else { R::slots(holder) };
            let to = (from + PASS_SLOTS).min(slots);
            if from < to {
                if purpose == Phase::Mark {
                    self.mark_entries(holder, from, to);
                } else {
                    self.clean_slots(holder, from, to);
                }
            }
            if let Some(pass) = &mut self.col.pass {
                pass.slot = to;
                if to >= slots {
                    pass.current = None;
                }
            }
        }
        true
    }

    /// # Safety
    /// A live holder with so many slots.
    unsafe fn clean_slots(&mut self, holder: Ref, from: usize, to: usize) {
        let heap: *mut Heap<R> = self;
        // SAFETY: by the caller. The two callbacks are called one after the other, and nothing else uses the heap meanwhile.
        unsafe {
            R::clean_slots(
                holder,
                from..to,
                &mut |target, is_key| {
                    let heap = &*heap;
                    let dead = if is_key { heap.dead_key(target) } else { heap.dead_value(target) };
                    if dead { Verdict::Clear } else { Verdict::Keep }
                },
                // R3: the collector's own stores.
                &mut |slot| (*heap).barrier(holder, slot).unwrap_or(()),
            );
        }
    }

    /// Shades the values whose keys are marked.
    ///
    /// # Safety
    /// A live ephemeron holder with so many slots.
    unsafe fn mark_entries(&mut self, holder: Ref, from: usize, to: usize) {
        // SAFETY: by the caller.
        unsafe {
            R::trace_entries(holder, from..to, &mut |key, value| {
                let Some(value) = value else { return };
                let marked = match key {
                    None => true,
                    Some(key) => !key.header().has(flags::YOUNG | flags::CORPSE | flags::DYING) && self.is_marked(key),
                };
                if marked {
                    self.shade(value);
                }
            });
        }
    }

    /// A pass has seen every holder.
    pub(crate) fn end_pass(&mut self) {
        let Some(pass) = self.col.pass.take() else { return };
        if pass.purpose == Phase::Mark {
            self.col.ephemerons_done = !self.col.shaded;
            return;
        }
        // The pass for values has left the weak-keyed holders out: tombstones wait for the next.
        let tombs = if pass.purpose == Phase::CleanValues { 0 } else { pass.tombs };
        for _ in 0..tombs {
            let Some(word) = self.col.tombs.pop_front(&mut self.store) else { break };
            // SAFETY: W2: no weak slot names it any more.
            unsafe { self.release_corpse(Ref::from_addr(word), flags::WEAKLY_HELD) };
        }
        for _ in 0..pass.weak_dead {
            let Some(word) = self.col.weak_dead.pop_front(&mut self.store) else { break };
            // SAFETY: weakly held, so its cell has waited for this pass even if it died.
            unsafe { Ref::from_addr(word).header() }.unset(flags::WEAK_DEAD);
        }
        for _ in 0..pass.waiting {
            let Some(word) = self.col.fin_wait.pop_front(&mut self.store) else { break };
            // SAFETY: C2.
            unsafe { Ref::from_addr(word).header() }.unset(flags::WEAK_DEAD);
            // R16: now the finalizer is handed over.
            self.col.fin_queue.push(word, &mut self.store);
            self.col.counters.finalizers += 1;
        }
        match pass.purpose {
            Phase::CleanValues => self.start_listing(),
            Phase::CleanKeys => self.start_detaching(),
            _ => {}
        }
    }

    /// A step of the ephemeron pass; `false` when a whole pass has shaded nothing (R18).
    #[cold]
    pub(crate) fn ephemeron_unit(&mut self) -> bool {
        if self.col.pass.is_none() {
            if self.col.holders.is_empty() || self.col.ephemerons_done && !self.col.shaded {
                return false;
            }
            self.col.shaded = false;
            self.col.ephemerons_done = false;
            self.start_pass(Phase::Mark);
        }
        self.pass_unit()
    }
}
