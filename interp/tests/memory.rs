//! Of the memory that a script makes grow, at least 95 % is on the heap: what the host's allocator gives is counted, thread by thread, and
//! held against the heap's own figures.

use neap::Interpreter;
use neap_gc::Config;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

/// The host's allocator, which counts the bytes that this thread has from it.
struct Counting;

fn count(bytes: isize) {
    // Without the counters, at the very end of a thread, nothing is measured any more.
    let _ = LIVE.try_with(|live| {
        live.set(live.get() + bytes);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(live.get())));
    });
}

// SAFETY: all requests are passed on.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: by the caller; so below.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        // SAFETY: as above.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What a run has added to the figures: of the host's allocator now and at most, of the heap now and at most.
#[derive(Debug)]
struct Growth {
    host: isize,
    host_peak: isize,
    heap: isize,
    heap_peak: isize,
}

impl Growth {
    fn on_heap(host: isize, heap: isize) -> bool {
        host.max(0) as f64 <= 0.05 * (host.max(0) + heap.max(1)) as f64
    }
}

/// Runs `make(n)` of the script, first with a small `n`, and measures the second run. What it returns is kept.
fn grow(script: &str, small: i64, large: i64) -> Growth {
    let mut lua = Interpreter::new(Config::default()).expect("a heap");
    let mut run = |code: &str, n: i64| {
        if let Err(error) = lua.run(code.as_bytes(), b"=script", n) {
            panic!("{:?}", String::from_utf8_lossy(&error));
        }
        (lua.used_bytes() as isize, lua.peak_bytes() as isize, lua.mapped_bytes() as isize)
    };
    run(&format!("make = (function() {script} end)()"), 0);
    let (used, _, mapped) = run("warm = make(...)", small);
    let host = LIVE.get();
    PEAK.set(host);
    let (after, peak, _) = run("kept = make(...)", large);
    Growth { host: LIVE.get() - host, host_peak: PEAK.get() - host, heap: after - used, heap_peak: peak - mapped }
}

/// The workload leaves at least `least` MB behind, 95 % of them on the heap; and at no moment was it otherwise.
fn stays_on_the_heap(script: &str, small: i64, large: i64, least: isize) {
    let growth = grow(script, small, large);
    assert!(growth.heap > least << 20, "it does not grow: {growth:?}");
    assert!(Growth::on_heap(growth.host, growth.heap), "what is kept: {growth:?}");
    assert!(Growth::on_heap(growth.host_peak, growth.heap_peak.max(growth.heap)), "on the way: {growth:?}");
}

/// The workload needs at least `least` MB for a while, 95 % of them on the heap.
fn passes_over_the_heap(script: &str, small: i64, large: i64, least: isize) {
    let growth = grow(script, small, large);
    let heap = growth.heap_peak.max(growth.heap);
    assert!(heap > least << 20, "it does not grow: {growth:?}");
    assert!(Growth::on_heap(growth.host_peak, heap), "{growth:?}");
}

#[test]
fn tables() {
    stays_on_the_heap("return function(n) local t = {} for i = 1, n do t[i] = i end return t end", 10_000, 500_000, 4);
    stays_on_the_heap("return function(n) local t = {} for i = 1, n do t[i * 0.5] = i end return t end", 10_000, 200_000, 4);
    stays_on_the_heap("return function(n) local t = {} for i = 1, n do t[i] = {i, x = t} end return t end", 10_000, 100_000, 4);
    let weak = "return function(n) local t = setmetatable({}, {__mode = 'k'}) for i = 1, n do local k = {} t[k], t[i] = {t}, k end return t end";
    stays_on_the_heap(weak, 1000, 100_000, 4);
}

#[test]
fn strings() {
    let many = "return function(n) local t = {} for i = 1, n do t[i] = 'some text ' .. i end return t end";
    stays_on_the_heap(many, 10_000, 200_000, 4);
    let keys = "return function(n) local t = {} for i = 1, n do t['key ' .. i] = i end return t end";
    stays_on_the_heap(keys, 10_000, 200_000, 4);
}

#[test]
fn functions_coroutines_and_userdata() {
    let closures = "return function(n) local t = {} for i = 1, n do t[i] = function() return i, t end end return t end";
    stays_on_the_heap(closures, 10_000, 100_000, 4);
    let coroutines =
        "return function(n) local t = {} for i = 1, n do local co = coroutine.create(function(a) local x <close> = nil
        coroutine.yield(a) end) coroutine.resume(co, i) t[i] = co end return t end";
    stays_on_the_heap(coroutines, 1000, 20_000, 4);
    let iterators = "return function(n) local t = {} for i = 1, n do t[i] = string.gmatch('a b', '%a') end return t end";
    stays_on_the_heap(iterators, 10_000, 50_000, 4);
    let finalized = "return function(n) local t, m = {}, {__gc = print} for i = 1, n do t[i] = setmetatable({}, m) end
        return setmetatable(t, {__gc = function() end}) and t end";
    stays_on_the_heap(finalized, 10_000, 100_000, 4);
}

#[test]
fn code() {
    let text = "return function(n) local t = {} for i = 1, n do
        t[i] = load('local a, b, c = ... local function f(x, y) return a + x * y .. b end return f(c, ' .. i .. '), f') end return t end";
    stays_on_the_heap(text, 200, 20_000, 4);
    let again = "local f = load('local a, b, c = ... local function f(x, y) return a + x * y .. b end return f(c), f')
        local chunk = string.dump(f) return function(n) local t = {} for i = 1, n do t[i] = load(chunk) end return t end";
    stays_on_the_heap(again, 200, 20_000, 4);
}

