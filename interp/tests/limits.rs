//! Limits: memory that is refused, recursion without end, streams that are closed. Each is an error that the program can catch or a clean
//! exit, and what else the program has is as it was. And memory that is no longer used comes back while the program runs on.

mod common;

use common::is_neap;
use std::process::Command;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(300);

/// What a run wrote to both streams; it must end by itself, with success.
fn output(command: Command) -> String {
    let outcome = common::run(command, b"", LIMIT).expect("a run");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let (out, err) = (text(outcome.stdout), text(outcome.stderr));
    assert!(outcome.status.success(), "{}\n{out}{err}", outcome.status);
    out + &err
}

fn run(words: &[&str]) -> String {
    let mut command = common::command();
    command.args(words);
    output(command)
}

/// Before each program below: a function that demands that a call be refused for want of memory, and everything else be in place afterwards.
const REFUSED: &str = r#"
    local kept = {1, 2, {x = 'y'}, ('text'):rep(1000), coroutine.wrap(function() local n = 0 while true do n = n + 1 coroutine.yield(n) end end)}
    local calls = 0
    local function refused(f, ...)
        local ok, message = pcall(f, ...)
        assert(not ok and message == 'not enough memory', tostring(message))
        calls = calls + 1
        assert(kept[1] == 1 and kept[2] == 2 and kept[3].x == 'y' and kept[4] == ('text'):rep(1000) and kept[5]() == calls)
        collectgarbage()
        collectgarbage()
        assert(collectgarbage('count') < 50 * 1024)
    end
    local big = ('x'):rep(10000000)
"#;

fn refused(program: &str) {
    refused_beyond("64M", program);
}

fn refused_beyond(limit: &str, program: &str) {
    if is_neap() {
        run(&["--heap-limit", limit, "-e", &format!("{REFUSED} {program}")]);
    }
}

#[test]
fn long_texts_are_refused() {
    refused(
        r#"
        refused(string.rep, 'x', 1e9)
        refused(function() return ('x'):rep(1e9) end)
        refused(string.rep, big, 100, ', ')
        local t = {} for i = 1, 100 do t[i] = big end
        refused(table.concat, t)
        refused(table.concat, t, big)
        refused(string.gsub, big, 'x', 'yyyyyyyyyyyyyyyy')
        refused(string.gsub, big, 'x+', ('%0'):rep(50))
        refused(string.gsub, big, 'x', {x = ('z'):rep(50)})
        refused(string.gsub, big, 'x', function() return 'zzzzzzzzzzzzzzzzzzzzzzzzzzz' end)
        refused(string.format, ('%s'):rep(10), big, big, big, big, big, big, big, big, big, big)
        refused(string.format, '%q', ('\0'):rep(3e7))
        refused(string.pack, 'c1000000000', 'x')
        refused(string.pack, 'sssssss', big, big, big, big, big, big, big)
        refused(function() return big .. big .. big .. big .. big .. big .. big end)
        refused(function() return big .. big .. big .. big .. big .. big .. big .. big .. big .. big .. big .. big .. big .. big end)
        refused(function() return (big .. big .. big):upper() end)
        refused(function() return (big .. big .. big):reverse() end)
        refused(function() local s = 'x' while true do s = s .. s end end)
        local block <close> = mem.malloc(30000000)
        block:fill(0)
        refused(block.read, block, 0, 'c30000000')"#,
    );
}

#[test]
fn what_is_read_is_refused() {
    refused(
        r#"
        local f = assert(io.tmpfile())
        for i = 1, 8 do f:write(big) end
        for _, format in ipairs {'a', 'l', 100000000} do
            f:seek('set')
            refused(f.read, f, format)
        end
        local function read(i) return #f:read(i) end
        f:seek('set')
        assert(read(1000) == 1000)
        local loaded, message = load(function() return big end)
        assert(not loaded and message == 'not enough memory')"#,
    );
}

