//! The sizes of the two parts: when they change, and how what is in them moves.

use super::parts::{ArrayPart, Node, SNUG, alloc_nodes, alloc_slots, dummy, part_of};
use super::weak::Leavings;
use super::{LuaHeap, SetError, Table};
use crate::value::gc::Gc;
use crate::value::kinds::kind;
use crate::value::{Tag, Value};
use neap_gc::{OutOfMemory, Ref};
use smallvec::SmallVec;
use std::ptr::NonNull;

impl Gc<Table> {
    #[inline(never)]
    pub(super) fn grow_and_insert(self, heap: &mut LuaHeap, key: Value, value: Value) -> Result<(), SetError> {
        let len = self.array_len();
        if !self.has_nodes() && !self.is_weak() && key.as_int() == Some(len as i64 + 1) {
            // The usual append.
            let double = if len < SNUG { (len * 2).max(4) } else { (len + 2).next_power_of_two() - 1 };
            self.resize_array(heap, double)?;
            self.set_slot(heap, len, value);
            return Ok(());
        }
        self.rehash(heap, key)?;
        match key.as_int() {
            Some(i) if (i as u64).wrapping_sub(1) < self.array_len.get() as u64 => {
                self.set_slot(heap, i as usize - 1, value);
                Ok(())
            }
            _ => self.insert(heap, key, value),
        }
    }

    /// Chooses the sizes of both parts anew for the present keys and one more.
    pub(super) fn rehash(self, heap: &mut LuaHeap, extra: Value) -> Result<(), SetError> {
        let weak = self.is_weak();
        // nums[b]: integer keys k with 2^(b-1) < k <= 2^b.
        let mut nums = [0usize; 64];
        let mut ints = 0;
        let mut total = 0;
        let mut count_int = |key: Value| {
            if let Some(k) = key.as_int()
                && k > 0
            {
                nums[(64 - (k as u64 - 1).leading_zeros() as usize).min(63)] += 1;
                ints += 1;
            }
        };
        for (i, v) in self.array_values().iter().enumerate() {
            if !v.is_nil() {
                count_int(Value::int(i as i64 + 1));
                total += 1;
            }
        }
        let mut leavings = 0;
        for i in 0..self.node_count() {
            let n = self.node(i);
            if n.value_tag == Tag::NIL {
                continue;
            }
            if weak && !self.copy_keeps(heap, n) {
                leavings += usize::from(self.hold().any_strong(n.key(), n.value()));
                continue;
            }
            count_int(n.key());
            total += 1;
        }
        count_int(extra);
        total += 1;
        // The largest 2^b of which more than half would be in use.
        let (mut array, mut in_array, mut below) = (0usize, 0, 0);
        if !weak {
            for (b, &n) in nums.iter().enumerate().take(32) {
                if ints <= (1usize << b) / 2 {
                    break;
                }
                below += n;
                if below > (1usize << b) / 2 {
                    array = 1 << b;
                    in_array = below;
                }
            }
        }
        if array > SNUG && extra.as_int() != Some(array as i64) && self.get_int(heap, array as i64).is_nil() {
            array -= 1;
        }
        self.resize(heap, array, total - in_array, leavings)
    }

    /// Sets the size of the array part, and of the hash part so that `hash` entries fit. A weak one gives up entries with so many strong references.
    fn resize(self, heap: &mut LuaHeap, array: usize, hash: usize, leavings: usize) -> Result<(), SetError> {
        let old_len = self.array_len();
        let mut count =
            if hash == 0 { 0 } else { hash.checked_next_power_of_two().filter(|&n| n <= 1 << 30).ok_or(SetError::Overflow)? };
        if count == self.node_count() && hash > count - count / 8 {
            // Nearly full of live entries: the same size again would soon be rehashed again.
            count *= 2;
        }
        let k = if self.is_weak() { self.weak_kind() } else { kind::NODES };
        let old = (self.nodes.get(), self.node_count());
        // What shrinks out of the array part goes to the new hash part; all memory is had before anything is moved.
        let new_nodes = if count > 0 { Some(alloc_nodes(heap, k, count)?) } else { None };
        let mut leavings = Leavings::new(heap, leavings);
        if array > old_len {
            self.resize_array(heap, array)?;
        }
        // SAFETY: V1; the barrier comes before the write (V2).
        unsafe { heap.barrier(self.as_ref(), 0) };
        let old_cell = self.nodes_cell();
        match new_nodes {
            Some(nodes) => self.install_nodes(nodes, count),
            None => {
                self.nodes.set(dummy());
                self.mask.set(0);
                self.free.set(0);
            }
        }
        match self.refill(heap, array, old, &mut leavings) {
            Ok(true) => {
                if let (Some(old), Some(new)) = (old_cell, self.nodes_cell()) {
                    let new = [Some(new), leavings.cell()];
                    let new: SmallVec<[Ref; 2]> = new.into_iter().flatten().collect();
                    // SAFETY: the new parts hold what the old one holds, no safepoint between.
                    unsafe { heap.replace_storage(&[old], &new) };
                }
                Ok(())
            }
            Ok(false) => Ok(()),
            Err(e) => {
                // No entry is lost: the old hash part is still whole.
                self.nodes.set(old.0);
                self.mask.set((old.1 as u32).saturating_sub(1));
                self.free.set(0);
                Err(e)
            }
        }
    }

