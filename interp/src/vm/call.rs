//! Calls and returns.
//!
//! Lua functions are run by the loop (`execute`), frames of other kinds by [`Vm::drive`], which does one step after the other until a Lua function is
//! innermost again. Neither recurses: a function of either kind may call one of the other as deep as the stack reaches.
//!
//! * **C1** A frame without the flag `ASIDE` stands above the Lua frame whose `Call` has made it.
//! * **C2** What the values of a call or a return are for is decided where the frame below is looked at: a `Call` gets them in the place of the function, an
//!   instruction that met a metamethod is completed, a frame of another kind finds them at the top and goes on.

use super::step::{self, CALL, CONTINUE, FAIL, RETURN};
use super::{Event, Flow, Throw, Vm, limits};
use crate::bytecode::{Instr, Op};
use crate::value::{Closure, Frame, FrameKind, Gc, Native, Outcome, Special, Tag, Value, frame_flags};
use neap_gc::heap::poll;
use std::sync::atomic::Ordering;

impl Vm {
    /// The call of a value that is no Lua function, by the loop: the value in slot `func`, whose `nargs` arguments follow.
    #[inline]
    pub(super) fn call_other(&mut self, func: usize, nargs: usize, wanted: i16) -> Result<Flow, Throw> {
        let f = self.slot(func);
        if f.tag() != Tag::NATIVE || self.hooked {
            return self.enter(func, nargs, wanted, 0);
        }
        self.push_native(func, nargs, wanted, 0)?;
        let step = self.run_native(f.as_native().expect("a native function"))?;
        if step >= CALL || self.hooked {
            // The loop drives it.
            return self.first_step(step);
        }
        // It just returns, to the Lua function below (C1).
        let (f, n) = (*self.frame(), step as usize);
        self.pop_frame(&f);
        self.hand_over(f.func as usize, wanted, self.top - n, n)?;
        if self.poll.load(Ordering::Relaxed) & poll::COLLECT != 0 {
            // M3: above the results no register is in use.
            self.poll_collector(self.top)?;
        }
        Ok(Flow::Reload)
    }

    /// A native function called by the loop does not just return. What it calls is most often a Lua function.
    #[inline]
    fn first_step(&mut self, step: u32) -> Result<Flow, Throw> {
        let (form, wanted, n) = step::parts(step);
        if form == CALL
            && let Some(closure) = self.slot(self.top - n - 1).as_closure()
            && self.thread.state().nested < limits::NESTING
            && !self.is_metered()
        {
            return self.enter_slowly(closure, self.top - n - 1, n, wanted, frame_flags::ASIDE);
        }
        Ok(Flow::Step(step))
    }

    /// Begins the call of the value in slot `func`. A Lua function gets its frame; a native one runs, up to its first step.
    pub(super) fn enter(&mut self, func: usize, nargs: usize, wanted: i16, flags: u8) -> Result<Flow, Throw> {
        let mut nargs = nargs;
        if flags & frame_flags::ASIDE != 0 && self.thread.state().nested >= self.nesting_limit() {
            return Err(self.overflow_error(b"C stack overflow"));
        }
        if self.is_metered() && flags & frame_flags::ASIDE != 0 {
            self.burn()?;
        }
        // `__call` may be a chain; each link adds an argument, so a cycle meets the stack's limit.
        loop {
            let f = self.slot(func);
            match f.tag() {
                Tag::CLOSURE => {
                    let closure = f.as_closure().expect("a closure");
                    return self.enter_slowly(closure, func, nargs, wanted, flags);
                }
                Tag::NATIVE => {
                    let native = f.as_native().expect("a native function");
                    self.push_native(func, nargs, wanted, flags)?;
                    self.note_frame(flags);
                    if self.hooked
                        && let Some(flow) = self.trace_call(nargs)?
                    {
                        return Ok(flow);
                    }
                    return self.run_native(native).map(Flow::Step);
                }
                _ => {
                    let handler = self.metamethod(f, Event::Call);
                    if handler.is_nil() {
                        return Err(self.call_error(f, func));
                    }
                    self.check_stack(func + nargs + 2 + limits::NATIVE_SLOTS)?;
                    // SAFETY: the function and its arguments, and one slot more, which has just been asked for.
                    unsafe { std::ptr::copy(self.stack.add(func), self.stack.add(func + 1), nargs + 1) };
                    self.set_slot(func, handler);
                    nargs += 1;
                }
            }
        }
    }

    /// The frame of a Lua function that the loop has not entered by itself.
    #[inline(always)]
    fn enter_slowly(&mut self, closure: Gc<Closure>, func: usize, nargs: usize, wanted: i16, flags: u8) -> Result<Flow, Throw> {
        self.enter_lua(closure, func, nargs, wanted, flags)?;
        self.note_frame(flags);
        if self.poll.load(Ordering::Relaxed) != 0 {
            // M3: the parameters are in place, and nothing else of the function.
            let live_top = self.frame().base as usize + closure.proto.num_params as usize;
            self.poll(live_top)?;
        }
        Ok(Flow::Reload)
    }

