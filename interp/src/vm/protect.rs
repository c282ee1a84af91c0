//! Protected calls: `pcall`, `xpcall`, and what happens to an error on its way to them.

use super::{Flow, Throw, Vm, limits};
use crate::value::{Frame, NativeFn, Special, Value, frame_flags};

/// Where a protected call keeps the error that it has caught while it closes variables: behind the handler, which sees the errors of the closing
/// methods.
fn error_slot(f: &Frame) -> usize {
    f.func as usize + if f.has(frame_flags::XPCALL) { 2 } else { 1 }
}

impl Vm {
    /// `pcall(f, ...)`: the function is called where it stands, one slot above.
    pub(super) fn begin_pcall(&mut self, func: usize, nargs: usize) -> Result<Flow, Throw> {
        if nargs == 0 {
            return Err(self.arg_error(0, "value expected"));
        }
        self.enter_protected(frame_flags::PCALL)?;
        self.call_in_protected(func + 1, nargs - 1)
    }

    /// `xpcall(f, handler, ...)`: handler and function change places.
    pub(super) fn begin_xpcall(&mut self, func: usize, nargs: usize) -> Result<Flow, Throw> {
        let (f, handler) = (self.slot(func + 1), self.slot(func + 2));
        if nargs < 2 || !handler.is_function() {
            let got = if nargs < 2 { Value::NIL } else { handler };
            return Err(self.type_error_for(1, "function", got, nargs < 2));
        }
        self.enter_protected(frame_flags::XPCALL)?;
        self.set_slot(func + 1, handler);
        self.set_slot(func + 2, f);
        self.call_in_protected(func + 2, nargs - 2)
    }

    /// The innermost frame becomes a protected call. They take no stack of the host, but where an error goes through many of them and each one adds to
    /// it, time and memory grow with the square of their number.
    fn enter_protected(&mut self, flag: u16) -> Result<(), Throw> {
        let state = self.thread.state();
        self.check_depth(state.protected)?;
        state.protected += 1;
        self.frame().flags |= flag;
        Ok(())
    }

    fn call_in_protected(&mut self, func: usize, nargs: usize) -> Result<Flow, Throw> {
        match self.precall(func, nargs, -1, frame_flags::DETACHED) {
            Ok(flow) => Ok(flow),
            // Straight to the frame just made: no `execute` needs to see the error.
            Err(throw) => self.recover(throw),
        }
    }

    /// An error is in flight: finds the protected call that catches it, within the innermost `execute`, and goes on from there.
    pub(crate) fn recover(&mut self, throw: Throw) -> Result<Flow, Throw> {
        let mut throw = throw;
        loop {
            self.call_handler();
            match self.unwind(throw) {
                Ok(Some(flow)) => return Ok(flow),
                // The error went on into the resumer.
                Ok(None) => throw = self.rethrow(),
                Err(throw) => return Err(throw),
            }
        }
    }

    /// The message handler of the innermost protected call sees the error first, with the stack as it is; an error of a closing method
    /// too. The errors of a finalizer are for nobody beyond it.
    fn call_handler(&mut self) {
        if self.handled || self.frame_count == 0 {
            return;
        }
        let ends = frame_flags::FINALIZER | frame_flags::UNHEARD | frame_flags::PCALL | frame_flags::XPCALL;
        let catcher = (0..self.frame_count).rev().find(|&i| self.frame_at(i).has(ends));
        let Some(catcher) = catcher.filter(|&i| self.frame_at(i).has(frame_flags::XPCALL)) else { return };
        let handler = self.slot(self.frame_at(catcher).func as usize + 1);
        let error = self.take_error();
        let frame = self.frame();
        let live =
            if frame.is_lua() { frame.base as usize + frame.closure().proto.max_stack as usize } else { frame.base as usize };
        self.top = self.top.max(live);
        let top = self.top;
        let nested = std::mem::replace(&mut self.in_handler, true);
        // An error in the handler calls the handler again, as the reference does, until the host depth is used up.
        let result = self.call1(handler, &[error]);
        self.in_handler = nested;
        if !nested {
            // The reserve is for the next handler.
            self.soft_limit = self.soft_limit.min(limits::STACK_SLOTS);
        }
        self.top = top;
        if let Ok(v) = result {
            self.roots.error = v;
        }
        self.handled = true;
    }

