//! The line of source that an error is about, shown below its message to people at a terminal.
//!
//! * **E1** What is shown is printable, and short whatever the line holds.
//! * **E2** The place of a run-time error is noted by the message handler, while the stack is there, and taken when the error is reported.
//!
//! May import the machine, `syntax`, `colour`.

use super::colour::{self, Colour, paint};
use super::text::{columns, push_shown};
use crate::stdlib::load::{chunk_of, is_binary};
use crate::syntax::{SyntaxError, chunk_id};
use crate::value::{Closure, Gc};
use crate::vm::Vm;
use std::cell::RefCell;
use std::io::IsTerminal;

/// Where a run-time error was raised.
#[derive(Clone)]
pub struct Place {
    /// The chunk's name.
    pub source: Vec<u8>,
    pub chunk: ChunkId,
    pub line: u32,
}

/// Tells chunks of one name apart: the address of the cell of the name, of which each chunk has its own. Once a chunk is gone, another one may get it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChunkId(pub usize);

impl ChunkId {
    pub fn of(closure: Gc<Closure>) -> ChunkId {
        ChunkId(closure.proto.source.addr())
    }
}

thread_local! {
    static NOTED: RefCell<Option<Place>> = const { RefCell::new(None) };
}

/// E2: finds the active function whose place is the one that a message begins with.
pub fn note(vm: &Vm, message: &[u8]) {
    let thread = vm.current_thread();
    let levels = (0..).map_while(|level| vm.activation(thread, level));
    let place = levels.take(SEARCHED).find_map(|at| {
        let line = vm.line_at(at)?;
        let closure = vm.function_at(at).as_closure()?;
        let source = closure.proto.source.bytes();
        let position = [&chunk_id(source)[..], format!(":{line}: ").as_bytes()].concat();
        // A program in a text of many megabytes is not shown.
        let source = if source.len() <= KEPT { source } else { b"=?" };
        message.starts_with(&position).then(|| Place { source: source.to_vec(), chunk: ChunkId::of(closure), line })
    });
    NOTED.set(place);
}

/// E2: another error may have no place.
pub fn forget() {
    NOTED.take();
}

/// E2.
pub fn take() -> Option<Place> {
    NOTED.take()
}

/// The longest text that is kept for its lines.
const KEPT: usize = 1 << 20;

/// How many levels of the stack are looked at.
const SEARCHED: usize = 100;

impl Place {
    /// The text of the chunk: of a file as it is now, of a string from its name, which is its text.
    pub fn text(&self) -> Option<Vec<u8>> {
        match &self.source[..] {
            [b'=', ..] => None,
            [b'@', path @ ..] => file_text(path),
            text => Some(text.to_vec()),
        }
    }
}

/// The text of a file as the compiler sees it.
pub fn file_text(path: &[u8]) -> Option<Vec<u8>> {
    let (_, text) = chunk_of(Some(path)).ok()?;
    Some(text)
}

/// An excerpt if errors are shown on a terminal, else nothing.
pub fn for_errors(make: impl FnOnce(bool) -> String) -> String {
    let errors = std::io::stderr();
    if errors.is_terminal() { make(colour::wanted(&errors)) } else { String::new() }
}

/// The excerpt for what is wrong with a text; nothing if it is a program.
pub fn of_program(text: &[u8], colour: bool) -> String {
    if is_binary(text) {
        return String::new();
    }
    crate::compile::compile(text, b"=?").err().map_or_else(String::new, |error| of_syntax_error(text, &error, colour))
}

/// The excerpt for a syntax error in a text.
pub fn of_syntax_error(text: &[u8], error: &SyntaxError, colour: bool) -> String {
    match error.place {
        Some(place) => {
            // At the end of the text the last line that says something is shown.
            let end = text.trim_ascii_end().len();
            let place = if place >= end { end } else { place };
            let start = line_start(text, place);
            show(text, start, Some(place - start), colour)
        }
        None => of_line(text, error.line, colour),
    }
}

/// The excerpt for a line of a text, counted from 1; nothing if there is no such line, or nothing in it.
pub fn of_line(text: &[u8], line: u32, colour: bool) -> String {
    let mut start = 0;
    for _ in 1..line {
        match next_line(text, start) {
            Some(next) => start = next,
            None => return String::new(),
        }
    }
    let blank = text[start..].iter().take_while(|byte| !is_newline(byte)).all(u8::is_ascii_whitespace);
    if line == 0 || blank { String::new() } else { show(text, start, None, colour) }
}

