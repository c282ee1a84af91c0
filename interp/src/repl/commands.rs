//! What is typed to the REPL itself: a point and a word, which no program begins with.
//!
//! May import `cli` (the session, statistics), the loop of `repl`, the libraries.

use super::{CHUNK_NAME, Conversation, program};
use crate::cli::{Session, complain, stats};
use crate::stdlib;
use crate::value::Value;
use neap_gc::observe::KindCount;
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::time::{Duration, Instant};

/// A command.
struct Command {
    name: &'static str,
    argument: &'static str,
    help: &'static str,
    run: fn(&mut Conversation, argument: &[u8]) -> Next,
}

/// What is done after a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    GoOn,
    Quit,
}

const COMMANDS: &[Command] = &[
    Command {
        name: "census",
        argument: "",
        help: "what lives on the heap by kind, and what has changed since the last one",
        run: census,
    },
    Command { name: "gc", argument: "[full]", help: "the heap and its pauses so far; full: after a whole collection", run: gc },
    Command { name: "heap", argument: "", help: "the memory of the heap, and what lives there by kind", run: heap },
    Command { name: "help", argument: "", help: "this text", run: help },
    Command { name: "load", argument: "FILE", help: "run a file", run: load },
    Command {
        name: "pauses",
        argument: "[reset]",
        help: "how long the collector has stopped the program; reset: forget it",
        run: pauses,
    },
    Command { name: "quit", argument: "", help: "leave, as Ctrl-D does", run: quit },
    Command {
        name: "save",
        argument: "FILE",
        help: "write the inputs of this session to a file, as a program; those that failed as comments",
        run: save,
    },
    Command {
        name: "time",
        argument: "CODE",
        help: "evaluate an expression or run a statement, and tell how long it took",
        run: time,
    },
    Command { name: "why", argument: "CODE", help: "evaluate an expression, and tell by which way its value is alive", run: why },
];

const HELP: &str = "\
An expression is evaluated and printed; the global _ keeps its first value. Anything else is run as a
statement. What is incomplete goes on in the next line; Tab completes, Ctrl-C gives up a line or
interrupts what runs, Ctrl-R searches the history.

";

/// The command that a text is, and its argument.
fn split(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = text.strip_prefix(b".").filter(|rest| rest.first().is_some_and(u8::is_ascii_alphabetic))?;
    let length = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
    Some((&rest[..length], rest[length..].trim_ascii()))
}

/// Whether a text is for the REPL.
pub fn is_command(text: &[u8]) -> bool {
    split(text).is_some()
}

/// Where the program begins in what is typed: behind `.time` and `.why`; other commands have none, so that it is their end.
pub fn program_at(text: &[u8]) -> usize {
    match split(text) {
        None => 0,
        Some((b"time" | b"why", code)) if !code.is_empty() => text.trim_ascii_end().len() - code.len(),
        Some(_) => text.len(),
    }
}

/// How a command that is being typed may go on: from where, and with which words.
pub fn complete(text: &[u8]) -> Option<(usize, Vec<String>)> {
    let (name, argument) = split(text).or((text == b".").then_some((b"", b"")))?;
    let starting = |prefix: &[u8], words: &[&str]| -> Vec<String> {
        words.iter().filter(|word| word.as_bytes().starts_with(prefix)).map(|word| word.to_string()).collect()
    };
    if text.len() == 1 + name.len() {
        let names: Vec<&str> = COMMANDS.iter().map(|command| command.name).collect();
        return Some((1, starting(name, &names)));
    }
    let word = match name {
        b"gc" => "full",
        b"pauses" => "reset",
        _ => return None,
    };
    Some((text.len() - argument.len(), starting(argument, &[word])))
}

/// Whether the argument of a command is the name of a file.
pub fn takes_file(text: &[u8]) -> bool {
    split(text).is_some_and(|(name, _)| matches!(name, b"load" | b"save") && text.len() > 1 + name.len())
}

/// Does what a command says.
pub fn run(conversation: &mut Conversation, text: &[u8]) -> Next {
    let Some((name, argument)) = split(text) else { return Next::GoOn };
    let Some(command) = COMMANDS.iter().find(|command| command.name.as_bytes() == name) else {
        complain(None, unknown(&String::from_utf8_lossy(name)).as_bytes());
        return Next::GoOn;
    };
    match (command.argument, argument) {
        ("", [_, ..]) => complain(None, format!(".{} takes no argument", command.name).as_bytes()),
        ("FILE" | "CODE", []) => complain(None, format!("usage: .{} {}", command.name, command.argument).as_bytes()),
        _ => return (command.run)(conversation, argument),
    }
    Next::GoOn
}

