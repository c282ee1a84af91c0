//! Indices and calls, and the chains of them.

use super::emit::{ConstKey, Emitter, Fallible};
use super::expr::{Dst, Operand, Results};
use crate::bytecode::Op;
use crate::syntax::StrId;
use crate::syntax::ast::{Expr, ExprId, ExprKind, List, Packed};

/// How an object is indexed.
#[derive(Clone, Copy)]
pub enum Key {
    Field(u16),
    Small(u8),
    Register(u8),
}

/// What the last part of a chain of indices and calls is for.
#[derive(Clone, Copy)]
pub enum Last {
    Value(Dst),
    Call(Results),
}

impl Emitter<'_, '_> {
    /// The object of an index, in some register.
    pub fn object(&mut self, index: ExprId) -> Fallible<u8> {
        let node = self.ast[index];
        match node.kind {
            ExprKind::Field { object, .. } | ExprKind::Index { object, .. } => self.any(object),
            ExprKind::UpvalField { upval, late, .. } => self.upval(upval, Dst::Next, node.line - late as u32),
            _ => Err(self.limit("no index")),
        }
    }

    /// The key of an index or of an entry of a table: in the instruction, if it can be.
    pub fn key(&mut self, index: ExprId) -> Fallible<Key> {
        let node = self.ast[index];
        let key = match node.kind {
            ExprKind::UpvalField { name, late, .. } | ExprKind::Field { name, late, .. } | ExprKind::Named { name, late, .. } => {
                return self.name(name, index, node.line - late as u32);
            }
            ExprKind::Index { key, .. } | ExprKind::Keyed { key, .. } => key,
            _ => return Err(self.limit("no index")),
        };
        match self.ast[key].kind {
            ExprKind::Str(id) => self.name(id, key, self.ast[key].line),
            ExprKind::Int(Packed(value)) => match u8::try_from(value) {
                Ok(value) => Ok(Key::Small(value)),
                Err(_) => Ok(Key::Register(self.any(key)?)),
            },
            _ => Ok(Key::Register(self.any(key)?)),
        }
    }

    /// A name as a key; one that has to be loaded is, as part of `node`.
    fn name(&mut self, name: StrId, node: ExprId, line: u32) -> Fallible<Key> {
        let key = ConstKey::Str(name);
        if let Ok(index) = u16::try_from(self.constant(key)) {
            return Ok(Key::Field(index));
        }
        self.shared.at = node;
        Ok(Key::Register(self.load_key(Dst::Next, line, key)?))
    }

    /// The field that an object in an upvalue is asked for, when one instruction does it.
    pub fn upval_field(&mut self, index: ExprId) -> Option<(u8, u16)> {
        let (upval, name) = match self.ast[index].kind {
            ExprKind::UpvalField { upval, name, .. } => (upval, name),
            ExprKind::Field { object, name, .. } => match self.ast[object].kind {
                ExprKind::Upval(upval) => (upval, name),
                _ => return None,
            },
            ExprKind::Index { object, key } => match (self.ast[object].kind, self.ast[key].kind) {
                (ExprKind::Upval(upval), ExprKind::Str(name)) => (upval, name),
                _ => return None,
            },
            _ => return None,
        };
        Some((upval, u16::try_from(self.constant(ConstKey::Str(name))).ok()?))
    }

