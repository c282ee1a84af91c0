//! [`External`]: memory outside of the heap that an object owns.
//!
//! Imports `map`, `mutation`, `trace`, and the heap.

use super::map::Map;
use super::mutation::Mutation;
use super::trace::{Rootable, Trace, Tracer};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Tells the arena of memory that an object owns elsewhere: a buffer of another library, a picture on the graphics card. It counts in
/// [`Arena::used_bytes`](super::Arena::used_bytes) and drives the collector as the arena's own memory does, but not against the limit, which is for what the arena
/// takes from the system. Keep it in the object, beside what it is about; when that dies, it is taken back.
///
/// ```
/// use neap_gc::arena::{Arena, External, Gc, Trace};
///
/// #[derive(Trace)]
/// struct Picture {
///     pixels: Vec<u8>,
///     size: External,
/// }
///
/// let mut arena = Arena::<()>::new(|_| ());
/// // Each is garbage at once. Of ten gigabytes of pictures few are there at a time.
/// for _ in 0..1_000 {
///     arena.mutate(|mc, _| {
///         let pixels = Vec::with_capacity(10 << 20);
///         let size = External::new(mc, pixels.capacity());
///         mc.alloc(Picture { pixels, size });
///     });
///     assert!(arena.used_bytes() < 1 << 30);
/// }
/// ```
#[must_use = "it counts as long as it is kept"]
pub struct External {
    bytes: usize,
    released: Arc<AtomicUsize>,
}

impl External {
    /// So many bytes more.
    pub fn new(mc: &Mutation<'_>, bytes: usize) -> External {
        mc.heap().external_grew(bytes);
        External { bytes, released: mc.heap().runtime().released.clone() }
    }
    /// What it is about has become larger or smaller.
    pub fn set_bytes(&mut self, mc: &Mutation<'_>, bytes: usize) {
        *self = External::new(mc, bytes);
    }
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for External {
    fn drop(&mut self) {
        // The arena looks at that behind its next stop: this may be in the middle of one, or on another thread.
        self.released.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

// SAFETY: no `Gc` in it, and `Send`.
unsafe impl<'gc> Trace<'gc> for External {
    const MAP: Map = Map::EMPTY;
    fn trace(&self, _: &mut Tracer<'_>) {}
}
impl Rootable for External {
    type Root<'gc> = External;
}

impl fmt::Debug for External {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("External").field(&self.bytes).finish()
    }
}
