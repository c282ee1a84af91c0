//! Hooks: a function that is called for events of a thread, as the debug library asks.
//!
//! The loop exists twice; the form that traces looks here before each instruction, so the other one knows nothing of hooks.
//!
//! * **K1** A thread with a hook runs in the tracing form, but for the hook itself. Where that changes the loop is left and entered in its other form: where
//!   it takes up a frame anew, at polls (the bit [`HOOK`] of the poll word) and when the tracing form finds no hook.
//! * **K2** A hook is called between two instructions, by a frame of its own: the `pc` of the frame below is at the next one. The registers of that frame,
//!   and the values in flight above them, lie below. An instruction has up to four events, and `Hook::stage` says which are done with.
//! * **K3** The function stands in the registry, in the table `_HOOKKEY`, by thread; its keys are weak.
//! * **K4** A native function waits for the hook that is told of its call, and of its return.

use super::{Args, Flow, Throw, Vm, step};
use crate::bytecode::{Instr, Op};
use crate::value::{FrameKind, Gc, Hook, Outcome, Table, Thread, Value, frame_flags};
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
        let new = |hook: Hook| match slot.as_deref() {
            // Set by the old one: the same instruction goes on.
            Some(&Hook { busy: true, depth, pc, left, stage, transfer, .. }) => {
                Hook { busy: true, depth, pc, left, stage, transfer, count_left: hook.count, ..hook }
            }
            _ => Hook { depth, count_left: hook.count, ..hook },
        };
        *slot = hook.map(|(hook, _)| Box::new(new(hook)));
        // K3: no thread that is gone is counted.
        if table.next_entry(&mut self.heap, 0).is_some() {
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
        self.traced = self.hooked || self.is_metered();
    }

    fn hook_wants(&self, event: impl Fn(&Hook) -> bool) -> bool {
        self.thread.state().hook.as_deref().is_some_and(|hook| !hook.busy && event(hook))
    }

    /// A native function, whose frame is innermost, is about to run: tells the hook, if that wants to know.
    #[cold]
    #[inline(never)]
    pub(super) fn trace_call(&mut self, nargs: usize) -> Result<Option<Flow>, Throw> {
        if !self.hook_wants(|hook| hook.on_call) {
            return Ok(None);
        }
        self.frame().set_then(Some(begin_traced));
        self.call_hook("call", None, self.top, (1, nargs))
    }

    /// The innermost frame returns the `n` values from slot `first` on. (Where Lua functions return `trace` has told the hook.)
    #[cold]
    #[inline(never)]
    pub(super) fn trace_return(&mut self, first: usize, n: usize) -> Result<Option<Flow>, Throw> {
        let frame = self.frame();
        if frame.kind != FrameKind::Native || frame.has(frame_flags::TOLD) || !self.hook_wants(|hook| hook.on_return) {
            return Ok(None);
        }
        frame.flags |= frame_flags::TOLD;
        frame.set_then(Some(end_traced));
        frame.set_place(n);
        let func = frame.func as usize;
        self.call_hook("return", None, self.top, (first - func, n))
    }

    /// Before an instruction of the innermost frame, whose `pc` is at it: counts fuel, calls hooks. Another frame may be innermost afterwards. `false`: the
    /// loop that traces is to be left.
    #[cold]
    #[inline(never)]
    pub(super) fn trace(&mut self) -> Result<bool, Throw> {
        let frame = *self.frame();
        let proto = frame.closure().proto;
        let (pc, code) = (proto.pc_index(frame.pc), proto.words());
        let i = Instr(code[pc].get());
        if self.is_metered() && self.thread.state().hook.as_deref().is_none_or(|hook| hook.stage == 0) {
            self.burn_for(i.op())?;
        }
        let depth = self.frame_count;
        // Values in flight are above the registers only for instructions that take them.
        let takes_all = matches!(i.op(), Op::Call | Op::TailCall | Op::Return | Op::SetList) && i.b() == 0;
        let registers = frame.base as usize + proto.max_stack as usize;
        let at = if takes_all { registers.max(self.top) } else { registers };
        let returns = match i.op() {
            Op::Return0 | Op::Return1 => true,
            Op::Return => i.c() == 0 || !self.has_pending(frame.base as usize),
            _ => false,
        };
        while self.hooked {
            let Some(hook) = self.thread.state().hook.as_deref_mut() else { break };
            let (last_depth, last_pc, left, stage) = (hook.depth, hook.pc, hook.left, hook.stage);
            let entered = pc == 0 && (depth > last_depth || left && depth == last_depth);
            hook.stage += 1;
            let flow = match stage {
                0 if entered && hook.on_call => {
                    let event = if frame.has(frame_flags::TAIL) { "tail call" } else { "call" };
                    self.call_hook(event, None, at, (1, proto.num_params.into()))?
                }
                1 if proto.is_entry(pc) => {
                    // The next instruction is on a new line.
                    self.note_traced(depth, usize::MAX, false);
                    return Ok(true);
                }
                1 if self.counts_one() => self.call_hook("count", None, at, (0, 0))?,
                2 if hook.on_line => {
                    let line = proto.line_at(pc);
                    let new_line = if entered {
                        true
                    } else if depth == last_depth && !left {
                        pc <= last_pc || line != proto.line_at(last_pc)
                    } else {
                        // Back from a call: it was the instruction before.
                        line != proto.line_at(pc.saturating_sub(1))
                    };
                    if new_line { self.call_hook("line", Some(line).filter(|&line| line > 0), at, (0, 0))? } else { None }
                }
                3 if returns && hook.on_return => {
                    let n = match i.op() {
                        Op::Return0 => 0,
                        Op::Return1 => 1,
                        _ if i.b() == 0 => self.top - frame.base as usize - i.a() as usize,
                        _ => i.b() as usize - 1,
                    };
                    self.call_hook("return", None, at, (i.a() as usize + 1, n))?
                }
                4 => {
                    self.note_traced(depth, pc, returns || i.op() == Op::TailCall);
                    return Ok(true);
                }
                _ => None,
            };
            if let Some(flow) = flow {
                self.drive(flow)?;
            }
        }
        Ok(self.traced)
    }

    fn note_traced(&mut self, depth: usize, pc: usize, left: bool) {
        if let Some(hook) = self.thread.state().hook.as_deref_mut() {
            (hook.depth, hook.pc, hook.left, hook.stage) = (depth, pc, left, 0);
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

    /// The call of the running thread's hook, by a frame from slot `at` on (K2). `None`: there is no function.
    fn call_hook(&mut self, event: &str, line: Option<u32>, at: usize, transfer: (usize, usize)) -> Result<Option<Flow>, Throw> {
        let function = self.hook_function(self.thread)?;
        if !function.is_function() {
            return Ok(None);
        }
        let event = self.new_str(event.as_bytes())?;
        let line = line.map_or(Value::NIL, |line| Value::int(line.into()));
        let top = std::mem::replace(&mut self.top, at);
        if let Err(throw) = self.push_helper(FrameKind::Hook, frame_flags::NO_YIELD, end_hook) {
            self.top = top;
            return Err(throw);
        }
        // For `leave`, which gives it back.
        self.set_slot(at, Value::int(top as i64));
        self.set_busy(true, transfer);
        self.push_call(function, &[event, line])?;
        Ok(Some(Flow::Step(step::call(2, 0))))
    }

    /// Whether the hook of the running thread is not to be called: it is running, or what runs has none (F2). Returns what was.
    pub(super) fn set_hook_busy(&mut self, busy: bool) -> bool {
        let hook = self.thread.state().hook.as_deref_mut();
        let was = hook.is_some_and(|hook| std::mem::replace(&mut hook.busy, busy));
        self.note_hook();
        was
    }

    pub(super) fn set_busy(&mut self, busy: bool, transfer: (usize, usize)) {
        if let Some(hook) = self.thread.state().hook.as_deref_mut() {
            hook.transfer = transfer;
        }
        self.set_hook_busy(busy);
    }
}

fn end_hook(_: &mut Vm, _: Args, _: Outcome) -> Result<u32, Throw> {
    Ok(0)
}

/// The hook has been told of the call of a native function, which runs now.
fn begin_traced(vm: &mut Vm, _: Args, _: Outcome) -> Result<u32, Throw> {
    let native = vm.running_native();
    vm.frame().set_then(None);
    vm.run_native(native)
}

/// The hook has been told of the return of a native function, which returns now.
fn end_traced(vm: &mut Vm, _: Args, _: Outcome) -> Result<u32, Throw> {
    Ok(vm.frame().place() as u32)
}
