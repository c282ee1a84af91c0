-- Fannkuch: the most reversals that any permutation of 1..n needs until 1 comes to the front.
-- Group: computation.
-- Argument: n.
local n = ...
n = n == "smoke" and 6 or tonumber(n) or 9
local rounds = n == 9 and 4 or 1

-- Known maxima, n from 1.
local known = { 0, 1, 2, 4, 7, 10, 16, 22, 30, 38, 51 }

local function flips(permutation, work)
  for i = 1, n do work[i] = permutation[i] end
  local reversals = 0
  local first = work[1]
  while first ~= 1 do
    local i, j = 1, first
    while i < j do
      work[i], work[j] = work[j], work[i]
      i, j = i + 1, j - 1
    end
    reversals = reversals + 1
    first = work[1]
  end
  return reversals
end

-- Visits every permutation by rotations of growing prefixes.
local function fannkuch()
  local permutation, work, count = {}, {}, {}
  for i = 1, n do
    permutation[i] = i
    count[i] = 0
  end
  local best, seen, checksum = 0, 0, 0
  while true do
    local f = flips(permutation, work)
    if f > best then best = f end
    checksum = checksum + (seen % 2 == 0 and f or -f)
    seen = seen + 1
    local length = 2
    while length <= n do
      local first = permutation[1]
      for i = 1, length - 1 do permutation[i] = permutation[i + 1] end
      permutation[length] = first
      count[length] = count[length] + 1
      if count[length] < length then break end
      count[length] = 0
      length = length + 1
    end
    if length > n then return best, seen, checksum end
  end
end

local factorial = 1
for i = 2, n do factorial = factorial * i end
local checksums = 0
for _ = 1, rounds do
  local best, seen, checksum = fannkuch()
  assert(seen == factorial, "not every permutation was seen")
  assert(not known[n] or best == known[n], "wrong maximum")
  checksums = checksums + checksum
end
print(string.format("fannkuch %d %d", n, checksums))
