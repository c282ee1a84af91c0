//! Marking, in slices: a snapshot at the beginning, roots, gray cells.
//!
//! Marking starts at an epoch end from the listed roots (no young cells exist then). What was reachable then is marked, even if the program
//! disconnects it meanwhile: every overwritten reference comes by as a decrement and is shaded (R17). What is born meanwhile is promoted marked (R20).
//!
//! A storage of weak-keyed entries is looked at once, like any other cell: values whose keys are not marked yet wait for them (`ephemeron`). What the program
//! does to it later needs no second look: what it takes out is logged and shaded, what it puts in came through its hands (R14) or is young (R20).
//!
//! Invariants:
//! * **marked-is-gray-or-black** While `shading`, a marked cell is black (its references are marked, gray, found, logged, queued as decrements, or wait for
//!   their keys) or it is gray.
//!
//! May import: `memory`, `object`, and of the collector `context`, `budget`, `edges`, `gray`, `finalize`, `handles`, `roots`.

use super::Sabotage;
use super::budget::Budget;
use super::context::Context;
use super::edges::{is_sliced, part, trace_part};
use super::finalize::{FinalizerRoots, Finalizers};
use super::gray::Ahead;
use super::handles::Handles;
use super::roots::Roots;
use crate::memory::{GRANULE, GrayWord};
use crate::object::{Header, Ref, Runtime, Shape, flags};
use crate::prefetch;
use std::ops::Range;

/// Slots of a large cell, or entries of a counted list, scanned at a time.
const PART_SLOTS: usize = 512;
/// The same of weak-keyed entries, and the units that each of them is: each is looked up in a table too large for the cache.
const PART_ENTRIES: usize = 64;
const ENTRY_UNITS: usize = 8;

/// The roots of a marking round that are still to be visited.
pub(crate) struct Marking {
    finalizers: FinalizerRoots,
    handle: usize,
    roots_done: bool,
}

impl Marking {
    pub const fn new() -> Marking {
        Marking { finalizers: FinalizerRoots::new(), handle: 0, roots_done: true }
    }

    /// R22: at an epoch end, the mark bits clear, the phase just entered.
    pub fn start(&mut self, cx: &mut Context, roots: &Roots) {
        *self = Marking { roots_done: false, ..Marking::new() };
        cx.gray.begin();
        // R9: queues of marking name cells that may die meanwhile.
        cx.store.memory.pin_layout(true);
        roots.listed().for_each(|r| cx.shade(r));
    }

    /// Marks until nothing is left for now (`true`) or the budget is spent.
    pub fn step<R: Runtime>(
        &mut self,
        rt: &R,
        cx: &mut Context,
        finalizers: &mut Finalizers,
        handles: &Handles,
        budget: &mut Budget,
    ) -> bool {
        let mut ahead = Ahead::new();
        loop {
            // What is due first: a chain of keys and values is followed without a look into its cells. Then the large: the more is gray at once, the more
            // of it stands side by side.
            let did = due_unit(cx, budget)
                || scan_part(rt, cx, budget)
                || scan_word(rt, cx, &mut ahead, budget)
                || scan_ahead(rt, cx, &mut ahead, budget)
                || cx.gray.shade_found(&mut cx.store)
                || self.root_unit(cx, finalizers, handles, budget);
            if !did {
                return true;
            }
            if budget.is_spent() {
                scan_ahead(rt, cx, &mut ahead, budget);
                return false;
            }
        }
    }

    /// One cell, root, or value; `false` if marking rests. For tests that move the collector by hand.
    pub fn unit<R: Runtime>(&mut self, rt: &R, cx: &mut Context, finalizers: &mut Finalizers, handles: &Handles) -> bool {
        let budget = &mut Budget::endless();
        if scan_part(rt, cx, budget) {
            return true;
        }
        if let Some(cell) = cx.gray.take_cell(&mut cx.store) {
            // SAFETY: a live cell.
            unsafe { scan(rt, cx, cell, budget) };
            return true;
        }
        cx.gray.shade_found(&mut cx.store) && self.unit(rt, cx, finalizers, handles)
            || due_unit(cx, budget)
            || self.root_unit(cx, finalizers, handles, budget)
    }

    /// The roots that are not listed at the start: finalizers that wait, handles; in the second round the resurrected.
    #[cold]
    fn root_unit(&mut self, cx: &mut Context, finalizers: &mut Finalizers, handles: &Handles, budget: &mut Budget) -> bool {
        budget.spend(1);
        if cx.phase() == super::Phase::MarkAgain {
            let Some(r) = finalizers.next_resurrected(cx) else { return false };
            if !cx.without(Sabotage::SecondRound) {
                cx.shade(r);
            }
            return true;
        }
        if self.roots_done {
            return false;
        }
        if let Some(r) = finalizers.next_root(&mut self.finalizers) {
            cx.shade(r);
        } else if self.handle < handles.capacity() {
            if let Some(r) = handles.at(self.handle) {
                cx.shade(r);
            }
            self.handle += 1;
        } else {
            self.roots_done = true;
        }
        true
    }

