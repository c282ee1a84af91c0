-- The library io. Manual, 6.8.

local function fails(message, f, ...)
  local ok, err = pcall(f, ...)
  assert(not ok and tostring(err):find(message, 1, true), tostring(err))
end
local name = os.tmpname()
local function write(text)
  local file = assert(io.open(name, "wb"))
  assert(file:write(text) == file)
  assert(file:close() == true)
end
local function content()
  local file = assert(io.open(name, "rb"))
  local text = file:read("a")
  file:close()
  return text
end

-- Types and names.
local file = assert(io.open(name, "w"))
assert(io.type(file) == "file" and io.type(io.stdout) == "file" and io.type({}) == nil and io.type(1) == nil)
assert(tostring(file):find("^file %(0x") and type(file) == "userdata" and getmetatable(file).__name == "FILE*")
file:close()
assert(io.type(file) == "closed file" and tostring(file) == "file (closed)")
fails("attempt to use a closed file", file.read, file)
fails("attempt to use a closed file", function() file:write("x") end)
fails("attempt to use a closed file", function() file:close() end)
fails("attempt to use a closed file", function() file:lines() end)

-- Modes.
write("start\n")
file = assert(io.open(name, "a"))
file:write("more\n")
file:close()
assert(content() == "start\nmore\n")
file = assert(io.open(name, "r+"))
file:write("START")
file:seek("set", 6)
assert(file:read() == "more")
file:close()
assert(content() == "START\nmore\n")
file = assert(io.open(name, "w+"))
file:write("new")
file:seek("set")
assert(file:read("a") == "new")
file:close()
file = assert(io.open(name, "a+b"))
assert(file:seek("end") == 3)
file:write("er")
file:seek("set", 0)
assert(file:read("a") == "newer")
file:close()
for _, mode in ipairs { "", "x", "rw", "r++", "rb+", "b" } do fails("invalid mode", io.open, name, mode) end
local f, message, code = io.open("/nonexistent/file")
assert(f == nil and message == "/nonexistent/file: No such file or directory" and code == 2)
file = assert(io.open(name))
local r, m, c = file:write("read only")
assert(r == nil and m == "Bad file descriptor" and c == 9)
file:close()
file = assert(io.open(name, "w"))
r, m, c = file:read()
assert(r == nil and m == "Bad file descriptor" and c == 9)
file:close()

