//! Expressions: values into registers.

use super::cond::{is_comparison, is_logical};
use super::emit::{ConstKey, Emitter, Fallible, JumpList};
use super::function::compile_function;
use super::suffixed::Last;
use crate::bytecode::{Instr, Op};
use crate::syntax::Arith;
use crate::syntax::ast::{BinaryOp, Expr, ExprId, ExprKind, FuncId, Items, List, Packed, UnaryOp};

/// Positional values of a table constructor are stored in batches of this size.
const ITEMS_PER_FLUSH: usize = 50;

/// Functions within one function, as in the reference implementation.
const MAX_FUNCTIONS: usize = 131_071;

/// Where a value is to be put.
#[derive(Clone, Copy)]
pub enum Dst {
    /// Into the register that is next when the value's operands are done with.
    Next,
    /// Into the register of a local variable, last of all: the expression may read the variable.
    Register(u8),
}

#[derive(Clone, Copy)]
pub enum Operand {
    Expr(ExprId),
    Register(u8),
}

/// What becomes of the results of a call.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Results {
    Count(usize),
    /// All of them, up to the top.
    Open,
    /// They are those of the function that is running.
    Tail,
}

impl Emitter<'_, '_> {
    pub fn place(&mut self, dst: Dst) -> Fallible<u8> {
        match dst {
            Dst::Next => self.reserve(1),
            Dst::Register(register) => Ok(register),
        }
    }

    /// The value into the next register.
    pub fn next(&mut self, expr: ExprId) -> Fallible<u8> {
        self.value(expr, Dst::Next)
    }

    /// The value in some register: its own, if it is a variable that has one; else the next.
    pub fn any(&mut self, expr: ExprId) -> Fallible<u8> {
        if let ExprKind::Local(id) = self.ast[expr].kind {
            let local = self.function.locals[id.0 as usize];
            if !local.captured {
                return Ok(local.register);
            }
        }
        self.next(expr)
    }

    pub fn operand(&mut self, operand: Operand) -> Fallible<u8> {
        match operand {
            Operand::Expr(expr) => self.any(expr),
            Operand::Register(register) => Ok(register),
        }
    }

    /// Both operands of a binary operator. A variable in a box is read last, as one in a register is: what evaluating the
    /// right operand assigns to it is seen.
    pub fn both(&mut self, left: Operand, right: ExprId) -> Fallible<(u8, u8)> {
        if let Operand::Expr(left) = left
            && let ExprKind::Local(id) = self.ast[left].kind
            && self.function.locals[id.0 as usize].captured
            && let ExprKind::Call { .. } | ExprKind::Paren(_) = self.ast[right].kind
        {
            let b = self.any(right)?;
            return Ok((self.any(left)?, b));
        }
        Ok((self.operand(left)?, self.any(right)?))
    }

    /// The same for arithmetic. A number on the left is loaded last, as part of the operation in `line`: a call in the right operand then stands a slot
    /// lower, and a recursion there comes as deep as one in the left operand.
    fn arithmetic_operands(&mut self, left: Operand, right: ExprId, line: u32) -> Fallible<(u8, u8)> {
        let kind = match left {
            Operand::Expr(left) => self.ast[left].kind,
            Operand::Register(_) => return self.both(left, right),
        };
        match kind {
            ExprKind::Int(Packed(value)) => {
                let b = self.any(right)?;
                Ok((self.int(value, Dst::Next, line)?, b))
            }
            ExprKind::Float(Packed(value)) => {
                let b = self.any(right)?;
                Ok((self.float(value, Dst::Next, line)?, b))
            }
            _ => self.both(left, right),
        }
    }

