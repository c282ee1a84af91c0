//! `collectgarbage` (§6.1). May import the machine.
//!
//! The collector has one mode and paces itself: the two modes of the manual and their parameters are remembered, and change nothing.

use crate::value::{Outcome, Value};
use crate::vm::{Args, Throw, Vm};

/// What a program has set.
pub struct Settings {
    generational: bool,
    pause: i64,
    step_multiplier: i64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { generational: false, pause: 200, step_multiplier: 100 }
    }
}

const OPTIONS: [&str; 10] =
    ["stop", "restart", "collect", "count", "step", "setpause", "setstepmul", "isrunning", "generational", "incremental"];

pub fn collectgarbage(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let option = OPTIONS[vm.check_option(args, 0, Some("collect"), &OPTIONS)?];
    let parameters = match option {
        "step" | "setpause" | "setstepmul" => 1,
        "generational" => 2,
        "incremental" => 3,
        _ => 0,
    };
    let mut given = [0; 3];
    for (i, parameter) in given.iter_mut().enumerate().take(parameters) {
        *parameter = vm.opt_int(args, i + 1, 0)?;
    }
    if vm.in_finalizer {
        // As in the reference, a finalizer can't direct the collector.
        return vm.ret1(Value::NIL);
    }
    let result = match option {
        "count" => Value::float(vm.heap.allocated_bytes() as f64 / 1024.0),
        "step" => {
            // In KiB of allocation; 0 asks for a basic step.
            let bytes = usize::try_from(given[0]).unwrap_or(0).saturating_mul(1024);
            // What is a cycle's worth at least is a cycle.
            let whole = bytes >= vm.heap.used_bytes();
            let (done, count) = match whole {
                true => (true, vm.collect_all()),
                false => (vm.collect_step(bytes), vm.heap.finalizers_waiting()),
            };
            give_up(vm)?;
            vm.set_place(usize::from(done));
            return vm.finalizers_then(count, end_step);
        }
        "isrunning" => Value::bool(vm.heap.is_running()),
        "setpause" => Value::int(std::mem::replace(&mut vm.lib.collector.pause, given[0])),
        "setstepmul" => Value::int(std::mem::replace(&mut vm.lib.collector.step_multiplier, given[0])),
        "generational" | "incremental" => {
            let settings = &mut vm.lib.collector;
            if option == "incremental" {
                // 0 leaves a setting as it is; that of the size of steps can't be asked for.
                for (setting, given) in [&mut settings.pause, &mut settings.step_multiplier].into_iter().zip(given) {
                    *setting = if given == 0 { *setting } else { given };
                }
            }
            let generational = std::mem::replace(&mut settings.generational, option == "generational");
            return vm.ret_str(if generational { b"generational" } else { b"incremental" });
        }
        _ => {
            match option {
                "stop" => vm.heap.set_running(false),
                "restart" => vm.heap.set_running(true),
                _ => {
                    let count = vm.collect_all();
                    give_up(vm)?;
                    return vm.finalizers_then(count, end_collection);
                }
            }
            Value::int(0)
        }
    };
    vm.ret1(result)
}

/// A collection that has been given up is as good as the stop.
fn give_up(vm: &mut Vm) -> Result<(), Throw> {
    if vm.is_stopped() { Err(vm.stop_error()) } else { Ok(()) }
}

/// The finalizers that fell due have been called.
fn end_collection(vm: &mut Vm, _: Args, _: Outcome) -> Result<u32, Throw> {
    vm.ret1(Value::int(0))
}

fn end_step(vm: &mut Vm, _: Args, _: Outcome) -> Result<u32, Throw> {
    let done = vm.place() != 0;
    vm.ret1(Value::bool(done))
}
