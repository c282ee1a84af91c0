//! The locals: a stack of words that inline functions of the header push and pop, and the thread object by which the collector sees it.
//!
//! Invariants:
//! * **low-is-right** No local below `Face::low` was written since it was set to the top: a store lowers it, and so does a scope that closes. So the
//!   watermark of the collector (R7) holds, and an epoch end looks only at what may have changed.
//! * **below-the-top-is-written** A local is written when it is made. So what a scan leaves above the top is never seen again (R6).
//!
//! Imports `types` (a number).

use crate::types::LOCALS;
use neap_gc::object::{Header, Stack};
use neap_gc::{Heap, OutOfMemory, Ref, Runtime};
use std::alloc::{Layout, alloc, dealloc};
use std::cell::Cell;
use std::ffi::c_void;
use std::sync::atomic::AtomicU32;

/// `neap_private_face`: what inline functions see of a heap, at its beginning.
#[repr(C)]
pub struct Face {
    pub poll: *const AtomicU32,
    pub base: *mut *mut c_void,
    pub top: Cell<*mut *mut c_void>,
    pub limit: *mut *mut c_void,
    pub low: Cell<*mut *mut c_void>,
}

/// The thread object.
#[repr(C)]
pub struct LocalsCell {
    header: Header,
    pub base: *mut *mut c_void,
    pub stack: Stack,
}

/// The memory of the stack. Nobody touches what is not used, so it costs addresses only.
pub struct Memory {
    base: *mut *mut c_void,
    layout: Layout,
}

impl Memory {
    /// None if the system has no room for so many.
    pub fn new(locals: usize) -> Option<Memory> {
        let layout = Layout::array::<*mut c_void>(locals.max(1)).ok()?;
        // SAFETY: the layout is not empty.
        let base = unsafe { alloc(layout) }.cast::<*mut c_void>();
        (!base.is_null()).then_some(Memory { base, layout })
    }
    pub fn face(&self, poll: *const AtomicU32) -> Face {
        let (base, locals) = (self.base, self.layout.size() / size_of::<*mut c_void>());
        // SAFETY: one past the end of the memory.
        let limit = unsafe { base.add(locals) };
        Face { poll, base, top: Cell::new(base), limit, low: Cell::new(base) }
    }
    /// The thread object for this stack.
    pub fn cell<R: Runtime>(&self, heap: &Heap<R>) -> Result<Ref, OutOfMemory> {
        // SAFETY: the kind is that of the locals, and all of the cell is written.
        unsafe {
            let cell = heap.alloc(LOCALS, size_of::<LocalsCell>())?;
            let locals = cell.as_ptr().cast::<LocalsCell>();
            (&raw mut (*locals).base).write(self.base);
            (&raw mut (*locals).stack).write(Stack::new());
            Ok(cell)
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: taken with this layout.
        unsafe { dealloc(self.base.cast(), self.layout) }
    }
}

impl Face {
    /// Tells the collector how the stack stands, before it may look.
    ///
    /// # Safety
    /// The cell is that of this stack, and no borrow of its contents is held.
    pub unsafe fn tell(&self, cell: Ref) {
        // SAFETY: by the caller; the pointers are those of one stack.
        unsafe {
            let stack = &raw mut (*cell.as_ptr().cast::<LocalsCell>()).stack;
            let (top, low) = (self.top.get().offset_from_unsigned(self.base), self.low.get().offset_from_unsigned(self.base));
            (*stack).top = top;
            // below-the-top-is-written
            (*stack).high = top;
            (*stack).low = (*stack).low.min(low);
        }
        self.low.set(self.top.get());
    }
}