-- Reading: lines with and without their ends, numbers, counts, all.
write("line 1\nline 2\n\nlast without end")
file = io.open(name)
assert(file:read() == "line 1" and file:read("L") == "line 2\n" and file:read("l") == "" and file:read("*l") == "last without end")
assert(file:read() == nil and file:read("a") == "" and file:read("L") == nil and file:read(1) == nil and file:read(0) == nil)
file:seek("set")
assert(file:read(4) == "line" and file:read(0) == "" and file:read(1) == " " and file:read(1000):sub(1, 2) == "1\n")
file:seek("set")
fails("not enough memory", file.read, file, -1)
local a, b, d = file:read("l", 2, "a")
assert(a == "line 1" and b == "li" and d:sub(1, 4) == "ne 2")
file:seek("set")
a, b, d = file:read("a", "l", "l")
assert(#a == 31 and b == nil and d == nil)
fails("bad argument #1 to 'read' (invalid format)", function() file:read("x") end)
file:close()
write("12 -3.5 0x1F 1e3 .5 5. +7 nan")
file = io.open(name)
local numbers = { file:read("n", "n", "n", "n", "n", "n", "n") }
assert(#numbers == 7 and numbers[1] == 12 and math.type(numbers[1]) == "integer" and numbers[2] == -3.5 and numbers[3] == 31)
assert(numbers[4] == 1000.0 and numbers[5] == 0.5 and numbers[6] == 5.0 and numbers[7] == 7)
assert(file:read("n") == nil)
file:close()
write("a\0b\r\nc\n")
file = io.open(name, "rb")
assert(file:read() == "a\0b\r" and file:read() == "c")
file:close()
write(("x"):rep(100000) .. "\n" .. ("y"):rep(5000))
file = io.open(name)
assert(#file:read() == 100000 and #file:read(3000) == 3000 and #file:read("a") == 2000)
file:close()

-- Writing: strings and numbers; chained.
file = io.open(name, "w")
file:write("a", 1, " ", 2.5, "\n"):write(10 // 3, " ", 7 / 2, " ", 2 ^ 53, "\n"):write()
file:close()
assert(content() == "a1 2.5\n3 3.5 9.007199254741e+15\n")
file = io.open(name, "w")
fails("bad argument #1 to 'write' (string expected, got nil)", function() file:write(nil) end)
fails("bad argument #2 to 'write' (string expected, got table)", function() file:write("x", {}) end)
file:close()

-- Positions and buffers.
write("0123456789")
file = io.open(name, "r+")
assert(file:seek() == 0 and file:seek("end") == 10 and file:seek("set", 3) == 3 and file:read(1) == "3")
assert(file:seek("cur") == 4 and file:seek("cur", -2) == 2 and file:read(2) == "23" and file:seek("end", -1) == 9 and file:read(5) == "9")
assert(select("#", file:seek("set", -1)) == 3)
fails("invalid option 'middle'", function() file:seek("middle") end)
assert(file:setvbuf("no") and file:setvbuf("full", 1024) and file:setvbuf("line"))
assert(file:flush())
file:close()

-- lines, on a file and by name.
write("one\ntwo\nthree")
local got = {}
for line in io.lines(name) do got[#got + 1] = line end
assert(table.concat(got, "|") == "one|two|three")
got = {}
for line in io.lines(name, "L") do got[#got + 1] = line end
assert(table.concat(got, "|") == "one\n|two\n|three")
got = {}
for x, y in io.lines(name, 1, 2) do got[#got + 1] = x .. "," .. tostring(y) end
assert(got[1] == "o,ne" and got[2] == "\n,tw")
file = io.open(name)
for line in file:lines() do
  assert(line == "one")
  break
end
assert(io.type(file) == "file" and file:read() == "two")
file:close()
fails("No such file or directory", io.lines, "/nonexistent")
local iterator = io.lines(name)
for _ = 1, 3 do iterator() end
assert(iterator() == nil)
fails("file is already closed", iterator)
-- io.lines by name gives four values, the last to be closed.
local it, s, ctl, closing = io.lines(name)
assert(type(it) == "function" and s == nil and ctl == nil and io.type(closing) == "file")
closing:close()
-- Files may be to-be-closed variables.
do
  local own <close> = io.open(name)
  file = own
end
assert(io.type(file) == "closed file")

-- Default input and output.
local old_in, old_out = io.input(), io.output()
assert(io.type(old_in) == "file" and old_out == io.stdout and old_in == io.stdin)
assert(io.output(name) ~= old_out)
assert(io.write("by default ", 5) == io.output())
assert(io.close() == true)
fails("default output file is closed", io.write, "x")
io.output(old_out)
assert(content() == "by default 5")
io.input(name)
assert(io.read(2) == "by" and io.read("n") == nil and io.read("a") == "default 5")
io.close(io.input())
fails("default input file is closed", io.read)
io.input(old_in)
fails("No such file or directory", io.input, "/nonexistent")
write("x\ny\n")
io.input(name)
got = {}
for line in io.lines() do got[#got + 1] = line end
assert(table.concat(got) == "xy")
io.input():close()
io.input(old_in)

-- popen, tmpfile.
local p = assert(io.popen("echo out; exit 3"))
assert(io.type(p) == "file" and p:read("a") == "out\n")
local ok, what, status = p:close()
assert(ok == nil and what == "exit" and status == 3)
p = assert(io.popen("cat > " .. name, "w"))
p:write("through a pipe")
ok, what, status = p:close()
assert(ok == true and what == "exit" and status == 0 and content() == "through a pipe")
ok, what, status = assert(io.popen("kill -9 $$")):close()
assert(ok == nil and what == "signal" and status == 9)
fails("invalid mode", io.popen, "true", "rw")
local tmp = io.tmpfile()
tmp:write("temporary")
tmp:seek("set")
assert(tmp:read("a") == "temporary")
tmp:close()

-- A file that is garbage is closed and flushed.
do
  local lost = io.open(name, "w")
  lost:write("flushed by the collector")
end
collectgarbage()
collectgarbage()
assert(content() == "flushed by the collector")
-- Many open files at once.
local files = {}
for i = 1, 50 do files[i] = assert(io.open(name)) end
for i = 1, 50 do
  assert(files[i]:read(7) == "flushed")
  files[i]:close()
end
os.remove(name)
