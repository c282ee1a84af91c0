-- Sieve of Eratosthenes over an array of booleans.
-- Group: computation.
-- Argument: limit.
local limit = ...
limit = limit == "smoke" and 10000 or tonumber(limit) or 1000000
local rounds = limit <= 10000 and 2 or 30

local known = { [10000] = 1229, [100000] = 9592, [1000000] = 78498, [10000000] = 664579 }

local function primes()
  local composite = {}
  for i = 1, limit do composite[i] = false end
  local count = 0
  for i = 2, limit do
    if not composite[i] then
      count = count + 1
      for j = i * i, limit, i do composite[j] = true end
    end
  end
  return count
end

local count
for _ = 1, rounds do
  local c = primes()
  assert(not count or c == count, "two rounds differ")
  count = c
end
assert(not known[limit] or count == known[limit], "wrong number of primes")
print(string.format("sieve %d %d", limit, count))
