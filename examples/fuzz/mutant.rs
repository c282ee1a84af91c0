//! Functions that no compiler makes: compiled ones with some of their fields changed, so that many are still sound, or almost.
//! Imports `dice`.

use super::dice::Dice;
use neap::bytecode::{Aux, Const, Instr, Layout, LocalVar, Op, Proto, Role, UpvalDesc};

/// Programs that use each instruction, and look at themselves.
const SOURCES: &[&str] = &[
    "for i = 1, 4 do local f = function() i = i + 1 return i end tick(f(), i) end return probe",
    "for i = 1.5, 4 do tick() for j = i, -1, -1 do probe(i, j) end end",
    "local a, b, c = ... for k, v in pairs({ a, b, x = c }) do local g = function() return k, v end tick(g()) if k == 2 then break end end",
    "for k in next, { 1, 2, 3, a = 1 } do probe(k) local x <close> = object() end",
    "local a <close> = object() local b <close> = object() do local c <close> = object() tick(a) end return b, a",
    "local t = { 1, 2, ..., n = select('#', ...) } t.x = t[1] t[2] = nil t[t.x] = t.n t.y, t[1], t = t, 5, t return #t, t.y",
    "local function f(a, b, ...) local x, y = ... if a and b or not y then return f(y, ...) end return ..., a, b end return f(1, nil, 2, 3), f",
    "local o = object() local s = o .. 'a' .. 1 .. o .. tick() .. o probe(s) return -o, ~o, #o, o < o, o <= o, o == s, o > 1, 1 > o, o >= 2",
    "local a, b = ... a = a + 1 b = a - 2 a = a * b b = a % 3 a = a ^ 2 b = b / 7 a = b // 2 b = 5 & 3 | 9 ~ 2 << 1 >> b tick(a, b)",
    "local n = 0 ::top:: n = n + 1 tick(n) local x local f = function() return x, n end if n < 5 then goto top end return f",
    "local n = 3 repeat local x = n n = n - 1 local f = function() return x end tick() until x < 1 or f() == nil while n < 3 do n = n + 1 end",
    "local co = coroutine.wrap(function(...) local a <close> = object() local b = yield(...) for i = 1, 3 do yield(i, b) end return probe(...) end) return co(1, 2), co(3), co()",
    "x = 1 y = x z = function() x = y return _ENV end local _ENV = { tick = tick } tick(x) w = 5 return z",
    "local o = object() o.a = o.b o[1] = 2 o[tick] = 'x' o[300] = nil o:m(o.x, o[1], o[2]) return o(1, 2), pcall(o.f, o)",
    "local a, b, c, d, e, f, g, h = 1, 2.5, 'x', nil, true, {}, tick local t = { a, b, c, d, e, f, g, h, a = a, ['b'] = b } return a and b or c, d or e and f, t",
    "local function gen(n) return function(s, i) tick() if i < n then return i + 1, s end end, 'state', 0, object() end for i, s in gen(3) do probe(i, s) end for a, b, c, d, e in gen(2) do tick(a) end",
    "local up1, up2, up3 = ... return function(...) up1 = up2 local l = up3 up2 = function() up3 = l return up1, up2 end return up2(), ... end",
    "return (function(...) local a, b = (...), select(2, ...) return tick(a, b, ...) end)(...)",
    "local t = setmetatable({}, { __index = function(t, k) probe() return k end, __gc = tick, __concat = function(a, b) return yield(a, b) end }) local r = 'a' .. 'b' .. t .. 'c' .. t return r, t.x, t[5]",
    "local s = '' for i = 1, 3 do s = s .. i .. ',' if i == 2 then goto cont end tick(s) ::cont:: end return s, 1 == 1.0, s == 'x', s ~= nil, not s",
];

/// A program that mutants are made from, compiled.
pub fn program(dice: &mut Dice) -> Proto {
    loop {
        let source = source(dice);
        // Two programs in one are not always a program.
        if let Ok(proto) = neap::compile::compile(&source, b"=p") {
            return proto;
        }
    }
}

