-- The debug library: functions, variables, upvalues, threads. Manual, 4.7, 6.10.

-- Every field of getinfo, of every kind of function.
local function fields(t)
  local names = {}
  for k in pairs(t) do names[#names + 1] = k end
  table.sort(names)
  return table.concat(names, " ")
end
local function f(a, b) local c = a return c end
assert(fields(debug.getinfo(f)) ==
  "currentline ftransfer func istailcall isvararg lastlinedefined linedefined namewhat nparams ntransfer nups short_src source what")
assert(fields(debug.getinfo(1, "nSl")) == "currentline lastlinedefined linedefined namewhat short_src source what")
assert(fields(debug.getinfo(f, "L")) == "activelines" and fields(debug.getinfo(print, "L")) == "" and fields(debug.getinfo(1, "")) == "")
local info = debug.getinfo(f)
assert(info.nparams == 2 and not info.isvararg and info.nups == 0 and info.func == f and info.namewhat == "" and info.name == nil)
assert(info.ftransfer == 0 and info.ntransfer == 0 and info.istailcall == false and info.currentline == -1)
info = debug.getinfo(print)
assert(info.isvararg and info.nparams == 0 and info.what == "C" and info.lastlinedefined == -1)
assert(debug.getinfo(0, "n").name == "getinfo" and debug.getinfo(0, "f").func == debug.getinfo)
for _, bad in ipairs { ">", "x", ">S", "Sx" } do
  local ok, err = pcall(debug.getinfo, 1, bad)
  assert(not ok and err:find("bad argument #2 to 'getinfo' %(invalid option") or err:find("'debug.getinfo'"), err)
end
assert(not pcall(debug.getinfo) and not pcall(debug.getinfo, {}) and debug.getinfo(-1) == nil)
local lines = debug.getinfo(load("local a = 1\n\n\nreturn a", "=c"), "L").activelines
assert(lines[1] and lines[4] and not lines[2] and not lines[3])

-- Names by the way of the call.
local function who() local i = debug.getinfo(2, "n") return i.namewhat .. " " .. tostring(i.name) end
local function direct() local r = who() return r end
function Global() local r = who() return r end
local t = { field = direct, [1] = direct }
function t:method() local r = who() return r end
assert(direct() == "local direct" and Global() == "global Global" and t:method() == "method method")
local r = t.field()
assert(r == "field field" and t[1]() == "field integer index")
assert((function() local r = direct() return r end)() == "upvalue direct")
local function tail() return who() end
local function tailed() return direct() end
assert(tailed() == " nil")
local mt = setmetatable({}, { __index = function() local r = who() return r end, __add = direct, __call = direct, __len = direct,
  __concat = direct, __unm = direct })
assert(mt.x == "metamethod index" and mt + 1 == "metamethod add" and -mt == "metamethod unm" and #mt == "metamethod len")
assert(mt .. 1 == "metamethod concat" and mt() == "local mt")
for v in function(_, c) if not c then return (who()) end end do assert(v == "for iterator for iterator") end
assert(select(2, pcall(direct)) == " nil" and coroutine.wrap(direct)() == " nil")

-- Variables: shadowed, nested, captured, of loops.
local function dump(level)
  local list = {}
  for i = 1, 100 do
    local name, value = debug.getlocal(level + 1, i)
    if not name or name:sub(1, 1) == "(" and name:find("temporary") then break end
    list[#list + 1] = name .. "=" .. tostring(value)
  end
  return table.concat(list, " ")
end
local function shadow(p)
  local a, b = 1, 2
  do local a = 3; local c = 4; assert(dump(1) == "p=10 a=1 b=2 a=3 c=4") end
  local d = 5
  return dump(1), d
end
assert((shadow(10)) == "p=10 a=1 b=2 d=5")
local function captured(p, q)
  local a = 1
  local function get() return p, a end
  local function set() a = a + 1; p = p + 1 end
  set()
  local text = dump(1)
  assert(debug.setlocal(1, 1, 50) == "p" and debug.setlocal(1, 3, 60) == "a")
  local x, y = get()
  return text, p, a, x, y
end
local text, p, a, x, y = captured(7, 8)
assert(text:find("^p=8 q=8 a=2 get=function") and p == 50 and a == 60 and x == 50 and y == 60)
local seen = {}
for i = 1, 2 do local name, v = debug.getlocal(1, 1) seen[i] = name end
assert(seen[1] == "fields")
local function loops()
  for i = 5, 5 do
    local text = dump(1)
    assert(text:find("%(for state%)=%d+ %(for state%)=%d+ %(for state%)=1 i=5"), text)
  end
  for k, v in next, { "v" } do
    local text = dump(1)
    assert(text:find("%(for state%)=function.* k=1 v=v"), text)
  end
end
loops()
local function extra(a, ...)
  local n1, v1 = debug.getlocal(1, -1)
  local n3, v3 = debug.getlocal(1, -3)
  assert(n1 == "(vararg)" and v1 == 2 and n3 == nil and v3 == nil)
  assert(debug.setlocal(1, -2, "changed") == "(vararg)" and debug.setlocal(1, -3, 0) == nil)
  return ...
end
assert(select(2, extra(1, 2, 3)) == "changed")
-- From an outer level, and of an outer level.
local function inner() assert(debug.setlocal(2, 1, "from within") == "v") return (select(2, debug.getlocal(2, 1))) end
local function outer() local v = "old" local r = inner() return v, r end
local v, r = outer()
assert(v == "from within" and r == v)
assert(debug.getlocal(1, 1000) == nil and debug.setlocal(1, 1000, 1) == nil and debug.getlocal(1, 0) == nil)
for _, level in ipairs { 1000, -1 } do
  local ok, err = pcall(debug.getlocal, level, 1)
  assert(not ok and err:find("level out of range", 1, true))
  assert(not pcall(debug.setlocal, level, 1, 1))
end
assert(not pcall(debug.setlocal, 1, 1) and not pcall(debug.getlocal, 1))
-- Arguments of native functions.
local name, value = debug.getlocal(0, 1)
assert(name == "(C temporary)" and value == 0 and debug.getlocal(0, 3) == nil)
-- Parameters of functions that do not run.
local function params(a, b, ...) local c end
assert(debug.getlocal(params, 1) == "a" and debug.getlocal(params, 2) == "b" and debug.getlocal(params, 3) == nil)
local function kept(a, b) return function() return a end end
assert(debug.getlocal(kept, 1) == "a" and debug.getlocal(kept, 2) == "b" and debug.getlocal(print, 1) == nil)
-- Temporaries.
local function h()
  assert(select(2, debug.getlocal(2, 3)) == 1 and debug.getlocal(2, 4) == nil)
  debug.setlocal(2, 3, 10)
  return 20
end
local function g(a, b) return (a + 1) + h() end
assert(g(0, 0) == 30)
-- A great many writes, while the collector runs.
local function churn(n)
  local slot
  for i = 1, n do
    (function() debug.setlocal(2, 2, { i }) end)()
    assert(slot[1] == i)
    local rubbish = { {}, {}, tostring(i) }
  end
  return slot[1]
end
assert(churn(os.getenv("NEAP_GC") and 200 or 20000))

-- Upvalues.
local u1, u2 = 1, 2
local function one() return u1 end
local function both() return u2, u1 end
local function own() local u1 = 100 return function() return u1 end end
assert(debug.getupvalue(one, 1) == "u1" and select(2, debug.getupvalue(one, 1)) == 1)
assert(debug.getupvalue(both, 1) == "u2" and debug.getupvalue(both, 2) == "u1" and select("#", debug.getupvalue(both, 3)) == 0)
assert(debug.setupvalue(one, 1, 11) == "u1" and u1 == 11 and select(2, both()) == 11 and select("#", debug.setupvalue(one, 2, 1)) == 0)
assert(debug.upvalueid(one, 1) == debug.upvalueid(both, 2) and debug.upvalueid(one, 1) ~= debug.upvalueid(both, 1))
assert(type(debug.upvalueid(one, 1)) == "userdata" and debug.upvalueid(one, 2) == nil)
local other = own()
debug.upvaluejoin(one, 1, other, 1)
assert(one() == 100 and u1 == 11 and debug.upvalueid(one, 1) == debug.upvalueid(other, 1))
assert(not pcall(debug.upvaluejoin, one, 2, other, 1) and not pcall(debug.upvaluejoin, one, 1, print, 1))
assert(not pcall(debug.getupvalue, 1, 1) and not pcall(debug.setupvalue, one, 1))
assert(debug.getupvalue(load("return x"), 1) == "_ENV" and select(2, debug.getupvalue(load("return x"), 1)) == _G)

-- Other threads.
local co = coroutine.create(function(a, ...)
  local x = { 10 }
  local function keep() return x end
  local function deeper(b) coroutine.yield(b) return b end
  local r = deeper("b")
  return r, a, keep()[1], ...
end)
assert(debug.getinfo(co, 0) == nil and debug.traceback(co) == "stack traceback:" and not pcall(debug.getlocal, co, 0, 1))
assert(coroutine.resume(co, "a", "rest"))
assert(debug.getinfo(co, 0, "f").func == coroutine.yield and debug.getinfo(co, 1, "n").name == "deeper")
assert(debug.getinfo(co, 2, "l").currentline == debug.getinfo(co, 2, "S").linedefined + 4 and debug.getinfo(co, 3) == nil)
assert(debug.getlocal(co, 2, 1) == "a" and select(2, debug.getlocal(co, 2, 2))[1] == 10 and debug.getlocal(co, 2, -1) == "(vararg)")
assert(debug.getlocal(co, 1, 1) == "b" and select(2, debug.getlocal(co, 1, 1)) == "b" and debug.getlocal(co, params, 1) == "a")
assert(debug.setlocal(co, 1, 1, { "new" }) == "b" and debug.setlocal(co, 2, 1, { "A" }) == "a" and debug.setlocal(co, 2, 2, { 20 }) == "x")
assert(debug.setlocal(co, 2, -1, { "extra" }) == "(vararg)")
collectgarbage() collectgarbage()
local ok, r1, r2, r3, r4 = coroutine.resume(co)
assert(ok and r1[1] == "new" and r2[1] == "A" and r3 == 20 and r4[1] == "extra")
assert(debug.getinfo(co, 0) == nil)
-- A thread that has resumed this one.
local main = coroutine.running()
coroutine.wrap(function()
  assert(debug.getinfo(main, 0, "S").what == "C" and debug.getinfo(main, 1, "S").what == "main")
  assert(debug.traceback(main):find("in main chunk") and debug.getlocal(main, 1, 1) == "fields")
  assert(debug.setlocal(main, 1, 2, { "set from a coroutine" }) == "f")
  collectgarbage()
end)()
assert(f[1] == "set from a coroutine")
-- One that died of an error keeps its frames.
local dead = coroutine.create(function() local lost = "found" error("dies") end)
coroutine.resume(dead)
assert(debug.getlocal(dead, 1, 1) == "lost" and select(2, debug.getlocal(dead, 1, 1)) == "found")
assert(debug.getinfo(dead, 0, "f").func == error)

-- Metatables of everything.
local protected = setmetatable({}, { __metatable = "locked" })
assert(getmetatable(protected) == "locked" and type(debug.getmetatable(protected)) == "table")
assert(debug.setmetatable(protected, nil) == protected and getmetatable(protected) == nil)
assert(debug.setmetatable(print, { __index = { answer = 42 } }) == print and (print).answer == 42 and (f or print) and churn.answer == 42)
debug.setmetatable(print, nil)
assert(debug.setmetatable(true, { __unm = function(b) return not b end }) == true and -false == true and -true == false)
debug.setmetatable(true, nil)
assert(not pcall(debug.setmetatable, {}, 1) and not pcall(debug.setmetatable, {}) and not pcall(debug.getmetatable))
assert(debug.getmetatable(io.stdout).__name == "FILE*")
assert(debug.getuservalue(1) == nil and not pcall(debug.setuservalue, {}, 1) and not pcall(debug.setuservalue, io.stdout))
-- Files have no user values.
assert(debug.setuservalue(io.stdout, 1) == nil and select("#", debug.getuservalue(io.stdout)) == 1 and not debug.getuservalue(io.stdout))
assert(type(debug.getregistry()) == "table" and debug.getregistry()._LOADED == package.loaded)
-- The main thread and the globals stand where the C API has them.
assert(type(debug.getregistry()[1]) == "thread" and debug.getregistry()[2] == _G)
coroutine.wrap(function() assert(debug.getregistry()[1] ~= coroutine.running()) end)()
