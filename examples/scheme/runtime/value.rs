//! The values of Scheme, as objects of the arena.
//!
//! A [`Value`] is two words and `Copy`: what fits into a word stands in it, all else is a `Gc`. What changes in an object is a `Lock` (with references) or a `Cell`
//! (without), so that the compiler demands a barrier where the collector needs one.
//!
//! Imports `machine`, `code` and `syntax` for the types of their objects.

use super::code::Template;
use super::machine::Kont;
use super::primitives::Primitive;
use super::state::Dynamic;
use super::syntax::{Core, Macro, Scope};
use neap_gc::arena::{Ephemeron, Gc, GcHashMap, GcVec, Lock, Rootable, Trace, Weak};
use std::cell::Cell;

/// A vector; the variables of a procedure, too.
pub type Vector<'gc> = Gc<'gc, [Lock<Value<'gc>>]>;
/// A string: its characters can be replaced, their number can't.
pub type Text<'gc> = Gc<'gc, [Cell<char>]>;
pub type Bytes<'gc> = Gc<'gc, [Cell<u8>]>;
pub type Identifier<'gc> = Gc<'gc, Symbol<'gc>>;

#[derive(Clone, Copy, Trace, Rootable)]
pub enum Value<'gc> {
    Nil,
    Unspecified,
    /// In a variable: it has no value yet. No program ever has this in its hands.
    Undefined,
    Eof,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Char(char),
    Symbol(Identifier<'gc>),
    Pair(Gc<'gc, Pair<'gc>>),
    String(Text<'gc>),
    Vector(Vector<'gc>),
    Bytes(Bytes<'gc>),
    Closure(Gc<'gc, Closure<'gc>>),
    Primitive(&'static Primitive),
    /// A core form, as the value of its keyword.
    Core(#[trace(static)] Core),
    /// Variables: the first slot of the variables around which they stand.
    Scope(Vector<'gc>),
    Object(Gc<'gc, Object<'gc>>),
}

#[derive(Trace)]
pub struct Pair<'gc> {
    pub car: Lock<Value<'gc>>,
    pub cdr: Lock<Value<'gc>>,
}

/// A symbol, with its global variable.
#[derive(Trace, Rootable)]
pub struct Symbol<'gc> {
    pub name: Gc<'gc, str>,
    pub global: Lock<Value<'gc>>,
    /// What the prelude has left in that.
    pub standard: Lock<Value<'gc>>,
    /// Calls of the primitive that is its value have been compiled as such.
    pub inlined: Cell<bool>,
    /// That is not to be done: the program defines it.
    pub defined: Cell<bool>,
    /// It was put in by the expansion of a macro: where it has no binding of its own, it means that symbol in the scope of the macro.
    pub alias: Option<(Identifier<'gc>, Option<Gc<'gc, Scope<'gc>>>)>,
}

#[derive(Trace)]
pub struct Closure<'gc> {
    pub template: Gc<'gc, Template<'gc>>,
    pub scope: Vector<'gc>,
}

/// What programs have less of.
#[derive(Trace)]
pub enum Object<'gc> {
    /// Several values, or none, on their way to whom they are for.
    Values(Gc<'gc, [Value<'gc>]>),
    Continuation(Option<Kont<'gc>>, Gc<'gc, Dynamic<'gc>>),
    Dynamic(Gc<'gc, Dynamic<'gc>>),
    Parameter {
        value: Value<'gc>,
        converter: Value<'gc>,
    },
    /// Promises that become one share their state.
    Promise(Lock<Gc<'gc, Promise<'gc>>>),
    Condition(Condition<'gc>),
    EqualTable(GcHashMap<'gc, super::equal::ByContent<'gc>, Value<'gc>>),
    EqvTable(GcHashMap<'gc, super::equal::ByIdentity<'gc>, Value<'gc>>),
    RecordType {
        name: Value<'gc>,
        fields: Value<'gc>,
    },
    Record {
        of: Value<'gc>,
        fields: Vector<'gc>,
    },
    RecordProcedure(RecordProcedure<'gc>),
    Macro(Macro<'gc>),
    Port(Port<'gc>),
    WeakPair {
        car: WeakValue<'gc>,
        cdr: Lock<Value<'gc>>,
    },
    Ephemeron(EphemeronOf<'gc>),
}

#[derive(Trace)]
pub struct Promise<'gc> {
    pub done: Cell<bool>,
    /// The value, or what makes a promise of it.
    pub value: Lock<Value<'gc>>,
}

#[derive(Clone, Copy, Trace)]
pub struct Condition<'gc> {
    pub kind: Fault,
    pub message: Value<'gc>,
    pub irritants: Value<'gc>,
}

/// Who has raised a condition.
#[derive(Clone, Copy, PartialEq, Eq, Trace)]
pub enum Fault {
    /// The program, by `error`.
    Program,
    /// The machine, or a primitive.
    Machine,
    Reader,
    OutOfMemory,
}

/// What `define-record-type` defines, but the type.
#[derive(Clone, Copy, Trace)]
pub enum RecordProcedure<'gc> {
    /// Argument `n` becomes the field at `places[n]`.
    Constructor {
        of: Value<'gc>,
        places: Gc<'gc, [u32]>,
        fields: u32,
    },
    Predicate(Value<'gc>),
    Accessor(Value<'gc>, u32),
    Modifier(Value<'gc>, u32),
}

#[derive(Trace)]
pub enum Port<'gc> {
    Console,
    Output(GcVec<'gc, char>),
    Input { text: Text<'gc>, at: Cell<usize> },
}

/// A reference of each type that keeps nothing alive.
#[derive(Clone, Copy, Trace)]
pub enum WeakValue<'gc> {
    /// Not on the heap, or there for good.
    Held(Value<'gc>),
    Pair(Weak<'gc, Pair<'gc>>),
    String(Weak<'gc, [Cell<char>]>),
    Vector(Weak<'gc, [Lock<Value<'gc>>]>),
    Closure(Weak<'gc, Closure<'gc>>),
    Object(Weak<'gc, Object<'gc>>),
}

/// The value of an ephemeron, as an object of its own.
type Datum<'gc> = (Value<'gc>,);

#[derive(Clone, Copy, Trace)]
pub enum EphemeronOf<'gc> {
    Held(Value<'gc>, Value<'gc>),
    Pair(Ephemeron<'gc, Pair<'gc>, Datum<'gc>>),
    String(Ephemeron<'gc, [Cell<char>], Datum<'gc>>),
    Vector(Ephemeron<'gc, [Lock<Value<'gc>>], Datum<'gc>>),
    Closure(Ephemeron<'gc, Closure<'gc>, Datum<'gc>>),
    Object(Ephemeron<'gc, Object<'gc>, Datum<'gc>>),
}

impl<'gc> Value<'gc> {
    #[inline]
    pub fn is_true(self) -> bool {
        !matches!(self, Value::Boolean(false))
    }
    pub fn is_procedure(self) -> bool {
        match self {
            Value::Closure(_) | Value::Primitive(_) => true,
            Value::Object(object) => {
                matches!(*object, Object::Continuation(..) | Object::Parameter { .. } | Object::RecordProcedure(_))
            }
            _ => false,
        }
    }
    pub fn pair(self) -> Option<Gc<'gc, Pair<'gc>>> {
        if let Value::Pair(pair) = self { Some(pair) } else { None }
    }
    pub fn symbol(self) -> Option<Identifier<'gc>> {
        if let Value::Symbol(symbol) = self { Some(symbol) } else { None }
    }
    pub fn as_macro(self) -> Option<Gc<'gc, Object<'gc>>> {
        match self {
            Value::Object(object) if matches!(*object, Object::Macro(_)) => Some(object),
            _ => None,
        }
    }
    /// Car and cdr.
    pub fn uncons(self) -> Option<(Value<'gc>, Value<'gc>)> {
        self.pair().map(|pair| (pair.car.get(), pair.cdr.get()))
    }
    /// The elements, up to what is no pair. Of a list that leads back into itself there is no end of them.
    pub fn elements(self) -> Elements<'gc> {
        Elements { rest: self }
    }
    /// The elements of a proper list.
    pub fn list(self) -> Option<Vec<Value<'gc>>> {
        let length = length(self)?;
        let mut all = Vec::new();
        // The memory for a list that long may not be there.
        all.try_reserve(length).ok()?;
        all.extend(self.elements());
        Some(all)
    }
}

/// How long a proper list is: `None` if it is none, or has no end.
pub fn length(list: Value<'_>) -> Option<usize> {
    let (mut slow, mut at, mut length) = (list, list, 0);
    while let Value::Pair(pair) = at {
        at = pair.cdr.get();
        length += 1;
        if length % 2 == 0
            && let Value::Pair(behind) = slow
        {
            slow = behind.cdr.get();
            if let (Value::Pair(a), Value::Pair(b)) = (slow, at)
                && a == b
            {
                return None;
            }
        }
    }
    matches!(at, Value::Nil).then_some(length)
}

pub struct Elements<'gc> {
    rest: Value<'gc>,
}

impl<'gc> Elements<'gc> {
    /// What is left.
    pub fn rest(&self) -> Value<'gc> {
        self.rest
    }
}

impl<'gc> Iterator for Elements<'gc> {
    type Item = Value<'gc>;
    fn next(&mut self) -> Option<Value<'gc>> {
        let (first, rest) = self.rest.uncons()?;
        self.rest = rest;
        Some(first)
    }
}

/// The text of a string.
pub fn text_of(string: Text<'_>) -> String {
    string.iter().map(Cell::get).collect()
}
