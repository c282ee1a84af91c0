-- Stacks give back what they do not need any more, and lose nothing that is in use.

local stressed = os.getenv("NEAP_GC") ~= nil
local rounds, height = stressed and 10 or 200, stressed and 120 or 1000

local function deep(n) if n == 0 then return 0 end return 1 + deep(n - 1) end

-- ---- Coroutines that were deep once, however they have ended: what each of them keeps, in KB.

local function kept_by_each(body, after)
  local list = {}
  for _ = 1, 2 do collectgarbage() end
  local before = collectgarbage("count")
  for i = 1, rounds do
    local co = coroutine.create(body)
    coroutine.resume(co)
    if after then after(co) end
    list[i] = co
  end
  for _ = 1, 10 do collectgarbage() end
  return (collectgarbage("count") - before) / rounds
end

local bodies = {
  suspended = function() deep(height) coroutine.yield() end,
  suspended_below = function() local function f(n) if n == 0 then deep(height) coroutine.yield() else f(n - 1) end return n end f(5) end,
  dead = function() deep(height) end,
  failed = function() deep(height) error("failed") end,
}
for name, body in pairs(bodies) do
  local kept = kept_by_each(body)
  assert(kept < 6, name .. ": " .. kept)
  kept = kept_by_each(body, coroutine.close)
  assert(kept < 6, name .. ", closed: " .. kept)
end

-- The main stack, and one that has handed over.
do
  collectgarbage()
  local before = collectgarbage("count")
  deep(stressed and 1000 or 150000)
  for _ = 1, 10 do collectgarbage() end
  local kept = collectgarbage("count") - before
  assert(kept < 64, kept)
  -- Without an explicit collection, while the program goes on: at the next epoch ends, which the reference does not have.
  if mem and not stressed then
    deep(150000)
    local garbage
    for i = 1, 2e6 do garbage = { garbage and i } end
    kept = collectgarbage("count") - before
    assert(kept < 4096, kept)
  end
end

-- ---- What is in use stays, whatever is cut.

local function wide(n, ...)
  local a, b, c, d = n, tostring(n), { n }, ...
  if n > 0 then
    local r = wide(n - 1, n, ...)
    assert(a == n and b == tostring(n) and c[1] == n and d == ((...)) and r == n - 1)
  else
    local count = select("#", ...)
    for i = 1, 3 do
      assert(coroutine.yield("shallow") == i)
      deep(height)
      assert(select("#", ...) == count and a == n and c[1] == n)
    end
  end
  return n
end
for _, frames in ipairs { 0, 1, 2, 10, 30 } do
  local co = coroutine.create(function(...) deep(height) return wide(frames, ...) end)
  assert(select(2, coroutine.resume(co)) == "shallow")
  for i = 1, 3 do
    collectgarbage()
    local ok, what = coroutine.resume(co, i)
    assert(ok and what == (i < 3 and "shallow" or frames), what)
  end
  assert(coroutine.status(co) == "dead")
end

-- A function with many registers, of which few are live where its coroutine is left.
do
  local names, values, sum = {}, {}, {}
  for i = 1, 180 do names[i] = "v" .. i values[i] = i sum[i] = "v" .. i end
  local text = ("local deep, n = ... deep(n) local got = coroutine.yield() local %s = %s coroutine.yield(got) return %s"):format(
    table.concat(names, ", "), table.concat(values, ", "), table.concat(sum, " + "))
  local co = coroutine.wrap(assert(load(text)))
  co(deep, height)
  collectgarbage()
  assert(co("got") == "got")
  collectgarbage()
  assert(co() == 180 * 181 // 2)
end

-- Protected calls, pending variables, and one that hands over while it is shallow.
do
  local log = {}
  local co = coroutine.wrap(function()
    local outer <close> = setmetatable({}, { __close = function() log[#log + 1] = "outer" end })
    local ok, e = pcall(function()
      local inner <close> = setmetatable({}, { __close = function(_, e) log[#log + 1] = "inner " .. e end })
      deep(height)
      local nested = coroutine.wrap(function(...) deep(height) coroutine.yield(...) return "end" end)
      assert(select("#", nested(1, 2, 3)) == 3)
      coroutine.yield("once")
      assert(nested() == "end")
      error("thrown", 0)
    end)
    log[#log + 1] = e
  end)
  assert(co() == "once")
  collectgarbage()
  co()
  assert(table.concat(log, ",") == "inner thrown,thrown,outer", table.concat(log, ","))
end

-- Many values go into a coroutine and out of it, from a stack that is cut there.
do
  local values = {}
  for i = 1, height do values[i] = { i } end
  local co = coroutine.wrap(function(...)
    deep(height)
    local got = table.pack(coroutine.yield(...))
    assert(got.n == height and got[1] == values[1] and got[height] == values[height])
    return table.unpack(got)
  end)
  deep(5 * height)
  local out = table.pack(co(table.unpack(values)))
  assert(out.n == height and out[1] == values[1] and out[height] == values[height])
  deep(5 * height)
  out = table.pack(co(table.unpack(out)))
  assert(out.n == height and out[1] == values[1] and out[height] == values[height])
end

-- ---- A dead coroutine can be asked everything.

do
  local co = coroutine.create(function() local x <close> = setmetatable({}, { __close = deep and function() deep(10) end }) return 1 end)
  assert(coroutine.resume(co))
  for _ = 1, 2 do
    assert(coroutine.status(co) == "dead" and coroutine.close(co))
    local ok, e = coroutine.resume(co)
    assert(not ok and e == "cannot resume dead coroutine")
    assert(debug.traceback(co) == "stack traceback:" and debug.getinfo(co, 0) == nil and debug.gethook(co) == nil)
    assert(not pcall(debug.getlocal, co, 0, 1))
    debug.sethook(co, print, "c")
    debug.sethook(co)
  end
  -- One that has failed shows where, until it is closed.
  local function fail(n) if n == 0 then error("failed", 0) end fail(n - 1) return n end
  co = coroutine.create(function() deep(height) fail(3) end)
  local ok, e = coroutine.resume(co)
  collectgarbage()
  assert(not ok and e == "failed" and select(2, debug.traceback(co):gsub("'fail'", "")) == 4)
  ok, e = coroutine.close(co)
  assert(ok == false and e == "failed")
  assert(debug.traceback(co) == "stack traceback:" and coroutine.close(co) == true)
end

-- ---- What a function has left in registers above those of a call is not found there again (R6): the function called is scanned, its caller writes above that, and
-- comes to its own safepoint later. Debug builds check it.
do
  local names, values = {}, {}
  for i = 1, 150 do names[i] = "v" .. i values[i] = "t" end
  local text = [[
    local function make() local t for i = 1, 3 do t = { i } end return t end
    for round = 1, ... do
      local t = make()
      do local %s = %s end
      t = nil
      make()
      make()
      t = { { round } }
    end
  ]]
  assert(load(text:format(table.concat(names, ","), table.concat(values, ","))))(stressed and 20 or 200000)
end
