//! The table library (§6.6). May import `sort`, `sort_plain`, `support`, the machine.
//!
//! * **I1** A value that is held while metamethods may run stands on the stack.

use super::sort::{Sortable, sort};
use super::sort_plain::sort_plain;
use super::support::{self, Functions, append};
use crate::value::{Gc, Table, Value};
use crate::vm::{Args, Throw, Vm, coerce_number};

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

/// `t[i]`
#[inline]
pub(super) fn get(vm: &mut Vm, table: Value, i: i64) -> Result<Value, Throw> {
    if let Some(plain) = table.as_table() {
        let value = plain.get_int(&mut vm.heap, i);
        if !value.is_nil() || plain.meta().is_none() {
            return Ok(value);
        }
    }
    vm.index(table, Value::int(i))
}

/// `t[i] = value`
#[inline]
fn set(vm: &mut Vm, table: Value, i: i64, value: Value) -> Result<(), Throw> {
    match table.as_table() {
        Some(plain) if plain.meta().is_none() => plain.set_int(&mut vm.heap, i, value).map_err(|error| vm.set_error(error)),
        _ => vm.set_index(table, Value::int(i), value),
    }
}

/// `#t`, which may be a float or a string that is an integer.
fn length(vm: &mut Vm, table: Value) -> Result<i64, Throw> {
    let length = vm.len(table)?;
    match length.as_int().or_else(|| support::integer_of(coerce_number(length)?)) {
        Some(length) => Ok(length),
        None => Err(vm.error("object length is not an integer")),
    }
}

