-- Control structures: if, while, repeat, numeric and generic for, goto, break, return. Manual, 3.3.

local function fails(message, f, ...)
  local ok, err = pcall(f, ...)
  assert(not ok and tostring(err):find(message, 1, true), tostring(err))
end
local function refuses(message, code)
  local f, err = load(code, "=code")
  assert(not f and err:find(message, 1, true), tostring(err))
end
local function values(from, to, step)
  local t = {}
  for i = from, to, step or 1 do t[#t + 1] = tostring(i) end
  return table.concat(t, " ")
end

-- Truth: only nil and false are false.
for _, v in ipairs { 0, "", 0.0, {}, print } do
  if not v then error("a value is taken for false") end
end
assert((nil and 1) == nil and (false or nil) == nil and (1 and 2) == 2 and (nil or "d") == "d" and (false and error("x")) == false)
assert(not nil and not false and not not 0 and (1 == 1 and "yes" or "no") == "yes")
local function classify(n)
  if n < 0 then return "negative" elseif n == 0 then return "zero" elseif n < 10 then return "small" else return "big" end
end
assert(classify(-1) == "negative" and classify(0) == "zero" and classify(5) == "small" and classify(50) == "big")

-- Numeric for.
assert(values(1, 3) == "1 2 3" and values(3, 1) == "" and values(3, 1, -1) == "3 2 1" and values(1, 10, 4) == "1 5 9")
assert(values(1, 2, 0.5) == "1.0 1.5 2.0" and values(1.0, 3) == "1.0 2.0 3.0" and values(1, 3.7) == "1 2 3" and values(-1, -3.5, -1) == "-1 -2 -3")
assert(values(1, math.huge, 1 << 62) == "1 4611686018427387905" and values(0, -math.huge, math.mininteger) == "0 -9223372036854775808")
assert(values(math.maxinteger - 1, math.maxinteger) == "9223372036854775806 9223372036854775807")
assert(values(math.mininteger, math.mininteger + 1) == "-9223372036854775808 -9223372036854775807")
assert(values(math.maxinteger, math.mininteger, -math.maxinteger) == "9223372036854775807 0 -9223372036854775807")
assert(values(math.mininteger + 1, math.mininteger, -1) == "-9223372036854775807 -9223372036854775808")
assert(values(1, 0 / 0) == "" and values(1, -math.huge) == "" and values(3, 2 ^ 53 | 0, 1 << 53) == "3")
assert(values(0 / 0, 1) == tostring(0 / 0) and values(0 / 0, 1, -1) == tostring(0 / 0) and values(1, 0.5 - 0 / 0, 0.5) ~= "" and values(1, 2, 0 / 0) == "")
assert(values(math.mininteger + 1, 0 / 0, -1) == "-9223372036854775807 -9223372036854775808")
assert(values(1, "3" + 0) == "1 2 3")
fails("bad 'for' initial value (number expected, got table)", function() for _ = {}, 2 do end end)
fails("bad 'for' limit (number expected, got table)", function() for _ = 1, {} do end end)
fails("bad 'for' step (number expected, got nil)", function() for _ = 1, 2, nil do end end)
fails("'for' step is zero", function() for _ = 1, 2, 0 do end end)
fails("'for' step is zero", function() for _ = 1.0, 2, 0 do end end)
local evaluations = 0
local function once(v) evaluations = evaluations + 1 return v end
for _ = once(1), once(5), once(2) do end
assert(evaluations == 3)
for i = 1, 3 do
  local j = i
  i = 100
  assert(j <= 3)
end

-- Generic for.
local function range(n)
  return function(limit, i) if i < limit then return i + 1, i * 10 end end, n, 0
end
local sum, tens = 0, 0
for i, t in range(4) do sum, tens = sum + i, tens + t end
assert(sum == 10 and tens == 60)
fails("attempt to call a nil value", function() for _ in nil do end end)
fails("attempt to call a table value", function() for _ in {} do end end)
fails("attempt to call a number value", function() for _ in 5 do end end)
local closed = false
for i in range(10), 10, 0, setmetatable({}, { __close = function() closed = true end }) do
  if i == 2 then break end
end
assert(closed)
for a, b, c, d in function(_, i) if not i then return 1, 2, 3 end end do assert(a == 1 and b == 2 and c == 3 and d == nil) end

-- while and repeat: the condition of repeat sees the locals of the body.
local n = 0
while n < 10 do
  n = n + 1
  if n == 5 then break end
end
assert(n == 5)
repeat
  local done = n >= 8
  n = n + 1
until done
assert(n == 9)
repeat local x = 1 until x == 1
while false do error("never") end

-- Nested breaks leave one loop only.
local trace = {}
for i = 1, 3 do
  for j = 1, 3 do
    if j == 2 then break end
    trace[#trace + 1] = i .. j
  end
end
assert(table.concat(trace, " ") == "11 21 31")

-- goto: continue, backwards, out of nested blocks.
local odd = {}
for i = 1, 6 do
  if i % 2 == 0 then goto continue end
  odd[#odd + 1] = i
  ::continue::
end
assert(table.concat(odd) == "135")
do
  local i = 0
  ::top::
  i = i + 1
  if i < 5 then goto top end
  assert(i == 5)
end
for i = 1, 3 do
  for j = 1, 3 do
    if i * j == 4 then
      n = i + j
      goto out
    end
  end
end
::out::
assert(n == 4)
do
  goto skip
  error("skipped")
  ::skip::
end
do
  -- A label at the end of a block may be reached over a local declaration.
  goto last
  local hidden
  ::last:: ;;
end
local function state_machine(input)
  local i = 0
  ::even::
  i = i + 1
  if i > #input then return "even" end
  if input:sub(i, i) == "1" then goto odd end
  goto even
  ::odd::
  i = i + 1
  if i > #input then return "odd" end
  if input:sub(i, i) == "1" then goto even end
  goto odd
end
assert(state_machine("1011") == "odd" and state_machine("11") == "even" and state_machine("") == "even")

refuses("no visible label 'nowhere' for <goto> at line 1", "goto nowhere")
refuses("no visible label 'inner' for <goto>", "goto inner do ::inner:: end")
refuses("<goto l> at line 1 jumps into the scope of local 'x'", "goto l local x ::l:: print(x)")
refuses("label 'twice' already defined", "::twice:: ::twice::")
refuses("label 'l' already defined", "::l:: do ::l:: end")
refuses("break outside loop at line 1", "break")
refuses("no visible label 'l'", "::l:: local function f() goto l end")
refuses("jumps into the scope of local", "repeat goto l local x ::l:: until x")
assert(load("do ::l:: end ::l::") and load("local function f() ::l:: end ::l::"))
assert(load("local goto_ = 1 return goto_")() == 1)

-- return: any number of values, adjusted by the place of the call; `return` may be followed by a semicolon.
local function none() return end
local function two() return 1, 2 end
assert(select("#", none()) == 0 and select("#", (none())) == 1 and select("#", two(), two()) == 3 and select("#", (two())) == 1)
local a, b, c = two()
assert(a == 1 and b == 2 and c == nil)
a, b, c = two(), 10
assert(a == 1 and b == 10 and c == nil)
assert(load("do return 5; end error('not reached')")() == 5)
refuses("<eof> expected", "return 1 return 2")

-- Assignment evaluates all expressions before it stores.
local i, t = 1, {}
i, t[i] = i + 1, 20
assert(i == 2 and t[1] == 20 and t[2] == nil)
a, b = 1, 2
a, b = b, a
assert(a == 2 and b == 1)
t = { 1, 2, 3 }
t[1], t[2], t[3] = t[3], t[1], t[2]
assert(table.concat(t) == "312")
local p = { v = 1 }
local q = p
p, p.v = { v = 5 }, 9
assert(q.v == 9 and p.v == 5)
do
  local x <const>, y = 1, 2
  y = x + y
  assert(y == 3)
end
