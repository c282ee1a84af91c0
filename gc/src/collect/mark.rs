//! Marking, in slices: a snapshot at the beginning, roots, gray cells, the fixpoints.
//!
//! Marking starts at an epoch end from the listed roots (no young cells exist then). What was reachable then is marked, even if the program
//! disconnects it meanwhile: every overwritten reference comes by as a decrement and is shaded (R17). What is born meanwhile is promoted marked (R20).
//!
//! Cells in blocks are scanned block by block (`memory::gray`): the graph is followed not in its own order but in that of the memory.
//!
//! Invariants:
//! K1. While `shading`, a marked cell is black (its references are marked, gray, found, logged, or queued as decrements) or it is gray.
//!     A reference that was *found* is marked a little later, so that its bits can come into the cache meanwhile.
//! K2. What is gray or found and has died is recognised by its clear `live` bit (R9: the layout is pinned).
//! K3. A block with gray cells is in `blocks`, or it is the one being scanned.
//!
//! May import: `object`, `memory`.

use super::{Cursor, Phase, Queue, Sabotage, prefetch};
use crate::heap::Heap;
use crate::memory::{Found, GRANULE, GrayWord};
use crate::object::{Kinds, Ref, Runtime, Shape, flags};
use std::time::Instant;

/// Slots of a large array, or entries of a counted list, scanned at a time.
const GRAY_SLOTS: usize = 512;
/// Units of marking, and bytes scanned, between two looks at the clock: a unit is the cells that begin within a kilobyte, or a part of a large one.
const BATCH: usize = 16;
const BATCH_BYTES: usize = 8 << 10;
/// How many references, or gray cells, wait for the cache.
const AHEAD: usize = 16;

/// The tag of a word in `large` that is not a cell: how far the cell below it has been scanned.
const POSITION: usize = 1;

/// Addresses that wait for the cache, the oldest first out. In use are the `len` words before `next`; the others are 0.
struct Ahead {
    words: [usize; AHEAD],
    next: usize,
    len: usize,
}

impl Ahead {
    const fn new() -> Ahead {
        Ahead { words: [0; AHEAD], next: 0, len: 0 }
    }

    /// Takes `word` in; if there is no room for it, the oldest comes out.
    #[inline(always)]
    fn swap(&mut self, word: usize) -> Option<usize> {
        let oldest = std::mem::replace(&mut self.words[self.next], word);
        self.next = (self.next + 1) % AHEAD;
        if oldest == 0 {
            self.len += 1;
            return None;
        }
        Some(oldest)
    }

    #[inline(always)]
    fn pop(&mut self) -> Option<usize> {
        let at = (self.next + AHEAD - self.len) % AHEAD;
        self.len = self.len.checked_sub(1)?;
        Some(std::mem::take(&mut self.words[at]))
    }
}

/// What marking has still to look at.
pub(crate) struct Gray {
    /// Blocks with gray cells, first come first served: the longer one waits, the more of its cells it gets together.
    blocks: Queue,
    /// The block being scanned.
    block: Option<u32>,
    /// Gray cells that are runs or are scanned in parts, each with its position above it if it has been begun.
    large: Queue,
    /// References that were found.
    found: Ahead,
    /// What has been scanned in this cycle.
    pub scanned_bytes: usize,
}

impl Gray {
    pub const fn new() -> Gray {
        Gray { blocks: Queue::new(), block: None, large: Queue::new(), found: Ahead::new(), scanned_bytes: 0 }
    }

