//! The standard library of Lua 5.4, and libraries of Neap's own: `limits`, `mem` and `gc`.
//!
//! Two layers: the algorithms, which know bytes and numbers alone, and the bindings, one file for each library of the manual,
//! which know the virtual machine.

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

mod base;
mod collector;
mod coroutine;
mod debug;
mod elements;
mod gc;
mod gc_graph;
mod io;
mod limits;
pub(crate) mod load;
mod math;
mod math_compat;
pub(crate) mod mem;
mod os;
mod package;
mod sort_plain;
mod string;
mod string_arith;
mod string_format;
mod string_pattern;
mod support;
mod table;
mod utf8;

#[cfg(feature = "cli")]
pub(crate) use gc_graph::path;

use crate::value::Value;
use crate::vm::{Throw, Vm};
use random::Random;

/// The state of the libraries in one interpreter.
pub struct LibState {
    random: Random,
    pub(crate) files: io::Files,
    collector: collector::Settings,
    mem: mem::State,
    gc: gc::State,
    /// The names of the types, by tag; pinned.
    type_names: [Value; 16],
    /// Room for the beginning of a text that is being made.
    pub(crate) buffer: Vec<u8>,
}

impl Default for LibState {
    fn default() -> LibState {
        LibState {
            random: Random::new(Random::entropy()),
            files: Default::default(),
            collector: Default::default(),
            mem: Default::default(),
            gc: Default::default(),
            type_names: [Value::NIL; 16],
            buffer: Vec::new(),
        }
    }
}

/// Opens all libraries.
pub fn open_all(vm: &mut Vm) -> Result<(), Throw> {
    base::open(vm)?;
    package::open(vm)?;
    coroutine::open(vm)?;
    table::open(vm)?;
    io::open(vm)?;
    os::open(vm)?;
    string::open(vm)?;
    math::open(vm)?;
    utf8::open(vm)?;
    debug::open(vm)?;
    limits::open(vm)?;
    mem::open(vm)?;
    gc::open(vm)
}
