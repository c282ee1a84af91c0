//! The types of a program as the collector asks for them: `neap_gc::Runtime`.
//!
//! The slots of an array, as the collector numbers them, are the words of its fixed part that hold references, strong ones first, and then its own slots.
//!
//! Invariants:
//! * **gate-is-closed** While a function of the program runs, the gate is closed.
//!
//! Imports `callback`, `gate`, `locals` and `weak_map` (their layouts), `types`, `words`.

use crate::callback::{releasing, visiting};
use crate::gate::Gate;
use crate::locals::LocalsCell;
use crate::types::{Hot, Table, Type};
use crate::weak_map::REMOVED;
use crate::words::{address, reference, word_at};
use neap_gc::object::{Kind, Shape, Side, Stack, Verdict};
use neap_gc::{Ref, Runtime};
use std::ffi::c_void;
use std::ops::Range;
use std::ptr::{NonNull, null_mut};
use std::rc::Rc;

pub struct Types {
    pub table: Table,
    pub gate: Rc<Gate>,
}

/// The number of slots that an object says it has.
///
/// # Safety
/// Here and below: the cell is live or young, initialised, and of this type.
#[inline(always)]
pub unsafe fn length(hot: &Hot, cell: Ref) -> usize {
    // SAFETY: by the caller; offsets-are-inside.
    unsafe { cell.as_ptr().add(hot.length_offset as usize).cast::<usize>().read() }
}

impl Types {
    #[inline(always)]
    unsafe fn of(&self, cell: Ref) -> &Type {
        // SAFETY: by the caller.
        self.table.get(unsafe { cell.kind() })
    }

    #[inline(always)]
    unsafe fn hot_of(&self, cell: Ref) -> &Hot {
        // SAFETY: by the caller.
        self.table.hot(unsafe { cell.kind() })
    }

    /// The references of a plain object that do not stand side by side. (Called through a pointer, so that what is done with a reference is inlined where
    /// they do.)
    #[inline(never)]
    unsafe fn trace_apart(&self, cell: Ref, mut visit: &mut dyn FnMut(Ref)) {
        // SAFETY: by the caller; offsets-are-inside.
        unsafe {
            let ty = self.of(cell);
            visit_words(cell, 0, &ty.strong, &mut visit);
            self.call_trace(ty, cell, 0..0, &mut visit);
        }
    }

    /// The references in slots that are not simple.
    #[inline(never)]
    unsafe fn trace_slots_of(&self, cell: Ref, range: Range<usize>, mut visit: &mut dyn FnMut(Ref)) {
        // SAFETY: by the caller; offsets-are-inside.
        unsafe {
            let ty = self.of(cell);
            let fixed = ty.fixed();
            if range.start < fixed {
                visit_words(cell, 0, part(&ty.strong, 0, &range), &mut visit);
            }
            let own = own_slots(&range, fixed);
            if !ty.slot_strong.is_empty() {
                own.clone().for_each(|slot| visit_words(cell, ty.size + slot * ty.stride, &ty.slot_strong, &mut visit));
            }
            if !own.is_empty() {
                self.call_trace(ty, cell, own, &mut visit);
            }
        }
    }

    /// Asks the program's function for the references of some slots.
    #[inline]
    unsafe fn call_trace(&self, ty: &Type, cell: Ref, range: Range<usize>, visit: &mut impl FnMut(Ref)) {
        let Some(trace) = ty.trace else { return };
        let mut visit = |word| reference(word).into_iter().for_each(&mut *visit);
        visiting(&mut visit, |visitor| {
            // SAFETY: the program's function for such objects; gate-is-closed.
            self.gate.closed(|| unsafe { trace(address(cell), range.start, range.end, visitor, ty.data) });
        });
    }
}

/// Visits the references among the words at these offsets.
///
/// # Safety
/// The offsets are those of words of an initialised object.
#[inline(always)]
unsafe fn visit_words(cell: Ref, base: usize, offsets: &[u32], visit: &mut impl FnMut(Ref)) {
    for &offset in offsets {
        // SAFETY: by the caller.
        if let Some(to) = reference(unsafe { word_at(cell, base + offset as usize).read() }) {
            visit(to);
        }
    }
}

/// Visits the references among words that stand side by side.
///
/// # Safety
/// So many initialised words stand there.
#[inline(always)]
unsafe fn visit_row(first: *mut *mut c_void, count: usize, visit: &mut impl FnMut(Ref)) {
    // SAFETY: by the caller, here and below.
    let (mut word, end) = unsafe { (first, first.add(count)) };
    while word != end {
        // SAFETY: as above.
        unsafe {
            if let Some(to) = reference(word.read()) {
                visit(to);
            }
            word = word.add(1);
        }
    }
}

/// The part of a range of slots that is behind the first `fixed` ones, counted from there.
#[inline(always)]
fn own_slots(range: &Range<usize>, fixed: usize) -> Range<usize> {
    range.start.saturating_sub(fixed)..range.end.saturating_sub(fixed)
}

/// The part of a list that a range has, if the list begins at `at`.
#[inline(always)]
fn part<'a>(list: &'a [u32], at: usize, range: &Range<usize>) -> &'a [u32] {
    let clamp = |slot: usize| slot.saturating_sub(at).min(list.len());
    &list[clamp(range.start)..clamp(range.end)]
}

