//! Who keeps a record of the program's stops, beside the observer of the heap: he is told at which line the program stood, and what the program itself has to say.
//!
//! Nothing is paid while nobody does.

use super::Vm;
use crate::value::{Gc, LuaRuntime, ProtoCell};
use neap_gc::Heap;
use std::sync::atomic::Ordering;

/// The bit of the poll word by which a report is asked for.
pub(crate) const REPORT: u32 = 1 << 10;

/// Keeps the record.
pub(crate) trait Chronicle {
    /// How many stops there are so far.
    fn stops(&self) -> usize;
    /// From `first` on they were at this line of this source (a chunk's name, as it was given to `load`).
    fn place(&mut self, first: usize, source: &[u8], line: u32);
    /// The program has marked the moment.
    fn mark(&mut self, name: &[u8]);
    /// What is recorded begins here.
    fn reset(&mut self, heap: &Heap<LuaRuntime>);
    /// A report has been asked for.
    fn report(&mut self, vm: &mut Vm);
}

impl Vm {
    /// Does work of the collector, at the line where the program stands.
    #[cold]
    pub(super) fn chronicled<T>(&mut self, work: impl FnOnce(&mut Vm) -> T) -> T {
        let stops = |vm: &Vm| vm.chronicle.as_ref().map_or(0, |chronicle| chronicle.stops());
        let first = stops(self);
        let result = work(self);
        if stops(self) > first
            && let Some((proto, line)) = self.stopped_at()
            && let Some(chronicle) = &mut self.chronicle
        {
            chronicle.place(first, proto.source.bytes(), line);
        }
        result
    }

    /// The innermost Lua function, and its line.
    fn stopped_at(&self) -> Option<(Gc<ProtoCell>, u32)> {
        let f = self.frame();
        if f.is_lua() {
            let proto = f.closure().proto;
            // At a safepoint `pc` stands at the instruction that comes next.
            let next = proto.pc_index(f.pc);
            let line = proto.line_at(if self.stops_at_next { next } else { next.saturating_sub(1) });
            return (line > 0).then_some((proto, line));
        }
        let mut levels = (0..).map_while(|level| self.activation(self.thread, level));
        levels.find_map(|at| self.instruction_at(at)).map(|(proto, pc)| (proto, proto.line_at(pc))).filter(|(_, line)| *line > 0)
    }

    /// The bit [`REPORT`] is set.
    #[cold]
    pub(super) fn report_chronicle(&mut self) {
        self.poll.fetch_and(!REPORT, Ordering::Relaxed);
        if let Some(mut chronicle) = self.chronicle.take() {
            chronicle.report(self);
            self.chronicle = Some(chronicle);
        }
    }
}