    /// Takes frames away up to the catching one. `None`: the coroutine is dead, the error goes on in its resumer.
    fn unwind(&mut self, throw: Throw) -> Result<Option<Flow>, Throw> {
        let raised_at = self.frame_count;
        while self.frame_count > 0 {
            let f = *self.frame();
            if f.has(frame_flags::PCALL | frame_flags::XPCALL) {
                let error = self.take_error();
                self.frame().flags |= frame_flags::CLOSING;
                self.set_slot(error_slot(&f), error);
                self.lower_watermark();
                return Ok(self.continue_closing().ok());
            }
            self.frame_count -= 1;
            if f.has(frame_flags::META) {
                self.thread.state().metamethods -= 1;
            }
            if f.has(frame_flags::FRESH) {
                self.lower_watermark();
                self.top = f.func as usize;
                return Err(throw);
            }
        }
        // The main thread stands on a fresh frame: this is a coroutine.
        self.frame_count = raised_at;
        self.fail_coroutine()
    }

    /// The innermost frame is a protected call that has caught an error: closes the pending variables above it, one after the other, then returns
    /// `false` and the error.
    pub(super) fn continue_closing(&mut self) -> Result<Flow, Throw> {
        let f = *self.frame();
        let place = error_slot(&f);
        if let Some(flow) = self.close_next_with_error(place)? {
            return Ok(flow);
        }
        let error = self.slot(place);
        let first = if f.has(frame_flags::XPCALL) { place - 1 } else { self.result_place(place - 1) };
        self.set_slot(first, Value::FALSE);
        self.set_slot(first + 1, error);
        if std::mem::take(&mut self.out_of_memory) {
            // What the failed call held is garbage now: the frames above are gone, and the error stands in the stack.
            self.top = first + 2;
            self.collect_heap(first + 2);
        }
        self.deliver(first, 2)
    }

    /// Calls a function so that an error comes back as `Err`, with pending variables closed. For hosts and finalizers.
    pub fn call_protected(&mut self, f: Value, args: &[Value]) -> Result<(), Throw> {
        self.call_protected_as(0, f, args)
    }

    /// The same with flags for the frame.
    pub(super) fn call_protected_as(&mut self, flags: u16, f: Value, args: &[Value]) -> Result<(), Throw> {
        let top = self.top;
        let frames = self.frame_count;
        let result = self.call_values_as(flags, f, args, 0);
        let result = match result {
            Ok(_) => Ok(()),
            Err(throw) => {
                debug_assert_eq!(self.frame_count, frames);
                self.close_pending(top, throw)
            }
        };
        self.top = top;
        result
    }

    /// Calls a function as `xpcall` does: a message handler sees an error first, with the stack as it is. The results are valid until the next
    /// safepoint (V1). For hosts.
    #[cfg_attr(not(feature = "cli"), allow(dead_code, reason = "the command is the only host that is told of errors so"))]
    pub fn call_with_handler(&mut self, f: Value, args: &[Value], handler: NativeFn) -> Result<Vec<Value>, Throw> {
        let start = self.top;
        // Without a name, and known to no table: in a traceback it is the host itself.
        let caller = self.new_special("?", handler, Special::Xpcall, &[])?;
        let handler = self.new_native("?", handler, &[])?;
        let mut all = Vec::with_capacity(args.len() + 2);
        all.extend_from_slice(&[f, handler]);
        all.extend_from_slice(args);
        self.call_values(caller, &all, -1)?;
        let results: Vec<Value> = (start + 1..self.top).map(|i| self.slot(i)).collect();
        self.top = start;
        if self.slot(start).is_truthy() { Ok(results) } else { Err(self.throw(results.first().copied().unwrap_or(Value::NIL))) }
    }
}
