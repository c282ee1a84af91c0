//! Lines from a terminal: editing and history by `rustyline`, whose types stay in this file.
//!
//! * **I1** The history is written after each input, by adding to the file: neither a crash nor a second session loses it. Where no file can
//!   be had, there is no history; that is no error.

use super::{Input, Lines};
use rustyline::config::Configurer;
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{Config, Editor};
use std::path::PathBuf;

/// How many inputs the history keeps.
const HISTORY: usize = 1000;

pub struct TerminalLines {
    editor: Editor<(), FileHistory>,
    history: Option<PathBuf>,
}

impl TerminalLines {
    pub fn new() -> rustyline::Result<TerminalLines> {
        let mut editor = Editor::with_config(Config::default())?;
        editor.set_max_history_size(HISTORY)?;
        editor.set_auto_add_history(false);
        let history = history_file().filter(|file| file.parent().is_some_and(|folder| std::fs::create_dir_all(folder).is_ok()));
        if let Some(file) = &history {
            // I1: the first time there is none.
            let _ = editor.load_history(file);
        }
        Ok(TerminalLines { editor, history })
    }
}

/// `neap/history` in the folder for state that a user does not back up, by the rules of XDG.
fn history_file() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
    Some(state.join("neap/history"))
}

impl Lines for TerminalLines {
    fn read(&mut self, prompt: &[u8]) -> Input {
        match self.editor.readline(&*String::from_utf8_lossy(prompt)) {
            Ok(line) => Input::Line(line.into_bytes()),
            Err(ReadlineError::Interrupted) => Input::Cancelled,
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
}
