//! Numerals of many bytes: they are condensed into short ones of the same value, and that in steps.
//!
//! * **L1** Of the significant digits the first [`KEPT`] stay, more than decide any rounding; whether one behind them is not zero is told by one
//!   digit more.
//!
//! Imports the reader of short numerals.

use super::number::{Number, parse_number};

/// See L1. (No float lies exactly between two others with more than 767 decimal digits.)
const KEPT: usize = 800;
/// Bytes between two steps.
const STEP: usize = 1 << 14;
/// Exponents beyond are all the same, however the digits are.
const FAR: i64 = 1 << 40;

/// What [`parse_number`] makes of a text. `step` hears of so many bytes before they are read, and can end it.
pub fn parse_long<E>(text: &[u8], step: &mut dyn FnMut(usize) -> Result<(), E>) -> Result<Option<Number>, E> {
    let mut scan = Scan { text, at: 0, heard: 0, step };
    let short = scan.condensed()?;
    Ok(short.and_then(|short| parse_number(&short)))
}

struct Scan<'t, 's, E> {
    text: &'t [u8],
    at: usize,
    /// Up to here `step` has heard of it.
    heard: usize,
    step: &'s mut dyn FnMut(usize) -> Result<(), E>,
}

impl<E> Scan<'_, '_, E> {
    /// The next byte, if it is one of those.
    fn accept(&mut self, is: impl Fn(u8) -> bool) -> Result<Option<u8>, E> {
        if self.at == self.heard {
            (self.step)(STEP)?;
            self.heard += STEP;
        }
        let next = self.text.get(self.at).copied().filter(|&byte| is(byte));
        self.at += usize::from(next.is_some());
        Ok(next)
    }

    fn skip_blanks(&mut self) -> Result<(), E> {
        while self.accept(|byte| matches!(byte, b' ' | b'\t'..=b'\r'))?.is_some() {}
        Ok(())
    }

    fn sign(&mut self) -> Result<Option<u8>, E> {
        self.accept(|byte| matches!(byte, b'-' | b'+'))
    }

    /// A short numeral of the same value; `None`: the text is none.
    fn condensed(&mut self) -> Result<Option<Vec<u8>>, E> {
        self.skip_blanks()?;
        let mut short: Vec<u8> = self.sign()?.into_iter().collect();
        let is_hex = self.text[self.at..].starts_with(b"0x") || self.text[self.at..].starts_with(b"0X");
        if is_hex {
            self.accept(|_| true)?;
            self.accept(|_| true)?;
            short.extend_from_slice(b"0x");
        }
        let (mut digits, mut last) = (Vec::new(), 0u64);
        // Digits that are missing before the point, or there are behind it.
        let mut shift = 0i64;
        let (mut any, mut point, mut sticky) = (false, false, false);
        loop {
            match self.accept(|byte| byte == b'.' || if is_hex { byte.is_ascii_hexdigit() } else { byte.is_ascii_digit() })? {
                None => break,
                Some(b'.') if point => return Ok(None),
                Some(b'.') => point = true,
                Some(digit) => {
                    any = true;
                    last = last << 4 | u64::from(char::from(digit).to_digit(16).unwrap_or(0));
                    if digits.len() < KEPT {
                        shift -= i64::from(point);
                        if digit != b'0' || !digits.is_empty() {
                            digits.push(digit);
                        }
                    } else {
                        shift += i64::from(!point);
                        sticky |= digit != b'0';
                    }
                }
            }
        }
        let letter = if is_hex { b'p' } else { b'e' };
        let exponent = match self.accept(|byte| byte.to_ascii_lowercase() == letter)? {
            None => None,
            Some(_) => match self.exponent()? {
                None => return Ok(None),
                exponent => exponent,
            },
        };
        self.skip_blanks()?;
        if !any || self.at < self.text.len() {
            return Ok(None);
        }
        if exponent.is_none() && !point {
            if is_hex {
                // It wraps around.
                short.extend_from_slice(format!("{last:x}").as_bytes());
                return Ok(Some(short));
            }
            if shift == 0 {
                short.extend_from_slice(if digits.is_empty() { b"0" } else { &digits });
                return Ok(Some(short));
            }
        }
        if digits.is_empty() {
            digits.push(b'0');
        }
        if sticky {
            digits.push(b'1');
            shift -= 1;
        }
        let shift = if is_hex { 4 * shift } else { shift };
        let exponent = (exponent.unwrap_or(0) + shift).clamp(-FAR, FAR);
        short.append(&mut digits);
        short.extend_from_slice(format!("{}{exponent}", char::from(letter)).as_bytes());
        Ok(Some(short))
    }

