//! A look at the stacks of threads: what functions are active, at which line, under what name, with what variables.
//!
//! * **N1** The frames of the running thread are in the cache, those of the others in their state (M1).
//! * **N2** The instruction that a Lua frame is at is the one before its `pc` (M2); but the one at `pc` if the frame above was
//!   called between two instructions (a finalizer, a hook).
//! * **N3** A variable is written only where the slot below the end of the frame's live slots; the watermark goes down to it (R7), and a thread
//!   that does not run is logged first (R11).
//! * **N4** What the loop keeps in registers without a variable of the program stays what it is: a number is replaced only by a number of its
//!   type, a box only by its content. Slots of native functions are never written: they may rely on their arguments.

use super::{Vm, shown};
use crate::bytecode::{Instr, Op};
use crate::syntax::chunk_id;
use crate::value::{Frame, FrameKind, Gc, ProtoCell, Thread, Value, frame_flags};
use std::borrow::Cow;

/// An active function: a frame of a thread, valid until that thread runs on.
#[derive(Clone, Copy)]
pub struct Activation {
    thread: Gc<Thread>,
    index: usize,
}

/// What a function is called, as far as the code that calls it tells.
pub struct FunctionName {
    /// `global`, `local`, `method`, `field`, `upvalue`, `constant`, `metamethod`, `for iterator`, `hook`.
    pub what: &'static str,
    pub name: Vec<u8>,
}

/// Where a function was defined.
pub struct FunctionInfo<'a> {
    pub source: &'a [u8],
    pub short_source: Vec<u8>,
    /// `Lua`, `main` or `C`.
    pub what: &'static str,
    /// -1 for native functions.
    pub line_defined: i64,
    pub last_line_defined: i64,
}

/// A slot of a frame, by name.
struct Local {
    name: Cow<'static, [u8]>,
    slot: usize,
    /// A variable of the program, or an argument of it: not one of the loop's own.
    is_variable: bool,
}

impl Local {
    fn hidden(name: &'static [u8], slot: usize) -> Local {
        Local { name: Cow::Borrowed(name), slot, is_variable: false }
    }
}

impl Vm {
    fn frame_count_of(&self, thread: Gc<Thread>) -> usize {
        if thread == self.thread { self.frame_count } else { thread.state().frame_count }
    }

    /// Whether a frame stands for an active function. The host program counts as one where it calls a Lua function; a native function that it calls stands
    /// for it.
    fn is_shown(&self, at: Activation) -> bool {
        let Some(f) = self.frame_of(at) else { return false };
        if at.index > 0 || f.kind != FrameKind::Host {
            return !f.is_hidden();
        }
        let count = self.frame_count_of(at.thread);
        let above = (1..count).filter_map(|index| self.frame_of(Activation { index, ..at })).find(|f| !f.is_hidden());
        above.is_none_or(|f| f.is_lua())
    }

    /// The number of active functions of a thread.
    pub fn activations(&self, thread: Gc<Thread>) -> usize {
        (0..self.frame_count_of(thread)).filter(|&index| self.is_shown(Activation { thread, index })).count()
    }

    /// The active function at a level of a thread's stack; 0 is the innermost. Takes time in proportion to the level.
    pub fn activation(&self, thread: Gc<Thread>, level: usize) -> Option<Activation> {
        let frames = (0..self.frame_count_of(thread)).rev().map(|index| Activation { thread, index });
        frames.filter(|&at| self.is_shown(at)).nth(level)
    }

    fn frame_of(&self, at: Activation) -> Option<Frame> {
        if at.index >= self.frame_count_of(at.thread) {
            return None;
        }
        // SAFETY: N1: the frames below the count are initialised; growing keeps the state's pointer in step with the cache.
        Some(unsafe { *at.thread.state().frames.add(at.index) })
    }

    fn frame_above(&self, at: Activation) -> Option<Frame> {
        self.frame_of(Activation { index: at.index + 1, ..at })
    }

