//! The parser, third part: statements.

use super::ast::*;
use super::error::Fallible;
use super::expr::{Class, Suffixed};
use super::parser::Parser;
use super::scope::{self, Attrib};
use super::strings::StrId;
use super::token::Token;

impl Parser<'_> {
    pub(super) fn statement(&mut self) -> Fallible<()> {
        let line = self.lexer.line;
        self.enter_level()?;
        match self.token.token {
            Token::Semicolon => self.next()?,
            Token::If => self.if_statement(line)?,
            Token::While => self.while_statement(line)?,
            Token::Do => {
                self.next()?;
                let body = self.block()?;
                // What the block's end does belongs to its last line.
                self.add_stmt(StmtKind::Do(body))?;
                self.expect_match(Token::End, Token::Do, line)?;
            }
            Token::For => self.for_statement(line)?,
            Token::Repeat => self.repeat_statement(line)?,
            Token::Function => self.function_statement(line)?,
            Token::Local => {
                self.next()?;
                if self.accept(Token::Function)? { self.local_function()? } else { self.local_statement()? }
            }
            Token::DoubleColon => {
                self.next()?;
                let name = self.name()?;
                self.label(name, line)?;
            }
            Token::Return => self.return_statement()?,
            Token::Break => {
                self.next()?;
                self.goto(None, line)?;
            }
            Token::Goto => {
                self.next()?;
                let line = self.lexer.line;
                let name = self.name()?;
                self.goto(Some(name), line)?;
            }
            _ => self.expr_statement()?,
        }
        self.leave_level();
        Ok(())
    }

    fn if_statement(&mut self, line: u32) -> Fallible<()> {
        let mut is_first = true;
        loop {
            // At `if` or `elseif`.
            self.next()?;
            let condition = self.expr()?;
            self.expect(Token::Then)?;
            self.settle(condition);
            let then_line = self.last_line;
            let body = self.block()?;
            let kind = if is_first { StmtKind::If { condition, body } } else { StmtKind::ElseIf { condition, body } };
            self.add_stmt_at(kind, then_line)?;
            is_first = false;
            if self.token.token != Token::Elseif {
                break;
            }
        }
        if self.accept(Token::Else)? {
            let body = self.block()?;
            self.add_stmt(StmtKind::Else(body))?;
        }
        self.expect_match(Token::End, Token::If, line)
    }

    fn while_statement(&mut self, line: u32) -> Fallible<()> {
        self.next()?;
        let condition = self.expr()?;
        let condition_line = self.last_line;
        let exit = self.open_loop();
        self.expect(Token::Do)?;
        let body = self.block()?;
        let kind = self.ast.add_loop(Loop::While { condition, body, exit, end_line: self.last_line })?;
        self.add_stmt_at(kind, condition_line)?;
        self.expect_match(Token::End, Token::While, line)?;
        self.close_block()
    }

    fn repeat_statement(&mut self, line: u32) -> Fallible<()> {
        let exit = self.open_loop();
        self.open_block();
        self.next()?;
        let body = self.statements()?;
        self.expect_match(Token::Until, Token::Repeat, line)?;
        let condition = self.expr()?;
        self.close_block()?;
        self.close_block()?;
        let kind = self.ast.add_loop(Loop::Repeat { body, condition, exit })?;
        self.add_stmt(kind)
    }

    fn for_statement(&mut self, line: u32) -> Fallible<()> {
        let exit = self.open_loop();
        self.next()?;
        let name = self.name()?;
        let (kind, loop_line) = match self.token.token {
            Token::Assign => (self.numeric_for(name, exit, line)?, line),
            Token::Comma | Token::In => self.generic_for(name, exit, line)?,
            _ => return Err(self.syntax_error("'=' or 'in' expected")),
        };
        let kind = self.ast.add_loop(kind)?;
        self.add_stmt_at(kind, loop_line)?;
        self.close_block()
    }

    fn numeric_for(&mut self, name: StrId, exit: LabelId, for_line: u32) -> Fallible<Loop> {
        for _ in 0..3 {
            self.declare(self.names.for_state, Attrib::Regular)?;
        }
        self.declare(name, Attrib::Regular)?;
        self.expect(Token::Assign)?;
        let mark = self.pending_exprs.len();
        let start = self.expr()?;
        self.pending_exprs.push(start);
        self.expect(Token::Comma)?;
        let limit = self.expr()?;
        self.pending_exprs.push(limit);
        if self.accept(Token::Comma)? {
            let step = self.expr()?;
            self.pending_exprs.push(step);
        }
        let values = self.finish_list(mark)?;
        let first = self.scope().activate(3);
        let (body, do_line) = self.for_body(1, for_line)?;
        Ok(Loop::Numeric { first, values, body, exit, do_line })
    }

    fn generic_for(&mut self, name: StrId, exit: LabelId, for_line: u32) -> Fallible<(Loop, u32)> {
        for _ in 0..4 {
            self.declare(self.names.for_state, Attrib::Regular)?;
        }
        self.declare(name, Attrib::Regular)?;
        let mut count = 1;
        while self.accept(Token::Comma)? {
            let name = self.name()?;
            self.declare(name, Attrib::Regular)?;
            count += 1;
        }
        self.expect(Token::In)?;
        let line = self.lexer.line;
        let values = self.expr_list()?;
        let first = self.scope().activate(4);
        let (body, do_line) = self.for_body(count, for_line)?;
        let end_line = self.last_line;
        Ok((Loop::Generic { first, count: count as u8, values, body, exit, do_line, end_line }, line))
    }

    /// `do`, the body, in a scope of `count` declared variables, and `end`; gives the line of `do` too.
    fn for_body(&mut self, count: usize, for_line: u32) -> Fallible<(Block, u32)> {
        self.expect(Token::Do)?;
        let do_line = self.last_line;
        self.open_block();
        self.scope().activate(count);
        let body = self.block()?;
        self.close_block()?;
        self.expect_match(Token::End, Token::For, for_line)?;
        Ok((body, do_line))
    }

    fn function_statement(&mut self, line: u32) -> Fallible<()> {
        self.next()?;
        let name = self.name()?;
        let mut target = self.variable(name)?;
        while self.token.token == Token::Dot {
            target = self.field_selector(target.id)?;
        }
        let is_method = self.token.token == Token::Colon;
        if is_method {
            target = self.field_selector(target.id)?;
        }
        let value = self.function_body(is_method, line)?;
        self.check_assignable(target)?;
        // The definition happens in its first line.
        self.add_stmt_at(StmtKind::Set { target: target.id, value }, line)
    }

    fn local_function(&mut self) -> Fallible<()> {
        let name = self.name()?;
        self.declare(name, Attrib::Regular)?;
        let local = self.scope().activate(1);
        let line = self.lexer.line;
        let value = self.function_body(false, line)?;
        self.add_stmt(StmtKind::LocalFunction { local, value })
    }

    fn local_statement(&mut self) -> Fallible<()> {
        let mut count = 0;
        let mut to_close = None;
        let mut attrib;
        loop {
            let name = self.name()?;
            self.declare(name, Attrib::Regular)?;
            attrib = self.attrib()?;
            self.scope().set_last_attrib(attrib);
            if attrib == Attrib::Close {
                if to_close.is_some() {
                    return Err(self.lexer.error("multiple to-be-closed variables in local list", None));
                }
                to_close = Some(count as u8);
            }
            count += 1;
            if !self.accept(Token::Comma)? {
                break;
            }
        }
        let mut values = if self.accept(Token::Assign)? { self.expr_list()? } else { List::EMPTY };
        // A last variable that is constant and gets a constant is none: its value takes its place everywhere.
        let mut constant = None;
        let mut given = self.ast.list(values);
        if attrib == Attrib::Const && given.len() == count {
            constant = given.next_back().map(|last| self.ast[last].kind).filter(|&kind| {
                matches!(kind, ExprKind::Nil | ExprKind::Bool(_) | ExprKind::Int(_) | ExprKind::Float(_) | ExprKind::Str(_))
            });
        }
        if constant.is_some() {
            count -= 1;
            values = self.ast.without_last(values);
        }
        let first = self.scope().activate(count);
        if let Some(value) = constant {
            self.scope().activate_constant(value);
        }
        if count > 0 {
            self.add_stmt(StmtKind::Local { first, count: count as u8, to_close, values })?;
        }
        Ok(())
    }

    fn attrib(&mut self) -> Fallible<Attrib> {
        if !self.accept(Token::Less)? {
            return Ok(Attrib::Regular);
        }
        let name = self.name()?;
        self.expect(Token::Greater)?;
        match self.lexer.strings.get(name) {
            b"const" => Ok(Attrib::Const),
            b"close" => Ok(Attrib::Close),
            _ => Err(self.semantic_error("unknown attribute '{}'", name)),
        }
    }

    fn goto(&mut self, name: Option<StrId>, line: u32) -> Fallible<()> {
        let index = self.scope().add_goto(name, line).map_err(|error| self.goto_error(error, name))?;
        self.add_stmt(StmtKind::Goto(index))
    }

    fn label(&mut self, name: StrId, line: u32) -> Fallible<()> {
        self.expect(Token::DoubleColon)?;
        while let Token::Semicolon | Token::DoubleColon = self.token.token {
            self.statement()?;
        }
        let is_last = self.block_ends(false);
        let scope = self.scope();
        let label = scope.check_label(name).and_then(|()| scope.add_label(name, line, is_last));
        let label = label.map_err(|error| self.goto_error(error, Some(name)))?;
        self.add_stmt(StmtKind::Label(label))
    }

    fn return_statement(&mut self) -> Fallible<()> {
        self.next()?;
        let none = self.block_ends(true) || self.token.token == Token::Semicolon;
        let values = if none { List::EMPTY } else { self.expr_list()? };
        self.add_stmt(StmtKind::Return(values))?;
        self.accept(Token::Semicolon)?;
        Ok(())
    }

    fn check_assignable(&self, target: Suffixed) -> Fallible<()> {
        let innermost = &self.scopes[self.scopes.len() - 1];
        match target.constant.or_else(|| scope::read_only(innermost, self.ast[target.id].kind)) {
            Some(name) => Err(self.semantic_error("attempt to assign to const variable '{}'", name)),
            None => Ok(()),
        }
    }

    /// A call or an assignment.
    fn expr_statement(&mut self) -> Fallible<()> {
        let mut target = self.suffixed_expr()?;
        if !matches!(self.token.token, Token::Assign | Token::Comma) {
            if target.class != Class::Call {
                return Err(self.syntax_error("syntax error"));
            }
            return self.add_stmt(StmtKind::Call(target.id));
        }
        if self.token.token == Token::Assign {
            self.check_variable(target)?;
            self.next()?;
            let value = self.expr()?;
            if self.token.token != Token::Comma {
                return self.add_stmt(StmtKind::Set { target: target.id, value });
            }
            let targets = self.ast.add_list(&[target.id])?;
            let values = self.expr_list_from(value)?;
            return self.add_stmt(StmtKind::Assign { targets, values });
        }
        let mark = self.pending_exprs.len();
        let levels = self.levels;
        loop {
            self.check_variable(target)?;
            self.pending_exprs.push(target.id);
            if !self.accept(Token::Comma)? {
                break;
            }
            target = self.suffixed_expr()?;
            // The reference recurses here; the same programs shall be too deep.
            self.enter_level()?;
        }
        let targets = self.finish_list(mark)?;
        self.expect(Token::Assign)?;
        let values = self.expr_list()?;
        self.levels = levels;
        self.add_stmt(StmtKind::Assign { targets, values })
    }

    fn check_variable(&self, target: Suffixed) -> Fallible<()> {
        if target.class != Class::Variable {
            return Err(self.syntax_error("syntax error"));
        }
        self.check_assignable(target)
    }
}
