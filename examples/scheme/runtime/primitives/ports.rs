//! Input and output: the console, and strings.

use super::super::equal::as_object;
use super::super::machine::{Answer, Vm};
use super::super::print::{Style, print};
use super::super::read::{Missing, Reader};
use super::super::value::{Fault, Object, Port, Value};
use super::{Primitive, effect, pure, wrong};
use neap_gc::arena::GcVec;
use std::cell::Cell;

pub const PRIMITIVES: &[Primitive] = &[
    effect("display", 1, 2, |vm, a| printed(vm, a, Style::Display)),
    effect("write", 1, 2, |vm, a| printed(vm, a, Style::Write)),
    effect("write-simple", 1, 2, |vm, a| printed(vm, a, Style::Write)),
    effect("write-shared", 1, 2, |vm, a| printed(vm, a, Style::Shared)),
    effect("write-char", 1, 2, |vm, a| match a[0] {
        Value::Char(_) => printed(vm, a, Style::Display),
        other => wrong(vm, "no character", other),
    }),
    effect("write-string", 1, 2, |vm, a| match a[0] {
        Value::String(_) => printed(vm, a, Style::Display),
        other => wrong(vm, "no string", other),
    }),
    effect("newline", 0, 1, |vm, a| put(vm, a.first(), "\n")),
    effect("flush-output-port", 0, 1, |_, _| Ok(Value::Unspecified)),
    pure("current-output-port", 0, 0, |vm, _| Ok(vm.machine.console)),
    pure("current-error-port", 0, 0, |vm, _| Ok(vm.machine.console)),
    pure("port?", 1, 1, |_, a| Ok(Value::Boolean(port(a[0]).is_some()))),
    pure("input-port?", 1, 1, |_, a| Ok(Value::Boolean(matches!(port(a[0]), Some(Port::Input { .. }))))),
    pure("output-port?", 1, 1, |_, a| Ok(Value::Boolean(matches!(port(a[0]), Some(Port::Output(_) | Port::Console))))),
    effect("close-port", 1, 1, |_, _| Ok(Value::Unspecified)),
    pure("open-output-string", 0, 0, |vm, _| {
        let text = GcVec::try_new(vm.mc)?;
        vm.object(Object::Port(Port::Output(text)))
    }),
    pure("get-output-string", 1, 1, |vm, a| match port(a[0]) {
        Some(Port::Output(text)) => {
            Ok(Value::String(vm.mc.try_alloc_slice_with(text.len(), |n| Cell::new(text.get(n).unwrap_or(' ')))?))
        }
        _ => wrong(vm, "no port to a string", a[0]),
    }),
    pure("open-input-string", 1, 1, |vm, a| {
        let text = super::text::string_of(vm, a[0])?;
        let text = vm.mc.try_alloc_slice_with(text.len(), |n| text[n].clone())?;
        vm.object(Object::Port(Port::Input { text, at: Cell::new(0) }))
    }),
    effect("read-char", 1, 1, |vm, a| {
        let next = peek(vm, a[0])?;
        if let (Value::Char(_), Some(Port::Input { at, .. })) = (next, port(a[0])) {
            at.set(at.get() + 1);
        }
        Ok(next)
    }),
    effect("peek-char", 1, 1, |vm, a| peek(vm, a[0])),
    effect("char-ready?", 1, 1, |vm, a| peek(vm, a[0]).map(|_| Value::Boolean(true))),
    effect("read-line", 1, 1, |vm, a| {
        let Some(Port::Input { text, at }) = port(a[0]) else { return wrong(vm, "no port to read from", a[0]) };
        let rest = &text[at.get()..];
        if rest.is_empty() {
            return Ok(Value::Eof);
        }
        let line: String = rest.iter().map(Cell::get).take_while(|&c| c != '\n').collect();
        let length = line.chars().count();
        let line = vm.string(&line)?;
        at.set((at.get() + length + 1).min(text.len()));
        Ok(line)
    }),
    effect("read", 1, 1, |vm, a| {
        let Some(Port::Input { text, at }) = port(a[0]) else { return wrong(vm, "no port to read from", a[0]) };
        let rest: String = text[at.get()..].iter().map(Cell::get).collect();
        let mut reader = Reader::new(&rest);
        let datum = reader.read(vm);
        let read = rest[..reader.at].chars().count();
        let datum = match datum {
            Ok(datum) => datum,
            Err(Missing::End) => Value::Eof,
            Err(Missing::Unfinished) => return Err(vm.fault(Fault::Reader, "the text ends within a datum", &[])),
            Err(Missing::Wrong(trap)) => return Err(trap),
        };
        at.set(at.get() + read);
        Ok(datum)
    }),
];

fn port<'gc>(value: Value<'gc>) -> Option<&'gc Port<'gc>> {
    match as_object(value) {
        Some(Object::Port(port)) => Some(port),
        _ => None,
    }
}

fn peek<'gc>(vm: &Vm<'gc>, value: Value<'gc>) -> Answer<'gc> {
    match port(value) {
        Some(Port::Input { text, at }) => Ok(text.get(at.get()).map_or(Value::Eof, |c| Value::Char(c.get()))),
        _ => wrong(vm, "no port to read from", value),
    }
}

fn printed<'gc>(vm: &mut Vm<'gc>, a: &[Value<'gc>], style: Style) -> Answer<'gc> {
    let Some(text) = print(a[0], style) else { return Err(vm.error("too long to be printed", &[])) };
    put(vm, a.get(1), &text)
}

fn put<'gc>(vm: &mut Vm<'gc>, to: Option<&Value<'gc>>, text: &str) -> Answer<'gc> {
    match to.map(|&to| (to, port(to))) {
        None | Some((_, Some(Port::Console))) => {
            vm.out.extend_from_slice(text.as_bytes());
        }
        Some((_, Some(Port::Output(so_far)))) => {
            // effect-last: room first.
            so_far.try_reserve(vm.mc, text.chars().count())?;
            for c in text.chars() {
                so_far.try_push(vm.mc, c)?;
            }
        }
        Some((other, _)) => return wrong(vm, "no port to write to", other),
    }
    Ok(Value::Unspecified)
}
