-- Hash tables: keys that are strings, integers, floats and tables; growth, removal, traversal.
-- Group: allocation.
-- Argument: number of keys.
local count = ...
count = count == "smoke" and 500 or tonumber(count) or 40000
local rounds = count < 1000 and 2 or 11

local seed = 7
local function random()
  seed = (seed * 16807) % 2147483647
  return seed
end

local total = 0
for round = 1, rounds do
  -- Strings.
  local words = {}
  for i = 1, count do words["k" .. i * round] = i end
  local sum = 0
  for i = 1, count do sum = sum + words["k" .. i * round] end
  assert(sum == count * (count + 1) / 2, "a string key is lost")

  -- Sparse integers.
  local sparse, distinct = {}, 0
  for _ = 1, count do
    local k = random()
    if not sparse[k] then
      distinct = distinct + 1
      sparse[k] = true
    end
  end
  local seen = 0
  for _ in pairs(sparse) do seen = seen + 1 end
  assert(seen == distinct, "traversal and insertion differ")

  -- Tables as keys: each object knows another.
  local objects, following = {}, {}
  for i = 1, count do objects[i] = { i } end
  for i = 1, count do following[objects[i]] = objects[i % count + 1] end
  local object = objects[1]
  for _ = 1, count do object = following[object] end
  assert(object == objects[1], "the circle of tables is broken")

  -- Floats.
  local halves = {}
  for i = 1, count do halves[i + 0.5] = i end
  assert(halves[count + 0.5] == count and halves[1] == nil, "wrong float key")

  -- Removal in the middle of a traversal.
  local left = 0
  for k, v in pairs(words) do
    if v % 2 == 0 then words[k] = nil end
  end
  for _ in pairs(words) do left = left + 1 end
  assert(left == math.floor((count + 1) / 2), "wrong number of entries after removal")
  total = total + distinct + left

  -- Many small tables.
  for i = 1, count do
    local t = { name = i, size = i, [i] = true }
    t.extra = t.size
    assert(t.extra == i)
  end
end
print(string.format("tables %d", total))
