//! The instruction set: one table for the names, the operands and the meaning. What the table says of operands and effects is all that the
//! verifier, the disassembler, the names in messages (`vm/debuginfo.rs`), the compiler's assertions and the check of running code in debug
//! builds (`vm/shadow.rs`) know of an instruction.
//!
//! An instruction is 32 bits: the opcode in the low byte, then `A`, `B`, `C` of 8 bits each; or `A` and `Bx` (16 bits,
//! unsigned; `sBx` with sign); or `sJ` (24 bits with sign). Some opcodes are followed by one more word (`aux`).
//!
//! Notation: `R[x]` register, `K[x]` constant, `U[x]` upvalue box of the running closure, `sB` / `sC` the operand as
//! a signed byte. "skip" passes over the next instruction, which after a test is always a `Jmp`.
//!
//! * **B1** Registers are allocated like a stack, and at every instruction that may be a safepoint (`Loop`, `ForLoop`,
//!   `TForCall`, calls, `NewTable`, `Closure`, `Concat`, and every operation that may call a metamethod) each register below the live top has been
//!   written since the function was entered. The collector scans by this rule; nothing is cleared on entry.
//! * **B2** A local variable that a closure captures lives in a box from its declaration: its register holds the box, and is
//!   read and written by `GetBox` and `SetBox` only. There are no open upvalues.
//! * **B3** A backward jump is a `Loop`, `LoopX`, `ForLoop` or `TForLoop`: each polls for the collector and for interrupts, when it has jumped, and
//!   empties the registers above the live top.
//! * **B4** A field access by constant (`GetField`, `SetField`, `GetTabUp`, `SetTabUp`, `SelfField`) has an aux word: constant index in
//!   the low 16 bits; the high 16 bits are the interpreter's slot hint, 0 when compiled. Constants beyond 65535 go through a register.

use super::layout::{Aux, Closing, Count, Declaration, Flow, Keep, Layout, Numeric, Role, Wide, abc, abx, of};
use crate::syntax::Arith;
use Role::{Const, Number, Plain, Read, Signed, Unused, Upval, Write};

