//! One hash part: a chained scatter table with Brent's variation (Brent 1973), fully loaded before it is replaced. A colliding entry that is not in its main
//! position makes way for one that is. Tables below a size have one, larger ones a directory of them (`directory`).
//!
//! ```text
//!   NodePart   header | len free live depth | node 0 | node 1 | ...
//!   Node       value (8) | key (8) | hash of the key (4) | next (2) | tags of value and key (1, 1)
//! ```
//!
//! * **T2** Every entry whose value is not nil is reached by the chain that starts at the main position of its key. String keys are interned.
//! * **T3** An entry whose value becomes nil gives up its key at once if that is a reference (`DEAD_KEY`); its node stays in its chain, where the
//!   next key of that chain may take it over. A short string, whose life nobody can see, is held by a larger part (`REMOVED_STR`): it may come again, and
//!   then the collector need not be told of either. No such key is in a weak table, nor a second time in its chain behind its own node.
//! * **T6** `live` is the number of nodes whose value is not nil; no node at or above `free` is unused.

use super::LuaHeap;
use super::parts::{Hold, LARGE, NO_NODES, Node, NodePart, SEGMENT, WEAK_KEY, alloc_nodes, part_of};
use crate::value::kinds::kind;
use crate::value::{Tag, Value};
use neap_gc::{OutOfMemory, Ref};

/// The nodes of a hash part, or the one of [`NO_NODES`].
#[derive(Clone, Copy)]
pub(super) struct Nodes {
    first: *mut Node,
    mask: u32,
}

/// What a search for a key has found.
pub(super) enum Place {
    Key(usize),
    /// The first node of its chain that has no entry: the key may take it over (T3).
    Vacant(usize),
    None,
}

impl Nodes {
    #[inline(always)]
    pub(super) fn new(first: *mut Node, mask: u32) -> Nodes {
        Nodes { first, mask }
    }
    /// Those of a part of a directory.
    #[inline(always)]
    pub(super) fn of_segment(part: Ref) -> Nodes {
        // SAFETY: the nodes follow the head.
        Nodes { first: unsafe { (*part.as_ptr().cast::<NodePart>()).node(0) }, mask: SEGMENT as u32 - 1 }
    }
    /// New ones, all empty.
    pub(super) fn alloc(heap: &LuaHeap, kind: u8, count: usize) -> Result<Nodes, OutOfMemory> {
        Ok(Nodes { first: alloc_nodes(heap, kind, count)?, mask: count as u32 - 1 })
    }

    /// Those of a table that has none.
    pub(super) const NONE: Nodes = Nodes { first: NO_NODES.first(), mask: 0 };

    pub(super) fn first(self) -> *mut Node {
        self.first
    }
    pub(super) fn mask(self) -> u32 {
        self.mask
    }
    #[inline(always)]
    pub(super) fn len(self) -> usize {
        if self.exist() { self.mask as usize + 1 } else { 0 }
    }
    #[inline(always)]
    pub(super) fn exist(self) -> bool {
        self.first != NO_NODES.first()
    }
    #[inline(always)]
    #[allow(clippy::mut_from_ref)]
    pub(super) fn node<'a>(self, i: usize) -> &'a mut Node {
        debug_assert!(i <= self.mask as usize);
        // SAFETY: in range; the table's users are single-threaded and hold such a borrow for single statements. The one of `NO_NODES` is only read.
        unsafe { &mut *self.first.add(i) }
    }
    /// The cell behind the nodes. Only if there is one.
    #[inline(always)]
    pub(super) fn cell(self) -> Ref {
        debug_assert!(self.exist());
        part_of(self.first)
    }
    #[inline(always)]
    pub(super) fn part<'a>(self) -> &'a NodePart {
        // SAFETY: the nodes stand in such a cell, which lives while its table holds it, and till the next safepoint.
        unsafe { &*self.cell().as_ptr().cast::<NodePart>() }
    }

    /// The node of a key, by tag and bits.
    #[inline(always)]
    pub(super) fn find(self, hash: u32, key: Value, key_tag: u8) -> Option<usize> {
        let mut i = (hash & self.mask) as usize;
        loop {
            let n = self.node(i);
            if n.key_bits == key.bits() && n.key_tag == key_tag {
                return Some(i);
            }
            if n.next == 0 {
                return None;
            }
            i = n.after(i);
        }
    }

