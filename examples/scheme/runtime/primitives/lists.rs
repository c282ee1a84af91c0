//! Pairs and lists.

use super::super::equal::{equal, eqv};
use super::super::machine::{Answer, Vm};
use super::super::value::{Pair, Value, length};
use super::{ANY, Fast, Primitive, effect, fast, index, pure, size, wrong};
use neap_gc::arena::{Gc, field};

pub const PRIMITIVES: &[Primitive] = &[
    pure("cons", 2, 2, |vm, a| vm.cons(a[0], a[1])),
    fast("car", 1, 1, Fast::Car, |vm, a| part(vm, a[0], "a")),
    fast("cdr", 1, 1, Fast::Cdr, |vm, a| part(vm, a[0], "d")),
    pure("caar", 1, 1, |vm, a| part(vm, a[0], "aa")),
    pure("cadr", 1, 1, |vm, a| part(vm, a[0], "ad")),
    pure("cdar", 1, 1, |vm, a| part(vm, a[0], "da")),
    pure("cddr", 1, 1, |vm, a| part(vm, a[0], "dd")),
    pure("caddr", 1, 1, |vm, a| part(vm, a[0], "add")),
    pure("cdddr", 1, 1, |vm, a| part(vm, a[0], "ddd")),
    pure("caadr", 1, 1, |vm, a| part(vm, a[0], "aad")),
    pure("cddar", 1, 1, |vm, a| part(vm, a[0], "dda")),
    pure("cdadr", 1, 1, |vm, a| part(vm, a[0], "dad")),
    pure("cadar", 1, 1, |vm, a| part(vm, a[0], "ada")),
    pure("caaar", 1, 1, |vm, a| part(vm, a[0], "aaa")),
    pure("caddar", 1, 1, |vm, a| part(vm, a[0], "adda")),
    pure("cadddr", 1, 1, |vm, a| part(vm, a[0], "addd")),
    effect("set-car!", 2, 2, |vm, a| {
        let Value::Pair(pair) = a[0] else { return wrong(vm, "no pair", a[0]) };
        field!(Gc::write(pair, vm.mc), Pair, car).set(a[1]);
        Ok(Value::Unspecified)
    }),
    effect("set-cdr!", 2, 2, |vm, a| {
        let Value::Pair(pair) = a[0] else { return wrong(vm, "no pair", a[0]) };
        field!(Gc::write(pair, vm.mc), Pair, cdr).set(a[1]);
        Ok(Value::Unspecified)
    }),
    fast("null?", 1, 1, Fast::Null, |_, a| Ok(Value::Boolean(matches!(a[0], Value::Nil)))),
    fast("pair?", 1, 1, Fast::Pair, |_, a| Ok(Value::Boolean(matches!(a[0], Value::Pair(_))))),
    pure("list?", 1, 1, |_, a| Ok(Value::Boolean(length(a[0]).is_some()))),
    pure("list", 0, ANY, |vm, a| vm.list(a.iter().copied())),
    pure("cons*", 1, ANY, |vm, a| {
        let (&last, first) = a.split_last().expect("one at least");
        first.iter().rev().try_fold(last, |list, &value| vm.cons(value, list))
    }),
    pure("make-list", 1, 2, |vm, a| {
        let fill = a.get(1).copied().unwrap_or(Value::Unspecified);
        (0..size(vm, a[0])?).try_fold(Value::Nil, |list, _| vm.cons(fill, list))
    }),
    pure("length", 1, 1, |vm, a| match length(a[0]) {
        Some(length) => Ok(Value::Integer(length as i64)),
        None => wrong(vm, "no list", a[0]),
    }),
    pure("append", 0, ANY, append),
    pure("reverse", 1, 1, |vm, a| {
        let list = list_of(vm, a[0])?;
        list.into_iter().try_fold(Value::Nil, |reversed, value| vm.cons(value, reversed))
    }),
    pure("list-copy", 1, 1, |vm, a| match length(a[0]) {
        Some(_) => vm.list(list_of(vm, a[0])?.into_iter()),
        None => Ok(a[0]),
    }),
    pure("list-tail", 2, 2, |vm, a| tail(vm, a[0], a[1])),
    pure("list-ref", 2, 2, |vm, a| {
        let rest = tail(vm, a[0], a[1])?;
        part(vm, rest, "a")
    }),
    pure("memq", 2, 2, |_, a| Ok(member(a[0], a[1], eqv))),
    pure("memv", 2, 2, |_, a| Ok(member(a[0], a[1], eqv))),
    pure("%member", 2, 2, |_, a| Ok(member(a[0], a[1], equal))),
    pure("assq", 2, 2, |_, a| Ok(association(a[0], a[1], eqv))),
    pure("assv", 2, 2, |_, a| Ok(association(a[0], a[1], eqv))),
    pure("%assoc", 2, 2, |_, a| Ok(association(a[0], a[1], equal))),
    pure("list->vector", 1, 1, |vm, a| {
        let list = list_of(vm, a[0])?;
        super::data::vector(vm, list.len(), |n| list[n])
    }),
    pure("iota", 1, 3, |vm, a| {
        let count = size(vm, a[0])?;
        let number = |n: usize| match a.get(n) {
            Some(&Value::Integer(number)) => Ok(number),
            None => Ok(n as i64 - 1),
            Some(&other) => wrong(vm, "no integer", other),
        };
        let (first, step) = (number(1)?, number(2)?);
        let nth = |n: usize| Value::Integer(first.wrapping_add(step.wrapping_mul(n as i64)));
        vm.list((0..count).map(nth))
    }),
];

