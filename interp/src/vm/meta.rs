//! Metatables: indexing, assignment, comparison, length, conversion to a string.

use super::{Flow, Throw, Vm, limits};
use crate::value::{Gc, SetError, Str, Table, Tag, Value};

macro_rules! events {
    ($($event:ident $name:literal,)*) => {
        /// The events of metatables. The first seven have a bit in `Table::absent`.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u8)]
        pub enum Event { $($event),* }

        impl Event {
            pub const ALL: &'static [Event] = &[$(Event::$event),*];

            /// The name of its field.
            pub const fn name(self) -> &'static str {
                match self { $(Event::$event => $name),* }
            }
        }
    };
}

events! {
    Index "__index",
    NewIndex "__newindex",
    Eq "__eq",
    Len "__len",
    Call "__call",
    Gc "__gc",
    Close "__close",
    Mode "__mode",
    Add "__add",
    Sub "__sub",
    Mul "__mul",
    Mod "__mod",
    Pow "__pow",
    Div "__div",
    IDiv "__idiv",
    BAnd "__band",
    BOr "__bor",
    BXor "__bxor",
    Shl "__shl",
    Shr "__shr",
    Unm "__unm",
    BNot "__bnot",
    Lt "__lt",
    Le "__le",
    Concat "__concat",
    ToString "__tostring",
    Name "__name",
    Pairs "__pairs",
    Metatable "__metatable",
}

/// What an access with metamethods comes to.
pub(crate) enum Access {
    Value(Value),
    /// Call this handler with this receiver.
    Handler(Value, Value),
}

impl Vm {
    #[inline(always)]
    pub fn event_name(&self, event: Event) -> Gc<Str> {
        self.roots.names[event as usize]
    }

    /// The metatable of a value.
    #[inline]
    pub fn metatable(&self, v: Value) -> Option<Gc<Table>> {
        match v.tag() {
            Tag::TABLE => v.as_table().and_then(|t| t.meta()),
            Tag::USERDATA => v.as_userdata().and_then(|u| u.meta()),
            Tag(tag) => self.roots.metas[tag as usize & 15],
        }
    }

    /// The metamethod in a metatable; nil if there is none.
    #[inline(always)]
    pub(crate) fn event_in(&mut self, meta: Gc<Table>, event: Event) -> Value {
        let bit = if (event as u8) < 7 { 1 << event as u8 } else { 0 };
        if meta.absent() & bit != 0 {
            return Value::NIL;
        }
        let name = self.event_name(event);
        let v = meta.get_str(&mut self.heap, name);
        if v.is_nil() {
            meta.note_absent(bit);
        }
        v
    }

    #[inline]
    pub(crate) fn metamethod(&mut self, v: Value, event: Event) -> Value {
        match self.metatable(v) {
            Some(meta) => self.event_in(meta, event),
            None => Value::NIL,
        }
    }

    /// Reads `object[key]`, following `__index` as far as it leads through tables.
    pub(crate) fn access(&mut self, object: Value, key: Value) -> Result<Access, Throw> {
        let mut object = object;
        for _ in 0..limits::META_CHAIN {
            let handler = match object.as_table() {
                Some(t) => {
                    let v = t.get(&mut self.heap, key);
                    if !v.is_nil() {
                        return Ok(Access::Value(v));
                    }
                    let Some(meta) = t.meta() else { return Ok(Access::Value(Value::NIL)) };
                    let handler = self.event_in(meta, Event::Index);
                    if handler.is_nil() {
                        return Ok(Access::Value(Value::NIL));
                    }
                    handler
                }
                None => {
                    let handler = self.metamethod(object, Event::Index);
                    if handler.is_nil() {
                        return Err(self.index_error(object));
                    }
                    handler
                }
            };
            if handler.is_function() {
                return Ok(Access::Handler(handler, object));
            }
            object = handler;
        }
        Err(self.runtime_error(b"'__index' chain too long; possible loop"))
    }

