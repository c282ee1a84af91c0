//! The compiler, seen from outside: every program that it accepts passes the verifier, no input is too deep or too
//! odd for it, and the listings show the code that was meant.

use neap::bytecode::{Instr, Op, Proto, Source, disassemble, verify};
use neap::compile::compile;
use neap::syntax::parse_number;

fn compiled(source: &str) -> Proto {
    let proto = match compile(source.as_bytes(), b"=x") {
        Ok(proto) => proto,
        Err(error) => panic!("{error} in {}", &source[..source.len().min(200)]),
    };
    if let Err(what) = verify(&proto) {
        panic!("{what} in {}\n{}", &source[..source.len().min(200)], disassemble(&proto));
    }
    proto
}

/// The instructions of the main function, without their places and lines; what concerns its start and end left out.
fn listing(source: &str) -> Vec<String> {
    let text = disassemble(&compiled(source));
    let code = text.lines().skip(2).take_while(|line| line.contains(" ["));
    let code = code.map(|line| line.split_once(']').unwrap().1.split_whitespace().collect::<Vec<_>>().join(" "));
    code.filter(|line| !line.starts_with("VarArgPrep") && line != "Return0").collect()
}

#[test]
fn instructions_are_chosen_well() {
    let cases: &[(&str, &[&str])] = &[
        // Locals are operands as they are; results go straight to their variable.
        ("local a, b = f(); a = a + b", &["GetTabUp R0 U0(_ENV) K0(\"f\")", "Call R0 1 3", "Add R0 R0 R1"]),
        // Small integers and constants in the instruction, on the right only.
        ("local a; a = a + 1", &["LoadNil R0 0", "AddI R0 R0 1"]),
        ("local a; a = 2 * a", &["LoadNil R0 0", "LoadI R1 2", "Mul R0 R1 R0"]),
        ("local a; a = a - 0.5", &["LoadNil R0 0", "SubK R0 R0 K0(0.5)"]),
        // Folding, and constants that are no variables.
        ("local a <const> = 2 ^ 4; return a // 3 .. ''", &["LoadF R0 5", "LoadK R1 K0(\"\")", "Concat R0 2", "Return1 R0"]),
        // One `LoadNil`, one `Concat`.
        ("local a, b; local c", &["LoadNil R0 2"]),
        ("local a; return a .. a .. a", &["LoadNil R0 0", "Move R1 R0", "Move R2 R0", "Move R3 R0", "Concat R1 3", "Return1 R1"]),
        // Fields, small keys, methods.
        (
            "local t; t.x = t[1]; t[2] = nil; t:m(t.y)",
            &[
                "LoadNil R0 0",
                "GetIndex R1 R0 1",
                "SetField R0 R1 K0(\"x\")",
                "SetIndexK R0 2 K1(nil)",
                "SelfField R1 R0 K2(\"m\")",
                "GetField R3 R0 K3(\"y\")",
                "Call R1 3 1",
            ],
        ),
        // Tests jump; constants and signs of comparisons.
        (
            "local a, b; if a < 5 and 3 > b or a == 'x' then b = not a end",
            &["LoadNil R0 1", "LtI R0 5 0", "Jmp -> 6", "LtI R1 3 1", "Jmp -> 8", "EqK R0 K0(\"x\") 0", "Jmp -> 9", "Not R1 R0"],
        ),
        ("local a, b; a = a or b", &["LoadNil R0 1", "Test R0 1", "Jmp -> 5", "Move R0 R1"]),
        // Loops: tested at the head, polled at the end; a lone break needs no jump of its own.
        (
            "local a; while a do if a == 1 then break end end",
            &["LoadNil R0 0", "Test R0 0", "Jmp -> 7", "EqI R0 1 1", "Jmp -> 7", "Loop 1 -> 2"],
        ),
        ("for i = 1, 3 do end", &["LoadI R0 1", "LoadI R1 3", "LoadI R2 1", "ForPrep R0 -> 6", "ForLoop R0 -> 5"]),
        // Captured variables live in boxes, fresh in every round.
        (
            "for i = 1, 3 do local f = function() return i end end",
            &["LoadI R0 1", "LoadI R1 3", "LoadI R2 1", "ForPrep R0 -> 8", "NewBox R3", "Closure R4 F0", "ForLoop R0 -> 5"],
        ),
        ("local function f() return f end", &["LoadNil R0 0", "NewBox R0", "Closure R1 F0", "SetBox [R0] R1"]),
        // Tail calls, but not out of a scope that has something to close.
        ("return f(1)", &["GetTabUp R0 U0(_ENV) K0(\"f\")", "LoadI R1 1", "TailCall R0 2", "Return 0 0 0"]),
        (
            "local c <close> = nil; return f()",
            &["LoadNil R0 0", "Tbc 0", "GetTabUp R1 U0(_ENV) K0(\"f\")", "Call R1 1 0", "Return 1 0 1", "Return 0 1 1"],
        ),
        // What a later target uses is kept.
        ("local a, i; a[i], i = 1, 2", &["LoadNil R0 1", "Move R2 R1", "LoadI R3 1", "LoadI R1 2", "SetTable R0 R2 R3"]),
    ];
    for (source, code) in cases {
        assert_eq!(listing(source), *code, "{source}");
    }
}

