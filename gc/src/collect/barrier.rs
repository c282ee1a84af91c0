//! The write barrier's slow path, the log that it writes, and the adoption of storages.
//!
//! A record of the log is `address, tag, references...`: the references of an object (or of a card of a large array) as they were before the
//! first write of the epoch. The references of one record stand side by side.
//!
//! Invariants:
//! B1. A mature object is LOGGED (a card of a mature array dirty) exactly while the log has one record with its snapshot.
//! B2. The log names only cells whose `live` bit is set: an object whose count reaches 0 while it is LOGGED or dirty waits (R3).
//! B3. A carded cell's bitmap covers all slots that fit its run.
//!
//! May import: `object`, `memory`.

use super::Sabotage;
use super::queue::CHUNK_WORDS;
use crate::heap::Heap;
use crate::object::{Kinds, Ref, Runtime, Shape, flags};
use std::ops::Range;

/// Slots of a card: few, since a random write to a large array costs a card.
pub(crate) const CARD: usize = crate::memory::CARD_SLOTS;
/// The longest snapshot of one record.
const RECORD_MAX: usize = CHUNK_WORDS - 2;

/// Cells of so few words are recorded in one go.
const SHORT: usize = 256;

/// What a record is about.
pub(crate) enum Subject {
    Object,
    Card(usize),
    /// The rest of a snapshot too long for one record.
    More,
}

fn tag(subject: Subject, len: usize) -> usize {
    len | match subject {
        Subject::Object => 0,
        Subject::More => 1 << 16,
        Subject::Card(card) => 2 << 16 | card << 18,
    }
}

/// The subject and the length of a record.
pub(crate) fn untag(tag: usize) -> (Subject, usize) {
    let subject = match tag >> 16 & 3 {
        0 => Subject::Object,
        1 => Subject::More,
        _ => Subject::Card(tag >> 18),
    };
    (subject, tag & 0xffff)
}

impl<R: Runtime> Heap<R> {
    /// The first write of the epoch into a mature object, or any into a large array.
    #[cold]
    #[inline(never)]
    pub(crate) fn barrier_slow(&mut self, object: Ref, slot: usize) {
        // SAFETY: the caller of the barrier vouches for the object.
        let header = unsafe { object.header() };
        if header.has(flags::CARDED) {
            self.barrier_card(object, slot / CARD);
            return;
        }
        let shape = Kinds::<R>::shape(header.kind);
        // Nothing of the first is counted; threads have `touch_thread`.
        if matches!(shape, Shape::Leaf | Shape::Thread) {
            return;
        }
        header.set(flags::LOGGED);
        // SAFETY: the object is live.
        unsafe {
            let most = self.store.memory.cell_bytes(object.as_nonnull()) / 8;
            if most <= SHORT {
                let log = &mut self.col.log;
                log.reserve(2 + most, &mut self.store);
                let room = log.room();
                let mut len = 0;
                trace_strong::<R>(object, shape, &mut |r| {
                    if len < most {
                        room.add(2 + len).write(r.addr());
                    }
                    len += 1;
                });
                // A runtime may keep references of a cell outside of it.
                if len <= most {
                    room.write(object.addr());
                    room.add(1).write(tag(Subject::Object, len));
                    self.col.log.pushed_words(2 + len);
                    if self.col.log.len() >= self.col.pacer.log_limit_words {
                        self.request_safepoint();
                    }
                    return;
                }
            }
        }
        let mut snapshot = std::mem::take(&mut self.col.scratch);
        snapshot.clear();
        // SAFETY: the object is live.
        unsafe { trace_strong::<R>(object, shape, &mut |r| snapshot.push(r)) };
        self.record(object, Subject::Object, &snapshot);
        self.col.scratch = snapshot;
    }

