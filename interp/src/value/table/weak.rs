//! Weak tables (`__mode`): what stands in them is read, kept and copied by the collector's leave.
//!
//! * **T4** A weak table has no array part (or is about to lose it: `change`), and the nodes of weak parts carry [`WEAK_KEY`] in the key tag, so that no
//!   fast path matches them: whoever misses looks at [`Table::is_weak`] and asks the collector.

use super::nodes::Nodes;
use super::parts::{Hold, Node, WEAK_KEY, alloc_slots, part_of};
use super::{LuaHeap, SetError, Table};
use crate::value::gc::Gc;
use crate::value::{Tag, Value};
use neap_gc::Ref;
use std::ptr::NonNull;

impl Gc<Table> {
    #[cold]
    pub(super) fn get_weak(self, heap: &mut LuaHeap, hash: u32, key: Value) -> Value {
        let nodes = self.nodes_for(hash);
        match (nodes.hold(), nodes.find(hash, key, key.tag().0 | WEAK_KEY)) {
            (Some(hold), Some(i)) => hold.value_of(heap, nodes.node(i)),
            _ => Value::NIL,
        }
    }

    #[cold]
    pub(super) fn set_weak(self, heap: &mut LuaHeap, hash: u32, key: Value, value: Value) -> Result<(), SetError> {
        let nodes = self.nodes_for(hash);
        let Some(hold) = nodes.hold() else {
            // This part is strong still, or by now.
            return match nodes.find(hash, key, key.tag().0) {
                Some(i) => {
                    self.write(heap, nodes, i, value);
                    Ok(())
                }
                None if value.is_nil() => Ok(()),
                None => self.insert(heap, hash, key, value),
            };
        };
        let Some(i) = nodes.find(hash, key, key.tag().0 | WEAK_KEY) else {
            return if value.is_nil() { Ok(()) } else { self.insert(heap, hash, key, value) };
        };
        hold.tell(heap, key, value);
        let n = nodes.node(i);
        if hold.any_strong(n.key(), n.value()) || hold.strong_value(value).is_some() {
            // SAFETY: V1; the barrier comes before the write (V2).
            unsafe { heap.barrier(nodes.cell(), i) };
        }
        nodes.overwrite(i, value);
        Ok(())
    }
}

impl Hold {
    /// Tells the collector of what an entry is about to hold weakly. The values are in the hands of the running program, or stand in a strong part.
    pub(super) fn tell(self, heap: &LuaHeap, key: Value, value: Value) {
        for r in [self.weak_key(key), self.weak_value(value)].into_iter().flatten() {
            // SAFETY: as said.
            unsafe { heap.weak_hold(r) };
        }
    }

    /// Reads the value of a weak node by the collector's leave.
    pub(super) fn value_of(self, heap: &LuaHeap, n: &Node) -> Value {
        let v = n.value();
        let Some(r) = v.as_ref() else { return v };
        // SAFETY: the value stands in a weak storage, as the collector left it.
        unsafe {
            if self.weak_value(v).is_none() {
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

    /// The same where the key is read, too. `None`: there is no such entry any more.
    #[cold]
    pub(super) fn entry_of(self, heap: &LuaHeap, n: &Node) -> Option<Value> {
        // SAFETY: the key stands in a weak storage, as the collector left it.
        if self.weak_key(n.key()).is_some_and(|r| !unsafe { heap.weak_key(r) }) {
            return None;
        }
        let v = self.value_of(heap, n);
        if v.is_nil() { None } else { Some(v) }
    }
}

impl Nodes {
    /// How many strong references go with what a copy of these nodes does not keep: entries of weak ones, and strings that were removed.
    pub(super) fn leavings(self, heap: &LuaHeap, hold: Option<Hold>) -> usize {
        let nodes = (0..self.len()).map(|i| self.node(i));
        match hold {
            Some(hold) => {
                nodes.filter(|n| !n.value().is_nil() && !hold.copy_keeps(heap, n) && hold.any_strong(n.key(), n.value())).count()
            }
            None if self.exist() && self.part().holds_removed.get() => nodes.filter(|n| n.is_removed_str()).count(),
            None => 0,
        }
    }

    /// Entry `i`, which the copy of these weak nodes does not keep. What takes over the counts of the old part must hold the same references (R28): the
    /// strong one goes to the leavings, or is removed from the old part as by any removal.
    pub(super) fn leave(self, heap: &LuaHeap, hold: Hold, i: usize, leavings: &mut Leavings) {
        let n = self.node(i);
        // One side is weak, or the copy would keep it.
        let strong = match (hold.strong_key(n.key()), hold.strong_value(n.value())) {
            (Some(_), _) => n.key(),
            (None, Some(_)) => n.value(),
            (None, None) => return,
        };
        self.give_up(heap, i, strong, leavings);
    }

    /// The same for a node without a value: it may hold a string that was removed.
    #[inline(always)]
    pub(super) fn leave_removed(self, heap: &LuaHeap, i: usize, leavings: &mut Leavings) {
        let n = self.node(i);
        if n.is_removed_str() {
            self.give_up(heap, i, Value::from_parts(Tag::STR, n.key_bits), leavings);
        }
    }

    fn give_up(self, heap: &LuaHeap, i: usize, strong: Value, leavings: &mut Leavings) {
        if !leavings.take(strong) {
            // SAFETY: V1: the part is the table's until the next safepoint; the barrier comes before the write (V2).
            unsafe { heap.barrier(self.cell(), i) };
            self.node(i).kill();
        }
    }
}

/// The strong references that a hash part gives up when it is copied (most of them of weak entries): an array part that nobody refers to. Beside the new hash part
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
            let mut heap = Heap::new(LuaRuntime::default(), Config::default()).expect("a heap");
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
