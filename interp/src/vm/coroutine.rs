//! Coroutines: a thread takes over from another in the same loop.
//!
//! * **O1** Below the innermost frame of a thread that has resumed another one is nothing to be done: that frame, of `resume`, a wrap function or
//!   `close`, waits, and finds what comes back at the top of its stack.

use super::step::{CONTINUE, FAIL, call};
use super::{Args, Throw, Vm, limits};
use crate::value::{Continuation, Frame, FrameKind, Gc, Outcome, Status, Str, Thread, Value, frame_flags};

/// `coroutine.resume(co, ...)`
pub(crate) fn resume(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let Some(co) = vm.arg(args, 0).as_thread() else { return Err(vm.arg_type_error(args, 0, "thread")) };
    vm.frame().set_then(Some(end_resume));
    vm.hand_over_to(co, args.base as usize + 1, args.count() - 1)
}

fn end_resume(vm: &mut Vm, _: Args, outcome: Outcome) -> Result<u32, Throw> {
    match outcome {
        Outcome::Returned(n) => vm.put_before(Value::TRUE, n as usize),
        Outcome::Failed(error) => {
            vm.push(Value::FALSE)?;
            vm.push(error)?;
            Ok(2)
        }
    }
}

/// What `coroutine.wrap` makes; upvalue 0 is the coroutine.
pub(crate) fn wrapped(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let co = vm.running_native().upval(0).as_thread().expect("a wrap function holds its coroutine");
    vm.frame().set_then(Some(end_wrapped));
    vm.hand_over_to(co, args.base as usize, args.count())
}

/// An error goes on; if the coroutine has died of it, that is closed first.
fn end_wrapped(vm: &mut Vm, args: Args, outcome: Outcome) -> Result<u32, Throw> {
    let error = match outcome {
        Outcome::Returned(n) => return Ok(n),
        Outcome::Failed(error) => error,
    };
    let co = vm.running_native().upval(0).as_thread().expect("a wrap function holds its coroutine");
    if co.status.get() == Status::Dead && co.state().failed {
        return vm.close_thread(co, Some(error), end_closing_wrapped);
    }
    vm.push(error)?;
    end_closing_wrapped(vm, args, Outcome::Returned(1))
}

fn end_closing_wrapped(vm: &mut Vm, _: Args, _: Outcome) -> Result<u32, Throw> {
    let throw = vm.throw(vm.slot(vm.top - 1));
    vm.prefix_error();
    Err(throw)
}

/// `coroutine.yield(...)`
pub(crate) fn yield_(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    if vm.thread == vm.roots.main {
        return Err(vm.plain_error(b"attempt to yield from outside a coroutine"));
    }
    if vm.thread.state().unyieldable > 0 {
        return Err(vm.plain_error(b"attempt to yield across a C-call boundary"));
    }
    let co = vm.thread;
    co.status.set(Status::Suspended);
    // What it is resumed with it returns.
    let step = vm.back_to_resumer(args.base as usize, args.base as usize, args.count());
    vm.cut_left(co);
    step
}

/// `coroutine.close(co)`
pub(crate) fn close(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let Some(co) = vm.arg(args, 0).as_thread() else { return Err(vm.arg_type_error(args, 0, "thread")) };
    if !matches!(co.status.get(), Status::Suspended | Status::Dead) {
        let status = vm.thread_status(co);
        return Err(vm.error(format!("cannot close a {status} coroutine")));
    }
    let state = co.state();
    // SAFETY: the error is the last live slot, and the stack of a coroutine that has failed is kept.
    let error = state.failed.then(|| unsafe { *state.slots.add(state.stack.top - 1) });
    vm.close_thread(co, error, end_close)
}

fn end_close(vm: &mut Vm, _: Args, outcome: Outcome) -> Result<u32, Throw> {
    match outcome {
        Outcome::Returned(0) => vm.ret1(Value::TRUE),
        _ => vm.put_before(Value::FALSE, 1),
    }
}

