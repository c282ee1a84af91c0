//! Constant folding: operators applied to constants, where that can neither fail nor be told from running it.

use super::ast::{BinaryOp, ExprKind, UnaryOp};

/// The value of `left op right`, if both are numbers and it may be computed now. Not folded: divisions by zero, NaN
/// (its bits are not determined), bitwise operations on floats without an integer value (an error when run), and what gives a float zero: the
/// reference leaves that to the running program, whose messages name a `<const>` variable only if it is one then.
pub fn binary(op: BinaryOp, left: ExprKind, right: ExprKind) -> Option<ExprKind> {
    use BinaryOp::*;
    if let BAnd | BOr | BXor | Shl | Shr = op {
        let (a, b) = (to_int(left)?, to_int(right)?);
        return Some(ExprKind::Int(match op {
            BAnd => a & b,
            BOr => a | b,
            BXor => a ^ b,
            Shl => shift_left(a, b),
            _ => shift_left(a, b.wrapping_neg()),
        }));
    }
    if let (ExprKind::Int(a), ExprKind::Int(b)) = (left, right) {
        match op {
            Add => return Some(ExprKind::Int(a.wrapping_add(b))),
            Sub => return Some(ExprKind::Int(a.wrapping_sub(b))),
            Mul => return Some(ExprKind::Int(a.wrapping_mul(b))),
            IDiv if b != 0 => {
                let (quotient, rest) = (a.wrapping_div(b), a.wrapping_rem(b));
                return Some(ExprKind::Int(quotient - (rest != 0 && (rest ^ b) < 0) as i64));
            }
            Mod if b != 0 => {
                let rest = a.wrapping_rem(b);
                return Some(ExprKind::Int(if rest != 0 && (rest ^ b) < 0 { rest + b } else { rest }));
            }
            _ => {}
        }
    }
    let (a, b) = (to_float(left)?, to_float(right)?);
    let value = match op {
        Add => a + b,
        Sub => a - b,
        Mul => a * b,
        Div if b != 0.0 => a / b,
        IDiv if b != 0.0 => (a / b).floor(),
        Mod if b != 0.0 => {
            let rest = a % b;
            // Not by the sign of a product, which may be too small to have one.
            if rest != 0.0 && (rest < 0.0) != (b < 0.0) { rest + b } else { rest }
        }
        Pow => power(a, b),
        _ => return None,
    };
    (!value.is_nan() && value != 0.0).then_some(ExprKind::Float(value))
}

/// The value of `op operand`, if it may be computed now.
pub fn unary(op: UnaryOp, operand: ExprKind) -> Option<ExprKind> {
    match (op, operand) {
        (UnaryOp::Neg, ExprKind::Int(a)) => Some(ExprKind::Int(a.wrapping_neg())),
        (UnaryOp::Neg, ExprKind::Float(a)) if a != 0.0 => Some(ExprKind::Float(-a)),
        (UnaryOp::BNot, _) => Some(ExprKind::Int(!to_int(operand)?)),
        (UnaryOp::Not, _) => Some(ExprKind::Bool(!truth(operand)?)),
        _ => None,
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

fn power(a: f64, b: f64) -> f64 {
    if b == 2.0 { a * a } else { a.powf(b) }
}

fn to_float(kind: ExprKind) -> Option<f64> {
    match kind {
        ExprKind::Int(a) => Some(a as f64),
        ExprKind::Float(a) => Some(a),
        _ => None,
    }
}

fn to_int(kind: ExprKind) -> Option<i64> {
    match kind {
        ExprKind::Int(a) => Some(a),
        // 2^63 itself is out of range; both bounds are exact as floats.
        ExprKind::Float(a) if a.floor() == a && (-9223372036854775808.0..9223372036854775808.0).contains(&a) => Some(a as i64),
        _ => None,
    }
}

/// A logical shift; a negative amount shifts right, one beyond the width leaves nothing.
fn shift_left(a: i64, by: i64) -> i64 {
    match by {
        0..=63 => ((a as u64) << by) as i64,
        -63..=-1 => (a as u64 >> -by) as i64,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ExprKind::{Float, Int};

    fn same(a: ExprKind, b: ExprKind) -> bool {
        match (a, b) {
            (Int(a), Int(b)) => a == b,
            (Float(a), Float(b)) => a.to_bits() == b.to_bits(),
            _ => false,
        }
    }

    #[test]
    fn folds_as_running_would() {
        let cases = [
            (BinaryOp::IDiv, Int(-7), Int(2), Int(-4)),
            (BinaryOp::IDiv, Int(7), Int(-2), Int(-4)),
            (BinaryOp::IDiv, Int(i64::MIN), Int(-1), Int(i64::MIN)),
            (BinaryOp::Mod, Int(-7), Int(2), Int(1)),
            (BinaryOp::Mod, Int(7), Int(-2), Int(-1)),
            (BinaryOp::Mod, Int(i64::MIN), Int(-1), Int(0)),
            (BinaryOp::Mod, Float(-7.5), Int(2), Float(0.5)),
            (BinaryOp::Mod, Float(7.5), Float(-2.0), Float(-0.5)),
            (BinaryOp::Mod, Float(1.0), Float(f64::INFINITY), Float(1.0)),
            (BinaryOp::Div, Int(7), Int(2), Float(3.5)),
            (BinaryOp::Pow, Int(2), Int(10), Float(1024.0)),
            (BinaryOp::Add, Int(i64::MAX), Int(1), Int(i64::MIN)),
            (BinaryOp::Shl, Int(1), Int(63), Int(i64::MIN)),
            (BinaryOp::Shl, Int(1), Int(64), Int(0)),
            (BinaryOp::Shr, Int(-1), Int(63), Int(1)),
            (BinaryOp::Shr, Int(1), Int(-4), Int(16)),
            (BinaryOp::Shr, Int(1), Int(i64::MIN), Int(0)),
            (BinaryOp::BAnd, Float(7.0), Int(3), Int(3)),
        ];
        for (op, a, b, value) in cases {
            let folded = binary(op, a, b).unwrap();
            assert!(same(folded, value), "{op:?} {a:?} {b:?}: {folded:?}");
        }
    }

    #[test]
    fn leaves_errors_to_run_time() {
        for (op, a, b) in [
            (BinaryOp::IDiv, Int(1), Int(0)),
            (BinaryOp::Mod, Int(1), Int(0)),
            (BinaryOp::Div, Int(0), Int(0)),
            (BinaryOp::Div, Float(1.0), Float(-0.0)),
            (BinaryOp::BAnd, Float(1.5), Int(1)),
            (BinaryOp::BAnd, Float(9223372036854775808.0), Int(1)),
            (BinaryOp::Sub, Float(f64::INFINITY), Float(f64::INFINITY)),
            (BinaryOp::Lt, Int(1), Int(2)),
        ] {
            assert!(binary(op, a, b).is_none(), "{op:?}");
        }
    }
}
