//! The table of interned strings: weak (R15), linear probing, deletion by shifting back. Its slots are an explicit block of the heap.
//!
//! It grows and shrinks beside the program's own work. When it is too full or too empty it gets a second array of twice or half the
//! capacity, of which each insertion and each safepoint first clears a piece and to which they then move a few clusters of strings (a
//! *cluster* is what stands between two empty slots). A cluster goes as a whole: no search that begins behind it passes through it, and one
//! that begins in it belongs to the other array.
//!
//! * **I1** A string whose home in `slots` is below `moved` stands in `next`, every other one in `slots`.
//! * **I2** All of `slots` and the first `cleared` of `next` are initialised; `moved` is 0 until all of `next` is.
//! * **I3** No array ever fills up: both the clearing and the moving end long before that.

use super::gc::Gc;
use super::kinds::LuaRuntime;
use super::string::Str;
use neap_gc::{Heap, OutOfMemory};
use std::ptr::NonNull;

fn strings_mut(heap: &mut Heap<LuaRuntime>) -> &mut StringTable {
    // SAFETY: the runtime is not replaced.
    unsafe { &mut heap.runtime_mut().strings }
}

/// The interned string of these bytes, if there is one.
#[inline]
pub(super) fn find(heap: &mut Heap<LuaRuntime>, bytes: &[u8], hash: u32) -> Option<Gc<Str>> {
    let found = heap.runtime().strings.find(bytes, hash)?;
    counted(heap, found)
}

/// What the table has given, unless it is dying: then it is gone from the table, too.
#[inline(always)]
pub(super) fn counted(heap: &mut Heap<LuaRuntime>, found: Gc<Str>) -> Option<Gc<Str>> {
    // SAFETY: the table names live, young or dying cells only (R15); the heap tells whether this one still counts.
    if unsafe { heap.intern_hit(found.as_ref()) } {
        Some(found)
    } else {
        strings_mut(heap).remove(found);
        None
    }
}

/// Enters a hashed string of which the table has no equal.
pub(super) fn enter(heap: &mut Heap<LuaRuntime>, s: Gc<Str>) -> Result<(), OutOfMemory> {
    if heap.runtime().strings.is_full() || heap.runtime().strings.is_moving() {
        StringTable::settle(heap, StringTable::PER_INSERTION)?;
    }
    strings_mut(heap).insert(s);
    // SAFETY: a cell that was just entered.
    unsafe { heap.interned(s.as_ref()) };
    Ok(())
}

pub struct StringTable {
    slots: Slots,
    /// What the strings move to, unless it is `NONE`.
    next: Slots,
    cleared: usize,
    moved: usize,
    count: usize,
}

impl Default for StringTable {
    fn default() -> StringTable {
        StringTable::new()
    }
}

impl StringTable {
    const FIRST_CAPACITY: usize = 512;
    /// Work is counted in units: a slot that is cleared or found empty is one, a string that moves (and is not in the cache) so many.
    const STRING_UNITS: usize = 32;
    /// At least 32 slots of the old array, or these to clear: three quarters full when it begins, at the end it is not four fifths (I3).
    const PER_INSERTION: usize = 1024;
    /// About 20 us: memory is touched for the first time, or strings are not in the cache. There may be a safepoint after each insertion for a while.
    pub const PER_SAFEPOINT: usize = 4 << 10;

    pub const fn new() -> StringTable {
        StringTable { slots: Slots::NONE, next: Slots::NONE, cleared: 0, moved: 0, count: 0 }
    }

    fn is_full(&self) -> bool {
        (self.count + 1) * 4 > self.slots.capacity() * 3
    }

    fn is_sparse(&self) -> bool {
        self.count * 8 < self.slots.capacity() && self.slots.capacity() > Self::FIRST_CAPACITY
    }

    fn is_moving(&self) -> bool {
        !self.next.is_none()
    }

    /// So much work on growing or shrinking. `false`: there is none.
    pub fn settle(heap: &mut Heap<LuaRuntime>, units: usize) -> Result<bool, OutOfMemory> {
        let table = &heap.runtime().strings;
        if !table.is_moving() {
            let capacity = if table.is_full() {
                (table.slots.capacity() * 2).max(Self::FIRST_CAPACITY)
            } else if table.is_sparse() {
                table.slots.capacity() / 2
            } else {
                return Ok(false);
            };
            let block = heap.malloc(capacity * size_of::<Slot>())?;
            strings_mut(heap).next = Slots { first: block.as_ptr().cast(), mask: capacity - 1 };
        }
        if let Some(old) = strings_mut(heap).step(units) {
            // SAFETY: the block of the replaced array, given out by this heap and named nowhere else now.
            unsafe { heap.free(old) };
        }
        Ok(true)
    }

