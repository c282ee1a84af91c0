-- The library `gc`: the heap and its collector, seen and steered by scripts. Neap's own; Lua has none.

if not gc then return end

local function fails(text, f, ...)
  local ok, err = pcall(f, ...)
  assert(not ok and err:find(text, 1, true), err)
end
local function is(got, expected)
  assert(got == expected, tostring(got) .. "\nis not\n" .. tostring(expected))
end
assert(package.loaded.gc == gc)

-- Under stress an epoch ends at each safepoint, which is none of the stops that are timed.
local stressed = os.getenv("NEAP_GC") ~= nil

-- What was allocated counts at once.
do
  local before = gc.stats()
  local t = {}
  local after = gc.stats()
  assert(after.allocated > before.allocated and after.allocated_cells > before.allocated_cells)
  assert(after.used > 0 and after.committed >= after.used and after.peak >= after.committed)
  assert(after.limit == false)
  for name, n in pairs(after) do assert(name == "limit" or math.type(n) == "integer", name) end
end

-- Whole collections, and what they free.
do
  local function ring() local a, b = {}, {} a.b, b.a = b, a return setmetatable({a}, {__mode = "v"}) end
  local weak = ring()
  local big = {}
  for i = 1, 100 do big[i] = {big} end
  big = nil
  assert(gc.collect() > 100 * 16)
  assert(weak[1] == nil)
  local finalized = 0
  for i = 1, 3 do setmetatable({}, {__gc = function() finalized = finalized + 1 assert(gc.collect() == nil and gc.step(1) == nil) end}) end
  gc.collect()
  is(finalized, 3)
end

-- Steps.
do
  local done = false
  for i = 1, stressed and 1 or 1000 do
    done = stressed or gc.step(2000)
    if done then break end
  end
  assert(done == true)
  fails("bad argument #1 to 'gc.step' (number expected, got no value)", gc.step)
  fails("bad argument #1 to 'gc.step' (not a time in microseconds)", gc.step, -1)
  fails("not a time", gc.step, 0/0)
end

-- Pauses.
do
  gc.reset()
  is(gc.pauses().stop.count, 0)
  gc.collect()
  local p = gc.pauses()
  is(p.stop.count, 1)
  is(p.whole.count, 1)
  is(p.whole.cpu.count, 1)
  assert(p.whole.max > 0 and p.whole.max <= p.stop.max and p.stop.total == p.stop.max)
  assert(p.mark == nil)
  if not stressed then
    gc.reset()
    for i = 1, 2e5 do local x = {i} end
    p = gc.pauses()
    assert(p.stop.count > 1 and p.epoch_end.count > 1)
    for _, row in ipairs {p.stop, p.epoch_end, p.stop.cpu} do
      assert(row.p50 <= row.p90 and row.p90 <= row.p99 and row.p99 <= row.p999 and row.p999 <= row.p9999 and row.p9999 <= row.max)
      assert(row.max <= row.total)
    end
  end
  gc.mark("here")
  gc.mark(("long"):rep(1000))
  fails("string expected, got table", gc.mark, {})
end

-- Goals and limit.
do
  local before = gc.configure()
  assert(before.limit == false and before.max_pause >= 50 and before.max_overhead >= 1)
  local same = gc.configure {max_pause = 1000, max_overhead = 50}
  assert(same.max_pause == before.max_pause and same.max_overhead == before.max_overhead)
  local set = gc.configure(before)
  assert(set.max_pause == 1000 and set.max_overhead == 50)
  for text, bad in pairs {
    ["field 'max_pause' must be from 50 to 1000000 microseconds"] = {max_pause = 49},
    ["field 'max_overhead' must be from 1 to 95 percent"] = {max_overhead = "50"},
    ["field 'limit' must be a number of bytes, or false"] = {limit = 0},
    ["only 'max_pause', 'max_overhead' and 'limit' can be configured"] = {pause = 1},
    ["table expected, got number"] = 5,
  } do
    fails(text, gc.configure, bad)
  end
  -- What is half wrong sets nothing.
  pcall(gc.configure, {max_pause = 2000, max_overhead = 0})
  is(gc.configure().max_pause, before.max_pause)
  gc.configure {limit = gc.stats().committed + (8 << 20)}
  local t = {}
  if not stressed then fails("not enough memory", function() for i = 1, 1e7 do t[i] = {} end end) end
  t = nil
  gc.configure {limit = false}
  assert(gc.configure().limit == false)
  -- A run with limits can't help itself.
  local _, ok, err = limits.run({memory = 8 << 20}, function() return pcall(gc.configure, {limit = false}) end)
  assert(ok == false and err:find("the limit can't be changed in a run with limits", 1, true), err)
