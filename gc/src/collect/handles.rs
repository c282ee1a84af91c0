//! Handles: references held by native code, counted at once.
//!
//! Invariants:
//! H1. A slot in use holds the address of a cell that is live or young, and is counted; a free slot holds the number of the next free one, odd.
//! H2. A handle names the heap that made it, so that another refuses it: there the slot is somebody else's.
//!
//! May import: `object`, `memory`.

use super::{Sabotage, Store};
use crate::heap::Heap;
use crate::object::{Ref, Runtime, flags};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

const PAGE_SLOTS: usize = 512;

/// A counted reference held outside of the heap. It must be given back with [`Heap::drop_handle`].
#[derive(PartialEq, Eq, Hash, Debug)]
pub struct Handle {
    slot: u32,
    heap: u32,
}

/// The table of handles, in pages that never move.
pub(crate) struct Handles {
    pages: Vec<NonNull<usize>>,
    /// The first free slot, or [`NO_SLOT`].
    free: usize,
    /// The number of the heap (H2).
    heap: u32,
}

const NO_SLOT: usize = usize::MAX >> 1;

impl Handles {
    pub fn new() -> Handles {
        static HEAPS: AtomicU32 = AtomicU32::new(0);
        let next = HEAPS.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_add(1));
        Handles { pages: Vec::new(), free: NO_SLOT, heap: next.expect("fewer heaps than four thousand million") }
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
        // SAFETY: H1.
        unsafe {
            let word = self.slot(n).read();
            (word & 1 == 0).then(|| Ref::from_addr(word))
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = Ref> + '_ {
        (0..self.capacity()).filter_map(|n| self.at(n))
    }

    fn insert(&mut self, r: Ref, store: &mut Store) -> Handle {
        if self.free == NO_SLOT {
            let page = store.raw_alloc(PAGE_SLOTS * size_of::<usize>()).cast::<usize>();
            let first = self.capacity();
            self.pages.push(page);
            for n in (first..first + PAGE_SLOTS).rev() {
                // SAFETY: a slot of the new page.
                unsafe { self.slot(n).write(self.free << 1 | 1) };
                self.free = n;
            }
        }
        let n = self.free;
        // SAFETY: H1.
        unsafe {
            self.free = self.slot(n).read() >> 1;
            self.slot(n).write(r.addr());
        }
        Handle { slot: u32::try_from(n).expect("more handles than fit in memory"), heap: self.heap }
    }

    fn get(&self, handle: &Handle) -> Ref {
        assert_eq!(handle.heap, self.heap, "a handle of another heap");
        self.at(handle.slot as usize).expect("a handle holds its slot until it is dropped")
    }

    fn remove(&mut self, handle: Handle) -> Ref {
        let r = self.get(&handle);
        let n = handle.slot as usize;
        // SAFETY: H1.
        unsafe { self.slot(n).write(self.free << 1 | 1) };
        self.free = n;
        r
    }
}

impl<R: Runtime> Heap<R> {
    /// Holds the cell until the handle is dropped.
    ///
    /// # Safety
    /// The cell is one of this heap, live or young.
    pub unsafe fn handle(&mut self, cell: Ref) -> Handle {
        // SAFETY: by the caller.
        let header = unsafe { cell.header() };
        header.count.set(header.count.get().saturating_add(1));
        if header.has(flags::YOUNG) {
            // R1: listed, for the epoch end.
            self.col.young_handles.push(cell.addr(), &mut self.store);
        }
        self.col.handles.insert(cell, &mut self.store)
    }

    /// The cell that a handle holds. A handle of another heap is a panic.
    pub fn get(&self, handle: &Handle) -> Ref {
        self.col.handles.get(handle)
    }

    /// Gives a handle back. The cell lives on at least until the next epoch end (R2). A handle of another heap is a panic.
    pub fn drop_handle(&mut self, handle: Handle) {
        let r = self.col.handles.remove(handle);
        let at_once = self.without(Sabotage::HandleDrop);
        let queue = if at_once { &mut self.col.release } else { &mut self.col.dropped };
        queue.push(r.addr(), &mut self.store);
    }
}
