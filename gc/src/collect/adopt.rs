//! Adoption: storages that replace others take over their counts (R28), so that the epoch end after the rehash of a huge table is not work in
//! proportion to the table.
//!
//! The copying itself, and what is done to each old storage here, is in proportion to what the runtime has just copied.
//!
//! May import: `memory`, `object`, and of the collector `context`, `queue`, `log`, `waiting`.

use super::Sabotage;
use super::context::Context;
use super::queue::Queue;
use super::waiting::Waiting;
use crate::object::{Header, Ref, Runtime, flags};

pub(crate) struct Adoptions {
    /// Pending increments.
    increments: Queue,
}

impl Adoptions {
    pub const fn new() -> Adoptions {
        Adoptions { increments: Queue::new() }
    }

    /// `new` replaces `old`: see [`crate::Heap::replace_storage`].
    ///
    /// # Safety
    /// The cells are live or young, initialised, and of indexed shapes; the new ones hold the references of the old ones.
    pub unsafe fn adopt<R: Runtime>(&mut self, rt: &R, cx: &mut Context, waiting: &mut Waiting, old: &[Ref], new: &[Ref]) {
        // SAFETY: (whole function) by the caller; no safepoint has been since the copy.
        unsafe {
            let header = |r: Ref| r.header();
            let all_young = old.iter().all(|&r| header(r).has(flags::YOUNG));
            let worth = new.iter().any(|&r| header(r).has(flags::BY_SLOT));
            if all_young || !worth || new.iter().any(|&r| !header(r).has(flags::YOUNG)) {
                for &r in new {
                    if header(r).has(flags::BY_SLOT) {
                        filled_by_copy(rt, cx, r);
                    }
                }
                return;
            }
            let references = old.iter().any(|&r| holds_references(rt, cx, r));
            for &r in old {
                self.pend(rt, cx, r, header(r));
                // R28.3, R28.7.
                if !cx.without(Sabotage::AdoptionForget) {
                    rt.forget(r);
                }
            }
            if cx.without(Sabotage::Adoption) {
                self.increments.clear(&mut cx.store);
            }
            for &r in new {
                take_over(cx, waiting, r, references);
            }
        }
    }

    /// R28.1: what is in an old storage and has not been counted in this epoch.
    ///
    /// # Safety
    /// As for `adopt`.
    unsafe fn pend<R: Runtime>(&mut self, rt: &R, cx: &mut Context, old: Ref, header: &Header) {
        // SAFETY: by the caller.
        unsafe {
            let slots = rt.slots(old);
            if header.has(flags::YOUNG | flags::LOGGED) {
                rt.trace_slots(old, 0..slots, &mut |x| self.increments.push(x.addr(), &mut cx.store));
            } else if header.has(flags::BY_SLOT) {
                // What the dirty slots hold now. Their records stay (R28.2).
                let mut from = 0;
                while let Some(dirty) = cx.store.memory.next_dirty(old.as_nonnull(), slots, from) {
                    from = dirty.end;
                    rt.trace_slots(old, dirty, &mut |x| self.increments.push(x.addr(), &mut cx.store));
                }
            }
        }
    }

    /// At an epoch end, with the log records; they promote like any increment (R28.1).
    pub fn apply_increments(&mut self, cx: &mut Context) {
        cx.units += self.increments.len();
        while let Some(word) = self.increments.pop_front(&mut cx.store) {
            // SAFETY: it stands in an adopted storage or was overwritten in this epoch: live or young.
            cx.increment(unsafe { Ref::from_addr(word) });
        }
    }

    /// For the auditor.
    pub fn report(&self) -> &Queue {
        &self.increments
    }
}

/// R28.4: born mature and clean, with count 0; R28.5: with count 0 until its owner is seen to refer to it, it waits, in use like what was loaded
/// weakly. A runtime may have filled it through the barrier.
///
/// # Safety
/// As for [`Adoptions::adopt`].
unsafe fn take_over(cx: &mut Context, waiting: &mut Waiting, new: Ref, references: bool) {
    // SAFETY: by the caller.
    unsafe {
        let header = new.header();
        header.unset(flags::YOUNG | flags::LOGGED);
        cx.record_by_slot(new, header);
        if references && cx.store.memory.is_run(new.as_nonnull()) {
            cx.store.memory.set_dirtied(new.as_nonnull());
        }
        cx.make_live(new);
        if !cx.without(Sabotage::AdoptionList) {
            waiting.loaded(cx, new, header);
        }
        if cx.shading() && !cx.without(Sabotage::AdoptionGray) {
            // R28.6: what was unmarked in the old ones must be found in the new ones.
            header.unset(flags::BLACK);
            cx.gray.shade_again(new, &mut cx.store);
        }
    }
}

/// R4: a young large run was filled by copying memory. One of numbers stays clean.
///
/// # Safety
/// A young large run of an indexed shape, initialised.
pub(crate) unsafe fn filled_by_copy<R: Runtime>(rt: &R, cx: &mut Context, array: Ref) {
    // SAFETY: by the caller.
    unsafe {
        let slots = rt.slots(array);
        let mut any = false;
        rt.trace_slots(array, 0..slots, &mut |_| any = true);
        if any {
            cx.store.memory.dirty_all(array.as_nonnull(), slots);
        }
    }
}

/// # Safety
/// A live or young cell of an indexed shape.
unsafe fn holds_references<R: Runtime>(rt: &R, cx: &Context, storage: Ref) -> bool {
    // SAFETY: by the caller.
    unsafe {
        if cx.store.memory.is_run(storage.as_nonnull()) {
            return cx.store.memory.was_dirtied(storage.as_nonnull());
        }
        let mut any = false;
        rt.trace_slots(storage, 0..rt.slots(storage), &mut |_| any = true);
        any
    }
}
