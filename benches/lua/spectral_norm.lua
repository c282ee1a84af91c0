-- Spectral norm of the infinite matrix a(i,j) = 1 / ((i+j)(i+j+1)/2 + i + 1), cut at n, by power iteration.
-- Group: computation.
-- Argument: n.
local n = ...
n = n == "smoke" and 40 or tonumber(n) or 780

local function a(i, j)
  local k = i + j - 1
  return 1 / (k * (k - 1) * 0.5 + i)
end

local function times(x, y)
  for i = 1, n do
    local sum = 0
    for j = 1, n do sum = sum + x[j] * a(i, j) end
    y[i] = sum
  end
end

local function transposed(x, y)
  for i = 1, n do
    local sum = 0
    for j = 1, n do sum = sum + x[j] * a(j, i) end
    y[i] = sum
  end
end

local u, v, t = {}, {}, {}
for i = 1, n do u[i] = 1 end
for _ = 1, 10 do
  times(u, t)
  transposed(t, v)
  times(v, t)
  transposed(t, u)
end
local uv, vv = 0, 0
for i = 1, n do
  uv = uv + u[i] * v[i]
  vv = vv + v[i] * v[i]
end
local norm = math.sqrt(uv / vv)
-- The limit is 1.2742241528...; a cut at n of some dozens gives five digits of it.
assert(math.abs(norm - 1.27422415) < 1e-4, "wrong norm")
print(string.format("spectral_norm %.9f", norm))
