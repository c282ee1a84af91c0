//! The ceiling: objects are cut off a large piece of memory one after the other, and never freed. No collector can do less; what it takes longer than this is what its
//! collecting costs, less what the program gains where memory that is used again is still in the cache.

use crate::meter::Meter;
use crate::owning::{nodes, weak_cache, workloads};
use crate::workloads::{CACHE_BATCH, Cache, Contender, GROUP, Graph, LIST_BATCH, Lists, Sessions, Step, Sum, Trees, Use};
use std::alloc::Layout;
use std::cell::{Cell, UnsafeCell};
use std::ops::Deref;

/// Bytes that are asked for at a time.
const PIECE: usize = 1 << 20;

thread_local! {
    /// The free rest of the last piece: where it begins, and how long it is.
    static REST: Cell<(*mut u8, usize)> = const { Cell::new((std::ptr::null_mut(), 0)) };
}

fn cut(layout: Layout) -> *mut u8 {
    let (first, length) = REST.get();
    let skip = first.align_offset(layout.align());
    let taken = skip + layout.size();
    if taken > length {
        // SAFETY: not of size 0.
        let piece = unsafe { std::alloc::alloc(Layout::from_size_align_unchecked(PIECE, 16)) };
        assert!(!piece.is_null() && layout.size() <= PIECE && layout.align() <= 16, "memory for an object");
        REST.set((piece.wrapping_add(layout.size()), PIECE - layout.size()));
        return piece;
    }
    REST.set((first.wrapping_add(taken), length - taken));
    first.wrapping_add(skip)
}

struct Ptr<T: 'static>(&'static T);

impl<T> Ptr<T> {
    #[inline(always)]
    fn new(value: T) -> Ptr<T> {
        let place = cut(Layout::new::<T>()).cast::<T>();
        // SAFETY: room for a value, of which nobody else has an address; it is never freed.
        unsafe {
            place.write(value);
            Ptr(&*place)
        }
    }
}
impl<T> Clone for Ptr<T> {
    fn clone(&self) -> Ptr<T> {
        Ptr(self.0)
    }
}
impl<T> Deref for Ptr<T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.0
    }
}

/// As a `RefCell`, without the flag.
struct Slot<T>(UnsafeCell<T>);

impl<T> Slot<T> {
    fn new(value: T) -> Slot<T> {
        Slot(UnsafeCell::new(value))
    }
    fn borrow(&self) -> &T {
        // SAFETY: the workloads run with `RefCell`, too, so that no borrow that forbids another lasts while that is made.
        unsafe { &*self.0.get() }
    }
    #[expect(clippy::mut_from_ref, reason = "as a `RefCell` does")]
    fn borrow_mut(&self) -> &mut T {
        // SAFETY: as above.
        unsafe { &mut *self.0.get() }
    }
}

nodes! {}

struct Value {
    slot: usize,
    #[allow(dead_code)]
    more: usize,
}

/// A reference that finds its object always, so the look-ups of the cache find what has been let go too.
struct Weak<T: 'static>(Ptr<T>);
impl<T> Weak<T> {
    fn upgrade(&self) -> Option<Ptr<T>> {
        Some(self.0.clone())
    }
}
fn downgrade(value: &Ptr<Value>) -> Weak<Value> {
    Weak(value.clone())
}

fn settle(_: u64, _: u64) {}
fn finish() {}

pub struct Bump;
impl Contender for Bump {
    workloads!();
    weak_cache!(Weak);
}
