//! Control, conditions, promises, parameters, records, and what there is of the host.

use super::super::control::{self, Control, accepts};
use super::super::equal::as_object;
use super::super::machine::{Answer, Vm};
use super::super::state::{Dynamic, Machine};
use super::super::value::{Condition, Fault, Object, RecordProcedure, Value};
use super::lists::list_of;
use super::{ANY, Primitive, control as stepping, effect, pure, wrong};
use neap_gc::arena::{Gc, field};

pub const PRIMITIVES: &[Primitive] = &[
    stepping("apply", 2, ANY, Control::Apply),
    stepping("%call/cc", 1, 1, Control::CallCc),
    stepping("call-with-values", 2, 2, Control::CallWithValues),
    stepping("%throw", 2, 2, Control::Throw),
    stepping("%uncaught", 1, 1, Control::Uncaught),
    stepping("gc", 0, 0, Control::Collect),
    stepping("gc-stats", 0, 0, Control::Figures),
    stepping("exit", 0, 1, Control::Exit),
    stepping("emergency-exit", 0, 1, Control::Exit),
    pure("%accepts?", 2, 2, |_, a| {
        let Value::Integer(count) = a[1] else { return Ok(Value::Boolean(false)) };
        Ok(Value::Boolean(accepts(a[0], count as usize)))
    }),
    pure("small?", 0, 0, |vm, _| Ok(Value::Boolean(vm.machine.small.get()))),
    effect("current-jiffy", 0, 0, |_, _| Ok(Value::Integer(now().as_micros() as i64))),
    effect("jiffies-per-second", 0, 0, |_, _| Ok(Value::Integer(1_000_000))),
    effect("current-second", 0, 0, |_, _| Ok(Value::Float(now().as_secs_f64()))),
    effect("%install!", 2, 2, |vm, a| {
        let machine = Gc::write(vm.machine, vm.mc);
        field!(machine, Machine, raise).set(a[0]);
        field!(machine, Machine, rewind).set(a[1]);
        Ok(Value::Unspecified)
    }),
    // ---- the dynamic state
    effect("%dynamic", 0, 0, |vm, _| vm.object(Object::Dynamic(vm.dynamic))),
    effect("%set-dynamic!", 1, 1, |vm, a| {
        vm.dynamic = dynamic(vm, a[0])?;
        Ok(Value::Unspecified)
    }),
    pure("%winds", 1, 1, |vm, a| match as_object(a[0]) {
        Some(Object::Continuation(_, dynamic)) => Ok(dynamic.winds),
        _ => Ok(dynamic(vm, a[0])?.winds),
    }),
    pure("%with-winds", 2, 2, |vm, a| {
        let winds = a[1];
        changed(vm, Dynamic { winds, ..*dynamic(vm, a[0])? })
    }),
    pure("%handlers", 1, 1, |vm, a| Ok(dynamic(vm, a[0])?.handlers)),
    pure("%with-handlers", 2, 2, |vm, a| {
        let handlers = a[1];
        changed(vm, Dynamic { handlers, ..*dynamic(vm, a[0])? })
    }),
    pure("%with-parameter", 3, 3, |vm, a| {
        let old = dynamic(vm, a[0])?;
        let parameters = vm.cons(vm.cons(a[1], a[2])?, old.parameters)?;
        changed(vm, Dynamic { parameters, ..*old })
    }),
    pure("%make-parameter", 2, 2, |vm, a| vm.object(Object::Parameter { value: a[0], converter: a[1] })),
    pure("%parameter-converter", 1, 1, |vm, a| match as_object(a[0]) {
        Some(Object::Parameter { converter, .. }) => Ok(*converter),
        _ => wrong(vm, "no parameter", a[0]),
    }),
    // ---- conditions
    pure("%make-condition", 2, 2, |vm, a| control::condition(vm, a[0], a[1])),
    pure("error-object?", 1, 1, |_, a| Ok(Value::Boolean(condition(a[0]).is_some()))),
    pure("error-object-message", 1, 1, |vm, a| match condition(a[0]) {
        Some(condition) => Ok(condition.message),
        None => wrong(vm, "no condition", a[0]),
    }),
    pure("error-object-irritants", 1, 1, |vm, a| match condition(a[0]) {
        Some(condition) => Ok(condition.irritants),
        None => wrong(vm, "no condition", a[0]),
    }),
    pure("read-error?", 1, 1, |_, a| Ok(Value::Boolean(condition(a[0]).is_some_and(|c| c.kind == Fault::Reader)))),
    pure("file-error?", 1, 1, |_, _| Ok(Value::Boolean(false))),
    pure("out-of-memory?", 1, 1, |_, a| Ok(Value::Boolean(condition(a[0]).is_some_and(|c| c.kind == Fault::OutOfMemory)))),
    // ---- promises
    pure("promise?", 1, 1, |_, a| Ok(Value::Boolean(matches!(as_object(a[0]), Some(Object::Promise(_)))))),
    pure("%make-promise", 2, 2, |vm, a| control::promise(vm, a[0].is_true(), a[1])),
    pure("%promise-done?", 1, 1, |vm, a| match as_object(a[0]) {
        Some(Object::Promise(promise)) => Ok(Value::Boolean(promise.get().done.get())),
        _ => wrong(vm, "no promise", a[0]),
    }),
    pure("%promise-value", 1, 1, |vm, a| match as_object(a[0]) {
        Some(Object::Promise(promise)) => Ok(promise.get().value.get()),
        _ => wrong(vm, "no promise", a[0]),
    }),
    effect("%promise-adopt!", 2, 2, |vm, a| control::adopt(vm, a[0], a[1])),
    // ---- records
    pure("%record-type", 2, 2, |vm, a| vm.object(Object::RecordType { name: a[0], fields: a[1] })),
    pure("%record-constructor", 2, 2, |vm, a| {
        let fields = list_of(vm, fields(vm, a[0])?)?.len() as u32;
        let places = list_of(vm, a[1])?.into_iter().map(|name| place(vm, a[0], name)).collect::<Answer<Vec<u32>>>()?;
        let places = vm.mc.try_alloc_slice(&places)?;
        vm.object(Object::RecordProcedure(RecordProcedure::Constructor { of: a[0], places, fields }))
    }),
    pure("%record-predicate", 1, 1, |vm, a| vm.object(Object::RecordProcedure(RecordProcedure::Predicate(a[0])))),
    pure("%record-accessor", 2, 2, |vm, a| {
        let place = place(vm, a[0], a[1])?;
        vm.object(Object::RecordProcedure(RecordProcedure::Accessor(a[0], place)))
    }),
    pure("%record-modifier", 2, 2, |vm, a| {
        let place = place(vm, a[0], a[1])?;
        vm.object(Object::RecordProcedure(RecordProcedure::Modifier(a[0], place)))
    }),
];

