//! The parser, first part: tokens, functions and statements. By recursive descent, bounded by `MAX_LEVELS`.

use super::ast::*;
use super::error::{Fallible, SyntaxError};
use super::expr::{Class, Suffixed};
use super::lexer::{Lexeme, Lexer, Value};
use super::scope::{self, Attrib, FunctionScope, GotoError};
use super::strings::StrId;
use super::token::Token;
use std::collections::TryReserveError;

/// How deep constructs may stand inside each other. The reference implementation allows 200 nested C calls, of which a
/// few are taken before its parser starts.
pub const MAX_LEVELS: u32 = 197;

/// The tree is measured every so many tokens.
const TOKENS_PER_MEASURE: u32 = 512;

/// What a list may grow by until then, except by a list that is finished: a few entries for each token.
const MORE_ENTRIES: usize = 4 * TOKENS_PER_MEASURE as usize;

/// Lets a list that has become long grow so that it has room for `more` entries and those until the next measure. Capacities are powers of two, as the
/// list's own growth would have them.
fn grow<T>(list: &mut Vec<T>, more: usize) -> Result<(), TryReserveError> {
    let needed = list.len() + more + MORE_ENTRIES;
    if needed <= list.capacity() || needed < 2 * MORE_ENTRIES {
        return Ok(());
    }
    list.try_reserve_exact(needed.next_power_of_two() - list.len())
}

/// Moves what has been under construction since `mark` to the end of its arena.
pub(super) fn finished<T>(pending: &mut Vec<T>, mark: usize, arena: &mut Vec<T>) -> Fallible<List> {
    let count = pending.len() - mark;
    grow(arena, count).map_err(|_| SyntaxError::out_of_memory())?;
    let list = List { start: arena.len() as u32, len: count as u32 };
    arena.extend(pending.drain(mark..));
    Ok(list)
}

/// Names that the compiler itself uses.
pub(super) struct WellKnown {
    pub env: StrId,
    self_name: StrId,
    for_state: StrId,
}

pub(super) struct Parser<'s> {
    pub lexer: Lexer<'s>,
    pub token: Lexeme,
    ahead: Option<Lexeme>,
    /// The line where the last token consumed ends.
    pub last_line: u32,
    levels: u32,
    pub ast: Ast,
    /// An expression that is waited for; the token behind it, and its line.
    awaited: Option<ExprId>,
    behind: Option<(Lexeme, u32)>,
    /// The most bytes that the tree may have.
    room: usize,
    unmeasured: u32,
    /// What finished functions have beside the tree's arenas.
    function_bytes: usize,
    /// The functions being parsed, the innermost last.
    pub scopes: Vec<FunctionScope>,
    /// For each name, how many variables in all the open scopes have it: a name without any is that of a global.
    pub meanings: Vec<u32>,
    pub names: WellKnown,
    // Lists under construction; a finished one moves into its arena as a whole.
    pub pending_exprs: Vec<ExprId>,
    pub pending_fields: Vec<Field>,
    pending_stmts: Vec<Stmt>,
    pending_clauses: Vec<Clause>,
}

/// Parses a chunk: the body of a vararg function with the upvalue `_ENV`. A tree of more than `room` bytes is an error. `go_on` is asked now and
/// then; `false` is an error, too.
pub fn parse(source: &[u8], chunk_name: &[u8], room: usize, go_on: &mut dyn FnMut() -> bool) -> Result<Ast, SyntaxError> {
    let mut parser = parsed(source, chunk_name, room, None, go_on).map_err(|error| *error)?;
    parser.ast.strings = parser.lexer.strings;
    Ok(parser.ast)
}

/// The error that says so of a source which has been parsed, but can't be compiled from an expression on. The token to blame is the next one,
/// or where that is a comma, the one behind it: there the compiler of the reference, which reads on as it goes, would find out. So that trees need not
/// know where they came from, the source is parsed anew.
pub fn error_after(
    source: &[u8],
    chunk_name: &[u8],
    room: usize,
    go_on: &mut dyn FnMut() -> bool,
    expr: ExprId,
    what: &str,
) -> SyntaxError {
    let parser = match parsed(source, chunk_name, room, Some(expr), go_on) {
        Ok(parser) => parser,
        Err(error) => return *error,
    };
    let Some((mut token, mut line)) = parser.behind else { return *parser.lexer.error(what, None) };
    let mut near = parser.lexer.show(&token);
    let mut place = token.start;
    if token.token == Token::Comma {
        let mut rest = Lexer::new(&source[token.end..], chunk_name, room, go_on);
        (token, line) = match rest.next() {
            Ok(next) => (next, line + rest.line - 1),
            Err(error) => return *error,
        };
        near = rest.show(&token);
        place += 1 + token.start;
    }
    *SyntaxError::new(chunk_name, line, what.as_bytes(), Some(&near)).at(place)
}

