//! Runs a program on a real heap and on the oracle side by side, and compares the two whenever the collector has done something.

use super::program::{NAMES, Op};
use super::shadow::{FRAME, Id, Shadow, State};
use super::toy::{self, Slot, Toy};
use neap_gc::heap::{Config, Drive, Heap, OutOfMemory, Phase, RootSource, Sabotage};
use neap_gc::{Handle, Ref, Runtime};

/// How programs are run.
#[derive(Clone)]
pub struct Options {
    pub sabotage: Sabotage,
    /// The program leaves out the write barrier: a mistake of the runtime that the auditor must see.
    pub skip_barrier: bool,
    /// Requests to the operating system that succeed, then as many that fail, and so on.
    pub fault_every: Option<usize>,
    pub limit_bytes: usize,
    /// As in `Config`.
    pub stress_cycle: u32,
    /// Whether all roots are dropped at the end.
    pub drop_all: bool,
    /// The heap is dropped as it stands after the program.
    pub abandon: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            sabotage: Sabotage::None,
            skip_barrier: false,
            fault_every: None,
            limit_bytes: usize::MAX,
            stress_cycle: 0,
            drop_all: true,
            abandon: false,
        }
    }
}

enum Stop {
    Violation(String),
    OutOfMemory,
}

impl From<OutOfMemory> for Stop {
    fn from(_: OutOfMemory) -> Stop {
        Stop::OutOfMemory
    }
}

type Step<T = ()> = Result<T, Stop>;

/// Which objects were seen, and which weak entries were found cleared.
type Walk = (Vec<bool>, Vec<(Id, usize)>);

fn violation<T>(text: String) -> Step<T> {
    Err(Stop::Violation(text))
}

#[derive(Default)]
struct Roots {
    globals: [Slot; 3],
    chain: Vec<Ref>,
    /// Where the running frame begins.
    base: usize,
}

impl RootSource for Roots {
    fn globals(&self, visit: &mut dyn FnMut(Ref)) {
        self.globals.iter().flatten().for_each(|r| visit(*r));
    }
    fn chain(&self, visit: &mut dyn FnMut(Ref)) {
        self.chain.iter().for_each(|r| visit(*r));
    }
    fn current_base(&self) -> usize {
        self.base
    }
}

pub struct World {
    heap: Heap<Toy>,
    roots: Roots,
    shadow: Shadow,
    handles: [Option<Handle>; 3],
    options: Options,
    comparisons: usize,
}

/// The lengths that `new` gives arrays: small, and large enough to be carded.
const SMALL: usize = 6;
const LARGE: usize = 1100;
const WEAK_ENTRIES: usize = 3;
const WEAK_ENTRIES_LARGE: usize = 600;
const CHAIN_MAX: usize = 4;
const DEPTH_MAX: usize = 600;

impl World {
    pub fn run(ops: &[Op], options: &Options) -> Result<(), String> {
        let config = Config {
            poison: true,
            limit_bytes: options.limit_bytes,
            stress_cycle: options.stress_cycle,
            audit: options.stress_cycle != 0,
            sabotage: options.sabotage,
            ..Config::default()
        };
        let Ok(mut heap) = Heap::new(Toy::default(), config) else {
            return if options.fault_every.is_some() { Ok(()) } else { Err("no heap".into()) };
        };
        heap.set_running(options.stress_cycle != 0);
        let mut world = World {
            heap,
            roots: Roots::default(),
            shadow: Shadow::default(),
            handles: [const { None }; 3],
            options: options.clone(),
            comparisons: 0,
        };
        let main = match world.new_thread(None) {
            Ok((cell, id)) => (cell, id),
            Err(Stop::Violation(v)) => return Err(v),
            Err(Stop::OutOfMemory) => return Ok(()),
        };
        world.roots.chain.push(main.0);
        world.shadow.chain.push(main.1);
        // SAFETY: the main thread was just made.
        unsafe { world.heap.touch_thread(main.0) };
        let outcome = world.execute(ops);
        if outcome.is_err() && (options.skip_barrier || options.sabotage != Sabotage::None) {
            // Who knows what its destructors would find.
            std::mem::forget(world);
            return outcome;
        }
        outcome?;
        let World { heap, shadow, .. } = world;
        let destroyed = heap.runtime.destroyed.clone();
        drop(heap);
        for (id, object) in shadow.objects.iter().enumerate() {
            let should = usize::from(matches!(object.kind, toy::GUARD | toy::THREAD));
            let times = destroyed.borrow().iter().filter(|n| **n == id as u64).count();
            if times != should {
                return Err(format!("when the heap is gone: the destructor of {id} has run {times} times"));
            }
        }
        Ok(())
    }

    fn execute(&mut self, ops: &[Op]) -> Result<(), String> {
        let may_fail = self.options.fault_every.is_some() || self.options.limit_bytes != usize::MAX;
        for (i, op) in ops.iter().enumerate() {
            if let Some(n) = self.options.fault_every {
                self.heap.fail_after(if i % (2 * n) < n { usize::MAX } else { 0 });
            }
            let step = self.step(*op).and_then(|()| self.stressed());
            match step {
                Ok(()) => {}
                Err(Stop::OutOfMemory) if may_fail => {}
                Err(Stop::OutOfMemory) => return Err(format!("step {i}: out of memory")),
                Err(Stop::Violation(v)) => return Err(format!("step {i}, {}: {v}", NAMES[op.code as usize])),
            }
        }
        if self.options.fault_every.is_some() {
            self.heap.fail_after(usize::MAX);
        }
        match self.finish() {
            Ok(()) => Ok(()),
            Err(Stop::OutOfMemory) => Err("at the end: out of memory".into()),
            Err(Stop::Violation(v)) => Err(format!("at the end: {v}")),
        }
    }

    // ---- the running frame

