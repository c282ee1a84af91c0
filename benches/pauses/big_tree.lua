-- A tree of two million nodes is dropped at once while the program goes on.
-- Argument: scale, 1 is the full size; it is rounded to a power of two.
local scale = tonumber((...)) or 1
local depth = math.max(6, math.floor(20.5 + math.log(scale) / math.log(2)))

local clock = os.clock
local function build(d)
  if d == 0 then return {} end
  return { build(d - 1), build(d - 1) }
end
local function count(t)
  if not t[1] then return 1 end
  return 1 + count(t[1]) + count(t[2])
end

local tree = build(depth)
local nodes = count(tree)
assert(nodes == 2 ^ (depth + 1) - 1, "the tree lost nodes")

tree = nil
local longest, kept = 0, {}
local start = clock()
for i = 1, nodes do
  kept[i % 1000 + 1] = { i }
  if i % 100 == 0 then
    local now = clock()
    if now - start > longest then longest = now - start end
    start = clock()
  end
end
print(string.format("big_tree %d: longest step after the drop %.3f ms", nodes, longest * 1e3))
