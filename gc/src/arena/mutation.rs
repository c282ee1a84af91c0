//! [`Mutation`]: what a program can do while it looks at the objects of an arena: allocate, and write behind the barrier.
//!
//! Nothing is collected here, so everything takes the arena by shared reference. What the heap asks to be done at a safepoint waits until the mutation is over.
//!
//! Invariants:
//! * **initialised-at-once** A cell is initialised before anything else is called, so whatever unwinds leaves a heap in order.
//!
//! Imports `descriptor`, `gc`, `trace`, `types`, and the heap.

use super::descriptor::{DESCRIPTOR_AT, Descriptor, Layout, WORDS, word};
use super::gc::{Brand, Gc};
use super::trace::Trace;
use super::types::{Types, slots};
use crate::heap::{Heap, OutOfMemory};
use crate::object::Ref;
use std::fmt;

/// The handle of a mutation: see [`Arena::mutate`](super::Arena::mutate). Functions that allocate or write take it as `mc: &Mutation<'gc>`.
///
/// The functions that allocate come in two forms: one that returns an error when the memory limit is reached, and one without `try_` in its name that panics then.
/// Below a limit a program does best to allocate what its input sizes by `try_`.
///
/// ```
/// use neap_gc::arena::{Arena, Gc, Mutation, OutOfMemory, Trace};
///
/// #[derive(Trace)]
/// struct Tree<'gc>(Option<[Gc<'gc, Tree<'gc>>; 2]>);
///
/// fn tree<'gc>(mc: &Mutation<'gc>, depth: u32) -> Result<Gc<'gc, Tree<'gc>>, OutOfMemory> {
///     let children = if depth > 0 { Some([tree(mc, depth - 1)?, tree(mc, depth - 1)?]) } else { None };
///     mc.try_alloc(Tree(children))
/// }
///
/// let mut arena = Arena::<()>::new(|_| ());
/// assert!(arena.mutate(|mc, _| tree(mc, 10).is_ok()));
/// ```
#[repr(transparent)]
pub struct Mutation<'gc> {
    heap: Heap<Types>,
    brand: Brand<'gc>,
}

impl<'gc> Mutation<'gc> {
    /// # Safety
    /// The brand is given to nobody else, and no safepoint comes while it can be used. The roots are written before anything in the heap is looked at.
    #[inline(always)]
    pub(super) unsafe fn of(heap: &Heap<Types>) -> &Mutation<'gc> {
        // SAFETY: the same layout.
        unsafe { &*std::ptr::from_ref(heap).cast() }
    }
    #[inline(always)]
    pub(super) fn heap(&self) -> &Heap<Types> {
        &self.heap
    }

    /// Puts a value on the heap: in the usual case some ten instructions.
    ///
    /// # Panics
    /// If the memory limit is reached, or the system has no more memory.
    ///
    /// ```
    /// # let mut arena = neap_gc::arena::Arena::<()>::new(|_| ());
    /// arena.mutate(|mc, _| assert_eq!(*mc.alloc((1, 2)), (1, 2)));
    /// ```
    #[inline(always)]
    pub fn alloc<T: Trace<'gc>>(&self, value: T) -> Gc<'gc, T> {
        match self.try_alloc(value) {
            Ok(gc) => gc,
            Err(error) => out_of_memory(error),
        }
    }

    /// The same, with an error for a heap without memory. The value is dropped then.
    ///
    /// ```
    /// use neap_gc::arena::{Arena, Config};
    ///
    /// let config = Config { limit_bytes: 8 << 20, ..Config::default() };
    /// let mut arena = Arena::<()>::with_config(config, |_| ());
    /// let most = arena.mutate(|mc, _| (0_u64..).take_while(|&n| mc.try_alloc([n; 16]).is_ok()).count());
    /// assert!((20_000..60_000).contains(&most));
    /// ```
    #[inline(always)]
    pub fn try_alloc<T: Trace<'gc>>(&self, value: T) -> Result<Gc<'gc, T>, OutOfMemory> {
        // SAFETY: a kind of the table, and room for the value; initialised-at-once.
        unsafe {
            let cell = self.heap.alloc(Layout::<T>::KIND, Layout::<T>::SIZE)?;
            if Layout::<T>::KIND == WORDS {
                cell.header().aux.set(Layout::<T>::AUX);
            }
            if !Layout::<T>::PLAIN {
                describe(cell, Layout::<T>::DESCRIPTOR);
            }
            cell.as_ptr().add(Layout::<T>::OFFSET).cast::<T>().write(value);
            if cfg!(debug_assertions) && Layout::<T>::PLAIN && self.heap.runtime().checks.is_on() {
                self.heap.runtime().checks.allocated(cell, Layout::<T>::DESCRIPTOR);
            }
            Ok(Gc::from_cell(cell))
        }
    }

    // ---- barriers

    /// Before a write to a cell without slots.
    #[inline(always)]
    pub(super) fn barrier(&self, cell: Ref) {
        // SAFETY: branded: the cell is live or young.
        unsafe { self.heap.barrier(cell, 0) };
    }
    /// To any slot of a cell.
    #[inline]
    pub(super) fn barrier_slots(&self, cell: Ref) {
        // SAFETY: branded; it has these slots.
        unsafe { self.heap.barrier_range(cell, 0..slots(cell)) };
    }
    /// To a slot of one.
    #[inline(always)]
    pub(super) fn barrier_at(&self, cell: Ref, slot: usize) {
        // SAFETY: branded.
        unsafe { self.heap.barrier(cell, slot) };
    }

    pub(super) fn set_finalizer(&self, cell: Ref) {
        // SAFETY: branded.
        unsafe {
            if self.heap.runtime().finalizing.get() {
                self.heap.rearm_finalizer(cell);
            } else {
                self.heap.set_finalizer(cell);
            }
        }
    }

    // ---- figures

    /// Bytes in use: see [`Arena::used_bytes`](super::Arena::used_bytes).
    pub fn used_bytes(&self) -> usize {
        self.heap.used_bytes()
    }
    /// Whether the heap would like the mutation to end soon, so that it can work. A mutation that goes on for long returns when this is `true`, and is begun anew;
    /// else its garbage waits, and the pause behind it grows with what it has done.
    ///
    /// ```
    /// # let mut arena = neap_gc::arena::Arena::<()>::new(|_| ());
    /// let mut made = 0;
    /// while made < 1_000_000 {
    ///     arena.mutate(|mc, _| {
    ///         while made < 1_000_000 && !mc.wants_safepoint() {
    ///             mc.alloc(made);
    ///             made += 1;
    ///         }
    ///     });
    /// }
    /// assert!(arena.peak_bytes() < 32 << 20);
    /// ```
    #[inline(always)]
    pub fn wants_safepoint(&self) -> bool {
        self.heap.wants_safepoint()
    }
}

/// # Safety
/// A new cell of a kind with a descriptor.
#[inline(always)]
pub(super) unsafe fn describe(cell: Ref, descriptor: &'static Descriptor) {
    // SAFETY: by the caller.
    unsafe { word(cell, DESCRIPTOR_AT).cast::<&'static Descriptor>().write(descriptor) };
}

#[cold]
#[inline(never)]
#[track_caller]
pub(super) fn out_of_memory(error: OutOfMemory) -> ! {
    panic!(
        "{error}: the arena has come to its limit, or the system has no more (a function with `try_` in its name returns an error)"
    )
}

impl fmt::Debug for Mutation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutation").field("used_bytes", &self.used_bytes()).finish_non_exhaustive()
    }
}
