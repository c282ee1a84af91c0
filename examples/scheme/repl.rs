//! The session: lines from a terminal by `rustyline`, or from a pipe without it.
//!
//! Imports `runtime`.

use super::runtime::{Interpreter, Stop};
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;
use std::io::{BufRead, IsTerminal};

/// Reads forms, which may be of several lines, and prints their values, until the input ends.
pub fn session(interpreter: &mut Interpreter) -> Result<(), Stop> {
    let mut editor = match std::io::stdin().is_terminal() {
        true => Some(DefaultEditor::new().map_err(|error| Stop::Error(error.to_string()))?),
        false => None,
    };
    let mut text = String::new();
    loop {
        let line = match &mut editor {
            Some(editor) => editor.readline(if text.is_empty() { "> " } else { ". " }),
            None => std::io::stdin().lock().lines().next().unwrap_or(Ok(String::from("\0"))).map_err(ReadlineError::Io),
        };
        match line {
            // The end of a pipe.
            Ok(line) if editor.is_none() && line == "\0" => return Ok(()),
            Ok(line) => {
                text.push_str(&line);
                text.push('\n');
            }
            Err(ReadlineError::Interrupted) => text.clear(),
            Err(_) => return Ok(()),
        }
        if text.trim().is_empty() || interpreter.is_unfinished(&text) {
            continue;
        }
        if let Some(editor) = &mut editor {
            // Without a history one can go on.
            let _ = editor.add_history_entry(text.trim());
        }
        match interpreter.run(&text) {
            Ok(()) => {
                if let Some(value) = interpreter.last_value() {
                    println!("{value}");
                }
            }
            Err(Stop::Error(message)) => println!("error: {message}"),
            Err(exit) => return Err(exit),
        }
        text.clear();
    }
}
