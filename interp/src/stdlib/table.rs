//! The table library (§6.6). May import `elements`, `sort`, `sort_plain`, `support`, the machine.
//!
//! Tables without metatables are worked on at once. For others, and for what behaves like a table, the functions wait for the metamethods: the
//! elements are gathered, or moved, one by one (`elements`).

use super::elements::{self, GATHERED, Move, Next};
use super::sort::{Request, Sorter};
use super::sort_plain::sort_plain;
use super::support::{self, Functions, append};
use crate::value::{Gc, Outcome, Table, Value};
use crate::vm::{Args, Event, Ready, Throw, Vm, ready};

const FUNCTIONS: Functions = &[
    ("concat", concat),
    ("insert", insert),
    ("move", move_),
    ("pack", pack),
    ("remove", remove),
    ("sort", sort_),
    ("unpack", unpack),
];

pub fn open(vm: &mut Vm) -> Result<(), Throw> {
    let library = support::library(vm, "table", FUNCTIONS)?;
    vm.mark_restartable(library, ["concat", "insert", "pack", "unpack"])
}

const READ: &[&str] = &["__index"];
const WRITE: &[&str] = &["__newindex"];
const READ_LENGTH: &[&str] = &["__index", "__len"];
const ALL: &[&str] = &["__index", "__newindex", "__len"];

/// An argument that is a table, or has the metamethods to behave like one.
fn table_like(vm: &mut Vm, args: Args, i: usize, metamethods: &[&str]) -> Result<Value, Throw> {
    let value = vm.arg(args, i);
    if value.is_table() {
        return Ok(value);
    }
    let Some(meta) = vm.metatable(value) else { return Err(vm.arg_type_error(args, i, "table")) };
    for name in metamethods {
        if vm.get_field(meta, name)?.is_nil() {
            return Err(vm.arg_type_error(args, i, "table"));
        }
    }
    Ok(value)
}

/// A table without a metatable.
fn plain(value: Value) -> Option<Gc<Table>> {
    value.as_table().filter(|table| table.meta().is_none())
}

/// `t[i]`
#[inline]
pub(super) fn get(vm: &mut Vm, table: Value, i: i64, then: crate::value::Continuation) -> Result<Ready, Throw> {
    if let Some(table) = table.as_table() {
        let value = table.get_int(&mut vm.heap, i);
        if !value.is_nil() || table.meta().is_none() {
            return Ok(Ready::Value(value));
        }
    }
    let access = vm.access(table, Value::int(i))?;
    vm.ready(access, then)
}

/// `t[i] = value`; `Some`: the step after which `then` goes on.
#[inline]
pub(super) fn set(
    vm: &mut Vm,
    table: Value,
    i: i64,
    value: Value,
    then: crate::value::Continuation,
) -> Result<Option<u32>, Throw> {
    match plain(table) {
        Some(table) => {
            set_plain(vm, table, i, value)?;
            Ok(None)
        }
        None => vm.set_index(table, Value::int(i), value, then),
    }
}

fn set_plain(vm: &mut Vm, table: Gc<Table>, i: i64, value: Value) -> Result<(), Throw> {
    table.set_int(&mut vm.heap, i, value).map_err(|error| vm.set_error(error))
}

/// `#t`, at once or for `then`; a length may be a float or a string that is an integer (`checked_length`).
fn length(vm: &mut Vm, table: Value, then: crate::value::Continuation) -> Result<Ready, Throw> {
    let access = vm.length(table)?;
    vm.ready(access, then)
}

fn checked_length(vm: &mut Vm, length: Value) -> Result<i64, Throw> {
    match vm.number_of(length)?.and_then(support::integer_of) {
        Some(length) => Ok(length),
        None => Err(vm.error("object length is not an integer")),
    }
}

/// The value that a function has waited for.
fn waited(vm: &Vm) -> Value {
    vm.at(vm.mark() - 1)
}

/// A function that begins with a length: `$name` finds it and goes on with `$rest`.
macro_rules! with_length {
    ($name:ident, $then:ident, $rest:ident, $metamethods:expr) => {
        fn $name(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
            let table = table_like(vm, args, 0, $metamethods)?;
            let length = ready!(length(vm, table, $then));
            $rest(vm, args, length)
        }

        fn $then(vm: &mut Vm, args: Args, _: Outcome) -> Result<u32, Throw> {
            let length = waited(vm);
            vm.pop_to(args.end());
            $rest(vm, args, length)
        }
    };
}

