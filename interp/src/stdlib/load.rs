//! The functions that load chunks: `load`, `loadfile`, `dofile` (§6.1). May import `file`, `os`, `support`, the machine.

use super::file::{Stream, error_text};
use super::os::path;
use super::support::{opt_text, text, until_zero};
use crate::bytecode::chunk::HEADER;
use crate::value::{Closure, Gc, LAST_CALL, Text, Value};
use crate::vm::{Args, Throw, Vm};
use std::io::ErrorKind;

/// Loads a chunk; with an environment, its first upvalue is that.
fn load_chunk(vm: &mut Vm, source: &[u8], name: &[u8], allowed: &[u8], environment: Option<Value>) -> Result<Gc<Closure>, Throw> {
    let binary = is_binary(source);
    let (kind, letter) = if binary { ("binary", b'b') } else { ("text", b't') };
    if !allowed.contains(&letter) {
        let allowed = String::from_utf8_lossy(until_zero(allowed));
        return Err(vm.plain_error(format!("attempt to load a {kind} chunk (mode is '{allowed}')").as_bytes()));
    }
    let name = until_zero(name);
    let closure = if binary { vm.load_binary(source, name)? } else { vm.load(source, name)? };
    if let Some(environment) = environment
        && closure.num_upvals() > 0
    {
        closure.upval(0).set(&mut vm.heap, environment);
    }
    Ok(closure)
}

/// The function, or nil and the message.
fn function_or_message(vm: &mut Vm, result: Result<Gc<Closure>, Throw>) -> Result<u32, Throw> {
    match result {
        Ok(closure) => vm.ret1(Value::closure(closure)),
        Err(_) => {
            let error = vm.take_error();
            vm.push(Value::NIL)?;
            vm.push(error)?;
            Ok(2)
        }
    }
}

fn environment(vm: &Vm, args: Args, i: usize) -> Option<Value> {
    (args.count() > i).then(|| vm.arg(args, i))
}

pub fn load(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let allowed = opt_text(vm, args, 2, b"bt")?;
    let environment = environment(vm, args, 3);
    let source = vm.arg(args, 0);
    if source.is_str() || source.is_number() {
        let chunk = text(vm, args, 0)?;
        let name = opt_text(vm, args, 1, chunk)?;
        let result = load_chunk(vm, chunk, name, allowed, environment);
        return function_or_message(vm, result);
    }
    let name = opt_text(vm, args, 1, b"=(load)")?;
    vm.check_function(args, 0)?;
    let result = vm.with_text(|vm, chunk| {
        read_pieces(vm, source, chunk)?;
        let chunk = chunk.whole(&mut vm.heap).map_err(|_| vm.memory_error())?;
        load_chunk(vm, chunk, name, allowed, environment)
    });
    function_or_message(vm, result)
}

/// What a reader function gives, piece by piece.
fn read_pieces(vm: &mut Vm, reader: Value, chunk: &mut Text) -> Result<(), Throw> {
    loop {
        let piece = vm.call1(reader, &[])?;
        let length = chunk.len();
        if piece.is_nil() {
            return Ok(());
        }
        if !super::support::append(vm, chunk, piece)? {
            return Err(vm.error("reader function must return a string"));
        }
        if chunk.len() == length {
            return Ok(());
        }
    }
}

/// Loads the chunk in a file, or in the standard input.
pub fn load_file(vm: &mut Vm, name: Option<&[u8]>, allowed: &[u8], environment: Option<Value>) -> Result<Gc<Closure>, Throw> {
    vm.with_text(|vm, text| load_content(vm, name, text, allowed, environment))
}

/// The same; `text` takes the content of the file.
fn load_content(
    vm: &mut Vm,
    name: Option<&[u8]>,
    text: &mut Text,
    allowed: &[u8],
    environment: Option<Value>,
) -> Result<Gc<Closure>, Throw> {
    let heap = &mut vm.heap;
    let mut put = |bytes: &[u8]| text.append(heap, bytes).map_err(|_| ErrorKind::OutOfMemory.into());
    let result = match name {
        Some(name) => Stream::open(path(name), b"r")
            .map_err(|error| ("open", error))
            .and_then(|mut file| file.read_bytes(usize::MAX, &mut put).map_err(|error| ("read", error))),
        None => vm.lib.files.read_input(&mut put).map_err(|error| ("read", error)),
    };
    let shown = name.map_or(&b"stdin"[..], until_zero);
    if let Err((what, error)) = result {
        if error.kind() == ErrorKind::OutOfMemory {
            return Err(vm.memory_error());
        }
        return Err(vm.plain_error(&failure(what, shown, &error)));
    }
    let chunk_name = [if name.is_some() { &b"@"[..] } else { b"=" }, shown].concat();
    let content = text.whole(&mut vm.heap).map_err(|_| vm.memory_error())?;
    load_chunk(vm, chunk_in(content), &chunk_name, allowed, environment)
}

fn failure(what: &str, shown: &[u8], error: &std::io::Error) -> Vec<u8> {
    let (message, _) = error_text(error);
    [b"cannot ", what.as_bytes(), b" ", shown, b": ", &message].concat()
}

/// The chunk in the content of a file.
fn chunk_in(content: &[u8]) -> &[u8] {
    let chunk = crate::syntax::skip_shebang(content);
    // The end of a first line that was skipped keeps the lines of a text in order; a binary chunk begins behind it.
    match chunk {
        [b'\n', rest @ ..] if is_binary(rest) => rest,
        chunk => chunk,
    }
}

/// Whether a chunk is a binary one.
pub fn is_binary(chunk: &[u8]) -> bool {
    chunk.first() == HEADER.first()
}

/// The name and the chunk of a file, or of the standard input, for whom has no machine. An error is the message.
#[cfg(feature = "cli")]
pub fn chunk_of(name: Option<&[u8]>) -> Result<(Vec<u8>, Vec<u8>), Vec<u8>> {
    use std::io::Read;
    let mut content = Vec::new();
    let result = match name {
        Some(name) => std::fs::File::open(path(name))
            .map_err(|error| ("open", error))
            .and_then(|mut file| file.read_to_end(&mut content).map_err(|error| ("read", error))),
        None => std::io::stdin().read_to_end(&mut content).map_err(|error| ("read", error)),
    };
    let shown = name.map_or(&b"stdin"[..], until_zero);
    if let Err((what, error)) = result {
        return Err(failure(what, shown, &error));
    }
    let chunk_name = [if name.is_some() { &b"@"[..] } else { b"=" }, shown].concat();
    Ok((chunk_name, chunk_in(&content).to_vec()))
}

fn file_argument<'a>(vm: &mut Vm, args: Args) -> Result<Option<&'a [u8]>, Throw> {
    if vm.arg(args, 0).is_nil() { Ok(None) } else { text(vm, args, 0).map(Some) }
}

pub fn loadfile(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let name = file_argument(vm, args)?;
    let allowed = opt_text(vm, args, 1, b"bt")?;
    let environment = environment(vm, args, 2);
    let result = load_file(vm, name, allowed, environment);
    function_or_message(vm, result)
}

pub fn dofile(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let name = file_argument(vm, args)?;
    let closure = load_file(vm, name, b"bt", None)?;
    vm.push(Value::closure(closure))?;
    Ok(LAST_CALL + 1)
}
