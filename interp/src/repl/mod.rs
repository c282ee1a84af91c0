//! The loop that reads, runs and prints. Where its lines come from is a matter of [`Lines`], so that tests and pipes can drive it as a terminal does.
//!
//! * **I1** Whatever is typed, the loop goes on; only the end of the input ends it.
//! * **I2** A line is tried as an expression first, then as a statement; a statement that ends too early asks for more lines. The parser decides it.
//!
//! May import `cli` (the session), `compile`, the machine.

mod plain;
mod terminal;

pub use plain::PlainLines;

use crate::cli::{Session, complain};
use crate::value::Value;
use std::io::IsTerminal;

/// What came instead of a prompt's answer, or the answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Input {
    Line(Vec<u8>),
    /// Ctrl-C: what was typed is given up.
    Cancelled,
    End,
}

/// A source of lines.
pub trait Lines {
    /// Shows a prompt and reads a line, without its newline.
    fn read(&mut self, prompt: &[u8]) -> Input;
    /// Keeps an input, which may be of several lines, for later sessions.
    fn remember(&mut self, input: &[u8]);
}

/// Talks to the user: on a terminal with line editing and history, else with what the standard input gives.
pub fn interact(session: &mut Session) {
    let output = std::io::stdout();
    if std::io::stdin().is_terminal() && output.is_terminal() {
        match terminal::TerminalLines::new() {
            Ok(mut lines) => return run(session, &mut lines),
            Err(error) => complain(None, format!("no line editing: {error}").as_bytes()),
        }
    }
    let input = session.vm.lib.files.input_lines();
    run(session, &mut PlainLines::new(input, output));
}

/// The loop, until the lines end.
pub fn run(session: &mut Session, lines: &mut dyn Lines) {
    // Nobody needs to be told which program they talk to.
    let name = session.set_name(None);
    loop {
        match read_chunk(session, lines) {
            Chunk::Ready(text) => evaluate(session, &text),
            Chunk::Cancelled => {}
            Chunk::End => break,
        }
    }
    session.vm.lib.files.print(b"\n");
    session.set_name(name);
}

enum Chunk {
    /// A text that compiles, or never will.
    Ready(Vec<u8>),
    Cancelled,
    End,
}

/// The name of what is typed.
const CHUNK_NAME: &[u8] = b"=stdin";

fn read_chunk(session: &mut Session, lines: &mut dyn Lines) -> Chunk {
    let mut text = match read_line(session, lines, "_PROMPT", b"> ") {
        Input::Line(line) => line,
        Input::Cancelled => return Chunk::Cancelled,
        Input::End => return Chunk::End,
    };
    let expression = match text.strip_prefix(b"=") {
        Some(rest) => [b"return ", rest].concat(),
        None => [b"return ", &text[..], b";"].concat(),
    };
    if crate::compile::compile(&expression, CHUNK_NAME).is_ok() {
        lines.remember(&text);
        return Chunk::Ready(expression);
    }
    if text.starts_with(b"=") {
        text = expression;
    }
    while crate::compile::compile(&text, CHUNK_NAME).is_err_and(|error| error.incomplete) {
        match read_line(session, lines, "_PROMPT2", b">> ") {
            Input::Line(line) => {
                text.push(b'\n');
                text.extend_from_slice(&line);
            }
            Input::Cancelled => return Chunk::Cancelled,
            // Now it is an error.
            Input::End => break,
        }
    }
    lines.remember(&text);
    Chunk::Ready(text)
}

/// Reads a line with a prompt that a global variable may set.
fn read_line(session: &mut Session, lines: &mut dyn Lines, variable: &str, default: &[u8]) -> Input {
    let vm = &mut session.vm;
    let globals = vm.globals();
    let prompt = vm.get_field(globals, variable).and_then(|value| match value.is_nil() {
        true => Ok(default.to_vec()),
        false => vm.tostring(value).map(|text| text.bytes().to_vec()),
    });
    let prompt = prompt.unwrap_or_else(|throw| {
        // I1: a prompt that can't be made is no reason to leave.
        drop(session.report(Err(throw)));
        default.to_vec()
    });
    // What a chunk has written comes before the prompt.
    session.vm.lib.files.flush_all();
    lines.read(&prompt)
}

/// Runs a chunk and prints its results.
fn evaluate(session: &mut Session, text: &[u8]) {
    let loaded = session.vm.load(text, CHUNK_NAME);
    match loaded.and_then(|chunk| session.call(Value::closure(chunk), &[])) {
        Ok(results) if results.is_empty() => {}
        Ok(results) => print(session, &results),
        Err(throw) => drop(session.report(Err(throw))),
    }
}

/// Prints by the global `print`, whatever that is.
fn print(session: &mut Session, values: &[Value]) {
    let vm = &mut session.vm;
    let globals = vm.globals();
    let result = vm.get_field(globals, "print").and_then(|print| vm.call_protected(print, values));
    if let Err(throw) = result {
        let message = session.message_of(throw);
        complain(None, &[b"error calling 'print' (", &message[..], b")"].concat());
    }
}
