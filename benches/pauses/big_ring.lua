-- A ring of two million nodes is dropped while the program goes on; nothing but a cycle detector can free it.
-- Argument: scale, 1 is the full size.
local scale = tonumber((...)) or 1
local count = math.max(100, math.floor(2000000 * scale))

local clock = os.clock
local function ring()
  local first = {}
  local node = first
  for _ = 2, count do
    local following = { prev = node }
    node.next = following
    node = following
  end
  node.next, first.prev = first, node
  return first
end

local longest, kept = 0, {}
local function go_on()
  local start = clock()
  for i = 1, 2 * count do
    local item = { i }
    item.self = item
    kept[i % 1000 + 1] = item
    if i % 100 == 0 then
      local now = clock()
      if now - start > longest then longest = now - start end
      start = clock()
    end
  end
end

-- Twice, so that the second ring may need the memory of the first.
for _ = 1, 2 do
  local r = ring()
  assert(r.prev.next == r and r.next.prev == r, "the ring is not closed")
  r = nil
  go_on()
end
print(string.format("big_ring %d: longest step after the drop %.3f ms", count, longest * 1e3))
