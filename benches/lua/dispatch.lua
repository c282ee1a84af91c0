-- Dispatch: a byte-code machine, method calls through chains of __index, and calls through tables of functions,
-- with next to no allocation.
-- Group: computation.
-- Argument: rounds.
local rounds = ...
rounds = rounds == "smoke" and 20 or tonumber(rounds) or 12000

local function class(parent, members)
  members.__index = members
  return setmetatable(members, { __index = parent })
end

local Shape = class(nil, { name = "shape" })
function Shape:area() return 0 end
function Shape:twice() return 2 * self:area() end
local Box = class(Shape, { name = "box" })
function Box:area() return self.w * self.h end
local Square = class(Box, { name = "square" })
function Square:area() return Box.area(self) end
local Dot = class(Shape, { name = "dot" })
local shapes = {
  setmetatable({ w = 2, h = 3 }, Box), setmetatable({ w = 4, h = 4 }, Square),
  setmetatable({}, Dot), setmetatable({ w = 1, h = 5 }, Square),
}

-- A machine with an accumulator: sums n, n-1, ... 1 and counts the steps.
local acc, counter, steps = 0, 0, 0
local operations = {
  load = function(x, pc) counter = x return pc + 1 end,
  clear = function(_, pc) acc = 0 return pc + 1 end,
  add = function(_, pc) acc = acc + counter return pc + 1 end,
  dec = function(x, pc) counter = counter - x return pc + 1 end,
  jump = function(x, pc) if counter > 0 then return x end return pc + 1 end,
  halt = function() return nil end,
}
local program = {
  { "load", 100 }, { "clear" }, { "add" }, { "dec", 1 }, { "jump", 3 }, { "halt" },
}

local lazy = setmetatable({}, { __index = function(_, key) return key * 2 end })

local total = 0
for round = 1, rounds do
  local pc = 1
  while pc do
    local instruction = program[pc]
    pc = operations[instruction[1]](instruction[2], pc)
    steps = steps + 1
  end
  assert(acc == 5050 and counter == 0, "wrong sum")
  for i = 1, 600 do
    local shape = shapes[i % 4 + 1]
    total = total + shape:twice()
    if shape.name == "dot" then total = total + lazy[i] end
  end
end
assert(steps == rounds * 303, "wrong number of steps")
assert(total == rounds * (150 * 2 * (6 + 16 + 5) + 2 * 150 * 300), "wrong total")
print(string.format("dispatch %d %d", steps, total))
