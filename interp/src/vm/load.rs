//! From source text to a closure.

use super::{Throw, Vm};
use crate::bytecode::{Const, LocalVar, Proto, UpvalDesc, chunk};
use crate::value::{Closure, Gc, Local, ProtoCell, Str, Tag, UpBox, Upvalue, Value};
use neap_gc::OutOfMemory;
use std::cell::Cell;
use std::rc::Rc;

/// What the compiler may need for a byte of source.
const COMPILER_BYTES: usize = 160;

impl Vm {
    /// Compiles a chunk to a function with the globals as its `_ENV`. `Err`: the message is in flight.
    pub fn load(&mut self, source: &[u8], chunk_name: &[u8]) -> Result<Gc<Closure>, Throw> {
        // What the compiler has is not on the heap, but counts against its limit.
        let room = self.heap.room_bytes(source.len().saturating_mul(COMPILER_BYTES));
        let proto = match crate::compile::compile_within(source, chunk_name, room) {
            Ok(p) => p,
            Err(e) if e.out_of_memory => return Err(self.memory_error()),
            Err(e) => return Err(self.plain_error(&e.message)),
        };
        let globals = Value::table(self.roots.globals);
        self.link_main(proto, globals).map_err(|_| self.memory_error())
    }

    /// Takes up the function of a binary chunk, with the globals as its first upvalue. `Err`: the message is in flight.
    pub fn load_binary(&mut self, chunk: &[u8], chunk_name: &[u8]) -> Result<Gc<Closure>, Throw> {
        let proto = chunk::undump_named(chunk, chunk_name).map_err(|message| self.plain_error(&message))?;
        let globals = Value::table(self.roots.globals);
        self.link_main(proto, globals).map_err(|_| self.memory_error())
    }

    /// The binary chunk of a function. Its upvalues are fresh when it is loaded.
    pub fn dump(&self, closure: Gc<Closure>, strip: bool) -> Vec<u8> {
        chunk::dump(&unlink(closure.proto, None), strip)
    }

    /// The closure of a main function; its first upvalue is `env`, the others are nil.
    fn link_main(&mut self, proto: Proto, env: Value) -> Result<Gc<Closure>, OutOfMemory> {
        let n = proto.upvals.len();
        let proto = self.link(proto, None)?;
        let mut boxes = Vec::with_capacity(n);
        for i in 0..n {
            boxes.push(Gc::<UpBox>::new(&mut self.heap, if i == 0 { env } else { Value::NIL })?);
        }
        Gc::<Closure>::new(&mut self.heap, proto, |i| boxes[i])
    }

    /// Links a prototype into the heap, inner ones first; `outer` is the source of the function around it, which is mostly its own too. (The nesting of
    /// functions is bounded by the parser.) There is no safepoint in between.
    fn link(&mut self, proto: Proto, outer: Option<(Gc<Str>, &Rc<[u8]>)>) -> Result<Gc<ProtoCell>, OutOfMemory> {
        // A chunk without a name has its whole text for a name: the same one is told by its address.
        let source = match outer.filter(|(_, source)| Rc::ptr_eq(source, &proto.source) || **source == proto.source) {
            Some((source, _)) => source,
            None => Gc::<Str>::new(&mut self.heap, &proto.source)?,
        };
        let mut consts = Vec::with_capacity(proto.consts.len());
        for k in &proto.consts {
            consts.push(match k {
                Const::Nil => Value::NIL,
                Const::Bool(b) => Value::bool(*b),
                Const::Int(i) => Value::int(*i),
                Const::Float(f) => Value::float(*f),
                Const::Str(s) => Value::str(Gc::<Str>::intern(&mut self.heap, s)?),
            });
        }
        let mut proto = proto;
        let mut protos = Vec::with_capacity(proto.protos.len());
        for inner in std::mem::take(&mut proto.protos) {
            protos.push(self.link(inner, Some((source, &proto.source)))?);
        }
        Gc::<ProtoCell>::new(&mut self.heap, &proto, source, &consts, &protos)
    }
}

/// The prototype as it was before it was linked; `outer` is the function around it. (The nesting of functions is bounded by the parser and the
/// verifier.)
fn unlink(proto: Gc<ProtoCell>, outer: Option<(Gc<Str>, &Rc<[u8]>)>) -> Proto {
    let constant = |value: &Value| match value.tag() {
        Tag::FALSE | Tag::TRUE => Const::Bool(value.is_truthy()),
        Tag::INT => Const::Int(value.raw_int()),
        Tag::FLOAT => Const::Float(value.raw_float()),
        _ => value.as_str().map_or(Const::Nil, |text| Const::Str(text.bytes().into())),
    };
    let source = match outer {
        Some((cell, source)) if cell == proto.source => source.clone(),
        _ => proto.source.bytes().into(),
    };
    let upval = |(index, upval): (usize, &Upvalue)| UpvalDesc {
        name: proto.upval_name(index).map(Box::from),
        from_register: upval.from_register,
        index: upval.index,
    };
    let local = |local: &Local| LocalVar {
        name: proto.local_name(local).into(),
        register: local.register,
        boxed: local.boxed,
        start_pc: local.start_pc,
        end_pc: local.end_pc,
    };
    Proto {
        code: proto.words().iter().map(Cell::get).collect(),
        consts: proto.consts().iter().map(constant).collect(),
        protos: proto.protos().iter().map(|&inner| unlink(inner, Some((proto.source, &source)))).collect(),
        upvals: proto.upvals().iter().enumerate().map(upval).collect(),
        num_params: proto.num_params,
        is_vararg: proto.is_vararg,
        max_stack: proto.max_stack,
        line_defined: proto.line_defined,
        last_line_defined: proto.last_line_defined,
        lines: proto.lines().to_vec(),
        locals: proto.locals().iter().map(local).collect(),
        source,
    }
}
