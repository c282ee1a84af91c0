//! Binary chunks: a compiled function as bytes (`string.dump`), and back (`load`).
//!
//! ```text
//! chunk    = header function
//! function = source numbers code constants functions upvalues lines locals
//! ```
//! Numbers are written in groups of seven bits, lowest first; texts and lists after their length; words of code as they are.
//!
//! * **C1** What is read takes no more memory than in proportion to the bytes it is read from, nesting is bounded, and all of it stays within the
//!   caller's [`Budget`]: what the host refuses, or the heap's limit does not allow, is an error like another.
//! * **C2** What is read is verified before it is returned: it can be linked and run as if it had just been compiled.
//! * **C3** Slot hints are no part of a chunk.
//!
//! Imports nothing but `bytecode`.

use super::budget::{Budget, Refusal};
use super::layout::Aux;
use super::op::Op;
use super::proto::{Const, LocalVar, Proto, Source, UpvalDesc};
use super::verify::verify_within;
use crate::discard::discard;
use std::convert::Infallible;
use std::sync::Arc;

/// How every binary chunk begins. The first part is the header of Lua 5.4, which programs look at: the mark of binary chunks, the version, bytes that
/// suffer when the chunk is treated as text, the sizes of an instruction, an integer and a float, and one of each of these. The second part is the name
/// and the version of this format, which is neap's own. The reference implementation refuses it: it reads a length there, and seven bits of each of these
/// bytes make a number that is too long.
pub const HEADER: &[u8] = b"\x1bLua\x54\x00\x19\x93\r\n\x1a\n\x04\x08\x08\
    \x78\x56\x00\x00\x00\x00\x00\x00\
    \x00\x00\x00\x00\x00\x28\x77\x40\
    Neap bytecode 3";

/// The length of the mark of binary chunks.
const MARK: usize = 4;

/// How deep functions may be nested.
const MAX_DEPTH: usize = 250;

/// The bytes of a function that has nothing: a flag, two lines, three numbers of one byte, the lengths of six lists.
const FUNCTION_BYTES: usize = 12;

mod tag {
    pub const NIL: u8 = 0;
    pub const FALSE: u8 = 1;
    pub const TRUE: u8 = 2;
    pub const INT: u8 = 3;
    pub const FLOAT: u8 = 4;
    pub const STR: u8 = 5;
}

/// A constant of a function that is written.
pub enum Constant<'f> {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(&'f [u8]),
}

/// A variable of a function that is written.
pub struct Variable<'f> {
    pub name: &'f [u8],
    pub register: u8,
    pub boxed: bool,
    pub start_pc: u32,
    pub end_pc: u32,
}

/// A function that can be written, wherever its parts stand.
pub trait Function<'f>: Copy {
    fn source(self) -> &'f [u8];
    /// Whether both have their source in the same place, or an equal one.
    fn has_source_of(self, other: Self) -> bool;
    /// The lines where it begins and ends.
    fn extent(self) -> [u32; 2];
    /// Parameters, whether there may be more of them, registers.
    fn frame(self) -> (u8, bool, u8);
    fn code(self) -> impl ExactSizeIterator<Item = u32>;
    fn constants(self) -> impl ExactSizeIterator<Item = Constant<'f>>;
    fn functions(self) -> impl ExactSizeIterator<Item = Self>;
    /// Whether each stands in a register of the function around, its place, its name.
    fn upvalues(self) -> impl ExactSizeIterator<Item = (bool, u8, Option<&'f [u8]>)>;
    fn lines(self) -> &'f [u32];
    fn variables(self) -> impl ExactSizeIterator<Item = Variable<'f>>;
}

/// Hands over the bytes of a function, piece by piece. `strip`: without what only messages and the debug library need.
pub fn dump<'f, E>(function: impl Function<'f>, strip: bool, put: &mut dyn FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
    put(HEADER)?;
    Writer { put, strip }.function(function, None)
}

