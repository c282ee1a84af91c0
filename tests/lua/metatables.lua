-- Metatables: each metamethod, the order in which operands are asked, raw access, protection. Manual, 2.4.

local function fails(message, f, ...)
  local ok, err = pcall(f, ...)
  assert(not ok and tostring(err):find(message, 1, true), tostring(err))
end

-- Binary operators: the left operand's metamethod first, then the right one's. All results are cut to one value.
local operators = {
  __add = function(a, b) return a + b end, __sub = function(a, b) return a - b end, __mul = function(a, b) return a * b end,
  __div = function(a, b) return a / b end, __mod = function(a, b) return a % b end, __pow = function(a, b) return a ^ b end,
  __idiv = function(a, b) return a // b end, __band = function(a, b) return a & b end, __bor = function(a, b) return a | b end,
  __bxor = function(a, b) return a ~ b end, __shl = function(a, b) return a << b end, __shr = function(a, b) return a >> b end,
  __concat = function(a, b) return a .. b end,
}
for event, apply in pairs(operators) do
  local function handler(name) return function(a, b) return { name, a, b }, "cut" end end
  local left, right = setmetatable({}, { [event] = handler("left") }), setmetatable({}, { [event] = handler("right") })
  local plain = setmetatable({}, {})
  for _, c in ipairs { { left, 5, "left" }, { 5, right, "right" }, { left, right, "left" }, { plain, right, "right" },
    { left, "s", "left" }, { "s", right, "right" }, { 1.5, right, "right" }, { {}, right, "right" }, { print, right, "right" } } do
    local r = { apply(c[1], c[2]) }
    assert(#r == 1 and r[1][1] == c[3] and r[1][2] == c[1] and r[1][3] == c[2], event)
  end
  assert(not pcall(apply, plain, 5) and not pcall(apply, {}, {}), event)
  -- A handler may be anything that can be called.
  local callable = setmetatable({}, { __call = function(_, a, b) return "called", a, b end })
  assert(apply(setmetatable({}, { [event] = callable }), 1) == "called", event)
  fails("attempt to call a", apply, setmetatable({}, { [event] = 42 }), 1)
end

-- With constants on either side.
local mt = {}
local v = setmetatable({}, mt)
mt.__add = function(a, b) return (a == v and "v" or a) .. "+" .. (b == v and "v" or b) end
mt.__sub = function(a, b) return (a == v and "v" or a) .. "-" .. (b == v and "v" or b) end
mt.__shl = function(a, b) return (a == v and "v" or a) .. "<<" .. (b == v and "v" or b) end
mt.__shr = function(a, b) return (a == v and "v" or a) .. ">>" .. (b == v and "v" or b) end
mt.__band = function(a, b) return (a == v and "v" or a) .. "&" .. (b == v and "v" or b) end
assert(v + 1 == "v+1" and 1 + v == "1+v" and v - 1 == "v-1" and 1 - v == "1-v" and v + 1.5 == "v+1.5" and 100000 + v == "100000+v")
assert(v << 1 == "v<<1" and 1 << v == "1<<v" and v >> 1 == "v>>1" and 1 >> v == "1>>v" and v & 1 == "v&1" and 1 & v == "1&v")

-- Unary operators.
local u = setmetatable({}, { __unm = function(a, b) return a, b end, __bnot = function(a) return a end, __len = function(a) return a, 2 end })
assert(-u == u and ~u == u and #u == u)
assert(#setmetatable({ 1, 2 }, { __len = function() return "long" end }) == "long" and rawlen(setmetatable({ 1, 2 }, { __len = print })) == 2)
fails("attempt to perform arithmetic on a table value", function() return -{} end)
fails("attempt to get length of a nil value", function() local x return #x end)

-- Concatenation goes from the right.
local log = {}
local c = setmetatable({}, { __concat = function(a, b)
  log[#log + 1] = (type(a) == "table" and "t" or a) .. "|" .. (type(b) == "table" and "t" or b)
  return "r"
end })
assert("a" .. "b" .. c .. "d" .. "e" == "abr" and table.concat(log, " ") == "t|de b|r" or table.concat(log, " ") == "t|de")
log = {}
assert(1 .. c == "r" and log[1] == "1|t" and c .. c == "r")

-- Comparison: results become booleans.
local less = setmetatable({}, { __lt = function() return 1 end, __le = function() return nil end })
assert((less < 1) == true and (1 < less) == true and (less <= 1) == false and (1 >= less) == false and (less > less) == true)
fails("attempt to compare two table values", function() return {} < {} end)
fails("attempt to compare number with table", function() return 1 < {} end)
-- Without __le, `a <= b` is `not (b < a)`, as it was in Lua 5.3; that may yield too.
local Version = {}
Version.__lt = function(a, b) coroutine.yield("lt") return a.n < b.n and "yes" end
local v1, v2 = setmetatable({ n = 1 }, Version), setmetatable({ n = 2 }, Version)
local co = coroutine.wrap(function() return { v1 <= v2, v2 <= v1, v1 >= v2, v2 >= v1, v1 <= v1, not (v1 <= v2), (v1 > v2) } end)
for _ = 1, 7 do assert(co() == "lt") end
local answers = co()
assert(table.concat({ tostring(answers[1]), tostring(answers[2]), tostring(answers[3]), tostring(answers[4]), tostring(answers[5]) }, " ") == "true false false true true")
assert(answers[6] == false and answers[7] == false)
Version.__lt = function(a, b) return (function(...) return a.n < b.n end)() end
assert(v1 <= v2 and not (v2 <= v1))
if v1 >= v2 then error("wrong") end
fails("attempt to compare two table values", function() return {} <= {} end)
local calls = 0
local e1 = setmetatable({}, { __eq = function() calls = calls + 1 return 1 end })
local e2 = setmetatable({}, { __eq = function() return false end })
assert(e1 == {} and {} == e1 and calls == 2 and e1 == e2 and not (e2 == e1) and e1 == e1 and calls == 3)
assert(e1 ~= 1 and e1 ~= "x" and e1 ~= nil and calls == 3 and rawequal(e1, e2) == false and rawequal(e1, e1))
assert((e1 ~= {}) == false)

-- __index: a chain of tables and functions.
local base = { x = 1, y = 2 }
local derived = setmetatable({ y = 20 }, { __index = base })
local third = setmetatable({}, { __index = derived })
assert(third.x == 1 and third.y == 20 and third.z == nil and rawget(third, "x") == nil)
local asked = {}
local lazy = setmetatable({}, { __index = function(t, k) asked[#asked + 1] = k return k, "cut" end })
assert(lazy.a == "a" and lazy[1] == 1 and lazy[1.5] == 1.5 and lazy[true] == true and #asked == 4 and select("#", lazy.q) == 1)
assert(setmetatable({}, { __index = lazy }).deep == "deep" and setmetatable({}, { __index = "text" }).len == string.len)
fails("attempt to index a number value", function() return setmetatable({}, { __index = 5 }).x end)
for _, key in ipairs { 1, -1, 2 ^ 60, "s", 0.5 } do assert(lazy[key] == key) end

-- __newindex: only for absent keys; functions, tables, chains; rawset goes past.
local stored = {}
local w = setmetatable({ present = 1 }, { __newindex = function(t, k, v) stored[k] = v end })
w.present, w.absent, w[1], w[2.5] = 2, 3, "one", "float"
assert(w.present == 2 and rawget(w, "absent") == nil and stored.absent == 3 and stored[1] == "one" and stored[2.5] == "float")
rawset(w, "absent", 4)
w.absent = 5
assert(w.absent == 5 and stored.absent == 3)
w.present = nil
w.present = 6
assert(w.present == nil and stored.present == 6)
local target = {}
local forward = setmetatable({}, { __newindex = setmetatable({}, { __newindex = target }) })
forward.k, forward[1] = "v", 2
assert(target.k == "v" and target[1] == 2 and next(forward) == nil)
fails("attempt to index a number value", function() setmetatable({}, { __newindex = 5 }).x = 1 end)
-- The metatable's own absent __newindex does not disturb.
local both = setmetatable({}, { __index = { d = 1 } })
both.d = 2
assert(rawget(both, "d") == 2)

-- Chains that do not end are errors.
local loop = {}
setmetatable(loop, { __index = loop, __newindex = loop })
fails("'__index' chain too long; possible loop", function() return loop.x end)
fails("'__newindex' chain too long; possible loop", function() loop.x = 1 end)

-- __call: with extra arguments, in chains, in tail calls, as an iterator, as a method.
local callable = setmetatable({}, { __call = function(self, ...) return self, ... end })
local s, a, b = callable(1, 2)
assert(s == callable and a == 1 and b == 2 and select("#", callable()) == 1)
assert((function() return callable(7) end)() == callable)
local outer = setmetatable({}, { __call = callable })
local r = { outer(5) }
assert(r[1] == callable and r[2] == outer and r[3] == 5)
local i = 0
for x in setmetatable({}, { __call = function() i = i + 1 return i <= 3 and i or nil end }) do assert(x == i) end
assert(i == 4)
local object = { method = callable }
s, a, b = object:method("x")
assert(s == callable and a == object and b == "x" and pcall(callable) and select(2, pcall(callable, 3)) == callable)
fails("attempt to call a table value", function() setmetatable({}, { __call = 5 })() end and function() ({})() end)
assert(table.concat({ ("abc"):gsub("%w", setmetatable({}, { __index = { a = "1" } })) }, " ") == "1bc 3")

-- __tostring, __name, __metatable, __pairs.
assert(tostring(setmetatable({}, { __tostring = function() return "me" end })) == "me")
fails("'__tostring' must return a string", tostring, setmetatable({}, { __tostring = function() return {} end }))
assert(tostring(setmetatable({}, { __name = "My.Type" })):find("^My.Type: "))
local locked = setmetatable({}, { __metatable = "keep out" })
assert(getmetatable(locked) == "keep out")
fails("cannot change a protected metatable", setmetatable, locked, {})
fails("nil or table expected", setmetatable, {}, 5)
fails("bad argument #1 to 'setmetatable' (table expected, got number)", setmetatable, 1, {})
-- `pairs` is a function like others: as a metamethod it gives its first result.
local twice = setmetatable({}, { __add = pairs, __le = pairs, __pairs = function() return 5, 6 end })
assert(twice + 1 == 5 and (twice <= 1) == true and select("#", pairs(twice)) == 3 and not pcall(pairs))
local pp = setmetatable({}, { __pairs = function(t) return function(_, k) if not k then return 1, "one" end end, t, nil, "cut" end })
local got = {}
for k, v in pairs(pp) do got[k] = v end
assert(got[1] == "one" and select("#", pairs(pp)) == 3)

-- A metamethod added or removed later counts at once; inherited metamethods do not count.
local m = {}
local o = setmetatable({}, m)
assert(not pcall(function() return o + 1 end))
m.__add = function() return "now" end
assert(o + 1 == "now")
m.__add = nil
assert(not pcall(function() return o + 1 end) and o.x == nil)
m.__index = function() return "late" end
assert(o.x == "late")
m.__index = nil
assert(o.x == nil)
local inherited = setmetatable({}, setmetatable({}, { __index = { __add = function() return 1 end } }))
assert(not pcall(function() return inherited + 1 end))

-- Errors inside metamethods come through, and yields too (see coroutines.lua).
fails("inside", function() return setmetatable({}, { __index = function() error("inside") end }).x end)
fails("inside", function() return setmetatable({}, { __eq = function() error("inside") end }) == {} end)
fails("inside", function() return #setmetatable({}, { __len = function() error("inside") end }) end)

-- Many small objects with one metatable.
local Point = {}
Point.__index = Point
Point.__add = function(a, b) return setmetatable({ x = a.x + b.x }, Point) end
local total = setmetatable({ x = 0 }, Point)
for n = 1, os.getenv("NEAP_GC") and 100 or 5000 do total = total + setmetatable({ x = 1 }, Point) end
assert(total.x == (os.getenv("NEAP_GC") and 100 or 5000))

-- Arithmetic on strings stands in their metatable, and can be replaced there.
do
  local meta = getmetatable("")
  local names = {}
  for name in pairs(meta) do names[#names + 1] = name end
  table.sort(names)
  assert(table.concat(names, " ") == "__add __div __idiv __index __mod __mul __pow __sub __unm")
  assert(meta.__add("3", 4) == 7 and meta.__unm("3") == -3 and math.type(meta.__mul("2", "0x10")) == "integer" and meta.__pow(2, "3") == 8.0)
  assert("10" + 5 == 15 and "0x10" * "2" == 32 and -"2" == -2 and "7" // 2 == 3 and "7" % "4" == 3 and 1 / "2" == 0.5 and "3" ^ 2 == 9 and "1" - 1 == 0)
  local function fails(message, f, ...)
    local ok, err = pcall(f, ...)
    assert(not ok and err:find(message, 1, true), err)
  end
  fails("attempt to add a 'string' with a 'number'", function() return "abc" + 1 end)
  fails("attempt to add a 'table' with a 'string'", function() return {} + "1" end)
  fails("attempt to unm a 'string' with a 'string'", function() return -"x" end)
  fails("attempt to add a 'nil' with a 'nil'", meta.__add)
  fails("attempt to divide by zero", function() return "1" // "0" end)
  fails("attempt to perform 'n%0'", function() return "1" % 0 end)
  -- A fault is told of from inside of the metamethod.
  local trace = select(2, xpcall(function() return "abc" + 1 end, debug.traceback))
  assert(trace:find("[C]: in metamethod 'add'", 1, true), trace)
  -- The second operand may have a handler, the first one is not asked.
  local other = setmetatable({}, { __add = function(a, b) return "handled" end })
  assert("10" + other == "handled" and other + "10" == "handled" and meta.__add("x", other) == "handled")
  fails("attempt to add a 'table' with a 'string'", meta.__add, other, "x")
  -- Replaced, exchanged, removed.
  local add, sub = meta.__add, meta.__sub
  meta.__add = function(a, b) return a .. "+" .. b end
  assert("1" + 2 == "1+2" and 1 + "2" == "1+2" and "3" - 1 == 2)
  meta.__add = sub
  assert("3" + 1 == 2)
  meta.__add = nil
  fails("attempt to perform arithmetic on a string value (constant '3')", function() return "3" + 1 end)
  local name = "3"
  fails("attempt to perform arithmetic on a string value (local 'name')", function(name) return 1 + name end, name)
  meta.__add = add
  assert("3" + 1 == 4)
  debug.setmetatable("", nil)
  local ok, err = pcall(function() return "3" * 1 end)
  debug.setmetatable("", meta)
  assert(not ok and err:find("attempt to perform arithmetic on a string value", 1, true) and "3" * 1 == 3)
end
-- A handler of `#` gets its operand twice, from a function of the library too.
local given
local long = setmetatable({}, { __len = function(...) given = select("#", ...) .. tostring(rawequal(...)) return 0 end })
assert(#long == 0 and given == "2true")
given = nil
assert(select("#", table.unpack(long)) == 0 and given == "2true")