// SAFETY: types describe their objects (offsets-are-inside); what a trace function visits the program vouches for.
unsafe impl Runtime for Types {
    fn kinds(&self) -> Vec<Kind> {
        self.table.all().iter().map(Type::kind).collect()
    }

    #[inline]
    unsafe fn trace(&self, cell: Ref, visit: &mut impl FnMut(Ref)) {
        // SAFETY: by the caller, here and below.
        unsafe {
            let hot = self.hot_of(cell);
            if hot.count == 0 {
                return self.trace_apart(cell, visit);
            }
            visit_row(word_at(cell, hot.at as usize), hot.count as usize, visit);
        }
    }

    #[inline]
    unsafe fn slots(&self, cell: Ref) -> usize {
        // SAFETY: as above.
        unsafe {
            let hot = self.hot_of(cell);
            hot.fixed as usize + length(hot, cell)
        }
    }

    #[inline]
    unsafe fn trace_slots(&self, cell: Ref, range: Range<usize>, visit: &mut impl FnMut(Ref)) {
        // SAFETY: as above.
        unsafe {
            let hot = self.hot_of(cell);
            if !hot.words || range.start < hot.fixed as usize {
                return self.trace_slots_of(cell, range, visit);
            }
            let own = own_slots(&range, hot.fixed as usize);
            visit_row(word_at(cell, hot.size as usize).add(own.start), own.len(), visit);
        }
    }

    unsafe fn forget(&self, cell: Ref) {
        // SAFETY: only the entries of weak maps are replaced, and those have a length.
        unsafe { cell.as_ptr().add(self.of(cell).length_offset).cast::<usize>().write(0) };
    }

    unsafe fn trace_entries(&self, cell: Ref, range: Range<usize>, visit: &mut impl FnMut(Option<Ref>, Option<Ref>)) {
        // SAFETY: only the entries of weak maps are of that shape: a key and a value each.
        unsafe {
            let entries = word_at(cell, self.of(cell).size);
            range.for_each(|entry| visit(reference(entries.add(2 * entry).read()), reference(entries.add(2 * entry + 1).read())));
        }
    }

    unsafe fn clean(
        &self,
        cell: Ref,
        range: Range<usize>,
        verdict: &mut impl FnMut(Ref, Side) -> Verdict,
        log: &mut impl FnMut(usize),
    ) {
        // SAFETY: as above.
        unsafe {
            let ty = self.of(cell);
            if ty.shape == Shape::Ephemeron {
                let entries = word_at(cell, ty.size);
                for slot in range {
                    let (key, value) = (entries.add(2 * slot), entries.add(2 * slot + 1));
                    if reference(*key).is_some_and(|key| verdict(key, Side::Key) == Verdict::Clear) {
                        if reference(*value).is_some() {
                            log(slot);
                        }
                        (*key, *value) = (REMOVED, null_mut());
                    }
                }
                return;
            }
            let mut clean_word = |word: *mut *mut c_void| {
                if reference(*word).is_some_and(|to| verdict(to, Side::Value) == Verdict::Clear) {
                    *word = null_mut();
                }
            };
            if self.hot_of(cell).weak_words {
                let words = word_at(cell, ty.size);
                return own_slots(&range, ty.fixed()).for_each(|slot| clean_word(words.add(slot)));
            }
            let mut clean = |base: usize, offsets: &[u32]| {
                offsets.iter().for_each(|&offset| clean_word(word_at(cell, base + offset as usize)));
            };
            if !ty.shape.is_indexed() {
                return clean(0, &ty.weak);
            }
            clean(0, part(&ty.weak, ty.strong.len(), &range));
            if !ty.slot_weak.is_empty() {
                own_slots(&range, ty.fixed()).for_each(|slot| clean(ty.size + slot * ty.stride, &ty.slot_weak));
            }
        }
    }

    unsafe fn stack(&self, cell: Ref) -> NonNull<Stack> {
        // SAFETY: only the locals are a thread.
        unsafe { NonNull::new_unchecked(&raw mut (*cell.as_ptr().cast::<LocalsCell>()).stack) }
    }
    unsafe fn trace_stack(&self, cell: Ref, range: Range<usize>, visit: &mut impl FnMut(Option<Ref>)) {
        // SAFETY: as above; what stands below the top was written.
        unsafe {
            let base = (*cell.as_ptr().cast::<LocalsCell>()).base;
            range.for_each(|slot| visit(reference(base.add(slot).read())));
        }
    }
    unsafe fn clear_stack(&self, cell: Ref, range: Range<usize>) {
        // SAFETY: as above.
        unsafe { (*cell.as_ptr().cast::<LocalsCell>()).base.add(range.start).write_bytes(0, range.len()) };
    }

    unsafe fn destroy(&mut self, cell: Ref, release: &mut dyn FnMut(NonNull<u8>)) {
        // SAFETY: as above.
        let ty = unsafe { self.of(cell) };
        let Some(destroy) = ty.destroy else { return };
        releasing(release, |releaser| {
            let object: *mut c_void = address(cell);
            // SAFETY: the program's function for such objects, once for each; gate-is-closed.
            self.gate.closed(|| unsafe { destroy(object, releaser, ty.data) });
        });
    }
}