fn source(dice: &mut Dice) -> Vec<u8> {
    match dice.below(10) {
        0..5 => dice.pick(SOURCES).into(),
        // Two in one function have more registers and jumps to be mixed up.
        5..7 => format!("do {} end do {} end", dice.pick(SOURCES), dice.pick(SOURCES)).into_bytes(),
        _ => super::statements::program(dice).text().into_bytes(),
    }
}

/// Changes a function in some places.
pub fn change(dice: &mut Dice, proto: &mut Proto) {
    for _ in 0..1 + dice.below(4) {
        let inner = descend(dice, proto);
        change_once(dice, inner);
    }
}

/// The function itself or one within it.
fn descend<'p>(dice: &mut Dice, proto: &'p mut Proto) -> &'p mut Proto {
    if proto.protos.is_empty() || dice.chance(50) {
        return proto;
    }
    let at = dice.below(proto.protos.len());
    descend(dice, &mut proto.protos[at])
}

fn change_once(dice: &mut Dice, proto: &mut Proto) {
    match dice.below(100) {
        0..52 => change_instruction(dice, proto),
        52..60 => move_instructions(dice, proto),
        60..68 => change_opcode(dice, proto),
        68..73 => insert_instruction(dice, proto),
        73..84 => change_local(dice, proto),
        84..89 => change_upvalue(dice, proto),
        89..92 => change_constant(dice, proto),
        92..97 => change_head(dice, proto),
        97..99 => change_lines(dice, proto),
        _ => change_functions(dice, proto),
    }
}

/// Where the instructions begin.
fn places(proto: &Proto) -> Vec<usize> {
    let (mut places, mut pc) = (Vec::new(), 0);
    while let Some(op) = proto.code.get(pc).and_then(|&word| Op::decode(word)) {
        places.push(pc);
        pc += op.words();
    }
    places
}

fn place(dice: &mut Dice, proto: &Proto) -> Option<usize> {
    let places = places(proto);
    (!places.is_empty()).then(|| places[dice.below(places.len())])
}

fn operands(instr: Instr) -> [u8; 3] {
    [instr.a(), instr.b(), instr.c()]
}

fn with_operands(instr: Instr, [a, b, c]: [u8; 3]) -> u32 {
    Instr::abc(instr.op(), a, b, c).0
}

/// A small step from a number, or another number altogether.
fn near(dice: &mut Dice, number: i64, limit: i64) -> i64 {
    match dice.below(8) {
        0..3 => number + 1,
        3..6 => number - 1,
        6 => dice.below(limit.max(1) as usize + 1) as i64,
        _ => number + dice.between(0, 8) as i64 - 4,
    }
}

fn change_operand(dice: &mut Dice, proto: &Proto, role: Role, value: u8) -> u8 {
    let limit = match role {
        Role::Const | Role::Number => proto.consts.len(),
        Role::Upval => proto.upvals.len(),
        Role::Write | Role::Read | Role::ToBox | Role::Box | Role::Either => proto.max_stack.into(),
        Role::Unused | Role::Plain | Role::Count(_) | Role::Size | Role::Signed => dice.pick(&[1, 4, 8, 64, 255]),
    };
    near(dice, value.into(), limit as i64 - 1) as u8
}

fn change_instruction(dice: &mut Dice, proto: &mut Proto) {
    let Some(pc) = place(dice, proto) else { return };
    let instr = Instr(proto.code[pc]);
    if instr.op().aux() != Aux::None && dice.chance(25) {
        let limit = dice.pick(&[proto.consts.len(), proto.protos.len(), proto.code.len()]);
        proto.code[pc + 1] = near(dice, proto.code[pc + 1].into(), limit as i64) as u32;
        return;
    }
    proto.code[pc] = match instr.op().layout() {
        Layout::Abc(roles) => {
            let mut all = operands(instr);
            match dice.below(8) {
                0 => all.swap(0, 1),
                1 => all.swap(1, 2),
                _ => {
                    let at = dice.below(3);
                    all[at] = change_operand(dice, proto, roles[at], all[at]);
                }
            }
            with_operands(instr, all)
        }
        Layout::ABx(role, _) if dice.chance(50) => {
            Instr::abx(instr.op(), change_operand(dice, proto, role, instr.a()), instr.bx()).0
        }
        Layout::ABx(..) => Instr::abx(instr.op(), instr.a(), near(dice, instr.bx().into(), proto.code.len() as i64) as u16).0,
        Layout::Jump => Instr::sj(instr.op(), near(dice, instr.get_sj().into(), proto.code.len() as i64) as i32).0,
    };
}

