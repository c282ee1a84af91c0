//! Places: what a method works on, whatever it was called with. A place is a range of bytes and the point in it that offsets count from.
//!
//! * **I1** All that can be known to be wrong is found by [`Place::check`] and the like before a byte is written; a file that is cut short meanwhile is found by
//!   the write.

use super::block::{self, HANDLE};
use super::mapping::{self, Mapped};
use super::pointer::{self, Target};
use super::view;
use super::{with, wrong};
use crate::value::Value;
use crate::vm::{Args, PIECE, Throw, Vm};
use neap_gc::explicit::{Access, BlockId, MapError};
use std::cell::RefCell;
use std::rc::Rc;

/// What has bytes.
#[derive(Clone)]
pub(super) enum Bytes {
    Block(BlockId),
    /// The break region.
    Break,
    Mapping(Rc<RefCell<Mapped>>),
}

/// See the module.
#[derive(Clone)]
pub(super) struct Place {
    pub bytes: Bytes,
    /// What an offset of 0 is.
    pub base: i64,
}

/// The place that a value names: a block, a pointer, a mapping, or a view of one.
pub(super) fn place_of(vm: &mut Vm, value: Value) -> Result<Option<Place>, Throw> {
    if let Some(id) = block::id_of(value) {
        return Ok(Some(Place { bytes: Bytes::Block(id), base: 0 }));
    }
    if let Some(target) = pointer::target_of(value) {
        return match target {
            Target::Block(pointer) => {
                let (id, base) = with(vm, |blocks| blocks.resolve(pointer))?;
                Ok(Some(Place { bytes: Bytes::Block(id), base }))
            }
            Target::Break(offset) => Ok(Some(Place { bytes: Bytes::Break, base: offset })),
        };
    }
    Ok(mapping::mapped_of(value).map(|mapped| Place { bytes: Bytes::Mapping(mapped), base: 0 }).or_else(|| view::place_of(value)))
}

/// The block that a view shows from its first byte on.
pub(super) fn view_block(value: Value) -> Option<BlockId> {
    match view::place_of(value) {
        Some(Place { bytes: Bytes::Block(id), base: 0 }) => Some(id),
        _ => None,
    }
}

pub(super) fn check_place(vm: &mut Vm, args: Args, i: usize) -> Result<Place, Throw> {
    let value = vm.arg(args, i);
    match place_of(vm, value)? {
        Some(place) => Ok(place),
        None => Err(vm.arg_type_error(args, i, HANDLE)),
    }
}

impl Place {
    /// The bytes from where offsets count on.
    pub fn size(&self, vm: &mut Vm) -> Result<usize, Throw> {
        Ok(self.whole_size(vm)?.saturating_sub_signed(self.base as isize))
    }

    fn whole_size(&self, vm: &mut Vm) -> Result<usize, Throw> {
        match &self.bytes {
            Bytes::Block(id) => with(vm, |blocks| blocks.size(*id)),
            Bytes::Break => Ok(vm.lib.mem.region.as_ref().map_or(0, |region| region.len())),
            Bytes::Mapping(mapped) => {
                let size = mapped.borrow().size();
                size.ok_or_else(|| {
                    let text = [b"use after unmap: ", &mapped.borrow().name(vm)[..]].concat();
                    wrong(vm, text)
                })
            }
        }
    }

    /// Whether a range is there, and may be read or written.
    pub fn check(&self, vm: &mut Vm, access: Access, offset: i64, len: usize) -> Result<(), Throw> {
        let at = self.at(offset);
        match &self.bytes {
            Bytes::Block(id) => with(vm, |blocks| blocks.check(*id, access, at, len)),
            Bytes::Break => {
                let size = self.whole_size(vm)?;
                let fits = usize::try_from(at).is_ok_and(|at| at <= size && len <= size - at);
                if fits {
                    Ok(())
                } else {
                    Err(out_of_bounds(vm, access, at, len, format!("the break region of {size} bytes").into_bytes()))
                }
            }
            Bytes::Mapping(mapped) => {
                self.whole_size(vm)?;
                let found = match usize::try_from(at) {
                    Ok(at) => mapped.borrow().check(at, len, access == Access::Write),
                    Err(_) => Err(MapError::OutOfBounds),
                };
                let name = mapped.borrow().name(vm);
                match found {
                    Ok(()) => Ok(()),
                    Err(MapError::OutOfBounds) => Err(out_of_bounds(vm, access, at, len, name)),
                    Err(_) => {
                        let what = if access == Access::Write { &b"write to "[..] } else { b"read of " };
                        Err(wrong(vm, [b"protection: ", what, &name].concat()))
                    }
                }
            }
        }
    }

