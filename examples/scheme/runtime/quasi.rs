//! Quasi-quotation: from a template to the expression that makes what it says.
//!
//! A list becomes `(append (list a b) c ...)`, flat however long it is.
//!
//! Imports `compile` for the limit of nesting, `primitives`, `syntax`, `value`.

use super::compile::NESTED;
use super::machine::{Answer, Vm};
use super::primitives;
use super::syntax::{self, Core};
use super::value::Value;
use neap_gc::arena::Lock;

/// An expression that makes what a template says: `(append (list a b) c ...)`.
pub fn expand<'gc>(vm: &Vm<'gc>, template: Value<'gc>, level: u32, depth: u32) -> Answer<'gc> {
    if depth > NESTED {
        return Err(vm.error("a template is nested too deep", &[]));
    }
    let standard = |name| primitives::find(name).map_or(Value::Nil, Value::Primitive);
    let quoted = |value| vm.list([Value::Core(Core::Quote), value].into_iter());
    if let Value::Vector(vector) = template {
        let list = vm.list(vector.iter().map(Lock::get))?;
        let elements = expand(vm, list, level, depth + 1)?;
        return vm.list([standard("list->vector"), elements].into_iter());
    }
    let Value::Pair(_) = template else { return quoted(template) };
    if let Some((name, operand)) = unquotation(template, "unquote") {
        return if level == 0 { Ok(operand) } else { deeper(vm, name, operand, level - 1, depth) };
    }
    if let Some((name, operand)) = unquotation(template, "quasiquote") {
        return deeper(vm, name, operand, level + 1, depth);
    }
    let (mut parts, mut run, mut rest) = (vec![standard("append")], vec![standard("list")], template);
    while let Some((first, behind)) = rest.uncons() {
        // (a . ,b) is (a unquote b).
        if run.len() + parts.len() > 2 && (unquotation(rest, "unquote").is_some() || unquotation(rest, "quasiquote").is_some()) {
            break;
        }
        match unquotation(first, "unquote-splicing") {
            Some((_, operand)) if level == 0 => {
                parts.push(vm.list(run.drain(..))?);
                parts.push(operand);
                run.push(standard("list"));
            }
            Some((name, operand)) => run.push(deeper(vm, name, operand, level - 1, depth)?),
            None => run.push(expand(vm, first, level, depth + 1)?),
        }
        rest = behind;
    }
    if run.len() > 1 {
        parts.push(vm.list(run.into_iter())?);
    }
    parts.push(if let Value::Nil = rest { quoted(rest)? } else { expand(vm, rest, level, depth + 1)? });
    vm.list(parts.into_iter())
}

/// `(name operand)` as a list that is made.
fn deeper<'gc>(vm: &Vm<'gc>, name: Value<'gc>, operand: Value<'gc>, level: u32, depth: u32) -> Answer<'gc> {
    let operand = expand(vm, operand, level, depth + 1)?;
    let list = primitives::find("list").map_or(Value::Nil, Value::Primitive);
    let name = vm.list([Value::Core(Core::Quote), name].into_iter())?;
    vm.list([list, name, operand].into_iter())
}

/// Whether a form is `(name operand)`.
fn unquotation<'gc>(form: Value<'gc>, name: &str) -> Option<(Value<'gc>, Value<'gc>)> {
    let (first, rest) = form.uncons()?;
    let (operand, Value::Nil) = rest.uncons()? else { return None };
    let found = match first {
        Value::Symbol(symbol) => *syntax::original(symbol).name == *name,
        Value::Core(Core::Quasiquote) => name == "quasiquote",
        _ => false,
    };
    found.then_some((first, operand))
}