    fn is_empty(&self) -> bool {
        self.blocks.is_empty() && self.block.is_none() && self.large.is_empty() && self.found.len == 0
    }
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
        self.col.gray.scanned_bytes = 0;
        self.store.memory.pin_layout(true);
        for i in 0..self.col.globals.len() {
            self.shade(self.col.globals[i]);
        }
        for i in 0..self.col.chain.len() {
            self.shade(self.col.chain[i]);
        }
    }

    /// Marks a cell, if it is live and unmarked: it is gray.
    #[inline]
    pub(crate) fn shade(&mut self, r: Ref) {
        // SAFETY: the reference was read from a live cell or a list; marking has pinned the layout.
        let found = unsafe { self.store.memory.mark_found(r.as_nonnull()) };
        self.col.shaded |= !matches!(found, Found::Nothing);
        self.list_gray(r, found);
    }

    /// A storage that is born black is to be scanned all the same (R28.6).
    pub(crate) fn shade_again(&mut self, r: Ref) {
        self.col.shaded = true;
        // SAFETY: live and marked; marking has pinned the layout.
        let found = unsafe { self.store.memory.make_gray(r.as_nonnull()) };
        self.list_gray(r, found);
    }

    #[inline(always)]
    fn list_gray(&mut self, r: Ref, found: Found) {
        match found {
            Found::Nothing | Found::Gray => {}
            // K3.
            Found::First(block) if self.col.gray.block != Some(block) => {
                self.col.gray.blocks.push(block as usize, &mut self.store)
            }
            Found::First(_) => {}
            Found::Run => self.col.gray.large.push(r.addr(), &mut self.store),
        }
    }

    #[inline(always)]
    pub(crate) fn is_marked(&self, r: Ref) -> bool {
        // SAFETY: as above.
        unsafe { self.store.memory.is_marked(r.as_nonnull()) }
    }

    /// Like `shade`, a little later: for references that come by in numbers.
    #[inline(always)]
    pub(crate) fn found(&mut self, r: Ref) {
        self.store.memory.prefetch_bits(r.addr());
        if let Some(waited) = self.col.gray.found.swap(r.addr()) {
            // SAFETY: K2.
            self.shade(unsafe { Ref::from_addr(waited) });
        }
    }

    /// Shades what has been found so far. `false` if there was nothing.
    fn shade_found(&mut self) -> bool {
        let any = self.col.gray.found.len != 0;
        while let Some(word) = self.col.gray.found.pop() {
            // SAFETY: K2.
            self.shade(unsafe { Ref::from_addr(word) });
        }
        any
    }

    /// Marks until nothing is left for now (`true`) or the time is up.
    pub(crate) fn mark_slice(&mut self, deadline: Instant) -> bool {
        let mut ahead = Ahead::new();
        loop {
            let enough = self.col.gray.scanned_bytes + BATCH_BYTES;
            for _ in 0..BATCH {
                // Large cells first: the more is gray at once, the more of it stands side by side.
                let did = self.scan_part()
                    || self.scan_word(&mut ahead)
                    || self.scan_ahead(&mut ahead)
                    || self.shade_found()
                    || self.root_unit()
                    || self.ephemeron_unit();
                if !did {
                    return true;
                }
                if self.col.gray.scanned_bytes >= enough {
                    break;
                }
            }
            if Instant::now() >= deadline {
                self.scan_ahead(&mut ahead);
                return false;
            }
        }
    }

    /// One cell, root, or step of the ephemeron pass; `false` if marking rests.
    pub(crate) fn mark_unit(&mut self) -> bool {
        if self.scan_part() {
            return true;
        }
        while let Some(block) = self.next_gray_block() {
            if let Some(cell) = self.store.memory.take_gray_cell(block) {
                // SAFETY: G2: live.
                unsafe { self.scan(Ref::from_ptr(cell)) };
                return true;
            }
            self.col.gray.block = None;
        }
        self.shade_found() && self.mark_unit() || self.root_unit() || self.ephemeron_unit()
    }

    #[inline(always)]
    fn next_gray_block(&mut self) -> Option<u32> {
        if self.col.gray.block.is_none() {
            self.col.gray.block = self.col.gray.blocks.pop_front(&mut self.store).map(|block| block as u32);
        }
        self.col.gray.block
    }

    /// Takes the gray cells of a block that stand in one word of bits, and scans as many that were taken before.
    #[inline(always)]
    fn scan_word(&mut self, ahead: &mut Ahead) -> bool {
        while let Some(block) = self.next_gray_block() {
            if let Some(GrayWord { base, cells: mut gray, cell_bytes }) = self.store.memory.take_gray_word(block) {
                self.col.gray.scanned_bytes += gray.count_ones() as usize * cell_bytes;
                while gray != 0 {
                    let cell = base.as_ptr().addr() + gray.trailing_zeros() as usize * GRANULE;
                    gray &= gray - 1;
                    prefetch(cell);
                    if let Some(waited) = ahead.swap(cell) {
                        // SAFETY: live when it was taken, and marking frees nothing.
                        unsafe { self.scan(Ref::from_addr(waited)) };
                    }
                }
                return true;
            }
            self.col.gray.block = None;
        }
        false
    }

    /// Scans what has been taken. `false` if that was nothing.
    fn scan_ahead(&mut self, ahead: &mut Ahead) -> bool {
        let any = ahead.len != 0;
        while let Some(cell) = ahead.pop() {
            // SAFETY: as above.
            unsafe { self.scan(Ref::from_addr(cell)) };
        }
        any
    }

    /// A part of a large cell.
    fn scan_part(&mut self) -> bool {
        while let Some(word) = self.col.gray.large.pop_back(&mut self.store) {
            let (cell, from) = match word & POSITION {
                0 => (word, 0),
                _ => (self.col.gray.large.pop_back(&mut self.store).expect("a position stands above its cell"), word >> 1),
            };
            // SAFETY: K2.
            unsafe {
                let r = Ref::from_addr(cell);
                if self.store.memory.is_live(r.as_nonnull()) {
                    // Where a thread has died another cell may live by now, which is scanned once too often.
                    let begun = from != 0 && (r.header().has(flags::CARDED) || Kinds::<R>::shape(r.kind()) == Shape::Thread);
                    if begun {
                        self.scan_large(r, from)
                    } else {
                        self.scan(r)
                    }
                    return true;
                }
            }
        }
        false
    }

    /// Finds the references of a gray cell.
    ///
    /// # Safety
    /// The cell is live.
    #[inline(always)]
    unsafe fn scan(&mut self, r: Ref) {
        // SAFETY: by the caller.
        unsafe {
            let header = r.header();
            if header.has(flags::CARDED) {
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
                Shape::Array if !self.holds_references(r) => {
                    self.col.gray.scanned_bytes += self.store.memory.cell_bytes(r.as_nonnull());
                    header.set(flags::BLACK);
                }
                _ => self.scan_large(r, 0),
            }
        }
    }

    /// What marking has still to look at, for whoever only looks: cells, and how far they have been scanned.
    pub(crate) fn report_gray(&self, visit: &mut dyn FnMut(Ref, usize)) {
        let gray = &self.col.gray;
        let found = gray.found.words.into_iter().filter(|&word| word != 0);
        // SAFETY: K2.
        found.for_each(|word| visit(unsafe { Ref::from_addr(word) }, 0));
        for block in gray.blocks.iter().map(|block| block as u32).chain(gray.block) {
            // SAFETY: a cell.
            self.store.memory.for_each_gray_in(block, |cell| visit(unsafe { Ref::from_ptr(cell) }, 0));
        }
        let mut words = gray.large.iter().peekable();
        while let Some(cell) = words.next() {
            let position = words.next_if(|word| word & POSITION != 0).map_or(0, |word| word >> 1);
            // SAFETY: K2.
            visit(unsafe { Ref::from_addr(cell) }, position);
        }
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
            debug_assert!(thread || header.has(flags::CARDED));
            let slots = if thread { R::stack(r).counted.len } else { R::slots(r) };
            let to = (from + GRAY_SLOTS).min(slots);
            self.col.gray.scanned_bytes += to.saturating_sub(from) * size_of::<R::Slot>();
            if to < slots {
                self.col.gray.large.push(r.addr(), &mut self.store);
                self.col.gray.large.push(to << 1 | POSITION, &mut self.store);
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
                self.shade_found();
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
