//! The facilities of the operating system (§6.9). May import `date`, `file`, `support`, `wait`, the machine.

use super::date::{Date, Field, Fields, check_field};
use super::file::error_text;
use super::support::{self, Functions, integer_of, long_until_zero, raise, text, until_zero, word};
use crate::value::{Gc, Outcome, Table, Value};
use crate::vm::wait::{Hook, until_ended};
use crate::vm::{Args, Throw, Vm, ready};
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::{SystemTime, UNIX_EPOCH};

const FUNCTIONS: Functions = &[
    ("clock", clock),
    ("date", date),
    ("difftime", difftime),
    ("execute", execute),
    ("exit", exit),
    ("getenv", getenv),
    ("remove", remove),
    ("rename", rename),
    ("setlocale", setlocale),
    ("time", time),
    ("tmpname", tmpname),
];

pub fn open(vm: &mut Vm) -> Result<(), Throw> {
    support::library(vm, "os", FUNCTIONS).map(drop)
}

/// A path as the system takes it.
pub fn path(bytes: &[u8]) -> &Path {
    /// More than any system takes: what is longer is refused by the system, too.
    const LONGEST: usize = 1 << 16;
    Path::new(OsStr::from_bytes(until_zero(&bytes[..bytes.len().min(LONGEST)])))
}

/// Whether the system, or a stream, has given something up because the program is to stop. That need not wait for the next safepoint, which may never come.
pub fn is_stop(vm: &Vm, error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Interrupted && vm.is_stopped()
}

/// `true`, or nil with the message and the number of an error; the file's name goes before the message.
pub fn file_result(vm: &mut Vm, result: io::Result<()>, name: Option<&[u8]>) -> Result<u32, Throw> {
    match result {
        Ok(()) => vm.ret1(Value::TRUE),
        Err(error) if is_stop(vm, &error) => Err(vm.stop_error()),
        Err(error) => {
            let (message, code) = error_text(&error);
            vm.push(Value::NIL)?;
            vm.ret_text(|vm, text| {
                if let Some(name) = name {
                    let name = long_until_zero(vm, name)?;
                    vm.append(text, name)?;
                    vm.append(text, b": ")?;
                }
                vm.append(text, &message)
            })?;
            vm.push(Value::int(code))?;
            Ok(3)
        }
    }
}

/// How a process ended: `true` or nil, "exit" or "signal", and the number.
pub fn process_result(vm: &mut Vm, result: io::Result<ExitStatus>) -> Result<u32, Throw> {
    let status = match result {
        Ok(status) => status,
        Err(error) => return file_result(vm, Err(error), None),
    };
    let (how, code) = match (status.code(), status.signal()) {
        (Some(code), _) => ("exit", code),
        (None, signal) => ("signal", signal.unwrap_or(0)),
    };
    vm.push(if status.success() { Value::TRUE } else { Value::NIL })?;
    let how = vm.new_str(how.as_bytes())?;
    vm.push(how)?;
    vm.push(Value::int(code.into()))?;
    Ok(3)
}

/// The command line of the shell. One that no system takes is not copied.
pub fn shell(command: &[u8]) -> io::Result<Command> {
    const LONGEST: usize = 1 << 21;
    if command.len() > LONGEST {
        return Err(rustix::io::Errno::TOOBIG.into());
    }
    let mut shell = Command::new("/bin/sh");
    // Its name shows in its messages.
    shell.arg0("sh").arg("-c").arg(OsStr::from_bytes(until_zero(command)));
    Ok(shell)
}

fn clock(vm: &mut Vm, _: Args) -> Result<u32, Throw> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    // To the microsecond, as `clock` of C.
    let microseconds = time.tv_sec * 1_000_000 + time.tv_nsec / 1000;
    vm.ret1(Value::float(microseconds as f64 / 1e6))
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs() as i64)
}

fn date(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let format = support::opt_text(vm, args, 0, b"%c")?;
    let time = if vm.arg(args, 1).is_nil() { now() } else { vm.check_int(args, 1)? };
    let (utc, format) = match format {
        [b'!', rest @ ..] => (true, rest),
        _ => (false, format),
    };
    let Some(date) = Date::new(time, utc) else {
        return Err(vm.error("date result cannot be represented in this installation"));
    };
    if word(format) == b"*t" {
        let table = vm.new_table(0, 9)?;
        set_fields(vm, table, &date)?;
        return vm.ret1(Value::table(table));
    }
    vm.ret_text(|vm, out| {
        let mut at = 0;
        while at < format.len() {
            vm.work(64)?;
            date.format(&mut out.near, format, &mut at).map_err(|fault| raise(vm, fault))?;
            vm.settle(out)?;
        }
        Ok(())
    })
}

fn set_fields(vm: &mut Vm, table: Gc<Table>, date: &Date) -> Result<(), Throw> {
    let numbers = [
        ("year", date.year),
        ("month", date.month),
        ("day", date.day),
        ("hour", date.hour),
        ("min", date.minute),
        ("sec", date.second),
        ("yday", date.yearday),
        ("wday", date.weekday + 1),
    ];
    for (name, number) in numbers {
        vm.set_field(table, name, Value::int(number))?;
    }
    vm.set_field(table, "isdst", Value::bool(date.dst))
}