fn now() -> std::time::Duration {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default()
}

fn dynamic<'gc>(vm: &Vm<'gc>, value: Value<'gc>) -> Answer<'gc, Gc<'gc, Dynamic<'gc>>> {
    match as_object(value) {
        Some(Object::Dynamic(dynamic)) => Ok(*dynamic),
        _ => wrong(vm, "no dynamic state", value),
    }
}
fn changed<'gc>(vm: &Vm<'gc>, new: Dynamic<'gc>) -> Answer<'gc> {
    let new = vm.mc.try_alloc(new)?;
    vm.object(Object::Dynamic(new))
}

fn condition<'gc>(value: Value<'gc>) -> Option<&'gc Condition<'gc>> {
    match as_object(value) {
        Some(Object::Condition(condition)) => Some(condition),
        _ => None,
    }
}

fn fields<'gc>(vm: &Vm<'gc>, of: Value<'gc>) -> Answer<'gc> {
    match as_object(of) {
        Some(Object::RecordType { fields, .. }) => Ok(*fields),
        _ => wrong(vm, "no record type", of),
    }
}
fn place<'gc>(vm: &Vm<'gc>, of: Value<'gc>, name: Value<'gc>) -> Answer<'gc, u32> {
    let found = list_of(vm, fields(vm, of)?)?.into_iter().position(|field| super::super::equal::eqv(field, name));
    found.map(|place| place as u32).ok_or_else(|| vm.error("no field of the record type", &[name]))
}
