//! Copies from and to memory that may not be there: the pages of a mapped file that has been cut short since.
//!
//! Touching such a page raises SIGBUS. While a copy is under way its thread says which mapping it works on; a handler that finds the fault there puts an empty page in
//! its place, and notes the address, so that the copy comes to its end and is an error. (The way of X servers and Wayland compositors with memory that
//! their clients share.) All other faults are whoever's they were before.
//!
//! * **handler-is-simple** The handler touches two thread-local cells that need no initialisation, and makes one system call.
//!
//! Imports `libc`.

use std::cell::Cell;
use std::ops::Range;
use std::sync::OnceLock;

/// What a fault in a copy does.
#[derive(Clone, Copy)]
struct Watch {
    start: usize,
    end: usize,
    page_bytes: usize,
}

/// The pages, by their addresses, that were found missing.
pub(super) type Missing = Range<usize>;

thread_local! {
    static WATCH: Cell<Watch> = const { Cell::new(Watch { start: 0, end: 0, page_bytes: 0 }) };
    static MISSING: Cell<(usize, usize)> = const { Cell::new((usize::MAX, 0)) };
}

/// What handled the signal before.
static BEFORE: OnceLock<libc::sigaction> = OnceLock::new();

/// Copies `len` bytes, one side of which lies in a mapping; its pages that are missing read as zeros, and what is written to them is lost.
///
/// # Safety
/// Both sides have `len` bytes and do not overlap; the mapping is mapped, and readable and writable as far as the copy asks for it.
pub(super) unsafe fn copy(mapping: &Range<usize>, from: *const u8, to: *mut u8, len: usize) -> Result<(), Missing> {
    BEFORE.get_or_init(install);
    let page_bytes = rustix::param::page_size();
    WATCH.set(Watch { start: mapping.start, end: mapping.end.next_multiple_of(page_bytes), page_bytes });
    MISSING.set((usize::MAX, 0));
    // The handler belongs to this thread and looks at the cells: the copy stays between them.
    std::sync::atomic::compiler_fence(std::sync::atomic::Ordering::SeqCst);
    // SAFETY: by the caller; a fault is handled.
    unsafe { to.copy_from_nonoverlapping(from, len) };
    std::sync::atomic::compiler_fence(std::sync::atomic::Ordering::SeqCst);
    WATCH.set(Watch { start: 0, end: 0, page_bytes: 0 });
    let (first, last) = MISSING.get();
    if last == 0 { Ok(()) } else { Err(first..last) }
}

fn install() -> libc::sigaction {
    // SAFETY: the structures are plain data, and the handler is one for SA_SIGINFO.
    unsafe {
        let (mut action, mut before): (libc::sigaction, libc::sigaction) = (std::mem::zeroed(), std::mem::zeroed());
        action.sa_sigaction = on_fault as extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void) as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
        libc::sigemptyset(&mut action.sa_mask);
        libc::sigaction(libc::SIGBUS, &action, &mut before);
        before
    }
}

/// handler-is-simple.
extern "C" fn on_fault(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the system hands over what it says.
    let address = unsafe { (*info).si_addr() } as usize;
    let watch = WATCH.get();
    if (watch.start..watch.end).contains(&address) {
        let page = address & !(watch.page_bytes - 1);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a page of the mapping that the copy works on, of which there is nothing to be lost.
        let made = unsafe { libc::mmap(page as *mut libc::c_void, watch.page_bytes, protection, flags, -1, 0) };
        if made != libc::MAP_FAILED {
            let (first, last) = MISSING.get();
            return MISSING.set((first.min(page), last.max(page + watch.page_bytes)));
        }
    }
    let Some(before) = BEFORE.get() else {
        // SAFETY: the default ends the process when the instruction is tried again.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
        return;
    };
    // SAFETY: what was installed before is called as it asked to be.
    unsafe {
        match before.sa_sigaction {
            libc::SIG_DFL | libc::SIG_IGN => {
                libc::sigaction(signal, before, std::ptr::null_mut());
            }
            handler if before.sa_flags & libc::SA_SIGINFO != 0 => {
                let handler: extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void) = std::mem::transmute(handler);
                handler(signal, info, context);
            }
            handler => {
                let handler: extern "C" fn(i32) = std::mem::transmute(handler);
                handler(signal);
            }
        }
    }
}
