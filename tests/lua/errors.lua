-- Errors: values, positions, levels, names of variables in messages, pcall, xpcall, error, assert. Manual, 2.3, 6.1.

local function message(code, ...)
  local f = assert(load(code, "=code"))
  local ok, err = pcall(f, ...)
  assert(not ok, code)
  return err
end
local function says(expected, code)
  local got = message(code)
  assert(got == expected, tostring(got) .. "\n  is not\n" .. expected)
end

-- Names of variables.
says("code:1: attempt to index a nil value (global 'x')", "return x.y")
says("code:1: attempt to index a nil value (local 'x')", "local x return x.y")
says("code:1: attempt to index a nil value (field 'b')", "local a = {} return a.b.c")
says("code:1: attempt to index a nil value (field 'integer index')", "local a = {} return a[1].c")
says("code:1: attempt to index a nil value (upvalue 'u')", "local u; local function f() return u.x end f()")
says("code:1: attempt to index a number value (local 'n')", "local n = 5 n.x = 1")
says("code:1: attempt to index a nil value (field 'y')", "xx = {} xx.y.z = 1")
says("code:1: attempt to index a boolean value", "return (true).x")
says("code:1: attempt to call a nil value (global 'nowhere')", "nowhere()")
says("code:1: attempt to call a nil value (local 'f')", "local f f()")
says("code:1: attempt to call a nil value (field 'f')", "local t = {} t.f()")
says("code:1: attempt to call a nil value (method 'm')", "local t = {} t:m()")
says("code:1: attempt to call a nil value (upvalue 'g')", "local g; (function() g() end)()")
says("code:1: attempt to call a number value", "(5)()")
says("code:1: attempt to call a table value (local 't')", "local t = {} t()")
says("code:1: attempt to call a nil value (field 'integer index')", "local t = {} t[1]()")
says("code:1: attempt to perform arithmetic on a nil value (global 'a')", "return a + 1")
says("code:1: attempt to perform arithmetic on a nil value (local 'b')", "local a, b = 1 return a + b")
says("code:1: attempt to perform arithmetic on a table value (field 'x')", "local t = { x = {} } return t.x * 2")
says("code:1: attempt to perform arithmetic on a nil value (field 'x')", "local t = {} return -t.x")
says("code:1: attempt to perform arithmetic on a nil value (upvalue 'u')", "local u; return (function() return u - 1 end)()")
says("code:1: attempt to concatenate a nil value (local 'x')", "local x return 'a' .. x")
says("code:1: attempt to concatenate a table value (field 'y')", "local x = { y = {} } return x.y .. 'a'")
says("code:1: attempt to concatenate a nil value (global 'g')", "return 'a' .. 'b' .. g")
says("code:1: attempt to compare number with nil", "return 1 < nil")
says("code:1: attempt to compare two table values", "return {} <= {}")
says("code:1: attempt to compare string with number", "return 'a' < 1")
says("code:1: attempt to compare number with string", "return 'a' > 1")
says("code:1: attempt to get length of a nil value (local 'x')", "local x return #x")
says("code:1: attempt to perform bitwise operation on a nil value (global 'undefined')", "return undefined & 1")
says("code:1: number has no integer representation", "return 1.5 | 1")
says("code:1: attempt to index a nil value (field 'x')", "local t = {} ; t.x[1] = 5")

-- The line is that of the operation.
says("code:3: attempt to index a nil value (global 'x')", "local a = 1\nlocal b = 2\nreturn x.y")
says("code:4: attempt to call a nil value (global 'f')", "\n\n\nf()")
says("code:2: boom", "local a\nerror('boom')")
says("code:3: attempt to perform arithmetic on a nil value (global 'y')", "local x = 1\nlocal z = x +\n y * 2")

-- error: levels and values.
says("code:1: here", "error('here')")
says("code:1: here", "error('here', 1)")
says("plain", "error('plain', 0)")
says("code:2: blame", "local function f() error('blame', 2) end\nf()")
says("code:3: blame", "local function f() error('blame', 3) end\nlocal function g() f() end\ng()")
for _, value in ipairs { 42, true, print, 1.5 } do
  local ok, err = pcall(error, value)
  assert(not ok and err == value)
end
local object = setmetatable({}, { __tostring = function() return "object" end })
local ok, err = pcall(error, object)
assert(err == object)
ok, err = pcall(error)
assert(not ok and err == nil)
ok, err = pcall(error, "text", 0)
assert(err == "text")
ok, err = pcall(error, "text")
assert(err == "text")
ok, err = pcall(function() error(12) end)
assert(err == 12)
ok, err = pcall(function() error("12") end)
assert(err:find("errors.lua:%d+: 12"))

-- assert.
assert(select("#", assert(1, 2, 3)) == 3 and select(2, assert(1, "m")) == "m")
ok, err = pcall(assert, false)
assert(err == "assertion failed!")
ok, err = pcall(assert, nil, "my message")
assert(err == "my message")
ok, err = pcall(assert, false, object)
assert(err == object)
ok, err = pcall(assert)
assert(err == "bad argument #1 to 'assert' (value expected)")

