//! What each operand of each instruction means: the one table that the disassembler and the verifier read.

use super::op::Op;

/// The meaning of an operand of 8 bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    Unused,
    /// A register that is written, holding a value after.
    Write,
    /// A register that is read.
    Read,
    /// A register that holds a box.
    Box,
    /// A constant.
    Const,
    /// A constant that is a number.
    Number,
    Upval,
    /// Any number from 0 to 255: a count, a key, a flag.
    Plain,
    /// An integer with sign.
    Signed,
}

/// The meaning of an operand of 16 bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wide {
    Signed,
    Const,
    Proto,
    /// Forward, this and one more.
    ForwardPast,
    Forward,
    Back,
}

/// The operands of an instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layout {
    Abc([Role; 3]),
    ABx(Role, Wide),
    Jump,
}

/// The meaning of the word after an instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Aux {
    None,
    /// A constant, by all 32 bits.
    Const,
    /// A constant that is a string, by the low 16 bits.
    Field,
    /// A number of items.
    Count,
}

impl Op {
    /// The opcode in the low byte of a word.
    pub fn decode(word: u32) -> Option<Op> {
        Op::ALL.get((word & 0xFF) as usize).copied()
    }

    pub fn aux(self) -> Aux {
        match self {
            Op::LoadKX => Aux::Const,
            Op::GetTabUp | Op::SetTabUp | Op::GetField | Op::SetField | Op::SetFieldK | Op::SelfField => Aux::Field,
            Op::NewTable | Op::SetList => Aux::Count,
            _ => Aux::None,
        }
    }

    /// Whether the instruction may pass over the next one, which must be a `Jmp`.
    pub fn is_test(self) -> bool {
        use Op::*;
        matches!(self, Eq | Lt | Le | EqK | EqI | LtI | LeI | GtI | GeI | Test | TestSet)
    }

    pub fn layout(self) -> Layout {
        use Role::{Const, Number, Plain, Read, Signed, Unused, Upval, Write};
        let roles = match self {
            Op::Move | Op::Unm | Op::BNot | Op::Not | Op::Len => [Write, Read, Unused],
            Op::LoadI | Op::LoadF => return Layout::ABx(Write, Wide::Signed),
            Op::LoadK => return Layout::ABx(Write, Wide::Const),
            Op::LoadKX | Op::LoadTrue | Op::LoadFalse | Op::LFalseSkip => [Write, Unused, Unused],
            Op::LoadNil => [Write, Plain, Unused],
            Op::GetUpval | Op::GetTabUp => [Write, Upval, Unused],
            Op::SetUpval | Op::SetTabUp => [Read, Upval, Unused],
            Op::NewBox => [Read, Unused, Unused],
            Op::GetBox => [Write, Role::Box, Unused],
            Op::SetBox => [Role::Box, Read, Unused],
            Op::GetTable => [Write, Read, Read],
            Op::GetIndex => [Write, Read, Plain],
            Op::GetField => [Write, Read, Unused],
            Op::SetTable => [Read, Read, Read],
            Op::SetTableK => [Read, Read, Const],
            Op::SetIndex => [Read, Plain, Read],
            Op::SetIndexK => [Read, Plain, Const],
            Op::SetField => [Read, Unused, Read],
            Op::SetFieldK => [Read, Unused, Const],
            Op::NewTable => [Write, Plain, Unused],
            Op::SelfField => [Write, Read, Unused],
            Op::SelfReg => [Write, Read, Read],
            Op::AddI => [Write, Read, Signed],
            Op::AddK
            | Op::SubK
            | Op::MulK
            | Op::ModK
            | Op::PowK
            | Op::DivK
            | Op::IDivK
            | Op::BAndK
            | Op::BOrK
            | Op::BXorK
            | Op::ShlK
            | Op::ShrK => [Write, Read, Number],
            Op::Add
            | Op::Sub
            | Op::Mul
            | Op::Mod
            | Op::Pow
            | Op::Div
            | Op::IDiv
            | Op::BAnd
            | Op::BOr
            | Op::BXor
            | Op::Shl
            | Op::Shr => [Write, Read, Read],
            Op::Concat => [Write, Plain, Unused],
            Op::Close => [Plain, Unused, Unused],
            Op::Tbc => [Plain, Unused, Unused],
            Op::Jmp | Op::JmpBack => return Layout::Jump,
            Op::Loop => return Layout::ABx(Plain, Wide::Back),
            Op::Eq | Op::Lt | Op::Le => [Read, Read, Plain],
            Op::EqK => [Read, Const, Plain],
            Op::EqI | Op::LtI | Op::LeI | Op::GtI | Op::GeI => [Read, Signed, Plain],
            Op::Test => [Read, Unused, Plain],
            Op::TestSet => [Write, Read, Plain],
            Op::Call => [Read, Plain, Plain],
            Op::TailCall => [Read, Plain, Unused],
            Op::Return => [Plain, Plain, Plain],
            Op::Return0 => [Unused, Unused, Unused],
            Op::Return1 => [Read, Unused, Unused],
            Op::ForPrep => return Layout::ABx(Read, Wide::ForwardPast),
            Op::ForLoop | Op::TForLoop => return Layout::ABx(Read, Wide::Back),
            Op::TForPrep => return Layout::ABx(Read, Wide::Forward),
            Op::TForCall => [Read, Unused, Plain],
            Op::SetList => [Read, Plain, Unused],
            Op::Closure => return Layout::ABx(Write, Wide::Proto),
            Op::VarArg => [Plain, Unused, Plain],
            Op::VarArgPrep => [Plain, Unused, Unused],
        };
        Layout::Abc(roles)
    }
}
