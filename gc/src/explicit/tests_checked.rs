//! Checked blocks: every offence is found and names its places; random programs against a naive model.

use super::*;
use crate::memory::Faults;
use crate::memory::tests::Random;
use std::collections::BTreeMap;

struct World {
    lender: Plain,
    checked: Checked,
}

/// Memory that is asked for once.
struct Plain {
    memory: Memory,
    explicit: Explicit,
}

impl Lender for Plain {
    fn request(&mut self, _: usize, ask: Ask<'_>) -> Result<NonNull<u8>, OutOfMemory> {
        ask(&mut self.memory, &mut self.explicit)
    }
    fn parts(&mut self) -> (&mut Memory, &mut Explicit) {
        (&mut self.memory, &mut self.explicit)
    }
    fn parts_ref(&self) -> (&Memory, &Explicit) {
        (&self.memory, &self.explicit)
    }
}

impl World {
    /// The bytes of explicit blocks, the records aside.
    fn bytes(&self) -> usize {
        let Plain { memory, explicit } = &self.lender;
        explicit.allocated_bytes(memory) - self.checked.records.bytes(memory, explicit)
    }
    fn new(limit: usize) -> World {
        World { lender: Plain { memory: Memory::new(limit), explicit: Explicit::new() }, checked: Checked::new() }
    }
    fn blocks(&mut self) -> CheckedBlocks<'_> {
        CheckedBlocks::new(&mut self.lender, &mut self.checked)
    }
    fn problems(&mut self) -> Vec<Offence> {
        let mut all = Vec::new();
        self.blocks().inspect(|report| all.push(report.offence));
        all
    }
}

fn text(result: Result<impl std::fmt::Debug, Report>) -> String {
    result.expect_err("an offence").to_string()
}

/// The hook says no at one question after the other: a block that is refused so is none, and one that should have moved is as it was.
#[test]
fn work_on_large_blocks_is_given_up() {
    const SIZE: usize = 5 << 20;
    for mapped in [false, true] {
        let mut world = World::new(usize::MAX);
        let id = if mapped { world.blocks().malloc(SIZE, Site(1)) } else { world.blocks().calloc(1, SIZE, Site(1)) }.unwrap();
        world.blocks().fill(id, 7, SIZE - 9, 3).unwrap();
        // Memory that was in use before has to be cleared.
        let other = world.blocks().malloc(2 * SIZE, Site(2)).unwrap();
        world.blocks().fill(other, 0, 2 * SIZE, 4).unwrap();
        world.blocks().free(other, Site(2)).unwrap();
        let asks = |world: &mut World, most: usize, size| {
            let mut left = most;
            let mut go_on = || {
                left = left.saturating_sub(1);
                left > 0
            };
            world.blocks().asking(&mut go_on).realloc(id, size, Site(3))
        };
        for size in [2 * SIZE, SIZE / 2] {
            let (mut refused, bytes) = (0, world.bytes());
            while asks(&mut world, refused + 1, size).is_err() {
                refused += 1;
                assert_eq!((world.bytes(), world.blocks().size(id).unwrap()), (bytes, SIZE));
                assert_eq!(world.blocks().read(id, 7, SIZE - 9).unwrap().iter().filter(|&&byte| byte == 3).count(), SIZE - 9);
                assert_eq!(world.blocks().read(id, 0, 7).is_err(), mapped);
            }
            assert!(refused > size.min(SIZE) >> 20, "{refused}");
            assert_eq!(world.blocks().size(id), Ok(size));
            let kept = size.min(SIZE) - 9;
            assert!(world.blocks().read(id, 7, kept).unwrap().iter().all(|&byte| byte == 3));
            world.blocks().realloc(id, SIZE, Site(4)).unwrap();
            world.blocks().fill(id, 7, SIZE - 9, 3).unwrap();
        }
        assert_eq!(world.problems(), [Offence::Leak]);
    }
}

