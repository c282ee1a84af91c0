//! Characters and strings.

use super::super::machine::{Answer, Vm};
use super::super::value::{Text, Value, text_of};
use super::{ANY, Primitive, effect, index, pure, range, size, wrong};
use std::cell::Cell;
use std::cmp::Ordering;

pub const PRIMITIVES: &[Primitive] = &[
    pure("char->integer", 1, 1, |vm, a| Ok(Value::Integer(char_of(vm, a[0])? as i64))),
    pure("integer->char", 1, 1, |vm, a| {
        let code = if let Value::Integer(code) = a[0] { u32::try_from(code).ok() } else { None };
        code.and_then(char::from_u32).map_or_else(|| wrong(vm, "no character has this code", a[0]), |c| Ok(Value::Char(c)))
    }),
    pure("char-upcase", 1, 1, |vm, a| Ok(Value::Char(upper(char_of(vm, a[0])?)))),
    pure("char-downcase", 1, 1, |vm, a| Ok(Value::Char(lower(char_of(vm, a[0])?)))),
    pure("char-foldcase", 1, 1, |vm, a| Ok(Value::Char(lower(char_of(vm, a[0])?)))),
    pure("char-alphabetic?", 1, 1, |vm, a| Ok(Value::Boolean(char_of(vm, a[0])?.is_alphabetic()))),
    pure("char-numeric?", 1, 1, |vm, a| Ok(Value::Boolean(char_of(vm, a[0])?.is_numeric()))),
    pure("char-whitespace?", 1, 1, |vm, a| Ok(Value::Boolean(char_of(vm, a[0])?.is_whitespace()))),
    pure("char-upper-case?", 1, 1, |vm, a| Ok(Value::Boolean(char_of(vm, a[0])?.is_uppercase()))),
    pure("char-lower-case?", 1, 1, |vm, a| Ok(Value::Boolean(char_of(vm, a[0])?.is_lowercase()))),
    pure("digit-value", 1, 1, |vm, a| {
        Ok(char_of(vm, a[0])?.to_digit(10).map_or(Value::Boolean(false), |digit| Value::Integer(digit.into())))
    }),
    pure("char=?", 1, ANY, |vm, a| chars(vm, a, |c| c, Ordering::is_eq)),
    pure("char<?", 1, ANY, |vm, a| chars(vm, a, |c| c, Ordering::is_lt)),
    pure("char>?", 1, ANY, |vm, a| chars(vm, a, |c| c, Ordering::is_gt)),
    pure("char<=?", 1, ANY, |vm, a| chars(vm, a, |c| c, Ordering::is_le)),
    pure("char>=?", 1, ANY, |vm, a| chars(vm, a, |c| c, Ordering::is_ge)),
    pure("char-ci=?", 1, ANY, |vm, a| chars(vm, a, lower, Ordering::is_eq)),
    // ---- strings
    pure("string", 0, ANY, |vm, a| {
        let all = a.iter().map(|&value| char_of(vm, value)).collect::<Answer<Vec<char>>>()?;
        string(vm, &all)
    }),
    pure("make-string", 1, 2, |vm, a| {
        let fill = a.get(1).map_or(Ok(' '), |&fill| char_of(vm, fill))?;
        Ok(Value::String(vm.mc.try_alloc_slice_with(size(vm, a[0])?, |_| Cell::new(fill))?))
    }),
    pure("string-length", 1, 1, |vm, a| Ok(Value::Integer(string_of(vm, a[0])?.len() as i64))),
    pure("string-ref", 2, 2, |vm, a| {
        let text = string_of(vm, a[0])?;
        Ok(Value::Char(text[index(vm, a[1], text.len(), false)?].get()))
    }),
    effect("string-set!", 3, 3, |vm, a| {
        let text = string_of(vm, a[0])?;
        let (at, new) = (index(vm, a[1], text.len(), false)?, char_of(vm, a[2])?);
        text[at].set(new);
        Ok(Value::Unspecified)
    }),
    effect("string-fill!", 2, 4, |vm, a| {
        let (text, fill) = (string_of(vm, a[0])?, char_of(vm, a[1])?);
        text[range(vm, a, 2, text.len())?].iter().for_each(|c| c.set(fill));
        Ok(Value::Unspecified)
    }),
    pure("string-append", 0, ANY, |vm, a| {
        // The heap has a limit, the host's memory none.
        let parts = a.iter().map(|&part| string_of(vm, part)).collect::<Answer<Vec<_>>>()?;
        let mut all = parts.iter().flat_map(|part| part.iter());
        let length = parts.iter().map(|part| part.len()).sum();
        let next = |_| all.next().cloned().unwrap_or_default();
        Ok(Value::String(vm.mc.try_alloc_slice_with(length, next)?))
    }),
    pure("substring", 2, 3, copy),
    pure("string-copy", 1, 3, copy),
    effect("string-copy!", 3, 5, |vm, a| {
        let (to, from) = (string_of(vm, a[0])?, string_of(vm, a[2])?);
        let range = range(vm, a, 3, from.len())?;
        let at = index(vm, a[1], to.len(), true)?;
        if range.len() > to.len() - at {
            return wrong(vm, "a string is too short", a[0]);
        }
        let copied: Vec<char> = from[range].iter().map(Cell::get).collect();
        to[at..].iter().zip(copied).for_each(|(to, c)| to.set(c));
        Ok(Value::Unspecified)
    }),
    pure("string->list", 1, 3, |vm, a| {
        let text = string_of(vm, a[0])?;
        let range = range(vm, a, 1, text.len())?;
        vm.list(text[range].iter().map(|c| Value::Char(c.get())))
    }),
    pure("list->string", 1, 1, |vm, a| {
        let list = super::lists::list_of(vm, a[0])?;
        let all = list.iter().map(|&value| char_of(vm, value)).collect::<Answer<Vec<char>>>()?;
        string(vm, &all)
    }),
    pure("string->vector", 1, 3, |vm, a| {
        let text = string_of(vm, a[0])?;
        let range = range(vm, a, 1, text.len())?;
        super::data::vector(vm, range.len(), |n| Value::Char(text[range.start + n].get()))
    }),
    pure("string-upcase", 1, 1, |vm, a| mapped(vm, a[0], str::to_uppercase)),
    pure("string-downcase", 1, 1, |vm, a| mapped(vm, a[0], str::to_lowercase)),
    pure("string-foldcase", 1, 1, |vm, a| mapped(vm, a[0], str::to_lowercase)),
    pure("string=?", 1, ANY, |vm, a| strings(vm, a, |c| c, Ordering::is_eq)),
    pure("string<?", 1, ANY, |vm, a| strings(vm, a, |c| c, Ordering::is_lt)),
    pure("string>?", 1, ANY, |vm, a| strings(vm, a, |c| c, Ordering::is_gt)),
    pure("string<=?", 1, ANY, |vm, a| strings(vm, a, |c| c, Ordering::is_le)),
    pure("string>=?", 1, ANY, |vm, a| strings(vm, a, |c| c, Ordering::is_ge)),
    pure("string-ci=?", 1, ANY, |vm, a| strings(vm, a, lower, Ordering::is_eq)),
    pure("string-index", 2, 2, |vm, a| {
        let (text, wanted) = (string_of(vm, a[0])?, char_of(vm, a[1])?);
        let found = text.iter().position(|c| c.get() == wanted);
        Ok(found.map_or(Value::Boolean(false), |at| Value::Integer(at as i64)))
    }),
];

