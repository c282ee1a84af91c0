//! Binary chunks: what the verifier lets in harms nobody. Each function here is one that would, were it run; beside most of them stands
//! its neighbour that does no harm, and is accepted.

use neap::Interpreter;
use neap::bytecode::budget::Budget;
use neap::bytecode::{Const, Instr, LocalVar, Op, Proto, Source, UpvalDesc, chunk, verify};
use neap_gc::Config;

fn abc(op: Op, a: u8, b: u8, c: u8) -> u32 {
    Instr::abc(op, a, b, c).0
}

fn abx(op: Op, a: u8, bx: u16) -> u32 {
    Instr::abx(op, a, bx).0
}

/// A function of so many parameters and registers.
fn function(params: u8, registers: u8, code: &[u32]) -> Proto {
    let mut proto = Proto::of(&Source::default());
    (proto.code, proto.num_params, proto.max_stack) = (code.to_vec(), params, registers);
    proto
}

/// A function that is changed.
fn with(mut proto: Proto, change: impl FnOnce(&mut Proto)) -> Proto {
    change(&mut proto);
    proto
}

fn variable(name: &str, register: u8, boxed: bool, start_pc: u32, end_pc: u32) -> LocalVar {
    LocalVar { name: name.as_bytes().into(), register, boxed, start_pc, end_pc }
}

fn upvalues(count: usize) -> Vec<UpvalDesc> {
    vec![UpvalDesc { name: None, from_register: true, index: 0 }; count]
}

#[track_caller]
fn accepted(proto: &Proto) {
    assert_eq!(verify(proto), Ok(()));
}

#[track_caller]
fn refused(proto: &Proto, why: &str) {
    let message = verify(proto).expect_err("a function that does harm");
    assert!(message.contains(why), "{message}");
}

#[test]
fn upvalues_are_counted_in_a_byte() {
    let of = |count| {
        with(function(0, 2, &[abc(Op::GetUpval, 0, 200, 0), abc(Op::Return1, 0, 0, 0)]), |proto| proto.upvals = upvalues(count))
    };
    accepted(&of(255));
    refused(&of(256), "too many upvalues");
}

#[test]
fn a_poll_empties_what_is_above_the_live_top() {
    // A box is made before a loop, and used in each round of it.
    let inner = with(function(0, 2, &[abc(Op::GetUpval, 0, 0, 0), abc(Op::Return1, 0, 0, 0)]), |proto| {
        proto.upvals = vec![UpvalDesc { name: None, from_register: true, index: 1 }]
    });
    let of = |live| {
        with(
            function(
                0,
                6,
                &[
                    abc(Op::LoadNil, 0, 1, 0),
                    abc(Op::NewBox, 1, 0, 0),
                    abx(Op::Closure, 2, 0),
                    abc(Op::Move, 3, 2, 0),
                    abc(Op::Call, 3, 1, 1),
                    abx(Op::Loop, live, 4),
                ],
            ),
            |proto| proto.protos = vec![inner.clone()],
        )
    };
    accepted(&of(2));
    refused(&of(1), "register 1");
}

#[test]
fn a_loop_by_iterator_is_no_loop_by_number() {
    // The control variable of one is the limit of the other, which would count down what the iterator gives.
    let of = |base, distance| {
        function(
            6,
            13,
            &[
                abx(Op::ForPrep, 1, 1),
                Instr::sj(Op::Jmp, 2).0,
                abx(Op::ForLoop, 1, 2),
                abc(Op::Return0, 0, 0, 0),
                abc(Op::TForCall, base, 0, 1),
                abx(Op::TForLoop, base, distance),
                abc(Op::Return0, 0, 0, 0),
            ],
        )
    };
    accepted(&of(0, 2));
    refused(&of(0, 4), "no loop has been prepared");
}

#[test]
fn the_state_of_a_loop_is_no_variable() {
    let of = |name| {
        with(
            function(
                0,
                5,
                &[
                    abx(Op::LoadI, 0, 1),
                    abx(Op::LoadI, 1, 3),
                    abx(Op::LoadI, 2, 1),
                    abx(Op::ForPrep, 0, 0),
                    abx(Op::ForLoop, 0, 1),
                    abc(Op::Return0, 0, 0, 0),
                ],
            ),
            |proto| proto.locals = vec![variable(name, 1, false, 4, 5)],
        )
    };
    accepted(&of("(for state)"));
    refused(&of("limit"), "the state of a loop");
}

#[test]
fn the_operands_of_a_concatenation_are_no_variables() {
    // While a metamethod runs, the last of them counts those that are left.
    let of = |register| {
        with(function(0, 4, &[abc(Op::LoadNil, 0, 2, 0), abc(Op::Concat, 1, 2, 0), abc(Op::Return0, 0, 0, 0)]), |proto| {
            proto.locals = vec![variable("x", register, false, 1, 2)]
        })
    };
    accepted(&of(0));
    refused(&of(1), "variable");
    refused(&of(2), "variable");
}

