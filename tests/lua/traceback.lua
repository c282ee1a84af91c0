-- Tracebacks and the part of the library debug that looks at running functions. Manual, 6.10.

local function lines(text)
  local t = {}
  for line in (text .. "\n"):gmatch("(.-)\n") do t[#t + 1] = line end
  return t
end

-- The shape of a traceback.
local function level3() return debug.traceback("message") end
local function level2() local t = level3() return t end
function Level1() local t = level2() return t end
local t = lines(Level1())
assert(t[1] == "message" and t[2] == "stack traceback:")
assert(t[3]:find("^\ttraceback%.lua:%d+: in ") or t[3]:find("^\t.*traceback%.lua:%d+: in "))
assert(t[3]:find("level3", 1, true) and t[4]:find("level2", 1, true) and t[5]:find("in function 'Level1'", 1, true), t[5])
assert(t[6]:find("in main chunk", 1, true) and t[#t]:find("[C]: in ?", 1, true))

-- The message may be absent, and is handed back if it is no string.
assert(debug.traceback():find("^stack traceback:\n"))
local object = {}
assert(debug.traceback(object) == object and debug.traceback(nil):find("^stack traceback:"))
assert(debug.traceback("m", 0):find("in function 'debug.traceback'", 1, true))
assert(not debug.traceback("m", 2):find("traceback.lua:%d+: in main chunk"))
assert(debug.traceback("m", 100) == "m\nstack traceback:")

-- Of a coroutine.
local co = coroutine.create(function() local function inner() coroutine.yield() end inner() end)
coroutine.resume(co)
local text = debug.traceback(co)
assert(text:find("in function 'coroutine.yield'", 1, true) and text:find("inner", 1, true))
assert(debug.traceback(co, "msg"):find("^msg\nstack traceback:") and debug.traceback(co, nil, 1):find("inner", 1, true))
co = coroutine.create(function() local x = nil; x() end)
coroutine.resume(co)
assert(debug.traceback(co):find("traceback.lua:%d+: in function <"))

-- A deep one is cut in the middle.
local function deep(n) if n == 0 then return debug.traceback("deep") end local r = deep(n - 1) return r end
t = lines(deep(100))
assert(#t < 40)
local skipped
for _, line in ipairs(t) do skipped = skipped or line:match("%.%.%.%s*%(skipping (%d+) levels%)") end
assert(skipped and tonumber(skipped) > 50)

-- Tail calls leave a note.
local function last() return debug.traceback("tail") end
local function caller() return last() end
assert(caller():find("(...tail calls...)", 1, true))

-- debug.getinfo.
local function probe(a, b, ...) local info = debug.getinfo(1, "nSlutf") return info end
local info = probe(1, 2)
assert(info.name == "probe" and info.namewhat == "local" and info.what == "Lua" and info.short_src:find("traceback.lua$"))
assert(info.source:sub(1, 1) == "@" and info.nparams == 2 and info.isvararg == true and info.func == probe and info.istailcall == false)
assert(info.currentline == info.linedefined and info.lastlinedefined == info.linedefined and info.nups == 1)
info = debug.getinfo(print)
assert(info.what == "C" and info.short_src == "[C]" and info.currentline == -1 and info.linedefined == -1 and info.source == "=[C]")
assert(debug.getinfo(1, "l").currentline == 57 or debug.getinfo(1, "l").currentline > 40)
assert(debug.getinfo(1, "S").what == "main" and debug.getinfo(1000) == nil)
info = debug.getinfo(load("local a\nreturn function()\n  local b = 1\n\n  return b\nend", "=c")(), "SL")
assert(info.linedefined == 2 and info.lastlinedefined == 6 and info.activelines[3] and info.activelines[5] and not info.activelines[4])
assert(not pcall(debug.getinfo, 1, "X") and not pcall(debug.getinfo, "x"))
local o = {}
function o:method() return debug.getinfo(1, "n") end
local n = o:method()
n = o:method()
assert(n.name == "method" and n.namewhat == "method")
local up = (function() local function f() return debug.getinfo(1, "n") end return function() local r = f() return r end end)()()
assert(up.name == "f" and up.namewhat == "upvalue")

-- debug.getlocal and setlocal.
local function locals(p, q)
  local x = 10
  do local hidden = 1 end
  local y = 20
  local names = {}
  local i = 1
  while true do
    local name, value = debug.getlocal(1, i)
    if not name then break end
    names[name] = value
    i = i + 1
  end
  assert(debug.setlocal(1, 1, "set") == "p")
  return names, p
end
local names, p = locals(1, 2)
assert(names.p == 1 and names.q == 2 and names.x == 10 and names.y == 20 and names.hidden == nil and p == "set")
assert(debug.getlocal(locals, 1) == "p" and debug.getlocal(locals, 2) == "q" and debug.getlocal(locals, 3) == nil)
local function va(...) local name, value = debug.getlocal(1, -2) return name, value end
local name, value = va("a", "b")
assert(name == "(vararg)" and value == "b")

-- Metatables of basic types, and user values.
local old = debug.getmetatable(1)
debug.setmetatable(1, { __index = { double = function(x) return x * 2 end }, __call = function(x, y) return x + y end })
assert((21):double() == 42 and (1)(2) == 3)
debug.setmetatable(1, old)
assert(not pcall(function() return (1)(2) end))
debug.setmetatable(nil, { __index = function() return "nothing" end })
assert((nil).x == "nothing")
debug.setmetatable(nil, nil)
assert(debug.getmetatable("").__index == string and debug.getregistry ~= nil and type(debug.getregistry()) == "table")
assert(debug.getuservalue({}) == nil)

-- Hooks.
local count, calls, hooked = 0, {}, {}
debug.sethook(function(event, line) hooked[#hooked + 1] = line end, "l")
local a = 1
local b = 2
debug.sethook()
assert(#hooked >= 2 and hooked[2] == hooked[1] + 1)
debug.sethook(function(event) calls[#calls + 1] = event end, "cr")
math.abs(-1)
debug.sethook()
assert(calls[1] == "return" or calls[1] == "call")
debug.sethook(function(event) assert(event == "count") count = count + 1 end, "", 100)
for _ = 1, 10000 do end
debug.sethook()
assert(count >= 50 and debug.gethook() == nil)

-- What a loop has iterated over is closed at the line of its end.
do
  local line
  local closing = setmetatable({}, { __close = function() line = debug.getinfo(2, "l").currentline end })
  for i in next, { 1 }, nil, closing do
    local x = i

  end
  assert(line == debug.getinfo(1, "l").currentline - 1)
  for i in next, { 1 }, nil, closing do
    if i then
      break
    end
  end
  assert(line == debug.getinfo(1, "l").currentline - 1)
end
