-- Runs functions of binary chunks that may be anything, each in a world of its own, and looks at them in every way that there is.
local debug, create, resume, status, close, wrap = debug, coroutine.create, coroutine.resume, coroutine.status, coroutine.close, coroutine.wrap
local sethook, getlocal, setlocal, getinfo = debug.sethook, debug.getlocal, debug.setlocal, debug.getinfo
local dump, load, pcall, select, type, error = string.dump, load, pcall, select, type, error
local collectgarbage, setmetatable = collectgarbage, setmetatable

local seed, fuel
local function random(n)
  seed = seed * 6364136223846793005 + 1442695040888963407
  return (seed >> 33) % n
end

local values = { 1, -7, 2.5, "text", "12", true, {}, type, create(type), math.mininteger, 0 / 0, setmetatable({}, { __call = function(_, x) return x end }) }

-- Looks at the variables of the function that calls, and sets some of them.
local function probe(...)
  for level = 2, 3 do
    if not getinfo(level, "l") then break end
    for i = 1, 255 do
      local name = getlocal(level, i)
      if not name then break end
      if random(12) == 0 then setlocal(level, i, values[1 + random(#values)]) end
    end
    getlocal(level, -1)
    getinfo(level, "nSlutfrL")
  end
  return ...
end

local function tick(...)
  fuel = fuel - 1
  if fuel < 0 then error("out of fuel", 0) end
  local what = random(16)
  if what == 0 then probe() elseif what == 1 then collectgarbage("step") end
  return ...
end

-- Has every metamethod; they look at who has caused their call.
local meta = {}
local function handler(a, b) tick() probe() return a end
for _, event in ipairs { "add", "sub", "mul", "div", "mod", "pow", "unm", "idiv", "band", "bor", "bxor", "shl", "shr", "bnot", "concat", "call" } do
  meta["__" .. event] = handler
end
function meta.__index(_, key) tick() probe() return key end
function meta.__newindex() tick() probe() end
function meta.__len() probe() return 3 end
function meta.__eq() probe() return true end
function meta.__lt() tick() return false end
function meta.__le() tick() return true end
function meta.__close() tick() probe() end
function meta.__gc() if fuel then probe() end end
local function object() return setmetatable({}, meta) end

local function look(f)
  pcall(dump, f)
  for i = 1, 256 do
    if not debug.getupvalue(f, i) then break end
  end
  getinfo(f, "SuL")
end

local function play(f, number)
  seed, fuel = number, 300
  local env = {
    tick = tick, probe = probe, object = object, out = tick, cut = tick, filled = tick, settled = tick, ordered = pairs,
    string = { rep = tick, format = string.format, sub = string.sub, byte = string.byte, char = string.char }, math = math, table = table,
    coroutine = coroutine, assert = assert, error = error, getmetatable = getmetatable, setmetatable = setmetatable, ipairs = ipairs,
    next = next, pairs = pairs, pcall = pcall, rawequal = rawequal, rawget = rawget, rawlen = rawlen, rawset = rawset, select = select,
    tonumber = tonumber, tostring = tostring, type = type, traceback = debug.traceback, wrap = wrap, yield = coroutine.yield,
  }
  debug.setupvalue(f, 1, env)
  look(f)
  local thread = create(function(...)
    for _ = 1, 3 do
      local result = f(...)
      if type(result) ~= "function" then break end
      f = result
    end
  end)
  local traced = random(4)
  if traced == 0 then
    local steps = 0
    sethook(thread, function(event)
      steps = steps + 1
      if random(6) == 0 then probe() end
      if steps > 400 then error("stop", 0) end
    end, "crl", 3)
  end
  for _ = 1, 4 do
    local ok = resume(thread, 1, "two", { 3 }, object(), 4.5)
    if not ok or status(thread) == "dead" then break end
    for i = 1, 20 do
      local name = getlocal(thread, 1, i)
      if not name then break end
      if random(12) == 0 then setlocal(thread, 1, i, values[1 + random(#values)]) end
    end
  end
  debug.traceback(thread)
  close(thread)
  if number % 64 == 0 then collectgarbage() end
  seed, fuel = 1, nil
end

function perform(chunk, number)
  local f = load(chunk, "=mutant", "b")
  if not f then return "refused" end
  play(f, number)
  return "accepted"
end
