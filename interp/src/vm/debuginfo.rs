//! Names from code: which variable, constant or field a register holds, and as what a function was called.
//!
//! The code is executed symbolically: what was the last instruction that set a register, and what does it say about its value? The
//! answers are those of the reference implementation, for the same source.
//!
//! * **D1** An instruction behind a forward jump that ends before the place in question may not have been executed: what it sets has no name.
//!
//! Imports `bytecode` and `value` only.

use super::Event;
use crate::bytecode::{Instr, Layout, Op, Role};
use crate::value::ProtoCell;

/// What something is and is called: `local 'x'`, `method 'm'`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Name<'p> {
    pub what: &'static str,
    pub name: &'p [u8],
}

impl<'p> Name<'p> {
    pub(super) fn new(what: &'static str, name: &'p [u8]) -> Name<'p> {
        Name { what, name }
    }

    fn is_variable(self) -> bool {
        self.what == "local" || self.what == "upvalue"
    }
}

/// What stands for a name that is not known.
const UNKNOWN: &[u8] = b"?";
const ENV: &[u8] = b"_ENV";

impl ProtoCell {
    fn instr(&self, pc: usize) -> Option<Instr> {
        self.words().get(pc).map(|word| Instr(word.get()))
    }

    /// Whether an instruction still belongs to the entry of the function: the parameters are put in place. It is on no line.
    pub(super) fn is_entry(&self, pc: usize) -> bool {
        (0..=pc).all(|at| self.instr(at).is_some_and(|i| matches!(i.op(), Op::VarArgPrep | Op::NewBox)))
    }

    /// The word after an instruction.
    fn aux(&self, pc: usize) -> usize {
        self.words().get(pc + 1).map_or(0, |word| word.get()) as usize
    }

    /// The name of the local variable that a register holds at an instruction.
    pub(super) fn local_at(&self, register: usize, pc: usize) -> Option<&[u8]> {
        let locals = self.locals().iter();
        let mut active = locals.filter(|v| v.start_pc as usize <= pc && pc < v.end_pc as usize);
        active.find(|v| v.register as usize == register).map(|v| self.local_name(v))
    }

    pub(super) fn upvalue_name(&self, index: usize) -> &[u8] {
        self.upval_name(index).unwrap_or(UNKNOWN)
    }

    fn constant_name(&self, index: usize) -> Option<&[u8]> {
        self.consts().get(index).and_then(|k| k.as_str()).map(|s| s.bytes())
    }

    /// The name of a field: the key of an instruction with an aux word.
    fn field_name(&self, pc: usize) -> &[u8] {
        self.constant_name(self.aux(pc) & 0xFFFF).unwrap_or(UNKNOWN)
    }

    /// The instruction before `pc` that has set a register, if that is certain (D1).
    fn setter(&self, pc: usize, register: usize) -> Option<usize> {
        let (mut at, mut found, mut conditional_before) = (0, None, 0);
        while at < pc {
            let i = self.instr(at)?;
            let (op, a) = (i.op(), i.a() as usize);
            if op == Op::Jmp {
                let target = (at as i64 + 1 + i.get_sj() as i64).max(0) as usize;
                if target <= pc {
                    conditional_before = conditional_before.max(target);
                }
            }
            let operand = matches!(op.layout(), Layout::Abc([Role::Write, ..]) | Layout::ABx(Role::Write, _));
            // A row that goes up to the top sets whatever is there; so does a call, with its frame.
            let row = i.writes().is_some_and(|row| register >= row.from && row.count.is_none_or(|_| register < row.end()));
            let frame = i.calls().is_some_and(|base| register >= base);
            let sets = operand && register == a || row || frame;
            if sets {
                found = (at >= conditional_before).then_some(at);
            }
            at += op.words();
        }
        found
    }

