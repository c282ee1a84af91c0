//! Random programs against a naive model: no overlap, contents kept, counts equal; limits, faults, and memory given back.

use super::os::Faults;
use super::*;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Miri takes its time: loops are that much shorter for it.
const MIRI_SHARE: usize = if cfg!(miri) { 50 } else { 1 };

/// A small random generator (xorshift), so that failures repeat.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }
    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % n
    }
    /// Mostly small sizes, some at the borders, some large, few huge.
    pub(crate) fn size(&mut self) -> usize {
        8 * match self.below(100) {
            0..60 => 1 + self.below(20),
            60..85 => 1 + self.below(128),
            85..93 => 1 + self.below(1024),
            93..96 => 1022 + self.below(6),
            96..99 => 1025 + self.below(16 << 10),
            _ => 1025 + self.below(100 << 10),
        }
    }
}

/// What a cell costs, by the definition of the classes: worked out anew, by search.
fn cell_bytes(size: usize) -> usize {
    if size > 8192 {
        return size.next_multiple_of(4096);
    }
    let mut steps: Vec<usize> = (1..=8).map(|n| n * 16).collect();
    for doubling in 0..6 {
        steps.extend((1..=8).map(|n| (128 + n * 16) << doubling));
    }
    steps.into_iter().find(|step| *step >= size).unwrap()
}

#[derive(Clone, Copy)]
struct Cell {
    size: usize,
    seed: u64,
    live: bool,
    marked: bool,
}

/// The naive model: every cell in use, by address.
struct Model {
    memory: Memory,
    random: Random,
    cells: BTreeMap<usize, (NonNull<u8>, Cell)>,
    /// Freed while the layout was pinned: address and bytes.
    pinned_dead: BTreeMap<usize, usize>,
    now: Instant,
    seed: u64,
}

impl Model {
    fn new(seed: u64, limit: usize) -> Model {
        Model {
            memory: Memory::new(limit),
            random: Random::new(seed),
            cells: BTreeMap::new(),
            pinned_dead: BTreeMap::new(),
            now: Instant::now(),
            seed: 0,
        }
    }

    /// Writes words that depend on the cell, at its start, its end, and here and there.
    fn fill(cell: NonNull<u8>, size: usize, seed: u64) {
        for at in Self::places(size) {
            // SAFETY: inside the cell.
            unsafe { cell.as_ptr().cast::<u64>().add(at).write(seed ^ at as u64) };
        }
    }
    fn check(cell: NonNull<u8>, size: usize, seed: u64) {
        for at in Self::places(size) {
            // SAFETY: inside the cell.
            assert_eq!(unsafe { cell.as_ptr().cast::<u64>().add(at).read() }, seed ^ at as u64);
        }
    }
    fn places(size: usize) -> impl Iterator<Item = usize> {
        let words = size / 8;
        (0..words).step_by(1 + words / 64).chain([words - 1])
    }

    fn alloc(&mut self) {
        let size = self.random.size();
        let Ok(cell) = self.memory.alloc(size) else {
            assert!(self.memory.limit() < usize::MAX);
            return;
        };
        let addr = cell.as_ptr().addr();
        assert_eq!(addr % 16, 0);
        if let Some((below, (_, other))) = self.cells.range(..=addr).next_back() {
            assert!(below + cell_bytes(other.size) <= addr, "overlap below");
        }
        if let Some((above, _)) = self.cells.range(addr..).next() {
            assert!(addr + cell_bytes(size) <= *above, "overlap above");
        }
        let end = addr + cell_bytes(size);
        if let Some((dead, bytes)) = self.pinned_dead.range(..end).next_back()
            && dead + bytes > addr
        {
            assert!(*dead == addr && *bytes == cell_bytes(size), "a pinned cell changed its class");
        }
        // SAFETY: a young cell.
        unsafe { assert!(!self.memory.is_live(cell)) };
        self.seed += 0x1_0001;
        Self::fill(cell, size, self.seed);
        self.cells.insert(addr, (cell, Cell { size, seed: self.seed, live: false, marked: false }));
    }

