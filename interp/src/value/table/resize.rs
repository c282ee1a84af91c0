//! When a hash part of a small table is replaced, and by what. The array part of such a table is weighed anew with it.

use super::array::{POWERS, power_of};
use super::nodes::Nodes;
use super::parts::{Node, SEGMENT, SNUG};
use super::weak::Leavings;
use super::{LuaHeap, SetError, Table, mark};
use crate::value::gc::Gc;
use crate::value::{Tag, Value, hash};
use neap_gc::Ref;
use smallvec::SmallVec;

/// Whenever so many entries fewer are left, a removal looks at the size.
const LOOK_EVERY: u16 = SEGMENT as u16 / 16;

impl Gc<Table> {
    /// Makes room for a key, whose hash part is full.
    #[inline(never)]
    pub(super) fn grow(self, heap: &mut LuaHeap, hash: u32, key: Value) -> Result<(), SetError> {
        if self.is_large() {
            self.consider_array(self.nodes_for(hash));
            return self.make_room(heap, hash);
        }
        self.rehash(heap, hash, key)
    }

    /// Chooses the sizes of both parts anew for the present keys and one more.
    pub(super) fn rehash(self, heap: &mut LuaHeap, hash: u32, extra: Value) -> Result<(), SetError> {
        let (own, len) = (self.own_nodes(), self.array_len());
        let hold = own.hold();
        // A long array part is not counted.
        let counted = len <= SEGMENT;
        let mut nums = [0usize; POWERS];
        let mut ints = 0;
        let mut total = 0;
        // No array part is longer than twice what there may be to stand in it.
        let most = 2 * (len + 1 + if own.exist() { own.part().live.get() as usize } else { 0 }) as u64;
        let mut count_int = |key: Value| {
            if key.is_int()
                && (key.raw_int() as u64).wrapping_sub(1) < most
                && let Some(b) = power_of(key)
            {
                nums[b] += 1;
                ints += 1;
            }
        };
        if counted {
            for (i, v) in self.array_values().iter().enumerate() {
                if !v.is_nil() {
                    count_int(Value::int(i as i64 + 1));
                    total += 1;
                }
            }
        }
        for i in 0..own.len() {
            let n = own.node(i);
            if n.value_tag != Tag::NIL && hold.is_none_or(|hold| hold.copy_keeps(heap, n)) {
                count_int(n.key());
                total += 1;
            }
        }
        count_int(extra);
        total += 1;
        // The largest 2^b of which more than half would be in use.
        let (mut array, mut in_array, mut below) = (0usize, 0, 0);
        if !counted {
            array = len;
        } else if !self.is_weak() {
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
            if array > SNUG && extra.as_int() != Some(array as i64) && self.get_int(heap, array as i64).is_nil() {
                array -= 1;
            }
        }
        let mut count = (total - in_array).next_power_of_two();
        if total == in_array {
            count = 0;
        } else if count == own.len() && total - in_array > count - count / 8 {
            // Nearly full of live entries: the same size again would soon be rehashed again.
            count *= 2;
        }
        let fits = array == len && count <= own.len() && count * 2 >= own.len();
        if fits && own.clear() {
            // There is room now.
        } else if count <= SEGMENT {
            self.resize(heap, array, count)?;
        } else if own.len() < SEGMENT {
            self.resize(heap, len, SEGMENT)?;
        } else {
            self.make_room(heap, hash)?;
        }
        // What is much moves by and by.
        if self.array_len() != array {
            self.goal.set(if array > len { array as u32 } else { 0 });
        } else if !counted && !self.array_is_dense() {
            self.goal.set(0);
        }
        Ok(())
    }