#[test]
fn offences_name_both_places() {
    let mut world = World::new(usize::MAX);
    let mut blocks = world.blocks();
    let id = blocks.malloc(64, Site(3)).unwrap();
    assert_eq!(
        text(blocks.read(id, 0, 1)),
        "uninitialised read: byte 0 of block of 64 bytes allocated at place 3 was never written"
    );
    blocks.write(id, 0, &[7; 10]).unwrap();
    assert_eq!(blocks.read(id, 2, 8).unwrap(), [7; 8]);
    assert_eq!(
        text(blocks.read(id, 2, 9)),
        "uninitialised read: byte 10 of block of 64 bytes allocated at place 3 was never written"
    );
    assert_eq!(
        text(blocks.write(id, 62, &[0; 4])),
        "out of bounds: write of 4 bytes at offset 62 of block of 64 bytes allocated at place 3"
    );
    assert_eq!(
        text(blocks.read(id, -1, 1)),
        "out of bounds: read of 1 byte at offset -1 of block of 64 bytes allocated at place 3"
    );
    assert_eq!(text(blocks.fill(id, i64::MAX, usize::MAX, 0)).get(..14), Some("out of bounds:"));
    let addr = blocks.address(id).unwrap().as_ptr().addr();
    assert_eq!(addr % 16, 0);
    assert_eq!(
        text(blocks.free_at(addr + 8, Site(4))),
        "invalid free: 8 bytes behind the start of block of 64 bytes allocated at place 3"
    );
    assert_eq!(text(blocks.free_at(addr + 64, Site(4))), "invalid free: not the address of a block");
    assert_eq!(text(blocks.free_at(8, Site(4))), "invalid free: not the address of a block");
    blocks.free(id, Site(9)).unwrap();
    let places = "block of 64 bytes allocated at place 3, freed at place 9";
    assert_eq!(text(blocks.free(id, Site(10))), format!("double free: {places}"));
    assert_eq!(text(blocks.free_at(addr, Site(10))), format!("double free: {places}"));
    for result in [
        blocks.read(id, 0, 1).map(drop),
        blocks.find_zero(id, 0, 100).map(drop),
        blocks.write(id, 0, b"x"),
        blocks.fill(id, 0, 0, 0),
        blocks.copy(id, 0, id, 0, 1),
        blocks.size(id).map(drop),
        blocks.address(id).map(drop),
    ] {
        assert_eq!(text(result), format!("use after free: {places}"));
    }
    assert!(matches!(blocks.realloc(id, 1, Site(1)), Err(CheckedError::Report(r)) if r.offence == Offence::UseAfterFree));
    let id = blocks.calloc(3, 5, Site(11)).unwrap();
    assert_eq!(blocks.read(id, 0, 15).unwrap(), [0; 15]);
    let leak = blocks.forget(id).unwrap();
    assert_eq!(leak.to_string(), "leak: block of 15 bytes allocated at place 11 was never freed");
    assert_eq!((blocks.blocks(), blocks.bytes()), (0, 0));
    assert_eq!(blocks.info(id).unwrap().freed, Some(Site::UNKNOWN));
    assert!(world.problems().is_empty());
}

#[test]
fn raw_writes_are_found_by_fences_and_poison() {
    for (at, size) in [(-1, 24), (-16, 24), (24, 24), (31, 24), (16, 16), (31, 16), (0, 0), (100_000, 100_000)] {
        let mut world = World::new(usize::MAX);
        let mut blocks = world.blocks();
        let id = blocks.malloc(size, Site(1)).unwrap();
        let start = blocks.address(id).unwrap();
        // SAFETY: within the fences.
        unsafe { start.offset(at as isize).write(0) };
        assert_eq!(world.problems(), [Offence::BrokenFence(at), Offence::Leak]);
        assert_eq!(world.blocks().free(id, Site(2)).map_err(|r| r.offence), Err(Offence::BrokenFence(at)));
        assert!(world.problems().is_empty(), "it is reported once");
        assert_eq!(world.blocks().blocks(), 0);
    }
    let mut world = World::new(usize::MAX);
    let mut blocks = world.blocks();
    let id = blocks.malloc(100, Site(1)).unwrap();
    let start = blocks.address(id).unwrap();
    blocks.free(id, Site(2)).unwrap();
    // SAFETY: the cell is in quarantine.
    unsafe { start.add(99).write(0) };
    assert_eq!(world.problems(), [Offence::WrittenAfterFree(99)]);
    world.blocks().set_quarantine_limit(0);
    assert_eq!(world.problems(), [Offence::WrittenAfterFree(99)], "it is remembered");
    assert_eq!(world.bytes(), 0);
}

