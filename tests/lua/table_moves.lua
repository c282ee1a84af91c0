-- table.insert, table.remove and table.move against the same done element by element. Manual, 6.6.

local stressed = os.getenv("NEAP_GC") ~= nil
local insert, remove, move = table.insert, table.remove, table.move

local seed = 5
local function random(low, high)
  seed = (seed * 16807) % 2147483647
  return low + seed % (high - low + 1)
end

-- What the manual says, without the library.
local function slow_move(source, first, last, target, destination)
  destination = destination or source
  if target > last or target <= first or destination ~= source then
    for i = 0, last - first do destination[target + i] = source[first + i] end
  else
    for i = last - first, 0, -1 do destination[target + i] = source[first + i] end
  end
  return destination
end
local function same(a, b, low, high)
  for i = low, high do assert(rawequal(a[i], b[i]), i) end
end

-- Elements of all kinds, some of them absent.
local kinds = {
  function(i) return i end,
  function(i) return { i } end,
  function(i) return i % 3 == 0 and { i } or i end,
  function(i) return i % 50 == 0 and "string " .. i or i + 0.5 end,
  function(i) if i % 7 ~= 0 then return { i } end end,
}
-- Two tables with the same `n` elements, entered from the first on or from the last, and some below 1.
local function make(n, kind, backwards)
  local a, b = {}, {}
  for k = 1, n do
    local i = backwards and n + 1 - k or k
    local value = kind(i)
    a[i], b[i] = value, value
  end
  for i = -3, 0 do
    a[i] = kind(i)
    b[i] = a[i]
  end
  return a, b
end

