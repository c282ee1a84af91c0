//! Directories: how the maps on the heap are made of parts, so that no operation moves more than one part holds.
//!
//! Extendible hashing (Fagin, Nievergelt, Pippenger, Strong 1979): the low bits of a hash choose an entry of the directory, and that leads to a part. A part knows
//! how many of those bits its keys have in common; if the directory goes by more, several of its entries lead to the part. A part that is full is replaced by two,
//! of which each has one more bit in common. Only the directory itself is ever copied whole, when it doubles: a word for each part of up to 256 entries.
//!
//! Invariants:
//! * **power-of-two** The directory has a power of two of entries, and no part has more bits in common than choose among them.
//! * **all-of-it** Exactly the entries whose low bits are those of the part lead to it.
//!
//! Imports `lock`, `map`, `mutation`, `storage`, `trace`, `write`.

use super::lock::Lock;
use super::map::Map;
use super::mutation::Mutation;
use super::storage::Storage;
use super::trace::{Trace, Tracer};
use super::write::{Write, field};
use crate::heap::OutOfMemory;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::OnceLock;

/// Beyond this many bits parts are not split any more, but grow: hashes that agree so far do not differ for long.
const BITS_MAX: u32 = 28;

/// What is found through a directory: some entries of a map, with room for so many.
pub(super) trait Part<'gc>: Copy + Trace<'gc> {
    /// What the first part of a map has room for, and from what size on a part is split.
    const FIRST: usize;
    const LARGE: usize;

    fn new(mc: &Mutation<'gc>, capacity: usize, common_bits: u32) -> Result<Self, OutOfMemory>;
    fn capacity(self) -> usize;
    /// How many low bits the hashes of its keys have in common.
    fn common_bits(self) -> u32;
    /// The hashes of its entries.
    fn hashes(self, mc: &Mutation<'gc>) -> impl Iterator<Item = u32>;
    /// Copies each of its entries to the part for its hash, which is new.
    fn spread(self, mc: &Mutation<'gc>, to: impl Fn(u32) -> Self);
}

/// The directory of a map: one word in the map's head.
pub(super) struct Directory<'gc, P> {
    entries: Lock<Option<Storage<'gc, P>>>,
}

// SAFETY: what the lock holds is shown.
unsafe impl<'gc, P: 'gc> Trace<'gc> for Directory<'gc, P> {
    const MAP: Map = <Lock<Option<Storage<'gc, P>>> as Trace<'gc>>::MAP;
    #[inline]
    fn trace(&self, tracer: &mut Tracer<'_>) {
        self.entries.trace(tracer);
    }
}

impl<P> Directory<'_, P> {
    pub const fn new() -> Self {
        Directory { entries: Lock::new(None) }
    }
}

impl<'gc, P: Part<'gc>> Directory<'gc, P> {
    /// The part for a hash, `None` in a map that has had no entry.
    #[inline]
    pub fn part(&self, hash: u32) -> Option<P> {
        let entries = self.entries.get()?;
        // power-of-two
        Some(entries.get(hash as usize & (entries.len() - 1)))
    }

    /// How many entries the directory has: for a walk over the parts by [`Directory::nth`].
    pub fn len(&self) -> usize {
        self.entries.get().map_or(0, Storage::len)
    }
    /// The part of an entry, if the entry is the first of those that lead to it.
    pub fn nth(&self, n: usize) -> Option<P> {
        let part = self.entries.get().filter(|entries| n < entries.len())?.get(n);
        (n >> part.common_bits() == 0).then_some(part)
    }

    /// There is no part for a hash, or it is full. Then it is made anew, without what is gone: as large as it was, if that is half of it; as two of that size, where
    /// the next bit of their hashes tells its entries apart; or else larger. So what is there always fits.
    #[cold]
    pub fn make_room(this: &Write<Self>, mc: &Mutation<'gc>, hash: u32) -> Result<(), OutOfMemory> {
        let Some(old) = this.part(hash) else {
            return Directory::replace(this, mc, hash, None, P::new(mc, P::FIRST, 0)?);
        };
        let (capacity, bits) = (old.capacity(), old.common_bits());
        let bit = |hash: u32| (hash >> bits & 1) as usize;
        let (mut live, mut ones) = (0, 0);
        old.hashes(mc).for_each(|hash| (live, ones) = (live + 1, ones + bit(hash)));
        let half = live * 2 < capacity;
        // Where all keys have the next bit in common, too, splitting would not help for now.
        if half || capacity < P::LARGE || bits >= BITS_MAX || ones == 0 || ones == live {
            let new = P::new(mc, if half { capacity } else { 2 * capacity }, bits)?;
            old.spread(mc, |_| new);
            return Directory::replace(this, mc, hash, Some(old), new);
        }
        Directory::reserve(this, mc, old)?;
        let new = [P::new(mc, capacity, bits + 1)?, P::new(mc, capacity, bits + 1)?];
        old.spread(mc, |hash| new[bit(hash)]);
        this.split(mc, hash, old, new);
        Ok(())
    }

