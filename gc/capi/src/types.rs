//! Types that are made at run time: how the references of an object lie, as the program has described it.
//!
//! Invariants:
//! * **offsets-are-inside** Every offset is that of a whole word of the fixed part behind the header, or of a slot. So a type never leads out of its
//!   objects, if their lengths are right.
//!
//! Imports `callback`, `error`, `gate`, `sized`.

use crate::callback::{Releaser, Visitor};
use crate::error::Error;
use crate::gate::TYPES;
use crate::sized::Crossing;
use neap_gc::{Header, Kind, Shape};
use std::collections::HashSet;
use std::ffi::{CStr, c_char, c_void};
use std::sync::{Mutex, PoisonError};

/// The heap's own types.
pub const LOCALS: u8 = 0;
pub const WEAK_MAP: u8 = 1;
pub const WEAK_ENTRIES: u8 = 2;

const WORD: usize = size_of::<*mut c_void>();

/// `neap_trace_fn`.
pub type TraceFn = unsafe extern "C" fn(*const c_void, usize, usize, *mut Visitor, *mut c_void);
/// `neap_destroy_fn`.
pub type DestroyFn = unsafe extern "C" fn(*mut c_void, *mut Releaser, *mut c_void);

/// `neap_type_info`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct TypeInfo {
    pub struct_size: usize,
    pub name: *const c_char,
    pub shape: u32,
    pub reserved: u32,
    pub size: usize,
    pub offsets: *const u32,
    pub offset_count: usize,
    pub weak_offsets: *const u32,
    pub weak_offset_count: usize,
    pub stride: usize,
    pub length_offset: usize,
    pub slot_offsets: *const u32,
    pub slot_offset_count: usize,
    pub slot_weak_offsets: *const u32,
    pub slot_weak_offset_count: usize,
    pub trace: Option<TraceFn>,
    pub destroy: Option<DestroyFn>,
    pub data: *mut c_void,
}

// SAFETY: it begins with its size; null pointers, no function and zeros are right everywhere.
unsafe impl Crossing for TypeInfo {
    /// Up to the size of the objects.
    const LEAST: usize = std::mem::offset_of!(TypeInfo, offsets);
}

/// `neap_shape`.
pub const PLAIN: u32 = 0;
pub const ARRAY: u32 = 1;
pub const LEAF: u32 = 2;

/// The most that a fixed part may have.
const SIZE_MAX: usize = 1 << 30;

/// What is asked of a type most often, in half a cache line.
#[derive(Clone, Copy)]
#[repr(C, align(32))]
pub struct Hot {
    /// Where the strong references of the object begin, if they stand side by side, and how many there are. 0 if it has none, or others.
    pub at: u32,
    pub count: u32,
    /// [`Type::fixed`].
    pub fixed: u32,
    pub size: u32,
    pub length_offset: u32,
    /// A slot is one strong word, and nothing else is to be visited in it.
    pub words: bool,
    /// A slot is one weak word, and the fixed part has none.
    pub weak_words: bool,
}

/// A type as the heap looks at it.
pub struct Type {
    pub shape: Shape,
    /// Bytes of the fixed part; the slots begin there.
    pub size: usize,
    /// Strong references of the fixed part.
    pub strong: Box<[u32]>,
    /// Weak ones.
    pub weak: Box<[u32]>,
    /// Bytes of a slot; 0 for none.
    pub stride: usize,
    /// Where the number of slots stands; 0 for nowhere.
    pub length_offset: usize,
    pub slot_strong: Box<[u32]>,
    pub slot_weak: Box<[u32]>,
    pub trace: Option<TraceFn>,
    pub destroy: Option<DestroyFn>,
    pub data: *mut c_void,
    pub name: &'static CStr,
}

impl Type {
    fn new(name: &'static CStr, shape: Shape, size: usize) -> Type {
        Type {
            shape,
            size,
            strong: Box::new([]),
            weak: Box::new([]),
            stride: 0,
            length_offset: 0,
            slot_strong: Box::new([]),
            slot_weak: Box::new([]),
            trace: None,
            destroy: None,
            data: std::ptr::null_mut(),
            name,
        }
    }

