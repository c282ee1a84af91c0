//! Scopes: which variable a name means, which labels a goto sees, and the limits of a function.
//!
//! * **S1** A variable is declared before it is active: it can be named only from the end of its declaration.
//! * **S2** The register of an active variable is the number of active variables before it that are not compile-time
//!   constants. Code generation relies on it.
//! * **S3** A goto that waits for its label has the level of the innermost block around it that is still open.

use super::ast::{ExprKind, Function, LabelId, Local, LocalId, Upval};
use super::strings::StrId;

/// At most so many local variables can be active in a function.
pub const MAX_LOCALS: usize = 200;
/// At most so many upvalues can a function have.
pub const MAX_UPVALS: usize = 255;
/// At most so many labels can be visible in a function, and so many gotos wait in it: they are searched one by one.
pub const MAX_LABELS: usize = 32767;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Attrib {
    Regular,
    Const,
    Close,
}

#[derive(Clone, Copy)]
enum Storage {
    /// Declared, not active.
    Pending,
    Register(LocalId),
    Constant(ExprKind),
}

#[derive(Clone, Copy)]
struct Variable {
    name: StrId,
    attrib: Attrib,
    storage: Storage,
}

struct BlockScope {
    /// Active variables when the block was entered.
    level: usize,
    first_label: usize,
    first_goto: usize,
    /// Where a break leads, if the block is a loop.
    loop_exit: Option<LabelId>,
}

struct VisibleLabel {
    name: StrId,
    line: u32,
    id: LabelId,
}

struct PendingGoto {
    /// `None`: a break.
    name: Option<StrId>,
    line: u32,
    level: usize,
    index: usize,
}

/// What a name means.
#[derive(Clone, Copy)]
pub enum Meaning {
    Local(LocalId),
    Upval(u8),
    Constant(ExprKind),
    Global,
}

/// What is wrong with a label or a goto.
pub enum GotoError {
    Repeated(u32),
    JumpsIntoScope { goto_line: u32, local: StrId },
    NoLabel { name: StrId, line: u32 },
    BreakOutsideLoop { line: u32 },
    TooMany,
}

/// A function while it is being parsed.
#[derive(Default)]
pub struct FunctionScope {
    pub function: Function,
    upval_attribs: Vec<Attrib>,
    variables: Vec<Variable>,
    active: usize,
    blocks: Vec<BlockScope>,
    labels: Vec<VisibleLabel>,
    gotos: Vec<PendingGoto>,
}

impl FunctionScope {
    /// The scope of a function whose last block has been closed becomes that of the next one. Gives the function that was.
    pub fn renew(&mut self, line: u32) -> Function {
        self.upval_attribs.clear();
        self.active = 0;
        std::mem::replace(&mut self.function, Function { line, ..Function::default() })
    }

    /// The bytes of its lists.
    pub fn bytes(&self) -> usize {
        self.function.bytes()
            + size_of_val(&self.variables[..])
            + size_of_val(&self.blocks[..])
            + size_of_val(&self.labels[..])
            + size_of_val(&self.gotos[..])
    }

    /// Declares a variable; `false` if there are too many.
    #[must_use]
    pub fn declare(&mut self, name: StrId, attrib: Attrib) -> bool {
        self.variables.push(Variable { name, attrib, storage: Storage::Pending });
        self.variables.len() <= MAX_LOCALS
    }

    pub fn set_last_attrib(&mut self, attrib: Attrib) {
        if let Some(variable) = self.variables.last_mut() {
            variable.attrib = attrib;
        }
    }

    /// Activates the next `count` declared variables; gives the first.
    pub fn activate(&mut self, count: usize) -> LocalId {
        let first = self.function.locals.len();
        // At most `MAX_LOCALS` are active, so registers do not run out.
        let registers = self.register_level(self.active)..;
        for (variable, register) in self.variables[self.active..self.active + count].iter_mut().zip(registers) {
            let local = LocalId(self.function.locals.len() as u32);
            self.function.locals.push(Local { name: variable.name, register, captured: false });
            variable.storage = Storage::Register(local);
        }
        self.active += count;
        LocalId(first as u32)
    }

