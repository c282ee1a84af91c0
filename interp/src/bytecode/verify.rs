//! The verifier: whether a function is one that the interpreter can run without checking anything itself.
//!
//! First the words are looked at one by one: what can be said of an instruction without knowing how it is reached. Then the code is gone
//! through with what is known of its registers ([`State`]), as the table of instructions says what each does. What is established for every path:
//!
//! * **V1** Operands are in range and of the right type; jumps land on instructions; aux words are in their places; no path
//!   falls off the end.
//! * **V2** A register is read only after it has been written, and not given up since; a box is used as a box and a value as a value. So it
//!   is for the registers that debug information names, and for those that closures capture.
//!   The state of a numeric loop is made by `ForPrep` and by nothing else, and is no variable that a program could set.
//! * **V3** The rules of the instruction set: below a register that an instruction names, all have been written (B1),
//!   backward jumps poll (B3), a `Jmp` follows a test, an open list of values is used by the next instruction.
//! * **V4** A to-be-closed variable is closed before its register is given up: by a call's frame, a loop, a return. Such
//!   variables are declared in the order of their registers.
//!
//! How long it takes, and how much memory:
//!
//! * **V5** States are kept where jumps lead to, in as many words as the registers need. Stretches of code between such places are gone through in
//!   the order in which they stand, those again that more has become known of, at most [`MAX_PASSES`] times. For what the compiler makes once is
//!   enough but for loops of great length: where a loop begins, only what is below the live top of its jumps back counts, and that does not change
//!   on the way round.
//! * **V6** Local variables are noted in the order in which they begin, and one register is no two of them at a time.

use super::budget::{Budget, Refusal};
use super::layout::{Aux, Flow, Layout, MAX_SIZE, Numeric, Role, Wide};
use super::op::{Instr, Op};
use super::proto::{Const, LocalVar, Proto};
use super::registers::{Set, State, open_row};

/// How deep functions may be nested.
const MAX_DEPTH: usize = 250;
/// Upvalues are named by 8 bits, and so is their number.
const MAX_UPVALUES: usize = 255;
/// How often the code is gone through.
const MAX_PASSES: usize = 8;

type Check<T = ()> = Result<T, Refusal>;

/// Verifies a function and all functions in it. An error says what is wrong and where.
pub fn verify(proto: &Proto) -> Result<(), String> {
    match verify_within(proto, &mut Budget::unlimited()) {
        Ok(()) => Ok(()),
        Err(Refusal::Unsound(what)) => Err(what),
        Err(refusal) => Err(format!("{refusal:?}")),
    }
}

/// The same within a budget.
pub fn verify_within(proto: &Proto, budget: &mut Budget) -> Check {
    verify_nested(proto, budget, 0)
}

fn verify_nested(proto: &Proto, budget: &mut Budget, depth: usize) -> Check {
    if depth > MAX_DEPTH {
        return Err("functions nested too deep".into());
    }
    head(proto)?;
    let mut places = Places::of(proto, budget)?;
    words(proto, &mut places, budget)?;
    locals(proto, budget)?;
    let bytes = places.bytes();
    let walk = Walk::new(proto, places, budget)?;
    let more = walk.bytes();
    walk.run(budget)?;
    budget.give_back(bytes + more);
    for inner in &proto.protos {
        budget.work(1 + inner.upvals.len())?;
        let out_of_range = |upval: &&super::UpvalDesc| !upval.from_register && upval.index as usize >= proto.upvals.len();
        if let Some(upval) = inner.upvals.iter().find(out_of_range) {
            return Err(format!("upvalue {} of an inner function out of range", upval.index).into());
        }
        verify_nested(inner, budget, depth + 1)?;
    }
    Ok(())
}

#[cold]
fn unsound<T>(proto: &Proto, pc: usize, what: impl std::fmt::Display) -> Check<T> {
    let op = Op::decode(proto.code[pc]).map_or("?", Op::name);
    Err(format!("{what} ({op} at {pc})").into())
}

