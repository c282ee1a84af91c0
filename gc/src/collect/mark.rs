//! Marking, in slices: a snapshot at the beginning, roots, gray cells, the fixpoints.
//!
//! Marking starts at an epoch end from the listed roots (no young cells exist then). What was reachable then is marked, even if the program
//! disconnects it meanwhile: every overwritten reference comes by as a decrement and is shaded (R17). What is born meanwhile is promoted marked (R20).
//!
//! Invariants:
//! K1. While `shading`, a marked cell is black (its references are marked, in `gray`, logged, or queued as decrements) or it stands in `gray`.
//!     An entry of `gray` with the bit CANDIDATE is a reference that was found: its cell is marked when the entry is taken, so that the
//!     bits and the header can come into the cache meanwhile.
//! K2. An entry of `gray` whose cell has died is recognised by its clear `live` bit (R9: the layout is pinned).
//!
//! May import: `object`, `memory`.

use super::{Cursor, Phase, Sabotage, prefetch};
use crate::heap::Heap;
use crate::object::{Kinds, Ref, Runtime, Shape, flags};
use std::time::Instant;

/// Slots of a large array, or entries of a counted list, scanned at a time.
const GRAY_SLOTS: usize = 512;
const BATCH: usize = 64;
/// How many candidates wait for the cache.
const RING: usize = 8;

/// Tags of the words in `gray`: how far the cell below has been scanned; a cell not marked yet.
const POSITION: usize = 1;
const CANDIDATE: usize = 2;

/// What a word of `gray` is.
pub(crate) enum Gray {
    Position(usize),
    Cell(usize),
}

pub(crate) fn ungray(word: usize) -> Gray {
    if word & POSITION != 0 { Gray::Position(word >> 1) } else { Gray::Cell(word & !CANDIDATE) }
}

/// The roots of a marking round that are still to be visited.
pub(crate) struct Roots {
    finalizers: Cursor,
    waiting_finalizers: Cursor,
    handle: usize,
    done: bool,
}

impl Roots {
    pub const fn new() -> Roots {
        Roots { finalizers: Cursor::new(), waiting_finalizers: Cursor::new(), handle: 0, done: true }
    }
}

impl<R: Runtime> Heap<R> {
    /// R22: at an epoch end, the mark bits clear.
    pub(crate) fn start_marking(&mut self) {
        debug_assert!(self.col.gray.is_empty() && self.col.pass.is_none());
        self.col.enter(Phase::Mark);
        // R27: counted from the snapshot on.
        self.col.events = 0;
        self.col.ephemerons_done = false;
        self.col.shaded = true;
        self.col.roots = Roots { done: false, ..Roots::new() };
        self.store.memory.pin_layout(true);
        for i in 0..self.col.globals.len() {
            self.shade(self.col.globals[i]);
        }
        for i in 0..self.col.chain.len() {
            self.shade(self.col.chain[i]);
        }
    }

    /// Marks a cell and queues it for scanning, if it is live and unmarked.
    #[inline(always)]
    pub(crate) fn shade(&mut self, r: Ref) {
        // SAFETY: the reference was read from a live cell or a list.
        if unsafe { self.store.memory.mark_if_live(r.as_nonnull()) } {
            self.col.shaded = true;
            prefetch(r.addr());
            self.col.gray.push(r.addr(), &mut self.store);
        }
    }

    #[inline(always)]
    pub(crate) fn is_marked(&self, r: Ref) -> bool {
        // SAFETY: as above.
        unsafe { self.store.memory.is_marked(r.as_nonnull()) }
    }

    /// Like `shade`, later: for references that come by in numbers.
    #[inline(always)]
    pub(crate) fn found(&mut self, r: Ref) {
        self.col.gray.push(r.addr() | CANDIDATE, &mut self.store);
    }

