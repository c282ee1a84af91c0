//! [`GcHashMap`]: a hash table on the heap.
//!
//! A part is a storage of 8 to 256 slots, of which the first counts the others; a key stands in the first free slot from the place on that the high bits of its hash
//! name. The low bits have led to the part (`directory`).
//!
//! Invariants:
//! * **head-first** The first slot of a part is its head, and no other is.
//! * **room-to-end** A part has empty slots: an unsuccessful search ends there.
//!
//! Imports `directory`, `gc`, `mutation`, `storage`, `trace`, `write`.

use super::directory::{Directory, Part, hash};
use super::gc::Gc;
use super::mutation::{Mutation, out_of_memory};
use super::storage::Storage;
use super::trace::{Rootable, Trace};
use super::write::{Write, field};
use crate::heap::OutOfMemory;
use std::cell::Cell;
use std::fmt;
use std::hash::Hash;

/// Slots of a part: the first one that a map gets, and the largest that is not split.
const SLOTS_MIN: usize = 8;
const SLOTS_MAX: usize = 256;
/// A part stands in a block.
const PART_BYTES_MAX: usize = 7 << 10;

/// A hash table whose entries stand on the heap of the arena, so that they count in its bytes and against its limit, and die with it.
///
/// It is a reference to the table: one word, `Copy`; a copy is the same table. Keys and values are `Copy`, and may hold [`Gc`]s. A `Gc` as a key is the object
/// itself, whatever is in it: for strings by their text, wrap the `Gc` in a type whose `Hash` and `Eq` say so.
///
/// **Growth** No operation moves more than 256 entries, however large the table: it is made of parts, and a part that is full is replaced by two. Only the directory
/// of the parts is copied when it doubles (8 bytes for some 150 entries; above 8 KiB that is done where it stands). Removing gives no memory back before the part is
/// made anew; [`GcHashMap::clear`] gives back all. A write to a part of 512 bytes or more is recorded slot by slot.
///
/// ```
/// use neap_gc::arena::{Arena, Gc, GcHashMap};
/// use std::hash::{Hash, Hasher};
///
/// /// A key that goes by its text.
/// #[derive(Clone, Copy, neap_gc::arena::Trace, neap_gc::arena::Rootable)]
/// struct Word<'gc>(Gc<'gc, str>);
/// impl PartialEq for Word<'_> {
///     fn eq(&self, other: &Self) -> bool {
///         *self.0 == *other.0
///     }
/// }
/// impl Eq for Word<'_> {}
/// impl Hash for Word<'_> {
///     fn hash<H: Hasher>(&self, state: &mut H) {
///         (*self.0).hash(state);
///     }
/// }
///
/// let mut arena = Arena::<GcHashMap<Word, u32>>::new(|mc| GcHashMap::new(mc));
/// for word in "the more it ebbs the more it flows".split(' ') {
///     arena.mutate(|mc, counts| {
///         let word = Word(mc.alloc_str(word));
///         counts.insert(mc, word, counts.get(&word).unwrap_or(0) + 1);
///     });
/// }
/// arena.mutate(|mc, counts| {
///     assert_eq!(counts.get(&Word(mc.alloc_str("more"))), Some(2));
///     assert_eq!((counts.len(), counts.iter().map(|(_, count)| count).sum::<u32>()), (5, 8));
/// });
/// ```
#[derive(Trace)]
#[trace(bound = "K: 'gc, V: 'gc")]
#[repr(transparent)]
pub struct GcHashMap<'gc, K, V> {
    head: Gc<'gc, Head<'gc, K, V>>,
}

#[derive(Trace)]
#[trace(bound = "K: 'gc, V: 'gc")]
struct Head<'gc, K, V> {
    parts: Directory<'gc, PartOf<'gc, K, V>>,
    len: Cell<usize>,
}

/// A part.
#[derive(Trace)]
#[trace(bound = "K: 'gc, V: 'gc")]
struct PartOf<'gc, K, V>(Storage<'gc, Slot<K, V>>);
impl<K, V> Clone for PartOf<'_, K, V> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K, V> Copy for PartOf<'_, K, V> {}
#[derive(Clone, Copy, Trace)]
enum Slot<K, V> {
    Empty,
    Removed,
    Full {
        hash: u32,
        key: K,
        value: V,
    },
    /// head-first
    Counts(#[trace(static)] Counts),
}

#[derive(Clone, Copy)]
struct Counts {
    /// See [`Part::common_bits`].
    bits: u8,
    live: u32,
    /// Slots that are not empty, the head aside.
    used: u32,
}

impl<'gc, K: Copy + Trace<'gc>, V: Copy + Trace<'gc>> Part<'gc> for PartOf<'gc, K, V> {
    const FIRST: usize = SLOTS_MIN;
    const LARGE: usize = {
        let fit = (PART_BYTES_MAX / size_of::<Slot<K, V>>()).next_power_of_two() / 2;
        if fit > SLOTS_MAX {
            SLOTS_MAX
        } else if fit < 2 * SLOTS_MIN {
            2 * SLOTS_MIN
        } else {
            fit
        }
    };

