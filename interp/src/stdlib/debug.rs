//! The debug library (§6.10). May import `io`, `support`, the machine.

use super::io::input_line;
use super::support::{self, Functions};
use crate::value::{Gc, Hook, Outcome, Tag, Thread, Value};
use crate::vm::{Activation, Args, Ready, Throw, Vm};

const FUNCTIONS: Functions = &[
    ("debug", debug),
    ("gethook", gethook),
    ("getinfo", getinfo),
    ("getlocal", getlocal),
    ("getmetatable", getmetatable),
    ("getregistry", getregistry),
    ("getupvalue", getupvalue),
    ("getuservalue", getuservalue),
    ("sethook", sethook),
    ("setlocal", setlocal),
    ("setmetatable", setmetatable),
    ("setupvalue", setupvalue),
    ("setuservalue", setuservalue),
    ("traceback", traceback),
    ("upvalueid", upvalueid),
    ("upvaluejoin", upvaluejoin),
];

pub fn open(vm: &mut Vm) -> Result<(), Throw> {
    support::library(vm, "debug", FUNCTIONS).map(drop)
}

/// The thread that a call is about, and where its further arguments begin: the first one may be a thread.
fn thread_argument(vm: &Vm, args: Args) -> (Gc<Thread>, usize) {
    match vm.arg(args, 0).as_thread() {
        Some(thread) => (thread, 1),
        None => (vm.current_thread(), 0),
    }
}

fn level(vm: &mut Vm, args: Args, i: usize, thread: Gc<Thread>) -> Result<Option<Activation>, Throw> {
    let level = vm.check_int(args, i)?;
    Ok(usize::try_from(level).ok().and_then(|level| vm.activation(thread, level)))
}

fn text_or_nil(vm: &mut Vm, text: Option<&[u8]>) -> Result<Value, Throw> {
    match text {
        Some(text) => vm.new_str(text),
        None => Ok(Value::NIL),
    }
}

/// Runs lines from the standard input, until one says `cont`.
fn debug(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    loop {
        vm.pop_to(args.end());
        tell(vm, &[b"lua_debug> "]);
        let Some(line) = input_line(vm).filter(|line| line != b"cont") else {
            // What has ended the reading may be a stop.
            return if vm.is_stopped() { Err(vm.stop_error()) } else { Ok(0) };
        };
        match vm.load(&line, b"=(debug command)") {
            Ok(command) => {
                vm.catch_errors(args.end(), 0);
                return vm.call_value_then(Value::closure(command), &[], 0, end_command);
            }
            Err(throw) if vm.is_stop_in_flight() => return Err(throw),
            Err(_) => {
                let error = vm.take_error();
                if let Some(step) = tell_error(vm, error)? {
                    return Ok(step);
                }
            }
        }
    }
}

fn end_command(vm: &mut Vm, args: Args, outcome: Outcome) -> Result<u32, Throw> {
    if let Outcome::Failed(error) = outcome
        && let Some(step) = tell_error(vm, error)?
    {
        return Ok(step);
    }
    debug(vm, args)
}

/// `Some`: the step after which the text of the error stands at the top.
fn tell_error(vm: &mut Vm, error: Value) -> Result<Option<u32>, Throw> {
    vm.push(error)?;
    match vm.tostring(error, end_telling)? {
        Ready::Value(text) => tell_line(vm, text),
        Ready::Later(step) => return Ok(Some(step)),
    }
    Ok(None)
}

fn end_telling(vm: &mut Vm, args: Args, _: Outcome) -> Result<u32, Throw> {
    tell_line(vm, vm.at(vm.mark() - 1));
    debug(vm, args)
}

fn tell_line(vm: &Vm, text: Value) {
    tell(vm, &[text.as_str().map_or(&b""[..], |text| text.bytes()), b"\n"]);
}

fn tell(vm: &Vm, pieces: &[&[u8]]) {
    let mut telling = vm.telling();
    pieces.iter().for_each(|piece| telling.put(piece));
    telling.end();
}

fn traceback(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let (thread, first) = thread_argument(vm, args);
    let message = vm.arg(args, first);
    if !message.is_nil() && !message.is_str() && !message.is_number() {
        return vm.ret1(message);
    }
    let level = vm.opt_int(args, first + 1, (thread == vm.current_thread()) as i64)?;
    let message = vm.coerce_to_str(message)?;
    let has_message = message.is_some();
    let trace = vm.traceback(thread, usize::try_from(level).unwrap_or(usize::MAX));
    let message = message.map_or(&b""[..], |message| message.bytes());
    vm.ret_text(|vm, text| {
        vm.append(text, message)?;
        vm.append(text, if has_message { b"\n" } else { b"" })?;
        vm.append(text, &trace)
    })
}

