//! Finalizers: who has one, who waits for it, in which order they are handed over. They are never run here.
//!
//! `finalizable` lists the mature objects that were given a finalizer, in the order in which they were. An entry goes stale when counting queues the
//! object (its flag FINALIZER is cleared); turning the list over drops stale entries.
//!
//! Counting finds an object dead at once; if its finalizer asks for another finalization, that would come at once too, and so for ever. So an object that gets
//! its finalizer while one is running is *rearmed* (R16): it is held until the program has allocated as much as is in use, as often as a tracing collector
//! would have come round, and has its finalizer from then on.
//!
//! Invariants:
//! * **finalizable-is-listed** Every mature object with FINALIZER stands in `finalizable` or, until the epoch ends, in `new`; its flag FINALIZABLE says the
//!   first. Such a cell is not freed before its entry goes.
//! * **queued-is-counted** The references in `due`, `waiting`, `resurrected`, `rearmed` and `loaned` are counted, and all of them are roots of marking.
//!
//! May import: `object`, and of the collector `context`, `budget`, `queue`, `weak`, `release`, `phase`.

use super::Sabotage;
use super::budget::{Budget, Stop};
use super::context::Context;
use super::phase::Phase;
use super::queue::{Cursor, Queue};
use super::release::release_corpse;
use super::weak::Weak;
use crate::object::{Header, Ref, Runtime, flags};

/// An epoch end takes back so many loans at most; the other objects live a little longer.
const LOANS_MAX: usize = 8192;
/// Objects that are rearmed only after at least so many bytes of allocation.
const REARM_BYTES_MIN: u64 = 1 << 20;

pub(crate) struct Finalizers {
    /// Objects that got a finalizer in this epoch, mature ones too, in this order.
    new: Queue,
    finalizable: Queue,
    /// Entries whose finalizer counting has queued.
    stale: usize,
    /// Entries of `finalizable` that a turn of the list has still to visit.
    turn_left: usize,
    /// To be handed over.
    due: Queue,
    /// Wait for a cleaning pass before they are handed over (R16).
    waiting: Queue,
    /// Between the fixpoints: unmarked finalizable objects.
    resurrected: Queue,
    /// Got their finalizer from a finalizer.
    rearmed: Queue,
    /// Those of them whose time has come.
    rearm_left: usize,
    /// What had been allocated when that came last.
    rearm_before: u64,
    /// Handed over; counted until an epoch end takes that back (R2).
    loaned: Queue,
}

/// How far marking has come with the queues of finalizers, which are roots.
pub(crate) struct FinalizerRoots {
    due: Cursor,
    waiting: Cursor,
    rearmed: Cursor,
    loaned: Cursor,
}

impl FinalizerRoots {
    pub const fn new() -> FinalizerRoots {
        FinalizerRoots { due: Cursor::new(), waiting: Cursor::new(), rearmed: Cursor::new(), loaned: Cursor::new() }
    }
}

impl Finalizers {
    pub const fn new() -> Finalizers {
        Finalizers {
            new: Queue::new(),
            finalizable: Queue::new(),
            stale: 0,
            turn_left: 0,
            due: Queue::new(),
            waiting: Queue::new(),
            resurrected: Queue::new(),
            rearmed: Queue::new(),
            rearm_left: 0,
            rearm_before: 0,
            loaned: Queue::new(),
        }
    }

    // ---- what the program does

    /// See [`crate::Heap::set_finalizer`].
    ///
    /// # Safety
    /// A live or young cell.
    pub unsafe fn give(&mut self, cx: &mut Context, object: Ref) {
        // SAFETY: by the caller.
        let header = unsafe { object.header() };
        if !header.has(flags::FINALIZER) {
            header.set(flags::FINALIZER);
            self.new.push(object.addr(), &mut cx.store);
        }
    }

    /// See [`crate::Heap::rearm_finalizer`]. `young`: the list of young cells that are held like this.
    ///
    /// # Safety
    /// A live or young cell.
    pub unsafe fn rearm(&mut self, cx: &mut Context, object: Ref, young: &mut Queue) {
        // SAFETY: by the caller.
        let header = unsafe { object.header() };
        if header.has(flags::FINALIZER) {
            return;
        }
        // queued-is-counted
        hold(cx, object, header, young);
        self.rearmed.push(object.addr(), &mut cx.store);
    }

    /// See [`crate::Heap::next_finalizer`].
    pub fn next(&mut self, cx: &mut Context) -> Option<Ref> {
        let word = self.due.pop_front(&mut cx.store)?;
        // R2: the queue's count is given back at the next epoch end.
        self.loaned.push(word, &mut cx.store);
        // SAFETY: queued-is-counted.
        Some(unsafe { Ref::from_addr(word) })
    }
    pub fn due(&self) -> usize {
        self.due.len()
    }
    /// Those that wait for a cleaning pass.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    // ---- deaths

