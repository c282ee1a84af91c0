//! Weak tables (`__mode`): what stands in them is read, kept and copied by the collector's leave.
//!
//! * **T4** A weak table has no array part, and its nodes carry [`WEAK_KEY`] in the key tag, so that no fast path matches them: whoever misses looks
//!   at [`Table::is_weak`] and asks the collector.

use super::parts::{Hold, Node, WEAK_KEY, alloc_nodes, alloc_slots, part_of};
use super::{AUX_WEAK, LuaHeap, SetError, Table};
use crate::value::Value;
use crate::value::gc::Gc;
use crate::value::kinds::kind;
use neap_gc::{Ref, Side};
use std::ptr::NonNull;

impl Gc<Table> {
    /// Makes the table weak as `__mode` says, or strong again: a new storage (R8).
    pub fn set_weakness(self, heap: &mut LuaHeap, keys: bool, values: bool) -> Result<(), SetError> {
        let k = match (keys, values) {
            (false, false) => kind::NODES,
            (false, true) => kind::NODES_WEAK_VALUES,
            (true, false) => kind::NODES_EPHEMERON,
            (true, true) => kind::NODES_ALL_WEAK,
        };
        let now = if self.is_weak() { self.weak_kind() } else { kind::NODES };
        if k == now {
            return Ok(());
        }
        let mut entries = Vec::new();
        let mut at = 0;
        while let Some((next, key, value)) = self.next_entry(heap, at) {
            entries.push((key, value));
            at = next;
        }
        // A weak table always has a hash part: its kind is the table's mode.
        let count = entries.len().next_power_of_two().max(1);
        let nodes = alloc_nodes(heap, k, count)?;
        // SAFETY: V1, V2.
        unsafe { heap.barrier(self.as_ref(), 0) };
        self.array_len.set(0);
        self.array.set(NonNull::dangling().as_ptr());
        self.border.set(0);
        self.install_nodes(nodes, count);
        let aux = self.header().aux.get();
        self.header().aux.set(if k == kind::NODES { aux & !AUX_WEAK } else { aux | AUX_WEAK });
        for (key, value) in entries {
            self.set(heap, key, value)?;
        }
        Ok(())
    }

    pub(super) fn weak_kind(self) -> u8 {
        // SAFETY: a weak table always has a hash part.
        unsafe { self.nodes_cell_unchecked().kind() }
    }

    pub(super) fn hold(self) -> Hold {
        Hold::of(self.weak_kind())
    }

    #[cold]
    pub(super) fn get_weak(self, heap: &mut LuaHeap, key: Value) -> Value {
        match self.find(key, key.tag().0 | WEAK_KEY) {
            Some(i) => self.weak_value_at(heap, i),
            None => Value::NIL,
        }
    }

    /// Reads the value of a weak table's node by the collector's leave.
    pub(super) fn weak_value_at(self, heap: &mut LuaHeap, i: usize) -> Value {
        let v = self.node(i).value();
        let Some(r) = v.as_ref() else { return v };
        // SAFETY: the value stands in a weak storage, as the collector left it.
        unsafe {
            if self.hold().weak_value(v).is_none() {
                // The key may be weak.
                heap.ephemeron_value(r);
                v
            } else if heap.weak_value(r) {
                v
            } else {
                Value::NIL
            }
        }
    }

    #[cold]
    pub(super) fn set_weak(self, heap: &mut LuaHeap, key: Value, value: Value) -> Result<(), SetError> {
        let found = if self.has_nodes() { self.find(key, key.tag().0 | WEAK_KEY) } else { None };
        if found.is_none() && value.is_nil() {
            return Ok(());
        }
        let hold = self.hold();
        for r in [hold.weak_key(key), hold.weak_value(value)].into_iter().flatten() {
            // SAFETY: the values are in the hands of the running program.
            unsafe { heap.weak_hold(r) };
        }
        let Some(i) = found else { return self.insert(heap, key, value) };
        let n = self.node(i);
        if hold.any_strong(n.key(), n.value()) || hold.strong_value(value).is_some() {
            // SAFETY: V1; the barrier comes before the write (V2).
            unsafe { heap.barrier(self.nodes_cell_unchecked(), i) };
        }
        n.overwrite(value);
        Ok(())
    }

    #[cold]
    pub(super) fn weak_entry(self, heap: &mut LuaHeap, i: usize) -> Option<Value> {
        let n = *self.node(i);
        // SAFETY: the key stands in a weak storage, as the collector left it.
        if self.hold().weak_key(n.key()).is_some_and(|r| !unsafe { heap.weak_key(r) }) {
            return None;
        }
        let v = self.weak_value_at(heap, i);
        if v.is_nil() { None } else { Some(v) }
    }

