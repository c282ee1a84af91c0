//! `table.sort` of what needs no metamethods: an array of numbers of one kind, or of strings, in the order of `<`.
//!
//! Numbers are sorted where they stand, strings in another array that then takes the place of theirs, in steps of bounded length: a range is divided until it is short enough for the sort of the standard library,
//! which nothing can interrupt. (The division is the quicksort of Hoare in the form of Lomuto, without branches that depend on the elements.)
//!
//! * **I1** An interrupt leaves the table with the elements that it had, in whatever order.
//! * **I2** A slot in use is written without its barrier only if it holds a number before and after (V2).
//!
//! May import `sort`, the machine.

use super::sort::{Request, Sorter};
use crate::value::{Gc, Table, Tag, Value};
use crate::vm::{Throw, Vm};
use std::cmp::Ordering;

/// What is not longer is sorted at once: for numbers, and for strings.
const NUMBERS: usize = 1 << 14;
const STRINGS: usize = 1 << 11;
/// Longer strings are compared in steps of their own, by the machine.
const LONG: usize = 1 << 10;
/// Elements between two looks at an interrupt.
const STEP: usize = 1 << 12;

/// Sorts the first elements of a table without a metatable. `false`: they are something else, or there is no room.
pub fn sort_plain(vm: &mut Vm, plain: Gc<Table>, length: usize) -> Result<bool, Throw> {
    if plain.array_len() < length {
        return Ok(false);
    }
    // SAFETY: T1; nothing else reads or writes the table while its elements are sorted.
    let values = unsafe { std::slice::from_raw_parts_mut(plain.array(), length) };
    let Some(first) = values.first().map(|value| value.tag()) else { return Ok(true) };
    for piece in values.chunks(STEP) {
        vm.work(piece.len())?;
        let fits = |value: &Value| {
            value.tag() == first
                && match value.as_str() {
                    Some(string) => string.len() <= LONG,
                    None => !value.as_float().is_some_and(f64::is_nan),
                }
        };
        if !piece.iter().all(fits) {
            return Ok(false);
        }
    }
    match first {
        Tag::INT => sort_in_steps(vm, values, NUMBERS, |a, b| a.raw_int().cmp(&b.raw_int()))?,
        Tag::FLOAT => {
            sort_in_steps(vm, values, NUMBERS, |a, b| a.raw_float().partial_cmp(&b.raw_float()).unwrap_or(Ordering::Equal))?
        }
        Tag::STR => {
            let Ok(other) = plain.other_array(&vm.heap) else { return Ok(false) };
            // SAFETY: a new array part of the same length (T1), whose slots are written before the slice is made.
            let copy = unsafe {
                for at in (0..plain.array_len()).step_by(STEP) {
                    vm.work(STEP)?;
                    let piece = STEP.min(plain.array_len() - at);
                    other.add(at).copy_from_nonoverlapping(plain.array().add(at), piece);
                }
                std::slice::from_raw_parts_mut(other, length)
            };
            sort_in_steps(vm, copy, STRINGS, |a, b| {
                a.as_str().map(|string| string.bytes()).cmp(&b.as_str().map(|string| string.bytes()))
            })?;
            // SAFETY: its slots are those of the other in another order.
            unsafe { plain.take_array(&mut vm.heap, other) };
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Ranges that wait are more than half as long as the one before, or few: there are never many.
const WAITING: usize = 2 * usize::BITS as usize;

fn sort_in_steps(
    vm: &mut Vm,
    values: &mut [Value],
    short: usize,
    order: impl Fn(Value, Value) -> Ordering + Copy,
) -> Result<(), Throw> {
    let less = |a, b| order(a, b) == Ordering::Less;
    let mut waiting = [(0, 0, 0); WAITING];
    waiting[0] = (0, values.len(), 2 * values.len().max(1).ilog2());
    let mut count = 1;
    while count > 0 {
        count -= 1;
        let (low, high, divisions) = waiting[count];
        if high - low <= short {
            values[low..high].sort_unstable_by(|a, b| order(*a, *b));
            vm.work(4 * (high - low))?;
            continue;
        }
        if divisions == 0 {
            // It is divided badly, as if on purpose.
            sort_any(vm, values, low, high - 1, less)?;
            continue;
        }
        let pivot = ninther(&values[low..high], less);
        let mut middle = divide(vm, &mut values[low..high], |value| less(value, pivot))?;
        if middle == 0 {
            // None is less: those that are equal are in their places.
            middle = divide(vm, &mut values[low..high], |value| !less(pivot, value))?;
            waiting[count] = (low + middle, high, divisions - 1);
            count += 1;
            continue;
        }
        let parts = [(low, low + middle, divisions - 1), (low + middle, high, divisions - 1)];
        // The longer one waits.
        let longer = usize::from(middle < high - low - middle);
        waiting[count] = parts[longer];
        waiting[count + 1] = parts[1 - longer];
        count += 2;
    }
    Ok(())
}

/// Brings those that belong there to the front; their number.
fn divide(vm: &mut Vm, values: &mut [Value], to_front: impl Fn(Value) -> bool) -> Result<usize, Throw> {
    let mut front = 0;
    for start in (0..values.len()).step_by(STEP) {
        vm.work(STEP)?;
        for i in start..values.len().min(start + STEP) {
            let value = values[i];
            values.swap(i, front);
            front += usize::from(to_front(value));
        }
    }
    Ok(front)
}

/// The median of three medians of three elements.
fn ninther(values: &[Value], less: impl Fn(Value, Value) -> bool + Copy) -> Value {
    let median = |a: Value, b: Value, c: Value| match (less(a, b), less(b, c), less(a, c)) {
        (true, true, _) | (false, false, _) => b,
        (true, false, true) | (false, true, false) => c,
        _ => a,
    };
    let at = |i: usize| values[(values.len() - 1) * i / 8];
    median(median(at(0), at(1), at(2)), median(at(3), at(4), at(5)), median(at(6), at(7), at(8)))
}

/// The sort that no order is bad for.
fn sort_any(
    vm: &mut Vm,
    values: &mut [Value],
    low: usize,
    high: usize,
    less: impl Fn(Value, Value) -> bool,
) -> Result<(), Throw> {
    let mut sorter = Sorter::new(low, high);
    let mut yes = false;
    loop {
        match sorter.next(yes) {
            Request::Less(a, b) => {
                vm.work(1)?;
                yes = less(values[a], values[b]);
            }
            Request::Swap(a, b) => values.swap(a, b),
            Request::Invalid => return Err(vm.error("invalid order function for sorting")),
            Request::Done => return Ok(()),
        }
    }
}
