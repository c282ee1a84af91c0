//! Finalizers: the methods `__gc` of what the collector has found dead.
//!
//! They are called by a frame of their own, one after the other, between two instructions of a Lua function or while a native function waits
//! for them. An error of one is a warning, and the next one's turn.
//!
//! * **F1** While finalizers run no others are begun: `in_finalizer` is set as long as there is a frame of that kind, in whatever thread.
//! * **F2** Finalizers have no hooks: the thread's hook is busy while they run.

use super::{Args, Event, Flow, Throw, Vm, step};
use crate::value::{Continuation, Frame, FrameKind, Outcome, Value, frame_flags};

impl Vm {
    /// Begins to call up to `count` finalizers that the collector has queued, above the live slots of the innermost frame; and frees explicit blocks whose
    /// handles have died. `false`: there are none to be called now.
    pub(super) fn begin_finalizers(&mut self, live_top: usize, count: usize) -> Result<bool, Throw> {
        crate::stdlib::mem::settle(self);
        if self.in_finalizer || count == 0 || self.heap.finalizers_waiting() == 0 {
            return Ok(false);
        }
        let top = std::mem::replace(&mut self.top, live_top);
        let begun = self.push_helper(FrameKind::Finalizer, frame_flags::NO_YIELD, call_finalizer);
        if let Err(throw) = begun {
            self.top = top;
            return Err(throw);
        }
        // For `leave`, which gives it back.
        self.set_slot(live_top, Value::int(top as i64));
        let hook_was_busy = self.set_hook_busy(true);
        let frame = self.frame();
        frame.varargs = u32::try_from(count).unwrap_or(u32::MAX);
        frame.wanted = hook_was_busy as i16;
        self.in_finalizer = true;
        Ok(true)
    }

    /// The frame of the finalizers goes.
    pub(super) fn end_finalizers(&mut self, f: &Frame) {
        self.in_finalizer = false;
        self.set_hook_busy(f.wanted != 0);
    }

    /// Calls up to `count` finalizers for the native function whose frame is innermost; then `then` goes on.
    pub(crate) fn finalizers_then(&mut self, count: usize, then: Continuation) -> Result<u32, Throw> {
        self.frame().set_then(Some(then));
        let begun = self.begin_finalizers(self.top, count)?;
        if begun { Ok(step::CONTINUE) } else { then(self, self.args(), Outcome::Returned(0)) }
    }

    /// Calls up to `count` finalizers that wait, for the host.
    pub(super) fn run_finalizers(&mut self, count: usize) {
        let result = self.as_host(0, |vm| {
            let begun = vm.begin_finalizers(vm.top, count)?;
            Ok(if begun { Flow::Step(step::CONTINUE) } else { Flow::Exit })
        });
        if result.is_err() {
            self.take_error();
        }
    }

    fn warn_of_error(&mut self, error: Value) {
        let text = error.as_str().map_or(&b"error object is not a string"[..], |s| s.bytes());
        self.warn(&[b"error in __gc (", text, b")"]);
    }
}

/// The next finalizer's turn. The number of those that may still be called is the frame's number of arguments.
fn call_finalizer(vm: &mut Vm, args: Args, outcome: Outcome) -> Result<u32, Throw> {
    if let Outcome::Failed(error) = outcome {
        vm.warn_of_error(error);
    }
    vm.top = args.base as usize;
    while vm.frame().varargs > 0
        && let Some(object) = vm.heap.next_finalizer()
    {
        vm.frame().varargs -= 1;
        let object = crate::value::value_of_cell(object);
        let finalizer = vm.metamethod(object, Event::Gc);
        if finalizer.is_function() {
            vm.catch_errors(args.base as usize, 0);
            return vm.call_value_then(finalizer, &[object], 0, call_finalizer);
        }
    }
    Ok(0)
}
