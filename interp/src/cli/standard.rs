//! Standard streams that the program was started without.
//!
//! Rust's start-up code opens the null device in their place, so that no other file comes to stand there. But then what is read seems to end and what is
//! written to arrive, where a program in C is told of a bad descriptor. So before that code runs it is noted which are there; later, the others are
//! replaced by descriptors that nothing can be done with, which keep their places.
//!
//! * **D1** Before `main`, nothing but system calls and atomics.
//!
//! Imports nothing of the project.

use std::sync::atomic::{AtomicU8, Ordering};

/// The standard streams that were closed, a bit each.
static CLOSED: AtomicU8 = AtomicU8::new(0);

/// Called by the loader of the system, before Rust's start-up code.
#[used]
// SAFETY: the section holds functions of C, which may ignore their arguments; this one keeps to D1.
#[unsafe(link_section = ".init_array")]
static AT_START: extern "C" fn() = note;

extern "C" fn note() {
    for descriptor in 0..3 {
        // SAFETY: it only asks.
        if unsafe { libc::fcntl(descriptor, libc::F_GETFD) } == -1 {
            CLOSED.fetch_or(1 << descriptor, Ordering::Relaxed);
        }
    }
}

/// Lets each standard stream that was closed at the start be an error to whoever uses it. To be called before any is used.
pub fn disown_closed() {
    let closed = CLOSED.load(Ordering::Relaxed);
    for descriptor in (0..3).filter(|descriptor| closed & 1 << descriptor != 0) {
        // SAFETY: nothing owns the descriptor: what stands there was put there by the start-up code. A path can be neither read nor written;
        // child processes do not get it.
        unsafe {
            let path = libc::open(c"/".as_ptr(), libc::O_PATH | libc::O_CLOEXEC);
            if path >= 0 {
                libc::dup3(path, descriptor, libc::O_CLOEXEC);
                libc::close(path);
            }
        }
    }
}