    fn current(&self) -> (Ref, Id) {
        (*self.roots.chain.last().expect("a main thread"), *self.shadow.chain.last().expect("a main thread"))
    }

    /// A slot of the running frame.
    fn slot(&self, i: usize) -> *mut Slot {
        let (cell, id) = self.current();
        let depth = self.shadow.objects[id].frames.len();
        // SAFETY: the running thread lives, and its frames are within its buffer.
        unsafe { Toy::stack(cell).slots.add((depth - 1) * FRAME + i) }
    }

    /// Tells the heap how deep the thread's frames may have been written (R7).
    fn lower(&self, cell: Ref, id: Id) {
        let depth = self.shadow.objects[id].frames.len();
        // SAFETY: the thread is live or young.
        let stack = unsafe { Toy::stack(cell) };
        stack.low = stack.low.min(depth.saturating_sub(1) * FRAME);
        stack.top = depth * FRAME;
        stack.high = stack.high.max(stack.top);
    }

    /// Before anything that scans.
    fn at_safepoint(&mut self) {
        let (_, id) = self.current();
        self.roots.base = (self.shadow.objects[id].frames.len() - 1) * FRAME;
    }

    /// That the reference and the oracle's object are the same.
    fn same(&self, real: Slot, shadow: Option<Id>) -> Step<Option<(Ref, Id)>> {
        match (real, shadow) {
            (None, None) => Ok(None),
            (Some(cell), Some(id)) => {
                let object = &self.shadow.objects[id];
                if object.cell != cell {
                    return violation(format!("a reference to object {id} leads elsewhere"));
                }
                // SAFETY: the oracle says that the object can be reached.
                let (number, kind) = unsafe { (toy::number(cell), cell.kind()) };
                if number != id as u64 || kind != object.kind {
                    return violation(format!("the cell of object {id} holds number {number:#x}, kind {kind}"));
                }
                Ok(Some((cell, id)))
            }
            _ => violation(format!("a slot differs: real {real:?}, should be object {shadow:?}")),
        }
    }

    fn get(&self, a: u8) -> Step<Option<(Ref, Id)>> {
        let i = a as usize % FRAME;
        let (_, thread) = self.current();
        let frame = self.shadow.objects[thread].frames.last().expect("a running frame");
        // SAFETY: a slot of the running frame.
        self.same(unsafe { *self.slot(i) }, frame[i])
    }

    fn set(&mut self, a: u8, value: Option<(Ref, Id)>) {
        let i = a as usize % FRAME;
        let (_, thread) = self.current();
        // SAFETY: as above.
        unsafe { self.slot(i).write(value.map(|v| v.0)) };
        *self.shadow.objects[thread].frames.last_mut().expect("a running frame").get_mut(i).expect("in the frame") =
            value.map(|v| v.1);
    }

    /// An object that the program has at hand and that suits: on the running frame, in a global, or a field away from those.
    fn select(&self, a: u8, suits: impl Fn(&super::shadow::Object) -> bool) -> Step<Option<(Ref, Id)>> {
        let mut near = Vec::new();
        for i in 0..FRAME as u8 {
            near.extend(self.get(a.wrapping_add(i) % FRAME as u8)?);
        }
        for i in 0..3 {
            let i = (a as usize / FRAME + i) % 3;
            near.extend(self.same(self.roots.globals[i], self.shadow.globals[i])?);
        }
        let mut all = near.clone();
        for (cell, id) in near {
            if matches!(self.shadow.objects[id].kind, toy::PLAIN | toy::GUARD | toy::ARRAY) {
                // SAFETY: `same` has checked the cell.
                let real = unsafe { toy::slots(cell) };
                for (r, s) in real.iter().zip(&self.shadow.objects[id].slots) {
                    all.extend(self.same(*r, *s)?);
                }
            }
        }
        Ok(all.into_iter().find(|(_, id)| suits(&self.shadow.objects[*id])))
    }

    // ---- objects

    fn allocate(&mut self, kind: u8, len: usize) -> Step<(Ref, Id)> {
        // SAFETY: a kind of the table; all words are written at once.
        unsafe {
            let size = toy::size_of_kind(kind, len);
            let cell = self.heap.alloc(kind, size)?;
            for i in 1..size / 8 {
                toy::word::<usize>(cell, i).write(0);
            }
            let id = self.shadow.add(kind, cell, len);
            toy::word::<u64>(cell, 1).write(id as u64);
            if (toy::ARRAY..=toy::ALL_WEAK).contains(&kind) {
                toy::word::<usize>(cell, 2).write(len);
            }
            Ok((cell, id))
        }
    }

    fn new_thread(&mut self, argument: Option<(Ref, Id)>) -> Step<(Ref, Id)> {
        let (cell, id) = self.allocate(toy::THREAD, 0)?;
        // SAFETY: the cell is new and of kind THREAD.
        unsafe {
            let mut stack = neap_gc::Stack::new();
            stack.slots = toy::new_buffer(toy::STACK_SLOTS);
            stack.top = FRAME;
            stack.high = FRAME;
            toy::word::<neap_gc::Stack<Slot>>(cell, 3).write(stack);
            *toy::capacity(cell) = toy::STACK_SLOTS;
            *toy::body(cell) = argument.map(|a| a.0);
            *Toy::stack(cell).slots = argument.map(|a| a.0);
        }
        let object = &mut self.shadow.objects[id];
        object.body = argument.map(|a| a.1);
        object.frames[0][0] = argument.map(|a| a.1);
        Ok((cell, id))
    }

    fn barrier(&mut self, cell: Ref, slot: usize) -> Step {
        if !self.options.skip_barrier {
            // SAFETY: the program has the object at hand.
            unsafe { self.heap.barrier(cell, slot)? };
        }
        Ok(())
    }

