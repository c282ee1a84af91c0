//! The parser, second part: expressions.

use super::Arith;
use super::ast::{BinaryOp, ExprId, ExprKind, List, UnaryOp};
use super::error::Fallible;
use super::fold;
use super::lexer::Value;
use super::parser::Parser;
use super::scope::{self, Meaning};
use super::strings::StrId;
use super::token::Token;

/// The binding of unary operators, between `^` and the other binary operators.
const UNARY_PRIORITY: u8 = 12;

/// What a suffixed expression may be used for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Class {
    Variable,
    Call,
    Other,
}

#[derive(Clone, Copy)]
pub struct Suffixed {
    pub id: ExprId,
    pub class: Class,
    /// The name, if it is that of a compile-time constant.
    pub constant: Option<StrId>,
}

/// A binary operator with its left and right priority; right-associative if the right one is lower.
fn binary_operator(token: Token) -> Option<(BinaryOp, u8, u8)> {
    Some(match token {
        Token::Plus => (BinaryOp::Arith(Arith::Add), 10, 10),
        Token::Minus => (BinaryOp::Arith(Arith::Sub), 10, 10),
        Token::Star => (BinaryOp::Arith(Arith::Mul), 11, 11),
        Token::Percent => (BinaryOp::Arith(Arith::Mod), 11, 11),
        Token::Caret => (BinaryOp::Arith(Arith::Pow), 14, 13),
        Token::Slash => (BinaryOp::Arith(Arith::Div), 11, 11),
        Token::DoubleSlash => (BinaryOp::Arith(Arith::IDiv), 11, 11),
        Token::Ampersand => (BinaryOp::Arith(Arith::BAnd), 6, 6),
        Token::Pipe => (BinaryOp::Arith(Arith::BOr), 4, 4),
        Token::Tilde => (BinaryOp::Arith(Arith::BXor), 5, 5),
        Token::ShiftLeft => (BinaryOp::Arith(Arith::Shl), 7, 7),
        Token::ShiftRight => (BinaryOp::Arith(Arith::Shr), 7, 7),
        Token::Concat => (BinaryOp::Concat, 9, 8),
        Token::Equal => (BinaryOp::Eq, 3, 3),
        Token::NotEqual => (BinaryOp::Ne, 3, 3),
        Token::Less => (BinaryOp::Lt, 3, 3),
        Token::LessEqual => (BinaryOp::Le, 3, 3),
        Token::Greater => (BinaryOp::Gt, 3, 3),
        Token::GreaterEqual => (BinaryOp::Ge, 3, 3),
        Token::And => (BinaryOp::And, 2, 2),
        Token::Or => (BinaryOp::Or, 1, 1),
        _ => return None,
    })
}

fn unary_operator(token: Token) -> Option<UnaryOp> {
    Some(match token {
        Token::Not => UnaryOp::Not,
        Token::Minus => UnaryOp::Neg,
        Token::Tilde => UnaryOp::BNot,
        Token::Hash => UnaryOp::Len,
        _ => return None,
    })
}