macro_rules! opcodes {
    ($($(#[$doc:meta])* $name:ident = $declaration:expr),* $(,)?) => {
        /// An operation code.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u8)]
        pub enum Op { $($(#[$doc])* $name),* }

        impl Op {
            /// Every opcode in order of its number.
            pub const ALL: &'static [Op] = &[$(Op::$name),*];
            /// The name as the disassembler prints it.
            pub const fn name(self) -> &'static str {
                match self { $(Op::$name => stringify!($name)),* }
            }
            /// What it is made of and does.
            #[inline]
            pub const fn declaration(self) -> &'static Declaration {
                const TABLE: &[Declaration] = &[$($declaration),*];
                &TABLE[self as usize]
            }
        }
    };
}

opcodes! {
    /// `R[A] = R[B]`
    Move = abc(Write, Read, Unused),
    /// `R[A] = sBx` (integer)
    LoadI = abx(Write, Wide::Signed),
    /// `R[A] = sBx` (float)
    LoadF = abx(Write, Wide::Signed),
    /// `R[A] = K[Bx]`
    LoadK = abx(Write, Wide::Const),
    /// `R[A] = K[aux]`
    LoadKX = abc(Write, Unused, Unused).aux(Aux::Const),
    /// `R[A], ..., R[A+B] = nil`
    LoadNil = abc(Write, Plain, Unused).writes(0, Count::B(1)),
    /// `R[A] = true`
    LoadTrue = abc(Write, Unused, Unused),
    /// `R[A] = false`
    LoadFalse = abc(Write, Unused, Unused),
    /// `R[A] = false; skip`
    LFalseSkip = abc(Write, Unused, Unused).flow(Flow::Skip),
    /// `R[A] = U[B].value`
    GetUpval = abc(Write, Upval, Unused),
    /// `U[B].value = R[A]`
    SetUpval = abc(Read, Upval, Unused),
    /// `R[A] = new box holding R[A]`
    NewBox = abc(Role::ToBox, Unused, Unused),
    /// `R[A] = box R[B].value`
    GetBox = abc(Write, Role::Box, Unused),
    /// `box R[A].value = R[B]`
    SetBox = abc(Role::Box, Read, Unused),
    /// `R[A] = U[B].value[K[aux]]`
    GetTabUp = abc(Write, Upval, Unused).aux(Aux::Field),
    /// `U[B].value[K[aux]] = R[A]`
    SetTabUp = abc(Read, Upval, Unused).aux(Aux::Field),
    /// `R[A] = R[B][R[C]]`
    GetTable = abc(Write, Read, Read),
    /// `R[A] = R[B][C]` (integer key 0..=255)
    GetIndex = abc(Write, Read, Plain),
    /// `R[A] = R[B][K[aux]]`
    GetField = abc(Write, Read, Unused).aux(Aux::Field),
    /// `R[A][R[B]] = R[C]`
    SetTable = abc(Read, Read, Read),
    /// `R[A][R[B]] = K[C]`
    SetTableK = abc(Read, Read, Const),
    /// `R[A][B] = R[C]` (integer key 0..=255)
    SetIndex = abc(Read, Plain, Read),
    /// `R[A][B] = K[C]` (integer key 0..=255)
    SetIndexK = abc(Read, Plain, Const),
    /// `R[A][K[aux]] = R[C]`
    SetField = abc(Read, Unused, Read).aux(Aux::Field),
    /// `R[A][K[aux]] = K[C]`
    SetFieldK = abc(Read, Unused, Const).aux(Aux::Field),
    /// `R[A] = {}`; hash size hint `B` (0: none, else 2^(B-1)), array size hint aux
    NewTable = abc(Write, Role::Size, Unused).aux(Aux::Count).keeps(Keep::Below(0)),
    /// `R[A+1] = R[B]; R[A] = R[B][K[aux]]`
    SelfField = abc(Write, Read, Unused).aux(Aux::Field).writes(0, Count::Fixed(2)),
    /// `R[A+1] = R[B]; R[A] = R[B][R[C]]` (method names beyond the range of an aux word)
    SelfReg = abc(Write, Read, Read).writes(0, Count::Fixed(2)),
    /// `R[A] = R[B] + sC`
    AddI = abc(Write, Read, Signed),
    /// `R[A] = R[B] + K[C]`; here and below `K[C]` is a number
    AddK = abc(Write, Read, Number),
    /// `R[A] = R[B] - K[C]`
    SubK = abc(Write, Read, Number),
    /// `R[A] = R[B] * K[C]`
    MulK = abc(Write, Read, Number),
    /// `R[A] = R[B] % K[C]`
    ModK = abc(Write, Read, Number),
    /// `R[A] = R[B] ^ K[C]`
    PowK = abc(Write, Read, Number),
    /// `R[A] = R[B] / K[C]`
    DivK = abc(Write, Read, Number),
    /// `R[A] = R[B] // K[C]`
    IDivK = abc(Write, Read, Number),
    /// `R[A] = R[B] & K[C]`
    BAndK = abc(Write, Read, Number),
    /// `R[A] = R[B] | K[C]`
    BOrK = abc(Write, Read, Number),
    /// `R[A] = R[B] ~ K[C]`
    BXorK = abc(Write, Read, Number),
    /// `R[A] = R[B] << K[C]`
    ShlK = abc(Write, Read, Number),
    /// `R[A] = R[B] >> K[C]`
    ShrK = abc(Write, Read, Number),
    /// `R[A] = R[B] + R[C]`
    Add = abc(Write, Read, Read),
    /// `R[A] = R[B] - R[C]`
    Sub = abc(Write, Read, Read),
    /// `R[A] = R[B] * R[C]`
    Mul = abc(Write, Read, Read),
    /// `R[A] = R[B] % R[C]`
    Mod = abc(Write, Read, Read),
    /// `R[A] = R[B] ^ R[C]`
    Pow = abc(Write, Read, Read),
    /// `R[A] = R[B] / R[C]`
    Div = abc(Write, Read, Read),
    /// `R[A] = R[B] // R[C]`
    IDiv = abc(Write, Read, Read),
    /// `R[A] = R[B] & R[C]`
    BAnd = abc(Write, Read, Read),
    /// `R[A] = R[B] | R[C]`
    BOr = abc(Write, Read, Read),
    /// `R[A] = R[B] ~ R[C]`
    BXor = abc(Write, Read, Read),
    /// `R[A] = R[B] << R[C]`
    Shl = abc(Write, Read, Read),
    /// `R[A] = R[B] >> R[C]`
    Shr = abc(Write, Read, Read),
    /// `R[A] = -R[B]`
    Unm = abc(Write, Read, Unused),
    /// `R[A] = ~R[B]`
    BNot = abc(Write, Read, Unused),
    /// `R[A] = not R[B]`
    Not = abc(Write, Read, Unused),
    /// `R[A] = #R[B]`
    Len = abc(Write, Read, Unused),
    /// `R[A] = R[A] .. ... .. R[A+B-1]`, B >= 2
    Concat = abc(Write, Role::Count(2), Unused).reads(0, Count::B(0)).keeps(Keep::Below(0)),
    /// close every pending to-be-closed variable in registers >= A
    Close = abc(Plain, Unused, Unused).closing(Closing::Closes),
    /// mark `R[A]` as to be closed (error unless nil, false or with `__close`)
    Tbc = abc(Role::Either, Unused, Unused).closing(Closing::Marks(0)),
    /// `pc += sJ`, forward
    Jmp = of(Layout::Jump).flow(Flow::Jump),
    /// backward jump with a poll: `pc -= Bx`; live top is `A` (registers `0..A` are live)
    Loop = abx(Plain, Wide::Back).keeps(Keep::Below(0)).flow(Flow::Jump),
    /// the same by `aux` words, when the distance does not fit
    LoopX = abc(Plain, Unused, Unused).aux(Aux::Back).keeps(Keep::Below(0)).flow(Flow::Jump),
    /// `if (R[A] == R[B]) != (C != 0) then skip`
    Eq = abc(Read, Read, Plain).test(),
    /// `if (R[A] < R[B]) != (C != 0) then skip`
    Lt = abc(Read, Read, Plain).test(),
    /// `if (R[A] <= R[B]) != (C != 0) then skip`
    Le = abc(Read, Read, Plain).test(),
    /// `if (R[A] == K[B]) != (C != 0) then skip` (raw: the constant is no table)
    EqK = abc(Read, Const, Plain).test(),
    /// `if (R[A] == sB) != (C != 0) then skip`
    EqI = abc(Read, Signed, Plain).test(),
    /// `if (R[A] < sB) != (C != 0) then skip`
    LtI = abc(Read, Signed, Plain).test(),
    /// `if (R[A] <= sB) != (C != 0) then skip`
    LeI = abc(Read, Signed, Plain).test(),
    /// `if (R[A] > sB) != (C != 0) then skip`
    GtI = abc(Read, Signed, Plain).test(),
    /// `if (R[A] >= sB) != (C != 0) then skip`
    GeI = abc(Read, Signed, Plain).test(),
    /// `if truthy(R[A]) != (C != 0) then skip`
    Test = abc(Read, Unused, Plain).test(),
    /// `if truthy(R[B]) != (C != 0) then skip else R[A] = R[B]`
    TestSet = abc(Write, Read, Plain).test(),
    /// `R[A], ..., R[A+C-2] = R[A](R[A+1], ..., R[A+B-1])`; B = 0: arguments up to the top; C = 0: all results, sets the top
    Call = abc(Read, Plain, Plain).reads(1, Count::OpenB(1)).keeps(Keep::Below(0)).writes(0, Count::OpenC(1)),
    /// `return R[A](R[A+1], ..., R[A+B-1])`; B = 0: arguments up to the top. A `Return A 0` follows, for native functions
    TailCall = abc(Read, Plain, Unused).reads(1, Count::OpenB(1)).keeps(Keep::Below(0)).writes(0, Count::Open).closing(Closing::Ended).then(Op::Return),
    /// `return R[A], ..., R[A+B-2]`; B = 0: up to the top; C = 1: pending to-be-closed variables may exist
    Return = abc(Plain, Plain, Plain).reads(0, Count::OpenB(1)).closing(Closing::EndedUnlessC).flow(Flow::End),
    /// `return`
    Return0 = abc(Unused, Unused, Unused).closing(Closing::Ended).flow(Flow::End),
    /// `return R[A]`
    Return1 = abc(Read, Unused, Unused).closing(Closing::Ended).flow(Flow::End),
    /// prepare a numeric loop over `R[A]` (initial), `R[A+1]` (limit), `R[A+2]` (step); the visible variable is `R[A+3]`.
    /// If the loop does not run, `pc += Bx + 1`, which passes over its `ForLoop`
    ForPrep = abx(Read, Wide::ForwardPast).reads(0, Count::Fixed(3)).numeric(Numeric::Makes).writes(3, Count::Fixed(1)).flow(Flow::Enter),
    /// step; if the loop goes on, `R[A+3] = index; pc -= Bx` (to the instruction after `ForPrep`). Polls; live top is `A+4`
    ForLoop = abx(Read, Wide::Back).numeric(Numeric::Needs).writes(3, Count::Fixed(1)).keeps(Keep::Below(4)).flow(Flow::Repeat),
    /// mark `R[A+3]` as to be closed, if it is not nil; `pc += Bx` (to the `TForCall`)
    TForPrep = abx(Read, Wide::Forward).reads(0, Count::Fixed(4)).closing(Closing::Marks(3)).flow(Flow::Jump),
    /// `R[A+4], ..., R[A+3+C] = R[A](R[A+1], R[A+2])`
    TForCall = abc(Read, Unused, Role::Count(1)).reads(0, Count::Fixed(4)).keeps(Keep::Below(4)).writes(4, Count::C).room(7).then(Op::TForLoop),
    /// right after `TForCall`: `if R[A+4] ~= nil then R[A+2] = R[A+4]; pc -= Bx` (to the start of the body). Polls; live top is `A+4+C`
    TForLoop = abx(Read, Wide::Back).reads(4, Count::Fixed(1)).writes(2, Count::Fixed(1)).keeps(Keep::BelowVariables(4)).flow(Flow::Repeat).after(Op::TForCall),
    /// `R[A][aux+i] = R[A+i]` for `1 <= i <= B`; B = 0: up to the top
    SetList = abc(Read, Plain, Unused).aux(Aux::Count).reads(1, Count::OpenB(0)),
    /// `R[A] = closure of prototype Bx`
    Closure = abx(Write, Wide::Proto).keeps(Keep::Below(0)),
    /// `R[A], ..., R[A+C-2] = ...`; C = 0: all, sets the top
    VarArg = abc(Plain, Unused, Plain).writes(0, Count::OpenC(1)),
    /// first instruction of a vararg function; `A` is the number of its fixed parameters
    VarArgPrep = abc(Plain, Unused, Unused),
    /// `R[A] = closure of prototype aux`
    ClosureX = abc(Write, Unused, Unused).aux(Aux::Proto).keeps(Keep::Below(0)),
}

/// The instructions of arithmetic: those with a constant as their last operand, those of the operator's own name with registers only.
macro_rules! arithmetic {
    ($($constant:ident $name:ident),*; $($unary:ident),*) => {
        impl Op {
            /// The instruction that applies an operator to registers.
            pub const fn of(arith: Arith) -> Op {
                match arith { $(Arith::$name => Op::$name,)* $(Arith::$unary => Op::$unary),* }
            }

            /// The instruction that applies it to a register and a constant.
            pub const fn with_constant(arith: Arith) -> Option<Op> {
                match arith { $(Arith::$name => Some(Op::$constant),)* $(Arith::$unary)|* => None }
            }

            /// The operator that an instruction applies.
            pub const fn arith(self) -> Option<Arith> {
                match self {
                    Op::AddI => Some(Arith::Add),
                    $(Op::$name | Op::$constant => Some(Arith::$name),)*
                    $(Op::$unary => Some(Arith::$unary),)*
                    _ => None,
                }
            }
        }
    };
}

arithmetic! {
    AddK Add, SubK Sub, MulK Mul, ModK Mod, PowK Pow, DivK Div, IDivK IDiv, BAndK BAnd, BOrK BOr, BXorK BXor, ShlK Shl, ShrK Shr;
    Unm, BNot
}

/// One instruction word.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct Instr(pub u32);

impl Instr {
    pub const MAX_BX: u32 = 0xFFFF;
    pub const MAX_SJ: i32 = (1 << 23) - 1;

    #[inline(always)]
    pub const fn abc(op: Op, a: u8, b: u8, c: u8) -> Instr {
        Instr(op as u32 | (a as u32) << 8 | (b as u32) << 16 | (c as u32) << 24)
    }
    #[inline(always)]
    pub const fn abx(op: Op, a: u8, bx: u16) -> Instr {
        Instr(op as u32 | (a as u32) << 8 | (bx as u32) << 16)
    }
    #[inline(always)]
    pub const fn asbx(op: Op, a: u8, sbx: i16) -> Instr {
        Instr::abx(op, a, sbx as u16)
    }
    /// A jump; `sj` must fit 24 bits with sign.
    #[inline(always)]
    pub const fn sj(op: Op, sj: i32) -> Instr {
        Instr(op as u32 | (sj as u32) << 8)
    }
    #[inline(always)]
    pub const fn op(self) -> Op {
        Op::ALL[(self.0 & 0xFF) as usize]
    }
    #[inline(always)]
    pub const fn a(self) -> u8 {
        (self.0 >> 8) as u8
    }
    #[inline(always)]
    pub const fn b(self) -> u8 {
        (self.0 >> 16) as u8
    }
    #[inline(always)]
    pub const fn c(self) -> u8 {
        (self.0 >> 24) as u8
    }
    #[inline(always)]
    pub const fn sb(self) -> i8 {
        self.b() as i8
    }
    #[inline(always)]
    pub const fn sc(self) -> i8 {
        self.c() as i8
    }
    #[inline(always)]
    pub const fn bx(self) -> u16 {
        (self.0 >> 16) as u16
    }
    #[inline(always)]
    pub const fn sbx(self) -> i16 {
        self.bx() as i16
    }
    #[inline(always)]
    pub const fn get_sj(self) -> i32 {
        self.0 as i32 >> 8
    }
}
