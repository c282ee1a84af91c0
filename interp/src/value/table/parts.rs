//! What a table consists of beside its own cell: the cells of the array part and of the hash part, and the nodes of the latter.

use super::LuaHeap;
use crate::value::kinds::kind;
use crate::value::{Tag, Value};
use neap_gc::{Header, OutOfMemory, Ref};
use std::cell::Cell;
use std::ops::Range;
use std::ptr::NonNull;

/// Bit of the key tag in the nodes of weak tables (T4).
pub(super) const WEAK_KEY: u8 = 0x80;

/// An entry of the hash part.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Node {
    pub(super) value_bits: u64,
    pub(super) key_bits: u64,
    pub(super) value_tag: Tag,
    pub(super) key_tag: u8,
    /// Distance in nodes to the next one of the chain, 0 at its end.
    pub(super) next: i32,
}

impl Node {
    pub(super) const EMPTY: Node = Node { value_bits: 0, key_bits: 0, value_tag: Tag::NIL, key_tag: 0, next: 0 };

    #[inline(always)]
    pub fn key(&self) -> Value {
        Value::from_parts(Tag(self.key_tag & !WEAK_KEY), self.key_bits)
    }
    #[inline(always)]
    pub fn value(&self) -> Value {
        Value::from_parts(self.value_tag, self.value_bits)
    }
    /// Whether this is the (interned) string key, in a table that is not weak.
    #[inline(always)]
    pub fn is_key(&self, key: Value) -> bool {
        self.key_bits == key.bits() && self.key_tag == Tag::STR.0
    }
    #[inline(always)]
    pub fn set_value(&mut self, v: Value) {
        self.value_bits = v.bits();
        self.value_tag = v.tag();
    }
    pub(super) fn set_key(&mut self, k: Value, weak: bool) {
        self.key_bits = k.bits();
        self.key_tag = k.tag().0 | if weak { WEAK_KEY } else { 0 };
    }
    /// Another value for the key.
    #[inline(always)]
    pub(super) fn overwrite(&mut self, v: Value) {
        if v.is_nil() {
            self.kill();
        } else {
            self.set_value(v);
        }
    }
    /// The value becomes nil (T3).
    pub(in crate::value) fn kill(&mut self) {
        self.set_value(Value::NIL);
        if self.key().is_ref() {
            self.key_tag = Tag::DEAD_KEY.0;
        }
    }
}

/// What the entries of a hash part hold weakly. Strings are values, not objects: they are held strongly everywhere.
#[derive(Clone, Copy)]
pub(in crate::value) struct Hold {
    weak_keys: bool,
    weak_values: bool,
}

impl Hold {
    #[inline(always)]
    pub(in crate::value) fn of(k: u8) -> Hold {
        Hold {
            weak_keys: k == kind::NODES_EPHEMERON || k == kind::NODES_ALL_WEAK,
            weak_values: k == kind::NODES_WEAK_VALUES || k == kind::NODES_ALL_WEAK,
        }
    }
    /// The key, if it is a reference that is held weakly. Likewise below.
    #[inline(always)]
    pub(in crate::value) fn weak_key(self, key: Value) -> Option<Ref> {
        if self.weak_keys && !key.is_str() { key.as_ref() } else { None }
    }
    #[inline(always)]
    pub(in crate::value) fn weak_value(self, value: Value) -> Option<Ref> {
        if self.weak_values && !value.is_str() { value.as_ref() } else { None }
    }
    #[inline(always)]
    pub(in crate::value) fn strong_key(self, key: Value) -> Option<Ref> {
        if self.weak_keys && !key.is_str() { None } else { key.as_ref() }
    }
    #[inline(always)]
    pub(in crate::value) fn strong_value(self, value: Value) -> Option<Ref> {
        if self.weak_values && !value.is_str() { None } else { value.as_ref() }
    }
    #[inline(always)]
    pub(in crate::value) fn any_strong(self, key: Value, value: Value) -> bool {
        self.strong_key(key).is_some() || self.strong_value(value).is_some()
    }
}

/// The cell of an array part.
#[repr(C)]
pub(in crate::value) struct ArrayPart {
    header: Header,
    pub(super) len: Cell<u32>,
}

