//! What a native function asks of the loop: it returns the number of its results, or one of the steps made here, and is gone on with later.
//!
//! A native function never calls back by itself: it pushes a function with its arguments, says which continuation takes the results, and returns. Its
//! frame stays, and what it still needs stands on the stack above its arguments (V1): a call is a safepoint, a yield or an error may come in between,
//! and none of that takes room on the stack of the host.
//!
//! A step is one word, since functions that just return are most of them: the form in the two highest bits, then the number of results that a call
//! is to give, then a number of values.

use super::{Args, Throw, Vm};
use crate::value::{Continuation, Frame, FrameKind, Value, frame_flags};

/// A number of results, and nothing else.
pub(super) const RETURN: u32 = 0;
/// The function that stands below the last `n` values is called with them.
pub(super) const CALL: u32 = 1 << 30;
/// The innermost frame has changed: the last `n` values are what it has waited for.
pub(super) const CONTINUE: u32 = 2 << 30;
/// The same, where it has waited for an error: that in flight.
pub(super) const FAIL: u32 = 3 << 30;

const FORMS: u32 = 3 << 30;
const WANTED_SHIFT: u32 = 24;
const COUNT: u32 = (1 << WANTED_SHIFT) - 1;

/// A step, taken apart: its form, the results wanted, the number of values.
#[inline(always)]
pub(super) fn parts(step: u32) -> (u32, i16, usize) {
    let wanted = (step >> WANTED_SHIFT & 0x3F) as i16 - 1;
    (step & FORMS, wanted, (step & COUNT) as usize)
}

#[inline(always)]
pub(super) fn call(nargs: usize, wanted: i16) -> u32 {
    debug_assert!(nargs as u32 <= COUNT && (-1..0x3F).contains(&wanted));
    CALL | ((wanted + 1) as u32) << WANTED_SHIFT | nargs as u32
}

/// Takes the value that an operation gives at once; where it waits for a metamethod, so does the function in which this stands.
macro_rules! ready {
    ($operation:expr) => {
        match $operation? {
            $crate::vm::Ready::Value(value) => value,
            $crate::vm::Ready::Later(step) => return Ok(step),
        }
    };
}
pub(crate) use ready;

/// A value, or the step that gives it to the continuation.
pub enum Ready {
    Value(Value),
    Later(u32),
}

impl Vm {
    /// Waits for a call: the function below the last `nargs` values, and they. `wanted`: the number of results that `then` finds at the top; -1: all.
    #[inline]
    pub fn call_then(&mut self, nargs: usize, wanted: i16, then: Continuation) -> Result<u32, Throw> {
        self.frame().set_then(Some(then));
        Ok(call(nargs, wanted))
    }

    /// The same, for a function and arguments that are at hand.
    #[inline]
    pub fn call_value_then(&mut self, f: Value, args: &[Value], wanted: i16, then: Continuation) -> Result<u32, Throw> {
        self.push_call(f, args)?;
        self.call_then(args.len(), wanted, then)
    }

    /// Makes a call whose results are the function's own: of the function below the last `nargs` values. `wanted`: how many of them; -1: all.
    pub fn call_last(&mut self, nargs: usize, wanted: i16) -> Result<u32, Throw> {
        self.frame().set_then(None);
        Ok(call(nargs, wanted))
    }

    /// Pushes a function and its arguments.
    #[inline]
    pub fn push_call(&mut self, f: Value, args: &[Value]) -> Result<(), Throw> {
        self.check_stack(self.top + 1 + args.len() + super::limits::NATIVE_SLOTS)?;
        self.set_slot(self.top, f);
        for (i, &v) in args.iter().enumerate() {
            self.set_slot(self.top + 1 + i, v);
        }
        self.top += 1 + args.len();
        Ok(())
    }

    /// From here on errors of what the running function calls end with it: the continuation gets them, after the variables that they leave pending
    /// have been closed. `place`: the slot of the function to be called.
    pub(crate) fn catch_errors(&mut self, place: usize, flags: u8) {
        let frame = self.frame();
        frame.flags |= frame_flags::CATCHES | flags;
        frame.set_place(place);
    }

    /// The same for a run with limits, out of which nothing may yield.
    pub(crate) fn catch_in_run(&mut self, place: usize) {
        self.catch_errors(place, frame_flags::NO_YIELD);
        self.note_frame(frame_flags::NO_YIELD);
    }

    /// Adds a frame of the interpreter's own on top of the values in flight.
    pub(super) fn push_helper(&mut self, kind: FrameKind, flags: u8, then: Continuation) -> Result<(), Throw> {
        let func = self.top;
        self.check_stack(func + 1 + super::limits::NATIVE_SLOTS)?;
        self.set_slot(func, Value::NIL);
        let mut frame = Frame::native(kind, func, 0, 1, flags);
        frame.set_then(Some(then));
        self.push_frame(frame)?;
        self.top = func + 1;
        self.note_frame(flags);
        Ok(())
    }

    /// Where the innermost frame's arguments are.
    #[inline(always)]
    pub(super) fn args(&self) -> Args {
        let f = self.frame();
        Args { base: f.base, count: f.varargs }
    }

    /// Puts a value before the last `n`: what a function returns first.
    pub(crate) fn put_before(&mut self, v: Value, n: usize) -> Result<u32, Throw> {
        let first = self.top - n;
        let func = self.frame().func as usize;
        // In the place of the function itself nothing has to move; but a hook may want to see the function.
        if first == func + 1 && !self.hooked {
            self.set_slot(func, v);
            return Ok(n as u32 + 1);
        }
        self.check_stack(self.top + 1)?;
        // SAFETY: the slots lie below the top, and there is room for one more.
        unsafe { std::ptr::copy(self.stack.add(first), self.stack.add(first + 1), n) };
        self.set_slot(first, v);
        self.top += 1;
        Ok(n as u32 + 1)
    }
}
