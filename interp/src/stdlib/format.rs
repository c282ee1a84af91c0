//! `string.format`, and the text of numbers.
//!
//! A conversion specification is read as a [`Spec`], checked into a [`Layout`], and a layout writes one value. The digits of floats
//! come from the exact conversions of the standard library; the notations of C (`%g`, `%a`, padding) are made here.
//!
//! * **I1** Width and precision have at most two digits, so an item takes at most some 500 bytes, strings aside.
//! * **I2** An item is written at the end of the buffer first and padded in place: no temporary buffers.
//!
//! May import `fault` alone.

use super::fault::Fault;
use std::io::Write;

/// The longest specification, without its `%`.
const MAX_SPEC: usize = 22;

/// A conversion specification as it stands in a format.
#[derive(Clone, Copy, Debug)]
pub struct Spec<'f> {
    /// Flags, width and precision.
    modifiers: &'f [u8],
    /// The letter; 0 if the format ends before it.
    pub conversion: u8,
}

/// Flags, width and precision of a specification.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Layout {
    left: bool,
    plus: bool,
    space: bool,
    alternate: bool,
    zero: bool,
    width: usize,
    precision: Option<usize>,
}

impl<'f> Spec<'f> {
    /// Reads the specification after the `%` that ends at `*at`, and moves `*at` past it.
    pub fn read(format: &'f [u8], at: &mut usize) -> Result<Spec<'f>, Fault> {
        let rest = &format[*at..];
        // What is longer is an error, however long it is.
        let near = &rest[..rest.len().min(MAX_SPEC)];
        let length = near.iter().position(|byte| !b"-+#0 123456789.".contains(byte)).unwrap_or(near.len());
        if length + 1 >= MAX_SPEC {
            return Err(Fault::error("invalid format (too long)"));
        }
        *at += (length + 1).min(rest.len());
        Ok(Spec { modifiers: &rest[..length], conversion: rest.get(length).copied().unwrap_or(0) })
    }

    /// Whether it is only the letter.
    pub fn is_plain(&self) -> bool {
        self.modifiers.is_empty()
    }

    /// The specification as messages quote it.
    fn text(&self) -> Vec<u8> {
        let letter = if self.conversion == 0 { &[][..] } else { std::slice::from_ref(&self.conversion) };
        [b"%", self.modifiers, letter].concat()
    }

    /// The error for a letter that means nothing.
    pub fn invalid(&self) -> Fault {
        Fault::composed([b"invalid conversion '", &self.text()[..], b"' to 'format'"].concat())
    }

    /// Checks the modifiers against what the conversion allows.
    pub fn layout(&self) -> Result<Layout, Fault> {
        let (flags, takes_precision): (&[u8], bool) = match self.conversion {
            b'd' | b'i' => (b"-+0 ", true),
            b'u' => (b"-0", true),
            b'o' | b'x' | b'X' => (b"-#0", true),
            b'a' | b'A' | b'e' | b'E' | b'f' | b'g' | b'G' => (b"-+#0 ", true),
            b's' => (b"-", true),
            _ => (b"-", false),
        };
        let mut layout = Layout::default();
        let mut rest = self.modifiers;
        while let [flag, tail @ ..] = rest
            && flags.contains(flag)
        {
            match flag {
                b'-' => layout.left = true,
                b'+' => layout.plus = true,
                b' ' => layout.space = true,
                b'#' => layout.alternate = true,
                _ => layout.zero = true,
            }
            rest = tail;
        }
        // A width can't begin with a 0: that is a flag, here one that is not allowed.
        if rest.first() != Some(&b'0') {
            layout.width = two_digits(&mut rest);
            if let [b'.', tail @ ..] = rest
                && takes_precision
            {
                rest = tail;
                layout.precision = Some(two_digits(&mut rest));
            }
        }
        if rest.is_empty() {
            Ok(layout)
        } else {
            Err(Fault::composed([b"invalid conversion specification: '", &self.text()[..], b"'"].concat()))
        }
    }
}

/// Takes a number of up to two digits.
fn two_digits(rest: &mut &[u8]) -> usize {
    let mut number = 0;
    for _ in 0..2 {
        if let [digit @ b'0'..=b'9', tail @ ..] = *rest {
            number = number * 10 + usize::from(digit - b'0');
            *rest = tail;
        }
    }
    number
}

impl Layout {
    /// Pads what was written since `start`; zeros go after the first `prefix` bytes.
    fn pad(&self, out: &mut Vec<u8>, start: usize, prefix: usize, zeros: bool) {
        let length = out.len() - start;
        let Some(missing) = self.width.checked_sub(length) else { return };
        let (at, fill) = match (self.left, zeros) {
            (true, _) => (out.len(), b' '),
            (false, true) => (start + prefix, b'0'),
            (false, false) => (start, b' '),
        };
        insert(out, at, missing, fill);
    }

