//! The library `limits`: runs of functions that may use only so much. May import `support`, the machine.
//!
//! `limits.run({ fuel = n, time = seconds, memory = bytes }, f, ...)` calls `f(...)`. It returns `true` and the results; `false` and the error, as `pcall` does;
//! or `nil` and the name of the limit that was reached: then nothing in `f` has caught the stop, and none of its `<close>` variables were closed. The
//! limits hold for all that `f` calls, coroutines too; it can't yield out of its run.

use super::support::{self, Functions};
use crate::value::{Outcome, Value};
use crate::vm::{Args, Limits, Throw, Vm};
use std::time::Duration;

const FUNCTIONS: Functions = &[("run", run)];

pub fn open(vm: &mut Vm) -> Result<(), Throw> {
    support::library(vm, "limits", FUNCTIONS).map(drop)
}

fn run(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let limits = limits_argument(vm, args)?;
    vm.check_any(args, 1)?;
    vm.begin_run(limits, false)?;
    vm.catch_in_run(args.base() + 1);
    vm.call_then(args.count() - 2, -1, end)
}

fn end(vm: &mut Vm, _: Args, outcome: Outcome) -> Result<u32, Throw> {
    if let Some(stop) = vm.take_stop() {
        vm.push(Value::NIL)?;
        let name = vm.new_str(stop.name().as_bytes())?;
        vm.push(name)?;
        return Ok(2);
    }
    vm.end_run();
    match outcome {
        Outcome::Returned(n) => vm.put_before(Value::TRUE, n as usize),
        Outcome::Failed(error) => {
            vm.push(Value::FALSE)?;
            vm.push(error)?;
            Ok(2)
        }
    }
}

/// The table of limits: numbers that are not negative.
fn limits_argument(vm: &mut Vm, args: Args) -> Result<Limits, Throw> {
    let table = vm.check_table(args, 0)?;
    let mut numbers = [None; 3];
    for (number, name) in numbers.iter_mut().zip(["fuel", "time", "memory"]) {
        let value = vm.get_field(table, name)?;
        if value.is_nil() {
            continue;
        }
        *number = value.number().filter(|number| *number >= 0.0);
        if number.is_none() {
            return Err(vm.arg_error(0, format!("limit '{name}' must be a number that is not negative")));
        }
    }
    let [fuel, time, memory] = numbers;
    // A time that is too long for a clock is none.
    let time = time.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    Ok(Limits { fuel: fuel.map(|fuel| fuel as u64), time, memory: memory.map(|bytes| bytes as usize) })
}
