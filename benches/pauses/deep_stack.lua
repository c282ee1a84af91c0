-- Allocation at the bottom of 180,000 Lua frames: a pause must not grow with the depth of the stack.
-- Argument: scale, 1 is the full size.
local scale = tonumber((...)) or 1
local depth = math.max(100, math.floor(180000 * scale))
local allocations = depth * 20

local clock = os.clock
local longest = 0

local function bottom()
  local kept = {}
  local start = clock()
  for i = 1, allocations do
    kept[i % 100 + 1] = { i }
    if i % 50 == 0 then
      local now = clock()
      if now - start > longest then longest = now - start end
      start = clock()
    end
  end
  return kept[allocations % 100 + 1][1]
end

local function descend(n)
  local own = { n }
  if n == 0 then
    assert(bottom() == allocations)
    return 0
  end
  local below = descend(n - 1)
  -- Each frame still owns its table on the way up.
  assert(own[1] == n, "a frame lost its table")
  return below + 1
end

assert(descend(depth) == depth)
print(string.format("deep_stack %d: longest step of 50 allocations %.3f ms", depth, longest * 1e3))
