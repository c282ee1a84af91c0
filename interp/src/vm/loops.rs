//! What `for` does: preparation and steps of numeric loops, steps of generic ones that need no call.
//!
//! A numeric loop has four slots: index, limit, step, and the variable that the program sees. A generic one has seven or more: function,
//! state, control, closing value, then the variables, in whose place the call is made.
//!
//! * **L1** While an integer loop runs, its second slot holds how many iterations are left, unsigned, so that the index never overflows.
//! * **L2** While a loop over a table by `next` runs, the payload of its closing value, which is nil, holds the position of the traversal.
//!   That is a guess: it counts only where the control's key stands there.

use super::{Throw, Vm};
use crate::value::{Entry, Gc, Native, Special, Value, float_to_int};

/// A step of a numeric loop; `false`: it has come to its end.
///
/// # Safety
/// The four slots are those of a loop that `for_prepare` has prepared.
#[inline(always)]
pub(super) unsafe fn for_step(slots: *mut Value) -> bool {
    // SAFETY: the caller vouches.
    let [index, limit, step, variable] = unsafe { &mut *slots.cast::<[Value; 4]>() };
    if step.is_int() {
        let left = limit.bits();
        if left == 0 {
            return false;
        }
        let next = index.raw_int().wrapping_add(step.raw_int());
        limit.set_bits(left - 1);
        index.set_bits(next as u64);
        *variable = Value::int(next);
    } else {
        let (step, limit) = (step.raw_float(), limit.raw_float());
        let next = index.raw_float() + step;
        if !(if step > 0.0 { next <= limit } else { limit <= next }) {
            return false;
        }
        index.set_bits(next.to_bits());
        *variable = Value::float(next);
    }
    true
}

impl Vm {
    /// Prepares a numeric loop; `true`: it does not run.
    #[inline(always)]
    pub(super) fn for_prepare(&mut self, a: usize) -> Result<bool, Throw> {
        let (init, limit, step) = (self.slot(a), self.slot(a + 1), self.slot(a + 2));
        if let (Some(i), Some(s)) = (init.as_int(), step.as_int()) {
            if s == 0 {
                return Err(self.runtime_error(b"'for' step is zero"));
            }
            let l = match limit.as_int() {
                Some(l) => l,
                None => match self.int_limit(limit, s)? {
                    Some(l) => l,
                    None => return Ok(true),
                },
            };
            if if s > 0 { i > l } else { i < l } {
                return Ok(true);
            }
            let count = if s > 0 {
                (l as u64).wrapping_sub(i as u64) / s as u64
            } else {
                (i as u64).wrapping_sub(l as u64) / ((-(s + 1)) as u64 + 1)
            };
            self.set_slot(a + 1, Value::int(count as i64));
            self.set_slot(a + 3, init);
            return Ok(false);
        }
        let mut float = |v| Ok(self.number_of(v)?.and_then(Value::number));
        let (l, s, i) = (float(limit)?, float(step)?, float(init)?);
        let Some(l) = l else { return Err(self.for_error("limit", limit)) };
        let Some(s) = s else { return Err(self.for_error("step", step)) };
        let Some(i) = i else { return Err(self.for_error("initial value", init)) };
        if s == 0.0 {
            return Err(self.runtime_error(b"'for' step is zero"));
        }
        // A NaN compares with nothing: then the loop runs once.
        if if s > 0.0 { l < i } else { i < l } {
            return Ok(true);
        }
        self.set_slot(a, Value::float(i));
        self.set_slot(a + 1, Value::float(l));
        self.set_slot(a + 2, Value::float(s));
        self.set_slot(a + 3, Value::float(i));
        Ok(false)
    }

    /// The limit of a loop over integers, if that is none itself: clipped towards the loop's direction. `None`: the loop does not run.
    fn int_limit(&mut self, limit: Value, step: i64) -> Result<Option<i64>, Throw> {
        let f = match self.number_of(limit)? {
            None => return Err(self.for_error("limit", limit)),
            Some(l) if l.is_int() => return Ok(Some(l.raw_int())),
            Some(f) => f.raw_float(),
        };
        let clipped = float_to_int(if step < 0 { f.ceil() } else { f.floor() });
        // Beyond the integers; a NaN counts as less than any of them.
        let beyond = || if f > 0.0 { (step > 0).then_some(i64::MAX) } else { (step < 0).then_some(i64::MIN) };
        Ok(clipped.or_else(beyond))
    }

    /// A step of a generic loop over a table by `next` or `ipairs`, without a call. `false`: the call must be made.
    #[inline(always)]
    pub(super) fn iterate(&mut self, native: Gc<Native>, ra: *mut Value, results: usize) -> bool {
        // SAFETY: the seven slots of a generic loop.
        unsafe {
            let Some(t) = (*ra.add(1)).as_table() else { return false };
            let control = *ra.add(2);
            let (key, value) = match native.special {
                Special::Next => {
                    let closing = *ra.add(3);
                    if !closing.is_nil() {
                        return false;
                    }
                    let position = if control.is_nil() {
                        0
                    } else {
                        let p = closing.bits() as usize;
                        if t.is_position(p, control) {
                            p
                        } else {
                            match t.position_after(&mut self.heap, control) {
                                Some(p) => p,
                                None => return false,
                            }
                        }
                    };
                    match t.entry_from(&mut self.heap, position) {
                        Entry::Found(next, key, value) => {
                            (*ra.add(3)).set_bits(next as u64);
                            (key, value)
                        }
                        Entry::End => (Value::NIL, Value::NIL),
                        // Far away: the function looks for it, and can be interrupted.
                        Entry::Further(_) => return false,
                    }
                }
                Special::IpairsStep => {
                    let Some(i) = control.as_int() else { return false };
                    let i = i.wrapping_add(1);
                    let v = t.get_int(&mut self.heap, i);
                    if v.is_nil() && t.meta().is_some() {
                        return false;
                    }
                    (if v.is_nil() { Value::NIL } else { Value::int(i) }, v)
                }
                _ => return false,
            };
            *ra.add(4) = key;
            if results > 1 {
                *ra.add(5) = value;
            }
            for j in 2..results {
                *ra.add(4 + j) = Value::NIL;
            }
            true
        }
    }
}
