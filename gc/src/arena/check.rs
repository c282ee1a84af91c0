//! Checks of what the compiler can't see: `Trace` that was written by hand, and writes that `unsafe` code makes without a barrier.
//!
//! The collector believes what a type shows. If that is wrong, a counted reference is lost, and something dies too early or never. The checks keep beside every
//! object what it showed last, and compare. Slow: the whole heap is looked at by every one of them.
//!
//! Invariants:
//! * **seen-since** What was seen of an object is what it showed after the last safepoint; objects that have survived an epoch end since are not known yet.
//!
//! Imports `descriptor`, `trace`, `types`, and the heap.

use super::descriptor::{Descriptor, ENTRIES, LEAF, OBJECT, OBJECT_DROP, OWNER, STORAGE, WEAK, WEAK_SLOTS, WORDS, descriptor};
use super::trace::Tracer;
use super::types::{Types, slots};
use crate::audit::AuditError;
use crate::heap::Heap;
use crate::object::{Ref, Runtime};
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::fmt;

/// What a check has found, with the type of the object where that is known: see [`Arena::set_checks`](super::Arena::set_checks).
///
/// ```
/// use neap_gc::arena::{Arena, Gc, Lock};
///
/// let mut arena = Arena::<Gc<Lock<Option<Gc<u32>>>>>::new(|mc| mc.alloc(Lock::new(Some(mc.alloc(1)))));
/// arena.set_checks(true);
/// arena.collect();
/// assert!(arena.check().is_ok());
/// arena.set_checks(false);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CheckError {
    pub fault: Fault,
    /// The address of the object.
    pub addr: usize,
    /// Its type. Not known of the smallest objects if debug assertions are off, or the checks were off when it was allocated.
    pub type_name: Option<&'static str>,
}

/// What is wrong with an object.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Fault {
    /// The references in it have changed since the last safepoint, and no barrier came before.
    NoBarrier,
    /// Its `trace` shows other references when it is called once more.
    Unstable,
    /// `MAP` and `trace` do not agree on its references.
    Map,
    /// At this byte of it stands the address of another object, which its `trace`, written by hand, does not show. (It may be left over from another variant of an enum.)
    NotShown { offset: usize, to: usize },
    /// The auditor's: a count that does not fit the references, or a reference to what is gone.
    Heap(AuditError),
}