#[test]
fn a_block_keeps_its_id_when_it_is_resized() {
    let mut world = World::new(usize::MAX);
    let mut blocks = world.blocks();
    let id = blocks.calloc(1, 10, Site(1)).unwrap();
    let old = blocks.address(id).unwrap().as_ptr().addr();
    blocks.realloc(id, 20, Site(5)).unwrap();
    assert_ne!(blocks.address(id).unwrap().as_ptr().addr(), old);
    assert_eq!(text(blocks.free_at(old, Site(6))), "double free: block of 10 bytes allocated at place 1, freed at place 5");
    assert_eq!(blocks.read(id, 0, 10).unwrap(), [0; 10]);
    assert_eq!(blocks.read(id, 0, 11).unwrap_err().offence, Offence::Uninitialised(10));
    blocks.write(id, 0, b"0123456789abcdef\0").unwrap();
    assert_eq!((blocks.find_zero(id, 4, 100).unwrap(), blocks.find_zero(id, 4, 13).unwrap()), (Some(12), Some(12)));
    assert_eq!(blocks.find_zero(id, 4, 12).unwrap(), None);
    blocks.realloc(id, 4, Site(7)).unwrap();
    assert_eq!(blocks.read(id, 0, 4).unwrap(), b"0123");
    assert_eq!(
        blocks.find_zero(id, 0, 100).unwrap_err().offence,
        Offence::OutOfBounds { access: Access::Read, offset: 0, len: 5 }
    );
    assert_eq!(blocks.realloc(id, usize::MAX, Site(8)), Err(CheckedError::OutOfMemory));
    assert_eq!(blocks.read(id, 0, 4).unwrap(), b"0123");
    assert_eq!((blocks.blocks(), blocks.bytes()), (1, 4));
}

#[test]
fn copies_carry_what_was_never_written() {
    let mut world = World::new(usize::MAX);
    let mut blocks = world.blocks();
    let (a, b) = (blocks.malloc(200, Site(1)).unwrap(), blocks.malloc(200, Site(2)).unwrap());
    let zeros = blocks.calloc(1, 200, Site(3)).unwrap();
    blocks.write(a, 70, b"abc").unwrap();
    blocks.copy(b, 3, a, 68, 7).unwrap();
    assert_eq!(blocks.read(b, 5, 3).unwrap(), b"abc");
    for at in [3, 4, 8, 9] {
        assert!(blocks.read(b, at, 1).is_err());
    }
    blocks.copy(a, 71, a, 70, 3).unwrap();
    assert_eq!(blocks.read(a, 70, 4).unwrap(), b"aabc");
    assert_eq!(blocks.copy(zeros, 0, a, 68, 3).unwrap_err().offence, Offence::Uninitialised(68));
    blocks.copy(zeros, 0, a, 70, 4).unwrap();
    blocks.copy(a, 0, zeros, 0, 5).unwrap();
    assert_eq!(blocks.read(a, 0, 5).unwrap(), b"aabc\0");
    assert!(blocks.copy(a, 199, b, 0, 2).is_err() && blocks.copy(a, 0, b, 199, 2).is_err());
}

#[test]
fn ids_are_never_used_again() {
    let mut world = World::new(usize::MAX);
    let mut blocks = world.blocks();
    blocks.set_quarantine_limit(0);
    let first = blocks.malloc(8, Site(1)).unwrap();
    blocks.free(first, Site(2)).unwrap();
    assert!(blocks.info(first).is_some());
    assert_eq!(blocks.forget(first), None);
    assert_eq!(blocks.info(first), None);
    let second = blocks.malloc(8, Site(1)).unwrap();
    assert_ne!(first, second);
    let stale = blocks.free(first, Site(3)).unwrap_err();
    assert_eq!(stale, Report { offence: Offence::DoubleFree, block: None });
    blocks.free(second, Site(2)).unwrap();
}