/// What can be said of a function without its code.
fn head(proto: &Proto) -> Check {
    let what = if proto.code.is_empty() || u32::try_from(proto.code.len()).is_err() {
        "no code"
    } else if !(proto.lines.is_empty() || proto.lines.len() == proto.code.len()) {
        "line table of the wrong length"
    } else if proto.max_stack < 2 || proto.num_params > proto.max_stack {
        "too few registers"
    } else if proto.upvals.len() > MAX_UPVALUES {
        "too many upvalues"
    } else {
        let first = Instr(proto.code[0]);
        let prepares = Op::decode(first.0) == Some(Op::VarArgPrep) && first.a() == proto.num_params;
        match proto.is_vararg == prepares {
            true => return Ok(()),
            false => "vararg function without preparation",
        }
    };
    Err(what.into())
}

/// Bits for the words of the code, and how many are set before each.
struct Marks {
    bits: Vec<u64>,
    before: Vec<u32>,
}

impl Marks {
    fn get(&self, pc: usize) -> bool {
        self.bits.get(pc / 64).is_some_and(|word| word >> (pc % 64) & 1 == 1)
    }
    fn set(&mut self, pc: usize) {
        self.bits[pc / 64] |= 1 << (pc % 64);
    }
    /// From here on `rank` is right.
    fn count(&mut self) -> usize {
        let mut count = 0;
        for (word, before) in self.bits.iter().zip(&mut self.before) {
            *before = count;
            count += word.count_ones();
        }
        count as usize
    }
    fn rank(&self, pc: usize) -> usize {
        let below = self.bits[pc / 64] & ((1 << (pc % 64)) - 1);
        self.before[pc / 64] as usize + below.count_ones() as usize
    }
}

/// Where instructions begin, and where jumps lead to.
struct Places {
    starts: Vec<u64>,
    targets: Marks,
}

impl Places {
    fn of(proto: &Proto, budget: &mut Budget) -> Check<Places> {
        let words = proto.code.len() / 64 + 1;
        let mut starts = budget.filled(0u64, words)?;
        let targets = Marks { bits: budget.filled(0, words)?, before: budget.filled(0, words)? };
        let mut pc = 0;
        while pc < proto.code.len() {
            let Some(op) = Op::decode(proto.code[pc]) else { return unsound(proto, pc, "unknown opcode") };
            starts[pc / 64] |= 1 << (pc % 64);
            pc += op.words();
        }
        if pc != proto.code.len() {
            return Err("code ends too early".into());
        }
        Ok(Places { starts, targets })
    }

    fn bytes(&self) -> usize {
        (self.starts.len() + self.targets.bits.len()) * 8 + self.targets.before.len() * 4
    }

    fn is_start(&self, pc: usize) -> bool {
        self.starts.get(pc / 64).is_some_and(|word| word >> (pc % 64) & 1 == 1)
    }
}

/// The word after an instruction.
fn aux_at(proto: &Proto, pc: usize) -> u32 {
    proto.code.get(pc + 1).copied().unwrap_or(0)
}

