//! A small runtime for tests: a kind of each shape, every cell carrying the number of its object, so that a reference to a
//! reused cell shows.
//!
//! Layout, in words: header, number, then
//! ```text
//!   PLAIN, GUARD   three slots                       ARRAY        length, slots
//!   WEAK           length, (strong key, weak value)  EPHEMERON    length, (weak key, strong value)
//!   ALL_WEAK       length, (weak key, weak value)    STRING       content
//!   FIELDS         three slots, two (weak key, weak value)
//!   THREAD         body, Stack, capacity, buffer (the slots stand outside the heap)
//! ```

use neap_gc::{Kind, Ref, Runtime, Shape, Side, Stack, Verdict};
use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;
use std::ptr::NonNull;
use std::rc::Rc;

pub type Slot = Option<Ref>;

pub const PLAIN: u8 = 0;
pub const GUARD: u8 = 1;
pub const ARRAY: u8 = 2;
pub const WEAK: u8 = 3;
pub const EPHEMERON: u8 = 4;
pub const ALL_WEAK: u8 = 5;
pub const STRING: u8 = 6;
pub const THREAD: u8 = 7;
/// A plain cell with weak fields.
pub const FIELDS: u8 = 8;

pub const PLAIN_SLOTS: usize = 3;
pub const WEAK_FIELDS: usize = 2;
/// Slots that a stack begins with.
pub const STACK_SLOTS: usize = 16;

#[derive(Default)]
pub struct Toy {
    /// The table of interned cells.
    pub interned: HashMap<u64, Ref>,
    /// Numbers of the objects whose destructor ran, in order; outlives the heap.
    pub destroyed: Rc<RefCell<Vec<u64>>>,
}

/// The word `index` of a cell.
///
/// # Safety
/// The cell has that many words.
pub unsafe fn word<T>(cell: Ref, index: usize) -> *mut T {
    // SAFETY: the caller vouches for the word.
    unsafe { cell.as_ptr().add(index * 8).cast() }
}

/// # Safety
/// Here and below: the cell is live or young and of a fitting kind.
pub unsafe fn number(cell: Ref) -> u64 {
    // SAFETY: every cell has a number in word 1.
    unsafe { word::<u64>(cell, 1).read() }
}

/// # Safety
/// As above: an indexed kind.
pub unsafe fn len(cell: Ref) -> usize {
    // SAFETY: word 2 of an indexed kind is its length.
    unsafe { word::<usize>(cell, 2).read() }
}

/// The slots of PLAIN, GUARD, FIELDS and ARRAY.
///
/// # Safety
/// As above.
pub unsafe fn slots<'a>(cell: Ref) -> &'a mut [Slot] {
    // SAFETY: the layout above; cells are initialised before anything else looks at them.
    unsafe {
        if cell.kind() == ARRAY {
            std::slice::from_raw_parts_mut(word(cell, 3), len(cell))
        } else {
            std::slice::from_raw_parts_mut(word(cell, 2), PLAIN_SLOTS)
        }
    }
}

/// The entries of WEAK, EPHEMERON, ALL_WEAK and FIELDS: keys and values.
///
/// # Safety
/// As above.
pub unsafe fn pairs<'a>(cell: Ref) -> &'a mut [(Slot, Slot)] {
    // SAFETY: the layout above; `Option<Ref>` is one word, so pairs of them stand as they do in an array of two.
    unsafe {
        if cell.kind() == FIELDS {
            std::slice::from_raw_parts_mut(word(cell, 2 + PLAIN_SLOTS), WEAK_FIELDS)
        } else {
            std::slice::from_raw_parts_mut(word(cell, 3), len(cell))
        }
    }
}

/// # Safety
/// As above: a THREAD.
pub unsafe fn body(cell: Ref) -> *mut Slot {
    // SAFETY: the layout above.
    unsafe { word(cell, 2) }
}

pub fn size_of_kind(kind: u8, len: usize) -> usize {
    match kind {
        PLAIN | GUARD => (2 + PLAIN_SLOTS) * 8,
        FIELDS => (2 + PLAIN_SLOTS + 2 * WEAK_FIELDS) * 8,
        ARRAY => (3 + len) * 8,
        WEAK | EPHEMERON | ALL_WEAK => (3 + 2 * len) * 8,
        STRING => 3 * 8,
        _ => 3 * 8 + size_of::<Stack>() + 2 * 8,
    }
}

/// The buffer of a stack.
pub fn new_buffer(slots: usize) -> *mut Slot {
    Box::into_raw(vec![None::<Ref>; slots].into_boxed_slice()).cast()
}

/// # Safety
/// `buffer` came from [`new_buffer`] with so many slots, and is not used again.
pub unsafe fn free_buffer(buffer: *mut Slot, slots: usize) {
    // SAFETY: by the caller.
    unsafe { drop(Box::from_raw(std::ptr::slice_from_raw_parts_mut(buffer, slots))) }
}

/// The capacity of a thread's stack.
///
/// # Safety
/// As above: a THREAD.
pub unsafe fn capacity(cell: Ref) -> *mut usize {
    // SAFETY: the layout above.
    unsafe { word(cell, 3 + size_of::<Stack>() / 8) }
}

/// The slots of a thread's stack.
///
/// # Safety
/// As above.
pub unsafe fn buffer(cell: Ref) -> *mut *mut Slot {
    // SAFETY: the layout above.
    unsafe { word(cell, 4 + size_of::<Stack>() / 8) }
}

