-- Bitwise operators: they work on integers of 64 bits. Reference manual, 3.4.2 and 3.4.3.

local function fails(message, f, ...)
  local ok, err = pcall(f, ...)
  assert(not ok and tostring(err):find(message, 1, true), tostring(err))
end
local function id(...) return ... end
local minint, maxint = math.mininteger, math.maxinteger

assert(id(0xF0) & id(0x3C) == 0x30)
assert(id(0xF0) | id(0x0F) == 0xFF)
assert(id(0xFF) ~ id(0x0F) == 0xF0)
assert(~id(0) == -1 and ~id(-1) == 0 and ~id(maxint) == minint)
assert(-1 & 0xFF == 255 and -1 ~ -1 == 0)

-- Shifts fill with zeros; a count of 64 or more gives 0; a negative count shifts the other way.
assert(id(1) << id(4) == 16 and id(16) >> id(4) == 1)
assert(id(-1) >> 1 == maxint and id(-1) >> 63 == 1 and id(-1) >> 64 == 0 and id(-1) << 64 == 0)
assert(id(1) << 63 == minint and id(1) << 62 == 1 << 62)
assert(id(1) << -1 == 0 and id(2) << -1 == 1 and id(1) >> -3 == 8)
assert(id(1) << maxint == 0 and id(1) >> minint == 0 and id(1) << minint == 0)
assert(id(-1) << 1 == -2 and id(5) >> 0 == 5 and id(5) << 0 == 5)
assert(2 >> 1 == 1 and 8 << -2 == 2)

-- Floats with an exact integer value are converted; others are errors.
assert(3.0 & 1 == 1 and 2.0 ^ 53 | 0 == 1 << 53 and ~0.0 == -1)
assert(math.type(3.0 | 0) == "integer")
fails("number has no integer representation", function() return id(1.5) & 1 end)
fails("number has no integer representation", function() return 1 | id(2.0 ^ 63) end)
fails("number has no integer representation", function() return ~id(math.huge) end)
fails("number has no integer representation", function() return 1 << id(0 / 0) end)
assert(-(2.0 ^ 63) | 0 == minint)

-- Strings are not converted: the metamethods of strings are for arithmetic only.
fails("attempt to perform bitwise operation on a string value", function() return "3" & 1 end)
fails("attempt to perform bitwise operation on a string value", function() return 1 ~ "x" end)
fails("attempt to perform bitwise operation on a string value", function() return ~"0" end)
fails("attempt to perform bitwise operation on a string value", function() return 1.5 & "1" end)
fails("attempt to perform bitwise operation on a nil value", function() return 1 & nil end)
fails("attempt to perform bitwise operation on a table value", function() return ~{} end)
fails("attempt to perform bitwise operation on a boolean value", function() return true << 1 end)

-- Precedence: ~ & binds tighter than ~, which binds tighter than |; shifts bind tighter than &, looser than arithmetic.
assert(1 | 2 ~ 3 & 1 == 1 | (2 ~ (3 & 1)))
assert(1 << 2 & 4 == 4 and 1 + 1 << 2 == 8)
assert(5 & 3 == 1 and (5 & 3) == 1)
assert(~5 & 0xF == 10 and -1 >> 60 == 15)
assert(1 << 2 << 3 == 32 and 256 >> 2 >> 1 == 32)

-- Identities over bit patterns.
local x = 0x0123456789ABCDEF
for i = 0, 63 do
  local bit = 1 << i
  assert((x | bit) & bit == bit and x & ~bit == x - (x & bit) and (x ~ bit) ~ bit == x)
  assert((x << i) >> i == x & ((1 << (64 - i)) - 1) or i == 0)
  assert(x >> i == x // (i < 63 and bit or 1) or i == 63)
end

-- A population count and a byte swap by bits.
local function popcount(n)
  local c = 0
  while n ~= 0 do
    n = n & n - 1
    c = c + 1
  end
  return c
end
assert(popcount(-1) == 64 and popcount(minint) == 1 and popcount(x) == 32)
local function swap(n)
  local r = 0
  for _ = 1, 8 do
    r = r << 8 | n & 0xFF
    n = n >> 8
  end
  return r
end
assert(swap(x) == math.tointeger(0xEFCDAB8967452301) and swap(swap(x)) == x)
