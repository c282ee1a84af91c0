//! What is known of a function's registers at a place of its code, and what an instruction makes of it, by its declaration.
//!
//! The verifier keeps this for all paths at once; debug builds keep it for the one that is run (`vm/shadow.rs`).

use super::layout::{Closing, Flow, Layout, Numeric, Registers, Role};
use super::op::Instr;

/// A set of registers.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Set {
    low: u128,
    high: u128,
}

/// The bits below the `end`-th.
#[inline]
const fn bits_below(end: usize) -> u128 {
    if end < 128 { (1 << end) - 1 } else { u128::MAX }
}

impl Set {
    pub const EMPTY: Set = Set { low: 0, high: 0 };

    /// The registers below a limit.
    #[inline]
    pub const fn below(end: usize) -> Set {
        Set { low: bits_below(end), high: bits_below(end.saturating_sub(128)) }
    }

    #[inline]
    pub const fn range(from: usize, end: usize) -> Set {
        Set::below(end).without(Set::below(from))
    }

    #[inline]
    pub const fn one(register: usize) -> Set {
        match register {
            0..128 => Set { low: 1 << register, high: 0 },
            128..256 => Set { low: 0, high: 1 << (register - 128) },
            _ => Set::EMPTY,
        }
    }

    #[inline]
    pub const fn has(self, register: usize) -> bool {
        !Set::one(register).and(self).is_empty()
    }

    #[inline]
    pub const fn is_empty(self) -> bool {
        self.low | self.high == 0
    }

    #[inline]
    pub const fn contains(self, other: Set) -> bool {
        other.without(self).is_empty()
    }

    #[inline]
    pub const fn and(self, other: Set) -> Set {
        Set { low: self.low & other.low, high: self.high & other.high }
    }

    #[inline]
    pub const fn with(self, other: Set) -> Set {
        Set { low: self.low | other.low, high: self.high | other.high }
    }

    #[inline]
    pub const fn without(self, other: Set) -> Set {
        Set { low: self.low & !other.low, high: self.high & !other.high }
    }

    /// The lowest of them.
    pub const fn first(self) -> Option<usize> {
        match (self.low, self.high) {
            (0, 0) => None,
            (0, high) => Some(128 + high.trailing_zeros() as usize),
            (low, _) => Some(low.trailing_zeros() as usize),
        }
    }

    /// The highest of them.
    pub const fn last(self) -> Option<usize> {
        match (self.low, self.high) {
            (0, 0) => None,
            (low, 0) => Some(127 - low.leading_zeros() as usize),
            (_, high) => Some(255 - high.leading_zeros() as usize),
        }
    }

    /// All of them in ascending order.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        let mut left = self;
        std::iter::from_fn(move || {
            let register = left.first()?;
            left = left.without(Set::one(register));
            Some(register)
        })
    }

    /// The set as words of 64 registers.
    #[inline]
    pub const fn words(self) -> [u64; 4] {
        [self.low as u64, (self.low >> 64) as u64, self.high as u64, (self.high >> 64) as u64]
    }

    #[inline]
    pub const fn of_words(words: [u64; 4]) -> Set {
        Set { low: words[0] as u128 | (words[1] as u128) << 64, high: words[2] as u128 | (words[3] as u128) << 64 }
    }
}

/// What registers hold, as far as all paths agree.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct State {
    /// A value that was written in this function, or a parameter.
    pub values: Set,
    /// A box.
    pub boxes: Set,
    /// The first of the three registers that are a numeric loop's state; all three are values too.
    pub loops: Set,
    /// A variable that may be waiting to be closed.
    pub pending: Set,
}

impl State {
    /// At the start of a function.
    pub fn entry(params: u8) -> State {
        State { values: Set::below(params.into()), ..State::default() }
    }

    /// What is known where this and another path join.
    pub fn meet(self, other: State) -> State {
        State {
            values: self.values.and(other.values),
            boxes: self.boxes.and(other.boxes),
            loops: self.loops.and(other.loops),
            pending: self.pending.with(other.pending),
        }
    }

    pub fn written(&self) -> Set {
        self.values.with(self.boxes)
    }

    /// The registers of numeric loops' states.
    pub fn loop_states(&self) -> Set {
        self.loops.iter().fold(Set::EMPTY, |all, base| all.with(Set::range(base, base + 3)))
    }

