//! Lines from a terminal: editing, history, colours, completion and hints by `rustyline`, whose types stay in this file.
//!
//! * **I1** The history is written after each input, by adding to the file: neither a crash nor a second session loses it. Where no file can
//!   be had, there is no history; that is no error.
//! * **I2** The editor asks for completions only while it reads a line, when nobody else has the session.
//! * **I3** What is done at each key that is pressed takes no longer than one notices; of many keys in a row, not all are painted.

use super::highlight::{highlight, is_at_bracket};
use super::{Input, Lines, Screen, Shared, commands, complete, needs_more};
use crate::cli::colour::{self, Colour, paint};
use crate::cli::complain;
use rustyline::completion::{Completer, FilenameCompleter, Pair};
use rustyline::config::Configurer;
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::{Hint, Hinter, HistoryHinter};
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{ColorMode, CompletionType, Config, Context, Editor, Helper};
use std::borrow::Cow;
use std::cell::Cell;
use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How many inputs the history keeps.
const HISTORY: usize = 1000;
/// How many entries of tables are looked at for a completion, and for a hint (I3).
const COMPLETED: usize = 200_000;
const HINTED: usize = 4_000;
/// No hint for a longer text (I3).
const LONGEST_HINTED: usize = 1 << 12;
/// What a blank line gets instead of a completion.
const INDENTATION: &str = "  ";

pub struct TerminalLines<'r, 's> {
    editor: Editor<Assistant<'r, 's>, FileHistory>,
    history: Option<PathBuf>,
    colour: bool,
}

impl<'r, 's> TerminalLines<'r, 's> {
    pub fn new(session: &'r Shared<'s>) -> rustyline::Result<TerminalLines<'r, 's>> {
        let colour = colour::wanted(&std::io::stdout());
        let config = Config::builder()
            .auto_add_history(false)
            .completion_type(CompletionType::List)
            .completion_show_all_if_ambiguous(true)
            .color_mode(if colour { ColorMode::Enabled } else { ColorMode::Disabled })
            .build();
        let mut editor = Editor::with_config(config)?;
        editor.set_max_history_size(HISTORY)?;
        editor.set_helper(Some(Assistant {
            session,
            colour,
            files: FilenameCompleter::new(),
            settled: Cell::new(false),
            brush: Brush::default(),
        }));
        let history = history_file().filter(|file| match editor.load_history(file) {
            // It can't be added to either, and nobody would know why nothing is remembered.
            Err(ReadlineError::Io(error)) if error.kind() == ErrorKind::InvalidData => {
                complain(None, format!("no history: {} is not UTF-8", file.display()).as_bytes());
                false
            }
            // I1: the first time there is none.
            _ => true,
        });
        Ok(TerminalLines { editor, history, colour })
    }
}

/// `neap/history` in the folder for state that a user does not back up, by the rules of XDG. By them too, the folders for it are made; but a home is not.
fn history_file() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let in_home = || absolute("HOME").filter(|home| home.is_dir()).map(|home| home.join(".local/state"));
    let folder = absolute("XDG_STATE_HOME").or_else(in_home)?.join("neap");
    DirBuilder::new().recursive(true).mode(0o700).create(&folder).ok()?;
    Some(folder.join("history"))
}

impl Lines for TerminalLines<'_, '_> {
    fn read(&mut self, prompt: &[u8]) -> Input {
        match self.editor.readline(&*String::from_utf8_lossy(prompt)) {
            Ok(line) => Input::Line(line.into_bytes()),
            Err(ReadlineError::Interrupted) => Input::Cancelled,
            // A byte that is no UTF-8 was typed; the editor has no line for it.
            Err(ReadlineError::Io(error)) if error.kind() == ErrorKind::InvalidData => {
                complain(None, b"what was typed is not UTF-8");
                Input::Cancelled
            }
            Err(_) => Input::End,
        }
    }

    fn remember(&mut self, input: &[u8]) {
        let Ok(text) = std::str::from_utf8(input) else { return };
        if text.trim().is_empty() || !self.editor.add_history_entry(text).unwrap_or(false) {
            return;
        }
        if let Some(file) = &self.history {
            // I1.
            let _ = self.editor.append_history(file);
        }
    }

    fn gives_whole_inputs(&self) -> bool {
        true
    }

    fn screen(&mut self) -> Option<Screen> {
        let columns = self.editor.dimensions().map_or(Screen::COLUMNS, |(columns, _)| columns.into());
        Some(Screen { columns, colour: self.colour })
    }
}

/// What the editor asks while a line is typed.
struct Assistant<'r, 's> {
    session: &'r Shared<'s>,
    colour: bool,
    files: FilenameCompleter,
    /// The line is finished: no bracket stands out any more.
    settled: Cell<bool>,
    brush: Brush,
}

