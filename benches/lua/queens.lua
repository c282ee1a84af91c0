-- Queens: all ways to place n queens, by backtracking over arrays of taken lines.
-- Group: computation.
-- Argument: n.
local n = ...
n = n == "smoke" and 6 or tonumber(n) or 12
local rounds = n == 12 and 3 or 1

local known = { 1, 0, 0, 2, 10, 4, 40, 92, 352, 724, 2680, 14200 }

local columns, up, down, rows = {}, {}, {}, {}
for i = 1, 2 * n do columns[i], up[i], down[i] = false, false, false end

local solutions, checksum
local function place(row)
  if row > n then
    solutions = solutions + 1
    for i = 1, n do checksum = (checksum * 3 + rows[i]) % 1000003 end
    return
  end
  for column = 1, n do
    local u, d = row + column - 1, row - column + n
    if not columns[column] and not up[u] and not down[d] then
      columns[column], up[u], down[d] = true, true, true
      rows[row] = column
      place(row + 1)
      columns[column], up[u], down[d] = false, false, false
    end
  end
end

for _ = 1, rounds do
  solutions, checksum = 0, 0
  place(1)
  assert(not known[n] or solutions == known[n], "wrong number of solutions")
end
print(string.format("queens %d %d %d", n, solutions, checksum))
