//! [`WeakMap`]: values of objects, for as long as these live.
//!
//! A part is a cell of weak-keyed entries (`entries`), of 8 to 256; a key stands in the first free entry from the place on that the high bits of its hash name. The
//! low bits have led to the part (`directory`). The word of the cell that says how many entries it has also says how many of them have been used, and how many bits
//! their hashes have in common.
//!
//! Invariants:
//! * **room-to-end** A part has empty entries: an unsuccessful search ends there. (What the collector removes leaves a removed entry.)
//! * **copied-if-kept** An entry is copied to a new part only if the collector has not given up its key.
//!
//! Imports `directory`, `entries`, `gc`, `map`, `mutation`, `trace`, `write`.

use super::directory::{Directory, Part, hash};
use super::entries::{self, EMPTY, Entry, REMOVED};
use super::gc::{Brand, Gc};
use super::map::Map;
use super::mutation::{Mutation, out_of_memory};
use super::trace::{Rootable, Trace, Tracer};
use super::write::Write;
use crate::heap::OutOfMemory;
use crate::object::{Ref, Side};
use std::fmt;
use std::marker::PhantomData;

const ENTRIES_MIN: usize = 8;
const ENTRIES_MAX: usize = 256;

/// A table whose keys are objects, each held weakly: an entry lives while its key does, whatever its value refers to, the key itself above all.
///
/// It is what gives objects properties from outside, and with a value that says nothing a set of those that are alive. One word, `Copy`; a copy is the same table.
/// It grows as a [`GcHashMap`](super::GcHashMap) does, by parts of 256 entries at most; the entries of dead keys are emptied by the collector, part by part.
///
/// ```
/// use neap_gc::arena::{Arena, Gc, Rootable, Trace, WeakMap};
///
/// #[derive(Trace, Rootable)]
/// struct Root<'gc> {
///     objects: Vec<Gc<'gc, u64>>,
///     names: WeakMap<'gc, u64, str>,
/// }
///
/// let mut arena = Arena::<Root>::new(|mc| Root { objects: vec![], names: WeakMap::new(mc) });
/// arena.mutate_root(|mc, root| {
///     for n in 0..100 {
///         let object = mc.alloc(n);
///         root.names.insert(mc, object, mc.alloc_str(&format!("object {n}")));
///         root.objects.push(object);
///     }
///     assert_eq!(root.names.get(mc, root.objects[7]).as_deref(), Some("object 7"));
///     root.objects.truncate(10);
/// });
/// arena.collect_cycles();
/// assert_eq!(arena.mutate(|mc, root| root.names.iter(mc).count()), 10);
/// ```
pub struct WeakMap<'gc, K: ?Sized, V: ?Sized> {
    head: Gc<'gc, Directory<'gc, PartOf<'gc>>>,
    of: PhantomData<Of<K, V>>,
}

/// Both are read and written: none may be taken for a type with other lifetimes.
type Of<K, V> = std::cell::Cell<(*const K, *const V)>;

impl<K: ?Sized, V: ?Sized> Clone for WeakMap<'_, K, V> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K: ?Sized, V: ?Sized> Copy for WeakMap<'_, K, V> {}

/// A cell of entries.
#[derive(Clone, Copy)]
struct PartOf<'gc> {
    cell: Ref,
    brand: Brand<'gc>,
}

// SAFETY: the reference to the cell is shown.
unsafe impl<'gc> Trace<'gc> for PartOf<'gc> {
    const MAP: Map = Map::REFERENCE;
    #[inline]
    fn trace(&self, tracer: &mut Tracer<'_>) {
        tracer.cell(self.cell);
    }
}

