//! Emission: words of code with their lines, constants, registers, jumps.

use crate::bytecode::{Const, Instr, LocalVar, Op, Proto, Source};
use crate::syntax::ast::{Ast, ExprId, ExprKind, Function, LocalId, Packed};
use crate::syntax::{StrId, SyntaxError, boxed};
use foldhash::fast::RandomState;
use indexmap::IndexSet;

/// At most so many registers can a function use.
pub const MAX_REGISTERS: usize = 255;

/// Why a source that has been parsed can't be compiled.
pub enum Failure {
    /// It asks for more than the bytecode has; the expression at which that was seen.
    Limit(&'static str, ExprId),
    /// There is no memory for it, or it was interrupted.
    Refused(Box<SyntaxError>),
}

impl From<Box<SyntaxError>> for Failure {
    fn from(error: Box<SyntaxError>) -> Failure {
        Failure::Refused(error)
    }
}

pub type Fallible<T> = Result<T, Failure>;

/// A constant as the key of its table: floats by their bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConstKey {
    Nil,
    Bool(bool),
    Int(i64),
    Float(u64),
    Str(StrId),
}

/// Forward jumps that wait for their target: a list in `Emitter::jumps`.
#[derive(Clone, Copy, Default)]
pub struct JumpList(Option<u32>);

struct PendingJump {
    pc: u32,
    next: JumpList,
}

/// A label while its function is being compiled.
pub struct LabelState {
    pub pc: Option<usize>,
    pub pending: JumpList,
    /// Registers of live variables at the label.
    pub level: u8,
}

/// What is needed while a function is compiled, and no longer. It serves for the next one too, which then need not let it grow anew.
#[derive(Default)]
pub struct Workspace {
    code: Vec<u32>,
    lines: Vec<u32>,
    locals: Vec<LocalVar>,
    consts: IndexSet<ConstKey, RandomState>,
    labels: Vec<LabelState>,
    to_close: Vec<u8>,
    active: Vec<usize>,
    spine: Vec<ExprId>,
    jumps: Vec<PendingJump>,
}

/// A workspace in which more of anything than this was made is not kept, and less of it not counted: small functions are many.
const KEPT: usize = 1 << 10;

/// What all functions of a chunk share.
pub struct Shared<'a> {
    pub ast: &'a Ast,
    pub source: Source,
    /// The expression being compiled, or the last one that was: where the source is, for messages.
    pub at: ExprId,
    /// Whether `for` loops are compiled in the form that has room for any body (see `stmt`). Set when one had not.
    pub long_loops: bool,
    /// Set with an error that only means: compile this function again.
    pub again: bool,
    /// Expressions and statements so far, about.
    pub steps: u32,
    /// What the code made so far takes, about, and the most that it may take.
    pub bytes: usize,
    pub room: usize,
    pub go_on: &'a mut dyn FnMut() -> bool,
    /// Cleared.
    pub workspaces: Vec<Workspace>,
}

impl Shared<'_> {
    /// So many more bytes are code.
    fn take(&mut self, more: usize) -> Fallible<()> {
        self.bytes += more;
        if self.bytes > self.room { Err(SyntaxError::out_of_memory().into()) } else { Ok(()) }
    }
}

/// Steps between two looks at the lists that grow. (A step is a few words of code at most.)
const CHECK_STEPS: u32 = 1 << 7;
/// Steps between two calls of the hook.
const ASK_STEPS: u32 = 1 << 14;

/// A function under compilation.
pub struct Emitter<'a, 's> {
    pub shared: &'s mut Shared<'a>,
    pub ast: &'a Ast,
    pub function: &'a Function,
    pub proto: Proto,
    consts: IndexSet<ConstKey, RandomState>,
    /// The line that emitted words get.
    pub line: u32,
    pub free: usize,
    pub labels: Vec<LabelState>,
    /// Registers of to-be-closed variables that may be pending here, in ascending order.
    pub to_close: Vec<u8>,
    /// Indices into `proto.locals` of those that are active.
    pub active: Vec<usize>,
    /// Nodes of the chains being walked.
    pub spine: Vec<ExprId>,
    jumps: Vec<PendingJump>,
    /// Its share of `Shared::bytes`.
    counted: usize,
    /// Where the last instruction starts, unless a jump may lead behind it.
    last: Option<usize>,
}

