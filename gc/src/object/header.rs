//! The 8-byte header at the start of every cell.

use std::cell::Cell;
use std::ptr::NonNull;

/// Flags of a header. All but [`flags::LOGGED`] (read by the inlined barrier) are the collector's business.
pub mod flags {
    /// Writes need no barrier: the object is young, or its references were recorded in this epoch.
    pub const LOGGED: u16 = 1 << 0;
    /// Allocated in this epoch (R1).
    pub const YOUNG: u16 = 1 << 1;
    /// Has a finalizer that has not been queued.
    pub const FINALIZER: u16 = 1 << 2;
    /// Some weak slot may name the object.
    pub const WEAKLY_HELD: u16 = 1 << 3;
    /// A large array with one dirty bit per 64 slots; never `LOGGED`.
    pub const CARDED: u16 = 1 << 4;
}

/// The header of a cell.
#[repr(C, align(8))]
pub struct Header {
    pub(crate) count: Cell<u32>,
    pub(crate) flags: Cell<u16>,
    pub(crate) kind: u8,
    /// Free for the kind's own use.
    pub aux: Cell<u8>,
}

/// The address of a cell: never null, 8-byte aligned, one word. Copying it counts nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(transparent)]
pub struct Ref(NonNull<Header>);

impl Ref {
    /// # Safety
    /// `ptr` is the address of a cell with an initialised header.
    #[inline(always)]
    pub const unsafe fn from_ptr(ptr: NonNull<u8>) -> Ref {
        Ref(ptr.cast())
    }
    #[inline(always)]
    pub const fn as_ptr(self) -> *mut u8 {
        self.0.as_ptr().cast()
    }
    #[inline(always)]
    pub fn addr(self) -> usize {
        self.0.as_ptr() as usize
    }
    /// # Safety
    /// The cell is live or young.
    #[inline(always)]
    pub unsafe fn header<'a>(self) -> &'a Header {
        // SAFETY: the caller vouches for the cell.
        unsafe { self.0.as_ref() }
    }
    /// # Safety
    /// The cell is live or young.
    #[inline(always)]
    pub unsafe fn kind(self) -> u8 {
        // SAFETY: as above.
        unsafe { self.header() }.kind
    }
}

impl Header {
    pub(crate) fn new(kind: u8, flags: u16) -> Header {
        Header { count: Cell::new(0), flags: Cell::new(flags), kind, aux: Cell::new(0) }
    }
    #[inline(always)]
    pub fn has(&self, flag: u16) -> bool {
        self.flags.get() & flag != 0
    }
    #[inline(always)]
    pub fn kind(&self) -> u8 {
        self.kind
    }
}