/// When the line is painted anew, in its colours. To paint takes as long as the line is, so where keys come fast, as those of a text that is pasted do, or
/// the line is very long, one paint is shared by as many keys as it would take the time of. What is added at the end stands there without colours meanwhile.
#[derive(Default)]
struct Brush {
    last_key: Cell<Option<Instant>>,
    /// Keys since the last paint.
    behind: Cell<usize>,
}

impl Brush {
    /// Up to so many bytes a line is painted at each key, and up to so many at each that a person presses.
    const SHORT: usize = 1 << 9;
    const LONG: usize = 1 << 12;
    /// No person presses keys so fast.
    const FAST: Duration = Duration::from_millis(15);
    /// Bytes painted for a key, in the long run.
    const SHARE: usize = 64;

    /// A key has changed the line: whether that is painted.
    fn paints(&self, length: usize) -> bool {
        let now = Instant::now();
        let last = self.last_key.replace(Some(now));
        let is_fast = last.is_some_and(|last| now.duration_since(last) < Brush::FAST);
        let waits = if length <= Brush::SHORT || !is_fast && length <= Brush::LONG { 0 } else { length / Brush::SHARE };
        let behind = self.behind.get() + 1;
        self.behind.set(if behind > waits { 0 } else { behind });
        behind > waits
    }
}

impl Helper for Assistant<'_, '_> {}

impl Assistant<'_, '_> {
    fn names(&self, text: &[u8], entries: usize) -> Option<complete::Completion> {
        // I2.
        complete::complete(&mut self.session.try_borrow_mut().ok()?.vm, text, entries)
    }
}

impl Completer for Assistant<'_, '_> {
    type Candidate = Pair;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let text = &line[..pos];
        let pairs =
            |names: Vec<String>| names.into_iter().map(|name| Pair { display: name.clone(), replacement: name }).collect();
        if let Some((start, words)) = commands::complete(text.as_bytes()) {
            return Ok((start, pairs(words)));
        }
        if commands::takes_file(text.as_bytes()) {
            return self.files.complete_path(line, pos);
        }
        let start_of_line = text.rfind('\n').map_or(0, |at| at + 1);
        if start_of_line > 0 && text[start_of_line..].trim().is_empty() {
            return Ok((pos, pairs(vec![INDENTATION.into()])));
        }
        let head = commands::program_at(text.as_bytes());
        Ok(match self.names(&text.as_bytes()[head..], COMPLETED) {
            Some(found) => (head + found.start, pairs(found.names)),
            None => (pos, Vec::new()),
        })
    }
}

/// How the line may go on.
struct Suggestion {
    text: String,
    /// Of several lines only the first is shown.
    shown: usize,
}

impl Hint for Suggestion {
    fn display(&self) -> &str {
        &self.text[..self.shown]
    }
    fn completion(&self) -> Option<&str> {
        Some(&self.text)
    }
}

impl Hinter for Assistant<'_, '_> {
    type Hint = Suggestion;

    /// The rest of the latest input that began so, or of the only name that can stand here. Without colours it would look typed.
    fn hint(&self, line: &str, pos: usize, context: &Context<'_>) -> Option<Suggestion> {
        if !self.colour || pos < line.len() || line.len() > LONGEST_HINTED || line.trim().is_empty() {
            return None;
        }
        let text = HistoryHinter::new().hint(line, pos, context).or_else(|| {
            let head = commands::program_at(line.as_bytes());
            let found = self.names(&line.as_bytes()[head..], HINTED)?;
            match (&found.names[..], line.len() - head - found.start) {
                ([only], typed @ 1..) => only.get(typed..).map(str::to_owned),
                _ => None,
            }
        })?;
        let shown = text.find('\n').unwrap_or(text.len());
        (!text.is_empty()).then_some(Suggestion { text, shown })
    }
}

impl Highlighter for Assistant<'_, '_> {
    fn highlight<'l>(&self, line: &'l str, pos: usize) -> Cow<'l, str> {
        let cursor = (!self.settled.get()).then_some(pos);
        highlight(line, cursor).map_or(Cow::Borrowed(line), Cow::Owned)
    }

    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        let mut text = String::new();
        paint(&mut text, Colour::Dim, hint);
        Cow::Owned(text)
    }

    fn highlight_char(&self, line: &str, pos: usize, kind: CmdKind) -> bool {
        self.settled.set(kind == CmdKind::ForcedRefresh);
        match kind {
            CmdKind::MoveCursor => is_at_bracket(line, pos),
            CmdKind::Other => self.brush.paints(line.len()),
            CmdKind::ForcedRefresh => {
                self.brush.behind.set(0);
                false
            }
        }
    }
}

impl Validator for Assistant<'_, '_> {
    /// An input that is not complete goes on in the next line.
    fn validate(&self, context: &mut ValidationContext) -> rustyline::Result<ValidationResult> {
        let more = needs_more(context.input().as_bytes());
        // To say something, be it nothing, has the line painted once more.
        let is_behind = self.colour && self.brush.behind.get() > 0;
        Ok(if more { ValidationResult::Incomplete } else { ValidationResult::Valid(is_behind.then(String::new)) })
    }
}
