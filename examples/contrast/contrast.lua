-- The same four structures, managed in four ways: by the collector, by hand, by a pool and by a region.
--
--   neap contrast.lua [scale]     the table: each row is measured in a process of its own
--   neap contrast.lua misuse      what becomes of a free that is forgotten, or done twice

local folder = arg[0]:match("^(.*/)") or "./"
package.path = folder .. "?.lua;" .. package.path
local ways = require "ways"

local STRUCTURES = { "trees", "graph", "cache", "strings" }
local WAYS = { "collector", "hand", "pool", "region" }

-- One row: what the structure comes to, and the figures.
local function measure(structure, way, scale)
  local make = require("structures")[structure]
  local peak, unusable = 0, 0
  -- The share of the memory that is held and free, but only of use for requests of one size.
  local function sample()
    local held = mem.brk()
    local free = ways.pool.cells - ways.pool.taken
    peak = math.max(peak, held + gc.stats().peak)
    local f = mem.fragmentation()
    for _, side in ipairs { f.collected, f.explicit } do held, free = held + side.bytes, free + side.free end
    unusable = free / held
  end
  gc.collect()
  gc.reset()
  local start = os.clock()
  local sum
  if way == "collector" then sum = make.collector(scale, sample)
  else sum = make.explicit(scale, sample, ways[way]) end
  local time = os.clock() - start
  local stop = gc.pauses().stop
  local longest = stop and stop.count > 0 and stop.cpu.max or 0
  print(sum, time, peak, stop and stop.count or 0, longest, unusable, mem.stats().blocks)
end

local function report(scale)
  local quote = function(text) return "'" .. text:gsub("'", "'\\''") .. "'" end
  local first = 0
  while arg[first - 1] do first = first - 1 end
  local self = quote(arg[first]) .. " " .. quote(arg[0])
  print(("%-10s %-10s %8s %10s %7s %12s %10s"):format("structure", "way", "time, ms", "peak, KiB", "stops", "longest, us", "unusable"))
  for _, structure in ipairs(STRUCTURES) do
    local expected
    for _, way in ipairs(WAYS) do
      local child <close> = assert(io.popen(("%s row %s %s %s"):format(self, structure, way, scale)))
      local sum, time, peak, stops, longest, unusable, blocks = child:read("n", "n", "n", "n", "n", "n", "n")
      assert(blocks == 0, "a block was forgotten")
      expected = expected or sum
      assert(sum == expected, "the ways differ in what they compute")
      print(("%-10s %-10s %8.0f %10.0f %7d %12.0f %8.0f %%"):format(structure, way, time * 1000, peak / 1024, stops, longest, unusable * 100))
    end
  end
  print("all ways compute the same")
end

if arg[1] == "misuse" then require "misuse"
elseif arg[1] == "row" then measure(arg[2], arg[3], tonumber(arg[4]))
else report(tonumber(arg[1] or 1)) end
