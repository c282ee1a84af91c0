//! The coroutine library (§6.2): `resume`, `wrap` and `yield` are the machine's own. May import `support`, the machine.

use super::support::{self, Functions};
use crate::value::{Gc, Special, Status, Thread, Value};
use crate::vm::{Args, Throw, Vm};

const FUNCTIONS: Functions = &[
    ("close", close),
    ("create", create),
    ("isyieldable", isyieldable),
    ("running", running),
    ("status", status),
    ("wrap", wrap),
];

pub fn open(vm: &mut Vm) -> Result<(), Throw> {
    let library = support::library(vm, "coroutine", FUNCTIONS)?;
    vm.mark_restartable(library, ["create", "wrap"])?;
    for (name, special) in [("resume", Special::Resume), ("yield", Special::Yield)] {
        let function = vm.new_special(name, support::by_machine, special, &[])?;
        vm.set_field(library, name, function)?;
    }
    Ok(())
}

fn thread(vm: &mut Vm, args: Args) -> Result<Gc<Thread>, Throw> {
    match vm.arg(args, 0).as_thread() {
        Some(thread) => Ok(thread),
        None => Err(vm.arg_type_error(args, 0, "thread")),
    }
}

fn close(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let thread = thread(vm, args)?;
    if !matches!(thread.status.get(), Status::Suspended | Status::Dead) {
        let status = vm.thread_status(thread);
        return Err(vm.error(format!("cannot close a {status} coroutine")));
    }
    let Some(error) = vm.close_coroutine(thread) else { return vm.ret1(Value::TRUE) };
    vm.push(Value::FALSE)?;
    vm.push(error)?;
    Ok(2)
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
    let function = vm.new_special("wrap", support::by_machine, Special::WrapCall, &[Value::thread(thread)])?;
    vm.ret1(function)
}