/// `ad` of a value is its cadr.
fn part<'gc>(vm: &Vm<'gc>, value: Value<'gc>, path: &str) -> Answer<'gc> {
    let mut at = value;
    for step in path.bytes().rev() {
        let Value::Pair(pair) = at else { return wrong(vm, "no pair", value) };
        at = if step == b'a' { pair.car.get() } else { pair.cdr.get() };
    }
    Ok(at)
}

pub fn list_of<'gc>(vm: &Vm<'gc>, value: Value<'gc>) -> Answer<'gc, Vec<Value<'gc>>> {
    value.list().ok_or_else(|| vm.error("no list", &[value]))
}

fn append<'gc>(vm: &mut Vm<'gc>, lists: &[Value<'gc>]) -> Answer<'gc> {
    let Some((&last, first)) = lists.split_last() else { return Ok(Value::Nil) };
    let mut whole = last;
    for &list in first.iter().rev() {
        for &value in list_of(vm, list)?.iter().rev() {
            whole = vm.cons(value, whole)?;
        }
    }
    Ok(whole)
}

fn tail<'gc>(vm: &Vm<'gc>, list: Value<'gc>, count: Value<'gc>) -> Answer<'gc> {
    let mut at = list;
    for _ in 0..index(vm, count, usize::MAX >> 1, false)? {
        let Value::Pair(pair) = at else { return wrong(vm, "a list is too short", count) };
        at = pair.cdr.get();
    }
    Ok(at)
}

/// Within which list that leads back into itself may end.
fn pairs<'gc>(list: Value<'gc>) -> impl Iterator<Item = Value<'gc>> {
    let bound = length(list).unwrap_or(1 << 24);
    std::iter::successors(Some(list), |at| at.pair().map(|pair| pair.cdr.get())).take(bound)
}

fn member<'gc>(key: Value<'gc>, list: Value<'gc>, same: fn(Value<'gc>, Value<'gc>) -> bool) -> Value<'gc> {
    let found = pairs(list).find(|at| at.pair().is_some_and(|pair| same(key, pair.car.get())));
    found.unwrap_or(Value::Boolean(false))
}

fn association<'gc>(key: Value<'gc>, list: Value<'gc>, same: fn(Value<'gc>, Value<'gc>) -> bool) -> Value<'gc> {
    let entries = pairs(list).filter_map(|at| at.pair().map(|pair| pair.car.get()));
    let mut found = entries.filter(|entry| entry.pair().is_some_and(|entry| same(key, entry.car.get())));
    found.next().unwrap_or(Value::Boolean(false))
}
