//! The verifier: whether a function is one that the interpreter can run without checking anything itself.
//!
//! It runs the code with kinds instead of values. What it establishes for every path:
//!
//! * **V1** Operands are in range and of the right type; jumps land on instructions; aux words are in their places; no path
//!   falls off the end.
//! * **V2** A register is read only after it has been written; a box is used as a box and a value as a value. So it
//!   is for the registers that debug information names, and for those that closures capture.
//! * **V3** The rules of the instruction set: below a register that an instruction names, all have been written (B1),
//!   backward jumps poll (B3), a `Jmp` follows a test, an open list of values is used by the next instruction.

use super::layout::{Aux, Layout, Role, Wide};
use super::op::{Instr, Op};
use super::proto::{Const, Proto};

/// How deep functions may be nested.
const MAX_DEPTH: usize = 250;

/// Words for which active locals are looked up together.
const STRETCH: usize = 64;
/// Active locals are at most as many as registers.
const MAX_ACTIVE: usize = 256;
/// How often, on average, an instruction may be looked at.
const ROUNDS: usize = 64;

/// What a register holds, as far as all paths agree.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// Perhaps nothing that was written in this function.
    Unset,
    Value,
    Box,
    /// A value or a box.
    Either,
}

impl Kind {
    fn meet(self, other: Kind) -> Kind {
        match (self, other) {
            (a, b) if a == b => a,
            (Kind::Unset, _) | (_, Kind::Unset) => Kind::Unset,
            _ => Kind::Either,
        }
    }
}

type Check<T = ()> = Result<T, String>;

/// Verifies a function and all functions in it. An error says what is wrong and where.
pub fn verify(proto: &Proto) -> Result<(), String> {
    verify_nested(proto, 0)
}

fn verify_nested(proto: &Proto, depth: usize) -> Check {
    if depth > MAX_DEPTH {
        return Err("functions nested too deep".into());
    }
    let mut verifier = Verifier::new(proto)?;
    verifier.run()?;
    for inner in &proto.protos {
        for upval in &inner.upvals {
            if !upval.from_register && upval.index as usize >= proto.upvals.len() {
                return Err(format!("upvalue {} of an inner function out of range", upval.index));
            }
        }
        verify_nested(inner, depth + 1)?;
    }
    Ok(())
}

struct Verifier<'p> {
    proto: &'p Proto,
    /// Which words start an instruction.
    starts: Vec<bool>,
    /// For each word that a jump leads to, the registers on all the paths there found so far.
    targets: Vec<Option<Box<[Kind]>>>,
    work: Vec<usize>,
    regs: Vec<Kind>,
    pc: usize,
    /// Which locals are active somewhere in each stretch of `STRETCH` words.
    active: Vec<Vec<u32>>,
    /// Instructions that may still be looked at: a bound on the time that hostile code can take.
    budget: usize,
}

impl<'p> Verifier<'p> {
    fn new(proto: &'p Proto) -> Check<Verifier<'p>> {
        let code = &proto.code;
        let mut starts = vec![false; code.len()];
        let mut pc = 0;
        while pc < code.len() {
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
        let mut active = vec![Vec::new(); code.len() / STRETCH + 1];
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
                stretch.push(index as u32);
            }
        }
        let targets = std::iter::repeat_with(|| None).take(code.len()).collect();
        let budget = code.len().saturating_mul(ROUNDS).saturating_add(1000);
        Ok(Verifier { proto, starts, targets, work: Vec::new(), regs: Vec::new(), pc: 0, active, budget })
    }

    fn fail<T>(&self, what: impl std::fmt::Display) -> Check<T> {
        let op = Op::decode(self.proto.code[self.pc]).map_or("?", Op::name);
        Err(format!("{what} ({op} at {})", self.pc))
    }

    fn run(&mut self) -> Check {
        let mut entry = vec![Kind::Unset; self.proto.max_stack as usize];
        entry[..self.proto.num_params as usize].fill(Kind::Value);
        self.targets[0] = Some(entry.into());
        self.work.push(0);
        while let Some(start) = self.work.pop() {
            let Some(state) = &self.targets[start] else { continue };
            self.regs = state.to_vec();
            self.pc = start;
            while let Some(next) = self.step()? {
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
        let changed = match &mut self.targets[target] {
            None => {
                self.targets[target] = Some(self.regs.clone().into());
                true
            }
            Some(known) => {
                let mut changed = false;
                for (known, &found) in known.iter_mut().zip(&self.regs) {
                    let met = known.meet(found);
                    changed |= met != *known;
                    *known = met;
                }
                changed
            }
        };
        if changed {
            self.work.push(target);
        }
        Ok(())
    }

    fn reg(&self, register: usize) -> Check<Kind> {
        match self.regs.get(register) {
            Some(&kind) => Ok(kind),
            None => self.fail(format!("register {register} out of range")),
        }
    }

    fn read(&self, register: usize) -> Check {
        match self.reg(register)? {
            Kind::Value => Ok(()),
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
        self.regs[register] = kind;
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

    /// What a call leaves of the registers from its base on.
    fn clobber(&mut self, from: usize) {
        let from = from.min(self.regs.len());
        self.regs[from..].fill(Kind::Unset);
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

    fn check_locals(&self) -> Check {
        let pc = self.pc as u32;
        for &index in &self.active[self.pc / STRETCH] {
            let local = &self.proto.locals[index as usize];
            if !(local.start_pc..local.end_pc).contains(&pc) {
                continue;
            }
            match (self.regs[local.register as usize], local.boxed) {
                (Kind::Value, false) | (Kind::Box, true) => {}
                (kind, _) => return self.fail(format!("local in register {} is {kind:?}", local.register)),
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
            Op::Tbc => match self.reg(a)? {
                Kind::Value | Kind::Box => self.all_written(a)?,
                kind => return self.fail(format!("register {a} is {kind:?}")),
            },
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
                self.clobber(a);
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
                self.clobber(a);
                self.check_open(a, next)?;
                return Ok(Some(next));
            }
            Op::Return => {
                self.all_written(a)?;
                self.take(a, b.checked_sub(1))?;
                return Ok(None);
            }
            Op::Return0 | Op::Return1 => return Ok(None),
            Op::ForPrep => {
                self.read_range(a, 3)?;
                self.reg(a + 3)?;
                self.flow_to(self.pc + 2 + instr.bx() as usize)?;
                self.write(a + 3, Kind::Value)?;
                return Ok(Some(next));
            }
            Op::ForLoop => {
                self.read_range(a, 3)?;
                self.reg(a + 3)?;
                self.all_written(a)?;
                let left = self.regs.clone();
                self.write(a + 3, Kind::Value)?;
                self.clobber(a + 4);
                self.back(instr.bx())?;
                self.regs = left;
                return Ok(Some(next));
            }
            Op::TForPrep => {
                self.read_range(a, 4)?;
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
                self.clobber(a + 4);
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