    fn new(mc: &Mutation<'gc>, slots: usize, bits: u32) -> Result<Self, OutOfMemory> {
        let storage = Storage::filled(mc, slots, Slot::Empty)?;
        let part = PartOf(storage);
        part.set_counts(Counts { bits: bits as u8, live: 0, used: 0 });
        Ok(part)
    }
    fn capacity(self) -> usize {
        self.0.len()
    }
    fn common_bits(self) -> u32 {
        u32::from(self.counts().bits)
    }
    fn hashes(self, _: &Mutation<'gc>) -> impl Iterator<Item = u32> {
        self.entries().map(|(hash, ..)| hash)
    }
    fn spread(self, mc: &Mutation<'gc>, to: impl Fn(u32) -> Self) {
        self.entries().for_each(|(hash, key, value)| to(hash).put(mc, hash, key, value));
    }
}

/// What a search has found.
enum Found {
    /// The key's slot.
    There(usize),
    /// A slot where it may be put, and whether that was empty.
    Free(usize, bool),
}

impl<'gc, K: Copy + Trace<'gc>, V: Copy + Trace<'gc>> PartOf<'gc, K, V> {
    #[inline]
    fn counts(self) -> Counts {
        match self.0.get(0) {
            Slot::Counts(counts) => counts,
            _ => unreachable!("head-first"),
        }
    }
    #[inline]
    fn set_counts(self, counts: Counts) {
        self.0.set_plain(0, Slot::Counts(counts));
    }
    /// The slots behind the head, of which there are one less than a power of two.
    #[inline]
    fn places(self) -> usize {
        self.0.len() - 1
    }

    /// Where a search for a hash begins.
    #[inline]
    fn home(self, hash: u32) -> usize {
        ((u64::from(hash) * self.places() as u64) >> 32) as usize
    }

    #[inline]
    fn find(self, hash: u32, key: &K) -> Found
    where
        K: Eq,
    {
        let (places, mut at, mut free) = (self.places(), self.home(hash), None);
        loop {
            match self.0.get(1 + at) {
                Slot::Empty => {
                    return match free {
                        Some(removed) => Found::Free(removed, false),
                        None => Found::Free(1 + at, true),
                    };
                }
                Slot::Full { hash: own, key: other, .. } if own == hash && other == *key => return Found::There(1 + at),
                Slot::Removed if free.is_none() => free = Some(1 + at),
                _ => {}
            }
            at = if at + 1 == places { 0 } else { at + 1 };
        }
    }

    /// Puts in an entry whose key is not there.
    fn put(self, mc: &Mutation<'gc>, hash: u32, key: K, value: V) {
        let (places, mut at) = (self.places(), self.home(hash));
        while !matches!(self.0.get(1 + at), Slot::Empty) {
            at = if at + 1 == places { 0 } else { at + 1 };
        }
        self.0.set(mc, 1 + at, Slot::Full { hash, key, value });
        let counts = self.counts();
        self.set_counts(Counts { live: counts.live + 1, used: counts.used + 1, ..counts });
    }

    fn entries(self) -> impl Iterator<Item = (u32, K, V)> {
        (1..self.0.len()).filter_map(move |n| match self.0.get(n) {
            Slot::Full { hash, key, value } => Some((hash, key, value)),
            _ => None,
        })
    }

    /// Whether one more slot can be used: room-to-end.
    fn has_room(self) -> bool {
        (self.counts().used as usize + 1) * 8 <= self.places() * 7
    }
}

impl<K, V> Clone for GcHashMap<'_, K, V> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K, V> Copy for GcHashMap<'_, K, V> {}

impl<K: Rootable, V: Rootable> Rootable for GcHashMap<'_, K, V> {
    type Root<'gc> = GcHashMap<'gc, K::Root<'gc>, V::Root<'gc>>;
}

