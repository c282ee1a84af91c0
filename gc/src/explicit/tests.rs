//! Random programs of malloc and free against a naive model, beside a collected heap on the same segments.

use super::*;
use crate::memory::Faults;
use crate::memory::tests::Random;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

struct Model {
    memory: Memory,
    explicit: Explicit,
    random: Random,
    /// Every allocated block by address: its pointer, the bytes asked for, the byte it is filled with.
    blocks: BTreeMap<usize, (NonNull<u8>, usize, u8)>,
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
        self.blocks.insert(addr, (cell, size, self.byte));
    }

    fn check((cell, size, byte): (NonNull<u8>, usize, u8)) {
        // SAFETY: an allocated block of that size.
        let bytes = unsafe { std::slice::from_raw_parts(cell.as_ptr(), size) };
        assert!(bytes.iter().all(|b| *b == byte));
    }

    fn pick(&mut self) -> Option<(NonNull<u8>, usize, u8)> {
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
                    let (cell, old, byte) = block;
                    self.blocks.remove(&cell.as_ptr().addr());
                    // SAFETY: an allocated block.
                    let new = unsafe { self.explicit.realloc(&mut self.memory, cell, size) }.unwrap();
                    Self::check((new, old.min(size), byte));
                    self.enter(new, size, 16);
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
        assert_eq!(Explicit::allocated_bytes(&self.memory), bytes);
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
    assert_eq!(memory.used_bytes(), Explicit::allocated_bytes(&memory));
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
    assert_eq!(Explicit::allocated_bytes(&memory), 0);
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
fn a_large_block_is_resized_in_place() {
    let (mut memory, mut explicit) = (Memory::new(usize::MAX), Explicit::new());
    let block = explicit.malloc(&mut memory, 300_000).unwrap();
    // SAFETY: an allocated block.
    unsafe {
        assert_eq!(explicit.realloc(&mut memory, block, 100 << 20), Ok(block));
        block.add((100 << 20) - 1).write(1);
        assert_eq!(explicit.realloc(&mut memory, block, 300_000), Ok(block));
        assert!(memory.mapped_bytes() < 400_000);
        assert!(explicit.realloc(&mut memory, block, usize::MAX).is_err());
        explicit.free(&mut memory, block);
    }
    assert_eq!(Explicit::allocated_bytes(&memory), 0);
}

#[test]
fn the_alarm_rings_for_explicit_blocks() {
    let (mut memory, mut explicit) = (Memory::new(usize::MAX), Explicit::new());
    explicit.malloc(&mut memory, 1000).unwrap();
    assert!(!memory.take_alarm());
    memory.set_explicit_alarm(100_000);
    while !memory.take_alarm() {
        assert!(memory.explicit_bytes < 100_000);
        explicit.malloc(&mut memory, 1000).unwrap();
    }
    assert!((100_000..102_000).contains(&memory.explicit_bytes));
    assert!(!memory.take_alarm());
    // It rings for whatever grows.
    let block = explicit.calloc(&mut memory, 1, 300_000).unwrap();
    assert!(memory.take_alarm());
    // SAFETY: an allocated block.
    let block = unsafe { explicit.realloc(&mut memory, block, 400_000).unwrap() };
    assert!(memory.take_alarm());
    explicit.aligned(&mut memory, 64, 64).unwrap();
    assert!(memory.take_alarm());
    // SAFETY: as above.
    unsafe { explicit.free(&mut memory, block) };
    memory.set_explicit_alarm(400_000);
    explicit.malloc(&mut memory, 1000).unwrap();
    assert!(!memory.take_alarm());
    explicit.malloc(&mut memory, 300_000).unwrap();
    assert!(memory.take_alarm());
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
