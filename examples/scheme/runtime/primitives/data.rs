//! Predicates, symbols, vectors, bytevectors.

use super::super::equal::{equal, eqv};
use super::super::machine::{Answer, Vm};
use super::super::value::{Bytes, Object, Value, Vector, text_of};
use super::{ANY, Fast, Primitive, effect, fast, index, pure, range, size, wrong};
use neap_gc::arena::Lock;
use std::cell::Cell;

pub const PRIMITIVES: &[Primitive] = &[
    pure("eq?", 2, 2, |_, a| Ok(Value::Boolean(eqv(a[0], a[1])))),
    pure("eqv?", 2, 2, |_, a| Ok(Value::Boolean(eqv(a[0], a[1])))),
    pure("equal?", 2, 2, |_, a| Ok(Value::Boolean(equal(a[0], a[1])))),
    fast("not", 1, 1, Fast::Not, |_, a| Ok(Value::Boolean(!a[0].is_true()))),
    pure("boolean?", 1, 1, |_, a| Ok(Value::Boolean(matches!(a[0], Value::Boolean(_))))),
    pure("symbol?", 1, 1, |_, a| Ok(Value::Boolean(matches!(a[0], Value::Symbol(_))))),
    pure("string?", 1, 1, |_, a| Ok(Value::Boolean(matches!(a[0], Value::String(_))))),
    pure("char?", 1, 1, |_, a| Ok(Value::Boolean(matches!(a[0], Value::Char(_))))),
    pure("vector?", 1, 1, |_, a| Ok(Value::Boolean(matches!(a[0], Value::Vector(_))))),
    pure("bytevector?", 1, 1, |_, a| Ok(Value::Boolean(matches!(a[0], Value::Bytes(_))))),
    pure("procedure?", 1, 1, |_, a| Ok(Value::Boolean(a[0].is_procedure()))),
    pure("eof-object", 0, 0, |_, _| Ok(Value::Eof)),
    pure("eof-object?", 1, 1, |_, a| Ok(Value::Boolean(matches!(a[0], Value::Eof)))),
    pure("values", 0, ANY, |vm, a| match a {
        &[one] => Ok(one),
        _ => {
            let values = vm.mc.try_alloc_slice(a)?;
            vm.object(Object::Values(values))
        }
    }),
    // ---- symbols
    pure("symbol->string", 1, 1, |vm, a| {
        let Value::Symbol(symbol) = a[0] else { return wrong(vm, "no symbol", a[0]) };
        vm.string(&symbol.name)
    }),
    effect("string->symbol", 1, 1, |vm, a| {
        let Value::String(text) = a[0] else { return wrong(vm, "no string", a[0]) };
        Ok(Value::Symbol(vm.intern(&text_of(text))?))
    }),
    // ---- vectors
    pure("vector", 0, ANY, |vm, a| vector(vm, a.len(), |n| a[n])),
    pure("make-vector", 1, 2, |vm, a| {
        let fill = a.get(1).copied().unwrap_or(Value::Unspecified);
        let count = size(vm, a[0])?;
        vector(vm, count, |_| fill)
    }),
    pure("vector-length", 1, 1, |vm, a| Ok(Value::Integer(vector_of(vm, a[0])?.len() as i64))),
    pure("vector-ref", 2, 2, |vm, a| {
        let vector = vector_of(vm, a[0])?;
        Ok(vector[index(vm, a[1], vector.len(), false)?].get())
    }),
    effect("vector-set!", 3, 3, |vm, a| {
        let vector = vector_of(vm, a[0])?;
        vector.set(vm.mc, index(vm, a[1], vector.len(), false)?, a[2]);
        Ok(Value::Unspecified)
    }),
    effect("vector-fill!", 2, 4, |vm, a| {
        let vector = vector_of(vm, a[0])?;
        for n in range(vm, a, 2, vector.len())? {
            vector.set(vm.mc, n, a[1]);
        }
        Ok(Value::Unspecified)
    }),
    pure("vector->list", 1, 3, |vm, a| {
        let vector = vector_of(vm, a[0])?;
        let range = range(vm, a, 1, vector.len())?;
        vm.list(vector[range].iter().map(Lock::get))
    }),
    pure("vector-copy", 1, 3, |vm, a| {
        let old = vector_of(vm, a[0])?;
        let range = range(vm, a, 1, old.len())?;
        vector(vm, range.len(), |n| old[range.start + n].get())
    }),
    effect("vector-copy!", 3, 5, |vm, a| {
        let (to, from) = (vector_of(vm, a[0])?, vector_of(vm, a[2])?);
        let range = range(vm, a, 3, from.len())?;
        let at = index(vm, a[1], to.len(), true)?;
        if range.len() > to.len() - at {
            return wrong(vm, "a vector is too short", a[0]);
        }
        let copy = |n: usize| to.set(vm.mc, at + n, from[range.start + n].get());
        // They may be the same.
        if at <= range.start {
            (0..range.len()).for_each(copy)
        } else {
            (0..range.len()).rev().for_each(copy)
        }
        Ok(Value::Unspecified)
    }),
    pure("vector-append", 0, ANY, |vm, a| {
        // The heap has a limit, the host's memory none.
        let parts = a.iter().map(|&part| vector_of(vm, part)).collect::<Answer<Vec<_>>>()?;
        let mut all = parts.iter().flat_map(|part| part.iter());
        let next = |_| Lock::new(all.next().map_or(Value::Unspecified, Lock::get));
        Ok(Value::Vector(vm.mc.try_alloc_slice_with(parts.iter().map(|part| part.len()).sum(), next)?))
    }),
    // ---- bytevectors
    pure("bytevector", 0, ANY, |vm, a| {
        let bytes = a.iter().map(|&value| byte(vm, value)).collect::<Answer<Vec<u8>>>()?;
        bytes_of_slice(vm, &bytes)
    }),
    pure("make-bytevector", 1, 2, |vm, a| {
        let fill = a.get(1).map_or(Ok(0), |&fill| byte(vm, fill))?;
        Ok(Value::Bytes(vm.mc.try_alloc_slice_with(size(vm, a[0])?, |_| Cell::new(fill))?))
    }),
    pure("bytevector-length", 1, 1, |vm, a| Ok(Value::Integer(bytes_of(vm, a[0])?.len() as i64))),
    pure("bytevector-u8-ref", 2, 2, |vm, a| {
        let bytes = bytes_of(vm, a[0])?;
        Ok(Value::Integer(bytes[index(vm, a[1], bytes.len(), false)?].get().into()))
    }),
    effect("bytevector-u8-set!", 3, 3, |vm, a| {
        let bytes = bytes_of(vm, a[0])?;
        let (at, new) = (index(vm, a[1], bytes.len(), false)?, byte(vm, a[2])?);
        bytes[at].set(new);
        Ok(Value::Unspecified)
    }),
    pure("bytevector-copy", 1, 3, |vm, a| {
        let bytes = bytes_of(vm, a[0])?;
        let range = range(vm, a, 1, bytes.len())?;
        let copy: Vec<u8> = bytes[range].iter().map(Cell::get).collect();
        bytes_of_slice(vm, &copy)
    }),
    pure("bytevector-append", 0, ANY, |vm, a| {
        let parts = a.iter().map(|&part| bytes_of(vm, part)).collect::<Answer<Vec<_>>>()?;
        let mut all = parts.iter().flat_map(|part| part.iter());
        let next = |_| all.next().cloned().unwrap_or_default();
        Ok(Value::Bytes(vm.mc.try_alloc_slice_with(parts.iter().map(|part| part.len()).sum(), next)?))
    }),
    pure("utf8->string", 1, 3, |vm, a| {
        let bytes = bytes_of(vm, a[0])?;
        let range = range(vm, a, 1, bytes.len())?;
        let bytes: Vec<u8> = bytes[range].iter().map(Cell::get).collect();
        match std::str::from_utf8(&bytes) {
            Ok(text) => vm.string(text),
            Err(_) => wrong(vm, "no UTF-8", a[0]),
        }
    }),
    pure("string->utf8", 1, 1, |vm, a| {
        let Value::String(text) = a[0] else { return wrong(vm, "no string", a[0]) };
        bytes_of_slice(vm, text_of(text).as_bytes())
    }),
];

