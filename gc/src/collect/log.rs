//! The write barrier's slow path, and the log that it writes.
//!
//! A record of the log ([`super::record`]) has the references of an object, or of some slots of an array, as they were before the first write of the epoch.
//! An epoch end *replays* the log: what is new is incremented, what is gone becomes a
//! decrement.
//!
//! Cells of 512 bytes or more of an indexed shape are recorded by slots: each write that finds its slot clean makes a record of it. Slots that stand side
//! by side share a record where they are written at once, or in order: if two beside the written one are dirty already, those that probably come next are
//! recorded too. If a quarter of the slots of a cell that is not a large run have been, all others are, and the object is LOGGED: then its further
//! writes need no work.
//!
//! Invariants:
//! * **logged-is-recorded** A mature object is LOGGED (a slot of a mature array dirty) exactly while the log has one record with its snapshot, one only.
//! * **log-names-the-living** The log names only cells whose `live` bit is set: an object whose count reaches 0 while it is LOGGED or dirty waits (R3).
//!
//! May import: `memory`, `object`, and of the collector `context`, `record`, `moved`, `queue`, `price`.

use super::Sabotage;
use super::context::Context;
use super::edges::trace_whole;
use super::moved::{Moved, Owed, Told};
use super::price::Price;
use super::queue::Queue;
use super::record::{RECORD_MAX, Subject, length, single_slot, subject, tag, tag_of_slot};
use super::view::Entry;
use crate::memory::Dirtied;
use crate::object::{Header, Ref, Runtime, Shape, flags};
use std::ops::Range;
use std::time::Duration;

/// Snapshots that can't be longer are written straight into the log.
const SHORT: usize = 256;
/// The part of an array's slots that is dirty when the others are recorded too.
const DIRTY_PART: usize = 4;
/// Whether they are so many is asked when a slot becomes dirty whose number is a multiple of this, or slots in order.
const REST_STEP: usize = 8;
/// Where slots are written in order, so many are recorded together.
const IN_ORDER: usize = 32;
/// References of a slot that a record of slots has room for.
const SLOT_REFERENCES: usize = 2;
/// How far ahead a snapshot is searched for a present reference.
const LOOK_AHEAD: usize = 2;
/// Bounds of the words of log that end an epoch; between them the measured cost of the replay decides.
const LIMIT_WORDS: (usize, usize) = (1 << 10, 32 << 10);
const NS_PER_WORD: f64 = 20.0;

/// What has been done for a write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Recorded {
    Nothing,
    /// Its slot has become dirty and has a record; others may have to.
    Slot(Dirtied),
    Whole,
}

