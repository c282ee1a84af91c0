//! The mathematical functions (§6.7). May import `random`, `math_compat`, `support`, the machine.

use super::math_compat;
use super::random::Random;
use super::support::{self, Functions};
use crate::value::{Outcome, Value, float_to_int};
use crate::vm::{Args, Event, Throw, Vm, ready};

const FUNCTIONS: Functions = &[
    ("abs", abs),
    ("acos", |vm, args| float(vm, args, f64::acos)),
    ("asin", |vm, args| float(vm, args, f64::asin)),
    ("atan", atan),
    ("ceil", |vm, args| round(vm, args, f64::ceil)),
    ("cos", |vm, args| float(vm, args, f64::cos)),
    ("deg", |vm, args| float(vm, args, |x| x * (180.0 / std::f64::consts::PI))),
    ("exp", |vm, args| float(vm, args, f64::exp)),
    ("floor", |vm, args| round(vm, args, f64::floor)),
    ("fmod", fmod),
    ("log", log),
    ("max", extreme::<true>),
    ("min", extreme::<false>),
    ("modf", modf),
    ("rad", |vm, args| float(vm, args, |x| x * (std::f64::consts::PI / 180.0))),
    ("random", random),
    ("randomseed", randomseed),
    ("sin", |vm, args| float(vm, args, f64::sin)),
    ("sqrt", |vm, args| float(vm, args, f64::sqrt)),
    ("tan", |vm, args| float(vm, args, f64::tan)),
    ("tointeger", tointeger),
    ("type", type_),
    ("ult", ult),
];

pub fn open(vm: &mut Vm) -> Result<(), Throw> {
    let library = support::library(vm, "math", FUNCTIONS)?;
    vm.register(library, math_compat::FUNCTIONS)?;
    // The same function: a message may name it either way.
    let atan = vm.get_field(library, "atan")?;
    vm.set_field(library, "atan2", atan)?;
    vm.set_field(library, "huge", Value::float(f64::INFINITY))?;
    vm.set_field(library, "maxinteger", Value::int(i64::MAX))?;
    vm.set_field(library, "mininteger", Value::int(i64::MIN))?;
    vm.set_field(library, "pi", Value::float(std::f64::consts::PI))
}

/// A function of one float.
fn float(vm: &mut Vm, args: Args, function: fn(f64) -> f64) -> Result<u32, Throw> {
    let x = vm.check_num(args, 0)?;
    vm.ret1(Value::float(function(x)))
}

/// A float without fraction, as an integer if it fits.
fn whole(x: f64) -> Value {
    float_to_int(x).map_or(Value::float(x), Value::int)
}

fn round(vm: &mut Vm, args: Args, function: fn(f64) -> f64) -> Result<u32, Throw> {
    let x = vm.arg(args, 0);
    if x.is_int() {
        return vm.ret1(x);
    }
    let x = vm.check_num(args, 0)?;
    vm.ret1(whole(function(x)))
}

fn abs(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    if let Some(x) = vm.arg(args, 0).as_int() {
        return vm.ret1(Value::int(x.wrapping_abs()));
    }
    float(vm, args, f64::abs)
}

fn atan(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let y = vm.check_num(args, 0)?;
    let x = if vm.arg(args, 1).is_nil() { 1.0 } else { vm.check_num(args, 1)? };
    vm.ret1(Value::float(y.atan2(x)))
}

fn fmod(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    if let (Some(x), Some(y)) = (vm.arg(args, 0).as_int(), vm.arg(args, 1).as_int()) {
        if y == 0 {
            return Err(vm.arg_error(1, "zero"));
        }
        return vm.ret1(Value::int(x.wrapping_rem(y)));
    }
    // The reference, as it is usually compiled, looks at the second argument first.
    let y = vm.check_num(args, 1)?;
    let x = vm.check_num(args, 0)?;
    vm.ret1(Value::float(x % y))
}

fn log(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let x = vm.check_num(args, 0)?;
    let result = if vm.arg(args, 1).is_nil() {
        x.ln()
    } else {
        match vm.check_num(args, 1)? {
            2.0 => x.log2(),
            10.0 => x.log10(),
            base => x.ln() / base.ln(),
        }
    };
    vm.ret1(Value::float(result))
}

/// The largest or the smallest argument, in the order of `<`. The best one so far stands in the place of the first.
fn extreme<const LARGEST: bool>(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    vm.check_any(args, 0)?;
    extreme_from::<LARGEST>(vm, args, 1)
}

fn extreme_from<const LARGEST: bool>(vm: &mut Vm, args: Args, first: usize) -> Result<u32, Throw> {
    for i in first..args.count() {
        let (best, new) = (vm.arg(args, 0), vm.arg(args, i));
        let (x, y) = if LARGEST { (best, new) } else { (new, best) };
        let order = vm.order(Event::Lt, x, y)?;
        vm.set_place(i);
        if ready!(vm.ready(order, extreme_compared::<LARGEST>)).is_truthy() {
            vm.set_arg(args, 0, new);
        }
    }
    vm.ret1(vm.arg(args, 0))
}

fn extreme_compared<const LARGEST: bool>(vm: &mut Vm, args: Args, _: Outcome) -> Result<u32, Throw> {
    let (i, better) = (vm.place(), vm.at(vm.mark() - 1).is_truthy());
    vm.pop_to(args.end());
    if better {
        vm.set_arg(args, 0, vm.arg(args, i));
    }
    extreme_from::<LARGEST>(vm, args, i + 1)
}

fn modf(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let x = vm.arg(args, 0);
    let (integral, fraction) = if x.is_int() {
        (x, 0.0)
    } else {
        let x = vm.check_num(args, 0)?;
        // An infinity has no fraction.
        (whole(x.trunc()), if x == x.trunc() { 0.0 } else { x - x.trunc() })
    };
    vm.push(integral)?;
    vm.push(Value::float(fraction))?;
    Ok(2)
}

fn random(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let bits = vm.lib.random.bits();
    let (low, high) = match args.count() {
        0 => return vm.ret1(Value::float(Random::float(bits))),
        1 => match vm.check_int(args, 0)? {
            0 => return vm.ret1(Value::int(bits as i64)),
            high => (1, high),
        },
        2 => (vm.check_int(args, 0)?, vm.check_int(args, 1)?),
        _ => return Err(vm.error("wrong number of arguments")),
    };
    if low > high {
        return Err(vm.arg_error(0, "interval is empty"));
    }
    let value = vm.lib.random.between(bits, low, high);
    vm.ret1(Value::int(value))
}

fn randomseed(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let seed = if args.is_empty() { Random::entropy() } else { (vm.check_int(args, 0)? as u64, vm.opt_int(args, 1, 0)? as u64) };
    vm.lib.random = Random::new(seed);
    vm.push(Value::int(seed.0 as i64))?;
    vm.push(Value::int(seed.1 as i64))?;
    Ok(2)
}

fn tointeger(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let value = vm.check_any(args, 0)?;
    let number = vm.number_of(value)?.unwrap_or(Value::NIL);
    let integer = support::integer_of(number);
    vm.ret1(integer.map_or(Value::NIL, Value::int))
}

fn type_(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let value = vm.check_any(args, 0)?;
    if !value.is_number() {
        return vm.ret1(Value::NIL);
    }
    vm.ret_str(if value.is_int() { b"integer" } else { b"float" })
}

fn ult(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let (x, y) = (vm.check_int(args, 0)?, vm.check_int(args, 1)?);
    vm.ret1(Value::bool((x as u64) < y as u64))
}
