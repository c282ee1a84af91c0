//! Cells of weak-keyed entries: how the collector reads them, and [`Ephemeron`], which is one entry.
//!
//! An entry is two words, a key and a value. The key is held weakly; the value is a strong reference, counted like any other, that lives while the key does: the
//! collector does not mark it before the key is marked. So a value may refer to its key.
//!
//! Invariants:
//! * **key-first** A key word is [`EMPTY`], [`REMOVED`], or the address of a cell that the heap knows to be held weakly; with the first two the value word is null.
//! * **entries-stay** An entry stays at its place in its cell from its writing to its removal.
//!
//! Imports `descriptor`, `gc`, `map`, `mutation`, `trace`, `object`.

use super::descriptor::{DESCRIPTOR_AT, ENTRIES, word};
use super::gc::{Brand, Gc};
use super::map::Map;
use super::mutation::{Mutation, out_of_memory};
use super::trace::{Rootable, Trace, Tracer};
use crate::heap::OutOfMemory;
use crate::object::{Ref, Side, Verdict};
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

/// No entry has been here.
pub(super) const EMPTY: usize = 0;
/// One has been.
pub(super) const REMOVED: usize = 1;

const FIRST_AT: usize = DESCRIPTOR_AT + 8;
const ENTRY_BYTES: usize = 16;

pub(super) const fn cell_bytes(capacity: usize) -> usize {
    FIRST_AT + capacity * ENTRY_BYTES
}

#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Entry {
    pub key: usize,
    pub value: Option<Ref>,
}

impl Entry {
    pub const EMPTY: Entry = Entry { key: EMPTY, value: None };

    /// The key, if there is an entry.
    #[inline]
    pub fn key(&self) -> Option<Ref> {
        // SAFETY: key-first.
        (self.key > REMOVED).then(|| unsafe { Ref::from_addr(self.key) })
    }
}

/// In the word of the capacity, above it: what a `WeakMap` knows of a cell.
#[derive(Clone, Copy)]
pub(super) struct Note {
    /// Entries that are not [`EMPTY`].
    pub used: usize,
    /// How many low bits the hashes of the keys have in common.
    pub bits: u32,
}

const CAPACITY_BITS: u32 = 29;
const USED_AT: u32 = CAPACITY_BITS;
const BITS_AT: u32 = 2 * CAPACITY_BITS;
const NUMBER: usize = (1 << CAPACITY_BITS) - 1;

/// # Safety
/// Here and below: a cell of entries, live or young.
#[inline(always)]
pub(super) unsafe fn capacity(cell: Ref) -> usize {
    // SAFETY: by the caller.
    unsafe { *word(cell, DESCRIPTOR_AT) & NUMBER }
}
/// # Safety
/// As above.
#[inline]
pub(super) unsafe fn note(cell: Ref) -> Note {
    // SAFETY: by the caller.
    let all = unsafe { *word(cell, DESCRIPTOR_AT) };
    Note { used: all >> USED_AT & NUMBER, bits: (all >> BITS_AT) as u32 }
}
/// # Safety
/// As above.
#[inline]
pub(super) unsafe fn set_note(cell: Ref, note: Note) {
    // SAFETY: by the caller.
    unsafe { *word(cell, DESCRIPTOR_AT) = capacity(cell) | note.used << USED_AT | (note.bits as usize) << BITS_AT };
}

/// A new cell of so many empty entries.
pub(super) fn new_cell(mc: &Mutation<'_>, capacity: usize) -> Result<Ref, OutOfMemory> {
    if capacity > NUMBER {
        return Err(OutOfMemory);
    }
    // SAFETY: a kind of the table; 16 bytes a slot.
    unsafe {
        let cell = mc.heap().alloc(ENTRIES, cell_bytes(capacity))?;
        *word(cell, DESCRIPTOR_AT) = capacity;
        for n in 0..capacity {
            entry(cell, n).write(Entry::EMPTY);
        }
        Ok(cell)
    }
}

/// # Safety
/// As above; it has so many.
#[inline(always)]
pub(super) unsafe fn entry(cell: Ref, n: usize) -> *mut Entry {
    // SAFETY: by the caller.
    unsafe { cell.as_ptr().add(FIRST_AT + n * ENTRY_BYTES).cast() }
}

/// Writes a whole entry, or removes it by [`REMOVED`]. It is the barrier, too.
///
/// # Safety
/// As above; key and value are live or young.
pub(super) unsafe fn write(mc: &Mutation<'_>, cell: Ref, n: usize, new: Entry) {
    if let Some(key) = new.key() {
        // SAFETY: by the caller.
        unsafe { mc.heap().weak_hold(key) };
    }
    mc.barrier_at(cell, n);
    // SAFETY: by the caller.
    unsafe { entry(cell, n).write(new) };
}

/// The value of an entry whose key is in the program's hands.
///
/// # Safety
/// As above.
#[inline]
pub(super) unsafe fn value(mc: &Mutation<'_>, cell: Ref, n: usize) -> Option<Ref> {
    // SAFETY: by the caller.
    unsafe {
        let value = (*entry(cell, n)).value?;
        mc.heap().ephemeron_value(value);
        Some(value)
    }
}

