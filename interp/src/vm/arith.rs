//! Arithmetic and order of values: coercion from strings, the slow paths of the operators.

use super::{Event, Flow, Throw, Vm};
use crate::syntax::{Arith, parse_number};
use crate::value::{Special, Tag, Value, frame_flags};
use std::cmp::Ordering;

impl Arith {
    /// The event of an operator.
    pub fn event(self) -> Event {
        macro_rules! of_the_same_name {
            ($($name:ident)*) => {
                match self { $(Arith::$name => Event::$name),* }
            };
        }
        of_the_same_name!(Add Sub Mul Mod Pow Div IDiv BAnd BOr BXor Shl Shr Unm BNot)
    }
}

/// The number that a value is or that a string reads as.
pub(crate) fn coerce_number(v: Value) -> Option<Value> {
    match v.tag() {
        Tag::INT | Tag::FLOAT => Some(v),
        Tag::STR => parse_number(v.as_str()?.bytes()).map(Value::from),
        _ => None,
    }
}

/// The operation on numbers and on strings that read as numbers; `None`: an operand is neither.
pub(crate) fn string_arith(op: Arith, x: Value, y: Value) -> Option<Result<Value, &'static str>> {
    let number = |v| coerce_number(v).and_then(Value::as_number);
    Some(op.apply(number(x)?, number(y)?).map(Value::from))
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
    /// The operation on two values that are numbers; `None`: one of them is none.
    fn plain_arith(&mut self, op: Arith, x: Value, y: Value) -> Option<Result<Value, Throw>> {
        let (a, b) = (x.as_number()?, y.as_number()?);
        Some(match op.apply(a, b) {
            Ok(v) => Ok(Value::from(v)),
            Err(_) if op.is_bitwise() => Err(self.representation_error(if a.to_int().is_none() { x } else { y })),
            Err(message) => Err(self.runtime_error(message.as_bytes())),
        })
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
        if let Some(result) = self.plain_arith(op, x, y) {
            self.set_slot(dest, result?);
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
