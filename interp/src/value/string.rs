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
use std::hash::{BuildHasher, Hasher};
use std::sync::LazyLock;

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

/// The hash of a string's bytes. All that enters it is seeded, at random for each process: nobody can prepare collisions.
fn hash_bytes(bytes: &[u8]) -> u32 {
    static STATE: LazyLock<foldhash::fast::RandomState> = LazyLock::new(Default::default);
    let mut h = STATE.build_hasher();
    h.write(bytes);
    let h = h.finish();
    (h ^ (h >> 32)) as u32
}

#[cfg(test)]
mod tests {
    use super::hash_bytes;
    use std::collections::HashSet;

    /// A product with a zero factor is zero whatever the other one is. Multiplying hashes with seeds that are known fall to strings that
    /// make one.
    #[test]
    fn nobody_can_prepare_collisions() {
        let known: [u64; 3] = [0x243f6a8885a308d3, 0x13198a2e03707344, 0];
        for known in known {
            let key = |n: u64| [known.to_le_bytes(), n.to_le_bytes()].concat();
            let hashes: HashSet<u32> = (0..10_000).map(|n| hash_bytes(&key(n))).collect();
            assert!(hashes.len() > 9_900, "{} of 10,000 strings that begin alike differ", hashes.len());
            let hashes: HashSet<u32> = (0..10_000).map(|n| hash_bytes(&[key(n), key(0)].concat())).collect();
            assert!(hashes.len() > 9_900, "{} of 10,000 long strings differ", hashes.len());
        }
    }
}
