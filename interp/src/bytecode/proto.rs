//! A compiled function, before it is linked into a heap.

use super::op::Instr;

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
pub type Source = std::rc::Rc<Box<[u8]>>;

/// A compiled function.
#[derive(Clone, Debug, Default)]
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

impl std::fmt::Debug for Instr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {} {}", self.op().name(), self.a(), self.b(), self.c())
    }
}
