-- How soon memory comes back: a list, a ring and a tree are dropped while the program goes on, allocating what dies at once or only computing.
-- A drop counts as over when 95 % of the growth is gone; nobody waits longer than three seconds (0.3 at small sizes).
-- Argument: scale, 1 is the full size. Ring and tree have a fifth of the nodes of the list.
local scale = tonumber((...)) or 1
local n = math.max(1000, math.floor(10000000 * scale))
local patience = scale < 0.1 and 0.3 or 3

local shapes = {
  { "list", function()
    local head
    for _ = 1, n do head = { head } end
    return head
  end },
  { "ring", function()
    local first = {}
    local last = first
    for _ = 2, n / 5 do
      local node = { prev = last }
      last.next = node
      last = node
    end
    last.next, first.prev = first, last
    return first
  end },
  { "tree", function()
    local function tree(depth)
      if depth == 0 then return {} end
      return { tree(depth - 1), tree(depth - 1) }
    end
    return tree(math.floor(math.log(n / 5) / math.log(2)))
  end },
}

local sink
local function wait(limit, allocates)
  local start = os.clock()
  repeat
    for i = 1, 2000 do sink = allocates and { i } or i end
  until collectgarbage("count") < limit or os.clock() - start > patience
  return os.clock() - start
end

for _, shape in ipairs(shapes) do
  for _, allocates in ipairs { true, false } do
    collectgarbage()
    local before = collectgarbage("count")
    local object = shape[2]()
    local full = collectgarbage("count")
    object = nil
    local seconds = wait(before + (full - before) * 0.05, allocates)
    print(string.format("memory_back %s, %s: %.0f MiB gone after %s", shape[1], allocates and "allocating" or "computing", (full - before) / 1024,
      seconds < patience and string.format("%.2f s", seconds) or "more than " .. patience .. " s"))
  end
end