    /// What the program has described, if that is free of contradictions.
    ///
    /// # Safety
    /// The name and the lists are as long as they should be.
    pub unsafe fn from_info(info: &TypeInfo) -> Result<Type, Error> {
        let shape = match info.shape {
            PLAIN => Shape::Plain,
            ARRAY => Shape::Array,
            LEAF => Shape::Leaf,
            _ => return Err(Error::Invalid),
        };
        if info.name.is_null() || info.reserved != 0 || info.size < size_of::<Header>() || info.size > SIZE_MAX {
            return Err(Error::Invalid);
        }
        let has_slots = info.stride != 0;
        // SAFETY: by the caller.
        let mut ty = unsafe {
            let fixed = size_of::<Header>()..info.size;
            let slot = 0..info.stride;
            Type {
                strong: offsets(info.offsets, info.offset_count, &fixed)?,
                weak: offsets(info.weak_offsets, info.weak_offset_count, &fixed)?,
                stride: info.stride,
                length_offset: info.length_offset,
                slot_strong: offsets(info.slot_offsets, info.slot_offset_count, &slot)?,
                slot_weak: offsets(info.slot_weak_offsets, info.slot_weak_offset_count, &slot)?,
                trace: info.trace,
                destroy: info.destroy,
                data: info.data,
                ..Type::new(lasting(CStr::from_ptr(info.name)), shape, info.size)
            }
        };
        if ty.length_offset != 0 {
            // The length is a word like the others.
            let length = [u32::try_from(ty.length_offset).map_err(|_| Error::Invalid)?];
            check(&length, &(size_of::<Header>()..info.size))?;
            if ty.strong.contains(&length[0]) || ty.weak.contains(&length[0]) {
                return Err(Error::Invalid);
            }
        }
        let both =
            ty.weak.iter().any(|weak| ty.strong.contains(weak)) || ty.slot_weak.iter().any(|weak| ty.slot_strong.contains(weak));
        let right = match shape {
            // Slots are words.
            Shape::Array => {
                has_slots && info.stride.is_multiple_of(WORD) && info.size.is_multiple_of(WORD) && ty.length_offset != 0
            }
            Shape::Leaf => ty.strong.is_empty() && ty.slot_strong.is_empty() && ty.slot_weak.is_empty() && ty.trace.is_none(),
            _ => !has_slots && ty.length_offset == 0,
        };
        if !right || both {
            return Err(Error::Invalid);
        }
        // A plain object without strong references is a leaf.
        if shape == Shape::Plain && ty.strong.is_empty() && ty.trace.is_none() {
            ty.shape = Shape::Leaf;
        }
        Ok(ty)
    }

    pub fn kind(&self) -> Kind {
        let mut kind = Kind::new(self.name.to_str().unwrap_or("a type whose name is not UTF-8"), self.shape);
        kind.weak |= !self.weak.is_empty() || !self.slot_weak.is_empty();
        kind.destructor = self.destroy.is_some();
        kind
    }

    /// The words of the fixed part that count as slots of an array, before its own.
    pub fn fixed(&self) -> usize {
        self.strong.len() + self.weak.len()
    }

    fn hot(&self) -> Hot {
        let first = self.strong.first().copied().unwrap_or(0);
        let side_by_side = self.strong.iter().zip(0..).all(|(&offset, n)| offset == first + n * WORD as u32);
        let simple = side_by_side && self.trace.is_none();
        Hot {
            at: first,
            count: if simple { self.strong.len() as u32 } else { 0 },
            fixed: self.fixed() as u32,
            size: self.size as u32,
            length_offset: self.length_offset as u32,
            words: self.stride == WORD && *self.slot_strong == [0] && self.trace.is_none(),
            weak_words: self.shape == Shape::Array && self.stride == WORD && *self.slot_weak == [0] && self.weak.is_empty(),
        }
    }