impl<'gc> Part<'gc> for PartOf<'gc> {
    const FIRST: usize = ENTRIES_MIN;
    const LARGE: usize = ENTRIES_MAX;

    fn new(mc: &Mutation<'gc>, capacity: usize, bits: u32) -> Result<Self, OutOfMemory> {
        let cell = entries::new_cell(mc, capacity)?;
        // SAFETY: a cell of entries; so in all functions here.
        unsafe { entries::set_note(cell, entries::Note { used: 0, bits }) };
        Ok(PartOf { cell, brand: PhantomData })
    }
    fn capacity(self) -> usize {
        // SAFETY: as above.
        unsafe { entries::capacity(self.cell) }
    }
    fn common_bits(self) -> u32 {
        // SAFETY: as above.
        unsafe { entries::note(self.cell) }.bits
    }
    fn hashes(self, mc: &Mutation<'gc>) -> impl Iterator<Item = u32> {
        self.kept(mc).map(|(key, _)| hash_of(key))
    }
    fn spread(self, mc: &Mutation<'gc>, to: impl Fn(u32) -> Self) {
        self.kept(mc).for_each(|(key, value)| to(hash_of(key)).copy(mc, key, value));
    }
}

/// What a search has found.
enum Found {
    There(usize),
    /// An entry where it may be put, and whether that was empty.
    Free(usize, bool),
}

fn hash_of(key: Ref) -> u32 {
    hash(&key.addr())
}

impl<'gc> PartOf<'gc> {
    fn used(self) -> usize {
        // SAFETY: as above.
        unsafe { entries::note(self.cell).used }
    }
    fn set_used(self, used: usize) {
        // SAFETY: as above.
        unsafe { entries::set_note(self.cell, entries::Note { used, ..entries::note(self.cell) }) };
    }
    fn entry(self, n: usize) -> Entry {
        // SAFETY: as above; callers stay within the capacity.
        unsafe { entries::entry(self.cell, n).read() }
    }
    fn home(self, hash: u32) -> usize {
        ((u64::from(hash) * self.capacity() as u64) >> 32) as usize
    }

    fn find(self, key: Ref) -> Found {
        let (capacity, mut at, mut free) = (self.capacity(), self.home(hash_of(key)), None);
        loop {
            match self.entry(at).key {
                EMPTY => {
                    return match free {
                        Some(removed) => Found::Free(removed, false),
                        None => Found::Free(at, true),
                    };
                }
                REMOVED if free.is_none() => free = Some(at),
                other if other == key.addr() => return Found::There(at),
                _ => {}
            }
            at = if at + 1 == capacity { 0 } else { at + 1 };
        }
    }

    /// Writes an entry.
    fn write(self, mc: &Mutation<'gc>, n: usize, key: Ref, value: Ref, empty: bool) {
        // SAFETY: as above; key and value are in the program's hands, or in the old part.
        unsafe { entries::write(mc, self.cell, n, Entry { key: key.addr(), value: Some(value) }) };
        if empty {
            self.set_used(self.used() + 1);
        }
    }

    /// copied-if-kept
    fn kept(self, mc: &Mutation<'gc>) -> impl Iterator<Item = (Ref, Ref)> {
        (0..self.capacity()).filter_map(move |n| {
            let entry = self.entry(n);
            let key = entry.key()?;
            // SAFETY: the heap knows the key to be held weakly.
            let kept = unsafe { mc.heap().copy_keeps(key, Side::Key) };
            kept.then_some(()).and(entry.value).map(|value| (key, value))
        })
    }
    fn copy(self, mc: &Mutation<'gc>, key: Ref, value: Ref) {
        if let Found::Free(n, empty) = self.find(key) {
            self.write(mc, n, key, value, empty);
        }
    }
}

// SAFETY: the reference to the head is shown.
unsafe impl<'gc, K: ?Sized + 'gc, V: ?Sized + 'gc> Trace<'gc> for WeakMap<'gc, K, V> {
    const MAP: Map = Map::REFERENCE;
    #[inline]
    fn trace(&self, tracer: &mut Tracer<'_>) {
        self.head.trace(tracer);
    }
}
impl<K: Rootable, V: Rootable> Rootable for WeakMap<'_, K, V> {
    type Root<'gc> = WeakMap<'gc, K::Root<'gc>, V::Root<'gc>>;
}

