-- Coroutines: values in and out, states, errors, yields across pcall, metamethods, iterators and library calls. Manual, 2.6, 6.2.

local function fails(message, f, ...)
  local ok, err = pcall(f, ...)
  assert(not ok and tostring(err):find(message, 1, true), tostring(err))
end
local create, resume, yield, wrap, status = coroutine.create, coroutine.resume, coroutine.yield, coroutine.wrap, coroutine.status
local small = os.getenv("NEAP_GC") ~= nil

-- Values go both ways.
local co = create(function(a, b)
  assert(a == 1 and b == 2)
  local c, d = yield(a + b, "sum")
  assert(c == "x" and d == nil)
  local n = select("#", yield())
  assert(n == 3)
  return "end", nil
end)
assert(type(co) == "thread" and status(co) == "suspended")
local r = table.pack(resume(co, 1, 2))
assert(r.n == 3 and r[1] == true and r[2] == 3 and r[3] == "sum")
r = table.pack(resume(co, "x"))
assert(r.n == 1 and r[1] == true)
r = table.pack(resume(co, nil, nil, nil))
assert(r.n == 3 and r[2] == "end" and status(co) == "dead")
local ok, err = resume(co)
assert(ok == false and err == "cannot resume dead coroutine")
ok, err = resume(co)
assert(ok == false and err == "cannot resume dead coroutine")

-- States, seen from inside and from another coroutine.
local outer, inner
outer = create(function()
  assert(status(outer) == "running" and coroutine.running() == outer and coroutine.isyieldable())
  inner = create(function()
    assert(status(outer) == "normal" and status(inner) == "running")
    local ok, err = resume(outer)
    assert(not ok and err == "cannot resume non-suspended coroutine")
    ok, err = resume(inner)
    assert(not ok and err == "cannot resume non-suspended coroutine")
    yield()
  end)
  assert(resume(inner))
  assert(status(inner) == "suspended")
end)
assert(resume(outer))
local main, is_main = coroutine.running()
assert(is_main and type(main) == "thread" and status(main) == "running" and not coroutine.isyieldable())
assert(select(2, wrap(function() return coroutine.running() end)()) == false)
assert(coroutine.isyieldable(create(print)) == true)
fails("bad argument #1 to 'coroutine.isyieldable' (thread expected, got nil)", coroutine.isyieldable, nil)
fails("attempt to yield from outside a coroutine", yield)
ok, err = resume(main)
assert(not ok and err == "cannot resume non-suspended coroutine")

-- Errors end a coroutine; the value comes out of resume, whatever it is.
co = create(function() yield() error({ code = 7 }) end)
resume(co)
ok, err = resume(co)
assert(not ok and err.code == 7 and status(co) == "dead")
co = create(function() error("text", 0) end)
ok, err = resume(co)
assert(not ok and err == "text")
co = create(function() local x = nil; return x.y end)
ok, err = resume(co)
assert(not ok and err:find("coroutines.lua:%d+: attempt to index a nil value %(local 'x'%)"))

-- wrap: an iterator; errors come through, with the position added to texts.
local function numbers(n) return wrap(function() for i = 1, n do yield(i, i * i) end end) end
local sum = 0
for i, q in numbers(5) do
  assert(q == i * i)
  sum = sum + i
end
assert(sum == 15)
local w = wrap(function() error({ "table" }) end)
ok, err = pcall(w)
assert(not ok and err[1] == "table")
fails("cannot resume dead coroutine", w)
w = wrap(function() return 1 end)
assert(w() == 1)
fails("cannot resume dead coroutine", w)
local self
self = wrap(function() self() end)
fails("cannot resume non-suspended coroutine", self)
fails("bad argument #1 to 'coroutine.create' (function expected, got number)", create, 1)
fails("bad argument #1 to 'coroutine.resume' (thread expected, got number)", resume, 1)
fails("bad argument #1 to 'coroutine.status' (thread expected, got table)", status, {})

