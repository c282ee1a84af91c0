//! [`Trace`] and [`Rootable`] for the types of the standard library.
//!
//! What is shared (`Rc`, `Arc`, `&'static`) is `Trace` only without [`Gc`]: two parents of one value could not both have a barrier for it.
//!
//! Imports `gc`, `map`, `trace`, `statics`.

use super::gc::Gc;
use super::map::Map;
use super::statics::StaticContent;
use super::trace::{Rootable, Trace, Tracer};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::marker::PhantomData;
use std::mem::offset_of;
use std::sync::{Arc, Mutex, RwLock};

// SAFETY: the one reference is shown.
unsafe impl<'gc, T: ?Sized + 'gc> Trace<'gc> for Gc<'gc, T> {
    const MAP: Map = Map::REFERENCE;
    #[inline]
    fn trace(&self, tracer: &mut Tracer<'_>) {
        tracer.reference(*self);
    }
}
impl<T: Rootable> Rootable for Gc<'_, T> {
    type Root<'gc> = Gc<'gc, T::Root<'gc>>;
}
impl<T: Rootable> Rootable for Gc<'_, [T]> {
    type Root<'gc> = Gc<'gc, [T::Root<'gc>]>;
}
impl Rootable for Gc<'_, str> {
    type Root<'gc> = Gc<'gc, str>;
}

macro_rules! without_references {
    ($($type:ty),* $(,)?) => {$(
        // SAFETY: no `Gc` in it, and `Send`.
        unsafe impl<'gc> Trace<'gc> for $type {
            const MAP: Map = Map::EMPTY;
            #[inline]
            fn trace(&self, _: &mut Tracer<'_>) {}
        }
        impl Rootable for $type {
            type Root<'gc> = $type;
        }
    )*};
}
without_references! {
    (), bool, char, u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize, f32, f64,
    String, Box<str>, std::ffi::OsString, std::ffi::CString, std::path::PathBuf,
    std::num::NonZeroU8, std::num::NonZeroU16, std::num::NonZeroU32, std::num::NonZeroU64, std::num::NonZeroUsize,
    std::num::NonZeroI8, std::num::NonZeroI16, std::num::NonZeroI32, std::num::NonZeroI64, std::num::NonZeroIsize,
    std::sync::atomic::AtomicBool, std::sync::atomic::AtomicU8, std::sync::atomic::AtomicU32, std::sync::atomic::AtomicU64,
    std::sync::atomic::AtomicUsize, std::sync::atomic::AtomicI32, std::sync::atomic::AtomicI64,
    std::time::Duration, std::time::Instant, std::time::SystemTime,
}

macro_rules! shared_without_references {
    ($($type:ty: [$($bound:tt)*]),* $(,)?) => {$(
        // SAFETY: no `Gc` in it, and `Send`.
        unsafe impl<'gc, T: ?Sized + 'static + $($bound)*> Trace<'gc> for $type {
            const MAP: Map = Map::EMPTY;
            #[inline]
            fn trace(&self, _: &mut Tracer<'_>) {}
        }
        impl<T: ?Sized + 'static + $($bound)*> Rootable for $type {
            type Root<'gc> = $type;
        }
    )*};
}
shared_without_references! {
    &'static T: [Sync],
    Arc<T>: [Send + Sync],
    std::sync::Weak<T>: [Send + Sync],
}

macro_rules! cells_without_references {
    ($($type:ty),* $(,)?) => {$(
        // SAFETY: no `Gc` in it, and `Send`.
        unsafe impl<'gc, T: StaticContent> Trace<'gc> for $type {
            const MAP: Map = Map::EMPTY;
            #[inline]
            fn trace(&self, _: &mut Tracer<'_>) {}
        }
        impl<T: StaticContent> Rootable for $type {
            type Root<'gc> = $type;
        }
    )*};
}
cells_without_references! { Cell<T>, RefCell<T>, Mutex<T>, RwLock<T>, std::cell::OnceCell<T> }

// SAFETY: it holds nothing.
unsafe impl<'gc, T: ?Sized + 'gc> Trace<'gc> for PhantomData<T> {
    const MAP: Map = Map::EMPTY;
    #[inline]
    fn trace(&self, _: &mut Tracer<'_>) {}
}

// SAFETY: what is there is shown.
unsafe impl<'gc, T: Trace<'gc>> Trace<'gc> for Option<T> {
    const MAP: Map = T::MAP.optional::<T>();
    #[inline]
    fn trace(&self, tracer: &mut Tracer<'_>) {
        if let Some(value) = self {
            value.trace(tracer);
        }
    }
}
impl<T: Rootable> Rootable for Option<T> {
    type Root<'gc> = Option<T::Root<'gc>>;
}

