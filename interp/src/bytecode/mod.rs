//! The instruction set and the compiled form of a function. Pure: knows neither the heap nor the interpreter.

pub mod chunk;
mod disasm;
mod layout;
mod meter;
mod op;
mod proto;
mod verify;

pub use disasm::disassemble;
pub use layout::{Aux, Layout, Role};
pub use meter::{Meter, Refusal};
pub use op::{Instr, Op};
pub use proto::{Const, LocalVar, Proto, UpvalDesc};
pub use verify::verify;