with_length!(concat, concat_measured, concat_from, READ_LENGTH);
with_length!(insert, insert_measured, insert_at, ALL);
with_length!(remove, remove_measured, remove_at, ALL);
with_length!(sort_, sort_measured, sort_first, ALL);

fn concat_from(vm: &mut Vm, args: Args, length: Value) -> Result<u32, Throw> {
    let length = checked_length(vm, length)?;
    support::opt_text(vm, args, 1, b"")?;
    let first = vm.opt_int(args, 2, 1)?;
    let last = vm.opt_int(args, 3, length)?;
    match plain(vm.arg(args, 0)) {
        Some(table) => concat_plain(vm, args, table, first, last),
        None => elements::gather::<Concat>(vm, args, vm.arg(args, 0), first, last),
    }
}

struct Concat;

impl Next for Concat {
    fn next(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
        let table = vm.at(args.end() + GATHERED).as_table().expect("the elements");
        let count = table.length(&mut vm.heap);
        concat_plain(vm, args, table, 1, count)
    }

    fn check(vm: &mut Vm, i: i64, value: Value) -> Result<(), Throw> {
        if value.is_str() || value.is_number() { Ok(()) } else { Err(invalid_element(vm, i, value)) }
    }
}

fn invalid_element(vm: &mut Vm, i: i64, value: Value) -> Throw {
    vm.error(format!("invalid value ({}) at index {i} in table for 'concat'", value.type_name()))
}

fn concat_plain(vm: &mut Vm, args: Args, table: Gc<Table>, first: i64, last: i64) -> Result<u32, Throw> {
    let separator = support::opt_text(vm, args, 1, b"")?;
    vm.ret_text(|vm, out| {
        let mut i = first;
        while i <= last {
            let value = table.get_int(&mut vm.heap, i);
            if !append(vm, out, value)? {
                return Err(invalid_element(vm, i, value));
            }
            if i == last {
                break;
            }
            vm.append(out, separator)?;
            i += 1;
            vm.work(8)?;
        }
        Ok(())
    })
}

fn insert_at(vm: &mut Vm, args: Args, length: Value) -> Result<u32, Throw> {
    let end = checked_length(vm, length)?.wrapping_add(1);
    let position = match args.count() {
        2 => end,
        3 => vm.check_int(args, 1)?,
        _ => return Err(vm.error("wrong number of arguments to 'insert'")),
    };
    if args.count() == 3 && (position as u64).wrapping_sub(1) >= end as u64 {
        return Err(vm.arg_error(1, "position out of bounds"));
    }
    let table = vm.arg(args, 0);
    let shift = Move {
        source: table,
        first: position,
        destination: table,
        target: position.wrapping_add(1),
        count: end.wrapping_sub(position),
        downwards: true,
    };
    match plain(table) {
        Some(plain) => {
            Transfer(shift).run(vm)?;
            set_plain(vm, plain, position, vm.arg(args, args.count() - 1))?;
            Ok(0)
        }
        None => shift.begin::<Insert>(vm, args),
    }
}

struct Insert;

impl Next for Insert {
    fn next(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
        let position = vm.at(args.end() + elements::TO_INDEX).as_int().expect("an index");
        let value = vm.arg(args, args.count() - 1);
        let step = set(vm, vm.arg(args, 0), position, value, no_results)?;
        Ok(step.unwrap_or(0))
    }
}

fn no_results(_: &mut Vm, _: Args, _: Outcome) -> Result<u32, Throw> {
    Ok(0)
}

fn remove_at(vm: &mut Vm, args: Args, length: Value) -> Result<u32, Throw> {
    let size = checked_length(vm, length)?;
    let position = vm.opt_int(args, 1, size)?;
    if position != size && (position as u64).wrapping_sub(1) > size as u64 {
        return Err(vm.arg_error(1, "position out of bounds"));
    }
    // For what comes later: the size takes the place of the position, if there is one.
    let table = vm.arg(args, 0);
    let Some(plain) = plain(table) else {
        vm.set_place(size as usize);
        let removed = ready!(get(vm, table, position, remove_read));
        return remove_shift(vm, args, removed);
    };
    let removed = plain.get_int(&mut vm.heap, position);
    vm.push(removed)?;
    let mut last = position;
    if position < size {
        let shift = Move {
            source: table,
            first: position + 1,
            destination: table,
            target: position,
            count: size - position,
            downwards: false,
        };
        Transfer(shift).run(vm)?;
        last = size;
    }
    set_plain(vm, plain, last, Value::NIL)?;
    Ok(1)
}