    fn pick(&mut self) -> Option<(NonNull<u8>, Cell)> {
        if self.cells.is_empty() {
            return None;
        }
        let n = self.random.below(self.cells.len());
        self.cells.values().nth(n).copied()
    }

    fn died(&mut self, addr: usize) {
        let (cell, was) = self.cells.remove(&addr).unwrap();
        Self::check(cell, was.size, was.seed);
        if self.memory.pages.pinned {
            self.pinned_dead.insert(addr, cell_bytes(was.size));
        }
    }

    fn free_one(&mut self) {
        if let Some((cell, was)) = self.pick()
            && was.live
        {
            self.died(cell.as_ptr().addr());
            // SAFETY: a live cell.
            unsafe { self.memory.clear_live(cell) };
        }
    }

    fn grow(&mut self) {
        let large: Vec<_> = self.cells.values().filter(|(_, c)| c.size > 8192).copied().collect();
        if large.is_empty() {
            return;
        }
        let (cell, was) = large[self.random.below(large.len())];
        // By a quarter at most, and never beyond what a segment has room for.
        let size = (was.size + 8 * self.random.below(was.size / 32)).min(1 << 30);
        // SAFETY: a run in use.
        let grown = unsafe { self.memory.grow(cell, size) };
        if self.memory.limit() < usize::MAX && grown.is_err() {
            Self::check(cell, was.size, was.seed);
        } else if grown.unwrap() {
            Self::check(cell, was.size, was.seed);
            Self::fill(cell, size, was.seed);
            self.cells.get_mut(&cell.as_ptr().addr()).unwrap().1.size = size;
            let above = self.cells.range(cell.as_ptr().addr() + 1..).next();
            assert!(above.is_none_or(|(above, _)| cell.as_ptr().addr() + cell_bytes(size) <= *above));
        } else {
            assert!(cell_bytes(was.size) < 256 << 10 || cfg!(miri), "a run of its own segment has room");
        }
    }

    fn epoch(&mut self) {
        let survive = self.random.below(101);
        for (addr, (cell, was)) in self.cells.clone() {
            if was.live {
                continue;
            }
            if self.random.below(100) < survive {
                // SAFETY: a young cell.
                unsafe { self.memory.set_live(cell) };
                self.cells.get_mut(&addr).unwrap().1.live = true;
            } else {
                self.died(addr);
            }
        }
        self.memory.epoch_reset();
        assert_eq!(self.memory.young_bytes(), 0);
        self.compare();
    }

    /// After an epoch: the walk finds exactly the model's cells, and the sums agree.
    fn compare(&self) {
        let mut found = BTreeSet::new();
        let mut id = 0;
        while let Some(at) = self.memory.next_block(id) {
            let view = self.memory.block(at).unwrap();
            assert!(!view.young && view.live.count_ones() <= view.capacity);
            self.memory.for_each_live_in(at, |cell| assert!(found.insert(cell.as_ptr().addr())));
            assert_eq!(view.live_cells().count(), view.live.count_ones());
            id = at + 1;
        }
        assert!(found.iter().eq(self.cells.keys()));
        let bytes: usize = self.cells.values().map(|(_, c)| cell_bytes(c.size)).sum();
        assert_eq!(self.memory.used_bytes(), bytes);
        assert!(self.memory.mapped_bytes() >= bytes + self.memory.idle_bytes());
        assert!(self.memory.peak_bytes() >= self.memory.mapped_bytes());
        assert!(self.memory.peak_bytes() <= self.memory.limit());
    }

