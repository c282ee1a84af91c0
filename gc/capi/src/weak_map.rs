//! Weak maps: tables by identity whose entries live while their keys do (ephemerons, R18).
//!
//! A map is an object with one reference, to its entries: an open-addressing table with linear probing, keys and values side by side. Objects don't move, so
//! an address is its own hash. The collector takes entries out whose keys are gone, and leaves [`REMOVED`] in the place of the key.
//!
//! Invariants:
//! * **a-free-place-is-left** A table has an empty place, so that every search ends: places in use, removed ones among them, are three quarters at most.
//! * **keys-are-held-weakly** The heap is told of a key before it is written (O4), and the barrier comes before a value is (O2).
//!
//! Imports `error`, `heap`, `types` (numbers), `words`.

use crate::error::{Error, answer};
use crate::heap::{NeapHeap, Parts, enter};
use crate::runtime::Types;
use crate::types::{WEAK_ENTRIES, WEAK_MAP};
use crate::words::{address, reference};
use neap_gc::{Header, Heap, Ref, Side};
use std::ffi::c_void;
use std::ptr::{null_mut, without_provenance_mut};

type Word = *mut c_void;

#[repr(C)]
struct Map {
    header: Header,
    entries: Ref,
}

#[repr(C)]
struct Entries {
    header: Header,
    /// Places: a power of two, or 0 once the table has been replaced.
    length: usize,
    /// Places that are not empty.
    used: usize,
}

pub const MAP_BYTES: usize = size_of::<Map>();
/// Where the entries begin.
pub const ENTRIES_AT: usize = size_of::<Entries>();

/// The key of an entry that was taken out. No reference, and not empty.
pub const REMOVED: Word = without_provenance_mut(1);

const LEAST: usize = 8;

struct Table {
    cell: Ref,
}

/// Where a key is, or belongs.
enum Place {
    Found(usize),
    Free { at: usize, empty: bool },
}

impl Table {
    /// # Safety
    /// Here and below: cells are live or young, initialised, and of the types that they are said to be.
    unsafe fn of(map: Ref) -> Table {
        // SAFETY: by the caller.
        Table { cell: unsafe { (*map.as_ptr().cast::<Map>()).entries } }
    }
    unsafe fn head(&self) -> *mut Entries {
        self.cell.as_ptr().cast()
    }
    unsafe fn length(&self) -> usize {
        // SAFETY: by the caller.
        unsafe { (*self.head()).length }
    }
    unsafe fn key(&self, at: usize) -> *mut Word {
        // SAFETY: by the caller: the table has that place.
        unsafe { self.cell.as_ptr().add(ENTRIES_AT).cast::<Word>().add(2 * at) }
    }
    unsafe fn value(&self, at: usize) -> *mut Word {
        // SAFETY: as above.
        unsafe { self.key(at).add(1) }
    }

    unsafe fn find(&self, key: Word) -> Place {
        // SAFETY: by the caller; a-free-place-is-left.
        unsafe {
            let mask = self.length() - 1;
            // Cells are apart by multiples of 16.
            let hash = (key.addr() as u64 >> 4).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mut at = (hash >> 32) as usize & mask;
            let mut removed = None;
            loop {
                let there = *self.key(at);
                if there == key {
                    return Place::Found(at);
                }
                if there.is_null() {
                    return removed.map_or(Place::Free { at, empty: true }, |at| Place::Free { at, empty: false });
                }
                if there == REMOVED && removed.is_none() {
                    removed = Some(at);
                }
                at = (at + 1) & mask;
            }
        }
    }

    unsafe fn new(heap: &Heap<Types>, length: usize) -> Result<Table, Error> {
        // SAFETY: all of the cell is written.
        unsafe {
            let bytes = length * 2 * size_of::<Word>();
            let cell = heap.alloc(WEAK_ENTRIES, ENTRIES_AT + bytes).map_err(|_| Error::OutOfMemory)?;
            let table = Table { cell };
            (&raw mut (*table.head()).length).write(length);
            (&raw mut (*table.head()).used).write(0);
            table.key(0).cast::<u8>().write_bytes(0, bytes);
            Ok(table)
        }
    }

    /// Takes an entry out.
    unsafe fn remove(&self, heap: &Heap<Types>, at: usize) {
        // SAFETY: by the caller; keys-are-held-weakly.
        unsafe {
            heap.barrier(self.cell, at);
            self.key(at).write(REMOVED);
            self.value(at).write(null_mut());
        }
    }

    /// Another table with the entries whose keys are not gone, and room for more, which takes over the counts of this one (R28).
    unsafe fn replace(&self, heap: &mut Heap<Types>, map: Ref) -> Result<(), Error> {
        // SAFETY: by the caller; what is written to the new table is what stood in the old one, whose keys are held weakly already.
        unsafe {
            let length = self.length();
            let is_kept = |at: usize| reference(*self.key(at)).is_some_and(|key| heap.copy_keeps(key, Side::Key));
            let kept = (0..length).filter(|&at| is_kept(at)).count();
            let new = Table::new(heap, (2 * kept + 2).next_power_of_two().max(LEAST))?;
            for at in 0..length {
                let key = *self.key(at);
                if is_kept(at) {
                    if let Place::Free { at: to, .. } = new.find(key) {
                        new.key(to).write(key);
                        new.value(to).write(*self.value(at));
                    }
                } else if reference(key).is_some() {
                    self.remove(heap, at);
                }
            }
            (*new.head()).used = kept;
            heap.barrier(map, 0);
            heap.replace_storage(&[self.cell], &[new.cell]);
            (&raw mut (*map.as_ptr().cast::<Map>()).entries).write(new.cell);
            Ok(())
        }
    }
}

