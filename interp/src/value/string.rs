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
use std::mem::MaybeUninit;
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
    /// What is longer is compared and hashed in pieces of this length, where somebody may want to look up in between.
    pub const LONG: usize = 1 << 20;
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

/// A new string whose bytes are written piece by piece. Nobody else knows it before it is done.
pub struct NewStr {
    string: Gc<Str>,
    at: usize,
}

impl NewStr {
    pub fn begin(heap: &mut Heap<LuaRuntime>, len: usize) -> Result<NewStr, OutOfMemory> {
        let (string, _) = Gc::<Str>::alloc(heap, len)?;
        Ok(NewStr { string, at: 0 })
    }

    /// Bytes that are not written yet.
    pub fn room(&self) -> usize {
        self.string.len() - self.at
    }

    /// The next `count` bytes, or as many as there are left.
    fn next(&mut self, count: usize) -> &mut [MaybeUninit<u8>] {
        let count = count.min(self.room());
        // SAFETY: bytes of a new cell behind its head, `at + count <= len`.
        let place = unsafe { self.string.as_ptr().cast::<MaybeUninit<u8>>().add(Str::DATA + self.at) };
        self.at += count;
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(place, count) }
    }

    /// Writes the bytes, as far as there is room.
    pub fn put(&mut self, bytes: &[u8]) -> &mut [u8] {
        let place = self.next(bytes.len());
        let bytes = &bytes[..place.len()];
        place.write_copy_of_slice(bytes)
    }

    /// Writes zeros, as far as there is room.
    pub fn put_zeros(&mut self, count: usize) {
        self.next(count).fill(MaybeUninit::new(0));
    }

    /// The string, all of whose bytes are written.
    pub fn end(self) -> Gc<Str> {
        debug_assert_eq!(self.room(), 0);
        self.string
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

    /// The bytes; valid while the string is (V1), whatever lifetime the caller gives it.
    #[inline(always)]
    pub fn bytes<'a>(self) -> &'a [u8] {
        // SAFETY: V1; the cell holds `len` initialised bytes after its head, and they never change.
        unsafe { std::slice::from_raw_parts(self.as_ptr().cast::<u8>().add(Str::DATA), self.len as usize) }
    }

    /// Equality with another cell; `None`: all bytes must be compared, and they are many.
    #[inline]
    pub fn quick_equals(self, other: Gc<Str>) -> Option<bool> {
        if self.is_interned() && other.is_interned() || self.len() != other.len() {
            return Some(false);
        }
        if self.len() > Str::LONG { None } else { Some(self.bytes() == other.bytes()) }
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

    /// Finds out the hash; `step` hears of each piece before it is looked at, and can end it.
    pub fn hash_in_pieces<E>(self, mut step: impl FnMut(usize) -> Result<(), E>) -> Result<(), E> {
        if self.header.aux.get() & aux::HASHED != 0 {
            return Ok(());
        }
        let mut h = HASHERS.build_hasher();
        for piece in self.bytes().chunks(Str::LONG) {
            step(piece.len())?;
            h.write(piece);
        }
        self.set_hash(folded(h.finish()));
        Ok(())
    }

    /// For a hashed string: an interned one of the same hash and length, at or after a place (from 0), which moves on.
    pub fn candidate(self, heap: &Heap<LuaRuntime>, place: &mut usize) -> Option<Gc<Str>> {
        heap.runtime().strings.candidate(self.hash.get(), self.len(), place)
    }

    /// For a string that the table of interned strings has just given: itself, unless it is dying.
    pub fn if_counted(self, heap: &mut Heap<LuaRuntime>) -> Option<Gc<Str>> {
        intern::counted(heap, self)
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

/// All that enters a hash is seeded, at random for each process: nobody can prepare collisions.
static HASHERS: LazyLock<foldhash::fast::RandomState> = LazyLock::new(Default::default);

/// The hash of a string's bytes. Those of a long one enter it in pieces.
fn hash_bytes(bytes: &[u8]) -> u32 {
    let mut h = HASHERS.build_hasher();
    if bytes.len() <= Str::LONG {
        h.write(bytes);
    } else {
        bytes.chunks(Str::LONG).for_each(|piece| h.write(piece));
    }
    folded(h.finish())
}

fn folded(h: u64) -> u32 {
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
