//! From source text, or a binary chunk, to a closure; and back to a chunk.

use super::{Throw, Vm};
use crate::bytecode::budget::{Budget, Refusal};
use crate::bytecode::chunk::{self, Constant, Variable};
use crate::bytecode::{Const, Proto, Source};
use crate::value::{Closure, Gc, ProtoCell, Str, Tag, Text, UpBox, Value};
use neap_gc::OutOfMemory;
use std::cell::Cell;
use std::collections::TryReserveError;
use std::sync::Arc;

/// What the compiler may need for a byte of source.
const COMPILER_BYTES: usize = 64;
/// What a function may need for a byte of its binary chunk, in the host and in the heap.
const CHUNK_BYTES: usize = 64;
/// So much of a name is looked at by the compiler: more than messages show.
const NAME_BYTES: usize = 1 << 10;

/// Why a prototype can't be linked.
enum Unlinked {
    Memory,
    Raised(Throw),
}

impl From<OutOfMemory> for Unlinked {
    fn from(_: OutOfMemory) -> Unlinked {
        Unlinked::Memory
    }
}

impl From<TryReserveError> for Unlinked {
    fn from(_: TryReserveError) -> Unlinked {
        Unlinked::Memory
    }
}

impl From<Throw> for Unlinked {
    fn from(throw: Throw) -> Unlinked {
        Unlinked::Raised(throw)
    }
}

impl Vm {
    /// Compiles a chunk to a function with the globals as its `_ENV`. `Err`: the message is in flight.
    pub fn load(&mut self, source: &[u8], chunk_name: &[u8]) -> Result<Gc<Closure>, Throw> {
        let room = self.compiler_room(source);
        // A name may be long, above all a text in its place; the linked function gets it from here. Of a file's name messages show the end.
        let name = match chunk_name {
            [b'@', file @ ..] if file.len() > NAME_BYTES => &[b"@", &file[file.len() - NAME_BYTES..]].concat(),
            name => &name[..name.len().min(NAME_BYTES)],
        };
        let proto = match crate::compile::compile_within(source, name, room, &mut self.may_go_on()) {
            Ok(p) => p,
            Err(e) if e.out_of_memory => return Err(self.memory_error()),
            Err(e) if e.stopped => return Err(self.stop_error()),
            Err(e) => return Err(self.plain_error(&e.message)),
        };
        self.link_main(proto, Some(chunk_name))
    }

    /// What the compiler may have: it is not on the heap, but counts against its limit.
    fn compiler_room(&mut self, source: &[u8]) -> usize {
        self.heap.room_bytes(source.len().saturating_mul(COMPILER_BYTES))
    }

    /// Whether a text of which more is to come is a syntax error already, or too large.
    pub fn is_hopeless(&mut self, source: &[u8]) -> bool {
        let room = self.compiler_room(source);
        crate::syntax::is_hopeless(source, room / 2, &mut self.may_go_on())
    }

    /// Takes up the function of a binary chunk, with the globals as its first upvalue. `Err`: the message is in flight.
    pub fn load_binary(&mut self, chunk: &[u8], chunk_name: &[u8]) -> Result<Gc<Closure>, Throw> {
        let room = self.heap.room_bytes(chunk.len().saturating_mul(CHUNK_BYTES));
        let mut go_on = self.may_go_on();
        // The other half is for what is made of it in the heap.
        let proto = match chunk::undump(chunk, &mut Budget::new(room / 2, &mut go_on)) {
            Ok(proto) => proto,
            Err(Refusal::Unsound(problem)) => {
                let message = chunk::complaint(&problem, &chunk_name[..chunk_name.len().min(NAME_BYTES)]);
                return Err(self.plain_error(&message));
            }
            Err(Refusal::Memory) => return Err(self.memory_error()),
            Err(Refusal::Interrupted) => return Err(self.stop_error()),
        };
        self.link_main(proto, None)
    }

    /// Appends the binary chunk of a function. Its upvalues are fresh when it is loaded.
    pub fn dump(&mut self, closure: Gc<Closure>, strip: bool, out: &mut Text) -> Result<(), Throw> {
        chunk::dump(closure.proto, strip, &mut |bytes| {
            self.work(1)?;
            self.append(out, bytes)
        })
    }

    /// The closure of a main function; its first upvalue is the table of globals, the others are nil. `source` names the chunk if the prototype's own
    /// name may be cut.
    fn link_main(&mut self, proto: Proto, source: Option<&[u8]>) -> Result<Gc<Closure>, Throw> {
        let globals = Value::table(self.roots.globals);
        self.link_closure(proto, source, globals).map_err(|refusal| match refusal {
            Unlinked::Memory => self.memory_error(),
            Unlinked::Raised(throw) => throw,
        })
    }

