//! Tables: an array part and a hash part, each a storage cell of its own; the hash part of a large table is many.
//!
//! Here are the table's own cell, reading and writing. One hash part is in `nodes`, large tables in `directory`, the sizes in `resize`, what is put off in
//! `sparse`, the array part in `array`, what weak tables do otherwise in `weak`, how a table becomes one in `change`, traversal and the border in `walk`.
//! Nothing here moves more than some thousand entries at once.
//!
//! * **T1** All slots of the array part are initialised; key `i` with `1 <= i <= array_len` stands there and nowhere else. What its cell has beyond is nil.
//! * **T2**, **T3**, **T6** See `nodes`. **T4** See `weak`. **T7**, **T8** See `directory`. **T9** See `progression`. **T10** See `sparse`. **T11** See `change`.
//! * **T5** The bits of [`Table::absent`] say that a metamethod is surely absent; any new key clears them.

mod array;
mod change;
mod directory;
mod nodes;
mod parts;
#[cfg(test)]
mod programs;
mod progression;
mod resize;
mod sparse;
#[cfg(test)]
mod tests;
mod walk;
mod weak;

pub use change::ModeChanges;
pub use parts::Node;
pub(super) use parts::{ArrayPart, Directory, Hold, NodePart};
pub use sparse::SparseTables;
pub use walk::Entry;

use super::gc::Gc;
use super::kinds::{LuaRuntime, kind};
use super::string::Str;
use super::{Tag, Value, float_to_int, hash};
use neap_gc::{Header, Heap, OutOfMemory, Ref};
use nodes::{Nodes, Place};
use parts::{KEPT_NODES, NO_NODES, SEGMENT, SNUG, part_of};
use std::cell::Cell;
use std::ptr::NonNull;

/// A table cell.
#[repr(C)]
pub struct Table {
    header: Header,
    array: Cell<*mut Value>,
    nodes: Cell<*mut Node>,
    meta: Cell<Option<Gc<Table>>>,
    array_len: Cell<u32>,
    /// What `array_len` is on its way to (`array`).
    goal: Cell<u32>,
    /// Where a border was found last.
    border: Cell<u32>,
    /// Number of nodes minus one (a power of two minus one); T8.
    mask: Cell<u16>,
    marks: Cell<u8>,
    /// The kind of its hash parts (T11).
    mode: Cell<u8>,
}

/// Bits of [`Table::marks`].
mod mark {
    /// There may be a traversal that has not ended. Until a new key comes, which ends all, nothing moves.
    pub const TRAVERSED: u8 = 1;
    /// There may be integers in the hash part.
    pub const INTEGERS: u8 = 2;
    /// As a metatable it says nothing of weakness, for all that is known (T5).
    pub const NO_MODE: u8 = 4;
    /// It waits for what becomes of it (T10).
    pub const WAITS: u8 = 8;
    /// It is on its way to another mode (T11).
    pub const CHANGES: u8 = 16;
    /// A key has been added since a removal last looked at the size.
    pub const GREW: u8 = 32;
}

/// Bits of `Header::aux` of a table.
const AUX_WEAK: u8 = 0x80;
const AUX_ABSENT: u8 = 0x7F;

/// Slots that are copied behind one barrier.
const COPY_STEP: usize = 64;

/// The longest string that is held when it has been removed (T3), in bytes: with its head it takes about as much memory as its node.
const HELD_LEN: usize = 40;

/// Why a key can't be set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SetError {
    NilIndex,
    NanIndex,
    Overflow,
    Memory,
}

impl From<OutOfMemory> for SetError {
    fn from(_: OutOfMemory) -> SetError {
        SetError::Memory
    }
}

type LuaHeap = Heap<LuaRuntime>;

