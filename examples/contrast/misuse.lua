-- What becomes of a free that is forgotten or done twice, by the way in which the memory is managed.

local ways = require "ways"
local hand, pool, region = ways.hand, ways.pool, ways.region

-- A message without the folder of the script and the places at its end.
local function short(message) return (message:gsub(" allocated at.*", ", and both places"):gsub("^.*/", "")) end

print("forgotten")
local p = hand.new(48)
print("  hand", "blocks that live: " .. mem.stats().blocks .. ", and the end of the program tells of it")
hand.free(p)
pool.new(48)
print("  pool", "cells taken: " .. pool.taken .. " bytes, and nobody will ever tell")
region.within(function() region.new(48) end)
print("  region", "blocks that live: " .. mem.stats().blocks .. ": there was nothing to forget")
forgotten = { {} }
print("  collector", "alive by " .. gc.path(forgotten[1]) .. ": what is reachable is kept")

print("twice")
p = hand.new(48)
hand.free(p)
print("  hand", short(select(2, pcall(hand.free, p))))
p = pool.new(48)
pool.free(p, 48)
pool.free(p, 48)
local a, b = pool.new(48), pool.new(48)
print("  pool", "two things in one cell: " .. tostring(a == b))
a:write(0, "z", "mine")
b:write(0, "z", "yours")
print("", "what I have written: " .. a:read(0, "z"))
local _, told = pcall(region.within, function()
  local q = region.new(48)
  mem.free(q)
  mem.free(q)
end)
print("  region", short(told))
print("  collector", "there is no free")
