//! Texts in the making: what the libraries write before they know how long it gets.
//!
//! Short texts stand in a vector of the host, which is used again and again; what is longer goes over into explicit blocks of the heap, so that
//! its bytes count against the heap's limit, and a refusal is an error like any other. The blocks form a chain: a text that gets longer is not copied.
//!
//! * **I1** `near` is short: whoever writes to it directly calls [`Text::settle`] after each piece of bounded length.
//! * **I2** A text is not dropped but given to [`Text::free`].
//! * **I3** No block of the chain holds more than [`Text::BLOCK`] bytes but the first one of a text that is being made whole.
//!
//! May import the strings; not the machine.

use super::kinds::LuaRuntime;
use super::string::Str;
use neap_gc::{Heap, OutOfMemory};
use std::ptr::NonNull;
use std::slice;

/// A text in the making.
pub struct Text {
    /// The end of the text.
    pub near: Vec<u8>,
    /// What comes before it: a chain of blocks, which hold `len` bytes.
    first: Option<Block>,
    last: Option<Block>,
    len: usize,
}

/// What an explicit block of a text begins with; the bytes follow.
struct Head {
    next: Option<Block>,
    len: usize,
    capacity: usize,
}

/// A block of a text, which is its only owner.
#[derive(Clone, Copy, PartialEq)]
struct Block(NonNull<Head>);

impl Block {
    const HEAD: usize = size_of::<Head>();

    fn new(heap: &mut Heap<LuaRuntime>, capacity: usize) -> Result<Block, OutOfMemory> {
        let block = heap.malloc(capacity.checked_add(Block::HEAD).ok_or(OutOfMemory)?)?.cast::<Head>();
        // SAFETY: a new block with room for the head.
        unsafe { block.write(Head { next: None, len: 0, capacity }) };
        Ok(Block(block))
    }

    #[allow(clippy::mut_from_ref, reason = "borrows of a head last for single statements")]
    fn head(&self) -> &mut Head {
        // SAFETY: the head is initialised, and the text is the only one who knows the block.
        unsafe { &mut *self.0.as_ptr() }
    }

    fn room(&self) -> usize {
        self.head().capacity - self.head().len
    }

    /// Where the next byte goes.
    fn end(&self) -> NonNull<u8> {
        // SAFETY: `len <= capacity`.
        unsafe { self.0.cast::<u8>().add(Block::HEAD + self.head().len) }
    }

    fn put(&self, bytes: &[u8]) {
        debug_assert!(bytes.len() <= self.room());
        // SAFETY: there is room for them, in a block that nobody else knows.
        unsafe { self.end().copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len()) };
        self.head().len += bytes.len();
    }

    fn put_zeros(&self, count: usize) {
        debug_assert!(count <= self.room());
        // SAFETY: there is room for them.
        unsafe { self.end().write_bytes(0, count) };
        self.head().len += count;
    }

    /// The bytes; valid until the block is freed.
    fn bytes<'a>(self) -> &'a [u8] {
        // SAFETY: the first `len` bytes are written.
        unsafe { slice::from_raw_parts(self.0.cast::<u8>().as_ptr().add(Block::HEAD), self.head().len) }
    }

    fn free(self, heap: &mut Heap<LuaRuntime>) {
        // SAFETY: the text's own block.
        unsafe { heap.free(self.0.cast()) };
    }
}

impl Text {
    /// What `near` may hold before it goes over into a block.
    pub const NEAR: usize = 4096;
    /// The most that goes into a block. With its head it fills whole pages.
    pub const BLOCK: usize = (1 << 20) - Block::HEAD;
    /// What `near` may hold while the text waits.
    const RESTING: usize = 256;