    fn barrier_card(&mut self, array: Ref, card: usize) {
        // SAFETY: the array is a large run of a carded shape.
        let header = unsafe { array.header() };
        if header.has(flags::YOUNG) && self.without(Sabotage::YoungCards) {
            return;
        }
        // SAFETY: the slot is one of the array's, the bitmap covers it (B3).
        let was_clean = unsafe { self.store.memory.card_set_dirty(array.as_nonnull(), card * CARD) };
        if !was_clean || header.has(flags::YOUNG) {
            // R4: a young array's card is dirty without a record.
            return;
        }
        let mut snapshot = std::mem::take(&mut self.col.scratch);
        snapshot.clear();
        // SAFETY: the array is live.
        unsafe { R::trace_slots(array, card_slots::<R>(array, card), &mut |r| snapshot.push(r)) };
        self.record(array, Subject::Card(card), &snapshot);
        self.col.scratch = snapshot;
    }

    fn record(&mut self, object: Ref, subject: Subject, snapshot: &[Ref]) {
        let log = &mut self.col.log;
        let mut parts = snapshot.chunks(RECORD_MAX);
        let mut write = |subject: Subject, part: &[Ref]| {
            log.reserve(2 + part.len(), &mut self.store);
            log.push(object.addr(), &mut self.store);
            log.push(tag(subject, part.len()), &mut self.store);
            for r in part {
                log.push(r.addr(), &mut self.store);
            }
        };
        write(subject, parts.next().unwrap_or(&[]));
        for part in parts {
            write(Subject::More, part);
        }
        if self.col.log.len() >= self.col.pacer.log_limit_words {
            self.request_safepoint();
        }
    }

    /// The card bitmap of a large array.
    pub(crate) fn cards(&mut self, array: Ref) -> &mut [u64] {
        // SAFETY: a carded cell is a run in use.
        unsafe {
            let room = self.store.memory.run_bytes(array.as_nonnull()) / 8;
            self.store.memory.cards(array.as_nonnull(), room)
        }
    }

    /// Whether a card of the array is dirty: then it has log records, if it is mature.
    pub(crate) fn any_dirty(&mut self, array: Ref) -> bool {
        self.cards(array).iter().any(|&word| word != 0)
    }

    /// The first dirty card at or after `from`.
    pub(crate) fn next_dirty(&mut self, array: Ref, from: usize) -> Option<usize> {
        let words = self.cards(array);
        let mut at = from / 64;
        let mut mask = !0u64 << (from % 64);
        while at < words.len() {
            let word = words[at] & mask;
            if word != 0 {
                return Some(at * 64 + word.trailing_zeros() as usize);
            }
            mask = !0;
            at += 1;
        }
        None
    }

    pub(crate) fn clean_card(&mut self, array: Ref, card: usize) {
        // SAFETY: B3.
        unsafe {
            let (word, bit) = self.store.memory.card_of(array.as_nonnull(), card * CARD);
            *word &= !bit;
        }
    }

    /// R4: a young array that was filled by copying. One of numbers stays clean.
    pub(crate) fn dirty_all(&mut self, array: Ref) {
        // SAFETY: the array is young and initialised.
        let slots = unsafe {
            let slots = R::slots(array);
            let mut any = false;
            R::trace_slots(array, 0..slots, &mut |_| any = true);
            if !any {
                return;
            }
            self.store.memory.set_dirtied(array.as_nonnull());
            slots
        };
        let words = self.cards(array);
        for card in 0..slots.div_ceil(CARD) {
            words[card / 64] |= 1 << (card % 64);
        }
    }

    // ---- adoption

