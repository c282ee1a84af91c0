-- A list of a million cells is read through weak references to every one of them, and dropped: it must be gone soon, though each
-- cell was loaded.
-- Argument: scale, 1 is the full size.
local scale = tonumber((...)) or 1
local count = math.max(100, math.floor(1000000 * scale))
-- Seconds.
local patience = scale < 0.1 and 2 or 10

local clock, longest, kept = os.clock, 0, {}
local cells = setmetatable({}, { __mode = "v" })
for i = 1, count do cells[i] = false end
for i = 1, 100 do kept[i] = { i } end

-- In functions of their own, so that no slot of the main one still names a cell after the drop.
local function build()
  local list
  for i = 1, count do
    list = { i, list }
    cells[i] = list
  end
  return list
end
local function read()
  local node
  for i = count, 1, -1 do
    local cell = cells[i]
    assert(cell[1] == i and (not node or node[2] == cell), "the list is torn")
    node = cell
  end
end
local function named()
  local n = 0
  for i = 1, count do n = cells[i] and n + 1 or n end
  return n
end

collectgarbage()
local before = collectgarbage("count")
local list = build()
read()
collectgarbage()
local full = collectgarbage("count")
read()
list = nil
-- A collector at work has some garbage beside what lives, in proportion to that.
local limit = before * 1.6 + (full - before) * 0.1
local interval = math.max(1, math.floor(count / 10000))
local start = clock()
local last, steps, over = start, 0, false
repeat
  for i = 1, 100 do kept[i] = { i } end
  local now = clock()
  if now - last > longest then longest = now - last end
  steps = steps + 1
  -- Asking is not free, but there must be less garbage between two questions than the limit leaves room for.
  over = steps % interval == 0 and collectgarbage("count") < limit
  last = clock()
until over or last - start > patience
print(string.format("weak_list %d: longest step of 100 allocations %.3f ms, %s", count, longest * 1e3,
  over and string.format("gone after %.2f s", last - start) or string.format("%.0f %% left after %g s",
    (collectgarbage("count") - before) / (full - before) * 100, patience)))
-- The reference is only shown: the program `lua5.4` starts in generational mode, in which what is old waits for a major collection.
assert(over or not mem, "the dropped list is not gone")
collectgarbage()
assert(named() == 0, "dead cells are named after a full collection")