impl Table {
    pub(super) fn trace(&self, visit: &mut impl FnMut(Ref)) {
        if let Some(cell) = self.array_part() {
            visit(cell);
        }
        if let Some(cell) = self.nodes_cell() {
            visit(cell);
        }
        if let Some(meta) = self.meta.get() {
            visit(meta.as_ref());
        }
    }
    #[inline(always)]
    pub fn meta(&self) -> Option<Gc<Table>> {
        self.meta.get()
    }
    #[inline(always)]
    pub fn is_weak(&self) -> bool {
        self.header.aux.get() & AUX_WEAK != 0
    }
    /// The bits of metamethods known to be absent (T5).
    #[inline(always)]
    pub fn absent(&self) -> u8 {
        self.header.aux.get()
    }
    pub fn note_absent(&self, bit: u8) {
        self.header.aux.set(self.header.aux.get() | (bit & AUX_ABSENT));
    }
    /// Whether there is surely no `__mode`.
    #[inline(always)]
    pub fn has_no_mode(&self) -> bool {
        self.has_mark(mark::NO_MODE)
    }
    pub fn note_no_mode(&self) {
        self.set_mark(mark::NO_MODE, true);
    }
    #[inline(always)]
    pub fn array_len(&self) -> usize {
        self.array_len.get() as usize
    }
    /// The slots of the array part.
    #[inline(always)]
    pub fn array(&self) -> *mut Value {
        self.array.get()
    }
    #[inline(always)]
    pub fn nodes(&self) -> *mut Node {
        self.nodes.get()
    }
    #[inline(always)]
    pub fn mask(&self) -> u32 {
        u32::from(self.mask.get())
    }
    #[inline(always)]
    fn has_nodes(&self) -> bool {
        self.nodes.get() != NO_NODES.first()
    }
    fn set_mark(&self, bit: u8, on: bool) {
        let marks = self.marks.get();
        self.marks.set(if on { marks | bit } else { marks & !bit });
    }
    fn has_mark(&self, bit: u8) -> bool {
        self.marks.get() & bit != 0
    }
    /// The cell behind the array part, for its barrier. Only if there is one.
    #[inline(always)]
    pub fn array_cell_unchecked(&self) -> Ref {
        debug_assert!(self.array_len.get() > 0);
        part_of(self.array.get())
    }
    /// The same, if there is one.
    #[inline(always)]
    fn array_part(&self) -> Option<Ref> {
        (self.array.get() != NonNull::dangling().as_ptr()).then(|| part_of(self.array.get()))
    }
    /// The cell behind the hash part, or the directory. Only if there is one.
    #[inline(always)]
    pub fn nodes_cell_unchecked(&self) -> Ref {
        debug_assert!(self.has_nodes());
        part_of(self.nodes.get())
    }
    #[inline(always)]
    pub fn nodes_cell(&self) -> Option<Ref> {
        if self.has_nodes() { Some(self.nodes_cell_unchecked()) } else { None }
    }
    fn array_values(&self) -> &[Value] {
        // SAFETY: T1.
        unsafe { std::slice::from_raw_parts(self.array.get(), self.array_len()) }
    }
    /// The node of an interned string key in a table that is neither weak nor large.
    #[inline(always)]
    pub fn find_str(&self, key: Gc<Str>) -> Option<usize> {
        Nodes::new(self.nodes.get(), self.mask()).find(key.key_hash(), Value::str(key), Tag::STR.0)
    }
    /// The hash of a normalised key in this table.
    #[inline(always)]
    fn hash_of(&self, key: Value) -> u32 {
        if self.is_large() { self.directory().progressions().hash(key) } else { hash::of_key(key) }
    }
    /// The node of a normalised key, in a table that is not weak.
    #[inline(always)]
    fn find(&self, hash: u32, key: Value) -> Option<(Nodes, usize)> {
        let nodes = self.nodes_for(hash);
        nodes.find(hash, key, key.tag().0).map(|i| (nodes, i))
    }
}

impl Gc<Table> {
    pub fn new(heap: &mut LuaHeap, array: usize, hash: usize) -> Result<Gc<Table>, OutOfMemory> {
        // SAFETY: a kind of the table; all fields are initialised below.
        let t: Gc<Table> = unsafe {
            let cell = heap.alloc(kind::TABLE, size_of::<Table>())?;
            let t = cell.as_ptr().cast::<Table>();
            (&raw mut (*t).array).write(Cell::new(NonNull::dangling().as_ptr()));
            (&raw mut (*t).nodes).write(Cell::new(NO_NODES.first()));
            (&raw mut (*t).meta).write(Cell::new(None));
            (&raw mut (*t).array_len).write(Cell::new(0));
            (&raw mut (*t).goal).write(Cell::new(0));
            (&raw mut (*t).border).write(Cell::new(0));
            (&raw mut (*t).mask).write(Cell::new(0));
            (&raw mut (*t).marks).write(Cell::new(0));
            (&raw mut (*t).mode).write(Cell::new(kind::NODES));
            Gc::from_ref(cell)
        };
        if array > 0 {
            t.resize_array(heap, array)?;
        }
        if hash > 0 {
            // What is to become large grows.
            let count = hash.checked_next_power_of_two().map_or(SEGMENT, |count| count.min(SEGMENT));
            t.install_nodes(Nodes::alloc(heap, kind::NODES, count)?);
        }
        Ok(t)
    }

