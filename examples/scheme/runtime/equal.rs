//! `eqv?`, `equal?`, and both as keys of hash tables.
//!
//! `equal?` keeps what is to be compared in a list of its own, so depth takes nothing of the stack of the host; and after some thousand comparisons it remembers which objects
//! it has taken for equal, in classes: two of one class are equal unless a difference is found elsewhere. So it ends on objects that lead back into themselves, after as many
//! comparisons as there are objects.
//!
//! Imports `value`.

use super::value::{Object, Value};
use neap_gc::arena::{Gc, Trace};
use std::cell::Cell;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};

/// Comparisons without a memory.
const UNREMEMBERED: u32 = 4096;
/// Parts of a key that are hashed.
const HASHED: u32 = 32;

pub fn eqv(a: Value<'_>, b: Value<'_>) -> bool {
    match (a, b) {
        (Value::Nil, Value::Nil)
        | (Value::Unspecified, Value::Unspecified)
        | (Value::Undefined, Value::Undefined)
        | (Value::Eof, Value::Eof) => true,
        (Value::Boolean(a), Value::Boolean(b)) => a == b,
        (Value::Integer(a), Value::Integer(b)) => a == b,
        (Value::Float(a), Value::Float(b)) => a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()),
        (Value::Char(a), Value::Char(b)) => a == b,
        (Value::Primitive(a), Value::Primitive(b)) => std::ptr::eq(a, b),
        (Value::Core(a), Value::Core(b)) => a == b,
        _ => match (address(a), address(b)) {
            (Some(a), Some(b)) => a == b,
            _ => false,
        },
    }
}

/// Where the object of a value is.
pub fn address(value: Value<'_>) -> Option<usize> {
    Some(match value {
        Value::Symbol(gc) => Gc::addr(gc),
        Value::Pair(gc) => Gc::addr(gc),
        Value::String(gc) => Gc::addr(gc),
        Value::Vector(gc) | Value::Scope(gc) => Gc::addr(gc),
        Value::Bytes(gc) => Gc::addr(gc),
        Value::Closure(gc) => Gc::addr(gc),
        Value::Object(gc) => Gc::addr(gc),
        _ => return None,
    })
}

pub fn equal<'gc>(a: Value<'gc>, b: Value<'gc>) -> bool {
    let mut open = vec![(a, b)];
    let (mut count, mut classes) = (0, HashMap::new());
    while let Some((a, b)) = open.pop() {
        if eqv(a, b) {
            continue;
        }
        count += 1;
        if count > UNREMEMBERED
            && let (Some(a), Some(b)) = (address(a), address(b))
            && !join(&mut classes, a, b)
        {
            continue;
        }
        match (a, b) {
            (Value::Pair(a), Value::Pair(b)) => {
                open.push((a.cdr.get(), b.cdr.get()));
                open.push((a.car.get(), b.car.get()));
            }
            (Value::Vector(a), Value::Vector(b)) if a.len() == b.len() => {
                open.extend(a.iter().zip(b.iter()).map(|(a, b)| (a.get(), b.get())));
            }
            (Value::String(a), Value::String(b)) if a.iter().map(Cell::get).eq(b.iter().map(Cell::get)) => {}
            (Value::Bytes(a), Value::Bytes(b)) if a.iter().map(Cell::get).eq(b.iter().map(Cell::get)) => {}
            _ => return false,
        }
    }
    true
}

/// Makes one class of those of two objects; whether they were two.
fn join(classes: &mut HashMap<usize, usize>, a: usize, b: usize) -> bool {
    // An object leads to another of its class, or is the last.
    let mut last = |mut at: usize| {
        while let Some(&next) = classes.get(&at) {
            if let Some(&behind) = classes.get(&next) {
                classes.insert(at, behind);
            }
            at = next;
        }
        at
    };
    let (a, b) = (last(a), last(b));
    if a != b {
        classes.insert(a, b);
    }
    a != b
}

/// A key that is compared by `eqv?`.
#[derive(Clone, Copy, Trace)]
pub struct ByIdentity<'gc>(pub Value<'gc>);

impl PartialEq for ByIdentity<'_> {
    fn eq(&self, other: &Self) -> bool {
        eqv(self.0, other.0)
    }
}
impl Eq for ByIdentity<'_> {}
impl Hash for ByIdentity<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash_one(self.0, state);
    }
}

/// What is hashed of a value without those in it.
fn hash_one<H: Hasher>(value: Value<'_>, state: &mut H) {
    match value {
        Value::Nil => 1u8.hash(state),
        Value::Unspecified => 2u8.hash(state),
        Value::Undefined => 3u8.hash(state),
        Value::Eof => 4u8.hash(state),
        Value::Boolean(truth) => truth.hash(state),
        Value::Integer(number) => number.hash(state),
        Value::Float(number) if number.is_nan() => f64::NAN.to_bits().hash(state),
        Value::Float(number) => number.to_bits().hash(state),
        Value::Char(char) => char.hash(state),
        Value::Primitive(primitive) => primitive.name.hash(state),
        Value::Core(core) => core.hash(state),
        _ => address(value).hash(state),
    }
}

/// A key that is compared by `equal?`.
#[derive(Clone, Copy, Trace)]
pub struct ByContent<'gc>(pub Value<'gc>);

impl PartialEq for ByContent<'_> {
    fn eq(&self, other: &Self) -> bool {
        equal(self.0, other.0)
    }
}
impl Eq for ByContent<'_> {}
impl Hash for ByContent<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut open = vec![self.0];
        let mut left = HASHED;
        while let Some(value) = open.pop() {
            if left == 0 {
                break;
            }
            left -= 1;
            match value {
                Value::Pair(pair) => {
                    6u8.hash(state);
                    open.push(pair.cdr.get());
                    open.push(pair.car.get());
                }
                Value::Vector(vector) => {
                    vector.len().hash(state);
                    open.extend(vector.iter().take(left as usize).map(|value| value.get()));
                }
                Value::String(text) => text.iter().for_each(|char| char.get().hash(state)),
                Value::Bytes(bytes) => bytes.iter().for_each(|byte| byte.get().hash(state)),
                value => hash_one(value, state),
            }
        }
    }
}

/// Whether a value may be an object with a table in it: for who looks for one.
pub fn as_object<'gc>(value: Value<'gc>) -> Option<&'gc Object<'gc>> {
    if let Value::Object(object) = value { Some(Gc::to_ref(object)) } else { None }
}
