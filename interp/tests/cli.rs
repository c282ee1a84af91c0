//! The command line: options, `arg`, exit codes, what goes to which stream. Section 7 of the reference manual says what
//! a standalone Lua does; where it is silent, the expectation is what `lua5.4` does.
//!
//! `LUA_UNDER_TEST=/usr/bin/lua5.4 cargo test --test cli` checks the expectations themselves.

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

/// What a run left behind, as text.
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

fn run(mut command: Command, stdin: &str) -> Ran {
    // Some tests depend on where modules and files are sought.
    command.current_dir(scratch());
    let outcome = common::run(command, stdin.as_bytes(), LIMIT).expect("a run that ends");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ran { code: outcome.status.code(), out: text(&outcome.stdout), err: text(&outcome.stderr) }
}

fn neap(arguments: &[&str]) -> Ran {
    with_input(arguments, "")
}

fn with_input(arguments: &[&str], stdin: &str) -> Ran {
    let mut command = common::command();
    command.args(arguments);
    run(command, stdin)
}

impl Ran {
    #[track_caller]
    fn succeeds(&self, out: &str) -> &Ran {
        assert_eq!((self.out.as_str(), self.err.as_str(), self.code), (out, "", Some(0)));
        self
    }

    /// Exit code 1, nothing on standard output, and standard error begins so.
    #[track_caller]
    fn fails(&self, err: &str) -> &Ran {
        assert!(self.err.starts_with(err), "standard error is\n{}\ninstead of\n{err}", self.err);
        assert_eq!((self.out.as_str(), self.code), ("", Some(1)));
        self
    }
}

/// A folder of this process's own for scripts.
fn scratch() -> PathBuf {
    let folder = std::env::temp_dir().join(format!("neap-cli-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for scripts");
    folder
}

/// Writes a script; each test has names of its own, as tests run side by side.
fn script(name: &str, text: &str) {
    std::fs::write(scratch().join(name), text).expect("a script");
}

#[test]
fn statements_by_e_run_in_order_and_share_globals() {
    neap(&["-e", "print(1)"]).succeeds("1\n");
    neap(&["-e", "print(x)", "-e", "x = 3", "-e", "print(x)"]).succeeds("nil\n3\n");
    neap(&["-eprint(5)"]).succeeds("5\n");
}

#[test]
fn a_script_gets_its_arguments() {
    script("args.lua", "print(#arg, arg[0], ...) for i = -9, -1 do if arg[i] then io.write(i, '=', arg[i], ' ') end end print()");
    neap(&["args.lua"]).succeeds("0\targs.lua\n-1=neap \n");
    neap(&["args.lua", "a", "b c", ""]).succeeds("3\targs.lua\ta\tb c\t\n-1=neap \n");
    neap(&["-e", "x = 1", "args.lua", "-x", "--"]).succeeds("2\targs.lua\t-x\t--\n-3=neap -2=-e -1=x = 1 \n");
    neap(&["--", "args.lua", "p"]).succeeds("1\targs.lua\tp\n-2=neap -1=-- \n");
}

#[test]
fn without_a_script_arg_starts_at_the_program() {
    neap(&["-e", "print(#arg, arg[0], arg[1])"]).succeeds("2\tneap\t-e\n");
}

#[test]
fn a_script_of_bytes_that_are_no_text_gets_bytes() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    script("bytes.lua", "print((...):byte(1, -1))");
    let mut command = common::command();
    command.arg("bytes.lua").arg(OsStr::from_bytes(b"a\xff\xfe"));
    run(command, "").succeeds("97\t255\t254\n");
}