    /// Writes `object[key] = value`; `Some`: the handler to call with the receiver.
    pub(crate) fn assign(&mut self, object: Value, key: Value, value: Value) -> Result<Option<(Value, Value)>, Throw> {
        let mut object = object;
        for _ in 0..limits::META_CHAIN {
            let handler = match object.as_table() {
                Some(t) => {
                    let handler = match t.meta() {
                        None => Value::NIL,
                        Some(meta) => match self.event_in(meta, Event::NewIndex) {
                            h if h.is_nil() => h,
                            // A handler counts only where the key is absent.
                            h if t.get(&mut self.heap, key).is_nil() => h,
                            _ => Value::NIL,
                        },
                    };
                    if handler.is_nil() {
                        self.raw_set(t, key, value)?;
                        return Ok(None);
                    }
                    handler
                }
                None => {
                    let handler = self.metamethod(object, Event::NewIndex);
                    if handler.is_nil() {
                        return Err(self.index_error(object));
                    }
                    handler
                }
            };
            if handler.is_function() {
                return Ok(Some((handler, object)));
            }
            object = handler;
        }
        Err(self.runtime_error(b"'__newindex' chain too long; possible loop"))
    }

    /// `rawset`.
    #[inline]
    pub fn raw_set(&mut self, t: Gc<Table>, key: Value, value: Value) -> Result<(), Throw> {
        t.set(&mut self.heap, key, value).map_err(|e| self.set_error(e))
    }

    #[cold]
    pub(crate) fn set_error(&mut self, e: SetError) -> Throw {
        match e {
            SetError::NilIndex => self.runtime_error(b"table index is nil"),
            SetError::NanIndex => self.runtime_error(b"table index is NaN"),
            SetError::Overflow => self.runtime_error(b"table overflow"),
            SetError::Memory => self.refused(),
        }
    }

    /// `rawget`.
    pub fn raw_get(&mut self, t: Gc<Table>, key: Value) -> Value {
        t.get(&mut self.heap, key)
    }

    // ---- instructions

    /// `R[a] = object[key]`, for the instruction in progress.
    #[inline(never)]
    pub(crate) fn op_index(&mut self, dest: usize, object: Value, key: Value) -> Result<Flow, Throw> {
        match self.access(object, key)? {
            Access::Value(v) => {
                self.set_slot(dest, v);
                Ok(Flow::Next)
            }
            Access::Handler(f, receiver) => self.call_meta(f, &[receiver, key]),
        }
    }

    /// `object[key] = value`, for the instruction in progress.
    #[inline(never)]
    pub(crate) fn op_assign(&mut self, object: Value, key: Value, value: Value) -> Result<Flow, Throw> {
        match self.assign(object, key, value)? {
            None => Ok(Flow::Next),
            Some((f, receiver)) => self.call_meta(f, &[receiver, key, value]),
        }
    }

    /// `R[a] = #object`, for the instruction in progress.
    #[inline(never)]
    pub(crate) fn op_len(&mut self, dest: usize, object: Value) -> Result<Flow, Throw> {
        if let Some(s) = object.as_str() {
            self.set_slot(dest, Value::int(s.len() as i64));
            return Ok(Flow::Next);
        }
        let handler = self.metamethod(object, Event::Len);
        if !handler.is_nil() {
            return self.call_meta(handler, &[object, object]);
        }
        match object.as_table() {
            Some(t) => {
                let n = t.length(&mut self.heap);
                self.set_slot(dest, Value::int(n));
                Ok(Flow::Next)
            }
            None => Err(self.operand_error("get length of", object)),
        }
    }

    /// The handler of an equality that is not decided by the values themselves.
    pub(crate) fn eq_handler(&mut self, x: Value, y: Value) -> Option<Value> {
        if x.tag() != y.tag() || !matches!(x.tag(), Tag::TABLE | Tag::USERDATA) || x.bits() == y.bits() {
            return None;
        }
        let mut handler = self.metamethod(x, Event::Eq);
        if handler.is_nil() {
            handler = self.metamethod(y, Event::Eq);
        }
        if handler.is_nil() { None } else { Some(handler) }
    }

