//! Syntax errors, and the short form of a chunk's name that opens every message.

/// A source text that is not Lua.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// The whole message, with chunk and line.
    pub message: Vec<u8>,
    /// The line that the message names; 0 if it names none.
    pub line: u32,
    /// The place in the source of what is to blame, in bytes, if it is known.
    pub place: Option<usize>,
    /// Whether the text ended too early: more input could complete it.
    pub incomplete: bool,
    /// Whether the source may be Lua, but its tree needs more memory than there is.
    pub out_of_memory: bool,
    /// Whether the source was not read to its end because the hook of the compiler asked to stop.
    pub stopped: bool,
}

/// So much of a token is shown in a message, at most.
pub(crate) const SHOWN: usize = 1 << 16;

impl SyntaxError {
    const NONE: SyntaxError =
        SyntaxError { message: Vec::new(), line: 0, place: None, incomplete: false, out_of_memory: false, stopped: false };

    /// An error in a chunk at a line. `near` is the token to blame as the message shows it.
    pub(crate) fn new(chunk_name: &[u8], line: u32, what: &[u8], near: Option<&[u8]>) -> Box<SyntaxError> {
        let mut message = chunk_id(chunk_name);
        message.extend_from_slice(format!(":{line}: ").as_bytes());
        message.extend_from_slice(what);
        if let Some(near) = near {
            message.extend_from_slice(b" near ");
            message.extend_from_slice(near);
        }
        Box::new(SyntaxError { message, line, incomplete: near == Some(b"<eof>"), ..SyntaxError::NONE })
    }

    /// An error that has no place.
    pub(crate) fn of_limits(message: &[u8]) -> Box<SyntaxError> {
        Box::new(SyntaxError { message: message.to_vec(), ..SyntaxError::NONE })
    }

    pub(crate) fn out_of_memory() -> Box<SyntaxError> {
        Box::new(SyntaxError { out_of_memory: true, ..*SyntaxError::of_limits(b"not enough memory") })
    }

    pub(crate) fn stopped() -> Box<SyntaxError> {
        Box::new(SyntaxError { stopped: true, ..SyntaxError::NONE })
    }

    /// The same, with the place of what is to blame.
    pub(crate) fn at(mut self: Box<Self>, place: usize) -> Box<SyntaxError> {
        self.place = Some(place);
        self
    }
}

impl std::fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.message))
    }
}

impl std::error::Error for SyntaxError {}

/// Boxed, because a result is passed through every level of the parser.
pub(super) type Fallible<T> = Result<T, Box<SyntaxError>>;

/// Room for a chunk's name in a message, with a byte to spare for the terminator that C wants.
const ID_SIZE: usize = 60;

/// A chunk's name as messages show it: `=name` and `@file` without their mark, source text as `[string "..."]`.
pub fn chunk_id(name: &[u8]) -> Vec<u8> {
    match name.split_first() {
        Some((b'=', rest)) => rest[..rest.len().min(ID_SIZE - 1)].to_vec(),
        Some((b'@', rest)) if rest.len() < ID_SIZE => rest.to_vec(),
        Some((b'@', rest)) => [b"...", &rest[rest.len() - (ID_SIZE - 4)..]].concat(),
        _ => {
            let room = ID_SIZE - b"[string \"...\"]".len() - 1;
            // A text in the place of a name may be long.
            let line = name[..name.len().min(ID_SIZE)].split(|&b| b == b'\n').next().unwrap_or(b"");
            if line.len() == name.len() && name.len() < room {
                [b"[string \"", line, b"\"]"].concat()
            } else {
                [b"[string \"", &line[..line.len().min(room)], b"...\"]"].concat()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::chunk_id;

    #[test]
    fn names_of_chunks() {
        assert_eq!(chunk_id(b"=stdin"), b"stdin");
        assert_eq!(chunk_id(b"@a/b.lua"), b"a/b.lua");
        assert_eq!(chunk_id(b"x = 1"), b"[string \"x = 1\"]");
        assert_eq!(chunk_id(b"x = 1\ny"), b"[string \"x = 1...\"]");
        assert_eq!(chunk_id(b""), b"[string \"\"]");
        for mark in [b'=', b'@', b'x'] {
            for len in 1..200 {
                assert!(chunk_id(&vec![mark; len]).len() < super::ID_SIZE);
            }
        }
    }
}
