//! Views of a place: structs, whose fields have names, and arrays of numbers or pointers.
//!
//! A view is no owner: it says how the bytes of a place are read and written. A block that it was made for lives until it is freed.

use super::place::{Bytes, Place, check_place};
use super::{access, block, held, metatable, pointer, with, wrong};
use crate::stdlib::pack::{Item, Kind, Layout};
use crate::stdlib::support::{Functions, raise};
use crate::value::{Gc, Table, Value};
use crate::vm::{Args, Throw, Vm, shown};
use neap_gc::explicit::Access;
use std::rc::Rc;

const STRUCT: &str = "mem.struct";
const STRUCT_METHODS: Functions = &[("at", at), ("new", new), ("offset", offset), ("size", struct_size)];
const STRUCT_METAMETHODS: Functions = &[("__call", at), ("__len", struct_size), ("__tostring", struct_text)];

const VIEW: &str = "mem.view";
const VIEW_METAMETHODS: Functions =
    &[("__index", get_field), ("__len", access::size), ("__newindex", set_field), ("__tostring", view_text)];

const ARRAY: &str = "mem.array";
const ARRAY_METAMETHODS: Functions =
    &[("__index", get_entry), ("__len", array_len), ("__newindex", set_entry), ("__tostring", array_text)];

/// The largest alignment of a field, as in C on this machine.
const ALIGNMENT: usize = 8;

struct Field {
    name: Vec<u8>,
    offset: usize,
    item: Item,
}

/// The fields of a struct, laid out as a C compiler does it, or without gaps.
struct Struct {
    fields: Vec<Field>,
    size: usize,
}

struct StructType(Rc<Struct>);

struct View {
    layout: Rc<Struct>,
    place: Place,
}

struct Array {
    item: Item,
    count: usize,
    place: Place,
}

pub(super) fn place_of(value: Value) -> Option<Place> {
    held(value, |view: &View| view.place.clone()).or_else(|| held(value, |array: &Array| array.place.clone()))
}

/// The one item of a format, and how it is aligned.
fn item_of(vm: &mut Vm, format: &[u8]) -> Result<Option<(Item, usize)>, Throw> {
    let go_on = vm.may_go_on();
    let mut layout = Layout::with_pointers(format, &go_on);
    let mut found = None;
    loop {
        match layout.next(0) {
            Ok(Some(item)) if item.kind == Kind::Nothing => {}
            Ok(Some(item)) if found.is_none() && !matches!(item.kind, Kind::Counted | Kind::ZeroEnded | Kind::Padding) => {
                let natural = item.kind != Kind::Chars && item.size.is_power_of_two();
                found = Some((item, if natural { item.size.min(ALIGNMENT) } else { 1 }));
            }
            Ok(Some(_)) => return Ok(None),
            Ok(None) => return Ok(found),
            Err(fault) => return Err(raise(vm, fault)),
        }
    }
}

/// `mem.struct{{name, format}, ...}`, with `packed = true` without gaps.
pub(super) fn structure(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let list = vm.check_table(args, 0)?;
    let packed = vm.get_field(list, "packed")?.is_truthy();
    let count = list.length(&mut vm.heap);
    let (mut fields, mut size, mut widest) = (Vec::new(), 0usize, 1);
    for n in 1..=count {
        vm.work(64)?;
        let entry = vm.raw_get(list, Value::int(n));
        let Some((name, format)) = entry.as_table().and_then(|entry| named(vm, entry)) else {
            return Err(vm.arg_error(0, format!("field {n} is no pair of a name and a format")));
        };
        let Some((item, alignment)) = item_of(vm, &format)? else {
            let name = String::from_utf8_lossy(shown(&name)).into_owned();
            return Err(vm.arg_error(0, format!("the format of field '{name}' is not one item of fixed size")));
        };
        let alignment = if packed { 1 } else { alignment };
        widest = alignment.max(widest);
        let offset = size.next_multiple_of(alignment);
        // Sizes of formats are below 2^31, and the fields a list in memory.
        size = offset.saturating_add(item.size);
        fields.push(Field { name, offset, item: Item { alignment: 0, ..item } });
    }
    let layout = Struct { fields, size: size.next_multiple_of(widest) };
    let meta = metatable(vm, STRUCT, STRUCT_METAMETHODS, STRUCT_METHODS)?;
    let value = vm.new_userdata(StructType(Rc::new(layout)), Some(meta))?;
    vm.ret1(value)
}

