//! Numerals, as the language and `tonumber` read them.
//!
//! * **N1** Decimal floats are rounded correctly (by the standard library), hexadecimal floats too (here).
//! * **N2** A decimal integer that does not fit 64 bits is a float; a hexadecimal integer wraps around.

/// A number of the language.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Number {
    Int(i64),
    Float(f64),
}

/// Reads a whole text as a number: optional space around, a sign, decimal or hexadecimal. `None` for anything else,
/// "inf" and "nan" among it.
pub fn parse_number(text: &[u8]) -> Option<Number> {
    let text = trim(text);
    let (negative, digits) = match text.split_first()? {
        (b'-', rest) => (true, rest),
        (b'+', rest) => (false, rest),
        _ => (false, text),
    };
    match digits {
        [b'0', b'x' | b'X', hex @ ..] => parse_hex(hex, negative),
        _ => parse_decimal(digits, negative),
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0B | 0x0C | b'\r')
}

fn trim(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text
        && is_space(*first)
    {
        text = rest;
    }
    while let [rest @ .., last] = text
        && is_space(*last)
    {
        text = rest;
    }
    text
}

fn parse_decimal(text: &[u8], negative: bool) -> Option<Number> {
    if text.iter().all(u8::is_ascii_digit) {
        // One more is allowed on the negative side.
        let limit = i64::MAX as u64 + negative as u64;
        let value = text.iter().try_fold(0u64, |value, &digit| {
            let value = value.checked_mul(10)?.checked_add((digit - b'0') as u64)?;
            (value <= limit).then_some(value)
        });
        if let (Some(value), false) = (value, text.is_empty()) {
            let value = value as i64;
            return Some(Number::Int(if negative { value.wrapping_neg() } else { value }));
        }
    }
    // The grammar is checked here: the standard library would also take names such as "inf".
    let (mantissa, exponent) = match text.iter().position(|b| matches!(b, b'e' | b'E')) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let dots = mantissa.iter().filter(|&&b| b == b'.').count();
    let digits = mantissa.iter().filter(|b| b.is_ascii_digit()).count();
    if dots > 1 || digits == 0 || dots + digits != mantissa.len() {
        return None;
    }
    if let Some(exponent) = exponent {
        let (_, digits) = split_sign(exponent);
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
    }
    let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    Some(Number::Float(if negative { -value } else { value }))
}

fn split_sign(text: &[u8]) -> (bool, &[u8]) {
    match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, text),
    }
}

fn parse_hex(text: &[u8], negative: bool) -> Option<Number> {
    let digit = |b: u8| (b as char).to_digit(16);
    if !text.is_empty() && text.iter().all(u8::is_ascii_hexdigit) {
        let value = text.iter().fold(0u64, |value, &b| (value << 4) | digit(b).unwrap_or(0) as u64) as i64;
        return Some(Number::Int(if negative { value.wrapping_neg() } else { value }));
    }
    // The first 16 significant digits fill the mantissa; of the rest only matters whether it is zero.
    let (mut mantissa, mut sticky, mut exponent) = (0u64, false, 0i64);
    let (mut seen_digit, mut seen_dot) = (false, false);
    let mut rest = text;
    while let Some((&b, tail)) = rest.split_first() {
        if b == b'.' && !seen_dot {
            seen_dot = true;
        } else if let Some(value) = digit(b) {
            seen_digit = true;
            if mantissa >> 60 == 0 {
                mantissa = (mantissa << 4) | value as u64;
                exponent -= if seen_dot { 4 } else { 0 };
            } else {
                sticky |= value != 0;
                exponent += if seen_dot { 0 } else { 4 };
            }
        } else {
            break;
        }
        rest = tail;
    }
    if !seen_digit {
        return None;
    }
    if let Some((b'p' | b'P', tail)) = rest.split_first() {
        let (minus, digits) = split_sign(tail);
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        // Saturation is far outside the range of a float, and far inside that of `i64`.
        let scale = digits.iter().fold(0i64, |e, &b| (e * 10 + (b - b'0') as i64).min(1 << 48));
        exponent += if minus { -scale } else { scale };
    } else if !rest.is_empty() {
        return None;
    }
    let value = scale_to_float(mantissa, sticky, exponent);
    Some(Number::Float(if negative { -value } else { value }))
}

