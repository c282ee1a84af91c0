//! Natives and instructions that work long can be ended: an interrupt that comes just before one with much to do is an error in it.
//!
//! Nothing is timed but in the last tests. The inputs are a few megabytes, or some hundred thousand elements, at which nothing takes more than a few
//! milliseconds: what is ended there looks up that often on an input of any length. Between the interrupt and the work there is no safepoint,
//! so that none can see it.

use crate::stdlib;
use crate::value::Value;
use crate::vm::{Args, Throw, Vm};
use neap_gc::Config;
use neap_gc::heap::poll;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

fn interrupt(vm: &mut Vm, _: Args) -> Result<u32, Throw> {
    vm.heap.poll_word().fetch_or(poll::INTERRUPT, Ordering::Relaxed);
    Ok(0)
}

fn machine(config: Config) -> Vm {
    let mut vm = Vm::new(config).expect("a heap");
    stdlib::open_all(&mut vm).unwrap_or_else(|_| panic!("the libraries"));
    let native = vm.new_native("interrupt", interrupt, &[]).unwrap_or_else(|_| panic!("a function"));
    let globals = vm.globals();
    vm.set_field(globals, "interrupt", native).unwrap_or_else(|_| panic!("a global"));
    vm
}

fn message(vm: &mut Vm) -> String {
    let error = vm.take_error();
    error.as_str().map_or_else(|| error.type_name().into(), |text| String::from_utf8_lossy(text.bytes()).into_owned())
}

fn run(vm: &mut Vm, script: &str) -> Result<Value, String> {
    let chunk = vm.load(script.as_bytes(), b"=script").map_err(|_| message(vm))?;
    vm.call1(Value::closure(chunk), &[]).map_err(|_| message(vm))
}