/// What is not on the heap counts against its limit all the same: a compiled pattern, a binary chunk on its way.
#[test]
fn what_the_host_needs_is_refused() {
    refused(
        r#"
        refused(string.find, 'x', big .. '.')
        refused(string.gsub, 'x', big .. '.', '')
        refused(string.gmatch, 'x', big .. '.')
        assert(not ('x'):find(big, 1, true) and not ('x'):find(big))
        local nils = string.dump(load('return ' .. ('nil, '):rep(200) .. 'nil'))
        local f, message = load(nils:rep(1000))
        assert(f)
        local chunk = string.dump(load('local a = ... ' .. ('a = a + 1 '):rep(100000)), true)
        big = nil
        -- The heap is nearly full.
        local kept = {}
        for _, bits in ipairs {20, 14} do
            pcall(function() for i = 1, 10000 do kept[#kept + 1] = ('x'):rep(1 << bits) .. i end end)
        end
        local f, message = load(chunk)
        assert(not f and message == 'not enough memory', message)
        kept = nil collectgarbage()
        assert(load(chunk)(1) == nil)"#,
    );
}

/// What a program prints is not gathered, and neither are warnings.
#[test]
#[cfg(target_os = "linux")]
#[cfg_attr(neap_asan, ignore = "the sanitizer has memory of its own")]
fn long_outputs_are_not_gathered() {
    if !is_neap() {
        return;
    }
    let program = "local t = {} for i = 1, 100 do t[i] = big end
        local function peak() return tonumber(io.open('/proc/self/status'):read('a'):match('VmHWM:%s+(%d+)')) end
        local before = peak() print(table.unpack(t)) warn('@on') warn(table.unpack(t)) io.write(table.unpack(t))
        assert(peak() < before + 2048, peak() - before)";
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "\"$0\" --heap-limit 16M -e \"big = ('x'):rep(4e6)\" -e \"$1\" 2>/dev/null | tail -c 3"]);
    shell.arg(common::interpreter()).arg(program);
    assert_eq!(output(shell), "xxx");
}

/// Where the system refuses memory, an error comes of it.
#[test]
#[cfg(target_os = "linux")]
#[cfg_attr(neap_asan, ignore = "the sanitizer has memory of its own")]
fn refusals_of_the_system_are_errors() {
    if !is_neap() {
        return;
    }
    for program in [
        "local s = ('x'):rep(3e8) return s .. s",
        "return load('return {' .. ('a, '):rep(2e7) .. '}')",
        "return load(('x = 1 '):rep(1e7))",
        "return load('return ' .. ('a + '):rep(1e7) .. 'a')",
        "return load('return [[' .. ('x'):rep(1.5e8) .. ']]')",
        "return load(('do local a, b = {}, a.b(a) goto c ::c:: end '):rep(2e6))",
        "return ('x'):find(('.'):rep(1e8))",
        "local t = {} for i = 1, 1e9 do t[i] = {i} end",
        "local t = {} for i = 1, 1e9 do t[i] = 'key ' .. i end",
        "return load(function() return 'x = 1 ' end)",
        "return io.open('/dev/zero'):read('a')",
    ] {
        let guarded = format!("local ok, f, message = pcall(function() {program} end) io.write(tostring(ok and message or f))");
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", "ulimit -v 500000; exec \"$0\" -e \"$1\""]).arg(common::interpreter()).arg(guarded);
        assert_eq!(output(shell), "not enough memory", "{program}");
    }
}

/// A text without end that is no program is refused as soon as that can be seen.
/// The standard error is a pipe that nobody reads.
#[test]
fn warnings_that_nobody_reads_end_with_the_time() {
    if !is_neap() {
        return;
    }
    let program =
        "warn('@on') io.write(select(2, limits.run({time = 0.1}, function() while true do warn(('x'):rep(100000)) end end)))";
    let mut command = common::command();
    let piped = std::process::Stdio::piped;
    let mut child = command.args(["-e", program]).stdout(piped()).stderr(piped()).spawn().expect("a process");
    let start = std::time::Instant::now();
    while child.try_wait().expect("a state").is_none() && start.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(10));
    }
    // If it has not ended, it will not.
    let _ = child.kill();
    let output = child.wait_with_output().expect("an output");
    assert_eq!((output.status.success(), &output.stdout[..]), (true, &b"time"[..]));
}

