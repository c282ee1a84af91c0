//! Calling: a procedure and its arguments stand in a vector, which becomes the variables of a closure.
//!
//! Imports `control`, `machine`, `primitives`, `state`, `value`.

use super::control;
use super::machine::{Answer, OPERANDS, Vm, room};
use super::primitives::{Action, Primitive};
use super::state::Step;
use super::value::{Closure, Object, RecordProcedure, Value, Vector};
use neap_gc::arena::{Gc, Lock};

impl<'gc> Vm<'gc> {
    pub fn check_count(&self, primitive: &'static Primitive, count: usize) -> Answer<'gc, ()> {
        if primitive.takes(count) {
            return Ok(());
        }
        Err(self.error("wrong number of arguments", &[Value::Primitive(primitive), Value::Integer(count as i64)]))
    }

    pub fn apply(&mut self, values: Vector<'gc>) -> Answer<'gc, ()> {
        let procedure = values[0].get();
        match procedure {
            Value::Closure(closure) => return self.enter(closure, values),
            Value::Primitive(primitive) => {
                let count = values.len() - 1;
                self.check_count(primitive, count)?;
                match primitive.action {
                    Action::Control(what) => return control::control(self, what, values),
                    Action::Plain(run) => {
                        let (mut few, mut many) = ([Value::Nil; OPERANDS], Vec::new());
                        let operands = room(&mut few, &mut many, count)?;
                        for (operand, value) in operands.iter_mut().zip(&values[1..]) {
                            *operand = value.get();
                        }
                        self.step = Step::Return(run(self, operands)?);
                        return Ok(());
                    }
                }
            }
            Value::Object(object) => match &*object {
                &Object::Continuation(_, dynamic) => return control::throw(self, object, dynamic, values),
                &Object::Parameter { value, .. } if values.len() == 1 => {
                    self.step = Step::Return(control::parameter(self, procedure, value));
                    return Ok(());
                }
                Object::RecordProcedure(record) => return self.apply_record(record, values),
                _ => {}
            },
            _ => {}
        }
        Err(self.error("not a procedure", &[procedure]))
    }

    fn enter(&mut self, closure: Gc<'gc, Closure<'gc>>, values: Vector<'gc>) -> Answer<'gc, ()> {
        let template = closure.template;
        let (count, required) = (values.len() - 1, template.required as usize);
        if count < required || (count > required && !template.rest) {
            return Err(self.error("wrong number of arguments", &[Value::Closure(closure), Value::Integer(count as i64)]));
        }
        let mut variables = values;
        if template.rest {
            let mut rest = Value::Nil;
            for value in values[required + 1..].iter().rev() {
                rest = self.cons(value.get(), rest)?;
            }
            let variable = |n: usize| Lock::new(if n <= required { values[n].get() } else { rest });
            variables = self.mc.try_alloc_slice_with(required + 2, variable)?;
        }
        variables.set(self.mc, 0, Value::Scope(closure.scope));
        self.step = Step::Eval(template.body, variables);
        Ok(())
    }

    fn apply_record(&mut self, procedure: &RecordProcedure<'gc>, values: Vector<'gc>) -> Answer<'gc, ()> {
        let value = control::record(self, procedure, &values[1..])?;
        self.step = Step::Return(value);
        Ok(())
    }
}
