-- The library utf8. Manual, 6.5.

local function fails(message, f, ...)
  local ok, err = pcall(f, ...)
  assert(not ok and tostring(err):find(message, 1, true), tostring(err))
end

assert(utf8.char() == "" and utf8.char(72, 228, 8364, 0x1F600) == "Hä€😀" and utf8.char(0) == "\0")
assert(utf8.char(0x7F, 0x80, 0x7FF, 0x800, 0xFFFF, 0x10000, 0x10FFFF) ==
  "\x7F\xC2\x80\xDF\xBF\xE0\xA0\x80\xEF\xBF\xBF\xF0\x90\x80\x80\xF4\x8F\xBF\xBF")
assert(utf8.char(0x7FFFFFFF) == "\xFD\xBF\xBF\xBF\xBF\xBF" and utf8.char(0xD800) == "\xED\xA0\x80")
fails("value out of range", utf8.char, -1)
fails("value out of range", utf8.char, 0x80000000)
assert(utf8.charpattern == "[\0-\x7F\xC2-\xFD][\x80-\xBF]*")

local s = "aé€😀z"
assert(#s == 1 + 2 + 3 + 4 + 1 and utf8.len(s) == 5 and utf8.len("") == 0)
assert(utf8.len(s, 2) == 4 and utf8.len(s, -1) == 1 and utf8.len(s, 2, 3) == 1 and utf8.len(s, 12) == 0)
local n, at = utf8.len("ab\xffcd")
assert(n == nil and at == 3)
n, at = utf8.len(s, 3)
assert(n == nil and at == 3)
assert(utf8.len("\u{D7FF}\u{E000}") == 2 and utf8.len("\xED\xA0\x80") == nil and utf8.len("\xED\xA0\x80", 1, -1, true) == 1)
assert(utf8.len("\xF4\x90\x80\x80") == nil and utf8.len("\u{7FFFFFFF}", 1, -1, true) == 1)
assert(utf8.len("\xC0\x80") == nil and utf8.len("\xE0\x80\x80") == nil and utf8.len("\xE2\x82") == nil)
fails("initial position out of bounds", utf8.len, "abc", 5)
fails("initial position out of bounds", utf8.len, "abc", 0, 2)
fails("final position out of bounds", utf8.len, "abc", 1, 4)

assert(utf8.codepoint("€") == 0x20AC and utf8.codepoint(s, -1) == 122)
local t = { utf8.codepoint(s, 1, -1) }
assert(#t == 5 and t[1] == 97 and t[2] == 0xE9 and t[3] == 0x20AC and t[4] == 0x1F600 and t[5] == 122)
assert(select("#", utf8.codepoint(s, 3, 2)) == 0)
fails("invalid UTF-8 code", utf8.codepoint, s, 3)
fails("invalid UTF-8 code", utf8.codepoint, "\xff")
fails("invalid UTF-8 code", utf8.codepoint, "\xF4\x90\x80\x80")
assert(utf8.codepoint("\u{7FFFFFFF}", 1, 1, true) == 0x7FFFFFFF)
fails("out of bounds", utf8.codepoint, "abc", 4)
fails("out of bounds", utf8.codepoint, "abc", 1, 4)

assert(utf8.offset(s, 1) == 1 and utf8.offset(s, 2) == 2 and utf8.offset(s, 3) == 4 and utf8.offset(s, 5) == 11)
assert(utf8.offset(s, 6) == 12 and utf8.offset(s, 7) == nil and utf8.offset(s, -1) == 11 and utf8.offset(s, -5) == 1)
assert(utf8.offset(s, -6) == nil and utf8.offset(s, 0, 3) == 2 and utf8.offset(s, 0, 2) == 2 and utf8.offset(s, 0) == 1)
assert(utf8.offset(s, 2, 4) == 7 and utf8.offset(s, -1, 7) == 4 and utf8.offset("", 1) == 1 and utf8.offset("", 0) == 1)
fails("initial position is a continuation byte", utf8.offset, s, 1, 3)
fails("position out of bounds", utf8.offset, "abc", 1, 5)

local positions, codes = {}, {}
for p, c in utf8.codes(s) do
  positions[#positions + 1] = p
  codes[#codes + 1] = c
end
assert(table.concat(positions, ",") == "1,2,4,7,11" and table.concat(codes, ",") == "97,233,8364,128512,122")
for _ in utf8.codes("") do error("no codes here") end
fails("invalid UTF-8 code", function() for _ in utf8.codes("ab\xff") do end end)
fails("invalid UTF-8 code", function() for _ in utf8.codes("\xE2\x82") do end end)
fails("invalid UTF-8 code", function() for _ in utf8.codes("\xED\xA0\x80") do end end)
for _, c in utf8.codes("\xED\xA0\x80", true) do assert(c == 0xD800) end

-- Patterns over characters.
local characters = {}
for c in s:gmatch(utf8.charpattern) do characters[#characters + 1] = c end
assert(#characters == 5 and characters[4] == "😀")

-- Every boundary of the encoding makes a round trip.
for _, c in ipairs { 0, 0x7F, 0x80, 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFFFF, 0x10000, 0x10FFFF } do
  local e = utf8.char(c)
  assert(utf8.codepoint(e) == c and utf8.len(e) == 1 and utf8.offset(e, 2) == #e + 1)
end
