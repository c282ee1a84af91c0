//! The functions of the string library that take patterns: `find`, `match`, `gmatch`, `gsub`.
//!
//! * **I1** A matcher reads the bytes of a string that stands in an argument's slot, or in an upvalue of the running function.

use super::fault::Fault;
use super::matcher::{Capture, Matcher};
use super::pattern::{ITEM_BYTES, Pattern, Read, SHORT, find_plain, has_specials};
use super::support::{self, append, raise, start, text};
use crate::value::{Text, Value};
use crate::vm::{Args, Throw, Vm};
use smallvec::SmallVec;
use std::ops::Range;

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
    let mut go_on = vm.go_on();
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
        let mut go_on = vm.go_on();
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
    let replacement = vm.arg(args, 2);
    let kind = match replacement.type_name() {
        "string" | "number" => Replacement::Text(text(vm, args, 2)?),
        "table" => Replacement::Table,
        "function" => Replacement::Function,
        _ => return Err(vm.arg_type_error(args, 2, "string/function/table")),
    };
    let mut pattern = Pattern::empty();
    read(vm, &mut pattern, Pattern::read, source)?;
    let mut go_on = vm.go_on();
    let mut matcher = Matcher::new(subject, &pattern, &mut go_on);
    let mut count = 0;
    let result = vm.with_text(|vm, out| {
        let (mut copied, mut from) = (0, 0);
        let mut last = None;
        let mut changed = false;
        while count < limit && from <= subject.len() {
            let Some(whole) = matcher.search(from).map_err(|fault| raise(vm, fault))? else { break };
            vm.work(8)?;
            if Some(whole.end) != last {
                count += 1;
                vm.append(out, &subject[copied..whole.start])?;
                // The argument is read anew: a call may have moved the stack, but not what stands in the slot.
                let replacement = vm.arg(args, 2);
                changed |= replace(vm, &matcher, subject, &whole, &kind, replacement, out)?;
                (copied, from) = (whole.end, whole.end);
                last = Some(whole.end);
            } else {
                from = whole.start + 1;
            }
            if pattern.is_anchored() {
                break;
            }
        }
        if !changed {
            return Ok(vm.arg(args, 0));
        }
        vm.append(out, &subject[copied..])?;
        vm.text_value(out)
    })?;
    vm.push(result)?;
    vm.push(Value::int(count))?;
    Ok(2)
}

enum Replacement<'a> {
    Text(&'a [u8]),
    Table,
    Function,
}

/// Appends what replaces a match; `false` if that is the match itself.
fn replace(
    vm: &mut Vm,
    matcher: &Matcher,
    subject: &[u8],
    whole: &Range<usize>,
    kind: &Replacement,
    replacement: Value,
    out: &mut Text,
) -> Result<bool, Throw> {
    let value = match kind {
        Replacement::Text(text) => {
            let result = matcher.expand(text, whole, |bytes| vm.append(out, bytes).map_err(|_| Fault::Raised));
            return result.map(|()| true).map_err(|fault| raise(vm, fault));
        }
        Replacement::Table => {
            let key = capture(vm, matcher, subject, whole, 0)?;
            vm.index(replacement, key)?
        }
        Replacement::Function => {
            let mut captures = SmallVec::<[Value; 4]>::new();
            for i in 0..matcher.values() {
                captures.push(capture(vm, matcher, subject, whole, i)?);
            }
            vm.call1(replacement, &captures)?
        }
    };
    if value.is_falsy() {
        vm.append(out, &subject[whole.clone()])?;
        return Ok(false);
    }
    if append(vm, out, value)? {
        return Ok(true);
    }
    Err(vm.error(format!("invalid replacement value (a {})", value.type_name())))
}