/// Each of the pieces of code is interrupted after the setup, and leaves all as it was.
fn are_interrupted(setup: &str, codes: &[&str]) {
    for code in codes {
        let script = format!(
            "kept = {{1, 2, {{x = 'y'}}, ('text'):rep(1000), coroutine.wrap(function() while true do coroutine.yield(7) end end)}}
            {setup}
            local function stopped(...) interrupt() {code} end
            stopped()
            finished = true"
        );
        let mut vm = machine(Config::default());
        let error = run(&mut vm, &script).err().unwrap_or_default();
        assert!(error.contains("interrupted!"), "{code}: {error}");
        let script = "assert(not finished)
            assert(kept[1] == 1 and kept[2] == 2 and kept[3].x == 'y' and kept[4] == ('text'):rep(1000) and kept[5]() == 7)
            collectgarbage()
            assert(('x'):rep(3):upper() == 'XXX' and #table.pack(table.unpack(kept)) == 5 and load('return 1')() == 1)";
        if let Err(message) = run(&mut vm, script) {
            panic!("{code}: {message}");
        }
    }
}

const BIG: &str = "local big = ('abc '):rep(1 << 20) local other = ('abc '):rep(1 << 20) local zeros = ('\\0'):rep(1 << 22)
    local digits = ('1'):rep(1 << 22)";

#[test]
fn strings() {
    are_interrupted(
        BIG,
        &[
            "return ('x'):rep(1 << 22)",
            "return ('x'):rep(1 << 21, ',')",
            "return big:rep(2)",
            "return big:rep(2, ', ')",
            "return big:reverse()",
            "return big:upper()",
            "return big:lower()",
            "return big:sub(2)",
            "return big .. 'x'",
            "return 'a' .. big .. 'b' .. 1 .. 'c'",
            "return 1 ..big..2 ..3 ..4 ..5 ..6 ..7 ..8 ..9 ..10 ..11 ..12 ..13 ..14",
            "return ('%s'):format(big) .. 'x'",
            "return ('%s %s'):format(big, 1)",
            "return ('%q'):format(big)",
            "return ('%5s'):format(big .. 'x')",
            "return (big:gsub('z', '')) .. (big:format())",
            "return string.pack('z', big)",
            "return string.pack('s', big)",
            "return string.pack('c5000000', 'x')",
            "return string.unpack('z', big .. '\\0')",
            "return string.unpack('c4000000', big)",
            "return string.unpack('s', string.pack('s', big))",
            "return big == other",
            "return big ~= other",
            "return big < other",
            "return big <= other",
            "return big > other",
            "if big == other then return 1 end",
            "return rawequal(big, other)",
            "return ({})[big]",
            "local t = {} t[big] = 1",
            "local t = {[big] = 1}",
            "return rawget({}, big)",
            "return rawset({}, big, 1)",
            "return next({}, big)",
            "return tonumber(digits, 36)",
            "return tonumber((' '):rep(1 << 22) .. '1', 10)",
            "return tonumber(digits)",
            "return digits + 1",
            "return -digits",
            "return 1 | ((' '):rep(1 << 21) .. '1')",
            "return math.abs(digits)",
            "return math.tointeger(digits)",
            "for i = digits, 1 do end",
            "for i = 1, digits do end",
        ],
    );
    let many = "local format = (' '):rep(1 << 20) local percent = ('%%'):rep(1 << 19) local b = ('b'):rep(1 << 18) .. ' '
        local size = 'c' .. ('0'):rep(1 << 18) .. '1' local block = mem.calloc(1)";
    are_interrupted(
        many,
        &[
            "return string.packsize(format)",
            "return string.pack(format)",
            "return string.unpack(format, '')",
            "return string.format(percent)",
            "return string.unpack(b, b)",
            "return string.packsize(size)",
            "return string.pack(size, 'x')",
            "return string.unpack(size, 'x')",
            "return block:read(0, size)",
            "return block:write(0, size, 'x')",
        ],
    );
    are_interrupted(
        "local codes = {} for i = 1, 200000 do codes[i] = 65 end local text = ('x'):rep(200000)",
        &["return string.char(table.unpack(codes))", "return utf8.char(table.unpack(codes))", "return text:byte(1, -1)"],
    );
}

/// A literal in a table: the key of a constant is compared with what was there before.
#[test]
fn long_keys_are_the_same_however_they_are_found() {
    let script = "
        local a, b = ('k'):rep(3 << 20), ('k'):rep(3 << 20)
        local c = load('return [[' .. a .. ']]')()
        local t = {[a] = 1}
        assert(t[b] == 1 and t[c] == 1 and rawget(t, b) == 1 and next(t) == c and next(t, b) == nil)
        t[b] = nil
        assert(t[a] == nil and next(t) == nil)
        t[c] = 2
        assert(t[a] == 2 and a == b and b == c and a <= c and not (a < c) and a < c .. 'x' and a .. 'x' > b)
        local s = setmetatable({}, {__index = function(_, k) return #k end, __newindex = function(t, k, v) rawset(t, #k, v) end})
        assert(s[('z'):rep(2 << 20)] == 2 << 20)
        s[('y'):rep(2 << 20)] = 5
        assert(rawget(s, 2 << 20) == 5)
        collectgarbage()
        assert(t[('k'):rep(3 << 20)] == 2)
        t, a, b, c = nil
        collectgarbage()
        assert(({})[('k'):rep(3 << 20)] == nil)";
    let mut vm = machine(Config { audit: 1, ..Config::default() });
    run(&mut vm, script).unwrap_or_else(|message| panic!("{message}"));
}

#[test]
fn patterns() {
    are_interrupted(
        &format!("{BIG} local nested = ('('):rep(1 << 22) local long = ('a'):rep(1 << 18)"),
        &[
            "return big:find('z')",
            "return big:find('xyz', 1, true)",
            "return big:find(other .. 'z', 1, true)",
            "return big:find('[z]')",
            "return big:find('^.-z')",
            "return digits:find('^1*z')",
            "return digits:find('^%d+z')",
            "return digits:match('^(%d*)')",
            "return digits:find('^(1*)%1z')",
            "return nested:find('^%b()')",
            "return big:gsub('z', '')",
            "return big:gsub('%a', '')",
            "return big:gsub('abc', '%0%0')",
            "return big:gsub('.', {})",
            "return ('x'):gsub('x', big)",
            "return ('x'):gsub('x', {x = big})",
            "return big:gsub('^.*$', '%0%0')",
            "return big:gmatch('z')()",
            "return ('x'):find(long)",
            "return ('x'):find(long .. '.')",
            "return ('x'):match('[' .. long .. ']')",
            "return ('x'):gmatch(long .. '.')",
            "return ('x'):gsub(long .. '.', '')",
        ],
    );
}

#[test]
fn tables() {
    are_interrupted(
        "local t = {} for i = 1, 300000 do t[i] = i end
        local dead = {} for i = 1, 300000 do dead['k' .. i % 1000 .. i] = i end for k in pairs(dead) do dead[k] = nil end
        local gone = {} for i = 1, 300000 do gone[i] = i end for i = 1, 300000 do gone[i] = nil end
        local words = {} for i = 1, 300000 do words[i] = 'w' .. i * 7919 % 300000 end
        local floats = {} for i = 1, 300000 do floats[i] = i * 7919 % 300000 + 0.5 end
        local mixed = {} for i = 1, 300000 do mixed[i] = i % 2 == 0 and i or i + 0.5 end
        local proxy = setmetatable({}, {__index = t, __len = function() return 300000 end, __newindex = t})
        local pieces = {} for i = 1, 8 do pieces[i] = ('x'):rep(1 << 19) end",
        &[
            "return table.concat(t)",
            "return table.concat(t, ', ')",
            "return table.concat(pieces)",
            "return table.concat(proxy, ',')",
            "return table.move(t, 1, 300000, 2)",
            "return table.move(t, 1, 300000, 1, {})",
            "return table.move(proxy, 1, 300000, 1, {})",
            "return table.insert(t, 1, 0)",
            "return table.remove(t, 1)",
            "return table.unpack(t)",
            "return table.pack(table.unpack(t))",
            "return next(dead)",
            "return next(gone)",
            "for k in next, dead do end",
            "for k in pairs(gone) do end",
            "table.sort(t, function(a, b) return a > b end)",
            "table.sort(mixed)",
            "table.sort(words)",
            "table.sort(floats)",
            "table.sort(proxy)",
            "local t = {table.unpack(t)}",
        ],
    );
}

/// Arrays longer than what is sorted at once, in orders that are bad for a quicksort, too.
#[test]
fn long_arrays_are_sorted() {
    let script = "
        local n = 70000
        local orders = {
            function(i) return i end, function(i) return n - i end, function(i) return i * 7919 % n end, function(i) return i % 3 end,
            function() return 1 end, function(i) return i < n // 2 and i or n - i end, function(i) return i % 1000 end,
        }
        for _, order in ipairs(orders) do
            for _, make in ipairs {function(x) return x end, function(x) return x + 0.5 end, function(x) return 'k' .. x end} do
                local t, count = {}, {}
                for i = 1, n do t[i] = make(order(i)) count[t[i]] = (count[t[i]] or 0) + 1 end
                table.sort(t)
                for i = 2, n do assert(t[i - 1] <= t[i]) end
                for i = 1, n do count[t[i]] = count[t[i]] - 1 end
                for _, left in pairs(count) do assert(left == 0) end
            end
        end";
    run(&mut machine(Config::default()), script).unwrap_or_else(|message| panic!("{message}"));
}

/// However far a sort has come: an array has the elements that it had.
#[test]
fn a_sort_that_is_stopped_loses_nothing() {
    let script = "
        local n, stopped = 100000, 0
        for _, make in ipairs {function(x) return x end, function(x) return x + 0.5 end, function(x) return 'k' .. x end} do
            for _, time in ipairs {1, 3, 9} do
                local t, there = {}, {}
                for i = 1, n do t[i] = make(i * 7919 % n) end
                local done, why = limits.run({time = time / 1500}, table.sort, t)
                if not done then assert(why == 'time') stopped = stopped + 1 end
                assert(#t == n)
                for i = 0, n - 1 do there[i + 1] = make(i) end
                table.sort(there)
                table.sort(t)
                for i = 1, n do assert(there[i] == t[i]) end
            end
        end
        collectgarbage()
        assert(stopped > 0)";
    run(&mut machine(Config::default()), script).unwrap_or_else(|message| panic!("{message}"));
}

#[test]
fn utf8_texts() {
    are_interrupted(
        "local text = ('ä'):rep(1 << 17) local tail = 'a' .. ('\\x80'):rep(1 << 18)",
        &[
            "return utf8.len(text)",
            "return utf8.codepoint(text, 1, -1)",
            "return utf8.offset(text, 100000)",
            "return utf8.offset(text, -100000)",
            "return utf8.offset(tail, 2)",
            "return utf8.offset(tail, 0, #tail)",
            "for p, c in utf8.codes('a') do return utf8.codes(tail)(tail, 1) end",
        ],
    );
}

#[test]
fn chunks() {
    are_interrupted(
        "local lines = ('x = y + 1\\n'):rep(100000) local chain = 'return a' .. (' + a'):rep(100000)
        local literal = 'return [[' .. ('x'):rep(1 << 22) .. ']]' local escapes = 'return \"' .. ('\\\\65'):rep(1 << 18) .. '\"'
        local blank = (' '):rep(1 << 20) local comment = '-- ' .. ('x'):rep(1 << 20) local list = 'return {' .. ('1.5,'):rep(100000) .. '}'
        local name, numeral, level = ('x'):rep(1 << 22), ('1'):rep(1 << 22), ('='):rep(1 << 22)
        local s = {name = name .. '=', sum = 'return 1 +' .. name, integer = 'return ' .. numeral, hexadecimal = 'return 0x' .. numeral,
            fraction = 'return .' .. numeral, level = 'return [' .. level, comment = '--[' .. level, brackets = 'return [[]' .. level .. ']]',
            literal = 'return \"' .. name .. '\"', of_source = '=' .. name, of_file = '@' .. name, marks = ('?'):rep(1 << 18)}
        local tests = 'if a' .. (' and a'):rep(100000) .. ' then end' local parts, n = {}, 0
        local long = assert(load('local a = ... ' .. ('a = a + 1 '):rep(100000))) local dumped = string.dump(long)",
        &[
            "return assert(load(lines))",
            "return assert(load(chain))",
            "return assert(load(literal))",
            "return assert(load(s.name))",
            "return assert(load(s.sum))",
            "return assert(load(s.integer))",
            "return assert(load(s.hexadecimal))",
            "return assert(load(s.fraction))",
            "return assert(load(s.level))",
            "return assert(load(s.comment))",
            "return assert(load(s.brackets))",
            "return assert(load(s.literal))",
            "return load('x = 1', name)",
            "return load('x = 1', s.of_source)",
            "return load('x = 1', s.of_file)",
            "return load('x = 1', 'x', name)",
            "return loadfile(name)",
            "return package.searchpath('x', name)",
            "return package.searchpath(name, '?', 'y')",
            "return package.searchpath('x', s.marks)",
            "return pcall(require, name)",
            "return os.remove(name)",
            "return assert(load(escapes))",
            "return assert(load(blank))",
            "return assert(load(comment))",
            "return assert(load(list))",
            "return assert(load(tests))",
            "return assert(load(function() if n < 1 then n = n + 1 return lines end end))",
            "return assert(load(dumped))",
            "return string.dump(long)",
        ],
    );
}

#[test]
fn streams() {
    are_interrupted(
        "local file = io.tmpfile() file:write(('some text without an end '):rep(100000)) file:seek('set')
        local blanks = io.tmpfile() blanks:write((' '):rep(100000)) blanks:seek('set')
        local null = io.open('/dev/null', 'w') local zero = io.open('/dev/zero') local big = ('x'):rep(1 << 22)",
        &[
            "file:seek('set') return assert(file:read('a'))",
            "file:seek('set') return assert(file:read('l'))",
            "file:seek('set') return assert(file:read('L'))",
            "file:seek('set') return assert(file:read(1000000))",
            "file:seek('set') return file:lines()()",
            "blanks:seek('set') return assert(blanks:read('n'))",
            "return null:write(big)",
        ],
    );
    // A named pipe that is its own other end: nothing ever comes from it, and when it is full nothing ever leaves it.
    are_interrupted(
        "local name = os.tmpname() os.remove(name) assert(os.execute('mkfifo ' .. name))
        local pipe = io.open(name, 'r+') pipe:setvbuf('no')
        local big = ('x'):rep(1 << 20) local process = io.popen('exec sleep 3') os.remove(name)
        local other = os.tmpname() os.remove(other) assert(os.execute('mkfifo ' .. other))
        setmetatable({}, {__gc = function() os.remove(other) end})",
        &[
            "return pipe:read('a')",
            "return pipe:read('l')",
            "return pipe:read('n')",
            "return pipe:read(0)",
            "return pipe:read(10)",
            "return pipe:lines()()",
            "io.input(pipe) return io.read()",
            "return pipe:write(big)",
            "io.output(pipe) return io.write(big)",
            "for i = 1, 1000 do pipe:write(('x'):rep(1000)) end",
            "return process:close()",
            "return io.open(other)",
            "return io.open(other, 'w')",
            "return io.lines(other)",
            "return io.input(other)",
            "return loadfile(other)",
            "return dofile(other)",
            "return os.execute('exec sleep 3')",
        ],
    );
    // What a full pipe does not take any more: the interrupt comes when it is full.
    let filled = "local name = os.tmpname() os.remove(name) assert(os.execute('mkfifo ' .. name))
        local pipe, other = io.open(name, 'r+'), io.open(name, 'r+') os.remove(name) pipe:setvbuf('no') other:setvbuf('full', 65536) other:write('x')
        for i = 1, 3 do limits.run({time = 0.1}, function() pipe:write(('x'):rep(1 << 20)) end) end";
    are_interrupted(
        filled,
        &[
            "return other:flush()",
            "return other:setvbuf('no')",
            "return other:seek('set')",
            "return other:close()",
            "return other:read()",
        ],
    );
    let endless = "local zero = io.open('/dev/zero')";
    for code in [
        "zero:read('a')",
        "zero:read('l')",
        "zero:read(1 << 31)",
        "zero:lines()()",
        "loadfile('/dev/zero', 'b')",
        "dofile('/dev/zero')",
    ] {
        let mut vm = machine(Config::default());
        let script = format!("{endless} local function long() interrupt() return {code} end pcall(long)");
        let told = run(&mut vm, &script);
        assert!(told.as_ref().is_err_and(|message| message.contains("interrupted!")), "{code}: {:?}", told.err());
    }
}

#[test]
fn explicit_memory() {
    are_interrupted(
        "local a, b = mem.calloc(1 << 22), mem.calloc(1 << 22)
        local c = mem.malloc(3 << 20) c:fill(1) c:free() -- What comes in its place has to be cleared.",
        &[
            "b:fill(1)",
            "b:realloc(1 << 23)",
            "b:realloc(1 << 21)",
            "return mem.calloc(3 << 20)",
            "return mem.malloc(3 << 20)",
            "b:copy(0, a)",
            "a:copy(1, a, 0, 4000000)",
            "return b:read(0, 'c4000000')",
        ],
    );
    let script = "
        local n = 3 << 20
        local text = ('0123456789abcdefg'):rep(n // 17 + 1):sub(1, n)
        local a = mem.calloc(n + 100) a:write(0, 'c' .. n, text)
        a:copy(77, a, 0, n) assert(a:read(77, 'c' .. n) == text)
        a:copy(5, a, 77, n) assert(a:read(5, 'c' .. n) == text)
        local b = mem.calloc(n) b:copy(0, a, 5, n) assert(b:read(0, 'c' .. n) == text)
        assert(not pcall(b.copy, b, 1, a, 5, n) and b:read(0, 'c' .. n) == text)
        a:free() b:free()";
    run(&mut machine(Config::default()), script).unwrap_or_else(|message| panic!("{message}"));
}

/// What `load` is refused by a limit is no message for who calls it.
#[test]
fn refused_memory_of_a_chunk_is_a_stop() {
    let script = "
        for _, source in ipairs {('x = y + 1 '):rep(1 << 16), 'return [[' .. ('x'):rep(4 << 20) .. ']]'} do
            local result, why = limits.run({memory = 1 << 20}, load, source)
            assert(result == nil and why == 'memory', why)
            local function read() local piece = source source = nil return piece end
            result, why = limits.run({memory = 1 << 20}, load, read)
            assert(result == nil and why == 'memory', why)
        end";
    run(&mut machine(Config::default()), script).unwrap_or_else(|message| panic!("{message}"));
}

/// Whole collections and steps are given up, wherever they are, and what comes later goes on from there.
#[test]
fn collections() {
    are_interrupted(
        "local t = {} for i = 1, 30000 do t[i] = {{}} t[i].t = t[i] end t = nil
        local m = {__gc = function() end} for i = 1, 30000 do setmetatable({}, m) end",
        &[
            "return collectgarbage()",
            "return collectgarbage('collect')",
            "return collectgarbage('step', 1 << 40)",
            "return collectgarbage('step', 1)",
        ],
    );
}

/// Wherever in a collection the stop comes, all that lives is there afterwards, and all that does not goes.
#[test]
fn a_collection_is_given_up_anywhere() {
    let script = "
        local weak = setmetatable({}, {__mode = 'v'})
        local ephemerons = setmetatable({}, {__mode = 'k'})
        local live, finalized = {}, 0
        for round = 1, 12 do
            for i = 1, 20000 do
                local a, b = {}, {}
                a.b, b.a = b, a
                weak[#weak + 1] = a
                ephemerons[b] = a
                if i % 50 == 0 then live[#live + 1] = a end
                if i % 100 == 1 then setmetatable(a, {__gc = function() finalized = finalized + 1 end}) end
            end
            limits.run({time = round * 0.0003}, collectgarbage)
        end
        collectgarbage() collectgarbage()
        assert(#live == 12 * 400 and finalized == 12 * 200, finalized)
        for _, a in ipairs(live) do assert(a.b.a == a and ephemerons[a.b] == a) end
        local left = 0
        for _ in pairs(weak) do left = left + 1 end
        assert(left == #live, left)";
    let mut vm = machine(Config { audit: 16, ..Config::default() });
    run(&mut vm, script).unwrap_or_else(|message| panic!("{message}"));
}

/// What has no end is ended within a moment, when another thread raises the interrupt as the handler of a signal does.
#[test]
fn from_another_thread() {
    const LATE: Duration = Duration::from_millis(50);
    /// Other programs may have the processor for a while.
    const PATIENCE: u32 = 20;
    for code in [
        "('a'):rep(60):find(('a*'):rep(60) .. 'b')",
        "local t = setmetatable({}, {__index = function() return 'x' end, __len = function() return 1 << 40 end}) table.move(t, 1, 1 << 40, 1, {})",
        "string.rep('x', 1 << 30):find(('x'):rep(1000) .. 'y')",
        "io.open('/dev/zero'):read('l')",
        "assert(load(function() return 'x = 1 ' end))",
        "('x'):rep(1 << 20):gsub('', ('y'):rep(1 << 10))",
    ] {
        let mut vm = machine(Config::default());
        let word = vm.heap.poll_word().clone();
        let raiser = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(100));
            word.fetch_or(poll::INTERRUPT, Ordering::Relaxed);
            Instant::now()
        });
        let result = run(&mut vm, &format!("{code} while true do end"));
        let end = Instant::now();
        let raised = raiser.join().expect("the time");
        assert!(result.as_ref().is_err_and(|message| message.contains("interrupted!")), "{code}: {:?}", result.err());
        let late = end.saturating_duration_since(raised);
        eprintln!("{code}: {late:?}");
        assert!(late < LATE * PATIENCE, "{code}: {late:?}");
        assert!(run(&mut vm, "local t = {} for i = 1, 1000 do t[i] = {} end collectgarbage() return #t").is_ok());
    }
}
