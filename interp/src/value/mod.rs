//! The values of Lua and the kinds of cells behind them.
//!
//! A [`Value`] is 16 bytes: a payload word and a tag. Collectable values carry the address of a cell of the heap.
//!
//! * **V1** A `Value` or [`Gc`] outside the heap's cells, the stacks and the root set is valid until the next safepoint only. Native
//!   functions meet a safepoint only where they call back into Lua.
//! * **V2** A reference stored into a cell that may be older than the current epoch passes the write barrier of that cell first.
//!
//! Imports `neap-gc` and `bytecode` only.

mod function;
mod gc;
pub(crate) mod hash;
mod intern;
mod kinds;
mod number;
mod proto;
mod string;
mod table;
mod text;
mod thread;
mod userdata;

pub use function::{Closure, Continuation, Native, NativeFn, Outcome, Special, UpBox};
pub use gc::Gc;
pub use intern::StringTable;
pub use kinds::{LuaRuntime, kind};
pub use number::{NumberBuffer, number_text};
pub use proto::ProtoCell;
pub use string::{NewStr, Str};
pub use table::{Entry, ModeChanges, SetError, SparseTables, Table};
pub use text::Text;
pub use thread::{Frame, FrameKind, Hook, Status, Thread, ThreadState, frame_flags};
pub use userdata::{Owned, Userdata};

pub use crate::syntax::float_to_int;

use neap_gc::Ref;
use std::ptr::NonNull;

/// The type of a value. Values at or above [`Tag::STR`] are references.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(transparent)]
pub struct Tag(pub u8);

impl Tag {
    pub const NIL: Tag = Tag(0);
    pub const FALSE: Tag = Tag(1);
    pub const TRUE: Tag = Tag(2);
    pub const INT: Tag = Tag(3);
    pub const FLOAT: Tag = Tag(4);
    pub const LIGHT: Tag = Tag(5);
    /// Only as the key of a hash node: the address of a key that was removed, kept so that a traversal can go on. No reference.
    pub const DEAD_KEY: Tag = Tag(6);
    pub const STR: Tag = Tag(8);
    pub const TABLE: Tag = Tag(9);
    pub const CLOSURE: Tag = Tag(10);
    pub const NATIVE: Tag = Tag(11);
    pub const USERDATA: Tag = Tag(12);
    pub const THREAD: Tag = Tag(13);
    /// Only in registers of captured variables (B2 of the instruction set).
    pub const BOX: Tag = Tag(14);
    /// Only as the key of a hash node: a string key that was removed, and is held as long as its node is not needed. A reference.
    pub const REMOVED_STR: Tag = Tag(15);

    #[inline(always)]
    pub const fn is_ref(self) -> bool {
        self.0 >= Tag::STR.0
    }
}

/// A Lua value. Copied as two scalars, so that stores and loads of the parts forward to each other.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Value {
    bits: u64,
    tag: Tag,
}

impl Value {
    pub const NIL: Value = Value { bits: 0, tag: Tag::NIL };
    pub const FALSE: Value = Value { bits: 0, tag: Tag::FALSE };
    pub const TRUE: Value = Value { bits: 0, tag: Tag::TRUE };