    /// What follows the letter of an exponent.
    fn exponent(&mut self) -> Result<Option<i64>, E> {
        let negative = self.sign()? == Some(b'-');
        let mut exponent = None;
        while let Some(digit) = self.accept(|byte| byte.is_ascii_digit())? {
            exponent = Some((exponent.unwrap_or(0) * 10 + i64::from(digit - b'0')).min(FAR));
        }
        Ok(exponent.map(|exponent| if negative { -exponent } else { exponent }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn long(text: &str) -> Option<Number> {
        parse_long(text.as_bytes(), &mut |_| Ok::<_, ()>(())).expect("nobody stops it")
    }

    /// The two readers agree on whatever both can read.
    #[test]
    fn agrees_with_the_reader_of_short_ones() {
        let zeros = "0".repeat(2000);
        let nines = "9".repeat(2000);
        let mut texts: Vec<String> = [
            "",
            " ",
            "0",
            "-0",
            "+7",
            " 12 ",
            "1 2",
            "1e5",
            "1e",
            "1e+",
            "e5",
            ".",
            ".5",
            "5.",
            "1.2.3",
            "0x",
            "0x10",
            "0X1p4",
            "0x.8p-1",
            "0x1p",
            "-0x1",
            "0xffffffffffffffff",
            "9223372036854775807",
            "9223372036854775808",
            "-9223372036854775808",
            "1e400",
            "1e-400",
            "2.5e-3",
            "inf",
            "nan",
            "0x1.8",
            "1f",
            "--1",
            "- 1",
            "0x 1",
            "1e5.0",
            "4.9e-324",
            "1_0",
            "1\0",
        ]
        .map(String::from)
        .into();
        for middle in [&zeros, &nines] {
            for (before, after) in [
                ("", ""),
                ("-", ""),
                ("1", ""),
                ("", "1"),
                ("0x", ""),
                ("0x1", "8"),
                ("0x0.", "8"),
                ("0x1", ".8p-8000"),
                ("0.", "1"),
                ("0.", "1e2001"),
                ("1", "e-2000"),
                ("1", ".5"),
                ("", ".5"),
                ("9007199254740993.", ""),
                ("9007199254740993.", "1"),
                ("0x20000000000001.", "1"),
                ("0x20000000000001.", ""),
                (" ", " "),
                ("", "x"),
                ("1e", ""),
                ("1e-", "1"),
                ("0x1p", ""),
                ("0x1p-", "1"),
            ] {
                texts.push(format!("{before}{middle}{after}"));
            }
        }
        for text in texts {
            let (expected, found) = (parse_number(text.as_bytes()), long(&text));
            // Compared as bits: there are two zeros.
            let bits = |number: Option<Number>| {
                number.map(|n| match n {
                    Number::Int(i) => (false, i as u64),
                    Number::Float(f) => (true, f.to_bits()),
                })
            };
            assert_eq!(bits(found), bits(expected), "{:.60}", text);
        }
    }

    #[test]
    fn it_can_be_stopped() {
        for text in
            ["1".repeat(1 << 20), " ".repeat(1 << 20), format!("0x{}", "f".repeat(1 << 20)), format!("1e{}", "0".repeat(1 << 20))]
        {
            let mut left = 5;
            let result = parse_long(text.as_bytes(), &mut |_| {
                left -= 1;
                if left > 0 { Ok(()) } else { Err(()) }
            });
            assert_eq!(result, Err(()));
        }
    }
}
