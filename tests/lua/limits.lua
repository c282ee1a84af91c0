-- Limits: deep nesting in the source, many locals, registers, constants; huge strings and tables. Each
-- ends with a result or an error that can be caught.

local function fails(message, f, ...)
  local ok, err = pcall(f, ...)
  assert(not ok and tostring(err):find(message, 1, true), tostring(err):sub(1, 200))
end
local function refuses(message, code)
  local f, err = load(code, "=code")
  assert(not f and err:find(message), tostring(err):sub(1, 200))
end
local ok, e

-- Nesting in the source.
local n = 10000
refuses("overflow", "return " .. ("("):rep(n) .. "1" .. (")"):rep(n))
refuses("overflow", "return " .. ("{"):rep(n) .. ("}"):rep(n))
refuses("overflow", "return " .. ("-"):rep(3):gsub("%-", "- "):rep(n) .. "1")
refuses("overflow", "return " .. ("not "):rep(n) .. "1")
refuses("overflow", ("do "):rep(n) .. ("end "):rep(n))
refuses("overflow", ("if x then "):rep(n) .. ("end "):rep(n))
refuses("overflow", ("while x do "):rep(n) .. ("end "):rep(n))
refuses("overflow", ("repeat "):rep(n) .. ("until x "):rep(n))
refuses("o[vo]", ("for i = 1, 2 do "):rep(n) .. ("end "):rep(n))
refuses("overflow", ("return function() "):rep(n) .. ("end "):rep(n))
refuses("overflow", "return " .. ("a ^ "):rep(n) .. "b")
refuses("overflow", "return " .. ("a .. "):rep(n) .. "b")
refuses("overflow", "x = " .. ("f("):rep(n) .. (")"):rep(n))
refuses("overflow", ("a."):rep(5) .. "b" .. ("[x"):rep(n) .. ("]"):rep(n) .. " = 1")
refuses("overflow", ("a, "):rep(n) .. "a = 1")
-- Moderate nesting is fine.
assert(load("return " .. ("("):rep(150) .. "7" .. (")"):rep(150))() == 7)
assert(load(("do "):rep(150) .. ("end "):rep(150)) and load("return " .. ("not "):rep(100) .. "1")() == true)
-- Long chains that need no nesting are fine at any length.
assert(load("return 1" .. (" + 1"):rep(n))() == n + 1)
assert(load("local a = { } a.a = a return a" .. (".a"):rep(n))())
assert(load("local function f() return f2 end f2 = function() return f2 end return f2" .. ("()"):rep(n))())
assert(load(("x = 1 "):rep(n)) and load(("do end "):rep(n)) and load(("; "):rep(n)))
local chain = load("local x = ... if x == 1 then return 1 " .. ("elseif x == 2 then return 2 "):rep(n) .. "else return 3 end")
assert(chain and chain(3) == 3)
assert(load("return nil" .. (" or nil"):rep(n) .. " or 5")() == 5 and load("return 1" .. (" and 1"):rep(n) .. " and 6")() == 6)

-- Locals, upvalues, registers, parameters.
local code = {}
for i = 1, 200 do code[i] = "local v" .. i .. " = " .. i end
assert(load(table.concat(code, "\n") .. "\nreturn v1 + v200")() == 201)
code[201] = "local v201 = 201"
refuses("too many local variables", table.concat(code, "\n"))
local outer, inner = {}, {}
for i = 1, 150 do outer[i], inner[i] = "a" .. i, "b" .. i end
local uses = {}
for i = 1, 150 do uses[#uses + 1] = "a" .. i uses[#uses + 1] = "b" .. i end
refuses("too many upvalues", "local " .. table.concat(outer, ", ") .. " return function() local " .. table.concat(inner, ", ") ..
  " return function() return {" .. table.concat(uses, ", ") .. "} end end")
refuses("too many local variables", "local function f(" .. ("p, "):rep(250) .. "q) end")
refuses("function or expression needs too many registers", "return f(" .. ("g, "):rep(300) .. "h)")
-- Many constants of every kind; wide jumps.
code = { "local t = {}" }
for i = 1, 3000 do
  code[#code + 1] = ("t.k%d = %d.5 t[%d] = 'v%d' t.n%d = t.k%d + %d"):format(i, i, i, i, i, i, 100000 + i)
end
code[#code + 1] = "return t"
local wide = load(table.concat(code, "\n"))()
assert(wide.k3000 == 3000.5 and wide[3000] == "v3000" and wide.n3000 == 106000.5)
local loop = load("local n, s = ... for i = 1, n do " .. ("s = s + 1 "):rep(30000) .. " if s < 0 then break end end return s")
assert(loop(2, 0) == 60000)
local list = load("return {" .. ("1, "):rep(20000) .. "2}")()
assert(#list == 20001 and list[20001] == 2)
local functions = load("return {" .. ("function() end, "):rep(3000) .. "}")()
assert(#functions == 3000)

-- Long tokens.
local name = ("n"):rep(50000)
assert(load("local " .. name .. " = 3 return " .. name)() == 3)
local literal = ("s"):rep(200000)
assert(load("return '" .. literal .. "'")() == literal and load("return [[" .. literal .. "]]")() == literal)
assert(load("return " .. ("9"):rep(5000)) and load("return 0x" .. ("f"):rep(5000))() == -1 and load("return 0." .. ("1"):rep(5000))() > 0.11)
assert(load("--" .. literal) and load("--[==[" .. literal .. "]==]"))
assert(load(("\n"):rep(100000) .. "x ="  ) == nil)

-- Sizes that cannot be.
fails("resulting string too large", string.rep, "x", math.maxinteger)
fails("resulting string too large", string.rep, ("x"):rep(1000), 1 << 60)
fails("too many results", table.unpack, {}, 1, 1 << 40)
fails("string slice too long", function() return ("x"):rep(10000000):byte(1, -1) end)
fails("too many results", function() return table.unpack({}, 1, 999999), table.unpack({}, 1, 999999) end)
-- What does not fit on the stack is an overflow of it, and is named; only `unpack` says no more than what it is.
local long = ("x"):rep(2000000)
for what, f in pairs {
  ["string slice too long"] = function() return string.byte(long, 1, -1) end,
  ["string slice too long "] = function() return utf8.codepoint(long, 1, -1) end,
  ["too many results"] = function() return string.unpack(("b"):rep(#long), long) end,
} do
  ok, e = pcall(f)
  assert(not ok and e:find("stack overflow (" .. what:gsub(" $", "") .. ")", 1, true), e)
end
ok, e = pcall(table.unpack, {}, 1, 2000000)
assert(not ok and e == "too many results to unpack", e)
ok, e = pcall(function() local a = { table.unpack({}, 1, 240) } return select("#", table.unpack(a, 1, 240)) end)
assert(ok and e == 240)
