//! The verifier: whether a function is one that the interpreter can run without checking anything itself.
//!
//! It runs the code with kinds instead of values. What it establishes for every path:
//!
//! * **V1** Operands are in range and of the right type; jumps land on instructions; aux words are in their places; no path
//!   falls off the end.
//! * **V2** A register is read only after it has been written; a box is used as a box and a value as a value. So it
//!   is for the registers that debug information names, and for those that closures capture.
//!   The state of a numeric loop is made by `ForPrep` and by nothing else.
//! * **V3** The rules of the instruction set: below a register that an instruction names, all have been written (B1),
//!   backward jumps poll (B3), a `Jmp` follows a test, an open list of values is used by the next instruction.
//! * **V4** A to-be-closed variable is closed before its register is given up: by a call's frame, a loop, a return.

use super::layout::{Aux, Layout, Role, Wide};
use super::meter::{Meter, Refusal};
use super::op::{Instr, Op};
use super::proto::{Const, LocalVar, Proto};

/// How deep functions may be nested.
const MAX_DEPTH: usize = 250;

/// Words for which active locals are looked up together.
const STRETCH: usize = 64;
/// Active locals are at most as many as registers.
const MAX_ACTIVE: usize = 256;
/// How often, on average, an instruction may be looked at.
const ROUNDS: usize = 64;

/// What the state at a target needs beside its registers: the head of their block, and its place in the list of work.
const STATE_BYTES: usize = 32;

/// What a register holds, as far as all paths agree.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// Perhaps nothing that was written in this function.
    Unset,
    Value,
    /// A value that is this part of a numeric loop's state.
    Loop(u8),
    Box,
    /// A value or a box.
    Either,
}

impl Kind {
    fn meet(self, other: Kind) -> Kind {
        match (self, other) {
            (a, b) if a == b => a,
            (Kind::Unset, _) | (_, Kind::Unset) => Kind::Unset,
            (Kind::Value | Kind::Loop(_), Kind::Value | Kind::Loop(_)) => Kind::Value,
            _ => Kind::Either,
        }
    }

    fn is_value(self) -> bool {
        matches!(self, Kind::Value | Kind::Loop(_))
    }
}

/// What is known at a place of the code.
#[derive(Clone, PartialEq, Eq, Debug)]
struct State {
    regs: Box<[Kind]>,
    /// The registers whose variables may be waiting to be closed, as bits.
    pending: [u64; 4],
}

impl State {
    /// What both states agree on.
    fn meet(&self, other: &State) -> State {
        let regs = self.regs.iter().zip(&other.regs).map(|(a, &b)| a.meet(b)).collect();
        let pending = std::array::from_fn(|i| self.pending[i] | other.pending[i]);
        State { regs, pending }
    }
}

type Check<T = ()> = Result<T, Refusal>;

/// Verifies a function and all functions in it. An error says what is wrong and where.
pub fn verify(proto: &Proto) -> Result<(), String> {
    verify_within(proto, &mut Meter::new(usize::MAX, &mut || true)).map_err(|refusal| match refusal {
        Refusal::Invalid(problem) => problem,
        Refusal::OutOfMemory | Refusal::Stopped => "not enough memory".into(),
    })
}

/// The same within the bounds of a meter.
pub fn verify_within(proto: &Proto, meter: &mut Meter) -> Check {
    verify_nested(proto, 0, meter)
}

fn verify_nested(proto: &Proto, depth: usize, meter: &mut Meter) -> Check {
    if depth > MAX_DEPTH {
        return Err("functions nested too deep".into());
    }
    let mut verifier = Verifier::new(proto, meter)?;
    verifier.run()?;
    drop(verifier);
    for inner in &proto.protos {
        for upval in &inner.upvals {
            if !upval.from_register && upval.index as usize >= proto.upvals.len() {
                return Err(format!("upvalue {} of an inner function out of range", upval.index).into());
            }
        }
        verify_nested(inner, depth + 1, meter)?;
    }
    Ok(())
}

struct Verifier<'p, 'm, 'h> {
    proto: &'p Proto,
    meter: &'m mut Meter<'h>,
    /// Which words start an instruction.
    starts: Vec<bool>,
    /// For each word that a jump leads to, what holds on all the paths there found so far.
    targets: Vec<Option<State>>,
    work: Vec<usize>,
    state: State,
    pc: usize,
    /// Which locals are active somewhere in each stretch of `STRETCH` words.
    active: Vec<Vec<u32>>,
    /// Instructions that may still be looked at: a bound on the time that hostile code can take.
    budget: usize,
}

