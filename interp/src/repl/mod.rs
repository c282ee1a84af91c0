//! The loop that reads, runs and prints. Where its lines come from is a matter of [`Lines`], so that tests and pipes can drive it as a terminal does.
//!
//! * [`terminal`]: a line editor, with [`highlight`], [`complete`]; [`plain`]: lines as they come
//! * [`pretty`], [`layout`]: how values are shown on a screen
//! * [`commands`]: what is typed to the REPL itself; [`inputs`]: what has been typed
//!
//! * **I1** Whatever is typed, the loop goes on; only the end of the input, or a command, ends it.
//! * **I2** A line is tried as an expression first, then as a statement; a statement that ends too early asks for more lines. The parser decides it.
//! * **I3** Without a screen all is as in the reference's `lua -i`: prompts, `print` for results, messages. (`_` is set, and commands are there, all
//!   the same.)
//!
//! May import `cli` (the session), `compile`, `syntax`, the machine.

mod commands;
mod complete;
mod highlight;
mod inputs;
mod layout;
mod plain;
mod pretty;
mod terminal;

pub use plain::PlainLines;
pub use pretty::Screen;

use crate::cli::signals::Ignored;
use crate::cli::{Session, colour, complain, excerpt, write_error};
use crate::compile::compile;
use crate::syntax::{Class, SyntaxError, spans};
use crate::value::Value;
use commands::Next;
use inputs::{End, Inputs};
use neap_gc::observe::KindCount;
use std::cell::{RefCell, RefMut};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

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
    /// Keeps an input for later sessions.
    fn remember(&mut self, input: &[u8]);
    /// Whether each line read is an input as a whole, which may then be of several lines.
    fn gives_whole_inputs(&self) -> bool {
        false
    }
    /// The screen on which results are read, if it is one.
    fn screen(&mut self) -> Option<Screen> {
        None
    }
}

/// The session, which the loop shares with the line editor: one has it at a time.
pub type Shared<'s> = RefCell<&'s mut Session>;

/// Talks to the user: on a terminal with line editing and history, else with what the standard input gives.
pub fn interact(session: &mut Session) {
    let output = std::io::stdout();
    let shared = RefCell::new(session);
    if std::io::stdin().is_terminal() && output.is_terminal() && !colour::is_dumb() {
        match terminal::TerminalLines::new(&shared) {
            Ok(mut lines) => {
                // I1.
                let _ignored = Ignored::begin();
                return converse(&shared, &mut lines);
            }
            Err(error) => complain(None, format!("no line editing: {error}").as_bytes()),
        }
    }
    let screen = output.is_terminal().then(|| Screen { columns: Screen::COLUMNS, colour: colour::wanted(&output) });
    let input = shared.borrow().vm.lib.files.input_lines();
    converse(&shared, &mut PlainLines::new(input, output, screen));
}

/// The loop, until the lines end.
pub fn run(session: &mut Session, lines: &mut dyn Lines) {
    converse(&RefCell::new(session), lines);
}

fn converse(session: &Shared, lines: &mut dyn Lines) {
    // Nobody needs to be told which program they talk to.
    let name = session.borrow_mut().set_name(None);
    let mut conversation = Conversation { session, lines, inputs: Inputs::default(), census: None };
    if conversation.lines.screen().is_some() {
        conversation.print(b"Type .help for help.\n");
    }
    loop {
        match conversation.read() {
            Chunk::Program { typed, code } => {
                conversation.evaluate(&typed, &code);
            }
            Chunk::Command(text) => match commands::run(&mut conversation, &text) {
                Next::GoOn => {}
                Next::Quit => break,
            },
            Chunk::Cancelled => {}
            Chunk::End => {
                conversation.print(b"\n");
                break;
            }
        }
    }
    session.borrow_mut().set_name(name);
}

