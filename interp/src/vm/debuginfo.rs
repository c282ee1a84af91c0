//! Names for messages: what variable an operand came from, and by what name a function was called.

use super::{Throw, Vm};
use crate::value::{Tag, Value};

impl Vm {
    /// `attempt to <what> a <type> value (<variable>)`
    #[cold]
    pub(crate) fn operand_error(&mut self, what: &str, culprit: Value) -> Throw {
        let mut text = format!("attempt to {what} a ").into_bytes();
        text.extend_from_slice(&self.type_name_of(culprit));
        text.extend_from_slice(b" value");
        text.extend_from_slice(&self.variable_info(culprit));
        self.runtime_error(&text)
    }

    #[cold]
    pub(crate) fn call_error(&mut self, f: Value, _func: usize) -> Throw {
        self.operand_error("call", f)
    }

    #[cold]
    pub(crate) fn index_error(&mut self, object: Value, _key: Value) -> Throw {
        self.operand_error("index", object)
    }

    #[cold]
    pub(crate) fn concat_error(&mut self, x: Value, y: Value) -> Throw {
        let culprit = if x.is_str() || x.is_number() { y } else { x };
        self.operand_error("concatenate", culprit)
    }

    #[cold]
    pub(crate) fn order_error(&mut self, x: Value, y: Value) -> Throw {
        let (a, b) = (self.type_name_of(x), self.type_name_of(y));
        let mut text = b"attempt to compare ".to_vec();
        if a == b {
            text.extend_from_slice(b"two ");
            text.extend_from_slice(&a);
            text.extend_from_slice(b" values");
        } else {
            text.extend_from_slice(&a);
            text.extend_from_slice(b" with ");
            text.extend_from_slice(&b);
        }
        self.runtime_error(&text)
    }

    #[cold]
    pub(crate) fn representation_error(&mut self, _message: &str, culprit: Value) -> Throw {
        let mut text = b"number".to_vec();
        text.extend_from_slice(&self.variable_info(culprit));
        text.extend_from_slice(b" has no integer representation");
        self.runtime_error(&text)
    }

    #[cold]
    pub(crate) fn unclosable_error(&mut self, _slot: usize) -> Throw {
        self.runtime_error(b"variable got a non-closable value")
    }

    /// ` (local 'x')` and the like, or nothing.
    fn variable_info(&self, _culprit: Value) -> Vec<u8> {
        Vec::new()
    }

    /// The name by which the running native function was called, and whether as a method.
    pub(crate) fn called_name(&self) -> (Vec<u8>, bool) {
        let f = self.slot(self.frame().func as usize);
        match f.tag() {
            Tag::NATIVE => (f.as_native().map_or("?", |n| n.name).as_bytes().to_vec(), false),
            _ => (b"?".to_vec(), false),
        }
    }
}