fn getinfo(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let (thread, first) = thread_argument(vm, args);
    let options = support::opt_text(vm, args, first + 1, b"flnSrtu")?;
    if options.first() == Some(&b'>') {
        return Err(vm.arg_error(first + 1, "invalid option '>'"));
    }
    let mut f = vm.arg(args, first);
    let mut at = None;
    if !f.is_function() {
        at = level(vm, args, first, thread)?;
        match at {
            Some(at) => f = vm.function_at(at),
            None => return vm.ret1(Value::NIL),
        }
    }
    if options.iter().any(|option| !b"SlnrutLf".contains(option)) {
        return Err(vm.arg_error(first + 1, "invalid option"));
    }
    let table = vm.new_table(0, 16)?;
    for option in options {
        vm.work(64)?;
        match option {
            b'S' => {
                let info = Vm::function_info(f);
                let texts = [("source", info.source), ("short_src", &info.short_source), ("what", info.what.as_bytes())];
                for (field, text) in texts {
                    let text = vm.new_str(text)?;
                    vm.set_field(table, field, text)?;
                }
                vm.set_field(table, "linedefined", Value::int(info.line_defined))?;
                vm.set_field(table, "lastlinedefined", Value::int(info.last_line_defined))?;
            }
            b'l' => {
                let line = at.and_then(|at| vm.line_at(at)).map_or(-1, i64::from);
                vm.set_field(table, "currentline", Value::int(line))?;
            }
            b'u' => {
                let proto = f.as_closure().map(|f| f.proto);
                vm.set_field(table, "nups", Value::int(Vm::upvalue_count(f) as i64))?;
                vm.set_field(table, "nparams", Value::int(proto.map_or(0, |p| p.num_params as i64)))?;
                vm.set_field(table, "isvararg", Value::bool(proto.is_none_or(|p| p.is_vararg)))?;
            }
            b'n' => {
                let name = at.and_then(|at| vm.name_at(at));
                let what = vm.new_str(name.as_ref().map_or("", |name| name.what).as_bytes())?;
                vm.set_field(table, "namewhat", what)?;
                let name = text_or_nil(vm, name.as_ref().map(|name| &name.name[..]))?;
                vm.set_field(table, "name", name)?;
            }
            b'r' => {
                let (first, count) = at.map_or((0, 0), |at| vm.transfer_at(at));
                vm.set_field(table, "ftransfer", Value::int(first as i64))?;
                vm.set_field(table, "ntransfer", Value::int(count as i64))?;
            }
            b't' => {
                let tail = at.is_some_and(|at| vm.is_tail_call(at));
                vm.set_field(table, "istailcall", Value::bool(tail))?;
            }
            b'L' => {
                if let Some(lines) = Vm::active_lines(f) {
                    let set = vm.new_table(0, 0)?;
                    for line in lines {
                        vm.work(4)?;
                        vm.raw_set(set, Value::int(line.into()), Value::TRUE)?;
                    }
                    vm.set_field(table, "activelines", Value::table(set))?;
                }
            }
            _ => vm.set_field(table, "func", f)?,
        }
    }
    vm.ret1(Value::table(table))
}

fn getlocal(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let (thread, first) = thread_argument(vm, args);
    let n = vm.check_int(args, first + 1)?;
    let f = vm.arg(args, first);
    if f.is_function() {
        let name = Vm::parameter_name(f, n);
        let name = text_or_nil(vm, name.as_deref())?;
        return vm.ret1(name);
    }
    let Some(at) = level(vm, args, first, thread)? else { return Err(vm.arg_error(first, "level out of range")) };
    match vm.local(at, n) {
        Some((name, value)) => {
            vm.ret_str(&name)?;
            vm.push(value)?;
            Ok(2)
        }
        None => vm.ret1(Value::NIL),
    }
}

fn setlocal(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let (thread, first) = thread_argument(vm, args);
    let at = level(vm, args, first, thread)?;
    let n = vm.check_int(args, first + 1)?;
    let Some(at) = at else { return Err(vm.arg_error(first, "level out of range")) };
    let value = vm.check_any(args, first + 2)?;
    let name = vm.set_local(at, n, value);
    let name = text_or_nil(vm, name.as_deref())?;
    vm.ret1(name)
}

