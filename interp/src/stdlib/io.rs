//! Input and output (§6.8). May import `file`, `os`, `support`, the machine.
//!
//! * **I1** A file handle is a userdata that holds a [`Handle`]; the stream behind it is shared with the list of open
//!   files, which are flushed when the program ends by `os.exit`.
//! * **I2** No stream is borrowed while Lua runs.

use super::file::{Buffering, Stream, is_mode};
use super::format::{push_general, push_integer};
use super::os::{file_result, is_stop, path, process_result, shell};
use super::support::{self, Functions, text, until_zero, word};
use crate::value::{Gc, Native, Text, Userdata, Value};
use crate::vm::{Args, PIECE, Throw, Vm, shown};
use std::cell::RefCell;
use std::fs::File;
use std::io::{self, ErrorKind, SeekFrom};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::Stdio;
use std::rc::{Rc, Weak};

const FUNCTIONS: Functions = &[
    ("close", io_close),
    ("flush", io_flush),
    ("input", input),
    ("lines", io_lines),
    ("open", open_),
    ("output", output),
    ("popen", popen),
    ("read", io_read),
    ("tmpfile", tmpfile),
    ("type", type_),
    ("write", io_write),
];

const METHODS: Functions = &[
    ("close", close),
    ("flush", flush),
    ("lines", lines),
    ("read", read),
    ("seek", seek),
    ("setvbuf", setvbuf),
    ("write", write),
];

const METAMETHODS: Functions = &[("__gc", collect), ("__close", collect), ("__tostring", tostring)];

const HANDLE: &str = "FILE*";
const INPUT: &str = "_IO_input";
const OUTPUT: &str = "_IO_output";
/// The most formats of `lines`.
const MAX_FORMATS: usize = 250;

/// A stream that may be closed.
type Shared = Rc<RefCell<Option<Stream>>>;

/// What a file handle holds.
struct Handle {
    stream: Shared,
    /// A standard stream can't be closed.
    standard: bool,
    /// A pipe's end comes with the end of a process.
    pipe: bool,
}

/// The open files.
pub struct Files {
    standard: [Shared; 3],
    others: Vec<Weak<RefCell<Option<Stream>>>>,
}

impl Default for Files {
    fn default() -> Files {
        fn standard(descriptor: impl AsFd, writable: bool) -> Shared {
            let file = descriptor.as_fd().try_clone_to_owned().map(File::from);
            Rc::new(RefCell::new(file.ok().map(|file| Stream::new(file, writable, Box::new(|| true)))))
        }
        let [input, output, error] = [standard(io::stdin(), false), standard(io::stdout(), true), standard(io::stderr(), true)];
        if let Some(stream) = error.borrow_mut().as_mut() {
            // There is nothing to flush yet.
            let _ = stream.set_buffering(Buffering::No);
        }
        Files { standard: [input, output, error], others: Vec::new() }
    }
}

impl Files {
    /// Writes to the standard output, in order with what scripts write to it. Of what is printed in pieces, `print` brings the last one.
    pub fn write_out(&self, bytes: &[u8]) {
        // As in the reference, nobody is told of an error.
        if let Some(stream) = self.standard[1].borrow_mut().as_mut() {
            let _ = stream.write(bytes);
        }
    }

    /// The same, and at once: as in the reference, who prints is seen printing, and before any message that comes later.
    pub fn print(&self, bytes: &[u8]) {
        self.write_out(bytes);
        if let Some(stream) = self.standard[1].borrow_mut().as_mut() {
            let _ = stream.flush();
        }
    }

    /// Begins a new line of the standard output, if a script has not ended its last one.
    #[cfg(feature = "cli")]
    pub fn end_line(&self) {
        let is_within_line = self.standard[1].borrow().as_ref().is_some_and(Stream::is_within_line);
        if is_within_line {
            self.print(b"\n");
        }
    }

    /// As in C, before a terminal is read from, or what is buffered like one, a standard output that is a terminal has shown all that was written to it.
    fn show_before_reading(&self, stream: &Shared) {
        if stream.borrow().as_ref().is_some_and(Stream::is_interactive)
            && let Some(output) = self.standard[1].borrow_mut().as_mut()
            && output.is_line_buffered()
        {
            // Who reads is not told of an error in writing.
            let _ = output.flush();
        }
    }

