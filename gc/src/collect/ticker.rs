//! A thread that asks for a safepoint now and then, so that a program that has stopped allocating still gets its garbage back.
//!
//! Invariants:
//! T1. The thread ends with its heap.
//! T2. While nobody answers it asks less and less often.
//! T3. It asks often while the heap says that there is work that the program's allocations would not bring about, or not soon.
//!
//! May import: nothing of the crate.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

const PERIOD: Duration = Duration::from_millis(15);
const PERIOD_MAX: Duration = Duration::from_millis(500);
/// With the 50 us that the system lets a timer be late, about one and a half slices.
const PERIOD_BUSY: Duration = Duration::from_micros(40);

/// What the two threads share.
struct Shared {
    stop: Mutex<bool>,
    wake: Condvar,
    ticked: AtomicU32,
    busy: AtomicBool,
}

pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    /// Sets `bit` of `poll` every few milliseconds. If the system gives no thread, nothing ticks.
    pub fn start(poll: Arc<AtomicU32>, bit: u32) -> Ticker {
        let shared = Arc::new(Shared {
            stop: Mutex::new(false),
            wake: Condvar::new(),
            ticked: AtomicU32::new(0),
            busy: AtomicBool::new(false),
        });
        let theirs = shared.clone();
        let tick = move || {
            let mut period = PERIOD;
            let mut stop = theirs.stop.lock().unwrap_or_else(PoisonError::into_inner);
            while !*stop {
                stop = theirs.wake.wait_timeout(stop, period).unwrap_or_else(PoisonError::into_inner).0;
                let asked = theirs.ticked.swap(1, Ordering::Relaxed) == 1;
                // T2, T3.
                let wanted = if theirs.busy.load(Ordering::Relaxed) { PERIOD_BUSY } else { PERIOD };
                period = if asked { (period * 2).min(PERIOD_MAX) } else { wanted };
                poll.fetch_or(bit, Ordering::Relaxed);
            }
        };
        let thread = std::thread::Builder::new().name("neap-ticker".into()).stack_size(64 << 10).spawn(tick).ok();
        Ticker { shared, thread }
    }

    /// T3.
    pub fn set_busy(&self, busy: bool) {
        if self.shared.busy.load(Ordering::Relaxed) != busy {
            self.shared.busy.store(busy, Ordering::Relaxed);
        }
    }

    /// Whether it has ticked since the last question.
    pub fn take(&self) -> bool {
        self.shared.ticked.load(Ordering::Relaxed) != 0 && self.shared.ticked.swap(0, Ordering::Relaxed) != 0
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        *self.shared.stop.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.wake.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic in the ticker has nothing to tell us.
            let _ = thread.join();
        }
    }
}