    /// The sign of a signed conversion.
    fn sign(&self, out: &mut Vec<u8>, negative: bool) {
        if negative {
            out.push(b'-');
        } else if self.plus {
            out.push(b'+');
        } else if self.space {
            out.push(b' ');
        }
    }

    /// `%d %i %u %o %x %X`
    pub fn integer(&self, out: &mut Vec<u8>, conversion: u8, value: i64) {
        let start = out.len();
        let bits = value as u64;
        if matches!(conversion, b'd' | b'i') {
            self.sign(out, value < 0);
        } else if self.alternate && value != 0 && conversion != b'o' {
            out.extend_from_slice(&[b'0', conversion]);
        }
        let prefix = out.len() - start;
        let digits = out.len();
        if value != 0 || self.precision != Some(0) {
            let written = match conversion {
                b'd' | b'i' => write!(out, "{}", value.unsigned_abs()),
                b'u' => write!(out, "{bits}"),
                b'o' => write!(out, "{bits:o}"),
                b'x' => write!(out, "{bits:x}"),
                _ => write!(out, "{bits:X}"),
            };
            written.expect("a Vec takes every write");
        }
        if let Some(missing) = self.precision.and_then(|precision| precision.checked_sub(out.len() - digits)) {
            insert(out, digits, missing, b'0');
        }
        if conversion == b'o' && self.alternate && out.get(digits) != Some(&b'0') {
            insert(out, digits, 1, b'0');
        }
        self.pad(out, start, prefix, self.zero && self.precision.is_none());
    }

    /// `%e %E %f %g %G %a %A`
    pub fn float(&self, out: &mut Vec<u8>, conversion: u8, value: f64) {
        let start = out.len();
        self.sign(out, value.is_sign_negative());
        let mut prefix = out.len() - start;
        let magnitude = value.abs();
        if !magnitude.is_finite() {
            out.extend_from_slice(if magnitude.is_nan() { b"nan" } else { b"inf" });
        } else {
            match conversion {
                b'f' => fixed(out, magnitude, self.precision.unwrap_or(6), self.alternate),
                b'e' | b'E' => exponential(out, magnitude, self.precision.unwrap_or(6), self.alternate),
                b'g' | b'G' => general(out, magnitude, self.precision.unwrap_or(6).max(1), self.alternate),
                _ => {
                    prefix += 2;
                    hexadecimal(out, magnitude, self.precision, self.alternate);
                }
            }
        }
        if conversion.is_ascii_uppercase() {
            out[start..].make_ascii_uppercase();
        }
        self.pad(out, start, prefix, self.zero && magnitude.is_finite());
    }

    /// `%c`
    pub fn character(&self, out: &mut Vec<u8>, byte: u8) {
        self.string(out, &[byte]);
    }

    /// How much of a string `%s` keeps, if it needs no padding.
    pub fn unpadded(&self, length: usize) -> Option<usize> {
        Some(self.precision.map_or(length, |precision| precision.min(length))).filter(|&kept| kept >= self.width)
    }