/// V1, V3: what can be said of each instruction by itself and by its neighbours. The targets of jumps are marked.
fn words(proto: &Proto, places: &mut Places, budget: &mut Budget) -> Check {
    let registers = proto.max_stack as usize;
    let (mut pc, mut before) = (0, None);
    places.targets.set(0);
    while pc < proto.code.len() {
        budget.work(1)?;
        let instr = Instr(proto.code[pc]);
        let (op, declaration) = (instr.op(), instr.op().declaration());
        let next = pc + op.words();
        let following = proto.code.get(next).map(|&word| Instr(word));
        let aux = if declaration.aux == Aux::None { 0 } else { aux_at(proto, pc) };
        let fail = |what: &str| unsound(proto, pc, what);

        let out_of_range = |what: &str, value: usize| unsound(proto, pc, format_args!("{what} {value} out of range"));
        let is_constant = |index: usize| index < proto.consts.len();
        let operand = |role: Role, value: u8| {
            let value = value as usize;
            let (fine, what) = match role {
                Role::Unused | Role::Plain | Role::Signed => (true, ""),
                Role::Write | Role::Read | Role::ToBox | Role::Box | Role::Either => (value < registers, "register"),
                Role::Const => (is_constant(value), "constant"),
                Role::Number => (matches!(proto.consts.get(value), Some(Const::Int(_) | Const::Float(_))), "number"),
                Role::Upval => (value < proto.upvals.len(), "upvalue"),
                Role::Count(least) => (value >= least.into(), "count"),
                Role::Size => (value <= MAX_SIZE.into(), "size"),
            };
            if fine { Ok(()) } else { out_of_range(what, value) }
        };
        let wide = instr.bx() as usize;
        match declaration.layout {
            Layout::Abc([a, b, c]) => {
                operand(a, instr.a())?;
                operand(b, instr.b())?;
                operand(c, instr.c())?;
            }
            Layout::ABx(role, kind) => {
                operand(role, instr.a())?;
                match kind {
                    Wide::Const if !is_constant(wide) => return out_of_range("constant", wide),
                    Wide::Proto if wide >= proto.protos.len() => return out_of_range("function", wide),
                    _ => {}
                }
            }
            Layout::Jump => {}
        }
        match declaration.aux {
            Aux::Const if !is_constant(aux as usize) => return out_of_range("constant", aux as usize),
            Aux::Proto if aux as usize >= proto.protos.len() => return out_of_range("function", aux as usize),
            Aux::Field if !matches!(proto.consts.get(aux as usize & 0xFFFF), Some(Const::Str(_))) => {
                return out_of_range("field name", aux as usize & 0xFFFF);
            }
            _ => {}
        }

        // The registers that it uses exist.
        let rows = instr.reads().into_iter().chain(instr.writes());
        let loop_end = if declaration.numeric == Numeric::No { 0 } else { 3 };
        let room = instr.a() as usize + (declaration.room as usize).max(loop_end);
        let end = rows.map(|row| row.end()).chain(instr.keeps(before)).max().unwrap_or(0);
        if end > registers || declaration.room.max(loop_end as u8) > 0 && room > registers {
            return fail("registers out of range");
        }

        // Neighbours.
        if let Some(then) = declaration.then
            && !following
                .is_some_and(|other| Op::decode(other.0) == Some(then) && (!then.has_register() || other.a() == instr.a()))
        {
            return unsound(proto, pc, format_args!("no {} follows", then.name()));
        }
        if let Some(after) = declaration.after
            && !before.is_some_and(|other: Instr| other.op() == after && other.a() == instr.a())
        {
            return unsound(proto, pc, format_args!("no {} before", after.name()));
        }
        let leaves_open = open_row(Some(instr)).is_some();
        let takes_open = |instr: Instr| Op::decode(instr.0).is_some() && instr.reads().is_some_and(|row| row.count.is_none());
        if leaves_open && !following.is_some_and(takes_open) {
            return fail("open values are not used");
        }
        if takes_open(instr) {
            let from = instr.reads().map_or(0, |row| row.from);
            if open_row(before).is_none_or(|open| open < from) {
                return fail("no open values");
            }
        }
        match op {
            Op::VarArgPrep if pc != 0 => return fail("not at the start"),
            Op::VarArg if !proto.is_vararg => return fail("not a vararg function"),
            _ => {}
        }

        // Where it leads.
        let back = matches!(declaration.layout, Layout::ABx(_, Wide::Back)) || declaration.aux == Aux::Back;
        if let Some(target) = instr.target(pc, aux) {
            if back != (target <= pc) {
                return fail("jump in the wrong direction");
            }
            if !places.is_start(target) {
                return unsound(proto, pc, format_args!("jump to {target}"));
            }
            places.targets.set(target);
        }
        for (place, _) in instr.ways(pc, aux).into_iter().flatten() {
            if !places.is_start(place) {
                return fail("code runs off its end, or into a word that is no instruction");
            }
            if place != next {
                places.targets.set(place);
            }
        }
        before = Some(instr);
        pc = next;
    }
    Ok(())
}

/// V6.
fn locals(proto: &Proto, budget: &mut Budget) -> Check {
    let mut ends = [0; 256];
    let mut last_start = 0;
    for local in &proto.locals {
        budget.work(1)?;
        let (start, end) = (local.start_pc, local.end_pc);
        let own_end = &mut ends[local.register as usize];
        if local.register >= proto.max_stack || start > end || end as usize > proto.code.len() {
            return Err("debug information out of range".into());
        }
        if start < last_start || start < end && start < *own_end {
            return Err("debug information out of order".into());
        }
        last_start = start;
        *own_end = end.max(*own_end);
    }
    Ok(())
}

