//! An interpreter at work for the command line: chunks are loaded and run, errors end up on the standard error.
//!
//! * **I1** Between two chunks no value is held but by the interpreter's roots.
//!
//! May import the machine, the libraries, `signals`.

use super::excerpt::{self, Place};
use super::signals::Interruptible;
use crate::stdlib;
use crate::value::{Gc, Outcome, Str, Value};
use crate::vm::{Args, Event, Throw, Vm};
use neap_gc::Config;

/// How a chunk ended; an error has been reported.
pub type Status = Result<(), Reported>;

/// An error that has been written to the standard error.
#[derive(Debug)]
pub struct Reported(());

pub struct Session {
    pub(crate) vm: Vm,
    /// The program's name, which stands before each error message; none while interactive.
    name: Option<Vec<u8>>,
}

impl Session {
    /// An interpreter with all libraries. The error is the message.
    pub fn new(config: Config, name: Vec<u8>, ignore_environment: bool) -> Result<Session, Vec<u8>> {
        let no_memory = b"cannot create state: not enough memory";
        let mut vm = Vm::new(config).map_err(|_| no_memory.to_vec())?;
        if open_libraries(&mut vm, ignore_environment).is_err() {
            return Err(no_memory.to_vec());
        }
        Ok(Session { vm, name: Some(name) })
    }

    /// Makes the table `arg`: the script's word at 0, its arguments above, what stands before it below.
    pub fn set_arguments(&mut self, words: &[Vec<u8>], script: usize) -> Status {
        let result = self.make_arguments(words, script);
        self.report(result)
    }

    fn make_arguments(&mut self, words: &[Vec<u8>], script: usize) -> Result<(), Throw> {
        let vm = &mut self.vm;
        let table = vm.new_table(words.len().saturating_sub(script + 1), script + 1)?;
        for (i, word) in words.iter().enumerate() {
            let word = vm.new_str(word)?;
            vm.raw_set(table, Value::int(i as i64 - script as i64), word)?;
        }
        let globals = vm.globals();
        vm.set_field(globals, "arg", Value::table(table))
    }

    /// Runs a chunk given as text.
    pub fn run_text(&mut self, text: &[u8], name: &[u8]) -> Status {
        match self.vm.load(text, name) {
            Ok(chunk) => {
                let result = self.call(Value::closure(chunk), &[]);
                self.report(result.map(drop))
            }
            Err(throw) => {
                let status = self.report(Err(throw));
                super::write_error(excerpt::for_errors(|colour| excerpt::of_program(text, colour)).as_bytes());
                status
            }
        }
    }

    /// Runs a file, or the standard input, without arguments.
    pub fn run_file(&mut self, path: Option<&[u8]>) -> Status {
        self.load_and_run(path, |_| Ok(Vec::new()))
    }

    /// Runs the script with its arguments, as the table `arg` has them now.
    pub fn run_script(&mut self, path: Option<&[u8]>) -> Status {
        self.load_and_run(path, Session::script_arguments)
    }

    fn load_and_run(&mut self, path: Option<&[u8]>, arguments: impl FnOnce(&mut Session) -> Result<Vec<Value>, Throw>) -> Status {
        let chunk = match stdlib::load::load_file(&mut self.vm, path, b"bt", None) {
            Ok(chunk) => Value::closure(chunk),
            Err(throw) => {
                let status = self.report(Err(throw));
                // What is no program is read once more, for the place.
                let show = |colour| {
                    path.and_then(excerpt::file_text).map_or_else(String::new, |text| excerpt::of_program(&text, colour))
                };
                super::write_error(excerpt::for_errors(show).as_bytes());
                return status;
            }
        };
        let mark = self.vm.mark();
        // To find the arguments may call a function.
        let result = self.vm.push(chunk).and_then(|()| arguments(self)).and_then(|arguments| {
            let chunk = self.vm.at(mark);
            self.call(chunk, &arguments)
        });
        self.vm.pop_to(mark);
        self.report(result.map(drop))
    }

    fn script_arguments(&mut self) -> Result<Vec<Value>, Throw> {
        let vm = &mut self.vm;
        let globals = vm.globals();
        let Some(table) = vm.get_field(globals, "arg")?.as_table() else {
            return Err(vm.plain_error(b"'arg' is not a table"));
        };
        let length = vm.length(Value::table(table))?;
        let length = vm.now(length)?.as_int().unwrap_or(0).max(0);
        let count = usize::try_from(length).unwrap_or(usize::MAX);
        if count >= crate::vm::limits::STACK_SLOTS / 2 {
            return Err(vm.plain_error(b"stack overflow (too many arguments to script)"));
        }
        Ok((1..=length).map(|i| vm.raw_get(table, Value::int(i))).collect())
    }

