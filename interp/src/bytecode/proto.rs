//! A compiled function, before it is linked into a heap.

use super::op::Instr;
use crate::discard::discard;
use std::mem::take;

/// A constant. Floats compare by their bits, so that `0.0` and `-0.0`, and `1` and `1.0`, are constants apart.
#[derive(Clone, Debug)]
pub enum Const {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(Box<[u8]>),
}

/// Where a closure takes an upvalue from when it is created.
#[derive(Clone, Debug)]
pub struct UpvalDesc {
    /// The variable's name (`None` in a stripped chunk).
    pub name: Option<Box<[u8]>>,
    /// `true`: the box in the enclosing function's register `index`; `false`: the enclosing function's upvalue `index`.
    pub from_register: bool,
    pub index: u8,
}

/// A local variable, for messages and the debug library.
#[derive(Clone, Debug)]
pub struct LocalVar {
    pub name: Box<[u8]>,
    pub register: u8,
    /// Whether the register holds a box (captured variable).
    pub boxed: bool,
    /// Active for `start_pc <= pc < end_pc`.
    pub start_pc: u32,
    pub end_pc: u32,
}

/// The name of a chunk, which all of its functions share. A text may stand for it, so it is in a box of its own, for which memory can be asked.
pub type Source = std::sync::Arc<Box<[u8]>>;

/// A compiled function.
#[derive(Clone, Debug)]
pub struct Proto {
    /// Instructions and aux words.
    pub code: Vec<u32>,
    pub consts: Vec<Const>,
    pub protos: Vec<Proto>,
    pub upvals: Vec<UpvalDesc>,
    pub num_params: u8,
    pub is_vararg: bool,
    /// Registers the function needs, at least 2.
    pub max_stack: u8,
    /// Lines of the definition; both 0 for a main chunk.
    pub line_defined: u32,
    pub last_line_defined: u32,
    /// The source line of each word of `code`.
    pub lines: Vec<u32>,
    /// In the order of declaration.
    pub locals: Vec<LocalVar>,
    /// The chunk's name as given to `load` (`@file`, `=name` or source text).
    pub source: Source,
}

impl Proto {
    /// An empty function of a chunk.
    pub fn of(source: &Source) -> Proto {
        Proto {
            code: Vec::new(),
            consts: Vec::new(),
            protos: Vec::new(),
            upvals: Vec::new(),
            num_params: 0,
            is_vararg: false,
            max_stack: 2,
            line_defined: 0,
            last_line_defined: 0,
            lines: Vec::new(),
            locals: Vec::new(),
            source: source.clone(),
        }
    }
}

impl Drop for Proto {
    fn drop(&mut self) {
        /// Of so few constants the texts are looked at: they may be long.
        const FEW: usize = 1 << 10;
        let text = |constant: &Const| if let Const::Str(text) = constant { text.len() } else { 0 };
        let texts = self.consts.iter().take(FEW).map(text).sum::<usize>();
        let items = self.protos.len() * size_of::<Proto>()
            + self.consts.len() * size_of::<Const>()
            + self.locals.len() * size_of::<LocalVar>();
        let words = (self.code.capacity() + self.lines.capacity()) * size_of::<u32>();
        let lists =
            (take(&mut self.protos), take(&mut self.consts), take(&mut self.locals), take(&mut self.code), take(&mut self.lines));
        discard(texts + items + words, lists);
    }
}

impl std::fmt::Debug for Instr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {} {}", self.op().name(), self.a(), self.b(), self.c())
    }
}
