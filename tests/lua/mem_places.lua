-- The library `mem`: pointers, views, scopes, the break region and mappings, with every misuse an error. Neap's own; Lua has none.

if not mem then return end

local function line() return debug.getinfo(2, "l").currentline end
local function fails(f, ...)
  local ok, err = pcall(f, ...)
  assert(not ok, "no error")
  return (err:gsub("^[^:]+:%d+: ", ""))
end
local function is(got, expected)
  assert(got == expected, tostring(got) .. "\nis not\n" .. tostring(expected))
end
local function has(got, expected)
  assert(got:find(expected, 1, true), got .. "\nhas no\n" .. expected)
end
local where = tostring(mem.malloc(1)):match("at (.-):%d+$")
local function at(n) return where .. ":" .. n end
collectgarbage()

-- Methods and functions alike; what is no method is told.
do
  local b = mem.calloc(8)
  mem.write(b, 0, "<I4", 7)
  assert(mem.read(b, 0, "<I4") == 7 and mem.size(b) == 8)
  mem.fill(b, 0x61)
  is(mem.string(b), "aaaaaaaa")
  is(b:string(2, -3), "aaaaa")
  is(b:string(5, 4), "")
  is(fails(function() return b[0] end), "mem.block has no field '0'; its bytes are read by read(offset, format)")
  is(fails(function() return b.x end), "mem.block has no field 'x'; its bytes are read by read(offset, format)")
  assert(not pcall(function() b.x = 1 end))
  -- The number of bytes is that of what does not fit.
  has(fails(b.write, b, math.maxinteger, "<i4", 1), "write of 4 bytes at offset 9223372036854775807")
  has(fails(b.write, b, 0, "z", "hello world"), "write of 12 bytes at offset 0")
  mem.free(b)
  has(fails(mem.free, b), "double free")
  has(fails(mem.free, {}), "mem.block expected, got table")
end

-- A picture of the bytes.
do
  local b = mem.malloc(20)
  b:write(0, "z", "Hello")
  b:write(18, "B", 0xff)
  is(b:dump(), [[
00000000   48 65 6c 6c 6f 00 -- --  -- -- -- -- -- -- -- --  |Hello...........|
00000010   -- -- ff --                                       |....|
]])
  is(b:dump(4, 2), "00000004   6f 00                                             |o.|\n")
  is(b:dump(20), "")
  b:free()
  is(b:dump(0, 3), "00000000   xx xx xx                                          |...|\n")
end

