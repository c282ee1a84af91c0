//! The end of an interpreter: what a program has asked to be done at its end is done, then the process goes and leaves its memory to the system.
//!
//! * **I1** Closing ends, however finalizers behave: what they create gets no finalizer, and nothing is collected any more.

use super::{Event, Vm};
use crate::value::Value;

impl Vm {
    /// Closes the pending variables of the main thread, innermost first, then calls every finalizer, the last one set first. Errors become the error
    /// of the variables closed later, or warnings.
    pub fn close(&mut self) {
        self.close_main_thread();
        self.closing = true;
        self.heap.set_running(false);
        // Not between finalizers either: each is called from here, in order.
        self.in_finalizer = true;
        self.heap.queue_all_finalizers();
        while let Some(object) = self.heap.next_finalizer() {
            self.finalize(crate::value::value_of_cell(object));
        }
    }

    /// The methods are called at the present top, whatever runs there: the frames below stay as they are, since nothing returns into them.
    fn close_main_thread(&mut self) {
        let state = self.roots.main.state();
        let mut error = Value::NIL;
        while let Some(slot) = state.tbc.pop() {
            // SAFETY: slots below the capacity are always initialised.
            let value = unsafe { *state.stack.slots.add(slot as usize) }.unboxed();
            let method = self.metamethod(value, Event::Close);
            // Kept alive: the call is a safepoint.
            self.roots.pinned.push(error);
            let result = self.call_protected(method, &[value, error]);
            error = self.roots.pinned.pop().unwrap_or(Value::NIL);
            if result.is_err() {
                error = self.take_error();
            }
        }
    }

    /// Ends the process. Nothing is freed: the system takes the pages back.
    pub fn exit(&mut self, status: i32) -> ! {
        self.lib.files.flush_all();
        crate::stdlib::mem::report_leaks(self);
        if let Some(report) = self.at_exit.take() {
            report(self);
        }
        std::process::exit(status)
    }
}
