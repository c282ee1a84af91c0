//! The loop that reads, runs and prints: its core with lines from a list, then the command on a terminal.

mod common;

use neap::cli::Session;
use neap::repl::{self, Input, Lines};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
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
fn the_last_result_has_a_name() {
    assert_eq!(talk(&["6 * 7", "_ + 1, 0", "x = 1", "(function() end)()", "_"]).1, "42;43,0;43");
}

#[test]
fn commands_are_there_without_a_terminal() {
    let (script, out) = talk(&["1", ".time print(2 +", "3)", ".nonsense", "...", ".quit", "4"]);
    assert_eq!((&*out, &*script.prompts.join("|")), ("1;5", "> |> |>> |> |> |> "));
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
    bytes: Vec<u8>,
}

impl Terminal {
    fn start(state: &Path) -> Terminal {
        Terminal::start_with(state, &[("NO_COLOR", "1")])
    }

    fn start_with(state: &Path, variables: &[(&str, &str)]) -> Terminal {
        Terminal::run(state, variables, &[])
    }

    fn run(state: &Path, variables: &[(&str, &str)], words: &[&str]) -> Terminal {
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
        Terminal { child, keys, screen, seen: String::new(), bytes: Vec::new() }
    }

    fn press(&mut self, keys: impl AsRef<[u8]>) {
        self.keys.write_all(keys.as_ref()).expect("a terminal");
    }

    /// Types a line, waits for what it comes to and for the next prompt.
    #[track_caller]
    fn ask(&mut self, line: &str, answer: &str) {
        self.press(line);
        self.press("\r");
        self.expect(&format!("\n{answer}"));
        self.expect("> ");
    }

    /// Waits until the text has appeared, and passes over it. A control key counts for the editor only once its prompt is there: before,
    /// the terminal itself takes it.
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
                Ok(bytes) => {
                    self.bytes.extend_from_slice(&bytes);
                    let text = take_text(&mut self.bytes);
                    self.seen.push_str(&text);
                }
                Err(_) => panic!("no {text:?} in {:?}", self.seen),
            }
        }
    }

    #[track_caller]
    fn ends(self) {
        self.ends_with(0);
    }

    #[track_caller]
    fn ends_with(mut self, code: i32) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().expect("a child") {
                assert_eq!(status.code(), Some(code));
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("it runs on");
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

#[test]
fn on_a_terminal() {
    if std::env::var_os("LUA_UNDER_TEST").is_some() {
        return;
    }
    let folder = Folder::new("terminal");
    let state = folder.0.clone();
    let mut t = Terminal::start(&state);
    t.expect("Lua 5.4");
    t.expect("> ");
    t.press("6 * 7\r");
    t.expect("42");
    t.expect("> ");
    // Ctrl-C gives up what was typed ...
    t.press("for i = 1, 2 do\r");
    t.press("\u{3}");
    t.expect("> ");
    t.ask("'still' .. ' here'", "\"still here\"");
    // ... and interrupts what runs.
    t.press("io.write('go', 'ing') io.flush() while true do end\r");
    t.expect("going");
    t.press("\u{3}");
    t.expect("interrupted!");
    t.expect("> ");
    // A script reads from the same terminal.
    t.press("io.write('what', '?') io.flush() x = io.read()\r");
    t.expect("what?");
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
}

/// A folder of a test's own, for the state and other files, which goes with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("neap-repl-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn is_neap() -> bool {
    std::env::var_os("LUA_UNDER_TEST").is_none()
}

#[test]
fn results_are_readable_on_a_terminal() {
    if !is_neap() {
        return;
    }
    let folder = Folder::new("readable");
    for setting in ["", "stress,audit"] {
        let mut t = Terminal::start_with(&folder.0, &[("NO_COLOR", "1"), ("NEAP_GC", setting)]);
        t.expect("Type .help for help.\n");
        t.expect("> ");
        t.ask("{1, 2, {x = 'y'}, n = 3}", "{1, 2, {x = \"y\"}, n = 3}\n");
        t.ask("_.n, 'a\\n\\xFF'", "3\t\"a\\n\\xFF\"\n");
        t.ask("_ + 1", "4\n");
        t.ask("local t = {} t.t = t return t", "{t = <cycle>}\n");
        t.ask("setmetatable({}, {__tostring = function(t) return 'told' end})", "told\n");
        t.ask("setmetatable({}, {__tostring = function(t) error('no', 0) end}), 2", "<error in __tostring: no>\t2\n");
        t.ask("('x'):rep(1e5)", "\"xxxxxxxxxx");
        // `print` prints as ever.
        t.ask("print('a', nil)", "a\tnil\n");
        t.press("\u{4}");
        t.ends();
    }
}