/// The whole chunk of a function, for hosts that have the memory.
pub fn dumped<'f>(function: impl Function<'f>, strip: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    let Ok(()) = dump(function, strip, &mut |piece| {
        bytes.extend_from_slice(piece);
        Ok::<(), Infallible>(())
    });
    bytes
}

/// The function in a binary chunk.
pub fn undump(chunk: &[u8], budget: &mut Budget) -> Result<Proto, Refusal> {
    let Some(rest) = chunk.strip_prefix(HEADER) else {
        // What is too short to tell its kind counts as truncated, whatever it is.
        let known = HEADER.len().min(chunk.len());
        return Err(if chunk.len() < MARK || chunk == &HEADER[..known] { "truncated chunk" } else { "not a binary chunk" }.into());
    };
    let proto = Reader { rest, budget }.function(None, 0)?;
    verify_within(&proto, budget)?;
    Ok(proto)
}

/// What is said of a chunk of this name that is not sound.
pub fn complaint(problem: &str, chunk_name: &[u8]) -> Vec<u8> {
    let name = match chunk_name {
        [b'@' | b'=', name @ ..] => name,
        [0x1b, ..] => b"binary string",
        name => name,
    };
    [name, b": bad binary format (", problem.as_bytes(), b")"].concat()
}

/// C3: the next word of a function, without what it has noted while it ran. `expected`: what the word before says of it.
fn without_hint(expected: &mut Aux, word: u32) -> u32 {
    match std::mem::replace(expected, Aux::None) {
        Aux::None => {
            *expected = Op::decode(word).map_or(Aux::None, Op::aux);
            word
        }
        Aux::Field => word & 0xffff,
        _ => word,
    }
}

struct Writer<'o, E> {
    put: &'o mut dyn FnMut(&[u8]) -> Result<(), E>,
    strip: bool,
}

impl<E> Writer<'_, E> {
    fn number(&mut self, mut number: u64) -> Result<(), E> {
        let mut bytes = [0; 10];
        let mut count = 0;
        while number >= 0x80 {
            bytes[count] = number as u8 | 0x80;
            count += 1;
            number >>= 7;
        }
        bytes[count] = number as u8;
        (self.put)(&bytes[..=count])
    }

    fn text(&mut self, text: &[u8]) -> Result<(), E> {
        self.number(text.len() as u64)?;
        (self.put)(text)
    }

    /// A text that may be absent.
    fn optional(&mut self, text: Option<&[u8]>) -> Result<(), E> {
        (self.put)(&[text.is_some().into()])?;
        text.map_or(Ok(()), |text| self.text(text))
    }

    fn function<'f, F: Function<'f>>(&mut self, function: F, outer: Option<F>) -> Result<(), E> {
        // Functions mostly come from the same source as the one around them.
        let same = outer.is_some_and(|outer| function.has_source_of(outer));
        self.optional(if same || self.strip { None } else { Some(function.source()) })?;
        for number in function.extent() {
            self.number(number.into())?;
        }
        let (parameters, is_vararg, registers) = function.frame();
        (self.put)(&[parameters, is_vararg.into(), registers])?;
        let code = function.code();
        self.number(code.len() as u64)?;
        let mut expected = Aux::None;
        for word in code {
            (self.put)(&without_hint(&mut expected, word).to_le_bytes())?;
        }
        let constants = function.constants();
        self.number(constants.len() as u64)?;
        for constant in constants {
            self.constant(constant)?;
        }
        let functions = function.functions();
        self.number(functions.len() as u64)?;
        for inner in functions {
            self.function(inner, Some(function))?;
        }
        let upvalues = function.upvalues();
        self.number(upvalues.len() as u64)?;
        for (from_register, index, name) in upvalues {
            (self.put)(&[from_register.into(), index])?;
            self.optional(name.filter(|_| !self.strip))?;
        }
        let lines = if self.strip { &[] } else { function.lines() };
        self.number(lines.len() as u64)?;
        let mut last = 0;
        for &line in lines {
            // A difference, its sign in the lowest bit.
            let difference = i64::from(line) - i64::from(last);
            self.number((difference << 1 ^ difference >> 63) as u64)?;
            last = line;
        }
        let variables = function.variables();
        let count = if self.strip { 0 } else { variables.len() };
        self.number(count as u64)?;
        for variable in variables.take(count) {
            self.text(variable.name)?;
            (self.put)(&[variable.register, variable.boxed.into()])?;
            self.number(variable.start_pc.into())?;
            self.number(variable.end_pc.into())?;
        }
        Ok(())
    }

    fn constant(&mut self, constant: Constant) -> Result<(), E> {
        match constant {
            Constant::Nil => (self.put)(&[tag::NIL]),
            Constant::Bool(false) => (self.put)(&[tag::FALSE]),
            Constant::Bool(true) => (self.put)(&[tag::TRUE]),
            Constant::Int(value) => {
                (self.put)(&[tag::INT])?;
                (self.put)(&value.to_le_bytes())
            }
            Constant::Float(value) => {
                (self.put)(&[tag::FLOAT])?;
                (self.put)(&value.to_le_bytes())
            }
            Constant::Str(text) => {
                (self.put)(&[tag::STR])?;
                self.text(text)
            }
        }
    }
}

