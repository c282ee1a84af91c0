-- The library math. Manual, 6.7.

local function fails(message, f, ...)
  local ok, err = pcall(f, ...)
  assert(not ok and tostring(err):find(message, 1, true), tostring(err))
end
local function is(value, kind, expected)
  assert(math.type(value) == kind and value == expected, tostring(value))
end
local function near(a, b) assert(math.abs(a - b) <= 1e-14 * math.max(1, math.abs(b)), a .. " is not near " .. b) end

assert(math.maxinteger == 0x7fffffffffffffff and math.mininteger == -0x7fffffffffffffff - 1 and math.huge == 1 / 0)
near(math.pi, 3.14159265358979323846)
assert(math.type(1) == "integer" and math.type(1.0) == "float" and math.type("1") == nil and math.type(nil) == nil)
fails("bad argument #1 to 'math.type' (value expected)", math.type)

-- floor and ceil give integers where they fit.
is(math.floor(3.7), "integer", 3)
is(math.floor(-3.7), "integer", -4)
is(math.ceil(3.2), "integer", 4)
is(math.ceil(-3.2), "integer", -3)
is(math.floor(5), "integer", 5)
is(math.floor(2.0 ^ 62), "integer", 1 << 62)
is(math.floor(2.0 ^ 63), "float", 2.0 ^ 63)
is(math.ceil(-1e300), "float", -1e300)
is(math.floor(math.huge), "float", math.huge)
is(math.floor("3.7"), "integer", 3)
is(math.ceil(-0.5), "integer", 0)
is(math.floor(-(2.0 ^ 63)), "integer", math.mininteger)

-- tointeger
is(math.tointeger(3.0), "integer", 3)
is(math.tointeger(7), "integer", 7)
assert(math.tointeger(3.5) == nil and math.tointeger({}) == nil and math.tointeger(2.0 ^ 63) == nil and math.tointeger(math.huge) == nil)
is(math.tointeger(-(2.0 ^ 63)), "integer", math.mininteger)
is(math.tointeger("8"), "integer", 8)
assert(math.tointeger("x") == nil and math.tointeger(0 / 0) == nil)

-- abs, max, min, fmod, modf, ult.
is(math.abs(-5), "integer", 5)
is(math.abs(-5.5), "float", 5.5)
is(math.abs(math.mininteger), "integer", math.mininteger)
is(math.max(1, 2.5), "float", 2.5)
is(math.max(3, 2.5), "integer", 3)
is(math.min(1, 1.0), "integer", 1)
is(math.min(1.0, 1), "float", 1.0)
is(math.max(-1, math.mininteger), "integer", -1)
is(math.min(math.huge, math.maxinteger), "integer", math.maxinteger)
fails("bad argument #1 to 'math.max' (value expected)", math.max)
is(math.fmod(7, 3), "integer", 1)
is(math.fmod(-7, 3), "integer", -1)
is(math.fmod(7, -3), "integer", 1)
is(math.fmod(-7, -3), "integer", -1)
is(math.fmod(7.5, 2), "float", 1.5)
is(math.fmod(-7.5, 2), "float", -1.5)
is(math.fmod(math.mininteger, -1), "integer", 0)
fails("bad argument #2 to 'math.fmod' (zero)", math.fmod, 1, 0)
local nan = math.fmod(1, 0.0)
assert(nan ~= nan)
is(math.fmod(5, math.huge), "float", 5.0)
local i, f = math.modf(3.7)
assert(i == 3.0)
near(f, 0.7)
i, f = math.modf(-3.7)
assert(i == -3.0)
near(f, -0.7)
i, f = math.modf(math.huge)
assert(i == math.huge and f == 0.0)
i, f = math.modf(5)
assert(i == 5)
is(f, "float", 0.0)
assert(math.ult(1, 2) and math.ult(1, -1) and not math.ult(-1, 1) and not math.ult(2, 2) and math.ult(math.maxinteger, math.mininteger))

