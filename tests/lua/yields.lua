-- Yields across library functions that call back, metamethods and iterators, beyond what the reference allows; and where they are refused.

local yield, wrap, create, resume = coroutine.yield, coroutine.wrap, coroutine.create, coroutine.resume

-- Runs a function as a coroutine that yields questions and is resumed with `answer(question)`; gives the results and the number of questions.
local function run(answer, f, ...)
  local co = create(f)
  local asked = 0
  local got = table.pack(resume(co, ...))
  while coroutine.status(co) ~= "dead" do
    assert(got[1], got[2])
    asked = asked + 1
    collectgarbage("step")
    got = table.pack(resume(co, answer(table.unpack(got, 2, got.n))))
  end
  assert(got[1], got[2])
  return asked, table.unpack(got, 2, got.n)
end
local function same(x) return x end

-- table.sort, by a function and by __lt; the result is that of a sort without yields.
local list, expected = {}, {}
for i = 1, 200 do list[i] = i * 7919 % 211; expected[i] = list[i] end
table.sort(expected)
local asked, sorted = run(function(a, b) return a < b end, function()
  table.sort(list, function(a, b) return yield(a, b) end)
  return list
end)
assert(asked > 200 and sorted == list and table.concat(list, " ") == table.concat(expected, " "))
local mt = {}
mt.__lt = function(a, b) return yield(a.n, b.n) end
local boxes = {}
for i = 1, 50 do boxes[i] = setmetatable({ n = i * 31 % 53 }, mt) end
run(function(a, b) return a < b end, function() table.sort(boxes) end)
for i = 2, 50 do assert(boxes[i - 1].n <= boxes[i].n) end
assert(not pcall(table.sort, { 3, 1, 2, 5, 4 }, function() return true end))

-- string.gsub with a function and with a table that asks; captures and positions survive.
local text
asked, text = run(string.upper, function() return (("hello lua world"):gsub("%w+", yield)) end)
assert(asked == 3 and text == "HELLO LUA WORLD")
asked, text = run(function(a, b) return b .. a end, function() return (("k=v, x=y"):gsub("(%w)=(%w)", yield)) end)
assert(asked == 2 and text == "vk, yx")
asked, text = run(same, function() return (("a b"):gsub("()%w", function(at) return yield(at) end)) end)
assert(text == "1 3")
asked, text = run(function(k) return k == "a" and "A" or nil end, function()
  return ("abc"):gsub("%w", setmetatable({}, { __index = function(_, k) return yield(k) end }))
end)
assert(asked == 3 and text == "Abc")
local long = ("x"):rep(2000)
asked, text = run(function(c) return c .. c end, function() return (long:gsub("x", yield)) end)
assert(asked == 2000 and text == long .. long)

-- Conversions to strings: tostring, print, string.format.
local shown = setmetatable({}, { __tostring = function() return yield("name") end })
asked, text = run(function() return "Ann" end, function() return tostring(shown) .. string.format("<%s|%5s>", shown, shown) end)
assert(asked == 3 and text == "Ann<Ann|  Ann>")

-- Comparisons of math.max and math.min.
local function number(n) return setmetatable({ n = n }, mt) end
local best
asked, best = run(function(a, b) return a < b end, function() return math.max(number(3), number(9), number(4)).n end)
assert(asked == 2 and best == 9)
asked, best = run(function(a, b) return a < b end, function() return math.min(number(3), number(9), number(1)).n end)
assert(asked == 2 and best == 1)

-- Tables that ask for everything.
local function proxy(t)
  return setmetatable({}, {
    __index = function(_, k) yield("get") return t[k] end,
    __newindex = function(_, k, v) yield("set") t[k] = v end,
    __len = function() yield("len") return #t end,
  })
end
local function with(t, f) return run(same, f, proxy(t)) end
asked, text = with({ "a", "b", "c" }, function(p) return table.concat(p, "-") end)
assert(asked == 4 and text == "a-b-c")
assert(not pcall(table.concat, setmetatable({}, { __index = function() return {} end, __len = function() return 2 end })))
local content = { 1, 2, 3 }
with(content, function(p) table.insert(p, 4) table.insert(p, 1, 0) end)
assert(table.concat(content, " ") == "0 1 2 3 4")
local removed
asked, removed = with(content, function(p) return table.remove(p, 2) end)
assert(removed == 1 and table.concat(content, " ") == "0 2 3 4")
asked, removed = with(content, function(p) return table.remove(p) end)
assert(removed == 4 and table.concat(content, " ") == "0 2 3")
asked, removed = with({}, function(p) return table.remove(p) end)
assert(removed == nil)
with(content, function(p) table.move(p, 1, 3, 2) end)
assert(table.concat(content, " ") == "0 0 2 3")
local a, b, c
asked, a, b, c = with(content, function(p) return table.unpack(p, 2) end)
assert(asked == 4 and a == 0 and b == 2 and c == 3)
content = { 3, 1, 2 }
with(content, function(p) table.sort(p, function(x, y) yield("less") return x < y end) end)
assert(table.concat(content, " ") == "1 2 3")
with(content, function(p) local s = 0 for i, v in ipairs(p) do s = s + i * v end assert(s == 14) end)
local eq = { __eq = function() return yield("eq") end }
local t1, t2 = setmetatable({ 1, 2, 3 }, eq), setmetatable({}, eq)
run(function() return false end, function() table.move(t1, 1, 3, 2, t2) end)
assert(t2[2] == 1 and t2[4] == 3)

