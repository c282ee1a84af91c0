//! The collector's lists, told to the auditor. Reads, and judges nothing.
//!
//! May import: `audit` (what an entry is), `memory`.

use super::barrier::{Subject, untag};
use super::{Phase, Queue};
use crate::audit::{Entry, Stage};
use crate::heap::Heap;
use crate::memory::Memory;
use crate::object::{Ref, Runtime, flags};

fn refs(queue: &Queue) -> impl Iterator<Item = Ref> + '_ {
    // SAFETY: the lists that this is used for hold addresses of cells, which are not looked at here.
    queue.iter().map(|word| unsafe { Ref::from_addr(word) })
}

impl<R: Runtime> Heap<R> {
    pub(crate) fn audit_memory(&self) -> &Memory {
        &self.store.memory
    }

    pub(crate) fn audit_stage(&self) -> Stage {
        Stage {
            cycle: self.col.phase >= Phase::Mark,
            roots_shaded: self.roots_shaded(),
            decided: self.col.decided(),
            releasing: self.col.phase == Phase::Release,
        }
    }

    pub(crate) fn audit_entries(&self, visit: &mut dyn FnMut(Entry<'_>)) {
        let col = &self.col;
        col.globals.iter().chain(&col.chain).for_each(|&r| visit(Entry::Root(r)));
        col.handles.iter().for_each(|r| visit(Entry::Handle(r)));
        refs(&col.dropped).chain(refs(&col.loaned)).for_each(|r| visit(Entry::Dropped(r)));
        for queue in [&col.fin_queue, &col.fin_wait, &col.resurrected] {
            refs(queue).for_each(|r| visit(Entry::Finalizer(r)));
        }
        refs(&col.release).chain(refs(&col.pending)).for_each(|r| visit(Entry::Decrement(r)));
        refs(&col.increments).for_each(|r| visit(Entry::Increment(r)));
        let members = [
            ("the adopted storages", &col.adopted),
            ("the waiting list", &col.waiting),
            ("the tombstones", &col.tombs),
            ("the weak holders", &col.holders),
            ("the objects that read as nil", &col.weak_dead),
            ("the finalizable objects", &col.finalizable),
        ];
        for (name, queue) in members {
            refs(queue).for_each(|r| visit(Entry::Member(name, r)));
        }
        if let Some((cell, slots)) = col.sweep.half_detached() {
            visit(Entry::Detaching { cell, slots });
        }
        for (i, cell) in refs(&col.partial).enumerate() {
            // SAFETY: C2.
            if unsafe { cell.header() }.has(flags::DYING) {
                visit(Entry::Dying { cell, released: if i == 0 { col.partial_slot } else { 0 } });
            }
        }
        self.report_log(visit);
        self.report_gray(&mut |cell, position| visit(Entry::Gray { cell, position }));
    }

    fn report_log(&self, visit: &mut dyn FnMut(Entry<'_>)) {
        let mut words = self.col.log.iter();
        let mut card = None;
        while let (Some(object), Some(tag)) = (words.next(), words.next()) {
            let (subject, len) = untag(tag);
            match subject {
                Subject::Object => card = None,
                Subject::Card(number) => card = Some(number),
                Subject::More => {}
            }
            // SAFETY: as in `refs`.
            let snapshot: Vec<Ref> = words.by_ref().take(len).map(|word| unsafe { Ref::from_addr(word) }).collect();
            // SAFETY: as in `refs`.
            visit(Entry::Log { object: unsafe { Ref::from_addr(object) }, card, snapshot: &snapshot });
        }
    }
}
