//! The formats of `string.pack`, `string.packsize` and `string.unpack` (§6.4.2).
//!
//! A [`Layout`] walks through a format and says, item by item, what stands there, how large it is and how it is
//! aligned; the three functions differ in what they do with the items.
//!
//! * **I1** A size read from a format is at most [`MAX_INT_SIZE`] for integers, and below `i32::MAX` for `c`.
//! * **I2** A format ends at its first zero byte, as in the reference.
//!
//! May import `fault`, and of the heap the size of a pointer.

use super::fault::Fault;

/// The largest integer, in bytes.
pub const MAX_INT_SIZE: usize = 16;
/// The largest result that `packsize` reports.
pub const MAX_SIZE: usize = i32::MAX as usize;
/// The size of a pointer, which names its block beside the address.
const POINTER_SIZE: usize = neap_gc::explicit::Pointer::SIZE;
/// Bytes of a format between two questions whether to go on.
const ASK_BYTES: usize = 1 << 15;
/// The size of a Lua integer.
const SIZE: usize = size_of::<i64>();

/// What an item of a format holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Integer,
    Unsigned,
    Float,
    Double,
    /// `c[n]`
    Chars,
    /// `s[n]`: a string after its length
    Counted,
    /// `z`
    ZeroEnded,
    /// `p`: a pointer, in the memory of the library `mem` alone
    Pointer,
    /// `x`: a byte that holds nothing
    Padding,
    /// Nothing: a setting, a blank, or the alignment of `X`.
    Nothing,
}

/// An item of a format.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Item {
    pub kind: Kind,
    /// The size in bytes; of the length, for `Counted`.
    pub size: usize,
    /// Bytes to skip before it.
    pub alignment: usize,
    pub little: bool,
}

/// A walk through a format.
pub struct Layout<'f> {
    rest: &'f [u8],
    little: bool,
    max_alignment: usize,
    pointers: bool,
    go_on: &'f dyn Fn() -> bool,
}

impl<'f> Layout<'f> {
    /// The hook is asked now and then in a long numeral whether to go on.
    pub fn new(format: &'f [u8], go_on: &'f dyn Fn() -> bool) -> Layout<'f> {
        Layout { rest: format, little: cfg!(target_endian = "little"), max_alignment: 1, pointers: false, go_on }
    }

    /// The same of a format in which `p` is a pointer.
    pub fn with_pointers(format: &'f [u8], go_on: &'f dyn Fn() -> bool) -> Layout<'f> {
        Layout { pointers: true, ..Layout::new(format, go_on) }
    }

    /// The next item, which would begin at `position` of the data.
    pub fn next(&mut self, position: usize) -> Result<Option<Item>, Fault> {
        if self.is_over() {
            return Ok(None);
        }
        let aligns_only = self.rest[0] == b'X';
        let (kind, size) = self.option()?;
        let mut align = size;
        if aligns_only {
            let invalid = Fault::argument(1, "invalid next option for option 'X'");
            if self.is_over() {
                return Err(invalid);
            }
            let (next, next_size) = self.option()?;
            if next == Kind::Chars || next_size == 0 {
                return Err(invalid);
            }
            align = next_size;
        }
        let mut alignment = 0;
        if align > 1 && kind != Kind::Chars {
            let align = align.min(self.max_alignment);
            if !align.is_power_of_two() {
                return Err(Fault::argument(1, "format asks for alignment not power of 2"));
            }
            alignment = position.wrapping_neg() & (align - 1);
        }
        Ok(Some(Item { kind, size, alignment, little: self.little }))
    }

    /// I2.
    fn is_over(&self) -> bool {
        matches!(self.rest, [] | [0, ..])
    }

    /// Takes one option.
    fn option(&mut self) -> Result<(Kind, usize), Fault> {
        let Some((&letter, rest)) = self.rest.split_first() else { return Ok((Kind::Nothing, 0)) };
        self.rest = rest;
        Ok(match letter {
            b'b' => (Kind::Integer, 1),
            b'B' => (Kind::Unsigned, 1),
            b'h' => (Kind::Integer, 2),
            b'H' => (Kind::Unsigned, 2),
            b'i' => (Kind::Integer, self.int_size(4)?),
            b'I' => (Kind::Unsigned, self.int_size(4)?),
            b'l' | b'j' => (Kind::Integer, 8),
            b'L' | b'J' | b'T' => (Kind::Unsigned, 8),
            b'f' => (Kind::Float, 4),
            b'd' | b'n' => (Kind::Double, 8),
            b's' => (Kind::Counted, self.int_size(8)?),
            b'c' => (Kind::Chars, self.number()?.ok_or(Fault::error("missing size for format option 'c'"))?),
            b'z' => (Kind::ZeroEnded, 0),
            b'x' => (Kind::Padding, 1),
            b'p' if self.pointers => (Kind::Pointer, POINTER_SIZE),
            _ => {
                match letter {
                    b' ' | b'X' => {}
                    b'<' => self.little = true,
                    b'>' => self.little = false,
                    b'=' => self.little = cfg!(target_endian = "little"),
                    b'!' => self.max_alignment = self.int_size(8)?,
                    _ => return Err(Fault::composed([b"invalid format option '", &[letter][..], b"'"].concat())),
                }
                (Kind::Nothing, 0)
            }
        })
    }

    /// Takes a numeral. It stops before a digit that would lead beyond I1.
    fn number(&mut self) -> Result<Option<usize>, Fault> {
        let mut number = None;
        while let [digit @ b'0'..=b'9', rest @ ..] = self.rest
            && number.unwrap_or(0) <= (MAX_SIZE - 9) / 10
        {
            // There may be any number of zeros.
            if rest.len().is_multiple_of(ASK_BYTES) && !(self.go_on)() {
                return Err(Fault::Stopped);
            }
            number = Some(number.unwrap_or(0) * 10 + usize::from(digit - b'0'));
            self.rest = rest;
        }
        Ok(number)
    }

    fn int_size(&mut self, default: usize) -> Result<usize, Fault> {
        match self.number()? {
            None => Ok(default),
            Some(size @ 1..=MAX_INT_SIZE) => Ok(size),
            Some(size) => Err(Fault::composed(format!("integral size ({size}) out of limits [1,{MAX_INT_SIZE}]"))),
        }
    }
}

