-- Runs with limits (audited seldom): what they stop, that nothing inside catches it, and that all else goes on.

local run = limits.run
local function same(...) return select("#", ...), ... end

-- Without a limit reached it is pcall.
local n, a, b, c = same(run({}, function(x, y) return x + y, nil end, 3, 4))
assert(n == 3 and a == true and b == 7 and c == nil)
a, b = run({ fuel = 1000 }, error, "message")
assert(a == false and b == "message")
assert(not pcall(run, { fuel = -1 }, print) and not pcall(run, { time = "x" }, print) and not pcall(run, {}))

local function stopped(limits, f, ...)
  local n, a, b = same(run(limits, f, ...))
  assert(n == 2 and a == nil, tostring(a))
  return b
end
local function forever() while true do end end

-- Fuel: the same count on every run, and the least that suffices is exact.
assert(stopped({ fuel = 1000 }, forever) == "fuel")
local function work() local s = 0 for i = 1, 50 do s = s + math.abs(-i) end return s end
local least
for fuel = 0, 300 do
  if run({ fuel = fuel }, work) then least = fuel break end
end
assert(least and least > 90 and least < 110)
for _ = 1, 3 do
  assert(run({ fuel = least }, work) and stopped({ fuel = least - 1 }, work) == "fuel")
end
-- Calls by library functions and operators count as well.
local function sort() local t = {} for i = 1, 40 do t[i] = -i end table.sort(t, function(x, y) return x < y end) end
assert(stopped({ fuel = 100 }, sort) == "fuel")
local sum = setmetatable({}, { __add = function(s) return s end })
assert(stopped({ fuel = 5 }, function() return sum + 1 + 1 + 1 + 1 + 1 + 1 + 1 end) == "fuel")

-- Time and memory.
assert(stopped({ time = 0.02 }, forever) == "time")
assert(stopped({ memory = 2 ^ 20 }, function() local t = {} for i = 1, math.huge do t[i] = { i } end end) == "memory")
assert(run({ memory = 2 ^ 22 }, function() for i = 1, 200000 do local t = { i } end end), "garbage is not what counts")
assert(stopped({ memory = 2 ^ 20 }, string.rep, "x", 2 ^ 26) == "memory")

-- Nothing in the run catches a stop, or does anything after it.
local heard = {}
local function note(what) return function(...) heard[#heard + 1] = what return ... end end
local closing = setmetatable({}, { __close = note("close") })
local trials = {
  function() while true do pcall(forever) end end,
  function() while true do xpcall(forever, note("handler")) end end,
  function() local x <close> = closing forever() end,
  function() while true do local co = coroutine.create(forever) note("resumed")(coroutine.resume(co)) end end,
  function() pcall(coroutine.wrap(forever)) note("wrap")() end,
  function() coroutine.wrap(function() local x <close> = closing pcall(coroutine.wrap(function() pcall(forever) end)) note("outer")() end)() end,
  function() table.sort({ 3, 2, 1 }, function() pcall(forever) note("sort")() end) end,
  function() ("abc"):gsub(".", function() pcall(forever) note("gsub")() end) end,
  function() return setmetatable({}, { __index = forever }).x end,
  function() load(function() pcall(forever) note("reader")() end) end,
  function() while true do pcall(error) end end,
  function() local function f() pcall(f) end while true do f() end end,
  function() local t = setmetatable({}, { __gc = forever }) t = nil collectgarbage() note("gc")() end,
  function() for _ in forever do end end,
  function() local x <close> = setmetatable({}, { __close = forever }) end,
  function() while true do run({ fuel = 100 }, forever) end end,
  function() while true do run({ time = 10 }, forever) end end,
}
for i, trial in ipairs(trials) do
  for _, limits in ipairs { { fuel = 10000 }, { time = 0.02 } } do
    local reason = stopped(limits, trial)
    assert(reason == (limits.fuel and "fuel" or "time"), i)
    assert(#heard == 0, heard[1])
  end
end

-- Runs in runs: each stop is for the run whose limit was reached, the outer one's if both are.
a, b, c = run({ fuel = 100000 }, function() local r, why = run({ fuel = 100 }, forever) return r, why end)
assert(a == true and b == nil and c == "fuel")
assert(stopped({ fuel = 100 }, function() run({ fuel = 100000 }, forever) note("inner")() end) == "fuel" and #heard == 0)
a, b, c = run({ time = 10 }, function() return run({ time = 0.01 }, forever) end)
assert(a == true and b == nil and c == "time")

-- A run can't be left by a yield, but coroutines run in it, and one that was stopped is dead.
local co = coroutine.create(function() return run({}, coroutine.yield) end)
local ok, first, message = coroutine.resume(co)
assert(ok and first == false and message:find("yield across"))
local inner
assert(stopped({ fuel = 1000 }, function() inner = coroutine.create(forever) coroutine.resume(inner) end) == "fuel")
assert(coroutine.status(inner) == "dead")

-- The state is whole: what was stopped can be done again, and finalizers run.
local finalized = false
setmetatable({}, { __gc = function() finalized = true end })
collectgarbage()
assert(finalized)
local t = { 5, 2, 8 }
table.sort(t, function(x, y) return x < y end)
assert(table.concat(t, " ") == "2 5 8")
local function depth(n) if n == 0 then return 0 end return 1 + depth(n - 1) end
assert(depth(10000) == 10000)
