//! Coroutines: a value stack and a stack of frames.

use super::Value;
use super::function::{Closure, Continuation};
use super::gc::Gc;
use super::kinds::{LuaRuntime, kind};
use neap_gc::{Header, Heap, OutOfMemory, Stack};
use std::cell::{Cell, UnsafeCell};
use std::ptr::NonNull;

/// Flags of a frame. A Lua frame without flags was called by a `Call` of the Lua frame below, and returns on the fast path.
pub mod frame_flags {
    /// The frame replaced another by a tail call.
    pub const TAIL: u8 = 1 << 0;
    /// The lowest frame that ran since the last scan of the stack (R7).
    pub const WATERMARK: u8 = 1 << 1;
    /// The caller is not a `Call` of the Lua frame below: a native function, an instruction that met a metamethod, or nobody.
    pub const ASIDE: u8 = 1 << 2;
    /// Errors of the frames above end here ([`Frame::place`](super::Frame::place)).
    pub const CATCHES: u8 = 1 << 3;
    /// One has, and the variables above are being closed.
    pub const CLOSING: u8 = 1 << 4;
    /// With `CATCHES`: the first argument is a message handler, which sees errors first.
    pub const HEARS: u8 = 1 << 5;
    /// Nothing above may yield beyond this frame.
    pub const NO_YIELD: u8 = 1 << 6;
    /// The hook has been told of the return.
    pub const TOLD: u8 = 1 << 7;
}

/// Whose activation a frame is. All but `Lua` run by continuations; those from `Host` on stand for no function of the program.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum FrameKind {
    Lua,
    Native,
    /// The host program: what returns here leaves the interpreter.
    Host,
    /// Completes the call of a native function or a metamethod.
    Helper,
    /// A message handler has been called.
    Handler,
    /// Finalizers are called, between two instructions of the frame below.
    Finalizer,
    /// A hook is called, likewise.
    Hook,
}

/// An activation.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Frame {
    /// Lua: the next instruction. Otherwise the continuation, or null ([`Frame::then`]).
    pub pc: *const Cell<u32>,
    /// Lua: the running closure. Otherwise a number for the continuation ([`Frame::place`]).
    pub closure: *mut Closure,
    /// Slot of the function.
    pub func: u32,
    /// Slot of the first register or argument.
    pub base: u32,
    /// Lua: number of extra arguments (below the base). Otherwise: the number of arguments.
    pub varargs: u32,
    /// Results wanted, -1: all.
    pub wanted: i16,
    pub kind: FrameKind,
    pub flags: u8,
}

impl Frame {
    /// A frame that runs by continuations.
    #[inline(always)]
    pub fn native(kind: FrameKind, func: usize, nargs: usize, wanted: i16, flags: u8) -> Frame {
        Frame {
            pc: std::ptr::null(),
            closure: std::ptr::null_mut(),
            func: func as u32,
            base: func as u32 + 1,
            varargs: nargs as u32,
            wanted,
            kind,
            flags,
        }
    }

    #[inline(always)]
    pub fn is_lua(&self) -> bool {
        self.kind == FrameKind::Lua
    }
    /// Whether it stands for no function of the program.
    #[inline(always)]
    pub fn is_hidden(&self) -> bool {
        self.kind >= FrameKind::Host
    }
    /// Whether it runs between two instructions of the frame below.
    #[inline(always)]
    pub fn is_between(&self) -> bool {
        self.kind >= FrameKind::Finalizer
    }
    #[inline(always)]
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
    /// The running closure of a Lua frame.
    #[inline(always)]
    pub fn closure(&self) -> Gc<Closure> {
        debug_assert!(self.is_lua());
        // SAFETY: Lua frames hold their closure, which stands in the stack at `func` as well (V1).
        unsafe { Gc::from_raw(std::ptr::NonNull::new_unchecked(self.closure)) }
    }

    /// What goes on where the function that the frame has called returns. `None`: its results are the frame's own.
    #[inline(always)]
    pub fn then(&self) -> Option<Continuation> {
        debug_assert!(!self.is_lua());
        // SAFETY: frames of other kinds than Lua's hold null or what `set_then` has written.
        unsafe { std::mem::transmute::<*const Cell<u32>, Option<Continuation>>(self.pc) }
    }
    #[inline(always)]
    pub fn set_then(&mut self, then: Option<Continuation>) {
        debug_assert!(!self.is_lua());
        self.pc = then.map_or(std::ptr::null(), |f| f as *const Cell<u32>);
    }

    /// A number that a continuation keeps. Of a frame that catches errors: the slot of what it has called, and of the error later.
    #[inline(always)]
    pub fn place(&self) -> usize {
        debug_assert!(!self.is_lua());
        self.closure as usize
    }
    #[inline(always)]
    pub fn set_place(&mut self, place: usize) {
        debug_assert!(!self.is_lua());
        self.closure = place as *mut Closure;
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// Not started, or waiting in a yield.
    Suspended,
    Running,
    /// Has resumed another one.
    Normal,
    Dead,
}

/// A growing list of slots, in an explicit block of the heap.
pub struct Slots {
    block: *mut u32,
    len: u32,
    capacity: u32,
}

impl Slots {
    const FIRST: u32 = 4;

    const fn new() -> Slots {
        Slots { block: std::ptr::null_mut(), len: 0, capacity: 0 }
    }