-- Pointers: computed with, stored, read back, and checked at each use.
do
  local made = line() + 1
  local b = mem.calloc(64)
  local p = mem.address(b, 8)
  is(tostring(p), "mem.pointer: offset 8 of block of 64 bytes allocated at " .. at(made))
  p:write(0, "<i8 i8", 11, 22)
  assert(b:read(8, "<i8") == 11 and p:read(8, "<i8") == 22 and #p == 56 and p:offset() == 8)
  local q = p + 8
  assert(q:read(0, "<i8") == 22 and q - p == 8 and q - 8 == p and 8 + p == q and p < q and p <= p and not (q < p) and p ~= q)
  assert(q:integer() - p:integer() == 8)
  q:fill(0x41, 0, 4)
  is(p:string(9, 12), "AAAA")
  -- In memory, with what stands beside it.
  is(b:write(16, "p B", q, 9), 33)
  local r, nine = b:read(16, "p B")
  assert(r == q and nine == 9 and not rawequal(r, q))
  local c <close> = mem.calloc(64)
  c:copy(0, b)
  assert(c:read(16, "p") == q)
  -- Null is one value, and zeros are null.
  b:write(40, "p", mem.null)
  assert(rawequal(b:read(40, "p"), mem.null) and mem.null:isnull() and not p:isnull() and mem.null ~= p)
  assert(rawequal(c:read(48, "p"), mem.null) and mem.null + 8 == mem.null)
  b:write(40, "p", nil)
  assert(b:read(40, "p"):isnull())
  b:write(40, "p", b)
  assert(b:read(40, "p") == p - 8)
  for _, method in ipairs { "read", "write", "fill", "copy", "size" } do
    is(fails(function() return mem[method](mem.null, 0, "B", 0) end), "null pointer: there is nothing to be used")
  end
  mem.free(mem.null)
  -- Its own block is all that it may touch.
  is(fails(p.read, p, 56, "B"), "out of bounds: read of 1 byte at offset 64 of block of 64 bytes allocated at " .. at(made))
  is(fails(p.write, p - 9, 0, "B", 0), "out of bounds: write of 1 byte at offset -1 of block of 64 bytes allocated at " .. at(made))
  is(fails(mem.address, b, 65), "out of bounds: pointer to offset 65 of block of 64 bytes allocated at " .. at(made))
  assert(#mem.address(b, 64) == 0)
  for _, f in ipairs { function(x, y) return x - y end, function(x, y) return x < y end, function(x, y) return x <= y end } do
    is(fails(f, p, mem.address(c)), "pointers into different blocks can only be compared by == and ~=")
  end
  has(fails(function() return p + {} end), "number expected, got table")
  -- Freed through a pointer to its start, and nowhere else.
  is(fails(mem.free, p), "invalid free: 8 bytes behind the start of block of 64 bytes allocated at " .. at(made))
  mem.free(p - 8) local freed = line()
  local both = "block of 64 bytes allocated at " .. at(made) .. ", freed at " .. at(freed)
  is(fails(p.read, p, 0, "B"), "use after free: " .. both)
  is(fails(mem.free, p - 8), "double free: " .. both)
  is(fails(b.free, b), "double free: " .. both)
  is(tostring(p), "mem.pointer: dangling, use after free: " .. both)
  -- A block that moves leaves its pointers behind.
  local d = mem.calloc(16) local made = line()
  local old = mem.address(d)
  d:realloc(5000) local moved = line()
  is(fails(old.read, old, 0, "B"), "use after free: block of 16 bytes allocated at " .. at(made) .. ", freed at " .. at(moved))
  d:free()
  -- What was never a pointer is none.
  c:write(0, "<I8 I8", 123456, 7)
  has(fails(function() return c:read(0, "p"):read(0, "B") end), "use after free")
  has(fails(function() c:write(0, "p", 7) end), "mem.pointer expected, got number")
  has(fails(string.pack, "p", mem.null), "invalid format option 'p'")
end

-- A list built of raw memory, whose handles are long gone.
do
  collectgarbage() collectgarbage()
  local before = mem.stats().blocks
  local head = mem.null
  for i = 1, 1000 do
    local node = mem.malloc(24)
    node:write(0, "p i8", head, i)
    head = mem.address(node)
  end
  collectgarbage() collectgarbage()
  assert(mem.stats().blocks == before + 1000)
  local sum, p = 0, head
  while not p:isnull() do
    local next_, value = p:read(0, "p i8")
    sum = sum + value
    mem.free(p)
    p = next_
  end
  assert(sum == 1000 * 1001 // 2 and mem.stats().blocks == before)
end

-- Structs are laid out as C does it.
do
  local S = mem.struct { { "flag", "B" }, { "value", "<i4" }, { "next", "p" }, { "name", "c5" }, { "weight", "d" } }
  assert(#S == 40 and S:size() == 40)
  for name, offset in pairs { flag = 0, value = 4, next = 8, name = 24, weight = 32 } do assert(S:offset(name) == offset, name) end
  assert(#mem.struct { packed = true, { "flag", "B" }, { "value", "i4" }, { "weight", "d" } } == 13)
  local a, b = S:new(), S:new()
  a.flag, a.value, a.next, a.name, a.weight = 255, -5, b, "ab", 0.5
  b.value = 6
  assert(a.flag == 255 and a.value == -5 and a.name == "ab\0\0\0" and a.weight == 0.5 and S(a.next).value == 6 and b.next:isnull())
  is(fails(function() return a.other end), "the struct has no field 'other'")
  is(fails(function() a[1] = 2 end), "the struct has no field '1'")
  has(fails(function() a.flag = 256 end), "unsigned overflow")
  has(fails(function() a.next = 5 end), "mem.pointer expected, got number")
  has(fails(function() S(mem.malloc(39)) end), "out of bounds: read of 40 bytes at offset 0 of block of 39 bytes")
  has(fails(mem.struct, { { "x", "z" } }), "the format of field 'x' is not one item of fixed size")
  has(fails(mem.struct, { { "x" } }), "field 1 is no pair of a name and a format")
  -- A view is a place: it can be copied, pointed to, freed.
  mem.copy(b, 0, a)
  assert(b.weight == 0.5 and mem.address(a, 4):read(0, "<i4") == -5)
  mem.free(a) mem.free(mem.address(b))
  has(fails(function() return a.flag end), "use after free")
  has(fails(function() b.flag = 1 end), "use after free")
end

-- Arrays.
do
  local b = mem.calloc(100)
  local a = mem.array(b, "<i4")
  assert(#a == 25 and a[1] == 0)
  for i = 1, #a do a[i] = i * i end
  assert(a[25] == 625 and b:read(96, "<i4") == 625)
  local d = mem.array(mem.address(b, 4), "d", 4, 3)
  d[3] = 2.5
  assert(#d == 3 and b:read(24, "d") == 2.5)
  is(fails(function() return a[0] end), "out of bounds: entry 0 of an array of 25")
  is(fails(function() a[26] = 1 end), "out of bounds: entry 26 of an array of 25")
  is(fails(function() return a.x end), "an array has entries 1 to # and nothing else")
  has(fails(mem.array, b, "i4", 0, 26), "out of bounds: read of 104 bytes")
  has(fails(mem.array, b, "z"), "not one item of fixed size")
  b:free()
  has(fails(function() return a[1] end), "use after free")
end

-- Scopes.
do
  collectgarbage() collectgarbage()
  local before = mem.stats().blocks
  local kept, outside
  local x, y = mem.scope(function(s, ...)
    kept = s:malloc(10)
    s:calloc(10, 2):write(0, "B", 1)
    outside = s:adopt(mem.malloc(5))
    s:malloc(1):free()
    collectgarbage() collectgarbage()
    assert(mem.stats().blocks == before + 3)
    return select("#", ...), (...)
  end, 7, 8)
  assert(x == 2 and y == 7 and mem.stats().blocks == before)
  has(fails(kept.size, kept), "use after free")
  has(fails(outside.size, outside), "use after free")
  assert(not pcall(mem.scope, function(s) s:malloc(10) error "left by an error" end))
  assert(mem.stats().blocks == before)
  local co = coroutine.wrap(function() return mem.scope(function(s) s:malloc(3) coroutine.yield(mem.stats().blocks) return "end" end) end)
  assert(co() == before + 1 and co() == "end" and mem.stats().blocks == before)
  do local s <close> = mem.scope() s:malloc(9) end
  assert(mem.stats().blocks == before)
end

-- A block that goes with its coroutine is freed where that is closed.
do
  local b
  local co = coroutine.create(function() local c <close> = mem.malloc(4) b = c coroutine.yield() end)
  coroutine.resume(co)
  coroutine.close(co) local closed = line()
  has(tostring(b), "freed at " .. at(closed))
end

-- The break region.
do
  local start = mem.brk()
  local p = mem.sbrk(100)
  assert(mem.brk() == start + 100 and p:offset() == start)
  p:write(0, "<i4 z", 42, "text")
  p:write(84, "p", p + 4)
  assert(p:read(0, "<i4") == 42 and p:read(84, "p"):read(0, "z") == "text" and p:read(84, "p") - p == 4)
  local size = "the break region of " .. start + 100 .. " bytes"
  is(fails(p.read, p, 97, "i4"), "out of bounds: read of 4 bytes at offset " .. start + 97 .. " of " .. size)
  is(fails(p.write, p, -start - 1, "B", 1), "out of bounds: write of 1 byte at offset -1 of " .. size)
  assert(mem.sbrk(-50) == p + 100 and mem.brk() == start + 50)
  has(fails(p.read, p, 60, "B"), "out of bounds")
  assert(mem.brk(start + 100) == start + 100 and p:string(51, 100) == ("\0"):rep(50))
  is(fails(mem.sbrk, -start - 101), "the break can't lie before the start of its region")
  has(fails(mem.sbrk, 1 << 50), "not enough memory")
  has(fails(mem.free, p), "the break region is no block")
  -- Across pages, up and down.
  mem.brk(start + 1000000)
  p:fill(0x55, 0, 1000000)
  assert(mem.brk(p) == start and mem.brk(start + 1000000) == start + 1000000 and p:read(999999, "B") == 0)
  mem.brk(start)
end

-- Mappings of files.
do
  local name = os.tmpname()
  local f = assert(io.open(name, "wb"))
  f:write("0123456789") f:close()
  local function content() local f <close> = assert(io.open(name, "rb")) return f:read("a") end
  do
    local m <close> = assert(mem.map { file = name, mode = "r+" }) local made = line()
    assert(#m == 10 and m:read(2, "c3") == "234" and m:string() == "0123456789")
    m:write(8, "c2", "xy")
    assert(rawequal(m:sync(), m) and m:sync(false, 0, 4))
    is(content(), "01234567xy")
    local what = "mapping of 10 bytes of '" .. name .. "' made at " .. at(made)
    is(tostring(m), "mem.mapping: " .. what)
    is(fails(m.write, m, 8, "c3", "abc"), "out of bounds: write of 3 bytes at offset 8 of " .. what)
    is(fails(m.read, m, 0, "z"), "out of bounds: read of 11 bytes at offset 0 of " .. what)
    m:protect("r")
    is(fails(m.write, m, 0, "B", 1), "protection: write to read-only " .. what)
    m:protect("none")
    is(fails(m.read, m, 0, "B"), "protection: read of protected " .. what)
    m:protect("rw")
    m:advise("random"):advise("willneed", 0, 5)
    -- It grows with its file; what the file loses is an error, not the end of the process.
    m:resize(100000)
    m:write(99999, "B", 7)
    assert(#content() == 100000 and m:read(0, "c2") == "01")
    local other <close> = assert(mem.map { file = name, mode = "r+", size = 100000 })
    m:resize(5)
    has(fails(other.read, other, 50000, "B"), "the file ends before offset ")
    has(fails(other.write, other, 99000, "B", 1), "the file ends before offset ")
    assert(other:read(0, "c5") == "01234" and content() == "01234")
    m:unmap() local gone = line()
    has(fails(m.read, m, 0, "B"), "use after unmap: mapping of 5 bytes of '" .. name .. "' made at " .. at(made) .. ", unmapped at " .. at(gone))
    has(fails(m.unmap, m), "use after unmap")
  end
  do
    -- Read only, private, and what is not there.
    local r <close> = assert(mem.map { file = name })
    has(fails(r.write, r, 0, "B", 1), "protection: write to read-only mapping")
    local p <close> = assert(mem.map { file = name, shared = false })
    p:write(0, "c1", "X")
    assert(p:string() == "X1234" and content() == "01234")
    p:advise("dontneed")
    assert(p:string() == "01234")
    local w <close> = assert(mem.map { file = name, mode = "w+", size = 3 })
    assert(w:string() == "\0\0\0" and content() == "\0\0\0")
    w:copy(0, mem.array(mem.calloc(3), "B"), 0, 2)
  end
  os.remove(name)
  local none, message, code = mem.map { file = name }
  assert(none == nil and code == 2, message)
  has(message, "'" .. name .. "': No such file")
  local made <close> = assert(mem.map { file = name, mode = "rw", size = 4 })
  is(content(), "\0\0\0\0")
  os.remove(name)
  local none, message = mem.map { file = name, mode = "rw", size = 0 }
  assert(none == nil, message)
  os.remove(name)
end

-- Memory without a file, and memory with a name.
do
  local a <close> = assert(mem.map { anonymous = true, size = 10000 })
  assert(a:read(9999, "B") == 0)
  a:fill(1)
  a:resize(20000)
  assert(a:read(9999, "B") == 1 and a:read(19999, "B") == 0)
  local name = ("neap-test-%d"):format(os.time() * 1000 + math.random(999))
  local x <close> = assert(mem.map { name = name, size = 64 })
  local y <close> = assert(mem.map { name = name, size = 64 })
  x:write(0, "z", "shared")
  is(y:read(0, "z"), "shared")
  assert(mem.unlink(name) and not mem.unlink(name))
  for _, wrong in ipairs { {}, { file = "x", name = "y" }, { anonymous = true }, { name = "a/b" }, { name = "", size = 1 }, { file = "x", mode = "a" },
    { anonymous = true, size = -1 }, { file = {} } } do
    has(fails(mem.map, wrong), "bad argument #1")
  end
end

-- What the system knows.
do
  local page = mem.pagesize()
  assert(page >= 4096 and page & (page - 1) == 0)
  local a <close> = assert(mem.map { anonymous = true, size = 64 * page })
  a:advise("nohugepages")
  local resident, swapped = mem.resident(a)
  if resident then
    assert(resident == 0 and swapped == 0)
    for n = 0, 9 do a:write(n * page, "B", 1) end
    is(mem.resident(a), 10 * page)
  end
  local minor = mem.faults()
  if minor then
    a:fill(1)
    assert(mem.faults() > minor)
    local kinds = {}
    for _, region in ipairs(mem.regions()) do
      kinds[region.kind] = (kinds[region.kind] or 0) + 1
      assert(region.stop - region.start == region.size and region.size > 0 and #region.protection == 4)
    end
    assert(kinds.text and kinds.data and kinds.stack and kinds.heap and kinds.anonymous)
    local b <close> = mem.malloc(10)
    local kind, address, region = mem.where(b)
    assert(kind == "block" and address == mem.address(b):integer() and region == "heap")
    is((select(3, mem.where({}))), "heap")
    is(mem.where("x"), "string")
    is(mem.where(print), "object")
    is(mem.where(a), "mapping")
    is(mem.where(7), "value")
    is(mem.where(mem.null), "value")
    local region = select(3, mem.where(mem.sbrk(10)))
    assert(region == "break", region)
    mem.brk(0)
  end
end

-- Figures and pictures of fragmentation.
do
  local blocks = {}
  for i = 1, 2000 do blocks[i] = mem.malloc(100) end
  for i = 1, 2000 do if i % 4 ~= 0 then blocks[i]:free() blocks[i] = nil end end
  local f = mem.fragmentation()
  for name, side in pairs { collected = f.collected, explicit = f.explicit } do
    assert(side.bytes >= side.live + side.free and side.live > 0 and side.slack >= 0, name)
  end
  assert(f.given > f.asked and f.asked >= 500 * 100 and f.explicit.free > 500 * 100)
  assert(f.largest <= f.idle + f.returned and f.metadata > 0)
  local live = 0
  for _, class in ipairs(f.classes) do
    assert(class.live <= class.cells and class.blocks > 0)
    if class.explicit then live = live + class.live * class.cell end
  end
  assert(live <= f.explicit.live)
  local picture = mem.map_picture()
  has(picture, "A row is a segment of 4 MiB")
  assert(select(2, picture:gsub("\n%x+ ::::", "")) >= 1)
  local name = os.tmpname()
  assert(mem.map_picture(name))
  local file <close> = assert(io.open(name))
  local svg = file:read("a")
  assert(svg:find("^<svg ") and svg:find("</svg>\n$") and select(2, svg:gsub("<rect", "")) > 6)
  os.remove(name)
  local none, message = mem.map_picture("/nowhere/at/all.svg")
  assert(none == nil and message, message)
  for _, b in pairs(blocks) do b:free() end
  local after = mem.fragmentation()
  assert(after.asked == f.asked - 500 * 100 and after.given < f.given - 500 * 100)
end
