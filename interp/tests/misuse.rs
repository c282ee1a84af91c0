//! A table of misuse: small programs with an error of manual memory, each of which must be caught and named, and beside each the same program done right, of which nothing
//! may be told.

mod common;

use std::time::Duration;

struct Case {
    /// A part of what is told.
    told: &'static str,
    wrong: &'static str,
    right: &'static str,
}

const fn case(told: &'static str, wrong: &'static str, right: &'static str) -> Case {
    Case { told, wrong, right }
}

/// Makes the file that some of the programs map.
const FILE: &str = "local name = os.tmpname() local f = io.open(name, 'w') f:write(('x'):rep(8192)) f:close() \
    local done <close> = setmetatable({}, {__close = function() os.remove(name) end}) ";

const CASES: &[Case] = &[
    // Bounds.
    case(
        "out of bounds: write of 1 byte at offset 8 of block of 8 bytes",
        "local b <close> = mem.malloc(8) for i = 0, 8 do b:write(i, 'B', i) end",
        "local b <close> = mem.malloc(8) for i = 0, 7 do b:write(i, 'B', i) end",
    ),
    case(
        "out of bounds: read of 4 bytes at offset 5",
        "local b <close> = mem.calloc(8) b:read(5, 'i4')",
        "local b <close> = mem.calloc(8) b:read(4, 'i4')",
    ),
    case(
        "out of bounds: write of 1 byte at offset -1",
        "local b <close> = mem.calloc(8) b:write(-1, 'B', 0)",
        "local b <close> = mem.calloc(8) b:write(0, 'B', 0)",
    ),
    case(
        "out of bounds: write of 6 bytes at offset 0 of block of 5 bytes",
        "local b <close> = mem.malloc(#'hello') b:write(0, 'z', 'hello')",
        "local b <close> = mem.malloc(#'hello' + 1) b:write(0, 'z', 'hello')",
    ),
    case(
        "out of bounds: read of 5 bytes at offset 0 of block of 4 bytes",
        "local b <close> = mem.malloc(4) b:fill(65) b:read(0, 'z')",
        "local b <close> = mem.malloc(4) b:fill(65) b:write(3, 'B', 0) b:read(0, 'z')",
    ),
    case(
        "out of bounds: write of 9 bytes",
        "local a <close> = mem.calloc(8) local b <close> = mem.calloc(9) a:copy(0, b)",
        "local a <close> = mem.calloc(8) local b <close> = mem.calloc(9) a:copy(0, b, 0, 8)",
    ),
    case(
        "out of bounds: read of 9 bytes",
        "local a <close> = mem.calloc(9) local b <close> = mem.calloc(8) a:copy(0, b, 0, 9)",
        "local a <close> = mem.calloc(9) local b <close> = mem.calloc(8) a:copy(0, b, 0, 8)",
    ),
    case(
        "out of bounds: write of 17 bytes",
        "local b <close> = mem.malloc(16) b:fill(0, 0, 17)",
        "local b <close> = mem.malloc(16) b:fill(0, 0, 16)",
    ),
    case(
        "out of bounds: entry 5 of an array of 4",
        "local b <close> = mem.calloc(4, 8) local a = mem.array(b, 'd') for i = 1, 5 do a[i] = i end",
        "local b <close> = mem.calloc(4, 8) local a = mem.array(b, 'd') for i = 1, #a do a[i] = i end",
    ),
    case(
        "out of bounds: entry 0 of an array of 4",
        "local b <close> = mem.calloc(4, 8) local a = mem.array(b, 'd') for i = 0, 3 do a[i] = i end",
        "local b <close> = mem.calloc(4, 8) local a = mem.array(b, 'd') for i = 1, 4 do a[i] = i end",
    ),
    case(
        "out of bounds: read of 24 bytes at offset 0 of block of 23 bytes",
        "local S = mem.struct{{'n', 'i8'}, {'p', 'p'}} local b <close> = mem.calloc(23) S(b)",
        "local S = mem.struct{{'n', 'i8'}, {'p', 'p'}} local b <close> = mem.calloc(#S) S(b)",
    ),
    case(
        "out of bounds: write of 4 bytes at offset 4 of block of 4 bytes",
        "local b <close> = mem.calloc(8) b:realloc(4) b:write(4, 'i4', 1)",
        "local b <close> = mem.calloc(4) b:realloc(8) b:write(4, 'i4', 1)",
    ),
    case(
        "out of bounds: read of 255 bytes",
        "local b <close> = mem.malloc(16) b:fill(255) b:read(0, 's1')",
        "local b <close> = mem.malloc(16) b:fill(15) b:read(0, 's1')",
    ),
    case(
        "out of bounds: write of 4 bytes at offset 9223372036854775807",
        "local b <close> = mem.calloc(8) b:write(math.maxinteger, 'i4', 1)",
        "local b <close> = mem.calloc(8) b:write(math.maxinteger & 3, 'i4', 1)",
    ),
    // What was never written.
    case(
        "uninitialised read: byte 0 of block of 8 bytes",
        "local b <close> = mem.malloc(8) b:read(0, 'i8')",
        "local b <close> = mem.calloc(8) b:read(0, 'i8')",
    ),
    case(
        "uninitialised read: byte 4",
        "local b <close> = mem.malloc(8) b:write(0, 'i4', 1) b:read(0, 'i8')",
        "local b <close> = mem.malloc(8) b:write(0, 'i4 i4', 1, 2) b:read(0, 'i8')",
    ),
    case(
        "uninitialised read: byte 8",
        "local b <close> = mem.calloc(8) b:realloc(16) b:read(8, 'B')",
        "local b <close> = mem.calloc(8) b:realloc(16) b:fill(0, 8) b:read(8, 'B')",
    ),
    case(
        "uninitialised read: byte 2",
        "local a <close> = mem.malloc(4) local b <close> = mem.malloc(4) a:write(0, 'BB', 1, 2) b:copy(0, a) b:string()",
        "local a <close> = mem.malloc(4) local b <close> = mem.malloc(4) a:write(0, 'BB', 1, 2) b:copy(0, a) b:string(1, 2)",
    ),
    case(
        "uninitialised read: byte 1",
        "local S = mem.struct{packed = true, {'a', 'B'}, {'b', 'i4'}} local b <close> = mem.malloc(#S) local v = S(b) v.a = 1 print(v.b)",
        "local S = mem.struct{packed = true, {'a', 'B'}, {'b', 'i4'}} local b <close> = mem.malloc(#S) local v = S(b) v.b = 1 assert(v.b == 1)",
    ),
    // Use after free.
    case(
        "use after free: block of 8 bytes allocated at script:1, freed at script:1",
        "local b = mem.calloc(8) b:free() b:read(0, 'B')",
        "local b = mem.calloc(8) b:read(0, 'B') b:free()",
    ),
    case(
        "use after free",
        "local b = mem.calloc(8) b:free() b:write(0, 'B', 1)",
        "local b = mem.calloc(8) b:write(0, 'B', 1) b:free()",
    ),
    case("use after free", "local b = mem.calloc(8) b:free() b:realloc(9)", "local b = mem.calloc(8) b:realloc(9) b:free()"),
    case(
        "use after free",
        "local keep do local b <close> = mem.calloc(8) keep = b end keep:read(0, 'B')",
        "local keep do local b = mem.calloc(8) keep = b end keep:read(0, 'B') keep:free()",
    ),
    case(
        "use after free",
        "local keep mem.scope(function(s) keep = s:calloc(8) end) keep:read(0, 'B')",
        "local keep mem.scope(function(s) keep = s:calloc(8) keep:read(0, 'B') end)",
    ),
    case(
        "use after free",
        "local b = mem.calloc(4, 4) local a = mem.array(b, 'i4') b:free() print(a[1])",
        "local b = mem.calloc(4, 4) local a = mem.array(b, 'i4') assert(a[1] == 0) b:free()",
    ),
    case(
        "use after free",
        "local S = mem.struct{{'next', 'p'}} local a, b = S:new(), S:new() a.next = b mem.free(b) S(a.next) mem.free(a)",
        "local S = mem.struct{{'next', 'p'}} local a, b = S:new(), S:new() a.next = b S(a.next) mem.free(b) mem.free(a)",
    ),
    // Dangling and wild pointers.
    case(
        "use after free",
        "local b = mem.calloc(8) local p = mem.address(b, 4) b:free() p:read(0, 'B')",
        "local b = mem.calloc(8) local p = mem.address(b, 4) p:read(0, 'B') b:free()",
    ),
    case(
        "use after free",
        "local b = mem.calloc(8) local p = mem.address(b) b:realloc(800) p:write(0, 'B', 1)",
        "local b = mem.calloc(8) b:realloc(800) local p = mem.address(b) p:write(0, 'B', 1) b:free()",
    ),
    case(
        "use after free",
        "local function push(head) local n = mem.malloc(16) n:write(0, 'p', head) return mem.address(n) end
        local list = push(push(mem.null))
        while not list:isnull() do mem.free(list) list = list:read(0, 'p') end",
        "local function push(head) local n = mem.malloc(16) n:write(0, 'p', head) return mem.address(n) end
        local list = push(push(mem.null))
        while not list:isnull() do local next = list:read(0, 'p') mem.free(list) list = next end",
    ),
    case(
        "out of bounds: read of 1 byte at offset 8 of block of 8 bytes",
        "local a <close> = mem.calloc(8) local b <close> = mem.calloc(8) local p = mem.address(a) for i = 0, 8 do p:read(i, 'B') end",
        "local a <close> = mem.calloc(8) local b <close> = mem.calloc(8) local p = mem.address(a) for i = 0, 7 do p:read(i, 'B') end",
    ),
    case(
        "null pointer",
        "local S = mem.struct{{'next', 'p'}} local a = S:new() S(a.next)",
        "local S = mem.struct{{'next', 'p'}} local a = S:new() if not a.next:isnull() then S(a.next) end mem.free(a)",
    ),
    case(
        "pointers into different blocks",
        "local a <close> = mem.calloc(8) local b <close> = mem.calloc(8) print(mem.address(a) - mem.address(b))",
        "local a <close> = mem.calloc(8) assert(mem.address(a, 8) - mem.address(a) == 8)",
    ),
    // Freeing.
    case(
        "double free: block of 8 bytes",
        "local b = mem.malloc(8) b:free() b:free()",
        "local b = mem.malloc(8) b:free() b = mem.malloc(8) b:free()",
    ),
    case(
        "double free",
        "local b = mem.malloc(8) local p, q = mem.address(b), mem.address(b) mem.free(p) mem.free(q)",
        "local b = mem.malloc(8) local p, q = mem.address(b), mem.address(b) mem.free(p)",
    ),
    case(
        "double free: block of 8 bytes allocated at script:1, freed at script:1 (in a finalizer)",
        "local b = mem.malloc(8) b:free() setmetatable({}, {__gc = function() b:free() end})",
        "local b = mem.malloc(8) setmetatable({}, {__gc = function() b:free() end})",
    ),
    case(
        "invalid free: 4 bytes behind the start of block of 8 bytes",
        "local b <close> = mem.malloc(8) mem.free(mem.address(b, 4))",
        "local b = mem.malloc(8) mem.free(mem.address(b, 4) - 4)",
    ),
    case("mem.block expected, got table", "mem.free({})", "mem.free(mem.malloc(1))"),
    case(
        "mem.block expected, got number",
        "local b <close> = mem.malloc(8) mem.free(mem.address(b):integer())",
        "mem.free(mem.address(mem.malloc(8)))",
    ),
    case("the break region is no block", "mem.free(mem.sbrk(64))", "mem.sbrk(64) mem.brk(0)"),
    // Forgetting.
    case("leak: block of 64 bytes allocated at script:1 was never freed", "mem.malloc(64)", "mem.malloc(64):free()"),
    case(
        "leak: 2 blocks, 16 bytes in all, allocated at script:1 were never freed",
        "for i = 1, 3 do local b = mem.malloc(8) if i == 2 then b:free() end end",
        "for i = 1, 3 do local b <close> = mem.malloc(8) end",
    ),
    case(
        "leak: block of 16 bytes",
        "local n = mem.malloc(16) n:write(0, 'p', nil) local p = mem.address(n) p = mem.null",
        "local n = mem.malloc(16) n:write(0, 'p', nil) local p = mem.address(n) mem.free(p) p = mem.null",
    ),
    case(
        "leak: block of 100 bytes",
        "pcall(function() local b = mem.malloc(100) error 'left' b:free() end)",
        "pcall(function() local b <close> = mem.malloc(100) error 'left' end)",
    ),
    // The memory of the system.
    case(
        "out of bounds: write of 1 byte at offset 100 of the break region of 100 bytes",
        "local p = mem.sbrk(100) p:write(100, 'B', 1)",
        "local p = mem.sbrk(101) p:write(100, 'B', 1)",
    ),
    case(
        "out of bounds",
        "local p = mem.sbrk(100) p:write(0, 'B', 1) mem.sbrk(-100) p:read(0, 'B')",
        "local p = mem.sbrk(100) p:write(0, 'B', 1) p:read(0, 'B') mem.sbrk(-100)",
    ),
    case(
        "protection: write to read-only mapping",
        "FILE local m <close> = mem.map{file = name} m:write(0, 'B', 1)",
        "FILE local m <close> = mem.map{file = name, mode = 'r+'} m:write(0, 'B', 1)",
    ),
    case(
        "out of bounds: read of 1 byte at offset 8192 of read-only mapping of 8192 bytes",
        "FILE local m <close> = mem.map{file = name} m:read(8192, 'B')",
        "FILE local m <close> = mem.map{file = name} m:read(8191, 'B')",
    ),
    case(
        "use after unmap",
        "FILE local m = mem.map{file = name} m:unmap() m:read(0, 'B')",
        "FILE local m = mem.map{file = name} m:read(0, 'B') m:unmap()",
    ),
    case(
        "the file ends before offset 4096",
        "FILE local m <close> = mem.map{file = name} io.open(name, 'w'):write('short'):close() m:read(5000, 'B')",
        "FILE local m <close> = mem.map{file = name} io.open(name, 'w'):write('short'):close() m:read(0, 'c5')",
    ),
];