/// The size of what a format of fixed length describes. The hook is asked now and then whether to go on.
pub fn size(format: &[u8], go_on: &dyn Fn() -> bool) -> Result<usize, Fault> {
    let mut layout = Layout::new(format, go_on);
    let mut total = 0;
    let mut unasked = ASK_BYTES;
    while let Some(item) = layout.next(total)? {
        let read = format.len() - layout.rest.len();
        if read >= unasked {
            unasked = read + ASK_BYTES;
            if !go_on() {
                return Err(Fault::Stopped);
            }
        }
        if matches!(item.kind, Kind::Counted | Kind::ZeroEnded) {
            return Err(Fault::argument(1, "variable-length format"));
        }
        total += item.size + item.alignment;
        if total > MAX_SIZE {
            return Err(Fault::argument(1, "format result too large"));
        }
    }
    Ok(total)
}

impl Item {
    /// Writes an integer. `argument` is where it came from.
    pub fn put_integer(&self, out: &mut Vec<u8>, value: i64, argument: usize) -> Result<(), Fault> {
        let signed = self.kind == Kind::Integer;
        if self.size < SIZE {
            let bits = self.size * 8;
            if signed && !(-(1i64 << (bits - 1))..1 << (bits - 1)).contains(&value) {
                return Err(Fault::argument(argument, "integer overflow"));
            }
            if !signed && value as u64 >> bits != 0 {
                return Err(Fault::argument(argument, "unsigned overflow"));
            }
        }
        let wide = if signed { i128::from(value) } else { i128::from(value as u64) };
        self.put(out, &wide.to_le_bytes()[..self.size]);
        Ok(())
    }

    /// Writes a float.
    pub fn put_float(&self, out: &mut Vec<u8>, value: f64) {
        match self.kind {
            Kind::Float => self.put(out, &(value as f32).to_le_bytes()),
            _ => self.put(out, &value.to_le_bytes()),
        }
    }

    /// Writes what stands before a string in one of the three forms; gives the number of zeros behind it. `zero`: for `ZeroEnded`, where the
    /// text has a zero byte.
    pub fn begin_string(&self, out: &mut Vec<u8>, text: &[u8], zero: Option<usize>, argument: usize) -> Result<usize, Fault> {
        match self.kind {
            Kind::Chars => {
                if text.len() > self.size {
                    return Err(Fault::argument(argument, "string longer than given size"));
                }
                Ok(self.size - text.len())
            }
            Kind::Counted => {
                if self.size < SIZE && text.len() >> (self.size * 8) != 0 {
                    return Err(Fault::argument(argument, "string length does not fit in given size"));
                }
                self.put(out, &(text.len() as u128).to_le_bytes()[..self.size]);
                Ok(0)
            }
            _ => {
                if zero.is_some() {
                    return Err(Fault::argument(argument, "string contains zeros"));
                }
                Ok(1)
            }
        }
    }

