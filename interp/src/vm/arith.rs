//! Arithmetic and order: the rules of integers and floats, coercion from strings, the slow paths of the operators.

use super::{Event, Flow, Throw, Vm};
use crate::value::{Special, Tag, Value, float_to_int, frame_flags};
use std::cmp::Ordering;

/// The arithmetic and bitwise operators.
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
    pub fn event(self) -> Event {
        match self {
            Arith::Add => Event::Add,
            Arith::Sub => Event::Sub,
            Arith::Mul => Event::Mul,
            Arith::Mod => Event::Mod,
            Arith::Pow => Event::Pow,
            Arith::Div => Event::Div,
            Arith::IDiv => Event::IDiv,
            Arith::BAnd => Event::BAnd,
            Arith::BOr => Event::BOr,
            Arith::BXor => Event::BXor,
            Arith::Shl => Event::Shl,
            Arith::Shr => Event::Shr,
            Arith::Unm => Event::Unm,
            Arith::BNot => Event::BNot,
        }
    }

    pub(super) fn is_bitwise(self) -> bool {
        matches!(self, Arith::BAnd | Arith::BOr | Arith::BXor | Arith::Shl | Arith::Shr | Arith::BNot)
    }
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
pub(super) fn int_shr(x: i64, n: i64) -> i64 {
    int_shl(x, n.checked_neg().unwrap_or(i64::MAX))
}

/// `x // y` of floats.
#[inline(always)]
pub(super) fn float_floor_div(x: f64, y: f64) -> f64 {
    (x / y).floor()
}

#[inline]
pub(crate) fn float_pow(x: f64, y: f64) -> f64 {
    if y == 2.0 { x * x } else { x.powf(y) }
}

/// The integer of a number by the rules of bitwise operators.
fn exact_int(v: Value) -> Option<i64> {
    match v.tag() {
        Tag::INT => Some(v.raw_int()),
        Tag::FLOAT => float_to_int(v.raw_float()),
        _ => None,
    }
}

