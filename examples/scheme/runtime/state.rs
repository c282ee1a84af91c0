//! The root of the arena, and the state of the machine between two mutations.
//!
//! Imports `code`, `machine` for the type of frames, `value`.

use super::code::{Code, Codes};
use super::machine::Kont;
use super::value::{Condition, Fault, Identifier, Object, Port, Value, Vector};
use neap_gc::OutOfMemory;
use neap_gc::arena::{Gc, GcHashMap, Lock, Mutation, Rootable, Trace};
use std::cell::Cell;
use std::hash::{Hash, Hasher};

/// The root of the arena.
#[derive(Trace, Rootable)]
pub struct Machine<'gc> {
    pub symbols: GcHashMap<'gc, Name<'gc>, Identifier<'gc>>,
    pub state: Lock<State<'gc>>,
    /// No dynamic state but this: what a program begins with.
    pub bottom: Gc<'gc, Dynamic<'gc>>,
    /// Variables around which there are none.
    pub outermost: Vector<'gc>,
    pub console: Value<'gc>,
    /// What `raise` and `%rewind` are in the prelude.
    pub raise: Lock<Value<'gc>>,
    pub rewind: Lock<Value<'gc>>,
    pub out_of_memory: Value<'gc>,
    /// A primitive was redefined of which calls are compiled as such.
    pub redefined: Cell<bool>,
    /// The prelude is being loaded.
    pub sealed: Cell<bool>,
    /// The programs are to take sizes for tests.
    pub small: Cell<bool>,
    pub exit: Cell<i32>,
}

/// A string that is compared by its text.
#[derive(Clone, Copy, Trace, Rootable)]
pub struct Name<'gc>(pub Gc<'gc, str>);
impl PartialEq for Name<'_> {
    fn eq(&self, other: &Self) -> bool {
        *self.0 == *other.0
    }
}
impl Eq for Name<'_> {}
impl Hash for Name<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (*self.0).hash(state);
    }
}

/// What the next steps find, over mutations.
#[derive(Clone, Copy, Trace)]
pub struct State<'gc> {
    pub step: Step<'gc>,
    pub kont: Option<Kont<'gc>>,
    pub dynamic: Gc<'gc, Dynamic<'gc>>,
}

#[derive(Clone, Copy, Trace)]
pub enum Step<'gc> {
    Eval(Code<'gc>, Vector<'gc>),
    /// The nodes from this one on.
    Sequence(Codes<'gc>, u32, Vector<'gc>),
    Return(Value<'gc>),
    /// A procedure and its arguments.
    Apply(Vector<'gc>),
    Raise(Value<'gc>),
    Done(Value<'gc>),
    /// Nobody has handled it.
    Failed(Value<'gc>),
}

/// What is in force as long as something is being evaluated: immutable, so it is kept and brought back by a word.
#[derive(Clone, Copy, Trace)]
pub struct Dynamic<'gc> {
    pub handlers: Value<'gc>,
    /// Pairs of parameters and values.
    pub parameters: Value<'gc>,
    /// What `dynamic-wind` is within.
    pub winds: Value<'gc>,
}

/// The root of a new arena.
pub fn root<'gc>(mc: &Mutation<'gc>) -> Result<Gc<'gc, Machine<'gc>>, OutOfMemory> {
    let bottom = mc.try_alloc(Dynamic { handlers: Value::Nil, parameters: Value::Nil, winds: Value::Nil })?;
    let text = "out of memory";
    let mut chars = text.chars();
    let message = mc.try_alloc_slice_with(text.len(), |_| Cell::new(chars.next().unwrap_or(' ')))?;
    let condition = Condition { kind: Fault::OutOfMemory, message: Value::String(message), irritants: Value::Nil };
    mc.try_alloc(Machine {
        symbols: GcHashMap::try_new(mc)?,
        state: Lock::new(State { step: Step::Done(Value::Unspecified), kont: None, dynamic: bottom }),
        bottom,
        outermost: mc.try_alloc_slice_with(1, |_| Lock::new(Value::Nil))?,
        console: Value::Object(mc.try_alloc(Object::Port(Port::Console))?),
        raise: Lock::new(Value::Undefined),
        rewind: Lock::new(Value::Undefined),
        out_of_memory: Value::Object(mc.try_alloc(Object::Condition(condition))?),
        redefined: Cell::new(false),
        sealed: Cell::new(true),
        small: Cell::new(false),
        exit: Cell::new(0),
    })
}
