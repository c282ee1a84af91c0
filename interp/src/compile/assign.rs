//! Assignments.
//!
//! The order is that of the reference: objects and keys of the targets from left to right, values from left to right,
//! stores from right to left.

use super::emit::{Emitter, Fallible};
use super::expr::Dst;
use super::suffixed::Key;
use crate::bytecode::Op;
use crate::syntax::ast::{ExprId, ExprKind, List};

/// A variable to assign to, its object and key evaluated.
#[derive(Clone, Copy)]
enum Target {
    Local(u8),
    Box(u8),
    Upval(u8),
    UpvalField { upval: u8, field: u16 },
    Index { object: u8, key: Key },
}

impl Emitter<'_, '_> {
    pub fn set(&mut self, target: ExprId, value: ExprId, line: u32) -> Fallible<()> {
        let target = self.target(target)?;
        self.store_value(target, value, line)
    }

    pub fn assign(&mut self, targets: List, values: List, line: u32) -> Fallible<()> {
        let ast = self.ast;
        let (targets, mut values) = (ast.list(targets), ast.list(values));
        let count = targets.len();
        let mut places = Vec::with_capacity(count);
        for target in targets {
            let place = self.target(target)?;
            self.keep_used(&mut places, place)?;
            places.push(place);
        }
        if values.len() == count
            && let (Some(last), Some(place)) = (values.next_back(), places.pop())
        {
            // The last value goes straight to its target.
            self.adjusted(values, count - 1)?;
            let free = self.free;
            self.store_value(place, last, line)?;
            self.free = free;
        } else {
            self.adjusted(values, count)?;
        }
        self.line = line;
        for place in places.into_iter().rev() {
            self.free -= 1;
            self.store(place, self.free as u8);
        }
        Ok(())
    }

    fn target(&mut self, expr: ExprId) -> Fallible<Target> {
        Ok(match self.ast[expr].kind {
            ExprKind::UpvalField { .. } | ExprKind::Field { .. } | ExprKind::Index { .. } => match self.upval_field(expr) {
                Some((upval, field)) => Target::UpvalField { upval, field },
                None => {
                    let object = self.object(expr)?;
                    Target::Index { object, key: self.key(expr)? }
                }
            },
            ExprKind::Upval(index) => Target::Upval(index),
            ExprKind::Local(id) => {
                let local = self.function.locals[id.0 as usize];
                if local.captured { Target::Box(local.register) } else { Target::Local(local.register) }
            }
            // The parser lets nothing else be assigned to.
            _ => return Err(self.limit("cannot assign")),
        })
    }

    /// A variable that is assigned to may be the object or the key of an earlier target: that target goes on with a
    /// copy of its value.
    fn keep_used(&mut self, places: &mut [Target], assigned: Target) -> Fallible<()> {
        let copy = self.free as u8;
        let mut used = false;
        for place in places {
            match (place, assigned) {
                (Target::Index { object, key }, Target::Local(local)) => {
                    for register in
                        [Some(object), if let Key::Register(key) = key { Some(key) } else { None }].into_iter().flatten()
                    {
                        if *register == local {
                            *register = copy;
                            used = true;
                        }
                    }
                }
                (place @ Target::UpvalField { .. }, Target::Upval(assigned)) => {
                    if let Target::UpvalField { upval, field } = *place
                        && upval == assigned
                    {
                        *place = Target::Index { object: copy, key: Key::Field(field) };
                        used = true;
                    }
                }
                _ => {}
            }
        }
        if used {
            self.reserve(1)?;
            match assigned {
                Target::Local(register) => self.abc(Op::Move, copy, register, 0),
                Target::Upval(index) => self.abc(Op::GetUpval, copy, index, 0),
                _ => {}
            }
        }
        Ok(())
    }

    fn store_value(&mut self, target: Target, value: ExprId, line: u32) -> Fallible<()> {
        match target {
            Target::Local(register) => {
                self.value(value, Dst::Register(register))?;
            }
            Target::Index { object, key } => self.store_index(object, key, value, line)?,
            _ => {
                let register = self.any(value)?;
                self.line = line;
                self.store(target, register);
            }
        }
        Ok(())
    }

    pub fn store_index(&mut self, object: u8, key: Key, value: ExprId, line: u32) -> Fallible<()> {
        if let Some(value) = self.const_operand(value) {
            self.line = line;
            match key {
                Key::Field(field) => self.with_aux(Op::SetFieldK, object, 0, value, field as u32),
                Key::Small(index) => self.abc(Op::SetIndexK, object, index, value),
                Key::Register(key) => self.abc(Op::SetTableK, object, key, value),
            }
            return Ok(());
        }
        let register = self.any(value)?;
        self.line = line;
        self.store(Target::Index { object, key }, register);
        Ok(())
    }

    fn store(&mut self, target: Target, value: u8) {
        match target {
            Target::Local(register) => self.abc(Op::Move, register, value, 0),
            Target::Box(register) => self.abc(Op::SetBox, register, value, 0),
            Target::Upval(index) => self.abc(Op::SetUpval, value, index, 0),
            Target::UpvalField { upval, field } => self.with_aux(Op::SetTabUp, value, upval, 0, field as u32),
            Target::Index { object, key } => match key {
                Key::Field(field) => self.with_aux(Op::SetField, object, 0, value, field as u32),
                Key::Small(index) => self.abc(Op::SetIndex, object, index, value),
                Key::Register(key) => self.abc(Op::SetTable, object, key, value),
            },
        }
    }
}