impl<'p, 'm, 'h> Verifier<'p, 'm, 'h> {
    fn new(proto: &'p Proto, meter: &'m mut Meter<'h>) -> Check<Verifier<'p, 'm, 'h>> {
        let code = &proto.code;
        let mut starts = meter.list(code.len())?;
        starts.resize(code.len(), false);
        let mut pc = 0;
        while pc < code.len() {
            meter.step()?;
            let op = Op::decode(code[pc]).ok_or_else(|| format!("unknown opcode at {pc}"))?;
            starts[pc] = true;
            pc += 1 + (op.aux() != Aux::None) as usize;
        }
        if pc != code.len() || code.is_empty() {
            return Err("code ends too early".into());
        }
        if !(proto.lines.is_empty() || proto.lines.len() == code.len()) {
            return Err("line table of the wrong length".into());
        }
        if proto.max_stack < 2 || proto.num_params > proto.max_stack {
            return Err("too few registers".into());
        }
        let first = Instr(code[0]);
        if proto.is_vararg != (first.op() == Op::VarArgPrep && first.a() == proto.num_params) {
            return Err("vararg function without preparation".into());
        }
        let mut active = meter.list::<Vec<u32>>(code.len() / STRETCH + 1)?;
        active.resize(code.len() / STRETCH + 1, Vec::new());
        for (index, local) in proto.locals.iter().enumerate() {
            let (start, end) = (local.start_pc as usize, local.end_pc as usize);
            if local.register >= proto.max_stack || start > end || end > code.len() {
                return Err("debug information out of range".into());
            }
            for stretch in &mut active[start / STRETCH..=end / STRETCH] {
                // Those that begin and end here come on top of those that last.
                if stretch.len() > MAX_ACTIVE + STRETCH * MAX_ACTIVE {
                    return Err("too many locals".into());
                }
                meter.step()?;
                if stretch.len() == stretch.capacity() {
                    meter.take((stretch.len() + 4) * size_of::<u32>())?;
                    stretch.try_reserve(1)?;
                }
                stretch.push(index as u32);
            }
        }
        let state = State { regs: vec![Kind::Unset; proto.max_stack as usize].into(), pending: [0; 4] };
        let mut targets = meter.list(code.len())?;
        targets.resize_with(code.len(), || None);
        let budget = code.len().saturating_mul(ROUNDS).saturating_add(1000);
        Ok(Verifier { proto, meter, starts, targets, work: Vec::new(), state, pc: 0, active, budget })
    }

    fn fail<T>(&self, what: impl std::fmt::Display) -> Check<T> {
        let op = Op::decode(self.proto.code[self.pc]).map_or("?", Op::name);
        Err(format!("{what} ({op} at {})", self.pc).into())
    }

    fn run(&mut self) -> Check {
        let mut entry = self.state.clone();
        entry.regs[..self.proto.num_params as usize].fill(Kind::Value);
        self.targets[0] = Some(entry);
        self.work.push(0);
        while let Some(start) = self.work.pop() {
            let Some(state) = &self.targets[start] else { continue };
            self.state = state.clone();
            self.pc = start;
            while let Some(next) = self.step()? {
                self.meter.step()?;
                if next >= self.proto.code.len() {
                    return self.fail("code runs off its end");
                }
                // Where paths join, what has been known there decides how to go on.
                if self.targets[next].is_some() {
                    self.flow_to(next)?;
                    break;
                }
                self.pc = next;
            }
        }
        Ok(())
    }

    /// Control may pass from here to `target` with the registers as they are.
    fn flow_to(&mut self, target: usize) -> Check {
        if self.starts.get(target) != Some(&true) {
            return self.fail(format!("jump to {target}"));
        }
        if Instr(self.proto.code[target]).op() == Op::TForLoop {
            return self.fail("jump between the parts of a loop");
        }
        let state = match &self.targets[target] {
            None => {
                self.meter.take(self.state.regs.len() + STATE_BYTES)?;
                self.state.clone()
            }
            Some(known) => known.meet(&self.state),
        };
        let changed = self.targets[target].as_ref() != Some(&state);
        self.targets[target] = Some(state);
        if changed {
            self.work.push(target);
        }
        Ok(())
    }

    fn reg(&self, register: usize) -> Check<Kind> {
        match self.state.regs.get(register) {
            Some(&kind) => Ok(kind),
            None => self.fail(format!("register {register} out of range")),
        }
    }

    fn read(&self, register: usize) -> Check {
        match self.reg(register)? {
            kind if kind.is_value() => Ok(()),
            kind => self.fail(format!("register {register} is {kind:?}, not a value")),
        }
    }

    fn read_range(&self, first: usize, count: usize) -> Check {
        (first..first + count).try_for_each(|register| self.read(register))
    }

    fn read_box(&self, register: usize) -> Check {
        match self.reg(register)? {
            Kind::Box => Ok(()),
            kind => self.fail(format!("register {register} is {kind:?}, not a box")),
        }
    }

    fn write(&mut self, register: usize, kind: Kind) -> Check {
        self.reg(register)?;
        self.state.regs[register] = kind;
        Ok(())
    }

    fn write_range(&mut self, first: usize, count: usize) -> Check {
        (first..first + count).try_for_each(|register| self.write(register, Kind::Value))
    }

    /// B1: all registers below `top` have been written.
    fn all_written(&self, top: usize) -> Check {
        for register in 0..top {
            if self.reg(register)? == Kind::Unset {
                return self.fail(format!("register {register} below the top is unset"));
            }
        }
        Ok(())
    }

    /// What a call leaves of the registers from its base on: nothing. So nothing there may be in use.
    fn clobber(&mut self, from: usize) -> Check {
        self.given_up(from)?;
        if self.active_locals().any(|local| local.register as usize >= from) {
            return self.fail("a local variable where a call puts its frame");
        }
        let from = from.min(self.state.regs.len());
        self.state.regs[from..].fill(Kind::Unset);
        Ok(())
    }

    /// No variable that waits to be closed is at or above `from`.
    fn given_up(&self, from: usize) -> Check {
        if self.state.pending == [0; 4] {
            return Ok(());
        }
        match (from..256).any(|register| self.state.pending[register / 64] >> (register % 64) & 1 == 1) {
            true => self.fail("a variable is not closed"),
            false => Ok(()),
        }
    }

    fn set_pending(&mut self, register: usize, pending: bool) {
        let (word, bit) = (&mut self.state.pending[register / 64], 1 << (register % 64));
        if pending { *word |= bit } else { *word &= !bit }
    }

    fn constant(&self, index: usize) -> Check<&'p Const> {
        match self.proto.consts.get(index) {
            Some(value) => Ok(value),
            None => self.fail(format!("constant {index} out of range")),
        }
    }

