//! The values that wait for their keys to be marked (R18).
//!
//! The value of a weak-keyed entry is marked when its key is. A marked storage of such entries is looked at once: the value of a marked key is
//! shaded, that of another waits here, and is found by its key when that is scanned. So marking is linear in entries and edges, where passes over all storages
//! until nothing changes are quadratic in the length of a chain (the problem: Barros and Ierusalimschy, "Eliminating Cycles in Weak Tables", 2008).
//!
//! The index is a hash table by linear hashing (Litwin 1980): it grows by one bucket at a time, in segments, and nothing is ever copied whole. Entries
//! name each other by number; those of one key form a list of their own behind the first.
//!
//! Invariants:
//! * **keys-are-known** A key that waits was WEAKLY_HELD, mature and unmarked when its entry came. Its cell outlives the index: a weakly held cell that
//!   dies becomes a tombstone, and tombstones stay while marking lasts (R12).
//! * **values-may-be-dead** A value may have been freed since; then its cell is not live, or another's, which is marked in vain (R9: the
//!   layout is pinned).
//!
//! May import: `object`, and of the collector `queue`.

use super::queue::Queue;
use super::segments::Segments;
use super::store::Store;
use crate::object::Ref;

const NONE: u32 = u32::MAX;

#[derive(Clone, Copy)]
struct Entry {
    key: usize,
    value: usize,
    /// The next key of the bucket; of a free entry, the next free one.
    next: u32,
    /// The next value of the same key.
    same: u32,
}

pub(crate) struct Ephemerons {
    entries: Segments<Entry>,
    free: u32,
    /// The first key of each bucket.
    buckets: Segments<u32>,
    keys: usize,
    /// First entries of keys that have been marked since.
    due: Queue,
    /// The rest of the one under way.
    rest: u32,
}

impl Ephemerons {
    pub const fn new() -> Ephemerons {
        Ephemerons { entries: Segments::new(), free: NONE, buckets: Segments::new(), keys: 0, due: Queue::new(), rest: NONE }
    }

    /// Whether values are due that have not been taken.
    pub fn any_due(&self) -> bool {
        self.rest != NONE || !self.due.is_empty()
    }

    /// The bucket of a key: by the low bits that the buckets of this round have, one more below the bucket that is split next.
    fn bucket(&self, key: usize) -> usize {
        let hash = (key >> 4).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        let buckets = self.buckets.len();
        let round = 1 << buckets.ilog2();
        let bucket = hash & (2 * round - 1);
        if bucket < buckets { bucket } else { hash & (round - 1) }
    }

    /// Where the key stands: the entry before it in its bucket, or none, and its own.
    fn find(&self, key: usize) -> Option<(u32, u32)> {
        let (mut before, mut at) = (NONE, *self.buckets.get(self.bucket(key)));
        while at != NONE {
            let entry = self.entries.get(at as usize);
            if entry.key == key {
                return Some((before, at));
            }
            (before, at) = (at, entry.next);
        }
        None
    }

    /// `value` is to be marked when `key` is.
    pub fn wait(&mut self, key: Ref, value: Ref, store: &mut Store) {
        if self.buckets.len() == 0 {
            self.buckets.push(NONE, store);
        }
        let (key, value) = (key.addr(), value.addr());
        let at = match self.free {
            NONE => {
                self.entries.push(Entry { key, value, next: NONE, same: NONE }, store);
                u32::try_from(self.entries.len() - 1).expect("fewer weak entries than four thousand million")
            }
            at => {
                self.free = self.entries.get(at as usize).next;
                at
            }
        };
        let (mut next, mut same) = (NONE, NONE);
        match self.find(key) {
            Some((_, first)) => {
                let first = self.entries.get_mut(first as usize);
                same = std::mem::replace(&mut first.same, at);
            }
            None => {
                let bucket = self.bucket(key);
                next = std::mem::replace(self.buckets.get_mut(bucket), at);
                self.keys += 1;
            }
        }
        *self.entries.get_mut(at as usize) = Entry { key, value, next, same };
        if self.keys > self.buckets.len() {
            self.split(store);
        }
    }

    /// One more bucket: it takes its keys from the one that is next in this round.
    fn split(&mut self, store: &mut Store) {
        let new = self.buckets.len();
        let old = new - (1 << new.ilog2());
        let mut at = std::mem::replace(self.buckets.get_mut(old), NONE);
        self.buckets.push(NONE, store);
        while at != NONE {
            let (key, next) = (self.entries.get(at as usize).key, self.entries.get(at as usize).next);
            let bucket = self.bucket(key);
            debug_assert!(bucket == old || bucket == new);
            self.entries.get_mut(at as usize).next = std::mem::replace(self.buckets.get_mut(bucket), at);
            at = next;
        }
    }

    /// A weakly held cell has been marked: the values that wait for it are due.
    pub fn key_is_marked(&mut self, key: Ref, store: &mut Store) {
        if self.keys == 0 {
            return;
        }
        let Some((before, at)) = self.find(key.addr()) else { return };
        let next = self.entries.get(at as usize).next;
        match before {
            NONE => {
                let bucket = self.bucket(key.addr());
                *self.buckets.get_mut(bucket) = next;
            }
            before => self.entries.get_mut(before as usize).next = next,
        }
        self.keys -= 1;
        self.due.push(at as usize, store);
    }

    /// A value that is due.
    pub fn take_due(&mut self, store: &mut Store) -> Option<Ref> {
        if self.rest == NONE {
            self.rest = self.due.pop_front(store)? as u32;
        }
        let at = self.rest as usize;
        let Entry { value, same, .. } = *self.entries.get(at);
        self.entries.get_mut(at).next = std::mem::replace(&mut self.free, self.rest);
        self.rest = same;
        // SAFETY: the address of a cell, dead or alive.
        Some(unsafe { Ref::from_addr(value) })
    }

    /// What waits is dead. The memory goes back in steps: [`Ephemerons::shrink`].
    pub fn forget(&mut self, store: &mut Store) {
        debug_assert!(!self.any_due());
        self.due.clear(store);
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
        let mut firsts = Vec::new();
        for bucket in 0..self.buckets.len() {
            let mut at = *self.buckets.get(bucket);
            while at != NONE {
                firsts.push(at);
                at = self.entries.get(at as usize).next;
            }
        }
        for first in firsts {
            let mut at = first;
            while at != NONE {
                let entry = self.entries.get(at as usize);
                // SAFETY: addresses of cells, dead or alive.
                unsafe { visit(Ref::from_addr(entry.key), Ref::from_addr(entry.value)) };
                at = entry.same;
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
                    index.key_is_marked(cell(key), &mut store);
                    let mut due: Vec<usize> = std::iter::from_fn(|| index.take_due(&mut store)).map(|r| r.addr() / 16).collect();
                    due.sort_unstable();
                    let wanted: Vec<usize> = waiting.iter().filter(|w| w.0 == key).map(|w| w.1).collect();
                    waiting.retain(|w| w.0 != key);
                    assert_eq!(due, wanted, "round {round}, key {key}");
                }
            }
            let mut reported = 0;
            index.report(&mut |_, _| reported += 1);
            assert_eq!(reported, waiting.len());
            index.forget(&mut store);
            assert!(index.keys == 0 && !index.any_due());
            while index.shrink(&mut store) {}
        }
        store.trim();
        assert_eq!(store.memory.used_bytes(), 0, "all memory has gone back");
    }
}
