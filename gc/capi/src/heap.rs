//! The heap as C holds it, and the way in: every function that is not inlined takes its heap through [`enter`].
//!
//! Invariants:
//! * **one-way-in** `Parts` are borrowed only by a function of this crate that C has called, and given back when it returns. A callback in between finds the
//!   gate closed (`gate`), so there is no second borrow.
//!
//! Imports `callback`, `error`, `gate`, `locals`, `runtime`, `sized`, `types`, `weak_map` (sizes), `words`.

use crate::callback::{Visitor, visiting};
use crate::error::{Error, answer};
use crate::gate::{Gate, Sizes, TYPES};
use crate::locals::{Face, LocalsCell, Memory};
use crate::runtime::Types;
use crate::sized::{self, Crossing};
use crate::types::{LOCALS, Table, Type, TypeInfo};
use crate::weak_map;
use crate::words::reference;
use neap_gc::{Config, Heap, Ref, RootSource, Shape};
use std::cell::{Cell, UnsafeCell};
use std::ffi::{c_char, c_int, c_void};
use std::mem::ManuallyDrop;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

/// `NEAP_ABI_VERSION`.
pub const ABI_VERSION: u32 = 1;
/// The locals that there may be if the program says nothing else.
const LOCALS_MAX: usize = 1 << 20;

/// `neap_config`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NeapConfig {
    pub struct_size: usize,
    pub abi_version: u32,
    pub pause_goal_us: u32,
    pub limit_bytes: usize,
    pub locals_max: usize,
    pub stress: u32,
    pub audit_every: u32,
    pub poison: u32,
    pub ticker: u32,
}

// SAFETY: it begins with its size; zeros are right everywhere.
unsafe impl Crossing for NeapConfig {
    /// Up to the version.
    const LEAST: usize = std::mem::offset_of!(NeapConfig, pause_goal_us);
}

/// `neap_heap`.
#[repr(C)]
pub struct NeapHeap {
    pub face: Face,
    pub gate: Rc<Gate>,
    pub error: Cell<Error>,
    parts: UnsafeCell<ManuallyDrop<Parts>>,
}

pub struct Parts {
    pub heap: Heap<Types>,
    pub roots: Roots,
    /// What the gate shows while it is open.
    sizes: Box<UnsafeCell<Sizes>>,
    /// Tells handles of different heaps apart.
    pub id: u64,
    _locals: Memory,
}

/// `neap_roots_fn`.
pub type RootsFn = unsafe extern "C" fn(*mut Visitor, *mut c_void);

/// The roots of the program.
pub struct Roots {
    pub variables: Vec<*const *mut c_void>,
    pub visitor: Option<(RootsFn, *mut c_void)>,
    locals: Ref,
    gate: Rc<Gate>,
}

// SAFETY: the program vouches for the words in its variables and for those that it visits; the locals are a thread, whose watermark
// is kept by low-is-right.
unsafe impl RootSource for Roots {
    fn slots(&self, visit: &mut dyn FnMut(Option<Ref>)) {
        for variable in &self.variables {
            // SAFETY: a variable is registered as long as it is there.
            visit(reference(unsafe { variable.read() }));
        }
        if let Some((roots, data)) = self.visitor {
            // SAFETY: the program's function, with the gate closed.
            visiting(&mut |word| visit(reference(word)), |visitor| self.gate.closed(|| unsafe { roots(visitor, data) }));
        }
    }
    fn chain(&self, visit: &mut dyn FnMut(Ref)) {
        visit(self.locals);
    }
    fn current_base(&self) -> usize {
        // low-is-right: what is written lowers the watermark by itself.
        usize::MAX
    }
}

/// The way in.
///
/// # Safety
/// `heap` is null or a heap, which nobody else uses meanwhile; the borrow ends before the function returns that C has called.
#[inline]
pub unsafe fn enter<'a>(heap: *mut NeapHeap) -> Result<(&'a NeapHeap, &'a mut Parts), Error> {
    // SAFETY: by the caller; one-way-in.
    unsafe {
        let heap = heap.as_ref().ok_or(Error::Invalid)?;
        if heap.gate.is_closed() { Err(Error::Busy) } else { Ok((heap, &mut *heap.parts.get())) }
    }
}

/// The way in to where the collector looks at the roots.
///
/// # Safety
/// As for [`enter`].
pub unsafe fn enter_at_safepoint<'a>(heap: *mut NeapHeap) -> Result<&'a mut Parts, Error> {
    // SAFETY: by the caller; the locals are those of this heap.
    unsafe {
        let (heap, parts) = enter(heap)?;
        heap.face.tell(parts.roots.locals);
        Ok(parts)
    }
}

impl NeapHeap {
    /// The heap, for what takes it by shared reference.
    ///
    /// # Safety
    /// The gate is open, and the borrow ends before the function returns that C has called.
    #[inline(always)]
    pub unsafe fn shared(&self) -> &Heap<Types> {
        // SAFETY: by the caller; one-way-in.
        unsafe { &(&*self.parts.get()).heap }
    }

    /// A pointer, or null and the reason.
    #[inline(always)]
    pub fn or_null<T>(&self, result: Result<*mut T, Error>) -> *mut T {
        result.unwrap_or_else(|error| {
            self.error.set(error);
            std::ptr::null_mut()
        })
    }
}

