//! Constant folding: operators applied to constants, where that can neither fail nor be told from running it.

use super::ast::{ExprKind, Packed, UnaryOp};
use super::{Arith, Number};

/// The value of `left op right`, if both are numbers and it may be computed now. Not folded: divisions by zero, NaN
/// (its bits are not determined), bitwise operations on floats without an integer value (an error when run), and what gives a float zero: the
/// reference leaves that to the running program, whose messages name a `<const>` variable only if it is one then.
pub fn binary(op: Arith, left: ExprKind, right: ExprKind) -> Option<ExprKind> {
    let (left, right) = (number(left)?, number(right)?);
    if matches!(op, Arith::Div | Arith::IDiv | Arith::Mod) && right.to_float() == 0.0 {
        return None;
    }
    match op.apply(left, right).ok()? {
        Number::Int(value) => Some(ExprKind::Int(Packed(value))),
        Number::Float(value) => (!value.is_nan() && value != 0.0).then_some(ExprKind::Float(Packed(value))),
    }
}

/// The value of `op operand`, if it may be computed now.
pub fn unary(op: UnaryOp, operand: ExprKind) -> Option<ExprKind> {
    match op {
        UnaryOp::Neg => binary(Arith::Unm, operand, operand),
        UnaryOp::BNot => binary(Arith::BNot, operand, operand),
        UnaryOp::Not => Some(ExprKind::Bool(!truth(operand)?)),
        UnaryOp::Len => None,
    }
}

/// Whether a constant counts as true; `None` if it is no constant.
pub fn truth(kind: ExprKind) -> Option<bool> {
    match kind {
        ExprKind::Nil | ExprKind::Bool(false) => Some(false),
        ExprKind::Bool(true) | ExprKind::Int(_) | ExprKind::Float(_) | ExprKind::Str(_) => Some(true),
        _ => None,
    }
}

fn number(kind: ExprKind) -> Option<Number> {
    match kind {
        ExprKind::Int(Packed(value)) => Some(Number::Int(value)),
        ExprKind::Float(Packed(value)) => Some(Number::Float(value)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Number::{Float, Int};

    fn folded(op: Arith, a: Number, b: Number) -> Option<Number> {
        let node = |value| match value {
            Int(value) => ExprKind::Int(Packed(value)),
            Float(value) => ExprKind::Float(Packed(value)),
        };
        binary(op, node(a), node(b)).and_then(number)
    }

    fn same(a: Number, b: Number) -> bool {
        match (a, b) {
            (Int(a), Int(b)) => a == b,
            (Float(a), Float(b)) => a.to_bits() == b.to_bits(),
            _ => false,
        }
    }

    #[test]
    fn folds_as_running_would() {
        let cases = [
            (Arith::IDiv, Int(-7), Int(2), Int(-4)),
            (Arith::IDiv, Int(7), Int(-2), Int(-4)),
            (Arith::IDiv, Int(i64::MIN), Int(-1), Int(i64::MIN)),
            (Arith::Mod, Int(-7), Int(2), Int(1)),
            (Arith::Mod, Int(7), Int(-2), Int(-1)),
            (Arith::Mod, Int(i64::MIN), Int(-1), Int(0)),
            (Arith::Mod, Float(-7.5), Int(2), Float(0.5)),
            (Arith::Mod, Float(7.5), Float(-2.0), Float(-0.5)),
            (Arith::Mod, Float(1.0), Float(f64::INFINITY), Float(1.0)),
            (Arith::Div, Int(7), Int(2), Float(3.5)),
            (Arith::Pow, Int(2), Int(10), Float(1024.0)),
            (Arith::Add, Int(i64::MAX), Int(1), Int(i64::MIN)),
            (Arith::Shl, Int(1), Int(63), Int(i64::MIN)),
            (Arith::Shl, Int(1), Int(64), Int(0)),
            (Arith::Shr, Int(-1), Int(63), Int(1)),
            (Arith::Shr, Int(1), Int(-4), Int(16)),
            (Arith::Shr, Int(1), Int(i64::MIN), Int(0)),
            (Arith::BAnd, Float(7.0), Int(3), Int(3)),
        ];
        for (op, a, b, value) in cases {
            let given = folded(op, a, b).unwrap();
            assert!(same(given, value), "{op:?} {a:?} {b:?}: {given:?}");
        }
    }

    #[test]
    fn leaves_errors_to_run_time() {
        for (op, a, b) in [
            (Arith::IDiv, Int(1), Int(0)),
            (Arith::Mod, Int(1), Int(0)),
            (Arith::Div, Int(0), Int(0)),
            (Arith::Div, Float(1.0), Float(-0.0)),
            (Arith::BAnd, Float(1.5), Int(1)),
            (Arith::BAnd, Float(9223372036854775808.0), Int(1)),
            (Arith::Sub, Float(f64::INFINITY), Float(f64::INFINITY)),
        ] {
            assert!(folded(op, a, b).is_none(), "{op:?}");
        }
    }
}
