//! The order of traversal, which is that of the slots and then of the nodes, and the border.

use super::directory::span;
use super::nodes::Nodes;
use super::parts::{SEGMENT, WEAK_KEY};
use super::{LuaHeap, Table, mark};
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
        let (nodes, i) = self.nodes_from(position - len - 1);
        i < nodes.len() && nodes.node(i).is_trace(key)
    }

    /// The nodes that hold place `i` of the hash part, and where in them it is. The places of a large table are those of its directory's entries, one after the
    /// other; a part that has several has its nodes at the first.
    #[inline(always)]
    fn nodes_from(self, i: usize) -> (Nodes, usize) {
        if !self.is_large() {
            return (self.own_nodes(), i);
        }
        let directory = self.directory();
        if i / SEGMENT >= directory.len() {
            return (Nodes::NONE, i);
        }
        (Nodes::of_segment(directory.entry(i / SEGMENT).get()), i % SEGMENT)
    }

    /// The next place of a large table, from `i` on, that is in no part's repetition.
    fn first_place(self, i: usize) -> Option<usize> {
        let directory = self.directory();
        let entry = i / SEGMENT;
        if entry >= directory.len() {
            return None;
        }
        let entries = span(directory, entry, Nodes::of_segment(directory.entry(entry).get()).part());
        if entry == entries.start { Some(i) } else { self.first_place(entries.end * SEGMENT) }
    }

    /// The position behind a key in the order of traversal; `None`: there is no such key.
    pub fn position_after(self, heap: &mut LuaHeap, key: Value) -> Option<usize> {
        let key = match key.tag() {
            Tag::NIL => return Some(0),
            Tag::FLOAT => float_to_int(key.raw_float()).map_or(key, Value::int),
            Tag::STR => Value::str(key.as_str()?.lookup_interned(heap)?),
            _ => key,
        };
        if self.is_weak() {
            self.end_array(heap);
        }
        if let Some(i) = key.as_int()
            && (i as u64).wrapping_sub(1) < self.array_len.get() as u64
        {
            return Some(i as usize);
        }
        let hash = self.hash_of(key);
        let nodes = self.nodes_for(hash);
        // The entry may have been removed since.
        let mut i = nodes.exist().then(|| nodes.find_trace(hash, key)).flatten()?;
        if self.is_large() {
            let directory = self.directory();
            i += span(directory, directory.index_of(hash), nodes.part()).start * SEGMENT;
        }
        Some(self.array_len() + i + 1)
    }

    /// The first entry at or after a position, which is looked for in steps.
    #[inline(always)]
    pub fn entry_from(self, heap: &mut LuaHeap, mut at: usize) -> Entry {
        if at == 0 && self.is_weak() {
            self.end_array(heap);
        }
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
        self.hashed_entry_from(heap, at, end)
    }

    #[inline(always)]
    fn hashed_entry_from(self, heap: &mut LuaHeap, mut at: usize, end: usize) -> Entry {
        let len = self.array_len();
        if self.is_large() {
            match self.first_place(at - len) {
                Some(i) => at = len + i,
                None => return Entry::End,
            }
        }
        self.marks.set(self.marks.get() | mark::TRAVERSED);
        let (nodes, mut i) = self.nodes_from(at - len);
        while i < nodes.len() {
            let n = *nodes.node(i);
            (i, at) = (i + 1, at + 1);
            if n.value_tag != Tag::NIL {
                if n.key_tag & WEAK_KEY == 0 {
                    return Entry::Found(at, n.key(), n.value());
                }
                if let Some(v) = nodes.hold().and_then(|hold| hold.entry_of(heap, &n)) {
                    return Entry::Found(at, n.key(), v);
                }
            }
            if at == end {
                return Entry::Further(at);
            }
        }
        if self.is_large() { Entry::Further(at) } else { Entry::End }
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
