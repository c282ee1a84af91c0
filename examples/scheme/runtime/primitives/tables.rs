//! Hash tables: `GcHashMap` with keys that are compared as Scheme does.

use super::super::equal::{ByContent, ByIdentity, as_object};
use super::super::machine::{Answer, Vm};
use super::super::value::{Object, Value};
use super::{Primitive, effect, pure, wrong};
use neap_gc::arena::GcHashMap;

pub const PRIMITIVES: &[Primitive] = &[
    pure("make-hash-table", 0, 3, |vm, a| {
        let by_identity = a.first().is_some_and(|&same| matches!(same, Value::Primitive(p) if matches!(p.name, "eq?" | "eqv?")));
        if by_identity { identities(vm) } else { contents(vm) }
    }),
    pure("make-equal-hash-table", 0, 1, |vm, _| contents(vm)),
    pure("make-eqv-hash-table", 0, 1, |vm, _| identities(vm)),
    pure("hash-table?", 1, 1, |_, a| Ok(Value::Boolean(table(a[0]).is_some()))),
    pure("hash-table-ref/default", 3, 3, |vm, a| Ok(of(vm, a[0])?.get(a[1]).unwrap_or(a[2]))),
    pure("hash-table-contains?", 2, 2, |vm, a| Ok(Value::Boolean(of(vm, a[0])?.get(a[1]).is_some()))),
    pure("hash-table-exists?", 2, 2, |vm, a| Ok(Value::Boolean(of(vm, a[0])?.get(a[1]).is_some()))),
    pure("hash-table-size", 1, 1, |vm, a| Ok(Value::Integer(of(vm, a[0])?.len() as i64))),
    pure("hash-table-count", 1, 1, |vm, a| Ok(Value::Integer(of(vm, a[0])?.len() as i64))),
    effect("hash-table-set!", 3, 3, |vm, a| {
        match of(vm, a[0])? {
            Table::Content(table) => table.try_insert(vm.mc, ByContent(a[1]), a[2])?,
            Table::Identity(table) => table.try_insert(vm.mc, ByIdentity(a[1]), a[2])?,
        };
        Ok(Value::Unspecified)
    }),
    effect("hash-table-delete!", 2, 2, |vm, a| {
        match of(vm, a[0])? {
            Table::Content(table) => table.remove(vm.mc, &ByContent(a[1])),
            Table::Identity(table) => table.remove(vm.mc, &ByIdentity(a[1])),
        };
        Ok(Value::Unspecified)
    }),
    effect("hash-table-clear!", 1, 1, |vm, a| {
        match of(vm, a[0])? {
            Table::Content(table) => table.clear(vm.mc),
            Table::Identity(table) => table.clear(vm.mc),
        }
        Ok(Value::Unspecified)
    }),
    pure("hash-table-keys", 1, 1, |vm, a| {
        let entries = of(vm, a[0])?.entries();
        vm.list(entries.into_iter().map(|(key, _)| key))
    }),
    pure("hash-table-values", 1, 1, |vm, a| {
        let entries = of(vm, a[0])?.entries();
        vm.list(entries.into_iter().map(|(_, value)| value))
    }),
    pure("hash-table->alist", 1, 1, |vm, a| {
        let entries = of(vm, a[0])?.entries();
        entries.into_iter().try_fold(Value::Nil, |list, (key, value)| vm.cons(vm.cons(key, value)?, list))
    }),
];

#[derive(Clone, Copy)]
enum Table<'gc> {
    Content(GcHashMap<'gc, ByContent<'gc>, Value<'gc>>),
    Identity(GcHashMap<'gc, ByIdentity<'gc>, Value<'gc>>),
}

impl<'gc> Table<'gc> {
    fn get(self, key: Value<'gc>) -> Option<Value<'gc>> {
        match self {
            Table::Content(table) => table.get(&ByContent(key)),
            Table::Identity(table) => table.get(&ByIdentity(key)),
        }
    }
    fn len(self) -> usize {
        match self {
            Table::Content(table) => table.len(),
            Table::Identity(table) => table.len(),
        }
    }
    fn entries(self) -> Vec<(Value<'gc>, Value<'gc>)> {
        match self {
            Table::Content(table) => table.iter().map(|(key, value)| (key.0, value)).collect(),
            Table::Identity(table) => table.iter().map(|(key, value)| (key.0, value)).collect(),
        }
    }
}

fn table<'gc>(value: Value<'gc>) -> Option<Table<'gc>> {
    match as_object(value)? {
        Object::EqualTable(table) => Some(Table::Content(*table)),
        Object::EqvTable(table) => Some(Table::Identity(*table)),
        _ => None,
    }
}
fn of<'gc>(vm: &Vm<'gc>, value: Value<'gc>) -> Answer<'gc, Table<'gc>> {
    table(value).map_or_else(|| wrong(vm, "no hash table", value), Ok)
}

fn contents<'gc>(vm: &Vm<'gc>) -> Answer<'gc> {
    vm.object(Object::EqualTable(GcHashMap::try_new(vm.mc)?))
}
fn identities<'gc>(vm: &Vm<'gc>) -> Answer<'gc> {
    vm.object(Object::EqvTable(GcHashMap::try_new(vm.mc)?))
}
