//! The end of an interpreter: what a program has asked to be done at its end is done, then the process goes and leaves its memory to the system.
//!
//! * **I1** Closing ends, however finalizers behave: what they create gets no finalizer, and nothing is collected any more.

use super::Vm;
use crate::value::frame_flags;

impl Vm {
    /// Closes the pending variables of the main thread, then calls every finalizer: those that the collector has queued, then the others, the last one set
    /// first. Errors are the error of the variables closed later, or warnings.
    pub fn close(&mut self) {
        // The methods are called at the present top, whatever runs there: the frames below stay as they are, since nothing returns into them.
        self.close_variables(self.roots.main, 0, frame_flags::UNHEARD, None);
        self.closing = true;
        self.heap.set_running(false);
        // Not between finalizers either: each is called from here, in order.
        self.in_finalizer = true;
        self.heap.queue_all_finalizers();
        while let Some(object) = self.heap.next_finalizer() {
            self.finalize(crate::value::value_of_cell(object));
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
