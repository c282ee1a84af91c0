//! The crate `gc`: a mark-sweep collector that stops the program, and finds its roots by counting them. It collects by itself, while it allocates.

#![allow(non_local_definitions, reason = "the crate derives its traits in a constant")]

use crate::meter::Meter;
use crate::owning::{nodes, workloads};
use crate::workloads::{Contender, GROUP, Graph, LIST_BATCH, Lists, STRONG, Sessions, Step, Sum, Trees, Workload};
use gc::{Finalize, Gc as Ptr, GcCell as Slot, Trace};

nodes! { #[derive(Trace, Finalize)] }

fn settle(_: u64, _: u64) {}
fn finish() {
    gc::force_collect();
}

pub struct RustGc;
impl Contender for RustGc {
    const WORKLOADS: &'static [Workload] = STRONG;
    workloads!();
}
