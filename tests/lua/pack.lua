-- string.pack, string.packsize, string.unpack. Manual, 6.4.2.

local function fails(message, f, ...)
  local ok, err = pcall(f, ...)
  assert(not ok and tostring(err):find(message, 1, true), tostring(err))
end
local pack, unpack, packsize = string.pack, string.unpack, string.packsize
local function hex(s) return (s:gsub(".", function(c) return ("%02x"):format(c:byte()) end)) end
local function is(expected, ...)
  local got = hex(pack(...))
  assert(got == expected, got .. " is not " .. expected)
end

-- Integers of all sizes in both orders.
is("01", "b", 1)
is("ff", "b", -1)
is("ff", "B", 255)
is("0100", "<h", 1)
is("0001", ">h", 1)
is("01000000", "<i", 1)
is("00000001", ">i4", 1)
is("feffffff", "<i4", -2)
is("0100000000000000", "<l", 1)
is("0100000000000000", "<j", 1)
is("ffffffffffffffff", "<j", -1)
is("0102030405060708", ">J", 0x0102030405060708)
is("010000", "<i3", 1)
is("ffffff", "<i3", -1)
is("000102", ">I3", 258)
is("01000000000000000000000000000000", "<i16", 1)
is("ffffffffffffffffffffffffffffffff", "<i16", -1)
is("0000000000000000ffffffffffffffff", ">I16", -1)
for size = 1, 16 do
  for _, order in ipairs { "<", ">", "=" } do
    local f = order .. "i" .. size
    assert(packsize(f) == size and #pack(f, 100) == size)
    for _, v in ipairs { 0, 1, -1, 100, -100, 127, -128 } do
      assert(unpack(f, pack(f, v)) == v)
    end
    local u = order .. "I" .. size
    assert(unpack(u, pack(u, 200)) == 200)
  end
end
for _, v in ipairs { math.maxinteger, math.mininteger, 0x0123456789abcdef, -0x0123456789abcdef } do
  for _, f in ipairs { "<j", ">j", "<i8", ">i9", "<i16", "=l" } do assert(unpack(f, pack(f, v)) == v) end
end
fails("integer overflow", pack, "b", 128)
fails("integer overflow", pack, "b", -129)
fails("unsigned overflow", pack, "B", 256)
fails("unsigned overflow", pack, "B", -1)
fails("integer overflow", pack, "i2", 32768)
fails("16-byte integer does not fit into Lua Integer", unpack, "<i16", ("\xff"):rep(8) .. ("\x01"):rep(8))
fails("9-byte integer does not fit into Lua Integer", unpack, "<I9", ("\xff"):rep(9))
fails("integral size (17) out of limits [1,16]", pack, "i17", 1)
fails("integral size (0) out of limits [1,16]", packsize, "i0")

-- Floats.
is("0000803f", "<f", 1)
is("3f800000", ">f", 1)
is("000000000000f03f", "<d", 1)
is("000000000000f03f", "<n", 1)
for _, v in ipairs { 0.0, 1.5, -2.25, 1e100, math.huge, -math.huge, 2.0 ^ -1074 } do
  assert(unpack("<d", pack("<d", v)) == v and unpack(">n", pack(">n", v)) == v)
end
assert(unpack("<f", pack("<f", 0.1)) ~= 0.1 and unpack("<f", pack("<f", 0.5)) == 0.5)
assert(math.type(unpack("d", pack("d", 3))) == "float")

-- Strings: of fixed size, with a length before, with a zero behind.
is("616200", "c3", "ab")
is("", "c0", "")
is("0261620000", "s1c2", "ab", "")
is("02000000000000006162", "<s", "ab")
is("00026162", ">s2", "ab")
is("616200", "z", "ab")
assert(unpack("z", "ab\0cd") == "ab" and select(2, unpack("z", "ab\0cd")) == 4)
assert(unpack("s1", "\3abcd") == "abc" and unpack("c2", "abcd") == "ab")
fails("string longer than given size", pack, "c2", "abc")
fails("string contains zeros", pack, "z", "a\0b")
fails("unfinished string for format 'z'", unpack, "z", "abc")
fails("data string too short", unpack, "s1", "\5abc")
fails("data string too short", unpack, "c5", "abc")
fails("data string too short", unpack, "i4", "abc")
fails("string length does not fit in given size", pack, "s1", ("x"):rep(256))
fails("missing size for format option 'c'", pack, "c", "x")

-- Padding and alignment.
is("00", "x")
is("0100000002000000", "<!4 b i4", 1, 2)
is("0102000000", "<b i4", 1, 2)
is("010000000000000002", "<!8 b Xi8 b", 1, 2)
is("01000200", "<!2 b h", 1, 2)
is("00000001", ">!4 i4", 1)
assert(packsize("!8 b d") == 16 and packsize("b d") == 9 and packsize("!4 b d") == 12)
assert(packsize("!4 i1 !2 i4") == 6 and packsize("xxx") == 3 and packsize("") == 0)
fails("format asks for alignment not power of 2", pack, "!4 i3", 1)
fails("invalid next option for option 'X'", pack, "X")
fails("invalid next option for option 'X'", pack, "Xz")
fails("variable-length format", packsize, "s")
fails("variable-length format", packsize, "z")
fails("invalid format option 'q'", pack, "q", 1)
fails("too large", packsize, ("c200000000"):rep(11))

-- Positions.
local data = pack("<i4i4i4", 10, 20, 30)
assert(unpack("<i4", data, 5) == 20 and unpack("<i4", data, -4) == 30)
local a, b, next_position = unpack("<i4i4", data, 5)
assert(a == 20 and b == 30 and next_position == 13)
local position, sum = 1, 0
while position <= #data do
  local v
  v, position = unpack("<i4", data, position)
  sum = sum + v
end
assert(sum == 60 and select("#", unpack("", data)) == 1)
fails("initial position out of string", unpack, "b", "abc", 5)
fails("initial position out of string", unpack, "c0", "abc", 100)
fails("data string too short", unpack, "b", "abc", 4)
assert(unpack("c0", "abc", 4) == "")

-- Mixed records come back whole.
local f = ">!4 s1 z i2 d c3 B j"
local packed = pack(f, "name", "zero", -3, 2.5, "abc", 255, math.mininteger)
local r = { unpack(f, packed) }
assert(r[1] == "name" and r[2] == "zero" and r[3] == -3 and r[4] == 2.5 and r[5] == "abc" and r[6] == 255)
assert(r[7] == math.mininteger and r[8] == #packed + 1 and #r == 8)
-- A nil stands behind the arguments.
fails("bad argument #2 to 'string.pack' (number expected, got nil)", pack, "i4")
fails("bad argument #3 to 'string.pack' (string expected, got nil)", pack, "i4zs", 1)
fails("bad argument #1 to 'string.pack' (string expected, got no value)", pack)
fails("bad argument #2 to 'string.unpack' (string expected, got no value)", unpack, "i4")
fails("bad argument #2 to 'string.pack' (number has no integer representation)", pack, "i4", 1.5)