    /// The slot of an array where an offset of the object lies; none if no strong reference stands there.
    pub fn slot_at(&self, offset: usize) -> Option<usize> {
        match offset.checked_sub(self.size) {
            Some(behind) => Some(self.fixed() + behind.checked_div(self.stride)?),
            None => self.strong.iter().position(|&strong| strong as usize == offset),
        }
    }
}

/// A copy of a list of offsets of words within `inside`.
///
/// # Safety
/// The list has so many.
unsafe fn offsets(list: *const u32, count: usize, inside: &std::ops::Range<usize>) -> Result<Box<[u32]>, Error> {
    if count == 0 {
        return Ok(Box::new([]));
    }
    if list.is_null() || count > inside.len() / WORD {
        return Err(Error::Invalid);
    }
    // SAFETY: by the caller.
    let list = unsafe { std::slice::from_raw_parts(list, count) };
    check(list, inside)?;
    Ok(list.into())
}

/// offsets-are-inside, each once.
fn check(list: &[u32], inside: &std::ops::Range<usize>) -> Result<(), Error> {
    let is_word = |offset: usize| offset.is_multiple_of(WORD) && inside.start <= offset && offset + WORD <= inside.end;
    let mut seen = HashSet::new();
    if list.iter().all(|&offset| is_word(offset as usize) && seen.insert(offset)) { Ok(()) } else { Err(Error::Invalid) }
}

/// A name that lasts as long as the process: heaps that come and go with the same types need it once.
fn lasting(name: &CStr) -> &'static CStr {
    static NAMES: Mutex<Option<HashSet<&'static CStr>>> = Mutex::new(None);
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    let names = names.get_or_insert_default();
    if let Some(known) = names.get(name) {
        return known;
    }
    let new: &'static CStr = Box::leak(name.to_owned().into_boxed_c_str());
    names.insert(new);
    new
}

/// The table of types, and how many there are.
pub struct Table {
    hot: [Hot; TYPES],
    types: Box<[Type; TYPES]>,
    len: usize,
}

impl Table {
    /// The heap's own types, of which the first is `locals` bytes long.
    pub fn new(locals: usize, map: usize, entries: usize) -> Table {
        let types: Box<[Type]> = (0..TYPES).map(|_| Type::new(c"", Shape::Leaf, size_of::<Header>())).collect();
        let mut types: Box<[Type; TYPES]> = types.try_into().ok().expect("so many");
        types[LOCALS as usize] = Type::new(c"locals", Shape::Thread, locals);
        types[WEAK_MAP as usize] =
            Type { strong: Box::new([size_of::<Header>() as u32]), ..Type::new(c"weak map", Shape::Plain, map) };
        types[WEAK_ENTRIES as usize] = Type {
            stride: 2 * WORD,
            length_offset: size_of::<Header>(),
            slot_strong: Box::new([WORD as u32]),
            ..Type::new(c"weak map entries", Shape::Ephemeron, entries)
        };
        let hot = std::array::from_fn(|kind| types[kind].hot());
        Table { hot, types, len: WEAK_ENTRIES as usize + 1 }
    }
    #[inline(always)]
    pub fn hot(&self, kind: u8) -> &Hot {
        &self.hot[kind as usize]
    }
    #[inline(always)]
    pub fn get(&self, kind: u8) -> &Type {
        &self.types[kind as usize]
    }
    /// The type of that number, if there is one.
    pub fn find(&self, kind: u8) -> Option<&Type> {
        self.all().get(kind as usize)
    }
    pub fn all(&self) -> &[Type] {
        &self.types[..self.len]
    }
    /// The number of the type that comes next, if there is room.
    pub fn next(&self) -> Option<u8> {
        u8::try_from(self.len).ok()
    }
    pub fn add(&mut self, ty: Type) {
        self.hot[self.len] = ty.hot();
        self.types[self.len] = ty;
        self.len += 1;
    }
}