    // ---- the same for native functions: each may call back

    /// `object[key]`.
    pub fn index(&mut self, object: Value, key: Value) -> Result<Value, Throw> {
        match self.access(object, key)? {
            Access::Value(v) => Ok(v),
            Access::Handler(f, receiver) => self.call1(f, &[receiver, key]),
        }
    }

    /// `object[key] = value`.
    pub fn set_index(&mut self, object: Value, key: Value, value: Value) -> Result<(), Throw> {
        match self.assign(object, key, value)? {
            None => Ok(()),
            Some((f, receiver)) => {
                let top = self.top;
                self.call_values(f, &[receiver, key, value], 0)?;
                self.top = top;
                Ok(())
            }
        }
    }

    /// `#object`.
    pub fn len(&mut self, object: Value) -> Result<Value, Throw> {
        if let Some(s) = object.as_str() {
            return Ok(Value::int(s.len() as i64));
        }
        let handler = self.metamethod(object, Event::Len);
        if !handler.is_nil() {
            return self.call1(handler, &[object, object]);
        }
        match object.as_table() {
            Some(t) => Ok(Value::int(t.length(&mut self.heap))),
            None => Err(self.operand_error("get length of", object)),
        }
    }

    /// `x == y`.
    pub fn equals(&mut self, x: Value, y: Value) -> Result<bool, Throw> {
        if x.raw_equals(y) {
            return Ok(true);
        }
        match self.eq_handler(x, y) {
            None => Ok(false),
            Some(h) => Ok(self.call1(h, &[x, y])?.is_truthy()),
        }
    }

    /// `x < y`.
    pub fn less_than(&mut self, x: Value, y: Value) -> Result<bool, Throw> {
        match super::arith::compare_lt(x, y) {
            Some(b) => Ok(b),
            None => self.order_by_handler(Event::Lt, x, y),
        }
    }

    fn order_by_handler(&mut self, event: Event, x: Value, y: Value) -> Result<bool, Throw> {
        let handler = self.binary_handler(event, x, y);
        if !handler.is_nil() {
            return Ok(self.call1(handler, &[x, y])?.is_truthy());
        }
        match self.reverse_handler(event, x, y) {
            Some(less) => Ok(!self.call1(less, &[y, x])?.is_truthy()),
            None => Err(self.order_error(x, y)),
        }
    }

    /// What compares `y < x` in the place of `x <= y`, which has no handler: so it was before Lua 5.4, and is in the usual build of the reference.
    pub(crate) fn reverse_handler(&mut self, event: Event, x: Value, y: Value) -> Option<Value> {
        if event != Event::Le {
            return None;
        }
        let handler = self.binary_handler(Event::Lt, y, x);
        if handler.is_nil() { None } else { Some(handler) }
    }

    /// The handler of a binary event: the first operand's, else the second's.
    pub(crate) fn binary_handler(&mut self, event: Event, x: Value, y: Value) -> Value {
        let h = self.metamethod(x, event);
        if h.is_nil() { self.metamethod(y, event) } else { h }
    }

    /// The string that a value is or that a number converts to, without metamethods.
    pub fn coerce_to_str(&mut self, v: Value) -> Result<Option<Gc<Str>>, Throw> {
        match v.tag() {
            Tag::STR => Ok(v.as_str()),
            Tag::INT | Tag::FLOAT => {
                let mut buffer = crate::value::NumberBuffer::new();
                let text = crate::value::number_text(v, &mut buffer);
                match Gc::<Str>::new(&mut self.heap, text) {
                    Ok(s) => Ok(Some(s)),
                    Err(_) => Err(self.memory_error()),
                }
            }
            _ => Ok(None),
        }
    }

