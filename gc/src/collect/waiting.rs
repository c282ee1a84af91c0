//! Objects whose count is 0 but which may be in use, and what was loaded through weak references in this epoch.
//!
//! An object that the program has loaded through a weak reference stands on its stack, where nothing is counted before the epoch ends; one that the log
//! names may not go before the log. At count 0 both wait. The end of the epoch *decides* those that wait: all increments are done, so what still has
//! count 0 is dead. They are examined after it, in slices.
//!
//! Invariants:
//! * **waiting-once** WAITING is set exactly on the objects on the two lists, each once.
//! * **loads-are-kept** An object with WEAK_READ is on the list of loads, and does not die by counting before the epoch ends.
//!
//! May import: `object`, and of the collector `context`, `queue`, `price`, `weak` (what is decided).

use super::Sabotage;
use super::context::Context;
use super::price::Price;
use super::queue::Queue;
use super::weak::is_decided;
use crate::object::{Header, Ref, STICKY, flags};
use crate::prefetch;
use std::time::Duration;

/// Bounds of the loads that end an epoch; between them the measured cost decides.
const LIMIT_LOADS: (usize, usize) = (1 << 10, 4 << 10);
const NS_PER_LOAD: f64 = 20.0;
/// Loads between two looks at how many there are.
const LOOK_LOADS: usize = 256;
/// How far ahead the headers of what was loaded are brought into the cache.
const AHEAD: usize = 12;

pub(crate) struct Waiting {
    /// Since the last epoch end.
    undecided: Queue,
    /// From before it.
    decided: Queue,
    /// Objects with WEAK_READ.
    loads: Queue,
    /// Of a load.
    price: Price,
}

impl Waiting {
    pub const fn new() -> Waiting {
        let price = Price::new(NS_PER_LOAD, LIMIT_LOADS);
        Waiting { undecided: Queue::new(), decided: Queue::new(), loads: Queue::new(), price }
    }

    /// An object with count 0 may be in use.
    pub fn wait(&mut self, cx: &mut Context, r: Ref, header: &Header) {
        if !header.has(flags::WAITING) {
            header.set(flags::WAITING);
            self.undecided.push(r.addr(), &mut cx.store);
        }
    }

    /// The object is dead, but nothing can be done about that now.
    pub fn put_off(&mut self, cx: &mut Context, r: Ref, header: &Header) {
        debug_assert!(!header.has(flags::WAITING));
        header.set(flags::WAITING);
        self.decided.push(r.addr(), &mut cx.store);
    }

    /// R14, R15: the object, mature, stands on a stack now without being counted there.
    #[inline]
    pub fn loaded(&mut self, cx: &mut Context, r: Ref, header: &Header) {
        if !header.has(flags::WEAK_READ) && !cx.without(Sabotage::WeakFlag) {
            header.set(flags::WEAK_READ);
            self.loads.push(r.addr(), &mut cx.store);
        }
        if header.count.get() == 0 {
            self.wait(cx, r, header);
        }
    }

    /// R14: a weak load.
    pub fn weak_load(&mut self, cx: &mut Context, target: Ref) {
        // SAFETY: a weak slot names a cell that is live or young.
        let header = unsafe { target.header() };
        if header.has(flags::YOUNG) {
            return;
        }
        self.loaded(cx, target, header);
        if cx.shading() && !cx.without(Sabotage::WeakShade) {
            // R27.
            cx.events += u64::from(!cx.is_marked(target));
            cx.shade(target);
        }
    }

    /// R15: a hit in the table of interned cells. `false`: the cell counts as absent.
    #[inline]
    pub fn interned_hit(&mut self, cx: &mut Context, cell: Ref) -> bool {
        // SAFETY: the table names live and young cells.
        let header = unsafe { cell.header() };
        if header.has(flags::YOUNG) {
            return true;
        }
        let unmarked = cx.mark_born() && !cx.is_marked(cell);
        if unmarked && cx.decided() || is_decided(header) {
            return false;
        }
        self.loaded(cx, cell, header);
        if unmarked && !cx.without(Sabotage::InternMark) {
            cx.events += u64::from(header.count.get() == STICKY);
            if cx.shading() {
                cx.shade(cell);
            } else {
                // SAFETY: live, and a leaf: nothing to scan.
                unsafe { cx.store.memory.set_mark(cell.as_nonnull()) };
                cx.ephemerons.key_is_marked(cell);
            }
        }
        true
    }

    /// Whether anything was loaded that the end of the epoch has to go through.
    pub fn any_loads(&self) -> bool {
        !self.loads.is_empty()
    }
    /// Whether that is so much that the epoch should end now.
    pub fn is_full(&self) -> bool {
        self.loads.len() >= self.price.limit()
    }
    /// The same, asked now and then.
    #[inline]
    pub fn has_become_full(&self) -> bool {
        self.loads.len() % LOOK_LOADS == LOOK_LOADS - 1 && self.loads.len() + 1 >= self.price.limit()
    }

    /// R3: after all increments and promotions of the epoch, those from finalizers included.
    pub fn decide(&mut self) {
        self.decided.append(&mut self.undecided);
    }

    /// The epoch is over: what was loaded in it is counted where it stands. `goal`: how long that should take.
    pub fn end_epoch(&mut self, cx: &mut Context, goal: Duration) {
        let loads = self.loads.len();
        cx.units += loads;
        let begin = self.price.begin(loads);
        while !self.loads.is_empty() {
            // SAFETY: loads-are-kept; nothing is pushed meanwhile.
            unsafe {
                let words = self.loads.front_words(&mut cx.store);
                for (at, &word) in words.iter().enumerate() {
                    if let Some(&ahead) = words.get(at + AHEAD) {
                        prefetch(ahead);
                    }
                    Ref::from_addr(word).header().unset(flags::WEAK_READ);
                }
                self.loads.skip_front(words.len(), &mut cx.store);
            }
        }
        self.price.end(begin, loads, goal);
    }

    /// The next object to be examined; it waits no more.
    #[inline]
    pub fn take_decided(&mut self, cx: &mut Context) -> Option<Ref> {
        let word = self.decided.pop_front(&mut cx.store)?;
        // SAFETY: an object that waits is not freed.
        unsafe {
            let r = Ref::from_addr(word);
            r.header().unset(flags::WAITING);
            Some(r)
        }
    }

    pub fn any_undecided(&self) -> bool {
        !self.undecided.is_empty()
    }
    pub fn decided(&self) -> &Queue {
        &self.decided
    }
    /// For the auditor: both lists, and the loads.
    pub fn report(&self) -> [&Queue; 3] {
        [&self.undecided, &self.decided, &self.loads]
    }
}
