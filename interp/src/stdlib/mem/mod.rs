//! The library `mem`: explicit allocation for scripts, beside the collector and on the same pages, and the memory of the system.
//!
//! ```text
//!   mem.malloc(size)   mem.calloc(count [, size])   mem.scope([function])      blocks
//!   mem.address(block [, offset])   mem.null                                   pointers
//!   mem.brk([to])   mem.sbrk(by)   mem.map{...}                                the break region, mappings
//!   mem.struct{{name, format}, ...}   mem.array(place, format ...)             views
//!   mem.stats()   mem.blocks()   mem.fragmentation()   mem.map_picture([path])   mem.pagesize()   mem.faults()   mem.resident(place)   mem.regions()   mem.where(x)
//!
//!   place:write(offset, format, ...)       place:read(offset, format)             as string.pack and string.unpack
//!   place:fill(byte [, offset [, count]])  place:copy(offset, source [, from [, count]])
//!   place:string([i [, j]])                place:dump([offset [, count]])         place:size()   #place
//!   block:realloc(size)   block:free()
//! ```
//! A *place* is a block, a pointer, a mapping or the like. Offsets count from 0, as the addresses of C do. All methods are functions of the library too:
//! `mem.free(block)`. A block that leaves the scope of `local b <close>` is freed.
//!
//! Everything is checked: what is an error in C is a Lua error here, which names the lines that allocated and freed the block.
//!
//! * **I1** A handle is a userdata that holds an id, never an address; one handle a block.
//! * **I2** When a handle dies its id is noted in `dropped`, and [`settle`] tells the heap later: a destructor can't. There is no `__gc`: a finalizer
//!   would run while other finalizers may still free the block, and would call a leak what is none. A block that pointers may name lives on.
//! * **I3** Nothing is written unless all of a `write` fits.
//!
//! May import `pack`, `support`, the machine.

mod access;
mod block;
mod mapping;
mod picture;
mod place;
mod pointer;
mod system;
mod view;

use super::support::{self, Functions};
use crate::value::{Gc, Table, Value};
use crate::vm::{Args, Throw, Vm};
use neap_gc::explicit::{BlockId, BlockInfo, BreakRegion, CheckedBlocks, Offence, Report, Site};
use std::any::Any;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

const FUNCTIONS: Functions = &[
    ("address", pointer::address),
    ("array", view::array),
    ("blocks", block::blocks),
    ("brk", mapping::brk),
    ("calloc", block::calloc),
    ("copy", access::copy),
    ("dump", access::dump),
    ("faults", system::faults),
    ("fill", access::fill),
    ("fragmentation", picture::fragmentation),
    ("free", block::free),
    ("malloc", block::malloc),
    ("map", mapping::map),
    ("map_picture", picture::map_picture),
    ("pagesize", system::pagesize),
    ("read", access::read),
    ("realloc", block::realloc),
    ("regions", system::regions),
    ("resident", system::resident),
    ("sbrk", mapping::sbrk),
    ("scope", block::scope),
    ("size", access::size),
    ("stats", block::stats),
    ("string", access::string),
    ("struct", view::structure),
    ("unlink", mapping::unlink),
    ("where", system::location),
    ("write", access::write),
];

/// Different places that are told apart; a program that generates its chunks may have any number.
const MAX_SITES: usize = 1 << 16;
/// Errors of finalizers, which nobody may hear, are kept for the end up to this many.
const MAX_UNHEARD: usize = 16;

type Dropped = Rc<RefCell<Vec<BlockId>>>;

/// The places of a program where blocks are allocated and freed, by number.
#[derive(Default)]
struct Sites {
    names: Vec<Vec<u8>>,
    numbers: HashMap<Vec<u8>, u32>,
}

impl Sites {
    fn enter(&mut self, name: &[u8]) -> Site {
        if let Some(&number) = self.numbers.get(name) {
            return Site(number);
        }
        if name.is_empty() || self.names.len() == MAX_SITES {
            return Site::UNKNOWN;
        }
        let number = self.names.len() as u32;
        self.names.push(name.to_vec());
        self.numbers.insert(name.to_vec(), number);
        Site(number)
    }
    fn name(&self, site: Site) -> Vec<u8> {
        self.names.get(site.0 as usize).map_or(b"?".to_vec(), Vec::clone)
    }
}

/// Blocks that were never freed, of one place.
#[derive(Default)]
struct Leak {
    blocks: usize,
    bytes: usize,
}

/// The state of the library.
#[derive(Default)]
pub struct State {
    /// What is wrong at the end makes the process fail.
    leaks_are_errors: bool,
    sites: Sites,
    dropped: Dropped,
    leaks: BTreeMap<Site, Leak>,
    /// Bytes allocated since the collector was asked.
    fresh_bytes: usize,
    /// Errors in finalizers.
    unheard: Vec<Vec<u8>>,
    region: Option<BreakRegion>,
    /// What anonymous mappings take of the heap's limit.
    mapped_bytes: Rc<std::cell::Cell<usize>>,
}

impl State {
    /// What does not stand on the heap, but counts against its limit.
    fn system_bytes(&self) -> usize {
        self.mapped_bytes.get() + self.region.as_ref().map_or(0, BreakRegion::len)
    }
}

fn enter_leak(leaks: &mut BTreeMap<Site, Leak>, block: BlockInfo) {
    let leak = leaks.entry(block.allocated).or_default();
    leak.blocks += 1;
    leak.bytes += block.size;
}

