//! The string library (§6.4): the functions without patterns and formats. May import the algorithms, `support`, the machine.

use super::support::{self, Functions, end, find_byte, raise, start, text};
use super::{pack, string_arith, string_format, string_pattern};
use crate::value::{NewStr, Tag, Text, Value};
use crate::vm::{Args, PIECE, Throw, Vm};

const FUNCTIONS: Functions = &[
    ("byte", byte),
    ("char", char),
    ("dump", dump),
    ("find", string_pattern::find),
    ("format", string_format::format),
    ("gmatch", string_pattern::gmatch),
    ("gsub", string_pattern::gsub),
    ("len", len),
    ("lower", lower),
    ("match", string_pattern::match_),
    ("pack", pack_values),
    ("packsize", packsize),
    ("rep", rep),
    ("reverse", reverse),
    ("sub", sub),
    ("unpack", unpack),
    ("upper", upper),
];

pub fn open(vm: &mut Vm) -> Result<(), Throw> {
    let library = support::library(vm, "string", FUNCTIONS)?;
    vm.mark_restartable(library, FUNCTIONS.iter().map(|&(name, _)| name))?;
    let meta = vm.new_table(0, 16)?;
    vm.set_field(meta, "__index", Value::table(library))?;
    string_arith::open(vm, meta)?;
    vm.set_type_metatable(Tag::STR, Some(meta));
    Ok(())
}

fn byte(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let text = text(vm, args, 0)?;
    let first = vm.opt_int(args, 1, 1)?;
    let from = start(first, text.len());
    let last = vm.opt_int(args, 2, first)?;
    let to = end(last, text.len());
    let bytes = text.get(from..to).unwrap_or_default();
    support::reserve(vm, bytes.len(), "string slice too long")?;
    for &byte in bytes {
        vm.push(Value::int(byte.into()))?;
        vm.work(1)?;
    }
    Ok(bytes.len() as u32)
}

fn char(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    vm.ret_text(|vm, out| {
        for i in 0..args.count() {
            let code = vm.check_int(args, i)?;
            out.near.push(u8::try_from(code).map_err(|_| vm.arg_error(i, "value out of range"))?);
            vm.settle(out)?;
            vm.work(1)?;
        }
        Ok(())
    })
}

fn dump(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let function = vm.check_function(args, 0)?;
    let strip = vm.arg(args, 1).is_truthy();
    let Some(closure) = function.as_closure() else { return Err(vm.error("unable to dump given function")) };
    vm.ret_text(|vm, out| vm.dump(closure, strip, out))
}

fn len(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let text = text(vm, args, 0)?;
    vm.ret1(Value::int(text.len() as i64))
}

fn lower(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let text = text(vm, args, 0)?;
    changed(vm, text, <[u8]>::make_ascii_lowercase)
}

fn upper(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let text = text(vm, args, 0)?;
    changed(vm, text, <[u8]>::make_ascii_uppercase)
}

fn reverse(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let text = text(vm, args, 0)?;
    if text.len() <= PIECE {
        return changed(vm, text, <[u8]>::reverse);
    }
    let mut string = NewStr::begin(&mut vm.heap, text.len()).map_err(|_| vm.memory_error())?;
    for piece in text.rchunks(PIECE) {
        vm.bulk(piece.len())?;
        string.put(piece).reverse();
    }
    vm.ret1(Value::str(string.end()))
}

/// Pushes a text whose pieces are changed one by one.
fn changed(vm: &mut Vm, text: &[u8], change: fn(&mut [u8])) -> Result<u32, Throw> {
    let mut string = NewStr::begin(&mut vm.heap, text.len()).map_err(|_| vm.memory_error())?;
    let mut rest = text;
    loop {
        let (piece, behind) = rest.split_at(rest.len().min(PIECE));
        vm.bulk(piece.len())?;
        change(string.put(piece));
        rest = behind;
        if rest.is_empty() {
            return vm.ret1(Value::str(string.end()));
        }
    }
}

fn sub(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let text = text(vm, args, 0)?;
    let first = vm.check_int(args, 1)?;
    let last = vm.opt_int(args, 2, -1)?;
    let range = start(first, text.len())..end(last, text.len());
    if range == (0..text.len()) {
        let whole = vm.arg(args, 0);
        return vm.ret1(whole);
    }
    vm.ret_str(text.get(range).unwrap_or_default())
}