    /// Activates the next declared variable as a compile-time constant.
    pub fn activate_constant(&mut self, value: ExprKind) {
        self.variables[self.active].storage = Storage::Constant(value);
        self.active += 1;
    }

    /// The number of registers that the first `level` variables take.
    fn register_level(&self, level: usize) -> u8 {
        for variable in self.variables[..level].iter().rev() {
            if let Storage::Register(local) = variable.storage {
                return self.function.locals[local.0 as usize].register + 1;
            }
        }
        0
    }

    pub fn open_block(&mut self, is_loop: bool) -> Option<LabelId> {
        let loop_exit = is_loop.then(|| self.new_label(self.active));
        self.blocks.push(BlockScope {
            level: self.active,
            first_label: self.labels.len(),
            first_goto: self.gotos.len(),
            loop_exit,
        });
        loop_exit
    }

    /// The names that lose a meaning when the innermost block is closed.
    pub fn names_of_block(&self) -> impl Iterator<Item = StrId> {
        let level = self.blocks.last().map_or(0, |block| block.level);
        self.variables[level..].iter().map(|variable| variable.name)
    }

    pub fn close_block(&mut self) -> Result<(), GotoError> {
        let Some(block) = self.blocks.pop() else { return Ok(()) };
        self.variables.truncate(block.level);
        self.active = block.level;
        self.labels.truncate(block.first_label);
        if let Some(exit) = block.loop_exit {
            let gotos = &mut self.function.gotos;
            retain_from(&mut self.gotos, block.first_goto, |goto| {
                if goto.name.is_none() {
                    gotos[goto.index] = exit;
                }
                goto.name.is_some()
            });
        }
        if self.blocks.is_empty() {
            return match self.gotos.first() {
                None => Ok(()),
                Some(&PendingGoto { name: Some(name), line, .. }) => Err(GotoError::NoLabel { name, line }),
                Some(&PendingGoto { name: None, line, .. }) => Err(GotoError::BreakOutsideLoop { line }),
            };
        }
        for goto in &mut self.gotos[block.first_goto..] {
            goto.level = block.level;
        }
        Ok(())
    }

    fn new_label(&mut self, level: usize) -> LabelId {
        let id = LabelId(self.function.label_levels.len() as u32);
        self.function.label_levels.push(self.register_level(level));
        id
    }

    /// Checks that a label of this name may be set here.
    pub fn check_label(&self, name: StrId) -> Result<(), GotoError> {
        match self.labels.iter().find(|label| label.name == name) {
            Some(label) => Err(GotoError::Repeated(label.line)),
            None if self.labels.len() >= MAX_LABELS => Err(GotoError::TooMany),
            None => Ok(()),
        }
    }

    /// Sets a label. If only void statements follow it in its block, the block's variables are already out of scope.
    pub fn add_label(&mut self, name: StrId, line: u32, is_last: bool) -> Result<LabelId, GotoError> {
        let block = self.blocks.last();
        let first_goto = block.map_or(0, |block| block.first_goto);
        let level = if is_last { block.map_or(0, |block| block.level) } else { self.active };
        let id = self.new_label(level);
        self.labels.push(VisibleLabel { name, line, id });
        let mut error = None;
        let (gotos, variables) = (&mut self.function.gotos, &self.variables);
        retain_from(&mut self.gotos, first_goto, |goto| {
            if goto.name != Some(name) {
                return true;
            }
            if goto.level < level && error.is_none() {
                error = Some(GotoError::JumpsIntoScope { goto_line: goto.line, local: variables[goto.level].name });
            }
            gotos[goto.index] = id;
            false
        });
        error.map_or(Ok(id), Err)
    }

