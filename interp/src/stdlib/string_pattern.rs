//! The functions of the string library that take patterns: `find`, `match`, `gmatch`, `gsub`.
//!
//! * **I1** A matcher reads the bytes of a string that stands in an argument's slot, or in an upvalue of the running function.

use super::fault::Fault;
use super::matcher::{Capture, Matcher};
use super::pattern::{ITEM_BYTES, Pattern, Read, SHORT, find_plain, has_specials};
use super::support::{self, append, raise, start, text};
use crate::value::{Outcome, Text, Value};
use crate::vm::{Args, Ready, Throw, Vm};
use std::any::Any;
use std::ops::Range;
use std::ptr::NonNull;

pub fn find(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    search(vm, args, true)
}

pub fn match_(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    search(vm, args, false)
}

fn search(vm: &mut Vm, args: Args, find: bool) -> Result<u32, Throw> {
    let subject = text(vm, args, 0)?;
    let source = text(vm, args, 1)?;
    let from = start(vm.opt_int(args, 2, 1)?, subject.len());
    if from > subject.len() {
        return vm.ret1(Value::NIL);
    }
    let plain = find && {
        let asked = vm.arg(args, 3).is_truthy();
        asked || !has_specials(source, &mut || !vm.is_stopped()).map_err(|fault| raise(vm, fault))?
    };
    if plain {
        let place = find_plain(subject, source, from, &mut || !vm.is_stopped()).map_err(|fault| raise(vm, fault))?;
        let Some(place) = place else { return vm.ret1(Value::NIL) };
        push_range(vm, &(place..place + source.len()))?;
        return Ok(2);
    }
    let mut pattern = Pattern::empty();
    read(vm, &mut pattern, Pattern::read, source)?;
    let mut go_on = vm.may_go_on();
    let mut matcher = Matcher::new(subject, &pattern, &mut go_on);
    let Some(whole) = matcher.search(from).map_err(|fault| raise(vm, fault))? else { return vm.ret1(Value::NIL) };
    if find {
        push_range(vm, &whole)?;
        let count = matcher.captures();
        push_captures(vm, &matcher, subject, &whole, count)?;
        return Ok(2 + count as u32);
    }
    push_captures(vm, &matcher, subject, &whole, matcher.values())
}

/// Reads a pattern. What a long one takes is not on the heap, but counts against its limit.
#[inline]
fn read(vm: &mut Vm, pattern: &mut Pattern, how: Read, source: &[u8]) -> Result<(), Throw> {
    let bytes = source.len().saturating_mul(ITEM_BYTES);
    if source.len() > SHORT && vm.heap.room_bytes(bytes) < bytes {
        return Err(vm.memory_error());
    }
    how(pattern, source, &mut || !vm.is_stopped()).map_err(|fault| raise(vm, fault))
}

fn push_range(vm: &mut Vm, range: &Range<usize>) -> Result<(), Throw> {
    vm.push(Value::int(range.start as i64 + 1))?;
    vm.push(Value::int(range.end as i64))
}

fn capture(vm: &mut Vm, matcher: &Matcher, subject: &[u8], whole: &Range<usize>, i: usize) -> Result<Value, Throw> {
    match matcher.capture(i, whole).map_err(|fault| raise(vm, fault))? {
        Capture::Text(range) => vm.new_str(&subject[range]),
        Capture::Position(position) => Ok(Value::int(position as i64)),
    }
}

fn push_captures(vm: &mut Vm, matcher: &Matcher, subject: &[u8], whole: &Range<usize>, count: usize) -> Result<u32, Throw> {
    support::reserve(vm, count, "too many captures")?;
    for i in 0..count {
        let value = capture(vm, matcher, subject, whole, i)?;
        vm.push(value)?;
    }
    Ok(count as u32)
}

/// What an iteration of `gmatch` knows beside its strings.
struct Iteration {
    /// Unless it takes memory of the host: then it is compiled for each step.
    pattern: Option<Pattern>,
    at: usize,
    /// The end of the last match, which the next one may not be empty at.
    last: Option<usize>,
}

