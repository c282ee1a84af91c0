-- Local attribs: <const> and <close>. Manual, 3.3.8.

local function fails(message, f, ...)
  local ok, err = pcall(f, ...)
  assert(not ok and tostring(err):find(message, 1, true), tostring(err))
end
local function refuses(message, code)
  local f, err = load(code, "=code")
  assert(not f and err:find(message, 1, true), tostring(err))
end
local log = {}
local function reset() log = {} end
local function said(text) assert(table.concat(log, " ") == text, table.concat(log, " ")) end
local function closer(name, action)
  return setmetatable({ name = name }, { __close = function(self, err)
    log[#log + 1] = self.name .. (err ~= nil and "(" .. tostring(err) .. ")" or "")
    if action then action(err) end
  end })
end

-- Constants.
local answer <const> = 42
local name <const>, other = "n", 1
other = other + answer
assert(other == 43 and name == "n")
refuses("attempt to assign to const variable 'x'", "local x <const> = 1 x = 2")
refuses("attempt to assign to const variable 'x'", "local x <const> = 1 local function f() x = 2 end")
refuses("attempt to assign to const variable 'x'", "local x <close> = nil x = 2")
refuses("attempt to assign to const variable 'x'", "local x <const> = 1 for i = 1, 2 do x, y = i, i end")
refuses("unknown attribute 'constant'", "local x <constant> = 1")
refuses("multiple to-be-closed variables in local list", "local x <close>, y <close> = nil, nil")
local function captured() return answer, function() return name end end
assert(captured() == 42 and select(2, captured())() == "n")
local t <const> = {}
t.x = 1
assert(t.x == 1)
local no_value <const> = nil
assert(no_value == nil)

-- Closing at the end of a block, in reverse order, with nil as the error.
do
  local a <close> = closer("a")
  local b <close> = closer("b")
  local c <const> = 1
  local d <close> = nil
  local e <close> = false
  log[#log + 1] = "body"
end
said("body b a")
reset()

-- By break, goto, return, and in each turn of a loop.
for i = 1, 3 do
  local c <close> = closer("c" .. i)
  if i == 2 then break end
end
said("c1 c2")
reset()
do
  local i = 1
  ::again::
  do
    local c <close> = closer("g" .. i)
    i = i + 1
    if i <= 3 then goto again end
  end
end
said("g1 g2 g3")
reset()
while true do
  local c <close> = closer("w")
  do break end
end
repeat
  local c <close> = closer("r")
  local done = true
until done
said("w r")
reset()
local function values()
  local c <close> = closer("ret", function() log[#log + 1] = "closing" end)
  return 1, 2, (function() log[#log + 1] = "computed" return 3 end)()
end
local a, b, c = values()
assert(a == 1 and b == 2 and c == 3)
said("computed ret closing")
reset()
-- A return in a block with such a variable is no tail call.
local function not_tail()
  local x <close> = closer("outer")
  return (function() log[#log + 1] = "inner" return "value" end)()
end
assert(not_tail() == "value")
said("inner outer")
reset()
-- Varargs are returned whole.
local function va(...)
  local x <close> = closer("va")
  return ...
end
assert(select("#", va(1, nil, nil)) == 3)
reset()

-- Closing by an error; the error is handed to each, and may be replaced.
fails("first", function()
  local x <close> = closer("x")
  local y <close> = closer("y")
  error("first", 0)
end)
said("y(first) x(first)")
reset()
fails("third", function()
  local x <close> = closer("x", function() error("third", 0) end)
  local y <close> = closer("y", function() error("second", 0) end)
  local z <close> = closer("z")
  error("first", 0)
end)
said("z(first) y(first) x(second)")
reset()
-- An error while closing after a normal end goes to the remaining ones.
fails("oops", function()
  local x <close> = closer("x")
  local y <close> = closer("y", function() error("oops", 0) end)
end)
said("y x(oops)")
reset()
-- nil as the error value.
local ok, err = pcall(function()
  local x <close> = closer("x")
  error(nil)
end)
assert(not ok and err == nil)
said("x")
reset()
local object = {}
ok, err = pcall(function()
  local x <close> = setmetatable({}, { __close = function(_, e) log[#log + 1] = tostring(e == object) end })
  error(object)
end)
assert(err == object)
said("true")
reset()

-- A value that cannot be closed is an error at its declaration.
fails("variable 'x' got a non-closable value", function() local x <close> = {} end)
fails("variable 'x' got a non-closable value", function() local x <close> = 42 end)
fails("variable 'x' got a non-closable value", function() local y <close> = closer("y") local x <close> = "text" end)
said("y(" .. select(2, pcall(function() local y <close> = nil local x <close> = "text" end)):gsub(":%d+:", function() return log[1]:match(":%d+:") end) .. ")")
reset()
-- A metamethod that is removed before the end.
fails("metamethod 'close'", function()
  local x <close> = closer("x")
  getmetatable(x).__close = nil
end)

-- The metamethod gets the value and the error; it may be anything that can be called.
do
  local seen
  local handler = setmetatable({}, { __call = function(_, value, e) seen = { value, e } end })
  local v
  do
    local x <close> = setmetatable({}, { __close = handler })
    v = x
  end
  assert(seen[1] == v and seen[2] == nil)
end

-- In a generic for, the fourth value is closed when the loop ends, however it ends.
local function iterate(n, name) return function(_, i) if i < n then return i + 1 end end, nil, 0, closer(name) end
for _ in iterate(3, "full") do end
for _ in iterate(3, "break") do break end
pcall(function() for _ in iterate(3, "error") do error("e", 0) end end)
local function early() for i in iterate(3, "return") do return i end end
assert(early() == 1)
said("full break error(e) return")
reset()

-- In coroutines: closed at the end, by an error, and by coroutine.close; not by being suspended.
local co = coroutine.create(function()
  local x <close> = closer("co")
  coroutine.yield(1)
  return 2
end)
assert(coroutine.resume(co))
said("")
assert(select(2, coroutine.resume(co)) == 2)
said("co")
reset()
co = coroutine.create(function()
  local x <close> = closer("x")
  local y <close> = closer("y", function() error("in y", 0) end)
  coroutine.yield()
end)
coroutine.resume(co)
ok, err = coroutine.close(co)
assert(ok == false and err == "in y" and coroutine.status(co) == "dead")
said("y x(in y)")
reset()
-- A closing metamethod may yield.
co = coroutine.wrap(function()
  local x <close> = setmetatable({}, { __close = function() coroutine.yield("from close") end })
  return "done"
end)
assert(co() == "from close" and co() == "done")
co = coroutine.wrap(function()
  return pcall(function()
    local x <close> = setmetatable({}, { __close = function(_, e) coroutine.yield("closing " .. e) end })
    error("why", 0)
  end)
end)
assert(co() == "closing why")
local r1, r2 = co()
assert(r1 == false and r2 == "why")

-- Nested calls while closing, and closures over the closed variable.
local leaked
do
  local x <close> = closer("x", function() do local y <close> = closer("nested") end end)
  leaked = function() return x.name end
end
assert(leaked() == "x")
said("x nested")
reset()
-- Many.
do
  local n = 0
  local function close_one() n = n + 1 end
  local function nest(depth)
    local x <close> = setmetatable({}, { __close = close_one })
    if depth > 0 then return (nest(depth - 1)) end
  end
  nest(150)
  assert(n == 151)
end
