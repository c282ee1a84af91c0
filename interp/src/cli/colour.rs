//! Colours on a terminal, by the codes that every terminal knows (ECMA-48, SGR).
//!
//! Pure, but for [`wanted`], which looks at the environment.

use std::io::IsTerminal;

/// What a piece of text is, for the eye.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Colour {
    Plain,
    Keyword,
    Constant,
    Number,
    Str,
    Command,
    /// A bracket that belongs to the one at the cursor.
    Match,
    Error,
    /// What stands back: comments, hints, notes.
    Dim,
}

impl Colour {
    fn code(self) -> &'static str {
        match self {
            Colour::Plain => "",
            Colour::Keyword => "35",
            Colour::Constant => "36",
            Colour::Number => "33",
            Colour::Str => "32",
            Colour::Command => "34",
            Colour::Match => "1;4",
            Colour::Error => "31",
            Colour::Dim => "2",
        }
    }
}

/// Appends a text in a colour.
pub fn paint(out: &mut String, colour: Colour, text: &str) {
    if colour == Colour::Plain || text.is_empty() {
        out.push_str(text);
    } else {
        out.extend(["\x1b[", colour.code(), "m", text, "\x1b[0m"]);
    }
}

/// Whether what is written to a stream is to have colours: it is a terminal that knows them, and nobody has said no (<https://no-color.org>).
pub fn wanted(stream: &impl IsTerminal) -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    stream.is_terminal() && !refused && !is_dumb()
}

/// Whether the terminal can do nothing but print one character after the other.
pub fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|name| ["dumb", "cons25", "emacs"].iter().any(|dumb| name.eq_ignore_ascii_case(dumb)))
}
