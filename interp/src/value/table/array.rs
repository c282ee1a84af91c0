//! The array part: how long it is, and how it grows and shrinks.
//!
//! A cell of more slots than are in use stands behind it (T1). Small ones are replaced by larger ones; large ones grow where they stand, some slots at a
//! time. Where a change of length moves entries from or to the hash part, and they are many, that is done by the insertions that follow, a few entries
//! each, from the end: `goal` is what the length is on its way to. Each key is in one place all the while (T1).

use super::nodes::Nodes;
use super::parts::{ArrayPart, SEGMENT, SNUG, alloc_slots, part_of};
use super::{LuaHeap, SetError, Table, mark};
use crate::value::Value;
use crate::value::gc::Gc;
use neap_gc::OutOfMemory;
use smallvec::SmallVec;
use std::ptr::NonNull;

/// Slots that a large array grows by, and the length from which on it does.
const STEP: usize = 4 * SEGMENT;
/// Slots that are looked for in the hash part at once, when the array grows over them.
const LOOKED_FOR: usize = 256;
/// Slots that an insertion moves where the array is on its way.
const MOVED: usize = 64;
/// Slots that tell whether a large array is worth its memory, and how many of them have to be in use.
const SAMPLES: usize = 64;
const DENSE_SAMPLES: usize = 24;
/// Parts of a large table that tell whether its array part should be longer.
const PARTS_ASKED: usize = 8;
/// The longest array part.
const LEN_MAX: usize = 1 << 30;

impl Table {
    /// The slots of the cell behind the array part.
    fn capacity(&self) -> usize {
        // SAFETY: a live cell of that kind.
        self.array_part().map_or(0, |cell| unsafe { (*cell.as_ptr().cast::<ArrayPart>()).len() })
    }

    /// Whether a key that the table does not have is the next one of the array part.
    #[inline(always)]
    pub(super) fn takes_next(&self, key: i64) -> bool {
        let len = self.array_len();
        key == len as i64 + 1 && !self.is_weak() && self.goal.get() as usize == len && (len >= SNUG || !self.has_nodes())
    }

    /// Whether more than a third of a long array is in use, more than half of one that is not: by samples where these leave no doubt.
    pub(super) fn array_is_dense(&self) -> bool {
        let values = self.array_values();
        let samples = values.iter().step_by(values.len().div_ceil(SAMPLES).max(1));
        let used = samples.clone().filter(|v| !v.is_nil()).count();
        if values.len() > SEGMENT {
            return used >= DENSE_SAMPLES;
        }
        used == samples.count() || values.iter().filter(|v| !v.is_nil()).count() * 2 > values.len()
    }
}

impl Gc<Table> {
    /// Adds the key that the array part takes next. The value is not nil.
    pub(super) fn append(self, heap: &mut LuaHeap, key: Value, value: Value) -> Result<(), SetError> {
        let len = self.array_len();
        if len == self.capacity() {
            if len >= SNUG && !self.array_is_dense() {
                // A queue: what was at the front is gone.
                if len > SEGMENT || self.is_large() {
                    self.goal.set(0)
                } else {
                    self.rehash(heap, self.hash_of(key), key)?
                }
                return self.insert_hashed(heap, self.hash_of(key), key, value);
            }
            self.reserve(heap, usize::MAX)?;
        }
        self.lengthen(heap);
        self.set_slot(heap, len, value);
        Ok(())
    }

    /// A larger cell for the array part, or more of the one there is; no more than for `most` slots.
    fn reserve(self, heap: &mut LuaHeap, most: usize) -> Result<(), OutOfMemory> {
        let len = self.capacity();
        // With its head, one of one slot less than a power of two fills its cell, or its pages.
        let double = if len < SNUG { (len * 2).max(4) } else { (len + 2).next_power_of_two() - 1 };
        if len >= STEP - 1 && self.grow_in_place(heap, (len + STEP).min(most))? {
            return Ok(());
        }
        self.replace_array(heap, double.min(most))
    }

    /// Lengthens the array part over slots that its cell has.
    fn lengthen(self, heap: &mut LuaHeap) {
        let len = self.array_len();
        let mut new = self.capacity();
        if self.has_integers() {
            new = new.min(len + LOOKED_FOR);
        }
        self.set_len(new);
        self.fetch(heap, len, new);
    }

    fn set_len(self, len: usize) {
        self.array_len.set(len as u32);
        self.goal.set(len as u32);
    }

