//! A terminal with `neap` on it, for tests that type and look.

use super::common;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Child;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// How long to wait for what must come: only a test that fails waits so long.
const LIMIT: Duration = Duration::from_secs(120);

/// `neap` in a session of its own, on a terminal of its own.
pub struct Terminal {
    child: Child,
    keys: File,
    screen: Receiver<Vec<u8>>,
    /// What has appeared and was not waited for yet.
    pub seen: String,
    bytes: Vec<u8>,
    /// How many bytes have been written to the screen.
    pub drawn: usize,
}

impl Terminal {
    pub fn start(state: &Path) -> Terminal {
        Terminal::start_with(state, &[("NO_COLOR", "1")])
    }

    pub fn start_with(state: &Path, variables: &[(&str, &str)]) -> Terminal {
        Terminal::run(state, variables, &[])
    }

    pub fn run(state: &Path, variables: &[(&str, &str)], words: &[&str]) -> Terminal {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&master).and_then(|()| unlockpt(&master)).expect("a terminal");
        let name = ptsname(&master, Vec::new()).expect("its name").into_string().expect("UTF-8");
        let side = || File::options().read(true).write(true).open(&name).expect("the other side");
        let mut command = common::command();
        command.args(words).current_dir(state);
        command.stdin(side()).stdout(side()).stderr(side());
        command.env("XDG_STATE_HOME", state).env("TERM", "xterm").env_remove("NO_COLOR").envs(variables.iter().copied());
        // SAFETY: two system calls, which may be made between fork and exec.
        unsafe {
            command.pre_exec(|| {
                rustix::process::setsid()?;
                rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?;
                Ok(())
            })
        };
        let child = command.spawn().expect("a child");
        // The command holds the child's side of the terminal.
        drop(command);
        let keys = File::from(master);
        let mut output = keys.try_clone().expect("a descriptor");
        let (send, screen) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // The last process that goes closes the terminal: an error.
            while let Ok(count @ 1..) = output.read(&mut buffer) {
                if send.send(buffer[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        Terminal { child, keys, screen, seen: String::new(), bytes: Vec::new(), drawn: 0 }
    }

    pub fn press(&mut self, keys: impl AsRef<[u8]>) {
        self.keys.write_all(keys.as_ref()).expect("a terminal");
    }

    /// Types a line, waits for what it comes to and for the next prompt.
    #[track_caller]
    pub fn ask(&mut self, line: &str, answer: &str) {
        self.press(line);
        self.press("\r");
        self.expect(&format!("\n{answer}"));
        self.expect("> ");
    }

    /// Waits until the text has appeared, and passes over it; returns what came before. A control key counts for the editor only once its prompt is there: before,
    /// the terminal itself takes it.
    #[track_caller]
    pub fn expect(&mut self, text: &str) -> String {
        let deadline = Instant::now() + LIMIT;
        loop {
            if let Some(place) = self.seen.find(text) {
                let before = self.seen[..place].to_owned();
                self.seen.drain(..place + text.len());
                return before;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.screen.recv_timeout(left) {
                Ok(bytes) => {
                    self.drawn += bytes.len();
                    self.bytes.extend_from_slice(&bytes);
                    let text = take_text(&mut self.bytes);
                    self.seen.push_str(&text);
                }
                Err(_) => panic!("no {text:?} in {:?}", self.seen),
            }
        }
    }

    #[track_caller]
    pub fn ends(self) {
        self.ends_with(0);
    }

    #[track_caller]
    pub fn ends_with(mut self, code: i32) {
        let status = common::wait(&mut self.child, LIMIT).expect("it runs on");
        assert_eq!(status.code(), Some(code));
    }
}

/// Takes what is whole from the bytes of a screen: characters and codes for colours. Codes for other things are left out.
fn take_text(bytes: &mut Vec<u8>) -> String {
    let mut text = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let length = match bytes[at..] {
            [0x1b, b'[', ref rest @ ..] => match rest.iter().position(|byte| (0x40..0x7F).contains(byte)) {
                Some(end) => end + 3,
                None => break,
            },
            [0x1b] => break,
            _ => 1,
        };
        let code = &bytes[at..at + length];
        if code.ends_with(b"m") || !matches!(code[0], 0x1b | b'\r') {
            text.extend_from_slice(code);
        }
        at += length;
    }
    bytes.drain(..at);
    // What was read may end within a character.
    let valid = text.utf8_chunks().next().map_or(0, |chunk| chunk.valid().len());
    bytes.splice(..0, text.drain(valid..));
    String::from_utf8_lossy(&text).into_owned()
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
