//! Strings: immutable bytes, with the table that makes the strings used as keys unique.
//!
//! * **S1** Two interned strings are equal exactly if their addresses are. Strings become interned when they are used as keys or are
//!   constants, not at birth: a string that is only built and printed is never hashed.
//! * **S2** The hash is computed once, on demand.

use super::gc::Gc;
use super::kinds::{LuaRuntime, kind};
use neap_gc::{Header, Heap, OutOfMemory};
use std::cell::Cell;
use std::hash::Hasher;
use std::ptr::NonNull;

/// A string cell; the bytes follow.
#[repr(C)]
pub struct Str {
    header: Header,
    hash: Cell<u32>,
    len: u32,
}

/// Bits of `Header::aux` of a string.
mod aux {
    pub const INTERNED: u8 = 1;
    pub const HASHED: u8 = 2;
}

impl Str {
    /// Longest string, in bytes.
    pub const MAX_LEN: usize = u32::MAX as usize - 64;
    const DATA: usize = size_of::<Str>();

    pub(super) const fn cell_size(len: usize) -> usize {
        Str::DATA + len
    }

    #[inline(always)]
    pub fn len(&self) -> usize {
        self.len as usize
    }
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
    #[inline(always)]
    pub fn is_interned(&self) -> bool {
        self.header.aux.get() & aux::INTERNED != 0
    }
    pub(super) fn hash(&self) -> u32 {
        self.hash.get()
    }
}

impl Gc<Str> {
    /// A cell with its head written and its bytes not.
    #[inline(always)]
    fn alloc(heap: &mut Heap<LuaRuntime>, len: usize) -> Result<(Gc<Str>, *mut u8), OutOfMemory> {
        if len > Str::MAX_LEN {
            return Err(OutOfMemory);
        }
        // SAFETY: a kind of the table; the callers below write the bytes.
        unsafe {
            let cell = heap.alloc(kind::STR, Str::cell_size(len))?;
            let s = cell.as_ptr().cast::<Str>();
            (&raw mut (*s).hash).write(Cell::new(0));
            (&raw mut (*s).len).write(len as u32);
            Ok((Gc::from_ref(cell), cell.as_ptr().add(Str::DATA)))
        }
    }

    /// A new, uninterned string.
    #[inline]
    pub fn new(heap: &mut Heap<LuaRuntime>, bytes: &[u8]) -> Result<Gc<Str>, OutOfMemory> {
        Gc::join(heap, bytes.len(), [bytes])
    }

    /// A new, uninterned string of `len` bytes: the pieces one after the other. (Zeros where they are shorter, cut where they are longer.)
    #[inline]
    pub fn join<'a>(
        heap: &mut Heap<LuaRuntime>,
        len: usize,
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Gc<Str>, OutOfMemory> {
        let (s, data) = Gc::alloc(heap, len)?;
        let mut at = 0;
        for piece in pieces {
            let n = piece.len().min(len - at);
            // SAFETY: `at + n <= len`, and the piece lies outside the new cell.
            unsafe { data.add(at).copy_from_nonoverlapping(piece.as_ptr(), n) };
            at += n;
        }
        // SAFETY: `at <= len`.
        unsafe { data.add(at).write_bytes(0, len - at) };
        Ok(s)
    }

    /// A new, uninterned string: a copy of the bytes, with a change.
    pub fn changed(heap: &mut Heap<LuaRuntime>, bytes: &[u8], change: impl FnOnce(&mut [u8])) -> Result<Gc<Str>, OutOfMemory> {
        let s = Gc::<Str>::new(heap, bytes)?;
        // SAFETY: the bytes of a new string, which nobody else has seen.
        change(unsafe { std::slice::from_raw_parts_mut(s.as_ptr().cast::<u8>().add(Str::DATA), bytes.len()) });
        Ok(s)
    }

    /// The bytes; valid while the string is (V1), whatever lifetime the caller gives it.
    #[inline(always)]
    pub fn bytes<'a>(self) -> &'a [u8] {
        // SAFETY: V1; the cell holds `len` initialised bytes after its head, and they never change.
        unsafe { std::slice::from_raw_parts(self.as_ptr().cast::<u8>().add(Str::DATA), self.len as usize) }
    }

    #[inline]
    pub fn equals(self, other: Gc<Str>) -> bool {
        self == other || (!(self.is_interned() && other.is_interned()) && self.bytes() == other.bytes())
    }

    /// Interned strings only.
    #[inline(always)]
    pub(super) fn key_hash(self) -> u32 {
        debug_assert!(self.is_interned());
        self.hash.get()
    }

    fn hashed(self) -> u32 {
        if self.header.aux.get() & aux::HASHED == 0 {
            self.hash.set(hash_bytes(self.bytes()));
            self.header.aux.set(self.header.aux.get() | aux::HASHED);
        }
        self.hash.get()
    }

    /// The one interned string of these bytes: this one, or the older one.
    #[inline]
    pub fn interned(self, heap: &mut Heap<LuaRuntime>) -> Result<Gc<Str>, OutOfMemory> {
        if self.is_interned() { Ok(self) } else { self.intern_slow(heap) }
    }

    #[inline(never)]
    fn intern_slow(self, heap: &mut Heap<LuaRuntime>) -> Result<Gc<Str>, OutOfMemory> {
        let hash = self.hashed();
        if let Some(found) = find(heap, self.bytes(), hash) {
            return Ok(found);
        }
        enter(heap, self)?;
        Ok(self)
    }

    /// The interned string of these bytes if there is one (a key that is in no table finds none).
    pub fn lookup_interned(self, heap: &mut Heap<LuaRuntime>) -> Option<Gc<Str>> {
        if self.is_interned() {
            return Some(self);
        }
        let hash = self.hashed();
        find(heap, self.bytes(), hash)
    }