    fn store(&mut self, (cell, id): (Ref, Id), slot: usize, value: Option<(Ref, Id)>) -> Step {
        let slot_of_shape = if self.shadow.objects[id].kind == toy::ARRAY { slot } else { 0 };
        self.barrier(cell, slot_of_shape)?;
        // SAFETY: the program has the object at hand.
        unsafe { toy::slots(cell)[slot] = value.map(|v| v.0) };
        self.shadow.objects[id].slots[slot] = value.map(|v| v.1);
        Ok(())
    }

    /// A slot of the object that `b` names; with `full`, the next that holds something.
    fn slot_of(&self, id: Id, b: u8, full: bool) -> Option<usize> {
        let slots = &self.shadow.objects[id].slots;
        let start = if slots.len() > 64 { (b as usize * 67) % slots.len() } else { b as usize % slots.len().max(1) };
        (0..slots.len()).map(|i| (start + i) % slots.len()).find(|&i| !full || slots[i].is_some())
    }

    /// The entry of a weak storage that `b` names.
    fn place(&self, id: Id, b: u8) -> usize {
        let len = self.shadow.objects[id].pairs.len();
        if len > 64 { (b as usize * 67) % len } else { b as usize % len }
    }

    fn entry_of(&self, id: Id, b: u8) -> Option<usize> {
        let pairs = &self.shadow.objects[id].pairs;
        let start = self.place(id, b);
        (0..pairs.len()).map(|i| (start + i) % pairs.len()).find(|&i| pairs[i] != (None, None))
    }

    fn has_slots(object: &super::shadow::Object) -> bool {
        !object.slots.is_empty()
    }

    fn has_entries(object: &super::shadow::Object) -> bool {
        object.pairs.iter().any(|p| *p != (None, None))
    }

    fn reads_nil(&self, id: Id, what: &str) -> Step {
        if self.shadow.reach(false)[id] {
            return violation(format!("the weak {what} {id} reads as nil and can be reached"));
        }
        Ok(())
    }

    /// Writes entry `i` of a weak storage.
    fn put(&mut self, (cell, id): (Ref, Id), i: usize, key: Option<(Ref, Id)>, value: Option<(Ref, Id)>) -> Step {
        let kind = self.shadow.objects[id].kind;
        let old = self.shadow.objects[id].pairs[i];
        let (old_strong, new_strong) = match kind {
            toy::WEAK => (old.0.is_some(), key.is_some()),
            toy::EPHEMERON => (old.1.is_some(), value.is_some()),
            _ => (false, false),
        };
        if old_strong || new_strong {
            self.barrier(cell, i)?;
        }
        // SAFETY: the program has the cells at hand.
        unsafe {
            if let Some((k, _)) = key
                && kind != toy::WEAK
            {
                self.heap.weak_hold(k);
            }
            if let Some((v, _)) = value
                && kind != toy::EPHEMERON
            {
                self.heap.weak_hold(v);
            }
            toy::pairs(cell)[i] = (key.map(|k| k.0), value.map(|v| v.0));
        }
        self.shadow.objects[id].pairs[i] = (key.map(|k| k.1), value.map(|v| v.1));
        Ok(())
    }

    /// Makes a storage of the same kind with the same entries, as a rehash does.
    fn copy(&mut self, (cell, id): (Ref, Id)) -> Step<Option<(Ref, Id)>> {
        let kind = self.shadow.objects[id].kind;
        if matches!(kind, toy::STRING | toy::THREAD) {
            return Ok(None);
        }
        let len = self.shadow.objects[id].slots.len().max(self.shadow.objects[id].pairs.len());
        let (new, new_id) = self.allocate(kind, len)?;
        // SAFETY: the old one is at hand, the new one new; weak entries are as the collector left them.
        unsafe {
            if self.shadow.objects[id].pairs.is_empty() {
                toy::slots(new).copy_from_slice(toy::slots(cell));
                self.shadow.objects[new_id].slots = self.shadow.objects[id].slots.clone();
            }
            for i in 0..self.shadow.objects[id].pairs.len() {
                let (real, shadow) = (toy::pairs(cell)[i], self.shadow.objects[id].pairs[i]);
                let mut keeps = true;
                if kind != toy::WEAK
                    && let (Some(k), Some(k_id)) = (real.0, shadow.0)
                    && !self.heap.copy_keeps(k, true)
                {
                    keeps = false;
                    if self.shadow.reach(true)[k_id] {
                        return violation(format!("a copy drops key {k_id}, which can be reached or will be finalized"));
                    }
                }
                if kind != toy::EPHEMERON
                    && let (Some(v), Some(v_id)) = (real.1, shadow.1)
                    && !self.heap.copy_keeps(v, false)
                {
                    keeps = false;
                    self.reads_nil(v_id, "value of a copy")?;
                }
                if keeps {
                    toy::pairs(new)[i] = real;
                    self.shadow.objects[new_id].pairs[i] = shadow;
                }
            }
            self.heap.filled_by_copy(new);
        }
        Ok(Some((new, new_id)))
    }

