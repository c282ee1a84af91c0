//! Tables: an array part and a hash part, each a storage cell of its own.
//!
//! The hash part is a chained scatter table with Brent's variation (Brent 1973), fully loaded before it grows: a colliding entry that is not in its main
//! position makes way for one that is.
//!
//! * **T1** All slots of the array part are initialised; key `i` with `1 <= i <= array_len` stands there and nowhere else.
//! * **T2** Every entry whose value is not nil is reached by the chain that starts at the main position of its key. String keys are interned.
//! * **T3** An entry whose value becomes nil gives up its key at once if that is a reference (`DEAD_KEY`); its node stays in its chain, where the
//!   next key of that chain may take it over.
//! * **T4** A weak table (`__mode`) has no array part, and its nodes carry [`WEAK_KEY`] in the key tag, so that no fast path matches them: whoever misses looks
//!   at [`Table::is_weak`] and asks the collector.
//! * **T5** The bits of [`Table::absent`] say that a metamethod is surely absent; any new key clears them.

use super::gc::Gc;
use super::kinds::{LuaRuntime, kind, weakly_holdable};
use super::string::Str;
use super::{Tag, Value, float_to_int};
use neap_gc::{Header, Heap, OutOfMemory, Ref};
use std::cell::Cell;
use std::ops::Range;
use std::ptr::NonNull;

/// Bit of the key tag in the nodes of weak tables (T4).
const WEAK_KEY: u8 = 0x80;

/// An entry of the hash part.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Node {
    value_bits: u64,
    key_bits: u64,
    value_tag: Tag,
    key_tag: u8,
    /// Distance in nodes to the next one of the chain, 0 at its end.
    next: i32,
}

impl Node {
    const EMPTY: Node = Node { value_bits: 0, key_bits: 0, value_tag: Tag::NIL, key_tag: 0, next: 0 };

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
    fn set_key(&mut self, k: Value, weak: bool) {
        self.key_bits = k.bits();
        self.key_tag = k.tag().0 | if weak { WEAK_KEY } else { 0 };
    }
    /// The value becomes nil (T3).
    pub(super) fn kill(&mut self) {
        self.set_value(Value::NIL);
        if self.key().is_ref() {
            self.key_tag = Tag::DEAD_KEY.0;
        }
    }
}

/// The cell of an array part.
#[repr(C)]
pub(super) struct ArrayPart {
    header: Header,
    len: Cell<u32>,
}

/// The cell of a hash part.
#[repr(C)]
pub(super) struct NodePart {
    header: Header,
    len: Cell<u32>,
}

const PART_HEAD: usize = 16;
/// From here on an array part grows to one slot less than a power of two: with its head it fills its cell, or its pages.
const SNUG: usize = 64;

impl ArrayPart {
    pub(super) fn cell_size(len: usize) -> usize {
        PART_HEAD + len * size_of::<Value>()
    }
    pub(super) fn len(&self) -> usize {
        self.len.get() as usize
    }
    #[inline(always)]
    pub(super) fn values(&self, range: Range<usize>) -> &[Value] {
        debug_assert!(range.end <= self.len());
        // SAFETY: T1; the collector, who calls this, runs while nobody writes.
        unsafe {
            let first = (&raw const *self).cast::<u8>().add(PART_HEAD).cast::<Value>();
            std::slice::from_raw_parts(first.add(range.start), range.len())
        }
    }
    pub(super) fn forget(&self) {
        self.len.set(0);
    }
}

impl NodePart {
    pub(super) fn cell_size(len: usize) -> usize {
        PART_HEAD + len * size_of::<Node>()
    }
    pub(super) fn len(&self) -> usize {
        self.len.get() as usize
    }
    #[inline(always)]
    pub(super) fn nodes(&self, range: Range<usize>) -> &[Node] {
        debug_assert!(range.end <= self.len());
        // SAFETY: all nodes are initialised; the collector, who calls this, runs while nobody writes.
        unsafe { std::slice::from_raw_parts(self.node(range.start), range.len()) }
    }
    #[inline(always)]
    pub(super) fn node(&self, i: usize) -> *mut Node {
        // SAFETY: the nodes follow the head.
        unsafe { (&raw const *self).cast_mut().cast::<u8>().add(PART_HEAD).cast::<Node>().add(i) }
    }
    pub(super) fn forget(&self) {
        self.len.set(0);
    }
}

/// The hash part of a table that has none: one node, never written.
struct Dummy(Node);
// SAFETY: never written.
unsafe impl Sync for Dummy {}
static DUMMY: Dummy = Dummy(Node::EMPTY);

