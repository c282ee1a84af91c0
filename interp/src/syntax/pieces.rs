//! Sources that are not parsed for their tree: what has come of a text so far, of which more may come, and where in a text the parser stood.
//!
//! May import the parser and what it imports.

use super::ast::ExprId;
use super::error::SyntaxError;
use super::lexer::Lexer;
use super::parser::{Parser, parsed};
use super::token::Token;

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
    let mut place = token.start as usize;
    if token.token == Token::Comma {
        let mut rest = Lexer::new(&source[token.end as usize..], chunk_name, room, go_on);
        (token, line) = match rest.next() {
            Ok(next) => (next, line + rest.line - 1),
            Err(error) => return *error,
        };
        near = rest.show(&token);
        place += 1 + token.start as usize;
    }
    *SyntaxError::new(chunk_name, line, what.as_bytes(), Some(&near)).at(place)
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
