//! String literals: escapes, long brackets, newlines.

use super::error::{Fallible, SHOWN};
use super::lexer::{ASK_BYTES, Lexer, quote};
use super::strings::StrId;

impl Lexer<'_> {
    /// Reads a quoted string; its opening quote has been read.
    pub(super) fn read_string(&mut self, delimiter: u8) -> Fallible<StrId> {
        let text = self.rest();
        self.buffer.clear();
        self.buffer.push(delimiter);
        let mut at = 0;
        loop {
            let (end, found) = self.run(text, at, |b| b == delimiter || matches!(b, b'\\' | b'\n' | b'\r'))?;
            self.keep(&text[at..end])?;
            at = end;
            if !found {
                if at < text.len() {
                    continue;
                }
                return Err(self.error("unfinished string", Some(b"<eof>")));
            }
            match text[at] {
                b'\\' if at + 1 < text.len() => at = self.read_escape(text, at)?,
                b'\\' => return Err(self.error("unfinished string", Some(b"<eof>"))),
                b'\n' | b'\r' => return Err(self.error("unfinished string", Some(&quote(&self.buffer)))),
                _ => break,
            }
        }
        self.advance(at + 1);
        self.intern_buffer(1)
    }

    /// Decodes the escape whose backslash is at `start` into the buffer; gives the place after it.
    fn read_escape(&mut self, text: &[u8], start: usize) -> Fallible<usize> {
        let at = start + 1;
        let plain = match text[at] {
            b'a' => 0x07,
            b'b' => 0x08,
            b'f' => 0x0C,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 0x0B,
            b @ (b'\\' | b'"' | b'\'') => b,
            b'\n' | b'\r' => {
                self.keep(b"\n")?;
                self.line += 1;
                return Ok(at + newline_len(&text[at..]));
            }
            b'x' => {
                let high = self.hex_digit(text, start, at + 1)?;
                let low = self.hex_digit(text, start, at + 2)?;
                self.keep(&[(high << 4 | low) as u8])?;
                return Ok(at + 3);
            }
            b'z' => {
                let mut at = at + 1;
                loop {
                    self.ask(self.place() + at)?;
                    match text.get(at) {
                        Some(b'\n' | b'\r') => {
                            self.line += 1;
                            at += newline_len(&text[at..]);
                        }
                        Some(b' ' | b'\t' | 0x0B | 0x0C) => at += 1,
                        _ => return Ok(at),
                    }
                }
            }
            b'u' => return self.read_utf8_escape(text, start),
            b'0'..=b'9' => {
                let digits = text[at..].iter().take(3).take_while(|b| b.is_ascii_digit()).count();
                let value = text[at..at + digits].iter().fold(0u32, |value, &b| value * 10 + (b - b'0') as u32);
                let Ok(byte) = u8::try_from(value) else {
                    return Err(self.escape_error(text, start, at + digits, "decimal escape too large"));
                };
                self.keep(&[byte])?;
                return Ok(at + digits);
            }
            _ => return Err(self.escape_error(text, start, at, "invalid escape sequence")),
        };
        self.keep(&[plain])?;
        Ok(at + 1)
    }

    /// `\u{XXX}`, up to 2^31.
    fn read_utf8_escape(&mut self, text: &[u8], start: usize) -> Fallible<usize> {
        let mut at = start + 2;
        if text.get(at) != Some(&b'{') {
            return Err(self.escape_error(text, start, at, "missing '{'"));
        }
        at += 1;
        let mut code = self.hex_digit(text, start, at)?;
        at += 1;
        while let Some(digit) = text.get(at).and_then(|&b| (b as char).to_digit(16)) {
            if code > 0x7FFF_FFFF >> 4 {
                return Err(self.escape_error(text, start, at, "UTF-8 value too large"));
            }
            code = code << 4 | digit;
            at += 1;
            self.ask(self.place() + at)?;
        }
        if text.get(at) != Some(&b'}') {
            return Err(self.escape_error(text, start, at, "missing '}'"));
        }
        self.make_room(6)?;
        encode_utf8(code, &mut self.buffer);
        Ok(at + 1)
    }

    fn hex_digit(&self, text: &[u8], start: usize, at: usize) -> Fallible<u32> {
        match text.get(at).and_then(|&b| (b as char).to_digit(16)) {
            Some(digit) => Ok(digit),
            None => Err(self.escape_error(text, start, at, "hexadecimal digit expected")),
        }
    }

    /// The message shows the string decoded so far, and the escape up to the byte that is wrong.
    fn escape_error(&self, text: &[u8], start: usize, at: usize, what: &str) -> Box<super::SyntaxError> {
        let near = [&self.buffer[..self.buffer.len().min(SHOWN)], &text[start..text.len().min(at + 1)]].concat();
        self.error(what, Some(&quote(&near))).at(self.place() + start)
    }

    /// Reads a long string or comment, whose opening bracket has been read, up to its closing bracket; a string goes
    /// into the buffer.
    pub(super) fn read_long(&mut self, level: usize, is_string: bool) -> Fallible<()> {
        let text = self.rest();
        let first_line = self.line;
        self.buffer.clear();
        let mut at = newline_len(text);
        self.line += (at > 0) as u32;
        loop {
            let (end, found) = self.run(text, at, |b| matches!(b, b']' | b'\n' | b'\r'))?;
            if is_string {
                self.keep(&text[at..end])?;
            }
            at = end;
            if !found {
                if at < text.len() {
                    continue;
                }
                // What the message calls the current line is the last one.
                let what = if is_string { "string" } else { "comment" };
                let what = format!("unfinished long {what} (starting at line {first_line})");
                return Err(self.error(what, Some(b"<eof>")));
            }
            if text[end] == b']' {
                let equals = self.count_equals(text, end + 1)?;
                let next = end + 1 + equals;
                if equals == level && text.get(next) == Some(&b']') {
                    self.advance(next + 1);
                    return Ok(());
                }
                if is_string {
                    for piece in text[end..next].chunks(ASK_BYTES) {
                        self.keep(piece)?;
                    }
                }
                at = next;
            } else {
                if is_string {
                    self.keep(b"\n")?;
                }
                self.line += 1;
                at = end + newline_len(&text[end..]);
            }
        }
    }
}