unsafe fn new_heap(config: *const NeapConfig) -> Result<Box<NeapHeap>, Error> {
    // SAFETY: by the caller.
    let given = if config.is_null() { None } else { Some(unsafe { sized::read(config) }?) };
    if given.is_some_and(|given| given.abi_version != ABI_VERSION) {
        return Err(Error::Version);
    }
    let or = |value: usize, default: usize| if value == 0 { default } else { value };
    let default = Config::default();
    let config = given.map_or(default.clone(), |given| Config {
        limit_bytes: or(given.limit_bytes, default.limit_bytes),
        max_pause_us: if given.pause_goal_us == 0 { default.max_pause_us } else { given.pause_goal_us },
        ticker: given.ticker != 0,
        stress_cycle: given.stress,
        audit: given.audit_every,
        poison: given.poison != 0,
        ..default
    });
    let sizes = Box::new(UnsafeCell::new([usize::MAX; TYPES]));
    let gate = Rc::new(Gate::new(sizes.get()));
    let table = Table::new(size_of::<LocalsCell>(), weak_map::MAP_BYTES, weak_map::ENTRIES_AT);
    let heap = Heap::new(Types { table, gate: gate.clone() }, config).map_err(|_| Error::OutOfMemory)?;
    let locals = Memory::new(given.map_or(LOCALS_MAX, |given| or(given.locals_max, LOCALS_MAX))).ok_or(Error::Invalid)?;
    let cell = locals.cell(&heap).map_err(|_| Error::OutOfMemory)?;
    let roots = Roots { variables: Vec::new(), visitor: None, locals: cell, gate: gate.clone() };
    static IDS: AtomicU64 = AtomicU64::new(0);
    let face = locals.face(heap.poll_word().as_ptr().cast());
    let parts = Parts { heap, roots, sizes, id: IDS.fetch_add(1, Ordering::Relaxed), _locals: locals };
    let parts = UnsafeCell::new(ManuallyDrop::new(parts));
    Ok(Box::new(NeapHeap { face, gate, error: Cell::new(Error::Ok), parts }))
}

/// `neap_heap_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn neap_heap_new(config: *const NeapConfig, heap: *mut *mut NeapHeap) -> Error {
    if heap.is_null() {
        return Error::Invalid;
    }
    // SAFETY: F1, F3.
    unsafe {
        heap.write(std::ptr::null_mut());
        answer(new_heap(config).map(|new| heap.write(Box::into_raw(new))))
    }
}

/// `neap_heap_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn neap_heap_free(heap: *mut NeapHeap) -> Error {
    // SAFETY: F1. The parts go first, while destructors may still look at the gate.
    unsafe {
        let Some(this) = heap.as_ref() else { return Error::Ok };
        if this.gate.is_closed() {
            return Error::Busy;
        }
        ManuallyDrop::drop(&mut *this.parts.get());
        drop(Box::from_raw(heap));
    }
    Error::Ok
}

/// `neap_set_limit`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn neap_set_limit(heap: *mut NeapHeap, bytes: usize) -> Error {
    // SAFETY: F1.
    answer(unsafe { enter(heap) }.map(|(_, parts)| parts.heap.set_limit_bytes(bytes)))
}

/// `neap_set_running`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn neap_set_running(heap: *mut NeapHeap, running: c_int) -> Error {
    // SAFETY: F1.
    answer(unsafe { enter(heap) }.map(|(_, parts)| parts.heap.set_running(running != 0)))
}

/// `neap_last_error`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn neap_last_error(heap: *mut NeapHeap) -> Error {
    // SAFETY: F1.
    unsafe { heap.as_ref() }.map_or(Error::Invalid, |heap| heap.error.replace(Error::Ok))
}

/// `neap_abi_version`.
#[unsafe(no_mangle)]
pub extern "C" fn neap_abi_version() -> u32 {
    ABI_VERSION
}

// ---- types

unsafe fn new_type(heap: *mut NeapHeap, info: *const TypeInfo) -> Result<u8, Error> {
    // SAFETY: by the caller.
    unsafe {
        let (_, parts) = enter(heap)?;
        let ty = Type::from_info(&sized::read(info)?)?;
        let number = parts.heap.runtime().table.next().ok_or(Error::TypesFull)?;
        let plain = matches!(ty.shape, Shape::Plain | Shape::Leaf);
        // What has a length is allocated by it, and a leaf with slots may be allocated either way.
        let least = if plain { ty.size } else { usize::MAX };
        let added = parts.heap.add_kind(ty.kind());
        assert_eq!(added, Some(number), "the tables go together");
        parts.heap.runtime_mut().table.add(ty);
        (*parts.sizes.get())[number as usize] = least;
        Ok(number)
    }
}

/// `neap_type_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn neap_type_new(heap: *mut NeapHeap, info: *const TypeInfo, number: *mut u8) -> Error {
    if number.is_null() {
        return Error::Invalid;
    }
    // SAFETY: F1, F3. An object of the type that is given if there is an error can't be made.
    unsafe {
        number.write(LOCALS);
        answer(new_type(heap, info).map(|new| number.write(new)))
    }
}

/// `neap_type_name`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn neap_type_name(heap: *mut NeapHeap, number: u8) -> *const c_char {
    // SAFETY: F1.
    let ty = unsafe { enter(heap) }.ok().and_then(|(_, parts)| parts.heap.runtime().table.find(number));
    ty.map_or(std::ptr::null(), |ty| ty.name.as_ptr())
}
