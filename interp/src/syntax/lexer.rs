//! The lexer: a stream of tokens with their values. `logos` tells the tokens apart; what needs counting (long brackets),
//! decoding (escapes) or the words of the reference implementation (errors) is read by hand from where it stopped.
//!
//! * **L1** The hook is asked now and then whether to go on, also within a token that is read by hand.

use super::ast::Packed;
use super::error::{Fallible, SHOWN, SyntaxError};
use super::long_number::parse_long;
use super::number::{Number, parse_number};
use super::strings::{StrId, Strings};
use super::token::Token;
use logos::Logos;

/// What a token stands for.
#[derive(Clone, Copy, Debug)]
pub enum Value {
    None,
    Str(StrId),
    Int(Packed<i64>),
    Float(Packed<f64>),
}

/// A token with its value and its place in the source, which has less than 2^32 bytes.
#[derive(Clone, Copy, Debug)]
pub struct Lexeme {
    pub token: Token,
    pub value: Value,
    pub start: u32,
    pub end: u32,
}

const _: () = assert!(size_of::<Option<Lexeme>>() == 24);

pub struct Lexer<'s> {
    inner: logos::Lexer<'s, Token>,
    chunk_name: &'s [u8],
    /// The line reached, which is the line where the last token read ends.
    pub line: u32,
    pub strings: Strings,
    /// The string literal being read, with its opening quote.
    pub(super) buffer: Vec<u8>,
    /// The most bytes that the strings may have.
    room: usize,
    /// Up to this place of the source nobody need be asked.
    unasked: usize,
    /// Whether a name that begins before that place may be longer than what may be read at once.
    name_may_be_long: bool,
    go_on: &'s mut dyn FnMut() -> bool,
}

/// Bytes of source that are read between two calls of the hook.
pub(super) const ASK_BYTES: usize = 1 << 15;

