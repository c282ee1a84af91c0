//! The auditor: walks the whole heap by itself and checks the equation and the invariants of `docs/COLLECTOR.md`.
//!
//! It shares no code with the collector. It reads the bits of the blocks, the objects as the runtime describes them, and the collector's
//! lists as `collect::view` reports them, and finds every count anew. Slow (hash tables over all objects): for tests, and for `Config::audit`.
//!
//! * **found-before-read** It never reads a cell that it has not found: an address counts as a cell only if a block says so, as a young one only if its block
//!   may hold young cells. So a wild reference is a report, not a crash.
//!
//! May import: `memory` (walks only), `object`, and of the collector what it reports.

mod error;

pub use error::AuditError;

use crate::collect::Collector;
use crate::collect::view::{Entry, Stage};
use crate::memory::segment::Owner as BlockOwner;
use crate::memory::{BlockView, Memory, asan};
use crate::object::{Kinds, Ref, Runtime, Shape, Side, Verdict, flags};
use std::collections::{HashMap, HashSet};
use std::ptr::NonNull;

const STICKY: u32 = u32::MAX;

/// What a clean audit has seen.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct AuditReport {
    /// Live objects, tombstones and half-released ones not among them.
    pub objects: usize,
    pub bytes: usize,
    /// Cells kept for the weak references that may name them, or because they are being taken apart.
    pub corpses: usize,
    /// Counted references.
    pub references: u64,
    /// Decrements in the release queue.
    pub decrements: u64,
}

/// A live cell as found.
struct Cell {
    bytes: usize,
    /// References that the other side of the equation finds.
    expected: u64,
    /// Pending increments.
    pending: u64,
    marked: bool,
    /// Dead, but its cell is kept: it has no counted references of its own.
    corpse: bool,
    young: bool,
    /// A large run of which no slot was ever dirty.
    undirtied: bool,
}

#[derive(Default)]
struct Lists {
    /// Snapshots of objects that were logged whole.
    snapshots: HashMap<usize, Vec<Ref>>,
    /// Of those that are recorded by slots: which are, and the snapshots of all of them.
    slots: HashMap<usize, (HashSet<usize>, Vec<Ref>)>,
    dying: HashMap<usize, usize>,
    /// The cell that is being detached, and how many of its slots are.
    detaching: Option<(usize, usize)>,
    /// Values that wait for their keys to be marked.
    waiting_values: HashSet<usize>,
    gray: Vec<(Ref, usize)>,
    /// Live cells with a gray bit.
    gray_bits: Vec<usize>,
    /// What the next epoch end shades, or the next round of marking begins with.
    promised: Vec<Ref>,
    /// Listed roots, handles and what else keeps objects by being counted.
    roots: Vec<Ref>,
}

struct Audit<'h, R: Runtime> {
    rt: &'h R,
    kinds: &'h Kinds,
    memory: &'h Memory,
    blocks: Vec<BlockView>,
    cells: HashMap<usize, Cell>,
    lists: Lists,
    stage: Stage,
    report: AuditReport,
}

type Checked<T = ()> = Result<T, AuditError>;

/// Checks a heap whose stacks are as at a safepoint.
pub(crate) fn audit<R: Runtime>(collector: &Collector<R>) -> Result<AuditReport, AuditError> {
    let mut audit = Audit::<R> {
        rt: &collector.rt,
        kinds: &collector.cx.kinds,
        memory: collector.memory(),
        blocks: Vec::new(),
        cells: HashMap::new(),
        lists: Lists::default(),
        stage: collector.stage(),
        report: AuditReport::default(),
    };
    audit.find_cells(collector.memory())?;
    let mut first = Ok(());
    collector.report(&mut |entry| {
        if first.is_ok() {
            first = audit.enter(entry);
        }
    });
    first?;
    audit.check_logs()?;
    let cells: Vec<usize> = audit.cells.iter().filter(|(_, c)| !c.young).map(|(addr, _)| *addr).collect();
    for &cell in &cells {
        audit.count_references(cell)?;
    }
    for &cell in &cells {
        audit.check_contents(cell)?;
    }
    for &cell in audit.cells.keys() {
        audit.check_count(cell)?;
    }
    audit.check_marking()?;
    Ok(audit.report)
}