    /// Writes out what all open files hold back.
    pub fn flush_all(&self) {
        for stream in self.others.iter().filter_map(Weak::upgrade).chain(self.standard.iter().cloned()) {
            if let Some(stream) = stream.borrow_mut().as_mut() {
                // As in C, the end of the program tells nobody of errors.
                let _ = stream.flush();
            }
        }
    }

    /// Reads lines of the standard input, without their newlines, as a script would; nothing at its end.
    #[cfg(feature = "cli")]
    pub fn input_lines(&self) -> impl Iterator<Item = Vec<u8>> + 'static {
        let input = self.standard[0].clone();
        std::iter::from_fn(move || {
            let mut line = Vec::new();
            let mut put = |bytes: &[u8]| {
                line.extend_from_slice(bytes);
                Ok(())
            };
            let found = with(&input, |stream| stream.read_line(false, &mut put));
            found.is_ok_and(|found| found).then_some(line)
        })
    }

    fn enter(&mut self, stream: Stream) -> Shared {
        let shared = Rc::new(RefCell::new(Some(stream)));
        if self.others.len() == self.others.capacity() {
            self.others.retain(|other| other.strong_count() > 0);
        }
        self.others.push(Rc::downgrade(&shared));
        shared
    }
}

pub fn open(vm: &mut Vm) -> Result<(), Throw> {
    let library = support::library(vm, "io", FUNCTIONS)?;
    support::handle_metatable(vm, HANDLE, METAMETHODS, METHODS, None)?;
    for stream in &vm.lib.files.standard {
        if let Some(stream) = stream.borrow_mut().as_mut() {
            stream.set_hook(Box::new(vm.may_go_on()));
        }
    }
    let registry = vm.registry();
    for (i, (name, default)) in [("stdin", Some(INPUT)), ("stdout", Some(OUTPUT)), ("stderr", None)].into_iter().enumerate() {
        let stream = vm.lib.files.standard[i].clone();
        let handle = new_handle(vm, Handle { stream, standard: true, pipe: false })?;
        vm.set_field(library, name, handle)?;
        if let Some(default) = default {
            vm.set_field(registry, default, handle)?;
        }
    }
    Ok(())
}

fn new_handle(vm: &mut Vm, handle: Handle) -> Result<Value, Throw> {
    let meta = support::registry_table(vm, HANDLE)?;
    vm.new_userdata(handle, Some(meta))
}

fn new_file(vm: &mut Vm, stream: Stream, pipe: bool) -> Result<Value, Throw> {
    let stream = vm.lib.files.enter(stream);
    new_handle(vm, Handle { stream, standard: false, pipe })
}

/// The handle that a value is.
fn with_handle<T>(value: Value, work: impl FnOnce(&Handle) -> T) -> Option<T> {
    let userdata: Gc<Userdata> = value.as_userdata()?;
    let data = userdata.data.borrow();
    data.as_ref()?.downcast_ref::<Handle>().map(work)
}

/// The stream of a handle, which may be closed.
fn stream_of(value: Value) -> Option<Shared> {
    with_handle(value, |handle| handle.stream.clone())
}

/// The open stream of a handle argument.
fn open_stream(vm: &mut Vm, args: Args, i: usize) -> Result<Shared, Throw> {
    let Some(stream) = stream_of(vm.arg(args, i)) else { return Err(vm.arg_type_error(args, i, HANDLE)) };
    if stream.borrow().is_none() {
        return Err(vm.error("attempt to use a closed file"));
    }
    Ok(stream)
}

/// The open stream of a default file.
fn default_stream(vm: &mut Vm, which: &str) -> Result<Shared, Throw> {
    let handle = default_handle(vm, which)?;
    match stream_of(handle).filter(|stream| stream.borrow().is_some()) {
        Some(stream) => Ok(stream),
        None => Err(vm.error(format!("default {} file is closed", which.trim_start_matches("_IO_")))),
    }
}

fn default_handle(vm: &mut Vm, which: &str) -> Result<Value, Throw> {
    let registry = vm.registry();
    vm.get_field(registry, which)
}