    /// A goto, or a break if it has no name; gives its index among the function's gotos.
    pub fn add_goto(&mut self, name: Option<StrId>, line: u32) -> Result<u32, GotoError> {
        if self.gotos.len() >= MAX_LABELS {
            return Err(GotoError::TooMany);
        }
        let index = self.function.gotos.len();
        match self.labels.iter().find(|label| Some(label.name) == name) {
            Some(label) => self.function.gotos.push(label.id),
            None => {
                // Replaced when the label comes; if it never comes, that is an error.
                self.function.gotos.push(LabelId(u32::MAX));
                self.gotos.push(PendingGoto { name, line, level: self.active, index });
            }
        }
        Ok(index as u32)
    }

    fn find_variable(&self, name: StrId) -> Option<&Variable> {
        self.variables[..self.active].iter().rev().find(|variable| variable.name == name)
    }

    /// The upvalue of this name, if the function has it already.
    pub fn find_upval(&self, name: StrId) -> Option<u8> {
        self.function.upvals.iter().position(|upval| upval.name == name).map(|index| index as u8)
    }

    /// Adds an upvalue; `None` if there are too many.
    pub fn add_upval(&mut self, upval: Upval, attrib: Attrib) -> Option<u8> {
        let index = u8::try_from(self.function.upvals.len()).ok().filter(|&index| (index as usize) < MAX_UPVALS)?;
        self.function.upvals.push(upval);
        self.upval_attribs.push(attrib);
        Some(index)
    }
}

/// `Vec::retain` for the elements from `start` on.
fn retain_from<T>(items: &mut Vec<T>, start: usize, mut keep: impl FnMut(&T) -> bool) {
    let mut kept = start;
    for at in start..items.len() {
        if keep(&items[at]) {
            items.swap(kept, at);
            kept += 1;
        }
    }
    items.truncate(kept);
}

/// What `name` means in the innermost of these functions. A variable of an enclosing one becomes an upvalue of all
/// functions in between; `Err` holds the index of the function that has too many of them.
pub fn resolve(scopes: &mut [FunctionScope], name: StrId) -> Result<Meaning, usize> {
    let innermost = scopes.len() - 1;
    for depth in (0..scopes.len()).rev() {
        let scope = &mut scopes[depth];
        let (mut from_register, mut index, attrib) = if let Some(variable) = scope.find_variable(name) {
            let attrib = variable.attrib;
            match variable.storage {
                Storage::Constant(value) => return Ok(Meaning::Constant(value)),
                Storage::Pending => continue,
                Storage::Register(local) if depth == innermost => return Ok(Meaning::Local(local)),
                Storage::Register(local) => {
                    let local = &mut scope.function.locals[local.0 as usize];
                    local.captured = true;
                    (true, local.register, attrib)
                }
            }
        } else if let Some(index) = scope.find_upval(name) {
            (false, index, scope.upval_attribs[index as usize])
        } else {
            continue;
        };
        for (between, scope) in scopes.iter_mut().enumerate().skip(depth + 1) {
            index = scope.add_upval(Upval { name, from_register, index }, attrib).ok_or(between)?;
            from_register = false;
        }
        return Ok(Meaning::Upval(index));
    }
    Ok(Meaning::Global)
}

/// The name of the variable, if it may not be assigned to.
pub fn read_only(scope: &FunctionScope, kind: ExprKind) -> Option<StrId> {
    match kind {
        ExprKind::Local(id) => scope
            .variables
            .iter()
            .find(|variable| matches!(variable.storage, Storage::Register(local) if local == id))
            .filter(|variable| variable.attrib != Attrib::Regular)
            .map(|variable| variable.name),
        ExprKind::Upval(index) => {
            (scope.upval_attribs[index as usize] != Attrib::Regular).then(|| scope.function.upvals[index as usize].name)
        }
        _ => None,
    }
}
