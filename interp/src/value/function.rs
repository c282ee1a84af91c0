//! Functions: prototypes linked into the heap, closures, the boxes of captured variables, native functions.

use super::Value;
use super::gc::Gc;
use super::kinds::{LuaRuntime, kind};
use crate::bytecode::{LocalVar, UpvalDesc};
use crate::vm::{Args, Throw, Vm};
use neap_gc::{Header, Heap, OutOfMemory};
use std::cell::Cell;

/// The box of a captured variable.
#[repr(C)]
pub struct UpBox {
    header: Header,
    value: Cell<Value>,
}

impl UpBox {
    #[inline(always)]
    pub fn get(&self) -> Value {
        self.value.get()
    }
}

impl Gc<UpBox> {
    #[inline(always)]
    pub fn new(heap: &mut Heap<LuaRuntime>, value: Value) -> Result<Gc<UpBox>, OutOfMemory> {
        // SAFETY: a kind of the table; the one field is initialised here.
        unsafe {
            let cell = heap.alloc(kind::BOX, size_of::<UpBox>())?;
            (&raw mut (*cell.as_ptr().cast::<UpBox>()).value).write(Cell::new(value));
            Ok(Gc::from_ref(cell))
        }
    }

    #[inline(always)]
    pub fn set(self, heap: &mut Heap<LuaRuntime>, value: Value) -> Result<(), OutOfMemory> {
        if value.is_ref() || self.value.get().is_ref() {
            // SAFETY: V1; the barrier comes before the write (V2).
            unsafe { heap.barrier(self.as_ref(), 0)? };
        }
        self.value.set(value);
        Ok(())
    }
}

/// What a linked prototype keeps outside its cell: read-only, but for the slot hints in the code.
pub struct ProtoBody {
    pub code: Box<[Cell<u32>]>,
    pub upvals: Box<[UpvalDesc]>,
    pub lines: Box<[u32]>,
    pub locals: Box<[LocalVar]>,
    pub line_defined: u32,
    pub last_line_defined: u32,
    pub source: std::rc::Rc<[u8]>,
}

/// A linked prototype; its constants and then its inner prototypes follow in the cell, never change after birth, and stay readable when the
/// destructor has run: a dead cell is still asked for its references (R25).
#[repr(C)]
pub struct ProtoCell {
    header: Header,
    pub code: *const Cell<u32>,
    pub consts: *const Value,
    pub max_stack: u8,
    pub num_params: u8,
    pub is_vararg: bool,
    pub num_upvals: u8,
    num_consts: u32,
    num_protos: u32,
    body: Box<ProtoBody>,
}

impl ProtoCell {
    pub(super) const fn cell_size(consts: usize, protos: usize) -> usize {
        size_of::<ProtoCell>() + consts * size_of::<Value>() + protos * size_of::<Gc<ProtoCell>>()
    }
    pub(super) fn size(&self) -> usize {
        ProtoCell::cell_size(self.num_consts as usize, self.num_protos as usize)
    }
    #[inline(always)]
    pub fn consts(&self) -> &[Value] {
        // SAFETY: `new` has written them behind the head.
        unsafe { std::slice::from_raw_parts(self.consts, self.num_consts as usize) }
    }
    #[inline(always)]
    pub fn protos(&self) -> &[Gc<ProtoCell>] {
        // SAFETY: `new` has written them behind the constants.
        unsafe { std::slice::from_raw_parts(self.consts.add(self.num_consts as usize).cast(), self.num_protos as usize) }
    }

    pub fn body(&self) -> &ProtoBody {
        &self.body
    }
    /// The index of the word at `pc`.
    pub fn pc_index(&self, pc: *const Cell<u32>) -> usize {
        (pc as usize - self.code as usize) / 4
    }
    /// The source line of a word of the code; 0 if unknown.
    pub fn line_at(&self, index: usize) -> u32 {
        self.body.lines.get(index).copied().unwrap_or(0)
    }
}

impl Gc<ProtoCell> {
    pub fn new(
        heap: &mut Heap<LuaRuntime>,
        body: ProtoBody,
        consts: &[Value],
        protos: &[Gc<ProtoCell>],
        max_stack: u8,
        num_params: u8,
        is_vararg: bool,
    ) -> Result<Self, OutOfMemory> {
        let body = Box::new(body);
        // SAFETY: a kind of the table; all fields and what follows them are initialised below. The boxed code stays where it is.
        unsafe {
            let cell = heap.alloc(kind::PROTO, ProtoCell::cell_size(consts.len(), protos.len()))?;
            let p = cell.as_ptr().cast::<ProtoCell>();
            let values = p.add(1).cast::<Value>();
            values.copy_from_nonoverlapping(consts.as_ptr(), consts.len());
            values.add(consts.len()).cast::<Gc<ProtoCell>>().copy_from_nonoverlapping(protos.as_ptr(), protos.len());
            (&raw mut (*p).code).write(body.code.as_ptr());
            (&raw mut (*p).consts).write(values);
            (&raw mut (*p).num_consts).write(consts.len() as u32);
            (&raw mut (*p).num_protos).write(protos.len() as u32);
            (&raw mut (*p).max_stack).write(max_stack);
            (&raw mut (*p).num_params).write(num_params);
            (&raw mut (*p).is_vararg).write(is_vararg);
            (&raw mut (*p).num_upvals).write(body.upvals.len() as u8);
            (&raw mut (*p).body).write(body);
            Ok(Gc::from_ref(cell))
        }
    }
}

