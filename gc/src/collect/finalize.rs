//! Finalizers: who has one, who waits for it, in which order they are handed over. They are never run here.
//!
//! `finalizable` lists the mature objects that were given a finalizer, in the order in which they were. An entry goes stale when counting queues the
//! object (its flag FINALIZER is cleared); turning the list over drops stale entries.
//!
//! Invariants:
//! F1. Every mature object with FINALIZER stands in `finalizable` or, until the epoch ends, in `new_finalizable`; its flag FINALIZABLE says the first.
//! F2. The references in `fin_queue`, `fin_wait` and `resurrected` are counted.
//!
//! May import: `object`, `memory`.

use super::{Phase, Queue, Sabotage};
use crate::heap::Heap;
use crate::object::{Header, Ref, Runtime, flags};

impl<R: Runtime> Heap<R> {
    pub(crate) fn give_finalizer(&mut self, object: Ref) {
        // SAFETY: the caller of `set_finalizer` vouches for the object.
        let header = unsafe { object.header() };
        if !header.has(flags::FINALIZER) {
            header.set(flags::FINALIZER);
            self.col.new_finalizable.push(object.addr(), &mut self.store);
        }
    }

    /// Counting has found an object with a finalizer dead.
    pub(crate) fn queue_finalizer(&mut self, r: Ref, header: &Header) {
        header.unset(flags::FINALIZER);
        self.col.stale_finalizable += usize::from(header.has(flags::FINALIZABLE));
        // F2.
        header.count.set(1);
        if self.col.shading {
            // R17.
            self.shade(r);
        }
        // R16: it reads as nil first.
        let weak = header.has(flags::WEAKLY_HELD) && !self.without(Sabotage::FinalizerNil);
        if weak {
            header.set(flags::WEAK_DEAD);
        }
        if weak || self.weak_cleaning_waits() {
            self.col.fin_wait.push(r.addr(), &mut self.store);
        } else {
            self.hand_over(r);
        }
    }

    /// R16: while tombstones wait for a pass, finalizers wait with them.
    fn weak_cleaning_waits(&self) -> bool {
        !self.col.tombs.is_empty()
    }

    fn hand_over(&mut self, r: Ref) {
        self.col.fin_queue.push(r.addr(), &mut self.store);
        self.col.counters.finalizers += 1;
    }

    /// At an epoch end: the objects that got a finalizer in this epoch. The young dead among them are promoted and queued, last set first.
    pub(crate) fn notice_finalizable(&mut self, weak_dead: bool) {
        let wait = weak_dead || self.weak_cleaning_waits();
        let mut dead = Queue::new();
        while let Some(word) = self.col.new_finalizable.pop_front(&mut self.store) {
            // SAFETY: listed in this epoch.
            let header = unsafe { Ref::from_addr(word).header() };
            if !header.has(flags::FINALIZER) {
                continue;
            }
            if header.has(flags::YOUNG) {
                dead.push(word, &mut self.store);
            } else if !header.has(flags::FINALIZABLE) {
                header.set(flags::FINALIZABLE);
                self.col.finalizable.push(word, &mut self.store);
            }
        }
        while let Some(word) = dead.pop_back(&mut self.store) {
            // SAFETY: as above; one that another dead object has brought back is mature by now.
            unsafe {
                let r = Ref::from_addr(word);
                let header = r.header();
                header.unset(flags::FINALIZER);
                self.increment(r);
                self.count_promoted();
                if wait {
                    // R16.
                    if header.has(flags::WEAKLY_HELD) {
                        header.set(flags::WEAK_DEAD);
                    }
                    self.col.fin_wait.push(word, &mut self.store);
                } else {
                    self.hand_over(r);
                }
            }
        }
        dead.clear(&mut self.store);
    }

    /// R22: after the weak values, list what only its finalizer keeps.
    pub(crate) fn start_listing(&mut self) {
        self.col.enter(Phase::ListFinalizable);
        if self.col.turn_left == 0 {
            self.col.turn_left = self.col.finalizable.len();
        } else {
            // A turn is under way: the entries that it has passed come after those that it has not.
            self.col.turn_left = self.col.turn_left.max(self.col.finalizable.len());
        }
    }

    /// Begins to drop stale entries, if there are many.
    pub(crate) fn turn_if_stale(&mut self) -> bool {
        let len = self.col.finalizable.len();
        let due = self.col.turn_left == 0 && self.col.stale_finalizable > 64 && self.col.stale_finalizable * 2 > len;
        if due {
            self.col.stale_finalizable = 0;
            self.col.turn_left = len;
        }
        due
    }