impl<'a, 's> Emitter<'a, 's> {
    pub fn new(shared: &'s mut Shared<'a>, function: &'a Function) -> Emitter<'a, 's> {
        let Workspace { code, lines, locals, consts, mut labels, to_close, active, spine, jumps } =
            shared.workspaces.pop().unwrap_or_default();
        let levels = function.label_levels.iter();
        labels.extend(levels.map(|&level| LabelState { pc: None, pending: JumpList::default(), level }));
        let mut proto = Proto::of(&shared.source);
        (proto.code, proto.lines, proto.locals) = (code, lines, locals);
        Emitter {
            ast: shared.ast,
            function,
            proto,
            consts,
            line: function.line,
            free: 0,
            labels,
            to_close,
            active,
            spine,
            jumps,
            counted: 0,
            last: None,
            shared,
        }
    }

    pub fn finish(mut self) -> Fallible<Proto> {
        self.proto.consts.try_reserve_exact(self.consts.len()).map_err(|_| SyntaxError::out_of_memory())?;
        for key in self.consts.iter() {
            self.proto.consts.push(match *key {
                ConstKey::Nil => Const::Nil,
                ConstKey::Bool(value) => Const::Bool(value),
                ConstKey::Int(value) => Const::Int(value),
                ConstKey::Float(bits) => Const::Float(f64::from_bits(bits)),
                ConstKey::Str(id) => {
                    let text = self.ast.strings.get(id);
                    self.shared.take(text.len())?;
                    Const::Str(boxed(text, self.shared.go_on)?)
                }
            });
        }
        self.thread_jumps();
        self.count()?;
        Ok(self.without_workspace())
    }

    /// What has been made, in vectors of its own if they are short.
    fn without_workspace(mut self) -> Proto {
        let sizes = [self.pc(), self.consts.len(), self.labels.len(), self.proto.locals.len(), self.spine.capacity()];
        if sizes.into_iter().any(|size| size > KEPT) {
            return self.proto;
        }
        let Proto { code, lines, locals, .. } = &mut self.proto;
        let mut space = Workspace {
            code: std::mem::take(code),
            lines: std::mem::take(lines),
            locals: std::mem::take(locals),
            consts: self.consts,
            labels: self.labels,
            to_close: self.to_close,
            active: self.active,
            spine: self.spine,
            jumps: self.jumps,
        };
        code.extend_from_slice(&space.code);
        lines.extend_from_slice(&space.lines);
        locals.append(&mut space.locals);
        space.code.clear();
        space.lines.clear();
        space.consts.clear();
        space.labels.clear();
        space.to_close.clear();
        space.active.clear();
        space.spine.clear();
        space.jumps.clear();
        self.shared.workspaces.push(space);
        self.proto
    }

    /// C4. Called for each expression that needs a register and for each statement.
    #[inline]
    pub fn step(&mut self) -> Fallible<()> {
        self.shared.steps = self.shared.steps.wrapping_add(1);
        if self.shared.steps.is_multiple_of(CHECK_STEPS) { self.check() } else { Ok(()) }
    }

    #[cold]
    fn check(&mut self) -> Fallible<()> {
        if self.shared.steps.is_multiple_of(ASK_STEPS) && !(self.shared.go_on)() {
            return Err(SyntaxError::stopped().into());
        }
        self.count()?;
        /// What a list may grow by until the next check.
        const MORE: usize = 16 * CHECK_STEPS as usize;
        if self.pc() < MORE && self.proto.protos.len() < MORE {
            return Ok(());
        }
        let Proto { code, lines, locals, protos, .. } = &mut self.proto;
        let result = (code.try_reserve(MORE))
            .and_then(|()| lines.try_reserve(MORE))
            .and_then(|()| locals.try_reserve(MORE))
            .and_then(|()| protos.try_reserve(CHECK_STEPS as usize))
            .and_then(|()| self.active.try_reserve(MORE))
            .and_then(|()| self.jumps.try_reserve(MORE));
        result.map_err(|_| SyntaxError::out_of_memory())?;
        Ok(self.consts.try_reserve(MORE).map_err(|_| SyntaxError::out_of_memory())?)
    }