    #[inline(always)]
    pub const fn from_parts(tag: Tag, bits: u64) -> Value {
        Value { bits, tag }
    }
    #[inline(always)]
    pub const fn int(i: i64) -> Value {
        Value { bits: i as u64, tag: Tag::INT }
    }
    #[inline(always)]
    pub const fn float(f: f64) -> Value {
        Value { bits: f.to_bits(), tag: Tag::FLOAT }
    }
    #[inline(always)]
    pub const fn bool(b: bool) -> Value {
        Value { bits: 0, tag: Tag(Tag::FALSE.0 + b as u8) }
    }
    pub fn light(p: usize) -> Value {
        Value { bits: p as u64, tag: Tag::LIGHT }
    }
    #[inline(always)]
    fn of<T>(tag: Tag, p: Gc<T>) -> Value {
        Value { bits: p.as_ptr() as u64, tag }
    }
    #[inline(always)]
    pub fn str(p: Gc<Str>) -> Value {
        Value::of(Tag::STR, p)
    }
    #[inline(always)]
    pub fn table(p: Gc<Table>) -> Value {
        Value::of(Tag::TABLE, p)
    }
    #[inline(always)]
    pub fn closure(p: Gc<Closure>) -> Value {
        Value::of(Tag::CLOSURE, p)
    }
    pub fn native(p: Gc<Native>) -> Value {
        Value::of(Tag::NATIVE, p)
    }
    pub fn userdata(p: Gc<Userdata>) -> Value {
        Value::of(Tag::USERDATA, p)
    }
    pub fn thread(p: Gc<Thread>) -> Value {
        Value::of(Tag::THREAD, p)
    }
    #[inline(always)]
    pub fn upbox(p: Gc<UpBox>) -> Value {
        Value::of(Tag::BOX, p)
    }

    #[inline(always)]
    pub const fn tag(self) -> Tag {
        self.tag
    }
    #[inline(always)]
    pub const fn bits(self) -> u64 {
        self.bits
    }
    #[inline(always)]
    pub const fn is_nil(self) -> bool {
        self.tag.0 == Tag::NIL.0
    }
    #[inline(always)]
    pub const fn is_falsy(self) -> bool {
        self.tag.0 < Tag::TRUE.0
    }
    #[inline(always)]
    pub const fn is_truthy(self) -> bool {
        !self.is_falsy()
    }
    #[inline(always)]
    pub const fn is_int(self) -> bool {
        self.tag.0 == Tag::INT.0
    }
    #[inline(always)]
    pub const fn is_float(self) -> bool {
        self.tag.0 == Tag::FLOAT.0
    }
    #[inline(always)]
    pub const fn is_number(self) -> bool {
        self.is_int() || self.is_float()
    }
    #[inline(always)]
    pub const fn is_str(self) -> bool {
        self.tag.0 == Tag::STR.0
    }
    #[inline(always)]
    pub const fn is_table(self) -> bool {
        self.tag.0 == Tag::TABLE.0
    }
    pub const fn is_function(self) -> bool {
        self.tag.0 == Tag::CLOSURE.0 || self.tag.0 == Tag::NATIVE.0
    }
    #[inline(always)]
    pub const fn is_ref(self) -> bool {
        self.tag.is_ref()
    }

    /// Changes the payload; the tag stays.
    #[inline(always)]
    pub fn set_bits(&mut self, bits: u64) {
        debug_assert!(!self.is_ref());
        self.bits = bits;
    }

    /// The payload as an integer; meaningful for `INT`.
    #[inline(always)]
    pub const fn raw_int(self) -> i64 {
        self.bits as i64
    }
    /// The payload as a float; meaningful for `FLOAT`.
    #[inline(always)]
    pub const fn raw_float(self) -> f64 {
        f64::from_bits(self.bits)
    }
    #[inline(always)]
    pub fn as_int(self) -> Option<i64> {
        if self.is_int() { Some(self.raw_int()) } else { None }
    }
    pub fn as_float(self) -> Option<f64> {
        if self.is_float() { Some(self.raw_float()) } else { None }
    }
    /// The number as a float, without coercion from strings.
    #[inline(always)]
    pub fn number(self) -> Option<f64> {
        match self.tag {
            Tag::INT => Some(self.raw_int() as f64),
            Tag::FLOAT => Some(self.raw_float()),
            _ => None,
        }
    }