    /// Bytes in the order of the item; they come with the lowest first.
    fn put(&self, out: &mut Vec<u8>, bytes: &[u8]) {
        let start = out.len();
        out.extend_from_slice(bytes);
        if !self.little {
            out[start..].reverse();
        }
    }

    /// The other way round: the lowest byte first, `fill` beyond the item's size.
    fn get<const N: usize>(&self, data: &[u8], fill: u8) -> [u8; N] {
        let mut bytes = [fill; N];
        let kept = &mut bytes[..self.size];
        kept.copy_from_slice(&data[..self.size]);
        if !self.little {
            kept.reverse();
        }
        bytes
    }

    /// Reads an integer from the first bytes of `data`, which has as many as the item.
    pub fn get_integer(&self, data: &[u8]) -> Result<i64, Fault> {
        let highest = data[if self.little { self.size - 1 } else { 0 }];
        let negative = self.kind == Kind::Integer && highest & 0x80 != 0;
        let wide = i128::from_le_bytes(self.get(data, if negative { 0xff } else { 0 }));
        if self.size > SIZE {
            // What is beyond a Lua integer must be its sign, or zeros.
            let fits = if self.kind == Kind::Integer { i64::try_from(wide).is_ok() } else { wide as u128 >> 64 == 0 };
            if !fits {
                return Err(Fault::composed(format!("{}-byte integer does not fit into Lua Integer", self.size)));
            }
        }
        Ok(wide as i64)
    }

    /// Reads a float.
    pub fn get_float(&self, data: &[u8]) -> f64 {
        match self.kind {
            Kind::Float => f64::from(f32::from_le_bytes(self.get(data, 0))),
            _ => f64::from_le_bytes(self.get(data, 0)),
        }
    }

