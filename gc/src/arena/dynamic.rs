//! Trait objects on the heap: `Gc<Dyn<dyn Trait>>`, one word.
//!
//! The cell of an object that was allocated as `Dyn` begins with the wide pointer to the object itself, which stands behind it. So nothing has to be known of how
//! the compiler makes wide pointers, and the pointer in an object of the program is thin. It costs two words in each such object.
//!
//! Invariants:
//! * **leads-to-itself** The pointer of a `Dyn` was made of the value that stands behind it in the same cell, which does not move, and which nobody borrows uniquely.
//! * **one-place** A `Dyn` and what has one in front begin at the same place of their cells.
//!
//! Imports `descriptor`, `gc`, `map`, `mutation`, `trace`.

use super::descriptor::Layout;
use super::gc::Gc;
use super::map::Map;
use super::mutation::{Mutation, out_of_memory};
use super::trace::{Trace, Tracer};
use crate::heap::OutOfMemory;
use std::fmt;
use std::ops::Deref;

/// What a `Gc` to a trait object leads to; in its turn it leads to the object.
///
/// ```
/// use neap_gc::arena::{Arena, Dyn, Gc, Lock, Mutation, Trace};
///
/// trait Shape<'gc> {
///     fn area(&self) -> f64;
///     fn inner(&self) -> Option<Gc<'gc, Dyn<dyn Shape<'gc> + 'gc>>> {
///         None
///     }
/// }
/// #[derive(Trace)]
/// struct Square(f64);
/// #[derive(Trace)]
/// struct Frame<'gc>(f64, Gc<'gc, Dyn<dyn Shape<'gc> + 'gc>>);
///
/// impl<'gc> Shape<'gc> for Square {
///     fn area(&self) -> f64 {
///         self.0 * self.0
///     }
/// }
/// impl<'gc> Shape<'gc> for Frame<'gc> {
///     fn area(&self) -> f64 {
///         self.0 * self.0 - self.1.area()
///     }
///     fn inner(&self) -> Option<Gc<'gc, Dyn<dyn Shape<'gc> + 'gc>>> {
///         Some(self.1)
///     }
/// }
///
/// let mut arena = Arena::<()>::new(|_| ());
/// arena.mutate(|mc, _| {
///     let square: Gc<Dyn<dyn Shape>> = mc.alloc_dyn(Square(1.0), |value| value);
///     let frame: Gc<Dyn<dyn Shape>> = mc.alloc_dyn(Frame(2.0, square), |value| value);
///     assert_eq!((frame.area(), size_of_val(&frame)), (3.0, 8));
///     assert!(frame.inner() == Some(square));
/// });
/// ```
#[repr(C)]
pub struct Dyn<U: ?Sized> {
    to: *const U,
}

impl<U: ?Sized> Deref for Dyn<U> {
    type Target = U;
    #[inline(always)]
    fn deref(&self) -> &U {
        // SAFETY: leads-to-itself.
        unsafe { &*self.to }
    }
}
impl<U: ?Sized + fmt::Debug> fmt::Debug for Dyn<U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

// SAFETY: there is no value of it but in front of a `Value`, whose descriptor its cell has.
unsafe impl<'gc, U: ?Sized + 'gc> Trace<'gc> for Dyn<U> {
    const MAP: Map = Map::FOUND;
    fn trace(&self, _: &mut Tracer<'_>) {}
}

#[repr(C)]
struct Value<U: ?Sized, T> {
    head: Dyn<U>,
    value: T,
}

// SAFETY: as for `T`; the pointer leads to it.
unsafe impl<'gc, U: ?Sized + 'gc, T: Trace<'gc>> Trace<'gc> for Value<U, T> {
    /// one-place: like that of `Dyn`.
    const MAP: Map = Map::FOUND;
    #[inline]
    fn trace(&self, tracer: &mut Tracer<'_>) {
        self.value.trace(tracer);
    }
}

impl<'gc> Mutation<'gc> {
    /// Puts a value on the heap as a trait object: `mc.alloc_dyn(value, |value| value)`, where the type that is asked for says which.
    ///
    /// # Panics
    /// As [`Mutation::alloc`].
    pub fn alloc_dyn<U: ?Sized + 'gc, T: Trace<'gc>>(&self, value: T, coerce: for<'a> fn(&'a T) -> &'a U) -> Gc<'gc, Dyn<U>> {
        self.try_alloc_dyn(value, coerce).unwrap_or_else(|error| out_of_memory(error))
    }
    /// The same, with an error for a heap without memory.
    pub fn try_alloc_dyn<U: ?Sized + 'gc, T: Trace<'gc>>(
        &self,
        value: T,
        coerce: for<'a> fn(&'a T) -> &'a U,
    ) -> Result<Gc<'gc, Dyn<U>>, OutOfMemory> {
        const { assert!(Layout::<Value<U, T>>::OFFSET == Layout::<Dyn<U>>::OFFSET) };
        let to = std::ptr::from_ref(coerce(&value));
        let object: Gc<'gc, Value<U, T>> = self.try_alloc(Value { head: Dyn { to }, value })?;
        // It is made anew of the value where it stands for good. What the value owns stays where it is; `coerce` may as well have led there, or to a constant.
        let to = std::ptr::from_ref(coerce(&Gc::to_ref(object).value));
        // SAFETY: the object is young, nobody else knows of it, and `head` is at its place; one-place.
        unsafe {
            let head = object.cell().as_ptr().add(Layout::<Value<U, T>>::OFFSET).cast::<Dyn<U>>();
            head.write(Dyn { to });
            Ok(Gc::from_cell(object.cell()))
        }
    }
}
