//! Calls from the host: the embedding program, the command line. Each enters the interpreter anew, on the stack of the host.
//!
//! Native functions do not call like this but wait (`step`); where one does all the same, as `debug.debug`, no yield can pass it.

use super::{Flow, Throw, Vm, limits};
use crate::value::{Frame, FrameKind, NativeFn, Value, frame_flags};
use neap_gc::heap::poll;
use std::sync::atomic::Ordering;

impl Vm {
    /// Calls a value with arguments. The results stand at the top of the stack; their number is returned. A safepoint (V1). Errors come with
    /// pending variables closed.
    pub fn call_values(&mut self, f: Value, args: &[Value], wanted: i16) -> Result<u32, Throw> {
        let start = self.top;
        self.as_host(0, |vm| {
            vm.push_call(f, args)?;
            Ok(Flow::Step(super::step::call(args.len(), wanted)))
        })?;
        Ok((self.top - start) as u32)
    }

    /// The same with one result, which is valid until the next safepoint.
    pub fn call1(&mut self, f: Value, args: &[Value]) -> Result<Value, Throw> {
        let top = self.top;
        self.call_values(f, args, 1)?;
        self.top = top;
        Ok(self.slot(top))
    }

    /// `object[key] = value`.
    pub fn set_index_now(&mut self, object: Value, key: Value, value: Value) -> Result<(), Throw> {
        match self.assign(object, key, value)? {
            None => Ok(()),
            Some((f, receiver)) => self.call_protected(f, &[receiver, key, value]),
        }
    }

    /// A call without results.
    pub fn call_protected(&mut self, f: Value, args: &[Value]) -> Result<(), Throw> {
        let top = self.top;
        let result = self.call_values(f, args, 0);
        self.top = top;
        result.map(drop)
    }

    /// Calls a function so that a message handler sees an error first, a stop too, with the stack as it is. The results are valid until the next
    /// safepoint (V1).
    pub fn call_with_handler(&mut self, f: Value, args: &[Value], handler: NativeFn) -> Result<Vec<Value>, Throw> {
        let start = self.top;
        let handler = self.new_native("?", handler, &[])?;
        self.push(handler)?;
        let result = self.as_host(frame_flags::HEARS, |vm| {
            vm.push_call(f, args)?;
            Ok(Flow::Step(super::step::call(args.len(), -1)))
        });
        let results = result.map(|()| (start + 1..self.top).map(|i| self.slot(i)).collect());
        self.top = start;
        results
    }

    /// Runs what `begin` begins above a frame of the host. What it leaves above the top is at the top in the end. With the flag `HEARS` the value at the top is
    /// a message handler.
    pub(super) fn as_host(&mut self, flags: u8, begin: impl FnOnce(&mut Vm) -> Result<Flow, Throw>) -> Result<(), Throw> {
        if self.depth >= limits::HOST_DEPTH {
            return Err(self.overflow_error(b"C stack overflow"));
        }
        let place = self.top;
        self.check_stack(place + 1 + limits::NATIVE_SLOTS)?;
        let flags = flags | frame_flags::CATCHES | frame_flags::NO_YIELD | frame_flags::ASIDE;
        // Its function slot is one of the caller's: results need not be moved.
        let mut frame = Frame::native(FrameKind::Host, place - 1, 0, -1, flags);
        frame.base = place as u32 - u32::from(flags & frame_flags::HEARS != 0);
        frame.set_place(place);
        self.push_frame(frame)?;
        self.note_frame(flags);
        self.depth += 1;
        let runs = self.runs.len();
        let flow = begin(self).and_then(|flow| self.drive(flow));
        let result = match flow.or_else(|throw| self.recover(throw)) {
            Ok(Flow::Exit) => Ok(()),
            Ok(_) => self.execute(),
            Err(throw) => Err(throw),
        };
        self.depth -= 1;
        self.end_runs(runs);
        if self.stopping.take().is_some() {
            // For the host further out: what has called this one is stopped at its next safepoint.
            self.poll.fetch_or(poll::INTERRUPT, Ordering::Relaxed);
        }
        let frame = *self.frame();
        debug_assert!(frame.kind == FrameKind::Host, "{:?} {}", frame.kind, frame.flags);
        debug_assert!(self.top >= place, "{} {place}", self.top);
        self.pop_frame(&frame);
        result
    }
}
