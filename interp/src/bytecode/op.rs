//! The instruction set: one table for the names, the operands and the meaning.
//!
//! An instruction is 32 bits: the opcode in the low byte, then `A`, `B`, `C` of 8 bits each; or `A` and `Bx` (16 bits,
//! unsigned; `sBx` with sign); or `sJ` (24 bits with sign). Some opcodes are followed by one more word (`aux`).
//!
//! Notation: `R[x]` register, `K[x]` constant, `U[x]` upvalue box of the running closure, `sB` / `sC` the operand as
//! a signed byte. "skip" passes over the next instruction, which after a test is always a `Jmp`.
//!
//! * **B1** Registers are allocated like a stack, and at every instruction that may be a safepoint (`Loop`, `ForLoop`,
//!   `TForCall`, calls, and every operation that may call a metamethod) each register below the live top has been
//!   written since the function was entered. The collector scans by this rule; nothing is cleared on entry.
//! * **B2** A local variable that a closure captures lives in a box from its declaration: its register holds the box, and is
//!   read and written by `GetBox` and `SetBox` only. There are no open upvalues.
//! * **B3** A backward jump passes a `Loop`, `ForLoop` or `TForLoop`: each polls for the collector and for interrupts.
//! * **B4** A field access by constant (`GetField`, `SetField`, `GetTabUp`, `SetTabUp`, `SelfField`) has an aux word: constant index in
//!   the low 16 bits; the high 16 bits are the interpreter's slot hint, 0 when compiled. Constants beyond 65535 go through a register.

use crate::syntax::Arith;

macro_rules! opcodes {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
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
        }
    };
}

