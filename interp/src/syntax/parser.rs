//! The parser, first part: tokens, errors, functions and blocks. By recursive descent, bounded by `MAX_LEVELS`.

use super::ast::*;
use super::error::{Fallible, SyntaxError};
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

/// What a vector may grow by until then: an entry for each token.
const MORE_ENTRIES: usize = TOKENS_PER_MEASURE as usize;

/// Lets a vector that has become long grow so that it has room for `more` entries and those until the next measure. Capacities are powers of two, as the
/// vector's own growth would have them.
fn grow<T>(list: &mut Vec<T>, more: usize) -> Result<(), TryReserveError> {
    let needed = list.len() + more + MORE_ENTRIES;
    if needed <= list.capacity() || needed < 2 * MORE_ENTRIES {
        return Ok(());
    }
    list.try_reserve_exact(needed.next_power_of_two() - list.len())
}

/// Names that the compiler itself uses.
pub(super) struct WellKnown {
    pub env: StrId,
    self_name: StrId,
    pub for_state: StrId,
}

pub(super) struct Parser<'s> {
    pub lexer: Lexer<'s>,
    pub token: Lexeme,
    ahead: Option<Lexeme>,
    /// The line where the last token consumed ends.
    pub last_line: u32,
    pub levels: u32,
    pub ast: Ast,
    /// An expression that is waited for; the token behind it, and its line.
    awaited: Option<ExprId>,
    pub behind: Option<(Lexeme, u32)>,
    /// The most bytes that the tree may have.
    room: usize,
    unmeasured: u32,
    /// The functions being parsed, the innermost last.
    pub scopes: Vec<FunctionScope>,
    /// Scopes of finished functions, for the next ones.
    spare_scopes: Vec<FunctionScope>,
    /// For each name, how many variables in all the open scopes have it: a name without any is that of a global.
    pub meanings: Vec<u32>,
    pub names: WellKnown,
    /// Lists under construction; a finished one moves into the tree as a whole.
    pub pending_exprs: Vec<ExprId>,
    /// The block under construction.
    block: Block,
}

/// Parses a chunk: the body of a vararg function with the upvalue `_ENV`. A tree of more than `room` bytes is an error. `go_on` is asked now and
/// then; `false` is an error, too.
pub fn parse(source: &[u8], chunk_name: &[u8], room: usize, go_on: &mut dyn FnMut() -> bool) -> Result<Ast, SyntaxError> {
    let mut parser = parsed(source, chunk_name, room, None, go_on).map_err(|error| *error)?;
    parser.ast.strings = parser.lexer.strings;
    Ok(parser.ast)
}

/// The parser that has parsed a chunk. `awaited`: where it stood at an expression is wanted.
pub(super) fn parsed<'s>(
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

impl<'s> Parser<'s> {
    pub(super) fn new(
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
            scopes: Vec::new(),
            spare_scopes: Vec::new(),
            meanings: vec![1],
            names,
            pending_exprs: Vec::new(),
            block: Block::EMPTY,
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
        let pending = size_of_val(&self.pending_exprs[..]) + self.scopes.iter().map(FunctionScope::bytes).sum::<usize>();
        let bytes = self.ast.bytes() + self.lexer.strings.bytes() + pending;
        if bytes > self.room {
            return Err(SyntaxError::out_of_memory());
        }
        self.lexer.ask(self.lexer.place())?;
        self.reserve()
    }