fn getupvalue(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let n = vm.check_int(args, 1)?;
    let f = vm.check_function(args, 0)?;
    let Some((name, value)) = Vm::upvalue(f, n) else { return Ok(0) };
    vm.ret_str(&name)?;
    vm.push(value)?;
    Ok(2)
}

fn setupvalue(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let value = vm.check_any(args, 2)?;
    let n = vm.check_int(args, 1)?;
    let f = vm.check_function(args, 0)?;
    match vm.set_upvalue(f, n, value) {
        Some(name) => vm.ret_str(&name),
        None => Ok(0),
    }
}

/// A function and the index of an upvalue of it.
fn upvalue_arguments(vm: &mut Vm, args: Args, first: usize) -> Result<(Value, i64), Throw> {
    let n = vm.check_int(args, first + 1)?;
    Ok((vm.check_function(args, first)?, n))
}

fn upvalueid(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let (f, n) = upvalue_arguments(vm, args, 0)?;
    vm.ret1(Vm::upvalue_id(f, n).map_or(Value::NIL, Value::light))
}

fn upvaluejoin(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let mut sides = [(Value::NIL, 0); 2];
    for (side, first) in [0, 2].into_iter().enumerate() {
        sides[side] = upvalue_arguments(vm, args, first)?;
        if Vm::upvalue_id(sides[side].0, sides[side].1).is_none() {
            return Err(vm.arg_error(first + 1, "invalid upvalue index"));
        }
    }
    let [(f, n), (g, m)] = sides;
    for (i, f) in [(0, f), (2, g)] {
        if f.as_closure().is_none() {
            return Err(vm.arg_error(i, "Lua function expected"));
        }
    }
    vm.join_upvalues(f, n, g, m);
    Ok(0)
}

fn getmetatable(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let value = vm.check_any(args, 0)?;
    let meta = vm.metatable(value);
    vm.ret1(meta.map_or(Value::NIL, Value::table))
}

fn setmetatable(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let (value, meta) = (vm.arg(args, 0), vm.arg(args, 1));
    if args.count() < 2 || !meta.is_nil() && !meta.is_table() {
        return Err(vm.arg_type_error(args, 1, "nil or table"));
    }
    match value.tag() {
        Tag::TABLE | Tag::USERDATA => vm.set_metatable(value, meta.as_table())?,
        tag => vm.set_type_metatable(tag, meta.as_table()),
    }
    vm.ret1(value)
}

fn getregistry(vm: &mut Vm, _: Args) -> Result<u32, Throw> {
    let registry = vm.registry();
    vm.ret1(Value::table(registry))
}

/// No userdata has user values.
fn getuservalue(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    vm.opt_int(args, 1, 1)?;
    vm.ret1(Value::NIL)
}

fn setuservalue(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    vm.opt_int(args, 2, 1)?;
    if vm.arg(args, 0).as_userdata().is_none() {
        return Err(vm.arg_type_error(args, 0, "userdata"));
    }
    vm.check_any(args, 1)?;
    vm.ret1(Value::NIL)
}

fn sethook(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let (thread, first) = thread_argument(vm, args);
    if vm.arg(args, first).is_nil() {
        vm.set_hook(thread, None)?;
        return Ok(0);
    }
    let mask = support::text(vm, args, first + 1)?;
    let function = vm.check_function(args, first)?;
    let count = vm.opt_int(args, first + 2, 0)?;
    let hook = Hook {
        on_call: mask.contains(&b'c'),
        on_return: mask.contains(&b'r'),
        on_line: mask.contains(&b'l'),
        count: u32::try_from(count).unwrap_or(if count > 0 { u32::MAX } else { 0 }),
        ..Hook::default()
    };
    let wanted = hook.on_call || hook.on_return || hook.on_line || hook.count > 0;
    vm.set_hook(thread, wanted.then_some((hook, function)))?;
    Ok(0)
}

fn gethook(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let (thread, _) = thread_argument(vm, args);
    let Some(hook) = thread.state().hook.as_deref() else { return vm.ret1(Value::NIL) };
    let letters = [(hook.on_call, b'c'), (hook.on_return, b'r'), (hook.on_line, b'l')];
    let mask: Vec<u8> = letters.iter().filter(|(on, _)| *on).map(|(_, letter)| *letter).collect();
    let count = hook.count;
    let function = vm.hook_function(thread)?;
    vm.push(function)?;
    vm.ret_str(&mask)?;
    vm.push(Value::int(count.into()))?;
    Ok(3)
}