/// The state of the loop.
struct Conversation<'r, 's> {
    session: &'r Shared<'s>,
    lines: &'r mut dyn Lines,
    inputs: Inputs,
    /// What lived at the last `.census`.
    census: Option<Vec<KindCount>>,
}

enum Chunk {
    /// What was typed, and the text for the compiler: it compiles, or never will.
    Program {
        typed: Vec<u8>,
        code: Vec<u8>,
    },
    Command(Vec<u8>),
    Cancelled,
    End,
}

/// The name of what is typed.
const CHUNK_NAME: &[u8] = b"=stdin";

fn problem(code: &[u8]) -> Option<SyntaxError> {
    compile(code, CHUNK_NAME).err()
}

/// The text for the compiler (I2).
fn program(typed: &[u8]) -> Vec<u8> {
    if let Some(rest) = typed.strip_prefix(b"=") {
        return [b"return ", rest].concat();
    }
    let expression = [b"return ", typed, b";"].concat();
    if problem(&expression).is_none() { expression } else { typed.to_vec() }
}

/// What is wrong with an input that is no program, where it is read as an expression, if that goes well for longer than where it is read as a statement.
fn problem_of_expression(typed: &[u8]) -> Option<SyntaxError> {
    const RETURN: &[u8] = b"return ";
    let statement = problem(typed)?;
    let mut expression = problem(&[RETURN, typed].concat())?;
    // What has no place is found at the end.
    let place = expression.place.map(|place| place.saturating_sub(RETURN.len()));
    let is_further = statement.place.is_some_and(|reached| place.is_none_or(|place| place > reached));
    expression.place = place;
    is_further.then_some(expression)
}

/// Whether an input in an editor is to go on: as an expression or as a statement it ends too early. Not for a string in quotes, which
/// ends with its line, unless a backslash there takes it on.
fn needs_more(typed: &[u8]) -> bool {
    let typed = &typed[commands::program_at(typed)..];
    let is_incomplete = |code: &[u8]| problem(code).is_some_and(|problem| problem.incomplete);
    let string_at = |text: &[u8]| spans(text).last().filter(|last| last.open && last.class == Class::Str).map(|last| last.start);
    let in_quotes = || {
        let start = string_at(typed).filter(|&start| typed[start] != b'[');
        start.is_some() && string_at(&[typed, b"\n."].concat()) != start
    };
    match typed.strip_prefix(b"=") {
        _ if typed.trim_ascii().is_empty() => false,
        Some(rest) => is_incomplete(&[b"return ", rest].concat()) && !in_quotes(),
        None => {
            problem(&program(typed)).is_some()
                && (is_incomplete(typed) || is_incomplete(&[b"return ", typed].concat()))
                && !in_quotes()
        }
    }
}