impl Iteration {
    /// The next match.
    fn next(&mut self, vm: &mut Vm, subject: &[u8], source: &[u8]) -> Result<u32, Throw> {
        let mut long = Pattern::empty();
        let pattern = match &self.pattern {
            Some(pattern) => pattern,
            None => {
                read(vm, &mut long, Pattern::read_unanchored, source)?;
                &long
            }
        };
        let mut go_on = vm.may_go_on();
        let mut matcher = Matcher::new(subject, pattern, &mut go_on);
        while self.at <= subject.len() {
            let Some(whole) = matcher.search(self.at).map_err(|fault| raise(vm, fault))? else { break };
            if Some(whole.end) == self.last {
                self.at = whole.start + 1;
                continue;
            }
            self.at = whole.end;
            self.last = Some(whole.end);
            return push_captures(vm, &matcher, subject, &whole, matcher.values());
        }
        self.at = subject.len() + 1;
        vm.ret1(Value::NIL)
    }
}

pub fn gmatch(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let subject = text(vm, args, 0)?;
    let source = text(vm, args, 1)?;
    let from = start(vm.opt_int(args, 2, 1)?, subject.len());
    let mut pattern = Pattern::empty();
    read(vm, &mut pattern, Pattern::read_unanchored, source)?;
    let pattern = Some(pattern).filter(Pattern::is_inline);
    let iteration = Iteration { pattern, at: from.min(subject.len() + 1), last: None };
    let upvalues = [vm.new_userdata(iteration, None)?, vm.arg(args, 0), vm.arg(args, 1)];
    let function = vm.new_native("for iterator", gmatch_next, &upvalues)?;
    vm.ret1(function)
}

fn gmatch_next(vm: &mut Vm, _: Args) -> Result<u32, Throw> {
    let function = vm.running_native();
    let (state, subject, source) = (function.upval(0).as_userdata(), function.upval(1).as_str(), function.upval(2).as_str());
    let (Some(state), Some(subject), Some(source)) = (state, subject, source) else { return Ok(0) };
    let mut state = state.data.borrow_mut();
    match state.as_mut().and_then(|state| state.downcast_mut::<Iteration>()) {
        Some(iteration) => iteration.next(vm, subject.bytes(), source.bytes()),
        None => Ok(0),
    }
}

pub fn gsub(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let subject = text(vm, args, 0)?;
    let source = text(vm, args, 1)?;
    let limit = vm.opt_int(args, 3, subject.len() as i64 + 1)?;
    match vm.arg(args, 2).type_name() {
        "string" | "number" => drop(text(vm, args, 2)?),
        "table" | "function" => {}
        _ => return Err(vm.arg_type_error(args, 2, "string/function/table")),
    }
    let mut pattern = Pattern::empty();
    read(vm, &mut pattern, Pattern::read, source)?;
    let made = Made {
        out: Text::new(std::mem::take(&mut vm.lib.buffer)),
        copied: 0,
        from: 0,
        last: None,
        whole: 0..0,
        count: 0,
        limit,
        changed: false,
    };
    let mut state = Substitution { pattern: Some(pattern), made };
    // The place of the state, if it has to wait.
    vm.push(Value::NIL)?;
    match state.go_on(vm, args, subject) {
        Ok(Progress::Waits(step)) => {
            let rested = state.rest(vm);
            // The buffer stays here, for the next one.
            let near = std::mem::take(&mut state.made.out.near);
            state.made.out.near = near.as_slice().to_vec();
            vm.lib.buffer = near;
            if let Err(throw) = rested {
                return state.made.end(vm, args, Err(throw));
            }
            let state = vm.new_state(state, Substitution::each_block)?;
            vm.set_at(args.end(), state);
            Ok(step)
        }
        result => state.made.end(vm, args, result),
    }
}

/// What replaces a match stands at the top.
fn replaced(vm: &mut Vm, args: Args, _: Outcome) -> Result<u32, Throw> {
    let value = vm.at(vm.mark() - 1);
    vm.pop_to(args.end() + 1);
    let userdata = vm.at(args.end()).as_userdata().expect("the state of the substitution");
    let mut data = userdata.data.borrow_mut();
    let state = data.as_mut().and_then(|data| data.downcast_mut::<Substitution>()).expect("the state of the substitution");
    let subject = text(vm, args, 0)?;
    let result = match state.made.replace(vm, subject, value) {
        Ok(()) => state.go_on(vm, args, subject),
        Err(throw) => Err(throw),
    };
    match result {
        Ok(Progress::Waits(step)) => {
            state.rest(vm)?;
            Ok(step)
        }
        result => state.made.end(vm, args, result),
    }
}

/// A `gsub` in progress.
struct Substitution {
    /// Unless it takes memory of the host: then it is compiled anew when the function goes on.
    pattern: Option<Pattern>,
    made: Made,
}