#[test]
fn the_quarantine_is_bounded_and_given_up_when_memory_is_short() {
    let mut world = World::new(2 << 20);
    let mut blocks = world.blocks();
    for _ in 0..1000 {
        let id = blocks.malloc(10_000, Site(1)).unwrap();
        blocks.free(id, Site(2)).unwrap();
        assert!(blocks.quarantine_bytes() <= QUARANTINE_BYTES);
        blocks.forget(id);
    }
    assert!(blocks.quarantine_bytes() > QUARANTINE_BYTES / 2);
    assert!(blocks.malloc(1 << 21, Site(1)).is_err());
    assert_eq!(blocks.quarantine_bytes(), 0);
    let id = blocks.malloc(1 << 20, Site(1)).unwrap();
    blocks.free(id, Site(2)).unwrap();
    assert_eq!(world.bytes(), 0);
}

#[test]
fn random_programs_agree_with_the_model() {
    for seed in 0..6 {
        let (mut world, mut random) = (World::new(usize::MAX), Random::new(seed));
        // Each living block by id: the bytes, `None` where never written.
        let mut model: BTreeMap<BlockId, Vec<Option<u8>>> = BTreeMap::new();
        let mut dead = Vec::new();
        for n in 0..4_000u32 {
            let size = random.below(300);
            let mut blocks = world.blocks();
            let picked = model.keys().nth(random.below(model.len().max(1))).copied();
            match (random.below(10), picked) {
                (0, _) => drop(model.insert(blocks.malloc(size, Site(n)).unwrap(), vec![None; size])),
                (1, _) => drop(model.insert(blocks.calloc(size, 1, Site(n)).unwrap(), vec![Some(0); size])),
                (2, Some(id)) if model.len() > 20 => {
                    model.remove(&id);
                    blocks.free(id, Site(n)).unwrap();
                    dead.push(id);
                }
                (3, Some(id)) => {
                    blocks.realloc(id, size, Site(n)).unwrap();
                    model.get_mut(&id).unwrap().resize(size, None);
                }
                (4, Some(from)) => {
                    let (&to, target) = model.iter().nth(random.below(model.len())).unwrap();
                    let len = random.below(target.len().min(model[&from].len()) + 1);
                    let (at, start) = (random.below(target.len() - len + 1), random.below(model[&from].len() - len + 1));
                    let source = model[&from][start..start + len].to_vec();
                    if blocks.copy(to, at as i64, from, start as i64, len).is_ok() {
                        model.get_mut(&to).unwrap()[at..at + len].copy_from_slice(&source);
                    } else {
                        assert!(source.contains(&None));
                    }
                }
                (5 | 6, Some(id)) => {
                    let bytes = model.get_mut(&id).unwrap();
                    let (at, len) = (random.below(320), random.below(40));
                    let fits = at + len <= bytes.len();
                    assert_eq!(blocks.fill(id, at as i64, len, n as u8).is_ok(), fits);
                    if fits {
                        bytes[at..at + len].fill(Some(n as u8));
                    }
                }
                (_, Some(id)) => {
                    let bytes = &model[&id];
                    let (at, len) = (random.below(320), random.below(40));
                    let expected: Option<Vec<u8>> = bytes.get(at..at + len).and_then(|range| range.iter().copied().collect());
                    assert_eq!(blocks.read(id, at as i64, len).ok().map(<[u8]>::to_vec), expected);
                }
                _ => {}
            }
            if !dead.is_empty() && n % 50 == 0 {
                let id = dead.swap_remove(random.below(dead.len()));
                assert!(blocks.read(id, 0, 0).is_err() && blocks.free(id, Site(n)).is_err());
                assert_eq!(blocks.forget(id), None);
            }
            let bytes: usize = model.values().map(Vec::len).sum();
            assert_eq!((blocks.blocks(), blocks.bytes()), (model.len(), bytes));
        }
        assert!(world.problems().iter().all(|p| *p == Offence::Leak));
        let mut blocks = world.blocks();
        model.keys().for_each(|&id| assert_eq!(blocks.forget(id).unwrap().offence, Offence::Leak));
        blocks.set_quarantine_limit(0);
        assert_eq!(world.bytes(), 0);
    }
}