fn move_instructions(dice: &mut Dice, proto: &mut Proto) {
    let (Some(one), Some(other)) = (place(dice, proto), place(dice, proto)) else { return };
    let size = |pc: usize, proto: &Proto| Op::decode(proto.code[pc]).map_or(1, Op::words);
    if dice.chance(50) && size(one, proto) == size(other, proto) {
        for word in 0..size(one, proto) {
            proto.code.swap(one + word, other + word);
        }
    } else if size(one, proto) == size(other, proto) {
        let end = one + size(one, proto);
        proto.code.copy_within(one..end, other);
    }
}

/// Another instruction with the same operands.
fn change_opcode(dice: &mut Dice, proto: &mut Proto) {
    let Some(pc) = place(dice, proto) else { return };
    let instr = Instr(proto.code[pc]);
    let [a, b, c] = operands(instr);
    for _ in 0..20 {
        let op = dice.pick(Op::ALL);
        if op.words() == instr.op().words() && (op.layout() == instr.op().layout() || dice.chance(10)) {
            proto.code[pc] = Instr::abc(op, a, b, c).0;
            return;
        }
    }
}

/// An instruction of any kind, and jumps over it that still lead to where they led.
fn insert_instruction(dice: &mut Dice, proto: &mut Proto) {
    let Some(at) = place(dice, proto).filter(|&at| at > 0) else { return };
    let op = dice.pick(Op::ALL);
    let register = |dice: &mut Dice| dice.below(proto.max_stack as usize) as u8;
    let (a, b, c) = (register(dice), register(dice), register(dice));
    let word = match op.layout() {
        Layout::Abc(_) => Instr::abc(op, a, b, c).0,
        Layout::ABx(..) => Instr::abx(op, a, dice.below(6) as u16).0,
        Layout::Jump => Instr::sj(op, dice.below(6) as i32).0,
    };
    let words = op.words();
    for pc in places(proto) {
        let instr = Instr(proto.code[pc]);
        let Some(target) = instr.target(pc, proto.code.get(pc + 1).copied().unwrap_or(0)) else { continue };
        let apart = (pc < at) != (target < at);
        if !apart {
            continue;
        }
        match instr.op().layout() {
            Layout::ABx(..) => proto.code[pc] = Instr::abx(instr.op(), instr.a(), instr.bx().wrapping_add(words as u16)).0,
            Layout::Jump => proto.code[pc] = Instr::sj(instr.op(), instr.get_sj().wrapping_add(words as i32)).0,
            Layout::Abc(_) => proto.code[pc + 1] = proto.code[pc + 1].wrapping_add(words as u32),
        }
    }
    for word in [word, dice.below(3) as u32].into_iter().take(words).rev() {
        proto.code.insert(at, word);
        if !proto.lines.is_empty() {
            proto.lines.insert(at.min(proto.lines.len()), 1);
        }
    }
    for local in &mut proto.locals {
        for end in [&mut local.start_pc, &mut local.end_pc] {
            if *end as usize > at {
                *end = end.wrapping_add(words as u32);
            }
        }
    }
}

fn change_local(dice: &mut Dice, proto: &mut Proto) {
    let length = proto.code.len() as i64;
    if proto.locals.is_empty() || dice.chance(10) {
        let start_pc = dice.below(proto.code.len()) as u32;
        let local = LocalVar {
            name: dice.pick(&[&b"x"[..], b"(for state)", b"", b"_ENV"]).into(),
            register: dice.below(proto.max_stack as usize) as u8,
            boxed: dice.chance(20),
            start_pc,
            end_pc: start_pc + dice.below(6) as u32,
        };
        let at = proto.locals.partition_point(|other| other.start_pc <= start_pc);
        proto.locals.insert(at, local);
        return;
    }
    let (at, other) = (dice.below(proto.locals.len()), dice.below(proto.locals.len()));
    let local = &mut proto.locals[at];
    match dice.below(7) {
        0 => local.register = near(dice, local.register.into(), proto.max_stack.into()) as u8,
        1 => local.boxed ^= true,
        2 => local.start_pc = near(dice, local.start_pc.into(), length) as u32,
        3 => local.end_pc = near(dice, local.end_pc.into(), length) as u32,
        4 => {
            local.name = if local.name.first() == Some(&b'(') { b"x".as_slice().into() } else { b"(for state)".as_slice().into() }
        }
        5 => drop(proto.locals.remove(at)),
        _ => proto.locals.swap(at, other),
    }
}