-- pcall and xpcall.
assert(select("#", pcall(function() return 1, nil, nil end)) == 4 and pcall(print == nil and print or type, 1))
ok, err = pcall(nil)
assert(not ok and err == "attempt to call a nil value")
ok, err = pcall({})
assert(not ok and err == "attempt to call a table value")
ok, err = pcall(pcall)
assert(not ok and err:find("bad argument #1 to 'pcall'", 1, true))
local r = table.pack(xpcall(function(...) return select("#", ...), ... end, print, 1, nil))
assert(r.n == 4 and r[2] == 2)
r = table.pack(xpcall(error, function(m) return "handled " .. m, "cut" end, "it", 0))
assert(r.n == 2 and r[1] == false and r[2] == "handled it")
-- The handler runs where the error is: it sees the stack.
local seen
xpcall(function() local function culprit() error("x") end culprit() end, function() seen = debug.traceback("tb") end)
assert(seen:find("^tb\nstack traceback:\n") and seen:find("culprit") and seen:find("in function 'error'"))
-- An error in the handler.
ok, err = xpcall(error, function() error("again") end, "first")
assert(not ok)
ok, err = xpcall(error, function(m) if m == "first" then error("second", 0) end return "got " .. m end, "first", 0)
assert(not ok and err == "got second")
-- A handler that is not callable.
ok, err = pcall(xpcall, error)
assert(not ok and err == "bad argument #2 to 'xpcall' (function expected, got no value)")
-- Nesting.
ok, err = pcall(pcall, error, "e")
assert(ok == true and err == false)
local function nested(n)
  if n == 0 then error("innermost", 0) end
  local ok, e = pcall(nested, n - 1)
  assert(not ok)
  error(e .. n, 0)
end
ok, err = pcall(nested, 9)
assert(err == "innermost123456789")
-- An error leaves locals and upvalues of the catcher as they were.
local state = 1
local function change() state = 2 error("after") end
pcall(change)
assert(state == 2)
-- Many errors one after the other.
for i = 1, os.getenv("NEAP_GC") and 100 or 10000 do
  local ok, e = pcall(error, i)
  assert(not ok and e == i)
end

-- Arguments of library functions: number, name, method, field.
says("code:1: bad argument #1 to 'insert' (table expected, got nil)", "table.insert(nil, 1)")
says("code:1: bad argument #2 to 'rep' (number expected, got string)", "string.rep('x', 'y')")
says("code:1: bad argument #1 to 'rep' (number expected, got string)", "return ('x'):rep('y')")
says("code:1: bad argument #2 to 'rep' (number expected, got no value)", "string.rep('x')")
says("code:1: bad argument #1 to 'floor' (number expected, got table)", "math.floor({})")
says("code:1: bad argument #1 to 'f' (number expected, got nil)", "local f = math.floor f(nil)")
says("code:1: bad argument #1 to 'ipairs' (value expected)", "ipairs()")
says("code:1: bad argument #1 to 'setmetatable' (table expected, got number)", "setmetatable(1, {})")
says("code:1: bad argument #2 to 'setmetatable' (nil or table expected, got no value)", "setmetatable({})")
says("code:1: calling 'upper' on bad self (string expected, got table)", "local t = setmetatable({}, { __index = string }) t:upper()")
says("code:1: bad argument #1 to 'char' (value out of range)", "string.char(256)")
says("code:1: bad argument #1 to 'len' (string expected, got nil)", "string.len(nil)")
says("code:1: bad argument #2 to 'format' (number expected, got string)", "string.format('%d', 'x')")
says("code:1: bad argument #1 to 'open' (string expected, got nil)", "io.open(nil)")
says("code:1: bad argument #2 to 'open' (invalid mode)", "io.open('x', 'q')")
says("code:1: bad argument #1 to 'tostring' (value expected)", "tostring()")
says("code:1: bad argument #1 to 'My.Type' (string expected, got My.Type)",
  "local t = setmetatable({}, { __name = 'My.Type' }) local ok, e = pcall(string.len, t) error('bad argument #1 to \\'My.Type\\' (' .. e:match('%((.*)%)') .. ')')")
-- The name of a type in a message may be changed by __name.
assert(message("return setmetatable({}, { __name = 'My.Type' }) + 1") == "code:1: attempt to perform arithmetic on a My.Type value")

-- Chunk names in positions.
local function position(chunkname) return (message2 or function(n)
  local _, e = pcall(load("error('m')", n))
  return e
end)(chunkname) end
assert(position("=name") == "name:1: m" and position("@file.lua") == "file.lua:1: m")
assert(position("text") == '[string "text"]:1: m' and position("two\nlines") == '[string "two..."]:1: m')
assert(position("=" .. ("x"):rep(100)):find("^x+:1: m$") and #position("=" .. ("x"):rep(100)) <= 60 + 5)
assert(position("@" .. ("y"):rep(100)):find("^%.%.%.y+:1: m$"))
assert(position(("z"):rep(100)):find('^%[string "z+%.%.%."%]:1: m$'))

-- Integer conversions in messages.
says("code:1: bad argument #1 to 'char' (number has no integer representation)", "string.char(1.5)")
says("code:1: attempt to divide by zero", "local x = 0 return 1 // x")
says("code:1: attempt to perform 'n%0'", "local x = 0 return 1 % x")

-- A level is a C int in the reference.
local _, wide = pcall(function() error("level", (1 << 32) + 1) end)
assert(wide:find(":%d+: level$"))
_, wide = pcall(function() error("level", 1 << 32) end)
assert(wide == "level")
