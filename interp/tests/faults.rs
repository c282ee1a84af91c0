//! Memory that is refused at any moment: each program runs again and again, and the n-th request to the system fails, for every n until one is
//! too late; once that one alone, once all from there on. The program must come to its result, or to the error "not enough memory"; then,
//! with memory again, the heap must stand an audit and the same interpreter come to the same result.
//!
//! `NEAP_TEST_ROUNDS=20 cargo test --release -p neap --test faults` goes on longer: more of everything, and under stress.

use neap::{Interpreter, Limits};
use neap_gc::Config;
use neap_gc::heap::Faults;

/// Before each program: `assert` would add a position to the message.
const CHECK: &str =
    "local function check(ok, ...) if not ok then error(..., 0) end if ok == true then return ... end return ok, ... end ";

/// Each is a function of a size, whose result is a text that says what came of it.
const PROGRAMS: &[(&str, &str)] = &[
    (
        "tables",
        "local n = ... local t, sum = {}, 0
        for i = 1, n do t[i] = {i} t['k' .. i] = i t[i + 0.5] = t[i] end
        for i = 1, n, 3 do t[i] = nil t['k' .. i] = nil end
        for k, v in pairs(t) do sum = sum + (type(v) == 'table' and v[1] or v) end
        table.move(t, 1, n, 2) table.insert(t, 1, {0}) local packed = table.pack(table.unpack(t, 1, 50))
        return sum .. ' ' .. #packed .. ' ' .. select('#', table.unpack({}, 1, n))",
    ),
    (
        "strings",
        "local n = ... local parts = {}
        for i = 1, n do parts[i] = ('%d %5.2f %q %s'):format(i, i / 3, 'x\\n' .. i, parts) :gsub('table: 0x%x+', 'T') end
        local all = table.concat(parts, ', ')
        local upper, count = all:upper():gsub('%d+', function(d) return '<' .. d .. '>' end)
        local twice, found = all .. all .. upper:rep(3, '-'), 0
        for word in twice:gmatch('%a+') do found = found + #word end
        local packed = string.pack('s4s1z', all, 'short', 'zero')
        return #twice .. ' ' .. count .. ' ' .. found .. ' ' .. #string.unpack('s4', packed) .. ' ' .. #all:reverse() .. utf8.char(n, 0x10ffff)",
    ),
    (
        "closures and prototypes",
        "local n = ... local fs, sum = {}, 0
        for i = 1, n do local a, b = i, {i} fs[i] = function(x) a = a + x return function() return a + b[1] end end end
        for i = 1, n do sum = sum + fs[i](1)() end
        for i = 1, n // 20 do
            local f = check(load('local a, b = ... local function g(x) return x .. [[' .. ('z'):rep(i) .. ']] end return #g(a) + b, {1, 2, k = a}'))
            sum = sum + f(i, 2) + check(load(string.dump(f), 'd', 'b'))(i, 3)
        end
        return tostring(sum)",
    ),
    (
        "coroutines",
        "local n = ... local live, sum = {}, 0
        local function deep(k) if k == 0 then coroutine.yield(1) return 0 end return 1 + deep(k - 1) end
        for i = 1, n // 4 do
            local co = coroutine.create(function(...) local t <close> = setmetatable({...}, {__close = function() sum = sum + 1 end}) return deep(i) end)
            check(coroutine.resume(co, i, i))
            live[i] = co
        end
        for i, co in pairs(live) do
            if i % 2 == 0 then sum = sum + check(coroutine.resume(co)) else check(coroutine.close(co)) end
        end
        local gen = coroutine.wrap(function() for i = 1, n do coroutine.yield({i}) end end)
        for i = 1, n do sum = sum + gen()[1] end
        return tostring(sum)",
    ),
    (
        "weak tables and finalizers",
        "local n = ... local keys, values, both, gone = setmetatable({}, {__mode = 'k'}), setmetatable({}, {__mode = 'v'}), setmetatable({}, {__mode = 'kv'}), 0
        local kept, meta = {}, {__gc = function(o) gone = gone + 1 end}
        for i = 1, n do
            local o = setmetatable({i}, meta)
            keys[o], values[i], both[o] = {o}, o, o
            if i % 5 == 0 then kept[#kept + 1] = o end
        end
        collectgarbage() collectgarbage()
        local a, b, c = 0, 0, 0
        for k, v in pairs(keys) do a = a + v[1][1] end
        for k, v in pairs(values) do b = b + v[1] end
        for k, v in pairs(both) do c = c + k[1] end
        return a .. ' ' .. b .. ' ' .. c .. ' ' .. #kept",
    ),
    (
        "objects and metamethods",
        "local n = ... local V = {} V.__index = V
        V.__add = function(a, b) return setmetatable({a[1] + b[1]}, V) end
        V.__concat = function(a, b) return tostring(a) .. tostring(b) end
        V.__tostring = function(a) return 'V' .. a[1] end
        V.__eq = function(a, b) return a[1] == b[1] end
        V.__lt = function(a, b) return a[1] < b[1] end
        V.__len = function(a) return a[1] end
        V.__call = function(a, ...) return select('#', ...) + a[1] end
        V.__newindex = function(t, k, v) rawset(t, k, {v}) end
        local all, sum = {}, setmetatable({0}, V)
        for i = 1, n do all[i] = setmetatable({(i * 7919) % n}, V) all[i].extra = i sum = sum + all[i] end
        table.sort(all)
        return sum .. all[1] .. ' ' .. #all[n] .. ' ' .. all[2](1, 2, 3) .. tostring(all[3] == all[4])",
    ),
    (
        // Each call is to be made once, however often an instruction or a function is begun anew.
        "calls from what is begun anew",
        "local n = ... local calls, sum = 0, 0
        local function told(x) return type(x) == 'table' and 'V' or #x end
        local meta = {__concat = function(a, b) calls = calls + 1 return told(a) .. ('y'):rep(3000) .. told(b) end,
            __tostring = function() calls = calls + 1 return ('t'):rep(5000) end,
            __newindex = function(t, k, v) calls = calls + 1 rawset(t, k, ('n'):rep(v)) end,
            __index = function(t, k) calls = calls + 1 return ('i'):rep(4000) .. k end}
        for i = 1, n // 4 do
            local v = setmetatable({}, meta)
            local s = ('x'):rep(i * 50) .. i .. v .. ('z'):rep(i * 40) .. i .. ('w'):rep(5000) .. v .. i .. 'e'
            v[i] = i * 30
            local t = ('%s%10.3f%s'):format(v, i, ('f'):rep(90)):gsub('t+', function(x) calls = calls + 1 return x .. x end)
            local u = ('a'):rep(i):gsub('a', setmetatable({}, meta))
            sum = sum + #s + #t + #u + #v[i] + #table.concat(setmetatable({}, meta), '-', 1, 3)
        end
        return sum .. ' ' .. calls",
    ),
    (
        "errors",
        "local n = ... local caught = 0
        local function fail(i) local t <close> = setmetatable({}, {__close = function(_, e) caught = caught + 1 end}) error({i}, 2) end
        for i = 1, n do
            local ok, e = pcall(fail, i)
            if type(e) ~= 'table' then error(e, 0) end
            local ok, e = xpcall(fail, function(e) return type(e) == 'table' and {e, debug.traceback('x')} or e end, i)
            if type(e) ~= 'table' then error(e, 0) end
            local ok, e = pcall(function() local x = nil + i end)
            if not e:find('arithmetic') then error(e, 0) end
        end
        return tostring(caught)",
    ),
    (
        "explicit blocks",
        "local n = ... local sum, blocks = 0, {}
        for i = 1, n do
            local b = mem.malloc(i * 3)
            b:fill(i % 256)
            blocks[i] = b
            if i % 3 == 0 then b:realloc(i * 7):fill(1) end
            sum = sum + #b:read(0, 'c' .. i)
            if i % 2 == 0 then b:free() blocks[i] = nil end
        end
        for _, b in pairs(blocks) do b:free() end
        return tostring(sum)",
    ),
    (
        "pointers, views, scopes",
        "local n = ... local head, sum = mem.null, 0
        local S = mem.struct{{'next', 'p'}, {'value', 'i4'}}
        for i = 1, n do local s = S:new() s.next, s.value = head, i head = mem.address(s) end
        while not head:isnull() do
            local s = S(head) sum = sum + s.value
            local next = s.next mem.free(head) head = next
        end
        sum = sum + mem.scope(function(scope)
            local a = mem.array(scope:calloc(n, 8), 'i8')
            for i = 1, n do a[i] = i * i end
            return a[n] + #mem.dump(scope:calloc(n))
        end)
        local before = mem.brk() local p = mem.sbrk(n * 8)
        for i = 0, n - 1 do p:write(i * 8, 'i8', i) end
        sum = sum + p:read(n * 8 - 8, 'i8') + #p:string(1, n) mem.brk(before)
        local m <close> = check(mem.map{anonymous = true, size = 5000}) m:fill(1) sum = sum + m:read(4999, 'B')
        return sum .. ' ' .. #mem.fragmentation().classes * 0",
    ),
    (
        "files",
        "local n = ... local f = check(io.tmpfile()) local sum = 0
        for i = 1, n do f:write('line ', i, '\\n') end
        f:seek('set')
        for line in f:lines() do sum = sum + #line end
        f:seek('set') local all = f:read('a') f:seek('set') local a, b = f:read('l', 20)
        f:close()
        return sum .. ' ' .. #all .. a .. #b",
    ),
    (
        "deep recursion",
        "local n = ... local function f(k, ...) if k == 0 then return select('#', ...) end return 1 + f(k - 1, k, ...) end
        local function g(k) if k == 0 then return 0 end return 1 + g(k - 1) end
        return f(n // 3) .. ' ' .. g(n * 10)",
    ),
];

const MESSAGE: &[u8] = b"not enough memory";

/// The result of a program, or its error.
fn run(lua: &mut Interpreter, program: &str, size: i64) -> Result<Vec<u8>, Vec<u8>> {
    lua.run([CHECK, program].concat().as_bytes(), b"=program", size)
}

fn audit(lua: &mut Interpreter) {
    if let Err(error) = lua.audit() {
        panic!("{error}");
    }
}

fn shown(outcome: &Result<Vec<u8>, Vec<u8>>) -> String {
    let (Ok(text) | Err(text)) = outcome;
    format!("{}: {}", if outcome.is_ok() { "result" } else { "error" }, String::from_utf8_lossy(text))
}

/// Runs the program with the n-th request refused, for n from 0 in steps, until the refusal comes too late. Says how many runs were refused.
fn refuse_each(program: &str, size: i64, config: &Config, step: usize, faults: Way) -> usize {
    let fresh = || Interpreter::new(config.clone()).expect("memory for the libraries");
    let expected = run(&mut fresh(), program, size);
    assert!(expected.is_ok(), "{}", shown(&expected));
    let mut refused = 0;
    let mut n = 0;
    loop {
        let mut lua = fresh();
        lua.inject(faults(n));
        let outcome = run(&mut lua, program, size);
        let late = matches!(lua.inject(Faults::None), Faults::At(_) | Faults::From(1..));
        match &outcome {
            Err(message) if message == MESSAGE => refused += 1,
            outcome => assert_eq!(shown(outcome), shown(&expected), "request {n}"),
        }
        audit(&mut lua);
        assert_eq!(shown(&run(&mut lua, program, size)), shown(&expected), "after the refusal of request {n}");
        if late {
            return refused;
        }
        n += step;
    }
}

fn rounds() -> usize {
    std::env::var("NEAP_TEST_ROUNDS").ok().and_then(|v| v.parse().ok()).unwrap_or(1)
}

type Way = fn(usize) -> Faults;

/// How requests are refused: one alone, one and all after it; and in which steps the one is chosen.
const WAYS: [(Way, usize); 2] = [(Faults::At, 1), (Faults::From, 3)];

#[test]
fn each_request_of_a_program_is_refused() {
    let size = 150 * rounds().min(8) as i64;
    for (name, program) in PROGRAMS {
        for (faults, step) in WAYS {
            let refused = refuse_each(program, size, &Config::default(), step, faults);
            assert!(refused > 1, "{name}");
        }
    }
}

/// The same beside a collector that ends an epoch at each safepoint and overwrites what dies.
#[test]
fn each_request_is_refused_under_stress() {
    let size = 25 * rounds().min(8) as i64;
    let config = Config { stress_cycle: 16, poison: true, audit: u32::from(rounds() > 1), ..Config::default() };
    for (_, program) in PROGRAMS {
        for (faults, step) in WAYS {
            refuse_each(program, size, &config, step, faults);
        }
    }
}

#[test]
fn each_limit_is_too_low_or_enough() {
    let mut limit_bytes = 0;
    while Interpreter::new(Config { limit_bytes, ..Config::default() }).is_err() {
        limit_bytes += 4096;
    }
    assert!((64 << 10..2 << 20).contains(&limit_bytes), "{limit_bytes}");
    let start = limit_bytes;
    for (name, program) in PROGRAMS {
        let config = |limit_bytes| Config { limit_bytes, ..Config::default() };
        let expected = run(&mut Interpreter::new(config(usize::MAX)).expect("memory for the libraries"), program, 100);
        let mut limit_bytes = start;
        loop {
            let mut lua = Interpreter::new(config(limit_bytes)).expect("memory for the libraries");
            let outcome = run(&mut lua, program, 100);
            audit(&mut lua);
            if outcome.as_ref().is_err_and(|message| message == MESSAGE) {
                limit_bytes += 4096;
                continue;
            }
            assert_eq!(shown(&outcome), shown(&expected), "{name}, {limit_bytes} bytes");
            break;
        }
    }
}

/// What has been done again and has gone well is over: an interrupt that comes later is no reason to do something again.
#[test]
fn an_interrupt_after_a_refusal_is_not_lost() {
    let program = "local n = ... local t = {}
        for i = 1, n do rawset(t, i, i) rawset(t, i + 0.5, i) table.insert(t, i) setmetatable(t, {}) end
        return 'done'";
    let mut n = 0;
    loop {
        let mut lua = Interpreter::new(Config::default()).expect("memory for the libraries");
        lua.inject(Faults::At(n));
        let outcome = run(&mut lua, program, 20_000);
        let late = matches!(lua.inject(Faults::None), Faults::At(_));
        if outcome.is_ok() {
            lua.interrupt();
            let outcome = run(&mut lua, "for i = 1, 10 do end return 'lost'", 0);
            assert!(
                outcome.as_ref().is_err_and(|message| message.ends_with(b"interrupted!")),
                "request {n}: {}",
                shown(&outcome)
            );
        }
        if late {
            break;
        }
        n += 1;
    }
    assert!(n > 2);
}

/// The scripts of `tests/lua` with refusals here and there. What becomes of their assertions nobody can say; the heap is sound.
#[test]
fn scripts_leave_a_sound_heap() {
    /// Some scripts go on for long about one thing.
    const LIMITS: Limits = Limits { fuel: Some(1_000_000), time: None, memory: None };
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/lua");
    for entry in std::fs::read_dir(root).expect("the folder of the scripts") {
        let path = entry.expect("an entry of the folder").path();
        let Ok(script) = std::fs::read_to_string(&path) else { continue };
        // They have their processes for themselves, as a rule, and some end them.
        let script = format!("os.exit = error; debug.debug = error; io.read = error; {script}");
        let mut n = 3;
        loop {
            let mut late = true;
            for (faults, _) in WAYS {
                let mut lua = Interpreter::new(Config::default()).expect("memory for the libraries");
                lua.inject(faults(n));
                let _ = lua.run_limited(script.as_bytes(), b"=script", 0, LIMITS);
                late &= matches!(lua.inject(Faults::None), Faults::At(_) | Faults::From(1..));
                audit(&mut lua);
            }
            if late {
                break;
            }
            n += 1 + n * 4 / rounds();
        }
    }
}