    /// Makes room for a part with one more bit in common than `part`; to be called before [`Directory::split`], which can't fail then.
    fn reserve(this: &Write<Self>, mc: &Mutation<'gc>, part: P) -> Result<(), OutOfMemory> {
        let Some(entries) = this.entries.get() else { return Ok(()) };
        let len = entries.len();
        if 1 << part.common_bits() < len {
            return Ok(());
        }
        let new = if entries.capacity() < 2 * len { entries.with_room(mc, len)? } else { entries };
        for n in 0..len {
            new.push(mc, new.get(n));
        }
        if !new.is(entries) {
            field!(this, Directory, entries).set(Some(new));
        }
        Ok(())
    }

    /// Puts `new` in the place of `old`.
    fn replace(this: &Write<Self>, mc: &Mutation<'gc>, hash: u32, old: Option<P>, new: P) -> Result<(), OutOfMemory> {
        match (this.entries.get(), old) {
            (Some(entries), Some(old)) => set_all(mc, entries, hash, old.common_bits(), new),
            _ => {
                let entries = Storage::new(mc, 1)?;
                entries.push(mc, new);
                field!(this, Directory, entries).set(Some(entries));
            }
        }
        Ok(())
    }

    /// Puts two parts in the place of `old`: for the hashes whose next bit is 0, and those where it is 1.
    fn split(&self, mc: &Mutation<'gc>, hash: u32, old: P, new: [P; 2]) {
        let Some(entries) = self.entries.get() else { return };
        let bits = old.common_bits();
        for (bit, new) in new.into_iter().enumerate() {
            let low = hash & ((1 << bits) - 1) | (bit as u32) << bits;
            set_all(mc, entries, low, bits + 1, new);
        }
    }

    pub fn clear(this: &Write<Self>) {
        field!(this, Directory, entries).set(None);
    }
}

/// all-of-it
fn set_all<'gc, P: Part<'gc>>(mc: &Mutation<'gc>, entries: Storage<'gc, P>, hash: u32, bits: u32, part: P) {
    let step = 1 << bits;
    let first = hash as usize & (step - 1);
    (first..entries.len()).step_by(step).for_each(|n| entries.set(mc, n, part));
}

/// The hash of a key, with a seed that is drawn for each process: nobody can prepare collisions. (By one multiplication of 64 by 64 bits for each word, whose halves
/// are folded.)
#[inline]
pub(super) fn hash<K: Hash + ?Sized>(key: &K) -> u32 {
    static SEED: OnceLock<u64> = OnceLock::new();
    let mut hasher = Folding(*SEED.get_or_init(|| RandomState::new().hash_one(0)));
    key.hash(&mut hasher);
    (hasher.0 >> 32) as u32 ^ hasher.0 as u32
}

struct Folding(u64);

impl Folding {
    #[inline(always)]
    fn add(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word) * 0x9e37_79b9_7f4a_7c15;
        self.0 = (product as u64) ^ (product >> 64) as u64;
    }
}

impl Hasher for Folding {
    fn write(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            self.add(u64::from_le_bytes(word.try_into().expect("8 bytes")));
        }
        let rest = words.remainder();
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.add(u64::from_le_bytes(last));
        // The length tells what ends in zeros from what is shorter.
        self.add(bytes.len() as u64);
    }
    #[inline]
    fn write_u8(&mut self, n: u8) {
        self.add(u64::from(n));
    }
    #[inline]
    fn write_u32(&mut self, n: u32) {
        self.add(u64::from(n));
    }
    #[inline]
    fn write_u64(&mut self, n: u64) {
        self.add(n);
    }
    #[inline]
    fn write_usize(&mut self, n: usize) {
        self.add(n as u64);
    }
    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}
