//! The words in which the table of instructions (`op`) says what an instruction is made of and what it does.
//!
//! An instruction has *operands*, each with a role, and *effects* on the registers and on control. What an effect says of a range of registers
//! it says by [`Span`]s: from a register near `A` on, as many as an operand counts.

use super::op::{Instr, Op};

/// The meaning of an operand of 8 bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    Unused,
    /// A register that is written, holding a value after.
    Write,
    /// A register that is read.
    Read,
    /// A register whose value is replaced by a box that holds it.
    ToBox,
    /// A register that holds a box.
    Box,
    /// A register that holds a value or a box.
    Either,
    /// A constant.
    Const,
    /// A constant that is a number.
    Number,
    Upval,
    /// Any number from 0 to 255: a count, a key, a flag.
    Plain,
    /// A number of registers, so many at least.
    Count(u8),
    /// A size, by the exponent of a power of two; 0 is none.
    Size,
    /// An integer with sign.
    Signed,
}

/// The largest exponent of a size, plus one.
pub const MAX_SIZE: u8 = 33;

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
    /// A function within this one.
    Proto,
    /// A distance back, from the aux word.
    Back,
}

/// How many registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Count {
    Fixed(u8),
    /// `B`, and so many more.
    B(u8),
    C,
    /// `B`, less so many; 0 is for all up to the top.
    OpenB(u8),
    /// The same with `C`.
    OpenC(u8),
    /// All up to the top.
    Open,
}

/// Registers in a row, the first of them so many above `A`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    pub from: u8,
    pub count: Count,
}

/// Up to which register the registers stay what they are: those from there on are given up, to the frame of a call or to the collector,
/// which empties them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keep {
    All,
    /// `A` and so many more.
    Below(u8),
    /// So, and the variables of the iterator call before this instruction on top.
    BelowVariables(u8),
}

/// Where control goes from an instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flow {
    Next,
    /// Past the word that follows.
    Skip,
    /// To the `Jmp` that follows, with the effects; or past it, without.
    Test,
    /// Only to the target.
    Jump,
    /// On with the effects, or to the target without.
    Enter,
    /// Back to the target with the effects, or on without.
    Repeat,
    /// Out of the function.
    End,
}

/// What becomes of the state of a numeric loop, in `R[A]`, `R[A+1]`, `R[A+2]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Numeric {
    No,
    Makes,
    Needs,
}

/// What an instruction has to do with variables that wait to be closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Closing {
    Nothing,
    /// From now on the one waits that is so many above `A`: the last of all.
    Marks(u8),
    /// Those from `A` on are closed.
    Closes,
    /// None may wait.
    Ended,
    /// None may wait, if `C` is 0.
    EndedUnlessC,
}

/// What stands in the table about an instruction.
#[derive(Clone, Copy, Debug)]
pub struct Declaration {
    pub layout: Layout,
    pub aux: Aux,
    pub flow: Flow,
    /// Registers that hold values which are read, beside the operands.
    pub reads: Option<Span>,
    /// Registers that hold values after.
    pub writes: Option<Span>,
    pub keeps: Keep,
    /// So many registers from `A` on may be used on the way.
    pub room: u8,
    pub numeric: Numeric,
    pub closing: Closing,
    /// What must follow; if that has a register `A`, it is the same.
    pub then: Option<Op>,
    /// What must stand before, and nothing else lead here.
    pub after: Option<Op>,
}

pub(super) const fn abc(a: Role, b: Role, c: Role) -> Declaration {
    of(Layout::Abc([a, b, c]))
}

pub(super) const fn abx(a: Role, wide: Wide) -> Declaration {
    of(Layout::ABx(a, wide))
}

pub(super) const fn of(layout: Layout) -> Declaration {
    Declaration {
        layout,
        aux: Aux::None,
        flow: Flow::Next,
        reads: None,
        writes: None,
        keeps: Keep::All,
        room: 0,
        numeric: Numeric::No,
        closing: Closing::Nothing,
        then: None,
        after: None,
    }
}