    /// Sets the length of the array part, and the number of nodes. On an error nothing has changed.
    fn resize(self, heap: &mut LuaHeap, array: usize, count: usize) -> Result<(), SetError> {
        let (old, old_len) = (self.own_nodes(), self.array_len());
        let hold = old.hold();
        // What shrinks out of the array part goes to the new hash part; all memory is had before anything is moved.
        let kind = if old.exist() { old.kind() } else { self.mode.get() };
        let new = if count > 0 { Nodes::alloc(heap, kind, count)? } else { Nodes::NONE };
        let mut leavings = Leavings::new(heap, old.leavings(heap, hold));
        if array > old_len {
            self.resize_array(heap, array)?;
        }
        // SAFETY: V1; the barrier comes before the write (V2).
        unsafe { heap.barrier(self.as_ref(), 0) };
        self.install_nodes(new);
        self.set_mark(mark::INTEGERS, false);
        let mut same = true;
        for i in array..old_len {
            // SAFETY: T1.
            let v = unsafe { *self.array.get().add(i) };
            if !v.is_nil() {
                same = false;
                let key = Value::int(i as i64 + 1);
                if let Some(hold) = new.hold() {
                    hold.tell(heap, key, v);
                }
                self.refill(heap, new, hash::of_int(i as i64 + 1), key, v);
            }
        }
        for i in 0..old.len() {
            let n = old.node(i);
            if n.value_tag == Tag::NIL {
                old.leave_removed(heap, i, &mut leavings);
                continue;
            }
            match (hold, n.key().as_int()) {
                (Some(hold), _) if !hold.copy_keeps(heap, n) => old.leave(heap, hold, i, &mut leavings),
                (None, Some(k)) if (k as u64).wrapping_sub(1) < array as u64 => {
                    same = false;
                    self.set_slot(heap, k as usize - 1, n.value());
                }
                _ => self.refill(heap, new, n.hash, n.key(), n.value()),
            }
        }
        if array < old_len {
            // A smaller cell; if it is refused, the one there is has been emptied so far.
            if self.resize_array(heap, array).is_err() {
                for i in array..old_len {
                    self.set_slot(heap, i, Value::NIL);
                }
                self.array_len.set(array as u32);
                self.goal.set(array as u32);
            }
        }
        if same && old.exist() && new.exist() {
            let new: SmallVec<[Ref; 2]> = [Some(new.cell()), leavings.cell()].into_iter().flatten().collect();
            // SAFETY: the new parts hold what the old one holds, no safepoint between.
            unsafe { heap.replace_storage(&[old.cell()], &new) };
        }
        Ok(())
    }

    fn refill(self, heap: &LuaHeap, new: Nodes, hash: u32, key: Value, value: Value) {
        if key.is_int() {
            self.set_mark(mark::INTEGERS, true);
        }
        let fits = new.insert(heap, new.hold(), hash, key, value);
        assert!(fits, "the new part is as large as was counted");
    }

    pub(super) fn install_nodes(self, nodes: Nodes) {
        self.nodes.set(nodes.first());
        self.mask.set(nodes.mask() as u16);
    }

    /// An entry of some nodes has been removed: if few are left, and no traversal may stand at one of them, the rest takes less memory, at once or after a while
    /// (`sparse`). Memory that is refused for that is no error.
    #[inline(always)]
    pub(super) fn has_lost_one(self, heap: &mut LuaHeap, nodes: Nodes, hash: u32) {
        if nodes.part().live.get().is_multiple_of(LOOK_EVERY) && !self.has_mark(mark::TRAVERSED) {
            self.shrink(heap, nodes, hash);
        }
    }

    #[cold]
    #[inline(never)]
    fn shrink(self, heap: &mut LuaHeap, nodes: Nodes, hash: u32) {
        // What loses some and gets others at the same time is no larger later.
        let grew = self.has_mark(mark::GREW);
        if grew {
            self.set_mark(mark::GREW | mark::WAITS, false);
        }
        let sparse = self.is_sparse(nodes);
        if !grew && (!sparse || self.waits(heap)) {
            return;
        }
        if self.is_large() {
            while self.is_large() && matches!(self.merge(heap, hash), Ok(true)) {}
        } else if sparse {
            self.shrink_own(heap, nodes);
        }
    }

    /// A smaller hash part for a table that is not large, or none.
    pub(super) fn shrink_own(self, heap: &mut LuaHeap, nodes: Nodes) {
        let live = nodes.part().live.get() as usize;
        let count = if live == 0 { usize::from(self.is_weak()) } else { (live * 2).next_power_of_two() };
        let _ = self.resize(heap, self.array_len(), count);
    }
}

impl Nodes {
    /// Copies all entries to the nodes that `target` gives for their hashes, which have room; of weak ones those that the copy keeps. `hash` is the hash of a
    /// node's key there.
    pub(super) fn move_to(
        self,
        heap: &LuaHeap,
        hold: Option<super::Hold>,
        leavings: &mut Leavings,
        hash: impl Fn(&Node) -> u32,
        target: impl Fn(u32) -> Nodes,
    ) {
        for i in 0..self.len() {
            let n = self.node(i);
            if n.value_tag == Tag::NIL {
                self.leave_removed(heap, i, leavings);
                continue;
            }
            match hold {
                Some(hold) if !hold.copy_keeps(heap, n) => self.leave(heap, hold, i, leavings),
                _ => {
                    let hash = hash(n);
                    let (to, key, value) = (target(hash), n.key(), n.value());
                    let fits = hold.is_none() && to.put(heap, hash, key, value) || to.insert(heap, hold, hash, key, value);
                    assert!(fits, "new parts have room");
                }
            }
        }
    }
}