pub(crate) struct Log {
    records: Queue,
    /// Mature runs with dirty slots.
    dirty_runs: Queue,
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
            dirty_runs: Queue::new(),
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
    /// Words to be gone through.
    pub fn len(&self) -> usize {
        self.records.len()
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

    /// Whether a write of slot `slot` of an object needs no record: most writes to an array are to a slot that is dirty already.
    ///
    /// # Safety
    /// A live or young cell that is not LOGGED.
    #[inline(always)]
    pub unsafe fn is_recorded(&self, cx: &Context, object: Ref, slot: usize) -> bool {
        // SAFETY: by the caller.
        unsafe { object.header().has(flags::BY_SLOT) && cx.store.memory.slot_is_dirty(object.as_nonnull(), slot) }
    }

    /// A write of slot `slot` of an object is about to happen that is not recorded yet: the commonest one, of a mature array.
    ///
    /// # Safety
    /// As for `is_recorded`.
    #[inline(always)]
    pub unsafe fn record_slot<R: Runtime>(&mut self, rt: &R, cx: &mut Context, object: Ref, slot: usize) -> Recorded {
        // SAFETY: by the caller, and there is room.
        unsafe {
            let flags = object.header().flags.get();
            if flags & (flags::BY_SLOT | flags::YOUNG) != flags::BY_SLOT || !self.records.has_room(2 + SLOT_REFERENCES) {
                return Recorded::Nothing;
            }
            let (room, mut len) = (self.records.room(), 0);
            rt.trace_slots(object, slot..slot + 1, &mut |r| {
                if len < SLOT_REFERENCES {
                    room.add(2 + len).write(r.addr());
                }
                len += 1;
            });
            if len > SLOT_REFERENCES {
                return Recorded::Nothing;
            }
            room.write(object.addr());
            room.add(1).write(tag_of_slot(slot, len));
            self.records.pushed_words(2 + len);
            match cx.store.memory.set_dirty(object.as_nonnull(), slot) {
                Dirtied::Alone if !slot.is_multiple_of(REST_STEP) => Recorded::Whole,
                dirtied => Recorded::Slot(dirtied),
            }
        }
    }

    /// Any write that is not recorded yet, of which so much has been done.
    ///
    /// # Safety
    /// As for `is_recorded`.
    #[inline(always)]
    pub unsafe fn record_write<R: Runtime>(&mut self, rt: &R, cx: &mut Context, object: Ref, slot: usize, recorded: Recorded) {
        // SAFETY: by the caller.
        unsafe {
            let header = object.header();
            let dirtied = match recorded {
                Recorded::Whole => return,
                Recorded::Slot(dirtied) => dirtied,
                Recorded::Nothing if !header.has(flags::BY_SLOT) => return self.record_object(rt, cx, object, header),
                Recorded::Nothing => {
                    let dirtied = cx.store.memory.set_dirty(object.as_nonnull(), slot);
                    if header.has(flags::YOUNG) {
                        // R4: a young array's slot is dirty without a record.
                        if cx.without(Sabotage::YoungSlots) {
                            cx.store.memory.set_clean(object.as_nonnull(), slot..slot + 1);
                        }
                        return;
                    }
                    self.snapshot(rt, cx, object, slot..slot + 1);
                    dirtied
                }
            };
            if dirtied != Dirtied::Alone || slot.is_multiple_of(REST_STEP) {
                self.record_more(rt, cx, object, header, slot, dirtied);
            }
        }
    }

    /// The same for a write of many slots.
    ///
    /// # Safety
    /// As for `record_write`.
    pub unsafe fn record_writes<R: Runtime>(&mut self, rt: &R, cx: &mut Context, object: Ref, slots: Range<usize>) {
        // SAFETY: by the caller.
        unsafe {
            let header = object.header();
            if header.has(flags::BY_SLOT) {
                self.record_clean(rt, cx, object, header, slots);
                if !header.has(flags::YOUNG) {
                    self.record_rest(rt, cx, object, header);
                }
            } else {
                self.record_object(rt, cx, object, header);
            }
        }
    }

    /// The first write of the epoch to an object that is recorded as a whole.
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

    /// A slot has been recorded: what else should be.
    ///
    /// # Safety
    /// A mature cell that is recorded by slots, and one of them, which has just become dirty.
    #[inline(never)]
    unsafe fn record_more<R: Runtime>(
        &mut self,
        rt: &R,
        cx: &mut Context,
        array: Ref,
        header: &Header,
        slot: usize,
        dirtied: Dirtied,
    ) {
        // SAFETY: by the caller.
        unsafe {
            match dirtied {
                Dirtied::FirstOfRun => return self.dirty_runs.push(array.addr(), &mut cx.store),
                Dirtied::InOrder => {
                    let start = slot / IN_ORDER * IN_ORDER;
                    let end = (start + IN_ORDER).min(rt.slots(array));
                    self.record_clean(rt, cx, array, header, start..end);
                }
                Dirtied::Alone => {}
            }
            self.record_rest(rt, cx, array, header);
        }
    }

    /// R4: if many slots of an array in a block are dirty, the clean ones are recorded too, and LOGGED says that all are.
    ///
    /// # Safety
    /// As for `record_more`.
    unsafe fn record_rest<R: Runtime>(&mut self, rt: &R, cx: &mut Context, array: Ref, header: &Header) {
        // SAFETY: by the caller.
        unsafe {
            let (memory, cell) = (&cx.store.memory, array.as_nonnull());
            let slots = rt.slots(array);
            if !memory.is_run(cell) && memory.dirty_count(cell, slots) * DIRTY_PART >= slots {
                self.record_clean(rt, cx, array, header, 0..slots);
                header.set(flags::LOGGED);
            }
        }
    }

    /// Records what is clean of some slots.
    ///
    /// # Safety
    /// As for `record_more`.
    unsafe fn record_clean<R: Runtime>(&mut self, rt: &R, cx: &mut Context, array: Ref, header: &Header, slots: Range<usize>) {
        // SAFETY: by the caller.
        unsafe {
            let mut from = slots.start;
            while let Some((clean, first)) = cx.store.memory.dirty_next(array.as_nonnull(), from..slots.end) {
                from = clean.end;
                if header.has(flags::YOUNG) || cx.without(Sabotage::RowSlots) {
                    continue;
                }
                self.snapshot(rt, cx, array, clean);
                if first {
                    self.dirty_runs.push(array.addr(), &mut cx.store);
                }
            }
        }
    }

    /// # Safety
    /// A cell that is recorded by slots, and some of them, [`super::record::SLOTS_MAX`] at most.
    #[inline(never)]
    unsafe fn snapshot<R: Runtime>(&mut self, rt: &R, cx: &mut Context, array: Ref, slots: Range<usize>) {
        let most = slots.len() * SLOT_REFERENCES;
        self.record(cx, array, Subject::Slots(slots.clone()), most, |sink| {
            // SAFETY: by the caller.
            unsafe { rt.trace_slots(array, slots.clone(), &mut |r| sink.add(r)) }
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
        // Records of one array mostly come one after the other.
        let mut array: Option<Array> = None;
        while !self.records.is_empty() {
            // SAFETY: a chunk holds whole records, and nothing is logged during the replay; log-names-the-living.
            unsafe {
                let mut words = self.records.front_words(&mut cx.store);
                let in_chunk = words.len();
                while let [object, tag, rest @ ..] = words {
                    let (snapshot, next) = rest.split_at(length(*tag));
                    words = next;
                    let object = Ref::from_addr(*object);
                    let known = |array: &mut Option<Array>| match array {
                        Some(array) if array.cell == object => *array,
                        _ => *array.insert(Array::new(rt, cx, object)),
                    };
                    if let Some(slot) = single_slot(*tag) {
                        known(&mut array).replay_slot(rt, cx, &mut self.moved, slot, snapshot);
                        continue;
                    }
                    match subject(*tag) {
                        Subject::Slots(slots) => known(&mut array).replay(rt, cx, &mut self.moved, slots, snapshot),
                        subject => {
                            // The object of the record after the next.
                            if let [_, tag, rest @ ..] = next
                                && let Some(&ahead) = rest.get(length(*tag))
                            {
                                crate::prefetch(ahead);
                                crate::prefetch(ahead + 64);
                            }
                            gather(rt, cx, object, subject, &mut self.present);
                            compare(cx, &mut self.moved, snapshot, &self.present);
                        }
                    }
                }
                self.records.skip_front(in_chunk, &mut cx.store);
            }
        }
        self.moved.flush(|owed| settle(cx, owed));
        while let Some(run) = self.dirty_runs.pop_front(&mut cx.store) {
            // SAFETY: log-names-the-living, and all of its records have been replayed.
            unsafe { cx.store.memory.run_is_clean(Ref::from_addr(run).as_nonnull()) };
        }
    }

    /// The records, for the auditor.
    pub fn report(&self, visit: &mut dyn FnMut(Entry<'_>)) {
        let mut words = self.records.iter();
        let mut about = None;
        while let (Some(object), Some(tag)) = (words.next(), words.next()) {
            match subject(tag) {
                Subject::Object => about = None,
                Subject::Slots(slots) => about = Some(slots),
                // The slots have been named.
                Subject::More => about = about.map(|slots| slots.end..slots.end),
            }
            // SAFETY: the log holds addresses of cells, which are not looked at here.
            let snapshot: Vec<Ref> = words.by_ref().take(length(tag)).map(|word| unsafe { Ref::from_addr(word) }).collect();
            // SAFETY: as above.
            visit(Entry::Log { object: unsafe { Ref::from_addr(object) }, slots: about.clone(), snapshot: &snapshot });
        }
    }
}

/// An array whose records are being replayed.
#[derive(Clone, Copy)]
struct Array {
    cell: Ref,
    /// An adopted array may have forgotten that it had some (R28.3).
    slots: usize,
    ephemeron: bool,
}

impl Array {
    /// # Safety
    /// Here and below: the log has records of slots of the array, and those slots and snapshots are theirs.
    unsafe fn new<R: Runtime>(rt: &R, cx: &Context, cell: Ref) -> Array {
        // SAFETY: log-names-the-living.
        unsafe {
            let header = cell.header();
            // The flag of an array whose every slot was recorded goes with the first of its records.
            header.unset(flags::LOGGED);
            Array { cell, slots: rt.slots(cell), ephemeron: cx.kinds.shape(header.kind) == Shape::Ephemeron }
        }
    }

    /// One slot: the commonest record.
    #[inline(always)]
    unsafe fn replay_slot<R: Runtime>(self, rt: &R, cx: &mut Context, moved: &mut Moved, slot: usize, snapshot: &[usize]) {
        // SAFETY: log-names-the-living; a snapshot's references are counted.
        unsafe {
            let (mut now, mut found) = (None, 0);
            if slot < self.slots {
                rt.trace_slots(self.cell, slot..slot + 1, &mut |r| {
                    now = Some(r);
                    found += 1;
                });
            }
            if found > 1 || snapshot.len() > 1 || self.ephemeron {
                return self.replay(rt, cx, moved, slot..slot + 1, snapshot);
            }
            cx.store.memory.set_clean(self.cell.as_nonnull(), slot..slot + 1);
            let old = snapshot.first().map(|&old| Ref::from_addr(old));
            if let Some(now) = now {
                // R10.
                if old == Some(now) {
                    return cx.keep_counted(now);
                }
                follow(cx, now, moved.new_one(now.addr()));
            }
            if let Some(old) = old {
                follow(cx, old, moved.gone(old.addr()));
            }
        }
    }

    /// Slots that stand side by side, as `compare` does it.
    #[inline(never)]
    unsafe fn replay<R: Runtime>(self, rt: &R, cx: &mut Context, moved: &mut Moved, slots: Range<usize>, snapshot: &[usize]) {
        // SAFETY: as in `replay_slot`.
        unsafe {
            cx.store.memory.set_clean(self.cell.as_nonnull(), slots.clone());
            let end = slots.end.min(self.slots);
            let (mut at, mut any) = (0, false);
            rt.trace_slots(self.cell, slots.start.min(end)..end, &mut |now| {
                any = true;
                if snapshot.get(at) == Some(&now.addr()) {
                    at += 1;
                } else if snapshot.get(at + 1) == Some(&now.addr()) {
                    follow(cx, Ref::from_addr(snapshot[at]), moved.gone(snapshot[at]));
                    at += 2;
                } else {
                    return follow(cx, now, moved.new_one(now.addr()));
                }
                cx.keep_counted(now);
            });
            for &old in &snapshot[at..] {
                follow(cx, Ref::from_addr(old), moved.gone(old));
            }
            // R27.
            cx.events += u64::from(any && self.ephemeron);
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
        header.unset(flags::LOGGED);
        let mut visit = |now: Ref| present.push(now.addr());
        match subject {
            Subject::Object => trace_whole(rt, object, shape, &mut visit),
            Subject::More => {}
            Subject::Slots(_) => unreachable!("slots are replayed by `Array`"),
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
        // SAFETY: as in `settle`.
        Told::Instead(Owed::Decrement(r)) => unsafe { cx.queue_decrement(Ref::from_addr(r)) },
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
