//! Fields by interned key: `t.name`, globals, methods. The loop looks into the one slot that the instruction's hint names; here is what it
//! does where that misses.
//!
//! * **H1** A hint is only a guess: it is masked to the nodes of the table at hand, and the key found there decides. Tables of one make have
//!   their fields in the same slots, so that one hint serves them all.

use super::{Event, Flow, Throw, Vm, limits};
use crate::value::{Gc, Table, Value};
use std::cell::Cell;

/// The node of a table that the aux word of a field access (B4) names.
#[inline(always)]
pub(super) fn hinted_node(aux: u32, t: Gc<Table>) -> usize {
    ((aux >> 16) & t.mask()) as usize
}

/// Makes a node the hint of an instruction.
fn set_hint(word: &Cell<u32>, node: usize) {
    word.set((word.get() & 0xFFFF) | (node as u32) << 16);
}

impl Vm {
    /// A field by interned key, where the hint misses. Tables on the way are asked with the hint first; where the key is found it is the
    /// new hint.
    #[inline(never)]
    pub(super) fn op_get_field(&mut self, dest: usize, object: Value, key: Value, word: &Cell<u32>) -> Result<Flow, Throw> {
        let key_str = key.as_str().expect("field names are strings");
        let mut at = object;
        for _ in 0..limits::META_CHAIN {
            let Some(t) = at.as_table() else { break };
            // SAFETY: H1: the node is one of the table's.
            let n = unsafe { &*t.nodes().add(hinted_node(word.get(), t)) };
            if n.is_key(key) {
                self.set_slot(dest, n.value());
                return Ok(Flow::Next);
            }
            if let Some(i) = t.find_str(key_str) {
                set_hint(word, i);
                // SAFETY: an index just found.
                let v = unsafe { (*t.nodes().add(i)).value() };
                self.set_slot(dest, v);
                return Ok(Flow::Next);
            }
            if t.is_weak() || t.is_large() {
                break;
            }
            let handler = match t.meta() {
                None => Value::NIL,
                Some(meta) => self.event_in(meta, Event::Index),
            };
            if handler.is_nil() {
                self.set_slot(dest, Value::NIL);
                return Ok(Flow::Next);
            }
            if handler.is_function() {
                return self.call_meta(handler, &[at, key]);
            }
            at = handler;
        }
        self.op_index(dest, at, key)
    }

    /// The assignment to a field by interned key, where the hint misses.
    #[inline(never)]
    pub(super) fn op_set_field(&mut self, object: Value, key: Value, value: Value, word: &Cell<u32>) -> Result<Flow, Throw> {
        let key_str = key.as_str().expect("field names are strings");
        if let Some(t) = object.as_table() {
            if let Some(i) = t.find_str(key_str) {
                if !value.is_nil() {
                    set_hint(word, i);
                }
                t.set_node(&mut self.heap, i, value);
                return Ok(Flow::Next);
            }
            if t.meta().is_none() {
                return match t.set_str(&mut self.heap, key_str, value) {
                    Ok(()) => Ok(Flow::Next),
                    Err(e) => Err(self.set_error(e)),
                };
            }
        }
        self.op_assign(object, key, value)
    }
}
