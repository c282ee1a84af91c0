//! The safe face of the heap: objects of Rust that refer to each other as they like, and a compiler that sees to it that none is used when it is gone.
//!
//! ```
//! #![forbid(unsafe_code)]
//! use neap_gc::arena::{Arena, Gc, Lock, Rootable, Trace, field};
//!
//! #[derive(Trace, Rootable)]
//! struct Person<'gc> {
//!     name: String,
//!     friend: Lock<Option<Gc<'gc, Person<'gc>>>>,
//! }
//!
//! let mut arena = Arena::<Option<Gc<Person>>>::new(|_| None);
//! arena.mutate_root(|mc, root| {
//!     let person = |name: &str| mc.alloc(Person { name: name.to_string(), friend: Lock::new(None) });
//!     let (ann, bob) = (person("Ann"), person("Bob"));
//!     // A cycle: what a lock holds is written through the object that it is in.
//!     field!(Gc::write(ann, mc), Person, friend).set(Some(bob));
//!     field!(Gc::write(bob, mc), Person, friend).set(Some(ann));
//!     *root = Some(ann);
//! });
//! arena.mutate(|_, root| {
//!     let friend = root.unwrap().friend.get().unwrap();
//!     assert_eq!(friend.name, "Bob");
//! });
//! arena.mutate_root(|_, root| *root = None);
//! arena.collect_cycles();
//! assert_eq!(arena.counters().destructors, 2);
//! ```
//!
//! | what | for |
//! |---|---|
//! | [`Arena`], [`Mutation`] | the heap with its root; what may be done while its objects are looked at |
//! | [`Gc`] | a reference: one word, `Copy` |
//! | [`Trace`], [`Rootable`], [`Finalize`] | what a type says of itself; all derived but the last |
//! | [`Lock`], [`RefLock`], [`OnceLock`], [`Write`], [`field!`], [`variant!`] | what changes in an object, and the barrier before that |
//! | [`Dyn`] | trait objects. Slices and strings are `Gc<[T]>` and `Gc<str>` |
//! | [`GcVec`], [`GcHashMap`], [`GcTreeMap`] | collections that stand on the heap themselves |
//! | [`Weak`], [`WeakTable`], [`Ephemeron`], [`WeakMap`] | references that keep nothing alive |
//! | [`DynamicRoot`] | objects held by Rust data outside |
//! | [`External`] | memory outside that counts with the arena's |
//! | [`Static`], [`Local`] | content without `Gc` of foreign types, and of those that are bound to a thread |
//!
//! How to choose a face of the heap, how to write an interpreter on this one, and how to come from other collectors: `docs/embedding.md` of the project.
//!
//! # What is where in memory
//!
//! A cell begins with a header of 8 bytes. If the references of a type are whole words among its first eight ([`Map`]), and it needs no destructor, the value
//! follows; else a word that leads to the type's functions stands between. Cells are multiples of 16 bytes up to 128, then of steps of an eighth; a slice has a word
//! more for its length.
//!
//! # What is not here
//!
//! Objects do not move. There is no deref of a `Gc` outside of a mutation, no collection within one, and no thread but one at a time in an arena.

#[expect(clippy::module_inception, reason = "the type of that name is its one concept")]
mod arena;
mod check;
mod descriptor;
mod directory;
mod dynamic;
mod entries;
mod external;
mod gc;
mod hash_map;
mod impls;
mod lock;
mod map;
mod mutation;
mod root;
mod slice;
mod statics;
mod storage;
mod stored;
#[cfg(test)]
mod tests;
mod trace;
mod tree_map;
mod types;
mod vec;
mod weak;
mod weak_map;
mod weak_table;
mod write;

pub use crate::heap::{Config, OutOfMemory};
pub use arena::Arena;
pub use check::{CheckError, Fault};
pub use dynamic::Dyn;
pub use entries::Ephemeron;
pub use external::External;
pub use gc::Gc;
pub use hash_map::GcHashMap;
pub use lock::{Lock, OnceLock, RefLock};
pub use map::Map;
pub use mutation::Mutation;
pub use root::DynamicRoot;
#[doc(hidden)]
pub use statics::assert_static;
pub use statics::{Local, Static, StaticContent};
pub use stored::Stored;
pub use trace::{Finalize, Finalizer, Rootable, Trace, Tracer};
pub use tree_map::GcTreeMap;
pub use vec::GcVec;
pub use weak::Weak;
pub use weak_map::WeakMap;
pub use weak_table::WeakTable;
pub use write::{Write, field, variant};