    fn cycle(&mut self) {
        let ids: Vec<usize> = std::iter::successors(self.memory.next_block(0), |id| self.memory.next_block(id + 1)).collect();
        assert!(ids.iter().all(|id| *id < self.memory.block_limit()));
        for id in &ids {
            self.memory.clear_marks_in(*id);
        }
        let percent = self.random.below(101);
        for (cell, c) in self.cells.values_mut() {
            // SAFETY: a cell in use.
            unsafe { assert!(!self.memory.is_marked(*cell)) };
            c.marked = c.live && self.random.below(100) < percent;
            if c.marked {
                // SAFETY: as above.
                unsafe {
                    assert!(self.memory.set_mark(*cell));
                    assert!(!self.memory.set_mark(*cell));
                    assert!(self.memory.is_marked(*cell));
                }
            }
        }
        let mut unmarked = BTreeSet::new();
        for id in &ids {
            self.memory.for_each_unmarked_in(*id, |cell| assert!(unmarked.insert(cell.as_ptr().addr())));
        }
        let expected: BTreeSet<_> = self.cells.iter().filter(|(_, (_, c))| c.live && !c.marked).map(|(addr, _)| *addr).collect();
        assert_eq!(unmarked, expected);
        let mut dead = Vec::new();
        let mut freed = 0;
        for id in ids {
            freed += self.memory.sweep_block(id, |cell| {
                let keep = cell.as_ptr().addr() / 16 % 5 == 0;
                if !keep {
                    dead.push(cell.as_ptr().addr());
                }
                keep
            });
        }
        let mut expected_bytes = 0;
        for addr in dead {
            let was = self.cells[&addr].1;
            assert!(was.live && !was.marked);
            expected_bytes += cell_bytes(was.size);
            let (_, was) = self.cells.remove(&addr).unwrap();
            if self.memory.pages.pinned {
                self.pinned_dead.insert(addr, cell_bytes(was.size));
            }
        }
        assert_eq!(freed, expected_bytes);
    }

    fn step(&mut self) {
        match self.random.below(1000) {
            0..900 => self.alloc(),
            900..970 => self.free_one(),
            970..985 => self.grow(),
            985..994 => self.epoch(),
            994..996 => self.cycle(),
            996..998 => {
                let pinned = !self.memory.pages.pinned;
                self.memory.pin_layout(pinned);
                if !pinned {
                    self.pinned_dead.clear();
                }
            }
            _ => {
                self.now += Duration::from_millis(self.random.below(200) as u64);
                let max = 1 << self.random.below(24);
                self.memory.purge(self.now, max);
            }
        }
    }
}

#[test]
fn random_programs_agree_with_the_model() {
    for seed in (0..15).step_by(if cfg!(miri) { 7 } else { 1 }) {
        let limit = if seed < 10 { usize::MAX } else { (seed as usize - 9) << 20 };
        let mut model = Model::new(seed, limit);
        for _ in 0..12_000 / MIRI_SHARE {
            model.step();
        }
        model.epoch();
        let cells: Vec<_> = model.cells.values().copied().collect();
        for (cell, c) in cells {
            Model::check(cell, c.size, c.seed);
            // SAFETY: live cells, each once.
            unsafe { model.memory.clear_live(cell) };
        }
        model.cells.clear();
        model.memory.pin_layout(false);
        model.compare();
        for _ in 0..100 {
            model.now += Duration::from_secs(1);
            model.memory.purge(model.now, usize::MAX);
        }
        assert_eq!(model.memory.idle_bytes(), 0);
        assert!(model.memory.mapped_bytes() < 256 << 10, "{}", model.memory.mapped_bytes());
    }
}

#[test]
fn an_epoch_reuses_its_blocks() {
    let mut memory = Memory::new(usize::MAX);
    for _ in 0..100 / MIRI_SHARE {
        for _ in 0..10_000 {
            memory.alloc(48).unwrap();
        }
        assert!(memory.young_bytes() >= 480_000);
        memory.epoch_reset();
        assert_eq!(memory.used_bytes(), 0);
    }
    assert!(memory.peak_bytes() < 600_000, "{}", memory.peak_bytes());
}

#[test]
fn survivors_leave_their_gaps_to_the_next_epoch() {
    let mut memory = Memory::new(usize::MAX);
    for round in 0..if cfg!(miri) { 2 } else { 20 } {
        for n in 0..10_000 {
            let cell = memory.alloc(64).unwrap();
            if n % 20 == 0 {
                // SAFETY: a young cell.
                unsafe { memory.set_live(cell) };
            }
        }
        memory.epoch_reset();
        assert_eq!(memory.used_bytes(), (round + 1) * 500 * 64);
    }
    // 640 KB live and 640 KB of new cells an epoch.
    assert!(memory.peak_bytes() < 1_500_000, "{}", memory.peak_bytes());
}