/// All variables of a coroutine are closed. `args.count`: whether there is an error.
fn end_closing(vm: &mut Vm, args: Args, outcome: Outcome) -> Result<u32, Throw> {
    match outcome {
        Outcome::Failed(error) if args.count() > 0 => vm.ret1(error),
        _ => Ok(0),
    }
}

impl Vm {
    /// A suspended coroutine that will call `f`.
    pub fn new_coroutine(&mut self, f: Value) -> Result<Gc<Thread>, Throw> {
        let t = Gc::<Thread>::new(&mut self.heap).map_err(|_| self.memory_error())?;
        let state = t.state();
        // SAFETY: the stack has room for one slot.
        unsafe { *state.slots = f };
        state.stack.top = 1;
        state.stack.high = state.capacity;
        Ok(t)
    }

    /// The innermost frame resumes a coroutine, with `n` values from slot `first` on.
    fn hand_over_to(&mut self, co: Gc<Thread>, first: usize, n: usize) -> Result<u32, Throw> {
        let problem: Option<&[u8]> = match co.status.get() {
            Status::Suspended if self.roots.chain.len() >= limits::HOST_DEPTH as usize => Some(b"C stack overflow"),
            // Where it yielded there was room for no values: it can be resumed with none.
            Status::Suspended if co.state().stack.top + n + limits::NATIVE_SLOTS > limits::STACK_SLOTS => {
                Some(b"too many arguments to resume")
            }
            Status::Suspended => None,
            Status::Dead => Some(b"cannot resume dead coroutine"),
            _ => Some(b"cannot resume non-suspended coroutine"),
        };
        if let Some(problem) = problem {
            self.plain_error(problem);
            return Ok(FAIL);
        }
        let resumer = self.thread;
        self.switch_to(co, first + n);
        let from = resumer.state().slots;
        let started = self.frame_count > 0;
        let at = self.top;
        self.check_stack(at + n + limits::NATIVE_SLOTS)?;
        // SAFETY: the resumer's stack does not move while the coroutine's is checked; the values stand there still.
        unsafe { std::ptr::copy_nonoverlapping(from.add(first), self.stack.add(at), n) };
        self.top = at + n;
        // The first time its function is called, then the frame of the yield returns the values.
        Ok(if started { CONTINUE | n as u32 } else { call(n, -1) })
    }

    /// A coroutine that does not run takes over from the running thread, whose live slots end with the function of the innermost frame. What stands
    /// below `end` is there to be fetched afterwards.
    fn switch_to(&mut self, co: Gc<Thread>, end: usize) {
        let (resumer, live) = (self.thread, self.frame().func as usize + 1);
        resumer.status.set(Status::Normal);
        co.status.set(Status::Running);
        self.save_thread(end.max(live));
        self.cut_left(resumer);
        resumer.state().stack.top = live;
        co.state().resumer = Some(resumer);
        // SAFETY: R11: the coroutine is about to run; its top is right since it was suspended.
        unsafe { self.heap.touch_thread(co.as_ref()) };
        self.roots.chain.push(co);
        self.load_thread(co);
    }

    /// An error that passes a wrap function gets the position of its caller, if it is a string and not for want of memory.
    fn prefix_error(&mut self) {
        if self.is_memory_error() {
            return;
        }
        if let Some(s) = self.roots.error.as_str() {
            let position = self.position(1);
            if !position.is_empty()
                && let Ok(s) = Gc::<Str>::join(&mut self.heap, position.len() + s.len(), [&position, s.bytes()])
            {
                self.roots.error = Value::str(s);
            }
        }
    }