    /// `-l`: requires a module into a global. Without a name of its own the global is called like the module, up to a `-` (the version).
    pub fn require(&mut self, words: &[u8]) -> Status {
        let (global, module) = match memchr::memchr(b'=', words) {
            Some(place) => (&words[..place], &words[place + 1..]),
            None => (&words[..memchr::memchr(b'-', words).unwrap_or(words.len())], words),
        };
        let result = self.require_into(global, module);
        self.report(result)
    }

    fn require_into(&mut self, global: &[u8], module: &[u8]) -> Result<(), Throw> {
        let globals = self.vm.globals();
        let require = self.vm.get_field(globals, "require")?;
        let module = self.vm.new_str(module)?;
        let value = self.call(require, &[module])?.first().copied().unwrap_or(Value::NIL);
        let name = self.vm.intern(global)?;
        self.vm.set_index_now(Value::table(globals), Value::str(name), value)
    }

    /// Calls a function so that errors get a traceback and Ctrl-C becomes an error. The results are valid until the next safepoint.
    pub(crate) fn call(&mut self, f: Value, args: &[Value]) -> Result<Vec<Value>, Throw> {
        self.interruptible(|vm| vm.call_with_handler(f, args, message_handler))
    }

    /// Does something that may run chunks; Ctrl-C becomes an error in them.
    pub(crate) fn interruptible<T>(&mut self, work: impl FnOnce(&mut Vm) -> T) -> T {
        let word = self.vm.heap.poll_word().clone();
        let _interruptible = Interruptible::begin(&word);
        work(&mut self.vm)
    }

    /// Writes the message of an error, if it is one.
    pub(crate) fn report(&mut self, result: Result<(), Throw>) -> Status {
        self.report_with(result, Place::text)
    }

    /// The same; `text` gives the text of the chunk that an error was raised in, for people to see the line.
    pub(crate) fn report_with(&mut self, result: Result<(), Throw>, text: impl FnOnce(&Place) -> Option<Vec<u8>>) -> Status {
        let Err(throw) = result else { return Ok(()) };
        let message = self.message_of(throw);
        super::complain(self.name.as_deref(), &message);
        if let Some(place) = excerpt::take() {
            let show = |colour| text(&place).map_or_else(String::new, |text| excerpt::of_line(&text, place.line, colour));
            super::write_error(excerpt::for_errors(show).as_bytes());
        }
        Err(Reported(()))
    }

    /// Takes an error out of flight, as a text.
    pub(crate) fn message_of(&mut self, _throw: Throw) -> Vec<u8> {
        let error = self.vm.take_error();
        match self.vm.coerce_to_str(error) {
            Ok(Some(text)) => text.bytes().to_vec(),
            _ => b"(error message not a string)".to_vec(),
        }
    }

    /// From here on error messages come without the program's name; returns it.
    pub(crate) fn set_name(&mut self, name: Option<Vec<u8>>) -> Option<Vec<u8>> {
        std::mem::replace(&mut self.name, name)
    }
}

fn open_libraries(vm: &mut Vm, ignore_environment: bool) -> Result<(), Throw> {
    if ignore_environment {
        // The library `package` looks at it.
        let registry = vm.registry();
        vm.set_field(registry, "LUA_NOENV", Value::TRUE)?;
    }
    stdlib::open_all(vm)
}

/// Turns an error value into the message that is reported: the text with a traceback, or what `__tostring` makes of it.
fn message_handler(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    excerpt::forget();
    let error = vm.arg(args, 0);
    if let Some(text) = vm.coerce_to_str(error)? {
        return with_traceback(vm, text);
    }
    let converter = vm.metamethod(error, Event::ToString);
    if !converter.is_nil() {
        return vm.call_value_then(converter, &[error], 1, error_converted);
    }
    describe_error(vm, args)
}

fn error_converted(vm: &mut Vm, args: Args, _: Outcome) -> Result<u32, Throw> {
    if vm.at(vm.mark() - 1).is_str() { Ok(1) } else { describe_error(vm, args) }
}

fn describe_error(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let kind = vm.arg(args, 0).type_name();
    let message = vm.intern(format!("(error object is a {kind} value)").as_bytes())?;
    with_traceback(vm, message)
}

fn with_traceback(vm: &mut Vm, message: Gc<Str>) -> Result<u32, Throw> {
    excerpt::note(vm, message.bytes());
    let thread = vm.current_thread();
    let trace = vm.traceback(thread, 1);
    vm.ret_text(|vm, text| {
        vm.append(text, message.bytes())?;
        vm.append(text, b"\n")?;
        vm.append(text, &trace)
    })
}