fn unknown(name: &str) -> String {
    let distance = |command: &Command| {
        let starts = command.name.starts_with(name) || name.starts_with(command.name);
        if starts { 0 } else { strsim::osa_distance(command.name, name) }
    };
    let near = COMMANDS.iter().map(|command| (distance(command), command.name)).min().filter(|(distance, _)| *distance <= 2);
    let near = near.map_or(String::new(), |(_, name)| format!(" (did you mean .{name}?)"));
    format!("there is no command .{name}{near}; .help lists them")
}

fn help(conversation: &mut Conversation, _: &[u8]) -> Next {
    let mut text = String::from(HELP);
    for command in COMMANDS {
        let usage = format!(".{} {}", command.name, command.argument);
        text.push_str(&format!("  {usage:<15}  {}\n", command.help));
    }
    conversation.print(text.as_bytes());
    Next::GoOn
}

fn quit(_: &mut Conversation, _: &[u8]) -> Next {
    Next::Quit
}

fn load(conversation: &mut Conversation, file: &[u8]) -> Next {
    // An error has been reported.
    let _ = conversation.session().run_file(Some(&file_name(file)));
    Next::GoOn
}

fn save(conversation: &mut Conversation, file: &[u8]) -> Next {
    let file = &file_name(file)[..];
    let inputs = &conversation.inputs;
    match std::fs::write(OsStr::from_bytes(file), inputs.program()) {
        Ok(()) => {
            let count = inputs.done();
            let inputs = if count == 1 { "input" } else { "inputs" };
            conversation.print(&[format!("{count} {inputs} saved in ").as_bytes(), file, b"\n"].concat());
        }
        Err(error) => complain(None, &[b"cannot write ", file, b": ", error.to_string().as_bytes()].concat()),
    }
    Next::GoOn
}

/// The name of the file that an argument is. It is written as in a shell, since so the editor completes it: perhaps in quotes, else
/// perhaps from `~/` on, with a backslash before what is special.
fn file_name(argument: &[u8]) -> Vec<u8> {
    let (mut name, mut rest) = match argument {
        [b'\'', rest @ ..] => return rest.strip_suffix(b"'").unwrap_or(rest).to_vec(),
        [b'"', rest @ ..] => (Vec::new(), rest.strip_suffix(b"\"").unwrap_or(rest)),
        [b'~', rest @ ..] if rest.starts_with(b"/") => {
            (std::env::home_dir().map_or(b"~".to_vec(), |home| home.into_os_string().into_vec()), rest)
        }
        rest => (Vec::new(), rest),
    };
    while let [first, tail @ ..] = rest {
        let (byte, tail) = match tail {
            [special, tail @ ..] if *first == b'\\' => (special, tail),
            _ => (first, tail),
        };
        name.push(*byte);
        rest = tail;
    }
    name
}

fn time(conversation: &mut Conversation, code: &[u8]) -> Next {
    // What is no program takes no time.
    if let Some(time) = conversation.evaluate(code, &program(code)) {
        conversation.print(format!("time: {}\n", duration(time)).as_bytes());
    }
    Next::GoOn
}

/// A time with four digits or so.
fn duration(time: Duration) -> String {
    let us = time.as_secs_f64() * 1e6;
    match us {
        ..1e3 => format!("{us:.1} µs"),
        ..1e6 => format!("{:.2} ms", us / 1e3),
        _ => format!("{:.3} s", us / 1e6),
    }
}

fn gc(conversation: &mut Conversation, argument: &[u8]) -> Next {
    let mut text = String::new();
    match argument {
        b"" => {}
        b"full" => {
            let mut session = conversation.session();
            let (before, start) = (session.vm.heap.used_bytes(), Instant::now());
            session.interruptible(|vm| vm.collect_full());
            let freed = before.saturating_sub(session.vm.heap.used_bytes());
            text = format!("collected  {} in {}\n", stats::bytes(freed as u64), duration(start.elapsed()));
        }
        _ => {
            complain(None, b"usage: .gc [full]");
            return Next::GoOn;
        }
    }
    text.push_str(&stats::brief(&conversation.session().vm));
    conversation.print(text.as_bytes());
    Next::GoOn
}

fn heap(conversation: &mut Conversation, _: &[u8]) -> Next {
    let mut session = conversation.session();
    let text = stats::memory(&session.vm) + &stats::census(&kinds(&mut session), None);
    drop(session);
    conversation.print(text.as_bytes());
    Next::GoOn
}

fn census(conversation: &mut Conversation, _: &[u8]) -> Next {
    let kinds = kinds(&mut conversation.session());
    let text = stats::census(&kinds, conversation.census.as_deref());
    conversation.census = Some(kinds);
    conversation.print(text.as_bytes());
    Next::GoOn
}

