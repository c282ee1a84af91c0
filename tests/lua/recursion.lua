-- Recursion without end, in several ways: each ends with an error that can be caught, and leaves the stack whole. (audited seldom)

local function fails(message, f, ...)
  local ok, err = pcall(f, ...)
  assert(not ok and tostring(err):find(message, 1, true), tostring(err):sub(1, 200))
end
local function depth(n) if n == 0 then return 0 end return 1 + depth(n - 1) end
assert(depth(100) == 100)

local function endless() return 1 + endless() end
fails("stack overflow", endless)
local function endless_with_locals(a, b, c) local d, e = a, b return endless_with_locals(b, c, d) + e end
fails("stack overflow", endless_with_locals, 1, 2, 3)
local t = setmetatable({}, {})
getmetatable(t).__index = function(s, k) return s[k] end
fails("overflow", function() return t.x end)
getmetatable(t).__add = function(a, b) return a + b end
fails("overflow", function() return t + 1 end)
getmetatable(t).__eq = function(a, b) return a == setmetatable({}, getmetatable(t)) end
fails("overflow", function() return t == setmetatable({}, getmetatable(t)) end)
getmetatable(t).__tostring = function(s) return tostring(s) end
fails("overflow", tostring, t)
getmetatable(t).__concat = function(a, b) return a .. b end
fails("overflow", function() return t .. "x" end)
local function through_pcall() local ok, e = pcall(through_pcall) error(e, 0) end
fails("overflow", through_pcall)
local function through_gsub() return (("x"):gsub("x", through_gsub)) end
fails("overflow", through_gsub)
fails("overflow", pairs, setmetatable({}, { __pairs = pairs }))
local function through_pairs() return (pairs(setmetatable({}, { __pairs = through_pairs }))) end
fails("overflow", through_pairs)
local function through_sort() table.sort({ 2, 1 }, through_sort) end
fails("overflow", through_sort)
local function through_load() return load(through_load) end
local ok, e = pcall(through_load)
local function through_coroutine() return coroutine.wrap(through_coroutine)() end
fails("overflow", through_coroutine)
local function handler(m) return handler(m) .. "x" end
ok, e = xpcall(error, handler, "first")
assert(not ok)
-- After all of that the stack is whole, and its depth is there again.
assert(depth(100000) == 100000)
ok, e = pcall(function() local x <close> = setmetatable({}, { __close = function() assert(depth(100) == 100) end }) return endless() end)
assert(not ok and tostring(e):find("stack overflow"))
-- The message of an overflow can be handled.
ok, e = xpcall(endless, function(m) return "handled: " .. m end)
assert(not ok and tostring(e):find("handled") or tostring(e):find("overflow"))
-- How deep a recursion comes: a million slots, of which a call takes those of the caller that are live, the function's own and those of its arguments. A
-- number on the left of an operator is no live slot.
if not os.getenv("NEAP_GC") then
  local reached
  local function depth_of(f) reached = 0 fails("stack overflow", f, 1) return reached end
  local f
  f = function(n) reached = n return f(n + 1) + 1 end
  assert(depth_of(f) > 499900, reached)
  for operator in ("+ - ^ &"):gmatch("%S+") do
    local text = "local f local reached f = function(n) reached = n return 7 %s f(n + 1) end return f, function() return reached end"
    local g, deepest = assert(load(text:format(operator)))()
    depth_of(g)
    assert(deepest() > 499900, operator)
  end
  f = function(n) reached = n return 1.5 * f(n + 1) end
  assert(depth_of(f) > 499900, reached)
  f = function(n) reached = n local a, b, c = "", "", "" return 1 + f(n + 1) + #a + #b + #c end
  assert(depth_of(f) > 199900, reached)
end

-- A coroutine that yields where its stack ends can be resumed, and one can be resumed from there.
if not os.getenv("NEAP_GC") then
  local yield, create, resume, status = coroutine.yield, coroutine.create, coroutine.resume, coroutine.status
  local reached, from
  local function deep(n, last)
    local a, b, c, d, e, f, g, h, i, j, k, l, m, o, p
    reached = n
    if n > from then last(n) end
    return 1 + deep(n + 1, last)
  end
  from = math.maxinteger
  fails("stack overflow", deep, 1)
  from = reached - 10
  local co, previous = create(deep), 0
  local ok, n = resume(co, 1, yield)
  while status(co) == "suspended" do
    assert(ok and n > previous)
    previous = n
    ok, n = resume(co)
  end
  assert(not ok and n:find("stack overflow", 1, true) and previous > from + 5)
  previous = 0
  local function resuming(n)
    local ok, result = resume(create(function() return n end))
    assert(ok and result == n, result)
    previous = n
  end
  fails("stack overflow", deep, 1, resuming)
  assert(previous > from + 4)
end