if stressed then kinds = { kinds[2], kinds[5] } end
local sizes = stressed and { 0, 9, 40 } or { 0, 1, 2, 7, 8, 9, 63, 64, 100, 1000, 5000 }
for _, n in ipairs(sizes) do
  for _, kind in ipairs(kinds) do
    for _, backwards in ipairs { false, true } do
      -- Within a table: upwards and downwards, overlapping or not, over its end and below its start.
      local a, b = make(n, kind, backwards)
      for _ = 1, stressed and 4 or 12 do
        local first = random(-3, n + 3)
        local last = random(first - 1, math.min(first + n, n + 5))
        local target = random(-3, n + 9)
        assert(move(a, first, last, target) == a)
        slow_move(b, first, last, target)
        same(a, b, -4, 2 * n + 20)
      end
      -- Between tables.
      a, b = make(n, kind, backwards)
      for _, m in ipairs { 0, n // 2, n, 2 * n } do
        local c, d = make(m, kinds[random(1, #kinds)], random(1, 2) == 1)
        local first, target = random(-3, 3), random(-3, m + 3)
        assert(move(a, first, n + 2, target, c) == c)
        slow_move(b, first, n + 2, target, d)
        same(c, d, -4, m + n + 9)
      end
      same(a, b, -4, 2 * n + 20)
    end
  end
end

-- Objects that only the moved slots hold live on, and those that were overwritten do not.
do
  local n = stressed and 48 or 3000
  local t, alive = {}, setmetatable({}, { __mode = "v" })
  for i = 1, n do
    t[i] = { i }
    alive[i] = t[i]
  end
  collectgarbage()
  for i = 1, n // 3 do
    assert(remove(t, 1)[1] == i)
    if i % 10 == 0 then collectgarbage("step", 10) end
  end
  collectgarbage()
  for i = 1, n do assert((alive[i] ~= nil) == (i > n // 3), i) end
  for i = 1, n // 3 do
    local object = { -i }
    insert(t, 1, object)
    alive[i] = object
    if i % 10 == 0 then collectgarbage("step", 10) end
  end
  collectgarbage()
  for i = 1, n do
    assert(t[i][1] == (i <= n // 3 and i - n // 3 - 1 or i))
    assert(alive[i], i)
  end
  -- The upper half over the lower one.
  move(t, n // 2 + 1, n, 1)
  for i = 1, n // 2 do assert(t[i] == t[n - n // 2 + i]) end
  collectgarbage()
  local count = 0
  for _ in pairs(alive) do count = count + 1 end
  assert(count == n - n // 2)
  -- New objects into an old array, from a young one.
  local young = {}
  for i = 1, n // 4 do young[i] = { "young", i } end
  move(young, 1, n // 4, n // 4, t)
  young = nil
  collectgarbage()
  for i = 1, n // 4 do assert(t[n // 4 + i - 1][2] == i) end
end

-- Insertion and removal at every place of a list, with its length.
do
  local list, plain, n = {}, {}, 0
  for step = 1, stressed and 60 or 3000 do
    local i = random(1, n + 1)
    if random(1, 3) > 1 then
      local value = step % 2 == 0 and { step } or step
      insert(list, i, value)
      for k = n, i, -1 do plain[k + 1] = plain[k] end
      plain[i], n = value, n + 1
    elseif n > 0 then
      i = random(1, n)
      local gone = plain[i]
      for k = i, n do plain[k] = plain[k + 1] end
      n = n - 1
      assert(remove(list, i) == gone)
    end
    assert(#list == n and list[n + 1] == nil)
    if step % 100 == 0 then same(list, plain, 1, n) end
  end
  same(list, plain, 1, n)
  while n > 0 do
    assert(remove(list) == plain[n])
    n = n - 1
  end
  assert(#list == 0 and next(list) == nil and remove(list) == nil and remove(list, 0) == nil and remove(list, 1) == nil)
end

-- Positions: one behind the end, and no further.
do
  local t = { 1, 2, 3 }
  insert(t, 4, 4)
  assert(#t == 4 and t[4] == 4 and remove(t, 5) == nil and #t == 4)
  for _, i in ipairs { 0, -1, 6, math.maxinteger, math.mininteger } do
    assert(not pcall(insert, t, i, "x"))
    local ok, message = pcall(remove, t, i)
    assert(not ok and message:find("position out of bounds", 1, true))
  end
  assert(#t == 4)
  -- The one element of which only the place 0 is known.
  local zero = { [0] = "zero" }
  assert(remove(zero, 0) == "zero" and zero[0] == nil and remove(zero, #zero) == nil)
  -- Ranges that can't be.
  local function fails(message, ...)
    local ok, text = pcall(move, ...)
    assert(not ok and text:find(message, 1, true), text)
  end
  fails("too many elements to move", {}, math.mininteger, math.maxinteger, 1)
  fails("too many elements to move", {}, 0, math.maxinteger, 1)
  fails("wrap around", { 1, 2 }, 1, 2, math.maxinteger)
  fails("wrap around", {}, 1, math.maxinteger, 2)
  assert(move(t, 1, 0, math.maxinteger) == t and move(t, 3, 1, 1) == t and #t == 4)
  move(t, 1, 2, math.maxinteger - 1)
  assert(t[math.maxinteger - 1] == 1 and t[math.maxinteger] == 2)
  move(t, math.maxinteger - 1, math.maxinteger, math.mininteger)
  assert(t[math.mininteger] == 1 and t[math.mininteger + 1] == 2)
end

-- With a metatable every element goes through its metamethods, in the order of the manual.
do
  local function proxy(target, log)
    return setmetatable({}, {
      __index = function(_, i) log[#log + 1] = "r" .. i return target[i] end,
      __newindex = function(_, i, value) log[#log + 1] = "w" .. i target[i] = value end,
      __len = function() log[#log + 1] = "#" return #target end,
    })
  end
  local target, log = { 10, 20, 30 }, {}
  local p = proxy(target, log)
  insert(p, 2, 15)
  assert(table.concat(log, " ") == "# r3 w4 r2 w3 w2" and table.concat(target, " ") == "10 15 20 30")
  for i = #log, 1, -1 do log[i] = nil end
  assert(remove(p, 1) == 10)
  assert(table.concat(log, " ") == "# r1 r2 w1 r3 w2 r4 w3 w4" and table.concat(target, " ") == "15 20 30")
  for i = #log, 1, -1 do log[i] = nil end
  move(p, 1, 3, 2)
  assert(table.concat(log, " ") == "r3 w4 r2 w3 r1 w2" and table.concat(target, " ") == "15 15 20 30")
  for i = #log, 1, -1 do log[i] = nil end
  -- Only one of the two has metamethods.
  local plain = move(p, 2, 4, 1, {})
  assert(table.concat(log, " ") == "r2 r3 r4" and table.concat(plain, " ") == "15 20 30")
  for i = #log, 1, -1 do log[i] = nil end
  move({ "a", "b" }, 1, 2, 3, p)
  assert(table.concat(log, " ") == "w3 w4" and table.concat(target, " ") == "15 15 a b")
  -- An array part beneath metamethods: what is there is read and written without them, what is absent is not.
  local defaults = setmetatable({ 1, nil, 3, nil, 5 }, { __index = function(_, i) return i * 100 end })
  move(defaults, 1, 5, 1)
  assert(defaults[2] == 200 and rawget(defaults, 2) == 200 and rawget(defaults, 4) == 400)
  local frozen = setmetatable({ 1, 2, 3 }, { __newindex = function() error("frozen") end })
  move(frozen, 2, 3, 1)
  assert(frozen[1] == 2 and frozen[2] == 3)
  assert(not pcall(insert, frozen, 1, 0))
  -- A comparison tells whether two tables are one, and so the order: what is equal overlaps.
  local equal = { __eq = function() return true end }
  local a, b = setmetatable({ 1, 2, 3 }, equal), setmetatable({}, equal)
  move(a, 1, 3, 2, b)
  assert(b[1] == nil and b[2] == 1 and b[3] == 2 and b[4] == 3)
end

-- Weak tables have their elements moved one by one, and what is read is held.
do
  local keep = {}
  local weak = setmetatable({}, { __mode = "v" })
  for i = 1, 20 do
    keep[i] = { i }
    weak[i] = keep[i]
  end
  setmetatable(weak, { __mode = "v" })
  insert(weak, 1, keep[20])
  move(weak, 5, 10, 1)
  local out = move(weak, 1, 6, 1, {})
  for i = 1, 6 do assert(out[i] == keep[i + 3]) end
end