#[test]
fn the_alarm_rings() {
    let mut memory = Memory::new(usize::MAX);
    memory.set_alarm(100_000);
    let mut bytes = 0;
    while !memory.take_alarm() {
        memory.alloc(32).unwrap();
        bytes += 32;
    }
    assert!((64_000..=100_000).contains(&bytes), "{bytes}");
    memory.epoch_reset();
    memory.alloc(200_000).unwrap();
    assert!(memory.take_alarm());
}

#[test]
#[cfg_attr(miri, ignore = "takes too long")]
fn the_limit_is_hard_and_memory_over_it_comes_back() {
    for limit in [100 << 10, 1 << 20, 5 << 20] {
        let mut memory = Memory::new(limit);
        let mut random = Random::new(limit as u64);
        for _ in 0..10 {
            let mut failed = 0;
            while failed < 50 {
                match memory.alloc(random.size()) {
                    Ok(cell) => {
                        // SAFETY: a cell of 8 bytes at least.
                        unsafe { cell.cast::<u64>().write(0) };
                    }
                    Err(OutOfMemory) => failed += 1,
                }
                assert!(memory.mapped_bytes() <= limit);
            }
            assert!(memory.used_bytes() > limit / 3);
            memory.epoch_reset();
            // All that was small can be had as one run.
            assert!(memory.alloc(limit / 2).is_ok());
            memory.epoch_reset();
        }
        assert!(memory.alloc(usize::MAX - 7).is_err());
        assert!(memory.alloc(isize::MAX as usize).is_err());
        memory.set_limit(usize::MAX);
        assert!(memory.alloc(limit * 2).is_ok());
    }
}

