//! The object graph, for whoever wants to see it whole: snapshots, reports, debuggers.
//!
//! Imports `collect` (what it reports to the auditor as well), `object`.

use crate::collect::Collector;
use crate::collect::view::Entry;
use crate::object::{Ref, Runtime, Shape, Side, Verdict};
use crate::observe::each_cell;

/// What keeps a cell alive from outside of the graph.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Root {
    /// A root slot of the runtime, or a thread of the running chain, as the last epoch end found them.
    Listed,
    Handle,
    /// It waits for its finalizer.
    Finalizer,
}

/// Where in a cell a reference stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Edge {
    /// The n-th strong reference of a cell that has no slots.
    Field(usize),
    /// A strong reference in a slot of an indexed cell.
    Slot(usize),
    /// A slot of a thread's stack.
    Stack(usize),
    /// The value of a weak-keyed entry, which lives while its key does.
    Entry(usize),
    /// A weak reference in a slot (0 in a cell without slots).
    Weak(usize, Side),
}

/// Is shown the graph.
pub trait GraphVisitor {
    fn root(&mut self, root: Root, to: Ref);
    /// A cell that has survived an epoch end: the number of its kind, its bytes. Its edges follow.
    fn cell(&mut self, cell: Ref, kind: u8, bytes: usize);
    fn edge(&mut self, from: Ref, edge: Edge, to: Ref);
}

/// Shows all roots, then all cells with their edges, at a safepoint.
pub(crate) fn visit_graph<R: Runtime>(collector: &Collector<R>, visitor: &mut dyn GraphVisitor) {
    collector.report(&mut |entry| match entry {
        Entry::Root(r) => visitor.root(Root::Listed, r),
        Entry::Handle(r) => visitor.root(Root::Handle, r),
        Entry::Finalizer(r) => visitor.root(Root::Finalizer, r),
        _ => {}
    });
    each_cell(collector, &mut |cell, bytes| {
        // SAFETY: a live cell, and at a safepoint all of it is as the runtime says.
        unsafe {
            visitor.cell(cell, cell.kind(), bytes);
            visit_edges(collector, cell, &mut |edge, to| visitor.edge(cell, edge, to));
        }
    });
}

/// Shows the edges of one cell.
///
/// # Safety
/// A live or young cell, at a safepoint.
pub(crate) unsafe fn visit_edges<R: Runtime>(collector: &Collector<R>, cell: Ref, visit: &mut dyn FnMut(Edge, Ref)) {
    let (rt, kinds) = (&collector.rt, &collector.cx.kinds);
    // SAFETY: by the caller.
    unsafe {
        let shape = kinds.shape(cell.kind());
        let slots = if shape.is_indexed() { rt.slots(cell) } else { 0 };
        match shape {
            Shape::Leaf => {}
            Shape::Plain | Shape::Thread => {
                let mut field = 0;
                rt.trace(cell, &mut |to| {
                    visit(Edge::Field(field), to);
                    field += 1;
                });
            }
            Shape::Array => (0..slots).for_each(|slot| {
                rt.trace_slots(cell, slot..slot + 1, &mut |to| visit(Edge::Slot(slot), to));
            }),
            Shape::Ephemeron => (0..slots).for_each(|slot| {
                rt.trace_slots(cell, slot..slot + 1, &mut |to| visit(Edge::Entry(slot), to));
            }),
        }
        if shape == Shape::Thread {
            let (mut slot, top) = (0, rt.stack(cell).as_ref().top);
            rt.trace_stack(cell, 0..top, &mut |to| {
                to.into_iter().for_each(|to| visit(Edge::Stack(slot), to));
                slot += 1;
            });
        }
        if kinds.is_weak(cell.kind()) {
            for slot in 0..slots.max(usize::from(!shape.is_indexed())) {
                let mut show = |to: Ref, side: Side| {
                    visit(Edge::Weak(slot, side), to);
                    Verdict::Keep
                };
                rt.clean(cell, slot..slot + 1, &mut show, &mut |_| {});
            }
        }
    }
}