/// Runs a program; whether it ended well, and what it told.
fn run(program: &str) -> (bool, String) {
    let program = program.replace("FILE ", FILE);
    let mut command = common::command();
    command.args(["--leaks=error", "-e", "assert(load(arg[1], '=script'))()", "-"]).arg(program);
    let outcome = common::run(command, b"", Duration::from_secs(60)).expect("a run");
    assert!(outcome.status.code().is_some(), "the process died");
    (outcome.status.success(), String::from_utf8_lossy(&outcome.stderr).into_owned())
}

#[test]
fn each_misuse_is_caught_and_named() {
    assert!(CASES.len() >= 40);
    for Case { told, wrong, .. } in CASES {
        let (fine, text) = run(wrong);
        assert!(!fine && text.contains(told), "{wrong}\ntells\n{text}\nnot\n{told}");
    }
}

#[test]
fn nothing_is_told_of_what_is_right() {
    for Case { right, .. } in CASES {
        let (fine, text) = run(right);
        assert!(fine && text.is_empty(), "{right}\ntells\n{text}");
    }
}

/// The error can be caught, and leaves everything else as it was.
#[test]
fn misuse_can_be_caught() {
    for Case { told, wrong, .. } in CASES.iter().filter(|case| !case.told.contains("leak") && !case.told.contains("finalizer")) {
        let (_, text) = run(&format!(
            "local ok, message = pcall(function() {wrong}\nend)
            assert(not ok) io.stderr:write(message, '\\n')
            local b = mem.calloc(8) b:write(0, 'i8', 7) assert(b:read(0, 'i8') == 7) b:free()
            io.stderr:write('gone on\\n')"
        ));
        let mut lines = text.lines();
        assert!(
            lines.next().is_some_and(|line| line.contains(told)) && lines.next() == Some("gone on"),
            "{wrong}\ntells\n{text}"
        );
    }
}