/// Works with a stream that is known to be open.
fn with<T>(stream: &Shared, work: impl FnOnce(&mut Stream) -> io::Result<T>) -> io::Result<T> {
    match stream.borrow_mut().as_mut() {
        Some(stream) => work(stream),
        None => Err(ErrorKind::NotConnected.into()),
    }
}

// ---- opening and closing

fn open_(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let name = text(vm, args, 0)?;
    let mode = word(support::opt_text(vm, args, 1, b"r")?);
    if !is_mode(mode) {
        return Err(vm.arg_error(1, "invalid mode"));
    }
    match Stream::open(path(name), mode, Box::new(vm.may_go_on())) {
        Ok(stream) => {
            let handle = new_file(vm, stream, false)?;
            vm.ret1(handle)
        }
        Err(error) => file_result(vm, Err(error), Some(name)),
    }
}

/// Opens a file that must be there.
fn must_open(vm: &mut Vm, name: &[u8], mode: &[u8]) -> Result<Value, Throw> {
    match Stream::open(path(name), mode, Box::new(vm.may_go_on())) {
        Ok(stream) => new_file(vm, stream, false),
        Err(error) if is_stop(vm, &error) => Err(vm.stop_error()),
        Err(error) => {
            let (message, _) = super::file::error_text(&error);
            Err(vm.error([b"cannot open file '", until_zero(shown(name)), b"' (", &message, b")"].concat()))
        }
    }
}

fn popen(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let command = text(vm, args, 0)?;
    let mode = support::opt_text(vm, args, 1, b"r")?;
    let reads = match word(mode) {
        b"r" => true,
        b"w" => false,
        _ => return Err(vm.arg_error(1, "invalid mode")),
    };
    vm.lib.files.flush_all();
    let mut shell = match shell(command) {
        Ok(shell) => shell,
        Err(error) => return file_result(vm, Err(error), Some(command)),
    };
    if reads {
        shell.stdout(Stdio::piped())
    } else {
        shell.stdin(Stdio::piped())
    };
    let mut child = match shell.spawn() {
        Ok(child) => child,
        Err(error) => return file_result(vm, Err(error), Some(command)),
    };
    let end = if reads { child.stdout.take().map(OwnedFd::from) } else { child.stdin.take().map(OwnedFd::from) };
    let Some(end) = end else { return Err(vm.error("'popen' has no pipe")) };
    let hook = Box::new(vm.may_go_on());
    let handle = new_file(vm, Stream::pipe(end.into(), !reads, child, hook), true)?;
    vm.ret1(handle)
}

/// A new file in the folder for such files.
pub fn temporary() -> io::Result<(File, PathBuf)> {
    const TRIES: u32 = 100;
    let folder = std::env::temp_dir();
    for _ in 0..TRIES {
        let path = folder.join(format!("lua_{:012x}", super::random::Random::entropy().0 >> 16));
        match File::options().read(true).write(true).create_new(true).open(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            result => return result.map(|file| (file, path)),
        }
    }
    Err(ErrorKind::AlreadyExists.into())
}

fn tmpfile(vm: &mut Vm, _: Args) -> Result<u32, Throw> {
    // The name goes at once, the file with its last handle.
    let result = temporary().and_then(|(file, path)| std::fs::remove_file(path).map(|()| file));
    match result {
        Ok(file) => {
            let hook = Box::new(vm.may_go_on());
            let handle = new_file(vm, Stream::new(file, true, hook), false)?;
            vm.ret1(handle)
        }
        Err(error) => file_result(vm, Err(error), None),
    }
}

fn close(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    open_stream(vm, args, 0)?;
    let handle = vm.arg(args, 0);
    close_handle(vm, handle)
}

fn close_handle(vm: &mut Vm, handle: Value) -> Result<u32, Throw> {
    let Some((stream, standard, pipe)) = with_handle(handle, |handle| (handle.stream.clone(), handle.standard, handle.pipe))
    else {
        return Ok(0);
    };
    if standard {
        vm.push(Value::NIL)?;
        let message = vm.new_str(b"cannot close standard file")?;
        vm.push(message)?;
        return Ok(2);
    }
    let taken = stream.borrow_mut().take();
    let Some(stream) = taken else { return Err(vm.error("attempt to use a closed file")) };
    match stream.close() {
        Ok(Some(status)) if pipe => process_result(vm, Ok(status)),
        result => file_result(vm, result.map(drop), None),
    }
}

