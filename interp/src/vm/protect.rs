//! What happens to an error: `pcall`, `xpcall`, message handlers, and the way of an error down the frames.
//!
//! * **E1** An error ends at the innermost frame with the flag `CATCHES`: one that waits for a protected call, the finalizers', or the host's. First the
//!   variables that it leaves pending are closed, one by one, from that frame; then its continuation gets the error. An error of a closing method takes the
//!   place of the one before.
//! * **E2** If that frame has a message handler, the handler sees the error first, with the stack as it is.
//! * **E3** A stop (`stop`) ends at the frame of its run or at the host's, and closes nothing.
//! * **E4** Whatever takes a frame away without running it goes through [`Vm::abandon`].

use super::{Args, Flow, Throw, Vm, limits, step};
use crate::value::{Frame, FrameKind, Outcome, Value, frame_flags};
use neap_gc::heap::poll;
use std::sync::atomic::Ordering;

/// `pcall(f, ...)`: the function is called where it stands.
pub(crate) fn pcall(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    vm.check_any(args, 0)?;
    vm.catch_errors(args.base as usize, 0);
    vm.call_then(args.count() - 1, -1, end_protected)
}

/// `xpcall(f, handler, ...)`: handler and function change places.
pub(crate) fn xpcall(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let (f, handler) = (vm.arg(args, 0), vm.arg(args, 1));
    if args.count() < 2 || !handler.is_function() {
        return Err(vm.type_error_for(1, "function", handler, args.count() < 2));
    }
    vm.set_arg(args, 0, handler);
    vm.set_arg(args, 1, f);
    vm.catch_errors(args.base as usize + 1, frame_flags::HEARS);
    vm.call_then(args.count() - 2, -1, end_protected)
}

fn end_protected(vm: &mut Vm, _: Args, outcome: Outcome) -> Result<u32, Throw> {
    match outcome {
        Outcome::Returned(n) => vm.put_before(Value::TRUE, n as usize),
        Outcome::Failed(error) => {
            vm.push(error)?;
            vm.put_before(Value::FALSE, 1)
        }
    }
}

/// The message handler has made something of the error, which goes on its way.
fn end_handler(vm: &mut Vm, _: Args, _: Outcome) -> Result<u32, Throw> {
    vm.roots.error = vm.slot(vm.top - 1);
    vm.handled = true;
    Err(vm.rethrow())
}

impl Vm {
    /// An error is in flight: finds the frame that catches it, and goes on from there. Errors: those that nothing has caught above the host's innermost
    /// frame, which is innermost then.
    pub(super) fn recover(&mut self, throw: Throw) -> Result<Flow, Throw> {
        let mut throw = throw;
        loop {
            self.note_memory_stop();
            let flow = match self.begin_handler() {
                Ok(None) => self.unwind(),
                flow => flow,
            };
            let Some(flow) = flow.transpose() else { return Err(throw) };
            match flow.and_then(|flow| self.drive(flow)) {
                Ok(flow) => return Ok(flow),
                Err(again) => throw = again,
            }
        }
    }

    /// The frame that the error in flight ends at (E1, E3); `None`: it ends the coroutine.
    fn catcher(&self) -> Option<usize> {
        if let Some((_, run)) = self.stopping {
            return self.stopped_frame(run);
        }
        (0..self.frame_count).rev().find(|&i| self.frame_at(i).has(frame_flags::CATCHES))
    }

    /// Calls the message handler of the frame that the error ends at, if it has one, once (E2). An error in the handler calls the handler again, as in
    /// the reference, until they are nested too deep.
    fn begin_handler(&mut self) -> Result<Option<Flow>, Throw> {
        if self.handled || self.frame_count == 0 {
            return Ok(None);
        }
        let Some(catcher) = self.catcher().map(|i| *self.frame_at(i)).filter(|f| f.has(frame_flags::HEARS)) else {
            return Ok(None);
        };
        if self.handlers >= limits::HANDLERS {
            return Err(self.overflow_error(b"stack overflow"));
        }
        let error = self.take_error();
        self.top = self.live_end();
        self.handlers += 1;
        let pushed = self.push_helper(FrameKind::Handler, frame_flags::NO_YIELD | frame_flags::ASIDE, end_handler);
        if pushed.is_err() {
            self.end_handlers(1);
            return Err(self.rethrow());
        }
        let handler = self.slot(catcher.base as usize);
        self.push_call(handler, &[error])?;
        Ok(Some(Flow::Step(step::call(1, 1))))
    }

