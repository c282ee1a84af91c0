//! What native functions see: arguments, results, checks with the reference's messages.
//!
//! Until a native function returns there is no safepoint, so values and bytes taken from arguments stay valid (V1); where it waits (`step`) they must be on
//! the stack (arguments are), and are fetched again.

use super::{PIECE, Throw, Vm, limits, shown};
use crate::value::{Gc, Native, NativeFn, NewStr, Owned, Special, Str, Table, Text, Userdata, Value, float_to_int};
use neap_gc::OutOfMemory;
use std::any::Any;

/// Where a native function's arguments are.
#[derive(Clone, Copy, Debug)]
pub struct Args {
    pub(crate) base: u32,
    pub(crate) count: u32,
}

impl Args {
    /// The number of arguments.
    #[inline(always)]
    pub fn count(&self) -> usize {
        self.count as usize
    }
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
    /// The slot of the first one.
    pub fn base(&self) -> usize {
        self.base as usize
    }
    /// The slot behind the last one: the first of those that the function itself has pushed.
    pub fn end(&self) -> usize {
        (self.base + self.count) as usize
    }
}

impl Vm {
    // ---- arguments; `i` counts from 0

    /// The argument, nil if absent.
    #[inline(always)]
    pub fn arg(&self, args: Args, i: usize) -> Value {
        if i < args.count as usize { self.slot(args.base as usize + i) } else { Value::NIL }
    }

    /// Overwrites an argument (which keeps the value alive across a call back). It must exist.
    pub fn set_arg(&mut self, args: Args, i: usize, v: Value) {
        assert!(i < args.count as usize);
        self.set_slot(args.base as usize + i, v);
    }

    pub fn check_any(&mut self, args: Args, i: usize) -> Result<Value, Throw> {
        if i < args.count as usize { Ok(self.arg(args, i)) } else { Err(self.arg_error(i, "value expected")) }
    }

    #[inline]
    pub fn check_table(&mut self, args: Args, i: usize) -> Result<Gc<Table>, Throw> {
        match self.arg(args, i).as_table() {
            Some(t) => Ok(t),
            None => Err(self.arg_type_error(args, i, "table")),
        }
    }

    #[inline]
    pub fn check_int(&mut self, args: Args, i: usize) -> Result<i64, Throw> {
        match self.arg(args, i).as_int() {
            Some(n) => Ok(n),
            None => self.check_int_slow(args, i),
        }
    }

    #[cold]
    fn check_int_slow(&mut self, args: Args, i: usize) -> Result<i64, Throw> {
        let v = self.arg(args, i);
        match self.number_of(v)? {
            Some(n) => match n.as_int().or_else(|| float_to_int(n.raw_float())) {
                Some(n) => Ok(n),
                None => Err(self.arg_error(i, "number has no integer representation")),
            },
            None => Err(self.arg_type_error(args, i, "number")),
        }
    }

    pub fn opt_int(&mut self, args: Args, i: usize, default: i64) -> Result<i64, Throw> {
        if self.arg(args, i).is_nil() { Ok(default) } else { self.check_int(args, i) }
    }

    /// The argument as a float.
    #[inline]
    pub fn check_num(&mut self, args: Args, i: usize) -> Result<f64, Throw> {
        let n = self.check_number(args, i)?;
        Ok(n.number().unwrap_or(0.0))
    }

    /// The argument as a number, integer or float.
    #[inline]
    pub fn check_number(&mut self, args: Args, i: usize) -> Result<Value, Throw> {
        let v = self.arg(args, i);
        if v.is_number() {
            return Ok(v);
        }
        match self.number_of(v)? {
            Some(n) => Ok(n),
            None => Err(self.arg_type_error(args, i, "number")),
        }
    }

    /// The argument as a string; a number is converted in its slot.
    #[inline]
    pub fn check_str(&mut self, args: Args, i: usize) -> Result<Gc<Str>, Throw> {
        let v = self.arg(args, i);
        if let Some(s) = v.as_str() {
            return Ok(s);
        }
        match self.coerce_to_str(v)? {
            Some(s) => {
                self.set_arg(args, i, Value::str(s));
                Ok(s)
            }
            None => Err(self.arg_type_error(args, i, "string")),
        }
    }

