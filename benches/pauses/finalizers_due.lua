-- A million objects with finalizers are dropped together while the program goes on; each must be called exactly once.
-- Argument: scale, 1 is the full size.
if jit then
  print("finalizers_due: LuaJIT has no finalizers of tables")
  return
end
local scale = tonumber((...)) or 1
local count = math.max(100, math.floor(1000000 * scale))

local calls, called = 0, {}
local meta = {
  __gc = function(object)
    called[object[1]] = called[object[1]] + 1
    calls = calls + 1
  end,
}
local held = {}
for i = 1, count do
  called[i] = 0
  held[i] = setmetatable({ i }, meta)
end
collectgarbage()
assert(calls == 0, "a live object was finalized")

held = nil
local clock, longest, kept = os.clock, 0, {}
local function go_on()
  local start = clock()
  for i = 1, count do
    kept[i % 1000 + 1] = { i }
    if i % 100 == 0 then
      local now = clock()
      if now - start > longest then longest = now - start end
      start = clock()
    end
  end
end
-- By itself the collector gets this far.
local rounds = 0
repeat
  go_on()
  rounds = rounds + 1
until calls == count or rounds == 8
local early = calls
collectgarbage()
collectgarbage()
assert(calls == count, "not every object was finalized")
go_on()
collectgarbage()
for i = 1, count do assert(called[i] == 1, "an object was not finalized exactly once") end
assert(calls == count)
print(string.format("finalizers_due %d: longest step of 100 allocations %.3f ms; %d finalized within %d allocations", count, longest * 1e3,
  early, rounds * count))
