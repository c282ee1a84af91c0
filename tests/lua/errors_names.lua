-- The names of operands and functions in messages: what an error says about where a value came from.

local function message(code, ...)
  local ok, err = pcall(assert(load(code, "=x")), ...)
  assert(not ok, code)
  return err
end
local function says(code, expected)
  local got = message(code)
  assert(got == "x:1: " .. expected, ("%s\n  says   %s\n  not    x:1: %s"):format(code, got, expected))
end

-- Where the table of an access came from.
says("local a = {} return a.b.c.d", "attempt to index a nil value (field 'b')")
says("local a = {} return a[1].c", "attempt to index a nil value (field 'integer index')")
says("local a, k = {}, 3 return a[k].c", "attempt to index a nil value (field '?')")
says("local a = {} return a['x y'].c", "attempt to index a nil value (field 'x y')")
says("a.b:c()", "attempt to index a nil value (global 'a')")
says("return ((a)).b", "attempt to index a nil value (global 'a')")
says("return ('x').y.z", "attempt to index a nil value (field 'y')")
says("local _ENV = {} return x.y", "attempt to index a nil value (global 'x')")
says("local a <const> = 'q' return b.c.d", "attempt to index a nil value (global 'b')")
says("local aaa = { bbb = 1 } aaa.bbb:ddd(9)", "attempt to index a number value (field 'bbb')")
says("local t = setmetatable({}, { __index = {} }) return t.x.y", "attempt to index a nil value (field 'x')")
-- A value from a metatable has no name.
says("return setmetatable({}, { __index = 5 }).x", "attempt to index a number value")
says("setmetatable({}, { __newindex = 5 }).x = 1", "attempt to index a number value")
-- Assignments.
says("local a; a.x = 1", "attempt to index a nil value (local 'a')")
says("a.x = 1", "attempt to index a nil value (global 'a')")
says("local a = {} a.b.c = 1", "attempt to index a nil value (field 'b')")
says("local a; a[1] = 1", "attempt to index a nil value (local 'a')")
says("local a, k; a[k] = 1", "attempt to index a nil value (local 'a')")
says("local a; local function f() a.x = 1 end f()", "attempt to index a nil value (upvalue 'a')")
says("local a; local function f() return a[1] end f()", "attempt to index a nil value (upvalue 'a')")

-- A captured variable is a local one in its own function.
says("local a; local function f() return a end return a.x", "attempt to index a nil value (local 'a')")
says("local a, b = 1; local function f() return b end return a + b", "attempt to perform arithmetic on a nil value (local 'b')")
says("local a; local function f() return a end a()", "attempt to call a nil value (local 'a')")
says("local function f(p) local function g() return p end return p.x end f()", "attempt to index a nil value (local 'p')")
says("for i, v in next, { 1 } do local function f() return v end v() end", "attempt to call a number value (local 'v')")

-- What may have come from two places has no name.
says("local a = {} return (a.b or a.c).d", "attempt to index a nil value")
says("local a = {} return (a.b and a.c).d", "attempt to index a nil value")
says("local aaa, bbbb = 2, 3; aaa = math.sin(1) and bbbb(3)", "attempt to call a number value (local 'bbbb')")
says("local a, b, c = 1, 1, 1; ((a and b) or c)()", "attempt to call a number value")
-- A condition that is a constant is none if it leaves no choice; where it decides, the other operand is still there.
says("return (1 and a).x", "attempt to index a nil value (global 'a')")
says("local a = {} return (nil or a.b).x", "attempt to index a nil value (field 'b')")
says("local k <const> = 'k' return (k and a)()", "attempt to call a nil value (global 'a')")
says("return (nil and a).x", "attempt to index a nil value")
says("return (false or nil and a)()", "attempt to call a nil value")
says("local a return (false and 1 or a).x", "attempt to index a nil value")
says("local a return (1 and nil or a).x", "attempt to index a nil value (local 'a')")
says("local t = {} return t[1 or 2].x", "attempt to index a nil value (field '?')")
says("local t = {} return t[nil or 'k'].x", "attempt to index a nil value (field 'k')")
says("local v <const> = nil and 1 return v.x", "attempt to index a nil value (local 'v')")
says("local v <const> = 1 and nil return v.x", "attempt to index a nil value")

-- Operands of operators.
says("local t = {} return 1 + t.x", "attempt to perform arithmetic on a nil value (field 'x')")
says("local a return -a", "attempt to perform arithmetic on a nil value (local 'a')")
says("return 2 ^ {}", "attempt to perform arithmetic on a table value")
says("x = 3.3 / print", "attempt to perform arithmetic on a function value (global 'print')")
says("local a, b return a .. b", "attempt to concatenate a nil value (local 'a')")
says("local a, b = 'x' return a .. b .. 'y'", "attempt to concatenate a nil value (local 'b')")
says("local a, b = 'x', {} return a .. 'm' .. b", "attempt to concatenate a table value (local 'b')")
says("local a, b = {}, 'x' return a .. b .. 'y'", "attempt to concatenate a table value (local 'a')")
says("return 1 .. {}", "attempt to concatenate a table value")
says("local t = {} return #t.x", "attempt to get length of a nil value (field 'x')")
says("return #5", "attempt to get length of a number value")

-- Strings that are no numbers.
says("return 'a' + 1", "attempt to add a 'string' with a 'number'")
says("return {} + '10'", "attempt to add a 'table' with a 'string'")
says("return -'a'", "attempt to unm a 'string' with a 'string'")
says("return 2 // 'x'", "attempt to idiv a 'number' with a 'string'")
says("return 'a' | 1", "attempt to perform bitwise operation on a string value (constant 'a')")
says("return '1.5' | 1", "attempt to perform bitwise operation on a string value (constant '1.5')")
says("return '10' & 1.5", "attempt to perform bitwise operation on a string value (constant '10')")

