//! The whole test program runs on the allocator: one thread against a model, many threads that free each other's blocks, and threads that come and go.

use neap_gc::explicit::Global;
use std::alloc::{GlobalAlloc, Layout};
use std::collections::HashMap;
use std::sync::mpsc;
use std::thread;

#[global_allocator]
static ALLOCATOR: Global = Global;

/// A generator of its own: the crate has none among its dependencies.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % n
    }
    fn size(&mut self) -> usize {
        match self.below(100) {
            0..80 => 1 + self.below(256),
            80..97 => 1 + self.below(20_000),
            _ => 1 + self.below(3 << 20),
        }
    }
}

/// A block with its layout, all of whose bytes have one value.
struct Block {
    start: *mut u8,
    layout: Layout,
    byte: u8,
}

// SAFETY: nobody else has it.
unsafe impl Send for Block {}

impl Block {
    fn new(random: &mut Random) -> Block {
        let align = if random.below(8) == 0 { 1 << random.below(14) } else { 8 };
        let layout = Layout::from_size_align(random.size(), align).expect("a layout");
        let zeroed = random.below(4) == 0;
        // SAFETY: the layout is not empty.
        let start = unsafe { if zeroed { ALLOCATOR.alloc_zeroed(layout) } else { ALLOCATOR.alloc(layout) } };
        assert!(!start.is_null() && start.addr().is_multiple_of(align));
        let mut block = Block { start, layout, byte: 0 };
        if zeroed {
            block.check();
        }
        block.fill(random.below(256) as u8);
        block
    }
    fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: an allocated block, all of whose bytes have been written, or are about to be.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.layout.size()) }
    }
    fn fill(&mut self, byte: u8) {
        self.bytes().fill(byte);
        self.byte = byte;
    }
    fn check(&mut self) {
        let byte = self.byte;
        assert!(self.bytes().iter().all(|&b| b == byte), "a block was written to by somebody else");
    }
    fn resize(&mut self, size: usize) {
        // SAFETY: an allocated block of this layout.
        self.start = unsafe { ALLOCATOR.realloc(self.start, self.layout, size) };
        assert!(!self.start.is_null() && self.start.addr().is_multiple_of(self.layout.align()));
        let kept = self.layout.size().min(size);
        self.layout = Layout::from_size_align(size, self.layout.align()).expect("a layout");
        let byte = self.byte;
        assert!(self.bytes()[..kept].iter().all(|&b| b == byte), "bytes were lost");
        self.fill(byte);
    }
    fn free(mut self) {
        self.check();
        // SAFETY: an allocated block of this layout, which is given up.
        unsafe { ALLOCATOR.dealloc(self.start, self.layout) };
    }
}

#[test]
fn blocks_belong_to_nobody_else() {
    let mut random = Random(42);
    let mut blocks: HashMap<usize, Block> = HashMap::new();
    for _ in 0..60_000 {
        let place = random.below(400);
        match (blocks.remove(&place), random.below(3)) {
            (None, _) => drop(blocks.insert(place, Block::new(&mut random))),
            (Some(mut block), 0) => {
                let size = random.size();
                block.resize(size);
                blocks.insert(place, block);
            }
            (Some(block), _) => block.free(),
        }
    }
    blocks.into_values().for_each(Block::free);
}

/// One thread makes them, another frees them, some come back.
#[test]
fn blocks_go_from_thread_to_thread() {
    let (there, from_producer) = mpsc::channel::<Block>();
    let (back, from_consumer) = mpsc::channel::<Block>();
    let consumer = thread::spawn(move || {
        let mut random = Random(7);
        let mut count = 0;
        for mut block in from_producer {
            count += 1;
            block.check();
            match random.below(3) {
                0 => drop(back.send(block)),
                1 => {
                    let size = random.size() / 8 + 1;
                    block.resize(size);
                    block.free();
                }
                _ => block.free(),
            }
        }
        count
    });
    let mut random = Random(8);
    for _ in 0..30_000 {
        there.send(Block::new(&mut random)).expect("the consumer");
        while let Ok(block) = from_consumer.try_recv() {
            block.free();
        }
    }
    drop(there);
    assert_eq!(consumer.join().expect("the consumer"), 30_000);
    from_consumer.into_iter().for_each(Block::free);
}

/// What a thread leaves lives on, and what it had is used by the next.
#[test]
fn threads_come_and_go() {
    let mut left = Vec::new();
    for round in 0..200 {
        let made = thread::spawn(move || {
            let mut random = Random(round + 1);
            let blocks: Vec<Block> = (0..50).map(|_| Block::new(&mut random)).collect();
            blocks
        });
        left.push(made.join().expect("a thread"));
        if round % 3 == 0 {
            let mut blocks = left.swap_remove(0);
            thread::spawn(move || blocks.drain(..).for_each(Block::free)).join().expect("a thread");
        }
    }
    left.into_iter().flatten().for_each(Block::free);
}

/// Alignments beyond those of the heap have mappings of their own; huge requests are refused.
#[test]
fn odd_layouts() {
    for align_log2 in 0..26 {
        let layout = Layout::from_size_align(100, 1 << align_log2).expect("a layout");
        // SAFETY: the layout is not empty, and the block is freed with it.
        unsafe {
            let start = ALLOCATOR.alloc(layout);
            assert!(!start.is_null() && start.addr().is_multiple_of(layout.align()), "{layout:?}");
            start.write_bytes(1, 100);
            let larger = ALLOCATOR.realloc(start, layout, 100_000);
            assert!(larger.addr().is_multiple_of(layout.align()) && *larger.add(99) == 1);
            ALLOCATOR.dealloc(larger, Layout::from_size_align(100_000, layout.align()).expect("a layout"));
        }
    }
    let huge = Layout::from_size_align(isize::MAX as usize - 100_000, 16).expect("a layout");
    // SAFETY: the layout is not empty.
    assert!(unsafe { ALLOCATOR.alloc(huge) }.is_null());
}
