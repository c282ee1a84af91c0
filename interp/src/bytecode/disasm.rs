//! The disassembler: a readable listing of a function and of the functions in it.

use super::layout::{Aux, Layout, Role, Wide};
use super::op::{Instr, Op};
use super::proto::{Const, Proto};
use std::fmt::{self, Write};

/// The listing of a function. Functions within it follow it, in the order in which they begin.
pub fn disassemble(proto: &Proto) -> String {
    let mut out = String::new();
    // Writing into a string cannot fail.
    let _ = list(proto, &mut out);
    out
}

fn list(proto: &Proto, out: &mut String) -> fmt::Result {
    let kind = if proto.line_defined == 0 { "main" } else { "function" };
    writeln!(out, "{kind} <{}:{},{}>", proto.source.escape_ascii(), proto.line_defined, proto.last_line_defined)?;
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
    let mut pc = 0;
    while pc < proto.code.len() {
        let instr = Instr(proto.code[pc]);
        let line = proto.lines.get(pc).copied().unwrap_or(0);
        let Some(op) = Op::decode(instr.0) else {
            writeln!(out, "{pc:6} [{line}] ?{:08x}", instr.0)?;
            pc += 1;
            continue;
        };
        let start = out.len();
        write!(out, "{pc:6} [{line}] {:<10}", op.name())?;
        operands(proto, pc, op, instr, out)?;
        out.truncate(start + out[start..].trim_end().len());
        out.push('\n');
        pc += 1 + (op.aux() != Aux::None) as usize;
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
    for inner in &proto.protos {
        out.push('\n');
        list(inner, out)?;
    }
    Ok(())
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
                Wide::ForwardPast => write!(out, " -> {}", pc + 2 + distance)?,
                Wide::Forward => write!(out, " -> {}", pc + 1 + distance)?,
                Wide::Back => write!(out, " -> {}", (pc + 1).wrapping_sub(distance))?,
            }
        }
        Layout::Jump => write!(out, " -> {}", pc as i64 + 1 + instr.get_sj() as i64)?,
    }
    match op.aux() {
        Aux::None => Ok(()),
        Aux::Const => constant(proto, aux as usize, out),
        Aux::Field => constant(proto, (aux & 0xFFFF) as usize, out),
        Aux::Count => write!(out, " #{aux}"),
    }
}

fn operand(proto: &Proto, role: Role, value: u8, out: &mut String) -> fmt::Result {
    match role {
        Role::Unused => Ok(()),
        Role::Write | Role::Read => write!(out, " R{value}"),
        Role::Box => write!(out, " [R{value}]"),
        Role::Const | Role::Number => constant(proto, value as usize, out),
        Role::Upval => {
            let name = proto.upvals.get(value as usize).and_then(|upval| upval.name.as_deref());
            write!(out, " U{value}({})", name.unwrap_or(b"?").escape_ascii())
        }
        Role::Plain => write!(out, " {value}"),
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
