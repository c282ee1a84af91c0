//! Random programs of malloc and free against a naive model, beside a collected heap on the same segments.

use super::*;
use crate::memory::Faults;
use crate::memory::tests::Random;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// An allocated block: its pointer, the bytes and the alignment asked for, the byte it is filled with.
type Block = (NonNull<u8>, usize, usize, u8);

struct Model {
    memory: Memory,
    explicit: Explicit,
    random: Random,
    blocks: BTreeMap<usize, Block>,
    byte: u8,
}

impl Model {
    fn new(seed: u64) -> Model {
        Model {
            memory: Memory::new(usize::MAX),
            explicit: Explicit::new(),
            random: Random::new(seed),
            blocks: BTreeMap::new(),
            byte: 0,
        }
    }

    /// A new block: no overlap, and all it says it has can be written.
    fn enter(&mut self, cell: NonNull<u8>, size: usize, align: usize) {
        let addr = cell.as_ptr().addr();
        assert_eq!(addr % align, 0);
        // SAFETY: an allocated block.
        let usable = unsafe { self.explicit.usable_size(&self.memory, cell) };
        assert!(usable >= size);
        if let Some((below, (cell, ..))) = self.blocks.range(..=addr).next_back() {
            // SAFETY: an allocated block.
            assert!(below + unsafe { self.explicit.usable_size(&self.memory, *cell) } <= addr);
        }
        assert!(self.blocks.range(addr..).next().is_none_or(|(above, _)| addr + usable <= *above));
        self.byte = self.byte.wrapping_add(1);
        // SAFETY: as above.
        unsafe { cell.write_bytes(self.byte, size) };
        self.blocks.insert(addr, (cell, size, align, self.byte));
    }

    fn check((cell, size, _, byte): Block) {
        // SAFETY: an allocated block of that size.
        let bytes = unsafe { std::slice::from_raw_parts(cell.as_ptr(), size) };
        assert!(bytes.iter().all(|b| *b == byte));
    }

    fn pick(&mut self) -> Option<Block> {
        if self.blocks.is_empty() {
            return None;
        }
        let n = self.random.below(self.blocks.len());
        self.blocks.values().nth(n).copied()
    }

    fn step(&mut self) {
        let size = self.random.size();
        let (memory, explicit) = (&mut self.memory, &mut self.explicit);
        match self.random.below(100) {
            0..40 => {
                let cell = explicit.malloc(memory, size).unwrap();
                self.enter(cell, size, 16);
            }
            40..47 => {
                let cell = explicit.calloc(memory, size / 8, 8).unwrap();
                // SAFETY: an allocated block of that size.
                let bytes = unsafe { std::slice::from_raw_parts(cell.as_ptr(), size) };
                assert!(bytes.iter().all(|b| *b == 0));
                self.enter(cell, size, 16);
            }
            47..52 => {
                let align = 1 << self.random.below(22);
                let cell = explicit.aligned(memory, align, size).unwrap();
                self.enter(cell, size, align.max(16));
            }
            52..60 => {
                if let Some(block) = self.pick() {
                    Self::check(block);
                    let (cell, old, align, byte) = block;
                    self.blocks.remove(&cell.as_ptr().addr());
                    // SAFETY: an allocated block.
                    let new = unsafe { self.explicit.realloc(&mut self.memory, cell, size) }.unwrap();
                    Self::check((new, old.min(size), align, byte));
                    self.enter(new, size, align);
                }
            }
            60..63 => {
                // The collected neighbours come and go.
                memory.alloc(size).unwrap();
                if size.is_multiple_of(64) {
                    memory.epoch_reset();
                    memory.purge(Instant::now() + Duration::from_secs(9), usize::MAX);
                }
            }
            _ => {
                if let Some(block) = self.pick() {
                    Self::check(block);
                    let addr = block.0.as_ptr().addr();
                    self.blocks.remove(&addr);
                    self.explicit.free_checked(&mut self.memory, addr).unwrap();
                    assert!(self.explicit.free_checked(&mut self.memory, addr).is_err());
                }
            }
        }
    }