fn io_close(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    if !args.is_empty() {
        return close(vm, args);
    }
    default_stream(vm, OUTPUT)?;
    let handle = default_handle(vm, OUTPUT)?;
    close_handle(vm, handle)
}

/// `__gc` and `__close`
fn collect(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let handle = vm.arg(args, 0);
    let Some((stream, standard)) = with_handle(handle, |handle| (handle.stream.clone(), handle.standard)) else {
        return Err(vm.arg_type_error(args, 0, HANDLE));
    };
    if !standard {
        stream.borrow_mut().take();
    }
    Ok(0)
}

fn tostring(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let Some(stream) = stream_of(vm.arg(args, 0)) else { return Err(vm.arg_type_error(args, 0, HANDLE)) };
    let text = match stream.borrow().is_some() {
        true => format!("file ({:p})", Rc::as_ptr(&stream)),
        false => "file (closed)".into(),
    };
    vm.ret_str(text.as_bytes())
}

fn type_(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let value = vm.check_any(args, 0)?;
    match stream_of(value) {
        None => vm.ret1(Value::NIL),
        Some(stream) if stream.borrow().is_some() => vm.ret_str(b"file"),
        Some(_) => vm.ret_str(b"closed file"),
    }
}

fn input(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    set_default(vm, args, INPUT, b"r")
}

fn output(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    set_default(vm, args, OUTPUT, b"w")
}

fn set_default(vm: &mut Vm, args: Args, which: &str, mode: &[u8]) -> Result<u32, Throw> {
    let value = vm.arg(args, 0);
    if !value.is_nil() {
        let handle = if value.is_str() || value.is_number() {
            let name = text(vm, args, 0)?;
            must_open(vm, name, mode)?
        } else {
            open_stream(vm, args, 0)?;
            value
        };
        let registry = vm.registry();
        vm.set_field(registry, which, handle)?;
    }
    let handle = default_handle(vm, which)?;
    vm.ret1(handle)
}

// ---- reading

/// What is to be read.
#[derive(Clone, Copy)]
enum Format {
    Number,
    Line { keep_newline: bool },
    All,
    Bytes(usize),
}

fn format(vm: &mut Vm, args: Args, i: usize) -> Result<Format, Throw> {
    if vm.arg(args, i).is_number() {
        // A negative number is a large one in the reference, more than there can be room for.
        return match usize::try_from(vm.check_int(args, i)?) {
            Ok(count) => Ok(Format::Bytes(count)),
            Err(_) => Err(vm.memory_error()),
        };
    }
    let text = text(vm, args, i)?;
    match text.strip_prefix(b"*").unwrap_or(text).first() {
        Some(b'n') => Ok(Format::Number),
        Some(b'l') => Ok(Format::Line { keep_newline: false }),
        Some(b'L') => Ok(Format::Line { keep_newline: true }),
        Some(b'a') => Ok(Format::All),
        _ => Err(vm.arg_error(i, "invalid format")),
    }
}

/// Takes pieces of bounded length that are read. An interrupt is an error as it is of the system.
pub fn put_in<'t>(vm: &'t mut Vm, text: &'t mut Text) -> impl FnMut(&[u8]) -> io::Result<()> + use<'t> {
    let go_on = vm.may_go_on();
    let heap = &mut vm.heap;
    move |bytes| match go_on() {
        true => text.append(heap, bytes).map_err(|_| ErrorKind::OutOfMemory.into()),
        false => Err(ErrorKind::Interrupted.into()),
    }
}

/// Reads up to `count` bytes of the standard input.
pub fn read_input(vm: &mut Vm, text: &mut Text, count: usize) -> io::Result<bool> {
    let input = vm.lib.files.standard[0].clone();
    vm.lib.files.show_before_reading(&input);
    let mut put = put_in(vm, text);
    with(&input, |stream| stream.read_bytes(count, &mut put))
}

/// Reads a line of the standard input, without its newline.
pub fn input_line(vm: &mut Vm) -> Option<Vec<u8>> {
    let input = vm.lib.files.standard[0].clone();
    vm.lib.files.show_before_reading(&input);
    let go_on = vm.may_go_on();
    let mut line = Vec::new();
    let mut put = |bytes: &[u8]| {
        line.extend_from_slice(bytes);
        if go_on() { Ok(()) } else { Err(ErrorKind::Interrupted.into()) }
    };
    let found = with(&input, |stream| stream.read_line(false, &mut put));
    found.is_ok_and(|found| found).then_some(line)
}

