//! From source text to syntax tree: lexer, names and scopes, parser; and the numbers of the language, with their arithmetic.
//!
//! Names are resolved while parsing, because the language asks for it: a variable is visible from the end of its
//! declaration, an assignment to a constant is reported where it stands, and what a name means may decide what the
//! rest of the source means. What only the end of a function can tell, namely which of its variables are captured
//! by a closure, stands in the finished tree.
//!
//! * **I1** No recursion is deeper than `MAX_LEVELS` levels of the grammar; what the grammar repeats is a loop.
//! * **I2** Every error is a `SyntaxError` with the words of the reference implementation.
//! * **I3** What a source makes grow is asked for where a refusal is an error, and a hook is asked now and then whether to go on.
//!
//! Pure: imports nothing of the heap or of the interpreter.

mod arena;
pub mod arith;
pub mod ast;
mod error;
mod expr;
mod fold;
mod lexer;
mod long_number;
mod number;
mod parser;
mod pieces;
mod scope;
mod spans;
mod stmt;
mod string;
mod strings;
mod token;

pub use arith::{Arith, float_to_int};
pub use error::{SyntaxError, chunk_id};
pub use long_number::parse_long;
pub use number::{Number, parse_number};
pub use parser::{MAX_LEVELS, parse};
pub use pieces::{error_after, is_hopeless};
pub use spans::{Class, Span, spans};
pub use string::encode_utf8;
pub use strings::{StrId, Strings};

pub(crate) use strings::boxed;

/// The reserved words, sorted.
pub fn keywords() -> impl Iterator<Item = &'static str> {
    token::KEYWORDS.iter().map(|word| word.text())
}

/// Whether a text can stand as a name in a program.
pub fn is_name(text: &[u8]) -> bool {
    let first = text.first().is_some_and(|&b| b == b'_' || b.is_ascii_alphabetic());
    first && text.iter().all(|&b| b == b'_' || b.is_ascii_alphanumeric()) && !keywords().any(|word| word.as_bytes() == text)
}

/// Passes over what may precede the source in a file: a byte order mark, and a first line that starts with `#`.
/// The newline of that line stays, so that line numbers stay right. The hook is asked now and then whether to go on; `None` if not.
pub fn skip_shebang<'s>(source: &'s [u8], go_on: &mut dyn FnMut() -> bool) -> Option<&'s [u8]> {
    const ASK_BYTES: usize = 1 << 20;
    let text = source.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(source);
    if text.first() != Some(&b'#') {
        return Some(text);
    }
    for (i, piece) in text.chunks(ASK_BYTES).enumerate() {
        if !go_on() {
            return None;
        }
        if let Some(place) = memchr::memchr(b'\n', piece) {
            return Some(&text[i * ASK_BYTES + place..]);
        }
    }
    Some(&[])
}

#[cfg(test)]
mod tests {
    use super::skip_shebang;

    #[test]
    fn a_first_line_of_any_length_is_skipped() {
        for length in [0, 1, 100, (1 << 20) - 2, (1 << 20) - 1, 1 << 20, 3 << 20] {
            let line = [b"#", "x".repeat(length).as_bytes()].concat();
            let mut asked = 0;
            let mut go_on = || {
                asked += 1;
                true
            };
            assert_eq!(skip_shebang(&line, &mut go_on), Some(&b""[..]));
            let source = [&line[..], b"\nreturn 1\n"].concat();
            assert_eq!(skip_shebang(&source, &mut go_on), Some(&b"\nreturn 1\n"[..]));
            assert!(asked > 2 * (length >> 20));
            assert_eq!(skip_shebang(&source, &mut || false), None);
        }
        assert_eq!(skip_shebang(b"\xEF\xBB\xBF# x\ny", &mut || true), Some(&b"\ny"[..]));
        assert_eq!(skip_shebang(b"x", &mut || false), Some(&b"x"[..]));
    }
}
