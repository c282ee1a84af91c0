//! The clocks of a thread: what it has computed, and what the machine has done to it.
//!
//! Imports nothing of the crate.

use std::time::Duration;

/// What this thread has computed so far: undisturbed by what else the machine does.
pub(crate) fn cpu_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// What it has computed since then.
pub(crate) fn cpu_since(start: Duration) -> Duration {
    cpu_time().saturating_sub(start)
}

/// What the machine has done to this thread.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Disturbance {
    /// Times that another thread was given the processor, though this one wanted to go on.
    pub switches: u64,
    /// Pages that had to be mapped, or read, when they were touched.
    pub faults: u64,
}

impl Disturbance {
    /// Since the thread began (on systems that do not tell by thread, the process).
    pub(crate) fn so_far() -> Disturbance {
        #[cfg(target_os = "linux")]
        const WHO: libc::c_int = libc::RUSAGE_THREAD;
        #[cfg(not(target_os = "linux"))]
        const WHO: libc::c_int = libc::RUSAGE_SELF;
        // SAFETY: plain data, for which zeros are right, and which the call fills.
        let usage = unsafe {
            let mut usage: libc::rusage = std::mem::zeroed();
            if libc::getrusage(WHO, &mut usage) != 0 {
                return Disturbance::default();
            }
            usage
        };
        let count = |n: libc::c_long| u64::try_from(n).unwrap_or(0);
        Disturbance { switches: count(usage.ru_nivcsw), faults: count(usage.ru_minflt) + count(usage.ru_majflt) }
    }

    pub(crate) fn since(self, earlier: Disturbance) -> Disturbance {
        Disturbance {
            switches: self.switches.saturating_sub(earlier.switches),
            faults: self.faults.saturating_sub(earlier.faults),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(miri, ignore = "it has no resource usage")]
    fn a_fresh_page_is_a_fault() {
        const PAGES: usize = 64;
        let before = Disturbance::so_far();
        let mut pages = Vec::<u8>::with_capacity(PAGES << 16);
        for page in pages.spare_capacity_mut().chunks_mut(1 << 16) {
            page[0].write(1);
        }
        std::hint::black_box(&mut pages);
        assert!(Disturbance::so_far().since(before).faults >= PAGES as u64);
    }
}