/// The locals that are active at a place that only moves forward.
struct Active<'p> {
    rest: std::slice::Iter<'p, LocalVar>,
    values: Set,
    boxes: Set,
    /// Those that a program can set.
    free: Set,
    ends: [u32; 256],
    next_end: u32,
}

impl<'p> Active<'p> {
    fn new(locals: &'p [LocalVar]) -> Active<'p> {
        Active {
            rest: locals.iter(),
            values: Set::EMPTY,
            boxes: Set::EMPTY,
            free: Set::EMPTY,
            ends: [0; 256],
            next_end: u32::MAX,
        }
    }

    fn all(&self) -> Set {
        self.values.with(self.boxes)
    }

    fn advance(&mut self, pc: usize, budget: &mut Budget) -> Check {
        let pc = pc as u32;
        if self.next_end <= pc {
            self.next_end = u32::MAX;
            for register in self.all().iter() {
                let end = self.ends[register];
                if end <= pc {
                    let gone = Set::one(register);
                    self.values = self.values.without(gone);
                    self.boxes = self.boxes.without(gone);
                    self.free = self.free.without(gone);
                } else {
                    self.next_end = self.next_end.min(end);
                }
            }
            budget.work(16)?;
        }
        while let Some(local) = self.rest.as_slice().first().filter(|local| local.start_pc <= pc) {
            self.rest.next();
            budget.work(1)?;
            if local.end_pc <= pc {
                continue;
            }
            let register = Set::one(local.register.into());
            if local.boxed {
                self.boxes = self.boxes.with(register);
            } else {
                self.values = self.values.with(register);
            }
            if local.name.first() != Some(&b'(') {
                self.free = self.free.with(register);
            }
            self.ends[local.register as usize] = local.end_pc;
            self.next_end = self.next_end.min(local.end_pc);
        }
        Ok(())
    }
}

/// The way through the code with what is known of the registers.
struct Walk<'p> {
    proto: &'p Proto,
    targets: Marks,
    /// The places that jumps lead to, in order.
    places: Vec<u32>,
    /// The live top of the jumps back to each place.
    tops: Vec<u8>,
    /// What is known at each place: as many words of each set as the registers need, set after set.
    states: Vec<u64>,
    words: usize,
    /// Whether a place has been reached at all, and whether more has become known of it since it was gone through.
    reached: Vec<(bool, bool)>,
}

