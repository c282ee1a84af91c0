-- Weak tables: weak values, weak keys (ephemerons), both. Manual, 2.5.4.

local function collect() collectgarbage() collectgarbage() end
local function count(t) local n = 0 for _ in pairs(t) do n = n + 1 end return n end
local n = os.getenv("NEAP_GC") and 30 or 1000

-- Weak values.
local v = setmetatable({}, { __mode = "v" })
local keep = {}
for i = 1, n do
  local x, y = { i }, { i }
  v[i], v["k" .. i] = x, y
  if i % 10 == 0 then
    keep[#keep + 1] = x
    keep[#keep + 1] = y
  end
end
collect()
assert(count(v) == 2 * n // 10, count(v))
for i = 1, n do
  assert((v[i] ~= nil) == (i % 10 == 0) and (v["k" .. i] ~= nil) == (i % 10 == 0))
  if v[i] then assert(v[i][1] == i) end
end
keep = nil
collect()
assert(next(v) == nil)

-- Weak keys.
local k = setmetatable({}, { __mode = "k" })
keep = {}
for i = 1, n do
  local key = { i }
  k[key] = { value = i }
  if i % 10 == 0 then keep[#keep + 1] = key end
end
collect()
assert(count(k) == n // 10)
for key, value in pairs(k) do assert(key[1] == value.value) end
keep = nil
collect()
assert(next(k) == nil)

-- Values that are not objects, and strings, are never removed.
local w = setmetatable({}, { __mode = "kv" })
w[1], w.x, w[2.5], w[true], w["long" .. ("x"):rep(100)] = "text", 42, false, 1.5, "also " .. ("y"):rep(100)
collect()
assert(w[1] == "text" and w.x == 42 and w[2.5] == false and w[true] == 1.5 and count(w) == 5)

-- Weak keys and values: an entry goes when either goes.
w = setmetatable({}, { __mode = "kv" })
local a, b, c = {}, {}, {}
w[a], w[{}], w[b], w["s"] = a, b, {}, c
collect()
assert(count(w) == 2 and w[a] == a and w.s == c and w[b] == nil)

-- Every kind of object in a weak table.
local mixed = setmetatable({}, { __mode = "v" })
local up = 1
mixed.table, mixed.closure, mixed.thread = {}, function() return up end, coroutine.create(function() end)
mixed.light, mixed.native, mixed.number = print, string.len, 5
collect()
assert(mixed.table == nil and mixed.thread == nil and mixed.light == print and mixed.number == 5)

-- Ephemerons: a value that leads back to its own key does not hold it.
local e = setmetatable({}, { __mode = "k" })
do
  local key = {}
  e[key] = { key }
  e[key].self = e[key]
end
collect()
assert(next(e) == nil)
-- A chain: the value of each is the key of the next; the first key holds all.
local first = {}
do
  local key = first
  for i = 1, n do
    local following = { i }
    e[key] = following
    key = following
  end
end
collect()
assert(count(e) == n)
local key, length = first, 0
while e[key] do key, length = e[key], length + 1 end
assert(length == n)
key, first = nil, nil
collect()
assert(next(e) == nil)
-- Across two tables, in both directions.
local e1, e2 = setmetatable({}, { __mode = "k" }), setmetatable({}, { __mode = "k" })
local root = {}
do
  local key = root
  for i = 1, 50 do
    local following, third = { i }, { -i }
    e1[key] = following
    e2[following] = third
    key = third
  end
end
collect()
assert(count(e1) == 50 and count(e2) == 50)
root = nil
collect()
assert(next(e1) == nil and next(e2) == nil)
-- Values may be shared with strong holders.
local value = { "shared" }
e[{}] = value
collect()
assert(next(e) == nil and value[1] == "shared")

-- A weak table within a cycle that goes as a whole, and one that holds itself.
do
  local t = setmetatable({}, { __mode = "v" })
  t.self = t
  local probe = setmetatable({ t }, { __mode = "v" })
  collect()
  assert(probe[1] == t and t.self == t)
end
local self_key = setmetatable({}, { __mode = "k" })
self_key[self_key] = self_key
collect()
assert(self_key[self_key] == self_key)

-- The mode may be set, changed and removed later.
local late = { {}, {}, x = {} }
setmetatable(late, { __mode = "v" })
collect()
assert(next(late) == nil)
local kept = {}
late[1] = kept
getmetatable(late).__mode = nil
setmetatable(late, getmetatable(late))
kept = nil
collect()
assert(late[1] ~= nil)
setmetatable(late, nil)
collect()
assert(late[1])

-- Traversal while entries vanish.
local vanishing = setmetatable({}, { __mode = "k" })
for i = 1, n do vanishing[{}] = i end
local seen = 0
for key in pairs(vanishing) do
  seen = seen + 1
  key = nil
  if seen % 10 == 5 then collectgarbage() end
end
assert(seen <= n)
vanishing = setmetatable({}, { __mode = "v" })
for i = 1, n do vanishing[i] = {} end
for i, x in pairs(vanishing) do
  assert(type(x) == "table")
  if i % 100 == 0 then collectgarbage() end
end

-- What is read from a weak table is held from then on.
local cache = setmetatable({}, { __mode = "v" })
local function get(name)
  local object = cache[name]
  if not object then
    object = { name = name }
    cache[name] = object
  end
  return object
end
local held = get("a")
for _ = 1, 3 do
  local _ = get("b")
  collect()
  assert(get("a") == held and get("a").name == "a")
end
local taken = {}
for i = 1, n do cache[i] = { i } end
for i = 1, n do taken[i] = cache[i] end
collect()
for i = 1, n do assert(not taken[i] or taken[i][1] == i and cache[i] == taken[i]) end

-- A weak table used as a set of observers around objects that come and go.
local observers = setmetatable({}, { __mode = "k" })
local alive = {}
for i = 1, 3 * n do
  local o = { id = i }
  observers[o] = true
  alive[i % 20 + 1] = o
end
collect()
assert(count(observers) == 20)

-- The border of a weak list is a border at any time.
local list = setmetatable({}, { __mode = "v" })
for i = 1, 50 do list[i] = {} end
collect()
local border = #list
assert((border == 0 or list[border] ~= nil) and list[border + 1] == nil)

-- A finalizer tells that garbage has been looked for: after some of them a chain of weak keys, each held by the value of another, is gone whole.
do
  local function wait()
    local done = false
    setmetatable({}, { __gc = function() done = true end })
    local made
    repeat made = { {} } until done
  end
  local mode = collectgarbage("incremental")
  local chain = setmetatable({}, { __mode = "k" })
  LAST = nil -- a global: registers may keep what they held for a while
  for _ = 1, 100 do
    local key = {}
    chain[key] = { { LAST } }
    LAST = key
  end
  for _ = 1, 6 do wait() end
  local at, n = LAST, 0
  while at do at, n = chain[at][1][1], n + 1 end
  assert(n == 100)
  LAST = nil
  -- A few are enough where cycles come as the heap grows; each takes a link at least.
  local waits = 0
  repeat wait() waits = waits + 1 until next(chain) == nil or waits == 200
  assert(next(chain) == nil)
  collectgarbage(mode)
end

-- However long what hangs together is, one collection takes all of it: a chain of keys, each the value of the one before ...
local long = os.getenv("NEAP_GC") and 50 or 20000
do
  local chain, first = setmetatable({}, { __mode = "k" }), {}
  local key = first
  for i = 1, long do
    local following = { i }
    chain[key] = following
    key = following
  end
  key = nil
  collectgarbage()
  assert(count(chain) == long)
  first = nil
  collectgarbage()
  assert(next(chain) == nil, count(chain))
end
-- ... of weak-keyed tables, each of which is in the one before, under a key that its value holds ...
do
  local tables, first = setmetatable({}, { __mode = "v" }), setmetatable({}, { __mode = "k" })
  local last = first
  for i = 1, long do
    local key, following = {}, setmetatable({}, { __mode = "k" })
    last[key], last.own, following.back = following, key, key
    tables[i], last = following, following
  end
  last = nil
  collectgarbage()
  assert(count(tables) == long)
  first = nil
  collectgarbage()
  assert(next(tables) == nil, count(tables))
end
-- ... or a list that is dropped right after each of its cells was read through a weak reference.
do
  local cells, list = setmetatable({}, { __mode = "v" }), nil
  for i = 1, long do
    list = { list }
    cells[i] = list
  end
  collectgarbage()
  for i = 1, long do assert(cells[i]) end
  list = nil
  collectgarbage()
  assert(next(cells) == nil, count(cells))
end

-- The mode is what the metatable says, also if it says so after setmetatable.
do
  local mt = {}
  local t = setmetatable({}, mt)
  t[{}] = 1
  mt.__mode = "k"
  t[{}] = 2
  collectgarbage() collectgarbage()
  assert(next(t) == nil, "keys became weak")
  mt.__mode = "v"
  t[1], t[{}] = {}, "kept"
  collectgarbage() collectgarbage()
  assert(t[1] == nil, "values became weak")
  local key = next(t)
  assert(t[key] == "kept", "keys became strong")
  mt.__mode = nil
  t[1] = {}
  collectgarbage() collectgarbage()
  assert(t[1] and t[key] == "kept", "all is strong")
end

-- A large table comes to its mode by and by, while the program goes on; whoever asks for a collection, or traverses, sees nothing of that.
do
  local n = os.getenv("NEAP_GC") and 200 or 12000
  local function left(t)
    local count = 0
    for _, v in pairs(t) do
      assert(type(v) == "table")
      count = count + 1
    end
    return count
  end
  for _, key in ipairs({ function(i) return i end, function(i) return i * 64 + 7 end, function(i) return "k" .. i end,
    function(i) return i + 0.5 end }) do
    local t, held = {}, {}
    for i = 1, n do
      t[key(i)] = { i }
      if i % 10 == 0 then held[i] = t[key(i)] end
    end
    -- Weak keys that are no objects lose nothing; nor does what is strong again before anything is collected.
    local meta = setmetatable(t, { __mode = "k" }) and getmetatable(t)
    collectgarbage()
    assert(left(t) == n)
    meta.__mode = "v"
    t.x = nil
    local seen = 0
    for k, v in pairs(t) do
      seen = seen + 1
      if seen == 5 then
        -- A new mode in the midst of a traversal.
        setmetatable(t, nil)
        t[k] = v
        break
      end
    end
    for i = 1, 1000 do held[-i] = { i } end
    collectgarbage()
    local strong = left(t)
    assert(strong >= n / 10 and strong <= n)
    setmetatable(t, { __mode = "v" })
    t[key(10)] = t[key(10)]
    collectgarbage()
    collectgarbage()
    assert(left(t) == n / 10)
    setmetatable(t, nil)
    held = nil
    collectgarbage()
    assert(left(t) == n / 10)
    for i = 10, n, 10 do assert(t[key(i)][1] == i) end
    setmetatable(t, { __mode = "kv" })
    t[1] = nil
    collectgarbage()
    assert(next(t) == nil)
  end
end