/// Key and value of an entry, if there is one, and its key lives.
///
/// # Safety
/// As above.
pub(super) unsafe fn load(mc: &Mutation<'_>, cell: Ref, n: usize) -> Option<(Ref, Ref)> {
    // SAFETY: by the caller; the key is asked about before it is used.
    unsafe {
        let key = (*entry(cell, n)).key()?;
        if !mc.heap().weak_key(key) {
            return None;
        }
        Some((key, value(mc, cell, n)?))
    }
}

// ---- the collector's side

/// # Safety
/// As above.
pub(super) unsafe fn trace_values(cell: Ref, range: Range<usize>, visit: &mut impl FnMut(Ref)) {
    for n in range {
        // SAFETY: by the caller.
        if let Some(value) = unsafe { (*entry(cell, n)).value } {
            visit(value);
        }
    }
}

/// # Safety
/// As above.
pub(super) unsafe fn trace_entries(cell: Ref, range: Range<usize>, visit: &mut impl FnMut(Option<Ref>, Option<Ref>)) {
    for n in range {
        // SAFETY: by the caller.
        let entry = unsafe { entry(cell, n).read() };
        if let Some(key) = entry.key() {
            visit(Some(key), entry.value);
        }
    }
}

/// # Safety
/// As above.
pub(super) unsafe fn clean_entries(
    cell: Ref,
    range: Range<usize>,
    verdict: &mut impl FnMut(Ref, Side) -> Verdict,
    log: &mut impl FnMut(usize),
) {
    for n in range {
        // SAFETY: by the caller.
        unsafe {
            let place = entry(cell, n);
            if (*place).key().is_some_and(|key| verdict(key, Side::Key) == Verdict::Clear) {
                log(n);
                place.write(Entry { key: REMOVED, value: None });
            }
        }
    }
}

// ---- one entry

/// A pair of objects of which the second lives while the first does: a property of an object that is not kept in it.
///
/// It keeps neither the key nor, once the key is gone, the value alive, and the value may refer to the key. One word, `Copy`. Many of them, found by key, are a
/// [`WeakMap`](super::WeakMap).
///
/// ```
/// use neap_gc::arena::{Arena, Ephemeron, Gc, Rootable, Trace};
///
/// #[derive(Trace, Rootable)]
/// struct Root<'gc> {
///     object: Option<Gc<'gc, String>>,
///     // The note refers to the object that it is about.
///     note: Ephemeron<'gc, String, (Gc<'gc, String>, u32)>,
/// }
///
/// let mut arena = Arena::<Root>::new(|mc| {
///     let object = mc.alloc("object".to_string());
///     Root { object: Some(object), note: Ephemeron::new(mc, object, mc.alloc((object, 5))) }
/// });
/// arena.collect_cycles();
/// assert_eq!(arena.mutate(|mc, root| root.note.get(mc).map(|(_, note)| note.1)), Some(5));
/// arena.mutate_root(|_, root| root.object = None);
/// arena.collect_cycles();
/// assert!(arena.mutate(|mc, root| root.note.get(mc).is_none()));
/// ```
#[repr(transparent)]
pub struct Ephemeron<'gc, K: ?Sized, V: ?Sized> {
    cell: Ref,
    brand: Brand<'gc>,
    of: PhantomData<(*const K, *const V)>,
}

impl<K: ?Sized, V: ?Sized> Clone for Ephemeron<'_, K, V> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}
impl<K: ?Sized, V: ?Sized> Copy for Ephemeron<'_, K, V> {}

impl<'gc, K: ?Sized, V: ?Sized> Ephemeron<'gc, K, V> {
    /// # Panics
    /// As [`Mutation::alloc`].
    pub fn new(mc: &Mutation<'gc>, key: Gc<'gc, K>, value: Gc<'gc, V>) -> Self {
        Ephemeron::try_new(mc, key, value).unwrap_or_else(|error| out_of_memory(error))
    }
    /// The same, with an error for a heap without memory.
    pub fn try_new(mc: &Mutation<'gc>, key: Gc<'gc, K>, value: Gc<'gc, V>) -> Result<Self, OutOfMemory> {
        let cell = new_cell(mc, 1)?;
        // SAFETY: the cell just made; branded.
        unsafe { write(mc, cell, 0, Entry { key: key.cell().addr(), value: Some(value.cell()) }) };
        Ok(Ephemeron { cell, brand: PhantomData, of: PhantomData })
    }

    /// Key and value, if the key lives.
    pub fn get(self, mc: &Mutation<'gc>) -> Option<(Gc<'gc, K>, Gc<'gc, V>)> {
        // SAFETY: a cell of one entry, whose types these are; what the heap says is alive.
        unsafe { load(mc, self.cell, 0).map(|(key, value)| (Gc::from_cell(key), Gc::from_cell(value))) }
    }
}

// SAFETY: the reference to the cell is shown.
unsafe impl<'gc, K: ?Sized + 'gc, V: ?Sized + 'gc> Trace<'gc> for Ephemeron<'gc, K, V> {
    const MAP: Map = Map::REFERENCE;
    #[inline]
    fn trace(&self, tracer: &mut Tracer<'_>) {
        tracer.cell(self.cell);
    }
}
impl<K: Rootable, V: Rootable> Rootable for Ephemeron<'_, K, V> {
    type Root<'gc> = Ephemeron<'gc, K::Root<'gc>, V::Root<'gc>>;
}

impl<K: ?Sized, V: ?Sized> fmt::Debug for Ephemeron<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(Ephemeron)")
    }
}
