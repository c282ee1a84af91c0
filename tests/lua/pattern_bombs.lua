-- Patterns that nest or repeat without reason end with a match or an error, never with a crash.

local function fails(message, f, ...)
  local ok, err = pcall(f, ...)
  assert(not ok and tostring(err):find(message, 1, true), tostring(err))
end

-- The matcher's recursion is bounded.
fails("pattern too complex", string.find, ("a"):rep(300000), ("a?"):rep(300000) .. "b")
fails("pattern too complex", string.match, ("x"):rep(250000), ("x?"):rep(250000))
-- Long subjects alone are no problem.
local long = ("x"):rep(500000)
assert(long:find("x*$") == 1 and long:match("^x-$") == long and long:match("^.-y") == nil and #long:match("x+") == 500000)
assert(select(2, long:gsub("x", "y")) == 500000)
assert(long:match("^(x*)$") == long and long:find("^[x]*$") == 1 and long:find("^[^y]*$") == 1)
assert(#(("("):rep(100000) .. (")"):rep(100000)):match("%b()") == 200000)
assert((("("):rep(2000)):match("%b()") == nil)

-- Deep nesting of captures.
fails("too many captures", string.find, "x", ("("):rep(33) .. "x" .. (")"):rep(33))
fails("unfinished capture", string.find, "x", ("("):rep(32) .. "x")

-- Exponential patterns, kept small.
local start = os.clock()
assert(("a"):rep(18):match("^(a*)*$") == nil)
assert(("a"):rep(22):find(("a?"):rep(12) .. ("a"):rep(22)) == 1)
assert(not ("a"):rep(20):find(".-.-.-b"))
assert(os.clock() - start < 20)

-- Patterns with bytes of every kind.
for i = 0, 255 do
  local c = string.char(i)
  pcall(string.find, "abc" .. c, c)
  pcall(string.find, "abc" .. c, "[" .. c .. "]")
  pcall(string.find, "abc" .. c, "%" .. c)
  pcall(string.gsub, "abc", "b", "%" .. c)
  assert(("abc" .. c):find(c, 1, true))
  if not c:find("%w") then assert(("abc" .. c):find("%" .. c)) end
end

-- Sets that end at the end of the pattern, ranges that are backwards.
assert(not ("m"):find("[z-a]") and ("-"):find("[a-]") and ("%"):find("[%%]") and ("a"):find("[%a-z]") and ("-"):find("[%a-z]"))
fails("malformed pattern (missing ']')", string.find, "a", "[%]")
fails("malformed pattern (missing ']')", string.find, "a", "[a-")
fails("malformed pattern", string.find, "a", "[a-%")