#[test]
fn inputs_may_be_of_several_lines() {
    if !is_neap() {
        return;
    }
    let folder = Folder::new("lines");
    let mut t = Terminal::start(&folder.0);
    t.expect("> ");
    t.ask("for i = 1, 2 do\r  io.write(i, ';')\rend print()", "1;2;\n");
    t.ask("{\r  1,\r  'two'\r}", "{1, \"two\"}\n");
    t.ask("return [[a\rb]]", "\"a\\nb\"\n");
    t.ask("math.max(\r1, 2)", "2\n");
    // What comes in one piece is one input.
    t.ask("\u{1b}[200~x = 5\ny = 6\u{1b}[201~\rx + y", "11\n");
    // What can't be completed is an error at once.
    t.ask("'abc", "stdin:1: unfinished string near <eof>\n");
    // The whole input comes back from the history, in the next session too.
    t.ask("math.max(\r3, 4)", "4\n");
    t.press("\u{4}");
    t.ends();
    let mut t = Terminal::start(&folder.0);
    t.expect("> ");
    t.press("\u{1b}[A\r");
    t.expect("3, 4)\n4\n");
    t.expect("> ");
    t.press("\u{4}");
    t.ends();
}

#[test]
fn names_are_completed() {
    if !is_neap() {
        return;
    }
    let folder = Folder::new("complete");
    let mut t = Terminal::start(&folder.0);
    t.expect("> ");
    t.press("account = {balance = 7} function account:show() return self.balance end\r");
    t.expect("\n> ");
    t.ask("acc\t.bal\t", "7\n");
    t.ask("1 + account:sh\t()", "8\n");
    t.ask("('up'):upp\t()", "\"UP\"\n");
    // Several: all are shown.
    t.press("string.re\t");
    t.expect("rep      reverse");
    t.press("p('ab', 2)\r");
    t.expect("\"abab\"\n");
    t.expect("> ");
    t.press(".he\t");
    t.expect("heap  help");
    t.press("lp\r");
    t.expect(".save FILE");
    t.expect("> ");
    t.press("\u{4}");
    t.ends();
}

#[test]
fn errors_show_their_place() {
    if !is_neap() {
        return;
    }
    let folder = Folder::new("place");
    let mut t = Terminal::start(&folder.0);
    t.expect("> ");
    t.ask("x = = 1", "stdin:1: unexpected symbol near '='\n   1 | x = = 1\n     |     ^\n");
    t.press("function f(t)\r  return t.x.y\rend\r");
    t.expect("end\n> ");
    // The line is that of the input in which the function stands, not of this one.
    t.press("f({})\r");
    t.expect("stdin:2: attempt to index a nil value (field 'x')\nstack traceback:\n");
    t.expect("   2 |   return t.x.y\n");
    t.expect("> ");
    t.ask("nothing.at.all", "stdin:1: attempt to index a nil value (global 'nothing')\nstack traceback:\n\tstdin:1: in main chunk\n\t[C]: in ?\n   1 | nothing.at.all\n");
    t.press("load('local a\\nerror(\"in a string\")')()\r");
    t.expect("   2 | error(\"in a string\")\n");
    let file = folder.0.join("bad.lua");
    std::fs::write(&file, "local a = 1\nlocal b = a .. {}\n").expect("a file");
    t.press(format!(".load {}\r", file.display()));
    t.expect("bad.lua:2: attempt to concatenate a table value");
    t.expect("   2 | local b = a .. {}\n");
    std::fs::write(&file, "local a = \n)\n").expect("a file");
    t.press(format!(".load {}\r", file.display()));
    t.expect("bad.lua:2: unexpected symbol near ')'\n   2 | )\n     | ^\n");
    t.expect("> ");
    t.press("\u{4}");
    t.ends();
}

#[test]
fn scripts_show_the_line_of_an_error_on_a_terminal() {
    if !is_neap() {
        return;
    }
    let folder = Folder::new("script");
    let plain = [("NO_COLOR", "1")];
    std::fs::write(folder.0.join("e.lua"), "#!neap\nlocal t\nprint(t.x)\n").expect("a file");
    let mut t = Terminal::run(&folder.0, &plain, &["e.lua"]);
    let message =
        "neap: e.lua:3: attempt to index a nil value (local 't')\nstack traceback:\n\te.lua:3: in main chunk\n\t[C]: in ?\n";
    t.expect(&format!("{message}   3 | print(t.x)\n"));
    t.ends_with(1);
    std::fs::write(folder.0.join("s.lua"), "#!neap\nx = [1]\n").expect("a file");
    for words in [&["s.lua"][..], &["--check", "s.lua"]] {
        let mut t = Terminal::run(&folder.0, &plain, words);
        t.expect("neap: s.lua:2: unexpected symbol near '['\n   2 | x = [1]\n     |     ^\n");
        t.ends_with(1);
    }
    let mut t = Terminal::run(&folder.0, &[], &["-e", "x = )"]);
    t.expect("neap: (command line):1: unexpected symbol near ')'\n\u{1b}[2m   1 | \u{1b}[0mx = )\n");
    t.expect("\u{1b}[31m^\u{1b}[0m\n");
    t.ends_with(1);
}

#[test]
fn output_without_a_newline_is_not_drawn_over() {
    if !is_neap() {
        return;
    }
    let folder = Folder::new("newline");
    let mut t = Terminal::start(&folder.0);
    t.expect("> ");
    t.ask("for i = 1, 3 do io.write(i) end", "123\n");
    t.ask("(function() io.write('a', 'b') return 1 end)()", "ab\n1\n");
    t.press("\u{4}");
    t.ends();
}

