//! Tables: an array part and a hash part, each a storage cell of its own.
//!
//! Here are the table's own cell, reading and writing; the hash part is in `hash`, what weak tables do otherwise in `weak`, the change of
//! sizes in `resize`, traversal and the border in `walk`.
//!
//! * **T1** All slots of the array part are initialised; key `i` with `1 <= i <= array_len` stands there and nowhere else.
//! * **T2**, **T3** See `hash`. **T4** See `weak`.
//! * **T5** The bits of [`Table::absent`] say that a metamethod is surely absent; any new key clears them.

mod hash;
mod parts;
mod resize;
mod walk;
mod weak;

pub use parts::Node;
pub(super) use parts::{ArrayPart, Hold, NodePart};
pub use walk::Entry;

use super::gc::Gc;
use super::kinds::{LuaRuntime, kind};
use super::string::Str;
use super::{Tag, Value, float_to_int};
use neap_gc::{Header, Heap, OutOfMemory, Ref};
use parts::{alloc_nodes, dummy, part_of};
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
    /// Number of nodes minus one (a power of two minus one).
    mask: Cell<u32>,
    /// No node at or above this index is free.
    free: Cell<u32>,
    /// Where a border was found last.
    border: Cell<u32>,
}

/// Bits of `Header::aux` of a table.
const AUX_WEAK: u8 = 0x80;
const AUX_ABSENT: u8 = 0x7F;

/// Slots that are copied behind one barrier.
const COPY_STEP: usize = 64;

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
        if let Some(cell) = self.array_cell() {
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
        self.mask.get()
    }
    #[inline(always)]
    fn has_nodes(&self) -> bool {
        self.nodes.get() != dummy()
    }
    fn node_count(&self) -> usize {
        if self.has_nodes() { self.mask.get() as usize + 1 } else { 0 }
    }
    /// The cell behind the array part, for its barrier. Only if there is one.
    #[inline(always)]
    pub fn array_cell_unchecked(&self) -> Ref {
        debug_assert!(self.array_len.get() > 0);
        part_of(self.array.get())
    }
    #[inline(always)]
    pub fn array_cell(&self) -> Option<Ref> {
        if self.array_len.get() > 0 { Some(self.array_cell_unchecked()) } else { None }
    }
    /// The cell behind the hash part. Only if there is one.
    #[inline(always)]
    pub fn nodes_cell_unchecked(&self) -> Ref {
        debug_assert!(self.has_nodes());
        part_of(self.nodes.get())
    }
    #[inline(always)]
    pub fn nodes_cell(&self) -> Option<Ref> {
        if self.has_nodes() { Some(self.nodes_cell_unchecked()) } else { None }
    }
    #[inline(always)]
    #[allow(clippy::mut_from_ref)]
    fn node(&self, i: usize) -> &mut Node {
        debug_assert!(i <= self.mask.get() as usize);
        // SAFETY: in range; the table's users are single-threaded and hold such a borrow for single statements. The dummy is only read.
        unsafe { &mut *self.nodes.get().add(i) }
    }
}

impl Gc<Table> {
    pub fn new(heap: &mut LuaHeap, array: usize, hash: usize) -> Result<Gc<Table>, OutOfMemory> {
        // SAFETY: a kind of the table; all fields are initialised below.
        let t: Gc<Table> = unsafe {
            let cell = heap.alloc(kind::TABLE, size_of::<Table>())?;
            let t = cell.as_ptr().cast::<Table>();
            (&raw mut (*t).array).write(Cell::new(NonNull::dangling().as_ptr()));
            (&raw mut (*t).nodes).write(Cell::new(dummy()));
            (&raw mut (*t).meta).write(Cell::new(None));
            (&raw mut (*t).array_len).write(Cell::new(0));
            (&raw mut (*t).mask).write(Cell::new(0));
            (&raw mut (*t).free).write(Cell::new(0));
            (&raw mut (*t).border).write(Cell::new(0));
            Gc::from_ref(cell)
        };
        if array > 0 {
            t.resize_array(heap, array)?;
        }
        if hash > 0 {
            let count = hash.checked_next_power_of_two().filter(|&n| n <= 1 << 30).ok_or(OutOfMemory)?;
            let nodes = alloc_nodes(heap, kind::NODES, count)?;
            t.install_nodes(nodes, count);
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
            Some(i) => self.node(i).value(),
            None if self.is_weak() => self.get_weak(heap, Value::str(key)),
            None => Value::NIL,
        }
    }

    pub fn get(self, heap: &mut LuaHeap, key: Value) -> Value {
        match key.tag() {
            Tag::INT => self.get_int(heap, key.raw_int()),
            Tag::STR => match key.as_str().and_then(|s| s.lookup_interned(heap)) {
                Some(s) => self.get_str(heap, s),
                None => Value::NIL,
            },
            Tag::FLOAT => match float_to_int(key.raw_float()) {
                Some(i) => self.get_int(heap, i),
                None => self.get_slow(heap, key),
            },
            Tag::NIL => Value::NIL,
            _ => self.get_slow(heap, key),
        }
    }

    #[inline(never)]
    fn get_slow(self, heap: &mut LuaHeap, key: Value) -> Value {
        match self.find(key, key.tag().0) {
            Some(i) => self.node(i).value(),
            None if self.is_weak() => self.get_weak(heap, key),
            None => Value::NIL,
        }
    }

    fn array_values(&self) -> &[Value] {
        // SAFETY: T1.
        unsafe { std::slice::from_raw_parts(self.array.get(), self.array_len()) }
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

    /// Writes the value of a node that has its key, in a table that is not weak.
    #[inline(always)]
    pub fn set_node(self, heap: &mut LuaHeap, i: usize, value: Value) {
        let n = self.node(i);
        if value.is_ref() || n.value().is_ref() || (value.is_nil() && n.key().is_ref()) {
            // SAFETY: a node with a key is no dummy; the barrier comes before the write (V2).
            unsafe { heap.barrier(self.nodes_cell_unchecked(), i) };
        }
        n.overwrite(value);
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
    pub fn set_str(self, heap: &mut LuaHeap, key: Gc<Str>, value: Value) -> Result<(), SetError> {
        self.set_hashed(heap, Value::str(key), value)
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
                self.set_hashed(heap, Value::str(s), value)
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

    /// Sets a normalised key that does not belong to the array part.
    #[inline(never)]
    fn set_hashed(self, heap: &mut LuaHeap, key: Value, value: Value) -> Result<(), SetError> {
        if self.is_weak() {
            return self.set_weak(heap, key, value);
        }
        if let Some(i) = self.find(key, key.tag().0) {
            self.set_node(heap, i, value);
            return Ok(());
        }
        if value.is_nil() {
            return Ok(());
        }
        self.insert(heap, key, value)
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