    /// Copies bytes that were checked. They must have been written if they are a block's.
    pub fn get(&self, vm: &mut Vm, offset: i64, into: &mut [u8]) -> Result<(), Throw> {
        let at = self.at(offset);
        let done = match &self.bytes {
            Bytes::Block(id) => {
                return with(vm, |blocks| blocks.read(*id, at, into.len()).map(|from| into.copy_from_slice(from)));
            }
            Bytes::Break => {
                vm.lib.mem.region.as_ref().map_or(Err(MapError::OutOfBounds), |region| region.read(at as usize, into))
            }
            Bytes::Mapping(mapped) => mapped.borrow().read(at as usize, into),
        };
        done.map_err(|error| self.failed(vm, error))
    }

    /// Writes bytes where it was checked.
    pub fn put(&self, vm: &mut Vm, offset: i64, bytes: &[u8]) -> Result<(), Throw> {
        let at = self.at(offset);
        let done = match &self.bytes {
            Bytes::Block(id) => return with(vm, |blocks| blocks.write(*id, at, bytes)),
            Bytes::Break => {
                vm.lib.mem.region.as_mut().map_or(Err(MapError::OutOfBounds), |region| region.write(at as usize, bytes))
            }
            Bytes::Mapping(mapped) => mapped.borrow_mut().write(at as usize, bytes),
        };
        done.map_err(|error| self.failed(vm, error))
    }

    /// What was checked before has gone meanwhile.
    #[cold]
    fn failed(&self, vm: &mut Vm, error: MapError) -> Throw {
        let name = match &self.bytes {
            Bytes::Mapping(mapped) => mapped.borrow().name(vm),
            _ => b"the break region".to_vec(),
        };
        let text = match error {
            MapError::CutShort(at) => [format!("the file ends before offset {at} of ").as_bytes(), &name].concat(),
            error => [error.to_string().as_bytes(), b": ", &name].concat(),
        };
        wrong(vm, text)
    }

    /// Where the first zero stands among the next `len` bytes; if there is none they must all be there, and written.
    pub fn find_zero(&self, vm: &mut Vm, offset: i64, len: usize) -> Result<Option<usize>, Throw> {
        if let Bytes::Block(id) = self.bytes {
            return with(vm, |blocks| blocks.find_zero(id, self.at(offset), len));
        }
        self.check(vm, Access::Read, offset, 0)?;
        let left = self.size(vm)?.saturating_sub_signed(offset as isize).min(len);
        let mut piece = vec![0; left.min(PIECE)];
        self.get(vm, offset, &mut piece)?;
        let zero = memchr::memchr(0, &piece);
        if zero.is_none() && left < len {
            // It ends without one.
            self.check(vm, Access::Read, offset, left + 1)?;
        }
        Ok(zero)
    }

    /// The bytes of a range as a string.
    pub fn text(&self, vm: &mut Vm, offset: i64, len: usize) -> Result<Value, Throw> {
        if let Bytes::Block(id) = self.bytes {
            let bytes = with(vm, |blocks| blocks.read(id, self.at(offset), len).map(std::ptr::NonNull::from))?;
            // SAFETY: bytes of a live block, which the making of a string neither moves nor frees nor writes to.
            return vm.new_str(unsafe { bytes.as_ref() });
        }
        self.check(vm, Access::Read, offset, len)?;
        vm.with_text(|vm, out| {
            let mut piece = [0; 4096];
            let mut done = 0;
            while done < len {
                let piece = &mut piece[..(len - done).min(4096)];
                vm.bulk(piece.len())?;
                self.get(vm, offset + done as i64, piece)?;
                vm.append(out, piece)?;
                done += piece.len();
            }
            vm.text_value(out)
        })
    }

    /// An offset in the bytes.
    pub fn at(&self, offset: i64) -> i64 {
        self.base.saturating_add(offset)
    }
}

#[cold]
fn out_of_bounds(vm: &mut Vm, access: Access, at: i64, len: usize, of: Vec<u8>) -> Throw {
    let access = if access == Access::Write { "write" } else { "read" };
    let unit = if len == 1 { "byte" } else { "bytes" };
    wrong(vm, [format!("out of bounds: {access} of {len} {unit} at offset {at} of ").as_bytes(), &of].concat())
}
