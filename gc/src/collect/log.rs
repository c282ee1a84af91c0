//! The write barrier's slow path, and the log that it writes.
//!
//! A record of the log is `address, tag, references...`: the references of an object (or of a card of an array) as they were before the first
//! write of the epoch. The references of one record stand side by side. An epoch end *replays* the log: what is new is incremented, what is gone becomes a
//! decrement.
//!
//! Cells of 512 bytes or more of an indexed shape are recorded by cards of 8 slots. If a quarter of the cards of one that is not a large run have been, the
//! others are too, and the object is LOGGED: then its further writes need no work.
//!
//! Invariants:
//! * **logged-is-recorded** A mature object is LOGGED (a card of a mature array dirty) exactly while the log has one record with its snapshot.
//! * **log-names-the-living** The log names only cells whose `live` bit is set: an object whose count reaches 0 while it is LOGGED or dirty waits (R3).
//!
//! May import: `memory`, `object`, and of the collector `context`, `queue`, `price`.

use super::Sabotage;
use super::context::Context;
use super::edges::trace_whole;
use super::moved::{Moved, Owed, Told};
use super::price::Price;
use super::queue::Queue;
use super::store::CHUNK_WORDS;
use super::view::Entry;
use crate::object::{Header, Ref, Runtime, Shape, flags};
use std::ops::Range;
use std::time::Duration;

/// Slots of a card: few, since a random write to a large array costs a card.
pub(crate) const CARD: usize = crate::memory::CARD_SLOTS;
/// The longest snapshot of one record.
const RECORD_MAX: usize = CHUNK_WORDS - 2;
/// Snapshots that can't be longer are written straight into the log.
const SHORT: usize = 256;
/// The part of an array's cards that is dirty when the others are recorded too.
const DIRTY_PART: usize = 4;
/// How far ahead a snapshot is searched for a present reference.
const LOOK_AHEAD: usize = 2;
/// Bounds of the words of log that end an epoch; between them the measured cost of the replay decides.
const LIMIT_WORDS: (usize, usize) = (1 << 10, 32 << 10);
const NS_PER_WORD: f64 = 20.0;

/// What a record is about.
enum Subject {
    Object,
    Card(usize),
    /// The rest of a snapshot too long for one record.
    More,
}

fn tag(subject: &Subject, len: usize) -> usize {
    len | match subject {
        Subject::Object => 0,
        Subject::More => 1 << 16,
        Subject::Card(card) => 2 << 16 | card << 18,
    }
}

/// The subject and the length of a record.
fn untag(tag: usize) -> (Subject, usize) {
    let subject = match tag >> 16 & 3 {
        0 => Subject::Object,
        1 => Subject::More,
        _ => Subject::Card(tag >> 18),
    };
    (subject, tag & 0xffff)
}

/// The slots of a card of an array with so many.
pub(crate) fn card_slots(slots: usize, card: usize) -> Range<usize> {
    (card * CARD).min(slots)..((card + 1) * CARD).min(slots)
}

pub(crate) struct Log {
    records: Queue,
    /// Of a word.
    pub(super) price: Price,
    /// How long the log was when an epoch end was put off: further writes may be to what is recorded already.
    put_off: usize,
    moved: Moved,
    /// What stands in the object of the record that is being replayed.
    present: Vec<usize>,
    scratch: Vec<Ref>,
}

/// Where a snapshot goes: to the log itself as long as it fits.
struct Sink<'a> {
    next: *mut usize,
    left: isize,
    spill: Option<&'a mut Vec<Ref>>,
}

impl Sink<'_> {
    #[inline(always)]
    fn add(&mut self, r: Ref) {
        self.left -= 1;
        if self.left >= 0 {
            // SAFETY: `record` has reserved room for so many.
            unsafe {
                self.next.write(r.addr());
                self.next = self.next.add(1);
            }
        } else if let Some(spill) = &mut self.spill {
            spill.push(r);
        }
    }
}

