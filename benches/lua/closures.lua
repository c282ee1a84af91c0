-- Closures: counters that share variables, composition, currying, Church numerals, lazy streams.
-- Group: allocation.
-- Argument: rounds.
local rounds = ...
rounds = rounds == "smoke" and 20 or tonumber(rounds) or 11000

local function counter()
  local n = 0
  local function up() n = n + 1 return n end
  local function get() return n end
  return up, get
end

local function compose(f, g) return function(x) return f(g(x)) end end
local function curry(f) return function(a) return function(b) return function(c) return f(a, b, c) end end end end

-- Church numerals: n is a function that applies another n times.
local zero = function() return function(x) return x end end
local function succ(n) return function(f) return function(x) return f(n(f)(x)) end end end
local function plus(a, b) return function(f) return function(x) return a(f)(b(f)(x)) end end end
local function church(n)
  local c = zero
  for _ = 1, n do c = succ(c) end
  return c
end
local function number(c) return c(function(x) return x + 1 end)(0) end

-- A lazy stream is a value and a function that gives the rest.
local function from(n) return n, function() return from(n + 1) end end
local function keep(p, value, rest)
  while not p(value) do value, rest = rest() end
  return value, function() return keep(p, rest()) end
end

local sum3 = curry(function(a, b, c) return a + b + c end)
local total = 0
for round = 1, rounds do
  for i = 1, 100 do
    local up, get = counter()
    up() up()
    assert(get() == 2 and up() == 3, "closures do not share a variable")
    local f = compose(function(x) return x + i end, function(x) return x * 2 end)
    total = total + f(round) - 2 * round + sum3(1)(2)(i) - 3
  end
  local n = round % 20
  assert(number(plus(church(n), church(7))) == n + 7, "wrong Church sum")
  local value, rest = keep(function(x) return x % 3 == 0 end, from(1))
  for _ = 1, 30 do value, rest = rest() end
  assert(value == 93, "wrong stream")
  local handlers = {}
  for i = 1, 50 do handlers[i] = function() return i end end
  for i = 1, 50 do total = total + handlers[i]() end
end
assert(total == rounds * (2 * 5050 + 1275), "wrong total")
print(string.format("closures %d", total))