fn rep(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    /// Short units are repeated to about this size before they are copied.
    const BLOCK: usize = 1024;
    let unit = text(vm, args, 0)?;
    let count = vm.check_int(args, 1)?;
    let separator = support::opt_text(vm, args, 2, b"")?;
    if count <= 0 {
        return vm.ret_str(b"");
    }
    let length = (unit.len() as i128 + separator.len() as i128) * i128::from(count) - separator.len() as i128;
    // The reference counts one more separator.
    let Some(length) = usize::try_from(length).ok().filter(|&length| length + separator.len() <= pack::MAX_SIZE) else {
        return Err(vm.error("resulting string too large"));
    };
    let result = if unit.len() + separator.len() < BLOCK {
        // The result begins with any number of units with their separators behind them.
        let block = [unit, separator].concat();
        let block = block.repeat(BLOCK / block.len().max(1));
        let pieces = length.div_ceil(block.len().max(1));
        vm.join_str(length, std::iter::repeat_n(&block[..], pieces))?
    } else {
        // It ends with a unit: the last separator does not fit any more.
        let pieces = std::iter::repeat_n([unit, separator], count as usize).flatten();
        vm.join_str(length, pieces)?
    };
    let result = result.map_err(|_| vm.memory_error())?;
    vm.ret1(Value::str(result))
}

fn pack_values(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let go_on = vm.may_go_on();
    let mut layout = pack::Layout::new(text(vm, args, 0)?, &go_on);
    // As in the reference, a nil stands behind the arguments: that is what a message says of one that is missing.
    vm.push(Value::NIL)?;
    let args = Args { count: args.count + 1, ..args };
    vm.ret_text(|vm, out| {
        let mut next = 0;
        while let Some(item) = layout.next(out.len()).map_err(|fault| raise(vm, fault))? {
            vm.work(4)?;
            pack_item(vm, args, &item, &mut next, out)?;
        }
        Ok(())
    })
}

/// Appends an item, with what aligns it. `next` is the argument last taken.
pub(super) fn pack_item(vm: &mut Vm, args: Args, item: &pack::Item, next: &mut usize, out: &mut Text) -> Result<(), Throw> {
    vm.append_zeros(out, item.alignment)?;
    match item.kind {
        pack::Kind::Nothing => return Ok(()),
        pack::Kind::Padding => return vm.append_zeros(out, 1),
        _ => *next += 1,
    }
    match item.kind {
        // Pointers are written by the library `mem`.
        pack::Kind::Nothing | pack::Kind::Padding | pack::Kind::Pointer => {}
        pack::Kind::Integer | pack::Kind::Unsigned => {
            let value = vm.check_int(args, *next)?;
            item.put_integer(&mut out.near, value, *next + 1).map_err(|fault| raise(vm, fault))?;
        }
        pack::Kind::Float | pack::Kind::Double => item.put_float(&mut out.near, vm.check_num(args, *next)?),
        pack::Kind::Chars | pack::Kind::Counted | pack::Kind::ZeroEnded => {
            let text = text(vm, args, *next)?;
            let zero = if item.kind == pack::Kind::ZeroEnded { find_byte(vm, text, 0)? } else { None };
            let zeros = item.begin_string(&mut out.near, text, zero, *next + 1).map_err(|fault| raise(vm, fault))?;
            vm.append(out, text)?;
            vm.append_zeros(out, zeros)?;
        }
    }
    vm.settle(out)
}

fn packsize(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let format = text(vm, args, 0)?;
    let size = pack::size(format, &vm.may_go_on()).map_err(|fault| raise(vm, fault))?;
    vm.ret1(Value::int(size as i64))
}

fn unpack(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let go_on = vm.may_go_on();
    let mut layout = pack::Layout::new(text(vm, args, 0)?, &go_on);
    let data = text(vm, args, 1)?;
    let first = vm.opt_int(args, 2, 1)?;
    let mut at = start(first, data.len());
    if at > data.len() {
        return Err(vm.arg_error(2, "initial position out of string"));
    }
    let mut count = 0;
    while let Some(item) = layout.next(at).map_err(|fault| raise(vm, fault))? {
        if item.alignment + item.size > data.len() - at {
            return Err(vm.arg_error(1, "data string too short"));
        }
        at += item.alignment;
        vm.work(4)?;
        support::reserve(vm, 2, "too many results")?;
        let rest = &data[at..];
        let mut taken = item.size;
        match item.kind {
            pack::Kind::Nothing | pack::Kind::Padding | pack::Kind::Pointer => {
                at += taken;
                continue;
            }
            pack::Kind::Integer | pack::Kind::Unsigned => {
                let value = item.get_integer(rest).map_err(|fault| raise(vm, fault))?;
                vm.push(Value::int(value))?;
            }
            pack::Kind::Float | pack::Kind::Double => vm.push(Value::float(item.get_float(rest)))?,
            pack::Kind::Chars | pack::Kind::Counted | pack::Kind::ZeroEnded => {
                let zero = if item.kind == pack::Kind::ZeroEnded { find_byte(vm, rest, 0)? } else { None };
                let (text, length) = item.get_string(rest, zero).map_err(|fault| raise(vm, fault))?;
                let string = vm.new_str(text)?;
                vm.push(string)?;
                taken = length;
            }
        }
        at += taken;
        count += 1;
    }
    vm.push(Value::int(at as i64 + 1))?;
    Ok(count + 1)
}