-- load with a reader, dofile-like last calls, require.
local pieces = { "return ", "...", " + 1" }
local loaded
asked, loaded = run(function(i) return pieces[i] end, function()
  local i = 0
  return load(function() i = i + 1 return yield(i) end)
end)
assert(asked == 4 and loaded(41) == 42)
package.preload["yields.module"] = function(name, origin) return yield(name, origin) end
local module, origin
asked, module, origin = run(function(name, origin) return { name, origin } end, function() return require("yields.module") end)
assert(asked == 1 and module[1] == "yields.module" and module[2] == ":preload:" and origin == ":preload:")
assert(require("yields.module") == module)

-- os.time with fields that ask.
local when = { year = 2020, month = 5, day = 17 }
local time
asked, time = run(same, function() return os.time(setmetatable({}, { __index = function(_, k) yield(k) return when[k] end })) end)
assert(asked == 7 and time == os.time(when))

-- Operators, also `<=` by `__lt`, which is negated.
local ops = setmetatable({}, {
  __add = function() return yield("+") end, __concat = function() return yield("..") end, __len = function() return yield("#") end,
  __lt = function() return yield("<") end, __call = function(_, x) return yield(x) end, __index = function(_, k) return yield(k) end,
})
asked, a, b, c = run(same, function() return ops + 1, "x" .. ops, #ops end)
assert(asked == 3 and a == "+" and b == ".." and c == "#")
asked, a, b, c = run(function() return true end, function() return ops < ops, ops <= ops, ops > ops end)
assert(asked == 3 and a == true and b == false and c == true)
asked, a, b = run(same, function() return ops(5), ops.field end)
assert(a == 5 and b == "field")

-- Through pcall within a callback within pcall; errors after a yield end where they must.
asked, a, b = run(same, function()
  return pcall(function()
    return (("ab"):gsub(".", function(x)
      local ok, e = pcall(function() yield(x) error("inner " .. x, 0) end)
      assert(not ok)
      if x == "b" then error(e, 0) end
      return e
    end))
  end)
end)
assert(asked == 2 and a == false and b == "inner b")

-- A coroutine that is given up in the midst of a callback, and closed.
local closed = 0
local co = create(function()
  local x <close> = setmetatable({}, { __close = function() closed = closed + 1 end })
  table.sort({ 3, 2, 1 }, function() local y <close> = setmetatable({}, { __close = function() closed = closed + 1 end }) yield() end)
end)
assert(resume(co))
assert(coroutine.close(co) and closed == 2)

-- Refused: hooks, message handlers, finalizers, and methods that close a coroutine from outside.
local function refused(f)
  local co = create(f)
  local ok, e = resume(co)
  return e and tostring(e):find("attempt to yield across a C-call boundary", 1, true) or tostring(e)
end
local seen
local function handler() local ok, e = pcall(yield) seen = e return e end
resume(create(function() xpcall(error, handler, "x") end))
assert(seen == "attempt to yield across a C-call boundary")
seen = nil
resume(create(function()
  debug.sethook(function() local ok, e = pcall(yield) seen = e end, "", 1)
  local x = 1
  debug.sethook()
end))
assert(seen == "attempt to yield across a C-call boundary")
seen = nil
local inside = create(function()
  setmetatable({}, { __gc = function() local ok, e = pcall(yield) seen = e end })
  collectgarbage()
end)
assert(resume(inside) and seen == "attempt to yield across a C-call boundary")
co = create(function() local x <close> = setmetatable({}, { __close = function() seen = { pcall(yield) } end }) yield() end)
resume(co)
assert(coroutine.close(co) and seen[1] == false)

-- What a metamethod of concatenation is called with stays its own, whatever is collected meanwhile.
do
  local meta = { __concat = function(a, b) coroutine.yield(1) return b end }
  local object = setmetatable({}, meta)
  local co = coroutine.wrap(function() return object .. "7" end)
  assert(co() == 1 and co() == "7")
  meta.__concat = function(a, b) local t = { a } return t and b end
  assert(object .. "8" == "8" and object .. "8" .. "9" == "89")
end
