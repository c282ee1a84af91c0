//! The errors of the C face, numbered and named as in the header.
//!
//! Imports nothing of the crate.

use std::ffi::{CStr, c_char};

/// `neap_error`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Error {
    Ok = 0,
    OutOfMemory = 1,
    Invalid = 2,
    Version = 3,
    Type = 4,
    TypesFull = 5,
    Size = 6,
    Busy = 7,
    Root = 8,
    Scope = 9,
    Handle = 10,
    NotFound = 11,
    Block = 12,
    Audit = 13,
}

impl Error {
    pub const ALL: [Error; 14] = [
        Error::Ok,
        Error::OutOfMemory,
        Error::Invalid,
        Error::Version,
        Error::Type,
        Error::TypesFull,
        Error::Size,
        Error::Busy,
        Error::Root,
        Error::Scope,
        Error::Handle,
        Error::NotFound,
        Error::Block,
        Error::Audit,
    ];

    pub const fn text(self) -> &'static CStr {
        match self {
            Error::Ok => c"no error",
            Error::OutOfMemory => c"out of memory: the limit of the heap is reached, or the system refuses memory",
            Error::Invalid => c"an argument is NULL, or not what it should be",
            Error::Version => c"a struct of another version",
            Error::Type => c"no type of this heap, or not of the right shape",
            Error::TypesFull => c"the heap has as many types as it can have",
            Error::Size => c"fewer bytes than the type has, or more than there are",
            Error::Busy => c"called from within a callback of the same heap",
            Error::Root => c"the variable is not registered",
            Error::Scope => c"the scope was closed already",
            Error::Handle => c"the handle is another heap's",
            Error::NotFound => c"there is no such entry",
            Error::Block => c"not the address of an allocated block",
            Error::Audit => c"the audit has found a contradiction",
        }
    }
}

/// What a function that can't fail otherwise answers.
pub fn answer(result: Result<(), Error>) -> Error {
    result.err().unwrap_or(Error::Ok)
}

/// `neap_error_text`.
#[unsafe(no_mangle)]
pub extern "C" fn neap_error_text(error: u32) -> *const c_char {
    // A number from C may be any.
    Error::ALL.get(error as usize).map_or(c"an unknown error", |error| error.text()).as_ptr()
}
