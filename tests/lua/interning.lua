-- The strings that are used as keys: equal ones are the same key while the table of the interned grows, shrinks, and loses what is dead.

local stress = os.getenv("NEAP_GC")
local n = stress and 320 or 40000
local function collect() collectgarbage() collectgarbage() end

collect()
local before = collectgarbage("count")

-- A text of its own each time, never a constant.
local function key(prefix, i) return prefix .. i end

local function fill(prefix, t)
  for i = 1, n do t[key(prefix, i)] = i end
  return t
end

local function demand(prefix, t, from)
  for i = 1, n do
    local expected = i >= from and i or nil
    assert(t[key(prefix, i)] == expected, i)
  end
end

-- Growth: what was entered before, at the beginning and in the middle of it, is found.
local kept = fill("kept ", {})
demand("kept ", kept, 1)
for round = 1, 3 do
  local t = fill("round " .. round .. " ", {})
  demand("kept ", kept, 1)
  demand("round " .. round .. " ", t, 1)
  t = nil
  if round % 2 == 0 then collect() end
end

-- Most die, a few at a time; the same texts come again while the table shrinks, and are found by those that stayed.
for i = 1, n - 20 do
  kept[key("kept ", i)] = nil
  if i % (n // 6) == 0 then
    collect()
    demand("kept ", kept, i + 1)
  end
end
collect()
demand("kept ", kept, n - 19)
local again = fill("kept ", {})
demand("kept ", again, 1)
demand("kept ", kept, n - 19)
local count = 0
for k, v in pairs(kept) do
  assert(again[k] == v and k == key("kept ", v))
  count = count + 1
end
assert(count == 20)

-- Strings that hold on to nothing but a cycle of tables.
for round = 1, 3 do
  for i = 1, n // 10 do
    local t = {}
    t[key("cycle ", i)] = t
  end
  local found = {}
  for i = 1, n // 10 do found[key("cycle ", i)] = i end
  for i = 1, n // 10 do assert(found[key("cycle ", i)] == i) end
end

-- The memory comes back: of the keys, and of the table that knew them.
local full = collectgarbage("count")
kept, again = nil, nil
collect()
local after = collectgarbage("count")
assert(stress or full > before + 2000)
assert(stress or after < before + 300, after - before)
