//! The instruction set and the compiled form of a function. Pure: knows neither the heap nor the interpreter.

pub mod budget;
pub mod chunk;
mod disasm;
mod layout;
mod op;
mod proto;
mod registers;
mod verify;

pub use disasm::disassemble;
pub use layout::{Aux, Keep, Layout, Role};
pub use op::{Instr, Op};
pub use proto::{Const, LocalVar, Proto, Source, UpvalDesc};
pub use registers::{Lack, Needs, Set, State, open_row};
pub use verify::{verify, verify_within};
