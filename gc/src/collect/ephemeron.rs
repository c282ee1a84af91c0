//! The values that wait for their keys to be marked (R18).
//!
//! The value of a weak-keyed entry is marked when its key is. A marked storage of such entries is looked at once: the value of a marked key is
//! shaded, that of another waits here, and is found by its key when that is scanned. So marking is linear in entries and edges, where passes over all storages
//! until nothing changes are quadratic in the length of a chain (the problem: Barros and Ierusalimschy, "Eliminating Cycles in Weak Tables", 2008).
//!
//! The index is a hash table by linear hashing (Litwin 1980): it grows by one bucket at a time, in segments, and nothing is ever copied whole. It may have as
//! many entries as the heap has cells, so an entry has 16 bytes: entries name each other by number, and keys and values stand there as the numbers of their
//! granules.
//!
//! Invariants:
//! * **keys-are-known** A key that waits was WEAKLY_HELD, mature and unmarked when its entry came. Its cell outlives the index: a weakly held cell that
//!   dies becomes a tombstone, and tombstones stay while marking lasts (R12).
//! * **values-may-be-dead** A value may have been freed since; then its cell is not live, or another's, which is marked in vain (R9: the
//!   layout is pinned).
//! * **a-key-stands-once** A key has one entry in its bucket: with its only value, or with a list of its values. So what is done for a key costs the same
//!   however many wait for it.
//!
//! May import: `memory` (the size of a granule), `object`, and of the collector `queue`, `segments`, `store`.

use super::segments::Segments;
use super::store::Store;
use crate::memory::GRANULE;
use crate::object::Ref;
use crate::prefetch;

const NONE: u32 = u32::MAX;
/// How far ahead of the one that is split the entries of buckets are brought into the cache.
const SPLIT_AHEAD: usize = 8;

/// The number of a granule, or that of the first entry of a list with [`LIST`].
#[derive(Clone, Copy, PartialEq, Eq)]
struct Number {
    low: u32,
    high: u16,
}

/// In the high part: the number is that of an entry. (Addresses have fewer bits.)
const LIST: u16 = 1 << 15;

impl Number {
    fn of(cell: Ref) -> Number {
        let granule = cell.addr() / GRANULE;
        debug_assert!(granule >> 32 < usize::from(LIST));
        Number { low: granule as u32, high: (granule >> 32) as u16 }
    }
    const fn list(first: u32) -> Number {
        Number { low: first, high: LIST }
    }
    fn addr(self) -> usize {
        debug_assert!(self.high < LIST);
        ((self.high as usize) << 32 | self.low as usize) * GRANULE
    }
    fn cell(self) -> Ref {
        // SAFETY: the address of a cell, dead or alive.
        unsafe { Ref::from_addr(self.addr()) }
    }
}

#[derive(Clone, Copy)]
struct Entry {
    key_low: u32,
    value_low: u32,
    key_high: u16,
    value_high: u16,
    /// The next key of the bucket, or the next that is due; in a list, the next value of the key; of a free entry, the next free one.
    next: u32,
}

impl Entry {
    fn new(key: Number, value: Number, next: u32) -> Entry {
        Entry { key_low: key.low, value_low: value.low, key_high: key.high, value_high: value.high, next }
    }
    fn key(&self) -> Number {
        Number { low: self.key_low, high: self.key_high }
    }
    fn value(&self) -> Number {
        Number { low: self.value_low, high: self.value_high }
    }
}

pub(crate) struct Ephemerons {
    entries: Segments<Entry>,
    free: u32,
    /// The first key of each bucket.
    buckets: Segments<u32>,
    keys: usize,
    /// The entries of keys that have been marked since.
    due: u32,
    /// The rest of the list of one of them.
    rest: u32,
}

impl Ephemerons {
    pub const fn new() -> Ephemerons {
        Ephemerons { entries: Segments::new(), free: NONE, buckets: Segments::new(), keys: 0, due: NONE, rest: NONE }
    }