    /// The registers from `top` on are given up.
    pub fn cut(&mut self, top: usize) {
        let kept = Set::below(top);
        self.values = self.values.and(kept);
        self.boxes = self.boxes.and(kept);
        self.loops = self.loops.and(Set::below(top.saturating_sub(2)));
    }

    fn overwrite(&mut self, from: usize, end: usize) {
        if !self.loops.is_empty() {
            self.loops = self.loops.without(Set::range(from.saturating_sub(2), end));
        }
    }

    fn write(&mut self, from: usize, end: usize) {
        let written = Set::range(from, end);
        self.values = self.values.with(written);
        self.boxes = self.boxes.without(written);
        self.overwrite(from, end);
    }

    fn write_box(&mut self, register: usize) {
        let written = Set::one(register);
        self.boxes = self.boxes.with(written);
        self.values = self.values.without(written);
        self.overwrite(register, register + 1);
    }

    /// Whether an instruction finds what it needs; else what it lacks.
    #[inline]
    pub fn check(&self, needs: &Needs) -> Result<(), Lack> {
        let written = self.written();
        if needs.takes_open && needs.open_end.is_none() {
            return Err(Lack::Open);
        }
        lacks(needs.values, self.values).map_err(Lack::Value)?;
        lacks(needs.boxes, self.boxes).map_err(Lack::Box)?;
        // B1: what is named stands on registers that have been written.
        lacks(needs.either.with(Set::below(needs.stands_on)), written).map_err(Lack::Below)?;
        if needs.live_top > 0 {
            lacks(Set::below(needs.live_top), written.with(needs.written)).map_err(Lack::Below)?;
        }
        if needs.loop_at.is_some_and(|base| !self.loops.has(base)) {
            return Err(Lack::Loop);
        }
        if self.pending.is_empty() { Ok(()) } else { lacks(self.pending, Set::below(needs.closed)).map_err(Lack::Closed) }
    }

    /// What the instruction does to the registers, where control takes the way with its effects.
    #[inline]
    pub fn apply(&mut self, instr: Instr, needs: &Needs) {
        let declaration = instr.op().declaration();
        let a = instr.a() as usize;
        match declaration.closing {
            Closing::Marks(more) => self.pending = self.pending.with(Set::one(a + more as usize)),
            Closing::Closes => self.pending = self.pending.and(Set::below(a)),
            Closing::Nothing | Closing::Ended | Closing::EndedUnlessC => {}
        }
        if let Some(top) = needs.keeps {
            self.cut(top);
        }
        match declaration.layout {
            Layout::Abc([Role::Write, ..]) | Layout::ABx(Role::Write, _) => self.write(a, a + 1),
            Layout::Abc([Role::ToBox, ..]) => self.write_box(a),
            _ => {}
        }
        if declaration.numeric == Numeric::Makes {
            self.write(a, a + 3);
            self.loops = self.loops.with(Set::one(a));
        }
        if let Some(row) = needs.row {
            self.write(row.from, row.end());
        }
    }
}

/// What an instruction needs of the registers, and which of them it gives up and writes.
#[derive(Clone, Copy, Debug)]
pub struct Needs {
    /// Registers that hold values, boxes, or either.
    pub values: Set,
    pub boxes: Set,
    either: Set,
    /// All below this one have been written; and below this one too, some of them by the instruction itself.
    stands_on: usize,
    live_top: usize,
    written: Set,
    /// It takes values up to the top, of which those are no registers of its own that begin here.
    takes_open: bool,
    open_end: Option<usize>,
    /// The state of a numeric loop, from this register on.
    pub loop_at: Option<usize>,
    /// No variable from here on waits to be closed.
    closed: usize,
    /// See [`Instr::keeps`].
    pub keeps: Option<usize>,
    row: Option<Registers>,
}