    /// Leaves the running coroutine, whose live slots end at `live`, for its resumer, which gets `n` values from slot `from` on.
    fn back_to_resumer(&mut self, live: usize, from: usize, n: usize) -> Result<u32, Throw> {
        let co = self.thread;
        let values = self.stack;
        self.save_thread(live);
        self.roots.chain.pop();
        let resumer = co.state().resumer.take().expect("a running coroutine has a resumer");
        // SAFETY: R7: the resumer runs again; its top was saved when it resumed.
        unsafe { self.heap.touch_thread(resumer.as_ref()) };
        self.load_thread(resumer);
        resumer.status.set(Status::Running);
        let base = self.frame().base as usize;
        if base + n + limits::NATIVE_SLOTS > limits::STACK_SLOTS {
            self.top = base;
            self.plain_error(b"too many results to resume");
            return Ok(FAIL);
        }
        self.check_stack(base + n + limits::NATIVE_SLOTS)?;
        // SAFETY: the coroutine's stack stays where it is: the collector does not run in between.
        unsafe { std::ptr::copy_nonoverlapping(values.add(from), self.stack.add(base), n) };
        self.top = base + n;
        Ok(CONTINUE | n as u32)
    }

    /// The coroutine's function has returned `n` values, in slots from `first` on.
    pub(super) fn end_coroutine(&mut self, first: usize, n: usize) -> Result<u32, Throw> {
        let co = self.thread;
        co.status.set(Status::Dead);
        let step = self.back_to_resumer(0, first, n);
        self.release_stack(co);
        step
    }

    /// An error leaves the running coroutine, for the frame that has resumed it.
    pub(super) fn fail_coroutine(&mut self) -> Result<u32, Throw> {
        let co = self.thread;
        let error = self.take_error();
        co.status.set(Status::Dead);
        co.state().failed = true;
        (co.state().unyieldable, co.state().nested) = (0, 0);
        // Frames and slots stay as they are, for tracebacks and for variables that wait to be closed.
        let live = match self.frame_count {
            0 => self.top,
            _ => self.live_end(),
        };
        // SAFETY: the frames end within the capacity, and the block has one slot more.
        unsafe { *self.stack.add(live) = error };
        let step = self.back_to_resumer(live + 1, live, 0);
        self.cut_left(co);
        step?;
        let _ = self.throw(error);
        Ok(FAIL)
    }

    /// Closes the pending variables of a coroutine that does not run, and with them the coroutine, on whose stack the closing methods run: for
    /// them it is the running one, which can't yield. `then` finds the error they end with (`error` if none of them fails), or nothing.
    fn close_thread(&mut self, co: Gc<Thread>, error: Option<Value>, then: Continuation) -> Result<u32, Throw> {
        self.frame().set_then(Some(then));
        let state = co.state();
        // The functions whose variables they are do not run any more.
        state.frame_count = 0;
        state.failed = false;
        (state.unyieldable, state.nested) = (0, 0);
        state.stack.low = 0;
        if state.tbc.last().is_none() {
            co.status.set(Status::Dead);
            // SAFETY: R11: its stack is about to change.
            unsafe { self.heap.touch_thread(co.as_ref()) };
            self.release_stack(co);
            let n = error.is_some() as u32;
            return error.map_or(Ok(()), |error| self.push(error)).map(|()| CONTINUE | n);
        }
        if self.roots.chain.len() >= limits::HOST_DEPTH as usize {
            return Err(self.overflow_error(b"C stack overflow"));
        }
        self.switch_to(co, 0);
        // The place of the coroutine's function is free for the error.
        self.set_slot(0, error.unwrap_or(Value::NIL));
        let flags = frame_flags::CATCHES | frame_flags::CLOSING | frame_flags::NO_YIELD | frame_flags::ASIDE;
        let mut frame = Frame::native(FrameKind::Helper, 0, error.is_some() as usize, -1, flags);
        frame.set_then(Some(end_closing));
        frame.set_place(0);
        self.push_frame(frame)?;
        self.note_frame(flags);
        Ok(CONTINUE)
    }

    pub fn thread_status(&self, t: Gc<Thread>) -> &'static str {
        match t.status.get() {
            Status::Suspended => "suspended",
            Status::Running => "running",
            Status::Normal => "normal",
            Status::Dead => "dead",
        }
    }

    /// Whether the running function may yield.
    pub fn is_yieldable(&self) -> bool {
        self.thread != self.roots.main && self.thread.state().unyieldable == 0
    }
}
