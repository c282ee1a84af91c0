-- table.sort. Manual, 6.6.

local function fails(message, f, ...)
  local ok, err = pcall(f, ...)
  assert(not ok and tostring(err):find(message, 1, true), tostring(err))
end
local small = os.getenv("NEAP_GC") ~= nil

local seed = 17
local function random(n)
  seed = (seed * 16807) % 2147483647
  return seed % n + 1
end

local function check(t, less)
  less = less or function(a, b) return a < b end
  local before, n = {}, #t
  for _, v in ipairs(t) do before[v] = (before[v] or 0) + 1 end
  table.sort(t, less)
  assert(#t == n)
  for i = 2, n do assert(not less(t[i], t[i - 1]), "out of order at " .. i) end
  for _, v in ipairs(t) do before[v] = before[v] - 1 end
  for _, c in pairs(before) do assert(c == 0, "not a permutation") end
end

check {}
check { 1 }
check { 2, 1 }
check { 1, 2 }
check { 3, 1, 2 }
check { 1, 1, 1, 1 }
check { 3.5, -1, 2, 0.5, math.huge, -math.huge }
check { "b", "a", "B", "", "aa", "a\0" }
check({ 1, 5, 3, 2, 4 }, function(a, b) return a > b end)

-- All permutations of six.
local function permute(t, n)
  if n == 0 then
    check { table.unpack(t) }
    return
  end
  for i = 1, n do
    t[i], t[n] = t[n], t[i]
    permute(t, n - 1)
    t[i], t[n] = t[n], t[i]
  end
end
permute({ 1, 2, 3, 4, 5, 6 }, small and 3 or 6)

-- Shapes that are hard on a quicksort.
local n = small and 20 or 2000
local shapes = {
  function(i) return i end, function(i) return n - i end, function() return 5 end, function(i) return i % 2 end,
  function(i) return i % 17 end, function(i) return i < n / 2 and i or n - i end, function() return random(n) end,
  function() return random(5) end, function(i) return i * 7919 % n end,
}
for _, shape in ipairs(shapes) do
  local t = {}
  for i = 1, n do t[i] = shape(i) end
  check(t)
  for i = 1, n do t[i] = shape(i) end
  check(t, function(a, b) return a > b end)
end

-- Records by a field.
local records = {}
for i = 1, n do records[i] = { key = random(100), serial = i } end
table.sort(records, function(a, b)
  if a.key ~= b.key then return a.key < b.key end
  return a.serial < b.serial
end)
for i = 2, n do
  local a, b = records[i - 1], records[i]
  assert(a.key < b.key or a.key == b.key and a.serial < b.serial)
end

-- Metamethods: __lt of the elements, __index and __newindex and __len of the list.
local number = {}
number.__lt = function(a, b) return a.v < b.v end
local boxed = {}
for i = 1, 20 do boxed[i] = setmetatable({ v = random(1000) }, number) end
table.sort(boxed)
for i = 2, 20 do assert(boxed[i - 1].v <= boxed[i].v) end
local store = { 5, 2, 8, 1, 9 }
local proxy = setmetatable({}, {
  __len = function() return #store end,
  __index = function(_, i) return store[i] end,
  __newindex = function(_, i, v) store[i] = v end,
})
table.sort(proxy)
assert(table.concat(store, ",") == "1,2,5,8,9" and next(proxy) == nil)

-- Errors.
fails("attempt to compare ", table.sort, { 1, "x" })
fails("attempt to compare two table values", table.sort, { {}, {} })
fails("attempt to compare", table.sort, setmetatable({}, {
  __len = function() return 2 end, __index = function(_, i) if i == 1 then return 1 end end }))
fails("bad argument #2 to 'table.sort' (function expected, got number)", table.sort, { 2, 1 }, 5)
fails("bad argument #1 to 'table.sort' (table expected, got nil)", table.sort, nil)
fails("array too big", table.sort, setmetatable({}, { __len = function() return math.maxinteger end }))
fails("from the comparison", table.sort, { 3, 2, 1 }, function() error("from the comparison") end)

-- A comparison that is no order gives an error or some order, never a crash or a loss of the list's length.
for round = 1, small and 2 or 20 do
  local t = {}
  for i = 1, 100 do t[i] = i end
  local ok, err = pcall(table.sort, t, function() return random(2) == 1 end)
  assert(ok or tostring(err):find("invalid order function for sorting", 1, true) or tostring(err):find("attempt to compare"), err)
  assert(#t == 100)
end
pcall(table.sort, { 1, 2, 3, 4, 5 }, function() return true end)
local ok, err = pcall(table.sort, (function() local t = {} for i = 1, 200 do t[i] = 1 end return t end)(), function() return true end)
assert(not ok and err:find("invalid order function for sorting", 1, true))

-- The list may change under the sort.
local changing = {}
for i = 1, 100 do changing[i] = random(100) end
pcall(table.sort, changing, function(a, b)
  changing[random(100)] = random(100)
  return a < b
end)
local shrinking = {}
for i = 1, 100 do shrinking[i] = random(100) end
pcall(table.sort, shrinking, function(a, b)
  shrinking[#shrinking] = nil
  return a < b
end)

-- Elements that are made and dropped in the comparison.
local texts = {}
for i = 1, n do texts[i] = ("%05d"):format(random(99999)) end
table.sort(texts, function(a, b) return a .. "x" < b .. "x" end)
for i = 2, n do assert(texts[i - 1] <= texts[i]) end