#[test]
fn endless_texts_are_refused() {
    if !is_neap() {
        return;
    }
    let told = run(&["--heap-limit", "32M", "-e", "print(loadfile('/dev/zero'))"]);
    assert_eq!(told, "nil\t/dev/zero:1: unexpected symbol\n");
    let program = "local n = 0 local f, message = load(function() n = n + 1 return 'x = = 1 ' end, '=x')
        print(f, message, n < 10000, (load(function() return '\\27Lua' end)), (load(function() return 'x = 1 ' end, 'x', 'b')))
        print(load(function() return '-- a comment' end))";
    let told = run(&["--heap-limit", "32M", "-e", program]);
    assert_eq!(told, "nil\tx:1: unexpected symbol near '='\ttrue\tnil\tnil\nnil\tnot enough memory\n");
    let mut command = common::command();
    command.arg("/dev/zero");
    let outcome = common::run(command, b"", LIMIT).expect("a run");
    assert_eq!(String::from_utf8_lossy(&outcome.stderr).lines().next(), Some("neap: /dev/zero:1: unexpected symbol"));
    for code in ["read('a')", "read('l')", "lines()()", "read(1 << 40)"] {
        let told =
            run(&["--heap-limit", "32M", "-e", &format!("print(pcall(function() return io.open('/dev/zero'):{code} end))")]);
        assert_eq!(told, "false\tnot enough memory\n", "{code}");
    }
}

/// What the compiler makes of a source is not on the heap, and is refused all the same.
#[test]
#[cfg_attr(neap_asan, ignore = "the sanitizer has memory of its own")]
fn large_sources_are_refused() {
    refused(
        r#"
        local function peak()
            local status = io.open('/proc/self/status')
            local text = status and status:read('a')
            return text and tonumber(text:match('VmHWM:%s+(%d+)')) or 0
        end
        local before = peak()
        big = nil
        collectgarbage()
        for _, text in ipairs {
            {'return a', '+a', 2000000, ''}, {'return {', '-a,', 1000000, '}'}, {'', 'a=b ', 1000000, ''}, {'', 'f() ', 1000000, ''},
            {'', 'do end ', 2500000, ''}, {'return ', 'function() end, ', 600000, '1'},
            {'', 'if a then elseif b then end ', 600000, ''}, {'return {', '{}, ', 1500000, '}'},
            {'', 'do local a end ', 800000, ''}, {'', 'for i = 1, 2 do end ', 300000, ''}, {'', 'f"" ', 1000000, ''},
            {'local function f(a, b) end ', 'function t.f(a, b) end ', 200000, ''},
        } do
            local source = text[1] .. text[2]:rep(text[3]) .. text[4]
            local f, message = load(source)
            assert(not f and message == 'not enough memory', message)
            refused(function() error(select(2, load(source)), 0) end)
        end
        local pieces = 0
        local f, message = load(function() pieces = pieces + 1 if pieces < 1000000 then return 'a = b ' end end)
        assert(not f and message == 'not enough memory', message)
        -- 10 MB of it were there before; the host's allocator keeps a part of what it has had.
        assert(peak() <= before + 60 * 1024, 'more memory than the limit')
        -- A single name.
        local f, message = load(('x'):rep(40000000))
        assert(not f and message == 'not enough memory', message)
        -- What fits is compiled, whatever garbage there is.
        local source = 'return a' .. ('+a'):rep(100000)
        for i = 1, 50 do assert(load(source)) end
        assert(load(source, '=x', 't', {a = 1})() == 100001)"#,
    );
}