/// What lives, or has not been found dead yet. The census sees what has survived an epoch end.
fn kinds(session: &mut Session) -> Vec<KindCount> {
    session.interruptible(|vm| vm.collect_counted());
    session.vm.heap.census()
}

fn pauses(conversation: &mut Conversation, argument: &[u8]) -> Next {
    match argument {
        b"" => {
            let text = stats::pauses(&conversation.session().vm);
            conversation.print(text.as_bytes());
        }
        b"reset" => conversation.session().vm.heap.clear_pauses(),
        _ => complain(None, b"usage: .pauses [reset]"),
    }
    Next::GoOn
}

fn why(conversation: &mut Conversation, code: &[u8]) -> Next {
    let mut session = conversation.session();
    let told = session.vm.load(&[b"return ", code, b";"].concat(), CHUNK_NAME).and_then(|chunk| {
        let value = session.call(Value::closure(chunk), &[])?.first().copied().unwrap_or(Value::NIL);
        let kind = value.type_name();
        // Nobody else holds the value: it is an argument from here on.
        let path = session.vm.new_native("why", stdlib::path, &[])?;
        let is_object = value.is_ref();
        let way = session.call(path, &[value])?.first().and_then(|way| Some(way.as_str()?.bytes().to_vec()));
        Ok(match way {
            Some(way) => way,
            None if is_object => format!("nothing holds this {kind}").into_bytes(),
            None => format!("a {kind} is no object of the heap").into_bytes(),
        })
    });
    match told {
        Ok(mut text) => {
            drop(session);
            text.push(b'\n');
            conversation.print(&text);
        }
        // Reported it is.
        Err(throw) => drop(session.report(Err(throw))),
    }
    Next::GoOn
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_told_from_programs() {
        for program in ["", ".", "..", "...", ".5 + 1", "x", " .help"] {
            assert!(!is_command(program.as_bytes()) && program_at(program.as_bytes()) == 0, "{program}");
        }
        assert_eq!(split(b".load  a b.lua "), Some((&b"load"[..], &b"a b.lua"[..])));
        assert_eq!(split(b".x"), Some((&b"x"[..], &b""[..])));
        assert_eq!(split(b".gc.full"), Some((&b"gc"[..], &b".full"[..])));
        for (text, at) in [(".time  f()", 7), (".time f() ", 6), (".time", 5), (".time ", 6), (".load f", 7), (".times x", 8)] {
            assert_eq!(program_at(text.as_bytes()), at, "{text}");
        }
    }

    #[test]
    fn names_go_on() {
        let complete = |text: &str| complete(text.as_bytes()).map(|(at, words)| (at, words.join(" ")));
        assert_eq!(complete(".he"), Some((1, "heap help".into())));
        assert_eq!(complete("."), Some((1, "census gc heap help load pauses quit save time why".into())));
        assert_eq!(complete(".gc f"), Some((4, "full".into())));
        assert_eq!(complete(".pauses "), Some((8, "reset".into())));
        assert_eq!(complete(".load f"), None);
        assert_eq!(complete("x.he"), None);
        assert!(takes_file(b".load f") && takes_file(b".save ") && !takes_file(b".load") && !takes_file(b".time f"));
    }

    #[test]
    fn names_of_files_are_written_as_in_a_shell() {
        let name = |argument: &str| String::from_utf8(file_name(argument.as_bytes())).expect("UTF-8");
        assert_eq!([name("a b.lua"), name("a\\ b.lua"), name("a\\\\b"), name("a\\")], ["a b.lua", "a b.lua", "a\\b", "a\\"]);
        assert_eq!(
            [name("\"a b\""), name("\"a\\\" b"), name("'a b'"), name("'a\\b"), name("'")],
            ["a b", "a\" b", "a b", "a\\b", ""]
        );
        let home = std::env::home_dir().expect("a home").into_os_string().into_string().expect("UTF-8");
        assert_eq!([name("~/a\\ b"), name("'~/a'"), name("~a")], [format!("{home}/a b"), "~/a".into(), "~a".into()]);
    }

    #[test]
    fn what_is_unknown_has_a_nearest_name() {
        assert_eq!(unknown("hlep"), "there is no command .hlep (did you mean .help?); .help lists them");
        assert_eq!(unknown("example"), "there is no command .example; .help lists them");
        assert!(unknown("exit").contains(".quit?") && unknown("loadfile").contains(".load?") && unknown("g").contains(".gc?"));
    }

    #[test]
    fn the_commands_are_sorted() {
        assert!(COMMANDS.is_sorted_by_key(|command| command.name));
    }

    #[test]
    fn times_are_short() {
        let shown = |us| duration(Duration::from_micros(us));
        assert_eq!([shown(7), shown(1500), shown(2_000_000)], ["7.0 µs", "1.50 ms", "2.000 s"]);
    }
}