    /// Marks until nothing is left for now (`true`) or the time is up.
    pub(crate) fn mark_slice(&mut self, deadline: Instant) -> bool {
        let mut ring = [0; RING];
        let mut at = 0;
        let rests = 'slice: loop {
            for _ in 0..BATCH {
                let word = self.col.gray.pop_back(&mut self.store);
                let waited = match word {
                    Some(word) if word & CANDIDATE != 0 && word & POSITION == 0 => {
                        prefetch(word & !CANDIDATE);
                        self.store.memory.prefetch_bits(word & !CANDIDATE);
                        std::mem::replace(&mut ring[at], word)
                    }
                    Some(word) => {
                        self.take_gray(word);
                        continue;
                    }
                    None => std::mem::replace(&mut ring[at], 0),
                };
                at = (at + 1) % RING;
                if waited != 0 {
                    self.take_gray(waited);
                } else if word.is_none() && ring == [0; RING] && !self.root_unit() && !self.ephemeron_unit() {
                    break 'slice true;
                }
            }
            if Instant::now() >= deadline {
                break false;
            }
        };
        for word in ring {
            if word != 0 {
                self.col.gray.push(word, &mut self.store);
            }
        }
        rests
    }

    /// One cell, root, or step of the ephemeron pass; `false` if marking rests.
    pub(crate) fn mark_unit(&mut self) -> bool {
        while let Some(word) = self.col.gray.pop_back(&mut self.store) {
            if self.take_gray(word) {
                return true;
            }
        }
        self.root_unit() || self.ephemeron_unit()
    }

    /// Drops the candidates on top that ask for nothing.
    fn skip_marked(&mut self) {
        while let Some(word) = self.col.gray.pop_back(&mut self.store) {
            let candidate = word & (CANDIDATE | POSITION) == CANDIDATE;
            // SAFETY: K2.
            let cell = unsafe { Ref::from_addr(word & !CANDIDATE) }.as_nonnull();
            // SAFETY: K2.
            if !candidate || unsafe { self.store.memory.is_live(cell) && !self.store.memory.is_marked(cell) } {
                self.col.gray.push(word, &mut self.store);
                break;
            }
        }
    }

    /// `false` if there was nothing to scan: the cell was marked before, or it has died.
    #[inline(always)]
    fn take_gray(&mut self, word: usize) -> bool {
        let (word, from) = match ungray(word) {
            Gray::Cell(cell) if word & CANDIDATE != 0 => {
                // SAFETY: K2.
                if !unsafe { self.store.memory.mark_if_live(Ref::from_addr(cell).as_nonnull()) } {
                    return false;
                }
                self.col.shaded = true;
                (cell, 0)
            }
            Gray::Cell(cell) => (cell, 0),
            Gray::Position(from) => (self.col.gray.pop_back(&mut self.store).expect("a position stands above its cell"), from),
        };
        // SAFETY: K2; a live cell has a header.
        unsafe {
            let r = Ref::from_addr(word);
            if !self.store.memory.is_live(r.as_nonnull()) {
                return false;
            }
            let header = r.header();
            if from == 0 && header.has(flags::CARDED) {
                // What an earlier cycle left.
                header.unset(flags::BLACK);
            }
            match Kinds::<R>::shape(header.kind) {
                Shape::Leaf | Shape::Ephemeron => {}
                _ if header.has(flags::CORPSE | flags::DYING) => {}
                Shape::Plain => R::trace(r, &mut |x| self.found(x)),
                Shape::Array | Shape::WeakValues | Shape::AllWeak if !header.has(flags::CARDED) => {
                    R::trace_slots(r, 0..R::slots(r), &mut |x| self.found(x));
                }
                Shape::Array if !self.holds_references(r) => header.set(flags::BLACK),
                _ => self.scan_large(r, from),
            }
        }
        true
    }

    /// A part of a large array or of a thread's counted list (R11); the rest is queued again.
    ///
    /// # Safety
    /// A live cell, carded or a thread.
    #[inline(never)]
    unsafe fn scan_large(&mut self, r: Ref, from: usize) {
        // SAFETY: by the caller.
        unsafe {
            let header = r.header();
            let thread = Kinds::<R>::shape(header.kind) == Shape::Thread;
            let slots = if thread { R::stack(r).counted.len } else { R::slots(r) };
            let to = (from + GRAY_SLOTS).min(slots);
            if to < slots {
                self.col.gray.push(r.addr(), &mut self.store);
                self.col.gray.push(to << 1 | POSITION, &mut self.store);
            } else if header.has(flags::CARDED) {
                header.set(flags::BLACK);
            }
            if thread {
                if from == 0 {
                    R::trace(r, &mut |x| self.found(x));
                }
                for slot in from..to {
                    if let Some(x) = R::stack(r).counted.get(slot) {
                        self.found(x);
                    }
                }
            } else if from < to {
                R::trace_slots(r, from..to, &mut |x| self.found(x));
            }
        }
    }

    /// The roots that are not listed by number at the start: finalizers that wait, handles; in the second round the resurrected.
    #[cold]
    pub(crate) fn root_unit(&mut self) -> bool {
        if self.col.phase == Phase::MarkAgain {
            // R22. The reference moves to the queue of finalizers, counted as it is.
            let Some(word) = self.col.resurrected.pop_back(&mut self.store) else { return false };
            if !self.without(Sabotage::SecondRound) {
                // SAFETY: C2.
                self.shade(unsafe { Ref::from_addr(word) });
            }
            self.col.fin_queue.push(word, &mut self.store);
            self.col.counters.finalizers += 1;
            return true;
        }
        if self.col.roots.done {
            return false;
        }
        let word = self.col.fin_queue.next(&mut self.col.roots.finalizers);
        if let Some(word) = word.or_else(|| self.col.fin_wait.next(&mut self.col.roots.waiting_finalizers)) {
            // SAFETY: C2.
            self.shade(unsafe { Ref::from_addr(word) });
            return true;
        }
        let at = self.col.roots.handle;
        if at < self.col.handles.capacity() {
            self.col.roots.handle += 1;
            if let Some(r) = self.col.handles.at(at) {
                self.shade(r);
            }
            return true;
        }
        self.col.roots.done = true;
        false
    }

    /// Whether all roots of the first round have been visited.
    pub(crate) fn roots_shaded(&self) -> bool {
        self.col.roots.done
    }

    /// Whether marking has nothing to do before the next epoch end.
    pub(crate) fn marking_rests(&self) -> bool {
        self.col.gray.is_empty()
            && (if self.col.phase == Phase::MarkAgain { self.col.resurrected.is_empty() } else { self.col.roots.done })
            && self.col.pass.is_none()
            && (self.col.holders.is_empty()
                || self.col.ephemerons_done && !self.col.shaded
                || self.without(Sabotage::EphemeronPass))
    }

    fn at_fixpoint(&self) -> bool {
        // R18: a complete ephemeron pass since the last shading. R19: the rest of dying arrays.
        self.marking_rests() && (!self.dying_unscanned() || self.without(Sabotage::DyingHolds))
    }

    /// R22: at an epoch end. What this epoch end has shaded is marked here if it is little.
    pub(crate) fn take_fixpoint(&mut self) {
        match self.col.driven {
            Some(units) => {
                let _ = (0..units).take_while(|_| self.mark_unit()).count();
                self.skip_marked();
            }
            None => {
                self.mark_slice(Instant::now() + self.col.pacer.slice());
            }
        }
        if !self.at_fixpoint() {
            return;
        }
        if self.col.phase == Phase::Mark {
            self.col.enter(Phase::CleanValues);
            self.start_pass(Phase::CleanValues);
            let nothing_weak = self.col.holders.is_empty();
            if nothing_weak && self.col.fin_wait.is_empty() && self.col.weak_dead.is_empty() && self.col.tombs.is_empty() {
                self.end_pass();
                if self.col.finalizable.is_empty() {
                    // Nothing for the phases in between to do: the second fixpoint is this one.
                    self.decide();
                }
            }
        } else {
            self.decide();
        }
    }

    /// The second fixpoint: what is unmarked now is dead.
    fn decide(&mut self) {
        self.store.memory.pin_layout(false);
        self.col.enter(Phase::CleanKeys);
        self.start_pass(Phase::CleanKeys);
        if self.col.holders.is_empty()
            && self.col.tombs.is_empty()
            && self.col.fin_wait.is_empty()
            && self.col.weak_dead.is_empty()
        {
            self.end_pass();
        }
    }

    /// The second round begins (R22).
    pub(crate) fn start_second_round(&mut self) {
        self.col.enter(Phase::MarkAgain);
        self.col.ephemerons_done = false;
        self.col.shaded = true;
    }
}