    pub fn set_meta(self, heap: &mut LuaHeap, meta: Option<Gc<Table>>) {
        // SAFETY: V1; the barrier comes before the write (V2).
        unsafe { heap.barrier(self.as_ref(), 0) };
        self.meta.set(meta);
    }

    // ---- reading

    #[inline(always)]
    pub fn get_int(self, heap: &mut LuaHeap, i: i64) -> Value {
        let at = (i as u64).wrapping_sub(1);
        if at < self.array_len.get() as u64 {
            // SAFETY: T1.
            unsafe { *self.array.get().add(at as usize) }
        } else {
            self.get_slow(heap, Value::int(i))
        }
    }

    /// The value of an interned string.
    #[inline(always)]
    pub fn get_str(self, heap: &mut LuaHeap, key: Gc<Str>) -> Value {
        match self.find_str(key) {
            // SAFETY: an index just found.
            Some(i) => unsafe { (*self.nodes.get().add(i)).value() },
            None if self.is_weak() || self.is_large() => self.get_hashed(heap, key.key_hash(), Value::str(key)),
            None => Value::NIL,
        }
    }

    pub fn get(self, heap: &mut LuaHeap, mut key: Value) -> Value {
        match key.tag() {
            Tag::STR => {
                return match key.as_str().and_then(|s| s.lookup_interned(heap)) {
                    Some(s) => self.get_str(heap, s),
                    None => Value::NIL,
                };
            }
            Tag::FLOAT => key = float_to_int(key.raw_float()).map_or(key, Value::int),
            Tag::NIL => return Value::NIL,
            _ => {}
        }
        if key.is_int() {
            let at = (key.raw_int() as u64).wrapping_sub(1);
            if at < self.array_len.get() as u64 {
                // SAFETY: T1.
                return unsafe { *self.array.get().add(at as usize) };
            }
        }
        self.get_hashed(heap, self.hash_of(key), key)
    }

    #[inline(never)]
    fn get_slow(self, heap: &mut LuaHeap, key: Value) -> Value {
        self.get_hashed(heap, self.hash_of(key), key)
    }

    #[inline(always)]
    fn get_hashed(self, heap: &mut LuaHeap, hash: u32, key: Value) -> Value {
        match self.find(hash, key) {
            Some((nodes, i)) => nodes.node(i).value(),
            None if self.is_weak() => self.get_weak(heap, hash, key),
            None => Value::NIL,
        }
    }

    // ---- writing

    /// Writes a slot of the array part; `at` counts from 0 and is in range.
    #[inline(always)]
    pub fn set_slot(self, heap: &mut LuaHeap, at: usize, value: Value) {
        debug_assert!(at < self.array_len());
        // SAFETY: T1; the barrier comes before the write (V2).
        unsafe {
            let slot = self.array.get().add(at);
            if value.is_ref() || (*slot).is_ref() {
                heap.barrier(self.array_cell_unchecked(), at);
            }
            *slot = value;
        }
    }

    /// Copies slots `from..from + count` of the array part of `source` to slots `to..to + count` of this one's, as if all were read before any is
    /// written. They count from 0 and are in range.
    pub fn copy_slots(self, heap: &LuaHeap, to: usize, source: Gc<Table>, from: usize, count: usize) {
        debug_assert!(to + count <= self.array_len() && from + count <= source.array_len());
        // SAFETY: (whole function) T1; the barriers come before the writes (V2).
        unsafe {
            let (old, new) = (self.array.get().add(to), source.array.get().add(from));
            let mut at = 0;
            while at < count {
                let end = count.min(at + COPY_STEP);
                // Numbers alone make no slot dirty: a large array of them counts as a leaf.
                if holds_reference(old.add(at), end - at) || holds_reference(new.add(at), end - at) {
                    heap.barrier_range(self.array_cell_unchecked(), to + at..to + end);
                }
                at = end;
            }
            old.copy_from(new, count);
        }
    }

