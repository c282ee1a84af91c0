//! From source text, or a binary chunk, to a closure; and back to a chunk.

use super::{Throw, Vm};
use crate::bytecode::budget::{Budget, Refusal};
use crate::bytecode::{Const, LocalVar, Proto, UpvalDesc, chunk};
use crate::value::{Closure, Gc, ProtoCell, Str, Tag, UpBox, Value};
use neap_gc::OutOfMemory;
use neap_gc::heap::poll;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::Ordering;

/// What the compiler may need for a byte of source.
const COMPILER_BYTES: usize = 160;
/// What a function may need for a byte of its binary chunk or a word of its code, in the host and in the heap.
const CHUNK_BYTES: usize = 64;

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
        let room = self.heap.room_bytes(chunk.len().saturating_mul(CHUNK_BYTES));
        let poll = self.poll.clone();
        let interrupted = || poll.load(Ordering::Relaxed) & poll::INTERRUPT != 0;
        // The other half is for what is made of it in the heap.
        let mut budget = Budget::new(room / 2, &interrupted);
        let proto = match chunk::undump(chunk, &mut budget) {
            Ok(proto) => proto,
            Err(Refusal::Unsound(problem)) => return Err(self.plain_error(&chunk::complaint(&problem, chunk_name))),
            Err(Refusal::Memory) => return Err(self.memory_error()),
            // Who loads may take this for a fault of the chunk; so it is left to the next safepoint to raise it.
            Err(Refusal::Interrupted) => return Err(self.plain_error(b"interrupted!")),
        };
        let globals = Value::table(self.roots.globals);
        self.link_main(proto, globals).map_err(|_| self.memory_error())
    }

    /// The binary chunk of a function. Its upvalues are fresh when it is loaded.
    pub fn dump(&mut self, closure: Gc<Closure>, strip: bool) -> Result<Vec<u8>, Throw> {
        let room = self.heap.room_bytes(closure.proto.words().len().saturating_mul(CHUNK_BYTES));
        let poll = self.poll.clone();
        let interrupted = || poll.load(Ordering::Relaxed) & poll::INTERRUPT != 0;
        let mut budget = Budget::new(room / 2, &interrupted);
        let chunk = unlink(closure.proto, None, &mut budget).and_then(|proto| chunk::dump(&proto, strip, &mut budget));
        chunk.map_err(|refusal| self.refused_by(refusal))
    }

    #[cold]
    fn refused_by(&mut self, refusal: Refusal) -> Throw {
        match refusal {
            Refusal::Unsound(what) => self.plain_error(what.as_bytes()),
            Refusal::Memory => self.memory_error(),
            Refusal::Interrupted => {
                self.poll.fetch_and(!poll::INTERRUPT, Ordering::Relaxed);
                self.runtime_error(b"interrupted!")
            }
        }
    }

    /// The closure of a main function; its first upvalue is `env`, the others are nil.
    fn link_main(&mut self, proto: Proto, env: Value) -> Result<Gc<Closure>, OutOfMemory> {
        let n = proto.upvals.len();
        let proto = self.link(proto, None)?;
        let mut boxes = list(n)?;
        for i in 0..n {
            boxes.push(Gc::<UpBox>::new(&mut self.heap, if i == 0 { env } else { Value::NIL })?);
        }
        Gc::<Closure>::new(&mut self.heap, proto, |i| boxes[i])
    }

    /// Links a prototype into the heap, inner ones first; `outer` is the source of the function around it, which is mostly its own too. (The nesting of
    /// functions is bounded by the parser.) There is no safepoint in between.
    fn link(&mut self, proto: Proto, outer: Option<(Gc<Str>, &Source)>) -> Result<Gc<ProtoCell>, OutOfMemory> {
        // A chunk without a name has its whole text for a name: the same one is told by its address.
        let source = match outer.filter(|(_, source)| Rc::ptr_eq(source, &proto.source) || **source == proto.source) {
            Some((source, _)) => source,
            None => Gc::<Str>::new(&mut self.heap, &proto.source)?,
        };
        let mut consts = list(proto.consts.len())?;
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
        let mut protos = list(proto.protos.len())?;
        for inner in std::mem::take(&mut proto.protos) {
            protos.push(self.link(inner, Some((source, &proto.source)))?);
        }
        Gc::<ProtoCell>::new(&mut self.heap, &proto, source, &consts, &protos)
    }
}

type Source = Rc<Box<[u8]>>;

/// An empty list of the host's, with room for so many.
fn list<T>(count: usize) -> Result<Vec<T>, OutOfMemory> {
    let mut list = Vec::new();
    list.try_reserve_exact(count).map_err(|_| OutOfMemory)?;
    Ok(list)
}

/// The prototype as it was before it was linked; `outer` is the function around it. (The nesting of functions is bounded by the parser and the
/// verifier.)
fn unlink(proto: Gc<ProtoCell>, outer: Option<(Gc<Str>, &Source)>, budget: &mut Budget) -> Result<Proto, Refusal> {
    budget.work(proto.words().len())?;
    let source = match outer {
        Some((cell, source)) if cell == proto.source => source.clone(),
        _ => Rc::new(budget.text(proto.source.bytes())?),
    };
    let mut code = budget.list(proto.words().len())?;
    code.extend(proto.words().iter().map(Cell::get));
    let mut consts = budget.list(proto.consts().len())?;
    for value in proto.consts() {
        consts.push(match value.tag() {
            Tag::FALSE | Tag::TRUE => Const::Bool(value.is_truthy()),
            Tag::INT => Const::Int(value.raw_int()),
            Tag::FLOAT => Const::Float(value.raw_float()),
            _ => match value.as_str() {
                Some(text) => Const::Str(budget.text(text.bytes())?),
                None => Const::Nil,
            },
        });
    }
    let mut protos = budget.list(proto.protos().len())?;
    for &inner in proto.protos() {
        protos.push(unlink(inner, Some((proto.source, &source)), budget)?);
    }
    let mut upvals = budget.list(proto.upvals().len())?;
    for (index, upval) in proto.upvals().iter().enumerate() {
        let name = proto.upval_name(index).map(|name| budget.text(name)).transpose()?;
        upvals.push(UpvalDesc { name, from_register: upval.from_register, index: upval.index });
    }
    let mut locals = budget.list(proto.locals().len())?;
    for local in proto.locals() {
        locals.push(LocalVar {
            name: budget.text(proto.local_name(local))?,
            register: local.register,
            boxed: local.boxed,
            start_pc: local.start_pc,
            end_pc: local.end_pc,
        });
    }
    Ok(Proto {
        code,
        consts,
        protos,
        upvals,
        num_params: proto.num_params,
        is_vararg: proto.is_vararg,
        max_stack: proto.max_stack,
        line_defined: proto.line_defined,
        last_line_defined: proto.last_line_defined,
        lines: budget.copy(proto.lines())?,
        locals,
        source,
    })
}
