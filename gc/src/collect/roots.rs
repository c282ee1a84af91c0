//! The roots: what the runtime shows of its own at every epoch end, and the list that the last one counted.
//!
//! Lists are compared by position: equal entries cost a look and nothing else (R10). Roots in numbers belong into handles, which cost only where they change.
//!
//! May import: `object`, and of the collector `context`.

use super::Sabotage;
use super::context::Context;
use crate::object::Ref;

/// Where the collector asks for the roots, at an epoch end.
///
/// # Safety
/// What is visited are live or young cells of the heap, those of the chain threads; `current_base` is right.
pub unsafe trait RootSource {
    /// A few root slots, in a fixed order, empty ones too: each is looked at in every epoch end, and compared by position. Roots that are many, or
    /// come and go, belong into handles ([`crate::Heap::handle`]).
    fn slots(&self, visit: &mut dyn FnMut(Option<Ref>));
    /// The running chain of threads: main thread first, current one last (R11). Empty for a runtime without threads.
    fn chain(&self, _visit: &mut dyn FnMut(Ref)) {}
    /// The slot where the running frame of the current thread begins (R7): what stands below is not written before the frame returns or the
    /// runtime lowers the stack's `low`. 0, which is always right, means that each epoch end scans the current stack from its bottom.
    fn current_base(&self) -> usize {
        0
    }
}

pub(crate) struct Roots {
    slots: Vec<Option<Ref>>,
    chain: Vec<Option<Ref>>,
    /// What has been asked for and is not counted yet.
    new_slots: Vec<Option<Ref>>,
    new_chain: Vec<Option<Ref>>,
    base: usize,
}

impl Roots {
    pub const fn new() -> Roots {
        Roots { slots: Vec::new(), chain: Vec::new(), new_slots: Vec::new(), new_chain: Vec::new(), base: 0 }
    }

    /// Asks what the roots are now. Nothing else changes: a source that panics leaves the heap as it was.
    pub fn ask(&mut self, source: &dyn RootSource) {
        self.new_slots.clear();
        self.new_chain.clear();
        source.slots(&mut |r| self.new_slots.push(r));
        source.chain(&mut |r| self.new_chain.push(Some(r)));
        self.base = source.current_base();
    }

    /// Counts what is new since the last epoch end, and queues what is gone.
    pub fn count(&mut self, cx: &mut Context) {
        compare(cx, &self.slots, &self.new_slots);
        std::mem::swap(&mut self.slots, &mut self.new_slots);
        compare(cx, &self.chain, &self.new_chain);
        std::mem::swap(&mut self.chain, &mut self.new_chain);
    }

    /// The current thread, and where its running frame begins.
    pub fn current(&self) -> Option<(Ref, usize)> {
        self.chain.last().copied().flatten().map(|thread| (thread, self.base))
    }

    pub fn listed(&self) -> impl Iterator<Item = Ref> + '_ {
        self.slots.iter().chain(&self.chain).flatten().copied()
    }
}

/// R10.
fn compare(cx: &mut Context, old: &[Option<Ref>], new: &[Option<Ref>]) {
    let len = old.len().max(new.len());
    cx.units += len;
    for i in 0..len {
        match (old.get(i).copied().flatten(), new.get(i).copied().flatten()) {
            (Some(a), Some(b)) if a == b && !cx.without(Sabotage::Cancelling) => cx.keep_counted(a),
            (a, b) => {
                if let Some(b) = b {
                    cx.increment(b);
                }
                if let Some(a) = a {
                    cx.queue_decrement(a);
                }
            }
        }
    }
}
