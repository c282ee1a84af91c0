//! UTF-8, in the strict form and in the lax one that goes up to 2^31 (§6.5). Imports nothing.

/// The largest value that can be encoded.
pub const MAX_CODE: u32 = 0x7fff_ffff;
/// The pattern that matches one sequence.
pub const CHAR_PATTERN: &[u8] = b"[\0-\x7F\xC2-\xFD][\x80-\xBF]*";

/// Whether the byte goes on with a sequence, rather than begin one.
pub fn is_continuation(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}

/// The value of the sequence at the beginning of `text`, and its length. Not shortest sequences are invalid; so are, unless `lax`,
/// surrogates and values that Unicode does not have.
pub fn decode(text: &[u8], lax: bool) -> Option<(u32, usize)> {
    let first = *text.first()?;
    let (length, smallest, bits) = match first {
        0..=0x7f => return Some((u32::from(first), 1)),
        0x80..=0xbf | 0xfe.. => return None,
        0xc0..=0xdf => (2, 0x80, first & 0x1f),
        0xe0..=0xef => (3, 0x800, first & 0x0f),
        0xf0..=0xf7 => (4, 0x1_0000, first & 0x07),
        0xf8..=0xfb => (5, 0x20_0000, first & 0x03),
        0xfc..=0xfd => (6, 0x400_0000, first & 0x01),
    };
    let mut code = u32::from(bits);
    for &byte in text.get(1..length)? {
        if !is_continuation(byte) {
            return None;
        }
        code = code << 6 | u32::from(byte & 0x3f);
    }
    let valid = code >= smallest && (lax || char::from_u32(code).is_some());
    valid.then_some((code, length))
}

/// Appends the sequence of `code`, which is at most [`MAX_CODE`].
pub fn encode(out: &mut Vec<u8>, code: u32) {
    debug_assert!(code <= MAX_CODE);
    let (continuations, lead) = match code {
        0..=0x7f => return out.push(code as u8),
        0x80..=0x7ff => (1, 0xc0),
        0x800..=0xffff => (2, 0xe0),
        0x1_0000..=0x1f_ffff => (3, 0xf0),
        0x20_0000..=0x3ff_ffff => (4, 0xf8),
        _ => (5, 0xfc),
    };
    out.push(lead | (code >> (6 * continuations)) as u8);
    for i in (0..continuations).rev() {
        out.push(0x80 | (code >> (6 * i)) as u8 & 0x3f);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_rust_on_every_char() {
        let mut out = Vec::new();
        for code in (0..=0x10ffff).step_by(7).chain(0xd700..0xe100) {
            out.clear();
            encode(&mut out, code);
            assert_eq!(decode(&out, true), Some((code, out.len())));
            match char::from_u32(code) {
                Some(char) => {
                    assert_eq!(out, char.encode_utf8(&mut [0; 4]).as_bytes());
                    assert_eq!(decode(&out, false), Some((code, out.len())));
                }
                None => assert_eq!(decode(&out, false), None),
            }
        }
    }

    #[test]
    fn the_lax_form() {
        let sequences: [(u32, &[u8]); 4] = [
            (0x11_0000, b"\xf4\x90\x80\x80"),
            (0x20_0000, b"\xf8\x88\x80\x80\x80"),
            (0x3ff_ffff, b"\xfb\xbf\xbf\xbf\xbf"),
            (MAX_CODE, b"\xfd\xbf\xbf\xbf\xbf\xbf"),
        ];
        for (code, bytes) in sequences {
            let mut out = Vec::new();
            encode(&mut out, code);
            assert_eq!(out, bytes);
            assert_eq!(decode(bytes, true), Some((code, bytes.len())));
            assert_eq!(decode(bytes, false), None);
        }
    }

    #[test]
    fn what_is_invalid() {
        let invalid: [&[u8]; 9] = [
            b"",
            b"\x80",
            b"\xc3",
            b"\xc3x",
            b"\xc0\x80",
            b"\xe0\x80\x80",
            b"\xf8\x80\x80\x80\x80",
            b"\xfe\x80\x80\x80\x80\x80\x80",
            b"\xff",
        ];
        for bytes in invalid {
            assert_eq!(decode(bytes, true), None, "{bytes:x?}");
        }
    }
}