    /// An empty text; the vector is one to write to.
    pub fn new(mut near: Vec<u8>) -> Text {
        near.clear();
        Text { near, first: None, last: None, len: 0 }
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

    /// Appends a few bytes; `false`: they are too many to stay near.
    #[inline]
    pub fn append_near(&mut self, bytes: &[u8]) -> bool {
        let few = self.near.len() + bytes.len() <= Text::NEAR;
        if few {
            self.near.extend_from_slice(bytes);
        }
        few
    }

    /// Appends bytes, however many.
    pub fn append(&mut self, heap: &mut Heap<LuaRuntime>, bytes: &[u8]) -> Result<(), OutOfMemory> {
        if self.append_near(bytes) {
            return Ok(());
        }
        self.spill(heap)?;
        self.append_far(heap, bytes)
    }

    /// Appends `count` zeros.
    pub fn append_zeros(&mut self, heap: &mut Heap<LuaRuntime>, mut count: usize) -> Result<(), OutOfMemory> {
        if self.near.len() + count <= Text::NEAR {
            self.near.resize(self.near.len() + count, 0);
            return Ok(());
        }
        self.spill(heap)?;
        while count > 0 {
            let block = self.block_with_room(heap, count)?;
            let zeros = count.min(block.room());
            block.put_zeros(zeros);
            self.len += zeros;
            count -= zeros;
        }
        Ok(())
    }

    fn append_far(&mut self, heap: &mut Heap<LuaRuntime>, mut bytes: &[u8]) -> Result<(), OutOfMemory> {
        while !bytes.is_empty() {
            let block = self.block_with_room(heap, bytes.len())?;
            let (piece, rest) = bytes.split_at(bytes.len().min(block.room()));
            block.put(piece);
            self.len += piece.len();
            bytes = rest;
        }
        Ok(())
    }

    /// The last block, with some room at least; `more` bytes are to come.
    fn block_with_room(&mut self, heap: &mut Heap<LuaRuntime>, more: usize) -> Result<Block, OutOfMemory> {
        if let Some(last) = self.last.filter(|last| last.room() > 0) {
            return Ok(last);
        }
        if self.len.checked_add(more).is_none_or(|need| need > Str::MAX_LEN) {
            return Err(OutOfMemory);
        }
        let need = more.min(Text::BLOCK);
        // As long as the text so far, so that there are few.
        let wish = self.len.next_power_of_two().saturating_sub(Block::HEAD).clamp(2 * Text::RESTING, Text::BLOCK).max(need);
        // Near the limit, only what is needed.
        let block = Block::new(heap, wish).or_else(|_| Block::new(heap, need))?;
        match self.last {
            Some(last) => last.head().next = Some(block),
            None => self.first = Some(block),
        }
        self.last = Some(block);
        Ok(block)
    }

    fn blocks(&self) -> impl Iterator<Item = Block> {
        std::iter::successors(self.first, |block| block.head().next)
    }

    /// The text's explicit blocks, for who keeps it in a userdata.
    pub fn each_block(&self, visit: &mut dyn FnMut(NonNull<u8>)) {
        let mut block = self.first;
        while let Some(this) = block {
            block = this.head().next;
            visit(this.0.cast());
        }
    }

    /// To be called before it has to wait: what is not short goes over into a block.
    pub fn rest(&mut self, heap: &mut Heap<LuaRuntime>) -> Result<(), OutOfMemory> {
        if self.near.len() > Text::RESTING { self.spill(heap) } else { Ok(()) }
    }

    /// The bytes in pieces of bounded length.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        self.blocks().map(Block::bytes).chain([&self.near[..]])
    }

    /// Begins to bring all bytes into one piece, which [`Text::gather`] then does.
    pub fn begin_whole(&mut self, heap: &mut Heap<LuaRuntime>) -> Result<(), OutOfMemory> {
        let Some(first) = self.first else { return Ok(()) };
        self.spill(heap)?;
        if first.head().next.is_some() {
            let whole = Block::new(heap, self.len)?;
            whole.head().next = self.first;
            self.first = Some(whole);
        }
        Ok(())
    }

    /// Moves the bytes of the second block to the first one; `None`: there is one only.
    pub fn gather(&mut self, heap: &mut Heap<LuaRuntime>) -> Option<usize> {
        let whole = self.first?;
        let second = whole.head().next?;
        let bytes = second.bytes();
        let count = bytes.len();
        whole.put(bytes);
        whole.head().next = second.head().next;
        if self.last == Some(second) {
            self.last = Some(whole);
        }
        second.free(heap);
        Some(count)
    }

    /// All bytes in one piece, into which they have been brought.
    pub fn whole(&self) -> &[u8] {
        debug_assert!(self.first.is_none() || (self.first == self.last && self.near.is_empty()));
        self.first.map_or(&self.near, Block::bytes)
    }

    /// Ends the text; gives back a vector for the next one.
    pub fn free(self, heap: &mut Heap<LuaRuntime>) -> Vec<u8> {
        let mut block = self.first;
        while let Some(this) = block {
            block = this.head().next;
            this.free(heap);
        }
        self.near
    }
}
