//! Full userdata: a Rust value with a metatable and one user value.

use super::Value;
use super::gc::Gc;
use super::kinds::{LuaRuntime, kind};
use super::table::Table;
use neap_gc::{Header, Heap, OutOfMemory};
use std::any::Any;
use std::cell::{Cell, RefCell};

/// A userdata cell. The destructor drops the Rust value.
#[repr(C)]
pub struct Userdata {
    header: Header,
    meta: Cell<Option<Gc<Table>>>,
    user: Cell<Value>,
    /// The Rust value; `None` once closed by the destructor.
    pub data: RefCell<Option<Box<dyn Any>>>,
}

impl Userdata {
    pub fn meta(&self) -> Option<Gc<Table>> {
        self.meta.get()
    }
    pub fn user_value(&self) -> Value {
        self.user.get()
    }
}

impl Gc<Userdata> {
    pub fn new(heap: &mut Heap<LuaRuntime>, data: Box<dyn Any>, meta: Option<Gc<Table>>) -> Result<Gc<Userdata>, OutOfMemory> {
        // SAFETY: a kind of the table; all fields are initialised below.
        unsafe {
            let cell = heap.alloc(kind::USERDATA, size_of::<Userdata>())?;
            let u = cell.as_ptr().cast::<Userdata>();
            (&raw mut (*u).meta).write(Cell::new(meta));
            (&raw mut (*u).user).write(Cell::new(Value::NIL));
            (&raw mut (*u).data).write(RefCell::new(Some(data)));
            Ok(Gc::from_ref(cell))
        }
    }

    pub fn set_meta(self, heap: &mut Heap<LuaRuntime>, meta: Option<Gc<Table>>) -> Result<(), OutOfMemory> {
        // SAFETY: V1; the barrier comes before the write (V2).
        unsafe { heap.barrier(self.as_ref(), 0)? };
        self.meta.set(meta);
        Ok(())
    }

    pub fn set_user_value(self, heap: &mut Heap<LuaRuntime>, value: Value) -> Result<(), OutOfMemory> {
        // SAFETY: as above.
        unsafe { heap.barrier(self.as_ref(), 0)? };
        self.user.set(value);
        Ok(())
    }
}