    fn has_integers(self) -> bool {
        self.has_nodes() && self.has_mark(mark::INTEGERS)
    }

    /// Slots `from..to`, which are new, take their entries from the hash part.
    fn fetch(self, heap: &mut LuaHeap, from: usize, to: usize) {
        if !self.has_integers() {
            return;
        }
        if !self.is_large() && self.own_nodes().len() < to - from {
            let own = self.own_nodes();
            for i in 0..own.len() {
                if let Some(key) = own.node(i).key().as_int()
                    && (from..to).contains(&((key as u64).wrapping_sub(1) as usize))
                {
                    self.move_up(heap, own, i);
                }
            }
            return;
        }
        for at in from..to {
            let key = Value::int(at as i64 + 1);
            let hash = self.hash_of(key);
            if let Some((nodes, i)) = self.find(hash, key) {
                self.move_up(heap, nodes, i);
                self.has_lost_one(heap, nodes, hash);
            }
        }
    }

    /// An entry of the hash part moves to its slot.
    fn move_up(self, heap: &mut LuaHeap, nodes: Nodes, i: usize) {
        let n = nodes.node(i);
        let value = n.value();
        if value.is_nil() {
            return;
        }
        self.set_slot(heap, n.key().raw_int() as usize - 1, value);
        if value.is_ref() {
            // SAFETY: V1; the barrier comes before the write (V2).
            unsafe { heap.barrier(nodes.cell(), i) };
        }
        nodes.overwrite(i, Value::NIL);
    }

    /// Brings the array part a little nearer to its goal.
    pub(super) fn move_on(self, heap: &mut LuaHeap) -> Result<(), SetError> {
        let (len, goal) = (self.array_len(), self.goal.get() as usize);
        if goal > len {
            let new = goal.min(len + MOVED);
            while self.capacity() < new {
                self.reserve(heap, goal)?;
            }
            self.set_len(new);
            self.goal.set(goal as u32);
            self.fetch(heap, len, new);
            return Ok(());
        }
        for at in (goal.max(len.saturating_sub(MOVED))..len).rev() {
            if self.array_len() != at + 1 {
                // Room for an entry has brought about another length.
                return Ok(());
            }
            // SAFETY: T1.
            let value = unsafe { *self.array.get().add(at) };
            if !value.is_nil() {
                self.set_slot(heap, at, Value::NIL);
            }
            self.array_len.set(at as u32);
            if value.is_nil() {
                continue;
            }
            let key = Value::int(at as i64 + 1);
            if let Err(error) = self.insert_hashed(heap, self.hash_of(key), key, value) {
                // No entry is lost.
                self.array_len.set(at as u32 + 1);
                self.set_slot(heap, at, value);
                return Err(error);
            }
        }
        if self.array_len() == 0 {
            self.replace_array(heap, 0)?;
            self.set_len(0);
        }
        Ok(())
    }

    /// Looks whether the array part of a large table should be longer, going by the keys of one of its parts, which are some of all at random.
    pub(super) fn consider_array(self, nodes: Nodes) {
        let len = self.array_len();
        if self.goal.get() as usize != len || self.is_weak() {
            return;
        }
        if len > SEGMENT && !self.array_is_dense() {
            self.goal.set(0);
            return;
        }
        if !self.has_integers() {
            return;
        }
        // The one that is full may have more than its share: where it would have a longer array, others are asked.
        let mut best = self.estimate(&[nodes]);
        if best > len {
            let directory = self.directory();
            let step = directory.len().div_ceil(PARTS_ASKED);
            let asked = (0..directory.len()).step_by(step).map(|i| Nodes::of_segment(directory.entry(i).get()));
            best = self.estimate(&asked.collect::<SmallVec<[Nodes; PARTS_ASKED]>>());
        }
        self.goal.set(best as u32);
    }

    /// The length that the array part should have, going by the integers in some parts of a large table (one that stands in several entries of the directory
    /// may be among them as often).
    fn estimate(self, parts: &[Nodes]) -> usize {
        let len = self.array_len();
        let mut powers = [0usize; POWERS];
        for nodes in parts {
            for i in 0..nodes.len() {
                let n = nodes.node(i);
                if let Some(b) = power_of(n.key())
                    && !n.value().is_nil()
                {
                    powers[b] += 1 << nodes.part().depth.get();
                }
            }
        }
        let (mut present, mut best) = (len, len);
        for (b, count) in powers.into_iter().enumerate().take_while(|&(b, _)| 1 << b <= LEN_MAX) {
            present += count / parts.len();
            // Somewhat more than half: it is an estimate.
            if present > (1 << b) / 8 * 5 && 1 << b > len + len / 4 {
                best = 1 << b;
            }
        }
        best
    }

