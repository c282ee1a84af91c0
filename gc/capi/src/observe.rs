//! Figures, the walk over objects, the graph, the audit.
//!
//! Imports `error`, `gate`, `heap`, `sized`, `words`.

use crate::error::{Error, answer};
use crate::heap::{NeapHeap, enter, enter_at_safepoint};
use crate::sized::{self, Crossing};
use crate::words::address;
use neap_gc::observe::{Cause, Edge, GraphVisitor, Root};
use neap_gc::{Ref, Side};
use std::ffi::{CStr, c_char, c_void};
use std::ptr::null;
use std::rc::Rc;

/// `neap_stats`.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct Stats {
    pub struct_size: usize,
    pub used_bytes: usize,
    pub mapped_bytes: usize,
    pub peak_bytes: usize,
    pub idle_bytes: usize,
    pub limit_bytes: usize,
    pub explicit_bytes: usize,
    pub allocated_objects: u64,
    pub allocated_bytes: u64,
    pub young_objects: u64,
    pub young_bytes: u64,
    pub counted_objects: u64,
    pub counted_bytes: u64,
    pub cyclic_objects: u64,
    pub cyclic_bytes: u64,
    pub epochs: u64,
    pub cycles: u64,
    pub finalizers: u64,
    pub destructors: u64,
    pub stops: u64,
    pub urgent_stops: u64,
    pub most_units: u64,
}

/// `neap_pauses`.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct PauseSummary {
    pub struct_size: usize,
    pub count: u64,
    pub p50_ns: u64,
    pub p99_ns: u64,
    pub p999_ns: u64,
    pub max_ns: u64,
    pub total_ns: u64,
}

/// `neap_audit_report`.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct Report {
    pub struct_size: usize,
    pub objects: usize,
    pub bytes: usize,
    pub corpses: usize,
    pub references: u64,
    pub decrements: u64,
}

// SAFETY: these begin with their sizes, and zeros are right everywhere.
unsafe impl Crossing for Stats {}
// SAFETY: as above.
unsafe impl Crossing for PauseSummary {}
// SAFETY: as above.
unsafe impl Crossing for Report {}

/// `neap_get_stats`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn neap_get_stats(heap: *mut NeapHeap, stats: *mut Stats) -> Error {
    // SAFETY: F1, F3.
    unsafe {
        answer(enter(heap).and_then(|(_, parts)| {
            let (heap, counters) = (&parts.heap, parts.heap.counters());
            let now = Stats {
                struct_size: 0,
                used_bytes: heap.used_bytes(),
                mapped_bytes: heap.mapped_bytes(),
                peak_bytes: heap.peak_bytes(),
                idle_bytes: heap.idle_bytes(),
                limit_bytes: heap.limit_bytes(),
                explicit_bytes: heap.explicit_bytes(),
                allocated_objects: counters.allocated_objects,
                allocated_bytes: counters.allocated_bytes,
                young_objects: counters.young_objects,
                young_bytes: counters.young_bytes,
                counted_objects: counters.counted_objects,
                counted_bytes: counters.counted_bytes,
                cyclic_objects: counters.cyclic_objects,
                cyclic_bytes: counters.cyclic_bytes,
                epochs: counters.epochs,
                cycles: counters.cycles,
                finalizers: counters.finalizers,
                destructors: counters.destructors,
                stops: counters.stops,
                urgent_stops: counters.urgent,
                most_units: counters.most_units,
            };
            sized::write(stats, &now)
        }))
    }
}

/// `neap_get_pauses`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn neap_get_pauses(heap: *mut NeapHeap, cause: u32, pauses: *mut PauseSummary) -> Error {
    // SAFETY: F1, F3.
    unsafe {
        answer(enter(heap).and_then(|(_, parts)| {
            let cause = *Cause::ALL.get(cause as usize).ok_or(Error::Invalid)?;
            let summary = parts.heap.pauses().summary(cause);
            let now = PauseSummary {
                struct_size: 0,
                count: summary.count,
                p50_ns: summary.p50_ns,
                p99_ns: summary.p99_ns,
                p999_ns: summary.p999_ns,
                max_ns: summary.max_ns,
                total_ns: summary.total_ns,
            };
            sized::write(pauses, &now)
        }))
    }
}

/// The names of the causes as C has them.
pub const fn cause_name(cause: Cause) -> &'static CStr {
    match cause {
        Cause::EpochEnd => c"epoch end",
        Cause::Release => c"release",
        Cause::Mark => c"mark",
        Cause::Sweep => c"sweep",
        Cause::Clean => c"clean",
        Cause::Finalize => c"finalize",
        Cause::Whole => c"whole",
        Cause::Relief => c"relief",
        Cause::Stop => c"stop",
    }
}

