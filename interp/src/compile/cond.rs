//! Conditions: code that jumps instead of making a value, and the values that `and`, `or`, `not` and comparisons give.

use super::emit::{Emitter, Fallible, JumpList};
use super::expr::{Dst, Operand};
use crate::bytecode::Op;
use crate::syntax::ast::{BinaryOp, ExprId, ExprKind, Packed, UnaryOp};

pub fn is_logical(op: BinaryOp) -> bool {
    matches!(op, BinaryOp::And | BinaryOp::Or)
}

pub fn is_comparison(op: BinaryOp) -> bool {
    matches!(op, BinaryOp::Eq | BinaryOp::Ne | BinaryOp::Lt | BinaryOp::Le | BinaryOp::Gt | BinaryOp::Ge)
}

fn small_int(kind: ExprKind) -> Option<u8> {
    match kind {
        ExprKind::Int(Packed(value)) => i8::try_from(value).ok().map(|value| value as u8),
        _ => None,
    }
}

impl Emitter<'_, '_> {
    /// Pushes the chain of `op` on the spine: the node itself on top, its innermost left descendant of the same
    /// operator at the returned mark. The nodes' operands in order are then `left` of the first and every `right`.
    fn push_chain(&mut self, op: BinaryOp, expr: ExprId) -> Fallible<usize> {
        let mark = self.spine.len();
        let mut node = expr;
        while let ExprKind::Binary { op: inner, left, .. } = self.ast[node].kind
            && inner == op
        {
            self.push_spine(node)?;
            node = left;
        }
        self.spine[mark..].reverse();
        Ok(mark)
    }

    /// The `index`-th operand of a chain, and the line of the operator behind it, if it is not the last.
    fn chain_operand(&self, mark: usize, index: usize) -> Option<(ExprId, Option<u32>)> {
        let line = self.spine.get(mark + index).map(|&node| self.ast[node].line);
        let node = *self.spine.get(mark + index.saturating_sub(1))?;
        let ExprKind::Binary { left, right, .. } = self.ast[node].kind else { return None };
        Some((if index == 0 { left } else { right }, line))
    }

    /// Jumps (joining `list`) if the truth of `expr` is `on`, else falls through. `line` is where the test belongs.
    pub fn jump_if(&mut self, expr: ExprId, on: bool, line: u32, list: &mut JumpList) -> Fallible<()> {
        self.step()?;
        match self.ast[expr].kind {
            ExprKind::Nil | ExprKind::Bool(false) => self.jump_const(!on, line, list),
            ExprKind::Bool(true) | ExprKind::Int(_) | ExprKind::Float(_) | ExprKind::Str(_) => self.jump_const(on, line, list),
            ExprKind::Unary { op: UnaryOp::Not, operand } => return self.jump_if(operand, !on, line, list),
            ExprKind::Binary { op, left, right } if is_comparison(op) => {
                self.compare(op, Operand::Expr(left), right, on, self.ast[expr].line)?;
                self.jump(list);
            }
            ExprKind::Binary { op, .. } if is_logical(op) => {
                // Every operand but the last decides alone if it is what the operator looks for.
                let decisive = op == BinaryOp::Or;
                let mark = self.push_chain(op, expr)?;
                let mut past = JumpList::default();
                for index in 0.. {
                    match self.chain_operand(mark, index) {
                        Some((operand, None)) => self.jump_if(operand, on, line, list)?,
                        Some((operand, Some(line))) if decisive == on => self.jump_if(operand, on, line, list)?,
                        Some((operand, Some(line))) => self.jump_if(operand, decisive, line, &mut past)?,
                        None => break,
                    }
                }
                self.spine.truncate(mark);
                self.land(past)?;
            }
            _ => {
                let mark = self.free;
                let register = self.any(expr)?;
                self.free = mark;
                self.line = line;
                self.abc(Op::Test, register, 0, on as u8);
                self.jump(list);
            }
        }
        Ok(())
    }

    fn jump_const(&mut self, taken: bool, line: u32, list: &mut JumpList) {
        if taken {
            self.line = line;
            self.jump(list);
        }
    }

