//! The command `neap` as a person uses it. What the tests expect is the manual's section 7 and what `lua5.4` does; those before the line "of neap's
//! own" pass under `LUA_UNDER_TEST=lua5.4` too.

mod common;

use common::{Outcome, is_neap};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

/// A folder in which commands run.
struct Folder(common::Folder);

impl Folder {
    fn new() -> Folder {
        Folder(common::Folder::new())
    }
    fn path(&self, name: &str) -> PathBuf {
        self.0.0.join(name)
    }
    fn file(&self, name: &str, text: &str) -> &Folder {
        std::fs::write(self.path(name), text).expect("a file");
        self
    }
    fn run(&self, words: &[&str]) -> Run {
        let mut command = common::command();
        command.current_dir(&self.0.0).args(words);
        finish(command, "")
    }
}

/// How a run ended.
#[derive(Debug)]
struct Run {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Run {
    /// Success, with this output and no message.
    #[track_caller]
    fn prints(&self, out: &str) {
        assert_eq!((self.code, &*self.out, &*self.err), (Some(0), out, ""));
    }
    /// Failure; the messages begin like this.
    #[track_caller]
    fn fails(&self, err: &str) {
        assert_eq!(self.code, Some(1), "{self:?}");
        assert!(self.err.starts_with(err), "{self:?}");
    }
}

fn finish(command: Command, input: &str) -> Run {
    let Outcome { status, stdout, stderr } = common::run(command, input.as_bytes(), LIMIT).expect("a run");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Run { code: status.code(), out: text(stdout), err: text(stderr) }
}

fn run(words: &[&str]) -> Run {
    feed(words, "")
}

fn feed(words: &[&str], input: &str) -> Run {
    let mut command = common::command();
    command.args(words);
    finish(command, input)
}

fn run_with(variables: &[(&str, &str)], words: &[&str]) -> Run {
    let mut command = common::command();
    command.args(words).envs(variables.iter().copied());
    finish(command, "")
}

// ---- chunks and arguments

#[test]
fn chunks_of_the_command_line_run_in_order() {
    run(&["-e", "x = 1", "-ex = x + 1", "-e", "print(x)"]).prints("2\n");
    run(&["-e", "print(1)", "-e", "error('no', 0)", "-e", "print(2)"]).fails("neap: no\n");
}

#[test]
fn the_table_of_arguments() {
    let folder = Folder::new();
    folder.file("a.lua", "for i = -6, 4 do io.write(tostring(arg[i]), ' ') end print(#arg, ...)");
    folder.run(&["a.lua", "x", "y"]).prints("nil nil nil nil nil neap a.lua x y nil nil 2\tx\ty\n");
    folder.run(&["-e", "z=1", "--", "a.lua", "-v"]).prints("nil nil neap -e z=1 -- a.lua -v nil nil nil 1\t-v\n");
    folder.run(&["-e", "print(arg[0], arg[1], arg[-1], ...)"]).prints("neap\t-e\tnil\n");
    folder.run(&["-e", "arg = {7, 8}", "a.lua", "x"]).prints("nil nil nil nil nil nil nil 7 8 nil nil 2\t7\t8\n");
    folder.run(&["-e", "arg = nil", "a.lua"]).fails("neap: 'arg' is not a table\n");
}

#[test]
fn the_standard_input_is_a_script() {
    feed(&[], "print('in', ...)").prints("in\n");
    feed(&["-"], "print('in', ...)").prints("in\n");
    feed(&["-", "a", "b"], "print(arg[0], ...)").prints("-\ta\tb\n");
    feed(&["-"], "error('x', 0)").fails("neap: x\n");
    feed(&["-e", "print(io.read('n', 'l', 'a'))"], "5 rest\nmore").prints("5\t rest\tmore\n");
    // Who gives a script on the standard input without a word for it is told of errors, but not by the exit code.
    let failed = feed(&[], "error('x', 0)");
    assert_eq!(failed.code, Some(0));
    assert!(failed.err.starts_with("neap: x\n"));
}

#[test]
fn the_first_line_may_be_for_the_system() {
    let folder = Folder::new();
    folder.file("a.lua", "#!/usr/bin/env neap\nprint(debug and 1, ...)").run(&["a.lua"]).prints("1\n");
    folder.file("a.lua", "\u{feff}# x\nerror('second line')").run(&["a.lua"]).fails("neap: a.lua:2: second line\n");
    folder.file("a.lua", "#").run(&["a.lua"]).prints("");
}

#[test]
fn libraries_are_required() {
    let folder = Folder::new();
    folder.file("m.lua", "return {name = ...}");
    folder.run(&["-l", "m", "-e", "print(m.name)"]).prints("m\n");
    folder.run(&["-lm", "-e", "print(m.name)"]).prints("m\n");
    folder.run(&["-l", "g=m", "-e", "print(g.name, m)"]).prints("m\tnil\n");
    folder.run(&["-l", "none"]).fails("neap: module 'none' not found:\n\tno field package.preload['none']\n");
}

// ---- errors

#[test]
fn errors_are_reported() {
    let folder = Folder::new();
    folder.file("e.lua", "local function f()\n  error('boom')\nend\nf()");
    folder.run(&["e.lua"]).fails("neap: e.lua:2: boom\nstack traceback:\n\t[C]: in function 'error'\n\te.lua:2: in ");
    folder.run(&["none.lua"]).fails("neap: cannot open none.lua");
    folder.run(&["."]).fails("neap: cannot read .");
    folder.file("s.lua", "x = = 1").run(&["s.lua"]).fails("neap: s.lua:1: unexpected symbol near '='\n");
    run(&["-e", "x ="]).fails("neap: (command line):1: unexpected symbol near <eof>\n");
}

#[test]
fn error_objects_are_reported() {
    run(&["-e", "error()"]).fails("neap: (error object is a nil value)\n");
    run(&["-e", "error({})"]).fails("neap: (error object is a table value)\n");
    run(&["-e", "error(42)"]).fails("neap: 42\n");
    let told = run(&["-e", "error(setmetatable({}, {__tostring = function() return 'told' end}))"]);
    told.fails("neap: told\n");
    assert_eq!(told.err, "neap: told\n");
    run(&["-e", "error(setmetatable({}, {__tostring = function() return 1 end}))"])
        .fails("neap: (error object is a table value)\n");
}

#[test]
fn tracebacks_end_at_the_host() {
    let failed = run(&["-e", "error('x', 0)"]);
    assert_eq!(
        failed.err,
        "neap: x\nstack traceback:\n\t[C]: in function 'error'\n\t(command line):1: in main chunk\n\t[C]: in ?\n"
    );
}

#[test]
fn exit_codes() {
    for (call, code) in [("()", 0), ("(3)", 3), ("(true)", 0), ("(false)", 1), ("(259)", 3)] {
        assert_eq!(run(&["-e", &format!("os.exit{call}")]).code, Some(code), "{call}");
    }
    run(&["-e", "io.write('kept') os.exit(0)"]).prints("kept");
}

#[test]
fn bad_options_show_the_usage() {
    for (words, message) in [
        (&["-z"][..], "neap: unrecognized option '-z'\nusage: neap [options] [script [args]]\nAvailable options are:\n  -e stat"),
        (&["-vi"], "neap: unrecognized option '-vi'\nusage: "),
        (&["-e"], "neap: '-e' needs argument\nusage: "),
        (&["-l", "-v"], "neap: '-l' needs argument\nusage: "),
    ] {
        run(words).fails(message);
    }
}

// ---- environment and warnings

#[test]
fn the_environment_may_hold_a_first_chunk() {
    let folder = Folder::new();
    let file = folder.file("i.lua", "print('file')").path("i.lua");
    let at = format!("@{}", file.display());
    run_with(&[("LUA_INIT", "print('init')")], &["-e", "print(1)"]).prints("init\n1\n");
    run_with(&[("LUA_INIT", "print('init')")], &["-E", "-e", "print(1)"]).prints("1\n");
    run_with(&[("LUA_INIT", &at)], &["-e", "print(1)"]).prints("file\n1\n");
    run_with(&[("LUA_INIT", "print(1)"), ("LUA_INIT_5_4", "print(2)")], &["-e", ""]).prints("2\n");
    run_with(&[("LUA_INIT", "error('bad', 1)")], &["-e", "print(1)"]).fails("neap: LUA_INIT:1: bad\n");
}

#[test]
fn paths_come_from_the_environment() {
    let print = &["-e", "print(package.path:sub(1, 8))"];
    run_with(&[("LUA_PATH", "/x/?.lua;;")], print).prints("/x/?.lua\n");
    run_with(&[("LUA_PATH", "/x/?.lua"), ("LUA_PATH_5_4", "/y/?.lua")], print).prints("/y/?.lua\n");
    run_with(&[("LUA_PATH", "/x/?.lua;;")], &["-E", print[0], print[1]]).prints("/usr/loc\n");
}

#[test]
fn warnings_are_off_until_asked_for() {
    assert_eq!(run(&["-e", "warn('a', 'b')"]).err, "");
    assert_eq!(run(&["-W", "-e", "warn('a', 'b')"]).err, "Lua warning: ab\n");
    assert_eq!(run(&["-e", "warn('a')", "-W", "-e", "warn('b')"]).err, "Lua warning: b\n");
}

// ---- the end of a program

#[test]
fn pending_variables_are_closed() {
    let code = |exit| {
        format!(
            "local function var(name, fails)
               return setmetatable({{}}, {{__close = function(_, e)
                 print(name, type(e)) if fails then error('e', 0) end end}})
             end
             local a <close> = var('a')
             local b <close> = var('b', true)
             coroutine.wrap(function() local c <close> = var('c') {exit} end)()"
        )
    };
    let closed = run(&["-e", &code("os.exit(0, true)")]);
    assert_eq!((closed.code, &*closed.out), (Some(0), "b\tnil\na\tstring\n"));
    run(&["-e", &code("os.exit(0)")]).prints("");
    assert_eq!(run(&["-e", &code("error('x', 0)")]).out, "c\tstring\nb\tstring\na\tstring\n");
}

#[test]
fn errors_of_variables_closed_at_the_exit_are_for_no_handler_around() {
    let code = "local function var(name)
           return setmetatable({}, {__close = function(_, e)
             io.write(name, '(', tostring(e), ') ')
             xpcall(error, function(m) io.write('[own: ', m, '] ') end, name .. ' too')
             error('from ' .. name, 0)
           end})
         end
         local function heard(m) io.write('[heard: ', tostring(m), '] ') return m end
         local a <close> = var('a')
         xpcall(function()
           local b <close> = var('b')
           xpcall(function() local c <close> = var('c') os.exit(7, true) end, heard)
         end, heard)";
    let closed = run(&["-e", code]);
    let expected = "c(nil) [own: c too] b(from c) [own: b too] a(from b) [own: a too] ";
    assert_eq!((closed.code, &*closed.out, &*closed.err), (Some(7), expected, ""));
}

#[test]
fn finalizers_run_at_the_end_last_set_first() {
    let make = "for i = 1, 4 do _G[i] = setmetatable({}, {__gc = function() io.write(i, ' ') end}) end ";
    run(&["-e", make]).prints("4 3 2 1 ");
    let failed = run(&["-e", &format!("{make} error('x', 0)")]);
    assert_eq!((failed.code, &*failed.out), (Some(1), "4 3 2 1 "));
    run(&["-e", &format!("{make} os.exit(0, true)")]).prints("4 3 2 1 ");
    run(&["-e", &format!("{make} os.exit(0)")]).prints("");
    // One that fails is told of by a warning; what finalizers create has none.
    let warned = run(&["-W", "-e", "X = setmetatable({}, {__gc = function() error('bad', 0) end})"]);
    assert_eq!((warned.code, &*warned.err), (Some(0), "Lua warning: error in __gc (bad)\n"));
    run(&["-e", "function new() setmetatable({}, {__gc = function() io.write('x') new() end}) end new()"]).prints("x");
    let exits = "X = setmetatable({}, {__gc = function() io.write('x') end})
                 Y = setmetatable({}, {__gc = function() io.write('y') os.exit(3, true) end})";
    let exits = run(&["-e", exits]);
    assert_eq!((exits.code, &*exits.out), (Some(3), "yx"));
}

#[test]
fn files_are_written_out_at_the_end() {
    let folder = Folder::new();
    folder.run(&["-e", "F = io.open('f', 'w') F:write('kept')"]).prints("");
    folder.run(&["-e", "print(io.open('f'):read('a'))"]).prints("kept\n");
}

// ---- pipes and signals

fn spawn(code: &str) -> Child {
    let mut command = common::command();
    command.args(["-e", code]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("a child")
}

/// Waits for the end, not too long.
fn wait(child: &mut Child) -> (std::process::ExitStatus, String) {
    let status = common::wait(child, LIMIT).expect("it runs on");
    let mut errors = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut errors).expect("UTF-8");
    (status, errors)
}

/// Waits until the child has said this.
fn hear(output: &mut impl BufRead, line: &str) {
    let mut said = String::new();
    output.read_line(&mut said).expect("a line");
    assert_eq!(said, format!("{line}\n"));
}

fn signal(child: &Child) {
    let id = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(id, rustix::process::Signal::INT).expect("a child that runs");
}

#[test]
fn a_closed_pipe_ends_the_program_quietly() {
    let mut child = spawn("while true do print('line') end");
    drop(child.stdout.take());
    let (status, errors) = wait(&mut child);
    assert_eq!((status.signal(), &*errors), (Some(13), ""));
}

#[test]
fn an_interrupt_is_an_error() {
    for waiting in [
        "while true do end",
        "local function f() return f() end f()",
        "repeat local x = {} until false",
        "io.read()",
        "os.execute('exec sleep 2')",
        "io.popen('exec sleep 2'):close()",
    ] {
        let mut child = spawn(&format!("print('ready')\n{waiting}"));
        hear(&mut BufReader::new(child.stdout.take().expect("a pipe")), "ready");
        // It counts wherever it comes, also after a while.
        std::thread::sleep(Duration::from_millis(50));
        signal(&child);
        let (status, errors) = wait(&mut child);
        assert_eq!(status.code(), Some(1), "{waiting}");
        // Where it is, not where it has been.
        assert_eq!(errors.lines().next(), Some("neap: (command line):2: interrupted!"), "{errors}");
    }
}

#[test]
fn a_second_interrupt_kills() {
    // The first one ends the script, and what is done at its end has no end.
    let mut child = spawn("setmetatable({}, {__gc = function() while true do end end}) print('runs') while true do end");
    let output = &mut BufReader::new(child.stdout.take().expect("a pipe"));
    hear(output, "runs");
    std::thread::sleep(Duration::from_millis(200));
    // On a busy machine two may come as one.
    for _ in 0..100 {
        signal(&child);
        std::thread::sleep(Duration::from_millis(200));
        if child.try_wait().expect("a status").is_some() {
            break;
        }
    }
    let (status, errors) = wait(&mut child);
    assert_eq!((status.signal(), errors.contains("interrupted!")), (Some(2), true), "{errors}");
}

#[test]
fn an_interrupt_is_not_caught() {
    if !is_neap() {
        return;
    }
    let mut child = spawn("print('runs') local function f() while true do end end while true do\npcall(xpcall, f, f) end");
    hear(&mut BufReader::new(child.stdout.take().expect("a pipe")), "runs");
    signal(&child);
    let (status, errors) = wait(&mut child);
    assert_eq!((status.code(), errors.lines().next()), (Some(1), Some("neap: (command line):1: interrupted!")), "{errors}");
}

// ---- of neap's own

#[test]
fn version_and_help() {
    if !is_neap() {
        return;
    }
    let version = format!("Neap {}  Lua 5.4\n", env!("CARGO_PKG_VERSION"));
    feed(&["-v"], "print('not run')").prints(&version);
    run(&["-v", "-e", "print(1)"]).prints(&format!("{version}1\n"));
    let help = run(&["--help"]);
    assert_eq!(help.code, Some(0));
    for option in ["-e", "-i", "-l", "-v", "-E", "-W", "--", "-", "--check", "--disasm", "--gc-stats", "--heap-limit", "--help"] {
        assert!(help.out.lines().any(|line| line.trim_start().split(' ').next() == Some(option)), "{option}: {help:?}");
    }
}

#[test]
fn interactive_without_a_terminal() {
    if !is_neap() {
        return;
    }
    let talk = feed(&["-i", "-e", "x = 5"], "x\nfor i = 1, 2 do\nio.write(i)\nend\nerror('e', 0)\n");
    let version = format!("Neap {}  Lua 5.4\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(talk.out, format!("{version}> 5\n> >> >> 12> > \n"));
    assert!(talk.code == Some(0) && talk.err.starts_with("e\nstack traceback:\n"), "{talk:?}");
}

#[test]
fn programs_are_checked_without_running() {
    if !is_neap() {
        return;
    }
    let folder = Folder::new();
    folder.file("a.lua", "#!/usr/bin/env neap\nprint('run')").file("b.lua", "x = 1\ny = = 2").file("c.lua", "goto l");
    folder.run(&["--check", "a.lua"]).prints("");
    let told = folder.run(&["--check", "a.lua", "b.lua", "none.lua", "c.lua"]);
    let messages = "neap: b.lua:2: unexpected symbol near '='\nneap: cannot open none.lua: No such file or directory\n\
                    neap: c.lua:1: no visible label 'l' for <goto> at line 1\n";
    assert_eq!((told.code, &*told.out, &*told.err), (Some(1), "", messages));
    feed(&["--check", "-"], "return 1").prints("");
    feed(&["--check", "-"], "return return").fails("neap: stdin:1: unexpected symbol near 'return'\n");
    // Binary chunks are verified.
    folder.run(&["-e", "io.open('d', 'wb'):write(string.dump(load('return 1')))"]).prints("");
    folder.run(&["--check", "d"]).prints("");
    let mut chunk = std::fs::read(folder.path("d")).expect("a file");
    chunk.pop();
    std::fs::write(folder.path("d"), chunk).expect("a file");
    folder.run(&["--check", "d"]).fails("neap: d: bad binary format (");
    folder.run(&["--check"]).fails("neap: '--check' needs argument\nusage: ");
}

#[test]
fn bytecode_is_listed() {
    if !is_neap() {
        return;
    }
    let source = "local limit = 10\nlocal function f(n)\n  return function() return n + limit end\nend\nfor i = 1, limit do print(f(i)()) end\n";
    let folder = Folder::new();
    folder.file("a.lua", source);
    let listed = folder.run(&["--disasm", "a.lua"]);
    assert_eq!((listed.code, &*listed.err), (Some(0), ""));
    // Functions by their way, what each one has, lines, jumps and where they lead.
    for part in
        ["main <a.lua:0,0>\n0+ params, ", "\nfunction F0 <a.lua:2,4>\n1 params, ", "\nfunction F0.0 <a.lua:3,3>\n0 params, "]
    {
        assert!(listed.out.contains(part), "{part}: {}", listed.out);
    }
    let line =
        |start: &str| listed.out.lines().find(|line| line.contains(start)).unwrap_or_else(|| panic!("{start}: {}", listed.out));
    assert!(line("ForLoop").contains("[5]"));
    let target = line("ForLoop").rsplit(' ').next().expect("a place");
    assert!(listed.out.lines().any(|line| line.starts_with(&format!(">{target:>5} [5]"))), "{}", listed.out);
    assert_eq!(line("constant K0"), "  constant K0(\"print\")");
    assert_eq!(line("upvalue 0: _ENV"), "  upvalue 0: _ENV from R0");
    assert_eq!(line("upvalue 0: n"), "  upvalue 0: n from R0");
    assert!(line("local limit").contains("(boxed)"));
    // The same from the standard input, but for its name; and from a binary chunk.
    let piped = feed(&["--disasm", "-"], source);
    assert_eq!(piped.out.replace("<stdin:", "<a.lua:"), listed.out);
    folder.run(&["-e", "io.open('d', 'wb'):write(string.dump(loadfile('a.lua')))"]).prints("");
    assert_eq!(folder.run(&["--disasm", "d"]).out, listed.out);
    folder.file("d", "\u{1b}Lua").run(&["--disasm", "d"]).fails("neap: d: bad binary format (");
    folder.file("d", "x =").run(&["--disasm", "d", "a.lua"]).fails("neap: d:1: unexpected symbol near <eof>\n");
}

#[test]
fn messages_have_no_excerpt_but_on_a_terminal() {
    let folder = Folder::new();
    let script = folder.file("e.lua", "local t\nprint(t.x)");
    let message =
        "neap: e.lua:2: attempt to index a nil value (local 't')\nstack traceback:\n\te.lua:2: in main chunk\n\t[C]: in ?\n";
    assert_eq!(script.run(&["e.lua"]).err, message);
    assert_eq!(folder.file("s.lua", "x = = 1").run(&["s.lua"]).err.lines().count(), 1);
}

#[test]
fn the_heap_has_a_limit() {
    if !is_neap() {
        return;
    }
    let grow = "local t = {} for i = 1, 1e8 do t[i] = {} end";
    run(&["--heap-limit", "8M", "-e", grow]).fails("neap: not enough memory\n");
    // What a failed call held is given back.
    let again = format!("for i = 1, 3 do print(pcall(function() {grow} end)) end print(#string.rep('x', 1e6))");
    run(&["--heap-limit=8M", "-e", &again]).prints(&format!("{}1000000\n", "false\tnot enough memory\n".repeat(3)));
    run(&["--heap-limit", "8X"]).fails("neap: '8X' is not a size");
    run(&["--heap-limit", "1"]).fails("neap: cannot create state: not enough memory\n");
}

#[test]
fn statistics() {
    if !is_neap() {
        return;
    }
    let code = "local function round() for i = 1, 1e5 do local t = {{}} end end round()";
    for end in ["", " os.exit(0)", " os.exit(0, true)"] {
        let told = run(&["--gc-stats", "-e", &format!("{code}{end}")]);
        assert_eq!((told.code, &*told.out), (Some(0), ""));
        let line = told.err.lines().find(|line| line.starts_with("allocated")).expect("a line");
        let objects: u64 = line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number");
        assert!(objects >= 200_000, "{}", told.err);
        let short = run(&["--gc-stats", "-e", "local t = {}"]);
        let line = short.err.lines().find(|line| line.starts_with("allocated")).expect("a line");
        let cells: Vec<u64> = line.split_whitespace().skip(1).map(|n| n.parse().expect("a number")).collect();
        // What the libraries are made of, though no epoch has ended.
        assert!(short.err.contains("\nepochs 0,") && cells[0] > 100 && cells[1] > 10_000, "{}", short.err);
        for word in ["reclaimed while young", "reclaimed by counting", "reclaimed in cycles", "epochs ", "epoch end ", "p99.9"] {
            assert!(told.err.contains(word), "{word}: {}", told.err);
        }
    }
}

#[test]
fn a_small_stack_is_enough() {
    if !is_neap() {
        return;
    }
    let code = r#"
        local function deep(f) local function go() return f(go) end return pcall(go) end
        deep(function(go) return string.gsub('a', 'a', go) end)
        deep(function(go) table.sort({1, 2, 3}, function() go() end) end)
        deep(function(go) return tostring(setmetatable({}, {__tostring = go})) end)
        deep(function(go) return load(go) end)
        deep(function(go) return table.concat(setmetatable({}, {__index = go, __len = function() return 1 end})) end)
        deep(function(go) local x <close> = setmetatable({}, {__close = go}) end)
        deep(function(go) return xpcall(error, go) end)
        deep(function(go) return coroutine.wrap(go)() end)
        deep(function(go) package.preload.x = go package.loaded.x = nil return require 'x' end)
        for _, p in ipairs {'(', '{', 'function() return ', '-', 'a..', 'a^', 'a.b(', 'do ', 'if a then ', 'function f() '} do
          for _, n in ipairs {150, 190, 1e5} do load('return ' .. p:rep(n)) load(p:rep(n)) end
        end
        for _, op in ipairs {'+', '..', 'and', '==', '^', '.'} do load('return a' .. (' ' .. op .. ' a'):rep(1e5)) end
        pcall(string.find, ('a'):rep(4e5), ('a?'):rep(2e5))
        print('done')"#;
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "ulimit -s 1024; exec \"$0\" -e \"$1\""]).arg(common::interpreter()).arg(code);
    finish(shell, "").prints("done\n");
}

#[test]
fn settings_of_the_collector() {
    if !is_neap() {
        return;
    }
    let code = ["-e", "local t = {} for i = 1, 300 do t[i % 10] = {t} end print(#t)"];
    for setting in ["stress", "stress=5,audit", "poison", "stress=2, poison, audit"] {
        run_with(&[("NEAP_GC", setting)], &code).prints("9\n");
    }
    run_with(&[("NEAP_GC", "stres")], &code).fails("neap: NEAP_GC: 'stres' is not one of ");
    run_with(&[("NEAP_GC", "stres")], &["-E", code[0], code[1]]).prints("9\n");
}
