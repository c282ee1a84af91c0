-- collectgarbage: its options, and what a full collection may and may not take. Manual, 2.5 and 6.1.

local function fails(message, f, ...)
  local ok, err = pcall(f, ...)
  assert(not ok and tostring(err):find(message, 1, true), tostring(err))
end
local small = os.getenv("NEAP_GC") ~= nil

-- The options and the types of their results.
assert(collectgarbage() == 0 and collectgarbage("collect") == 0)
local kib = collectgarbage("count")
assert(math.type(kib) == "float" and kib > 0)
assert(type(collectgarbage("step")) == "boolean" and type(collectgarbage("step", 100)) == "boolean")
assert(collectgarbage("isrunning") == true)
assert(collectgarbage("stop") == 0 and collectgarbage("isrunning") == false)
assert(collectgarbage("restart") == 0 and collectgarbage("isrunning") == true)
local mode = collectgarbage("incremental")
assert(mode == "incremental" or mode == "generational")
mode = collectgarbage("generational")
assert(mode == "incremental")
assert(collectgarbage("incremental") == "generational" and collectgarbage("incremental", 100, 200, 10) == "incremental")
assert(type(collectgarbage("setpause", 200)) == "number" and collectgarbage("setpause", 160) == 200 and collectgarbage("setpause", 200) == 160)
assert(type(collectgarbage("setstepmul", 100)) == "number" and collectgarbage("setstepmul", 100) == 100)
assert(collectgarbage("incremental", 120, 240) == "incremental" and collectgarbage("incremental", 0, 0) == "incremental")
assert(collectgarbage("setpause", 200) == 120 and collectgarbage("setstepmul", 100) == 240)
-- Only the options that have parameters look at them.
assert(collectgarbage("count", "x") > 0 and collectgarbage("isrunning", {}) and collectgarbage("collect", print) == 0)
fails("bad argument #2 to 'collectgarbage' (number expected, got string)", collectgarbage, "step", "x")
fails("bad argument #3 to 'collectgarbage' (number expected, got table)", collectgarbage, "generational", 1, {})
fails("bad argument #4 to 'collectgarbage' (number expected, got boolean)", collectgarbage, "incremental", 1, 1, true)
fails("bad argument #1 to 'collectgarbage' (invalid option 'nonsense')", collectgarbage, "nonsense")
fails("bad argument #1 to 'collectgarbage' (string expected, got table)", collectgarbage, {})

-- The work of a step is in proportion to its size; `true` tells of the end of a cycle.
if not small then
  local live = {}
  for i = 1, 100000 do live[i] = { i, {} } end
  local function steps(size)
    collectgarbage()
    local a = { {} }
    a[1][1] = a
    live[1] = a
    collectgarbage("step", 1)
    live[1], a = nil, nil
    local count = 0
    repeat count = count + 1 until collectgarbage("step", size)
    return count
  end
  collectgarbage("stop")
  local few, many = steps(1000), steps(10)
  assert(few < many, few .. ", " .. many)
  assert(steps(100000) == 1 and collectgarbage("step", 100000) == true)
  collectgarbage("restart")
end

-- "count" follows what is alive.
collectgarbage()
local before = collectgarbage("count")
local big = {}
for i = 1, small and 500 or 20000 do big[i] = { i } end
collectgarbage()
local with = collectgarbage("count")
assert(with - before > (small and 500 or 20000) * 32 / 1024)
big = nil
collectgarbage()
collectgarbage()
local after = collectgarbage("count")
assert(after - before < (with - before) / 2, "the garbage is still counted")

-- Garbage of every shape goes: what is made and dropped many times over does not add up.
local function shapes(i)
  local list = nil
  for _ = 1, 50 do list = { list } end
  local ring = {}
  ring.self, ring[1], ring[ring] = ring, { ring }, ring
  local a, b = {}, {}
  a.b, b.a = b, a
  local f
  f = function() return f, ring end
  local co = coroutine.create(function() local me = co coroutine.yield(me) end)
  coroutine.resume(co)
  local looped = coroutine.wrap(function(self) local t = { self } t.t = t coroutine.yield(t) end)
  looped(looped)
  local meta = setmetatable({}, {})
  getmetatable(meta).__index = meta
  return #("x"):rep(100 + i)
end
for i = 1, 20 do shapes(i) end
collectgarbage()
before = collectgarbage("count")
for round = 1, small and 2 or 20 do
  for i = 1, small and 10 or 200 do shapes(i) end
  collectgarbage()
end
collectgarbage()
after = collectgarbage("count")
assert(after < before * 1.5 + 200, ("memory grew from %.0f to %.0f KiB"):format(before, after))

-- What is reachable stays, through every kind of reference, across collections at any point.
local held = {
  table = { "in a table" }, [{ "as a key" }] = "key", closure = (function() local v = { "upvalue" } return function() return v end end)(),
  meta = setmetatable({}, { __index = { "in a metatable" } }),
  thread = coroutine.wrap(function() local v = { "on a stack" } coroutine.yield() coroutine.yield(v) end),
}
held.thread()
local function churn(n) for i = 1, n do local _ = { i, tostring(i), function() return i end } end end
for _ = 1, 5 do
  churn(small and 50 or 5000)
  collectgarbage("step")
  collectgarbage()
end
assert(held.table[1] == "in a table" and held.closure()[1] == "upvalue" and held.meta[1] == "in a metatable")
assert(held.thread()[1] == "on a stack")
local found
for k in pairs(held) do if type(k) == "table" then found = k[1] end end
assert(found == "as a key")

-- Stopped, nothing is collected on its own; a full collection still works.
collectgarbage("stop")
local weak = setmetatable({}, { __mode = "v" })
weak[1] = {}
churn(small and 10 or 1000)
collectgarbage()
assert(weak[1] == nil and not collectgarbage("isrunning"))
collectgarbage("restart")

-- Values that are only in registers: arguments, temporaries, varargs, loop state.
local function through(...)
  collectgarbage()
  local t = { ... }
  collectgarbage()
  return table.unpack(t)
end
local a, b, c = through({ 1 }, { 2 }, through({ 3 }))
assert(a[1] == 1 and b[1] == 2 and c[1] == 3)
local s = "x" .. (function() collectgarbage() return "y" .. 1 end)() .. (function() collectgarbage() return tostring(2.5) end)()
assert(s == "xy12.5")
for i, v in (function() local list = { { 1 }, { 2 } } return function(_, k) k = k + 1 collectgarbage() if list[k] then return k, list[k] end end end)(), nil, 0 do
  assert(v[1] == i)
end
local t = setmetatable({}, { __index = function(_, k) collectgarbage() return { k } end, __concat = function(x, y) collectgarbage() return { x, y } end })
assert(t.a[1] == "a" and (t .. ("p" .. 1))[2] == "p1" and ({ t.x, t.y, t.z })[3][1] == "z")
table.sort({ 3, 1, 2 }, function(x, y) collectgarbage("step") local _ = { x, y } return x < y end)
assert(("a b c"):gsub("%a", function(ch) collectgarbage("step") return ch .. ch end) == "aa bb cc")

-- A table that is cleared and filled again and again.
local map = {}
for round = 1, small and 3 or 30 do
  for i = 1, 100 do map[{ i }] = { i } map["k" .. i] = { round } end
  for k in pairs(map) do map[k] = nil end
  assert(next(map) == nil)
end
