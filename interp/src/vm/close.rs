//! To-be-closed variables: they are marked when they are declared, and closed by calls of `__close`, the last one marked first.
//!
//! * **C1** The slots of a thread's pending variables stand in its `tbc`, in ascending order. A variable leaves that list before its method
//!   is called, and so is closed once, whatever the method does.
//!
//! Methods are called one at a time: an instruction is done again when one has returned (`close_next`), a frame that has caught an error goes on
//! (`Vm::close_more`). So the loop over the variables is the interpreter's own, and a method may yield.

use super::{Args, Event, Flow, Throw, Vm, step};
use crate::value::{FrameKind, Gc, Outcome, Thread, Value};

/// Takes the last pending variable of a thread, if it is at or above a slot: where it stands, and its value.
fn take_pending(thread: Gc<Thread>, from: usize) -> Option<(usize, Value)> {
    let state = thread.state();
    let slot = state.tbc.last().map(|slot| slot as usize).filter(|&slot| slot >= from)?;
    state.tbc.pop();
    // SAFETY: pending slots are slots of the thread's stack (C1).
    Some((slot, unsafe { *state.slots.add(slot) }.unboxed()))
}

impl Vm {
    /// Whether a to-be-closed variable is pending at or above a slot.
    #[inline]
    pub(super) fn has_pending(&self, from: usize) -> bool {
        self.thread.state().tbc.last().is_some_and(|s| s as usize >= from)
    }

    /// Forgets the pending variables at or above a slot.
    pub(super) fn drop_pending(&mut self, from: usize) {
        while take_pending(self.thread, from).is_some() {}
    }

    /// Marks a variable as to be closed.
    pub(super) fn mark_tbc(&mut self, slot: usize) -> Result<(), Throw> {
        let value = self.slot(slot).unboxed();
        if value.is_falsy() {
            return Ok(());
        }
        if self.metamethod(value, Event::Close).is_nil() {
            return Err(self.unclosable_error(slot));
        }
        if self.thread.state().tbc.push(&mut self.heap, slot as u32).is_err() {
            return Err(self.memory_error());
        }
        Ok(())
    }

    /// Calls the closing method of the last pending variable, for `Close` or `Return`, which are done again afterwards. `above`: the end of
    /// values in flight.
    pub(super) fn close_next(&mut self, above: Option<usize>) -> Result<Flow, Throw> {
        let (_, value) = take_pending(self.thread, 0).expect("a pending variable");
        let close = self.metamethod(value, Event::Close);
        let at = above.unwrap_or_else(|| self.registers_end());
        self.call_meta_at(at, close, &[value, Value::NIL])
    }

    /// The same for a frame that keeps the error that it has caught in slot `place`, below the variables. `None`: none is left.
    pub(super) fn close_next_above(&mut self, place: usize) -> Result<Option<Flow>, Throw> {
        let Some((slot, value)) = take_pending(self.thread, place + 1) else { return Ok(None) };
        let close = self.metamethod(value, Event::Close);
        self.top = slot + 1;
        self.push_call(close, &[value, self.slot(place)])?;
        Ok(Some(Flow::Step(step::call(2, 0))))
    }

    /// Closes the pending variables of the main thread, whatever runs there, for the end of the interpreter. Each method is called at the present top:
    /// the frames below stay as they are, since nothing returns into them. An error is the error of the variables closed later.
    pub(super) fn close_main(&mut self) {
        let result = self.as_host(0, |vm| {
            vm.push_helper(FrameKind::Helper, 0, close_next_of_main)?;
            vm.push(Value::NIL)?;
            Ok(Flow::Step(step::CONTINUE))
        });
        if result.is_err() {
            self.take_error();
        }
    }
}

/// The error so far stands in the place of the first argument.
fn close_next_of_main(vm: &mut Vm, args: Args, outcome: Outcome) -> Result<u32, Throw> {
    let place = args.base as usize;
    if let Outcome::Failed(error) = outcome {
        vm.set_slot(place, error);
    }
    let Some((_, value)) = take_pending(vm.roots.main, 0) else { return Ok(0) };
    let close = vm.metamethod(value, Event::Close);
    vm.top = place + 1;
    vm.push_call(close, &[value, vm.slot(place)])?;
    vm.catch_errors(place + 1, 0);
    vm.call_then(2, 0, close_next_of_main)
}