    fn compare(&self) {
        let mut bytes = 0;
        let mut seen = BTreeMap::new();
        self.explicit.for_each(&self.memory, |cell, usable| {
            bytes += usable;
            assert!(seen.insert(cell.as_ptr().addr(), usable).is_none());
        });
        assert!(seen.keys().eq(self.blocks.keys()));
        assert_eq!(self.explicit.allocated_bytes(&self.memory), bytes);
        for (addr, (cell, ..)) in &self.blocks {
            assert!(self.explicit.owns(&self.memory, *addr));
            assert!(!self.explicit.owns(&self.memory, addr + 8));
            // SAFETY: an allocated block.
            assert_eq!(unsafe { self.explicit.usable_size(&self.memory, *cell) }, seen[addr]);
        }
    }
}

#[test]
fn random_programs_agree_with_the_model() {
    for seed in 0..8 {
        let mut model = Model::new(seed);
        for n in 0..10_000 {
            model.step();
            if n % 1000 == 0 {
                model.compare();
            }
        }
        for block in std::mem::take(&mut model.blocks).into_values() {
            Model::check(block);
            // SAFETY: allocated blocks, each once.
            unsafe { model.explicit.free(&mut model.memory, block.0) };
        }
        model.compare();
        model.memory.epoch_reset();
        model.explicit.trim(&mut model.memory);
        assert_eq!(model.memory.used_bytes(), 0);
    }
}

#[test]
fn the_collector_leaves_explicit_blocks_alone() {
    let (mut memory, mut explicit) = (Memory::new(usize::MAX), Explicit::new());
    let blocks: Vec<_> = [8, 100, 8000, 9000, 300_000].into_iter().map(|n| explicit.malloc(&mut memory, n).unwrap()).collect();
    let cell = memory.alloc(100).unwrap();
    // SAFETY: a young cell.
    unsafe { memory.set_live(cell) };
    memory.epoch_reset();
    let mut freed = 0;
    let mut id = 0;
    while let Some(at) = memory.next_block(id) {
        memory.for_each_live_in(at, |found| assert_eq!(found, cell));
        memory.for_each_unmarked_in(at, |found| assert_eq!(found, cell));
        freed += memory.sweep_block(at, |_| false);
        id = at + 1;
    }
    assert_eq!(freed, 112);
    assert!(blocks.iter().all(|block| explicit.owns(&memory, block.as_ptr().addr())));
    assert_eq!(memory.used_bytes(), explicit.allocated_bytes(&memory) + explicit.held_bytes());
}

#[test]
fn bad_frees_are_told_apart() {
    let (mut memory, mut explicit) = (Memory::new(usize::MAX), Explicit::new());
    let local = 0u64;
    let collected = memory.alloc(64).unwrap().as_ptr().addr();
    let large = memory.alloc(20_000).unwrap().as_ptr().addr();
    for addr in [0, 8, usize::MAX, &raw const local as usize, collected, large, collected & !(SEGMENT - 1)] {
        assert_eq!(explicit.free_checked(&mut memory, addr), Err(FreeError::NotABlock), "{addr:x}");
    }
    for size in [24, 1000, 9000, 1 << 20] {
        let other = explicit.malloc(&mut memory, size).unwrap();
        let block = explicit.malloc(&mut memory, size).unwrap().as_ptr().addr();
        assert_eq!(explicit.free_checked(&mut memory, block + 8), Err(FreeError::NotABlock));
        assert_eq!(explicit.free_checked(&mut memory, block + 16), Err(FreeError::NotABlock));
        assert_eq!(explicit.free_checked(&mut memory, block), Ok(()));
        assert_eq!(explicit.free_checked(&mut memory, block), Err(FreeError::AlreadyFree), "{size}");
        assert_eq!(explicit.free_checked(&mut memory, other.as_ptr().addr()), Ok(()));
    }
    assert_eq!(explicit.allocated_bytes(&memory), 0);
}

#[test]
fn the_last_freed_is_the_next_handed_out() {
    let (mut memory, mut explicit) = (Memory::new(usize::MAX), Explicit::new());
    let first = explicit.malloc(&mut memory, 1024).unwrap();
    for _ in 0..1000 {
        let block = explicit.malloc(&mut memory, 1024).unwrap();
        // SAFETY: an allocated block.
        unsafe { explicit.free(&mut memory, block) };
        assert_ne!(first, block);
    }
    // In any order of frees, the heap stays small.
    for _ in 0..1000 {
        let blocks: Vec<_> = (0..100).map(|_| explicit.malloc(&mut memory, 1000).unwrap()).collect();
        for block in blocks {
            // SAFETY: an allocated block.
            unsafe { explicit.free(&mut memory, block) };
        }
    }
    assert!(memory.peak_bytes() < 200_000, "{}", memory.peak_bytes());
}

