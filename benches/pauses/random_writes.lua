-- Random writes of new tables into an array of five million slots: the barrier of a huge object.
-- Argument: scale, 1 is the full size.
local scale = tonumber((...)) or 1
local count = math.max(1000, math.floor(5000000 * scale))

local seed = 3
local function random(n)
  seed = (seed * 16807) % 2147483647
  return seed % n + 1
end

local clock = os.clock
local slots = {}
for i = 1, count do slots[i] = false end

local longest = 0
local start = clock()
for i = 1, count do
  local slot = random(count)
  slots[slot] = { slot }
  if i % 100 == 0 then
    local now = clock()
    if now - start > longest then longest = now - start end
    start = clock()
  end
end

local filled = 0
for i = 1, count do
  local value = slots[i]
  if value then
    assert(value[1] == i, "a slot holds another's table")
    filled = filled + 1
  end
end
-- Of n random draws among n slots, 1 - 1/e hit a new one.
assert(math.abs(filled / count - (1 - math.exp(-1))) < math.max(0.01, 2 / count ^ 0.5), "wrong number of slots")
print(string.format("random_writes %d: longest step of 100 writes %.3f ms", count, longest * 1e3))
