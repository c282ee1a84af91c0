//! Neap: Lua 5.4 on a managed heap of its own.
//!
//! What is public is safe: text, trees and bytecode, which are plain data; the [`Interpreter`], which keeps its values for itself; the command and its REPL. Values, the
//! machine and the libraries rest on rules that only this crate can keep (V1 to V3, M1 to M4), and are private to it.
pub mod bytecode;
#[cfg(feature = "cli")]
pub mod cli;
pub mod compile;
mod discard;
mod interpreter;
#[cfg(feature = "cli")]
pub mod repl;
mod stdlib;
pub mod syntax;
mod value;
mod vm;

pub use interpreter::{Interpreter, Limits, Stop};