/// `mantissa * 2^exponent` rounded to nearest, ties to even; `sticky` says that the true mantissa is a little more.
fn scale_to_float(mantissa: u64, sticky: bool, exponent: i64) -> f64 {
    if mantissa == 0 {
        return 0.0;
    }
    let shift = mantissa.leading_zeros();
    let mantissa = mantissa << shift;
    let exponent = exponent - shift as i64;
    // The value is in [2^top, 2^(top+1)).
    let top = exponent + 63;
    if top > 1023 {
        return f64::INFINITY;
    }
    // Bits that a float keeps of this value: 53, fewer among the subnormals.
    let keep = (top + 1075).min(53);
    if keep < 0 {
        return 0.0;
    }
    let drop = 64 - keep as u32;
    let (kept, dropped) = if drop == 64 { (0, mantissa) } else { (mantissa >> drop, mantissa << (64 - drop)) };
    let half = 1u64 << 63;
    let up = dropped > half || (dropped == half && (sticky || kept & 1 == 1));
    let kept = kept + up as u64;
    // A subnormal's bits are its mantissa; a carry runs into the exponent field as it should, up to infinity.
    if keep < 53 { f64::from_bits(kept) } else { f64::from_bits(kept + (((top + 1022) as u64) << 52)) }
}

#[cfg(test)]
mod tests {
    use super::{Number::*, parse_number};

    #[test]
    fn integers() {
        let cases: &[(&str, i64)] = &[
            ("0", 0),
            ("  12 ", 12),
            ("\t-7\n", -7),
            ("+7", 7),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
            ("0x10", 16),
            ("-0xA", -10),
            ("0xffffffffffffffff", -1),
            ("0x1ffffffffffffffff", -1),
            ("0x7fffffffffffffff", i64::MAX),
            ("00012", 12),
        ];
        for (text, value) in cases {
            assert_eq!(parse_number(text.as_bytes()), Some(Int(*value)), "{text}");
        }
    }

    #[test]
    fn floats() {
        let cases: &[(&str, f64)] = &[
            ("9223372036854775808", 9223372036854775808.0),
            ("-9223372036854775809", -9223372036854775809.0),
            ("1.", 1.0),
            (".5", 0.5),
            ("1e2", 100.0),
            ("1E+2", 100.0),
            ("3.75", 3.75),
            ("1e999", f64::INFINITY),
            ("0x.1", 0.0625),
            ("0x1p4", 16.0),
            ("0xA.8p0", 10.5),
            ("0x1p-1074", f64::from_bits(1)),
            ("0x1p-1075", 0.0),
            ("0x1.8p-1075", f64::from_bits(1)),
            ("0x1p-1076", 0.0),
            ("0x0.0000000000001p-1022", f64::from_bits(1)),
            ("0x1.fffffffffffffp1023", f64::MAX),
            ("0x1.fffffffffffff8p1023", f64::INFINITY),
            ("0x1.fffffffffffff7p1023", f64::MAX),
            ("0x1p1024", f64::INFINITY),
            ("0x1.00000000000008p0", 1.0),
            ("0x1.000000000000080000000000000001p0", 1.0 + f64::EPSILON),
            ("0x1.00000000000018p0", 1.0 + 2.0 * f64::EPSILON),
            ("0x0.fffffffffffff8p-1022", f64::MIN_POSITIVE),
            ("0x0p99999999999999999999", 0.0),
            ("0x1p99999999999999999999", f64::INFINITY),
            ("0x1p-99999999999999999999", 0.0),
        ];
        for (text, value) in cases {
            assert_eq!(parse_number(text.as_bytes()), Some(Float(*value)), "{text}");
        }
        let Some(Float(zero)) = parse_number(b"-0.0") else { panic!() };
        assert!(zero == 0.0 && zero.is_sign_negative());
    }

    #[test]
    fn no_numbers() {
        for text in [
            "", " ", "-", "+", ".", "e", "1e", "1e+", "0x", "0x.", "0xp1", "0x1p", "inf", "nan", "-inf", "infinity", "1 2",
            "- 1", "--1", "1_0", "0xg", "1..2", "1.2.3", "0x1.2.3", "1e2.0", "1\0", "\0", "0x1p1.0", "1f", "0b1",
        ] {
            assert_eq!(parse_number(text.as_bytes()), None, "{text:?}");
        }
    }
}