    /// Whether all roots of the first round have been visited.
    pub fn roots_are_shaded(&self) -> bool {
        self.roots_done
    }

    /// Whether marking has nothing to do before the next epoch end.
    pub fn rests(&self, cx: &Context, finalizers: &Finalizers) -> bool {
        // R18: no fixpoint while values are due.
        cx.gray.is_empty()
            && !cx.ephemerons.any_due()
            && if cx.phase() == super::Phase::MarkAgain { !finalizers.any_resurrected() } else { self.roots_done }
    }
}

/// A value whose key has been marked.
#[inline(always)]
fn due_unit(cx: &mut Context, budget: &mut Budget) -> bool {
    cx.ephemerons.any_due() && take_due(cx, budget)
}

#[inline(never)]
fn take_due(cx: &mut Context, budget: &mut Budget) -> bool {
    budget.spend(ENTRY_UNITS);
    let Some(value) = cx.ephemerons.take_due() else { return false };
    // All that is looked at comes into the cache at once.
    cx.ephemerons.prefetch(value);
    cx.store.memory.prefetch_bits(value.addr());
    prefetch(value.addr());
    // SAFETY: values-may-be-dead: the cell is looked at only if it is live.
    unsafe {
        let live = cx.store.memory.is_live(value.as_nonnull());
        // R23: in the second round a count of 0 is that of an object which the sweep will have (its entry is gone). Marked, it would be on no list, and stay
        // for ever.
        let dead = cx.window() && live && value.header().count.get() == 0;
        if dead && !cx.without(Sabotage::EphemeronZero) {
            return true;
        }
        cx.shade(value);
        if live && value.header().has(flags::WEAKLY_HELD) {
            // R18: what waits for it needn't wait until it is scanned.
            cx.ephemerons.key_is_marked(value);
        }
    }
    true
}

/// Takes the gray cells of a block that stand in one word of bits, and scans as many that were taken before.
#[inline(always)]
fn scan_word<R: Runtime>(rt: &R, cx: &mut Context, ahead: &mut Ahead, budget: &mut Budget) -> bool {
    let Some(GrayWord { base, cells: mut gray, cell_bytes }) = cx.gray.take_word(&mut cx.store) else { return false };
    let bytes = gray.count_ones() as usize * cell_bytes;
    cx.gray.has_scanned(bytes);
    budget.spend(1 + Context::cell_units(bytes));
    while gray != 0 {
        let cell = base.as_ptr().addr() + gray.trailing_zeros() as usize * GRANULE;
        gray &= gray - 1;
        prefetch(cell);
        if let Some(waited) = ahead.swap(cell) {
            // SAFETY: live when it was taken, and marking frees nothing.
            unsafe { scan(rt, cx, Ref::from_addr(waited), budget) };
        }
    }
    true
}

/// Scans what has been taken. `false` if that was nothing.
fn scan_ahead<R: Runtime>(rt: &R, cx: &mut Context, ahead: &mut Ahead, budget: &mut Budget) -> bool {
    let mut any = false;
    while let Some(cell) = ahead.pop() {
        any = true;
        // SAFETY: as above.
        unsafe { scan(rt, cx, Ref::from_addr(cell), budget) };
    }
    any
}