fn remove_read(vm: &mut Vm, args: Args, _: Outcome) -> Result<u32, Throw> {
    let removed = waited(vm);
    vm.pop_to(args.end());
    remove_shift(vm, args, removed)
}

/// The element stands at hand; those behind it move down.
fn remove_shift(vm: &mut Vm, args: Args, removed: Value) -> Result<u32, Throw> {
    let size = vm.place() as i64;
    let position = vm.opt_int(args, 1, size)?;
    let table = vm.arg(args, 0);
    // It waits in the place of the table, which the move has twice.
    vm.set_arg(args, 0, removed);
    let count = if position < size { size - position } else { 0 };
    let (first, target) = (position.wrapping_add(1), position);
    Move { source: table, first, destination: table, target, count, downwards: false }.begin::<Remove>(vm, args)
}

struct Remove;

impl Next for Remove {
    fn next(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
        let at = args.end();
        let last = vm.at(at + elements::TO_INDEX).as_int().expect("an index");
        let step = set(vm, vm.at(at), last, Value::NIL, removed)?;
        match step {
            Some(step) => Ok(step),
            None => vm.ret1(vm.arg(args, 0)),
        }
    }
}

fn removed(vm: &mut Vm, args: Args, _: Outcome) -> Result<u32, Throw> {
    vm.ret1(vm.arg(args, 0))
}

fn move_(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let (first, last, target) = (vm.check_int(args, 1)?, vm.check_int(args, 2)?, vm.check_int(args, 3)?);
    let source = table_like(vm, args, 0, READ)?;
    let destination = table_like(vm, args, if vm.arg(args, 4).is_nil() { 0 } else { 4 }, WRITE)?;
    if last < first {
        return vm.ret1(destination);
    }
    if first <= 0 && last >= i64::MAX.wrapping_add(first) {
        return Err(vm.arg_error(2, "too many elements to move"));
    }
    let count = last - first + 1;
    if target > i64::MAX - count + 1 {
        return Err(vm.arg_error(3, "destination wrap around"));
    }
    let apart = target > last || target <= first;
    let equal = if apart {
        Value::FALSE
    } else {
        let equality = vm.equality(source, destination)?;
        ready!(vm.ready(equality, move_compared))
    };
    move_elements(vm, args, equal)
}

fn move_compared(vm: &mut Vm, args: Args, _: Outcome) -> Result<u32, Throw> {
    let equal = waited(vm);
    move_elements(vm, args, equal)
}

/// `equal`: the tables are the same, and the elements go to where others are still to be read.
fn move_elements(vm: &mut Vm, args: Args, equal: Value) -> Result<u32, Throw> {
    let (first, last, target) = (vm.check_int(args, 1)?, vm.check_int(args, 2)?, vm.check_int(args, 3)?);
    let source = vm.arg(args, 0);
    let destination = if vm.arg(args, 4).is_nil() { source } else { vm.arg(args, 4) };
    let moved = Move { source, first, destination, target, count: last - first + 1, downwards: equal.is_truthy() };
    if plain(source).is_none() || plain(destination).is_none() {
        return moved.begin::<Moved>(vm, args);
    }
    Transfer(moved).run(vm)?;
    vm.ret1(destination)
}

struct Moved;

impl Next for Moved {
    fn next(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
        let destination = vm.at(args.end() + 1);
        vm.ret1(destination)
    }
}

/// A move between tables without metatables, which stand in the stack.
///
/// What lies in the array parts is moved in blocks. In which order the elements of a block go makes no difference then: if
/// the tables are the same, the order of the whole is the one in which every element is read before it is overwritten.
struct Transfer(Move);

/// So many elements at most are moved between two looks at the interrupt.
const BLOCK: i64 = 1 << 14;

impl Transfer {
    fn run(&self, vm: &mut Vm) -> Result<(), Throw> {
        if self.0.downwards { self.downwards(vm) } else { self.upwards(vm) }
    }

