//! Calls and returns.

use super::{Event, Flow, Throw, Vm, limits};
use crate::bytecode::{Instr, Op};
use crate::value::{Closure, Frame, Gc, LAST_CALL, Native, Special, THREE_RESULTS, Tag, Value, frame_flags};

impl Vm {
    /// Begins the call of the value in slot `func`, whose `nargs` arguments follow. A Lua function gets its frame; a native one runs, and its
    /// results are delivered.
    pub(crate) fn precall(&mut self, func: usize, nargs: usize, wanted: i16, flags: u16) -> Result<Flow, Throw> {
        let mut nargs = nargs;
        // `__call` may be a chain; each link adds an argument, so a cycle meets the stack's limit.
        loop {
            let f = self.slot(func);
            match f.tag() {
                Tag::CLOSURE => {
                    let closure = f.as_closure().expect("a closure");
                    return self.enter_lua(closure, func, nargs, wanted, flags);
                }
                Tag::NATIVE => {
                    let native = f.as_native().expect("a native function");
                    return self.enter_native(native, func, nargs, wanted, flags);
                }
                _ => {
                    let handler = self.metamethod(f, Event::Call);
                    if handler.is_nil() {
                        return Err(self.call_error(f, func));
                    }
                    self.check_stack(func + nargs + 2 + limits::NATIVE_SLOTS)?;
                    for i in (func..=func + nargs).rev() {
                        let v = self.slot(i);
                        self.set_slot(i + 1, v);
                    }
                    self.set_slot(func, handler);
                    nargs += 1;
                }
            }
        }
    }

    #[inline(always)]
    pub(crate) fn enter_lua(
        &mut self,
        closure: Gc<Closure>,
        func: usize,
        nargs: usize,
        wanted: i16,
        flags: u16,
    ) -> Result<Flow, Throw> {
        let p = closure.proto;
        let params = p.num_params as usize;
        let mut base = func + 1;
        let mut varargs = 0;
        self.check_stack(base + nargs.max(params) + p.max_stack as usize + params)?;
        for i in nargs..params {
            self.set_slot(base + i, Value::NIL);
        }
        if p.is_vararg && nargs > params {
            // The extra arguments stay below the registers; the fixed parameters move above them.
            varargs = nargs - params;
            let new_base = base + nargs;
            for i in 0..params {
                let v = self.slot(base + i);
                self.set_slot(new_base + i, v);
                self.set_slot(base + i, Value::NIL);
            }
            base = new_base;
        }
        self.push_frame(Frame {
            pc: p.code,
            closure: closure.as_ptr(),
            func: func as u32,
            base: base as u32,
            varargs: varargs as u32,
            wanted,
            flags,
        })?;
        Ok(Flow::Reload)
    }

    pub(crate) fn enter_native(
        &mut self,
        native: Gc<Native>,
        func: usize,
        nargs: usize,
        wanted: i16,
        flags: u16,
    ) -> Result<Flow, Throw> {
        if self.hooked {
            return self.enter_native_traced(native, func, nargs, wanted, flags);
        }
        self.push_native(func, nargs, wanted, flags)?;
        self.run_native(native, func, nargs)
    }

    /// The frame of a native function.
    #[inline(always)]
    pub(super) fn push_native(&mut self, func: usize, nargs: usize, wanted: i16, flags: u16) -> Result<(), Throw> {
        let base = func + 1;
        self.top = base + nargs;
        self.check_stack(self.top + limits::NATIVE_SLOTS)?;
        self.push_frame(Frame {
            pc: std::ptr::null(),
            closure: std::ptr::null_mut(),
            func: func as u32,
            base: base as u32,
            varargs: 0,
            wanted,
            flags: flags | frame_flags::NATIVE,
        })
    }

    /// Runs the native function whose frame is innermost, and delivers its results.
    #[inline(always)]
    pub(super) fn run_native(&mut self, native: Gc<Native>, func: usize, nargs: usize) -> Result<Flow, Throw> {
        let args = super::Args { base: func as u32 + 1, count: nargs as u32 };
        match native.special {
            Special::None | Special::Next | Special::IpairsStep | Special::StringArith => {
                let n = (native.function)(self, args)?;
                self.end_native(n)
            }
            Special::Restartable => {
                let n = self.run_restartable(native, args)?;
                self.end_native(n)
            }
            Special::SetHook => self.run_set_hook(native, args),
            Special::Pcall => self.begin_pcall(func, nargs),
            Special::Xpcall => self.begin_xpcall(func, nargs),
            Special::Resume => self.begin_resume(func, nargs).map(|flow| self.with_tracing(flow)),
            Special::WrapCall => self.begin_wrap(native, func, nargs).map(|flow| self.with_tracing(flow)),
            Special::Yield => self.begin_yield(nargs).map(|flow| self.with_tracing(flow)),
        }
    }

    /// The native function whose frame is innermost is done: it has pushed `n` results, or function and arguments of its last call.
    #[inline(always)]
    pub(super) fn end_native(&mut self, n: u32) -> Result<Flow, Throw> {
        if n & LAST_CALL != 0 {
            return self.call_last(n);
        }
        self.deliver(self.top - n as usize, n as usize)
    }