/// The operation on two numbers. `Err`: division by zero, or a float without integer representation.
fn on_numbers(op: Arith, x: Value, y: Value) -> Result<Value, &'static str> {
    if op.is_bitwise() {
        let (Some(x), Some(y)) = (exact_int(x), exact_int(y)) else { return Err("number has no integer representation") };
        return Ok(Value::int(match op {
            Arith::BAnd => x & y,
            Arith::BOr => x | y,
            Arith::BXor => x ^ y,
            Arith::Shl => int_shl(x, y),
            Arith::Shr => int_shr(x, y),
            _ => !x,
        }));
    }
    if let (Some(x), Some(y)) = (x.as_int(), y.as_int()) {
        match op {
            Arith::Add => return Ok(Value::int(x.wrapping_add(y))),
            Arith::Sub => return Ok(Value::int(x.wrapping_sub(y))),
            Arith::Mul => return Ok(Value::int(x.wrapping_mul(y))),
            Arith::Unm => return Ok(Value::int(x.wrapping_neg())),
            Arith::IDiv if y == 0 => return Err("attempt to divide by zero"),
            Arith::IDiv => return Ok(Value::int(int_floor_div(x, y))),
            Arith::Mod if y == 0 => return Err("attempt to perform 'n%0'"),
            Arith::Mod => return Ok(Value::int(int_mod(x, y))),
            _ => {}
        }
    }
    let (x, y) = (x.number().unwrap_or(0.0), y.number().unwrap_or(0.0));
    Ok(Value::float(match op {
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

/// The number that a value is or that a string reads as.
pub(crate) fn coerce_number(v: Value) -> Option<Value> {
    match v.tag() {
        Tag::INT | Tag::FLOAT => Some(v),
        Tag::STR => crate::syntax::parse_number(v.as_str()?.bytes()).map(Value::from),
        _ => None,
    }
}

/// The operation on numbers and on strings that read as numbers; `None`: an operand is neither.
pub(crate) fn string_arith(op: Arith, x: Value, y: Value) -> Option<Result<Value, &'static str>> {
    let (x, y) = (coerce_number(x)?, coerce_number(y)?);
    Some(on_numbers(op, x, y))
}

/// `x < y` of numbers or strings; `None`: neither.
#[inline]
pub(crate) fn compare_lt(x: Value, y: Value) -> Option<bool> {
    match (x.tag(), y.tag()) {
        (Tag::INT, Tag::INT) => Some(x.raw_int() < y.raw_int()),
        (Tag::FLOAT, Tag::FLOAT) => Some(x.raw_float() < y.raw_float()),
        (Tag::INT, Tag::FLOAT) => Some(int_float_order(x.raw_int(), y.raw_float()) == Some(Ordering::Less)),
        (Tag::FLOAT, Tag::INT) => Some(int_float_order(y.raw_int(), x.raw_float()) == Some(Ordering::Greater)),
        (Tag::STR, Tag::STR) => Some(x.as_str()?.bytes() < y.as_str()?.bytes()),
        _ => None,
    }
}

/// `x <= y` of numbers or strings; `None`: neither.
#[inline]
pub(crate) fn compare_le(x: Value, y: Value) -> Option<bool> {
    match (x.tag(), y.tag()) {
        (Tag::INT, Tag::INT) => Some(x.raw_int() <= y.raw_int()),
        (Tag::FLOAT, Tag::FLOAT) => Some(x.raw_float() <= y.raw_float()),
        (Tag::INT, Tag::FLOAT) => {
            Some(matches!(int_float_order(x.raw_int(), y.raw_float()), Some(Ordering::Less | Ordering::Equal)))
        }
        (Tag::FLOAT, Tag::INT) => {
            Some(matches!(int_float_order(y.raw_int(), x.raw_float()), Some(Ordering::Greater | Ordering::Equal)))
        }
        (Tag::STR, Tag::STR) => Some(x.as_str()?.bytes() <= y.as_str()?.bytes()),
        _ => None,
    }
}

/// The exact order of an integer and a float; `None` for NaN.
fn int_float_order(i: i64, f: f64) -> Option<Ordering> {
    if f.is_nan() {
        return None;
    }
    if f >= 9223372036854775808.0 {
        return Some(Ordering::Less);
    }
    if f < -9223372036854775808.0 {
        return Some(Ordering::Greater);
    }
    let floor = f.floor();
    Some(i.cmp(&(floor as i64)).then(if floor < f { Ordering::Less } else { Ordering::Equal }))
}

impl Vm {
    /// The operation on two numbers.
    fn plain_arith(&mut self, op: Arith, x: Value, y: Value) -> Result<Value, Throw> {
        match on_numbers(op, x, y) {
            Ok(v) => Ok(v),
            Err(_) if op.is_bitwise() => {
                let culprit = if exact_int(x).is_none() { x } else { y };
                Err(self.representation_error(culprit))
            }
            Err(message) => Err(self.runtime_error(message.as_bytes())),
        }
    }

    /// What the handler of an operation would give, if that is the string library's own for this operator, no hook wants to hear of its call, and
    /// nothing goes wrong.
    #[inline]
    fn quick_arith(&self, handler: Value, op: Arith, x: Value, y: Value) -> Option<Value> {
        let native = handler.as_native().filter(|f| f.special == Special::StringArith && !self.hooked)?;
        if native.upval(0).as_int() != Some(op as i64) {
            return None;
        }
        string_arith(op, x, y)?.ok()
    }

    /// `R[dest] = x op y`, for the instruction in progress, where the fast path does not apply.
    #[inline(never)]
    pub(crate) fn op_arith(&mut self, op: Arith, dest: usize, x: Value, y: Value) -> Result<Flow, Throw> {
        if x.is_number() && y.is_number() {
            let v = self.plain_arith(op, x, y)?;
            self.set_slot(dest, v);
            return Ok(Flow::Next);
        }
        let handler = self.binary_handler(op.event(), x, y);
        if handler.is_nil() {
            return Err(self.arith_error(op, x, y));
        }
        if let Some(v) = self.quick_arith(handler, op, x, y) {
            self.set_slot(dest, v);
            return Ok(Flow::Next);
        }
        self.call_meta(handler, &[x, y])
    }

    /// `x op y`, for native functions.
    pub fn arith(&mut self, op: Arith, x: Value, y: Value) -> Result<Value, Throw> {
        if x.is_number() && y.is_number() {
            return self.plain_arith(op, x, y);
        }
        let handler = self.binary_handler(op.event(), x, y);
        if handler.is_nil() {
            return Err(self.arith_error(op, x, y));
        }
        match self.quick_arith(handler, op, x, y) {
            Some(v) => Ok(v),
            None => self.call1(handler, &[x, y]),
        }
    }

    /// A comparison by metamethod, for the instruction in progress.
    #[inline(never)]
    pub(crate) fn op_order(&mut self, event: Event, x: Value, y: Value) -> Result<Flow, Throw> {
        let handler = self.binary_handler(event, x, y);
        if !handler.is_nil() {
            return self.call_meta(handler, &[x, y]);
        }
        let Some(less) = self.reverse_handler(event, x, y) else { return Err(self.order_error(x, y)) };
        let frame = self.frame();
        let func = frame.base as usize + frame.closure().proto.max_stack as usize;
        self.call_meta_at(func, less, &[y, x], frame_flags::NEGATED)
    }
}
