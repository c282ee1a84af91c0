-- Conversions between numbers and strings: tostring, tonumber, concatenation, integer representation.

local function fails(message, f, ...)
  local ok, err = pcall(f, ...)
  assert(not ok and tostring(err):find(message, 1, true), tostring(err))
end
local function is(value, kind, expected)
  assert(math.type(value) == kind and value == expected, tostring(value))
end

-- tostring: floats that look like integers show ".0"; %.14g otherwise.
for value, text in pairs {
  [10] = "10", [-3] = "-3", [0.5] = "0.5", [-0.25] = "-0.25", [2e100] = "2e+100", [1e100] = "1e+100",
  [123456789012345] = "123456789012345", [1e14] = "100000000000000", [0.1] = "0.1", [1 / 3] = "0.33333333333333",
  [3.14159265358979] = "3.1415926535898", [2.0 ^ 63] = "9.2233720368548e+18",
} do
  assert(tostring(value) == text, tostring(value) .. " is not " .. text)
end
assert(tostring(3.0) == "3.0" and tostring(-0.0) == "-0.0" and tostring(0.0) == "0.0" and tostring(100.0) == "100.0")
assert(tostring(1e300 * 1e10) == "inf" and tostring(-1e300 * 1e10) == "-inf")
assert(tostring(0 / 0):find("nan"))
assert(tostring(math.mininteger) == "-9223372036854775808" and tostring(math.maxinteger) == "9223372036854775807")
assert(tostring(2.0 ^ 53) == "9.007199254741e+15")
assert(tostring(nil) == "nil" and tostring(true) == "true" and tostring(false) == "false" and tostring("x") == "x")
assert(tostring({}):find("^table: ") and tostring(print):find("^function: ") and tostring(function() end):find("^function: "))
assert(tostring(coroutine.create(print)):find("^thread: "))
assert(tostring(io.stdout):find("^file %("))
fails("bad argument #1 to 'tostring' (value expected)", tostring)

-- Concatenation uses the same text.
assert(1 .. "" == "1" and 1.0 .. "" == "1.0" and -2 .. "|" .. 0.5 == "-2|0.5")
assert(2 ^ 63 .. "" == "9.2233720368548e+18")

-- tonumber without a base.
is(tonumber("10"), "integer", 10)
is(tonumber("  10  "), "integer", 10)
is(tonumber("\t\n10\r\v\f"), "integer", 10)
is(tonumber("-10"), "integer", -10)
is(tonumber("+10"), "integer", 10)
is(tonumber("10."), "float", 10.0)
is(tonumber(".5"), "float", 0.5)
is(tonumber("5e1"), "float", 50.0)
is(tonumber("5E-1"), "float", 0.5)
is(tonumber("0x1F"), "integer", 31)
is(tonumber("-0x10"), "integer", -16)
is(tonumber("0X1p4"), "float", 16.0)
is(tonumber("0x.8"), "float", 0.5)
is(tonumber("0xA.8"), "float", 10.5)
is(tonumber("0x7fffffffffffffff"), "integer", math.maxinteger)
is(tonumber("0xffffffffffffffff"), "integer", -1)
is(tonumber("0x10000000000000000"), "integer", 0)
is(tonumber("9223372036854775807"), "integer", math.maxinteger)
is(tonumber("9223372036854775808"), "float", 2.0 ^ 63)
is(tonumber("-9223372036854775808"), "integer", math.mininteger)
is(tonumber("-9223372036854775809"), "float", -(2.0 ^ 63))
is(tonumber("1e400"), "float", math.huge)
is(tonumber("0e12"), "float", 0.0)
is(tonumber(7), "integer", 7)
is(tonumber(7.5), "float", 7.5)
for _, text in ipairs {
  "", " ", "x", "1x", "x1", "1 2", "0x", "0xg", "1e", "1e+", ".", "-", "+", "- 1", "--1", "+-1", "e1", "1..2", "inf", "nan",
  "0x1p", "1_000", "1,5", "0b1", "１", "1\0", "\0", "0x-1", "infinity", "- 0x1", "1e1.5", "0x1p1.5", "..1",
} do
  assert(tonumber(text) == nil, text)
end
assert(tonumber({}) == nil and tonumber(nil) == nil and tonumber(true) == nil and tonumber(print) == nil)
fails("bad argument #1 to 'tonumber' (value expected)", tonumber)

-- tonumber with a base.
is(tonumber("1010", 2), "integer", 10)
is(tonumber("ff", 16), "integer", 255)
is(tonumber("FF", 16), "integer", 255)
is(tonumber("-zz", 36), "integer", -1295)
is(tonumber(" 77 ", 8), "integer", 63)
is(tonumber("7fffffffffffffff", 16), "integer", math.maxinteger)
is(tonumber("ffffffffffffffff", 16), "integer", -1)
assert(tonumber("8", 8) == nil and tonumber("1.0", 10) == nil and tonumber("", 10) == nil and tonumber("0x10", 16) == nil)
assert(tonumber("1e1", 10) == nil and tonumber("g", 16) == nil and tonumber("1 1", 2) == nil and tonumber("-", 10) == nil)
fails("bad argument #2 to 'tonumber' (base out of range)", tonumber, "1", 1)
fails("bad argument #2 to 'tonumber' (base out of range)", tonumber, "1", 37)
fails("bad argument #1 to 'tonumber' (string expected, got number)", tonumber, 10, 10)

-- Where an integer is asked for, a float or a string with an integer value will do.
assert(("x"):rep(3.0) == "xxx" and ("x"):rep("2") == "xx")
assert(string.char(65.0) == "A" and ("abc"):sub("2", 2.0) == "b")
fails("number has no integer representation", string.rep, "x", 1.5)
fails("number expected, got string", string.rep, "x", "y")
fails("number expected, got no value", string.rep, "x")
fails("number has no integer representation", string.char, 2.0 ^ 63)
for i = 3, 1.0, -1 do assert(math.type(i) == "integer") end

-- Table keys: floats with an integer value are the integer.
local t = { [1] = "a" }
assert(t[1.0] == "a")
t[2.0 ^ 53] = "big"
assert(t[1 << 53] == "big" and math.type(next({ [3.0] = true })) == "integer")
t["1"] = "text"
assert(t[1] == "a" and t["1"] == "text")

-- Round trips by %a and %.17g.
for _, x in ipairs { 0.1, 1 / 3, 2 ^ -1074, 2 ^ 1023, -123.456, 1e-300, math.pi } do
  assert(tonumber(string.format("%.17g", x)) == x and tonumber(string.format("%a", x)) == x)
end
