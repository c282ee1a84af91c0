-- Tables whose size changes: windows, queues, stacks, sets that are emptied, arrays filled from either end, sparse ones that become dense.
-- Group: computation.
-- Argument: number of keys; a second one names the only pattern to run.
local count, only = ...
count = count == "smoke" and 300 or tonumber(count) or 40000
local rounds = count < 1000 and 2 or 50
local half, whole = math.floor(count / 2), count * rounds

local patterns = {}

-- What came between two indices: the new is added at one end, the old removed at the other.
function patterns.window()
  local window, first, sum = {}, 1, 0
  for last = 1, whole do
    window[last] = last
    if last - first == 1000 then
      sum = sum + window[first]
      window[first] = nil
      first = first + 1
    end
  end
  return sum
end

-- Requests by running number, answered in another order than they came in.
function patterns.requests()
  local open, sum = {}, 0
  for number = 1, whole do
    open[number] = number
    local answered = number - (number * 7 % 64)
    if open[answered] then
      sum = sum + open[answered]
      open[answered] = nil
    end
  end
  return sum
end

-- The same names are marked and unmarked.
function patterns.set()
  local names, set, sum = {}, {}, 0
  for i = 1, half do names[i] = "name" .. i end
  for _ = 1, rounds do
    for i = 1, #names do set[names[i]] = i end
    for i = 1, #names do
      sum = sum + set[names[i]]
      set[names[i]] = nil
    end
  end
  return sum
end

-- The same with objects.
function patterns.marks()
  local objects, set, sum = {}, {}, 0
  for i = 1, half do objects[i] = {} end
  for _ = 1, rounds do
    for i = 1, #objects do set[objects[i]] = i end
    for i = 1, #objects do
      sum = sum + set[objects[i]]
      set[objects[i]] = nil
    end
  end
  return sum
end

-- An array that is built from its end.
function patterns.backward()
  local sum = 0
  for _ = 1, rounds do
    local array = {}
    for i = count, 1, -1 do array[i] = i end
    sum = sum + #array
  end
  return sum
end

-- An array whose lower half comes last.
function patterns.upper_half_first()
  local sum = 0
  for _ = 1, rounds do
    local array = {}
    for i = half + 1, count do array[i] = i end
    for i = 1, half do array[i] = i end
    sum = sum + #array
  end
  return sum
end

-- Sparse, dense, and sparse again.
function patterns.filling()
  local sum = 0
  for _ = 1, rounds / 2 do
    local t = {}
    for offset = 0, 15 do
      for i = 16 - offset, count, 16 do t[i] = i end
    end
    sum = sum + #t
    for i = 1, count do
      if i % 16 ~= 0 then t[i] = nil end
    end
    for i = 16, count, 16 do sum = sum + t[i] end
  end
  return sum
end

-- A stack, up and down.
function patterns.stack()
  local stack, sum = {}, 0
  for _ = 1, rounds do
    for i = 1, count do stack[#stack + 1] = i end
    for _ = 1, count do
      sum = sum + stack[#stack]
      stack[#stack] = nil
    end
  end
  return sum
end

-- A short queue whose first element is removed.
function patterns.queue()
  local queue, sum = {}, 0
  local insert, remove = table.insert, table.remove
  for i = 1, whole / 4 do
    insert(queue, i)
    if #queue > 10 then sum = sum + remove(queue, 1) end
  end
  return sum
end

local answers = {
  window = function(sum) return sum == (whole - 1000) * (whole - 999) / 2 or whole <= 1000 and sum == 0 end,
  requests = function(sum) return sum > 0 and sum <= whole * (whole + 1) / 2 end,
  set = function(sum) return sum == rounds * half * (half + 1) / 2 end,
  marks = function(sum) return sum == rounds * half * (half + 1) / 2 end,
  backward = function(sum) return sum == whole end,
  upper_half_first = function(sum) return sum == whole end,
  filling = function(sum)
    local n = math.floor(count / 16)
    return sum == rounds / 2 * (count + 16 * n * (n + 1) / 2)
  end,
  stack = function(sum) return sum == rounds * count * (count + 1) / 2 end,
  queue = function(sum)
    local n = math.max(whole / 4 - 10, 0)
    return sum == n * (n + 1) / 2
  end,
}

local total = 0
for _, name in ipairs({ "window", "requests", "set", "marks", "backward", "upper_half_first", "filling", "stack", "queue" }) do
  if not only or only == name then
    local sum = patterns[name]()
    assert(answers[name](sum), name)
    total = total + sum % 1000003
  end
end
print(string.format("sizes %d", total))
