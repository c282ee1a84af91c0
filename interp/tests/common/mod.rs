//! Runs an interpreter as a child process, with a deadline, for the tests of scripts and of the command line.
//!
//! `LUA_UNDER_TEST=/usr/bin/lua5.4 cargo test` puts another interpreter in neap's place: that is how the expectations
//! themselves are checked.

#![allow(dead_code, reason = "each test uses a part")]

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
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
    let start = Instant::now();
    let status = loop {
        match child.try_wait().map_err(|e| e.to_string())? {
            Some(status) => break Some(status),
            None if start.elapsed() > limit => {
                child.kill().map_err(|e| e.to_string())?;
                child.wait().map_err(|e| e.to_string())?;
                break None;
            }
            None => thread::sleep(Duration::from_millis(2)),
        }
    };
    let join = |reader: thread::JoinHandle<Vec<u8>>| reader.join().map_err(|_| "a reader panicked".to_owned());
    let (stdout, stderr) = (join(stdout)?, join(stderr)?);
    writer.join().map_err(|_| "the writer panicked".to_owned())?;
    match status {
        Some(status) => Ok(Outcome { status, stdout, stderr }),
        None => Err(format!("still running after {limit:?}; stderr:\n{}", String::from_utf8_lossy(&stderr))),
    }
}

fn read_all(from: &mut impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What was read before an error is still worth comparing.
    let _ = from.read_to_end(&mut bytes);
    bytes
}