    /// Counting has found an object with a finalizer dead.
    pub fn queue_counted(&mut self, cx: &mut Context, weak: &Weak, r: Ref, header: &Header) {
        header.unset(flags::FINALIZER);
        self.stale += usize::from(header.has(flags::FINALIZABLE));
        // queued-is-counted
        header.count.set(1);
        if cx.shading() {
            // R17.
            cx.shade(r);
        }
        // R16: it reads as nil first.
        let named = header.has(flags::WEAKLY_HELD) && !cx.without(Sabotage::FinalizerNil);
        if named {
            header.set(flags::WEAK_DEAD);
        }
        if named || weak.any_tombs() {
            self.waiting.push(r.addr(), &mut cx.store);
        } else {
            self.hand_over(cx, r);
        }
    }

    fn hand_over(&mut self, cx: &mut Context, r: Ref) {
        self.due.push(r.addr(), &mut cx.store);
        cx.counters.finalizers += 1;
    }

    /// A cleaning pass has served the next of those that wait for one.
    pub fn hand_over_waiting(&mut self, cx: &mut Context) {
        let Some(word) = self.waiting.pop_front(&mut cx.store) else { return };
        // SAFETY: queued-is-counted.
        unsafe {
            let r = Ref::from_addr(word);
            r.header().unset(flags::WEAK_DEAD);
            self.hand_over(cx, r);
        }
    }

    // ---- the end of an epoch

    /// The objects that got a finalizer in this epoch. The young dead among them are promoted and queued, last set first. `weak_dead`: objects that are
    /// weakly held have died young.
    pub fn notice_new<R: Runtime>(&mut self, rt: &R, cx: &mut Context, weak: &Weak, weak_dead: bool) {
        if self.new.is_empty() {
            return;
        }
        let wait = weak_dead || weak.any_tombs();
        let mut dead = Queue::new();
        cx.units += self.new.len();
        while let Some(word) = self.new.pop_front(&mut cx.store) {
            // SAFETY: listed in this epoch.
            let header = unsafe { Ref::from_addr(word).header() };
            if !header.has(flags::FINALIZER) {
                continue;
            }
            if header.has(flags::YOUNG) {
                dead.push(word, &mut cx.store);
            } else if !header.has(flags::FINALIZABLE) {
                header.set(flags::FINALIZABLE);
                self.finalizable.push(word, &mut cx.store);
            }
        }
        while let Some(word) = dead.pop_back(&mut cx.store) {
            // SAFETY: as above; one that another dead object has brought back is mature by now.
            unsafe {
                let r = Ref::from_addr(word);
                let header = r.header();
                header.unset(flags::FINALIZER);
                cx.increment(r);
                cx.count_promoted(rt);
                if wait {
                    // R16.
                    if header.has(flags::WEAKLY_HELD) {
                        header.set(flags::WEAK_DEAD);
                    }
                    self.waiting.push(word, &mut cx.store);
                } else {
                    self.hand_over(cx, r);
                }
            }
        }
        dead.clear(&mut cx.store);
    }

    /// R2: what was handed over is counted no more.
    pub fn end_loans(&mut self, cx: &mut Context) {
        for _ in 0..LOANS_MAX {
            let Some(word) = self.loaned.pop_front(&mut cx.store) else { break };
            cx.units += 1;
            // SAFETY: counted until now.
            cx.queue_decrement(unsafe { Ref::from_addr(word) });
        }
    }
    pub fn any_loans(&self) -> bool {
        !self.loaned.is_empty()
    }

    // ---- the list of the finalizable

    /// R22: after the weak values, list what only its finalizer keeps.
    pub fn start_listing(&mut self) {
        // If a turn is under way, the entries that it has passed come after those that it has not.
        self.turn_left = self.turn_left.max(self.finalizable.len());
    }
    pub fn nothing_to_list(&self) -> bool {
        self.finalizable.is_empty()
    }

    /// Begins to drop stale entries, if there are many (or `any`); and to arm those whose time has come.
    pub fn turn_if_due(&mut self, cx: &Context, any: bool) {
        if self.turn_left == 0 && self.stale > if any { 0 } else { (self.finalizable.len() / 2).max(64) } {
            self.stale = 0;
            self.turn_left = self.finalizable.len();
        }
        let allocated = cx.counters.allocated_bytes.saturating_sub(self.rearm_before);
        let generation = (cx.store.memory.used_bytes() as u64).max(REARM_BYTES_MIN);
        if self.rearm_left == 0 && !self.rearmed.is_empty() && (any || allocated >= generation) {
            self.arm_all(cx);
        }
    }