    /// Whether values are due that have not been taken.
    pub fn any_due(&self) -> bool {
        self.rest != NONE || self.due != NONE
    }

    /// The bucket of a key: by the low bits that the buckets of this round have, one more below the bucket that is split next.
    fn bucket(&self, key: usize) -> usize {
        let hash = (key / GRANULE).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        let buckets = self.buckets.len();
        let round = 1 << buckets.ilog2();
        let bucket = hash & (2 * round - 1);
        if bucket < buckets { bucket } else { hash & (round - 1) }
    }

    /// Brings the bucket of a key into the cache.
    pub fn prefetch(&self, key: Ref) {
        if self.keys != 0 {
            prefetch(std::ptr::from_ref(self.buckets.get(self.bucket(key.addr()))).addr());
        }
    }

    /// Once that is there: brings the first entry of the bucket into the cache.
    pub fn prefetch_entry(&self, key: Ref) {
        if self.keys != 0 {
            self.prefetch_first(self.bucket(key.addr()));
        }
    }
    fn prefetch_first(&self, bucket: usize) {
        match *self.buckets.get(bucket) {
            NONE => {}
            first => prefetch(std::ptr::from_ref(self.entries.get(first as usize)).addr()),
        }
    }

    /// Where the key stands: the entry before it in its bucket, or none, and its own.
    fn find(&self, bucket: usize, key: Number) -> Option<(u32, u32)> {
        let (mut before, mut at) = (NONE, *self.buckets.get(bucket));
        while at != NONE {
            let entry = self.entries.get(at as usize);
            if entry.key() == key {
                return Some((before, at));
            }
            (before, at) = (at, entry.next);
        }
        None
    }

    fn new_entry(&mut self, entry: Entry, store: &mut Store) -> u32 {
        match self.free {
            NONE => {
                self.entries.push(entry, store);
                u32::try_from(self.entries.len() - 1).expect("fewer weak entries than four thousand million")
            }
            at => {
                let place = self.entries.get_mut(at as usize);
                self.free = std::mem::replace(place, entry).next;
                at
            }
        }
    }
    fn free_entry(&mut self, at: u32) {
        self.entries.get_mut(at as usize).next = std::mem::replace(&mut self.free, at);
    }

    /// `value` is to be marked when `key` is.
    pub fn wait(&mut self, key: Ref, value: Ref, store: &mut Store) {
        if self.buckets.len() == 0 {
            self.buckets.push(NONE, store);
        }
        let bucket = self.bucket(key.addr());
        let (key, value) = (Number::of(key), Number::of(value));
        let Some((_, at)) = self.find(bucket, key) else {
            let at = self.new_entry(Entry::new(key, value, *self.buckets.get(bucket)), store);
            *self.buckets.get_mut(bucket) = at;
            self.keys += 1;
            if self.keys > self.buckets.len() {
                self.split(store);
            }
            return;
        };
        // a-key-stands-once
        let first = *self.entries.get(at as usize);
        let list = match first.value() {
            only if only.high != LIST => self.new_entry(Entry::new(key, only, NONE), store),
            list => list.low,
        };
        let list = self.new_entry(Entry::new(key, value, list), store);
        *self.entries.get_mut(at as usize) = Entry::new(key, Number::list(list), first.next);
    }

    /// One more bucket: it takes its keys from the one that is next in this round.
    fn split(&mut self, store: &mut Store) {
        let new = self.buckets.len();
        let old = new - (1 << new.ilog2());
        // Buckets are split in order.
        if old + SPLIT_AHEAD < new {
            self.prefetch_first(old + SPLIT_AHEAD);
        }
        let mut at = std::mem::replace(self.buckets.get_mut(old), NONE);
        self.buckets.push(NONE, store);
        while at != NONE {
            let Entry { next, .. } = *self.entries.get(at as usize);
            let bucket = self.bucket(self.entries.get(at as usize).key().addr());
            debug_assert!(bucket == old || bucket == new);
            self.entries.get_mut(at as usize).next = std::mem::replace(self.buckets.get_mut(bucket), at);
            at = next;
        }
    }

