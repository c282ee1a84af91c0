-- Cyclic rings: doubly linked rings of all lengths, every one garbage that counting alone cannot see.
-- Group: allocation.
-- Argument: number of rings.
local rings = ...
rings = rings == "smoke" and 200 or tonumber(rings) or 80000

local function ring(length)
  local first = { value = 1 }
  local last = first
  for i = 2, length do
    local node = { value = i, prev = last }
    last.next = node
    last = node
  end
  last.next = first
  first.prev = last
  return first
end

local function sums(first)
  local forward, backward, node = 0, 0, first
  repeat
    forward = forward + node.value
    node = node.next
  until node == first
  repeat
    backward = backward + node.value
    node = node.prev
  until node == first
  return forward, backward
end

local total, expected = 0, 0
local kept = {}
for i = 1, rings do
  local length = i % 61 + 3
  local r = ring(length)
  local forward, backward = sums(r)
  assert(forward == backward, "a ring differs by direction")
  total = total + forward
  expected = expected + length * (length + 1) / 2
  -- A few rings live for a while and point at each other.
  local slot = i % 100 + 1
  r.sibling = kept[(slot + 36) % 100 + 1]
  if r.sibling then r.sibling.sibling = nil end
  kept[slot] = r
end
assert(total == expected, "wrong sum over the rings")
print(string.format("rings %d", total))