// SAFETY: what is there is shown.
unsafe impl<'gc, T: Trace<'gc>, E: Trace<'gc>> Trace<'gc> for Result<T, E> {
    const MAP: Map = Map::of_variants(&[T::MAP, E::MAP]);
    #[inline]
    fn trace(&self, tracer: &mut Tracer<'_>) {
        match self {
            Ok(value) => value.trace(tracer),
            Err(error) => error.trace(tracer),
        }
    }
}

// SAFETY: every element is shown.
unsafe impl<'gc, T: Trace<'gc>, const N: usize> Trace<'gc> for [T; N] {
    const MAP: Map = T::MAP.repeated::<T>(N);
    #[inline]
    fn trace(&self, tracer: &mut Tracer<'_>) {
        self.iter().for_each(|value| value.trace(tracer));
    }
}
impl<T: Rootable, const N: usize> Rootable for [T; N] {
    type Root<'gc> = [T::Root<'gc>; N];
}

/// Of what a container outside of the heap holds nothing is known from its type: that may be recursive.
macro_rules! containers {
    ($($container:ident<T $(, $extra:ident)?>),* $(,)?) => {$(
        // SAFETY: every element is shown; the container owns them.
        unsafe impl<'gc, T: Trace<'gc> $(, $extra: StaticContent)?> Trace<'gc> for $container<T $(, $extra)?> {
            const MAP: Map = Map::FOUND;
            #[inline]
            fn trace(&self, tracer: &mut Tracer<'_>) {
                self.iter().for_each(|value| value.trace(tracer));
            }
        }
        impl<T: Rootable $(, $extra: StaticContent)?> Rootable for $container<T $(, $extra)?> {
            type Root<'gc> = $container<T::Root<'gc> $(, $extra)?>;
        }
    )*};
}
containers! { Vec<T>, VecDeque<T>, BTreeSet<T>, HashSet<T, S> }

// SAFETY: the value is shown, and owned.
unsafe impl<'gc, T: Trace<'gc>> Trace<'gc> for Box<T> {
    const MAP: Map = Map::FOUND;
    #[inline]
    fn trace(&self, tracer: &mut Tracer<'_>) {
        (**self).trace(tracer);
    }
}
impl<T: Rootable> Rootable for Box<T> {
    type Root<'gc> = Box<T::Root<'gc>>;
}
// SAFETY: every element is shown, and owned.
unsafe impl<'gc, T: Trace<'gc>> Trace<'gc> for Box<[T]> {
    const MAP: Map = Map::FOUND;
    #[inline]
    fn trace(&self, tracer: &mut Tracer<'_>) {
        self.iter().for_each(|value| value.trace(tracer));
    }
}
impl<T: Rootable> Rootable for Box<[T]> {
    type Root<'gc> = Box<[T::Root<'gc>]>;
}

// SAFETY: every key and value is shown, and owned.
unsafe impl<'gc, K: Trace<'gc>, V: Trace<'gc>> Trace<'gc> for BTreeMap<K, V> {
    const MAP: Map = Map::FOUND;
    #[inline]
    fn trace(&self, tracer: &mut Tracer<'_>) {
        for (key, value) in self {
            key.trace(tracer);
            value.trace(tracer);
        }
    }
}
impl<K: Rootable, V: Rootable> Rootable for BTreeMap<K, V> {
    type Root<'gc> = BTreeMap<K::Root<'gc>, V::Root<'gc>>;
}
// SAFETY: every key and value is shown, and owned.
unsafe impl<'gc, K: Trace<'gc>, V: Trace<'gc>, S: StaticContent> Trace<'gc> for HashMap<K, V, S> {
    const MAP: Map = Map::FOUND;
    #[inline]
    fn trace(&self, tracer: &mut Tracer<'_>) {
        for (key, value) in self {
            key.trace(tracer);
            value.trace(tracer);
        }
    }
}
impl<K: Rootable, V: Rootable, S: StaticContent> Rootable for HashMap<K, V, S> {
    type Root<'gc> = HashMap<K::Root<'gc>, V::Root<'gc>, S>;
}

macro_rules! tuples {
    ($(($($name:ident $number:tt),+))*) => {$(
        // SAFETY: every part is shown.
        unsafe impl<'gc, $($name: Trace<'gc>),+> Trace<'gc> for ($($name,)+) {
            const MAP: Map = Map::EMPTY$(.with($name::MAP, offset_of!(Self, $number)))+;
            #[inline]
            fn trace(&self, tracer: &mut Tracer<'_>) {
                $(self.$number.trace(tracer);)+
            }
        }
        impl<$($name: Rootable),+> Rootable for ($($name,)+) {
            type Root<'gc> = ($($name::Root<'gc>,)+);
        }
    )*};
}
tuples! {
    (A 0)
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
    (A 0, B 1, C 2, D 3, E 4)
    (A 0, B 1, C 2, D 3, E 4, F 5)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7)
}