    /// Reads a string: its bytes, and how many bytes of `data` it takes. `data` has at least as many as the item's size. `zero`: for
    /// `ZeroEnded`, where its first zero byte stands.
    pub fn get_string<'d>(&self, data: &'d [u8], zero: Option<usize>) -> Result<(&'d [u8], usize), Fault> {
        match self.kind {
            Kind::Chars => Ok((&data[..self.size], self.size)),
            Kind::Counted => {
                let length = self.get_integer(data)? as usize;
                match data[self.size..].get(..length) {
                    Some(text) => Ok((text, self.size + length)),
                    None => Err(Fault::argument(2, "data string too short")),
                }
            }
            _ => match zero {
                Some(length) => Ok((&data[..length], length + 1)),
                None => Err(Fault::argument(2, "unfinished string for format 'z'")),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(format: &str) -> Result<Vec<Item>, String> {
        let mut layout = Layout::new(format.as_bytes(), &|| true);
        let (mut items, mut position) = (Vec::new(), 0);
        while let Some(item) = layout.next(position).map_err(|fault| fault.message())? {
            position += item.size + item.alignment;
            items.push(item);
        }
        Ok(items)
    }

    fn total(format: &[u8]) -> Result<usize, Fault> {
        size(format, &|| true)
    }

    fn string<'d>(format: &str, data: &'d [u8]) -> Result<(&'d [u8], usize), Fault> {
        one(format).get_string(data, memchr::memchr(0, data))
    }

    fn one(format: &str) -> Item {
        *items(format).expect("a format").last().expect("an item")
    }

    fn packed(format: &str, value: i64) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        one(format).put_integer(&mut out, value, 2).map_err(|fault| fault.message())?;
        Ok(out)
    }

    #[test]
    fn sizes_and_alignment() {
        assert_eq!(total(b"bhilj"), Ok(1 + 2 + 4 + 8 + 8));
        assert_eq!(total(b"!4 b i8"), Ok(12));
        assert_eq!(total(b"!8 b d"), Ok(16));
        assert_eq!(total(b"!8 b Xd d"), Ok(16));
        assert_eq!(total(b"!2 b Xi4"), Ok(2));
        assert_eq!(total(b"<!4 xxx c10 i"), Ok(3 + 10 + 3 + 4));
        assert_eq!(total(b"c0"), Ok(0));
        assert_eq!(total(b"i\0q"), Ok(4));
        assert_eq!(total(b"c2147483639c8"), Ok(MAX_SIZE));
    }

    #[test]
    fn errors_in_the_words_of_the_reference() {
        let message = |format: &str| total(format.as_bytes()).expect_err("an error").message();
        assert_eq!(message("i17"), "integral size (17) out of limits [1,16]");
        assert_eq!(message("!0"), "integral size (0) out of limits [1,16]");
        assert_eq!(message("c"), "missing size for format option 'c'");
        assert_eq!(message("q"), "invalid format option 'q'");
        assert_eq!(message("c2147483640"), "invalid format option '0'");
        assert_eq!(message("X"), "#1 invalid next option for option 'X'");
        assert_eq!(message("Xz"), "#1 invalid next option for option 'X'");
        assert_eq!(message("Xc1"), "#1 invalid next option for option 'X'");
        assert_eq!(message("XX"), "#1 invalid next option for option 'X'");
        assert_eq!(message("!4 i3"), "#1 format asks for alignment not power of 2");
        assert_eq!(message("s"), "#1 variable-length format");
        assert_eq!(message("c2147483639c9"), "#1 format result too large");
    }

    #[test]
    fn integers() {
        assert_eq!(packed("<i4", -2), Ok(vec![0xfe, 0xff, 0xff, 0xff]));
        assert_eq!(packed(">I3", 0x010203), Ok(vec![1, 2, 3]));
        assert_eq!(packed("<i10", -1), Ok(vec![0xff; 10]));
        assert_eq!(packed(">J", -1), Ok(vec![0xff; 8]));
        assert_eq!(packed("<I9", -1), Ok([&[0xff; 8][..], &[0]].concat()));
        assert_eq!(packed("b", -128), Ok(vec![0x80]));
        assert_eq!(packed("b", 128), Err("#2 integer overflow".into()));
        assert_eq!(packed("B", 256), Err("#2 unsigned overflow".into()));
        assert_eq!(packed("I7", -1), Err("#2 unsigned overflow".into()));
        for format in ["<i5", ">i5", "<i8", ">i16", "<j"] {
            for value in [0, 1, -1, 0x7f_ffff_ffff, -0x80_0000_0000] {
                assert_eq!(one(format).get_integer(&packed(format, value).expect("it fits")), Ok(value), "{format} {value}");
            }
        }
        assert_eq!(one("<I2").get_integer(b"\xff\xff"), Ok(0xffff));
        assert_eq!(one("<I16").get_integer(&[&[0xff; 8][..], &[0; 8]].concat()), Ok(-1));
        for format in ["<i16", "<I9"] {
            assert!(one(format).get_integer(&[&[0xff; 8][..], &[1; 8]].concat()).is_err());
        }
        let overflow = one("<i16").get_integer(&[&[0xff; 8][..], &[0; 8]].concat());
        assert_eq!(overflow.expect_err("an error").message(), "16-byte integer does not fit into Lua Integer");
    }

    #[test]
    fn floats() {
        let mut out = Vec::new();
        one(">d").put_float(&mut out, 1.0);
        one("<f").put_float(&mut out, -0.5);
        assert_eq!(out, b"\x3f\xf0\0\0\0\0\0\0\0\0\0\xbf");
        assert_eq!(one(">n").get_float(&out), 1.0);
        assert_eq!(one("<f").get_float(&out[8..]), -0.5);
    }

    #[test]
    fn strings() {
        let put = |format: &str, text: &[u8]| {
            let mut out = Vec::new();
            let zeros = one(format).begin_string(&mut out, text, memchr::memchr(0, text), 2).map_err(|fault| fault.message())?;
            out.extend_from_slice(text);
            out.resize(out.len() + zeros, 0);
            Ok::<_, String>(out)
        };
        assert_eq!(put("c5", b"abc"), Ok(b"abc\0\0".to_vec()));
        assert_eq!(put("c2", b"abc"), Err("#2 string longer than given size".into()));
        assert_eq!(put(">s2", b"abc"), Ok(b"\0\x03abc".to_vec()));
        assert_eq!(put("s1", &[0; 256]), Err("#2 string length does not fit in given size".into()));
        assert_eq!(put("z", b"abc"), Ok(b"abc\0".to_vec()));
        assert_eq!(put("z", b"a\0b"), Err("#2 string contains zeros".into()));
        assert_eq!(string(">s2", b"\0\x03abcd"), Ok((&b"abc"[..], 5)));
        assert_eq!(string("c2", b"abc"), Ok((&b"ab"[..], 2)));
        assert_eq!(string("z", b"ab\0c"), Ok((&b"ab"[..], 3)));
        assert_eq!(string("s1", b"\x04abc").expect_err("an error").message(), "#2 data string too short");
        assert_eq!(string("s8", &[0xff; 9]).expect_err("an error").message(), "#2 data string too short");
        assert_eq!(string("z", b"abc").expect_err("an error").message(), "#2 unfinished string for format 'z'");
    }
}