    /// The value, one only, into `dst`; gives the register.
    pub fn value(&mut self, expr: ExprId, dst: Dst) -> Fallible<u8> {
        let node = self.ast[expr];
        // A table takes its register before anything in it has been read.
        if !matches!(node.kind, ExprKind::Table { .. }) {
            self.shared.at = expr;
        }
        match node.kind {
            ExprKind::Nil => {
                let register = self.place(dst)?;
                self.line = node.line;
                self.load_nil(register, 1);
                Ok(register)
            }
            ExprKind::Bool(value) => self.load(dst, node.line, if value { Op::LoadTrue } else { Op::LoadFalse }, 0),
            ExprKind::Int(Packed(value)) => self.int(value, dst, node.line),
            ExprKind::Float(Packed(value)) => self.float(value, dst, node.line),
            ExprKind::Str(id) => self.load_key(dst, node.line, ConstKey::Str(id)),
            ExprKind::Vararg => {
                let register = self.place(dst)?;
                self.line = node.line;
                self.abc(Op::VarArg, register, 0, 2);
                Ok(register)
            }
            ExprKind::Local(id) => {
                let local = self.function.locals[id.0 as usize];
                let register = self.place(dst)?;
                self.line = node.line;
                if local.captured {
                    self.abc(Op::GetBox, register, local.register, 0);
                } else if register != local.register {
                    self.abc(Op::Move, register, local.register, 0);
                }
                Ok(register)
            }
            ExprKind::Upval(index) => self.upval(index, dst, node.line),
            ExprKind::UpvalField { .. } => self.index(Operand::Expr(expr), expr, dst, self.free),
            ExprKind::Field { .. } | ExprKind::Index { .. } | ExprKind::Call { .. } => self.suffixed(expr, Last::Value(dst)),
            ExprKind::Function(id) => self.closure(id, dst, node.line),
            ExprKind::Binary { op, .. } if is_logical(op) => self.logical_value(op, expr, dst),
            ExprKind::Binary { op: BinaryOp::Concat, .. } => self.concat(expr, dst),
            ExprKind::Binary { .. } => self.binary(expr, dst),
            ExprKind::Unary { op, operand } => self.unary(op, operand, dst, node.line),
            ExprKind::Table { entries, end_line } => {
                let register = self.table(entries, dst, node.line, end_line)?;
                self.shared.at = expr;
                Ok(register)
            }
            ExprKind::Paren(inner) => self.value(inner, dst),
            // The parser makes them parts of other expressions.
            ExprKind::Method { .. } | ExprKind::Named { .. } | ExprKind::Keyed { .. } => Err(self.limit("no value")),
        }
    }

    pub fn upval(&mut self, index: u8, dst: Dst, line: u32) -> Fallible<u8> {
        let register = self.place(dst)?;
        self.line = line;
        self.abc(Op::GetUpval, register, index, 0);
        Ok(register)
    }

    fn int(&mut self, value: i64, dst: Dst, line: u32) -> Fallible<u8> {
        match i16::try_from(value) {
            Ok(value) => self.load(dst, line, Op::LoadI, value as u16),
            Err(_) => self.load_key(dst, line, ConstKey::Int(value)),
        }
    }

    fn float(&mut self, value: f64, dst: Dst, line: u32) -> Fallible<u8> {
        // Not for -0.0, which is another float than 0.0.
        let short = value as i16;
        if (short as f64).to_bits() == value.to_bits() {
            self.load(dst, line, Op::LoadF, short as u16)
        } else {
            self.load_key(dst, line, ConstKey::Float(value.to_bits()))
        }
    }

    fn load(&mut self, dst: Dst, line: u32, op: Op, operand: u16) -> Fallible<u8> {
        let register = self.place(dst)?;
        self.line = line;
        self.abx(op, register, operand);
        Ok(register)
    }

    pub fn load_key(&mut self, dst: Dst, line: u32, key: ConstKey) -> Fallible<u8> {
        let register = self.place(dst)?;
        self.line = line;
        self.load_const(register, key);
        Ok(register)
    }

    /// A value made in the next register moves to where it belongs.
    pub fn moved(&mut self, register: u8, dst: Dst) -> u8 {
        match dst {
            Dst::Next => register,
            Dst::Register(target) => {
                self.abc(Op::Move, target, register, 0);
                self.free = register as usize;
                target
            }
        }
    }

