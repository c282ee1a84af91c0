//! What is done with continuations and the dynamic state, and the primitives that are steps of the machine themselves.
//!
//! The order of things in `dynamic-wind`, `raise`, and what else there is of control is said in the prelude, in Scheme.
//!
//! Imports `machine`, `value`.

use super::equal::{as_object, eqv};
use super::machine::{Answer, Outcome, Vm};
use super::state::{Dynamic, Step};
use super::value::{Fault, Object, Promise, RecordProcedure, Value, Vector};
use neap_gc::arena::{Gc, Lock, field, variant};

/// Primitives that do not just return a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Control {
    Apply,
    CallCc,
    CallWithValues,
    /// To a continuation, without a look at what it is within.
    Throw,
    /// Nobody handles an error.
    Uncaught,
    Collect,
    Figures,
    Exit,
}

/// The procedure stands in front of its arguments.
pub fn control<'gc>(vm: &mut Vm<'gc>, what: Control, values: Vector<'gc>) -> Answer<'gc, ()> {
    let argument = |n: usize| values[n].get();
    match what {
        Control::Apply => {
            let last = argument(values.len() - 1);
            let Some(list) = last.list() else { return Err(vm.error("apply: no list", &[last])) };
            let direct = values.len() - 2;
            let vector = vm.mc.try_alloc_slice_with(direct + list.len(), |n| {
                Lock::new(if n < direct { argument(n + 1) } else { list[n - direct] })
            })?;
            vm.step = Step::Apply(vector);
        }
        Control::CallCc => {
            let continuation = vm.object(Object::Continuation(vm.share(), vm.dynamic))?;
            return vm.call(&[argument(1), continuation]);
        }
        Control::CallWithValues => return vm.call_and_receive(argument(1), argument(2)),
        Control::Throw => match as_object(argument(1)) {
            Some(Object::Continuation(kont, dynamic)) => {
                (vm.kont, vm.dynamic) = (*kont, *dynamic);
                vm.step = Step::Return(argument(2));
            }
            _ => return Err(vm.error("no continuation", &[argument(1)])),
        },
        Control::Uncaught => vm.step = Step::Failed(argument(1)),
        Control::Collect => request(vm, Outcome::Collect),
        Control::Figures => request(vm, Outcome::Figures),
        Control::Exit => {
            let code = match values.get(1).map(Lock::get) {
                None | Some(Value::Boolean(true)) => 0,
                Some(Value::Integer(code)) => code as i32 & 0xff,
                Some(_) => 1,
            };
            vm.machine.exit.set(code);
            request(vm, Outcome::Exit);
        }
    }
    Ok(())
}

fn request(vm: &mut Vm<'_>, request: Outcome) {
    vm.step = Step::Return(Value::Unspecified);
    vm.request = Some(request);
}

/// Calls a continuation.
pub fn throw<'gc>(
    vm: &mut Vm<'gc>,
    object: Gc<'gc, Object<'gc>>,
    dynamic: Gc<'gc, Dynamic<'gc>>,
    values: Vector<'gc>,
) -> Answer<'gc, ()> {
    let value = match values.len() {
        2 => values[1].get(),
        _ => {
            let all = vm.mc.try_alloc_slice_with(values.len() - 1, |n| values[n + 1].get())?;
            vm.object(Object::Values(all))?
        }
    };
    if eqv(dynamic.winds, vm.dynamic.winds) {
        let Object::Continuation(kont, _) = &*object else { return Err(vm.error("no continuation", &[])) };
        (vm.kont, vm.dynamic) = (*kont, dynamic);
        vm.step = Step::Return(value);
        return Ok(());
    }
    vm.call(&[vm.machine.rewind.get(), Value::Object(object), value])
}

/// The value of a parameter.
pub fn parameter<'gc>(vm: &Vm<'gc>, parameter: Value<'gc>, global: Value<'gc>) -> Value<'gc> {
    let own = vm.dynamic.parameters.elements().filter_map(Value::uncons).find(|(of, _)| eqv(*of, parameter));
    own.map_or(global, |(_, value)| value)
}

/// Calls what `define-record-type` has defined.
pub fn record<'gc>(vm: &Vm<'gc>, procedure: &RecordProcedure<'gc>, arguments: &[Lock<Value<'gc>>]) -> Answer<'gc> {
    let argument = |n: usize| arguments[n].get();
    let fields_of = |of: Value<'gc>, value: Value<'gc>| match as_object(value) {
        Some(Object::Record { of: own, fields }) if eqv(*own, of) => Some(*fields),
        _ => None,
    };
    let count = |wanted: usize| match arguments.len() == wanted {
        true => Ok(()),
        false => Err(vm.error("wrong number of arguments to a procedure of a record type", &[])),
    };
    match *procedure {
        RecordProcedure::Constructor { of, places, fields } => {
            count(places.len())?;
            let fields = vm.mc.try_alloc_slice_with(fields as usize, |place| {
                let given = places.iter().position(|&own| own as usize == place);
                Lock::new(given.map_or(Value::Unspecified, argument))
            })?;
            vm.object(Object::Record { of, fields })
        }
        RecordProcedure::Predicate(of) => {
            count(1)?;
            Ok(Value::Boolean(fields_of(of, argument(0)).is_some()))
        }
        RecordProcedure::Accessor(of, place) => {
            count(1)?;
            let fields = fields_of(of, argument(0)).ok_or_else(|| vm.error("a record of another type", &[argument(0)]))?;
            Ok(fields[place as usize].get())
        }
        RecordProcedure::Modifier(of, place) => {
            count(2)?;
            let fields = fields_of(of, argument(0)).ok_or_else(|| vm.error("a record of another type", &[argument(0)]))?;
            fields.set(vm.mc, place as usize, argument(1));
            Ok(Value::Unspecified)
        }
    }
}

/// Whether a procedure takes so many arguments.
pub fn accepts(procedure: Value<'_>, count: usize) -> bool {
    match procedure {
        Value::Closure(closure) => {
            let required = closure.template.required as usize;
            count == required || (count > required && closure.template.rest)
        }
        Value::Primitive(primitive) => primitive.takes(count),
        _ => procedure.is_procedure(),
    }
}

// ---- promises

pub fn promise<'gc>(vm: &Vm<'gc>, done: bool, value: Value<'gc>) -> Answer<'gc> {
    let state = vm.mc.try_alloc(Promise { done: std::cell::Cell::new(done), value: Lock::new(value) })?;
    vm.object(Object::Promise(Lock::new(state)))
}

/// The promise becomes what another is.
pub fn adopt<'gc>(vm: &Vm<'gc>, promise: Value<'gc>, other: Value<'gc>) -> Answer<'gc> {
    let state = |value| match as_object(value) {
        Some(Object::Promise(state)) => Ok(state.get()),
        _ => Err(vm.error("no promise", &[value])),
    };
    let (own, new) = (state(promise)?, state(other)?);
    own.done.set(new.done.get());
    field!(Gc::write(own, vm.mc), Promise, value).set(new.value.get());
    // What either becomes, both are.
    if let Value::Object(other) = other
        && let Some(shared) = variant!(Gc::write(other, vm.mc), Object::Promise, 0)
    {
        shared.set(own);
    }
    Ok(Value::Unspecified)
}

/// A condition of the program's own.
pub fn condition<'gc>(vm: &Vm<'gc>, message: Value<'gc>, irritants: Value<'gc>) -> Answer<'gc> {
    vm.object(Object::Condition(super::value::Condition { kind: Fault::Program, message, irritants }))
}
