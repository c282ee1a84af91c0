//! Primitives: procedures that the host has written. They run within one step; none of them calls a procedure of the program.
//!
//! Invariants:
//! * **pure-is-repeatable** A primitive that is called pure changes nothing: it may be done a second time when memory was refused behind it.
//! * **effect-last** Any other changes something when nothing in it can fail any more.

mod data;
mod lists;
mod numbers;
mod ports;
mod state;
mod tables;
mod text;
mod weak;

use super::control::Control;
use super::machine::{Answer, Vm};
use super::value::Value;

pub type Run = for<'gc> fn(&mut Vm<'gc>, &[Value<'gc>]) -> Answer<'gc>;

pub struct Primitive {
    pub name: &'static str,
    least: u8,
    most: u8,
    pub pure: bool,
    pub fast: Fast,
    pub action: Action,
}

pub enum Action {
    Plain(Run),
    Control(Control),
}

/// What the machine does itself with the usual arguments.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Fast {
    No,
    Car,
    Cdr,
    Null,
    Not,
    Pair,
    Add,
    Subtract,
    Less,
    Equal,
    Greater,
}

/// As many arguments as one likes.
const ANY: u8 = u8::MAX;

impl Primitive {
    pub fn takes(&self, count: usize) -> bool {
        count >= self.least as usize && (count <= self.most as usize || self.most == ANY)
    }
}

const fn pure(name: &'static str, least: u8, most: u8, run: Run) -> Primitive {
    Primitive { name, least, most, pure: true, fast: Fast::No, action: Action::Plain(run) }
}
const fn fast(name: &'static str, least: u8, most: u8, fast: Fast, run: Run) -> Primitive {
    Primitive { name, least, most, pure: true, fast, action: Action::Plain(run) }
}
const fn effect(name: &'static str, least: u8, most: u8, run: Run) -> Primitive {
    Primitive { name, least, most, pure: false, fast: Fast::No, action: Action::Plain(run) }
}
const fn control(name: &'static str, least: u8, most: u8, what: Control) -> Primitive {
    Primitive { name, least, most, pure: false, fast: Fast::No, action: Action::Control(what) }
}

const TABLES: [&[Primitive]; 8] = [
    data::PRIMITIVES,
    lists::PRIMITIVES,
    numbers::PRIMITIVES,
    ports::PRIMITIVES,
    state::PRIMITIVES,
    tables::PRIMITIVES,
    text::PRIMITIVES,
    weak::PRIMITIVES,
];

pub fn all() -> impl Iterator<Item = &'static Primitive> {
    TABLES.into_iter().flatten()
}

pub fn find(name: &str) -> Option<&'static Primitive> {
    all().find(|primitive| primitive.name == name)
}

// ---- arguments

/// An index into so many elements, the end too if `end`.
fn index<'gc>(vm: &Vm<'gc>, value: Value<'gc>, length: usize, end: bool) -> Answer<'gc, usize> {
    match value {
        Value::Integer(n) if n >= 0 && ((n as u64) < length as u64 || (end && n as u64 == length as u64)) => Ok(n as usize),
        _ => Err(vm.error("no such index", &[value])),
    }
}

/// A size of something new.
fn size<'gc>(vm: &Vm<'gc>, value: Value<'gc>) -> Answer<'gc, usize> {
    match value {
        Value::Integer(n) if (0..1 << 40).contains(&n) => Ok(n as usize),
        _ => Err(vm.error("no size", &[value])),
    }
}

/// Begin and end, from the arguments at `at` on.
fn range<'gc>(vm: &Vm<'gc>, arguments: &[Value<'gc>], at: usize, length: usize) -> Answer<'gc, std::ops::Range<usize>> {
    let begin = arguments.get(at).map_or(Ok(0), |&begin| index(vm, begin, length, true))?;
    let end = arguments.get(at + 1).map_or(Ok(length), |&end| index(vm, end, length, true))?;
    if begin > end {
        return Err(vm.error("a range ends before it begins", &[Value::Integer(begin as i64), Value::Integer(end as i64)]));
    }
    Ok(begin..end)
}

fn wrong<'gc, T>(vm: &Vm<'gc>, what: &str, value: Value<'gc>) -> Answer<'gc, T> {
    Err(vm.error(what, &[value]))
}
