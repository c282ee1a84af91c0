//! The interpreter loop: one function, one `match` over the instructions. Before it stand the macros that the instructions are made of.
//!
//! What an instruction does where its fast path ends stands elsewhere, by subject: `arith`, `meta`, `fields`, `concat`, `call`, `loops`,
//! `close`. Calls and returns only change the innermost frame, and the loop goes on with it.
//!
//! Rules for whoever changes it:
//! * **X1** `pc`, `base`, `k`, `frame` are caches of the innermost frame. Whatever may call, grow the stack or run a safepoint goes through `slow!` or
//!   is followed by `reload!()`.
//! * **X2** Before anything that may raise or call, `save!()` writes `pc` back while it points one past the first word of the instruction (M2).
//! * **X3** The code is trusted: it comes from the compiler. Register and constant indices are not checked here.

use super::arith::{compare_le, compare_lt};
use super::fields::hinted_node;
use super::loops::for_step;
use super::meta::Access;
use super::stack::copy_values;
use super::{Arith, Event, Flow, Throw, Vm, limits};
use crate::bytecode::{Instr, Op};
use crate::syntax::arith::{float_floor_div, float_mod, float_pow, int_floor_div, int_mod, int_shl, int_shr};
use crate::value::{Closure, Frame, Gc, Table, Tag, UpBox, Value, frame_flags};
use neap_gc::heap::poll;
use std::cell::Cell;
use std::ops::{Add, BitAnd, BitOr, BitXor, Div, Mul, Sub};
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Vm {
    /// Runs the innermost frame, a Lua function's, until what the host has called has returned.
    pub(super) fn execute(&mut self) -> Result<(), Throw> {
        loop {
            let flow = match if self.traced { self.run::<true>() } else { self.run::<false>() } {
                Err(_) if self.restart_instruction() => Flow::Reload,
                Err(throw) => self.recover(throw)?,
                Ok(flow) => flow,
            };
            if flow == Flow::Exit {
                return Ok(());
            }
        }
    }

    /// The loop itself. `TRACED`: with a look at hooks and fuel before each instruction. It is left to switch to the other form, or with `Exit`.
    #[inline(never)]
    fn run<const TRACED: bool>(&mut self) -> Result<Flow, Throw> {
        let poll = Arc::as_ptr(&self.poll);
        let mut frame: *mut Frame;
        let mut pc: *const Cell<u32>;
        let mut base: *mut Value;
        let mut k: *const Value;

        // ---- the caches of the innermost frame

        macro_rules! reload {
            () => {{
                frame = self.frame();
                pc = (*frame).pc;
                base = self.stack.add((*frame).base as usize);
                k = (*(*(*frame).closure).proto.as_ptr()).consts;
            }};
        }
        macro_rules! save {
            () => {
                (*frame).pc = pc
            };
        }
        macro_rules! r {
            ($i:expr) => {
                *base.add($i as usize)
            };
        }
        // The stack slot of a register.
        macro_rules! slot_of {
            ($i:expr) => {
                (*frame).base as usize + $i as usize
            };
        }
        macro_rules! k {
            ($i:expr) => {
                *k.add($i as usize)
            };
        }

        // ---- what leaves the fast path

        // The innermost frame has changed, or must be brought up to date by its steps.
        macro_rules! go_on {
            ($flow:expr) => {{
                let mut flow = $flow;
                if matches!(flow, Flow::Step(_)) {
                    flow = self.drive(flow)?;
                }
                if flow == Flow::Exit {
                    return Ok(flow);
                }
                if self.traced != TRACED {
                    return Ok(Flow::Switch);
                }
                reload!();
            }};
        }
        // A slow path that yields a `Flow`; `$aux` words follow the instruction.
        macro_rules! slow {
            ($flow:expr, $aux:expr) => {{
                save!();
                match $flow? {
                    Flow::Next => pc = pc.add($aux),
                    flow => go_on!(flow),
                }
            }};
        }
        macro_rules! poll {
            ($live:expr) => {
                if (*poll).load(Ordering::Relaxed) != 0 {
                    save!();
                    self.poll($live)?;
                    go_on!(Flow::Reload);
                }
            };
        }
        // The instruction has allocated what stands in register `$a`, above which nothing is in use (B1): a safepoint.
        macro_rules! allocated {
            ($a:expr) => {
                if (*poll).load(Ordering::Relaxed) & poll::COLLECT != 0 {
                    save!();
                    self.poll_collector(slot_of!($a) + 1)?;
                    go_on!(Flow::Reload);
                }
            };
        }
        // Result or memory error. The instruction has changed nothing that doing it again would not.
        macro_rules! mem {
            ($e:expr) => {
                match $e {
                    Ok(v) => v,
                    Err(_) => {
                        save!();
                        return Err(self.refused());
                    }
                }
            };
        }

        // ---- operators

        macro_rules! test {
            ($cond:expr, $i:expr) => {
                if $cond != ($i.c() != 0) {
                    pc = pc.add(1);
                } else {
                    let jump = Instr((*pc).get());
                    pc = pc.offset(jump.get_sj() as isize + 1);
                }
            };
        }
        macro_rules! arith {
            ($i:expr, $x:expr, $y:expr, $int:expr, $float:expr, $op:expr) => {
                arith!($i, $x, $y, $int, $float, $float, $op)
            };
            ($i:expr, $x:expr, $y:expr, $int:expr, $float:expr, $mixed:expr, $op:expr) => {{
                let (x, y) = ($x, $y);
                if x.is_int() && y.is_int() {
                    r!($i.a()) = Value::int($int(x.raw_int(), y.raw_int()));
                } else if x.is_float() && y.is_float() {
                    // Apart from the mixed case, whose conversions would stand in the way.
                    r!($i.a()) = Value::float($float(x.raw_float(), y.raw_float()));
                } else if let (Some(a), Some(b)) = (x.number(), y.number()) {
                    r!($i.a()) = Value::float($mixed(a, b));
                } else {
                    slow!(self.op_arith($op, slot_of!($i.a()), x, y), 0);
                }
            }};
        }
        // Integer division and modulo: the divisor must not be 0.
        macro_rules! divide {
            ($i:expr, $x:expr, $y:expr, $int:expr, $float:expr, $op:expr) => {{
                let (x, y) = ($x, $y);
                if x.is_int() && y.is_int() && y.raw_int() != 0 {
                    r!($i.a()) = Value::int($int(x.raw_int(), y.raw_int()));
                } else if let (Some(a), Some(b)) = (x.as_float(), y.as_float()) {
                    r!($i.a()) = Value::float($float(a, b));
                } else {
                    slow!(self.op_arith($op, slot_of!($i.a()), x, y), 0);
                }
            }};
        }
        macro_rules! float_op {
            ($i:expr, $x:expr, $y:expr, $float:expr, $op:expr) => {{
                let (x, y) = ($x, $y);
                if x.is_float() && y.is_float() {
                    r!($i.a()) = Value::float($float(x.raw_float(), y.raw_float()));
                } else if let (Some(a), Some(b)) = (x.number(), y.number()) {
                    r!($i.a()) = Value::float($float(a, b));
                } else {
                    slow!(self.op_arith($op, slot_of!($i.a()), x, y), 0);
                }
            }};
        }
        macro_rules! bits {
            ($i:expr, $x:expr, $y:expr, $int:expr, $op:expr) => {{
                let (x, y) = ($x, $y);
                if x.is_int() && y.is_int() {
                    r!($i.a()) = Value::int($int(x.raw_int(), y.raw_int()));
                } else {
                    slow!(self.op_arith($op, slot_of!($i.a()), x, y), 0);
                }
            }};
        }
        macro_rules! order {
            ($i:expr, $x:expr, $y:expr, $int:tt, $compare:expr, $event:expr) => {{
                let (x, y) = ($x, $y);
                if x.is_int() && y.is_int() {
                    test!((x.raw_int() $int y.raw_int()), $i);
                } else if x.is_float() && y.is_float() {
                    test!((x.raw_float() $int y.raw_float()), $i);
                } else if let Some(b) = $compare(x, y) {
                    test!(b, $i);
                } else {
                    slow!(self.op_order($event, x, y), 0);
                }
            }};
        }
        // Comparison with a small integer; `$swap`: the constant is the left operand of the event.
        macro_rules! order_int {
            ($i:expr, $int:tt, $event:expr, $swap:expr) => {{
                let (x, n) = (r!($i.a()), $i.sb());
                if x.is_int() {
                    test!((x.raw_int() $int n as i64), $i);
                } else if x.is_float() {
                    test!((x.raw_float() $int n as f64), $i);
                } else {
                    let n = Value::int(n as i64);
                    let (p, q) = if $swap { (n, x) } else { (x, n) };
                    slow!(self.op_order($event, p, q), 0);
                }
            }};
        }

        // ---- tables

        // Reads a field by an interned string key; the aux word has the key and the slot hint.
        macro_rules! get_field {
            ($dest:expr, $object:expr) => {{
                let object: Value = $object;
                let word = &*pc;
                let aux = word.get();
                let key = k!(aux & 0xFFFF);
                if let Some(t) = object.as_table() {
                    let n = &*t.nodes().add(hinted_node(aux, t));
                    if n.is_key(key) {
                        r!($dest) = n.value();
                        pc = pc.add(1);
                        continue;
                    }
                }
                slow!(self.op_get_field(slot_of!($dest), object, key, word), 1);
            }};
        }
        macro_rules! set_field {
            ($object:expr, $value:expr) => {{
                let (object, value): (Value, Value) = ($object, $value);
                let word = &*pc;
                let aux = word.get();
                let key = k!(aux & 0xFFFF);
                if let Some(t) = object.as_table() {
                    let at = hinted_node(aux, t);
                    let n = &mut *t.nodes().add(at);
                    if n.is_key(key) && !value.is_nil() {
                        if value.is_ref() || n.value().is_ref() {
                            self.heap.barrier(t.nodes_cell_unchecked(), at);
                        }
                        n.set_value(value);
                        pc = pc.add(1);
                        continue;
                    }
                }
                slow!(self.op_set_field(object, key, value, word), 1);
            }};
        }
        macro_rules! get_int {
            ($i:expr, $object:expr, $n:expr) => {{
                let (object, n): (Value, i64) = ($object, $n);
                if let Some(t) = object.as_table() {
                    let at = (n as u64).wrapping_sub(1);
                    if at < t.array_len() as u64 {
                        let v = *t.array().add(at as usize);
                        if !v.is_nil() || t.meta().is_none() {
                            r!($i.a()) = v;
                            continue;
                        }
                    }
                }
                slow!(self.op_index(slot_of!($i.a()), object, Value::int(n)), 0);
            }};
        }
        macro_rules! set_int {
            ($object:expr, $n:expr, $value:expr) => {{
                let (object, n, value): (Value, i64, Value) = ($object, $n, $value);
                if let Some(t) = object.as_table() {
                    let at = (n as u64).wrapping_sub(1);
                    if at < t.array_len() as u64 {
                        let slot = t.array().add(at as usize);
                        if t.meta().is_none() || !(*slot).is_nil() {
                            if value.is_ref() || (*slot).is_ref() {
                                self.heap.barrier(t.array_cell_unchecked(), at as usize);
                            }
                            *slot = value;
                            continue;
                        }
                    }
                }
                slow!(self.op_assign(object, Value::int(n), value), 0);
            }};
        }

        // ---- closures

        macro_rules! close_over {
            ($i:expr, $index:expr) => {{
                let parent = closure(frame);
                let proto = *parent.proto.protos().get_unchecked($index as usize);
                let descriptions = proto.upvals();
                let f = mem!(Gc::<Closure>::new(&mut self.heap, proto, |n| {
                    let d = descriptions.get_unchecked(n);
                    if d.from_register {
                        (*base.add(d.index as usize)).as_box().unwrap_unchecked()
                    } else {
                        parent.upval(d.index as usize)
                    }
                }));
                r!($i.a()) = Value::closure(f);
                allocated!($i.a());
            }};
        }

        // SAFETY: (whole loop) X1 and X3: the caches are those of the innermost frame, which is a Lua function's, and trusted code names its
        // registers, constants and upvalues only; registers lie below the stack's limit, which `enter_lua` has checked.
        unsafe {
            reload!();
            loop {
                if TRACED {
                    save!();
                    if !self.trace()? {
                        return Ok(Flow::Switch);
                    }
                    reload!();
                }
                #[cfg(debug_assertions)]
                self.shadow_check(pc);
                let i = Instr((*pc).get());
                pc = pc.add(1);
                match std::mem::transmute::<u8, Op>(i.0 as u8) {
                    // ---- constants and variables
                    Op::Move => r!(i.a()) = r!(i.b()),
                    Op::LoadI => r!(i.a()) = Value::int(i.sbx() as i64),
                    Op::LoadF => r!(i.a()) = Value::float(i.sbx() as f64),
                    Op::LoadK => r!(i.a()) = k!(i.bx()),
                    Op::LoadKX => {
                        r!(i.a()) = k!((*pc).get());
                        pc = pc.add(1);
                    }
                    Op::LoadNil => {
                        for n in 0..=i.b() as usize {
                            r!(i.a() as usize + n) = Value::NIL;
                        }
                    }
                    Op::LoadTrue => r!(i.a()) = Value::TRUE,
                    Op::LoadFalse => r!(i.a()) = Value::FALSE,
                    Op::LFalseSkip => {
                        r!(i.a()) = Value::FALSE;
                        pc = pc.add(1);
                    }
                    Op::GetUpval => r!(i.a()) = closure(frame).upval(i.b() as usize).get(),
                    Op::SetUpval => closure(frame).upval(i.b() as usize).set(&mut self.heap, r!(i.a())),
                    Op::NewBox => {
                        let b = mem!(Gc::<UpBox>::new(&mut self.heap, r!(i.a())));
                        r!(i.a()) = Value::upbox(b);
                    }
                    Op::GetBox => r!(i.a()) = r!(i.b()).unboxed(),
                    Op::SetBox => {
                        if let Some(b) = r!(i.a()).as_box() {
                            b.set(&mut self.heap, r!(i.b()));
                        }
                    }

                    // ---- tables
                    Op::GetTabUp => get_field!(i.a(), closure(frame).upval(i.b() as usize).get()),
                    Op::SetTabUp => set_field!(closure(frame).upval(i.b() as usize).get(), r!(i.a())),
                    Op::GetField => get_field!(i.a(), r!(i.b())),
                    Op::SetField => set_field!(r!(i.a()), r!(i.c())),
                    Op::SetFieldK => set_field!(r!(i.a()), k!(i.c())),
                    Op::SelfField => {
                        let object = r!(i.b());
                        r!(i.a() as usize + 1) = object;
                        get_field!(i.a(), object);
                    }
                    Op::SelfReg => {
                        let (object, key) = (r!(i.b()), r!(i.c()));
                        r!(i.a() as usize + 1) = object;
                        slow!(self.op_index(slot_of!(i.a()), object, key), 0);
                    }
                    Op::GetTable => {
                        let key = r!(i.c());
                        if key.is_int() {
                            get_int!(i, r!(i.b()), key.raw_int());
                        } else {
                            let object = r!(i.b());
                            if let (Some(t), Some(s)) = (object.as_table(), key.as_str())
                                && s.is_interned()
                                && let Some(at) = t.find_str(s)
                            {
                                r!(i.a()) = (*t.nodes().add(at)).value();
                                continue;
                            }
                            slow!(self.op_index(slot_of!(i.a()), object, key), 0);
                        }
                    }
                    Op::GetIndex => get_int!(i, r!(i.b()), i.c() as i64),
                    Op::SetTable => {
                        let key = r!(i.b());
                        if key.is_int() {
                            set_int!(r!(i.a()), key.raw_int(), r!(i.c()));
                        } else {
                            slow!(self.op_assign(r!(i.a()), key, r!(i.c())), 0);
                        }
                    }
                    Op::SetTableK => {
                        let (key, value) = (r!(i.b()), k!(i.c()));
                        if key.is_int() {
                            set_int!(r!(i.a()), key.raw_int(), value);
                        } else {
                            slow!(self.op_assign(r!(i.a()), key, value), 0);
                        }
                    }
                    Op::SetIndex => set_int!(r!(i.a()), i.b() as i64, r!(i.c())),
                    Op::SetIndexK => set_int!(r!(i.a()), i.b() as i64, k!(i.c())),
                    Op::NewTable => {
                        let array = (*pc).get() as usize;
                        let hash = if i.b() == 0 { 0 } else { 1usize << (i.b() - 1) };
                        let t = mem!(Gc::<Table>::new(&mut self.heap, array, hash));
                        pc = pc.add(1);
                        r!(i.a()) = Value::table(t);
                        allocated!(i.a());
                    }

                    // ---- operators
                    Op::AddI => {
                        let (x, n) = (r!(i.b()), i.sc());
                        if x.is_int() {
                            r!(i.a()) = Value::int(x.raw_int().wrapping_add(n as i64));
                        } else if x.is_float() {
                            r!(i.a()) = Value::float(x.raw_float() + n as f64);
                        } else {
                            slow!(self.op_arith(Arith::Add, slot_of!(i.a()), x, Value::int(n as i64)), 0);
                        }
                    }
                    Op::AddK => arith!(i, r!(i.b()), k!(i.c()), i64::wrapping_add, f64::add, Arith::Add),
                    Op::SubK => {
                        // As in the reference, an integer constant is negated and added: `-0.0 - 0` is `0.0`.
                        let mixed = |a, b| a + (0.0 - b);
                        arith!(i, r!(i.b()), k!(i.c()), i64::wrapping_sub, f64::sub, mixed, Arith::Sub)
                    }
                    Op::MulK => arith!(i, r!(i.b()), k!(i.c()), i64::wrapping_mul, f64::mul, Arith::Mul),
                    Op::ModK => divide!(i, r!(i.b()), k!(i.c()), int_mod, float_mod, Arith::Mod),
                    Op::PowK => float_op!(i, r!(i.b()), k!(i.c()), float_pow, Arith::Pow),
                    Op::DivK => float_op!(i, r!(i.b()), k!(i.c()), f64::div, Arith::Div),
                    Op::IDivK => divide!(i, r!(i.b()), k!(i.c()), int_floor_div, float_floor_div, Arith::IDiv),
                    Op::BAndK => bits!(i, r!(i.b()), k!(i.c()), i64::bitand, Arith::BAnd),
                    Op::BOrK => bits!(i, r!(i.b()), k!(i.c()), i64::bitor, Arith::BOr),
                    Op::BXorK => bits!(i, r!(i.b()), k!(i.c()), i64::bitxor, Arith::BXor),
                    Op::ShlK => bits!(i, r!(i.b()), k!(i.c()), int_shl, Arith::Shl),
                    Op::ShrK => bits!(i, r!(i.b()), k!(i.c()), int_shr, Arith::Shr),
                    Op::Add => arith!(i, r!(i.b()), r!(i.c()), i64::wrapping_add, f64::add, Arith::Add),
                    Op::Sub => arith!(i, r!(i.b()), r!(i.c()), i64::wrapping_sub, f64::sub, Arith::Sub),
                    Op::Mul => arith!(i, r!(i.b()), r!(i.c()), i64::wrapping_mul, f64::mul, Arith::Mul),
                    Op::Mod => divide!(i, r!(i.b()), r!(i.c()), int_mod, float_mod, Arith::Mod),
                    Op::Pow => float_op!(i, r!(i.b()), r!(i.c()), float_pow, Arith::Pow),
                    Op::Div => float_op!(i, r!(i.b()), r!(i.c()), f64::div, Arith::Div),
                    Op::IDiv => divide!(i, r!(i.b()), r!(i.c()), int_floor_div, float_floor_div, Arith::IDiv),
                    Op::BAnd => bits!(i, r!(i.b()), r!(i.c()), i64::bitand, Arith::BAnd),
                    Op::BOr => bits!(i, r!(i.b()), r!(i.c()), i64::bitor, Arith::BOr),
                    Op::BXor => bits!(i, r!(i.b()), r!(i.c()), i64::bitxor, Arith::BXor),
                    Op::Shl => bits!(i, r!(i.b()), r!(i.c()), int_shl, Arith::Shl),
                    Op::Shr => bits!(i, r!(i.b()), r!(i.c()), int_shr, Arith::Shr),
                    Op::Unm => {
                        let x = r!(i.b());
                        if x.is_int() {
                            r!(i.a()) = Value::int(x.raw_int().wrapping_neg());
                        } else if x.is_float() {
                            r!(i.a()) = Value::float(-x.raw_float());
                        } else {
                            slow!(self.op_arith(Arith::Unm, slot_of!(i.a()), x, x), 0);
                        }
                    }
                    Op::BNot => {
                        let x = r!(i.b());
                        if x.is_int() {
                            r!(i.a()) = Value::int(!x.raw_int());
                        } else {
                            slow!(self.op_arith(Arith::BNot, slot_of!(i.a()), x, x), 0);
                        }
                    }
                    Op::Not => r!(i.a()) = Value::bool(r!(i.b()).is_falsy()),
                    Op::Len => {
                        let x = r!(i.b());
                        match x.as_table() {
                            Some(t) if t.meta().is_none() => r!(i.a()) = Value::int(t.length(&mut self.heap)),
                            _ => slow!(self.op_len(slot_of!(i.a()), x), 0),
                        }
                    }
                    Op::Concat => {
                        save!();
                        match self.concat(slot_of!(i.a()), i.b() as usize, i.b() as usize)? {
                            Flow::Next => allocated!(i.a()),
                            // A metamethod's frame is innermost, whose registers are others.
                            flow => go_on!(flow),
                        }
                    }

                    // ---- to-be-closed variables
                    Op::Close => {
                        if self.has_pending(slot_of!(i.a())) {
                            slow!(self.close_next(None), 0);
                        }
                    }
                    Op::Tbc => {
                        save!();
                        self.mark_tbc(slot_of!(i.a()))?;
                    }

                    // ---- jumps and tests
                    Op::Jmp => pc = pc.offset(i.get_sj() as isize),
                    Op::Loop => {
                        pc = pc.sub(i.bx() as usize);
                        poll!(slot_of!(i.a()));
                    }
                    Op::LoopX => {
                        pc = pc.sub((*pc).get() as usize);
                        poll!(slot_of!(i.a()));
                    }
                    Op::Eq => {
                        let (x, y) = (r!(i.a()), r!(i.b()));
                        match x.quick_equals(y) {
                            Some(true) => test!(true, i),
                            Some(false) if x.tag() != y.tag() => test!(false, i),
                            Some(false) => match self.equality_by_handler(x, y) {
                                Access::Value(_) => test!(false, i),
                                handler => slow!(self.finish(0, handler), 0),
                            },
                            None => slow!(self.op_equals(x, y), 0),
                        }
                    }
                    Op::Lt => order!(i, r!(i.a()), r!(i.b()), <, compare_lt, Event::Lt),
                    Op::Le => order!(i, r!(i.a()), r!(i.b()), <=, compare_le, Event::Le),
                    Op::EqK => {
                        let (x, y) = (r!(i.a()), k!(i.b()));
                        match x.quick_equals(y) {
                            Some(equal) => test!(equal, i),
                            None => slow!(self.op_equals(x, y), 0),
                        }
                    }
                    Op::EqI => {
                        let (x, n) = (r!(i.a()), i.sb());
                        let equal = if x.is_int() { x.raw_int() == n as i64 } else { x.as_float() == Some(n as f64) };
                        test!(equal, i);
                    }
                    Op::LtI => order_int!(i, <, Event::Lt, false),
                    Op::LeI => order_int!(i, <=, Event::Le, false),
                    Op::GtI => order_int!(i, >, Event::Lt, true),
                    Op::GeI => order_int!(i, >=, Event::Le, true),
                    Op::Test => test!(r!(i.a()).is_truthy(), i),
                    Op::TestSet => {
                        let x = r!(i.b());
                        if x.is_truthy() != (i.c() != 0) {
                            pc = pc.add(1);
                        } else {
                            r!(i.a()) = x;
                            let jump = Instr((*pc).get());
                            pc = pc.offset(jump.get_sj() as isize + 1);
                        }
                    }

                    // ---- calls and returns
                    Op::Call => {
                        let func = slot_of!(i.a());
                        let nargs = if i.b() != 0 { i.b() as usize - 1 } else { self.top - func - 1 };
                        let wanted = i.c() as i16 - 1;
                        save!();
                        match r!(i.a()).as_closure() {
                            Some(f) => {
                                self.enter_lua(f, func, nargs, wanted, 0)?;
                                reload!();
                                poll!(slot_of!((*f.proto.as_ptr()).num_params));
                            }
                            None => go_on!(self.call_other(func, nargs, wanted)?),
                        }
                    }
                    Op::TailCall => {
                        let func = slot_of!(i.a());
                        let nargs = if i.b() != 0 { i.b() as usize - 1 } else { self.top - func - 1 };
                        save!();
                        match r!(i.a()).as_closure() {
                            Some(f) => {
                                // The callee takes the place of this frame.
                                let old = *frame;
                                let dest = old.func as usize;
                                self.move_down(func, dest, nargs + 1);
                                self.frame_count -= 1;
                                if let Err(throw) = self.enter_lua(f, dest, nargs, old.wanted, old.flags | frame_flags::TAIL) {
                                    // No stack: the frame is still what it was.
                                    self.frame_count += 1;
                                    return Err(throw);
                                }
                                reload!();
                                poll!(slot_of!((*f.proto.as_ptr()).num_params));
                            }
                            // A native function is called as usual; the `Return` that follows passes its results on.
                            None => go_on!(self.call_other(func, nargs, -1)?),
                        }
                    }
                    Op::Return => {
                        let first = slot_of!(i.a());
                        let n = if i.b() != 0 { i.b() as usize - 1 } else { self.top - first };
                        if i.c() != 0 && self.has_pending((*frame).base as usize) {
                            let above = if i.b() == 0 { Some(self.top) } else { None };
                            slow!(self.close_next(above), 0);
                            continue;
                        }
                        save!();
                        go_on!(self.leave(first, n)?);
                    }
                    Op::Return0 => {
                        let f = *frame;
                        if f.flags & !frame_flags::TAIL == 0 {
                            self.frame_count -= 1;
                            let dest = self.stack.add(f.func as usize);
                            if f.wanted < 0 {
                                self.top = f.func as usize;
                            } else {
                                for n in 0..f.wanted as usize {
                                    *dest.add(n) = Value::NIL;
                                }
                            }
                            reload!();
                        } else {
                            save!();
                            go_on!(self.leave(f.base as usize, 0)?);
                        }
                    }
                    Op::Return1 => {
                        let f = *frame;
                        if f.flags & !frame_flags::TAIL == 0 {
                            self.frame_count -= 1;
                            let v = r!(i.a());
                            let dest = self.stack.add(f.func as usize);
                            if f.wanted == 1 {
                                *dest = v;
                            } else if f.wanted < 0 {
                                *dest = v;
                                self.top = f.func as usize + 1;
                            } else if f.wanted > 0 {
                                *dest = v;
                                for n in 1..f.wanted as usize {
                                    *dest.add(n) = Value::NIL;
                                }
                            }
                            reload!();
                        } else {
                            save!();
                            go_on!(self.leave(slot_of!(i.a()), 1)?);
                        }
                    }

                    // ---- loops
                    Op::ForPrep => {
                        save!();
                        if self.for_prepare(slot_of!(i.a()))? {
                            pc = pc.add(i.bx() as usize + 1);
                        }
                    }
                    Op::ForLoop => {
                        if !for_step(base.add(i.a() as usize)) {
                            continue;
                        }
                        pc = pc.sub(i.bx() as usize);
                        poll!(slot_of!(i.a()) + 4);
                    }
                    Op::TForPrep => {
                        let closing = r!(i.a() as usize + 3);
                        if !closing.is_nil() {
                            save!();
                            self.mark_tbc(slot_of!(i.a()) + 3)?;
                        }
                        pc = pc.add(i.bx() as usize);
                    }
                    Op::TForCall => {
                        let ra = base.add(i.a() as usize);
                        let f = *ra;
                        // The tag is looked at by itself first: the step that follows gets shorter by it.
                        if !TRACED && f.tag() == Tag::NATIVE {
                            let native = f.as_native();
                            if let Some(native) = native
                                && self.iterate(native, ra, i.c() as usize)
                            {
                                continue;
                            }
                        }
                        *ra.add(4) = f;
                        *ra.add(5) = *ra.add(1);
                        *ra.add(6) = *ra.add(2);
                        save!();
                        let (func, wanted) = (slot_of!(i.a()) + 4, i.c() as i16);
                        go_on!(self.call_other(func, 2, wanted)?);
                    }
                    Op::TForLoop => {
                        let control = r!(i.a() as usize + 4);
                        if !control.is_nil() {
                            r!(i.a() as usize + 2) = control;
                            // The `TForCall` before this instruction tells how many variables there are.
                            let variables = Instr((*pc.sub(2)).get()).c() as usize;
                            pc = pc.sub(i.bx() as usize);
                            poll!(slot_of!(i.a()) + 4 + variables);
                        }
                    }

                    // ---- constructors
                    Op::SetList => {
                        let t = r!(i.a());
                        let start = (*pc).get() as usize;
                        let first = slot_of!(i.a()) + 1;
                        let n = if i.b() != 0 { i.b() as usize } else { self.top - first };
                        save!();
                        if let Some(t) = t.as_table() {
                            mem!(t.ensure_array(&mut self.heap, start + n));
                            for j in 0..n {
                                mem!(t.set_int(&mut self.heap, (start + j) as i64 + 1, *self.stack.add(first + j)));
                            }
                        }
                        pc = pc.add(1);
                    }
                    Op::Closure => close_over!(i, i.bx()),
                    Op::ClosureX => {
                        close_over!(i, (*pc).get());
                        pc = pc.add(1);
                    }
                    Op::VarArg => {
                        let n = (*frame).varargs as usize;
                        let dest = slot_of!(i.a());
                        let count = if i.c() != 0 { i.c() as usize - 1 } else { n };
                        if i.c() == 0 {
                            save!();
                            self.check_stack(dest + n + limits::NATIVE_SLOTS)?;
                            base = self.stack.add((*frame).base as usize);
                            self.top = dest + n;
                        }
                        let to = base.add(i.a() as usize);
                        copy_values(base.sub(n), to, count.min(n));
                        for j in n..count {
                            *to.add(j) = Value::NIL;
                        }
                    }
                    // Done at the call; what the registers begin at is read again, since an instruction that did nothing would make of the dispatch
                    // a loop of its own, which LLVM does not put behind each instruction.
                    Op::VarArgPrep => base = self.stack.add((*frame).base as usize),
                }
            }
        }
    }
}

/// The closure of a Lua frame.
///
/// # Safety
/// The frame is a Lua function's.
#[inline(always)]
unsafe fn closure(frame: *mut Frame) -> Gc<Closure> {
    // SAFETY: the caller vouches.
    unsafe { (*frame).closure() }
}