/// The way in with a map.
///
/// # Safety
/// F1, F2; as for [`enter`].
unsafe fn enter_with<'a>(heap: *mut NeapHeap, map: Word) -> Result<(&'a mut Parts, Ref), Error> {
    // SAFETY: by the caller.
    unsafe {
        let (_, parts) = enter(heap)?;
        let map = reference(map).ok_or(Error::Invalid)?;
        if map.kind() == WEAK_MAP { Ok((parts, map)) } else { Err(Error::Type) }
    }
}

unsafe fn new_map(heap: *mut NeapHeap) -> Result<Word, Error> {
    // SAFETY: by the caller; all of the cell is written.
    unsafe {
        let (_, parts) = enter(heap)?;
        let table = Table::new(&parts.heap, LEAST)?;
        let map = parts.heap.alloc(WEAK_MAP, MAP_BYTES).map_err(|_| Error::OutOfMemory)?;
        (&raw mut (*map.as_ptr().cast::<Map>()).entries).write(table.cell);
        Ok(address(map))
    }
}

/// `neap_weak_map_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn neap_weak_map_new(heap: *mut NeapHeap) -> Word {
    // SAFETY: F1.
    unsafe { if heap.is_null() { null_mut() } else { (*heap).or_null(new_map(heap)) } }
}

unsafe fn set(heap: *mut NeapHeap, map: Word, key: Word, value: Word) -> Result<(), Error> {
    // SAFETY: by the caller; keys-are-held-weakly.
    unsafe {
        let (Parts { heap, .. }, map) = enter_with(heap, map)?;
        let weak_key = reference(key).ok_or(Error::Invalid)?;
        let mut table = Table::of(map);
        if let Place::Free { empty: true, .. } = table.find(key)
            && ((*table.head()).used + 1) * 4 > table.length() * 3
        {
            table.replace(heap, map)?;
            table = Table::of(map);
        }
        match table.find(key) {
            Place::Found(at) => {
                heap.barrier(table.cell, at);
                table.value(at).write(value);
            }
            Place::Free { at, empty } => {
                heap.weak_hold(weak_key);
                heap.barrier(table.cell, at);
                table.key(at).write(key);
                table.value(at).write(value);
                (*table.head()).used += usize::from(empty);
            }
        }
        Ok(())
    }
}

/// `neap_weak_map_set`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn neap_weak_map_set(heap: *mut NeapHeap, map: Word, key: Word, value: Word) -> Error {
    // SAFETY: F1, F2.
    answer(unsafe { set(heap, map, key, value) })
}

unsafe fn get(heap: *mut NeapHeap, map: Word, key: Word) -> Result<Word, Error> {
    // SAFETY: by the caller.
    unsafe {
        let (parts, map) = enter_with(heap, map)?;
        reference(key).ok_or(Error::Invalid)?;
        let table = Table::of(map);
        let Place::Found(at) = table.find(key) else { return Err(Error::NotFound) };
        Ok(read(&parts.heap, &table, at))
    }
}

/// Reads the value of an entry (R14).
unsafe fn read(heap: &Heap<Types>, table: &Table, at: usize) -> Word {
    // SAFETY: by the caller.
    unsafe {
        let value = *table.value(at);
        if let Some(value) = reference(value) {
            heap.ephemeron_value(value);
        }
        value
    }
}

/// `neap_weak_map_get`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn neap_weak_map_get(heap: *mut NeapHeap, map: Word, key: Word, value: *mut Word) -> Error {
    if value.is_null() {
        return Error::Invalid;
    }
    // SAFETY: F1, F2, F3.
    unsafe {
        value.write(null_mut());
        answer(get(heap, map, key).map(|found| value.write(found)))
    }
}

/// `neap_weak_map_remove`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn neap_weak_map_remove(heap: *mut NeapHeap, map: Word, key: Word) -> Error {
    // SAFETY: F1, F2.
    unsafe {
        answer(enter_with(heap, map).and_then(|(parts, map)| {
            reference(key).ok_or(Error::Invalid)?;
            let table = Table::of(map);
            let Place::Found(at) = table.find(key) else { return Err(Error::NotFound) };
            table.remove(&parts.heap, at);
            Ok(())
        }))
    }
}

unsafe fn next(heap: *mut NeapHeap, map: Word, cursor: &mut usize) -> Result<(Word, Word), Error> {
    // SAFETY: by the caller.
    unsafe {
        let (parts, map) = enter_with(heap, map)?;
        let table = Table::of(map);
        for at in *cursor..table.length() {
            let key = *table.key(at);
            if reference(key).is_some_and(|key| parts.heap.weak_key(key)) {
                *cursor = at + 1;
                return Ok((key, read(&parts.heap, &table, at)));
            }
        }
        *cursor = (*cursor).max(table.length());
        Err(Error::NotFound)
    }
}

/// `neap_weak_map_next`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn neap_weak_map_next(
    heap: *mut NeapHeap,
    map: Word,
    cursor: *mut usize,
    key: *mut Word,
    value: *mut Word,
) -> Error {
    if cursor.is_null() || key.is_null() || value.is_null() {
        return Error::Invalid;
    }
    // SAFETY: F1, F2, F3.
    unsafe {
        let entry = next(heap, map, &mut *cursor);
        let (found_key, found_value) = *entry.as_ref().unwrap_or(&(null_mut(), null_mut()));
        key.write(found_key);
        value.write(found_value);
        answer(entry.map(drop))
    }
}
