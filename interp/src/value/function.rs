//! Functions: closures, the boxes of captured variables, native functions.

use super::Value;
use super::gc::Gc;
use super::kinds::{LuaRuntime, kind};
use super::proto::ProtoCell;
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
    pub fn set(self, heap: &mut Heap<LuaRuntime>, value: Value) {
        if value.is_ref() || self.value.get().is_ref() {
            // SAFETY: V1; the barrier comes before the write (V2).
            unsafe { heap.barrier(self.as_ref(), 0) };
        }
        self.value.set(value);
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

    pub fn set_upval(self, heap: &mut Heap<LuaRuntime>, i: usize, upbox: Gc<UpBox>) {
        assert!(i < self.num_upvals());
        // SAFETY: V1; the barrier comes before the write (V2); `i` is in range.
        unsafe {
            heap.barrier(self.as_ref(), 0);
            self.as_ptr().add(1).cast::<Gc<UpBox>>().add(i).write(upbox);
        }
    }
}

/// A function of the host. It finds its arguments by `Args`, pushes its results and returns their number; or it returns what one of the functions in
/// `vm/step.rs` gives, which say what it waits for.
pub type NativeFn = fn(&mut Vm, Args) -> Result<u32, Throw>;

/// Goes on with a native function that has waited. It returns what a [`NativeFn`] does.
pub type Continuation = fn(&mut Vm, Args, Outcome) -> Result<u32, Throw>;

/// What a native function has waited for.
#[derive(Clone, Copy)]
pub enum Outcome {
    /// So many results, the last ones on the stack.
    Returned(u32),
    /// An error, for those that catch them.
    Failed(Value),
}

/// What the interpreter knows of a native function beside its code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Special {
    None,
    /// `next` and the step of `ipairs`, for the fast path of loops.
    Next,
    IpairsStep,
    /// A metamethod of strings, which arithmetic carries out without a call; upvalue 0 is the operator.
    StringArith,
    /// It has no effect before it has all its memory, unless it calls back: refused memory, it may be called again.
    Restartable,
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

    pub fn set_special(self, special: Special) {
        // SAFETY: V1; no reference.
        unsafe { (&raw mut (*self.as_ptr()).special).write(special) };
    }

    pub fn upval(self, i: usize) -> Value {
        assert!(i < self.num_upvals());
        // SAFETY: in range.
        unsafe { *self.as_ptr().add(1).cast::<Value>().add(i) }
    }
}
