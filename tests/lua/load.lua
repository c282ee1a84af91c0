-- load, loadstring by reader functions, modes, environments, syntax errors, binary chunks, dofile and loadfile. Manual, 6.1.

local function refuses(expected, code, ...)
  local f, err = load(code, "=code", ...)
  assert(f == nil and type(err) == "string" and err:find(expected, 1, true), tostring(err))
end

-- Texts, functions, names, modes, environments.
assert(load("return 1 + 1")() == 2 and load("")() == nil and load("return ...")(5) == 5)
local pieces = { "return ", "1", "0", " + ", "5" }
local i = 0
assert(load(function() i = i + 1 return pieces[i] end)() == 15)
i = 0
pieces = { "return 7", "", " error" }
assert(load(function() i = i + 1 return pieces[i] end)() == 7)
assert(load(function() return nil end)() == nil)
local f, err = load(function() error("reader fails", 0) end)
assert(f == nil and err:find("^reader fails"))
f, err = load(function() return {} end)
assert(f == nil and err:find("reader function must return a string", 1, true))
f, err = load("x =", "@file.lua")
assert(f == nil and err:find("^file.lua:1:"))
f, err = load("x =", "line one\nline two")
assert(err:find('^%[string "line one..."%]:1:'))
f, err = load("return 1", "n", "b")
assert(f == nil and err:find("attempt to load a text chunk (mode is 'b')", 1, true))
assert(load("return 1", "n", "t")() == 1 and load("return 1", "n", "bt")() == 1 and load("return 1", nil, nil)() == 1)
local env = { y = 3 }
assert(load("x = y return x", "n", "t", env)() == 3 and env.x == 3 and x == nil)
assert(load("return _ENV", "n", "t", env)() == env and load("return x", "n", "t", nil) ~= nil)
assert(not pcall(load("return x", "n", "t", nil)))
assert(not pcall(load, nil) and not pcall(load) and not pcall(load, {}))

-- A chunk is a closure of its own each time.
local a, b = load("local n = 0 return function() n = n + 1 return n end"), nil
local c1, c2 = a(), a()
assert(c1() == 1 and c1() == 2 and c2() == 1)

-- Syntax errors name the place and the token.
refuses("code:1: unexpected symbol near '+'", "return + 1 +")
refuses("code:1: syntax error near 'y'", "x y")
refuses("code:1: syntax error near <eof>", "x")
refuses("code:1: unexpected symbol near <eof>", "x = ")
refuses("code:2: 'end' expected (to close 'if' at line 1) near <eof>", "if x then\ny()")
refuses("code:1: 'end' expected near <eof>", "if x then y()")
refuses("code:1: 'then' expected near 'y'", "if x y() end")
refuses("code:1: 'do' expected near 'x'", "while true x() end")
refuses("code:1: 'until' expected near <eof>", "repeat x()")
refuses("code:1: '=' or 'in' expected near 'do'", "for i do end")
refuses("code:1: ')' expected near <eof>", "f(1")
refuses("code:2: ')' expected (to close '(' at line 1) near <eof>", "f(1\n")
refuses("code:1: '}' expected near <eof>", "t = {1, 2")
refuses("code:1: <name> expected near '1'", "local 1 = 2")
refuses("code:1: <name> expected near 'end'", "local end = 2")
refuses("code:1: unexpected symbol near '1'", "1 = 2")
refuses("code:1: syntax error near '='", "f() = 2")
refuses("code:1: cannot use '...' outside a vararg function near '...'", "function f() return ... end")
refuses("code:1: unfinished string near <eof>", 'x = "abc')
refuses("code:1: unfinished string near '\"abc'", 'x = "abc\n"')
refuses("code:1: unfinished long string (starting at line 1) near <eof>", "x = [[abc")
refuses("code:1: unfinished long comment (starting at line 1) near <eof>", "--[[abc")
refuses("code:1: invalid long string delimiter near '[='", "x = [=abc")
refuses("code:1: invalid escape sequence near '\"\\q'", [[x = "\q"]])
refuses("code:1: decimal escape too large near '\"\\300\"'", [[x = "\300"]])
refuses("code:1: hexadecimal digit expected near '\"\\xg'", [[x = "\xg"]])
refuses("code:1: missing '{' near '\"\\u1'", [[x = "\u123"]])
refuses("code:1: UTF-8 value too large near '\"\\u{80000000'", [[x = "\u{80000000}"]])
refuses("code:1: malformed number near '1x'", "x = 1x")
refuses("code:1: malformed number near '0x'", "x = 0x")
refuses("code:1: malformed number near '1..2'", "x = 1..2")
refuses("code:1: malformed number near '3e+'", "x = 3e+")
refuses("code:1: unexpected symbol near '@'", "x = @")
refuses("code:1: unexpected symbol near '<\\1>'", "x = \1")
refuses("code:1: syntax error near '!'", "x != 1")
refuses("code:1: <eof> expected near 'end'", "x = 1 end")
refuses("code:3: unexpected symbol near ')'", "x = 1\n\ny = )")
refuses("code:1: function arguments expected near '='", "a:b = 1")
refuses("code:1: <name> expected near '='", "x, y.z . = 1")