    /// Fills the new hash part from the old one and from what the array part gives up; `true` if nothing moved between the parts, so that the new hash
    /// part and the leavings hold the strong references of the old one.
    fn refill(
        self,
        heap: &mut LuaHeap,
        array: usize,
        old: (*mut Node, usize),
        leavings: &mut Leavings,
    ) -> Result<bool, SetError> {
        let weak = self.is_weak();
        let mut same = true;
        let old_len = self.array_len();
        if array < old_len {
            for i in array..old_len {
                // SAFETY: T1.
                let v = unsafe { *self.array.get().add(i) };
                if !v.is_nil() {
                    same = false;
                    self.insert(heap, Value::int(i as i64 + 1), v)?;
                }
            }
        }
        for i in 0..old.1 {
            // SAFETY: the old nodes: nobody frees them before the next safepoint, and nobody else looks at them meanwhile.
            let n = unsafe { &mut *old.0.add(i) };
            if n.value_tag == Tag::NIL {
                continue;
            }
            if weak && !self.copy_keeps(heap, n) {
                self.leave(heap, part_of(old.0), i, n, leavings);
                continue;
            }
            match n.key().as_int() {
                Some(k) if (k as u64).wrapping_sub(1) < array as u64 => {
                    same = false;
                    self.set_slot(heap, k as usize - 1, n.value());
                }
                _ => self.insert(heap, n.key(), n.value())?,
            }
        }
        if array < old_len {
            self.resize_array(heap, array)?;
        }
        Ok(same)
    }

    /// Makes the array part at least `len` slots long, for a constructor.
    pub fn ensure_array(self, heap: &mut LuaHeap, len: usize) -> Result<(), OutOfMemory> {
        if len > self.array_len() && !self.is_weak() { self.resize_array(heap, len) } else { Ok(()) }
    }

    pub(super) fn install_nodes(self, nodes: *mut Node, count: usize) {
        self.nodes.set(nodes);
        self.mask.set(count as u32 - 1);
        self.free.set(count as u32);
    }

    /// Makes the array part `len` slots long. Slots beyond are lost: the caller has moved them.
    pub(super) fn resize_array(self, heap: &mut LuaHeap, len: usize) -> Result<(), OutOfMemory> {
        let old_len = self.array_len();
        if len > u32::MAX as usize / 2 {
            return Err(OutOfMemory);
        }
        let fill = |from: *mut Value, n: usize| {
            for i in 0..n {
                // SAFETY: slots of the part, not yet in use.
                unsafe { from.add(i).write(Value::NIL) };
            }
        };
        // SAFETY: (whole function) V1, V2; the parts are of the sizes given.
        unsafe {
            if len > old_len && old_len > 0 && heap.grow(self.array_cell_unchecked(), ArrayPart::cell_size(len))? {
                fill(self.array.get().add(old_len), len - old_len);
                (*self.array_cell_unchecked().as_ptr().cast::<ArrayPart>()).len.set(len as u32);
                self.array_len.set(len as u32);
                return Ok(());
            }
            let new = if len > 0 {
                let slots = alloc_slots(heap, len)?;
                let kept = len.min(old_len);
                slots.copy_from_nonoverlapping(self.array.get(), kept);
                fill(slots.add(kept), len - kept);
                heap.filled_by_copy(part_of(slots));
                Some(slots)
            } else {
                None
            };
            heap.barrier(self.as_ref(), 0);
            if let (Some(old), Some(new)) = (self.array_cell(), new)
                && len > old_len
            {
                heap.replace_storage(&[old], &[part_of(new)]);
            }
            self.array.set(new.unwrap_or(NonNull::dangling().as_ptr()));
            self.array_len.set(len as u32);
            if self.border.get() as usize > len {
                self.border.set(0);
            }
        }
        Ok(())
    }
}