pub fn vector<'gc>(vm: &Vm<'gc>, length: usize, element: impl Fn(usize) -> Value<'gc>) -> Answer<'gc> {
    Ok(Value::Vector(vm.mc.try_alloc_slice_with(length, |n| Lock::new(element(n)))?))
}

fn vector_of<'gc>(vm: &Vm<'gc>, value: Value<'gc>) -> Answer<'gc, Vector<'gc>> {
    if let Value::Vector(vector) = value { Ok(vector) } else { wrong(vm, "no vector", value) }
}

fn bytes_of<'gc>(vm: &Vm<'gc>, value: Value<'gc>) -> Answer<'gc, Bytes<'gc>> {
    if let Value::Bytes(bytes) = value { Ok(bytes) } else { wrong(vm, "no bytevector", value) }
}

fn byte<'gc>(vm: &Vm<'gc>, value: Value<'gc>) -> Answer<'gc, u8> {
    match value {
        Value::Integer(number) if (0..256).contains(&number) => Ok(number as u8),
        _ => wrong(vm, "no byte", value),
    }
}

fn bytes_of_slice<'gc>(vm: &Vm<'gc>, bytes: &[u8]) -> Answer<'gc> {
    Ok(Value::Bytes(vm.mc.try_alloc_slice_with(bytes.len(), |n| Cell::new(bytes[n]))?))
}