fn char_of<'gc>(vm: &Vm<'gc>, value: Value<'gc>) -> Answer<'gc, char> {
    if let Value::Char(c) = value { Ok(c) } else { wrong(vm, "no character", value) }
}

pub fn string_of<'gc>(vm: &Vm<'gc>, value: Value<'gc>) -> Answer<'gc, Text<'gc>> {
    if let Value::String(text) = value { Ok(text) } else { wrong(vm, "no string", value) }
}

pub fn string<'gc>(vm: &Vm<'gc>, chars: &[char]) -> Answer<'gc> {
    Ok(Value::String(vm.mc.try_alloc_slice_with(chars.len(), |n| Cell::new(chars[n]))?))
}

fn upper(c: char) -> char {
    let mut upper = c.to_uppercase();
    if upper.len() == 1 { upper.next().unwrap_or(c) } else { c }
}
fn lower(c: char) -> char {
    let mut lower = c.to_lowercase();
    if lower.len() == 1 { lower.next().unwrap_or(c) } else { c }
}

fn copy<'gc>(vm: &mut Vm<'gc>, a: &[Value<'gc>]) -> Answer<'gc> {
    let text = string_of(vm, a[0])?;
    let range = range(vm, a, 1, text.len())?;
    Ok(Value::String(vm.mc.try_alloc_slice_with(range.len(), |n| text[range.start + n].clone())?))
}

fn mapped<'gc>(vm: &Vm<'gc>, value: Value<'gc>, map: fn(&str) -> String) -> Answer<'gc> {
    vm.string(&map(&text_of(string_of(vm, value)?)))
}

fn chars<'gc>(vm: &Vm<'gc>, a: &[Value<'gc>], by: fn(char) -> char, holds: fn(Ordering) -> bool) -> Answer<'gc> {
    let all = a.iter().map(|&value| char_of(vm, value).map(by)).collect::<Answer<Vec<char>>>()?;
    Ok(Value::Boolean(all.windows(2).all(|pair| holds(pair[0].cmp(&pair[1])))))
}

fn strings<'gc>(vm: &Vm<'gc>, a: &[Value<'gc>], by: fn(char) -> char, holds: fn(Ordering) -> bool) -> Answer<'gc> {
    let all = a.iter().map(|&value| string_of(vm, value)).collect::<Answer<Vec<_>>>()?;
    let order = |a: Text<'gc>, b: Text<'gc>| a.iter().map(|c| by(c.get())).cmp(b.iter().map(|c| by(c.get())));
    Ok(Value::Boolean(all.windows(2).all(|pair| holds(order(pair[0], pair[1])))))
}
