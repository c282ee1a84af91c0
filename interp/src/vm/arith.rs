//! Arithmetic and order of values: coercion from strings, the slow paths of the operators.

use super::meta::Access;
use super::{Event, Flow, PIECE, Throw, Vm};
use crate::bytecode::Instr;
use crate::syntax::{Arith, parse_long, parse_number};
use crate::value::{Gc, Special, Str, Tag, Value};
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

/// A longer string is read in steps.
const LONG_NUMERAL: usize = 1 << 16;

/// The number that a value is or that a string reads as. A string should not be long: see [`Vm::to_number`].
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

/// `x < y` of numbers or strings; `None`: neither, or two long strings.
#[inline]
pub(crate) fn compare_lt(x: Value, y: Value) -> Option<bool> {
    match (x.tag(), y.tag()) {
        (Tag::INT, Tag::INT) => Some(x.raw_int() < y.raw_int()),
        (Tag::FLOAT, Tag::FLOAT) => Some(x.raw_float() < y.raw_float()),
        (Tag::INT, Tag::FLOAT) => Some(int_float_order(x.raw_int(), y.raw_float()) == Some(Ordering::Less)),
        (Tag::FLOAT, Tag::INT) => Some(int_float_order(y.raw_int(), x.raw_float()) == Some(Ordering::Greater)),
        (Tag::STR, Tag::STR) => Some(short_order(x.as_str()?, y.as_str()?)? == Ordering::Less),
        _ => None,
    }
}

/// `x <= y` of numbers or strings; `None`: neither, or two long strings.
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
        (Tag::STR, Tag::STR) => Some(short_order(x.as_str()?, y.as_str()?)? != Ordering::Greater),
        _ => None,
    }
}

/// The order of two strings; `None`: both are long.
#[inline]
fn short_order(x: Gc<Str>, y: Gc<Str>) -> Option<Ordering> {
    if x.len().min(y.len()) > Str::LONG { None } else { Some(x.bytes().cmp(y.bytes())) }
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
    /// The number that a value is or that a string reads as, however long that is (W2).
    #[inline]
    pub fn number_of(&mut self, v: Value) -> Result<Option<Value>, Throw> {
        match v.as_str() {
            Some(s) if s.len() > LONG_NUMERAL => self.long_number(s),
            _ => Ok(coerce_number(v)),
        }
    }

    #[cold]
    #[inline(never)]
    fn long_number(&mut self, s: Gc<Str>) -> Result<Option<Value>, Throw> {
        Ok(parse_long(s.bytes(), &mut |bytes| self.work(2 * bytes))?.map(Value::from))
    }

    /// Two operands; the numbers that they read as, if one is a long string.
    #[inline]
    pub(crate) fn short_operands(&mut self, x: Value, y: Value) -> Result<(Value, Value), Throw> {
        let is_long = |v: Value| v.as_str().is_some_and(|s| s.len() > LONG_NUMERAL);
        if !is_long(x) && !is_long(y) {
            return Ok((x, y));
        }
        Ok(match (self.number_of(x)?, self.number_of(y)?) {
            (Some(x), Some(y)) => (x, y),
            _ => (x, y),
        })
    }

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
    fn quick_arith(&mut self, handler: Value, op: Arith, x: Value, y: Value) -> Result<Option<Value>, Throw> {
        let native = handler.as_native().filter(|f| f.special == Special::StringArith && !self.hooked);
        if native.is_none_or(|native| native.upval(0).as_int() != Some(op as i64)) {
            return Ok(None);
        }
        let (x, y) = self.short_operands(x, y)?;
        Ok(string_arith(op, x, y).and_then(Result::ok))
    }

    /// `x op y`
    pub fn arith(&mut self, op: Arith, x: Value, y: Value) -> Result<Access, Throw> {
        if let Some(result) = self.plain_arith(op, x, y) {
            return result.map(Access::Value);
        }
        let handler = self.binary_handler(op.event(), x, y);
        if handler.is_nil() {
            return Err(self.arith_error(op, x, y));
        }
        Ok(match self.quick_arith(handler, op, x, y)? {
            Some(v) => Access::Value(v),
            None => Access::Handler(handler, [x, y]),
        })
    }

    /// `R[dest] = x op y`, for the instruction in progress, where the fast path does not apply.
    #[inline(never)]
    pub(super) fn op_arith(&mut self, op: Arith, dest: usize, x: Value, y: Value) -> Result<Flow, Throw> {
        let access = self.arith(op, x, y)?;
        self.finish(dest, access)
    }

    /// Equality of two long strings, for the instruction in progress.
    #[cold]
    #[inline(never)]
    pub(crate) fn op_equals(&mut self, x: Value, y: Value) -> Result<Flow, Throw> {
        let equal = self.raw_equals(x, y)?;
        Ok(self.finish_test(equal))
    }

    /// Primitive equality, however long the values are (W2).
    #[inline]
    pub fn raw_equals(&mut self, x: Value, y: Value) -> Result<bool, Throw> {
        match (x.quick_equals(y), x.as_str(), y.as_str()) {
            (None, Some(x), Some(y)) => Ok(self.long_order(x, y)? == Ordering::Equal),
            (equal, ..) => Ok(equal.unwrap_or(false)),
        }
    }

    /// The order of two strings, however long they are (W2).
    pub(super) fn long_order(&mut self, x: Gc<Str>, y: Gc<Str>) -> Result<Ordering, Throw> {
        let (x, y) = (x.bytes(), y.bytes());
        for (a, b) in x.chunks(PIECE).zip(y.chunks(PIECE)) {
            self.bulk(a.len())?;
            // The last pieces may differ in length; what is equal up to there is decided by the lengths.
            let common = a.len().min(b.len());
            match a[..common].cmp(&b[..common]) {
                Ordering::Equal => {}
                different => return Ok(different),
            }
        }
        Ok(x.len().cmp(&y.len()))
    }

    /// The truth of the comparison in progress is known: the frame goes on accordingly.
    pub(super) fn finish_test(&mut self, truth: bool) -> Flow {
        let f = self.frame();
        // SAFETY: M2: `pc` is one past a comparison, which is followed by a jump.
        unsafe {
            if truth != (Instr((*f.pc.sub(1)).get()).c() != 0) {
                f.pc = f.pc.add(1);
            }
        }
        Flow::Reload
    }
}
