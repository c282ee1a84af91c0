-- Tables that grow to five million entries, by the kind of their keys: array, sparse integer, string, table.
-- The second argument picks one kind. The longest step includes the rehash itself.
-- Argument: scale, 1 is the full size.
local scale, only = ...
local count = math.max(100, math.floor(5000000 * (tonumber(scale) or 1)))

local clock = os.clock
local kinds = {
  { "array", function(i) return i end },
  { "integer", function(i) return i * 64 + 7 end },
  { "string", function(i) return "key" .. i end },
  { "table", function(i) return { i } end },
}

for _, kind in ipairs(kinds) do
  local name, key = kind[1], kind[2]
  if not only or only == name then
    local t, longest = {}, 0
    local start = clock()
    for i = 1, count do
      t[key(i)] = i
      if i % 10 == 0 then
        local now = clock()
        if now - start > longest then longest = now - start end
        start = clock()
      end
    end
    local n = 0
    for _ in pairs(t) do n = n + 1 end
    assert(n == count, "entries were lost")
    print(string.format("growing_tables %s %d: longest step of 10 insertions %.3f ms", name, count, longest * 1e3))
  end
end
