//! To-be-closed variables: they are marked when they are declared, and closed by calls of `__close`, the last one marked first.
//!
//! * **C1** The slots of a thread's pending variables stand in its `tbc`, in ascending order. A variable leaves that list before its method
//!   is called, and so is closed once, whatever the method does.
//!
//! There are three ways, for what waits for a method differs. An instruction calls one method and is done again when that has returned
//! (`close_next`); a protected call that has caught an error is asked to go on (`close_next_with_error`, `Vm::continue_closing`). Neither
//! recurses in the host (M4), so the loop over the variables is the interpreter's own, and a method may yield. Hosts have nothing that could
//! be gone back to: they call the methods one by one (`close_variables`).

use super::{Event, Flow, Throw, Vm, limits};
use crate::value::{Gc, Thread, Value};

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
        match above {
            Some(at) => self.call_meta_at(at, close, &[value, Value::NIL], 0),
            None => self.call_meta(close, &[value, Value::NIL]),
        }
    }

    /// The same for a protected call, which keeps the error that it has caught in slot `place`, below the variables. `None`: none is left.
    pub(super) fn close_next_with_error(&mut self, place: usize) -> Result<Option<Flow>, Throw> {
        while let Some((slot, value)) = take_pending(self.thread, place + 1) {
            let error = self.slot(place);
            let close = self.metamethod(value, Event::Close);
            let at = slot + 1;
            if !close.as_native().is_some_and(|n| n.special.is_plain()) {
                return self.call_meta_at(at, close, &[value, error], 0).map(Some);
            }
            // A native function delivers before it returns, and would come back here from there (`finish_instruction`). To keep the
            // host's stack flat it is run as a host call instead.
            self.check_stack(at + 3 + limits::NATIVE_SLOTS)?;
            self.top = at;
            if self.call_values(close, &[value, error], 0).is_err() {
                let error = self.take_error();
                self.set_slot(place, error);
            }
        }
        Ok(None)
    }

    /// After a failed host call: closes the variables at or above a slot; an error in a closing method takes the place of the one before.
    pub(crate) fn close_pending(&mut self, from: usize, _throw: Throw) -> Result<(), Throw> {
        let error = self.take_error();
        let error = self.close_variables(self.thread, from, 0, Some(error));
        Err(self.throw(error.unwrap_or(Value::NIL)))
    }

    /// Closes the pending variables of a thread at or above a slot, innermost first. The methods are called from the running thread, at its
    /// top, with `flags` for their frames. The result is the error of the last method that failed; `error`, if none did. (An error may be nil.)
    pub(super) fn close_variables(
        &mut self,
        thread: Gc<Thread>,
        from: usize,
        flags: u16,
        mut error: Option<Value>,
    ) -> Option<Value> {
        let (running, top) = (self.thread, self.top);
        loop {
            // What a method that has failed leaves behind comes first: it stands on the running thread. No host recursion comes of that.
            let (value, free) = if let Some((slot, value)) = take_pending(running, top) {
                (value, slot + 1)
            } else if let Some((_, value)) = take_pending(thread, from) {
                (value, top)
            } else {
                break;
            };
            self.top = free;
            let close = self.metamethod(value, Event::Close);
            // Kept on the stack: the call is a safepoint.
            let place = self.top;
            let reason = error.unwrap_or(Value::NIL);
            let result = match self.push(reason) {
                Ok(()) => self.call_values_as(flags, close, &[value, reason], 0).map(drop),
                Err(throw) => Err(throw),
            };
            error = if result.is_err() { Some(self.take_error()) } else { error.map(|_| self.slot(place)) };
        }
        self.top = top;
        error
    }
}
