//! The basic functions (§6.1), but for those that load chunks. May import `support`, `table`, the machine.

use super::support::{self, Functions, text};
use super::{load, table};
use crate::value::{Entry, Outcome, Special, Tag, Value};
use crate::vm::{self, Args, Event, PIECE, Throw, Vm, ready};

const FUNCTIONS: Functions = &[
    ("assert", assert),
    ("collectgarbage", super::collector::collectgarbage),
    ("dofile", load::dofile),
    ("error", error),
    ("getmetatable", getmetatable),
    ("load", load::load),
    ("loadfile", load::loadfile),
    ("pcall", vm::protect::pcall),
    ("print", print),
    ("rawequal", rawequal),
    ("rawget", rawget),
    ("rawlen", rawlen),
    ("rawset", rawset),
    ("select", select),
    ("setmetatable", setmetatable),
    ("tonumber", tonumber),
    ("tostring", tostring),
    ("type", type_),
    ("warn", warn),
    ("xpcall", vm::protect::xpcall),
];

/// The names of the types, made once.
const TYPE_NAMES: [(&str, &[Tag]); 8] = [
    ("nil", &[Tag::NIL]),
    ("boolean", &[Tag::FALSE, Tag::TRUE]),
    ("number", &[Tag::INT, Tag::FLOAT]),
    ("string", &[Tag::STR]),
    ("table", &[Tag::TABLE]),
    ("function", &[Tag::CLOSURE, Tag::NATIVE]),
    ("userdata", &[Tag::USERDATA, Tag::LIGHT]),
    ("thread", &[Tag::THREAD]),
];

pub fn open(vm: &mut Vm) -> Result<(), Throw> {
    let globals = vm.globals();
    vm.register(globals, FUNCTIONS)?;
    vm.mark_restartable(globals, ["rawset", "setmetatable", "tostring"])?;
    vm.set_field(globals, "_G", Value::table(globals))?;
    let version = vm.new_str(b"Lua 5.4")?;
    vm.set_field(globals, "_VERSION", version)?;
    // The functions that iterate are upvalues of those that return them.
    let next = vm.new_special("next", next, Special::Next, &[])?;
    vm.set_field(globals, "next", next)?;
    let pairs = vm.new_native("pairs", pairs, &[next])?;
    vm.set_field(globals, "pairs", pairs)?;
    let next_index = vm.new_special("for iterator", next_index, Special::IpairsStep, &[])?;
    let ipairs = vm.new_native("ipairs", ipairs, &[next_index])?;
    vm.set_field(globals, "ipairs", ipairs)?;
    for (name, tags) in TYPE_NAMES {
        let name = Value::str(vm.intern(name.as_bytes())?);
        vm.pin(name);
        for tag in tags {
            vm.lib.type_names[tag.0 as usize] = name;
        }
    }
    let loaded = support::registry_table(vm, "_LOADED")?;
    vm.set_field(loaded, "_G", Value::table(globals))
}

fn assert(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    if vm.check_any(args, 0)?.is_truthy() {
        return Ok(args.count() as u32);
    }
    let message = vm.arg(args, 1);
    Err(match message.as_str() {
        Some(message) => vm.error(message.bytes()),
        None if args.count() > 1 => vm.throw(message),
        None => vm.error("assertion failed!"),
    })
}

fn error(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let value = vm.arg(args, 0);
    // A C int in the reference.
    let level = vm.opt_int(args, 1, 1)? as i32;
    if let Some(message) = value.as_str()
        && let Ok(level @ 1..) = usize::try_from(level)
    {
        let position = vm.position(level);
        return Err(vm.joined_error(&[&position, message.bytes()]));
    }
    Err(vm.throw(value))
}

fn getmetatable(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let value = vm.check_any(args, 0)?;
    let Some(meta) = vm.metatable(value) else { return vm.ret1(Value::NIL) };
    let shown = vm.event_in(meta, Event::Metatable);
    vm.ret1(if shown.is_nil() { Value::table(meta) } else { shown })
}

fn ipairs(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let value = vm.check_any(args, 0)?;
    let next = vm.running_native().upval(0);
    vm.push(next)?;
    vm.push(value)?;
    vm.push(Value::int(0))?;
    Ok(3)
}

