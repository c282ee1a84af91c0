-- Calls: Fibonacci by double recursion, Ackermann, and Takeuchi's function.
-- Group: computation.
-- Argument: n of the Fibonacci number.
local n = ...
n = n == "smoke" and 16 or tonumber(n) or 36

local function fib(k)
  if k < 2 then return k end
  return fib(k - 1) + fib(k - 2)
end

local function ackermann(a, b)
  if a == 0 then return b + 1 end
  if b == 0 then return ackermann(a - 1, 1) end
  return ackermann(a - 1, ackermann(a, b - 1))
end

local function tak(x, y, z)
  if y >= x then return z end
  return tak(tak(x - 1, y, z), tak(y - 1, z, x), tak(z - 1, x, y))
end

local a, b = 0, 1
for _ = 1, n do a, b = b, a + b end
local f = fib(n)
assert(f == a, "wrong Fibonacci number")
local depth = n < 20 and 3 or 7
assert(ackermann(2, 3) == 9 and ackermann(3, depth) == 2 ^ (depth + 3) - 3, "wrong Ackermann number")
local t = n < 20 and tak(8, 4, 0) or tak(18, 12, 6)
assert(t == (n < 20 and 1 or 7), "wrong Takeuchi number")
print(string.format("fib %d %d", n, f))