    pub fn push(&mut self, heap: &mut Heap<LuaRuntime>, slot: u32) -> Result<(), OutOfMemory> {
        if self.len == self.capacity {
            let capacity = (self.capacity * 2).max(Slots::FIRST);
            let size = |slots: u32| slots as usize * size_of::<u32>();
            let block = match self.block() {
                // SAFETY: the list's own block.
                Some(block) => unsafe { heap.realloc(block, size(capacity))? },
                None => heap.malloc(size(capacity))?,
            };
            (self.block, self.capacity) = (block.as_ptr().cast(), capacity);
        }
        // SAFETY: `len < capacity`.
        unsafe { self.block.add(self.len as usize).write(slot) };
        self.len += 1;
        Ok(())
    }

    pub fn last(&self) -> Option<u32> {
        let last = self.len.checked_sub(1)?;
        // SAFETY: the first `len` are written.
        Some(unsafe { self.block.add(last as usize).read() })
    }

    pub fn pop(&mut self) -> Option<u32> {
        let last = self.last()?;
        self.len -= 1;
        Some(last)
    }

    /// For the destructor of the thread.
    pub(super) fn block(&self) -> Option<NonNull<u8>> {
        NonNull::new(self.block.cast())
    }
}

/// What a thread keeps beside its cell's fixed head. Only the interpreter and the collector touch it, never at the same time.
pub struct ThreadState {
    /// The collector's record.
    pub stack: Stack,
    /// An explicit block of `capacity` values and one more, for the error that ends a coroutine whose frames need all of them.
    pub slots: *mut Value,
    pub capacity: usize,
    /// An explicit block of `frame_capacity` frames.
    pub frames: *mut Frame,
    pub frame_count: usize,
    pub frame_capacity: usize,
    /// Slots of pending to-be-closed variables, ascending.
    pub tbc: Slots,
    /// Frames that may not be left by a yield: those with the flag `NO_YIELD`.
    pub unyieldable: u32,
    /// Frames with the flag `ASIDE`.
    pub nested: u32,
    /// The thread that resumed this one.
    pub resumer: Option<Gc<Thread>>,
    /// An error has ended it; its value is the last live slot.
    pub failed: bool,
    /// What the debug library wants to be told of.
    pub hook: Option<Box<Hook>>,
}

/// The events that a hook is called for, and how far the thread has been followed.
#[derive(Default)]
pub struct Hook {
    pub on_call: bool,
    pub on_return: bool,
    pub on_line: bool,
    /// Instructions from one count event to the next; 0: none.
    pub count: u32,
    pub count_left: u32,
    /// The hook is running: it is not called for what it does itself.
    pub busy: bool,
    /// Number of frames when the last instruction was traced, its index, and whether it left its frame.
    pub depth: usize,
    pub pc: usize,
    pub left: bool,
    /// The events of the present instruction that are done with.
    pub stage: u8,
    /// In an event of a call or a return: the first of the values that are handed over, as a variable of the function, and their number.
    pub transfer: (usize, usize),
}

/// A coroutine, or the main thread.
#[repr(C)]
pub struct Thread {
    header: Header,
    pub status: Cell<Status>,
    state: UnsafeCell<ThreadState>,
}

impl Gc<Thread> {
    /// Slots, the one for the error among them, and frames of a new coroutine: most stay small.
    const FIRST_SLOTS: usize = 32;
    const FIRST_FRAMES: usize = 4;

    pub fn new(heap: &mut Heap<LuaRuntime>) -> Result<Gc<Thread>, OutOfMemory> {
        let slots = heap.malloc(Self::FIRST_SLOTS * size_of::<Value>())?;
        let frames = match heap.malloc(Self::FIRST_FRAMES * size_of::<Frame>()) {
            Ok(frames) => frames,
            Err(e) => {
                // SAFETY: just allocated.
                unsafe { heap.free(slots) };
                return Err(e);
            }
        };
        // SAFETY: a kind of the table; all fields are initialised below, the slots too, so that a scan may look at any of them.
        unsafe {
            let cell = match heap.alloc(kind::THREAD, size_of::<Thread>()) {
                Ok(cell) => cell,
                Err(e) => {
                    heap.free(slots);
                    heap.free(frames);
                    return Err(e);
                }
            };
            for i in 0..Self::FIRST_SLOTS {
                slots.cast::<Value>().add(i).write(Value::NIL);
            }
            let t = cell.as_ptr().cast::<Thread>();
            (&raw mut (*t).status).write(Cell::new(Status::Suspended));
            (&raw mut (*t).state).write(UnsafeCell::new(ThreadState {
                stack: Stack::new(),
                slots: slots.as_ptr().cast(),
                capacity: Self::FIRST_SLOTS - 1,
                frames: frames.as_ptr().cast(),
                frame_count: 0,
                frame_capacity: Self::FIRST_FRAMES,
                tbc: Slots::new(),
                unyieldable: 0,
                nested: 0,
                resumer: None,
                failed: false,
                hook: None,
            }));
            Ok(Gc::from_ref(cell))
        }
    }

    /// The collector's record, for the collector, who keeps it while it looks at the slots.
    pub(super) fn stack(self) -> NonNull<Stack> {
        // SAFETY: V1; no reference is made.
        unsafe { NonNull::new_unchecked(&raw mut (*(*self.as_ptr()).state.get()).stack) }
    }
    /// The slots, likewise.
    #[inline(always)]
    pub(super) fn slots(self) -> *mut Value {
        // SAFETY: as above.
        unsafe { (*(*self.as_ptr()).state.get()).slots }
    }

    /// The state; the caller holds no other borrow of it across.
    #[inline(always)]
    #[allow(clippy::mut_from_ref)]
    pub fn state<'a>(self) -> &'a mut ThreadState {
        // SAFETY: V1; the interpreter is single-threaded and takes this borrow for single statements only.
        unsafe { &mut *(*self.as_ptr()).state.get() }
    }
}