    /// The index of the argument among the options.
    pub fn check_option(&mut self, args: Args, i: usize, default: Option<&str>, options: &[&str]) -> Result<usize, Throw> {
        let name = match (self.arg(args, i).is_nil(), default) {
            (true, Some(d)) => d.as_bytes(),
            _ => self.check_str(args, i)?.bytes(),
        };
        match options.iter().position(|o| o.as_bytes() == name) {
            Some(n) => Ok(n),
            None => {
                let mut message = b"invalid option '".to_vec();
                message.extend_from_slice(shown(name));
                message.push(b'\'');
                Err(self.arg_error(i, message))
            }
        }
    }

    /// A function argument.
    pub fn check_function(&mut self, args: Args, i: usize) -> Result<Value, Throw> {
        let v = self.arg(args, i);
        if v.is_function() { Ok(v) } else { Err(self.arg_type_error(args, i, "function")) }
    }

    // ---- results

    /// Pushes a result. A native function returns the number of results it has pushed last.
    #[inline(always)]
    pub fn push(&mut self, v: Value) -> Result<(), Throw> {
        self.check_stack(self.top + 1)?;
        self.set_slot(self.top, v);
        self.top += 1;
        Ok(())
    }

    /// Pushes one result and gives its count.
    #[inline(always)]
    pub fn ret1(&mut self, v: Value) -> Result<u32, Throw> {
        self.push(v)?;
        Ok(1)
    }

    pub fn ret_str(&mut self, bytes: &[u8]) -> Result<u32, Throw> {
        let s = self.new_str(bytes)?;
        self.ret1(s)
    }

    /// Makes room for `n` more pushes; the error is the stack's limit.
    pub fn reserve(&mut self, n: usize) -> Result<(), Throw> {
        match self.top.checked_add(n) {
            Some(need) if need < limits::STACK_SLOTS => self.check_stack(need + 1),
            _ => Err(self.error("stack overflow")),
        }
    }

    /// The end of the values pushed so far; `pop_to` goes back to it.
    pub fn mark(&self) -> usize {
        self.top
    }
    pub fn pop_to(&mut self, mark: usize) {
        debug_assert!(mark <= self.top);
        self.top = mark;
    }
    /// The value at a place of the stack below the top, as `mark` counts.
    pub fn at(&self, place: usize) -> Value {
        assert!(place < self.top);
        self.slot(place)
    }
    pub fn set_at(&mut self, place: usize, v: Value) {
        assert!(place < self.top);
        self.set_slot(place, v);
    }

    // ---- making values

    #[inline]
    pub fn new_str(&mut self, bytes: &[u8]) -> Result<Value, Throw> {
        if bytes.len() > Str::MAX_LEN {
            return Err(self.error("resulting string too large"));
        }
        let string = if bytes.len() <= PIECE {
            Gc::<Str>::new(&mut self.heap, bytes)
        } else {
            self.join_long(bytes.len(), &mut [bytes].into_iter())?
        };
        string.map(Value::str).map_err(|_| self.memory_error())
    }

    /// A new string of `len` bytes: the pieces one after the other, however long they are (W2).
    #[inline]
    pub fn join_str<'a>(
        &mut self,
        len: usize,
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Result<Gc<Str>, OutOfMemory>, Throw> {
        if len <= PIECE { Ok(Gc::<Str>::join(&mut self.heap, len, pieces)) } else { self.join_long(len, &mut pieces.into_iter()) }
    }

    #[cold]
    fn join_long(&mut self, len: usize, pieces: &mut dyn Iterator<Item = &[u8]>) -> Result<Result<Gc<Str>, OutOfMemory>, Throw> {
        let Ok(mut string) = NewStr::begin(&mut self.heap, len) else { return Ok(Err(OutOfMemory)) };
        for bytes in pieces {
            for piece in bytes.chunks(PIECE) {
                self.bulk(piece.len())?;
                string.put(piece);
            }
            if string.room() == 0 {
                break;
            }
        }
        while string.room() > 0 {
            self.bulk(PIECE)?;
            string.put_zeros(PIECE);
        }
        Ok(Ok(string.end()))
    }

