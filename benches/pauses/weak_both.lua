-- A table of a million weak keys with weak values is filled, read and overwritten at random; then keys and values are dropped
-- part by part, and those that are left at once.
-- Argument: scale, 1 is the full size.
local scale = tonumber((...)) or 1
local count = math.max(100, math.floor(1000000 * scale))

local seed = 13
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

-- An entry must be there exactly as long as both its key and its value are held.
local pairing, keys, values, live = setmetatable({}, { __mode = "kv" }), {}, {}, count
local function enter(slot)
  local key, value = { slot }, { slot }
  keys[slot], values[slot], pairing[key] = key, value, value
end
local function check()
  collectgarbage()
  local found = 0
  for key, value in pairs(pairing) do
    local slot = key[1]
    assert(keys[slot] == key and values[slot] == value, "an entry names what is dead")
    found = found + 1
  end
  assert(found == live, "entries of live keys and values were lost")
end

phase("filled", count, enter)
phase("read", count, function()
  local slot = random(count)
  assert(pairing[keys[slot]] == values[slot], "an entry was lost")
end)
phase("overwritten", count, function(i)
  local slot = random(count)
  if i % 2 == 0 then
    enter(slot)
  else
    local value = { slot }
    values[slot], pairing[keys[slot]] = value, value
  end
end)
check()
for _ = 1, 4 do
  phase("dropped", count / 4, function(i)
    local slot = random(count)
    if keys[slot] and values[slot] then live = live - 1 end
    if i % 2 == 0 then keys[slot] = false else values[slot] = false end
    slot = random(count)
    if keys[slot] and values[slot] then assert(pairing[keys[slot]] == values[slot], "a live entry was lost") end
  end)
  check()
end
keys, values, live = {}, {}, 0
local kept = {}
phase("all dropped", count, function(i) kept[i % 1000 + 1] = { i } end)
check()
assert(next(pairing) == nil)
print(string.format("weak_both %d: longest step of 100, in ms: %s", count, table.concat(longest, ", ")))