    /// From the first element to the last.
    fn upwards(&self, vm: &mut Vm) -> Result<(), Throw> {
        let mut done = 0;
        while done < self.0.count {
            let (from, to) = (self.0.first + done, self.0.target + done);
            let moved = match self.array_parts(from, to) {
                Some((source, destination)) => {
                    let room = (source.array_len() as i64 - from).min(destination.array_len() as i64 - to) + 1;
                    let n = room.min(self.0.count - done).min(BLOCK);
                    destination.copy_slots(&vm.heap, to as usize - 1, source, from as usize - 1, n as usize);
                    n
                }
                None => self.one(vm, from, to)?,
            };
            done += moved;
            vm.work(moved as usize)?;
            vm.native_safepoint();
        }
        Ok(())
    }

    /// From the last element to the first.
    fn downwards(&self, vm: &mut Vm) -> Result<(), Throw> {
        let mut left = self.0.count;
        while left > 0 {
            let (from, to) = (self.0.first + (left - 1), self.0.target + (left - 1));
            let moved = match self.array_parts(from, to) {
                Some((source, destination)) => {
                    let n = from.min(to).min(left).min(BLOCK);
                    destination.copy_slots(&vm.heap, (to - n) as usize, source, (from - n) as usize, n as usize);
                    n
                }
                None => self.one(vm, from, to)?,
            };
            left -= moved;
            vm.work(moved as usize)?;
            vm.native_safepoint();
        }
        Ok(())
    }

    /// The tables, if both elements stand in the array parts.
    #[inline]
    fn array_parts(&self, from: i64, to: i64) -> Option<(Gc<Table>, Gc<Table>)> {
        let with = |value: Value, i: i64| value.as_table().filter(|table| (i as u64).wrapping_sub(1) < table.array_len() as u64);
        Some((with(self.0.source, from)?, with(self.0.destination, to)?))
    }

    /// Moves a single element, and says so.
    fn one(&self, vm: &mut Vm, from: i64, to: i64) -> Result<i64, Throw> {
        let (Some(source), Some(destination)) = (self.0.source.as_table(), self.0.destination.as_table()) else { return Ok(1) };
        let value = source.get_int(&mut vm.heap, from);
        set_plain(vm, destination, to, value)?;
        Ok(1)
    }
}

fn pack(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let table = vm.new_table(args.count(), 1)?;
    for i in 0..args.count() {
        let value = vm.arg(args, i);
        table.set_int(&mut vm.heap, i as i64 + 1, value).map_err(|error| vm.set_error(error))?;
        vm.work(4)?;
    }
    vm.set_field(table, "n", Value::int(args.count() as i64))?;
    vm.ret1(Value::table(table))
}

fn unpack(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let table = vm.arg(args, 0);
    if !vm.arg(args, 2).is_nil() {
        return unpack_to(vm, args, vm.arg(args, 2));
    }
    vm.opt_int(args, 1, 1)?;
    let last = ready!(length(vm, table, unpack_measured));
    let last = checked_length(vm, last)?;
    unpack_to(vm, args, Value::int(last))
}

fn unpack_measured(vm: &mut Vm, args: Args, _: Outcome) -> Result<u32, Throw> {
    let last = waited(vm);
    let last = checked_length(vm, last)?;
    vm.pop_to(args.end());
    unpack_to(vm, args, Value::int(last))
}

fn unpack_to(vm: &mut Vm, args: Args, last: Value) -> Result<u32, Throw> {
    let first = vm.opt_int(args, 1, 1)?;
    let last = if vm.arg(args, 2).is_nil() { checked_length(vm, last)? } else { vm.check_int(args, 2)? };
    if first > last {
        return Ok(0);
    }
    let count = last.wrapping_sub(first) as u64;
    let count = usize::try_from(count).ok().and_then(|count| count.checked_add(1)).unwrap_or(usize::MAX);
    if !support::has_room(vm, count) {
        return Err(vm.error("too many results to unpack"));
    }
    vm.reserve(count)?;
    vm.set_place(count);
    unpack_on(vm, args)
}

/// The elements so far stand behind the arguments.
fn unpack_on(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let (first, count) = (vm.opt_int(args, 1, 1)?, vm.place());
    let (table, start) = (vm.arg(args, 0), args.end());
    while vm.mark() - start < count {
        let i = first + (vm.mark() - start) as i64;
        vm.work(4)?;
        let value = ready!(get(vm, table, i, unpack_got));
        vm.push(value)?;
    }
    Ok(count as u32)
}