/// Pushes what a format reads; `false` and nil if there is nothing.
fn read_one(vm: &mut Vm, stream: &Shared, format: Format) -> Result<io::Result<bool>, Throw> {
    vm.lib.files.show_before_reading(stream);
    let result = vm.with_text(|vm, text| {
        let mut go_on = vm.may_go_on();
        let mut put = put_in(vm, text);
        let found = with(stream, |stream| match format {
            Format::Number => stream.read_numeral(&mut go_on).and_then(|numeral| put(&numeral).map(|()| true)),
            Format::Line { keep_newline } => stream.read_line(keep_newline, &mut put),
            Format::All => stream.read_bytes(usize::MAX, &mut put).map(|_| true),
            Format::Bytes(0) => stream.at_end().map(|end| !end),
            Format::Bytes(count) => stream.read_bytes(count, &mut put),
        });
        drop(put);
        match found {
            Ok(true) if matches!(format, Format::Number) => {
                Ok(Ok(crate::syntax::parse_number(&text.near).map_or(Value::NIL, Value::from)))
            }
            Ok(true) => vm.text_value(text).map(Ok),
            Ok(false) => Ok(Ok(Value::NIL)),
            Err(error) if error.kind() == ErrorKind::OutOfMemory => Err(vm.memory_error()),
            Err(error) => Ok(Err(error)),
        }
    })?;
    match result {
        Ok(value) => {
            vm.push(value)?;
            Ok(Ok(!value.is_nil()))
        }
        Err(error) => Ok(Err(error)),
    }
}

/// Reads by the formats in the arguments from `first` on.
fn read_formats(vm: &mut Vm, args: Args, first: usize, stream: &Shared) -> Result<u32, Throw> {
    let count = args.count().saturating_sub(first);
    if count == 0 {
        return match read_one(vm, stream, Format::Line { keep_newline: false })? {
            Ok(_) => Ok(1),
            Err(error) => file_result(vm, Err(error), None),
        };
    }
    support::reserve(vm, count, "too many arguments")?;
    let mark = vm.mark();
    for i in first..args.count() {
        let format = format(vm, args, i)?;
        match read_one(vm, stream, format)? {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                vm.pop_to(mark);
                return file_result(vm, Err(error), None);
            }
        }
    }
    Ok((vm.mark() - mark) as u32)
}

fn io_read(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let stream = default_stream(vm, INPUT)?;
    read_formats(vm, args, 0, &stream)
}

fn read(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let stream = open_stream(vm, args, 0)?;
    read_formats(vm, args, 1, &stream)
}

/// Pushes the iteration function of `lines`: its upvalues are the file, whether to close it at the end, and the formats.
fn push_lines(vm: &mut Vm, args: Args, handle: Value, close: bool) -> Result<(), Throw> {
    let count = args.count().saturating_sub(1);
    if count > MAX_FORMATS {
        return Err(vm.arg_error(MAX_FORMATS + 1, "too many arguments"));
    }
    let mut upvalues = vec![handle, Value::bool(close)];
    upvalues.extend((0..count).map(|i| vm.arg(args, i + 1)));
    let function = vm.new_native("for iterator", next_line, &upvalues)?;
    vm.push(function)
}

fn next_line(vm: &mut Vm, _: Args) -> Result<u32, Throw> {
    let function: Gc<Native> = vm.running_native();
    let handle = function.upval(0);
    let Some(stream) = stream_of(handle).filter(|stream| stream.borrow().is_some()) else {
        return Err(vm.error("file is already closed"));
    };
    // The formats become the arguments, so that they are read, and complained of, as such.
    let first = vm.mark();
    let count = function.num_upvals() - 2;
    support::reserve(vm, count + 1, "too many arguments")?;
    vm.push(handle)?;
    for i in 0..count {
        vm.push(function.upval(2 + i))?;
    }
    let formats = Args { base: first as u32, count: count as u32 + 1 };
    let count = read_formats(vm, formats, 1, &stream)?;
    let results = vm.mark() - count as usize;
    if vm.at(results).is_truthy() {
        return Ok(count);
    }
    if count > 1 {
        let message = vm.at(results + 1).as_str().map_or(&b""[..], |message| message.bytes());
        return Err(vm.error(message));
    }
    if function.upval(1).is_truthy() {
        close_handle(vm, handle)?;
    }
    Ok(0)
}