/// The length of the newline that a text starts with: one or both of `\n` and `\r`, in any order. 0 if there is none.
fn newline_len(text: &[u8]) -> usize {
    match text {
        [b'\n', b'\r', ..] | [b'\r', b'\n', ..] => 2,
        [b'\n' | b'\r', ..] => 1,
        _ => 0,
    }
}

/// Appends the UTF-8 encoding of a code up to 2^31, by the original scheme of up to six bytes.
pub fn encode_utf8(code: u32, out: &mut Vec<u8>) {
    if code < 0x80 {
        out.push(code as u8);
        return;
    }
    // Continuation bytes carry 6 bits each; the first byte has room for 7 bits minus one for each of them.
    let mut continuation = 1;
    while continuation < 5 && code >> (6 * continuation) >= 1 << (6 - continuation) {
        continuation += 1;
    }
    let first = (0xFF00u32 >> (continuation + 1)) as u8;
    out.push(first | (code >> (6 * continuation)) as u8);
    for i in (0..continuation).rev() {
        out.push(0x80 | (code >> (6 * i) & 0x3F) as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::encode_utf8;

    #[test]
    fn utf8() {
        let encode = |code| {
            let mut out = Vec::new();
            encode_utf8(code, &mut out);
            out
        };
        for code in [0, 0x7F, 0x80, 0x7FF, 0x800, 0xFFFF, 0x10000, 0x10FFFF] {
            if let Some(c) = char::from_u32(code) {
                assert_eq!(encode(code), c.to_string().into_bytes());
            }
        }
        assert_eq!(encode(0x20_0000), b"\xF8\x88\x80\x80\x80");
        assert_eq!(encode(0x3FF_FFFF), b"\xFB\xBF\xBF\xBF\xBF");
        assert_eq!(encode(0x400_0000), b"\xFC\x84\x80\x80\x80\x80");
        assert_eq!(encode(0x7FFF_FFFF), b"\xFD\xBF\xBF\xBF\xBF\xBF");
    }
}
