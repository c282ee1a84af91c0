//! What a type tells the collector of itself: [`Trace`], and [`Rootable`] for the types that outlast a mutation.
//!
//! Imports `gc`, `map`, `mutation`, `object`.

use super::gc::Gc;
use super::map::Map;
use super::mutation::Mutation;
use crate::object::Ref;

pub use neap_gc_derive::{Rootable, Trace};

/// A type that can stand on the heap of an arena: it shows the collector every [`Gc`] in it.
///
/// Derive it. The derived implementation looks into every field, and costs nothing where there are no references:
///
/// ```
/// use neap_gc::arena::{Gc, Lock, Trace};
///
/// #[derive(Trace)]
/// struct Node<'gc> {
///     next: Lock<Option<Gc<'gc, Node<'gc>>>>,
///     number: u64,
///     // Whatever holds no `Gc`: the collector does not look into it, and its destructor runs when the node dies.
///     #[trace(static)]
///     name: std::ffi::OsString,
/// }
///
/// #[derive(Trace)]
/// enum Value<'gc, T> {
///     Nil,
///     Number(f64),
///     Pair(Gc<'gc, (T, T)>),
/// }
/// # fn is_trace<'gc, T: Trace<'gc>>() {}
/// # is_trace::<(Node, Value<u8>)>();
/// ```
///
/// On a type, the attribute `#[trace(...)]` says:
///
/// | | |
/// |---|---|
/// | `static` | the type holds no `Gc`; it may implement `Drop`, and need not have fields that are `Trace` |
/// | `no_drop` | it does not implement `Drop`: the default, said aloud |
/// | `finalize` | it implements [`Finalize`], so that its objects can be given a finalizer |
/// | `bound = "T: Bound"` | these bounds in place of `T: Trace<'gc>` for each type parameter |
/// | `gc = 'a` | of several lifetimes, that is the brand (else it is the one called `'gc`) |
///
/// and on a field `static`, as above. What is `static` is `'static`, and `Send`, because an arena may be sent to another thread with everything in it; what is not `Send`
/// goes into a [`Local`](super::Local).
///
/// **A type with `Gc` in it can't implement `Drop`**: its destructor would run when the objects that it refers to may be gone. What has to be done when an object dies
/// is done by the destructor of a `static` field, or by a finalizer.
///
/// # Safety
/// For who writes it by hand:
/// 1. `trace` calls `trace` for every value in the type that may hold a `Gc`, with the same references in the same order each time, as long as the value is
///    unchanged. A reference that is left out leads to a use of freed memory.
/// 2. `trace` does nothing else: it does not allocate, panic, or read a clock.
/// 3. What `trace` shows changes only behind a [`Write`](super::Write), that is by a lock. Nothing that can be changed by another way (a `Cell`, an `Rc` that is shared
///    with a value outside) is shown.
/// 4. `MAP` is [`Map::ANY`], or exact: null or a reference that `trace` shows, in each of its words.
/// 5. The destructor of the type, if it has one, does not touch a `Gc`.
/// 6. With every `Gc` in it taken as `Send`, the type is `Send`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't stand on the heap of an arena: it is not `Trace`",
    label = "not `Trace`",
    note = "for a type of your own: `#[derive(Trace)]`",
    note = "for a type without `Gc` of another crate: `#[trace(static)]` on the field, or `Static<...>` around it",
    note = "`Cell` and `RefCell` with a `Gc` would change behind the collector's back: use `Lock` and `RefLock`; an `Rc` with a `Gc` would be shared by two parents: use a `Gc`"
)]
pub unsafe trait Trace<'gc>: Sized + 'gc {
    /// Where the references lie.
    const MAP: Map;
    /// For [`Finalize`]; `#[trace(finalize)]` sets it.
    const FINALIZE: Option<Finalizer<'gc, Self>> = None;

