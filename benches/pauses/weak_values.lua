-- A table of a million weak values is filled, read and overwritten at random; then its values are dropped part by part, and
-- those that are left at once.
-- Argument: scale, 1 is the full size.
local scale = tonumber((...)) or 1
local count = math.max(100, math.floor(1000000 * scale))

local seed = 11
local function random(n)
  seed = (seed * 16807) % 2147483647
  return seed % n + 1
end

local clock, longest = os.clock, {}
-- Does `work` for each number to `n`; the longest step of 100 counts for the phase.
local function phase(name, n, work)
  local most, start = 0, clock()
  for i = 1, n do
    work(i)
    if i % 100 == 0 then
      local now = clock()
      if now - start > most then most = now - start end
      start = clock()
    end
  end
  longest[#longest + 1] = string.format("%s %.3f", name, most * 1e3)
end

-- What keeps the values is `held`: the entry of a slot must be there exactly as long as something is held there.
local cache, held, live = setmetatable({}, { __mode = "v" }), {}, count
local function enter(slot)
  local value = { slot }
  held[slot], cache[slot] = value, value
end
local function check()
  collectgarbage()
  local found = 0
  for slot, value in pairs(cache) do
    assert(value == held[slot] and value[1] == slot, "an entry names what is dead")
    found = found + 1
  end
  assert(found == live, "entries of live values were lost")
end

phase("filled", count, enter)
phase("read", count, function()
  local slot = random(count)
  assert(cache[slot] == held[slot], "an entry was lost")
end)
phase("overwritten", count, function() enter(random(count)) end)
check()
for _ = 1, 4 do
  phase("dropped", count / 4, function()
    local slot = random(count)
    if held[slot] then held[slot], live = false, live - 1 end
    -- What is dead may still be there, but it is nobody else.
    local value = cache[random(count)]
    assert(not value or cache[value[1]] == value, "an entry names another's value")
  end)
  check()
end
held, live = {}, 0
local kept = {}
phase("all dropped", count, function(i) kept[i % 1000 + 1] = { i } end)
check()
assert(next(cache) == nil)
print(string.format("weak_values %d: longest step of 100, in ms: %s", count, table.concat(longest, ", ")))