fn parsed<'s>(
    source: &'s [u8],
    chunk_name: &'s [u8],
    room: usize,
    awaited: Option<ExprId>,
    go_on: &'s mut dyn FnMut() -> bool,
) -> Fallible<Parser<'s>> {
    let mut parser = Parser::new(source, chunk_name, room, awaited, go_on)?;
    parser.main_function()?;
    Ok(parser)
}

/// Whether a text is no chunk, and none can begin with it: something is wrong before the last token, which might go on.
pub fn is_hopeless(source: &[u8], room: usize, go_on: &mut dyn FnMut() -> bool) -> bool {
    /// An escape that the end of the text has cut is no longer than that.
    const ESCAPE: usize = 16;
    let shorter = &source[..source.len().saturating_sub(ESCAPE)];
    is_wrong_inside(source, room, go_on) && is_wrong_inside(shorter, room, go_on)
}

fn is_wrong_inside(source: &[u8], room: usize, go_on: &mut dyn FnMut() -> bool) -> bool {
    let Ok(mut parser) = Parser::new(source, b"=", room, None, go_on) else { return true };
    let result = parser.main_function();
    // A token that has been looked at may end the text without being to blame.
    result.is_err_and(|error| !error.stopped && !error.incomplete) && !parser.lexer.is_at_end()
}

impl<'s> Parser<'s> {
    fn new(
        source: &'s [u8],
        chunk_name: &'s [u8],
        room: usize,
        awaited: Option<ExprId>,
        go_on: &'s mut dyn FnMut() -> bool,
    ) -> Fallible<Parser<'s>> {
        let mut lexer = Lexer::new(source, chunk_name, room, go_on);
        // Nodes are numbered by 32 bits, and no source has more nodes than a small multiple of its bytes.
        if source.len() > i32::MAX as usize / 4 {
            return Err(lexer.error("chunk too large", None));
        }
        // The first name has a meaning from the start, as the upvalue of the main function.
        let names = WellKnown {
            env: lexer.strings.intern(b"_ENV", &mut || true)?,
            self_name: lexer.strings.intern(b"self", &mut || true)?,
            for_state: lexer.strings.intern(b"(for state)", &mut || true)?,
        };
        let parser = Parser {
            lexer,
            token: Lexeme { token: Token::Eof, value: Value::None, start: 0, end: 0 },
            ahead: None,
            last_line: 1,
            levels: 0,
            ast: Ast::default(),
            awaited,
            behind: None,
            room,
            unmeasured: 0,
            function_bytes: 0,
            scopes: Vec::new(),
            meanings: vec![1],
            names,
            pending_exprs: Vec::new(),
            pending_fields: Vec::new(),
            pending_stmts: Vec::new(),
            pending_clauses: Vec::new(),
        };
        Ok(parser)
    }
}