impl<'gc, K: ?Sized, V: ?Sized> WeakMap<'gc, K, V> {
    /// An empty table: a cell of 16 bytes.
    ///
    /// # Panics
    /// As [`Mutation::alloc`].
    pub fn new(mc: &Mutation<'gc>) -> Self {
        Self::try_new(mc).unwrap_or_else(|error| out_of_memory(error))
    }
    /// The same, with an error for a heap without memory.
    pub fn try_new(mc: &Mutation<'gc>) -> Result<Self, OutOfMemory> {
        Ok(WeakMap { head: mc.try_alloc(Directory::new())?, of: PhantomData })
    }
    /// Whether both are the same table.
    pub fn ptr_eq(self, other: Self) -> bool {
        self.head == other.head
    }
    fn parts(self, mc: &Mutation<'gc>) -> &'gc Write<Directory<'gc, PartOf<'gc>>> {
        Gc::write(self.head, mc)
    }

    /// The value of an object.
    #[inline]
    pub fn get(self, mc: &Mutation<'gc>, key: Gc<'gc, K>) -> Option<Gc<'gc, V>> {
        let part = self.head.part(hash_of(key.cell()))?;
        match part.find(key.cell()) {
            // SAFETY: a cell of entries with this one, whose key is in the program's hands; its value is one of this table.
            Found::There(n) => unsafe { entries::value(mc, part.cell, n).map(|value| Gc::from_cell(value)) },
            Found::Free(..) => None,
        }
    }
    pub fn contains_key(self, mc: &Mutation<'gc>, key: Gc<'gc, K>) -> bool {
        self.get(mc, key).is_some()
    }

    /// Gives an object a value; what it had before.
    ///
    /// # Panics
    /// As [`Mutation::alloc`].
    pub fn insert(self, mc: &Mutation<'gc>, key: Gc<'gc, K>, value: Gc<'gc, V>) -> Option<Gc<'gc, V>> {
        self.try_insert(mc, key, value).unwrap_or_else(|error| out_of_memory(error))
    }
    /// The same, with an error for a heap without memory; then the table is as it was.
    pub fn try_insert(self, mc: &Mutation<'gc>, key: Gc<'gc, K>, value: Gc<'gc, V>) -> Result<Option<Gc<'gc, V>>, OutOfMemory> {
        let hash = hash_of(key.cell());
        loop {
            if let Some(part) = self.head.part(hash) {
                match part.find(key.cell()) {
                    Found::There(n) => {
                        // SAFETY: as in `get`.
                        let old = unsafe { entries::value(mc, part.cell, n).map(|value| Gc::from_cell(value)) };
                        part.write(mc, n, key.cell(), value.cell(), false);
                        return Ok(old);
                    }
                    Found::Free(n, empty) if !empty || (part.used() + 1) * 8 <= part.capacity() * 7 => {
                        part.write(mc, n, key.cell(), value.cell(), empty);
                        return Ok(None);
                    }
                    Found::Free(..) => {}
                }
            }
            Directory::make_room(self.parts(mc), mc, hash)?;
        }
    }

    /// Takes the value of an object away.
    pub fn remove(self, mc: &Mutation<'gc>, key: Gc<'gc, K>) -> Option<Gc<'gc, V>> {
        let part = self.head.part(hash_of(key.cell()))?;
        let Found::There(n) = part.find(key.cell()) else { return None };
        // SAFETY: as in `get`.
        unsafe {
            let old = entries::value(mc, part.cell, n).map(|value| Gc::from_cell(value));
            entries::write(mc, part.cell, n, Entry { key: REMOVED, value: None });
            old
        }
    }

    /// Makes it as it was when it was new.
    pub fn clear(self, mc: &Mutation<'gc>) {
        Directory::clear(self.parts(mc));
    }

    /// The entries whose keys live, in an order that means nothing, as those of [`GcHashMap::iter`](super::GcHashMap::iter).
    pub fn iter<'a>(self, mc: &'a Mutation<'gc>) -> impl Iterator<Item = (Gc<'gc, K>, Gc<'gc, V>)> + 'a
    where
        'gc: 'a,
        K: 'a,
        V: 'a,
    {
        (0..).take_while(move |&n| n < self.head.len()).filter_map(move |n| self.head.nth(n)).flat_map(move |part| {
            (0..part.capacity()).filter_map(move |n| {
                // SAFETY: a cell of entries; what the heap says is alive, and the types are those of this table.
                unsafe { entries::load(mc, part.cell, n).map(|(key, value)| (Gc::from_cell(key), Gc::from_cell(value))) }
            })
        })
    }
}

impl<K: ?Sized, V: ?Sized> fmt::Debug for WeakMap<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(WeakMap)")
    }
}
