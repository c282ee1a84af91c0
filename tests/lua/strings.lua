-- Strings: literals, comparison, length, and the functions of the library that need no pattern. Manual, 3.1 and 6.4.

local function fails(message, f, ...)
  local ok, err = pcall(f, ...)
  assert(not ok and tostring(err):find(message, 1, true), tostring(err))
end

-- Literals and escapes.
assert("a\z
        b" == "ab" and "\65\066\x43\u{44}" == "ABCD" and '\'' == "'" and "\"" == '"')
assert("\a\b\f\n\r\t\v\\" == string.char(7, 8, 12, 10, 13, 9, 11, 92))
assert("a\
b" == "a\nb" and #"\0\0\0" == 3 and "\0" ~= "" and "a\0b" ~= "a\0c")
assert("\u{7FFFFFFF}" == "\xFD\xBF\xBF\xBF\xBF\xBF" and "\u{20AC}" == "\xE2\x82\xAC" and "\u{0}" == "\0")
assert([[
first]] == "first" and [==[a]]b]=]c]==] == "a]]b]=]c" and [[a\n]] == "a\\n" and #[[

]] == 1)
assert(#"\1234" == 2 and "\0009" == "\0" .. "9")

-- Order is bytewise here (the C locale), with embedded zeros.
assert("a" < "b" and "a" < "aa" and "" < "a" and "Z" < "a" and "a\0" > "a" and "a\0b" > "a\0a" and "10" < "9")
assert("a" <= "a" and not ("a" < "a") and "b" > "a" and "b" >= "b" and "\xff" > "z")

-- Length, concatenation.
assert(#"" == 0 and #"abc" == 3 and #("x"):rep(1000) == 1000)
assert("a" .. "b" .. 1 .. 2.5 == "ab12.5")
fails("attempt to concatenate a nil value", function() return "a" .. nil end)
fails("attempt to concatenate a table value", function() return {} .. "a" end)
fails("attempt to concatenate a boolean value", function() return true .. "a" end)
fails("attempt to get length of a number value", function() local n = 1 return #n end)

-- sub
local s = "hello"
for _, c in ipairs {
  { 1, 5, "hello" }, { 2, 3, "el" }, { -3, -1, "llo" }, { -100, 2, "he" }, { 4, 100, "lo" }, { 3, 2, "" }, { 0, 0, "" },
  { 6, 6, "" }, { -1, -1, "o" }, { -5, 1, "h" }, { math.mininteger, math.maxinteger, "hello" }, { math.maxinteger, 5, "" },
  { 1, math.mininteger, "" }, { 0, 1, "h" }, { 2, -2, "ell" },
} do
  assert(s:sub(c[1], c[2]) == c[3], c[1] .. "," .. c[2])
end
assert(s:sub(2) == "ello" and s:sub(-2) == "lo" and ("\0a\0"):sub(2) == "a\0")
fails("bad argument #1 to 'sub' (number expected, got no value)", s.sub and function() return s:sub() end)

-- byte and char
assert(("abc"):byte() == 97 and ("abc"):byte(-1) == 99 and ("\xff"):byte() == 255 and ("abc"):byte(10) == nil)
local a, b, c, d = ("abc"):byte(1, -1)
assert(a == 97 and b == 98 and c == 99 and d == nil and select("#", ("abc"):byte(3, 2)) == 0)
assert(string.char() == "" and string.char(0, 255, 97) == "\0\xffa")
fails("bad argument #2 to 'string.char' (value out of range)", string.char, 0, 256)
fails("bad argument #1 to 'string.char' (value out of range)", string.char, -1)

-- rep
assert(("ab"):rep(3) == "ababab" and ("ab"):rep(3, ",") == "ab,ab,ab" and ("ab"):rep(0) == "" and ("ab"):rep(-1, "x") == "")
assert(("ab"):rep(1, ",") == "ab" and (""):rep(1000000) == "" and (""):rep(3, "-") == "--")
fails("resulting string too large", string.rep, "x", 1 << 62)
fails("resulting string too large", string.rep, "abc", math.maxinteger)
fails("resulting string too large", string.rep, "", math.maxinteger, "ab")

-- reverse, lower, upper, len
assert(("abc"):reverse() == "cba" and (""):reverse() == "" and ("a\0b"):reverse() == "b\0a")
assert(("MiXed 1\xC4"):lower() == "mixed 1\xC4" and ("MiXed 1\xe4"):upper() == "MIXED 1\xe4")
assert(("abc"):len() == 3 and ("\0\0"):len() == 2)

-- Methods through the metatable of strings.
assert(getmetatable("").__index == string and getmetatable("") == getmetatable("other"))
assert(("x").rep == string.rep and ("%d"):format(3) == "3")
assert(("x").nothing == nil)
fails("attempt to index a number value", function() local n = 5 return n.x.y end)
fails("attempt to call a nil value (method 'nothing')", function() return ("x"):nothing() end)
-- Numbers are converted to strings where one is expected.
assert(string.len(12) == 2 and string.rep(1, 3) == "111" and string.upper(1.5) == "1.5" and (5 .. ""):rep(2) == "55")
fails("bad argument #1 to 'string.len' (string expected, got nil)", string.len, nil)
fails("bad argument #1 to 'string.upper' (string expected, got table)", string.upper, {})
fails("bad argument #1 to 'string.len' (string expected, got no value)", string.len)
fails("calling 'rep' on bad self", function() local x = setmetatable({}, { __index = string }) x:rep(2) end)

-- Strings of all lengths are equal by content, however they were made, and are the same key.
local t = {}
for n = 0, 300 do
  local x, y = ("q"):rep(n), ("qq"):rep(n):sub(1, n)
  assert(x == y and #x == n and rawequal(x, y))
  t[x] = n
  assert(t[y] == n and t[y .. "r"] == nil)
end
local n = 0
for k, v in pairs(t) do
  assert(#k == v)
  n = n + 1
end
assert(n == 301)
local long1, long2 = ("ab"):rep(5000), ("a" .. "b"):rep(2500):rep(2)
assert(long1 == long2 and not (long1 < long2) and long1 <= long2 and long1 .. "x" ~= long2 .. "y")

-- Concatenation of many operands, and in a loop.
local parts = {}
for i = 1, 150 do parts[i] = i .. "" end
local joined = load("local p = ... return p[1]" .. (function()
  local code = {}
  for i = 2, 150 do code[#code + 1] = " .. p[" .. i .. "]" end
  return table.concat(code)
end)())(parts)
assert(joined == table.concat(parts))
local grown = ""
for i = 1, 500 do grown = grown .. string.char(i % 256) end
assert(#grown == 500 and grown:byte(300) == 300 % 256 and grown:byte(500) == 500 % 256)

-- dump needs a Lua function.
fails("unable to dump given function", string.dump, print)
fails("bad argument #1 to 'string.dump' (function expected, got number)", string.dump, 1)
