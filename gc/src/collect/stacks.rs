//! Stacks: scanning what ran, and the counted list that a thread keeps.
//!
//! A thread's references, for every purpose but the program's own, are those of its counted list: what its last scan found, by slot (R11).
//! A scan compares the slots above the watermark with the list; equal entries cost nothing (R10).
//!
//! Invariants:
//! * **counted-below-the-mark** `counted[0..len]` are the references that the thread has counted; the slots below `low` equal them at each scan (R7).
//! * **surplus-is-trimmed** Entries from `scanned` on are surplus (the stack was deeper once): they stay counted until a slice gives them back. While there
//!   are any, the thread stands in `Context::partial`, once (`trimming`).
//! * **mature-lists** Only mature threads have a list.
//!
//! May import: `memory`, `object`, and of the collector `context`, `queue`.

use super::Sabotage;
use super::context::Context;
use super::queue::Queue;
use super::store::Store;
use crate::object::{Counted, Ref, Runtime, flags};
use std::ptr::{self, NonNull};

/// Entries of a page of the counted list, the first one of a short list aside.
const PAGE_ENTRIES: usize = 1024;
/// The least that a first page has.
const FIRST_ENTRIES: usize = 8;

/// Mature threads that ran in this epoch.
pub(crate) struct Stacks {
    touched: Queue,
}

impl Stacks {
    pub const fn new() -> Stacks {
        Stacks { touched: Queue::new() }
    }

    /// See [`crate::Heap::touch_thread`].
    ///
    /// # Safety
    /// A live or young thread.
    #[inline]
    pub unsafe fn touch(&mut self, cx: &mut Context, thread: Ref) {
        // SAFETY: by the caller.
        let header = unsafe { thread.header() };
        // A young thread is LOGGED and scanned when it is promoted (R11).
        if !header.has(flags::LOGGED) && !cx.without(Sabotage::Touch) {
            header.set(flags::LOGGED);
            self.touched.push(thread.addr(), &mut cx.store);
        }
    }

    /// At an epoch end.
    pub fn scan_touched<R: Runtime>(&mut self, rt: &R, cx: &mut Context) {
        while let Some(word) = self.touched.pop_front(&mut cx.store) {
            // SAFETY: a touched thread that dies waits (R3).
            unsafe {
                let thread = Ref::from_addr(word);
                thread.header().unset(flags::LOGGED);
                scan(rt, cx, thread);
            }
        }
    }

    /// R7: the current thread counts again as having run.
    ///
    /// # Safety
    /// A live thread, whose running frame begins at `base`.
    pub unsafe fn runs_on<R: Runtime>(&mut self, rt: &R, cx: &mut Context, thread: Ref, base: usize) {
        if cx.without(Sabotage::Watermark) {
            return;
        }
        // SAFETY: by the caller.
        unsafe {
            self.touch(cx, thread);
            let stack = rt.stack(thread).as_mut();
            stack.low = stack.low.min(base);
        }
    }
}

