//! Arithmetic on numbers: the operators, and what they give. Constants are folded by these rules, and programs run by them.

use super::Number;

/// The arithmetic and bitwise operators. An instruction and an event of metatables bear the name of each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arith {
    Add,
    Sub,
    Mul,
    Mod,
    Pow,
    Div,
    IDiv,
    BAnd,
    BOr,
    BXor,
    Shl,
    Shr,
    Unm,
    BNot,
}

impl Arith {
    pub fn is_bitwise(self) -> bool {
        matches!(self, Arith::BAnd | Arith::BOr | Arith::BXor | Arith::Shl | Arith::Shr | Arith::BNot)
    }

    /// `x op y`, or `op x`. `Err`: division by zero, or a float without integer representation.
    pub fn apply(self, x: Number, y: Number) -> Result<Number, &'static str> {
        if self.is_bitwise() {
            let (Some(x), Some(y)) = (x.to_int(), y.to_int()) else { return Err("number has no integer representation") };
            return Ok(Number::Int(match self {
                Arith::BAnd => x & y,
                Arith::BOr => x | y,
                Arith::BXor => x ^ y,
                Arith::Shl => int_shl(x, y),
                Arith::Shr => int_shr(x, y),
                _ => !x,
            }));
        }
        if let (Number::Int(x), Number::Int(y)) = (x, y) {
            match self {
                Arith::Add => return Ok(Number::Int(x.wrapping_add(y))),
                Arith::Sub => return Ok(Number::Int(x.wrapping_sub(y))),
                Arith::Mul => return Ok(Number::Int(x.wrapping_mul(y))),
                Arith::Unm => return Ok(Number::Int(x.wrapping_neg())),
                Arith::IDiv if y == 0 => return Err("attempt to divide by zero"),
                Arith::IDiv => return Ok(Number::Int(int_floor_div(x, y))),
                Arith::Mod if y == 0 => return Err("attempt to perform 'n%0'"),
                Arith::Mod => return Ok(Number::Int(int_mod(x, y))),
                _ => {}
            }
        }
        let (x, y) = (x.to_float(), y.to_float());
        Ok(Number::Float(match self {
            Arith::Add => x + y,
            Arith::Sub => x - y,
            Arith::Mul => x * y,
            Arith::Mod => float_mod(x, y),
            Arith::Pow => float_pow(x, y),
            Arith::Div => x / y,
            Arith::IDiv => float_floor_div(x, y),
            _ => -x,
        }))
    }
}

impl Number {
    /// The integer that the number is exactly, if there is one.
    pub fn to_int(self) -> Option<i64> {
        match self {
            Number::Int(i) => Some(i),
            Number::Float(f) => float_to_int(f),
        }
    }

    pub fn to_float(self) -> f64 {
        match self {
            Number::Int(i) => i as f64,
            Number::Float(f) => f,
        }
    }
}

/// The integer that a float is exactly, if there is one.
#[inline]
pub fn float_to_int(f: f64) -> Option<i64> {
    // -2^63 is exact; 2^63 is the first float beyond.
    if (-9223372036854775808.0..9223372036854775808.0).contains(&f) {
        let i = f as i64;
        if i as f64 == f {
            return Some(i);
        }
    }
    None
}

/// `x // y` of integers, towards minus infinity; `y` is not 0.
#[inline(always)]
pub fn int_floor_div(x: i64, y: i64) -> i64 {
    // -1 apart: i64::MIN / -1 wraps.
    if y == -1 {
        return x.wrapping_neg();
    }
    let q = x / y;
    if x % y != 0 && (x ^ y) < 0 { q - 1 } else { q }
}

/// `x % y` of integers, with the sign of `y`; `y` is not 0.
#[inline(always)]
pub fn int_mod(x: i64, y: i64) -> i64 {
    if y == -1 {
        return 0;
    }
    let r = x % y;
    if r != 0 && (r ^ y) < 0 { r + y } else { r }
}

/// `x % y` of floats, with the sign of `y`.
#[inline(always)]
pub fn float_mod(x: f64, y: f64) -> f64 {
    let r = x % y;
    if r != 0.0 && (r < 0.0) != (y < 0.0) { r + y } else { r }
}

/// `x << n`, logical; negative `n` shifts right.
#[inline(always)]
pub fn int_shl(x: i64, n: i64) -> i64 {
    match n {
        0..=63 => ((x as u64) << n) as i64,
        -63..=-1 => ((x as u64) >> -n) as i64,
        _ => 0,
    }
}

/// `x >> n`, logical.
#[inline(always)]
pub fn int_shr(x: i64, n: i64) -> i64 {
    int_shl(x, n.checked_neg().unwrap_or(i64::MAX))
}

/// `x // y` of floats.
#[inline(always)]
pub fn float_floor_div(x: f64, y: f64) -> f64 {
    (x / y).floor()
}

#[inline]
pub fn float_pow(x: f64, y: f64) -> f64 {
    if y == 2.0 { x * x } else { x.powf(y) }
}
