//! Pointers: places that can be computed with, and stored in memory by the format `p`.
//!
//! A pointer takes 16 bytes: it names its block beside the address, so that each use can be checked (`neap_gc::explicit::Pointer`).

use super::place::{Bytes, check_place, place_of};
use super::{access, block, held, metatable, with};
use crate::stdlib::support::Functions;
use crate::value::Value;
use crate::vm::{Args, Event, Throw, Vm};
use neap_gc::explicit::{Access, Pointer};

const HANDLE: &str = "mem.pointer";
const METHODS: Functions = &[
    ("copy", access::copy),
    ("dump", access::dump),
    ("fill", access::fill),
    ("free", block::free),
    ("integer", integer),
    ("isnull", is_null),
    ("offset", offset),
    ("read", access::read),
    ("size", access::size),
    ("string", access::string),
    ("write", access::write),
];
const METAMETHODS: Functions = &[
    ("__add", add),
    ("__eq", equal),
    ("__le", not_after),
    ("__len", access::size),
    ("__lt", before),
    ("__sub", subtract),
    ("__tostring", tostring),
];

/// The tag of pointers into the break region, and what is added to their offset to be their address: no offset is null.
const BREAK: u32 = 0;
const BREAK_ORIGIN: i64 = 1 << 48;

/// Where a pointer leads.
pub(super) enum Target {
    Block(Pointer),
    /// An offset of the break region.
    Break(i64),
}

/// What a handle holds. One into the break region keeps its offset in the place of the address.
struct Handle(Pointer);

pub(super) fn target_of(value: Value) -> Option<Target> {
    held(value, |handle: &Handle| target(handle.0))
}

pub(super) fn is_null_pointer(value: Value) -> bool {
    held(value, |handle: &Handle| handle.0.is_null()).unwrap_or(false)
}

fn target(pointer: Pointer) -> Target {
    match pointer.foreign_tag() {
        Some(BREAK) => Target::Break((pointer.address() as i64).wrapping_sub(BREAK_ORIGIN)),
        _ => Target::Block(pointer),
    }
}

/// A pointer as a value; null is always the same.
pub(super) fn value(vm: &mut Vm, pointer: Pointer) -> Result<Value, Throw> {
    if pointer.is_null() {
        return null(vm);
    }
    let meta = metatable(vm, HANDLE, METAMETHODS, METHODS)?;
    vm.new_userdata(Handle(pointer), Some(meta))
}

pub(super) fn null(vm: &mut Vm) -> Result<Value, Throw> {
    let registry = vm.registry();
    let known = vm.get_field(registry, "mem.null")?;
    if !known.is_nil() {
        return Ok(known);
    }
    let meta = metatable(vm, HANDLE, METAMETHODS, METHODS)?;
    let null = vm.new_userdata(Handle(Pointer::NULL), Some(meta))?;
    vm.set_field(registry, "mem.null", null)?;
    Ok(null)
}

fn break_pointer(offset: i64) -> Pointer {
    Pointer::foreign(offset.wrapping_add(BREAK_ORIGIN) as usize, BREAK)
}

/// A pointer to an offset of the break region.
pub(super) fn into_break(vm: &mut Vm, offset: usize) -> Result<Value, Throw> {
    value(vm, break_pointer(offset as i64))
}

/// `mem.address(place [, offset])`
pub(super) fn address(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let place = check_place(vm, args, 0)?;
    let offset = vm.opt_int(args, 1, 0)?;
    let at = place.at(offset);
    let pointer = match place.bytes {
        Bytes::Block(id) => {
            let pointer = with(vm, |blocks| blocks.pointer(id, at))?;
            value(vm, pointer)?
        }
        Bytes::Break => {
            place.check(vm, Access::Read, offset, 0)?;
            into_break(vm, at as usize)?
        }
        Bytes::Mapping(_) => return Err(vm.arg_error(0, "a mapping has no pointers")),
    };
    vm.ret1(pointer)
}

/// The pointer that is stored for an argument: of a block its first byte, of `nil` null.
pub(super) fn check(vm: &mut Vm, args: Args, i: usize) -> Result<Pointer, Throw> {
    let value = vm.arg(args, i);
    if value.is_nil() && i < args.count() {
        return Ok(Pointer::NULL);
    }
    if let Some(pointer) = held(value, |handle: &Handle| handle.0) {
        return Ok(pointer);
    }
    let place = place_of(vm, value)?;
    match place.map(|place| (place.at(0), place.bytes)) {
        Some((at, Bytes::Block(id))) => with(vm, |blocks| blocks.pointer(id, at)),
        Some((at, Bytes::Break)) => Ok(break_pointer(at)),
        _ => Err(vm.arg_type_error(args, i, HANDLE)),
    }
}

