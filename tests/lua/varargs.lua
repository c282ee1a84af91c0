-- Varargs, select, and the adjustment of lists. Manual, 3.4.10 to 3.4.12, 6.1.

local function fails(message, f, ...)
  local ok, err = pcall(f, ...)
  assert(not ok and tostring(err):find(message, 1, true), tostring(err))
end
local function count(...) return select("#", ...) end
local function pass(...) return ... end

assert(count() == 0 and count(nil) == 1 and count(nil, nil) == 2 and count(pass()) == 0 and count(pass(), pass()) == 1)
assert(count(pass(1, 2, 3)) == 3 and count((pass(1, 2, 3))) == 1 and count(pass(1, 2), pass(1, 2)) == 3)

local function f(a, b, ...)
  local x, y, z = ...
  local t = { ... }
  local u = { ..., "end" }
  return a, b, x, y, z, #t, #u, select("#", ...)
end
local r = table.pack(f(1, 2, 3, 4, 5))
assert(r.n == 8 and r[3] == 3 and r[5] == 5 and r[6] == 3 and r[7] == 2 and r[8] == 3)
r = table.pack(f(1))
assert(r[1] == 1 and r[2] == nil and r[3] == nil and r[6] == 0 and r[8] == 0)
r = table.pack(f())
assert(r.n == 8 and r[1] == nil and r[8] == 0)

-- Missing and extra arguments.
local function three(a, b, c) return a, b, c end
assert(count(three()) == 3 and three(1) == 1 and select(3, three(1, 2, 3, 4, 5)) == 3)

-- select.
assert(select(1, "a", "b") == "a" and select(2, "a", "b") == "b" and select(-1, "a", "b") == "b" and select(-2, "a", "b") == "a")
assert(count(select(3, "a", "b")) == 0 and count(select(2, "a", "b", "c")) == 2 and select("#") == 0 and select("2", "a", "b") == "b")
fails("bad argument #1 to 'select' (index out of range)", select, 0)
fails("bad argument #1 to 'select' (index out of range)", select, -3, 1, 2)
fails("bad argument #1 to 'select' (number expected, got string)", select, "x")

-- In the middle of a list only the first value counts; at its end all of them.
local t = { pass(1, 2), pass(1, 2), n = 5, pass(1, 2, 3) }
assert(#t == 5 and t.n == 5)
t = { pass() }
assert(#t == 0)
t = { pass(), pass() }
assert(t[1] == nil)
local s = ""
for _, v in ipairs { pass("a", "b"), pass("c", "d") } do s = s .. v end
assert(s == "acd")
assert((pass(1, 2) + pass(10, 20)) == 11 and -pass(5, 6) == -5 and #pass("abc", "d") == 3 and not pass(nil, 1))
assert(pass("a", "b") .. pass("c", "d") == "ac")

-- Varargs in nested functions belong to the inner one.
local function outer(...)
  local a = ...
  local function inner(...) return select("#", ...), ... end
  return a, inner(...)
end
assert(select("#", outer(1, 2, 3)) == 5 and select(2, outer(1, 2, 3)) == 3)
assert(not load("function f() return ... end") and select(2, load("function f() return ... end")):find("outside a vararg function"))

-- The main chunk is a vararg function.
assert(load("return select('#', ...), ...")(7, 8) == 2)
assert(select("#", load("local a, b = ... return b, a, ...")(1, 2)) == 4)

-- Assigning to a parameter leaves the varargs alone, and the other way round.
local function keep(a, ...)
  a = "changed"
  local b = ...
  b = "also"
  return a, ...
end
local x, y = keep(1, 2)
assert(x == "changed" and y == 2)

-- Large lists.
local many = {}
for i = 1, 200 do many[i] = i end
assert(count(table.unpack(many)) == 200 and select(200, table.unpack(many)) == 200)
local function sum(...)
  local total = 0
  for i = 1, select("#", ...) do total = total + (select(i, ...)) end
  return total
end
assert(sum(table.unpack(many)) == 20100)
for i = 1, 5000 do many[i] = i end
assert(count(table.unpack(many)) == 5000 and #{ table.unpack(many) } == 5000 and count(pass(table.unpack(many))) == 5000)
assert(string.char(table.unpack(many, 1, 255)):byte(-1) == 255)
assert(math.max(table.unpack(many)) == 5000 and select(-1, pass(table.unpack(many))) == 5000)
local copy = table.pack(table.unpack(many))
assert(copy.n == 5000 and copy[2500] == 2500)

-- Recursion that hands varargs on.
local function reverse(first, ...)
  if select("#", ...) == 0 then return first end
  return (function(...) local t = { ... } t[#t + 1] = first return table.unpack(t) end)(reverse(...))
end
assert(table.concat({ reverse(1, 2, 3, 4, 5) }) == "54321")
local function drop(n, ...)
  if n == 0 then return ... end
  return drop(n - 1, select(2, ...))
end
assert(count(drop(3, 1, 2, 3, 4, 5)) == 2 and drop(4, 1, 2, 3, 4, 5) == 5)

-- Tail calls do not grow the stack, and hand on all values.
local function loop(n, ...)
  if n == 0 then return ... end
  return loop(n - 1, ...)
end
assert(count(loop(os.getenv("NEAP_GC") and 1000 or 300000, 1, nil, 3, nil)) == 4)
local function tail_to_native(...) return select("#", ...) end
local function tail_native(...) return math.max(...) end
assert(tail_to_native(1, 2) == 2 and tail_native(3, 9, 4) == 9)

-- Methods: the colon adds self in definitions and calls.
local o = { v = 5 }
function o:get(...) return self.v, ... end
function o.plain(self, ...) return self.v, ... end
assert(o:get() == 5 and select("#", o:get(1, 2)) == 3 and o.plain(o, 1) == 5 and o.get({ v = 6 }) == 6)
local nested = { a = { b = { n = 1 } } }
function nested.a.b.f(x) return x end
function nested.a.b:g(x) return self.n + x end
assert(nested.a.b.f(3) == 3 and nested.a.b:g(3) == 4)
-- Calls with a single string or table.
assert(pass "text" == "text" and pass [[long]] == "long" and pass { 1 }[1] == 1 and ("x"):rep(3) == "xxx" and #pass { 1, 2 } == 2)