    /// Where the value of a register comes from: a variable or a constant, or else the instruction that made it.
    fn origin(&self, mut pc: usize, mut register: usize) -> Result<Name<'_>, Option<usize>> {
        loop {
            if let Some(name) = self.local_at(register, pc) {
                return Ok(Name::new("local", name));
            }
            pc = self.setter(pc, register).ok_or(None)?;
            let Some(i) = self.instr(pc) else { return Err(None) };
            let constant = match i.op() {
                // Registers fall, so this ends.
                Op::Move | Op::GetBox if (i.b() as usize) < register && i.b() < i.a() => {
                    register = i.b() as usize;
                    continue;
                }
                Op::GetUpval => return Ok(Name::new("upvalue", self.upvalue_name(i.b() as usize))),
                Op::LoadK => self.constant_name(i.bx() as usize),
                Op::LoadKX => self.constant_name(self.aux(pc)),
                _ => None,
            };
            return constant.map(|name| Name::new("constant", name)).ok_or(Some(pc));
        }
    }

    /// The name of a key in a register: only a constant has one.
    fn key_name(&self, pc: usize, register: usize) -> &[u8] {
        match self.origin(pc, register) {
            Ok(Name { what: "constant", name }) => name,
            _ => UNKNOWN,
        }
    }

    /// A field of the table in a register: a global, if that is `_ENV`.
    fn field_kind(&self, pc: usize, table: usize) -> &'static str {
        match self.origin(pc, table) {
            Ok(of) if of.is_variable() && of.name == ENV => "global",
            _ => "field",
        }
    }

    /// What a register holds at an instruction.
    pub(super) fn register_name(&self, pc: usize, register: usize) -> Option<Name<'_>> {
        let pc = match self.origin(pc, register) {
            Ok(name) => return Some(name),
            Err(pc) => pc?,
        };
        let i = self.instr(pc)?;
        let (b, c) = (i.b() as usize, i.c() as usize);
        // The object copied by a method call is no result of it.
        let is_result = register == i.a() as usize;
        Some(match i.op() {
            Op::GetTabUp => {
                let kind = if self.upvalue_name(b) == ENV { "global" } else { "field" };
                Name::new(kind, self.field_name(pc))
            }
            Op::GetField => Name::new(self.field_kind(pc, b), self.field_name(pc)),
            Op::GetTable => Name::new(self.field_kind(pc, b), self.key_name(pc, c)),
            Op::GetIndex => Name::new("field", b"integer index"),
            Op::SelfField if is_result => Name::new("method", self.field_name(pc)),
            Op::SelfReg if is_result => Name::new("method", self.key_name(pc, c)),
            _ => return None,
        })
    }

    /// The name of the function that an instruction calls, itself or as a metamethod.
    pub(super) fn called_name(&self, pc: usize) -> Option<Name<'_>> {
        let i = self.instr(pc)?;
        let event = match i.op() {
            Op::Call | Op::TailCall => return self.register_name(pc, i.a() as usize),
            Op::TForCall => return Some(Name::new("for iterator", b"for iterator")),
            Op::GetTabUp | Op::GetTable | Op::GetIndex | Op::GetField | Op::SelfField | Op::SelfReg => Event::Index,
            Op::SetTabUp | Op::SetTable | Op::SetTableK | Op::SetIndex | Op::SetIndexK | Op::SetField | Op::SetFieldK => {
                Event::NewIndex
            }
            Op::Len => Event::Len,
            Op::Concat => Event::Concat,
            Op::Eq => Event::Eq,
            Op::Lt | Op::LtI | Op::GtI => Event::Lt,
            Op::Le | Op::LeI | Op::GeI => Event::Le,
            Op::Close | Op::Return => Event::Close,
            op => op.arith()?.event(),
        };
        Some(Name::new("metamethod", &event.name().as_bytes()[2..]))
    }

    /// The registers that the instruction may find fault with, in the order of its operands.
    pub(super) fn operands(&self, pc: usize) -> impl Iterator<Item = usize> {
        let (mut first, mut second) = (None, None);
        if let Some(i) = self.instr(pc) {
            match (i.op(), i.op().layout()) {
                // Tables and the objects of assignments.
                (Op::SetTable | Op::SetTableK | Op::SetIndex | Op::SetIndexK | Op::SetField | Op::SetFieldK, _) => {
                    first = Some(i.a())
                }
                (Op::GetTable | Op::SelfReg, _) => first = Some(i.b()),
                (_, Layout::Abc([Role::Write, Role::Read, last])) => {
                    first = Some(i.b());
                    second = (last == Role::Read).then_some(i.c());
                }
                _ => {}
            }
        }
        first.into_iter().chain(second).map(usize::from)
    }

    /// The upvalue that an instruction indexes.
    pub(super) fn indexed_upvalue(&self, pc: usize) -> Option<usize> {
        let i = self.instr(pc)?;
        matches!(i.op(), Op::GetTabUp | Op::SetTabUp).then_some(i.b() as usize)
    }
}
