-- A table of a million weak keys is filled, read and overwritten at random, the values and the keys; then its keys are dropped
-- part by part, and those that are left at once.
-- Argument: scale, 1 is the full size.
local scale = tonumber((...)) or 1
local count = math.max(100, math.floor(1000000 * scale))

local seed = 12
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

-- What keeps the keys is `held`: a key must be there exactly as long as it is held.
local notes, held, live = setmetatable({}, { __mode = "k" }), {}, count
local function enter(slot)
  local key = { slot }
  held[slot], notes[key] = key, { slot }
end
local function check()
  collectgarbage()
  local found = 0
  for key, value in pairs(notes) do
    assert(held[key[1]] == key and value[1] == key[1], "an entry has a dead key")
    found = found + 1
  end
  assert(found == live, "entries of live keys were lost")
end

phase("filled", count, enter)
phase("read", count, function()
  local slot = random(count)
  assert(notes[held[slot]][1] == slot, "an entry was lost")
end)
phase("overwritten", count, function(i)
  local slot = random(count)
  if i % 2 == 0 then enter(slot) else notes[held[slot]] = { slot } end
end)
check()
for _ = 1, 4 do
  phase("dropped", count / 4, function()
    local slot = random(count)
    if held[slot] then held[slot], live = false, live - 1 end
    local key = held[random(count)]
    assert(not key or notes[key][1] == key[1], "the entry of a live key was lost")
  end)
  check()
end
held, live = {}, 0
local kept = {}
phase("all dropped", count, function(i) kept[i % 1000 + 1] = { i } end)
check()
assert(next(notes) == nil)
print(string.format("weak_keys %d: longest step of 100, in ms: %s", count, table.concat(longest, ", ")))
