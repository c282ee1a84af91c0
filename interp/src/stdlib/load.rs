//! The functions that load chunks: `load`, `loadfile`, `dofile` (§6.1). May import `file`, `os`, `support`, the machine.

use super::file::{Stream, error_text};
use super::os::path;
use super::support::{opt_text, text, until_zero};
use crate::bytecode::chunk::HEADER;
use crate::value::{Closure, Gc, Outcome, Text, Value};
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
    opt_text(vm, args, 1, b"=(load)")?;
    vm.check_function(args, 0)?;
    let state = vm.new_state(Text::new(Vec::new()), |data| data.downcast_ref::<Text>().and_then(Text::block))?;
    vm.push(state)?;
    read_piece(vm, args)
}

/// Calls the reader function for the next piece. Its errors are as good as errors in the chunk.
fn read_piece(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    vm.pop_to(args.end() + 1);
    vm.push_call(vm.arg(args, 0), &[])?;
    vm.catch_errors(args.end() + 1, 0);
    vm.call_then(0, 1, piece_read)
}

fn piece_read(vm: &mut Vm, args: Args, outcome: Outcome) -> Result<u32, Throw> {
    if let Outcome::Failed(error) = outcome {
        let throw = vm.throw(error);
        return function_or_message(vm, Err(throw));
    }
    let piece = vm.at(vm.mark() - 1);
    let state = vm.at(args.end()).as_userdata().expect("the text so far");
    let mut data = state.data.borrow_mut();
    let chunk = data.as_mut().and_then(|data| data.downcast_mut::<Text>()).expect("the text so far");
    match add_piece(vm, chunk, piece) {
        Ok(true) => {
            drop(data);
            read_piece(vm, args)
        }
        Ok(false) => {
            let result = load_text(vm, args, chunk);
            let chunk = std::mem::replace(chunk, Text::new(Vec::new()));
            chunk.free(&mut vm.heap);
            function_or_message(vm, result)
        }
        Err(throw) => function_or_message(vm, Err(throw)),
    }
}

/// Appends what the reader has given; `false`: that was the end.
fn add_piece(vm: &mut Vm, chunk: &mut Text, piece: Value) -> Result<bool, Throw> {
    let length = chunk.len();
    if piece.is_nil() {
        return Ok(false);
    }
    if !super::support::append(vm, chunk, piece)? {
        return Err(vm.error("reader function must return a string"));
    }
    chunk.rest(&mut vm.heap).map_err(|_| vm.memory_error())?;
    Ok(chunk.len() > length)
}

fn load_text(vm: &mut Vm, args: Args, chunk: &mut Text) -> Result<Gc<Closure>, Throw> {
    let allowed = opt_text(vm, args, 2, b"bt")?;
    let name = opt_text(vm, args, 1, b"=(load)")?;
    let environment = environment(vm, args, 3);
    let chunk = chunk.whole(&mut vm.heap).map_err(|_| vm.memory_error())?;
    load_chunk(vm, chunk, name, allowed, environment)
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
    vm.call_last(0, -1)
}
