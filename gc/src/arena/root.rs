//! [`DynamicRoot`]: an object held from outside of the arena.
//!
//! Invariants:
//! * **held-by-its-arena** A dynamic root is a handle of the heap, which knows the heap that made it: any other refuses it.
//! * **held-as-it-was** The object of a `DynamicRoot<R>` is an `R::Root<'gc>` for the brand of the mutation that made it, and so for any brand.
//!
//! Imports `gc`, `mutation`, `trace`, and the heap.

use super::gc::Gc;
use super::mutation::Mutation;
use super::trace::Rootable;
use crate::heap::Handle;
use std::fmt;
use std::marker::PhantomData;

/// Keeps an object of an arena alive from Rust data that knows nothing of brands: it is `'static`, it can be dropped anywhere, on another thread too, and it leads
/// to its object in any mutation of its arena.
///
/// What it holds lives on until a collection after it has been dropped. It costs the collector something only when it is made and when it is dropped. One that is
/// held by an object of the arena itself keeps that in a cycle which nobody finds.
///
/// ```
/// use neap_gc::arena::{Arena, DynamicRoot, Gc, Lock};
///
/// let mut arena = Arena::<()>::new(|_| ());
/// let counter: DynamicRoot<Lock<u32>> = arena.mutate(|mc, _| mc.hold(mc.alloc(Lock::new(0))));
/// for _ in 0..3 {
///     arena.mutate(|mc, _| {
///         let counter = mc.fetch(&counter);
///         counter.set(mc, counter.get() + 1);
///     });
///     arena.collect_cycles();
/// }
/// assert_eq!(arena.mutate(|mc, _| mc.fetch(&counter).get()), 3);
///
/// // Another arena refuses it.
/// let mut other = Arena::<()>::new(|_| ());
/// assert!(other.mutate(|mc, _| mc.try_fetch(&counter).is_none()));
/// ```
pub struct DynamicRoot<R: Rootable> {
    handle: Handle,
    kind: PhantomData<fn() -> R>,
}

impl<'gc> Mutation<'gc> {
    /// Holds an object from outside: see [`DynamicRoot`].
    pub fn hold<R: Rootable>(&self, object: Gc<'gc, R::Root<'gc>>) -> DynamicRoot<R> {
        // SAFETY: branded.
        DynamicRoot { handle: unsafe { self.heap().handle(object.cell()) }, kind: PhantomData }
    }

    /// The object of a dynamic root.
    ///
    /// # Panics
    /// If it is one of another arena.
    pub fn fetch<R: Rootable>(&self, root: &DynamicRoot<R>) -> Gc<'gc, R::Root<'gc>> {
        self.try_fetch(root).expect("a dynamic root of another arena")
    }

    /// The same, `None` for one of another arena.
    pub fn try_fetch<R: Rootable>(&self, root: &DynamicRoot<R>) -> Option<Gc<'gc, R::Root<'gc>>> {
        // SAFETY: held-by-its-arena, held-as-it-was.
        self.heap().owns_handle(&root.handle).then(|| unsafe { Gc::from_cell(self.heap().held(&root.handle)) })
    }

    /// Lets a dynamic root hold another object.
    ///
    /// # Panics
    /// If it is one of another arena.
    pub fn set_held<R: Rootable>(&self, root: &DynamicRoot<R>, object: Gc<'gc, R::Root<'gc>>) {
        // SAFETY: branded.
        unsafe { self.heap().set_handle(&root.handle, object.cell()) };
    }
}

impl<R: Rootable> fmt::Debug for DynamicRoot<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(DynamicRoot)")
    }
}