    #[inline(always)]
    pub(super) fn enter_lua(
        &mut self,
        closure: Gc<Closure>,
        func: usize,
        nargs: usize,
        wanted: i16,
        flags: u8,
    ) -> Result<(), Throw> {
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
            kind: FrameKind::Lua,
            flags,
        })
    }

    /// The frame of a native function.
    #[inline(always)]
    fn push_native(&mut self, func: usize, nargs: usize, wanted: i16, flags: u8) -> Result<(), Throw> {
        self.top = func + 1 + nargs;
        self.check_stack(self.top + limits::NATIVE_SLOTS)?;
        self.push_frame(Frame::native(FrameKind::Native, func, nargs, wanted, flags))
    }

    /// Runs the native function whose frame is innermost, up to its first step.
    #[inline(always)]
    pub(super) fn run_native(&mut self, native: Gc<Native>) -> Result<u32, Throw> {
        let args = self.args();
        match (native.function)(self, args) {
            Err(throw) if native.special == Special::Restartable => self.run_again(native, args, throw),
            result => result,
        }
    }

    /// Does steps until a Lua function is innermost, or what the host has asked for is done.
    pub(super) fn drive(&mut self, mut flow: Flow) -> Result<Flow, Throw> {
        while let Flow::Step(step) = flow {
            let (form, wanted, n) = step::parts(step);
            flow = match form {
                RETURN => self.leave(self.top - n, n)?,
                CALL => self.enter(self.top - n - 1, n, wanted, frame_flags::ASIDE)?,
                FAIL => {
                    let error = self.take_error();
                    self.go_on(Outcome::Failed(error))?
                }
                _ => self.go_on(Outcome::Returned(n as u32))?,
            };
        }
        Ok(flow)
    }

    /// The innermost frame, which is none of a Lua function, gets what it has waited for.
    pub(super) fn go_on(&mut self, outcome: Outcome) -> Result<Flow, Throw> {
        let f = self.frame();
        if f.has(frame_flags::CLOSING) {
            return self.close_more();
        }
        if f.kind != FrameKind::Host {
            // A frame catches the errors of one call.
            f.flags &= !(frame_flags::CATCHES | frame_flags::HEARS);
        }
        if let (Outcome::Failed(error), Some(_)) = (outcome, self.stopping) {
            // It came through a coroutine, and is for a frame further down.
            self.roots.error = error;
            return Err(self.rethrow());
        }
        match (f.then(), outcome) {
            (Some(then), _) => then(self, self.args(), outcome).map(Flow::Step),
            (None, Outcome::Returned(_)) if f.kind == FrameKind::Host => Ok(Flow::Exit),
            (None, Outcome::Returned(n)) => Ok(Flow::Step(RETURN | n)),
            (None, Outcome::Failed(error)) => Err(self.throw(error)),
        }
    }

    /// The innermost frame returns the `n` values from slot `first` on.
    #[inline(never)]
    pub(super) fn leave(&mut self, first: usize, n: usize) -> Result<Flow, Throw> {
        if self.hooked
            && let Some(flow) = self.trace_return(first, n)?
        {
            return Ok(flow);
        }
        let f = *self.frame();
        self.pop_frame(&f);
        if self.frame_count == 0 {
            return self.end_coroutine(first, n).map(Flow::Step);
        }
        let is_lua = self.frame().is_lua();
        if f.is_between() {
            // The top is as it was.
            self.top = self.slot(f.func as usize).raw_int() as usize;
            return Ok(if is_lua { Flow::Reload } else { Flow::Step(CONTINUE) });
        }
        if is_lua && f.has(frame_flags::ASIDE) {
            let result = if n > 0 { self.slot(first) } else { Value::NIL };
            return self.finish_instruction(result, f.func as usize);
        }
        let count = self.hand_over(f.func as usize, f.wanted, first, n)?;
        Ok(if is_lua { Flow::Reload } else { Flow::Step(CONTINUE | count as u32) })
    }

    /// Brings the `n` values from slot `first` on, or as many as are wanted, to slot `dest`, which lies below; the top is their end.
    #[inline(always)]
    fn hand_over(&mut self, dest: usize, wanted: i16, first: usize, n: usize) -> Result<usize, Throw> {
        let count = if wanted < 0 { n } else { wanted as usize };
        // SAFETY: slots of the stack; results go down.
        unsafe {
            for i in 0..count.min(n) {
                *self.stack.add(dest + i) = *self.stack.add(first + i);
            }
        }
        if count > n {
            self.check_stack(dest + count)?;
            for i in n..count {
                self.set_slot(dest + i, Value::NIL);
            }
        }
        self.top = dest + count;
        Ok(count)
    }

    /// The call of a metamethod for the instruction in progress of the innermost (Lua) frame; its result will complete the instruction.
    pub(super) fn call_meta(&mut self, f: Value, args: &[Value]) -> Result<Flow, Throw> {
        let registers = self.registers_end();
        self.call_meta_at(registers, f, args)
    }

    /// The same from slot `func` on.
    pub(super) fn call_meta_at(&mut self, func: usize, f: Value, args: &[Value]) -> Result<Flow, Throw> {
        self.top = func;
        self.push_call(f, args)?;
        match f.as_closure() {
            // At once, without a step.
            Some(closure) if self.thread.state().nested < limits::NESTING && !self.is_metered() => {
                self.enter_slowly(closure, func, args.len(), 1, frame_flags::ASIDE)
            }
            _ => Ok(Flow::Step(step::call(args.len(), 1))),
        }
    }

    /// The end of the innermost (Lua) frame's registers.
    #[inline(always)]
    pub(super) fn registers_end(&self) -> usize {
        let frame = self.frame();
        frame.base as usize + frame.closure().proto.max_stack as usize
    }

    /// A metamethod has returned: completes the instruction of the innermost frame. `func`: where its function stood.
    fn finish_instruction(&mut self, result: Value, func: usize) -> Result<Flow, Throw> {
        let f = self.frame();
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
                let flow = self.concat(a, n - 1, i.b() as usize)?;
                return Ok(if flow == Flow::Next { Flow::Reload } else { flow });
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
}
