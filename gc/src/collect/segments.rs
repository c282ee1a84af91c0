//! Arrays that grow by segments: nothing is copied but the table of segments.
//!
//! Imports `store`.

use super::store::Store;
use std::ptr::{self, NonNull};

/// Elements of a segment.
const SEGMENT_LEN: usize = 256;

pub(crate) struct Segments<T> {
    table: *mut *mut T,
    /// Segments that have memory, and those that there is room for in the table.
    segments: usize,
    capacity: usize,
    len: usize,
}

impl<T: Copy> Segments<T> {
    pub const fn new() -> Segments<T> {
        Segments { table: ptr::null_mut(), segments: 0, capacity: 0, len: 0 }
    }
    pub fn len(&self) -> usize {
        self.len
    }

    fn at(&self, index: usize) -> *mut T {
        assert!(index < self.len, "an index within the array");
        // SAFETY: the segments cover all elements.
        unsafe { (*self.table.add(index / SEGMENT_LEN)).add(index % SEGMENT_LEN) }
    }
    pub fn get(&self, index: usize) -> &T {
        // SAFETY: an element, written when it was pushed.
        unsafe { &*self.at(index) }
    }
    pub fn get_mut(&mut self, index: usize) -> &mut T {
        // SAFETY: as above.
        unsafe { &mut *self.at(index) }
    }

    pub fn push(&mut self, value: T, store: &mut Store) {
        if self.len == self.segments * SEGMENT_LEN {
            self.grow(store);
        }
        self.len += 1;
        // SAFETY: an element of a segment that has memory.
        unsafe { self.at(self.len - 1).write(value) };
    }

    #[cold]
    fn grow(&mut self, store: &mut Store) {
        // SAFETY: the sizes are those that the memory was taken with.
        unsafe {
            if self.segments == self.capacity {
                let capacity = (self.capacity * 2).max(8);
                let table = store.raw_alloc(capacity * size_of::<*mut T>()).cast::<*mut T>();
                if let Some(old) = NonNull::new(self.table) {
                    ptr::copy_nonoverlapping(self.table, table.as_ptr(), self.segments);
                    store.raw_free(old.cast());
                }
                self.table = table.as_ptr();
                self.capacity = capacity;
            }
            let segment = store.raw_alloc(SEGMENT_LEN * size_of::<T>()).cast::<T>();
            self.table.add(self.segments).write(segment.as_ptr());
        }
        self.segments += 1;
    }

    /// Empties the array; its memory is kept until [`Segments::shrink`].
    pub fn forget(&mut self) {
        self.len = 0;
    }

    /// Gives back a segment that holds nothing; `false` if there is none.
    pub fn shrink(&mut self, store: &mut Store) -> bool {
        if self.segments == self.len.div_ceil(SEGMENT_LEN) {
            return false;
        }
        self.segments -= 1;
        // SAFETY: as in `grow`; no element stands in the segment.
        unsafe {
            store.raw_free(NonNull::new_unchecked(*self.table.add(self.segments)).cast());
            if self.segments == 0 {
                store.raw_free(NonNull::new_unchecked(self.table).cast());
                self.table = ptr::null_mut();
                self.capacity = 0;
            }
        }
        true
    }
}