#[test]
fn failures_of_memory_are_errors() {
    for n in 0..40 {
        let mut world = World::new(usize::MAX);
        world.lender.memory.inject(Faults::From(n));
        let mut kept = Vec::new();
        for size in [10, 5_000, 20_000, 300_000, usize::MAX, usize::MAX - 50] {
            let mut blocks = world.blocks();
            if let Ok(id) = blocks.malloc(size, Site(1)) {
                let _ = blocks.realloc(id, size * 2, Site(2));
                kept.push(id);
            }
            assert!(blocks.calloc(usize::MAX, 2, Site(1)).is_err());
        }
        let mut blocks = world.blocks();
        assert_eq!(blocks.blocks(), kept.len());
        kept.into_iter().for_each(|id| blocks.free(id, Site(3)).unwrap());
    }
}

/// Pointers are good for their own block, as long as it lives and stays where it is.
#[test]
fn pointers_are_checked() {
    let mut world = World::new(usize::MAX);
    let mut blocks = world.blocks();
    let id = blocks.calloc(1, 24, Site(1)).unwrap();
    let other = blocks.calloc(1, 24, Site(2)).unwrap();
    let pointer = blocks.pointer(id, 8).unwrap();
    assert_eq!(Pointer::from_bytes(pointer.to_bytes()), pointer);
    assert_eq!(blocks.resolve(Pointer::from_bytes(pointer.to_bytes())), Ok((id, 8)));
    assert_eq!(blocks.resolve(pointer.advanced(-20)), Ok((id, -12)));
    assert!(blocks.pointer(id, 24).is_ok());
    assert_eq!(text(blocks.pointer(id, 25)), "out of bounds: pointer to offset 25 of block of 24 bytes allocated at place 1");
    // However near another block is, the pointer does not come to belong to it.
    let beyond = blocks.pointer(other, 0).unwrap().address() as i64 - pointer.address() as i64;
    assert_eq!(blocks.resolve(pointer.advanced(beyond)).map(|(block, _)| block), Ok(id));
    assert_eq!(blocks.resolve(Pointer::NULL).unwrap_err().offence, Offence::Null);
    assert!(Pointer::NULL.advanced(8).is_null() && Pointer::from_bytes([0; 16]).is_null());

    // Nobody holds the id any more, but the block lives on.
    assert_eq!(blocks.forget(id), None);
    assert_eq!(blocks.resolve(pointer), Ok((id, 8)));
    assert_eq!(
        text(blocks.free_pointer(pointer, Site(3))),
        "invalid free: 8 bytes behind the start of block of 24 bytes allocated at place 1"
    );
    assert_eq!(blocks.free_pointer(pointer.advanced(-8), Site(4)), Ok(()));
    let freed = "block of 24 bytes allocated at place 1, freed at place 4";
    assert_eq!(text(blocks.resolve(pointer)), format!("use after free: {freed}"));
    assert_eq!(text(blocks.free_pointer(pointer.advanced(-8), Site(5))), format!("double free: {freed}"));
    // When the quarantine has let it go, nothing is known of it, but that the pointer is wrong.
    blocks.set_quarantine_limit(0);
    blocks.set_quarantine_limit(QUARANTINE_BYTES);
    let again = blocks.calloc(1, 24, Site(6)).unwrap();
    assert_eq!(text(blocks.resolve(pointer)), "use after free: a block");
    assert_eq!(blocks.free_pointer(Pointer::NULL, Site(7)), Ok(()));

    // What `realloc` moves leaves its pointers behind.
    let old = blocks.pointer(again, 4).unwrap();
    blocks.realloc(again, 4000, Site(8)).unwrap();
    assert_eq!(text(blocks.resolve(old)), "use after free: block of 24 bytes allocated at place 6, freed at place 8");
    let new = blocks.pointer(again, 4).unwrap();
    assert_eq!(blocks.resolve(new), Ok((again, 4)));
    assert_eq!(blocks.free(again, Site(9)), Ok(()));
    assert_eq!(blocks.free(other, Site(9)), Ok(()));
    assert_eq!(blocks.blocks(), 0);
}