    /// Calls the function that stands at the top with its arguments; the innermost frame will return what that returns. `n`: their number, with flags.
    #[cold]
    fn call_last(&mut self, n: u32) -> Result<Flow, Throw> {
        let wanted = if n & THREE_RESULTS != 0 { 3 } else { -1 };
        let n = (n & !(LAST_CALL | THREE_RESULTS)) as usize;
        // A native function is called on the stack of the host.
        self.check_depth(self.depth)?;
        self.depth += 1;
        let result = self.precall(self.top - n, n - 1, wanted, frame_flags::DETACHED);
        self.depth -= 1;
        result
    }

    /// The innermost frame returns the `n` values from slot `first` on: to a Lua caller, through protected calls, or to the thread that
    /// has resumed this one.
    #[inline(never)]
    pub(crate) fn deliver(&mut self, mut first: usize, mut n: usize) -> Result<Flow, Throw> {
        let mut ended = false;
        loop {
            let mut f = *self.frame();
            if f.has(frame_flags::PCALL | frame_flags::XPCALL | frame_flags::RESUME | frame_flags::YIELD) {
                f = self.end_special(first, n)?;
            }
            self.take_away(&f);
            if f.has(frame_flags::META) {
                self.thread.state().metamethods -= 1;
                let mut result = if n > 0 { self.slot(first) } else { Value::NIL };
                if f.has(frame_flags::NEGATED) {
                    result = Value::bool(!result.is_truthy());
                }
                return self.finish_instruction(result, f.func as usize);
            }
            let dest = f.func as usize;
            let count = if f.wanted < 0 { n } else { f.wanted as usize };
            self.move_down(first, dest, count.min(n));
            if count > n {
                self.check_stack(dest + count)?;
                for i in n..count {
                    self.set_slot(dest + i, Value::NIL);
                }
            }
            self.top = dest + count;
            if f.has(frame_flags::FRESH) {
                return Ok(Flow::Exit);
            }
            if self.frame_count == 0 {
                // The coroutine has ended; its values go to the resumer, whose frame returns in turn.
                (first, n) = self.end_coroutine(dest, count)?;
                ended = true;
                continue;
            }
            let below = self.frame();
            if below.is_lua() {
                return Ok(if ended { self.with_tracing(Flow::Reload) } else { Flow::Reload });
            }
            let flags = below.flags;
            let func = below.func as usize;
            if flags & frame_flags::CLOSING != 0 {
                return self.continue_closing();
            } else if flags & frame_flags::PCALL != 0 {
                first = self.result_place(func);
                if first > func {
                    self.check_stack(dest + count + 1)?;
                    for i in (dest..dest + count).rev() {
                        let v = self.slot(i);
                        self.set_slot(i + 1, v);
                    }
                }
                self.set_slot(first, Value::TRUE);
                n = count + 1;
            } else if flags & frame_flags::XPCALL != 0 {
                self.set_slot(func + 1, Value::TRUE);
                (first, n) = (func + 1, count + 1);
            } else {
                // It has made its last call.
                (first, n) = (dest, count);
                self.trace_return(first, n)?;
            }
        }
    }

    /// Where the results of a function begin that stands in slot `func` and changes the chain of frames: in its place, unless a hook may want to see it.
    #[inline(always)]
    pub(super) fn result_place(&self, func: usize) -> usize {
        func + usize::from(self.hooked)
    }

    /// A native function that has changed the chain of frames is about to return. From here on it is one like any other: an error in the hook is not for it
    /// to catch.
    #[inline(never)]
    fn end_special(&mut self, first: usize, n: usize) -> Result<Frame, Throw> {
        let f = self.frame();
        if f.has(frame_flags::PCALL | frame_flags::XPCALL) {
            self.thread.state().protected -= 1;
        }
        f.flags &= !(frame_flags::PCALL
            | frame_flags::XPCALL
            | frame_flags::CLOSING
            | frame_flags::RESUME
            | frame_flags::WRAP
            | frame_flags::YIELD);
        self.trace_return(first, n)?;
        Ok(*self.frame())
    }

    /// Calls a metamethod for the instruction in progress of the innermost (Lua) frame; its result completes the instruction.
    pub(crate) fn call_meta(&mut self, f: Value, args: &[Value]) -> Result<Flow, Throw> {
        let frame = self.frame();
        let func = frame.base as usize + frame.closure().proto.max_stack as usize;
        self.call_meta_at(func, f, args, 0)
    }

    /// The same from slot `func` on, with more flags for the frame. Metamethods take no stack of the host, but a recursion of nothing else
    /// would take all of this one's, and the memory of what it makes on the way.
    pub(crate) fn call_meta_at(&mut self, func: usize, f: Value, args: &[Value], flags: u16) -> Result<Flow, Throw> {
        self.check_stack(func + 1 + args.len() + limits::NATIVE_SLOTS)?;
        self.set_slot(func, f);
        for (i, &v) in args.iter().enumerate() {
            self.set_slot(func + 1 + i, v);
        }
        let state = self.thread.state();
        if state.metamethods >= limits::HOST_DEPTH {
            self.check_depth(state.metamethods)?;
        }
        state.metamethods += 1;
        let (thread, frames) = (self.thread, self.frame_count);
        let result = self.precall(func, args.len(), 1, frame_flags::META | flags);
        if result.is_err() && self.frame_count == frames && self.thread == thread {
            // It has got no frame.
            thread.state().metamethods -= 1;
        }
        result
    }

