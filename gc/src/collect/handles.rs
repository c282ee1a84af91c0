//! Handles: references held by native code, counted at once. They are the roots that cost only where they change.
//!
//! Invariants:
//! * **slot-holds-a-cell** A slot in use holds the address of a cell that is live or young, and is counted; a free slot holds the number of the next free
//!   one, odd.
//! * **handle-knows-its-table** A handle names the table that made it, so that another heap refuses it: there the slot is somebody else's.
//! * **bounded-returns** An epoch end takes back so many dropped handles at most; the others keep their cells a little longer.
//!
//! May import: `object`, and of the collector `context`, `queue`.

use super::Sabotage;
use super::context::Context;
use super::queue::Queue;
use super::store::Store;
use crate::object::{Ref, flags};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

const PAGE_SLOTS: usize = 512;
const NO_SLOT: usize = usize::MAX >> 1;
/// bounded-returns
const RETURNS_MAX: usize = 4096;

/// A counted reference held outside of the heap: it keeps its cell until it is dropped, anywhere. The cell lives on at least until the next epoch end (R2).
#[derive(Debug)]
pub struct Handle {
    slot: u32,
    table: Arc<Returned>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        let mut slots = self.table.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.push(self.slot);
        self.table.len.store(slots.len(), Ordering::Relaxed);
    }
}

/// Slots whose handles have been dropped.
#[derive(Default, Debug)]
struct Returned {
    slots: Mutex<Vec<u32>>,
    len: AtomicUsize,
}

/// The table of handles, in pages that never move.
pub(crate) struct Handles {
    pages: Vec<NonNull<usize>>,
    /// The first free slot, or [`NO_SLOT`].
    free: usize,
    returned: Arc<Returned>,
    /// Young cells that something outside of the heap holds (R1).
    pub young: Queue,
    /// What handles held before they were given something else.
    replaced: Queue,
}

impl Handles {
    pub fn new() -> Handles {
        Handles { pages: Vec::new(), free: NO_SLOT, returned: Arc::default(), young: Queue::new(), replaced: Queue::new() }
    }
    pub fn capacity(&self) -> usize {
        self.pages.len() * PAGE_SLOTS
    }

    fn slot(&self, n: usize) -> NonNull<usize> {
        // SAFETY: the index is within the page.
        unsafe { self.pages[n / PAGE_SLOTS].add(n % PAGE_SLOTS) }
    }

    /// What slot `n` holds, if it is in use.
    pub fn at(&self, n: usize) -> Option<Ref> {
        // SAFETY: slot-holds-a-cell.
        unsafe {
            let word = self.slot(n).read();
            (word & 1 == 0).then(|| Ref::from_addr(word))
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = Ref> + '_ {
        (0..self.capacity()).filter_map(|n| self.at(n))
    }

    /// # Safety
    /// A live or young cell.
    unsafe fn hold(&mut self, cx: &mut Context, cell: Ref) {
        // SAFETY: by the caller.
        let header = unsafe { cell.header() };
        header.count.set(header.count.get().saturating_add(1));
        if header.has(flags::YOUNG) {
            // R1: listed, for the epoch end.
            self.young.push(cell.addr(), &mut cx.store);
        }
    }

    /// # Safety
    /// A live or young cell.
    pub unsafe fn insert(&mut self, cx: &mut Context, cell: Ref) -> Handle {
        if self.free == NO_SLOT {
            self.add_page(&mut cx.store);
        }
        let n = self.free;
        // SAFETY: slot-holds-a-cell, by the caller.
        unsafe {
            self.hold(cx, cell);
            self.free = self.slot(n).read() >> 1;
            self.slot(n).write(cell.addr());
        }
        Handle { slot: u32::try_from(n).expect("more handles than fit in memory"), table: self.returned.clone() }
    }

    #[cold]
    fn add_page(&mut self, store: &mut Store) {
        let page = store.raw_alloc(PAGE_SLOTS * size_of::<usize>()).cast::<usize>();
        let first = self.capacity();
        self.pages.push(page);
        for n in (first..first + PAGE_SLOTS).rev() {
            // SAFETY: a slot of the new page.
            unsafe { self.slot(n).write(self.free << 1 | 1) };
            self.free = n;
        }
    }

    /// handle-knows-its-table
    pub fn made(&self, handle: &Handle) -> bool {
        Arc::ptr_eq(&handle.table, &self.returned)
    }
    fn check(&self, handle: &Handle) -> usize {
        assert!(self.made(handle), "a handle of another heap");
        handle.slot as usize
    }

    pub fn get(&self, handle: &Handle) -> Ref {
        self.at(self.check(handle)).expect("a handle holds its slot until it is dropped")
    }

    /// See [`crate::Heap::set_handle`].
    ///
    /// # Safety
    /// A live or young cell.
    pub unsafe fn set(&mut self, cx: &mut Context, handle: &Handle, cell: Ref) {
        let old = self.get(handle);
        if old == cell {
            return;
        }
        // SAFETY: by the caller.
        unsafe {
            self.hold(cx, cell);
            self.slot(handle.slot as usize).write(cell.addr());
        }
        if cx.shading() {
            // R17: the slot may have been visited.
            cx.shade(cell);
        }
        self.replaced.push(old.addr(), &mut cx.store);
    }

    /// At an epoch end: what handles hold no more becomes decrements (R2).
    pub fn end_epoch(&mut self, cx: &mut Context) {
        cx.units += self.replaced.len();
        while let Some(word) = self.replaced.pop_front(&mut cx.store) {
            // SAFETY: counted until now.
            cx.queue_decrement(unsafe { Ref::from_addr(word) });
        }
        self.take_returned(cx);
    }

    fn take_returned(&mut self, cx: &mut Context) {
        if self.returned.len.load(Ordering::Relaxed) == 0 {
            return;
        }
        let returned = self.returned.clone();
        let mut slots = returned.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let from = slots.len().saturating_sub(RETURNS_MAX);
        cx.units += slots.len() - from;
        for slot in slots.drain(from..) {
            let n = slot as usize;
            if let Some(r) = self.at(n) {
                // SAFETY: slot-holds-a-cell.
                unsafe { self.slot(n).write(self.free << 1 | 1) };
                self.free = n;
                cx.queue_decrement(r);
            }
        }
        if slots.is_empty() {
            slots.shrink_to(RETURNS_MAX);
        }
        returned.len.store(slots.len(), Ordering::Relaxed);
    }

    /// A rule taken away: dropped handles are decrements at once.
    pub fn drop_early(&mut self, cx: &mut Context) {
        if cx.without(Sabotage::HandleDrop) {
            self.take_returned(cx);
        }
    }

    /// Whether an epoch end has handles to take back.
    pub fn any_returned(&self) -> bool {
        !self.replaced.is_empty() || self.returned.len.load(Ordering::Relaxed) != 0
    }

    /// For the auditor: what is still counted.
    pub fn report(&self) -> &Queue {
        &self.replaced
    }
}
