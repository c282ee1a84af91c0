-- A million string keys are made, looked up by strings that are built anew, and dropped together while the program builds many of
-- them again.
-- Argument: scale, 1 is the full size.
local scale = tonumber((...)) or 1
local count = math.max(100, math.floor(1000000 * scale))

local seed = 15
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

collectgarbage()
local before = collectgarbage("count")
local t = {}
phase("made", count, function(i) t["k" .. i] = i end)
phase("looked up", count, function()
  local i = random(count)
  assert(t["k" .. i] == i and t["m" .. i] == nil, "a key was lost")
end)
collectgarbage()
local full = collectgarbage("count")
local found = 0
for key, i in pairs(t) do
  assert(key == "k" .. i, "a key has changed")
  found = found + 1
end
assert(found == count, "keys were lost")

t = nil
-- The same strings come to life again while they die; a table with them as keys tells whether two that are equal live at once.
local again, size = {}, 0
phase("dropped", count, function()
  local i = random(count)
  local n = again["k" .. i]
  if not n then size = size + 1 end
  again["k" .. i] = (n or 0) + 1
  if size == 1000 then
    local entries = 0
    for _ in pairs(again) do entries = entries + 1 end
    assert(entries == size, "a key is there twice, or not at all")
    again, size = {}, 0
  end
end)
again = nil
collectgarbage()
local after = collectgarbage("count")
-- The reference shrinks its table of strings only by halves.
assert(after - before < (full - before) * 0.3 + 64, "the dropped keys are not gone")
print(string.format("interned_keys %d: longest step of 100, in ms: %s", count, table.concat(longest, ", ")))