    /// A metamethod has returned: completes the instruction of the innermost frame. `func`: where its function stood.
    fn finish_instruction(&mut self, result: Value, func: usize) -> Result<Flow, Throw> {
        let f = self.frame();
        if !f.is_lua() {
            debug_assert!(f.has(frame_flags::CLOSING));
            return self.continue_closing();
        }
        // SAFETY: M2: `pc` is one past the first word of an instruction of the frame's code.
        let i = unsafe { Instr((*f.pc.sub(1)).get()) };
        let a = f.base as usize + i.a() as usize;
        match i.op() {
            Op::Eq | Op::Lt | Op::Le | Op::LtI | Op::LeI | Op::GtI | Op::GeI => {
                if result.is_truthy() != (i.c() != 0) {
                    // SAFETY: a test is followed by a jump.
                    f.pc = unsafe { f.pc.add(1) };
                }
            }
            Op::Concat => {
                let last = a + i.b() as usize - 1;
                let n = self.slot(last).raw_int() as usize;
                self.set_slot(a + n - 2, result);
                return self.concat(a, n - 1, i.b() as usize);
            }
            // Done again, until nothing is left to close.
            Op::Close | Op::Return => {
                // SAFETY: as above.
                f.pc = unsafe { f.pc.sub(1) };
                self.top = func;
            }
            Op::SetTabUp | Op::SetField | Op::SetFieldK => {
                // SAFETY: these have an aux word.
                f.pc = unsafe { f.pc.add(1) };
            }
            Op::SetTable | Op::SetTableK | Op::SetIndex | Op::SetIndexK => {}
            op => {
                if matches!(op, Op::GetTabUp | Op::GetField | Op::SelfField) {
                    // SAFETY: as above.
                    f.pc = unsafe { f.pc.add(1) };
                }
                self.set_slot(a, result);
            }
        }
        Ok(Flow::Reload)
    }

    // ---- calls from native functions

    /// Calls a value from a native function. The results stand at the top of the stack; their number is returned. A safepoint (V1).
    pub fn call_values(&mut self, f: Value, args: &[Value], wanted: i16) -> Result<u32, Throw> {
        self.call_values_as(0, f, args, wanted)
    }

    /// The same with flags for the frame.
    #[inline]
    pub(super) fn call_values_as(&mut self, flags: u16, f: Value, args: &[Value], wanted: i16) -> Result<u32, Throw> {
        let func = self.top;
        self.check_stack(func + 1 + args.len() + limits::NATIVE_SLOTS)?;
        self.set_slot(func, f);
        for (i, &v) in args.iter().enumerate() {
            self.set_slot(func + 1 + i, v);
        }
        self.call_at(flags, func, args.len(), wanted)?;
        Ok((self.top - func) as u32)
    }

    /// Calls the value in slot `func` with the arguments behind it; the results begin at `func`, and the top is their end.
    fn call_at(&mut self, flags: u16, func: usize, nargs: usize, wanted: i16) -> Result<(), Throw> {
        self.enter_host()?;
        let frames = self.frame_count;
        let result = match self.precall(func, nargs, wanted, flags | frame_flags::FRESH) {
            Ok(Flow::Exit) if !self.switching => Ok(()),
            Ok(_) => self.execute(),
            // Not callable, or no stack: there is no frame yet.
            Err(throw) if self.frame_count == frames => Err(throw),
            // Raised by a native function: what frames it leaves are taken away here.
            Err(throw) => {
                self.recover(throw).and_then(|flow| if flow == Flow::Exit && !self.switching { Ok(()) } else { self.execute() })
            }
        };
        self.leave_host();
        result
    }

    fn enter_host(&mut self) -> Result<(), Throw> {
        self.check_depth(self.depth)?;
        self.depth += 1;
        self.runs += 1;
        self.thread.state().unyieldable += 1;
        Ok(())
    }

    /// Whether calls of a kind may nest deeper.
    pub(super) fn check_depth(&mut self, depth: u32) -> Result<(), Throw> {
        if depth >= limits::HOST_DEPTH + if self.in_handler { limits::HANDLER_DEPTH } else { 0 } {
            return Err(self.overflow_error(b"C stack overflow"));
        }
        Ok(())
    }

    fn leave_host(&mut self) {
        self.depth -= 1;
        self.thread.state().unyieldable -= 1;
    }

    /// Calls a value, one result.
    pub fn call1(&mut self, f: Value, args: &[Value]) -> Result<Value, Throw> {
        let top = self.top;
        self.call_values(f, args, 1)?;
        self.top = top;
        Ok(self.slot(top))
    }
}
