//! Hooks: a function that is called for events of a thread, as the debug library asks.
//!
//! The loop exists twice; the form that traces looks here before each instruction, so the other one knows nothing of hooks.
//!
//! * **K1** A thread with a hook runs in the tracing form, but for the hook itself. Where that changes, `run` returns with `switching` set, and
//!   `execute` enters it again: at `sethook`, where coroutines change over, at polls (the bit [`HOOK`] of the poll word) and when the
//!   tracing form finds no hook.
//! * **K2** A hook is called between two instructions: the frame's `pc` is at the next one. The registers of the frame, and the values in flight
//!   above them, lie below the frame of the hook.
//! * **K3** The function stands in the registry, in the table `_HOOKKEY`, by thread; its keys are weak.
//! * **K4** A native function returns after the last call that it asks for ([`LAST_CALL`]), in `deliver`.
//! * **K5** Finalizers have no hooks.

use super::{Args, Flow, Throw, Vm};
use crate::bytecode::{Instr, Op};
use crate::value::{Gc, Hook, LAST_CALL, Native, Special, Table, Thread, Value, frame_flags};
use std::sync::atomic::Ordering;

/// The bit of the poll word that is set while there may be hooks.
pub(super) const HOOK: u32 = 1 << 8;

const HOOK_TABLE: &str = "_HOOKKEY";

impl Vm {
    /// Sets or removes the hook of a thread.
    pub fn set_hook(&mut self, thread: Gc<Thread>, hook: Option<(Hook, Value)>) -> Result<(), Throw> {
        let table = self.hook_table()?;
        let function = hook.as_ref().map_or(Value::NIL, |(_, function)| *function);
        self.raw_set(table, Value::thread(thread), function)?;
        // The first event is not the call of what runs already.
        let depth = if self.activations(thread) > 0 { usize::MAX } else { 0 };
        let slot = &mut thread.state().hook;
        let busy = slot.as_ref().is_some_and(|hook| hook.busy);
        *slot = hook.map(|(hook, _)| Box::new(Hook { busy, depth, count_left: hook.count, ..hook }));
        // K3: no thread that is gone is counted.
        if table.entry_from(&mut self.heap, 0).is_some() {
            self.poll.fetch_or(HOOK, Ordering::Relaxed);
        } else {
            self.poll.fetch_and(!HOOK, Ordering::Relaxed);
        }
        self.note_hook();
        Ok(())
    }

    /// The function that is called for a thread's events; nil if there is none.
    pub fn hook_function(&mut self, thread: Gc<Thread>) -> Result<Value, Throw> {
        let table = self.hook_table()?;
        Ok(self.raw_get(table, Value::thread(thread)))
    }

    /// K3.
    fn hook_table(&mut self) -> Result<Gc<Table>, Throw> {
        let registry = self.registry();
        if let Some(table) = self.get_field(registry, HOOK_TABLE)?.as_table() {
            return Ok(table);
        }
        let table = self.new_table(0, 1)?;
        let mode = self.new_str(b"k")?;
        self.set_field(table, "__mode", mode)?;
        self.set_metatable(Value::table(table), Some(table))?;
        self.set_field(registry, HOOK_TABLE, Value::table(table))?;
        Ok(table)
    }

    /// The running thread is another one, or its hook has changed.
    #[inline(always)]
    pub(super) fn note_hook(&mut self) {
        self.hooked = self.thread.state().hook.as_ref().is_some_and(|hook| !hook.busy);
    }

    /// Whether a loop that traces, or does not, has to make place for the other form.
    #[cold]
    pub(super) fn must_switch(&mut self, traced: bool) -> bool {
        self.switching = self.hooked != traced;
        self.switching
    }

    /// A frame was taken up anew, perhaps of another thread: leaves the loop if it runs in the wrong form.
    #[inline(always)]
    pub(super) fn with_tracing(&mut self, flow: Flow) -> Flow {
        if flow != Flow::Reload || self.hooked == self.tracing {
            return flow;
        }
        self.switching = true;
        Flow::Exit
    }

    /// `debug.sethook`.
    #[cold]
    pub(super) fn run_set_hook(&mut self, native: Gc<Native>, args: Args) -> Result<Flow, Throw> {
        let n = (native.function)(self, args)? as usize;
        let first = self.top - n;
        self.trace_return(first, n)?;
        let flow = self.deliver(first, n)?;
        Ok(self.with_tracing(flow))
    }

    fn hook_wants(&self, event: impl Fn(&Hook) -> bool) -> bool {
        self.thread.state().hook.as_deref().is_some_and(|hook| !hook.busy && event(hook))
    }

    /// `enter_native` where a hook may want to know.
    #[cold]
    #[inline(never)]
    pub(super) fn enter_native_traced(
        &mut self,
        native: Gc<Native>,
        func: usize,
        nargs: usize,
        wanted: i16,
        flags: u16,
    ) -> Result<Flow, Throw> {
        self.push_native(func, nargs, wanted, flags)?;
        if self.hook_wants(|hook| hook.on_call) {
            self.call_hook("call", None, self.top, (1, nargs))?;
        }
        if !native.special.is_plain() {
            // Those that change the chain of frames return in `deliver`.
            return self.run_native(native, func, nargs);
        }
        let args = Args { base: func as u32 + 1, count: nargs as u32 };
        let n = match native.special {
            Special::Restartable => self.run_restartable(native, args)?,
            _ => (native.function)(self, args)?,
        };
        if n & LAST_CALL == 0 {
            self.trace_return(self.top - n as usize, n as usize)?;
        }
        self.end_native(n)
    }