    /// What the next tokens add to the vectors that a program can make long is room for: they grow here, where a refusal is an error.
    fn reserve(&mut self) -> Fallible<()> {
        let names = self.lexer.strings.count().saturating_sub(self.meanings.len());
        let result = grow(&mut self.pending_exprs, 0).and_then(|()| grow(&mut self.meanings, names));
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

    pub(super) fn block_ends(&self, with_until: bool) -> bool {
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
        self.lexer.error(what, (near != b"'<\\0>'").then_some(&near)).at(self.token.start as usize)
    }

    fn expected(&self, token: Token) -> Box<SyntaxError> {
        self.syntax_error(format!("{} expected", token.quoted()))
    }

    /// An error of meaning, which blames no token. `{}` in the message stands for a name.
    pub(super) fn semantic_error(&self, what: &str, name: StrId) -> Box<SyntaxError> {
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

    pub(super) fn goto_error(&self, error: GotoError, label: Option<StrId>) -> Box<SyntaxError> {
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

    pub(super) fn add_expr(&mut self, kind: ExprKind, line: u32) -> Fallible<ExprId> {
        let id = ExprId(self.ast.exprs.push(Expr { kind, line })?);
        if self.awaited == Some(id) {
            self.behind = Some((self.token, self.lexer.line));
        }
        Ok(id)
    }

    /// Makes a list of the pending expressions from `mark` on.
    pub(super) fn finish_list(&mut self, mark: usize) -> Fallible<List> {
        let list = self.ast.add_list(&self.pending_exprs[mark..]);
        self.pending_exprs.truncate(mark);
        list
    }

    pub(super) fn add_stmt_at(&mut self, kind: StmtKind, line: u32) -> Fallible<()> {
        self.ast.add_stmt(&mut self.block, kind, line)
    }

    pub(super) fn add_stmt(&mut self, kind: StmtKind) -> Fallible<()> {
        self.add_stmt_at(kind, self.last_line)
    }

    // Functions and blocks.

    pub(super) fn scope(&mut self) -> &mut FunctionScope {
        let innermost = self.scopes.len() - 1;
        &mut self.scopes[innermost]
    }

    pub(super) fn main_function(&mut self) -> Fallible<()> {
        self.ast.functions.push(Function::default())?;
        let mut scope = FunctionScope::default();
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

    fn close_function(&mut self, id: FuncId, body: Block) -> Fallible<()> {
        self.close_block()?;
        if let Some(mut scope) = self.scopes.pop() {
            let return_line = self.last_line;
            let function = scope.renew(0);
            self.ast.function_bytes += function.bytes();
            self.ast.functions[id.0] = Function { body: Some(body), return_line, ..function };
            self.spare_scopes.push(scope);
        }
        Ok(())
    }

    /// Parameters and body; `line` is where the definition starts.
    pub(super) fn function_body(&mut self, is_method: bool, line: u32) -> Fallible<ExprId> {
        let id = FuncId(self.ast.functions.push(Function::default())?);
        let mut scope = self.spare_scopes.pop().unwrap_or_default();
        scope.renew(line);
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
        self.add_expr(ExprKind::Function(id), self.last_line)
    }

    pub(super) fn declare(&mut self, name: StrId, attrib: Attrib) -> Fallible<()> {
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

    pub(super) fn open_block(&mut self) {
        self.scope().open_block(false);
    }

    pub(super) fn open_loop(&mut self) -> LabelId {
        // A loop's block has an exit.
        self.scope().open_block(true).unwrap_or(LabelId(0))
    }

    pub(super) fn close_block(&mut self) -> Fallible<()> {
        let innermost = self.scopes.len() - 1;
        for name in self.scopes[innermost].names_of_block() {
            self.meanings[name.0 as usize] -= 1;
        }
        self.scope().close_block().map_err(|error| self.goto_error(error, None))
    }

    pub(super) fn block(&mut self) -> Fallible<Block> {
        self.open_block();
        let body = self.statements()?;
        self.close_block()?;
        Ok(body)
    }

    pub(super) fn statements(&mut self) -> Fallible<Block> {
        let outer = std::mem::replace(&mut self.block, Block::EMPTY);
        while !self.block_ends(true) {
            let is_return = self.token.token == Token::Return;
            self.statement()?;
            if is_return {
                break;
            }
        }
        Ok(std::mem::replace(&mut self.block, outer))
    }
}
