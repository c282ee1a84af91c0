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
use super::proto::{Const, LocalVar, Proto, UpvalDesc};
use super::verify::verify_within;
use std::rc::Rc;

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

/// The bytes of a function. `strip`: without what only messages and the debug library need.
pub fn dump(proto: &Proto, strip: bool, budget: &mut Budget) -> Result<Vec<u8>, Refusal> {
    let mut writer = Writer { out: Vec::new(), strip, budget };
    writer.bytes(HEADER)?;
    writer.function(proto, None)?;
    Ok(writer.out)
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

/// C3.
fn clear_hints(code: &mut [u32]) {
    let mut at = 0;
    while let Some(&word) = code.get(at) {
        let op = Op::decode(word);
        if let (Some(Aux::Field), Some(word)) = (op.map(Op::aux), code.get_mut(at + 1)) {
            *word &= 0xffff;
        }
        at += op.map_or(1, Op::words);
    }
}

struct Writer<'w, 'b> {
    out: Vec<u8>,
    strip: bool,
    budget: &'w mut Budget<'b>,
}

type Written = Result<(), Refusal>;

impl Writer<'_, '_> {
    fn bytes(&mut self, bytes: &[u8]) -> Written {
        self.budget.append(&mut self.out, bytes)
    }

    fn number(&mut self, mut number: u64) -> Written {
        let (mut groups, mut count) = ([0; 10], 0);
        while number >= 0x80 {
            groups[count] = number as u8 | 0x80;
            number >>= 7;
            count += 1;
        }
        groups[count] = number as u8;
        self.bytes(&groups[..=count])
    }

    fn text(&mut self, text: &[u8]) -> Written {
        self.number(text.len() as u64)?;
        self.bytes(text)
    }

    /// A text that may be absent.
    fn optional(&mut self, text: Option<&[u8]>) -> Written {
        self.bytes(&[text.is_some().into()])?;
        text.map_or(Ok(()), |text| self.text(text))
    }

    fn function(&mut self, proto: &Proto, outer: Option<&Proto>) -> Written {
        // Functions mostly come from the same source as the one around them.
        let same = outer.is_some_and(|outer| outer.source == proto.source);
        self.optional(if same || self.strip { None } else { Some(&proto.source) })?;
        for number in [proto.line_defined, proto.last_line_defined] {
            self.number(number.into())?;
        }
        self.bytes(&[proto.num_params, proto.is_vararg.into(), proto.max_stack])?;
        self.number(proto.code.len() as u64)?;
        let mut at = 0;
        while at < proto.code.len() {
            let op = Op::decode(proto.code[at]);
            self.bytes(&proto.code[at].to_le_bytes())?;
            at += 1;
            if op.is_some_and(|op| op.words() > 1)
                && let Some(&aux) = proto.code.get(at)
            {
                // C3.
                let kept = if op.map(Op::aux) == Some(Aux::Field) { aux & 0xffff } else { aux };
                self.bytes(&kept.to_le_bytes())?;
                at += 1;
            }
        }
        self.number(proto.consts.len() as u64)?;
        for constant in &proto.consts {
            self.constant(constant)?;
        }
        self.number(proto.protos.len() as u64)?;
        for inner in &proto.protos {
            self.function(inner, Some(proto))?;
        }
        self.number(proto.upvals.len() as u64)?;
        for upval in &proto.upvals {
            self.bytes(&[upval.from_register.into(), upval.index])?;
            self.optional(upval.name.as_deref().filter(|_| !self.strip))?;
        }
        let (lines, locals): (&[u32], &[LocalVar]) = if self.strip { (&[], &[]) } else { (&proto.lines, &proto.locals) };
        self.number(lines.len() as u64)?;
        let mut last = 0;
        for &line in lines {
            // A difference, its sign in the lowest bit.
            let difference = i64::from(line) - i64::from(last);
            self.number((difference << 1 ^ difference >> 63) as u64)?;
            last = line;
        }
        self.number(locals.len() as u64)?;
        for local in locals {
            self.text(&local.name)?;
            self.bytes(&[local.register, local.boxed.into()])?;
            self.number(local.start_pc.into())?;
            self.number(local.end_pc.into())?;
        }
        Ok(())
    }

    fn constant(&mut self, constant: &Const) -> Written {
        match constant {
            Const::Nil => self.bytes(&[tag::NIL]),
            Const::Bool(false) => self.bytes(&[tag::FALSE]),
            Const::Bool(true) => self.bytes(&[tag::TRUE]),
            Const::Int(value) => {
                self.bytes(&[tag::INT])?;
                self.bytes(&value.to_le_bytes())
            }
            Const::Float(value) => {
                self.bytes(&[tag::FLOAT])?;
                self.bytes(&value.to_le_bytes())
            }
            Const::Str(text) => {
                self.bytes(&[tag::STR])?;
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
        u32::try_from(self.number()?).map_err(|_| "a number is too large".into())
    }

    /// A list. Every element takes so many bytes at least, which bounds the length (C1).
    fn list<T>(&mut self, least: usize, mut element: impl FnMut(&mut Self) -> Read<T>) -> Read<Vec<T>> {
        let count = usize::try_from(self.number()?).ok().filter(|&count| count <= self.rest.len() / least);
        let count = count.ok_or("truncated chunk")?;
        let mut list = self.budget.list(count)?;
        for _ in 0..count {
            self.budget.work(1)?;
            list.push(element(self)?);
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

    fn function(&mut self, outer: Option<&Rc<Box<[u8]>>>, depth: usize) -> Read<Proto> {
        if depth > MAX_DEPTH {
            return Err("functions nested too deep".into());
        }
        let source = match (self.optional()?, outer) {
            (Some(source), _) => Rc::new(source),
            (None, Some(outer)) => outer.clone(),
            (None, None) => Rc::new(b"=?"[..].into()),
        };
        let (line_defined, last_line_defined) = (self.small()?, self.small()?);
        let (num_params, is_vararg, max_stack) = (self.byte()?, self.flag()?, self.byte()?);
        let mut code = self.list(4, |reader| reader.array().map(u32::from_le_bytes))?;
        clear_hints(&mut code);
        let consts = self.list(1, Self::constant)?;
        let protos = self.list(FUNCTION_BYTES, |reader| reader.function(Some(&source), depth + 1))?;
        let upvals = self.list(3, |reader| {
            let (from_register, index) = (reader.flag()?, reader.byte()?);
            Ok(UpvalDesc { from_register, index, name: reader.optional()? })
        })?;
        let mut last = 0i64;
        let lines = self.list(1, |reader| {
            let difference = reader.number()?;
            last = last.wrapping_add((difference >> 1) as i64 ^ -((difference & 1) as i64));
            u32::try_from(last).map_err(|_| "a line is out of range".into())
        })?;
        let locals = self.list(5, |reader| {
            let (name, register, boxed) = (reader.text()?, reader.byte()?, reader.flag()?);
            Ok(LocalVar { name, register, boxed, start_pc: reader.small()?, end_pc: reader.small()? })
        })?;
        Ok(Proto {
            code,
            consts,
            protos,
            upvals,
            num_params,
            is_vararg,
            max_stack,
            line_defined,
            last_line_defined,
            lines,
            locals,
            source,
        })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytecode::disassemble;

    fn dump(proto: &Proto, strip: bool) -> Vec<u8> {
        super::dump(proto, strip, &mut Budget::unlimited()).expect("memory")
    }

    fn undump(chunk: &[u8]) -> Result<Proto, String> {
        super::undump(chunk, &mut Budget::unlimited()).map_err(|refusal| match refusal {
            Refusal::Unsound(what) => what,
            refusal => panic!("{refusal:?}"),
        })
    }

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

    fn compiled(source: &[u8]) -> Proto {
        crate::compile::compile(source, b"@program").unwrap_or_else(|_| panic!("it compiles"))
    }

    #[test]
    fn there_and_back() {
        let proto = compiled(PROGRAM);
        let chunk = dump(&proto, false);
        let back = undump(&chunk).expect("a function");
        assert_eq!(disassemble(&back), disassemble(&proto));
        assert_eq!(back.source, proto.source);
        assert_eq!(back.protos[0].source, proto.source);
        assert_eq!(dump(&back, false), chunk);
    }

    #[test]
    fn stripped() {
        let proto = compiled(PROGRAM);
        let chunk = dump(&proto, true);
        let back = undump(&chunk).expect("a function");
        assert_eq!(&back.source[..], b"=?");
        assert!(back.lines.is_empty() && back.locals.is_empty() && back.upvals[0].name.is_none());
        assert_eq!(back.code, proto.code);
        assert!(chunk.len() < dump(&proto, false).len());
    }

    #[test]
    fn hints_are_no_part_of_it() {
        let proto = compiled(PROGRAM);
        let mut used = proto.clone();
        let field = used.code.iter().position(|&word| Op::decode(word).is_some_and(|op| op.aux() == Aux::Field));
        used.code[field.expect("an access to a field") + 1] |= 0x7_0000;
        assert_eq!(dump(&used, false), dump(&proto, false));
    }

    #[test]
    fn every_prefix_and_every_damage_is_survived() {
        let chunk = dump(&compiled(PROGRAM), false);
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
}
