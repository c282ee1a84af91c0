//! The order of traversal, which is that of the slots and then of the nodes, and the border.

use super::parts::WEAK_KEY;
use super::{LuaHeap, Table};
use crate::value::gc::Gc;
use crate::value::{Tag, Value, float_to_int};

/// What comes next in a traversal.
pub enum Entry {
    /// An entry, and the position behind it.
    Found(usize, Value, Value),
    /// So far there is none: the search goes on from here.
    Further(usize),
    End,
}

/// The most places without an entry that are looked at in one go.
const EMPTY_PLACES: usize = 4096;

impl Gc<Table> {
    /// Whether the traversal stands at a position after it has given `key`.
    #[inline(always)]
    pub fn is_position(self, position: usize, key: Value) -> bool {
        let len = self.array_len();
        if position <= len {
            return key.is_int() && key.raw_int() == position as i64;
        }
        let i = position - len - 1;
        if i >= self.node_count() {
            return false;
        }
        let n = self.node(i);
        let tag = n.key_tag & !WEAK_KEY;
        n.key_bits == key.bits() && (tag == key.tag().0 || (tag == Tag::DEAD_KEY.0 && key.is_ref()))
    }

    /// The position behind a key in the order of traversal; `None`: there is no such key.
    pub fn position_after(self, heap: &mut LuaHeap, key: Value) -> Option<usize> {
        let key = match key.tag() {
            Tag::NIL => return Some(0),
            Tag::FLOAT => float_to_int(key.raw_float()).map_or(key, Value::int),
            Tag::STR => Value::str(key.as_str()?.lookup_interned(heap)?),
            _ => key,
        };
        if let Some(i) = key.as_int()
            && (i as u64).wrapping_sub(1) < self.array_len.get() as u64
        {
            return Some(i as usize);
        }
        // The entry may have been removed since: then its key is dead, its address still there (T3).
        let mut i = self.main_position(key);
        loop {
            let n = self.node(i);
            let tag = n.key_tag & !WEAK_KEY;
            if n.key_bits == key.bits() && (tag == key.tag().0 || (tag == Tag::DEAD_KEY.0 && key.is_ref())) && self.has_nodes() {
                return Some(self.array_len() + i + 1);
            }
            if n.next == 0 {
                return None;
            }
            i = (i as i32 + n.next) as usize;
        }
    }

    /// The first entry at or after a position, which is looked for in steps.
    #[inline(always)]
    pub fn entry_from(self, heap: &mut LuaHeap, mut at: usize) -> Entry {
        let len = self.array_len();
        let end = at + EMPTY_PLACES;
        while at < len {
            // SAFETY: T1.
            let v = unsafe { *self.array.get().add(at) };
            at += 1;
            if !v.is_nil() {
                return Entry::Found(at, Value::int(at as i64), v);
            }
            if at == end {
                return Entry::Further(at);
            }
        }
        let count = self.node_count();
        while at - len < count {
            let i = at - len;
            let n = *self.node(i);
            at += 1;
            if n.value_tag != Tag::NIL {
                if n.key_tag & WEAK_KEY == 0 {
                    return Entry::Found(at, n.key(), n.value());
                }
                if let Some(v) = self.weak_entry(heap, i) {
                    return Entry::Found(at, n.key(), v);
                }
            }
            if at == end {
                return Entry::Further(at);
            }
        }
        Entry::End
    }

    /// The first entry at or after a position, and the position behind it, however far it is.
    pub fn next_entry(self, heap: &mut LuaHeap, mut at: usize) -> Option<(usize, Value, Value)> {
        loop {
            match self.entry_from(heap, at) {
                Entry::Found(at, key, value) => return Some((at, key, value)),
                Entry::Further(further) => at = further,
                Entry::End => return None,
            }
        }
    }

    /// A border (`#t` without metamethods).
    pub fn length(self, heap: &mut LuaHeap) -> i64 {
        let len = self.array_len();
        if len > 0 {
            let values = self.array_values();
            if values[len - 1].is_nil() {
                // Near the last one, as a rule.
                let hint = (self.border.get() as usize).min(len - 1);
                let at = if hint > 0 && values[hint - 1].is_nil() {
                    if hint > 1 && !values[hint - 2].is_nil() { hint - 1 } else { search_border(values, 0, hint) }
                } else if values[hint].is_nil() {
                    hint
                } else if values[hint + 1].is_nil() {
                    hint + 1
                } else {
                    search_border(values, hint + 1, len)
                };
                self.border.set(at as u32);
                return at as i64;
            }
            self.border.set(len as u32);
        }
        if !self.has_nodes() {
            return len as i64;
        }
        // The array part is full: the border is in the hash part, or at its start.
        let (mut low, mut high) = (len as i64, len as i64 + 1);
        while !self.get_int(heap, high).is_nil() {
            low = high;
            if high == i64::MAX {
                return high;
            }
            high = high.saturating_mul(2);
        }
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.get_int(heap, middle).is_nil() {
                high = middle;
            } else {
                low = middle;
            }
        }
        low
    }
}

/// A border in `low..high`: slot `low` counts as present (or is 0), slot `high` is nil.
fn search_border(values: &[Value], mut low: usize, mut high: usize) -> usize {
    // Invariant: low == 0 or values[low - 1] is not nil; values[high - 1] is nil.
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if values[middle - 1].is_nil() {
            high = middle;
        } else {
            low = middle;
        }
    }
    low
}
