//! Syntax errors: the words and the line of each, as the reference implementation has them (`lua5.4`, by `load(source, "=x")`).

use neap::compile::compile;
use neap::syntax::SyntaxError;

fn error(source: &[u8]) -> SyntaxError {
    match compile(source, b"=x") {
        Ok(_) => panic!("no error in {:?}", source.escape_ascii().to_string()),
        Err(error) => error,
    }
}

#[rustfmt::skip]
const MESSAGES: &[(&[u8], &[u8])] = &[
    (b"break", b"x:1: break outside loop at line 1"),
    (b"goto a", b"x:1: no visible label 'a' for <goto> at line 1"),
    (b"do break end x=", b"x:1: unexpected symbol near <eof>"),
    (b"for i=1,2 do end break local x = 1 +", b"x:1: unexpected symbol near <eof>"),
    (b"local x <const> = 1; x = 2 + ", b"x:1: attempt to assign to const variable 'x'"),
    (b"local x <foo> = 1", b"x:1: unknown attribute 'foo'"),
    (b"::a:: ::a::", b"x:1: label 'a' already defined on line 1"),
    (b"::a:: do ::a:: end", b"x:1: label 'a' already defined on line 1"),
    (b"goto l; local a; ::l:: print(a)", b"x:1: <goto l> at line 1 jumps into the scope of local 'a'"),
    (b"do goto l end local a ::l:: a = 1", b"x:1: <goto l> at line 1 jumps into the scope of local 'a'"),
    (b"repeat goto c; local x; ::c:: until x", b"x:1: <goto c> at line 1 jumps into the scope of local 'x'"),
    (b"local a <close>, b <close> = 1", b"x:1: multiple to-be-closed variables in local list"),
    (b"local x <close> = nil; x = 1", b"x:1: attempt to assign to const variable 'x'"),
    (b"local x <const> = f(); function x() end", b"x:1: attempt to assign to const variable 'x'"),
    (b"local x <const> = 1; return function() x = 1 end", b"x:1: attempt to assign to const variable 'x'"),
    (b"local x <const> = f(); return function() x = 1 end", b"x:1: attempt to assign to const variable 'x'"),
    (b"local x <const> = 1; x, y = 1, 2", b"x:1: attempt to assign to const variable 'x'"),
    (b"local x <const> = 1; y, x = 1, 2", b"x:1: attempt to assign to const variable 'x'"),
    (b"x = '\x01\x00abc\n", b"x:1: unfinished string near ''\x01'"),
    (b"x = @", b"x:1: unexpected symbol near '@'"),
    (b"x = \x01", b"x:1: unexpected symbol near '<\\1>'"),
    (b"x = \xc8", b"x:1: unexpected symbol near '<\\200>'"),
    (b"x = $", b"x:1: unexpected symbol near '$'"),
    (b"x = 3x", b"x:1: malformed number near '3x'"),
    (b"x = 0x", b"x:1: malformed number near '0x'"),
    (b"x = 1e", b"x:1: malformed number near '1e'"),
    (b"x = 1e+", b"x:1: malformed number near '1e+'"),
    (b"x = 1..2", b"x:1: malformed number near '1..2'"),
    (b"x = 1.2.3", b"x:1: malformed number near '1.2.3'"),
    (b"x=0x1p", b"x:1: malformed number near '0x1p'"),
    (b"x=08a", b"x:1: malformed number near '08a'"),
    (b"x = 3.4_", b"x:1: malformed number near '3.4_'"),
    (b"x = [==", b"x:1: invalid long string delimiter near '[=='"),
    (b"x = [=", b"x:1: invalid long string delimiter near '[='"),
    (b"x='\\q'", b"x:1: invalid escape sequence near ''\\q'"),
    (b"x='\\300'", b"x:1: decimal escape too large near ''\\300''"),
    (b"x='\\256 '", b"x:1: decimal escape too large near ''\\256 '"),
    (b"x='\\xZZ'", b"x:1: hexadecimal digit expected near ''\\xZ'"),
    (b"x='\\x1", b"x:1: hexadecimal digit expected near ''\\x1'"),
    (b"x='\\x1g'", b"x:1: hexadecimal digit expected near ''\\x1g'"),
    (b"x='\\u{110000000}'", b"x:1: UTF-8 value too large near ''\\u{110000000'"),
    (b"x='\\u{80000000}'", b"x:1: UTF-8 value too large near ''\\u{80000000'"),
    (b"x='\\u123'", b"x:1: missing '{' near ''\\u1'"),
    (b"x='\\u{zz}'", b"x:1: hexadecimal digit expected near ''\\u{z'"),
    (b"x='\\u{12'", b"x:1: missing '}' near ''\\u{12''"),
    (b"x='\\u{12", b"x:1: missing '}' near ''\\u{12'"),
    (b"x = '\\u{}'", b"x:1: hexadecimal digit expected near ''\\u{}'"),
    (b"x='abc", b"x:1: unfinished string near <eof>"),
    (b"x=\"abc\\", b"x:1: unfinished string near <eof>"),
    (b"x='a\\\nb\nc'", b"x:2: unfinished string near ''a\nb'"),
    (b"x = 'a\\z  \n  bc\\y'", b"x:2: invalid escape sequence near ''abc\\y'"),
    (b"x=[[abc\n", b"x:2: unfinished long string (starting at line 1) near <eof>"),
    (b"x=[=[abc]]", b"x:1: unfinished long string (starting at line 1) near <eof>"),
    (b"--[[abc", b"x:1: unfinished long comment (starting at line 1) near <eof>"),
    (b"--[==[ \n\n ]]", b"x:3: unfinished long comment (starting at line 1) near <eof>"),
    (b"x = 'a\nb'", b"x:1: unfinished string near ''a'"),
    (b"x = \"it's\n", b"x:1: unfinished string near '\"it's'"),
    (b"f(", b"x:1: unexpected symbol near <eof>"),
    (b"if x then\n\n", b"x:3: 'end' expected (to close 'if' at line 1) near <eof>"),
    (b"x = }", b"x:1: unexpected symbol near '}'"),
    (b"x", b"x:1: syntax error near <eof>"),
    (b"x.y", b"x:1: syntax error near <eof>"),
    (b"f() = 1", b"x:1: syntax error near '='"),
    (b"(a) = 1", b"x:1: syntax error near '='"),
    (b"(a).b, (c) = 1", b"x:1: syntax error near '='"),
    (b"a, f() = 1, 2", b"x:1: syntax error near '='"),
    (b"a.b, 1 = 2", b"x:1: unexpected symbol near '1'"),
    (b"for x", b"x:1: '=' or 'in' expected near <eof>"),
    (b"for 1", b"x:1: <name> expected near '1'"),
    (b"for x, 1", b"x:1: <name> expected near '1'"),
    (b"for x = 1", b"x:1: ',' expected near <eof>"),
    (b"for x = 1, 2, 3, 4 do end", b"x:1: 'do' expected near ','"),
    (b"for x.y in z do end", b"x:1: '=' or 'in' expected near '.'"),
    (b"return 1 2", b"x:1: <eof> expected near '2'"),
    (b"return return", b"x:1: unexpected symbol near 'return'"),
    (b"function f() return ... end", b"x:1: cannot use '...' outside a vararg function near '...'"),
    (b"a.1", b"x:1: syntax error near '.1'"),
    (b"x = 'a' 'b' 'c'", b"x:1: unexpected symbol near ''b''"),
    (b"x = [[a\nb]] 1 'c'", b"x:2: unexpected symbol near '1'"),
    (b"x = 'c\\65d' y '\\66x' 3", b"x:1: unexpected symbol near '3'"),
    (b"x = [=[p]=] [=[q]=]", b"x:1: unexpected symbol near '[=[q]=]'"),
    (b"x = 12 34", b"x:1: unexpected symbol near '34'"),
    (b"x = 1.5e3 1.5e3", b"x:1: unexpected symbol near '1.5e3'"),
    (b"x = 0x1p4 0x1p4", b"x:1: unexpected symbol near '0x1p4'"),
    (b"x = function(a,b,..., c) end", b"x:1: ')' expected near ','"),
    (b"x = function(1) end", b"x:1: <name> or '...' expected near '1'"),
    (b"x = function(a,) end", b"x:1: <name> or '...' expected near ')'"),
    (b"x = function(a", b"x:1: ')' expected near <eof>"),
    (b"local function 1", b"x:1: <name> expected near '1'"),
    (b"local function a.b() end", b"x:1: '(' expected near '.'"),
    (b"goto 1", b"x:1: <name> expected near '1'"),
    (b"::1::", b"x:1: <name> expected near '1'"),
    (b"::a", b"x:1: '::' expected near <eof>"),
    (b"local 1", b"x:1: <name> expected near '1'"),
    (b"local x <const = 1", b"x:1: '>' expected near '='"),
    (b"local x <", b"x:1: <name> expected near <eof>"),
    (b"local x <1>", b"x:1: <name> expected near '1'"),
    (b"x = {1 2}", b"x:1: '}' expected near '2'"),
    (b"x = {\n1 2}", b"x:2: '}' expected (to close '{' at line 1) near '2'"),
    (b"x = {a=}", b"x:1: unexpected symbol near '}'"),
    (b"x = {[1] 2}", b"x:1: '=' expected near '2'"),
    (b"x = {[1=2}", b"x:1: ']' expected near '='"),
    (b"x = {=1}", b"x:1: unexpected symbol near '='"),
    (b"f{\n", b"x:2: unexpected symbol near <eof>"),
    (b"f{", b"x:1: unexpected symbol near <eof>"),
    (b"x:y = 1", b"x:1: function arguments expected near '='"),
    (b"x:y", b"x:1: function arguments expected near <eof>"),
    (b"x:1()", b"x:1: <name> expected near '1'"),
    (b"x = a and", b"x:1: unexpected symbol near <eof>"),
    (b"x = not", b"x:1: unexpected symbol near <eof>"),
    (b"x = -", b"x:1: unexpected symbol near <eof>"),
    (b"x = #", b"x:1: unexpected symbol near <eof>"),
    (b"x = ~", b"x:1: unexpected symbol near <eof>"),
    (b"x == 1", b"x:1: syntax error near '=='"),
    (b"x ~= 1", b"x:1: syntax error near '~='"),
    (b"x += 1", b"x:1: syntax error near '+'"),
    (b"and", b"x:1: unexpected symbol near 'and'"),
    (b"end", b"x:1: <eof> expected near 'end'"),
    (b"until x", b"x:1: <eof> expected near 'until'"),
    (b"else", b"x:1: <eof> expected near 'else'"),
    (b"elseif", b"x:1: <eof> expected near 'elseif'"),
    (b"x = 1 end", b"x:1: <eof> expected near 'end'"),
    (b"do", b"x:1: 'end' expected near <eof>"),
    (b"do end end", b"x:1: <eof> expected near 'end'"),
    (b"while 1 then", b"x:1: 'do' expected near 'then'"),
    (b"while 1 do\n\n", b"x:3: 'end' expected (to close 'while' at line 1) near <eof>"),
    (b"repeat\n x()", b"x:2: 'until' expected (to close 'repeat' at line 1) near <eof>"),
    (b"repeat until", b"x:1: unexpected symbol near <eof>"),
    (b"for i=1 do", b"x:1: ',' expected near 'do'"),
    (b"for i in 1,2 then", b"x:1: 'do' expected near 'then'"),
    (b"for i = 1, 2 do\n\n", b"x:3: 'end' expected (to close 'for' at line 1) near <eof>"),
    (b"function", b"x:1: <name> expected near <eof>"),
    (b"function f", b"x:1: '(' expected near <eof>"),
    (b"function f(", b"x:1: <name> or '...' expected near <eof>"),
    (b"function f()\n\n", b"x:3: 'end' expected (to close 'function' at line 1) near <eof>"),
    (b"function f.x.y.1() end", b"x:1: '(' expected near '.1'"),
    (b"function f:x.y() end", b"x:1: '(' expected near '.'"),
    (b"function 1() end", b"x:1: <name> expected near '1'"),
    (b"function f[1]() end", b"x:1: '(' expected near '['"),
    (b"(\n1 x", b"x:2: ')' expected (to close '(' at line 1) near 'x'"),
    (b"(1 x", b"x:1: ')' expected near 'x'"),
    (b"a[\n1 x", b"x:2: ']' expected near 'x'"),
    (b"a[", b"x:1: unexpected symbol near <eof>"),
    (b"x = (", b"x:1: unexpected symbol near <eof>"),
    (b"x = ((1)", b"x:1: ')' expected near <eof>"),
    (b"= 1", b"x:1: unexpected symbol near '='"),
    (b", a = 1", b"x:1: unexpected symbol near ','"),
    (b"a, = 1", b"x:1: unexpected symbol near '='"),
    (b"a,, b = 1", b"x:1: unexpected symbol near ','"),
    (b". a", b"x:1: unexpected symbol near '.'"),
    (b"a..b = 1", b"x:1: syntax error near '..'"),
    (b"... = 1", b"x:1: unexpected symbol near '...'"),
    (b"x = ...\n(1)x", b"x:2: syntax error near 'x'"),
    (b"if", b"x:1: unexpected symbol near <eof>"),
    (b"if x", b"x:1: 'then' expected near <eof>"),
    (b"if x do end", b"x:1: 'then' expected near 'do'"),
    (b"if x then else elseif y then end", b"x:1: 'end' expected near 'elseif'"),
    (b"if x then else else end", b"x:1: 'end' expected near 'else'"),
    (b"local", b"x:1: <name> expected near <eof>"),
    (b"local function", b"x:1: <name> expected near <eof>"),
    (b"local x, ", b"x:1: <name> expected near <eof>"),
    (b"local x = ", b"x:1: unexpected symbol near <eof>"),
    (b"return,", b"x:1: unexpected symbol near ','"),
    (b"return 1,", b"x:1: unexpected symbol near <eof>"),
    (b"goto", b"x:1: <name> expected near <eof>"),
    (b"goto continue", b"x:1: no visible label 'continue' for <goto> at line 1"),
    (b"while true do goto continue end ::continue:: ; x = 1 goto nowhere", b"x:1: no visible label 'nowhere' for <goto> at line 1"),
    (b"x = 'a", b"x:1: unfinished string near <eof>"),
    (b"x = \"", b"x:1: unfinished string near <eof>"),
    (b"x = ]", b"x:1: unexpected symbol near ']'"),
    (b"x = a b", b"x:1: syntax error near <eof>"),
    (b"x = a\n\n.1", b"x:3: unexpected symbol near '.1'"),
    (b"\n\n\n!", b"x:4: unexpected symbol near '!'"),
    (b"x = a ? b", b"x:1: unexpected symbol near '?'"),
    (b"x = a.b:c = 1", b"x:1: function arguments expected near '='"),
    (b"x = {} {}", b"x:1: unexpected symbol near '{'"),
    (b"x = nil nil", b"x:1: unexpected symbol near 'nil'"),
    (b"x = 1 = 2", b"x:1: unexpected symbol near '='"),
    (b"a = b = c", b"x:1: unexpected symbol near '='"),
    (b"--[[\n\n]] x y", b"x:3: syntax error near 'y'"),
    (b"((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((", b"C stack overflow"),
    (b"x = {{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{", b"C stack overflow"),
    (b"::a::::a::", b"x:1: label 'a' already defined on line 1"),
];

