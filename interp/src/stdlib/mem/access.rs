//! Reading and writing: by formats, in bulk, as text.

use super::place::{Bytes, Place, check_place};
use super::pointer;
use super::with;
use crate::stdlib::fault::Fault;
use crate::stdlib::pack::{Item, Kind, Layout, MAX_INT_SIZE};
use crate::stdlib::support::{self, raise, text};
use crate::value::Value;
use crate::vm::{Args, PIECE, Throw, Vm};
use neap_gc::explicit::{Access, Pointer};

/// A fault of a format, which stands in argument 2 of a method.
#[cold]
fn format_fault(vm: &mut Vm, fault: Fault) -> Throw {
    match fault {
        Fault::Argument(1, text) => vm.arg_error(2, &text),
        other => raise(vm, other),
    }
}

pub(super) fn size(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let size = check_place(vm, args, 0)?.size(vm)?;
    vm.ret1(Value::int(size as i64))
}

pub(super) fn write(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let place = check_place(vm, args, 0)?;
    let offset = vm.check_int(args, 1)?;
    let go_on = vm.may_go_on();
    let mut layout = Layout::with_pointers(text(vm, args, 2)?, &go_on);
    let end = vm.with_text(|vm, out| {
        // Each item is checked before it is made, so that nothing longer than the block is.
        let mut next = 2;
        loop {
            let at = offset.wrapping_add(out.len() as i64);
            let Some(item) = layout.next(place.at(at) as usize).map_err(|fault| format_fault(vm, fault))? else { break };
            let space = item.alignment + item.size;
            if item.kind != Kind::Nothing || space > 0 {
                place.check(vm, Access::Write, at, space)?;
            }
            if matches!(item.kind, Kind::Counted | Kind::ZeroEnded) {
                let end = usize::from(item.kind == Kind::ZeroEnded);
                let text = text(vm, args, next + 1)?;
                place.check(vm, Access::Write, at, space + text.len() + end)?;
            }
            if item.kind == Kind::Pointer {
                next += 1;
                vm.append_zeros(out, item.alignment)?;
                let bytes = pointer::check(vm, args, next)?.to_bytes();
                vm.append(out, &bytes)?;
                continue;
            }
            crate::stdlib::string::pack_item(vm, args, &item, &mut next, out)?;
        }
        let bytes = vm.whole(out)?;
        // An empty format writes no byte, but to a place.
        place.check(vm, Access::Write, offset, bytes.len())?;
        let mut at = offset;
        for piece in bytes.chunks(PIECE) {
            vm.bulk(2 * piece.len())?;
            place.put(vm, at, piece)?;
            at += piece.len() as i64;
        }
        Ok(at)
    })?;
    vm.ret1(Value::int(end))
}

pub(super) fn read(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let place = check_place(vm, args, 0)?;
    let mut at = vm.check_int(args, 1)?;
    let go_on = vm.may_go_on();
    let mut layout = Layout::with_pointers(text(vm, args, 2)?, &go_on);
    let mut count = 0;
    while let Some(item) = layout.next(place.at(at) as usize).map_err(|fault| format_fault(vm, fault))? {
        let skipped = item.alignment + if item.kind == Kind::Padding { item.size } else { 0 };
        // What is skipped must be there, but may hold nothing.
        if skipped > 0 {
            place.check(vm, Access::Read, at, skipped)?;
            at += skipped as i64;
        }
        if matches!(item.kind, Kind::Nothing | Kind::Padding) {
            continue;
        }
        support::reserve(vm, 2, "too many results")?;
        let value = read_item(vm, &place, &mut at, item)?;
        vm.push(value)?;
        count += 1;
    }
    // An empty format asks for no byte, but for a place.
    place.check(vm, Access::Read, at, 0)?;
    vm.push(Value::int(at))?;
    Ok(count + 1)
}

/// Reads what stands at `at`, and moves behind it.
pub(super) fn read_item(vm: &mut Vm, place: &Place, at: &mut i64, item: Item) -> Result<Value, Throw> {
    let length = match item.kind {
        Kind::Integer | Kind::Unsigned | Kind::Float | Kind::Double | Kind::Counted | Kind::Pointer => {
            let mut bytes = [0; MAX_INT_SIZE];
            let bytes = &mut bytes[..item.size];
            place.check(vm, Access::Read, *at, item.size)?;
            place.get(vm, *at, bytes)?;
            *at += item.size as i64;
            match item.kind {
                Kind::Float | Kind::Double => return Ok(Value::float(item.get_float(bytes))),
                Kind::Pointer => {
                    let mut whole = [0; Pointer::SIZE];
                    whole.copy_from_slice(bytes);
                    return pointer::value(vm, Pointer::from_bytes(whole));
                }
                _ => {}
            }
            let number = item.get_integer(bytes).map_err(|fault| raise(vm, fault))?;
            if item.kind != Kind::Counted {
                return Ok(Value::int(number));
            }
            number as u64 as usize
        }
        Kind::Chars => item.size,
        _ => length_until_zero(vm, place, *at)?,
    };
    let text = place.text(vm, *at, length)?;
    *at += length as i64 + i64::from(item.kind == Kind::ZeroEnded);
    Ok(text)
}

/// How many bytes stand before the first zero.
fn length_until_zero(vm: &mut Vm, place: &Place, at: i64) -> Result<usize, Throw> {
    let mut length = 0;
    loop {
        vm.bulk(PIECE)?;
        match place.find_zero(vm, at + length as i64, PIECE)? {
            Some(zero) => return Ok(length + zero),
            None => length += PIECE,
        }
    }
}