    /// See [`Heap::replace_storage`].
    pub(crate) fn adopt(&mut self, old: &[Ref], new: &[Ref]) {
        // SAFETY: the caller of `replace_storage` vouches for all the cells.
        let header = |r: Ref| unsafe { r.header() };
        let all_young = old.iter().all(|&r| header(r).has(flags::YOUNG));
        let worth = new.iter().any(|&r| header(r).has(flags::CARDED));
        if all_young || !worth || new.iter().any(|&r| !header(r).has(flags::YOUNG)) {
            for &r in new {
                if header(r).has(flags::CARDED) {
                    self.dirty_all(r);
                }
            }
            return;
        }
        let references = old.iter().any(|&r| self.holds_references(r));
        for &r in old {
            let h = header(r);
            // SAFETY: the cells are initialised, and no safepoint has been since.
            unsafe {
                if h.has(flags::YOUNG | flags::LOGGED) {
                    // R28.1: nothing of it has been counted in this epoch.
                    let shape = Kinds::<R>::shape(h.kind);
                    trace_strong::<R>(r, shape, &mut |x| self.col.increments.push(x.addr(), &mut self.store));
                } else if h.has(flags::CARDED) {
                    // R28.1: what the dirty cards hold now. Their records stay (R28.2).
                    let mut card = 0;
                    while let Some(dirty) = self.next_dirty(r, card) {
                        R::trace_slots(r, card_slots::<R>(r, dirty), &mut |x| {
                            self.col.increments.push(x.addr(), &mut self.store);
                        });
                        card = dirty + 1;
                    }
                }
                // R28.3, R28.7.
                if !self.without(Sabotage::AdoptionForget) {
                    R::forget(r);
                }
            }
        }
        if self.without(Sabotage::Adoption) {
            self.col.increments.clear(&mut self.store);
        }
        for &r in new {
            // R28.4: born mature and clean, with count 0; R28.5: listed. A runtime may have filled it through the barrier.
            let h = header(r);
            h.unset(flags::YOUNG | flags::LOGGED);
            if h.has(flags::CARDED) {
                self.cards(r).fill(0);
                if references {
                    // SAFETY: a run in use.
                    unsafe { self.store.memory.set_dirtied(r.as_nonnull()) };
                }
            }
            self.make_live(r);
            if !self.without(Sabotage::AdoptionList) {
                self.col.adopted.push(r.addr(), &mut self.store);
            }
            if self.col.shading && !self.without(Sabotage::AdoptionGray) {
                // R28.6: what was unmarked in the old ones must be found in the new ones.
                h.unset(flags::BLACK);
                self.shade_again(r);
            }
        }
    }

    /// Whether a storage holds references, as far as is known: large arrays of numbers are told by their cards (L4 of `memory::large`).
    pub(crate) fn holds_references(&self, storage: Ref) -> bool {
        // SAFETY: the caller vouches for the storage; a carded cell is a run in use.
        unsafe {
            let header = storage.header();
            if header.has(flags::CARDED) {
                return self.store.memory.was_dirtied(storage.as_nonnull());
            }
            let mut any = false;
            trace_strong::<R>(storage, Kinds::<R>::shape(header.kind), &mut |_| any = true);
            any
        }
    }
}

/// The slots of a card, as far as the array goes.
///
/// # Safety
/// The array is live or young, of an indexed shape.
pub(crate) unsafe fn card_slots<R: Runtime>(array: Ref, card: usize) -> Range<usize> {
    // SAFETY: the caller vouches for the array.
    let slots = unsafe { R::slots(array) };
    (card * CARD).min(slots)..((card + 1) * CARD).min(slots)
}

/// Visits the counted references of a cell that is no thread.
///
/// # Safety
/// The cell is live or young.
#[inline(always)]
pub(crate) unsafe fn trace_strong<R: Runtime>(cell: Ref, shape: Shape, visit: &mut impl FnMut(Ref)) {
    // SAFETY: the caller vouches for the cell.
    unsafe {
        match shape {
            Shape::Leaf => {}
            Shape::Plain | Shape::Thread => R::trace(cell, visit),
            Shape::Array | Shape::WeakValues | Shape::Ephemeron | Shape::AllWeak => {
                R::trace_slots(cell, 0..R::slots(cell), visit)
            }
        }
    }
}
