//! [`Arena`]: a heap with a root, and the times at which it may collect.
//!
//! Invariants:
//! * **one-brand-at-a-time** A brand is made by borrowing the arena uniquely, for a closure that must work with any brand; so nothing that has it outlasts that
//!   call, and no safepoint comes within it.
//! * **root-is-a-cell** The root stands in a cell of the heap: a large one costs a collection nothing but what has changed in it.
//!
//! Imports `mutation`, `descriptor`, `types`, `trace`, and the heap.

use super::check::{self, CheckError};
use super::descriptor::descriptor;
use super::gc::Gc;
use super::mutation::{Mutation, out_of_memory};
use super::stored::Stored;
use super::trace::Rootable;
use super::types::Types;
use crate::audit::AuditReport;
use crate::heap::{Config, Faults, Heap, OutOfMemory, RootSource};
use crate::object::Ref;
use crate::observe::{Counters, Observer, Pauses};
use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// So many finalizers run behind one stop.
const FINALIZERS_A_STOP: usize = 64;

/// A heap of Rust values that refer to each other as they like, with a root.
///
/// Everything that the root leads to lives; what it does not is reclaimed, promptly if it is no part of a cycle, a cycle before long. The program looks at the
/// objects in *mutations*: closures that are handed a [`Mutation`] to allocate with, and the root. Between two mutations, if the heap has asked for it, it does a
/// small part of its work: a pause of some ten microseconds, a quarter of a millisecond at most unless the machine has other things to do
/// ([`Config::max_pause_us`]), whatever the size of the heap.
///
/// ```
/// use neap_gc::arena::{Arena, Gc, Lock, Rootable, Trace, field};
///
/// #[derive(Trace, Rootable)]
/// struct Node<'gc> {
///     number: u64,
///     next: Lock<Option<Gc<'gc, Node<'gc>>>>,
/// }
///
/// // The root is one node, the end of a list.
/// let mut arena = Arena::<Node>::new(|_| Node { number: 0, next: Lock::new(None) });
/// for number in 1..=100_000 {
///     arena.mutate_root(|mc, root| {
///         // Every thousandth node closes the list behind it to a ring, and a new list begins.
///         let rest = root.next.get();
///         let node = mc.alloc(Node { number, next: Lock::new(rest) });
///         *root.next.get_mut() = Some(node);
///         if number % 1000 == 0 {
///             field!(Gc::write(node, mc), Node, next).set(Some(node));
///             *root.next.get_mut() = None;
///         }
///     });
/// }
/// arena.collect_cycles();
/// assert!(arena.used_bytes() < 64 << 10);
/// ```
///
/// An idle arena can be sent to another thread, with all that it holds. A panic in a mutation does it no harm.
pub struct Arena<R: Rootable> {
    heap: Heap<Types>,
    root: Ref,
    /// Finalizers are left over from the last stop, or checks are on.
    attention: bool,
    kind: PhantomData<fn() -> R>,
}

// SAFETY: all that is on the heap is `Send` (StaticContent, and what `Trace` demands of who writes it by hand); nothing outside refers to it but dynamic roots,
// which look at it only through the arena; `Types` is plain.
unsafe impl<R: Rootable> Send for Arena<R> {}

/// root-is-a-cell.
struct Root(Ref);

// SAFETY: a cell of the arena's heap, live or young.
unsafe impl RootSource for Root {
    fn slots(&self, visit: &mut dyn FnMut(Option<Ref>)) {
        visit(Some(self.0));
    }
}

impl<R: Rootable> Arena<R> {
    /// An arena without a memory limit.
    ///
    /// # Panics
    /// If the root finds no memory.
    pub fn new<F>(root: F) -> Arena<R>
    where
        F: for<'gc> FnOnce(&'gc Mutation<'gc>) -> R::Root<'gc>,
    {
        Arena::with_config(Config::default(), root)
    }

    /// An arena with settings: the memory limit ([`Config::limit_bytes`]), the goal for pauses ([`Config::max_pause_us`]), and what serves tests.
    ///
    /// # Panics
    /// If the root finds no memory.
    pub fn with_config<F>(config: Config, root: F) -> Arena<R>
    where
        F: for<'gc> FnOnce(&'gc Mutation<'gc>) -> R::Root<'gc>,
    {
        Arena::try_new::<_, OutOfMemory>(config, |mc| Ok(root(mc))).unwrap_or_else(|error| out_of_memory(error))
    }