fn concat(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let table = table_like(vm, args, 0, READ_LENGTH)?;
    let length = length(vm, table)?;
    let separator = support::opt_text(vm, args, 1, b"")?;
    let first = vm.opt_int(args, 2, 1)?;
    let last = vm.opt_int(args, 3, length)?;
    vm.ret_text(|vm, out| {
        let mut i = first;
        while i <= last {
            let value = get(vm, table, i)?;
            if !append(vm, out, value)? {
                return Err(vm.error(format!("invalid value ({}) at index {i} in table for 'concat'", value.type_name())));
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

fn insert(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let table = table_like(vm, args, 0, ALL)?;
    let end = length(vm, table)?.wrapping_add(1);
    match args.count() {
        2 => set(vm, table, end, vm.arg(args, 1))?,
        3 => {
            let position = vm.check_int(args, 1)?;
            if (position as u64).wrapping_sub(1) >= end as u64 {
                return Err(vm.arg_error(1, "position out of bounds"));
            }
            if end > position {
                Transfer { source: table, first: position, destination: table, target: position + 1, count: end - position }
                    .downwards(vm)?;
            }
            set(vm, table, position, vm.arg(args, 2))?;
        }
        _ => return Err(vm.error("wrong number of arguments to 'insert'")),
    }
    Ok(0)
}

fn remove(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let table = table_like(vm, args, 0, ALL)?;
    let size = length(vm, table)?;
    let mut position = vm.opt_int(args, 1, size)?;
    if position != size && (position as u64).wrapping_sub(1) > size as u64 {
        return Err(vm.arg_error(1, "position out of bounds"));
    }
    let removed = get(vm, table, position)?;
    vm.push(removed)?;
    if position < size {
        Transfer { source: table, first: position + 1, destination: table, target: position, count: size - position }
            .upwards(vm)?;
        position = size;
    }
    set(vm, table, position, Value::NIL)?;
    Ok(1)
}

fn move_(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let (first, last, target) = (vm.check_int(args, 1)?, vm.check_int(args, 2)?, vm.check_int(args, 3)?);
    let source = table_like(vm, args, 0, READ)?;
    let destination = table_like(vm, args, if vm.arg(args, 4).is_nil() { 0 } else { 4 }, WRITE)?;
    if last >= first {
        if first <= 0 && last >= i64::MAX.wrapping_add(first) {
            return Err(vm.arg_error(2, "too many elements to move"));
        }
        let count = last - first + 1;
        if target > i64::MAX - count + 1 {
            return Err(vm.arg_error(3, "destination wrap around"));
        }
        let apart = target > last || target <= first;
        let transfer = Transfer { source, first, destination, target, count };
        if apart || !vm.equals(source, destination)? {
            transfer.upwards(vm)?;
        } else {
            transfer.downwards(vm)?;
        }
    }
    vm.ret1(destination)
}

/// `destination[target + i] = source[first + i]` for `i` from 0 to `count - 1`; no index overflows.
///
/// What lies in the array parts of tables without metatables is moved in blocks. In which order the elements of a block go makes no difference then: if
/// the tables are the same, the order of the whole is the one in which every element is read before it is overwritten.
struct Transfer {
    source: Value,
    first: i64,
    destination: Value,
    target: i64,
    count: i64,
}

/// So many elements at most are moved between two looks at the interrupt.
const BLOCK: i64 = 1 << 14;

impl Transfer {
    /// From the first element to the last.
    fn upwards(&self, vm: &mut Vm) -> Result<(), Throw> {
        let mut done = 0;
        while done < self.count {
            let (from, to) = (self.first + done, self.target + done);
            let moved = match self.array_parts(from, to) {
                Some((source, destination)) => {
                    let room = (source.array_len() as i64 - from).min(destination.array_len() as i64 - to) + 1;
                    let n = room.min(self.count - done).min(BLOCK);
                    destination.copy_slots(&vm.heap, to as usize - 1, source, from as usize - 1, n as usize);
                    n
                }
                None => self.one(vm, from, to)?,
            };
            done += moved;
            vm.work(moved as usize)?;
        }
        Ok(())
    }

    /// From the last element to the first.
    fn downwards(&self, vm: &mut Vm) -> Result<(), Throw> {
        let mut left = self.count;
        while left > 0 {
            let (from, to) = (self.first + (left - 1), self.target + (left - 1));
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
        }
        Ok(())
    }

    /// The tables, if neither has metamethods and both elements stand in the array parts.
    #[inline]
    fn array_parts(&self, from: i64, to: i64) -> Option<(Gc<Table>, Gc<Table>)> {
        let with = |value: Value, i: i64| {
            value.as_table().filter(|table| table.meta().is_none() && (i as u64).wrapping_sub(1) < table.array_len() as u64)
        };
        Some((with(self.source, from)?, with(self.destination, to)?))
    }

    /// Moves a single element, and says so.
    fn one(&self, vm: &mut Vm, from: i64, to: i64) -> Result<i64, Throw> {
        let value = get(vm, self.source, from)?;
        set(vm, self.destination, to, value)?;
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
    let first = vm.opt_int(args, 1, 1)?;
    let last = if vm.arg(args, 2).is_nil() { length(vm, table)? } else { vm.check_int(args, 2)? };
    if first > last {
        return Ok(0);
    }
    let count = last.wrapping_sub(first) as u64;
    let count = usize::try_from(count).ok().and_then(|count| count.checked_add(1)).unwrap_or(usize::MAX);
    support::reserve(vm, count, "too many results to unpack")?;
    for i in first..=last {
        let value = get(vm, table, i)?;
        vm.push(value)?;
        vm.work(4)?;
    }
    Ok(count as u32)
}

fn sort_(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let table = table_like(vm, args, 0, ALL)?;
    let length = length(vm, table)?;
    if length > 1 {
        if length >= i64::from(i32::MAX) {
            return Err(vm.arg_error(0, "array too big"));
        }
        let order = if vm.arg(args, 1).is_nil() { Value::NIL } else { vm.check_function(args, 1)? };
        if !order.is_nil() || !sort_plain(vm, table, length as usize)? {
            let mut range = Range { vm, table, order };
            sort(&mut range, 1, length as usize)?;
        }
    }
    Ok(0)
}

/// The elements of a table, in the order of a function or of `<`.
struct Range<'v> {
    vm: &'v mut Vm,
    table: Value,
    order: Value,
}

impl Range<'_> {
    /// Two elements, of which the first one stands on the stack (I1) while the second is fetched.
    fn pair(&mut self, a: usize, b: usize) -> Result<(Value, Value), Throw> {
        let first = get(self.vm, self.table, a as i64)?;
        let mark = self.vm.mark();
        self.vm.push(first)?;
        let second = get(self.vm, self.table, b as i64)?;
        self.vm.pop_to(mark);
        Ok((first, second))
    }
}

impl Sortable for Range<'_> {
    type Error = Throw;

    fn less(&mut self, a: usize, b: usize) -> Result<bool, Throw> {
        self.vm.work(8)?;
        let (first, second) = self.pair(a, b)?;
        if self.order.is_nil() {
            self.vm.less_than(first, second)
        } else {
            Ok(self.vm.call1(self.order, &[first, second])?.is_truthy())
        }
    }

    fn swap(&mut self, a: usize, b: usize) -> Result<(), Throw> {
        let (first, second) = self.pair(a, b)?;
        let mark = self.vm.mark();
        self.vm.push(first)?;
        set(self.vm, self.table, a as i64, second)?;
        set(self.vm, self.table, b as i64, first)?;
        self.vm.pop_to(mark);
        Ok(())
    }

    fn invalid_order(&mut self) -> Throw {
        self.vm.error("invalid order function for sorting")
    }
}