#[test]
fn blocks() {
    stays_on_the_heap("return function(n) local t = {} for i = 1, n do t[i] = mem.malloc(16) end return t end", 1000, 50_000, 4);
    stays_on_the_heap("return function(n) local t = {} for i = 1, n do t[i] = mem.calloc(1000) end return t end", 100, 10_000, 4);
}

#[test]
fn deep_stacks() {
    let deep = "return function(n) local function f(i) if i > 0 then return 1 + f(i - 1) end return 0 end return f(n) end";
    passes_over_the_heap(deep, 100, 150_000, 4);
}

#[test]
fn texts_in_the_making() {
    let rep = "return function(n) return ('x'):rep(n) end";
    let rep_long = "local unit = ('abc'):rep(500000) return function(n) return unit:rep(n, ', ') end";
    let concat = "return function(n) local t = {} for i = 1, n do t[i] = 'some text ' .. i end return table.concat(t, ', ') end";
    let gsub = "return function(n) return (('a b'):rep(n):gsub('%a', {a = 'one thing', b = 'the other'})) end";
    let gsub_call = "return function(n) return (('a b'):rep(n):gsub('%a', function(c) return c .. c .. 'more' end)) end";
    let gsub_text = "return function(n) return (('a b'):rep(n):gsub('(%a)', '<%1 %0>')) end";
    let format = "return function(n) return ('%s %q %5s'):format(('x'):rep(n), ('\\0'):rep(n), ('y'):rep(n)) end";
    let change = "return function(n) return ('Some Text'):rep(n):upper():lower():reverse() end";
    let pack = "return function(n) return string.pack('s4 z', ('x'):rep(n), ('y'):rep(n)) end";
    let operator = "return function(n) local s = ('x'):rep(n) return s..1 ..s..2 ..s..3 ..s..4 ..s..5 ..s..6 ..s..7 ..s..8 end";
    let sort = "return function(n) local t = {} for i = 1, n do t[i] = -i end table.sort(t) return t end";
    let pieces =
        "return function(n) local i = 0 return load(function() i = i + 1 return i < n and ('-'):rep(1000) end) and 1 end";
    let read =
        "return function(n) local f = io.tmpfile() f:write(('some line\\n'):rep(n)) f:seek('set') local s = f:read('a') f:close()
        return s end";
    let block =
        "return function(n) local b <close> = mem.malloc(n) b:write(0, 'c' .. n, ('x'):rep(n)) return b:read(0, 'c' .. n) end";
    for (script, large) in [
        (rep, 16 << 20),
        (rep_long, 8),
        (concat, 300_000),
        (gsub, 500_000),
        (gsub_call, 300_000),
        (gsub_text, 500_000),
        (format, 4 << 20),
        (change, 1 << 20),
        (pack, 4 << 20),
        (operator, 1 << 20),
        (sort, 500_000),
        (pieces, 16_000),
        (read, 1 << 20),
        (block, 8 << 20),
    ] {
        eprintln!("{script}");
        passes_over_the_heap(script, 2, large, 7);
    }
}

/// What only passes through the host on its way: messages, names of files, dates, code that is dumped.
#[test]
fn texts_that_pass_through() {
    let error = "local big = ('x'):rep(1 << 22) return function(n) return select(2, pcall(error, big:sub(1, n), 2)) end";
    let named =
        "local big = ('x'):rep(1 << 22) return function(n) return tostring(setmetatable({}, {__name = big:sub(1, n)})) end";
    let blame = "local big = ('x'):rep(1 << 22) return function(n) local t = setmetatable({}, {__name = big:sub(1, n) .. n})
        local ok, message = pcall(function() return t + 1 end) return t end";
    let trace = "local big = ('x'):rep(1 << 22) return function(n) return debug.traceback(big:sub(1, n)) end";
    let source = "local long = ('--' .. ('x'):rep(1000) .. '\\n'):rep(4000) return function(n)
        return debug.getinfo(load(long:sub(1, n > 2 and -1 or n), long), 'S').source .. long end";
    let date = "return function(n) return os.date(('%c, '):rep(n)) end";
    let path = "return function(n) return select(2, package.searchpath('a.b', ('/x?;'):rep(n))) end";
    let name = "return function(n) return select(2, package.searchpath(('a.'):rep(n), '/?;/?')) end";
    let mark = "return function(n) return select(2, package.searchpath(('a.'):rep(n), ('?'):rep(20), '.', 'bcd')) end";
    let module = "return function(n) return select(2, pcall(require, ('a.'):rep(n))) end";
    let dump = "local long, short = load('local a = 1 ' .. ('a = a + 1 '):rep(1000000)), load('return 1')
        return function(n) return string.dump(n > 2 and long or short, true) end";
    let char = "local t = {} for i = 1, 200000 do t[i] = 65 end return function(n) local s = string.char(table.unpack(t, 1, n))
        local u = utf8.char(table.unpack(t, 1, n)) return s:rep(40) .. u end";
    let open = "local big = ('x'):rep(1 << 22) return function(n) return select(2, io.open(big:sub(1, n))) end";
    for (script, large) in [
        (error, 1 << 22),
        (named, 1 << 22),
        (blame, 1 << 22),
        (trace, 1 << 22),
        (source, 1 << 22),
        (date, 1 << 18),
        (path, 1 << 19),
        (name, 1 << 20),
        (mark, 1 << 17),
        (module, 1 << 18),
        (dump, 5),
        (char, 200_000),
        (open, 1 << 22),
    ] {
        eprintln!("{script}");
        passes_over_the_heap(script, 2, large, 3);
    }
    let iterators = "return function(n) local t, p = {}, '[abc]%d.x?y*[^xyz]' for i = 1, n do t[i] = ('x'):gmatch(p:rep(20)) end return t end";
    stays_on_the_heap(iterators, 1000, 20_000, 4);
}
