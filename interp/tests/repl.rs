//! The loop that reads, runs and prints, without a terminal: its core with lines from a list, then the command.

mod common;

use neap::cli::Session;
use neap::repl::{self, Input, Lines};
use std::process::Stdio;
use std::time::Duration;

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
    let folder = common::Folder::new();
    let file = folder.0.join("out");
    let write =
        format!("local f <close> = assert(io.open({:?}, 'w')) f:write(table.concat(out, ';'))", file.to_str().expect("UTF-8"));
    assert!(session.run_text(write.as_bytes(), b"=test").is_ok());
    (script, std::fs::read_to_string(file).expect("a file"))
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

/// What a session leaves behind, its inputs do when they are saved and loaded.
#[test]
fn a_saved_session_can_be_loaded() {
    let folder = common::Folder::new();
    let file = folder.0.join("saved.lua");
    let save = format!(".save {}", file.display());
    let state = "print(n, _, select('#', many()))";
    let session = [
        "n = 0",
        "function up(by) n = n + by return n end",
        "function many() return 1, 2, 3 end",
        "function none() end",
        "up(1)",
        "up(_ + 1)",
        "= up(2), 'second'",
        "none()",
        "(none())",
        "up(1)",
        "error('no ' .. up(0))",
        "for i = 1, 3 do\nerror(i)\nend",
        "... ",
        "return up(1), 2",
        "if n == 0 then return 5 end",
        "local hidden = up(1)",
    ];
    let typed: Vec<&str> = session.into_iter().chain([&*save, state]).collect();
    let (script, out) = talk(&typed);
    assert_eq!(script.inputs.len(), 0);
    let load = format!(".load {}", file.display());
    assert_eq!(talk(&[&load, state]).1, out.rsplit(';').next().expect("a line"));
    let saved = std::fs::read_to_string(&file).expect("a file");
    assert!(
        saved.contains("\n-- error('no ' .. up(0))\n") && saved.contains("\n-- for i = 1, 3 do\n-- error(i)\n-- end\n"),
        "{saved}"
    );
}

#[test]
fn prompts_are_variables() {
    let tostring = "_PROMPT = setmetatable({}, {__tostring = function() return 'T' end})";
    let fails = "_PROMPT = setmetatable({}, {__tostring = function() error('no', 0) end})";
    let (script, _) = talk(&["_PROMPT = 'p '", "_PROMPT2 = 5", "do", "end", tostring, fails]);
    assert_eq!(script.prompts, ["> ", "p ", "p ", "5", "p ", "T", "> "]);
}

#[test]
fn without_a_terminal_there_is_no_history() {
    if !common::is_neap() {
        return;
    }
    let state = std::env::temp_dir().join(format!("neap-no-history-{}", std::process::id()));
    let mut command = common::command();
    command.arg("-i").env("XDG_STATE_HOME", &state).stdout(Stdio::null());
    let outcome = common::run(command, b"1\n", Duration::from_secs(30)).expect("a run");
    assert!(outcome.status.success() && !state.exists());
}