    /// Whether the code still has room.
    fn count(&mut self) -> Fallible<()> {
        /// What a function has of its own, with the heads of its vectors.
        const FUNCTION: usize = size_of::<Proto>() + 128;
        /// What a constant or a variable has beside: the block of its name, or a place in the table of constants.
        const HEAD: usize = 32;
        let Proto { code, lines, locals, .. } = &self.proto;
        let bytes = FUNCTION
            + size_of_val(&code[..])
            + size_of_val(&lines[..])
            + locals.len() * (size_of::<LocalVar>() + HEAD)
            + self.consts.len() * (size_of::<Const>() + HEAD)
            + size_of_val(&self.jumps[..])
            + self.spine.capacity().saturating_sub(KEPT) * size_of::<ExprId>();
        let more = bytes - self.counted;
        self.counted = bytes;
        self.shared.take(more)
    }

    /// A node of a chain that is being walked.
    pub fn push_spine(&mut self, node: ExprId) -> Fallible<()> {
        self.step()?;
        if self.spine.len() == self.spine.capacity() {
            self.spine.try_reserve(1).map_err(|_| SyntaxError::out_of_memory())?;
        }
        self.spine.push(node);
        Ok(())
    }

    pub fn limit(&self, what: &'static str) -> Failure {
        Failure::Limit(what, self.shared.at)
    }

    // Words.

    pub fn pc(&self) -> usize {
        self.proto.code.len()
    }

    fn word(&mut self, word: u32) {
        self.proto.code.push(word);
        self.proto.lines.push(self.line);
    }

    fn instr(&mut self, instr: Instr) {
        self.last = Some(self.pc());
        self.word(instr.0);
    }

    pub fn abc(&mut self, op: Op, a: u8, b: u8, c: u8) {
        self.instr(Instr::abc(op, a, b, c));
    }

    pub fn abx(&mut self, op: Op, a: u8, bx: u16) {
        self.instr(Instr::abx(op, a, bx));
    }

    pub fn with_aux(&mut self, op: Op, a: u8, b: u8, c: u8, aux: u32) {
        self.abc(op, a, b, c);
        self.word(aux);
    }

    pub fn patch(&mut self, pc: usize, instr: Instr) {
        self.proto.code[pc] = instr.0;
    }

    pub fn patch_aux(&mut self, pc: usize, aux: u32) {
        self.proto.code[pc + 1] = aux;
    }

    pub fn load_nil(&mut self, first: u8, count: usize) {
        let Some(more) = count.checked_sub(1) else { return };
        if let Some(last) = self.last {
            let previous = Instr(self.proto.code[last]);
            let end = previous.a() as usize + previous.b() as usize + 1;
            if previous.op() == Op::LoadNil && end == first as usize {
                self.patch(last, Instr::abc(Op::LoadNil, previous.a(), previous.b() + count as u8, 0));
                return;
            }
        }
        self.abc(Op::LoadNil, first, more as u8, 0);
    }

    // Registers.

    /// Takes the next `count` registers; gives the first.
    pub fn reserve(&mut self, count: usize) -> Fallible<u8> {
        let first = self.free;
        self.step()?;
        self.check_registers(count)?;
        self.free += count;
        Ok(first as u8)
    }

    /// Makes sure that `count` registers may be used above those in use.
    pub fn check_registers(&mut self, count: usize) -> Fallible<()> {
        let top = self.free + count;
        if top > MAX_REGISTERS {
            return Err(self.limit("function or expression needs too many registers"));
        }
        self.proto.max_stack = self.proto.max_stack.max(top as u8);
        Ok(())
    }

    // Constants.

    pub fn constant(&mut self, key: ConstKey) -> u32 {
        self.consts.insert_full(key).0 as u32
    }

    pub fn const_key(kind: ExprKind) -> Option<ConstKey> {
        Some(match kind {
            ExprKind::Nil => ConstKey::Nil,
            ExprKind::Bool(value) => ConstKey::Bool(value),
            ExprKind::Int(Packed(value)) => ConstKey::Int(value),
            ExprKind::Float(Packed(value)) => ConstKey::Float(value.to_bits()),
            ExprKind::Str(id) => ConstKey::Str(id),
            _ => return None,
        })
    }