    /// At the end of the move: the block of the old array.
    fn step(&mut self, mut units: usize) -> Option<NonNull<u8>> {
        let clear = units.min(self.next.capacity() - self.cleared);
        self.next.clear(self.cleared, clear);
        self.cleared += clear;
        units -= clear;
        while units > 0 && self.moved < self.slots.capacity() {
            if self.slots.get(self.moved).is_none() {
                self.moved += 1;
                units -= 1;
            } else {
                let strings = self.move_cluster();
                units = units.saturating_sub(strings * Self::STRING_UNITS);
            }
        }
        if self.moved < self.slots.capacity() {
            return None;
        }
        let old = std::mem::replace(&mut self.slots, self.next);
        (self.next, self.cleared, self.moved) = (Slots::NONE, 0, 0);
        if old.is_none() { None } else { NonNull::new(old.first.cast()) }
    }

    /// Moves the strings from the slot `moved` to the next empty one; says how many they were.
    fn move_cluster(&mut self) -> usize {
        let from = self.moved;
        let mut to = from;
        while self.slots.get(to).is_some() {
            to += 1;
        }
        self.moved = to;
        for i in from..to {
            if let Some(s) = self.slots.get(i) {
                self.slots.set(i, None);
                // Into `slots` again if its home is at the end of the array, and the cluster went on from there at the front.
                self.place(s);
            }
        }
        to - from
    }

    /// The array in which a string of this hash belongs (I1), and its home there.
    #[inline(always)]
    fn home(&self, hash: u32) -> (Slots, usize) {
        let home = self.slots.home(hash);
        if home < self.moved { self.home_in_next(hash) } else { (self.slots, home) }
    }

    /// Apart, so that nothing of it is loaded before it is known to be wanted.
    #[cold]
    #[inline(never)]
    fn home_in_next(&self, hash: u32) -> (Slots, usize) {
        (self.next, self.next.home(hash))
    }

    fn find(&self, bytes: &[u8], hash: u32) -> Option<Gc<Str>> {
        let (slots, mut i) = self.home(hash);
        while let Some(s) = slots.get(i) {
            if s.hash() == hash && s.bytes() == bytes {
                return Some(s);
            }
            i += 1;
        }
        None
    }

    /// The first string of a hash and a length that stands `place` slots behind its home or further, to which `place` moves on.
    pub(super) fn candidate(&self, hash: u32, len: usize, place: &mut usize) -> Option<Gc<Str>> {
        let (slots, home) = self.home(hash);
        while let Some(s) = slots.get(home + *place) {
            *place += 1;
            if s.hash() == hash && s.len() == len {
                return Some(s);
            }
        }
        None
    }

    fn insert(&mut self, s: Gc<Str>) {
        debug_assert!(!self.is_full() || self.is_moving());
        self.place(s);
        self.count += 1;
    }

    fn place(&mut self, s: Gc<Str>) {
        let (slots, mut i) = self.home(s.hash());
        while slots.get(i).is_some() {
            i += 1;
        }
        slots.set(i, Some(s));
    }

    /// Removes the entry that is this very cell, if it is there (R15).
    #[inline(never)]
    pub(super) fn remove(&mut self, s: Gc<Str>) {
        let (slots, mut i) = self.home(s.hash());
        loop {
            match slots.get(i) {
                None => return,
                Some(x) if x == s => break,
                _ => i += 1,
            }
        }
        slots.close(i);
        self.count -= 1;
    }
}

type Slot = Option<Gc<Str>>;

/// An array of slots with linear probing: a string stands in its home or behind it, around the end, with no empty slot between.
#[derive(Clone, Copy)]
struct Slots {
    first: *mut Slot,
    /// The number of slots, a power of two, less one.
    mask: usize,
}

impl Slots {
    /// One empty slot that nobody fills, since an array of one is full.
    const NONE: Slots = {
        static EMPTY: usize = 0;
        Slots { first: (&raw const EMPTY).cast::<Slot>().cast_mut(), mask: 0 }
    };

    fn is_none(self) -> bool {
        self.mask == 0
    }

    fn capacity(self) -> usize {
        self.mask + 1
    }

    #[inline(always)]
    fn home(self, hash: u32) -> usize {
        hash as usize & self.mask
    }

    /// The slot at an index taken around the end.
    #[inline(always)]
    fn get(self, i: usize) -> Slot {
        // SAFETY: inside the array, and initialised (I2).
        unsafe { *self.first.add(i & self.mask) }
    }

    #[inline(always)]
    fn set(self, i: usize, slot: Slot) {
        debug_assert!(!self.is_none());
        // SAFETY: as above; nobody holds a reference to a slot.
        unsafe { *self.first.add(i & self.mask) = slot };
    }

    fn clear(self, from: usize, count: usize) {
        debug_assert!(from + count <= self.capacity());
        for i in from..from + count {
            // SAFETY: inside the array.
            unsafe { self.first.add(i).write(None) };
        }
    }