#[test]
fn the_one_free_cell_is_handed_out_next() {
    let (mut memory, mut explicit) = (Memory::new(usize::MAX), Explicit::new());
    for size in [16, 48, 1000, 8192] {
        let blocks: Vec<_> = (0..1000).map(|_| explicit.malloc(&mut memory, size).unwrap()).collect();
        let mut random = Random::new(size as u64);
        for _ in 0..2000 {
            let block = blocks[random.below(blocks.len())];
            // SAFETY: an allocated block.
            unsafe { explicit.free(&mut memory, block) };
            assert_eq!(explicit.malloc(&mut memory, size), Ok(block));
        }
    }
}

#[test]
fn what_is_freed_is_found_again() {
    // Every other cell, then one of three, in any order: what is allocated next takes their places, up to a sixteenth and what is at hand.
    let (mut memory, mut explicit) = (Memory::new(usize::MAX), Explicit::new());
    for size in [16, 48, 1000, 4096] {
        let mut blocks: Vec<_> = (0..20_000).map(|_| explicit.malloc(&mut memory, size).unwrap()).collect();
        let mapped = memory.mapped_bytes();
        let mut random = Random::new(size as u64);
        for part in [2, 3, 10] {
            for n in 0..blocks.len() / part {
                let other = n + random.below(blocks.len() - n);
                blocks.swap(n, other);
                // SAFETY: an allocated block.
                unsafe { explicit.free(&mut memory, blocks[n]) };
            }
            for n in 0..blocks.len() / part {
                blocks[n] = explicit.malloc(&mut memory, size).unwrap();
            }
            let more = memory.mapped_bytes() - mapped;
            assert!(more <= mapped / 12 + (64 << 10), "{size} {part}: {more} of {mapped}");
        }
        let mut all: Vec<_> = blocks.iter().map(|block| block.as_ptr().addr()).collect();
        all.sort_unstable();
        assert!(all.windows(2).all(|pair| pair[0] + size <= pair[1]));
        for block in blocks {
            // SAFETY: an allocated block.
            unsafe { explicit.free(&mut memory, block) };
        }
    }
    explicit.trim(&mut memory);
    assert_eq!(memory.used_bytes(), 0);
}