    /// The constant that an expression is, if an operand of 8 bits can name it.
    pub fn const_operand(&mut self, expr: ExprId) -> Option<u8> {
        let key = Self::const_key(self.ast[expr].kind)?;
        u8::try_from(self.constant(key)).ok()
    }

    pub fn load_const(&mut self, register: u8, key: ConstKey) {
        let index = self.constant(key);
        match u16::try_from(index) {
            Ok(index) => self.abx(Op::LoadK, register, index),
            Err(_) => self.with_aux(Op::LoadKX, register, 0, 0, index),
        }
    }

    // Jumps.

    /// Marks this place as the target of a jump.
    pub fn here(&mut self) -> usize {
        self.last = None;
        self.pc()
    }

    /// A forward jump that joins the list.
    pub fn jump(&mut self, list: &mut JumpList) {
        let node = PendingJump { pc: self.pc() as u32, next: *list };
        *list = JumpList(Some(self.jumps.len() as u32));
        self.jumps.push(node);
        self.instr(Instr::sj(Op::Jmp, 0));
    }

    /// Lets the jumps of a list lead here.
    pub fn land(&mut self, mut list: JumpList) -> Fallible<()> {
        let target = self.here();
        while let Some(index) = list.0 {
            let PendingJump { pc, next } = self.jumps[index as usize];
            self.set_jump(pc as usize, target)?;
            list = next;
        }
        Ok(())
    }

    fn set_jump(&mut self, pc: usize, target: usize) -> Fallible<()> {
        let distance = target as i64 - (pc as i64 + 1);
        if distance > Instr::MAX_SJ as i64 {
            return Err(self.limit("control structure too long"));
        }
        self.patch(pc, Instr::sj(Op::Jmp, distance as i32));
        Ok(())
    }

    /// A backward jump, with `live` registers live at its target.
    pub fn jump_back(&mut self, target: usize, live: u8) {
        match u16::try_from(self.pc() + 1 - target) {
            Ok(distance) => self.abx(Op::Loop, live, distance),
            Err(_) => {
                let distance = (self.pc() + 1 - target) as u32;
                self.with_aux(Op::LoopX, live, 0, 0, distance);
            }
        }
    }

    /// Shortens jumps to jumps.
    fn thread_jumps(&mut self) {
        for index in 0..self.jumps.len() {
            let pc = self.jumps[index].pc as usize;
            let first = pc as i64 + 1 + Instr(self.proto.code[pc]).get_sj() as i64;
            let mut target = first;
            // A bound, so that the time stays linear.
            for _ in 0..16 {
                let next = Instr(self.proto.code[target as usize]);
                if next.op() != Op::Jmp {
                    break;
                }
                target += 1 + next.get_sj() as i64;
            }
            let distance = target - (pc as i64 + 1);
            if target != first && distance <= Instr::MAX_SJ as i64 {
                self.patch(pc, Instr::sj(Op::Jmp, distance as i32));
            }
        }
    }

    // Local variables.

    /// Opens the debug information of `count` locals from `first`: they are visible from here.
    pub fn activate(&mut self, first: LocalId, count: usize) {
        for index in first.0 as usize..first.0 as usize + count {
            let local = self.function.locals[index];
            self.activate_as(index, local.captured);
        }
    }

    pub fn activate_as(&mut self, index: usize, boxed: bool) {
        let local = self.function.locals[index];
        self.active.push(self.proto.locals.len());
        let name = self.ast.strings.get(local.name).into();
        let start_pc = self.pc() as u32;
        self.proto.locals.push(LocalVar { name, register: local.register, boxed, start_pc, end_pc: start_pc });
    }

    /// Ends the visibility of the active locals from the `mark`-th on.
    pub fn deactivate(&mut self, mark: usize) {
        let end_pc = self.pc() as u32;
        let mark = mark.min(self.active.len());
        for &index in &self.active[mark..] {
            self.proto.locals[index].end_pc = end_pc;
        }
        self.active.truncate(mark);
    }

    /// Puts those of `count` locals from `first` into boxes that a closure captures.
    pub fn box_captured(&mut self, first: LocalId, count: usize) {
        for index in first.0 as usize..first.0 as usize + count {
            let local = self.function.locals[index];
            if local.captured {
                self.abc(Op::NewBox, local.register, 0, 0);
            }
        }
    }
}
