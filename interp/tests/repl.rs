//! The loop that reads, runs and prints: its core with lines from a list, then the command on a terminal.

mod common;

use neap::cli::Session;
use neap::repl::{self, Input, Lines};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

// ---- the core

#[derive(Default)]
struct Script {
    inputs: std::collections::VecDeque<Input>,
    prompts: Vec<String>,
    remembered: Vec<String>,
}

impl Lines for Script {
    fn read(&mut self, prompt: &[u8]) -> Input {
        self.prompts.push(String::from_utf8_lossy(prompt).into_owned());
        self.inputs.pop_front().unwrap_or(Input::End)
    }
    fn remember(&mut self, input: &[u8]) {
        self.remembered.push(String::from_utf8_lossy(input).into_owned());
    }
}

/// Runs lines (`^C` cancels) and returns what was asked and kept; the chunks leave their results in the global `out`.
fn talk(lines: &[&str]) -> (Script, String) {
    let mut session = Session::new(neap_gc::Config::default(), b"neap".to_vec(), true).expect("memory");
    assert!(session.run_text(b"out = {} function print(...) out[#out + 1] = table.concat({...}, ',') end", b"=test").is_ok());
    let input = |line: &&str| if *line == "^C" { Input::Cancelled } else { Input::Line(line.as_bytes().to_vec()) };
    let mut script = Script { inputs: lines.iter().map(input).collect(), ..Script::default() };
    repl::run(&mut session, &mut script);
    let globals = session.vm.globals();
    assert!(session.run_text(b"out = table.concat(out, ';')", b"=test").is_ok());
    let out = session.vm.get_field(globals, "out").expect("a field").as_str().expect("a string");
    (script, String::from_utf8_lossy(out.bytes()).into_owned())
}

#[test]
fn expressions_are_printed() {
    assert_eq!(talk(&["1 + 1", "=3", "= 4, 5", "x = 6", "x", "f = nil; return 7", "local y = 8"]).1, "2;3;4,5;6;7");
    assert_eq!(talk(&["'a' .. 'b' -- comment", "(function() end)()", ""]).1, "ab");
}

#[test]
fn statements_go_on_until_they_are_complete() {
    let (script, out) = talk(&["for i = 1, 2 do", "print(i)", "end", "f(", "[[a", "b]]", ")", "x = [==[", "]==] .. 'z'", "x"]);
    assert_eq!(out, "1;2;z");
    assert_eq!(script.prompts, ["> ", ">> ", ">> ", "> ", ">> ", ">> ", ">> ", "> ", ">> ", "> ", "> "]);
    assert_eq!(script.remembered, ["for i = 1, 2 do\nprint(i)\nend", "f(\n[[a\nb]]\n)", "x = [==[\n]==] .. 'z'", "x"]);
}

#[test]
fn errors_do_not_end_the_loop() {
    assert_eq!(talk(&["error({})", "x = = 1", "error(nil)", "'unfinished", "goto nowhere", "1"]).1, "1");
    // At the end of the input the incomplete is an error like any other.
    assert_eq!(talk(&["1", "for"]).1, "1");
}

#[test]
fn a_cancelled_input_is_forgotten() {
    let (script, out) = talk(&["for i = 1, 2 do", "^C", "^C", "1"]);
    assert_eq!((&*out, &script.remembered[..]), ("1", &["1".to_owned()][..]));
    assert_eq!(script.prompts, ["> ", ">> ", "> ", "> ", "> "]);
}

#[test]
fn prompts_are_variables() {
    let tostring = "_PROMPT = setmetatable({}, {__tostring = function() return 'T' end})";
    let fails = "_PROMPT = setmetatable({}, {__tostring = function() error('no', 0) end})";
    let (script, _) = talk(&["_PROMPT = 'p '", "_PROMPT2 = 5", "do", "end", tostring, fails]);
    assert_eq!(script.prompts, ["> ", "p ", "p ", "5", "p ", "T", "> "]);
}

// ---- on a terminal

/// `neap` in a session of its own, on a terminal of its own.
struct Terminal {
    child: Child,
    keys: File,
    screen: Receiver<Vec<u8>>,
    seen: String,
}

impl Terminal {
    fn start(state: &Path) -> Terminal {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&master).and_then(|()| unlockpt(&master)).expect("a terminal");
        let name = ptsname(&master, Vec::new()).expect("its name").into_string().expect("UTF-8");
        let side = || File::options().read(true).write(true).open(&name).expect("the other side");
        let mut command = common::command();
        command.stdin(side()).stdout(side()).stderr(side());
        command.env("XDG_STATE_HOME", state).env("TERM", "xterm").env("NO_COLOR", "1");
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
        Terminal { child, keys, screen, seen: String::new() }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("a terminal");
    }

    /// Waits until the text has appeared, and passes over it.
    #[track_caller]
    fn expect(&mut self, text: &str) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(place) = self.seen.find(text) {
                self.seen.drain(..place + text.len());
                return;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.screen.recv_timeout(left) {
                Ok(bytes) => self.seen.push_str(&String::from_utf8_lossy(&bytes)),
                Err(_) => panic!("no {text:?} in {:?}", self.seen),
            }
        }
    }

    #[track_caller]
    fn ends(mut self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().expect("a child") {
                assert_eq!(status.code(), Some(0));
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("it runs on");
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn on_a_terminal() {
    if std::env::var_os("LUA_UNDER_TEST").is_some() {
        return;
    }
    let state = std::env::temp_dir().join(format!("neap-repl-{}", std::process::id()));
    let mut t = Terminal::start(&state);
    t.expect("Lua 5.4");
    t.expect("> ");
    t.press("6 * 7\r");
    t.expect("42");
    t.expect("> ");
    // Ctrl-C gives up what was typed ...
    t.press("for i = 1, 2 do\r");
    t.expect(">> ");
    t.press("\u{3}");
    t.expect("> ");
    t.press("'still' .. ' here'\r");
    t.expect("still here");
    t.expect("> ");
    // ... and interrupts what runs.
    t.press("io.write('go', 'ing') io.flush() while true do end\r");
    t.expect("going");
    t.press("\u{3}");
    t.expect("interrupted!");
    t.expect("> ");
    // A script reads from the same terminal.
    t.press("x = io.read()\r");
    std::thread::sleep(Duration::from_millis(300));
    t.press("typed\n");
    t.expect("> ");
    t.press("x:upper()\r");
    t.expect("TYPED");
    t.expect("> ");
    t.press("\u{4}");
    t.ends();
    let history = std::fs::read_to_string(state.join("neap/history")).expect("a history");
    assert!(history.contains("6 * 7") && history.contains("x:upper()"), "{history}");

    // The next session remembers.
    let mut t = Terminal::start(&state);
    t.expect("> ");
    t.press("\u{1b}[A\r");
    t.expect("x:upper()");
    t.expect("nil value");
    t.expect("> ");
    t.press("os.exit(0)\r");
    t.ends();
    let _ = std::fs::remove_dir_all(&state);
}

#[test]
fn without_a_terminal_there_is_no_history() {
    if std::env::var_os("LUA_UNDER_TEST").is_some() {
        return;
    }
    let state = std::env::temp_dir().join(format!("neap-no-history-{}", std::process::id()));
    let mut command = common::command();
    command.arg("-i").env("XDG_STATE_HOME", &state).stdout(Stdio::null());
    let outcome = common::run(command, b"1\n", Duration::from_secs(30)).expect("a run");
    assert!(outcome.status.success() && !state.exists());
}