#[test]
fn a_block_keeps_its_alignment() {
    let (mut memory, mut explicit) = (Memory::new(usize::MAX), Explicit::new());
    for align in (0..22).map(|log2| 1usize << log2) {
        for first in [1, 100, 5000, 20_000, 300_000] {
            let mut block = explicit.aligned(&mut memory, align, first).unwrap();
            for size in [40, 1000, 9000, 400_000, 1 << 20, 500_000, 30_000, 3000, 10] {
                // SAFETY: an allocated block.
                block = unsafe { explicit.realloc(&mut memory, block, size).unwrap() };
                assert!(block.as_ptr().addr().is_multiple_of(align), "{align} {first} {size}");
                // What stays behind is in the way of the next.
                explicit.malloc(&mut memory, size).unwrap();
            }
            // SAFETY: an allocated block.
            unsafe { explicit.free(&mut memory, block) };
        }
    }
    // A block that was not asked to be aligned wastes nothing for it, wherever it stands.
    for size in [64, 512, 4096] {
        let block = explicit.malloc(&mut memory, size).unwrap();
        // SAFETY: an allocated block.
        unsafe {
            let block = explicit.realloc(&mut memory, block, size + size / 8).unwrap();
            assert!(explicit.usable_size(&memory, block) <= size + size / 4);
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "needs address space")]
fn a_large_block_is_resized_in_place() {
    let (mut memory, mut explicit) = (Memory::new(usize::MAX), Explicit::new());
    let block = explicit.malloc(&mut memory, 300_000).unwrap();
    // SAFETY: an allocated block.
    unsafe {
        assert_eq!(explicit.realloc(&mut memory, block, 100 << 20), Ok(block));
        block.add((100 << 20) - 1).write(1);
        assert_eq!(explicit.realloc(&mut memory, block, 300_000), Ok(block));
        // What it no longer needs is kept for it for a while, as idle memory, and goes back like any other.
        assert!(memory.mapped_bytes() > 100 << 20 && memory.mapped_bytes() - memory.idle_bytes() < 400_000);
        assert_eq!(explicit.realloc(&mut memory, block, 50 << 20), Ok(block));
        assert!(memory.mapped_bytes() - memory.idle_bytes() > 50 << 20);
        assert_eq!(explicit.realloc(&mut memory, block, 300_000), Ok(block));
        memory.release_idle(0, &|| true);
        assert!(memory.mapped_bytes() < 400_000);
        assert_eq!(block.add(299_999).read(), 0);
        assert!(explicit.realloc(&mut memory, block, usize::MAX).is_err());
        explicit.free(&mut memory, block);
    }
    assert_eq!(explicit.allocated_bytes(&memory), 0);
}

#[test]
fn the_alarm_rings_for_explicit_blocks() {
    let (mut memory, mut explicit) = (Memory::new(usize::MAX), Explicit::new());
    explicit.malloc(&mut memory, 1000).unwrap();
    assert!(!memory.take_alarm());
    memory.set_explicit_alarm(100_000);
    let before = memory.explicit_bytes;
    while !memory.take_alarm() {
        assert!(memory.explicit_bytes < before + 100_000);
        explicit.malloc(&mut memory, 1000).unwrap();
    }
    // Cells are taken by the half magazine.
    let half = capacity(class_of(1000)) / 2 * size_of_class(class_of(1000));
    assert!((100_000..100_000 + half).contains(&(memory.explicit_bytes - before)));
    assert!(!memory.take_alarm());
    // It rings for whatever grows.
    let block = explicit.calloc(&mut memory, 1, 300_000).unwrap();
    assert!(memory.take_alarm());
    // SAFETY: an allocated block.
    let block = unsafe { explicit.realloc(&mut memory, block, 400_000).unwrap() };
    assert!(memory.take_alarm());
    explicit.aligned(&mut memory, 64, 64).unwrap();
    assert!(memory.take_alarm());
    // It rings for growth from the least that there was since it was set.
    memory.set_explicit_alarm(300_000);
    // SAFETY: as above.
    unsafe { explicit.free(&mut memory, block) };
    let low = memory.explicit_bytes;
    explicit.malloc(&mut memory, 250_000).unwrap();
    assert!(!memory.take_alarm());
    explicit.malloc(&mut memory, 100_000).unwrap();
    assert!(memory.take_alarm());
    assert_eq!(memory.explicit_low(), low);
}

#[test]
fn impossible_requests_are_errors() {
    let (mut memory, mut explicit) = (Memory::new(1 << 20), Explicit::new());
    assert!(explicit.calloc(&mut memory, usize::MAX, 2).is_err());
    assert!(explicit.malloc(&mut memory, usize::MAX).is_err());
    assert!(explicit.aligned(&mut memory, 48, 8).is_err());
    assert!(explicit.aligned(&mut memory, 2 * MAX_ALIGN, 8).is_err());
    assert!(explicit.aligned(&mut memory, 32, usize::MAX - 40).is_err());
    let mut blocks = Vec::new();
    while let Ok(block) = explicit.malloc(&mut memory, 500) {
        blocks.push(block);
    }
    assert!(memory.mapped_bytes() <= 1 << 20 && blocks.len() > 1500, "{}", blocks.len());
    for block in blocks.drain(..) {
        // SAFETY: an allocated block.
        unsafe { explicit.free(&mut memory, block) };
    }
    // The collected heap gets what explicit blocks gave back.
    assert!(memory.alloc(800_000).is_ok());
    for n in 0.. {
        let (mut memory, mut explicit) = (Memory::new(usize::MAX), Explicit::new());
        memory.inject(Faults::From(n));
        let mut errors = 0;
        for n in 0..200 {
            match explicit.malloc(&mut memory, n * n * 10) {
                Ok(block) => blocks.push(block),
                Err(OutOfMemory) => errors += 1,
            }
            if n % 3 == 0
                && let Some(block) = blocks.pop()
            {
                // SAFETY: an allocated block.
                unsafe { explicit.free(&mut memory, block) };
            }
        }
        blocks.clear();
        if errors == 0 {
            assert!(n > 50);
            break;
        }
    }
}

/// One request of each kind, for blocks of each kind.
#[derive(Clone, Copy, Debug)]
enum Request {
    Malloc(usize),
    Calloc(usize),
    Aligned(usize, usize),
    /// From the first size to the second, the block being at a multiple of the third.
    Realloc(usize, usize, usize),
}

#[test]
fn a_refused_request_changes_nothing() {
    use Request::*;
    let sizes = [10, 5000, 20_000, 100_000, 300_000, 1 << 20];
    let mut requests: Vec<_> = sizes.iter().flat_map(|&size| [Malloc(size), Calloc(size)]).collect();
    for align in [16, 64, 4096, 1 << 20] {
        requests.extend(sizes.iter().map(|&size| Aligned(align, size)));
        requests.extend(sizes.iter().flat_map(|&from| sizes.map(|to| Realloc(from, to, align))));
    }
    let mut refused = 0;
    for request in requests {
        // More than any of them asks of the system.
        for n in 0..8 {
            for fault in [Faults::At(n), Faults::From(n)] {
                let (mut memory, mut explicit) = (Memory::new(usize::MAX), Explicit::new());
                // A block beside, so that the other has somebody behind it.
                let mut blocks = Vec::new();
                let middle = if let Realloc(from, _, align) = request { (from, align) } else { (10, 16) };
                for (size, align) in [(20_000, 16), middle, (20_000, 16)] {
                    let block = explicit.aligned(&mut memory, align, size).unwrap();
                    // SAFETY: an allocated block of that size.
                    unsafe { block.write_bytes(7, size) };
                    blocks.push((block, size));
                }
                let listed = |memory: &Memory, explicit: &Explicit| {
                    let mut list = Vec::new();
                    explicit.for_each(memory, |block, bytes| list.push((block, bytes)));
                    list
                };
                let before = (listed(&memory, &explicit), explicit.allocated_bytes(&memory));
                memory.inject(fault);
                let ask = |memory: &mut Memory, explicit: &mut Explicit| match request {
                    Malloc(size) => explicit.malloc(memory, size),
                    Calloc(size) => explicit.calloc(memory, 1, size),
                    Aligned(align, size) => explicit.aligned(memory, align, size),
                    // SAFETY: an allocated block, which is forgotten if it moves.
                    Realloc(_, size, _) => unsafe { explicit.realloc(memory, blocks[1].0, size) },
                };
                let answer = ask(&mut memory, &mut explicit);
                let answer = if answer.is_err() {
                    refused += 1;
                    assert_eq!((listed(&memory, &explicit), explicit.allocated_bytes(&memory)), before, "{request:?} {fault:?}");
                    for (block, size) in &blocks {
                        // SAFETY: an allocated block of that size.
                        assert!(unsafe { std::slice::from_raw_parts(block.as_ptr(), *size) }.iter().all(|byte| *byte == 7));
                    }
                    memory.inject(Faults::None);
                    ask(&mut memory, &mut explicit)
                } else {
                    answer
                };
                memory.inject(Faults::None);
                if let Realloc(from, to, align) = request {
                    let block = answer.unwrap();
                    assert!(block.as_ptr().addr().is_multiple_of(align));
                    // SAFETY: an allocated block of that size.
                    assert!(unsafe { std::slice::from_raw_parts(block.as_ptr(), from.min(to)) }.iter().all(|byte| *byte == 7));
                }
                assert!(answer.is_ok(), "{request:?} {fault:?}");
                // Nothing was lost on the way.
                for (block, _) in listed(&memory, &explicit) {
                    // SAFETY: an allocated block.
                    unsafe { explicit.free(&mut memory, block) };
                }
                explicit.trim(&mut memory);
                assert_eq!(memory.used_bytes(), 0);
                memory.release_idle(0, &|| true);
                assert!(memory.mapped_bytes() - memory.idle_bytes() < 150_000, "{request:?} {fault:?} {}", memory.mapped_bytes());
            }
        }
    }
    assert!(refused > 250, "{refused}");
}