impl Parser<'_> {
    // Tokens.

    pub(super) fn next(&mut self) -> Fallible<()> {
        self.last_line = self.lexer.line;
        self.unmeasured += 1;
        if self.unmeasured == TOKENS_PER_MEASURE {
            self.measure()?;
        }
        self.token = match self.ahead.take() {
            Some(lexeme) => lexeme,
            None => self.lexer.next()?,
        };
        Ok(())
    }

    /// Whether the tree, with what is under construction, still has room.
    #[cold]
    fn measure(&mut self) -> Fallible<()> {
        self.unmeasured = 0;
        let pending = size_of_val(&self.pending_exprs[..])
            + size_of_val(&self.pending_fields[..])
            + size_of_val(&self.pending_stmts[..])
            + size_of_val(&self.pending_clauses[..])
            + self.scopes.iter().map(FunctionScope::bytes).sum::<usize>();
        let bytes = self.ast.bytes() + self.lexer.strings.bytes() + self.function_bytes + pending;
        if bytes > self.room {
            return Err(SyntaxError::out_of_memory());
        }
        self.lexer.ask(self.lexer.place())?;
        self.reserve()
    }

    /// What the next tokens add to the lists that a program can make long is room for: they grow here, where a refusal is an error.
    fn reserve(&mut self) -> Fallible<()> {
        let names = self.lexer.strings.count().saturating_sub(self.meanings.len());
        let result = grow(&mut self.ast.exprs, 0)
            .and_then(|()| grow(&mut self.ast.lists, 0))
            .and_then(|()| grow(&mut self.ast.functions, 0))
            .and_then(|()| grow(&mut self.pending_exprs, 0))
            .and_then(|()| grow(&mut self.pending_fields, 0))
            .and_then(|()| grow(&mut self.pending_stmts, 0))
            .and_then(|()| grow(&mut self.pending_clauses, 0))
            .and_then(|()| grow(&mut self.meanings, names));
        result.map_err(|_| SyntaxError::out_of_memory())
    }

    /// The class of the token after the current one.
    pub(super) fn peek(&mut self) -> Fallible<Token> {
        let lexeme = self.lexer.next()?;
        self.ahead = Some(lexeme);
        Ok(lexeme.token)
    }

    pub(super) fn accept(&mut self, token: Token) -> Fallible<bool> {
        let found = self.token.token == token;
        if found {
            self.next()?;
        }
        Ok(found)
    }

    pub(super) fn expect(&mut self, token: Token) -> Fallible<()> {
        if self.accept(token)? { Ok(()) } else { Err(self.expected(token)) }
    }

    /// Expects the token that closes what `opener` opened on `line`.
    pub(super) fn expect_match(&mut self, token: Token, opener: Token, line: u32) -> Fallible<()> {
        if self.accept(token)? {
            return Ok(());
        }
        if line == self.lexer.line {
            return Err(self.expected(token));
        }
        let what = format!("{} expected (to close {} at line {line})", token.quoted(), opener.quoted());
        Err(self.syntax_error(what))
    }

    pub(super) fn name(&mut self) -> Fallible<StrId> {
        match (self.token.token, self.token.value) {
            (Token::Name, Value::Str(id)) => {
                self.next()?;
                Ok(id)
            }
            _ => Err(self.expected(Token::Name)),
        }
    }

    fn block_ends(&self, with_until: bool) -> bool {
        match self.token.token {
            Token::Else | Token::Elseif | Token::End | Token::Eof => true,
            Token::Until => with_until,
            _ => false,
        }
    }

    // Errors.

    pub(super) fn syntax_error(&self, what: impl AsRef<[u8]>) -> Box<SyntaxError> {
        let near = self.lexer.show(&self.token);
        // The reference has no token for a zero byte.
        self.lexer.error(what, (near != b"'<\\0>'").then_some(&near)).at(self.token.start)
    }

    fn expected(&self, token: Token) -> Box<SyntaxError> {
        self.syntax_error(format!("{} expected", token.quoted()))
    }

    /// An error of meaning, which blames no token. `{}` in the message stands for a name.
    fn semantic_error(&self, what: &str, name: StrId) -> Box<SyntaxError> {
        let (before, after) = what.split_once("{}").unwrap_or((what, ""));
        let what = [before.as_bytes(), self.lexer.strings.get(name), after.as_bytes()].concat();
        self.lexer.error(what, None)
    }

    pub(super) fn limit_error(&self, function: usize, what: &str, limit: usize) -> Box<SyntaxError> {
        let place = match self.scopes[function].function.line {
            0 => "main function".to_string(),
            line => format!("function at line {line}"),
        };
        self.syntax_error(format!("too many {what} (limit is {limit}) in {place}"))
    }

    fn goto_error(&self, error: GotoError, label: Option<StrId>) -> Box<SyntaxError> {
        match (error, label) {
            (GotoError::Repeated(line), Some(name)) => {
                self.semantic_error(&format!("label '{{}}' already defined on line {line}"), name)
            }
            (GotoError::JumpsIntoScope { goto_line, local }, Some(name)) => {
                let label = self.lexer.strings.get(name);
                let middle = format!("> at line {goto_line} jumps into the scope of local '");
                let local = self.lexer.strings.get(local);
                self.lexer.error([b"<goto ", label, middle.as_bytes(), local, b"'"].concat(), None)
            }
            (GotoError::NoLabel { name, line }, _) => {
                self.semantic_error(&format!("no visible label '{{}}' for <goto> at line {line}"), name)
            }
            (GotoError::BreakOutsideLoop { line }, _) => self.lexer.error(format!("break outside loop at line {line}"), None),
            (GotoError::TooMany, _) => self.lexer.error(format!("too many labels/gotos (limit is {})", scope::MAX_LABELS), None),
            // Errors of a label come with its name.
            (GotoError::Repeated(_) | GotoError::JumpsIntoScope { .. }, None) => self.lexer.error("bad label", None),
        }
    }

    pub(super) fn enter_level(&mut self) -> Fallible<()> {
        self.levels += 1;
        if self.levels > MAX_LEVELS {
            return Err(SyntaxError::of_limits(b"C stack overflow"));
        }
        Ok(())
    }

    pub(super) fn leave_level(&mut self) {
        self.levels -= 1;
    }

    // The tree.

    pub(super) fn add_expr(&mut self, kind: ExprKind, line: u32) -> ExprId {
        let id = ExprId(self.ast.exprs.len() as u32);
        self.ast.exprs.push(Expr { kind, line });
        if self.awaited == Some(id) {
            self.behind = Some((self.token, self.lexer.line));
        }
        id
    }

    pub(super) fn list_of(&mut self, expr: ExprId) -> List {
        self.ast.lists.push(expr);
        List { start: self.ast.lists.len() as u32 - 1, len: 1 }
    }

    /// Makes a list of the pending expressions from `mark` on.
    pub(super) fn finish_list(&mut self, mark: usize) -> Fallible<List> {
        finished(&mut self.pending_exprs, mark, &mut self.ast.lists)
    }

    fn add_stmt(&mut self, kind: StmtKind) {
        self.pending_stmts.push(Stmt { kind, line: self.last_line });
    }

    // Functions and blocks.

    pub(super) fn scope(&mut self) -> &mut FunctionScope {
        let innermost = self.scopes.len() - 1;
        &mut self.scopes[innermost]
    }

    fn main_function(&mut self) -> Fallible<()> {
        self.ast.functions.push(Function::default());
        let mut scope = FunctionScope::new(0);
        scope.function.is_vararg = true;
        scope.add_upval(Upval { name: self.names.env, from_register: true, index: 0 }, Attrib::Regular);
        scope.open_block(false);
        self.scopes.push(scope);
        self.next()?;
        let body = self.statements()?;
        if self.token.token != Token::Eof {
            return Err(self.expected(Token::Eof));
        }
        self.close_function(FuncId(0), body)
    }

    fn close_function(&mut self, id: FuncId, body: List) -> Fallible<()> {
        self.close_block()?;
        if let Some(scope) = self.scopes.pop() {
            let return_line = self.last_line;
            self.function_bytes += scope.function.bytes();
            self.ast.functions[id.0 as usize] = Function { body: Some(body), return_line, ..scope.function };
        }
        Ok(())
    }

    /// Parameters and body; `line` is where the definition starts.
    pub(super) fn function_body(&mut self, is_method: bool, line: u32) -> Fallible<ExprId> {
        let id = FuncId(self.ast.functions.len() as u32);
        self.ast.functions.push(Function::default());
        let mut scope = FunctionScope::new(line);
        scope.open_block(false);
        self.scopes.push(scope);
        self.expect(Token::LeftParen)?;
        let mut params = 0;
        if is_method {
            self.declare(self.names.self_name, Attrib::Regular)?;
            params += 1;
        }
        if self.token.token != Token::RightParen {
            loop {
                match self.token.token {
                    Token::Name => {
                        let name = self.name()?;
                        self.declare(name, Attrib::Regular)?;
                        params += 1;
                    }
                    Token::Dots => {
                        self.next()?;
                        self.scope().function.is_vararg = true;
                        break;
                    }
                    _ => return Err(self.syntax_error("<name> or '...' expected")),
                }
                if !self.accept(Token::Comma)? {
                    break;
                }
            }
        }
        self.scope().activate(params);
        self.scope().function.params = params as u8;
        self.expect(Token::RightParen)?;
        let body = self.statements()?;
        self.scope().function.end_line = self.lexer.line;
        self.expect_match(Token::End, Token::Function, line)?;
        self.close_function(id, body)?;
        Ok(self.add_expr(ExprKind::Function(id), self.last_line))
    }

    fn declare(&mut self, name: StrId, attrib: Attrib) -> Fallible<()> {
        let id = name.0 as usize;
        if self.meanings.len() <= id {
            self.meanings.resize(id + 1, 0);
        }
        self.meanings[id] += 1;
        if self.scope().declare(name, attrib) {
            return Ok(());
        }
        Err(self.limit_error(self.scopes.len() - 1, "local variables", scope::MAX_LOCALS))
    }

    fn open_block(&mut self) {
        self.scope().open_block(false);
    }

    fn open_loop(&mut self) -> LabelId {
        // A loop's block has an exit.
        self.scope().open_block(true).unwrap_or(LabelId(0))
    }

    fn close_block(&mut self) -> Fallible<()> {
        let innermost = self.scopes.len() - 1;
        for name in self.scopes[innermost].names_of_block() {
            self.meanings[name.0 as usize] -= 1;
        }
        self.scope().close_block().map_err(|error| self.goto_error(error, None))
    }

    fn block(&mut self) -> Fallible<List> {
        self.open_block();
        let body = self.statements()?;
        self.close_block()?;
        Ok(body)
    }

    fn statements(&mut self) -> Fallible<List> {
        let mark = self.pending_stmts.len();
        while !self.block_ends(true) {
            let is_return = self.token.token == Token::Return;
            self.statement()?;
            if is_return {
                break;
            }
        }
        finished(&mut self.pending_stmts, mark, &mut self.ast.stmts)
    }

    // Statements.

    fn statement(&mut self) -> Fallible<()> {
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
                self.add_stmt(StmtKind::Do(body));
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
        let mark = self.pending_clauses.len();
        let mut otherwise = None;
        loop {
            // At `if` or `elseif`.
            self.next()?;
            let condition = self.expr()?;
            self.expect(Token::Then)?;
            self.settle(condition);
            let then_line = self.last_line;
            let body = self.block()?;
            self.pending_clauses.push(Clause { condition, line: then_line, body });
            if self.token.token != Token::Elseif {
                break;
            }
        }
        if self.accept(Token::Else)? {
            otherwise = Some(self.block()?);
        }
        let clauses = finished(&mut self.pending_clauses, mark, &mut self.ast.clauses)?;
        self.add_stmt(StmtKind::If { clauses, otherwise });
        self.expect_match(Token::End, Token::If, line)
    }

    fn while_statement(&mut self, line: u32) -> Fallible<()> {
        self.next()?;
        let condition = self.expr()?;
        let condition_line = self.last_line;
        let exit = self.open_loop();
        self.expect(Token::Do)?;
        let body = self.block()?;
        let kind = StmtKind::While { condition, body, exit, end_line: self.last_line };
        self.pending_stmts.push(Stmt { kind, line: condition_line });
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
        self.add_stmt(StmtKind::Repeat { body, condition, exit });
        Ok(())
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
        self.pending_stmts.push(Stmt { kind, line: loop_line });
        self.close_block()
    }

    fn numeric_for(&mut self, name: StrId, exit: LabelId, for_line: u32) -> Fallible<StmtKind> {
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
        Ok(StmtKind::NumericFor { first, values, body, exit, do_line })
    }

    fn generic_for(&mut self, name: StrId, exit: LabelId, for_line: u32) -> Fallible<(StmtKind, u32)> {
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
        Ok((StmtKind::GenericFor { first, count: count as u32, values, body, exit, do_line, end_line }, line))
    }

    /// `do`, the body, in a scope of `count` declared variables, and `end`; gives the line of `do` too.
    fn for_body(&mut self, count: usize, for_line: u32) -> Fallible<(List, u32)> {
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
        let (targets, values) = (self.list_of(target.id), self.list_of(value));
        // The definition happens in its first line.
        self.pending_stmts.push(Stmt { kind: StmtKind::Assign { targets, values }, line });
        Ok(())
    }

    fn local_function(&mut self) -> Fallible<()> {
        let name = self.name()?;
        self.declare(name, Attrib::Regular)?;
        let local = self.scope().activate(1);
        let line = self.lexer.line;
        let value = self.function_body(false, line)?;
        self.add_stmt(StmtKind::LocalFunction { local, value });
        Ok(())
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
        if attrib == Attrib::Const && values.len as usize == count {
            let last = self.ast.lists[values.range().end - 1];
            constant = Some(self.ast[last].kind).filter(|&kind| {
                matches!(kind, ExprKind::Nil | ExprKind::Bool(_) | ExprKind::Int(_) | ExprKind::Float(_) | ExprKind::Str(_))
            });
        }
        if constant.is_some() {
            count -= 1;
            values.len -= 1;
        }
        let first = self.scope().activate(count);
        if let Some(value) = constant {
            self.scope().activate_constant(value);
        }
        if count > 0 {
            self.add_stmt(StmtKind::Local { first, count: count as u32, values, to_close });
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
        self.add_stmt(StmtKind::Goto(index));
        Ok(())
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
        self.add_stmt(StmtKind::Label(label));
        Ok(())
    }

    fn return_statement(&mut self) -> Fallible<()> {
        self.next()?;
        let none = self.block_ends(true) || self.token.token == Token::Semicolon;
        let values = if none { List::EMPTY } else { self.expr_list()? };
        self.add_stmt(StmtKind::Return(values));
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
            self.add_stmt(StmtKind::Call(target.id));
            return Ok(());
        }
        let mark = self.pending_exprs.len();
        let levels = self.levels;
        loop {
            if target.class != Class::Variable {
                return Err(self.syntax_error("syntax error"));
            }
            self.check_assignable(target)?;
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
        self.add_stmt(StmtKind::Assign { targets, values });
        Ok(())
    }
}
