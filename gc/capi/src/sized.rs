//! Structs that cross the border in numbers: they begin with their size as the caller knows them, so that they may grow.
//!
//! Imports `error`.

use crate::error::Error;
use std::mem::MaybeUninit;

/// # Safety
/// The type is `repr(C)`, its first field is a `usize` (the size), and any field may be all zeros.
pub unsafe trait Crossing: Copy {
    /// What the caller has to know of it at least, in bytes.
    const LEAST: usize = size_of::<usize>();
}

/// What the caller's size says, if it is one.
///
/// # Safety
/// `of` is null, or leads to a size.
unsafe fn known_size<T: Crossing>(of: *const T) -> Result<usize, Error> {
    if of.is_null() {
        return Err(Error::Invalid);
    }
    // SAFETY: by the caller; the size stands first.
    let size = unsafe { of.cast::<usize>().read() };
    if size < T::LEAST { Err(Error::Version) } else { Ok(size.min(size_of::<T>())) }
}

/// Reads a struct; what the caller does not know of is zero.
///
/// # Safety
/// `from` is null, or leads to as many bytes as its size says.
pub unsafe fn read<T: Crossing>(from: *const T) -> Result<T, Error> {
    // SAFETY: by the caller; zeros are right for what is not copied.
    unsafe {
        let size = known_size(from)?;
        let mut value = MaybeUninit::<T>::zeroed();
        value.as_mut_ptr().cast::<u8>().copy_from_nonoverlapping(from.cast(), size);
        Ok(value.assume_init())
    }
}

/// Writes a struct as far as the caller knows it; the size stays the caller's.
///
/// # Safety
/// `to` is null, or leads to as many bytes as its size says.
pub unsafe fn write<T: Crossing>(to: *mut T, value: &T) -> Result<(), Error> {
    const SIZE: usize = size_of::<usize>();
    // SAFETY: by the caller.
    unsafe {
        let size = known_size(to)?;
        let rest = std::ptr::from_ref(value).cast::<u8>().add(SIZE);
        to.cast::<u8>().add(SIZE).copy_from_nonoverlapping(rest, size - SIZE);
    }
    Ok(())
}
