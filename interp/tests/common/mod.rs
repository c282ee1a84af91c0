//! Runs an interpreter as a child process, with a deadline, for the tests of scripts and of the command line; folders for them.
//!
//! `LUA_UNDER_TEST=/usr/bin/lua5.4 cargo test` puts another interpreter in neap's place: that is how the expectations
//! themselves are checked.

#![allow(dead_code, reason = "each test uses a part")]

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub struct Outcome {
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

pub fn interpreter() -> PathBuf {
    std::env::var_os("LUA_UNDER_TEST").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_neap")), PathBuf::from)
}

/// Whether it is `neap` that is tested: then what it has of its own is, too.
pub fn is_neap() -> bool {
    std::env::var_os("LUA_UNDER_TEST").is_none()
}

/// A command for the interpreter under test that calls itself `neap`, in an environment without Lua's variables.
pub fn command() -> Command {
    let mut command = Command::new(interpreter());
    command.arg0("neap");
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|n| n.starts_with("LUA_") || n.starts_with("NEAP_")) {
            command.env_remove(name);
        }
    }
    command
}

/// Runs to the end or until the deadline, when the child is killed and the outcome is an error.
pub fn run(mut command: Command, stdin: &[u8], limit: Duration) -> Result<Outcome, String> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|e| format!("cannot start {command:?}: {e}"))?;
    let (mut input, mut output, mut errors) = match (child.stdin.take(), child.stdout.take(), child.stderr.take()) {
        (Some(i), Some(o), Some(e)) => (i, o, e),
        _ => return Err("the child has no pipes".into()),
    };
    let stdin = stdin.to_vec();
    // A child that does not read its input closes the pipe; that is no failure.
    let writer = thread::spawn(move || drop(input.write_all(&stdin)));
    let stdout = thread::spawn(move || read_all(&mut output));
    let stderr = thread::spawn(move || read_all(&mut errors));
    let status = wait(&mut child, limit);
    let join = |reader: thread::JoinHandle<Vec<u8>>| reader.join().map_err(|_| "a reader panicked".to_owned());
    let (stdout, stderr) = (join(stdout)?, join(stderr)?);
    writer.join().map_err(|_| "the writer panicked".to_owned())?;
    match status {
        Some(status) => Ok(Outcome { status, stdout, stderr }),
        None => Err(format!("still running after {limit:?}; stderr:\n{}", String::from_utf8_lossy(&stderr))),
    }
}

/// Waits for the end of a child. At the deadline it is killed.
pub fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let start = Instant::now();
    loop {
        match child.try_wait().expect("a child") {
            Some(status) => return Some(status),
            None if start.elapsed() > limit => {
                child.kill().and_then(|()| child.wait()).expect("a child that runs");
                return None;
            }
            None => thread::sleep(Duration::from_millis(2)),
        }
    }
}

fn read_all(from: &mut impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What was read before an error is still worth comparing.
    let _ = from.read_to_end(&mut bytes);
    bytes
}

/// A folder of a test's own, which goes with it.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Folder {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("neap-test-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What can't be removed stays.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