    /// Replaces one or two storages of an owner; the new ones take over the counts (R28).
    fn adopt(&mut self, [a, b, c, d]: [u8; 4], two: bool) -> Step {
        let objects = &self.shadow.objects;
        let is_storage = |id: &Id| objects[*id].kind == toy::ARRAY;
        let Some(owner) = self.select(a, |o| o.slots.iter().flatten().any(is_storage))? else { return Ok(()) };
        let slots: Vec<usize> =
            (0..objects[owner.1].slots.len()).filter(|&i| objects[owner.1].slots[i].as_ref().is_some_and(is_storage)).collect();
        let first = slots[b as usize % slots.len()];
        let mut chosen = vec![first];
        if two {
            chosen.extend(slots.iter().find(|&&i| objects[owner.1].slots[i] != objects[owner.1].slots[first]));
        }
        let old: Vec<(Ref, Id)> =
            chosen.iter().filter_map(|&i| objects[owner.1].slots[i]).map(|id| (objects[id].cell, id)).collect();
        if old.iter().any(|o| o.1 == owner.1) {
            return Ok(());
        }
        let mut held: Vec<Id> = old.iter().flat_map(|o| objects[o.1].slots.iter().flatten().copied()).collect();
        if d & 2 == 2 {
            held.reverse();
        }
        let mut new = Vec::new();
        for i in 0..old.len() {
            let large = if i == 0 { c & 1 == 1 } else { c & 2 == 2 };
            new.push(self.allocate(toy::ARRAY, if large { LARGE } else { SMALL.max(held.len()) })?);
        }
        let store_first = d & 4 == 4;
        if store_first {
            for (slot, n) in chosen.iter().zip(&new) {
                self.store(owner, *slot, Some(*n))?;
            }
        }
        for (i, id) in held.iter().enumerate() {
            let (cell, new_id) = new[(i + d as usize) % new.len()];
            let len = self.shadow.objects[new_id].slots.len();
            let spread = if len == LARGE { (i * 97 + b as usize) % len } else { i % len };
            let Some(slot) = (0..len).map(|k| (spread + k) % len).find(|&k| self.shadow.objects[new_id].slots[k].is_none())
            else {
                return Ok(());
            };
            // SAFETY: the new cell is ours.
            unsafe { toy::slots(cell)[slot] = Some(self.shadow.objects[*id].cell) };
            self.shadow.objects[new_id].slots[slot] = Some(*id);
        }
        let cells = |list: &[(Ref, Id)]| list.iter().map(|o| o.0).collect::<Vec<_>>();
        // SAFETY: the new ones hold what the old ones hold; no safepoint since.
        unsafe { self.heap.replace_storage(&cells(&old), &cells(&new)) };
        for (cell, id) in &old {
            // SAFETY: the old cell is still at hand. Where the heap has let it forget its references it has none; all or nothing.
            if unsafe { toy::slots(*cell) }.iter().all(Option::is_none) {
                self.shadow.objects[*id].slots.fill(None);
            }
        }
        if !store_first {
            for (slot, n) in chosen.iter().zip(&new) {
                self.store(owner, *slot, Some(*n))?;
            }
        }
        Ok(())
    }

    // ---- the collector

    /// Under stress a safepoint follows each operation.
    fn stressed(&mut self) -> Step {
        if self.options.stress_cycle != 0 {
            self.at_safepoint();
            // SAFETY: all references are in roots, on stacks, or in cells.
            unsafe { self.heap.safepoint(&self.roots) };
            self.compare()?;
        }
        Ok(())
    }

    fn drive(&mut self, what: Drive) -> Step<bool> {
        self.at_safepoint();
        // SAFETY: all references are in roots, on stacks, or in cells.
        let did = unsafe { self.heap.drive(&self.roots, what) };
        if matches!(what, Drive::EpochEnd(_) | Drive::EpochEndAndStart) {
            self.nothing_above_the_top()?;
        }
        self.compare()?;
        Ok(did)
    }

    /// R6: a scan has cleared what stood above the top of the running stack.
    fn nothing_above_the_top(&self) -> Step {
        let (cell, id) = self.current();
        // SAFETY: the running thread lives, and its buffer has so many slots.
        unsafe {
            let (stack, capacity) = (Toy::stack(cell), *toy::capacity(cell));
            match (stack.top..capacity).find(|&i| (*stack.slots.add(i)).is_some()) {
                Some(slot) => violation(format!("slot {slot} of thread {id} holds a reference after the scan")),
                None => Ok(()),
            }
        }
    }

    /// Compares everything that can be reached, and lets the auditor look.
    fn compare(&mut self) -> Step {
        if let Err(e) = self.heap.audit() {
            return violation(format!("audit: {e}"));
        }
        self.comparisons += 1;
        let (seen, cleared) = self.walk()?;
        let kept = self.justify(cleared)?;
        for id in self.heap.runtime.destroyed.borrow().iter() {
            if kept[*id as usize] {
                return violation(format!("the destructor of {id} ran, and it can be reached"));
            }
        }
        for (object, seen) in self.shadow.objects.iter_mut().zip(seen) {
            if seen {
                object.seen_at = self.comparisons;
            }
        }
        Ok(())
    }

    /// Compares what can be reached on the heap with what the oracle has there. Says what it saw, and which weak entries were cleared.
    fn walk(&self) -> Step<Walk> {
        let objects = &self.shadow.objects;
        let mut seen = vec![false; objects.len()];
        let mut cleared = Vec::new();
        let mut work: Vec<Id> = Vec::new();
        work.extend(self.shadow.globals.iter().chain(&self.shadow.handles).flatten());
        work.extend(&self.shadow.chain);
        loop {
            while let Some(id) = work.pop() {
                if std::mem::replace(&mut seen[id], true) {
                    continue;
                }
                self.same(Some(objects[id].cell), Some(id))?;
                self.compare_cell(id, &mut work, &mut cleared)?;
            }
            for (id, object) in objects.iter().enumerate().filter(|(id, o)| seen[*id] && o.kind == toy::EPHEMERON) {
                for (i, (key, value)) in object.pairs.iter().enumerate() {
                    if let (Some(k), Some(v)) = (key, value)
                        && seen[*k]
                        && !seen[*v]
                        && !cleared.contains(&(id, i))
                    {
                        work.push(*v);
                    }
                }
            }
            if work.is_empty() {
                return Ok((seen, cleared));
            }
        }
    }