    /// Where a key is that is no string, or may be put.
    #[inline(always)]
    pub(super) fn place_of(self, hash: u32, key: Value, key_tag: u8) -> Place {
        let mut i = (hash & self.mask) as usize;
        let mut vacant = None;
        loop {
            let n = self.node(i);
            if n.key_bits == key.bits() && n.key_tag == key_tag {
                return Place::Key(i);
            }
            if vacant.is_none() && n.value_tag == Tag::NIL && !n.is_removed_str() {
                vacant = Some(i);
            }
            if n.next == 0 {
                break;
            }
            i = n.after(i);
        }
        match vacant {
            Some(i) if self.exist() => Place::Vacant(i),
            _ => Place::None,
        }
    }

    /// The node of a key, also if it has been removed since: its key is dead then, its address still there (T3).
    pub(super) fn find_trace(self, hash: u32, key: Value) -> Option<usize> {
        let mut i = (hash & self.mask) as usize;
        loop {
            let n = self.node(i);
            if n.is_trace(key) {
                return Some(i);
            }
            if n.next == 0 {
                return None;
            }
            i = n.after(i);
        }
    }

    /// Writes the value of a node that has a key, after the barrier, and keeps count.
    #[inline(always)]
    pub(super) fn overwrite(self, i: usize, value: Value) {
        let n = self.node(i);
        let was = n.value_tag != Tag::NIL;
        n.overwrite(value);
        if was == value.is_nil() {
            let live = &self.part().live;
            live.set(if was { live.get() - 1 } else { live.get() + 1 });
        }
    }

    /// The value of a node becomes nil, after the barrier if that had a reference. The key, a string, is held.
    pub(super) fn retire(self, i: usize) {
        self.node(i).retire();
        let part = self.part();
        part.live.set(part.live.get() - 1);
        part.holds_removed.set(true);
    }

    /// The node of a string, also if it has been removed and is held.
    #[inline(always)]
    pub(super) fn find_str(self, hash: u32, key: Value) -> Option<usize> {
        let mut i = (hash & self.mask) as usize;
        loop {
            let n = self.node(i);
            if n.key_bits == key.bits() && (n.key_tag == Tag::STR.0 || n.is_removed_str()) {
                return Some(i);
            }
            if n.next == 0 {
                return None;
            }
            i = n.after(i);
        }
    }

    /// A string that was removed is a key again, after the barrier if the value is a reference.
    #[inline(always)]
    pub(super) fn revive(self, i: usize, value: Value) {
        let n = self.node(i);
        n.key_tag = Tag::STR.0;
        n.set_value(value);
        let live = &self.part().live;
        live.set(live.get() + 1);
    }

    /// Does what [`insert`](Self::insert) does, for nodes that are not weak, if the main position has no entry.
    #[inline(always)]
    pub(super) fn put(self, heap: &LuaHeap, hash: u32, key: Value, value: Value) -> bool {
        let i = (hash & self.mask) as usize;
        let n = self.node(i);
        if n.value_tag != Tag::NIL || n.is_removed_str() || !self.exist() {
            return false;
        }
        self.put_at(heap, i, hash, key, value);
        true
    }

    /// Adds an entry in a vacant place (`place_of`) of nodes that are not weak.
    #[inline(always)]
    pub(super) fn put_at(self, heap: &LuaHeap, i: usize, hash: u32, key: Value, value: Value) {
        if key.is_ref() || value.is_ref() {
            // SAFETY: V1; the barrier comes before the write (V2).
            unsafe { heap.barrier(self.cell(), i) };
        }
        self.write_entry(i, hash, key, key.tag().0, value);
    }

    #[inline(always)]
    fn write_entry(self, i: usize, hash: u32, key: Value, key_tag: u8, value: Value) {
        let n = self.node(i);
        n.key_bits = key.bits();
        n.key_tag = key_tag;
        n.hash = hash;
        n.set_value(value);
        let live = &self.part().live;
        live.set(live.get() + 1);
    }

