//! What is said on the standard error while a program runs: warnings, and what `debug.debug` says. Whoever reads there may read nothing any more, and a text
//! may be long, so a stop ends it. Imports `wait`, the machine.

use super::Vm;
use super::wait::{self, Hook, PIPE_BYTES};
use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;

/// A text on its way to the standard error. If nobody can be told, nobody is.
pub(crate) struct Telling {
    /// `None`: there is no standard error, or the program has been stopped.
    file: Option<File>,
    waits: bool,
    hook: Hook,
    near: Vec<u8>,
}

impl Vm {
    pub(crate) fn telling(&self) -> Telling {
        let file = std::io::stderr().as_fd().try_clone_to_owned().ok().map(File::from);
        let waits = file.as_ref().is_some_and(wait::may_wait);
        Telling { file, waits, hook: Box::new(self.may_go_on()), near: Vec::new() }
    }
}

impl Telling {
    pub fn put(&mut self, text: &[u8]) {
        for part in text.chunks(PIPE_BYTES) {
            if self.near.len() + part.len() > PIPE_BYTES {
                self.flush();
            }
            self.near.extend_from_slice(part);
        }
    }

    pub fn end(mut self) {
        self.flush();
    }

    fn flush(&mut self) {
        if let Some(file) = &mut self.file {
            let ready = if self.waits { wait::until_ready(file, true, &mut self.hook) } else { Ok(()) };
            if ready.and_then(|()| file.write_all(&self.near)).is_err() {
                self.file = None;
            }
        }
        self.near.clear();
    }
}