-- Yields across pcall and xpcall, with errors after the yield.
co = wrap(function()
  local ok, a = pcall(function()
    local v = yield("in pcall")
    error("after " .. v, 0)
  end)
  assert(not ok and a == "after resume")
  local ok2, b = xpcall(function(x) return yield(x) end, debug.traceback, "in xpcall")
  assert(ok2 and b == "back")
  local ok3, c = xpcall(function() yield("handled") error("e", 0) end, function(m) return "<" .. m .. ">" end)
  assert(not ok3 and c == "<e>")
  return select("#", pcall(pcall, pcall, yield, 1))
end)
assert(co() == "in pcall" and co("resume") == "in xpcall" and co("back") == "handled" and co() == 1 and co("p", "q") == 5)

-- Yields across metamethods.
local mt = {}
for _, event in ipairs { "add", "sub", "mul", "div", "mod", "pow", "idiv", "band", "bor", "bxor", "shl", "shr", "concat", "unm", "bnot", "len" } do
  mt["__" .. event] = function(...) return yield(event) end
end
for _, event in ipairs { "eq", "lt", "le" } do
  mt["__" .. event] = function() return yield(event) end
end
mt.__index = function(_, k) return yield("index " .. k) end
mt.__newindex = function(_, k, v) yield("newindex " .. k .. " " .. v) end
mt.__call = function(_, x) return yield("call " .. x) end
local o, p = setmetatable({}, mt), setmetatable({}, mt)
local function drive(f, answer)
  local c, seen = create(f), {}
  local ok, v = resume(c)
  while status(c) ~= "dead" do
    seen[#seen + 1] = v
    ok, v = resume(c, answer)
  end
  assert(ok, v)
  return v, table.concat(seen, ",")
end
for expected, f in pairs {
  add = function() return o + 1 end, sub = function() return 1 - o end, mul = function() return o * p end,
  div = function() return o / 1 end, mod = function() return o % 1 end, pow = function() return o ^ 2 end,
  idiv = function() return o // 1 end, band = function() return o & 1 end, bor = function() return 1 | o end,
  bxor = function() return o ~ p end, shl = function() return o << 1 end, shr = function() return 1 >> o end,
  concat = function() return o .. "x" end, unm = function() return -o end, bnot = function() return ~o end,
  len = function() return #o end, ["index k"] = function() return o.k end, ["index 1"] = function() return o[1] end,
  ["call 5"] = function() return o(5) end,
} do
  local v, seen = drive(f, 42)
  assert(v == 42 and seen == expected, expected .. ": " .. seen)
end
for expected, f in pairs {
  eq = function() return o == p end, lt = function() return o < p end, le = function() return o <= 1 end,
} do
  local v, seen = drive(f, 42)
  assert(v == true and seen == expected)
  assert(drive(f, nil) == false)
end
assert(drive(function() if o < p then return "then" end return "else" end, false) == "else")
assert(drive(function() if o == p then return "then" end return "else" end, 1) == "then")
assert(drive(function() return not (o <= p) end, 1) == false)
local _, seen = drive(function() o.k = "v" o[1] = 2 end)
assert(seen == "newindex k v,newindex 1 2")
local v
v, seen = drive(function() return "a" .. "b" .. o .. "c" .. "d" end, "R")
assert(v == "abR" and seen == "concat" or v == "R" and seen == "concat,concat" or v == "abR")
v = drive(function() local t = { o.x, o.y, n = o + 1 } return #t + t.n end, 10)
assert(v == 12)
v = drive(function() return (o + 1) + (o + 2) * (o - 1) end, 3)
assert(v == 12)

-- Yields across iterators, table.sort (not allowed), string.gsub (not allowed).
local got = {}
w = wrap(function()
  for i in function(_, i) i = (i or 0) + 1 yield("it" .. i) return i <= 2 and i or nil end do got[#got + 1] = i end
  for k in pairs(setmetatable({}, { __pairs = function(t) yield("pairs") return next, { a = 1 } end })) do got[#got + 1] = k end
  return "over"
end)
local trace = {}
repeat
  local x = w()
  trace[#trace + 1] = x
until x == "over"
assert(table.concat(trace, " ") == "it1 it2 it3 pairs over" and table.concat(got, " ") == "1 2 a")
-- A coroutine inside of a library function's callback.
assert(("abc"):gsub(".", wrap(function(c) while true do c = yield(c:upper()) end end)) == "ABC")

-- Through require-like library calls that do continue: dofile is one, load's reader is not tested here; table.unpack etc. call nothing.
-- Tail calls and deep stacks inside coroutines.
local function deep(n) if n == 0 then return yield("bottom") end return (deep(n - 1)) + 1 end
w = wrap(deep)
assert(w(small and 100 or 10000) == "bottom" and w(5) == (small and 105 or 10005))
local function tail(n) if n == 0 then return yield("tail") end return tail(n - 1) end
w = wrap(tail)
assert(w(1000) == "tail" and w("v") == "v")
if not small then
  fails("stack overflow", function()
    local c = create(function() local function f() return 1 + f() end return f() end)
    local ok, e = resume(c)
    error(e, 0)
  end)
end

-- Coroutines in coroutines, to some depth; beyond the limit an error and not a crash.
local function nest(n) if n == 0 then return "deep" end return wrap(nest)(n - 1) end
assert(nest(50) == "deep")
if not small then
  ok, err = pcall(nest, 100000)
  assert(not ok and tostring(err):find("stack overflow"))
end

-- yield as a function value; resume of many at once; round robin.
w = wrap(yield)
assert(w(1, 2) == 1 and w("z") == "z")
local ring = {}
for i = 1, small and 20 or 500 do
  ring[i] = create(function()
    local own = { i }
    for turn = 1, 3 do
      yield(own[1] * turn)
    end
    return "finished"
  end)
end
for turn = 1, 3 do
  for i, c in ipairs(ring) do
    local _, x = resume(c)
    assert(x == i * turn)
  end
end
for _, c in ipairs(ring) do assert(select(2, resume(c)) == "finished" and status(c) == "dead") end

-- close: from the states in which it is allowed.
co = create(function() yield() end)
assert(coroutine.close(co) == true and status(co) == "dead")
co = create(function() yield() end)
resume(co)
assert(coroutine.close(co) == true and status(co) == "dead" and select(2, resume(co)) == "cannot resume dead coroutine")
assert(coroutine.close(co) == true)
co = create(function() error("E", 0) end)
resume(co)
ok, err = coroutine.close(co)
assert(ok == false and err == "E" and coroutine.close(co) == true)
fails("cannot close a running coroutine", coroutine.close, main)
co = create(function() return pcall(coroutine.close, co) end)
_, ok, err = resume(co)
assert(ok == false and err == "cannot close a running coroutine")
local normal
normal = create(function() return wrap(function() return pcall(coroutine.close, normal) end)() end)
_, ok, err = resume(normal)
assert(ok == false and err == "cannot close a normal coroutine")

-- A generator and its consumer over a tree.
local function tree(n) if n == 0 then return nil end return { tree(n - 1), n, tree(n - 1) } end
local function walk(t) if t then walk(t[1]) yield(t[2]) walk(t[3]) end end
local visited = 0
for _ in wrap(function() walk({ tree(6), 7, tree(6) }) end) do visited = visited + 1 end
assert(visited == 127 or visited > 0)

-- Suspended coroutines keep what they hold; dropped ones do not disturb.
local held = {}
for i = 1, 30 do
  local c = wrap(function(t) local own = { t } yield() return own[1][1] end)
  c({ i })
  if i % 2 == 0 then held[#held + 1] = { c, i } end
end
collectgarbage()
for _, h in ipairs(held) do assert(h[1]() == h[2]) end

-- More values than a stack takes: resume fails, and the coroutine is as it was.
if not small then
  local many = 999000
  co = create(function(...) return select("#", ...) end)
  local full = create(function() return pcall(resume, co, table.unpack({}, 1, 499000)) end)
  ok, r, err = resume(full)
  assert(ok and r == true)
  co = create(function() return table.unpack({}, 1, many) end)
  full = create(function()
    local function fill(...) local failed, message = resume(co) return failed, message end
    return fill(table.unpack({}, 1, 10000))
  end)
  local _
  _, ok, err = resume(full)
  assert(ok == false and err == "too many results to resume", err)
  co = wrap(function() return table.unpack({}, 1, many) end)
  full = create(function()
    local function fill(...) return pcall(co) end
    return fill(table.unpack({}, 1, 10000))
  end)
  _, ok, err = resume(full)
  assert(ok == false and err:find("too many results to resume", 1, true), err)
end

-- Closing methods of a coroutine that is closed from outside, or that failed in a wrap function, run in that coroutine, which can't yield.
local function closable(what)
  return setmetatable({}, { __close = function(_, e)
    local running, main = coroutine.running()
    what[#what + 1] = { running, main, coroutine.isyieldable(), e, pcall(yield, 1) }
  end })
end
local closings = {}
local closed = create(function() local c <close> = closable(closings) local d <close> = closable(closings) yield() end)
assert(resume(closed) and coroutine.close(closed) and #closings == 2)
for _, c in ipairs(closings) do
  assert(c[1] == closed and not c[2] and not c[3] and c[4] == nil and not c[5] and c[6] == "attempt to yield across a C-call boundary")
end
closings = {}
local failing = wrap(function() local c <close> = closable(closings) error("failed", 0) end)
assert(select(2, pcall(failing)) == "failed" and closings[1][1] ~= coroutine.running() and closings[1][4] == "failed")
assert(select(2, pcall(failing)) == "cannot resume dead coroutine")
-- Deep in the coroutine, with errors that replace one another.
closed = create(function()
  local c <close> = setmetatable({}, { __close = function(_, e) error(e .. "c", 0) end })
  pcall(function()
    local d <close> = setmetatable({}, { __close = function(_, e) error("d", 0) end })
    local big = { string.rep("x", 100) }
    yield(big)
  end)
end)
resume(closed)
local done, message = coroutine.close(closed)
assert(not done and message == "dc" and coroutine.status(closed) == "dead" and coroutine.close(closed))

-- An error where the frames of a coroutine end exactly with its stack, whatever it is that fills it.
for size = 1, 199, 3 do
  local names = {}
  for i = 1, size do names[i] = "a" .. i end
  local fail = assert(load("local " .. table.concat(names, ",") .. " = ... return nil + a1"))
  local function above(...) return fail(...), ... end
  for pad = 0, 130 do
    local co = create(pad % 2 == 0 and fail or above)
    local ok, e = resume(co, table.unpack({}, 1, pad))
    assert(not ok and e:find("arithmetic"))
    local closed, again = coroutine.close(co)
    assert(not closed and again == e)
  end
end

-- An error may be nil: it is an error all the same.
do
  local seen
  local function failing() return setmetatable({}, {__close = function() error() end}) end
  local co = coroutine.create(function()
    local first <close> = setmetatable({}, {__close = function(_, e) seen = {e} end})
    local second <close> = failing()
    coroutine.yield()
  end)
  coroutine.resume(co)
  local closed = table.pack(coroutine.close(co))
  assert(closed.n == 2 and closed[1] == false and closed[2] == nil and #seen == 0)
  assert(coroutine.status(co) == "dead" and coroutine.close(co) == true)
  -- One that closes without an error does not take it away.
  co = coroutine.create(function()
    local first <close> = setmetatable({}, {__close = function() end})
    error()
  end)
  assert(select("#", coroutine.resume(co)) == 2)
  assert(select("#", coroutine.close(co)) == 2 and coroutine.close(co) == true)
end
