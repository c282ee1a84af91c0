//! From the syntax tree to bytecode.
//!
//! One walk over the tree of each function, without a second look: registers are a stack of the active local variables
//! and, above them, the temporaries of the expression at hand.
//!
//! * **C1** `free` is the number of registers in use; a value is put into a register only when all below it hold
//!   values (rule B1 of the instruction set). So the place of a result is taken after its operands have been evaluated.
//! * **C2** Between statements, `free` is the number of registers of active local variables.
//! * **C3** Recursion follows the nesting that the parser has bounded; chains that the parser builds in a loop (`a.b.c`,
//!   `a + b + c`, `a and b and c`, `elseif`) are walked in a loop.
//!
//! * **C4** The hook is asked now and then whether to go on; the lists that a program makes long grow where a refusal is an error.
//!
//! Pure: imports only `syntax` and `bytecode`.

mod assign;
mod cond;
mod emit;
mod expr;
mod function;
mod stmt;
mod suffixed;

use crate::bytecode::{Proto, verify};
use crate::syntax::{SyntaxError, error_after, parse};
use emit::Failure;

/// Compiles a chunk: a vararg function whose only upvalue is `_ENV`. `chunk_name` is `@file`, `=name` or the source.
pub fn compile(source: &[u8], chunk_name: &[u8]) -> Result<Proto, SyntaxError> {
    compile_within(source, chunk_name, usize::MAX, &mut || true)
}

/// The same in `room` bytes of memory: half for the tree at most, and what it leaves for the code and the copy of it that linking makes. (The tree is
/// gone by then, but its memory may not have gone back to the system.) `go_on` is asked now and then; `false` is an error that says so.
pub fn compile_within(
    source: &[u8],
    chunk_name: &[u8],
    room: usize,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<Proto, SyntaxError> {
    let ast = parse(source, chunk_name, room / 2, go_on)?;
    let code_room = room.saturating_sub(ast.bytes()) / 2;
    let result = function::compile_main(&ast, chunk_name, code_room, go_on);
    drop(ast);
    let proto = result.map_err(|failure| match failure {
        Failure::Limit(what, at) => error_after(source, chunk_name, room / 2, go_on, at, what),
        Failure::Refused(error) => *error,
    })?;
    debug_assert_eq!(verify(&proto), Ok(()));
    Ok(proto)
}