    /// Whether the copy of a weak hash part keeps the entry (R13).
    pub(super) fn copy_keeps(self, heap: &LuaHeap, n: &Node) -> bool {
        let hold = self.hold();
        // SAFETY: the references stand in a weak storage, as the collector left them.
        let keeps = |weak: Option<Ref>, side| weak.is_none_or(|r| unsafe { heap.copy_keeps(r, side) });
        keeps(hold.weak_key(n.key()), Side::Key) && keeps(hold.weak_value(n.value()), Side::Value)
    }

    /// An entry of the old hash part, node `i` of `part`, that the copy does not keep. What takes over the counts of the old part must hold the same
    /// references (R28): the strong one goes to the leavings, or is removed from the old part as by any removal.
    pub(super) fn leave(self, heap: &LuaHeap, part: Ref, i: usize, n: &mut Node, leavings: &mut Leavings) {
        let hold = self.hold();
        // One side is weak, or the copy would keep it.
        let strong = match (hold.strong_key(n.key()), hold.strong_value(n.value())) {
            (Some(_), _) => n.key(),
            (None, Some(_)) => n.value(),
            (None, None) => return,
        };
        if !leavings.take(strong) {
            // SAFETY: V1: the part is the table's until the next safepoint; the barrier comes before the write (V2).
            unsafe { heap.barrier(part, i) };
            n.kill();
        }
    }
}

/// The strong references of the entries that a weak hash part gives up when it is copied: an array part that nobody refers to. Beside the new hash part
/// it takes over the counts of the old one, and then it dies, and its references are given back a few at a time. (Removed from the old part one by one
/// they would be so many records of the log, all for the same epoch end.)
pub(super) struct Leavings {
    slots: *mut Value,
    used: usize,
    room: usize,
}

impl Leavings {
    /// Room for so many references, or for none if there is no memory.
    pub(super) fn new(heap: &LuaHeap, room: usize) -> Leavings {
        let none = Leavings { slots: NonNull::dangling().as_ptr(), used: 0, room: 0 };
        if room == 0 {
            return none;
        }
        let Ok(slots) = alloc_slots(heap, room) else { return none };
        for i in 0..room {
            // SAFETY: a slot of the new part.
            unsafe { slots.add(i).write(Value::NIL) };
        }
        Leavings { slots, used: 0, room }
    }
    /// `false`: there is no room. (What has died since the room was measured, when memory ran short, finds none.)
    fn take(&mut self, value: Value) -> bool {
        let fits = self.used < self.room;
        if fits {
            // SAFETY: an initialised slot; the collector is told of the references with the part.
            unsafe { *self.slots.add(self.used) = value };
            self.used += 1;
        }
        fits
    }
    pub(super) fn cell(&self) -> Option<Ref> {
        (self.room > 0).then(|| part_of(self.slots))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::intern::StringTable;
    use crate::value::kinds::LuaRuntime;
    use neap_gc::heap::Drive;
    use neap_gc::{Config, Heap, RootSource};
    use rand_core::{Rng, SeedableRng};
    use rand_xoshiro::Xoshiro256StarStar;

    struct NoRoots;

    // SAFETY: nothing is visited.
    unsafe impl RootSource for NoRoots {
        fn slots(&self, _: &mut dyn FnMut(Option<Ref>)) {}
    }

    /// An insertion moves entries to other nodes, from where a pass has not been yet to where it has.
    #[test]
    fn entries_move_under_a_pass() {
        let mut random = Xoshiro256StarStar::seed_from_u64(1);
        for (keys, values) in [(false, true), (true, false), (true, true)] {
            let mut heap = Heap::new(LuaRuntime { strings: StringTable::new() }, Config::default()).expect("a heap");
            let t = Gc::<Table>::new(&mut heap, 0, 0).expect("memory");
            // SAFETY: a young cell of this heap.
            let _held = unsafe { heap.handle(t.as_ref()) };
            t.set_weakness(&mut heap, keys, values).expect("memory");
            for step in 0..20_000 {
                let number = Value::int((random.next_u32() % 400) as i64);
                let object = Value::table(Gc::<Table>::new(&mut heap, 0, 0).expect("memory"));
                let (key, value) = if keys { (object, number) } else { (number, object) };
                t.set(&mut heap, key, value).expect("memory");
                let what = match random.next_u32() % 16 {
                    0 => Drive::EpochEnd(1),
                    1 => Drive::EpochEndAndStart,
                    2 => Drive::Release(8),
                    3 => Drive::Phase(1),
                    4..7 => Drive::Clean(1),
                    _ => continue,
                };
                // SAFETY: what is needed later is in the table.
                unsafe { heap.drive(&NoRoots, what) };
                if step % 8 == 0
                    // SAFETY: as above.
                    && let Err(error) = unsafe { heap.audit() }
                {
                    panic!("after {what:?} in step {step}: {error}");
                }
            }
        }
    }
}