#[test]
fn every_failing_request_is_an_error_and_no_more() {
    for n in 0.. {
        let mut model = Model::new(5, usize::MAX);
        model.memory.inject(Faults::From(n));
        let mut errors = 0;
        for _ in 0..300 {
            let size = model.random.size();
            errors += model.memory.alloc(size).is_err() as usize;
        }
        model.memory.inject(Faults::None);
        model.memory.epoch_reset();
        for _ in 0..300 {
            model.alloc();
        }
        model.epoch();
        if errors == 0 {
            assert!(n > 50);
            break;
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "needs address space")]
fn a_run_grows_where_it_stands() {
    let mut memory = Memory::new(usize::MAX);
    let cell = memory.alloc(300 << 10).unwrap();
    let mut size = 300 << 10;
    for _ in 0..40 {
        size += size / 4;
        // SAFETY: a run in use; written inside.
        unsafe {
            assert!(memory.grow(cell, size).unwrap());
            cell.add(size - 1).write(1);
        }
        if size > 500 << 20 {
            break;
        }
    }
    assert_eq!(memory.used_bytes(), size.next_multiple_of(4096));
    // Thousands of them have room.
    for _ in 0..5000 {
        memory.alloc(256 << 10).unwrap();
    }
    // SAFETY: a run in use.
    unsafe { assert!(memory.grow(cell, size * 2).unwrap()) };
    assert_eq!(memory.grow_fails_beyond(cell), Ok(false));
}

impl Memory {
    /// Growth beyond all address space.
    fn grow_fails_beyond(&mut self, cell: NonNull<u8>) -> Result<bool, OutOfMemory> {
        // SAFETY: a run in use, by the caller.
        unsafe { self.grow(cell, 1 << 46) }
    }
}

/// The dirty slots of a cell, one by one.
fn dirty_of(memory: &Memory, cell: NonNull<u8>, slots: usize) -> Vec<usize> {
    // SAFETY: a collected cell in use, with room for so many slots, whose dirty bits mean something.
    unsafe {
        let (mut found, mut from) = (Vec::new(), 0);
        while let Some(dirty) = memory.next_dirty(cell, slots, from) {
            assert!(!dirty.is_empty() && dirty.end <= slots);
            from = dirty.end;
            found.extend(dirty);
        }
        assert!(memory.dirty_count(cell, slots) == found.len() && found.iter().all(|&slot| memory.slot_is_dirty(cell, slot)));
        found
    }
}

#[test]
fn a_new_run_has_clean_slots_only() {
    let mut memory = Memory::new(usize::MAX);
    for size in [20_000, 100_000, 300_000, 5_000_000] {
        for _ in 0..3 {
            // Neighbours, and after the epoch new runs in old places.
            let cells: Vec<_> = (0..3).map(|_| memory.alloc(size).unwrap()).collect();
            // SAFETY: runs in use, with room for so many slots of 8 bytes.
            unsafe {
                cells.iter().for_each(|&cell| memory.cover_dirty(cell, 0));
                for &cell in &cells {
                    assert!(dirty_of(&memory, cell, size / 8).is_empty() && !memory.is_dirty(cell, size / 8));
                    assert!(!memory.was_dirtied(cell));
                    memory.dirty_all(cell, size / 8);
                    assert!(memory.is_dirty(cell, size / 8) && memory.was_dirtied(cell));
                }
                assert_eq!(memory.set_dirty_twice(cells[1], size / 16), [Dirtied::Alone, Dirtied::InOrder]);
            }
            memory.epoch_reset();
        }
    }
}

impl Memory {
    /// A slot is made clean and dirty again, alone and among others.
    unsafe fn set_dirty_twice(&mut self, run: NonNull<u8>, slot: usize) -> [Dirtied; 2] {
        // SAFETY: a run in use with so many slots and many more, all dirty, by the caller.
        unsafe {
            let slot = slot / 64 * 64 + 20;
            self.set_clean(run, slot - 2..slot + 3);
            let alone = self.set_dirty(run, slot);
            self.set_clean(run, slot..slot + 1);
            self.dirty_next(run, slot + 1..slot + 3).expect("they are clean");
            [alone, self.set_dirty(run, slot)]
        }
    }
}

/// Cells side by side, against a set of slots for each.
#[test]
fn dirty_slots_of_neighbours_are_their_own() {
    let mut memory = Memory::new(usize::MAX);
    let mut random = Random::new(3);
    for size in [512usize, 576, 640, 1024, 1152, 3584, 8192, 20_000, 100_000, 300_000, 5_000_000] {
        let slots = size / 8 - 1;
        let cells: Vec<_> = (0..20).map(|_| memory.alloc(size).unwrap()).collect();
        let mut model = vec![BTreeSet::new(); cells.len()];
        // SAFETY: collected cells in use, with room for so many slots of 8 bytes; bits-cleared-first.
        unsafe {
            for &cell in &cells {
                assert!(memory.has_dirty_bits(cell));
                assert_eq!(memory.is_run(cell), size > 8192);
                if memory.is_run(cell) {
                    memory.cover_dirty(cell, 0);
                } else {
                    memory.clear_dirty(cell);
                }
            }
            for _ in 0..3000 / MIRI_SHARE {
                let n = random.below(cells.len());
                let (cell, slot, model) = (cells[n], random.below(slots), &mut model[n]);
                let range = slot..(slot + random.below(200)).min(slots);
                match random.below(20) {
                    0 => {
                        memory.clear_dirty(cell);
                        model.clear();
                    }
                    1 => {
                        memory.dirty_all(cell, slots);
                        model.extend(0..slots);
                    }
                    2..5 => {
                        memory.set_clean(cell, range.clone());
                        model.retain(|slot| !range.contains(slot));
                    }
                    5..8 => {
                        // The first clean ones side by side, at most a word of them.
                        let first = range.clone().find(|slot| !model.contains(slot));
                        let found = memory.dirty_next(cell, range.clone()).map(|found| found.0);
                        assert_eq!(found.clone().map(|found| found.start), first);
                        if let Some(found) = found {
                            assert!(found.end <= range.end && found.clone().all(|slot| !model.contains(&slot)));
                            let goes_on = found.end < range.end && !model.contains(&found.end);
                            assert!(!goes_on || (cell.as_ptr().addr() / 8 + found.end).is_multiple_of(64));
                            model.extend(found);
                        }
                    }
                    8 if memory.is_run(cell) && model.is_empty() => memory.run_is_clean(cell),
                    _ if model.contains(&slot) => {
                        memory.set_clean(cell, slot..slot + 1);
                        model.remove(&slot);
                    }
                    _ => {
                        let was_clean = memory.is_run(cell) && !memory.is_dirty(cell, slots);
                        assert_eq!(memory.set_dirty(cell, slot) == Dirtied::FirstOfRun, was_clean);
                        model.insert(slot);
                    }
                }
                assert_eq!(memory.slot_is_dirty(cell, slot), model.contains(&slot));
                let next = memory.next_dirty(cell, slots, slot).map(|dirty| dirty.start);
                assert_eq!(next, model.range(slot..).next().copied());
                assert_eq!(memory.next_dirty(cell, slots, slots), None);
                assert!(memory.is_dirty(cell, slots) || model.is_empty());
            }
        }
        for (cell, model) in cells.iter().zip(model) {
            assert!(dirty_of(&memory, *cell, slots).into_iter().eq(model));
        }
        memory.epoch_reset();
    }
    let small = memory.alloc(448).unwrap();
    // SAFETY: a cell in use.
    unsafe { assert!(!memory.has_dirty_bits(small) && !memory.is_run(small)) };
}

#[test]
fn a_run_that_grows_keeps_its_dirty_slots() {
    let mut memory = Memory::new(usize::MAX);
    for size in [20_000, 90_000, 300_000, 5_000_000] {
        // The first leaves dirty slots where the second grows to.
        for round in 0..2 {
            let cell = memory.alloc(size).unwrap();
            // SAFETY: a run in use, with room for so many slots of 8 bytes.
            unsafe {
                memory.cover_dirty(cell, 0);
                assert_eq!(memory.dirty_count(cell, size / 8), 0);
                assert_eq!(memory.set_dirty(cell, 3), Dirtied::FirstOfRun);
                assert!(memory.was_dirtied(cell));
                let (before, more) = (memory.run_bytes(cell), size + size / 2);
                assert!(memory.grow(cell, more).unwrap());
                memory.cover_dirty(cell, before);
                assert_eq!(dirty_of(&memory, cell, more / 8), [3], "{size}, {round}");
                memory.dirty_all(cell, more / 8);
                assert_eq!(memory.dirty_count(cell, more / 8), more / 8);
            }
            memory.epoch_reset();
        }
    }
}

/// Resident bytes of this process.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * rustix::param::page_size()
}