fn change_upvalue(dice: &mut Dice, proto: &mut Proto) {
    let some = UpvalDesc { name: None, from_register: dice.chance(50), index: dice.below(6) as u8 };
    if proto.upvals.is_empty() || dice.chance(15) {
        let count = if dice.chance(5) { dice.pick(&[254, 255, 256, 257, 512]) } else { proto.upvals.len() + 1 };
        proto.upvals.resize(count, some);
        return;
    }
    let at = dice.below(proto.upvals.len());
    let upval = &mut proto.upvals[at];
    match dice.below(4) {
        0 => upval.from_register ^= true,
        1 | 2 => upval.index = near(dice, upval.index.into(), 8) as u8,
        _ => drop(proto.upvals.remove(at)),
    }
}

fn change_constant(dice: &mut Dice, proto: &mut Proto) {
    let some = match dice.below(5) {
        0 => Const::Nil,
        1 => Const::Bool(dice.chance(50)),
        2 => Const::Int(dice.bits() as i64 >> dice.below(64)),
        3 => Const::Float(f64::from_bits(dice.bits())),
        _ => Const::Str(dice.pick(&[&b"x"[..], b"", b"tick", b"__gc"]).into()),
    };
    if proto.consts.is_empty() || dice.chance(20) {
        return proto.consts.push(some);
    }
    let at = dice.below(proto.consts.len());
    if dice.chance(80) { proto.consts[at] = some } else { drop(proto.consts.remove(at)) }
}

fn change_head(dice: &mut Dice, proto: &mut Proto) {
    match dice.below(5) {
        0 => proto.max_stack = near(dice, proto.max_stack.into(), 255) as u8,
        1 => {
            proto.num_params = near(dice, proto.num_params.into(), 6) as u8;
            let first = Instr(proto.code[0]);
            if proto.is_vararg && dice.chance(80) {
                proto.code[0] = Instr::abc(first.op(), proto.num_params, 0, 0).0;
            }
        }
        2 => proto.is_vararg ^= true,
        3 => proto.line_defined = dice.bits() as u32,
        _ => proto.source = std::sync::Arc::new(dice.pick(&[&b""[..], b"@", b"=", b"@x", b"return 1\n2"]).into()),
    }
}

fn change_lines(dice: &mut Dice, proto: &mut Proto) {
    match dice.below(3) {
        0 => proto.lines.clear(),
        1 => drop(proto.lines.pop()),
        _ => {
            let at = dice.below(proto.lines.len());
            if let Some(line) = proto.lines.get_mut(at) {
                *line = dice.pick(&[0, 1, line.wrapping_add(1), u32::MAX, i32::MAX as u32]);
            }
        }
    }
}

fn change_functions(dice: &mut Dice, proto: &mut Proto) {
    if proto.protos.is_empty() {
        return;
    }
    let (at, other) = (dice.below(proto.protos.len()), dice.below(proto.protos.len()));
    match dice.below(3) {
        0 => proto.protos.swap(at, other),
        1 => proto.protos.push(proto.protos[at].clone()),
        _ => drop(proto.protos.remove(at)),
    }
}

/// Changes some bytes.
pub fn damage(dice: &mut Dice, chunk: &mut Vec<u8>) {
    for _ in 0..1 + dice.below(3) {
        let at = dice.below(chunk.len());
        match dice.below(5) {
            0 => chunk[at] = dice.bits() as u8,
            1 => chunk[at] ^= 1 << dice.below(8),
            2 => chunk[at] = chunk[at].wrapping_add(1),
            3 => chunk[at] = chunk[at].wrapping_sub(1),
            _ => chunk.truncate(at.max(1)),
        }
    }
}
