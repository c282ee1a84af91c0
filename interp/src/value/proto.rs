//! Prototypes linked into the heap: code, constants and what is known for messages, all in one cell.
//!
//! ```text
//!   head | constants | inner prototypes | upvalues | locals | code | lines | names
//! ```
//! * **I1** All of it but the slot hints in the code is written at birth and never changes, so that a dead cell can still be asked for its
//!   references (R25), and there is nothing to destroy.
//!
//! May import the other values and `bytecode`; not the machine.

use super::gc::Gc;
use super::kinds::{LuaRuntime, kind};
use super::{Str, Value};
use crate::bytecode;
use neap_gc::{Header, Heap, OutOfMemory, Ref};
use std::cell::Cell;
use std::ops::Range;
use std::slice;

/// A name: a piece of the bytes at the end of the cell.
#[derive(Clone, Copy)]
struct Name {
    at: u32,
    len: u32,
}

/// Where a closure takes an upvalue from when it is created.
pub struct Upvalue {
    name: Option<Name>,
    /// See [`bytecode::UpvalDesc`].
    pub from_register: bool,
    pub index: u8,
}

/// A local variable, see [`bytecode::LocalVar`].
pub struct Local {
    name: Name,
    pub start_pc: u32,
    pub end_pc: u32,
    pub register: u8,
    pub boxed: bool,
}

/// A linked prototype.
#[repr(C)]
pub struct ProtoCell {
    header: Header,
    pub code: *const Cell<u32>,
    pub consts: *const Value,
    pub max_stack: u8,
    pub num_params: u8,
    pub is_vararg: bool,
    pub num_upvals: u8,
    num_consts: u32,
    num_protos: u32,
    num_locals: u32,
    num_words: u32,
    num_lines: u32,
    name_bytes: u32,
    pub line_defined: u32,
    pub last_line_defined: u32,
    /// The chunk's name, as it was given to `load`.
    pub source: Gc<Str>,
}

/// Writes the parts of a cell one after the other.
struct Writer(*mut u8);

impl Writer {
    /// Writes the items, and says where they stand.
    ///
    /// # Safety
    /// There is room for them, and the place suits their alignment.
    unsafe fn put<T>(&mut self, items: impl Iterator<Item = T>) -> *mut T {
        let start = self.0.cast::<T>();
        for item in items {
            // SAFETY: by the caller.
            unsafe {
                self.0.cast::<T>().write(item);
                self.0 = self.0.add(size_of::<T>());
            }
        }
        start
    }
}

impl ProtoCell {
    // Each part begins where the one before ends: none needs a larger alignment than those before it.
    const _ORDER: () = assert!(
        size_of::<ProtoCell>().is_multiple_of(align_of::<Value>())
            && align_of::<Value>() >= align_of::<Gc<ProtoCell>>()
            && align_of::<Gc<ProtoCell>>() >= align_of::<Upvalue>()
            && align_of::<Upvalue>() == align_of::<Local>()
            && align_of::<Local>() == align_of::<u32>()
    );

    /// For the collector, the constants are slots, then the inner prototypes, then the source.
    pub(super) fn slots(&self) -> usize {
        self.num_consts as usize + self.num_protos as usize + 1
    }
    pub(super) fn trace_slots(&self, range: Range<usize>, visit: &mut impl FnMut(Ref)) {
        let (consts, protos) = (self.consts(), self.protos());
        // What of the range lies in a part of so many slots.
        let within =
            |start: usize, len: usize| range.start.clamp(start, start + len) - start..range.end.clamp(start, start + len) - start;
        consts[within(0, consts.len())].iter().filter_map(|k| k.as_ref()).for_each(&mut *visit);
        protos[within(consts.len(), protos.len())].iter().for_each(|p| visit(p.as_ref()));
        if range.contains(&(consts.len() + protos.len())) {
            visit(self.source.as_ref());
        }
    }

    #[inline(always)]
    pub fn consts(&self) -> &[Value] {
        // SAFETY: `new` has written them behind the head.
        unsafe { slice::from_raw_parts(self.consts, self.num_consts as usize) }
    }
    #[inline(always)]
    pub fn protos(&self) -> &[Gc<ProtoCell>] {
        // SAFETY: `new` has written them behind the constants.
        unsafe { slice::from_raw_parts(self.consts.add(self.num_consts as usize).cast(), self.num_protos as usize) }
    }
    #[inline(always)]
    pub fn upvals(&self) -> &[Upvalue] {
        // SAFETY: here and below: `new` has written the parts in this order, each behind the one before.
        unsafe { slice::from_raw_parts(self.protos().as_ptr_range().end.cast(), self.num_upvals as usize) }
    }
    pub fn locals(&self) -> &[Local] {
        // SAFETY: as above.
        unsafe { slice::from_raw_parts(self.upvals().as_ptr_range().end.cast(), self.num_locals as usize) }
    }
    /// Instructions and aux words.
    pub fn words(&self) -> &[Cell<u32>] {
        // SAFETY: as above.
        unsafe { slice::from_raw_parts(self.code, self.num_words as usize) }
    }
    /// The source line of each word; empty in a stripped function.
    pub fn lines(&self) -> &[u32] {
        // SAFETY: as above.
        unsafe { slice::from_raw_parts(self.code.add(self.num_words as usize).cast(), self.num_lines as usize) }
    }
    fn names(&self) -> &[u8] {
        // SAFETY: as above.
        unsafe { slice::from_raw_parts(self.lines().as_ptr_range().end.cast(), self.name_bytes as usize) }
    }
    fn name(&self, name: Name) -> &[u8] {
        &self.names()[name.at as usize..][..name.len as usize]
    }