/// What it has made so far.
struct Made {
    out: Text,
    /// The end of what of the subject is in the text, and where the next match is searched.
    copied: usize,
    from: usize,
    /// The end of the last match, which the next one may not be empty at.
    last: Option<usize>,
    /// The match that is being replaced.
    whole: Range<usize>,
    count: i64,
    limit: i64,
    /// A match was replaced by something else than itself.
    changed: bool,
}

enum Progress {
    Done,
    Waits(u32),
}

impl Substitution {
    fn each_block(data: &dyn Any, visit: &mut dyn FnMut(NonNull<u8>)) {
        if let Some(state) = data.downcast_ref::<Substitution>() {
            state.made.out.each_block(visit);
        }
    }

    /// To be called before it has to wait.
    fn rest(&mut self, vm: &mut Vm) -> Result<(), Throw> {
        self.pattern = self.pattern.take().filter(Pattern::is_inline);
        self.made.out.rest(&mut vm.heap).map_err(|_| vm.memory_error())
    }

    /// Replaces matches, until a function must be asked.
    fn go_on(&mut self, vm: &mut Vm, args: Args, subject: &[u8]) -> Result<Progress, Throw> {
        let Substitution { pattern, made } = self;
        let pattern = match pattern {
            Some(pattern) => pattern,
            None => {
                let pattern = pattern.insert(Pattern::empty());
                let source = text(vm, args, 1)?;
                read(vm, pattern, Pattern::read, source)?;
                pattern
            }
        };
        let mut go_on = vm.may_go_on();
        let mut matcher = Matcher::new(subject, pattern, &mut go_on);
        let replacement = vm.arg(args, 2);
        while made.count < made.limit && made.from <= subject.len() {
            if made.count > 0 && pattern.is_anchored() {
                break;
            }
            let Some(whole) = matcher.search(made.from).map_err(|fault| raise(vm, fault))? else { break };
            vm.work(8)?;
            if Some(whole.end) == made.last {
                made.from = whole.start + 1;
                continue;
            }
            made.count += 1;
            vm.append(&mut made.out, &subject[made.copied..whole.start])?;
            (made.copied, made.from, made.last) = (whole.end, whole.end, Some(whole.end));
            let access = match replacement.as_str() {
                Some(text) => {
                    let out = &mut made.out;
                    let result = matcher.expand(text.bytes(), &whole, |bytes| vm.append(out, bytes).map_err(|_| Fault::Raised));
                    result.map_err(|fault| raise(vm, fault))?;
                    made.changed = true;
                    continue;
                }
                None if replacement.is_table() => {
                    let key = capture(vm, &matcher, subject, &whole, 0)?;
                    vm.access(replacement, key)?
                }
                None => {
                    vm.push(replacement)?;
                    let count = push_captures(vm, &matcher, subject, &whole, matcher.values())?;
                    made.whole = whole;
                    return vm.call_then(count as usize, 1, replaced).map(Progress::Waits);
                }
            };
            made.whole = whole;
            match vm.ready(access, replaced)? {
                Ready::Value(value) => made.replace(vm, subject, value)?,
                Ready::Later(step) => return Ok(Progress::Waits(step)),
            }
        }
        Ok(Progress::Done)
    }
}

impl Made {
    /// Appends what replaces the match.
    fn replace(&mut self, vm: &mut Vm, subject: &[u8], value: Value) -> Result<(), Throw> {
        if value.is_falsy() {
            return vm.append(&mut self.out, &subject[self.whole.clone()]);
        }
        self.changed = true;
        if append(vm, &mut self.out, value)? {
            return Ok(());
        }
        Err(vm.error(format!("invalid replacement value (a {})", value.type_name())))
    }

    /// The results; the text is given back however it ended.
    fn end(&mut self, vm: &mut Vm, args: Args, result: Result<Progress, Throw>) -> Result<u32, Throw> {
        let subject = text(vm, args, 0)?;
        let string = match result {
            Err(throw) => Err(throw),
            Ok(_) if !self.changed => Ok(vm.arg(args, 0)),
            Ok(_) => vm.append(&mut self.out, &subject[self.copied..]).and_then(|()| vm.text_value(&self.out)),
        };
        let out = std::mem::replace(&mut self.out, Text::new(Vec::new()));
        let near = out.free(&mut vm.heap);
        if near.capacity() > vm.lib.buffer.capacity() {
            vm.lib.buffer = near;
        }
        vm.push(string?)?;
        vm.push(Value::int(self.count))?;
        Ok(2)
    }
}
