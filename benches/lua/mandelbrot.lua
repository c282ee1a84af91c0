-- Mandelbrot: escape times over a grid, symmetric about the real axis.
-- Group: computation.
-- Argument: width of the grid.
local n = ...
n = n == "smoke" and 32 or tonumber(n) or 1500
local LIMIT = 50

local function escape(cr, ci)
  local r, i = 0.0, 0.0
  for step = 1, LIMIT do
    local r2, i2 = r * r, i * i
    if r2 + i2 > 4.0 then return step end
    r, i = r2 - i2 + cr, 2.0 * r * i + ci
  end
  return LIMIT + 1
end

local inside, total = 0, 0
local rows = {}
for y = 0, n do
  local row = 0
  local ci = 2.5 * (y / n) - 1.25
  for x = 0, n do
    local steps = escape(3 * (x / n) - 2.25, ci)
    if steps > LIMIT then inside = inside + 1 end
    row = row + steps
  end
  rows[y] = row
  total = total + row
end
-- Mirrored rows may differ by a rounding in the last bit of a coordinate, so only nearly all agree.
local differ = 0
for y = 0, n do
  if math.abs(rows[y] - rows[n - y]) > LIMIT then differ = differ + 1 end
end
assert(differ <= n / 20, "the picture is not symmetric")
-- The area of the set is 1.5066; points that take longer than LIMIT steps make it seem a little larger.
local area = inside / ((n + 1) * (n + 1)) * 7.5
assert(area > 1.4 and area < 1.9, "wrong area")
print(string.format("mandelbrot %d %d", inside, total))