struct Reader<'c, 'w, 'b> {
    rest: &'c [u8],
    budget: &'w mut Budget<'b>,
}

type Read<T> = Result<T, Refusal>;

impl<'c> Reader<'c, '_, '_> {
    fn bytes(&mut self, count: usize) -> Read<&'c [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(count).ok_or("truncated chunk")?;
        self.rest = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or("truncated chunk")?;
        self.rest = rest;
        Ok(*bytes)
    }

    fn byte(&mut self) -> Read<u8> {
        self.array().map(|[byte]| byte)
    }

    fn flag(&mut self) -> Read<bool> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err("a flag is neither 0 nor 1".into()),
        }
    }

    fn number(&mut self) -> Read<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err("a number is too long".into())
    }

    fn small(&mut self) -> Read<u32> {
        u32::try_from(self.number()?).map_err(|_| Refusal::from("a number is too large"))
    }

    /// A list. Every element takes so many bytes at least, which bounds the length (C1).
    fn list<T: Send + 'static>(&mut self, least: usize, mut element: impl FnMut(&mut Self) -> Read<T>) -> Read<Vec<T>> {
        let count = usize::try_from(self.number()?).ok().filter(|&count| count <= self.rest.len() / least);
        let count = count.ok_or("truncated chunk")?;
        let mut list = self.budget.list(count)?;
        for _ in 0..count {
            match self.budget.work(1).and_then(|()| element(self)) {
                Ok(element) => list.push(element),
                Err(refusal) => {
                    discard(count.saturating_mul(size_of::<T>()), list);
                    return Err(refusal);
                }
            }
        }
        Ok(list)
    }

    fn text(&mut self) -> Read<Box<[u8]>> {
        let count = usize::try_from(self.number()?).map_err(|_| "truncated chunk")?;
        let text = self.bytes(count)?;
        self.budget.text(text)
    }

    fn optional(&mut self) -> Read<Option<Box<[u8]>>> {
        if self.flag()? { self.text().map(Some) } else { Ok(None) }
    }

    fn function(&mut self, outer: Option<&Source>, depth: usize) -> Read<Proto> {
        if depth > MAX_DEPTH {
            return Err("functions nested too deep".into());
        }
        let source = match (self.optional()?, outer) {
            (Some(source), _) => Arc::new(source),
            (None, Some(outer)) => outer.clone(),
            (None, None) => Arc::new(b"=?"[..].into()),
        };
        // What is there already is given up as a whole.
        let mut proto = Proto::of(&source);
        (proto.line_defined, proto.last_line_defined) = (self.small()?, self.small()?);
        (proto.num_params, proto.is_vararg, proto.max_stack) = (self.byte()?, self.flag()?, self.byte()?);
        let mut hinted = Aux::None;
        proto.code = self.list(4, |reader| {
            let word = reader.array().map(u32::from_le_bytes)?;
            Ok(without_hint(&mut hinted, word))
        })?;
        proto.consts = self.list(1, Self::constant)?;
        proto.protos = self.list(FUNCTION_BYTES, |reader| reader.function(Some(&source), depth + 1))?;
        proto.upvals = self.list(3, |reader| {
            let (from_register, index) = (reader.flag()?, reader.byte()?);
            Ok(UpvalDesc { from_register, index, name: reader.optional()? })
        })?;
        let mut last = 0i64;
        proto.lines = self.list(1, |reader| {
            let difference = reader.number()?;
            last = last.wrapping_add((difference >> 1) as i64 ^ -((difference & 1) as i64));
            u32::try_from(last).map_err(|_| Refusal::from("a line is out of range"))
        })?;
        proto.locals = self.list(5, |reader| {
            let (name, register, boxed) = (reader.text()?, reader.byte()?, reader.flag()?);
            Ok(LocalVar { name, register, boxed, start_pc: reader.small()?, end_pc: reader.small()? })
        })?;
        Ok(proto)
    }

    fn constant(&mut self) -> Read<Const> {
        Ok(match self.byte()? {
            tag::NIL => Const::Nil,
            tag::FALSE => Const::Bool(false),
            tag::TRUE => Const::Bool(true),
            tag::INT => Const::Int(i64::from_le_bytes(self.array()?)),
            tag::FLOAT => Const::Float(f64::from_le_bytes(self.array()?)),
            tag::STR => Const::Str(self.text()?),
            _ => return Err("a constant of unknown type".into()),
        })
    }
}