impl Instr {
    /// `before`: the instruction before it; `captures`: the registers whose boxes a closure takes.
    #[inline]
    pub fn needs(self, before: Option<Instr>, captures: impl Iterator<Item = u8>) -> Needs {
        let declaration = self.op().declaration();
        let a = self.a() as usize;
        let mut needs = Needs {
            values: Set::EMPTY,
            boxes: Set::EMPTY,
            either: Set::EMPTY,
            stands_on: 0,
            live_top: 0,
            written: Set::EMPTY,
            takes_open: false,
            open_end: None,
            loop_at: (declaration.numeric == Numeric::Needs).then_some(a),
            closed: match declaration.closing {
                Closing::Marks(more) => a + more as usize,
                Closing::Ended => 0,
                Closing::EndedUnlessC if self.c() == 0 => 0,
                Closing::Nothing | Closing::Closes | Closing::EndedUnlessC => 256,
            },
            keeps: None,
            row: None,
        };
        let mut operand = |role: Role, register: u8| {
            let register = register as usize;
            match role {
                Role::Write => {}
                Role::Read | Role::ToBox => needs.values = needs.values.with(Set::one(register)),
                Role::Either => needs.either = needs.either.with(Set::one(register)),
                Role::Box => return needs.boxes = needs.boxes.with(Set::one(register)),
                _ => return,
            }
            needs.stands_on = needs.stands_on.max(register);
        };
        match declaration.layout {
            Layout::Abc([ra, rb, rc]) => {
                operand(ra, self.a());
                operand(rb, self.b());
                operand(rc, self.c());
            }
            Layout::ABx(role, _) => operand(role, self.a()),
            Layout::Jump => {}
        }
        if let Some(row) = self.reads() {
            needs.takes_open = row.count.is_none();
            needs.open_end = if needs.takes_open { open_row(before) } else { None };
            let end = row.count.map_or(needs.open_end.unwrap_or(row.from), |count| row.from + count);
            needs.values = needs.values.with(Set::range(row.from, end));
            needs.stands_on = needs.stands_on.max(row.from);
        }
        for register in captures {
            needs.boxes = needs.boxes.with(Set::one(register.into()));
        }
        if let Some(row) = self.writes() {
            needs.stands_on = needs.stands_on.max(row.from);
            needs.written = Set::range(row.from, row.end());
            needs.row = Some(row);
        }
        if let Some(top) = self.keeps(before) {
            needs.keeps = Some(top);
            needs.live_top = top;
            needs.closed = needs.closed.min(top);
        }
        needs
    }
}

/// The lowest register of `needed` that is not in `there`.
#[inline]
fn lacks(needed: Set, there: Set) -> Result<(), usize> {
    if there.contains(needed) { Ok(()) } else { Err(needed.without(there).first().unwrap_or(0)) }
}

/// Where the row begins that an instruction has written up to the top.
pub fn open_row(instr: Option<Instr>) -> Option<usize> {
    instr?.writes().filter(|row| row.count.is_none()).map(|row| row.from)
}

/// What an instruction lacks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lack {
    /// A value in a register.
    Value(usize),
    /// A box in a register.
    Box(usize),
    /// Anything at all in a register below those that it names.
    Below(usize),
    /// A list of values up to the top.
    Open,
    /// The state of a numeric loop.
    Loop,
    /// A variable that waits to be closed should not.
    Closed(usize),
}

impl std::fmt::Display for Lack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Lack::Value(register) => write!(f, "register {register} is no value"),
            Lack::Box(register) => write!(f, "register {register} is no box"),
            Lack::Below(register) => write!(f, "register {register} below the top is unset"),
            Lack::Open => write!(f, "no open values"),
            Lack::Loop => write!(f, "no loop has been prepared"),
            Lack::Closed(register) => write!(f, "the variable in register {register} is not closed"),
        }
    }
}

impl Instr {
    /// Where control goes on from the instruction at `pc`: at most two places, each with whether the effects are felt there.
    pub fn ways(self, pc: usize, aux: u32) -> [Option<(usize, bool)>; 2] {
        let next = pc + self.op().words();
        let target = self.target(pc, aux);
        let on = |effects| Some((next, effects));
        let away = |effects| target.map(|target| (target, effects));
        match self.op().declaration().flow {
            Flow::Next => [on(true), None],
            Flow::Skip => [Some((next + 1, true)), None],
            Flow::Test => [on(true), Some((next + 1, false))],
            Flow::Jump => [away(true), None],
            Flow::Enter => [on(true), away(false)],
            Flow::Repeat => [away(true), on(false)],
            Flow::End => [None, None],
        }
    }
}
