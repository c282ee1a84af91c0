//! Content that holds no [`Gc`](super::Gc): [`StaticContent`], and the wrappers [`Static`] and [`Local`] for types of other crates.
//!
//! Imports `map`, `trace`.

use super::map::Map;
use super::trace::{Rootable, Trace, Tracer};
use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::thread::{self, ThreadId};

/// What a `static` type or field may be: it borrows nothing, no [`Gc`](super::Gc) above all, and may go to another thread with its arena.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no static content",
    note = "it must be `'static`, so hold no `Gc`, and `Send`, since an arena can be sent to another thread with all that is in it",
    note = "what is bound to its thread, such as an `Rc`, goes into a `neap_gc::arena::Local`"
)]
pub trait StaticContent: 'static + Send {}
impl<T: ?Sized + 'static + Send> StaticContent for T {}

/// For the derived implementations.
#[doc(hidden)]
#[inline(always)]
pub const fn assert_static<T: ?Sized + StaticContent>() {}

/// A value without [`Gc`](super::Gc) of a type that is not [`Trace`]. It leads to the value by `Deref`; the value's destructor runs when its object dies.
///
/// ```
/// use neap_gc::arena::{Arena, Static};
///
/// let mut arena = Arena::<()>::new(|_| ());
/// arena.mutate(|mc, _| {
///     let version = mc.alloc(Static(std::process::id()..10_000_000));
///     assert!(!version.is_empty());
/// });
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
#[repr(transparent)]
pub struct Static<T>(pub T);

impl<T> Deref for Static<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}
impl<T> DerefMut for Static<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

// SAFETY: no `Gc` in it, and `Send`.
unsafe impl<'gc, T: StaticContent> Trace<'gc> for Static<T> {
    const MAP: Map = Map::EMPTY;
    fn trace(&self, _: &mut Tracer<'_>) {}
}
impl<T: StaticContent> Rootable for Static<T> {
    type Root<'gc> = Static<T>;
}

/// A value that is bound to the thread that made it, such as an `Rc`.
///
/// The arena can be sent to another thread all the same: there the value can't be reached, and if its object dies there the value is forgotten, and its destructor
/// does not run.
///
/// ```
/// use neap_gc::arena::{Arena, Gc, Local};
/// use std::rc::Rc;
///
/// let shared = Rc::new(5);
/// let mut arena = Arena::<Gc<Local<Rc<u32>>>>::new(|mc| mc.alloc(Local::new(shared.clone())));
/// assert_eq!(arena.mutate(|_, root| **root.get()), 5);
/// std::thread::scope(|scope| {
///     let elsewhere = scope.spawn(move || arena.mutate(|_, root| root.try_get().is_none()));
///     assert!(elsewhere.join().unwrap());
/// });
/// ```
pub struct Local<T> {
    value: ManuallyDrop<T>,
    home: ThreadId,
}

// SAFETY: the value is looked at, and dropped, only by the thread that made it.
unsafe impl<T> Send for Local<T> {}

impl<T> Local<T> {
    pub fn new(value: T) -> Local<T> {
        Local { value: ManuallyDrop::new(value), home: thread::current().id() }
    }
    /// # Panics
    /// On any other thread than the one that made the value.
    #[track_caller]
    pub fn get(&self) -> &T {
        self.try_get().expect("a value that is bound to another thread")
    }
    /// `None` on any other thread.
    pub fn try_get(&self) -> Option<&T> {
        (thread::current().id() == self.home).then_some(&*self.value)
    }
}

impl<T> Drop for Local<T> {
    fn drop(&mut self) {
        // Where there is no current thread any more, it is not the home of anything.
        if thread::current().id() == self.home {
            // SAFETY: the value is not used again.
            unsafe { ManuallyDrop::drop(&mut self.value) };
        }
    }
}

// SAFETY: no `Gc` in it, and `Send`.
unsafe impl<'gc, T: 'static> Trace<'gc> for Local<T> {
    const MAP: Map = Map::EMPTY;
    fn trace(&self, _: &mut Tracer<'_>) {}
}
impl<T: 'static> Rootable for Local<T> {
    type Root<'gc> = Local<T>;
}

impl<T: fmt::Debug> fmt::Debug for Local<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Local").field(&self.try_get()).finish()
    }
}
