-- The library `mem`: explicit allocation, with every classic error reported. Neap's own; Lua has none.

if not mem then return end

local function line() return debug.getinfo(2, "l").currentline end
local function here(n) return "mem.lua:" .. n end
-- Calls a function that must fail, and returns the message.
local function fails(f, ...)
  local ok, err = pcall(f, ...)
  assert(not ok, "no error")
  return err
end
local function is(got, expected)
  assert(got == expected, tostring(got) .. "\nis not\n" .. tostring(expected))
end
local function ends(got, expected)
  assert(got:sub(-#expected) == expected, got .. "\ndoes not end with\n" .. expected)
end
assert(package.loaded.mem == mem)

-- Writing and reading by the formats of string.pack.
do
  local b <close> = mem.malloc(64)
  assert(#b == 64 and b:size() == 64 and type(b) == "userdata")
  local after = b:write(0, "<i4 d z s2 c3 B", -7, 1.5, "zero", "counted", "ab", 255)
  assert(after == 4 + 8 + 5 + 9 + 3 + 1)
  local i, d, z, s, c, u, next_ = b:read(0, "<i4 d z s2 c3 B")
  assert(i == -7 and d == 1.5 and z == "zero" and s == "counted" and c == "ab\0" and u == 255 and next_ == after)
  assert(b:read(0, "c" .. after) == string.pack("<i4 d z s2 c3 B", -7, 1.5, "zero", "counted", "ab", 255))
  -- Byte order, odd sizes.
  b:write(40, ">I3 <i16", 0x010203, -2)
  assert(b:read(40, "c3") == "\1\2\3" and b:read(43, "<i16") == -2 and b:read(43, "B") == 0xfe)
  -- Alignment counts from the start of the block.
  assert(b:write(1, "!8 i8", 5) == 16 and b:read(8, "i8") == 5 and b:read(1, "!8 i8") == 5)
  assert(b:read(3, "xxxxx i8") == 5 and b:read(3, "xxxxx Xi8") == 8)
  -- Nothing at all, up to the end.
  assert(b:write(64, "") == 64 and b:read(64, "") == 64 and b:write(10, " ") == 10)
  -- Numbers and strings are converted as everywhere.
  b:write("0", "i4 z", "12", 34)
  assert(b:read(0.0, "i4") == 12 and b:read(4, "z") == "34")
end

-- calloc, fill, copy, realloc.
do
  local b <close> = mem.calloc(10, 4)
  assert(#b == 40 and b:read(0, "c40") == ("\0"):rep(40))
  local e <close> = mem.calloc(0)
  assert(#e:realloc(3):realloc(0) == 0)
  b:fill(0x61)
  b:fill(0x62, 38)
  b:fill(0x63, 1, 2)
  is(b:read(0, "c40"), "acc" .. ("a"):rep(35) .. "bb")
  b:copy(2, b, 0, 5)
  is(b:read(0, "c8"), "acaccaaa")
  local c <close> = mem.malloc(4)
  c:copy(0, b, 1, 3)
  is(c:read(0, "c3"), "cac")
  b:copy(36, c, 0, 3)
  is(b:read(34, "c6"), "aacacb")
  -- The handle stays the same, the bytes too.
  assert(rawequal(b:realloc(50), b) and #b == 50)
  is(b:read(34, "c6"), "aacacb")
  b:realloc(3)
  is(b:read(0, "c3"), "aca")
  c:free()
end

-- The classic errors, and the places that they name.
do
  local a = line() + 1
  local b = mem.malloc(64)
  local block = "block of 64 bytes allocated at "
  local place = tostring(b):match("at (.*)")
  ends(place, here(a))
  is(fails(b.read, b, 0, "B"), "uninitialised read: byte 0 of " .. block .. place .. " was never written")
  is(tostring(b), "mem.block: 64 bytes allocated at " .. place)
  b:fill(1, 0, 10)
  assert(b:read(8, "I2") == 0x0101)
  is(fails(b.read, b, 8, "I4"), "uninitialised read: byte 10 of " .. block .. place .. " was never written")
  is(fails(b.write, b, 62, "i4", 1), "out of bounds: write of 4 bytes at offset 62 of " .. block .. place)
  is(fails(b.write, b, -1, "B", 1), "out of bounds: write of 1 byte at offset -1 of " .. block .. place)
  is(fails(b.write, b, 60, "z", "abcd"), "out of bounds: write of 5 bytes at offset 60 of " .. block .. place)
  is(fails(b.read, b, 64, "B"), "out of bounds: read of 1 byte at offset 64 of " .. block .. place)
  is(fails(b.read, b, math.maxinteger, "B"), "out of bounds: read of 1 byte at offset 9223372036854775807 of " .. block .. place)
  is(fails(b.read, b, 60, "!8 i8"), "out of bounds: read of 8 bytes at offset 64 of " .. block .. place)
  is(fails(b.write, b, 0, "c1000000000", ""), "out of bounds: write of 1000000000 bytes at offset 0 of " .. block .. place)
  is(fails(b.fill, b, 0, 60, 5), "out of bounds: write of 5 bytes at offset 60 of " .. block .. place)
  is(fails(b.copy, b, 60, b, 0, 5), "out of bounds: write of 5 bytes at offset 60 of " .. block .. place)
  is(fails(b.copy, b, 0, b, 60, 5), "out of bounds: read of 5 bytes at offset 60 of " .. block .. place)
  -- A text without an end; a length that leads outside.
  b:fill(0x78)
  is(fails(b.read, b, 60, "z"), "out of bounds: read of 5 bytes at offset 60 of " .. block .. place)
  is(fails(b.read, b, 0, "s1"), "out of bounds: read of 120 bytes at offset 1 of " .. block .. place)
  is(fails(b.read, b, 0, "s8"), "out of bounds: read of 8680820740569200760 bytes at offset 8 of " .. block .. place)
  -- Nothing is written unless all of it fits.
  fails(b.write, b, 60, "BBBBB", 1, 2, 3, 4, 5)
  fails(b.write, b, 0, "BB", 1, 256)
  is(b:read(0, "c64"), ("x"):rep(64))
  -- Copies carry what was never written.
  local c = mem.malloc(8)
  c:write(2, "c2", "hi")
  b:copy(0, c)
  is(b:read(2, "c2"), "hi")
  assert(fails(b.read, b, 0, "B"):find("uninitialised read: byte 0 of block of 64 bytes", 1, true))
  c:free()

  b:free() local f = line()
  local both = block .. place .. ", freed at " .. place:gsub("%d+$", f)
  is(fails(b.free, b), "double free: " .. both)
  is(tostring(b), "mem.block: 64 bytes allocated at " .. place .. ", freed at " .. place:gsub("%d+$", f))
  for name, arguments in pairs { read = { 0, "" }, write = { 0, "" }, fill = { 0 }, copy = { 0, b }, realloc = { 1 }, size = {} } do
    is(fails(b[name], b, table.unpack(arguments)), "use after free: " .. both)
  end
  is(fails(function() return #b end), place:gsub("%d+$", line()) .. ": use after free: " .. both)
  is(fails(function() b:write(0, "B", 1) end), place:gsub("%d+$", line()) .. ": use after free: " .. both)
end

-- The place is where the program is, also in a protected call or a coroutine.
do
  local _, b = pcall(mem.malloc, 8) local at = line()
  ends(tostring(b), here(at))
  local c = coroutine.wrap(function() local c = mem.malloc(8) coroutine.yield(c, line()) end)
  local d, at = c()
  ends(tostring(d), here(at))
  b:free() d:free()
  ends(tostring(load("local b = mem.calloc(1) b:free() return b", "=chunk")()), "allocated at chunk:1, freed at chunk:1")
end

-- Errors of the arguments.
do
  local b <close> = mem.calloc(8)
  local function argument(expected, f)
    local err = fails(f)
    assert(err:find(expected, 1, true), err)
  end
  argument("bad argument #1 to 'malloc' (size is negative)", function() mem.malloc(-1) end)
  argument("bad argument #1 to 'malloc' (number expected, got nil)", function() mem.malloc(nil) end)
  argument("bad argument #2 to 'calloc' (size is negative)", function() mem.calloc(1, -1) end)
  argument("not enough memory", function() mem.malloc(math.maxinteger) end)
  argument("not enough memory", function() mem.calloc(1 << 40, 1 << 40) end)
  argument("not enough memory", function() b:realloc(math.maxinteger) end)
  argument("invalid format option 'q'", function() b:write(0, "!q") end)
  argument("invalid format option 'q'", function() b:read(0, "q") end)
  argument("bad argument #3 to 'write' (number expected, got no value)", function() b:write(0, "i4") end)
  argument("bad argument #4 to 'write' (unsigned overflow)", function() b:write(0, "BB", 1, 256) end)
  argument("format asks for alignment not power of 2", function() b:write(0, "!4 i3", 1) end)
  argument("bad argument #1 to 'fill' (byte out of range)", function() b:fill(256) end)
  argument("bad argument #3 to 'fill' (count is negative)", function() b:fill(0, 0, -1) end)
  argument("mem.block expected, got table", function() b:copy(0, {}) end)
  argument("mem.block expected, got FILE*", function() b.free(io.stdout) end)
  argument("mem.block expected, got no value", function() b.free() end)
  is(b:read(0, "c8"), ("\0"):rep(8))
end

-- Scopes free; what was freed before is left alone.
do
  local before = mem.stats()
  local outside
  do
    local b <close> = mem.malloc(100)
    local c <close> = mem.malloc(100)
    c:free()
    outside = b
    assert(mem.stats().blocks == before.blocks + 1 and mem.stats().bytes == before.bytes + 100)
  end
  assert(fails(outside.size, outside):find("use after free", 1, true))
  pcall(function()
    local b <close> = mem.malloc(10)
    outside = b
    error "left by an error"
  end)
  assert(fails(outside.size, outside):find("use after free", 1, true))
  assert(mem.stats().blocks == before.blocks)
end

-- The list of live blocks.
do
  local before = #mem.blocks()
  local a, at = mem.malloc(3), line()
  local b = mem.calloc(5)
  local sizes = {}
  for _, block in ipairs(mem.blocks()) do
    sizes[block.size] = block.place
  end
  assert(#mem.blocks() == before + 2)
  ends(sizes[3], here(at))
  ends(sizes[5], here(at + 1))
  a:free() b:free()
  assert(#mem.blocks() == before)
end

-- Garbage that was not freed is a leak: its memory comes back.
do
  collectgarbage()
  local before = mem.stats()
  local function leak() for _ = 1, 100 do mem.calloc(1000) end end
  leak()
  collectgarbage()
  local after = mem.stats()
  assert(after.blocks == before.blocks and after.bytes == before.bytes, after.blocks)
  assert(after.leaked >= before.leaked + 100 * 1000)
  -- A finalizer may still free what it owns; then there is no leak.
  before = mem.stats()
  do
    local owner = setmetatable({}, { __gc = function(o) o.block:free() end })
    owner.block = mem.malloc(77)
  end
  collectgarbage() collectgarbage()
  after = mem.stats()
  assert(after.blocks == before.blocks and after.leaked == before.leaked)
  -- Handles in a cycle.
  do
    local t = {}
    t.t, t.block = t, mem.malloc(9)
  end
  collectgarbage() collectgarbage()
  assert(mem.stats().blocks == before.blocks and mem.stats().leaked == after.leaked + 9)
end

-- Much more than there is room for, as long as it is garbage.
for _ = 1, 3000 do
  local b = mem.malloc(1 << 20)
  b:write(1 << 19, "i4", 1)
end
assert(collectgarbage("count") < 1 << 20)

-- Random blocks against strings.
do
  math.randomseed(42)
  local blocks, texts = {}, {}
  for n = 1, 2000 do
    local i = math.random(20)
    local b = blocks[i]
    if not b then
      local size = math.random(0, 400)
      blocks[i], texts[i] = mem.calloc(size), ("\0"):rep(size)
    elseif n % 7 == 0 then
      b:free()
      blocks[i] = nil
    elseif n % 7 == 1 then
      local size = math.random(0, 400)
      local text = texts[i]
      b:realloc(size)
      if size > #text then b:fill(0x2e, #text) end
      texts[i] = text:sub(1, size) .. ("."):rep(size - #text)
    else
      local text = texts[i]
      local at = math.random(0, #text)
      local piece = ("%d "):rep(math.random(0, 9)):format(n, n, n, n, n, n, n, n, n)
      local ok = pcall(b.write, b, at, "c" .. #piece, piece)
      assert(ok == (at + #piece <= #text))
      if ok then texts[i] = text:sub(1, at) .. piece .. text:sub(at + #piece + 1) end
    end
    if blocks[i] then assert(blocks[i]:read(0, "c" .. #texts[i]) == texts[i]) end
  end
  for _, b in pairs(blocks) do b:free() end
end