    fn slot_of(&self, thread: Gc<Thread>, slot: usize) -> Value {
        let state = thread.state();
        assert!(slot < state.capacity);
        // SAFETY: slots below the capacity are initialised.
        unsafe { *state.slots.add(slot) }
    }

    /// The function; nil for the host program.
    pub fn function_at(&self, at: Activation) -> Value {
        self.frame_of(at).map_or(Value::NIL, |f| self.slot_of(at.thread, f.func as usize))
    }

    /// The prototype of a Lua function and the instruction that it is at (N2).
    pub(super) fn instruction_at(&self, at: Activation) -> Option<(Gc<ProtoCell>, usize)> {
        let f = self.frame_of(at).filter(Frame::is_lua)?;
        let proto = f.closure().proto;
        let next = proto.pc_index(f.pc);
        let between = self.frame_above(at).is_some_and(|f| f.is_between());
        Some((proto, if between { next } else { next.saturating_sub(1) }))
    }

    /// The line that a Lua function is at, if it is known.
    pub fn line_at(&self, at: Activation) -> Option<u32> {
        let (proto, pc) = self.instruction_at(at)?;
        Some(proto.line_at(pc)).filter(|&line| line > 0)
    }

    /// Whether the function took the place of its caller.
    pub fn is_tail_call(&self, at: Activation) -> bool {
        self.frame_of(at).is_some_and(|f| f.has(frame_flags::TAIL))
    }

    /// The name that the function's caller gives it.
    pub fn name_at(&self, at: Activation) -> Option<FunctionName> {
        let f = self.frame_of(at)?;
        let named = |what, name: &[u8]| Some(FunctionName { what, name: shown(name).to_vec() });
        if f.has(frame_flags::TAIL) {
            return None;
        }
        let caller = Activation { index: at.index.checked_sub(1)?, ..at };
        match self.frame_of(caller)?.kind {
            FrameKind::Hook => return named("hook", b"?"),
            FrameKind::Finalizer => return named("metamethod", b"__gc"),
            _ => {}
        }
        let (proto, pc) = self.instruction_at(caller)?;
        proto.called_name(pc).and_then(|n| named(n.what, n.name))
    }

    /// The name of a function among the loaded libraries: `string.rep`, and `print` without its `_G.`. Of several, that which a native function was
    /// made with. A program that has put very much there gets no name for what is behind it: nobody could stop the search.
    pub fn global_name(&mut self, f: Value) -> Option<Vec<u8>> {
        const MOST_FIELDS: usize = 100_000;
        let registry = self.registry();
        let Ok(loaded) = self.get_field(registry, "_LOADED") else {
            self.take_error();
            return None;
        };
        let loaded = loaded.as_table()?;
        let own = f.as_native().map(|native| native.name.as_bytes());
        let (mut other, mut fields) = (None, 0);
        let mut at = 0;
        while let Some((next, library, content)) = loaded.next_entry(&mut self.heap, at) {
            at = next;
            let Some(library) = library.as_str() else { continue };
            if content.raw_equals(f) {
                return Some(shown(library.bytes()).to_vec());
            }
            let Some(content) = content.as_table() else { continue };
            let mut at = 0;
            while let Some((next, name, value)) = content.next_entry(&mut self.heap, at) {
                at = next;
                fields += 1;
                if fields > MOST_FIELDS {
                    return other;
                }
                if let Some(name) = name.as_str()
                    && value.raw_equals(f)
                {
                    let found = match library.bytes() {
                        b"_G" => shown(name.bytes()).to_vec(),
                        library => [shown(library), b".", shown(name.bytes())].concat(),
                    };
                    if own.is_none_or(|own| own == name.bytes()) {
                        return Some(found);
                    }
                    other.get_or_insert(found);
                }
            }
        }
        other
    }

    /// The name by which the running native function was called, and whether as a method.
    pub(crate) fn called_name(&mut self) -> (Vec<u8>, bool) {
        let Some(at) = self.activation(self.thread, 0) else { return (b"?".to_vec(), false) };
        match self.name_at(at) {
            Some(FunctionName { what, name }) => (name, what == "method"),
            None => {
                let f = self.function_at(at);
                (self.global_name(f).unwrap_or_else(|| b"?".to_vec()), false)
            }
        }
    }

