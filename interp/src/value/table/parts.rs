//! What a table consists of beside its own cell: the cells of the array part, of hash parts and of their directory, and the nodes.

use super::LuaHeap;
use super::progression::Progressions;
use crate::value::kinds::kind;
use crate::value::{Tag, Value};
use neap_gc::{Header, OutOfMemory, Ref, Side};
use std::cell::Cell;
use std::ops::Range;
use std::ptr::NonNull;

/// Bit of the key tag in the nodes of weak tables (T4).
pub(super) const WEAK_KEY: u8 = 0x80;

/// Nodes of the largest hash part. What has more entries has a directory of parts of this size. (In tests small tables are to
/// be large.)
pub(in crate::value) const SEGMENT: usize = if cfg!(test) { 512 } else { 4096 };
/// A part of that size with fewer entries may be merged.
pub(super) const SPARSE: usize = SEGMENT / 4;
/// A hash part that has no more than so many nodes stays when it is empty.
pub(super) const KEPT_NODES: usize = 64;
/// Key tag of the node that stands in front of a directory, where other tables have their first one: it is no key.
pub(super) const LARGE: u8 = 0x7F;

/// An entry of the hash part.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Node {
    pub(super) value_bits: u64,
    pub(super) key_bits: u64,
    /// Of the key.
    pub(super) hash: u32,
    /// Distance in nodes to the next one of the chain, 0 at its end.
    pub(super) next: i16,
    pub(super) value_tag: Tag,
    pub(super) key_tag: u8,
}

impl Node {
    /// One that no chain uses: zeros.
    pub(super) const UNUSED: Node =
        Node { value_bits: 0, key_bits: 0, hash: 0, next: 0, value_tag: Tag::NIL, key_tag: Tag::NIL.0 };

    /// The index of the next one of the chain, this one's being `i`.
    #[inline(always)]
    pub(super) fn after(&self, i: usize) -> usize {
        (i as isize + self.next as isize) as usize
    }
    /// Whether the key is here, or was when it was removed.
    #[inline(always)]
    pub(super) fn is_trace(&self, key: Value) -> bool {
        let tag = self.key_tag & !WEAK_KEY;
        let was = |removed: Tag| tag == removed.0;
        self.key_bits == key.bits()
            && (was(key.tag()) || was(Tag::DEAD_KEY) && key.is_ref() || was(Tag::REMOVED_STR) && key.is_str())
    }
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
    /// Another value for the key.
    #[inline(always)]
    pub(super) fn overwrite(&mut self, v: Value) {
        if v.is_nil() {
            self.kill();
        } else {
            self.set_value(v);
        }
    }
    /// Whether a string that was removed is held here still (T3).
    #[inline(always)]
    pub(super) fn is_removed_str(&self) -> bool {
        self.key_tag == Tag::REMOVED_STR.0
    }
    /// The value becomes nil, and the key, a string, is held (T3).
    pub(super) fn retire(&mut self) {
        self.set_value(Value::NIL);
        self.key_tag = Tag::REMOVED_STR.0;
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
    /// Whether the copy of a weak hash part keeps the entry (R13).
    pub(super) fn copy_keeps(self, heap: &LuaHeap, n: &Node) -> bool {
        // SAFETY: the references stand in a weak storage, as the collector left them.
        let keeps = |weak: Option<Ref>, side| weak.is_none_or(|r| unsafe { heap.copy_keeps(r, side) });
        keeps(self.weak_key(n.key()), Side::Key) && keeps(self.weak_value(n.value()), Side::Value)
    }
}

/// The cell of an array part.
#[repr(C)]
pub(in crate::value) struct ArrayPart {
    header: Header,
    pub(super) len: Cell<u32>,
}

/// The cell of a hash part (T6).
#[repr(C)]
pub(in crate::value) struct NodePart {
    header: Header,
    len: Cell<u16>,
    pub(super) free: Cell<u16>,
    pub(super) live: Cell<u16>,
    /// Leading bits of the hash that all keys of a part of a directory have in common.
    pub(super) depth: Cell<u8>,
    /// Whether there may be strings that were removed and are held.
    pub(super) holds_removed: Cell<bool>,
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
    /// The collector has found an entry dead.
    pub(in crate::value) fn kill(&self, i: usize) {
        // SAFETY: one of the nodes; nobody else looks at it.
        unsafe { (*self.node(i)).kill() };
        self.live.set(self.live.get() - 1);
    }
    pub(in crate::value) fn forget(&self) {
        self.len.set(0);
    }
    /// What is said of another part is true of this one, but that so many entries live.
    pub(super) fn take_over(&self, other: &NodePart, live: u16) {
        self.live.set(live);
        self.free.set(other.free.get());
        self.depth.set(other.depth.get());
    }
}

/// What stands where a table without a hash part has its nodes: one that is never written.
pub(super) struct NoNodes(Node);
// SAFETY: never written.
unsafe impl Sync for NoNodes {}
pub(super) static NO_NODES: NoNodes = NoNodes(Node::UNUSED);

impl NoNodes {
    #[inline(always)]
    pub(super) const fn first(&'static self) -> *mut Node {
        (&raw const self.0).cast_mut()
    }
}

/// The cell of a directory: entry `i` is the hash part of the keys whose hash begins with the bits of `i`.
#[repr(C)]
pub(in crate::value) struct Directory {
    header: Header,
    /// A power of two from 2 on.
    len: Cell<u32>,
    /// How far the leading bits of a hash are shifted: 32 less their number.
    shift: Cell<u32>,
    /// What fast paths find in the place of the first node.
    sign: Node,
    progressions: Cell<Progressions>,
    entries: [Cell<Ref>; 0],
}

impl Directory {
    pub(super) const DEPTH_MAX: u8 = 24;