    fn compare_cell(&self, id: Id, work: &mut Vec<Id>, cleared: &mut Vec<(Id, usize)>) -> Step {
        let object = &self.shadow.objects[id];
        // SAFETY: `walk` has checked that the cell is the object's.
        unsafe {
            match object.kind {
                toy::PLAIN | toy::GUARD | toy::ARRAY => {
                    let real = toy::slots(object.cell);
                    if real.len() != object.slots.len() {
                        return violation(format!("object {id} has {} slots, should have {}", real.len(), object.slots.len()));
                    }
                    for (r, s) in real.iter().zip(&object.slots) {
                        work.extend(self.same(*r, *s)?.map(|x| x.1));
                    }
                }
                toy::THREAD => {
                    work.extend(self.same(*toy::body(object.cell), object.body)?.map(|x| x.1));
                    let stack = Toy::stack(object.cell);
                    for (i, s) in object.frames.iter().flatten().enumerate() {
                        work.extend(self.same(*stack.slots.add(i), *s)?.map(|x| x.1));
                    }
                }
                toy::WEAK | toy::EPHEMERON | toy::ALL_WEAK => {
                    for (i, shadow) in object.pairs.iter().enumerate() {
                        let real = toy::pairs(object.cell)[i];
                        if real == (None, None) && *shadow != (None, None) {
                            cleared.push((id, i));
                            continue;
                        }
                        let address = |o: Option<Id>| o.map(|o| self.shadow.objects[o].cell);
                        if real != (address(shadow.0), address(shadow.1)) {
                            return violation(format!("entry {i} of {id} has changed"));
                        }
                        if object.kind == toy::WEAK {
                            work.extend(shadow.0);
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// That each cleared entry named something that could not be reached at some time since the entry was last seen; one may follow from another. What
    /// is kept by roots and finalizers.
    fn justify(&mut self, mut cleared: Vec<(Id, usize)>) -> Step<Vec<bool>> {
        loop {
            let strong = self.shadow.reach(false);
            for (id, object) in self.shadow.objects.iter_mut().enumerate() {
                if !strong[id] {
                    object.unreachable_at = self.comparisons;
                    object.was_unreachable |= object.finalizer;
                }
            }
            let mut kept = self.shadow.reach(true);
            kept.iter_mut().zip(&strong).for_each(|(kept, strong)| *kept |= strong);
            for (id, object) in self.shadow.objects.iter_mut().enumerate() {
                if !kept[id] {
                    object.lost_at = self.comparisons;
                }
            }
            let Some(&(id, i)) = cleared.first() else { return Ok(kept) };
            let before = cleared.len();
            cleared.retain(|&(id, i)| {
                let objects = &mut self.shadow.objects;
                let (kind, (key, value), since) = (objects[id].kind, objects[id].pairs[i], objects[id].seen_at);
                let key_gone = kind != toy::WEAK && key.is_some_and(|k| objects[k].lost_at > since);
                let value_gone = kind != toy::EPHEMERON && value.is_some_and(|v| objects[v].unreachable_at > since);
                if key_gone || value_gone {
                    objects[id].pairs[i] = (None, None);
                }
                !key_gone && !value_gone
            });
            if cleared.len() == before {
                return violation(format!("entry {i} of {id} was cleared, and what it names can be reached"));
            }
        }
    }

    fn next_finalizer(&mut self) -> Step<Option<(Ref, Id)>> {
        let Some(cell) = self.heap.next_finalizer() else { return Ok(None) };
        // SAFETY: the heap says that the object lives.
        let id = unsafe { toy::number(cell) } as Id;
        let Some(object) = self.shadow.objects.get_mut(id) else {
            return violation(format!("the finalizer queue names {id:#x}"));
        };
        if object.cell != cell || !object.finalizer || !object.was_unreachable {
            return violation(format!("object {id} is finalized, and should not be"));
        }
        object.finalizer = false;
        object.was_unreachable = false;
        // R16: it is no weak value any more.
        let (seen, _) = self.walk()?;
        for holder in
            self.shadow.objects.iter().zip(seen).filter(|(o, seen)| *seen && matches!(o.kind, toy::WEAK | toy::ALL_WEAK))
        {
            // SAFETY: `walk` has seen the holder.
            if unsafe { toy::pairs(holder.0.cell) }.iter().any(|entry| entry.1 == Some(cell)) {
                return violation(format!("object {id} is finalized while a weak value names it"));
            }
        }
        Ok(Some((cell, id)))
    }

    /// Everything that cannot be reached must go, and only that.
    fn finish(&mut self) -> Step {
        if self.options.abandon {
            return Ok(());
        }
        while self.shadow.chain.len() > 1 {
            self.end_current();
        }
        if self.options.drop_all {
            self.roots.globals = [None; 3];
            self.shadow.globals = [None; 3];
            for i in 0..3 {
                self.drop_handle(i);
            }
            let (cell, main) = self.current();
            self.shadow.objects[main].frames.truncate(1);
            self.lower(cell, main);
            for a in 0..FRAME as u8 {
                self.set(a, None);
            }
        }
        let (mut quiet, mut before) = (0, usize::MAX);
        for round in 0.. {
            self.at_safepoint();
            // SAFETY: all references are in roots, on stacks, or in cells.
            unsafe { self.heap.collect_full(&self.roots) };
            self.compare()?;
            let mut finalized = false;
            while self.next_finalizer()?.is_some() {
                finalized = true;
            }
            let mut left = 0;
            self.heap.each_object(|_, _| left += 1);
            quiet = if finalized || left != before { 0 } else { quiet + 1 };
            before = left;
            if quiet == 2 {
                break;
            }
            if round > 2 * self.shadow.objects.len() + 10 {
                return violation("the heap does not come to rest".into());
            }
        }
        let reach = self.shadow.reach(false);
        let mut found = vec![false; reach.len()];
        self.heap.each_object(|cell, _| {
            // SAFETY: a live cell has a number.
            if let Some(f) = found.get_mut(unsafe { toy::number(cell) } as usize) {
                *f = true;
            }
        });
        if let Some(id) = (0..reach.len()).find(|&id| reach[id] != found[id]) {
            let (r, f) = (reach[id], found[id]);
            return violation(format!("object {id} of kind {}: reachable {r}, there {f}", self.shadow.objects[id].kind));
        }
        if let Some(id) = (0..reach.len()).find(|&id| !reach[id] && self.shadow.objects[id].finalizer) {
            return violation(format!("the finalizer of {id} was never handed over"));
        }
        for (id, object) in self.shadow.objects.iter().enumerate() {
            let destroyed = self.heap.runtime.destroyed.borrow().contains(&(id as u64));
            let should = !reach[id] && matches!(object.kind, toy::GUARD | toy::THREAD);
            if destroyed != should {
                return violation(format!("destructor of {id}: ran {destroyed}, should have run {should}"));
            }
        }
        Ok(())
    }

    fn drop_handle(&mut self, i: usize) {
        if let Some(handle) = self.handles[i].take() {
            self.heap.drop_handle(handle);
            self.shadow.handles[i] = None;
        }
    }

    /// The current coroutine is over; its resumer goes on.
    fn end_current(&mut self) {
        let (cell, id) = self.current();
        let object = &mut self.shadow.objects[id];
        object.state = State::Ended;
        object.frames.clear();
        self.lower(cell, id);
        self.leave();
    }

    fn leave(&mut self) {
        self.shadow.chain.pop();
        self.roots.chain.pop();
        let (cell, id) = self.current();
        // SAFETY: the resumer is in the running chain.
        unsafe { self.heap.touch_thread(cell) };
        self.lower(cell, id);
    }

    // ---- the operations

    fn step(&mut self, op: Op) -> Step {
        let [a, b, c, d] = op.args;
        match NAMES[op.code as usize] {
            "new" => {
                let entries = if c & 1 == 1 { WEAK_ENTRIES_LARGE } else { WEAK_ENTRIES };
                let (kind, len) = match b % 8 {
                    0..=2 => (toy::PLAIN, 0),
                    3 => (toy::GUARD, 0),
                    4 => (toy::ARRAY, if c & 1 == 1 { LARGE } else { SMALL }),
                    5 => (toy::WEAK, entries),
                    6 => (toy::EPHEMERON, entries),
                    _ => (toy::ALL_WEAK, entries),
                };
                let new = self.allocate(kind, len)?;
                self.set(a, Some(new));
            }
            "load" => {
                if let Some((cell, id)) = self.select(a, |o| o.slots.iter().any(Option::is_some))?
                    && let Some(slot) = self.slot_of(id, b, true)
                {
                    // SAFETY: `select` has checked the cell.
                    let real = unsafe { toy::slots(cell)[slot] };
                    let value = self.same(real, self.shadow.objects[id].slots[slot])?;
                    self.set(c, value);
                }
            }
            "store" => {
                if let Some(object) = self.select(a, Self::has_slots)?
                    && let Some(slot) = self.slot_of(object.1, b, false)
                    && let Some(value) = self.get(c)?
                {
                    self.store(object, slot, Some(value))?;
                }
            }
            "unset" => {
                if let Some(object) = self.select(a, |o| o.slots.iter().any(Option::is_some))?
                    && let Some(slot) = self.slot_of(object.1, b, true)
                {
                    self.store(object, slot, None)?;
                }
            }
            "move" => {
                let value = self.get(a)?;
                self.set(b, value);
            }
            "drop" => self.set(a, None),
            "push" => self.push(a, 1)?,
            "pop" => self.pop(a, b, 1)?,
            "deep" => self.push(a, 4 * b as usize)?,
            "shallow" => self.pop(a, b, 4 * c as usize)?,
            "gset" => {
                let value = self.get(a)?;
                self.roots.globals[b as usize % 3] = value.map(|v| v.0);
                self.shadow.globals[b as usize % 3] = value.map(|v| v.1);
            }
            "gget" => {
                let i = a as usize % 3;
                let value = self.same(self.roots.globals[i], self.shadow.globals[i])?;
                self.set(b, value);
            }
            "wset" => {
                // object, entry, value, key
                if let Some(holder) = self.select(a, |o| matches!(o.kind, toy::WEAK | toy::ALL_WEAK))?
                    && let Some(value) = self.get(c)?
                    && self.shadow.objects[value.1].kind != toy::STRING
                {
                    let key = if d & 4 == 4 { self.get(d)? } else { None };
                    let key = key.filter(|k| self.shadow.objects[k.1].kind != toy::STRING);
                    self.put(holder, self.place(holder.1, b), key, Some(value))?;
                }
            }
            "wget" => self.weak_get(a, b, c)?,
            "wdel" => {
                if let Some(holder) = self.select(a, |o| matches!(o.kind, toy::WEAK | toy::ALL_WEAK))? {
                    self.put(holder, self.place(holder.1, b), None, None)?;
                }
            }
            "eset" => {
                if let Some(holder) = self.select(a, |o| o.kind == toy::EPHEMERON)?
                    && let Some(key) = self.get(b)?
                    && self.shadow.objects[key.1].kind != toy::STRING
                {
                    let value = self.get(c)?;
                    let pairs = &self.shadow.objects[holder.1].pairs;
                    let same = pairs.iter().position(|p| p.0 == Some(key.1));
                    if let Some(i) = same.or_else(|| pairs.iter().position(|p| *p == (None, None))) {
                        self.put(holder, i, Some(key), value)?;
                    }
                }
            }
            "eget" => self.ephemeron_get(a, b, c)?,
            "enext" => self.ephemeron_next(a, b, c, d)?,
            "edel" => {
                if let Some(holder) = self.select(a, |o| o.kind == toy::EPHEMERON && Self::has_entries(o))?
                    && let Some(i) = self.entry_of(holder.1, b)
                {
                    self.put(holder, i, None, None)?;
                }
            }
            "copy" => {
                if let Some(owner) = self.select(a, |o| o.slots.iter().any(Option::is_some))?
                    && let Some(slot) = self.slot_of(owner.1, b, true)
                    && let Some(old) = self.shadow.objects[owner.1].slots[slot]
                    && let Some(new) = self.copy((self.shadow.objects[old].cell, old))?
                {
                    self.store(owner, slot, Some(new))?;
                }
            }
            "adopt" => self.adopt(op.args, false)?,
            "adopt2" => self.adopt(op.args, true)?,
            "grow" => {
                if let Some((cell, id)) = self.select(a, |o| o.kind == toy::ARRAY && o.slots.len() >= LARGE)? {
                    let len = self.shadow.objects[id].slots.len();
                    let more = len + 1 + b as usize * 4;
                    // SAFETY: the cell is at hand; its new slots are written at once.
                    unsafe {
                        if more < 8 * LARGE && self.heap.grow(cell, toy::size_of_kind(toy::ARRAY, more))? {
                            for i in len..more {
                                toy::word::<Slot>(cell, 3 + i).write(None);
                            }
                            toy::word::<usize>(cell, 2).write(more);
                            self.shadow.objects[id].slots.resize(more, None);
                        }
                    }
                }
            }
            "thread" => {
                let argument = self.get(b)?;
                let new = self.new_thread(argument)?;
                self.set(a, Some(new));
            }
            "resume" => {
                if let Some((cell, id)) = self.select(a, |o| o.kind == toy::THREAD && o.state == State::Suspended)?
                    && self.shadow.chain.len() < CHAIN_MAX
                    && !self.shadow.chain.contains(&id)
                {
                    let argument = self.get(b)?;
                    if d & 1 == 1 {
                        self.set(a, None);
                    }
                    // SAFETY: the thread is at hand.
                    unsafe { self.heap.touch_thread(cell) };
                    self.lower(cell, id);
                    self.shadow.objects[id].state = State::Active;
                    self.shadow.chain.push(id);
                    self.roots.chain.push(cell);
                    if argument.is_some() {
                        self.set(c, argument);
                    }
                }
            }
            "yield" => {
                if self.shadow.chain.len() > 1 {
                    let value = self.get(a)?;
                    let (cell, id) = self.current();
                    self.lower(cell, id);
                    self.shadow.objects[id].state = State::Suspended;
                    self.leave();
                    if value.is_some() {
                        self.set(b, value);
                    }
                }
            }
            "end" => {
                if self.shadow.chain.len() > 1 {
                    let value = self.get(a)?;
                    self.end_current();
                    if value.is_some() {
                        self.set(b, value);
                    }
                }
            }
            "close" => {
                let chain = &self.shadow.chain;
                let chosen = self.select(a, |o| o.kind == toy::THREAD && o.state == State::Suspended)?;
                if let Some((cell, id)) = chosen.filter(|t| !chain.contains(&t.1)) {
                    // SAFETY: the thread is at hand.
                    unsafe { self.heap.touch_thread(cell) };
                    let object = &mut self.shadow.objects[id];
                    object.state = State::Ended;
                    object.frames.clear();
                    self.lower(cell, id);
                }
            }
            "handle" => {
                let i = b as usize % 3;
                if let (Some((cell, id)), None) = (self.get(a)?, &self.handles[i]) {
                    // SAFETY: the cell is at hand.
                    self.handles[i] = Some(unsafe { self.heap.handle(cell) });
                    self.shadow.handles[i] = Some(id);
                }
            }
            "sticky" => {
                if let Some((cell, _)) = self.get(a)? {
                    // SAFETY: the cell is at hand.
                    unsafe { self.heap.make_sticky(cell) };
                }
            }
            "unhandle" => self.drop_handle(a as usize % 3),
            "fromhandle" => {
                let i = a as usize % 3;
                let real = self.handles[i].as_ref().map(|h| self.heap.get(h));
                let value = self.same(real, self.shadow.handles[i])?;
                self.set(b, value);
            }
            "setfin" => {
                if let Some((cell, id)) = self.get(a)?
                    && self.shadow.objects[id].kind != toy::STRING
                    && !self.shadow.objects[id].finalizer
                {
                    // SAFETY: the cell is at hand.
                    unsafe { self.heap.set_finalizer(cell) };
                    self.shadow.objects[id].finalizer = true;
                    self.shadow.objects[id].was_unreachable = false;
                }
            }
            "runfin" => {
                if let Some(object) = self.next_finalizer()? {
                    self.set(a, Some(object));
                }
            }
            "intern" => self.intern(a, u64::from(b % 3))?,
            "epoch" => {
                self.drive(Drive::EpochEnd(a as usize % 8))?;
            }
            "start" => {
                self.drive(Drive::EpochEndAndStart)?;
            }
            "release" => {
                self.drive(Drive::Release(1 + a as usize % 16))?;
            }
            "phase" => {
                self.drive(Drive::Phase(1 + a as usize % 16))?;
            }
            "clean" => {
                self.drive(Drive::Clean(1 + a as usize))?;
            }
            "markall" => {
                self.drive(Drive::Phase(2000))?;
            }
            "until" => self.until(a)?,
            "step" => {
                self.at_safepoint();
                // SAFETY: all references are in roots, on stacks, or in cells.
                unsafe { self.heap.step(&self.roots, a as usize * 64) };
                self.compare()?;
            }
            "full" => {
                self.at_safepoint();
                // SAFETY: as above.
                unsafe { self.heap.collect_full(&self.roots) };
                self.compare()?;
            }
            other => unreachable!("{other} is in the table and not here"),
        }
        Ok(())
    }

    /// Goes on until the cycle has come to a phase.
    fn until(&mut self, a: u8) -> Step {
        use Phase::*;
        let want = [Idle, Mark, CleanValues, ListFinalizable, MarkAgain, CleanKeys, Detach, Drain, Release][a as usize % 9];
        for _ in 0..400 {
            let phase = self.heap.phase();
            if phase == want {
                break;
            }
            let moved = self.drive(Drive::Phase(1))?;
            if !moved && self.heap.phase() == phase {
                if phase == Idle {
                    break;
                }
                self.drive(Drive::EpochEnd(0))?;
                if self.heap.phase() == Drain {
                    self.drive(Drive::Release(50))?;
                }
            }
        }
        Ok(())
    }

    /// Enters `frames` frames; the last one begins with a slot of the present one.
    fn push(&mut self, a: u8, frames: usize) -> Step {
        let value = self.get(a)?;
        let (cell, id) = self.current();
        let depth = self.shadow.objects[id].frames.len() + frames;
        if depth <= DEPTH_MAX {
            // SAFETY: the running thread lives.
            unsafe { toy::reserve(cell, depth * FRAME) };
            for _ in 0..frames {
                self.shadow.objects[id].frames.push([None; FRAME]);
                // SAFETY: the new frame is within the buffer (R6).
                (0..FRAME).for_each(|i| unsafe { self.slot(i).write(None) });
                self.lower(cell, id);
                self.set(0, value);
            }
        }
        Ok(())
    }

    /// Leaves up to `frames` frames; a slot of the last one goes to a slot of that which runs on.
    fn pop(&mut self, a: u8, b: u8, frames: usize) -> Step {
        let (cell, id) = self.current();
        for _ in 0..frames {
            if self.shadow.objects[id].frames.len() == 1 {
                break;
            }
            let value = self.get(a)?;
            self.shadow.objects[id].frames.pop();
            self.lower(cell, id);
            self.set(b, value);
        }
        Ok(())
    }

    fn weak_get(&mut self, a: u8, b: u8, c: u8) -> Step {
        let Some((cell, id)) = self.select(a, |o| matches!(o.kind, toy::WEAK | toy::ALL_WEAK) && Self::has_entries(o))? else {
            return Ok(());
        };
        let Some(i) = self.entry_of(id, b) else { return Ok(()) };
        // SAFETY: `select` has checked the cell; the entry is as the collector left it.
        unsafe {
            let (Some(real), Some(value)) = (toy::pairs(cell)[i].1, self.shadow.objects[id].pairs[i].1) else { return Ok(()) };
            if self.heap.weak_value(real) {
                let loaded = self.same(Some(real), Some(value))?;
                self.set(c, loaded);
            } else {
                self.reads_nil(value, "value")?;
                self.set(c, None);
            }
        }
        Ok(())
    }

    fn ephemeron_get(&mut self, a: u8, b: u8, c: u8) -> Step {
        let Some((cell, id)) = self.select(a, |o| o.kind == toy::EPHEMERON && Self::has_entries(o))? else { return Ok(()) };
        let mut keys = Vec::new();
        for i in 0..FRAME as u8 {
            keys.extend(self.get(b.wrapping_add(i) % FRAME as u8)?);
        }
        let pairs = &self.shadow.objects[id].pairs;
        let hit = keys.iter().find_map(|k| pairs.iter().position(|p| p.0 == Some(k.1)));
        if let Some(i) = hit {
            // SAFETY: `select` has checked the cell; the key is at hand, so the value is there.
            unsafe {
                let (real, shadow) = (toy::pairs(cell)[i].1, self.shadow.objects[id].pairs[i].1);
                if let Some(value) = real {
                    self.heap.ephemeron_value(value);
                }
                let value = self.same(real, shadow)?;
                self.set(c, value);
            }
        }
        Ok(())
    }

    fn ephemeron_next(&mut self, a: u8, b: u8, c: u8, d: u8) -> Step {
        let Some((cell, id)) = self.select(a, |o| o.kind == toy::EPHEMERON && Self::has_entries(o))? else { return Ok(()) };
        let Some(i) = self.entry_of(id, b) else { return Ok(()) };
        // SAFETY: `select` has checked the cell; the entry is as the collector left it.
        unsafe {
            let (real, shadow) = (toy::pairs(cell)[i], self.shadow.objects[id].pairs[i]);
            let (Some(key), Some(key_id)) = (real.0, shadow.0) else { return Ok(()) };
            if !self.heap.weak_key(key) {
                return self.reads_nil(key_id, "key");
            }
            let key = self.same(Some(key), Some(key_id))?;
            self.set(c, key);
            if d & 1 == 1 {
                if let Some(value) = real.1 {
                    self.heap.ephemeron_value(value);
                }
                let value = self.same(real.1, shadow.1)?;
                self.set(d / 2, value);
            }
        }
        Ok(())
    }

    fn intern(&mut self, a: u8, content: u64) -> Step {
        let reach = self.shadow.reach(false);
        let equal = (0..reach.len())
            .find(|&id| reach[id] && self.shadow.objects[id].kind == toy::STRING && self.shadow.objects[id].content == content);
        // SAFETY: entries of the table are live or young cells.
        unsafe {
            if let Some(&cell) = self.heap.runtime.interned.get(&content) {
                if self.heap.intern_hit(cell) {
                    let id = toy::number(cell) as Id;
                    if self.shadow.objects.get(id).is_none_or(|o| o.kind != toy::STRING || o.content != content) {
                        return violation(format!("the table of strings names {id:#x}"));
                    }
                    if equal.is_some_and(|e| e != id) {
                        return violation(format!("two strings {content} live at once"));
                    }
                    let found = self.same(Some(cell), Some(id))?;
                    self.set(a, found);
                    return Ok(());
                }
                self.heap.runtime.interned.remove(&content);
            }
            if let Some(e) = equal {
                return violation(format!("string {e} can be reached and is not in the table"));
            }
            let (cell, id) = self.allocate(toy::STRING, 0)?;
            toy::word::<u64>(cell, 2).write(content);
            self.shadow.objects[id].content = content;
            self.heap.runtime.interned.insert(content, cell);
            self.heap.interned(cell);
            self.set(a, Some((cell, id)));
        }
        Ok(())
    }
}