    /// Empties a slot, and shifts back what would no longer be found behind the gap.
    fn close(self, mut gap: usize) {
        let mut i = gap;
        loop {
            i += 1;
            let Some(x) = self.get(i) else { break };
            if i.wrapping_sub(self.home(x.hash())) & self.mask >= i - gap {
                self.set(gap, Some(x));
                gap = i;
            }
        }
        self.set(gap, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use neap_gc::Config;
    use rand_core::{Rng, SeedableRng};
    use rand_xoshiro::Xoshiro256StarStar;
    use std::collections::HashMap;

    type LuaHeap = Heap<LuaRuntime>;

    /// A heap that meets no safepoint, so that nothing in it dies.
    fn heap() -> LuaHeap {
        Heap::new(LuaRuntime::default(), Config::default()).expect("a heap")
    }

    fn enter_new(heap: &mut LuaHeap, name: u64, hash: u32) -> Gc<Str> {
        let s = Gc::<Str>::new(heap, &name.to_le_bytes()).expect("memory");
        s.set_hash(hash);
        enter(heap, s).expect("memory");
        s
    }

    /// Random insertions, lookups and removals against a map, in changing shares, so that the table grows and shrinks; its own work goes
    /// on in pieces of all sizes. `hash` makes the hash of a name. In how many steps strings stood in both arrays.
    fn against_a_map(seed: u64, names: u64, steps: usize, hash: impl Fn(u64) -> u32) -> usize {
        let (mut heap, mut random) = (heap(), Xoshiro256StarStar::seed_from_u64(seed));
        let mut model = HashMap::<u64, Gc<Str>>::new();
        let (mut grown, mut shrunk, mut both) = (false, false, 0);
        for step in 0..steps {
            let filling = (step / (steps / 6)).is_multiple_of(2);
            let name = random.next_u64() % names;
            match (random.next_u32() % 8, model.get(&name).copied()) {
                (0..6, Some(s)) if !filling => {
                    model.remove(&name);
                    strings_mut(&mut heap).remove(s);
                    // What is not there is not removed.
                    strings_mut(&mut heap).remove(s);
                }
                (0..6, None) if filling => {
                    model.insert(name, enter_new(&mut heap, name, hash(name)));
                }
                (6, _) => {
                    let units = 1 << (random.next_u32() % 12);
                    StringTable::settle(&mut heap, units).expect("memory");
                }
                (_, expected) => assert!(find(&mut heap, &name.to_le_bytes(), hash(name)) == expected, "{name} in step {step}"),
            }
            let strings = &heap.runtime().strings;
            assert_eq!(strings.count, model.len());
            grown |= strings.slots.capacity() as u64 > names;
            shrunk |= grown && (strings.slots.capacity() as u64) < names;
            both += usize::from(strings.is_moving() && strings.moved > 0);
            if step.is_multiple_of(steps / 15) {
                for name in 0..names {
                    assert!(
                        find(&mut heap, &name.to_le_bytes(), hash(name)) == model.get(&name).copied(),
                        "{name} after step {step}"
                    );
                }
            }
        }
        assert!(grown && shrunk, "it has grown: {grown}, shrunk: {shrunk}");
        both
    }

    #[test]
    fn growing_and_shrinking_loses_nothing() {
        for seed in 0..2 {
            let both = against_a_map(seed, 3000, 60_000, |name| (name as u32).wrapping_mul(0x9e37_79b1) >> 3);
            assert!(both > 1000, "{both}");
        }
    }

    #[test]
    fn clusters_around_the_end_are_kept() {
        // Homes are in the last slots of whatever array, or in the first: clusters are long and go on at the front.
        let both = against_a_map(5, 800, 15_000, |name| (name as u32 % 700).wrapping_sub(600));
        assert!(both > 100, "{both}");
        // All the same.
        against_a_map(6, 800, 15_000, |_| u32::MAX);
    }

    #[test]
    fn no_insertion_has_much_to_do() {
        let (mut heap, mut random) = (heap(), Xoshiro256StarStar::seed_from_u64(7));
        let progress = |heap: &LuaHeap| (heap.runtime().strings.cleared, heap.runtime().strings.moved);
        let mut growths = 0;
        for name in 0..200_000 {
            let (cleared, moved) = progress(&heap);
            let capacity = heap.runtime().strings.slots.capacity();
            enter_new(&mut heap, name, random.next_u32());
            let after = progress(&heap);
            if heap.runtime().strings.slots.capacity() != capacity {
                growths += 1;
                assert!(capacity - moved < 1500, "the last {} slots at once", capacity - moved);
            } else {
                assert!(after.0 - cleared <= 1024 && after.1 - moved < 1500, "{:?} slots after {:?}", after, (cleared, moved));
            }
        }
        assert!(growths >= 9 && heap.runtime().strings.count == 200_000, "{growths} growths");
    }

    #[test]
    fn an_empty_table_has_nothing_to_do() {
        let mut heap = heap();
        assert!(find(&mut heap, b"x", 1).is_none());
        let kept: Vec<_> = (0..100_000).map(|name| enter_new(&mut heap, name, name as u32)).collect();
        let full = heap.explicit_bytes();
        assert!(full >= 100_000 * size_of::<Slot>());
        kept.iter().for_each(|&s| strings_mut(&mut heap).remove(s));
        while StringTable::settle(&mut heap, 1000).expect("memory") {}
        assert_eq!((heap.runtime().strings.count, heap.runtime().strings.slots.capacity()), (0, StringTable::FIRST_CAPACITY));
        assert!(heap.explicit_bytes() < full - 99_000 * size_of::<Slot>());
    }
}