    fn closure(&mut self, id: FuncId, dst: Dst, line: u32) -> Fallible<u8> {
        let at = self.shared.at;
        let proto = compile_function(self.shared, id)?;
        self.shared.at = at;
        let index = self.proto.protos.len();
        if index == MAX_FUNCTIONS {
            return Err(self.limit("too many functions (limit is 131071)"));
        }
        self.proto.protos.push(proto);
        // A safepoint, where nothing is in use above it (B1).
        let register = self.reserve(1)?;
        self.line = line;
        match u16::try_from(index) {
            Ok(index) => self.abx(Op::Closure, register, index),
            Err(_) => self.with_aux(Op::ClosureX, register, 0, 0, index as u32),
        }
        Ok(self.moved(register, dst))
    }

    fn unary(&mut self, op: UnaryOp, operand: ExprId, dst: Dst, line: u32) -> Fallible<u8> {
        let mark = self.free;
        let negates_test = match self.ast[operand].kind {
            ExprKind::Binary { op, .. } => is_comparison(op) || is_logical(op),
            ExprKind::Unary { op, .. } => op == UnaryOp::Not,
            _ => false,
        };
        if op == UnaryOp::Not && negates_test {
            let mut list = JumpList::default();
            self.jump_if(operand, false, line, &mut list)?;
            return self.boolean(list, dst);
        }
        let source = self.any(operand)?;
        self.free = mark;
        let register = self.place(dst)?;
        let op = match op {
            UnaryOp::Neg => Op::Unm,
            UnaryOp::BNot => Op::BNot,
            UnaryOp::Not => Op::Not,
            UnaryOp::Len => Op::Len,
        };
        self.line = line;
        self.abc(op, register, source, 0);
        Ok(register)
    }

    /// `true` where the jumps of a list come from, `false` where control falls through.
    fn boolean(&mut self, list: JumpList, dst: Dst) -> Fallible<u8> {
        let register = self.place(dst)?;
        self.abc(Op::LFalseSkip, register, 0, 0);
        self.land(list)?;
        self.abc(Op::LoadTrue, register, 0, 0);
        Ok(register)
    }

    /// Arithmetic and comparisons. The chain of left operands is walked in a loop.
    fn binary(&mut self, expr: ExprId, dst: Dst) -> Fallible<u8> {
        let (free, mark) = (self.free, self.spine.len());
        let mut node = expr;
        let mut left = loop {
            match self.ast[node].kind {
                ExprKind::Binary { op, left, .. } if !is_logical(op) && op != BinaryOp::Concat => {
                    self.push_spine(node)?;
                    node = left;
                }
                _ => break Operand::Expr(node),
            }
        };
        let mut result = 0;
        while self.spine.len() > mark {
            let Some(node) = self.spine.pop() else { break };
            let ExprKind::Binary { op, right, .. } = self.ast[node].kind else { break };
            let line = self.ast[node].line;
            let dst = if self.spine.len() == mark { dst } else { Dst::Next };
            if let BinaryOp::Arith(op) = op {
                let (op, constant) = self.select(op, right);
                let (a, b) = match constant {
                    Some(operand) => (self.operand(left)?, operand),
                    None => self.arithmetic_operands(left, right, line)?,
                };
                self.free = free;
                result = self.place(dst)?;
                self.line = line;
                self.abc(op, result, a, b);
            } else {
                let mut list = JumpList::default();
                self.compare(op, left, right, true, line)?;
                self.jump(&mut list);
                self.free = free;
                result = self.boolean(list, dst)?;
            }
            left = Operand::Register(result);
        }
        Ok(result)
    }

    /// The opcode of an arithmetic operation, and its last operand if that is a constant in the instruction.
    fn select(&mut self, op: Arith, right: ExprId) -> (Op, Option<u8>) {
        let kind = self.ast[right].kind;
        if let ExprKind::Int(Packed(value)) = kind
            && op == Arith::Add
            && let Ok(value) = i8::try_from(value)
        {
            return (Op::AddI, Some(value as u8));
        }
        if let ExprKind::Int(_) | ExprKind::Float(_) = kind
            && let Some(with_constant) = Op::with_constant(op)
            && let Some(index) = self.const_operand(right)
        {
            return (with_constant, Some(index));
        }
        (Op::of(op), None)
    }