    fn upval(&self, index: u8) -> Check {
        if (index as usize) < self.proto.upvals.len() { Ok(()) } else { self.fail("upvalue out of range") }
    }

    fn active_locals(&self) -> impl Iterator<Item = &'p LocalVar> {
        let (proto, pc) = (self.proto, self.pc as u32);
        let stretch = self.active[self.pc / STRETCH].iter().map(|&index| &proto.locals[index as usize]);
        stretch.filter(move |local| (local.start_pc..local.end_pc).contains(&pc))
    }

    fn check_locals(&self) -> Check {
        for local in self.active_locals() {
            let kind = self.state.regs[local.register as usize];
            if !(if local.boxed { kind == Kind::Box } else { kind.is_value() }) {
                return self.fail(format!("local in register {} is {kind:?}", local.register));
            }
        }
        Ok(())
    }

    fn next_op(&self, pc: usize) -> Option<Op> {
        Op::decode(*self.proto.code.get(pc)?)
    }

    /// The use of an open list of values starting at `base`: by the instruction at `pc`.
    fn check_open(&self, base: usize, pc: usize) -> Check {
        let Some(&word) = self.proto.code.get(pc) else { return self.fail("open values at the end") };
        let user = Instr(word);
        let from = user.a() as usize;
        let fits = match self.next_op(pc) {
            Some(Op::Call | Op::TailCall) => user.b() == 0 && from < base,
            Some(Op::Return) => user.b() == 0 && from <= base,
            Some(Op::SetList) => user.b() == 0 && from < base,
            _ => false,
        };
        if !fits || self.targets[pc].is_some() {
            return self.fail("open values are not used");
        }
        Ok(())
    }

    /// The first register of the open list that the instruction before this one has left.
    fn open_base(&self) -> Check<usize> {
        let before = self.pc.checked_sub(1).filter(|&pc| self.starts[pc]).map(|pc| Instr(self.proto.code[pc]));
        match before {
            Some(before) if leaves_open(before) => {
                if self.targets[self.pc].is_some() {
                    return self.fail("jump between open values and their use");
                }
                Ok(before.a() as usize)
            }
            _ => self.fail("no open values"),
        }
    }

    /// Values that an instruction takes from `first`: `count` of them, or with `None` up to the open list's end.
    fn take(&self, first: usize, count: Option<usize>) -> Check {
        match count {
            Some(count) => self.read_range(first, count),
            None => {
                let base = self.open_base()?;
                if base < first {
                    return self.fail("open values below the list");
                }
                self.read_range(first, base - first)
            }
        }
    }

    /// Checks one instruction and applies it; gives the next in line, unless control never goes there.
    fn step(&mut self) -> Check<Option<usize>> {
        let instr = Instr(self.proto.code[self.pc]);
        let Some(op) = Op::decode(instr.0) else { return self.fail("unknown opcode") };
        self.check_locals()?;
        let Some(budget) = self.budget.checked_sub(1) else { return self.fail("code too complex") };
        self.budget = budget;
        let next = self.pc + 1 + (op.aux() != Aux::None) as usize;
        let aux = if op.aux() == Aux::None { 0 } else { self.proto.code[self.pc + 1] };
        let (a, b, c) = (instr.a() as usize, instr.b() as usize, instr.c() as usize);
        match op.aux() {
            Aux::None | Aux::Count => {}
            Aux::Const => {
                self.constant(aux as usize)?;
            }
            Aux::Field => {
                if !matches!(self.constant((aux & 0xFFFF) as usize)?, Const::Str(_)) {
                    return self.fail("field name is no string");
                }
            }
        }

        let mut writes = None;
        match op.layout() {
            Layout::Abc(roles) => {
                for (role, value) in roles.into_iter().zip([instr.a(), instr.b(), instr.c()]) {
                    match role {
                        Role::Unused | Role::Plain | Role::Signed => {}
                        Role::Write => {
                            self.reg(value as usize)?;
                            self.all_written(value as usize)?;
                            writes = Some(value as usize);
                        }
                        Role::Read => {
                            self.read(value as usize)?;
                            self.all_written(value as usize)?;
                        }
                        Role::Box => self.read_box(value as usize)?,
                        Role::Const => {
                            self.constant(value as usize)?;
                        }
                        Role::Number => {
                            if !matches!(self.constant(value as usize)?, Const::Int(_) | Const::Float(_)) {
                                return self.fail("operand is no number");
                            }
                        }
                        Role::Upval => self.upval(value)?,
                    }
                }
            }
            Layout::ABx(role, wide) => {
                if role == Role::Write {
                    self.reg(a)?;
                    self.all_written(a)?;
                    writes = Some(a);
                }
                if wide == Wide::Const {
                    self.constant(instr.bx() as usize)?;
                }
            }
            Layout::Jump => {}
        }

        match op {
            Op::LoadNil => {
                self.write_range(a, b + 1)?;
                return Ok(Some(next));
            }
            Op::NewBox => {
                self.write(a, Kind::Box)?;
                return Ok(Some(next));
            }
            Op::SelfField | Op::SelfReg => {
                self.write_range(a, 2)?;
                return Ok(Some(next));
            }
            Op::Concat => {
                if b < 2 {
                    return self.fail("too few operands");
                }
                self.read_range(a, b)?;
            }
            Op::Tbc => {
                let kind = self.reg(a)?;
                if !kind.is_value() && kind != Kind::Box {
                    return self.fail(format!("register {a} is {kind:?}"));
                }
                self.all_written(a)?;
                self.set_pending(a, true);
            }
            Op::Close => (a..256).for_each(|register| self.set_pending(register, false)),
            Op::Jmp | Op::JmpBack => {
                let distance = instr.get_sj() as i64;
                let backward = op == Op::JmpBack;
                if backward != (distance < 0) {
                    return self.fail("jump in the wrong direction");
                }
                if backward && !self.follows_poll() {
                    return self.fail("backward jump without a poll");
                }
                let target = self.pc as i64 + 1 + distance;
                self.flow_to(usize::try_from(target).unwrap_or(usize::MAX))?;
                return Ok(None);
            }
            Op::Loop => {
                self.all_written(a)?;
                self.given_up(a)?;
                if instr.bx() == 0 {
                    return Ok(Some(next));
                }
                self.back(instr.bx())?;
                return Ok(None);
            }
            Op::LFalseSkip => {
                self.write(a, Kind::Value)?;
                if !self.next_op(next).is_some_and(|op| op.aux() == Aux::None) {
                    return self.fail("skip over more than a word");
                }
                self.flow_to(next + 1)?;
                return Ok(None);
            }
            _ if op.is_test() => {
                if self.next_op(next) != Some(Op::Jmp) {
                    return self.fail("test without a jump");
                }
                self.flow_to(next + 1)?;
            }
            Op::Call => {
                self.take(a + 1, b.checked_sub(1))?;
                if b == 0 && self.open_base()? <= a {
                    return self.fail("open values below the call");
                }
                self.clobber(a)?;
                match c.checked_sub(1) {
                    Some(results) => self.write_range(a, results)?,
                    None => self.check_open(a, next)?,
                }
                return Ok(Some(next));
            }
            Op::TailCall => {
                self.take(a + 1, b.checked_sub(1))?;
                // A native function leaves its results to the `Return` that follows.
                let follows = Instr::abc(Op::Return, instr.a(), 0, 0);
                if self.proto.code.get(next) != Some(&follows.0) {
                    return self.fail("tail call without its return");
                }
                self.given_up(0)?;
                self.clobber(a)?;
                self.check_open(a, next)?;
                return Ok(Some(next));
            }
            Op::Return => {
                self.all_written(a)?;
                self.take(a, b.checked_sub(1))?;
                if c == 0 {
                    self.given_up(0)?;
                }
                return Ok(None);
            }
            Op::Return0 | Op::Return1 => {
                self.given_up(0)?;
                return Ok(None);
            }
            Op::ForPrep => {
                self.read_range(a, 3)?;
                self.reg(a + 3)?;
                self.flow_to(self.pc + 2 + instr.bx() as usize)?;
                for part in 0..3 {
                    self.write(a + part, Kind::Loop(part as u8))?;
                }
                self.write(a + 3, Kind::Value)?;
                return Ok(Some(next));
            }
            Op::ForLoop => {
                for part in 0..3 {
                    if self.reg(a + part)? != Kind::Loop(part as u8) {
                        return self.fail("no loop has been prepared");
                    }
                }
                self.reg(a + 3)?;
                self.all_written(a)?;
                self.given_up(a + 4)?;
                let left = self.state.clone();
                self.write(a + 3, Kind::Value)?;
                self.state.regs[a + 4..].fill(Kind::Unset);
                self.back(instr.bx())?;
                self.state = left;
                return Ok(Some(next));
            }
            Op::TForPrep => {
                self.read_range(a, 4)?;
                self.set_pending(a + 3, true);
                self.flow_to(self.pc + 1 + instr.bx() as usize)?;
                return Ok(None);
            }
            Op::TForCall => {
                self.read_range(a, 4)?;
                self.all_written(a)?;
                self.reg(a + 6)?;
                if c == 0 {
                    return self.fail("no variables");
                }
                let last = Instr(self.proto.code.get(next).copied().unwrap_or(0));
                if self.next_op(next) != Some(Op::TForLoop) || last.a() as usize != a {
                    return self.fail("iterator call without its loop");
                }
                self.clobber(a + 4)?;
                self.write_range(a + 4, c)?;
            }
            Op::TForLoop => {
                let before = self.pc.checked_sub(1).filter(|&pc| self.starts[pc]);
                let before = before.map(|pc| Instr(self.proto.code[pc]));
                if !before.is_some_and(|call| call.op() == Op::TForCall && call.a() as usize == a) {
                    return self.fail("loop without its iterator call");
                }
                self.back(instr.bx())?;
            }
            Op::SetList => {
                self.take(a + 1, if b == 0 { None } else { Some(b) })?;
            }
            Op::Closure => {
                let Some(inner) = self.proto.protos.get(instr.bx() as usize) else {
                    return self.fail("function out of range");
                };
                for upval in inner.upvals.iter().filter(|upval| upval.from_register) {
                    self.read_box(upval.index as usize)?;
                }
            }
            Op::VarArg => {
                if !self.proto.is_vararg {
                    return self.fail("not a vararg function");
                }
                self.all_written(a)?;
                match c.checked_sub(1) {
                    Some(results) => self.write_range(a, results)?,
                    None => self.check_open(a, next)?,
                }
            }
            Op::VarArgPrep if self.pc != 0 => return self.fail("not at the start"),
            _ => {}
        }
        if let Some(register) = writes {
            self.write(register, Kind::Value)?;
        }
        Ok(Some(next))
    }

    fn back(&mut self, distance: u16) -> Check {
        match (self.pc + 1).checked_sub(distance as usize) {
            Some(target) if distance > 0 => self.flow_to(target),
            _ => self.fail("loop out of range"),
        }
    }

    fn follows_poll(&self) -> bool {
        let before = self.pc.checked_sub(1).filter(|&pc| self.starts[pc]).map(|pc| Instr(self.proto.code[pc]));
        before.is_some_and(|before| before.op() == Op::Loop && before.bx() == 0) && self.targets[self.pc].is_none()
    }
}

/// Whether an instruction leaves an open list of values, up to the top.
fn leaves_open(instr: Instr) -> bool {
    match instr.op() {
        Op::Call | Op::VarArg => instr.c() == 0,
        Op::TailCall => true,
        _ => false,
    }
}
