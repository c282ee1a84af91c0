//! What goes wrong inside a library function, before it becomes a Lua error.
//!
//! The algorithms of this folder work on bytes and numbers alone; they report in these terms, and the bindings add
//! the position, or the name of the function. Imports nothing.

use std::borrow::Cow;

/// The bytes of a message.
pub type Text = Cow<'static, [u8]>;

/// A failure of a library function.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// An error with this message; the position of the caller goes before it.
    Error(Text),
    /// "bad argument #n to 'f' (message)".
    Argument(usize, Text),
    /// The step hook asked to stop.
    Stopped,
    /// No memory for what it takes.
    Memory,
    /// A Lua error that is on its way already.
    Raised,
}

impl Fault {
    /// An error with a fixed message.
    pub const fn error(message: &'static str) -> Fault {
        Fault::Error(Cow::Borrowed(message.as_bytes()))
    }

    /// An error with a composed message.
    pub fn composed(message: impl Into<Vec<u8>>) -> Fault {
        Fault::Error(Cow::Owned(message.into()))
    }

    /// A bad argument with a fixed message.
    pub const fn argument(index: usize, message: &'static str) -> Fault {
        Fault::Argument(index, Cow::Borrowed(message.as_bytes()))
    }
}

#[cfg(test)]
impl Fault {
    /// The message, for comparisons in tests.
    pub fn message(&self) -> String {
        match self {
            Fault::Error(text) => String::from_utf8_lossy(text).into_owned(),
            Fault::Argument(index, text) => format!("#{index} {}", String::from_utf8_lossy(text)),
            Fault::Stopped => "stopped".into(),
            Fault::Memory => "not enough memory".into(),
            Fault::Raised => "raised".into(),
        }
    }
}
