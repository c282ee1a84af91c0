//! What the machine, the reader, the compiler and the primitives make new objects with, conditions among them.
//!
//! Imports `machine`, `state`, `value`.

use super::machine::{Answer, Trap, Vm};
use super::state::Name;
use super::value::{Condition, Fault, Identifier, Object, Pair, Symbol, Value};
use neap_gc::arena::Lock;
use std::cell::Cell;

impl<'gc> Vm<'gc> {
    #[inline]
    pub fn cons(&self, car: Value<'gc>, cdr: Value<'gc>) -> Answer<'gc> {
        Ok(Value::Pair(self.mc.try_alloc(Pair { car: Lock::new(car), cdr: Lock::new(cdr) })?))
    }
    pub fn list(&self, values: impl DoubleEndedIterator<Item = Value<'gc>>) -> Answer<'gc> {
        let mut list = Value::Nil;
        for value in values.rev() {
            list = self.cons(value, list)?;
        }
        Ok(list)
    }
    pub fn object(&self, object: Object<'gc>) -> Answer<'gc> {
        Ok(Value::Object(self.mc.try_alloc(object)?))
    }
    pub fn string(&self, text: &str) -> Answer<'gc> {
        let mut chars = text.chars();
        let string = self.mc.try_alloc_slice_with(text.chars().count(), |_| Cell::new(chars.next().unwrap_or(' ')))?;
        Ok(Value::String(string))
    }
    pub fn intern(&self, name: &str) -> Answer<'gc, Identifier<'gc>> {
        let name = Name(self.mc.try_alloc_str(name)?);
        if let Some(symbol) = self.machine.symbols.get(&name) {
            return Ok(symbol);
        }
        let symbol = self.mc.try_alloc(Symbol {
            name: name.0,
            global: Lock::new(Value::Undefined),
            standard: Lock::new(Value::Undefined),
            inlined: Cell::new(false),
            defined: Cell::new(false),
            alias: None,
        })?;
        self.machine.symbols.try_insert(self.mc, name, symbol)?;
        Ok(symbol)
    }
    #[cold]
    pub fn error(&self, message: &str, irritants: &[Value<'gc>]) -> Trap<'gc> {
        self.fault(Fault::Machine, message, irritants)
    }
    #[cold]
    pub fn fault(&self, kind: Fault, message: &str, irritants: &[Value<'gc>]) -> Trap<'gc> {
        let make = || {
            let (message, irritants) = (self.string(message)?, self.list(irritants.iter().copied())?);
            self.object(Object::Condition(Condition { kind, message, irritants }))
        };
        match make() {
            Ok(condition) => Trap::Raise(condition),
            Err(trap) => trap,
        }
    }
}
