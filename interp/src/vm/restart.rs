//! A request for memory was refused: everything is collected, and what asked for it is done again, once.
//!
//! Where a request is refused nothing can be collected, for what is at hand stands in no root (M3). An instruction that has changed nothing yet, or a native
//! function without effects, can be begun anew: then all that it needs is in the stack.
//!
//! * **A1** `restartable` is set only where the innermost frame's instruction, the one before its `pc`, has just been refused memory
//!   (`refused`), and that error is in flight; every other error clears it, and so does whoever takes one.
//! * **A2** The same instruction is done again twice only if epochs have ended in between.
//! * **A3** A stop that is due is raised in the place of the error, because it ends collections.

use super::{Args, Throw, Vm};
use crate::value::{FrameKind, Gc, Native};

impl Vm {
    /// The loop has been left with an error. `true`: it may be entered again, at the instruction that failed.
    #[cold]
    pub(super) fn restart_instruction(&mut self) -> bool {
        if !std::mem::take(&mut self.restartable) || self.frame_count == 0 || !self.frame().is_lua() {
            return false;
        }
        if self.is_stopped() {
            self.stop_instead();
            return false;
        }
        let frame = self.frame();
        // SAFETY: A1, X2: `pc` stands behind the first word of the instruction.
        let pc = unsafe { frame.pc.sub(1) };
        let registers = frame.base as usize + frame.closure().proto.max_stack as usize;
        if self.restarted == (pc, self.heap.counters().epochs) {
            return false;
        }
        self.frame().pc = pc;
        // Operands whose number the instruction before has left open may stand above the registers.
        let top = self.top.max(registers);
        self.collect_refused(top);
        self.restarted = (pc, self.heap.counters().epochs);
        true
    }

    /// A native function whose frame is innermost has failed, before its first step: it is called a second time if memory has been refused.
    #[cold]
    #[inline(never)]
    pub(super) fn run_again(&mut self, native: Gc<Native>, args: Args, throw: Throw) -> Result<u32, Throw> {
        if !self.is_memory_error() {
            return Err(throw);
        }
        // A frame that it has already added to wait for a call goes.
        while self.frame().kind != FrameKind::Native {
            let f = *self.frame();
            self.pop_frame(&f);
        }
        self.top = args.end();
        self.collect_refused(self.top);
        match (native.function)(self, args) {
            // The collection has been given up.
            Err(_) if self.is_memory_error() && self.is_stopped() => Err(self.stop_instead()),
            result => result,
        }
    }

    /// What was refused is not asked for again: the program is to stop, and has collected nothing because of that.
    fn stop_instead(&mut self) -> Throw {
        self.take_error();
        self.out_of_memory = false;
        self.stop_error()
    }

    /// Whether the error in flight says that memory was refused.
    pub(super) fn is_memory_error(&self) -> bool {
        self.out_of_memory && self.roots.error.as_ref() == self.roots.memory_message.as_ref()
    }

    /// What was refused has been given up, the rest stands below `live_top`.
    fn collect_refused(&mut self, live_top: usize) {
        self.take_error();
        self.out_of_memory = false;
        self.collect_heap(live_top);
    }
}
