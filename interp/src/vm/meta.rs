//! Metatables: indexing, assignment, comparison, length, conversion to a string.
//!
//! What an operation comes to is found out once, as an [`Access`]: a value, or the call of a metamethod. An instruction takes it by [`Vm::finish`], a native
//! function by [`Vm::ready`], the host by [`Vm::now`].

use super::step::{self, Ready};
use super::{Args, Flow, Throw, Vm, limits, shown};
use crate::value::{Continuation, FrameKind, Gc, Outcome, SetError, Str, Table, Tag, Value, frame_flags};
use std::cmp::Ordering;

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

/// What an operation comes to.
#[derive(Clone, Copy)]
pub enum Access {
    Value(Value),
    /// What this handler gives for two arguments.
    Handler(Value, [Value; 2]),
    /// The contrary of that.
    Not(Value, [Value; 2]),
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
    #[inline(always)]
    pub(crate) fn access(&mut self, object: Value, key: Value) -> Result<Access, Throw> {
        let key = self.known_key(key)?;
        self.access_known(object, key)
    }

    #[inline(always)]
    fn access_known(&mut self, object: Value, key: Value) -> Result<Access, Throw> {
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
                return Ok(Access::Handler(handler, [object, key]));
            }
            object = handler;
        }
        Err(self.runtime_error(b"'__index' chain too long; possible loop"))
    }

    /// Writes `object[key] = value`; `Some`: the handler to call with the receiver.
    #[inline(always)]
    pub(crate) fn assign(&mut self, object: Value, key: Value, value: Value) -> Result<Option<(Value, Value)>, Throw> {
        let key = self.known_key(key)?;
        self.assign_known(object, key, value)
    }

    #[inline(always)]
    fn assign_known(&mut self, object: Value, key: Value, value: Value) -> Result<Option<(Value, Value)>, Throw> {
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
                        self.heed_mode(t, t.meta())?;
                        t.set(&mut self.heap, key, value).map_err(|e| self.set_error(e))?;
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

    /// A key as tables may know it: of a long string the interned one, if there is one. Then nothing that takes it goes over its bytes (W2).
    #[inline]
    pub fn known_key(&mut self, key: Value) -> Result<Value, Throw> {
        match key.as_str() {
            Some(s) if s.len() > Str::LONG && !s.is_interned() => self.known_long_key(s),
            _ => Ok(key),
        }
    }

    #[cold]
    #[inline(never)]
    fn known_long_key(&mut self, key: Gc<Str>) -> Result<Value, Throw> {
        key.hash_in_pieces(|bytes| self.bulk(bytes))?;
        let mut place = 0;
        while let Some(candidate) = key.candidate(&self.heap, &mut place) {
            if self.long_order(key, candidate)? == Ordering::Equal {
                return Ok(Value::str(candidate.if_counted(&mut self.heap).unwrap_or(key)));
            }
        }
        Ok(Value::str(key))
    }

    /// `rawset`.
    #[inline]
    pub fn raw_set(&mut self, t: Gc<Table>, key: Value, value: Value) -> Result<(), Throw> {
        let key = self.known_key(key)?;
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

    /// `#object`
    pub fn length(&mut self, object: Value) -> Result<Access, Throw> {
        if let Some(s) = object.as_str() {
            return Ok(Access::Value(Value::int(s.len() as i64)));
        }
        let handler = self.metamethod(object, Event::Len);
        if !handler.is_nil() {
            return Ok(Access::Handler(handler, [object, object]));
        }
        match object.as_table() {
            Some(t) => Ok(Access::Value(Value::int(t.length(&mut self.heap)))),
            None => Err(self.operand_error("get length of", object)),
        }
    }

    /// `x == y`
    pub fn equality(&mut self, x: Value, y: Value) -> Result<Access, Throw> {
        Ok(if self.raw_equals(x, y)? { Access::Value(Value::TRUE) } else { self.equality_by_handler(x, y) })
    }

    /// The same of values that are not primitively equal.
    pub(super) fn equality_by_handler(&mut self, x: Value, y: Value) -> Access {
        if x.tag() == y.tag() && matches!(x.tag(), Tag::TABLE | Tag::USERDATA) {
            let handler = self.binary_handler(Event::Eq, x, y);
            if !handler.is_nil() {
                return Access::Handler(handler, [x, y]);
            }
        }
        Access::Value(Value::FALSE)
    }

    /// `x < y` or `x <= y`, by the event.
    pub fn order(&mut self, event: Event, x: Value, y: Value) -> Result<Access, Throw> {
        let plain = if event == Event::Lt { super::arith::compare_lt(x, y) } else { super::arith::compare_le(x, y) };
        if let Some(b) = plain {
            return Ok(Access::Value(Value::bool(b)));
        }
        if let (Some(x), Some(y)) = (x.as_str(), y.as_str()) {
            let order = self.long_order(x, y)?;
            return Ok(Access::Value(Value::bool(order == Ordering::Less || (order == Ordering::Equal && event == Event::Le))));
        }
        let handler = self.binary_handler(event, x, y);
        if !handler.is_nil() {
            return Ok(Access::Handler(handler, [x, y]));
        }
        match self.reverse_handler(event, x, y) {
            Some(less) => Ok(Access::Not(less, [y, x])),
            None => Err(self.order_error(x, y)),
        }
    }

    // ---- what becomes of it

    /// For the instruction in progress: `R[dest]` gets the value, at once or by `finish_instruction`.
    #[inline]
    pub(super) fn finish(&mut self, dest: usize, access: Access) -> Result<Flow, Throw> {
        match access {
            Access::Value(v) => {
                self.set_slot(dest, v);
                Ok(Flow::Next)
            }
            Access::Handler(f, args) => self.call_meta(f, &args),
            Access::Not(f, args) => {
                self.top = self.registers_end();
                self.call_negated(f, args).map(Flow::Step)
            }
        }
    }

    /// For a native function: the value, or the step by which `then` finds it at the top. Use `ready!`.
    #[inline]
    pub fn ready(&mut self, access: Access, then: Continuation) -> Result<Ready, Throw> {
        match access {
            Access::Value(v) => Ok(Ready::Value(v)),
            Access::Handler(f, args) => self.call_value_then(f, &args, 1, then).map(Ready::Later),
            Access::Not(f, args) => {
                self.frame().set_then(Some(then));
                self.call_negated(f, args).map(Ready::Later)
            }
        }
    }

    /// For the host: the value. A safepoint.
    pub fn now(&mut self, access: Access) -> Result<Value, Throw> {
        let (f, args) = match access {
            Access::Value(v) => return Ok(v),
            Access::Handler(f, args) | Access::Not(f, args) => (f, args),
        };
        let v = self.call1(f, &args)?;
        Ok(if matches!(access, Access::Not(..)) { Value::bool(v.is_falsy()) } else { v })
    }

    /// The call of a handler whose result is to be negated, by a frame between.
    fn call_negated(&mut self, f: Value, args: [Value; 2]) -> Result<u32, Throw> {
        self.push_helper(FrameKind::Helper, frame_flags::ASIDE, negate)?;
        self.push_call(f, &args)?;
        Ok(step::call(2, 1))
    }

    /// `object[key] = value` for a native function. `Some`: the step after which `then` goes on.
    pub fn set_index(&mut self, object: Value, key: Value, value: Value, then: Continuation) -> Result<Option<u32>, Throw> {
        match self.assign(object, key, value)? {
            None => Ok(None),
            Some((f, receiver)) => self.call_value_then(f, &[receiver, key, value], 0, then).map(Some),
        }
    }

    // ---- instructions

    /// `R[a] = object[key]`, for the instruction in progress.
    #[inline(never)]
    pub(super) fn op_index(&mut self, dest: usize, object: Value, key: Value) -> Result<Flow, Throw> {
        if let Some(t) = object.as_table()
            && key.is_int()
        {
            let value = t.get_int(&mut self.heap, key.raw_int());
            if !value.is_nil() || t.meta().is_none() {
                self.set_slot(dest, value);
                return Ok(Flow::Next);
            }
        }
        let access = self.access(object, key)?;
        self.finish(dest, access)
    }

    /// `object[key] = value`, for the instruction in progress.
    #[inline(never)]
    pub(super) fn op_assign(&mut self, object: Value, key: Value, value: Value) -> Result<Flow, Throw> {
        // Mostly there is no metatable to be asked, and no mode to be changed.
        let Some(t) = object.as_table().filter(|t| t.meta().is_none() && !t.is_weak()) else {
            return self.assign_any(object, key, value);
        };
        let result = match key.as_str() {
            Some(s) if s.is_interned() => t.set_str(&mut self.heap, s, value),
            None if key.is_int() => t.set_int(&mut self.heap, key.raw_int(), value),
            None => t.set(&mut self.heap, key, value),
            Some(_) => return self.assign_any(object, key, value),
        };
        match result {
            Ok(()) => Ok(Flow::Next),
            Err(e) => Err(self.set_error(e)),
        }
    }

    #[inline(never)]
    fn assign_any(&mut self, object: Value, key: Value, value: Value) -> Result<Flow, Throw> {
        match self.assign(object, key, value)? {
            None => Ok(Flow::Next),
            Some((f, receiver)) => self.call_meta(f, &[receiver, key, value]),
        }
    }

    /// `R[a] = #object`, for the instruction in progress.
    #[inline(never)]
    pub(super) fn op_len(&mut self, dest: usize, object: Value) -> Result<Flow, Throw> {
        let access = self.length(object)?;
        self.finish(dest, access)
    }

    /// A comparison that is not decided by numbers or short strings, for the instruction in progress.
    #[inline(never)]
    pub(super) fn op_order(&mut self, event: Event, x: Value, y: Value) -> Result<Flow, Throw> {
        match self.order(event, x, y)? {
            Access::Value(truth) => Ok(self.finish_test(truth.is_truthy())),
            access => self.finish(0, access),
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

    /// `tostring(v)` for a native function: the string, at once or at the top for `then`.
    pub fn tostring(&mut self, v: Value, then: Continuation) -> Result<Ready, Throw> {
        let handler = self.metamethod(v, Event::ToString);
        if handler.is_nil() {
            return self.plain_text(v).map(Value::str).map(Ready::Value);
        }
        self.frame().set_then(Some(then));
        self.push_helper(FrameKind::Helper, frame_flags::ASIDE, end_tostring)?;
        self.push_call(handler, &[v])?;
        Ok(Ready::Later(step::call(1, 1)))
    }

    /// The text of a value without metamethods, but for its `__name`.
    pub fn plain_text(&mut self, v: Value) -> Result<Gc<Str>, Throw> {
        if let Some(s) = self.coerce_to_str(v)? {
            return Ok(s);
        }
        let name = match v.tag() {
            Tag::NIL | Tag::FALSE | Tag::TRUE => Value::NIL,
            _ => self.metamethod(v, Event::Name),
        };
        let address = format!(": {:#x}", v.bits());
        let pieces: [&[u8]; 2] = match (v.tag(), name.as_str()) {
            (Tag::NIL, _) => [b"nil", b""],
            (Tag::FALSE, _) => [b"false", b""],
            (Tag::TRUE, _) => [b"true", b""],
            (_, Some(name)) => [name.bytes(), address.as_bytes()],
            (_, None) => [v.type_name().as_bytes(), address.as_bytes()],
        };
        self.join_str(pieces[0].len() + pieces[1].len(), pieces)?.map_err(|_| self.memory_error())
    }

    /// The name of a value's type for messages: `__name` if it has one.
    pub fn type_name_of(&mut self, v: Value) -> Vec<u8> {
        let name = match v.tag() {
            Tag::TABLE | Tag::USERDATA => self.metamethod(v, Event::Name),
            _ => Value::NIL,
        };
        match name.as_str() {
            Some(s) => shown(s.bytes()).to_vec(),
            None if v.tag() == Tag::LIGHT => b"light userdata".to_vec(),
            None => v.type_name().as_bytes().to_vec(),
        }
    }

    /// Makes a table weak as its metatable says, which may have changed its mind since.
    #[inline(always)]
    fn heed_mode(&mut self, t: Gc<Table>, meta: Option<Gc<Table>>) -> Result<(), Throw> {
        if meta.is_none_or(|meta| meta.has_no_mode()) && !t.is_weak() {
            return Ok(());
        }
        self.set_mode(t, meta)
    }

    #[inline(never)]
    fn set_mode(&mut self, t: Gc<Table>, meta: Option<Gc<Table>>) -> Result<(), Throw> {
        let mode = match meta {
            Some(m) => self.event_in(m, Event::Mode),
            None => Value::NIL,
        };
        if let Some(m) = meta.filter(|_| mode.is_nil()) {
            m.note_no_mode();
        }
        let mode = mode.as_str().map_or(&b""[..], |s| s.bytes());
        let (keys, values) = (mode.contains(&b'k'), mode.contains(&b'v'));
        t.set_weakness(&mut self.heap, keys, values).map_err(|e| self.set_error(e))
    }

    /// `setmetatable` without its checks: notes weakness and finalizer.
    pub fn set_metatable(&mut self, v: Value, meta: Option<Gc<Table>>) -> Result<(), Throw> {
        match v.tag() {
            Tag::TABLE => {
                let t = v.as_table().expect("a table");
                self.heed_mode(t, meta)?;
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

fn negate(vm: &mut Vm, _: Args, _: Outcome) -> Result<u32, Throw> {
    let result = vm.slot(vm.top - 1);
    vm.ret1(Value::bool(result.is_falsy()))
}

/// `__tostring` has returned.
fn end_tostring(vm: &mut Vm, _: Args, _: Outcome) -> Result<u32, Throw> {
    let result = vm.slot(vm.top - 1);
    match vm.coerce_to_str(result)? {
        Some(s) => vm.ret1(Value::str(s)),
        None => Err(vm.error("'__tostring' must return a string")),
    }
}
