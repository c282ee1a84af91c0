//! The instruction set and the compiled form of a function. Pure: knows neither the heap nor the interpreter.

mod op;
mod proto;

pub use op::{Instr, Op};
pub use proto::{Const, LocalVar, Proto, UpvalDesc};
