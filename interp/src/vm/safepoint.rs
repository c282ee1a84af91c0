//! Where the program stands still for the collector.

use super::{Event, Vm};
use crate::value::{Gc, Str, StringTable, Table, Thread, Value, frame_flags};
use neap_gc::heap::poll;
use neap_gc::{Ref, RootSource};
use std::sync::atomic::Ordering;

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
    /// The poll word is set. `live_top`: the end of the live slots of the running thread (M3). Errors: an interrupt, memory.
    #[cold]
    #[inline(never)]
    pub(crate) fn poll(&mut self, live_top: usize) -> Result<(), super::Throw> {
        if self.poll.load(Ordering::Relaxed) & poll::STACK != 0 {
            self.measure_stack(live_top);
        }
        let word = self.poll.load(Ordering::Relaxed);
        if word & poll::COLLECT != 0 {
            self.collect_with(live_top, |heap, roots| {
                // SAFETY: M3.
                unsafe { heap.safepoint(roots) }
            });
            self.settle_strings(StringTable::PER_SAFEPOINT);
            // A share of what waits, so that a program that makes more and more of them does not outrun them.
            let count = (self.heap.finalizers_waiting() / 16).clamp(64, FINALIZERS_MAX);
            self.run_finalizers(live_top, count);
            if self.heap.take_exhausted() {
                return Err(self.memory_error());
            }
        }
        if word & poll::INTERRUPT != 0 {
            self.poll.fetch_and(!poll::INTERRUPT, Ordering::Relaxed);
            let f = self.frame();
            if f.is_lua() {
                // M2: in progress is the instruction that comes next.
                // SAFETY: no safepoint comes after the last instruction of a function.
                f.pc = unsafe { f.pc.add(1) };
            }
            return Err(self.runtime_error(b"interrupted!"));
        }
        Ok(())
    }

    /// Runs collector work at a safepoint.
    pub(crate) fn collect_with<T>(
        &mut self,
        live_top: usize,
        work: impl FnOnce(&mut neap_gc::Heap<crate::value::LuaRuntime>, &Roots) -> T,
    ) -> T {
        self.save_thread(live_top);
        let peak = self.soft_limit;
        let result = work(&mut self.heap, &self.roots);
        let f = self.frame();
        f.flags |= frame_flags::WATERMARK;
        let (func, end) = if f.is_lua() {
            (f.func as usize, f.base as usize + f.closure().proto.max_stack as usize)
        } else {
            (f.func as usize, live_top)
        };
        let limit = self.stack_limit();
        let state = self.thread.state();
        state.stack.low = state.stack.low.min(func);
        if state.stack.high <= live_top {
            // Scanned: what is above the live top is empty now.
            self.scanned_top = live_top;
            let end = end.max(live_top);
            self.soft_limit = (end + super::limits::NATIVE_SLOTS).min(state.capacity).min(limit.max(end));
            state.stack.high = self.soft_limit;
            self.cut_running(live_top, peak);
        }
        result
    }

    /// Lets the table of interned strings follow what the collector has left of them. `false`: there is nothing to do, or no memory to do it
    /// with now.
    fn settle_strings(&mut self, units: usize) -> bool {
        StringTable::settle(&mut self.heap, units).unwrap_or(false)
    }

    /// Calls up to `count` finalizers that the collector has queued; and frees explicit blocks whose handles have died.
    pub(crate) fn run_finalizers(&mut self, live_top: usize, count: usize) {
        crate::stdlib::mem::settle(self);
        if self.in_finalizer {
            return;
        }
        self.in_finalizer = true;
        let saved_top = self.top;
        for _ in 0..count {
            let Some(object) = self.heap.next_finalizer() else { break };
            let value = crate::value::value_of_cell(object);
            self.top = live_top.max(saved_top);
            self.finalize(value);
        }
        self.top = saved_top;
        self.in_finalizer = false;
    }

    /// Calls the finalizer of one object; an error becomes a warning.
    pub(crate) fn finalize(&mut self, object: Value) {
        let finalizer = self.metamethod(object, Event::Gc);
        if !finalizer.is_function() {
            return;
        }
        // K5.
        let result = self.unhooked(|vm| vm.call_protected_as(frame_flags::FINALIZER, finalizer, &[object]));
        if result.is_err() {
            let error = self.take_error();
            let text = match error.as_str() {
                Some(s) => s.bytes().to_vec(),
                None => b"error object is not a string".to_vec(),
            };
            let mut message = b"error in ".to_vec();
            message.extend_from_slice(b"__gc");
            message.extend_from_slice(b" (");
            message.extend_from_slice(&text);
            message.push(b')');
            self.warn(&message);
        }
    }

    /// A whole collection and nothing else: finalizers wait for a calmer moment. Every live value of the running thread stands below `live_top`.
    pub(super) fn collect_heap(&mut self, live_top: usize) {
        self.collect_with(live_top, |heap, roots| {
            // SAFETY: M3.
            unsafe { heap.collect_full(roots) }
        });
        self.cut_running(live_top, 0);
    }

    /// `collectgarbage("collect")`.
    pub fn collect_full(&mut self) {
        let top = self.top;
        self.collect_heap(top);
        while self.settle_strings(usize::MAX) {}
        // All that have fallen due by now.
        let count = self.heap.finalizers_waiting();
        self.run_finalizers(top, count);
    }

    /// `collectgarbage("step", n)`: `true` if a cycle ended.
    pub fn collect_step(&mut self, bytes: usize) -> bool {
        let top = self.top;
        let done = self.collect_with(top, |heap, roots| {
            // SAFETY: as above.
            unsafe { heap.step(roots, bytes) }
        });
        self.settle_strings(StringTable::PER_SAFEPOINT);
        let count = self.heap.finalizers_waiting();
        self.run_finalizers(top, count);
        done
    }
}
