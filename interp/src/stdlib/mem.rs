//! The library `mem`: explicit allocation for scripts, beside the collector and on the same pages.
//!
//! ```text
//!   mem.malloc(size)                       mem.calloc(count [, size])             a new block
//!   mem.stats()                            mem.blocks()                           figures; the live blocks with their places
//!   block:write(offset, format, ...)       block:read(offset, format)             as string.pack and string.unpack
//!   block:fill(byte [, offset [, count]])  block:copy(offset, source [, from [, count]])
//!   block:realloc(size)   block:free()     block:size()   #block   tostring(block)
//! ```
//! Offsets count from 0, as the addresses of C do. `write` returns the offset behind what it wrote, `read` the values and then the offset
//! behind them; `realloc` keeps the handle and returns it. A block that leaves the scope of `local b <close>` is freed.
//!
//! Everything is checked: what is an error in C is a Lua error here, which names the lines that allocated and freed the block.
//!
//! * **I1** A handle is a userdata that holds an id, never an address; one handle a block.
//! * **I2** When a handle dies its id is noted in `dropped`, and [`settle`] tells the heap later: a destructor can't. There is no `__gc`: a finalizer
//!   would run while other finalizers may still free the block, and would call a leak what is none.
//! * **I3** Nothing is written unless all of a `write` fits.
//!
//! May import `pack`, `support`, the machine.

use super::fault::Fault;
use super::pack::{Item, Kind, Layout};
use super::support::{self, Functions, raise, text};
use crate::value::{Gc, Table, Value};
use crate::vm::{Args, PIECE, Throw, Vm};
use neap_gc::OutOfMemory;
use neap_gc::explicit::{Access, BlockId, BlockInfo, CheckedBlocks, CheckedError, Offence, Report, Site};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::ptr::NonNull;
use std::rc::Rc;

const FUNCTIONS: Functions = &[("blocks", blocks), ("calloc", calloc), ("malloc", malloc), ("stats", stats)];

const METHODS: Functions =
    &[("copy", copy), ("fill", fill), ("free", free), ("read", read), ("realloc", realloc), ("size", size), ("write", write)];

const METAMETHODS: Functions = &[("__close", close), ("__len", size), ("__tostring", tostring)];

const HANDLE: &str = "mem.block";
/// Different places that are told apart; a program that generates its chunks may have any number.
const MAX_PLACES: usize = 1 << 16;
/// After this many bytes the collector is asked whether the handles are still in use.
const EPOCH_BYTES: usize = 8 << 20;

type Dropped = Rc<RefCell<Vec<BlockId>>>;

/// What a handle holds.
struct Block {
    id: BlockId,
    dropped: Dropped,
}

impl Drop for Block {
    fn drop(&mut self) {
        self.dropped.borrow_mut().push(self.id);
    }
}

/// The places of a program where blocks are allocated and freed, by number.
#[derive(Default)]
struct Places {
    names: Vec<Vec<u8>>,
    numbers: HashMap<Vec<u8>, u32>,
}