#[test]
fn messages() {
    for &(source, message) in MESSAGES {
        let error = error(source);
        let (found, wanted) = (error.message.escape_ascii().to_string(), message.escape_ascii().to_string());
        assert_eq!(found, wanted, "in {:?}", source.escape_ascii().to_string());
        assert_eq!(error.incomplete, message.ends_with(b"near <eof>"));
    }
}

/// `n` pieces in a row.
fn repeat(piece: &str, n: usize) -> String {
    piece.repeat(n)
}

#[test]
fn limits() {
    let many = |n: usize| format!("local {}a", repeat("a,", n - 1));
    let message = |source: String| String::from_utf8(error(source.as_bytes()).message).unwrap();
    assert!(compile(many(200).as_bytes(), b"=x").is_ok());
    assert_eq!(message(many(201)), "x:1: too many local variables (limit is 200) in main function near <eof>");
    assert_eq!(
        message(format!("\nfunction f() {} end", many(201))),
        "x:2: too many local variables (limit is 200) in function at line 2 near 'end'"
    );
    // A numeric loop takes four variables, a generic one five.
    assert!(compile(format!("{} for i = 1, 2 do end", many(196)).as_bytes(), b"=x").is_ok());
    assert_eq!(
        message(format!("{} for i = 1, 2 do end", many(197))),
        "x:1: too many local variables (limit is 200) in main function near '='"
    );
    assert_eq!(
        message(format!("{} for i in x do end", many(196))),
        "x:1: too many local variables (limit is 200) in main function near 'in'"
    );

    let upvalues = |n: usize| {
        let declare = |name: char| (0..128).map(|i| format!("local {name}{i} = f() ")).collect::<String>();
        let uses = (0..n).map(|i| format!("x = {}{} ", if i < 128 { 'a' } else { 'b' }, i % 128)).collect::<String>();
        format!("{}\nfunction g() {}\nreturn function() {uses} end end", declare('a'), declare('b'))
    };
    // `_ENV` is one of them.
    assert!(compile(upvalues(254).as_bytes(), b"=x").is_ok());
    assert_eq!(message(upvalues(255)), "x:3: too many upvalues (limit is 255) in function at line 3 near 'end'");

    let args = |n: usize| format!("f({}x)", repeat("x,", n - 1));
    assert!(compile(args(254).as_bytes(), b"=x").is_ok());
    assert_eq!(message(args(255)), "x:1: function or expression needs too many registers near ')'");
    // The token that is blamed is the one at which the registers are used up.
    let list = |open: &str, item: &str, close: &str| format!("{open}{}{close}", repeat(item, 300));
    assert_eq!(message(list("f(", "1,\n", "1)")), "x:256: function or expression needs too many registers near '1'");
    for (item, near) in [("1, ", "'1'"), ("x, ", "'x'"), ("x(), ", "'('"), ("{}, ", "'{'"), ("x:y(), ", "'('")] {
        let expected = format!("x:1: function or expression needs too many registers near {near}");
        assert_eq!(message(list("return f(", item, "1)")), expected);
        assert_eq!(message(list("return ", item, "1")), expected);
    }
}