#[test]
fn size_hints_are_exponents() {
    let of = |hint| function(0, 2, &[abc(Op::NewTable, 0, hint, 0), 0, abc(Op::Return0, 0, 0, 0)]);
    accepted(&of(0));
    accepted(&of(33));
    refused(&of(65), "size");
    refused(&of(255), "size");
}

#[test]
fn variables_are_closed_in_the_order_of_their_registers() {
    let of = |first, second| {
        function(
            0,
            3,
            &[
                abc(Op::LoadNil, 0, 1, 0),
                abc(Op::Tbc, first, 0, 0),
                abc(Op::Tbc, second, 0, 0),
                abc(Op::Close, 0, 0, 0),
                abc(Op::Return0, 0, 0, 0),
            ],
        )
    };
    accepted(&of(0, 1));
    refused(&of(1, 0), "not closed");
    refused(&of(1, 1), "not closed");
}

#[test]
fn constants_are_in_range() {
    let of = |index| {
        with(function(0, 2, &[abx(Op::LoadK, 0, index), abc(Op::Return1, 0, 0, 0)]), |proto| proto.consts = vec![Const::Int(1)])
    };
    accepted(&of(0));
    refused(&of(1), "out of range");
}

#[test]
fn values_up_to_the_top_write_over_whatever_is_there() {
    // A box above the first of them is no box any more when a table has taken them.
    let inner = with(function(0, 2, &[abc(Op::Return0, 0, 0, 0)]), |proto| {
        proto.upvals = vec![UpvalDesc { name: None, from_register: true, index: 2 }]
    });
    let of = |first| {
        with(
            function(
                0,
                6,
                &[
                    abc(Op::VarArgPrep, 0, 0, 0),
                    abc(Op::NewTable, 0, 0, 0),
                    0,
                    abc(Op::LoadNil, 1, 1, 0),
                    abc(Op::NewBox, 2, 0, 0),
                    abc(Op::NewTable, 3, 0, 0),
                    0,
                    abc(Op::VarArg, first + 1, 0, 0),
                    abc(Op::SetList, first, 0, 0),
                    0,
                    abx(Op::Closure, first + 1, 0),
                    abc(Op::Return0, 0, 0, 0),
                ],
            ),
            |proto| {
                proto.protos = vec![inner.clone()];
                proto.is_vararg = true;
            },
        )
    };
    accepted(&of(3));
    refused(&of(0), "no box");
}

#[test]
fn functions_beyond_sixteen_bits() {
    let mut lua = Interpreter::new(Config { limit_bytes: 64 << 20, ..Config::default() }).expect("a heap");
    let source = "local f = assert(load('local x ' .. ('x = function() return 7 end '):rep(70000) .. ' return x()'))
        local chunk = string.dump(f, true)
        f = nil
        return tostring(assert(load(chunk, 'x', 'b'))())";
    assert_eq!(lua.run(source.as_bytes(), b"=x", 0).as_deref(), Ok(&b"7"[..]));
    // The reference implementation has the same limit.
    let source = format!("local x {}", "x = function() end ".repeat(131_072));
    let mut lua = Interpreter::new(Config::default()).expect("a heap");
    let message = lua.run(source.as_bytes(), b"=x", 0).expect_err("too many functions");
    assert!(String::from_utf8_lossy(&message).contains("too many functions (limit is 131071)"));
}

/// A chunk of so many instructions and local variables, whose jumps lead everywhere.
fn large(words: u32, locals: u32) -> Vec<u8> {
    let mut code = vec![abc(Op::LoadNil, 0, 200, 0)];
    code.extend((0..words).map(|_| Instr::sj(Op::Jmp, 0).0));
    code.push(abc(Op::Return0, 0, 0, 0));
    let end = code.len() as u32;
    let one = |n: u32| variable("x", (n % 200) as u8, false, 1 + n / 200, if n / 200 < locals / 200 { 2 + n / 200 } else { end });
    let proto = with(function(0, 201, &code), |proto| proto.locals = (0..locals).map(one).collect());
    chunk::dumped(&proto, false)
}

#[test]
fn verifying_takes_time_in_proportion() {
    // The looks at the clock of interrupts count the work.
    let looks = |words, locals| {
        let mut count = 0u32;
        let mut look = || {
            count += 1;
            true
        };
        chunk::undump(&large(words, locals), &mut Budget::new(usize::MAX, &mut look)).expect("a sound chunk");
        count
    };
    let (small, large) = (looks(50_000, 2_000), looks(200_000, 8_000));
    assert!(small > 4 && large < small * 6, "{small} {large}");
}
