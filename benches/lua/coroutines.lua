-- Coroutines: generators over trees, a chain of filters, and very many that live for a moment.
-- Group: allocation.
-- Argument: rounds.
local rounds = ...
rounds = rounds == "smoke" and 4 or tonumber(rounds) or 1250

local function build(low, high)
  if low > high then return nil end
  local middle = math.floor((low + high) / 2)
  return { left = build(low, middle - 1), key = middle, right = build(middle + 1, high) }
end

local function visit(tree)
  if tree then
    visit(tree.left)
    coroutine.yield(tree.key)
    visit(tree.right)
  end
end

local function numbers(limit)
  return coroutine.wrap(function()
    for i = 2, limit do coroutine.yield(i) end
  end)
end

local function without(prime, source)
  return coroutine.wrap(function()
    for n in source do
      if n % prime ~= 0 then coroutine.yield(n) end
    end
  end)
end

local tree = build(1, 1000)
local total = 0
for round = 1, rounds do
  -- A generator over a tree.
  local expected = 1
  for key in coroutine.wrap(function() visit(tree) end) do
    assert(key == expected, "keys out of order")
    expected = expected + 1
  end
  assert(expected == 1001, "keys are missing")
  -- Short lives.
  for i = 1, 1000 do
    local co = coroutine.create(function(a, b)
      local c = coroutine.yield(a + b)
      return c * 2
    end)
    local _, sum = coroutine.resume(co, i, 1)
    local _, double = coroutine.resume(co, sum)
    assert(double == 2 * (i + 1) and coroutine.status(co) == "dead", "a coroutine lost a value")
    total = total + double
  end
  -- A sieve as a chain of filters.
  if round % 10 == 1 then
    local source, primes = numbers(400), 0
    while true do
      local prime = source()
      if not prime then break end
      primes = primes + 1
      source = without(prime, source)
    end
    assert(primes == 78, "wrong number of primes below 400")
  end
end
assert(total == rounds * 1003000, "wrong total")
print(string.format("coroutines %d", total))