    /// A weakly held cell has been marked: the values that wait for it are due.
    pub fn key_is_marked(&mut self, key: Ref) {
        if self.keys == 0 {
            return;
        }
        let bucket = self.bucket(key.addr());
        let Some((before, at)) = self.find(bucket, Number::of(key)) else { return };
        let next = std::mem::replace(&mut self.entries.get_mut(at as usize).next, self.due);
        self.due = at;
        match before {
            NONE => *self.buckets.get_mut(bucket) = next,
            before => self.entries.get_mut(before as usize).next = next,
        }
        self.keys -= 1;
    }

    /// A value that is due.
    pub fn take_due(&mut self) -> Option<Ref> {
        if self.rest == NONE && self.due != NONE {
            let at = self.due;
            let entry = *self.entries.get(at as usize);
            self.due = entry.next;
            self.free_entry(at);
            match entry.value() {
                only if only.high != LIST => return Some(only.cell()),
                list => self.rest = list.low,
            }
        }
        let at = self.rest;
        if at == NONE {
            return None;
        }
        let entry = *self.entries.get(at as usize);
        self.rest = entry.next;
        self.free_entry(at);
        Some(entry.value().cell())
    }

    /// What waits is dead. The memory goes back in steps: [`Ephemerons::shrink`].
    pub fn forget(&mut self) {
        debug_assert!(!self.any_due());
        (self.keys, self.free) = (0, NONE);
        self.entries.forget();
        self.buckets.forget();
    }

    /// Gives back a part of the memory that is not in use; `false` if there is none.
    pub fn shrink(&mut self, store: &mut Store) -> bool {
        self.entries.shrink(store) || self.buckets.shrink(store)
    }

    /// Keys and values that wait, for the auditor.
    pub fn report(&self, visit: &mut dyn FnMut(Ref, Ref)) {
        for bucket in 0..self.buckets.len() {
            let mut at = *self.buckets.get(bucket);
            while at != NONE {
                let first = self.entries.get(at as usize);
                at = first.next;
                if first.value().high != LIST {
                    visit(first.key().cell(), first.value().cell());
                    continue;
                }
                let mut list = first.value().low;
                while list != NONE {
                    let entry = self.entries.get(list as usize);
                    visit(first.key().cell(), entry.value().cell());
                    list = entry.next;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Memory;

    fn cell(n: usize) -> Ref {
        // SAFETY: an address that is never looked at.
        unsafe { Ref::from_addr(n * 16) }
    }

    /// Against a plain list of pairs.
    #[test]
    fn values_come_when_their_keys_are_marked() {
        let mut store = Store::new(Memory::new(usize::MAX));
        let mut index = Ephemerons::new();
        for round in 0..3 {
            let mut waiting = Vec::new();
            for n in 0..20_000usize {
                let (key, value) = (n * 7919 % 9001 + 1, n + 1);
                index.wait(cell(key), cell(value), &mut store);
                waiting.push((key, value));
                if n % 3 == 0 {
                    let key = n * 31 % 9001 + 1;
                    index.key_is_marked(cell(key));
                    let mut due: Vec<usize> = std::iter::from_fn(|| index.take_due()).map(|r| r.addr() / 16).collect();
                    due.sort_unstable();
                    let wanted: Vec<usize> = waiting.iter().filter(|w| w.0 == key).map(|w| w.1).collect();
                    waiting.retain(|w| w.0 != key);
                    assert_eq!(due, wanted, "round {round}, key {key}");
                }
            }
            let mut reported = 0;
            index.report(&mut |_, _| reported += 1);
            assert_eq!(reported, waiting.len());
            index.forget();
            assert!(index.keys == 0 && !index.any_due());
            while index.shrink(&mut store) {}
        }
        store.trim();
        store.trim_magazines();
        assert_eq!(store.memory.used_bytes(), 0, "all memory has gone back");
    }
}