fn is_newline(byte: &u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

fn line_start(text: &[u8], place: usize) -> usize {
    text[..place].iter().rposition(is_newline).map_or(0, |at| at + 1)
}

/// The start of the line after the one that a place is in. A newline may be two bytes.
fn next_line(text: &[u8], place: usize) -> Option<usize> {
    let at = place + text[place..].iter().position(is_newline)?;
    Some(match text[at..] {
        [b'\r', b'\n', ..] | [b'\n', b'\r', ..] => at + 2,
        _ => at + 1,
    })
}

/// How many bytes of a line are shown, and how many of them before the mark.
const SHOWN: usize = 120;
const BEFORE: usize = 80;

/// `start` is the start of a line; `column` counts its bytes from 0.
fn show(text: &[u8], start: usize, column: Option<usize>, colour: bool) -> String {
    let line = &text[start..];
    let line = &line[..line.iter().position(is_newline).unwrap_or(line.len())];
    let column = column.map(|column| column.min(line.len()));
    // E1: a stretch of a long line, cut between characters.
    let mut from = column.unwrap_or(0).saturating_sub(BEFORE);
    from += line[from..].iter().take_while(|&&b| b & 0xC0 == 0x80).count();
    let shown = &line[from..line.len().min(from + SHOWN)];
    let (mut before, mut after) = (String::new(), String::new());
    if from > 0 {
        before.push('…');
    }
    let split = column.map_or(0, |column| (column - from).min(shown.len()));
    push_shown(&mut before, &shown[..split], false);
    push_shown(&mut after, &shown[split..], false);
    if from + shown.len() < line.len() {
        after.push('…');
    }
    let number = (1 + newlines(&text[..start])).to_string();
    let mut out = String::new();
    let gutter = |out: &mut String, number: &str| {
        let text = format!("{number:>4} | ");
        paint(out, if colour { Colour::Dim } else { Colour::Plain }, &text);
    };
    gutter(&mut out, &number);
    out.extend([&before, &after, "\n"]);
    if column.is_some() {
        gutter(&mut out, &" ".repeat(number.len()));
        out.extend(std::iter::repeat_n(' ', columns(&before)));
        paint(&mut out, if colour { Colour::Error } else { Colour::Plain }, "^");
        out.push('\n');
    }
    out
}

fn newlines(text: &[u8]) -> usize {
    let (mut count, mut at) = (0, 0);
    while let Some(next) = next_line(text, at) {
        (count, at) = (count + 1, next);
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn syntax(text: &str) -> String {
        let error = crate::compile::compile(text.as_bytes(), b"=x").expect_err("no program");
        of_syntax_error(text.as_bytes(), &error, false)
    }

    #[test]
    fn the_token_to_blame_is_marked() {
        assert_eq!(syntax("x = = 1"), "   1 | x = = 1\n     |     ^\n");
        assert_eq!(syntax("a = 1\r\nb = 'é' )\nc = 2"), "   2 | b = 'é' )\n     |         ^\n");
        assert_eq!(syntax("x = '漢字' = 1"), "   1 | x = '漢字' = 1\n     |            ^\n");
        assert_eq!(syntax("x = 'e\u{301}' = 1"), "   1 | x = 'e\u{301}' = 1\n     |         ^\n");
        assert_eq!(syntax("x = 1\n  y = 'ab\\q'"), "   2 |   y = 'ab\\q'\n     |          ^\n");
        assert_eq!(syntax("x = 'abc\n"), "   1 | x = 'abc\n     |     ^\n");
        assert_eq!(syntax("if x then\n  y()\n\n"), "   2 |   y()\n     |      ^\n");
        assert_eq!(syntax("x = 3x"), "   1 | x = 3x\n     |     ^\n");
        assert_eq!(syntax("\tx\t=\t= 1"), "   1 |     x    =    = 1\n     |               ^\n");
        // Only the line is known.
        assert_eq!(syntax("x = 1\ngoto y"), "   2 | goto y\n");
        assert_eq!(syntax("x = 1\ngoto y\n"), "");
    }

    #[test]
    fn long_lines_and_odd_bytes_are_cut_and_shown() {
        let long = format!("{} = = {}", "é".repeat(500).replace('é', "ab"), "c".repeat(1000));
        let shown = syntax(&long);
        assert!(shown.lines().all(|line| line.chars().count() < 140), "{shown}");
        let marks: Vec<&str> = shown.lines().collect();
        assert_eq!(marks[0].chars().nth(marks[1].chars().count() - 1), Some('='), "{shown}");
        assert_eq!(of_line(b"a\nb\x1b\xFF\nc", 2, false), "   2 | b\\x1B\\xFF\n");
        assert_eq!((of_line(b"a", 2, false), of_line(b"a", 0, false)), (String::new(), String::new()));
    }

    #[test]
    fn colours_go_around_the_signs() {
        assert_eq!(of_line(b"a", 1, true), "\x1b[2m   1 | \x1b[0ma\n");
    }
}
