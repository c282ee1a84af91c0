//! Blocks: allocation, their handles, scopes, and figures.

use super::place::view_block;
use super::pointer::{self, Target};
use super::{Dropped, access, check_size, held, metatable, offence, settle, site, with};
use crate::stdlib::support::Functions;
use crate::value::{Gc, Table, Value};
use crate::vm::{Args, Throw, Vm};
use neap_gc::OutOfMemory;
use neap_gc::explicit::{BlockId, BlockInfo, CheckedBlocks, CheckedError, Site};
use std::cell::RefCell;
use std::rc::Rc;

pub(super) const HANDLE: &str = "mem.block";
const METHODS: Functions = &[
    ("copy", access::copy),
    ("dump", access::dump),
    ("fill", access::fill),
    ("free", free),
    ("read", access::read),
    ("realloc", realloc),
    ("size", access::size),
    ("string", access::string),
    ("write", access::write),
];
const METAMETHODS: Functions = &[("__close", close), ("__len", access::size), ("__tostring", tostring)];

const SCOPE: &str = "mem.scope";
const SCOPE_METHODS: Functions = &[("adopt", adopt), ("calloc", scope_calloc), ("malloc", scope_malloc)];
const SCOPE_METAMETHODS: Functions = &[("__close", end_scope)];

/// After this many bytes the collector is asked whether the handles are still in use.
const EPOCH_BYTES: usize = 8 << 20;

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

/// What a scope holds: the blocks that end with it.
struct Scope(Rc<RefCell<Vec<BlockId>>>);

/// The id of a handle.
pub(super) fn id_of(value: Value) -> Option<BlockId> {
    held(value, |block: &Block| block.id)
}

pub(super) fn check_block(vm: &mut Vm, args: Args, i: usize) -> Result<BlockId, Throw> {
    match id_of(vm.arg(args, i)) {
        Some(id) => Ok(id),
        None => Err(vm.arg_type_error(args, i, HANDLE)),
    }
}

// ---- allocation

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

