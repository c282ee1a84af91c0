-- Runs the programs of a batch one after the other and writes what each of them says, in a form that does not depend on
-- addresses, on the order of `pairs` or on the sign of a NaN. Programs see the globals of `fresh`.
local keep_lines = ...
local type, tostring, math_type, format = type, tostring, math.type, string.format
local concat, sort, rawget, next = table.concat, table.sort, rawget, next
local gsub, sub, select, error, load, xpcall = string.gsub, string.sub, select, error, load, xpcall
local unpack, create, resume, yield = table.unpack, coroutine.create, coroutine.resume, coroutine.yield
local status, running, isyieldable = coroutine.status, coroutine.running, coroutine.isyieldable
local sethook, collectgarbage = debug.sethook, collectgarbage
local run_limited = limits and limits.run

-- `stage` is the coroutine that a program runs in.
local said, fuel, stage

local function plain(text)
  text = gsub(text, "(%a+): b?u?i?l?t?i?n?:? ?0x%x+", "%1: ADDRESS")
  text = gsub(text, "0x[57]%x%x%x%x%x%x%x%x%x%x%x?", "ADDRESS")
  -- Between versions of the reference these differ.
  if not keep_lines then
    text = gsub(text, "(%f[%w][ps]:)%d+:", "%1N:")
    text = gsub(text, " %(to close '%(' at line %d+%)", "")
    text = gsub(text, "#%d( to '[%w.]*remove' %(position)", "#N%1")
  end
  return (gsub(text, "%-nan", "nan"))
end

local function show(value, depth)
  local kind = math_type(value) or type(value)
  if kind == "integer" then
    return format("%d", value)
  elseif kind == "float" then
    return value ~= value and "nan" or format("%.17g", value) .. "f"
  elseif kind == "string" then
    if #value > 200 then value = sub(value, 1, 150) .. "<" .. #value .. ">" .. sub(value, -50) end
    return format("%q", plain(value))
  elseif kind ~= "table" then
    return (kind == "boolean" or kind == "nil") and tostring(value) or kind
  elseif depth > 3 then
    return "{...}"
  end
  local parts, keys, length = {}, {}, 0
  while rawget(value, length + 1) ~= nil do
    length = length + 1
    parts[length] = show(rawget(value, length), depth + 1)
  end
  for key, element in next, value do
    if not (math_type(key) == "integer" and key >= 1 and key <= length) then
      keys[#keys + 1] = "[" .. show(key, depth + 1) .. "]=" .. show(element, depth + 1)
    end
  end
  sort(keys)
  for i = 1, #keys do parts[#parts + 1] = keys[i] end
  return "{" .. concat(parts, ",") .. "}"
end

local function out(...)
  if #said > 300 then return ... end
  local parts, values = {}, { ... }
  for i = 1, select("#", ...) do parts[i] = show(values[i], 1) end
  said[#said + 1] = concat(parts, " ")
  return ...
end

-- Leaves the program and takes it up again, which it must not notice. The reference can do so where no native function has called; what must come of it where
-- one has, is what comes of it unpaused.
local function pause()
  if running() == stage and isyieldable() then yield() end
end

-- Every loop and every function of a program calls this, so that all of them end.
local function tick()
  fuel = fuel - 1
  if fuel < 0 then error("out of fuel", 0) end
  if fuel % 3 == 0 then pause() end
end

-- What the reference can't yield across, Neap can. The text makes it a difference that does not count.
local function isyieldable_told(...)
  local result = isyieldable(...)
  local _, is_main = running()
  if select("#", ...) == 0 and result == is_main then out("attempt to yield across a C-call boundary") end
  return result
end

-- Strings that go round in loops must not grow for ever.
local function cut(value)
  if type(value) == "string" and #value > 100 then return sub(value, 1, 100) end
  return value
end

local function filled(value)
  if value == nil then return false end
  return value
end

-- Sorting leaves it open in which order equal numbers come that are not the same.
local function settled(t)
  for i = 2, #t do
    local j = i
    while j > 1 and math_type(t[j]) and math_type(t[j - 1]) and t[j] == t[j - 1] and show(t[j], 1) < show(t[j - 1], 1) do
      t[j], t[j - 1] = t[j - 1], t[j]
      j = j - 1
    end
  end
  return t
end

-- `pairs` in the order of the keys.
local function ordered(t)
  local keys, at = {}, 0
  for key in next, t do keys[#keys + 1] = key end
  sort(keys, function(a, b) return show(a, 1) < show(b, 1) end)
  return function()
    at = at + 1
    if keys[at] ~= nil then return keys[at], t[keys[at]] end
  end
end

-- Collections where a program asks for them, and only there, until they find nothing more: which of them frees an object, and in what order the
-- finalizers of objects that refer to each other are called, is left open. Those of a program that has ended are not heard.
local finalized = {}
local function manual() collectgarbage("stop") end
local function collect()
  for _ = 1, 12 do collectgarbage() end
  sort(finalized)
  out("finalized", concat(finalized, " "))
  finalized = {}
end
local function finalizer(id, f)
  local own = said
  return function(object)
    if said ~= own then return end
    finalized[#finalized + 1] = id
    f(object)
  end
end

local function copy(t)
  local new = {}
  for key, value in next, t do new[key] = value end
  return new
end

-- What some builds of the reference have beyond Lua 5.4.
local compatible = copy(math)
for _, name in ipairs { "pow", "cosh", "sinh", "tanh", "frexp", "ldexp", "log10", "atan2" } do compatible[name] = nil end

-- The arithmetic of strings is a matter of the metatable in one place, of the machine in the other.
local strings = getmetatable("")
local function metatable_of(...)
  local meta = getmetatable(...)
  if meta == strings then return "that of strings" end
  return meta
end

-- Texts with addresses in them.
local function tostring_plain(...) return (plain(tostring(...))) end
local function format_plain(...) return (plain(format(...))) end

local function fresh()
  local strings = copy(string)
  strings.format = format_plain
  local coroutines = copy(coroutine)
  coroutines.isyieldable = isyieldable_told
  local env = {
    out = out, tick = tick, pause = pause, cut = cut, filled = filled, settled = settled, ordered = ordered,
    string = strings, table = copy(table), math = copy(compatible), coroutine = coroutines, utf8 = copy(utf8),
    assert = assert, error = error, getmetatable = metatable_of, setmetatable = setmetatable, ipairs = ipairs, next = next,
    pcall = pcall, xpcall = xpcall, rawequal = rawequal, rawget = rawget, rawlen = rawlen, rawset = rawset, select = select,
    tonumber = tonumber, tostring = tostring_plain, type = type, load = load, traceback = debug.traceback, getinfo = debug.getinfo,
    manual = manual, collect = collect, finalizer = finalizer,
  }
  env.G = env
  return env
end

local function perform(source)
  said, fuel, finalized = {}, 2000, {}
  local program, message = load(source, "=p", "t", fresh())
  if not program then return out("does not load", message) end
  stage = create(function() out(xpcall(program, function(e) return e end)) end)
  repeat
    local ok, message = resume(stage)
    if not ok then return out("not resumed", message) end
  until status(stage) == "dead"
end

local write = io.write
return function(index, source)
  -- Where there are limits a program is first ended by one, wherever it may be then; nobody must notice that afterwards.
  if run_limited then
    run_limited({ fuel = 20 + index * 50 }, perform, source)
    collectgarbage("restart")
  end
  perform(source)
  sethook()
  collectgarbage("restart")
  write("\0", index, "\n")
  for i = 1, #said do write(said[i], "\n") end
end
