//! Weak pairs and ephemerons.
//!
//! A `Weak` has the type of what it refers to, and a value is one of several: so there is a variant for each. What is no object of the heap, or lives as long as the
//! program does anyway, is simply held.

use super::super::equal::as_object;
use super::super::machine::{Answer, Vm};
use super::super::value::{EphemeronOf, Object, Value, WeakValue};
use super::{Primitive, effect, pure, wrong};
use neap_gc::arena::{Ephemeron, Gc, Lock, variant};

pub const PRIMITIVES: &[Primitive] = &[
    pure("weak-cons", 2, 2, |vm, a| {
        let car = downgrade(vm, a[0])?;
        vm.object(Object::WeakPair { car, cdr: Lock::new(a[1]) })
    }),
    pure("weak-pair?", 1, 1, |_, a| Ok(Value::Boolean(matches!(as_object(a[0]), Some(Object::WeakPair { .. }))))),
    // Whoever reads it holds what it reads until the step is over: nothing is collected in between.
    effect("weak-car", 1, 1, |vm, a| match as_object(a[0]) {
        Some(Object::WeakPair { car, .. }) => Ok(upgrade(vm, *car).unwrap_or(Value::Boolean(false))),
        _ => wrong(vm, "no weak pair", a[0]),
    }),
    effect("weak-pair/car?", 1, 1, |vm, a| match as_object(a[0]) {
        Some(Object::WeakPair { car, .. }) => Ok(Value::Boolean(upgrade(vm, *car).is_some())),
        _ => wrong(vm, "no weak pair", a[0]),
    }),
    effect("weak-cdr", 1, 1, |vm, a| match as_object(a[0]) {
        Some(Object::WeakPair { cdr, .. }) => Ok(cdr.get()),
        _ => wrong(vm, "no weak pair", a[0]),
    }),
    effect("weak-set-cdr!", 2, 2, |vm, a| {
        let Value::Object(pair) = a[0] else { return wrong(vm, "no weak pair", a[0]) };
        let Some(cdr) = variant!(Gc::write(pair, vm.mc), Object::WeakPair, cdr) else {
            return wrong(vm, "no weak pair", a[0]);
        };
        cdr.set(a[1]);
        Ok(Value::Unspecified)
    }),
    pure("make-ephemeron", 2, 2, |vm, a| {
        let ephemeron = ephemeron(vm, a[0], a[1])?;
        vm.object(Object::Ephemeron(ephemeron))
    }),
    pure("ephemeron?", 1, 1, |_, a| Ok(Value::Boolean(matches!(as_object(a[0]), Some(Object::Ephemeron(_)))))),
    effect("ephemeron-key", 1, 1, |vm, a| Ok(entry(vm, a[0])?.map_or(Value::Boolean(false), |(key, _)| key))),
    effect("ephemeron-datum", 1, 1, |vm, a| Ok(entry(vm, a[0])?.map_or(Value::Boolean(false), |(_, datum)| datum))),
    effect("ephemeron-broken?", 1, 1, |vm, a| Ok(Value::Boolean(entry(vm, a[0])?.is_none()))),
];

fn downgrade<'gc>(vm: &Vm<'gc>, value: Value<'gc>) -> Answer<'gc, WeakValue<'gc>> {
    Ok(match value {
        Value::Pair(gc) => WeakValue::Pair(Gc::try_downgrade(gc, vm.mc)?),
        Value::String(gc) => WeakValue::String(Gc::try_downgrade(gc, vm.mc)?),
        Value::Vector(gc) => WeakValue::Vector(Gc::try_downgrade(gc, vm.mc)?),
        Value::Closure(gc) => WeakValue::Closure(Gc::try_downgrade(gc, vm.mc)?),
        Value::Object(gc) => WeakValue::Object(Gc::try_downgrade(gc, vm.mc)?),
        held => WeakValue::Held(held),
    })
}

fn upgrade<'gc>(vm: &Vm<'gc>, weak: WeakValue<'gc>) -> Option<Value<'gc>> {
    match weak {
        WeakValue::Held(value) => Some(value),
        WeakValue::Pair(weak) => weak.upgrade(vm.mc).map(Value::Pair),
        WeakValue::String(weak) => weak.upgrade(vm.mc).map(Value::String),
        WeakValue::Vector(weak) => weak.upgrade(vm.mc).map(Value::Vector),
        WeakValue::Closure(weak) => weak.upgrade(vm.mc).map(Value::Closure),
        WeakValue::Object(weak) => weak.upgrade(vm.mc).map(Value::Object),
    }
}

fn ephemeron<'gc>(vm: &Vm<'gc>, key: Value<'gc>, datum: Value<'gc>) -> Answer<'gc, EphemeronOf<'gc>> {
    let (mc, boxed) = (vm.mc, vm.mc.try_alloc((datum,))?);
    Ok(match key {
        Value::Pair(gc) => EphemeronOf::Pair(Ephemeron::try_new(mc, gc, boxed)?),
        Value::String(gc) => EphemeronOf::String(Ephemeron::try_new(mc, gc, boxed)?),
        Value::Vector(gc) => EphemeronOf::Vector(Ephemeron::try_new(mc, gc, boxed)?),
        Value::Closure(gc) => EphemeronOf::Closure(Ephemeron::try_new(mc, gc, boxed)?),
        Value::Object(gc) => EphemeronOf::Object(Ephemeron::try_new(mc, gc, boxed)?),
        held => EphemeronOf::Held(held, datum),
    })
}

/// Key and datum, if the key lives.
fn entry<'gc>(vm: &Vm<'gc>, value: Value<'gc>) -> Answer<'gc, Option<(Value<'gc>, Value<'gc>)>> {
    let Some(Object::Ephemeron(ephemeron)) = as_object(value) else { return wrong(vm, "no ephemeron", value) };
    let mc = vm.mc;
    Ok(match *ephemeron {
        EphemeronOf::Held(key, datum) => Some((key, datum)),
        EphemeronOf::Pair(entry) => entry.get(mc).map(|(key, datum)| (Value::Pair(key), datum.0)),
        EphemeronOf::String(entry) => entry.get(mc).map(|(key, datum)| (Value::String(key), datum.0)),
        EphemeronOf::Vector(entry) => entry.get(mc).map(|(key, datum)| (Value::Vector(key), datum.0)),
        EphemeronOf::Closure(entry) => entry.get(mc).map(|(key, datum)| (Value::Closure(key), datum.0)),
        EphemeronOf::Object(entry) => entry.get(mc).map(|(key, datum)| (Value::Object(key), datum.0)),
    })
}