opcodes! {
    /// `R[A] = R[B]`
    Move,
    /// `R[A] = sBx` (integer)
    LoadI,
    /// `R[A] = sBx` (float)
    LoadF,
    /// `R[A] = K[Bx]`
    LoadK,
    /// `R[A] = K[aux]`
    LoadKX,
    /// `R[A], ..., R[A+B] = nil`
    LoadNil,
    /// `R[A] = true`
    LoadTrue,
    /// `R[A] = false`
    LoadFalse,
    /// `R[A] = false; skip`
    LFalseSkip,
    /// `R[A] = U[B].value`
    GetUpval,
    /// `U[B].value = R[A]`
    SetUpval,
    /// `R[A] = new box holding R[A]`
    NewBox,
    /// `R[A] = box R[B].value`
    GetBox,
    /// `box R[A].value = R[B]`
    SetBox,
    /// `R[A] = U[B].value[K[aux]]`
    GetTabUp,
    /// `U[B].value[K[aux]] = R[A]`
    SetTabUp,
    /// `R[A] = R[B][R[C]]`
    GetTable,
    /// `R[A] = R[B][C]` (integer key 0..=255)
    GetIndex,
    /// `R[A] = R[B][K[aux]]`
    GetField,
    /// `R[A][R[B]] = R[C]`
    SetTable,
    /// `R[A][R[B]] = K[C]`
    SetTableK,
    /// `R[A][B] = R[C]` (integer key 0..=255)
    SetIndex,
    /// `R[A][B] = K[C]` (integer key 0..=255)
    SetIndexK,
    /// `R[A][K[aux]] = R[C]`
    SetField,
    /// `R[A][K[aux]] = K[C]`
    SetFieldK,
    /// `R[A] = {}`; hash size hint `B` (0: none, else 2^(B-1)), array size hint aux
    NewTable,
    /// `R[A+1] = R[B]; R[A] = R[B][K[aux]]`
    SelfField,
    /// `R[A+1] = R[B]; R[A] = R[B][R[C]]` (method names beyond the range of an aux word)
    SelfReg,
    /// `R[A] = R[B] + sC`
    AddI,
    /// `R[A] = R[B] + K[C]`; here and below `K[C]` is a number
    AddK,
    /// `R[A] = R[B] - K[C]`
    SubK,
    /// `R[A] = R[B] * K[C]`
    MulK,
    /// `R[A] = R[B] % K[C]`
    ModK,
    /// `R[A] = R[B] ^ K[C]`
    PowK,
    /// `R[A] = R[B] / K[C]`
    DivK,
    /// `R[A] = R[B] // K[C]`
    IDivK,
    /// `R[A] = R[B] & K[C]`
    BAndK,
    /// `R[A] = R[B] | K[C]`
    BOrK,
    /// `R[A] = R[B] ~ K[C]`
    BXorK,
    /// `R[A] = R[B] << K[C]`
    ShlK,
    /// `R[A] = R[B] >> K[C]`
    ShrK,
    /// `R[A] = R[B] + R[C]`
    Add,
    /// `R[A] = R[B] - R[C]`
    Sub,
    /// `R[A] = R[B] * R[C]`
    Mul,
    /// `R[A] = R[B] % R[C]`
    Mod,
    /// `R[A] = R[B] ^ R[C]`
    Pow,
    /// `R[A] = R[B] / R[C]`
    Div,
    /// `R[A] = R[B] // R[C]`
    IDiv,
    /// `R[A] = R[B] & R[C]`
    BAnd,
    /// `R[A] = R[B] | R[C]`
    BOr,
    /// `R[A] = R[B] ~ R[C]`
    BXor,
    /// `R[A] = R[B] << R[C]`
    Shl,
    /// `R[A] = R[B] >> R[C]`
    Shr,
    /// `R[A] = -R[B]`
    Unm,
    /// `R[A] = ~R[B]`
    BNot,
    /// `R[A] = not R[B]`
    Not,
    /// `R[A] = #R[B]`
    Len,
    /// `R[A] = R[A] .. ... .. R[A+B-1]`, B >= 2
    Concat,
    /// close every pending to-be-closed variable in registers >= A
    Close,
    /// mark `R[A]` as to be closed (error unless nil, false or with `__close`)
    Tbc,
    /// `pc += sJ`, forward
    Jmp,
    /// backward jump with a poll: `pc -= Bx`; live top is `A` (registers `0..A` are live). `Bx` = 0 only polls.
    Loop,
    /// backward `pc += sJ`; only right after a `Loop` with `Bx` = 0, when the distance does not fit its `Bx`
    JmpBack,
    /// `if (R[A] == R[B]) != (C != 0) then skip`
    Eq,
    /// `if (R[A] < R[B]) != (C != 0) then skip`
    Lt,
    /// `if (R[A] <= R[B]) != (C != 0) then skip`
    Le,
    /// `if (R[A] == K[B]) != (C != 0) then skip` (raw: the constant is no table)
    EqK,
    /// `if (R[A] == sB) != (C != 0) then skip`
    EqI,
    /// `if (R[A] < sB) != (C != 0) then skip`
    LtI,
    /// `if (R[A] <= sB) != (C != 0) then skip`
    LeI,
    /// `if (R[A] > sB) != (C != 0) then skip`
    GtI,
    /// `if (R[A] >= sB) != (C != 0) then skip`
    GeI,
    /// `if truthy(R[A]) != (C != 0) then skip`
    Test,
    /// `if truthy(R[B]) != (C != 0) then skip else R[A] = R[B]`
    TestSet,
    /// `R[A], ..., R[A+C-2] = R[A](R[A+1], ..., R[A+B-1])`; B = 0: arguments up to the top; C = 0: all results, sets the top
    Call,
    /// `return R[A](R[A+1], ..., R[A+B-1])`; B = 0: arguments up to the top. A `Return A 0` follows, for native functions
    TailCall,
    /// `return R[A], ..., R[A+B-2]`; B = 0: up to the top; C = 1: pending to-be-closed variables may exist
    Return,
    /// `return`
    Return0,
    /// `return R[A]`
    Return1,
    /// prepare a numeric loop over `R[A]` (initial), `R[A+1]` (limit), `R[A+2]` (step); the visible variable is `R[A+3]`.
    /// If the loop does not run, `pc += Bx + 1`, which passes over its `ForLoop`
    ForPrep,
    /// step; if the loop goes on, `R[A+3] = index; pc -= Bx` (to the instruction after `ForPrep`). Polls; live top is `A+4`
    ForLoop,
    /// mark `R[A+3]` as to be closed, if it is not nil; `pc += Bx` (to the `TForCall`)
    TForPrep,
    /// `R[A+4], ..., R[A+3+C] = R[A](R[A+1], R[A+2])`
    TForCall,
    /// right after `TForCall`: `if R[A+4] ~= nil then R[A+2] = R[A+4]; pc -= Bx` (to the start of the body). Polls; live top is `A+4+C`
    TForLoop,
    /// `R[A][aux+i] = R[A+i]` for `1 <= i <= B`; B = 0: up to the top
    SetList,
    /// `R[A] = closure of prototype Bx`
    Closure,
    /// `R[A], ..., R[A+C-2] = ...`; C = 0: all, sets the top
    VarArg,
    /// first instruction of a vararg function; `A` is the number of its fixed parameters
    VarArgPrep,
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
