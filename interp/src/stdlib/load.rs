//! The functions that load chunks: `load`, `loadfile`, `dofile` (§6.1). May import `file`, `os`, `support`, the machine.

use super::file::{Stream, error_text};
use super::io::{put_in, read_input};
use super::os::{is_stop, path};
use super::support::{find_byte, long_until_zero, opt_text, text, until_zero};
use crate::bytecode::chunk::HEADER;
use crate::value::{Closure, Gc, Outcome, Text, Value};
use crate::vm::{Args, Throw, Vm, shown};
use std::any::Any;
use std::io::ErrorKind;
use std::ptr::NonNull;

/// Loads a chunk; with an environment, its first upvalue is that.
fn load_chunk(vm: &mut Vm, source: &[u8], name: &[u8], allowed: &[u8], environment: Option<Value>) -> Result<Gc<Closure>, Throw> {
    let binary = is_binary(source);
    let (kind, letter) = if binary { ("binary", b'b') } else { ("text", b't') };
    if find_byte(vm, allowed, letter)?.is_none() {
        let allowed = String::from_utf8_lossy(until_zero(shown(allowed)));
        return Err(vm.plain_error(format!("attempt to load a {kind} chunk (mode is '{allowed}')").as_bytes()));
    }
    let name = long_until_zero(vm, name)?;
    let closure = if binary { vm.load_binary(source, name)? } else { vm.load(source, name)? };
    if let Some(environment) = environment
        && closure.num_upvals() > 0
    {
        closure.upval(0).set(&mut vm.heap, environment);
    }
    Ok(closure)
}

/// A chunk is looked at for the first time when so much of it is there, then each time when it has grown by a factor: an endless text ends where it is
/// no program any more.
const FIRST_LOOK: usize = 1 << 16;
const LOOK_FACTOR: usize = 16;

/// Whether nothing that can be loaded begins with a text, which is that of a file or a chunk. It is compiled all the same, for the message.
fn is_hopeless(vm: &mut Vm, text: &mut Text, allowed: &[u8], in_file: bool) -> Result<bool, Throw> {
    let text = vm.whole(text)?;
    let chunk = if in_file { long_chunk_in(vm, text)? } else { text };
    Ok(match is_binary(chunk) {
        true => find_byte(vm, allowed, b'b')?.is_none() || !has_header(chunk),
        false => find_byte(vm, allowed, b't')?.is_none() || vm.is_hopeless(chunk),
    })
}