fn next_index(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let i = vm.check_int(args, 1)?.wrapping_add(1);
    let value = ready!(table::get(vm, vm.arg(args, 0), i, next_index_got));
    push_indexed(vm, i, value)
}

fn next_index_got(vm: &mut Vm, args: Args, _: Outcome) -> Result<u32, Throw> {
    let i = vm.check_int(args, 1)?.wrapping_add(1);
    let value = vm.at(vm.mark() - 1);
    push_indexed(vm, i, value)
}

fn push_indexed(vm: &mut Vm, i: i64, value: Value) -> Result<u32, Throw> {
    if value.is_nil() {
        return vm.ret1(Value::NIL);
    }
    vm.push(Value::int(i))?;
    vm.push(value)?;
    Ok(2)
}

fn next(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let table = vm.check_table(args, 0)?;
    let key = vm.arg(args, 1);
    let key = vm.known_key(key)?;
    let Some(mut position) = table.position_after(&mut vm.heap, key) else {
        return Err(vm.runtime_error(b"invalid key to 'next'"));
    };
    loop {
        match table.entry_from(&mut vm.heap, position) {
            Entry::Found(_, key, value) => {
                vm.push(key)?;
                vm.push(value)?;
                return Ok(2);
            }
            Entry::Further(at) => {
                vm.work(at - position)?;
                position = at;
            }
            Entry::End => return vm.ret1(Value::NIL),
        }
    }
}

fn pairs(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let value = vm.check_any(args, 0)?;
    let handler = vm.metamethod(value, Event::Pairs);
    if handler.is_nil() {
        let next = vm.running_native().upval(0);
        vm.push(next)?;
        vm.push(value)?;
        vm.push(Value::NIL)?;
        return Ok(3);
    }
    vm.push(handler)?;
    vm.push(value)?;
    vm.call_last(1, 3)
}

fn print(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    print_from(vm, args, 0)
}

fn print_from(vm: &mut Vm, args: Args, first: usize) -> Result<u32, Throw> {
    for i in first..args.count() {
        let value = vm.arg(args, i);
        vm.set_place(i);
        let text = ready!(vm.tostring(value, print_text));
        write_text(vm, i, text)?;
    }
    vm.lib.files.print(b"\n");
    end_writing(vm)
}

/// The text of an argument stands at the top.
fn print_text(vm: &mut Vm, args: Args, _: Outcome) -> Result<u32, Throw> {
    let (i, text) = (vm.place(), vm.at(vm.mark() - 1));
    write_text(vm, i, text)?;
    vm.pop_to(args.end());
    print_from(vm, args, i + 1)
}

fn write_text(vm: &mut Vm, i: usize, text: Value) -> Result<(), Throw> {
    if i > 0 {
        vm.lib.files.write_out(b"\t");
    }
    for piece in text.as_str().map_or(&b""[..], |text| text.bytes()).chunks(PIECE) {
        vm.bulk(piece.len())?;
        vm.lib.files.write_out(piece);
    }
    Ok(())
}

/// What could not be written because the program is to stop is as good as the stop.
fn end_writing(vm: &mut Vm) -> Result<u32, Throw> {
    if vm.is_stopped() { Err(vm.stop_error()) } else { Ok(0) }
}

fn rawequal(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let (x, y) = (vm.check_any(args, 0)?, vm.check_any(args, 1)?);
    let equal = vm.raw_equals(x, y)?;
    vm.ret1(Value::bool(equal))
}

fn rawget(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let table = vm.check_table(args, 0)?;
    let key = vm.check_any(args, 1)?;
    let key = vm.known_key(key)?;
    let value = vm.raw_get(table, key);
    vm.ret1(value)
}

fn rawlen(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let value = vm.arg(args, 0);
    let length = if let Some(table) = value.as_table() {
        table.length(&mut vm.heap)
    } else if let Some(string) = value.as_str() {
        string.len() as i64
    } else {
        return Err(vm.arg_type_error(args, 0, "table or string"));
    };
    vm.ret1(Value::int(length))
}

