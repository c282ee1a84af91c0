//! The collector: reference counting by epochs, and an incremental mark-sweep that finds the cycles.
//!
//! The rules R1 to R28 are those of `docs/COLLECTOR.md`; they are cited where they are upheld. Each file implements a part of `Heap<R>`:
//!
//! * `epoch`: the epoch end: roots, log records, promotion, what died young
//! * `barrier`: the write barrier, its log, the adoption of storages
//! * `threads`: stacks and their counted lists
//! * `release`: decrements and deaths, in slices
//! * `mark`, `weak`, `sweep`: the phases of a cycle
//! * `finalize`: finalizers and their queues
//! * `handles`: references held by native code
//! * `pacer`, `cycle`, `ticker`, `limit`: when each of these happens
//! * `whole`: what is asked for: whole collections, steps, stress
//! * `report`, `drive`: for the auditor and the model tests
//! * `queue`: the lists that all of them use
//!
//! Invariants that hold outside of an epoch end:
//! C1. YOUNG is set exactly on the cells allocated in this epoch, and their `live` bits are clear.
//! C2. Every word in `log`, `touched`, `waiting`, `release`, `pending`, `partial`, the lists of roots and of finalizers names a cell whose `live` bit is set
//!     (in `dropped`, `loaned` and the lists of young cells: live or young).
//! C3. A cell whose address stands in `holders`, `finalizable` or `tombs` is not freed before the entry goes (the flags HOLDER,
//!     FINALIZABLE, WEAKLY_HELD of a corpse say which are left).
//! C4. `gray` may name dead cells: what is there counts only if the cell's `live` bit is set (R9).
//!
//! May import: `memory`, `object`.

mod barrier;
mod cycle;
mod drive;
mod epoch;
mod finalize;
mod handles;
mod limit;
mod mark;
mod pacer;
mod queue;
mod release;
mod report;
mod sabotage;
mod sweep;
mod threads;
mod ticker;
mod weak;
mod whole;

pub use drive::Drive;
pub use handles::Handle;
pub(crate) use handles::Handles;
pub(crate) use mark::{Gray, Roots};
pub(crate) use pacer::Pacer;
pub(crate) use queue::{Cursor, Queue, Store};
pub use sabotage::Sabotage;
pub(crate) use sweep::Sweep;
pub(crate) use ticker::Ticker;
pub(crate) use weak::Pass;

use crate::object::Ref;
use crate::observe::Counters;
pub(crate) use crate::prefetch;

/// The phases of a cycle (R22).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Phase {
    Idle,
    /// The mark bits are being cleared (R21); the next epoch end after that starts marking.
    Clear,
    Mark,
    CleanValues,
    ListFinalizable,
    MarkAgain,
    CleanKeys,
    Detach,
    Drain,
    Release,
}