    /// The same, with a root that may fail; that there is no memory is an error of the same kind.
    ///
    /// ```
    /// use neap_gc::arena::{Arena, Config, Gc};
    /// use neap_gc::OutOfMemory;
    ///
    /// let config = Config { limit_bytes: 8 << 20, ..Config::default() };
    /// let arena = Arena::<Gc<[u8]>>::try_new(config, |mc| mc.try_alloc_slice(&[0; 64 << 20]));
    /// assert!(arena.is_err());
    /// # let _: Option<OutOfMemory> = arena.err();
    /// ```
    pub fn try_new<F, E>(config: Config, root: F) -> Result<Arena<R>, E>
    where
        F: for<'gc> FnOnce(&'gc Mutation<'gc>) -> Result<R::Root<'gc>, E>,
        E: From<OutOfMemory>,
    {
        let heap = Heap::new(Types::default(), config)?;
        // SAFETY: one-brand-at-a-time: the closure works with any brand.
        let root = unsafe {
            let mc = Mutation::of(&heap);
            mc.try_alloc(root(mc)?)?.cell()
        };
        Ok(Arena { heap, root, attention: false, kind: PhantomData })
    }

    /// Looks at the objects, from the root on; `'gc` is the brand of this mutation. Behind it the heap does what is due, if it has asked for that: then this is the
    /// pause.
    ///
    /// What the closure returns can't hold a [`Gc`]: keep objects in the root, or in a [`DynamicRoot`](super::DynamicRoot).
    #[inline]
    pub fn mutate<F, T>(&mut self, f: F) -> T
    where
        F: for<'gc> FnOnce(&'gc Mutation<'gc>, &'gc R::Root<'gc>) -> T,
    {
        // SAFETY: one-brand-at-a-time; root-is-a-cell.
        let result = unsafe {
            let mc = Mutation::of(&self.heap);
            let root: Gc<'_, R::Root<'_>> = Gc::from_cell(self.root);
            f(mc, Gc::to_ref(root))
        };
        self.safepoint();
        result
    }

    /// The same with a root that can be changed as it likes: the barrier is for the whole of it, which records all references in it once in an epoch.
    #[inline]
    pub fn mutate_root<F, T>(&mut self, f: F) -> T
    where
        F: for<'gc> FnOnce(&'gc Mutation<'gc>, &'gc mut R::Root<'gc>) -> T,
    {
        // SAFETY: as in `mutate`; nobody else has a reference to the root, and what the barrier has recorded stays recorded until the mutation is over.
        let result = unsafe {
            let mc = Mutation::of(&self.heap);
            mc.barrier(self.root);
            f(mc, &mut *<R::Root<'_> as Stored<'_>>::place(self.root).cast_mut())
        };
        self.safepoint();
        result
    }

    // ---- collecting

    /// Lets the heap do what is due, if it has asked for it; every mutation ends with that. As cheap as a test if there is nothing to do.
    #[inline]
    pub fn safepoint(&mut self) {
        if self.heap.wants_safepoint() || self.attention {
            self.stop();
        }
    }

    #[cold]
    #[inline(never)]
    fn stop(&mut self) {
        self.checked(|heap, root| {
            if heap.wants_safepoint() {
                // SAFETY: no brand is in use, so nothing but the root (and handles) is held.
                unsafe { heap.safepoint(root) };
            }
        });
        self.run_finalizers(FINALIZERS_A_STOP);
    }

    /// Works on the garbage for about that long, even if the heap has not asked for it: for the time that a program has to spare, between two frames say. `true`:
    /// nothing is left to do now, or a cycle of marking has ended.
    pub fn step(&mut self, budget: Duration) -> bool {
        let begin = Instant::now();
        loop {
            // SAFETY: as in `stop`.
            let done = self.checked(|heap, root| unsafe { heap.step(root, 0) });
            self.run_finalizers(FINALIZERS_A_STOP);
            if done || begin.elapsed() >= budget {
                return done;
            }
        }
    }

    /// Reclaims all garbage that is neither in a cycle nor hangs from one, and runs the finalizers that fall due. Takes as long as that garbage is, not as long as
    /// the heap is (weak references aside, which are all looked at).
    pub fn collect(&mut self) {
        // SAFETY: as in `stop`.
        self.checked(|heap, root| unsafe { heap.collect_counted(root) });
        self.run_finalizers(usize::MAX);
    }

    /// Reclaims all garbage of now, cycles too, and runs the finalizers that fall due; what these let go stays for the next time. Takes as long as the heap is
    /// large; the memory goes back to the system.
    pub fn collect_cycles(&mut self) {
        // SAFETY: as in `stop`.
        self.checked(|heap, root| unsafe { heap.collect_full(root) });
        self.run_finalizers(usize::MAX);
    }

    /// Stops the collections that the heap starts by itself, or lets them go on.
    pub fn set_running(&mut self, running: bool) {
        self.heap.set_running(running);
    }