#[test]
#[cfg_attr(miri, ignore = "asks the system")]
fn purged_memory_goes_back_to_the_system() {
    let mut memory = Memory::new(usize::MAX);
    let write = |cell: NonNull<u8>, size: usize| {
        // SAFETY: a cell of that size.
        unsafe { cell.write_bytes(1, size) };
    };
    for _ in 0..1_000_000 {
        write(memory.alloc(64).unwrap(), 64);
    }
    for _ in 0..1000 {
        write(memory.alloc(20_000).unwrap(), 20_000);
    }
    write(memory.alloc(64 << 20).unwrap(), 64 << 20);
    let full = resident();
    assert!(memory.mapped_bytes() > 140 << 20);
    memory.epoch_reset();
    assert_eq!(memory.purge(Instant::now() - Duration::from_millis(50), usize::MAX), 0, "too early");
    let start = Instant::now();
    memory.purge(start, 0);
    let mut slices = 0;
    while memory.purge(start + Duration::from_secs(1), 1 << 20) > 0 {
        slices += 1;
    }
    assert!(slices > 100, "{slices}");
    assert!(memory.mapped_bytes() < 1 << 20, "{}", memory.mapped_bytes());
    // Other tests run beside this one, so only the bulk is asserted.
    assert!(resident() + (100 << 20) < full, "{} of {full}", resident());
}

