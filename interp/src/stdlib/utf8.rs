//! The UTF-8 library (§6.5). May import `utf8_codec`, `support`, the machine.

use super::support::{self, Functions, text};
use super::utf8_codec::{CHAR_PATTERN, MAX_CODE, decode, encode, is_continuation};
use crate::value::Value;
use crate::vm::{Args, Throw, Vm};

const INVALID: &str = "invalid UTF-8 code";

const FUNCTIONS: Functions = &[("char", char), ("codepoint", codepoint), ("codes", codes), ("len", len), ("offset", offset)];

pub fn open(vm: &mut Vm) -> Result<(), Throw> {
    let library = support::library(vm, "utf8", FUNCTIONS)?;
    vm.mark_restartable(library, FUNCTIONS.iter().map(|&(name, _)| name))?;
    let pattern = vm.new_str(CHAR_PATTERN)?;
    vm.set_field(library, "charpattern", pattern)
}

/// A position of this library: counted from 1, negative from the end, 0 if before the beginning.
fn position(position: i64, length: usize) -> i64 {
    if position >= 0 { position } else { (length as i64 + 1).saturating_add(position).max(0) }
}

fn continues(text: &[u8], at: usize) -> bool {
    text.get(at).is_some_and(|&byte| is_continuation(byte))
}

fn char(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    vm.ret_text(|vm, out| {
        for i in 0..args.count() {
            let code = vm.check_int(args, i)?;
            match u32::try_from(code) {
                Ok(code) if code <= MAX_CODE => encode(&mut out.near, code),
                _ => return Err(vm.arg_error(i, "value out of range")),
            }
            vm.settle(out)?;
            vm.work(1)?;
        }
        Ok(())
    })
}

fn codepoint(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let text = text(vm, args, 0)?;
    let first = position(vm.opt_int(args, 1, 1)?, text.len());
    let last = position(vm.opt_int(args, 2, first)?, text.len());
    let lax = vm.arg(args, 3).is_truthy();
    if first < 1 {
        return Err(vm.arg_error(1, "out of bounds"));
    }
    if last > text.len() as i64 {
        return Err(vm.arg_error(2, "out of bounds"));
    }
    if first > last {
        return Ok(0);
    }
    support::reserve(vm, (last - first) as usize + 1, "string slice too long")?;
    let mut at = first as usize - 1;
    let mut count = 0;
    while at < last as usize {
        let Some((code, length)) = decode(&text[at..], lax) else { return Err(vm.error(INVALID)) };
        vm.push(Value::int(code.into()))?;
        at += length;
        count += 1;
        vm.work(1)?;
    }
    Ok(count)
}

fn codes(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let text = text(vm, args, 0)?;
    let lax = vm.arg(args, 1).is_truthy();
    if continues(text, 0) {
        return Err(vm.arg_error(0, INVALID));
    }
    let next: crate::value::NativeFn =
        if lax { |vm, args| next_code(vm, args, true) } else { |vm, args| next_code(vm, args, false) };
    let function = vm.new_native("for iterator", next, &[])?;
    vm.push(function)?;
    let state = vm.arg(args, 0);
    vm.push(state)?;
    vm.push(Value::int(0))?;
    Ok(3)
}

fn next_code(vm: &mut Vm, args: Args, lax: bool) -> Result<u32, Throw> {
    let text = text(vm, args, 0)?;
    // The position of the last sequence, counted from 1: the byte behind its first one. (Negative ones are far beyond the end.)
    let last = vm.arg(args, 1).as_int().unwrap_or(0) as u64;
    let mut at = usize::try_from(last).unwrap_or(usize::MAX);
    while continues(text, at) {
        at += 1;
        vm.work(1)?;
    }
    if at >= text.len() {
        return Ok(0);
    }
    match decode(&text[at..], lax) {
        Some((code, length)) if !continues(text, at + length) => {
            vm.push(Value::int(at as i64 + 1))?;
            vm.push(Value::int(code.into()))?;
            Ok(2)
        }
        _ => Err(vm.error(INVALID)),
    }
}

fn len(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let text = text(vm, args, 0)?;
    let first = position(vm.opt_int(args, 1, 1)?, text.len());
    let last = position(vm.opt_int(args, 2, -1)?, text.len());
    let lax = vm.arg(args, 3).is_truthy();
    if first < 1 || first > text.len() as i64 + 1 {
        return Err(vm.arg_error(1, "initial position out of bounds"));
    }
    if last > text.len() as i64 {
        return Err(vm.arg_error(2, "final position out of bounds"));
    }
    let mut at = first as usize - 1;
    let mut count = 0;
    while (at as i64) < last {
        let Some((_, length)) = decode(&text[at..], lax) else {
            vm.push(Value::NIL)?;
            vm.push(Value::int(at as i64 + 1))?;
            return Ok(2);
        };
        at += length;
        count += 1;
        vm.work(1)?;
    }
    vm.ret1(Value::int(count))
}

fn offset(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let text = text(vm, args, 0)?;
    let mut n = vm.check_int(args, 1)?;
    let default = if n >= 0 { 1 } else { text.len() as i64 + 1 };
    let from = position(vm.opt_int(args, 2, default)?, text.len());
    if from < 1 || from > text.len() as i64 + 1 {
        return Err(vm.arg_error(2, "position out of bounds"));
    }
    let mut at = from as usize - 1;
    if n == 0 {
        // The beginning of the sequence that this byte belongs to.
        while at > 0 && continues(text, at) {
            at -= 1;
            vm.work(1)?;
        }
        return vm.ret1(Value::int(at as i64 + 1));
    }
    if continues(text, at) {
        return Err(vm.error("initial position is a continuation byte"));
    }
    if n < 0 {
        while n < 0 && at > 0 {
            at -= 1;
            vm.work(1)?;
            while at > 0 && continues(text, at) {
                at -= 1;
                vm.work(1)?;
            }
            n += 1;
        }
    } else {
        n -= 1;
        while n > 0 && at < text.len() {
            at += 1;
            vm.work(1)?;
            while continues(text, at) {
                at += 1;
                vm.work(1)?;
            }
            n -= 1;
        }
    }
    vm.ret1(if n == 0 { Value::int(at as i64 + 1) } else { Value::NIL })
}
