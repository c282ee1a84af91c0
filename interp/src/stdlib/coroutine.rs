//! The coroutine library (§6.2); where threads change over are the machine's own functions. May import `support`, the machine.

use super::support::{self, Functions};
use crate::value::{Gc, Thread, Value};
use crate::vm::{self, Args, Throw, Vm};

const FUNCTIONS: Functions = &[
    ("close", vm::coroutine::close),
    ("create", create),
    ("isyieldable", isyieldable),
    ("resume", vm::coroutine::resume),
    ("running", running),
    ("status", status),
    ("wrap", wrap),
    ("yield", vm::coroutine::yield_),
];

pub fn open(vm: &mut Vm) -> Result<(), Throw> {
    let library = support::library(vm, "coroutine", FUNCTIONS)?;
    vm.mark_restartable(library, ["create", "wrap"])
}

fn thread(vm: &mut Vm, args: Args) -> Result<Gc<Thread>, Throw> {
    match vm.arg(args, 0).as_thread() {
        Some(thread) => Ok(thread),
        None => Err(vm.arg_type_error(args, 0, "thread")),
    }
}

fn create(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let function = vm.check_function(args, 0)?;
    let thread = vm.new_coroutine(function)?;
    vm.ret1(Value::thread(thread))
}

fn isyieldable(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let thread = if args.is_empty() { vm.current_thread() } else { thread(vm, args)? };
    let yieldable = if thread == vm.current_thread() {
        vm.is_yieldable()
    } else {
        thread != vm.main_thread() && thread.state().unyieldable == 0
    };
    vm.ret1(Value::bool(yieldable))
}

fn running(vm: &mut Vm, _: Args) -> Result<u32, Throw> {
    let thread = vm.current_thread();
    vm.push(Value::thread(thread))?;
    vm.push(Value::bool(thread == vm.main_thread()))?;
    Ok(2)
}

fn status(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let thread = thread(vm, args)?;
    let status = vm.thread_status(thread);
    vm.ret_str(status.as_bytes())
}

fn wrap(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let function = vm.check_function(args, 0)?;
    let thread = vm.new_coroutine(function)?;
    let function = vm.new_native("wrap", vm::coroutine::wrapped, &[Value::thread(thread)])?;
    vm.ret1(function)
}