fn pointer_at(vm: &mut Vm, args: Args, i: usize) -> Result<Pointer, Throw> {
    match held(vm.arg(args, i), |handle: &Handle| handle.0) {
        Some(pointer) => Ok(pointer),
        None => Err(vm.arg_type_error(args, i, HANDLE)),
    }
}

fn add(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    // The number may stand first.
    let at = usize::from(held(vm.arg(args, 0), |_: &Handle| ()).is_none());
    let pointer = pointer_at(vm, args, at)?;
    let by = vm.check_int(args, 1 - at)?;
    let moved = value(vm, pointer.advanced(by))?;
    vm.ret1(moved)
}

fn subtract(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let pointer = pointer_at(vm, args, 0)?;
    if held(vm.arg(args, 1), |_: &Handle| ()).is_some() {
        let other = pointer_at(vm, args, 1)?;
        same_block(vm, pointer, other)?;
        return vm.ret1(Value::int((pointer.address() as i64).wrapping_sub(other.address() as i64)));
    }
    let by = vm.check_int(args, 1)?;
    let moved = value(vm, pointer.advanced(by.wrapping_neg()))?;
    vm.ret1(moved)
}

/// What is computed of two pointers means nothing if they belong to different blocks.
fn same_block(vm: &mut Vm, one: Pointer, other: Pointer) -> Result<(), Throw> {
    if one.block() == other.block() && !one.is_null() && !other.is_null() {
        return Ok(());
    }
    Err(super::wrong(vm, b"pointers into different blocks can only be compared by == and ~=".to_vec()))
}

fn equal(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let pointers = (held(vm.arg(args, 0), |handle: &Handle| handle.0), held(vm.arg(args, 1), |handle: &Handle| handle.0));
    let same = matches!(pointers, (Some(one), Some(other)) if one == other && one.foreign_tag() == other.foreign_tag());
    vm.ret1(Value::bool(same))
}

fn ordered(vm: &mut Vm, args: Args, event: Event) -> Result<u32, Throw> {
    let (one, other) = (pointer_at(vm, args, 0)?, pointer_at(vm, args, 1)?);
    same_block(vm, one, other)?;
    let truth = if event == Event::Lt { one.address() < other.address() } else { one.address() <= other.address() };
    vm.ret1(Value::bool(truth))
}

fn before(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    ordered(vm, args, Event::Lt)
}

fn not_after(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    ordered(vm, args, Event::Le)
}

fn is_null(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let pointer = pointer_at(vm, args, 0)?;
    vm.ret1(Value::bool(pointer.is_null()))
}

/// The address as a number: two pointers to the same byte have the same.
fn integer(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let pointer = pointer_at(vm, args, 0)?;
    let start = match target(pointer) {
        Target::Break(offset) => vm.lib.mem.region.as_ref().map_or(0, |region| region.address()) as i64 + offset,
        Target::Block(pointer) => pointer.address() as i64,
    };
    vm.ret1(Value::int(start))
}

/// How far from the start of its block it points.
fn offset(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let at = check_place(vm, args, 0)?.base;
    vm.ret1(Value::int(at))
}

fn tostring(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let pointer = pointer_at(vm, args, 0)?;
    if pointer.is_null() {
        return vm.ret_str(b"mem.pointer: null");
    }
    let resolved = match target(pointer) {
        Target::Break(offset) => return vm.ret_str(format!("mem.pointer: offset {offset} of the break region").as_bytes()),
        Target::Block(pointer) => vm.heap.checked().resolve(pointer),
    };
    let text = match resolved {
        Ok((id, offset)) => {
            let info = vm.heap.checked().info(id);
            let size = info.map_or(0, |info| info.size);
            let allocated = info.map_or(b"?".to_vec(), |info| vm.lib.mem.sites.name(info.allocated));
            [format!("mem.pointer: offset {offset} of block of {size} bytes allocated at ").as_bytes(), &allocated].concat()
        }
        Err(report) => [b"mem.pointer: dangling, ", &report.text(|site| vm.lib.mem.sites.name(site))[..]].concat(),
    };
    vm.ret_str(&text)
}
