//! The interpreter: state, calls, the loop, metamethods, coroutines, errors.
//!
//! * **M1** The running thread's stack and frames are cached in [`Vm`] (`stack`, `frames`, ...) and written back when another thread takes over.
//! * **M2** A frame's saved `pc` points one word past the first word of the instruction in progress, whenever anything is called or raised.
//! * **M3** At a safepoint every live value is in a root or in a stack slot below `top`. Safepoints: back edges and function entries in
//!   `execute`, and calls of Lua from native functions.
//! * **M4** Lua calls Lua, metamethods, `pcall`, `resume` and `yield` without recursion in the host. Native functions that call back recurse, to a bounded depth.

mod arith;
mod call;
mod close;
mod concat;
mod coroutine;
mod debuginfo;
mod end;
mod error;
mod execute;
mod fields;
mod hook;
mod inspect;
mod load;
mod loops;
mod meta;
mod native;
mod protect;
mod restart;
mod safepoint;
mod shrink;
mod stack;
mod traceback;
mod type_error;

pub(crate) use arith::{coerce_number, string_arith};
pub use error::Throw;
pub use inspect::{Activation, FunctionInfo, FunctionName};
pub use meta::Event;
pub use native::Args;
pub use safepoint::Roots;

pub use crate::syntax::Arith;

use crate::value::{Frame, LuaRuntime, Status, Str, Table, Thread, Value};
use crate::value::{Gc, StringTable};
use neap_gc::{Config, Heap, OutOfMemory};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

/// Limits of the interpreter; each is met by an error that `pcall` can catch.
pub mod limits {
    /// Slots of one stack.
    pub const STACK_SLOTS: usize = 1_000_000;
    /// Slots granted beyond, while an error is handled.
    pub const STACK_RESERVE: usize = 4_096;
    /// Nesting of host recursion, of running coroutines, of protected calls, and of metamethods.
    pub const HOST_DEPTH: u32 = 190;
    /// Nesting granted beyond, while an error is handled.
    pub const HANDLER_DEPTH: u32 = 20;
    /// Slots that a native function may push without asking.
    pub const NATIVE_SLOTS: usize = 24;
    /// Length of chains of `__index` and `__newindex`.
    pub const META_CHAIN: usize = 2_000;
}

/// What a step of the interpreter asks of the loop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Flow {
    /// The instruction is done.
    Next,
    /// The top frame has changed: take up its state anew.
    Reload,
    /// A `FRESH` frame has returned.
    Exit,
}

/// An interpreter: heap, libraries, threads.
pub struct Vm {
    pub heap: Heap<LuaRuntime>,
    pub(crate) roots: Roots,
    /// The running thread and its stack (M1).
    pub(crate) thread: Gc<Thread>,
    pub(crate) stack: *mut Value,
    /// Frames must end at or below this slot, or ask `grow_stack`. Not above the capacity, nor above what the stack may have.
    pub(crate) soft_limit: usize,
    pub(crate) frames: *mut Frame,
    pub(crate) frame_count: usize,
    pub(crate) frame_capacity: usize,
    /// End of the values in flight: open calls and returns, arguments and results of native functions.
    pub(crate) top: usize,
    /// Where the running thread's top stood at its last scan, or the lowest that it has come down to since.
    pub(crate) scanned_top: usize,
    /// Growth beyond that which brings about an epoch end, and where the stack stood when it was asked for last.
    scan_step: usize,
    asked_top: usize,
    pub(crate) poll: Arc<AtomicU32>,
    /// Depth of host recursion.
    pub(crate) depth: u32,
    /// The message handler has seen the error in flight.
    pub(crate) handled: bool,
    /// An error is being handled: the stack reserve is open.
    pub(crate) in_handler: bool,
    pub(crate) in_finalizer: bool,
    /// The running thread has a hook, which does not run itself (K1).
    pub(crate) hooked: bool,
    /// The innermost loop traces.
    pub(crate) tracing: bool,
    /// `run` has returned only to go on in its other form.
    pub(crate) switching: bool,
    /// The heap has refused memory: what can be given up is collected where the error is caught.
    pub(crate) out_of_memory: bool,
    /// So it has for an instruction that can be done again.
    restartable: bool,
    /// The instruction done again last, and the epochs up to then.
    restarted: (*const std::cell::Cell<u32>, u64),
    /// How often natives and hosts have called into the interpreter.
    runs: u64,
    /// The interpreter is being closed: nothing gets a finalizer any more.
    pub(crate) closing: bool,
    /// Called when the program ends by [`Vm::exit`].
    pub at_exit: Option<fn(&mut Vm)>,
    /// Where warnings go, and whether they are on.
    pub warnings: crate::vm::error::Warnings,
    /// State of the libraries (random numbers, files).
    pub lib: crate::stdlib::LibState,
}

impl Vm {
    /// A new interpreter without libraries.
    pub fn new(config: Config) -> Result<Vm, OutOfMemory> {
        let mut heap = Heap::new(LuaRuntime { strings: StringTable::new() }, config)?;
        let main = Gc::<Thread>::new(&mut heap)?;
        main.status.set(Status::Running);
        let globals = Gc::<Table>::new(&mut heap, 0, 0)?;
        let registry = Gc::<Table>::new(&mut heap, 0, 0)?;
        let mut names = Vec::new();
        for &event in Event::ALL {
            names.push(Gc::<Str>::intern(&mut heap, event.name().as_bytes())?);
        }
        let poll = heap.poll_word().clone();
        let mut roots = Roots::new(main, globals, registry, names);
        roots.memory_message = Value::str(Gc::<Str>::intern(&mut heap, b"not enough memory")?);
        let mut vm = Vm {
            heap,
            roots,
            thread: main,
            stack: std::ptr::null_mut(),
            soft_limit: 0,
            frames: std::ptr::null_mut(),
            frame_count: 0,
            frame_capacity: 0,
            top: 0,
            scanned_top: 0,
            scan_step: Vm::SCAN_STEP,
            asked_top: 0,
            poll,
            depth: 0,
            handled: false,
            in_handler: false,
            in_finalizer: false,
            hooked: false,
            tracing: false,
            switching: false,
            out_of_memory: false,
            restartable: false,
            restarted: (std::ptr::null(), 0),
            runs: 0,
            closing: false,
            at_exit: None,
            warnings: Default::default(),
            lib: Default::default(),
        };
        vm.load_thread(main);
        // SAFETY: the main thread is about to run (R11).
        unsafe { vm.heap.touch_thread(main.as_ref()) };
        vm.push_host_frame()?;
        Ok(vm)
    }

    /// The table of globals.
    pub fn globals(&self) -> Gc<Table> {
        self.roots.globals
    }
    /// The registry, for libraries.
    pub fn registry(&self) -> Gc<Table> {
        self.roots.registry
    }
    pub fn main_thread(&self) -> Gc<Thread> {
        self.roots.main
    }
    pub fn current_thread(&self) -> Gc<Thread> {
        self.thread
    }
}
