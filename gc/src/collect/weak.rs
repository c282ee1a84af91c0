//! Weak references: holders, tombstones, cleaning passes; what reads as nil.
//!
//! A *holder* is a cell of a kind with weak references. All mature holders stand in one list, which a pass takes from the front and appends to the back: one
//! turn is one pass. Passes begin at epoch ends, when there are no young holders.
//!
//! A pass costs as many units as the holders have slots, whatever it finds. So it waits until that many slots are worth it: until a part as many objects
//! wait for it, or the program has allocated in proportion ([`Weak::pass_is_due`]).
//!
//! A pass outside of a cycle is only for the objects that waited when it began: they are told by a filter, so that the others needn't be looked at.
//!
//! Invariants:
//! * **served-are-filtered** What the pass under way serves is in the filter `served`; what waits for the next one is in `coming`.
//! * **one-pass** While a pass is under way no other begins; the list changes only at its back, by promotion.
//! * **weak-names-a-cell** A weak slot names a cell that is live or young, a corpse included; a corpse loses WEAKLY_HELD only after a full pass begun after
//!   its death (R12).
//! * **holders-are-kept** A cell on the list of holders (HOLDER) or of tombstones is not freed before it leaves it.
//!
//! May import: `object`, and of the collector `context`, `bloom`, `budget`, `queue`, `log`, `release`, `finalize`, `phase`.

use super::Sabotage;
use super::bloom::Bloom;
use super::budget::Budget;
use super::context::Context;
use super::finalize::Finalizers;
use super::log::{Log, Recorded};
use super::phase::Phase;
use super::queue::Queue;
use super::release::release_corpse;
use crate::object::{Header, Ref, Runtime, Shape, Side, Verdict, flags};
use crate::prefetch;

/// Slots visited at a time.
const PASS_SLOTS: usize = 64;
/// Slots that one waiting object is worth a visit.
const SLOTS_PER_OBJECT: usize = 8;
/// Bytes that the program allocates for each slot visited, if few objects wait.
const BYTES_PER_SLOT: u64 = 16;
/// Holders are at least worth this many slots: a pass over few is always cheap.
const SLOTS_MIN: usize = 512;
/// The part of the heap that corpses may take before a pass is worth it, and what they always may.
const CORPSE_PART: usize = 8;
const CORPSE_BYTES_MIN: usize = 256 << 10;
/// A pass serves no object before so many epochs have gone by, unless many wait.
const PATIENCE: u32 = 4;
/// Tombstones released at a time.
const PASS_TOMBS: usize = 16;

/// A pass over the holders.
struct Pass {
    /// `Idle`: tombstones only; `CleanValues`, `CleanKeys`.
    purpose: Phase,
    /// Holders still to be visited.
    left: usize,
    current: Option<Ref>,
    slot: usize,
    /// Slots of the holders visited so far.
    slots: usize,
    /// The entries of these lists that the pass serves: those that were there when it began.
    tombs: usize,
    finalizers: usize,
    weak_dead: usize,
}

pub(crate) struct Weak {
    /// Objects that a weak slot has come to name in this epoch, young ones.
    young: Queue,
    holders: Queue,
    dead_holders: usize,
    /// Bytes of corpses since the last pass began.
    corpse_bytes: usize,
    /// Slots of all holders: as the last pass found them, and of those since.
    slots: usize,
    tombs: Queue,
    /// Objects that read as nil until a pass has ended (R16).
    weak_dead: Queue,
    pass: Option<Pass>,
    /// What waits for a pass: for the next one, for the last one outside of a cycle.
    coming: Bloom,
    served: Bloom,
    /// Epoch ends since objects have begun to wait for a pass.
    waited: u32,
    /// What had been allocated when the last pass began.
    allocated_before: u64,
}

impl Weak {
    pub const fn new() -> Weak {
        Weak {
            young: Queue::new(),
            holders: Queue::new(),
            dead_holders: 0,
            corpse_bytes: 0,
            slots: 0,
            tombs: Queue::new(),
            weak_dead: Queue::new(),
            pass: None,
            coming: Bloom::new(),
            served: Bloom::new(),
            waited: 0,
            allocated_before: 0,
        }
    }

    /// A weak slot is about to name `target`.
    ///
    /// # Safety
    /// A live or young cell.
    #[inline]
    pub unsafe fn hold(&mut self, cx: &mut Context, target: Ref) {
        // SAFETY: by the caller.
        let header = unsafe { target.header() };
        if !header.has(flags::WEAKLY_HELD) {
            header.set(flags::WEAKLY_HELD);
            if header.has(flags::YOUNG) {
                self.young.push(target.addr(), &mut cx.store);
            }
        }
    }

