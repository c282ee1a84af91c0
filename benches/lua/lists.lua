-- Linked lists in the functional manner: build, reverse, map, filter, append, merge sort.
-- Group: allocation.
-- Argument: length of the lists.
local length = ...
length = length == "smoke" and 300 or tonumber(length) or 20000
local rounds = length < 1000 and 3 or 16

local function cons(head, tail) return { head, tail } end

local function range(a, b)
  local list = nil
  for i = b, a, -1 do list = cons(i, list) end
  return list
end

local function reverse(list)
  local result = nil
  while list do
    result = cons(list[1], result)
    list = list[2]
  end
  return result
end

local function map(f, list)
  local result = nil
  while list do
    result = cons(f(list[1]), result)
    list = list[2]
  end
  return reverse(result)
end

local function filter(p, list)
  local result = nil
  while list do
    if p(list[1]) then result = cons(list[1], result) end
    list = list[2]
  end
  return reverse(result)
end

local function fold(f, acc, list)
  while list do
    acc = f(acc, list[1])
    list = list[2]
  end
  return acc
end

local function merge(a, b)
  local result = nil
  while a and b do
    if a[1] <= b[1] then
      result, a = cons(a[1], result), a[2]
    else
      result, b = cons(b[1], result), b[2]
    end
  end
  local rest = a or b
  while rest do
    result, rest = cons(rest[1], result), rest[2]
  end
  return reverse(result)
end

local function split(list)
  local a, b = nil, nil
  while list do
    a, b, list = cons(list[1], b), a, list[2]
  end
  return a, b
end

local function sort(list)
  if not list or not list[2] then return list end
  local a, b = split(list)
  return merge(sort(a), sort(b))
end

local function add(a, b) return a + b end

local total = 0
for round = 1, rounds do
  local list = range(1, length)
  local squares = map(function(x) return x * x end, list)
  assert(fold(add, 0, squares) == length * (length + 1) * (2 * length + 1) / 6, "wrong sum of squares")
  local odd = filter(function(x) return x % 2 == 1 end, squares)
  total = total + fold(add, 0, odd) % 1000003
  if round % 4 == 1 then
    local shuffled = map(function(x) return (x * 7919 + round) % 104729 end, list)
    local previous, n = -1, 0
    local sorted = sort(shuffled)
    while sorted do
      assert(previous <= sorted[1], "not sorted")
      previous, sorted, n = sorted[1], sorted[2], n + 1
    end
    assert(n == length, "sort lost elements")
  end
end
print(string.format("lists %d", total))
