//! Errors and warnings.

use super::Vm;
use crate::value::{Gc, Thread, Value};

/// An error is on its way; its value stands in the root set.
#[derive(Debug)]
pub struct Throw(());

/// The state of `warn`.
#[derive(Default)]
pub struct Warnings {
    pub on: bool,
}

/// As much of a text that a program may have made long as a message of ours shows, where it only names something.
pub(crate) fn shown(text: &[u8]) -> &[u8] {
    const MOST: usize = 4096;
    &text[..text.len().min(MOST)]
}

impl Vm {
    /// Raises a value.
    pub fn throw(&mut self, value: Value) -> Throw {
        self.roots.error = value;
        self.handled = false;
        self.restartable = false;
        Throw(())
    }

    /// Takes the value of an error out of flight.
    pub fn take_error(&mut self) -> Value {
        self.handled = false;
        self.restartable = false;
        std::mem::replace(&mut self.roots.error, Value::NIL)
    }

    /// The error in flight goes on.
    pub fn rethrow(&mut self) -> Throw {
        Throw(())
    }

    /// Not enough memory. The message was made in advance.
    #[cold]
    pub fn memory_error(&mut self) -> Throw {
        let message = self.roots.memory_message;
        self.roots.error = message;
        self.out_of_memory = true;
        self.restartable = false;
        // Message handlers are not called for it.
        self.handled = true;
        Throw(())
    }

    /// Not enough memory for the instruction in progress, which has changed nothing so far.
    #[cold]
    pub(super) fn refused(&mut self) -> Throw {
        let throw = self.memory_error();
        self.restartable = true;
        throw
    }

    /// An error with a message, without position.
    #[cold]
    pub fn plain_error(&mut self, message: &[u8]) -> Throw {
        self.joined_error(&[message])
    }

    /// The same, of a message in pieces, any of which may be long.
    #[cold]
    pub fn joined_error(&mut self, pieces: &[&[u8]]) -> Throw {
        let len = pieces.iter().map(|piece| piece.len()).sum();
        match self.join_str(len, pieces.iter().copied()) {
            Ok(Ok(s)) => self.throw(Value::str(s)),
            Ok(Err(_)) => self.memory_error(),
            Err(throw) => throw,
        }
    }

    /// A stack is full. If that comes of handling an error, what was kept in reserve is used up too: no handler is called any more.
    #[cold]
    pub(crate) fn overflow_error(&mut self, message: &[u8]) -> Throw {
        if self.handlers == 0 {
            return self.runtime_error(message);
        }
        let throw = self.plain_error(b"error in error handling");
        self.handled = true;
        throw
    }

    /// An error of the running instruction: with the position, if a Lua function runs.
    #[cold]
    pub fn runtime_error(&mut self, message: &[u8]) -> Throw {
        let position = self.position(0);
        self.joined_error(&[&position, message])
    }

    /// An error raised by a native function: with the position of its caller, if that is a Lua function.
    #[cold]
    pub fn error(&mut self, message: impl AsRef<[u8]>) -> Throw {
        let position = self.position(1);
        self.joined_error(&[&position, message.as_ref()])
    }

    /// `chunk:line: ` of the function at a level (0: the innermost frame), or nothing.
    pub fn position(&self, level: usize) -> Vec<u8> {
        self.position_in(self.thread, level)
    }

    /// The position of who has resumed the running coroutine: its innermost Lua function.
    pub(crate) fn resumer_position(&self) -> Option<Vec<u8>> {
        /// As far as that is looked for.
        const LEVELS: usize = 8;
        let resumer = |thread: &Gc<Thread>| thread.state().resumer;
        let mut threads = std::iter::successors(resumer(&self.thread), resumer).take(LEVELS);
        threads.find_map(|thread| (0..LEVELS).map(|level| self.position_in(thread, level)).find(|text| !text.is_empty()))
    }

    fn position_in(&self, thread: Gc<Thread>, level: usize) -> Vec<u8> {
        let at = self.activation(thread, level);
        let Some((proto, pc)) = at.and_then(|at| self.instruction_at(at)) else { return Vec::new() };
        let mut out = crate::syntax::chunk_id(proto.source.bytes());
        match proto.line_at(pc) {
            // A stripped function: only its own errors have a position, of sorts.
            0 if level > 0 => return Vec::new(),
            0 => out.extend_from_slice(b":-1"),
            line => out.extend_from_slice(format!(":{line}").as_bytes()),
        }
        out.extend_from_slice(b": ");
        out
    }

    /// A warning of the runtime itself.
    pub fn warn(&mut self, pieces: &[&[u8]]) {
        let written = self.write_warning(|_, put| {
            pieces.iter().for_each(|piece| put(piece));
            Ok(())
        });
        debug_assert!(written.is_ok());
    }

    /// Writes a warning, if they are on. What `message` puts is not gathered: it may be long.
    pub fn write_warning(
        &mut self,
        message: impl FnOnce(&mut Vm, &mut dyn FnMut(&[u8])) -> Result<(), Throw>,
    ) -> Result<(), Throw> {
        if !self.warnings.on {
            return Ok(());
        }
        let mut telling = self.telling();
        telling.put(b"Lua warning: ");
        let result = message(self, &mut |piece| telling.put(piece));
        telling.put(b"\n");
        telling.end();
        result
    }
}
