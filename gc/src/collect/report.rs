//! The collector's lists, told to the auditor. Reads, and judges nothing.
//!
//! May import: `memory`, `object`, and the parts.

use super::Phase;
use super::collector::Collector;
use super::queue::Queue;
use super::view::{Entry, Stage};
use crate::memory::Memory;
use crate::object::{Ref, Runtime, flags};

fn refs(queue: &Queue) -> impl Iterator<Item = Ref> + '_ {
    // SAFETY: the lists that this is used for hold addresses of cells, which are not looked at here.
    queue.iter().map(|word| unsafe { Ref::from_addr(word) })
}

impl<R: Runtime> Collector<R> {
    pub(crate) fn memory(&self) -> &Memory {
        &self.cx.store.memory
    }

    pub(crate) fn stage(&self) -> Stage {
        Stage {
            cycle: self.cx.phase() >= Phase::Mark,
            roots_shaded: self.marking.roots_are_shaded(),
            decided: self.cx.decided(),
            releasing: self.cx.phase() == Phase::Release,
        }
    }

    pub(crate) fn report(&self, visit: &mut dyn FnMut(Entry<'_>)) {
        let cx = &self.cx;
        self.roots.listed().for_each(|r| visit(Entry::Root(r)));
        self.handles.iter().for_each(|r| visit(Entry::Handle(r)));
        refs(self.handles.report()).chain(refs(self.finalizers.loans())).for_each(|r| visit(Entry::Dropped(r)));
        let (queues, [rearmed], finalizable) = self.finalizers.report();
        for queue in queues.into_iter().chain([rearmed]) {
            refs(queue).for_each(|r| visit(Entry::Finalizer(r)));
        }
        let (pending, partial_slot) = self.release.report();
        refs(&cx.decrements).chain(refs(pending)).for_each(|r| visit(Entry::Decrement(r)));
        refs(self.adoptions.report()).for_each(|r| visit(Entry::Increment(r)));
        let [undecided, decided, loads] = self.release.waiting.report();
        let members = [
            ("the waiting list", undecided),
            ("the objects that waited", decided),
            ("the weak loads", loads),
            ("the finalizable objects", finalizable),
        ];
        for (name, queue) in members.into_iter().chain(self.weak.report()) {
            refs(queue).for_each(|r| visit(Entry::Member(name, r)));
        }
        if let Some((cell, slots)) = self.sweep.half_detached() {
            visit(Entry::Detaching { cell, slots });
        }
        for (i, cell) in refs(&cx.partial).enumerate() {
            // SAFETY: cells in `partial` are live.
            if unsafe { cell.header() }.has(flags::DYING) {
                visit(Entry::Dying { cell, released: if i == 0 { partial_slot } else { 0 } });
            }
        }
        self.log.report(visit);
        cx.gray.report(&cx.store, &mut |cell, position| visit(Entry::Gray { cell, position }));
        cx.ephemerons.report(&mut |key, value| visit(Entry::Waits { key, value }));
    }
}