impl<'s> Lexer<'s> {
    pub fn new(source: &'s [u8], chunk_name: &'s [u8], room: usize, go_on: &'s mut dyn FnMut() -> bool) -> Lexer<'s> {
        Lexer {
            inner: Token::lexer(source),
            chunk_name,
            line: 1,
            strings: Strings::default(),
            buffer: Vec::new(),
            room,
            unasked: 0,
            name_may_be_long: false,
            go_on,
        }
    }

    /// L1. `at`: how far the source has been read.
    #[inline]
    pub(super) fn ask(&mut self, at: usize) -> Fallible<()> {
        if at < self.unasked { Ok(()) } else { self.ask_at(at) }
    }

    #[cold]
    fn ask_at(&mut self, at: usize) -> Fallible<()> {
        self.unasked = at + ASK_BYTES;
        let ahead = self.inner.source().get(self.unasked..self.unasked + ASK_BYTES);
        self.name_may_be_long = ahead.is_some_and(|ahead| ahead.iter().all(|&byte| is_of_name(byte)));
        if (self.go_on)() { Ok(()) } else { Err(SyntaxError::stopped()) }
    }

    /// Reads a name that is so long that it must not be read at once, if one comes next.
    #[cold]
    fn long_name(&mut self) -> Fallible<Option<Lexeme>> {
        let (start, text) = (self.place(), self.rest());
        let (mut at, mut found) = (0, text.first().is_none_or(u8::is_ascii_digit));
        while !found && at < text.len() {
            (at, found) = self.run(text, at, |byte| !is_of_name(byte))?;
        }
        if at <= ASK_BYTES {
            return Ok(None);
        }
        if self.strings.bytes().saturating_add(at) > self.room {
            return Err(SyntaxError::out_of_memory());
        }
        self.advance(at);
        let name = self.strings.intern(&text[..at], self.go_on)?;
        Ok(Some(Lexeme { token: Token::Name, value: Value::Str(name), start: start as u32, end: (start + at) as u32 }))
    }

    /// The string in the buffer, from a place on.
    pub(super) fn intern_buffer(&mut self, from: usize) -> Fallible<StrId> {
        self.strings.intern(&self.buffer[from..], self.go_on)
    }

    /// How many equals signs stand in the rest of the source from `at` on.
    pub(super) fn count_equals(&mut self, text: &[u8], at: usize) -> Fallible<usize> {
        let (mut end, mut found) = (at, false);
        while !found && end < text.len() {
            (end, found) = self.run(text, end, |byte| byte != b'=')?;
        }
        Ok(end - at)
    }

    /// Whether all of the source has been read, so that more of it might be another last token.
    pub fn is_at_end(&self) -> bool {
        self.inner.remainder().is_empty()
    }

    /// The end of the bytes from `at` on, in the rest of the source, before one that ends them; or of so many of them as may be read at a time,
    /// and `false`.
    pub(super) fn run(&mut self, text: &[u8], at: usize, ends: impl Fn(u8) -> bool) -> Fallible<(usize, bool)> {
        self.ask(self.place() + at)?;
        let piece = &text[at..text.len().min(at + ASK_BYTES)];
        let end = piece.iter().position(|&b| ends(b));
        Ok((at + end.unwrap_or(piece.len()), end.is_some()))
    }

    /// Adds bytes to the literal being read.
    pub(super) fn keep(&mut self, bytes: &[u8]) -> Fallible<()> {
        self.make_room(bytes.len())?;
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// Room for so many more bytes of the literal being read.
    #[inline]
    pub(super) fn make_room(&mut self, more: usize) -> Fallible<()> {
        if more <= self.buffer.capacity() - self.buffer.len() { Ok(()) } else { self.grow_buffer(more) }
    }

    #[cold]
    fn grow_buffer(&mut self, more: usize) -> Fallible<()> {
        /// What is no matter for the limit.
        const SHORT: usize = 4096;
        // It grows to twice what it has, and will be copied.
        let grown = 3 * (self.buffer.len() + more);
        if grown > SHORT && self.strings.bytes().saturating_add(grown) > self.room {
            return Err(SyntaxError::out_of_memory());
        }
        self.buffer.try_reserve(more).map_err(|_| SyntaxError::out_of_memory())
    }

    pub fn next(&mut self) -> Fallible<Lexeme> {
        loop {
            self.skip_blanks();
            self.ask(self.place())?;
            if self.name_may_be_long
                && let Some(name) = self.long_name()?
            {
                return Ok(name);
            }
            let class = match self.inner.next() {
                None => Token::Eof,
                Some(Ok(class)) => class,
                Some(Err(())) => Token::Other,
            };
            let start = self.inner.span().start;
            let (token, value) = match class {
                Token::Blank => continue,
                Token::Newline => {
                    self.line += 1;
                    continue;
                }
                Token::CommentStart => {
                    self.skip_comment()?;
                    continue;
                }
                Token::Name => (class, Value::Str(self.strings.intern(self.inner.slice(), self.go_on)?)),
                Token::NumeralStart => self.read_numeral(start)?,
                Token::Quote => (Token::Str, Value::Str(self.read_string(self.inner.slice()[0])?)),
                Token::LongBracket => {
                    let source = self.inner.source();
                    let bracket = start + 1 + self.count_equals(&source[start + 1..], 0)?;
                    if source.get(bracket) != Some(&b'[') {
                        let near = quote(&source[start..bracket]);
                        return Err(self.error("invalid long string delimiter", Some(&near)));
                    }
                    self.advance(bracket + 1 - self.place());
                    self.read_long(bracket - start - 1, true)?;
                    (Token::Str, Value::Str(self.intern_buffer(0)?))
                }
                _ => (class, Value::None),
            };
            return Ok(Lexeme { token, value, start: start as u32, end: self.inner.span().end as u32 });
        }
    }

    /// Passes over the blanks before a token, so many at once that it is done soon (L1).
    #[inline]
    fn skip_blanks(&mut self) {
        let rest = self.rest();
        let is_blank = |byte: &&u8| matches!(byte, b' ' | b'\t' | 0x0B | 0x0C);
        if rest.first().as_ref().is_some_and(is_blank) {
            let count = rest.iter().take(ASK_BYTES).take_while(is_blank).count();
            self.advance(count);
        }
    }

    /// The source from the end of the last token.
    pub(super) fn rest(&self) -> &'s [u8] {
        self.inner.remainder()
    }

    pub(super) fn advance(&mut self, bytes: usize) {
        self.inner.bump(bytes);
    }

    fn skip_comment(&mut self) -> Fallible<()> {
        let rest = self.rest();
        if let [b'[', tail @ ..] = rest {
            let level = self.count_equals(tail, 0)?;
            if tail.get(level) == Some(&b'[') {
                self.advance(level + 2);
                return self.read_long(level, false);
            }
        }
        let (mut at, mut found) = (0, false);
        while !found && at < rest.len() {
            (at, found) = self.run(rest, at, |b| matches!(b, b'\n' | b'\r'))?;
        }
        self.advance(at);
        Ok(())
    }

    /// Takes everything that could belong to a numeral, so that `3x` is one malformed number, not a number and a name.
    fn read_numeral(&mut self, start: usize) -> Fallible<(Token, Value)> {
        let text = &self.inner.source()[start..];
        let len = numeral_len(text, self.inner.slice().len(), &mut |at| self.ask(start + at))?;
        let numeral = &text[..len];
        self.advance(start + len - self.inner.span().end);
        let number = match len {
            ..=ASK_BYTES => parse_number(numeral),
            _ => parse_long(numeral, &mut |_| if (self.go_on)() { Ok(()) } else { Err(SyntaxError::stopped()) })?,
        };
        match number {
            Some(Number::Int(value)) => Ok((Token::Int, Value::Int(Packed(value)))),
            Some(Number::Float(value)) => Ok((Token::Float, Value::Float(Packed(value)))),
            None => Err(self.error("malformed number", Some(&quote(numeral)))),
        }
    }

    /// An error at the line reached. `near` is the token to blame as the message shows it: the one being read.
    pub fn error(&self, what: impl AsRef<[u8]>, near: Option<&[u8]>) -> Box<SyntaxError> {
        let error = SyntaxError::new(self.chunk_name, self.line, what.as_ref(), near);
        if near.is_some() { error.at(self.inner.span().start) } else { error }
    }

    /// The place of the end of the last token.
    pub(super) fn place(&self) -> usize {
        self.inner.span().end
    }

    /// A token as messages show it after "near".
    pub fn show(&self, lexeme: &Lexeme) -> Vec<u8> {
        let raw = &self.inner.source()[lexeme.start as usize..lexeme.end as usize];
        match (lexeme.token, lexeme.value) {
            (Token::Eof, _) => b"<eof>".to_vec(),
            (Token::Other, _) if !(b' '..=b'~').contains(&raw[0]) => format!("'<\\{}>'", raw[0]).into_bytes(),
            (Token::Str, Value::Str(id)) => {
                // The delimiters as they stand in the source, the text between them decoded.
                let delimiter = match raw[0] {
                    b'[' => 2 + raw[1..].iter().take_while(|&&b| b == b'=').count(),
                    _ => 1,
                };
                let text = self.strings.get(id);
                quote(&[&raw[..delimiter], &text[..text.len().min(SHOWN)], &raw[raw.len() - delimiter..]].concat())
            }
            _ => quote(raw),
        }
    }
}

/// Whether a name may go on with the byte.
fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The length of the numeral that a text begins with, whose first digit is the last of `len` bytes. `ask` hears how far it has been read, and can end it.
pub(super) fn numeral_len<E>(text: &[u8], mut len: usize, ask: &mut dyn FnMut(usize) -> Result<(), E>) -> Result<usize, E> {
    let mut exponent = b'e';
    if text[len - 1] == b'0' && matches!(text.get(len), Some(b'x' | b'X')) {
        exponent = b'p';
        len += 1;
    }
    while let Some(&b) = text.get(len) {
        if len.is_multiple_of(ASK_BYTES) {
            ask(len)?;
        }
        if b.to_ascii_lowercase() == exponent {
            len += 1;
            len += matches!(text.get(len), Some(b'+' | b'-')) as usize;
        } else if b.is_ascii_hexdigit() || b == b'.' {
            len += 1;
        } else {
            len += (b.is_ascii_alphabetic() || b == b'_') as usize;
            break;
        }
    }
    Ok(len)
}

/// In quotes, up to the first zero byte: messages are made by C's rules.
pub fn quote(text: &[u8]) -> Vec<u8> {
    let text = &text[..text.len().min(SHOWN)];
    let text = text.split(|&b| b == 0).next().unwrap_or(text);
    [b"'", text, b"'"].concat()
}
