//! Stacks: scanning what ran, and the counted list that a thread keeps.
//!
//! A thread's references, for every purpose but the program's own, are those of its counted list: what its last scan found, by slot (R11).
//! A scan compares the slots above the watermark with the list; equal entries cost nothing (R10).
//!
//! Invariants:
//! T1. `counted[0..len]` are the references that the thread has counted; `slots[0..low]` equal them at each scan (R7).
//! T2. Entries from `scanned` on are surplus (the stack was deeper once): they stay counted until a slice gives them back. While there are any, the
//!     thread stands in `partial`, once (`trimming`).
//! T3. Only mature threads have a list.
//!
//! May import: `object`, `memory`.

use super::Sabotage;
use super::Store;
use crate::heap::Heap;
use crate::object::{Counted, Ref, Runtime, flags};
use std::ptr::{self, NonNull};

/// Entries of a page of the counted list, the first one of a short list aside.
pub(crate) const PAGE_ENTRIES: usize = 1024;

impl Counted {
    /// # Safety
    /// `slot < len`, or below the capacity and about to be written.
    #[inline(always)]
    unsafe fn entry(&self, slot: usize) -> *mut Option<Ref> {
        // SAFETY: the pages cover the capacity.
        unsafe { (*self.pages.add(slot / PAGE_ENTRIES)).add(slot % PAGE_ENTRIES) }
    }

    pub(crate) fn get(&self, slot: usize) -> Option<Ref> {
        // SAFETY: T1.
        if slot < self.len { unsafe { *self.entry(slot) } } else { None }
    }

    fn capacity(&self) -> usize {
        match self.page_count {
            0 => 0,
            1 => self.first_capacity as usize,
            n => n as usize * PAGE_ENTRIES,
        }
    }

    /// Makes room for `len` entries. Copies at most a page and the table of pages.
    #[cold]
    fn reserve(&mut self, len: usize, store: &mut Store) {
        const ENTRY: usize = size_of::<Option<Ref>>();
        // SAFETY: the sizes are those that the memory was taken with.
        unsafe {
            if self.page_count <= 1 && self.capacity() < len {
                // The first page: just enough while the stack is small.
                let capacity = len.next_power_of_two().clamp(8, PAGE_ENTRIES);
                let page = store.raw_alloc(capacity * ENTRY).cast::<Option<Ref>>();
                if self.page_count == 0 {
                    self.pages = store.raw_alloc(size_of::<*mut u8>()).cast().as_ptr();
                    self.table_capacity = 1;
                } else {
                    let old = *self.pages;
                    ptr::copy_nonoverlapping(old, page.as_ptr(), self.len.min(PAGE_ENTRIES));
                    store.raw_free(NonNull::new_unchecked(old).cast());
                }
                *self.pages = page.as_ptr();
                self.page_count = 1;
                self.first_capacity = capacity as u32;
            }
            while self.capacity() < len {
                if self.page_count == self.table_capacity {
                    let capacity = (self.table_capacity * 2).max(8);
                    let table = store.raw_alloc(capacity as usize * size_of::<*mut u8>()).cast();
                    ptr::copy_nonoverlapping(self.pages, table.as_ptr(), self.page_count as usize);
                    store.raw_free(NonNull::new_unchecked(self.pages).cast());
                    self.pages = table.as_ptr();
                    self.table_capacity = capacity;
                }
                let page = store.raw_alloc(PAGE_ENTRIES * ENTRY).cast::<Option<Ref>>();
                *self.pages.add(self.page_count as usize) = page.as_ptr();
                self.page_count += 1;
            }
        }
    }

    /// Gives back the pages that the list no longer needs; all of them, table too, if `len` is 0.
    pub(crate) fn shrink(&mut self, store: &mut Store) {
        // SAFETY: as in `reserve`.
        unsafe {
            let keep = self.len.div_ceil(PAGE_ENTRIES) as u32;
            while self.page_count > keep.max(1) || self.page_count > keep && keep == 0 {
                self.page_count -= 1;
                store.raw_free(NonNull::new_unchecked(*self.pages.add(self.page_count as usize)).cast());
            }
            if keep == 0 && !self.pages.is_null() {
                store.raw_free(NonNull::new_unchecked(self.pages).cast());
                self.pages = ptr::null_mut();
                self.table_capacity = 0;
            }
        }
    }
}

impl<R: Runtime> Heap<R> {
    /// See [`Heap::touch_thread`].
    #[inline]
    pub(crate) fn touch(&mut self, thread: Ref) {
        // SAFETY: the caller of `touch_thread` vouches for the thread.
        unsafe {
            let header = thread.header();
            // A young thread is LOGGED and scanned when it is promoted (R11).
            if !header.has(flags::LOGGED) && !self.without(Sabotage::Touch) {
                header.set(flags::LOGGED);
                self.col.touched.push(thread.addr(), &mut self.store);
            }
        }
    }

    /// Brings the counted list of a mature thread up to date.
    ///
    /// # Safety
    /// `thread` is a live cell of shape `Thread`; its stack's `slots`, `top`, `high` and `low` are right.
    pub(crate) unsafe fn scan_thread(&mut self, thread: Ref) {
        // SAFETY: the caller vouches for the thread; slots below `high` were written (R6).
        unsafe {
            let stack = R::stack(thread);
            let top = stack.top;
            let stale = if self.without(Sabotage::StaleSlots) { 0..0 } else { top..stack.high };
            for slot in stale {
                // R6: what stands above the top may be stale when the stack grows again.
                stack.slots.add(slot).write(R::EMPTY_SLOT);
            }
            stack.high = top;
            let counted = &mut stack.counted;
            // T1 below the watermark; a stack that was never scanned that high has nothing counted there.
            let mut slot = stack.low.min(counted.len).min(top);
            if top > counted.capacity() {
                counted.reserve(top, &mut self.store);
            }
            while slot < top {
                let entries = counted.entry(slot);
                let n = (PAGE_ENTRIES - slot % PAGE_ENTRIES).min(top - slot);
                for i in 0..n {
                    let now = R::slot_ref(&*stack.slots.add(slot + i));
                    let entry = entries.add(i);
                    if slot + i < counted.len {
                        let old = *entry;
                        if old == now {
                            if let Some(old) = old {
                                self.keep_counted(old);
                            }
                            continue;
                        }
                        if let Some(old) = old {
                            self.queue_decrement(old);
                        }
                    }
                    *entry = now;
                    if let Some(now) = now {
                        self.increment(now);
                    }
                }
                slot += n;
            }
            counted.len = counted.len.max(top);
            counted.scanned = top;
            stack.low = usize::MAX;
            if counted.len > top && !counted.trimming {
                // T2.
                counted.trimming = true;
                self.col.partial.push(thread.addr(), &mut self.store);
            }
        }
    }

    /// Gives back up to `max` entries of the counted list above `keep`, as decrements. `true` when there are no more.
    ///
    /// # Safety
    /// `thread` is a live cell of shape `Thread`.
    pub(crate) unsafe fn trim_counted(&mut self, thread: Ref, keep: usize, max: usize) -> bool {
        // SAFETY: the caller vouches for the thread.
        unsafe {
            let counted = &mut R::stack(thread).counted;
            let end = keep.max(counted.len.saturating_sub(max));
            while counted.len > end {
                counted.len -= 1;
                if let Some(r) = *counted.entry(counted.len) {
                    self.queue_decrement(r);
                }
            }
            if counted.len > keep {
                return false;
            }
            counted.shrink(&mut self.store);
            true
        }
    }
}
