//! The gate: closed while a callback runs, so that functions which it must not call say so.
//!
//! Allocation asks nothing extra for that: it compares its size with the least of the type, and while the gate is closed each
//! type has more than any size.
//!
//! Imports nothing of the crate.

use std::cell::Cell;

/// Types that a header can tell apart.
pub const TYPES: usize = 256;

/// The least that an object of each type has, in bytes.
pub type Sizes = [usize; TYPES];

/// No type may be allocated.
static NONE: Sizes = [usize::MAX; TYPES];

pub struct Gate {
    /// What allocation looks at: `open`, or that nothing may be.
    pub sizes: Cell<*const Sizes>,
    open: Cell<*const Sizes>,
    closed: Cell<u32>,
}

impl Gate {
    /// `sizes` lasts as long as the gate is used.
    pub fn new(sizes: *const Sizes) -> Gate {
        Gate { sizes: Cell::new(sizes), open: Cell::new(sizes), closed: Cell::new(0) }
    }
    #[inline(always)]
    pub fn is_closed(&self) -> bool {
        self.closed.get() != 0
    }
    /// Calls back with the gate closed.
    #[inline]
    pub fn closed<T>(&self, call: impl FnOnce() -> T) -> T {
        self.closed.set(self.closed.get() + 1);
        self.sizes.set(&raw const NONE);
        let result = call();
        self.closed.set(self.closed.get() - 1);
        if self.closed.get() == 0 {
            self.sizes.set(self.open.get());
        }
        result
    }
}