end

-- Kinds.
do
  local expected = {
    [kind_of or "x"] = "string", [print] = "native function", [function() end] = "closure", [{}] = "table",
    [io.stdout] = "userdata", [coroutine.create(print)] = "thread", [1] = "nil", [1.5] = "nil", [true] = "nil",
  }
  for value, kind in pairs(expected) do is(tostring(gc.kind(value)), kind) end
  is(gc.kind(nil), nil)
  fails("value expected", gc.kind)
end

-- Counts: one for each variable and each field.
do
  local t = {}
  is(gc.refcount(t), 1)
  local again = t
  is(gc.refcount(t), 2)
  again = nil
  local holder = {t, t, x = t, [t] = true}
  is(gc.refcount(t), 5)
  holder[1], holder.x = nil
  is(gc.refcount(t), 3)
  holder = nil
  is(gc.refcount(t), 1)
  is(gc.refcount(5), nil)
  fails("value expected", gc.refcount)
  -- What holds weakly does not count.
  local weak = setmetatable({t}, {__mode = "v"})
  is(gc.refcount(t), 1)
end

-- Sizes.
do
  is(gc.sizeof(5), 0)
  local empty = {}
  local bare = gc.sizeof(empty)
  assert(bare >= 48 and gc.sizeof(empty, true) == bare)
  local array = {}
  for i = 1, 1000 do array[i] = i end
  assert(gc.sizeof(array) >= bare + 1000 * 16 and gc.sizeof(array, true) == gc.sizeof(array))
  local hash = {}
  for i = 1, 1000 do hash[i * 1000] = i end
  assert(gc.sizeof(hash) >= bare + 1000 * 16)
  if not stressed then
    local large = {}
    for i = 1, 20000 do large["k" .. i] = i end
    assert(gc.sizeof(large) >= bare + 20000 * 16)
  end
  local list
  for i = 1, 100 do list = {next = list} end
  local node = gc.sizeof {next = false}
  assert(gc.sizeof(list) == node)
  local deep = gc.sizeof(list, true)
  assert(deep >= 100 * node and deep <= 100 * node + 100, deep)
  -- A cycle ends, and what is shared counts once.
  local a = {}
  a.a, a.b = a, a
  assert(gc.sizeof(a, true) <= gc.sizeof(a) + 100)
  -- Not through the globals, though each function leads to them.
  assert(gc.sizeof(function() return print end, true) < 2000)
  assert(gc.sizeof(("x"):rep(1000)) >= 1000)
  assert(gc.sizeof(coroutine.create(function() end)) > 100)
  assert(gc.sizeof(io.stdout) > 16)
end