#[test]
fn standard_input_is_a_script() {
    with_input(&["-"], "print('from', ...)").succeeds("from\n");
    with_input(&["-", "a", "b"], "print('from', ...)").succeeds("from\ta\tb\n");
    with_input(&[], "print('no arguments')").succeeds("no arguments\n");
    with_input(&["-"], "").succeeds("");
    with_input(&["-"], "#!shebang\nprint('after it')").succeeds("after it\n");
    with_input(&["-"], "x = = 1").fails("neap: stdin:1: unexpected symbol near '='\n");
    with_input(&["-e", "print(io.read())"], "a line\n").succeeds("a line\n");
}

#[test]
fn a_script_may_begin_with_a_shebang_and_be_binary() {
    script("bang.lua", "#!/usr/bin/env neap\nprint('run')");
    neap(&["bang.lua"]).succeeds("run\n");
    neap(&[
        "-e",
        "local f = io.open('dumped.luac', 'wb') f:write(string.dump(function(...) print('binary', ...) end)) f:close()",
    ])
    .succeeds("");
    neap(&["dumped.luac", "x"]).succeeds("binary\tx\n");
}

#[test]
fn modules_by_l() {
    script("climod.lua", "print('loaded', ...) return { v = 7 }");
    neap(&["-l", "climod", "-e", "print(climod.v)"]).succeeds("loaded\tclimod\t./climod.lua\n7\n");
    neap(&["-l", "m=climod", "-e", "print(m.v, climod)"]).succeeds("loaded\tclimod\t./climod.lua\n7\tnil\n");
    neap(&["-ls=string", "-e", "print(s == string)"]).succeeds("true\n");
    neap(&["-l", "no_such_module"])
        .fails("neap: module 'no_such_module' not found:\n\tno field package.preload['no_such_module']\n");
}

