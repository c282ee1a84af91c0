//! What the bindings share: faults as errors, arguments and results, tables of functions.
//!
//! * **I1** The bytes that [`text`] returns are valid as long as the call lasts, whatever lifetime the caller gives them:
//!   the string stands in its argument's slot, and nothing else is stored there.
//!
//! May import the virtual machine and the values; no library.

use super::fault::Fault;
use super::format;
use crate::value::{Gc, NativeFn, Table, Text, Value};
use crate::vm::{Args, PIECE, Throw, Vm, limits};

/// A library's functions, in the order of the manual.
pub type Functions = &'static [(&'static str, NativeFn)];

/// The Lua error of a fault.
#[cold]
pub fn raise(vm: &mut Vm, fault: Fault) -> Throw {
    match fault {
        Fault::Error(text) => vm.error(&text),
        Fault::Argument(index, text) => vm.arg_error(index - 1, &text),
        Fault::Stopped => vm.stop_error(),
        Fault::Memory => vm.memory_error(),
        Fault::Raised => vm.rethrow(),
    }
}

/// A string argument (or a number, which becomes one in its slot).
pub fn text<'a>(vm: &mut Vm, args: Args, i: usize) -> Result<&'a [u8], Throw> {
    vm.check_str(args, i).map(|string| string.bytes())
}

/// An optional string argument.
pub fn opt_text<'a>(vm: &mut Vm, args: Args, i: usize, default: &'a [u8]) -> Result<&'a [u8], Throw> {
    if vm.arg(args, i).is_nil() { Ok(default) } else { text(vm, args, i) }
}

/// A text that is handed to the system: it ends at its first zero byte, as in C. It is no longer than what is looked through in a moment.
pub fn until_zero(text: &[u8]) -> &[u8] {
    &text[..memchr::memchr(0, text).unwrap_or(text.len())]
}

/// The same of a text that is no longer than a word, if it is to mean anything.
pub fn word(text: &[u8]) -> &[u8] {
    const LONGEST: usize = 64;
    until_zero(&text[..text.len().min(LONGEST)])
}

/// The same, however long the text is.
pub fn long_until_zero<'t>(vm: &mut Vm, text: &'t [u8]) -> Result<&'t [u8], Throw> {
    Ok(&text[..find_byte(vm, text, 0)?.unwrap_or(text.len())])
}

/// Where a byte first stands in a text, however long the text is.
pub fn find_byte(vm: &mut Vm, text: &[u8], byte: u8) -> Result<Option<usize>, Throw> {
    for (i, piece) in text.chunks(PIECE).enumerate() {
        vm.bulk(piece.len())?;
        if let Some(place) = memchr::memchr(byte, piece) {
            return Ok(Some(i * PIECE + place));
        }
    }
    Ok(None)
}

/// An argument that is an integer or a float exactly as it stands, without conversion from a string.
pub fn integer_of(value: Value) -> Option<i64> {
    value.as_int().or_else(|| crate::value::float_to_int(value.as_float()?))
}

/// Whether the stack may hold `count` values more.
pub fn has_room(vm: &Vm, count: usize) -> bool {
    count < limits::STACK_SLOTS.saturating_sub(vm.mark())
}

/// Makes room for `count` values on the stack; what is too much stands in the message of the error.
pub fn reserve(vm: &mut Vm, count: usize, what: &str) -> Result<(), Throw> {
    if !has_room(vm, count) {
        return Err(vm.error(format!("stack overflow ({what})")));
    }
    vm.reserve(count)
}

/// Appends the text of a string or a number; `false` for any other value.
#[inline]
pub fn append(vm: &mut Vm, out: &mut Text, value: Value) -> Result<bool, Throw> {
    if let Some(string) = value.as_str() {
        vm.append(out, string.bytes())?;
        return Ok(true);
    }
    if let Some(integer) = value.as_int() {
        format::push_integer(&mut out.near, integer);
    } else if let Some(float) = value.as_float() {
        format::push_float(&mut out.near, float);
    } else {
        return Ok(false);
    }
    vm.settle(out)?;
    Ok(true)
}

/// Where a position of a string function points, counted from 0: negative positions count from the end, and what lies before the
/// first byte is the first byte.
pub fn start(position: i64, length: usize) -> usize {
    match position {
        1.. => (position - 1) as usize,
        0 => 0,
        _ => (length as u64).saturating_sub(position.unsigned_abs()) as usize,
    }
}

/// The same of an end position, one behind the last byte.
pub fn end(position: i64, length: usize) -> usize {
    match position {
        0.. => (position as u64).min(length as u64) as usize,
        _ => (length as u64 + 1).saturating_sub(position.unsigned_abs()) as usize,
    }
}

/// Makes a library of the functions: a global, and an entry of `package.loaded`.
pub fn library(vm: &mut Vm, name: &str, functions: Functions) -> Result<Gc<Table>, Throw> {
    let library = vm.new_table(0, functions.len())?;
    vm.register(library, functions)?;
    let globals = vm.globals();
    vm.set_field(globals, name, Value::table(library))?;
    let loaded = registry_table(vm, "_LOADED")?;
    vm.set_field(loaded, name, Value::table(library))?;
    Ok(library)
}

/// The metatable of a kind of handles, which is made if it is not there: its name in the registry, its metamethods, and behind `__index` its methods, if it has any.
/// `missing` is called for what is no method; it has the name as an upvalue.
pub fn handle_metatable(
    vm: &mut Vm,
    name: &str,
    metamethods: Functions,
    methods: Functions,
    missing: Option<NativeFn>,
) -> Result<Gc<Table>, Throw> {
    let registry = vm.registry();
    if let Some(meta) = vm.get_field(registry, name)?.as_table() {
        return Ok(meta);
    }
    let meta = vm.new_table(0, metamethods.len() + 2)?;
    vm.register(meta, metamethods)?;
    let text = vm.new_str(name.as_bytes())?;
    vm.set_field(meta, "__name", text)?;
    if !methods.is_empty() {
        let index = vm.new_table(0, methods.len())?;
        vm.set_field(meta, "__index", Value::table(index))?;
        vm.register(index, methods)?;
        if let Some(missing) = missing {
            let strict = vm.new_table(0, 1)?;
            vm.set_metatable(Value::table(index), Some(strict))?;
            let missing = vm.new_native("__index", missing, &[text])?;
            vm.set_field(strict, "__index", missing)?;
        }
    }
    // Only when it is whole: memory may be refused before.
    vm.set_field(registry, name, Value::table(meta))?;
    Ok(meta)
}

/// A table of the registry, which is made if it is not there.
pub fn registry_table(vm: &mut Vm, field: &str) -> Result<Gc<Table>, Throw> {
    let registry = vm.registry();
    if let Some(table) = vm.get_field(registry, field)?.as_table() {
        return Ok(table);
    }
    let table = vm.new_table(0, 0)?;
    vm.set_field(registry, field, Value::table(table))?;
    Ok(table)
}