    /// A step of turning the list over; `false` when it has come round.
    pub(crate) fn turn_unit(&mut self) -> bool {
        if self.col.turn_left == 0 {
            return false;
        }
        self.col.turn_left -= 1;
        let Some(word) = self.col.finalizable.pop_front(&mut self.store) else { return false };
        // SAFETY: C3, F1.
        unsafe {
            let r = Ref::from_addr(word);
            let header = r.header();
            if header.has(flags::CORPSE) {
                self.release_corpse(r, flags::FINALIZABLE);
            } else if !header.has(flags::FINALIZER) {
                header.unset(flags::FINALIZABLE);
            } else if self.col.phase == Phase::ListFinalizable && !self.is_marked(r) {
                // It is resurrected, counted, and handed over in the second round.
                header.unset(flags::FINALIZER | flags::FINALIZABLE);
                header.count.set(header.count.get().saturating_add(1));
                self.col.resurrected.push(word, &mut self.store);
            } else {
                self.col.finalizable.push(word, &mut self.store);
            }
        }
        true
    }

    /// The addresses of all objects with a finalizer, each with its rank in the order in which they got it, sorted by address.
    pub(crate) fn finalizer_ranks(&self) -> Vec<(usize, usize)> {
        let all = self.col.finalizable.iter().chain(self.col.new_finalizable.iter());
        let mut ranks: Vec<(usize, usize)> = all.enumerate().map(|(rank, word)| (word, rank)).collect();
        ranks.sort_unstable();
        ranks
    }

    /// Puts what was queued since `before` entries were there in the order of one cycle: last set first. Counting has queued the dead in the order of their deaths.
    pub(crate) fn sort_finalizers(&mut self, before: usize, ranks: &[(usize, usize)]) {
        let mut words: Vec<usize> = self.col.fin_queue.iter().collect();
        let Some(new) = words.get_mut(before..).filter(|new| new.len() > 1) else { return };
        // The same address twice: the object was given a finalizer again; the later rank counts.
        let rank = |word: usize| match ranks.partition_point(|r| r.0 <= word).checked_sub(1) {
            Some(at) if ranks[at].0 == word => ranks[at].1,
            _ => usize::MAX,
        };
        new.sort_by_key(|&word| std::cmp::Reverse(rank(word)));
        self.col.fin_queue.clear(&mut self.store);
        for word in words {
            self.col.fin_queue.push(word, &mut self.store);
        }
    }

    /// See [`Heap::next_finalizer`].
    pub(crate) fn pop_finalizer(&mut self) -> Option<Ref> {
        let word = self.col.fin_queue.pop_front(&mut self.store)?;
        // R2: the queue's count is given back at the next epoch end.
        self.col.loaned.push(word, &mut self.store);
        // SAFETY: C2.
        Some(unsafe { Ref::from_addr(word) })
    }

    /// See [`Heap::queue_all_finalizers`]. What the collector has found comes first.
    pub(crate) fn queue_every_finalizer(&mut self) {
        // The listing of what is unmarked is not left half done: what it has not come to would be decided by nobody.
        while matches!(self.col.phase, Phase::CleanValues | Phase::ListFinalizable) {
            if self.col.phase == Phase::CleanValues {
                self.pass_unit();
            } else if !self.turn_unit() {
                self.start_second_round();
            }
        }
        while self.col.phase == Phase::MarkAgain && self.root_unit() {}
        while let Some(word) = self.col.fin_wait.pop_front(&mut self.store) {
            // SAFETY: C2.
            self.hand_over(unsafe { Ref::from_addr(word) });
        }
        let mut all = Queue::new();
        for young in [false, true] {
            loop {
                let list = if young { &mut self.col.new_finalizable } else { &mut self.col.finalizable };
                let Some(word) = list.pop_front(&mut self.store) else { break };
                // SAFETY: C3, or listed in this epoch.
                unsafe {
                    let r = Ref::from_addr(word);
                    let header = r.header();
                    if header.has(flags::CORPSE) {
                        self.release_corpse(r, flags::FINALIZABLE);
                        continue;
                    }
                    header.unset(flags::FINALIZABLE);
                    if header.has(flags::FINALIZER) {
                        all.push(word, &mut self.store);
                    }
                }
            }
        }
        self.col.turn_left = 0;
        while let Some(word) = all.pop_back(&mut self.store) {
            // SAFETY: as above.
            unsafe {
                let r = Ref::from_addr(word);
                let header = r.header();
                if !header.has(flags::FINALIZER) {
                    continue;
                }
                header.unset(flags::FINALIZER);
                header.count.set(header.count.get().saturating_add(1));
                if header.has(flags::YOUNG) {
                    // R1: counted like a handle.
                    self.col.young_handles.push(word, &mut self.store);
                } else if self.col.shading {
                    self.shade(r);
                }
                self.hand_over(r);
            }
        }
        all.clear(&mut self.store);
    }
}