    /// A chain of indices and calls, walked in a loop. Gives the register of the (first) result.
    pub fn suffixed(&mut self, expr: ExprId, last: Last) -> Fallible<u8> {
        let (free, mark) = (self.free, self.spine.len());
        let mut node = expr;
        loop {
            match self.ast[node].kind {
                ExprKind::Field { object, .. } | ExprKind::Index { object, .. } | ExprKind::Method { object, .. } => {
                    self.push_spine(node)?;
                    node = object;
                }
                ExprKind::Call { callee, .. } => {
                    self.push_spine(node)?;
                    node = callee;
                }
                _ => break,
            }
        }
        let mut object = Operand::Expr(node);
        while let Some(node) = self.spine.pop() {
            let is_last = self.spine.len() == mark;
            let last = if is_last { last } else { Last::Value(Dst::Next) };
            let Expr { kind, line } = self.ast[node];
            let result = match kind {
                ExprKind::Field { .. } | ExprKind::Index { .. } => {
                    self.shared.at = node;
                    let dst = if let Last::Value(dst) = last { dst } else { Dst::Next };
                    self.index(object, node, dst, free)?
                }
                ExprKind::Call { args, .. } => {
                    // A callee that is not yet in the next register is put there.
                    let base = match object {
                        Operand::Register(register) => register,
                        Operand::Expr(callee) => self.next(callee)?,
                    };
                    self.call(base, args, last, line)?
                }
                ExprKind::Method { name, .. } => self.lookup_method(object, name, node, free)?,
                _ => break,
            };
            if is_last {
                return Ok(result);
            }
            object = Operand::Register(result);
        }
        // Not reached: a chain has at least one part.
        self.operand(object)
    }

    /// An index. What is in a register already is its object.
    pub fn index(&mut self, object: Operand, index: ExprId, dst: Dst, free: usize) -> Fallible<u8> {
        let line = self.ast[index].line;
        let object = match object {
            Operand::Register(register) => register,
            Operand::Expr(_) => match self.upval_field(index) {
                Some((upval, field)) => {
                    let register = self.place(dst)?;
                    self.line = line;
                    self.with_aux(Op::GetTabUp, register, upval, 0, field as u32);
                    return Ok(register);
                }
                None => self.object(index)?,
            },
        };
        let key = self.key(index)?;
        self.free = free;
        let register = self.place(dst)?;
        self.line = line;
        match key {
            Key::Field(field) => self.with_aux(Op::GetField, register, object, 0, field as u32),
            Key::Small(index) => self.abc(Op::GetIndex, register, object, index),
            Key::Register(key) => self.abc(Op::GetTable, register, object, key),
        }
        Ok(register)
    }

    /// Puts method and object into the next two registers, the base of a call.
    fn lookup_method(&mut self, object: Operand, name: StrId, node: ExprId, free: usize) -> Fallible<u8> {
        let object = self.operand(object)?;
        self.shared.at = node;
        let line = self.ast[node].line;
        match self.name(name, node, line)? {
            Key::Field(field) => {
                self.free = free;
                let base = self.reserve(2)?;
                self.line = line;
                self.with_aux(Op::SelfField, base, object, 0, field as u32);
                Ok(base)
            }
            // The name has been loaded into a register. It must not lie where the object will be copied to.
            _ => {
                self.free = free;
                let base = self.reserve(2)?;
                self.line = line;
                if object != base {
                    self.abc(Op::Move, base, object, 0);
                }
                self.abc(Op::Move, base + 1, base, 0);
                let name = self.load_key(Dst::Next, line, ConstKey::Str(name))?;
                self.line = line;
                self.abc(Op::SelfReg, base, base, name);
                self.free = base as usize + 2;
                Ok(base)
            }
        }
    }

    /// Calls what is in `base`; registers in use end with it, or with the object of a method call.
    fn call(&mut self, base: u8, args: List, last: Last, line: u32) -> Fallible<u8> {
        let open = self.arguments(args)?;
        let count = if open { 0 } else { self.free - base as usize };
        self.line = line;
        self.free = base as usize;
        match last {
            Last::Call(Results::Tail) => self.abc(Op::TailCall, base, count as u8, 0),
            Last::Call(Results::Open) => self.abc(Op::Call, base, count as u8, 0),
            Last::Call(Results::Count(results)) => {
                self.reserve(results)?;
                self.abc(Op::Call, base, count as u8, results as u8 + 1);
            }
            Last::Value(dst) => {
                self.reserve(1)?;
                self.abc(Op::Call, base, count as u8, 2);
                return Ok(self.moved(base, dst));
            }
        }
        Ok(base)
    }
}
