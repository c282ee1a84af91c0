//! The standard library of Lua 5.4.
//!
//! First the algorithms, which know bytes and numbers alone; they import neither the heap nor the virtual machine.
pub mod date;
pub mod fault;
pub mod file;
pub mod format;
pub mod matcher;
pub mod pack;
pub mod pattern;
pub mod random;
pub mod sort;
pub mod utf8_codec;

/// The state of the libraries in one interpreter.
#[derive(Default)]
pub struct LibState {}