    /// The interned string of the bytes.
    pub fn intern(heap: &mut Heap<LuaRuntime>, bytes: &[u8]) -> Result<Gc<Str>, OutOfMemory> {
        let hash = hash_bytes(bytes);
        if let Some(found) = find(heap, bytes, hash) {
            return Ok(found);
        }
        let s = Gc::<Str>::new(heap, bytes)?;
        s.hash.set(hash);
        s.header.aux.set(aux::HASHED);
        enter(heap, s)?;
        Ok(s)
    }
}

/// The hash of a string's bytes, seeded per process so that nobody can prepare collisions.
fn hash_bytes(bytes: &[u8]) -> u32 {
    let mut h = rustc_hash::FxHasher::default();
    h.write_u64(seed());
    h.write(bytes);
    let h = h.finish();
    (h ^ (h >> 32)) as u32
}

fn seed() -> u64 {
    use std::hash::BuildHasher;
    static SEED: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
    *SEED.get_or_init(|| std::hash::RandomState::new().hash_one(0u8))
}

fn find(heap: &mut Heap<LuaRuntime>, bytes: &[u8], hash: u32) -> Option<Gc<Str>> {
    let found = heap.runtime.strings.find(bytes, hash)?;
    // SAFETY: the table names live, young or dying cells only (R15); the heap tells whether this one still counts.
    if unsafe { heap.intern_hit(found.as_ref()) } {
        Some(found)
    } else {
        heap.runtime.strings.remove(found);
        None
    }
}

fn enter(heap: &mut Heap<LuaRuntime>, s: Gc<Str>) -> Result<(), OutOfMemory> {
    if heap.runtime.strings.is_full() {
        let (capacity, old) = heap.runtime.strings.next_capacity();
        let block = heap.malloc(capacity * size_of::<usize>())?;
        heap.runtime.strings.rehash_into(block.cast(), capacity);
        if let Some(old) = old {
            // SAFETY: the block of the replaced table, given out by this heap and named nowhere else now.
            unsafe { heap.free(old) };
        }
    }
    heap.runtime.strings.insert(s);
    s.header.aux.set(s.header.aux.get() | aux::INTERNED);
    // SAFETY: a cell that was just entered.
    unsafe { heap.interned(s.as_ref()) };
    Ok(())
}

/// The table of interned strings: weak, linear probing, deletion by shifting back. Its slots are an explicit block of the heap.
pub struct StringTable {
    slots: *mut Option<Gc<Str>>,
    capacity: usize,
    count: usize,
}

impl Default for StringTable {
    fn default() -> StringTable {
        StringTable::new()
    }
}

impl StringTable {
    const FIRST_CAPACITY: usize = 512;

    pub const fn new() -> StringTable {
        StringTable { slots: std::ptr::null_mut(), capacity: 0, count: 0 }
    }

    fn is_full(&self) -> bool {
        (self.count + 1) * 4 > self.capacity * 3
    }

    fn next_capacity(&self) -> (usize, Option<NonNull<u8>>) {
        let old = NonNull::new(self.slots.cast());
        // Deletions may have left it fuller than needed only by dead weight; doubling is right when it is really full.
        ((self.capacity * 2).max(Self::FIRST_CAPACITY), old)
    }

    #[inline(always)]
    #[allow(clippy::mut_from_ref)]
    fn slot(&self, i: usize) -> &mut Option<Gc<Str>> {
        debug_assert!(i < self.capacity);
        // SAFETY: `i < capacity`, all slots are initialised, and no other borrow of a slot is alive: this is private and used slot by slot.
        unsafe { &mut *self.slots.add(i) }
    }

    fn find(&self, bytes: &[u8], hash: u32) -> Option<Gc<Str>> {
        if self.capacity == 0 {
            return None;
        }
        let mut i = hash as usize & (self.capacity - 1);
        while let Some(s) = *self.slot(i) {
            if s.hash() == hash && s.bytes() == bytes {
                return Some(s);
            }
            i = (i + 1) & (self.capacity - 1);
        }
        None
    }

    fn insert(&mut self, s: Gc<Str>) {
        let mut i = s.hash() as usize & (self.capacity - 1);
        while self.slot(i).is_some() {
            i = (i + 1) & (self.capacity - 1);
        }
        *self.slot(i) = Some(s);
        self.count += 1;
    }

    fn rehash_into(&mut self, slots: NonNull<Option<Gc<Str>>>, capacity: usize) {
        let old = StringTable { slots: self.slots, capacity: self.capacity, count: 0 };
        for i in 0..capacity {
            // SAFETY: the new block holds `capacity` words.
            unsafe { slots.add(i).write(None) };
        }
        *self = StringTable { slots: slots.as_ptr(), capacity, count: 0 };
        for i in 0..old.capacity {
            if let Some(s) = *old.slot(i) {
                self.insert(s);
            }
        }
    }

    /// Removes the entry that is this very cell, if it is there (R15).
    pub(super) fn remove(&mut self, s: Gc<Str>) {
        if self.capacity == 0 {
            return;
        }
        let mask = self.capacity - 1;
        let mut i = s.hash() as usize & mask;
        loop {
            match *self.slot(i) {
                None => return,
                Some(x) if x == s => break,
                _ => i = (i + 1) & mask,
            }
        }
        self.count -= 1;
        // Shift back what would no longer be found behind the gap.
        let mut gap = i;
        loop {
            i = (i + 1) & mask;
            let Some(x) = *self.slot(i) else { break };
            let home = x.hash() as usize & mask;
            if (i.wrapping_sub(home) & mask) >= (i.wrapping_sub(gap) & mask) {
                *self.slot(gap) = Some(x);
                gap = i;
            }
        }
        *self.slot(gap) = None;
    }
}
