-- Hooks: which events come, in what order, for which thread. Manual, 6.10.

local function events(mask, count, f)
  local list = {}
  debug.sethook(function(event, line)
    local name = line or event:find("call") and debug.getinfo(2, "n").name or ""
    list[#list + 1] = event .. ":" .. tostring(name)
  end, mask, count)
  f()
  debug.sethook()
  return list
end
local function lines(f)
  local first = debug.getinfo(f, "S").linedefined
  local list = events("l", nil, f)
  table.remove(list, 1) -- of this function, where it calls f
  table.remove(list)    -- and after it
  for i, e in ipairs(list) do list[i] = math.tointeger(e:match("^line:(%d+)$")) - first end
  return table.concat(list, " ")
end
local function callee(x)
  local y = x + 1
  return y
end

-- Lines: each when control comes to it, and again in each round of a loop.
assert(lines(function()
  local a = 1
  local b = a + 1
end) == "1 2 3")
assert(lines(function()
  for i = 1, 3 do
    local a = i
  end
end) == "1 2 1 2 1 2 1 4")
assert(lines(function()
  local a = 0
  while a < 2 do
    a = a + 1
  end
end) == "1 2 3 2 3 2 5")
assert(lines(function()
  local a = 1
  if a then
    a = 2
  else
    a = 3
  end
  a = 4
end) == "1 2 3 7 8")
assert(lines(function() local a = 1; local b = 2 end) == "0")
assert(lines(function()
  local n = 0
  repeat n = n + 1 until n == 3
end) == "1 2 2 2 3")
-- Parameters that are captured, and extra arguments, are no lines.
assert(lines(function(...)
  local a = ...
  local function f() return a end
end) == "1 2 3")

-- Calls and returns.
local list = events("cr", nil, function() callee(1) math.abs(2) end)
assert(table.concat(list, " ") == "return: call:f call:callee return: call:abs return: return: call:sethook")
local function tail() return callee(1) end
list = events("cr", nil, function() tail() end)
assert(table.concat(list, " ") == "return: call:f call:tail tail call: return: return: call:sethook")
list = events("c", nil, function() for _ in pairs { 1, 2 } do end end)
assert(table.concat(list, " ") == "call:f call:pairs call:for iterator call:for iterator call:for iterator call:sethook")
local object = setmetatable({}, { __index = function(t, k) return k end, __lt = function() return true end })
list = events("c", nil, function() local a = object.x; local b = object < object end)
assert(table.concat(list, " ") == "call:f call:index call:lt call:sethook")

-- What is handed over.
local given, taken
debug.sethook(function(event)
  local info = debug.getinfo(2, "rf")
  if info.func ~= callee and info.func ~= math.max then return end
  local values = {}
  for i = info.ftransfer, info.ftransfer + info.ntransfer - 1 do values[#values + 1] = select(2, debug.getlocal(2, i)) end
  if event == "return" then taken = values else given = values end
end, "cr")
callee(41)
local g1, t1 = given, taken
math.max(3, 9, 4)
debug.sethook()
assert(#g1 == 1 and g1[1] == 41 and #t1 == 1 and t1[1] == 42)
assert(#given == 3 and given[2] == 9 and #taken == 1 and taken[1] == 9)

-- Counts.
local count = 0
debug.sethook(function(event, line) assert(event == "count" and line == nil) count = count + 1 end, "", 10)
for _ = 1, 1000 do end
debug.sethook()
assert(count >= 100)
count = 0
debug.sethook(function() count = count + 1 if count == 5 then debug.sethook() error("enough", 0) end end, "", 1000)
local ok, err = pcall(function() while true do end end)
assert(not ok and err == "enough" and count == 5)

-- The hook sees the function that is interrupted, and changes its variables.
local function watched()
  local secret = 1
  local other = 2
  return secret
end
debug.sethook(function()
  if debug.getinfo(2, "f").func == watched and debug.getlocal(2, 2) == "other" then debug.setlocal(2, 1, "changed") end
end, "l")
local result = watched()
debug.sethook()
assert(result == "changed")
local where
debug.sethook(function() where = where or debug.traceback("here", 1) end, "l")
local x = 1
debug.sethook()
assert(where:find("in hook '?'", 1, true) and where:find("in main chunk", 1, true))

-- What is set can be asked for; an empty mask is no hook.
local function hook() end
debug.sethook(hook, "lrc", 7)
local f, mask, n = debug.gethook()
debug.sethook()
assert(f == hook and mask == "crl" and n == 7 and debug.gethook() == nil)
debug.sethook(hook, "")
assert(debug.gethook() == nil)
assert(not pcall(debug.sethook, hook) and not pcall(debug.sethook, 1, "l"))

-- Errors of a hook are errors of the program; hooks are not called for themselves, and cannot yield.
ok, err = pcall(function()
  debug.sethook(function() debug.sethook() error("from the hook") end, "l")
  local a = 1
end)
assert(not ok and err:find("from the hook"))
local depth, most = 0, 0
debug.sethook(function() depth = depth + 1 most = math.max(most, depth) callee(1) depth = depth - 1 end, "crl")
callee(1)
debug.sethook()
assert(most == 1)
ok, err = coroutine.resume(coroutine.create(function()
  debug.sethook(function() debug.sethook() coroutine.yield() end, "l")
  local a = 1
end))
assert(not ok and err:find("attempt to yield across a C-call boundary", 1, true))

-- Each thread has its own.
local seen = {}
local co = coroutine.create(function(a)
  local b = a
  coroutine.yield(b)
  return callee(b)
end)
debug.sethook(co, function(event, line) seen[#seen + 1] = line end, "l")
assert(debug.gethook() == nil and select(2, debug.gethook(co)) == "l")
assert(select(2, coroutine.resume(co, 5)) == 5 and #seen == 2)
callee(1)
assert(#seen == 2)
assert(select(2, coroutine.resume(co)) == 6 and #seen == 5 and seen[3] == seen[2] + 1)
local mine = 0
debug.sethook(function() mine = mine + 1 end, "l")
local wrapped = coroutine.wrap(function()
  local a = 1
  coroutine.yield(a)
  local b = 2
end)
wrapped()
local before = mine
wrapped()
debug.sethook()
assert(mine > before)

-- Garbage is collected meanwhile.
local kept = {}
debug.sethook(function(event, line) kept[#kept % 10 + 1] = { event, line, {} } collectgarbage("step") end, "crl", 3)
for i = 1, 30 do
  local t = { callee(i), { i } }
  table.sort({ 3, 1, 2 }, function(a, b) return a < b end)
end
debug.sethook()
assert(#kept == 10)

-- Native functions, whoever calls them: calls and returns come in pairs.
local named = {}
for library, content in pairs { table = table, string = string, coroutine = coroutine } do
  for name, f in pairs(content) do named[f] = library .. "." .. name end
end
for _, name in ipairs { "pcall", "xpcall", "error", "tostring", "rawlen", "ipairs", "next", "select", "type" } do named[_G[name]] = name end
local function natives(f, ...)
  local list = {}
  debug.sethook(function(event)
    local info = debug.getinfo(2, "fS")
    if info.what == "C" and info.func ~= debug.sethook then
      list[#list + 1] = (event:find("call") and "+" or "-") .. (named[info.func] or "?")
    end
  end, "cr")
  pcall(f, ...)
  debug.sethook()
  return table.concat(list, " ", 2, #list - 1) -- without pcall itself
end
local function inside(f) return (natives(function() f() end)) end
assert(inside(function() local a = rawlen({}) end) == "+rawlen -rawlen", inside(function() local a = rawlen({}) end))
assert(inside(function() pcall(rawlen, {}) end) == "+pcall +rawlen -rawlen -pcall")
assert(inside(function() pcall(pcall, rawlen, {}) end) == "+pcall +pcall +rawlen -rawlen -pcall -pcall")
-- A function that fails does not return; the protected call does.
assert(inside(function() pcall(error) end) == "+pcall +error -pcall")
assert(inside(function() xpcall(error, type, 1) end) == "+xpcall +error +type -type -xpcall")
assert(inside(function() local s = ("ab"):gsub(".", string.upper) end)
  == "+string.gsub +string.upper -string.upper +string.upper -string.upper -string.gsub")
assert(inside(function() local x = setmetatable({}, { __index = rawlen }); x = nil end) == "+? -?")
do
  local x = setmetatable({}, { __index = function() return 1 end, __len = rawlen })
  assert(inside(function() local a = x.y local b = #x end) == "+rawlen -rawlen")
end
do
  local co
  co = coroutine.wrap(function() coroutine.yield() end)
  -- The events of the coroutine are its own.
  assert(inside(function() co() co() end) == "+? -? +? -?")
  co = coroutine.create(function() end)
  assert(inside(function() coroutine.resume(co) coroutine.resume(co) end)
    == "+coroutine.resume -coroutine.resume +coroutine.resume -coroutine.resume")
end
do
  -- The hook of a coroutine: a yield returns when it is resumed.
  local co, list = coroutine.create(function(a) local b = coroutine.yield(a) return b end), {}
  debug.sethook(co, function(event)
    local info = debug.getinfo(2, "Sr")
    list[#list + 1] = event .. " " .. info.what
    if event ~= "call" then
      local name, value = debug.getlocal(2, info.ftransfer)
      list[#list] = list[#list] .. " " .. info.ntransfer .. " " .. tostring(value)
    end
  end, "cr")
  assert(select(2, coroutine.resume(co, "first")) == "first" and #list == 2)
  assert(select(2, coroutine.resume(co, "second")) == "second")
  assert(table.concat(list, ", ") == "call Lua, call C, return C 1 second, return Lua 1 second", table.concat(list, ", "))
end
-- What a protected call returns.
do
  local transfer = {}
  debug.sethook(function(event)
    local info = debug.getinfo(2, "fr")
    if info.func == pcall then
      for i = info.ftransfer, info.ftransfer + info.ntransfer - 1 do
        transfer[#transfer + 1] = tostring(select(2, debug.getlocal(2, i)))
      end
    end
  end, "r")
  pcall(select, 2, "a", "b", "c")
  pcall(error, "wrong")
  debug.sethook()
  assert(table.concat(transfer, " ") == "true b c false wrong", table.concat(transfer, " "))
end
-- An error in the hook for the return of a protected call is nothing that this call catches.
do
  local function fail() debug.sethook() error("from the hook", 0) end
  local ok, message = pcall(function()
    debug.sethook(function() if debug.getinfo(2, "f").func == pcall then fail() end end, "r")
    local inner = pcall(rawlen, {})
    error("not reached")
  end)
  assert(not ok and message == "from the hook", message)
  local co = coroutine.create(function() coroutine.yield() error("not reached") end)
  debug.sethook(co, function() debug.sethook(co) error("from the hook", 0) end, "r")
  assert(coroutine.resume(co))
  ok, message = coroutine.resume(co)
  assert(not ok and message == "from the hook", message)
end

-- Calls by functions of the library lie between the call and the return of those.
do
  local name = os.tmpname()
  local file <close> = assert(io.open(name, "w"))
  file:write("return 1, 2")
  file:close()
  local function order(f)
    local list = {}
    debug.sethook(function(event)
      local info = debug.getinfo(2, "nS")
      list[#list + 1] = event .. " " .. (info.name or info.what)
    end, "cr")
    f()
    debug.sethook()
    return table.concat(list, ", ", 2, #list - 1)
  end
  local t = setmetatable({}, { __pairs = function() return 1 end })
  local one, two, three, four
  assert(order(function() one, two, three = dofile(name) end) == "call f, call dofile, call main, return main, return dofile, return f")
  assert(one == 1 and two == 2 and three == nil)
  four = 4
  assert(order(function() one, two, three, four = pairs(t) end) == "call f, call pairs, call Lua, return Lua, return pairs, return f")
  assert(one == 1 and two == nil and three == nil and four == nil)
  getmetatable(t).__pairs = rawlen
  assert(order(function() one, two = pairs(t) end) == "call f, call pairs, call C, return C, return pairs, return f")
  assert(one == 0 and two == nil)
  getmetatable(t).__pairs = function() error("no pairs") end
  local failed = order(function() pcall(pairs, t) end)
  assert(failed:find("^call f, call pcall, call C, call Lua, call error") and failed:find("return pcall, return f$"), failed)
  -- The traceback shows both.
  getmetatable(t).__pairs = function() return debug.traceback("x") end
  local text = pairs(t)
  assert(text:find("in function 'pairs'", 1, true) and text:find("in function <", 1, true))
  os.remove(name)
end

-- Finalizers are not heard of.
do
  local ran, heard = 0, 0
  local function finalizer() for i = 1, 10 do ran = ran + 1 end end
  for _ = 1, 5 do setmetatable({}, { __gc = finalizer }) end
  debug.sethook(function() if debug.getinfo(2, "f").func == finalizer then heard = heard + 1 end end, "crl", 1)
  collectgarbage()
  collectgarbage()
  debug.sethook()
  assert(ran == 50 and heard == 0)
end
-- A finalizer that sets a hook, or removes it.
do
  local heard = 0
  setmetatable({}, { __gc = function() debug.sethook(function() heard = heard + 1 end, "l") end })
  collectgarbage()
  collectgarbage()
  for _ = 1, 3 do
    local a = 1
  end
  assert(heard > 0)
  setmetatable({}, { __gc = function() debug.sethook() end })
  collectgarbage()
  collectgarbage()
  assert(debug.gethook() == nil)
end

-- A hook that is set by a function that is called back, and one of another thread that is removed there.
for _, call_back in ipairs {
  function(f) table.sort({ 2, 1 }, f) end,
  function(f) string.gsub("a", "a", f) end,
} do
  local heard = 0
  local other = coroutine.create(function() end)
  -- Then the collector has nothing to do in between.
  collectgarbage()
  debug.sethook(other, print, "l")
  call_back(function()
    debug.sethook(function() heard = heard + 1 end, "l")
    debug.sethook(other)
  end)
  for _ = 1, 10 do
    local a = 1
  end
  debug.sethook()
  assert(heard > 15, heard)
end