/// # Safety
/// As above.
pub unsafe fn stack<'a>(cell: Ref) -> &'a mut Stack {
    // SAFETY: the layout above.
    unsafe { &mut *word(cell, 3) }
}

/// Makes room for so many slots.
///
/// # Safety
/// As above.
pub unsafe fn reserve(cell: Ref, slots: usize) {
    // SAFETY: by the caller.
    unsafe {
        let old = *capacity(cell);
        if slots > old {
            let new = slots.next_power_of_two();
            let (place, new_slots) = (buffer(cell), new_buffer(new));
            new_slots.copy_from_nonoverlapping(*place, old);
            free_buffer(*place, old);
            *place = new_slots;
            *capacity(cell) = new;
        }
    }
}

// SAFETY: each method reads what the layout says stands there, and nothing else.
unsafe impl Runtime for Toy {
    fn kinds(&self) -> Vec<Kind> {
        vec![
            Kind::new("plain", Shape::Plain),
            Kind::new("guard", Shape::Plain).with_destructor(),
            Kind::new("array", Shape::Array),
            Kind::new("weak", Shape::Array).with_weak_references(),
            Kind::new("ephemeron", Shape::Ephemeron),
            Kind::new("all weak", Shape::Array).with_weak_references(),
            Kind::new("string", Shape::Leaf),
            Kind::new("thread", Shape::Thread).with_destructor(),
            Kind::new("fields", Shape::Plain).with_weak_references(),
        ]
    }

    unsafe fn trace(&self, cell: Ref, visit: &mut impl FnMut(Ref)) {
        // SAFETY: called for PLAIN, GUARD, FIELDS and THREAD only.
        unsafe {
            if cell.kind() == THREAD {
                (*body(cell)).into_iter().for_each(visit);
            } else {
                slots(cell).iter().flatten().copied().for_each(visit);
            }
        }
    }

    unsafe fn slots(&self, cell: Ref) -> usize {
        // SAFETY: called for indexed kinds only.
        unsafe { len(cell) }
    }

    unsafe fn trace_slots(&self, cell: Ref, range: Range<usize>, visit: &mut impl FnMut(Ref)) {
        // SAFETY: called for indexed kinds only; the range is within the length.
        unsafe {
            match cell.kind() {
                ARRAY => slots(cell)[range].iter().flatten().copied().for_each(visit),
                WEAK => pairs(cell)[range].iter().filter_map(|e| e.0).for_each(visit),
                EPHEMERON => pairs(cell)[range].iter().filter_map(|e| e.1).for_each(visit),
                _ => {}
            }
        }
    }

    unsafe fn trace_entries(&self, cell: Ref, range: Range<usize>, visit: &mut impl FnMut(Option<Ref>, Option<Ref>)) {
        // SAFETY: as above, for EPHEMERON.
        unsafe { pairs(cell)[range].iter().for_each(|e| visit(e.0, e.1)) }
    }

    unsafe fn clean(
        &self,
        cell: Ref,
        range: Range<usize>,
        verdict: &mut impl FnMut(Ref, Side) -> Verdict,
        log: &mut impl FnMut(usize),
    ) {
        use Verdict::Clear;
        // SAFETY: as above.
        unsafe {
            let kind = cell.kind();
            let range = if kind == FIELDS { 0..WEAK_FIELDS } else { range };
            for i in range {
                let (key, value) = pairs(cell)[i];
                let clear = (kind != WEAK && key.is_some_and(|k| verdict(k, Side::Key) == Clear))
                    || (kind != EPHEMERON && value.is_some_and(|v| verdict(v, Side::Value) == Clear));
                if clear {
                    if (kind == WEAK && key.is_some()) || (kind == EPHEMERON && value.is_some()) {
                        log(i);
                    }
                    pairs(cell)[i] = (None, None);
                }
            }
        }
    }

    unsafe fn stack(&self, cell: Ref) -> NonNull<Stack> {
        // SAFETY: called for THREAD only.
        unsafe { NonNull::from(stack(cell)) }
    }

    unsafe fn trace_stack(&self, cell: Ref, range: Range<usize>, visit: &mut impl FnMut(Option<Ref>)) {
        // SAFETY: called for THREAD only; the range lies within the buffer.
        range.for_each(|i| visit(unsafe { *(*buffer(cell)).add(i) }));
    }

    unsafe fn clear_stack(&self, cell: Ref, range: Range<usize>) {
        // SAFETY: as above.
        range.for_each(|i| unsafe { (*buffer(cell)).add(i).write(None) });
    }

    unsafe fn forget(&self, cell: Ref) {
        // SAFETY: called for storages only.
        unsafe {
            if cell.kind() == ARRAY {
                slots(cell).fill(None);
            } else {
                pairs(cell).fill((None, None));
            }
        }
    }

    unsafe fn destroy(&mut self, cell: Ref, _release: &mut dyn FnMut(NonNull<u8>)) {
        // SAFETY: GUARD and THREAD have destructors; the buffer of a thread came from `new_buffer` and is freed once, here.
        unsafe {
            let n = number(cell);
            let twice = self.destroyed.borrow().contains(&n);
            self.destroyed.borrow_mut().push(n);
            if cell.kind() == THREAD && !twice {
                free_buffer(*buffer(cell), *capacity(cell));
            }
        }
    }

    unsafe fn unintern(&mut self, cell: Ref) {
        // SAFETY: a STRING.
        let content = unsafe { word::<u64>(cell, 2).read() };
        if self.interned.get(&content) == Some(&cell) {
            self.interned.remove(&content);
        }
    }
}
