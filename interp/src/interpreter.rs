//! The interpreter for a host that only runs programs and reads figures: all of its values stay inside, so that a host can do nothing wrong with them. What goes
//! in are texts and integers, what comes out are bytes.
//!
//! May import the machine, values, the libraries.

use crate::stdlib;
use crate::value::Value;
use crate::vm::Vm;
pub use crate::vm::{Limits, Stop};

use neap_gc::heap::{Faults, poll};
use neap_gc::{AuditError, Config, OutOfMemory};
use std::sync::atomic::Ordering;

/// An interpreter with all libraries.
pub struct Interpreter {
    vm: Vm,
}

impl Interpreter {
    pub fn new(config: Config) -> Result<Interpreter, OutOfMemory> {
        let mut vm = Vm::new(config)?;
        stdlib::open_all(&mut vm).map_err(|_| OutOfMemory)?;
        Ok(Interpreter { vm })
    }

    /// Runs a chunk (whose name is `@file`, `=name` or the source) with an argument, and gives its first result; the error is that of the program. Both are empty
    /// if they are no strings.
    pub fn run(&mut self, source: &[u8], name: &[u8], argument: i64) -> Result<Vec<u8>, Vec<u8>> {
        let vm = &mut self.vm;
        let result = vm.load(source, name).and_then(|chunk| vm.call1(Value::closure(chunk), &[Value::int(argument)]));
        match result {
            Ok(value) => Ok(bytes(value)),
            Err(_) => Err(bytes(vm.take_error())),
        }
    }

    /// The same under limits. What reaches one ends without a chance to catch it; [`Interpreter::take_stop`] tells.
    pub fn run_limited(&mut self, source: &[u8], name: &[u8], argument: i64, limits: Limits) -> Result<Vec<u8>, Vec<u8>> {
        let vm = &mut self.vm;
        let result = vm.with_limits(limits, |vm| {
            let chunk = vm.load(source, name)?;
            vm.call1(Value::closure(chunk), &[Value::int(argument)])
        });
        match result {
            Ok(value) => Ok(bytes(value)),
            Err(_) => Err(bytes(vm.take_error())),
        }
    }

    /// Sets a global variable to a text.
    pub fn set_text(&mut self, name: &str, text: &[u8]) -> Result<(), OutOfMemory> {
        let vm = &mut self.vm;
        let globals = vm.globals();
        let set = vm.new_str(text).and_then(|text| vm.set_field(globals, name, text));
        set.map_err(|_| {
            vm.take_error();
            OutOfMemory
        })
    }

    /// Why the last run ended before its time, if it did. Tells it once.
    pub fn take_stop(&mut self) -> Option<Stop> {
        self.vm.take_stop()
    }

    /// Lets what runs, or what will, end with the error "interrupted!".
    pub fn interrupt(&self) {
        self.vm.heap.poll_word().fetch_or(poll::INTERRUPT, Ordering::Relaxed);
    }

    /// A whole collection, with the finalizers that fall due by it.
    pub fn collect(&mut self) {
        self.vm.collect_full();
    }

    /// The same, and a check of the whole heap.
    pub fn audit(&mut self) -> Result<(), AuditError> {
        // Twice, for what the finalizers of the first leave.
        self.collect();
        self.collect();
        // SAFETY: a safepoint has just been, and nothing has run since but finalizers.
        unsafe { self.vm.heap.audit() }.map(drop)
    }

    /// Lets requests for memory fail; returns what is left of the order before.
    pub fn inject(&mut self, faults: Faults) -> Faults {
        self.vm.heap.inject(faults)
    }

    pub fn used_bytes(&self) -> usize {
        self.vm.heap.used_bytes()
    }

    pub fn mapped_bytes(&self) -> usize {
        self.vm.heap.mapped_bytes()
    }

    pub fn peak_bytes(&self) -> usize {
        self.vm.heap.peak_bytes()
    }

    /// How often the collector has stopped the program.
    pub fn stops(&self) -> u64 {
        self.vm.heap.counters().stops
    }
}

fn bytes(value: Value) -> Vec<u8> {
    value.as_str().map_or_else(Vec::new, |string| string.bytes().to_vec())
}