#[test]
fn many_objects_are_refused() {
    for make in [
        "i",
        "{}",
        "{t}",
        "tostring(i)",
        "'key ' .. i",
        "function() return i end",
        "coroutine.create(print)",
        "setmetatable({}, {__gc = function() end})",
        "setmetatable({[t] = i}, {__mode = 'k'})",
        "load('return ' .. i)",
        "string.dump(refused)",
        "string.gmatch('abc', '.')",
        "mem.malloc(10):free()",
    ] {
        refused(&format!("refused(function() local t = {{}} for i = 1, 1e8 do t[i] = {make} or i end end)"));
        refused(&format!("refused(function() local t = {{}} for i = 1, 1e8 do t[i * 1.5] = {make} or i end end)"));
    }
    refused("refused(function() local t = {} for i = 1, 1e8 do t['k' .. i] = true end end)");
    refused("refused(function() local t for i = 1, 1e8 do t = {t} end end)");
    refused("refused(mem.malloc, 1e9) refused(mem.calloc, 1e9) refused(mem.calloc, 1 << 40, 1 << 40)");
}

#[test]
fn deep_stacks_are_refused() {
    // Less than the largest stack takes.
    refused_beyond("24M", "refused(function() local function f() return 1 + f() end return f() end)");
}

#[test]
fn garbage_does_not_count_against_the_limit() {
    if !is_neap() {
        return;
    }
    for program in [
        "local s for i = 1, 1000 do s = ('x'):rep(1e6) .. i end",
        "local s for i = 1, 100 do s = ('x'):rep(1e7) end",
        "local s for i = 1, 30 do s = ('x'):rep(3e7):sub(1, 2) end",
        "local s for i = 1, 50 do s = ('x'):rep(5e6):upper():lower() end",
        "local t for i = 1, 30 do t = {} for j = 1, 1e6 do t[j] = j end end",
        "local t for i = 1, 30 do t = table.pack(table.unpack({}, 1, 9e5)) end",
        "local t for i = 1, 20 do t = {} for j = 1, 3e5 do t[j * 1.5] = j end end",
        "for i = 1, 100 do mem.malloc(1e7):free() end",
        "for i = 1, 30 do local s = ('x '):rep(2e6):gsub('x', 'yy') end",
        "for i = 1, 30 do local t = {} for j = 1, 100 do t[j] = ('x'):rep(1e5) end table.concat(t) end",
        "for i = 1, 300 do local t = {} for j = 1, 1e4 do t[j] = {t} end end",
        "for i = 1, 1e4 do coroutine.wrap(function() coroutine.yield() end)() end",
    ] {
        run(&["--heap-limit", "64M", "-e", program]);
    }
}

/// Only a cycle finds this garbage, and with it the program would need several times the limit. Beside it lives half of the limit.
#[test]
fn cyclic_garbage_does_not_count_against_the_limit() {
    if !is_neap() {
        return;
    }
    for program in [
        "for i = 1, 100 do local ring = {} for j = 1, 2000 do ring[j] = {ring, j} end end",
        "for i = 1, 50 do local t = {} t[1] = t for j = 2, 200000 do t[j] = j end end",
        "for i = 1, 20 do local t = {} t.t = t for j = 1, 1e5 do t['k' .. j] = true end end",
        "for i = 1, 50 do local t = {} t.t = t t.s = ('x'):rep(6e6) .. i end",
        "for i = 1, 50 do local t = {} t.t = t t.s = table.concat({('x'):rep(15e5), ('y'):rep(15e5)}) end",
        "for i = 1, 20 do local t = table.pack(table.unpack({}, 1, 3e5)) t[1] = t end",
        "for i = 1, 3e4 do local co co = coroutine.create(function() return co end) end",
        "for i = 1, 1e5 do local f f = function() return f end end",
        "for i = 1, 20 do local t = setmetatable({}, {__gc = function(t) t.s = nil end}) t.t = t t.s = ('x'):rep(5e6) end",
        // An instruction in the middle of what a handler has left of it.
        "local s = setmetatable({}, {__concat = function(a, b) return #a end}) for i = 1, 50 do local t = {} t.t = t \
         t.s = ('x'):rep(4e6) .. s .. ('y'):rep(2e6) .. 'z' end",
    ] {
        let live = "local live = {} for i = 1, 100000 do live[i] = {i, {}} end";
        let whole = "for i, t in ipairs(live) do assert(t[1] == i and #t[2] == 0) end";
        for stop in ["", "collectgarbage('stop')"] {
            run(&["--heap-limit", "32M", "-e", &format!("{live} {stop} {program} {whole}")]);
        }
    }
}

