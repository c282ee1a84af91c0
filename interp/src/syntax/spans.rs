//! A text cut into spans by class, for who shows or completes source text while it is being written.
//!
//! * **S1** The spans follow each other without a gap, from the first byte to the last; none is empty.
//! * **S2** Any bytes will do: what is no token is [`Class::Stray`]; a string or comment without an end reaches as far as the language would
//!   look for it, and is `open`.
//! * **S3** A span begins and ends between characters if the text is UTF-8.
//!
//! The classes are told by the lexer's own tokens; no values are read, no errors raised. Time is linear in the text.

use super::lexer::numeral_len;
use super::token::{KEYWORDS, Token};
use logos::Logos;
use std::convert::Infallible;

/// What a span is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    Space,
    Comment,
    Keyword,
    /// `nil`, `true`, `false`
    Constant,
    Name,
    Number,
    Str,
    /// `(`, `[`, `{` and what closes them.
    Bracket,
    Operator,
    /// What is no part of the language.
    Stray,
}

/// A stretch of a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    pub class: Class,
    pub start: usize,
    pub end: usize,
    /// A string or comment that goes on where the text ends.
    pub open: bool,
}

/// The spans of a text.
pub fn spans(text: &[u8]) -> impl Iterator<Item = Span> {
    Spans { lexer: Token::lexer(text), ahead: None }
}

struct Spans<'s> {
    lexer: logos::Lexer<'s, Token>,
    ahead: Option<Span>,
}

impl Spans<'_> {
    fn token(&mut self) -> Option<Span> {
        let token = self.lexer.next()?.unwrap_or(Token::Other);
        let start = self.lexer.span().start;
        let rest = self.lexer.remainder();
        // How much longer than its first token the span is; `None`: up to the end of the text, and open.
        let (class, more) = match token {
            Token::Blank | Token::Newline => (Class::Space, Some(0)),
            Token::CommentStart => (Class::Comment, comment_len(rest)),
            Token::Quote => return Some(self.string(start)),
            Token::LongBracket => {
                let bracket = &self.lexer.source()[start + 1..];
                let level = bracket.iter().take_while(|&&b| b == b'=').count();
                match bracket.get(level) {
                    Some(b'[') => (Class::Str, long_len(&bracket[level + 1..], level).map(|len| len + level)),
                    _ => (Class::Stray, Some(level - 1)),
                }
            }
            Token::NumeralStart => {
                let first = self.lexer.slice().len();
                let Ok(len) = numeral_len(&self.lexer.source()[start..], first, &mut |_| Ok::<(), Infallible>(()));
                (Class::Number, Some(len - first))
            }
            Token::Name => (Class::Name, Some(0)),
            Token::Nil | Token::True | Token::False => (Class::Constant, Some(0)),
            Token::LeftParen
            | Token::RightParen
            | Token::LeftBrace
            | Token::RightBrace
            | Token::LeftBracket
            | Token::RightBracket => (Class::Bracket, Some(0)),
            Token::Other => (Class::Stray, Some(0)),
            word if KEYWORDS.contains(&word) => (Class::Keyword, Some(0)),
            _ => (Class::Operator, Some(0)),
        };
        self.lexer.bump(more.unwrap_or(rest.len()));
        Some(Span { class, start, end: self.lexer.span().end, open: more.is_none() })
    }

    /// A quoted string; it ends at its line's end at the latest, unless an escape leads over it.
    fn string(&mut self, start: usize) -> Span {
        let (quote, rest) = (self.lexer.slice()[0], self.lexer.remainder());
        let mut at = 0;
        let mut open = false;
        loop {
            let Some(found) = rest[at..].iter().position(|&b| b == quote || matches!(b, b'\\' | b'\n' | b'\r')) else {
                (at, open) = (rest.len(), true);
                break;
            };
            at += found;
            match rest[at] {
                b'\\' if rest.get(at + 1) == Some(&b'z') => {
                    let space = rest[at + 2..].iter().take_while(|b| b.is_ascii_whitespace() || **b == 0x0B);
                    at += 2 + space.count();
                }
                b'\\' => {
                    let newline = matches!(rest[at + 1..], [b'\r', b'\n', ..] | [b'\n', b'\r', ..]);
                    // S3: the continuation bytes of a character are passed over as what they are, ordinary bytes.
                    at = (at + 2 + usize::from(newline)).min(rest.len());
                }
                b'\n' | b'\r' => break,
                _ => {
                    at += 1;
                    break;
                }
            }
        }
        self.lexer.bump(at);
        Span { class: Class::Str, start, end: self.lexer.span().end, open }
    }
}

