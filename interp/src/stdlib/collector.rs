//! `collectgarbage` (§6.1). May import the machine.
//!
//! The collector has one mode and paces itself: the two modes of the manual and their parameters are remembered, and change nothing.

use crate::value::Value;
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
    let parameter = vm.opt_int(args, 1, 0)?;
    if vm.in_finalizer {
        // As in the reference, a finalizer can't direct the collector.
        return vm.ret1(Value::NIL);
    }
    let result = match option {
        "count" => Value::float(vm.heap.allocated_bytes() as f64 / 1024.0),
        "step" => {
            // The unit is 1 KiB of allocation; 0 asks for a basic step.
            const BASIC_STEP: usize = 16 * 1024;
            let bytes = match usize::try_from(parameter) {
                Ok(units @ 1..) => units.saturating_mul(1024),
                _ => BASIC_STEP,
            };
            // What is a cycle's worth at least is a cycle.
            let whole = bytes >= vm.heap.used_bytes();
            if whole {
                vm.collect_full();
            }
            Value::bool(whole || vm.collect_step(bytes))
        }
        "isrunning" => Value::bool(vm.heap.is_running()),
        "setpause" => Value::int(std::mem::replace(&mut vm.lib.collector.pause, parameter)),
        "setstepmul" => Value::int(std::mem::replace(&mut vm.lib.collector.step_multiplier, parameter)),
        "generational" | "incremental" => {
            let generational = std::mem::replace(&mut vm.lib.collector.generational, option == "generational");
            return vm.ret_str(if generational { b"generational" } else { b"incremental" });
        }
        _ => {
            match option {
                "stop" => vm.heap.set_running(false),
                "restart" => vm.heap.set_running(true),
                _ => vm.collect_full(),
            }
            Value::int(0)
        }
    };
    vm.ret1(result)
}