impl Parser<'_> {
    pub(super) fn expr(&mut self) -> Fallible<ExprId> {
        self.subexpr(0)
    }

    /// An expression of operators that bind tighter than `limit`.
    fn subexpr(&mut self, limit: u8) -> Fallible<ExprId> {
        self.enter_level()?;
        let mut left = if let Some(op) = unary_operator(self.token.token) {
            let line = self.lexer.line;
            self.next()?;
            let operand = self.subexpr(UNARY_PRIORITY)?;
            self.unary(op, operand, line)?
        } else {
            self.simple_expr()?
        };
        while let Some((op, left_priority, right_priority)) = binary_operator(self.token.token)
            && left_priority > limit
        {
            let line = self.lexer.line;
            self.next()?;
            self.settle(left);
            let right = self.subexpr(right_priority)?;
            left = self.binary(op, left, right, line)?;
        }
        self.leave_level();
        Ok(left)
    }

    fn unary(&mut self, op: UnaryOp, operand: ExprId, line: u32) -> Fallible<ExprId> {
        let kind = fold::unary(op, self.ast[operand].kind).unwrap_or(ExprKind::Unary { op, operand });
        self.add_expr(kind, line)
    }

    fn binary(&mut self, op: BinaryOp, left: ExprId, right: ExprId, line: u32) -> Fallible<ExprId> {
        let (left_kind, right_kind) = (self.ast[left].kind, self.ast[right].kind);
        let line = match op {
            // A constant that decides stays an operand, as in the reference: what comes of it is no constant, and has no name in messages.
            BinaryOp::And | BinaryOp::Or if fold::truth(left_kind) == Some(op == BinaryOp::And) => {
                return self.keep_single(right);
            }
            BinaryOp::Eq | BinaryOp::Ne | BinaryOp::Lt | BinaryOp::Le | BinaryOp::Gt | BinaryOp::Ge => self.last_line,
            BinaryOp::Arith(op) => match fold::binary(op, left_kind, right_kind) {
                Some(value) => return self.add_expr(value, line),
                None => line,
            },
            _ => line,
        };
        self.add_expr(ExprKind::Binary { op, left, right }, line)
    }

    fn simple_expr(&mut self) -> Fallible<ExprId> {
        let kind = match (self.token.token, self.token.value) {
            (Token::Nil, _) => ExprKind::Nil,
            (Token::True, _) => ExprKind::Bool(true),
            (Token::False, _) => ExprKind::Bool(false),
            (_, Value::Int(value)) => ExprKind::Int(value),
            (_, Value::Float(value)) => ExprKind::Float(value),
            (Token::Str, Value::Str(id)) => ExprKind::Str(id),
            (Token::Dots, _) => {
                if !self.scope().function.is_vararg {
                    return Err(self.syntax_error("cannot use '...' outside a vararg function"));
                }
                ExprKind::Vararg
            }
            (Token::LeftBrace, _) => return self.table(),
            (Token::Function, _) => {
                self.next()?;
                let line = self.lexer.line;
                return self.function_body(false, line);
            }
            _ => return Ok(self.suffixed_expr()?.id),
        };
        self.next()?;
        self.add_expr(kind, self.last_line)
    }

    /// A name, given the variable that it means.
    pub(super) fn variable(&mut self, name: StrId) -> Fallible<Suffixed> {
        let line = self.last_line;
        let mut constant = None;
        let kind = match self.resolve(name)? {
            Meaning::Local(id) => ExprKind::Local(id),
            Meaning::Upval(index) => ExprKind::Upval(index),
            Meaning::Constant(value) => {
                constant = Some(name);
                value
            }
            Meaning::Global => {
                let environment = match self.resolve_environment()? {
                    Meaning::Local(id) => Err(ExprKind::Local(id)),
                    Meaning::Constant(value) => Err(value),
                    Meaning::Upval(index) => Ok(index),
                    // The main function has it as an upvalue.
                    Meaning::Global => Ok(0),
                };
                match environment {
                    Ok(upval) => ExprKind::UpvalField { upval, name, late: 0 },
                    Err(other) => ExprKind::Field { object: self.add_expr(other, line)?, name, late: 0 },
                }
            }
        };
        Ok(Suffixed { id: self.add_expr(kind, line)?, class: Class::Variable, constant })
    }

    fn resolve(&mut self, name: StrId) -> Fallible<Meaning> {
        if self.meanings.get(name.0 as usize).is_none_or(|&count| count == 0) {
            return Ok(Meaning::Global);
        }
        scope::resolve(&mut self.scopes, name).map_err(|function| self.limit_error(function, "upvalues", scope::MAX_UPVALS))
    }

    /// What `_ENV` means. Mostly there is one only, and the function has it as an upvalue already.
    fn resolve_environment(&mut self) -> Fallible<Meaning> {
        let env = self.names.env;
        if self.meanings[env.0 as usize] == 1
            && let Some(index) = self.scope().find_upval(env)
        {
            return Ok(Meaning::Upval(index));
        }
        self.resolve(env)
    }

    fn primary_expr(&mut self) -> Fallible<Suffixed> {
        match self.token.token {
            Token::Name => {
                let name = self.name()?;
                self.variable(name)
            }
            Token::LeftParen => {
                let line = self.lexer.line;
                self.next()?;
                let inner = self.expr()?;
                self.expect_match(Token::RightParen, Token::LeftParen, line)?;
                self.settle(inner);
                let id = self.keep_single(inner)?;
                Ok(Suffixed { id, class: Class::Other, constant: None })
            }
            _ => Err(self.syntax_error("unexpected symbol")),
        }
    }

    pub(super) fn suffixed_expr(&mut self) -> Fallible<Suffixed> {
        let mut expr = self.primary_expr()?;
        loop {
            let object = expr.id;
            let (kind, class, line) = match self.token.token {
                Token::Dot => {
                    expr = self.field_selector(object)?;
                    continue;
                }
                Token::LeftBracket => {
                    let key = self.bracketed()?;
                    (ExprKind::Index { object, key }, Class::Variable, self.last_line)
                }
                Token::Colon => {
                    self.next()?;
                    let name = self.name()?;
                    let callee = self.add_expr(ExprKind::Method { object, name }, self.last_line)?;
                    let line = self.lexer.line;
                    let args = self.call_args()?;
                    (ExprKind::Call { callee, args }, Class::Call, line)
                }
                Token::LeftParen | Token::Str | Token::LeftBrace => {
                    let line = self.lexer.line;
                    let args = self.call_args()?;
                    (ExprKind::Call { callee: object, args }, Class::Call, line)
                }
                _ => return Ok(expr),
            };
            expr = Suffixed { id: self.add_expr(kind, line)?, class, constant: None };
        }
    }

    /// `.name` or, in the name of a function, `:name`.
    pub(super) fn field_selector(&mut self, object: ExprId) -> Fallible<Suffixed> {
        self.next()?;
        let name = self.name()?;
        let id = self.add_expr(ExprKind::Field { object, name, late: 0 }, self.last_line)?;
        Ok(Suffixed { id, class: Class::Variable, constant: None })
    }

    fn bracketed(&mut self) -> Fallible<ExprId> {
        self.next()?;
        let key = self.expr()?;
        self.expect(Token::RightBracket)?;
        Ok(key)
    }

    fn call_args(&mut self) -> Fallible<List> {
        let line = self.lexer.line;
        match self.token.token {
            Token::LeftParen => {
                self.next()?;
                if self.accept(Token::RightParen)? {
                    return Ok(List::EMPTY);
                }
                let args = self.expr_list()?;
                self.expect_match(Token::RightParen, Token::LeftParen, line)?;
                if let Some(last) = self.ast.list(args).next_back() {
                    self.settle(last);
                }
                Ok(args)
            }
            Token::LeftBrace => {
                let table = self.table()?;
                self.ast.add_list(&[table])
            }
            Token::Str => {
                let string = self.simple_expr()?;
                self.ast.add_list(&[string])
            }
            _ => Err(self.syntax_error("function arguments expected")),
        }
    }

    pub(super) fn expr_list(&mut self) -> Fallible<List> {
        let first = self.expr()?;
        self.expr_list_from(first)
    }

    /// The list of which the first expression has been read.
    pub(super) fn expr_list_from(&mut self, first: ExprId) -> Fallible<List> {
        if self.token.token != Token::Comma {
            return self.ast.add_list(&[first]);
        }
        let mark = self.pending_exprs.len();
        let mut expr = first;
        loop {
            self.pending_exprs.push(expr);
            if !self.accept(Token::Comma)? {
                break;
            }
            self.settle(expr);
            expr = self.expr()?;
        }
        self.finish_list(mark)
    }

    fn table(&mut self) -> Fallible<ExprId> {
        let (opening_line, line) = (self.last_line, self.lexer.line);
        self.expect(Token::LeftBrace)?;
        let mark = self.pending_exprs.len();
        // A positional value is put in its place only when the next token has been read.
        let mut unsettled = None;
        while self.token.token != Token::RightBrace {
            if let Some(value) = unsettled.take() {
                self.settle(value);
            }
            let entry = if self.token.token == Token::LeftBracket {
                let key = self.bracketed()?;
                self.expect(Token::Assign)?;
                let value = self.expr()?;
                self.add_expr(ExprKind::Keyed { key, value }, self.last_line)?
            } else if self.token.token == Token::Name && self.peek()? == Token::Assign {
                self.named_entry()?
            } else {
                let value = self.expr()?;
                unsettled = Some(value);
                value
            };
            self.pending_exprs.push(entry);
            if !self.accept(Token::Comma)? && !self.accept(Token::Semicolon)? {
                break;
            }
        }
        self.expect_match(Token::RightBrace, Token::LeftBrace, line)?;
        if let Some(value) = unsettled {
            self.settle(value);
        }
        let entries = self.finish_list(mark)?;
        self.add_expr(ExprKind::Table { entries, end_line: self.last_line }, opening_line)
    }

    fn named_entry(&mut self) -> Fallible<ExprId> {
        let name = self.name()?;
        let line = self.last_line;
        self.expect(Token::Assign)?;
        let value = self.expr()?;
        let kind = match u16::try_from(self.last_line - line) {
            Ok(late) => ExprKind::Named { name, value, late },
            Err(_) => ExprKind::Keyed { key: self.add_expr(ExprKind::Str(name), line)?, value },
        };
        self.add_expr(kind, self.last_line)
    }

    /// An expression as a finished value: a call gives one value only, and a looked-up value is in its place, so that later
    /// tokens do not settle it again.
    fn keep_single(&mut self, expr: ExprId) -> Fallible<ExprId> {
        match self.ast[expr].kind {
            ExprKind::Call { .. }
            | ExprKind::Vararg
            | ExprKind::UpvalField { .. }
            | ExprKind::Field { .. }
            | ExprKind::Index { .. } => self.add_expr(ExprKind::Paren(expr), self.last_line),
            _ => Ok(expr),
        }
    }

    /// The last token read is part of what puts a looked-up value in its place: an error there names its line.
    pub(super) fn settle(&mut self, expr: ExprId) {
        let line = self.last_line;
        let expr = &mut self.ast.exprs[expr.0];
        match &mut expr.kind {
            ExprKind::UpvalField { late, .. } | ExprKind::Field { late, .. } => {
                *late = u16::try_from(*late as u32 + (line - expr.line)).unwrap_or(u16::MAX);
            }
            ExprKind::Index { .. } => {}
            _ => return,
        }
        expr.line = line;
    }
}