    /// Lets the heap work, between two checks if these are on.
    fn checked<T>(&mut self, work: impl FnOnce(&mut Heap<Types>, &Root) -> T) -> T {
        let on = self.heap.runtime().checks.is_on();
        if on && let Err(error) = check::check(&self.heap) {
            panic!("{error}");
        }
        let result = work(&mut self.heap, &Root(self.root));
        let released = &self.heap.runtime().released;
        if released.load(Ordering::Relaxed) != 0 {
            self.heap.external_shrank(released.swap(0, Ordering::Relaxed));
        }
        if on {
            check::look(&self.heap);
        }
        result
    }

    /// Checks, from now on and behind every mutation, what the compiler can't see: that nothing changes without a barrier, and that a [`Trace`](super::Trace) which
    /// was written by hand shows what there is. What they find is a panic with the type's name; [`Arena::check`] returns it. Each check takes as long as the heap is
    /// large: for tests of code that is `unsafe`, together with [`Config::stress_cycle`] and [`Config::audit`]. Build with debug assertions, so that all types are
    /// known by their names.
    pub fn set_checks(&mut self, on: bool) {
        self.heap.runtime().checks.set_on(on);
        self.attention |= on;
    }
    /// Makes the checks of [`Arena::set_checks`] now.
    pub fn check(&self) -> Result<(), CheckError> {
        check::check(&self.heap)
    }

    fn run_finalizers(&mut self, most: usize) {
        /// Also if a finalizer panics.
        struct Running<'a>(&'a Cell<bool>);
        impl Drop for Running<'_> {
            fn drop(&mut self) {
                self.0.set(false);
            }
        }
        let waiting = self.heap.finalizers_waiting();
        self.attention = waiting > most || self.heap.runtime().checks.is_on();
        for _ in 0..waiting.min(most) {
            let Some(object) = self.heap.next_finalizer() else { break };
            // SAFETY: one-brand-at-a-time; the object is on loan until the next safepoint, and was given a finalizer, so its type has one.
            unsafe {
                let mc = Mutation::of(&self.heap);
                self.heap.runtime().finalizing.set(true);
                let _running = Running(&self.heap.runtime().finalizing);
                if let Some(finalize) = descriptor(object).finalize {
                    finalize(object, mc);
                }
            }
        }
    }

    // ---- figures

    /// Bytes in use: objects that live or are not known to be dead, what was allocated since the last epoch end, and what [`External`](super::External)s tell of.
    pub fn used_bytes(&self) -> usize {
        self.heap.used_bytes()
    }
    /// Bytes taken from the system: an estimate, from above, of what the arena has resident.
    pub fn mapped_bytes(&self) -> usize {
        self.heap.mapped_bytes()
    }
    /// The most that were ever taken.
    pub fn peak_bytes(&self) -> usize {
        self.heap.peak_bytes()
    }
    pub fn limit_bytes(&self) -> usize {
        self.heap.limit_bytes()
    }
    /// Sets the hard limit of the bytes taken from the system.
    pub fn set_limit_bytes(&mut self, bytes: usize) {
        self.heap.set_limit_bytes(bytes);
    }
    /// Running totals: what was allocated, and how it was reclaimed.
    pub fn counters(&self) -> Counters {
        self.heap.counters()
    }
    /// Every stop of the program, by its causes.
    ///
    /// ```
    /// use neap_gc::observe::Cause;
    ///
    /// let mut arena = neap_gc::arena::Arena::<()>::new(|_| ());
    /// for n in 0..1_000_000 {
    ///     arena.mutate(|mc, _| {
    ///         mc.alloc([n; 8]);
    ///     });
    /// }
    /// let stops = arena.pauses().summary(Cause::Stop);
    /// println!("{} pauses, 99 % of them shorter than {} ns", stops.count, stops.p99_ns);
    /// ```
    pub fn pauses(&self) -> &Pauses {
        self.heap.pauses()
    }
    /// The pauses so far are forgotten: what is recorded begins here.
    pub fn clear_pauses(&mut self) {
        self.heap.clear_pauses();
    }
    /// Lets somebody know of every stop, or nobody.
    pub fn set_observer(&mut self, observer: Option<Box<dyn Observer + Send>>) {
        self.heap.set_observer(observer.map(|observer| observer as Box<dyn Observer>));
    }
    /// For tests: requests to the operating system are refused. Says what was left of the faults asked for before.
    #[doc(hidden)]
    pub fn inject(&mut self, faults: Faults) -> Faults {
        self.heap.inject(faults)
    }
    /// Checks the whole heap, slowly: an error is a fault of the collector, or of a `Trace` or a `Write` that `unsafe` code has made wrong.
    pub fn audit(&self) -> Result<AuditReport, CheckError> {
        // SAFETY: as in `stop`.
        unsafe { self.heap.audit() }.map_err(|error| check::named(&self.heap, error))
    }
}

impl<R: Rootable> fmt::Debug for Arena<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arena")
            .field("used_bytes", &self.used_bytes())
            .field("limit_bytes", &self.limit_bytes())
            .finish_non_exhaustive()
    }
}