fn rawset(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let table = vm.check_table(args, 0)?;
    let (key, value) = (vm.check_any(args, 1)?, vm.check_any(args, 2)?);
    vm.raw_set(table, key, value)?;
    vm.ret1(Value::table(table))
}

fn select(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let count = args.count() as i64;
    if vm.arg(args, 0).as_str().is_some_and(|text| text.bytes().first() == Some(&b'#')) {
        return vm.ret1(Value::int(count - 1));
    }
    let from = match vm.check_int(args, 0)? {
        i if i < 0 => count.saturating_add(i),
        i => i.min(count),
    };
    if from < 1 {
        return Err(vm.arg_error(0, "index out of range"));
    }
    // The last arguments stand at the top already.
    Ok((count - from) as u32)
}

fn setmetatable(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let value = Value::table(vm.check_table(args, 0)?);
    let meta = vm.arg(args, 1);
    if args.count() < 2 || !(meta.is_nil() || meta.is_table()) {
        return Err(vm.arg_type_error(args, 1, "nil or table"));
    }
    if !vm.metamethod(value, Event::Metatable).is_nil() {
        return Err(vm.error("cannot change a protected metatable"));
    }
    vm.set_metatable(value, meta.as_table())?;
    vm.ret1(value)
}

fn tonumber(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    if vm.arg(args, 1).is_nil() {
        let value = vm.check_any(args, 0)?;
        let number = vm.number_of(value)?.unwrap_or(Value::NIL);
        return vm.ret1(number);
    }
    let base = vm.check_int(args, 1)?;
    let Some(numeral) = vm.arg(args, 0).as_str() else { return Err(vm.arg_type_error(args, 0, "string")) };
    let Some(base) = u32::try_from(base).ok().filter(|base| (2..=36).contains(base)) else {
        return Err(vm.arg_error(1, "base out of range"));
    };
    let number = parse_integer(vm, numeral.bytes(), base)?;
    vm.ret1(number.map_or(Value::NIL, Value::int))
}

/// An integer of another base, which wraps around.
fn parse_integer(vm: &mut Vm, text: &[u8], base: u32) -> Result<Option<i64>, Throw> {
    let is_space = |byte: u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let mut rest = text;
    let mut negative = false;
    // 0: before the sign, 1: before the digits, 2: in them, 3: behind them.
    let mut part = 0;
    let mut number = 0u64;
    while let [byte, tail @ ..] = rest {
        vm.work(1)?;
        rest = tail;
        match (part, char::from(*byte).to_digit(base)) {
            (0..=2, Some(digit)) => {
                part = 2;
                number = number.wrapping_mul(base.into()).wrapping_add(digit.into());
            }
            (0, None) if matches!(byte, b'-' | b'+') => {
                part = 1;
                negative = *byte == b'-';
            }
            (0, None) if is_space(*byte) => {}
            (2 | 3, None) if is_space(*byte) => part = 3,
            _ => return Ok(None),
        }
    }
    let number = if negative { number.wrapping_neg() } else { number };
    Ok((part >= 2).then_some(number as i64))
}

fn tostring(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let value = vm.check_any(args, 0)?;
    let text = ready!(vm.tostring(value, text_at_the_top));
    vm.ret1(text)
}

fn text_at_the_top(_: &mut Vm, _: Args, _: Outcome) -> Result<u32, Throw> {
    Ok(1)
}

fn type_(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let tag = vm.check_any(args, 0)?.tag();
    let name = vm.lib.type_names[tag.0 as usize];
    vm.ret1(name)
}

fn warn(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    text(vm, args, 0)?;
    for i in 1..args.count() {
        text(vm, args, i)?;
    }
    match (args.count(), text(vm, args, 0)?) {
        (1, b"@on") => vm.warnings.on = true,
        (1, b"@off") => vm.warnings.on = false,
        // Other control messages are for other systems.
        (1, [b'@', ..]) => {}
        _ => {
            vm.lib.files.flush_all();
            vm.write_warning(|vm, put| {
                for i in 0..args.count() {
                    for piece in text(vm, args, i)?.chunks(PIECE) {
                        vm.bulk(piece.len())?;
                        put(piece);
                    }
                }
                Ok(())
            })?;
            end_writing(vm)?;
        }
    }
    Ok(0)
}
