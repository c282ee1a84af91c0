-- A million coroutines are created, run and dropped beside fifty thousand that stay suspended.
-- Argument: scale, 1 is the full size.
local scale = tonumber((...)) or 1
local count = math.max(100, math.floor(1000000 * scale))
local suspended = math.floor(count / 20)

local clock, create, resume, yield = os.clock, coroutine.create, coroutine.resume, coroutine.yield

local waiting = {}
for i = 1, suspended do
  local co = create(function(a)
    local state = { a }
    while true do
      local b = yield(state[1])
      state = { b + i }
    end
  end)
  local ok, value = resume(co, i)
  assert(ok and value == i)
  waiting[i] = co
end

local function work(a)
  local t = { a }
  local b = yield(t)
  return t[1] + b
end

local longest = 0
local start = clock()
for i = 1, count do
  local co = create(work)
  local _, t = resume(co, i)
  if i % 3 ~= 0 then
    -- One in three is dropped while it is suspended.
    local _, sum = resume(co, 1)
    assert(sum == i + 1 and t[1] == i, "a coroutine lost its state")
  end
  if i % 10 == 0 then
    local _, value = resume(waiting[i / 10 % suspended + 1], i)
    assert(value, "a suspended coroutine lost its state")
    local now = clock()
    if now - start > longest then longest = now - start end
    start = clock()
  end
end
print(string.format("coroutines %d: longest step of ten %.3f ms", count, longest * 1e3))