    // ---- the end of an epoch

    /// A young holder has been promoted.
    ///
    /// # Safety
    /// A mature cell with weak references.
    pub unsafe fn join<R: Runtime>(&mut self, rt: &R, cx: &mut Context, r: Ref, header: &Header) {
        header.set(flags::HOLDER);
        self.holders.push(r.addr(), &mut cx.store);
        // SAFETY: by the caller.
        self.slots += unsafe { slots_of(rt, cx, r, header) };
    }

    /// The weakly held cells that nothing has promoted.
    pub fn still_young(&mut self, cx: &mut Context) -> Queue {
        let mut dead = Queue::new();
        cx.units += self.young.len();
        while !self.young.is_empty() {
            // SAFETY: listed in this epoch; nothing is pushed to this list meanwhile.
            unsafe {
                let words = self.young.front_words(&mut cx.store);
                for &word in words {
                    if Ref::from_addr(word).header().has(flags::YOUNG) {
                        dead.push(word, &mut cx.store);
                    }
                }
                self.young.skip_front(words.len(), &mut cx.store);
            }
        }
        dead
    }

    /// They become tombstones (R12); those that a finalizer has saved read as nil for a while (R16).
    pub fn entomb_young(&mut self, cx: &mut Context, mut young: Queue) {
        while let Some(word) = young.pop_front(&mut cx.store) {
            // SAFETY: listed in this epoch.
            unsafe {
                let r = Ref::from_addr(word);
                let header = r.header();
                self.waits(r);
                if header.has(flags::YOUNG) {
                    header.unset(flags::YOUNG | flags::LOGGED);
                    header.set(flags::CORPSE);
                    cx.make_live(r);
                    self.tombs.push(word, &mut cx.store);
                } else {
                    header.set(flags::WEAK_DEAD);
                    self.weak_dead.push(word, &mut cx.store);
                }
            }
        }
    }

    // ---- deaths

    /// A dead cell that is kept has become a corpse.
    pub fn entomb(&mut self, cx: &mut Context, r: Ref, header: &Header) {
        if header.has(flags::WEAKLY_HELD) {
            self.waits(r);
            self.tombs.push(r.addr(), &mut cx.store);
        }
        self.dead_holders += usize::from(header.has(flags::HOLDER));
        // SAFETY: a cell that is kept.
        self.corpse_bytes += unsafe { cx.store.memory.cell_bytes(r.as_nonnull()) };
    }

    /// A weakly held object is a tombstone, or reads as nil until a pass has ended (R16).
    pub fn waits(&mut self, r: Ref) {
        self.coming.add(r);
    }

    /// R16: while tombstones wait for a pass, finalizers wait with them.
    pub fn any_tombs(&self) -> bool {
        !self.tombs.is_empty()
    }

    // ---- passes

    pub fn under_way(&self) -> bool {
        self.pass.is_some()
    }
    /// Whether a pass would find nothing to visit and serve nobody.
    pub fn nothing_to_clean(&self, finalizers: &Finalizers) -> bool {
        self.holders.is_empty() && self.tombs.is_empty() && self.weak_dead.is_empty() && finalizers.waiting() == 0
    }
    /// Objects that wait for a pass.
    fn waiting(&self, finalizers: &Finalizers) -> usize {
        self.tombs.len() + self.weak_dead.len() + finalizers.waiting()
    }

    /// At an epoch end: whether a pass is worth its cost. `idle`: the program does nothing that it would hold up.
    pub fn pass_is_due(&mut self, cx: &Context, finalizers: &Finalizers, idle: bool) -> bool {
        let waiting = self.waiting(finalizers);
        // The storages of large tables that were replaced are corpses too.
        let many_dead = self.dead_holders > 64 && self.dead_holders * 2 > self.holders.len()
            || self.corpse_bytes > (cx.store.memory.used_bytes() / CORPSE_PART).max(CORPSE_BYTES_MIN);
        if waiting == 0 {
            self.waited = 0;
            return many_dead;
        }
        self.waited += 1;
        let price = self.slots.max(self.holders.len()).max(SLOTS_MIN);
        let allocated = cx.counters.allocated_bytes.saturating_sub(self.allocated_before);
        many_dead
            || waiting * SLOTS_PER_OBJECT >= price
            || self.waited > PATIENCE && (idle || allocated >= price as u64 * BYTES_PER_SLOT)
    }

