-- A list of ten million nodes is dropped at once while the program goes on.
-- Argument: scale, 1 is the full size.
local scale = tonumber((...)) or 1
local count = math.max(100, math.floor(10000000 * scale))

local clock = os.clock
local list
for i = 1, count do list = { list } end
local length, node = 0, list
while node do length, node = length + 1, node[1] end
assert(length == count, "the list lost nodes")

list = nil
local longest, kept = 0, {}
local start = clock()
for i = 1, count do
  kept[i % 1000 + 1] = { i }
  if i % 100 == 0 then
    local now = clock()
    if now - start > longest then longest = now - start end
    start = clock()
  end
end
assert(kept[count % 1000 + 1][1] == count)
print(string.format("long_list %d: longest step after the drop %.3f ms", count, longest * 1e3))
