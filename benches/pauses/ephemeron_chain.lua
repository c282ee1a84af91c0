-- Chains through weak keys: one table of a million entries, in random order, each of whose values is the next key; and a hundred
-- thousand tables of weak keys, each of which holds the next one. Cycles have to follow them while the program allocates; then the
-- first link is dropped, and all must go.
-- The reference passes over the table again for every few links; it gets ten thousand of them. LuaJIT never frees such a chain.
-- Argument: scale, 1 is the full size.
if jit then
  print("ephemeron_chain: LuaJIT has no ephemerons")
  return
end
local scale = tonumber((...)) or 1
local count = math.max(100, math.floor(1000000 * scale))
if not mem then count = math.min(count, 10000) end
local tables = math.max(100, math.floor(count / 10))

local seed = 14
local function random(n)
  seed = (seed * 16807) % 2147483647
  return seed % n + 1
end

local clock, longest, kept = os.clock, 0, {}
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

local links = setmetatable({}, { __mode = "k" })
local function chain()
  local keys, order = {}, {}
  for i = 1, count do keys[i], order[i] = { i }, i end
  for i = count, 2, -1 do
    local j = random(i)
    order[i], order[j] = order[j], order[i]
  end
  for i = 1, count do
    local at = order[i]
    links[keys[at]] = keys[at + 1] or "end"
  end
  return keys[1]
end
local function walk(key)
  local length = 0
  while key ~= "end" do
    length = length + 1
    assert(key[1] == length, "the chain is torn")
    key = links[key]
  end
  assert(length == count, "the chain lost keys")
end

local first = chain()
go_on()
walk(first)
collectgarbage()
walk(first)
-- Half of the chain is dropped: what stands behind the cut goes, what stands before it stays.
do
  local key = first
  for _ = 2, count / 2 do key = links[key] end
  links[key] = "end"
end
go_on()
collectgarbage()
local left = 0
for key in pairs(links) do
  assert(key[1] <= count / 2)
  left = left + 1
end
assert(left == math.floor(count / 2), "not what stands before the cut is left")
first = nil
go_on()
collectgarbage()
assert(next(links) == nil, "the dropped chain is not gone")
print(string.format("ephemeron_chain %d keys: longest step of 100 allocations %.3f ms", count, longest * 1e3))

-- The last table holds the first one, so that only a cycle can find that they are dead, though all the keys live.
longest = 0
local names, all = {}, setmetatable({}, { __mode = "k" })
local function ring()
  local head = setmetatable({}, { __mode = "k" })
  local last = head
  all[head] = 1
  for i = 1, tables - 1 do
    local following = setmetatable({}, { __mode = "k" })
    names[i], all[following] = { i }, i + 1
    last[names[i]] = following
    last = following
  end
  names[tables] = { tables }
  last[names[tables]] = head
  return head
end
local function remaining()
  local n = 0
  for _ in pairs(all) do n = n + 1 end
  return n
end

local head = ring()
go_on()
collectgarbage()
local at = head
for i = 1, tables do
  assert(all[at] == i, "the ring of tables is torn")
  at = at[names[i]]
end
assert(at == head and remaining() == tables, "the ring of tables is not closed")
at = nil
-- Without one of the keys there is no way to the tables behind it.
names[math.floor(tables / 2)] = false
go_on()
collectgarbage()
assert(remaining() == math.floor(tables / 2), "not what stands before the lost key is left")
head = ring()
go_on()
collectgarbage()
assert(remaining() == tables, "the old ring is not gone, or the new one is not whole")
head = nil
go_on()
collectgarbage()
assert(remaining() == 0, "the dropped ring is not gone")
print(string.format("ephemeron_chain %d tables: longest step of 100 allocations %.3f ms", tables, longest * 1e3))
