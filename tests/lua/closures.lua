-- Closures: shared and fresh variables, loops, upvalues of upvalues, recursion, identity. Manual, 3.4.11 and 3.5.

local small = os.getenv("NEAP_GC") ~= nil

-- Two closures share one variable; each call makes a new one.
local function counter(start)
  local n = start or 0
  return function() n = n + 1 return n end, function() return n end, function(v) n = v end
end
local up, get, set = counter()
local up2, get2 = counter(10)
up() up() up2()
assert(get() == 2 and get2() == 11)
set(100)
assert(up() == 101 and get() == 101 and get2() == 11)

-- Each iteration has its own variable, in every kind of loop.
local function check(fs, n)
  for i = 1, n do assert(fs[i]() == i, i) end
end
local fs = {}
for i = 1, 5 do fs[i] = function() return i end end
check(fs, 5)
fs = {}
for i, v in ipairs { 1, 2, 3 } do fs[i] = function() return v end end
check(fs, 3)
fs = {}
local k = 0
while k < 4 do
  k = k + 1
  local own = k
  fs[k] = function() return own end
end
check(fs, 4)
fs = {}
k = 0
repeat
  k = k + 1
  local own = k
  fs[k] = function() return own end
until own == 4
check(fs, 4)
fs = {}
do
  local i = 1
  ::again::
  local own = i
  fs[i] = function() own = own + 0 return own end
  i = i + 1
  if i <= 4 then goto again end
end
check(fs, 4)

-- A loop variable may be assigned without disturbing the loop or other closures.
fs = {}
for i = 1, 3 do
  fs[i] = function() i = i + 10 return i end
end
assert(fs[1]() == 11 and fs[1]() == 21 and fs[2]() == 12 and fs[3]() == 13)

-- Capturing in a loop that is left early.
fs = {}
for i = 1, 10 do
  local j = i * 2
  fs[#fs + 1] = function() j = j + 1 return i, j end
  if i == 3 then break end
end
assert(#fs == 3 and select(2, fs[3]()) == 7 and select(2, fs[3]()) == 8 and fs[1]() == 1)

-- Variables of outer functions, several levels up, written from the innermost.
local function outer()
  local a = 1
  local function middle()
    local b = 10
    local function inner()
      a, b = a + 1, b + 1
      return a + b
    end
    return inner, function() return b end
  end
  local f, g = middle()
  return f, g, function() return a end, middle
end
local f, g, h, again = outer()
assert(f() == 13 and f() == 15 and g() == 12 and h() == 3)
local f2, g2 = again()
assert(f2() == 15 and g2() == 11 and h() == 4 and g() == 12)

-- Parameters and varargs are variables too.
local function keep(a, ...)
  local rest = { ... }
  return function(x)
    if x then a = x end
    return a, #rest
  end
end
local kp = keep(1, 2, 3)
local a, n = kp()
assert(a == 1 and n == 2 and kp(9) == 9 and kp() == 9)

-- Recursion through a local function, and mutual recursion through locals declared before.
local function fact(m) return m <= 1 and 1 or m * fact(m - 1) end
assert(fact(10) == 3628800)
local even, odd
function even(m) if m == 0 then return true end return odd(m - 1) end
function odd(m) if m == 0 then return false end return even(m - 1) end
assert(even(1000) and not odd(1000))
-- `local f = function` does not see itself.
local selfless = function() return selfless end
assert(selfless() == nil)

-- Shadowing.
local x = 1
local function first() return x end
local x = 2
local function second() return x end
do
  local x = 3
  assert(x == 3)
end
assert(first() == 1 and second() == 2 and x == 2)
local y = y
assert(y == nil)

-- Functions are compared by identity.
local function make() return function() end end
local one, two = make(), make()
assert(one ~= two or one == two)
local t = { [one] = 1 }
assert(t[one] == 1)

-- A closure outlives its coroutine and its erring function.
local co = coroutine.wrap(function()
  local v = 0
  coroutine.yield(function() v = v + 1 return v end)
  v = v + 100
  coroutine.yield()
end)
local inc = co()
assert(inc() == 1)
co()
assert(inc() == 102)
local saved
pcall(function()
  local v = 5
  saved = function() v = v + 1 return v end
  error("out")
end)
assert(saved() == 6 and saved() == 7)

-- Many closures over many variables.
local many = {}
for i = 1, small and 50 or 2000 do
  local p, q, r = i, i * 2, i * 3
  many[i] = function(d) p, q, r = p + d, q + d, r + d return p + q + r end
end
for i, fn in ipairs(many) do assert(fn(1) == 6 * i + 3 and fn(-1) == 6 * i) end

-- A function with many variables, all captured.
local code = { "local fs = {}\n" }
for i = 1, 150 do code[#code + 1] = ("local v%d = %d\n"):format(i, i) end
for i = 1, 150 do code[#code + 1] = ("fs[%d] = function() v%d = v%d + 1 return v%d end\n"):format(i, i, i, i) end
code[#code + 1] = "return fs"
local vs = assert(load(table.concat(code)))()
for i = 1, 150 do assert(vs[i]() == i + 1 and vs[i]() == i + 2) end

-- debug.upvalueid tells shared variables from separate ones; upvaluejoin and setupvalue change them.
local u1, u2 = counter()
assert(debug.upvalueid(u1, 1) == debug.upvalueid(u2, 1))
assert(debug.upvalueid(u1, 1) ~= debug.upvalueid(up, 1))
local name, value = debug.getupvalue(up, 1)
assert(name == "n" and value == 101)
assert(debug.setupvalue(up, 1, 7) == "n" and get() == 7)
debug.upvaluejoin(u1, 1, up, 1)
assert(u1() == 8 and get() == 8 and u2() == 0)

-- _ENV is an upvalue like any other.
local function with(_ENV) return function() return value_here end end
assert(with { value_here = "mine" }() == "mine")
local env = { tostring = tostring }
local chunk = load("z = 5 return tostring(z)", "chunk", "t", env)
assert(chunk() == "5" and env.z == 5 and z == nil)
do
  local _ENV = { assert = assert }
  global_here = 1
  assert(global_here == 1)
end
assert(global_here == nil)
