//! The end of an interpreter: what a program has asked to be done at its end is done, then the process goes and leaves its memory to the system.
//!
//! * **I1** Closing ends, however finalizers behave: what they create gets no finalizer, and nothing is collected any more.

use super::Vm;

impl Vm {
    /// Closes the pending variables of the main thread, then calls every finalizer: those that the collector has queued, then the others, the last one set
    /// first. Errors are the error of the variables closed later, or warnings.
    pub fn close(&mut self) {
        self.close_main();
        self.closing = true;
        self.heap.set_running(false);
        self.heap.queue_all_finalizers();
        self.in_finalizer = false;
        while self.heap.finalizers_waiting() > 0 {
            self.run_finalizers(usize::MAX);
        }
    }

    /// Whether what is wrong with explicit memory at the end makes the process fail.
    pub fn leaks_are_errors(&mut self, yes: bool) {
        crate::stdlib::mem::leaks_are_errors(self, yes);
    }

    /// Ends the process. Nothing is freed: the system takes the pages back.
    pub fn exit(&mut self, status: i32) -> ! {
        self.lib.files.flush_all();
        let status = crate::stdlib::mem::report_leaks(self, status);
        let status = match self.at_exit.take() {
            Some(at_exit) => at_exit(self, status),
            None => status,
        };
        std::process::exit(status)
    }
}