fn lines(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    open_stream(vm, args, 0)?;
    let handle = vm.arg(args, 0);
    push_lines(vm, args, handle, false)?;
    Ok(1)
}

fn io_lines(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    if vm.arg(args, 0).is_nil() {
        let handle = default_handle(vm, INPUT)?;
        if stream_of(handle).is_none_or(|stream| stream.borrow().is_none()) {
            return Err(vm.error("attempt to use a closed file"));
        }
        push_lines(vm, args, handle, false)?;
        return Ok(1);
    }
    let name = text(vm, args, 0)?;
    let handle = must_open(vm, name, b"r")?;
    push_lines(vm, args, handle, true)?;
    vm.push(Value::NIL)?;
    vm.push(Value::NIL)?;
    vm.push(handle)?;
    Ok(4)
}

// ---- writing and the rest

/// Writes the arguments from `first` on; returns the handle.
fn write_values(vm: &mut Vm, args: Args, first: usize, stream: &Shared, handle: Value) -> Result<u32, Throw> {
    let mut result = Ok(());
    for i in first..args.count() {
        let value = vm.arg(args, i);
        let written = if value.is_number() {
            let mut out = Vec::with_capacity(32);
            match value.as_float() {
                Some(float) => push_general(&mut out, float),
                None => push_integer(&mut out, value.raw_int()),
            }
            with(stream, |stream| stream.write(&out))
        } else {
            let text = text(vm, args, i)?;
            let mut written = Ok(());
            for piece in text.chunks(PIECE) {
                vm.bulk(piece.len())?;
                written = with(stream, |stream| stream.write(piece));
                if written.is_err() {
                    break;
                }
            }
            written
        };
        result = result.and(written);
    }
    if result.is_ok() { vm.ret1(handle) } else { file_result(vm, result, None) }
}

fn io_write(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let stream = default_stream(vm, OUTPUT)?;
    let handle = default_handle(vm, OUTPUT)?;
    write_values(vm, args, 0, &stream, handle)
}

fn write(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let stream = open_stream(vm, args, 0)?;
    let handle = vm.arg(args, 0);
    write_values(vm, args, 1, &stream, handle)
}

fn io_flush(vm: &mut Vm, _: Args) -> Result<u32, Throw> {
    let stream = default_stream(vm, OUTPUT)?;
    let result = with(&stream, Stream::flush);
    file_result(vm, result, None)
}

fn flush(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let stream = open_stream(vm, args, 0)?;
    let result = with(&stream, Stream::flush);
    file_result(vm, result, None)
}

fn seek(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let stream = open_stream(vm, args, 0)?;
    let whence = vm.check_option(args, 1, Some("cur"), &["set", "cur", "end"])?;
    let offset = vm.opt_int(args, 2, 0)?;
    let to = match whence {
        0 => u64::try_from(offset)
            .map(SeekFrom::Start)
            .map_err(|_| io::Error::from_raw_os_error(rustix::io::Errno::INVAL.raw_os_error())),
        1 => Ok(SeekFrom::Current(offset)),
        _ => Ok(SeekFrom::End(offset)),
    };
    match to.and_then(|to| with(&stream, |stream| stream.seek(to))) {
        Ok(place) => vm.ret1(Value::int(place as i64)),
        Err(error) => file_result(vm, Err(error), None),
    }
}

fn setvbuf(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    const DEFAULT: i64 = 1024;
    // It is memory of the host's.
    const LARGEST: i64 = 1 << 16;
    let stream = open_stream(vm, args, 0)?;
    let mode = vm.check_option(args, 1, None, &["no", "full", "line"])?;
    let size = vm.opt_int(args, 2, DEFAULT)?.clamp(0, LARGEST) as usize;
    let buffering = [Buffering::No, Buffering::Full(size), Buffering::Line][mode];
    let result = with(&stream, |stream| stream.set_buffering(buffering));
    file_result(vm, result, None)
}