#[test]
fn commands() {
    if !is_neap() {
        return;
    }
    let folder = Folder::new("commands");
    let saved = folder.0.join("saved.lua");
    let mut t = Terminal::start(&folder.0);
    t.expect("> ");
    t.ask("count = 0", "");
    t.ask("function up() count = count + 1 return count end", "");
    t.ask("up()", "1\n");
    t.ask("nonsense nonsense", "stdin:1: ");
    t.ask(&format!(".save {}", saved.display()), "3 inputs saved in ");
    t.ask(&format!(".load {}", saved.display()), "");
    t.ask("count", "1\n");
    t.ask(".time up()", "2\ntime: ");
    t.ask(".time for i = 1, 2 do\r up() end", "time: ");
    t.ask("count", "4\n");
    t.ask(".gc", "heap ");
    t.ask(".gc full", "collected ");
    t.ask(".gc half", "usage: .gc [full]\n");
    t.ask(".heap", "kind ");
    t.ask(".hepl", "there is no command .hepl (did you mean .help?); .help lists them\n");
    t.ask(".save", "usage: .save FILE\n");
    t.ask(".quit now", ".quit takes no argument\n");
    t.ask(".load nowhere.lua", "cannot open nowhere.lua: No such file or directory\n");
    t.ask(".5 + 1", "1.5\n");
    t.press(".quit\r");
    t.ends();
    assert_eq!(
        std::fs::read_to_string(saved).expect("a file"),
        "count = 0\nfunction up() count = count + 1 return count end\nup()\n"
    );
}

#[test]
fn keys_may_be_no_text() {
    if !is_neap() {
        return;
    }
    let folder = Folder::new("bytes");
    let mut t = Terminal::start(&folder.0);
    t.expect("> ");
    t.press(b"x = '\xFF'\r");
    t.expect("not UTF-8");
    t.expect("> ");
    t.press("\u{3}");
    t.expect("> ");
    t.ask("'é漢\u{301}'", "\"é漢\u{301}\"\n");
    t.press("\u{4}");
    t.ends();
}

#[test]
fn an_interrupt_gets_through() {
    if !is_neap() {
        return;
    }
    let folder = Folder::new("interrupt");
    let mut t = Terminal::start(&folder.0);
    t.expect("> ");
    for busy in [
        "local a = ('a'):rep(30) a:find(('a?'):rep(30) .. a)",
        "table.concat(setmetatable({}, {__index = function() return '' end, __len = function() return 1 << 40 end}))",
        "table.sort({3, 2, 1}, function() while true do end end)",
        "coroutine.wrap(function() while true do end end)()",
    ] {
        t.press(format!("io.write('bu', 'sy') io.flush() {busy}\r"));
        t.expect("busy");
        std::thread::sleep(Duration::from_millis(50));
        t.press("\u{3}");
        t.expect("interrupted!");
        t.expect("> ");
    }
    // Printing runs the program too.
    t.press("setmetatable({}, {__tostring = function() print('go' .. 'ing') while true do end end})\r");
    t.expect("going");
    t.press("\u{3}");
    t.expect("interrupted!");
    t.ask("1 + 1", "2\n");
    t.press("\u{4}");
    t.ends();
}

#[test]
fn colours_and_hints() {
    if !is_neap() {
        return;
    }
    let folder = Folder::new("colours");
    let mut t = Terminal::start_with(&folder.0, &[]);
    t.expect("> ");
    t.press("if nil then");
    t.expect("\u{1b}[35mif\u{1b}[0m \u{1b}[36mnil\u{1b}[0m \u{1b}[35mthen\u{1b}[0m");
    t.press("\u{3}");
    t.expect("\n> ");
    // The rest of the only name that fits; the arrow takes it.
    t.press("tostr");
    t.expect("tostr\u{1b}[2ming\u{1b}[0m");
    t.press("\u{1b}[C('a') .. 1\r");
    t.expect("\n\u{1b}[32m\"a1\"\u{1b}[0m\n");
    // What was typed before.
    t.press("to");
    t.expect("to\u{1b}[2mstring('a') .. 1\u{1b}[0m");
    t.press("\u{3}");
    t.expect("\n> ");
    t.press("\u{4}");
    t.ends();
}

#[test]
fn a_dumb_terminal_gets_plain_text() {
    if !is_neap() {
        return;
    }
    let folder = Folder::new("dumb");
    let mut t = Terminal::start_with(&folder.0, &[("TERM", "dumb")]);
    t.expect("> ");
    t.press("for i = 1, 1 do\n");
    t.expect(">> ");
    t.press("print(i) end\n");
    t.expect("\n1\n> ");
    t.press("{1, 'x'}\n");
    t.expect("{1, \"x\"}\n> ");
    t.press(".help\n");
    t.expect(".quit");
    assert!(!t.seen.contains('\u{1b}'));
    t.press("\u{4}");
    t.ends();
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
