//! The hash part: a chained scatter table with Brent's variation (Brent 1973), fully loaded before it grows. A colliding entry that is not in its
//! main position makes way for one that is.
//!
//! * **T2** Every entry whose value is not nil is reached by the chain that starts at the main position of its key. String keys are interned.
//! * **T3** An entry whose value becomes nil gives up its key at once if that is a reference (`DEAD_KEY`); its node stays in its chain, where the
//!   next key of that chain may take it over.

use super::{AUX_WEAK, LuaHeap, SetError, Table};
use crate::value::gc::Gc;
use crate::value::string::Str;
use crate::value::{Tag, Value};

impl Table {
    #[inline(always)]
    pub(super) fn main_position(&self, key: Value) -> usize {
        const MIX: u64 = 0x9E37_79B9_7F4A_7C15;
        let hash = match key.tag() {
            Tag::STR => key.as_str().map_or(0, |s| s.key_hash()),
            Tag::INT | Tag::FLOAT => (key.bits().wrapping_mul(MIX) >> 32) as u32,
            Tag::NIL | Tag::FALSE | Tag::TRUE => key.tag().0 as u32,
            _ => ((key.bits() >> 4).wrapping_mul(MIX) >> 32) as u32,
        };
        (hash & self.mask.get()) as usize
    }
    /// The node of a key, by tag and bits.
    #[inline(always)]
    pub(super) fn find(&self, key: Value, key_tag: u8) -> Option<usize> {
        let mut i = self.main_position(key);
        loop {
            let n = self.node(i);
            if n.key_bits == key.bits() && n.key_tag == key_tag {
                return Some(i);
            }
            if n.next == 0 {
                return None;
            }
            i = (i as i32 + n.next) as usize;
        }
    }
    /// The node of an interned string key in a table that is not weak.
    #[inline(always)]
    pub fn find_str(&self, key: Gc<Str>) -> Option<usize> {
        let mut i = (key.key_hash() & self.mask.get()) as usize;
        let bits = key.as_ptr() as u64;
        loop {
            let n = self.node(i);
            if n.key_bits == bits && n.key_tag == Tag::STR.0 {
                return Some(i);
            }
            if n.next == 0 {
                return None;
            }
            i = (i as i32 + n.next) as usize;
        }
    }
}

impl Gc<Table> {
    /// Adds a key that is not in the table. The value is not nil.
    pub(super) fn insert(self, heap: &mut LuaHeap, key: Value, value: Value) -> Result<(), SetError> {
        self.header().aux.set(self.header().aux.get() & AUX_WEAK);
        if !self.has_nodes() {
            return self.grow_and_insert(heap, key, value);
        }
        let weak = self.is_weak();
        let part = self.nodes_cell_unchecked();
        let mp = self.main_position(key);
        // A node of this chain without a value can be taken over (T3).
        let mut i = mp;
        let target = loop {
            let n = self.node(i);
            if n.value_tag == Tag::NIL {
                break i;
            }
            if n.next == 0 {
                let Some(free) = self.take_free() else { return self.grow_and_insert(heap, key, value) };
                let occupant = self.node(mp).key();
                let home = self.main_position(occupant);
                if home == mp {
                    // The occupant is at home: the new key goes to the free node, behind it in the chain.
                    let (m, f) = (self.node(mp).next, self.node(free));
                    f.next = if m == 0 { 0 } else { mp as i32 + m - free as i32 };
                    self.node(mp).next = free as i32 - mp as i32;
                    break free;
                }
                // The occupant is a guest: it moves to the free node.
                if self.has_strong(occupant, self.node(mp).value()) {
                    // SAFETY: V1; the barriers come before the writes (V2); both indices are within the nodes.
                    unsafe {
                        heap.barrier(part, free);
                        heap.barrier(part, mp);
                    }
                }
                let mut before = home;
                loop {
                    let next = (before as i32 + self.node(before).next) as usize;
                    if next == mp {
                        break;
                    }
                    before = next;
                }
                self.node(before).next = free as i32 - before as i32;
                // R13: the collector may have been at the free node already, and not here yet.
                if weak && self.node(mp).value_tag != Tag::NIL && !self.copy_keeps(heap, self.node(mp)) {
                    self.node(mp).kill();
                }
                let moved = *self.node(mp);
                *self.node(free) = moved;
                if moved.next != 0 {
                    self.node(free).next = mp as i32 + moved.next - free as i32;
                }
                // It leaves its link behind: others of this chain may stand behind it.
                break mp;
            }
            i = (i as i32 + n.next) as usize;
        };
        // What stood there has no reference, or has passed the barrier.
        if self.has_strong(key, value) {
            // SAFETY: as above.
            unsafe { heap.barrier(part, target) };
        }
        let n = self.node(target);
        n.set_key(key, weak);
        n.set_value(value);
        Ok(())
    }

    /// Whether an entry holds a strong reference in this table.
    #[inline(always)]
    fn has_strong(self, key: Value, value: Value) -> bool {
        (key.is_ref() || value.is_ref()) && (!self.is_weak() || self.hold().any_strong(key, value))
    }

    /// A node that no chain uses.
    pub(super) fn take_free(self) -> Option<usize> {
        let mut i = self.free.get() as usize;
        while i > 0 {
            i -= 1;
            if self.node(i).key_tag == Tag::NIL.0 {
                self.free.set(i as u32);
                return Some(i);
            }
        }
        self.free.set(0);
        None
    }
}
