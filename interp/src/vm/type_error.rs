//! Errors about operands: values that an instruction cannot work with, named by where they come from.
//!
//! The culprit is a value; its register is found among the operands of the instruction in progress. A value that stands in none of them
//! (it was found in a metatable) stays without a name, as in the reference.

use super::debuginfo::Name;
use super::{Arith, Throw, Vm, shown};
use crate::value::{Gc, ProtoCell, Value};

impl Vm {
    /// The prototype and the instruction of the innermost frame, if a Lua function runs.
    fn instruction_in_progress(&self) -> Option<(Gc<ProtoCell>, usize)> {
        let f = *self.frame_at(self.frame_count.checked_sub(1)?);
        if !f.is_lua() {
            return None;
        }
        let proto = f.closure().proto;
        // M2.
        Some((proto, proto.pc_index(f.pc).saturating_sub(1)))
    }

    /// ` (local 'x')` and the like, or nothing: the operand that is the culprit.
    fn variable_info(&self, culprit: Value) -> Vec<u8> {
        let Some((proto, pc)) = self.instruction_in_progress() else { return Vec::new() };
        let f = *self.frame();
        if let Some(index) = proto.indexed_upvalue(pc)
            && is_same(f.closure().upval(index).get(), culprit)
        {
            return info(Some(Name::new("upvalue", proto.upvalue_name(index))));
        }
        let register = proto.operands(pc).find(|&r| is_same(self.slot(f.base as usize + r), culprit));
        info(register.and_then(|r| proto.register_name(pc, r)))
    }

    /// The same for a stack slot.
    fn slot_info(&self, slot: usize) -> Vec<u8> {
        let Some((proto, pc)) = self.instruction_in_progress() else { return Vec::new() };
        let register = slot.checked_sub(self.frame().base as usize);
        info(register.and_then(|r| proto.register_name(pc, r)))
    }

    fn type_complaint(&mut self, what: &str, culprit: Value, info: &[u8]) -> Throw {
        let mut text = format!("attempt to {what} a ").into_bytes();
        text.extend_from_slice(&self.type_name_of(culprit));
        text.extend_from_slice(b" value");
        text.extend_from_slice(info);
        self.runtime_error(&text)
    }

    /// `attempt to <what> a <type> value (<variable>)`
    #[cold]
    pub(crate) fn operand_error(&mut self, what: &str, culprit: Value) -> Throw {
        let info = self.variable_info(culprit);
        self.type_complaint(what, culprit, &info)
    }

    /// The value in slot `func` cannot be called; it is named by the instruction that calls it.
    #[cold]
    pub(crate) fn call_error(&mut self, f: Value, func: usize) -> Throw {
        let info = match self.instruction_in_progress() {
            Some((proto, pc)) => match proto.called_name(pc) {
                Some(name) => info(Some(name)),
                None => self.slot_info(func),
            },
            None => Vec::new(),
        };
        self.type_complaint("call", f, &info)
    }

    #[cold]
    pub(crate) fn index_error(&mut self, object: Value) -> Throw {
        self.operand_error("index", object)
    }

    /// The values in two neighbouring slots cannot be concatenated.
    #[cold]
    pub(crate) fn concat_error(&mut self, slot: usize) -> Throw {
        let first = self.slot(slot);
        let culprit = if first.is_str() || first.is_number() { slot + 1 } else { slot };
        let info = self.slot_info(culprit);
        self.type_complaint("concatenate", self.slot(culprit), &info)
    }

    /// Operands that arithmetic cannot work with, or not all of them with integers.
    #[cold]
    pub(crate) fn arith_error(&mut self, op: Arith, x: Value, y: Value) -> Throw {
        let culprit = if x.is_number() { y } else { x };
        if op.is_bitwise() {
            return self.operand_error("perform bitwise operation on", culprit);
        }
        self.operand_error("perform arithmetic on", culprit)
    }

    #[cold]
    pub(crate) fn order_error(&mut self, x: Value, y: Value) -> Throw {
        let (a, b) = (self.type_name_of(x), self.type_name_of(y));
        let mut text = b"attempt to compare ".to_vec();
        if a == b {
            text.extend_from_slice(b"two ");
            text.extend_from_slice(&a);
            text.extend_from_slice(b" values");
        } else {
            text.extend_from_slice(&a);
            text.extend_from_slice(b" with ");
            text.extend_from_slice(&b);
        }
        self.runtime_error(&text)
    }

    /// A float operand of a bitwise operation is no integer.
    #[cold]
    pub(crate) fn representation_error(&mut self, culprit: Value) -> Throw {
        let mut text = b"number".to_vec();
        text.extend_from_slice(&self.variable_info(culprit));
        text.extend_from_slice(b" has no integer representation");
        self.runtime_error(&text)
    }

    /// A value that a numeric loop cannot count with.
    #[cold]
    pub(crate) fn for_error(&mut self, what: &str, v: Value) -> Throw {
        let mut text = format!("bad 'for' {what} (number expected, got ").into_bytes();
        text.extend_from_slice(&self.type_name_of(v));
        text.push(b')');
        self.runtime_error(&text)
    }

    /// The variable in a slot was declared `<close>`, but its value cannot be closed.
    #[cold]
    pub(crate) fn unclosable_error(&mut self, slot: usize) -> Throw {
        let mut text = b"variable '".to_vec();
        let name = self.instruction_in_progress().and_then(|(proto, pc)| {
            let register = slot.checked_sub(self.frame().base as usize)?;
            proto.local_at(register, pc).map(<[u8]>::to_vec)
        });
        text.extend_from_slice(name.as_deref().unwrap_or(b"?"));
        text.extend_from_slice(b"' got a non-closable value");
        self.runtime_error(&text)
    }
}

/// The very same value, bit by bit.
fn is_same(a: Value, b: Value) -> bool {
    a.tag() == b.tag() && a.bits() == b.bits()
}

fn info(name: Option<Name>) -> Vec<u8> {
    match name {
        // Messages are made by C's rules: a name ends at a zero byte.
        Some(Name { what, name }) => {
            let name = shown(name);
            [b" (", what.as_bytes(), b" '", name.split(|&b| b == 0).next().unwrap_or(name), b"')"].concat()
        }
        None => Vec::new(),
    }
}
