//! The syntax tree of a chunk, in arenas: nodes are known by number, so that a chain of a million operators is neither
//! built, walked nor dropped by recursion. A large chunk has millions of nodes, so they are small: what few have stands beside them.
//!
//! * **A1** A child is made before its parent: every id in a node is smaller than the node's own.
//! * **A2** Names are resolved: a variable is a local, an upvalue, or a field of the variable `_ENV`. Compile-time
//!   constants have been replaced by their values, and constant expressions folded.
//! * **A3** `line` of a node is the line that the node's own instruction gets: for an operator its own line, for a call
//!   that of its arguments' opening, otherwise that of the last token read when the reference compiler would emit it.

use super::Arith;
use super::arena::Arena;
use super::error::Fallible;
use super::strings::{StrId, Strings};
use crate::discard::discard;
use std::mem::take;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ExprId(pub u32);
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StmtId(u32);
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LoopId(u32);
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FuncId(pub u32);
/// A local variable of a function, in the order of declaration.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LocalId(pub u32);
/// A label of a function; every loop has one too, at its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LabelId(pub u32);

/// A list of expressions: a place among the lists of the tree, where their number comes first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct List(u32);

/// The statements of a block: a ring, known by the last one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Block(u32);

/// A number in two words: nodes are aligned to words of 32 bits.
#[derive(Clone, Copy, Debug)]
#[repr(C, packed(4))]
pub struct Packed<T: Copy>(pub T);

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

const _: () = assert!(size_of::<Expr>() == 16);

/// `late` in what has a name for a key: the key's own line is so many above the node's.
#[derive(Clone, Copy, Debug)]
pub enum ExprKind {
    Nil,
    Bool(bool),
    Int(Packed<i64>),
    Float(Packed<f64>),
    Str(StrId),
    Vararg,
    Local(LocalId),
    Upval(u8),
    /// A global variable, where `_ENV` is an upvalue; both have the key's line.
    UpvalField {
        upval: u8,
        late: u16,
        name: StrId,
    },
    /// `object.name`
    Field {
        object: ExprId,
        name: StrId,
        late: u16,
    },
    Index {
        object: ExprId,
        key: ExprId,
    },
    Call {
        callee: ExprId,
        args: List,
    },
    /// The callee of `object:name()`. The line is that of the name.
    Method {
        object: ExprId,
        name: StrId,
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
    /// The entries are `Named`, `Keyed`, or else positional values. The closing brace is on `end_line`.
    Table {
        entries: List,
        end_line: u32,
    },
    /// `name = value` in a table.
    Named {
        name: StrId,
        value: ExprId,
        late: u16,
    },
    /// `[key] = value` in a table.
    Keyed {
        key: ExprId,
        value: ExprId,
    },
    /// Parentheses, where they mean something: around an expression with several results, only the first is taken.
    Paren(ExprId),
}

#[derive(Clone, Copy, Debug)]
pub struct Stmt {
    pub kind: StmtKind,
    pub line: u32,
    /// The next one of the block, or behind the last one the first.
    next: StmtId,
}

const _: () = assert!(size_of::<Stmt>() == 20);

#[derive(Clone, Copy, Debug)]
pub enum StmtKind {
    /// `count` variables from `first`; `to_close` counts from `first`.
    Local {
        first: LocalId,
        count: u8,
        to_close: Option<u8>,
        values: List,
    },
    LocalFunction {
        local: LocalId,
        value: ExprId,
    },
    /// One value to one variable.
    Set {
        target: ExprId,
        value: ExprId,
    },
    Assign {
        targets: List,
        values: List,
    },
    /// A call for its effects.
    Call(ExprId),
    Do(Block),
    /// The clauses of an `if` are statements in a row; the line is that of `then`.
    If {
        condition: ExprId,
        body: Block,
    },
    ElseIf {
        condition: ExprId,
        body: Block,
    },
    Else(Block),
    Loop(LoopId),
    Return(List),
    /// An index into the function's `gotos`.
    Goto(u32),
    Label(LabelId),
}

#[derive(Clone, Copy, Debug)]
pub enum Loop {
    /// The statement's line is that of the condition's end.
    While {
        condition: ExprId,
        body: Block,
        exit: LabelId,
        end_line: u32,
    },
    Repeat {
        body: Block,
        condition: ExprId,
        exit: LabelId,
    },
    /// `values` are start, limit and perhaps step; `first` is the first of four variables, three of them hidden.
    Numeric {
        first: LocalId,
        values: List,
        body: Block,
        exit: LabelId,
        do_line: u32,
    },
    /// `first` is the first of four hidden variables and `count` declared ones. What was iterated over is closed at the `end`.
    Generic {
        first: LocalId,
        count: u8,
        values: List,
        body: Block,
        exit: LabelId,
        do_line: u32,
        end_line: u32,
    },
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
    pub body: Option<Block>,
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
    pub exprs: Arena<Expr>,
    pub stmts: Arena<Stmt>,
    lists: Arena<u32>,
    loops: Arena<Loop>,
    /// In the order in which they begin; the main function is the first.
    pub functions: Arena<Function>,
    /// What the functions have beside the arena.
    pub function_bytes: usize,
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
    /// About as many bytes as it takes.
    pub fn bytes(&self) -> usize {
        let arenas = self.exprs.bytes() + self.stmts.bytes() + self.lists.bytes() + self.loops.bytes() + self.functions.bytes();
        arenas + self.function_bytes + self.strings.bytes()
    }

