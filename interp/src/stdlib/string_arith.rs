//! Arithmetic on strings: the metamethods by which strings count as the numbers that they read as (§3.4.3).
//!
//! * **I1** The virtual machine does the same by itself where it meets one of these functions as the handler of its own operator (`Vm::op_arith`), and calls
//!   it only for what goes wrong. So a program may replace or remove them as it likes.
//!
//! May import the machine.

use crate::value::{Gc, Special, Table, Value};
use crate::vm::{Args, Arith, Throw, Vm, string_arith};

/// The operators; those on bits are not among them.
const OPERATORS: [Arith; 8] = [Arith::Add, Arith::Sub, Arith::Mul, Arith::Mod, Arith::Pow, Arith::Div, Arith::IDiv, Arith::Unm];

/// Puts the metamethods into the metatable of strings.
pub fn open(vm: &mut Vm, meta: Gc<Table>) -> Result<(), Throw> {
    for operator in OPERATORS {
        let name = operator.event().name();
        let function = vm.new_special(&name[2..], arithmetic, Special::StringArith, &[Value::int(operator as i64)])?;
        vm.set_field(meta, name, function)?;
    }
    Ok(())
}

/// The upvalue tells the operator.
fn arithmetic(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let number = vm.running_native().upval(0).as_int();
    let operator = OPERATORS.into_iter().find(|&operator| Some(operator as i64) == number).expect("one of the operators");
    let (x, y) = (vm.arg(args, 0), vm.arg(args, 1));
    // Called with one operand, the function takes it twice, as that of the reference does.
    let (first, second) = vm.short_operands(x, if args.count() > 1 { y } else { x })?;
    match string_arith(operator, first, second) {
        Some(Ok(result)) => return vm.ret1(result),
        // The fault lies with no function of the program: there is no position.
        Some(Err(problem)) => return Err(vm.plain_error(problem.as_bytes())),
        None => {}
    }
    // The second operand may know better.
    let handler = if y.is_str() { Value::NIL } else { vm.metamethod(y, operator.event()) };
    if handler.is_nil() {
        let name = &operator.event().name()[2..];
        return Err(vm.error(format!("attempt to {name} a '{}' with a '{}'", x.type_name(), y.type_name())));
    }
    vm.push_call(handler, &[x, y])?;
    vm.call_last(2, 1)
}