/// A program that has filled the heap to the brim with what it needs hears of it in time to let it go.
#[test]
fn a_full_heap_can_be_emptied() {
    if !is_neap() {
        return;
    }
    for make in ["{t}", "('x'):rep(1e5) .. i", "function() return i end", "i * 1.5"] {
        for limit in ["8M", "16M", "64M"] {
            let program = format!(
                "local t = {{}} local ok, message = pcall(function() for i = 1, 1e8 do t[i] = {make} end end) \
                 assert(not ok) print(message, #t > 50) t = nil print('gone') \
                 for i = 1, 100 do local s = ('x'):rep(1e6) .. i end"
            );
            assert_eq!(run(&["--heap-limit", limit, "-e", &program]), "not enough memory\ttrue\ngone\n", "{make} {limit}");
        }
    }
}

/// Before the programs below: goes round until no more than so many kilobytes are in use, in a loop that allocates nothing itself. The
/// time is that of the processor: others may have the machine for a while.
const UNTIL_USED: &str = "
    local function until_used(most, collect)
        local start = os.clock()
        repeat
            local x = collect and collectgarbage() or 0
            for i = 1, 100000 do x = x + i end
            assert(os.clock() - start < 60, 'the heap stays as it is')
        until collectgarbage('count') < most
    end
";

/// A heap that has shrunk by its own figure, while a loop runs on.
#[test]
fn unused_memory_comes_back_while_the_program_runs_on() {
    if !is_neap() {
        return;
    }
    // Much more in less time in an optimised build.
    let n = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };
    let table = "local t = {} for i = 1, N do t[i] = {} end return t";
    let keys = "local t = {} for i = 1, N do t['k' .. i] = i end return t";
    let list = "local t for i = 1, N do t = {t} end return t";
    let tree = "local function tree(n) if n > 1 then return {tree(n // 2), tree(n - n // 2)} end return {} end return tree(N)";
    let ring = "local first = {} local last = first for i = 1, N do last = {last} end first[1] = last return first";
    let web = "local t = {} for i = 1, N do t[i] = {t, t[i - 1]} end return t";
    let coroutines = "local t = {} for i = 1, N // 10 do local co = coroutine.wrap(function() coroutine.yield(t) end) co() t[i] = co end return t";
    let weak = "local t = setmetatable({}, {__mode = 'k'}) for i = 1, N do local k = {} t[k] = {k} t[i] = k end return t";
    for make in [table, keys, list, tree, ring, web, coroutines, weak] {
        let program = "
            local before = collectgarbage('count')
            local kept = make()
            local full = collectgarbage('count')
            assert(full > before + N / 50, full)
            kept = nil
            until_used(before + (full - before) * 0.3)";
        run(&["-e", &format!("N = {n} function make() {make} end"), "-e", &format!("{UNTIL_USED} {program}")]);
    }
}

/// Strings that were keys leave nothing behind, in the table that knew them neither.
#[test]
fn the_memory_of_dead_keys_comes_back() {
    if !is_neap() {
        return;
    }
    let n = if cfg!(debug_assertions) { 50_000 } else { 500_000 };
    for collect in [false, true] {
        let program = format!(
            "{UNTIL_USED}
            local before = collectgarbage('count')
            local t = {{}} for i = 1, {n} do t['k' .. i] = i end
            t = nil
            until_used(before + {n} / 1000, {collect})"
        );
        run(&["-e", &program]);
    }
}

