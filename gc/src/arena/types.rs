//! The runtime that an arena is to the heap: how the collector reads the cells that `descriptor` lays out.
//!
//! Imports `descriptor`, `trace`, `object`.

use super::check::Checks;
use super::descriptor::{
    CAPACITY_AT, ENTRIES, HEADER_BYTES, LENGTH_AT, REFERENCES, REFERENCES_AT, SLICE_DROP, SLICE_OWNER, STORAGE, WEAK_SLOTS,
    WORDS, descriptor, kinds, word,
};
use super::entries;
use super::trace::Tracer;
use super::weak::clean_weak;
use super::weak_table::{clean_slots, length};
use crate::object::{Kind, Ref, Runtime, Side, Verdict};
use std::cell::Cell;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

/// What an arena tells its heap, and what belongs to the arena beside the heap.
#[derive(Default)]
pub(super) struct Types {
    /// A finalizer is running.
    pub finalizing: Cell<bool>,
    pub checks: Checks,
    /// Bytes of `External`s that have been dropped.
    pub released: Arc<AtomicUsize>,
}

// SAFETY: the references of a cell are those that the map of its type has, or that its `trace` shows: for derived implementations that is all of them, for others it is
// what `Trace` demands.
unsafe impl Runtime for Types {
    fn kinds(&self) -> Vec<Kind> {
        kinds()
    }

    #[inline(always)]
    unsafe fn trace(&self, cell: Ref, visit: &mut impl FnMut(Ref)) {
        // SAFETY: a `Plain` cell, by the caller: map-is-exact, or with a descriptor.
        unsafe {
            let header = cell.header();
            if header.kind() == WORDS {
                trace_words(cell.as_ptr().add(HEADER_BYTES), header.aux.get(), visit);
            } else {
                trace_object(cell, visit);
            }
        }
    }

    unsafe fn slots(&self, cell: Ref) -> usize {
        // SAFETY: by the caller.
        unsafe { slots(cell) }
    }

    #[inline(always)]
    unsafe fn trace_slots(&self, cell: Ref, range: Range<usize>, visit: &mut impl FnMut(Ref)) {
        // SAFETY: an indexed cell, by the caller.
        unsafe {
            if cell.kind() != REFERENCES {
                return trace_elements(cell, range, visit);
            }
            let first = cell.as_ptr().add(REFERENCES_AT).cast::<Option<Ref>>();
            for slot in range.start..range.end.min(*word(cell, LENGTH_AT)) {
                if let Some(to) = first.add(slot).read() {
                    visit(to);
                }
            }
        }
    }

    unsafe fn forget(&self, cell: Ref) {
        // SAFETY: only storages are replaced.
        unsafe { *word(cell, LENGTH_AT) = 0 };
    }

    unsafe fn trace_entries(&self, cell: Ref, range: Range<usize>, visit: &mut impl FnMut(Option<Ref>, Option<Ref>)) {
        // SAFETY: by the caller, a cell of entries.
        unsafe { entries::trace_entries(cell, range, visit) };
    }

    unsafe fn clean(
        &self,
        cell: Ref,
        range: Range<usize>,
        verdict: &mut impl FnMut(Ref, Side) -> Verdict,
        log: &mut impl FnMut(usize),
    ) {
        // SAFETY: by the caller; these are the kinds with weak references.
        unsafe {
            match cell.kind() {
                ENTRIES => entries::clean_entries(cell, range, verdict, log),
                WEAK_SLOTS => clean_slots(cell, range, verdict),
                _ => clean_weak(cell, verdict),
            }
        }
    }

    unsafe fn destroy(&mut self, cell: Ref, _: &mut dyn FnMut(NonNull<u8>)) {
        // SAFETY: by the caller, a cell of a kind with a destructor, which has a descriptor.
        unsafe {
            let described = descriptor(cell);
            let count = if matches!(cell.kind(), SLICE_DROP | SLICE_OWNER) { *word(cell, LENGTH_AT) } else { 1 };
            (described.drop)(cell.as_ptr().add(described.offset), count);
        }
    }
}

/// The references of a `Plain` cell with a descriptor. Apart, so that the collector's loops have only what is commonest in them.
///
/// # Safety
/// Such a cell, live or young.
#[inline(never)]
unsafe fn trace_object(cell: Ref, visit: &mut dyn FnMut(Ref)) {
    // SAFETY: by the caller.
    unsafe {
        let described = descriptor(cell);
        (described.trace)(cell.as_ptr().add(described.offset), 0..1, &mut Tracer::new(visit));
    }
}

/// The references in some slots of an indexed cell. Apart, as above.
///
/// # Safety
/// Such a cell, live or young, with a descriptor or of entries.
#[inline(never)]
unsafe fn trace_elements(cell: Ref, range: Range<usize>, visit: &mut impl FnMut(Ref)) {
    // SAFETY: by the caller. Of a storage only what is in use is initialised.
    unsafe {
        match cell.kind() {
            ENTRIES => return entries::trace_values(cell, range, visit),
            WEAK_SLOTS => return,
            _ => {}
        }
        let end = range.end.min(*word(cell, LENGTH_AT));
        if range.start >= end {
            return;
        }
        let described = descriptor(cell);
        let first = cell.as_ptr().add(described.offset);
        if let Some(words) = described.map.words_from(0) {
            for n in range.start..end {
                trace_words(first.add(n * described.size), words, visit);
            }
        } else {
            (described.trace)(first, range.start..end, &mut Tracer::new(visit));
        }
    }
}

/// Visits the words that are references.
///
/// # Safety
/// map-is-exact: in each of them stands null or the address of a cell.
#[inline(always)]
unsafe fn trace_words(first: *const u8, mut words: u8, visit: &mut impl FnMut(Ref)) {
    let first = first.cast::<Option<Ref>>();
    while words != 0 {
        // SAFETY: by the caller.
        if let Some(to) = unsafe { first.add(words.trailing_zeros() as usize).read() } {
            visit(to);
        }
        words &= words - 1;
    }
}

/// How many slots a cell has.
///
/// # Safety
/// An indexed cell, live or young.
#[inline]
pub(super) unsafe fn slots(cell: Ref) -> usize {
    // SAFETY: by the caller.
    unsafe {
        match cell.kind() {
            // Elements without references may be smaller than slots are, and nobody looks at them.
            STORAGE if descriptor(cell).map.is_none() => 0,
            STORAGE => *word(cell, CAPACITY_AT),
            ENTRIES => entries::capacity(cell),
            WEAK_SLOTS => length(cell),
            _ => *word(cell, LENGTH_AT),
        }
    }
}