    /// Lends a text to write, and takes it back however the work ends.
    #[inline]
    pub fn with_text<T>(&mut self, work: impl FnOnce(&mut Vm, &mut Text) -> Result<T, Throw>) -> Result<T, Throw> {
        let mut text = Text::new(std::mem::take(&mut self.lib.buffer));
        let result = work(self, &mut text);
        self.lib.buffer = text.free(&mut self.heap);
        result
    }

    /// Appends to a text, however many bytes (W2).
    #[inline]
    pub fn append(&mut self, text: &mut Text, bytes: &[u8]) -> Result<(), Throw> {
        if text.append_near(bytes) { Ok(()) } else { self.append_far(text, bytes) }
    }

    #[inline(never)]
    fn append_far(&mut self, text: &mut Text, bytes: &[u8]) -> Result<(), Throw> {
        let len = text.len() + bytes.len();
        if len > Str::MAX_LEN {
            return Err(self.text_error(len));
        }
        for piece in bytes.chunks(PIECE) {
            self.bulk(piece.len() + Text::NEAR)?;
            text.append(&mut self.heap, piece).map_err(|_| self.text_error(len))?;
        }
        Ok(())
    }

    /// To be called when bytes were written to `text.near`.
    #[inline]
    pub fn settle(&mut self, text: &mut Text) -> Result<(), Throw> {
        text.settle(&mut self.heap).map_err(|_| self.text_error(text.len()))
    }

    pub fn append_zeros(&mut self, text: &mut Text, count: usize) -> Result<(), Throw> {
        let mut left = count;
        loop {
            let zeros = left.min(PIECE);
            self.bulk(zeros)?;
            text.append_zeros(&mut self.heap, zeros).map_err(|_| self.text_error(text.len() + left))?;
            left -= zeros;
            if left == 0 {
                return Ok(());
            }
        }
    }

    /// Why a text can't have so many bytes.
    #[cold]
    fn text_error(&mut self, len: usize) -> Throw {
        if len > Str::MAX_LEN { self.error("resulting string too large") } else { self.memory_error() }
    }

    /// The string that a text has become.
    pub fn text_value(&mut self, text: &Text) -> Result<Value, Throw> {
        let string = self.join_str(text.len(), text.pieces())?;
        string.map(Value::str).map_err(|_| self.text_error(text.len()))
    }