    /// The end of the slots that the innermost frame, in which an error was raised, may use.
    pub(super) fn live_end(&self) -> usize {
        let frame = self.frame();
        self.top.max(if frame.is_lua() { self.registers_end() } else { frame.base as usize })
    }

    fn end_handlers(&mut self, count: u32) {
        self.handlers -= count;
        if self.handlers == 0 {
            // The reserve is for the next one.
            self.soft_limit = self.soft_limit.min(limits::STACK_SLOTS);
        }
    }

    /// Takes the frames away that the error in flight ends. `None`: it is the host's, whose frame is innermost.
    fn unwind(&mut self) -> Result<Option<Flow>, Throw> {
        let Some(catcher) = self.catcher() else {
            // Frames and slots of a dead coroutine stay as they are, for tracebacks.
            for i in (0..self.frame_count).rev() {
                let f = *self.frame_at(i);
                self.abandon(&f);
            }
            return self.fail_coroutine().map(|step| Some(Flow::Step(step)));
        };
        while self.frame_count > catcher + 1 {
            let f = *self.frame();
            self.frame_count -= 1;
            self.abandon(&f);
        }
        self.lower_watermark();
        let place = self.frame().place();
        if let Some((stop, run)) = self.stopping {
            self.drop_pending(place + 1);
            let is_host = self.frame().kind == FrameKind::Host;
            // Else the host further out is to know.
            if !is_host || self.depth <= 1 {
                self.stopping = None;
                self.stopped = Some(stop);
            }
            if let Some(run) = run
                && !is_host
            {
                self.end_runs(run);
            }
        }
        let f = self.frame();
        if f.kind == FrameKind::Host && !self.has_pending(place + 1) {
            self.top = place;
            return Ok(None);
        }
        f.flags |= frame_flags::CLOSING;
        if f.kind == FrameKind::Helper {
            // It wants to know.
            f.varargs = 1;
        }
        let error = self.take_error();
        self.set_slot(place, error);
        self.close_more().map(Some)
    }

    /// The innermost frame has caught an error, which stands in its place: calls the method of the last variable that is pending above, or goes on with
    /// the error.
    pub(super) fn close_more(&mut self) -> Result<Flow, Throw> {
        let place = self.frame().place();
        if let Some(flow) = self.close_next_above(place)? {
            return Ok(flow);
        }
        self.top = place + 1;
        if std::mem::take(&mut self.out_of_memory) {
            // What the failed call held is garbage now: the frames above are gone, and the error stands in the stack.
            self.collect_heap(place + 1);
        } else if self.poll.load(Ordering::Relaxed) & poll::COLLECT != 0 {
            // A program may do nothing but fail.
            self.collect_some(place + 1)?;
        }
        let error = self.slot(place);
        let f = self.frame();
        if f.kind == FrameKind::Host {
            // Out of the interpreter, as it came.
            let throw = self.throw(error);
            self.handled = true;
            return Err(throw);
        }
        f.flags &= !frame_flags::CLOSING;
        self.go_on(Outcome::Failed(error))
    }

    /// A frame goes, and what it stood for (E4). It has been, or will be, taken off the frames.
    #[inline]
    pub(super) fn abandon(&mut self, f: &Frame) {
        if f.has(frame_flags::NO_YIELD) {
            self.thread.state().unyieldable -= 1;
        }
        if f.has(frame_flags::ASIDE) {
            self.thread.state().nested -= 1;
        }
        match f.kind {
            FrameKind::Handler => self.end_handlers(1),
            FrameKind::Finalizer => self.end_finalizers(f),
            FrameKind::Hook => self.set_busy(false, (0, 0)),
            _ => {}
        }
    }
}