    /// `%s`, with modifiers
    pub fn string(&self, out: &mut Vec<u8>, text: &[u8]) {
        let start = out.len();
        out.extend_from_slice(&text[..self.precision.unwrap_or(text.len()).min(text.len())]);
        self.pad(out, start, 0, false);
    }

    /// `%p`; 0 for a value that has no address
    pub fn pointer(&self, out: &mut Vec<u8>, address: usize) {
        let start = out.len();
        match address {
            0 => out.extend_from_slice(b"(null)"),
            _ => write!(out, "{address:#x}").expect("a Vec takes every write"),
        }
        self.pad(out, start, 0, false);
    }
}

/// Inserts `count` bytes `fill` at `at`.
fn insert(out: &mut Vec<u8>, at: usize, count: usize, fill: u8) {
    let old = out.len();
    out.resize(old + count, fill);
    out.copy_within(at..old, at + count);
    out[at..at + count].fill(fill);
}

/// `%.{precision}f`
fn fixed(out: &mut Vec<u8>, magnitude: f64, precision: usize, point: bool) {
    write!(out, "{magnitude:.precision$}").expect("a Vec takes every write");
    if precision == 0 && point {
        out.push(b'.');
    }
}

/// The `count` first significant digits, rounded, and the exponent of the first one. `buffer` has room for 99 digits and 10 bytes more.
fn significant(buffer: &mut [u8; 128], magnitude: f64, count: usize) -> (&mut [u8], i32) {
    let mut free = &mut buffer[..];
    write!(free, "{:.*e}", count - 1, magnitude).expect("it has room");
    let written = 128 - free.len();
    let e = buffer[..written].iter().position(|&byte| byte == b'e').unwrap_or(written);
    let negative = buffer[e + 1] == b'-';
    let number =
        buffer[e + 1 + usize::from(negative)..written].iter().fold(0, |number, digit| number * 10 + i32::from(digit - b'0'));
    // Close the gap where the point stands.
    buffer.copy_within(2..e.max(2), 1);
    (&mut buffer[..count], if negative { -number } else { number })
}

fn exponent(out: &mut Vec<u8>, exponent: i32) {
    let sign = if exponent < 0 { '-' } else { '+' };
    write!(out, "e{sign}{:02}", exponent.unsigned_abs()).expect("a Vec takes every write");
}

/// `%.{precision}e`
fn exponential(out: &mut Vec<u8>, magnitude: f64, precision: usize, point: bool) {
    let mut buffer = [0; 128];
    let (digits, power) = significant(&mut buffer, magnitude, precision + 1);
    out.push(digits[0]);
    if precision > 0 || point {
        out.push(b'.');
    }
    out.extend_from_slice(&digits[1..]);
    exponent(out, power);
}

/// `%.{precision}g`, precision at least 1; `full` keeps the zeros at the end
fn general(out: &mut Vec<u8>, magnitude: f64, precision: usize, full: bool) {
    let mut buffer = [0; 128];
    let (digits, power) = significant(&mut buffer, magnitude, precision);
    let mut digits = &*digits;
    if !full {
        let kept = digits.iter().rposition(|&digit| digit != b'0').map_or(1, |last| last + 1);
        digits = &digits[..kept];
    }
    if power < -4 || power >= precision as i32 {
        out.push(digits[0]);
        if digits.len() > 1 || full {
            out.push(b'.');
        }
        out.extend_from_slice(&digits[1..]);
        exponent(out, power);
    } else if power < 0 {
        out.extend_from_slice(b"0.");
        out.resize(out.len() + (-1 - power) as usize, b'0');
        out.extend_from_slice(digits);
    } else {
        let whole = power as usize + 1;
        let (front, back) = digits.split_at(whole.min(digits.len()));
        out.extend_from_slice(front);
        out.resize(out.len() + whole - front.len(), b'0');
        if !back.is_empty() || full {
            out.push(b'.');
        }
        out.extend_from_slice(back);
    }
}

/// `%a`, with the rounding to even of a given precision
fn hexadecimal(out: &mut Vec<u8>, magnitude: f64, precision: Option<usize>, point: bool) {
    const FRACTION_BITS: usize = 52;
    let bits = magnitude.to_bits();
    let fraction = bits & ((1 << FRACTION_BITS) - 1);
    let (mut mantissa, power) = match (bits >> FRACTION_BITS) as i32 {
        0 if fraction == 0 => (0, 0),
        0 => (fraction, -1022),
        biased => (fraction | 1 << FRACTION_BITS, biased - 1023),
    };
    let mut shown = FRACTION_BITS / 4;
    match precision {
        Some(precision) if precision < shown => {
            let cut = FRACTION_BITS - precision * 4;
            let (rest, half) = (mantissa & ((1 << cut) - 1), 1 << (cut - 1));
            mantissa >>= cut;
            mantissa += u64::from(rest > half || (rest == half && mantissa & 1 == 1));
            shown = precision;
        }
        Some(_) => {}
        None => {
            while shown > 0 && mantissa & 15 == 0 {
                mantissa >>= 4;
                shown -= 1;
            }
        }
    }
    write!(out, "0x{:x}", mantissa >> (shown * 4)).expect("a Vec takes every write");
    let wanted = precision.unwrap_or(shown);
    if wanted > 0 || point {
        out.push(b'.');
    }
    if shown > 0 {
        write!(out, "{:0shown$x}", mantissa & ((1 << (shown * 4)) - 1)).expect("a Vec takes every write");
    }
    out.resize(out.len() + wanted - shown, b'0');
    write!(out, "p{power:+}").expect("a Vec takes every write");
}

/// The text of an integer.
pub fn push_integer(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// The text of a float, as `tostring` gives it: `%.14g`, and with ".0" at the end if it looks like an integer.
pub fn push_float(out: &mut Vec<u8>, value: f64) {
    const DIGITS: usize = 14;
    let start = out.len();
    if value.is_sign_negative() {
        out.push(b'-');
    }
    let magnitude = value.abs();
    if magnitude < 1e14 && magnitude.trunc() == magnitude {
        push_integer(out, magnitude as i64);
    } else if magnitude.is_finite() {
        general(out, magnitude, DIGITS, false);
    } else {
        out.extend_from_slice(if magnitude.is_nan() { b"nan" } else { b"inf" });
        return;
    }
    if out[start..].iter().all(|byte| matches!(byte, b'0'..=b'9' | b'-')) {
        out.extend_from_slice(b".0");
    }
}

/// A float by `%.14g` alone, as `io.write` has it.
pub fn push_general(out: &mut Vec<u8>, value: f64) {
    Layout { precision: Some(14), ..Layout::default() }.float(out, b'g', value);
}

/// `%q` of a piece of a string, without the quotes around; `next` is the byte behind it.
pub fn quote_piece(out: &mut Vec<u8>, piece: &[u8], next: Option<u8>) {
    for (i, &byte) in piece.iter().enumerate() {
        match byte {
            b'"' | b'\\' | b'\n' => out.extend_from_slice(&[b'\\', byte]),
            _ if byte.is_ascii_control() => {
                // Three digits where a digit follows, which would be read as part of the escape.
                let next = piece.get(i + 1).copied().or(next);
                let width = if next.is_some_and(|next| next.is_ascii_digit()) { 3 } else { 0 };
                write!(out, "\\{byte:0width$}").expect("a Vec takes every write");
            }
            _ => out.push(byte),
        }
    }
}

/// `%q` of an integer: a numeral that is read back as this integer.
pub fn quote_integer(out: &mut Vec<u8>, value: i64) {
    // The decimal numeral of the smallest integer would be the negation of a float.
    if value == i64::MIN { out.extend_from_slice(b"0x8000000000000000") } else { push_integer(out, value) }
}

/// `%q` of a float: an expression that is read back as this float.
pub fn quote_float(out: &mut Vec<u8>, value: f64) {
    if value.is_nan() {
        out.extend_from_slice(b"(0/0)");
    } else if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"1e9999" } else { b"-1e9999" });
    } else {
        Layout::default().float(out, b'a', value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    enum Value {
        I(i64),
        F(f64),
        S(&'static str),
    }
    use Value::*;

    fn format(format: &str, value: Value) -> Result<String, String> {
        let mut at = 1;
        let spec = Spec::read(format.as_bytes(), &mut at).map_err(|fault| fault.message())?;
        let layout = spec.layout().map_err(|fault| fault.message())?;
        let mut out = b">".to_vec();
        match value {
            I(value) => layout.integer(&mut out, spec.conversion, value),
            F(value) => layout.float(&mut out, spec.conversion, value),
            S(value) => layout.string(&mut out, value.as_bytes()),
        }
        assert_eq!(at, format.len());
        Ok(String::from_utf8(out).expect("text")[1..].to_string())
    }

    #[track_caller]
    fn gives(spec: &str, value: Value, expected: &str) {
        assert_eq!(format(spec, value).as_deref(), Ok(expected), "{spec}");
    }

    // The expectations of this and the next two tests are what printf of glibc writes.
    #[test]
    fn integers() {
        gives("%d", I(i64::MIN), "-9223372036854775808");
        gives("%5.3d", I(5), "  005");
        gives("%-5d", I(5), "5    ");
        gives("%05d", I(-5), "-0005");
        gives("%+d", I(5), "+5");
        gives("% d", I(5), " 5");
        gives("%.0d", I(0), "");
        gives("%05.2d", I(7), "   07");
        gives("%x", I(-1), "ffffffffffffffff");
        gives("%#X", I(255), "0XFF");
        gives("%#x", I(0), "0");
        gives("%#010x", I(255), "0x000000ff");
        gives("%#o", I(8), "010");
        gives("%#.3o", I(8), "010");
        gives("%#.0o", I(0), "0");
        gives("%u", I(-1), "18446744073709551615");
    }

    #[test]
    fn floats() {
        gives("%g", F(1e20), "1e+20");
        gives("%g", F(1e-5), "1e-05");
        gives("%g", F(0.0001), "0.0001");
        gives("%g", F(100000.0), "100000");
        gives("%g", F(999999.5), "1e+06");
        gives("%#g", F(1.0), "1.00000");
        gives("%.0g", F(0.00012345), "0.0001");
        gives("%.3g", F(0.0), "0");
        gives("%e", F(0.0), "0.000000e+00");
        gives("%E", F(1e100), "1.000000E+100");
        gives("%.0e", F(2.5), "2e+00");
        gives("%#.0e", F(3.5), "4.e+00");
        gives("%010.3f", F(-2.35619), "-00002.356");
        gives("%-10.3f|".trim_end_matches('|'), F(2.35619), "2.356     ");
        gives("%.0f", F(0.5), "0");
        gives("%.0f", F(1.5), "2");
        gives("%+.0f", F(2.5), "+2");
        gives("%.2f", F(2.675), "2.67");
        gives("%.1f", F(0.25), "0.2");
        gives("%.20f", F(0.1), "0.10000000000000000555");
        gives("%010f", F(f64::INFINITY), "       inf");
        gives("%G", F(f64::NEG_INFINITY), "-INF");
        gives("%.3f", F(-0.0), "-0.000");
        assert_eq!(format("%.99f", F(-f64::MAX)).map(|text| text.len()), Ok(410));
    }

    #[test]
    fn hexadecimal_floats() {
        gives("%a", F(1.5), "0x1.8p+0");
        gives("%A", F(1.0 / 3.0), "0X1.5555555555555P-2");
        gives("%.0a", F(1.5), "0x2p+0");
        gives("%.1a", F(1.96875), "0x2.0p+0");
        gives("%020a", F(-std::f64::consts::PI), "-0x1.921fb54442d18p+1");
        gives("%020.1a", F(-std::f64::consts::PI), "-0x000000000001.9p+1");
        gives("%#.0a", F(1.0), "0x1.p+0");
        gives("%.15a", F(1.0), "0x1.000000000000000p+0");
        gives("%a", F(5e-324), "0x0.0000000000001p-1022");
        gives("%.3a", F(5e-324), "0x0.000p-1022");
        gives("%a", F(-0.0), "-0x0p+0");
    }

    #[test]
    fn strings_and_others() {
        gives("%5.1s", S("xyz"), "    x");
        gives("%-5s", S("ab"), "ab   ");
        let mut out = Vec::new();
        Layout { width: 8, ..Layout::default() }.pointer(&mut out, 0);
        Layout::default().pointer(&mut out, 0xabc);
        Layout { width: 3, left: true, ..Layout::default() }.character(&mut out, b'x');
        assert_eq!(out, b"  (null)0xabcx  ");
    }

    #[test]
    fn errors_in_the_words_of_the_reference() {
        let message = |spec: &str| format(spec, S("")).expect_err("an error");
        assert_eq!(message("%123d"), "invalid conversion specification: '%123d'");
        assert_eq!(message("%.123d"), "invalid conversion specification: '%.123d'");
        assert_eq!(message("%#d"), "invalid conversion specification: '%#d'");
        assert_eq!(message("%.3c"), "invalid conversion specification: '%.3c'");
        assert_eq!(message("%05s"), "invalid conversion specification: '%05s'");
        assert_eq!(message("%0000000000000000000000d"), "invalid format (too long)");
        let invalid = |spec: &str| Spec::read(spec.as_bytes(), &mut 1).expect("a specification").invalid().message();
        assert_eq!(invalid("%y"), "invalid conversion '%y' to 'format'");
        assert_eq!(invalid("%"), "invalid conversion '%' to 'format'");
        assert_eq!(invalid("%5"), "invalid conversion '%5' to 'format'");
    }

    #[test]
    fn numbers_as_text() {
        let text = |value: f64| {
            let mut out = Vec::new();
            push_float(&mut out, value);
            String::from_utf8(out).expect("text")
        };
        for (value, expected) in [
            (1e15, "1e+15"),
            (1e14, "1e+14"),
            (99999999999999.0, "99999999999999.0"),
            (123456789012345.0, "1.2345678901234e+14"),
            (12345678901234.5, "12345678901234.0"),
            (1e100, "1e+100"),
            (-0.0, "-0.0"),
            (-3.0, "-3.0"),
            (0.1, "0.1"),
            (1.0 / 3.0, "0.33333333333333"),
            (9007199254740992.0, "9.007199254741e+15"),
            (1e-5, "1e-05"),
            (5e-324, "4.9406564584125e-324"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN.copysign(1.0), "nan"),
            (f64::NAN.copysign(-1.0), "-nan"),
        ] {
            assert_eq!(text(value), expected);
        }
    }

    #[test]
    fn quoting() {
        let mut out = Vec::new();
        quote_piece(&mut out, b"a\"\\\n\r\x001\x7f\xff\0", None);
        assert_eq!(out, b"a\\\"\\\\\\\n\\13\\0001\\127\xff\\0");
        let mut out = Vec::new();
        quote_piece(&mut out, b"\0", Some(b'7'));
        assert_eq!(out, b"\\000");
        let mut out = Vec::new();
        quote_integer(&mut out, i64::MIN);
        quote_float(&mut out, 0.1);
        quote_float(&mut out, f64::NEG_INFINITY);
        quote_float(&mut out, f64::NAN);
        assert_eq!(out, b"0x80000000000000000x1.999999999999ap-4-1e9999(0/0)");
    }
}