fn named(vm: &mut Vm, entry: Gc<Table>) -> Option<(Vec<u8>, Vec<u8>)> {
    let (name, format) = (vm.raw_get(entry, Value::int(1)), vm.raw_get(entry, Value::int(2)));
    Some((name.as_str()?.bytes().to_vec(), format.as_str()?.bytes().to_vec()))
}

fn check_struct(vm: &mut Vm, args: Args) -> Result<Rc<Struct>, Throw> {
    match held(vm.arg(args, 0), |this: &StructType| this.0.clone()) {
        Some(layout) => Ok(layout),
        None => Err(vm.arg_type_error(args, 0, STRUCT)),
    }
}

fn struct_size(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let size = check_struct(vm, args)?.size;
    vm.ret1(Value::int(size as i64))
}

fn struct_text(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let layout = check_struct(vm, args)?;
    let mut text = format!("mem.struct: {} bytes", layout.size).into_bytes();
    for field in &layout.fields {
        text.extend_from_slice(format!("\n  {:>6}  {:>4}  ", field.offset, field.item.size).as_bytes());
        text.extend_from_slice(&field.name);
    }
    vm.ret_str(&text)
}

/// The field of a name, which stands in argument `i`.
fn check_field(vm: &mut Vm, args: Args, i: usize, layout: &Struct) -> Result<(usize, Item), Throw> {
    let name = vm.arg(args, i);
    let found = name.as_str().and_then(|name| layout.fields.iter().find(|field| field.name == name.bytes()));
    match found {
        Some(field) => Ok((field.offset, field.item)),
        None => {
            let name = vm.plain_text(name)?;
            Err(vm.error([b"the struct has no field '", shown(name.bytes()), b"'"].concat()))
        }
    }
}

fn offset(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let layout = check_struct(vm, args)?;
    let (offset, _) = check_field(vm, args, 1, &layout)?;
    vm.ret1(Value::int(offset as i64))
}

/// A block that a view shows lives until it is freed, as if a pointer named it.
fn expose(vm: &mut Vm, place: &Place) -> Result<(), Throw> {
    match place.bytes {
        Bytes::Block(id) => with(vm, |blocks| blocks.pointer(id, place.at(0))).map(drop),
        _ => Ok(()),
    }
}

/// `S:new()`: a view of a new block of zeros.
fn new(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let layout = check_struct(vm, args)?;
    let (id, _) = block::zeros(vm, 1, layout.size)?;
    view(vm, layout, Place { bytes: Bytes::Block(id), base: 0 })
}

/// `S(place [, offset])`, `S:at(place [, offset])`: a view of what is there.
fn at(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let layout = check_struct(vm, args)?;
    let place = check_place(vm, args, 1)?;
    let offset = vm.opt_int(args, 2, 0)?;
    place.check(vm, Access::Read, offset, layout.size)?;
    view(vm, layout, Place { base: place.at(offset), ..place })
}

fn view(vm: &mut Vm, layout: Rc<Struct>, place: Place) -> Result<u32, Throw> {
    expose(vm, &place)?;
    let meta = metatable(vm, VIEW, VIEW_METAMETHODS, &[])?;
    let value = vm.new_userdata(View { layout, place }, Some(meta))?;
    vm.ret1(value)
}

fn check_view(vm: &mut Vm, args: Args) -> Result<(Rc<Struct>, Place), Throw> {
    match held(vm.arg(args, 0), |view: &View| (view.layout.clone(), view.place.clone())) {
        Some(view) => Ok(view),
        None => Err(vm.arg_type_error(args, 0, VIEW)),
    }
}