/// The element that it has waited for is in its place.
fn unpack_got(vm: &mut Vm, args: Args, _: Outcome) -> Result<u32, Throw> {
    unpack_on(vm, args)
}

fn sort_first(vm: &mut Vm, args: Args, length: Value) -> Result<u32, Throw> {
    let length = checked_length(vm, length)?;
    if length <= 1 {
        return Ok(0);
    }
    if length >= i64::from(i32::MAX) {
        return Err(vm.arg_error(0, "array too big"));
    }
    let order = if vm.arg(args, 1).is_nil() { Value::NIL } else { vm.check_function(args, 1)? };
    let Some(table) = plain(vm.arg(args, 0)) else {
        return elements::gather::<Sort>(vm, args, vm.arg(args, 0), 1, length);
    };
    if order.is_nil() && sort_plain(vm, table, length as usize)? {
        return Ok(0);
    }
    begin_sort(vm, args, table, length as usize, SORTER)
}

/// A copy of the elements is sorted, and written back.
struct Sort;

impl Next for Sort {
    fn next(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
        let table = vm.at(args.end() + GATHERED).as_table().expect("the elements");
        let length = vm.at(args.end() + elements::READ).as_int().expect("their number");
        begin_sort(vm, args, table, length as usize, elements::BEHIND)
    }
}

struct Sorted;

impl Next for Sorted {
    fn next(_: &mut Vm, _: Args) -> Result<u32, Throw> {
        Ok(0)
    }
}

/// Where the state of a sort stands behind the arguments: first, or behind the elements that were gathered.
const SORTER: usize = 0;

/// Sorts the elements of a table in the order of a function or of `<`, for which it waits. The state stands at the place `at`, the table behind it.
fn begin_sort(vm: &mut Vm, args: Args, table: Gc<Table>, length: usize, at: usize) -> Result<u32, Throw> {
    let state = vm.new_state(Sorter::new(1, length), |_, _| {})?;
    vm.pop_to(args.end() + at);
    vm.push(state)?;
    vm.push(Value::table(table))?;
    sort_on(vm, args, at, false)
}

fn sort_compared(vm: &mut Vm, args: Args, _: Outcome) -> Result<u32, Throw> {
    let yes = waited(vm).is_truthy();
    let at = vm.place();
    vm.pop_to(args.end() + at + 2);
    sort_on(vm, args, at, yes)
}

fn sort_on(vm: &mut Vm, args: Args, at: usize, mut yes: bool) -> Result<u32, Throw> {
    let place = args.end() + at;
    let state = vm.at(place).as_userdata().expect("the state of the sort");
    let table = vm.at(place + 1).as_table().expect("the elements");
    let mut data = state.data.borrow_mut();
    let sorter = data.as_mut().and_then(|data| data.downcast_mut::<Sorter>()).expect("the state of the sort");
    let order = if args.count() > 1 { vm.arg(args, 1) } else { Value::NIL };
    loop {
        match sorter.next(yes) {
            Request::Less(a, b) => {
                let (x, y) = (table.get_int(&mut vm.heap, a as i64), table.get_int(&mut vm.heap, b as i64));
                if !order.is_nil() {
                    vm.set_place(at);
                    return vm.call_value_then(order, &[x, y], 1, sort_compared);
                }
                vm.work(8)?;
                let access = vm.order(Event::Lt, x, y)?;
                vm.set_place(at);
                yes = ready!(vm.ready(access, sort_compared)).is_truthy();
            }
            Request::Swap(a, b) => {
                let (x, y) = (table.get_int(&mut vm.heap, a as i64), table.get_int(&mut vm.heap, b as i64));
                set_plain(vm, table, a as i64, y)?;
                set_plain(vm, table, b as i64, x)?;
                // An order that no function stands for may never meet another.
                vm.native_safepoint();
            }
            Request::Invalid => return Err(vm.error("invalid order function for sorting")),
            Request::Done if at == SORTER => return Ok(0),
            Request::Done => {
                let (source, destination) = (Value::table(table), vm.arg(args, 0));
                let count = vm.at(args.end() + elements::READ).as_int().expect("the number of elements");
                // The state leaves the stack, and may be reaped.
                drop(data);
                return Move { source, first: 1, destination, target: 1, count, downwards: false }.begin::<Sorted>(vm, args);
            }
        }
    }
}