    /// The time of all rearmed objects has come.
    pub fn arm_all(&mut self, cx: &Context) {
        self.rearm_left = self.rearmed.len();
        self.rearm_before = cx.counters.allocated_bytes;
    }

    pub fn is_turning(&self) -> bool {
        self.turn_left != 0 || self.rearm_left != 0
    }

    /// Goes on with turning the list over and arming. `true` when that has come to its end.
    pub fn step(&mut self, cx: &mut Context, budget: &mut Budget) -> bool {
        while self.is_turning() {
            if budget.is_spent() {
                return false;
            }
            budget.spend(1);
            if self.turn_left != 0 {
                self.turn_unit(cx);
            } else {
                self.arm_unit(cx);
            }
        }
        true
    }

    fn turn_unit(&mut self, cx: &mut Context) {
        self.turn_left -= 1;
        let Some(word) = self.finalizable.pop_front(&mut cx.store) else { return };
        // SAFETY: finalizable-is-listed.
        unsafe {
            let r = Ref::from_addr(word);
            let header = r.header();
            if header.has(flags::CORPSE) {
                release_corpse(cx, r, flags::FINALIZABLE);
            } else if !header.has(flags::FINALIZER) {
                header.unset(flags::FINALIZABLE);
            } else if cx.phase() == Phase::ListFinalizable && !cx.is_marked(r) {
                // It is resurrected, counted, and handed over in the second round.
                header.unset(flags::FINALIZER | flags::FINALIZABLE);
                header.count.set(header.count.get().saturating_add(1));
                self.resurrected.push(word, &mut cx.store);
            } else {
                self.finalizable.push(word, &mut cx.store);
            }
        }
    }

    /// An object that was rearmed has its finalizer from now on, and is held no longer.
    fn arm_unit(&mut self, cx: &mut Context) {
        self.rearm_left -= 1;
        let Some(word) = self.rearmed.pop_front(&mut cx.store) else { return };
        // SAFETY: queued-is-counted.
        unsafe { self.give(cx, Ref::from_addr(word)) };
        self.loaned.push(word, &mut cx.store);
    }

    // ---- marking

    /// The next of those that keep their objects alive.
    pub fn next_root(&self, roots: &mut FinalizerRoots) -> Option<Ref> {
        let word = self.due.next(&mut roots.due);
        let word = word.or_else(|| self.waiting.next(&mut roots.waiting));
        let word = word.or_else(|| self.rearmed.next(&mut roots.rearmed));
        let word = word.or_else(|| self.loaned.next(&mut roots.loaned));
        // SAFETY: queued-is-counted.
        word.map(|word| unsafe { Ref::from_addr(word) })
    }

    /// R22: in the second round. The reference moves to the queue of those that are due, counted as it is.
    pub fn next_resurrected(&mut self, cx: &mut Context) -> Option<Ref> {
        let word = self.resurrected.pop_back(&mut cx.store)?;
        // SAFETY: queued-is-counted.
        let r = unsafe { Ref::from_addr(word) };
        self.hand_over(cx, r);
        Some(r)
    }
    pub fn any_resurrected(&self) -> bool {
        !self.resurrected.is_empty()
    }

    // ---- whole collections, and the end

    /// The addresses of all objects with a finalizer, each with its rank in the order in which they got it, sorted by address. None are ranked if the host
    /// has no memory for that, or it is more than `room` bytes.
    pub fn ranks(&self, room: usize, stop: &Stop) -> Option<Vec<(usize, usize)>> {
        /// With what sorting takes.
        const BYTES: usize = 2 * size_of::<(usize, usize)>() + size_of::<usize>();
        let mut ranks = Vec::new();
        let count = self.finalizable.len() + self.new.len();
        if count <= room / BYTES && ranks.try_reserve_exact(count).is_ok() {
            let all = self.finalizable.iter().chain(self.new.iter());
            ranks.extend(all.enumerate().map(|(rank, word)| (word, rank)));
        }
        sort_in_pieces(&mut ranks, stop).then_some(ranks)
    }

