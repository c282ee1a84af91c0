//! `Gc<T>`: the typed address of a cell.

use neap_gc::{Header, Ref};
use std::ops::Deref;
use std::ptr::NonNull;

/// The address of a cell that holds a `T`, whose first field is the header. One word, copied freely; it roots nothing (V1).
#[repr(transparent)]
pub struct Gc<T>(NonNull<T>);

impl<T> Gc<T> {
    /// # Safety
    /// `ptr` is a live or young cell that holds an initialised `T`.
    #[inline(always)]
    pub unsafe fn from_raw(ptr: NonNull<T>) -> Gc<T> {
        Gc(ptr)
    }
    /// # Safety
    /// `cell` holds a `T`.
    #[inline(always)]
    pub unsafe fn from_ref(cell: Ref) -> Gc<T> {
        // SAFETY: a `Ref` is never null.
        Gc(unsafe { NonNull::new_unchecked(cell.as_ptr().cast()) })
    }
    #[inline(always)]
    pub fn as_ptr(self) -> *mut T {
        self.0.as_ptr()
    }
    #[inline(always)]
    pub fn as_ref(self) -> Ref {
        // SAFETY: every cell begins with an initialised header.
        unsafe { Ref::from_ptr(self.0.cast()) }
    }
    #[inline(always)]
    pub fn header<'a>(self) -> &'a Header {
        // SAFETY: V1: the cell is live or young.
        unsafe { self.as_ref().header() }
    }
    #[inline(always)]
    pub fn addr(self) -> usize {
        self.0.as_ptr() as usize
    }
}

impl<T> Clone for Gc<T> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Gc<T> {}
impl<T> PartialEq for Gc<T> {
    #[inline(always)]
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<T> Eq for Gc<T> {}

impl<T> Deref for Gc<T> {
    type Target = T;
    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: V1: the cell is live or young, and all its mutable parts are in `Cell`s.
        unsafe { self.0.as_ref() }
    }
}
