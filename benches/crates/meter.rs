//! What a run takes: processor time, the lengths of timed steps, and the most memory that the process had.
//!
//! Time is the processor time of the process, the system's share with it (memory that is asked for and given back is work of a memory manager), so that what
//! else the machine does counts for little. Steps are timed by both clocks: a wait for the processor shows in one of them only.

use std::time::{Duration, Instant};

/// The times of a run: until its work was done, and until everything was given back.
pub struct Meter {
    begin: Duration,
    closing: Option<Duration>,
    /// Nanoseconds of each step: by the wall clock, by that of the thread.
    pub steps: Vec<(u64, u64)>,
}

/// What a run has taken.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub work: Duration,
    pub close: Duration,
}

impl Times {
    pub fn total(self) -> Duration {
        self.work + self.close
    }
}

impl Meter {
    pub fn start() -> Meter {
        let steps = Vec::with_capacity(1 << 16);
        Meter { begin: clock(libc::CLOCK_PROCESS_CPUTIME_ID), closing: None, steps }
    }

    /// The work is done; what follows is the contender's end.
    pub fn closes(&mut self) {
        self.closing = Some(clock(libc::CLOCK_PROCESS_CPUTIME_ID));
    }

    pub fn step<T>(&mut self, step: impl FnOnce() -> T) -> T {
        let (wall, thread) = (Instant::now(), clock(libc::CLOCK_THREAD_CPUTIME_ID));
        let result = step();
        let thread = clock(libc::CLOCK_THREAD_CPUTIME_ID) - thread;
        self.steps.push((wall.elapsed().as_nanos() as u64, thread.as_nanos() as u64));
        result
    }

    pub fn finish(&self) -> Times {
        let end = clock(libc::CLOCK_PROCESS_CPUTIME_ID);
        let closing = self.closing.expect("every contender closes");
        Times { work: closing - self.begin, close: end - closing }
    }

    /// The steps at 50 %, 99 %, 99.9 %, and the longest, in nanoseconds of the clock that is picked.
    pub fn percentiles(&self, pick: impl Fn(&(u64, u64)) -> u64) -> Option<[u64; 4]> {
        let mut sorted: Vec<u64> = self.steps.iter().map(pick).collect();
        sorted.sort_unstable();
        let last = sorted.len().checked_sub(1)?;
        Some([sorted[last / 2], sorted[last * 99 / 100], sorted[last * 999 / 1000], sorted[last]])
    }
}

fn clock(id: libc::clockid_t) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a place for the result.
    let error = unsafe { libc::clock_gettime(id, &raw mut time) };
    assert_eq!(error, 0, "a clock that every Linux has");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The most memory that this process ever had resident, in KiB.
pub fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("the proc file system");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
