-- Sorting: table.sort with and without a comparator, and a quicksort and a heap written in Lua.
-- Group: computation.
-- Argument: number of elements.
local count = ...
count = count == "smoke" and 1000 or tonumber(count) or 280000

local seed = 99
local function random()
  seed = (seed * 16807) % 2147483647
  return seed
end

local function filled()
  local t = {}
  for i = 1, count do t[i] = random() end
  return t
end

local function sum(t)
  local s = 0
  for i = 1, #t do s = (s + t[i]) % 1000000007 end
  return s
end

local function check(t, before, ordered)
  for i = 2, #t do assert(ordered(t[i - 1], t[i]), "out of order") end
  assert(#t == count and sum(t) == before, "not a permutation")
end

local function at_most(a, b) return a <= b end
local function at_least(a, b) return a >= b end

local t = filled()
local before = sum(t)
table.sort(t)
check(t, before, at_most)
table.sort(t, function(a, b) return a > b end)
check(t, before, at_least)

local function quicksort(a, low, high)
  while low < high do
    local pivot = a[math.floor((low + high) / 2)]
    local i, j = low, high
    while i <= j do
      while a[i] < pivot do i = i + 1 end
      while pivot < a[j] do j = j - 1 end
      if i <= j then
        a[i], a[j] = a[j], a[i]
        i, j = i + 1, j - 1
      end
    end
    if j - low < high - i then
      quicksort(a, low, j)
      low = i
    else
      quicksort(a, i, high)
      high = j
    end
  end
end

t = filled()
before = sum(t)
quicksort(t, 1, #t)
check(t, before, at_most)

-- A heap: every element in, every element out.
local heap, size = {}, 0
local function push(x)
  size = size + 1
  local i = size
  while i > 1 do
    local parent = math.floor(i / 2)
    if heap[parent] <= x then break end
    heap[i], i = heap[parent], parent
  end
  heap[i] = x
end
local function pop()
  local top, x = heap[1], heap[size]
  heap[size] = nil
  size = size - 1
  local i = 1
  while true do
    local child = 2 * i
    if child > size then break end
    if child < size and heap[child + 1] < heap[child] then child = child + 1 end
    if x <= heap[child] then break end
    heap[i], i = heap[child], child
  end
  if size > 0 then heap[i] = x end
  return top
end
t = filled()
before = sum(t)
for i = 1, count do push(t[i]) end
for i = 1, count do t[i] = pop() end
check(t, before, at_most)

-- Records by two fields.
local records = {}
for i = 1, math.floor(count / 4) do records[i] = { key = random() % 100, serial = i } end
table.sort(records, function(a, b)
  if a.key ~= b.key then return a.key < b.key end
  return a.serial < b.serial
end)
for i = 2, #records do
  local a, b = records[i - 1], records[i]
  assert(a.key < b.key or a.key == b.key and a.serial < b.serial, "records out of order")
end
print(string.format("sort %d %d", before, records[1].serial))