    /// A new one, whose entries the caller writes before the next safepoint.
    pub(super) fn alloc(heap: &LuaHeap, depth: u8, progressions: Progressions) -> Result<NonNull<Directory>, OutOfMemory> {
        let len = 1usize << depth;
        // SAFETY: a kind of the table; the head is initialised here.
        unsafe {
            let cell = heap.alloc(kind::DIRECTORY, size_of::<Directory>() + len * size_of::<Ref>())?;
            let directory = cell.as_ptr().cast::<Directory>();
            (&raw mut (*directory).len).write(Cell::new(len as u32));
            (&raw mut (*directory).shift).write(Cell::new(32 - u32::from(depth)));
            (&raw mut (*directory).progressions).write(Cell::new(progressions));
            (&raw mut (*directory).sign).write(Node { key_tag: LARGE, ..Node::UNUSED });
            Ok(NonNull::new_unchecked(directory))
        }
    }
    #[inline(always)]
    pub(super) fn progressions(&self) -> Progressions {
        self.progressions.get()
    }
    pub(super) fn set_progressions(&self, learned: Progressions) {
        self.progressions.set(learned);
    }
    /// The node that stands in it, as a table's first.
    pub(super) fn sign(&self) -> *mut Node {
        (&raw const self.sign).cast_mut()
    }
    pub(in crate::value) fn len(&self) -> usize {
        self.len.get() as usize
    }
    pub(super) fn depth(&self) -> u8 {
        (32 - self.shift.get()) as u8
    }
    #[inline(always)]
    pub(super) fn index_of(&self, hash: u32) -> usize {
        (hash >> self.shift.get()) as usize
    }
    #[inline(always)]
    pub(in crate::value) fn entry(&self, i: usize) -> &Cell<Ref> {
        debug_assert!(i < self.len());
        // SAFETY: the entries follow the head.
        unsafe { &*self.entries.as_ptr().add(i) }
    }
}

/// The cell behind slots, or behind nodes other than that of [`NO_NODES`].
#[inline(always)]
pub(super) fn part_of<T>(first: *mut T) -> Ref {
    debug_assert!(first.cast::<Node>() != NO_NODES.first());
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

/// The first of so many unused nodes, a power of two; at most [`SEGMENT`].
pub(super) fn alloc_nodes(heap: &LuaHeap, k: u8, count: usize) -> Result<*mut Node, OutOfMemory> {
    debug_assert!(count.is_power_of_two() && count <= SEGMENT);
    // SAFETY: a kind of the table; the head and all nodes are initialised here. An unused node is zeros.
    unsafe {
        let cell = heap.alloc(k, NodePart::cell_size(count))?;
        let part = cell.as_ptr().cast::<NodePart>();
        (&raw mut (*part).len).write(Cell::new(count as u16));
        (&raw mut (*part).free).write(Cell::new(count as u16));
        (&raw mut (*part).live).write(Cell::new(0));
        (&raw mut (*part).depth).write(Cell::new(0));
        (&raw mut (*part).holds_removed).write(Cell::new(false));
        let nodes = cell.as_ptr().add(PART_HEAD).cast::<Node>();
        nodes.write_bytes(0, count);
        Ok(nodes)
    }
}
