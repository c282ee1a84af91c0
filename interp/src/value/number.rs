//! Numbers as text.

use super::{Tag, Value};
use crate::syntax::Number;

/// Room for the text of a number.
pub struct NumberBuffer {
    bytes: [u8; 40],
}

impl NumberBuffer {
    pub const fn new() -> NumberBuffer {
        NumberBuffer { bytes: [0; 40] }
    }
}

impl Default for NumberBuffer {
    fn default() -> Self {
        Self::new()
    }
}

/// The text of a number as `tostring` gives it.
pub fn number_text(v: Value, buffer: &mut NumberBuffer) -> &[u8] {
    if v.tag() == Tag::INT {
        let n = v.raw_int();
        let mut rest = n.unsigned_abs();
        let mut at = buffer.bytes.len();
        loop {
            at -= 1;
            buffer.bytes[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        if n < 0 {
            at -= 1;
            buffer.bytes[at] = b'-';
        }
        return &buffer.bytes[at..];
    }
    let mut text = Vec::with_capacity(32);
    crate::stdlib::format::push_float(&mut text, v.raw_float());
    let n = text.len().min(buffer.bytes.len());
    buffer.bytes[..n].copy_from_slice(&text[..n]);
    &buffer.bytes[..n]
}

impl Value {
    /// The number that a value is, without coercion from strings.
    #[inline]
    pub fn as_number(self) -> Option<Number> {
        match self.tag() {
            Tag::INT => Some(Number::Int(self.raw_int())),
            Tag::FLOAT => Some(Number::Float(self.raw_float())),
            _ => None,
        }
    }
}

impl From<Number> for Value {
    fn from(n: Number) -> Value {
        match n {
            Number::Int(i) => Value::int(i),
            Number::Float(f) => Value::float(f),
        }
    }
}
