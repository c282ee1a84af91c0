//! The interpreter: state, calls, the loop, metamethods, coroutines, errors.
//!
//! * **M1** The running thread's stack and frames are cached in [`Vm`] (`stack`, `frames`, ...) and written back when another thread takes over.
//! * **M2** A frame's saved `pc` points one word past the first word of the instruction in progress, whenever anything is called or raised.
//! * **M3** At a safepoint every live value is in a root or in a stack slot below `top`. Safepoints: back edges, function entries, instructions that allocate, and
//!   where a native function returns or waits, or says that it holds nothing else ([`Vm::native_safepoint`]).
//! * **M4** Whatever a program calls it calls without recursion in the host: native functions wait for what they call (`step`). Only the host program itself
//!   enters the interpreter anew (`host`), to a bounded depth.

mod arith;
mod call;
mod chronicle;
mod close;
mod concat;
pub(crate) mod coroutine;
mod debuginfo;
mod end;
mod error;
mod execute;
mod fields;
mod finalize;
mod hook;
mod host;
mod inspect;
#[cfg(test)]
mod interrupts;
mod load;
mod loops;
mod meta;
mod native;
pub(crate) mod protect;
mod restart;
mod safepoint;
#[cfg(debug_assertions)]
mod shadow;
mod shrink;
mod stack;
mod step;
pub(crate) mod stop;
mod tell;
mod traceback;
mod type_error;
pub(crate) mod wait;
mod work;

pub(crate) use arith::string_arith;
#[cfg(feature = "cli")]
pub(crate) use chronicle::{Chronicle, REPORT};
pub use error::Throw;
pub(crate) use error::shown;
pub use inspect::Activation;
pub use meta::Event;
pub use native::Args;
pub use safepoint::Roots;
pub use step::Ready;
pub(crate) use step::ready;
pub use stop::{Limits, Stop};
pub use work::PIECE;

pub use crate::syntax::Arith;

use crate::value::Gc;
use crate::value::{Frame, LuaRuntime, Status, Str, Table, Thread, Value};
use neap_gc::{Config, Heap, OutOfMemory};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

/// Limits of the interpreter; each is met by an error that `pcall` can catch.
pub mod limits {
    /// Slots of one stack.
    pub const STACK_SLOTS: usize = 1_000_000;
    /// Slots granted beyond, while an error is handled.
    pub const STACK_RESERVE: usize = 4_096;
    /// Nesting of host recursion, and of running coroutines.
    pub const HOST_DEPTH: u32 = 190;
    /// Nesting of calls by native functions and of metamethods.
    pub const NESTING: u32 = 10_000;
    /// Nesting granted beyond, while an error is handled.
    pub const NESTING_RESERVE: u32 = 200;
    /// Nesting of message handlers, which are called for each other's errors.
    pub const HANDLERS: u32 = 20;
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
    /// The innermost frame has changed: take up its state anew.
    Reload,
    /// The innermost frame is none of a Lua function, and this is its step.
    Step(u32),
    /// What the host has called has returned.
    Exit,
    /// The loop goes on in its other form, with the hook or without.
    Switch,
}

/// What is done at the end of a program.
pub type AtExit = Box<dyn FnOnce(&mut Vm, i32) -> i32>;

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
    /// Units of work until the next look at the poll word (`work`).
    unlooked: usize,
    /// Depth of host recursion.
    pub(crate) depth: u32,
    /// The message handler has seen the error in flight.
    pub(crate) handled: bool,
    /// Message handlers that run: while there are any the stack reserve is open.
    pub(crate) handlers: u32,
    pub(crate) in_finalizer: bool,
    /// The running thread has a hook, which does not run itself (K1).
    pub(crate) hooked: bool,
    /// The loop is to run in its tracing form: for the hook, or to count fuel.
    pub(super) traced: bool,
    /// The runs with limits (S1).
    runs: Vec<stop::Run>,
    /// Fuel used so far, and the count at which the first of the runs has used up its own.
    fuel_spent: u64,
    fuel_end: u64,
    /// The stop in flight, and the run that it is for; the host, if that is none.
    stopping: Option<(Stop, Option<usize>)>,
    /// Why the last run was stopped.
    stopped: Option<Stop>,
    /// The heap has refused memory: what can be given up is collected where the error is caught.
    pub(crate) out_of_memory: bool,
    /// So it has for an instruction that can be done again.
    restartable: bool,
    /// The instruction done again last, and the epochs up to then.
    restarted: (*const std::cell::Cell<u32>, u64),
    /// The interpreter is being closed: nothing gets a finalizer any more.
    pub(crate) closing: bool,
    /// Keeps a record of the program's stops.
    pub(crate) chronicle: Option<Box<dyn chronicle::Chronicle>>,
    /// The last safepoint of a Lua function was before the instruction at its `pc`: at the beginning of the function, or where a loop goes back to.
    stops_at_next: bool,
    /// Called when the program ends by [`Vm::exit`], with the exit code; gives the one to end with.
    pub at_exit: Option<AtExit>,
    /// Where warnings go, and whether they are on.
    pub warnings: crate::vm::error::Warnings,
    #[cfg(debug_assertions)]
    shadow: shadow::Shadow,
    /// State of the libraries (random numbers, files).
    pub lib: crate::stdlib::LibState,
}

impl Vm {
    /// A new interpreter without libraries.
    pub fn new(config: Config) -> Result<Vm, OutOfMemory> {
        crate::value::hash::seed();
        let mut heap = Heap::new(LuaRuntime::default(), config)?;
        let main = Gc::<Thread>::new(&mut heap)?;
        main.status.set(Status::Running);
        let globals = Gc::<Table>::new(&mut heap, 0, 0)?;
        let registry = Gc::<Table>::new(&mut heap, 2, 0)?;
        // Where the C API of the reference has them: `LUA_RIDX_MAINTHREAD`, `LUA_RIDX_GLOBALS`.
        for (i, value) in [(1, Value::thread(main)), (2, Value::table(globals))] {
            registry.set_int(&mut heap, i, value).map_err(|_| OutOfMemory)?;
        }
        let mut names = Vec::new();
        for &event in Event::ALL {
            names.push(Gc::<Str>::intern(&mut heap, event.name().as_bytes())?);
        }
        heap.set_stop_bits(stop::STOPS);
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
            unlooked: 0,
            depth: 0,
            handled: false,
            handlers: 0,
            in_finalizer: false,
            hooked: false,
            traced: false,
            runs: Vec::new(),
            fuel_spent: 0,
            fuel_end: u64::MAX,
            stopping: None,
            stopped: None,
            out_of_memory: false,
            restartable: false,
            restarted: (std::ptr::null(), 0),
            closing: false,
            chronicle: None,
            stops_at_next: false,
            at_exit: None,
            warnings: Default::default(),
            #[cfg(debug_assertions)]
            shadow: Default::default(),
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