fn check_count(vm: &mut Vm, args: Args, i: usize, default: i64) -> Result<usize, Throw> {
    let count = vm.opt_int(args, i, default.max(0))?;
    usize::try_from(count).map_err(|_| vm.arg_error(i, "count is negative"))
}

pub(super) fn fill(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let place = check_place(vm, args, 0)?;
    let byte = vm.check_int(args, 1)?;
    let byte = u8::try_from(byte).map_err(|_| vm.arg_error(1, "byte out of range"))?;
    let size = place.size(vm)? as i64;
    let offset = vm.opt_int(args, 2, 0)?;
    let count = check_count(vm, args, 3, size.saturating_sub(offset))?;
    place.check(vm, Access::Write, offset, count)?;
    let piece = [byte; 4096];
    let mut done = 0;
    while done < count {
        let at = offset + done as i64;
        let len = if let Bytes::Block(id) = place.bytes {
            let len = (count - done).min(PIECE);
            vm.bulk(2 * len)?;
            with(vm, |blocks| blocks.fill(id, place.at(at), len, byte))?;
            len
        } else {
            let len = (count - done).min(piece.len());
            vm.bulk(2 * len)?;
            place.put(vm, at, &piece[..len])?;
            len
        };
        done += len;
    }
    Ok(0)
}

pub(super) fn copy(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let to = check_place(vm, args, 0)?;
    let offset = vm.check_int(args, 1)?;
    let source = check_place(vm, args, 2)?;
    to.size(vm)?;
    let size = source.size(vm)? as i64;
    let from = vm.opt_int(args, 3, 0)?;
    let count = check_count(vm, args, 4, size.saturating_sub(from))?;
    source.check(vm, Access::Read, from, count)?;
    to.check(vm, Access::Write, offset, count)?;
    // Of a range and its copy that overlap, what is overwritten has been copied.
    let backwards = to.at(offset) > source.at(from);
    let mut buffer = [0; 4096];
    let mut done = 0;
    while done < count {
        let longest = if matches!((&to.bytes, &source.bytes), (Bytes::Block(_), Bytes::Block(_))) { PIECE } else { buffer.len() };
        let piece = (count - done).min(longest);
        vm.bulk(2 * piece)?;
        let at = if backwards { count - done - piece } else { done } as i64;
        if let (Bytes::Block(id), Bytes::Block(source_id)) = (&to.bytes, &source.bytes) {
            with(vm, |blocks| blocks.copy(*id, to.at(offset + at), *source_id, source.at(from + at), piece))?;
        } else {
            source.get(vm, from + at, &mut buffer[..piece])?;
            to.put(vm, offset + at, &buffer[..piece])?;
        }
        done += piece;
    }
    Ok(0)
}

/// Bytes `i` to `j` as a string, counted as `string.sub` counts.
pub(super) fn string(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let place = check_place(vm, args, 0)?;
    let size = place.size(vm)?;
    let (i, j) = (vm.opt_int(args, 1, 1)?, vm.opt_int(args, 2, -1)?);
    let (start, end) = (support::start(i, size), support::end(j, size));
    let text = place.text(vm, start as i64, end.saturating_sub(start))?;
    vm.ret1(text)
}

/// A picture of the bytes: sixteen a line, hexadecimal and as text. A byte that was never written is `--`, one that was freed `xx`.
pub(super) fn dump(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    const LINE: usize = 16;
    let value = vm.arg(args, 0);
    // A freed block can be looked at, too.
    let freed = super::block::id_of(value).filter(|&id| vm.heap.checked().info(id).is_some_and(|info| info.freed.is_some()));
    let place = match freed {
        Some(id) => Place { bytes: Bytes::Block(id), base: 0 },
        None => check_place(vm, args, 0)?,
    };
    let offset = vm.opt_int(args, 1, 0)?;
    let offset = usize::try_from(offset).map_err(|_| vm.arg_error(1, "offset is negative"))?;
    let size = match freed {
        Some(id) => vm.heap.checked().info(id).map_or(0, |info| info.size),
        None => place.size(vm)?,
    };
    let count = check_count(vm, args, 2, size.saturating_sub(offset) as i64)?.min(size.saturating_sub(offset));
    vm.ret_text(|vm, out| {
        for line in (offset..offset + count).step_by(LINE) {
            let len = LINE.min(offset + count - line);
            vm.work(64)?;
            let mut bytes = [None; LINE];
            if let Bytes::Block(id) = place.bytes {
                let checked = vm.heap.checked();
                let found = checked.look(id, place.at(line as i64) as usize, len);
                bytes.iter_mut().zip(found).for_each(|(byte, found)| *byte = found);
            } else {
                let mut read = [0; LINE];
                place.get(vm, line as i64, &mut read[..len])?;
                bytes = read.map(Some);
            }
            let mut text = format!("{line:08x} ");
            for (n, byte) in bytes.iter().enumerate() {
                let gap = if n % 8 == 0 { "  " } else { " " };
                text += gap;
                text += &match byte {
                    _ if n >= len => "  ".to_owned(),
                    _ if freed.is_some() => "xx".to_owned(),
                    None => "--".to_owned(),
                    Some(byte) => format!("{byte:02x}"),
                };
            }
            let shown = |byte: &Option<u8>| match byte {
                Some(byte) if freed.is_none() && (b' '..=b'~').contains(byte) => *byte as char,
                _ => '.',
            };
            text += "  |";
            text.extend(bytes[..len].iter().map(shown));
            text += "|\n";
            vm.append(out, text.as_bytes())?;
        }
        Ok(())
    })
}
