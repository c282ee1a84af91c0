-- Patterns: every item, anchors, captures, positions, and the functions that use them. Manual, 6.4.1.

local function fails(message, f, ...)
  local ok, err = pcall(f, ...)
  assert(not ok and tostring(err):find(message, 1, true), tostring(err))
end
local function same(a, b)
  assert(#a == #b, #a .. " values instead of " .. #b)
  for i = 1, #b do assert(a[i] == b[i], tostring(a[i]) .. " is not " .. tostring(b[i])) end
end
local function find(s, p, ...) return { string.find(s, p, ...) } end
local function match(s, p, ...) return { string.match(s, p, ...) } end

-- find: positions, captures, init, plain.
same(find("hello world", "o w"), { 5, 7 })
same(find("hello", "l+"), { 3, 4 })
same(find("hello", "(l)(l)"), { 3, 4, "l", "l" })
same(find("hello", "xyz"), { nil })
same(find("hello", ""), { 1, 0 })
same(find("hello", "", 6), { 6, 5 })
assert(string.find("hello", "", 7) == nil)
same(find("hello", "l", -2), { 4, 4 })
same(find("hello", "h", -100), { 1, 1 })
same(find("a.b", ".", 1, true), { 2, 2 })
same(find("a.b", "%."), { 2, 2 })
same(find("a[b", "[", 1, true), { 2, 2 })
same(find("a\0b\0c", "\0c"), { 4, 5 })
same(find("a\0b", "%z"), { 2, 2 })
same(find("", ""), { 1, 0 })
same(find("aaa", "a-", 2), { 2, 1 })
same(find("abc", "()b()"), { 2, 2, 2, 3 })
same(find("aXb", "%u"), { 2, 2 })

-- Repetition: greedy, lazy, optional.
same(match("aaab", "a*"), { "aaa" })
same(match("aaab", "a-b"), { "aaab" })
same(match("<<a>><<b>>", "<<(.-)>>"), { "a" })
same(match("<<a>><<b>>", "<<(.*)>>"), { "a>><<b" })
same(match("color colour", "colou?r$"), { "colour" })
same(match("baaa", "a*"), { "" })
same(match("baaa", "a+"), { "aaa" })
same(match("xyz", "x?y?z?"), { "xyz" })
same(match("aab", "^a-b"), { "aab" })
same(match("aaa", "^(a-)(a*)$"), { "", "aaa" })
same(match("2024-05-17", "(%d+)-(%d+)-(%d+)"), { "2024", "05", "17" })
same(match("abc", "((a)(b))c"), { "ab", "a", "b" })

-- Anchors hold at the start of the search, and at the end only as the last character.
same(match("hello", "^h"), { "h" })
same(match("hello", "^e"), { nil })
same(match("hello", "^e", 2), { "e" })
same(match("a^b", "a^b"), { "a^b" })
same(match("a$b", "a$b"), { "a$b" })
same(match("cost: $5", "%$(%d)"), { "5" })
same(match("ab", "b$"), { "b" })
same(match("^x", "^^x"), { "^x" })

-- Classes, sets, ranges, complements.
for class, members in pairs {
  ["%a"] = "azAZ", ["%d"] = "09", ["%l"] = "az", ["%u"] = "AZ", ["%s"] = " \t\n\r\f\v", ["%p"] = "!./:@[`{~_",
  ["%w"] = "azAZ09", ["%x"] = "09afAF", ["%c"] = "\0\1\31\127", ["%g"] = "!~aA0",
} do
  for c in members:gmatch(".") do
    assert(c:match(class) == c and not c:match(class:upper()), class)
    assert(("[" .. class .. "]"):len() == 4 and c:match("[" .. class .. "]") == c and not c:match("[^" .. class .. "]"))
  end
end
local counts = { a = 52, c = 33, d = 10, g = 94, l = 26, p = 32, s = 6, u = 26, w = 62, x = 22 }
for class, expected in pairs(counts) do
  local n = 0
  for i = 0, 255 do
    if string.char(i):find("%" .. class) then n = n + 1 end
  end
  assert(n == expected, class)
end
same(match("x-y", "[a-z-]+"), { "x-y" })
same(match("a]b", "[]]"), { "]" })
same(match("a]b", "[^]]+"), { "a" })
same(match("a-b", "[%-]"), { "-" })
same(match("a^b", "[b^]+"), { "^b" })
same(match("AZaz", "[A-Za-z]+"), { "AZaz" })
same(match("key_1 = x", "^([%a_][%w_]*)%s*="), { "key_1" })
same(match("f(a(b)c)d", "%b()"), { "(a(b)c)" })
same(match("((x)", "%b()"), { "(x)" })
same(match("[[]]]", "%b[]"), { "[[]]" })
same(match("xaxx", "%bxx"), { "xax" })
same(match("THE (quick) fox", "%f[%a]%a+%f[%A]"), { "THE" })
same(find("THE (quick) fox", "%f[%a]q"), { 6, 6 })
same(match("end", "%f[%z]"), { "" })
same(find("abc", "%f[%z]"), { 4, 3 })
same(match("\xe4\xf6", "[\xe4-\xf6]+"), { "\xe4\xf6" })
same(match("a\nb", "a.b"), { "a\nb" })

-- Back references and position captures.
same(match([[say "it's" now]], [[(["'])(.-)%1]]), { '"', "it's" })
same(match("abcabc", "(abc)%1"), { "abc" })
same(match("abab", "(a)(b)%1%2"), { "a", "b" })
same(match("hello", "()ll()"), { 3, 5 })
same(match("", "()"), { 1 })

-- gmatch.
local words = {}
for w in ("one two  three"):gmatch("%a+") do words[#words + 1] = w end
same(words, { "one", "two", "three" })
local t = {}
for k, v in ("a=1, b=2"):gmatch("(%w+)=(%w+)") do t[k] = v end
assert(t.a == "1" and t.b == "2")
local n = 0
for p in ("abc"):gmatch("()") do
  n = n + 1
  assert(p == n)
end
assert(n == 4)
words = {}
for w in ("abc"):gmatch("%a-") do words[#words + 1] = w end
same(words, { "", "", "", "" })
words = {}
for w in ("one two three"):gmatch("%a+", 4) do words[#words + 1] = w end
same(words, { "two", "three" })
words = {}
for w in ("one two three"):gmatch("%a+", -3) do words[#words + 1] = w end
same(words, { "ree" })
-- In gmatch, ^ has no meaning as an anchor.
for _ in ("hello"):gmatch("^h") do error("matched a caret") end

-- gsub with each kind of replacement.
local function gsub(...) return { string.gsub(...) } end
same(gsub("hello", "l", "L"), { "heLLo", 2 })
same(gsub("hello", "l", "L", 1), { "heLlo", 1 })
same(gsub("hello", "l", "L", 0), { "hello", 0 })
same(gsub("hello", "l", "L", -1), { "hello", 0 })
same(gsub("hello", "", "-"), { "-h-e-l-l-o-", 6 })
same(gsub("hello world", "%w+", "<%0>"), { "<hello> <world>", 2 })
same(gsub("hello world", "(%w+) (%w+)", "%2 %1"), { "world hello", 1 })
same(gsub("hello", "(l)", "%1%1"), { "hellllo", 2 })
same(gsub("abc", "%w", "%%%0"), { "%a%b%c", 3 })
same(gsub("abc", "b", "%1"), { "abc", 1 })
same(gsub("$name is $age", "%$(%w+)", { name = "Ann", age = 5 }), { "Ann is 5", 2 })
same(gsub("$name $other", "%$(%w+)", { name = "Ann" }), { "Ann $other", 2 })
same(gsub("abc", "%w", function(c) return c == "b" and "[" .. c .. "]" or nil end), { "a[b]c", 3 })
same(gsub("abc", "%w", function(c) return c ~= "b" and 1.5 end), { "1.5b1.5", 3 })
same(gsub("abc", "(a)(b)", function(a, b) return b .. a end), { "bac", 1 })
same(gsub("abc", "^a", "x"), { "xbc", 1 })
same(gsub("aaa", "^a", "x"), { "xaa", 1 })
same(gsub("abc def", "%f[%w]%w+", string.upper), { "ABC DEF", 2 })
same(gsub("abc", "()", "%1"), { "1a2b3c4", 4 })
same(gsub("a b", "%s*", "-"), { "-a-b-", 3 })
same(gsub("", "^", "x"), { "x", 1 })
same(gsub("x\0y", "\0", "0"), { "x0y", 1 })
same(gsub("abc", "b", setmetatable({}, { __index = function(_, k) return k:upper() end })), { "aBc", 1 })
same(gsub("trim  ", "%s+$", ""), { "trim", 1 })
same(gsub(("x"):rep(1000), "x", "yy"), { ("yy"):rep(1000), 1000 })

-- Errors in patterns and replacements.
fails("malformed pattern (ends with '%')", string.find, "a", "%")
fails("malformed pattern (missing ']')", string.find, "a", "[a")
fails("malformed pattern (missing ']')", string.find, "a", "[]")
fails("malformed pattern (missing ']')", string.find, "a", "[^]")
fails("malformed pattern (missing ']')", string.find, "a", "[a%")
fails("unfinished capture", string.find, "a", "(a")
fails("invalid pattern capture", string.find, "a", "(a))")
fails("invalid capture index %1", string.find, "a", "%1")
fails("invalid capture index", string.find, "aa", "(a%1)")
fails("missing arguments to '%b'", string.find, "a", "%b")
fails("missing '[' after '%f' in pattern", string.find, "a", "%fa")
fails("too many captures", string.find, ("a"):rep(40), ("(a)"):rep(33))
assert(select("#", string.find(("a"):rep(40), ("(a)"):rep(32))) == 34)
fails("invalid use of '%' in replacement string", string.gsub, "a", "a", "%x")
fails("invalid use of '%' in replacement string", string.gsub, "a", "a", "%")
fails("invalid capture index %2", string.gsub, "a", "a", "%2")
fails("invalid replacement value (a table)", string.gsub, "a", "a", function() return {} end)
fails("invalid replacement value (a boolean)", string.gsub, "a", "a", { a = true })
fails("string/function/table expected, got no value", string.gsub, "a", "a")
fails("bad argument #1 to 'string.find' (string expected, got nil)", string.find, nil, "a")

-- A callback may fail, and may yield nothing.
fails("from the callback", string.gsub, "abc", "b", function() error("from the callback") end)
-- A callback may match by itself.
local nested = ("a,b;c,d"):gsub("[^;]+", function(part) return "(" .. part:gsub(",", "+") .. ")" end)
assert(nested == "(a+b);(c+d)")
