-- Weak tables that grow while their entries die: each time the table takes a larger storage, the live entries go over and the dead ones do not.
-- (audited seldom)

local stressed = os.getenv("NEAP_GC") ~= nil
local count = stressed and 6000 or 120000

local seed = 1
local function random(n)
  seed = (seed * 16807) % 2147483647
  return seed % n + 1
end

-- How a table of the mode holds its entries: what the program keeps, by slot, and what it enters.
local function string_of(slot) return "string " .. slot end
local modes = {
  { "k", function(slot) local key = { slot } return key, key, { slot, key } end },
  -- Values that are no references, and strings, which are held strongly beside keys that are weak.
  { "k", function(slot) local key = { slot } return key, key, slot end },
  { "k", function(slot) local key = { slot } return key, key, string_of(slot) end },
  { "v", function(slot) local value = { slot } return value, slot, value end },
  { "v", function(slot) local value = { slot } return value, string_of(slot), value end },
  { "v", function(slot) local value, key = { slot }, { slot } return value, key, value end },
  { "kv", function(slot) local both = { slot } return both, both, both end },
  { "kv", function(slot) local value = { slot } return value, string_of(slot), value end },
  { "kv", function(slot) local key = { slot } return key, key, string_of(slot) end },
}

for number, how in ipairs(modes) do
  local mode, make = how[1], how[2]
  local t, held, live = setmetatable({}, { __mode = mode }), {}, 0
  -- Two of three entries are let go, some at once, some much later; between them the table is rehashed again and again.
  for slot = 1, count do
    local keep, key, value = make(slot)
    t[key] = value
    if slot % 3 == 0 then keep = nil end
    held[slot] = keep or false
    if slot % 2 == 0 then held[random(slot)] = false end
    if slot % (count // 4) == 0 then
      -- In the middle of the growth: what is held is there.
      collectgarbage("step", 100)
      for _ = 1, 100 do
        local kept = held[random(slot)]
        if kept then
          local name = kept[1]
          if mode == "k" or number == 7 or number == 9 then
            assert(t[kept] ~= nil, "the entry of a live key is lost")
          elseif number == 6 then
            -- The key is held by the table alone.
          elseif number == 4 then
            assert(t[name] == kept, "the entry of a live value is lost")
          else
            assert(t[string_of(name)] == kept, "the entry of a live value is lost")
          end
        end
      end
    end
  end
  for slot = 1, count do if held[slot] then live = live + 1 end end
  collectgarbage()
  local found = 0
  for key, value in pairs(t) do
    local object = type(value) == "table" and value or type(key) == "table" and key
    local slot = object[1]
    assert(held[slot] and (held[slot] == key or held[slot] == value), "a dead entry is there")
    if type(value) == "string" then assert(value == string_of(slot)) end
    if type(key) == "string" then assert(key == string_of(slot)) end
    found = found + 1
  end
  assert(found == live, ("of %d live entries %d are there"):format(live, found))
  -- What the storages held is given back: nothing is left of the entries.
  held = nil
  collectgarbage()
  assert(next(t) == nil, "entries of dead objects are left")
end

-- The values of a weak-keyed table die with their keys, however often the table has moved since they were entered.
local values = setmetatable({}, { __mode = "v" })
do
  local t, keys = setmetatable({}, { __mode = "k" }), {}
  for slot = 1, count do
    local key, value = {}, {}
    t[key], values[slot] = value, value
    keys[slot % 1000 + 1] = key
  end
  collectgarbage()
  local n = 0
  for _ in pairs(values) do n = n + 1 end
  assert(n == 1000)
  keys = nil
  collectgarbage()
  assert(next(values) == nil and next(t) == nil)
end

-- Tables that grow, shrink and grow again within the life of the same entries, and that name each other.
do
  local a, b = setmetatable({}, { __mode = "k" }), setmetatable({}, { __mode = "k" })
  local first = {}
  local key = first
  for i = 1, count // 4 do
    local following = { i }
    a[key] = following
    b[following] = { key }
    -- Entries that die at once, so that both are rehashed for their sake.
    for _ = 1, 3 do a[{}], b[{}] = {}, {} end
    key = following
  end
  key = nil
  collectgarbage()
  local n, at = 0, first
  while a[at] do
    local following = a[at]
    assert(b[following][1] == at)
    at, n = following, n + 1
  end
  assert(n == count // 4)
  at, first = nil, nil
  collectgarbage()
  assert(next(a) == nil and next(b) == nil)
end