fn get_field(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let (layout, place) = check_view(vm, args)?;
    let (offset, item) = check_field(vm, args, 1, &layout)?;
    let value = access::read_item(vm, &place, &mut (offset as i64), item)?;
    vm.ret1(value)
}

fn set_field(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let (layout, place) = check_view(vm, args)?;
    let (offset, item) = check_field(vm, args, 1, &layout)?;
    put_item(vm, args, &place, offset as i64, item)
}

/// Writes argument 2, as an assignment passes it.
fn put_item(vm: &mut Vm, args: Args, place: &Place, offset: i64, item: Item) -> Result<u32, Throw> {
    place.check(vm, Access::Write, offset, item.size)?;
    vm.with_text(|vm, out| {
        if item.kind == Kind::Pointer {
            let bytes = pointer::check(vm, args, 2)?.to_bytes();
            vm.append(out, &bytes)?;
        } else {
            crate::stdlib::string::pack_item(vm, args, &item, &mut 1, out)?;
        }
        let bytes = vm.whole(out)?;
        place.put(vm, offset, bytes)
    })?;
    Ok(0)
}

fn view_text(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let (layout, _) = check_view(vm, args)?;
    let names: Vec<&[u8]> = layout.fields.iter().map(|field| &field.name[..]).collect();
    vm.ret_str(&[b"mem.view: ", &names.join(&b", "[..])[..]].concat())
}

// ---- arrays

/// `mem.array(place, format [, offset [, count]])`: its entries are `a[1]` to `a[#a]`.
pub(super) fn array(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let place = check_place(vm, args, 0)?;
    let format = vm.check_str(args, 1)?.bytes().to_vec();
    let Some((item, _)) = item_of(vm, &format)?.filter(|(item, _)| item.size > 0) else {
        return Err(vm.arg_error(1, "not one item of fixed size"));
    };
    let offset = vm.opt_int(args, 2, 0)?;
    place.check(vm, Access::Read, offset, 0)?;
    let left = place.size(vm)?.saturating_sub_signed(offset as isize);
    let count = if vm.arg(args, 3).is_nil() { left / item.size } else { super::check_size(vm, args, 3)? };
    place.check(vm, Access::Read, offset, count.saturating_mul(item.size))?;
    let place = Place { base: place.at(offset), ..place };
    expose(vm, &place)?;
    let meta = metatable(vm, ARRAY, ARRAY_METAMETHODS, &[])?;
    let value = vm.new_userdata(Array { item: Item { alignment: 0, ..item }, count, place }, Some(meta))?;
    vm.ret1(value)
}

fn check_array(vm: &mut Vm, args: Args) -> Result<(Item, usize, Place), Throw> {
    match held(vm.arg(args, 0), |array: &Array| (array.item, array.count, array.place.clone())) {
        Some(array) => Ok(array),
        None => Err(vm.arg_type_error(args, 0, ARRAY)),
    }
}

/// The entry that argument 1 names: what it is, and its offset.
fn check_entry(vm: &mut Vm, args: Args) -> Result<(Item, Place, i64), Throw> {
    let (item, count, place) = check_array(vm, args)?;
    let Some(i) = crate::stdlib::support::integer_of(vm.arg(args, 1)) else {
        return Err(vm.error("an array has entries 1 to # and nothing else"));
    };
    if i < 1 || i as u64 > count as u64 {
        return Err(wrong(vm, format!("out of bounds: entry {i} of an array of {count}").into_bytes()));
    }
    Ok((item, place, (i - 1) * item.size as i64))
}

fn get_entry(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let (item, place, mut at) = check_entry(vm, args)?;
    let value = access::read_item(vm, &place, &mut at, item)?;
    vm.ret1(value)
}

fn set_entry(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let (item, place, at) = check_entry(vm, args)?;
    put_item(vm, args, &place, at, item)
}

fn array_len(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let (_, count, _) = check_array(vm, args)?;
    vm.ret1(Value::int(count as i64))
}

fn array_text(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let (item, count, _) = check_array(vm, args)?;
    vm.ret_str(format!("mem.array: {count} entries of {} bytes", item.size).as_bytes())
}
