//! Concatenation.

use super::{Event, Flow, Throw, Vm};
use crate::value::{Gc, NumberBuffer, Str, Value, number_text};

impl Vm {
    /// `R[a] = R[a] .. ... .. R[a+n-1]`, for the instruction in progress, which had `total` operands. From the right; as many strings and numbers as
    /// there are make one string at a time.
    #[inline(never)]
    pub(crate) fn concat(&mut self, a: usize, n: usize, total: usize) -> Result<Flow, Throw> {
        let whole = n == total;
        let mut n = n;
        while n > 1 {
            let is_text = |v: Value| v.is_str() || v.is_number();
            let (x, y) = (self.slot(a + n - 2), self.slot(a + n - 1));
            if !is_text(x) || !is_text(y) {
                let handler = self.binary_handler(Event::Concat, x, y);
                if handler.is_nil() {
                    return Err(self.concat_error(a + n - 2));
                }
                // The rest is taken up when the handler has returned; how much that is stands in the last operand's slot.
                self.set_slot(a + total - 1, Value::int(n as i64));
                return self.call_meta(handler, &[x, y]);
            }
            let mut first = n - 2;
            while first > 0 && is_text(self.slot(a + first - 1)) {
                first -= 1;
            }
            let joined = match self.join(a + first, n - first) {
                Ok(joined) => joined,
                // Taken up again after a handler, the operands are no longer what they were.
                Err(throw) => {
                    self.restartable &= whole;
                    return Err(throw);
                }
            };
            self.set_slot(a + first, Value::str(joined));
            n = first + 1;
        }
        Ok(Flow::Next)
    }

    /// One string of the strings and numbers in `n` slots.
    fn join(&mut self, first: usize, n: usize) -> Result<Gc<Str>, Throw> {
        if n == 2 {
            let (x, y) = (self.slot(first), self.slot(first + 1));
            if let (Some(x), Some(y)) = (x.as_str(), y.as_str()) {
                return self.join_pieces(x.len() + y.len(), [x.bytes(), y.bytes()].into_iter());
            }
        }
        const FEW: usize = 12;
        if n <= FEW {
            let mut buffers = [const { NumberBuffer::new() }; FEW];
            let mut pieces: [&[u8]; FEW] = [&[]; FEW];
            let mut len = 0usize;
            for (i, buffer) in buffers.iter_mut().enumerate().take(n) {
                let v = self.slot(first + i);
                pieces[i] = match v.as_str() {
                    Some(s) => s.bytes(),
                    None => number_text(v, buffer),
                };
                len += pieces[i].len();
            }
            return self.join_pieces(len, pieces.into_iter().take(n));
        }
        self.with_text(|vm, text| {
            for i in 0..n {
                let v = vm.slot(first + i);
                let mut buffer = NumberBuffer::new();
                let piece = v.as_str().map_or_else(|| number_text(v, &mut buffer), |s| s.bytes());
                if text.len() + piece.len() > Str::MAX_LEN {
                    return Err(vm.runtime_error(b"string length overflow"));
                }
                vm.append(text, piece)?;
            }
            vm.join_pieces(text.len(), text.pieces())
        })
    }

    fn join_pieces<'a>(&mut self, len: usize, pieces: impl Iterator<Item = &'a [u8]>) -> Result<Gc<Str>, Throw> {
        if len > Str::MAX_LEN {
            return Err(self.runtime_error(b"string length overflow"));
        }
        self.join_str(len, pieces)?.map_err(|_| self.refused())
    }
}