    /// A comparison that skips the next instruction unless its outcome is `on`.
    pub fn compare(&mut self, op: BinaryOp, left: Operand, right: ExprId, on: bool, line: u32) -> Fallible<()> {
        let right_kind = self.ast[right].kind;
        // A left operand that is a constant, compared with something that is none, changes sides.
        let swapped = match left {
            Operand::Expr(left) if Self::const_key(right_kind).is_none() => Some(left),
            _ => None,
        };
        let mark = self.free;
        let (op, a, b, on) = match op {
            BinaryOp::Eq | BinaryOp::Ne => {
                let on = on == (op == BinaryOp::Eq);
                let (left, right) = match swapped {
                    Some(left) if Self::const_key(self.ast[left].kind).is_some() => (Operand::Expr(right), left),
                    _ => (left, right),
                };
                if let Some(value) = small_int(self.ast[right].kind) {
                    (Op::EqI, self.operand(left)?, value, on)
                } else if let Some(index) = self.const_operand(right) {
                    (Op::EqK, self.operand(left)?, index, on)
                } else {
                    let (a, b) = self.both(left, right)?;
                    (Op::Eq, a, b, on)
                }
            }
            _ => {
                if let Some(value) = small_int(right_kind) {
                    let op = match op {
                        BinaryOp::Lt => Op::LtI,
                        BinaryOp::Le => Op::LeI,
                        BinaryOp::Gt => Op::GtI,
                        _ => Op::GeI,
                    };
                    (op, self.operand(left)?, value, on)
                } else if let Some(value) = swapped.and_then(|left| small_int(self.ast[left].kind)) {
                    let op = match op {
                        BinaryOp::Lt => Op::GtI,
                        BinaryOp::Le => Op::GeI,
                        BinaryOp::Gt => Op::LtI,
                        _ => Op::LeI,
                    };
                    (op, self.any(right)?, value, on)
                } else {
                    let (a, b) = self.both(left, right)?;
                    match op {
                        BinaryOp::Lt => (Op::Lt, a, b, on),
                        BinaryOp::Le => (Op::Le, a, b, on),
                        BinaryOp::Gt => (Op::Lt, b, a, on),
                        _ => (Op::Le, b, a, on),
                    }
                }
            }
        };
        self.free = mark;
        self.line = line;
        self.abc(op, a, b, on as u8);
        Ok(())
    }

    /// The value of an `and` or `or`.
    pub fn logical_value(&mut self, op: BinaryOp, expr: ExprId, dst: Dst) -> Fallible<u8> {
        let mark = self.push_chain(op, expr)?;
        let mut end = JumpList::default();
        let mut result = 0;
        for index in 0.. {
            match self.chain_operand(mark, index) {
                Some((operand, Some(line))) => self.value_jump(operand, op == BinaryOp::Or, line, dst, &mut end)?,
                Some((operand, None)) => result = self.value(operand, dst)?,
                None => break,
            }
        }
        self.spine.truncate(mark);
        self.land(end)?;
        Ok(result)
    }

    /// If the truth of `expr` is `on`, puts its value where `dst` says and jumps (joining `end`); else falls through.
    fn value_jump(&mut self, expr: ExprId, on: bool, line: u32, dst: Dst, end: &mut JumpList) -> Fallible<()> {
        let mark = self.free;
        match self.ast[expr].kind {
            ExprKind::Binary { op, .. } if is_logical(op) => {
                let decisive = op == BinaryOp::Or;
                let mark = self.push_chain(op, expr)?;
                let mut past = JumpList::default();
                for index in 0.. {
                    match self.chain_operand(mark, index) {
                        Some((operand, None)) => self.value_jump(operand, on, line, dst, end)?,
                        Some((operand, Some(line))) if decisive == on => self.value_jump(operand, on, line, dst, end)?,
                        Some((operand, Some(line))) => self.jump_if(operand, decisive, line, &mut past)?,
                        None => break,
                    }
                }
                self.spine.truncate(mark);
                return self.land(past);
            }
            ExprKind::Binary { op, .. } if is_comparison(op) => return self.bool_jump(expr, on, line, dst, end),
            ExprKind::Unary { op: UnaryOp::Not, .. } => return self.bool_jump(expr, on, line, dst, end),
            kind if Self::const_key(kind).is_some() => {
                let truth = !matches!(kind, ExprKind::Nil | ExprKind::Bool(false));
                if truth == on {
                    self.value(expr, dst)?;
                    self.jump(end);
                }
            }
            _ => {
                // Not straight into the destination: the other operands may still read what it holds.
                let source = self.any(expr)?;
                self.free = mark;
                let target = self.place(dst)?;
                self.line = line;
                if source == target {
                    self.abc(Op::Test, source, 0, on as u8);
                } else {
                    self.abc(Op::TestSet, target, source, on as u8);
                }
                self.jump(end);
            }
        }
        self.free = mark;
        Ok(())
    }

    /// `value_jump` for an expression that gives a boolean.
    fn bool_jump(&mut self, expr: ExprId, on: bool, line: u32, dst: Dst, end: &mut JumpList) -> Fallible<()> {
        let mark = self.free;
        let mut past = JumpList::default();
        self.jump_if(expr, !on, line, &mut past)?;
        let target = self.place(dst)?;
        self.abc(if on { Op::LoadTrue } else { Op::LoadFalse }, target, 0, 0);
        self.jump(end);
        self.free = mark;
        self.land(past)
    }
}
