//! Coroutines: a thread takes over from another in the same loop, without recursion in the host.

use super::stack::copy_values;
use super::{Flow, Throw, Vm, limits};
use crate::value::{Gc, Native, Status, Str, Tag, Thread, Value, frame_flags};

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

    pub(super) fn begin_resume(&mut self, func: usize, nargs: usize) -> Result<Flow, Throw> {
        let Some(co) = self.slot(func + 1).as_thread().filter(|_| nargs > 0) else {
            return Err(self.type_error(0, "thread"));
        };
        self.frame().flags |= frame_flags::RESUME;
        self.resume(co, func + 2, nargs - 1)
    }

    pub(super) fn begin_wrap(&mut self, native: Gc<Native>, func: usize, nargs: usize) -> Result<Flow, Throw> {
        let co = native.upval(0).as_thread().expect("a wrap function holds its coroutine");
        self.frame().flags |= frame_flags::RESUME | frame_flags::WRAP;
        self.resume(co, func + 1, nargs)
    }

    /// The innermost frame, of `resume` or a wrap function, hands over to a coroutine, with `n` values from slot `first` on.
    fn resume(&mut self, co: Gc<Thread>, first: usize, n: usize) -> Result<Flow, Throw> {
        let problem: Option<&[u8]> = match co.status.get() {
            Status::Suspended if self.roots.chain.len() >= limits::HOST_DEPTH as usize => Some(b"C stack overflow"),
            Status::Suspended if co.state().stack.top + n + 2 * limits::NATIVE_SLOTS > limits::STACK_SLOTS => {
                Some(b"too many arguments to resume")
            }
            Status::Suspended => None,
            Status::Dead => Some(b"cannot resume dead coroutine"),
            _ => Some(b"cannot resume non-suspended coroutine"),
        };
        if let Some(problem) = problem {
            let message = self.plain_error(problem);
            return self.fail_resume(message);
        }
        let func = self.frame().func as usize;
        self.thread.status.set(Status::Normal);
        co.status.set(Status::Running);
        let resumer = self.thread;
        self.save_thread(first + n);
        self.cut_left(resumer);
        resumer.state().stack.top = func + 1;
        let from = resumer.state().slots;
        co.state().resumer = Some(resumer);
        // SAFETY: R11: the coroutine is about to run; its top is right since it was suspended.
        unsafe { self.heap.touch_thread(co.as_ref()) };
        self.roots.chain.push(co);
        self.load_thread(co);
        let started = self.frame_count > 0;
        let at = self.top;
        if let Err(throw) = self.check_stack(at + n + limits::NATIVE_SLOTS) {
            return self.recover(throw);
        }
        // SAFETY: the resumer's stack does not move while the coroutine's is checked; the values stand there still, and here there is room for them.
        unsafe { copy_values(from.add(first), self.stack.add(at), n) };
        self.top = at + n;
        let result = if started {
            // The frame of the yield returns the values.
            self.deliver(at, n)
        } else {
            self.precall(at - 1, n, -1, frame_flags::DETACHED)
        };
        match result {
            Ok(flow) => Ok(flow),
            Err(throw) => self.recover(throw),
        }
    }

    /// `resume` itself fails: `false` and the message, or for a wrap function the error.
    fn fail_resume(&mut self, throw: Throw) -> Result<Flow, Throw> {
        let f = *self.frame();
        if f.has(frame_flags::WRAP) {
            self.frame().flags &= !(frame_flags::RESUME | frame_flags::WRAP);
            self.prefix_error();
            return Err(throw);
        }
        let error = self.take_error();
        let first = self.result_place(f.func as usize);
        self.set_slot(first, Value::FALSE);
        self.set_slot(first + 1, error);
        self.deliver(first, 2)
    }

    /// An error that passes a wrap function gets the position of its caller, if it is a string and not for want of memory.
    fn prefix_error(&mut self) {
        if self.is_memory_error() {
            return;
        }
        if let Some(s) = self.roots.error.as_str() {
            let mut text = self.position(1);
            if !text.is_empty() {
                text.extend_from_slice(s.bytes());
                if let Ok(s) = Gc::<Str>::new(&mut self.heap, &text) {
                    self.roots.error = Value::str(s);
                }
            }
        }
    }

    pub(super) fn begin_yield(&mut self, nargs: usize) -> Result<Flow, Throw> {
        if self.thread == self.roots.main {
            return Err(self.plain_error(b"attempt to yield from outside a coroutine"));
        }
        if self.thread.state().unyieldable > 0 {
            return Err(self.plain_error(b"attempt to yield across a C-call boundary"));
        }
        let f = self.frame();
        f.flags |= frame_flags::YIELD;
        let (func, base) = (f.func as usize, f.base as usize);
        let co = self.thread;
        co.status.set(Status::Suspended);
        let (first, n) = self.back_to_resumer(func + 1, base, nargs)?;
        self.cut_left(co);
        self.deliver(first, n)
    }

    /// Leaves the running coroutine, whose live slots end at `live`, for its resumer, with `n` values from slot `from` on. Returns where
    /// the resumer's frame finds its results.
    fn back_to_resumer(&mut self, live: usize, from: usize, n: usize) -> Result<(usize, usize), Throw> {
        let co = self.thread;
        let values = self.stack;
        self.save_thread(live);
        self.roots.chain.pop();
        let resumer = co.state().resumer.take().expect("a running coroutine has a resumer");
        // SAFETY: R7: the resumer runs again; its top was saved when it resumed.
        unsafe { self.heap.touch_thread(resumer.as_ref()) };
        self.load_thread(resumer);
        resumer.status.set(Status::Running);
        let f = *self.frame();
        debug_assert!(f.has(frame_flags::RESUME));
        let first = self.result_place(f.func as usize);
        let skip = if f.has(frame_flags::WRAP) { 0 } else { 1 };
        if first + skip + n + limits::NATIVE_SLOTS > limits::STACK_SLOTS {
            let throw = self.plain_error(b"too many results to resume");
            if skip == 0 {
                self.prefix_error();
                return Err(throw);
            }
            let error = self.take_error();
            self.set_slot(first, Value::FALSE);
            self.set_slot(first + 1, error);
            self.top = first + 2;
            return Ok((first, 2));
        }
        self.check_stack(first + skip + n + limits::NATIVE_SLOTS)?;
        if skip == 1 {
            self.set_slot(first, Value::TRUE);
        }
        // SAFETY: the coroutine's stack stays where it is: the collector does not run in between.
        unsafe { copy_values(values.add(from), self.stack.add(first + skip), n) };
        self.top = first + skip + n;
        Ok((first, n + skip))
    }

    /// The coroutine's function has returned `n` values, in slots from `first` on.
    pub(super) fn end_coroutine(&mut self, first: usize, n: usize) -> Result<(usize, usize), Throw> {
        let co = self.thread;
        co.status.set(Status::Dead);
        let results = self.back_to_resumer(0, first, n);
        self.release_stack(co);
        results
    }

    /// An error leaves the running coroutine. `resume` returns `false` and the error; through a wrap function it goes on (`None`).
    pub(super) fn fail_coroutine(&mut self) -> Result<Option<Flow>, Throw> {
        let co = self.thread;
        let error = self.take_error();
        co.status.set(Status::Dead);
        co.state().failed = true;
        // Frames and slots stay as they are, for tracebacks and for variables that wait to be closed.
        let live = match self.frame_count {
            0 => self.top,
            _ => {
                let f = self.frame();
                let end = if f.is_lua() { f.closure().proto.max_stack as usize } else { 0 };
                self.top.max(f.base as usize + end)
            }
        };
        // SAFETY: the frames end within the capacity, and the block has one slot more.
        unsafe { *self.stack.add(live) = error };
        let results = self.back_to_resumer(live + 1, live, 1);
        self.cut_left(co);
        let Ok((first, _)) = results else { return Ok(None) };
        let f = *self.frame();
        if f.has(frame_flags::WRAP) {
            let error = self.slot(first);
            self.frame().flags &= !(frame_flags::RESUME | frame_flags::WRAP);
            // The coroutine is closed first; an error in that takes the place of the first one.
            self.top = first + 2;
            self.set_slot(first + 1, Value::thread(co));
            let error = self.close_variables_of(co, Some(error));
            let _ = self.throw(error.unwrap_or(Value::NIL));
            self.prefix_error();
            return Ok(None);
        }
        self.set_slot(first, Value::FALSE);
        match self.deliver(first, 2) {
            Ok(flow) => Ok(Some(flow)),
            Err(_) => Ok(None),
        }
    }

    /// Closes the pending variables of a coroutine that does not run, and with them the coroutine, on whose stack the closing methods run: for
    /// them it is the running one, which can't yield. Returns the error they end with (`error` if none of them fails).
    fn close_variables_of(&mut self, co: Gc<Thread>, error: Option<Value>) -> Option<Value> {
        if co.state().slots.is_null() {
            return error;
        }
        let closer = self.thread;
        closer.status.set(Status::Normal);
        co.status.set(Status::Running);
        self.save_thread(self.top);
        // The functions whose variables they are do not run any more.
        co.state().frame_count = 0;
        // SAFETY: R11: its stack is about to change.
        unsafe { self.heap.touch_thread(co.as_ref()) };
        self.roots.chain.push(co);
        self.load_thread(co);
        let error = self.close_variables(co, 0, 0, error);
        self.save_thread(0);
        let state = co.state();
        state.failed = false;
        state.protected = 0;
        state.metamethods = 0;
        self.roots.chain.pop();
        co.status.set(Status::Dead);
        // SAFETY: R7: the closer runs again; its top was saved.
        unsafe { self.heap.touch_thread(closer.as_ref()) };
        self.load_thread(closer);
        closer.status.set(Status::Running);
        self.release_stack(co);
        error
    }

    /// `coroutine.close`: the error with which it ended, if any.
    pub fn close_coroutine(&mut self, co: Gc<Thread>) -> Option<Value> {
        let state = co.state();
        // SAFETY: the error is the last live slot, and the stack of a coroutine that has failed is kept.
        let error = state.failed.then(|| unsafe { *state.slots.add(state.stack.top - 1) });
        self.close_variables_of(co, error)
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

    /// Whether a value may be a coroutine's body.
    pub fn is_callable_type(v: Value) -> bool {
        matches!(v.tag(), Tag::CLOSURE | Tag::NATIVE)
    }
}
