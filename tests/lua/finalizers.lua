-- Finalizers: when they run, in what order, once only, resurrection, errors, cycles, marks. Manual, 2.5.3.

local function collect() collectgarbage() collectgarbage() end
local log = {}
local function finalized(name, action)
  return setmetatable({ name = name }, { __gc = function(o)
    log[#log + 1] = o.name
    if action then action(o) end
  end })
end
-- Objects that die one after the other are finalized in that order; under stress nearly all do, so the order of those
-- that could have died together is asked for only without it.
local stress = os.getenv("NEAP_GC") ~= nil
local function sorted(text)
  local words = {}
  for word in text:gmatch("%S+") do words[#words + 1] = word end
  table.sort(words)
  return table.concat(words, " ")
end
local function said(text)
  local got = table.concat(log, " ")
  assert(got == text or stress and sorted(got) == sorted(text), got)
  log = {}
end

-- Unreachable objects are finalized, in the reverse order of their marking.
do
  for i = 1, 5 do finalized("o" .. i) end
end
collect()
said("o5 o4 o3 o2 o1")

-- Reachable ones are not.
local kept = finalized("kept")
collect()
said("")
kept = nil
collect()
said("kept")
collect()
said("")

-- An object must be marked: __gc must be in the metatable when it is set.
do
  local mt = {}
  setmetatable({ name = "late" }, mt)
  mt.__gc = function(o) log[#log + 1] = o.name end
  setmetatable({ name = "early" }, mt)
  local twice = setmetatable({ name = "set again" }, mt)
  setmetatable(twice, mt)
end
collect()
said("set again early")
-- The metamethod that counts is the one at the time of the collection; any value marks.
do
  local mt = { __gc = true }
  local object = setmetatable({ name = "changed" }, mt)
  mt.__gc = function(o) log[#log + 1] = o.name end
  local none = { __gc = true }
  setmetatable({}, none)
end
collect()
said("changed")

-- Resurrection: the object lives on, with all it refers to, and is not finalized again...
local saved
do
  local o = finalized("phoenix", function(self) saved = self end)
  o.data = { 1, 2, { "deep" } }
end
collect()
said("phoenix")
assert(saved.name == "phoenix" and saved.data[3][1] == "deep")
saved = nil
collect()
said("")
-- ... unless it is marked anew.
do
  local mt
  mt = { __gc = function(o)
    log[#log + 1] = o.name .. o.lives
    o.lives = o.lives - 1
    if o.lives > 0 then setmetatable(o, mt) end
  end }
  setmetatable({ name = "cat", lives = 3 }, mt)
end
for _ = 1, 5 do collect() end
said("cat3 cat2 cat1")

-- Cycles with finalizers go like all others; each finalizer sees the whole cycle.
do
  local a, b
  a = finalized("a", function(o) assert(o.other.name == "b" and o.other.other == o) end)
  b = finalized("b", function(o) assert(o.other.name == "a" and o.other.other == o) end)
  a.other, b.other = b, a
end
collect()
said("b a")
do
  local s = finalized("self")
  s.self = s
end
collect()
said("self")
-- A chain: what a finalizer can reach is intact, marked or not.
do
  local inner = finalized("inner")
  local outer = finalized("outer", function(o) assert(o.inner.name == "inner") end)
  outer.inner = inner
end
collect()
said("outer inner")

-- Weak values go before finalizers run, weak keys after.
local weak_values, weak_keys = setmetatable({}, { __mode = "v" }), setmetatable({}, { __mode = "k" })
do
  local o = finalized("weak", function(self)
    log[#log + 1] = tostring(weak_values[1]) .. tostring(weak_keys[self])
  end)
  weak_values[1] = o
  weak_keys[o] = "info"
end
collect()
collect()
said("weak nilinfo")
assert(next(weak_values) == nil and next(weak_keys) == nil)

-- An error in a finalizer is a warning and disturbs neither the program nor other finalizers.
warn("@off")
do
  finalized("before")
  finalized("erring", function() error("in the finalizer") end)
  finalized("after")
end
collect()
said("after erring before")
do
  setmetatable({}, { __gc = 42 })
  setmetatable({}, { __gc = {} })
end
collect()

-- Finalizers may allocate, collect, create objects with finalizers, call pcall, run coroutines.
do
  finalized("busy", function()
    for i = 1, 100 do local _ = { i } end
    finalized("child")
    assert(not pcall(error, "x"))
    assert(coroutine.wrap(function() coroutine.yield(1) end)() == 1)
    collectgarbage()
  end)
end
collect()
collect()
assert(log[1] == "busy" and log[2] == "child" and #log == 2, table.concat(log, " "))
log = {}
-- A finalizer cannot yield across to the program that it interrupts.
do
  finalized("yielder", function()
    local ok, err = pcall(coroutine.yield)
    log[#log + 1] = tostring(ok)
  end)
end
coroutine.wrap(function() collect() end)()
said("yielder false")

-- Many objects, each finalized exactly once, while the program allocates.
local n, times = os.getenv("NEAP_GC") and 100 or 3000, {}
for i = 1, n do
  setmetatable({ i }, { __gc = function(o) times[o[1]] = (times[o[1]] or 0) + 1 end })
  if i % 50 == 0 then collectgarbage("step") end
end
collect()
for i = 1, n do assert(times[i] == 1, i) end

-- Objects that ask for it again each time are finalized in proportion to what the program allocates, not as fast as counting finds them dead.
if not os.getenv("NEAP_GC") then
  local calls, again = 0, {}
  again.__gc = function(o)
    calls = calls + 1
    setmetatable(o, again)
  end
  for _ = 1, 50000 do setmetatable({}, again) end
  assert(calls < 50000 * 8, calls)
  -- A whole collection is one more time for each of them.
  local before = calls
  collectgarbage()
  assert(calls - before >= 50000 and calls - before < 50000 * 8, calls - before)
  again.__gc = nil
end
collect()

-- They run on their own too, without a call of collectgarbage.
local done = false
do setmetatable({}, { __gc = function() done = true end }) end
local turns = 0
while not done and turns < 10000000 do
  turns = turns + 1
  local _ = { turns }
end
assert(done, "no finalizer ran by itself")

-- Closures and coroutines that hold the finalized object.
do
  local o = finalized("held by a closure")
  local f = function() return o end
  o.f = f
  local p = finalized("held by a coroutine")
  local co = coroutine.create(function() local mine = p coroutine.yield() return mine end)
  coroutine.resume(co)
  p.co = co
end
collect()
table.sort(log)
said("held by a closure held by a coroutine")

-- The metatable as a whole is shared by many and outlives them.
local Class = { __gc = function(o) log[#log + 1] = o.id end }
for i = 1, 3 do setmetatable({ id = i }, Class) end
collect()
said("3 2 1")

-- What is left at the end is finalized when the state closes: see tests of the command line.