    /// Makes a list of expressions.
    pub fn add_list(&mut self, exprs: &[ExprId]) -> Fallible<List> {
        if exprs.is_empty() {
            return Ok(List::EMPTY);
        }
        let list = self.lists.push(exprs.len() as u32)?;
        for expr in exprs {
            self.lists.push(expr.0)?;
        }
        Ok(List(list))
    }

    pub fn list(&self, list: List) -> Items<'_> {
        if list == List::EMPTY {
            return Items { lists: &self.lists, at: 0, end: 0 };
        }
        Items { lists: &self.lists, at: list.0 + 1, end: list.0 + 1 + self.lists[list.0] }
    }

    /// A list without its last item. The list that was there is no more.
    pub fn without_last(&mut self, list: List) -> List {
        if self.lists[list.0] == 1 {
            return List::EMPTY;
        }
        self.lists[list.0] -= 1;
        list
    }

    /// Adds a statement to the end of a block.
    pub fn add_stmt(&mut self, block: &mut Block, kind: StmtKind, line: u32) -> Fallible<()> {
        let id = StmtId(self.stmts.len());
        let next = match *block {
            Block::EMPTY => id,
            Block(last) => std::mem::replace(&mut self.stmts[last].next, id),
        };
        *block = Block(self.stmts.push(Stmt { kind, line, next })?);
        Ok(())
    }

    pub fn add_loop(&mut self, kind: Loop) -> Fallible<StmtKind> {
        Ok(StmtKind::Loop(LoopId(self.loops.push(kind)?)))
    }

    pub fn block(&self, block: Block) -> Stmts<'_> {
        let last = (block != Block::EMPTY).then_some(StmtId(block.0));
        Stmts { ast: self, next: last.map(|last| self[last].next), last }
    }

    pub fn last(&self, block: Block) -> Option<&Stmt> {
        (block != Block::EMPTY).then(|| &self[StmtId(block.0)])
    }

    /// The statement behind one, in a ring.
    pub fn after(&self, stmt: &Stmt) -> &Stmt {
        &self[stmt.next]
    }
}

impl Drop for Ast {
    fn drop(&mut self) {
        let bytes = self.bytes();
        let Ast { exprs, stmts, loops, lists, functions, .. } = &mut *self;
        discard(bytes, (take(exprs), take(stmts), take(loops), take(lists), take(functions)));
    }
}

impl std::ops::Index<ExprId> for Ast {
    type Output = Expr;
    #[inline]
    fn index(&self, id: ExprId) -> &Expr {
        &self.exprs[id.0]
    }
}

impl std::ops::Index<StmtId> for Ast {
    type Output = Stmt;
    #[inline]
    fn index(&self, id: StmtId) -> &Stmt {
        &self.stmts[id.0]
    }
}

impl std::ops::Index<LoopId> for Ast {
    type Output = Loop;
    fn index(&self, id: LoopId) -> &Loop {
        &self.loops[id.0]
    }
}

impl List {
    pub const EMPTY: List = List(u32::MAX);
}

impl Block {
    pub const EMPTY: Block = Block(u32::MAX);
}

/// The expressions of a list.
#[derive(Clone)]
pub struct Items<'a> {
    lists: &'a Arena<u32>,
    at: u32,
    end: u32,
}

impl Iterator for Items<'_> {
    type Item = ExprId;

    #[inline]
    fn next(&mut self) -> Option<ExprId> {
        if self.at == self.end {
            return None;
        }
        self.at += 1;
        Some(ExprId(self.lists[self.at - 1]))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let len = (self.end - self.at) as usize;
        (len, Some(len))
    }
}

impl ExactSizeIterator for Items<'_> {}

impl DoubleEndedIterator for Items<'_> {
    fn next_back(&mut self) -> Option<ExprId> {
        if self.at == self.end {
            return None;
        }
        self.end -= 1;
        Some(ExprId(self.lists[self.end]))
    }
}

/// The statements of a block.
pub struct Stmts<'a> {
    ast: &'a Ast,
    next: Option<StmtId>,
    last: Option<StmtId>,
}

impl<'a> Iterator for Stmts<'a> {
    type Item = &'a Stmt;

    #[inline]
    fn next(&mut self) -> Option<&'a Stmt> {
        let id = self.next?;
        let stmt = &self.ast[id];
        self.next = (self.next != self.last).then_some(stmt.next);
        Some(stmt)
    }
}

impl ExprKind {
    /// Whether the expression may give any number of values.
    pub fn is_multi(self) -> bool {
        matches!(self, ExprKind::Call { .. } | ExprKind::Vararg)
    }
}