#[test]
fn lines_are_those_of_the_operators() {
    let proto = compiled("local a\na =\na\n+\n1\nprint\n(\na)\nreturn a\n.x\n.y");
    let text = disassemble(&proto);
    let line = |op: &str| -> Vec<u32> {
        let lines = text.lines().filter(|line| line.contains(op));
        lines.map(|line| line.split(['[', ']']).nth(1).unwrap().parse().unwrap()).collect()
    };
    assert_eq!(line("AddI"), [4]);
    assert_eq!(line("GetTabUp"), [6]);
    assert_eq!(line(" Call"), [7]);
    assert_eq!(line("GetField"), [10, 11]);
    assert_eq!(line("Return1"), [11]);
    assert_eq!(line("Return0"), [11]);
}

#[test]
fn long_chains_are_loops() {
    let n = 100_000;
    for (start, piece, end) in [
        ("local a; return a", " + a", ""),
        ("local a; return a", " == a", ""),
        ("local a; return a", " and a", ""),
        ("local a; return a", " or not a", ""),
        ("local a; if a", " and a or a", " then end"),
        ("local a; return not (a", " < 1", ")"),
        ("local a; return a", ".x", ""),
        ("local a; return a", "[a]", ""),
        ("local a; return a", "()", ""),
        ("local a; return a", ":m''", ""),
        ("local a; if a then ", "elseif a then ", "end"),
        ("", "local a <const> = 1 do end a() ", ""),
        ("return {", "1,", "}"),
        ("return {", "x = 1;", "}"),
        ("", ";", ""),
        ("local x = 1", "--\n", ""),
        ("goto a ", "do end ", "::a::"),
    ] {
        let n = if piece.starts_with("local") { 190 } else { n };
        compiled(&format!("{start}{}{end}", piece.repeat(n)));
    }
    // What is nested is refused, not followed into the depth.
    for piece in
        ["(", "{", "[", "a(", "- ", "not ", "a^", "a..", "function() return ", "do ", "::a", "{{},", "a{", "a[", "f{function() "]
    {
        for start in ["return ", "", "x = "] {
            assert!(compile(format!("{start}{}", piece.repeat(n)).as_bytes(), b"=x").is_err());
        }
    }
}

#[test]
fn bodies_of_any_length() {
    let body = format!("local x = a.b.c {}", "a.b.c = a.b.c ".repeat(10_000));
    for source in [
        format!("for i = 1, 3 do {body} end"),
        format!("for k, v in f() do {body} if x then break end end"),
        format!("for i = 1, 3 do for k in f() do local function g() return i, k end {body} end {body} end"),
        format!("while a do {body} end"),
        format!("repeat {body} until a"),
        format!("if a then {body} else {body} end"),
        format!("::top:: {body} if a then goto top end"),
        format!("function f() for i = 1, 2 do {body} end return function() for i = 1, 2 do {body} end end end"),
    ] {
        compiled(&source);
    }
    let many = (0..70_000).map(|i| format!("x = {i}.5 t.k{i} = 'v{i}' t:m{i}() ")).collect::<String>();
    compiled(&format!("local t {many}"));
    let numbers = (0..70_000).map(|i| format!("{i},")).collect::<String>();
    compiled(&format!("return {{{numbers} ...}}"));
}

/// A random number generator good enough for tests.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }
}

#[test]
fn soup() {
    let tokens = [
        "end",
        "(",
        ")",
        "local",
        "=",
        "x",
        "1",
        "'s'",
        ",",
        "function",
        "return",
        "if",
        "then",
        "::a::",
        "goto a",
        "break",
        "for",
        "in",
        "do",
        "<const>",
        "<close>",
        "...",
        "[",
        "]",
        "{",
        "}",
        ";",
        "..",
        "a.b",
        ":m",
        "not",
        "-",
        "repeat",
        "until",
        "while",
        "else",
        "elseif",
        "0x",
        "1e",
        "\"",
        "[[",
        "--[[",
        "~",
        "//",
        "and",
        "or",
        "nil",
        "\n",
        "\\",
        "@",
        "\u{e9}",
        "]]",
        "==",
        "local x <const> = 1",
        "x = 1",
        "f()",
        "local function f()",
        "for i = 1, 2 do",
        "end",
        "end",
        "_ENV",
        "local _ENV = x",
    ];
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    for _ in 0..20_000 {
        let source = (0..random.below(20)).map(|_| tokens[random.below(tokens.len())]).collect::<Vec<_>>().join(" ");
        if let Ok(proto) = compile(source.as_bytes(), b"=x")
            && let Err(what) = verify(&proto)
        {
            panic!("{what} in {source:?}");
        }
        let bytes: Vec<u8> = (0..random.below(30)).map(|_| random.below(256) as u8).collect();
        let _ = compile(&bytes, &bytes);
        let _ = parse_number(&bytes);
    }
}

