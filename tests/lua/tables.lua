-- Tables: constructors, keys, borders, next and pairs, and the library table. Manual, 3.4.7, 3.4.9, 6.1, 6.6.

local function fails(message, f, ...)
  local ok, err = pcall(f, ...)
  assert(not ok and tostring(err):find(message, 1, true), tostring(err))
end
local function count(t)
  local n = 0
  for _ in pairs(t) do n = n + 1 end
  return n
end
local function three() return 1, 2, 3 end
local n_big = os.getenv("NEAP_GC") and 300 or 3000

-- Constructors.
local t = { 10, 20; 30, x = 1, ["y z"] = 2, [10] = "ten", three() }
assert(#t >= 6 and t[3] == 30 and t[4] == 1 and t[6] == 3 and t.x == 1 and t["y z"] == 2 and t[10] == "ten")
t = { three(), three() }
assert(#t == 4 and t[1] == 1 and t[2] == 1 and t[4] == 3)
t = { (three()) }
assert(#t == 1)
t = { [1] = "a", "b" }
assert(t[1] == "b")
t = { nil, nil, 3 }
assert(t[3] == 3 and t[1] == nil and count(t) == 1)
t = { x = 1, x = 2 }
assert(t.x == 2)
t = { { { {} } } }
assert(#t[1][1] == 1)
local big = {}
for i = 1, 300 do big[i] = i end
big = load("return {" .. table.concat(big, ",") .. "}")()
assert(#big == 300 and big[299] == 299)

-- Keys.
t = {}
fails("index is nil", function() t[nil] = 1 end)
fails("index is NaN", function() t[0 / 0] = 1 end)
fails("index is nil", rawset, t, nil, 1)
assert(t[nil] == nil and t[0 / 0] == nil)
t[1.0], t[2 ^ 53], t[-0.0], t[true], t[print] = "one", "big", "zero", "yes", "f"
assert(t[1] == "one" and t[1 << 53] == "big" and t[0] == "zero" and t[0.0] == "zero" and t[true] == "yes" and t[print] == "f")
t[1.5], t["1"], t[math.huge] = "half", "text", "inf"
assert(t[1.5] == "half" and t["1"] == "text" and t[math.huge] == "inf" and t[1] == "one" and count(t) == 8)
for k in pairs(t) do t[k] = nil end
assert(next(t) == nil and count(t) == 0)

-- Borders: #t is n with t[n] ~= nil and t[n + 1] == nil, for every history of the table.
local function border(t)
  local n = #t
  assert((n == 0 or t[n] ~= nil) and t[n + 1] == nil, "not a border: " .. n)
  return n
end
t = {}
for i = 1, n_big do
  t[i] = i
  assert(border(t) == i)
end
for i = n_big, 1, -1 do
  t[i] = nil
  assert(border(t) == i - 1)
end
for i = 20, 1, -1 do
  t[i] = i
  border(t)
end
assert(#t == 20)
t[10] = nil
border(t)
t[20] = nil
border(t)
t = { 1, 2, nil, 4 }
border(t)
t = { n = 1, [-1] = 2, [0] = 3 }
assert(border(t) == 0)
t = table.pack(nil, nil, 3, nil)
assert(t.n == 4)
border(t)

-- next and pairs visit every entry once; assigning to or clearing existing entries on the way is allowed.
t = {}
for i = 1, 100 do
  t[i] = i
  t["k" .. i] = i
  t[i + 0.5] = i
end
local seen, sum = {}, 0
for k, v in pairs(t) do
  assert(not seen[k])
  seen[k] = true
  sum = sum + v
  t[k] = nil
end
assert(sum == 3 * 5050 and next(t) == nil)
for i = 1, 50 do t["x" .. i] = i end
for k, v in pairs(t) do t[k] = v * 2 end
sum = 0
for _, v in next, t do sum = sum + v end
assert(sum == 2550)
fails("invalid key to 'next'", next, { 1, 2 }, 3)
fails("bad argument #1 to 'for iterator' (table expected, got nil)", function() for _ in next do end end)
assert(next({}) == nil and next({ 5 }) == 1 and next({ a = 1 }, "a") == nil)
-- A key whose entry was cleared is still a place to go on from.
t = { a = 1, b = 2, c = 3 }
local k = next(t)
t[k] = nil
assert(pcall(next, t, k))

-- ipairs stops at the first nil and respects __index.
local list = {}
for i, v in ipairs { 1, 2, nil, 4 } do list[i] = v end
assert(#list == 2)
sum = 0
for i, v in ipairs(setmetatable({}, { __index = function(_, i) if i <= 5 then return i * 10 end end })) do sum = sum + v end
assert(sum == 150)
fails("bad argument #1 to 'ipairs' (value expected)", ipairs)

-- insert and remove.
t = { 1, 2, 3 }
table.insert(t, 4)
table.insert(t, 1, 0)
table.insert(t, 3, "m")
assert(table.concat(t, ",") == "0,1,m,2,3,4")
assert(table.remove(t) == 4 and table.remove(t, 1) == 0 and table.remove(t, 2) == "m" and table.concat(t, ",") == "1,2,3")
assert(table.remove({}) == nil and table.remove({}, 0) == nil and table.remove({ [0] = "z" }, 0) == "z")
assert(table.remove(t, 4) == nil and #t == 3)
fails("wrong number of arguments to 'insert'", table.insert, t)
fails("wrong number of arguments to 'insert'", table.insert, t, 1, 2, 3)
fails("bad argument #2 to 'table.insert' (position out of bounds)", table.insert, t, 5, 0)
fails("bad argument #2 to 'table.insert' (position out of bounds)", table.insert, t, 0, 0)
fails("(position out of bounds)", table.remove, t, 5)
fails("(position out of bounds)", table.remove, t, -1)
fails("bad argument #1 to 'table.insert' (table expected, got nil)", table.insert, nil, 1)
fails("number expected, got string", table.insert, t, "x", 1)

-- concat.
assert(table.concat({}) == "" and table.concat({ 1, 2, 3 }) == "123" and table.concat({ 1, 2.5, "x" }, "-") == "1-2.5-x")
assert(table.concat({ 1, 2, 3 }, ",", 2) == "2,3" and table.concat({ 1, 2, 3 }, ",", 2, 2) == "2" and table.concat({ 1, 2 }, ",", 2, 1) == "")
assert(table.concat({ [math.maxinteger] = "end" }, ",", math.maxinteger, math.maxinteger) == "end")
fails("at index 2 in table for 'concat'", table.concat, { 1, {}, 3 })
fails("at index 3 in table for 'concat'", table.concat, { 1, 2 }, ",", 1, 3)

-- pack and unpack.
local p = table.pack(1, nil, 3)
assert(p.n == 3 and p[1] == 1 and p[2] == nil and p[3] == 3 and table.pack().n == 0)
assert(select("#", table.unpack({}, 1, 3)) == 3 and select("#", table.unpack({ 1, 2 })) == 2)
local a, b, c = table.unpack({ 1, 2, 3 }, 2)
assert(a == 2 and b == 3 and c == nil)
assert(table.unpack({ 1, 2, 3 }, -1, 1) == nil and select("#", table.unpack({}, 2, 1)) == 0)
a, b = table.unpack({ [math.maxinteger - 1] = "p", [math.maxinteger] = "q" }, math.maxinteger - 1, math.maxinteger)
assert(a == "p" and b == "q")
fails("too many results to unpack", table.unpack, {}, 1, 1e8)
fails("too many results to unpack", table.unpack, {}, math.mininteger, math.maxinteger)
assert(table.unpack("abc", 1, 0) == nil)
assert(select("#", table.unpack({}, 1, 200)) == 200)

-- move.
t = table.move({ 1, 2, 3 }, 1, 3, 2)
assert(table.concat(t, ",") == "1,1,2,3")
t = table.move({ 1, 2, 3, 4 }, 2, 4, 1)
assert(table.concat(t, ",") == "2,3,4,4")
t = table.move({ 1, 2, 3 }, 1, 3, 1, { 9, 9, 9, 9 })
assert(table.concat(t, ",") == "1,2,3,9")
assert(#table.move({ 1, 2 }, 1, 0, 5, {}) == 0)
t = table.move({ [math.mininteger] = "low" }, math.mininteger, math.mininteger, 1, {})
assert(t[1] == "low")
fails("too many elements to move", table.move, {}, math.mininteger, math.maxinteger, 1)
fails("destination wrap around", table.move, {}, 1, 10, math.maxinteger - 5)

-- The library respects metamethods.
local log = {}
local proxy = setmetatable({}, {
  __len = function() return 3 end,
  __index = function(_, i) log[#log + 1] = "get" .. tostring(i) return i end,
  __newindex = function(_, i, v) log[#log + 1] = "set" .. i .. "=" .. tostring(v) end,
})
assert(table.concat(proxy, ",") == "1,2,3" and select("#", table.unpack(proxy)) == 3)
log = {}
table.insert(proxy, "new")
assert(table.concat(log, " ") == "set4=new")
log = {}
assert(table.remove(proxy, 1) == 1 and table.concat(log, " ") == "get1 get2 set1=2 get3 set2=3 set3=nil")
fails("object length is not an integer", table.insert, setmetatable({}, { __len = function() return "x" end }), 1)

-- Nested and self-referring tables.
local self = {}
self.self, self[self] = self, self
assert(self.self.self[self] == self and count(self) == 2)

-- Growing by every kind of key, and shrinking, keeps all others.
t = {}
for i = 1, n_big do
  t[i], t[-i], t["s" .. i], t[i + 0.25] = i, i, i, i
  if i > 50 then t["s" .. i - 50] = nil end
end
assert(t["s" .. n_big - 50] == nil and count(t) == 3 * n_big + 50)
for i = 1, n_big do assert(t[i] == i and t[-i] == i and t[i + 0.25] == i) end

-- A length by metamethod is an integer however it is written.
do
  local function sized(n) return setmetatable({}, {__len = function() return n end, __index = function(_, i) return i end}) end
  for _, two in ipairs {2, 2.0, "2", "0x2", "2.0"} do
    assert(table.concat(sized(two), ",") == "1,2" and select("#", table.unpack(sized(two))) == 2)
  end
  for _, other in ipairs {2.5, "2.5", "two", true, {}} do
    local ok, e = pcall(table.concat, sized(other))
    assert(not ok and e == "object length is not an integer")
  end
end

-- A metamethod that comes again after it was found absent, in a metatable of many fields.
do
  local meta = {}
  for i = 1, 100 do meta["field" .. i] = i end
  local t = setmetatable({}, meta)
  for i = 1, 3 do
    meta.__index = function(_, k) return k .. i end
    assert(t.x == "x" .. i)
    meta.__index = nil
    assert(t.x == nil)
  end
end

-- A set that is emptied and filled again, and what is left of it when it is let alone.
do
  local names, set = {}, {}
  for i = 1, n_big do names[i] = "name " .. i end
  for round = 1, 3 do
    for _, name in ipairs(names) do set[name] = round end
    assert(count(set) == n_big and next(set, next(set)))
    for i, name in ipairs(names) do
      set[name] = nil
      assert(set[name] == nil and rawget(set, name) == nil)
      if i == 10 then set[name] = i end
    end
    assert(count(set) == 1 and next(set) == names[10] and next(set, names[10]) == nil)
  end
  set[names[10]] = nil
  collectgarbage()
  local before = collectgarbage("count")
  for _, name in ipairs(names) do set[name] = true end
  for _, name in ipairs(names) do set[name] = nil end
  collectgarbage()
  assert(collectgarbage("count") - before < 4, "an empty table keeps its memory")
end