/// A new block and its handle.
fn new_block(
    vm: &mut Vm,
    bytes: usize,
    work: impl FnMut(&mut CheckedBlocks<'_>) -> Result<BlockId, OutOfMemory>,
) -> Result<(BlockId, Value), Throw> {
    let id = allocate(vm, bytes, work, |_| true).map_err(|_| refused(vm))?;
    // From here on the handle answers for the block: if it can't be made, the block goes with it, and is no leak of the program's.
    let block = Block { id, dropped: vm.lib.mem.dropped.clone() };
    let handle = metatable(vm, HANDLE, METAMETHODS, METHODS).and_then(|meta| vm.new_userdata(block, Some(meta)));
    match handle {
        Ok(handle) => Ok((id, handle)),
        Err(throw) => {
            // The block lives, and its fences are whole.
            let _ = vm.heap.checked().free(id, Site::UNKNOWN);
            Err(throw)
        }
    }
}

/// A block by the arguments of `malloc`, from argument `i` on.
fn allocated(vm: &mut Vm, args: Args, i: usize) -> Result<(BlockId, Value), Throw> {
    let size = check_size(vm, args, i)?;
    let site = site(vm);
    new_block(vm, size, |blocks| blocks.malloc(size, site))
}

/// The same by those of `calloc`.
fn cleared(vm: &mut Vm, args: Args, i: usize) -> Result<(BlockId, Value), Throw> {
    let count = check_size(vm, args, i)?;
    let size = if vm.arg(args, i + 1).is_nil() { 1 } else { check_size(vm, args, i + 1)? };
    zeros(vm, count, size)
}

/// A block of zeros.
pub(super) fn zeros(vm: &mut Vm, count: usize, size: usize) -> Result<(BlockId, Value), Throw> {
    let site = site(vm);
    new_block(vm, count.saturating_mul(size), |blocks| blocks.calloc(count, size, site))
}

pub(super) fn malloc(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let (_, handle) = allocated(vm, args, 0)?;
    vm.ret1(handle)
}

pub(super) fn calloc(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let (_, handle) = cleared(vm, args, 0)?;
    vm.ret1(handle)
}

pub(super) fn realloc(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
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

/// Frees a block by its handle, or by a pointer to its first byte; null is left alone.
pub(super) fn free(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let value = vm.arg(args, 0);
    let site = site(vm);
    match pointer::target_of(value) {
        Some(Target::Block(pointer)) => with(vm, |blocks| blocks.free_pointer(pointer, site))?,
        Some(Target::Break(_)) => return Err(vm.error("invalid free: the break region is no block, mem.brk makes it smaller")),
        None => {
            let id = match view_block(value) {
                Some(id) => id,
                None => check_block(vm, args, 0)?,
            };
            with(vm, |blocks| blocks.free(id, site))?;
        }
    }
    Ok(0)
}

/// Frees the block unless that was done before.
fn close(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let id = check_block(vm, args, 0)?;
    let lives = vm.heap.checked().size(id).is_ok();
    if lives { free(vm, args) } else { Ok(0) }
}

// ---- scopes

/// `mem.scope(f, ...)` calls `f(scope, ...)`, and frees at its end what `scope:malloc` and `scope:calloc` have made; `mem.scope()` is a scope for `local s <close>`.
pub(super) fn scope(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    const CALL: &[u8] = b"local scope = ... return function(f, ...) local s <close> = scope() return f(s, ...) end";
    if args.is_empty() || vm.arg(args, 0).is_nil() {
        let meta = metatable(vm, SCOPE, SCOPE_METAMETHODS, SCOPE_METHODS)?;
        let scope = vm.new_userdata(Scope(Rc::default()), Some(meta))?;
        return vm.ret1(scope);
    }
    vm.check_function(args, 0)?;
    let registry = vm.registry();
    let mut call = vm.get_field(registry, "mem.scope.call")?;
    if call.is_nil() {
        let make = Value::closure(vm.load(CALL, b"=mem.scope")?);
        vm.push(make)?;
        let this = vm.new_native("scope", scope, &[])?;
        call = vm.call1(make, &[this])?;
        vm.set_field(registry, "mem.scope.call", call)?;
    }
    let given: Vec<Value> = (0..args.count()).map(|i| vm.arg(args, i)).collect();
    vm.push(call)?;
    for value in given {
        vm.push(value)?;
    }
    vm.call_last(args.count(), -1)
}

fn check_scope(vm: &mut Vm, args: Args) -> Result<Rc<RefCell<Vec<BlockId>>>, Throw> {
    match held(vm.arg(args, 0), |scope: &Scope| scope.0.clone()) {
        Some(blocks) => Ok(blocks),
        None => Err(vm.arg_type_error(args, 0, SCOPE)),
    }
}

/// Enters a block, which lives to the end of the scope also if its handle, that goes back to the script, does not.
fn into_scope(vm: &mut Vm, blocks: &Rc<RefCell<Vec<BlockId>>>, id: BlockId, handle: Value) -> Result<u32, Throw> {
    with(vm, |checked| checked.pointer(id, 0))?;
    if blocks.borrow_mut().try_reserve(1).is_err() {
        return Err(vm.memory_error());
    }
    blocks.borrow_mut().push(id);
    vm.ret1(handle)
}

fn scope_malloc(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let blocks = check_scope(vm, args)?;
    let (id, handle) = allocated(vm, args, 1)?;
    into_scope(vm, &blocks, id, handle)
}

fn scope_calloc(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let blocks = check_scope(vm, args)?;
    let (id, handle) = cleared(vm, args, 1)?;
    into_scope(vm, &blocks, id, handle)
}

/// A block that was made elsewhere ends with the scope.
fn adopt(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let blocks = check_scope(vm, args)?;
    let id = check_block(vm, args, 1)?;
    with(vm, |checked| checked.size(id))?;
    let handle = vm.arg(args, 1);
    into_scope(vm, &blocks, id, handle)
}

/// Frees what lives still, the last one first. Whatever is found damaged, all are freed.
fn end_scope(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let blocks = std::mem::take(&mut *check_scope(vm, args)?.borrow_mut());
    let site = site(vm);
    let mut damage = None;
    for id in blocks.into_iter().rev() {
        let mut checked = vm.heap.checked();
        if checked.size(id).is_ok()
            && let Err(report) = checked.free(id, site)
        {
            damage.get_or_insert(report);
        }
    }
    damage.map_or(Ok(0), |report| Err(offence(vm, report)))
}

// ---- figures

fn tostring(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let id = check_block(vm, args, 0)?;
    let Some(info) = vm.heap.checked().info(id) else { return vm.ret_str(b"mem.block") };
    let place = |site| vm.lib.mem.sites.name(site);
    let mut text = format!("mem.block: {} bytes allocated at ", info.size).into_bytes();
    text.extend_from_slice(&place(info.allocated));
    if let Some(freed) = info.freed {
        text.extend_from_slice(b", freed at ");
        text.extend_from_slice(&place(freed));
    }
    vm.ret_str(&text)
}

/// `blocks` and `bytes` of the live ones; `quarantine`, the bytes that freed ones keep; `leaked`, the bytes of those that became garbage unfreed.
pub(super) fn stats(vm: &mut Vm, _: Args) -> Result<u32, Throw> {
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
pub(super) fn blocks(vm: &mut Vm, _: Args) -> Result<u32, Throw> {
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
        let place = vm.lib.mem.sites.name(info.allocated);
        let place = vm.new_str(&place)?;
        vm.set_field(entry, "size", Value::int(info.size as i64))?;
        vm.set_field(entry, "place", place)?;
        vm.raw_set(list, Value::int(i as i64 + 1), Value::table(entry))?;
    }
    vm.ret1(Value::table(list))
}