#[test]
fn damaged_code_is_refused_or_sound() {
    let source =
        "local a, b = f(...) local function g(x, ...) for i = 1, x do a = {i, b, ...} if a[i] then return g(a, x) end end
        for k, v in pairs(a) do b = b .. k or v and a.x end return ... end local c <close> = g(a, b) a.x, a[b] = c:m(1, ...)";
    let proto = compiled(source);
    let mut random = Random(42);
    let mut refused = 0;
    for _ in 0..5_000 {
        let mut damaged = proto.clone();
        let target = if random.below(2) == 0 { &mut damaged } else { &mut damaged.protos[0] };
        let at = random.below(target.code.len());
        target.code[at] ^= 1 << random.below(32);
        // No panic, whatever the verdict; and whatever it is, the listing can be made.
        refused += verify(&damaged).is_err() as usize;
        let _ = disassemble(&damaged);
    }
    assert!(refused > 1_000, "{refused}");
}

/// Code that no compiler makes, each with what the verifier has against it.
#[test]
fn hostile_code_is_refused() {
    let abc = |op, a, b, c| Instr::abc(op, a, b, c).0;
    let prep = abc(Op::VarArgPrep, 0, 0, 0);
    let end = abc(Op::Return0, 0, 0, 0);
    let zero = |register| Instr::asbx(Op::LoadI, register, 0).0;
    let cases: &[(&str, Vec<u32>)] = &[
        ("runs off its end", vec![prep]),
        ("unknown opcode", vec![prep, 0xFF, end]),
        ("ends too early", vec![prep, abc(Op::NewTable, 0, 0, 0)]),
        ("without preparation", vec![end]),
        ("register 0 is no value", vec![prep, abc(Op::Return1, 0, 0, 0)]),
        ("register 200 out of range", vec![prep, zero(200), end]),
        ("below the top is unset", vec![prep, zero(1), abc(Op::Add, 1, 1, 1), end]),
        ("register 0 is no box", vec![prep, zero(0), abc(Op::GetBox, 0, 0, 0), end]),
        ("register 0 is no value", vec![prep, zero(0), abc(Op::NewBox, 0, 0, 0), abc(Op::Return1, 0, 0, 0)]),
        ("constant 0 out of range", vec![prep, abc(Op::LoadK, 0, 0, 0), end]),
        ("upvalue 1 out of range", vec![prep, abc(Op::GetUpval, 0, 1, 0), end]),
        ("function 0 out of range", vec![prep, Instr::abx(Op::Closure, 0, 0).0, end]),
        ("no Jmp follows", vec![prep, zero(0), abc(Op::Test, 0, 0, 0), end]),
        ("wrong direction", vec![prep, Instr::sj(Op::Jmp, -1).0, end]),
        ("wrong direction", vec![prep, Instr::abx(Op::Loop, 0, 0).0, end]),
        ("jump to 3", vec![prep, Instr::sj(Op::Jmp, 1).0, abc(Op::NewTable, 0, 0, 0), 0, end]),
        ("no open values", vec![prep, zero(0), abc(Op::Return, 0, 0, 0), end]),
        ("open values are not used", vec![prep, abc(Op::VarArg, 0, 0, 0), end]),
        ("no Return follows", vec![prep, zero(0), abc(Op::TailCall, 0, 1, 0), end]),
        // A loop over whatever happens to be there would count in pointers.
        ("no loop has been prepared", vec![prep, zero(0), zero(1), zero(2), zero(3), Instr::abx(Op::ForLoop, 0, 1).0, end]),
        (
            "no loop has been prepared",
            vec![
                prep,
                zero(0),
                zero(1),
                zero(2),
                Instr::abx(Op::ForPrep, 0, 1).0,
                abc(Op::LoadTrue, 1, 0, 0),
                Instr::abx(Op::ForLoop, 0, 2).0,
                end,
            ],
        ),
        ("is not closed", vec![prep, zero(0), abc(Op::Tbc, 0, 0, 0), end]),
        ("is not closed", vec![prep, zero(0), zero(1), abc(Op::Tbc, 1, 0, 0), Instr::abx(Op::Loop, 1, 1).0, end]),
    ];
    for (what, code) in cases {
        let mut proto = Proto::of(&Source::default());
        (proto.code, proto.max_stack, proto.is_vararg) = (code.clone(), 8, true);
        let verdict = verify(&proto).expect_err(what);
        assert!(verdict.contains(what), "{verdict:?}, not {what:?}");
    }
    // Debug information must not call a box a value, nor the other way round, nor name what a call destroys.
    let sound = compiled("local a, b = 1; local function f() return a end; f(b)");
    for index in 0..sound.locals.len() {
        let mut proto = sound.clone();
        proto.locals[index].boxed ^= true;
        assert!(verify(&proto).is_err());
    }
    let mut proto = sound.clone();
    proto.locals[1].register = 3;
    assert!(verify(&proto).is_err());
}
