//! The syntax tree of a chunk, in arenas: nodes are known by number, so that a chain of a million operators is neither
//! built, walked nor dropped by recursion.
//!
//! * **A1** A child is made before its parent: every id in a node is smaller than the node's own.
//! * **A2** Names are resolved: a variable is a local, an upvalue, or a field of the variable `_ENV`. Compile-time
//!   constants have been replaced by their values, and constant expressions folded.
//! * **A3** `line` of a node is the line that the node's own instruction gets: for an operator its own line, for a call
//!   that of its arguments' opening, otherwise that of the last token read when the reference compiler would emit it.

use super::Arith;
use super::strings::{StrId, Strings};
use crate::discard::discard;
use std::mem::take;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ExprId(pub u32);
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FuncId(pub u32);
/// A local variable of a function, in the order of declaration.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LocalId(pub u32);
/// A label of a function; every loop has one too, at its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LabelId(pub u32);

/// A range of one of the arenas.
#[derive(Clone, Copy, Debug)]
pub struct List {
    pub start: u32,
    pub len: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BinaryOp {
    /// One of the operators with two operands.
    Arith(Arith),
    Concat,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    And,
    Or,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UnaryOp {
    Neg,
    BNot,
    Not,
    Len,
}

#[derive(Clone, Copy, Debug)]
pub struct Expr {
    pub kind: ExprKind,
    pub line: u32,
}

#[derive(Clone, Copy, Debug)]
pub enum ExprKind {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(StrId),
    Vararg,
    Local(LocalId),
    Upval(u8),
    Index {
        object: ExprId,
        key: ExprId,
    },
    Call {
        callee: ExprId,
        args: List,
    },
    /// The method's name is a string node, whose line is that of the lookup.
    Method {
        object: ExprId,
        name: ExprId,
        args: List,
    },
    Function(FuncId),
    Binary {
        op: BinaryOp,
        left: ExprId,
        right: ExprId,
    },
    Unary {
        op: UnaryOp,
        operand: ExprId,
    },
    /// A range of `fields`, of which `items` are positional. The closing brace is on `end_line`.
    Table {
        fields: List,
        end_line: u32,
    },
    /// Parentheses, where they mean something: around an expression with several results, only the first is taken.
    Paren(ExprId),
}

#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// `None`: positional.
    pub key: Option<ExprId>,
    pub value: ExprId,
    pub line: u32,
}

#[derive(Clone, Copy, Debug)]
pub struct Clause {
    pub condition: ExprId,
    /// The line of `then`.
    pub line: u32,
    pub body: List,
}

#[derive(Clone, Copy, Debug)]
pub struct Stmt {
    pub kind: StmtKind,
    pub line: u32,
}

#[derive(Clone, Copy, Debug)]
pub enum StmtKind {
    /// `count` variables from `first`; `to_close` counts from `first`.
    Local {
        first: LocalId,
        count: u32,
        values: List,
        to_close: Option<u8>,
    },
    LocalFunction {
        local: LocalId,
        value: ExprId,
    },
    Assign {
        targets: List,
        values: List,
    },
    /// A call for its effects.
    Call(ExprId),
    Do(List),
    /// `line` is that of the condition's end.
    While {
        condition: ExprId,
        body: List,
        exit: LabelId,
        end_line: u32,
    },
    Repeat {
        body: List,
        condition: ExprId,
        exit: LabelId,
    },
    /// A range of `clauses`; the last one's condition is `true` for `else`.
    If {
        clauses: List,
        otherwise: Option<List>,
    },
    /// `values` are start, limit and perhaps step; `first` is the first of four variables, three of them hidden.
    NumericFor {
        first: LocalId,
        values: List,
        body: List,
        exit: LabelId,
        do_line: u32,
    },
    /// `first` is the first of four hidden variables and `count` declared ones. What was iterated over is closed at the `end`.
    GenericFor {
        first: LocalId,
        count: u32,
        values: List,
        body: List,
        exit: LabelId,
        do_line: u32,
        end_line: u32,
    },
    Return(List),
    /// An index into the function's `gotos`.
    Goto(u32),
    Label(LabelId),
}

#[derive(Clone, Copy, Debug)]
pub struct Local {
    pub name: StrId,
    pub register: u8,
    /// Whether a closure captures it.
    pub captured: bool,
}

#[derive(Clone, Copy, Debug)]
pub struct Upval {
    pub name: StrId,
    /// `true`: the enclosing function's register `index`; `false`: its upvalue `index`.
    pub from_register: bool,
    pub index: u8,
}

#[derive(Clone, Debug, Default)]
pub struct Function {
    /// The first `params` locals are its parameters.
    pub params: u8,
    pub is_vararg: bool,
    pub line: u32,
    pub end_line: u32,
    /// The line of the last token: where control falls off the end.
    pub return_line: u32,
    pub body: Option<List>,
    pub locals: Vec<Local>,
    pub upvals: Vec<Upval>,
    /// For each label, how many registers hold live variables there.
    pub label_levels: Vec<u8>,
    /// For each goto (and break), the label that it leads to.
    pub gotos: Vec<LabelId>,
}

/// A parsed chunk.
#[derive(Debug, Default)]
pub struct Ast {
    pub exprs: Vec<Expr>,
    pub stmts: Vec<Stmt>,
    /// Arguments, values, targets: what a `List` of expressions ranges over.
    pub lists: Vec<ExprId>,
    pub fields: Vec<Field>,
    pub clauses: Vec<Clause>,
    /// In the order in which they begin; the main function is the first.
    pub functions: Vec<Function>,
    pub strings: Strings,
}

impl Function {
    /// The bytes of its lists.
    pub fn bytes(&self) -> usize {
        size_of_val(&self.locals[..])
            + size_of_val(&self.upvals[..])
            + size_of_val(&self.label_levels[..])
            + size_of_val(&self.gotos[..])
    }
}

impl Ast {
    /// The bytes of its arenas.
    pub fn bytes(&self) -> usize {
        size_of_val(&self.exprs[..])
            + size_of_val(&self.stmts[..])
            + size_of_val(&self.lists[..])
            + size_of_val(&self.fields[..])
            + size_of_val(&self.clauses[..])
            + size_of_val(&self.functions[..])
    }
}

impl Drop for Ast {
    fn drop(&mut self) {
        let Ast { exprs, stmts, lists, fields, clauses, functions, .. } = &mut *self;
        let arenas = (take(exprs), take(stmts), take(lists), take(fields), take(clauses), take(functions));
        let capacities = arenas.0.capacity() * size_of::<Expr>() + arenas.1.capacity() * size_of::<Stmt>();
        let capacities = capacities + arenas.2.capacity() * size_of::<ExprId>() + arenas.3.capacity() * size_of::<Field>();
        let capacities = capacities + arenas.4.capacity() * size_of::<Clause>() + arenas.5.capacity() * size_of::<Function>();
        discard(capacities, arenas);
    }
}

impl std::ops::Index<ExprId> for Ast {
    type Output = Expr;
    fn index(&self, id: ExprId) -> &Expr {
        &self.exprs[id.0 as usize]
    }
}

impl List {
    pub const EMPTY: List = List { start: 0, len: 0 };

    pub fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.start as usize + self.len as usize
    }
}

impl ExprKind {
    /// Whether the expression may give any number of values.
    pub fn is_multi(self) -> bool {
        matches!(self, ExprKind::Call { .. } | ExprKind::Method { .. } | ExprKind::Vararg)
    }
}