    /// The values that a function hands over when its hook is called: the first of them as one of its variables, and their number.
    pub fn transfer_at(&self, at: Activation) -> (usize, usize) {
        let hooked = self.frame_above(at).is_some_and(|f| f.kind == FrameKind::Hook);
        at.thread.state().hook.as_deref().filter(|_| hooked).map_or((0, 0), |hook| hook.transfer)
    }

    // ---- variables

    /// What debug information calls the `n`-th variable of a frame, counted from 1; extra arguments from -1 downwards.
    fn find_local(&self, at: Activation, n: i64) -> Option<Local> {
        let f = self.frame_of(at)?;
        let n = i32::try_from(n).ok()?;
        if n < 0 {
            let back = f.varargs.checked_sub(n.unsigned_abs() - 1).filter(|&back| back > 0 && f.is_lua())?;
            let slot = (f.base - back) as usize;
            return Some(Local { name: Cow::Borrowed(b"(vararg)"), slot, is_variable: true });
        }
        let register = (n as usize).checked_sub(1)?;
        let slot = f.base as usize + register;
        let Some((proto, pc)) = self.instruction_at(at) else {
            return (slot < self.frame_end(at, &f)).then(|| Local::hidden(b"(C temporary)", slot));
        };
        if let Some(name) = proto.local_at(register, pc) {
            let is_variable = name.first() != Some(&b'(');
            return Some(Local { name: Cow::Owned(name.to_vec()), slot, is_variable });
        }
        (slot < self.frame_end(at, &f)).then(|| Local::hidden(b"(temporary)", slot))
    }

    /// The end of a frame's slots that hold anything.
    fn frame_end(&self, at: Activation, f: &Frame) -> usize {
        let runs = at.thread == self.thread;
        let end = match self.frame_above(at) {
            Some(above) => above.func as usize,
            None if runs && f.is_lua() => f.base as usize + f.closure().proto.max_stack as usize,
            None if runs => self.top,
            None => usize::MAX,
        };
        let state = at.thread.state();
        end.min(if runs { state.capacity } else { state.stack.top })
    }

    /// Name and value of the `n`-th variable of an active function.
    pub fn local(&self, at: Activation, n: i64) -> Option<(Cow<'static, [u8]>, Value)> {
        let local = self.find_local(at, n)?;
        let value = self.slot_of(at.thread, local.slot).unboxed();
        // The nil of a loop's closing value carries a payload.
        Some((local.name, if value.is_nil() { Value::NIL } else { value }))
    }

