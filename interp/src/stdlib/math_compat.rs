//! The mathematical functions that Lua 5.3 deprecated and that the usual build of the reference still has (`LUA_COMPAT_5_3`), and the
//! representation of floats that two of them show. May import `support`, the machine.

use super::support::Functions;
use crate::value::Value;
use crate::vm::{Args, Throw, Vm};

pub const FUNCTIONS: Functions = &[
    ("cosh", |vm, args| float(vm, args, f64::cosh)),
    ("frexp", |vm, args| {
        let (mantissa, exponent) = split(vm.check_num(args, 0)?);
        vm.push(Value::float(mantissa))?;
        vm.push(Value::int(exponent))?;
        Ok(2)
    }),
    ("ldexp", |vm, args| {
        let x = vm.check_num(args, 0)?;
        let exponent = vm.check_int(args, 1)?;
        vm.ret1(Value::float(join(x, exponent)))
    }),
    ("log10", |vm, args| float(vm, args, f64::log10)),
    ("pow", |vm, args| {
        let x = vm.check_num(args, 0)?;
        let y = vm.check_num(args, 1)?;
        vm.ret1(Value::float(x.powf(y)))
    }),
    ("sinh", |vm, args| float(vm, args, f64::sinh)),
    ("tanh", |vm, args| float(vm, args, f64::tanh)),
];

fn float(vm: &mut Vm, args: Args, function: fn(f64) -> f64) -> Result<u32, Throw> {
    let x = vm.check_num(args, 0)?;
    vm.ret1(Value::float(function(x)))
}

/// `m` and `e` with `x == m * 2^e` and `m` in `[0.5, 1)`; `x` itself if it has none.
fn split(x: f64) -> (f64, i64) {
    const MANTISSA: u32 = 52;
    const HALF: u64 = 1022;
    if x == 0.0 || !x.is_finite() {
        return (x, 0);
    }
    // A subnormal number is made a normal one first.
    let (normal, shift) = if x.is_normal() { (x, 0) } else { (x * (1u64 << 54) as f64, 54) };
    let bits = normal.to_bits();
    let exponent = bits >> MANTISSA & 0x7ff;
    let mantissa = bits & !(0x7ff << MANTISSA) | HALF << MANTISSA;
    (f64::from_bits(mantissa), exponent as i64 - HALF as i64 - shift)
}

/// `x * 2^exponent`, rounded once.
fn join(x: f64, exponent: i64) -> f64 {
    let (mantissa, own) = split(x);
    if x == 0.0 || !x.is_finite() {
        return x;
    }
    // Beyond these nothing is left but zero or infinity. The first factor is exact, for the mantissa is near one.
    let exponent = own.saturating_add(exponent).clamp(-2000, 2000) as i32;
    let first = exponent.clamp(-1000, 1000);
    let second = (exponent - first).clamp(-1000, 1000);
    mantissa * 2f64.powi(first) * 2f64.powi(second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_floats() {
        assert_eq!(split(8.0), (0.5, 4));
        assert_eq!(split(-3.0), (-0.75, 2));
        assert_eq!(split(5e-324), (0.5, -1073));
        assert_eq!(split(f64::MAX).1, 1024);
        for x in [1.0, -0.1, 1e300, 1e-300, 5e-324, 2.5e-310, f64::MAX] {
            let (m, e) = split(x);
            assert!((0.5..1.0).contains(&m.abs()) && join(m, e) == x);
        }
    }

    #[test]
    fn scaling_rounds_once() {
        assert_eq!(join(1.0, -1074), 5e-324);
        assert_eq!(join(1.0, -1075), 0.0);
        assert_eq!(join(1.5, -1075), 5e-324);
        assert_eq!(join(5e-324, 1074), 1.0);
        assert_eq!(join(1.0, 1024), f64::INFINITY);
        assert_eq!(join(-1.0, i64::MIN), 0.0);
        // Just above a tie, which a first rounding to few digits would make of it.
        assert_eq!(join(1.5 + f64::EPSILON, -1074), 1e-323);
        assert_eq!(join(2.5 + 4.0 * f64::EPSILON, -1074), 3.0 * 5e-324);
    }
}