fn time(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    if vm.arg(args, 0).is_nil() {
        return vm.ret1(Value::int(now()));
    }
    vm.check_table(args, 0)?;
    time_of_fields(vm, args)
}

const FIELDS: [&str; 7] = ["year", "month", "day", "hour", "min", "sec", "isdst"];

/// Reads the fields, by metamethods too, to behind the arguments.
fn time_of_fields(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    while let Some(name) = FIELDS.get(vm.mark() - args.end()) {
        let key = vm.intern(name.as_bytes())?;
        let access = vm.access(vm.arg(args, 0), Value::str(key))?;
        let value = ready!(vm.ready(access, time_field_read));
        vm.push(value)?;
    }
    let fields = Fields {
        year: field(vm, args, 0, None, 1900)?,
        month: field(vm, args, 1, None, 1)?,
        day: field(vm, args, 2, None, 0)?,
        hour: field(vm, args, 3, Some(12), 0)?,
        minute: field(vm, args, 4, Some(0), 0)?,
        second: field(vm, args, 5, Some(0), 0)?,
        dst: Some(vm.at(args.end() + 6)).filter(|value| !value.is_nil()).map(Value::is_truthy),
    };
    let (time, date) = fields.time().map_err(|fault| raise(vm, fault))?;
    let table = vm.check_table(args, 0)?;
    set_fields(vm, table, &date)?;
    vm.ret1(Value::int(time))
}

/// The field that it has waited for is in its place.
fn time_field_read(vm: &mut Vm, args: Args, _: Outcome) -> Result<u32, Throw> {
    time_of_fields(vm, args)
}

fn field(vm: &mut Vm, args: Args, i: usize, default: Option<i64>, delta: i64) -> Result<i64, Throw> {
    let value = vm.at(args.end() + i);
    let field = match vm.number_of(value)?.and_then(integer_of) {
        _ if value.is_nil() => Field::Absent,
        Some(integer) => Field::Integer(integer),
        None => Field::Other,
    };
    check_field(FIELDS[i], field, default, delta).map_err(|fault| raise(vm, fault))
}

fn difftime(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let (to, from) = (vm.check_int(args, 0)?, vm.check_int(args, 1)?);
    vm.ret1(Value::float((i128::from(to) - i128::from(from)) as f64))
}

fn execute(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    if vm.arg(args, 0).is_nil() {
        return vm.ret1(Value::bool(Path::new("/bin/sh").exists()));
    }
    let command = text(vm, args, 0)?;
    let mut hook: Hook = Box::new(vm.may_go_on());
    let status = shell(command).and_then(|mut shell| until_ended(shell.spawn()?, &mut hook));
    process_result(vm, status)
}

fn exit(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let status = match vm.arg(args, 0) {
        flag if flag.type_name() == "boolean" => i32::from(flag.is_falsy()),
        _ => vm.opt_int(args, 0, 0)? as i32,
    };
    if vm.arg(args, 1).is_truthy() {
        vm.close();
    }
    vm.exit(status)
}

fn getenv(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let name = text(vm, args, 0)?;
    /// No variable has a longer name.
    const LONGEST: usize = 1 << 17;
    // What can't be a name is no error, but no variable either.
    if name.is_empty() || name.len() > LONGEST || name.contains(&b'=') || name.contains(&0) {
        return vm.ret1(Value::NIL);
    }
    match std::env::var_os(OsStr::from_bytes(name)) {
        Some(value) => vm.ret_str(&value.into_vec()),
        None => vm.ret1(Value::NIL),
    }
}

fn remove(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let name = text(vm, args, 0)?;
    let path = path(name);
    let is_directory = path.symlink_metadata().is_ok_and(|data| data.is_dir());
    let result = if is_directory { std::fs::remove_dir(path) } else { std::fs::remove_file(path) };
    file_result(vm, result, Some(name))
}

fn rename(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let (from, to) = (text(vm, args, 0)?, text(vm, args, 1)?);
    let result = std::fs::rename(path(from), path(to));
    file_result(vm, result, None)
}

fn setlocale(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let locale = support::opt_text(vm, args, 0, b"C")?;
    vm.check_option(args, 1, Some("all"), &["all", "collate", "ctype", "monetary", "numeric", "time"])?;
    // The C locale is the only one.
    match word(locale) {
        b"" | b"C" | b"POSIX" => vm.ret_str(b"C"),
        _ => vm.ret1(Value::NIL),
    }
}

fn tmpname(vm: &mut Vm, _: Args) -> Result<u32, Throw> {
    match super::io::temporary() {
        Ok((_, path)) => vm.ret_str(path.as_os_str().as_bytes()),
        Err(_) => Err(vm.error("unable to generate a unique filename")),
    }
}
