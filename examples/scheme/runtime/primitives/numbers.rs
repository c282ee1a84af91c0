//! Numbers.

use super::super::machine::{Answer, Vm};
use super::super::number::{Number, integer_root};
use super::super::read;
use super::super::value::{Value, text_of};
use super::{ANY, Fast, Primitive, fast, pure, wrong};
use Number::{Exact, Inexact};
use std::cmp::Ordering;

pub const PRIMITIVES: &[Primitive] = &[
    fast("+", 0, ANY, Fast::Add, |vm, a| fold(vm, a, Exact(0), |x, y| Ok(x.add(y)))),
    pure("*", 0, ANY, |vm, a| fold(vm, a, Exact(1), |x, y| Ok(x.multiply(y)))),
    fast("-", 1, ANY, Fast::Subtract, |vm, a| match a {
        &[one] => Ok(Exact(0).subtract(number(vm, one)?).value()),
        _ => fold(vm, &a[1..], number(vm, a[0])?, |x, y| Ok(x.subtract(y))),
    }),
    pure("/", 1, ANY, |vm, a| {
        let divide = |x: Number, y: Number| x.divide(y).ok_or_else(|| vm.error("division by zero", &[]));
        match a {
            &[one] => Ok(divide(Exact(1), number(vm, one)?)?.value()),
            _ => fold(vm, &a[1..], number(vm, a[0])?, divide),
        }
    }),
    fast("=", 1, ANY, Fast::Equal, |vm, a| compare(vm, a, |order| order == Ordering::Equal)),
    fast("<", 1, ANY, Fast::Less, |vm, a| compare(vm, a, |order| order == Ordering::Less)),
    fast(">", 1, ANY, Fast::Greater, |vm, a| compare(vm, a, |order| order == Ordering::Greater)),
    pure("<=", 1, ANY, |vm, a| compare(vm, a, |order| order != Ordering::Greater)),
    pure(">=", 1, ANY, |vm, a| compare(vm, a, |order| order != Ordering::Less)),
    pure("number?", 1, 1, |_, a| Ok(Value::Boolean(Number::of(a[0]).is_some()))),
    pure("real?", 1, 1, |_, a| Ok(Value::Boolean(Number::of(a[0]).is_some()))),
    pure("complex?", 1, 1, |_, a| Ok(Value::Boolean(Number::of(a[0]).is_some()))),
    pure("rational?", 1, 1, |_, a| Ok(Value::Boolean(Number::of(a[0]).is_some_and(|number| number.float().is_finite())))),
    pure("integer?", 1, 1, |_, a| Ok(Value::Boolean(Number::of(a[0]).is_some_and(Number::is_integer)))),
    pure("exact?", 1, 1, |vm, a| Ok(Value::Boolean(matches!(number(vm, a[0])?, Exact(_))))),
    pure("inexact?", 1, 1, |vm, a| Ok(Value::Boolean(matches!(number(vm, a[0])?, Inexact(_))))),
    pure("exact-integer?", 1, 1, |_, a| Ok(Value::Boolean(matches!(a[0], Value::Integer(_))))),
    pure("nan?", 1, 1, |vm, a| Ok(Value::Boolean(number(vm, a[0])?.float().is_nan()))),
    pure("infinite?", 1, 1, |vm, a| Ok(Value::Boolean(number(vm, a[0])?.float().is_infinite()))),
    pure("finite?", 1, 1, |vm, a| Ok(Value::Boolean(number(vm, a[0])?.float().is_finite()))),
    pure("exact", 1, 1, |vm, a| match number(vm, a[0])?.exact() {
        Some(number) => Ok(Value::Integer(number)),
        None => wrong(vm, "no exact integer", a[0]),
    }),
    pure("inexact", 1, 1, |vm, a| Ok(Value::Float(number(vm, a[0])?.float()))),
    pure("quotient", 2, 2, |vm, a| Ok(divide(vm, a, false)?.0.value())),
    pure("remainder", 2, 2, |vm, a| Ok(divide(vm, a, false)?.1.value())),
    pure("modulo", 2, 2, |vm, a| Ok(divide(vm, a, true)?.1.value())),
    pure("truncate-quotient", 2, 2, |vm, a| Ok(divide(vm, a, false)?.0.value())),
    pure("truncate-remainder", 2, 2, |vm, a| Ok(divide(vm, a, false)?.1.value())),
    pure("floor-quotient", 2, 2, |vm, a| Ok(divide(vm, a, true)?.0.value())),
    pure("floor-remainder", 2, 2, |vm, a| Ok(divide(vm, a, true)?.1.value())),
    pure("gcd", 0, ANY, |vm, a| fold(vm, a, Exact(0), |x, y| greatest_divisor(vm, x, y))),
    pure("lcm", 0, ANY, |vm, a| {
        fold(vm, a, Exact(1), |x, y| {
            let divisor = greatest_divisor(vm, x, y)?;
            if divisor.float() == 0.0 {
                return Ok(divisor);
            }
            let (quotient, _) = x.divide_integers(divisor, false).unwrap_or((x, x));
            Ok(absolute(quotient.multiply(y)))
        })
    }),
    pure("abs", 1, 1, |vm, a| Ok(absolute(number(vm, a[0])?).value())),
    pure("min", 1, ANY, |vm, a| extreme(vm, a, Ordering::Less)),
    pure("max", 1, ANY, |vm, a| extreme(vm, a, Ordering::Greater)),
    pure("floor", 1, 1, |vm, a| rounded(vm, a[0], f64::floor)),
    pure("ceiling", 1, 1, |vm, a| rounded(vm, a[0], f64::ceil)),
    pure("truncate", 1, 1, |vm, a| rounded(vm, a[0], f64::trunc)),
    pure("round", 1, 1, |vm, a| rounded(vm, a[0], f64::round_ties_even)),
    pure("sqrt", 1, 1, |vm, a| {
        let number = number(vm, a[0])?;
        if let Exact(square @ 0..) = number {
            let root = integer_root(square as u64);
            if root * root == square as u64 {
                return Ok(Value::Integer(root as i64));
            }
        }
        Ok(Value::Float(number.float().sqrt()))
    }),
    pure("%integer-root", 1, 1, |vm, a| match a[0] {
        Value::Integer(number @ 0..) => Ok(Value::Integer(integer_root(number as u64) as i64)),
        other => wrong(vm, "no natural number", other),
    }),
    pure("expt", 2, 2, |vm, a| Ok(number(vm, a[0])?.power(number(vm, a[1])?).value())),
    pure("exp", 1, 1, |vm, a| Ok(Value::Float(number(vm, a[0])?.float().exp()))),
    pure("log", 1, 2, |vm, a| {
        let log = number(vm, a[0])?.float().ln();
        Ok(Value::Float(if a.len() == 2 { log / number(vm, a[1])?.float().ln() } else { log }))
    }),
    pure("sin", 1, 1, |vm, a| Ok(Value::Float(number(vm, a[0])?.float().sin()))),
    pure("cos", 1, 1, |vm, a| Ok(Value::Float(number(vm, a[0])?.float().cos()))),
    pure("tan", 1, 1, |vm, a| Ok(Value::Float(number(vm, a[0])?.float().tan()))),
    pure("asin", 1, 1, |vm, a| Ok(Value::Float(number(vm, a[0])?.float().asin()))),
    pure("acos", 1, 1, |vm, a| Ok(Value::Float(number(vm, a[0])?.float().acos()))),
    pure("atan", 1, 2, |vm, a| {
        let y = number(vm, a[0])?.float();
        Ok(Value::Float(if a.len() == 2 { y.atan2(number(vm, a[1])?.float()) } else { y.atan() }))
    }),
    pure("number->string", 1, 2, |vm, a| {
        let radix = radix(vm, a.get(1))?;
        vm.string(&number(vm, a[0])?.text(radix))
    }),
    pure("string->number", 1, 2, |vm, a| {
        let Value::String(text) = a[0] else { return wrong(vm, "no string", a[0]) };
        read::number(&text_of(text), radix(vm, a.get(1))?)
    }),
];

