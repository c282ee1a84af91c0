//! A thread that asks for a safepoint now and then, so that a program that has stopped allocating still gets its garbage back.
//!
//! Invariants:
//! * **ticker-outlives-nothing** The thread touches nothing of the heap but two shared words, so nobody has to wait for its end. A process that was forked has
//!   no such thread, and can drop the heap all the same.
//! * **patient-ticker** While nobody answers it asks less and less often.
//! * **busy-ticker** It asks often while the heap says that there is work that the program's allocations would not bring about, or not soon.
//!
//! Imports nothing of the crate.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::Thread;
use std::time::Duration;

const PERIOD: Duration = Duration::from_millis(15);
const PERIOD_MAX: Duration = Duration::from_millis(500);
/// With the 50 us that the system lets a timer be late, about one and a half slices.
const PERIOD_BUSY: Duration = Duration::from_micros(40);

/// What the two threads share.
#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    ticked: AtomicBool,
    busy: AtomicBool,
}

pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<Thread>,
}

impl Ticker {
    /// Sets `bit` of `poll` every few milliseconds. If the system gives no thread, nothing ticks.
    pub fn start(poll: Arc<AtomicU32>, bit: u32) -> Ticker {
        let shared = Arc::<Shared>::default();
        let theirs = shared.clone();
        let tick = move || {
            let mut period = PERIOD;
            loop {
                std::thread::park_timeout(period);
                if theirs.stop.load(Ordering::Relaxed) {
                    return;
                }
                let asked = theirs.ticked.swap(true, Ordering::Relaxed);
                // patient-ticker, busy-ticker
                let wanted = if theirs.busy.load(Ordering::Relaxed) { PERIOD_BUSY } else { PERIOD };
                period = if asked { (period * 2).min(PERIOD_MAX) } else { wanted };
                poll.fetch_or(bit, Ordering::Relaxed);
            }
        };
        let thread = std::thread::Builder::new().name("neap-ticker".into()).stack_size(64 << 10).spawn(tick).ok();
        Ticker { shared, thread: thread.map(|thread| thread.thread().clone()) }
    }

    /// busy-ticker
    pub fn set_busy(&self, busy: bool) {
        if self.shared.busy.load(Ordering::Relaxed) != busy {
            self.shared.busy.store(busy, Ordering::Relaxed);
        }
    }

    /// Whether it has ticked since the last question.
    pub fn take(&self) -> bool {
        self.shared.ticked.load(Ordering::Relaxed) && self.shared.ticked.swap(false, Ordering::Relaxed)
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = &self.thread {
            thread.unpark();
        }
    }
}