impl<'gc, K: Copy + Eq + Hash + Trace<'gc>, V: Copy + Trace<'gc>> GcHashMap<'gc, K, V> {
    /// An empty table: a cell of 32 bytes.
    ///
    /// # Panics
    /// As [`Mutation::alloc`].
    pub fn new(mc: &Mutation<'gc>) -> Self {
        Self::try_new(mc).unwrap_or_else(|error| out_of_memory(error))
    }
    /// The same, with an error for a heap without memory.
    pub fn try_new(mc: &Mutation<'gc>) -> Result<Self, OutOfMemory> {
        Ok(GcHashMap { head: mc.try_alloc(Head { parts: Directory::new(), len: Cell::new(0) })? })
    }

    fn parts(self, mc: &Mutation<'gc>) -> &'gc Write<Directory<'gc, PartOf<'gc, K, V>>> {
        field!(Gc::write(self.head, mc), Head, parts)
    }

    pub fn len(self) -> usize {
        self.head.len.get()
    }
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
    /// Whether both are the same table.
    pub fn ptr_eq(self, other: Self) -> bool {
        self.head == other.head
    }

    /// The value of a key.
    #[inline]
    pub fn get(self, key: &K) -> Option<V> {
        let hash = hash(key);
        let part = self.head.parts.part(hash)?;
        match part.find(hash, key) {
            Found::There(n) => match part.0.get(n) {
                Slot::Full { value, .. } => Some(value),
                _ => unreachable!("found full"),
            },
            Found::Free(..) => None,
        }
    }
    pub fn contains_key(self, key: &K) -> bool {
        self.get(key).is_some()
    }

    /// Gives a key a value; what it had before. (The key that is there stays, if an equal one is.)
    ///
    /// # Panics
    /// As [`Mutation::alloc`].
    #[inline]
    pub fn insert(self, mc: &Mutation<'gc>, key: K, value: V) -> Option<V> {
        self.try_insert(mc, key, value).unwrap_or_else(|error| out_of_memory(error))
    }

    /// The same, with an error for a heap without memory; then the table is as it was.
    pub fn try_insert(self, mc: &Mutation<'gc>, key: K, value: V) -> Result<Option<V>, OutOfMemory> {
        let hash = hash(&key);
        loop {
            if let Some(part) = self.head.parts.part(hash) {
                match part.find(hash, &key) {
                    Found::There(n) => {
                        let Slot::Full { key, value: old, .. } = part.0.get(n) else { unreachable!("found full") };
                        part.0.set(mc, n, Slot::Full { hash, key, value });
                        return Ok(Some(old));
                    }
                    Found::Free(n, empty) if !empty || part.has_room() => {
                        part.0.set(mc, n, Slot::Full { hash, key, value });
                        let counts = part.counts();
                        part.set_counts(Counts { live: counts.live + 1, used: counts.used + u32::from(empty), ..counts });
                        self.head.len.set(self.len() + 1);
                        return Ok(None);
                    }
                    Found::Free(..) => {}
                }
            }
            Directory::make_room(self.parts(mc), mc, hash)?;
        }
    }

    /// Takes an entry out; its value.
    pub fn remove(self, mc: &Mutation<'gc>, key: &K) -> Option<V> {
        let hash = hash(key);
        let part = self.head.parts.part(hash)?;
        let Found::There(n) = part.find(hash, key) else { return None };
        let Slot::Full { value, .. } = part.0.get(n) else { unreachable!("found full") };
        part.0.set(mc, n, Slot::Removed);
        let counts = part.counts();
        part.set_counts(Counts { live: counts.live - 1, ..counts });
        self.head.len.set(self.len() - 1);
        Some(value)
    }

    /// Makes it as it was when it was new: constant time, the collector takes the parts apart in slices.
    pub fn clear(self, mc: &Mutation<'gc>) {
        Directory::clear(self.parts(mc));
        self.head.len.set(0);
    }

    /// The entries, in an order that means nothing. An entry that is put in or taken out meanwhile may or may not be seen; if many are put in, one that was there
    /// may be missed or seen twice.
    pub fn iter(self) -> impl Iterator<Item = (K, V)> + 'gc {
        (0..)
            .take_while(move |&n| n < self.head.parts.len())
            .filter_map(move |n| self.head.parts.nth(n))
            .flat_map(|part| part.entries().map(|(_, key, value)| (key, value)))
    }
}

impl<'gc, K: Copy + Eq + Hash + Trace<'gc> + fmt::Debug, V: Copy + Trace<'gc> + fmt::Debug> fmt::Debug for GcHashMap<'gc, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
