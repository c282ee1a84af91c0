//! The disassembler: a readable listing of a function and of the functions in it.

use super::layout::{Aux, Layout, Role, Wide};
use super::op::{Instr, Op};
use super::proto::{Const, Proto};
use std::fmt::{self, Write};

/// The listing of a function: its code, in which `>` marks where jumps lead to, then its constants, upvalues and local variables. Functions within it
/// follow it, in the order in which they begin, each named by its way: `F0.2` is the third function of the first one.
pub fn disassemble(proto: &Proto) -> String {
    let mut out = String::new();
    // Writing into a string cannot fail.
    let _ = list(proto, "main", &mut out);
    out
}

fn list(proto: &Proto, name: &str, out: &mut String) -> fmt::Result {
    let source = proto.source.strip_prefix(b"@").or(proto.source.strip_prefix(b"=")).unwrap_or(&proto.source);
    writeln!(out, "{name} <{}:{},{}>", source.escape_ascii(), proto.line_defined, proto.last_line_defined)?;
    writeln!(
        out,
        "{}{} params, {} registers, {} upvalues, {} locals, {} constants, {} functions",
        proto.num_params,
        if proto.is_vararg { "+" } else { "" },
        proto.max_stack,
        proto.upvals.len(),
        proto.locals.len(),
        proto.consts.len(),
        proto.protos.len()
    )?;
    let mut is_target = vec![false; proto.code.len()];
    for (pc, op) in instructions(proto) {
        let aux = proto.code.get(pc + 1).copied().unwrap_or(0);
        let target = op.and_then(|_| Instr(proto.code[pc]).target(pc, aux));
        // In code that is not sound it may be anywhere.
        if let Some(known) = target.and_then(|target| is_target.get_mut(target)) {
            *known = true;
        }
    }
    for (pc, op) in instructions(proto) {
        let instr = Instr(proto.code[pc]);
        let line = proto.lines.get(pc).copied().unwrap_or(0);
        let mark = if is_target[pc] { '>' } else { ' ' };
        let start = out.len();
        match op {
            Some(op) => {
                write!(out, "{mark}{pc:5} [{line}] {:<10}", op.name())?;
                operands(proto, pc, op, instr, out)?;
            }
            None => write!(out, "{mark}{pc:5} [{line}] ?{:08x}", instr.0)?,
        }
        out.truncate(start + out[start..].trim_end().len());
        out.push('\n');
    }
    for index in 0..proto.consts.len() {
        write!(out, "  constant")?;
        constant(proto, index, out)?;
        out.push('\n');
    }
    for (index, upval) in proto.upvals.iter().enumerate() {
        let name = upval.name.as_deref().unwrap_or(b"?").escape_ascii();
        let from = if upval.from_register { 'R' } else { 'U' };
        writeln!(out, "  upvalue {index}: {name} from {from}{}", upval.index)?;
    }
    for local in &proto.locals {
        let boxed = if local.boxed { " (boxed)" } else { "" };
        writeln!(out, "  local {} R{}{boxed}: {}..{}", local.name.escape_ascii(), local.register, local.start_pc, local.end_pc)?;
    }
    let way = name.strip_prefix("function ").map_or("F".to_owned(), |way| format!("{way}."));
    for (index, inner) in proto.protos.iter().enumerate() {
        out.push('\n');
        list(inner, &format!("function {way}{index}"), out)?;
    }
    Ok(())
}

/// The places of the instructions, and what they are; `None` where there is none.
fn instructions(proto: &Proto) -> impl Iterator<Item = (usize, Option<Op>)> {
    let mut next = 0;
    std::iter::from_fn(move || {
        let pc = next;
        let op = Op::decode(*proto.code.get(pc)?);
        next += op.map_or(1, Op::words);
        Some((pc, op))
    })
}

fn operands(proto: &Proto, pc: usize, op: Op, instr: Instr, out: &mut String) -> fmt::Result {
    let aux = proto.code.get(pc + 1).copied().unwrap_or(0);
    match op.layout() {
        Layout::Abc(roles) => {
            for (role, value) in roles.into_iter().zip([instr.a(), instr.b(), instr.c()]) {
                operand(proto, role, value, out)?;
            }
        }
        Layout::ABx(role, wide) => {
            operand(proto, role, instr.a(), out)?;
            let distance = instr.bx() as usize;
            match wide {
                Wide::Signed => write!(out, " {}", instr.sbx())?,
                Wide::Const => constant(proto, distance, out)?,
                Wide::Proto => write!(out, " F{distance}")?,
                Wide::ForwardPast | Wide::Forward | Wide::Back => {}
            }
        }
        Layout::Jump => {}
    }
    if let Some(target) = instr.target(pc, aux) {
        write!(out, " -> {}", target as i64)?;
    }
    match op.aux() {
        Aux::None | Aux::Back => Ok(()),
        Aux::Proto => write!(out, " F{aux}"),
        Aux::Const => constant(proto, aux as usize, out),
        Aux::Field => constant(proto, (aux & 0xFFFF) as usize, out),
        Aux::Count => write!(out, " #{aux}"),
    }
}

fn operand(proto: &Proto, role: Role, value: u8, out: &mut String) -> fmt::Result {
    match role {
        Role::Unused => Ok(()),
        Role::Write | Role::Read | Role::ToBox => write!(out, " R{value}"),
        Role::Box => write!(out, " [R{value}]"),
        Role::Const | Role::Number => constant(proto, value as usize, out),
        Role::Upval => {
            let name = proto.upvals.get(value as usize).and_then(|upval| upval.name.as_deref());
            write!(out, " U{value}({})", name.unwrap_or(b"?").escape_ascii())
        }
        Role::Plain | Role::Either | Role::Count(_) | Role::Size => write!(out, " {value}"),
        Role::Signed => write!(out, " {}", value as i8),
    }
}

fn constant(proto: &Proto, index: usize, out: &mut String) -> fmt::Result {
    match proto.consts.get(index) {
        None => write!(out, " K{index}(?)"),
        Some(Const::Nil) => write!(out, " K{index}(nil)"),
        Some(Const::Bool(value)) => write!(out, " K{index}({value})"),
        Some(Const::Int(value)) => write!(out, " K{index}({value})"),
        Some(Const::Float(value)) => write!(out, " K{index}({value:?})"),
        Some(Const::Str(value)) => write!(out, " K{index}(\"{}\")", value.escape_ascii()),
    }
}