    /// Writes the value of a node that has its key, in a table that is neither weak nor large.
    #[inline(always)]
    pub fn set_node(self, heap: &mut LuaHeap, i: usize, value: Value) {
        self.write(heap, self.own_nodes(), i, value);
    }

    #[inline(always)]
    fn write(self, heap: &mut LuaHeap, nodes: Nodes, i: usize, value: Value) {
        if value.is_nil() {
            return self.remove(heap, nodes, i);
        }
        let n = nodes.node(i);
        if value.is_ref() || n.value().is_ref() {
            // SAFETY: a node with a key; the barrier comes before the write (V2).
            unsafe { heap.barrier(nodes.cell(), i) };
        }
        nodes.overwrite(i, value);
    }

    /// The value of a node that has its key becomes nil.
    #[inline(never)]
    fn remove(self, heap: &mut LuaHeap, nodes: Nodes, i: usize) {
        let n = nodes.node(i);
        // A traversal takes no memory with it: what it removes may be the last for a long time.
        let held =
            nodes.len() > KEPT_NODES && n.key().as_str().is_some_and(|s| s.len() <= HELD_LEN) && !self.has_mark(mark::TRAVERSED);
        if n.value().is_ref() || (n.key().is_ref() && !held) {
            // SAFETY: a node with a key; the barrier comes before the write (V2).
            unsafe { heap.barrier(nodes.cell(), i) };
        }
        if held {
            nodes.retire(i);
        } else {
            nodes.overwrite(i, Value::NIL);
        }
        self.has_lost_one(heap, nodes, n.hash);
    }

    #[inline]
    pub fn set_int(self, heap: &mut LuaHeap, i: i64, value: Value) -> Result<(), SetError> {
        let at = (i as u64).wrapping_sub(1);
        if at < self.array_len.get() as u64 {
            self.set_slot(heap, at as usize, value);
            return Ok(());
        }
        self.set_hashed(heap, Value::int(i), value)
    }

    /// Sets the value of an interned string.
    #[inline(never)]
    pub fn set_str(self, heap: &mut LuaHeap, key: Gc<Str>, value: Value) -> Result<(), SetError> {
        let (hash, key) = (key.key_hash(), Value::str(key));
        if self.is_weak() {
            return self.set_weak(heap, hash, key, value);
        }
        let nodes = self.nodes_for(hash);
        match nodes.find_str(hash, key) {
            Some(i) if nodes.node(i).is_removed_str() => {
                if !value.is_nil() {
                    self.revive(heap, nodes, i, value);
                }
                Ok(())
            }
            Some(i) => {
                self.write(heap, nodes, i, value);
                Ok(())
            }
            None if value.is_nil() => Ok(()),
            None => self.insert(heap, hash, key, value),
        }
    }

    /// A string that was removed from a node, and is held there, has a value again.
    #[inline(always)]
    fn revive(self, heap: &mut LuaHeap, nodes: Nodes, i: usize, value: Value) {
        self.note_new_key();
        if value.is_ref() {
            // SAFETY: a node with a key; the barrier comes before the write (V2).
            unsafe { heap.barrier(nodes.cell(), i) };
        }
        nodes.revive(i, value);
    }

    pub fn set(self, heap: &mut LuaHeap, key: Value, value: Value) -> Result<(), SetError> {
        match key.tag() {
            Tag::INT => self.set_int(heap, key.raw_int(), value),
            Tag::STR => {
                let s = key.as_str().expect("a string");
                let s = if value.is_nil() {
                    match s.lookup_interned(heap) {
                        Some(s) => s,
                        None => return Ok(()),
                    }
                } else {
                    s.interned(heap)?
                };
                self.set_str(heap, s, value)
            }
            Tag::FLOAT => match float_to_int(key.raw_float()) {
                Some(i) => self.set_int(heap, i, value),
                None if key.raw_float().is_nan() => Err(SetError::NanIndex),
                None => self.set_hashed(heap, key, value),
            },
            Tag::NIL => Err(SetError::NilIndex),
            _ => self.set_hashed(heap, key, value),
        }
    }