pub fn open(vm: &mut Vm) -> Result<(), Throw> {
    let library = support::library(vm, "mem", FUNCTIONS)?;
    let null = pointer::null(vm)?;
    vm.set_field(library, "null", null)
}

/// Takes back the memory of the blocks whose handles have died (I2).
pub(crate) fn settle(vm: &mut Vm) {
    while let Some(id) = { vm.lib.mem.dropped.borrow_mut().pop() } {
        if let Some(block) = vm.heap.checked().forget(id).and_then(|leak| leak.block) {
            enter_leak(&mut vm.lib.mem.leaks, block);
        }
    }
}

/// For the end of the program: writes a line for each place whose blocks were never freed, and what else is wrong, to the standard error. If the program has
/// failed that is one line, so that its own error is seen. `status` is the exit code of the program; what it is to be is returned.
pub(crate) fn report_leaks(vm: &mut Vm, status: i32) -> i32 {
    settle(vm);
    let failed = status != 0;
    let State { sites, leaks, unheard, .. } = &mut vm.lib.mem;
    let mut text = Vec::new();
    let mut line = |what: &[u8]| text.extend_from_slice(&[b"neap: warning: ", what, b"\n"].concat());
    unheard.iter().for_each(|message| line(message));
    vm.heap.checked().inspect(|report| match report.block {
        Some(block) if report.offence == Offence::Leak => enter_leak(leaks, block),
        _ => line(&report.text(|site| sites.name(site))),
    });
    let bytes_of = |bytes: usize| format!("{bytes} {}", if bytes == 1 { "byte" } else { "bytes" });
    if failed && leaks.len() > 1 {
        let (blocks, bytes) = leaks.values().fold((0, 0), |(blocks, bytes), leak| (blocks + leak.blocks, bytes + leak.bytes));
        let places = leaks.len();
        line(format!("leak: {blocks} blocks of {places} places, {} in all, were never freed", bytes_of(bytes)).as_bytes());
    } else {
        for (&site, leak) in leaks.iter() {
            let (what, never) = match leak.blocks {
                1 => (format!("block of {}", bytes_of(leak.bytes)), " was never freed"),
                n => (format!("{n} blocks, {} in all,", bytes_of(leak.bytes)), " were never freed"),
            };
            line(&[b"leak: ", what.as_bytes(), b" allocated at ", &sites.name(site), never.as_bytes()].concat());
        }
    }
    if text.is_empty() {
        return status;
    }
    use std::io::Write;
    // If nobody can be told, nobody is.
    let _ = std::io::stderr().write_all(&text);
    if vm.lib.mem.leaks_are_errors && !failed { 1 } else { status }
}

pub(crate) fn leaks_are_errors(vm: &mut Vm, yes: bool) {
    vm.lib.mem.leaks_are_errors = yes;
}

// ---- what the other files share

/// Where the program is: the innermost Lua function; of a coroutine that is being closed, that of who closes it.
fn site(vm: &mut Vm) -> Site {
    /// Native functions that call each other; further up nothing is looked for.
    const LEVELS: usize = 8;
    let position = (1..LEVELS).map(|level| vm.position(level)).find(|position| !position.is_empty());
    let position = position.or_else(|| vm.resumer_position()).unwrap_or_default();
    vm.lib.mem.sites.enter(position.strip_suffix(b": ").unwrap_or(&position))
}

#[cold]
fn offence(vm: &mut Vm, report: Report) -> Throw {
    let text = report.text(|site| vm.lib.mem.sites.name(site));
    wrong(vm, text)
}

/// The error of a misuse. In a finalizer it is a warning, which is off as a rule: it is told at the end, too.
#[cold]
fn wrong(vm: &mut Vm, text: Vec<u8>) -> Throw {
    if vm.in_finalizer && vm.lib.mem.unheard.len() < MAX_UNHEARD {
        let position = vm.position(1);
        vm.lib.mem.unheard.push([&position[..], &text, b" (in a finalizer)"].concat());
    }
    vm.error(text)
}

/// Works with the blocks; a report becomes a Lua error.
fn with<T>(vm: &mut Vm, work: impl FnOnce(&mut CheckedBlocks<'_>) -> Result<T, Report>) -> Result<T, Throw> {
    let result = work(&mut vm.heap.checked());
    result.map_err(|report| offence(vm, report))
}

/// Looks at what a userdata of a Rust type holds.
fn held<T: Any, U>(value: Value, look: impl FnOnce(&T) -> U) -> Option<U> {
    let userdata = value.as_userdata()?;
    let data = userdata.data.borrow();
    data.as_ref()?.downcast_ref::<T>().map(look)
}

/// The metatable of a kind of handles, which is made when the first is. What is no method is no nil.
fn metatable(vm: &mut Vm, name: &str, metamethods: Functions, methods: Functions) -> Result<Gc<Table>, Throw> {
    support::handle_metatable(vm, name, metamethods, methods, Some(no_field))
}

fn no_field(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let (of, key) = (vm.running_native().upval(0), vm.arg(args, 1));
    let of = of.as_str().map_or(Vec::new(), |name| name.bytes().to_vec());
    let key = vm.plain_text(key)?;
    Err(vm.error(
        [&of[..], b" has no field '", crate::vm::shown(key.bytes()), b"'; its bytes are read by read(offset, format)"].concat(),
    ))
}

/// A size or a count.
fn check_size(vm: &mut Vm, args: Args, i: usize) -> Result<usize, Throw> {
    let size = vm.check_int(args, i)?;
    usize::try_from(size).map_err(|_| vm.arg_error(i, "size is negative"))
}