    /// Sets the `n`-th variable of an active function; gives its name, or nothing if there is none that can be set.
    pub fn set_local(&mut self, at: Activation, n: i64, value: Value) -> Option<Cow<'static, [u8]>> {
        let local = self.find_local(at, n)?;
        let old = self.slot_of(at.thread, local.slot);
        if let Some(variable) = old.as_box() {
            variable.set(&mut self.heap, value);
            return Some(local.name);
        }
        if !local.is_variable && !self.may_replace(at, old, value) {
            return None;
        }
        // N3.
        if at.thread != self.thread {
            // SAFETY: R11: a thread that does not run; its state is as it was left.
            unsafe { self.heap.touch_thread(at.thread.as_ref()) };
        }
        let state = at.thread.state();
        state.stack.low = state.stack.low.min(local.slot);
        // SAFETY: a slot of a frame of the thread.
        unsafe { *state.slots.add(local.slot) = value };
        Some(local.name)
    }

    /// N4.
    fn may_replace(&self, at: Activation, old: Value, new: Value) -> bool {
        let Some((proto, pc)) = self.instruction_at(at) else { return false };
        // A concatenation counts the operands that are left in a register.
        let counts = Instr(proto.words()[pc].get()).op() == Op::Concat;
        !old.is_number() || old.tag() == new.tag() && !counts
    }

    /// The name of the `n`-th parameter of a function that is not active.
    pub fn parameter_name(f: Value, n: i64) -> Option<Vec<u8>> {
        let register = usize::try_from(n.checked_sub(1)?).ok()?;
        Some(f.as_closure()?.proto.local_at(register, 0)?.to_vec())
    }

    // ---- functions

    /// The texts are valid while the function is (V1), whatever lifetime the caller gives them.
    pub fn function_info<'a>(f: Value) -> FunctionInfo<'a> {
        match f.as_closure() {
            Some(closure) => {
                let proto = closure.proto;
                FunctionInfo {
                    source: proto.source.bytes(),
                    short_source: chunk_id(proto.source.bytes()),
                    what: if proto.line_defined == 0 { "main" } else { "Lua" },
                    line_defined: proto.line_defined as i64,
                    last_line_defined: proto.last_line_defined as i64,
                }
            }
            None => FunctionInfo {
                source: b"=[C]",
                short_source: b"[C]".to_vec(),
                what: "C",
                line_defined: -1,
                last_line_defined: -1,
            },
        }
    }

    /// The lines of a Lua function that have code, word by word: one that comes again follows itself mostly, but not always. Valid while the
    /// function is (V1).
    pub fn active_lines<'a>(f: Value) -> Option<impl Iterator<Item = u32> + 'a> {
        let proto = f.as_closure()?.proto;
        let mut pc = 0;
        let lines = std::iter::from_fn(move || {
            let line = *proto.lines().get(pc)?;
            pc += 1;
            Some((pc - 1, line))
        });
        let lines = lines.skip_while(move |(pc, _)| proto.is_entry(*pc));
        Some(lines.map(|(_, line)| line).filter(|&line| line > 0))
    }

    pub fn upvalue_count(f: Value) -> usize {
        match (f.as_closure(), f.as_native()) {
            (Some(f), _) => f.num_upvals(),
            (_, Some(f)) => f.num_upvals(),
            _ => 0,
        }
    }

    /// The index of the `n`-th upvalue, counted from 1, if the function has so many.
    fn upvalue_index(f: Value, n: i64) -> Option<usize> {
        usize::try_from(n.checked_sub(1)?).ok().filter(|&index| index < Vm::upvalue_count(f))
    }

    /// Name and value of the `n`-th upvalue of a function. Those of native functions have no name.
    pub fn upvalue(f: Value, n: i64) -> Option<(Vec<u8>, Value)> {
        let index = Vm::upvalue_index(f, n)?;
        match f.as_closure() {
            Some(f) => {
                let name = f.proto.upval_name(index);
                Some((name.unwrap_or(b"(no name)").to_vec(), f.upval(index).get()))
            }
            None => Some((Vec::new(), f.as_native()?.upval(index))),
        }
    }

    /// Sets the `n`-th upvalue of a Lua function; gives its name. (Native functions rely on theirs.)
    pub fn set_upvalue(&mut self, f: Value, n: i64, value: Value) -> Option<Vec<u8>> {
        let (closure, (name, _)) = (f.as_closure()?, Vm::upvalue(f, n)?);
        closure.upval(n as usize - 1).set(&mut self.heap, value);
        Some(name)
    }

    /// What tells the `n`-th upvalue of a function from others: equal for two closures that share it.
    pub fn upvalue_id(f: Value, n: i64) -> Option<usize> {
        let index = Vm::upvalue_index(f, n)?;
        match f.as_closure() {
            Some(f) => Some(f.upval(index).addr()),
            None => Some(f.as_native()?.addr() + index + 1),
        }
    }

    /// Makes the `n`-th upvalue of one Lua function the `m`-th of another. `false`: there are no such upvalues.
    pub fn join_upvalues(&mut self, f: Value, n: i64, g: Value, m: i64) -> bool {
        let (Some(n), Some(m)) = (Vm::upvalue_index(f, n), Vm::upvalue_index(g, m)) else { return false };
        let (Some(f), Some(g)) = (f.as_closure(), g.as_closure()) else { return false };
        f.set_upval(&mut self.heap, n, g.upval(m));
        true
    }
}