/// The cell of a hash part.
#[repr(C)]
pub(in crate::value) struct NodePart {
    header: Header,
    pub(super) len: Cell<u32>,
}

pub(super) const PART_HEAD: usize = 16;
/// From here on an array part grows to one slot less than a power of two: with its head it fills its cell, or its pages.
pub(super) const SNUG: usize = 64;

impl ArrayPart {
    pub(in crate::value) fn cell_size(len: usize) -> usize {
        PART_HEAD + len * size_of::<Value>()
    }
    pub(in crate::value) fn len(&self) -> usize {
        self.len.get() as usize
    }
    #[inline(always)]
    pub(in crate::value) fn values(&self, range: Range<usize>) -> &[Value] {
        debug_assert!(range.end <= self.len());
        // SAFETY: T1; the collector, who calls this, runs while nobody writes.
        unsafe {
            let first = (&raw const *self).cast::<u8>().add(PART_HEAD).cast::<Value>();
            std::slice::from_raw_parts(first.add(range.start), range.len())
        }
    }
    pub(in crate::value) fn forget(&self) {
        self.len.set(0);
    }
}

impl NodePart {
    pub(in crate::value) fn cell_size(len: usize) -> usize {
        PART_HEAD + len * size_of::<Node>()
    }
    pub(in crate::value) fn len(&self) -> usize {
        self.len.get() as usize
    }
    #[inline(always)]
    pub(in crate::value) fn nodes(&self, range: Range<usize>) -> &[Node] {
        debug_assert!(range.end <= self.len());
        // SAFETY: all nodes are initialised; the collector, who calls this, runs while nobody writes.
        unsafe { std::slice::from_raw_parts(self.node(range.start), range.len()) }
    }
    #[inline(always)]
    pub(in crate::value) fn node(&self, i: usize) -> *mut Node {
        // SAFETY: the nodes follow the head.
        unsafe { (&raw const *self).cast_mut().cast::<u8>().add(PART_HEAD).cast::<Node>().add(i) }
    }
    pub(in crate::value) fn forget(&self) {
        self.len.set(0);
    }
}

/// The hash part of a table that has none: one node, never written.
struct Dummy(Node);
// SAFETY: never written.
unsafe impl Sync for Dummy {}
static DUMMY: Dummy = Dummy(Node::EMPTY);

pub(super) fn dummy() -> *mut Node {
    (&raw const DUMMY.0).cast_mut()
}

/// The cell behind slots or nodes that are not the dummy.
#[inline(always)]
pub(super) fn part_of<T>(first: *mut T) -> Ref {
    debug_assert!(first.cast::<Node>() != dummy());
    // SAFETY: they stand behind the head of a live cell.
    unsafe { Ref::from_ptr(NonNull::new_unchecked(first.cast::<u8>().sub(PART_HEAD))) }
}

/// An array part of at least one slot; its slots are uninitialised, and are initialised before the next safepoint.
pub(super) fn alloc_slots(heap: &LuaHeap, len: usize) -> Result<*mut Value, OutOfMemory> {
    // SAFETY: a kind of the table; the head is initialised here, the slots by the caller.
    unsafe {
        let cell = heap.alloc(kind::ARRAY, ArrayPart::cell_size(len))?;
        (&raw mut (*cell.as_ptr().cast::<ArrayPart>()).len).write(Cell::new(len as u32));
        Ok(cell.as_ptr().add(PART_HEAD).cast::<Value>())
    }
}

pub(super) fn alloc_nodes(heap: &mut LuaHeap, k: u8, count: usize) -> Result<*mut Node, OutOfMemory> {
    // SAFETY: a kind of the table; the head and all nodes are initialised here.
    unsafe {
        let cell = heap.alloc(k, NodePart::cell_size(count))?;
        (&raw mut (*cell.as_ptr().cast::<NodePart>()).len).write(Cell::new(count as u32));
        let nodes = cell.as_ptr().add(PART_HEAD).cast::<Node>();
        for i in 0..count {
            nodes.add(i).write(Node::EMPTY);
        }
        Ok(nodes)
    }
}