    /// All bytes of a text in one piece.
    pub fn whole<'t>(&mut self, text: &'t mut Text) -> Result<&'t [u8], Throw> {
        text.begin_whole(&mut self.heap).map_err(|_| self.memory_error())?;
        while let Some(bytes) = text.gather(&mut self.heap) {
            self.bulk(bytes)?;
        }
        Ok(text.whole())
    }

    /// Makes a string and pushes it.
    pub fn ret_text(&mut self, work: impl FnOnce(&mut Vm, &mut Text) -> Result<(), Throw>) -> Result<u32, Throw> {
        let string = self.with_text(|vm, text| {
            work(vm, text)?;
            vm.text_value(text)
        })?;
        self.ret1(string)
    }

    /// An interned string, for use as a key.
    pub fn intern(&mut self, bytes: &[u8]) -> Result<Gc<Str>, Throw> {
        Gc::<Str>::intern(&mut self.heap, bytes).map_err(|_| self.memory_error())
    }

    pub fn new_table(&mut self, array: usize, hash: usize) -> Result<Gc<Table>, Throw> {
        Gc::<Table>::new(&mut self.heap, array, hash).map_err(|_| self.memory_error())
    }

    pub fn new_native(&mut self, name: &'static str, function: NativeFn, upvals: &[Value]) -> Result<Value, Throw> {
        self.new_special(name, function, Special::None, upvals)
    }

    pub(crate) fn new_special(
        &mut self,
        name: &'static str,
        function: NativeFn,
        special: Special,
        upvals: &[Value],
    ) -> Result<Value, Throw> {
        match Gc::<Native>::new(&mut self.heap, name, function, special, upvals) {
            Ok(f) => Ok(Value::native(f)),
            Err(_) => Err(self.memory_error()),
        }
    }

    pub fn new_userdata<T: Any>(&mut self, data: T, meta: Option<Gc<Table>>) -> Result<Value, Throw> {
        let v = self.new_state(data, |_, _| {})?;
        self.set_metatable(v, meta)?;
        Ok(v)
    }

    /// A userdata for a native function that waits: what it must know later. `owned` tells which explicit blocks are freed with it.
    pub fn new_state<T: Any>(&mut self, data: T, owned: Owned) -> Result<Value, Throw> {
        match Gc::<Userdata>::new(&mut self.heap, data, owned) {
            Ok(u) => Ok(Value::userdata(u)),
            Err(_) => Err(self.memory_error()),
        }
    }

    /// A number that the running native function finds again after it has waited; 0 at first.
    pub fn place(&self) -> usize {
        self.frame().place()
    }
    pub fn set_place(&mut self, place: usize) {
        self.frame().set_place(place);
    }

    /// Sets a field by name, without metamethods.
    pub fn set_field(&mut self, t: Gc<Table>, name: &str, v: Value) -> Result<(), Throw> {
        let key = self.intern(name.as_bytes())?;
        t.set_str(&mut self.heap, key, v).map_err(|e| self.set_error(e))
    }

    /// Reads a field by name, without metamethods.
    pub fn get_field(&mut self, t: Gc<Table>, name: &str) -> Result<Value, Throw> {
        let key = self.intern(name.as_bytes())?;
        Ok(t.get_str(&mut self.heap, key))
    }

    /// The running native function (its upvalues).
    pub fn running_native(&self) -> Gc<Native> {
        self.slot(self.frame().func as usize).as_native().expect("a native function runs")
    }

    /// Fills a table with native functions.
    pub fn register(&mut self, t: Gc<Table>, functions: &[(&'static str, NativeFn)]) -> Result<(), Throw> {
        for &(name, f) in functions {
            let f = self.new_native(name, f, &[])?;
            self.set_field(t, name, f)?;
        }
        Ok(())
    }

    /// Says of functions in a table that they have no effect before they have all their memory, unless they call back ([`Special::Restartable`]).
    pub(crate) fn mark_restartable(&mut self, t: Gc<Table>, names: impl IntoIterator<Item = &'static str>) -> Result<(), Throw> {
        for name in names {
            let function = self.get_field(t, name)?.as_native().expect("a function of the library");
            debug_assert!(function.special == Special::None);
            function.set_special(Special::Restartable);
        }
        Ok(())
    }

    /// Keeps a value alive for the life of the interpreter.
    pub fn pin(&mut self, v: Value) {
        self.roots.pinned.push(v);
    }

    // ---- errors about arguments

    /// `bad argument #i to 'f' (message)`; `i` counts from 0.
    #[cold]
    pub fn arg_error(&mut self, i: usize, message: impl AsRef<[u8]>) -> Throw {
        let mut number = i + 1;
        let (name, is_method) = self.called_name();
        let mut text = Vec::new();
        if is_method {
            number -= 1;
            if number == 0 {
                text.extend_from_slice(b"calling '");
                text.extend_from_slice(&name);
                text.extend_from_slice(b"' on bad self (");
                text.extend_from_slice(message.as_ref());
                text.push(b')');
                return self.error(text);
            }
        }
        text.extend_from_slice(format!("bad argument #{number} to '").as_bytes());
        text.extend_from_slice(&name);
        text.extend_from_slice(b"' (");
        text.extend_from_slice(message.as_ref());
        text.push(b')');
        self.error(text)
    }

    /// `f expected, got g` for an argument.
    #[cold]
    pub fn arg_type_error(&mut self, args: Args, i: usize, expected: &str) -> Throw {
        let v = self.arg(args, i);
        self.type_error_for(i, expected, v, i >= args.count as usize)
    }

    pub(crate) fn type_error_for(&mut self, i: usize, expected: &str, got: Value, absent: bool) -> Throw {
        let got = if absent { b"no value".to_vec() } else { self.type_name_of(got) };
        let mut message = expected.as_bytes().to_vec();
        message.extend_from_slice(b" expected, got ");
        message.extend_from_slice(&got);
        self.arg_error(i, message)
    }
}