impl Conversation<'_, '_> {
    /// The session, for as long as nobody reads a line.
    fn session(&self) -> RefMut<'_, Session> {
        RefMut::map(self.session.borrow_mut(), |session| *session)
    }

    /// Prints a text of the REPL's own.
    fn print(&self, text: &[u8]) {
        self.session().vm.lib.files.print(text);
    }

    fn read(&mut self) -> Chunk {
        let mut typed = match self.read_line("_PROMPT", b"> ") {
            Input::Line(line) => line,
            Input::Cancelled => return Chunk::Cancelled,
            Input::End => return Chunk::End,
        };
        let head = commands::program_at(&typed);
        let mut code = program(&typed[head..]);
        // An editor has asked for more itself.
        let is_whole = self.lines.gives_whole_inputs();
        while !is_whole && problem(&code).is_some_and(|problem| problem.incomplete) {
            match self.read_line("_PROMPT2", b">> ") {
                Input::Line(line) => {
                    for text in [&mut typed, &mut code] {
                        text.push(b'\n');
                        text.extend_from_slice(&line);
                    }
                }
                Input::Cancelled => return Chunk::Cancelled,
                // Now it is an error.
                Input::End => break,
            }
        }
        self.lines.remember(&typed);
        if commands::is_command(&typed) { Chunk::Command(typed) } else { Chunk::Program { typed, code } }
    }

    /// Reads a line with a prompt that a global variable may set.
    fn read_line(&mut self, variable: &str, default: &[u8]) -> Input {
        let prompt = self.prompt(variable).unwrap_or_else(|| default.to_vec());
        // What a chunk has written comes before the prompt, and an editor draws that at the start of a line.
        if self.lines.screen().is_some() {
            self.session().vm.lib.files.end_line();
        }
        self.session().vm.lib.files.flush_all();
        self.lines.read(&prompt)
    }

    fn prompt(&self, variable: &str) -> Option<Vec<u8>> {
        self.session().interruptible(|vm| {
            let globals = vm.globals();
            let mark = vm.mark();
            let prompt = vm.get_field(globals, variable).ok().filter(|prompt| !prompt.is_nil())?;
            vm.push(prompt).ok()?;
            let told = pretty::told_text(vm, mark);
            vm.pop_to(mark);
            // I1: a prompt that can't be made is no reason to leave.
            told.inspect_err(|message| complain(None, message)).ok()
        })
    }

    /// Runs a chunk and prints its results. An error is told. Gives the time that the chunk took, if there was one.
    fn evaluate(&mut self, typed: &[u8], code: &[u8]) -> Option<Duration> {
        let screen = self.lines.screen();
        let mut session = RefMut::map(self.session.borrow_mut(), |session| *session);
        let chunk = match session.vm.load(code, CHUNK_NAME) {
            Ok(chunk) => chunk,
            Err(throw) => {
                match screen.and_then(|_| problem_of_expression(typed)) {
                    Some(error) => {
                        session.vm.take_error();
                        complain(None, &error.message);
                        let show = |colour| excerpt::of_syntax_error(typed, &error, colour);
                        write_error(excerpt::for_errors(show).as_bytes());
                    }
                    None => {
                        // Reported it is.
                        let _ = session.report(Err(throw));
                        write_error(excerpt::for_errors(|colour| excerpt::of_program(code, colour)).as_bytes());
                    }
                }
                return None;
            }
        };
        self.inputs.add(typed, excerpt::ChunkId::of(chunk));
        let start = Instant::now();
        let result = session.call(Value::closure(chunk), &[]);
        let time = start.elapsed();
        let result = result.and_then(|results| {
            self.inputs.end(if results.is_empty() { End::Silent } else { End::Values });
            // The results are held by the stack from here on.
            let mark = session.vm.mark();
            session.vm.reserve(results.len())?;
            results.iter().try_for_each(|&value| session.vm.push(value))?;
            if let Some(&first) = results.first() {
                let globals = session.vm.globals();
                session.vm.set_field(globals, "_", first)?;
                print(&mut session, mark, screen);
            }
            session.vm.pop_to(mark);
            Ok(())
        });
        // Reported it is.
        let _ = session.report_with(result, |place| self.inputs.text(place));
        Some(time)
    }
}

/// Prints the values on the stack from a place on: as a screen shows them best, or by the global `print`, whatever that is.
fn print(session: &mut Session, first: usize, screen: Option<Screen>) {
    if let Some(screen) = screen {
        session.vm.lib.files.end_line();
        let mut text = session.interruptible(|vm| pretty::show(vm, first, &pretty::Limits::SCREEN, screen));
        text.push('\n');
        session.vm.lib.files.print(text.as_bytes());
        return;
    }
    let vm = &mut session.vm;
    let globals = vm.globals();
    let values: Vec<Value> = (first..vm.mark()).map(|place| vm.at(place)).collect();
    let result = vm.get_field(globals, "print").and_then(|print| vm.call_protected(print, &values));
    if let Err(throw) = result {
        let message = session.message_of(throw);
        complain(None, &[b"error calling 'print' (", &message[..], b")"].concat());
    }
}
