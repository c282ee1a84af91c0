-- Matrix product of dense float matrices stored by rows, checked by (AB)x = A(Bx).
-- Group: computation.
-- Argument: dimension.
local n = ...
n = n == "smoke" and 20 or tonumber(n) or 330

local function matrix(f)
  local m = {}
  for i = 1, n do
    local row = {}
    for j = 1, n do row[j] = f(i, j) end
    m[i] = row
  end
  return m
end

local function multiply(a, b)
  -- Columns of b are turned into rows once, so that the inner loop walks two arrays.
  local columns = matrix(function(i, j) return b[j][i] end)
  local c = {}
  for i = 1, n do
    local row, ai = {}, a[i]
    for j = 1, n do
      local bj, sum = columns[j], 0.0
      for k = 1, n do sum = sum + ai[k] * bj[k] end
      row[j] = sum
    end
    c[i] = row
  end
  return c
end

local function apply(m, x)
  local y = {}
  for i = 1, n do
    local row, sum = m[i], 0.0
    for j = 1, n do sum = sum + row[j] * x[j] end
    y[i] = sum
  end
  return y
end

local a = matrix(function(i, j) return (i - j) / n + 0.5 end)
local b = matrix(function(i, j) return ((i * j) % 17) / 17 end)
local c = multiply(a, b)
local d = multiply(c, a)
local x = {}
for i = 1, n do x[i] = (i % 5) - 2 end
local left, right = apply(d, x), apply(a, apply(b, apply(a, x)))
local trace = 0
for i = 1, n do
  assert(math.abs(left[i] - right[i]) <= 1e-9 * (1 + math.abs(left[i])) * n, "the product is not associative")
  trace = trace + d[i][i]
end
print(string.format("matrix %d %.6f", n, trace))