    /// Puts what fell due since `before` entries were there in the order of one cycle: last set first. Counting has queued the dead in the order of their
    /// deaths, and that it is if the sorting is given up, or the host has no memory for it.
    pub fn sort(&mut self, cx: &mut Context, before: usize, ranks: &[(usize, usize)], stop: &Stop) {
        // Without ranks every order is the same.
        if self.due.len() <= before + 1 || ranks.is_empty() {
            return;
        }
        // The same address twice: the object was given a finalizer again; the later rank counts.
        let rank = |word: usize| match ranks.partition_point(|r| r.0 <= word).checked_sub(1) {
            Some(at) if ranks[at].0 == word => ranks[at].1,
            _ => usize::MAX,
        };
        // Equal ranks stay in the order in which they are.
        let (mut words, mut new) = (Vec::new(), Vec::new());
        if words.try_reserve_exact(self.due.len()).is_err() || new.try_reserve_exact(self.due.len() - before).is_err() {
            return;
        }
        words.extend(self.due.iter());
        for (place, &word) in words.iter().enumerate().skip(before) {
            if new.len().is_multiple_of(SORT_PIECE) && stop.is_wanted() {
                return;
            }
            new.push((usize::MAX - rank(word), place));
        }
        if !sort_in_pieces(&mut new, stop) {
            return;
        }
        self.due.clear(&mut cx.store);
        for place in (0..before).chain(new.into_iter().map(|(_, place)| place)) {
            self.due.push(words[place], &mut cx.store);
        }
    }

    /// See [`crate::Heap::queue_all_finalizers`]; no listing and no second round is under way. `young`: as for `rearm`.
    pub fn queue_all(&mut self, cx: &mut Context, young: &mut Queue) {
        while !self.waiting.is_empty() {
            self.hand_over_waiting(cx);
        }
        self.arm_all(cx);
        while self.rearm_left != 0 {
            self.arm_unit(cx);
        }
        let mut all = Queue::new();
        for new in [false, true] {
            loop {
                let list = if new { &mut self.new } else { &mut self.finalizable };
                let Some(word) = list.pop_front(&mut cx.store) else { break };
                // SAFETY: finalizable-is-listed, or listed in this epoch.
                unsafe {
                    let r = Ref::from_addr(word);
                    let header = r.header();
                    if header.has(flags::CORPSE) {
                        release_corpse(cx, r, flags::FINALIZABLE);
                        continue;
                    }
                    header.unset(flags::FINALIZABLE);
                    if header.has(flags::FINALIZER) {
                        all.push(word, &mut cx.store);
                    }
                }
            }
        }
        (self.turn_left, self.stale) = (0, 0);
        while let Some(word) = all.pop_back(&mut cx.store) {
            // SAFETY: as above.
            unsafe {
                let r = Ref::from_addr(word);
                let header = r.header();
                if !header.has(flags::FINALIZER) {
                    continue;
                }
                header.unset(flags::FINALIZER);
                hold(cx, r, header, young);
                self.hand_over(cx, r);
            }
        }
        all.clear(&mut cx.store);
    }

    /// For the auditor: queues that count; the list of the finalizable; what counts until the epoch ends.
    pub fn report(&self) -> ([&Queue; 3], [&Queue; 1], &Queue) {
        ([&self.due, &self.waiting, &self.resurrected], [&self.rearmed], &self.finalizable)
    }
    pub fn loans(&self) -> &Queue {
        &self.loaned
    }
}

/// One more reference that counts at once, as that of a handle does.
fn hold(cx: &mut Context, r: Ref, header: &Header, young: &mut Queue) {
    header.count.set(header.count.get().saturating_add(1));
    if header.has(flags::YOUNG) {
        // R1: listed, for the epoch end.
        young.push(r.addr(), &mut cx.store);
    } else if cx.shading() {
        cx.shade(r);
    }
}

/// So many entries are sorted or merged between two looks for a stop.
const SORT_PIECE: usize = 1 << 14;

/// Sorts pieces, then merges them. `false`: it has been given up, and all entries are there in some order.
fn sort_in_pieces(entries: &mut Vec<(usize, usize)>, stop: &Stop) -> bool {
    for piece in entries.chunks_mut(SORT_PIECE) {
        if stop.is_wanted() {
            return false;
        }
        piece.sort_unstable();
    }
    let mut sorted = SORT_PIECE;
    while sorted < entries.len() {
        let mut merged = Vec::new();
        if merged.try_reserve_exact(entries.len()).is_err() {
            // In place, at one go.
            entries.sort_unstable();
            return true;
        }
        for pair in entries.chunks(2 * sorted) {
            let (mut a, mut b) = pair.split_at(sorted.min(pair.len()));
            while let (Some(first), Some(second)) = (a.first(), b.first()) {
                if merged.len().is_multiple_of(SORT_PIECE) && stop.is_wanted() {
                    return false;
                }
                let (from, least) = if first <= second { (&mut a, *first) } else { (&mut b, *second) };
                merged.push(least);
                *from = &from[1..];
            }
            merged.extend_from_slice(a);
            merged.extend_from_slice(b);
        }
        *entries = merged;
        sorted *= 2;
    }
    true
}
