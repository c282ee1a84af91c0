//! What the system knows of the process: pages, faults, and the regions of the address space.
//!
//! All of it is read from `/proc/self`; where that is not to be had the functions return `nil`, a message and a number.

use super::mapping::break_range;
use super::place::{Bytes, Place, check_place, place_of};
use super::{pointer, with};
use crate::stdlib::os::file_result;
use crate::value::{Tag, Value};
use crate::vm::{Args, Throw, Vm};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

pub(super) fn pagesize(vm: &mut Vm, _: Args) -> Result<u32, Throw> {
    vm.ret1(Value::int(rustix::param::page_size() as i64))
}

/// The page faults of the process so far: minor ones, and major ones that had to read from a disk.
pub(super) fn faults(vm: &mut Vm, _: Args) -> Result<u32, Throw> {
    let stat = match std::fs::read("/proc/self/stat") {
        Ok(stat) => stat,
        Err(error) => return file_result(vm, Err(error), None),
    };
    // Behind the name of the program, which may hold anything, and its closing parenthesis: the state is field 3, the faults are 10 and 12.
    let after = stat.iter().rposition(|&byte| byte == b')').map_or(0, |at| at + 2);
    let fields: Vec<i64> = String::from_utf8_lossy(&stat[after..]).split(' ').map(|field| field.parse().unwrap_or(0)).collect();
    let field = |number: usize| fields.get(number - 3).copied().unwrap_or(0);
    vm.push(Value::int(field(10)))?;
    vm.push(Value::int(field(12)))?;
    Ok(2)
}

/// The addresses of a place, from where its offsets count on.
fn addresses(vm: &mut Vm, place: &Place) -> Result<Range<usize>, Throw> {
    let size = place.size(vm)?;
    let start = match &place.bytes {
        Bytes::Block(id) => with(vm, |blocks| blocks.address(*id))?.as_ptr().addr(),
        Bytes::Break => break_range(&vm.lib.mem).map_or(0, |range| range.start),
        Bytes::Mapping(mapped) => mapped.borrow().range().map_or(0, |range| range.start),
    };
    let start = start.wrapping_add_signed(place.base as isize);
    Ok(start..start + size)
}

/// The bytes of the pages of a place that are in memory, and of those that were swapped out.
pub(super) fn resident(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    const IN_MEMORY: u64 = 1 << 63;
    const SWAPPED: u64 = 1 << 62;
    let place = check_place(vm, args, 0)?;
    let range = addresses(vm, &place)?;
    let page = rustix::param::page_size();
    let map = match File::open("/proc/self/pagemap") {
        Ok(map) => map,
        Err(error) => return file_result(vm, Err(error), None),
    };
    let (mut resident, mut swapped) = (0, 0);
    let mut entries = [0u8; 512 * 8];
    let (mut next, end) = (range.start / page, range.end.div_ceil(page));
    while next < end {
        let count = (end - next).min(entries.len() / 8);
        vm.work(count)?;
        let words = &mut entries[..count * 8];
        if let Err(error) = map.read_exact_at(words, next as u64 * 8) {
            return file_result(vm, Err(error), None);
        }
        for word in words.as_chunks::<8>().0 {
            let word = u64::from_ne_bytes(*word);
            resident += if word & IN_MEMORY != 0 { page } else { 0 };
            swapped += if word & SWAPPED != 0 { page } else { 0 };
        }
        next += count;
    }
    vm.push(Value::int(resident as i64))?;
    vm.push(Value::int(swapped as i64))?;
    Ok(2)
}

/// A line of `/proc/self/maps`.
struct Region<'m> {
    range: Range<usize>,
    protection: &'m str,
    name: &'m str,
}

fn parsed(line: &str) -> Option<Region<'_>> {
    let (range, rest) = line.split_once(' ')?;
    let (start, end) = range.split_once('-')?;
    let (protection, rest) = rest.split_once(' ')?;
    // Behind it offset, device and inode.
    let name = rest.splitn(4, ' ').nth(3).unwrap_or("").trim();
    let range = usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?;
    Some(Region { range, protection, name })
}

/// What a region is for.
fn kind_of(vm: &Vm, region: &Region<'_>, program: &str) -> &'static str {
    let in_break = break_range(&vm.lib.mem).is_some_and(|own| region.range.contains(&own.start) && !own.is_empty());
    match region.name {
        "[heap]" => "data",
        "[stack]" => "stack",
        name if name == program && region.protection.contains('x') => "text",
        name if name == program => "data",
        name if name.contains(".so") => "library",
        name if name.starts_with('[') => "system",
        "" if in_break => "break",
        "" if vm.heap.has_memory_in(&region.range) => "heap",
        "" => "anonymous",
        _ => "mapping",
    }
}

fn maps() -> io::Result<(String, String)> {
    let maps = std::fs::read("/proc/self/maps")?;
    let program = std::fs::read_link("/proc/self/exe").unwrap_or_default();
    Ok((String::from_utf8_lossy(&maps).into_owned(), program.to_string_lossy().into_owned()))
}

/// A list of the regions of the address space: tables with `start`, `stop`, `size`, `protection`, `kind`, `name`.
pub(super) fn regions(vm: &mut Vm, _: Args) -> Result<u32, Throw> {
    let (maps, program) = match maps() {
        Ok(maps) => maps,
        Err(error) => return file_result(vm, Err(error), None),
    };
    let list = vm.new_table(0, 0)?;
    vm.push(Value::table(list))?;
    for (n, region) in maps.lines().filter_map(parsed).enumerate() {
        vm.work(64)?;
        let kind = kind_of(vm, &region, &program);
        let entry = vm.new_table(0, 6)?;
        vm.raw_set(list, Value::int(n as i64 + 1), Value::table(entry))?;
        for (name, number) in [("start", region.range.start), ("stop", region.range.end), ("size", region.range.len())] {
            vm.set_field(entry, name, Value::int(number as i64))?;
        }
        for (name, text) in [("protection", region.protection), ("kind", kind), ("name", region.name)] {
            let text = vm.new_str(text.as_bytes())?;
            vm.set_field(entry, name, text)?;
        }
    }
    Ok(1)
}

/// `mem.where(x)`: what kind of memory a value stands in, its address, and the kind and the name of the region. A number, or null, has no memory of its own: "value".
pub(super) fn location(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let value = vm.check_any(args, 0)?;
    if pointer::is_null_pointer(value) {
        return vm.ret_str(b"value");
    }
    let (kind, address) = match place_of(vm, value)? {
        Some(place) => {
            let kind = match place.bytes {
                Bytes::Block(_) => "block",
                Bytes::Break => "break",
                Bytes::Mapping(_) => "mapping",
            };
            (kind, addresses(vm, &place)?.start)
        }
        None => match value.as_ref() {
            Some(cell) => (if value.tag() == Tag::STR { "string" } else { "object" }, cell.as_ptr().addr()),
            None => return vm.ret_str(b"value"),
        },
    };
    let first = vm.new_str(kind.as_bytes())?;
    vm.push(first)?;
    vm.push(Value::int(address as i64))?;
    let Ok((maps, program)) = maps() else { return Ok(2) };
    let Some(region) = maps.lines().filter_map(parsed).find(|region| region.range.contains(&address)) else { return Ok(2) };
    let kind = kind_of(vm, &region, &program);
    for text in [kind, region.name] {
        let text = vm.new_str(text.as_bytes())?;
        vm.push(text)?;
    }
    Ok(4)
}
