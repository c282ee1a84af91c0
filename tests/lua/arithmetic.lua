-- Arithmetic: integers, floats, division, modulo, powers, overflow, precedence. Reference manual, 3.4.1 to 3.4.3.

local maxint, minint = math.maxinteger, math.mininteger
local function fails(message, f, ...)
  local ok, err = pcall(f, ...)
  assert(not ok and tostring(err):find(message, 1, true), tostring(err))
end
-- Operands that are not constants for the compiler.
local function id(...) return ... end
local function is(value, kind, expected)
  assert(math.type(value) == kind and value == expected, tostring(value) .. " is not " .. kind .. " " .. tostring(expected))
end

-- Kinds of results: two integers give an integer, except for / and ^.
is(id(3) + id(4), "integer", 7)
is(id(3) - id(4), "integer", -1)
is(id(3) * id(4), "integer", 12)
is(id(12) / id(4), "float", 3.0)
is(id(2) ^ id(3), "float", 8.0)
is(id(7) // id(2), "integer", 3)
is(id(7) % id(2), "integer", 1)
is(id(3) + id(4.0), "float", 7.0)
is(id(7.0) // id(2), "float", 3.0)
is(id(7) % id(2.0), "float", 1.0)
is(-id(3), "integer", -3)
is(-id(3.5), "float", -3.5)

-- Integers wrap around.
is(id(maxint) + 1, "integer", minint)
is(id(minint) - 1, "integer", maxint)
is(id(maxint) * 2, "integer", -2)
is(-id(minint), "integer", minint)
is(id(minint) // -1, "integer", minint)
is(id(minint) % -1, "integer", 0)
is(math.abs(minint), "integer", minint)
is(id(minint) * -1, "integer", minint)
is(0x7fffffffffffffff + 1, "integer", minint)

-- Floor division rounds toward minus infinity; modulo has the sign of the divisor.
for _, c in ipairs {
  { 7, 3, 2, 1 }, { -7, 3, -3, 2 }, { 7, -3, -3, -2 }, { -7, -3, 2, -1 },
  { 6, 3, 2, 0 }, { -6, 3, -2, 0 }, { 6, -3, -2, 0 }, { 0, 5, 0, 0 }, { 1, maxint, 0, 1 },
  { -1, maxint, -1, maxint - 1 }, { minint, maxint, -2, maxint - 1 }, { maxint, minint, -1, -1 },
} do
  local a, b, q, r = c[1], c[2], c[3], c[4]
  is(a // b, "integer", q)
  is(a % b, "integer", r)
  assert(a == b * (a // b) + a % b)
end
is(-7.5 // 2, "float", -4.0)
is(-7.5 % 2, "float", 0.5)
is(7.5 % -2, "float", -0.5)
is(5.0 % math.huge, "float", 5.0)
is(-5.0 % math.huge, "float", math.huge)
is(5.0 % -math.huge, "float", -math.huge)
is(-5.0 % -math.huge, "float", -5.0)
is(1e308 // 1e-308, "float", math.huge)
assert(1 / (-0.0 % 5) < 0 or 1 / (-0.0 % 5) > 0)

-- Division by zero.
fails("attempt to divide by zero", function() return id(1) // id(0) end)
fails("attempt to perform 'n%0'", function() return id(1) % id(0) end)
fails("attempt to divide by zero", function() return id(1) // 0 end)
fails("attempt to perform 'n%0'", function() return id(minint) % 0 end)
is(id(1) / id(0), "float", math.huge)
is(id(-1) / id(0), "float", -math.huge)
is(id(1.0) // id(0), "float", math.huge)
is(id(-1) // id(0.0), "float", -math.huge)
local nan = id(0) / id(0)
assert(nan ~= nan)
local m = id(1) % id(0.0)
assert(m ~= m)
assert(1 / id(0.0) == math.huge and 1 / -id(0.0) == -math.huge)
assert(0.0 == -0.0)

-- Powers, always of floats.
is(2 ^ 53, "float", 9007199254740992.0)
is(2 ^ -1, "float", 0.5)
is((-2) ^ 2, "float", 4.0)
is(-2 ^ 2, "float", -4.0)
is(2 ^ 3 ^ 2, "float", 512.0)
is(2 ^ -2 ^ 1, "float", 0.25)
local root = (-8) ^ (1 / 3)
assert(root ~= root)
is(0 ^ 0, "float", 1.0)

-- Precedence and associativity.
assert(2 + 3 * 4 == 14 and (2 + 3) * 4 == 20)
assert(10 - 3 - 2 == 5 and 100 / 10 / 2 == 5.0)
assert(-3 % 5 == 2 and -(3 % 5) == -3)
assert(not nil == true and not 1 == false)
assert(1 .. 2 == "12" and "a" .. 1 + 2 == "a3")
assert(2 .. 3 .. 4 == "234")
assert(1 + 1 == 2 and 1 < 2 and not (2 < 1))
assert(5 // 2 * 2 + 5 % 2 == 5)
assert(1 << 2 + 1 == 8 and 1 | 2 & 3 == 3 and 6 ~ 3 & 1 == 7)
assert("10" + 5 == 15 and 3 < 4 == true)

-- Literals.
is(0xff, "integer", 255)
is(0xA.8p0, "float", 10.5)
is(0x.1p4, "float", 1.0)
is(0xffffffffffffffff, "integer", -1)
is(0x1ffffffffffffffff, "integer", -1)
is(1e2, "float", 100.0)
is(.5, "float", 0.5)
is(3., "float", 3.0)
is(9223372036854775807, "integer", maxint)
is(9223372036854775808, "float", 2.0 ^ 63)
is(-9223372036854775808, "float", -(2.0 ^ 63))
is(1E+2, "float", 100.0)
is(0x1P-2, "float", 0.25)

-- Comparisons between integers and floats are exact.
assert(1 == 1.0 and maxint ~= 2.0 ^ 63 and minint == -(2.0 ^ 63))
assert(maxint < 2.0 ^ 63 and not (maxint < maxint + 0.0 - 1024))
assert(2 ^ 53 == (1 << 53) and 2 ^ 53 ~= (1 << 53) + 1)
assert((1 << 53) + 1 > 2 ^ 53 and 2 ^ 53 < (1 << 53) + 1)
assert(maxint + 0.0 == 2.0 ^ 63 and maxint <= maxint + 0.0)
assert(1 < 1.5 and 1.5 < 2 and -1 > -1.5 and 1 <= 1.0 and 1 >= 1.0)
assert(minint <= -(2.0 ^ 63) and not (minint < -(2.0 ^ 63)))
assert(maxint < math.huge and minint > -math.huge)
assert(not (1 < nan) and not (1 > nan) and not (nan <= 1) and not (nan >= maxint) and nan ~= nan and not (nan == nan))
fails("attempt to compare number with string", function() return 1 < "2" end)
fails("attempt to compare two table values", function() return {} < {} end)
fails("attempt to compare nil with number", function() return nil < 1 end)
assert(1 ~= "1")

-- Strings become numbers in arithmetic and keep their kind.
is("10" + 1, "integer", 11)
is("0x10" + 0, "integer", 16)
is("10" * "2", "integer", 20)
is("3.0" + 1, "float", 4.0)
is(" 5 " * 2, "integer", 10)
is("1e1" + 0, "float", 10.0)
is(-"2", "integer", -2)
is(-"2.0", "float", -2.0)
is("9223372036854775807" + 1, "integer", minint)
is("10" // "3", "integer", 3)
is("2" ^ "3", "float", 8.0)
fails("attempt to add a 'string' with a 'number'", function() return "abc" + 1 end)
fails("attempt to perform arithmetic on a nil value", function() return nil + 1 end)
fails("attempt to perform arithmetic on a table value", function() return {} * 1 end)
fails("attempt to perform arithmetic on a boolean value", function() return 1 - true end)

-- Constants folded by a compiler must give what the machine gives.
assert(1 // 1 == id(1) // id(1) and 7 % -3 == id(7) % id(-3) and 2 ^ 0.5 == id(2) ^ id(0.5))
assert(3 - -3 == 6 and - -3 == 3 and not not nil == false)
assert(1 / 0 > 0 and -1 / 0 < 0 and 1 / -0.0 < 0)
assert(-3 % 1e-308 == id(-3) % id(1e-308) and -3 % 1e-308 > 0 and 3 % -1e-308 < 0 and -0.0 % 5 == 0)

-- An integer constant is subtracted by adding its negation, so that of a negative zero nothing is left; a variable is subtracted.
do
  local negative, zero, constant <const> = -0.0, 0, 0
  assert(1 / (negative - 0) == math.huge and 1 / (negative - constant) == math.huge and 1 / (-0.0 - 0) == math.huge)
  assert(1 / (negative - zero) == -math.huge and 1 / (negative - 0.0) == -math.huge)
  assert(2.5 - 1 == 1.5 and 2.5 - math.mininteger == 2.5 + 2.0 ^ 63 and 1 - 0.0 == 1.0 and 0 - 0.0 == 0.0)
end