/// A `Ref` to the cell at an address where a cell has been found.
fn at(addr: usize) -> Ref {
    let ptr = NonNull::new(std::ptr::with_exposed_provenance_mut(addr)).expect("cells do not stand at 0");
    // SAFETY: only called with addresses of cells (found-before-read), whose headers are written when they are allocated.
    unsafe { Ref::from_ptr(ptr) }
}

fn ones(words: &[u64]) -> usize {
    words.iter().map(|word| word.count_ones() as usize).sum()
}

impl<R: Runtime> Audit<'_, R> {
    // ---- what there is

    fn find_cells(&mut self, memory: &Memory) -> Checked {
        let mut next = memory.next_block(0);
        let (mut bytes, mut young) = (0, false);
        while let Some(id) = next {
            if let Some(block) = memory.block(id) {
                self.enter_block(&block)?;
                self.enter_gray(&block, memory.pages.pinned)?;
                bytes += ones(&block.live.data) * block.cell_size;
                young |= block.young;
                self.blocks.push(block);
            }
            next = memory.next_block(id + 1);
        }
        self.blocks.sort_by_key(|b| b.base);
        // Blocks handed out in this epoch are accounted for when it ends.
        let said = memory.used_bytes() - memory.external_bytes;
        if !young && bytes != said {
            return Err(AuditError::Accounting { found: bytes, said });
        }
        Ok(())
    }

    fn enter_block(&mut self, block: &BlockView) -> Checked {
        let base = block.base.as_ptr().addr();
        if ones(&block.live.data) > block.capacity {
            return Err(AuditError::Block { block: base, what: "more live cells than it has cells" });
        }
        if block.owner != BlockOwner::Collected {
            return Ok(());
        }
        if block.mark.data.iter().zip(&block.live.data).any(|(mark, live)| mark & !live != 0) {
            return Err(AuditError::Block { block: base, what: "a mark where no cell is live" });
        }
        for cell in block.live_cells() {
            let addr = cell.as_ptr().expose_provenance();
            if !(addr - base).is_multiple_of(block.cell_size) {
                return Err(AuditError::Block { block: base, what: "a live bit inside a cell" });
            }
            // SAFETY: a live cell has a header (found-before-read).
            let header = unsafe { at(addr).header() };
            if header.kind() as usize >= self.kinds.len() {
                return Err(AuditError::Header { cell: addr, what: "no such kind" });
            }
            if header.has(flags::YOUNG) {
                return Err(AuditError::Header { cell: addr, what: "young and live (R1)" });
            }
            let marked = block.mark[(addr - base) / 16];
            let corpse = header.has(flags::CORPSE);
            let cell = Cell {
                bytes: block.cell_size,
                expected: 0,
                pending: 0,
                marked,
                corpse,
                young: false,
                undirtied: block.undirtied,
            };
            self.cells.insert(addr, cell);
            if corpse {
                self.report.corpses += 1;
            } else {
                self.report.objects += 1;
                self.report.bytes += block.cell_size;
            }
        }
        Ok(())
    }

    /// Checks gray-word-has-its-bit and gray-only-while-pinned.
    fn enter_gray(&mut self, block: &BlockView, pinned: bool) -> Checked {
        let base = block.base.as_ptr().addr();
        if !pinned && block.gray.any() {
            return Err(AuditError::Block { block: base, what: "a gray bit, and nothing is being marked" });
        }
        if block.gray.data.iter().enumerate().any(|(n, &word)| word != 0 && block.gray_words >> n & 1 == 0) {
            return Err(AuditError::Block { block: base, what: "gray bits in a word that is said to have none" });
        }
        if block.gray.data.iter().zip(&block.live.data).zip(&block.mark.data).any(|((gray, live), mark)| gray & live & !mark != 0)
        {
            return Err(AuditError::Block { block: base, what: "a gray cell that is not marked" });
        }
        self.lists.gray_bits.extend((block.gray & block.live).iter_ones().map(|granule| base + granule * 16));
        Ok(())
    }

    /// Whether the address is that of a cell that may be young, and is (found-before-read).
    fn is_young(&self, addr: usize) -> bool {
        let after = self.blocks.partition_point(|b| b.base.as_ptr().addr() <= addr);
        let Some(block) = after.checked_sub(1).map(|i| &self.blocks[i]) else { return false };
        let offset = addr - block.base.as_ptr().addr();
        block.young
            && block.owner == BlockOwner::Collected
            && offset.is_multiple_of(block.cell_size)
            && offset / block.cell_size < block.capacity
            && !block.live[offset / 16]
            && !asan::is_poisoned(at(addr).as_nonnull())
            // SAFETY: a cell of a block from which cells were handed out in this epoch: mapped memory.
            && unsafe { at(addr).header() }.has(flags::YOUNG)
    }

    /// The cell at an address, if it is live or young and not dead yet.
    fn cell(&mut self, addr: usize) -> Option<&mut Cell> {
        if !self.cells.contains_key(&addr) && self.is_young(addr) {
            self.cells.insert(
                addr,
                Cell { bytes: 0, expected: 0, pending: 0, marked: false, corpse: false, young: true, undirtied: false },
            );
        }
        self.cells.get_mut(&addr).filter(|cell| !cell.corpse)
    }

    /// One more reference to a cell that must be there.
    fn expect(&mut self, to: Ref, from: &'static str, holder: usize) -> Checked {
        let Some(cell) = self.cell(to.addr()) else {
            return Err(AuditError::DeadReference { from, holder, to: to.addr() });
        };
        cell.expected += 1;
        self.report.references += 1;
        Ok(())
    }

    // ---- the collector's lists

    fn enter(&mut self, entry: Entry<'_>) -> Checked {
        match entry {
            Entry::Root(r) => {
                self.lists.roots.push(r);
                self.expect(r, "the listed roots", 0)
            }
            Entry::Handle(r) => {
                self.lists.roots.push(r);
                self.expect(r, "a handle", 0)
            }
            Entry::Dropped(r) => {
                self.lists.promised.push(r);
                self.expect(r, "the dropped handles and finalizers", 0)
            }
            Entry::Finalizer(r) => {
                self.lists.promised.push(r);
                self.expect(r, "the finalizer queues", 0)
            }
            Entry::Decrement(r) => {
                self.report.decrements += 1;
                self.expect(r, "the release queue", 0)
            }
            Entry::Increment(r) => match self.cell(r.addr()) {
                Some(cell) => {
                    cell.pending += 1;
                    Ok(())
                }
                None => Err(AuditError::DeadReference { from: "the pending increments", holder: 0, to: r.addr() }),
            },
            Entry::Member(list, r) => {
                if self.cells.contains_key(&r.addr()) {
                    return Ok(());
                }
                Err(AuditError::DeadReference { from: list, holder: 0, to: r.addr() })
            }
            Entry::Log { object, slots, snapshot } => {
                if self.cells.get(&object.addr()).is_none_or(|c| c.corpse || c.young) {
                    return Err(AuditError::DeadReference { from: "the log", holder: 0, to: object.addr() });
                }
                let Some(slots) = slots else {
                    self.lists.snapshots.entry(object.addr()).or_default().extend(snapshot);
                    return Ok(());
                };
                let (known, snapshots) = self.lists.slots.entry(object.addr()).or_default();
                snapshots.extend(snapshot);
                for slot in slots {
                    if !known.insert(slot) {
                        return Err(AuditError::Header { cell: object.addr(), what: "a slot of it has two log records (R4)" });
                    }
                }
                Ok(())
            }
            Entry::Dying { cell, released } => {
                self.lists.dying.insert(cell.addr(), released);
                Ok(())
            }
            Entry::Detaching { cell, slots } => {
                self.lists.detaching = Some((cell.addr(), slots));
                Ok(())
            }
            Entry::Waits { key, value } => {
                // keys-are-known, values-may-be-dead of `collect::ephemeron`.
                if !self.cells.contains_key(&key.addr()) {
                    return Err(AuditError::DeadReference { from: "the values that wait for keys", holder: 0, to: key.addr() });
                }
                self.lists.waiting_values.insert(value.addr());
                Ok(())
            }
            Entry::Gray { cell, position } => {
                self.lists.gray.push((cell, position));
                Ok(())
            }
        }
    }

    /// Records are of logged objects only (R3).
    fn check_logs(&self) -> Checked {
        for &object in self.lists.snapshots.keys() {
            // SAFETY: `enter` has found the cell.
            let header = unsafe { at(object).header() };
            if !header.has(flags::LOGGED) || header.has(flags::BY_SLOT) {
                return Err(AuditError::Header { cell: object, what: "has a log record and is not LOGGED" });
            }
        }
        for &object in self.lists.slots.keys() {
            // SAFETY: as above.
            if !unsafe { at(object).header() }.has(flags::BY_SLOT) {
                return Err(AuditError::Header { cell: object, what: "its slots have log records, and it has no dirty bits" });
            }
        }
        Ok(())
    }

    /// The slots of a mature array that have log records are those that are dirty (R4). Says which, and their snapshots.
    fn recorded(&self, cell: usize) -> Checked<(HashSet<usize>, Vec<Ref>)> {
        let mut dirty = HashSet::new();
        // SAFETY: a live cell with dirty bits.
        unsafe {
            let (place, mut from) = (at(cell).as_nonnull(), 0);
            while let Some(slots) = self.memory.next_dirty(place, self.cells[&cell].bytes / 8, from) {
                from = slots.end;
                dirty.extend(slots);
            }
        }
        let (slots, snapshots) = self.lists.slots.get(&cell).cloned().unwrap_or_default();
        if slots != dirty {
            return Err(AuditError::Header { cell, what: "its dirty slots are not those that the log has (R4)" });
        }
        Ok((slots, snapshots))
    }

    // ---- what counts

    fn shape(&self, cell: usize) -> Shape {
        // SAFETY: callers have found the cell, and `enter_block` has checked its kind.
        self.kinds.shape(unsafe { at(cell).kind() })
    }
    fn name(&self, cell: usize) -> &'static str {
        // SAFETY: as above.
        self.kinds.name(unsafe { at(cell).kind() })
    }

    /// Dead, and only waiting to be released: its references have been given back.
    fn is_swept(&self, cell: usize) -> bool {
        let found = &self.cells[&cell];
        self.stage.decided && !found.marked && !found.young
    }

    /// Its destructor has run in the detach pass (R26): what it referred to can't be asked any more. All that still counted was of the dead.
    fn is_destroyed(&self, cell: usize) -> bool {
        // SAFETY: callers have found the cell.
        let header = unsafe { at(cell).header() };
        header.has(flags::DETACHED) && self.is_swept(cell) && self.kinds.has_destructor(header.kind())
    }

    /// The references that count for a live object: as of the last epoch end.
    fn counted(&self, cell: usize) -> Checked<Vec<Ref>> {
        let r = at(cell);
        let mut found = Vec::new();
        let released = self.lists.dying.get(&cell).copied();
        if self.cells[&cell].corpse && released.is_none() || self.is_destroyed(cell) {
            return Ok(found);
        }
        let shape = self.shape(cell);
        // SAFETY: a live cell; half-released ones still hold their unreleased rest.
        unsafe {
            match shape {
                Shape::Leaf => {}
                Shape::Thread => {
                    // Detached or half released, its list is shorter by so much.
                    let counted = &self.rt.stack(r).as_ref().counted;
                    found.extend((0..counted.len).filter_map(|slot| counted.get(slot)));
                    self.rt.trace(r, &mut |x| found.push(x));
                }
                _ if r.header().has(flags::BY_SLOT) => {
                    let slots = self.rt.slots(r);
                    if shape == Shape::Array && self.cells[&cell].undirtied {
                        self.rt.trace_slots(r, 0..slots, &mut |x| found.push(x));
                        if !found.is_empty() {
                            return Err(AuditError::Header {
                                cell,
                                what: "references in a large array whose slots were never dirty",
                            });
                        }
                    }
                    let (recorded, snapshots) = self.recorded(cell)?;
                    found.extend(snapshots);
                    for slot in (released.unwrap_or(0)..slots).filter(|slot| !recorded.contains(slot)) {
                        if r.header().has(flags::LOGGED) {
                            return Err(AuditError::Header { cell, what: "LOGGED, and not all of its slots are recorded (R4)" });
                        }
                        self.rt.trace_slots(r, slot..slot + 1, &mut |x| found.push(x));
                    }
                }
                _ if r.header().has(flags::LOGGED) => match self.lists.snapshots.get(&cell) {
                    Some(snapshot) => found.extend(snapshot),
                    None => return Err(AuditError::Header { cell, what: "LOGGED without a log record" }),
                },
                Shape::Plain => self.rt.trace(r, &mut |x| found.push(x)),
                _ => {
                    let slots = self.rt.slots(r);
                    self.rt.trace_slots(r, released.unwrap_or(0).min(slots)..slots, &mut |x| found.push(x));
                }
            }
        }
        Ok(found)
    }

    fn count_references(&mut self, cell: usize) -> Checked {
        if self.stage.releasing && self.is_swept(cell) {
            return Ok(());
        }
        // SAFETY: a live cell.
        let detached = self.is_swept(cell) && unsafe { at(cell).header() }.has(flags::DETACHED);
        let half = self.lists.detaching.filter(|half| half.0 == cell).map_or(0, |half| half.1);
        let (given_back, own) = match half {
            0 if detached => (self.counted(cell)?, Vec::new()),
            0 => (Vec::new(), self.counted(cell)?),
            slots => self.split(cell, slots),
        };
        // What is detached has given back what it counted of the living (R25). A young cell stands where one was that is released by now.
        for r in given_back {
            if self.cells.get(&r.addr()).is_some_and(|c| !c.marked && !c.young) {
                self.expect(r, self.name(cell), cell)?;
            }
        }
        for r in own {
            self.expect(r, self.name(cell), cell)?;
        }
        Ok(())
    }

    /// The references of a large dead cell in its first slots, and those in the others.
    fn split(&self, cell: usize, slots: usize) -> (Vec<Ref>, Vec<Ref>) {
        let r = at(cell);
        let (mut before, mut after) = (Vec::new(), Vec::new());
        // SAFETY: a live cell, recorded by slots or a thread, with so many slots.
        unsafe {
            if self.shape(cell) == Shape::Thread {
                let counted = &self.rt.stack(r).as_ref().counted;
                before.extend((0..slots).filter_map(|slot| counted.get(slot)));
                after.extend((slots..counted.len).filter_map(|slot| counted.get(slot)));
                self.rt.trace(r, &mut |x| after.push(x));
            } else {
                self.rt.trace_slots(r, 0..slots, &mut |x| before.push(x));
                self.rt.trace_slots(r, slots..self.rt.slots(r), &mut |x| after.push(x));
            }
        }
        (before, after)
    }

    fn check_count(&self, cell: usize) -> Checked {
        let found = &self.cells[&cell];
        if found.corpse || (self.stage.releasing && self.is_swept(cell)) {
            return Ok(());
        }
        // SAFETY: a live cell.
        let count = unsafe { at(cell).header() }.count.get();
        let sum = u64::from(count) + found.pending;
        // A detached thread has dropped its list, with what it counted of the dead: those counts decide nothing any more (R23).
        let right = sum == found.expected || count == STICKY || self.is_swept(cell) && sum > found.expected;
        if !right {
            return Err(AuditError::Count {
                cell,
                kind: self.name(cell),
                count,
                pending: found.pending,
                expected: found.expected,
            });
        }
        Ok(())
    }

    // ---- what stands in the objects

    fn check_contents(&self, cell: usize) -> Checked {
        // What a half-released cell has given back may be gone.
        if self.cells[&cell].corpse || self.is_swept(cell) || self.lists.dying.contains_key(&cell) {
            return Ok(());
        }
        let (r, name) = (at(cell), self.name(cell));
        let shape = self.shape(cell);
        // SAFETY: a live cell.
        if shape.is_indexed() && unsafe { self.rt.slots(r) } * 8 > self.cells[&cell].bytes {
            return Err(AuditError::Header { cell, what: "more slots than it has room for" });
        }
        let mut wrong = None;
        for x in self.present(cell) {
            if self.cells.get(&x.addr()).is_none_or(|c| c.corpse) && !self.is_young(x.addr()) {
                wrong = Some(x);
            }
        }
        if let Some(x) = wrong {
            return Err(AuditError::DeadReference { from: name, holder: cell, to: x.addr() });
        }
        // SAFETY: a live cell.
        if !self.kinds.is_weak(unsafe { r.kind() }) {
            return Ok(());
        }
        let mut judge = |x: Ref, _: Side| {
            let there = self.cells.contains_key(&x.addr()) || self.is_young(x.addr());
            // SAFETY: a cell that was found.
            if !there || !unsafe { x.header() }.has(flags::WEAKLY_HELD) {
                wrong = Some(x);
            }
            Verdict::Keep
        };
        // SAFETY: a live cell; nothing is cleared.
        unsafe {
            let slots = if shape.is_indexed() { self.rt.slots(r) } else { 1 };
            self.rt.clean(r, 0..slots, &mut judge, &mut |_| {});
        }
        match wrong {
            Some(x) => Err(AuditError::WeakReference { holder: cell, kind: name, to: x.addr() }),
            None => Ok(()),
        }
    }

    /// The strong references that stand in an object now, those of its stack included.
    fn present(&self, cell: usize) -> Vec<Ref> {
        let r = at(cell);
        let mut found = Vec::new();
        // SAFETY: a live cell; at a safepoint a thread's slots below `top` are written.
        unsafe {
            match self.shape(cell) {
                Shape::Leaf => {}
                Shape::Plain => self.rt.trace(r, &mut |x| found.push(x)),
                Shape::Thread => {
                    self.rt.trace(r, &mut |x| found.push(x));
                    let top = self.rt.stack(r).as_ref().top;
                    self.rt.trace_stack(r, 0..top, &mut |slot| found.extend(slot));
                }
                _ => self.rt.trace_slots(r, 0..self.rt.slots(r), &mut |x| found.push(x)),
            }
        }
        found
    }

    // ---- marking

    /// Everything that the roots lead to is marked, or will be: it hangs from something gray by unmarked objects, or from a snapshot.
    fn check_marking(&self) -> Checked {
        if !self.stage.cycle {
            return Ok(());
        }
        // gray-block-listed
        let listed: HashSet<usize> = self.lists.gray.iter().map(|(cell, _)| cell.addr()).collect();
        if let Some(&cell) = self.lists.gray_bits.iter().find(|cell| !listed.contains(cell)) {
            return Err(AuditError::Header { cell, what: "gray, in a block that marking does not know of" });
        }
        let promised = self.promised()?;
        let mut seen = HashSet::new();
        let mut work: Vec<(usize, usize)> = self.lists.roots.iter().map(|r| (r.addr(), 0)).collect();
        while let Some((cell, from)) = work.pop() {
            let Some(found) = self.cells.get(&cell) else { continue };
            // The young are marked when they are promoted.
            if found.young || !seen.insert(cell) {
                continue;
            }
            if !found.marked && !promised.contains(&cell) {
                return Err(AuditError::Unmarked { cell, kind: self.name(cell), from });
            }
            // The values of weak keys are left to the fixpoint.
            if self.shape(cell) == Shape::Thread {
                work.extend(self.counted(cell)?.iter().map(|r| (r.addr(), cell)));
            } else if self.shape(cell) != Shape::Ephemeron {
                work.extend(self.present(cell).iter().map(|r| (r.addr(), cell)));
            }
        }
        Ok(())
    }

    /// The unmarked objects that marking will still find.
    fn promised(&self) -> Checked<HashSet<usize>> {
        let snapshots = self.lists.snapshots.values().chain(self.lists.slots.values().map(|(_, snapshots)| snapshots));
        let mut work: Vec<usize> = snapshots.flatten().chain(&self.lists.promised).map(|r| r.addr()).collect();
        if !self.stage.roots_shaded {
            work.extend(self.lists.roots.iter().map(|r| r.addr()));
        }
        for &cell in self.lists.dying.keys() {
            work.extend(self.counted(cell)?.iter().map(|r| r.addr()));
        }
        let leads_to = |cell: usize| -> Checked<Vec<usize>> {
            let mut all = self.counted(cell)?;
            if self.shape(cell) != Shape::Thread {
                all.extend(self.present(cell));
            }
            Ok(all.iter().map(|r| r.addr()).collect())
        };
        for (cell, _) in &self.lists.gray {
            // It may be queued and not marked yet.
            work.push(cell.addr());
            if self.cells.get(&cell.addr()).is_some_and(|c| !c.corpse && !c.young) {
                work.extend(leads_to(cell.addr())?);
            }
        }
        let mut promised = HashSet::new();
        while let Some(cell) = work.pop() {
            let Some(found) = self.cells.get(&cell) else { continue };
            if !found.marked && !found.corpse && !found.young && promised.insert(cell) {
                work.extend(leads_to(cell)?);
            }
        }
        Ok(promised)
    }
}
