//! Neap: Lua 5.4 on a managed heap of its own.
pub mod bytecode;
#[cfg(feature = "cli")]
pub mod cli;
pub mod compile;
#[cfg(feature = "cli")]
pub mod repl;
pub mod stdlib;
pub mod syntax;
pub mod value;
pub mod vm;