/// Neither what a program reads from nor what it writes to need be there.
#[test]
fn closed_streams_end_cleanly() {
    if !is_neap() {
        return;
    }
    for line in [
        "\"$0\" -e 'print(1) io.write(2) io.stdout:close()' >&-",
        "\"$0\" -e 'io.write(2) local ok, e, n = io.stdout:flush() assert(not ok and e == \"Bad file descriptor\" and n == 9)' >&-",
        "\"$0\" -e 'local ok, e, n = io.stderr:write(2) assert(not ok and e == \"Bad file descriptor\" and n == 9)' 2>&-",
        "\"$0\" -e 'for _, what in ipairs {\"l\", \"n\", \"a\", 0, 1} do local line, e, n = io.read(what)
            assert(line == nil and e == \"Bad file descriptor\" and n == 9) end' <&-",
        "! \"$0\" -e 'io.lines()()' <&-",
        "\"$0\" -e 'local ok, e, n = io.stdin:seek() assert(not ok and n == 9)' <&-",
        "\"$0\" -e 'os.execute(\"exec 3<&0\")' <&- 2>&1 | grep -q -i 'bad file descriptor'",
        "\"$0\" <&-",
        "! \"$0\" - <&-",
        "\"$0\" -i <&- >&- 2>&-",
        "\"$0\" -v >&-",
        "\"$0\" --help >&-",
        "\"$0\" --gc-stats -e 'x = 1' 2>&-",
        "! \"$0\" -e 'error(1)' 2>&-",
        "! \"$0\" -e 'error(1)' <&- >&- 2>&-",
        "\"$0\" -e 'for i = 1, 1e5 do print(i) end' | head -n 1",
        "\"$0\" -e 'print(io.write((\"x\"):rep(1e6)))' > /dev/full",
        "\"$0\" -e 'local ok, e, n = io.write((\"x\"):rep(1e6)) assert(not ok and n == 28, n)' > /dev/full",
    ] {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", line]).arg(common::interpreter());
        let told = output(shell);
        assert!(!told.contains("panicked"), "{line}: {told}");
    }
}

/// Sources that are large without sense: a result or an error, no crash.
#[test]
fn large_sources() {
    let program = r#"
        local kept = {x = 'y'}
        local function try(text) local f, e = load(text) assert(f or type(e) == 'string') collectgarbage() return f end
        local n = 100000
        local parts = {}
        for i = 1, n do parts[i] = ('%d.25, "s%d"'):format(i, i) end
        local all = assert(try('return {' .. table.concat(parts, ',') .. '}'))()
        assert(#all == 2 * n and all[2 * n] == 's' .. n and all[1] == 1.25)
        assert(try('local t = {} ' .. ('do local a, b = 1, 2 t[1] = a + b end '):rep(n) .. ' return t[1]'))
        assert(assert(try('local x = ... if x == 1 then return 1 ' .. ('elseif x == 2 then return 2 '):rep(n) .. 'end return 3'))(3) == 3)
        assert(try(('local function f() end '):rep(190)))
        assert(not try(('local a '):rep(n)))
        for _, p in ipairs {'(', '{', '[', 'function() return ', '-', 'not ', '~', '#', 'a..', 'a^', 'a.b(', 'a[', 'do ', 'if a then ', 'while a do ',
            'repeat ', 'for i = 1, 2 do ', 'function f() ', 'local function f() ', 'return function() ', '"', '[[', '[=[', '--[[', 'goto a ', '::a:: ',
            'a = ', 'a, ', 'local a <close> = a ', '\\', '\0', '\255', 'a:b ', 'a"" ', 'f{', '<<', '//', '::'} do
            try(p:rep(n)) try('return ' .. p:rep(n)) try(p:rep(150)) try('return ' .. p:rep(150))
        end
        for _, op in ipairs {'+', '..', 'and', 'or', '==', '<', '^', '.', '//', '>>', ':', ','} do try('return a' .. (' ' .. op .. ' a'):rep(n)) end
        assert(kept.x == 'y') io.write('done')"#;
    assert_eq!(run(&["-e", program]), "done");
}

/// Modules that require modules, coroutines in coroutines, and the rest of what nests in the host.
#[test]
fn nesting_ends_with_an_error() {
    let program = r#"
        local kept = {x = 'y'}
        local function intact() assert(kept.x == 'y' and ('a'):rep(3) == 'aaa' and #table.pack(1, 2) == 2) collectgarbage() end
        local function fails(f, ...) local ok, e = pcall(f, ...) assert(not ok and tostring(e):find('overflow'), tostring(e)) intact() end
        local depth = 0
        package.preload.deep = function() package.loaded.deep = nil depth = depth + 1 return require 'deep' end
        fails(require, 'deep') assert(depth > 50)
        local function wrapped(n) return coroutine.wrap(function() return wrapped(n + 1) end)() end
        fails(wrapped, 1)
        local function resumed() local ok, e = coroutine.resume(coroutine.create(resumed)) if not ok then error(e, 0) end end
        fails(resumed)
        fails(function() local function f() return (('x'):gsub('x', f)) end return f() end)
        fails(function() local function f() table.sort({3, 2, 1}, f) end f() end)
        fails(function() local function f() return select(2, assert(load(f))) end local ok, e = load(f) error(e, 0) end)
        fails(function() local t = setmetatable({}, {__tostring = function(t) return tostring(t) end}) return tostring(t) end)
        fails(function() local t = setmetatable({}, {__index = function(t, k) return t[k] end}) return t.x end)
        fails(function() local t = setmetatable({}, {__newindex = function(t, k, v) t[k] = v end}) t.x = 1 end)
        fails(function() local t = setmetatable({}, {__call = function(t) return 1 + t() end}) return t() end)
        fails(function() local t = setmetatable({}, {__lt = function(a, b) return not (a < b) end}) return t < t end)
        fails(function() local t = setmetatable({}, {__len = function(t) return #t end}) return #t end)
        fails(function() local t = setmetatable({}, {__pairs = function(t) return pairs(t) end}) return 1, pairs(t) end)
        fails(function() local function f() local x <close> = setmetatable({}, {__close = f}) end f() end)
        fails(function() local function f() return pcall(f), error('overflow') end f() end)
        io.write('done')"#;
    assert_eq!(run(&["-e", program]), "done");
}

/// What the system says of the process against what the heap says of itself.
#[test]
#[cfg(target_os = "linux")]
#[cfg_attr(neap_asan, ignore = "the sanitizer has memory of its own")]
fn the_resident_memory_is_the_heap() {
    if !is_neap() {
        return;
    }
    let figures = |make: &str| {
        let tell = "local f = io.open('/proc/self/statm') local pages = f:read('n') and f:read('n') f:close() print('resident', pages * 4096)";
        let told = run(&["--gc-stats", "-e", &format!("kept = (function() {make} end)() {tell}")]);
        (figure(&told, "resident") as f64, figure(&told, ", mapped ") as f64)
    };
    let (resident, mapped) = figures("return 1");
    for make in [
        "local t = {} for i = 1, 3e5 do t[i] = {i} end return t",
        "local t = {} for i = 1, 2e5 do t['key ' .. i] = i end return t",
        "local t = {} for i = 1, 3e5 do t[i] = function() return i, t end end return t",
        "local t = {} for i = 1, 3e4 do t[i] = load('local a, b = ... return function(c) return a + b * c .. ' .. i .. ' end') end return t",
        "local t = {} for i = 1, 2e4 do t[i] = coroutine.wrap(function(a) coroutine.yield(a) end) t[i]() end return t",
        "local t = {} for i = 1, 1e5 do t[i] = mem.calloc(16) end return t",
        "return (('ab'):rep(3e6):gsub('a', 'some text'))",
        "local t = {} for i = 1, 5e5 do t[i] = 'some text ' .. i end return table.concat(t, ', ')",
    ] {
        let (now, heap) = figures(make);
        let (grown, on_heap) = (now - resident, heap - mapped);
        assert!(grown > 10e6, "{make}: {grown}");
        assert!(on_heap >= 0.95 * grown, "{make}: {grown} bytes, {on_heap} of them on the heap");
    }
}

/// A figure of what a run has told: the number behind the words.
fn figure(told: &str, words: &str) -> u64 {
    let after = told.split(words).nth(1).unwrap_or_else(|| panic!("{told}"));
    let digits = after.trim_start().split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    digits.parse().unwrap_or_else(|_| panic!("{words}: {told}"))
}

/// A stack that grows by much brings about an epoch end, where it stays so high; not for what is handed over and gone, nor each time anew.
#[test]
fn many_arguments_end_no_epoch_each() {
    if !is_neap() {
        return;
    }
    let values = "local t = {} for i = 1, 10000 do t[i] = i end";
    for calls in [
        "local function sum(...) local s = 0 for i = 1, 1000 do s = s + (select(i, ...)) end return s end assert(sum(table.unpack(t)) == 500500)",
        "local function count(...) local n = 0 for i = 1, 2 do n = n + select('#', ...) end return n end
         for i = 1, 500 do assert(count(table.unpack(t)) == 20000) end",
        "local co = coroutine.wrap(function(...) while true do coroutine.yield(...) end end)
         for i = 1, 500 do assert(select('#', co(table.unpack(t))) == 10000) end",
        "local function down(n) if n == 0 then return 0 end return 1 + down(n - 1) end for i = 1, 500 do down(6000) end",
    ] {
        let epochs = figure(&run(&["--gc-stats", "-e", &format!("{values} {calls}")]), "epochs ");
        assert!(epochs < 200, "{epochs} epochs: {calls}");
    }
}

/// So is one that has come down and has grown again, before the program asks for memory up there.
#[test]
fn no_scan_of_a_stack_is_long() {
    if !is_neap() {
        return;
    }
    let script = "local function fill() local t for i = 1, 3e5 do t = { t and i } end end
        local function down(n, f) if n == 0 then return f() end return (down(n - 1, f)) end
        for i = 1, 2 do down(200000, function() end) down(200000, fill) end";
    let most = figure(&run(&["--gc-stats", "-e", script]), "units of work in a stop: at most ");
    assert!(most <= neap_gc::STOP_UNITS_MAX, "{most} units");
}

/// Native functions that write much meet safepoints: what they overwrite, and the collector must hear of, does not pile up.
#[test]
fn long_natives_let_the_collector_work() {
    if !is_neap() {
        return;
    }
    let script = "local function peak()
            local file <close> = assert(io.open('/proc/self/status'))
            return tonumber(file:read('a'):match('VmHWM:%s*(%d+)'))
        end
        local function grows_little(what, f, ...)
            collectgarbage()
            -- From here on the peak is counted anew.
            assert(io.open('/proc/self/clear_refs', 'w')):write('5'):close()
            local before = peak()
            f(...)
            assert(peak() - before < 1500, what .. ': ' .. peak() - before .. ' KiB')
        end
        local n = 1 << 19
        local one, other = ('x'):rep(2000) .. 1, ('x'):rep(2000) .. 2
        local texts, objects = {}, {}
        for i = 1, n do
            texts[i] = i * 7919 % 13 < 6 and one or other
            objects[i] = {}
        end
        grows_little('sort', table.sort, texts)
        for i = 2, n do assert(texts[i - 1] <= texts[i]) end
        grows_little('move', table.move, objects, 2, n, 1)
        for i = 1, n do objects[i] = {} end
        grows_little('insert', table.insert, objects, 1, {})
        for i = 1, n do objects[i] = {} end
        grows_little('remove', table.remove, objects, 1)
        local through = setmetatable({}, {__len = function() return n end, __index = objects, __newindex = objects})
        for i = 1, n do objects[i] = {} end
        grows_little('move with metamethods', table.move, through, 2, n, 1)";
    run(&["-e", script]);
}
