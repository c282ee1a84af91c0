//! Where the program stands still for the collector.

use super::chronicle::REPORT;
use super::stop::STOPS;
use super::{Flow, Throw, Vm, step};
use crate::value::{Gc, LuaRuntime, ModeChanges, SparseTables, Str, StringTable, Table, Thread, Value, frame_flags};
use neap_gc::heap::poll;
use neap_gc::{Heap, Ref, RootSource};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Finalizers called at a safepoint, at most: a million that fall due together are no step of 12 ms.
const FINALIZERS_MAX: usize = 2048;

/// The registered roots.
pub struct Roots {
    pub(crate) main: Gc<Thread>,
    /// Main thread first, running one last.
    pub(crate) chain: Vec<Gc<Thread>>,
    pub(crate) globals: Gc<Table>,
    pub(crate) registry: Gc<Table>,
    /// The names of the metamethods, by `Event`.
    pub(crate) names: Vec<Gc<Str>>,
    /// Metatables of the basic types, by tag.
    pub(crate) metas: [Option<Gc<Table>>; 16],
    /// The error in flight.
    pub(crate) error: Value,
    pub(crate) memory_message: Value,
    /// Values that the host pins.
    pub(crate) pinned: Vec<Value>,
}

impl Roots {
    pub(super) fn new(main: Gc<Thread>, globals: Gc<Table>, registry: Gc<Table>, names: Vec<Gc<Str>>) -> Roots {
        Roots {
            main,
            chain: vec![main],
            globals,
            registry,
            names,
            metas: [None; 16],
            error: Value::NIL,
            memory_message: Value::NIL,
            pinned: Vec::new(),
        }
    }
}

// SAFETY: all of these are live cells of the heap (V1), the chain's are threads; the base is right as `current_base` says.
unsafe impl RootSource for Roots {
    fn slots(&self, visit: &mut dyn FnMut(Option<Ref>)) {
        for table in [self.globals, self.registry] {
            visit(Some(table.as_ref()));
        }
        self.names.iter().for_each(|s| visit(Some(s.as_ref())));
        self.metas.iter().for_each(|m| visit(m.map(Gc::as_ref)));
        // What is pinned stays, so each has its place.
        [self.error, self.memory_message].iter().chain(&self.pinned).for_each(|v| visit(v.as_ref()));
    }
    fn chain(&self, visit: &mut dyn FnMut(Ref)) {
        self.chain.iter().for_each(|t| visit(t.as_ref()));
    }
    /// `collect_with` lowers the watermark itself before the program runs on.
    fn current_base(&self) -> usize {
        usize::MAX
    }
}

impl Vm {
    /// The poll word is set, and a Lua frame is innermost. `live_top`: the end of the live slots of the running thread (M3). Finalizers that are due may be
    /// innermost afterwards. Errors: an interrupt, memory.
    #[cold]
    #[inline(never)]
    pub(crate) fn poll(&mut self, live_top: usize) -> Result<(), Throw> {
        if self.poll.load(Ordering::Relaxed) & poll::STACK != 0 {
            self.measure_stack(live_top);
        }
        let word = self.poll.load(Ordering::Relaxed);
        if word & REPORT != 0 {
            self.report_chronicle();
        }
        if word & STOPS != 0
            && let Err(throw) = self.check_stops_at_next()
        {
            return Err(throw);
        }
        if word & poll::COLLECT != 0 { self.let_collector_work(live_top, true) } else { Ok(()) }
    }

    /// The collector wants to work, behind an instruction that has allocated; otherwise as `poll`.
    #[cold]
    #[inline(never)]
    pub(super) fn poll_collector(&mut self, live_top: usize) -> Result<(), Throw> {
        self.let_collector_work(live_top, false)
    }

    /// `at_next`: the program stops at the instruction that comes next, not at the one behind which it is.
    fn let_collector_work(&mut self, live_top: usize, at_next: bool) -> Result<(), Throw> {
        self.stops_at_next = at_next;
        self.collect_some(live_top)?;
        // A share of what waits, so that a program that makes more and more of them does not outrun them.
        let count = (self.heap.finalizers_waiting() / 16).clamp(64, FINALIZERS_MAX);
        match self.begin_finalizers(live_top, count) {
            Ok(false) => {}
            Ok(true) => drop(self.drive(Flow::Step(step::CONTINUE))?),
            // There is no room for them now: they wait.
            Err(_) => {
                self.take_error();
                self.out_of_memory = false;
            }
        }
        Ok(())
    }

    /// `check_stops`, where the instruction that comes next counts as the one in progress (M2).
    fn check_stops_at_next(&mut self) -> Result<(), Throw> {
        let f = self.frame();
        // SAFETY: no safepoint comes after the last instruction of a function; the frame is taken away, or `pc` goes back.
        f.pc = unsafe { f.pc.add(1) };
        let result = self.check_stops();
        if result.is_ok() {
            let f = self.frame();
            // SAFETY: as above.
            f.pc = unsafe { f.pc.sub(1) };
        }
        result
    }

    /// Lets the collector work, if it wants to, in the midst of a native function that writes much: every value that it still needs stands in the stack (M3).
    /// That memory runs out, finalizers that fall due, and tables on their way to another mode wait for the next safepoint of a Lua function.
    #[inline]
    pub(crate) fn native_safepoint(&mut self) {
        if self.poll.load(Ordering::Relaxed) & poll::COLLECT != 0 {
            self.work_for_collector();
        }
    }

