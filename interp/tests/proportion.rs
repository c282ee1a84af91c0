//! What the collector does is in proportion to what the program does, and memory to what is live: counted on the heap's own figures, without a clock.

use neap::Interpreter;
use neap_gc::Config;

fn interpreter() -> Interpreter {
    Interpreter::new(Config::default()).expect("a heap")
}

fn run(lua: &mut Interpreter, script: &str) {
    if let Err(error) = lua.run(script.as_bytes(), b"=script", 0) {
        panic!("{:?}", String::from_utf8_lossy(&error));
    }
}

/// Stops of the program while the script's function runs.
fn stops(script: &str) -> u64 {
    let lua = &mut interpreter();
    run(lua, &format!("work = (function() {script} end)()"));
    let before = lua.stops();
    run(lua, "work()");
    lua.stops() - before
}

/// After a whole collection not much more is mapped than is in use, whatever the garbage was.
#[test]
fn memory_goes_back_with_a_collection() {
    for make in [
        "t[i] = ('x'):rep(5000000) .. i",
        "t[i] = table.pack(('x'):rep(100000):byte(1, 100000))",
        "t[i] = {} for k = 1, 20000 do t[i][k] = {k} end",
        "t[i] = setmetatable({}, {__mode = 'k'}) for k = 1, 10000 do local key = {} t[i][key], t[i][k] = key, key end",
        "t[i] = {} for k = 1, 2000 do t[i][k] = coroutine.wrap(function(a) coroutine.yield(a) end) t[i][k](k) end",
    ] {
        let lua = &mut interpreter();
        run(lua, &format!("t = {{}} for i = 1, 20 do {make} end"));
        let full = lua.mapped_bytes();
        run(lua, "t = nil collectgarbage()");
        let (used, mapped) = (lua.used_bytes(), lua.mapped_bytes());
        eprintln!("{make}: {full} mapped, then {mapped}, {used} in use");
        assert!(full > 16 << 20, "{make}: only {full} bytes were mapped");
        assert!(mapped < used + (8 << 20), "{make}: {mapped} bytes are mapped for {used} in use");
    }
}

/// Objects that move from list to list cost a few words a move, not the length of the list: the log does not fill up.
#[test]
fn moves_between_lists() {
    let script = |make: &str| {
        format!(
            "local lists, x = {{}}, 1
            for i = 1, 400 do lists[i] = {{}} end
            for i = 1, 200000 do local list = lists[i % 400 + 1] list[#list + 1] = {make} end
            collectgarbage()
            return function()
                for _ = 1, 200000 do
                    x = (x * 7919 + 17) % 1000003
                    local from, to = lists[x % 400 + 1], lists[x // 400 % 400 + 1]
                    local e = from[#from]
                    if e then from[#from] = nil to[#to + 1] = e end
                end
            end"
        )
    };
    let (numbers, objects) = (stops(&script("i")), stops(&script("{i}")));
    eprintln!("{numbers} stops with numbers, {objects} with objects");
    assert!(objects < 2000, "{objects} stops for 200,000 moves");
}

/// An insertion at the front of a list moves all of it, and makes each slot dirty once an epoch.
#[test]
fn insertions_at_the_front() {
    let script = |make: &str| {
        format!(
            "return function()
                local list = {{}}
                for i = 1, 4000 do table.insert(list, 1, {make}) end
                for i = 1, 4000 do table.remove(list, 1) end
            end"
        )
    };
    let (numbers, objects) = (stops(&script("i")), stops(&script("{i}")));
    eprintln!("{numbers} stops with numbers, {objects} with objects");
    assert!(objects < 200, "{objects} stops for 8000 moves of a list");
}