/// A part of a large cell.
fn scan_part<R: Runtime>(rt: &R, cx: &mut Context, budget: &mut Budget) -> bool {
    while let Some((r, from)) = cx.gray.take_large(&mut cx.store) {
        budget.spend(1);
        // SAFETY: gray-may-be-dead.
        unsafe {
            if cx.store.memory.is_live(r.as_nonnull()) {
                let header = r.header();
                // Where a thread has died another cell may live by now, which is scanned once too often.
                let begun = from != 0 && is_sliced(header, cx.kinds.shape(header.kind));
                if begun && !header.has(flags::CORPSE | flags::DYING) {
                    scan_large(rt, cx, r, header, from, budget);
                } else {
                    scan(rt, cx, r, budget);
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
unsafe fn scan<R: Runtime>(rt: &R, cx: &mut Context, r: Ref, budget: &mut Budget) {
    // SAFETY: by the caller.
    unsafe {
        let header = r.header();
        if header.has(flags::BY_SLOT | flags::WEAKLY_HELD | flags::CORPSE | flags::DYING) {
            return scan_special(rt, cx, r, header, budget);
        }
        match cx.kinds.shape(header.kind) {
            Shape::Leaf => {}
            Shape::Plain => rt.trace(r, &mut |x| cx.found(x)),
            Shape::Array => rt.trace_slots(r, 0..rt.slots(r), &mut |x| cx.found(x)),
            Shape::Ephemeron | Shape::Thread => scan_large(rt, cx, r, header, 0, budget),
        }
    }
}

/// # Safety
/// The cell is live.
#[inline(never)]
unsafe fn scan_special<R: Runtime>(rt: &R, cx: &mut Context, r: Ref, header: &Header, budget: &mut Budget) {
    // SAFETY: by the caller.
    unsafe {
        if header.has(flags::BY_SLOT) {
            // What an earlier cycle left.
            header.unset(flags::BLACK);
        }
        if header.has(flags::CORPSE | flags::DYING) {
            return;
        }
        if header.has(flags::WEAKLY_HELD) {
            // R18.
            budget.spend(ENTRY_UNITS);
            cx.ephemerons.key_is_marked(r);
        }
        match cx.kinds.shape(header.kind) {
            Shape::Leaf => {}
            Shape::Plain => rt.trace(r, &mut |x| cx.found(x)),
            _ if header.has(flags::BY_SLOT) && !cx.may_refer(r) => {
                cx.gray.has_scanned(cx.store.memory.cell_bytes(r.as_nonnull()));
                header.set(flags::BLACK);
            }
            _ => scan_large(rt, cx, r, header, 0, budget),
        }
    }
}

/// A part of a cell of an indexed shape or of a thread's counted list (R11); the rest is queued again.
///
/// # Safety
/// A live cell, indexed or a thread.
#[inline(never)]
unsafe fn scan_large<R: Runtime>(rt: &R, cx: &mut Context, r: Ref, header: &Header, from: usize, budget: &mut Budget) {
    // SAFETY: by the caller.
    unsafe {
        let shape = cx.kinds.shape(header.kind);
        let part = if shape == Shape::Ephemeron {
            budget.spend(PART_ENTRIES * ENTRY_UNITS);
            part(rt, r, shape, from, PART_ENTRIES, |range| {
                scan_entries(rt, cx, r, range);
            })
        } else {
            trace_part(rt, r, shape, from, PART_SLOTS, &mut |x| cx.found(x))
        };
        budget.spend(part.slots);
        cx.gray.has_scanned(part.slots * GRANULE);
        match part.next {
            Some(next) => cx.gray.put_off(r, next, &mut cx.store),
            None if header.has(flags::BY_SLOT) => header.set(flags::BLACK),
            None => {}
        }
    }
}

/// Entries are looked up in tables that are too large for the cache: what the first few will need comes into it at once.
///
/// # Safety
/// Entries of a live storage, [`PART_ENTRIES`] at most.
unsafe fn scan_entries<R: Runtime>(rt: &R, cx: &mut Context, r: Ref, range: Range<usize>) {
    let (mut entries, mut len) = ([(None, None); PART_ENTRIES], 0);
    // SAFETY: by the caller.
    unsafe {
        rt.trace_entries(r, range, &mut |key, value| {
            let Some(value) = value else { return };
            for cell in key.into_iter().chain([value]) {
                cx.store.memory.prefetch_bits(cell.addr());
                prefetch(cell.addr());
            }
            if let Some(key) = key {
                cx.ephemerons.prefetch(key);
            }
            let Some(place) = entries.get_mut(len) else { return scan_entry(cx, key, Some(value)) };
            *place = (key, Some(value));
            len += 1;
        });
        entries[..len].iter().filter_map(|&(key, _)| key).for_each(|key| cx.ephemerons.prefetch_entry(key));
        entries[..len].iter().for_each(|&(key, value)| scan_entry(cx, key, value));
    }
}

/// R18: a value is marked with its key. One whose key is young came through the program's hands in this epoch; one whose key is dead is not needed.
///
/// # Safety
/// An entry of a live storage.
#[inline]
unsafe fn scan_entry(cx: &mut Context, key: Option<Ref>, value: Option<Ref>) {
    let Some(value) = value else { return };
    // SAFETY: by the caller.
    unsafe {
        match key {
            Some(key) if key.header().has(flags::YOUNG | flags::CORPSE | flags::DYING) => {}
            Some(key) if !cx.is_marked(key) => {
                if !value.header().has(flags::YOUNG) && !cx.is_marked(value) && !cx.without(Sabotage::EphemeronWait) {
                    cx.ephemerons.wait(key, value, &mut cx.store);
                }
            }
            _ => cx.found(value),
        }
    }
}