-- The census sees what is made, and the difference what has leaked.
do
  gc.collect()
  local before = gc.census()
  local leak = {}
  for i = 1, 100 do leak[i] = {} end
  local after = gc.census()
  local change = gc.diff(before, after)
  -- The tables of the first census are new as well.
  assert(change.table.count >= 101 and change.table.count < 150, change.table.count)
  assert(change.table.bytes >= 101 * 48 and change["array part"].count >= 1)
  assert(before.table.count + change.table.count == after.table.count)
  local back = gc.diff(after, before)
  is(back.table.count, -change.table.count)
  is(next(gc.diff(after, after)), nil)
  local of = gc.diff({a = {count = 1, bytes = 2}, c = {count = 1, bytes = 1}}, {b = {count = 3, bytes = 4}, c = {count = 1, bytes = 1}})
  assert(of.a.count == -1 and of.a.bytes == -2 and of.b.count == 3 and of.b.bytes == 4 and of.c == nil)
  fails("bad argument #1 to 'gc.diff' (table expected, got no value)", gc.diff)
  fails("not a census", gc.diff, {a = 1}, {})
  fails("not a census", gc.diff, {}, {a = {count = "x"}})
end

-- By which way an object is alive.
do
  leaked = {items = {}, [true] = {}, [1.5] = {}}
  leaked.items[3] = {inner = {}}
  is(gc.path(leaked), "_G.leaked")
  is(gc.path(leaked.items[3].inner), "_G.leaked.items[3].inner")
  is(gc.path(leaked[true]), "_G.leaked[true]")
  is(gc.path(leaked[1.5]), "_G.leaked[1.5]")
  leaked.items["a b"] = {}
  is(gc.path(leaked.items["a b"]), '_G.leaked.items["a b"]')
  local meta = {}
  setmetatable(leaked.items, meta)
  is(gc.path(meta), "_G.leaked.items<metatable>")
  local key = {}
  leaked.items[key] = 1
  is(gc.path(key), "_G.leaked.items<key>")
  local captured = {}
  function leaked.f() return captured end
  is(gc.path(captured), "_G.leaked.f<upvalue captured>")
  is(gc.path(_G), "_G")
  is(gc.path(5), nil)
  -- Only by a variable; by that of a coroutine that sleeps.
  local mine = {}
  is(gc.path(mine), "main thread<local mine>")
  leaked.co = coroutine.create(function() local its = {{}} coroutine.yield(its[1]) return its end)
  local _, inner = coroutine.resume(leaked.co)
  is(gc.path(inner), "_G.leaked.co<local its>[1]")
  -- By nothing but the call.
  is(gc.path({}), nil)
  -- What is held weakly is not held.
  leaked.weak = setmetatable({}, {__mode = "v"})
  leaked.weak[1] = mine
  is(gc.path(mine), "main thread<local mine>")
  -- The value of a weak-keyed table lives by it, while its key does.
  leaked.notes = setmetatable({[leaked] = {}}, {__mode = "k"})
  is(gc.path(leaked.notes[leaked]), "_G.leaked.notes[table]")
  -- In a large table, whose hash part is many.
  if not stressed then
    leaked.large = {}
    for i = 1, 20000 do leaked.large["k" .. i] = i end
    leaked.large.k777 = {}
    is(gc.path(leaked.large.k777), "_G.leaked.large.k777")
  end
  fails("value expected", gc.path)
end

-- Who refers to it.
do
  local x = {}
  leaked.one, leaked.items.two = x, x
  function leaked.g() return x end
  local seen = {}
  for _, r in ipairs(gc.referrers(x)) do
    seen[#seen + 1] = r.as
    if r.as == ".one" then is(r.by, leaked) elseif r.as == ".two" then is(r.by, leaked.items) end
    if r.as == "<upvalue x>" then is(r.by, leaked.g) end
  end
  table.sort(seen)
  -- The variable is captured: its box holds it, for the running function and for the closure.
  local text = table.concat(seen, " ")
  assert(text:find(".one .two", 1, true) and text:find("<upvalue x>", 1, true), text)
  is(#gc.referrers({}), 0)
  is(#gc.referrers(5), 0)
  local roots = gc.referrers(_G)
  local found = false
  for _, r in ipairs(roots) do found = found or r.by == nil and r.as == "_G" end
  assert(found)
  fails("value expected", gc.referrers)
  leaked = nil
end