fn dummy() -> *mut Node {
    (&raw const DUMMY.0).cast_mut()
}

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
        // SAFETY: the slots stand behind the head of a live cell.
        unsafe { Ref::from_ptr(NonNull::new_unchecked(self.array.get().cast::<u8>().sub(PART_HEAD))) }
    }
    #[inline(always)]
    pub fn array_cell(&self) -> Option<Ref> {
        if self.array_len.get() > 0 { Some(self.array_cell_unchecked()) } else { None }
    }
    /// The cell behind the hash part. Only if there is one.
    #[inline(always)]
    pub fn nodes_cell_unchecked(&self) -> Ref {
        debug_assert!(self.has_nodes());
        // SAFETY: the nodes stand behind the head of a live cell.
        unsafe { Ref::from_ptr(NonNull::new_unchecked(self.nodes.get().cast::<u8>().sub(PART_HEAD))) }
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
    #[inline(always)]
    fn main_position(&self, key: Value) -> usize {
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
    fn find(&self, key: Value, key_tag: u8) -> Option<usize> {
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

    pub fn set_meta(self, heap: &mut LuaHeap, meta: Option<Gc<Table>>) -> Result<(), OutOfMemory> {
        // SAFETY: V1; the barrier comes before the write (V2).
        unsafe { heap.barrier(self.as_ref(), 0)? };
        self.meta.set(meta);
        Ok(())
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

    #[cold]
    fn get_weak(self, heap: &mut LuaHeap, key: Value) -> Value {
        match self.find(key, key.tag().0 | WEAK_KEY) {
            Some(i) => self.weak_value_at(heap, i),
            None => Value::NIL,
        }
    }

    /// Reads the value of a weak table's node by the collector's leave.
    fn weak_value_at(self, heap: &mut LuaHeap, i: usize) -> Value {
        let v = self.node(i).value();
        let Some(r) = weakly_holdable(v) else { return v };
        // SAFETY: `r` stands in a weak slot, as the collector left it; the header of the storage tells how it holds values.
        unsafe {
            if self.nodes_cell_unchecked().kind() == kind::NODES_EPHEMERON {
                heap.ephemeron_value(r);
                v
            } else if heap.weak_value(r) {
                v
            } else {
                Value::NIL
            }
        }
    }

    // ---- writing

    /// Writes a slot of the array part; `at` counts from 0 and is in range.
    #[inline(always)]
    pub fn set_slot(self, heap: &mut LuaHeap, at: usize, value: Value) -> Result<(), OutOfMemory> {
        debug_assert!(at < self.array_len());
        // SAFETY: T1; the barrier comes before the write (V2).
        unsafe {
            let slot = self.array.get().add(at);
            if value.is_ref() || (*slot).is_ref() {
                heap.barrier(self.array_cell_unchecked(), at)?;
            }
            *slot = value;
        }
        Ok(())
    }

    /// Writes the value of a node that has its key.
    #[inline(always)]
    pub fn set_node(self, heap: &mut LuaHeap, i: usize, value: Value) -> Result<(), OutOfMemory> {
        let n = self.node(i);
        if value.is_ref() || n.value().is_ref() || (value.is_nil() && n.key().is_ref()) {
            // SAFETY: a node with a key is no dummy; the barrier comes before the write (V2).
            unsafe { heap.barrier(self.nodes_cell_unchecked(), i)? };
        }
        if value.is_nil() {
            n.kill();
        } else {
            n.set_value(value);
        }
        Ok(())
    }

    #[inline]
    pub fn set_int(self, heap: &mut LuaHeap, i: i64, value: Value) -> Result<(), SetError> {
        let at = (i as u64).wrapping_sub(1);
        if at < self.array_len.get() as u64 {
            self.set_slot(heap, at as usize, value)?;
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
            self.set_node(heap, i, value)?;
            return Ok(());
        }
        if value.is_nil() {
            return Ok(());
        }
        self.insert(heap, key, value)
    }

    #[cold]
    fn set_weak(self, heap: &mut LuaHeap, key: Value, value: Value) -> Result<(), SetError> {
        let found = if self.has_nodes() { self.find(key, key.tag().0 | WEAK_KEY) } else { None };
        if found.is_none() && value.is_nil() {
            return Ok(());
        }
        // SAFETY: the values are in the hands of the running program.
        unsafe {
            let k = self.weak_kind();
            if k != kind::NODES_WEAK_VALUES
                && let Some(r) = weakly_holdable(key)
            {
                heap.weak_hold(r);
            }
            if k != kind::NODES_EPHEMERON
                && let Some(r) = weakly_holdable(value)
            {
                heap.weak_hold(r);
            }
        }
        match found {
            Some(i) => Ok(self.set_node(heap, i, value)?),
            None => self.insert(heap, key, value),
        }
    }

    /// Adds a key that is not in the table. The value is not nil.
    fn insert(self, heap: &mut LuaHeap, key: Value, value: Value) -> Result<(), SetError> {
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
                // SAFETY: V1; the barriers come before the writes (V2); all indices are within the nodes.
                unsafe {
                    heap.barrier(part, free)?;
                    if home == mp {
                        // The occupant is at home: the new key goes to the free node, behind it in the chain.
                        let (m, f) = (self.node(mp).next, self.node(free));
                        f.next = if m == 0 { 0 } else { mp as i32 + m - free as i32 };
                        self.node(mp).next = free as i32 - mp as i32;
                        break free;
                    }
                    // The occupant is a guest: it moves to the free node.
                    heap.barrier(part, mp)?;
                    let mut before = home;
                    loop {
                        let next = (before as i32 + self.node(before).next) as usize;
                        if next == mp {
                            break;
                        }
                        before = next;
                    }
                    self.node(before).next = free as i32 - before as i32;
                    let moved = *self.node(mp);
                    *self.node(free) = moved;
                    if moved.next != 0 {
                        self.node(free).next = mp as i32 + moved.next - free as i32;
                    }
                    // It leaves its link behind: others of this chain may stand behind it.
                    break mp;
                }
            }
            i = (i as i32 + n.next) as usize;
        };
        if key.is_ref() || value.is_ref() {
            // SAFETY: as above.
            unsafe { heap.barrier(part, target)? };
        }
        let n = self.node(target);
        n.set_key(key, weak);
        n.set_value(value);
        Ok(())
    }

    /// A node that no chain uses.
    fn take_free(self) -> Option<usize> {
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

    // ---- sizes

    #[inline(never)]
    fn grow_and_insert(self, heap: &mut LuaHeap, key: Value, value: Value) -> Result<(), SetError> {
        let len = self.array_len();
        if !self.has_nodes() && !self.is_weak() && key.as_int() == Some(len as i64 + 1) {
            // The usual append.
            let double = if len < SNUG { (len * 2).max(4) } else { (len + 2).next_power_of_two() - 1 };
            self.resize_array(heap, double)?;
            self.set_slot(heap, len, value)?;
            return Ok(());
        }
        self.rehash(heap, key)?;
        match key.as_int() {
            Some(i) if (i as u64).wrapping_sub(1) < self.array_len.get() as u64 => {
                Ok(self.set_slot(heap, i as usize - 1, value)?)
            }
            _ => self.insert(heap, key, value),
        }
    }

    /// Chooses the sizes of both parts anew for the present keys and one more.
    fn rehash(self, heap: &mut LuaHeap, extra: Value) -> Result<(), SetError> {
        // nums[b]: integer keys k with 2^(b-1) < k <= 2^b.
        let mut nums = [0usize; 64];
        let mut ints = 0;
        let mut total = 0;
        let mut count_int = |key: Value| {
            if let Some(k) = key.as_int()
                && k > 0
            {
                nums[(64 - (k as u64 - 1).leading_zeros() as usize).min(63)] += 1;
                ints += 1;
            }
        };
        for (i, v) in self.array_values().iter().enumerate() {
            if !v.is_nil() {
                count_int(Value::int(i as i64 + 1));
                total += 1;
            }
        }
        for i in 0..self.node_count() {
            let n = self.node(i);
            if n.value_tag != Tag::NIL {
                count_int(n.key());
                total += 1;
            }
        }
        count_int(extra);
        total += 1;
        // The largest 2^b of which more than half would be in use.
        let (mut array, mut in_array, mut below) = (0usize, 0, 0);
        if !self.is_weak() {
            for (b, &n) in nums.iter().enumerate().take(32) {
                if ints <= (1usize << b) / 2 {
                    break;
                }
                below += n;
                if below > (1usize << b) / 2 {
                    array = 1 << b;
                    in_array = below;
                }
            }
        }
        if array > SNUG && extra.as_int() != Some(array as i64) && self.get_int(heap, array as i64).is_nil() {
            array -= 1;
        }
        self.resize(heap, array, total - in_array)
    }

    /// Sets the size of the array part, and of the hash part so that `hash` entries fit.
    pub fn resize(self, heap: &mut LuaHeap, array: usize, hash: usize) -> Result<(), SetError> {
        let old_len = self.array_len();
        let mut count =
            if hash == 0 { 0 } else { hash.checked_next_power_of_two().filter(|&n| n <= 1 << 30).ok_or(SetError::Overflow)? };
        if count == self.node_count() && hash > count - count / 8 {
            // Nearly full of live entries: the same size again would soon be rehashed again.
            count *= 2;
        }
        let weak_kind = if self.is_weak() { self.weak_kind() } else { kind::NODES };
        let old = (self.nodes.get(), self.node_count());
        // What shrinks out of the array part goes to the new hash part; all memory is had before anything is moved.
        let new_nodes = if count > 0 { Some(alloc_nodes(heap, weak_kind, count)?) } else { None };
        if array > old_len {
            self.resize_array(heap, array)?;
        }
        // SAFETY: V1; the barrier comes before the write (V2).
        unsafe { heap.barrier(self.as_ref(), 0)? };
        let old_cell = self.nodes_cell();
        match new_nodes {
            Some(nodes) => self.install_nodes(nodes, count),
            None => {
                self.nodes.set(dummy());
                self.mask.set(0);
                self.free.set(0);
            }
        }
        match self.refill(heap, array, old, weak_kind) {
            Ok(true) => {
                if let (Some(old), Some(new)) = (old_cell, self.nodes_cell()) {
                    // SAFETY: the new hash part holds what the old one held, no safepoint between.
                    unsafe { heap.replace_storage(&[old], &[new]) };
                }
                Ok(())
            }
            Ok(false) => Ok(()),
            Err(e) => {
                // No entry is lost: the old hash part is still whole.
                self.nodes.set(old.0);
                self.mask.set((old.1 as u32).saturating_sub(1));
                self.free.set(0);
                Err(e)
            }
        }
    }

    /// Fills the new hash part from the old one and from what the array part gives up; `true` if nothing moved between the parts.
    fn refill(self, heap: &mut LuaHeap, array: usize, old: (*mut Node, usize), weak_kind: u8) -> Result<bool, SetError> {
        let mut same = weak_kind == kind::NODES;
        let old_len = self.array_len();
        if array < old_len {
            for i in array..old_len {
                // SAFETY: T1.
                let v = unsafe { *self.array.get().add(i) };
                if !v.is_nil() {
                    same = false;
                    self.insert(heap, Value::int(i as i64 + 1), v)?;
                }
            }
        }
        for i in 0..old.1 {
            // SAFETY: the old nodes: nobody frees them before the next safepoint.
            let n = unsafe { *old.0.add(i) };
            if n.value_tag == Tag::NIL || (weak_kind != kind::NODES && !self.copy_keeps(heap, weak_kind, &n)) {
                continue;
            }
            match n.key().as_int() {
                Some(k) if (k as u64).wrapping_sub(1) < array as u64 => {
                    same = false;
                    self.set_slot(heap, k as usize - 1, n.value())?;
                }
                _ => self.insert(heap, n.key(), n.value())?,
            }
        }
        if array < old_len {
            self.resize_array(heap, array)?;
        }
        Ok(same)
    }

    /// Makes the array part at least `len` slots long, for a constructor.
    pub fn ensure_array(self, heap: &mut LuaHeap, len: usize) -> Result<(), OutOfMemory> {
        if len > self.array_len() && !self.is_weak() { self.resize_array(heap, len) } else { Ok(()) }
    }

    fn array_values(&self) -> &[Value] {
        // SAFETY: T1.
        unsafe { std::slice::from_raw_parts(self.array.get(), self.array_len()) }
    }

    fn install_nodes(self, nodes: *mut Node, count: usize) {
        self.nodes.set(nodes);
        self.mask.set(count as u32 - 1);
        self.free.set(count as u32);
    }

    /// Makes the array part `len` slots long. Slots beyond are lost: the caller has moved them.
    fn resize_array(self, heap: &mut LuaHeap, len: usize) -> Result<(), OutOfMemory> {
        let old_len = self.array_len();
        if len > u32::MAX as usize / 2 {
            return Err(OutOfMemory);
        }
        let fill = |from: *mut Value, n: usize| {
            for i in 0..n {
                // SAFETY: slots of the part, not yet in use.
                unsafe { from.add(i).write(Value::NIL) };
            }
        };
        // SAFETY: (whole function) V1, V2; the parts are of the sizes given.
        unsafe {
            if len > old_len && old_len > 0 && heap.grow(self.array_cell_unchecked(), ArrayPart::cell_size(len))? {
                fill(self.array.get().add(old_len), len - old_len);
                (*self.array_cell_unchecked().as_ptr().cast::<ArrayPart>()).len.set(len as u32);
                self.array_len.set(len as u32);
                return Ok(());
            }
            let new = if len > 0 {
                let cell = heap.alloc(kind::ARRAY, ArrayPart::cell_size(len))?;
                (&raw mut (*cell.as_ptr().cast::<ArrayPart>()).len).write(Cell::new(len as u32));
                let slots = cell.as_ptr().add(PART_HEAD).cast::<Value>();
                let kept = len.min(old_len);
                slots.copy_from_nonoverlapping(self.array.get(), kept);
                fill(slots.add(kept), len - kept);
                heap.filled_by_copy(cell);
                Some((cell, slots))
            } else {
                None
            };
            heap.barrier(self.as_ref(), 0)?;
            if let (Some(old), Some((new, _))) = (self.array_cell(), new)
                && len > old_len
            {
                heap.replace_storage(&[old], &[new]);
            }
            self.array.set(new.map_or(NonNull::dangling().as_ptr(), |(_, slots)| slots));
            self.array_len.set(len as u32);
            if self.border.get() as usize > len {
                self.border.set(0);
            }
        }
        Ok(())
    }

    // ---- weakness

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
        while let Some((next, key, value)) = self.entry_from(heap, at) {
            entries.push((key, value));
            at = next;
        }
        // A weak table always has a hash part: its kind is the table's mode.
        let count = entries.len().next_power_of_two().max(1);
        let nodes = alloc_nodes(heap, k, count)?;
        // SAFETY: V1, V2.
        unsafe { heap.barrier(self.as_ref(), 0)? };
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

    fn weak_kind(self) -> u8 {
        // SAFETY: a weak table always has a hash part.
        unsafe { self.nodes_cell_unchecked().kind() }
    }

    /// Whether the copy of a weak hash part keeps the entry (R13).
    fn copy_keeps(self, heap: &mut LuaHeap, k: u8, n: &Node) -> bool {
        // SAFETY: the references stand in a weak storage, as the collector left them.
        unsafe {
            let key = k == kind::NODES_WEAK_VALUES || weakly_holdable(n.key()).is_none_or(|r| heap.copy_keeps(r, true));
            key && (k == kind::NODES_EPHEMERON || weakly_holdable(n.value()).is_none_or(|r| heap.copy_keeps(r, false)))
        }
    }

    // ---- traversal

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

    /// The first entry at or after a position, and the position behind it.
    #[inline(always)]
    pub fn entry_from(self, heap: &mut LuaHeap, mut at: usize) -> Option<(usize, Value, Value)> {
        let len = self.array_len();
        while at < len {
            // SAFETY: T1.
            let v = unsafe { *self.array.get().add(at) };
            at += 1;
            if !v.is_nil() {
                return Some((at, Value::int(at as i64), v));
            }
        }
        let count = self.node_count();
        while at - len < count {
            let i = at - len;
            let n = *self.node(i);
            at += 1;
            if n.value_tag == Tag::NIL {
                continue;
            }
            if n.key_tag & WEAK_KEY == 0 {
                return Some((at, n.key(), n.value()));
            }
            if let Some(v) = self.weak_entry(heap, i) {
                return Some((at, n.key(), v));
            }
        }
        None
    }

    #[cold]
    fn weak_entry(self, heap: &mut LuaHeap, i: usize) -> Option<Value> {
        let n = *self.node(i);
        // SAFETY: the key stands in a weak storage, as the collector left it.
        let mut key_is_dead = |r| !unsafe { heap.weak_key(r) };
        if self.weak_kind() != kind::NODES_WEAK_VALUES && weakly_holdable(n.key()).is_some_and(&mut key_is_dead) {
            return None;
        }
        let v = self.weak_value_at(heap, i);
        if v.is_nil() { None } else { Some(v) }
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
            if high > i64::MAX / 2 {
                let mut i = 1;
                while !self.get_int(heap, i).is_nil() {
                    i += 1;
                }
                return i - 1;
            }
            high *= 2;
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

fn alloc_nodes(heap: &mut LuaHeap, k: u8, count: usize) -> Result<*mut Node, OutOfMemory> {
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