    /// Makes the array part at least `len` slots long, for a constructor.
    pub fn ensure_array(self, heap: &mut LuaHeap, len: usize) -> Result<(), OutOfMemory> {
        let old = self.array_len();
        if len > old && !self.is_weak() {
            self.resize_array(heap, len)?;
            self.fetch(heap, old, len);
        }
        Ok(())
    }

    /// Makes the array part `len` slots long. Slots beyond are lost, and new ones empty: the caller moves what belongs elsewhere.
    pub(super) fn resize_array(self, heap: &mut LuaHeap, len: usize) -> Result<(), OutOfMemory> {
        if len > LEN_MAX {
            return Err(OutOfMemory);
        }
        let old = self.array_len();
        if len < old || len > self.capacity() && !(old > 0 && self.grow_in_place(heap, len)?) {
            self.replace_array(heap, len)?;
        }
        self.set_len(len);
        if self.border.get() as usize > len {
            self.border.set(0);
        }
        Ok(())
    }

    /// `false`: the cell can't be larger where it stands.
    fn grow_in_place(self, heap: &mut LuaHeap, capacity: usize) -> Result<bool, OutOfMemory> {
        let Some(cell) = self.array_part() else { return Ok(false) };
        let old = self.capacity();
        if capacity > LEN_MAX {
            return Err(OutOfMemory);
        }
        // SAFETY: V1; a live cell of that kind; the slots that are new are its own.
        unsafe {
            if !heap.grow(cell, ArrayPart::cell_size(capacity))? {
                return Ok(false);
            }
            clear(self.array.get().add(old), capacity - old);
            (*cell.as_ptr().cast::<ArrayPart>()).len.set(capacity as u32);
        }
        Ok(true)
    }

    /// Another cell for the array part, of `capacity` slots, of which as many are in use as before, or all.
    fn replace_array(self, heap: &mut LuaHeap, capacity: usize) -> Result<(), OutOfMemory> {
        if capacity > LEN_MAX {
            return Err(OutOfMemory);
        }
        let len = self.array_len();
        let kept = capacity.min(len);
        let old = self.array_part();
        // SAFETY: (whole block) V1, V2; the parts are of the sizes given.
        unsafe {
            let new = if capacity > 0 {
                let slots = alloc_slots(heap, capacity)?;
                slots.copy_from_nonoverlapping(self.array.get(), kept);
                clear(slots.add(kept), capacity - kept);
                heap.filled_by_copy(part_of(slots));
                slots
            } else {
                NonNull::dangling().as_ptr()
            };
            heap.barrier(self.as_ref(), 0);
            if let Some(old) = old
                && capacity > 0
                && capacity >= len
            {
                heap.replace_storage(&[old], &[part_of(new)]);
            }
            self.array.set(new);
        }
        self.array_len.set(kept as u32);
        Ok(())
    }

    /// Another array part of the same length, for [`take_array`](Self::take_array). Its slots are not initialised: until then nothing may be collected.
    pub fn other_array(self, heap: &LuaHeap) -> Result<*mut Value, OutOfMemory> {
        alloc_slots(heap, self.array_len())
    }

    /// Takes another array part in the place of this one.
    ///
    /// # Safety
    /// It was made by [`other_array`](Self::other_array), and holds the same values in some order.
    pub unsafe fn take_array(self, heap: &mut LuaHeap, other: *mut Value) {
        // SAFETY: V1, V2; by the caller.
        unsafe {
            heap.filled_by_copy(part_of(other));
            heap.barrier(self.as_ref(), 0);
            heap.replace_storage(&[part_of(self.array.get())], &[part_of(other)]);
        }
        self.array.set(other);
    }
}

/// What [`power_of`] may give.
pub(super) const POWERS: usize = 64;

/// The least power of two that a key which may stand in an array part does not exceed.
pub(super) fn power_of(key: Value) -> Option<usize> {
    key.as_int().filter(|&k| k > 0).map(|k| 64 - (k as u64 - 1).leading_zeros() as usize)
}

/// # Safety
/// So many slots of an array part.
unsafe fn clear(first: *mut Value, count: usize) {
    for i in 0..count {
        // SAFETY: by the caller.
        unsafe { first.add(i).write(Value::NIL) };
    }
}