impl Declaration {
    pub(super) const fn aux(self, aux: Aux) -> Declaration {
        Declaration { aux, ..self }
    }
    pub(super) const fn flow(self, flow: Flow) -> Declaration {
        Declaration { flow, ..self }
    }
    pub(super) const fn reads(self, from: u8, count: Count) -> Declaration {
        Declaration { reads: Some(Span { from, count }), ..self }
    }
    pub(super) const fn writes(self, from: u8, count: Count) -> Declaration {
        Declaration { writes: Some(Span { from, count }), ..self }
    }
    pub(super) const fn keeps(self, keeps: Keep) -> Declaration {
        Declaration { keeps, ..self }
    }
    pub(super) const fn room(self, room: u8) -> Declaration {
        Declaration { room, ..self }
    }
    pub(super) const fn numeric(self, numeric: Numeric) -> Declaration {
        Declaration { numeric, ..self }
    }
    pub(super) const fn closing(self, closing: Closing) -> Declaration {
        Declaration { closing, ..self }
    }
    pub(super) const fn then(self, op: Op) -> Declaration {
        Declaration { then: Some(op), ..self }
    }
    pub(super) const fn after(self, op: Op) -> Declaration {
        Declaration { after: Some(op), ..self }
    }
    /// A comparison.
    pub(super) const fn test(self) -> Declaration {
        self.flow(Flow::Test).then(Op::Jmp)
    }
}

/// A span of an instruction at hand: the first register, and how many; `None`: up to the top.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Registers {
    pub from: usize,
    pub count: Option<usize>,
}

impl Registers {
    /// The end, of as many registers as are known.
    pub fn end(self) -> usize {
        self.from + self.count.unwrap_or(0)
    }
}

impl Op {
    /// The opcode in the low byte of a word.
    pub fn decode(word: u32) -> Option<Op> {
        Op::ALL.get((word & 0xFF) as usize).copied()
    }

    pub fn aux(self) -> Aux {
        self.declaration().aux
    }

    pub fn layout(self) -> Layout {
        self.declaration().layout
    }

    /// The words of the instruction.
    pub fn words(self) -> usize {
        1 + usize::from(self.aux() != Aux::None)
    }

    /// Whether `A` names a register.
    pub fn has_register(self) -> bool {
        self.layout() != Layout::Jump
    }
}

impl Instr {
    fn resolve(self, span: Span) -> Registers {
        let (b, c) = (self.b() as usize, self.c() as usize);
        let count = match span.count {
            Count::Fixed(count) => Some(count as usize),
            Count::B(more) => Some(b + more as usize),
            Count::C => Some(c),
            // Fewer than are taken off there are none of.
            Count::OpenB(less) => (b > 0).then(|| b.saturating_sub(less as usize)),
            Count::OpenC(less) => (c > 0).then(|| c.saturating_sub(less as usize)),
            Count::Open => None,
        };
        Registers { from: self.a() as usize + span.from as usize, count }
    }

    /// The row of registers that are read, beside the operands.
    pub fn reads(self) -> Option<Registers> {
        self.op().declaration().reads.map(|span| self.resolve(span))
    }

    /// The row of registers that are written.
    pub fn writes(self) -> Option<Registers> {
        self.op().declaration().writes.map(|span| self.resolve(span))
    }

    /// Where the registers that are given up begin. `before`: the instruction before this one. (A row that is written up to the top writes
    /// over whatever is there.)
    pub fn keeps(self, before: Option<Instr>) -> Option<usize> {
        let a = self.a() as usize;
        match self.op().declaration().keeps {
            Keep::All => self.writes().filter(|row| row.count.is_none()).map(|row| row.from),
            Keep::Below(more) => Some(a + more as usize),
            Keep::BelowVariables(more) => Some(a + more as usize + before.map_or(0, |call| call.c() as usize)),
        }
    }

    /// The function, among those within this one, that the instruction makes a closure of.
    pub fn function(self, aux: u32) -> Option<usize> {
        match (self.op().layout(), self.op().aux()) {
            (Layout::ABx(_, Wide::Proto), _) => Some(self.bx() as usize),
            (_, Aux::Proto) => Some(aux as usize),
            _ => None,
        }
    }

    /// Where a call puts its frame.
    pub fn calls(self) -> Option<usize> {
        matches!(self.op(), Op::Call | Op::TailCall | Op::TForCall).then(|| self.keeps(None)).flatten()
    }

    /// Where the instruction at `pc`, whose aux word is given, may jump to. In code that is not sound that may be anywhere.
    pub fn target(self, pc: usize, aux: u32) -> Option<usize> {
        let next = pc.wrapping_add(1);
        let distance = self.bx() as usize;
        match (self.op().layout(), self.op().aux()) {
            (Layout::ABx(_, Wide::ForwardPast), _) => Some(next.wrapping_add(distance + 1)),
            (Layout::ABx(_, Wide::Forward), _) => Some(next.wrapping_add(distance)),
            (Layout::ABx(_, Wide::Back), _) => Some(next.wrapping_sub(distance)),
            (Layout::Jump, _) => Some(next.wrapping_add_signed(self.get_sj() as isize)),
            (_, Aux::Back) => Some(next.wrapping_sub(aux as usize)),
            _ => None,
        }
    }
}