/// The function, or nil and the message.
fn function_or_message(vm: &mut Vm, result: Result<Gc<Closure>, Throw>) -> Result<u32, Throw> {
    match result {
        Ok(closure) => vm.ret1(Value::closure(closure)),
        // A stop is for nobody here.
        Err(throw) if vm.is_stop_in_flight() => Err(throw),
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
    let reading = Reading { text: Text::new(Vec::new()), look: FIRST_LOOK };
    let state = vm.new_state(reading, Reading::each_block)?;
    vm.push(state)?;
    read_piece(vm, args)
}

/// What a reader function has given so far, and how long it is to be when it is looked at next.
struct Reading {
    text: Text,
    look: usize,
}

impl Reading {
    fn each_block(data: &dyn Any, visit: &mut dyn FnMut(NonNull<u8>)) {
        if let Some(reading) = data.downcast_ref::<Reading>() {
            reading.text.each_block(visit);
        }
    }

    /// Appends a piece; `false`: that was the end, or what there is can be no chunk.
    fn add(&mut self, vm: &mut Vm, piece: Value, allowed: &[u8]) -> Result<bool, Throw> {
        let length = self.text.len();
        if piece.is_nil() {
            return Ok(false);
        }
        if !super::support::append(vm, &mut self.text, piece)? {
            return Err(vm.error("reader function must return a string"));
        }
        if self.text.len() >= self.look {
            if is_hopeless(vm, &mut self.text, allowed, false)? {
                return Ok(false);
            }
            self.look = self.text.len().saturating_mul(LOOK_FACTOR);
        }
        self.text.rest(&mut vm.heap).map_err(|_| vm.memory_error())?;
        Ok(self.text.len() > length)
    }
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
    let reading = data.as_mut().and_then(|data| data.downcast_mut::<Reading>()).expect("the text so far");
    let allowed = opt_text(vm, args, 2, b"bt")?;
    match reading.add(vm, piece, allowed) {
        Ok(true) => {
            drop(data);
            read_piece(vm, args)
        }
        result => {
            let result = result.and_then(|_| load_text(vm, args, &mut reading.text, allowed));
            let text = std::mem::replace(&mut reading.text, Text::new(Vec::new()));
            text.free(&mut vm.heap);
            function_or_message(vm, result)
        }
    }
}

fn load_text(vm: &mut Vm, args: Args, chunk: &mut Text, allowed: &[u8]) -> Result<Gc<Closure>, Throw> {
    let name = opt_text(vm, args, 1, b"=(load)")?;
    let environment = environment(vm, args, 3);
    let chunk = vm.whole(chunk)?;
    load_chunk(vm, chunk, name, allowed, environment)
}

/// Loads the chunk in a file, or in the standard input.
pub fn load_file(vm: &mut Vm, name: Option<&[u8]>, allowed: &[u8], environment: Option<Value>) -> Result<Gc<Closure>, Throw> {
    vm.with_text(|vm, text| load_content(vm, name, text, allowed, environment))
}

/// Takes the content of a file, or of the standard input, as far as it may be a chunk.
fn read_content(
    vm: &mut Vm,
    name: Option<&[u8]>,
    text: &mut Text,
    allowed: &[u8],
) -> Result<Result<(), (&'static str, std::io::Error)>, Throw> {
    let mut file = match name.map(|name| Stream::open(path(name), b"r", Box::new(vm.may_go_on()))).transpose() {
        Ok(file) => file,
        Err(error) => return Ok(Err(("open", error))),
    };
    let mut look = FIRST_LOOK;
    loop {
        let more = look - text.len();
        let read = match &mut file {
            Some(file) => file.read_bytes(more, &mut put_in(vm, text)),
            None => read_input(vm, text, more),
        };
        if let Err(error) = read {
            return Ok(Err(("read", error)));
        }
        if text.len() < look || is_hopeless(vm, text, allowed, true)? {
            return Ok(Ok(()));
        }
        look = text.len().saturating_mul(LOOK_FACTOR);
    }
}

/// Loads the chunk; `text` takes the content of the file.
fn load_content(
    vm: &mut Vm,
    name: Option<&[u8]>,
    text: &mut Text,
    allowed: &[u8],
    environment: Option<Value>,
) -> Result<Gc<Closure>, Throw> {
    let result = read_content(vm, name, text, allowed)?;
    let shown = match name {
        Some(name) => long_until_zero(vm, name)?,
        None => b"stdin",
    };
    if let Err((what, error)) = result {
        if error.kind() == ErrorKind::OutOfMemory {
            return Err(vm.memory_error());
        }
        if is_stop(vm, &error) {
            return Err(vm.stop_error());
        }
        return Err(vm.plain_error(&failure(what, shown, &error)));
    }
    let chunk_name = [if name.is_some() { &b"@"[..] } else { b"=" }, shown].concat();
    let content = vm.whole(text)?;
    let chunk = long_chunk_in(vm, content)?;
    load_chunk(vm, chunk, &chunk_name, allowed, environment)
}

fn failure(what: &str, shown: &[u8], error: &std::io::Error) -> Vec<u8> {
    let (message, _) = error_text(error);
    [b"cannot ", what.as_bytes(), b" ", crate::vm::shown(shown), b": ", &message].concat()
}

/// The chunk in the content of a file. `None`: the hook did not want to go on.
fn chunk_in<'c>(content: &'c [u8], go_on: &mut dyn FnMut() -> bool) -> Option<&'c [u8]> {
    // The end of a first line that was skipped keeps the lines of a text in order; a binary chunk begins behind it.
    match crate::syntax::skip_shebang(content, go_on)? {
        [b'\n', rest @ ..] if is_binary(rest) => Some(rest),
        chunk => Some(chunk),
    }
}

/// The same, with the machine as who is asked.
fn long_chunk_in<'c>(vm: &mut Vm, content: &'c [u8]) -> Result<&'c [u8], Throw> {
    let mut go_on = vm.may_go_on();
    chunk_in(content, &mut go_on).ok_or_else(|| vm.stop_error())
}

/// Whether a binary chunk begins as ours do, as far as it goes.
fn has_header(chunk: &[u8]) -> bool {
    chunk.iter().zip(HEADER).all(|(a, b)| a == b)
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
    // As above.
    let mut read = |mut input: Box<dyn Read>| -> std::io::Result<()> {
        let mut look = FIRST_LOOK;
        loop {
            input.by_ref().take((look - content.len()) as u64).read_to_end(&mut content)?;
            let chunk = chunk_in(&content, &mut || true).unwrap_or_default();
            let hopeless = || !is_binary(chunk) && crate::syntax::is_hopeless(chunk, usize::MAX, &mut || true);
            if content.len() < look || hopeless() {
                return Ok(());
            }
            look = content.len().saturating_mul(LOOK_FACTOR);
        }
    };
    let result = match name {
        Some(name) => std::fs::File::open(path(name))
            .map_err(|error| ("open", error))
            .and_then(|file| read(Box::new(file)).map_err(|error| ("read", error))),
        None => read(Box::new(std::io::stdin())).map_err(|error| ("read", error)),
    };
    let shown = name.map_or(&b"stdin"[..], until_zero);
    if let Err((what, error)) = result {
        return Err(failure(what, shown, &error));
    }
    let chunk_name = [if name.is_some() { &b"@"[..] } else { b"=" }, shown].concat();
    Ok((chunk_name, chunk_in(&content, &mut || true).unwrap_or_default().to_vec()))
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
