//! Tracebacks: the stack of a thread as text.

use super::{Activation, Vm};
use crate::value::{Gc, Thread};

/// Of a deep stack, so many levels are shown at its top and at its bottom.
const FIRST_LEVELS: usize = 10;
const LAST_LEVELS: usize = 11;

impl Vm {
    /// The active functions of a thread, from a level on: so few of them, and so little of their names, that it is no long text.
    pub fn traceback(&mut self, thread: Gc<Thread>, level: usize) -> Vec<u8> {
        let mut text = b"stack traceback:".to_vec();
        let count = self.activations(thread);
        let shown = count.saturating_sub(level);
        let skipped = if shown > FIRST_LEVELS + LAST_LEVELS + 1 { shown - FIRST_LEVELS - LAST_LEVELS } else { 0 };
        let mut level = level;
        while let Some(at) = self.activation(thread, level) {
            if skipped > 0 && level + shown == count + FIRST_LEVELS {
                // One less than there are: the reference counts so.
                text.extend_from_slice(format!("\n\t...\t(skipping {} levels)", skipped - 1).as_bytes());
                level += skipped;
                continue;
            }
            self.describe(at, &mut text);
            level += 1;
        }
        text
    }

    /// One line, or two.
    fn describe(&mut self, at: Activation, text: &mut Vec<u8>) {
        let f = self.function_at(at);
        let info = Vm::function_info(f);
        text.extend_from_slice(b"\n\t");
        text.extend_from_slice(&info.short_source);
        if let Some(line) = self.line_at(at) {
            text.extend_from_slice(format!(":{line}").as_bytes());
        }
        text.extend_from_slice(b": in ");
        if let Some(name) = self.global_name(f) {
            text.extend_from_slice(&[b"function '", &name[..], b"'"].concat());
        } else if let Some(name) = self.name_at(at) {
            text.extend_from_slice(&[name.what.as_bytes(), b" '", &name.name, b"'"].concat());
        } else if info.what == "main" {
            text.extend_from_slice(b"main chunk");
        } else if info.what == "C" {
            text.push(b'?');
        } else {
            text.extend_from_slice(&[b"function <", &info.short_source[..], b":"].concat());
            text.extend_from_slice(format!("{}>", info.line_defined).as_bytes());
        }
        if self.is_tail_call(at) {
            text.extend_from_slice(b"\n\t(...tail calls...)");
        }
    }
}