/// A Lua function: a prototype and its upvalue boxes, which follow. `aux` of the header is their number.
#[repr(C)]
pub struct Closure {
    header: Header,
    pub proto: Gc<ProtoCell>,
}

impl Closure {
    pub(super) const fn cell_size(upvals: usize) -> usize {
        size_of::<Closure>() + upvals * size_of::<Gc<UpBox>>()
    }
    #[inline(always)]
    pub fn num_upvals(&self) -> usize {
        self.header.aux.get() as usize
    }
}

impl Gc<Closure> {
    /// A closure whose upvalue `i` is `upval(i)`.
    #[inline(always)]
    pub fn new(
        heap: &mut Heap<LuaRuntime>,
        proto: Gc<ProtoCell>,
        mut upval: impl FnMut(usize) -> Gc<UpBox>,
    ) -> Result<Self, OutOfMemory> {
        let n = proto.num_upvals as usize;
        // SAFETY: a kind of the table; all fields and the `n` boxes behind them are initialised below.
        unsafe {
            let cell = heap.alloc(kind::CLOSURE, Closure::cell_size(n))?;
            let c = cell.as_ptr().cast::<Closure>();
            (&raw mut (*c).proto).write(proto);
            (*c).header.aux.set(n as u8);
            let boxes = c.add(1).cast::<Gc<UpBox>>();
            for i in 0..n {
                boxes.add(i).write(upval(i));
            }
            Ok(Gc::from_ref(cell))
        }
    }

    #[inline(always)]
    pub fn upval(self, i: usize) -> Gc<UpBox> {
        debug_assert!(i < self.num_upvals());
        // SAFETY: the cell holds `num_upvals` boxes after its head, and verified code names only those.
        unsafe { *self.as_ptr().add(1).cast::<Gc<UpBox>>().add(i) }
    }

    pub fn set_upval(self, heap: &mut Heap<LuaRuntime>, i: usize, upbox: Gc<UpBox>) -> Result<(), OutOfMemory> {
        assert!(i < self.num_upvals());
        // SAFETY: V1; the barrier comes before the write (V2); `i` is in range.
        unsafe {
            heap.barrier(self.as_ref(), 0)?;
            self.as_ptr().add(1).cast::<Gc<UpBox>>().add(i).write(upbox);
        }
        Ok(())
    }
}

/// A function of the host. It finds its arguments by `Args`, pushes its results and returns their number. With [`TAIL_CALL`] added to the
/// number, it has pushed a function and its arguments, which is called in its place (and may yield).
pub type NativeFn = fn(&mut Vm, Args) -> Result<u32, Throw>;

/// See [`NativeFn`].
pub const TAIL_CALL: u32 = 1 << 31;
/// With [`TAIL_CALL`]: of the results of the function, exactly three are given.
pub const THREE_RESULTS: u32 = 1 << 30;

/// Native functions that the interpreter carries out itself, since they change the chain of frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Special {
    None,
    Pcall,
    Xpcall,
    Resume,
    /// The function that `coroutine.wrap` makes; upvalue 0 is the thread.
    WrapCall,
    Yield,
    /// `debug.sethook`: the loop goes on in the form that traces, or in the other one.
    SetHook,
    /// `next` and the step of `ipairs`, for the fast path of loops.
    Next,
    IpairsStep,
}

/// A native function cell; its upvalues follow. `aux` of the header is their number.
#[repr(C)]
pub struct Native {
    header: Header,
    pub function: NativeFn,
    pub name: &'static str,
    pub special: Special,
}

impl Native {
    pub(super) const fn cell_size(upvals: usize) -> usize {
        size_of::<Native>() + upvals * size_of::<Value>()
    }
    pub fn num_upvals(&self) -> usize {
        self.header.aux.get() as usize
    }
}

impl Gc<Native> {
    pub fn new(
        heap: &mut Heap<LuaRuntime>,
        name: &'static str,
        function: NativeFn,
        special: Special,
        upvals: &[Value],
    ) -> Result<Gc<Native>, OutOfMemory> {
        // SAFETY: a kind of the table; all fields and upvalues are initialised below.
        unsafe {
            let cell = heap.alloc(kind::NATIVE, Native::cell_size(upvals.len()))?;
            let f = cell.as_ptr().cast::<Native>();
            (&raw mut (*f).function).write(function);
            (&raw mut (*f).name).write(name);
            (&raw mut (*f).special).write(special);
            (*f).header.aux.set(u8::try_from(upvals.len()).expect("at most 255 upvalues"));
            f.add(1).cast::<Value>().copy_from_nonoverlapping(upvals.as_ptr(), upvals.len());
            Ok(Gc::from_ref(cell))
        }
    }

    pub fn upval(self, i: usize) -> Value {
        assert!(i < self.num_upvals());
        // SAFETY: in range.
        unsafe { *self.as_ptr().add(1).cast::<Value>().add(i) }
    }

    pub fn set_upval(self, heap: &mut Heap<LuaRuntime>, i: usize, value: Value) -> Result<(), OutOfMemory> {
        assert!(i < self.num_upvals());
        // SAFETY: V1; the barrier comes before the write (V2); `i` is in range.
        unsafe {
            heap.barrier(self.as_ref(), 0)?;
            self.as_ptr().add(1).cast::<Value>().add(i).write(value);
        }
        Ok(())
    }
}