#[test]
fn idle_memory_can_be_given_back_at_once() {
    let mut memory = Memory::new(usize::MAX);
    for keep in [usize::MAX, 40 << 20, 1 << 20, 0] {
        // Idle pages of every kind: warm blocks, dead segments, and pages beside a run that stays.
        let stay = memory.alloc(20_000).unwrap();
        for _ in 0..2000 {
            memory.alloc(20_000).unwrap();
        }
        for _ in 0..200_000 {
            memory.alloc(64).unwrap();
        }
        for _ in 0..10 {
            memory.alloc(1 << 20).unwrap();
        }
        // SAFETY: a young cell.
        unsafe { memory.set_live(stay) };
        memory.pin_layout(true);
        memory.epoch_reset();
        memory.release_idle(keep, &|| true);
        assert!(memory.idle_bytes() <= keep);
        memory.pin_layout(false);
        let before = memory.mapped_bytes();
        let freed = memory.release_idle(keep, &|| true);
        assert!(memory.idle_bytes() <= keep && memory.mapped_bytes() <= before - freed);
        if keep < usize::MAX {
            assert!(freed > 10 << 20 && memory.idle_bytes() + (64 << 10) > keep, "{freed} {}", memory.idle_bytes());
        }
        assert_eq!(memory.release_idle(keep, &|| true), 0);
    }
    assert!(memory.mapped_bytes() < 1 << 20, "{}", memory.mapped_bytes());
    assert!(memory.pages.bases.len() <= 2, "{}", memory.pages.bases.len());
}

#[test]
fn the_clock_of_idle_memory_goes_around() {
    let ms = |n: u64| Duration::from_millis(n);
    let mut memory = Memory::new(usize::MAX);
    let mut now = memory.pages.clock_set;
    // Near the end of its 32 bits, in the middle, and after a pause longer than it can tell.
    for start in [u32::MAX - 50, u32::MAX, 1 << 31, 7] {
        now += ms(1 << 33 | u64::from(start.wrapping_sub(memory.pages.clock_ms)));
        memory.pages.tick(now);
        assert_eq!(memory.pages.clock_ms, start);
        memory.alloc(100_000).unwrap();
        memory.alloc(1 << 20).unwrap();
        memory.epoch_reset();
        assert!(memory.idle_bytes() > 1 << 20);
        // An instant that steps back changes nothing.
        assert_eq!(memory.purge(now - ms(1000), usize::MAX), 0);
        assert_eq!(memory.purge(now + ms(99), usize::MAX), 0, "too early");
        now += ms(101);
        // Steps of less than a millisecond add up.
        for _ in 0..40 {
            now += Duration::from_micros(50);
            memory.pages.tick(now);
        }
        assert_eq!(memory.pages.clock_ms, start.wrapping_add(103));
        assert!(memory.purge(now, usize::MAX) > 1 << 20);
        assert_eq!(memory.idle_bytes(), 0);
    }
}

#[test]
fn idle_memory_goes_before_a_new_peak() {
    let mut memory = Memory::new(usize::MAX);
    for _ in 0..100_000 {
        memory.alloc(64).unwrap();
    }
    let peak = memory.peak_bytes();
    memory.epoch_reset();
    memory.alloc(5 << 20).unwrap();
    assert!(memory.peak_bytes() <= peak + (512 << 10), "{} {peak}", memory.peak_bytes());
}

#[test]
fn a_small_heap_costs_little() {
    let mut memory = Memory::new(usize::MAX);
    assert_eq!(memory.mapped_bytes(), 0);
    // Two cells each of many classes.
    for size in (16..=1024).step_by(16) {
        memory.alloc(size).unwrap();
        memory.alloc(size).unwrap();
    }
    memory.alloc(12_000).unwrap();
    assert!(memory.mapped_bytes() < 250 << 10, "{}", memory.mapped_bytes());
}
