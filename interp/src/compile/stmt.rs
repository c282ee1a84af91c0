//! Statements.
//!
//! * **T1** A block or loop with to-be-closed variables closes them where control leaves it: at its end, at a goto (or
//!   break) to a label with a lower level, at a return (operand `C` of `Return`).
//! * **T2** A `for` loop whose body is too long for the 16 bits of its instructions is compiled in its long form: they
//!   stand together before the body, and far jumps lead to the body, from its end, and out.

use super::emit::{Emitter, Fallible, JumpList};
use super::expr::Results;
use crate::bytecode::{Instr, Op};
use crate::syntax::ast::{Block, ExprId, ExprKind, LabelId, List, LocalId, Loop, Stmt, StmtKind};

/// Registers that a generic `for` needs to call its iterator.
const ITERATOR_CALL: usize = 3;

impl<'a> Emitter<'a, '_> {
    /// A block that is no scope of its own, because its variables end where its caller says.
    pub fn statements(&mut self, body: Block) -> Fallible<()> {
        let ast = self.ast;
        for stmt in ast.block(body) {
            let level = self.free;
            self.step()?;
            self.statement(stmt)?;
            if !matches!(stmt.kind, StmtKind::Local { .. } | StmtKind::LocalFunction { .. }) {
                self.free = level;
            }
        }
        Ok(())
    }

    fn block(&mut self, body: Block) -> Fallible<()> {
        let scope = self.open_scope();
        self.statements(body)?;
        self.close_scope(scope, self.leaves(body));
        Ok(())
    }

    fn open_scope(&self) -> (usize, usize, usize) {
        (self.free, self.active.len(), self.to_close.len())
    }

    fn close_scope(&mut self, (free, active, to_close): (usize, usize, usize), left: bool) {
        self.deactivate(active);
        if self.to_close.len() > to_close && !left {
            self.abc(Op::Close, free as u8, 0, 0);
        }
        self.to_close.truncate(to_close);
        self.free = free;
    }

    /// Whether control never reaches the end of a block.
    fn leaves(&self, body: Block) -> bool {
        matches!(self.ast.last(body), Some(Stmt { kind: StmtKind::Return(_) | StmtKind::Goto(_), .. }))
    }

    fn statement(&mut self, stmt: &'a Stmt) -> Fallible<()> {
        match stmt.kind {
            StmtKind::Local { first, count, to_close, values } => {
                self.adjusted_locals(first, count as usize, values, stmt.line)?;
                if let Some(offset) = to_close {
                    let register = self.function.locals[first.0 as usize + offset as usize].register;
                    self.abc(Op::Tbc, register, 0, 0);
                    self.to_close.push(register);
                }
            }
            StmtKind::LocalFunction { local, value } => self.local_function(local, value, stmt.line)?,
            StmtKind::Set { target, value } => self.set(target, value, stmt.line)?,
            StmtKind::Assign { targets, values } => self.assign(targets, values, stmt.line)?,
            StmtKind::Call(call) => {
                self.multi(call, Results::Count(0))?;
            }
            StmtKind::Do(body) => {
                self.block_at(body, stmt.line)?;
            }
            StmtKind::If { .. } => self.branches(stmt)?,
            // Its `if` has taken it up.
            StmtKind::ElseIf { .. } | StmtKind::Else(_) => {}
            StmtKind::Loop(id) => self.loop_statement(self.ast[id], stmt.line)?,
            StmtKind::Return(values) => self.return_values(values, stmt.line)?,
            StmtKind::Goto(index) => self.goto(index, stmt.line)?,
            StmtKind::Label(label) => self.label(label)?,
        }
        Ok(())
    }

    fn loop_statement(&mut self, kind: Loop, line: u32) -> Fallible<()> {
        match kind {
            Loop::While { condition, body, exit, end_line } => {
                let start = self.here();
                let mut past = JumpList::default();
                self.jump_if(condition, false, line, &mut past)?;
                self.block_at(body, end_line)?;
                self.line = end_line;
                self.jump_back(start, self.free as u8);
                self.land(past)?;
                self.set_label(exit)?;
            }
            Loop::Repeat { body, condition, exit } => self.repeat(body, condition, exit, line)?,
            Loop::Numeric { first, values, body, exit, do_line } => {
                self.numeric_for(first, values, body, do_line, line)?;
                self.set_label(exit)?;
            }
            Loop::Generic { first, count, values, body, exit, do_line, end_line } => {
                let scope = self.open_scope();
                // A break closes nothing by itself: it leads to the loop's own `Close`.
                self.labels[exit.0 as usize].level = (self.free + 4) as u8;
                self.generic_for(first, count as usize, values, body, do_line, line)?;
                self.set_label(exit)?;
                self.line = end_line;
                self.close_scope(scope, false);
            }
        }
        Ok(())
    }

    /// A block; what its end does belongs to `end_line`.
    fn block_at(&mut self, body: Block, end_line: u32) -> Fallible<()> {
        let scope = self.open_scope();
        self.statements(body)?;
        self.line = end_line;
        self.close_scope(scope, self.leaves(body));
        Ok(())
    }

    fn adjusted_locals(&mut self, first: LocalId, count: usize, values: List, line: u32) -> Fallible<()> {
        if values == List::EMPTY {
            self.line = line;
        }
        self.adjusted(self.ast.list(values), count)?;
        self.line = line;
        self.box_captured(first, count);
        self.activate(first, count);
        Ok(())
    }

    /// The variable exists before the function, so that the function can capture it.
    fn local_function(&mut self, id: LocalId, value: ExprId, line: u32) -> Fallible<()> {
        let local = self.function.locals[id.0 as usize];
        if local.captured {
            let register = self.reserve(1)?;
            self.line = line;
            self.load_nil(register, 1);
            self.abc(Op::NewBox, register, 0, 0);
            let function = self.next(value)?;
            self.abc(Op::SetBox, register, function, 0);
            self.free = register as usize + 1;
        } else {
            self.next(value)?;
        }
        self.activate(id, 1);
        Ok(())
    }

    fn repeat(&mut self, body: Block, condition: ExprId, exit: LabelId, line: u32) -> Fallible<()> {
        let level = self.free as u8;
        let start = self.here();
        let scope = self.open_scope();
        let mut done = JumpList::default();
        self.statements(body)?;
        self.jump_if(condition, true, line, &mut done)?;
        self.line = line;
        let closes = self.to_close.len() > scope.2;
        if closes {
            self.abc(Op::Close, level, 0, 0);
        }
        self.jump_back(start, level);
        self.land(done)?;
        self.close_scope(scope, false);
        self.set_label(exit)
    }

    /// An `if` with the clauses behind it.
    fn branches(&mut self, first: &'a Stmt) -> Fallible<()> {
        let mut end = JumpList::default();
        let mut clause = first;
        loop {
            let following = self.ast.after(clause);
            let (condition, body) = match clause.kind {
                StmtKind::If { condition, body } | StmtKind::ElseIf { condition, body } => (condition, body),
                StmtKind::Else(body) => {
                    self.block(body)?;
                    break;
                }
                _ => break,
            };
            let more = matches!(following.kind, StmtKind::ElseIf { .. } | StmtKind::Else(_));
            if let Some(label) = self.lone_jump(body) {
                let mut list = self.labels[label.0 as usize].pending;
                self.jump_if(condition, true, clause.line, &mut list)?;
                self.labels[label.0 as usize].pending = list;
            } else {
                let mut next = JumpList::default();
                self.jump_if(condition, false, clause.line, &mut next)?;
                self.block(body)?;
                if more && !self.leaves(body) {
                    self.jump(&mut end);
                }
                self.land(next)?;
            }
            if !more {
                break;
            }
            clause = following;
        }
        self.land(end)
    }

    /// The label, if a block is nothing but a forward jump that closes nothing: the condition itself can jump there.
    fn lone_jump(&self, body: Block) -> Option<LabelId> {
        let mut stmts = self.ast.block(body);
        let (Some(Stmt { kind: StmtKind::Goto(index), .. }), None) = (stmts.next(), stmts.next()) else { return None };
        let label = self.function.gotos[*index as usize];
        let state = &self.labels[label.0 as usize];
        (state.pc.is_none() && !self.must_close(state.level)).then_some(label)
    }

    /// Whether a jump to a place with so many live registers leaves to-be-closed variables behind.
    fn must_close(&self, level: u8) -> bool {
        self.to_close.last().is_some_and(|&register| register >= level)
    }

    fn goto(&mut self, index: u32, line: u32) -> Fallible<()> {
        let label = self.function.gotos[index as usize].0 as usize;
        let level = self.labels[label].level;
        self.line = line;
        if self.must_close(level) {
            self.abc(Op::Close, level, 0, 0);
        }
        match self.labels[label].pc {
            Some(target) => self.jump_back(target, level),
            None => {
                let mut list = self.labels[label].pending;
                self.jump(&mut list);
                self.labels[label].pending = list;
            }
        }
        Ok(())
    }

    /// A label at the end of a block stands outside the scope of the block's variables: who jumps there has not set them.
    fn label(&mut self, label: LabelId) -> Fallible<()> {
        let level = self.labels[label.0 as usize].level;
        let locals = &self.proto.locals;
        let gone = self.active.iter().position(|&index| locals[index].register >= level);
        self.deactivate(gone.unwrap_or(self.active.len()));
        self.set_label(label)
    }

    fn set_label(&mut self, label: LabelId) -> Fallible<()> {
        let here = self.here();
        let state = &mut self.labels[label.0 as usize];
        state.pc = Some(here);
        let pending = std::mem::take(&mut state.pending);
        self.land(pending)
    }

    fn return_values(&mut self, values: List, line: u32) -> Fallible<()> {
        let ast = self.ast;
        let closes = !self.to_close.is_empty();
        let first = self.free;
        let mut given = ast.list(values);
        if let (Some(value), None) = (given.next(), given.next()) {
            match ast[value].kind {
                ExprKind::Call { .. } if !closes => {
                    let base = self.multi(value, Results::Tail)?;
                    // A native function returns here like from any call.
                    self.abc(Op::Return, base, 0, 0);
                    return Ok(());
                }
                kind if !kind.is_multi() => {
                    let register = self.any(value)?;
                    self.line = line;
                    if closes {
                        self.abc(Op::Return, register, 2, 1);
                    } else {
                        self.abc(Op::Return1, register, 0, 0);
                    }
                    return Ok(());
                }
                _ => {}
            }
        }
        if values == List::EMPTY {
            self.line = line;
            self.return_nothing();
            return Ok(());
        }
        let open = self.arguments(values)?;
        let count = if open { 0 } else { self.free - first + 1 };
        self.line = line;
        self.abc(Op::Return, first as u8, count as u8, closes as u8);
        Ok(())
    }

    pub fn return_nothing(&mut self) {
        if self.to_close.is_empty() {
            self.abc(Op::Return0, 0, 0, 0);
        } else {
            self.abc(Op::Return, 0, 1, 1);
        }
    }

    fn numeric_for(&mut self, first: LocalId, values: List, body: Block, do_line: u32, line: u32) -> Fallible<()> {
        let scope = self.open_scope();
        let base = self.free as u8;
        let values = self.ast.list(values);
        let has_step = values.len() == 3;
        for value in values {
            self.next(value)?;
        }
        if !has_step {
            let step = self.reserve(1)?;
            self.abx(Op::LoadI, step, 1);
        }
        self.activate(first, 3);
        self.line = do_line;
        let prepare = self.pc();
        self.abx(Op::ForPrep, base, 0);
        let long = self.shared.long_loops;
        let mut jumps = LongLoop::default();
        if long {
            self.jump(&mut jumps.body);
            self.line = line;
            jumps.step = self.pc();
            self.abx(Op::ForLoop, base, 2);
            self.jump(&mut jumps.exit);
            self.patch(prepare, Instr::abx(Op::ForPrep, base, 1));
            self.land(jumps.body)?;
        }
        self.here();
        self.reserve(1)?;
        self.loop_body(LocalId(first.0 + 3), 1, body)?;
        self.line = line;
        if long {
            self.jump_back(jumps.step, base + 4);
            self.land(jumps.exit)?;
        } else {
            let distance = self.distance(prepare + 1)?;
            self.patch(prepare, Instr::abx(Op::ForPrep, base, distance));
            self.abx(Op::ForLoop, base, distance + 1);
        }
        self.here();
        self.close_scope(scope, false);
        Ok(())
    }

    fn generic_for(&mut self, first: LocalId, count: usize, values: List, body: Block, do_line: u32, line: u32) -> Fallible<()> {
        let base = self.free as u8;
        self.adjusted(self.ast.list(values), 4)?;
        self.activate(first, 4);
        self.to_close.push(base + 3);
        self.check_registers(count.max(ITERATOR_CALL))?;
        self.line = do_line;
        let prepare = self.pc();
        self.abx(Op::TForPrep, base, 0);
        let long = self.shared.long_loops;
        let mut jumps = LongLoop::default();
        if long {
            self.jump(&mut jumps.body);
            self.line = line;
            jumps.step = self.pc();
            self.abc(Op::TForCall, base, 0, count as u8);
            self.abx(Op::TForLoop, base, 3);
            self.jump(&mut jumps.exit);
            self.patch(prepare, Instr::abx(Op::TForPrep, base, 1));
            self.land(jumps.body)?;
        }
        self.here();
        self.reserve(count)?;
        self.loop_body(LocalId(first.0 + 4), count, body)?;
        self.line = line;
        if long {
            self.jump_back(jumps.step, base + 4);
            self.land(jumps.exit)?;
        } else {
            let distance = self.distance(prepare + 1)?;
            self.patch(prepare, Instr::abx(Op::TForPrep, base, distance));
            self.here();
            self.abc(Op::TForCall, base, 0, count as u8);
            self.abx(Op::TForLoop, base, distance + 2);
        }
        Ok(())
    }

    /// The body of a `for` loop, whose declared variables have their registers and, in each round, their values.
    fn loop_body(&mut self, first: LocalId, count: usize, body: Block) -> Fallible<()> {
        let active = self.active.len();
        self.box_captured(first, count);
        self.activate(first, count);
        self.block(body)?;
        self.deactivate(active);
        Ok(())
    }

    /// The words from `start` to here, if loop instructions can say so; else the function is compiled again with long
    /// loops. Two more must fit too.
    fn distance(&mut self, start: usize) -> Fallible<u16> {
        let distance = self.pc() - start;
        if distance + 2 <= Instr::MAX_BX as usize {
            return Ok(distance as u16);
        }
        self.shared.long_loops = true;
        self.shared.again = true;
        Err(self.limit("control structure too long"))
    }
}

/// The places of a loop in long form.
#[derive(Default)]
struct LongLoop {
    body: JumpList,
    exit: JumpList,
    step: usize,
}