-- Lines are counted with every kind of line end; the shebang is for files only.
for _, eol in ipairs { "\n", "\r\n", "\n\r", "\r" } do
  local _, err = load("x = 1" .. eol .. "y = 2" .. eol .. "z =", "=l")
  assert(err:find("^l:3:"), err)
end
assert(load("return [[a\r\nb\rc\n\rd]]")() == "a\nb\nc\nd")
assert(load("return 'a\\\r\nb'")() == "a\nb")
refuses("unexpected symbol near '#'", "#!shebang\nreturn 1")
assert(load("-- comment only") and load("--[==[ long\n]] ]==] return 5")() == 5 and load("return 1 --[[x]] + 2")() == 3)
assert(load(";;; ; return 1;")() == 1)

-- Binary chunks.
local function sample(x)
  local t = { x, "text", 1.5, nil, true, math.maxinteger, [[long string that is longer than forty characters in all]] }
  local function inner(y) return x + y + #t end
  for j = 1, 3 do x = x + j end
  return inner(10), t
end
local dumped = string.dump(sample)
assert(type(dumped) == "string" and dumped:sub(1, 4) == "\27Lua")
local back = load(dumped, "dumped", "b", { math = math })
local r, t = back(1)
assert(r == (1 + 6) + 10 + 7 and t[2] == "text" and t[3] == 1.5 and t[6] == math.maxinteger and #t[7] > 40)
f, err = load(dumped, "n", "t")
assert(f == nil and err:find("attempt to load a binary chunk (mode is 't')", 1, true))
assert(load(string.dump(load("return 1, ...")))(2) == 1)
-- Upvalues come back as fresh variables; the first is set to the environment.
local up = 5
local function uses() up = (up or 0) + 1 return up end
local fresh = load(string.dump(uses))
assert(debug.getupvalue(fresh, 1) ~= nil and uses() == 6 and up == 6)
assert(debug.setupvalue(fresh, 1, 10) and fresh() == 11 and up == 6)
-- Stripped of its debug information it does the same.
local stripped = load(string.dump(sample, true), "s", "b")
assert(debug.setupvalue(stripped, 1, _ENV) ~= nil or true)
assert(select(1, stripped(1)) == r)
local _, e = pcall(load(string.dump(load("local x; x.y = 1", "=named"), true)))
assert(tostring(e):find("?", 1, true) and not e:find("named"))
-- In pieces.
local position = 0
back = load(function()
  position = position + 1
  return position <= #dumped and dumped:sub(position, position) or nil
end, "pieces", "b", _ENV)
assert(back(1) == r)
-- Truncated at any place it is an error.
for n = 1, #dumped - 1, os.getenv("NEAP_GC") and 17 or 3 do
  local f, err = load(dumped:sub(1, n), "=cut", "b")
  assert(f == nil and err:find("truncated", 1, true), n .. ": " .. tostring(err))
end
-- A wrong header is an error.
for n = 2, 12 do
  local damaged = dumped:sub(1, n - 1) .. string.char(dumped:byte(n) ~ 0x55) .. dumped:sub(n + 1)
  assert(not load(damaged, "=d", "b"), n)
end

-- loadfile and dofile.
local name = os.tmpname()
local function write(text)
  local file = assert(io.open(name, "wb"))
  file:write(text)
  file:close()
end
write("#!/usr/bin/env lua\nlocal a = ...\nreturn a, 'two'")
assert(select("#", loadfile(name)(1)) == 2 and select(2, dofile(name)) == "two")
write("#!shebang without a newline")
assert(loadfile(name)() == nil)
write("\xEF\xBB\xBFreturn 'marked'")
assert(dofile(name) == "marked")
write("# one line\nx = = 1")
f, err = loadfile(name)
assert(f == nil and err:find(":2: unexpected symbol near '='", 1, true), err)
write("error('in the file')")
local ok
ok, err = pcall(dofile, name)
assert(not ok and err:find(":1: in the file", 1, true))
write("v = 8")
env = {}
loadfile(name, "t", env)()
assert(env.v == 8 and v == nil)
write(string.dump(function() return "binary" end))
assert(dofile(name) == "binary" and loadfile(name, "b")() == "binary")
f, err = loadfile(name, "t")
assert(f == nil and err:find("attempt to load a binary chunk", 1, true))
os.remove(name)
f, err = loadfile(name)
assert(f == nil and err:find("cannot open " .. name, 1, true))
ok, err = pcall(dofile, name)
assert(not ok and err:find("cannot open " .. name, 1, true))
-- dofile may be yielded across.
write("return coroutine.yield('from the file')")
local co = coroutine.wrap(function() return dofile(name) end)
assert(co() == "from the file" and co("answer") == "answer")
os.remove(name)

-- The header of binary chunks is that of Lua 5.4: version, format, sizes, an integer and a float.
local header = string.pack("c4BBc6BBB", "\27Lua", 0x54, 0, "\x19\x93\r\n\x1a\n", 4, string.packsize("j"), string.packsize("n"))
assert(dumped:sub(1, #header) == header)
local integer, float = string.unpack("jn", dumped, #header + 1)
assert(integer == 0x5678 and float == 370.5)
for i = 1, #header + 16 do
  local damaged = dumped:sub(1, i - 1) .. string.char((dumped:byte(i) + 1) % 256) .. dumped:sub(i + 1)
  assert(not load(damaged))
end
for i = 1, #dumped - 1 do
  local f, message = load(dumped:sub(1, i))
  assert(not f and message:find("truncated", 1, true))
end
-- Texts that are no texts.
f, err = load("\0", "=s")
assert(not f and err == "s:1: unexpected symbol")
f, err = load("x = \1", "=s")
assert(not f and err == "s:1: unexpected symbol near '<\\1>'")
for _, bytes in ipairs { "\27", "\27L", "\27xy" } do
  f, err = load(bytes, "=s")
  assert(not f and err == "s: bad binary format (truncated chunk)")
end
f, err = load("\27xyz", "=s")
assert(not f and err == "s: bad binary format (not a binary chunk)")

-- A file is read in pieces: wherever one of them ends, the rest may go on with it.
do
  local name = os.tmpname()
  for _, token in ipairs { "'a long text with \\x41 \\u{41} \\65 \\z  escapes'", "[==[ a long bracket ]=] ]==]", "0x1.8p1", "(1 --[[comment]] + 2)" } do
    for shift = 0, #token do
      local file = assert(io.open(name, "w"))
      file:write("return --", ("x"):rep((1 << 16) - 10 - shift), "\n", token, " -- ", ("y"):rep(1 << 16))
      file:close()
      assert(assert(loadfile(name))() == load("return " .. token)(), token)
    end
  end
  os.remove(name)
end
