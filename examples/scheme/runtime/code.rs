//! Compiled code: a tree of nodes on the heap.
//!
//! Variables are found by how many scopes lie between and by their place in one. A node is *simple* if it can be evaluated at once: no procedure of the program is
//! called, nothing is changed, and it is not deep.
//!
//! Invariants:
//! * **twice-is-once** Simple nodes change nothing that can be seen, so what has evaluated some of them can be done again if memory was refused in the middle.
//!
//! Imports `value`, `primitives`.

use super::primitives::Primitive;
use super::value::{Identifier, Value};
use neap_gc::arena::{Gc, Trace};

pub type Code<'gc> = Gc<'gc, Node<'gc>>;
pub type Codes<'gc> = Gc<'gc, [Code<'gc>]>;

/// Nodes within each other that are evaluated at once.
pub const SIMPLE_HEIGHT: u32 = 24;

#[derive(Trace)]
pub enum Node<'gc> {
    Constant(Value<'gc>),
    /// Scopes between, place.
    Local(u32, u32),
    /// The same, for one that may not have a value yet.
    LocalChecked(u32, u32, Identifier<'gc>),
    Global(Identifier<'gc>),
    SetLocal(u32, u32, Code<'gc>),
    SetGlobal(Identifier<'gc>, Code<'gc>),
    Define(Identifier<'gc>, Code<'gc>),
    Lambda(Gc<'gc, Template<'gc>>),
    If(Code<'gc>, Code<'gc>, Code<'gc>),
    Or(Code<'gc>, Code<'gc>),
    Sequence(Codes<'gc>),
    /// The body with variables of these values.
    Let(Inits<'gc>, Code<'gc>),
    /// The body with so many variables that have no values yet.
    Letrec(u32, Code<'gc>),
    /// The first is the procedure.
    Call(Inits<'gc>),
    Unary(&'static Primitive, Code<'gc>, Inlined<'gc>),
    Binary(&'static Primitive, Code<'gc>, Code<'gc>, Inlined<'gc>),
    /// Its operands are simple.
    Ternary(&'static Primitive, Gc<'gc, [Code<'gc>; 3]>, Inlined<'gc>),
}

/// Operands, and whether all are simple.
#[derive(Clone, Copy, Trace)]
pub struct Inits<'gc> {
    pub nodes: Codes<'gc>,
    pub simple: bool,
}

/// Of the call of a primitive.
#[derive(Clone, Copy, Trace)]
pub struct Inlined<'gc> {
    /// The same as a call, for when the program has redefined a primitive.
    pub call: Code<'gc>,
    /// Its operands are simple.
    pub direct: bool,
}

#[derive(Trace)]
pub struct Template<'gc> {
    pub required: u32,
    pub rest: bool,
    pub body: Code<'gc>,
    pub name: Option<Identifier<'gc>>,
}

impl<'gc> Node<'gc> {
    /// Whether it is simple. `inlining`: no primitive of which calls have been compiled as such was redefined.
    #[inline(always)]
    pub fn is_simple(&self, inlining: bool) -> bool {
        match self {
            Node::Constant(_) | Node::Local(..) | Node::LocalChecked(..) | Node::Global(_) | Node::Lambda(_) => true,
            Node::Unary(primitive, _, inlined)
            | Node::Binary(primitive, _, _, inlined)
            | Node::Ternary(primitive, _, inlined) => inlined.direct && primitive.pure && inlining,
            _ => false,
        }
    }
}
