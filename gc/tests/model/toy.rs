//! A small runtime for tests: a kind of each shape, every cell carrying the number of its object, so that a reference to a
//! reused cell shows.
//!
//! Layout, in words: header, number, then
//! ```text
//!   PLAIN, GUARD   three slots                       ARRAY, BIG   length, slots
//!   WEAK           length, (strong key, weak value)  EPHEMERON    length, (weak key, strong value)
//!   ALL_WEAK       length, (weak key, weak value)    STRING       content
//!   THREAD         body, Stack, capacity (the slots stand outside the heap)
//! ```

use neap_gc::{Kind, Ref, Runtime, Shape, Stack};
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

pub const PLAIN_SLOTS: usize = 3;
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

/// The slots of PLAIN, GUARD and ARRAY.
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

/// The entries of WEAK, EPHEMERON and ALL_WEAK: keys and values.
///
/// # Safety
/// As above.
pub unsafe fn pairs<'a>(cell: Ref) -> &'a mut [(Slot, Slot)] {
    // SAFETY: the layout above; `Option<Ref>` is one word, so pairs of them stand as they do in an array of two.
    unsafe { std::slice::from_raw_parts_mut(word(cell, 3), len(cell)) }
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
        ARRAY => (3 + len) * 8,
        WEAK | EPHEMERON | ALL_WEAK => (3 + 2 * len) * 8,
        STRING => 3 * 8,
        _ => 3 * 8 + size_of::<Stack<Slot>>() + 8,
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
    unsafe { word(cell, 3 + size_of::<Stack<Slot>>() / 8) }
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
            let (stack, buffer) = (Toy::stack(cell), new_buffer(new));
            buffer.copy_from_nonoverlapping(stack.slots, old);
            free_buffer(stack.slots, old);
            stack.slots = buffer;
            *capacity(cell) = new;
        }
    }
}

const fn kind(name: &'static str, shape: Shape, destructor: bool) -> Kind {
    Kind { name, shape, destructor }
}

// SAFETY: each method reads what the layout says stands there, and nothing else.
unsafe impl Runtime for Toy {
    type Slot = Slot;
    const EMPTY_SLOT: Slot = None;
    const KINDS: &'static [Kind] = &[
        kind("plain", Shape::Plain, false),
        kind("guard", Shape::Plain, true),
        kind("array", Shape::Array, false),
        kind("weak", Shape::WeakValues, false),
        kind("ephemeron", Shape::Ephemeron, false),
        kind("all weak", Shape::AllWeak, false),
        kind("string", Shape::Leaf, false),
        kind("thread", Shape::Thread, true),
    ];

    fn slot_ref(slot: &Slot) -> Option<Ref> {
        *slot
    }

    unsafe fn size(cell: Ref) -> usize {
        // SAFETY: the cell is initialised.
        unsafe {
            let len = if (ARRAY..=ALL_WEAK).contains(&cell.kind()) { len(cell) } else { 0 };
            size_of_kind(cell.kind(), len)
        }
    }

    unsafe fn trace(cell: Ref, visit: &mut impl FnMut(Ref)) {
        // SAFETY: called for PLAIN, GUARD and THREAD only.
        unsafe {
            if cell.kind() == THREAD {
                (*body(cell)).into_iter().for_each(visit);
            } else {
                slots(cell).iter().flatten().copied().for_each(visit);
            }
        }
    }

    unsafe fn slots(cell: Ref) -> usize {
        // SAFETY: called for indexed kinds only.
        unsafe { len(cell) }
    }

    unsafe fn trace_slots(cell: Ref, range: Range<usize>, visit: &mut impl FnMut(Ref)) {
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

    unsafe fn trace_entries(cell: Ref, range: Range<usize>, visit: &mut impl FnMut(Option<Ref>, Option<Ref>)) {
        // SAFETY: as above, for EPHEMERON.
        unsafe { pairs(cell)[range].iter().for_each(|e| visit(e.0, e.1)) }
    }

    unsafe fn clean_slots(
        cell: Ref,
        range: Range<usize>,
        verdict: &mut impl FnMut(Ref, bool) -> neap_gc::object::Verdict,
        log: &mut impl FnMut(usize),
    ) {
        use neap_gc::object::Verdict::Clear;
        // SAFETY: as above.
        unsafe {
            let kind = cell.kind();
            for i in range {
                let (key, value) = pairs(cell)[i];
                let clear = (kind != WEAK && key.is_some_and(|k| verdict(k, true) == Clear))
                    || (kind != EPHEMERON && value.is_some_and(|v| verdict(v, false) == Clear));
                if clear {
                    if (kind == WEAK && key.is_some()) || (kind == EPHEMERON && value.is_some()) {
                        log(i);
                    }
                    pairs(cell)[i] = (None, None);
                }
            }
        }
    }

    unsafe fn stack<'a>(cell: Ref) -> &'a mut Stack<Slot> {
        // SAFETY: called for THREAD only.
        unsafe { &mut *word(cell, 3) }
    }

    unsafe fn forget(cell: Ref) {
        // SAFETY: called for storages only.
        unsafe { slots(cell).fill(None) }
    }

    unsafe fn destroy(&mut self, cell: Ref, _release: &mut dyn FnMut(NonNull<u8>)) {
        // SAFETY: GUARD and THREAD have destructors; the buffer of a thread came from `new_buffer` and is freed once, here.
        unsafe {
            let n = number(cell);
            let twice = self.destroyed.borrow().contains(&n);
            self.destroyed.borrow_mut().push(n);
            if cell.kind() == THREAD && !twice {
                free_buffer(Self::stack(cell).slots, *capacity(cell));
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