impl<'f> Function<'f> for &'f Proto {
    fn source(self) -> &'f [u8] {
        &self.source
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
        self.code.iter().copied()
    }
    fn constants(self) -> impl ExactSizeIterator<Item = Constant<'f>> {
        self.consts.iter().map(|constant| match constant {
            Const::Nil => Constant::Nil,
            Const::Bool(value) => Constant::Bool(*value),
            Const::Int(value) => Constant::Int(*value),
            Const::Float(value) => Constant::Float(*value),
            Const::Str(text) => Constant::Str(text),
        })
    }
    fn functions(self) -> impl ExactSizeIterator<Item = Self> {
        self.protos.iter()
    }
    fn upvalues(self) -> impl ExactSizeIterator<Item = (bool, u8, Option<&'f [u8]>)> {
        self.upvals.iter().map(|upval| (upval.from_register, upval.index, upval.name.as_deref()))
    }
    fn lines(self) -> &'f [u32] {
        &self.lines
    }
    fn variables(self) -> impl ExactSizeIterator<Item = Variable<'f>> {
        self.locals.iter().map(|local| Variable {
            name: &local.name,
            register: local.register,
            boxed: local.boxed,
            start_pc: local.start_pc,
            end_pc: local.end_pc,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytecode::disassemble;

    const PROGRAM: &[u8] = b"
        local t = { x = 1, y = 2.5, z = 'text', [3] = 0x7fffffffffffffff, -0.0 }
        local function f(a, b, ...)
            local n = 0
            for i, v in ipairs({ ... }) do n = n + #tostring(v) end
            for i = 1, 10 do t.x = t.x + i end
            return function() n = n + 1; return a.x .. b, n end
        end
        goto done
        ::done::
        return f, t";

    fn undump(chunk: &[u8]) -> Result<Proto, String> {
        super::undump(chunk, &mut Budget::unlimited()).map_err(|refusal| match refusal {
            Refusal::Unsound(problem) => problem,
            other => format!("{other:?}"),
        })
    }

    fn compiled(source: &[u8]) -> Proto {
        crate::compile::compile(source, b"@program").unwrap_or_else(|_| panic!("it compiles"))
    }

    #[test]
    fn there_and_back() {
        let proto = compiled(PROGRAM);
        let chunk = dumped(&proto, false);
        let back = undump(&chunk).expect("a function");
        assert_eq!(disassemble(&back), disassemble(&proto));
        assert_eq!(back.source, proto.source);
        assert_eq!(back.protos[0].source, proto.source);
        assert_eq!(dumped(&back, false), chunk);
    }

    #[test]
    fn stripped() {
        let proto = compiled(PROGRAM);
        let chunk = dumped(&proto, true);
        let back = undump(&chunk).expect("a function");
        assert_eq!(&back.source[..], b"=?");
        assert!(back.lines.is_empty() && back.locals.is_empty() && back.upvals[0].name.is_none());
        assert_eq!(back.code, proto.code);
        assert!(chunk.len() < dumped(&proto, false).len());
    }

    #[test]
    fn hints_are_no_part_of_it() {
        let proto = compiled(PROGRAM);
        let mut used = proto.clone();
        let field = used.code.iter().position(|&word| Op::decode(word).is_some_and(|op| op.aux() == Aux::Field));
        used.code[field.expect("an access to a field") + 1] |= 0x7_0000;
        assert_eq!(dumped(&used, false), dumped(&proto, false));
    }

    #[test]
    fn every_prefix_and_every_damage_is_survived() {
        let chunk = dumped(&compiled(PROGRAM), false);
        for end in 0..chunk.len() {
            assert!(undump(&chunk[..end]).is_err(), "{end}");
        }
        assert_eq!(undump(&chunk[..5]).err().as_deref(), Some("truncated chunk"));
        // Damage may leave a valid chunk, but never more than a result of some kind.
        for at in 0..chunk.len() {
            for flip in [1, 0x80, 0xff] {
                let mut damaged = chunk.clone();
                damaged[at] ^= flip;
                let _ = undump(&damaged);
            }
        }
    }

    #[test]
    fn nesting_and_lengths_are_bounded() {
        // A function whose only list is of one function, and so on.
        let mut deep = HEADER.to_vec();
        for _ in 0..100_000 {
            deep.extend_from_slice(&[0, 0, 0, 0, 0, 2, 0, 0, 1]);
        }
        deep.extend_from_slice(&[0; 20]);
        assert_eq!(undump(&deep).err().as_deref(), Some("functions nested too deep"));
        let mut long = [HEADER, &[0, 0, 0, 0, 0, 2]].concat();
        long.extend_from_slice(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]);
        assert_eq!(undump(&long).err().as_deref(), Some("truncated chunk"));
    }

    #[test]
    fn memory_and_time_are_bounded() {
        let chunk = dumped(&compiled(PROGRAM), false);
        for room in [0, 100, 1000] {
            let result = super::undump(&chunk, &mut Budget::new(room, &mut || true));
            assert_eq!(result.err(), Some(Refusal::Memory), "{room}");
        }
        assert!(super::undump(&chunk, &mut Budget::new(1 << 20, &mut || true)).is_ok());
        let long = dumped(&compiled("a = a + 1 ".repeat(20_000).as_bytes()), false);
        let mut asked = 0;
        assert!(
            super::undump(
                &long,
                &mut Budget::new(usize::MAX, &mut || {
                    asked += 1;
                    true
                })
            )
            .is_ok()
        );
        assert!(asked > 5, "{asked}");
        for last in 0..asked {
            let mut left = last;
            let mut go_on = || {
                left -= 1;
                left >= 0
            };
            assert_eq!(
                super::undump(&long, &mut Budget::new(usize::MAX, &mut go_on)).err(),
                Some(Refusal::Interrupted),
                "{last}"
            );
        }
    }
}