    /// `a .. b .. c` is one instruction over registers in a row.
    fn concat(&mut self, expr: ExprId, dst: Dst) -> Fallible<u8> {
        let first = self.free;
        let (mut rest, mut line) = (expr, 0);
        while let ExprKind::Binary { op: BinaryOp::Concat, left, right } = self.ast[rest].kind {
            line = self.ast[rest].line;
            self.next(left)?;
            rest = right;
        }
        self.next(rest)?;
        self.line = line;
        self.abc(Op::Concat, first as u8, (self.free - first) as u8, 0);
        self.free = first + 1;
        Ok(self.moved(first as u8, dst))
    }

    fn table(&mut self, entries: List, dst: Dst, line: u32, end_line: u32) -> Fallible<u8> {
        let table = self.reserve(1)?;
        self.line = line;
        let start = self.pc();
        self.with_aux(Op::NewTable, table, 0, 0, 0);
        let ast = self.ast;
        let mut entries = ast.list(entries);
        let (mut stored, mut pending, mut named) = (0u32, 0, 0u64);
        while let Some(entry) = entries.next() {
            let Expr { kind, line } = ast[entry];
            let (ExprKind::Named { value, .. } | ExprKind::Keyed { value, .. }) = kind else {
                if pending == ITEMS_PER_FLUSH {
                    stored = self.flush_items(table, stored, pending);
                    pending = 0;
                }
                if kind.is_multi() && entries.len() == 0 {
                    self.multi(entry, Results::Open)?;
                    self.line = end_line;
                    self.with_aux(Op::SetList, table, 0, 0, stored);
                    stored += pending as u32;
                    pending = 0;
                    self.free = table as usize + 1;
                } else {
                    self.next(entry)?;
                    pending += 1;
                }
                continue;
            };
            named += 1;
            let mark = self.free;
            let key = self.key(entry)?;
            self.store_index(table, key, value, line)?;
            self.free = mark;
        }
        self.line = end_line;
        if pending > 0 {
            stored = self.flush_items(table, stored, pending);
        }
        let hint = if named == 0 { 0 } else { named.next_power_of_two().ilog2() as u8 + 1 };
        self.patch(start, Instr::abc(Op::NewTable, table, hint, 0));
        self.patch_aux(start, stored);
        Ok(self.moved(table, dst))
    }

    fn flush_items(&mut self, table: u8, stored: u32, pending: usize) -> u32 {
        self.with_aux(Op::SetList, table, pending as u8, 0, stored);
        self.free = table as usize + 1;
        stored + pending as u32
    }

    /// Puts values into the next registers. `true`: the last one gives all it has, up to the top.
    pub fn arguments(&mut self, values: List) -> Fallible<bool> {
        let ast = self.ast;
        let mut values = ast.list(values);
        while let Some(value) = values.next() {
            if values.len() == 0 && ast[value].kind.is_multi() {
                self.multi(value, Results::Open)?;
                return Ok(true);
            }
            self.next(value)?;
        }
        Ok(false)
    }

    /// Puts exactly `wanted` values into the next registers.
    pub fn adjusted(&mut self, values: Items, wanted: usize) -> Fallible<()> {
        let count = values.len();
        for (index, value) in values.enumerate() {
            if index + 1 == count && self.ast[value].kind.is_multi() {
                self.multi(value, Results::Count(wanted.saturating_sub(index)))?;
                return Ok(());
            }
            let mark = self.free;
            self.next(value)?;
            if index >= wanted {
                self.free = mark;
            }
        }
        if wanted > count {
            let missing = wanted - count;
            let first = self.reserve(missing)?;
            self.load_nil(first, missing);
        }
        Ok(())
    }

    /// An expression of many values; those that are counted take the next registers. Gives the first one.
    pub fn multi(&mut self, expr: ExprId, results: Results) -> Fallible<u8> {
        let node = self.ast[expr];
        if let ExprKind::Vararg = node.kind {
            let first = self.free;
            let count = match results {
                Results::Count(count) => {
                    self.reserve(count)?;
                    count + 1
                }
                _ => 0,
            };
            // Room for the register that the instruction names, even if nothing is wanted.
            self.check_registers((count <= 1) as usize)?;
            self.line = node.line;
            self.abc(Op::VarArg, first as u8, 0, count as u8);
            return Ok(first as u8);
        }
        self.suffixed(expr, Last::Call(results))
    }
}