/// What the collector knows between two of its steps.
pub(crate) struct Collector {
    // ---- epoch
    /// Promoted cells whose references are still to be counted.
    pub work: Queue,
    /// Records of the write barrier.
    pub log: Queue,
    /// Root slots and running chain as of the last epoch end.
    pub globals: Vec<Ref>,
    pub chain: Vec<Ref>,
    pub scratch: Vec<Ref>,
    pub chain_scratch: Vec<Ref>,
    /// Mature threads that ran.
    pub touched: Queue,
    /// Pending increments of adoptions (R28).
    pub increments: Queue,
    /// Storages adopted in this epoch (R28).
    pub adopted: Queue,
    // ---- lists of young cells
    pub young_special: Queue,
    pub young_weak: Queue,
    pub young_interned: Queue,
    pub young_handles: Queue,
    /// Objects that got a finalizer in this epoch, mature ones too, in this order.
    pub new_finalizable: Queue,
    // ---- release
    /// Decrements that epoch ends have queued.
    pub release: Queue,
    /// Decrements from cells freed by counting: taken before those in `release`.
    pub pending: Queue,
    /// Cells that are taken apart in slices: dying arrays and threads, stacks to be trimmed.
    pub partial: Queue,
    /// How far the front of `partial` is.
    pub partial_slot: usize,
    pub waiting: Queue,
    /// Decrements of this epoch: dropped handles, finalizers popped (R2).
    pub dropped: Queue,
    pub loaned: Queue,
    // ---- weak
    pub holders: Queue,
    pub dead_holders: usize,
    pub tombs: Queue,
    pub weak_dead: Queue,
    pub pass: Option<Pass>,
    // ---- finalizers
    pub finalizable: Queue,
    /// Entries whose finalizer counting has queued.
    pub stale_finalizable: usize,
    /// Entries of `finalizable` that a turn of the list has still to visit.
    pub turn_left: usize,
    pub fin_queue: Queue,
    /// Wait for a cleaning pass before they are handed over (R16).
    pub fin_wait: Queue,
    /// Between the fixpoints: unmarked finalizable objects, counted.
    pub resurrected: Queue,
    // ---- cycle
    pub phase: Phase,
    /// Marking: what enters the release queue is shaded (R17).
    pub shading: bool,
    /// From the start of marking to the end of the release: promoted cells are marked (R20).
    pub mark_born: bool,
    /// From the first fixpoint to the end of the release (R23).
    pub window: bool,
    pub gray: Gray,
    pub roots: Roots,
    /// Something was shaded since the ephemeron pass began (R18).
    pub shaded: bool,
    /// A whole ephemeron pass has ended without a shading.
    pub ephemerons_done: bool,
    pub sweep: Sweep,
    /// R27.
    pub events: u64,
    // ---- others
    pub handles: Handles,
    /// Moved by hand: so many units of marking are done at an epoch end, whatever the time.
    pub driven: Option<usize>,
    pub pacer: Pacer,
    pub counters: Counters,
    pub promoted_objects: u64,
    pub promoted_bytes: u64,
}

impl Collector {
    pub fn new(max_pause_us: u32) -> Collector {
        Collector {
            work: Queue::new(),
            log: Queue::new(),
            globals: Vec::new(),
            chain: Vec::new(),
            scratch: Vec::new(),
            chain_scratch: Vec::new(),
            touched: Queue::new(),
            increments: Queue::new(),
            adopted: Queue::new(),
            young_special: Queue::new(),
            young_weak: Queue::new(),
            young_interned: Queue::new(),
            young_handles: Queue::new(),
            new_finalizable: Queue::new(),
            release: Queue::new(),
            pending: Queue::new(),
            partial: Queue::new(),
            partial_slot: 0,
            waiting: Queue::new(),
            dropped: Queue::new(),
            loaned: Queue::new(),
            holders: Queue::new(),
            dead_holders: 0,
            tombs: Queue::new(),
            weak_dead: Queue::new(),
            pass: None,
            finalizable: Queue::new(),
            stale_finalizable: 0,
            turn_left: 0,
            fin_queue: Queue::new(),
            fin_wait: Queue::new(),
            resurrected: Queue::new(),
            phase: Phase::Idle,
            shading: false,
            mark_born: false,
            window: false,
            gray: Gray::new(),
            roots: Roots::new(),
            shaded: false,
            ephemerons_done: false,
            sweep: Sweep::new(),
            events: 0,
            handles: Handles::new(),
            driven: None,
            pacer: Pacer::new(max_pause_us),
            counters: Counters::default(),
            promoted_objects: 0,
            promoted_bytes: 0,
        }
    }

    /// Enters a phase.
    pub fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.shading = matches!(phase, Phase::Mark | Phase::MarkAgain);
        self.mark_born = phase >= Phase::Mark;
        self.window = phase >= Phase::CleanValues;
    }
    /// After the second fixpoint: what is unmarked is dead for good.
    pub fn decided(&self) -> bool {
        self.phase >= Phase::CleanKeys
    }
}