    /// Shows every reference.
    fn trace(&self, tracer: &mut Tracer<'_>);
}

/// To whom references are shown: what a [`Trace`] that is written by hand hands on.
///
/// ```
/// use neap_gc::arena::{Arena, Gc, Map, Trace, Tracer};
///
/// /// A list of another crate, say.
/// struct List<T>(Vec<T>);
///
/// // SAFETY: every element is shown; a list owns them, and is changed by `&mut` alone.
/// unsafe impl<'gc, T: Trace<'gc>> Trace<'gc> for List<T> {
///     const MAP: Map = Map::ANY;
///     fn trace(&self, tracer: &mut Tracer<'_>) {
///         self.0.iter().for_each(|element| element.trace(tracer));
///     }
/// }
///
/// let mut arena = Arena::<()>::new(|_| ());
/// arena.mutate(|mc, _| {
///     let list = mc.alloc(List(vec![mc.alloc(1), mc.alloc(2)]));
///     assert_eq!(*list.0[1], 2);
/// });
/// ```
pub struct Tracer<'t> {
    visit: &'t mut dyn FnMut(Ref),
}

impl<'t> Tracer<'t> {
    #[inline(always)]
    pub(super) fn new(visit: &'t mut dyn FnMut(Ref)) -> Tracer<'t> {
        Tracer { visit }
    }
    /// Shows one reference.
    #[inline]
    pub fn reference<T: ?Sized>(&mut self, gc: Gc<'_, T>) {
        (self.visit)(gc.cell());
    }
    #[inline]
    pub(super) fn cell(&mut self, cell: Ref) {
        (self.visit)(cell);
    }
}

/// What runs when an object that has been given a finalizer ([`Gc::finalize`]) has died: with the object whole, and everything that it refers to.
///
/// It may store the object, or anything that it leads to, somewhere that lives: then that lives on. It runs in a mutation of its own, after the collector has stopped,
/// once; a finalizer that is to run another time is given again.
///
/// ```
/// use neap_gc::arena::{Arena, Finalize, Gc, Lock, Mutation, Rootable, Trace};
///
/// #[derive(Trace)]
/// #[trace(finalize)]
/// struct Connection<'gc> {
///     number: u32,
///     closed: Gc<'gc, Lock<u32>>,
/// }
///
/// impl<'gc> Finalize<'gc> for Connection<'gc> {
///     fn finalize(this: Gc<'gc, Self>, mc: &'gc Mutation<'gc>) {
///         this.closed.set(mc, this.number);
///     }
/// }
///
/// #[derive(Trace, Rootable)]
/// struct Root<'gc> {
///     closed: Gc<'gc, Lock<u32>>,
/// }
///
/// let mut arena = Arena::<Root>::new(|mc| Root { closed: mc.alloc(Lock::new(0)) });
/// arena.mutate(|mc, root| {
///     let connection = mc.alloc(Connection { number: 7, closed: root.closed });
///     Gc::finalize(connection, mc);
/// });
/// arena.collect();
/// assert_eq!(arena.mutate(|_, root| root.closed.get()), 7);
/// ```
pub trait Finalize<'gc>: Trace<'gc> {
    fn finalize(this: Gc<'gc, Self>, mc: &'gc Mutation<'gc>);
}

/// The form of a finalizer.
pub type Finalizer<'gc, T> = fn(Gc<'gc, T>, &'gc Mutation<'gc>);

/// A type that exists for every brand: what the root of an arena is, and what a [`DynamicRoot`](super::DynamicRoot) leads to.
///
/// Derive it for a type with a brand; the type itself, with any lifetime in its place, then stands for all of them.
///
/// ```
/// use neap_gc::arena::{Arena, Gc, Rootable, Trace};
///
/// #[derive(Trace, Rootable)]
/// struct Root<'gc> {
///     names: Vec<Gc<'gc, String>>,
/// }
/// let arena: Arena<Root> = Arena::new(|mc| Root { names: vec![mc.alloc("neap".to_string())] });
///
/// // Types made of such types need no name.
/// let arena: Arena<Gc<Root>> = Arena::new(|mc| mc.alloc(Root { names: Vec::new() }));
/// ```
pub trait Rootable {
    /// The type with the brand `'gc`.
    type Root<'gc>: Trace<'gc>;
}