    /// `tostring(v)`.
    pub fn tostring(&mut self, v: Value) -> Result<Gc<Str>, Throw> {
        let handler = self.metamethod(v, Event::ToString);
        if !handler.is_nil() {
            let s = self.call1(handler, &[v])?;
            return match self.coerce_to_str(s)? {
                Some(s) => Ok(s),
                None => Err(self.error("'__tostring' must return a string")),
            };
        }
        if let Some(s) = self.coerce_to_str(v)? {
            return Ok(s);
        }
        let text: Vec<u8> = match v.tag() {
            Tag::NIL => b"nil".to_vec(),
            Tag::FALSE => b"false".to_vec(),
            Tag::TRUE => b"true".to_vec(),
            _ => {
                let name = self.metamethod(v, Event::Name);
                let mut text = match name.as_str() {
                    Some(s) => s.bytes().to_vec(),
                    None => v.type_name().as_bytes().to_vec(),
                };
                text.extend_from_slice(format!(": {:#x}", v.bits()).as_bytes());
                text
            }
        };
        Gc::<Str>::new(&mut self.heap, &text).map_err(|_| self.memory_error())
    }

    /// The name of a value's type for messages: `__name` if it has one.
    pub fn type_name_of(&mut self, v: Value) -> Vec<u8> {
        let name = match v.tag() {
            Tag::TABLE | Tag::USERDATA => self.metamethod(v, Event::Name),
            _ => Value::NIL,
        };
        match name.as_str() {
            Some(s) => s.bytes().to_vec(),
            None if v.tag() == Tag::LIGHT => b"light userdata".to_vec(),
            None => v.type_name().as_bytes().to_vec(),
        }
    }

    /// `setmetatable` without its checks: notes weakness and finalizer.
    pub fn set_metatable(&mut self, v: Value, meta: Option<Gc<Table>>) -> Result<(), Throw> {
        match v.tag() {
            Tag::TABLE => {
                let t = v.as_table().expect("a table");
                let mode = match meta {
                    Some(m) => self.event_in(m, Event::Mode),
                    None => Value::NIL,
                };
                let mode = mode.as_str().map_or(&b""[..], |s| s.bytes());
                let (keys, values) = (mode.contains(&b'k'), mode.contains(&b'v'));
                t.set_weakness(&mut self.heap, keys, values).map_err(|e| self.set_error(e))?;
                t.set_meta(&mut self.heap, meta);
                self.note_finalizer(v, meta);
            }
            Tag::USERDATA => {
                let u = v.as_userdata().expect("a userdata");
                u.set_meta(&mut self.heap, meta);
                self.note_finalizer(v, meta);
            }
            Tag(tag) => self.roots.metas[tag as usize & 15] = meta,
        }
        Ok(())
    }

    fn note_finalizer(&mut self, v: Value, meta: Option<Gc<Table>>) {
        if let Some(m) = meta
            && !self.closing
            && !self.event_in(m, Event::Gc).is_nil()
            && let Some(cell) = v.as_ref()
        {
            // SAFETY: V1.
            unsafe {
                if self.in_finalizer {
                    self.heap.rearm_finalizer(cell);
                } else {
                    self.heap.set_finalizer(cell);
                }
            }
        }
    }

    /// Sets the metatable of a basic type.
    pub fn set_type_metatable(&mut self, tag: Tag, meta: Option<Gc<Table>>) {
        let tags: &[Tag] = match tag {
            Tag::FALSE | Tag::TRUE => &[Tag::FALSE, Tag::TRUE],
            Tag::INT | Tag::FLOAT => &[Tag::INT, Tag::FLOAT],
            Tag::CLOSURE | Tag::NATIVE => &[Tag::CLOSURE, Tag::NATIVE],
            _ => &[tag],
        };
        for t in tags {
            self.roots.metas[t.0 as usize] = meta;
        }
    }
}
