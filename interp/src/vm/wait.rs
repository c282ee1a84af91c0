//! Waiting for others: for who reads or writes the other end of a pipe, for a process. A stop ends it.
//!
//! * **W1** Nothing waits in the system for longer than [`LOOK`] before the hook is asked whether to go on. (A signal would end some system calls, but not if
//!   it comes just before one, and the end of a run's time is no signal.)
//!
//! Imports nothing of the project.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileTypeExt;
use std::process::{Child, ExitStatus};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// Says whether to go on.
pub type Hook = Box<dyn FnMut() -> bool>;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);
/// What can be written to a pipe at once, if anything can.
pub const PIPE_BYTES: usize = 4096;

/// Whether reading or writing may have to wait for somebody.
pub fn may_wait(file: &File) -> bool {
    file.metadata().map_or(true, |data| !data.is_file())
}

/// Waits until something can be read, or up to [`PIPE_BYTES`] be written, or there is an end or an error to be told of.
pub fn until_ready(file: &File, writes: bool, hook: &mut Hook) -> io::Result<()> {
    let events = if writes { PollFlags::OUT } else { PollFlags::IN };
    loop {
        let go_on = hook();
        let look = Timespec { tv_sec: 0, tv_nsec: if go_on { LOOK.as_nanos() as i64 } else { 0 } };
        match poll(&mut [PollFd::new(file, events)], Some(&look)) {
            Ok(0) | Err(rustix::io::Errno::INTR) if !go_on => return Err(ErrorKind::Interrupted.into()),
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            // What can't be waited for is tried.
            _ => return Ok(()),
        }
    }
}

/// Has a thread do what may have to wait. If it is given up, the thread ends with its work, whose result nobody gets.
fn aside<T: Send + 'static>(hook: &mut Hook, work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    let (sender, receiver) = channel();
    std::thread::Builder::new().name("wait".into()).spawn(move || {
        // If nobody waits any more, nobody is told.
        let _ = sender.send(work());
    })?;
    loop {
        match receiver.recv_timeout(LOOK) {
            Ok(result) => return result,
            Err(RecvTimeoutError::Timeout) if hook() => {}
            Err(_) => return Err(ErrorKind::Interrupted.into()),
        }
    }
}

/// Waits for the end of a process. If that is given up, the process goes on, and is not left as a zombie.
pub fn until_ended(mut child: Child, hook: &mut Hook) -> io::Result<ExitStatus> {
    match child.try_wait()? {
        Some(status) => Ok(status),
        None => aside(hook, move || child.wait()),
    }
}

/// Opens a file. A named pipe waits for who opens its other end.
pub fn until_open(options: &std::fs::OpenOptions, path: &std::path::Path, hook: &mut Hook) -> io::Result<File> {
    if !path.metadata().is_ok_and(|data| data.file_type().is_fifo()) {
        return options.open(path);
    }
    let (options, path) = (options.clone(), path.to_path_buf());
    aside(hook, move || options.open(path))
}