impl<'p> Walk<'p> {
    fn new(proto: &'p Proto, places: Places, budget: &mut Budget) -> Check<Walk<'p>> {
        let mut targets = places.targets;
        let count = targets.count();
        let words = (proto.max_stack as usize).div_ceil(64);
        let mut walk = Walk {
            proto,
            places: budget.list(count)?,
            tops: budget.filled(u8::MAX, count)?,
            states: budget.filled(0, 4 * words * count)?,
            words,
            reached: budget.filled((false, false), count)?,
            targets,
        };
        let (mut pc, mut before) = (0, None);
        while pc < proto.code.len() {
            budget.work(1)?;
            let instr = Instr(proto.code[pc]);
            if walk.targets.get(pc) {
                // Nothing leads between two parts of one thing.
                if instr.op().declaration().after.is_some() || open_row(before).is_some() {
                    return unsound(proto, pc, "jump between two parts");
                }
                walk.places.push(pc as u32);
            }
            if let Some(target) = instr.target(pc, aux_at(proto, pc)).filter(|&target| target <= pc) {
                let top = instr.keeps(before).unwrap_or(usize::MAX).min(u8::MAX.into()) as u8;
                let known = &mut walk.tops[walk.targets.rank(target)];
                *known = top.min(*known);
            }
            before = Some(instr);
            pc += instr.op().words();
        }
        Ok(walk)
    }

    fn bytes(&self) -> usize {
        self.places.len() * 4 + self.tops.len() + self.states.len() * 8 + self.reached.len() * size_of::<(bool, bool)>()
    }

    fn state(&self, place: usize) -> State {
        let words = self.words;
        let stored = &self.states[4 * words * place..][..4 * words];
        let set = |index: usize| {
            let mut set = [0; 4];
            set[..words].copy_from_slice(&stored[index * words..][..words]);
            Set::of_words(set)
        };
        State { values: set(0), boxes: set(1), loops: set(2), pending: set(3) }
    }

    fn set_state(&mut self, place: usize, state: &State) {
        let words = self.words;
        let stored = &mut self.states[4 * words * place..][..4 * words];
        for (index, set) in [state.values, state.boxes, state.loops, state.pending].iter().enumerate() {
            stored[index * words..][..words].copy_from_slice(&set.words()[..words]);
        }
    }

    /// Control may come to a target with the registers like this.
    fn flow_to(&mut self, target: usize, mut state: State) {
        let place = self.targets.rank(target);
        state.cut(self.tops[place].into());
        if self.reached[place].0 {
            let known = self.state(place);
            state = known.meet(state);
            if state == known {
                return;
            }
        }
        self.set_state(place, &state);
        self.reached[place] = (true, true);
    }

    fn run(mut self, budget: &mut Budget) -> Check {
        self.flow_to(0, State::entry(self.proto.num_params));
        for _ in 0..MAX_PASSES {
            let mut active = Active::new(&self.proto.locals);
            for place in 0..self.places.len() {
                if self.reached[place].1 {
                    self.reached[place].1 = false;
                    self.stretch(place, &mut active, budget)?;
                }
            }
            if self.reached.iter().all(|&(_, dirty)| !dirty) {
                return Ok(());
            }
        }
        Err("control flow too complex".into())
    }

    /// Goes from a place to where the next one begins, or control goes elsewhere.
    fn stretch(&mut self, place: usize, active: &mut Active<'p>, budget: &mut Budget) -> Check {
        let proto = self.proto;
        let mut pc = self.places[place] as usize;
        let mut state = self.state(place);
        // Nothing that looks back at the one before can be jumped to.
        let mut before = None;
        loop {
            budget.work(1)?;
            active.advance(pc, budget)?;
            let instr = Instr(proto.code[pc]);
            let aux = aux_at(proto, pc);
            let needs = instr.needs(before, captures(proto, instr, aux));
            self.variables(&state, active, instr, pc, needs.keeps)?;
            if let Err(lack) = state.check(&needs) {
                return unsound(proto, pc, lack);
            }
            let next = pc + instr.op().words();
            let mut on = None;
            let unchanged = state;
            state.apply(instr, &needs);
            for (target, effects) in instr.ways(pc, aux).into_iter().flatten() {
                let there = if effects { state } else { unchanged };
                if target == next && !self.targets.get(target) {
                    on = Some(there);
                } else {
                    self.flow_to(target, there);
                }
            }
            let Some(there) = on else { return Ok(()) };
            (state, pc, before) = (there, next, Some(instr));
        }
    }

    /// V2, for the variables that debug information names.
    fn variables(&self, state: &State, active: &Active, instr: Instr, pc: usize, keeps: Option<usize>) -> Check {
        if !(state.values.contains(active.values) && state.boxes.contains(active.boxes)) {
            let register = active.values.without(state.values).with(active.boxes.without(state.boxes)).first().unwrap_or(0);
            return unsound(self.proto, pc, format_args!("register {register} does not hold its variable"));
        }
        if !state.loops.is_empty() && !state.loop_states().and(active.free).is_empty() {
            return unsound(self.proto, pc, "the state of a loop as a variable");
        }
        // At a jump back they are those of the place where it leads to.
        let stays = instr.op().declaration().flow == Flow::Next;
        match keeps {
            Some(top) if stays && !Set::below(top).contains(active.all()) => {
                unsound(self.proto, pc, "a local variable in a register that is given up")
            }
            _ => Ok(()),
        }
    }
}

/// The registers whose boxes an instruction puts into a closure.
fn captures(proto: &Proto, instr: Instr, aux: u32) -> impl Iterator<Item = u8> {
    let inner = instr.function(aux).and_then(|index| proto.protos.get(index));
    inner.into_iter().flat_map(|inner| &inner.upvals).filter(|upval| upval.from_register).map(|upval| upval.index)
}
