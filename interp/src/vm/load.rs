//! From source text to a closure.

use super::{Throw, Vm};
use crate::bytecode::{Const, Proto, chunk};
use crate::value::{Closure, Gc, ProtoBody, ProtoCell, Str, Tag, UpBox, Value};
use neap_gc::OutOfMemory;
use std::cell::Cell;

impl Vm {
    /// Compiles a chunk to a function with the globals as its `_ENV`. `Err`: the message is in flight.
    pub fn load(&mut self, source: &[u8], chunk_name: &[u8]) -> Result<Gc<Closure>, Throw> {
        let proto = match crate::compile::compile(source, chunk_name) {
            Ok(p) => p,
            Err(e) => return Err(self.plain_error(&e.message)),
        };
        let globals = Value::table(self.roots.globals);
        self.link_main(proto, globals).map_err(|_| self.memory_error())
    }

    /// Takes up the function of a binary chunk, with the globals as its first upvalue. `Err`: the message is in flight.
    pub fn load_binary(&mut self, chunk: &[u8], chunk_name: &[u8]) -> Result<Gc<Closure>, Throw> {
        let proto = match chunk::undump(chunk) {
            Ok(p) => p,
            Err(problem) => {
                let name = match chunk_name {
                    [b'@' | b'=', name @ ..] => name,
                    [0x1b, ..] => b"binary string",
                    name => name,
                };
                return Err(self.plain_error(&[name, b": bad binary format (", problem.as_bytes(), b")"].concat()));
            }
        };
        let globals = Value::table(self.roots.globals);
        self.link_main(proto, globals).map_err(|_| self.memory_error())
    }

    /// The binary chunk of a function. Its upvalues are fresh when it is loaded.
    pub fn dump(&self, closure: Gc<Closure>, strip: bool) -> Vec<u8> {
        chunk::dump(&unlink(closure.proto), strip)
    }

    /// The closure of a main function; its first upvalue is `env`, the others are nil.
    fn link_main(&mut self, proto: Proto, env: Value) -> Result<Gc<Closure>, OutOfMemory> {
        let n = proto.upvals.len();
        let proto = self.link(proto)?;
        let mut boxes = Vec::with_capacity(n);
        for i in 0..n {
            boxes.push(Gc::<UpBox>::new(&mut self.heap, if i == 0 { env } else { Value::NIL })?);
        }
        Gc::<Closure>::new(&mut self.heap, proto, |i| boxes[i])
    }

    /// Links a prototype into the heap, inner ones first. (The nesting of functions is bounded by the parser.) There is no safepoint in between.
    fn link(&mut self, proto: Proto) -> Result<Gc<ProtoCell>, OutOfMemory> {
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
        let mut protos = Vec::with_capacity(proto.protos.len());
        for p in proto.protos {
            protos.push(self.link(p)?);
        }
        let body = ProtoBody {
            code: proto.code.into_iter().map(Cell::new).collect(),
            upvals: proto.upvals.into(),
            lines: proto.lines.into(),
            locals: proto.locals.into(),
            line_defined: proto.line_defined,
            last_line_defined: proto.last_line_defined,
            source: proto.source,
        };
        Gc::<ProtoCell>::new(&mut self.heap, body, &consts, &protos, proto.max_stack, proto.num_params, proto.is_vararg)
    }
}

/// The prototype as it was before it was linked. (The nesting of functions is bounded by the parser and the verifier.)
fn unlink(proto: Gc<ProtoCell>) -> Proto {
    let body = proto.body();
    let constant = |value: &Value| match value.tag() {
        Tag::FALSE | Tag::TRUE => Const::Bool(value.is_truthy()),
        Tag::INT => Const::Int(value.raw_int()),
        Tag::FLOAT => Const::Float(value.raw_float()),
        _ => value.as_str().map_or(Const::Nil, |text| Const::Str(text.bytes().into())),
    };
    Proto {
        code: body.code.iter().map(Cell::get).collect(),
        consts: proto.consts().iter().map(constant).collect(),
        protos: proto.protos().iter().map(|&inner| unlink(inner)).collect(),
        upvals: body.upvals.to_vec(),
        num_params: proto.num_params,
        is_vararg: proto.is_vararg,
        max_stack: proto.max_stack,
        line_defined: body.line_defined,
        last_line_defined: body.last_line_defined,
        lines: body.lines.to_vec(),
        locals: body.locals.to_vec(),
        source: body.source.clone(),
    }
}