-- Numbers without an integer representation.
says("local a = 1.5 return a | 1", "number (local 'a') has no integer representation")
says("local a, b = 1, 2.5 return a & b", "number (local 'b') has no integer representation")
says("local a = 2 ^ 63 return 1 << a", "number (local 'a') has no integer representation")
says("local t = { x = 0.5 } return ~t.x", "number (field 'x') has no integer representation")
says("return 1 & 2.0 ^ 70", "number has no integer representation")

-- Calls.
says("local a = {} a:b()", "attempt to call a nil value (method 'b')")
says("('x'):bad()", "attempt to call a nil value (method 'bad')")
says("return ('x')()", "attempt to call a string value (constant 'x')")
says("local a = {} return a.b()", "attempt to call a nil value (field 'b')")
says("for x in 5 do end", "attempt to call a number value (for iterator 'for iterator')")
says("setmetatable({}, { __call = 5 })()", "attempt to call a number value")
for event, code in pairs {
  add = "t + 1", sub = "1 - t", idiv = "1 // t", mod = "t % t", shl = "t << 2", band = "2 & t", unm = "-t", bnot = "~t", len = "#t",
  concat = "t .. 1", lt = "t > 1", le = "1 >= t", eq = "t == setmetatable({}, getmetatable(t))",
} do
  says(("local t = setmetatable({}, { __%s = {} }) return %s"):format(event, code),
    ("attempt to call a table value (metamethod '%s')"):format(event))
end
says("local x <close> = 5", "variable 'x' got a non-closable value")
says("local x = 1; local function f() return x end; local y <close> = {}", "variable 'y' got a non-closable value")
says("do local x <close> = setmetatable({}, { __close = 5 }) end", "attempt to call a number value (metamethod 'close')")
says("local function f() local x <close> = setmetatable({}, { __close = {} }) return 1 end f()",
  "attempt to call a table value (metamethod 'close')")

-- Loops.
says("for i = 1, 'x' do end", "bad 'for' limit (number expected, got string)")
says("for i = {}, 2 do end", "bad 'for' initial value (number expected, got table)")
says("for i = 1, 2, print do end", "bad 'for' step (number expected, got function)")
says("for i = 1.5, setmetatable({}, { __name = 'My' }) do end", "bad 'for' limit (number expected, got My)")
says("for i = 1, 2, 0 do end", "'for' step is zero")

-- Arguments: the name is that of the call, or else that of the library.
says("string.rep()", "bad argument #1 to 'rep' (string expected, got no value)")
says("('x'):rep({})", "bad argument #1 to 'rep' (number expected, got table)")
says("string.rep('x', {})", "bad argument #2 to 'rep' (number expected, got table)")
says("local f = math.floor; f({})", "bad argument #1 to 'f' (number expected, got table)")
says("local t = { g = math.floor } t.g({})", "bad argument #1 to 'g' (number expected, got table)")
says("io.stdin.read(1)", "bad argument #1 to 'read' (FILE* expected, got number)")
says("local t = setmetatable({}, { __index = string }) t:upper()", "calling 'upper' on bad self (string expected, got table)")
says("local t = setmetatable({}, { __index = math.floor }) return t.x", "bad argument #1 to 'index' (number expected, got table)")
says("for x in math.floor do end", "bad argument #1 to 'for iterator' (number expected, got nil)")
says("coroutine.wrap(string.rep)()", "bad argument #1 to 'string.rep' (string expected, got no value)")
assert(select(2, pcall(string.rep)) == "bad argument #1 to 'string.rep' (string expected, got no value)")
assert(select(2, pcall(setmetatable, 1)) == "bad argument #1 to 'setmetatable' (table expected, got number)")
assert(select(2, pcall(string.gsub, "s", "s", setmetatable)) == "bad argument #1 to 'setmetatable' (table expected, got string)")
local rep = string.rep
string.rep = nil
assert(select(2, pcall(rep)) == "bad argument #1 to '?' (string expected, got no value)")
string.rep = rep

-- Many constants, so that the names of fields need registers.
local many, count = {}, os.getenv("NEAP_GC") and 700 or 70000
for i = 1, os.getenv("NEAP_GC") and 300 or 70000 do many[i] = "x = a" .. i end
local prefix = table.concat(many, "; ") .. "; "
local function far(code, expected)
  local f = assert(load(prefix .. code, "=x"))
  local ok, err = pcall(f)
  assert(not ok and err == "x:1: " .. expected, err)
end
far("local t = {} return t.bbb + 1", "attempt to perform arithmetic on a nil value (field 'bbb')")
far("local t = {} t:bbb()", "attempt to call a nil value (method 'bbb')")
far("return bbb + 1", "attempt to perform arithmetic on a nil value (global 'bbb')")
far("local _ENV = _ENV; return bbb + 1", "attempt to perform arithmetic on a nil value (global 'bbb')")


-- A constant variable has a name in messages only if it is a variable when the program runs: zeros of floats are not computed before.
local function constant(text, expected)
  local ok, err = pcall(assert(load("local c <const> = " .. text .. "; return c:upper()", "=x")))
  assert(not ok and err == "x:1: " .. expected, err)
end
constant("-1.5", "attempt to index a number value")
constant("-0.0", "attempt to index a number value (local 'c')")
constant("0.5 - 0.5", "attempt to index a number value (local 'c')")
constant("1 - 1", "attempt to index a number value")
