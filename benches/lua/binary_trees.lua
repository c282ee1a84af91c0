-- Binary trees: many short-lived trees beside one that lives long.
-- Group: allocation.
-- Argument: depth of the deepest tree.
local depth = ...
depth = depth == "smoke" and 7 or tonumber(depth) or 18

local function build(d)
  if d == 0 then return {} end
  return { build(d - 1), build(d - 1) }
end

local function count(tree)
  if not tree[1] then return 1 end
  return 1 + count(tree[1]) + count(tree[2])
end

local long_lived = build(depth)
local nodes = 0
for d = 4, depth, 2 do
  local trees = 2 ^ (depth - d)
  local sum = 0
  for _ = 1, trees do
    sum = sum + count(build(d))
  end
  assert(sum == trees * (2 ^ (d + 1) - 1), "lost nodes at depth " .. d)
  nodes = nodes + sum
end
assert(count(long_lived) == 2 ^ (depth + 1) - 1, "the long-lived tree changed")
print(string.format("binary_trees %d", nodes))