-- Roots, exponentials, logarithms, trigonometry.
is(math.sqrt(16), "float", 4.0)
near(math.sqrt(2), 1.4142135623730951)
local root = math.sqrt(-1)
assert(root ~= root)
is(math.exp(0), "float", 1.0)
near(math.exp(1), 2.718281828459045)
near(math.log(math.exp(3)), 3)
is(math.log(8, 2), "float", 3.0)
is(math.log(1000, 10), "float", 3.0)
near(math.log(27, 3), 3)
is(math.log(1), "float", 0.0)
assert(math.log(0) == -math.huge and math.log(2 ^ 1000, 2) == 1000.0)
near(math.sin(math.pi / 6), 0.5)
near(math.cos(math.pi / 3), 0.5)
near(math.tan(math.pi / 4), 1)
near(math.asin(1), math.pi / 2)
near(math.acos(0), math.pi / 2)
near(math.atan(1), math.pi / 4)
near(math.atan(1, -1), 3 * math.pi / 4)
near(math.atan(-1, -1), -3 * math.pi / 4)
near(math.atan(0, -1), math.pi)
near(math.atan(-0.0, -1), -math.pi)
is(math.atan(0, 1), "float", 0.0)
near(math.deg(math.pi), 180)
near(math.rad(180), math.pi)
for x = -3, 3, 0.25 do
  near(math.sin(x) ^ 2 + math.cos(x) ^ 2, 1)
end
fails("bad argument #1 to 'math.sin' (number expected, got no value)", math.sin)
fails("bad argument #1 to 'math.sqrt' (number expected, got string)", math.sqrt, "x")
is(math.sqrt("16"), "float", 4.0)

-- random: ranges, kinds, determinism by seed.
for _ = 1, 200 do
  local r = math.random()
  assert(math.type(r) == "float" and r >= 0 and r < 1)
  local d = math.random(6)
  assert(math.type(d) == "integer" and d >= 1 and d <= 6)
  d = math.random(-3, 3)
  assert(d >= -3 and d <= 3)
  assert(math.type(math.random(0)) == "integer" and math.random(5, 5) == 5)
  d = math.random(math.mininteger, math.maxinteger)
  assert(math.type(d) == "integer")
  d = math.random(math.maxinteger - 1, math.maxinteger)
  assert(d >= math.maxinteger - 1)
end
local seen = {}
for _ = 1, 500 do seen[math.random(5)] = true end
assert(#seen == 5)
math.randomseed(42)
local a = { math.random(1000000), math.random(), math.random(0) }
math.randomseed(42)
assert(a[1] == math.random(1000000) and a[2] == math.random() and a[3] == math.random(0))
math.randomseed(43)
assert(a[1] ~= math.random(1000000) or a[3] ~= math.random(0))
math.randomseed(1, 2)
local b = math.random(0)
math.randomseed(1, 2)
assert(b == math.random(0))
math.randomseed(42.0)
assert(math.random(1000000) == a[1])
math.randomseed()
local average = 0
for _ = 1, 2000 do average = average + math.random() end
assert(average > 900 and average < 1100)
fails("bad argument #1 to 'math.random' (interval is empty)", math.random, -1)
fails("(interval is empty)", math.random, 2, 1)
fails("wrong number of arguments", math.random, 1, 2, 3)
fails("number has no integer representation", math.random, 1.5)
-- The generator is xoshiro256** with a state of the two integers, so the draws of a seed are known.
math.randomseed(123, 456)
assert(math.random(0) == -7482266044409867603 and math.random(0) == -4076395480158212337)
math.randomseed(42)
assert(math.random(0) == -1276290044721465627 and math.random(1, 100) == 50)

-- What Lua 5.3 deprecated and the usual build of Lua 5.4 still has.
if math.pow then
  assert(math.pow(2, 10) == 1024.0 and math.type(math.pow(2, 2)) == "float" and math.log10(1000) == 3.0 and math.atan2(1, -1) == math.atan(1, -1))
  assert(math.cosh(0) == 1.0 and math.sinh(0) == 0.0 and math.tanh(0) == 0.0 and math.abs(math.sinh(1) - 1.1752011936438) < 1e-12)
  local function same(x, ...) assert(select("#", ...) == 2) local m, e = ... assert(m == x[1] and e == x[2] and math.type(e) == "integer") end
  same({ 0.5, 4 }, math.frexp(8)) same({ -0.75, 2 }, math.frexp(-3)) same({ 0.5, -1073 }, math.frexp(5e-324)) same({ 0.0, 0 }, math.frexp(0))
  assert(math.frexp(math.huge) == math.huge)
  assert(math.ldexp(0.5, 4) == 8.0 and math.ldexp(1, -1074) == 5e-324 and math.ldexp(1, 1024) == math.huge and math.ldexp(1.5, -1075) == 5e-324)
  assert(math.ldexp(math.frexp(1e-310)) == 1e-310 and math.ldexp(math.frexp(-math.pi)) == -math.pi)
end
