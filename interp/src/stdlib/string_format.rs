//! `string.format`: the arguments for the engine in `format`.

use super::format::{Spec, quote_float, quote_integer, quote_piece};
use super::support::{find_byte, raise, text};
use crate::value::{Outcome, Text, Value};
use crate::vm::{Args, Event, PIECE, Throw, Vm, ready};

/// Arguments with `__tostring` are made strings first, one after the other; then nothing has to be waited for.
pub fn format(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    text(vm, args, 0)?;
    format_from(vm, args, 1)
}

fn format_from(vm: &mut Vm, args: Args, first: usize) -> Result<u32, Throw> {
    let format = text(vm, args, 0)?;
    for i in first..args.count() {
        let value = vm.arg(args, i);
        vm.work(1)?;
        if value.is_number() || value.is_str() || vm.metamethod(value, Event::ToString).is_nil() || !is_shown(vm, format, i)? {
            continue;
        }
        vm.set_place(i);
        let shown = ready!(vm.tostring(value, argument_shown));
        vm.set_arg(args, i, shown);
    }
    vm.ret_text(|vm, out| write(vm, args, format, out))
}

fn argument_shown(vm: &mut Vm, args: Args, _: Outcome) -> Result<u32, Throw> {
    let (i, shown) = (vm.place(), vm.at(vm.mark() - 1));
    vm.pop_to(args.end());
    vm.set_arg(args, i, shown);
    format_from(vm, args, i + 1)
}

/// Whether a format shows its `i`-th argument as `tostring` does.
fn is_shown(vm: &mut Vm, format: &[u8], i: usize) -> Result<bool, Throw> {
    let (mut at, mut n) = (0, 0);
    while at < format.len() {
        let piece = &format[at..format.len().min(at + PIECE)];
        let place = memchr::memchr(b'%', piece);
        vm.bulk(place.unwrap_or(piece.len()) + 128)?;
        let Some(place) = place else {
            at += piece.len();
            continue;
        };
        at += place + 1;
        if format.get(at) == Some(&b'%') {
            at += 1;
            continue;
        }
        n += 1;
        let Ok(spec) = Spec::read(format, &mut at) else { return Ok(false) };
        if n == i {
            return Ok(spec.conversion == b's');
        }
    }
    Ok(false)
}

fn write(vm: &mut Vm, args: Args, format: &[u8], out: &mut Text) -> Result<(), Throw> {
    let mut at = 0;
    let mut next = 0;
    while at < format.len() {
        vm.work(8)?;
        let piece = &format[at..format.len().min(at + PIECE)];
        let Some(place) = memchr::memchr(b'%', piece) else {
            vm.append(out, piece)?;
            at += piece.len();
            continue;
        };
        vm.append(out, &piece[..place])?;
        at += place + 1;
        if format.get(at) == Some(&b'%') {
            vm.append(out, b"%")?;
            at += 1;
            continue;
        }
        next += 1;
        if next >= args.count() {
            return Err(vm.arg_error(next, "no value"));
        }
        let spec = Spec::read(format, &mut at).map_err(|fault| raise(vm, fault))?;
        item(vm, args, next, spec, out)?;
        vm.settle(out)?;
    }
    Ok(())
}

fn item(vm: &mut Vm, args: Args, i: usize, spec: Spec, out: &mut Text) -> Result<(), Throw> {
    match spec.conversion {
        b'd' | b'i' | b'u' | b'o' | b'x' | b'X' => {
            let value = vm.check_int(args, i)?;
            let layout = spec.layout().map_err(|fault| raise(vm, fault))?;
            layout.integer(&mut out.near, spec.conversion, value);
        }
        b'a' | b'A' => {
            let layout = spec.layout().map_err(|fault| raise(vm, fault))?;
            layout.float(&mut out.near, spec.conversion, vm.check_num(args, i)?);
        }
        b'e' | b'E' | b'f' | b'g' | b'G' => {
            let value = vm.check_num(args, i)?;
            let layout = spec.layout().map_err(|fault| raise(vm, fault))?;
            layout.float(&mut out.near, spec.conversion, value);
        }
        b'c' => {
            let layout = spec.layout().map_err(|fault| raise(vm, fault))?;
            layout.character(&mut out.near, vm.check_int(args, i)? as u8);
        }
        b's' => {
            let value = vm.arg(args, i);
            let string = vm.plain_text(value)?;
            if spec.is_plain() {
                return vm.append(out, string.bytes());
            }
            if find_byte(vm, string.bytes(), 0)?.is_some() {
                return Err(vm.arg_error(i, "string contains zeros"));
            }
            let layout = spec.layout().map_err(|fault| raise(vm, fault))?;
            match layout.unpadded(string.len()) {
                Some(kept) => vm.append(out, &string.bytes()[..kept])?,
                None => layout.string(&mut out.near, string.bytes()),
            }
        }
        b'p' => {
            let layout = spec.layout().map_err(|fault| raise(vm, fault))?;
            let value = vm.arg(args, i);
            let address = address(vm, value)?;
            layout.pointer(&mut out.near, address);
        }
        b'q' => {
            if !spec.is_plain() {
                return Err(vm.error("specifier '%q' cannot have modifiers"));
            }
            let value = vm.arg(args, i);
            if let Some(string) = value.as_str() {
                quote_string(vm, out, string.bytes())?;
            } else if let Some(integer) = value.as_int() {
                quote_integer(&mut out.near, integer);
            } else if let Some(float) = value.as_float() {
                quote_float(&mut out.near, float);
            } else if value.is_nil() || value.type_name() == "boolean" {
                let string = vm.plain_text(value)?;
                vm.append(out, string.bytes())?;
            } else {
                return Err(vm.arg_error(i, "value has no literal form"));
            }
        }
        _ => return Err(raise(vm, spec.invalid())),
    }
    Ok(())
}

fn quote_string(vm: &mut Vm, out: &mut Text, mut text: &[u8]) -> Result<(), Throw> {
    out.near.push(b'"');
    while !text.is_empty() {
        let (piece, rest) = text.split_at(text.len().min(Text::NEAR));
        vm.work(4 * piece.len())?;
        quote_piece(&mut out.near, piece, rest.first().copied());
        vm.settle(out)?;
        text = rest;
    }
    out.near.push(b'"');
    Ok(())
}

/// The address of a value that has one, or 0. Short strings that are equal have the same one.
fn address(vm: &mut Vm, value: Value) -> Result<usize, Throw> {
    const SHORT: usize = 40;
    if let Some(string) = value.as_str().filter(|string| string.len() <= SHORT) {
        return match string.interned(&mut vm.heap) {
            Ok(string) => Ok(string.addr()),
            Err(_) => Err(vm.memory_error()),
        };
    }
    let has_one = value.is_ref() || value.type_name() == "userdata";
    Ok(if has_one { value.bits() as usize } else { 0 })
}
