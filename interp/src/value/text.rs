//! Texts in the making: what the libraries write before they know how long it gets.
//!
//! Short texts stand in a vector of the host, which is used again and again; what is longer goes over into an explicit block of the heap, so that
//! its bytes count against the heap's limit, and a refusal is an error like any other.
//!
//! * **I1** `near` is short: whoever writes to it directly calls [`Text::settle`] after each piece of bounded length.
//! * **I2** A text is not dropped but given to [`Text::free`].
//!
//! May import the strings; not the machine.

use super::gc::Gc;
use super::kinds::LuaRuntime;
use super::string::Str;
use neap_gc::{Heap, OutOfMemory};
use std::ptr::NonNull;
use std::slice;

/// A text in the making.
pub struct Text {
    /// The end of the text.
    pub near: Vec<u8>,
    /// What comes before it: `len` bytes in an explicit block of `capacity`.
    far: Option<NonNull<u8>>,
    len: usize,
    capacity: usize,
}

impl Text {
    /// What `near` may hold before it goes over into the block.
    pub const NEAR: usize = 4096;

    /// An empty text; the vector is one to write to.
    pub fn new(mut near: Vec<u8>) -> Text {
        near.clear();
        Text { near, far: None, len: 0, capacity: 0 }
    }

    #[inline]
    pub fn len(&self) -> usize {
        self.len + self.near.len()
    }

    /// See I1.
    #[inline]
    pub fn settle(&mut self, heap: &mut Heap<LuaRuntime>) -> Result<(), OutOfMemory> {
        if self.near.len() > Text::NEAR { self.spill(heap) } else { Ok(()) }
    }

    #[cold]
    fn spill(&mut self, heap: &mut Heap<LuaRuntime>) -> Result<(), OutOfMemory> {
        let near = std::mem::take(&mut self.near);
        let result = self.append_far(heap, &near);
        self.near = near;
        result?;
        self.near.clear();
        Ok(())
    }

    /// Appends bytes, however many.
    #[inline]
    pub fn append(&mut self, heap: &mut Heap<LuaRuntime>, bytes: &[u8]) -> Result<(), OutOfMemory> {
        if self.near.len() + bytes.len() <= Text::NEAR {
            self.near.extend_from_slice(bytes);
            return Ok(());
        }
        self.spill(heap)?;
        self.append_far(heap, bytes)
    }

    /// Appends `count` zeros.
    pub fn append_zeros(&mut self, heap: &mut Heap<LuaRuntime>, count: usize) -> Result<(), OutOfMemory> {
        if self.near.len() + count <= Text::NEAR {
            self.near.resize(self.near.len() + count, 0);
            return Ok(());
        }
        self.spill(heap)?;
        let place = self.reserve(heap, count)?;
        // SAFETY: there is room for them.
        unsafe { place.write_bytes(0, count) };
        self.len += count;
        Ok(())
    }

    fn append_far(&mut self, heap: &mut Heap<LuaRuntime>, bytes: &[u8]) -> Result<(), OutOfMemory> {
        let place = self.reserve(heap, bytes.len())?;
        // SAFETY: there is room for them, in a block that nobody else knows.
        unsafe { place.copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len()) };
        self.len += bytes.len();
        Ok(())
    }

    /// Room for so many bytes behind the far ones.
    fn reserve(&mut self, heap: &mut Heap<LuaRuntime>, more: usize) -> Result<NonNull<u8>, OutOfMemory> {
        let need = self.len.checked_add(more).filter(|&need| need <= Str::MAX_LEN).ok_or(OutOfMemory)?;
        if need > self.capacity || self.far.is_none() {
            let wish = need.max(self.capacity * 2).max(2 * Text::NEAR);
            let make = |size| match self.far {
                // SAFETY: the text's own block, which it gives up for the new one.
                Some(block) => unsafe { heap.realloc(block, size) },
                None => heap.malloc(size),
            };
            let (block, capacity) = match make(wish) {
                Ok(block) => (block, wish),
                // Near the limit, only what is needed.
                Err(_) => (make(need.max(1))?, need.max(1)),
            };
            (self.far, self.capacity) = (Some(block), capacity);
        }
        let block = self.far.ok_or(OutOfMemory)?;
        // SAFETY: `len <= capacity`.
        Ok(unsafe { block.add(self.len) })
    }

    fn far(&self) -> &[u8] {
        // SAFETY: the first `len` bytes of the block are written.
        self.far.map_or(&[], |block| unsafe { slice::from_raw_parts(block.as_ptr(), self.len) })
    }

    /// All bytes in one piece.
    pub fn whole(&mut self, heap: &mut Heap<LuaRuntime>) -> Result<&[u8], OutOfMemory> {
        if self.far.is_none() {
            return Ok(&self.near);
        }
        self.spill(heap)?;
        Ok(self.far())
    }

    /// The text as a string.
    pub fn string(&self, heap: &mut Heap<LuaRuntime>) -> Result<Gc<Str>, OutOfMemory> {
        Gc::<Str>::join(heap, self.len(), [self.far(), &self.near])
    }

    /// Ends the text; gives back a vector for the next one.
    pub fn free(self, heap: &mut Heap<LuaRuntime>) -> Vec<u8> {
        if let Some(block) = self.far {
            // SAFETY: the text's own block.
            unsafe { heap.free(block) };
        }
        self.near
    }
}
