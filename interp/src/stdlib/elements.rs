//! Elements of tables with metamethods, read and written one by one: each access may be a call, for which the function waits.
//!
//! What such a function keeps stands behind its arguments, from slot `args.end()` on, as the places below name it. When the work is done the function goes on
//! with [`Next::next`].
//!
//! May import the machine.

use super::table::{get, set};
use crate::value::{Outcome, Value};
use crate::vm::{Args, Throw, Vm};

/// What a function does next, and which elements it takes.
pub trait Next {
    fn next(vm: &mut Vm, args: Args) -> Result<u32, Throw>;

    /// An error, if the element that was read can't be used.
    fn check(_: &mut Vm, _index: i64, _element: Value) -> Result<(), Throw> {
        Ok(())
    }
}

// ---- reading

/// The table that is read.
const SOURCE: usize = 0;
/// A plain table with the elements read so far, from 1 on.
pub const GATHERED: usize = 1;
const FIRST: usize = 2;
const LAST: usize = 3;
/// The number of elements read.
pub const READ: usize = 4;
/// The first place behind them.
pub const BEHIND: usize = 5;

/// Reads the elements `first..=last` into a plain table, which then stands at the place `GATHERED`. Nothing is pushed before.
pub fn gather<N: Next>(vm: &mut Vm, args: Args, source: Value, first: i64, last: i64) -> Result<u32, Throw> {
    vm.pop_to(args.end());
    vm.push(source)?;
    let table = vm.new_table(0, 0)?;
    for value in [Value::table(table), Value::int(first), Value::int(last), Value::int(0)] {
        vm.push(value)?;
    }
    read_on::<N>(vm, args)
}

fn int_at(vm: &Vm, place: usize) -> i64 {
    vm.at(place).as_int().expect("a place for an integer")
}

fn read_on<N: Next>(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let at = args.end();
    loop {
        let (first, last, read) = (int_at(vm, at + FIRST), int_at(vm, at + LAST), int_at(vm, at + READ));
        // So many that the difference of the ends overflows are never read.
        if first > last || read > last.wrapping_sub(first) && last.wrapping_sub(first) >= 0 {
            return N::next(vm, args);
        }
        vm.work(8)?;
        vm.native_safepoint();
        let element = crate::vm::ready!(get(vm, vm.at(at + SOURCE), first.wrapping_add(read), element_read::<N>));
        take::<N>(vm, args, element)?;
    }
}

fn element_read<N: Next>(vm: &mut Vm, args: Args, _: Outcome) -> Result<u32, Throw> {
    let element = vm.at(vm.mark() - 1);
    vm.pop_to(args.end() + BEHIND);
    take::<N>(vm, args, element)?;
    read_on::<N>(vm, args)
}

fn take<N: Next>(vm: &mut Vm, args: Args, element: Value) -> Result<(), Throw> {
    let at = args.end();
    let read = int_at(vm, at + READ);
    N::check(vm, int_at(vm, at + FIRST).wrapping_add(read), element)?;
    let table = vm.at(at + GATHERED).as_table().expect("a place for a table");
    table.set_int(&mut vm.heap, read + 1, element).map_err(|error| vm.set_error(error))?;
    vm.set_at(at + READ, Value::int(read + 1));
    Ok(())
}

// ---- moving

const FROM: usize = 0;
const TO: usize = 1;
const FROM_INDEX: usize = 2;
/// Where the next element would go.
pub const TO_INDEX: usize = 3;
const LEFT: usize = 4;
const STEP: usize = 5;
const BEHIND_MOVE: usize = 6;

/// `destination[target + i] = source[first + i]` for `i` from 0 to `count - 1`, or the other way round.
#[derive(Clone, Copy)]
pub struct Move {
    pub source: Value,
    pub first: i64,
    pub destination: Value,
    pub target: i64,
    pub count: i64,
    pub downwards: bool,
}

impl Move {
    pub fn begin<N: Next>(self, vm: &mut Vm, args: Args) -> Result<u32, Throw> {
        let skip = if self.downwards { self.count - 1 } else { 0 };
        let step = if self.downwards { -1 } else { 1 };
        vm.pop_to(args.end());
        vm.push(self.source)?;
        vm.push(self.destination)?;
        for number in [self.first.wrapping_add(skip), self.target.wrapping_add(skip), self.count, step] {
            vm.push(Value::int(number))?;
        }
        move_on::<N>(vm, args)
    }
}

fn move_on<N: Next>(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let at = args.end();
    while int_at(vm, at + LEFT) > 0 {
        vm.work(8)?;
        vm.native_safepoint();
        let element = crate::vm::ready!(get(vm, vm.at(at + FROM), int_at(vm, at + FROM_INDEX), element_got::<N>));
        if let Some(step) = put::<N>(vm, args, element)? {
            return Ok(step);
        }
    }
    N::next(vm, args)
}

fn element_got<N: Next>(vm: &mut Vm, args: Args, _: Outcome) -> Result<u32, Throw> {
    let element = vm.at(vm.mark() - 1);
    vm.pop_to(args.end() + BEHIND_MOVE);
    match put::<N>(vm, args, element)? {
        Some(step) => Ok(step),
        None => move_on::<N>(vm, args),
    }
}

fn put<N: Next>(vm: &mut Vm, args: Args, element: Value) -> Result<Option<u32>, Throw> {
    let at = args.end();
    let to = int_at(vm, at + TO_INDEX);
    // Counted before the write, after which another function may go on.
    let step = int_at(vm, at + STEP);
    for (place, by) in [(FROM_INDEX, step), (TO_INDEX, step), (LEFT, -1)] {
        let number = int_at(vm, at + place).wrapping_add(by);
        vm.set_at(at + place, Value::int(number));
    }
    set(vm, vm.at(at + TO), to, element, element_put::<N>)
}

fn element_put<N: Next>(vm: &mut Vm, args: Args, _: Outcome) -> Result<u32, Throw> {
    move_on::<N>(vm, args)
}