    /// The native function whose frame is innermost returns the `n` values from slot `first` on.
    #[inline]
    pub(super) fn trace_return(&mut self, first: usize, n: usize) -> Result<(), Throw> {
        if self.hooked && self.hook_wants(|hook| hook.on_return) {
            let func = self.frame().func as usize;
            self.call_hook("return", None, self.top.max(first + n), (first - func, n))?;
        }
        Ok(())
    }

    /// Before an instruction of the innermost frame, whose `pc` is at it. `false`: the loop that traces is to be left.
    #[cold]
    #[inline(never)]
    pub(super) fn trace(&mut self) -> Result<bool, Throw> {
        if self.must_switch(true) {
            return Ok(false);
        }
        let frame = *self.frame();
        let proto = frame.closure().proto;
        let (pc, code) = (proto.pc_index(frame.pc), proto.words());
        let i = Instr(code[pc].get());
        let depth = self.frame_count;
        let Some(hook) = self.thread.state().hook.as_deref() else { return Ok(true) };
        let (last_depth, last_pc, left) = (hook.depth, hook.pc, hook.left);
        let entered = pc == 0 && (depth > last_depth || left && depth == last_depth);

        // Values in flight are above the registers only for instructions that take them.
        let takes_all = matches!(i.op(), Op::Call | Op::TailCall | Op::Return | Op::SetList) && i.b() == 0;
        let registers = frame.base as usize + proto.max_stack as usize;
        let at = if takes_all { registers.max(self.top) } else { registers };

        if entered && hook.on_call {
            let event = if frame.has(frame_flags::TAIL) { "tail call" } else { "call" };
            self.call_hook(event, None, at, (1, proto.num_params.into()))?;
        }
        if proto.is_entry(pc) {
            // The next instruction is on a new line.
            self.note_traced(depth, usize::MAX, false);
            return Ok(true);
        }
        if self.counts_one() {
            self.call_hook("count", None, at, (0, 0))?;
        }
        let line = proto.line_at(pc);
        let new_line = if entered {
            true
        } else if depth == last_depth && !left {
            pc <= last_pc || line != proto.line_at(last_pc)
        } else {
            // Back from a call: it was the instruction before.
            line != proto.line_at(pc.saturating_sub(1))
        };
        if new_line && self.hook_wants(|hook| hook.on_line) {
            self.call_hook("line", Some(line).filter(|&line| line > 0), at, (0, 0))?;
        }
        let returns = match i.op() {
            Op::Return0 | Op::Return1 => true,
            Op::Return => i.c() == 0 || !self.has_pending(frame.base as usize),
            _ => false,
        };
        if returns && self.hook_wants(|hook| hook.on_return) {
            let n = match i.op() {
                Op::Return0 => 0,
                Op::Return1 => 1,
                _ if i.b() == 0 => self.top - frame.base as usize - i.a() as usize,
                _ => i.b() as usize - 1,
            };
            self.call_hook("return", None, at, (i.a() as usize + 1, n))?;
        }
        self.note_traced(depth, pc, returns || i.op() == Op::TailCall);
        Ok(true)
    }

    fn note_traced(&mut self, depth: usize, pc: usize, left: bool) {
        if let Some(hook) = self.thread.state().hook.as_deref_mut() {
            (hook.depth, hook.pc, hook.left) = (depth, pc, left);
        }
    }

    /// Counts an instruction; `true`: it is time for an event.
    fn counts_one(&mut self) -> bool {
        let Some(hook) = self.thread.state().hook.as_deref_mut().filter(|hook| hook.count > 0) else { return false };
        hook.count_left -= 1;
        if hook.count_left == 0 {
            hook.count_left = hook.count;
            return true;
        }
        false
    }

    /// Calls the hook function of the running thread, with its frame from slot `at` on (K2).
    fn call_hook(&mut self, event: &str, line: Option<u32>, at: usize, transfer: (usize, usize)) -> Result<(), Throw> {
        let function = self.hook_function(self.thread)?;
        if !function.is_function() {
            return Ok(());
        }
        let event = self.new_str(event.as_bytes())?;
        let line = line.map_or(Value::NIL, |line| Value::int(line.into()));
        let (thread, top) = (self.thread, self.top);
        self.set_busy(thread, true, transfer);
        self.top = at;
        let result = self.call_values_as(frame_flags::HOOK, function, &[event, line], 0);
        self.top = top;
        self.set_busy(thread, false, (0, 0));
        result.map(drop)
    }

    /// Does something of which hooks do not hear, as the finalizers.
    pub(super) fn unhooked<T>(&mut self, what: impl FnOnce(&mut Vm) -> T) -> T {
        let thread = self.thread;
        let set = |vm: &mut Vm, busy: bool| {
            let hook = thread.state().hook.as_deref_mut();
            let was = hook.is_some_and(|hook| std::mem::replace(&mut hook.busy, busy));
            vm.note_hook();
            was
        };
        let was = set(self, true);
        let result = what(self);
        set(self, was);
        result
    }

    fn set_busy(&mut self, thread: Gc<Thread>, busy: bool, transfer: (usize, usize)) {
        if let Some(hook) = thread.state().hook.as_deref_mut() {
            (hook.busy, hook.transfer) = (busy, transfer);
        }
        self.note_hook();
    }
}
