//! The 8-byte header at the start of every cell, and the states of a cell.
//!
//! What a cell is stands in two places: the `live` and `mark` bits of its block (`memory::segment`), and the flags of its header.
//!
//! ```text
//!                 alloc                    an epoch end finds it referred to
//!     free ---------------->  young  ------------------------------------------>  mature
//!      ^                  YOUNG, !live   (promotion; it becomes BY_SLOT if it      live
//!      |                      |           is an array of 512 bytes or more)         |
//!      |   the epoch ends     |                                                     | its count falls to 0
//!      +----------------------+                                                     v
//!      |                      |              logged, dirty, or weakly read ---> waiting ---+ referred to again:
//!      |                      | weakly held                                     WAITING    | mature
//!      |                      v                                                     |      +
//!      |  no list and      corpse   <-----------  dying  <---------------------- dead by counting
//!      |  no weak slot     CORPSE     the last    DYING    references given back     |
//!      |  names it         live       slice       live     in slices                | FINALIZER: mature again,
//!      +----------------------+---------------------+-------------------------------+ queued for its finalizer
//!      |
//!      |  the release of a cycle
//!      +---------------------- detached  <-------------------------------- unmarked at the second fixpoint
//!                              DETACHED, live, !mark
//! ```
//!
//! The other flags say which lists name the cell (HOLDER, FINALIZABLE, WEAKLY_HELD of a corpse: the cell is kept until they have let it go), how its writes
//! are recorded (LOGGED, BY_SLOT), and what weak references may know of it (WEAK_READ, WEAK_DEAD, INTERNED).

use std::cell::Cell;
use std::ptr::NonNull;

/// Flags of a header. All but [`flags::LOGGED`] (read by the inlined barrier) are the collector's business. A mature object of an ordinary kind
/// that nothing special happened to has none of them, which is what the fast paths test for.
pub mod flags {
    /// Writes need no barrier: the object is young, or its references were recorded in this epoch. On a mature thread: it is listed as touched.
    pub const LOGGED: u16 = 1 << 0;
    /// Allocated in this epoch (R1).
    pub const YOUNG: u16 = 1 << 1;
    /// Has a finalizer that has not been queued.
    pub const FINALIZER: u16 = 1 << 2;
    /// Some weak slot may name the object.
    pub const WEAKLY_HELD: u16 = 1 << 3;
    /// A cell of an indexed shape whose writes are recorded slot by slot, with a dirty bit for each: a large run from its birth on, a cell of 512
    /// bytes or more from its promotion on. Also LOGGED if all its slots have been recorded.
    pub const BY_SLOT: u16 = 1 << 4;
    /// Was loaded through a weak reference in this epoch: at count 0 it waits for the next epoch end (R14).
    pub const WEAK_READ: u16 = 1 << 5;
    /// Stands on the waiting list (R3).
    pub const WAITING: u16 = 1 << 6;
    /// Dead, its references given back; the cell is kept while a list or a weak slot may still name it (R12).
    pub const CORPSE: u16 = 1 << 7;
    /// Reads as nil through weak references until a cleaning pass has ended (R16).
    pub const WEAK_DEAD: u16 = 1 << 8;
    /// Stands in the runtime's table of interned cells (R15).
    pub const INTERNED: u16 = 1 << 9;
    /// Dead, its references being given back in slices (R19).
    pub const DYING: u16 = 1 << 10;
    /// A cell with BY_SLOT whose marking is complete; means something only while the mark bit is set (R19).
    pub const BLACK: u16 = 1 << 11;
    /// Stands in the list of weak holders.
    pub const HOLDER: u16 = 1 << 12;
    /// Stands in the list of finalizable objects.
    pub const FINALIZABLE: u16 = 1 << 13;
    /// The kind has a destructor, a weak shape, or is a thread: its death takes the slow path.
    pub const SPECIAL: u16 = 1 << 14;
    /// Dead by the verdict of a cycle, its references to live objects given back (R25).
    pub const DETACHED: u16 = 1 << 15;
}

/// A count that has reached this stays for ever; only marking can find such an object dead.
pub const STICKY: u32 = u32::MAX;

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
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
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
    pub(crate) const fn as_nonnull(self) -> NonNull<u8> {
        self.0.cast()
    }
    /// # Safety
    /// `addr` is what [`Ref::addr`] gave.
    #[inline(always)]
    pub(crate) const unsafe fn from_addr(addr: usize) -> Ref {
        // SAFETY: the caller vouches for it, so it isn't 0.
        Ref(unsafe { NonNull::new_unchecked(std::ptr::with_exposed_provenance_mut(addr)) })
    }
    #[inline(always)]
    pub fn addr(self) -> usize {
        self.0.as_ptr().expose_provenance()
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
    /// Where the flags stand (16 bits), for a barrier that is compiled elsewhere: the inlined half of [`crate::Heap::barrier`] reads one of them.
    pub const FLAGS_OFFSET: usize = std::mem::offset_of!(Header, flags);
    /// Where the number of the kind stands (8 bits).
    pub const KIND_OFFSET: usize = std::mem::offset_of!(Header, kind);

    #[inline(always)]
    pub(crate) const fn new(kind: u8, flags: u16) -> Header {
        Header { count: Cell::new(0), flags: Cell::new(flags), kind, aux: Cell::new(0) }
    }
    #[inline(always)]
    pub fn has(&self, flag: u16) -> bool {
        self.flags.get() & flag != 0
    }
    #[inline(always)]
    pub(crate) fn set(&self, flag: u16) {
        self.flags.set(self.flags.get() | flag);
    }
    #[inline(always)]
    pub(crate) fn unset(&self, flag: u16) {
        self.flags.set(self.flags.get() & !flag);
    }
    #[inline(always)]
    pub fn kind(&self) -> u8 {
        self.kind
    }
}
