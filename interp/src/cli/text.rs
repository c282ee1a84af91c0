//! Bytes as text that a terminal can show: what is not printable stands as an escape of the language.
//!
//! * **T1** What is written is printable, but for newlines where they are asked for.
//!
//! Pure: imports nothing.

use unicode_width::UnicodeWidthStr;

/// Appends bytes: UTF-8 as it is, other bytes and what does not print as `\xXX` or `\u{XXX}`. With `lines`, newlines stay, and so do tabs; without,
/// a tab is four spaces.
pub fn push_shown(out: &mut String, bytes: &[u8], lines: bool) {
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\n' | '\t' if lines => out.push(c),
                '\t' => out.push_str("    "),
                _ => push_char(out, c),
            }
        }
        push_bytes(out, chunk.invalid());
    }
}

/// Appends bytes as a literal of the language, in quotes.
pub fn push_quoted(out: &mut String, bytes: &[u8]) {
    out.push('"');
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                _ => push_char(out, c),
            }
        }
        push_bytes(out, chunk.invalid());
    }
    out.push('"');
}

/// The first bytes, not more than `limit`, cut between characters.
pub fn prefix(bytes: &[u8], limit: usize) -> &[u8] {
    if bytes.len() <= limit {
        return bytes;
    }
    // A character has three bytes at most behind its first one.
    let end = (limit.saturating_sub(3)..=limit).rev().find(|&at| bytes[at] & 0xC0 != 0x80);
    &bytes[..end.unwrap_or(limit)]
}

/// How many columns of a terminal a line takes: two for an ideograph, none for an accent.
pub fn columns(line: &str) -> usize {
    line.width()
}

fn push_bytes(out: &mut String, bytes: &[u8]) {
    for byte in bytes {
        out.push_str(&format!("\\x{byte:02X}"));
    }
}

fn push_char(out: &mut String, c: char) {
    if c.is_ascii() {
        if c.is_ascii_control() { push_bytes(out, &[c as u8]) } else { out.push(c) }
    } else if is_printable(c) {
        out.push(c);
    } else {
        out.push_str(&format!("\\u{{{:X}}}", c as u32));
    }
}

/// Whether a character shows, by the tables of the standard library's `escape_debug`. Behind a letter, an accent does.
fn is_printable(c: char) -> bool {
    let mut text = String::from('a');
    text.push(c);
    text.escape_debug().count() == 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quoted(bytes: &[u8]) -> String {
        let mut out = String::new();
        push_quoted(&mut out, bytes);
        out
    }

    #[test]
    fn literals_can_be_read_back() {
        assert_eq!(quoted(b"a\"b\\c\n\r\t'"), r#""a\"b\\c\n\r\t'""#);
        assert_eq!(quoted(b"\0\x1b7\x7f"), r#""\x00\x1B7\x7F""#);
        assert_eq!(quoted("é e\u{301} 漢 \u{202E}\u{85}".as_bytes()), "\"é e\u{301} 漢 \\u{202E}\\u{85}\"");
        assert_eq!(quoted(b"\xFF\xC3 \xF8\x88"), r#""\xFF\xC3 \xF8\x88""#);
    }

    #[test]
    fn characters_are_as_wide_as_terminals_draw_them() {
        // East Asian Width (UAX #11): W and F take two columns; combining marks take none.
        for (text, width) in [("", 0), ("abc", 3), ("é", 1), ("e\u{301}", 1), ("漢字", 4), ("Ａ", 2), ("한", 2), ("…", 1)]
        {
            assert_eq!(columns(text), width, "{text}");
        }
    }

    #[test]
    fn prefixes_end_between_characters() {
        assert_eq!(prefix("aé".as_bytes(), 2), b"a");
        assert_eq!(prefix("aé".as_bytes(), 3), "aé".as_bytes());
        assert_eq!(prefix("漢漢".as_bytes(), 5), "漢".as_bytes());
        assert_eq!(prefix("漢".as_bytes(), 1), b"");
        assert_eq!(prefix(b"\x80\x80\x80\x80\x80\x80", 5), b"\x80\x80\x80\x80\x80");
        assert_eq!(prefix(b"abc", 0), b"");
    }
}