impl Iterator for Spans<'_> {
    type Item = Span;

    fn next(&mut self) -> Option<Span> {
        let mut span = self.ahead.take().or_else(|| self.token())?;
        // S3: a character outside of strings is several stray bytes.
        while matches!(span.class, Class::Stray | Class::Space) {
            match self.token() {
                Some(next) if next.class == span.class => span.end = next.end,
                next => {
                    self.ahead = next;
                    break;
                }
            }
        }
        Some(span)
    }
}

/// The length of a comment behind its `--`.
fn comment_len(rest: &[u8]) -> Option<usize> {
    if let [b'[', tail @ ..] = rest {
        let level = tail.iter().take_while(|&&b| b == b'=').count();
        if tail.get(level) == Some(&b'[') {
            return long_len(&tail[level + 1..], level).map(|len| len + level + 2);
        }
    }
    rest.iter().position(|b| matches!(b, b'\n' | b'\r'))
}

/// The length of what a long bracket has opened, with the bracket that closes it.
fn long_len(rest: &[u8], level: usize) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr::memchr(b']', &rest[at..])? + 1;
        let equals = rest[at..].iter().take_while(|&&b| b == b'=').count();
        at += equals;
        if equals == level && rest.get(at) == Some(&b']') {
            return Some(at + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<(Class, &str, bool)> {
        let spans = spans(text.as_bytes()).map(|s| (s.class, &text[s.start..s.end], s.open));
        spans.filter(|s| s.0 != Class::Space).collect()
    }

    #[test]
    fn classes() {
        use Class::*;
        let expected = [
            (Keyword, "local", false),
            (Name, "x", false),
            (Operator, "=", false),
            (Number, "0x1p-3", false),
            (Operator, "..", false),
            (Str, "'a\\'b'", false),
            (Bracket, "[", false),
            (Constant, "nil", false),
            (Bracket, "]", false),
            (Comment, "-- end", true),
        ];
        assert_eq!(cut("local x = 0x1p-3 .. 'a\\'b'[nil] -- end"), expected);
        assert_eq!(cut("a--[[x\n]]b"), [(Name, "a", false), (Comment, "--[[x\n]]", false), (Name, "b", false)]);
        assert_eq!(cut("$é?"), [(Stray, "$é?", false)]);
    }

    #[test]
    fn what_has_no_end_is_open() {
        for open in ["'abc", "\"a\\", "'a\\z \n ", "[[a\nb", "[==[ ]=] ]]", "--[[ x", "--[=[ ]]", "-- x", "'a\\\nb"] {
            let spans: Vec<Span> = spans(open.as_bytes()).collect();
            assert_eq!((spans.len(), spans[0].open, spans[0].end), (1, true, open.len()), "{open}");
        }
        // A string that its line ends is an error, and no longer open.
        assert_eq!(cut("'abc\nx"), [(Class::Str, "'abc", false), (Class::Name, "x", false)]);
        assert_eq!(cut("-- x\ny")[0], (Class::Comment, "-- x", false));
    }

    #[test]
    fn any_bytes_are_covered_without_gaps() {
        const BYTES: &[u8] = b"[]=-'\"\\\nz x0.e\xC3\xA9(\r";
        let mut state = 7u64;
        for round in 0..3000 {
            let text: Vec<u8> = (0..round % 40)
                .map(|_| {
                    state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                    let pick = (state >> 40) as usize;
                    if pick & 7 == 0 { (state >> 33) as u8 } else { BYTES[pick / 8 % BYTES.len()] }
                })
                .collect();
            let mut end = 0;
            for span in spans(&text) {
                assert!(span.start == end && span.end > end, "{text:?}");
                end = span.end;
            }
            assert_eq!(end, text.len(), "{text:?}");
        }
    }

    #[test]
    fn agrees_with_the_lexer_on_programs() {
        let source = "local t <const> = {0x.8p1, 3e-2, [[l\n]]} --[==[ c ]==]\nfor k, v in pairs(t) do goto x ::x:: end return ~t // 1 << '\\z\n y'";
        let mut go_on = || true;
        let mut lexer = crate::syntax::lexer::Lexer::new(source.as_bytes(), b"=x", usize::MAX, &mut go_on);
        let shown = spans(source.as_bytes()).filter(|s| !matches!(s.class, Class::Space | Class::Comment));
        for span in shown {
            let lexeme = lexer.next().expect("a token");
            assert_eq!((lexeme.start as usize, lexeme.end as usize), (span.start, span.end));
        }
        assert_eq!(lexer.next().expect("the end").token, Token::Eof);
    }
}
