//! Runs a program on a real heap and on the oracle side by side, and compares the two whenever the collector has done something.
//!
//! Here are the run as a whole and the running frame; `operations` has what a program can do, `objects` what that does to objects, `compare`
//! what must hold after it.

mod compare;
mod objects;
mod operations;

use crate::program::{NAMES, Op};
use crate::shadow::{FRAME, Id, Object, Shadow};
use crate::toy::{self, Slot, Toy};
use neap_gc::heap::{Config, Faults, Heap, OutOfMemory, RootSource, Sabotage};
use neap_gc::{Handle, Ref};

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

// SAFETY: the cells are the heap's, and live.
unsafe impl RootSource for Roots {
    fn slots(&self, visit: &mut dyn FnMut(Option<Ref>)) {
        self.globals.iter().for_each(|r| visit(*r));
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

/// The lengths that `new` gives arrays: small, large enough to be recorded by slots when they are mature, and large enough to be runs.
const SMALL: usize = 6;
const MEDIUM: usize = 70;
const LARGE: usize = 1100;

impl World {
    pub fn run(ops: &[Op], options: &Options) -> Result<(), String> {
        let config = Config {
            poison: true,
            limit_bytes: options.limit_bytes,
            stress_cycle: options.stress_cycle,
            audit: u32::from(options.stress_cycle != 0),
            ..Config::default()
        };
        let Ok(mut heap) = Heap::new(Toy::default(), config) else {
            return if options.fault_every.is_some() { Ok(()) } else { Err("no heap".into()) };
        };
        heap.sabotage(options.sabotage);
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
        let destroyed = heap.runtime().destroyed.clone();
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
                self.heap.inject(if i % (2 * n) < n { Faults::None } else { Faults::From(0) });
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
            self.heap.inject(Faults::None);
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
        unsafe { (*toy::buffer(cell)).add((depth - 1) * FRAME + i) }
    }

    /// Tells the heap how deep the thread's frames may have been written (R7).
    fn lower(&self, cell: Ref, id: Id) {
        let depth = self.shadow.objects[id].frames.len();
        // SAFETY: the thread is live or young.
        let stack = unsafe { toy::stack(cell) };
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
    fn select(&self, a: u8, suits: impl Fn(&Object) -> bool) -> Step<Option<(Ref, Id)>> {
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
            if !self.shadow.objects[id].slots.is_empty() {
                // SAFETY: `same` has checked the cell.
                let real = unsafe { toy::slots(cell) };
                for (r, s) in real.iter().zip(&self.shadow.objects[id].slots) {
                    all.extend(self.same(*r, *s)?);
                }
            }
        }
        Ok(all.into_iter().find(|(_, id)| suits(&self.shadow.objects[*id])))
    }
}
