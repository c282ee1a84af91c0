//! From source text to a closure.

use super::{Throw, Vm};
use crate::bytecode::{Const, Proto};
use crate::value::{Closure, Gc, ProtoBody, ProtoCell, Str, UpBox, Value};
use neap_gc::OutOfMemory;
use std::cell::Cell;

/// What `load` accepts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mode {
    pub text: bool,
    pub binary: bool,
}

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
            consts: consts.into(),
            protos: protos.into(),
            upvals: proto.upvals.into(),
            lines: proto.lines.into(),
            locals: proto.locals.into(),
            line_defined: proto.line_defined,
            last_line_defined: proto.last_line_defined,
            source: proto.source,
        };
        Gc::<ProtoCell>::new(&mut self.heap, body, proto.max_stack, proto.num_params, proto.is_vararg)
    }
}