    pub fn start_pass(&mut self, cx: &Context, finalizers: &Finalizers, purpose: Phase) {
        debug_assert!(self.pass.is_none());
        if purpose == Phase::Idle {
            std::mem::swap(&mut self.coming, &mut self.served);
            self.coming.empty();
        }
        self.waited = 0;
        self.corpse_bytes = 0;
        self.allocated_before = cx.counters.allocated_bytes;
        self.pass = Some(Pass {
            purpose,
            left: self.holders.len(),
            current: None,
            slot: 0,
            slots: 0,
            // The pass for values leaves the weak-keyed holders out: tombstones wait for the next.
            tombs: if purpose == Phase::CleanValues { 0 } else { self.tombs.len() },
            finalizers: finalizers.waiting(),
            weak_dead: self.weak_dead.len(),
        });
    }

    /// Goes on with the pass that is under way. `true` when there is none (any more).
    pub fn step<R: Runtime>(
        &mut self,
        rt: &R,
        cx: &mut Context,
        log: &mut Log,
        finalizers: &mut Finalizers,
        budget: &mut Budget,
    ) -> bool {
        while let Weak { pass: Some(pass), served, .. } = self {
            if budget.is_spent() {
                return false;
            }
            budget.spend(1);
            if let Some(holder) = pass.current {
                // SAFETY: holders-are-kept; one that dies during the pass becomes a corpse or is dying.
                unsafe { clean_part(rt, cx, log, pass, served, holder, budget) };
            } else if pass.left > 0 {
                pass.left -= 1;
                self.next_holder(rt, cx);
            } else if pass.tombs > 0 {
                budget.spend(self.release_tombs(cx));
            } else if !self.serve(cx, finalizers) {
                let pass = self.pass.take();
                if let Some(pass) = pass.filter(|pass| pass.purpose != Phase::CleanValues) {
                    self.slots = pass.slots;
                }
            }
        }
        true
    }

    /// Takes the next holder of the list, if it is to be visited.
    fn next_holder<R: Runtime>(&mut self, rt: &R, cx: &mut Context) {
        let (Some(pass), Some(word)) = (&mut self.pass, self.holders.pop_front(&mut cx.store)) else { return };
        // SAFETY: holders-are-kept.
        unsafe {
            let r = Ref::from_addr(word);
            let header = r.header();
            if header.has(flags::CORPSE) {
                self.dead_holders -= 1;
                release_corpse(cx, r, flags::HOLDER);
                return;
            }
            if pass.purpose == Phase::CleanKeys && !cx.is_marked(r) {
                // R24: dead; the sweep must not find it listed.
                header.unset(flags::HOLDER);
                return;
            }
            self.holders.push(word, &mut cx.store);
            pass.slots += slots_of(rt, cx, r, header);
            // Keys are cleaned after the second fixpoint only: a removed entry logs the holder, and the replay of that log would shade all its other
            // values in the second round, a dead chain of keys and values with them.
            let skip = pass.purpose == Phase::CleanValues && cx.kinds.shape(header.kind) == Shape::Ephemeron;
            if !skip && !header.has(flags::DYING) {
                pass.current = Some(r);
                pass.slot = 0;
            }
        }
    }

    /// All holders have been visited: some of the tombstones that the pass serves. Says how many.
    fn release_tombs(&mut self, cx: &mut Context) -> usize {
        let Some(pass) = &mut self.pass else { return 0 };
        // SAFETY: those that the pass serves are there, and none is pushed meanwhile; no weak slot names one any more.
        unsafe {
            let words = self.tombs.front_words(&mut cx.store);
            let words = &words[..words.len().min(pass.tombs).min(PASS_TOMBS)];
            words.iter().for_each(|&word| prefetch(word));
            for &word in words {
                let r = Ref::from_addr(word);
                debug_assert!(pass.purpose != Phase::Idle || self.served.may_have(r), "served-are-filtered");
                release_corpse(cx, r, flags::WEAKLY_HELD);
            }
            pass.tombs -= words.len();
            self.tombs.skip_front(words.len(), &mut cx.store);
            words.len()
        }
    }

    /// The same for one more of those that the pass serves. `false` if there is none.
    fn serve(&mut self, cx: &mut Context, finalizers: &mut Finalizers) -> bool {
        let Some(pass) = &mut self.pass else { return false };
        if pass.weak_dead > 0 {
            pass.weak_dead -= 1;
            if let Some(word) = self.weak_dead.pop_front(&mut cx.store) {
                // SAFETY: weakly held, so its cell has waited for this pass even if it died.
                unsafe { Ref::from_addr(word).header() }.unset(flags::WEAK_DEAD);
            }
        } else if pass.finalizers > 0 {
            // R16: now the finalizer is handed over.
            pass.finalizers -= 1;
            finalizers.hand_over_waiting(cx);
        } else {
            return false;
        }
        true
    }

