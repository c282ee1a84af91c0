-- Objects that own blocks of explicit memory, 1 KiB to 1 MiB each: a few are held and replaced at random, and what is replaced is garbage of a few
-- hundred bytes that keeps a block. Unless explicit memory drives the collector as well, it piles up.
-- By the way an owner dies: by the count of its references, in a cycle, and with a block that it leaves to its handle.
-- The second argument picks one. Only Neap has the library.
-- Argument: scale, 1 is the full size.
if not mem then
  print("blobs: no library mem")
  return
end
local scale, only = ...
local count = math.max(100, math.floor(20000 * (tonumber(scale) or 1)))
-- Whether it is bounded shows only after many times the live bytes: small sizes hold less.
local slots = math.max(2, math.min(64, math.floor(count / 100)))

local seed = 16
local function random(n)
  seed = (seed * 16807) % 2147483647
  return seed % n + 1
end
-- Each doubling is as likely as any other.
local function some_size()
  local least = 1024 << (random(10) - 1)
  return least + random(least)
end

local clock = os.clock
local allocated, freed
local meta = {
  __gc = function(owner)
    local size, value = owner.block:size(), owner.block:read(0, "<i4")
    assert(value == size and size == owner.size, "a block has changed")
    owner.block:free()
    freed = freed + 1
  end,
}
local ways = {
  { "counted", function(owner) return setmetatable(owner, meta) end },
  { "cyclic", function(owner)
    owner.self = owner
    return setmetatable(owner, meta)
  end },
  { "freed by hand", function(owner, old)
    if old then meta.__gc(old) end
    return owner
  end },
}

for _, way in ipairs(ways) do
  local name, own = way[1], way[2]
  if not only or only == name then
    collectgarbage()
    allocated, freed = 0, 0
    local before = mem.stats().bytes
    local held, live, most_live, peak, longest = {}, 0, 0, 0, 0
    local start = clock()
    for i = 1, count do
      local slot, size = random(slots), some_size()
      local old = held[slot]
      local owner = { size = size, block = mem.malloc(size) }
      owner.block:write(0, "<i4", size)
      held[slot] = own(owner, old)
      allocated = allocated + 1
      live = live + size - (old and old.size or 0)
      if live > most_live then most_live = live end
      local bytes = mem.stats().bytes - before
      assert(bytes >= live, "a live block is gone")
      if bytes > peak then peak = bytes end
      if i % 10 == 0 then
        local now = clock()
        if now - start > longest then longest = now - start end
        start = clock()
      end
    end
    print(string.format("blobs %s %d: longest step of 10 blocks %.3f ms; peak %.1f MiB, most live %.1f MiB", name, count, longest * 1e3,
      peak / 2 ^ 20, most_live / 2 ^ 20))
    -- Garbage piles up for a tenth of what lives before a cycle begins, and as much again in the course of each cycle; a small heap gets some MiB.
    local bound = 1.5 * most_live + 8 * 2 ^ 20
    assert(peak < bound, string.format("blobs %s: the peak is beyond the bound of %.1f MiB", name, bound / 2 ^ 20))
    for _, owner in pairs(held) do
      assert(owner.block:size() == owner.size and owner.block:read(0, "<i4") == owner.size, "a live block has changed")
    end
    for slot, owner in pairs(held) do
      if name == "freed by hand" then meta.__gc(owner) end
      held[slot] = nil
    end
    collectgarbage()
    collectgarbage()
    assert(allocated == count and freed == count, "not every block was freed exactly once")
    assert(mem.stats().bytes == before and mem.stats().leaked == 0, "blocks were left")
  end
end