    #[inline(always)]
    fn cell<T>(self) -> Gc<T> {
        debug_assert!(self.is_ref());
        // SAFETY: a reference tag comes with the non-null address of a cell of its type (the constructors above see to it).
        unsafe { Gc::from_raw(NonNull::new_unchecked(self.bits as *mut T)) }
    }
    #[inline(always)]
    pub fn as_str(self) -> Option<Gc<Str>> {
        if self.is_str() { Some(self.cell()) } else { None }
    }
    #[inline(always)]
    pub fn as_table(self) -> Option<Gc<Table>> {
        if self.is_table() { Some(self.cell()) } else { None }
    }
    #[inline(always)]
    pub fn as_closure(self) -> Option<Gc<Closure>> {
        if self.tag == Tag::CLOSURE { Some(self.cell()) } else { None }
    }
    #[inline(always)]
    pub fn as_native(self) -> Option<Gc<Native>> {
        if self.tag == Tag::NATIVE { Some(self.cell()) } else { None }
    }
    pub fn as_userdata(self) -> Option<Gc<Userdata>> {
        if self.tag == Tag::USERDATA { Some(self.cell()) } else { None }
    }
    pub fn as_thread(self) -> Option<Gc<Thread>> {
        if self.tag == Tag::THREAD { Some(self.cell()) } else { None }
    }
    #[inline(always)]
    pub fn as_box(self) -> Option<Gc<UpBox>> {
        if self.tag == Tag::BOX { Some(self.cell()) } else { None }
    }

    /// The cell of a collectable value.
    #[inline(always)]
    pub fn as_ref(self) -> Option<Ref> {
        if self.is_ref() { Some(self.cell::<u8>().as_ref()) } else { None }
    }

    /// The value of a captured variable's register, or the value itself.
    pub fn unboxed(self) -> Value {
        self.as_box().map_or(self, |b| b.get())
    }

    /// Primitive equality (`rawequal`), however long it takes.
    #[inline]
    pub fn raw_equals(self, other: Value) -> bool {
        self.quick_equals(other).unwrap_or_else(|| self.cell::<Str>().bytes() == other.cell::<Str>().bytes())
    }

    /// Primitive equality; `None`: two strings of the same length, which is long, must be compared byte by byte.
    #[inline]
    pub fn quick_equals(self, other: Value) -> Option<bool> {
        if self.tag != other.tag {
            return Some(match (self.tag, other.tag) {
                (Tag::INT, Tag::FLOAT) => {
                    self.raw_int() as f64 == other.raw_float() && float_is_exactly(other.raw_float(), self.raw_int())
                }
                (Tag::FLOAT, Tag::INT) => {
                    other.raw_int() as f64 == self.raw_float() && float_is_exactly(self.raw_float(), other.raw_int())
                }
                _ => false,
            });
        }
        Some(match self.tag {
            Tag::NIL | Tag::FALSE | Tag::TRUE => true,
            Tag::FLOAT => self.raw_float() == other.raw_float(),
            Tag::STR if self.bits != other.bits => return self.cell::<Str>().quick_equals(other.cell()),
            _ => self.bits == other.bits,
        })
    }

    /// The name of the type as `type` gives it.
    pub fn type_name(self) -> &'static str {
        match self.tag {
            Tag::NIL => "nil",
            Tag::FALSE | Tag::TRUE => "boolean",
            Tag::INT | Tag::FLOAT => "number",
            Tag::STR => "string",
            Tag::TABLE => "table",
            Tag::CLOSURE | Tag::NATIVE => "function",
            Tag::USERDATA | Tag::LIGHT => "userdata",
            Tag::THREAD => "thread",
            _ => "internal",
        }
    }
}

/// Whether `f`, known to equal `i as f64`, is `i` itself (near 2^63 the conversion rounds).
fn float_is_exactly(f: f64, i: i64) -> bool {
    float_to_int(f) == Some(i)
}

/// The value that a cell of a first-class kind is.
pub fn value_of_cell(cell: Ref) -> Value {
    // SAFETY: V1: the caller has the cell from the heap.
    let tag = match unsafe { cell.kind() } {
        kind::STR => Tag::STR,
        kind::TABLE => Tag::TABLE,
        kind::CLOSURE => Tag::CLOSURE,
        kind::NATIVE => Tag::NATIVE,
        kind::USERDATA => Tag::USERDATA,
        kind::THREAD => Tag::THREAD,
        kind => unreachable!("cells of kind {kind} are no values"),
    };
    Value::from_parts(tag, cell.addr() as u64)
}