impl Places {
    fn enter(&mut self, name: &[u8]) -> Site {
        if let Some(&number) = self.numbers.get(name) {
            return Site(number);
        }
        if name.is_empty() || self.names.len() == MAX_PLACES {
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
    places: Places,
    dropped: Dropped,
    leaks: BTreeMap<Site, Leak>,
    /// Bytes allocated since the collector was asked.
    fresh_bytes: usize,
}

fn enter_leak(leaks: &mut BTreeMap<Site, Leak>, block: BlockInfo) {
    let leak = leaks.entry(block.allocated).or_default();
    leak.blocks += 1;
    leak.bytes += block.size;
}

pub fn open(vm: &mut Vm) -> Result<(), Throw> {
    support::library(vm, "mem", FUNCTIONS)?;
    support::handle_metatable(vm, HANDLE, METAMETHODS, METHODS).map(drop)
}

/// Takes back the memory of the blocks whose handles have died (I2).
pub(crate) fn settle(vm: &mut Vm) {
    while let Some(id) = { vm.lib.mem.dropped.borrow_mut().pop() } {
        if let Some(block) = vm.heap.checked().forget(id).and_then(|leak| leak.block) {
            enter_leak(&mut vm.lib.mem.leaks, block);
        }
    }
}

/// Writes a line for each place whose blocks were never freed to the standard error; for the end of the program.
pub(crate) fn report_leaks(vm: &mut Vm) {
    settle(vm);
    let State { places, leaks, .. } = &mut vm.lib.mem;
    let mut text = Vec::new();
    let mut line = |what: &[u8]| text.extend_from_slice(&[b"neap: warning: ", what, b"\n"].concat());
    vm.heap.checked().inspect(|report| match report.block {
        Some(block) if report.offence == Offence::Leak => enter_leak(leaks, block),
        _ => line(&report.text(|site| places.name(site))),
    });
    for (&site, leak) in leaks.iter() {
        let unit = if leak.bytes == 1 { "byte" } else { "bytes" };
        let (what, never) = match leak.blocks {
            1 => (format!("block of {} {unit}", leak.bytes), " was never freed"),
            n => (format!("{n} blocks, {} {unit} in all,", leak.bytes), " were never freed"),
        };
        line(&[b"leak: ", what.as_bytes(), b" allocated at ", &places.name(site), never.as_bytes()].concat());
    }
    if !text.is_empty() {
        use std::io::Write;
        // If nobody can be told, nobody is.
        let _ = std::io::stderr().write_all(&text);
    }
}

// ---- places, handles, errors

/// Where the program is: the innermost Lua function.
fn site(vm: &mut Vm) -> Site {
    /// Native functions that call each other; further up nothing is looked for.
    const LEVELS: usize = 8;
    let position = (1..LEVELS).map(|level| vm.position(level)).find(|position| !position.is_empty());
    let position = position.unwrap_or_default();
    vm.lib.mem.places.enter(position.strip_suffix(b": ").unwrap_or(&position))
}

/// The id of a handle.
fn id_of(value: Value) -> Option<BlockId> {
    let userdata = value.as_userdata()?;
    let data = userdata.data.borrow();
    data.as_ref()?.downcast_ref::<Block>().map(|block| block.id)
}

fn check_block(vm: &mut Vm, args: Args, i: usize) -> Result<BlockId, Throw> {
    match id_of(vm.arg(args, i)) {
        Some(id) => Ok(id),
        None => Err(vm.arg_type_error(args, i, HANDLE)),
    }
}

#[cold]
fn offence(vm: &mut Vm, report: Report) -> Throw {
    let text = report.text(|site| vm.lib.mem.places.name(site));
    vm.error(text)
}

/// Works with the blocks; a report becomes a Lua error.
fn with<T>(vm: &mut Vm, work: impl FnOnce(&mut CheckedBlocks<'_>) -> Result<T, Report>) -> Result<T, Throw> {
    let result = work(&mut vm.heap.checked());
    result.map_err(|report| offence(vm, report))
}

/// A fault of a format, which stands in argument 2 of a method.
#[cold]
fn format_fault(vm: &mut Vm, fault: Fault) -> Throw {
    match fault {
        Fault::Argument(1, text) => vm.arg_error(2, &text),
        other => raise(vm, other),
    }
}

// ---- allocation

fn check_size(vm: &mut Vm, args: Args, i: usize) -> Result<usize, Throw> {
    let size = vm.check_int(args, i)?;
    usize::try_from(size).map_err(|_| vm.arg_error(i, "size is negative"))
}

/// Allocates; if memory is short the garbage goes first, and the handles in it with their blocks. What is given up for a stop counts as a refusal: see
/// [`refused`].
fn allocate<T, E>(
    vm: &mut Vm,
    bytes: usize,
    mut work: impl FnMut(&mut CheckedBlocks<'_>) -> Result<T, E>,
    is_memory: impl Fn(&E) -> bool,
) -> Result<T, E> {
    settle(vm);
    let state = &mut vm.lib.mem;
    state.fresh_bytes = state.fresh_bytes.saturating_add(bytes);
    if state.fresh_bytes >= EPOCH_BYTES {
        state.fresh_bytes = 0;
        vm.heap.request_epoch();
    }
    let mut go_on = vm.may_go_on();
    match work(&mut vm.heap.checked().asking(&mut go_on)) {
        Err(error) if is_memory(&error) && !vm.is_stopped() => {
            vm.collect_all();
            settle(vm);
            work(&mut vm.heap.checked().asking(&mut go_on))
        }
        result => result,
    }
}

/// The error of an allocation that was refused, or given up for a stop.
#[cold]
fn refused(vm: &mut Vm) -> Throw {
    if vm.is_stopped() { vm.stop_error() } else { vm.memory_error() }
}

fn new_block(
    vm: &mut Vm,
    bytes: usize,
    work: impl FnMut(&mut CheckedBlocks<'_>) -> Result<BlockId, OutOfMemory>,
) -> Result<u32, Throw> {
    let id = allocate(vm, bytes, work, |_| true).map_err(|_| refused(vm))?;
    // From here on the handle answers for the block: if it can't be made, the block goes with it, and is no leak of the program's.
    let block = Block { id, dropped: vm.lib.mem.dropped.clone() };
    let meta = support::registry_table(vm, HANDLE)?;
    match vm.new_userdata(block, Some(meta)) {
        Ok(handle) => vm.ret1(handle),
        Err(throw) => {
            // The block lives, and its fences are whole.
            let _ = vm.heap.checked().free(id, Site::UNKNOWN);
            Err(throw)
        }
    }
}

fn malloc(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let size = check_size(vm, args, 0)?;
    let site = site(vm);
    new_block(vm, size, |blocks| blocks.malloc(size, site))
}

fn calloc(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let count = check_size(vm, args, 0)?;
    let size = if vm.arg(args, 1).is_nil() { 1 } else { check_size(vm, args, 1)? };
    let site = site(vm);
    new_block(vm, count.saturating_mul(size), |blocks| blocks.calloc(count, size, site))
}

fn realloc(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let id = check_block(vm, args, 0)?;
    let size = check_size(vm, args, 1)?;
    let site = site(vm);
    let result = allocate(vm, size, |blocks| blocks.realloc(id, size, site), |error| *error == CheckedError::OutOfMemory);
    match result {
        Ok(()) => {
            let block = vm.arg(args, 0);
            vm.ret1(block)
        }
        Err(CheckedError::OutOfMemory) => Err(refused(vm)),
        Err(CheckedError::Report(report)) => Err(offence(vm, report)),
    }
}

fn free(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let id = check_block(vm, args, 0)?;
    let site = site(vm);
    with(vm, |blocks| blocks.free(id, site))?;
    Ok(0)
}

/// Frees the block unless that was done before.
fn close(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let id = check_block(vm, args, 0)?;
    let lives = vm.heap.checked().size(id).is_ok();
    if lives { free(vm, args) } else { Ok(0) }
}

// ---- access

fn size(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let id = check_block(vm, args, 0)?;
    let size = with(vm, |blocks| blocks.size(id))?;
    vm.ret1(Value::int(size as i64))
}

fn write(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let id = check_block(vm, args, 0)?;
    let offset = vm.check_int(args, 1)?;
    let go_on = vm.may_go_on();
    let mut layout = Layout::new(text(vm, args, 2)?, &go_on);
    let end = vm.with_text(|vm, out| {
        // Each item is checked before it is made, so that nothing longer than the block is.
        let mut next = 2;
        loop {
            let at = offset.wrapping_add(out.len() as i64);
            let Some(item) = layout.next(at as usize).map_err(|fault| format_fault(vm, fault))? else { break };
            with(vm, |blocks| blocks.check(id, Access::Write, at, item.alignment + item.size))?;
            if matches!(item.kind, Kind::Counted | Kind::ZeroEnded) {
                let text = text(vm, args, next + 1)?;
                with(vm, |blocks| blocks.check(id, Access::Write, at, item.alignment + item.size + text.len()))?;
            }
            super::string::pack_item(vm, args, &item, &mut next, out)?;
        }
        let bytes = vm.whole(out)?;
        // An empty format writes no byte, but to a block.
        with(vm, |blocks| blocks.check(id, Access::Write, offset, bytes.len()))?;
        let mut at = offset;
        for piece in bytes.chunks(PIECE) {
            vm.bulk(2 * piece.len())?;
            with(vm, |blocks| blocks.write(id, at, piece))?;
            at += piece.len() as i64;
        }
        Ok(at)
    })?;
    vm.ret1(Value::int(end))
}

fn read(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let id = check_block(vm, args, 0)?;
    let mut at = vm.check_int(args, 1)?;
    let go_on = vm.may_go_on();
    let mut layout = Layout::new(text(vm, args, 2)?, &go_on);
    let mut count = 0;
    while let Some(item) = layout.next(at as usize).map_err(|fault| format_fault(vm, fault))? {
        let skipped = item.alignment + if item.kind == Kind::Padding { item.size } else { 0 };
        // What is skipped must be there, but may hold nothing.
        if skipped > 0 {
            with(vm, |blocks| blocks.check(id, Access::Read, at, skipped))?;
            at += skipped as i64;
        }
        if matches!(item.kind, Kind::Nothing | Kind::Padding) {
            continue;
        }
        support::reserve(vm, 2, "too many results")?;
        let value = read_item(vm, id, &mut at, item)?;
        vm.push(value)?;
        count += 1;
    }
    // An empty format asks for no byte, but for a block.
    with(vm, |blocks| blocks.check(id, Access::Read, at, 0))?;
    vm.push(Value::int(at))?;
    Ok(count + 1)
}

/// Reads what stands at `at`, and moves behind it.
fn read_item(vm: &mut Vm, id: BlockId, at: &mut i64, item: Item) -> Result<Value, Throw> {
    let bytes = match item.kind {
        Kind::Integer | Kind::Unsigned | Kind::Float | Kind::Double | Kind::Counted => {
            let mut bytes = [0; super::pack::MAX_INT_SIZE];
            let size = item.size;
            with(vm, |blocks| blocks.read(id, *at, size).map(|from| bytes[..size].copy_from_slice(from)))?;
            *at += size as i64;
            if matches!(item.kind, Kind::Float | Kind::Double) {
                return Ok(Value::float(item.get_float(&bytes[..size])));
            }
            let number = item.get_integer(&bytes[..size]).map_err(|fault| raise(vm, fault))?;
            if item.kind != Kind::Counted {
                return Ok(Value::int(number));
            }
            let length = number as u64 as usize;
            let bytes = with(vm, |blocks| blocks.read(id, *at, length).map(NonNull::from))?;
            *at += bytes.len() as i64;
            bytes
        }
        Kind::Chars => {
            let bytes = with(vm, |blocks| blocks.read(id, *at, item.size).map(NonNull::from))?;
            *at += bytes.len() as i64;
            bytes
        }
        _ => {
            let length = length_until_zero(vm, id, *at)?;
            let bytes = with(vm, |blocks| blocks.read(id, *at, length).map(NonNull::from))?;
            *at += bytes.len() as i64 + 1;
            bytes
        }
    };
    // SAFETY: bytes of a live block, which the making of a string neither moves nor frees nor writes to.
    vm.new_str(unsafe { bytes.as_ref() })
}

/// How many bytes stand before the first zero.
fn length_until_zero(vm: &mut Vm, id: BlockId, at: i64) -> Result<usize, Throw> {
    let mut length = 0;
    loop {
        vm.bulk(PIECE)?;
        match with(vm, |blocks| blocks.find_zero(id, at + length as i64, PIECE))? {
            Some(zero) => return Ok(length + zero),
            None => length += PIECE,
        }
    }
}

fn check_count(vm: &mut Vm, args: Args, i: usize, default: i64) -> Result<usize, Throw> {
    let count = vm.opt_int(args, i, default.max(0))?;
    usize::try_from(count).map_err(|_| vm.arg_error(i, "count is negative"))
}

fn fill(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let id = check_block(vm, args, 0)?;
    let byte = vm.check_int(args, 1)?;
    let byte = u8::try_from(byte).map_err(|_| vm.arg_error(1, "byte out of range"))?;
    let size = with(vm, |blocks| blocks.size(id))? as i64;
    let offset = vm.opt_int(args, 2, 0)?;
    let count = check_count(vm, args, 3, size.saturating_sub(offset))?;
    with(vm, |blocks| blocks.check(id, Access::Write, offset, count))?;
    let mut done = 0;
    loop {
        let piece = (count - done).min(PIECE);
        vm.bulk(2 * piece)?;
        with(vm, |blocks| blocks.fill(id, offset + done as i64, piece, byte))?;
        done += piece;
        if done == count {
            return Ok(0);
        }
    }
}

fn copy(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let id = check_block(vm, args, 0)?;
    let offset = vm.check_int(args, 1)?;
    let source = check_block(vm, args, 2)?;
    with(vm, |blocks| blocks.size(id))?;
    let size = with(vm, |blocks| blocks.size(source))? as i64;
    let from = vm.opt_int(args, 3, 0)?;
    let count = check_count(vm, args, 4, size.saturating_sub(from))?;
    with(vm, |blocks| blocks.check(source, Access::Read, from, count))?;
    with(vm, |blocks| blocks.check(id, Access::Write, offset, count))?;
    // Of a range and its copy that overlap, what is overwritten has been copied.
    let backwards = offset > from;
    let mut done = 0;
    loop {
        let piece = (count - done).min(PIECE);
        vm.bulk(2 * piece)?;
        let at = if backwards { count - done - piece } else { done } as i64;
        with(vm, |blocks| blocks.copy(id, offset + at, source, from + at, piece))?;
        done += piece;
        if done == count {
            return Ok(0);
        }
    }
}

// ---- figures

fn tostring(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let id = check_block(vm, args, 0)?;
    let Some(info) = vm.heap.checked().info(id) else { return vm.ret_str(b"mem.block") };
    let place = |site| vm.lib.mem.places.name(site);
    let mut text = format!("mem.block: {} bytes allocated at ", info.size).into_bytes();
    text.extend_from_slice(&place(info.allocated));
    if let Some(freed) = info.freed {
        text.extend_from_slice(b", freed at ");
        text.extend_from_slice(&place(freed));
    }
    vm.ret_str(&text)
}

/// `blocks` and `bytes` of the live ones; `quarantine`, the bytes that freed ones keep; `leaked`, the bytes of those that became garbage unfreed.
fn stats(vm: &mut Vm, _: Args) -> Result<u32, Throw> {
    settle(vm);
    let (blocks, bytes, quarantine) = {
        let checked = vm.heap.checked();
        (checked.blocks(), checked.bytes(), checked.quarantine_bytes())
    };
    let leaked = vm.lib.mem.leaks.values().map(|leak| leak.bytes).sum();
    let table = vm.new_table(0, 4)?;
    for (name, figure) in [("blocks", blocks), ("bytes", bytes), ("quarantine", quarantine), ("leaked", leaked)] {
        vm.set_field(table, name, Value::int(figure as i64))?;
    }
    vm.ret1(Value::table(table))
}

/// A list of tables with the `size` and the `place` of each live block.
fn blocks(vm: &mut Vm, _: Args) -> Result<u32, Throw> {
    settle(vm);
    // The list is not on the heap, but counts against its limit.
    let count = vm.heap.checked().blocks();
    let bytes = count.saturating_mul(size_of::<BlockInfo>());
    let mut found = Vec::new();
    if vm.heap.room_bytes(bytes) < bytes || found.try_reserve_exact(count).is_err() {
        return Err(vm.memory_error());
    }
    vm.heap.checked().for_each(|info| found.push(info));
    let list: Gc<Table> = vm.new_table(found.len(), 0)?;
    for (i, info) in found.into_iter().enumerate() {
        vm.work(64)?;
        let entry = vm.new_table(0, 2)?;
        let place = vm.lib.mem.places.name(info.allocated);
        let place = vm.new_str(&place)?;
        vm.set_field(entry, "size", Value::int(info.size as i64))?;
        vm.set_field(entry, "place", place)?;
        vm.raw_set(list, Value::int(i as i64 + 1), Value::table(entry))?;
    }
    vm.ret1(Value::table(list))
}
