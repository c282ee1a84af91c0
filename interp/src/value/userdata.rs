//! Full userdata: a Rust value with a metatable. (User values, of which the reference's libraries have none, are not needed: what belongs to a userdata stands
//! in its Rust value.)

use super::gc::Gc;
use super::kinds::{LuaRuntime, kind};
use super::table::Table;
use neap_gc::{Header, Heap, OutOfMemory};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// A Rust value in an explicit block of the heap, for as long as it is in a userdata.
pub struct Payload {
    value: NonNull<dyn Any>,
    owned: Owned,
}

/// Tells which explicit blocks a Rust value owns; they are freed with the value.
pub type Owned = fn(&dyn Any, &mut dyn FnMut(NonNull<u8>));

impl Payload {
    fn new<T: Any>(heap: &mut Heap<LuaRuntime>, data: T, owned: Owned) -> Result<Payload, OutOfMemory> {
        const { assert!(align_of::<T>() <= 16) };
        let block = heap.malloc(size_of::<T>())?.cast::<T>();
        // SAFETY: a new block of that size, at a multiple of 16.
        unsafe { block.write(data) };
        Ok(Payload { value: block, owned })
    }

    /// Drops the value, and releases its block and those that it owned.
    fn drop_value(self, release: &mut dyn FnMut(NonNull<u8>)) {
        (self.owned)(&*self, release);
        // SAFETY: `new` has written the value, and nobody else can reach it.
        unsafe { self.value.drop_in_place() };
        release(self.value.cast());
    }
}

impl Deref for Payload {
    type Target = dyn Any;
    fn deref(&self) -> &dyn Any {
        // SAFETY: `new` has written the value; it lives until `drop_value` takes the payload.
        unsafe { self.value.as_ref() }
    }
}

impl DerefMut for Payload {
    fn deref_mut(&mut self) -> &mut dyn Any {
        // SAFETY: as above; the payload is its only name.
        unsafe { self.value.as_mut() }
    }
}

/// A userdata cell. The destructor drops the Rust value.
#[repr(C)]
pub struct Userdata {
    header: Header,
    meta: Cell<Option<Gc<Table>>>,
    /// The Rust value; `None` once the destructor has run.
    pub data: RefCell<Option<Payload>>,
}

impl Userdata {
    pub fn meta(&self) -> Option<Gc<Table>> {
        self.meta.get()
    }

    /// The explicit blocks of the Rust value: its own, and those that it owns.
    pub fn each_block(&self, visit: &mut dyn FnMut(NonNull<u8>)) {
        if let Ok(data) = self.data.try_borrow()
            && let Some(payload) = &*data
        {
            (payload.owned)(&**payload, visit);
            visit(payload.value.cast());
        }
    }

    /// The destructor: drops the Rust value, and releases the blocks that it leaves.
    pub(super) fn destroy(&self, release: &mut dyn FnMut(NonNull<u8>)) {
        if let Some(data) = self.data.take() {
            data.drop_value(release);
        }
    }
}

impl Gc<Userdata> {
    pub fn new<T: Any>(heap: &mut Heap<LuaRuntime>, data: T, owned: Owned) -> Result<Gc<Userdata>, OutOfMemory> {
        let data = Payload::new(heap, data, owned)?;
        // SAFETY: a kind of the table; all fields are initialised below. A block that has just been made is freed.
        unsafe {
            let cell = match heap.alloc(kind::USERDATA, size_of::<Userdata>()) {
                Ok(cell) => cell,
                Err(error) => {
                    data.drop_value(&mut |block| heap.free(block));
                    return Err(error);
                }
            };
            let u = cell.as_ptr().cast::<Userdata>();
            (&raw mut (*u).meta).write(Cell::new(None));
            (&raw mut (*u).data).write(RefCell::new(Some(data)));
            Ok(Gc::from_ref(cell))
        }
    }

    pub fn set_meta(self, heap: &mut Heap<LuaRuntime>, meta: Option<Gc<Table>>) {
        // SAFETY: V1; the barrier comes before the write (V2).
        unsafe { heap.barrier(self.as_ref(), 0) };
        self.meta.set(meta);
    }
}