impl Log {
    pub fn new() -> Log {
        Log {
            records: Queue::new(),
            price: Price::new(NS_PER_WORD, LIMIT_WORDS),
            put_off: 0,
            moved: Moved::new(),
            present: Vec::new(),
            scratch: Vec::new(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
    /// Whether the log should be gone through now.
    pub fn is_full(&self) -> bool {
        self.records.len() >= self.put_off + self.price.limit()
    }

    /// At a safepoint where the log is full: whether the epoch may go on. A program that moves the entries of an array about writes again what is
    /// recorded; if the log does not grow any more, ending the epoch would only make it be recorded anew.
    pub fn may_be_put_off(&mut self) -> bool {
        let first = self.put_off == 0;
        self.put_off = self.records.len();
        first
    }

    // ---- writing

    /// A write of slot `slot` of an object is about to happen. Says whether that made the log longer.
    ///
    /// # Safety
    /// A live or young cell that is not LOGGED.
    #[inline(always)]
    pub unsafe fn record_write<R: Runtime>(&mut self, rt: &R, cx: &mut Context, object: Ref, slot: usize) -> bool {
        // SAFETY: by the caller.
        unsafe {
            let header = object.header();
            if !header.has(flags::CARDED) {
                self.record_object(rt, cx, object, header);
                return true;
            }
            // Most writes to an array are to a card that is dirty already.
            let dirtied = cx.store.memory.set_card_dirty(object.as_nonnull(), slot / CARD);
            if dirtied {
                self.record_card(rt, cx, object, header, slot / CARD);
            }
            dirtied
        }
    }

    /// The first write of the epoch to an object without cards.
    ///
    /// # Safety
    /// As for `record_write`.
    #[inline(never)]
    unsafe fn record_object<R: Runtime>(&mut self, rt: &R, cx: &mut Context, object: Ref, header: &Header) {
        let shape = cx.kinds.shape(header.kind);
        // Nothing of a leaf is counted; threads are touched.
        if matches!(shape, Shape::Leaf | Shape::Thread) {
            return;
        }
        header.set(flags::LOGGED);
        // SAFETY: by the caller.
        unsafe {
            let most = cx.store.memory.cell_bytes(object.as_nonnull()) / 8;
            self.record(cx, object, Subject::Object, most, |sink| trace_whole(rt, object, shape, &mut |r| sink.add(r)));
        }
    }

    /// # Safety
    /// A carded cell and one of its cards, which has just become dirty.
    #[inline(never)]
    unsafe fn record_card<R: Runtime>(&mut self, rt: &R, cx: &mut Context, array: Ref, header: &Header, card: usize) {
        if header.has(flags::YOUNG) {
            // R4: a young array's card is dirty without a record.
            if cx.without(Sabotage::YoungCards) {
                // SAFETY: by the caller.
                unsafe { cx.store.memory.card_clean(array.as_nonnull(), card) };
            }
            return;
        }
        // SAFETY: by the caller.
        unsafe {
            let slots = rt.slots(array);
            self.snapshot_card(rt, cx, array, slots, card);
            let memory = &mut cx.store.memory;
            if memory.is_run(array.as_nonnull()) {
                return;
            }
            // R4: many are dirty: the clean ones too, and LOGGED says that all are.
            let cards = slots.div_ceil(CARD);
            if memory.dirty_cards(array.as_nonnull(), slots) * DIRTY_PART >= cards {
                for card in 0..cards {
                    if cx.store.memory.set_card_dirty(array.as_nonnull(), card) {
                        self.snapshot_card(rt, cx, array, slots, card);
                    }
                }
                header.set(flags::LOGGED);
            }
        }
    }

    /// # Safety
    /// As for `record_card`.
    unsafe fn snapshot_card<R: Runtime>(&mut self, rt: &R, cx: &mut Context, array: Ref, slots: usize, card: usize) {
        // A slot may hold several references.
        let most = CARD * 8;
        self.record(cx, array, Subject::Card(card), most, |sink| {
            // SAFETY: by the caller.
            unsafe { rt.trace_slots(array, card_slots(slots, card), &mut |r| sink.add(r)) }
        });
    }

    /// Writes a record with what `trace` visits, probably no more than `most` references.
    #[inline(always)]
    fn record(&mut self, cx: &mut Context, object: Ref, subject: Subject, most: usize, trace: impl Fn(&mut Sink)) {
        if most <= SHORT {
            self.records.reserve(2 + most, &mut cx.store);
            let room = self.records.room();
            // SAFETY: the room was reserved.
            let mut sink = Sink { next: unsafe { room.add(2) }, left: most as isize, spill: None };
            trace(&mut sink);
            // A runtime may keep references of a cell outside of it.
            if sink.left >= 0 {
                let len = most - sink.left as usize;
                // SAFETY: as above.
                unsafe {
                    room.write(object.addr());
                    room.add(1).write(tag(&subject, len));
                }
                self.records.pushed_words(2 + len);
                return;
            }
        }
        self.record_long(cx, object, subject, trace);
    }

    #[cold]
    #[inline(never)]
    fn record_long(&mut self, cx: &mut Context, object: Ref, subject: Subject, trace: impl Fn(&mut Sink)) {
        self.scratch.clear();
        trace(&mut Sink { next: std::ptr::null_mut(), left: 0, spill: Some(&mut self.scratch) });
        let mut parts = self.scratch.chunks(RECORD_MAX);
        let mut write = |subject: &Subject, part: &[Ref]| {
            self.records.reserve(2 + part.len(), &mut cx.store);
            self.records.push(object.addr(), &mut cx.store);
            self.records.push(tag(subject, part.len()), &mut cx.store);
            for r in part {
                self.records.push(r.addr(), &mut cx.store);
            }
        };
        write(&subject, parts.next().unwrap_or(&[]));
        for part in parts {
            write(&Subject::More, part);
        }
    }

    // ---- replaying

    /// At an epoch end. `goal`: how long the replay of a log should take.
    pub fn replay<R: Runtime>(&mut self, rt: &R, cx: &mut Context, goal: Duration) {
        let words = self.records.len();
        self.put_off = 0;
        cx.units += words;
        let begin = self.price.begin(words);
        self.replay_all(rt, cx);
        self.price.end(begin, words, goal);
    }

    fn replay_all<R: Runtime>(&mut self, rt: &R, cx: &mut Context) {
        while !self.records.is_empty() {
            // SAFETY: a record's words stand side by side, and nothing is logged during the replay; log-names-the-living.
            unsafe {
                let &[object, tag] = self.records.front_words(2, &mut cx.store) else { unreachable!() };
                let (subject, len) = untag(tag);
                let snapshot = &self.records.front_words(2 + len, &mut cx.store)[2..];
                // The object of the record after the next.
                if let Some(tag) = self.records.peek(2 + len + 1)
                    && let Some(ahead) = self.records.peek(2 + len + 2 + untag(tag).1)
                {
                    crate::prefetch(ahead);
                    crate::prefetch(ahead + 64);
                }
                gather(rt, cx, Ref::from_addr(object), subject, &mut self.present);
                compare(cx, &mut self.moved, snapshot, &self.present);
                self.records.skip_front(2 + len, &mut cx.store);
            }
        }
        self.moved.flush(|owed| settle(cx, owed));
    }

    /// The records, for the auditor.
    pub fn report(&self, visit: &mut dyn FnMut(Entry<'_>)) {
        let mut words = self.records.iter();
        let mut card = None;
        while let (Some(object), Some(tag)) = (words.next(), words.next()) {
            let (subject, len) = untag(tag);
            match subject {
                Subject::Object => card = None,
                Subject::Card(number) => card = Some(number),
                Subject::More => {}
            }
            // SAFETY: the log holds addresses of cells, which are not looked at here.
            let snapshot: Vec<Ref> = words.by_ref().take(len).map(|word| unsafe { Ref::from_addr(word) }).collect();
            // SAFETY: as above.
            visit(Entry::Log { object: unsafe { Ref::from_addr(object) }, card, snapshot: &snapshot });
        }
    }
}

/// The references that stand now in what a record is about.
///
/// # Safety
/// The record is one of the log, about that object.
#[inline(always)]
unsafe fn gather<R: Runtime>(rt: &R, cx: &mut Context, object: Ref, subject: Subject, present: &mut Vec<usize>) {
    present.clear();
    // SAFETY: log-names-the-living.
    unsafe {
        let header = object.header();
        let shape = cx.kinds.shape(header.kind);
        // The flag of an array whose every card was recorded goes with the first of its records.
        header.unset(flags::LOGGED);
        let mut visit = |now: Ref| present.push(now.addr());
        match subject {
            Subject::Object => trace_whole(rt, object, shape, &mut visit),
            Subject::Card(card) => {
                let slots = rt.slots(object);
                rt.trace_slots(object, card_slots(slots, card), &mut visit);
                cx.store.memory.card_clean(object.as_nonnull(), card);
            }
            Subject::More => {}
        }
        // R27.
        cx.events += u64::from(shape == Shape::Ephemeron && !present.is_empty());
    }
}

/// The present references against a snapshot: what stands in both cancels (R10), the new ones are incremented, the old ones queued.
#[inline(always)]
fn compare(cx: &mut Context, moved: &mut Moved, snapshot: &[usize], present: &[usize]) {
    // SAFETY: (whole function) present references stand in a live cell, and a snapshot's are counted.
    let cell = |addr: usize| unsafe { Ref::from_addr(addr) };
    let mut at = 0;
    for &now in present {
        let ahead = &snapshot[at..snapshot.len().min(at + LOOK_AHEAD)];
        match ahead.iter().position(|&old| old == now) {
            Some(skipped) => {
                for &old in &ahead[..skipped] {
                    follow(cx, cell(old), moved.gone(old));
                }
                at += skipped + 1;
                cx.keep_counted(cell(now));
            }
            None => follow(cx, cell(now), moved.new_one(now)),
        }
    }
    for &old in &snapshot[at..] {
        follow(cx, cell(old), moved.gone(old));
    }
}

/// What follows from telling that a reference is new or gone.
#[inline(always)]
fn follow(cx: &mut Context, r: Ref, told: Told) {
    match told {
        Told::Kept => {}
        Told::Cancelled => {
            // R27: it may have come to be held by its own cycle alone. R17 all the same.
            cx.events += u64::from(!cx.without(Sabotage::MovedEvent));
            if !cx.without(Sabotage::MovedShade) {
                cx.keep_counted(r);
            }
        }
        Told::Instead(owed) => settle(cx, owed),
    }
}

fn settle(cx: &mut Context, owed: Owed) {
    // SAFETY: owed-once: it was told of in this replay, so it is counted, or stands in a cell that is.
    unsafe {
        match owed {
            Owed::Increment(r) => cx.increment(Ref::from_addr(r)),
            Owed::Decrement(r) => cx.queue_decrement(Ref::from_addr(r)),
        }
    }
}