    fn link_closure(&mut self, proto: Proto, source: Option<&[u8]>, env: Value) -> Result<Gc<Closure>, Unlinked> {
        let n = proto.upvals.len();
        let source = match source {
            Some(source) => Some((self.join_str(source.len(), [source])??, proto.source.clone())),
            None => None,
        };
        let proto = self.link(proto, source.as_ref().map(|(cell, name)| (*cell, name)))?;
        let mut boxes = Vec::new();
        boxes.try_reserve_exact(n)?;
        for i in 0..n {
            boxes.push(Gc::<UpBox>::new(&mut self.heap, if i == 0 { env } else { Value::NIL })?);
        }
        Ok(Gc::<Closure>::new(&mut self.heap, proto, |i| boxes[i])?)
    }

    /// Links a prototype into the heap, inner ones first; `outer` is the source of the function around it, which is mostly its own too. (The nesting of
    /// functions is bounded by the parser.) There is no safepoint in between.
    fn link(&mut self, proto: Proto, outer: Option<(Gc<Str>, &Source)>) -> Result<Gc<ProtoCell>, Unlinked> {
        // A chunk without a name has its whole text for a name: the same one is told by its address.
        let source = match outer.filter(|(_, source)| Arc::ptr_eq(source, &proto.source) || **source == proto.source) {
            Some((source, _)) => source,
            None => self.join_str(proto.source.len(), [&proto.source[..]])??,
        };
        let mut consts = Vec::new();
        consts.try_reserve_exact(proto.consts.len())?;
        for k in &proto.consts {
            self.work(8)?;
            consts.push(match k {
                Const::Nil => Value::NIL,
                Const::Bool(b) => Value::bool(*b),
                Const::Int(i) => Value::int(*i),
                Const::Float(f) => Value::float(*f),
                Const::Str(s) => Value::str(self.intern_long(s)?),
            });
        }
        let mut proto = proto;
        let mut protos = Vec::new();
        protos.try_reserve_exact(proto.protos.len())?;
        for inner in std::mem::take(&mut proto.protos) {
            protos.push(self.link(inner, Some((source, &proto.source)))?);
        }
        self.work(proto.code.len())?;
        Ok(Gc::<ProtoCell>::new(&mut self.heap, &proto, source, &consts, &protos)?)
    }

    /// An interned string, however long (W2).
    fn intern_long(&mut self, bytes: &[u8]) -> Result<Gc<Str>, Unlinked> {
        if bytes.len() <= Str::LONG {
            return Ok(Gc::<Str>::intern(&mut self.heap, bytes)?);
        }
        let string = self.join_str(bytes.len(), [bytes])??;
        let known = self.known_key(Value::str(string))?;
        Ok(known.as_str().unwrap_or(string).interned(&mut self.heap)?)
    }
}

// (The nesting of functions is bounded by the parser and the verifier.)
impl<'f> chunk::Function<'f> for Gc<ProtoCell> {
    fn source(self) -> &'f [u8] {
        self.source.bytes()
    }
    fn has_source_of(self, other: Self) -> bool {
        self.source == other.source
    }
    fn extent(self) -> [u32; 2] {
        [self.line_defined, self.last_line_defined]
    }
    fn frame(self) -> (u8, bool, u8) {
        (self.num_params, self.is_vararg, self.max_stack)
    }
    fn code(self) -> impl ExactSizeIterator<Item = u32> {
        self.parts().words().iter().map(Cell::get)
    }
    fn constants(self) -> impl ExactSizeIterator<Item = Constant<'f>> {
        self.parts().consts().iter().map(|value| match value.tag() {
            Tag::FALSE | Tag::TRUE => Constant::Bool(value.is_truthy()),
            Tag::INT => Constant::Int(value.raw_int()),
            Tag::FLOAT => Constant::Float(value.raw_float()),
            _ => value.as_str().map_or(Constant::Nil, |text| Constant::Str(text.bytes())),
        })
    }
    fn functions(self) -> impl ExactSizeIterator<Item = Self> {
        self.parts().protos().iter().copied()
    }
    fn upvalues(self) -> impl ExactSizeIterator<Item = (bool, u8, Option<&'f [u8]>)> {
        let parts = self.parts();
        let upvals = parts.upvals().iter().enumerate();
        upvals.map(move |(index, upval)| (upval.from_register, upval.index, parts.upval_name(index)))
    }
    fn lines(self) -> &'f [u32] {
        self.parts().lines()
    }
    fn variables(self) -> impl ExactSizeIterator<Item = Variable<'f>> {
        let parts = self.parts();
        parts.locals().iter().map(move |local| Variable {
            name: parts.local_name(local),
            register: local.register,
            boxed: local.boxed,
            start_pc: local.start_pc,
            end_pc: local.end_pc,
        })
    }
}
