//! Functions: entry, body, exit.

use super::emit::{Emitter, Fallible, Shared};
use crate::bytecode::{Op, Proto, UpvalDesc};
use crate::syntax::StrId;
use crate::syntax::ast::{Ast, ExprId, FuncId, LocalId};

pub fn compile_main(ast: &Ast, chunk_name: &[u8], room: usize, go_on: &mut dyn FnMut() -> bool) -> Fallible<Proto> {
    let source = std::sync::Arc::new(chunk_name.into());
    let mut shared = Shared {
        ast,
        source,
        at: ExprId(0),
        long_loops: false,
        again: false,
        steps: 0,
        bytes: 0,
        room,
        go_on,
        workspaces: Vec::new(),
    };
    compile_function(&mut shared, FuncId(0))
}

pub fn compile_function(shared: &mut Shared, id: FuncId) -> Fallible<Proto> {
    let bytes = shared.bytes;
    loop {
        match compile_once(shared, id) {
            // At most once for each function: the flag that asks for it stays set.
            Err(_) if std::mem::take(&mut shared.again) => shared.bytes = bytes,
            result => return result,
        }
    }
}

fn compile_once(shared: &mut Shared, id: FuncId) -> Fallible<Proto> {
    let function = &shared.ast.functions[id.0];
    let params = function.params as usize;
    let mut emitter = Emitter::new(shared, function);
    emitter.reserve(params)?;
    emitter.proto.num_params = function.params;
    emitter.proto.is_vararg = function.is_vararg;
    emitter.proto.line_defined = function.line;
    emitter.proto.last_line_defined = function.end_line;
    let ast = emitter.ast;
    let name = |id: StrId| Some(ast.strings.get(id).into());
    let upvals = function.upvals.iter();
    let upvals = upvals.map(|upval| UpvalDesc { name: name(upval.name), from_register: upval.from_register, index: upval.index });
    emitter.proto.upvals = upvals.collect();

    // A captured parameter is visible all the time, but only later in its box.
    for index in 0..params {
        emitter.activate_as(index, false);
    }
    if function.is_vararg {
        emitter.abc(Op::VarArgPrep, function.params, 0, 0);
    }
    for index in 0..params {
        if function.locals[index].captured {
            emitter.box_captured(LocalId(index as u32), 1);
            let plain = emitter.active[index];
            emitter.proto.locals[plain].end_pc = emitter.pc() as u32;
            emitter.activate_as(index, true);
            emitter.active.swap_remove(index);
        }
    }
    if let Some(body) = function.body {
        emitter.statements(body)?;
    }
    emitter.line = function.return_line;
    emitter.return_nothing();
    emitter.deactivate(0);
    emitter.finish()
}
