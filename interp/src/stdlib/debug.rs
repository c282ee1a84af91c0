//! The debug library (§6.10). May import `support`, the machine.

use super::support::{self, Functions};
use crate::value::Value;
use crate::vm::{Args, Throw, Vm};

const FUNCTIONS: Functions = &[("getmetatable", getmetatable), ("getregistry", getregistry)];

pub fn open(vm: &mut Vm) -> Result<(), Throw> {
    support::library(vm, "debug", FUNCTIONS).map(drop)
}

fn getmetatable(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let value = vm.check_any(args, 0)?;
    let meta = vm.metatable(value);
    vm.ret1(meta.map_or(Value::NIL, Value::table))
}

fn getregistry(vm: &mut Vm, _: Args) -> Result<u32, Throw> {
    let registry = vm.registry();
    vm.ret1(Value::table(registry))
}