    #[cold]
    #[inline(never)]
    fn work_for_collector(&mut self) {
        if !ModeChanges::hold_collector(&self.heap) {
            self.collect_at(self.top);
        }
    }

    /// The collector works, if it wants to. Errors: memory.
    pub(super) fn collect_some(&mut self, live_top: usize) -> Result<(), Throw> {
        if ModeChanges::hold_collector(&self.heap) {
            // A piece of that instead, and another one where the program comes by next.
            if let Err(error) = ModeChanges::step(&mut self.heap) {
                ModeChanges::give_up(&mut self.heap);
                return Err(self.set_error(error));
            }
            if ModeChanges::hold_collector(&self.heap) {
                return Ok(());
            }
        }
        self.collect_at(live_top);
        if self.heap.take_exhausted() { Err(self.memory_error()) } else { Ok(()) }
    }

    fn collect_at(&mut self, live_top: usize) {
        self.collect_with(live_top, |heap, roots| {
            // SAFETY: M3.
            unsafe { heap.safepoint(roots) }
        });
        self.settle_tables();
    }

    /// Runs collector work at a safepoint.
    pub(crate) fn collect_with<T>(&mut self, live_top: usize, work: impl FnOnce(&mut Heap<LuaRuntime>, &Roots) -> T) -> T {
        self.save_thread(live_top);
        debug_assert!(self.is_clean_above(live_top));
        let peak = self.soft_limit;
        let result = match self.chronicle {
            None => work(&mut self.heap, &self.roots),
            Some(_) => self.chronicled(|vm| work(&mut vm.heap, &vm.roots)),
        };
        let f = self.frame();
        f.flags |= frame_flags::WATERMARK;
        let func = f.func as usize;
        let limit = self.stack_limit();
        let state = self.thread.state();
        state.stack.low = state.stack.low.min(func);
        if state.stack.high <= live_top {
            // Scanned: what is above the live top is empty now.
            self.scanned_top = live_top;
            let granted = Self::granted(live_top, state.capacity);
            self.soft_limit = granted.min(limit.max(live_top));
            state.stack.high = granted;
            self.cut_running(live_top, peak);
        }
        result
    }

    /// Lets the table of interned strings follow what the collector has left of them. `false`: there is nothing to do, or no memory to do it
    /// with now.
    fn settle_strings(&mut self, units: usize) -> bool {
        StringTable::settle(&mut self.heap, units).unwrap_or(false)
    }

    /// What tables have to do at a safepoint, the one of interned strings among them.
    fn settle_tables(&mut self) {
        self.settle_strings(StringTable::PER_SAFEPOINT);
        SparseTables::settle(&mut self.heap, false);
        // What is refused is tried again when the mode is asked for.
        let _ = ModeChanges::step(&mut self.heap);
    }

    /// A whole collection and nothing else: finalizers wait for a calmer moment. Every live value of the running thread stands below `live_top`.
    pub(super) fn collect_heap(&mut self, live_top: usize) {
        while SparseTables::settle(&mut self.heap, true) {}
        if ModeChanges::finish(&mut self.heap).is_err() && ModeChanges::hold_collector(&self.heap) {
            return;
        }
        self.collect_with(live_top, |heap, roots| {
            // SAFETY: M3.
            unsafe { heap.collect_full(roots) }
        });
        self.cut_running(live_top, 0);
    }

    /// A whole collection, with the table of strings, while a native function or nothing runs; a stop ends it. Returned: how many finalizers have fallen due
    /// by now.
    pub(crate) fn collect_all(&mut self) -> usize {
        let top = self.top;
        self.collect_heap(top);
        while !self.is_stopped() && self.settle_strings(StringTable::PER_SAFEPOINT) {}
        self.heap.finalizers_waiting()
    }

    /// The same for the host, and the finalizers.
    pub fn collect_full(&mut self) {
        let count = self.collect_all();
        self.run_finalizers(count);
    }

    /// As much work of the collector as the allocation of so many bytes would call for. Returned: whether a cycle has ended.
    pub(crate) fn collect_step(&mut self, bytes: usize) -> bool {
        // SAFETY: M3.
        self.step_with(|heap, roots| unsafe { heap.step(roots, bytes) })
    }

    /// As much as can be done in so long a time.
    pub(crate) fn collect_for(&mut self, time: Duration) -> bool {
        // SAFETY: M3.
        self.step_with(|heap, roots| unsafe { heap.step_for(roots, time) })
    }

    fn step_with(&mut self, step: impl FnOnce(&mut Heap<LuaRuntime>, &Roots) -> bool) -> bool {
        let top = self.top;
        if ModeChanges::hold_collector(&self.heap) {
            let _ = ModeChanges::step(&mut self.heap);
            return false;
        }
        let done = self.collect_with(top, step);
        self.settle_tables();
        done
    }

    /// Reclaims what counting finds, so that the counts are what the references are, and nothing is young. `false`: it has been given up for a stop.
    pub(crate) fn collect_counted(&mut self) -> bool {
        if ModeChanges::finish(&mut self.heap).is_err() && ModeChanges::hold_collector(&self.heap) {
            return true;
        }
        let top = self.top;
        // SAFETY: M3.
        self.collect_with(top, |heap, roots| unsafe { heap.collect_counted(roots) })
    }

    /// Looks at the heap as it is at a safepoint; nothing is collected.
    pub(crate) fn look_at_heap<T>(&mut self, look: impl FnOnce(&Heap<LuaRuntime>) -> T) -> T {
        let top = self.top;
        self.collect_with(top, |heap, _| look(heap))
    }
}
