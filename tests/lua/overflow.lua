-- A full stack, with collections while the error is handled; recursion through metamethods, which ends soon. (audited seldom)

local unpack = table.unpack

-- Few and large frames fill most of the stack, even with a collection at each call; small ones the rest.
local many = {}
for i = 1, 49950 do many[i] = i end
local function small()
  local a, b, c, d, e, f, g, h, i, j, k, l, m, n = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14
  return 1 + small()
end
local function fill(left, ...)
  if left == 0 then return small() end
  return 1 + fill(left - 1, ...)
end
local function overflow() return fill(19, unpack(many)) end

local seen
local function handler(message)
  seen = message
  local made = {}
  for i = 1, 4 do made[i] = { tostring(i) } end
  collectgarbage()
  assert(#made == 4 and made[4][1] == "4")
  return { message = message, list = made }
end
local function check()
  seen = nil
  local ok, result = xpcall(overflow, handler)
  assert(not ok and type(result) == "table" and result.message == seen and seen:find("stack overflow", 1, true), tostring(result))
  assert(#result.list == 4)
end
-- More than once: what was kept in reserve for the handler is there again.
check()
check()
local co = coroutine.wrap(function() check() return 1 end)
assert(co() == 1)

-- A handler that fills the stack again ends too.
local ok, message = xpcall(overflow, overflow)
assert(not ok and message ~= nil)

-- A variable to be closed in the handler, and one below.
local closed = {}
local function closing(name) return setmetatable({}, { __close = function() closed[#closed + 1] = name end }) end
do
  local below <close> = closing("below")
  ok, message = xpcall(overflow, function(m)
    local x <close> = closing("in the handler")
    collectgarbage()
    return m
  end)
end
assert(not ok and message:find("stack overflow", 1, true))
assert(closed[1] == "in the handler" and closed[2] == "below" and #closed == 2)

-- Metamethods nest to a depth of some thousands, whatever they would use up otherwise.
local function fails(f, ...)
  local ok, message = pcall(f, ...)
  assert(not ok and message:find("overflow", 1, true), tostring(message):sub(1, 200))
end
local t = {}
local calls = 0
setmetatable(t, { __index = function(s, k) calls = calls + 1 return s[k .. "x"] end })
for _ = 1, 3 do
  calls = 0
  fails(function() return t.x end)
  assert(calls > 1000 and calls < 20000)
end
local mt = {}
local a = setmetatable({}, mt)
function mt.__newindex(s, k, v) s[k .. "x"] = v end
fails(function() a.x = 1 end)
function mt.__add(x, y) return x + y end
fails(function() return a + 1 end)
function mt.__concat(x, y) return x .. y end
fails(function() return a .. "x" end)
function mt.__eq(x, y) return x == setmetatable({}, mt) end
fails(function() return a == setmetatable({}, mt) end)
function mt.__lt(x, y) return x < y end
fails(function() return a < a end)
function mt.__len(x) return #x end
fails(function() return #a end)
function mt.__unm(x) return -x end
fails(function() return -a end)
function mt.__close() local b <close> = a end
fails(function() local b <close> = a end)
-- A tail call in a metamethod is not one level less.
local function again(s, k) return s[k] end
mt.__index = function(s, k) return again(s, k) end
fails(function() return a.x end)
-- Through coroutines: each has a depth of its own, and they nest to a bounded one.
mt.__index = function(s, k) return coroutine.wrap(function() return s[k] end)() end
fails(function() return a.x end)

-- What has failed counts no longer.
local depth = 0
mt.__index = function(s, k) depth = depth + 1 if k == 0 then error("end") end return s[k - 1] end
for _ = 1, 400 do
  depth = 0
  ok, message = pcall(function() return a[150] end)
  assert(not ok and message:find("end", 1, true) and depth == 151)
end
-- Metamethods that could not be called, in great number.
mt.__index = setmetatable({}, { __index = 1 })
for _ = 1, 400 do assert(not pcall(function() return a.x end)) end
mt.__add = {}
for _ = 1, 400 do assert(not pcall(function() return a + 1 end)) end
mt.__index = function(s, k) if k == 0 then return "bottom" end return s[k - 1] end
assert(a[150] == "bottom")
-- A metamethod that yields, and is never resumed.
mt.__index = function(s, k) return coroutine.yield(k) end
for _ = 1, 400 do
  local co = coroutine.wrap(function() return a.key end)
  assert(co() == "key")
end
mt.__index = function(s, k) if k == 0 then return coroutine.yield("bottom") end return s[k - 1] end
co = coroutine.wrap(function() return a[100] .. a[100] end)
assert(co() == "bottom" and co("x") == "bottom" and co("y") == "xy")