    /// For the auditor: tombstones, holders, and what reads as nil.
    pub fn report(&self) -> [(&'static str, &Queue); 3] {
        [("the tombstones", &self.tombs), ("the weak holders", &self.holders), ("the objects that read as nil", &self.weak_dead)]
    }
    /// Whether anything is left over for a pass, however dear.
    pub fn anything_waits(&self, finalizers: &Finalizers) -> bool {
        self.waiting(finalizers) + self.dead_holders != 0
    }
}

/// # Safety
/// A live holder.
unsafe fn slots_of<R: Runtime>(rt: &R, cx: &Context, r: Ref, header: &Header) -> usize {
    // SAFETY: by the caller.
    if cx.kinds.shape(header.kind).is_indexed() { unsafe { rt.slots(r) } } else { 1 }
}

/// Some slots of a holder.
///
/// # Safety
/// A live holder.
unsafe fn clean_part<R: Runtime>(
    rt: &R,
    cx: &mut Context,
    log: &mut Log,
    pass: &mut Pass,
    served: &Bloom,
    holder: Ref,
    budget: &mut Budget,
) {
    // SAFETY: by the caller.
    unsafe {
        let header = holder.header();
        let gone = header.has(flags::CORPSE | flags::DYING);
        let slots = if gone { 0 } else { slots_of(rt, cx, holder, header) };
        let to = (pass.slot + PASS_SLOTS).min(slots);
        if pass.slot < to {
            budget.spend(to - pass.slot);
            let cx: *mut Context = cx;
            let in_cycle = pass.purpose != Phase::Idle;
            // The two callbacks are called one after the other, and nothing else uses the context meanwhile.
            rt.clean(
                holder,
                pass.slot..to,
                &mut |target, side| {
                    // served-are-filtered
                    let dead = (in_cycle || served.may_have(target))
                        && match side {
                            Side::Key => dead_key(&*cx, target),
                            Side::Value => dead_value(&*cx, target),
                        };
                    if dead { Verdict::Clear } else { Verdict::Keep }
                },
                // R3: the collector's own stores.
                &mut |slot| {
                    if !holder.header().has(flags::LOGGED) && !log.is_recorded(&*cx, holder, slot) {
                        log.record_write(rt, &mut *cx, holder, slot, Recorded::Nothing);
                    }
                },
            );
        }
        pass.slot = to;
        if to >= slots {
            pass.current = None;
        }
    }
}

// ---- what reads as nil

/// Whether the object was referred to by nothing when the last epoch ended, and has not been loaded since: it is dead, and only waits to be examined
/// (R3). A program that asks for it in every epoch would keep it for ever otherwise.
pub(super) fn is_decided(header: &Header) -> bool {
    header.count.get() == 0 && !header.has(flags::WEAK_READ | flags::YOUNG)
}

/// Whether a weak value reads as nil, and may be removed (R24).
#[inline]
pub(crate) fn dead_value(cx: &Context, target: Ref) -> bool {
    // SAFETY: weak-names-a-cell.
    let header = unsafe { target.header() };
    // R24: not in the second round.
    let undecided = cx.window() && cx.phase() != Phase::MarkAgain && !cx.without(Sabotage::WeakNil);
    header.has(flags::CORPSE | flags::DYING | flags::WEAK_DEAD)
        || is_decided(header)
        || undecided && !header.has(flags::YOUNG) && !cx.is_marked(target)
}

/// Whether an entry with this weak key may be removed (R13, R24).
pub(crate) fn dead_key(cx: &Context, key: Ref) -> bool {
    // SAFETY: weak-names-a-cell.
    let header = unsafe { key.header() };
    header.has(flags::CORPSE | flags::DYING) || cx.decided() && !header.has(flags::YOUNG) && !cx.is_marked(key)
}

/// Whether an entry with this weak key reads as absent (R24).
pub(crate) fn key_reads_nil(cx: &Context, key: Ref) -> bool {
    // SAFETY: weak-names-a-cell.
    let header = unsafe { key.header() };
    let undecided = matches!(cx.phase(), Phase::CleanValues | Phase::ListFinalizable);
    dead_key(cx, key)
        || header.has(flags::WEAK_DEAD)
        || is_decided(header)
        || undecided && !header.has(flags::YOUNG) && !cx.is_marked(key)
}