/// `neap_cause_name`.
#[unsafe(no_mangle)]
pub extern "C" fn neap_cause_name(cause: u32) -> *const c_char {
    Cause::ALL.get(cause as usize).map_or(null(), |cause| cause_name(*cause).as_ptr())
}

// ---- objects

/// `neap_object_fn`.
pub type ObjectFn = unsafe extern "C" fn(*mut c_void, u8, usize, *mut c_void);

/// `neap_each_object`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn neap_each_object(heap: *mut NeapHeap, visit: Option<ObjectFn>, data: *mut c_void) -> Error {
    // SAFETY: F1; the program's function, with the gate closed.
    unsafe {
        answer(enter(heap).and_then(|(this, parts)| {
            let visit = visit.ok_or(Error::Invalid)?;
            this.gate.closed(|| {
                parts.heap.each_cell(&mut |cell, bytes| visit(address(cell), cell.kind(), bytes, data));
            });
            Ok(())
        }))
    }
}

/// `neap_graph_visitor`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Graph {
    pub struct_size: usize,
    pub root: Option<unsafe extern "C" fn(u32, *mut c_void, *mut c_void)>,
    pub object: Option<ObjectFn>,
    pub edge: Option<unsafe extern "C" fn(*mut c_void, u32, usize, *mut c_void, *mut c_void)>,
    pub data: *mut c_void,
}

// SAFETY: it begins with its size; null and no function are right everywhere.
unsafe impl Crossing for Graph {}

/// `neap_root`.
pub const ROOT_LISTED: u32 = 0;
pub const ROOT_HANDLE: u32 = 1;
pub const ROOT_FINALIZER: u32 = 2;
/// `neap_edge`.
pub const EDGE_FIELD: u32 = 0;
pub const EDGE_SLOT: u32 = 1;
pub const EDGE_LOCAL: u32 = 2;
pub const EDGE_VALUE: u32 = 3;
pub const EDGE_KEY: u32 = 4;
pub const EDGE_WEAK: u32 = 5;

impl GraphVisitor for Graph {
    fn root(&mut self, root: Root, to: Ref) {
        let root = match root {
            Root::Handle => ROOT_HANDLE,
            Root::Finalizer => ROOT_FINALIZER,
            _ => ROOT_LISTED,
        };
        if let Some(visit) = self.root {
            // SAFETY: the program's functions, here and below, with the gate closed.
            unsafe { visit(root, address(to), self.data) };
        }
    }
    fn cell(&mut self, cell: Ref, kind: u8, bytes: usize) {
        if let Some(visit) = self.object {
            // SAFETY: as above.
            unsafe { visit(address(cell), kind, bytes, self.data) };
        }
    }
    fn edge(&mut self, from: Ref, edge: Edge, to: Ref) {
        let (edge, index) = match edge {
            Edge::Slot(slot) => (EDGE_SLOT, slot),
            Edge::Stack(local) => (EDGE_LOCAL, local),
            Edge::Entry(entry) => (EDGE_VALUE, entry),
            Edge::Weak(entry, Side::Key) => (EDGE_KEY, entry),
            Edge::Weak(slot, Side::Value) => (EDGE_WEAK, slot),
            Edge::Field(field) => (EDGE_FIELD, field),
            _ => return,
        };
        if let Some(visit) = self.edge {
            // SAFETY: as above.
            unsafe { visit(address(from), edge, index, address(to), self.data) };
        }
    }
}

/// `neap_visit_graph`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn neap_visit_graph(heap: *mut NeapHeap, visitor: *const Graph) -> Error {
    // SAFETY: F1, F3, F5.
    unsafe {
        answer(enter_at_safepoint(heap).and_then(|parts| {
            let mut visitor = sized::read(visitor)?;
            let gate = Rc::clone(&parts.heap.runtime().gate);
            gate.closed(|| parts.heap.visit_graph(&mut visitor));
            Ok(())
        }))
    }
}

/// `neap_audit`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn neap_audit(heap: *mut NeapHeap, report: *mut Report, message: *mut c_char, size: usize) -> Error {
    // SAFETY: F1, F3, F5.
    unsafe {
        answer(enter_at_safepoint(heap).and_then(|parts| {
            let (seen, text) = match parts.heap.audit() {
                Ok(seen) => (Some(seen), String::new()),
                Err(error) => (None, error.to_string()),
            };
            if !message.is_null() && size != 0 {
                // As much as there is room for, and the end.
                let length = text.len().min(size - 1);
                message.cast::<u8>().copy_from_nonoverlapping(text.as_ptr(), length);
                message.add(length).write(0);
            }
            let seen = seen.ok_or(Error::Audit)?;
            if report.is_null() {
                return Ok(());
            }
            let now = Report {
                struct_size: 0,
                objects: seen.objects,
                bytes: seen.bytes,
                corpses: seen.corpses,
                references: seen.references,
                decrements: seen.decrements,
            };
            sized::write(report, &now)
        }))
    }
}