impl fmt::Display for CheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.type_name {
            Some(name) => write!(f, "{name} at {:#x}: ", self.addr)?,
            None if self.addr != 0 => write!(f, "an object at {:#x}, of a type that is not known: ", self.addr)?,
            None => {}
        }
        match &self.fault {
            Fault::NoBarrier => f.write_str(
                "its references have changed, and no barrier came before (`Gc::write` is the barrier; unsafe code that writes in another way must come behind it)",
            ),
            Fault::Unstable => f.write_str("its `trace` shows other references when it is called once more"),
            Fault::Map => f.write_str("its `Trace::MAP` names other references than its `trace` shows"),
            Fault::NotShown { offset, to } => write!(
                f,
                "the word at byte {offset} is the address of another object ({to:#x}), which its `trace` does not show"
            ),
            Fault::Heap(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for CheckError {}

/// What is kept for the checks.
#[derive(Default)]
pub(super) struct Checks {
    on: Cell<bool>,
    /// The types of objects whose cells have no descriptor.
    types: RefCell<HashMap<usize, &'static Descriptor>>,
    /// seen-since
    seen: RefCell<HashMap<usize, Vec<Ref>>>,
    /// Epoch ends until then.
    epochs: Cell<u64>,
}

impl Checks {
    pub fn is_on(&self) -> bool {
        self.on.get()
    }
    pub fn set_on(&self, on: bool) {
        self.on.set(on);
        self.seen.borrow_mut().clear();
        // From the next safepoint on.
        self.epochs.set(u64::MAX);
    }
    /// A cell without a descriptor has been allocated.
    #[cold]
    pub fn allocated(&self, cell: Ref, described: &'static Descriptor) {
        self.types.borrow_mut().insert(cell.addr(), described);
    }

    /// # Safety
    /// A live cell.
    unsafe fn type_of(&self, cell: Ref) -> Option<&'static Descriptor> {
        // SAFETY: by the caller.
        unsafe {
            match cell.kind() {
                LEAF | WORDS => self.types.borrow().get(&cell.addr()).copied(),
                WEAK | WEAK_SLOTS | ENTRIES => None,
                _ => Some(descriptor(cell)),
            }
        }
    }
}

/// The references that a cell shows.
///
/// # Safety
/// A live cell; no mutation is going on.
unsafe fn shown(types: &Types, cell: Ref) -> Vec<Ref> {
    let mut found = Vec::new();
    // SAFETY: by the caller, and each kind is asked as its shape is.
    unsafe {
        match cell.kind() {
            WORDS | OBJECT | OBJECT_DROP => types.trace(cell, &mut |to| found.push(to)),
            LEAF | OWNER | WEAK | super::descriptor::SLICE_OWNER => {}
            _ => types.trace_slots(cell, 0..slots(cell), &mut |to| found.push(to)),
        }
    }
    found
}

/// Every cell that has survived an epoch end.
fn cells(heap: &Heap<Types>) -> Vec<(Ref, usize)> {
    let mut all = Vec::new();
    heap.each_cell(&mut |cell, bytes| all.push((cell, bytes)));
    all
}

/// Between two mutations: what is wrong with any object.
pub(super) fn check(heap: &Heap<Types>) -> Result<(), CheckError> {
    let (types, checks) = (heap.runtime(), &heap.runtime().checks);
    let all = cells(heap);
    let addresses: HashSet<usize> = all.iter().map(|(cell, _)| cell.addr()).collect();
    for &(cell, bytes) in &all {
        // SAFETY: a live cell, and no mutation is going on.
        let fault = unsafe { fault_of(heap, types, cell, bytes, &addresses) };
        if let Some(fault) = fault {
            // SAFETY: a live cell.
            let type_name = unsafe { checks.type_of(cell) }.map(|described| (described.name)());
            return Err(CheckError { fault, addr: cell.addr(), type_name });
        }
    }
    Ok(())
}

/// # Safety
/// A live cell of so many bytes; no mutation is going on.
unsafe fn fault_of(heap: &Heap<Types>, types: &Types, cell: Ref, bytes: usize, addresses: &HashSet<usize>) -> Option<Fault> {
    // SAFETY: by the caller.
    unsafe {
        let now = shown(types, cell);
        if shown(types, cell) != now {
            return Some(Fault::Unstable);
        }
        let checks = &types.checks;
        let kind = cell.kind();
        if let Some(before) = checks.seen.borrow().get(&cell.addr())
            && checks.epochs.get() == heap.counters().epochs
            && *before != now
            && !heap.is_recorded(cell)
        {
            return Some(Fault::NoBarrier);
        }
        let described = checks.type_of(cell)?;
        let first = cell.as_ptr().add(described.offset);
        if kind == WORDS {
            let mut traced = Vec::new();
            (described.trace)(first, 0..1, &mut Tracer::new(&mut |to| traced.push(to)));
            let (mut traced, mut mapped) = (traced, now.clone());
            traced.sort_unstable_by_key(|to| to.addr());
            mapped.sort_unstable_by_key(|to| to.addr());
            if traced != mapped {
                return Some(Fault::Map);
            }
        }
        if described.by_hand
            && matches!(kind, LEAF | WORDS | OBJECT | OBJECT_DROP | OWNER)
            && bytes >= described.offset + described.size
        {
            for offset in (0..described.size / 8 * 8).step_by(8) {
                let to = first.add(offset).cast::<usize>().read_volatile();
                if addresses.contains(&to) && !now.iter().any(|shown| shown.addr() == to) {
                    return Some(Fault::NotShown { offset, to });
                }
            }
        }
    }
    None
}

/// After a safepoint: what every object shows now.
pub(super) fn look(heap: &Heap<Types>) {
    let (types, checks) = (heap.runtime(), &heap.runtime().checks);
    let (mut seen, epochs) = (checks.seen.borrow_mut(), heap.counters().epochs);
    let before = checks.epochs.replace(epochs);
    if before == epochs {
        // What has been recorded since the epoch began still is.
        return;
    }
    seen.clear();
    let (mut known, mut kept) = (checks.types.borrow_mut(), HashMap::new());
    for (cell, _) in cells(heap) {
        // SAFETY: a live cell, and no mutation is going on.
        unsafe {
            if cell.kind() != STORAGE || slots(cell) != 0 {
                seen.insert(cell.addr(), shown(types, cell));
            }
        }
        if let Some(&described) = known.get(&cell.addr()) {
            kept.insert(cell.addr(), described);
        }
    }
    if before != u64::MAX {
        // At the end of an epoch nothing is young: the others are gone.
        *known = kept;
    }
}

/// An error of the auditor, with the type of the object.
pub(super) fn named(heap: &Heap<Types>, error: AuditError) -> CheckError {
    let addr = match error {
        AuditError::Count { cell, .. } | AuditError::Unmarked { cell, .. } | AuditError::Header { cell, .. } => cell,
        AuditError::DeadReference { holder, .. } | AuditError::WeakReference { holder, .. } => holder,
        _ => 0,
    };
    let found = cells(heap).into_iter().find(|(cell, _)| cell.addr() == addr);
    // SAFETY: a live cell.
    let described = found.and_then(|(cell, _)| unsafe { heap.runtime().checks.type_of(cell) });
    CheckError { fault: Fault::Heap(error), addr, type_name: described.map(|described| (described.name)()) }
}
