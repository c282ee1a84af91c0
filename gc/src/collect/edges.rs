//! The one way to go through the counted references of a cell: at once, or in parts that can stop and go on.
//!
//! Marking, the release and the detaching of the dead all use it, so none of them decides anew which cells are too large to be looked at in one go, or in
//! which order a thread's list and its fields come. (The auditor has a walk of its own.)
//!
//! Invariants:
//! * **parts-are-in-order** The parts of a cell are its slots, or the entries of a thread's counted list, by number; what a thread refers to beside its stack
//!   belongs to the last part.
//!
//! May import: `object`.

use crate::object::{Header, Ref, Runtime, Shape, flags};

/// A part of a cell has been gone through.
pub(super) struct Part {
    /// Slots or entries that were looked at.
    pub slots: usize,
    /// Where the next part begins; `None` if this was the last.
    pub next: Option<usize>,
}

/// Whether a cell is gone through in parts: an array that is recorded by slots, a thread.
#[inline(always)]
pub(super) fn is_sliced(header: &Header, shape: Shape) -> bool {
    header.has(flags::BY_SLOT) || shape == Shape::Thread
}

/// All counted references of a cell that is not sliced; those of a thread outside of its stack.
///
/// # Safety
/// The cell is live or young, its shape is right.
#[inline(always)]
pub(super) unsafe fn trace_whole<R: Runtime>(rt: &R, r: Ref, shape: Shape, visit: &mut impl FnMut(Ref)) {
    // SAFETY: by the caller.
    unsafe {
        match shape {
            Shape::Leaf => {}
            Shape::Plain | Shape::Thread => rt.trace(r, visit),
            Shape::Array | Shape::Ephemeron => rt.trace_slots(r, 0..rt.slots(r), visit),
        }
    }
}

/// How many slots a sliced cell has.
///
/// # Safety
/// The cell is live, indexed or a thread.
pub(super) unsafe fn slots<R: Runtime>(rt: &R, r: Ref, shape: Shape) -> usize {
    // SAFETY: by the caller.
    unsafe { if shape == Shape::Thread { rt.stack(r).as_ref().counted.len } else { rt.slots(r) } }
}

/// The part that begins at slot `from`, of at most so many slots: `each` is handed their range.
///
/// # Safety
/// As for `slots`.
#[inline(always)]
pub(super) unsafe fn part<R: Runtime>(
    rt: &R,
    r: Ref,
    shape: Shape,
    from: usize,
    most: usize,
    each: impl FnOnce(std::ops::Range<usize>),
) -> Part {
    // SAFETY: by the caller.
    let slots = unsafe { slots(rt, r, shape) };
    let to = (from + most).min(slots);
    let from = from.min(to);
    if from < to {
        each(from..to);
    }
    Part { slots: to - from, next: (to < slots).then_some(to) }
}

/// The same, with every counted reference of it.
///
/// # Safety
/// As for `slots`.
#[inline(always)]
pub(super) unsafe fn trace_part<R: Runtime>(
    rt: &R,
    r: Ref,
    shape: Shape,
    from: usize,
    most: usize,
    visit: &mut impl FnMut(Ref),
) -> Part {
    // SAFETY: by the caller.
    unsafe {
        let part = part(rt, r, shape, from, most, |range| {
            if shape == Shape::Thread {
                range.filter_map(|slot| rt.stack(r).as_ref().counted.get(slot)).for_each(&mut *visit);
            } else {
                rt.trace_slots(r, range, visit);
            }
        });
        if shape == Shape::Thread && part.next.is_none() {
            // parts-are-in-order
            rt.trace(r, visit);
        }
        part
    }
}