#[test]
fn the_version() {
    let ran = neap(&["-v"]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    assert!(ran.out.contains("Lua 5.4"), "{}", ran.out);
    let ran = neap(&["-v", "-e", "print('then')"]);
    assert!(ran.out.contains("Lua 5.4") && ran.out.ends_with("\nthen\n"), "{}", ran.out);
    neap(&["-e", "print(_VERSION)"]).succeeds("Lua 5.4\n");
}

#[test]
fn wrong_options_show_the_usage() {
    for (option, complaint) in [
        ("-q", "unrecognized option '-q'"),
        ("-vv", "unrecognized option '-vv'"),
        ("-i-", "unrecognized option '-i-'"),
        ("-e", "'-e' needs argument"),
        ("-l", "'-l' needs argument"),
    ] {
        let ran = neap(&[option]);
        ran.fails(&format!("neap: {complaint}\nusage: neap [options] [script [args]]\n"));
    }
}

#[test]
fn errors_go_to_standard_error_with_a_traceback() {
    neap(&["-e", "error('m')"]).fails("neap: (command line):1: m\nstack traceback:\n\t[C]: in function 'error'\n");
    neap(&["-e", "x ="]).fails("neap: (command line):1: unexpected symbol near <eof>\n");
    neap(&["-e", "error({})"]).fails("neap: (error object is a table value)\n");
    neap(&["-e", "error()"]).fails("neap: (error object is a nil value)\n");
    neap(&["-e", "error(setmetatable({}, { __tostring = function() return 'T' end }))"]).fails("neap: T\n");
    neap(&["-e", "error('plain', 0)"]).fails("neap: plain\nstack traceback:\n");
    neap(&["-e", "local t = nil; t.x = 1"]).fails("neap: (command line):1: attempt to index a nil value (local 't')\n");
    script("fails.lua", "local function f() error('in script') end\nf()");
    let ran = neap(&["fails.lua"]);
    ran.fails("neap: fails.lua:1: in script\nstack traceback:\n\t[C]: in function 'error'\n\tfails.lua:1: in ");
    assert!(ran.err.ends_with("\tfails.lua:2: in main chunk\n\t[C]: in ?\n"), "{}", ran.err);
    script("syntax.lua", "print('not reached')\nif");
    neap(&["syntax.lua"]).fails("neap: syntax.lua:2: unexpected symbol near <eof>\n");
    neap(&["no-such-file.lua"]).fails("neap: cannot open no-such-file.lua");
}

#[test]
fn an_error_stops_the_options_after_it() {
    let ran = neap(&["-e", "print(1)", "-e", "error('x')", "-e", "print(2)"]);
    assert_eq!((ran.out.as_str(), ran.code), ("1\n", Some(1)));
}

#[test]
fn exit_codes() {
    for (code, expected) in [("3", 3), ("true", 0), ("false", 1), ("", 0), ("256 + 7", 7), ("2.0", 2)] {
        assert_eq!(neap(&["-e", &format!("os.exit({code})")]).code, Some(expected), "{code}");
    }
    neap(&["-e", "io.write('buffered') os.exit(0)"]).succeeds("buffered");
    neap(&["-e", "return 5"]).succeeds("");
    neap(&["-e", "coroutine.wrap(function() os.exit(0) end)()"]).succeeds("");
}

#[test]
fn closing_the_state_runs_finalizers_and_closes_variables() {
    neap(&["-e", "setmetatable({}, { __gc = function() print('gc') end })"]).succeeds("gc\n");
    neap(&["-e", "for i = 1, 3 do _G['k' .. i] = setmetatable({}, { __gc = function() print(i) end }) end"])
        .succeeds("3\n2\n1\n");
    neap(&["-e", "local x <close> = setmetatable({}, { __close = function() print('closed') end }) os.exit(0, true)"])
        .succeeds("closed\n");
    neap(&["-e", "x = setmetatable({}, { __gc = function() print('gc') end }) os.exit(0, true)"]).succeeds("gc\n");
    neap(&["-e", "x = setmetatable({}, { __gc = function() print('gc') end }) os.exit(0)"]).succeeds("");
    let ran = neap(&["-e", "x = setmetatable({}, { __gc = function() print('gc') end }) error('e')"]);
    assert_eq!((ran.out.as_str(), ran.code), ("gc\n", Some(1)));
    // A finalizer that makes another object with one does not keep the state open for ever.
    let ran = neap(&["-e", "local mt = {} mt.__gc = function() setmetatable({}, mt) end setmetatable({}, mt)"]);
    assert_eq!(ran.code, Some(0));
}

#[test]
fn warnings() {
    neap(&["-e", "warn('off by default')"]).succeeds("");
    let ran = neap(&["-W", "-e", "warn('hel', 'lo') warn('@off') warn('no') warn('@on') warn('x')"]);
    assert_eq!((ran.out.as_str(), ran.err.as_str(), ran.code), ("", "Lua warning: hello\nLua warning: x\n", Some(0)));
    let ran = neap(&["-W", "-e", "setmetatable({}, { __gc = function() error('oops') end })"]);
    assert!(ran.err.starts_with("Lua warning: error in __gc"), "{}", ran.err);
    assert_eq!(ran.code, Some(0));
}

#[test]
fn the_environment() {
    let with = |variables: &[(&str, &str)], arguments: &[&str]| {
        let mut command = common::command();
        command.envs(variables.iter().copied()).args(arguments);
        run(command, "")
    };
    with(&[("LUA_INIT", "print('init')")], &["-e", "print('then')"]).succeeds("init\nthen\n");
    with(&[("LUA_INIT", "print('init')")], &["-E", "-e", "print('then')"]).succeeds("then\n");
    with(&[("LUA_INIT", "print('init')"), ("LUA_INIT_5_4", "print('init 5.4')")], &["-e", ""]).succeeds("init 5.4\n");
    script("init.lua", "from_init = 'file'");
    with(&[("LUA_INIT", "@init.lua")], &["-e", "print(from_init)"]).succeeds("file\n");
    with(&[("LUA_INIT", "error('bad init')")], &["-e", "print(1)"]).fails("neap: LUA_INIT:1: bad init\n");
    with(&[("LUA_PATH", "/x/?.lua;;")], &["-e", "print(package.path:match('^/x/%?.lua;'), package.path:find(';;', 1, true))"])
        .succeeds("/x/?.lua;\tnil\n");
    with(&[("LUA_PATH", "/x/?.lua")], &["-e", "print(package.path)"]).succeeds("/x/?.lua\n");
    with(&[("LUA_PATH", "/x/?.lua"), ("LUA_PATH_5_4", "/y/?.lua")], &["-e", "print(package.path)"]).succeeds("/y/?.lua\n");
    with(&[("LUA_PATH", "/x/?.lua")], &["-E", "-e", "print(package.path == '/x/?.lua')"]).succeeds("false\n");
}

#[test]
fn the_loop_shows_values_and_survives_errors() {
    let ran = with_input(
        &["-i"],
        "1 + 1\nlocal_x = 5\nlocal_x\nfor i = 1, 2 do\nprint('turn', i)\nend\nerror('E')\nlocal_x.y.z\n= 3 + 4\nreturn 1, nil, 'two'\n\
         x = = 1\nnil\nprint('last')\n",
    );
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    for line in ["2", "5", "turn\t1", "turn\t2", "7", "1\tnil\ttwo", "nil", "last"] {
        let shown = ran.out.lines().any(|l| l.trim_start_matches(['>', ' ']) == line);
        assert!(shown, "{line:?} is not in\n{}", ran.out);
    }
    for complaint in
        ["stdin:1: E\n", "stdin:1: attempt to index a number value (global 'local_x')\n", "stdin:1: unexpected symbol near '='\n"]
    {
        assert!(ran.err.contains(complaint), "{complaint:?} is not in\n{}", ran.err);
    }
}

#[test]
fn the_loop_starts_after_the_script() {
    script("before.lua", "value = 42 print('script ran', ...)");
    let ran = with_input(&["-i", "before.lua", "arg"], "print('then', value)\n");
    let (script, then) = (ran.out.find("script ran\targ"), ran.out.find("then\t42"));
    assert!(script.is_some() && script < then, "{}", ran.out);
    assert_eq!(ran.code, Some(0));
    let ran = with_input(&["-i", "-e", "error('first')"], "print('not reached')\n");
    assert_eq!(ran.code, Some(1));
}

#[test]
fn the_prompts_come_from_globals() {
    let ran = with_input(&["-i", "-e", "_PROMPT = 'ready: ' _PROMPT2 = 'more: '"], "do\nend\n");
    assert!(ran.out.contains("ready: ") && ran.out.contains("more: "), "{}", ran.out);
}

#[test]
fn a_closed_standard_output_is_an_error_and_no_crash() {
    // The reader of the pipe goes away at once; print must not abort the process by a signal or a panic.
    let mut command = common::command();
    command.args(["-e", "for i = 1, 100000 do io.write('some text that fills the pipe\\n') end os.exit(9)"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("a child");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("an end");
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(!err.contains("panicked"), "{err}");
}

#[test]
fn a_full_device_is_reported_to_the_script() {
    let mut command = common::command();
    command.args([
        "-e",
        "local ok, message = io.stdout:write(('x'):rep(100000)) io.stderr:write(tostring(ok), ' ', tostring(message))",
    ]);
    let Ok(full) = std::fs::OpenOptions::new().write(true).open("/dev/full") else { return };
    let output = command.stdin(Stdio::null()).stdout(full).output().expect("an end");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "nil No space left on device");
}

#[test]
fn a_script_that_cannot_be_read() {
    let path = scratch().join("locked.lua");
    std::fs::write(&path, "print(1)").expect("a script");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).expect("permissions");
    if std::fs::read(&path).is_err() {
        neap(&["locked.lua"]).fails("neap: cannot open locked.lua");
    }
    let ran = neap(&["."]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
    assert!(ran.err.starts_with("neap: cannot read"), "{}", ran.err);
}

#[test]
fn standard_streams_can_be_used_together() {
    let ran = with_input(
        &["-e", "io.stdout:write(io.read('n') * 2, '\\n') io.stderr:write(io.read('L'), io.read('a'))"],
        "21 rest\nall\n",
    );
    assert_eq!((ran.out.as_str(), ran.err.as_str(), ran.code), ("42\n", " rest\nall\n", Some(0)));
}

/// What only neap has is not asked of another interpreter in its place.
fn is_neap() -> bool {
    std::env::var_os("LUA_UNDER_TEST").is_none()
}

#[test]
fn a_heap_limit_turns_exhaustion_into_an_error_that_can_be_caught() {
    if !is_neap() {
        return;
    }
    for hog in [
        "local s = ('x'):rep(1 << 30)",
        "local t = {} for i = 1, 1 << 40 do t[i] = i end",
        "local t = {} for i = 1, 1 << 40 do t['k' .. i] = i end",
        "local l for i = 1, 1 << 40 do l = { l } end",
        "local s = 'x' while true do s = s .. s end",
        "local t = {} for i = 1, 1 << 40 do t[i] = coroutine.create(print) end",
        "local t = {} for i = 1, 1 << 40 do t[i] = function() return i end end",
        "local t = {} for i = 1, 1 << 40 do t[{}] = {} end",
        "local function f(...) return f(1, ...) end f()",
        "return table.concat(setmetatable({}, { __len = function() return 1 << 40 end, __index = function() return ('y'):rep(1000) end }))",
        "return ('z'):rep(1000000):gsub('z', ('w'):rep(1000))",
        "return string.format(('%s'):rep(200), ('v'):rep(1000000):rep(1):byte(1), ('v'):rep(60000000))",
    ] {
        let code = format!(
            "local ok, e = pcall(load([[{hog}]])) io.write(tostring(ok), ' ', tostring(e):sub(-17), '\\n') print(#('a'):rep(1000))"
        );
        let ran = neap(&["--heap-limit", "32M", "-e", &code]);
        let caught = ran.out.starts_with("false ") && ran.out.ends_with("\n1000\n");
        assert!(caught && ran.code == Some(0), "{hog}\n{}{}{:?}", ran.out, ran.err, ran.code);
    }
    // Garbage does not count: with a small limit, much more than it may be allocated over time.
    neap(&[
        "--heap-limit",
        "32M",
        "-e",
        "for i = 1, 300000 do local t = { { i }, ('x'):rep(i % 100) } t.t = t end print('done')",
    ])
    .succeeds("done\n");
    let ran = neap(&["--heap-limit", "32M", "-e", "local l for i = 1, 1 << 40 do l = { l } end"]);
    ran.fails("neap: not enough memory\n");
}

#[test]
fn statistics_at_exit() {
    if !is_neap() {
        return;
    }
    let ran = neap(&["--gc-stats", "-e", "for i = 1, 100000 do local t = {} t.t = t end print('out')"]);
    assert_eq!((ran.out.as_str(), ran.code), ("out\n", Some(0)));
    assert!(ran.err.contains("pause"), "{}", ran.err);
}

#[test]
fn settings_of_the_collector_are_checked() {
    if !is_neap() {
        return;
    }
    let with = |value: &str| {
        let mut command = common::command();
        command.env("NEAP_GC", value).args(["-e", "print('ran')"]);
        run(command, "")
    };
    for value in ["", "stress", "stress=100", "audit", "poison", "stress,audit,poison"] {
        with(value).succeeds("ran\n");
    }
    for value in ["nonsense", "stress=0", "stress=x", "audit=1"] {
        let ran = with(value);
        assert_eq!((ran.out.as_str(), ran.code), ("", Some(1)), "{value}: {}", ran.err);
    }
    for size in ["", "x", "12Q", "-5"] {
        assert_eq!(neap(&["--heap-limit", size, "-e", ""]).code, Some(1), "{size:?}");
    }
}
