//! Numbers: 64-bit integers and floats. What does not fit into an integer becomes a float; there are no rationals.
//!
//! Imports `value`.

use super::value::Value;
use std::cmp::Ordering;

#[derive(Clone, Copy)]
pub enum Number {
    Exact(i64),
    Inexact(f64),
}
use Number::{Exact, Inexact};

impl Number {
    pub fn of(value: Value<'_>) -> Option<Number> {
        match value {
            Value::Integer(number) => Some(Exact(number)),
            Value::Float(number) => Some(Inexact(number)),
            _ => None,
        }
    }
    pub fn value<'gc>(self) -> Value<'gc> {
        match self {
            Exact(number) => Value::Integer(number),
            Inexact(number) => Value::Float(number),
        }
    }
    pub fn float(self) -> f64 {
        match self {
            Exact(number) => number as f64,
            Inexact(number) => number,
        }
    }
    /// As an integer, exact or not.
    pub fn is_integer(self) -> bool {
        match self {
            Exact(_) => true,
            Inexact(number) => number.is_finite() && number.fract() == 0.0,
        }
    }
    fn both(self, other: Number, exact: fn(i64, i64) -> Option<i64>, inexact: fn(f64, f64) -> f64) -> Number {
        if let (Exact(x), Exact(y)) = (self, other)
            && let Some(number) = exact(x, y)
        {
            return Exact(number);
        }
        Inexact(inexact(self.float(), other.float()))
    }
    pub fn add(self, other: Number) -> Number {
        self.both(other, i64::checked_add, |x, y| x + y)
    }
    pub fn subtract(self, other: Number) -> Number {
        self.both(other, i64::checked_sub, |x, y| x - y)
    }
    pub fn multiply(self, other: Number) -> Number {
        self.both(other, i64::checked_mul, |x, y| x * y)
    }
    /// `None`: an exact zero divides an exact number.
    pub fn divide(self, other: Number) -> Option<Number> {
        match (self, other) {
            (Exact(_), Exact(0)) => None,
            (Exact(x), Exact(y)) if x.checked_rem(y) == Some(0) => Some(Exact(x / y)),
            _ => Some(Inexact(self.float() / other.float())),
        }
    }
    /// The exact order, also of a large integer and a float. `None` for what is no number.
    pub fn order(self, other: Number) -> Option<Ordering> {
        match (self, other) {
            (Exact(x), Exact(y)) => Some(x.cmp(&y)),
            (Inexact(x), Inexact(y)) => x.partial_cmp(&y),
            (Exact(x), Inexact(y)) => order_mixed(x, y),
            (Inexact(x), Exact(y)) => order_mixed(y, x).map(Ordering::reverse),
        }
    }
    pub fn exact(self) -> Option<i64> {
        match self {
            Exact(number) => Some(number),
            Inexact(number) => (number.fract() == 0.0 && (-TWO_63..TWO_63).contains(&number)).then_some(number as i64),
        }
    }
    pub fn power(self, exponent: Number) -> Number {
        if let (Exact(base), Exact(exponent)) = (self, exponent)
            && let Ok(exponent) = u32::try_from(exponent)
            && let Some(power) = base.checked_pow(exponent)
        {
            return Exact(power);
        }
        Inexact(self.float().powf(exponent.float()))
    }
    /// Quotient and remainder; of floors if `floor`, else of what is cut off. `None`: a zero divides, or it is no integer.
    pub fn divide_integers(self, other: Number, floor: bool) -> Option<(Number, Number)> {
        if let (Exact(x), Exact(y)) = (self, other) {
            if y == 0 {
                return None;
            }
            // The smallest integer by -1 does not fit.
            if let (Some(quotient), Some(remainder)) = (x.checked_div(y), x.checked_rem(y)) {
                let down = floor && remainder != 0 && (remainder < 0) != (y < 0);
                return Some(if down {
                    (Exact(quotient - 1), Exact(remainder + y))
                } else {
                    (Exact(quotient), Exact(remainder))
                });
            }
            return Some((Inexact(-(x as f64)), Exact(0)));
        }
        if !self.is_integer() || !other.is_integer() || other.float() == 0.0 {
            return None;
        }
        let (x, y) = (self.float(), other.float());
        let remainder = x % y;
        let remainder = if floor && remainder != 0.0 && (remainder < 0.0) != (y < 0.0) { remainder + y } else { remainder };
        Some((Inexact(((x - remainder) / y).round()), Inexact(remainder)))
    }
    pub fn text(self, radix: u32) -> String {
        match self {
            Exact(number) if radix == 10 => number.to_string(),
            Exact(number) => {
                let (mut rest, mut digits) = (number.unsigned_abs(), Vec::new());
                loop {
                    digits.push(char::from_digit((rest % u64::from(radix)) as u32, radix).unwrap_or('?'));
                    rest /= u64::from(radix);
                    if rest == 0 {
                        break;
                    }
                }
                let sign = if number < 0 { "-" } else { "" };
                sign.chars().chain(digits.into_iter().rev()).collect()
            }
            Inexact(number) if number.is_nan() => "+nan.0".to_string(),
            Inexact(number) if number.is_infinite() => if number > 0.0 { "+inf.0" } else { "-inf.0" }.to_string(),
            Inexact(number) => format!("{number:?}"),
        }
    }
    /// A number's text, as in programs.
    pub fn parse(text: &str, radix: u32) -> Option<Number> {
        let lower;
        let (mut text, mut radix, mut exactness) = (text, radix, None);
        while let Some(rest) = text.strip_prefix('#') {
            match rest.chars().next()?.to_ascii_lowercase() {
                'x' => radix = 16,
                'b' => radix = 2,
                'o' => radix = 8,
                'd' => radix = 10,
                kind @ ('e' | 'i') => exactness = Some(kind),
                _ => return None,
            }
            text = &rest[1..];
        }
        let number = match text {
            "+inf.0" => Inexact(f64::INFINITY),
            "-inf.0" => Inexact(f64::NEG_INFINITY),
            "+nan.0" | "-nan.0" => Inexact(f64::NAN),
            _ => {
                let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
                if radix != 10 {
                    if !digits.chars().all(|c| c.is_digit(radix)) {
                        return None;
                    }
                    Exact(i64::from_str_radix(text, radix).ok()?)
                } else {
                    // `inf`, `nan` and the like are symbols.
                    let numeric = digits.starts_with(|c: char| c.is_ascii_digit())
                        || (digits.starts_with('.') && digits[1..].starts_with(|c: char| c.is_ascii_digit()));
                    if !numeric || !digits.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-')) {
                        return None;
                    }
                    lower = text.to_ascii_lowercase();
                    if digits.chars().all(|c| c.is_ascii_digit()) {
                        // One that does not fit is a float.
                        lower.parse().map(Exact).or_else(|_| lower.parse().map(Inexact)).ok()?
                    } else {
                        Inexact(lower.parse().ok()?)
                    }
                }
            }
        };
        match exactness {
            Some('e') => number.exact().map(Exact),
            Some(_) => Some(Inexact(number.float())),
            None => Some(number),
        }
    }
}

const TWO_63: f64 = 9_223_372_036_854_775_808.0;

fn order_mixed(x: i64, y: f64) -> Option<Ordering> {
    if y.is_nan() {
        return None;
    }
    if y >= TWO_63 {
        return Some(Ordering::Less);
    }
    if y < -TWO_63 {
        return Some(Ordering::Greater);
    }
    let whole = y.floor();
    Some(x.cmp(&(whole as i64)).then(if y > whole { Ordering::Less } else { Ordering::Equal }))
}

/// The largest integer whose square is not above it.
pub fn integer_root(number: u64) -> u64 {
    let mut root = (number as f64).sqrt() as u64;
    while root.checked_mul(root).is_none_or(|square| square > number) {
        root -= 1;
    }
    while (root + 1).checked_mul(root + 1).is_some_and(|square| square <= number) {
        root += 1;
    }
    root
}