    pub fn local_name(&self, local: &Local) -> &[u8] {
        self.name(local.name)
    }
    /// The name of an upvalue; a stripped function knows none.
    pub fn upval_name(&self, index: usize) -> Option<&[u8]> {
        self.upvals().get(index)?.name.map(|name| self.name(name))
    }
    /// The index of the word at `pc`.
    pub fn pc_index(&self, pc: *const Cell<u32>) -> usize {
        (pc as usize - self.code as usize) / 4
    }
    /// The source line of a word of the code; 0 if unknown.
    pub fn line_at(&self, index: usize) -> u32 {
        self.lines().get(index).copied().unwrap_or(0)
    }
}

impl Gc<ProtoCell> {
    /// The cell; valid while it lives (V1), whatever lifetime the caller gives it.
    pub fn parts<'a>(self) -> &'a ProtoCell {
        // SAFETY: V1, and all the mutable parts are in `Cell`s.
        unsafe { &*self.as_ptr() }
    }

    /// Takes up a compiled function whose constants and inner functions are in the heap already.
    pub fn new(
        heap: &mut Heap<LuaRuntime>,
        proto: &bytecode::Proto,
        source: Gc<Str>,
        consts: &[Value],
        protos: &[Gc<ProtoCell>],
    ) -> Result<Self, OutOfMemory> {
        fn count(n: usize) -> Result<u32, OutOfMemory> {
            u32::try_from(n).map_err(|_| OutOfMemory)
        }
        let upval_names = || proto.upvals.iter().filter_map(|upval| upval.name.as_deref());
        let local_names = || proto.locals.iter().map(|local| &*local.name);
        let name_bytes: usize = upval_names().chain(local_names()).map(<[u8]>::len).sum();
        let size = size_of::<ProtoCell>()
            + size_of_val(consts)
            + size_of_val(protos)
            + proto.upvals.len() * size_of::<Upvalue>()
            + proto.locals.len() * size_of::<Local>()
            + size_of_val(&proto.code[..])
            + size_of_val(&proto.lines[..])
            + name_bytes;
        let mut next_name = 0;
        let mut name = |text: &[u8]| {
            let name = Name { at: next_name, len: text.len() as u32 };
            next_name += name.len;
            name
        };
        let (num_consts, num_protos) = (count(consts.len())?, count(protos.len())?);
        let (num_words, num_lines) = (count(proto.code.len())?, count(proto.lines.len())?);
        let (num_locals, name_bytes) = (count(proto.locals.len())?, count(name_bytes)?);
        // SAFETY: a kind of the table; all fields and the parts behind them are initialised below, within `size`.
        unsafe {
            let cell = heap.alloc(kind::PROTO, size)?;
            let p = cell.as_ptr().cast::<ProtoCell>();
            let mut behind = Writer(p.add(1).cast());
            let values = behind.put(consts.iter().copied());
            behind.put(protos.iter().copied());
            behind.put(proto.upvals.iter().map(|upval| Upvalue {
                name: upval.name.as_deref().map(&mut name),
                from_register: upval.from_register,
                index: upval.index,
            }));
            behind.put(proto.locals.iter().map(|local| Local {
                name: name(&local.name),
                start_pc: local.start_pc,
                end_pc: local.end_pc,
                register: local.register,
                boxed: local.boxed,
            }));
            let code = behind.put(proto.code.iter().map(|&word| Cell::new(word)));
            behind.put(proto.lines.iter().copied());
            behind.put(upval_names().chain(local_names()).flatten().copied());
            debug_assert_eq!(behind.0.addr() - p.addr(), size);
            let header = (&raw const (*p).header).read();
            p.write(ProtoCell {
                header,
                code,
                consts: values,
                max_stack: proto.max_stack,
                num_params: proto.num_params,
                is_vararg: proto.is_vararg,
                num_upvals: proto.upvals.len() as u8,
                num_consts,
                num_protos,
                num_locals,
                num_words,
                num_lines,
                name_bytes,
                line_defined: proto.line_defined,
                last_line_defined: proto.last_line_defined,
                source,
            });
            heap.filled_by_copy(cell);
            Ok(Gc::from_ref(cell))
        }
    }
}