fn number<'gc>(vm: &Vm<'gc>, value: Value<'gc>) -> Answer<'gc, Number> {
    Number::of(value).ok_or_else(|| vm.error("no number", &[value]))
}

fn radix<'gc>(vm: &Vm<'gc>, value: Option<&Value<'gc>>) -> Answer<'gc, u32> {
    match value {
        None => Ok(10),
        Some(&Value::Integer(radix @ (2 | 8 | 10 | 16))) => Ok(radix as u32),
        Some(&other) => wrong(vm, "no radix", other),
    }
}

fn fold<'gc>(
    vm: &Vm<'gc>,
    values: &[Value<'gc>],
    first: Number,
    with: impl Fn(Number, Number) -> Answer<'gc, Number>,
) -> Answer<'gc> {
    let folded = values.iter().try_fold(first, |folded, &value| with(folded, number(vm, value)?))?;
    Ok(folded.value())
}

fn compare<'gc>(vm: &Vm<'gc>, values: &[Value<'gc>], holds: impl Fn(Ordering) -> bool) -> Answer<'gc> {
    let mut all = true;
    let mut before = number(vm, values[0])?;
    for &value in &values[1..] {
        let next = number(vm, value)?;
        all &= before.order(next).is_some_and(&holds);
        before = next;
    }
    Ok(Value::Boolean(all))
}

fn divide<'gc>(vm: &Vm<'gc>, operands: &[Value<'gc>], floor: bool) -> Answer<'gc, (Number, Number)> {
    let (x, y) = (number(vm, operands[0])?, number(vm, operands[1])?);
    x.divide_integers(y, floor).ok_or_else(|| vm.error("no division of integers", operands))
}

fn absolute(number: Number) -> Number {
    match number {
        Exact(number) => number.checked_abs().map_or(Inexact((number as f64).abs()), Exact),
        Inexact(number) => Inexact(number.abs()),
    }
}

fn greatest_divisor<'gc>(vm: &Vm<'gc>, x: Number, y: Number) -> Answer<'gc, Number> {
    let (mut x, mut y) = (absolute(x), absolute(y));
    while y.float() != 0.0 {
        let Some((_, remainder)) = x.divide_integers(y, false) else { return wrong(vm, "no integer", y.value()) };
        (x, y) = (y, remainder);
    }
    Ok(x)
}

fn extreme<'gc>(vm: &Vm<'gc>, values: &[Value<'gc>], order: Ordering) -> Answer<'gc> {
    let (mut found, mut inexact) = (number(vm, values[0])?, false);
    for &value in values {
        let next = number(vm, value)?;
        inexact |= matches!(next, Inexact(_));
        if next.order(found) == Some(order) || next.float().is_nan() {
            found = next;
        }
    }
    Ok(if inexact { Value::Float(found.float()) } else { found.value() })
}

fn rounded<'gc>(vm: &Vm<'gc>, value: Value<'gc>, round: fn(f64) -> f64) -> Answer<'gc> {
    Ok(match number(vm, value)? {
        Exact(number) => Value::Integer(number),
        Inexact(number) => Value::Float(round(number)),
    })
}