#[test]
fn nesting() {
    let deep: &[(&str, &str, usize)] = &[
        ("return ", "(", 195),
        ("return ", "- ", 195),
        ("return ", "not ", 195),
        ("return ", "a..", 195),
        ("return ", "a^", 195),
        ("x = ", "{", 196),
        ("x = ", "a(", 195),
        ("x = ", "a[", 195),
        ("", "do ", 197),
        ("", "while a do ", 197),
        ("", "repeat ", 197),
        ("", "if a then ", 197),
        ("", "function f() ", 197),
    ];
    for &(start, piece, limit) in deep {
        // One more than the limit is too much, wherever the text would end; with one less it only ends too early.
        for n in [limit + 1, 1000, 100_000] {
            let error = error(format!("{start}{}", repeat(piece, n)).as_bytes());
            assert_eq!(error.message, b"C stack overflow", "{piece}");
        }
        let open = error(format!("{start}{}", repeat(piece, limit - 1)).as_bytes());
        assert!(open.message.starts_with(b"x:1: "), "{piece}");
    }
}

#[test]
fn chunk_names() {
    let name = |name: &[u8]| String::from_utf8(compile(b"x", name).unwrap_err().message).unwrap();
    assert_eq!(name(b"@file.lua"), "file.lua:1: syntax error near <eof>");
    assert_eq!(name(b"x"), "[string \"x\"]:1: syntax error near <eof>");
    assert_eq!(name(b"x = 1\ny"), "[string \"x = 1...\"]:1: syntax error near <eof>");
    let long = [b'y'; 100];
    assert_eq!(name(&long), format!("[string \"{}...\"]:1: syntax error near <eof>", repeat("y", 45)));
}