    /// Sets a normalised key that is no string and does not belong to the array part.
    #[inline(never)]
    fn set_hashed(self, heap: &mut LuaHeap, key: Value, value: Value) -> Result<(), SetError> {
        let hash = self.hash_of(key);
        if self.is_weak() {
            return self.set_weak(heap, hash, key, value);
        }
        let nodes = self.nodes_for(hash);
        match nodes.place_of(hash, key, key.tag().0) {
            Place::Key(i) => self.write(heap, nodes, i, value),
            _ if value.is_nil() => {}
            Place::Vacant(i) if self.takes_in_nodes(key) => {
                self.note_new_key();
                nodes.put_at(heap, i, hash, key, value);
            }
            _ => return self.insert(heap, hash, key, value),
        }
        Ok(())
    }

    /// Whether a new key of a table that is not weak goes to a hash part, and nothing else has to be done with it.
    #[inline(always)]
    fn takes_in_nodes(self, key: Value) -> bool {
        let len = self.array_len.get();
        if key.is_int() {
            // `takes_next`, of a table with nodes.
            if key.raw_int() == i64::from(len) + 1 && len as usize >= SNUG {
                return false;
            }
            self.set_mark(mark::INTEGERS, true);
        }
        self.goal.get() == len
    }

    /// T5; and all traversals end.
    #[inline(always)]
    fn note_new_key(self) {
        self.header().aux.set(self.header().aux.get() & AUX_WEAK);
        self.marks.set(self.marks.get() & !(mark::TRAVERSED | mark::NO_MODE) | mark::GREW);
    }

    /// Adds a key that is not in the table. The value is not nil.
    fn insert(self, heap: &mut LuaHeap, hash: u32, key: Value, value: Value) -> Result<(), SetError> {
        self.note_new_key();
        if key.is_int() {
            if self.takes_next(key.raw_int()) {
                return self.append(heap, key, value);
            }
            self.set_mark(mark::INTEGERS, true);
        }
        if self.goal.get() == self.array_len.get() && !self.is_weak() && self.nodes_for(hash).put(heap, hash, key, value) {
            return Ok(());
        }
        self.insert_further(heap, hash, key, value)
    }

    /// The same where there is more to be done than to write a node.
    #[inline(never)]
    fn insert_further(self, heap: &mut LuaHeap, mut hash: u32, key: Value, value: Value) -> Result<(), SetError> {
        if self.goal.get() != self.array_len.get() {
            if self.move_on(heap).is_err() {
                // No memory for another length: this one will do.
                self.goal.set(self.array_len.get());
            }
            // The table may have become large by that, or be large no more.
            hash = self.hash_of(key);
        }
        self.insert_hashed(heap, hash, key, value)
    }

    /// Adds a key, where it belongs by now.
    fn insert_hashed(self, heap: &mut LuaHeap, mut hash: u32, key: Value, value: Value) -> Result<(), SetError> {
        loop {
            if let Some(i) = key.as_int()
                && (i as u64).wrapping_sub(1) < self.array_len.get() as u64
            {
                self.set_slot(heap, i as usize - 1, value);
                return Ok(());
            }
            if key.is_int() {
                self.set_mark(mark::INTEGERS, true);
            }
            let nodes = self.nodes_for(hash);
            let hold = if self.is_weak() { nodes.hold() } else { None };
            if let Some(hold) = hold {
                hold.tell(heap, key, value);
            }
            if nodes.insert(heap, hold, hash, key, value) {
                return Ok(());
            }
            self.grow(heap, hash, key)?;
            // As above.
            hash = self.hash_of(key);
        }
    }
}

/// # Safety
/// So many slots of an array part.
#[inline(always)]
unsafe fn holds_reference(first: *const Value, count: usize) -> bool {
    // SAFETY: by the caller.
    let values = unsafe { std::slice::from_raw_parts(first, count) };
    // The first one mostly tells; without it, all are looked at without branches between.
    values.first().is_some_and(|value| value.is_ref()) || values.iter().fold(false, |any, value| any | value.is_ref())
}
