//! Signals, as the reference treats them: a closed pipe ends the program quietly, Ctrl-C raises an error in the running chunk, and a
//! second Ctrl-C, or one while no chunk runs, ends the program. At a terminal with a line editor only the second one does.
//! SIGUSR1 asks for a report, if the run is recorded.
//!
//! * **S1** A handler touches nothing but atomics and the disposition of its own signal.
//!
//! May import the bits of the poll word.

use crate::vm::REPORT;
use neap_gc::heap::poll;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

/// The poll word of the interpreter that Ctrl-C is for.
static POLL: OnceLock<Arc<AtomicU32>> = OnceLock::new();
/// Whether Ctrl-C was pressed since the latest [`Interruptible`] began.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

extern "C" fn interrupt(_signal: libc::c_int) {
    // SAFETY: S1: `signal` may be called in a handler.
    unsafe { libc::signal(libc::SIGINT, libc::SIG_DFL) };
    INTERRUPTED.store(true, Ordering::Relaxed);
    if let Some(word) = POLL.get() {
        word.fetch_or(poll::INTERRUPT, Ordering::Relaxed);
    }
}

/// The poll word of the interpreter that reports are asked of.
static REPORTS: OnceLock<Arc<AtomicU32>> = OnceLock::new();

extern "C" fn report(_signal: libc::c_int) {
    // S1.
    if let Some(word) = REPORTS.get() {
        word.fetch_or(REPORT, Ordering::Relaxed);
    }
}

/// From here on SIGUSR1 asks for a report, at the next safepoint of a Lua function.
pub fn report_on_request(word: &Arc<AtomicU32>) {
    REPORTS.get_or_init(|| word.clone());
    // SAFETY: all-zero bytes are a `sigaction`; the handler keeps to S1. SA_RESTART: what waits for input goes on waiting.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = report as extern "C" fn(libc::c_int) as libc::sighandler_t;
        action.sa_flags = libc::SA_RESTART;
        libc::sigemptyset(&mut action.sa_mask);
        libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut());
    }
}

/// Undoes what Rust's start-up code does to SIGPIPE: a write to a closed pipe ends the program, as in C.
pub fn default_pipe() {
    // SAFETY: no handler of ours is concerned.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

/// Whether what is done now has been interrupted. Then the next Ctrl-C ends the program: nothing more that takes time is to be begun.
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// While this lives, Ctrl-C interrupts the chunk.
pub struct Interruptible {
    before: libc::sigaction,
}

impl Interruptible {
    pub fn begin(word: &Arc<AtomicU32>) -> Interruptible {
        POLL.get_or_init(|| word.clone());
        INTERRUPTED.store(false, Ordering::Relaxed);
        // No SA_RESTART: a read that waits is to be interrupted too.
        Interruptible { before: handle(interrupt as extern "C" fn(libc::c_int) as libc::sighandler_t) }
    }
}

impl Drop for Interruptible {
    fn drop(&mut self) {
        restore(&self.before);
        if let Some(word) = POLL.get() {
            // One that came too late is not meant for the next chunk.
            word.fetch_and(!poll::INTERRUPT, Ordering::Relaxed);
        }
    }
}

/// While this lives, Ctrl-C does nothing where no chunk runs: a line editor sees it as a key, and what comes later than that is meant
/// for a chunk that has just ended, or for its results on their way to the terminal.
pub struct Ignored {
    before: libc::sigaction,
}

impl Ignored {
    pub fn begin() -> Ignored {
        Ignored { before: handle(libc::SIG_IGN) }
    }
}

impl Drop for Ignored {
    fn drop(&mut self) {
        restore(&self.before);
    }
}

/// Sets what Ctrl-C does; returns what it did.
fn handle(handler: libc::sighandler_t) -> libc::sigaction {
    // SAFETY: all-zero bytes are a `sigaction` without flags; the handlers are `interrupt`, which keeps to S1, and those of the system.
    unsafe {
        let (mut action, mut before): (libc::sigaction, libc::sigaction) = (std::mem::zeroed(), std::mem::zeroed());
        action.sa_sigaction = handler;
        libc::sigemptyset(&mut action.sa_mask);
        libc::sigaction(libc::SIGINT, &action, &mut before);
        before
    }
}

fn restore(before: &libc::sigaction) {
    // SAFETY: it has been in force before.
    unsafe { libc::sigaction(libc::SIGINT, before, std::ptr::null_mut()) };
}