/// Brings the counted list of a mature thread up to date.
///
/// # Safety
/// `thread` is a live cell of shape `Thread`; its stack's `top`, `high` and `low` are right.
pub(super) unsafe fn scan<R: Runtime>(rt: &R, cx: &mut Context, thread: Ref) {
    // SAFETY: the caller vouches for the thread; slots below `high` were written (R6).
    unsafe {
        // No borrow of the stack is held where the runtime looks at the thread.
        let stack = rt.stack(thread).as_ptr();
        let top = (*stack).top;
        if (*stack).high > top && !cx.without(Sabotage::StaleSlots) {
            // R6: what stands above the top may be stale when the stack grows again.
            rt.clear_stack(thread, top..(*stack).high);
        }
        (*stack).high = top;
        // Below the watermark nothing has changed; a stack that was never scanned that high has nothing counted there.
        let mut slot = (*stack).low.min((*stack).counted.len).min(top);
        cx.units += top - slot;
        if top > (*stack).counted.capacity() {
            (*stack).counted.reserve(top, &mut cx.store);
        }
        while slot < top {
            let mut entry = (*stack).counted.entry(slot);
            let n = (PAGE_ENTRIES - slot % PAGE_ENTRIES).min(top - slot);
            // Entries of the list that say what was counted; those behind are not written yet.
            let mut known = (*stack).counted.len.saturating_sub(slot);
            rt.trace_stack(thread, slot..slot + n, &mut |now| {
                let mut old = None;
                if known != 0 {
                    known -= 1;
                    old = *entry;
                }
                if old != now {
                    if let Some(old) = old {
                        cx.queue_decrement(old);
                    }
                    if let Some(now) = now {
                        cx.increment(now);
                    }
                } else if let Some(old) = old {
                    cx.keep_counted(old);
                }
                *entry = now;
                entry = entry.add(1);
            });
            slot += n;
        }
        let counted = &mut (*stack).counted;
        counted.len = counted.len.max(top);
        counted.scanned = top;
        (*stack).low = usize::MAX;
        if counted.len > top && !counted.trimming {
            // surplus-is-trimmed
            counted.trimming = true;
            cx.partial.push(thread.addr(), &mut cx.store);
        }
    }
}

/// Gives back up to `max` entries of the counted list above `keep`, as decrements. `true` when there are no more.
///
/// # Safety
/// A live thread's list.
pub(super) unsafe fn trim(cx: &mut Context, counted: &mut Counted, keep: usize, max: usize) -> bool {
    let end = keep.max(counted.len.saturating_sub(max));
    while counted.len > end {
        counted.len -= 1;
        // SAFETY: an entry below the old length.
        if let Some(r) = unsafe { *counted.entry(counted.len) } {
            cx.queue_decrement(r);
        }
    }
    if counted.len > keep {
        return false;
    }
    counted.shrink(&mut cx.store);
    true
}

impl Counted {
    /// # Safety
    /// `slot < len`, or below the capacity and about to be written.
    #[inline(always)]
    unsafe fn entry(&self, slot: usize) -> *mut Option<Ref> {
        // SAFETY: the pages cover the capacity.
        unsafe { (*self.pages.add(slot / PAGE_ENTRIES)).add(slot % PAGE_ENTRIES) }
    }

    pub(crate) fn get(&self, slot: usize) -> Option<Ref> {
        // SAFETY: below the length, entries are written.
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
                if self.page_count == 0 {
                    self.pages = store.raw_alloc(size_of::<*mut u8>()).cast().as_ptr();
                    self.table_capacity = 1;
                }
                self.replace_first_page(len, store);
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

    /// A list of one page or none gets a first page just large enough for `len` entries, while that is less than a whole one.
    ///
    /// # Safety
    /// There is a table; `len` is not less than the list's own.
    unsafe fn replace_first_page(&mut self, len: usize, store: &mut Store) {
        let capacity = len.next_power_of_two().clamp(FIRST_ENTRIES, PAGE_ENTRIES);
        // SAFETY: by the caller; the page of a list has its capacity, which its length does not exceed.
        unsafe {
            let page = store.raw_alloc(capacity * size_of::<Option<Ref>>()).cast::<Option<Ref>>();
            if self.page_count == 1 {
                let old = *self.pages;
                ptr::copy_nonoverlapping(old, page.as_ptr(), self.len.min(capacity));
                store.raw_free(NonNull::new_unchecked(old).cast());
            }
            *self.pages = page.as_ptr();
        }
        self.page_count = 1;
        self.first_capacity = capacity as u32;
    }

    /// Gives back the pages that the list no longer needs, and most of a first page of which it needs little; all of them, table too, if `len` is 0.
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
            if self.page_count == 1 && self.first_capacity as usize > FIRST_ENTRIES.max(self.len * 4) {
                self.replace_first_page(self.len, store);
            }
        }
    }
}
