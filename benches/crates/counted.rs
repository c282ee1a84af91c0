//! The libraries that count references and look for cycles in what is left: dumpster, bacon_rajan_cc and gcmodule. Beside them `Rc` and `Weak` of the standard
//! library, for the weak cache alone, where there are no cycles.
//!
//! * **dumpster** collects by itself, when more pointers have been dropped than exist; its unsynchronised pointers are used, as it recommends for one thread.
//! * **bacon_rajan_cc** leaves the time to its user, and says that the number of buffered roots is what to go by, or a time of the program's liking. A collection may
//!   go over everything that the roots lead to; so one comes when as many objects as live have been allocated, and 10,000 at least, if any roots are buffered.
//! * **gcmodule** leaves the time to its user too. A collection goes over all objects that it tracks, so one comes when these are twice as many as the last one left, and
//!   10,000 more. (They are counted when so many may have been allocated, as it counts them by going over its list.)

use crate::meter::Meter;
use crate::owning::{nodes, trace_nodes, weak_cache, workloads};
use crate::workloads::{
    CACHE_BATCH, Cache, Contender, GROUP, Graph, LIST_BATCH, Lists, STRONG, Sessions, Step, Sum, Trees, Use, Workload,
};
use std::cell::RefCell as Slot;

/// What a cache holds: as large a value as the heaps' own.
pub struct Value {
    slot: usize,
    #[allow(dead_code)]
    more: usize,
}

/// Collections are at least so many allocations apart.
const APART: u64 = 10_000;

pub mod dumpster {
    use super::*;
    use ::dumpster::unsync::Gc as Ptr;
    use ::dumpster::{TraceWith, Visitor};

    nodes! {}

    /// What the library's derive macro writes, which can't be used on types that come out of another macro.
    macro_rules! accept {
        ($($node:ident: $($field:ident),*;)*) => {
            $(
                // SAFETY: all fields with pointers, in one order.
                unsafe impl<V: Visitor> TraceWith<V> for $node {
                    fn accept(&self, visitor: &mut V) -> Result<(), ()> {
                        $(self.$field.accept(visitor)?;)*
                        Ok(())
                    }
                }
            )*
        };
    }
    accept! {
        Tree: children;
        Child: parent, children;
        Cons: rest;
        Vertex: links;
        Session: parts, beside;
        User: session;
        Cart: owner, item;
        Item: cart;
    }

    fn settle(_: u64, _: u64) {}
    fn finish() {
        ::dumpster::unsync::collect();
    }

    pub struct Dumpster;
    impl Contender for Dumpster {
        const WORKLOADS: &'static [Workload] = STRONG;
        workloads!();
    }
}

pub mod bacon {
    use super::*;
    use bacon_rajan_cc::{Cc as Ptr, Trace, Tracer, Weak, collect_cycles, number_of_roots_buffered};
    use std::cell::Cell;

    nodes! {}
    trace_nodes!(Trace, Tracer<'_>, {});
    impl Trace for Value {
        fn trace(&self, _: &mut Tracer<'_>) {}
    }

    thread_local!(static ALLOCATED: Cell<u64> = const { Cell::new(0) });

    fn settle(allocated: u64, live: u64) {
        let all = ALLOCATED.get() + allocated;
        ALLOCATED.set(all);
        if all > APART.max(live) && number_of_roots_buffered() > 0 {
            ALLOCATED.set(0);
            collect_cycles();
        }
    }
    /// Twice: what is dropped by the first goes back in the second.
    fn finish() {
        collect_cycles();
        collect_cycles();
        ALLOCATED.set(0);
    }
    fn downgrade(value: &Ptr<Value>) -> Weak<Value> {
        value.downgrade()
    }

    pub struct Bacon;
    impl Contender for Bacon {
        workloads!();
        weak_cache!(Weak);
    }
}

pub mod gcmodule {
    use super::*;
    use ::gcmodule::{Cc as Ptr, Trace, Tracer, collect_thread_cycles, count_thread_tracked};
    use std::cell::Cell;

    nodes! {}
    trace_nodes!(Trace, Tracer<'_>, {
        fn is_type_tracked() -> bool {
            true
        }
    });

    thread_local! {
        static ALLOCATED: Cell<u64> = const { Cell::new(0) };
        /// What is to be allocated before the next look.
        static DUE: Cell<u64> = const { Cell::new(APART) };
        /// What the last collection left.
        static LEFT: Cell<u64> = const { Cell::new(0) };
    }

    fn settle(allocated: u64, _: u64) {
        let all = ALLOCATED.get() + allocated;
        ALLOCATED.set(all);
        if all < DUE.get() {
            return;
        }
        let most = 2 * LEFT.get() + APART;
        let mut tracked = count_thread_tracked() as u64;
        if tracked >= most {
            collect_thread_cycles();
            tracked = count_thread_tracked() as u64;
            LEFT.set(tracked);
        }
        ALLOCATED.set(0);
        DUE.set((2 * LEFT.get() + APART).saturating_sub(tracked).max(APART));
    }
    fn finish() {
        collect_thread_cycles();
        ALLOCATED.set(0);
        DUE.set(APART);
        LEFT.set(0);
    }

    pub struct GcModule;
    impl Contender for GcModule {
        const WORKLOADS: &'static [Workload] = STRONG;
        workloads!();
    }
}

pub mod rc {
    use super::*;
    use std::rc::{Rc as Ptr, Weak};

    fn settle(_: u64, _: u64) {}
    fn finish() {}
    fn downgrade(value: &Ptr<Value>) -> Weak<Value> {
        Ptr::downgrade(value)
    }

    pub struct RcWeak;
    impl Contender for RcWeak {
        const WORKLOADS: &'static [Workload] = &[Workload::Cache];
        weak_cache!(Weak);
    }
}