    /// Adds an entry whose key is in no node, not as a string that was removed either; the value is not nil. `hold` is that of weak nodes. `false`: there is no room.
    pub(super) fn insert(self, heap: &LuaHeap, hold: Option<Hold>, hash: u32, key: Value, value: Value) -> bool {
        if !self.exist() {
            return false;
        }
        let has_strong =
            |key: Value, value: Value| (key.is_ref() || value.is_ref()) && hold.is_none_or(|hold| hold.any_strong(key, value));
        let part = self.cell();
        let mp = (hash & self.mask) as usize;
        // A node of this chain without a value can be taken over (T3).
        let mut i = mp;
        let target = loop {
            let n = self.node(i);
            if n.value_tag == Tag::NIL {
                break i;
            }
            if n.next == 0 {
                let Some(free) = self.take_free() else { return false };
                let home = (self.node(mp).hash & self.mask) as usize;
                if home == mp {
                    // The occupant is at home: the new key goes to the free node, behind it in the chain.
                    let (m, f) = (self.node(mp).next, self.node(free));
                    f.next = if m == 0 { 0 } else { (mp as i32 + m as i32 - free as i32) as i16 };
                    self.node(mp).next = (free as i32 - mp as i32) as i16;
                    break free;
                }
                // The occupant is a guest: it moves to the free node.
                if has_strong(self.node(mp).key(), self.node(mp).value()) {
                    // SAFETY: V1; the barriers come before the writes (V2); both indices are within the nodes.
                    unsafe {
                        heap.barrier(part, free);
                        heap.barrier(part, mp);
                    }
                }
                let mut before = home;
                loop {
                    let next = self.node(before).after(before);
                    if next == mp {
                        break;
                    }
                    before = next;
                }
                self.node(before).next = (free as i32 - before as i32) as i16;
                // R13: the collector may have been at the free node already, and not here yet.
                if let Some(hold) = hold
                    && self.node(mp).value_tag != Tag::NIL
                    && !hold.copy_keeps(heap, self.node(mp))
                {
                    self.overwrite(mp, Value::NIL);
                }
                let moved = *self.node(mp);
                *self.node(free) = moved;
                if moved.next != 0 {
                    self.node(free).next = (mp as i32 + moved.next as i32 - free as i32) as i16;
                }
                // It leaves its link behind: others of this chain may stand behind it. What it has is counted where it is now.
                self.node(mp).value_tag = Tag::NIL;
                break mp;
            }
            i = n.after(i);
        };
        let n = self.node(target);
        // What else stood there has no reference, or has passed the barrier.
        if n.is_removed_str() || has_strong(key, value) {
            // SAFETY: as above.
            unsafe { heap.barrier(part, target) };
        }
        self.write_entry(target, hash, key, key.tag().0 | if hold.is_some() { WEAK_KEY } else { 0 }, value);
        true
    }

    /// Lets the nodes go that have no key any more and links the others anew: no entry moves, and the collector need not know. `false`: that is no help, few
    /// nodes could go, or what is to go holds references.
    pub(super) fn clear(self) -> bool {
        if !self.exist() || self.kind() != kind::NODES || self.part().holds_removed.get() {
            return false;
        }
        let mut unused = self.len() - self.part().live.get() as usize;
        for i in 0..self.len() {
            let n = self.node(i);
            if n.value_tag == Tag::NIL {
                *n = Node::UNUSED;
            }
            n.next = 0;
        }
        for i in 0..self.len() {
            let n = self.node(i);
            let home = (n.hash & self.mask) as usize;
            if n.key_tag == Tag::NIL.0 || n.key_tag == Tag::DEAD_KEY.0 || home == i {
                continue;
            }
            let first = self.node(home);
            if first.key_tag == Tag::NIL.0 {
                // The chain begins there all the same.
                (first.key_tag, first.hash) = (Tag::DEAD_KEY.0, n.hash);
                unused -= 1;
            }
            // It stands behind its main position, with those that stand behind it (whose main position it has).
            let mut last = i;
            while self.node(last).next != 0 {
                last = self.node(last).after(last);
            }
            if first.next != 0 {
                self.node(last).next = (first.after(home) as i32 - last as i32) as i16;
            }
            first.next = (i as i32 - home as i32) as i16;
        }
        self.part().free.set(self.len() as u16);
        unused > 0 && unused >= self.len() / 8
    }

    /// A node that no chain uses.
    fn take_free(self) -> Option<usize> {
        let part = self.part();
        let mut i = part.free.get() as usize;
        while i > 0 {
            i -= 1;
            if self.node(i).key_tag == Tag::NIL.0 {
                part.free.set(i as u16);
                return Some(i);
            }
        }
        part.free.set(0);
        None
    }
}

const _: () = assert!(SEGMENT <= i16::MAX as usize && LARGE != Tag::DEAD_KEY.0);
