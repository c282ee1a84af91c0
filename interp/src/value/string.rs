//! Strings: immutable bytes. Those used as keys are made unique by the table in `intern`.
//!
//! * **S1** Two interned strings are equal exactly if their addresses are. Strings become interned when they are used as keys or are
//!   constants, not at birth: a string that is only built and printed is never hashed.
//! * **S2** The hash is computed once, on demand.

use super::gc::Gc;
use super::intern;
use super::kinds::{LuaRuntime, kind};
use neap_gc::{Header, Heap, OutOfMemory};
use std::cell::Cell;
use std::hash::Hasher;

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
            self.set_hash(hash_bytes(self.bytes()));
        }
        self.hash.get()
    }

    pub(super) fn set_hash(self, hash: u32) {
        self.hash.set(hash);
        self.header.aux.set(self.header.aux.get() | aux::HASHED);
    }

    /// The one interned string of these bytes: this one, or the older one.
    #[inline]
    pub fn interned(self, heap: &mut Heap<LuaRuntime>) -> Result<Gc<Str>, OutOfMemory> {
        if self.is_interned() { Ok(self) } else { self.intern_slow(heap) }
    }

    #[inline(never)]
    fn intern_slow(self, heap: &mut Heap<LuaRuntime>) -> Result<Gc<Str>, OutOfMemory> {
        let hash = self.hashed();
        if let Some(found) = intern::find(heap, self.bytes(), hash) {
            return Ok(found);
        }
        self.enter(heap)?;
        Ok(self)
    }

    fn enter(self, heap: &mut Heap<LuaRuntime>) -> Result<(), OutOfMemory> {
        intern::enter(heap, self)?;
        self.header.aux.set(self.header.aux.get() | aux::INTERNED);
        Ok(())
    }

    /// The interned string of these bytes if there is one (a key that is in no table finds none).
    pub fn lookup_interned(self, heap: &mut Heap<LuaRuntime>) -> Option<Gc<Str>> {
        if self.is_interned() {
            return Some(self);
        }
        let hash = self.hashed();
        intern::find(heap, self.bytes(), hash)
    }

    /// The interned string of the bytes.
    pub fn intern(heap: &mut Heap<LuaRuntime>, bytes: &[u8]) -> Result<Gc<Str>, OutOfMemory> {
        let hash = hash_bytes(bytes);
        if let Some(found) = intern::find(heap, bytes, hash) {
            return Ok(found);
        }
        let s = Gc::<Str>::new(heap, bytes)?;
        s.set_hash(hash);
        s.enter(heap)?;
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
